"""The elementary functions of `gradcompile.vecmath` for vectors of numbers, as functions that are called.

The text that emitted modules have of one is translated as a function of one number, and LLVM makes vectors of the loop
that calls it. The machine code is kept from one program to the next.

Packs of `jit.packs` are such calls. And where a program has so many of a function that it is not written out each time
(`emit.elements`), LLVM is told that there is one for vectors: a loop that calls the function becomes vectors then, too.
"""

from __future__ import annotations

from functools import cache

from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit.direct.kinds import F32, Vectors
from gradcompile.jit.direct.lanes import numbered, one_by_one, returned_vectors
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.writer import Writer
from gradcompile.jit.library import PAIR
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.jit.objects import kept, machine_codes, optimised

LEVEL = 3  # of LLVM's optimisation
FUNCTIONS = {**vecmath.VECTOR, PAIR: ("vsincos",)}
WIDENED = (
    '!{!"llvm.loop.vectorize.enable", i1 true}',
    '!{!"llvm.loop.interleave.count", i32 1}',
    '!{!"llvm.loop.unroll.disable"}',  # it would come before
)


@cache
def vector_code(vectors: Vectors) -> bytes:
    """Return the object file of a function of vectors."""
    file = f"{digest(module(vectors), [*versions(), *processor()])}.vector"
    [code] = kept(file, lambda: (0, machine_codes([module(vectors)], LEVEL, optimised)))[1]
    return code


@cache
def module(vectors: Vectors) -> str:
    """Return a function of vectors in LLVM; it returns as many as it has results."""
    row, kind, lanes = vectors
    name = FUNCTIONS[row][kind == F32]
    program = Program("\n\n".join(support.source("numba", each) for each in support.closure("numba", [name])))
    function, writer = program.function(name, [kind] * vecmath.ARITY.get(row, 1)), Writer("", program.around)
    one_by_one(writer, function, lanes, ", ".join([*WIDENED, f'!{{!"llvm.loop.vectorize.width", i32 {lanes}}}']))
    head = f"{returned_vectors(function, lanes)} @{vectors.symbol}({', '.join(numbered(function, lanes))})"
    return program.text_with("\n".join([f"define {head} nounwind {{", *writer.lines(), "}"]))
