"""Factors taken out of branches: a masked contraction becomes a product of matrices.

``Σ_s (x[s, j]*dy[s, k] if a[s, k] > 0 else 0)`` is ``Σ_s x[s, j]*(dy[s, k] if a[s, k] > 0 else 0)``: a product, which
BLAS computes. The two differ where x is infinite or nan and the branch is not taken. So a factor is taken out as it is
only if the objective uses it outside of branches, too: then such an x is in the value already, and hides nothing. Else
it is masked as well, where that needs no further axes: the samples that are left out, their x included, are 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from operator import mul, truediv

from gradcompile.ir import Graph, Value


def factor(graph: Graph) -> Graph:
    """Return the graph with sums of masked products as sums of products with a masked factor."""
    if "value" not in graph.outputs or not any(v.op == "select" for v in graph.order()):
        return graph
    bare = used_bare([graph.outputs["value"]])

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "sum":
            return None
        body = operands[0]
        taken = _taken_out(body.operands[0] if body.op == "neg" else body, bare)
        if taken is None:
            return None
        return value.builder.reduce("sum", -taken if body.op == "neg" else taken, value.attr)

    return graph.rewrite(rule)


def _taken_out(body: Value, bare: set[Value]) -> Value | None:
    """Return a masked product as the product of a factor and the other, masked."""
    if body.op != "select" or not body.operands[2].is_const(0):
        return None
    where = partial(body.builder.apply, "select")
    condition, product, zero = body.operands
    factors, divisors = _factors(product)
    for place, left in enumerate(factors[1:] and factors):
        rest = reduce(truediv, divisors, reduce(mul, [f for k, f in enumerate(factors) if k != place]))
        masked = {*condition.axes, *rest.axes}
        if set(left.axes) - masked and masked - set(left.axes):
            if left in bare:
                return left * where(condition, rest, zero)
            if set(condition.axes) <= set(left.axes):
                return where(condition, left, zero) * where(condition, rest, zero)
    return None


def _factors(product: Value) -> tuple[list[Value], list[Value]]:
    """Return what a product multiplies, each once for each time that it occurs, and what it is divided by."""
    stack, found, divisors = [product], list[Value](), list[Value]()
    while stack:
        value = stack.pop()
        if value.op == "mul":
            stack.extend(reversed(value.operands))
        elif value.op == "div":
            stack.append(value.operands[0])
            divisors.append(value.operands[1])
        else:
            found.append(value)
    return found, divisors


def used_bare(roots: Iterable[Value]) -> set[Value]:
    """Return what values are made of outside of branches."""
    stack, seen = [*roots], set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            stack.extend(value.operands[:1] if value.op == "select" else value.operands)
    return seen
