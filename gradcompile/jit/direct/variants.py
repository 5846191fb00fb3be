"""Calls that LLVM may make for vectors of numbers at once: it is told which function does so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradcompile.jit.direct.kinds import F32, F64, Function, Scalar, Type, Vectors, vector
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.instructions import GROWN, has_instructions
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
    return instead(symbol, len(types), {vectors.lanes: vectors.symbol})


def instead(symbol: str, arity: int, vectors: Mapping[int, str]) -> str:
    """Return how LLVM is told of functions of vectors, by the length of these, for one of so many numbers."""
    names = ",".join(f"_ZGV_LLVM_N{lanes}{'v' * arity}_{symbol}({each})" for lanes, each in vectors.items())
    return f' "vector-function-abi-variant"="{names}"'


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
    kind = types[0] if types else None
    if not has_instructions() or name not in GROWN or not isinstance(kind, Scalar) or {*types} != {kind}:
        return None
    grown = GROWN[name]
    if kind.llvm != grown.kind:
        return None
    told = instead(grown.symbol(), len(types), {lanes: grown.symbol(lanes) for lanes in grown.lanes})
    traits = f"nounwind willreturn memory(none){told}"
    around.declare(f"declare {kind.llvm} @{grown.symbol()}({', '.join([kind.llvm] * len(types))}) {traits}")
    for lanes in grown.lanes:
        of = vector(kind.llvm, lanes)
        around.several[grown.symbol(lanes)] = f"declare {of} @{grown.symbol(lanes)}({', '.join([of] * len(types))}) #0"
    return Function(grown.symbol(), tuple(types), kind, fails=False, nogil=False)
