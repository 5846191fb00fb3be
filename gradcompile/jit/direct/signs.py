"""Which names of a function are numbers, lengths, or integers that cannot be negative.

A negative index counts from the end, and others need no test: LLVM makes vectors of a loop only if it sees that as
well.
"""

from __future__ import annotations

import ast

from gradcompile.jit.direct.syntax import listed, names, nodes, spelled, statements

Names = frozenset[str]


def counted(function: ast.FunctionDef, given: Names = frozenset()) -> Names:
    """Return the names that are lengths, that count the steps of loops, and what is added and multiplied of these.

    Parameters
    ----------
    function : FunctionDef
        The function.
    given : frozenset of str
        Arguments that are known to be so.
    """
    ways: dict[str, list[ast.Assign | ast.AugAssign | ast.For]] = {}
    for node in statements(function):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (each for target in targets for each in names(target)):
                if isinstance(name.ctx, ast.Store):
                    ways.setdefault(name.id, []).append(node)
    for argument in function.args.args:
        if argument.arg not in given:
            ways.pop(argument.arg, None)
    known = frozenset(given - ways.keys())
    while (more := known | {n for n, nodes in ways.items() if all(_counts(each, known) for each in nodes)}) != known:
        known = more
    return known


def _counts(node: ast.Assign | ast.AugAssign | ast.For, known: Names) -> bool:
    """Return whether a statement gives its names numbers that are not negative."""
    if isinstance(node, ast.For):
        return _counts_up(node, known)
    if isinstance(node, ast.AugAssign):
        return False
    return is_length(node.value) or (isinstance(node.targets[0], ast.Name) and never_negative(node.value, known))


def is_length(node: ast.expr) -> bool:
    """Return whether an expression is a shape, or one of its lengths."""
    base = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(base, ast.Attribute) and base.attr == "shape"


def numbers(node: ast.FunctionDef, *, hidden: bool = False) -> dict[str, int]:
    """Return the names that a function gives a whole number first of all, as the sizes that are known.

    Parameters
    ----------
    node : FunctionDef
        The function.
    hidden : bool
        Whether those count that LLVM is not to know, ``rolled(12)``.
    """
    found: dict[str, int] = {}
    for each in node.body:
        if isinstance(each, ast.Assign):
            target, value = each.targets[0], each.value
            for name, number in zip(listed(target), listed(value), strict=False):
                if hidden and isinstance(number, ast.Call) and spelled(number.func) == "rolled":
                    [number] = number.args
                if isinstance(name, ast.Name) and isinstance(number, ast.Constant) and isinstance(number.value, int):
                    found[name.id] = number.value
    return found


def shapes(node: ast.FunctionDef) -> dict[str, list[int | None]]:
    """Return the lengths of arguments that a function asserts, ``assert x.shape[1] == 3``; None stands for any other.

    The axes behind the last one whose length is asserted are left out.
    """
    found: dict[str, dict[int, int]] = {}
    for each in (part.test for part in node.body if isinstance(part, ast.Assert)):
        *lengths, number = (each.left, *each.comparators) if isinstance(each, ast.Compare) else (each,)
        for length in lengths:
            base, axis = (length.value, length.slice) if isinstance(length, ast.Subscript) else (length, length)
            known = isinstance(number, ast.Constant) and isinstance(axis, ast.Constant)
            if known and isinstance(base, ast.Attribute) and base.attr == "shape":
                found.setdefault(spelled(base.value), {})[ast.literal_eval(axis)] = ast.literal_eval(number)
    return {name: [known.get(axis) for axis in range(max(known) + 1)] for name, known in found.items()}


def measured(node: ast.FunctionDef) -> Names:
    """Return the names that a function gives the lengths of arrays."""
    found: set[str] = set()
    for each in node.body:
        if isinstance(each, ast.Assign):
            asked = (part.attr for part in nodes(each.value) if isinstance(part, ast.Attribute))
            found |= {name.id for target in each.targets for name in names(target)} if "shape" in asked else set()
    return frozenset(found)


def _counts_up(node: ast.For, known: Names) -> bool:
    """Return whether a loop is over a range of numbers that are not negative; a step with a name is that of blocks."""
    if not isinstance(node.iter, ast.Call) or not node.iter.args:
        return False
    first, *rest = node.iter.args
    upwards = len(rest) < 2 or not isinstance(rest[1], ast.UnaryOp)
    return upwards and (not rest or never_negative(first, known))


def never_negative(node: ast.expr, known: Names) -> bool:
    """Return whether an integer cannot be negative, given names that cannot."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int) and node.value >= 0
    if isinstance(node, ast.Call) and spelled(node.func) == "max":
        return any(never_negative(each, known) for each in node.args)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult | ast.FloorDiv):
        return never_negative(node.left, known) and never_negative(node.right, known)
    return isinstance(node, ast.Name) and node.id in known
