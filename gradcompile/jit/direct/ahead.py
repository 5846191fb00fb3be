"""Rows that data pick are asked for before their turn: the machine cannot guess where they are.

In ``for n: k = label[n]; for j: y[n] += table[k, j]``, step n asks for row ``label[n + 4]`` of the table, if that is
too large for the caches. It is on its way while four other rows are computed with. That changes nothing but time; see
`jit.fetch`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import NamedTuple

from gradcompile.jit.direct.aliases import sharing
from gradcompile.jit.direct.liveness import Liveness
from gradcompile.jit.direct.syntax import expression, inside, listed, mentioned, names, nodes, spelled, statements
from gradcompile.jit.lines import NEAR

STEPS = 4  # how many steps before its turn a row is asked for
FETCH = "fetch"


def ask_ahead(function: ast.FunctionDef) -> None:
    """Let the loops of a function ask for the rows that data pick, unless it does so itself.

    There are two loops for each that asks then: where all tables are small, the other one takes a twentieth less time.
    """
    if any(map(_looks_up, statements(function))) and not any(name.id == FETCH for name in names(function)):
        shared = sharing(function)
        function.body = [each for statement in function.body for each in _asking(statement, shared)]


def _asking(statement: ast.stmt, shared: Mapping[str, frozenset[str]]) -> list[ast.stmt]:
    """Return what stands for a statement of a function: a loop that asks for rows, if tables are large, or itself."""
    if not isinstance(statement, ast.For) or not any(map(_looks_up, statements(statement))):
        return [statement]
    ahead = _Ahead(statement, shared)
    ahead.look(statement, set())
    if not ahead.requests:
        return [statement]
    plain = deepcopy(statement)
    for request in sorted(ahead.requests, key=lambda each: each.place, reverse=True):  # so that places stay
        request.body.insert(request.place, request.statement)
    large = [f"{table}.size*{table}.itemsize >= {NEAR}" for table in dict.fromkeys(r.table for r in ahead.requests)]
    return [ast.If(expression(" or ".join(large)), [statement], [plain])]


class Request(NamedTuple):
    """A request that is to be put into a loop.

    Attributes
    ----------
    table : str
        The array that the row is of.
    statement : stmt
        What asks for it.
    body : list of stmt
        The statements that it is to be among.
    place : int
        Where among them.
    """

    table: str
    statement: ast.stmt
    body: list[ast.stmt]
    place: int


def _loops(body: Iterable[ast.stmt]) -> Iterator[ast.For]:
    return (each for each in body if isinstance(each, ast.For))


class _Ahead:
    """Looks for what a loop is to ask for, and the loops inside of it.

    Attributes
    ----------
    requests : list of Request
        What has been found.
    """

    def __init__(self, loop: ast.For, shared: Mapping[str, frozenset[str]]) -> None:
        self.shared, self.own = shared, Liveness().stored(loop)
        self.requests: list[Request] = []
        self._done: set[ast.Assign] = set()  # the picks for which a loop further out asks

    def look(self, loop: ast.For, asked: set[str]) -> None:
        """Look at a loop for what its own steps need, and at the loops inside for the rest.

        Of the loops over the samples of one block the first asks, for all: `asked` holds what has been asked for.
        """
        if _counts_up(loop):
            self._among(loop.body, _Steps(loop, self._changed(loop)), asked)
        within: set[str] = set()
        for each in _loops(loop.body):
            self.look(each, within)

    def _changed(self, loop: ast.For) -> frozenset[str]:
        """Return the arrays whose elements a loop assigns, and those that share memory with them."""
        stored = (each for each in inside(loop) if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store))
        changed = frozenset(name for each in stored for name in mentioned(each.value))
        return changed.union(*(self.shared.get(name, ()) for name in changed))

    def _among(self, body: list[ast.stmt], steps: _Steps, asked: set[str]) -> None:
        """Find the statements that look up the number of a row which loops after them use: there it is asked for."""
        for place, statement in enumerate(body, 1):
            if isinstance(statement, ast.For):
                self._among(statement.body, steps, asked)
            elif isinstance(statement, ast.Assign) and statement not in self._done:
                for table, request in steps.requests(statement, body[place:]):
                    self._done.add(statement)
                    if table not in self.own and (text := ast.unparse(request)) not in asked:
                        asked.add(text)
                        self.requests.append(Request(table, request, body, place))


class _Steps:
    """The steps of one loop, and what will be at the places of data that later ones read.

    Parameters
    ----------
    loop : For
        It counts upwards.
    changed : frozenset of str
        The arrays whose elements it assigns.
    """

    def __init__(self, loop: ast.For, changed: frozenset[str]) -> None:
        self.counter, self.changed = spelled(loop.target), changed
        self.last = ast.BinOp(_range(loop)[1], ast.Sub(), ast.Constant(1))
        self.own = Liveness().stored(loop)
        self.counters = {spelled(each.target) for each in inside(loop) if isinstance(each, ast.For)}
        self.later: dict[str, ast.expr] = {}  # what a name of the loop will be some steps later

    def requests(self, statement: ast.Assign, body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.Expr]]:
        """Yield tables and requests for the rows that statements read by the number that an assignment looks up.

        Parameters
        ----------
        statement : Assign
            Of this loop, or of one inside.
        body : iterable of stmt
            What follows it.
        """
        name, soon = spelled(statement.targets[0]), self._element(_unwrapped(statement.value))
        if soon is None:
            return
        self.later[name] = soon
        for table in dict.fromkeys(_tables(name, body)):
            yield table, ast.Expr(_call(FETCH, ast.Name(table, ast.Load()), soon))

    def _element(self, node: ast.expr) -> ast.expr | None:
        """Return an element of data as later steps will read it; None if that is not known, or the same for all."""
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            return None
        array, places = node.value, listed(node.slice)
        soon = [self._place(each) for each in places]
        if array.id in self.changed or array.id in self.own or None in soon or soon == places:
            return None
        indices = [each for each in soon if each is not None]
        return ast.Subscript(array, indices[0] if len(indices) == 1 else ast.Tuple(indices, ast.Load()), ast.Load())

    def _place(self, node: ast.expr) -> ast.expr | None:
        """Return an index as later steps will have it: inside of the array, since the last step has the last one."""
        if isinstance(node, ast.Name) and node.id in self.later:
            return self.later[node.id]
        number = node.left if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) else node
        if isinstance(number, ast.Name) and number.id == self.counter:
            return _call("min", ast.BinOp(node, ast.Add(), ast.Constant(STEPS)), self.last)
        known = mentioned(node).isdisjoint((self.own - self.counters) | {self.counter})
        return node if known and not any(isinstance(each, ast.Subscript) for each in nodes(node)) else None


def _counts_up(loop: ast.For) -> bool:
    """Return whether a loop is over a range of numbers that grow."""
    step = _range(loop)[2]
    return isinstance(loop.target, ast.Name) and isinstance(step, ast.Constant)


def _range(loop: ast.For) -> list[ast.expr]:
    """Return the start, the stop and the step of a loop."""
    given = loop.iter.args if isinstance(loop.iter, ast.Call) else []
    zero, one = ast.Constant(0), ast.Constant(1)
    return [[zero, *given, one], [*given, one], given][len(given) - 1]


def _looks_up(statement: ast.stmt) -> bool:
    """Return whether a statement may look up the number of a row."""
    value = _unwrapped(statement.value) if isinstance(statement, ast.Assign) else statement
    return isinstance(value, ast.Subscript) and not any(isinstance(each, ast.Slice) for each in listed(value.slice))


def _unwrapped(node: ast.expr) -> ast.expr:
    """Return a number without the type that it is given."""
    return node.args[0] if isinstance(node, ast.Call) and spelled(node.func) == "np.uint64" else node


def _tables(name: str, body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the arrays of which loops use the row with a number."""
    for each in (node for loop in _loops(body) for node in nodes(loop)):
        if (
            isinstance(each, ast.Subscript)
            and spelled(listed(each.slice)[0]) == name
            and isinstance(each.value, ast.Name)
        ):
            yield each.value.id


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
