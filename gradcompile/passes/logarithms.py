"""The logarithm of a product as a sum of logarithms, where the signs of its factors allow it.

A product of a few hundred probabilities is 0 in floating point, and so is the square of a small number. The sum of
their logarithms is neither. For reals log(a*b) = log(a) + log(b) needs a or b to be known as not negative; of the other
factors the product stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from gradcompile.ir import Value
from gradcompile.passes.fold import exact

Log = Callable[[Value], Value]
Power = tuple[Value | int | Fraction, Value]  # an exponent and a base

NEVER_NEGATIVE = ("exp", "sigmoid", "softplus", "sqrt", "norm", "abs", "hypot", "cosh", "sech", "erfc", "size", "iota")
POSITIVE = ("exp", "sigmoid", "softplus", "cosh", "sech", "erfc", "erfcx")  # though as a float each may be 0
AS_OPERANDS = ("add", "mul", "div", "sum", "prod", "max", "min", "minimum", "real", "detach")  # if they are not
DEEPEST = 8  # operations that are looked through


def of_product(x: Value, log: Log) -> Value | None:
    """Return the logarithm of a product, a quotient, a power or a root as a sum of logarithms.

    Parameters
    ----------
    x : Value
        What the logarithm is taken of.
    log : callable
        The logarithm of a factor, made stable.
    """
    if x.op == "prod":
        return _over_axes(x, log)
    factors = _powers(x, 1, DEEPEST) if x.op in ("mul", "div", "pow", "sqrt", "gamma") else ()
    parts = [(n, b) for n, b in factors if not b.is_const(1)]
    arguments = [b.operands[0] for _, b in parts if b.op == "gamma" and not not_negative(b)]
    total = _of_factors(parts, log)
    if total is None or not arguments:
        return total
    apply = x.builder.apply  # gamma(u) may be negative where u is
    least = arguments[0] if len(arguments) == 1 else apply("minimum", *arguments)
    return apply("select", apply("gt", least, 0), total, apply("log", x))


def _of_factors(powers: list[Power], log: Log) -> Value | None:
    """Return the logarithm of a product of powers, those of gamma functions being of positive numbers.

    So are powers whose exponents are no numbers: a negative number to such a power is nan, but for whole ones.
    """
    known, rest = list[Power](), list[Power]()
    for exponent, base in powers:
        anyhow = isinstance(exponent, Value) or base.op == "gamma" or not_negative(base) or _is_power(base)
        (known if anyhow else rest).append((exponent, base))
    alone = len(rest) == 1 and not known and rest[0][0] != 1  # an odd power of one number
    if not alone and not any(base.op != "const" for _, base in known):
        return None
    total = _rest(rest, log)
    for exponent, base in known:
        total = _plus(total, exponent, base, log)
    return total


def _is_power(x: Value) -> bool:
    """Return whether a value is a choice of powers whose exponents are no numbers."""
    if x.op == "select":
        return all(not_negative(branch) or _is_power(branch) for branch in x.operands[1:])
    return x.op == "pow" and exact(x.operands[1]) is None and x.operands[1].kind == "real"


def powers(x: Value) -> list[Power]:
    """Return what the logarithm of a product would be taken apart into the logarithms of."""
    return list(_powers(x, 1, DEEPEST))


def _over_axes(x: Value, log: Log) -> Value:
    """Return log of a product over axes; what is left of negative factors is its sign, whose logarithm is 0 or nan."""
    builder, body = x.builder, x.operands[0]
    if not_negative(body):
        return builder.reduce("sum", log(body), x.attr)
    total = builder.reduce("sum", log(builder.apply("abs", body)), x.attr)
    return total + builder.apply("log", builder.reduce("prod", builder.apply("sign", body), x.attr))


def _powers(x: Value, exponent: Value | int | Fraction, depth: int) -> Iterator[Power]:
    """Yield the factors of a value as powers; an even power is one of the absolute value.

    A product of many numbers, one after the other, is as deep as one of two.
    """
    behind = list[Value]()
    while x.op == "mul" and x.operands[0].op == "mul" and x.operands[1].op != "mul":
        behind.append(x.operands[1])
        x = x.operands[0]
    if behind:
        for each in (x, *reversed(behind)):
            yield from _powers(each, exponent, max(depth - 1, 0))
    elif depth and x.op == "mul":
        for operand in x.operands:
            yield from _powers(operand, exponent, depth - 1)
    elif depth and x.op == "div":
        yield from _powers(x.operands[0], exponent, depth - 1)
        yield from _powers(x.operands[1], -exponent, depth - 1)
    elif depth and x.op == "sqrt":
        yield Fraction(1, 2) * exponent, x.operands[0]
    elif depth and x.op == "pow" and (taken := _base(x)) is not None:
        yield taken[0] * exponent, taken[1]
    else:
        yield exponent, x


def _base(x: Value) -> Power | None:
    """Return the exponent and the base of a power whose logarithm is exponent*log(base)."""
    base, exponent = x.operands
    number = exact(exponent)
    if number is None:
        return (exponent, base) if not_negative(base) or exponent.kind == "real" else None
    if number.denominator == 1 and number % 2 == 0 and not not_negative(base):
        return number, base.builder.apply("abs", base)
    return number, base


def _rest(powers: list[Power], log: Log) -> Value | None:
    """Return the log of the factors of unknown sign, which stay one product; an odd power has the sign of its base."""
    if len(powers) == 1 and powers[0][0] != 1:
        return _plus(None, *powers[0], log)
    above = _product([(n, b) for n, b in powers if isinstance(n, Value) or n > 0])
    below = _product([(-n, b) for n, b in powers if not isinstance(n, Value) and n < 0])
    if above is None:
        return None if below is None else -log(below)
    return log(above if below is None else above / below)


def _product(powers: list[Power]) -> Value | None:
    total: Value | None = None
    for exponent, base in powers:
        factor = base if exponent == 1 else base**exponent
        total = factor if total is None else total * factor
    return total


def _log_of_factor(x: Value, log: Log) -> Value:
    return x.builder.apply("lgamma", x.operands[0]) if x.op == "gamma" else log(x)


def _plus(total: Value | None, exponent: Value | int | Fraction, base: Value, log: Log) -> Value:
    if isinstance(exponent, Value):
        power = _times_logarithm(exponent, base, log)
        return power if total is None else total + power
    size = exponent if exponent > 0 else -exponent
    logarithm = _log_of_factor(base, log)
    term = logarithm if size == 1 else size * logarithm
    if total is None:
        return term if exponent > 0 else -term
    return total + term if exponent > 0 else total - term


def _times_logarithm(exponent: Value, base: Value, log: Log) -> Value:
    """Return exponent*log(base); 0*log(0) is 0, as the logarithm of 0**0 is."""
    apply, made = base.builder.apply, _log_of_factor(base, log)
    if base.op != "gamma" and not positive(base):
        if made.op == "log":
            return apply("xlogy", exponent, base)
        if made.op == "log1p":
            return apply("xlog1py", exponent, made.operands[0])
    return exponent * made


def positive(x: Value, depth: int = DEEPEST) -> bool:
    """Return whether a value is seen to be above 0, or nan: on paper, for as a float it may underflow."""
    if x.op in POSITIVE:
        return True
    if x.op == "const":
        return isinstance(x.attr, str) or bool(x.attr > 0)
    if x.op == "add":
        return depth > 0 and any(
            positive(a, depth - 1) and not_negative(b, depth - 1) for a, b in (x.operands, x.operands[::-1])
        )
    through = x.operands[:1] if x.op in ("pow", "sqrt", "real") else x.operands if x.op in ("mul", "div") else ()
    return depth > 0 and bool(through) and all(positive(o, depth - 1) for o in through)


def not_negative(x: Value, depth: int = DEEPEST) -> bool:
    """Return whether a value is seen to be at least 0, or nan."""
    if x.op in NEVER_NEGATIVE:
        return True
    if x.op == "const":
        return isinstance(x.attr, str) or bool(x.attr >= 0)
    if not depth:
        return False
    if x.op == "pow":
        return _power_not_negative(x, depth)
    if x.op == "mul" and x.operands[0] is x.operands[1]:
        return True
    if x.op == "gamma":
        return not_negative(x.operands[0], depth - 1)
    if x.op == "maximum":
        return any(not_negative(o, depth - 1) for o in x.operands)
    if x.op == "select":
        return all(not_negative(o, depth - 1) for o in x.operands[1:])
    if x.op == "read":
        return not_negative(x.operands[0], depth - 1)
    return x.op in AS_OPERANDS and all(not_negative(o, depth - 1) for o in x.operands)


def _power_not_negative(x: Value, depth: int) -> bool:
    number = exact(x.operands[1])
    if number is None:  # a negative number to a power that is no whole number is nan
        return x.operands[1].op == "const" or not_negative(x.operands[0], depth - 1)
    return number.denominator != 1 or number % 2 == 0 or not_negative(x.operands[0], depth - 1)
