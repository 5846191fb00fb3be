"""What an expression of SymPy is made of: its parts, each visited once and without recursion, however deep it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sympy

SYMBOLS = (sympy.Symbol, sympy.Idx)
CONSTANT_MATRICES = (sympy.OneMatrix, sympy.ZeroMatrix, sympy.Identity)


def children(expr: Any) -> Sequence[Any]:
    """Return the parts of an expression that have a value: not labels, and not the sizes of matrices."""
    kind = type(expr)
    if kind not in PARTS:
        PARTS[kind] = _parts_of(kind)
    return PARTS[kind](expr)


PARTS: dict[type, Callable[[Any], Sequence[Any]]] = {}  # how to take an object of a class apart, found once


def _parts_of(kind: type) -> Callable[[Any], Sequence[Any]]:
    if issubclass(kind, sympy.Indexed):
        return lambda expr: expr.args[1:]
    if issubclass(kind, (sympy.MatrixSymbol, *CONSTANT_MATRICES, sympy.IndexedBase, *SYMBOLS, type)):
        return lambda expr: ()  # a type is the function of applyfunc
    if issubclass(kind, sympy.FunctionMatrix):
        return lambda expr: expr.args[2:]
    if issubclass(kind, sympy.MatrixBase):
        return lambda expr: expr.flat()
    return lambda expr: getattr(expr, "args", ())


def walk(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield every part of some expressions, each object once, in the order in which they are read."""
    stack, seen = list(roots)[::-1], set[int]()
    while stack:
        expr = stack.pop()
        if id(expr) not in seen:
            seen.add(id(expr))
            yield expr
            stack.extend(reversed(children(expr)))
