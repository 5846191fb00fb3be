"""Products with an inverse as solutions of linear equations: ``K.I*y`` is the x with ``K*x = y``.

The inverse of a matrix whose rows are nearly alike has large elements of both signs. In its product with a vector most
of their digits cancel, and so does what they are rounded by; elimination does not make them. What needs all elements of
an inverse, as the slope of a determinant, has it beside the solutions. It comes after differentiation, as slopes of
such products are again products with an inverse, or with its transpose; of a symmetric matrix that is one.
"""

from __future__ import annotations

from functools import reduce
from operator import mul, truediv
from typing import NamedTuple

from gradcompile.ir import Axis, Graph, Value, fresh_axis
from gradcompile.passes.factor import factors_of
from gradcompile.passes.mirrored import is_symmetric
from gradcompile.passes.share import is_renaming
from gradcompile.passes.uses import Uses, rewrite_sums
from gradcompile.substitution import moved

Symmetric = dict[Value, bool]


class Inverse(NamedTuple):
    """An inverse that is the factor of a product, under the names that its axes have there."""

    value: Value
    names: dict[Axis, Axis]


def solutions(graph: Graph) -> Graph:
    """Return the graph with products of inverses and of vectors, or of matrices, as solutions."""
    if not any(value.op == "inverse" for value in graph.order()):
        return graph
    known: Symmetric = {}

    def rule(total: Value, uses: Uses) -> Value:
        return _solved(total, known) or total

    return rewrite_sums(graph, rule)


def _solved(total: Value, known: Symmetric) -> Value | None:
    """Return a sum over rows or columns of an inverse as what is left to do with a solution; None if it is none."""
    (body,) = total.operands
    negative = body.op == "neg"
    factors, divisors = factors_of(body.operands[0] if negative else body)
    for factor in factors:
        if (inverse := _inverse(factor)) is None:
            continue
        others = list(factors)
        others.remove(factor)
        others += [1 / each for each in divisors]
        for axis in total.attr:
            if (found := _contracted(inverse, others, axis, total, known)) is not None:
                return -found if negative else found
    return None


def _inverse(value: Value) -> Inverse | None:
    """Return an inverse, or a read of one under other names of its axes."""
    if value.op == "inverse":
        return Inverse(value, {axis: axis for axis in value.axes})
    if not is_renaming(value) or value.operands[0].op != "inverse":
        return None
    array, *indices = value.operands
    return Inverse(array, {axis: index.attr for axis, index in zip(array.axes, indices, strict=True)})


def _contracted(inverse: Inverse, others: list[Value], axis: Axis, total: Value, known: Symmetric) -> Value | None:
    """Return the sum with a solution in place of that over an axis of the inverse; None if it is no such product."""
    row, column = (inverse.names[each] for each in inverse.value.attr)
    if axis not in (row, column):
        return None
    kept = row if axis == column else column
    right = [each for each in others if axis in each.axes]
    rest = [each for each in others if axis not in each.axes]
    if not right or any(kept in each.axes for each in right):
        return None
    product = reduce(mul, right)
    elsewhere = {*inverse.names.values()}.union(*(each.axes for each in rest))
    alone = [each for each in total.attr if each in product.axes and each not in elsewhere]
    product = product.builder.reduce("sum", product, alone)
    if len([each for each in product.axes if each not in inverse.names.values()]) > 1:
        return None
    solution = _solution(inverse, product, axis, kept, known)
    left = [each for each in total.attr if each != axis and each not in alone]
    return total.builder.reduce("sum", reduce(mul, [*rest, solution]), left)


def _solution(inverse: Inverse, right: Value, axis: Axis, kept: Axis, known: Symmetric) -> Value:
    """Return the product of an inverse and of what has an axis of it, as the solution of equations."""
    value, builder = inverse.value, right.builder
    matrix, (row, column) = value.operands[0], value.attr
    numbers, right = _without_numbers(right)
    if value not in known:
        known[value] = is_symmetric(matrix, row, column)
    if axis == inverse.names[row] and not known[value]:
        row, column = column, row  # of the transpose
    own = {name: each for each, name in inverse.names.items() if each not in (row, column)} | {axis: row}
    taken = {*matrix.axes, *right.axes}
    for each in right.axes:
        if each not in own and each in matrix.axes:
            own[each] = fresh_axis(each, taken)
            taken.add(own[each])
    given = moved(right, {old: builder.iota(new) for old, new in own.items()})
    axes = (*(each for each in matrix.axes if each != row), *(each for each in given.axes if each not in matrix.axes))
    solution = builder.matrix("solve", (matrix, given), axes, (row, column))
    back = {new: old for old, new in own.items() if old != axis} | {column: kept}
    found = builder.read(solution, [builder.iota(back.get(each, each)) for each in solution.axes])
    return reduce(mul, [*numbers, found])


def _without_numbers(right: Value) -> tuple[list[Value], Value]:
    """Return the factors of a right side that are numbers, and the rest: what differs in them has one solution."""
    right = _written_out(right)
    negative = right.op == "neg"
    factors, divisors = factors_of(right.operands[0] if negative else right)
    arrays = [each for each in factors if each.axes]
    numbers = [right.builder.const(-1)] if negative else []
    numbers += [each for each in factors if not each.axes] + [1 / each for each in divisors if not each.axes]
    if not arrays or not numbers:
        return [], right
    return numbers, reduce(truediv, [each for each in divisors if each.axes], reduce(mul, arrays))


def _written_out(right: Value) -> Value:
    """Return a product as it is made, in place of a read of it under other names of its axes."""
    if not is_renaming(right) or right.operands[0].op not in ("mul", "div", "neg"):
        return right
    array, *indices = right.operands
    return moved(array, dict(zip(array.axes, indices, strict=True)))
