"""Which names of a function may stand for the same memory, and which for numbers."""

from __future__ import annotations

import ast

from gradcompile.jit.direct.signs import is_length
from gradcompile.jit.direct.syntax import names, nodes, spelled, statements

NUMBERS = frozenset(  # functions that return no arrays
    (
        "maximum minimum finite min max int abs float real rolled logdet determinant"
        " samples_in_block samples_to_multiply samples_of_rows"
    ).split()
)
NEW = ("np.empty", "np.zeros")  # and those that return new ones


def sharing(function: ast.FunctionDef) -> dict[str, frozenset[str]]:
    """Return, for every array that may share its memory with others, all that do: parts and views with their array."""
    found: dict[str, frozenset[str]] = {}
    assigned = [each for each in statements(function) if isinstance(each, ast.Assign)]
    others = {each.arg for each in function.args.args}  # names that may stand for arrays
    others |= {name.id for each in assigned if not _is_number(each.value) for name in names(each.targets[0])}
    for node in assigned:
        if not isinstance(node.targets[0], ast.Name):
            continue
        if isinstance(node.value, ast.Name) and node.value.id not in others:
            continue
        if not is_own(node.value) and not is_length(node.value):
            base = [each.id for each in names(_base(node.value)) if each.id != "np"]
            same = [node.targets[0].id, *base]
            group = frozenset(same).union(*(found.get(name, ()) for name in same))
            found |= dict.fromkeys(group, group)
    return found


def is_new(node: ast.expr) -> bool:
    """Return whether an expression makes a new array, of zeros or of nothing in particular."""
    return isinstance(node, ast.Call) and spelled(node.func) in NEW


def is_own(node: ast.expr) -> bool:
    """Return whether an expression is a number or a new array, and not an array that has another name."""
    if is_new(node) or (isinstance(node, ast.Call) and _is_of_numbers(node)):
        return True
    inside = [each for each in nodes(node) if isinstance(each, ast.Slice | ast.Attribute | ast.Call)]
    return not isinstance(node, ast.Name) and all(map(_is_of_numbers, inside))


def _is_number(node: ast.expr) -> bool:
    """Return whether an expression is a number, whatever its names stand for."""
    return is_own(node) and not is_new(node)


def _is_of_numbers(node: ast.AST) -> bool:
    """Return whether a part of an expression is a number, or a name like ``math.inf``."""
    if isinstance(node, ast.Call):
        name = spelled(node.func)
        return name in NUMBERS or name.startswith(("v", "math."))
    return isinstance(node, ast.Attribute) and spelled(node.value) == "math"


def _base(node: ast.expr) -> ast.expr:
    """Return the array whose part or view an expression is, if it says so."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node
