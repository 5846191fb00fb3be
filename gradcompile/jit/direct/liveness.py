"""Which names of a function are read later, seen from a place in it: the field calls them live."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from gradcompile.jit.direct.syntax import names, nodes

Names = frozenset[str]


class Liveness:
    """What the statements of a function need, as long as none of them is changed: each is looked at once."""

    def __init__(self) -> None:
        self._loaded: dict[ast.AST, Names] = {}
        self._stored: dict[ast.AST, Names] = {}

    def loaded(self, node: ast.AST) -> Names:
        """Return the names that are read; of an array whose elements are assigned, too."""
        if node not in self._loaded:
            self._loaded[node] = frozenset(name.id for name in names(node) if isinstance(name.ctx, ast.Load))
        return self._loaded[node]

    def stored(self, node: ast.AST) -> Names:
        """Return the names that are given values."""
        if node not in self._stored:
            self._stored[node] = frozenset(name.id for name in names(node) if isinstance(name.ctx, ast.Store))
        return self._stored[node]

    def before(self, body: Iterable[ast.stmt], after: Names) -> Names:
        """Return the names whose values statements need, given those whose values are needed after them."""
        live = after
        for statement in reversed(list(body)):
            live = self._before(statement, live)
        return live

    def around(self, loop: ast.For | ast.While, after: Names) -> Names:
        """Return the names whose values are needed where a step of a loop ends: by the next one, or after the loop."""
        live = after | self.loaded(loop.iter if isinstance(loop, ast.For) else loop.test)
        counted = self.stored(loop.target) if isinstance(loop, ast.For) else frozenset()
        while (more := live | self.before(loop.body, live) - counted) != live:
            live = more
        return live

    def after(self, place: ast.stmt, body: Iterable[ast.stmt], later: Names = frozenset()) -> Names:
        """Return the names whose values are needed after a statement that stands among others, at any depth."""
        live = later
        for statement in reversed(list(body)):
            if statement is place:
                return live
            if _holds([statement], place):
                inner, around = next(each for each in self._blocks(statement, live) if _holds(each[0], place))
                return self.after(place, inner, around)
            live = self._before(statement, live)
        raise ValueError("the statement is not among those that it should be among")

    def _blocks(self, statement: ast.stmt, later: Names) -> Iterator[tuple[list[ast.stmt], Names]]:
        """Yield the statements inside of one, and the names whose values are needed after them."""
        if isinstance(statement, ast.For | ast.While):
            yield statement.body, self.around(statement, later)
        elif isinstance(statement, ast.If):
            yield statement.body, later
            yield statement.orelse, later

    def _before(self, statement: ast.stmt, live: Names) -> Names:
        if isinstance(statement, ast.For | ast.While):
            return self.around(statement, live)
        if isinstance(statement, ast.If):
            branches = self.before(statement.body, live) | self.before(statement.orelse, live)
            return branches | self.loaded(statement.test)
        if isinstance(statement, ast.Return):
            return self.loaded(statement)
        if isinstance(statement, ast.AugAssign):
            return live | self.loaded(statement) | self.stored(statement)
        return live - self.stored(statement) | self.loaded(statement)


def _holds(body: Iterable[ast.stmt], place: ast.stmt) -> bool:
    return any(node is place for each in body for node in nodes(each))
