"""The planner: what is made in which pass over the samples, and the plan of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, reachable
from gradcompile.passes.share import sample_sizes
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.company import Company
from gradcompile.schedule.conditions import ALWAYS, within
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.made import Made, operands_of
from gradcompile.schedule.nesting import Nesting
from gradcompile.schedule.nodes import NO_GUARDS, Guard, Plan, Product, aligned, blocks_of, right_side
from gradcompile.schedule.products import Products
from gradcompile.schedule.results import Results
from gradcompile.schedule.rows import Rows
from gradcompile.schedule.samples import Samples, in_blocks, scatters, stream_axis
from gradcompile.schedule.statements import Statements, axes_of, is_recomputed
from gradcompile.schedule.sums import Sums
from gradcompile.schedule.tables import Tables
from gradcompile.schedule.tree import Tree


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
    """The state of one scheduling: which values get statements, and in which region."""

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
        self.graph, self.sample, self.again, self.blocks = graph, sample, again, blocks
        self.order, streamed = graph.order(), sample if blocks is not None else None
        uses, square = Counter(o for v in self.order for o in v.operands), _square(self.order)
        numbers = sample_sizes(graph)
        scattered = sample is not None and scatters(self.order, sample)
        self.scalars = _scalars(self.order, guards)
        self.tables = Tables(graph, streamed)
        self.results = Results(graph, square, streamed, numbers, self.tables)
        self.copies, self.delivered = self.results.copies, self.results.delivered
        self.returned = self.delivered.keys()
        self.samples = Samples(sample, self.order, guards)
        self.phase = self.samples.phase
        self.later = {*self.samples.needed_later(graph, numbers)} - guards.keys()
        found = Sums(self.order, uses, {*self.returned, *graph.names}, self.samples, blocks=blocks is not None)
        self.sums, self.conditions = found.found, found.conditions
        self.guards = {value: guard for value, guard in guards.items() if value not in self.sums}
        self.guards |= self._guards_of_bases(guards)
        kept = {*self.returned, *graph.names, *(copy.value for copy in self.copies)}
        self.products = Products(self._summed(), uses, sample, square | self.delivered, graph.length, kept)
        made = Made(
            graph, self.sums, self.guards, self.samples, self.results, self.products.factors, again, self.later,
            ahead=ahead,
        )  # fmt: skip
        self.order, self.across, self.narrower = made.order, made.across, made.narrower
        self.statements = Statements(self.sums, self.products.found, self.samples, self.copies)
        self.rows = self._rows(made, scattered=scattered)
        self.made, self.packed = self.statements.made, self.statements.packed
        fixed = {**self.products.orders, **self.delivered, **square, **self.tables.orders}
        nesting = Nesting(self.rows, fixed, self.made, sample, blocks)
        company = Company(graph.order(), self.rows, blocks, scattered=scattered)
        self.tree = Tree(nesting, company, self.conditions, self.guards)

    def _rows(self, made: Made, *, scattered: bool) -> Rows:
        """Return how arrays lie, once it is known of which data blocks have a copy."""
        self.statements.made = dict.fromkeys(self.tables.orders) | made.values
        whole, tables = made.arrays | self.returned, self.tables.orders
        rows = Rows(self.statements, self.products, self.delivered, made.beside, whole, self.graph.length, tables)
        if self.blocks is not None:
            bases = {base for base, _ in self.sums.values()}  # a sum's start has a loop of its own
            picked = [v for v in self.order if v not in bases or made.uses[v] > 1]
            rows.settle(picked if scattered else ())
        return rows

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
        """Return the plan: pass after pass, with what is known between them."""
        for index in range(max(self.phase.values(), default=0) + 1):
            self._region(index)
        tree, returned = self.tree, self.returned
        stored = {v: tree.nesting.axes(v) if v in returned else tree.stored(v) for v in self.made}
        blocked = frozenset(v for v in self.made if v not in returned and tree.is_blocked(v))
        results, sample, blocks = self.results.values, self.sample, self.blocks
        return Plan(self.graph, tree.body, stored, results, sample, tree.passes, blocks, blocked, self.guards)

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

    def _region(self, index: int) -> None:
        """Place what is known after `index` loops over the samples, then the next such loop."""
        self.tree.next_region()
        known = [v for v in self.made if self.phase[v] == index and not self.statements.spans(v)]
        known = [v for v in known if not self.samples.streamed(v)]
        for value in sorted(known, key=lambda v: v not in self.scalars):  # between loops, numbers would keep them apart
            self.tree.place(value)
        goals = [v for v in self.made if self._goal(v, index)]
        for value in goals:
            if not self.samples.streamed(value):
                self.tree.start(value)
        copies = [c for c in self.copies if self.phase[c.value] == index]
        self._pass(goals, self._needed([*goals, *(c.value for c in copies if self.sample in c.axes)]))
        for copy in sorted(copies, key=lambda c: self.sample not in c.axes):  # in the loop over the samples, then after
            self.tree.insert(copy, copy.value, copy.axes, [copy.value])

    def _pass(self, goals: list[Value], needed: set[Value]) -> None:
        """Place one loop over the samples: what it has to produce, and the streamed values needed for that."""
        labels = self._looked_up(needed)  # what is read there comes after them
        ready = self._ready(needed.difference(labels))
        for value in (*labels, *ready):
            self.tree.place(value)
        early = [v for v in self.made if v in needed and self.rows.starts(v)]
        for value in early:
            self.tree.start(value)
        for value in self.made:
            if value in labels or value in ready:
                continue
            if self.samples.streamed(value) and value in needed and value not in early:
                self.tree.start(value)
            if value in needed or value in goals:
                self.tree.finish(value)

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
        if not self.tree.is_placed(value):
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
