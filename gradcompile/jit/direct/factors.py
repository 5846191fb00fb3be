"""Factors of a matrix that several lines need are computed once.

``h = logdet(K[:, :])``, ``a[:, :] = inverse(K[:, :])`` and ``x[:] = solve(K[:, :], b)`` would each eliminate K. Where
such lines stand in one body and nothing between them writes to K, the first of them is preceded by its factors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from gradcompile.jit.direct.aliases import sharing
from gradcompile.jit.direct.syntax import expression, mentioned, names, nodes, spelled

BY_FACTORS = {"inverse": "_inverted", "solve": "_solved", "logdet": "_logdet", "determinant": "_product"}


class Use(NamedTuple):
    """A call that needs the factors of a matrix, and the place of its statement."""

    place: int
    call: ast.Call


def share_factors(function: ast.FunctionDef) -> None:
    """Let a function compute the factors of each matrix once."""
    if any(isinstance(node, ast.Call) and spelled(node.func) in BY_FACTORS for node in nodes(function)):
        _share(function.body, sharing(function), count())


def _share(body: list[ast.stmt], shared: Mapping[str, frozenset[str]], numbers: Iterator[int]) -> None:
    """Do so for the statements of a body, and of those inside of it."""
    groups = list(_groups(body, shared))
    for statement in body:
        for inner in (getattr(statement, "body", []), getattr(statement, "orelse", [])):
            _share(inner, shared, numbers)
    before: dict[int, list[ast.stmt]] = {}
    for uses in groups:
        matrix, number = ast.unparse(uses[0].call.args[0]), next(numbers)
        factors, exchanges = f"factors.{number}", f"exchanges.{number}"  # there is no such name in Python
        before.setdefault(uses[0].place, []).extend(_made(matrix, factors, exchanges))
        for use in uses:
            use.call.func = ast.Name(BY_FACTORS[spelled(use.call.func)], ast.Load())
            use.call.args[:1] = [ast.Name(each, ast.Load()) for each in (factors, exchanges)]
    body[:] = [each for place, statement in enumerate(body) for each in (*before.get(place, ()), statement)]


def _made(matrix: str, factors: str, exchanges: str) -> list[ast.stmt]:
    """Return the statements that compute the factors of a matrix, and its exchanges, by these names."""
    size = f"{matrix}.shape[0]"
    shapes = {factors: f"({size}, {size}), {matrix}.dtype", exchanges: f"{size}, np.int32"}
    new = [
        ast.Assign([ast.Name(name, ast.Store())], expression(f"np.empty({shape})")) for name, shape in shapes.items()
    ]
    given = [expression(matrix), *(ast.Name(name, ast.Load()) for name in shapes)]
    call = ast.Expr(ast.Call(ast.Name("_factors", ast.Load()), given, []))
    return [ast.fix_missing_locations(each) for each in (*new, call)]


def _groups(body: Iterable[ast.stmt], shared: Mapping[str, frozenset[str]]) -> Iterator[list[Use]]:
    """Yield the calls of several statements that need the factors of one matrix."""
    open_groups: dict[str, tuple[set[str], list[Use]]] = {}
    for place, statement in enumerate(body):
        for call in _calls(statement):
            matrix = call.args[0]
            own, text = mentioned(matrix), ast.unparse(matrix)
            if all(shared.get(name, {name}) == {name} for name in own):
                open_groups.setdefault(text, (own, []))[1].append(Use(place, call))
        written = set(_written(statement))
        for text in [text for text, (own, _) in open_groups.items() if own & written]:
            found = open_groups.pop(text)[1]
            if len(found) > 1:
                yield found
    yield from (found for _, found in open_groups.values() if len(found) > 1)


def _calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """Yield the calls of a statement that is no loop which need the factors of a matrix."""
    if isinstance(statement, ast.Assign):
        for node in nodes(statement.value):
            if isinstance(node, ast.Call) and spelled(node.func) in BY_FACTORS:
                yield node


def _written(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement may give another value, or whose arrays it may write to."""
    for node in nodes(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from (name.id for name in names(node.value))
        elif isinstance(node, ast.Call) and spelled(node.func) not in BY_FACTORS:
            arrays = [each for each in node.args if isinstance(each, ast.Name) or _is_part(each)]
            yield from (name.id for each in arrays for name in names(each))


def _is_part(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Slice) for each in nodes(node))
