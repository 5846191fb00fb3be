"""Telling the samples of a part from all samples, in a program that reads what belongs to other samples.

A sum over pairs of samples, a sample beside its neighbours, samples that are numbered: a part of the samples needs more
than its own. The arrays of all samples have an axis whose size has a name of its own, and sample s of a part is sample
``s + start`` of all: ``z[s, r] = Sum(a[s, k]*a_all[r, k], k)``. So has the axis of the samples of a part, where their
number is a difference of sizes, as that of the windows of a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from gradcompile.affine import affine, extremes
from gradcompile.ir import REDUCTIONS, Axis, Graph, Input, Size, Value, free_name
from gradcompile.model.affine import never_negative
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import moved


class Apart:
    """A program in which the samples of a part are told from all samples.

    Parameters
    ----------
    graph : Graph
        A program.
    sample : Axis
        The axis of its samples.

    Attributes
    ----------
    graph : Graph
        The program, rewritten.
    own : Axis
        The axis of the samples of a part.
    whole : Size
        The number of all samples, where it is the length of an axis.
    start : str
        The input that is the number of the first sample of a part.
    position : Value
        The number of each sample of a part among all samples.
    windows : dict of str to Size
        The inputs that are rows of longer arrays, from the first sample of a part on; and how many more than samples.
    sources : dict of str to str
        The array of a call that an input is, where the input has another name.
    """

    def __init__(self, graph: Graph, sample: Axis) -> None:
        self.sample, self.builder, self._names = sample, graph.builder, {*graph.inputs, *graph.outputs}
        sizes = {name for value in graph.order() for axis in value.axes for name, _ in axis.size.terms}
        size = sample.size if is_name(sample.size) else Size.of(free_name("windows", sizes))
        self.own = replace(sample, size=size)
        self.whole = Size.of(free_name(f"{size}_all", sizes))
        self.start = self.named("start")
        self.position = self.builder.iota(self.own) + self.builder.input(self.start, (), "int")
        self.windows: dict[str, Size] = {}
        self.sources: dict[str, str] = {}
        self._inputs = dict(graph.inputs)
        self._versions: dict[tuple[str, bool], Input] = {}
        self._everywhere: dict[Value, Value] = {}  # what is computed for all samples at once: along their axis
        self.graph = self._rewritten(_read_at_samples(graph, sample))

    def counts(self, size: Size) -> bool:
        """Return whether a size depends on the number of samples: of a part, or of all."""
        names = {name for each in (self.own.size, self.whole) for name, _ in each.terms}
        return size == self.sample.size or any(name in names for name, _ in size.terms)

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
            first = self.own.size if own else self._size(array.shape[0])
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
        first = (self.builder.iota(self.own),) if own else places[:1]
        return self.builder.read(self.builder.input(version.name, version.axes, version.kind), (*first, *places[1:]))

    def window(self, array: Input) -> Input:
        """Return an input that is the rows of a longer array that the samples of a part can read."""
        found = next((each for each in self.windows if self.sources[each] == array.name), None)
        name = found or self.named(f"{array.name}_part")
        self.sources[name], self.windows[name] = array.name, array.shape[0] - self.sample.size
        return array._replace(name=name, shape=(self.own.size + self.windows[name], *array.shape[1:]))

    # The rewriting

    def _rewritten(self, graph: Graph) -> Graph:
        new: dict[Value, Value] = {}
        for value in graph.order():
            rule = RULES.get(value.op) or (Apart._reduction if value.op in REDUCTIONS else Apart._same)
            found = new[value] = rule(self, value, tuple([new[o] for o in value.operands]))
            if found.origin is None:
                found.origin = value.origin
        inputs = {**self._inputs, **{each.name: each for each in self._versions.values()}}
        inputs |= {name: self.window(self._inputs[self.sources[name]]) for name in self.windows}
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
        if not is_name(self.sample.size):
            return self.whole if size == self.sample.size else size
        terms = {name: count for name, count in size.terms if name not in dict(self.sample.size.terms)}
        rest = Size(tuple(terms.items()), size.constant)
        return rest + self.whole * sum(count for name, count in size.terms if name not in terms)

    def _axis(self, axis: Axis) -> Axis:
        """Return an axis: that of the samples of the part, or one over all samples."""
        return self.own if axis == self.sample else replace(axis, size=self._size(axis.size))

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
            if self._in_window(array, value.operands[1]):
                window = self.window(self._inputs[array.attr])
                rows = self.builder.input(window.name, window.axes, window.kind)
                return self.builder.read(rows, (self._in_part(value.operands[1]), *operands[2:]))
            own = array.axes[0].size == self.sample.size and value.operands[1].is_index(self.sample)
            return self.read(self._inputs[array.attr], operands[1:], own=own)
        if array in self._everywhere:
            return self.builder.read(self._everywhere[array], operands[1:])
        return self.builder.read(operands[0], self._places(array.axes, operands[1:]))

    def _in_window(self, array: Value, index: Value) -> bool:
        """Return whether an index of a longer array goes on with the samples, and never leaves it: ``x[s + k]``."""
        more, form = array.axes[0].size - self.sample.size, affine(index)
        if more == Size() or not never_negative(more) or form is None or form[0].get(self.sample) != 1:
            return False
        lowest, highest = extremes(form)
        return never_negative(lowest) is True and never_negative(array.axes[0].size - 1 - highest) is True

    def _in_part(self, index: Value) -> Value:
        """Return an index that is made of axes, with the samples counted from the first of a part."""
        if index.op == "iota":
            return self.builder.iota(self._axis(index.attr))
        return self.builder.rebuild(index, tuple(map(self._in_part, index.operands)))

    def _accumulate(self, value: Value, operands: tuple[Value, ...]) -> Value:
        places = self._places(value.attr, operands[1:])
        own = self.builder.iota(self.own)
        if all(axis != self.sample or place is own for axis, place in zip(value.attr, places, strict=True)):
            return self.builder.accumulate(operands[0], places, tuple(map(self._axis, value.attr)))
        every = tuple(replace(axis, size=self._size(axis.size)) for axis in value.attr)
        found = self.builder.accumulate(operands[0], operands[1:], every)
        self._everywhere[value] = found
        return self.builder.read(found, map(self._iota_of, value.attr))

    def _places(self, axes: tuple[Axis, ...], places: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return the indices of an array that has what belongs to the samples of a part: those are numbered from 0."""
        own = self.builder.iota(self.own)
        return tuple(
            own if axis == self.sample and place is self.position else place
            for axis, place in zip(axes, places, strict=True)
        )


def is_name(size: Size) -> bool:
    """Return whether a size is one of its own, and not a sum of others or a number."""
    return not size.constant and [count for _, count in size.terms] == [1]


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
