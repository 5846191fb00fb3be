"""Printing a plan as loops: for Numba, over arrays; for pure Python, over nested lists with `math`.

The two targets share everything but the few spellings in `Dialect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from gradcompile.emit.dialect import Dialect
from gradcompile.emit.expression import Printer
from gradcompile.emit.guarding import Guarding
from gradcompile.emit.layout import INDENT, WIDTH
from gradcompile.emit.lookups import asked_again, looked_up
from gradcompile.emit.mathematics import describe
from gradcompile.emit.names import Names
from gradcompile.emit.places import Places
from gradcompile.emit.products import Moved, Products
from gradcompile.emit.prologue import Prologue, is_around, start_of
from gradcompile.emit.statements import Returned, as_number, returning
from gradcompile.ir import MATRIX_FUNCTIONS, Axis, Value, only_indices, reachable
from gradcompile.passes.fold import exact
from gradcompile.schedule import Course, Define, Loop, Node, Plan, Product, Result, Start, Update, used_at_once
from gradcompile.schedule.nodes import Statement, exponent_axis

NOT_GIVEN: Mapping[str, bool] = MappingProxyType({})
EXTREMA = {"max": "maximum", "min": "minimum"}


class Caller(NamedTuple):
    """What the code that calls a function provides.

    Parameters
    ----------
    given : mapping of str to bool
        The outputs that are arrays of the caller, filled in place and not returned; True for those that hold zeros
        when the function is called, so that a sum need not start at them.
    moved : mapping of str to (str, str, Value)
        The outputs that are products of matrices, and are not kept but added to an array of the caller: that array, the
        factor, and another one that the function computes.
    ahead : callable, optional
        Returns, for the place of a sample among all, the lines that ask for the rows of later ones: what a loop over
        samples does first that looks data up, the first such loop of each block.
    team : str
        The array that threads have in common which share the products of matrices; "" if none do.
    typed : bool
        Whether all arrays have the model's type, and labels are known to be in range, as those of emitted code.
    """

    given: Mapping[str, bool]
    moved: Mapping[str, Moved] = MappingProxyType({})
    ahead: Callable[[str], Sequence[str]] | None = None
    team: str = ""
    typed: bool = True


def function(
    plan: Plan,
    names: Names,
    printer: Printer,
    dialect: Dialect,
    *,
    returned: Returned,
    dtype: str,
    caller: Caller | None = None,
    tiles: bool = False,
) -> list[str]:
    """Return the body of a function that computes the outputs of a plan, line by line, without its first line.

    Parameters
    ----------
    plan : Plan
        The schedule, of a graph with the outputs that are to be returned.
    names, printer : Names, Printer
        What identifiers and expressions look like.
    dialect : Dialect
        `NUMBA` or `PYTHON`.
    returned : str or tuple
        The outputs that are returned: a name, or names in tuples.
    dtype : str
        "float64" or "float32".
    caller : Caller, optional
        What emitted code that calls the function provides; without one anything may call it.
    tiles : bool
        Whether BLAS is to be given large products of matrices in tiles.
    """
    return list(_Body(plan, names, printer, dialect, dtype, caller, tiles=tiles).lines(returned))


class _Body:
    """One function's text in the making."""

    def __init__(
        self,
        plan: Plan,
        names: Names,
        printer: Printer,
        dialect: Dialect,
        dtype: str,
        caller: Caller | None = None,
        *,
        tiles: bool = False,
    ) -> None:
        self.plan, self.graph, self.names, self.printer, self.dialect = plan, plan.graph, names, printer, dialect
        self.typed = caller is not None and caller.typed
        self.unsigned = only_indices(self.graph.order()) if self.typed else set()
        caller = caller or Caller(NOT_GIVEN)
        self.ahead = caller.ahead
        self.moved = {value: at for name, at in caller.moved.items() if (value := plan.results[name]) is not None}
        arrays = {value: array for value, (array, _, _) in self.moved.items()}
        self.places = Places(plan, names, printer, dialect.subscript, caller.given, arrays)
        self.products = Products(plan, names, printer, self.places, self.moved, caller.team, tiles=tiles)
        self.asked = False  # whether the rows of later samples were asked for in this block
        self.real = dialect.rounding(dtype)
        self.guarding = Guarding(
            plan.guards, lambda value, whole, need: printer.render(value, self.places.leaf, whole=whole, need=need)
        )
        self.prologue = Prologue(
            plan, names, printer, self.places, dialect, dtype,
            typed=self.typed, given=caller.given, moved=self.moved.keys(),
        )  # fmt: skip
        # What is an array elsewhere, by the loop that has all of its uses.
        self.numbers: Mapping[Loop, list[Value]] = {}
        self.explained: set[Value] = set()  # the values whose mathematics stands beside a line already

    # The whole

    def lines(self, returned: Returned) -> Iterator[str]:
        yield from self.prologue.lines()
        yield from self._nodes(self.plan.body, "")
        yield self._returned(returned)

    def _returned(self, returned: Returned) -> str:
        return returning(returned, self._result)

    def _result(self, name: str) -> str:
        value = self.plan.results[name]
        if value is None:
            return self.places.output(name)
        if value in self.plan.stored:
            return self.places.array(value)
        return as_number(value, self.places.expression(value))

    # Loops and statements

    def _nodes(self, nodes: Iterable[Node], indent: str) -> Iterator[str]:
        before: Define | None = None  # a sum's first value, which the next loop may take into its local variable
        for node, after in pairwise([*nodes, None]):
            if isinstance(node, Define) and self._opens(node, after):
                before = node
                continue
            if isinstance(node, Loop):
                yield from self._loop(node, indent, before)
            elif node is not None:
                yield from self._statement(node, indent)
            before = None

    def _statement(self, node: Statement | Start, indent: str) -> Iterator[str]:
        if isinstance(node, Course):
            yield from self._course(node, indent)
        elif isinstance(node, Define):
            yield from self._define(node, indent)
        elif isinstance(node, Start):
            yield from self._start(node.target, indent)
        elif isinstance(node, Update):
            yield self._commented(indent + self._update(node), node.target)
        elif isinstance(node, Product):
            yield self._commented(indent + self.products.line(node), node.target)
        else:
            yield indent + self._fill_result(node)

    def _hoist(self, index: Value) -> str:
        """Return the line that takes an index into a local variable, which stands for it from now on."""
        text = self.places.expression(index)
        if self.typed and index in self.unsigned:
            text = f"np.uint64({text})"
        array = index if index.op == "input" else index.operands[0]
        role = "" if index.op in ("input", "read") else "place"
        if role:  # computed of labels, whose name will do
            array = next(part for part in reachable([index]) if part.op == "input" and part.axes)
        name = "_".join([self.names.value(array), *map(self.names.axis, index.axes)])
        self.places.held[index] = self.names.local(index, name, role)
        return f"{self.places.held[index]} = {text}"

    def _range(self, loop: Loop, *, around: bool) -> str:
        """Return the steps of a loop, which may be around other loops."""
        start, stop = loop.bounds
        if loop.axis == self.plan.blocks:
            return f"range(0, {self.names.size(loop.axis.size)}, {self.names.word('T')})"
        if loop.axis == self.plan.sample and self.places.in_block:
            return f"range({self.names.word('size')})"
        if loop.backward:
            return f"range({self.names.size(loop.axis.size - 1)}, -1, -1)"
        last = self._end(loop.axis, around=around) if stop is None else self.places.expression(stop)
        return f"range({last})" if start is None else f"range({self.places.expression(start)}, {last})"

    def _end(self, axis: Axis, *, around: bool) -> str:
        length = self.graph.length(axis.size) if around else None
        return (None if length is None else self.prologue.rolled.get(length)) or self.names.size(axis.size)

    def _opens(self, node: Define, after: Node | None) -> bool:
        """Return whether the next loop holds, in a local variable, the sum that a statement starts."""
        return not isinstance(node, Course) and isinstance(after, Loop) and node.target in self._holdable(after)

    def _holdable(self, loop: Loop) -> list[Value]:
        """Return the sums that a loop holds in local variables, all of their terms in it, or in the one loop inside."""
        nest = [loop]
        while len(nest[-1].body) == 1 and isinstance(only := nest[-1].body[0], Loop):
            nest.append(only)
        inside = {value for each in nest[1:] for value in each.starts}
        targets = dict.fromkeys(node.target for node in nest[-1].body if isinstance(node, Update))
        return [value for value in targets if value not in inside and self._can_hold(value, nest)]

    def _loop(self, loop: Loop, indent: str, before: Define | None) -> Iterator[str]:
        held = {value: self._local(value) for value in self._holdable(loop)}
        yield from (indent + line for line in self._starts(loop, held, before))
        self.places.held.update(held)
        head = f"{indent}for {self._counter(loop)} in {self._range(loop, around=is_around(loop))}:"
        self.places.open.append(loop.axis)
        if loop.axis == self.plan.blocks:
            yield head
            yield from self._block(loop, indent + INDENT)
            self.places.open.pop()
            return
        numbers = {value: self._local(value) for value in self.numbers.get(loop, ())}
        self.places.held.update(numbers)
        outer, self.places.beforehand = self.places.beforehand, {}
        body = list(self._turn(loop, indent + INDENT))
        yield from (f"{indent}{name} = {part}" for name, part in self.places.beforehand.items())
        yield head
        yield from body
        self.places.beforehand = outer
        for value in numbers:
            del self.places.held[value]
        self.places.open.pop()
        for value, local in held.items():
            del self.places.held[value]
            yield f"{indent}{self.places.target(value)} = {local}"

    def _starts(self, loop: Loop, held: Mapping[Value, str], before: Define | None) -> Iterator[str]:
        """Yield what sums start from that a loop adds to, in an array or in the local variable that holds them."""
        arrays = list[Value]()
        for value in (v for v in loop.starts if v not in self.moved):
            if value in held:
                yield f"{held[value]} = {self._typed_start(value, self._filling(value))}"
            elif not self.plan.stored[value]:
                yield f"{self.places.array(value)} = {self._typed_start(value, self._filling(value))}"
            elif value not in self.prologue.zeroed:
                arrays.append(value)
        yield from self._filled(arrays)
        for value, local in held.items():
            if before is not None and before.target is value:
                yield f"{local} = {self.places.expression(before.expression)}"
            elif value not in loop.starts:
                yield f"{local} = {self.places.target(value)}"

    def _turn(self, loop: Loop, indent: str) -> Iterator[str]:
        """Yield what is done in each turn of a loop: indices that are data, or made of them, come first, and once."""
        indices = looked_up(loop, around=self.places.open, stored=self.plan.stored, held=self.places.held)
        asked = self.places.in_block and self.asked
        if self.ahead is not None and indices and loop.axis == self.plan.sample and not asked:
            self.asked = True
            yield from (indent + line for line in self.ahead(self.places.sample_number(loop.axis)))
        for index in indices:
            yield indent + self._hoist(index)
        for index in asked_again(loop, around=self.places.open, stored=self.plan.stored, held=self.places.held):
            yield indent + self._hoist(index)
            indices.append(index)
        yield from self._nodes(loop.body, indent)
        for index in indices:
            del self.places.held[index]

    def _counter(self, loop: Loop) -> str:
        return self.names.word("first") if loop.axis == self.plan.blocks else self.names.axis(loop.axis)

    def _block(self, loop: Loop, indent: str) -> Iterator[str]:
        """Yield what is done for one block of samples, after the parts of the arrays that belong to it."""
        outer, self.places.views = self.places.views, {}
        self.asked, self.numbers = False, used_at_once(self.plan, loop)
        body = list(self._nodes(loop.body, indent))
        first, length = self.names.word("first"), self.names.word("T")
        assert self.plan.sample is not None
        yield f"{indent}{self.names.word('size')} = min({length}, {self.names.size(self.plan.sample.size)} - {first})"
        yield from (f"{indent}{name} = {part}" for name, part in self.places.views.items())
        yield from body
        self.places.views = outer

    def _local(self, value: Value) -> str:
        """Return the name of the local variable in which one element of an array is summed: ``y_i`` for ``y[i]``."""
        parts = [self.names.value(value), *map(self.names.axis, self.plan.stored[value])]
        return self.names.local(value, "_".join(parts))

    def _can_hold(self, value: Value, nest: list[Loop]) -> bool:
        """Return whether a sum into an array element can run in a local variable: one that the loops do not move."""
        terms = [node.term for node in nest[-1].body if isinstance(node, Update) and node.target is value]
        if value in self.places.held or any(term.op == "accumulate" for term in terms):
            return False
        axes = self.plan.stored[value]
        still = not any(loop.axis in axes or loop.axis == self.plan.blocks for loop in nest)
        return bool(axes) and still and all(a in self.places.open for a in axes)

    def _start(self, value: Value, indent: str) -> Iterator[str]:
        if not self.plan.stored[value]:
            yield f"{indent}{self.places.array(value)} = {self._typed_start(value, self._filling(value))}"
        elif value not in self.prologue.zeroed:
            yield from (indent + line for line in self._filled([value]))

    def _filled(self, values: Iterable[Value]) -> Iterator[str]:
        """Yield the loops that fill arrays with what their sums start from; those along the same axes are one."""
        alike: dict[tuple[Axis, ...], list[Value]] = {}
        for value in values:
            along = tuple(axis for axis in self.plan.stored[value] if axis not in self.places.open)
            alike.setdefault(along, []).append(value)
        for along, arrays in alike.items():
            inner = ""
            for axis in along:
                loop = Loop(axis, 0)
                yield f"{inner}for {self.names.axis(axis)} in {self._range(loop, around=axis != along[-1])}:"
                inner += INDENT
            yield from (f"{inner}{self.places.target(value)} = {self._filling(value)}" for value in arrays)

    def _typed_start(self, value: Value, fill: str) -> str:
        """Return the first value of a sum in a local variable: in double precision if it runs over the samples."""
        return fill if not self.real or value.kind == "int" or self._is_over_samples(value) else f"{self.real}({fill})"

    def _is_over_samples(self, value: Value) -> bool:
        """Return whether a sum is of all samples: not of a few numbers for each of them, or for each of most."""
        if self.plan.sample is None:
            return False
        names = dict(self.plan.sample.size.terms)
        return self.plan.sample not in value.axes and not any(n in names for a in value.axes for n, _ in a.size.terms)

    def _is_in_double(self, value: Value) -> bool:
        """Return whether a sum that begins with something is one number, of all samples: it is not to be single."""
        scalar = value.kind == "real" and not self.plan.stored[value]
        return bool(self.real) and scalar and self._is_over_samples(value)

    def _filling(self, value: Value) -> str:
        fill = start_of(value)
        return fill.removesuffix(".0") if value.kind == "int" else fill

    def _define(self, node: Define, indent: str) -> Iterator[str]:
        whole = node.expression is node.target
        if node.expression.op in MATRIX_FUNCTIONS and (whole or node.expression not in self.plan.stored):
            line = self._matrix(node.expression, node.target)
        else:
            power = self._next_power(node.target) if whole else ""
            text = power or self.places.expression(node.expression, whole=whole)
            text = text if whole or not self._is_in_double(node.target) else f"1.0*({text})"
            line = f"{self.places.target(node.target)} = {self._guarded(node.target, text)}"
        yield self._commented(indent + line, node.target)

    def _course(self, node: Course, indent: str) -> Iterator[str]:
        """Yield one step of a running sum or product: it has its own term before or after it is taken."""
        total = self.places.target(node.total)
        step = f"{indent}{total} {self._step_on(node)}"
        if node.target.attr.own:
            yield step
        yield self._commented(f"{indent}{self.places.target(node.target)} = {total}", node.target)
        if not node.target.attr.own:
            yield step

    def _step_on(self, node: Course) -> str:
        """Return the assignment that makes what comes next of what there is."""
        *factors, term = node.target.operands
        if factors:
            return f"= {self.places.expression(node.total * factors[0] + term)}"
        sign = "+" if node.target.attr.op == "sum" else "*"
        if sign == "+" and term.op == "neg" and term not in self.plan.stored:
            sign, term = "-", term.operands[0]
        return f"{sign}= {self.places.expression(term) if term.kind == 'int' else self._term(term)}"

    def _next_power(self, value: Value) -> str:
        """Return a power by an index as the one before times its base; "" if it is not at hand."""
        axis, stored = exponent_axis(value), self.plan.stored[value]
        if axis is None or axis not in self.places.open or value in self.plan.guards:
            return ""
        inner = self.places.open[self.places.open.index(axis) + 1 :]
        if any(a in value.axes and a not in stored for a in inner) or (inner and not stored):
            return ""
        index = {axis: value.builder.iota(axis) - 1} if axis in stored else {}
        before, base = self.places.element(value, index), self.places.expression(value.operands[0])
        base = base if base.isidentifier() or base.endswith("]") else f"({base})"
        one = f"{self.real}(1)" if self.real else "1.0"
        if not stored:
            self.places.beforehand[before] = one  # Numba asks for a variable to be there, also where it is not read
        later = axis == self.plan.sample and self.places.in_block  # blocks after the first one do not begin at 1
        first = self.places.expression(value, whole=True) if later else one
        return f"{before}*{base} if {self.names.axis(axis)} > 0 else {first}"

    def _guarded(self, value: Value, text: str) -> str:
        """Return an expression that is evaluated only where a branch that uses it is taken."""
        guard = self.plan.guards.get(value)
        if guard is None:
            return text
        text = f"({text})" if value.op == "select" else text
        zero = f"{self.real}(0)" if self.real and value.kind == "real" else "0.0"
        return f"{text} if {self.guarding.text(guard)} else {zero}"

    def _matrix(self, value: Value, target: Value) -> str:
        """Return the line of a matrix function: its operand and, if it is one, its result are matrices."""
        self.printer.support.add(value.op)
        if value.op == "solve":
            return self._solution(value, target)
        call = f"{value.op}({self._part(value.operands[0], value.attr)})"
        place = self._slice(target, value.attr) if value.op == "inverse" else self.places.target(target)
        return f"{place} = {call}"

    def _solution(self, value: Value, target: Value) -> str:
        """Return the line that solves equations, with their right sides, if there are several, as columns."""
        (matrix, right), (row, column) = value.operands, value.attr
        sides = tuple(axis for axis in right.axes if axis != row and axis not in matrix.axes)
        call = f"solve({self._matrix_of(matrix, value.attr)}, {self._matrix_of(right, (row, *sides))})"
        axes = (column, *sides)
        return f"{self._slice(target, axes)} = {self._turned(call, self._order(target), axes)}"

    def _matrix_of(self, value: Value, axes: tuple[Axis, ...]) -> str:
        """Return an operand of a matrix function with its dimensions in this order."""
        if value.op == "input" or value in self.plan.stored:
            return self._turned(self._part(value, axes), self._order(value), axes)
        array, *indices = value.operands
        place = dict(zip(array.axes, indices, strict=True))
        own = [place[axis] for axis in self._order(array)]
        order = tuple(index.attr for index in own if index.op == "iota")
        if self.dialect.target == "python" and {*order} == {*axes} and len(own) == len(axes):
            return self._turned(self.places.array(array), order, axes)
        if self.dialect.target == "python":
            text = self.places.expression(value)
            for axis in reversed(axes):
                letter = self.names.axis(axis)
                text = f"[{text} for {letter} in range({self.names.size(axis.size)})]"
            return text
        text = ", ".join(":" if i.op == "iota" and i.attr in axes else self.places.expression(i) for i in own)
        return self._turned(f"{self.places.array(array)}[{text}]", order, axes)

    def _turned(self, text: str, order: Iterable[Axis], axes: tuple[Axis, ...]) -> str:
        """Return a matrix whose dimensions are in one order with them in the other, for which two are exchanged."""
        if tuple(axis for axis in order if axis in axes) == axes:
            return text
        if self.dialect.target != "python":
            return f"{text}.T"
        self.printer.support.add("transposed")
        return f"transposed({text})"

    def _order(self, value: Value) -> tuple[Axis, ...]:
        return value.axes if value.op == "input" else self.plan.stored[value]

    def _part(self, value: Value, axes: tuple[Axis, ...]) -> str:
        """Return what is read of an array along `axes`: all of it, or a slice."""
        whole = self.dialect.target != "python" and {*self._order(value)} <= {*axes}
        return self.places.array(value) if whole else self._slice(value, axes)

    def _slice(self, value: Value, axes: tuple[Axis, ...]) -> str:
        """Return the part of an array along `axes`, at one index of all others."""
        stored = self._order(value)
        if self.dialect.target == "python":
            return self.places.array(value) + "".join(f"[{self.names.axis(a)}]" for a in stored if a not in axes)
        return f"{self.places.array(value)}[{', '.join(':' if a in axes else self.names.axis(a) for a in stored)}]"

    def _update(self, node: Update) -> str:
        target, term, sign = self.places.target(node.target), node.term, node.sign
        body = term.operands[0]
        if (
            term.op in ("sum", "accumulate")
            and body not in self.plan.stored
            and (body.op == "neg" or exact(body) == -1)
        ):
            body = body.operands[0] if body.op == "neg" else body.builder.const(1)
            sign = -sign
        operand = self.places.expression(body) if node.target.kind == "int" else self._term(body)
        if term.op == "accumulate":
            target = self.places.element(node.target, dict(zip(term.axes, term.operands[1:], strict=True)))
        if term.op in EXTREMA:
            return f"{target} = {self.printer.call(EXTREMA[term.op], target, operand)}"
        if term.op == "prod":
            return f"{target} *= {operand}"
        return f"{target} {'+=' if sign > 0 else '-='} {operand}"

    def _term(self, value: Value) -> str:
        """Return what is added to a sum, in the model's type."""
        text = self.places.expression(value)
        return f"{self.real}({text})" if self.real and (value.kind == "int" or value.op == "const") else text

    def _fill_result(self, node: Result) -> str:
        indices = self.dialect.subscript.join(self.places.at(a, {}) for a in node.axes)
        target = self.places.output(node.name)
        place = f"{target}[{indices}]" if node.axes else target
        return f"{place} = {self.places.expression(node.value)}"

    def _commented(self, line: str, value: Value) -> str:
        if value in self.explained:
            return line
        self.explained.add(value)
        if value.op == "input":
            return line
        comment = describe(value, self.graph, self.names, self.plan.stored.__contains__)
        if comment.replace(" ", "") in line.replace(" ", ""):
            return line
        long = f"{line}  # {comment}"
        return long if comment and len(long) + INDENT.count(" ") <= WIDTH else line
