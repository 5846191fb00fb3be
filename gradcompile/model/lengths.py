"""Lengths of axes from expressions of SymPy: how far an index runs that is only shifted, scaled or a bound."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradcompile.ir import Size

from .affine import Affine, Lookup, Ranged, affine, leaves
from .extents import Place, last_value
from .parts import children

Indexing = Callable[[Any], Sequence[tuple[Size, Any]]]
Scope = Mapping[Any, Ranged]


class Surroundings:
    """What stands around an expression.

    Parameters
    ----------
    indexing : function
        The length and the index of each axis that an element of an array indexes.
    lookup : function
        What symbols stand for: sizes, and indices further out.
    depth : int
        How many indices are further out.
    """

    def __init__(self, indexing: Indexing, lookup: Lookup, depth: int = 0) -> None:
        self.indexing, self.lookup, self.depth = indexing, lookup, depth

    def number(self, expr: Any, scope: Scope) -> Affine | None:
        """Return a whole multiple of indices and sizes; None if it is none."""
        return affine(expr, lambda s: Affine(Size(), ((scope[s], 1),)) if s in scope else self.lookup(s))

    def index(self, length: Size | None, inside: int) -> Ranged:
        """Return an index that runs over an axis; one without a length has no range yet."""
        depth = self.depth + inside
        return Ranged(depth=depth) if length is None else Ranged(Affine(Size()), Affine(length - 1), depth=depth)


def lengths_of_axes(body: Any, alone: Mapping[Any, Size | None], around: Surroundings) -> dict[Any, Size]:
    """Return the lengths of the axes of indices, each as far as all places where it is written allow.

    Parameters
    ----------
    body : SymPy expression
        Where the indices are written.
    alone : mapping of Symbol to Size or None
        All indices that run over axes here: the length of what they index alone, None for those that index nothing
        alone.
    around : Surroundings
        What stands around.

    Raises
    ------
    ExtentError
        If the places contradict one another, or no size can say the length.
    """
    ranges = {symbol: around.index(length, inside) for inside, (symbol, length) in enumerate(alone.items())}
    places = list(_places(body, ranges, around))
    known = {s: None if any(_ends(ranges[s], p, ranges.values()) for p in places) else n for s, n in alone.items()}
    found = {symbol: length for symbol, length in known.items() if length is not None}
    return found | lengths_from_places(body, known, around)


def _ends(index: Ranged, place: Place, others: Collection[Ranged]) -> bool:
    """Return whether a place leaves its axis, and an index that also stands alone is the reason."""
    inside = [ranged for ranged, _ in place.number.terms if ranged is not index]
    if len(inside) == len(place.number.terms) or index.high is None or any(ranged in others for ranged in inside):
        return False
    if any(end is None or end.terms for ranged in inside for end in (ranged.low, ranged.high)):
        return False
    return leaves(place.number, place.length)


def lengths_from_places(body: Any, known: Mapping[Any, Size | None], around: Surroundings) -> dict[Any, Size]:
    """Return the lengths of the axes of indices that index nothing alone.

    Parameters
    ----------
    body : SymPy expression
        Where the indices are written.
    known : mapping of Symbol to Size or None
        All indices that run over axes here: their lengths, None for those to find.
    around : Surroundings
        What stands around.

    Returns
    -------
    dict of Symbol to Size
        Those that follow from the places where the indices are written.

    Raises
    ------
    ExtentError
        If the places contradict one another, or no size can say the length.
    """
    if None not in known.values():
        return {}
    ranges = {symbol: around.index(length, inside) for inside, (symbol, length) in enumerate(known.items())}
    places = list(_places(body, ranges, around))
    missing, found = [symbol for symbol, length in known.items() if length is None], dict[Any, Size]()
    while symbol := next((s for s in missing if _others_are_known(ranges[s], places)), None):
        missing.remove(symbol)
        index = ranges[symbol]
        last = last_value((index, place) for place in places if index in _dependence(place.number))
        if last is not None:
            found[symbol], index.low, index.high = last + 1, Affine(Size()), Affine(last)
    return found


def _others_are_known(index: Ranged, places: Sequence[Place]) -> bool:
    """Return whether every place that depends on an index depends on no other without a range."""
    sets = [_dependence(place.number) for place in places]
    return all(other is index or other.high is not None for found in sets if index in found for other in found)


def _dependence(number: Affine) -> set[Ranged]:
    """Return the indices that a number depends on, the bounds of its sums included."""
    stack, found = [index for index, _ in number.terms], set[Ranged]()
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack += [inner for end in (index.low, index.high) if end for inner, _ in end.terms]
    return found


def _places(root: Any, formals: Scope, around: Surroundings) -> Iterator[Place]:
    """Yield what is written in every index, where no condition decides if it counts."""
    stack: list[tuple[Any, Scope]] = [(root, formals)]
    seen: set[tuple[int, int]] = set()
    scopes = [formals]  # kept, so that the id of each stays its own
    while stack:
        expr, scope = stack.pop()
        if (id(expr), id(scope)) in seen:
            continue
        seen.add((id(expr), id(scope)))
        for length, index in around.indexing(expr):
            number = around.number(index, scope)
            if number is not None:
                yield Place(number, length, expr)
        if isinstance(expr, ExprWithLimits):
            scope = _inside(expr, scope, around)
            scopes.append(scope)
        stack += [(part, scope) for part in reversed(_certain(expr))]


def _certain(expr: Any) -> Sequence[Any]:
    """Return the parts of an expression that count whatever a condition says."""
    if isinstance(expr, sympy.Piecewise):
        value, condition = expr.args[0]
        return [value] if condition is sympy.true else [condition]
    return [expr.args[0]] if isinstance(expr, sympy.ITE) else children(expr)


def _inside(expr: Any, scope: Scope, around: Surroundings) -> Scope:
    """Return the scope inside of a sum: the last of its limits is the outermost."""
    inner = dict(scope)
    for symbol, *ends in reversed(expr.limits):
        if len(ends) == 2:
            index = around.index(None, len(inner))
            index.low, index.high = (around.number(end, inner) for end in ends)
        else:
            index = around.index(_length_alone(expr.function, symbol, around.indexing), len(inner))
        inner[symbol] = index
    return inner


def _length_alone(body: Any, symbol: Any, indexing: Indexing) -> Size | None:
    """Return the length of the first axis that a symbol indexes alone."""
    stack, seen = [body], set[int]()
    while stack:
        expr = stack.pop()
        if id(expr) not in seen:
            seen.add(id(expr))
            for length, index in indexing(expr):
                if index == symbol:
                    return length
            stack += reversed(children(expr))
    return None
