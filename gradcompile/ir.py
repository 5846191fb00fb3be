"""The intermediate representation: a hash-consed graph of values with named axes.

A `Value` is a primitive applied to operands. Its axes are named, not numbered: an elementwise value has the ordered
union of its operands' axes, and that is all the broadcasting there is. Beside the rows of the table (primitives.py)
there are a few structural operations:

====================  ==================================================================================
``const``             a number (`attr`: int, Fraction, float, bool, or "pi", "e")
``input``             an array that a call provides (`attr`: its name); its axes are its dimensions
``size``              the length of an axis as a number (`attr`: a `Size`)
``iota``              the index of an axis as a number (`attr`: the `Axis`)
``sum`` ``max`` ...   a reduction (`attr`: the axes that go)
``read``              ``T[i, j, ...]``: the first operand is T, then an integer value for each axis of T
``accumulate``        the transpose of ``read``: zeros with the axes `attr`, into which the first operand is added
                      at the indices given by the other operands, over all points of its and their axes
``running``           the running sum or product along an axis, or what a recurrence makes of factors and terms
                      (`attr`: a `Running`)
``inverse`` ...       matrix functions of the first operand's last two axes (`attr`: the axes of the result)
====================  ==================================================================================

Equal values are one value: `Builder.make` looks every value up before it makes one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from gradcompile.primitives import PRIMITIVES

Number = int | float | Fraction | bool
LARGE = 2**53  # beyond, a whole number is the float that it becomes

LEAVES = ("const", "input", "size", "iota")  # what has no operands
REDUCTIONS = ("sum", "max", "min", "prod")
KINDS = ("real", "int", "bool")  # of the numbers in a value
COMMUTATIVE = frozenset(name for name, row in PRIMITIVES.items() if row.commutative)
MATRIX_FUNCTIONS = ("inverse", "logdet", "determinant", "solve", "cholesky")


@dataclass(frozen=True, slots=True)
class Size:
    """The length of an axis: a whole number that is affine in named sizes, such as ``N - K + 1``."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(length: Size | str | int) -> Size:
        """Return the size that a name or a number stands for."""
        if isinstance(length, Size):
            return length
        return Size(((length, 1),)) if isinstance(length, str) else Size((), int(length))

    def __add__(self, other: Size | int) -> Size:
        """Return the sum of two sizes."""
        other = Size.of(other)
        if not other.terms or not self.terms:
            return Size(self.terms or other.terms, self.constant + other.constant)
        totals = dict(self.terms)
        for name, count in other.terms:
            totals[name] = totals.get(name, 0) + count
        terms = tuple(sorted((name, count) for name, count in totals.items() if count))
        return Size(terms, self.constant + other.constant)

    def __mul__(self, factor: int) -> Size:
        """Return `factor` times the size."""
        return Size(tuple((n, c * factor) for n, c in self.terms if factor), self.constant * factor)

    def __sub__(self, other: Size | int) -> Size:
        """Return the difference of two sizes."""
        return self + Size.of(other) * -1

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Return the number for given named sizes."""
        return self.constant + sum(count * sizes[name] for name, count in self.terms)

    def __str__(self) -> str:
        """Return the size as arithmetic, valid Python: ``2*N - 1``."""
        parts = [(c, name if abs(c) == 1 else f"{abs(c)}*{name}") for name, c in self.terms]
        if self.constant or not parts:
            parts.append((self.constant, str(abs(self.constant))))
        parts.sort(key=lambda part: part[0] < 0)
        text = "".join(f" {'-' if sign < 0 else '+'} {term}" for sign, term in parts)
        return text[3:] if text.startswith(" + ") else "-" + text[3:]


ONE = Size((), 1)  # the length of an axis along which there is one number


@dataclass(frozen=True, slots=True)
class Axis:
    """One named direction of an array. Axes of one size are told apart by a number, the smallest that is free.

    Because the number does not depend on the letter that the user chose, the same sum written twice with other
    letters is one value.
    """

    size: Size
    number: int = 0

    def __str__(self) -> str:
        """Return a name for debugging; graphs know the user's letters."""
        return f"{self.size}.{self.number}"


@dataclass(frozen=True, slots=True)
class Running:
    """How a running sum or product runs.

    Parameters
    ----------
    axis : Axis
        Along which.
    backward : bool
        Whether from the last index on.
    own : bool
        Whether an element is part of it at its own index.
    op : {"sum", "prod", "linear"}
        What it is; of "linear", each step multiplies what there is by a factor and adds a term, from 0 on.
    """

    axis: Axis
    backward: bool
    own: bool
    op: str = "sum"


class Value:
    """One node of the graph. Made by a `Builder`, never by hand; equal values are the same object."""

    __slots__ = ("attr", "axes", "builder", "kind", "number", "op", "operands", "origin")

    def __init__(
        self,
        builder: Builder,
        number: int,
        op: str,
        operands: tuple[Value, ...],
        axes: tuple[Axis, ...],
        kind: str,
        attr: Any,
    ) -> None:
        self.builder, self.number, self.op, self.operands = builder, number, op, operands
        self.axes, self.kind, self.attr = axes, kind, attr
        self.origin: object = None  # what it came from; str(origin) is mathematics

    def __repr__(self) -> str:
        """Return the value one level deep."""
        operands = ", ".join(f"%{o.number}" for o in self.operands)
        attr = "" if self.attr is None else f" {_show_attr(self.attr)}"
        return f"%{self.number} = {self.op}{attr}({operands}) : {self.kind}[{', '.join(map(str, self.axes))}]"

    def quoted(self, longest: int) -> str:
        """Return what a number came from as text; "" if that is longer, or nested too deeply for SymPy to print.

        Parameters
        ----------
        longest : int
            The most characters.
        """
        if self.origin is None or self.axes or _has_more_parts(self.origin, longest):
            return ""
        try:
            text = str(self.origin)
        except RecursionError:
            return ""
        return text if len(text) <= longest else ""

    def is_const(self, number: object) -> bool:
        """Return whether the value is this very number."""
        return self.op == "const" and self.attr == number and not isinstance(self.attr, str)

    def is_index(self, axis: Axis) -> bool:
        """Return whether the value is the index of this axis, as it is."""
        return self.op == "iota" and self.attr == axis

    # Arithmetic, so that a partial derivative reads as it does on paper.
    def __add__(self, other: Value | Number) -> Value:
        return self.builder.apply("add", self, other)

    def __radd__(self, other: Number) -> Value:
        return self.builder.apply("add", other, self)

    def __sub__(self, other: Value | Number) -> Value:
        return self.builder.apply("sub", self, other)

    def __rsub__(self, other: Number) -> Value:
        return self.builder.apply("sub", other, self)

    def __mul__(self, other: Value | Number) -> Value:
        return self.builder.apply("mul", self, other)

    def __rmul__(self, other: Number) -> Value:
        return self.builder.apply("mul", other, self)

    def __truediv__(self, other: Value | Number) -> Value:
        return self.builder.apply("div", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return self.builder.apply("div", other, self)

    def __pow__(self, other: Value | Number) -> Value:
        return self.builder.apply("pow", self, other)

    def __rpow__(self, other: Number) -> Value:
        return self.builder.apply("pow", other, self)

    def __neg__(self) -> Value:
        return self.builder.apply("neg", self)


def _has_more_parts(origin: object, count: int) -> bool:
    """Return whether an expression has more names and numbers than that, each of which is at least one character.

    SymPy takes long to print large ones, of which nothing is kept.
    """
    parts, found = [origin], 0
    while parts and found <= count:
        part: Any = parts.pop()
        inner = () if getattr(part, "is_symbol", False) else getattr(part, "args", ())  # an array has its sizes there
        found += not inner
        parts.extend(inner)
    return found > count


def kind_of_number(number: Number | str) -> str:
    """Return the kind of a constant."""
    if isinstance(number, bool):
        return "bool"
    return "int" if isinstance(number, int) and abs(number) <= LARGE else "real"


def nearest_float(number: Number) -> float:
    """Return an exact number as the nearest float, infinite where it is beyond all of them."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _show_attr(attr: object) -> str:
    if isinstance(attr, tuple):
        return "(" + ", ".join(map(str, attr)) + ")"
    return str(attr)


def union(axes: Iterable[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """Return the ordered union of several tuples of axes: broadcasting by name."""
    found: tuple[Axis, ...] = ()
    for each in axes:
        if each and each != found:
            found = (*found, *(axis for axis in each if axis not in found)) if found else each
    return found


class Builder:
    """Makes values, each once. Operands are always older than what is made of them: `number` is a topological order."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.sound: set[Value] = set()  # the elementwise values that the verifier has seen
        self._known: dict[tuple[Any, ...], Value] = {}

    def make(self, op: str, operands: tuple[Value, ...], axes: tuple[Axis, ...], kind: str, attr: Any = None) -> Value:
        """Return the value with these parts, made now if there was none."""
        numbers = [o.number for o in operands]
        if op in COMMUTATIVE:
            numbers.sort()
        key: tuple[Any, ...] = (op, *numbers)
        if attr is not None:
            exact = repr(attr) if isinstance(attr, float) else None  # tells -0.0 from 0.0, and nan is nan
            key = (*key, axes if op in ("input", "accumulate") else None, attr, type(attr), exact)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Value(self, len(self.values), op, operands, axes, kind, attr)
            self.values.append(found)
        return found

    def const(self, number: Number | str) -> Value:
        """Return a number: int, float, Fraction, bool, or "pi", "e"."""
        if isinstance(number, Fraction) and number.denominator == 1:
            number = int(number)
        return self.make("const", (), (), kind_of_number(number), number)

    def input(self, name: str, axes: tuple[Axis, ...], kind: str = "real") -> Value:
        """Return an array that a call provides; `axes` are its dimensions, each another axis."""
        return self.make("input", (), axes, kind, name)

    def size(self, size: Size) -> Value:
        """Return the length of an axis as a number."""
        return self.const(size.constant) if not size.terms else self.make("size", (), (), "int", size)

    def iota(self, axis: Axis) -> Value:
        """Return the index along an axis, 0, 1, ..., as a number."""
        return self.make("iota", (), (axis,), "int", axis)

    def apply(self, op: str, *operands: Value | Number) -> Value:
        """Apply a row of the table elementwise; axes broadcast by name."""
        values = tuple([o if isinstance(o, Value) else self.const(o) for o in operands])
        kind = PRIMITIVES[op].kind
        if kind == "same":
            kinds = [v.kind for v in (values[1:] if op == "select" else values)]
            kind = "real" if "real" in kinds else "int" if "int" in kinds else "bool" if op == "select" else "int"
        return self.make(op, values, union([v.axes for v in values]), kind)

    def reduce(self, op: str, value: Value, axes: Iterable[Axis]) -> Value:
        """Reduce over axes. An axis that the value does not have repeats it: a sum multiplies, a product raises."""
        axes = tuple(axes)
        gone = tuple(a for a in value.axes if a in axes)
        for axis in axes:
            if axis not in value.axes and op in ("sum", "prod"):
                value = self.apply("mul" if op == "sum" else "pow", value, self.size(axis.size))
        if not gone:
            return value
        return self.make(op, (value,), tuple(a for a in value.axes if a not in gone), value.kind, gone)

    def read(self, array: Value, indices: Iterable[Value]) -> Value:
        """Return ``array[indices]``: an integer value for each axis of `array`, in their order."""
        indices = tuple(indices)  # none for a number, which is the same everywhere
        if all(i.is_index(a) for i, a in zip(indices, array.axes, strict=True)):
            return array
        return self.make("read", (array, *indices), union(i.axes for i in indices), array.kind)

    def accumulate(self, value: Value, indices: Iterable[Value], axes: tuple[Axis, ...]) -> Value:
        """Return zeros with `axes`, plus `value` added at `indices` over all points: the transpose of `read`."""
        return self.make("accumulate", (value, *indices), axes, "real", axes)

    def running(self, how: Running, *operands: Value) -> Value:
        """Return the running sum or product of a value along one of its axes, or that of factors and terms."""
        kind = "int" if all(o.kind == "int" for o in operands) else "real"
        return self.make("running", operands, union(o.axes for o in operands), kind, how)

    def matrix(self, op: str, operands: tuple[Value, ...], axes: tuple[Axis, ...], attr: Any) -> Value:
        """Return a matrix function; `attr` says which axes of each operand are its rows and columns."""
        return self.make(op, operands, axes, "real", attr)

    def rebuild(self, value: Value, operands: tuple[Value, ...]) -> Value:
        """Return `value` with other operands, made by the same rules."""
        if operands == value.operands:
            return value
        if value.op in PRIMITIVES:
            return self.apply(value.op, *operands)
        if value.op in REDUCTIONS:
            return self.reduce(value.op, operands[0], value.attr)
        if value.op == "read":
            return self.read(operands[0], operands[1:])
        if value.op == "accumulate":
            return self.accumulate(operands[0], operands[1:], value.attr)
        if value.op == "running":
            return self.running(value.attr, *operands)
        if value.op == "custom":  # one number for each of its operands', as a primitive
            return self.make(value.op, operands, union(o.axes for o in operands), value.kind, value.attr)
        return self.make(value.op, operands, value.axes, value.kind, value.attr)


class Input(NamedTuple):
    """An array of a call: its declared shape, what it holds and what it is for."""

    name: str
    shape: tuple[Size, ...] = ()
    kind: str = "real"  # or "int": labels, used as an index
    role: str = "constant"  # "parameter", "data", "labels", "constant"
    default: float | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Return the axes of the array: those of one size are numbered in the order of the dimensions."""
        return tuple(Axis(size, self.shape[:k].count(size)) for k, size in enumerate(self.shape))


class Requirement(NamedTuple):
    """A whole number that must not be negative at run time, the message if it is, and the outputs that need it too."""

    size: Size
    message: str
    outputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Graph:
    """A program: outputs by name, over a builder's values.

    ``outputs["value"]`` is the objective; ``outputs["dW"]`` is the gradient of the parameter W, once there is one.
    """

    builder: Builder
    inputs: dict[str, Input]
    outputs: dict[str, Value]
    names: dict[Value, str] = field(default_factory=dict)  # definitions, by the user's names
    letters: dict[Axis, str] = field(default_factory=dict)  # the user's letter of each axis
    requirements: tuple[Requirement, ...] = ()
    objective: str = ""  # the mathematics, as text
    loss: str = "loss"  # what the objective is called in a text
    wrt: tuple[str, ...] = ()
    sample: Axis | None = None  # the axis over which the objective is a sum, if it is one
    axes: dict[str, tuple[Axis, ...]] = field(default_factory=dict)  # of an output, where the user orders them
    cotangents: dict[Value, Value] = field(default_factory=dict)  # a cotangent -> the value whose derivative it is
    known: Mapping[str, int] = field(default_factory=dict)  # the named sizes of all calls for which this is planned
    few: bool = False  # whether samples are so few in all these calls that what there is for pairs may be kept
    picked: bool = False  # whether loops stream over that of which samples pick elements: nodes and not edges
    wide: bool = False  # whether loops stream along the rows of data, which are longer than there are rows

    def output_axes(self, name: str) -> tuple[Axis, ...]:
        """Return the axes in which an output is delivered: a gradient has those of its parameter, in their order.

        The value of a gradient may lack some of them (it is the same all along them) or have them in another order.
        """
        if name in self.axes:
            return self.axes[name]
        parameter = name[1:] if name.startswith("d") and name[1:] in self.wrt else ""
        return self.inputs[parameter].axes if parameter else self.outputs[name].axes

    def length(self, size: Size) -> int | None:
        """Return the number that a size is; None if only a call tells."""
        return size.evaluate(self.known) if all(name in self.known for name, _ in size.terms) else None

    def order(self, roots: Iterable[Value] | None = None) -> list[Value]:
        """Return every value that the outputs (or `roots`) need, operands first."""
        return list(self._order) if roots is None else reachable(roots)

    @cached_property
    def _order(self) -> list[Value]:
        return reachable(self.outputs.values())

    def letter(self, axis: Axis) -> str:
        """Return the letter of an axis: the user's, or one made from its size."""
        return self.letters.get(axis) or f"i{axis.number}"

    def rewrite(self, rule: Callable[[Value, tuple[Value, ...]], Value | None]) -> Graph:
        """Return the graph with `rule` applied to every value, operands first.

        `rule` gets the old value and its new operands; None means: the same operation on the new operands.
        """
        new: dict[Value, Value] = {}
        for value in self.order():
            operands = _in_place(value, tuple([new[o] for o in value.operands]))
            result = rule(value, operands)
            if result is None:
                result = value if operands == value.operands else self.builder.rebuild(value, operands)
            new[value] = result
            if result.origin is None:
                result.origin = value.origin
        names = {new[value]: name for value, name in self.names.items() if value in new}
        cotangents = {new[c]: new[v] for c, v in self.cotangents.items() if c in new and v in new}
        outputs = {name: new[v] for name, v in self.outputs.items()}
        return replace(self, outputs=outputs, names=names, cotangents=cotangents)

    def __str__(self) -> str:
        """Return a listing of the values, one a line, with the user's letters and names."""
        lines = [f"{name}: {i.kind}[{', '.join(map(str, i.shape))}]  # {i.role}" for name, i in self.inputs.items()]
        for value in self.order():
            axes = ", ".join(map(self.letter, value.axes))
            attr = "" if value.attr is None else f" {self._attr(value)}"
            operands = ", ".join(f"%{o.number}" for o in value.operands)
            name = f"  # {self.names[value]}" if value in self.names else ""
            lines.append(f"%{value.number}[{axes}] = {value.op}{attr}({operands}){name}")
        return "\n".join([*lines, *(f"{name} -> %{value.number}" for name, value in self.outputs.items())])

    def _attr(self, value: Value) -> str:
        if isinstance(value.attr, tuple):
            return ",".join(self.letter(a) if isinstance(a, Axis) else str(a) for a in value.attr)
        return self.letter(value.attr) if isinstance(value.attr, Axis) else str(value.attr)


def _in_place(value: Value, operands: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return new operands with each index of a read at its own axis: a simpler array may have them in another order."""
    if value.op != "read" or operands[0].axes == value.operands[0].axes:
        return operands
    index = dict(zip(value.operands[0].axes, operands[1:], strict=True))
    return operands[0], *(index[a] for a in operands[0].axes)


def fresh_axis(axis: Axis, taken: Container[Axis]) -> Axis:
    """Return an axis of the same size that is not taken: the one with the smallest number."""
    number = 0
    while Axis(axis.size, number) in taken:
        number += 1
    return Axis(axis.size, number)


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return `name`, or the first of ``name1, name2, ...`` that nothing bears."""
    taken, number = set(taken), 0
    while (candidate := f"{name}{number or ''}") in taken:
        number += 1
    return candidate


def reachable(roots: Iterable[Value]) -> list[Value]:
    """Return the values that `roots` are made of, operands first, without recursion."""
    stack, seen = list(roots), set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            stack.extend(value.operands)
    return sorted(seen, key=lambda v: v.number)


def free_axes(values: Iterable[Value]) -> Iterator[Axis]:
    """Yield every axis that any value has, once."""
    yield from dict.fromkeys(axis for value in values for axis in value.axes)


def only_indices(values: list[Value]) -> set[Value]:
    """Return the whole numbers among values that these use as indices and as nothing else.

    A compiled kernel that knows them to be unsigned need not ask whether they count from the end.
    """
    found = {v for v in values if v.kind == "int" and v.op in ("input", "read")}
    for value in values:
        places = 1 if value.op in ("read", "accumulate") else len(value.operands)
        found.difference_update(value.operands[:places])
    return found
