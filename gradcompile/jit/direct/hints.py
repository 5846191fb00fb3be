"""What LLVM is told of loops: it makes vectors by what it guesses of lengths that it does not know."""

from __future__ import annotations

import ast
from collections.abc import Callable

from gradcompile.jit.direct.syntax import listed, mentioned, names, nodes, spelled
from gradcompile.jit.direct.text import Text
from gradcompile.jit.direct.writer import ROLLED
from gradcompile.jit.objects import has_masks, singles

FEW = 7  # steps of a loop that are better written out than in vectors; 8 are a vector
MUCH = 90  # statements of elementary functions, as those of four exponentials
PLAIN = "real", "maximum", "minimum", "abs", "math.sqrt"  # functions of numbers that are no calls in machine code
KEPT = '!{!"llvm.loop.unroll.disable"}'
# LLVM would take two to four vectors of a short loop at once, and make a second loop for what is left over: that takes
# a third of its time, and small rows never come to the first. Without sums, a step waits for none before it.
# For sums of much that is computed, two are best: LLVM would take up to four, which have no room in the registers.
ALONE, TWO = (f'!{{!"llvm.loop.interleave.count", i32 {count}}}' for count in (1, 2))
# What is left over of a row is one vector more, of which not all is used: of 30 numbers, 14 would be taken one by one.
MASKED = '!{!"llvm.loop.vectorize.predicate.enable", i1 true}'


class Hints:
    """What LLVM is told of the loops of a function.

    Parameters
    ----------
    node : FunctionDef
        The function.
    text : Text
        Its module.
    is_double : callable
        Says whether a name of the function is a real in double precision.
    """

    def __init__(self, node: ast.FunctionDef, text: Text, is_double: Callable[[str], bool]) -> None:
        self.text, self.is_double = text, is_double
        self.numbers, self.lengths = _numbers(node), _lengths(node)

    def of(self, loop: ast.For, depth: int) -> str:
        """Return what LLVM is told of a loop, as many loops deep as this, itself among them."""
        if any(isinstance(each, ast.For) for each in loop.body):
            return ROLLED
        told = [ROLLED]
        if self._would_be_written_out(loop) and _runs_along_rows(loop):
            told.append(KEPT)
        if self._is_mixed(loop):
            told.append(f'!{{!"llvm.loop.vectorize.width", i32 {singles()}}}')
        if not _adds_up(loop):
            told.append(ALONE)
        elif self.text.cost(loop) > MUCH:
            told.append(TWO)
        if depth > 1 and self._is_costly_row(loop) and has_masks():
            told.append(MASKED)
        return ", ".join(told)

    def _would_be_written_out(self, loop: ast.For) -> bool:
        """Return whether a loop is known to have so many steps that, written out, it is no vectors."""
        stop = spelled(_stop(loop))
        return self.numbers.get(stop, int(stop) if stop.isdigit() else 0) > FEW

    def _is_costly_row(self, loop: ast.For) -> bool:
        """Return whether a loop takes all of an array's axis, and calls elementary functions."""
        return mentioned(_stop(loop)) <= self.lengths and self.text.cost(loop) > 0

    def _is_mixed(self, loop: ast.For) -> bool:
        """Return whether a loop computes functions of single numbers, and adds them up in double precision.

        For the sake of the sums, LLVM would fill half of each register with single numbers. It has to be sure that the
        loop can be vectors of a given width, for where it cannot LLVM writes to stderr.
        """
        added = [each.target for each in loop.body if isinstance(each, ast.AugAssign)]
        sums = [target.id for target in added if isinstance(target, ast.Name)]
        if "real" not in self.text.constants or not any(map(self.is_double, sums)):
            return False
        inside = [each for statement in loop.body for each in nodes(statement)]
        called = {spelled(each.func) for each in inside if isinstance(each, ast.Call)}
        places = {spelled(each.slice) for each in inside if isinstance(each, ast.Subscript)}
        used = [each.id for each in inside if isinstance(each, ast.Name)]
        plain = all(isinstance(each, ast.Assign | ast.AugAssign) for each in loop.body)
        plain = plain and places <= {spelled(loop.target)} and all(used.count(name) == 1 for name in sums)
        return plain and not called.isdisjoint(self.text.inlined) and called <= {*self.text.inlined, *PLAIN}


def _stop(loop: ast.For) -> ast.expr:
    assert isinstance(loop.iter, ast.Call)  # a range, or there would be no translation
    return loop.iter.args[:2][-1]


def _numbers(node: ast.FunctionDef) -> dict[str, int]:
    """Return the names that a function gives a whole number first of all, as the sizes that are known."""
    found: dict[str, int] = {}
    for each in node.body:
        if isinstance(each, ast.Assign):
            target, value = each.targets[0], each.value
            for name, number in zip(listed(target), listed(value), strict=False):
                if isinstance(name, ast.Name) and isinstance(number, ast.Constant) and isinstance(number.value, int):
                    found[name.id] = number.value
    return found


def _lengths(node: ast.FunctionDef) -> set[str]:
    """Return the names that a function gives the lengths of arrays."""
    found: set[str] = set()
    for each in node.body:
        if isinstance(each, ast.Assign):
            asked = (part.attr for part in nodes(each.value) if isinstance(part, ast.Attribute))
            found |= {name.id for target in each.targets for name in names(target)} if "shape" in asked else set()
    return found


def _adds_up(loop: ast.For) -> bool:
    """Return whether a step of a loop goes on with what the one before has come to."""
    counter = spelled(loop.target)
    for node in (each for statement in loop.body for each in nodes(statement)):
        if isinstance(node, ast.AugAssign) and counter not in mentioned(node.target):
            return True
        if isinstance(node, ast.Assign) and any(spelled(e) in mentioned(node.value) for e in node.targets):
            return True
    return False


def _runs_along_rows(loop: ast.For) -> bool:
    """Return whether a loop takes elements that are next to each other, of rows of a matrix, and no others.

    Where it takes a column, or a window of what the loop around it moves along, that one is for vectors; a few numbers
    that are the same for all steps of that one are kept in registers if this one is written out.
    """
    counter = spelled(loop.target)
    found, rows = [], False
    for node in (each for statement in loop.body for each in nodes(statement)):
        if isinstance(node, ast.Subscript) and counter in mentioned(node.slice):
            *before, last = listed(node.slice)
            rows = rows or bool(before)
            found.append(spelled(last) == counter and not any(counter in mentioned(index) for index in before))
    return rows and all(found)
