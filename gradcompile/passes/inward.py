"""Sums taken inside of others: ``Σ_s Σ_i L[i, j]*b[i, s]`` is ``Σ_i L[i, j]*Σ_s b[i, s]``, with no product for each s.

So is the slope of what all samples have in common and a linear map takes up: that of ``m`` in ``L*(x[s] - m)`` is one
product with the sum of what comes back, and not the sum of a product for every sample.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from gradcompile.ir import Axis, Graph, Value
from gradcompile.passes.share import is_renaming
from gradcompile.passes.uses import Uses, rewrite_sums

Axes = tuple[Axis, ...]


def inward(graph: Graph) -> Graph:
    """Return the graph with sums over an axis inside of sums of products that have axes beyond what is summed."""
    if sum(value.op == "sum" for value in graph.order()) < 2:
        return graph
    return rewrite_sums(graph, _taken_inside)


def _taken_inside(total: Value, uses: Uses) -> Value:
    inside = _Sum(total.attr, uses.own).of(total.operands[0])
    return inside.total if inside.gains else total


class _Inside(NamedTuple):
    """A sum taken inside of a value.

    Attributes
    ----------
    total : Value
        The sum.
    terms : tuple of tuple of Axis
        Those axes of the value that what is summed in the end has.
    gains : bool
        Whether a sum inside of it has fewer products now.
    """

    total: Value
    terms: tuple[Axes, ...] = ()
    gains: bool = False


class _Sum:
    """The sum over some axes, taken inside of what is linear and has no other use."""

    def __init__(self, gone: Axes, own: Container[Value]) -> None:
        self.gone, self.own = gone, own

    def of(self, value: Value) -> _Inside:
        """Return the sum of a value."""
        parts = self._parts(value)
        if not any(part.op in ("sum", "read") for part in parts):
            return self._outside(value)
        found: dict[Value, _Inside] = {}
        for part in parts:
            found[part] = self._of_part(part, found)
        return found[value]

    def _parts(self, value: Value) -> list[Value]:
        """Return what a value is linear in, operands first: a sum of many terms is too deep for recursion."""
        stack, seen = [value], set[Value]()
        while stack:
            part = stack.pop()
            if part not in seen:
                seen.add(part)
                stack.extend(part.operands[place] for place in self._linear(part))
        return sorted(seen, key=lambda part: part.number)

    def _has(self, value: Value) -> bool:
        return any(axis in value.axes for axis in self.gone)

    def _linear(self, value: Value) -> list[int]:
        """Return the operands that a value is linear in together, if the others have no axis that is summed over."""
        if value not in self.own or not self._has(value):
            return []
        if value.op in ("neg", "add", "sub", "sum"):
            return list(range(len(value.operands)))
        has = [place for place, each in enumerate(value.operands) if self._has(each)]
        if value.op == "select" and value.operands[2].is_const(0):
            return has if has == [1] else []
        return has if (value.op == "mul" and len(has) == 1) or (value.op == "div" and has == [0]) else []

    def _of_part(self, value: Value, found: Mapping[Value, _Inside]) -> _Inside:
        """Return the sum of a value, given those of what it is linear in."""
        if not self._has(value):
            return _Inside(self._here(value))
        places = self._linear(value)
        if value.op == "sum" and places:
            return self._of_sum(value, found[value.operands[0]])
        if places:
            return self._of_operands(value, {place: found[value.operands[place]] for place in places})
        if value in self.own and is_renaming(value):
            return self._of_renamed(value)
        return self._outside(value)

    def _here(self, value: Value) -> Value:
        return value.builder.reduce("sum", value, self.gone)

    def _outside(self, value: Value) -> _Inside:
        return _Inside(self._here(value), (value.axes,))

    def _of_operands(self, value: Value, parts: Mapping[int, _Inside]) -> _Inside:
        operands = [parts[k].total if k in parts else each for k, each in enumerate(value.operands)]
        terms = tuple(dict.fromkeys(axes for part in parts.values() for axes in part.terms))
        return _Inside(value.builder.apply(value.op, *operands), terms, any(part.gains for part in parts.values()))

    def _of_sum(self, value: Value, inside: _Inside) -> _Inside:
        """Return the sum of a sum, in the other order if each of its terms has fewer axes than their product."""
        (body,) = value.operands
        if all({*axes} < {*body.axes} for axes in inside.terms):
            terms = tuple(tuple(axis for axis in axes if axis not in value.attr) for axes in inside.terms)
            return _Inside(value.builder.reduce("sum", inside.total, value.attr), terms, gains=True)
        return self._outside(value)

    def _of_renamed(self, value: Value) -> _Inside:
        """Return the sum of an array with other names for its axes."""
        array, *indices = value.operands
        index = dict(zip(array.axes, indices, strict=True))
        gone = tuple(axis for axis, place in index.items() if place.attr in self.gone)
        total, terms, gains = _Sum(gone, self.own).of(array)
        renamed = tuple(tuple(index[axis].attr for axis in axes) for axes in terms)
        return _Inside(value.builder.read(total, [index[axis] for axis in total.axes]), renamed, gains)
