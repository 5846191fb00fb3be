"""The elementary functions of packs: each is one of `gradcompile.vecmath`, of `LANES` numbers at once.

The text that emitted modules have of it is translated as a function of one number, and LLVM makes vectors of the loop
that calls it. The machine code is kept from one program to the next.
"""

from __future__ import annotations

from functools import cache

from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit.direct.body import returned_kind
from gradcompile.jit.direct.kinds import F64, Function, bits_of, held
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.writer import Writer
from gradcompile.jit.library import PAIR
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.jit.objects import kept, machine_codes, optimised
from gradcompile.jit.packs import LANES, PACK
from gradcompile.jit.translation import VECTOR, returned

LEVEL = 3  # of LLVM's optimisation
FUNCTIONS = {row: names[0] for row, names in vecmath.VECTOR.items()} | {PAIR: "vsincos"}
NEAR = {row: names[0] for row, names in vecmath.NEAR.items()} | {PAIR: "vsincosnear"}
FAR = 1e8  # beyond, what is in NEAR is nan
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
    names = [FUNCTIONS[row], *([NEAR[row]] if row in NEAR else [])]
    program = Program("\n\n".join(support.source("numba", name) for name in support.closure("numba", names)))
    functions = [program.function(name, [F64] * vecmath.ARITY.get(row, 1)) for name in names]
    if row not in NEAR:
        return program.text_with(_loop(program, row, functions[0], f"@{row}{PACK}"))
    anywhere, near = (f"@{name}{PACK}" for name in names)
    loops = [_loop(program, row, *each) for each in zip(functions, (anywhere, near), strict=True)]
    return program.text_with(*loops, _chosen(program, row, anywhere, near))


def _loop(program: Program, row: str, function: Function, name: str) -> str:
    """Return a function of vectors: a loop over their numbers, of which LLVM makes one step."""
    writer = Writer("", program.around)
    new, do = writer.new, writer.do
    given, found = ([writer.place(VECTOR) for _ in each] for each in (function.types, held(function.result)))
    lane, (test, loop, after) = writer.place("i64"), (writer.label() for _ in range(3))
    for k, place in enumerate(given):
        do(f"store {VECTOR} %x{k}, ptr {place}")
    do(f"store i64 0, ptr {lane}")
    writer.jump(test)
    writer.begin(test)
    now = new(f"load i64, ptr {lane}")
    writer.branch(new(f"icmp ult i64 {now}, {LANES}"), loop, after)
    writer.begin(loop)
    at = [[new(f"getelementptr double, ptr {place}, i64 {now}") for place in each] for each in (given, found)]
    numbers = ", ".join(f"double {new(f'load double, ptr {each}')}" for each in at[0])
    kind = returned_kind(function.result, function.fails)
    result = new(f"call {kind} @{function.symbol}({numbers})")
    for k, each in enumerate(at[1]):
        number = result if len(found) == 1 else new(f"extractvalue {kind} {result}, {k}")
        do(f"store double {number}, ptr {each}")
    do(f"store i64 {new(f'add nuw nsw i64 {now}, 1')}, ptr {lane}")
    writer.again(test, WIDENED)
    writer.begin(after)
    made = "poison"
    for k, place in enumerate(found):
        vector = new(f"load {VECTOR}, ptr {place}")
        made = vector if len(found) == 1 else new(f"insertvalue {returned(row)} {made}, {VECTOR} {vector}, {k}")
    do(f"ret {returned(row)} {made}")
    return _defined(writer, row, name, len(given))


def _chosen(program: Program, row: str, anywhere: str, near: str) -> str:
    """Return a function that does with little work where all numbers are near."""
    writer = Writer("", program.around)
    size = writer.called(VECTOR, f"llvm.fabs.v{LANES}f64", [f"{VECTOR} %x0"])
    bound = ", ".join([f"double {bits_of(FAR)}"] * LANES)
    beyond = writer.new(f"fcmp ogt {VECTOR} {size}, <{bound}>")
    some = writer.called("i1", f"llvm.vector.reduce.or.v{LANES}i1", [f"<{LANES} x i1> {beyond}"])
    labels = writer.label(), writer.label()
    writer.branch(some, *labels)
    for label, name, trait in zip(labels, (anywhere, near), ("noinline", "alwaysinline"), strict=True):
        writer.begin(label)
        writer.do(f"ret {returned(row)} {writer.new(f'call {returned(row)} {name}({VECTOR} %x0) {trait}')}")
    return _defined(writer, row, f"@{row}{PACK}", 1)


def _defined(writer: Writer, row: str, name: str, arity: int) -> str:
    """Return a function of vectors with what has been written."""
    given = ", ".join(f"{VECTOR} %x{k}" for k in range(arity))
    linkage = "" if name == f"@{row}{PACK}" else "internal "
    head = f"define {linkage}{returned(row)} {name}({given}) nounwind {{"
    return "\n".join([head, *writer.lines(), "}"])
