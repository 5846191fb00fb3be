"""Cutting a program at its sums over samples, so that parts of the samples can be computed apart.

A program with sums over samples becomes *parts* and an *end*. A part computes the sums of some samples; what comes of
all parts is added up; the end makes the outputs of the totals. A program that uses a sum over samples inside of
another one has a part for every pass over the samples, and a later one takes the totals of the earlier ones.

The axis of the samples keeps its size's name in a part, where it is the number of the samples there; the number of
all samples is a further argument, `count`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gradcompile.ir import Axis, Graph, Input, Size, Value, free_axes, free_name
from gradcompile.passes.share import is_renaming
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.samples import Samples

COMBINED = {"sum": "add", "accumulate": "add", "max": "maximum", "min": "minimum", "prod": "multiply"}  # NumPy's names


@dataclass(frozen=True)
class Part:
    """One pass over the samples.

    Parameters
    ----------
    graph : Graph
        Its outputs are the sums of some samples and, after those, what there is for every one of them.
    sums : mapping of str to str
        The output that is a sum, and the NumPy function that combines it from two parts.
    streamed : tuple of str
        The outputs that have the sample axis, as their first: gradients of arrays that do.
    sliced : frozenset of str
        The inputs of which a part takes the entries of its samples.
    """

    graph: Graph
    sums: Mapping[str, str]
    streamed: tuple[str, ...]
    sliced: frozenset[str]


@dataclass(frozen=True)
class Parts:
    """A program in parts.

    Parameters
    ----------
    passes : tuple of Part
        In their order; each may have the sums of earlier ones among its inputs.
    end : Graph
        The outputs that do not have the sample axis, from all sums.
    whole : mapping of str to str
        The sums that are outputs as they are, and which: those are none of the end's.
    count : str
        The input that is the number of all samples.
    sample : Axis
        The axis of the samples.
    """

    passes: tuple[Part, ...]
    end: Graph
    whole: Mapping[str, str]
    count: str
    sample: Axis

    def functions(self, name: str) -> dict[str, Graph]:
        """Return the program of each function that the function `name` is made of, by its name."""
        several = len(self.passes) > 1
        parts = {f"{name}_part{k if several else ''}": part.graph for k, part in enumerate(self.passes, 1)}
        return parts | {f"{name}_end": self.end}


def in_parts(graph: Graph, sample: Axis | None) -> Parts | str:
    """Return a program in parts; or, where it cannot be cut, the reason in words.

    Parameters
    ----------
    graph : Graph
        After the passes, with or without a backward half.
    sample : Axis or None
        The axis that the schedule streams over.
    """
    if sample is None:
        return "there are no samples"
    cut = _Cut(graph, sample)
    return cut.refusal() or cut.parts()


class _Cut:
    """The cutting of one program."""

    def __init__(self, graph: Graph, sample: Axis) -> None:
        self.graph, self.sample = graph, sample
        self.order = graph.order()
        self.samples = Samples(sample, self.order)
        self.crossing = [v for v in self.order if self.samples.crosses(v)]
        self.streamed = [n for n in graph.outputs if any(self._counts(a.size) for a in graph.output_axes(n))]
        self.sliced = {n for n, i in graph.inputs.items() if any(map(self._counts, i.shape))}
        self.count = free_name("samples", graph.inputs)
        objective = graph.outputs.get("value")
        self.forward = set() if objective is None else set(graph.order([objective]))
        self.totals = self._totals()
        self.laid = self._laid()

    def _counts(self, size: Size) -> bool:
        """Return whether a size depends on the number of samples."""
        names = {name for name, _ in self.sample.size.terms}
        return any(name in names for name, _ in size.terms)

    # Whether it can be done

    def refusal(self) -> str:
        """Return why the program cannot be cut; "" if it can."""
        size = self.sample.size
        if size.constant or [count for _, count in size.terms] != [1]:
            return "the number of samples is not a size of its own"
        if not self.crossing:
            return "there is no sum over samples"
        if "value" in self.streamed:
            return "there is a value for every sample"
        if any(v.op not in COMBINED or self._has_samples(v.axes) for v in self.crossing):
            return "samples are read across samples"
        if any(self._counts(a.size) and a != self.sample for a in free_axes(self.order)):
            return "samples meet samples"
        if any(self._has_samples(i.axes[1:]) for i in self.graph.inputs.values()):
            return "the samples are not the first axis of every array that has them"
        if any(self._numbers_samples(v) for v in self.order):
            return "the number of a sample is used as a number"
        return ""

    def _has_samples(self, axes: Iterable[Axis]) -> bool:
        return any(self._counts(a.size) for a in axes)

    def _numbers_samples(self, value: Value) -> bool:
        """Return whether a value uses the index of a sample other than to find what belongs to the sample."""
        if value.op == "read":
            places, arrays = value.operands[1:], value.operands[0].axes
        elif value.op == "accumulate":
            places, arrays = value.operands[1:], value.attr
        else:
            places, arrays = (), ()
        own = {place for place, axis in zip(places, arrays, strict=True) if self._counts(axis.size)}
        if any(not (place.op == "iota" and place.attr == self.sample) for place in own):
            return True  # an array of samples is read at other places
        others = [o for k, o in enumerate(value.operands) if not (places and k and self._counts(arrays[k - 1].size))]
        return any(o.op == "iota" and o.attr == self.sample for o in others)

    # How it is done

    def parts(self) -> Parts:
        """Return the program in parts."""
        phase, graph = self.samples.phase, self.graph
        last = max([phase[v] - 1 for v in self.crossing] + [phase[graph.outputs[n]] for n in self.streamed])
        passes = tuple(self._part(number) for number in range(last + 1))
        whole = self._whole()
        kept = {n: v for n, v in graph.outputs.items() if n not in self.streamed and n not in whole.values()}
        wrt = tuple(n for n in graph.wrt if f"d{n}" in kept)
        return Parts(passes, self._program(kept, self.crossing, wrt), whole, self.count, self.sample)

    def _whole(self) -> dict[str, str]:
        """Return the totals that are gradients as they are, and which: there is nothing to make of them."""
        found: dict[str, str] = {}
        for name in [f"d{parameter}" for parameter in self.graph.wrt if f"d{parameter}" in self.graph.outputs]:
            value, axes = self.graph.outputs[name], self.graph.output_axes(name)
            if is_renaming(value):
                own = {place.attr: a for a, place in zip(value.operands[0].axes, value.operands[1:], strict=True)}
                value, axes = value.operands[0], tuple(own[a] for a in axes)
            if value in self.totals and self.laid[value] == axes:
                found.setdefault(self.totals[value], name)
        return found

    def _totals(self) -> dict[Value, str]:
        """Return the name of every sum over samples: the user's where there is one, or a number."""
        taken = {*self.graph.inputs, *self.graph.outputs, self.count}
        names: dict[Value, str] = {}
        for number, value in enumerate(self.crossing, 1):
            names[value] = free_name(self.graph.names.get(value, f"sum{number}"), taken)
            taken.add(names[value])
        return names

    def _laid(self) -> dict[Value, tuple[Axis, ...]]:
        """Return the axes of every sum over samples, in the order of the first output whose elements it is part of.

        A part then makes its sums in the loops in which the whole program would make the output.
        """
        laid: dict[Value, tuple[Axis, ...]] = {}
        stack = [(value, self.graph.output_axes(name)) for name, value in reversed(self.graph.outputs.items())]
        seen = set(stack)
        while stack:
            value, axes = stack.pop()
            if value in self.totals:
                if set(value.axes) <= set(axes):
                    laid.setdefault(value, tuple(a for a in axes if a in value.axes))
                continue
            operands = value.operands if value.op in PRIMITIVES else ()
            if is_renaming(value):
                own = {place.attr: a for a, place in zip(value.operands[0].axes, value.operands[1:], strict=True)}
                operands, axes = value.operands[:1], tuple(own[a] for a in axes if a in own)
            further = [(o, axes) for o in reversed(operands) if (o, axes) not in seen]
            seen.update(further)
            stack += further
        return {value: laid.get(value, value.axes) for value in self.totals}

    def _part(self, number: int) -> Part:
        """Return the pass over the samples before which `number` passes have been made."""
        phase, graph = self.samples.phase, self.graph
        sums = {self.totals[v]: v for v in self.crossing if phase[v] == number + 1}
        streamed = [n for n in self.streamed if phase[graph.outputs[n]] == number]
        known = [v for v in self.crossing if phase[v] <= number]
        outputs = sums | {n: graph.outputs[n] for n in streamed}
        wrt = tuple(n for n in graph.wrt if f"d{n}" in streamed)
        program = self._program(outputs, known, wrt)
        ways = {name: COMBINED[value.op] for name, value in sums.items()}
        return Part(program, ways, tuple(streamed), frozenset(self.sliced & program.inputs.keys()))

    def _program(self, outputs: dict[str, Value], known: Iterable[Value], wrt: tuple[str, ...]) -> Graph:
        """Return the program of some outputs, with the totals that are known as inputs."""
        graph, builder = self.graph, self.graph.builder
        known = {v: Input(self.totals[v], tuple(a.size for a in self.laid[v]), v.kind) for v in known}
        inputs = {v: builder.input(declared.name, declared.axes, v.kind) for v, declared in known.items()}
        count = builder.input(self.count, (), "int")

        def rule(old: Value, _: tuple[Value, ...]) -> Value | None:
            if old in inputs:
                return _under_own_axes(inputs[old], self.laid[old])
            if old.op == "size" and self._counts(old.attr):
                return self._size(old.attr, count)
            return None

        names = {v: n for v, n in graph.names.items() if v not in inputs}
        names |= {v: n for n, v in outputs.items() if v in self.totals and v not in inputs}
        backward = {c: v for c, v in graph.cotangents.items() if c not in self.forward}
        axes = graph.axes | {n: self.laid[v] for n, v in outputs.items() if v in self.totals and v not in inputs}
        program = replace(graph, outputs=outputs, axes=axes, wrt=wrt, names=names, cotangents=backward).rewrite(rule)
        declared = {total.name: total for total in known.values()}
        declared[self.count] = Input(self.count, (), "int")
        return replace(program, inputs=_needed(program, {**graph.inputs, **declared}))

    def _size(self, size: Size, count: Value) -> Value:
        """Return a size as a number in which the number of samples is an input."""
        rest = Size(tuple(term for term in size.terms if not self._counts(Size((term,)))), size.constant)
        factor = sum(c for term, c in size.terms if self._counts(Size.of(term)))
        number = count if factor == 1 else factor * count
        return number if rest == Size() else number + count.builder.size(rest)


def _under_own_axes(array: Value, axes: tuple[Axis, ...]) -> Value:
    """Return an input, whose axes are numbered by its dimensions, under the axes of what it stands for."""
    return array.builder.read(array, map(array.builder.iota, axes))


def _needed(program: Graph, inputs: Mapping[str, Input]) -> dict[str, Input]:
    """Return the inputs that a program uses, the parameters whose gradients it returns, and those that tell a size."""
    order = program.order()
    used = {v.attr for v in order if v.op == "input"} | set(program.wrt)
    axes = [*free_axes(order), *(a for name in used for a in inputs[name].axes)]
    sizes = [*(a.size for a in axes), *(v.attr for v in order if v.op == "size")]
    told = {name for each in used for size in inputs[each].shape for name, _ in size.terms}
    for name, declared in inputs.items():
        tells = {term for size in declared.shape for term, _ in size.terms}
        if tells & {term for size in sizes for term, _ in size.terms} - told:
            used.add(name)
            told |= tells
    return {name: declared for name, declared in inputs.items() if name in used}
