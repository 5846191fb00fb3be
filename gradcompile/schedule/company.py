"""Which loops a statement may share with others: some have their innermost loop to themselves, to be vectors."""

from __future__ import annotations

from gradcompile.ir import Axis, Value
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.nesting import is_moved
from gradcompile.schedule.nodes import Course, Define, Loop, Product, Statement, Update
from gradcompile.schedule.rows import SHORT, Rows


class Company:
    """What stands in loops of its own, and what only in those of its like.

    Parameters
    ----------
    order : list of Value
        All values of the graph.
    rows : Rows
        How arrays lie, and what is read of them.
    blocks : Axis or None
        The axis of the blocks of samples, if there are any.
    scattered : bool
        Whether samples add at places that are data.
    """

    def __init__(self, order: list[Value], rows: Rows, blocks: Axis | None, *, scattered: bool) -> None:
        self.rows, self.statements, self.sample = rows, rows.statements, rows.sample
        self.blocks, self.scattered = blocks, scattered
        self.steep = {axis for value in order if cost(value) >= ELEMENTARY for axis in value.axes}

    def keeps_to_itself(self, statement: Statement, value: Value, axis: Axis, order: list[Axis]) -> bool:
        """Return whether a statement shares its loop over one of the axes with none: a stencil, a recurrence."""
        if axis == self._longest(order) and self._is_shifted(statement, value):
            return True
        runs = isinstance(statement, Course) and axis == value.attr.axis
        return runs and axis == order[-1] and axis in self.steep

    def stands_apart(self, statement: Statement, innermost: Axis) -> bool:
        """Return whether a statement has its innermost loop to itself: in a block, others become vectors."""
        if self.blocks is None:
            return False
        if innermost == self.sample:
            return self.rows.scatters(statement) or self._looks_up(statement)
        return innermost in self.steep and self.rows.scatters(statement, innermost)

    def is_dear(self, statement: Statement, innermost: Axis) -> bool:
        """Return whether a statement has elementary functions, and a loop long enough for vectors of these."""
        if self.blocks is None or innermost == self.sample or isinstance(statement, Course | Product):
            return False
        return not self.is_few(innermost) and not self.rows.is_arithmetic(statement)

    def is_around(self, loop: Loop) -> bool:
        """Return whether there are loops in a loop that are not written out, so that it makes no vectors itself."""
        return any(isinstance(node, Loop) and not self.is_few(node.axis) for node in loop.body)

    def is_few(self, axis: Axis) -> bool:
        """Return whether a loop is known to have a few steps."""
        return 0 < (self.rows.length(axis.size) or 0) <= SHORT

    def _longest(self, order: list[Axis]) -> Axis:
        """Return the innermost axis of loops but for those of a few steps, as the coordinates of a point.

        It is not the outermost: what is kept for its loops is a row, which stays in the cache.
        """
        long = [axis for axis in order[1:] if not self.is_few(axis)]
        return (long or order)[-1]

    def _is_shifted(self, statement: Statement, value: Value) -> bool:
        """Return whether a statement adds to elements to which another one, at other places, adds in the same loops.

        In a loop of its own each becomes vectors, as in ``d[i] += a[i]`` and ``d[i + 1] -= a[i]``.
        """
        if not isinstance(statement, Update) or not _is_stencil(statement.term):
            return False
        others = [term for term, _ in self.statements.sums.get(value, (None, []))[1] if term is not statement.term]
        return any(_is_stencil(term) and _overlap(term.operands[1:], statement.term.operands[1:]) for term in others)

    def _looks_up(self, statement: Statement) -> bool:
        """Return whether a statement copies what data pick for the samples of a block, for itself or for a sum."""
        if not isinstance(statement, Define):
            return False
        inside = self.scattered and statement.expression not in self.statements.made
        return (inside or statement.target in self.statements.packed) and self.rows.picks(statement.expression)


def _is_stencil(term: Value) -> bool:
    """Return whether a term is added along its axes, at places that are moved by numbers, or one coordinate of each."""
    return term.op == "accumulate" and all(is_moved(place) or place.op == "const" for place in term.operands[1:])


def _overlap(one: tuple[Value, ...], other: tuple[Value, ...]) -> bool:
    """Return whether elements at some places may be those at other places in another turn of a loop."""
    apart = any(a.op == b.op == "const" and a is not b for a, b in zip(one, other, strict=True))
    return one != other and not apart
