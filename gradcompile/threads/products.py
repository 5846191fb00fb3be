"""Whether threads of BLAS are worth while: they wait for one another by turning round and round.

Two threads halve the time of a large product. On a small one they cost more than they save, and where other programs
use the processors, a call can take a hundred times as long, since the threads wait for those that do not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

from gradcompile.ir import Axis, Graph, Value
from gradcompile.schedule import products, stream_axis
from gradcompile.schedule.products import SAMPLES, Axes
from gradcompile.schedule.samples import in_blocks

LARGE = 20_000_000  # multiplications, 0.4 to 0.8 ms: some fifty times what it takes to hand a part to a thread
ALONE = 2**18  # multiplications up to which OpenBLAS takes one thread, whatever it is told (its interface/gemm.c)
SHARED = 1_000_000  # from which threads of ours share a product: they wait for none that does not run


class Products:
    """The products of matrices of a program.

    Parameters
    ----------
    graph : Graph
        The program.
    """

    def __init__(self, graph: Graph) -> None:
        self.sample = stream_axis(graph)
        self.sums: frozenset[Value] = frozenset()
        self.factors: frozenset[Value] = frozenset()  # the matrices that are multiplied
        self._axes: list[Axes] = []
        self._last: tuple[Mapping[str, int] | None, int] = (
            None,
            0,
        )  # sizes, the largest product; replaced as a whole
        order = graph.order()
        if self.sample is not None and in_blocks(order, self.sample):
            uses = Counter(operand for value in order for operand in value.operands)
            found = products.Products({value: value for value in order}, uses, self.sample, {}, graph.length).found
            self._axes = [f.axes for f in found.values()]
            self.sums = frozenset(found)
            self.factors = frozenset(factor for f in found.values() for factor in (f.left, f.right))

    def __bool__(self) -> bool:
        return bool(self._axes)

    def small(self, sizes: Mapping[str, int]) -> bool:
        """Return whether there are products, and all so small that one thread of BLAS is best.

        Parameters
        ----------
        sizes : mapping of str to int
            The named sizes of a call.

        Examples
        --------
        >>> from gradcompile.ir import Axis, Builder, Graph, Input, Size
        >>> builder, s, j, k = Builder(), *(Axis(Size.of(name)) for name in "NDH")
        >>> x, w = builder.input("x", (s, j)), builder.input("w", (j, k))
        >>> y = builder.reduce("sum", builder.apply("mul", x, w), (j,))
        >>> inputs = {"x": Input("x", (s.size, j.size), role="data"), "w": Input("w", (j.size, k.size))}
        >>> graph = Graph(builder, inputs, {"value": builder.reduce("sum", y, (s, k))}, sample=s)
        >>> [Products(graph).small({"N": 60_000, "D": 784, "H": hidden}) for hidden in (10, 256)]
        [True, False]
        """
        return bool(self._axes) and self._largest(sizes) < LARGE

    def disturbed(self, sizes: Mapping[str, int]) -> bool:
        """Return whether BLAS would take several threads for a product that one thread computes best."""
        return bool(self._axes) and ALONE < self._largest(sizes) < LARGE

    def shared(self, sizes: Mapping[str, int]) -> bool:
        """Return whether a product is so large that threads of ours are to share it, see `emit.support.teams`."""
        return bool(self._axes) and self._largest(sizes) >= SHARED

    def _largest(self, sizes: Mapping[str, int]) -> int:
        """Return how many multiplications the largest product is; the same sizes as last time need no second look."""
        last, largest = self._last
        if sizes is not last:
            largest = max(prod(self._length(a, sizes) for a in axes) for axes in self._axes)
            self._last = sizes, largest
        return largest

    def _length(self, axis: Axis, sizes: Mapping[str, int]) -> int:
        length = axis.size.evaluate(sizes)
        return min(length, SAMPLES) if axis == self.sample else length
