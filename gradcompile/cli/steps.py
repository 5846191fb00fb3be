"""The steps of a listing with their values: each line is computed from the ones above it.

A line is read as Python and computed by walking over its arithmetic; nothing of it is ever run as code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

OPERATORS: Mapping[type, Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.Pow: operator.pow,
        ast.USub: operator.neg,
    }
)
GAP = 3  # columns between the longest step and the values


def with_values(listing: str, point: Mapping[str, float]) -> str:
    r"""Return a listing with the value of each step beside it, as a comment.

    Parameters
    ----------
    listing : str
        Steps ``name = expression`` in scalars, one a line, and comments.
    point : mapping of str to float
        The inputs.

    Examples
    --------
    >>> print(with_values("a = x*w1\nb = a + w0", {"x": 2.0, "w1": 0.5, "w0": -1.0}))
    a = x*w1     # 1
    b = a + w0   # 0
    """
    found = list(_computed(listing, dict(point)))
    width = max((len(line) for line, value in found if value is not None), default=0) + GAP
    return "\n".join(line if value is None else f"{line:<{width}}# {value:.6g}" for line, value in found)


def _computed(listing: str, known: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield each line and its value; None where it is no step."""
    for line in listing.splitlines():
        body = ast.parse(line).body
        step = body[0] if body else None
        if isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name):
            known[step.targets[0].id] = value = float(_value(step.value, known))
            yield line, value
        elif isinstance(step, ast.AugAssign) and isinstance(step.target, ast.Name):
            known[step.target.id] = value = float(
                OPERATORS[type(step.op)](known[step.target.id], _value(step.value, known))
            )
            yield line, value
        else:
            yield line, None


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """Return the value of arithmetic in known names."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=sign, operand=operand):
            return OPERATORS[type(sign)](_value(operand, known))
        case ast.BinOp(left=left, op=sign, right=right):
            return OPERATORS[type(sign)](_value(left, known), _value(right, known))
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=name), args=operands, keywords=[]):
            return getattr(np, name)(*(_value(operand, known) for operand in operands))
    raise ValueError(f"not a step of a listing: {ast.unparse(node)}")
