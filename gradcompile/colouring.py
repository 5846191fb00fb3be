"""Colours for sparse matrices of derivatives: columns of one colour are computed together, in one direction.

Two columns that have no row in common can share a direction: each entry of the product is an entry of the matrix.
For a symmetric matrix a star colouring needs fewer: an entry may be read in its own column or in the mirrored one.

Source: A. H. Gebremedhin, F. Manne, A. Pothen, What color is your Jacobian? Graph coloring for computing derivatives,
SIAM Review 47 (2005) 629-705; distance-2 colouring in section 3, star colouring in section 4.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def column_colours(rows: Places, columns: Places, count: int) -> Places:
    """Return a colour, from 0, for every column, so that no two columns of one colour have a row in common.

    Parameters
    ----------
    rows, columns : ndarray of int64
        The entries that can differ from zero.
    count : int
        The number of columns.

    Examples
    --------
    >>> rows, columns = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 3])
    >>> column_colours(rows, columns, 4).tolist()
    [1, 0, 1, 0]
    """
    members = _grouped(columns, rows, count)
    used: dict[int, int] = defaultdict(int)  # of every row, its columns' colours as the bits of a number
    colours = np.zeros(count, np.int64)
    for column in _largest_first(members):
        taken = 0
        for row in members[column]:
            taken |= used[row]
        free = _lowest_zero(taken)
        colours[column] = free
        for row in members[column]:
            used[row] |= 1 << free
    return colours


def star_colours(rows: Places, columns: Places, count: int) -> Places:
    """Return a colour for every column of a symmetric matrix, so that no path of four has two colours only.

    Parameters
    ----------
    rows, columns : ndarray of int64
        The entries that can differ from zero, on both sides of the diagonal.
    count : int
        The number of columns.

    Examples
    --------
    An arrow, that is a full row, a full column and the diagonal, needs two directions whatever its size:

    >>> n = 50
    >>> rows = np.concatenate([np.arange(n), np.zeros(n, int), np.arange(n)])
    >>> columns = np.concatenate([np.zeros(n, int), np.arange(n), np.arange(n)])
    >>> int(star_colours(rows, columns, n).max()) + 1
    2
    """
    beside = rows != columns
    graph = _Stars(_grouped(rows[beside], columns[beside], count))
    for vertex in _largest_first(graph.neighbours):
        graph.colour(vertex, _lowest_zero(graph.forbidden(vertex)))
    return np.array(graph.colours, np.int64)


@dataclass
class _Stars:
    """A graph that is being coloured, with what is needed to see the paths of two colours that a colour would close.

    Sets of colours are kept as the bits of a number.
    """

    neighbours: list[list[int]]
    colours: list[int] = field(init=False)  # -1: none yet
    beside: list[dict[int, list[int]]] = field(init=False)  # of a vertex: colour -> neighbours of that colour
    seen: list[int] = field(init=False)  # of a vertex: the colours of its neighbours
    closed: list[int] = field(init=False)  # of w: colours of a neighbour that has two neighbours of w's colour

    def __post_init__(self) -> None:
        count = len(self.neighbours)
        self.colours, self.beside = [-1] * count, [{} for _ in range(count)]
        self.seen, self.closed = [0] * count, [0] * count

    def forbidden(self, vertex: int) -> int:
        """Return the colours that a vertex must not get."""
        found, beside = 0, self.beside[vertex]
        for colour, same in beside.items():
            found |= 1 << colour
            for neighbour in same:
                found |= self.closed[neighbour]  # vertex - w - x - y, x as vertex and y as w
                if len(same) > 1:
                    found |= self.seen[neighbour]  # x - w - vertex - v, w as v and x as vertex
        return found

    def colour(self, vertex: int, colour: int) -> None:
        """Give a vertex its colour."""
        self.colours[vertex] = colour
        for neighbour in self.neighbours[vertex]:
            same = self.beside[neighbour].setdefault(colour, [])
            same.append(vertex)
            self.seen[neighbour] |= 1 << colour
            own = self.colours[neighbour]
            if own >= 0 and len(same) > 1:
                for other in same if len(same) == 2 else same[-1:]:
                    self.closed[other] |= 1 << own
        for same in self.beside[vertex].values():
            if len(same) > 1:
                for other in same:
                    self.closed[other] |= 1 << colour


def _grouped(keys: Places, members: Places, count: int) -> list[list[int]]:
    """Return, for each key from 0 to count - 1, its members."""
    order = np.lexsort((members, keys))
    ends = np.cumsum(np.bincount(keys, minlength=count))[:-1]
    return [part.tolist() for part in np.split(members[order], ends)] if count else []


def _largest_first(members: list[list[int]]) -> list[int]:
    return sorted(range(len(members)), key=lambda k: -len(members[k]))


def _lowest_zero(bits: int) -> int:
    """Return the place of the lowest bit that is 0."""
    return (~bits & (bits + 1)).bit_length() - 1
