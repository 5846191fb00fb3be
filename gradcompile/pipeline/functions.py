"""The functions of a graph: planned, emitted, compiled and called, each when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gradcompile.arguments import Argument, Arguments, Waiting
from gradcompile.early import UNCUT, Early, has_arrays, in_slices
from gradcompile.emit import module, parts, support
from gradcompile.errors import DataError, TooLargeError, within_depth
from gradcompile.ir import Axis, Graph, Input
from gradcompile.jit import Given, Task, Typed, compile_all, kernel, load
from gradcompile.passes.precision import within
from gradcompile.schedule import Plan, picked_axis, plan
from gradcompile.threads import Divided, InParts, Products, likes_tiles, on_one_thread

Function = Callable[..., Any]

MANY = 400  # values of a program of numbers, beyond which it is worth compiling
EMISSION = threading.RLock()  # the programs of one model share its graph, and emission adds to that


class Decision(NamedTuple):
    """What answers the calls of a program, and why; it prints, with the schedule of the kernel below.

    Parameters
    ----------
    runs : {"python", "numpy", "numba", "llvm"}
        What answers at present.
    why : str
        The reason.
    schedule : Plan
        The loops of the kernel.
    """

    runs: str
    why: str
    schedule: Plan

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes for which alone the schedule is; empty if it is for any."""
        return self.schedule.graph.known

    def __str__(self) -> str:
        """Return the decision in a line, and the schedule."""
        return f"runs in {self.runs}: {self.why}\n{self.schedule}"


class Functions:
    """A graph on its way to functions: each further stage is made when it is first asked for.

    Parameters
    ----------
    graph : Graph
        After the passes, with or without a backward half.
    dtype : {"float64", "float32"}
        Of its real arrays.
    strict : bool
        Whether arithmetic is done as written, without rearrangement.

    Attributes
    ----------
    patient : bool
        Whether the first call waits for its compiled function; else it gets an early answer while that is compiled.
    """

    patient = False
    notes: tuple[str, ...] = ()  # what else the plan says

    def __init__(self, graph: Graph, dtype: str, strict: bool) -> None:
        self.graph, self.dtype, self.strict = within(graph, dtype), dtype, strict
        self.arguments = Arguments(graph, dtype)
        self._functions: dict[str, Function] = {}  # those that are compiled
        self._tasks: dict[str, Task] = {}  # those that have been asked for
        self._early: dict[str, Function] = {}
        self._slices: dict[str, InParts | None] = {}

    @cached_property
    def target(self) -> str:
        """Of emission: scalars at one point are fastest in plain Python; arrays need loops that are compiled."""
        return "numba" if has_arrays(self.graph) else "python"

    @cached_property
    def is_long(self) -> bool:
        """Whether there are so many numbers, and no arrays, that Python takes longer than a compiled call."""
        return self.target == "python" and len(self.graph.order()) > MANY

    @property
    def compiles(self) -> bool:
        """Whether a compiler has to be waited for."""
        return self.target == "numba" or self.is_long

    @cached_property
    def early(self) -> Early:
        """What answers until the kernel is compiled."""
        return Early(self.graph, self.dtype)

    @property
    def plan(self) -> Plan:
        """The schedule."""
        shared = self.divided.described() if self.target == "numba" else ()
        with EMISSION:
            graph = module.scheduled(self.graph, self.target, strict=self.strict)
            copies = map(str, self.arguments.copies)
            return replace(plan(graph), notes=(*shared, *copies, *self.notes, *self._told_of_sizes()))

    def _told_of_sizes(self) -> tuple[str, ...]:
        """Return in words for which sizes the plan is."""
        return ()

    @property
    def decision(self) -> Decision:
        """What answers a call that is made now."""
        if not self.compiles:
            return Decision("python", "few numbers and no arrays, for which a compiled call costs more", self.plan)
        if self._functions or self.patient:
            if self.is_long:
                return Decision("llvm", "many numbers and no arrays, compiled without Numba", self.plan)
            return Decision("numba", "the kernel is compiled", self.plan)
        state = "is being compiled" if self._tasks else "is compiled from the first call on"
        why = f"the kernel {state}; where arrays would be too large for {self.early.target}, calls wait for it"
        return Decision(self.early.target, why, self.plan)

    @cached_property
    def source(self) -> str:
        """The text of the module that runs."""
        with EMISSION, within_depth():
            return module.render(self.graph, self.target, dtype=self.dtype, strict=self.strict)

    @cached_property
    def source_in_parts(self) -> str:
        """The text of the module whose functions threads share; "" if there are none."""
        cuts = self.divided.parts
        with EMISSION:
            if not cuts:
                return ""
            tiles = bool(self.products) and likes_tiles()  # these functions run on one thread of BLAS each
            return parts.render(self.graph, cuts, dtype=self.dtype, strict=self.strict, tiles=tiles)

    @cached_property
    def divided(self) -> Divided:
        """The functions that threads can share."""
        return Divided(self.graph, self.arguments, self.function, EMISSION)

    @cached_property
    def products(self) -> Products:
        """The products of matrices, which BLAS computes."""
        with EMISSION:
            return Products(self.graph)

    @property
    def idle(self) -> bool:
        """Whether nothing has been asked for that has to be compiled."""
        return self.compiles and not self._tasks

    @property
    def ready(self) -> bool:
        """Whether whatever has been asked for is compiled, or needs no compiler."""
        return not self.compiles or len(self._functions) == len(self._tasks)

    def asked(self, name: str) -> bool:
        """Return whether there was a call of a function, whole or in parts."""
        return name in self._tasks or any(self.divided.owns(task) and task.startswith(name) for task in self._tasks)

    def wait(self) -> None:
        """Compile what has been asked for; what is asked for from now on is compiled at once."""
        self.patient = True
        for name in list(self._tasks):
            self.function(name)

    def compile(self, names: Sequence[str]) -> None:
        """Compile functions of the module, beside one another."""
        for name in names:
            self._task(name)
        for name in names:
            self.function(name)

    def compiled(self, name: str) -> Function | None:
        """Return a function if it is compiled."""
        return self._functions.get(name)

    def function(self, name: str) -> Function:
        """Return a function of the module, compiled now if it has not been."""
        function: Function = self._functions.get(name) or self._task(name).result()
        return function

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            # Emitted by the caller: the thread in the background only compiles.
            source = self.source_in_parts if self.divided.owns(name) else self.source
            self._tasks.setdefault(name, Task(lambda: self._compiled(name, source)))
        return self._tasks[name]

    def plain(self, name: str) -> Function:
        """Return a function of a module in plain Python, which raises where IEEE 754 has an infinity or a nan."""
        function: Function = getattr(load(self.source, compiled=False), name)
        return function

    def _compiled(self, name: str, source: str) -> Function:
        if self.is_long:
            function = self._machine_code(name, source)
        elif self.target == "python":
            function = self._in_python(name)
        else:
            compile_all(source, {each: self._types(each) for each in self._beside(name)})
            function = kernel(source, name, self._types(name), support.functions("numba"))
        self._functions[name] = function
        return function

    def _beside(self, name: str) -> list[str]:
        """Return the functions that are to be compiled with one: a call in parts needs all that were asked for."""
        if not self.divided.owns(name):
            return [name]
        return [each for each in list(self._tasks) if self.divided.owns(each) and each not in self._functions]

    def _types(self, name: str) -> Typed:
        """Return what a function is compiled for."""
        return [self._given(each) for each in self.divided.inputs(name).values()]

    def _given(self, argument: Input) -> Given:
        dtype = "int64" if argument.kind == "int" else self._real(argument.shape)
        known = argument.shape if argument.name in self.graph.inputs else ()  # not what one part hands to the next
        return Given(dtype, len(argument.shape), tuple(map(self.graph.length, known)))

    def _in_python(self, name: str) -> Function:
        return self.early.function(name, self.plain(name))

    def _machine_code(self, name: str, source: str) -> Function:
        """Return a long function of numbers, compiled; where that cannot be, Python goes on with it."""
        from gradcompile.jit.direct import UntranslatableError  # LLVM takes its time to import
        from gradcompile.jit.native import native

        try:
            count = {"value": 0, "derivatives": len(self.graph.outputs)}.get(name, len(self.graph.wrt))
            return native(source, name, count, strict=self.strict, value=name != "derivatives")
        except UntranslatableError:
            return self._in_python(name)

    def _real(self, shape: Sequence[object]) -> str:
        return self.dtype if shape else "float64"  # scalars are Python floats

    @cached_property
    def picked(self) -> Axis | None:
        """The axis of that of which samples do nothing but pick elements, if there is any."""
        return picked_axis(self.graph)

    def call(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments: the compiled one, or until there is one an early one."""
        function = self._shared(name, arguments) or self._functions.get(name) or self._for_now(name, arguments)
        if type(arguments) is Waiting and not isinstance(function, InParts):
            arguments = self.arguments.laid_out(arguments)
        try:
            if function is self._functions.get(name) and self._keeps_to_one_thread(arguments):
                with on_one_thread():
                    return function(*arguments)
            return function(*arguments)
        except np.linalg.LinAlgError:
            raise DataError(
                "a matrix of the model is singular, not positive definite, or not finite, for these arguments",
                expected="an inverse, or a Cholesky factor",
                hint="add a multiple of the identity to it, or start from other parameters",
            ) from None
        except MemoryError:
            sizes = ", ".join(f"{name} = {size}" for name, size in self.arguments.sizes(arguments).items())
            hint = "give fewer samples at a time, or arrays of smaller sizes"
            raise TooLargeError(
                "what is computed for these sizes does not fit into memory", found=sizes, hint=hint
            ) from None

    def _keeps_to_one_thread(self, arguments: Sequence[Argument]) -> bool:
        """Return whether a compiled call has products of matrices that are too small for several threads of BLAS."""
        return self.target == "numba" and self.products.disturbed(self.arguments.sizes(arguments))

    def _shared(self, name: str, arguments: Sequence[Argument]) -> Function | None:
        """Return what answers a call that is large enough for several threads; None for any other."""
        shared = self.divided.call(name, arguments) if self.target == "numba" else None
        if shared is None:
            return None
        missing = [part for part in shared.functions if part not in self._functions]
        early = [self._early_for(name, part, arguments) for part in missing]
        return next(filter(None, early), shared)

    def _for_now(self, name: str, arguments: Sequence[Argument]) -> Function:
        """Return what answers this call, and have the function compiled for later ones."""
        return self._early_for(name, name, arguments) or self.function(name)

    def _early_for(self, name: str, needed: str, arguments: Sequence[Argument]) -> Function | None:
        """Have a function compiled that a call needs; return what answers instead, if the call is not to wait."""
        task = self._task(needed)
        if task.over or self.patient or not self.compiles:
            return None
        sliced = None if self.early.affords(arguments) else self._in_slices(name, arguments)
        if sliced is None and not self.early.affords(arguments, times=UNCUT):
            return None
        task.begin()
        return sliced or self._answer(name)

    def _answer(self, name: str) -> Function:
        """Return what answers without a compiler, with all samples at once."""
        if name not in self._early:
            with EMISSION:
                self._early[name] = self._in_python(name) if self.is_long else self.early.function(name)
        return self._early[name]

    def _in_slices(self, name: str, arguments: Sequence[Argument]) -> Function | None:
        """Return what answers without a compiler, with some samples at a time; None if that is no way either."""
        if name not in self._slices:
            with EMISSION:
                cut = self.divided.parts.get(name)
                self._slices[name] = in_slices(cut, name, self.arguments, self.dtype) if cut else None
        sliced = self._slices[name]
        return sliced if sliced is not None and sliced.length(arguments) else None
