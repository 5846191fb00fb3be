"""Long functions in several: what LLVM does with a function takes longer than in proportion to its length.

The statements of a long function, as many as belong to a part, become a function of the names that they need. Numbers
that they assign and that are needed later it returns; new arrays the whole function makes.

A function of middling length is cut once or twice where it takes blocks of samples: what is done with a block are loops
over arrays, which gain nothing from one another, and threads compile the parts beside one another.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from gradcompile.jit.direct.aliases import is_new, is_own, sharing
from gradcompile.jit.direct.kinds import Lengths
from gradcompile.jit.direct.liveness import Liveness, Names
from gradcompile.jit.direct.repeats import outline, repeats, with_places
from gradcompile.jit.direct.signs import counted, measured, numbers
from gradcompile.jit.direct.syntax import listed, names, nodes, spelled, statements

LONG = 300  # statements of a function that is parted
MIDDLING = 35  # statements for each block of samples of a function that is parted for the threads that compile it
PART = 150  # statements of a part at most
VECTOR = 2000  # statements at most of an innermost loop that stays whole: with calls in it, it makes no vectors
RETURNED = 30  # names at most that a part returns
WORTH = 20  # statements of a part at least
NOTHING: Mapping[str, Lengths] = MappingProxyType({})


class Part(NamedTuple):
    """A function that is part of another.

    Attributes
    ----------
    node : FunctionDef
        The function.
    counted : frozenset of str
        Those of its arguments that are integers which cannot be negative.
    measured : frozenset of str
        Those that are lengths of arrays.
    lengths : dict of str to sequence of (int or None)
        Those that are new arrays: how long their axes are, where that is known.
    cut : dict of str to str
        Those that are some of the rows of another array, and of which.
    shapes : dict of str to sequence of (int or None)
        Those of the whole function's arguments whose lengths it asserts.
    varied : frozenset of str
        Those that are another array in another call.
    """

    node: ast.FunctionDef
    counted: Names = frozenset()
    measured: Names = frozenset()
    lengths: Mapping[str, Lengths] = {}
    cut: Mapping[str, str] = {}
    shapes: Mapping[str, Lengths] = {}
    varied: Names = frozenset()

    def known(self, given: Mapping[str, Lengths]) -> dict[str, Lengths]:
        """Return the lengths of arrays, given those of the whole function's arguments."""
        known = {name: each for name, each in {**given, **self.lengths}.items() if name not in self.varied}
        return known | {name: (None, *known[base][1:]) for name, base in self.cut.items() if known.get(base)}


class Arrays(NamedTuple):
    """The arrays of a function: the lengths that are known of new ones, of which others are rows, and its arguments."""

    lengths: Mapping[str, Lengths]
    cut: Mapping[str, str]
    shapes: Mapping[str, Lengths] = {}

    @classmethod
    def of(cls, function: ast.FunctionDef, numbers: Mapping[str, int], times: Mapping[str, int]) -> Arrays:
        """Look for the arrays of a function, given its names for numbers, and how often each name gets a value."""
        lengths, cut = dict[str, Lengths](), dict[str, str]()
        for node in (each for each in statements(function) if isinstance(each, ast.Assign)):
            name, value = spelled(node.targets[0]), node.value
            if times[name] == 1 and isinstance(value, ast.Call) and is_new(value):
                lengths[name] = [_known(each, numbers) for each in listed(value.args[0])]
            elif times[name] == 1 and isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
                cut[name] = spelled(value.value)
        return cls(lengths, cut)


class Cutting(NamedTuple):
    """How a function is cut.

    Attributes
    ----------
    most : int
        How many statements a part has, where they are not one loop.
    is_parted : callable
        Whether a loop of so many statements remains, with parts inside.
    pays : callable
        Whether statements, so many, are worth a part.
    numbers : dict of str to int
        The names that are numbers in each part, too.
    arrays : Arrays
        What each part knows of new arrays, of rows of others, and of arguments.
    repeats : bool
        Whether statements that are the same but for their names become one part.
    """

    most: int
    is_parted: Callable[[ast.For, int], bool]
    pays: Callable[[Sequence[ast.stmt], int], bool]
    numbers: Mapping[str, int]
    arrays: Arrays
    repeats: bool


def outlined(function: ast.FunctionDef, given: Mapping[str, Lengths] = NOTHING) -> list[Part]:
    """Return the parts of a long function and at the end the function that calls them; a short one remains as it is.

    Parameters
    ----------
    function : FunctionDef
        The function.
    given : mapping of str to sequence of (int or None), optional
        What it knows of the lengths of its arguments.
    """
    if (function.end_lineno or 0) - function.lineno >= LONG:  # a line has a statement at most
        cut = _into_many()
    elif (most := max((_length([each]) for each in _blocks(function)), default=0)) >= MIDDLING:
        cut = _into_halves(function, most, given)
    else:
        return [Part(function)]
    outline = _Outline(function, cut)
    body = outline.shortened(function.body, frozenset())
    whole = ast.FunctionDef(function.name, function.args, body, function.decorator_list)
    return [*outline.parts, Part(ast.copy_location(whole, function))]


def _into_many() -> Cutting:
    """Return how a long function is cut: its parts know no numbers, for LLVM would write out its short loops."""
    return Cutting(
        PART,
        is_parted=lambda loop, length: length > (VECTOR if _is_innermost(loop) else PART),
        pays=lambda run, length: length >= WORTH,
        numbers={},
        arrays=Arrays({}, {}),
        repeats=True,
    )


def _into_halves(function: ast.FunctionDef, length: int, given: Mapping[str, Lengths]) -> Cutting:
    """Return how a function is cut in what it does with a block of samples; its parts know as much as the whole.

    A part has loops, and about half of the work: of one long loop with little beside stays all.
    """
    blocks, most, least = _blocks(function), (length + 1) // 2, length // 4
    times = Counter(each.id for each in names(function) if isinstance(each.ctx, ast.Store))
    known = {name: number for name, number in numbers(function).items() if times[name] == 1}
    return Cutting(
        most,
        is_parted=lambda loop, _: loop in blocks,
        pays=lambda run, length: least <= length <= 4 * most // 3 and any(isinstance(each, ast.For) for each in run),
        numbers=known,
        arrays=Arrays.of(function, known, times)._replace(shapes=given),
        repeats=False,
    )


class _Outline:
    """The parts of one function in the making.

    Parameters
    ----------
    function : FunctionDef
        The function.
    cut : Cutting
        How it is cut.
    """

    def __init__(self, function: ast.FunctionDef, cut: Cutting) -> None:
        self.function, self.cut = function, cut
        self.parts: list[Part] = []
        self.liveness = Liveness()
        self.counted, self.measured = counted(function), measured(function)
        self.shared = sharing(function)
        self.names = self.liveness.stored(function) | {each.arg for each in function.args.args}

    def shortened(self, body: Sequence[ast.stmt], live: Names) -> list[ast.stmt]:
        """Return statements with calls of their parts, given the names that are needed after them."""
        found: list[ast.stmt] = []
        calls = self._repeated(body, live)
        end = len(body)
        for start, (count, call) in sorted(calls.items(), reverse=True):
            between = body[start + count : end]
            found[:0] = [call, *self._in_runs(between, live)]
            live = self.liveness.before(body[start:end], live)
            end = start
        return self._in_runs(body[:end], live) + found

    def _in_runs(self, body: Sequence[ast.stmt], live: Names) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for run in reversed(list(_runs(body, self.cut.most))):
            found[:0] = self._shorter(run, live)
            live = self.liveness.before(run, live)
        return found

    def _repeated(self, body: Sequence[ast.stmt], live: Names) -> dict[int, tuple[int, ast.stmt]]:
        """Return the calls that stand for statements which are repeated: where these begin, and how many they are."""
        found: dict[int, tuple[int, ast.stmt]] = {}
        if not self.cut.repeats:
            return found
        after = [live]
        for statement in reversed(body):
            after.append(self.liveness.before([statement], after[-1]))
        after.reverse()
        for each in repeats(body, self.names):
            runs = [list(body[start : start + each.size]) for start in each.starts]
            calls = self._shared(runs, [after[start + each.size] for start in each.starts])
            found |= {start: (each.size, call) for start, call in zip(each.starts, calls, strict=False)}
        return found

    def _shared(self, runs: Sequence[list[ast.stmt]], after: Sequence[Names]) -> list[ast.stmt]:
        """Return the calls of one part for statements that are the same but for their names; none if it cannot be."""
        outlines = [[outline(each, self.names) for each in run] for run in runs]
        names = [list(dict.fromkeys(name for each in own for name in each.names)) for own in outlines]
        places = [[place for each in own for place in each.places] for own in outlines]
        assigned = [self._assigned(run) & live for run, live in zip(runs, after, strict=True)]
        returned = [k for k in range(len(names[0])) if any(n[k] in a for n, a in zip(names, assigned, strict=True))]
        needed = [live.union(own[k] for k in returned) for own, live in zip(names, after, strict=True)]
        if not all(map(self._can_move, runs, needed)):
            return []
        sets = [self._given(run, live) for run, live in zip(runs, needed, strict=True)]
        given = [k for k in range(len(names[0])) if any(n[k] in s for n, s in zip(names, sets, strict=True))]
        told = [f"place.{k}" if len(set(each)) > 1 else None for k, each in enumerate(zip(*places, strict=True))]
        first = [*(names[0][k] for k in given), *filter(None, told)]
        known = {names[0][k] for k in given if all(own[k] in self.counted for own in names)}.union(filter(None, told))
        lengths = {names[0][k] for k in given if all(own[k] in self.measured for own in names)}
        varied = {names[0][k] for k in given if any(own[k] != names[0][k] for own in names)}
        name = self._part(with_places(runs[0], told), first, [names[0][k] for k in returned], known, lengths, varied)
        calls = list[ast.stmt]()
        for run, own, indices in zip(runs, names, places, strict=True):
            arguments: list[ast.expr] = [ast.Name(own[k], ast.Load()) for k in given]
            arguments += [ast.Constant(n) for n, each in zip(indices, told, strict=True) if each is not None]
            calls.append(_call(name, arguments, [own[k] for k in returned], run[0]))
        return calls

    def _shorter(self, run: list[ast.stmt], live: Names) -> list[ast.stmt]:
        loop, length = run[0], _length(run)
        if len(run) == 1 and isinstance(loop, ast.For) and self.cut.is_parted(loop, length):
            body = self.shortened(loop.body, self.liveness.around(loop, live))
            return [ast.copy_location(ast.For(loop.target, loop.iter, body, []), loop)]
        return [self._moved(run, live)] if self.cut.pays(run, length) and self._can_move(run, live) else run

    def _can_move(self, run: Sequence[ast.stmt], live: Names) -> bool:
        """Return whether statements may be a function: no two arguments share their memory, and no result another's.

        What is needed later is little: to return many numbers takes LLVM longer than to compute them.
        """
        if not all(map(_is_plain, run)) or len(self._assigned(run) & live) > RETURNED:
            return False
        given, written = self._given(run, live), {name for statement in run for name in self._written(statement)}
        groups = [self.shared[name] for name in sorted(written & self.shared.keys())]
        return not self._assigned(run) & live & self.shared.keys() and all(len(given & group) < 2 for group in groups)

    def _given(self, run: Sequence[ast.stmt], live: Names) -> Names:
        """Return the names that statements need."""
        needed = self._assigned(run).union(*map(self.liveness.loaded, run))
        return self.liveness.before(run, live) & self.names & needed

    def _moved(self, run: list[ast.stmt], live: Names) -> ast.stmt:
        """Return the call that stands for statements, which become a part."""
        needed, returned = self._given(run, live), sorted(self._assigned(run) & live)
        known = sorted(needed & self.cut.numbers.keys() - self._assigned(run))
        given = sorted(needed.difference(known))
        body = [*(_number(each, self.cut.numbers[each]) for each in known), *run]
        own = self.counted.intersection(given), self.measured.intersection(given)
        name = self._part(body, given, returned, *own)
        return _call(name, [ast.Name(each, ast.Load()) for each in given], returned, run[0])

    def _part(
        self,
        body: list[ast.stmt],
        given: Sequence[str],
        returned: Sequence[str],
        counted: Collection[str],
        measured: Collection[str],
        varied: Collection[str] = (),
    ) -> str:
        """Make a part of statements, and return its name."""
        name = f"{self.function.name}.{len(self.parts)}"  # no identifier, so that no function of the text is the same
        last = ast.Return(_tuple(returned, ast.Load()) if returned else ast.Constant(0))
        last.lineno = (body[-1].end_lineno or 0) + 1
        arguments = ast.arguments([], [ast.arg(each) for each in given], None, [], [], None, [])
        line = next(each.lineno for each in body if hasattr(each, "lineno"))
        node = ast.FunctionDef(name, arguments, [*body, last], self.function.decorator_list, lineno=line)
        part = Part(ast.fix_missing_locations(node), frozenset(counted), frozenset(measured), *self.cut.arrays)
        self.parts.append(part._replace(varied=frozenset(varied)))
        return name

    def _assigned(self, run: Sequence[ast.stmt]) -> Names:
        return frozenset[str]().union(*map(self.liveness.stored, run))

    def _written(self, statement: ast.stmt) -> Iterator[str]:
        """Yield the arrays whose elements a statement assigns, or may assign by a call."""
        for node in nodes(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                yield spelled(node.value)
            elif isinstance(node, ast.Expr):
                yield from self.liveness.loaded(node)


def _blocks(function: ast.FunctionDef) -> list[ast.For]:
    """Return the loops of a function over blocks: those whose step has a name."""
    return [each for each in function.body if isinstance(each, ast.For) and _has_named_step(each.iter)]


def _has_named_step(counter: ast.expr) -> bool:
    step = counter.args[2:] if isinstance(counter, ast.Call) else []
    return any(isinstance(each, ast.Name) for each in step)


def _runs(body: Sequence[ast.stmt], most: int) -> Iterator[list[ast.stmt]]:
    """Yield statements that may become a part together, and others alone."""
    run: list[ast.stmt] = []
    length, before = 0, False
    for each in body:
        plain, more = _is_plain(each), _length([each])
        if run and not (plain and before and length + more <= most):
            yield run
            run, length = [], 0
        run.append(each)
        length, before = length + more, plain
    if run:
        yield run


def _known(length: ast.expr, numbers: Mapping[str, int]) -> int | None:
    if isinstance(length, ast.Constant):
        return length.value if isinstance(length.value, int) else None
    return numbers.get(spelled(length))


def _number(name: str, number: int) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(number))


def _call(name: str, arguments: list[ast.expr], returned: Sequence[str], place: ast.stmt) -> ast.stmt:
    """Return the call of a part, in place of a statement and those that follow it."""
    call = ast.Call(ast.Name(name, ast.Load()), arguments, [])
    made = ast.Assign([_tuple(returned, ast.Store())], call) if returned else ast.Expr(call)
    return ast.fix_missing_locations(ast.copy_location(made, place))


def _tuple(names: Sequence[str], context: ast.expr_context) -> ast.expr:
    each: list[ast.expr] = [ast.Name(name, context) for name in names]
    return each[0] if len(each) == 1 else ast.Tuple(each, context)


def _is_plain(node: ast.stmt) -> bool:
    """Return whether a statement leaves nothing behind but numbers: neither arrays nor other names for them.

    New arrays are made by the whole function: what a part returns would need memory of a kind that is slow to get.
    """
    if isinstance(node, ast.Assign) and is_new(node.value):
        return False
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        returns = any(isinstance(each, ast.Return) for each in nodes(node))
        return not returns and not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple))
    return is_own(node.value)


def _is_innermost(loop: ast.stmt) -> bool:
    """Return whether a loop has no loops inside."""
    return not any(isinstance(node, ast.For | ast.While) for node in nodes(loop) if node is not loop)


def _length(body: Sequence[ast.AST]) -> int:
    """Return the number of statements, those inside of others included."""
    return sum(isinstance(node, ast.stmt) for each in body for node in nodes(each))
