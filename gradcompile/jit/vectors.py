"""The elementary functions of packs: each is one of `gradcompile.vecmath`, of `LANES` numbers at once.

The text that emitted modules have of it is translated as a function of one number, and LLVM makes vectors of the loop
that calls it. The machine code is kept from one program to the next.
"""

from __future__ import annotations

from functools import cache

from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit.direct.kinds import F64
from gradcompile.jit.direct.lanes import numbered, one_by_one, returned_vectors
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.writer import Writer
from gradcompile.jit.library import PAIR
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.jit.objects import kept, machine_codes, optimised
from gradcompile.jit.packs import LANES, PACK

LEVEL = 3  # of LLVM's optimisation
FUNCTIONS = {row: names[0] for row, names in vecmath.VECTOR.items()} | {PAIR: "vsincos"}
WIDENED = ", ".join((
    '!{!"llvm.loop.vectorize.enable", i1 true}',
    f'!{{!"llvm.loop.vectorize.width", i32 {LANES}}}',
    '!{!"llvm.loop.interleave.count", i32 1}',
    '!{!"llvm.loop.unroll.disable"}',  # it would come before
))  # fmt: skip


@cache
def vector_code(row: str) -> bytes:
    """Return the object file of the function ``row.pack``.

    Parameters
    ----------
    row : str
        Of `vecmath.VECTOR`, or `PAIR`.
    """
    file = f"{digest(module(row), [*versions(), *processor()])}.vector"
    [code] = kept(file, lambda: (0, machine_codes([module(row)], LEVEL, optimised)))[1]
    return code


@cache
def module(row: str) -> str:
    """Return the function ``row.pack`` in LLVM: of vectors, and it returns as many as it has results."""
    name = FUNCTIONS[row]
    program = Program("\n\n".join(support.source("numba", each) for each in support.closure("numba", [name])))
    function, writer = program.function(name, [F64] * vecmath.ARITY.get(row, 1)), Writer("", program.around)
    one_by_one(writer, function, LANES, WIDENED)
    head = f"{returned_vectors(function, LANES)} @{row}{PACK}({', '.join(numbered(function, LANES))})"
    return program.text_with("\n".join([f"define {head} nounwind {{", *writer.lines(), "}"]))
