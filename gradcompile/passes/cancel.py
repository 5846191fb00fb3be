"""What an exponential is divided by and multiplied with again: ``m*(h/m*k)`` is ``h*k``, for ``m = exp(u)``.

The slope of what is divided by m has m as a divisor, and that of m itself is m. An exponential is never 0 and never
infinite but by rounding, where the product would have been no number.
"""

from __future__ import annotations

from gradcompile.ir import Graph, Value
from gradcompile.passes.uses import Uses, rewrite_used

LINEAR = ("neg", "mul", "div", "add", "sub", "select")


def cancel(graph: Graph) -> Graph:
    """Return the graph without divisions by exponentials that a product takes back.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    divisors = {value.operands[1] for value in graph.order() if value.op == "div" and value.operands[1].op == "exp"}
    return rewrite_used(graph, _rule) if divisors else graph


def _rule(value: Value, uses: Uses) -> Value:
    for factor, rest in (value.operands, value.operands[::-1]) if value.op == "mul" else ():
        if factor.op == "exp" and (product := _times(factor, rest, uses)) is not None:
            return product
    return value


def _times(m: Value, x: Value, uses: Uses) -> Value | None:
    """Return m*x with no more operations than x has; None if x is divided by m nowhere."""
    if x.op == "div" and x.operands[1] is m:
        return x.operands[0]
    if x not in uses.own or x.op not in LINEAR:
        return None
    apply = x.builder.apply
    if x.op in ("neg", "div", "mul"):
        for place, operand in enumerate(x.operands[:1] if x.op == "div" else x.operands):
            if (part := _times(m, operand, uses)) is not None:
                return apply(x.op, *(part if k == place else o for k, o in enumerate(x.operands)))
        return None
    condition, terms = (x.operands[:1], x.operands[1:]) if x.op == "select" else ((), x.operands)
    products = [_times(m, term, uses) for term in terms]
    if all(product is None for product in products):
        return None
    return apply(x.op, *condition, *(m * t if p is None else p for t, p in zip(terms, products, strict=True)))
