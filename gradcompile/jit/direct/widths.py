"""How wide vectors are: half a register, where one step after another computes a few numbers.

A step of training that takes one sample waits for the step before it: single numbers follow one another, and between
them are short loops. While vectors fill whole registers, the processor computes single numbers in fewer of its units;
such steps take up to a half longer. Loops over many numbers, or over samples, are faster in whole registers.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from gradcompile.jit.direct.signs import numbers
from gradcompile.jit.direct.syntax import inside, listed, nodes, spelled

HALF = ' "prefer-vector-width"="256"'
SHORT = 32  # numbers that a loop of such a step runs over, at most: of 128, whole registers take less time


def width(functions: Mapping[str, ast.FunctionDef]) -> str:
    """Return the attribute of LLVM's functions that says how wide vectors are; "" for whole registers.

    Parameters
    ----------
    functions : mapping of str to FunctionDef
        Those of a module, by their names, as they are written.
    """
    of_arrays = {name for name, node in functions.items() if _takes_arrays(node)}
    steps = 0
    for node in functions.values():
        known = numbers(node, hidden=True)
        for loop in (each for each in nodes(node) if isinstance(each, ast.For)):
            if any(isinstance(each, ast.Call) and spelled(each.func) in of_arrays for each in inside(loop)):
                steps += 1
            elif not _is_short(loop, known):
                return ""
    return HALF if steps else ""


def _takes_arrays(function: ast.FunctionDef) -> bool:
    """Return whether a function has arrays among its arguments, of which it uses elements."""
    given = {each.arg for each in function.args.args}
    used = (each.value for each in nodes(function) if isinstance(each, ast.Subscript))
    return any(isinstance(each, ast.Name) and each.id in given for each in used)


def _is_short(loop: ast.For, known: Mapping[str, int]) -> bool:
    """Return whether a loop is known to run over a few numbers."""
    ends = listed(loop.iter.args[0]) if isinstance(loop.iter, ast.Call) and len(loop.iter.args) == 1 else []
    if len(ends) != 1:
        return False
    [end] = ends
    length = end.value if isinstance(end, ast.Constant) else known.get(spelled(end))
    return isinstance(length, int) and length <= SHORT
