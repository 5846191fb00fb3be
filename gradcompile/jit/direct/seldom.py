"""Functions that seldom count: computed only where a number needs them, in vectors, too.

Vector code has no branches: `vturn` reduces an angle both as one that is near and as one that is far, and chooses. The
far way takes two thirds of the time, for angles that hardly any model has. So such a function (`vecmath.SELDOM`) is
called by way of others, one for each number that it returns, that ask first whether it counts, and LLVM is told of
further ones that ask so of a vector. Those it calls in a loop that becomes vectors, and in the end they are written out
there: see `objects.optimised`.

What does not count is 0 in place of the function's result, and is not chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcompile.jit.direct.body import returned_kind
from gradcompile.jit.direct.kinds import Function, Several, bits_of, held, vector
from gradcompile.jit.direct.lanes import numbered, one_by_one
from gradcompile.jit.direct.sharing import Definition
from gradcompile.jit.direct.variants import instead
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.objects import singles

TRAITS = "nounwind willreturn memory(none)"
APART = " noinline cold willreturn memory(none)"  # of what does count
ONE_BY_ONE = '!{!"llvm.loop.vectorize.enable", i1 false}, !{!"llvm.loop.unroll.disable"}'
RELATIONS = {"<": "olt", ">": "ogt"}  # LLVM's, and nan counts in neither


def asked(function: Function, around: Surroundings, relation: str, bound: float) -> tuple[Function, list[Definition]]:
    """Return a function that is computed only where it counts, and what is defined for it.

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
    condition = f"fcmp {RELATIONS[relation]}", f"{held(function.types[0])[0]} {bits_of(bound)}"
    results = function.result.items if isinstance(function.result, Several) else (function.result,)
    parts = [function._replace(symbol=f"{function.symbol}.{k}", result=each) for k, each in enumerate(results)]
    definitions = [_Part(function, k, each, around, *condition).definition() for k, each in enumerate(parts)]
    whole = function._replace(symbol=f"{function.symbol}.asked")
    return whole, [*definitions, _together(whole, parts, around)]


def _together(whole: Function, parts: Sequence[Function], around: Surroundings) -> Definition:
    """Return the definition of a function whose results are those of several."""
    writer, kind, arguments = Writer("", around), _kind(whole), ", ".join(numbered(whole))
    results = [f"{_kind(each)} {writer.new(f'call {_kind(each)} @{each.symbol}({arguments})')}" for each in parts]
    made = f"{kind} poison"
    for k, each in enumerate(results):
        made = each if len(results) == 1 else f"{kind} {writer.new(f'insertvalue {made}, {each}, {k}')}"
    writer.do(f"ret {made}")
    return Definition(
        whole.symbol, f"{kind} @{whole.symbol}({arguments}) nounwind alwaysinline", writer.lines(), apart=False
    )


def _kind(function: Function) -> str:
    return returned_kind(function.result, fails=False)


class _Part:
    """A function that returns one of the results of another, or 0 where that does not count.

    Parameters
    ----------
    whole : Function
        The other.
    number : int
        Which result.
    function : Function
        What is defined.
    around : Surroundings
        What the module has for all of its functions.
    test, bound : str
        How LLVM compares the first argument, and with what.
    """

    def __init__(
        self, whole: Function, number: int, function: Function, around: Surroundings, test: str, bound: str
    ) -> None:
        self.whole, self.number, self.function = whole, number, function
        self.around, self.test, self.bound = around, test, bound

    def definition(self) -> Definition:
        """Return the definition of the function of numbers, with those of vectors beside it."""
        symbol, whole, kind = self.function.symbol, _kind(self.whole), _kind(self.function)
        arguments = numbered(self.function)
        writer = Writer("", self.around)
        _leave_unless(writer, writer.new(f"{self.test} {arguments[0]}, {self.bound.split()[1]}"), kind)
        found = writer.new(f"call {whole} @{self.whole.symbol}({', '.join(arguments)})")
        if whole != kind:
            found = writer.new(f"extractvalue {whole} {found}, {self.number}")
        writer.do(f"ret {kind} {found}")
        sizes = [lanes for lanes in (singles() // 4, singles() // 2, singles()) if lanes > 1]  # of registers, and half
        told = instead(symbol, "v" * len(arguments), {lanes: f"{symbol}.v{lanes}" for lanes in sizes})
        head = f"{kind} @{symbol}({', '.join(arguments)}) noinline {TRAITS}{told}"
        beside = "\n".join(map(self._of_vectors, sizes))
        return Definition(symbol, head, writer.lines(), apart=False, beside=beside)

    def _of_vectors(self, lanes: int) -> str:
        """Return the function of vectors: if any number counts, all are taken one by one."""
        symbol, kind = self.function.symbol, vector(_kind(self.function), lanes)
        arguments = numbered(self.function, lanes)
        slow = f"{kind} @{symbol}.each{lanes}({', '.join(arguments)})"
        each, asking = Writer("", self.around), Writer("", self.around)
        one_by_one(each, self.function, lanes, ONE_BY_ONE)
        counts = asking.new(f"{self.test} {arguments[0]}, <{', '.join([self.bound] * lanes)}>")
        some = asking.called("i1", f"llvm.vector.reduce.or.v{lanes}i1", [f"{vector('i1', lanes)} {counts}"])
        _leave_unless(asking, some, kind)
        asking.do(f"ret {kind} {asking.new(f'call {slow}')}")
        # Nothing calls it yet: if it were internal, it would be gone before a loop becomes vectors.
        head = f"weak_odr hidden {kind} @{symbol}.v{lanes}({', '.join(arguments)}) alwaysinline {TRAITS}"
        texts = (f"define internal {slow} nounwind{APART}", each), (f"define {head}", asking)
        return "\n".join(line for head, writer in texts for line in (f"{head} {{", *writer.lines(), "}"))


def _leave_unless(writer: Writer, condition: str, kind: str) -> None:
    """Return 0 where a condition does not hold."""
    holds, other = writer.label(), writer.label()
    writer.branch(condition, holds, other)
    writer.begin(other)
    writer.do(f"ret {kind} zeroinitializer")
    writer.begin(holds)
