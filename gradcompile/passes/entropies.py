"""Products with the logarithm of one of their own factors: ``x*log(x/y)``, a term of an entropy, is 0 where x is.

When such a product is looked at, its logarithm may have been taken apart already: for a sum of exponentials Z,
``log(x/Z)`` is ``log(x) - u - log(w)``. So all terms of the other factor are looked at, and what is left stays one
product: ``xlogx(x) - x*(u + log(w))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from operator import mul

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import exact, factored, scaled
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.norms import square_root
from gradcompile.passes.powers import SIMPLE
from gradcompile.passes.quotients import factors


def entropies(graph: Graph) -> Graph:
    """Return a graph with its backward half with such products in it rewritten.

    The slope of ``x**2*log(x)`` has ``2*x*log(x)``.
    """
    if not any(value.op in LOGARITHMS for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return _rewritten(list(factors(operands[0] * operands[1]))) if value.op == "mul" else None

    return graph.rewrite(rule)


def _rewritten(parts: list[Value]) -> Value | None:
    """Return a product of which one factor is a sum with a logarithm of others; None if there is none."""
    for place, part in enumerate(parts):
        if part.op in SIGNS or part.op in LOGARITHMS:
            others = reduce(mul, (other for k, other in enumerate(parts) if k != place))
            if (made := _times(others, part, DEEPEST)) is not None:
                return made
    return None


Terms = list[tuple[int, Value]]  # each with its sign
SIGNS = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}  # of the operands of a sum
DEEPEST = 8  # sums, or products, inside one another that are looked through


def x_log_x(a: Value, b: Value) -> Value | None:
    """Return a product that is 0 where a factor is 0 of which, or of a multiple of which, it has the logarithm."""
    return _times(a, b, DEEPEST) or _times(b, a, DEEPEST)


def power_log(a: Value, b: Value) -> Value | None:
    """Return x**p*log(x)**k, for p no whole number or k above 1, as a choice that has value and slope at x = 0.

    Both are 0 for p above 1; else the slope is infinite there, as that of a root is.
    """
    parts = list(factors(a * b))
    for x in dict.fromkeys(log.operands[0] for part in parts for log in _logs(part)):
        found = [(part, _powers(part, x)) for part in parts]
        p = sum((power for _, (power, _) in found), Fraction(0))
        k = sum(logs for _, (_, logs) in found)
        if p <= 0 or k == 0 or (k == 1 and p.denominator == 1):
            continue
        apply = a.builder.apply
        paired = min(int(p), k)  # x*log(x) each: x**p alone underflows where the slope does not
        powers = [_raised(x, p - paired), _raised(apply("xlogx", x), paired), _raised(apply("log", x), k - paired)]
        own = reduce(mul, (power for power in powers if not power.is_const(1)))
        at_0 = x.builder.const(0) if p > 1 else apply("sqrt", x)
        made = apply("select", apply("ne", x, 0), own, negated(at_0) if p <= 1 and k % 2 else at_0)
        return reduce(mul, (part for part, its in found if not any(its)), made)
    return None


def _raised(x: Value, power: Fraction | int) -> Value:
    if power == Fraction(1, 2):
        return x.builder.apply("sqrt", x)
    number = power if not isinstance(power, Fraction) or power.denominator < SIMPLE else float(power)
    return x.builder.const(1) if power == 0 else x if power == 1 else x**number


def _logs(part: Value) -> list[Value]:
    """Return the logarithm that a factor is, or of which it is a power."""
    inside = part.operands[0] if part.op == "pow" else part
    return [inside] if inside.op == "log" else []


def _powers(part: Value, x: Value) -> tuple[Fraction, int]:
    """Return (p, k) for a factor x**p*log(x)**k; (0, 0) for any other."""
    base, exponent = part.operands if part.op == "pow" else (part, part.builder.const(1))
    number = exact(exponent)
    if part.op == "xlogx" and part.operands[0] is x:
        return Fraction(1), 1
    if part.op == "sqrt" and part.operands[0] is x:
        return Fraction(1, 2), 0
    if base is x and exponent.op == "const" and not isinstance(exponent.attr, str):
        return Fraction(exponent.attr), 0
    if base.op == "log" and base.operands[0] is x and number is not None and number > 0 and number % 1 == 0:
        return Fraction(0), int(number)
    return Fraction(0), 0


def _times(product: Value, other: Value, depth: int) -> Value | None:
    """Return product*other, if terms of `other` are logarithms of what `product` has as a factor."""
    made, left = _parted(product, other, depth)
    if not made:
        return None
    if left and all(sign < 0 for sign, _ in left):  # v*log(v) - v*(p + q)
        made.append((-1, product * _total([(1, term) for _, term in left])))
    elif left:
        made.append((1, product * _total(left)))
    return _total(made)


def _parted(product: Value, other: Value, depth: int) -> tuple[Terms, Terms]:
    """Return what the product is with those terms that are such logarithms, and the terms that are left."""
    if (whole := _with_logarithm(product, other, depth)) is not None:
        return [(1, whole)], []
    if depth and other.op in SIGNS:
        parts = [_parted(product, operand, depth - 1) for operand in other.operands]
        if any(made for made, _ in parts):  # a sum without any stays one term, for others may have it, too
            signed = list(zip(SIGNS[other.op], parts, strict=True))
            made = [(sign * inner, term) for sign, (found, _) in signed for inner, term in found]
            return made, [(sign * inner, term) for sign, (_, rest) in signed for inner, term in rest]
    return [], [(1, other)]


def _total(terms: Terms) -> Value:
    """Return a sum; what is added comes first."""
    (sign, total), *others = sorted(terms, key=lambda term: -term[0])
    total = total if sign > 0 else negated(total)
    for sign, term in others:
        total = total + term if sign > 0 else total - term
    return total


def _with_logarithm(product: Value, term: Value, depth: int) -> Value | None:
    """Return product*term if the term is a number times log(x*r) or log(r/x), x being what is a factor of both."""
    number, function = factored(term)
    if function is not None and function.op == "select" and depth:
        made = _with_choice(product, *function.operands, depth=depth // 2)
    elif function is not None and function.op in LOGARITHMS:
        made = LOGARITHMS[function.op](product, *function.operands)
    else:
        return None
    return None if made is None else scaled(made, number, term)


def _with_choice(product: Value, condition: Value, *branches: Value, depth: int) -> Value | None:
    """Return the choice of products where one of them is rewritten."""
    made = [_times(product, branch, depth) for branch in branches]
    if not any(made):
        return None
    whole = (new or product * branch for new, branch in zip(made, branches, strict=True))
    return product.builder.apply("select", condition, *whole)


def _with_log(product: Value, argument: Value) -> Value | None:
    """Return product*log(argument)."""
    if (made := _with_log_above(product, argument)) is not None or argument.op != "div":
        return made
    top, bottom = argument.operands
    made = _with_log_above(product, bottom if top.is_const(1) else bottom / top)
    return None if made is None else -made


def _with_log_above(product: Value, argument: Value) -> Value | None:
    """Return product*log(x*r), x being the product of the factors that both have."""
    x, rest, ratio = None, product, argument
    for factor in _factors(product, DEEPEST):
        left, within = _without(rest, factor), _without(ratio, factor)
        if left is not None and within is not None:
            x, rest, ratio = (factor if x is None else x * factor), left, within
    if x is None:
        return None
    made = _x_log(x, ratio)
    return made if rest.is_const(1) else rest * made


def _x_log(x: Value, ratio: Value) -> Value:
    """Return x*log(x*ratio); of a square, so that it has a gradient where its root is 0."""
    apply = x.builder.apply
    if (root := square_root(x)) is not None:
        return root * (apply("xlogx", root) + _x_log(root, ratio))
    if ratio.is_const(1):
        return apply("xlogx", x)
    if (number := exact(ratio)) is not None:
        return apply("relent", x, x.builder.const(1) / number)
    if ratio.op == "div" and ratio.operands[0].is_const(1):
        return apply("relent", x, ratio.operands[1])
    if not_negative(ratio):
        return apply("xlogx", x) + x * apply("log", ratio)
    return apply("relent", x, 1 / ratio)


def _with_log1p(product: Value, argument: Value) -> Value | None:
    """Return product*log(1 + z) if 1 + z is a factor."""
    for factor in _factors(product, DEEPEST):
        if _is_one_plus(factor, argument) and (rest := _without(product, factor)) is not None:
            made = product.builder.apply("xlogx1p", argument)
            return made if rest.is_const(1) else rest * made
    return None


LOGARITHMS: dict[str, Callable[[Value, Value], Value | None]] = {"log": _with_log, "log1p": _with_log1p}


def _is_one_plus(x: Value, z: Value) -> bool:
    """Return whether x is 1 + z."""
    if x.op == "add":
        return any(one.is_const(1) and other is z for one, other in (x.operands, x.operands[::-1]))
    return x.op == "sub" and x.operands[0].is_const(1) and negated(x.operands[1]) is z


def _factors(x: Value, depth: int) -> Iterator[Value]:
    """Yield a product, its factors, and theirs, but for numbers: of a power above 1, its base, or the size of that."""
    if x.op == "const":
        return
    yield x
    if depth and x.op == "mul":
        for operand in x.operands:
            yield from _factors(operand, depth - 1)
    elif depth and x.op in ("div", "neg"):
        yield from _factors(x.operands[0], depth - 1)
    elif x.op == "pow" and (exponent := exact(x.operands[1]) or 0) > 1:
        yield x.operands[0]
        if exponent % 2 == 0:
            yield x.builder.apply("abs", x.operands[0])


def _without(x: Value, factor: Value, depth: int = DEEPEST) -> Value | None:
    """Return x/factor if that can be seen, or None."""
    if x is factor:
        return x.builder.const(1)
    if x.op == "pow" and x.operands[0] is factor and (number := exact(x.operands[1]) or 0) > 1:
        return factor if number == 2 else factor ** (number - 1)
    if x.op == "pow" and factor.op == "abs" and factor.operands[0] is x.operands[0]:
        return factor if (number := exact(x.operands[1]) or 0) == 2 else factor ** (number - 1)
    if not depth or x.op not in ("mul", "div", "neg"):
        return None
    for operand, other in (x.operands, x.operands[::-1]) if x.op == "mul" else ((x.operands[0], x.operands[-1]),):
        if (left := _without(operand, factor, depth - 1)) is not None:
            if x.op == "mul":
                return other if left.is_const(1) else left * other
            return left / other if x.op == "div" else -left
    return None
