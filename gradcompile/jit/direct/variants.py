"""Calls that LLVM may make for vectors of numbers at once: it is told which function does so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradcompile.jit.direct.kinds import F32, F64, Scalar, Type, Vectors, vector
from gradcompile.jit.direct.writer import Writer
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
