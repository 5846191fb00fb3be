"""Cutting a program at its sums over samples, so that parts of the samples can be computed apart.

A program with sums over samples becomes *parts* and an *end*. A part computes the sums of some samples; what comes of
all parts is added up; the end makes the outputs of the totals. A program that uses a sum over samples inside of
another one has a part for every pass over the samples, and a later one takes the totals of the earlier ones.

The axis of the samples keeps its size's name in a part, where it is the number of the samples there, and gets one if it
has none, as of the windows of a series; the number of all samples is a further argument, `count`. What a later pass
reads of other samples, an earlier one keeps for all of them (apart.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from gradcompile.ir import MATRIX_FUNCTIONS, Axis, Graph, Input, Size, Value, free_axes
from gradcompile.model.affine import never_negative
from gradcompile.passes.share import sample_sizes
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.apart import Apart, is_name
from gradcompile.schedule.samples import Samples
from gradcompile.substitution import moved

COMBINED = {"sum": "add", "accumulate": "add", "max": "maximum", "min": "minimum", "prod": "multiply"}  # NumPy's names


class Part(NamedTuple):
    """One pass over the samples.

    Parameters
    ----------
    graph : Graph
        Its outputs are the sums of some samples and, after those, what there is for every one of them.
    sums : mapping of str to str
        The output that is a sum, and the NumPy function that combines it from two parts.
    streamed : tuple of str
        The outputs that have the sample axis, as their first: gradients of arrays that do, and what later passes read.
    sliced : mapping of str to Size
        The inputs of which a part takes the entries of its samples; and how many more, after the last of them.
    filled : tuple of str
        Of the streamed ones those that a compiled part fills in place, in arrays that it is given after its inputs:
        what there is for pairs of samples.
    """

    graph: Graph
    sums: Mapping[str, str]
    streamed: tuple[str, ...]
    sliced: Mapping[str, Size]
    filled: tuple[str, ...] = ()

    @property
    def arrays(self) -> dict[str, Input]:
        """The arrays that a compiled part fills in place, by name."""
        axes = {name: self.graph.output_axes(name) for name in self.filled}
        return {name: Input(name, tuple(axis.size for axis in axes[name])) for name in self.filled}


class Parts(NamedTuple):
    """A program in parts.

    Parameters
    ----------
    passes : tuple of Part
        In their order; each may have the sums of earlier ones among its inputs.
    end : Graph
        The outputs that do not have the sample axis, from all sums.
    whole : mapping of str to str
        The sums that are outputs as they are, and which: those are none of the end's.
    number : str
        The input that is the number of all samples.
    start : str
        The input that is the number of a part's first sample.
    sample : Axis
        The axis of the samples.
    size : Size
        The number of all samples.
    every : str
        The name of the number of all samples where it is the size of an axis.
    sources : mapping of str to str
        The array that an input is, where the input has another name.
    """

    passes: tuple[Part, ...]
    end: Graph
    whole: Mapping[str, str]
    number: str
    start: str
    sample: Axis
    size: Size
    every: str
    sources: Mapping[str, str]

    def sizes(self, given: Mapping[str, int]) -> dict[str, int]:
        """Return the named sizes of a call together with those that only parts have."""
        number = self.size.evaluate(given)
        return {**given, str(self.sample.size): number, self.every: number}

    def functions(self, name: str) -> dict[str, Graph]:
        """Return the program of each function that the function `name` is made of, by its name."""
        return {part: each.graph for part, each in self.named(name).items()} | {f"{name}_end": self.end}

    def named(self, name: str) -> dict[str, Part]:
        """Return the passes that the function `name` is made of, by the names of their functions."""
        several = len(self.passes) > 1
        return {f"{name}_part{k if several else ''}": part for k, part in enumerate(self.passes, 1)}


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
    refusal = _refusal(graph, sample)
    if refusal:
        return refusal
    cut = _Cut(graph, sample)
    return cut.refusal() or cut.parts()


def _refusal(graph: Graph, sample: Axis) -> str:
    """Return why a program cannot be cut, whatever it computes of its samples; "" if it can."""
    size, names = sample.size, {name for name, _ in sample.size.terms if is_name(sample.size)}

    def counts(axes: Iterable[Axis]) -> bool:
        return any(axis.size == size or any(name in names for name, _ in axis.size.terms) for axis in axes)

    if not size.terms:
        return "the number of samples is not a size"
    if graph.picked:
        return "what is picked gets terms from all that picks it, which each part would add again"
    if any(counts(i.axes[1:]) and sample not in i.axes[:1] for i in graph.inputs.values()):
        return "the samples are not the first axis of every array that has them"
    if any(counts(v.operands[0].axes) for v in graph.order() if v.op in MATRIX_FUNCTIONS and counts(v.attr)):
        return "samples are read across samples"
    if any(v.op == "running" and counts([v.attr.axis]) for v in graph.order()):
        return "a sum runs along the samples in their order"
    return ""


def _along_samples(graph: Graph, sample: Axis) -> Graph:
    """Return a program whose outputs have the axis of the samples where they had another one of all samples first.

    The gradient of a parameter has the axes of that, and a sum over pairs of samples may have them the other way round.
    """
    outputs, axes = dict(graph.outputs), dict(graph.axes)
    for name, value in graph.outputs.items():
        first, *rest = graph.output_axes(name) or (sample,)
        if first.size == sample.size and sample not in (first, *rest):
            outputs[name] = moved(value, {first: graph.builder.iota(sample)})
            axes[name] = (sample, *rest)
    return replace(graph, outputs=outputs, axes=axes)


class _Cut:
    """The cutting of one program."""

    def __init__(self, graph: Graph, sample: Axis) -> None:
        self.apart = Apart(_along_samples(graph, sample), sample)
        self.graph, self.sample, self.size = self.apart.graph, self.apart.own, sample.size
        self.order = self.graph.order()
        self.samples = Samples(self.sample, self.order)
        self.crossing = [v for v in self.order if self.samples.crosses(v)]
        self.sums = [v for v in self.crossing if v.op in COMBINED]
        self.numbers = {self.apart.whole, *sample_sizes(self.graph)}  # as when nothing is cut: parts keep the same
        self.pairs = self.samples.needed_later(self.graph, {sample.size, *self.numbers})
        self.kept = list(dict.fromkeys([v.operands[0] for v in self.crossing if v.op == "read"] + self.pairs))
        self.count = self.apart.named("samples")
        objective = self.graph.outputs.get("value")
        self.forward = set() if objective is None else set(self.graph.order([objective]))
        self.arrays = self._arrays()
        self.laid = self._laid()
        self.whole = self._whole()
        self.longer = self._longer()
        streamed = [n for n in self.graph.outputs if self._has_samples(self.graph.output_axes(n))]
        self.streamed = [n for n in streamed if n not in self.whole.values()]

    def _has_samples(self, axes: Iterable[Axis]) -> bool:
        return any(self.apart.counts(a.size) for a in axes)

    def _is_own(self, array: Input) -> bool:
        """Return whether a part takes the entries of its samples: the length of such an array tells how many it has."""
        return array.shape[:1] == (self.sample.size,) or array.name in self.apart.windows

    def _longer(self) -> Input | None:
        """Return what tells a part how many samples it has where no array has just these: rows of a longer one."""
        if any(map(self._is_own, self.graph.inputs.values())):
            return None
        arrays = (i for i in self.graph.inputs.values() if i.shape and i.role != "parameter")
        found = next((array for array in arrays if never_negative(array.shape[0] - self.size)), None)
        return None if found is None else self.apart.window(found)

    def refusal(self) -> str:
        """Return why the program cannot be cut; "" if it can."""
        if not self.crossing:
            return "there is no sum over samples"
        if "value" in self.streamed:
            return "there is a value for every sample"
        if not any(map(self._is_own, self.graph.inputs.values())) and self.longer is None:
            return "no array has the samples as its first axis"
        if self.longer and any(axis.size == self.apart.whole for value in self.order for axis in value.axes):
            return "samples are read across samples, and no array has them as its first axis"
        if any(self.graph.output_axes(name)[0] != self.sample for name in self.streamed):
            return "the samples are not the first axis of every gradient that has them"
        if any(v.op not in (*COMBINED, "read") for v in self.crossing):
            return "samples are read across samples"
        kept = [v for v in self.kept if not self.graph.few or v not in self.pairs]
        pairs = [v for v in kept if self._has_samples(a for a in v.axes if a != self.sample)]
        if pairs or any(sum(self._has_samples([a]) for a in v.axes) > 1 for v in self.sums):
            return "pairs of samples are kept"
        if any(v.kind != "real" for v in self.kept):
            return "what is read across samples are no real numbers"
        return ""

    # How it is done

    def parts(self) -> Parts:
        """Return the program in parts."""
        phase, graph = self.samples.phase, self.graph
        last = max([phase[v] - 1 for v in self.crossing] + [phase[graph.outputs[n]] for n in self.streamed])
        passes = tuple(self._part(number) for number in range(last + 1))
        rest = {n: v for n, v in graph.outputs.items() if n not in self.streamed and n not in self.whole.values()}
        end = self._program(rest, self.crossing, tuple(n for n in graph.wrt if f"d{n}" in rest))
        every, apart = str(self.apart.whole), self.apart
        return Parts(passes, end, self.whole, self.count, apart.start, self.sample, self.size, every, apart.sources)

    def _arrays(self) -> dict[Value, Input]:
        """Return the array that each sum over samples becomes, and each value that is kept for all of them.

        Their names are the user's where there is one, or numbers; their axes are not in order yet.
        """
        found: dict[Value, Input] = {}
        for stem, values in (("sum", self.sums), ("each", self.kept)):
            for number, value in enumerate(values, 1):
                name = self.apart.named(self.graph.names.get(value, f"{stem}{number}"))
                found[value] = Input(name, (), value.kind)
        return found

    def _whole(self) -> dict[str, str]:
        """Return the totals that are gradients as they are, and which: there is nothing to make of them."""
        found: dict[str, str] = {}
        for name in [f"d{parameter}" for parameter in self.graph.wrt if f"d{parameter}" in self.graph.outputs]:
            value, axes = self.graph.outputs[name], self.graph.output_axes(name)
            own = self._renamed(value)
            if own and set(axes) <= own.keys():  # not those of a column, which has an axis of one element besides
                value, axes = value.operands[0], tuple(own[a] for a in axes)
            if value in self.sums and self.laid[value] == axes:
                found.setdefault(self.arrays[value].name, name)
        return found

    def _renamed(self, value: Value) -> dict[Axis, Axis] | None:
        """Return the axes of an array by those under which a value has it whole; None for any other value."""
        if value.op != "read":
            return None
        found: dict[Axis, Axis] = {}
        for axis, place in zip(value.operands[0].axes, value.operands[1:], strict=True):
            if place is self.apart.position and axis.size == self.apart.whole:
                found[self.sample] = axis
            elif place.op == "iota" and place.attr.size == axis.size:
                found[place.attr] = axis
        return found if len(found) == len(value.operands) - 1 else None

    def _laid(self) -> dict[Value, tuple[Axis, ...]]:
        """Return the axes of every array, in the order of the first output whose elements it is part of.

        A part then makes its sums in the loops in which the whole program would make the output. An axis over all
        samples comes first: a part takes what belongs to its own.
        """
        laid: dict[Value, tuple[Axis, ...]] = {}
        stack = [(value, self.graph.output_axes(name)) for name, value in reversed(self.graph.outputs.items())]
        seen = set(stack)
        while stack:
            value, axes = stack.pop()
            if value in self.arrays and value not in self.kept:
                if set(value.axes) <= set(axes):
                    laid.setdefault(value, tuple(a for a in axes if a in value.axes))
                continue
            operands = value.operands if value.op in PRIMITIVES else ()
            if own := self._renamed(value):
                operands, axes = value.operands[:1], tuple(own[a] for a in axes if a in own)
            further = [(o, axes) for o in reversed(operands) if (o, axes) not in seen]
            seen.update(further)
            stack += further
        found = {value: laid.get(value, value.axes) for value in self.arrays}
        first = {
            v: sorted(axes, key=lambda a: (not self._has_samples([a]), a != self.sample)) for v, axes in found.items()
        }
        return {value: tuple(axes) for value, axes in first.items()}

    def _part(self, number: int) -> Part:
        """Return the pass over the samples before which `number` passes have been made."""
        phase, graph = self.samples.phase, self.graph
        sums = {self.arrays[v].name: v for v in self.sums if phase[v] == number + 1}
        streamed = {self.arrays[v].name: v for v in self.kept if phase[v] == number}
        streamed |= {n: graph.outputs[n] for n in self.streamed if phase[graph.outputs[n]] == number}
        known = [v for v in self.crossing if phase[v] <= number] + [v for v in self.pairs if phase[v] < number]
        wrt = tuple(n for n in graph.wrt if f"d{n}" in streamed)
        program = self._program(sums | streamed, known, wrt)
        ways = {name: COMBINED[value.op] for name, value in sums.items()}
        sliced = {n: i.shape[0] - self.sample.size for n, i in program.inputs.items() if self._is_own(i)}
        pairs = tuple(n for n, v in streamed.items() if any(a.size in self.numbers for a in v.axes if a != self.sample))
        filled = pairs if len(pairs) < len(program.outputs) else ()  # a function returns something
        return Part(program, ways, tuple(streamed), sliced, filled)

    def _program(self, outputs: dict[str, Value], known: Iterable[Value], wrt: tuple[str, ...]) -> Graph:
        """Return the program of some outputs, with the totals and what is kept of earlier passes as inputs."""
        graph, builder, known = self.graph, self.graph.builder, dict.fromkeys(known)
        count = builder.input(self.count, (), "int")

        def rule(old: Value, operands: tuple[Value, ...]) -> Value | None:
            if old in known and (old.op != "read" or old in self.pairs):
                return self._stored(old, {axis: builder.iota(axis) for axis in old.axes})
            if old in known or (old.op == "read" and old.operands[0] in known):
                return self._stored(old.operands[0], dict(zip(operands[0].axes, operands[1:], strict=True)))
            if old.op == "size" and self.apart.counts(old.attr):
                return self._size(old.attr, count)
            return None

        inner = {n: v for n, v in outputs.items() if v in self.arrays and v not in known}
        names = {v: n for v, n in graph.names.items() if v not in known} | {v: n for n, v in inner.items()}
        backward = {c: v for c, v in graph.cotangents.items() if c not in self.forward}
        axes = graph.axes | {n: self.laid[v] for n, v in inner.items()}
        program = replace(graph, outputs=outputs, axes=axes, wrt=wrt, names=names, cotangents=backward).rewrite(rule)
        if any(self.sample in value.axes for value in program.order()):
            program = replace(program, sample=self.sample)
        arrays = [self._array(v.operands[0] if v.op == "read" and v not in self.pairs else v) for v in known]
        declared = {name: Input(name, (), "int") for name in (self.count, self.apart.start)}
        own = dict(self.sample.size.terms)
        told = {n: i for n, i in graph.inputs.items() if self._is_own(i) or not own.keys() & _names_of(i)}
        told |= {self.longer.name: self.longer} if self.longer else {}
        inputs = {**told, **self.apart.versions(arrays), **declared}
        return replace(program, inputs=_needed(program, inputs | self._telling()))

    def _telling(self) -> dict[str, Input]:
        """Return an array of all samples, by name: its length tells how many there are, if no other array does."""
        given = filter(self._is_own, self.graph.inputs.values())
        return {array.name: array for array in (self.apart.version(each, own=False) for each in list(given)[:1])}

    def _array(self, value: Value) -> Input:
        """Return the array of a sum, or of what is kept, for all samples."""
        whole = self.apart.whole
        shape = tuple(whole if axis == self.sample else axis.size for axis in self.laid[value])
        return self.arrays[value]._replace(shape=shape)

    def _stored(self, value: Value, index: Mapping[Axis, Value]) -> Value:
        """Return what stands at some indices of the array of a value."""
        axes = self.laid[value]
        places = (self.apart.position, self.graph.builder.iota(self.sample))
        own = self._has_samples(axes[:1]) and index[axes[0]] in places
        return self.apart.read(self._array(value), tuple(index[axis] for axis in axes), own=own)

    def _size(self, size: Size, count: Value) -> Value:
        """Return a size as a number in which the number of samples is an input."""
        if size == self.size:
            return count
        rest = Size(tuple(term for term in size.terms if not self.apart.counts(Size((term,)))), size.constant)
        factor = sum(c for term, c in size.terms if self.apart.counts(Size.of(term)))
        number = count if factor == 1 else factor * count
        return number if rest == Size() else number + count.builder.size(rest)


def _names_of(array: Input) -> set[str]:
    """Return the names of which the lengths of an array are made."""
    return {name for size in array.shape for name, _ in size.terms}


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
