"""Which names of a function are read later, seen from a place in it: the field calls them live."""

from __future__ import annotations

import ast
from collections.abc import Iterable

Names = frozenset[str]


def live_before(body: Iterable[ast.stmt], after: Names) -> Names:
    """Return the names whose values statements need, given those whose values are needed after them."""
    live = after
    for statement in reversed(list(body)):
        live = _before(statement, live)
    return live


def live_around(loop: ast.For | ast.While, after: Names) -> Names:
    """Return the names whose values are needed where a step of a loop ends: by the next one, or after the loop."""
    live = after | loaded(loop.iter if isinstance(loop, ast.For) else loop.test)
    while (more := live | live_before(loop.body, live) - _counted(loop)) != live:
        live = more
    return live


def _before(statement: ast.stmt, live: Names) -> Names:
    if isinstance(statement, ast.For | ast.While):
        return live_around(statement, live)
    if isinstance(statement, ast.If):
        branches = live_before(statement.body, live) | live_before(statement.orelse, live)
        return branches | loaded(statement.test)
    if isinstance(statement, ast.Return):
        return loaded(statement)
    if isinstance(statement, ast.AugAssign):
        return live | loaded(statement) | stored(statement)
    return live - stored(statement) | loaded(statement)


def _counted(loop: ast.For | ast.While) -> Names:
    return stored(loop.target) if isinstance(loop, ast.For) else frozenset()


def loaded(node: ast.AST) -> Names:
    """Return the names that are read; of an array whose elements are assigned, too."""
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def stored(node: ast.AST) -> Names:
    """Return the names that are given values."""
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
