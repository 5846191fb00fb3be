"""Functions that seldom count: computed only where a number needs them, in vectors, too.

Vector code has no branches: `vturn` reduces an angle both as one that is near and as one that is far, and chooses. The
far way takes two thirds of the time, for angles that hardly any model has. So such a function (`vecmath.SELDOM`) is
called by way of one that asks first, and LLVM is told of others that ask whether any number of a vector counts. Those
it calls in a loop that becomes vectors, and in the end they are written out there: see `objects.optimised`.

What does not count is 0 in place of the function's result, and is not chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import llvmlite.binding as llvm

from gradcompile.jit.direct.body import returned_kind
from gradcompile.jit.direct.kinds import Function, bits_of, held
from gradcompile.jit.direct.lanes import numbered, one_by_one, returned_vectors, vector
from gradcompile.jit.direct.sharing import Definition
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.objects import singles

KNOWN = llvm.llvm_version_info >= (21,)  # before, loops with calls that have several results did not become vectors
LANES = (2, 4, 8, 16)  # of the vectors that there are of one type or another
TRAITS = "willreturn memory(none)"
APART = f" noinline cold {TRAITS}"  # of what does count
ONE_BY_ONE = '!{!"llvm.loop.vectorize.enable", i1 false}, !{!"llvm.loop.unroll.disable"}'
RELATIONS = {"<": "olt", ">": "ogt"}  # LLVM's, and nan counts in neither


def asked(function: Function, around: Surroundings, relation: str, bound: float) -> tuple[Function, Definition]:
    """Return a function that is computed only where it counts, and its definition, with those for vectors beside it.

    Parameters
    ----------
    function : Function
        Of one number, or several.
    around : Surroundings
        What the module has for all of its functions.
    relation : {"<", ">"}
        How the first number is related to the bound where the function counts.
    bound : float
        The bound.
    """
    symbol, lanes = f"{function.symbol}.asked", [each for each in LANES if each <= singles()]
    kind, test = held(function.types[0])[0], f"fcmp {RELATIONS[relation]}"
    whole, arguments = returned_kind(function.result, fails=False), numbered(function)
    writer = Writer("", around)
    _choice(writer, writer.new(f"{test} {kind} %x0, {bits_of(bound)}"), function, whole, arguments)
    names = ",".join(f"_ZGV_LLVM_N{k}{'v' * len(arguments)}_{symbol}({function.symbol}.v{k})" for k in lanes)
    head = f"{whole} @{symbol}({', '.join(arguments)}) nounwind noinline {TRAITS}"
    head = f'{head} "vector-function-abi-variant"="{names}"'
    beside = "\n".join(_of_vectors(function, around, k, test, f"{kind} {bits_of(bound)}") for k in lanes)
    definition = Definition(symbol, head, writer.lines(), apart=False, beside=beside)
    return function._replace(symbol=symbol), definition


def _of_vectors(function: Function, around: Surroundings, lanes: int, test: str, bound: str) -> str:
    """Return a function that is computed, one number of a vector after the other, only if any of them counts."""
    whole, arguments = returned_vectors(function, lanes), numbered(function, lanes)
    slow = function._replace(symbol=f"{function.symbol}.each{lanes}")
    writer = Writer("", around)
    one_by_one(writer, function, lanes, ONE_BY_ONE)
    texts = [_defined("internal", f"{whole} @{slow.symbol}({', '.join(arguments)}) nounwind{APART}", writer.lines())]
    writer = Writer("", around)
    counts = writer.new(f"{test} {arguments[0]}, <{', '.join([bound] * lanes)}>")
    some = writer.called("i1", f"llvm.vector.reduce.or.v{lanes}i1", [f"{vector('i1', lanes)} {counts}"])
    _choice(writer, some, slow, whole, arguments)
    # Nothing calls it yet: if it were internal, it would be gone before a loop becomes vectors.
    head = f"{whole} @{function.symbol}.v{lanes}({', '.join(arguments)}) nounwind alwaysinline {TRAITS}"
    return "\n".join([*texts, _defined("weak_odr hidden", head, writer.lines())])


def _choice(writer: Writer, condition: str, function: Function, kind: str, arguments: Sequence[str]) -> None:
    """Write what returns a function's result where a condition holds, else 0."""
    before, counts, after = writer.block, writer.label(), writer.label()
    writer.branch(condition, counts, after)
    writer.begin(counts)
    found = writer.new(f"call {kind} @{function.symbol}({', '.join(arguments)})")
    writer.jump(after)
    writer.begin(after)
    result = writer.new(f"phi {kind} [ {found}, %{counts} ], [ zeroinitializer, %{before} ]")
    writer.do(f"ret {kind} {result}")


def _defined(linkage: str, head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"define {linkage} {head} {{", *lines, "}"])
