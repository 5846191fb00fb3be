"""Tables of which samples pick elements along the last axis, ``W[k, x[n]]``: copied so that what they pick is a row.

In a copy ``W_t[x[n], k]``, loops over ``k`` run along rows, and are vectors; so are they where the slopes of what is
picked are added up in an array that lies likewise, and is copied in the end. Both copies take as long as a few samples
do, where a table is small; of a large one, a call may well pick less than there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gradcompile.ir import Axis, Graph, Value

LEAST = 4  # numbers that a sample picks at once: loops over fewer are no vectors
LARGE = 2**14  # numbers of a table

Axes = tuple[Axis, ...]


class Tables:
    """The tables that are copied.

    Parameters
    ----------
    graph : Graph
        The graph.
    sample : Axis or None
        The axis of the samples.

    Attributes
    ----------
    orders : dict of Value to tuple of Axis
        The arguments that are copied, with their axes as the copies have them.
    """

    def __init__(self, graph: Graph, sample: Axis | None) -> None:
        self.graph, self.sample = graph, sample
        self.orders: dict[Value, Axes] = {}
        for array, (order, *others) in self._picked().items():
            if order is not None and all(other == order for other in others):
                self.orders[array] = order

    def _picked(self) -> dict[Value, list[Axes | None]]:
        """Return the arguments that samples pick elements of, with the orders in which they would be rows."""
        found: dict[Value, list[Axes | None]] = {}
        for read in self.graph.order():
            if read.op == "read" and read.operands[0].op == "input" and read.operands[0].kind == "real":
                array, *indices = read.operands
                if self.sample in read.axes and self.sample not in array.axes:
                    found.setdefault(array, []).append(self._order(array.axes, indices))
        return found

    def adds_to_columns(self, value: Value) -> bool:
        """Return whether samples add to a sum at places along its last axis."""
        terms = _terms(value)
        return any(self._order(term.axes, list(term.operands[1:])) for term in terms if term.op == "accumulate")

    def _order(self, axes: Axes, places: list[Value]) -> Axes | None:
        """Return the axes in which what is at these places is a row; None if it is one as it is, or hardly one."""
        lengths = [self.graph.length(axis.size) for axis in axes]
        by = {axis for place in places if place.op != "iota" for axis in place.axes}
        free = [axis for axis, place in zip(axes, places, strict=True) if place.op == "iota" and place.attr not in by]
        if not places or places[-1].op not in ("input", "read") or self.sample not in places[-1].axes:
            return None
        if any(length is None for length in lengths) or prod(filter(None, lengths)) > LARGE:
            return None
        row = prod(self.graph.length(axis.size) or 1 for axis in free)
        return (*(axis for axis in axes if axis not in free), *free) if row >= LEAST else None


def _terms(value: Value) -> Iterator[Value]:
    """Yield what a value is a sum of."""
    stack = [value]
    while stack:
        term = stack.pop()
        if term.op in ("add", "sub", "neg"):
            stack.extend(term.operands)
        else:
            yield term
