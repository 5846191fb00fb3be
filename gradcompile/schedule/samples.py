"""The sample axis: what there is for every sample, and how often the samples must be passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from math import prod

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Size, Value
from gradcompile.model.affine import never_negative
from gradcompile.passes.share import sample_sizes
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.nodes import NO_GUARDS, Guard, aligned, conditions_of, loop_axes

MANY = 8  # terms of a sum that is rather kept for a later pass than computed again


class Samples:
    """The passes over the samples that the values of a program need.

    `phase` is, for a value with the sample axis, the number of the pass that can first compute it; for another one,
    the number of passes that must have ended before it is known.
    """

    def __init__(self, axis: Axis | None, order: list[Value], guards: Mapping[Value, Guard] = NO_GUARDS) -> None:
        self.axis = axis
        self.phase = self._phases(order, guards)

    def _phases(self, order: list[Value], guards: Mapping[Value, Guard]) -> dict[Value, int]:
        phase: dict[Value, int] = {}
        for value in order:
            known = max((phase[o] for o in value.operands), default=0)
            phase[value] = known + self.crosses(value)
        while late := self._late(order, phase, guards):  # a condition may come later in the order than what it guards
            phase |= late
        return phase

    def _late(self, order: list[Value], phase: dict[Value, int], guards: Mapping[Value, Guard]) -> dict[Value, int]:
        """Return what must wait for further passes, since its operands or its conditions do."""
        late: dict[Value, int] = {}
        for value in order if guards else ():
            needed = (*value.operands, *conditions_of(guards.get(value)))
            known = max((late.get(o, phase[o]) for o in needed), default=0) + self.crosses(value)
            if known > phase[value]:
                late[value] = known
        return late

    def crosses(self, value: Value) -> int:
        """Return 1 if the value needs all samples of an operand: a sum over them, or a read across them."""
        if self.axis is None:
            return 0
        if value.op in REDUCTIONS:
            return int(self.axis in value.attr)
        if value.op == "accumulate":
            return int(self.axis in loop_axes(value) and not aligned(value, self.axis))
        if value.op == "read" and value.operands[0].op != "input":
            return int(not self.reads_own(value))
        return int(value.op in MATRIX_FUNCTIONS and any(self.axis in operand.axes for operand in value.operands))

    def adds_before(self, term: Value) -> bool:
        """Return whether a term adds to few elements what has nothing to do with samples, as at the edge of a grid."""
        few = term.op == "accumulate" and len(loop_axes(term)) < len(term.axes)
        return few and self.axis not in {*loop_axes(term), *term.axes}

    def reads_own(self, value: Value) -> bool:
        """Return whether a read takes of each sample only what belongs to that sample."""
        array, *indices = value.operands
        return all(a != self.axis or i.is_index(a) for a, i in zip(array.axes, indices, strict=True))

    def needed_later(self, graph: Graph, sizes: Container[Size]) -> list[Value]:
        """Return the long sums for each sample that a later pass needs; `sizes` are numbers of samples.

        Such a sum is rather kept than computed again: it is one number, or a row, for as many operations as there are
        samples, or what a product of matrices makes, or equations are solved for; so is a number of a pair of samples,
        where each sample needs one.
        So is what is compared with its own maximum: computed again, it might be rounded in another way. Of few samples,
        what products and functions such as exp make for pairs is kept, too.
        """
        last: dict[Value, int] = {}
        found = self._compared(graph, sizes)
        for value in graph.outputs.values():
            last[value] = self.phase[value]
        for value in reversed(graph.order()):
            pairs = self.streamed(value) and value.op in REDUCTIONS and any(a.size in sizes for a in value.attr)
            pairs = pairs or self._is_costly(value, graph, sizes) or self._is_of_pair(value, sizes)
            pairs = pairs or (self.streamed(value) and value.op in MATRIX_FUNCTIONS)
            own = self.phase[value] - self.crosses(value)  # the first pass that can compute it
            needed = last.get(value, own)
            if pairs and needed > own:
                found.append(value)
            if pairs or self.crosses(value) or not self.streamed(value):
                needed = own
            for operand in value.operands:
                last[operand] = max(last.get(operand, 0), needed)
        return found[::-1]

    def _compared(self, graph: Graph, sizes: Container[Size]) -> list[Value]:
        """Return what is compared with its maximum over samples, or minimum; pairs of samples would be too many."""
        return [
            value
            for value, whole in compared(graph.order())
            if self.crosses(whole) and not any(a.size in sizes for a in value.axes if a != self.axis)
        ]

    def _is_costly(self, value: Value, graph: Graph, sizes: Container[Size]) -> bool:
        """Return whether a value is a long sum of products, or of few pairs of samples a function such as exp."""
        if value.kind != "real" or not self.streamed(value):
            return False
        if not self._has_pairs(value, sizes):
            return self._is_product(value, graph)
        return graph.few and (cost(value) >= ELEMENTARY or self._is_product(value, graph))

    def _is_of_pair(self, value: Value, sizes: Container[Size]) -> bool:
        """Return whether a value is one of the numbers that each sample has for pairs with others."""
        if value.op != "read" or value.axes != (self.axis,) or value.operands[0].op == "input":
            return False
        return self._has_pairs(value.operands[0], sizes)

    def _has_pairs(self, value: Value, sizes: Container[Size]) -> bool:
        """Return whether there is one of a value for each pair of samples."""
        return any(axis.size in sizes for axis in value.axes if axis != self.axis)

    def _is_product(self, value: Value, graph: Graph) -> bool:
        """Return whether a value is a number or a row for each sample, and a sum of many products."""
        if value.op != "sum" or value.operands[0].op != "mul":
            return False
        terms = [graph.length(axis.size) for axis in value.attr]
        known = [term for term in terms if term is not None]
        return len(known) < len(terms) or prod(known) >= MANY

    def streamed(self, value: Value) -> bool:
        """Return whether there is one of the value for every sample."""
        return self.axis is not None and self.axis in value.axes

    def is_row(self, value: Value) -> bool:
        """Return whether a value has several numbers for each sample."""
        return value.kind == "real" and self.axis in value.axes and len(value.axes) > 1


def compared(order: list[Value]) -> list[tuple[Value, Value]]:
    """Return the values that are compared with their own maximum or minimum over axes, with that: its slope does so."""
    return [
        (value, whole)
        for each in order
        if each.op == "eq"
        for value, whole in (each.operands, each.operands[::-1])
        if whole.op in ("max", "min") and whole.operands[0] is value
    ]


def stream_axis(graph: Graph) -> Axis | None:
    """Return the axis to stream over: that of the samples, or else the data's most common first axis.

    In calls whose data have few rows, and long ones, it is the axis along these: see `row_axis`.

    Where the samples of the objective are groups of other samples, it is not theirs: those are more. Nor is it where
    they do nothing but pick elements, and calls have more work for these: see `picked_axis`. Where data are read at
    shifted places alone, as in an autoregression, it is the axis along which they are: of ``n - 8`` samples, or
    ``n - k`` of them.

    Of several such axes that begin as many arrays, one that no array has as its columns. Where data belong to an edge
    of a grid alone, it is the outer axis of the grid.

    Without data it is the axis of all sums, or one that is summed over and is the first of a parameter. Its size is one
    of `gradcompile.passes.share.sample_sizes`, but for sums that are shorter than what they read: ``n - 1``.
    """
    return (row_axis(graph) if graph.wide else None) or _usual_axis(graph)


def _usual_axis(graph: Graph) -> Axis | None:
    """Return the axis to stream over if rows are not longer than there are samples."""
    if graph.sample is not None and not _are_groups(graph, graph.sample):
        return (picked_axis(graph) if graph.picked else None) or graph.sample
    courses = {v.attr.axis for v in graph.order() if v.op == "running"}  # these have a direction
    firsts = Counter(i.axes[0] for i in graph.inputs.values() if i.axes and i.role in ("data", "labels"))
    objective = graph.order([graph.outputs["value"]] if "value" in graph.outputs else None)  # slopes lie as data do
    used = {axis for value in objective if value.op != "input" for axis in value.axes}
    sums = [value for value in graph.order() if value.op == "sum"]
    summed: list[Axis] = [axis for value in sums for axis in value.attr if axis not in courses]
    shorter = [axis for axis in summed if any(_is_shorter(axis.size, first.size) for first in firsts)]
    inner = {axis for value in sums if not {*shorter}.isdisjoint(value.axes) for axis in value.attr}  # as of windows
    candidates = [axis for axis in firsts if axis in used and axis not in courses and axis not in inner]
    if candidates:
        whole = _along_grid(graph, objective, shorter, candidates)
        columns = Counter(a for i in graph.inputs.values() if i.role in ("data", "labels") for a in i.axes[1:])
        return whole or max(candidates, key=lambda axis: (firsts[axis], -columns[axis]))
    if shorter:
        own = {axis.size for i in graph.inputs.values() if i.role == "parameter" for axis in i.axes}
        return next((axis for axis in reversed(shorter) if axis.size not in own), shorter[-1])
    if summed and len({a.size for a in summed}) == 1:
        return summed[-1]
    first = {i.axes[0] for i in graph.inputs.values() if i.axes}
    return next((axis for axis in summed if axis in first), None)


def _along_grid(graph: Graph, objective: list[Value], shorter: list[Axis], edges: list[Axis]) -> Axis | None:
    """Return the outer axis of a grid whose points are read at shifted places, if all other axes are its edges.

    So it is with an equation on a grid that is an argument, where data tell the state at its start.
    """
    loops = [loop_axes(value) for value in objective if value.op not in LEAVES]
    sums: list[tuple[Axis, ...]] = [value.attr for value in objective if value.op == "sum"]
    points = max((axes for axes in sums if not {*shorter}.isdisjoint(axes)), key=len, default=())
    if any(len(axes) >= len(points) for axes in loops if not {*edges}.isdisjoint(axes)):
        return None
    rank = max(len(i.axes) for i in graph.inputs.values())
    rows = [i.axes[0].size for i in graph.inputs.values() if len(i.axes) == rank]
    return next((a for a in points if any(_is_shorter(a.size, size) or a.size == size for size in rows)), None)


def row_axis(graph: Graph) -> Axis | None:
    """Return the axis along which the rows of data lie, where loops may as well stream over it; else None.

    So it is with data by features: blocks of few features would be short, and their rows do not fit into the cache.
    Where a number of each row comes first, as a sum along it, loops that stream along rows would pass these twice.
    """
    usual, order = _usual_axis(graph), graph.order()
    if usual is None or any(value.op == "running" for value in order):
        return None
    used = {axis for value in order if value.op != "input" for axis in value.axes}
    data = [given.axes for given in graph.inputs.values() if given.role == "data" and usual in given.axes]
    rows = Counter(axes[-1] for axes in data if axes[-1] != usual and axes[-1] in used)
    found = [axis for axis in rows if in_blocks(order, axis) and _passes(order, axis) <= _passes(order, usual)]
    return max(found, key=lambda axis: rows[axis], default=None)


def _passes(order: list[Value], axis: Axis) -> int:
    """Return how often loops would pass an axis if they stream over it."""
    phase = Samples(axis, order).phase
    return max((phase[value] for value in order if axis in value.axes), default=0)


def picked_axis(graph: Graph) -> Axis | None:
    """Return the axis of that of which samples do nothing but pick elements; None if there is more to do for samples.

    So it is with the edges of a graph where a network computes something for each node: blocks of edges have no loops
    that would run over many, blocks of nodes have them.
    """
    sample, order = graph.sample, graph.order()
    if sample is None or _has_work(order, sample):
        return None
    picks = (v for v in order if v.op == "read" and sample in v.axes and v.operands[0].op != "input")
    axes = [a for v in picks for a, i in zip(v.operands[0].axes, v.operands[1:], strict=True) if sample in i.axes]
    found = [axis for axis in dict.fromkeys(axes) if axis != sample and in_blocks(order, axis)]
    data, first = sample_sizes(graph), {i.axes[0] for i in graph.inputs.values() if i.axes}  # not a class of each node
    return max(found, key=lambda axis: (axis.size in data, axis in first), default=None)


def _has_work(order: list[Value], axis: Axis) -> bool:
    """Return whether there are loops for each index of an axis, or functions such as exp."""
    own = [value for value in order if value.op not in LEAVES and axis in loop_axes(value)]
    return any(len(loop_axes(value)) > 1 or cost(value) >= ELEMENTARY for value in own)


def _is_shorter(size: Size, whole: Size) -> bool:
    """Return whether a length is another one less a few, or less the length of something else."""
    gone = whole - size
    fewer = gone != Size() and never_negative(gone) is True  # K - 1 of windows of K
    return fewer and any(count > 0 for _, count in size.terms)


def _are_groups(graph: Graph, sample: Axis) -> bool:
    """Return whether the objective is made of sums by group, and of none over the samples."""
    objective = graph.order([graph.outputs["value"]]) if "value" in graph.outputs else []
    sums = [v for v in objective if v.op == "accumulate" and any(i.axes and i.op != "iota" for i in v.operands[1:])]
    return bool(sums) and not any(sample in loop_axes(v) for v in sums)


def in_blocks(order: list[Value], sample: Axis) -> bool:
    """Return whether it pays to take samples in blocks.

    It does where there are loops for each sample, which then run over many; and where functions such as exp are
    computed of what is added at places that data pick: their loop becomes vectors if the adding leaves it.
    """
    if any(v.op in MATRIX_FUNCTIONS and sample in v.operands[0].axes for v in order):
        return False
    loops = (loop_axes(value) for value in order if value.op not in LEAVES)
    if any(sample in axes and len(axes) > 1 for axes in loops):
        return True
    return scatters(order, sample) and any(sample in v.axes and cost(v) >= ELEMENTARY for v in order)


def scatters(order: list[Value], sample: Axis) -> bool:
    """Return whether something is added, for each sample, at a place that data pick."""
    return any(v.op == "accumulate" and sample in loop_axes(v) and not aligned(v, sample) for v in order)
