"""Products of matrices: sums that BLAS computes faster than loops of our own."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import combinations
from math import prod
from typing import NamedTuple

from gradcompile.ir import Axis, Size, Value, reachable
from gradcompile.passes.share import combines_axes, is_part, is_renaming, runs_from

SMALL = 8  # rows and columns, where they are numbers, below which a matrix of so many is not worth a call
PLACES = ("iota", "add", "sub", "mul", "const", "size")  # what the indices of a part of an array are made of
WIDE = 16  # of each of those, below which a copy of one row for each sample is not worth it
MATRIX = 40  # numbers of a matrix without samples that are worth a call: of doubles 30 would be, of singles 60
SAMPLES = 128  # that a block has at least if there are products: on fewer, BLAS is slow


Axes = tuple[Axis, ...]
Orders = dict[Value, Axes]
Length = Callable[[Size], int | None]  # the number that a size is, where that is known


class Factors(NamedTuple):
    """A sum as a product of two matrices.

    An index of a matrix may be made of several axes, next to each other in memory: ``h[n, s, k] = sum_j x[n, s, j]*
    W[j, k]`` is one product whose rows are all pairs of n and s.

    Parameters
    ----------
    left, right : Value
        The matrices.
    rows, inner, columns : tuple of Axis
        The axes that only the left matrix has, that both have and over which is summed, and that only the right one
        has, in the order in which they are laid out.
    loops : tuple of Axis
        The axes for each index of which there is a product of its own, that of the samples first.
    sign : int
        -1 where the product is taken away.
    """

    left: Value
    right: Value
    rows: Axes
    inner: Axes
    columns: Axes
    loops: Axes
    sign: int

    @property
    def axes(self) -> Axes:
        """All axes of one product."""
        return (*self.rows, *self.inner, *self.columns)

    @property
    def is_plain(self) -> bool:
        """Whether each matrix has one axis for its rows and one for its columns, so that it may be laid either way."""
        return not self.loops and all(len(axes) == 1 for axes in (self.rows, self.inner, self.columns))


class Products:
    """The sums of a program that are products of matrices, with the samples along one axis or summed over.

    Parameters
    ----------
    terms : mapping of Value to Value
        The sums, and the array to which each is added.
    uses : mapping
        How often each value is used: what is summed must be used for nothing else.
    sample : Axis or None
        The axis of the samples.
    given : mapping of Value to tuple of Axis
        The arrays whose axes have an order already.
    length : callable
        The number that a size is; None where only a call tells.
    kept : container of Value
        What is an array of its own: where a product of numbers is, their sum is no product of matrices.

    Attributes
    ----------
    found : dict of Value to Factors
        The products, by their sums.
    orders : dict of Value to tuple of Axis
        The order of the axes of each array of which matrices have several axes for one index.
    factors : set of Value
        The matrices that are multiplied.
    free : set of Value
        The arrays with an order that may have their samples last as well as first: see `turn`.
    """

    def __init__(
        self,
        terms: Mapping[Value, Value],
        uses: Mapping[Value, int],
        sample: Axis | None,
        given: Orders,
        length: Length,
        kept: Container[Value] = (),
    ) -> None:
        self.terms, self.uses, self.sample, self.given, self.kept = terms, uses, sample, given, kept
        self.length = length
        self.found: dict[Value, Factors] = {}
        self.orders: Orders = {}
        self.inputs = [value.axes for value in terms if value.op == "input" and value.kind == "real"]
        parted = {term: factors for term in terms if (factors := self._factors(term)) is not None}
        self.found = {term: factors for term, factors in parted.items() if factors.is_plain}
        self._lay({term: factors for term, factors in parted.items() if not factors.is_plain})
        self.factors = {factor for found in self.found.values() for factor in (found.left, found.right)}
        self.free = self._free()

    def _factors(self, term: Value) -> Factors | None:
        """Return a sum as a product; its axes in no order yet."""
        if term.op != "sum":
            return None
        body, sign = term.operands[0], 1
        if body.op == "neg" and self.uses[body] == 1 and body not in self.kept:
            body, sign = body.operands[0], -1
        if body.op != "mul" or self.uses[body] > 1 or body in self.kept or self.sample not in body.axes:
            return None
        left, right = body.operands
        shared = [axis for axis in left.axes if axis in right.axes]
        inner, loops = (tuple(a for a in shared if (a in term.attr) == summed) for summed in (True, False))
        rows, columns = (tuple(a for a in one.axes if a not in shared) for one in (left, right))
        if {*inner} != {*term.attr} or not (rows and columns):
            return None
        loops = self._from_samples(loops)
        if not (self._is_matrix(left) and self._is_matrix(right)) or not self._is_large(rows, inner, columns):
            return None
        if not (self._has_channels(left) and self._has_channels(right)):
            return None
        if any(is_part(one) and self._array(one)[1].get(self.sample) is None for one in (left, right)):
            return None  # a part that is no block of the samples
        if any(map(self._is_row, (left, right))) and not self._are_wide(rows, inner, columns):
            return None
        factors = Factors(left, right, rows, inner, columns, loops, sign)
        if self.sample in (*rows, *inner, *loops):
            return factors
        return Factors(right, left, columns, inner, rows, loops, sign)

    def _is_matrix(self, value: Value) -> bool:
        """Return whether a value can be an array of the model's type: given, or computed, or what is read of these."""
        if value.op == "read":
            array, *indices = value.operands
            picked = array.op == "input" and any(i.op in ("input", "read", "const") for i in indices)
            read = picked or combines_axes(value) or is_renaming(value) or is_part(value) or self._is_window(value)
            return value.kind == "real" and read
        return value.kind == "real" and value.op not in ("const", "size", "iota", "real")

    def _is_window(self, value: Value) -> bool:
        """Return whether a value is a part of what each sample has, moved or spread along its axes: ``h[n, t + 2, j]``.

        Its copy is a matrix: the rows of the array that belong together do not lie next to each other.
        """
        array, *indices = value.operands
        axes = [index.axes for index in indices]
        own = all(a != self.sample or i.is_index(a) for a, i in zip(array.axes, indices, strict=True))
        plain = all(each.op in PLACES for each in reachable(indices)) and all(len(each) == 1 for each in axes)
        return own and plain and len(set(axes)) == len(axes)

    def _is_row(self, value: Value) -> bool:
        """Return whether a matrix is a copy of such a part, of one row for each sample."""
        return value.op == "read" and len(value.axes) < 3 and self._is_window(value) and not is_renaming(value)

    def _from_samples(self, axes: Axes) -> Axes:
        """Return axes with that of the samples first."""
        return tuple(sorted(axes, key=lambda axis: axis != self.sample))

    def _is_large(self, *groups: Axes) -> bool:
        """Return whether a product is large enough for a call, as far as its sizes are numbers."""
        known = [width for axes in groups if (width := self._width(axes)) is not None]
        if len(known) == len(groups):  # there is one for each sample
            return all(width >= SMALL for width in known)
        return len(known) < 2 or prod(known) >= MATRIX

    def _are_wide(self, *groups: Axes) -> bool:
        """Return whether a product is large enough for a copy of one row a sample, as far as its sizes are numbers."""
        return all((self._width(axes) or WIDE) >= WIDE for axes in groups)

    def _width(self, axes: Axes) -> int | None:
        """Return how many numbers there are along axes; None if a call tells, or they are samples."""
        known = [length for axis in axes if axis != self.sample and (length := self.length(axis.size)) is not None]
        return prod(known) if len(known) == len(axes) else None

    def _has_channels(self, value: Value) -> bool:
        """Return whether a matrix is not made of single numbers at combined axes: loops take those where they lie."""
        plain = (i.attr for i in value.operands[1:] if i.op == "iota")
        return not combines_axes(value) or any(axis != self.sample for axis in plain)

    # Products that need their arrays laid out for them

    def _free(self) -> set[Value]:
        """Return the arrays whose samples are an index of their own in all products that lay them out."""
        bound = {value for value in self.orders if self.sample not in value.axes}
        for term, factors in self.found.items():
            own = not factors.loops and (self.sample,) in (factors.rows, factors.inner, factors.columns)
            matrices = () if factors.is_plain else self._of(term, factors)
            bound.update(self._array(matrix)[0] for matrix in matrices if not own or matrix not in self.orders)
        return self.orders.keys() - bound

    def turn(self, by_rows: Container[Value]) -> None:
        """Lay out what is free and not to lie by rows with its samples last: next to each other for each number."""
        for array, axes in self.orders.items():
            if array in self.free and array not in by_rows:
                self.orders[array] = tuple(sorted(axes, key=lambda axis: axis == self.sample))

    def _lay(self, wanted: dict[Value, Factors]) -> None:
        """Lay arrays out as products need them, where they agree: those of all samples first.

        Products for each component of all samples are worth their calls only where their arrays are laid by rows for
        another one anyway: else the samples are the longest axis, and contiguous.
        """
        whole = [term for term, factors in wanted.items() if not factors.loops]
        for term in (*whole, *(term for term, factors in wanted.items() if self.sample in factors.loops)):
            self._accept(term, wanted[term])
        own = {t: f for t, f in wanted.items() if t not in self.found and f.loops and self.sample not in f.loops}
        while near := [t for t, f in own.items() if any(self._array(v)[0] in self.orders for v in self._of(t, f))]:
            for term in near:
                self._accept(term, own.pop(term))

    def _accept(self, term: Value, factors: Factors) -> None:
        """Take a product, of all its axes at once or for each index of one of them."""
        ways = (laid for each in self._ways(factors) if (laid := self._laid(term, each)) is not None)
        laid = next(ways, None)
        if laid is not None:
            self.found[term] = laid

    def _ways(self, factors: Factors) -> Iterator[Factors]:
        """Yield a product, and as products for each index of an axis or two, where those are not all of their matrix.

        Those of an axis that is summed over are added up, to what there is for each sample: a sum over samples is one.
        """
        yield factors
        groups = (factors.rows, factors.columns, factors.inner)
        summed = () if self.sample in factors.inner else factors.inner
        free = [axis for axis in (*factors.rows, *factors.columns, *summed) if axis != self.sample]
        for some in (*combinations(free, 1), *combinations(free, 2)):
            rows, columns, inner = (tuple(a for a in group if a not in some) for group in groups)
            if rows and columns and inner and self._is_large(rows, inner, columns):
                yield factors._replace(rows=rows, columns=columns, inner=inner, loops=(*factors.loops, *some))

    def _of(self, term: Value, factors: Factors) -> tuple[Value, Value, Value]:
        """Return the three matrices of a product."""
        return factors.left, factors.right, self.terms[term]

    def _array(self, value: Value) -> tuple[Value, dict[Axis, Axis]]:
        """Return the array that is laid out, and its axes by those of a matrix of it."""
        if is_renaming(value) or is_part(value):
            array, *indices = value.operands
            runs = [run[0] for index in indices if (run := runs_from(index)) is not None]
            return array, dict(zip(runs, array.axes, strict=True))
        return value, {axis: axis for axis in value.axes}

    def _laid(self, term: Value, factors: Factors) -> Factors | None:
        """Return a product with its axes in order, once its arrays are laid out for it; None if they cannot be."""
        groups = [factors.rows, factors.inner, factors.columns]
        matrices = list(zip(self._of(term, factors), ((0, 1), (1, 2), (0, 2)), strict=True))
        for matrix, pair in matrices:
            order = self._order(matrix, {})
            if order is not None:  # the axes of a group in the order that an array has already
                for k in pair:
                    groups[k] = tuple(axis for axis in order if axis in groups[k])
        groups = list(map(self._from_samples, groups))
        orders: Orders = {}
        for matrix, (a, b) in matrices:
            order = self._order(matrix, orders)
            if order is None:
                array, own = self._array(matrix)
                first, second = groups[a], groups[b]
                if not self._comes_first(first, second):
                    first, second = second, first
                looped = [axis for axis in factors.loops if axis in matrix.axes]
                before = [axis for axis in looped if axis == self.sample or self.sample not in first]
                order = (*before, *first, *(axis for axis in looped if axis not in before), *second)
                orders[array] = tuple(own[axis] for axis in order)
            elif self.sample in order[1:] or order[-1] in factors.loops or not _is_laid(order, groups[a], groups[b]):
                return None  # the samples of a block, the axes of a group, or the numbers of a matrix lie apart
        self.orders |= orders
        return factors._replace(rows=groups[0], inner=groups[1], columns=groups[2])

    def _comes_first(self, rows: Axes, columns: Axes) -> bool:
        """Return whether a new matrix has its rows first: those are the samples, or most arrays of them lie so."""
        if self.sample in (*rows, *columns):
            return self.sample in rows
        places = [
            (order.index(rows[0]), order.index(columns[0]))
            for order in (*self.inputs, *self.given.values(), *self.orders.values())
            if {self.sample, rows[0], columns[0]} <= {*order}
        ]
        return sum(1 if row < column else -1 for row, column in places) >= 0

    def _order(self, matrix: Value, new: Orders) -> Axes | None:
        """Return the axes of a matrix in the order in which its array is laid out, or newly is, if that is known."""
        array, own = self._array(matrix)
        order = array.axes if array.op == "input" else (self.given | self.orders | new).get(array)
        renamed = {axis: seen for seen, axis in own.items()}
        return None if order is None else tuple(renamed[axis] for axis in order)


def _is_laid(order: Axes, *groups: Axes) -> bool:
    """Return whether the axes of each group are next to each other, in this order."""
    starts = [order.index(group[0]) for group in groups]
    return all(order[k : k + len(group)] == group for k, group in zip(starts, groups, strict=True))
