"""What a name of an emitted function stands for: a number, an array or several of these, and what LLVM holds of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

Lengths = Sequence[int | None]  # of the axes of an array, as far as they are known


class UntranslatableError(Exception):
    """The text holds something that is not translated: Numba has to compile it."""


class Scalar(NamedTuple):
    """A number.

    Parameters
    ----------
    name : str
        NumPy's name of the type.
    llvm : str
        LLVM's name.
    width : int
        Bytes in memory.
    number : int
        NumPy's number of the type.
    """

    name: str
    llvm: str
    width: int
    number: int

    @property
    def real(self) -> bool:
        """Whether it is a floating-point number."""
        return self.name.startswith("float")


F64 = Scalar("float64", "double", 8, 12)
F32 = Scalar("float32", "float", 4, 11)
I64 = Scalar("int64", "i64", 8, 7)
I32 = Scalar("int32", "i32", 4, 5)
U64 = Scalar("uint64", "i64", 8, 8)
U32 = Scalar("uint32", "i32", 4, 6)
BIT = Scalar("bool", "i1", 1, 0)
SCALARS = {each.name: each for each in (F64, F32, I64, I32, U64, U32, BIT)} | {"bool_": BIT}
WHOLE = (I64, I32, U32, BIT)  # what arithmetic makes an int64 of


class Array(NamedTuple):
    """An array of numbers.

    Parameters
    ----------
    dtype : Scalar
        Of its elements.
    rank : int
        How many axes it has.
    dense : bool
        Whether its elements lie one after another in C order; else it has a stride for each axis, in elements.
    """

    dtype: Scalar
    rank: int
    dense: bool = True


class Several(NamedTuple):
    """A tuple."""

    items: tuple[Type, ...]


class Kind(NamedTuple):
    """A type, as in ``np.empty(n, np.float32)``."""

    scalar: Scalar


Type = Scalar | Array | Several | Kind


class Value(NamedTuple):
    """What an expression is.

    Parameters
    ----------
    type : Type
        Its type.
    parts : tuple of str
        What LLVM holds of it: a number; the address, the lengths and, unless it is dense, the strides of an array; one
        after another what a tuple is made of.
    literal : int or float, optional
        The number, where it is written in the text.
    owner : str, optional
        The place that keeps the memory of an array that starts where the memory does.
    members : tuple of Value
        What a tuple has just been made of.
    """

    type: Type
    parts: tuple[str, ...]
    literal: float | None = None
    owner: str | None = None
    members: tuple[Value, ...] = ()

    @property
    def text(self) -> str:
        """A number, as LLVM holds it."""
        if not isinstance(self.type, Scalar):
            raise UntranslatableError("an array where a number is needed")
        return self.parts[0]

    @property
    def scalar(self) -> Scalar:
        """The type of a number."""
        if not isinstance(self.type, Scalar):
            raise UntranslatableError("an array where a number is needed")
        return self.type

    @property
    def array(self) -> Array:
        """The type of an array."""
        if not isinstance(self.type, Array):
            raise UntranslatableError("a number where an array is needed")
        return self.type

    @property
    def address(self) -> str:
        """Where an array begins."""
        return self.parts[0]

    @property
    def lengths(self) -> tuple[str, ...]:
        """The lengths of an array."""
        return self.parts[1 : 1 + self.array.rank]

    @property
    def strides(self) -> tuple[str, ...]:
        """The strides of an array that is not dense, in elements."""
        return self.parts[1 + self.array.rank :]

    def items(self) -> list[Value]:
        """Return what a tuple is made of."""
        if not isinstance(self.type, Several):
            raise UntranslatableError("something else where a tuple is needed")
        if self.members:
            return list(self.members)
        found, first = [], 0
        for each in self.type.items:
            last = first + len(held(each))
            found.append(Value(each, self.parts[first:last]))
            first = last
        return found


class Function(NamedTuple):
    """A function for the types of its arguments.

    Attributes
    ----------
    symbol : str
        Its name in LLVM.
    types : tuple of Type
        Of its arguments.
    result : Type
        Of what it returns.
    fails : bool
        Whether it returns, before its result, if there was memory, and an inverse of each matrix.
    nogil : bool
        Whether other threads of Python may run meanwhile.
    """

    symbol: str
    types: tuple[Type, ...]
    result: Type
    fails: bool
    nogil: bool


class Vectors(NamedTuple):
    """An elementary function of vectors; `vectors` has its code.

    Attributes
    ----------
    row : str
        Of `vecmath.VECTOR`, or `PAIR`.
    kind : Scalar
        Of the numbers.
    lanes : int
        How many numbers a vector has.
    """

    row: str
    kind: Scalar
    lanes: int

    @property
    def symbol(self) -> str:
        """Its name in LLVM."""
        return f"{self.row}.{self.kind.name}x{self.lanes}"


def vector(kind: str, lanes: int) -> str:
    """Return the type in LLVM of a vector of so many numbers of a type."""
    return f"<{lanes} x {kind}>"


def held(type: Type) -> tuple[str, ...]:
    """Return the types of LLVM that a value is made of."""
    if isinstance(type, Scalar):
        return (type.llvm,)
    if isinstance(type, Array):
        return "ptr", *["i64"] * (type.rank if type.dense else 2 * type.rank)
    return tuple(part for each in type.items for part in held(each)) if isinstance(type, Several) else ()


def several(values: list[Value]) -> Value:
    """Return a tuple of values."""
    parts = tuple(part for v in values for part in v.parts)
    return Value(Several(tuple(v.type for v in values)), parts, members=tuple(values))


def common(first: Scalar, second: Scalar) -> Scalar:
    """Return the type of arithmetic on two numbers, as Numba has it."""
    if first == second and (first.real or first == U64):
        return first
    if first in WHOLE and second in WHOLE:
        return I64
    if U64 in (first, second) and not (first.real or second.real):
        raise UntranslatableError("arithmetic on numbers with a sign and without")  # which Numba makes float64 of
    return F64


def merged(first: Type, second: Type) -> Type:
    """Return the type of a name that is assigned values of two types."""
    if first == second:
        return first
    if isinstance(first, Scalar) and isinstance(second, Scalar):
        return common(first, second)
    if isinstance(first, Several) and isinstance(second, Several) and len(first.items) == len(second.items):
        return Several(tuple(merged(a, b) for a, b in zip(first.items, second.items, strict=True)))
    if isinstance(first, Array) and isinstance(second, Array) and (first.dtype, first.rank) == (
        second.dtype, second.rank,
    ):  # fmt: skip
        return Array(first.dtype, first.rank, dense=False)
    raise UntranslatableError("one name for different things")


def literal(number: float) -> Value:
    """Return a number that is written in the text."""
    if isinstance(number, bool):
        return Value(BIT, (str(number).lower(),), number)
    if isinstance(number, int):
        if not -(2**63) <= number < 2**64:
            raise UntranslatableError("an integer of more than 64 bits")
        return Value(I64 if number < 2**63 else U64, (str(number),), number)
    return Value(F64, (bits_of(number),), number)


def bits_of(number: float) -> str:
    """Return a double by its bits: LLVM reads no decimals that it would have to round."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"
