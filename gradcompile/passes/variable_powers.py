"""Sums of powers whose exponents are no numbers, such as ``u**(-k) + v**(-k) - 1``, of which a logarithm is taken.

A power of a positive number is an exponential, ``x**y = exp(y*log(x))``, which has a form that does not overflow. A
negative number has powers that are whole, so that what is written remains where a base is not seen to be positive; and
so it does for distances and the like, which are often 0 and whose powers are seldom large.

So are products with such powers and gamma functions, of which one overflows and another does not, or both do: a mixture
of counts has ``Sum(p[j]*exp(-m[j])*m[j]**k/gamma(k + 1), j)``.
"""

from __future__ import annotations

from collections.abc import Callable

from gradcompile.ir import Axis, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.logarithms import not_negative, positive
from gradcompile.passes.quotients import is_variable, without_choice
from gradcompile.passes.ratios import Fraction, fraction

MANY = 8  # terms of a sum


def may_be_0(base: Value) -> bool:
    """Return whether a value is a distance, or anything else that is not negative and has its least value at 0."""
    return not_negative(base) and not positive(base)


Positive = dict[Value, tuple[Axis, ...]]  # what must be above 0, all along some axes
Log = Callable[[Value], Value]


def as_exponentials(x: Value, log: Log) -> tuple[Value | None, Value] | None:
    """Return when a sum is one of exponentials (None: always), and that sum; None if it has no such powers.

    Parameters
    ----------
    x : Value
        A sum of terms, or over axes.
    log : callable
        The logarithm of a base, made stable.
    """
    parts = [(1, x)] if x.op == "sum" else terms(x)
    if len(parts) > MANY:
        return None
    needed: Positive = {}
    made = [(sign, _exponential(value, log, needed)) for sign, value in parts]
    if all(new is old for (_, new), (_, old) in zip(made, parts, strict=True)) or any(map(may_be_0, needed)):
        return None
    return _all_positive(needed), _sum(made)


def _all_positive(needed: Positive) -> Value | None:
    """Return the condition that values are above 0; None if they are seen to be."""
    condition: Value | None = None
    for value, axes in needed.items():
        if positive(value):
            continue
        least = value.builder.reduce("min", value, axes) if axes else value
        above = value.builder.apply("gt", least, 0)
        condition = above if condition is None else above.builder.apply("and", condition, above)
    return condition


def terms(x: Value) -> list[tuple[int, Value]]:
    """Return the terms of a sum with their signs; of ``x**y - 1``, the choice that has been made of it, too."""
    found, stack = list[tuple[int, Value]](), [(1, x)]
    while stack and len(found) <= MANY:
        sign, value = stack.pop()
        if value.op in ("add", "sub", "neg"):
            stack.append((sign if value.op == "add" else -sign, value.operands[-1]))
            stack += [(sign, value.operands[0])] if value.op != "neg" else []
        elif value.op == "select" and value.operands[2].op == "sub" and is_variable(value.operands[2].operands[0]):
            stack.append((sign, value.operands[2]))
        else:
            found.append((sign, value))
    return found


def _exponential(x: Value, log: Log, needed: Positive, axes: tuple[Axis, ...] = ()) -> Value:
    """Return a term, or a sum over axes, as one of exponentials; itself if it has no such powers."""
    if x.op == "sum":
        inside = _exponential(x.operands[0], log, needed, x.attr)
        return x if inside is x.operands[0] else x.builder.reduce("sum", inside, x.attr)
    whole = _parts(x)
    kinds = [_kind(factor) for factor in (*whole.above, *whole.below)]
    large = len(kinds) - kinds.count("other")
    if large == kinds.count("exp") or (large == 1 and (axes or not is_variable(x))):
        return x
    above, below = ([_as_exp(factor, log, needed, axes) for factor in part] for part in (whole.above, whole.below))
    return whole._replace(above=tuple(above), below=tuple(below)).value(x)


def _parts(x: Value) -> Fraction:
    """Return a product over another one, quotients of gamma functions as they were written."""
    whole = fraction(x)
    sign, above, below = whole.sign, list[Value](), list[Value]()
    for mine, other, part in ((above, below, whole.above), (below, above, whole.below)):
        for factor in part:
            quotient = without_choice(factor)
            inner = Fraction(1, (factor,), ()) if quotient is factor else _parts(quotient)
            sign *= inner.sign
            mine += inner.above
            other += inner.below
    return Fraction(sign, tuple(above), tuple(below))


def _kind(x: Value) -> str:
    return "power" if is_variable(x) else x.op if x.op in ("gamma", "exp") else "other"


def _as_exp(x: Value, log: Log, needed: Positive, axes: tuple[Axis, ...]) -> Value:
    """Return a power, or a gamma function, as an exponential; anything else as it is."""
    if _kind(x) not in ("power", "gamma"):
        return x
    apply, u = x.builder.apply, x.operands[0]
    needed[u] = tuple(axis for axis in axes if axis in u.axes)
    return apply("exp", apply("lgamma", u) if x.op == "gamma" else x.operands[1] * log(u))


def _sum(terms: list[tuple[int, Value]]) -> Value:
    """Return a sum; what is added comes first."""
    (sign, total), *others = sorted(terms, key=lambda term: -term[0])
    total = total if sign > 0 else negated(total)
    for sign, value in others:
        total = total + value if sign > 0 else total - value
    return total
