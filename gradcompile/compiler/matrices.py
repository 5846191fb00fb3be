"""Jacobians and Hessians as matrices: few directions, chosen by the sparsity of the graph, in few calls of one kernel.

The columns (rows) of a matrix are coloured; those of one colour are one direction (cotangent), and the kernel takes
`TOGETHER` of them in a call, its innermost loop running over all of them. Where a kernel of one direction is made of
products of matrices, for which there is BLAS, it takes one. A matrix without zeros is the case where every column has a
colour of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcompile import higher
from gradcompile.arguments import Argument
from gradcompile.colouring import column_colours, star_colours
from gradcompile.compiler.derivatives import Derivatives, Parts, Sizes
from gradcompile.ir import Graph
from gradcompile.sparsity import Pattern, pattern

Places = NDArray[np.int64]
Dense = NDArray[Any]
Shape = tuple[int, ...]

TOGETHER = 16  # directions in a call: two lines of a cache in float64, and enough to fill vector registers
REVERSE = 2  # times the cost of a direction that a cotangent costs
SCALARS = 64  # parameters without axes up to which all derivatives are written out as straight-line code


@dataclass(frozen=True)
class Colours:
    """How a matrix is computed: its entries, and which row and colour of the compressed one each is read from.

    Parameters
    ----------
    pattern : Pattern
        The entries.
    colour : ndarray of int64
        Of every column (or row, in reverse mode).
    at, by : ndarray of int64
        For every entry of the pattern, the row of the compressed matrix (in reverse mode the column of the matrix)
        and the column or row by whose colour it is read.
    """

    pattern: Pattern
    colour: Places
    at: Places
    by: Places

    @property
    def count(self) -> int:
        """The number of colours."""
        return int(self.colour.max(initial=-1)) + 1

    @cached_property
    def read(self) -> Places:
        """The colour from which each entry is read."""
        return self.colour[self.by]

    @cached_property
    def order(self) -> Places:
        """The entries by the colour from which they are read."""
        return np.argsort(self.read, kind="stable")


class Matrices:
    """The Jacobian and the Hessian of one model.

    Parameters
    ----------
    derivatives : Derivatives
        The products with them, by which they are computed.
    graph : Graph
        The objective with its gradient, if it is a number, after the passes: what the patterns are found from.
    """

    def __init__(self, derivatives: Derivatives, graph: Graph) -> None:
        self._derivatives, self._run = derivatives, derivatives.run
        self.lowered, self.dtype = derivatives.lowered, derivatives.dtype
        self.graph, self.names = graph, self.lowered.wrt
        self._along = higher.numbering(self.lowered)
        self._known: dict[str, tuple[Any, Colours, bool]] = {}  # the last colours of each matrix, and for which call

    def jacobian(self, arguments: list[Argument], sizes: Sizes) -> Dense:
        """Return the derivatives of the objective by the parameters, both flat."""
        if self._few:
            return _joined(self._run(higher.jacobian, arguments), self.dtype)
        colours, reverse = self._coloured("jacobian", arguments, sizes)
        return self._dense(colours, higher.pulled if reverse else higher.pushed, arguments, sizes)

    def sparse_jacobian(self, arguments: list[Argument], sizes: Sizes) -> Any:
        """Return the same as a matrix of the entries that can differ from zero."""
        colours, reverse = self._coloured("jacobian", arguments, sizes)
        if self._few:
            return self._sparse(colours, self.jacobian(arguments, sizes)[colours.pattern.rows, colours.pattern.columns])
        return self._sparse(
            colours, self._entries(colours, higher.pulled if reverse else higher.pushed, arguments, sizes)
        )

    def hessian(self, arguments: list[Argument], sizes: Sizes) -> Dense:
        """Return the second derivatives, by the flat parameters."""
        if self._few:
            return self._mirrored(self._run(higher.hessian, arguments))
        colours, _ = self._coloured("hessian", arguments, sizes)
        return self._dense(colours, higher.curved, arguments, sizes)

    def sparse_hessian(self, arguments: list[Argument], sizes: Sizes) -> Any:
        """Return the same as a matrix of the entries that can differ from zero."""
        colours, _ = self._coloured("hessian", arguments, sizes)
        if self._few:
            return self._sparse(colours, self.hessian(arguments, sizes)[colours.pattern.rows, colours.pattern.columns])
        return self._sparse(colours, self._entries(colours, higher.curved, arguments, sizes))

    @staticmethod
    def blocks(matrix: Dense, rows: Sequence[Shape], columns: Sequence[Shape]) -> tuple[Parts, ...]:
        """Return a matrix in blocks: [k][l] has shape k and then shape l; a block of one number is a float."""
        heights = np.cumsum([int(np.prod(shape, dtype=np.int64)) for shape in rows])[:-1]
        widths = np.cumsum([int(np.prod(shape, dtype=np.int64)) for shape in columns])[:-1]
        found = []
        for high, part in zip(rows, np.split(matrix, heights), strict=True):
            wide = zip(columns, np.split(part, widths, axis=1), strict=True)
            found.append(tuple(_shaped(block, (*high, *shape)) for shape, block in wide))
        return tuple(found)

    # Parameters that are numbers: all derivatives, written out

    @property
    def _few(self) -> bool:
        return len(self.names) <= SCALARS and not any(self.lowered.inputs[name].shape for name in self.names)

    def _mirrored(self, parts: Parts) -> Dense:
        count = len(self.names)
        result = np.empty((count, count), self.dtype)
        for (row, column), part in zip(((r, c) for c in range(count) for r in range(c + 1)), parts, strict=True):
            result[row, column] = result[column, row] = part
        return result

    # Colours

    def _coloured(self, matrix: str, arguments: list[Argument], sizes: Sizes) -> tuple[Colours, bool]:
        """Return how a matrix is computed, and whether in reverse mode; labels and sizes decide."""
        labels = {n: np.asarray(a) for n, a in zip(self.lowered.inputs, arguments, strict=True) if self._is_label(n)}
        key = tuple(sizes.items()), tuple((n, a.tobytes()) for n, a in labels.items())
        if matrix not in self._known or self._known[matrix][0] != key:
            self._known[matrix] = (key, *COLOURED[matrix](self._pattern(matrix, labels, sizes)))
        return self._known[matrix][1:]

    def _is_label(self, name: str) -> bool:
        return self.lowered.inputs[name].kind == "int"

    def _pattern(self, matrix: str, labels: Mapping[str, Any], sizes: Sizes) -> Pattern:
        wanted = ["value"] if matrix == "jacobian" else [f"d{name}" for name in self.names]
        outputs = {name: self.graph.outputs[name] for name in wanted}
        axes = {name: self.graph.output_axes(name) for name in wanted}
        part = Graph(self.graph.builder, self.graph.inputs, outputs, axes=axes)
        return pattern(part, self.names, labels, sizes)

    # Compressed matrices

    def _entries(self, colours: Colours, make: Callable[..., Graph], arguments: list[Argument], sizes: Sizes) -> Dense:
        """Return the entries of a matrix, computed one or `TOGETHER` colours at a time."""
        along, together = ((), 1) if self._derivatives.multiplies(make) else ((self._along,), TOGETHER)
        entries = np.zeros(len(colours.at), self.dtype)
        shapes: list[Shape] = [np.shape(a) for a in arguments[: len(self.names)]]
        if make is higher.pulled:
            shapes = [tuple(axis.size.evaluate(sizes) for axis in self.lowered.output_axes("value"))]
        for first in range(0, colours.count, together):
            width = min(together, colours.count - first)
            seeds: Iterable[Argument] = _seeds(colours.colour - first, width, shapes, self.dtype)
            if not along:
                seeds = [_first(np.asarray(seed)) for seed in seeds]
            parts = self._run(make, [*arguments, *seeds], *along)
            compressed = np.concatenate([np.reshape(part, (-1, width)) for part in parts])
            if colours.pattern.is_full:
                _fill(entries.reshape(colours.pattern.shape), compressed, first, make is higher.pulled)
                continue
            here = colours.order[slice(*np.searchsorted(colours.read, (first, first + width), sorter=colours.order))]
            entries[here] = compressed[colours.at[here], colours.read[here] - first]
        return entries

    def _dense(self, colours: Colours, make: Callable[..., Graph], arguments: list[Argument], sizes: Sizes) -> Dense:
        if colours.pattern.is_full:
            return self._entries(colours, make, arguments, sizes).reshape(colours.pattern.shape)
        dense = np.zeros(colours.pattern.shape, self.dtype)  # first: where it has no room, nothing is computed
        dense[colours.pattern.rows, colours.pattern.columns] = self._entries(colours, make, arguments, sizes)
        return dense

    def _sparse(self, colours: Colours, entries: Dense) -> Any:
        places = (colours.pattern.rows, colours.pattern.columns)
        from scipy import sparse  # it takes as long to import as gradcompile, and few models ask for it

        return sparse.csr_array((entries, places), shape=colours.pattern.shape)


def _first(seeds: Dense) -> Argument:
    """Return the one direction that there is."""
    return np.ascontiguousarray(seeds[..., 0]) if seeds.ndim > 1 else float(seeds[0])


def _fill(matrix: Dense, compressed: Dense, first: int, reverse: bool) -> None:
    """Put some columns (in reverse mode rows) of a matrix without zeros in their place."""
    last = first + compressed.shape[1]
    if reverse:
        matrix[first:last] = compressed.T
    else:
        matrix[:, first:last] = compressed


def _joined(columns: Parts, dtype: str) -> Dense:
    return np.stack([np.ravel(column) for column in columns], axis=1).astype(dtype)


def _shaped(block: Dense, shape: Shape) -> Any:
    return np.ascontiguousarray(block).reshape(shape) if shape else float(block[0, 0])


def _seeds(colour: Places, width: int, shapes: Sequence[Shape], dtype: str) -> Iterator[Dense]:
    """Yield the directions of some colours: each is 1 where its colour is."""
    start = 0
    for shape in shapes:
        own = colour[start : start + int(np.prod(shape, dtype=np.int64))]
        yield (own[:, None] == np.arange(width)).astype(dtype).reshape((*shape, width))
        start += len(own)


def _of_jacobian(found: Pattern) -> tuple[Colours, bool]:
    """Return colours of the columns, or of the rows where that makes less work."""
    forward = _by_columns(found)
    if forward.count <= REVERSE or found.is_full:
        backward = Colours(found, np.arange(found.shape[0]), found.columns, found.rows)
        return (backward, True) if REVERSE * found.shape[0] < forward.count else (forward, False)
    colour = column_colours(found.columns, found.rows, found.shape[0])
    backward = Colours(found, colour, found.columns, found.rows)
    return (backward, True) if REVERSE * backward.count < forward.count else (forward, False)


def _by_columns(found: Pattern) -> Colours:
    if found.is_full:
        return Colours(found, np.arange(found.shape[1]), found.rows, found.columns)
    return Colours(found, column_colours(found.rows, found.columns, found.shape[1]), found.rows, found.columns)


def _of_hessian(found: Pattern) -> tuple[Colours, bool]:
    """Return a star colouring of a symmetric matrix; an entry is read in its column, or else in its row."""
    found = found.mirrored()  # a pattern holds what may be not zero, and may hold more of one half than of the other
    if found.is_full:
        return _by_columns(found), False
    colour = star_colours(found.rows, found.columns, found.shape[1])
    key = found.rows * (int(colour.max(initial=0)) + 1) + colour[found.columns]
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    alone = counts[inverse] == 1  # no other column of this colour in the row
    at = np.where(alone, found.rows, found.columns)
    by = np.where(alone, found.columns, found.rows)
    return Colours(found, colour, at, by), False


COLOURED: dict[str, Callable[[Pattern], tuple[Colours, bool]]] = {"jacobian": _of_jacobian, "hessian": _of_hessian}
