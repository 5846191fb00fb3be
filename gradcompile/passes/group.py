"""Sums by group: ``Σ_n (v[n] if g[n] == c else 0)`` for each c, where labels g say to which group a sample belongs.

As it is written, every group asks all samples. But every sample knows its group: the sum is an accumulation of v at
the labels. The other way round, ``Σ_c (a[c] if g[n] == c else 0)`` is one element of a: a read at the label. Both are
exact: what does not belong to a group adds 0 to it, whatever it is.

A label that is no index of the axis belongs to no group. It is kept on the axis, and its term is left out, as the
comparison with the index at which it is kept says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gradcompile.ir import REDUCTIONS, Axis, Graph, Size, Value, reachable
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import substitute

OPPOSITE = {"ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}
FEW = 8  # groups of a known number that are as fast asked one by one, as vectors


def group(graph: Graph) -> Graph:
    """Return the graph with sums by group as accumulations at labels, and sums of one term as reads."""
    if not any(value.op in ("eq", "ne") for value in graph.order()):
        return graph
    order = graph.order()
    inside, whole = set(_indices(order)), _whole(order)
    uses = Counter(o for value in order for o in value.operands)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "sum":
            return None
        terms = _Terms(*masked(operands[0]), value.attr, {})
        grouped = _grouped(terms, inside, lambda axis: _is_full(value, axis, uses))
        if grouped is None or (grouped.places and value in whole):
            return None
        return grouped.total(tuple(a for a in operands[0].axes if a not in value.attr))

    return graph.rewrite(rule)


def one_by_one(graph: Graph) -> Graph:
    """Return the graph with sums over samples at few labels as sums over all samples, a vector for each label.

    What is added at the place of a label has to wait for what was added there before.
    """
    if not any(value.op == "accumulate" for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "accumulate" or len(value.axes) != 1:
            return None
        (body, index), (axis,) = operands, value.axes
        length = graph.length(axis.size)
        if length is None or length > FEW or body.axes != (graph.sample,) or index.axes != body.axes:
            return None
        here = value.builder.apply("eq", index, value.builder.iota(axis))
        return value.builder.reduce("sum", value.builder.apply("select", here, body, value.builder.const(0)), body.axes)

    return graph.rewrite(rule)


class _Terms(NamedTuple):
    """The terms of a sum.

    Parameters
    ----------
    conditions : tuple of Value
        Where a term counts: all of them hold.
    body : Value
        A term that counts.
    axes : tuple of Axis
        The axes of the sum.
    places : dict of Axis to Value
        Where the terms are added along an axis of the result; along others, at their own index.
    """

    conditions: tuple[Value, ...]
    body: Value
    axes: tuple[Axis, ...]
    places: dict[Axis, Value]

    def at(self, axis: Axis, place: Value, decided: Value | None) -> _Terms:
        """Return the terms at one place of an axis; they are added there unless the sum is over that axis."""
        parts = (*self.conditions, self.body, *self.places.values())
        new = substitute(parts, {axis: place}, whole=summed_up(reachable(parts)))
        places = {a: new[i] for a, i in self.places.items()}
        return _Terms(
            tuple(new[c] for c in self.conditions if c is not decided),
            new[self.body],
            tuple(a for a in self.axes if a != axis),
            places if axis in self.axes else places | {axis: place},
        )

    def total(self, axes: tuple[Axis, ...]) -> Value:
        """Return the sum of the terms, with these axes."""
        builder, value = self.body.builder, self.body
        for condition in reversed(self.conditions):
            value = builder.apply("select", condition, value, 0)
        told = {a for index in self.places.values() for a in index.axes}
        value = builder.reduce("sum", value, [a for a in self.axes if a not in told])
        if not self.places:
            return value
        return builder.accumulate(value, [self.places.get(a) or builder.iota(a) for a in axes], axes)


def masked(body: Value) -> tuple[tuple[Value, ...], Value]:
    """Return the conditions under which a term is not 0, and what it is then."""
    found: list[Value] = []
    while body.op == "select":
        condition, taken, other = body.operands
        if other.is_const(0):
            found += _conjuncts(condition)
            body = taken
        elif taken.is_const(0) and _has_opposite(condition):
            found.append(_opposite(condition))
            body = other
        else:
            break
    return tuple(dict.fromkeys(found)), body


def _has_opposite(condition: Value) -> bool:
    """Return whether another comparison holds where one does not: of whole numbers, and of others if they differ."""
    return condition.op == "ne" or (condition.op in OPPOSITE and all(o.kind == "int" for o in condition.operands))


def _opposite(condition: Value) -> Value:
    return condition.builder.apply(OPPOSITE[condition.op], *condition.operands)


def _conjuncts(condition: Value) -> list[Value]:
    """Return what must hold for a condition to hold."""
    if condition.op == "not" and _has_opposite(condition.operands[0]):
        return [_opposite(condition.operands[0])]
    if condition.op != "and":
        return [condition]
    return [part for operand in condition.operands for part in _conjuncts(operand)]


def _grouped(terms: _Terms, inside: set[tuple[Value, Size]], is_full: Callable[[Axis], bool]) -> _Terms | None:
    """Return the terms each at the place that its labels tell; None if they tell none."""
    found: _Terms | None = None
    while (chosen := next(_choices(terms, inside, is_full), None)) is not None:
        found = terms = terms.at(*chosen)
    return found


def _choices(
    terms: _Terms, inside: set[tuple[Value, Size]], is_full: Callable[[Axis], bool]
) -> Iterator[tuple[Axis, Value, Value | None]]:
    """Yield axes, the places on them that labels tell, and conditions that hold there: first, axes that are summed."""
    choices = [(c, *parts) for c in terms.conditions for parts in _comparisons(c)]
    for condition, axis, label in sorted(choices, key=lambda choice: choice[1] not in terms.axes):
        if axis not in terms.axes and not any(a in terms.axes for a in label.axes):
            continue  # whatever is summed, it is in one group
        if (label, axis.size) in inside or _runs_along(label, axis):
            yield axis, label, condition
        elif not is_full(axis):
            yield axis, _kept_on(label, axis), None


def _comparisons(condition: Value) -> Iterator[tuple[Axis, Value]]:
    """Yield each way of reading a condition as ``label == c`` for the index c of an axis of many."""
    if condition.op != "eq":
        return
    for index, label in (condition.operands, condition.operands[::-1]):
        axis, shift = _shifted(index)
        if axis is not None and axis not in label.axes and not _is_short(axis.size):
            yield axis, label if shift is None else label - shift


def _shifted(index: Value) -> tuple[Axis | None, Value | None]:
    """Return the axis of an index, such as ``c`` or ``c + 1``, and what is added to it."""
    if index.op == "add":
        for own, shift in (index.operands, index.operands[::-1]):
            if own.op == "iota" and shift.op in ("const", "size"):
                return own.attr, shift
    return (index.attr if index.op == "iota" else None), None


def _is_short(size: Size) -> bool:
    return not size.terms and size.constant <= FEW


def _runs_along(label: Value, axis: Axis) -> bool:
    """Return whether a label is the index of an axis of the same length."""
    return label.op == "iota" and label.attr.size == axis.size


def _kept_on(label: Value, axis: Axis) -> Value:
    """Return the index that a label is, if it is one of the axis; else some other index."""
    return label.builder.apply("place", label, label.builder.size(axis.size))


def _is_full(value: Value, axis: Axis, uses: Mapping[Value, int]) -> bool:
    """Return whether what a sum is made of has sums for all of an axis, and of others, that more is made of.

    Beside those, it costs little to ask every group; and less than to leave out what is in none.
    """
    sums = (v for v in reachable(value.operands) if v.op in REDUCTIONS and axis in v.axes)
    return any(uses[v] > 1 and len(v.axes) > 1 for v in sums)


def summed_up(values: Sequence[Value]) -> set[Value]:
    """Return the arithmetic of sums by group alone: it is done once a group, and not once a sample."""
    found: set[Value] = set()
    for value in values:
        sums = (o for o in value.operands if o.op == "accumulate" or o in found)
        if value.op in PRIMITIVES and any(set(value.axes) <= set(o.axes) for o in sums):
            found.add(value)
    return found


def _indices(values: Iterable[Value]) -> Iterator[tuple[Value, Size]]:
    """Yield each index as it is with the length of its axis: what is made of labels is known to stay on that."""
    for value in values:
        if value.op in ("read", "accumulate"):
            axes = value.operands[0].axes if value.op == "read" else value.attr
            yield from zip(value.operands[1:], (axis.size for axis in axes), strict=True)


def _whole(values: Sequence[Value]) -> set[Value]:
    """Return what indices are made of: whole numbers, which an accumulation does not count in."""
    return set(reachable(i for v in values if v.op in ("read", "accumulate") for i in v.operands[1:]))
