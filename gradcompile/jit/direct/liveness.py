"""Which names of a function are read later, seen from a place in it: the field calls them live."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from gradcompile.jit.direct.syntax import names, nodes

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


def live_after(place: ast.stmt, body: Iterable[ast.stmt], after: Names = frozenset()) -> Names:
    """Return the names whose values are needed after a statement that stands among others, at any depth."""
    live = after
    for statement in reversed(list(body)):
        if statement is place:
            return live
        if _holds([statement], place):
            inner, around = next(each for each in _blocks(statement, live) if _holds(each[0], place))
            return live_after(place, inner, around)
        live = _before(statement, live)
    raise ValueError("the statement is not among those that it should be among")


def _holds(body: Iterable[ast.stmt], place: ast.stmt) -> bool:
    return any(node is place for each in body for node in nodes(each))


def _blocks(statement: ast.stmt, after: Names) -> Iterator[tuple[list[ast.stmt], Names]]:
    """Yield the statements inside of one, and the names whose values are needed after them."""
    if isinstance(statement, ast.For | ast.While):
        yield statement.body, live_around(statement, after)
    elif isinstance(statement, ast.If):
        yield statement.body, after
        yield statement.orelse, after


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
    return frozenset(name.id for name in names(node) if isinstance(name.ctx, ast.Load))


def stored(node: ast.AST) -> Names:
    """Return the names that are given values."""
    return frozenset(name.id for name in names(node) if isinstance(name.ctx, ast.Store))
