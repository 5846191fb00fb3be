"""Data that loops read one number after the other are asked for ahead of their turn.

The processor guesses what comes next while it is on the same page of memory, and begins anew on each: a loop that
computes much for a number waits there. So the samples of arguments are read by way of `late.SOON`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from gradcompile.jit.direct.syntax import nodes, spelled


def read_in_turn(function: ast.FunctionDef) -> Iterator[ast.Subscript]:
    """Yield the places where loops over samples read numbers of arguments first, one after the other."""
    given = {each.arg for each in function.args.args}
    for loop in _loops(function.body):
        parts = {name for each in loop.body for name in _parts(each, given)}
        if parts:
            yield from _first_read(_loops(loop.body), parts)
        else:
            yield from _first_read([loop], given)


def _first_read(loops: Iterable[ast.For], arrays: set[str]) -> Iterator[ast.Subscript]:
    """Yield the places where loops read arrays at their own step that none before them has read."""
    read = set[str]()
    for loop in loops:
        own = [statement for statement in loop.body if not isinstance(statement, ast.For)]
        for each in (node for statement in own for node in nodes(statement)):
            if _is_element(each, arrays - read, spelled(loop.target)):
                yield each
        read |= {spelled(each.value) for each in nodes(loop) if isinstance(each, ast.Subscript)}


def _is_element(node: ast.AST, arrays: set[str], counter: str) -> TypeGuard[ast.Subscript]:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and spelled(node.value) in arrays
        and spelled(node.slice) == counter
    )


def _parts(statement: ast.stmt, given: set[str]) -> Iterator[str]:
    """Yield the name that a statement gives to some samples of an argument, if it does."""
    if not isinstance(statement, ast.Assign):
        return
    value = statement.value
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice) and spelled(value.value) in given:
        yield spelled(statement.targets[0])


def _loops(body: Iterable[ast.stmt]) -> list[ast.For]:
    return [each for each in body if isinstance(each, ast.For)]
