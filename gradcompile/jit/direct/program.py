"""An emitted module as modules of LLVM: the functions that are called, each for the types that it is called with."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gradcompile.jit.direct import boundary, seldom
from gradcompile.jit.direct.body import AgainError, Body, Types, returned_kind
from gradcompile.jit.direct.kinds import F32, F64, Array, Function, Lengths, Type, UntranslatableError, held
from gradcompile.jit.direct.matrices import WORKING
from gradcompile.jit.direct.sharing import Definition, is_long, shared_out
from gradcompile.jit.direct.syntax import spelled
from gradcompile.jit.direct.text import parsed
from gradcompile.jit.direct.variants import by_instruction
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.late import PREFIX
from gradcompile.jit.linking import BLAS, BY_STRIDES, LAPACK, THEIRS
from gradcompile.vecmath import SELDOM

APART = " noinline"  # linear algebra is compiled once for all that call it


class Module(NamedTuple):
    """A module of LLVM.

    Attributes
    ----------
    text : str
        What is in it.
    common : bool
        Whether other programs have the same one.
    """

    text: str
    common: bool


class Program:
    """A module in the making.

    Parameters
    ----------
    source : str
        The emitted text.

    Attributes
    ----------
    text : Text
        The same, ready to be translated.
    around : Surroundings
        What its functions have in common.
    """

    def __init__(self, source: str) -> None:
        self.text = parsed(source)
        self._known: tuple[str, Mapping[str, Lengths]] = "", {}  # a function, and the lengths of its arguments
        self.around = Surroundings()
        self._functions: dict[tuple[str, tuple[Type, ...]], Function] = {}
        self._counts = Counter[str]()
        self._definitions: list[Definition] = []

    def arguments(self, node: ast.Call) -> list[ast.expr]:
        """Return all arguments of a call of a function of the module."""
        name = spelled(node.func)
        if node.keywords or name not in self.text.nodes:
            raise UntranslatableError(f"a call of {name}")
        every = self.text.nodes[name].args
        missing = len(every.args) - len(node.args)
        return [*node.args, *every.defaults[len(every.defaults) - missing :]] if missing else node.args

    def lengths(self, node: ast.FunctionDef) -> Mapping[str, Lengths]:
        """Return the arguments of a function whose lengths are known; a part of one has its names for them."""
        function, lengths = self._known
        return self.text.part(node).known(lengths if node.name.partition(".")[0] == function else {})

    def function(self, name: str, types: Sequence[Type]) -> Function:
        """Return a function for arguments of these types, translated now if it has not been."""
        key = name, tuple(types)
        if key not in self._functions:
            self._functions[key] = by_instruction(name, types, self.around) or self._written(name, key[1])
        return self._functions[key]

    def _written(self, name: str, types: tuple[Type, ...]) -> Function:
        self._counts[name] += 1
        symbol = f"{name}.{self._counts[name]}"  # the same in every program that calls it, so that its code is
        return self._translated(symbol, self.text.prepared(name), types)

    def _translated(self, symbol: str, node: ast.FunctionDef, types: tuple[Type, ...]) -> Function:
        options, found = Options.of(node), Types()
        while True:  # each time, a type is found to be wider, which ends
            try:
                writer = Writer(options.flags, self.around, counts=not options.inline)
                body = Body(self, node, types, found, writer)
                lines = body.lines()
                break
            except AgainError:
                continue
        function = Function(symbol, types, body.result, found.fails, options.nogil)
        arguments = zip(node.args.args, types, strict=True)
        given = [f"{_argument(h)} %{a.arg}.{k}" for a, each in arguments for k, h in enumerate(held(each))]
        head = f"{returned_kind(body.result, found.fails)} @{symbol}({', '.join(given)}) nounwind{self.text.width}"
        arrays = any(isinstance(each, Array) for each in types)
        inline = " alwaysinline" if options.inline else ""
        apart = is_long(lines) and arrays and node.name not in THEIRS
        common = BLAS if apart and node.name in BY_STRIDES else ""
        if node.name in self.text.algebra:
            inline, apart, common = APART, True, "" if node.name in WORKING else LAPACK
        counts = SELDOM.get(node.name) if types[:1] and types[0] in (F32, F64) else None
        inline = seldom.APART if counts else inline
        self._definitions.append(Definition(symbol, head + inline, lines, apart, common))
        if not counts:
            return function
        function, definitions = seldom.asked(function, self.around, *counts)
        self._definitions += definitions
        return function

    def outside(self) -> list[str]:
        """Return the functions outside that are called, but those of LLVM and of `late`."""
        found = (re.match(r"declare .*?@([^(]+)", each) for each in self.around.declared)
        return [each[1] for each in found if each and not each[1].startswith(("llvm.", PREFIX))]

    def modules(self, name: str, types: Sequence[Type], lengths: Sequence[Lengths] = ()) -> list[Module]:
        """Return modules, with `boundary.ENTRY` for Python to call a function with arguments of these types.

        In that function an array has the lengths that are known of it, argument by argument.
        """
        if lengths:
            given = (each.arg for each in self.text.nodes[name].args.args)
            self._known = name, dict(zip(given, lengths, strict=True))
        self._definitions.append(boundary.entry(Writer("", self.around), self.function(name, types)))
        return [Module(self.around.module(each.texts), each.common) for each in shared_out(self._definitions)]

    def text_with(self, *entries: str) -> str:
        """Return one module, with functions that call those that have been translated."""
        return self.around.module([*(each.text for each in self._definitions), *entries])


def _argument(kind: str) -> str:
    """Return the type of an argument: what a function writes to is never read by another name in it."""
    return "ptr noalias" if kind == "ptr" else kind


class Options(NamedTuple):
    """What the decorator of a function says."""

    flags: str
    inline: bool
    nogil: bool

    @classmethod
    def of(cls, node: ast.FunctionDef) -> Options:
        """Return what the decorator of a function says."""
        for each in node.decorator_list:
            if isinstance(each, ast.Call) and spelled(each.func) == "njit":
                given = {k.arg: ast.literal_eval(k.value) for k in each.keywords}
                fast = given.pop("fastmath", None) or ()
                if given.pop("error_model", None) != "numpy" or given.keys() - {"forceinline", "nogil"}:
                    break
                flags = "".join(f" {flag}" for flag in sorted(fast))
                return cls(flags, bool(given.get("forceinline")), bool(given.get("nogil")))
        raise UntranslatableError(f"{node.name} is not compiled")
