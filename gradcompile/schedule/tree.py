"""The tree of loops: statements are put into it one by one, each into the earliest loops that it can share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gradcompile.ir import Axis, Value
from gradcompile.schedule.company import Company
from gradcompile.schedule.conditions import index_bounds
from gradcompile.schedule.nesting import Nesting
from gradcompile.schedule.nodes import (
    Bounds,
    Course,
    Define,
    Guard,
    Loop,
    Node,
    Product,
    Result,
    Start,
    Statement,
    Update,
    aligned,
    conditions_of,
    exponent_axis,
    loop_axes,
)

Used = tuple[Value, Value | None]  # a value that a statement uses, and the read through which it does


class Wanted(NamedTuple):
    """A loop in which a statement is to stand."""

    axis: Axis
    bounds: Bounds
    rows: bool  # over samples one by one
    backward: bool
    own: bool  # whether nothing else may join it
    like: bool | None  # but its like: what adds at places that are data, or (False) what looks such places up
    dear: bool | None  # whether it has elementary functions, and joins no loop around long ones; None: it is one

    def fits(self, loop: Loop) -> bool:
        """Return whether a loop runs as this one is to."""
        return (loop.axis, loop.bounds, loop.rows, loop.backward) == (self.axis, self.bounds, self.rows, self.backward)


class Tree:
    """Loops with statements, and where each value is started, updated and used.

    Parameters
    ----------
    nesting : Nesting
        Which loop is inside of which.
    company : Company
        Which loops a statement may share.
    conditions : mapping of (Value, Value) to Value
        Of a sum and a term of it: the comparison that bounds the loops of the term.
    guards : mapping of Value to Guard
        Values that are computed only where conditions hold.

    Attributes
    ----------
    body : list of Node
        The outermost loops and statements.
    """

    def __init__(
        self,
        nesting: Nesting,
        company: Company,
        conditions: Mapping[tuple[Value, Value], Value],
        guards: Mapping[Value, Guard],
    ) -> None:
        self.nesting, self.company, self.conditions, self.guards = nesting, company, conditions, guards
        self.statements, self.sample, self.blocks = company.statements, nesting.sample, nesting.blocks
        self.body: list[Node] = []
        self.barrier = 0  # the first place at which this region may have its loop over the samples
        self.closed: set[Loop] = set()  # loops that nothing else may join
        self.alike: dict[Loop, bool] = {}  # but their like: all add at places that are data, or all look such places up
        self.dear: set[Loop] = set()  # those of elementary functions, which stay innermost
        self.begun: dict[Value, list[list[Loop]]] = {}  # the loops around the first statement of a value
        self.paths: dict[Value, list[list[list[Loop]]]] = {}  # where it is used, too, each time it is placed
        self.spot: dict[Value, list[tuple[list[Loop], int, Value | None]]] = {}  # its statements: path, index, term

    @property
    def outermost(self) -> Axis | None:
        """The axis of the loops that pass the samples."""
        return self.blocks or self.sample

    @property
    def passes(self) -> int:
        """How many loops pass the samples."""
        return sum(isinstance(node, Loop) and node.axis == self.outermost for node in self.body)

    # Placing statements

    def next_region(self) -> None:
        """Let no statement from now on share the loops over the samples that there are."""
        self.barrier = len(self.body)

    def is_placed(self, value: Value) -> bool:
        """Return whether a value has been placed."""
        return value in self.spot

    def place(self, value: Value) -> None:
        """Place a value as a whole."""
        self.start(value)
        self.finish(value)

    def start(self, value: Value) -> None:
        """Place what a sum starts from, before any of its terms."""
        self.spot[value] = []
        self.paths.setdefault(value, []).append([])
        base = self.statements.base(value)
        if base is not None:
            self.insert(Define(value, base), value, value.axes, [base])
        self._insert_terms(value, [s for s in self.statements.of(value) if self._is_before(s)])

    def finish(self, value: Value) -> None:
        """Place the terms of a sum, or the one statement of any other value."""
        self._insert_terms(value, [s for s in self.statements.of(value) if not self._is_before(s)])

    def _is_before(self, statement: Define | Update | Product) -> bool:
        """Return whether a statement adds a term to a sum before the samples do."""
        if isinstance(statement, Define) or not self.statements.spans(statement.target):
            return False
        return self.statements.samples.adds_before(statement.term)

    def _insert_terms(self, value: Value, statements: Iterable[Define | Update | Product]) -> None:
        for statement in statements:
            source = value if isinstance(statement, Define) else statement.term
            self.insert(statement, value, loop_axes(source), source.operands)

    def insert(self, statement: Statement, value: Value, axes: tuple[Axis, ...], operands: Iterable[Value]) -> None:
        """Put a statement into the earliest loops that it can share, opening the loops that are missing."""
        reads = self._reads(statement, value, operands)
        path, starts = self._loops(statement, value, axes, reads)
        body = path[-1].body if path else self.body
        if starts and isinstance(statement, Product):
            statement.begins = True
        elif starts:
            body.append(Start(value))
        if starts or isinstance(statement, Define):
            self.begun.setdefault(value, []).append(path)
        if isinstance(statement, Course):
            self._note(statement.total, path)
        if not isinstance(statement, Result):
            self.nesting.fill(statement, path)
            term = None if isinstance(statement, Define) else statement.term
            self.spot[value].append((path, len(body), term))
            self._note(value, path)
        body.append(statement)
        for read, _ in reads:
            self._note(read, path)

    def _reads(self, statement: Statement, value: Value, operands: Iterable[Value]) -> list[Used]:
        """Return the values that a statement uses, each with the read through which it does."""
        reads = self.statements.reads([*operands, *conditions_of(self.guards.get(value))])
        if not isinstance(statement, Define) or statement.expression is not value or value.op != "read":
            return reads
        array = value.operands[0]  # of which any element is read; an argument is there as a whole
        return [(v, value if v is array else how) for v, how in reads if v is not array or array.op != "input"]

    def _loops(
        self, statement: Statement, value: Value, axes: tuple[Axis, ...], reads: list[Used]
    ) -> tuple[list[Loop], bool]:
        """Return the loops around a statement, and whether it is in the innermost that its sum is to start."""
        order = self.nesting.loops(statement, axes)
        updated = (value, statement.term) if isinstance(statement, Update | Product) else None
        starts = updated is not None and not self.spot[value]
        within = isinstance(statement, Product) or {*value.axes} <= {*order}  # else its start has loops of its own
        body, path = self.body, list[Loop]()
        for wanted in self._wanted(statement, value, order):
            loop = self._joinable(body, path, wanted, reads, updated) or self._opened(body, wanted)
            if isinstance(statement, Course) and loop.axis == value.attr.axis:
                loop.starts.append(statement.total)
                self._note(statement.total, path)
            own_loops = not within and loop.axis != self.blocks
            if starts and updated and (own_loops or not self._starts_inside(updated[1], loop)):
                loop.starts.append(value)
                self.begun.setdefault(value, []).append(path)
                self._note(value, path)
                starts = False
            path, body = [*path, loop], loop.body
            self._restrict(loop, wanted)
        return path, starts

    def _wanted(self, statement: Statement, value: Value, order: list[Axis]) -> Iterator[Wanted]:
        """Yield the loops around a statement from the outermost in, and what each may have in common with others."""
        bounds, rows = self._bounds(statement, value, order), self.nesting.runs_along_rows(statement)
        company, alone = self.company, bool(order) and self.company.stands_apart(statement, order[-1])
        for axis in order:
            backward = isinstance(statement, Course) and axis == value.attr.axis and value.attr.backward
            own = (alone and axis == order[-1]) or company.keeps_to_itself(statement, value, axis, order)
            like = company.rows.scatters(statement) if own and alone else None
            inside = order[order.index(axis) + 1 :]
            dear = (not inside and company.is_dear(statement, axis)) if all(map(company.is_few, inside)) else None
            yield Wanted(axis, bounds.get(axis, (None, None)), rows and axis == self.sample, backward, own, like, dear)

    def _opened(self, body: list[Node], wanted: Wanted) -> Loop:
        """Return a new loop at the end of a body."""
        loop = Loop(wanted.axis, len(body), wanted.bounds, rows=wanted.rows, backward=wanted.backward)
        body.append(loop)
        return loop

    def _restrict(self, loop: Loop, wanted: Wanted) -> None:
        """Note what may join a loop from now on."""
        if wanted.own:
            self.closed.add(loop)
        if wanted.dear:
            self.dear.add(loop)
        if wanted.like is not None:
            self.alike[loop] = wanted.like

    def _bounds(self, statement: Statement, value: Value, order: list[Axis]) -> Mapping[Axis, Bounds]:
        """Return the bounds of the loops around a term that is added under a condition."""
        condition = self.conditions.get((value, statement.term)) if isinstance(statement, Update) else None
        return {} if condition is None else index_bounds(condition, order) or {}

    def _starts_inside(self, term: Value, loop: Loop) -> bool:
        """Return whether each turn of a loop starts what a term is added to: else that is started before the loop.

        A loop over a triangle leaves out elements, which are zero.
        """
        return loop.bounds == (None, None) and aligned(term, self._along(loop))

    def _note(self, value: Value, path: list[Loop]) -> None:
        self.paths[value][-1].append(path)

    def _joinable(
        self,
        body: list[Node],
        path: list[Loop],
        wanted: Wanted,
        reads: list[Used],
        updated: tuple[Value, Value] | None,
    ) -> Loop | None:
        """Return the first loop as wanted in `body` that comes after (or has, complete) all that is read.

        A sum that is `updated` by a further term must have been started; its other terms may still be running, or come
        later.
        """
        if wanted.own and wanted.like is None:
            return None
        first, blocked = self._after(path, wanted, reads, updated)
        for node in body[first:]:
            if not isinstance(node, Loop) or node.position in blocked:
                continue
            if self._may_join(node, wanted) and wanted.fits(node):
                return node
        return None

    def _may_join(self, loop: Loop, wanted: Wanted) -> bool:
        """Return whether a loop may have what is wanted beside what it has."""
        if loop in self.closed if wanted.like is None else self.alike.get(loop) is not wanted.like:
            return False
        return not (loop in self.dear if wanted.dear is None else wanted.dear and self.company.is_around(loop))

    def _after(
        self, path: list[Loop], wanted: Wanted, reads: list[Used], updated: tuple[Value, Value] | None
    ) -> tuple[int, set[int]]:
        """Return the first place in a path after all that is read, and the loops there in which that is not ready."""
        depth = len(path)
        first = self.barrier if wanted.axis == self.outermost and not depth else 0
        blocked: set[int] = set()
        for value, read in [*reads, *([] if updated is None else [(updated[0], None)])]:
            further = updated is not None and value is updated[0]  # terms come in any order, after the start
            started = any(begun[:depth] == path for begun in self.begun.get(value, ()))
            for number, (spot, index, term) in enumerate(self.spot.get(value, ())):
                if spot[:depth] == path:
                    position = spot[depth].position if len(spot) > depth else index
                    if not further or (started and number == 0):
                        first = max(first, position)
                    if len(spot) == depth or not self._may_follow(value, term, read, spot[depth], updated):
                        blocked.add(position)
        return first, blocked

    def _may_follow(
        self, value: Value, term: Value | None, read: Value | None, loop: Loop, updated: tuple[Value, Value] | None
    ) -> bool:
        """Return whether a statement that reads (or further updates) a value may stand in a loop that makes it."""
        if updated is not None and value is updated[0]:
            begun_inside = any(loop in path for path in self.begun.get(value, ()))
            return not begun_inside or aligned(updated[1], self._along(loop))
        return self._complete(value, term, read, self._along(loop))

    def _along(self, loop: Loop) -> Axis:
        """Return the axis of which a loop takes one index, or one block, in each turn."""
        return self.sample if loop.axis == self.blocks and self.sample is not None else loop.axis

    def _complete(self, value: Value, term: Value | None, read: Value | None, axis: Axis) -> bool:
        """Return whether, inside one turn of a loop over `axis`, what is read of the value is already final."""
        if axis not in value.axes or (term is not None and not aligned(term, axis)):
            return False
        if read is None:
            return True
        index = dict(zip(value.axes, read.operands[1:], strict=True))[axis]
        return index.is_index(axis)

    # Storage

    def is_blocked(self, value: Value) -> bool:
        """Return whether a value is made and used within one block: nothing is kept of it for the next."""
        if self.blocks is None or self.sample not in value.axes:
            return False
        return all(
            path and path[0].axis == self.blocks and path[0] is paths[0][0]
            for paths in self.paths[value]
            for path in paths
        )

    def stored(self, value: Value) -> tuple[Axis, ...]:
        """Return the axes along which a value is kept: those whose loop its definition and its uses do not share."""
        kept: set[Axis] = set()
        for paths in self.paths[value]:
            shared = 0
            while all(len(p) > shared and p[shared] is paths[0][shared] for p in paths):
                shared += 1
            kept |= set(value.axes) - {loop.axis for loop in paths[0][:shared]}
            power = [k for k, loop in enumerate(paths[0]) if loop.axis == exponent_axis(value)]
            kept |= {loop.axis for k in power for loop in paths[0][k + 1 :]} & set(value.axes)  # for the next power
        return tuple(a for a in self.nesting.axes(value) if a in kept)
