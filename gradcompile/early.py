"""First answers, while the compiler is at work: from the same graph, by NumPy, or by Python for scalars.

NumPy keeps whole arrays where a kernel keeps a block, so that a problem may be too large for it: then it is given one
slice of the samples after the other. Where that cannot be, or takes longer than the compiler, there is no early answer,
and the caller waits for the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from gradcompile.arguments import Argument, Arguments
from gradcompile.emit import module
from gradcompile.emit.numpy_target import never_arrays
from gradcompile.errors import EmissionError
from gradcompile.interpret import evaluate, find_sizes
from gradcompile.ir import Graph, Value
from gradcompile.jit import load
from gradcompile.schedule import Parts
from gradcompile.threads import InParts

LISTED = 1000  # numbers in lists of fixed length, up to which plain Python is faster than a compiled call
ENTRIES = 1 << 22  # numbers that NumPy may hold at once, if the arguments are not more: 32 MB
UNCUT = 4  # times as many where the samples cannot be cut into slices
MEANWHILE = 350_000  # numbers that NumPy works on while one value of the graph is compiled, in some 6 ms

Function = Callable[..., Any]


class Early:
    """The answers of a graph without a compiler.

    Parameters
    ----------
    graph : Graph
        After the passes, with or without a backward half.
    dtype : {"float64", "float32"}
        Of its real arrays.

    Examples
    --------
    >>> from gradcompile.ir import Builder, Graph, Input
    >>> builder = Builder()
    >>> graph = Graph(builder, {"x": Input("x")}, {"value": builder.input("x", ()) ** 2})
    >>> Early(graph, "float64").function("value")(3.0)
    9.0
    """

    def __init__(self, graph: Graph, dtype: str) -> None:
        self.graph, self.dtype = graph, dtype

    @cached_property
    def target(self) -> str:
        """What answers: "python" for scalars, "numpy" for arrays."""
        return "numpy" if has_arrays(self.graph) else "python"

    @cached_property
    def _module(self) -> ModuleType | None:
        """The emitted module; None for what the target does not spell: then the interpreter answers."""
        try:
            text = module.render(self.graph, self.target, dtype=self.dtype)
        except EmissionError:
            return None
        return load(text, compiled=False)

    def affords(self, arguments: Sequence[Argument], *, times: int = 1) -> bool:
        """Return whether all arrays of the program together are about as large as the arguments, or small.

        Parameters
        ----------
        arguments : sequence of array or number
            Of the call.
        times : int
            How many times larger than usual they may be.
        """
        if self.target == "python":
            return True
        given = dict(zip(self.graph.inputs, map(np.asarray, arguments), strict=True))
        try:
            held = self.held(find_sizes(self.graph, given))
        except KeyError:  # a size that labels alone tell
            return False
        return held <= times * max(ENTRIES, sum(array.size for array in given.values()))

    def held(self, sizes: Mapping[str, int]) -> int:
        """Return how many numbers all arrays of the program have together, the arguments apart."""
        return sum(math.prod(a.size.evaluate(sizes) for a in value.axes) for value in self._held)

    @cached_property
    def _held(self) -> list[Value]:
        """The values that are arrays at some time."""
        order = [value for value in self.graph.order() if value.axes and value.op != "input"]
        inner = never_arrays(order) if self._module is not None else set()
        return [value for value in order if value not in inner]

    def function(self, name: str, given: Function | None = None) -> Function:
        """Return a function of checked arguments that gives what the compiled one of this name will give.

        Parameters
        ----------
        name : {"value", "value_and_grad", "derivatives"}
            The function.
        given : callable, optional
            The emitted function, if the caller has it already.
        """
        function = given or (getattr(self._module, name) if self._module else None)

        def call(*arguments: Argument) -> Any:
            found = self._attempt(function, arguments)
            return self._interpreted(name, arguments) if found is None else self._as_compiled(name, found)

        return call

    def _attempt(self, function: Function | None, arguments: Sequence[Argument]) -> Any:
        """Return what the emitted function returns; None where the interpreter has to answer."""
        if function is None:
            return None
        if self.target == "numpy":
            with np.errstate(all="ignore"):
                return function(*arguments)
        try:
            return function(*arguments)
        except (ArithmeticError, ValueError, TypeError):
            return None  # Python raises where IEEE 754 has an infinity or a nan

    def _interpreted(self, name: str, arguments: Sequence[Argument]) -> Any:
        given = dict(zip(self.graph.inputs, map(np.asarray, arguments), strict=True))
        found = evaluate(self.graph, given)
        if name == "derivatives":
            return self._as_compiled(name, tuple(found.values()))
        value = found["value"]
        gradients = tuple(found[f"d{parameter}"] for parameter in self.graph.wrt)
        return self._as_compiled(name, value if name == "value" else (value, gradients))

    def _as_compiled(self, name: str, found: Any) -> Any:
        """Return results in the types of a compiled function: floats, and arrays of the model's type in C order."""
        if name == "value":
            return self._array(found)
        if name == "derivatives":
            return tuple(map(self._of_kind, self.graph.outputs.values(), found))
        return self._array(found[0]), tuple(map(self._array, found[1]))

    def _of_kind(self, value: Value, found: Any) -> Any:
        """Return what a part delivers: counts, as of equal maxima, are whole numbers and stay so."""
        if value.kind == "real":
            return self._array(found)
        return np.asarray(found, np.int64) if np.ndim(found) else int(found)

    def _array(self, found: Any) -> Any:
        if type(found) is float:
            return found
        return np.require(found, self.dtype, "C") if np.ndim(found) else float(found)


class Slices:
    """Divides the samples of a call so that NumPy has room for the arrays of one slice.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    passes : sequence of Early
        What answers for a slice, pass by pass.
    """

    def __init__(self, parts: Parts, passes: Sequence[Early]) -> None:
        self.parts, self.passes = parts, passes

    def length(self, sizes: Mapping[str, int]) -> int:
        """Return the number of samples of a slice; 0 if one sample is too large, or all of them are too many."""
        sizes = self.parts.sizes(sizes)
        samples = sizes[self.parts.every]
        shared, one = (self._held({**sizes, str(self.parts.sample.size): count}) for count in (0, 1))
        each = max(one - shared, 1)
        room = min((ENTRIES - shared) // each, samples)
        if room <= 0:
            return 0
        work = samples * each + samples // room * shared
        return room if work <= MEANWHILE * self._values else 0

    @cached_property
    def _values(self) -> int:
        """How many values there are to compile."""
        return sum(len(early.graph.order()) for early in self.passes)

    def _held(self, sizes: Mapping[str, int]) -> int:
        return sum(early.held(sizes) for early in self.passes)


def in_slices(parts: Parts, name: str, arguments: Arguments, dtype: str) -> InParts:
    """Return a function of a program that NumPy answers, one slice of the samples after the other.

    Parameters
    ----------
    parts : Parts
        The program in parts.
    name : {"value", "value_and_grad"}
        The function.
    arguments : Arguments
        What it is called with.
    dtype : {"float64", "float32"}
        Of its real arrays.
    """
    programs = {part: Early(program, dtype) for part, program in parts.functions(name).items()}
    *passes, end = programs
    functions = {part: programs[part].function("derivatives") for part in passes}
    functions[end] = programs[end].function("value_and_grad" if parts.end.wrt else "value")
    return InParts(parts, name, arguments, Slices(parts, [programs[part] for part in passes]), functions.__getitem__)


def has_arrays(graph: Graph) -> bool:
    """Return whether a program works on arrays, and not on numbers alone, beside short lists that it returns."""
    sizes = [axis.size for value in graph.order() for axis in value.axes]
    fixed = not any(i.shape for i in graph.inputs.values()) and not any(size.terms for size in sizes)
    return not fixed or sum(size.constant for size in sizes) > LISTED
