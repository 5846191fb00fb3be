"""Which values get a statement of their own; all others are written where they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, REDUCTIONS, Graph, Value
from gradcompile.passes.share import combines_axes, is_part, is_renaming, is_slice, rotates
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.nodes import LINE, Guard, conditions_of, exponent_axis, loop_axes, total_of
from gradcompile.schedule.results import Results
from gradcompile.schedule.samples import Samples
from gradcompile.schedule.sums import Found

QUICK = "add sub mul neg select and or not eq ne lt le gt ge".split()
MOST_STEPS = 8  # of a branch that is computed though it may not be taken


class Made:
    """The values that get statements.

    Parameters
    ----------
    graph : Graph
        The graph; of its values, sums take some in, so that others are left.
    sums : mapping
        What each sum starts from, and its terms.
    guards : mapping of Value to Guard
        Values that must be computed only where conditions hold.
    samples : Samples
        The passes over the samples.
    results : Results
        What is returned.
    factors : container of Value
        The matrices that BLAS multiplies.
    again : container of Value
        The values that are rather computed again than kept.
    later : container of Value
        What a later pass over the samples reads.
    ahead : bool
        Whether a branch may be computed where it is not taken.

    Attributes
    ----------
    order : list of Value
        All values, operands first.
    values : dict of Value to None
        Those that get statements, in order.
    arrays, across : set of Value
        What some use reads at other indices than its own, or as a matrix; and what at other samples, or of all.
    narrower : set of Value
        What some use needs along more axes than it has, or where its guard does not hold.
    beside : set of Value
        Branches, computed in the loop of what chooses among them.
    """

    def __init__(
        self,
        graph: Graph,
        sums: Found,
        guards: Mapping[Value, Guard],
        samples: Samples,
        results: Results,
        factors: Container[Value],
        again: Container[Value],
        later: Container[Value],
        *,
        ahead: bool,
    ) -> None:
        self.graph, self.sums, self.guards, self.samples, self.results = graph, sums, guards, samples, results
        self.returned, self.factors, self.again, self.ahead = results.delivered.keys(), factors, again, ahead
        self.later = later
        self.order = self._reached()
        self.counts = self._counts()
        phase = samples.phase
        for value in self.order:
            if value not in phase:
                phase[value] = max((phase[o] for o in value.operands), default=0)
        bases = [base for base, _ in sums.values() if base is not None]
        self.uses = Counter(o for v in self._consumers(self.order) for o in v.operands) + Counter(bases)
        consumers = list(self._consumers(self.order))
        reads, whole = [v for v in consumers if v.op == "read"], [v for v in consumers if v.op in MATRIX_FUNCTIONS]
        self.arrays = {v.operands[0] for v in reads} | {o for v in whole for o in v.operands}
        self.matrices = {o for v in whole for o in v.operands if not is_slice(o)}
        self.across = {v.operands[0] for v in reads if not samples.reads_own(v)}
        self.across |= {o for v in whole if samples.crosses(v) for o in v.operands}
        self.narrower = self._hoisted(self.order)
        self.beside: set[Value] = set()
        self.values = self._chosen()

    def _chosen(self) -> dict[Value, None]:
        """Return the values that stand alone, or make a line that is long enough, in order."""
        made: dict[Value, None] = {}
        bases = {base for base, _ in self.sums.values()}  # written where the sums start, in loops of their own
        chosen = [v for v in self._consumers(self.order) if v.op == "select" and v.axes and v not in bases]
        branches = {o for v in chosen for o in v.operands[1:]}
        added = {v.operands[0] for v in self._consumers(self.order) if v.op == "running"}
        size, price = dict[Value, int](), dict[Value, int]()
        for value in self.order:
            inside = [o for o in value.operands if o not in made]
            counts = value.op not in LEAVES and (value.kind == "real" or value in self.counts)
            size[value] = counts + sum(size.get(o, 0) for o in inside)
            price[value] = max([cost(value), *(price.get(o, 0) for o in inside)])
            if value.op in LEAVES:
                continue
            steep = value in added and price[value] >= ELEMENTARY  # its loop becomes vectors, a running sum's does not
            if self._stands_alone(value) or size[value] > LINE or steep:
                made[value] = None
            elif self.ahead and value in branches and self._is_harmless(value, made):
                made[value] = None
                self.beside.add(value)
        return made

    def _reached(self) -> list[Value]:
        """Return what the outputs are made of, operands first, once the sums are what they are to be."""
        done: dict[Value, None] = {}
        stack = [(value, False) for value in reversed(self.results.computed())]
        while stack:
            value, ready = stack.pop()
            if ready:
                done[value] = None
            elif value not in done:
                stack.append((value, True))
                operands = sorted(set(operands_of(value, self.sums, self.guards)), key=lambda v: -v.number)
                stack.extend((o, False) for o in operands if o not in done)
        return list(done)

    def _counts(self) -> set[Value]:
        """Return the whole numbers that are found of real ones, as how many arguments are the largest: no indices."""
        found: set[Value] = set()
        for value in self.order:
            if value.kind != "real" and any(o.kind == "real" or o in found for o in value.operands):
                found.add(value)
        return {value for value in found if value.kind == "int" and not value.axes}

    def _consumers(self, values: list[Value]) -> Iterator[Value]:
        """Yield what reads operands directly: plain values, and the terms of the sums."""
        for value in values:
            if value in self.sums:
                yield from (term for term, _ in self.sums[value][1])
            else:
                yield value

    def _hoisted(self, values: list[Value]) -> set[Value]:
        """Return the values that some use needs along more axes than they have, or where a guard does not hold."""
        narrower: set[Value] = set()
        for consumer in self._consumers(values):
            axes = set(loop_axes(consumer))
            looped = consumer.op in (*REDUCTIONS, "accumulate")  # what is looped over has no guard of its own
            narrower.update(o for o in consumer.operands if set(o.axes) != axes or (looped and o in self.guards))
        for value, (base, _) in self.sums.items():
            if base is not None and (set(base.axes) != set(value.axes) or base in self.guards):
                narrower.add(base)
        return narrower

    def _is_harmless(self, branch: Value, made: Mapping[Value, None]) -> bool:
        """Return whether a branch can be computed where it is not taken: a loop with jumps makes no vectors.

        It is a little arithmetic of what can be read in every pass of the loop. If it has features, it must read the
        data of a sample: else it would not stand where its condition does.
        """
        stack, steps, placed = [branch], 0, not self.samples.is_row(branch)
        while stack and steps <= MOST_STEPS:
            value = stack.pop()
            if value in self.guards or (value.op == "read" and any(i.op != "iota" for i in value.operands[1:])):
                return False
            placed = placed or (value.op in ("input", "read") and self.samples.is_row(value))
            if value in made or value.op in (*LEAVES, "read"):
                continue
            if not _is_quick(value):
                return False
            steps += 1
            stack.extend(value.operands)
        return branch.kind == "real" and placed and 0 < steps <= MOST_STEPS

    def _stands_alone(self, value: Value) -> bool:
        if value in self.sums or value.op in (*REDUCTIONS, "accumulate", "running", "total", *MATRIX_FUNCTIONS):
            return True
        if value in self.matrices:
            return True
        known = value in self.returned or value in self.arrays or value in self.counts
        index = value.kind == "int" and value.op != "place" and not known
        if is_renaming(value) or is_part(value) or index:
            return False  # an index, made of loop variables and labels; or an array, or a part of it, under other axes
        if value in self.returned or value in self.later or value in self.graph.names or self._is_copied(value):
            return True
        if value in self.arrays or value in self.factors or exponent_axis(value) is not None:
            return True
        given = value.op in ("neg", "read") and (value.operands[0].op in LEAVES or value.operands[0] in self.across)
        if value in self.again or combines_axes(value) or rotates(value) or given:
            return False
        return self.uses[value] > 1 or value in self.narrower

    def _is_copied(self, value: Value) -> bool:
        return bool(value.axes) and any(copy.value is value for copy in self.results.copies)


def operands_of(value: Value, sums: Found, guards: Mapping[Value, Guard]) -> tuple[Value, ...]:
    """Return what the statements of a value use: its operands or terms, and the conditions under which it is."""
    if value in sums:
        base, terms = sums[value]
        return (*(() if base is None else (base,)), *(o for t, _ in terms for o in t.operands))
    totals = (total_of(value),) if value.op == "running" else ()
    return (*value.operands, *totals, *conditions_of(guards.get(value)))


def _is_quick(value: Value) -> bool:
    """Return whether an operation takes a step or two: a square is a product, and a number divides as its inverse."""
    if value.op == "pow":
        return value.operands[1].is_const(2)
    return value.op in QUICK or (value.op == "div" and not value.operands[1].axes)
