"""Sums over lags run forwards: ``Σ_k a[k]*y[t - k]`` is ``Σ_k a[K - 1 - k]*y[t - K + 1 + k]``.

An array that is read backwards takes each number several times, as one does that is read forwards. But only of the
latter do the passes that follow, and loops, know it: what is computed of the array is then computed once for each of
its numbers, and not once for each lag, and numbers that lie next to one another are read in their order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gradcompile.affine import affine, written
from gradcompile.ir import REDUCTIONS, Axis, Graph, Value
from gradcompile.substitution import substitute


def forwards(graph: Graph) -> Graph:
    """Return the graph with sums that take the numbers of an array backwards in the order in which these lie."""
    backwards = {value: found for value in graph.order() if (found := _backwards(value, graph.sample))}
    if not backwards:
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value not in backwards:
            return None
        [body], builder = operands, value.builder
        turned = {axis: builder.size(axis.size - 1) - builder.iota(axis) for axis in backwards[value]}
        return builder.reduce(value.op, _shortened(substitute([body], turned)[body], backwards[value]), value.attr)

    return graph.rewrite(rule)


def _backwards(value: Value, sample: Axis | None) -> list[Axis]:
    """Return the axes of a reduction along which all that it reads at shifted places is read backwards."""
    axes = value.attr if value.op in REDUCTIONS else ()
    return [axis for axis in axes if axis != sample and _runs_backwards(value.operands[0], axis)]


def _runs_backwards(body: Value, axis: Axis) -> bool:
    """Return whether all that is read at an index and others at once is read the later, the smaller that index is."""
    factors = list(_factors(body, axis))
    return bool(factors) and all(factor == -1 for factor in factors)


def _factors(body: Value, axis: Axis) -> Iterator[int]:
    """Yield the factor of an axis in each index with others that run forwards; 0 where that is not known."""
    for value in _along(body, [axis]):
        for index in value.operands[1:] if value.op == "read" else ():
            if axis in index.axes and len(index.axes) > 1:
                found = affine(index)
                others = [factor for other, factor in found[0].items() if other != axis] if found else []
                yield found[0].get(axis, 0) if found and others and min(others) > 0 else 0


def _along(body: Value, axes: Collection[Axis]) -> list[Value]:
    """Return a value and what it is made of, as far as there is one of it for each element of one of some axes."""
    stack, seen = [body], set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen and any(axis in value.axes for axis in axes):
            seen.add(value)
            stack.extend(value.operands)
    return sorted(seen, key=lambda value: value.number)


def _shortened(body: Value, axes: Collection[Axis]) -> Value:
    """Return a value with indices that have some axes as short as they can be written."""
    new: dict[Value, Value] = {}
    for value in _along(body, axes):
        operands = tuple(new.get(operand, operand) for operand in value.operands)
        if value.op == "read":
            operands = (operands[0], *(written(index) for index in operands[1:]))
        new[value] = value.builder.rebuild(value, operands)
    return new[body]
