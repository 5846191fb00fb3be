"""The statements and expressions of one function, translated for the types that it is called with."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Protocol

from gradcompile.jit.direct.aliases import is_new
from gradcompile.jit.direct.arrays import Arrays, Cut
from gradcompile.jit.direct.calls import ATTRIBUTES, CALLS, EXTREMA, METHODS, NAMES
from gradcompile.jit.direct.hints import Hints
from gradcompile.jit.direct.kinds import (
    F32,
    F64,
    I64,
    Array,
    Function,
    Kind,
    Lengths,
    Several,
    Type,
    UntranslatableError,
    Value,
    held,
    literal,
    merged,
    several,
)  # fmt: skip
from gradcompile.jit.direct.numbers import Numbers
from gradcompile.jit.direct.outside import product
from gradcompile.jit.direct.signs import counted, never_negative
from gradcompile.jit.direct.syntax import is_innermost, listed, names, nodes, spelled, statements
from gradcompile.jit.direct.text import Text
from gradcompile.jit.direct.variants import ROWS, soon, told
from gradcompile.jit.direct.writer import Writer
from gradcompile.jit.linking import BY_STRIDES

CROWDED = 1500  # statements of elementary functions, as those of 100 exponentials or 40 sines: they are called instead
ARITHMETIC = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Call)
NO_MEMORY, SINGULAR = 1, 2  # what a function that fails returns before its result, in the place of 0
ERROR = "np.linalg.LinAlgError"  # what it raises if it is the second


class AgainError(Exception):
    """A type turned out to be another than was known: the function has to be translated once more."""


class Program(Protocol):
    """What a function may call."""

    text: Text

    def lengths(self, node: ast.FunctionDef) -> Mapping[str, Lengths]:
        """Return the arguments of a function whose lengths are known."""
        ...

    def function(self, name: str, types: Sequence[Type]) -> Function:
        """Return a function for arguments of these types."""
        ...

    def arguments(self, node: ast.Call) -> list[ast.expr]:
        """Return all arguments of a call of a function of the module."""
        ...


@dataclass
class Types:
    """What is known of a function's types, from one attempt to translate it to the next.

    Attributes
    ----------
    names : dict of (str, int) to Type
        Of its names. At the function's own level, each assignment makes a new one.
    result : Type, optional
        Of what it returns.
    fails : bool
        Whether there may be no memory for what it does, or a matrix without an inverse.
    """

    names: dict[tuple[str, int], Type] = field(default_factory=dict)
    result: Type | None = None
    fails: bool = False


@dataclass
class Variable:
    """A name in one of its versions.

    Attributes
    ----------
    type : Type
        What it holds.
    places : list of str
        Where the parts of its value are.
    owner : str or None
        What keeps the memory of the array that it is.
    """

    type: Type
    places: list[str]
    owner: str | None


class Body(Numbers):
    """A function in the making.

    Parameters
    ----------
    program : Program
        The module, whose functions may be called.
    node : FunctionDef
        The function.
    types : sequence of Type
        Of its arguments.
    found : Types
        What is known of its types; completed here.
    writer : Writer
        Its text.

    Raises
    ------
    UntranslatableError
        Something in it is not translated.
    AgainError
        What was `found` before was wrong, and is mended.
    """

    def __init__(
        self, program: Program, node: ast.FunctionDef, types: Sequence[Type], found: Types, writer: Writer
    ) -> None:
        super().__init__(writer)
        self.program, self.node, self.found = program, node, found
        self.arrays: Arrays = Arrays(writer)
        self.names: dict[str, Variable] = {}
        self.innermost = False  # whether the loop that is open has none inside
        self.versions: dict[str, int] = {}
        self.crowded = program.text.cost(node) > CROWDED
        self.counted = counted(node, program.text.part(node).counted)
        self.leaving = {
            name.id for each in statements(node) if isinstance(each, ast.Return) for name in names(each)
        }  # fmt: skip
        self.failure = self.writer.place("i32")  # how it fails
        self.hints = Hints(node, program.text, self.writer.flags, self._is_double)
        known = program.lengths(node)
        for argument, kind in zip(node.args.args, types, strict=True):
            name = argument.arg
            parts = tuple(f"%{name}.{k}" for k in range(len(held(kind))))
            if isinstance(kind, Array) and kind.dense:
                parts = (parts[0], *map(self._length, parts[1:], known.get(name) or repeat(None)))
            self.assign(name, Value(kind, parts))

    def _length(self, length: str, known: int | None) -> str:
        """Return how long an array is that is an argument: the number that it is known to be, if it is.

        Of rows that may have any length LLVM would make vectors only for those of one number. It does not, where the
        length is not the argument as it stands.
        """
        if known is not None:
            return str(known)
        return self.writer.called("i64", "llvm.smax.i64", [f"i64 {length}", "i64 0"])

    def lines(self) -> list[str]:
        """Return the text."""
        if not self.statements(self.node.body):
            self.returned(literal(0))
        if self.found.fails:
            self.writer.begin("exhausted")
            self._fail(str(NO_MEMORY))
            self.writer.begin("failed")
            self.arrays.release()
            code = self.writer.new(f"load i32, ptr {self.failure}")
            self._return([code, *("zeroinitializer" for _ in held(self.result))])
        return self.writer.lines()

    @property
    def result(self) -> Type:
        """The type of what is returned."""
        assert self.found.result is not None  # `returned` has been called
        return self.found.result

    def failed(self) -> str:
        """Return the block to go on with where there is no memory."""
        self._may_fail()
        return "exhausted"

    def _may_fail(self) -> None:
        if not self.found.fails:
            self.found.fails = True
            raise AgainError

    def _fail(self, code: str) -> None:
        """End the function without a result."""
        self.writer.do(f"store i32 {code}, ptr {self.failure}")
        self.writer.jump("failed")

    # Names

    def assign(self, name: str, value: Value) -> None:
        """Give a name a value: a new name at the function's own level, else the one that there is."""
        if isinstance(value.type, Kind):
            raise UntranslatableError("a type as a value")
        if name not in self.names or not self.depth:
            self.versions[name] = self.versions.get(name, -1) + 1
            kind = self.found.names.setdefault((name, self.versions[name]), value.type)
            self.names[name] = Variable(kind, [self.writer.place(each) for each in held(kind)], value.owner)
        variable = self.names[name]
        wider = merged(variable.type, value.type)
        if wider != variable.type:
            self.found.names[name, self.versions[name]] = wider
            raise AgainError
        if variable.owner != value.owner:
            variable.owner = None
        parts = self.fitted(value, wider).parts
        for llvm, part, place in zip(held(wider), parts, variable.places, strict=True):
            self.writer.do(f"store {llvm} {part}, ptr {place}")

    def read(self, name: str) -> Value:
        """Return what a name stands for."""
        if name not in self.names:
            if name not in self.program.text.constants:
                raise UntranslatableError(f"{name} has no value")
            return self.expression(self.program.text.constants[name])
        variable = self.names[name]
        places = zip(held(variable.type), variable.places, strict=True)
        parts = tuple(self.writer.new(f"load {each}, ptr {place}") for each, place in places)
        return Value(variable.type, parts, owner=variable.owner)

    def fitted(self, value: Value, kind: Type) -> Value:
        """Return a value as one of a wider type."""
        if value.type == kind:
            return value
        if isinstance(kind, Several):
            return several([self.fitted(a, b) for a, b in zip(value.items(), kind.items, strict=True)])
        return self.arrays.loose(value) if isinstance(kind, Array) else super().fitted(value, kind)

    # Statements

    def statements(self, body: Iterable[ast.stmt]) -> bool:
        """Translate statements; whether there was memory is asked once for new arrays that follow one another."""
        for statement in body:
            self.arrays.waits = isinstance(statement, ast.Assign) and is_new(statement.value)
            if self.arrays.lacking and not self.arrays.waits:
                self.arrays.settle(self.failed())
            if super().statements([statement]):
                return True
        self.arrays.waits = False
        if self.arrays.lacking:
            self.arrays.settle(self.failed())
        return False

    def _note(self, node: ast.Expr) -> bool:
        if not isinstance(node.value, ast.Constant):  # a docstring, or a call for what it does
            self.expression(node.value)
        return False

    def _assignment(self, node: ast.Assign) -> bool:
        self.arrays.leaves = any(isinstance(each, ast.Name) and each.id in self.leaving for each in node.targets)
        value = self.expression(node.value)
        self.arrays.leaves = False
        if self.depth and isinstance(node.value, ast.Name) and isinstance(value.type, Array):
            raise UntranslatableError("a second name for an array")  # whose memory the next time round may be another's
        if any(isinstance(each, ast.Subscript) for each in node.targets) and isinstance(value.type, Array):
            self._demand_new(node.value)
        for target in node.targets:
            self._give(target, value)
        return False

    def _demand_new(self, node: ast.expr) -> None:
        """Go on if an array is what a function has returned: no other array has a part of its memory."""
        if not isinstance(node, ast.Call) or spelled(node.func) not in self.program.text.nodes:
            raise UntranslatableError("elements of an array that may be its own")

    def _give(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Tuple):
            for each, item in zip(target.elts, value.items(), strict=True):
                self._give(each, item)
        elif isinstance(value.type, Array):
            self.arrays.fill(self.expression(target), value)
        else:
            array, indices = self._element(target)
            self.arrays.store(array, self.arrays.element(array, indices), value)

    def _augmented(self, node: ast.AugAssign) -> bool:
        if isinstance(node.target, ast.Name):
            return super()._augmented(node)
        array, indices = self._element(node.target)
        value = self.expression(node.value)
        address = self.arrays.element(array, indices)
        changed = self.writer.arithmetic(type(node.op), self.arrays.load(array, address), value)
        self.arrays.store(array, address, changed)
        return False

    def _element(self, target: ast.expr) -> tuple[Value, list[str]]:
        """Return the array and the indices of an element that is assigned."""
        if not isinstance(target, ast.Subscript):
            raise UntranslatableError(type(target).__name__)
        array = self.expression(target.value)
        return array, [self._index(each, k, array) for k, each in enumerate(listed(target.slice))]

    def _for(self, node: ast.For) -> bool:
        if not isinstance(node.target, ast.Name) or node.orelse:
            raise UntranslatableError("a loop over something else than a range")
        if isinstance(node.iter, ast.Tuple):
            return self._for_each(node.target.id, node.iter.elts, node.body)
        start, stop, step = self._range(node.iter)
        writer, place = self.writer, self.writer.place("i64")
        test, loop, after = (writer.label() for _ in range(3))
        writer.do(f"store i64 {start}, ptr {place}")
        writer.jump(test)
        writer.begin(test)
        now = writer.new(f"load i64, ptr {place}")
        writer.branch(self._more(now, stop, step), loop, after)
        writer.begin(loop)
        self.depth += 1
        self.innermost = is_innermost(node)
        self.assign(node.target.id, Value(I64, (now,)))
        if not self.statements(node.body):
            writer.do(f"store i64 {writer.new(f'add nsw i64 {now}, {step}')}, ptr {place}")
            writer.again(test, self.hints.of(node, self.depth))
        self.depth -= 1
        self.innermost = False
        writer.begin(after)
        return False

    def _for_each(self, name: str, values: Sequence[ast.expr], body: Sequence[ast.stmt]) -> bool:
        """Translate a loop over values that are written down: its body, for one after the other."""
        for each in values:
            self.assign(name, self.expression(each))
            if self.statements(body):
                return True
        return False

    def is_arithmetic(self, node: ast.expr) -> bool:
        """Return whether an expression, in an innermost loop, is functions that are written out, and arithmetic."""
        inside = [each for each in nodes(node) if isinstance(each, ast.expr)] if self.innermost else []
        called = {spelled(each.func) for each in inside if isinstance(each, ast.Call)}
        plain = all(isinstance(each, ARITHMETIC) for each in inside)
        return plain and bool(called) and called <= {"real", *self.program.text.inlined}

    def _is_double(self, name: str) -> bool:
        return self.names[name].type == F64

    def _range(self, node: ast.expr) -> tuple[str, str, str]:
        """Return the start, the stop and the step of a range."""
        if not isinstance(node, ast.Call) or spelled(node.func) != "range":
            raise UntranslatableError("a loop over something else than a range")
        given = [self.writer.whole(self.expression(each)) for each in node.args]
        start, stop, step = [["0", *given, "1"], [*given, "1"], given][len(given) - 1]
        return start, stop, step

    def _more(self, now: str, stop: str, step: str) -> str:
        """Return whether a loop goes on."""
        new = self.writer.new
        up, down = f"icmp slt i64 {now}, {stop}", f"icmp sgt i64 {now}, {stop}"
        if step.lstrip("-").isdigit():
            return new(down if step.startswith("-") else up)
        return new(f"select i1 {new(f'icmp sgt i64 {step}, 0')}, i1 {new(up)}, i1 {new(down)}")

    def _returning(self, node: ast.Return) -> bool:
        if node.value is None:
            raise UntranslatableError("a function without a result")
        self.returned(self.expression(node.value))
        return True

    def _raising(self, node: ast.Raise) -> bool:
        if node.exc is None or spelled(node.exc) != ERROR:
            raise UntranslatableError("another exception")
        self._may_fail()
        self._fail(str(SINGULAR))
        return True

    def returned(self, value: Value) -> None:
        """End the function with a result; memory that is part of it is no longer the function's."""
        value = self._given_away(value, set())
        known = self.found.result or value.type
        self.found.result = merged(known, value.type)
        if self.found.result != known:
            raise AgainError
        value = self.fitted(value, self.result)
        self.arrays.release()
        self._return(["0", *value.parts] if self.found.fails else list(value.parts))

    def _return(self, parts: list[str]) -> None:
        kinds, kind = returned_parts(self.result, self.found.fails), returned_kind(self.result, self.found.fails)
        if len(parts) == 1:
            self.writer.do(f"ret {kind} {parts[0]}")
            return
        made = "undef"
        for k, (each, part) in enumerate(zip(kinds, parts, strict=True)):
            made = self.writer.new(f"insertvalue {kind} {made}, {each} {part}, {k}")
        self.writer.do(f"ret {kind} {made}")

    def _given_away(self, value: Value, gone: set[str]) -> Value:
        """Return a result whose arrays each have memory of their own, which its receiver gives back."""
        if isinstance(value.type, Several):
            return several([self._given_away(each, gone) for each in value.items()])
        if not isinstance(value.type, Array):
            return value
        if not value.array.dense or value.owner is None or value.owner in gone:
            self.arrays.leaves = True
            value = self.arrays.copied(value, value.array.dtype, self.failed())
            self.arrays.leaves = False
        assert value.owner is not None  # a copy has one
        gone.add(value.owner)
        self.writer.do(f"store ptr null, ptr {value.owner}")
        return value

    # Expressions

    def _tuple(self, node: ast.Tuple) -> Value:
        return several([self.expression(each) for each in node.elts])

    def _attribute(self, node: ast.Attribute) -> Value:
        name = spelled(node)
        if name in NAMES:
            return NAMES[name]
        if name.endswith(".ctypes.data") and isinstance(node.value, ast.Attribute):
            address = self.expression(node.value.value).address
            return Value(I64, (self.writer.new(f"ptrtoint ptr {address} to i64"),))
        if node.attr not in ATTRIBUTES:
            raise UntranslatableError(name)
        return ATTRIBUTES[node.attr](self, self.expression(node.value))

    def _subscript(self, node: ast.Subscript) -> Value:
        whole, cuts = self.expression(node.value), listed(node.slice)
        if isinstance(whole.type, Several):
            place = self.expression(node.slice).literal
            if not isinstance(place, int):
                raise UntranslatableError("an item of a tuple by a number that is not written")
            return whole.items()[place]
        if len(cuts) == whole.array.rank and not any(isinstance(each, ast.Slice) for each in cuts):
            indices = [self._index(each, k, whole) for k, each in enumerate(cuts)]
            address = self.arrays.element(whole, indices)
            element = self.arrays.load(whole, address)
            return soon(self.writer, element, address) if node in self.program.text.in_turn else element
        return self.arrays.part(whole, [self._cut(each, k, whole) for k, each in enumerate(cuts)])

    def _cut(self, node: ast.expr, axis: int, array: Value) -> str | Cut:
        if not isinstance(node, ast.Slice):
            return self._index(node, axis, array)
        if node.step is not None:
            raise UntranslatableError("a slice with a step")
        lower, upper = (None if e is None else self.writer.whole(self.expression(e)) for e in (node.lower, node.upper))
        return lower, upper

    def _index(self, node: ast.expr, axis: int, array: Value) -> str:
        """Return the place along an axis: from its end if it is negative, as in Python."""
        place = self.writer.whole(self.expression(node))
        if never_negative(node, self.counted):
            return place
        new = self.writer.new
        back = new(f"add i64 {place}, {array.lengths[axis]}")
        return new(f"select i1 {new(f'icmp slt i64 {place}, 0')}, i64 {back}, i64 {place}")

    def _call(self, node: ast.Call) -> Value:
        name = spelled(node.func)
        if name in self.program.text.blas:
            return product(self, [self.expression(each) for each in given(node)])
        if name in CALLS:
            return CALLS[name](self, [self.expression(each) for each in given(node)])
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and name not in NAMES:
            of = self.expression(node.func.value)
            return METHODS[node.func.attr](self, of, [self.expression(each) for each in given(node)])
        if name in NAMES or name in self.program.text.constants:
            return self._as_kind(self.expression(node.func), [self.expression(each) for each in given(node)])
        arguments = [self.expression(each) for each in self.program.arguments(node)]
        if name in EXTREMA and "nsz" in self.writer.flags and all(a.type in (F32, F64) for a in arguments):
            return EXTREMA[name](self, arguments)
        if name in BY_STRIDES or name in self.program.text.algebra:
            matrix = [isinstance(a.type, Array) and a.type.rank == 2 for a in arguments]
            arguments = [self.arrays.loose(a) if m else a for a, m in zip(arguments, matrix, strict=True)]
        function = self.program.function(name, [a.type for a in arguments])
        row = ROWS.get(name, name) if self.crowded else name
        several = told(self.writer, row, function.types, function.symbol)
        return self._function(function, arguments, f" noinline{several}" if several else "")

    def _as_kind(self, kind: Value, arguments: list[Value]) -> Value:
        if not isinstance(kind.type, Kind) or len(arguments) != 1:
            raise UntranslatableError("a call of something that is no function")
        return self.writer.convert(arguments[0], kind.type.scalar)

    def _function(self, function: Function, arguments: list[Value], told: str = "") -> Value:
        writer, kinds = self.writer, returned_parts(function.result, function.fails)
        parts = [f"{h} {part}" for a in arguments for h, part in zip(held(a.type), a.parts, strict=True)]
        kind = returned_kind(function.result, function.fails)
        flags = writer.flags if kind in ("double", "float") else ""
        found = writer.new(f"call{flags} {kind} @{function.symbol}({', '.join(parts)}){told}")
        if len(kinds) == 1:
            return Value(function.result, (found,))
        each = [writer.new(f"extractvalue {kind} {found}, {k}") for k in range(len(kinds))]
        if function.fails:
            self._may_fail()
            code, good = each.pop(0), writer.label()
            writer.do(f"store i32 {code}, ptr {self.failure}")
            writer.branch(writer.new(f"icmp eq i32 {code}, 0"), good, "failed")
            writer.begin(good)
        return self._received(Value(function.result, tuple(each)))

    def _received(self, value: Value) -> Value:
        """Return what a function returned, with places for the memory that is now this one's."""
        if isinstance(value.type, Several):
            return several([self._received(each) for each in value.items()])
        if not isinstance(value.type, Array):
            return value
        return Value(value.type, value.parts, owner=self.arrays.kept(value.address))


def given(node: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call."""
    if node.keywords:
        raise UntranslatableError("an argument by name")
    return node.args


def returned_parts(result: Type, fails: bool) -> list[str]:
    """Return the types of what a function returns in LLVM: before the result, whether there was memory."""
    return ["i32", *held(result)] if fails else list(held(result))


def returned_kind(result: Type, fails: bool) -> str:
    """Return the type of what a function returns in LLVM."""
    parts = returned_parts(result, fails)
    return parts[0] if len(parts) == 1 else f"{{ {', '.join(parts)} }}"
