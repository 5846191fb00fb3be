"""A call in parts: the sums of all chunks, added in their order, pass by pass, and the outputs that come of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradcompile.arguments import Argument, Arguments, is_laid_out, laid_out
from gradcompile.ir import Size
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
        self.functions = tuple(parts.functions(name))  # all that a call needs to be compiled
        self.passes = [_Pass(parts, part, fills=fills) for part in parts.passes]
        self.ends = [parts.sources.get(n, n) for n in parts.end.inputs]
        # What is not taken in chunks alone, so that it is to be laid out before.
        self.whole = {each.source for one in self.passes for each in one.inputs if each.more is None}.union(self.ends)
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
        samples = self.parts.size.evaluate(sizes)
        count = -(-samples // length)
        return f"threads share {count} chunks of {length} samples {letter}; their sums are added in order"

    def __call__(self, *arguments: Argument) -> Result:
        """Return what the function returns, for arguments that it is called with."""
        length, sizes = self.length(arguments), self.parts.sizes(self.arguments.sizes(arguments))
        samples = sizes[self.parts.every]
        taken = self.arguments.laid_out(arguments, self.whole)
        given = dict(zip(self.arguments.names, taken, strict=True)) | {self.parts.number: samples}
        with blas.on_one_thread():
            for each, kernel in zip(self.passes, self.functions[:-1], strict=True):
                streamed = each.arrays(sizes, self.arguments.dtype) if each.streamed else {}
                work = _Work(
                    each, self.function(kernel), given, streamed, self.arguments.dtype, (sizes, samples, length)
                )
                totals = pool.total(work.chunk, -(-samples // length), each.combine, get_threads())
                given |= zip(each.sums, totals, strict=True)
                given |= streamed
            result = self.function(self.functions[-1])(*[given[name] for name in self.ends])
        found = {f"d{name}": given[f"d{name}"] for each in self.passes for name in each.wrt}
        found |= {output: given[total] for total, output in self.parts.whole.items()}
        return self._merged(result, found) if found else result

    def _merged(self, result: Result, found: dict[str, Any]) -> Result:
        """Put the gradients that are at hand where they belong among those of the end."""
        value, gradients = result if self.parts.end.wrt else (result, ())
        every = dict(zip(self.parts.end.wrt, gradients, strict=True))
        every |= {name[1:]: gradient for name, gradient in found.items()}
        return value, tuple(every[name] for name in self.arguments.names if name in every)


class _Input(NamedTuple):
    """An input of a pass."""

    name: str
    source: str  # what it is called among the arguments, the sums and the arrays of passes before
    more: Size | None  # how many rows a chunk takes beside those of its samples; None if it takes all
    real: bool
    starts: bool  # whether it is where the chunk starts


class _Pass:
    """One pass over the samples: what is known of it before any call.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    part : Part
        The pass.
    fills : bool
        Whether its kernel fills arrays in place, where it is given them.
    """

    def __init__(self, parts: Parts, part: Part, *, fills: bool) -> None:
        self.graph, self.streamed, self.wrt = part.graph, part.streamed, part.graph.wrt
        self.filled = part.filled if fills else ()
        self.sums, self.ways = tuple(part.sums), [WAYS[way] for way in part.sums.values()]
        self.inputs = [
            _Input(name, parts.sources.get(name, name), part.sliced.get(name), each.kind != "int", name == parts.start)
            for name, each in part.graph.inputs.items()
        ]

    def arrays(self, sizes: Mapping[str, int], dtype: Any) -> dict[str, Any]:
        """Return arrays for what there is for each sample."""
        axes = {name: self.graph.output_axes(name) for name in self.streamed}
        return {name: np.empty([a.size.evaluate(sizes) for a in each], dtype) for name, each in axes.items()}

    def combine(self, total: Total, piece: Total) -> Total:
        """Return the sums of two parts."""
        return [way(a, b) for way, a, b in zip(self.ways, total, piece, strict=True)]


class _Work:
    """What is to be done in one pass of a call, chunk by chunk.

    Parameters
    ----------
    each : _Pass
        The pass.
    kernel : callable
        Its function.
    given : mapping of str to argument
        What there is by now: arguments, sums, and arrays of passes before.
    streamed : mapping of str to array
        Where to put what there is for each sample.
    dtype : dtype
        Of arrays of reals.
    counts : (mapping of str to int, int, int)
        The named sizes; how many samples there are, and how many of them a chunk has.
    """

    def __init__(
        self,
        each: _Pass,
        kernel: Callable[..., Result],
        given: Mapping[str, Any],
        streamed: Mapping[str, Any],
        dtype: Any,
        counts: tuple[Mapping[str, int], int, int],
    ) -> None:
        self.kernel, self.sums, (sizes, self.samples, self.length) = kernel, len(each.sums), counts
        values = [None if i.starts else given[i.source] for i in each.inputs]
        # With each the rows that a chunk takes beside its own, and the dtype of a copy: one of some rows stays in the
        # cache, where one of all would not.
        self.arguments: list[tuple[_Input, Any, int | None, Any]] = [
            (
                i,
                value,
                None if i.more is None else i.more.evaluate(sizes),
                dtype if i.more is not None and i.real and not is_laid_out(value, dtype) else None,
            )
            for i, value in zip(each.inputs, values, strict=True)
        ]
        self.filled = [streamed[name] for name in each.filled]
        self.copied = [array for name, array in streamed.items() if name not in each.filled]

    def chunk(self, number: int) -> Total:
        """Return the sums of a chunk, and put what there is for each of its samples into its place."""
        start = number * self.length
        end = min(start + self.length, self.samples)
        rows = slice(start, end)
        given = [
            (start if i.starts else value)
            if more is None
            else (value[start : end + more] if dtype is None else laid_out(i.name, value[start : end + more], dtype))
            for i, value, more, dtype in self.arguments
        ]
        result = self.kernel(*given, *[array[rows] for array in self.filled])
        sums = list(result) if isinstance(result, tuple) else [result]
        for array, piece in zip(self.copied, sums[self.sums :], strict=True):
            array[rows] = piece
        return sums[: self.sums]


# How sums are combined: arrays in place, and nan stays nan.
WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.iadd,
    "multiply": operator.imul,
    "maximum": lambda a, b: np.maximum(a, b)[()],
    "minimum": lambda a, b: np.minimum(a, b)[()],
}
