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

CHUNK = 2_500_000  # operations of a pass, 0.15 to 0.6 ms: fifty times what it costs to hand a chunk to a thread
MOST = 64  # chunks: enough to keep many threads busy to the end
SHARED = 16  # times the work that every chunk does again
RETURNED = 600_000  # for each of its sums: what a kernel returns is an array of Python's, which Python adds to another
SUMMED = 128  # times the elements of its sums: each is zeroed, written and read once more, in memory just asked for
# The length of a chunk is a multiple of the largest of these of which there are eight in all samples: kernels take that
# many samples at once, spend as much time on fewer of them, and below the smallest, matrix products are slow. Where
# pairs of samples are kept, these are few, and the largest will do.
BLOCKS = (128, 64, 32)
MEMORY = 1 << 28  # bytes that the sums of all chunks take at most


class Chunks:
    """Divides the samples of one program's calls.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.sample = parts, parts.sample
        self.graphs = [part.graph for part in parts.passes]
        self.pairs = any(part.filled for part in parts.passes)
        self.sums = [part.graph.outputs[name] for part in parts.passes for name in part.sums]

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
        (0, 125056)
        """
        sizes = self.parts.sizes(sizes)
        samples = sizes[self.parts.every]
        each, shared = map(sum, zip(*(work(graph, self.sample, sizes) for graph in self.graphs), strict=True))
        summed = sum(prod(axis.size.evaluate(sizes) for axis in value.axes) for value in self.sums)
        chunk = max(CHUNK * len(self.graphs), RETURNED * len(self.sums), SHARED * shared, SUMMED * summed)
        count = min(samples * each // chunk, MOST, samples, MEMORY // (8 * summed + 1))
        whole = next((block for block in BLOCKS if samples >= 8 * block or self.pairs), BLOCKS[-1])
        length = -(-samples // (max(count, 1) * whole)) * whole
        return length if length < samples else 0


def work(graph: Graph, sample: Axis, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Return the operations for each sample, and those that do not depend on samples."""
    each = shared = 0
    for value in graph.order():
        axes = loop_axes(value)
        operations = cost(value) * prod(a.size.evaluate(sizes) for a in axes if a != sample)
        each, shared = (each + operations, shared) if sample in axes else (each, shared + operations)
    return each, shared
