"""Quotients with an exponential above the line and one below, as weights ``p*exp(-u)/(q*exp(-v))`` of likelihoods.

Where both underflow that is 0/0, while the quotient is ``p/q*exp(v - u)``: one exponential, and not two. Those that are
used elsewhere, or that a table of both would have more of, stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from gradcompile.ir import Graph, Value
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import replaced
from gradcompile.passes.uses import Uses, rewrite_used

DEEPEST = 4  # products inside one another that are looked through: as many as `replaced` does


def exponents(graph: Graph) -> Graph:
    """Return the graph with quotients of products of exponentials that have one exponential."""
    order = graph.order()
    if sum(value.op == "exp" for value in order) < 2 or not any(value.op == "div" for value in order):
        return graph
    return rewrite_used(graph, lambda new, uses: _with_one(new, uses) or new)


def _with_one(x: Value, uses: Uses) -> Value | None:
    """Return a quotient with one exponential; None if it is none, or has not one above and one below."""
    if x.op != "div":
        return None
    a, b = x.operands
    above, below = ([f for f in _own_factors(x, uses) if f.op == "exp"] for x in (a, b))
    if not above or not below:
        return None
    exponent = reduce(plus, (factor.operands[0] for factor in above))
    exponent = reduce(minus, (factor.operands[0] for factor in below), exponent)
    if not any(set(exponent.axes) <= set(factor.axes) for factor in (*above, *below)):
        return None
    one = a.builder.const(1)
    top, bottom = (reduce(lambda x, f: replaced(x, f, one), fs, x) for x, fs in ((a, above), (b, below)))
    whole = a.builder.apply("exp", exponent)
    whole = whole if top.is_const(1) else top * whole
    return whole if bottom.is_const(1) else whole / bottom


def _own_factors(x: Value, uses: Uses, depth: int = DEEPEST) -> Iterator[Value]:
    """Yield the factors of a product that nothing else is made of, nor of the products in it."""
    if x not in uses.own or x in uses.named:
        return
    if depth and x.op == "mul":
        for operand in x.operands:
            yield from _own_factors(operand, uses, depth - 1)
    else:
        yield x
