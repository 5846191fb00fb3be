"""Calls that LLVM may make for vectors of numbers at once: it is told which function does so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradcompile.jit.direct.kinds import F32, F64, Function, Scalar, Type, Value, Vectors, vector
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.late import GROWN, SOON, TRAITS, Late, has_instructions
from gradcompile.jit.objects import singles
from gradcompile.vecmath import VECTOR

APPROXIMATE = " afn"  # what LLVM may do where a function need not be that of the C library
ROWS = {name: row for row, names in VECTOR.items() for name in names}  # of functions that are written out


def told(writer: Writer, row: str, types: Sequence[Type], symbol: str) -> str:
    """Return what is said of a call of an elementary function of numbers, so that LLVM may call that of vectors.

    Parameters
    ----------
    writer : Writer
        The text of what calls it.
    row : str
        Its name in emitted text, without that of a module.
    types : sequence of Type
        Of its arguments.
    symbol : str
        The function of numbers.
    """
    if row not in VECTOR or APPROXIMATE not in writer.flags:
        return ""
    [kind, *others] = dict.fromkeys(types)
    if not isinstance(kind, Scalar) or kind not in (F64, F32) or others:
        return ""
    vectors = Vectors(row, kind, singles() * F32.width // kind.width)
    of = vector(kind.llvm, vectors.lanes)
    writer.around.vectors[vectors] = f"declare {of} @{vectors.symbol}({', '.join([of] * len(types))}) #0"
    return instead(symbol, "v" * len(types), {vectors.lanes: vectors.symbol})


def instead(symbol: str, letters: str, vectors: Mapping[int, str]) -> str:
    """Return how LLVM is told of functions of vectors, by the length of these, with a letter for each argument."""
    names = ",".join(f"_ZGV_LLVM_N{lanes}{letters}_{symbol}({each})" for lanes, each in vectors.items())
    return f' "vector-function-abi-variant"="{names}"'


def declared(late: Late, around: Surroundings) -> str:
    """Declare a function that is written out late, with those of vectors; return its name.

    Parameters
    ----------
    late : Late
        The function.
    around : Surroundings
        What the module has for all of its functions.
    """
    told = instead(late.symbol(), "".join(late.letters), {lanes: late.symbol(lanes) for lanes in late.lanes})
    around.declare(f"declare {late.head()} {TRAITS}{told}")
    around.several |= {late.symbol(lanes): f"declare {late.head(lanes)} #0" for lanes in late.lanes}
    return late.symbol()


def by_instruction(name: str, types: Sequence[Type], around: Surroundings) -> Function | None:
    """Return the function that takes the place of an emitted one, if this processor has an instruction for it.

    Parameters
    ----------
    name : str
        Of the emitted one.
    types : sequence of Type
        Of its arguments.
    around : Surroundings
        What the module has for all of its functions.
    """
    kinds = {each.llvm for each in types if isinstance(each, Scalar)}
    late = GROWN.get((name, kinds.pop())) if len(kinds) == 1 and has_instructions() else None
    return Function(declared(late, around), tuple(types), types[0], fails=False, nogil=False) if late else None


def soon(writer: Writer, element: Value, address: str) -> Value:
    """Return an element that has been read, by way of what asks for one that follows it in memory."""
    late = SOON.get(element.scalar.llvm)
    if late is None:
        return element
    symbol = declared(late, writer.around)
    return Value(element.type, (writer.new(f"call {late.kind} @{symbol}({late.kind} {element.text}, ptr {address})"),))
