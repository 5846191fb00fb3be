"""Shapes of arrays that the user did not declare, from the ranges of the indices that they are used with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradcompile.errors import IndexRangeError
from gradcompile.ir import Size
from gradcompile.model.affine import Affine, never_negative
from gradcompile.model.parts import children

from .binding import Binding
from .places import shown

if TYPE_CHECKING:
    from gradcompile.ir import Value

    from .state import Scope, State


def used_shapes(state: State, arrays: list[Any]) -> dict[str, tuple[Size, ...]]:
    """Return a shape for each array without one: as long as the largest index that is used."""
    if not arrays:
        return {}
    names = {a.name for a in arrays}
    lengths: dict[str, list[Size | None]] = {}
    begins: dict[tuple[str, int], list[tuple[Size | None, Any, Scope]]] = {}  # the first element that a use reads
    for use, scope in _uses(state, names):
        found = lengths.setdefault(use.base.name, [None] * len(use.indices))
        if len(found) != len(use.indices):
            raise IndexRangeError(
                f"{use.base} is used with {len(found)} and with {len(use.indices)} indices",
                **shown(scope.root, use),
                hint=f"declare its shape: IndexedBase('{use.base}', shape=(...))",
            )
        for k, index in enumerate(use.indices):
            found[k] = _larger(found[k], _reach(state, index, scope))
            begins.setdefault((use.base.name, k), []).append((_first(state, index, scope), use, scope))
    for uses in begins.values():
        _check_beginning(uses)
    for a in arrays:
        if a.name not in lengths:
            raise IndexRangeError(f"{a.name} has no shape", hint=f"IndexedBase('{a.name}', shape=(...))")
    return {n: tuple(s or _own_length(state, n, k) for k, s in enumerate(found)) for n, found in lengths.items()}


def _own_length(state: State, array: str, position: int) -> Size:
    """Return a size that only the array itself tells."""
    name = f"{array}_{position}"
    while name in state.survey.sizes.values():
        name += "_"
    return Size.of(name)


def _first(state: State, index: Any, scope: Scope) -> Size | None:
    """Return the smallest place that an index takes; None if it is not known."""
    number = state.affine(index, scope)
    return number.extreme(largest=False) if number else None


def _check_beginning(uses: list[tuple[Size | None, Any, Scope]]) -> None:
    """Refuse to guess a shape with an element 0 that is never read: who counts from 1 would lose a sample."""
    if not all(first is not None and first != Size() and never_negative(first) for first, _, _ in uses):
        return
    first, use, scope = uses[0]
    raise IndexRangeError(
        f"the element 0 of {use.base} is never read, and it has no shape",
        **shown(scope.root, use),
        expected="indices that count from 0",
        found=f"from {first} on",
        hint=f"subtract what they begin with, or declare IndexedBase('{use.base}', shape=(...)) with an element 0",
    )


def _reach(state: State, index: Any, scope: Scope) -> Size | None:
    """Return the length that an index needs."""
    number = state.affine(index, scope)
    largest = number.extreme(largest=True) if number else None
    return None if largest is None else largest + 1


def _larger(a: Size | None, b: Size | None) -> Size | None:
    """Return the larger of two lengths, the first where nothing says; the other is then checked at run time."""
    if a is None or b is None:
        return b if a is None else a
    return b if never_negative(b - a) else a


def _uses(state: State, names: set[str]) -> Iterator[tuple[Any, Scope]]:
    """Yield every element of the arrays, in order, with the ranges around it."""
    from .state import Scope

    model = state.model
    roots = [(model.objective, ()), *((e, ()) for e in model.outputs.values())]
    roots += [(body, key.indices if isinstance(key, sympy.Indexed) else ()) for key, body in model.definitions.items()]
    for root, _ in roots:
        stack, seen = [(root, Scope(root))], set()
        while stack:
            expr, scope = stack.pop()
            key = id(expr), frozenset((s, scope.bound[s]) for s in state.survey.free(expr) if s in scope.bound)
            if key in seen:
                continue
            seen.add(key)
            if isinstance(expr, sympy.Indexed) and expr.base.name in names:
                yield expr, scope
            inner = _inside(state, expr, scope) if isinstance(expr, ExprWithLimits) else scope
            stack.extend((part, inner) for part in reversed(children(expr)))


def _inside(state: State, expr: Any, scope: Scope) -> Scope:
    """Return the scope inside of a sum; only the ends of the ranges matter here."""
    nothing: Value = state.builder.const(0)
    for symbol, *ends in reversed(expr.limits):
        if len(ends) == 2:
            low, high = (state.affine(end, scope) for end in ends)
            if low and high:
                depth = 1 + max((b.depth for b in scope.bound.values()), default=0)
                scope = scope.bind(symbol, _binding(nothing, low, high, depth))
    return scope


def _binding(value: Value, low: Affine, high: Affine, depth: int) -> Binding:
    return Binding(value=value, low=low, high=high, box=(Size(), Size()), depth=depth)
