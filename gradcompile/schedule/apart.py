"""Telling the samples of a part from all samples, in a program that reads what belongs to other samples.

A sum over pairs of samples, a sample beside its neighbours, samples that are numbered: a part of the samples needs more
than its own. The arrays of all samples have an axis whose size has a name of its own, and sample s of a part is sample
``s + start`` of all: ``z[s, r] = Sum(a[s, k]*a_all[r, k], k)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from gradcompile.ir import REDUCTIONS, Axis, Graph, Input, Size, Value, free_name, moved
from gradcompile.primitives import PRIMITIVES


class Apart:
    """A program in which the samples of a part are told from all samples.

    Parameters
    ----------
    graph : Graph
        A program.
    sample : Axis
        The axis of its samples; that of the samples of a part in what comes of it.

    Attributes
    ----------
    graph : Graph
        The program, rewritten.
    whole : Size
        The number of all samples, where it is the length of an axis.
    start : str
        The input that is the number of the first sample of a part.
    position : Value
        The number of each sample of a part among all samples.
    sources : dict of str to str
        The array of a call that an input is, where the input has another name.
    """

    def __init__(self, graph: Graph, sample: Axis) -> None:
        self.sample, self.builder, self._names = sample, graph.builder, {*graph.inputs, *graph.outputs}
        sizes = {name for value in graph.order() for axis in value.axes for name, _ in axis.size.terms}
        self.whole = Size.of(free_name(f"{sample.size}_all", sizes))
        self.start = self.named("start")
        self.position = self.builder.iota(sample) + self.builder.input(self.start, (), "int")
        self.sources: dict[str, str] = {}
        self._inputs = dict(graph.inputs)
        self._versions: dict[tuple[str, bool], Input] = {}
        self._everywhere: dict[Value, Value] = {}  # what is computed for all samples at once: along their axis
        self.graph = self._rewritten(_read_at_samples(graph, sample))

    def counts(self, size: Size) -> bool:
        """Return whether a size depends on the number of samples: of a part, or of all."""
        names = {name for each in (self.sample.size, self.whole) for name, _ in each.terms}
        return any(name in names for name, _ in size.terms)

    def named(self, name: str) -> str:
        """Return a name that no input has, and keep it."""
        found = free_name(name, self._names)
        self._names.add(found)
        return found

    def version(self, array: Input, *, own: bool) -> Input:
        """Return an input that is an array, or with `own` the samples of a part of it; its first axis is theirs."""
        if not any(map(self.counts, array.shape)):
            return array
        key = array.name, own
        if key not in self._versions:
            name = array.name if own else self.named(f"{array.name}_all")
            first = self.sample.size if own else self._size(array.shape[0])
            self.sources[name] = array.name
            self._versions[key] = array._replace(name=name, shape=(first, *map(self._size, array.shape[1:])))
        return self._versions[key]

    def versions(self, arrays: Iterable[Input]) -> dict[str, Input]:
        """Return the inputs that have been made of some arrays, by name; an array of no samples is its own."""
        found = {array.name: array for array in arrays if not any(map(self.counts, array.shape))}
        names = {array.name for array in arrays}
        return found | {made.name: made for (name, _), made in self._versions.items() if name in names}

    def read(self, array: Input, places: tuple[Value, ...], *, own: bool) -> Value:
        """Return what stands at some places of an array, or with `own` of the samples of a part of it."""
        version = self.version(array, own=own)
        first = (self.builder.iota(self.sample),) if own else places[:1]
        return self.builder.read(self.builder.input(version.name, version.axes, version.kind), (*first, *places[1:]))

    # The rewriting

    def _rewritten(self, graph: Graph) -> Graph:
        new: dict[Value, Value] = {}
        for value in graph.order():
            rule = RULES.get(value.op) or (Apart._reduction if value.op in REDUCTIONS else Apart._same)
            found = new[value] = rule(self, value, tuple([new[o] for o in value.operands]))
            if found.origin is None:
                found.origin = value.origin
        inputs = {**self._inputs, **{each.name: each for each in self._versions.values()}}
        return replace(
            graph,
            inputs=inputs,
            outputs={name: new[value] for name, value in graph.outputs.items()},
            names={new[value]: name for value, name in graph.names.items() if value in new},
            letters={self._axis(axis): letter for axis, letter in graph.letters.items()},
            axes={name: tuple(map(self._axis, graph.output_axes(name))) for name in graph.outputs},
            cotangents={new[c]: new[v] for c, v in graph.cotangents.items() if c in new and v in new},
        )

    def _size(self, size: Size) -> Size:
        """Return a size in which the number of samples is that of all."""
        terms = {name: count for name, count in size.terms if name not in dict(self.sample.size.terms)}
        rest = Size(tuple(terms.items()), size.constant)
        return rest + self.whole * sum(count for name, count in size.terms if name not in terms)

    def _axis(self, axis: Axis) -> Axis:
        """Return an axis: that of the samples of the part, or one over all samples."""
        return axis if axis == self.sample else replace(axis, size=self._size(axis.size))

    def _same(self, value: Value, operands: tuple[Value, ...]) -> Value:
        return self.builder.rebuild(value, operands)

    def _input(self, value: Value, _: tuple[Value, ...]) -> Value:
        places = tuple(self._iota_of(axis) for axis in value.axes)
        return self.read(self._inputs[value.attr], places, own=self.sample in value.axes[:1])

    def _iota(self, value: Value, _: tuple[Value, ...]) -> Value:
        return self._iota_of(value.attr)

    def _iota_of(self, axis: Axis) -> Value:
        """Return the index of an axis, among all samples where these are what it counts."""
        return self.position if axis == self.sample else self.builder.iota(self._axis(axis))

    def _reduction(self, value: Value, operands: tuple[Value, ...]) -> Value:
        return self.builder.reduce(value.op, operands[0], map(self._axis, value.attr))

    def _read(self, value: Value, operands: tuple[Value, ...]) -> Value:
        array = value.operands[0]
        if array.op == "input":
            own = array.axes[0].size == self.sample.size and value.operands[1].is_index(self.sample)
            return self.read(self._inputs[array.attr], operands[1:], own=own)
        if array in self._everywhere:
            return self.builder.read(self._everywhere[array], operands[1:])
        return self.builder.read(operands[0], self._places(array.axes, operands[1:]))

    def _accumulate(self, value: Value, operands: tuple[Value, ...]) -> Value:
        places = self._places(value.attr, operands[1:])
        own = self.builder.iota(self.sample)
        if all(axis != self.sample or place is own for axis, place in zip(value.attr, places, strict=True)):
            return self.builder.accumulate(operands[0], places, tuple(map(self._axis, value.attr)))
        every = tuple(replace(axis, size=self._size(axis.size)) for axis in value.attr)
        found = self.builder.accumulate(operands[0], operands[1:], every)
        self._everywhere[value] = found
        return self.builder.read(found, map(self._iota_of, value.attr))

    def _places(self, axes: tuple[Axis, ...], places: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return the indices of an array that has what belongs to the samples of a part: those are numbered from 0."""
        own = self.builder.iota(self.sample)
        return tuple(
            own if axis == self.sample and place is self.position else place
            for axis, place in zip(axes, places, strict=True)
        )


def _read_at_samples(graph: Graph, sample: Axis) -> Graph:
    """Return a program that computes what it reads at its samples of arithmetic: of all of it, a part needs only that.

    That is done before samples are told apart: what belongs to sample s becomes what belongs to another one, r, which
    need not be one of the part.
    """
    own = graph.builder.iota(sample)

    def rule(old: Value, operands: tuple[Value, ...]) -> Value | None:
        if old.op != "read" or operands[0].op not in PRIMITIVES or own not in operands[1:]:
            return None
        return moved(operands[0], dict(zip(operands[0].axes, operands[1:], strict=True)))

    return graph.rewrite(rule)


RULES: dict[str, Callable[[Apart, Value, tuple[Value, ...]], Value]] = {
    "input": Apart._input,
    "iota": Apart._iota,
    "read": Apart._read,
    "accumulate": Apart._accumulate,
}
