"""Whole numbers that are affine in sizes and indices: where an index may go, before any array is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sympy

from gradcompile.ir import Size


@dataclass(eq=False, slots=True)
class Ranged:
    """An index and its range.

    Parameters
    ----------
    low, high : Affine or None
        The first and the last value, which may depend on indices further out; None: not known, or not an index.
    box : (Size, Size) or None
        The smallest and the largest number that the value takes, whatever the other indices are.
    depth : int
        How many scopes lie around it.
    """

    low: Affine | None = None
    high: Affine | None = None
    box: tuple[Size, Size] | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Affine:
    """A size plus whole multiples of indices."""

    size: Size
    terms: tuple[tuple[Ranged, int], ...] = ()

    @staticmethod
    def total(parts: Iterable[Affine]) -> Affine:
        """Return the sum of some numbers."""
        constant, lengths, totals = 0, dict[str, int](), dict[Ranged, int]()
        for part in parts:
            constant += part.size.constant
            for name, count in part.size.terms:
                lengths[name] = lengths.get(name, 0) + count
            for index, count in part.terms:
                totals[index] = totals.get(index, 0) + count
        size = Size(tuple(sorted((n, c) for n, c in lengths.items() if c)), constant)
        return Affine(size, tuple((i, c) for i, c in totals.items() if c))

    def __add__(self, other: Affine) -> Affine:
        """Return the sum."""
        return Affine.total((self, other))

    def __mul__(self, factor: int) -> Affine:
        """Return `factor` times the number."""
        return Affine(self.size * factor, tuple((i, c * factor) for i, c in self.terms if factor))

    def times(self, other: Affine) -> Affine | None:
        """Return the product, of which only one factor may be more than a number; None otherwise."""
        for number, factor in ((self, other), (other, self)):
            if not factor.terms and not factor.size.terms:
                return number * factor.size.constant
        return None

    def extreme(self, largest: bool) -> Size | None:
        """Return the smallest or largest value over the ranges of all indices, the innermost first."""
        number = self.extreme_in(None, largest)
        return None if number is None else number.size

    def extreme_in(self, kept: Ranged | None, largest: bool) -> Affine | None:
        """Return the smallest or largest value for each value of one index, over the ranges of all others.

        None where one of them has no range.
        """
        number = self
        while others := [term for term in number.terms if term[0] is not kept]:
            index, count = max(others, key=lambda term: term[0].depth)
            bound = index.high if (count > 0) == largest else index.low
            if bound is None:
                return None
            rest = Affine(number.size, tuple((i, c) for i, c in number.terms if i is not index))
            number = rest + bound * count
        return number

    def extreme_in_box(self, largest: bool) -> Size | None:
        """Return the same for indices that do not know of one another, as in a loop nest that is masked."""
        size = self.size
        for index, count in self.terms:
            if index.box is None:
                return None
            size = size + index.box[(count > 0) == largest] * count
        return size


def never_negative(size: Size) -> bool | None:
    """Return whether a size is at least 0 for all lengths that are at least 1; None: it depends."""
    counts = [count for _, count in size.terms]
    at_ones = sum(counts) + size.constant
    if all(c > 0 for c in counts) and at_ones >= 0:
        return True
    return False if all(c < 0 for c in counts) and at_ones < 0 else None


def leaves(number: Affine, length: Size) -> bool:
    """Return whether an index leaves an axis: at its start, or at its end for some sizes and without room for others.

    Parameters
    ----------
    number : Affine
        The index.
    length : Size
        Of the axis.

    Examples
    --------
    >>> N, K = Size.of("N"), Size.of("K")
    >>> beyond_by_windows = Affine(N + K - 2)  # the largest t + k
    >>> leaves(beyond_by_windows, N), leaves(Affine(N - 1), N), leaves(beyond_by_windows, Size.of("M"))
    (True, False, False)
    """
    lowest, highest = (number.extreme(largest) for largest in (False, True))
    if lowest is not None and never_negative(lowest) is False:
        return True
    beyond = None if highest is None else highest - (length - 1)
    return beyond is not None and beyond != Size() and never_negative(beyond) is True


def untold_sizes(lengths: Iterable[Size]) -> list[str]:
    """Return the names of sizes that do not follow from the lengths of arrays, as those of ``A + B`` alone.

    Examples
    --------
    >>> total = Size.of("A") + Size.of("B")
    >>> untold_sizes([total]), untold_sizes([total, Size.of("B")])
    (['A', 'B'], [])
    """
    waiting = [[name for name, _ in length.terms] for length in lengths if length.terms]
    told = set[str]()
    while found := {names[0] for names in waiting if len(names) == 1}:
        told |= found
        waiting = [rest for names in waiting if (rest := [name for name in names if name not in told])]
    return list(dict.fromkeys(name for names in waiting for name in names))


Lookup = Callable[[Any], Affine | None]


def affine(expr: Any, lookup: Lookup) -> Affine | None:
    """Return a SymPy expression as an affine number; None if it is not one. `lookup` knows the symbols."""
    if expr.is_Integer:
        return Affine(Size((), int(expr)))
    if isinstance(expr, (sympy.Symbol, sympy.Idx)):
        return lookup(expr)
    if not (expr.is_Add or expr.is_Mul):
        return None
    parts = [affine(arg, lookup) for arg in expr.args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Affine.total(known) if expr.is_Add else _product(known)


def _product(factors: Iterable[Affine]) -> Affine | None:
    product: Affine | None = Affine(Size((), 1))
    for factor in factors:
        product = None if product is None else product.times(factor)
    return product
