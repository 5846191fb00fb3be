"""What something is divided by and multiplied with again: ``m*(h/m*k)`` is ``h*k``.

The slope of ``u**c/c`` divides by c and multiplies with it. Where c is 0 or infinite, the product would have been no
number. The slope of what is divided by an exponential m has m as a divisor, and that of m itself is m: there, sums are
looked into as well, since an exponential is never 0 and never infinite but by rounding. Numbers come of squares and of
what is halved: ``2*(e/2 - 1/2)`` is ``e - 1``, and ``2*((0 if d == 0 else 1/(2*d))*x)`` is
``(0 if d == 0 else 1/d)*x``.
"""

from __future__ import annotations

from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact, factored, scaled
from gradcompile.passes.uses import Uses, rewrite_used

DEEPEST = 6  # products inside one another that are looked through
LINEAR = ("neg", "mul", "div", "add", "sub", "select", "sum")


def cancel(graph: Graph) -> Graph:
    """Return the graph without divisions that a product takes back.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    return rewrite_used(graph, _rule) if any(value.op == "div" for value in graph.order()) else graph


def _rule(value: Value, uses: Uses) -> Value:
    for factor, rest in (value.operands, value.operands[::-1]) if value.op == "mul" else ():
        times = _times if factor.op == "exp" or _is_whole(factor) else _factor_times
        if (product := times(factor, rest, uses)) is not None:
            return product
    return value


def _is_whole(factor: Value) -> bool:
    number = exact(factor)
    return isinstance(number, int) and abs(number) > 1


def _times(m: Value, x: Value, uses: Uses) -> Value | None:
    """Return m*x with no more operations than x has; None if x is divided by m nowhere."""
    if x.op == "div" and x.operands[1] is m:
        return x.operands[0]
    if _is_whole(m) and (product := _whole_times(Fraction(m.attr), x)) is not None:
        return product
    if x not in uses.own or x.op not in LINEAR:
        return None
    if x.op == "sum":
        inside = None if {*m.axes} & {*x.attr} else _times(m, x.operands[0], uses)
        return None if inside is None else x.builder.reduce("sum", inside, x.attr)
    apply = x.builder.apply
    if x.op in ("neg", "div", "mul"):
        for place, operand in enumerate(x.operands[:1] if x.op == "div" else x.operands):
            if (part := _times(m, operand, uses)) is not None:
                return apply(x.op, *(part if k == place else o for k, o in enumerate(x.operands)))
        return None
    condition, terms = (x.operands[:1], x.operands[1:]) if x.op == "select" else ((), x.operands)
    products = [_times(m, term, uses) for term in terms]
    if all(product is None or term.op == "const" for product, term in zip(products, terms, strict=True)):
        return None
    made = [_plain(m, t) if p is None else p for t, p in zip(terms, products, strict=True)]
    negative = x.op == "add" and exact(made[0])
    if negative and negative < 0:
        return made[1] - -negative
    return apply(x.op, *condition, *made)


def _factor_times(m: Value, x: Value, uses: Uses, depth: int = DEEPEST) -> Value | None:
    """Return m*x without a division by m among the factors of x; None if there is none."""
    if x.op == "div" and x.operands[1] is m:
        return x.operands[0]
    if x.op not in ("neg", "mul", "div") or x not in uses.own or not depth:
        return None
    for place, operand in enumerate(x.operands[:1] if x.op == "div" else x.operands):
        if (part := _factor_times(m, operand, uses, depth - 1)) is not None:
            return x.builder.apply(x.op, *(part if k == place else o for k, o in enumerate(x.operands)))
    return None


def _plain(m: Value, x: Value) -> Value:
    """Return m*x as it is written."""
    number = exact(m)
    return m * x if number is None else scaled(x, number, x)


def _whole_times(number: Fraction, x: Value) -> Value | None:
    """Return a whole number times a fraction, or what is divided by a number that divides it."""
    if (fraction := exact(x)) is not None:
        cancels = Fraction(fraction).denominator > 1 and (number * fraction).denominator == 1
        return x.builder.const(number * fraction) if cancels else None
    if x.op != "div":
        return None
    divisor, below = factored(x.operands[1])
    if divisor in (0, 1) or (number / divisor).denominator != 1:
        return None
    above = scaled(x.operands[0], number / divisor, x)
    return above if below is None else above / below
