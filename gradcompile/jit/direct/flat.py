"""Loops along rows of a few numbers each, as one loop: ``for j: for k: a[i, j + 1, k] += b[j, k]`` over all numbers.

Rows of points in space, next to each other in every array, are one long row. LLVM would take the numbers of several
points apart, coordinate by coordinate, and put them together again, which takes several times as long.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from gradcompile.jit.direct.kinds import Lengths
from gradcompile.jit.direct.syntax import inside, listed, mentioned, spelled, statements

MOST = 7  # numbers of a row; more are a vector


def flatten(function: ast.FunctionDef, lengths: Mapping[str, Lengths]) -> None:
    """Let loops along rows of a few numbers be one loop, wherever these lie next to each other.

    Parameters
    ----------
    function : FunctionDef
        The function.
    lengths : mapping of str to sequence of (int or None)
        The arrays whose elements lie one after the other in C order: how long their axes are, as far as that is known.
    """
    for loop in [each for each in statements(function) if isinstance(each, ast.For)]:
        inner = loop.body[0]
        if len(loop.body) == 1 and isinstance(inner, ast.For) and _is_row(loop, inner, lengths):
            _flatten(loop, inner)


def _is_row(loop: ast.For, inner: ast.For, lengths: Mapping[str, Lengths]) -> bool:
    """Return whether two loops do one thing, to all numbers of rows that lie next to each other in every array."""
    counters, count = {spelled(loop.target), spelled(inner.target)}, _count(inner)
    plain = len(inner.body) == 1 and isinstance(inner.body[0], ast.Assign | ast.AugAssign)
    if not plain or not 1 < count <= MOST or not isinstance(loop.iter, ast.Call) or len(loop.iter.args) != 1:
        return False
    parts = [each for each in inside(inner) if isinstance(each, ast.Subscript)]
    return (
        any(isinstance(part.ctx, ast.Store) for part in parts)
        and all(_lies_in_rows(part, loop, inner, lengths, count) for part in parts)
        and sum(each.id in counters for each in inside(inner) if isinstance(each, ast.Name)) == 2 * len(parts)
        and not any(isinstance(each, ast.Call) for each in inside(inner))
    )


def _count(loop: ast.For) -> int:
    """Return how many steps a loop has that counts from 0, if that is a number; else 0."""
    arguments = loop.iter.args if isinstance(loop.iter, ast.Call) else []
    stop = arguments[0] if len(arguments) == 1 else None
    return stop.value if isinstance(stop, ast.Constant) and isinstance(stop.value, int) else 0


def _lies_in_rows(
    part: ast.Subscript, loop: ast.For, inner: ast.For, lengths: Mapping[str, Lengths], count: int
) -> bool:
    """Return whether an element is one of a row that the inner loop takes all of, at the place of the outer one."""
    known, indices = lengths.get(spelled(part.value), ()), listed(part.slice)
    if len(indices) < 2 or len(known) != len(indices) or known[-1] != count:
        return False
    counters = {spelled(loop.target), spelled(inner.target)}
    free = all(mentioned(index).isdisjoint(counters) for index in indices[:-2])
    return free and spelled(indices[-1]) == spelled(inner.target) and _moved(indices[-2], spelled(loop.target)) >= 0


def _moved(index: ast.expr, counter: str) -> int:
    """Return which number is added to a counter; -1 if an index is anything else."""
    terms = [index.left, index.right] if isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add) else [index]
    rest = [term for term in terms if spelled(term) != counter]
    if len(rest) + 1 != len(terms):
        return -1
    number = rest[0].value if rest and isinstance(rest[0], ast.Constant) else None if rest else 0
    return number if isinstance(number, int) else -1


def _flatten(loop: ast.For, inner: ast.For) -> None:
    """Let the outer loop count all numbers: from the first one of the row at which each array begins."""
    counter, count = spelled(loop.target), _count(inner)
    for part in (each for each in inside(inner) if isinstance(each, ast.Subscript)):
        *before, place, _ = listed(part.slice)
        first = ast.Constant(_moved(place, counter))
        part.slice = ast.Tuple([*before, first, ast.Name(counter, ast.Load())], ast.Load())
    assert isinstance(loop.iter, ast.Call)  # `_is_row` has looked at its end
    loop.iter.args = [ast.BinOp(loop.iter.args[0], ast.Mult(), ast.Constant(count))]
    loop.body = inner.body
