"""What a function returns: arrays that are computed anyway, and others that are filled from them."""

from __future__ import annotations

from collections.abc import Container, Mapping

from gradcompile.ir import LEAVES, Axis, Graph, Size, Value
from gradcompile.passes.share import is_renaming
from gradcompile.schedule.nodes import Result
from gradcompile.schedule.tables import Tables

Axes = tuple[Axis, ...]


class Results:
    """How the outputs of a graph are returned.

    Parameters
    ----------
    graph : Graph
        The graph.
    square : mapping of Value to tuple of Axis
        The matrices of matrix functions, with their axes in storage order.
    blocked : Axis or None
        The axis of the samples, if they are taken in blocks.
    numbers : container of Size
        How many samples there are.
    tables : Tables
        What samples pick elements of.

    Attributes
    ----------
    values : dict of str to (Value or None)
        The value that each output is; None for one that is filled from a value.
    copies : list of Result
        What fills the others.
    delivered : dict of Value to tuple of Axis
        The values that are arrays of the caller, with their axes in the order that it expects.
    """

    def __init__(
        self,
        graph: Graph,
        square: Mapping[Value, Axes],
        blocked: Axis | None,
        numbers: Container[Size],
        tables: Tables,
    ) -> None:
        self.graph, self.square, self.blocked, self.numbers, self.tables = graph, square, blocked, numbers, tables
        self.values: dict[str, Value | None] = {}
        self.copies: list[Result] = []
        self.delivered: dict[Value, Axes] = {}
        for name in graph.outputs:
            self._decide(name)

    def _decide(self, name: str) -> None:
        value, axes = self.graph.outputs[name], self.graph.output_axes(name)
        array, own = _renamed(value, axes)
        if self.square.get(array, own) != own:
            self._copy(name, value, axes)
        elif array.op in LEAVES and not own:
            self.values[name] = array
        elif self._is_copied(array, own):
            self._copy(name, array, own)
        else:
            self.values[name] = array
            self.delivered[array] = own

    def _copy(self, name: str, value: Value, axes: Axes) -> None:
        self.values[name] = None
        self.copies.append(Result(name, value, axes))

    def _is_copied(self, value: Value, axes: Axes) -> bool:
        """Return whether an output cannot be the array of a value: that is given, has other axes, or is another one."""
        given = value.op in LEAVES or is_renaming(value) or _is_of_argument(value)
        other = set(value.axes) != set(axes) or value in self.delivered
        return given or other or self._sums_pairs(value) or (value.axes == axes and self.tables.adds_to_columns(value))

    def _sums_pairs(self, value: Value) -> bool:
        """Return whether a value is a row for each sample, summed over samples: in a block, which is copied."""
        rows = self.blocked is not None and self.blocked in value.axes and len(value.axes) > 1
        return rows and value.op == "sum" and any(axis.size in self.numbers for axis in value.attr)

    def computed(self) -> list[Value]:
        """Return what is computed for the outputs."""
        copied = {copy.name: copy.value for copy in self.copies}
        wanted = [copied.get(name) or value for name, value in self.values.items()]
        return [value for value in wanted if value is not None]


def _is_of_argument(value: Value) -> bool:
    """Return whether a value is read of an argument, wherever: it is written where it is used, and is no array."""
    return value.op == "read" and value.operands[0].op == "input"


def _renamed(value: Value, axes: Axes) -> tuple[Value, Axes]:
    """Return what an output renames, and under which axes of it the output is delivered; the output, if none."""
    if not is_renaming(value) or value.operands[0].op in LEAVES or not value.axes or set(value.axes) != set(axes):
        return value, axes
    array = value.operands[0]
    own = {i.attr: a for a, i in zip(array.axes, value.operands[1:], strict=True)}
    return array, tuple(own[a] for a in axes)
