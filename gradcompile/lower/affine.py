"""Whole numbers that are affine in sizes and indices: where an index may go, before any array is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from gradcompile.ir import Size, Value


@dataclass(frozen=True, eq=False, slots=True)
class Binding:
    """What a bound symbol stands for inside of its scope.

    Parameters
    ----------
    value : Value
        The index as a number, or the argument of a function that is applied to elements.
    low, high : Affine or None
        The first and the last value of an index, which may depend on indices further out; None: not an index.
    box : (Size, Size) or None
        The smallest and the largest number that the value takes, whatever the other indices are.
    depth : int
        How many scopes lie around it.
    """

    value: Value
    low: Affine | None = None
    high: Affine | None = None
    box: tuple[Size, Size] | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Affine:
    """A size plus whole multiples of indices."""

    size: Size
    terms: tuple[tuple[Binding, int], ...] = ()

    def __add__(self, other: Affine) -> Affine:
        """Return the sum."""
        totals = dict(self.terms)
        for binding, count in other.terms:
            totals[binding] = totals.get(binding, 0) + count
        return Affine(self.size + other.size, tuple((b, c) for b, c in totals.items() if c))

    def __mul__(self, factor: int) -> Affine:
        """Return `factor` times the number."""
        return Affine(self.size * factor, tuple((b, c * factor) for b, c in self.terms if factor))

    def plus(self, number: int) -> Affine:
        """Return the number plus a constant."""
        return Affine(self.size + number, self.terms)

    def extreme(self, largest: bool) -> Size | None:
        """Return the smallest or largest value over the ranges of all indices, the innermost first."""
        while self.terms:
            binding, count = max(self.terms, key=lambda term: term[0].depth)
            bound = binding.high if (count > 0) == largest else binding.low
            if bound is None:
                return None
            rest = Affine(self.size, tuple((b, c) for b, c in self.terms if b is not binding))
            self = rest + bound * count
        return self.size

    def extreme_in_box(self, largest: bool) -> Size | None:
        """Return the same for indices that do not know of one another, as in a loop nest that is masked."""
        size = self.size
        for binding, count in self.terms:
            if binding.box is None:
                return None
            size = size + binding.box[(count > 0) == largest] * count
        return size


def never_negative(size: Size) -> bool | None:
    """Return whether a size is at least 0 for all lengths that are at least 1; None: it depends."""
    counts = [count for _, count in size.terms]
    at_ones = sum(counts) + size.constant
    if all(c > 0 for c in counts) and at_ones >= 0:
        return True
    return False if all(c < 0 for c in counts) and at_ones < 0 else None


Lookup = Callable[[Any], Affine | None]


def affine(expr: Any, lookup: Lookup) -> Affine | None:
    """Return a SymPy expression as an affine number; None if it is not one. `lookup` knows the symbols."""
    if expr.is_Integer:
        return Affine(Size((), int(expr)))
    if isinstance(expr, (sympy.Symbol, sympy.Idx)):
        return lookup(expr)
    if expr.is_Add:
        return _sum(expr, lookup)
    return _multiple(expr, lookup) if expr.is_Mul else None


def _sum(expr: Any, lookup: Lookup) -> Affine | None:
    total = Affine(Size())
    for arg in expr.args:
        part = affine(arg, lookup)
        if part is None:
            return None
        total = total + part
    return total


def _multiple(expr: Any, lookup: Lookup) -> Affine | None:
    total = Affine(Size((), 1))
    for arg in expr.args:
        part = affine(arg, lookup)
        if part is None:
            return None
        if part.terms or part.size.terms:
            total, part = part, total  # only one factor may be more than a number
        if part.terms or part.size.terms:
            return None
        total = total * part.size.constant
    return total
