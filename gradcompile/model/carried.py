"""Formulas on their way to another process: SymPy's own pickling simplifies them, and recurses as deep as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.operations import AssocOp

from .reductions import reduction

Place = int  # of a part, in the order in which parts are made


class Part(NamedTuple):
    """One part of some formulas.

    Parameters
    ----------
    made : class or object
        What makes it of its own parts; without any, the part itself.
    how : {"whole", "as written", "plain", "of parts", "over indices"}
        Which call that is: see MAKERS.
    places : tuple of int
        Its own parts.
    """

    made: Any
    how: str
    places: tuple[Place, ...] = ()


MAKERS: dict[str, Callable[..., Any]] = {
    "as written": lambda kind, parts: kind(*parts, evaluate=False),
    "plain": lambda kind, parts: kind(*parts),
    "of parts": lambda kind, parts: kind._from_args(parts),
    "over indices": lambda kind, parts: reduction(kind, *parts),
}
CLASSES = {"of parts": AssocOp, "over indices": ExprWithLimits}  # that know such a call; the others all may
NAMES = (sympy.Atom, sympy.IndexedBase, sympy.MatrixSymbol, type)


def packed(roots: Iterable[Any]) -> tuple[list[Part], list[Place]]:
    """Return the parts of formulas, each once and after its own parts, and where the formulas stand among them."""
    parts: list[Part] = []
    places: dict[int, Place] = {}  # by identity: equal parts may be written differently
    roots = list(roots)
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        expr, ready = stack.pop()
        if id(expr) in places:
            continue
        inner = () if isinstance(expr, NAMES) else getattr(expr, "args", ())  # a mutable matrix has none
        if ready or not inner:
            places[id(expr)] = len(parts)
            parts.append(_part(expr, inner, places))
        else:
            stack.append((expr, True))
            stack.extend((each, False) for each in reversed(inner) if id(each) not in places)
    return parts, [places[id(root)] for root in roots]


def unpacked(parts: Sequence[Part], places: Iterable[Place]) -> list[Any]:
    """Return the formulas of which `packed` made these parts."""
    made: list[Any] = []
    for part in parts:
        inner = [made[place] for place in part.places]
        made.append(part.made if part.how == "whole" else MAKERS[part.how](part.made, inner))
    return [made[place] for place in places]


def _part(expr: Any, inner: Sequence[Any], places: dict[int, Place]) -> Part:
    if not inner:
        return Part(expr, "whole")
    how = next((how for how in MAKERS if _makes(how, expr)), None)
    return Part(expr, "whole") if how is None else Part(expr.func, how, tuple(places[id(each)] for each in inner))


def _makes(how: str, expr: Any) -> bool:
    """Return whether a maker gives the expression itself, and not what SymPy thinks is simpler."""
    if not isinstance(expr, CLASSES.get(how, object)):
        return False
    try:
        again = MAKERS[how](expr.func, expr.args)
    except Exception:  # a class may know no such call
        return False
    return type(again) is type(expr) and again.args == expr.args
