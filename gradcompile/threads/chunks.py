"""How samples are divided into chunks: by the work that there is, never by the number of threads.

A chunk is large enough that handing it to a thread, computing once more what all samples share, and adding its sums to
those of the others cost little beside it. Work that is not enough for two chunks is done as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from gradcompile.ir import Axis, Graph
from gradcompile.schedule import Parts, loop_axes
from gradcompile.schedule.costs import cost
from gradcompile.threads.products import Products

MULTIPLIED = 3  # pairs of numbers that BLAS multiplies and adds in the time of one operation of a loop
CHUNK = 5_000_000  # operations of a pass, 0.1 to 0.6 ms: ten times what it costs to hand a chunk to a thread, or more
FEWEST = 3  # times as much, below which there are no chunks
LEAST = 6  # times as much, below which a call is not divided: all around its chunks takes 0.2 ms of a call of 0.6 ms
LOADED = 16  # operations in the time of one number of the data: loops that do less with each wait for memory
TURNS = 4  # chunks, of which there are a multiple: as many for each of two threads, or of four
MOST = 64  # chunks: enough to keep many threads busy to the end
SHARED = 16  # times the work that every chunk does again
RETURNED = 600_000  # for each of its sums: what a kernel returns is an array of Python's, which Python adds to another
SUMMED = 128  # times the elements of its sums, zeroed, written and read once more; of products of matrices, fewer times
SPENT = 256  # as many times, where there are more than four chunks: to add their sums up takes a tenth of the time then
# The length of a chunk is a multiple of the largest of these of which there are eight in all samples: kernels take that
# many samples at once, spend as much time on fewer of them, and below the smallest, matrix products are slow. Where
# pairs of samples are kept, these are few, and the largest will do.
BLOCKS = (128, 64, 32)
MEMORY = 1 << 28  # bytes that the sums of all chunks take at most
ROWS = 1 << 23  # bytes of a chunk's rows of data, which are copied where they do not lie as kernels want them


class Chunks:
    """Divides the samples of one program's calls.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.sample = parts, parts.sample
        self.works = [Work(part.graph, parts.sample) for part in parts.passes]
        self.pairs = any(part.filled for part in parts.passes)
        self.sums = [part.graph.outputs[name] for part in parts.passes for name in part.sums]
        given = {name: part.graph.inputs[name] for part in parts.passes for name in part.sliced}
        self.rows = [each.shape[1:] for each in given.values()]
        self.products = frozenset(value for work in self.works for value in work.products)

    def length(self, sizes: Mapping[str, int]) -> int:
        """Return the number of samples of a chunk, the last one apart; 0 if there are to be no chunks.

        Parameters
        ----------
        sizes : mapping of str to int
            The named sizes of a call.

        Examples
        --------
        >>> from gradcompile.ir import Axis, Builder, Graph, Input, Size
        >>> from gradcompile.schedule import in_parts
        >>> builder, sample = Builder(), Axis(Size.of("N"))
        >>> x = builder.input("x", (sample,))
        >>> total = builder.reduce("sum", builder.apply("exp", x), (sample,))
        >>> graph = Graph(builder, {"x": Input("x", (sample.size,))}, {"value": total}, sample=sample)
        >>> chunks = Chunks(in_parts(graph, sample))
        >>> chunks.length({"N": 1000}), chunks.length({"N": 1_000_000})
        (0, 250112)
        """
        sizes = self.parts.sizes(sizes)
        samples = sizes[self.parts.every]
        whole = next((block for block in BLOCKS if samples >= 8 * block or self.pairs), BLOCKS[-1])
        length = -(-samples // (self._count(sizes, samples) * whole)) * whole
        return length if length < samples else 0

    def _count(self, sizes: Mapping[str, int], samples: int) -> int:
        """Return how many chunks there are to be."""
        each, shared = map(sum, zip(*(work.count(sizes) for work in self.works), strict=True))
        elements = {value: prod(axis.size.evaluate(sizes) for axis in value.axes) for value in self.sums}
        summed = sum(elements.values())
        in_loops = sum(n / MULTIPLIED if value in self.products else n for value, n in elements.items())
        chunk = max(CHUNK * len(self.works), RETURNED * len(self.sums), SHARED * shared, SUMMED * in_loops)
        most = min(MOST, samples, MEMORY // (8 * summed + 1))
        count = min(int(samples * each // chunk), max(TURNS, int(samples * each // (SPENT * summed + 1))))
        count = self._in_turns(min(count, most))
        rows = 8 * samples * sum(prod(size.evaluate(sizes) for size in shape) for shape in self.rows)
        if count > 1 and rows > count * ROWS:
            count = min(self._in_turns(rows // ROWS + TURNS), most)
        return count

    @staticmethod
    def _in_turns(count: int) -> int:
        """Return how many chunks there are to be where there could be so many."""
        return count // TURNS * TURNS if count >= TURNS else 2 if count >= FEWEST else 1


class Work:
    """What a program does, in operations of a loop.

    Parameters
    ----------
    graph : Graph
        The program.
    sample : Axis
        The axis of the samples.
    """

    def __init__(self, graph: Graph, sample: Axis) -> None:
        self.sample, self.products = sample, Products(graph).sums
        bodies = {value.operands[0] for value in self.products}
        bodies |= {body.operands[0] for body in bodies if body.op == "neg"}  # of what is taken away
        costs = {v: 1 / MULTIPLIED if v in self.products else 0 if v in bodies else cost(v) for v in graph.order()}
        self._parts = [(each, loop_axes(value)) for value, each in costs.items() if each]
        self._data = [given.axes for given in graph.inputs.values() if sample in given.axes]

    def time(self, sizes: Mapping[str, int]) -> float:
        """Return the operations that one sample takes as long as, whether they are to be done or data to be loaded."""
        loaded = (prod(a.size.evaluate(sizes) for a in axes if a != self.sample) for axes in self._data)
        return max(self.count(sizes)[0], LOADED * sum(loaded))

    def count(self, sizes: Mapping[str, int]) -> tuple[float, float]:
        """Return the operations for each sample, and those that do not depend on samples."""
        each = shared = 0.0
        for operations, axes in self._parts:
            for axis in axes:
                operations *= 1 if axis == self.sample else axis.size.evaluate(sizes)
            each, shared = (each + operations, shared) if self.sample in axes else (each, shared + operations)
        return each, shared
