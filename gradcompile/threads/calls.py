"""A call in parts: the sums of all chunks, added in their order, pass by pass, and the outputs that come of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradcompile.arguments import Argument, Arguments, is_laid_out, laid_out
from gradcompile.schedule import Part, Parts
from gradcompile.threads import blas, pool
from gradcompile.threads.number import get_threads

Result = Any  # what a kernel returns
Total = list[Any]  # the sums of a pass
Function = Callable[[str], Callable[..., Result]]


class Division(Protocol):
    """How samples are divided."""

    def length(self, sizes: Mapping[str, int]) -> int:
        """Return how many samples a part has, the last one apart; 0 if the samples are not to be divided."""
        ...


class InParts:
    """A function of a program, computed in parts.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    name : {"value", "value_and_grad"}
        The function.
    arguments : Arguments
        What it is called with.
    division : Division
        How samples are divided.
    function : callable
        ``function(name)`` is a function that computes a part, or the end.
    fills : bool
        Whether these functions fill arrays in place, where they are given them.
    """

    def __init__(
        self,
        parts: Parts,
        name: str,
        arguments: Arguments,
        division: Division,
        function: Function,
        *,
        fills: bool = False,
    ) -> None:
        self.parts, self.arguments, self.division, self.function = parts, arguments, division, function
        self.fills = fills
        self.functions = tuple(parts.functions(name))  # all that a call needs to be compiled
        every = [(parts.sources.get(n, n), n in p.sliced) for p in parts.passes for n in p.graph.inputs]
        # What is not taken in chunks alone, so that it is to be laid out before.
        self.whole = {n for n, sliced in every if not sliced}.union(parts.sources.get(n, n) for n in parts.end.inputs)
        self.asked = 0  # how many calls there were
        self._last: tuple[Mapping[str, int], int] = ({}, 0)  # sizes and length, replaced as a whole

    def length(self, arguments: Sequence[Argument]) -> int:
        """Return how many samples a chunk of a call has; 0 if the call is too small for chunks."""
        sizes = self.arguments.sizes(arguments)
        self.asked += 1
        last, length = self._last
        if sizes is not last:
            length = self.division.length(sizes)
            self._last = sizes, length
        return length

    def described(self) -> str:
        """Return in words how the last call was divided, for the plan."""
        (sizes, length), letter = self._last, self.parts.end.letter(self.parts.sample)
        if not sizes:
            return f"threads share the samples {letter} of a large call, in chunks; none has been made yet"
        if not length:
            return f"one thread: the last call was too small for chunks of samples {letter}"
        samples = self.parts.sample.size.evaluate(sizes)
        count = -(-samples // length)
        return f"threads share {count} chunks of {length} samples {letter}; their sums are added in order"

    def __call__(self, *arguments: Argument) -> Result:
        """Return what the function returns, for arguments that it is called with."""
        length, sizes = self.length(arguments), self.parts.sizes(self.arguments.sizes(arguments))
        dtype, samples = self.arguments.dtype, sizes[self.parts.every]
        taken = self.arguments.laid_out(arguments, self.whole)
        given = dict(zip(self.arguments.names, taken, strict=True)) | {self.parts.number: samples}
        with blas.on_one_thread():
            for part, kernel in zip(self.parts.passes, self.functions[:-1], strict=True):
                each = _Pass(self.parts, part, sizes)
                work = _Work(each, self.function(kernel), given, dtype, length, part.filled if self.fills else ())
                totals = pool.total(work.chunk, -(-samples // length), work.combine, get_threads())
                given |= zip(part.sums, totals, strict=True)
                given |= work.streamed
            sources = self.parts.sources
            result = self.function(self.functions[-1])(*[given[sources.get(n, n)] for n in self.parts.end.inputs])
        found = {f"d{name}": given[f"d{name}"] for part in self.parts.passes for name in part.graph.wrt}
        found |= {output: given[total] for total, output in self.parts.whole.items()}
        return self._merged(result, found) if found else result

    def _merged(self, result: Result, found: dict[str, Any]) -> Result:
        """Put the gradients that are at hand where they belong among those of the end."""
        value, gradients = result if self.parts.end.wrt else (result, ())
        every = dict(zip(self.parts.end.wrt, gradients, strict=True))
        every |= {name[1:]: gradient for name, gradient in found.items()}
        return value, tuple(every[name] for name in self.arguments.names if name in every)


class _Given(NamedTuple):
    """An argument of a pass."""

    name: str
    value: Any
    sliced: bool  # whether a chunk takes its rows
    dtype: Any  # of a copy of these, where they are to be laid out; else None

    def taken(self, rows: slice) -> Any:
        """Return what a chunk takes: a copy of some rows stays in the cache, where one of all would not."""
        if not self.sliced:
            return self.value
        return self.value[rows] if self.dtype is None else laid_out(self.name, self.value[rows], self.dtype)


class _Pass(NamedTuple):
    """One pass over the samples, with the sizes that a call has."""

    parts: Parts
    part: Part
    sizes: Mapping[str, int]

    @property
    def samples(self) -> int:
        """How many samples are passed."""
        return self.sizes[self.parts.every]

    def arguments(self, given: Mapping[str, Any], dtype: Any) -> list[_Given]:
        """Return the arguments of the kernel, None for where a chunk starts."""
        start, sources = self.parts.start, self.parts.sources
        found: list[_Given] = []
        for name, declared in self.part.graph.inputs.items():
            value = None if name == start else given[sources.get(name, name)]
            fits = declared.kind == "int" or is_laid_out(value, dtype)
            found.append(_Given(name, value, name in self.part.sliced, None if fits else dtype))
        return found

    def streamed(self, dtype: Any) -> dict[str, Any]:
        """Return arrays for what there is for each sample."""
        graph, made = self.part.graph, dict[str, Any]()
        for name in self.part.streamed:
            rest = (axis.size.evaluate(self.sizes) for axis in graph.output_axes(name)[1:])
            made[name] = np.empty((self.samples, *rest), dtype)
        return made


class _Work:
    """What is to be done in one pass of a call, chunk by chunk."""

    def __init__(
        self,
        each: _Pass,
        kernel: Callable[..., Result],
        given: Mapping[str, Any],
        dtype: Any,
        length: int,
        filled: Collection[str],
    ) -> None:
        self.kernel, self.samples, self.length = kernel, each.samples, length
        self.arguments = each.arguments(given, dtype)
        self.ways = [WAYS[way] for way in each.part.sums.values()]
        self.streamed = each.streamed(dtype)
        self.filled = [self.streamed[name] for name in filled]
        self.copied = [array for name, array in self.streamed.items() if name not in filled]

    def chunk(self, number: int) -> Total:
        """Return the sums of a chunk, and put what there is for each of its samples into its place."""
        start = number * self.length
        rows = slice(start, min(start + self.length, self.samples))
        given = (start if each.value is None else each.taken(rows) for each in self.arguments)
        result = self.kernel(*given, *(array[rows] for array in self.filled))
        sums = list(result) if isinstance(result, tuple) else [result]
        for array, piece in zip(self.copied, sums[len(self.ways) :], strict=True):
            array[rows] = piece
        return sums[: len(self.ways)]

    def combine(self, total: Total, piece: Total) -> Total:
        """Return the sums of two parts."""
        return [way(a, b) for way, a, b in zip(self.ways, total, piece, strict=True)]


# How sums are combined: arrays in place, and nan stays nan.
WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.iadd,
    "multiply": operator.imul,
    "maximum": lambda a, b: np.maximum(a, b)[()],
    "minimum": lambda a, b: np.minimum(a, b)[()],
}
