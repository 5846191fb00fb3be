"""Loops along a ring: where an index like ``(i + 1) % N`` does not pass the end, it is ``i + 1``.

LLVM makes no vectors of remainders. So a loop is three: the steps before any index turns back, the many between, whose
indices are neighbours, and those after. Together they are the same steps in the same order.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import reduce
from typing import Any

from gradcompile.jit.direct.signs import numbers
from gradcompile.jit.direct.syntax import inside, is_innermost, mentioned, names, nodes, spelled

ENDS = "few steps"  # comment on a loop of which no vectors are to be made
MANY = 32  # steps: of fewer that call functions, what is left over of vectors costs more than remainders


def unroll_rings(function: ast.FunctionDef, cost: Callable[[ast.AST], int]) -> None:
    """Let the innermost loops of a function take neighbours on a ring without remainders, but for the ends.

    Parameters
    ----------
    function : FunctionDef
        The function.
    cost : callable
        How many statements the functions have that are called in a loop.
    """
    _Rings(numbers(function), cost).visit(function)


class _Rings(ast.NodeTransformer):
    """Replaces innermost loops that have such indices."""

    def __init__(self, lengths: Mapping[str, int], cost: Callable[[ast.AST], int]) -> None:
        self.lengths, self.cost, self.count = lengths, cost, 0

    def visit(self, node: ast.AST) -> Any:
        """Look at statements alone: there is no loop in an expression."""
        return super().visit(node) if isinstance(node, ast.stmt) else node

    def visit_For(self, loop: ast.For) -> ast.For | list[ast.stmt]:
        """Return the loops that stand for one."""
        counts = is_innermost(loop) and _counts_up(loop)
        turns = list(_turns(loop)) if counts and self._pays(loop) else []
        if turns:
            self.count += 1
            return list(_apart(loop, turns, self.count))
        self.generic_visit(loop)
        return loop

    def _pays(self, loop: ast.For) -> bool:
        """Return whether there are so many steps that it is no matter what is left over of vectors."""
        stop = spelled(_range_of(loop)[-1])
        return self.lengths.get(stop, MANY) >= MANY or not self.cost(loop)


def _turns(loop: ast.For) -> Iterator[ast.BinOp]:
    """Yield the remainders in indices that grow by one with each step, and begin elsewhere than at 0."""
    counter, stop = spelled(loop.target), ast.unparse(_range_of(loop)[-1])
    changing = {name.id for node in loop.body for name in names(node) if isinstance(name.ctx, ast.Store)}
    for place in inside(loop):
        if not isinstance(place, ast.BinOp) or not isinstance(place.op, ast.Mod):
            continue
        same = ast.unparse(place.right) == stop and changing.isdisjoint(mentioned(place))
        if same and isinstance(place.left, ast.BinOp) and _grows(place.left, counter):
            yield place


def _grows(index: ast.expr, counter: str) -> bool:
    """Return whether an index is the counter of a loop and what is added to it."""
    if isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add | ast.Sub):
        left, right = (counter in mentioned(each) for each in (index.left, index.right))
        return (left and not right and _grows(index.left, counter)) or (
            right and not left and isinstance(index.op, ast.Add) and _grows(index.right, counter)
        )
    return isinstance(index, ast.Name) and index.id == counter


def _apart(loop: ast.For, turns: list[ast.BinOp], number: int) -> Iterator[ast.stmt]:
    """Yield the loop of the steps before, between and after those in which indices turn back."""
    counter, (first, last) = spelled(loop.target), _range_of(loop)
    starts = {ast.unparse(turn): _Replaced({counter: ast.Constant(0)}).of(turn.left) for turn in turns}
    low, high = (ast.Name(f"{name}.{number}", ast.Load()) for name in ("low", "high"))  # no identifiers, as in jam.py
    begin = reduce(_larger, [ast.UnaryOp(ast.USub(), start) for start in starts.values()], first)
    yield _assigned(low, _smaller(begin, last))
    ends = [ast.BinOp(turn.right, ast.Sub(), starts[ast.unparse(turn)]) for turn in turns]
    yield _assigned(high, _larger(reduce(_smaller, ends, last), low))
    straight = _Straight({ast.unparse(turn) for turn in turns})
    between = [straight.visit(deepcopy(each)) for each in loop.body]
    yield _with(loop, first, low, loop.body, ENDS)
    yield _with(loop, begin, high, between)
    yield _with(loop, high, last, deepcopy(loop.body), ENDS)


def _with(loop: ast.For, first: ast.expr, last: ast.expr, body: list[ast.stmt], comment: str | None = None) -> ast.For:
    """Return a loop with another range and other statements."""
    assert isinstance(loop.iter, ast.Call)
    return ast.For(loop.target, ast.Call(loop.iter.func, [first, last], []), body, [], comment)


def _counts_up(loop: ast.For) -> bool:
    """Return whether a loop takes numbers one after the other, and not what is in a tuple."""
    return isinstance(loop.iter, ast.Call) and spelled(loop.iter.func) == "range" and len(loop.iter.args) <= 2


def _range_of(loop: ast.For) -> list[ast.expr]:
    """Return where a range begins and where it ends, of a loop that counts up."""
    assert isinstance(loop.iter, ast.Call)
    return [ast.Constant(0), *loop.iter.args][-2:]


def _assigned(name: ast.Name, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name.id, ast.Store())], value)


def _larger(one: ast.expr, other: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("max", ast.Load()), [one, other], [])


def _smaller(one: ast.expr, other: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("min", ast.Load()), [one, other], [])


class _Replaced(ast.NodeTransformer):
    """Puts expressions in place of names."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def of(self, node: ast.expr) -> ast.expr:
        """Return an expression with all of them replaced."""
        found = self.visit(deepcopy(node))
        assert isinstance(found, ast.expr)
        return found

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return what stands for a name."""
        return self.values.get(node.id, node)


class _Straight(ast.NodeTransformer):
    """Takes indices as they are in place of remainders, which they are equal to."""

    def __init__(self, turns: set[str]) -> None:
        self.turns = turns

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Return an index that does not turn back; it is said not to be negative."""
        if isinstance(node.op, ast.Mod) and ast.unparse(node) in self.turns:
            back = any(isinstance(each, ast.Sub) for each in nodes(node))
            return _larger(node.left, ast.Constant(0)) if back else node.left
        self.generic_visit(node)
        return node
