"""Long functions in several: what LLVM does with a function takes longer than in proportion to its length.

The statements of a long function, as many as belong to a part, become a function of the names that they need. What
they assign and is needed later it returns, new arrays as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gradcompile.jit.direct.aliases import is_own, sharing
from gradcompile.jit.direct.liveness import Liveness, Names
from gradcompile.jit.direct.signs import counted
from gradcompile.jit.direct.syntax import nodes, spelled

LONG = 300  # statements of a function that is parted
PART = 150  # statements of a part at most
VECTOR = 2000  # statements at most of an innermost loop that stays whole: with calls in it, it makes no vectors
RETURNED = 30  # names at most that a part returns
WORTH = 20  # statements of a part at least


class Part(NamedTuple):
    """A function that is part of another.

    Attributes
    ----------
    node : FunctionDef
        The function.
    counted : frozenset of str
        Those of its arguments that are integers which cannot be negative.
    """

    node: ast.FunctionDef
    counted: Names = frozenset()


def outlined(function: ast.FunctionDef) -> list[Part]:
    """Return the parts of a long function and at the end the function that calls them; a short one remains as it is."""
    if (function.end_lineno or 0) - function.lineno < LONG:  # a line has a statement at most
        return [Part(function)]
    outline = _Outline(function)
    body = outline.shortened(function.body, frozenset())
    whole = ast.FunctionDef(function.name, function.args, body, function.decorator_list)
    return [*outline.parts, Part(ast.copy_location(whole, function))]


class _Outline:
    """The parts of one function in the making."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.function = function
        self.parts: list[Part] = []
        self.liveness = Liveness()
        self.counted = counted(function)
        self.shared = sharing(function)
        self.names = self.liveness.stored(function) | {each.arg for each in function.args.args}

    def shortened(self, body: Sequence[ast.stmt], live: Names) -> list[ast.stmt]:
        """Return statements with calls of their parts, given the names that are needed after them."""
        found: list[ast.stmt] = []
        for run in reversed(list(_runs(body))):
            found[:0] = self._shorter(run, live)
            live = self.liveness.before(run, live)
        return found

    def _shorter(self, run: list[ast.stmt], live: Names) -> list[ast.stmt]:
        loop, length = run[0], _length(run)
        if length > (VECTOR if _is_innermost(loop) else PART) and isinstance(loop, ast.For):
            body = self.shortened(loop.body, self.liveness.around(loop, live))
            return [ast.copy_location(ast.For(loop.target, loop.iter, body, []), loop)]
        return [self._moved(run, live)] if length >= WORTH and self._can_move(run, live) else run

    def _can_move(self, run: Sequence[ast.stmt], live: Names) -> bool:
        """Return whether statements may be a function: no two arguments share their memory, and no result another's.

        What they make and is needed later is little: to return many arrays takes LLVM longer than to make them.
        """
        if not all(map(_is_plain, run)) or len(self._assigned(run) & live) > RETURNED:
            return False
        given, written = self._given(run, live), {name for statement in run for name in self._written(statement)}
        groups = [self.shared[name] for name in sorted(written & self.shared.keys())]
        return not self._assigned(run) & live & self.shared.keys() and all(len(given & group) < 2 for group in groups)

    def _given(self, run: Sequence[ast.stmt], live: Names) -> Names:
        """Return the names that statements need."""
        needed = self._assigned(run).union(*map(self.liveness.loaded, run))
        return self.liveness.before(run, live) & self.names & needed

    def _moved(self, run: list[ast.stmt], live: Names) -> ast.stmt:
        """Return the call that stands for statements, which become a part."""
        name = f"{self.function.name}.{len(self.parts)}"  # no identifier, so that no function of the text is the same
        given, returned = sorted(self._given(run, live)), sorted(self._assigned(run) & live)
        arguments = ast.arguments([], [ast.arg(each) for each in given], None, [], [], None, [])
        last = ast.Return(_tuple(returned, ast.Load()) if returned else ast.Constant(0))
        last.lineno = (run[-1].end_lineno or 0) + 1
        node = ast.FunctionDef(name, arguments, [*run, last], self.function.decorator_list, lineno=run[0].lineno)
        self.parts.append(Part(ast.fix_missing_locations(node), self.counted.intersection(given)))
        call = ast.Call(ast.Name(name, ast.Load()), [ast.Name(each, ast.Load()) for each in given], [])
        made = ast.Assign([_tuple(returned, ast.Store())], call) if returned else ast.Expr(call)
        return ast.fix_missing_locations(ast.copy_location(made, run[0]))

    def _assigned(self, run: Sequence[ast.stmt]) -> Names:
        return frozenset[str]().union(*map(self.liveness.stored, run))

    def _written(self, statement: ast.stmt) -> Iterator[str]:
        """Yield the arrays whose elements a statement assigns, or may assign by a call."""
        for node in nodes(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                yield spelled(node.value)
            elif isinstance(node, ast.Expr):
                yield from self.liveness.loaded(node)


def _runs(body: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield statements that may become a part together, and others alone."""
    run: list[ast.stmt] = []
    length, before = 0, False
    for each in body:
        plain, more = _is_plain(each), _length([each])
        if run and not (plain and before and length + more <= PART):
            yield run
            run, length = [], 0
        run.append(each)
        length, before = length + more, plain
    if run:
        yield run


def _tuple(names: Sequence[str], context: ast.expr_context) -> ast.expr:
    each: list[ast.expr] = [ast.Name(name, context) for name in names]
    return each[0] if len(each) == 1 else ast.Tuple(each, context)


def _is_plain(node: ast.stmt) -> bool:
    """Return whether a statement leaves nothing behind but numbers and new arrays: no other names for arrays."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        returns = any(isinstance(each, ast.Return) for each in nodes(node))
        return not returns and not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple))
    return is_own(node.value)


def _is_innermost(loop: ast.stmt) -> bool:
    """Return whether a loop has no loops inside."""
    return not any(isinstance(node, ast.For | ast.While) for node in nodes(loop) if node is not loop)


def _length(body: Sequence[ast.AST]) -> int:
    """Return the number of statements, those inside of others included."""
    return sum(isinstance(node, ast.stmt) for each in body for node in nodes(each))
