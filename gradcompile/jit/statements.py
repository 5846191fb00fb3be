"""Statements of emitted Python, with the names that each reads and assigns to: these are asked for again and again."""

from __future__ import annotations

import ast
from typing import NamedTuple


class Statement(NamedTuple):
    """A statement.

    Attributes
    ----------
    node : stmt
        Its syntax.
    read, assigned : list of str
        The names that it, or what it holds, reads and assigns to; each as often as it stands there.
    calls : bool
        Whether it calls something, or raises to a power.
    """

    node: ast.stmt
    read: list[str]
    assigned: list[str]
    calls: bool

    @classmethod
    def of(cls, node: ast.stmt) -> Statement:
        """Return a statement with its names."""
        read: list[str] = []
        assigned: list[str] = []
        calls = False
        rest: list[object] = [node]
        while rest:  # `ast.walk` would take three times as long
            each = rest.pop()
            if isinstance(each, ast.Name):
                (read if isinstance(each.ctx, ast.Load) else assigned).append(each.id)
            elif isinstance(each, list):
                rest += each
            elif isinstance(each, ast.AST):
                calls = calls or isinstance(each, ast.Call | ast.Pow)
                rest += vars(each).values()
                if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
                    read.append(each.target.id)
        return cls(node, read, assigned, calls)

    @property
    def is_plain(self) -> bool:
        """Whether it holds no other statements."""
        return not isinstance(self.node, ast.If | ast.While | ast.For)
