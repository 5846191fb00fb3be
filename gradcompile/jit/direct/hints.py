"""What LLVM is told of loops: it makes vectors by what it guesses of lengths that it does not know."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection

from gradcompile.jit.direct.liveness import Liveness
from gradcompile.jit.direct.rings import ENDS
from gradcompile.jit.direct.signs import measured, numbers
from gradcompile.jit.direct.syntax import inside, is_innermost, listed, mentioned, spelled
from gradcompile.jit.direct.text import Text
from gradcompile.jit.direct.writer import ROLLED
from gradcompile.jit.objects import has_masks, singles

FEW = 7  # steps of a loop that are better written out than in vectors; 8 are a vector
# So are fewer where registers have masks and the loop around it does nothing else: for its vectors, LLVM would collect
# the numbers of eight rows one by one, where others take rows apart.
FEWEST = 2
MANY = 20  # statements of a step, as those of a projection
OPERATIONS = 60  # of a step, as those of some steps of a simulation
MUCH = 90  # statements of elementary functions, as those of four exponentials
# Functions of numbers that are no calls in machine code.
PLAIN = ("real", "finite", "maximum", "minimum", "abs", "math.sqrt")
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}  # that sizes are made of
CHOICES = (ast.IfExp, ast.Compare)
# Whole numbers may be divided by 0 as far as LLVM knows. So it divides in every step, not before the loop, and cannot
# tell that `x[n % N, k]` is the same row in all of them.
TURNS = (ast.Mod, ast.FloorDiv)
KEPT = '!{!"llvm.loop.unroll.disable"}'
# Of vectors there are fewer, and of numbers that are left over: loops of these may be written out. Then sums over
# samples along rows stay in registers, as of 10 features.
THEN = ", ".join(
    f'!{{!"llvm.loop.vectorize.followup_{part}", !{{!"llvm.loop.isvectorized", i32 1}}, {ROLLED}}}'
    for part in ("vectorized", "epilogue")
)
# For fewer steps than this, LLVM makes vectors only if a mask leaves nothing over. But what is stored with a mask is
# slow to load again, as sums over samples are. It has to be told.
SHORT = 16
VECTORS = '!{!"llvm.loop.vectorize.enable", i1 true}'
SCALARS = '!{!"llvm.loop.vectorize.enable", i1 false}'
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
    flags : str
        What LLVM may do to its arithmetic.
    is_double : callable
        Says whether a name of the function is a real in double precision.
    """

    def __init__(self, node: ast.FunctionDef, text: Text, flags: str, is_double: Callable[[str], bool]) -> None:
        self.text, self.flags, self.is_double = text, flags, is_double
        self.numbers = numbers(node)
        loops = [each for each in ast.walk(node) if isinstance(each, ast.For)] if has_masks() else []
        self.by_themselves = {id(inner) for loop in loops for inner in _by_themselves(loop)}
        self.lengths = (
            measured(node) | text.part(node).measured | {name for name, number in self.numbers.items() if number > FEW}
        )

    def of(self, loop: ast.For, depth: int) -> str:
        """Return what LLVM is told of a loop, as many loops deep as this, itself among them."""
        if not is_innermost(loop):
            return ROLLED
        if loop.type_comment == ENDS:
            return f"{ROLLED}, {SCALARS}"
        told = [ROLLED]
        count = self._count(_stop(loop))
        if count > (FEWEST if id(loop) in self.by_themselves else FEW) and _runs_along_rows(loop):
            told += [KEPT, THEN]
            if count < SHORT and self._is_arithmetic(loop):
                told.append(VECTORS)
        masked = depth > 1 and self._is_costly_row(loop) and has_masks()
        if self._is_mixed(loop, masked=masked):
            told.append(f'!{{!"llvm.loop.vectorize.width", i32 {singles()}}}')
        if not _adds_up(loop):
            told.append(ALONE)
        elif self.text.cost(loop) > MUCH:
            told.append(TWO)
        if masked:
            told.append(MASKED)
        return ", ".join(told)

    def _count(self, stop: ast.expr) -> int:
        """Return where a loop ends if that is a number; 0 if a call tells."""
        if isinstance(stop, ast.Constant):
            return stop.value if isinstance(stop.value, int) else 0
        if isinstance(stop, ast.BinOp) and type(stop.op) in ARITHMETIC:
            first, second = self._count(stop.left), self._count(stop.right)
            return ARITHMETIC[type(stop.op)](first, second) if first and second else 0
        return self.numbers.get(spelled(stop), 0)

    def _is_arithmetic(self, loop: ast.For) -> bool:
        """Return whether a loop only adds, multiplies and divides elements, and may add them up in any order."""
        places = [each for each in map(_target, loop.body) if isinstance(each, ast.Subscript)]
        return (
            "reassoc" in self.flags
            and _is_plain(loop, PLAIN)
            and all(spelled(loop.target) in mentioned(place.slice) for place in places)
            and not any(isinstance(each, CHOICES) for each in inside(loop))
            and not any(isinstance(each, ast.BinOp) and isinstance(each.op, TURNS) for each in inside(loop))
        )

    def _is_costly_row(self, loop: ast.For) -> bool:
        """Return whether a loop takes all of an array's axis, and calls elementary functions."""
        return mentioned(_stop(loop)) <= self.lengths and self.text.cost(loop) > 0

    def _is_mixed(self, loop: ast.For, *, masked: bool) -> bool:
        """Return whether a loop computes much of single numbers, or functions, and adds up in double precision.

        For the sake of the sums, LLVM would fill half of each register with single numbers. A row may be short, unless
        what is left over of it is `masked`.
        """
        if "real" not in self.text.constants or not any(map(self.is_double, _sums(loop))):
            return False
        calls = not _called(loop).isdisjoint(self.text.inlined)
        apart = _reads_elsewhere(loop) and (masked or not _takes_rows(loop))
        much = len(loop.body) > MANY or sum(isinstance(each, ast.BinOp) for each in inside(loop)) > OPERATIONS
        return (calls or much) and apart and _is_plain(loop, (*self.text.inlined, *PLAIN))


def _by_themselves(loop: ast.For) -> list[ast.For]:
    """Return the loops inside of a loop that does nothing else but to give numbers to and fro."""
    inner = [each for each in loop.body if isinstance(each, ast.For)]
    others = [each for each in loop.body if not isinstance(each, ast.For)]
    moves = all(
        isinstance(o, ast.Assign) and isinstance(o.value, ast.Name | ast.Subscript | ast.Constant) for o in others
    )
    return inner if moves else []


def _stop(loop: ast.For) -> ast.expr:
    assert isinstance(loop.iter, ast.Call)  # a range, or there would be no translation
    return loop.iter.args[:2][-1]


def _target(statement: ast.stmt) -> ast.expr | None:
    """Return what an assignment gives a value."""
    if isinstance(statement, ast.Assign):
        return statement.targets[0]
    return statement.target if isinstance(statement, ast.AugAssign) else None


def _sums(loop: ast.For) -> list[str]:
    """Return the names to which the steps of a loop add."""
    added = [each.target for each in loop.body if isinstance(each, ast.AugAssign)]
    return [target.id for target in added if isinstance(target, ast.Name)]


def _called(loop: ast.For) -> set[str]:
    """Return the functions that a loop calls."""
    return {spelled(each.func) for each in inside(loop) if isinstance(each, ast.Call)}


def _is_plain(loop: ast.For, functions: Collection[str]) -> bool:
    """Return whether LLVM is sure to make vectors of a loop: where it is told to and cannot, it writes to stderr.

    Then a step is made of assignments that call these functions alone, and nothing else depends on its sums. What it
    gives a value anew, it does not need before: a maximum so far, of numbers of another precision, is no sum to LLVM.
    """
    given = {spelled(each.targets[0]) for each in loop.body if isinstance(each, ast.Assign)}
    used = [each.id for each in inside(loop) if isinstance(each, ast.Name)]
    assigns = all(isinstance(each, ast.Assign | ast.AugAssign) for each in loop.body)
    assigns = assigns and given.isdisjoint(Liveness().before(loop.body, frozenset()))
    return assigns and _called(loop) <= {*functions} and all(used.count(name) == 1 for name in _sums(loop))


def _reads_elsewhere(loop: ast.For) -> bool:
    """Return whether a loop writes what it does element by element, and reads elsewhere from other arrays alone."""
    counter = spelled(loop.target)
    places = [each for each in inside(loop) if isinstance(each, ast.Subscript)]
    written = {spelled(each.value): ast.unparse(each.slice) for each in places if isinstance(each.ctx, ast.Store)}
    own = all(ast.unparse(each.slice) == written.get(spelled(each.value), ast.unparse(each.slice)) for each in places)
    stored = [each for each in places if isinstance(each.ctx, ast.Store)]
    return own and all(_is_along(each, counter) for each in stored)


def _is_along(place: ast.Subscript, counter: str) -> bool:
    """Return whether elements are next to each other in steps of a loop that counts so."""
    *before, last = listed(place.slice)
    return spelled(last) == counter and not any(counter in mentioned(index) for index in before)


def _takes_rows(loop: ast.For) -> bool:
    """Return whether a loop takes rows of arrays, which may be short."""
    counter = spelled(loop.target)
    places = [each for each in inside(loop) if isinstance(each, ast.Subscript)]
    return any(spelled(listed(each.slice)[-1]) == counter for each in places if spelled(each.slice) != counter)


def _adds_up(loop: ast.For) -> bool:
    """Return whether a step of a loop goes on with what the one before has come to."""
    counter = spelled(loop.target)
    for node in inside(loop):
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
    for node in inside(loop):
        if isinstance(node, ast.Subscript) and counter in mentioned(node.slice):
            rows = rows or len(listed(node.slice)) > 1
            found.append(_is_along(node, counter))
    return rows and all(found)
