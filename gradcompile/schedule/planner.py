"""The planner: from a graph to a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, reachable
from gradcompile.passes.share import sample_sizes
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.conditions import ALWAYS, index_bounds, within
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.made import Made, operands_of
from gradcompile.schedule.nesting import Nesting, is_moved
from gradcompile.schedule.nodes import (
    NO_GUARDS,
    Bounds,
    Course,
    Define,
    Guard,
    Loop,
    Node,
    Plan,
    Product,
    Result,
    Start,
    Statement,
    Update,
    aligned,
    blocks_of,
    conditions_of,
    exponent_axis,
    loop_axes,
    right_side,
)
from gradcompile.schedule.products import Products
from gradcompile.schedule.results import Results
from gradcompile.schedule.rows import SHORT, Rows
from gradcompile.schedule.samples import Samples, in_blocks, scatters, stream_axis
from gradcompile.schedule.statements import Statements, axes_of, is_recomputed
from gradcompile.schedule.sums import Sums
from gradcompile.schedule.tables import Tables

Used = tuple[Value, Value | None]  # a value that a statement uses, and the read through which it does
Wanted = tuple[Axis, Bounds, bool, bool]  # a loop: what it is over, its bounds, whether it is by rows, or backward


def plan(graph: Graph, *, blocks: bool = True, guards: Mapping[Value, Guard] = NO_GUARDS) -> Plan:
    """Return the schedule of a graph.

    Parameters
    ----------
    graph : Graph
        With its backward half and after the passes; any outputs.
    blocks : bool
        Whether samples may be taken in blocks, with the loops over them innermost.
    guards : mapping of Value to Guard
        Values that must be computed only where conditions hold, which then come first; see `Plan.guards`.
    """
    sample = stream_axis(graph)
    outer = blocks_of(sample) if blocks and sample is not None and in_blocks(graph.order(), sample) else None
    again: set[Value] = set()
    while True:
        work = _Work(graph, sample, again, outer, guards, ahead=blocks)
        result = work.plan()
        cheap = {value for value, axes in result.stored.items() if axes and work.is_recomputed(value)}
        cheap -= again | work.packed.keys()
        if not cheap:
            return result
        again |= cheap


class _Work:
    """The state of one scheduling: which values get statements, in which region, and where they were put."""

    def __init__(
        self,
        graph: Graph,
        sample: Axis | None,
        again: set[Value],
        blocks: Axis | None,
        guards: Mapping[Value, Guard],
        *,
        ahead: bool,
    ) -> None:
        self.graph, self.sample, self.again = graph, sample, again
        self.blocks = blocks
        self.order = graph.order()
        self.scattered = sample is not None and scatters(self.order, sample)  # asked before sums take scatters in
        self.uses = Counter(o for v in self.order for o in v.operands)
        self.square = _square(self.order)
        self.numbers = sample_sizes(graph)
        self.scalars = _scalars(self.order, guards)
        self.steep = {axis for value in self.order if cost(value) >= ELEMENTARY for axis in value.axes}
        tables = Tables(graph, sample if blocks is not None else None)
        self.results = Results(graph, self.square, sample if blocks is not None else None, self.numbers, tables)
        self.copies, self.delivered = self.results.copies, self.results.delivered
        self.returned = self.delivered.keys()
        self.samples = Samples(sample, self.order, guards)
        self.phase = self.samples.phase
        self.later = {*self.samples.needed_later(graph, self.numbers)} - guards.keys()
        found = Sums(self.order, self.uses, {*self.returned, *graph.names}, self.samples, blocks=blocks is not None)
        self.sums, self.conditions = found.found, found.conditions
        self.guards = {value: guard for value, guard in guards.items() if value not in self.sums}
        self.guards |= self._guards_of_bases(guards)
        kept = {*self.returned, *graph.names, *(copy.value for copy in self.copies)}
        self.products = Products(self._summed(), self.uses, sample, self.square | self.delivered, graph.length, kept)
        made = Made(
            graph, self.sums, self.guards, self.samples, self.results, self.products.factors, again, self.later,
            ahead=ahead,
        )  # fmt: skip
        self.order, self.across, self.narrower = made.order, made.across, made.narrower
        self.statements = Statements(self.sums, self.products.found, self.samples, self.copies)
        self.statements.made = dict.fromkeys(tables.orders) | made.values
        whole = made.arrays | self.returned
        self.rows = Rows(
            self.statements, self.products, self.delivered, made.beside, whole, graph.length, tables.orders
        )
        if blocks is not None:
            bases = {base for base, _ in self.sums.values()}
            picked = [
                v for v in self.order if v not in bases or made.uses[v] > 1
            ]  # a sum's start has a loop of its own
            self.rows.settle(picked if self.scattered else ())
        self.made, self.packed = self.statements.made, self.statements.packed
        fixed = {**self.products.orders, **self.delivered, **self.square, **tables.orders}
        self.nesting = Nesting(self.rows, fixed, self.made, sample, blocks)
        self.closed: set[Loop] = set()  # loops that nothing else may join
        self.alike: dict[Loop, bool] = {}  # but their like: all add at places that are data, or all look such places up
        self.dear: set[Loop] = set()  # those of elementary functions, which stay innermost
        self.body: list[Node] = []
        self.begun: dict[Value, list[list[Loop]]] = {}  # the loops around the first statement of a value
        self.barrier = 0  # the first place at which this region may have its loop over the samples
        self.paths: dict[
            Value, list[list[list[Loop]]]
        ] = {}  # where it is started, updated and used, each time it is placed
        self.spot: dict[Value, list[tuple[list[Loop], int, Value | None]]] = {}  # its statements: path, index, term

    def _guards_of_bases(self, guards: Mapping[Value, Guard]) -> dict[Value, Guard]:
        """Return the guards of what sums start from, where that was put together of what they have beside terms."""
        known = {*self.order}
        bases = [(b, guards[target]) for target, (b, _) in self.sums.items() if b is not None and target in guards]
        found = {base: within(guard, base.axes) for base, guard in bases if base not in known}  # a base may lack axes
        return {base: guard for base, guard in found.items() if guard is not ALWAYS}

    def _summed(self) -> dict[Value, Value]:
        """Return the sums that BLAS may compute, and the array that each is added to: it knows no triangles."""
        if self.blocks is None:
            return {}
        terms = {term: target for target, (_, found) in self.sums.items() for term, _ in found}
        terms |= {value: value for value in self.order if value not in terms}
        return {term: target for term, target in terms.items() if (target, term) not in self.conditions}

    def plan(self) -> Plan:
        for index in range(max(self.phase.values(), default=0) + 1):
            self._region(index)
        stored = {value: self._stored(value) for value in self.made}
        blocked = frozenset(value for value in self.made if self._is_blocked(value))
        loops = sum(isinstance(node, Loop) and node.axis == self.outermost for node in self.body)
        results, sample, blocks = self.results.values, self.sample, self.blocks
        return Plan(self.graph, self.body, stored, results, sample, loops, blocks, blocked, self.guards)

    def is_recomputed(self, value: Value) -> bool:
        """Return whether a value is computed again; a comparison of arrays is not that is needed along further axes.

        Nor is what a function has alone with its sign changed, as the log of a sigmoid of a parameter has.
        """
        arrays = all(o.axes and o.op != "iota" for o in value.operands)
        compared = value.kind == "bool" and value in self.narrower and arrays
        inside = value.operands[0] if value.op == "neg" else value
        function = inside not in self.made and cost(inside) >= ELEMENTARY
        return (is_recomputed(value) and not (compared or function)) or self._is_step_of_smaller(value)

    def _is_step_of_smaller(self, value: Value) -> bool:
        """Return whether a value is one step of arrays that are kept, each smaller: as a row for each pair of points.

        To keep such a value for each of many others takes more memory than the block of samples has in the cache.
        """
        if value.op not in ("add", "sub", "mul") or len(value.axes) < 3 or value in self.graph.names:
            return False
        kept = all(o in self.made or o.op in (*LEAVES, "read") for o in value.operands)
        return kept and all(len(o.axes) < len(value.axes) for o in value.operands)

    @property
    def outermost(self) -> Axis | None:
        """The axis of the loops that pass the samples."""
        return self.blocks or self.sample

    # Placing statements

    def _region(self, index: int) -> None:
        """Place what is known after `index` loops over the samples, then the next such loop."""
        self.barrier = len(self.body)
        known = [v for v in self.made if self.phase[v] == index and not self.statements.spans(v)]
        known = [v for v in known if not self.samples.streamed(v)]
        for value in sorted(known, key=lambda v: v not in self.scalars):  # between loops, numbers would keep them apart
            self._place(value)
        goals = [v for v in self.made if self._goal(v, index)]
        for value in goals:
            if not self.samples.streamed(value):
                self._start(value)
        copies = [c for c in self.copies if self.phase[c.value] == index]
        self._pass(goals, self._needed([*goals, *(c.value for c in copies if self.sample in c.axes)]))
        for copy in sorted(copies, key=lambda c: self.sample not in c.axes):  # in the loop over the samples, then after
            self._insert(copy, copy.value, copy.axes, [copy.value])

    def _pass(self, goals: list[Value], needed: set[Value]) -> None:
        """Place one loop over the samples: what it has to produce, and the streamed values needed for that."""
        labels = self._looked_up(needed)  # what is read there comes after them
        ready = self._ready(needed.difference(labels))
        for value in (*labels, *ready):
            self._place(value)
        early = [v for v in self.made if v in needed and self.rows.starts(v)]
        for value in early:
            self._start(value)
        for value in self.made:
            if value in labels or value in ready:
                continue
            if self.samples.streamed(value) and value in needed and value not in early:
                self._start(value)
            if value in needed or value in goals:
                self._finish(value)

    def _looked_up(self, needed: set[Value]) -> list[Value]:
        """Return the indices that are looked up in data, each after the indices at which it is."""
        labels = [v for v in self.made if v in needed and _is_label(v)]
        before = {i for i in reachable(labels) if i.kind == "int" and i in needed}
        return [v for v in self.made if v in before]

    def _ready(self, needed: set[Value]) -> list[Value]:
        """Return what is one number for each sample, made of nothing else that takes loops, and used in loops.

        Computed first, it does not stand between loops that have their axes in common.
        """
        if self.blocks is None:
            return []
        ready, used = set[Value](), set[Value]()
        for value in self.order:
            plain = value.axes == (self.sample,) and value in needed and (value.op in PRIMITIVES or value.op == "input")
            if plain and value not in self.sums and all(o in ready or o not in needed for o in self._operands(value)):
                ready.add(value)
        for value in reversed([v for v in self.made if v in needed or self.statements.spans(v)]):
            inside = any(len(axes_of(s)) > 1 for s in self.statements.of(value) if not isinstance(s, Product))
            if inside or value in used:
                used.update(v for s in self.statements.of(value) for v, _ in self.statements.reads(right_side(s)))
        return [v for v in self.made if v in ready and v in used]

    def _goal(self, value: Value, index: int) -> bool:
        """Return whether the loop over samples number `index` is the one that must produce the value."""
        if not self.samples.streamed(value) or self._gathers(value):
            return self.statements.spans(value) and self.phase[value] == index + 1
        kept = value in self.returned or value in self.later or self._read_across(value)
        return self.phase[value] == index and kept

    def _gathers(self, value: Value) -> bool:
        """Return whether a value is nothing but what samples add to others.

        It begins as zeros, before the loop over samples in which these terms are computed; what begins as something
        that has to be computed for all samples waits for the loop after that.
        """
        alone = self.statements.spans(value) and self.statements.base(value) is None
        return alone and self._is_added_anywhere(value)

    def _kept(self, value: Value) -> bool:
        """Return whether an earlier loop has stored the value for all samples."""
        if value not in self.spot:
            return False
        whole = value in self.returned or self._read_across(value) or self._is_added_anywhere(value)
        return whole or self._is_worth_keeping(value)

    def _is_added_anywhere(self, value: Value) -> bool:
        """Return whether terms are added to other samples than their own: once, since nothing is zeroed again."""
        assert self.sample is not None
        terms = [term for term, _ in self.sums[value][1]] if value in self.sums else [value]
        return any(term.op == "accumulate" and not aligned(term, self.sample) for term in terms)

    def _is_worth_keeping(self, value: Value) -> bool:
        """Return whether a later loop reads the value rather than sum it up again.

        That is so where there is one number for each sample, and where it is a sum over samples for each of them.
        """
        if value in self.guards:
            return False
        if value.axes == (self.sample,) and (value.op in REDUCTIONS or value in self.sums):
            return True
        terms = [term for term, _ in self.sums[value][1]] if value in self.sums else []
        return any(each in self.later for each in (value, *terms))

    def _read_across(self, value: Value) -> bool:
        return value in self.across and value not in self.packed

    def _needed(self, goals: Iterable[Value]) -> set[Value]:
        """Return the streamed values that the goals are made of."""
        needed: set[Value] = set()
        stack = [o for g in goals for o in (*self._operands(g), g)]
        while stack:
            value = stack.pop()
            if self.samples.streamed(value) and value not in needed and not self._kept(value):
                needed.add(value)
                stack.extend(self._operands(value))
        return needed

    def _operands(self, value: Value) -> tuple[Value, ...]:
        operands = operands_of(value, self.sums, self.guards)
        return operands[1:] if self.statements.passes_by_copy(value) else operands

    def _conditions(self, value: Value) -> list[Value]:
        return conditions_of(self.guards.get(value))

    def _place(self, value: Value) -> None:
        self._start(value)
        self._finish(value)

    def _start(self, value: Value) -> None:
        """Place what a sum starts from, before any of its terms."""
        self.spot[value] = []
        self.paths.setdefault(value, []).append([])
        base = self.sums[value][0] if value in self.sums else None
        if base is not None:
            self._insert(Define(value, base), value, value.axes, [base])
        self._insert_terms(value, [s for s in self.statements.of(value) if self._is_before(s)])

    def _finish(self, value: Value) -> None:
        """Place the terms of a sum, or the one statement of any other value."""
        self._insert_terms(value, [s for s in self.statements.of(value) if not self._is_before(s)])

    def _is_before(self, statement: Define | Update | Product) -> bool:
        """Return whether a statement adds a term to a sum before the samples do."""
        if isinstance(statement, Define) or not self.statements.spans(statement.target):
            return False
        return self.samples.adds_before(statement.term)

    def _insert_terms(self, value: Value, statements: Iterable[Define | Update | Product]) -> None:
        for statement in statements:
            source = value if isinstance(statement, Define) else statement.term
            self._insert(statement, value, loop_axes(source), source.operands)

    def _insert(self, statement: Statement, value: Value, axes: tuple[Axis, ...], operands: Iterable[Value]) -> None:
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
        reads = self.statements.reads([*operands, *self._conditions(value)])
        if not isinstance(statement, Define) or statement.expression is not value or value.op != "read":
            return reads
        array = value.operands[0]  # of which any element is read; an argument is there as a whole
        return [(v, value if v is array else how) for v, how in reads if v is not array or array.op != "input"]

    def _loops(
        self, statement: Statement, value: Value, axes: tuple[Axis, ...], reads: list[Used]
    ) -> tuple[list[Loop], bool]:
        """Return the loops around a statement, and whether it is in the innermost that its sum is to start."""
        order = self.nesting.loops(statement, axes)
        bounds, rows = self._bounds(statement, value, order), self.nesting.runs_along_rows(statement)
        updated = (value, statement.term) if isinstance(statement, Update | Product) else None
        starts = updated is not None and not self.spot[value]
        alone = bool(order) and self._stands_apart(statement, order[-1])
        within = isinstance(statement, Product) or {*value.axes} <= {*order}  # else its start has loops of its own
        body, path = self.body, list[Loop]()
        for axis in order:
            runs = isinstance(statement, Course) and axis == value.attr.axis
            by_rows, backward = rows and axis == self.sample, runs and value.attr.backward
            wanted = axis, bounds.get(axis, (None, None)), by_rows, backward
            own = axis == self._longest(order) and self._is_shifted(statement, value)
            own = own or (axis == order[-1] and runs and axis in self.steep)
            own = own or (alone and axis == order[-1])
            adds = self.rows.scatters(statement) if own and alone else None
            inside = order[order.index(axis) + 1 :]
            dear = None if not all(map(self._is_few, inside)) else self._is_dear(statement, axis) and not inside
            found = self._joinable(body, path, wanted, reads, updated, adds=adds, dear=dear)
            loop = None if own and adds is None else found
            if loop is None:
                loop = Loop(axis, len(body), wanted[1], rows=wanted[2], backward=wanted[3])
                body.append(loop)
            if runs and isinstance(statement, Course):
                loop.starts.append(statement.total)
                self._note(statement.total, path)
            own_loops = not within and loop.axis != self.blocks
            if starts and updated and (own_loops or not self._starts_inside(updated[1], loop)):
                loop.starts.append(value)
                self.begun.setdefault(value, []).append(path)
                self._note(value, path)
                starts = False
            path, body = [*path, loop], loop.body
            if own:
                self.closed.add(loop)
            if dear:
                self.dear.add(loop)
            if adds is not None:
                self.alike[loop] = adds
        return path, starts

    def _bounds(self, statement: Statement, value: Value, order: list[Axis]) -> Mapping[Axis, Bounds]:
        """Return the bounds of the loops around a term that is added under a condition."""
        condition = self.conditions.get((value, statement.term)) if isinstance(statement, Update) else None
        return {} if condition is None else index_bounds(condition, order) or {}

    def _stands_apart(self, statement: Statement, innermost: Axis) -> bool:
        """Return whether a statement has its innermost loop to itself: in a block, others become vectors."""
        if self.blocks is None:
            return False
        if innermost == self.sample:
            return self.rows.scatters(statement) or self._looks_up(statement)
        return innermost in self.steep and self.rows.scatters(statement, innermost)

    def _is_dear(self, statement: Statement, innermost: Axis) -> bool:
        """Return whether a statement has elementary functions, and a loop long enough for vectors of these."""
        if self.blocks is None or innermost == self.sample or isinstance(statement, Course | Product):
            return False
        return not self._is_few(innermost) and not self.rows.is_arithmetic(statement)

    def _is_around(self, loop: Loop) -> bool:
        """Return whether there are loops in a loop that are not written out, so that it makes no vectors itself."""
        return any(isinstance(node, Loop) and not self._is_few(node.axis) for node in loop.body)

    def _is_few(self, axis: Axis) -> bool:
        """Return whether a loop is known to have a few steps."""
        return 0 < (self.graph.length(axis.size) or 0) <= SHORT

    def _longest(self, order: list[Axis]) -> Axis:
        """Return the innermost axis of loops but for those of a few steps, as the coordinates of a point.

        It is not the outermost: what is kept for its loops is a row, which stays in the cache.
        """
        long = [axis for axis in order[1:] if not self._is_few(axis)]
        return (long or order)[-1]

    def _is_shifted(self, statement: Statement, value: Value) -> bool:
        """Return whether a statement adds to elements to which another one, at other places, adds in the same loops.

        In a loop of its own each becomes vectors, as in ``d[i] += a[i]`` and ``d[i + 1] -= a[i]``.
        """
        if not isinstance(statement, Update) or not _is_stencil(statement.term):
            return False
        others = [term for term, _ in self.sums.get(value, (None, []))[1] if term is not statement.term]
        return any(_is_stencil(term) and _overlap(term.operands[1:], statement.term.operands[1:]) for term in others)

    def _starts_inside(self, term: Value, loop: Loop) -> bool:
        """Return whether each turn of a loop starts what a term is added to: else that is started before the loop.

        A loop over a triangle leaves out elements, which are zero.
        """
        return loop.bounds == (None, None) and aligned(term, self._along(loop))

    def _looks_up(self, statement: Statement) -> bool:
        """Return whether a statement copies what data pick for the samples of a block, for itself or for a sum."""
        if not isinstance(statement, Define):
            return False
        own = statement.target in self.packed or (self.scattered and statement.expression not in self.made)
        return own and self.rows.picks(statement.expression)

    def _note(self, value: Value, path: list[Loop]) -> None:
        self.paths[value][-1].append(path)

    def _joinable(
        self,
        body: list[Node],
        path: list[Loop],
        wanted: Wanted,
        reads: list[Used],
        updated: tuple[Value, Value] | None,
        *,
        adds: bool | None,
        dear: bool | None,
    ) -> Loop | None:
        """Return the first loop over an axis in `body` that comes after (or has, complete) all that is read.

        A sum that is `updated` by a further term must have been started; its other terms may still be running, or come
        later. What `adds` at places that are data, or looks them up, joins its like and nothing else. What is `dear`
        joins no loop around long ones; `dear` is None for a loop that is to be around such.
        """
        depth, axis = len(path), wanted[0]
        first = self.barrier if axis == self.outermost and not depth else 0
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
        for node in body[first:]:
            if not isinstance(node, Loop) or node.position in blocked:
                continue
            if node in self.closed if adds is None else self.alike.get(node) is not adds:
                continue
            if node in self.dear if dear is None else dear and self._is_around(node):
                continue
            if (node.axis, node.bounds, node.rows, node.backward) == wanted:
                return node
        return None

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

    def _is_blocked(self, value: Value) -> bool:
        """Return whether a value is made and used within one block: nothing is kept of it for the next."""
        if self.blocks is None or value in self.returned or self.sample not in value.axes:
            return False
        return all(
            path and path[0].axis == self.blocks and path[0] is paths[0][0]
            for paths in self.paths[value]
            for path in paths
        )

    def _stored(self, value: Value) -> tuple[Axis, ...]:
        """Return the axes along which a value is kept: those whose loop its definition and its uses do not share."""
        if value in self.returned:
            return self.nesting.axes(value)
        kept: set[Axis] = set()
        for paths in self.paths[value]:
            shared = 0
            while all(len(p) > shared and p[shared] is paths[0][shared] for p in paths):
                shared += 1
            kept |= set(value.axes) - {loop.axis for loop in paths[0][:shared]}
            power = [k for k, loop in enumerate(paths[0]) if loop.axis == exponent_axis(value)]
            kept |= {loop.axis for k in power for loop in paths[0][k + 1 :]} & set(value.axes)  # for the next power
        return tuple(a for a in self.nesting.axes(value) if a in kept)


def _is_stencil(term: Value) -> bool:
    """Return whether a term is added along its axes, at places that are moved by numbers, or one coordinate of each."""
    return term.op == "accumulate" and all(is_moved(place) or place.op == "const" for place in term.operands[1:])


def _overlap(one: tuple[Value, ...], other: tuple[Value, ...]) -> bool:
    """Return whether elements at some places may be those at other places in another turn of a loop."""
    apart = any(a.op == b.op == "const" and a is not b for a, b in zip(one, other, strict=True))
    return one != other and not apart


def _is_label(value: Value) -> bool:
    """Return whether a value is an index that is looked up in data."""
    return value.kind == "int" and value.op == "read" and value.operands[0].op == "input"


def _scalars(order: list[Value], guards: Mapping[Value, Guard]) -> set[Value]:
    """Return the numbers that are made of no arrays, whatever holds."""
    found: set[Value] = set()
    for value in order:
        plain = not value.axes and value not in guards and value.op in (*LEAVES, *PRIMITIVES)
        if plain and all(operand in found for operand in value.operands):
            found.add(value)
    return found


def _square(order: list[Value]) -> dict[Value, tuple[Axis, ...]]:
    """Return the axes of the matrices of matrix functions in storage order: an inverse has that of its operand."""
    found: dict[Value, tuple[Axis, ...]] = {}
    for value in order:
        if value.op in MATRIX_FUNCTIONS:
            matrix, *rest = value.operands
            batch = tuple(axis for axis in matrix.axes if axis not in value.attr)
            axes = found.setdefault(matrix, matrix.axes if matrix.op == "input" else (*batch, *value.attr))
            for right in rest:
                row, column = value.attr
                sides = tuple(axis for axis in right.axes if axis not in (*batch, row))
                own = (*(axis for axis in batch if axis in right.axes), row, *sides)
                found.setdefault(right, right.axes if right.op == "input" else own)
                found[value] = (*batch, column, *sides)
            if set(value.axes) == set(axes):
                found[value] = axes
    return found
