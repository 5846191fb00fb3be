"""Names: every identifier of an emitted module is allocated here, each once.

A user's name is kept where it is a plain identifier that means nothing else; any other name never reaches the code and
is found only, escaped, in the table at the top of the module. What the compiler names itself is called as in a
lecture: values a, b, c, ...; the objective f; the derivative of the objective with respect to `v` is `dv`.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Iterator
from itertools import count

from gradcompile.errors import EmissionError
from gradcompile.ir import MATRIX_FUNCTIONS, Axis, Graph, Size, Value
from gradcompile.passes.share import is_renaming

SAFE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,29}", re.ASCII)  # 30 columns: three such names fit on a line
MODULE_NAMES = ("math", "np", "numpy", "numba", "njit", "random", "sys", "self")
FUNCTION_NAMES = (
    *("value", "grad", "value_and_grad", "derivatives", "jvp", "vjp", "jacobian", "hvp", "hessian"),
    *("check", "check_products", "draw", "cells", "PROBLEM", "real"),
)
LATER_BUILTINS = ("PythonFinalizationError",)  # so that every version of Python allocates the same names
PYTHON_NAMES = (*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *LATER_BUILTINS)
RESERVED = frozenset((*PYTHON_NAMES, *MODULE_NAMES, *FUNCTION_NAMES))
AMBIGUOUS = frozenset("lIO")  # ruff (E741) takes these for 1 and 0; users' names are kept all the same
LETTERS = "abceghijkmnopqrstuvwxyz"  # not d (the mark of a derivative), f (the objective), l (looks like 1)
OBJECTIVES = ("f", "loss")
OUTPUTS = {"value": "f", "jvp": "df"}
FIXED = "sizes for which this is planned"
OTHERS = "planned for other sizes"
ASKED = 52  # columns of the lengths that one line compares
FEW = 150  # values of a program that get letters: those of longer ones are numbered, v1, v2, ...


def is_safe(name: str) -> bool:
    """Return whether a user's name may stand in code as it is."""
    return SAFE.fullmatch(name) is not None and "__" not in name and name not in RESERVED


class Names:
    """The identifiers of one module; the same graph gets the same ones every time.

    Parameters
    ----------
    graph : Graph
        The program. Its inputs, sizes, axes and definitions are named at once; values when they are first asked for.
    reserved : iterable of str
        Further identifiers that are taken, such as support functions that the module defines.
    many : bool
        Number the values (v1, v2, ...) instead of giving them letters.
    beside : iterable of str
        Users' names of further inputs, which tell no sizes.

    Attributes
    ----------
    inputs, sizes : dict of str to str
        The identifier of each input and of each named size, by the user's name.
    renamed : dict of str to str
        The user's name behind each identifier that differs from it; never to be printed unescaped.
    """

    def __init__(
        self, graph: Graph, reserved: Iterable[str] = (), *, many: bool = False, beside: Iterable[str] = ()
    ) -> None:
        self.graph = graph
        self._taken: set[str] = {*RESERVED, *reserved}
        self._suffixes: dict[str, Iterator[int]] = {}
        self._values: dict[Value, str] = {}
        self._locals: dict[tuple[Value, str, str], str] = {}
        self._words: dict[str, str] = {}
        self._axes: dict[Axis, str] = {}
        self._outputs: dict[str, str] = {}
        self.renamed: dict[str, str] = {}
        self.inputs = {name: self._users(name, "p") for name in dict.fromkeys([*graph.inputs, *beside])}
        sizes = sorted({name for i in graph.inputs.values() for size in i.shape for name, _ in size.terms})
        self.sizes = {name: self._users(name, "n") for name in sizes}
        self._hints = {v: n for v, n in graph.names.items() if v.op != "input"}
        self._wanted = frozenset(self._hints.values())  # the user's names, which some values are given later
        self._reserve_letters()
        self._forward: set[Value] | None = None
        self._letters = self._sequence(many)
        self._objective = graph.outputs.get("value")
        self.many = many
        self._gradients: dict[Value, str] = {}
        self._others: dict[Value, str] = {}  # further outputs that are the value of a line
        matrices = {m for v in graph.order() if v.op in MATRIX_FUNCTIONS for m in (v, *v.operands)}
        for name, value in graph.outputs.items():
            renamed = is_renaming(value) and value.operands[0] not in matrices  # a matrix keeps its own order
            own = value.operands[0] if renamed else value
            if name[1:] in graph.wrt and name[0] == "d":
                self._gradients.setdefault(own, name)
            elif name != "value" and self._stem(name):
                self._others.setdefault(own, name)

    def size(self, size: Size) -> str:
        """Return a size as arithmetic in identifiers: ``N - K + 1``."""
        for name, _ in size.terms:
            if name not in self.sizes:
                self.sizes[name] = self._users(name, "n")
        return str(Size(tuple((self.sizes[n], c) for n, c in size.terms), size.constant))

    def size_lines(self, needed: Iterable[str], target: str) -> Iterator[str]:
        """Yield statements that read the named sizes off the arguments' shapes: ``N, D = x.shape``."""
        known = self.graph.known
        sources = self._sources(name for name in needed if name not in known)
        done = {name for name in (*needed, *sources) if name in known}
        if done:
            fixed = {self.size(Size.of(name)): str(known[name]) for name in sorted(done)}
            yield f"{', '.join(fixed)} = {', '.join(fixed.values())}  # {FIXED}"
        for name, (array, dimension, size) in sources.items():
            shape = self.graph.inputs[array].shape
            alone = [str(s) for s in shape]
            if name in done:
                continue
            several = len(set(alone)) == len(alone) > 1 and done.isdisjoint(alone)
            if target != "python" and several and all(sources.get(n, ("",))[0] == array for n in alone):
                done.update(alone)
                yield f"{', '.join(self.size(s) for s in shape)} = {self.inputs[array]}.shape"
            else:
                yield f"{self.size(Size.of(name))} = {self._solved(name, size, self._length(array, dimension, target))}"

    def planned_lines(self, target: str) -> Iterator[str]:
        """Yield statements that refuse arrays of other sizes than those for which the function is planned."""
        arrays = [given for given in self.graph.inputs.values() if given.kind == "real"]  # labels may be lists
        for name, number in sorted(self.graph.known.items()):
            places = [(each.name, k) for each in arrays for k, size in enumerate(each.shape) if size == Size.of(name)]
            compared = ""
            for array, k in places:
                length = self._length(array, k, target)
                if compared and len(compared) + len(length) > ASKED:
                    yield f'assert {compared}{number}, "{OTHERS}"'
                    compared = ""
                compared += f"{length} == "
            if compared:
                yield f'assert {compared}{number}, "{OTHERS}"'

    def _sources(self, needed: Iterable[str]) -> dict[str, tuple[str, int, Size]]:
        """Return the input, its dimension and the size of that, from which each named size is found.

        Those come first that the size of another is found with, as B for A in ``A + B``.
        """
        told = self._told()
        stack, found = sorted(needed, reverse=True), dict[str, tuple[str, int, Size]]()
        while stack:
            name = stack[-1]
            if name not in told:
                raise EmissionError(f"no argument tells the size {name!r}", hint="give an array that has this size")
            missing = [other for other, _ in told[name][2].terms if other != name and other not in found]
            stack += missing
            if not missing:
                found.setdefault(name, told[name])
                stack.pop()
        return found

    def _told(self) -> dict[str, tuple[str, int, Size]]:
        """Return the same for all sizes: each is found from the shortest sum in which it alone is not found before."""
        inputs = self.graph.inputs.items()
        sums = [(array, k, size) for array, declared in inputs for k, size in enumerate(declared.shape)]
        told: dict[str, tuple[str, int, Size]] = {}
        while True:
            found: dict[str, list[tuple[int, int, tuple[str, int, Size]]]] = {}
            for source in sums:
                unknown = [(name, abs(count)) for name, count in source[2].terms if name not in told]
                if len(unknown) == 1:
                    (name, count), length = unknown[0], len(source[2].terms) + bool(source[2].constant)
                    found.setdefault(name, []).append((length, count, source))
            if not found:
                return told
            told |= {name: min(sources, key=lambda each: each[:2])[2] for name, sources in found.items()}

    def _length(self, array: str, dimension: int, target: str) -> str:
        name = self.inputs[array]
        return f"len({name}{'[0]' * dimension})" if target == "python" else f"{name}.shape[{dimension}]"

    def _solved(self, name: str, size: Size, length: str) -> str:
        """Return the size from the length of a dimension that is affine in it: ``x.shape[0] + 1``."""
        count = dict(size.terms)[name]
        rest = size - Size(((name, count),))
        text = length
        if rest != Size():
            text = f"{length} - ({self.size(rest)})" if rest.terms else f"{length}{_signed(-rest.constant)}"
        return text if count == 1 else f"({text})//{count}" if text != length else f"{text}//{count}"

    def input(self, name: str) -> str:
        """Return the identifier of an input, by the user's name."""
        return self.inputs[name]

    def output(self, name: str) -> str:
        """Return the identifier of an output that is not itself a named value: a gradient's, ``dW``."""
        if name not in self._outputs:
            self._outputs[name] = self.fresh(self._stem(name) or "q")
        return self._outputs[name]

    def _stem(self, name: str) -> str:
        """Return what an output is called: ``hW`` for a part of the Hessian times a direction, ``hW_b`` for a block.

        It is "" for an output that is no derivative.
        """
        if name in OUTPUTS:
            return OUTPUTS[name]
        parameters = [p for p in self.inputs if name[1:] == p or name[1:].startswith(f"{p},")]
        for first in parameters:
            rest = name[2 + len(first) :]
            if not rest or rest in self.inputs:
                return "_".join([f"{name[0]}{self.inputs[first]}", *([self.inputs[rest]] if rest else [])])
        return ""

    def axis(self, axis: Axis) -> str:
        """Return the identifier of an index: the user's letter where that is possible."""
        if axis not in self._axes:
            letter = self.graph.letter(axis)
            self._axes[axis] = self.fresh(letter if is_safe(letter) else "i")
        return self._axes[axis]

    def value(self, value: Value) -> str:
        """Return the identifier of a value, allocated when it is first asked for."""
        if value.op == "input":
            return self.inputs[value.attr]
        if value not in self._values:
            self._values[value] = self._named(value)
        return self._values[value]

    def known(self, value: Value) -> str | None:
        """Return the identifier of a value that has one already."""
        return self.inputs[value.attr] if value.op == "input" else self._values.get(value)

    def is_output(self, value: Value, name: str) -> bool:
        """Return whether a value bears the name of this output, so that it needs no second one."""
        named = self._gradients.get(value) or self._others.get(value)
        return named == name and self.known(value) == self._outputs.get(name, self.known(value))

    def local(self, value: Value, hint: str, role: str = "") -> str:
        """Return the identifier of something that belongs to a value, ``W_t``; the same in every function.

        What has another `role` has another identifier: ``gt_b`` may be a block of the labels gt, and gt[b] in it.
        """
        key = value, hint, role
        if key not in self._locals:
            self._locals[key] = self.fresh(hint)
        return self._locals[key]

    def word(self, hint: str) -> str:
        """Return the identifier of something that a module has one of, such as the length of a block."""
        if hint not in self._words:
            self._words[hint] = self.fresh(hint)
        return self._words[hint]

    def fresh(self, hint: str) -> str:
        """Return `hint`, or the first of ``hint1, hint2, ...`` that nothing bears; it is taken from now on.

        `hint` is the compiler's own word, never a user's.
        """
        name = hint
        while name in self._taken:
            name = f"{hint}{next(self._suffixes.setdefault(hint, count(1)))}"
        self._taken.add(name)
        return name

    @property
    def taken(self) -> frozenset[str]:
        """Return every identifier that was allocated, without the reserved ones."""
        return frozenset(self._taken - RESERVED)

    @property
    def ambiguous(self) -> bool:
        """Return whether a name is one that ruff's rule E741 warns of."""
        return not AMBIGUOUS.isdisjoint(self._taken)

    def _users(self, name: str, prefix: str) -> str:
        """Return the user's name if it is safe and free, else the first free of ``p0, p1, ...``."""
        if is_safe(name) and name not in self._taken:
            self._taken.add(name)
            return name
        identifier = prefix
        while identifier in self._taken or identifier == prefix:
            identifier = f"{prefix}{next(self._suffixes.setdefault(f'{prefix}*', count()))}"
        self._taken.add(identifier)
        self.renamed[identifier] = name
        return identifier

    def _reserve_letters(self) -> None:
        """Keep the letters of axes for axes: ``y[s, i]`` beside a value called i would mislead."""
        for axis in self.graph.letters:
            self.axis(axis)

    def _sequence(self, many: bool) -> Iterator[str]:
        """Yield names for values: a, b, ..., z, a1, b1, ...; or v1, v2, ..."""
        for number in count(1 if many else 0):
            yield from [f"v{number}"] if many else [f"{letter}{number or ''}" for letter in LETTERS]

    def _named(self, value: Value) -> str:
        hint = self._hints.get(value)
        if hint is not None:
            return self._users(hint, "y") if is_safe(hint) else self._users(hint, "q")
        if value in self._others:
            return self.output(self._others[value])
        if value.op == "total":
            return self.fresh("total")
        if value is self._objective:
            free = (o for o in OBJECTIVES if o not in self._taken and o not in self._wanted)
            return self.fresh(next(free, OBJECTIVES[0]))
        primal = self.primal(value)
        if primal is not None:
            name = self.fresh(f"d{primal}")
            if value in self._gradients:
                self._outputs[self._gradients[value]] = name
            return name
        return self.letter()

    def letter(self) -> str:
        """Return the next name for a value that has none of its own; it is taken from now on."""
        return self.fresh(next(n for n in self._letters if n not in self._taken and n not in self._wanted))

    def _is_backward(self, value: Value) -> bool:
        """Return whether only gradients need a value."""
        if self._forward is None:
            self._forward = set(self.graph.order([self._objective])) if self._objective is not None else set()
        return value not in self._forward

    def primal(self, value: Value) -> str | None:
        """Return the name of what this value is the cotangent of, if that has one."""
        if value in self._gradients and self._is_backward(value):
            return self.inputs[self._gradients[value][1:]]
        source = self.graph.cotangents.get(value)
        if source is None or source is value or not self._is_backward(value):
            return None
        return self.inputs.get(source.attr) if source.op == "input" else self._values.get(source)


def _signed(number: int) -> str:
    return f" {'-' if number < 0 else '+'} {abs(number)}"
