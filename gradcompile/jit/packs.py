"""Independent calls of one elementary function, gathered in packs: eight of them take little longer than one.

A long program of numbers spends its time in the exponentials and sines of the C library, one call after another.
Here the calls are taken out of their expressions, and a list schedule (K. Cooper and L. Torczon, Engineering a
Compiler, chapter 12) puts the statements in another order: a call whose arguments are known waits until there are
enough of its function, or until nothing else can be done. A sine and a cosine of one number are one call: derivatives
have both, and together they cost little more than one.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain, count

from gradcompile import vecmath
from gradcompile.jit.direct.writer import POWERS
from gradcompile.jit.library import PAIR
from gradcompile.jit.statements import Statement

LANES = 8  # calls in a pack: what a register of AVX-512 holds, or two of AVX
FEWEST = 2  # a call by itself is left to the C library
LATENCY = 12  # of a call, in statements of arithmetic that wait for one another
WAVES = ("math.sin", "math.cos")
PACK = ".pack"  # a call of this name, which no Python has, takes the arguments of several calls

# What emitted text calls -> the row of `vecmath.VECTOR` that it is; a sine is half of a pair.
ROWS = {name: row for row in vecmath.VECTOR for name in (row, f"math.{row}")} | dict.fromkeys(WAVES, PAIR)


@dataclass
class Call:
    """A call that may be part of a pack.

    Attributes
    ----------
    row : str
        Its function.
    arguments : list of expression
        What it is called with.
    assigned : list of str
        The names of its results.
    read : list of str
        The names in its arguments.
    alone : dict of str to expression
        The expressions that its results are by themselves; of those that are needed.
    """

    row: str
    arguments: list[ast.expr]
    assigned: list[str]
    read: list[str]
    alone: dict[str, ast.expr] = field(default_factory=dict)


Step = Statement | Call


def paired(function: ast.FunctionDef) -> list[Statement]:
    """Return the statements of a function; a sine and a cosine of one name are computed together."""
    return [each for step in _Calls(function).steps() for each in _statements([step])]


def gathered(function: ast.FunctionDef) -> list[Statement]:
    """Return the statements of a function with calls in packs.

    A pack is the assignment of a call of ``row.pack``, with all first arguments, then all second ones, to all first
    results, then all second ones.
    """
    return [each for group in _scheduled(list(_Calls(function).steps())) for each in _statements(group)]


def pack_of(statement: Statement) -> tuple[str, list[list[str]]] | None:
    """Return the row of a pack, and the names of its first results, second results; None for other statements."""
    call = statement.node.value if isinstance(statement.node, ast.Assign) else None
    if not isinstance(call, ast.Call) or not called(call).endswith(PACK):
        return None
    row = called(call).removesuffix(PACK)
    size = len(statement.assigned) // results_of(row)
    return row, [statement.assigned[k : k + size] for k in range(0, len(statement.assigned), size)]


def results_of(row: str) -> int:
    """Return how many results a function has."""
    return len(WAVES) if row == PAIR else 1


def called(node: ast.Call) -> str:
    """Return the name of a function that is called."""
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ast.unparse(function)


def is_product(exponent: ast.expr) -> bool:
    """Return whether a power with this exponent is written as products."""
    try:
        whole = ast.literal_eval(exponent)
    except ValueError:
        return False
    return isinstance(whole, int) and abs(whole) <= POWERS


# Calls, out of their expressions --------------------------------------------------------------------------------------


class _Calls(ast.NodeTransformer):
    """The statements of a function, and the calls that have been in them."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.statements = [Statement.of(node) for node in function.body if not isinstance(node, ast.Expr)]
        self.times = Counter(a.arg for a in function.args.args)  # how often each name gets a value
        self.times.update(name for statement in self.statements for name in statement.assigned)
        self.found: list[Call] = []
        self.pairs: dict[str, Call] = {}  # by the name of the number
        self.fresh = count()
        self.may_add = True  # not in a branch or a loop, which may take it or not

    def steps(self) -> list[Step]:
        """Return the statements, and before each the calls that it needs."""
        steps: list[Step] = []
        for statement in self.statements:
            self.found, self.may_add = [], statement.is_plain
            rest = self._without_calls(statement) if statement.calls else statement
            steps += self.found
            steps += [rest] if rest else []
        return steps

    def _without_calls(self, statement: Statement) -> Statement | None:
        """Return what is left of a statement, if it is more than a call."""
        node = statement.node
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name) or self.times[target.id] != 1:
            return Statement.of(self.visit(node))
        node.value = self._replaced(node.value, target.id)
        is_done = isinstance(node.value, ast.Name) and node.value.id == target.id
        return None if is_done else Statement.of(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Replace a call by the name of its result."""
        return self._replaced(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Replace a power by the name of its result, unless it is one of products."""
        return self._replaced(node)

    def _replaced(self, node: ast.expr, wish: str = "") -> ast.expr:
        """Return an expression without calls; if it is one, the result may be called as is wished."""
        if not isinstance(node, ast.Call | ast.BinOp):
            return self.visit(node)  # type: ignore[no-any-return]  # an expression stays one
        self.generic_visit(node)
        name, arguments = _called_with(node)
        row = ROWS.get(name, "")
        if not row or len(arguments) != vecmath.ARITY.get(row, 1):
            return node
        call = self._call(row, arguments)
        if call is None:
            return node
        place = WAVES.index(name) if row == PAIR else 0
        if call.assigned[place] not in call.alone:
            call.assigned[place] = wish or call.assigned[place]
            call.alone[call.assigned[place]] = node
        return ast.Name(call.assigned[place], ast.Load())

    def _call(self, row: str, arguments: list[ast.expr]) -> Call | None:
        """Return a new call, or the one that has the other wave; None if there is none and it cannot be added."""
        number = arguments[0].id if row == PAIR and isinstance(arguments[0], ast.Name) else ""
        if number in self.pairs:
            return self.pairs[number]
        if not self.may_add:
            return None
        read = [name for each in arguments for name in Statement.of(ast.Expr(each)).read]
        call = Call(row, arguments, [f"{row}.{next(self.fresh)}" for _ in range(results_of(row))], read)
        self.found.append(call)
        if self.times[number] == 1:
            self.pairs[number] = call
        return call


def _called_with(node: ast.Call | ast.BinOp) -> tuple[str, list[ast.expr]]:
    """Return the name and the arguments of a call, and of a power that is one."""
    if isinstance(node, ast.Call):
        return called(node), node.args
    is_call = isinstance(node.op, ast.Pow) and not is_product(node.right)
    return ("pow" if is_call else ""), [node.left, node.right]


# Their order ----------------------------------------------------------------------------------------------------------


class _Ready:
    """Steps of which everything that they need is done.

    Parameters
    ----------
    steps : list of step
        All of them.
    urgency : list of int
        How long what waits for each takes.
    """

    def __init__(self, steps: list[Step], urgency: list[int]) -> None:
        self.steps, self.urgency = steps, urgency
        self.statements: list[int] = []
        self.calls: dict[str, list[tuple[int, int]]] = {}  # of each function, the most urgent first
        self.full: list[str] = []  # functions with enough calls, once for each pack

    def add(self, number: int) -> None:
        """Add a step."""
        step = self.steps[number]
        if isinstance(step, Statement):
            heappush(self.statements, number)
            return
        waiting = self.calls.setdefault(step.row, [])
        heappush(waiting, (-self.urgency[number], number))
        if len(waiting) % LANES == 0:
            self.full.append(step.row)

    def next(self) -> list[int]:
        """Return what is done next: a full pack, else a statement, else the pack with the most urgent call."""
        if self.full:
            return self._pack(self.full.pop())
        if self.statements:
            return [heappop(self.statements)]
        waiting = [row for row, calls in self.calls.items() if calls]
        return self._pack(min(waiting, key=lambda row: self.calls[row][0])) if waiting else []

    def _pack(self, row: str) -> list[int]:
        waiting = self.calls[row]
        return [heappop(waiting)[1] for _ in range(min(LANES, len(waiting)))]


def _scheduled(steps: list[Step]) -> Iterator[list[Step]]:
    """Yield all steps in the order in which they are done: one statement, or calls of one function."""
    after, missing = _dependences(steps)
    ready = _Ready(steps, _urgency(steps, after))
    for number, needed in enumerate(missing):
        if not needed:
            ready.add(number)
    while group := ready.next():
        yield [steps[number] for number in group]
        for other in chain.from_iterable(after[number] for number in group):
            missing[other] -= 1
            if not missing[other]:
                ready.add(other)


def _dependences(steps: list[Step]) -> tuple[list[list[int]], list[int]]:
    """Return which steps come after each, and after how many each comes."""
    after: list[list[int]] = [[] for _ in steps]
    missing = [0] * len(steps)
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        before: Iterable[int] = [writer[name] for name in chain(step.read, step.assigned) if name in writer]
        if _returns(step):  # what follows it may be done before, for nothing else has an effect
            before = range(number)
        for other in dict.fromkeys(chain(before, *(readers.pop(name, ()) for name in step.assigned))):
            after[other].append(number)
            missing[number] += 1
        for name in step.read:
            readers.setdefault(name, []).append(number)
        writer |= dict.fromkeys(step.assigned, number)
    return after, missing


def _returns(step: Step) -> bool:
    if isinstance(step, Call) or isinstance(step.node, ast.Assign):
        return False
    return any(isinstance(node, ast.Return) for node in ast.walk(step.node))


def _urgency(steps: list[Step], after: list[list[int]]) -> list[int]:
    """Return how long what waits for each step takes, along the longest way to the end."""
    urgency = [0] * len(steps)
    for number in reversed(range(len(steps))):
        own = LATENCY if isinstance(steps[number], Call) else 1
        urgency[number] = own + max((urgency[other] for other in after[number]), default=0)
    return urgency


def _statements(group: list[Step]) -> Iterator[Statement]:
    """Yield the statements of a group: a pack, or each step by itself."""
    calls = [step for step in group if isinstance(step, Call)]
    if len(calls) >= FEWEST:
        results = chain.from_iterable(zip(*(call.assigned for call in calls), strict=True))
        arguments = chain.from_iterable(zip(*(call.arguments for call in calls), strict=True))
        yield _several(f"{calls[0].row}{PACK}", arguments, results, [name for call in calls for name in call.read])
        return
    yield from (step for step in group if isinstance(step, Statement))
    for call in calls:
        if len(call.alone) > 1:
            yield _several(call.row, call.arguments, call.assigned, call.read)
        else:
            [(name, node)] = call.alone.items()
            yield Statement(ast.Assign([ast.Name(name, ast.Store())], node), call.read, [name], calls=True)


def _several(function: str, arguments: Iterable[ast.expr], results: Iterable[str], read: list[str]) -> Statement:
    """Return the assignment of a call that has several results."""
    assigned = list(results)
    targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in assigned]
    call = ast.Call(ast.Name(function, ast.Load()), list(arguments), [])
    return Statement(ast.Assign([ast.Tuple(targets, ast.Store())], call), read, assigned, calls=True)
