"""Loops along rows of arrays, as one loop: ``for j: for k: a[i, j + 1, k] += b[j, k]`` over all numbers.

Rows that lie next to each other in every array are one long row. Of points in space, LLVM would take the numbers of
several apart, coordinate by coordinate, and put them together again, which takes several times as long; of a matrix,
it would add each row up by itself, with what is left over of vectors.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import takewhile
from math import prod

from gradcompile.jit.direct.kinds import Lengths
from gradcompile.jit.direct.syntax import inside, listed, mentioned, spelled, statements


def flatten(function: ast.FunctionDef, lengths: Mapping[str, Lengths], numbers: Mapping[str, int]) -> None:
    """Let loops along rows of so many numbers be one loop, wherever these lie next to each other.

    Parameters
    ----------
    function : FunctionDef
        The function.
    lengths : mapping of str to sequence of (int or None)
        The arrays whose elements lie one after the other in C order: how long their axes are, as far as that is known.
    numbers : mapping of str to int
        The names that are numbers.
    """
    for loop in reversed([each for each in statements(function) if isinstance(each, ast.For)]):  # inner ones first
        inner = loop.body[0]
        if len(loop.body) == 1 and isinstance(inner, ast.For) and _is_row(loop, inner, lengths, numbers):
            _flatten(loop, inner, numbers)


def _is_row(loop: ast.For, inner: ast.For, lengths: Mapping[str, Lengths], numbers: Mapping[str, int]) -> bool:
    """Return whether two loops do one thing, to all numbers of rows that lie next to each other in every array."""
    counters, count = {spelled(loop.target), spelled(inner.target)}, _count(inner, numbers)
    plain = len(inner.body) == 1 and isinstance(inner.body[0], ast.Assign | ast.AugAssign)
    if not plain or count < 2 or not isinstance(loop.iter, ast.Call) or len(loop.iter.args) != 1:
        return False
    parts = _moving(loop, inner)
    return (
        bool(parts)
        and all(_lies_in_rows(part, loop, inner, lengths, count) for part in parts)
        and sum(each.id in counters for each in inside(inner) if isinstance(each, ast.Name)) == 2 * len(parts)
        and not any(isinstance(each, ast.Call) for each in inside(inner))
    )


def _moving(loop: ast.For, inner: ast.For) -> list[ast.Subscript]:
    """Return the elements that are others in other steps of the loops."""
    counters = {spelled(loop.target), spelled(inner.target)}
    parts = [each for each in inside(inner) if isinstance(each, ast.Subscript)]
    return [part for part in parts if not mentioned(part.slice).isdisjoint(counters)]


def _count(loop: ast.For, numbers: Mapping[str, int]) -> int:
    """Return how many steps a loop has that counts from 0, if that is a number; else 0."""
    arguments = loop.iter.args if isinstance(loop.iter, ast.Call) and spelled(loop.iter.func) == "range" else []
    stop = arguments[0] if len(arguments) == 1 else None
    if isinstance(stop, ast.Constant):
        return stop.value if isinstance(stop.value, int) else 0
    return numbers.get(stop.id, 0) if isinstance(stop, ast.Name) else 0


def _lies_in_rows(
    part: ast.Subscript, loop: ast.For, inner: ast.For, lengths: Mapping[str, Lengths], count: int
) -> bool:
    """Return whether an element is one of a row that the inner loop takes all of, at the place of the outer one.

    A row may be several that are one already, which is counted along the last index.
    """
    known, indices = lengths.get(spelled(part.value), ()), listed(part.slice)
    rank = 1 + sum(1 for _ in takewhile(_is_zero, indices[-2::-1]))
    if len(indices) <= rank or len(known) != len(indices) or prod(length or 0 for length in known[-rank:]) != count:
        return False
    counters = {spelled(loop.target), spelled(inner.target)}
    before, place = indices[: -rank - 1], indices[-rank - 1]
    free = all(mentioned(index).isdisjoint(counters) for index in before)
    return free and spelled(indices[-1]) == spelled(inner.target) and _moved(place, spelled(loop.target)) >= 0


def _is_zero(index: ast.expr) -> bool:
    return isinstance(index, ast.Constant) and index.value == 0


def _moved(index: ast.expr, counter: str) -> int:
    """Return which number is added to a counter; -1 if an index is anything else."""
    terms = [index.left, index.right] if isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add) else [index]
    rest = [term for term in terms if spelled(term) != counter]
    if len(rest) + 1 != len(terms):
        return -1
    number = rest[0].value if rest and isinstance(rest[0], ast.Constant) else None if rest else 0
    return number if isinstance(number, int) else -1


def _flatten(loop: ast.For, inner: ast.For, numbers: Mapping[str, int]) -> None:
    """Let the outer loop count all numbers: from the first one of the row at which each array begins."""
    counter, count, steps = spelled(loop.target), _count(inner, numbers), _count(loop, numbers)
    for part in _moving(loop, inner):
        indices = listed(part.slice)
        first = [ast.Constant(_moved(each, counter)) if counter in mentioned(each) else each for each in indices[:-1]]
        part.slice = ast.Tuple([*first, ast.Name(counter, ast.Load())], ast.Load())
    assert isinstance(loop.iter, ast.Call)  # `_is_row` has looked at its end
    all_steps = ast.Constant(steps * count) if steps else ast.BinOp(loop.iter.args[0], ast.Mult(), ast.Constant(count))
    loop.iter.args = [all_steps]
    loop.body = inner.body
