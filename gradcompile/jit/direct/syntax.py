"""Looks at the syntax of emitted functions: `ast.walk` and `ast.unparse` would take half of a translator's time."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator

LEAVES = (ast.Name, ast.Constant)  # nothing that is asked for is below them


def statements(function: ast.FunctionDef | ast.For) -> Iterator[ast.stmt]:
    """Yield the statements of a function or a loop: those of one depth after another, as `ast.walk` does."""
    waiting = deque(function.body)
    while waiting:
        statement = waiting.popleft()
        yield statement
        waiting += getattr(statement, "body", ())
        waiting += getattr(statement, "orelse", ())


def nodes(top: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and those below it, in no particular order."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, LEAVES):
            continue
        for part in vars(node).values():
            if isinstance(part, ast.AST):
                waiting.append(part)
            elif isinstance(part, list):
                waiting += [each for each in part if isinstance(each, ast.AST)]


def inside(loop: ast.For) -> Iterator[ast.AST]:
    """Yield the nodes of the statements that a loop repeats, in no particular order."""
    return (node for statement in loop.body for node in nodes(statement))


def is_innermost(loop: ast.For) -> bool:
    """Return whether no loop is among the statements of a loop; the branches of an ``if`` are not looked at."""
    return not any(isinstance(statement, ast.For) for statement in loop.body)


def names(node: ast.AST) -> Iterator[ast.Name]:
    """Yield the places where a node, or what it holds, has a name."""
    return (each for each in nodes(node) if isinstance(each, ast.Name))


def mentioned(node: ast.AST) -> set[str]:
    """Return the names that a node, or what it holds, has."""
    return {name.id for name in names(node)}


def spelled(node: ast.expr) -> str:
    """Return an expression as it is written: ``np.float64``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        return f"{spelled(node.value)}.{node.attr}"
    return ast.unparse(node)


def listed(node: ast.expr) -> list[ast.expr]:
    """Return the indices of a subscript, or the parts of another expression that may be a tuple."""
    return node.elts if isinstance(node, ast.Tuple) else [node]


def expression(text: str) -> ast.expr:
    """Return an expression that is written so."""
    return ast.parse(text, mode="eval").body
