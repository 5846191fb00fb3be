"""Products with the same matrix taken together: ``Σ_j x[n, j]*W[j, k] - Σ_j y[n, j]*W[j, k]`` has one sum, of x - y.

That is half of the multiplications, in the gradient as well, and rounds no worse: what x and y have in common is gone
before it is multiplied. Both sums must have no other use, and their other factors the same axes, so that nothing is
subtracted for more elements than there are.
"""

from __future__ import annotations

from gradcompile.ir import Graph, Value
from gradcompile.passes.uses import Uses, rewrite_used


def together(graph: Graph) -> Graph:
    """Return the graph with sums and differences of products that have a factor in common as one product."""
    if sum(value.op == "sum" for value in graph.order()) < 2:
        return graph
    return rewrite_used(graph, _rule)


def _rule(value: Value, uses: Uses) -> Value:
    alone = value.op in ("add", "sub") and all(o.op == "sum" and o in uses.own for o in value.operands)
    return (_together(value) if alone else None) or value


def _together(value: Value) -> Value | None:
    """Return two sums of products as one, if the products have a factor in common."""
    one, other = value.operands
    left, right = (total.operands[0] for total in value.operands)
    if one is other or {*one.attr} != {*other.attr} or left.op != "mul" or right.op != "mul":
        return None
    for place, factor in enumerate(left.operands):
        if factor in right.operands:
            rests = left.operands[1 - place], right.operands[1 - right.operands.index(factor)]
            if {*rests[0].axes} == {*rests[1].axes} >= {*one.attr} & {*factor.axes}:
                return value.builder.reduce("sum", value.builder.apply(value.op, *rests) * factor, one.attr)
    return None
