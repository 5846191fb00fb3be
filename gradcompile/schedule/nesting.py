"""Which loop is inside of which around a statement, and in what order the arrays that they fill have their axes.

Both are one question: the innermost loop should go along what most arrays of the statement have contiguous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from gradcompile.ir import Axis, Value
from gradcompile.schedule.nodes import Define, Loop, Product, Result, Statement, Update, right_side
from gradcompile.schedule.rows import Rows


class Nesting:
    """The orders of loops and of the axes of arrays.

    Parameters
    ----------
    rows : Rows
        Which statements run along rows.
    fixed : mapping of Value to tuple of Axis
        The arrays whose order is not free: what is returned, and the matrices of products and of matrix functions.
    made : collection of Value
        The values that get statements.
    sample : Axis or None
        The axis of the samples.
    blocks : Axis or None
        That of the blocks of samples, if there are any.

    Attributes
    ----------
    orders : dict of Value to tuple of Axis
        The axes of arrays in storage order, as far as it is known.
    """

    def __init__(
        self,
        rows: Rows,
        fixed: Mapping[Value, tuple[Axis, ...]],
        made: Collection[Value],
        sample: Axis | None,
        blocks: Axis | None,
    ) -> None:
        self.rows, self.made, self.sample, self.blocks = rows, made, sample, blocks
        self.orders = dict(fixed)
        self._picked = self._picked_axes()

    def _picked_axes(self) -> dict[Value, set[Axis]]:
        """Return, for arrays without samples of their own, the axes at which data say the places of whole rows."""
        found: dict[Value, set[Axis]] = {}
        for statement in self.rows.statements.passing():
            stack = right_side(statement)
            places = [(v, read.operands[1:]) for v, read in self.rows.statements.reads(stack) if read is not None]
            if isinstance(statement, Update) and statement.term.op == "accumulate":
                places.append((statement.target, statement.term.operands[1:]))
            for value, indices in places:
                if self.sample not in value.axes and any(i.op == "iota" for i in indices):
                    axes = zip(value.axes, indices, strict=True)
                    found.setdefault(value, set()).update(axis for axis, i in axes if self._is_said_by_data(i))
        return found

    def _is_said_by_data(self, index: Value) -> bool:
        """Return whether an index is looked up, however it is kept inside of an array."""
        stack = [index]
        while stack:
            value = stack.pop()
            if value in self.made or (value.op in ("input", "read") and value.axes):
                return True
            stack.extend(value.operands)
        return False

    def loops(self, statement: Statement, axes: tuple[Axis, ...]) -> list[Axis]:
        """Return the loops from the outermost in: samples first, the axis that most arrays have contiguous last."""
        if isinstance(statement, Product) and self.blocks is not None:
            return [self.blocks, *statement.factors.loops]
        votes, rest = self._votes(statement), [a for a in axes if a != self.sample]
        if not isinstance(statement, Result) and statement.target in self.orders:
            written = [a for a in self._written(statement) if a in rest]
            order = iter(dict.fromkeys(written))
            rest = [next(order) if a in written else a for a in rest]  # where the votes are equal
        inner, samples = sorted(rest, key=lambda a: (votes[a], rest.index(a))), [a for a in axes if a == self.sample]
        if self.blocks is None or not samples:
            return samples + inner
        if not self.runs_along_rows(statement):
            return [self.blocks, *inner, *samples]
        outer = self._outside_samples(statement) & {*inner[:-1]}
        return [self.blocks, *(a for a in inner if a in outer), *samples, *(a for a in inner if a not in outer)]

    def _outside_samples(self, statement: Statement) -> set[Axis]:
        """Return the axes that come before the samples in all data of a statement which have rows: ``x[t, n, j]``."""
        before, after = set[Axis](), set[Axis]()
        for row in self.rows.data_of(statement):
            place = row.axes.index(self.sample) if self.sample in row.axes else 0
            before.update(row.axes[:place])
            after.update(row.axes[place:])
        return before - after

    def runs_along_rows(self, statement: Statement) -> bool:
        """Return whether a statement takes the samples of a block one by one: where rows are, or to copy short ones."""
        return self.rows.are_along(statement) or self.rows.copies_few(statement)

    def _votes(self, statement: Statement) -> Counter[Axis]:
        """Return how many arrays of a statement have each axis contiguous, less those that have it elsewhere."""
        votes: Counter[Axis] = Counter()
        for axes in self._accesses(statement):
            for axis in axes[:-1]:
                votes[axis] -= 1
            if axes:
                votes[axes[-1]] += 1
        return votes

    def _accesses(self, statement: Statement) -> Iterator[tuple[Axis, ...]]:
        """Yield the axes, in storage order, of every array that a statement touches."""
        if isinstance(statement, Result):
            yield statement.axes
            stack = [statement.value]
        else:
            if statement.target in self.orders:
                yield self._written(statement)
            stack = list(statement.expression.operands if isinstance(statement, Define) else statement.term.operands)
        while stack:
            value = stack.pop()
            if value.kind == "int":
                continue  # an index: looked up once, before the innermost loop
            if value.op == "read" and value.operands[0].op == "input":
                array, *indices = value.operands
                places = dict(zip(array.axes, indices, strict=True))
                yield tuple(places[a].axes[-1] for a in self.rows.tables.get(array, array.axes) if places[a].axes)
            elif (value.op == "input" and value.kind == "real") or value in self.made:
                yield self._storage_order(value)
            else:
                stack.extend(value.operands)

    def _written(self, statement: Define | Update | Product) -> tuple[Axis, ...]:
        """Return the axes of the array that a statement fills, in storage order, as the loops that go along them.

        So ``d[i + 1, j] += a[i, j]`` goes along i, of which there is one less than d has rows; places that are data go
        along none.
        """
        order = self.axes(statement.target)
        if isinstance(statement, Update) and statement.term.op == "accumulate":
            term = statement.term
            places = dict(zip(term.axes, term.operands[1:], strict=True))
            combined = {a: i.axes[-1] for a, i in places.items() if i.axes and (is_moved(i) or i.op == "add")}
            order = tuple(combined.get(a, a) for a in order)
        return tuple(a for a in order if a != self.sample)

    def _storage_order(self, value: Value) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes(value) if a != self.sample)

    def axes(self, value: Value) -> tuple[Axis, ...]:
        """Return the axes of an array in storage order."""
        return self.orders.get(value, value.axes)

    def fill(self, statement: Define | Update | Product, path: list[Loop]) -> None:
        """Let an array whose order is free be in that of the loops which fill it first."""
        if statement.target not in self.orders:
            self.orders[statement.target] = self._filling_order(statement, path)

    def _filling_order(self, statement: Define | Update | Product, path: list[Loop]) -> tuple[Axis, ...]:
        """Return the axes of an array in the order of the loops that fill it; the samples of a block are contiguous."""
        value, along_rows = statement.target, self.rows.are_along(statement)
        index: dict[Axis, tuple[Axis, ...]] = {axis: (axis,) for axis in value.axes}
        if isinstance(statement, Update) and statement.term.op == "accumulate":
            index = {a: place.axes for a, place in zip(statement.term.axes, statement.term.operands[1:], strict=True)}
        depth = {loop.axis: number for number, loop in enumerate(path)}
        looped = [axis for axis in value.axes if any(a in depth for a in index[axis])]
        looped.sort(key=lambda axis: max(depth.get(a, 0) for a in index[axis]))
        order = [*looped, *(a for a in value.axes if a not in looped)]
        if self.blocks is not None and (not along_rows or not looped):
            order.sort(key=lambda axis: (axis == self.sample) != along_rows)
        elif self.blocks is not None and self.rows.turns(value):
            order.sort(key=lambda axis: axis == self.sample)
        picked = self._picked.get(value, set())
        if order and order[-1] in picked:
            order.sort(key=lambda axis: axis not in picked)  # rows that data pick are in one place each
        return tuple(order)


def is_moved(place: Value) -> bool:
    """Return whether a place is an index, or one that is moved by numbers."""
    return place.op == "iota" or (place.op in ("add", "sub") and len(place.axes) == 1)
