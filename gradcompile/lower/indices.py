"""Indices: ranges become axes, and every index is checked against the axis that it indexes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import sympy

from gradcompile.affine import written
from gradcompile.errors import IndexRangeError, UnsupportedError
from gradcompile.ir import Axis, Size, Value
from gradcompile.model.affine import Affine, never_negative
from gradcompile.model.parts import SYMBOLS

from .binding import Binding
from .extents import escaped, inferred_length, no_range
from .places import shown, text_of
from .state import Ask, Scope, State


class Range(NamedTuple):
    """A bound index: its axis, what it means, and the comparisons that cut the axis where its ends depend on others."""

    axis: Axis
    binding: Binding
    cuts: tuple[tuple[str, Any], ...] = ()  # a row of the table and what the index is compared with, in SymPy


def bind_range(state: State, limit: Any, scope: Scope, taken: set[Axis], body: Any) -> Range:
    """Return the range of a limit ``(index, first, last)``; `taken` are axes that it must not get."""
    symbol, first, last = _limit(state, limit, scope, body)
    low, high = (_end(state, end, scope, limit) for end in (first, last))
    lowest, highest = low.extreme(largest=False), high.extreme(largest=True)
    if lowest is None or highest is None:
        raise UnsupportedError(
            "the range depends on something that is not an index",
            **shown(scope.root, limit),
            expected="sizes, indices further out, and whole multiples of them",
            hint="let it end at sizes and outer indices",
        )
    length = _aligned(low, high, lowest, highest) or highest - lowest + 1
    check_length(state, length, f"the range of {symbol}", limit, scope)
    _check_sizes(state, length, limit, scope)
    letter = "" if isinstance(symbol, sympy.Dummy) else symbol.name  # SymPy's own dummies have no letter
    axis = state.axis(length, taken, letter)
    value = state.builder.iota(axis)
    if lowest != Size():
        value = state.builder.apply("add", value, state.builder.size(lowest))
    depth = 1 + max((b.depth for b in scope.bound.values()), default=0)
    binding = state.binding(value, low, high, (lowest, lowest + length - 1), depth)
    return Range(axis, binding, tuple(_cuts(low, high, first, last)))


def _cuts(low: Affine, high: Affine, first: Any, last: Any) -> Iterator[tuple[str, Any]]:
    """Yield the comparisons that an index must pass: ``j < i`` where the range ends at ``i - 1``."""
    if low.terms:
        yield "ge", first
    if high.terms:
        yield ("lt", last + 1) if high.size.constant == -1 else ("le", last)


def _limit(state: State, limit: Any, scope: Scope, body: Any) -> tuple[Any, Any, Any]:
    """Return index, first and last; a limit without ends takes them from the axes that the index indexes."""
    symbol, *ends = limit
    if not isinstance(symbol, SYMBOLS):
        raise UnsupportedError(
            f"{symbol} is not an index",
            **shown(scope.root, limit),
            expected="a Symbol",
            hint="write (i, 0, N - 1) with a Symbol i",
        )
    if len(ends) == 2:
        return symbol, ends[0], ends[1]
    if ends:
        raise UnsupportedError(
            f"the range of {symbol} has one end",
            **shown(scope.root, limit),
            expected="two ends, or none",
            hint="write both, (i, 0, N - 1), or none",
        )
    return symbol, sympy.Integer(0), inferred_length(state, symbol, body, scope) - 1


def _end(state: State, end: Any, scope: Scope, limit: Any) -> Affine:
    number = state.affine(end, scope)
    if number is None:
        for symbol in state.survey.free(end):
            if symbol not in scope.bound:
                raise IndexRangeError(
                    f"the range of {limit[0]} depends on {symbol}, which is not bound around it",
                    **shown(scope.root, limit),
                    hint=f"the first range is the innermost: write the range of {symbol} after that of {limit[0]}",
                )
        raise UnsupportedError(
            f"the range of {limit[0]} ends at {text_of(end)}, which is not a whole number of sizes and indices",
            **shown(scope.root, end),
            expected="sizes, indices further out, and whole multiples of them",
            hint="stop where terms no longer count, as at 100"
            if getattr(end, "is_infinite", False)
            else "sum over the whole axis and put the condition into a Piecewise",
        )
    return number


def _aligned(low: Affine, high: Affine, lowest: Size, highest: Size) -> Size | None:
    """Return the length of the outer index's axis where the range is a triangle of it, so that arrays line up."""
    if lowest != Size() or len(high.terms) != 1 or low.terms:
        return None
    ((outer, count),) = high.terms
    if count != 1 or outer.box is None:
        return None
    length = outer.box[1] + 1
    return length if length - (highest + 1) in (Size(), Size((), 1)) else None


def check_length(state: State, length: Size, name: str, use: Any, scope: Scope) -> None:
    """Check that a range or an axis is not shorter than nothing, now or in each call."""
    fits = never_negative(length)
    what = f"{name} has the length {length}"
    if fits is False:
        raise IndexRangeError(
            f"{what}, which is negative",
            **shown(scope.root, use),
            expected="first <= last + 1",
            hint="correct the ends of the range, or the shape",
        )
    if fits is None:
        state.require(length, f"{what}, which must not be negative: {text_of(use)}", use)


def _check_sizes(state: State, length: Size, limit: Any, scope: Scope) -> None:
    for name, _ in length.terms:
        if name not in state.measured:
            raise IndexRangeError(
                f"nothing says how large {name} is",
                **shown(scope.root, limit),
                expected=f"an array with {name} in its shape",
                hint=f"declare one, as in IndexedBase('x', shape=({name},)), or write a number",
            )


# --- what an index is where it is used


Steps = Generator[Ask, Value, Value]


def index_value(state: State, index: Any, length: Size, scope: Scope, use: Any, position: int = 0) -> Steps:
    """Ask for an index of an axis of some length, checked as far as it can be before there are arrays.

    `use` is the expression that holds the index.
    """
    _has_ranges(state, index, scope, use)
    value = yield Ask(index, scope)
    if value.kind != "int":
        raise IndexRangeError(
            f"{text_of(index)} cannot be an index",
            **shown(scope.root, use),
            expected="an index, integer data, a sum of whole multiples of them, or its remainder Mod(i, N)",
            hint="give it as integer data g, and write g[i], or declare the array in it as labels",
        )
    number = state.affine(index, scope)
    if number is None:
        return _clamped(state, value, length, (True, True)) if scope.guarded else value
    value = written(value)  # y[i - 1] is that of its own sample where i counts from 1
    outside = _outside(state, number, length, scope, use, index)
    return _clamped(state, value, length, outside)


def _has_ranges(state: State, index: Any, scope: Scope, use: Any) -> None:
    """Refuse an index symbol that no sum binds."""
    stack = [index]
    while stack:
        expr = stack.pop()
        if isinstance(expr, SYMBOLS):
            name = expr.name
            if expr not in scope.bound and expr not in state.survey.sizes and name not in state.survey.declared:
                raise (escaped if expr in state.survey.free.bound else no_range)(expr, scope, use)
        elif not isinstance(expr, sympy.Indexed):
            stack.extend(expr.args)


def _outside(state: State, number: Affine, length: Size, scope: Scope, use: Any, index: Any) -> tuple[bool, bool]:
    """Return whether the index must be kept from falling below 0 and from rising above the end.

    An index that leaves the axis for certain is an error, one that may leave it is a requirement at run time. Where a
    condition decides, or a triangle is cut out of a box, the index is clamped: those points do not count.
    """
    clamps = []
    for largest in (False, True):
        tight, box = (_slack(e, length, largest) for e in (number.extreme(largest), number.extreme_in_box(largest)))
        inside = tight is not None and never_negative(tight)
        if not scope.guarded and inside is not True and tight is not None:
            message = f"{text_of(use)}: the index {text_of(index)} {'exceeds' if largest else 'is below'} its axis"
            if inside is False:
                raise _leaves(number, length, largest, scope, use, index)
            state.require(tight, f"{message} of length {length}", use)
        cut = scope.guarded or tight != box
        clamps.append(cut and (box is None or never_negative(box) is not True))
    return clamps[0], clamps[1]


def _slack(extreme: Size | None, length: Size, largest: bool) -> Size | None:
    """Return how far inside of its axis an index stays."""
    if extreme is None:
        return None
    return length - 1 - extreme if largest else extreme


def _leaves(number: Affine, length: Size, largest: bool, scope: Scope, use: Any, index: Any) -> IndexRangeError:
    extreme = number.extreme(largest)
    return IndexRangeError(
        f"the index {text_of(index)} leaves its axis",
        **shown(scope.root, use),
        expected=f"0 to {length - 1}",
        found=f"{'up to' if largest else 'down to'} {extreme}",
        hint="indices count from 0; both ends of a range are included",
    )


def _clamped(state: State, value: Value, length: Size, ends: tuple[bool, bool]) -> Value:
    """Keep an index on its axis at the points that do not count."""
    below, above = ends
    if below:
        value = state.builder.apply("maximum", value, state.builder.const(0))
    if above:
        value = state.builder.apply("minimum", value, state.builder.size(length - 1))
    return value
