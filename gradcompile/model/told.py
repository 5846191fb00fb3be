"""Which axes of definitions a text tells: an array made in Python may be shorter than what its formula allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from gradcompile.ir import Size

from .affine import Affine, affine
from .extents import ExtentError
from .lengths import Surroundings, lengths_of_axes
from .parts import walk

Axis = tuple[str, int]  # name and position
Shapes = Mapping[str, Sequence[Any]]


def untold_axes(definitions: Mapping[Any, Any], shapes: Shapes) -> frozenset[Axis]:
    """Return the axes of definitions for which the parser would infer another length, from the formula alone.

    Parameters
    ----------
    definitions : mapping
        Bodies by their left sides, each after those that it uses.
    shapes : mapping of str to sequence
        The lengths of the axes of every array, None where one is not known.
    """
    untold: set[Axis] = set()
    for key, body in definitions.items():
        if isinstance(key, sympy.Indexed):
            untold |= _untold(key, body, shapes, untold)
    return frozenset(untold)


def _untold(key: Any, body: Any, shapes: Shapes, untold: set[Axis]) -> set[Axis]:
    """Return the axes of one definition that its body does not tell."""
    name = str(key.base.name)
    plain = {(i, axis in untold) for e in walk([body]) if isinstance(e, sympy.Indexed) for axis, i in _axes(e)}
    reads = [read for e in walk([body]) for read in _sized(e, shapes)]
    alone = {index: next((size for size, i in reads if i == index), None) for index in key.indices}
    try:
        found = lengths_of_axes(body, alone, Surroundings(lambda expr: _sized(expr, shapes), _length))
    except ExtentError:
        found = {}
    declared = dict(zip(key.indices, map(_size, shapes[name]), strict=True))
    return {
        (name, k)
        for k, i in enumerate(key.indices)
        if _told(i, plain) is False or (i in found and found[i] != declared[i])
    }


def _told(index: Any, plain: set[tuple[Any, bool]]) -> bool | None:
    """Return whether an index stands alone on an axis that the text tells; None if it stands alone nowhere."""
    return True if (index, False) in plain else False if (index, True) in plain else None


def _axes(element: Any) -> list[tuple[Axis, Any]]:
    return [((str(element.base.name), k), index) for k, index in enumerate(element.indices)]


def _sized(expr: Any, shapes: Shapes) -> list[tuple[Size, Any]]:
    """Return the axes that an element indexes, with the index: those whose length is known."""
    if not isinstance(expr, sympy.Indexed):
        return []
    pairs = zip(map(_size, shapes.get(str(expr.base.name), ())), expr.indices, strict=False)
    return [(size, index) for size, index in pairs if size is not None]


def _size(length: Any) -> Size | None:
    number = None if length is None else affine(sympy.sympify(length, strict=True), _length)
    return None if number is None else number.size


def _length(symbol: Any) -> Affine:
    return Affine(Size.of(str(symbol.name)))
