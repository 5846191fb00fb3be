"""Functions of vectors, made of functions of numbers: each number of a vector is taken in turn."""

from __future__ import annotations

from gradcompile.jit.direct.body import returned_kind
from gradcompile.jit.direct.kinds import Function, held, vector
from gradcompile.jit.direct.writer import Writer


def returned_vectors(function: Function, lanes: int) -> str:
    """Return the type of what a function returns, of vectors."""
    kinds = [vector(each, lanes) for each in held(function.result)]
    return kinds[0] if len(kinds) == 1 else f"{{ {', '.join(kinds)} }}"


def numbered(function: Function, lanes: int = 0) -> list[str]:
    """Return the arguments of a function of numbers, or of vectors, ``%x0`` and so on, with their types."""
    kinds = [held(each)[0] for each in function.types]
    return [f"{vector(kind, lanes) if lanes else kind} %x{k}" for k, kind in enumerate(kinds)]


def one_by_one(writer: Writer, function: Function, lanes: int, wanted: str) -> None:
    """Write what calls a function for each number of its arguments, and returns vectors of the results.

    Parameters
    ----------
    writer : Writer
        The text of a function of vectors, whose arguments are as `numbered` says.
    function : Function
        Of numbers.
    lanes : int
        How many numbers a vector has.
    wanted : str
        What LLVM is told of the loop over them.
    """
    new, do = writer.new, writer.do
    kinds = [held(each)[0] for each in function.types], held(function.result)
    given, found = ([writer.place(vector(kind, lanes)) for kind in each] for each in kinds)
    lane, (test, loop, after) = writer.place("i64"), (writer.label() for _ in range(3))
    for argument, place in zip(numbered(function, lanes), given, strict=True):
        do(f"store {argument}, ptr {place}")
    do(f"store i64 0, ptr {lane}")
    writer.jump(test)
    writer.begin(test)
    now = new(f"load i64, ptr {lane}")
    writer.branch(new(f"icmp ult i64 {now}, {lanes}"), loop, after)
    writer.begin(loop)
    of, to = (
        [(kind, new(f"getelementptr {kind}, ptr {place}, i64 {now}")) for kind, place in zip(*each, strict=True)]
        for each in zip(kinds, (given, found), strict=True)
    )
    numbers = ", ".join(f"{kind} {new(f'load {kind}, ptr {place}')}" for kind, place in of)
    whole = returned_kind(function.result, function.fails)
    result = new(f"call {whole} @{function.symbol}({numbers})")
    for k, (kind, place) in enumerate(to):
        number = result if len(to) == 1 else new(f"extractvalue {whole} {result}, {k}")
        do(f"store {kind} {number}, ptr {place}")
    do(f"store i64 {new(f'add nuw nsw i64 {now}, 1')}, ptr {lane}")
    writer.again(test, wanted)
    writer.begin(after)
    made, several = "poison", returned_vectors(function, lanes)
    for k, (kind, place) in enumerate(zip(kinds[1], found, strict=True)):
        each = new(f"load {vector(kind, lanes)}, ptr {place}")
        made = each if len(to) == 1 else new(f"insertvalue {several} {made}, {vector(kind, lanes)} {each}, {k}")
    do(f"ret {several} {made}")
