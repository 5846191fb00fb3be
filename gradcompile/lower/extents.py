"""Ranges that nobody wrote: how long the axis of an index is, from where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sympy

from gradcompile.errors import IndexRangeError
from gradcompile.ir import Size
from gradcompile.model.extents import ExtentError
from gradcompile.model.lengths import Surroundings, lengths_of_axes

from .places import shown, text_of
from .state import Scope, State


def inferred_length(state: State, symbol: Any, body: Any, scope: Scope) -> Any:
    """Return the length of the axis that a symbol runs over in an expression, as a SymPy number of sizes."""
    return inferred_lengths(state, [symbol], body, scope)[0]


def inferred_lengths(state: State, symbols: Sequence[Any], body: Any, scope: Scope) -> list[Any]:
    """Return the length of the axis of each symbol: one that it indexes alone, as far as all places are inside."""
    lengths = {symbol: _length_alone(state, symbol, body, scope) for symbol in symbols}
    lengths |= _from_places(state, lengths, body, scope)
    for symbol, length in lengths.items():
        if length is None:
            raise no_range(symbol, scope, symbol)
    return [_as_sympy(state, length) for length in lengths.values() if length is not None]


def _from_places(state: State, lengths: Mapping[Any, Size | None], body: Any, scope: Scope) -> dict[Any, Size]:
    depth = 1 + max((binding.depth for binding in scope.bound.values()), default=0)
    around = Surroundings(partial(_indexed_axes, state), lambda symbol: state.affine(symbol, scope), depth)
    try:
        return lengths_of_axes(body, lengths, around)
    except ExtentError as error:
        symbol = next((symbol for symbol, length in lengths.items() if length is None), next(iter(lengths)))
        raise IndexRangeError(
            f"the index {symbol} {error.what}",
            **shown(scope.root, body),
            expected=error.expected,
            found=error.found,
            hint=f"write the range, ({symbol}, first, last), or give what is defined a shape",
        ) from None


def _length_alone(state: State, symbol: Any, body: Any, scope: Scope) -> Size | None:
    """Return the length of the axes that a symbol indexes all alone; None where there is none."""
    found = _uses(state, symbol, body)
    lengths = {length for length, _ in found}
    if len(lengths) > 1:
        first = next(iter(found))
        other = next(use for use in found if use[0] != first[0])
        raise IndexRangeError(
            f"the index {symbol} has two ranges",
            **shown(scope.root, other[1]),
            expected=f"{first[0]}, from {text_of(first[1])}",
            found=f"{other[0]}, from {text_of(other[1])}",
            hint=f"write the range: ({symbol}, first, last)",
        )
    return lengths.pop() if lengths else None


def _uses(state: State, symbol: Any, body: Any) -> list[tuple[Size, Any]]:
    """Return the axes that a symbol indexes all alone, each with its place."""
    found: list[tuple[Size, Any]] = []
    stack, seen = [body], set[int]()
    while stack:
        expr = stack.pop()
        if id(expr) in seen or symbol not in state.survey.free(expr):
            continue
        seen.add(id(expr))
        found.extend((length, expr) for length, index in _indexed_axes(state, expr) if index == symbol)
        stack.extend(reversed([a for a in getattr(expr, "args", ()) if not isinstance(a, type)]))
    return found


def _indexed_axes(state: State, expr: Any) -> list[tuple[Size, Any]]:
    """Return the length of each axis that an expression indexes, with the index."""
    if isinstance(expr, sympy.Indexed):
        shape = state.shapes.get(expr.base.name, ())
        return list(zip(shape, expr.indices, strict=False))
    if isinstance(expr, sympy.matrices.expressions.matexpr.MatrixElement):
        return [(state.size(n, expr), i) for n, i in zip(expr.parent.shape, expr.args[1:], strict=True)]
    return []


def _as_sympy(state: State, size: Size) -> Any:
    symbols = {name: symbol for symbol, name in state.survey.sizes.items()}
    total = sympy.Integer(size.constant)
    for name, count in size.terms:
        if name not in symbols:  # a length that only the array knows
            symbol = sympy.Symbol(name, integer=True, positive=True)
            state.survey.sizes[symbol] = name
            symbols[name] = symbol
        total += count * symbols[name]
    return total


def escaped(symbol: Any, scope: Scope, use: Any) -> IndexRangeError:
    """Return the error for an index outside of its sum: a mistake, or SymPy's when it folds a Piecewise."""
    return IndexRangeError(
        f"the index {symbol} stands outside of the sum that binds it",
        **shown(scope.root, use),
        expected=f"{symbol} inside of its sum alone",
        hint=f"where SymPy moved a Piecewise out of an inner Sum over {symbol}, name the inner sum with define=...; "
        f"if {symbol} is a constant, give the index another letter",
    )


def no_range(symbol: Any, scope: Scope, use: Any) -> IndexRangeError:
    """Return the error for an index that nothing binds."""
    return IndexRangeError(
        f"the index {symbol} has no range",
        **shown(scope.root, use),
        expected="an index that a Sum, a Product, a Lambda or a definition binds",
        found=f"{symbol} is free, so the objective is not scalar",
        hint=f"write Sum(..., ({symbol}, first, last)), or Lambda({symbol}, ...) for a vector; "
        f"data=[{symbol}] makes it a label of each sample",
    )
