"""The spine: from a model in SymPy to functions that run.

    model --lower--> graph --prepare, adjoint, optimise--> graph with its backward half
          --plan--> plan --render--> text --load--> functions

Every stage is a value that prints; the verifier runs between them. What a user can do wrong is found out in
`differentiate`; what comes after it happens when it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gradcompile.adjoint import adjoint
from gradcompile.arguments import Argument, Arguments, Waiting
from gradcompile.early import UNCUT, Early, has_arrays, in_slices
from gradcompile.emit import module, parts, support
from gradcompile.errors import DataError, TooLargeError, within_depth
from gradcompile.ir import Axis, Graph, Input
from gradcompile.jit import Given, Task, Typed, compile_all, kernel, load, wants_numba
from gradcompile.passes import (
    are_often,
    are_seldom,
    lookups,
    one_by_one,
    optimise,
    prepare,
    seldom_looked_up,
    trusted,
)
from gradcompile.passes.precision import within
from gradcompile.schedule import (
    Plan,
    are_few,
    has_long_rows,
    keeps_pairs,
    pick_little,
    picked_axis,
    plan,
    row_axis,
    small_sizes,
)
from gradcompile.threads import Divided, InParts, Products, likes_tiles, on_one_thread
from gradcompile.verify import verify

Function = Callable[..., Any]
Suiting = Callable[[Mapping[str, int]], Graph | None]  # a graph that is better for a call of these sizes, if any is

TRUST = {"float64": 1e200, "float32": 1e25}  # beyond, and below the reciprocal, gradients might overflow
FAILURES = 3  # calls in a row that were not to be trusted, from which on no further one is
MANY = 400  # values of a program of numbers, beyond which it is worth compiling
EMISSION = threading.RLock()  # the programs of one model share its graph, and emission adds to that


def differentiate(lowered: Graph) -> Graph:
    """Return a lowered graph with its backward half, simplified."""
    return with_gradient(stable(lowered))


def stable(lowered: Graph) -> Graph:
    """Return a lowered graph as it is differentiated."""
    return verify(prepare(lowered))


def with_gradient(prepared: Graph) -> Graph:
    """Return such a graph with its backward half, simplified."""
    return verify(optimise(verify(adjoint(prepared))))


def suiting(lowered: Graph, general: Graph, trust: float | None = None) -> Suiting | None:
    """Return what makes a graph as `differentiate` does that suits a call, of which the sizes are known.

    None if there is no array of which data pick elements, so that there is nothing to decide.

    Parameters
    ----------
    lowered : Graph
        The objective.
    general : Graph
        What the passes before differentiation make of it for any sizes.
    trust : float, optional
        The range that such a graph trusts.
    """
    if not any(given.role == "labels" for given in lowered.inputs.values()):
        return None

    def suited(sizes: Mapping[str, int]) -> Graph | None:
        if not lookups(general, sizes) and not seldom_looked_up(general, sizes):
            return None
        found = verify(prepare(lowered, trust=trust, sizes=sizes))
        return None if found.outputs == general.outputs else with_gradient(found)

    return suited


def trusting(lowered: Graph, exact: Graph, dtype: str) -> tuple[Graph, Suiting | None] | None:
    """Return a graph as `differentiate` does whose value is no finite number where it is not to be trusted.

    With it comes what `suiting` makes for it. None if there is none that is faster than the exact one: see
    passes/trusted.py.

    Parameters
    ----------
    lowered : Graph
        The objective.
    exact : Graph
        What `stable` makes of it.
    dtype : {"float64", "float32"}
        Of its real arrays.
    """
    apart = trusted.taken_apart(lowered, TRUST[dtype])
    if apart is lowered and not trusted.occurs(lowered):
        return None
    hopeful = verify(prepare(apart, trust=TRUST[dtype]))
    if hopeful.outputs == exact.outputs:
        return None
    return with_gradient(hopeful), suiting(apart, hopeful, TRUST[dtype])


def simplify(lowered: Graph) -> Graph:
    """Return a lowered graph that is only to be evaluated, simplified."""
    return verify(optimise(stable(lowered)))


class Decision(NamedTuple):
    """What answers the calls of a program, and why; it prints, with the schedule of the kernel below.

    Parameters
    ----------
    runs : {"python", "numpy", "numba"}
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


class Program:
    """A graph on its way to functions: each further stage is made when it is first asked for.

    Calls with the small sizes of the first one are answered by a program that is planned for these, `Suited`. For those
    with other sizes, for which there may be a better plan than the one for any, there is one further such program.

    Parameters
    ----------
    graph : Graph
        After the passes, with or without a backward half.
    dtype : {"float64", "float32"}
        Of its real arrays.
    strict : bool
        Whether arithmetic is done as written, without rearrangement.
    suiting : callable, optional
        Makes the graph of a program for the sizes of the first call, if it is to be another one.

    Attributes
    ----------
    patient : bool
        Whether the first call waits for its compiled function; else it gets an early answer while that is compiled.
    """

    patient = False
    notes: tuple[str, ...] = ()  # what else the plan says

    def __init__(self, graph: Graph, dtype: str, strict: bool, suiting: Suiting | None = None) -> None:
        self.graph, self.dtype, self.strict, self.suiting = within(graph, dtype), dtype, strict, suiting
        self.arguments = Arguments(graph, dtype)
        self.suited: Suited | None = None  # there is none before the first call, or if that has no small sizes
        self.further: Suited | None = None  # for calls with other sizes, none of which it knows
        self._last: tuple[Mapping[str, int] | None, Program] = (None, self)  # sizes and what answered, replaced as one
        self._functions: dict[str, Function] = {}  # those that are compiled
        self._tasks: dict[str, Task] = {}  # those that have been asked for
        self._early: dict[str, Function] = {}
        self._slices: dict[str, InParts | None] = {}

    @cached_property
    def target(self) -> str:
        """Scalars at one point are fastest in plain Python; what has arrays goes through Numba."""
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
        """Return in words for which sizes the plan is, if there is also another."""
        known = {} if self.suited is None else self.suited.graph.known
        told = ", ".join(f"{name} = {number}" for name, number in known.items())
        return (f"planned for any sizes: {told}, as in the first call, have a plan of their own",) if told else ()

    @property
    def planned(self) -> tuple[Suited, ...]:
        """The programs that are planned for some sizes."""
        return tuple(each for each in (self.suited, self.further) if each is not None)

    @property
    def answering(self) -> Program:
        """What answered the last call, this program or one that is planned for some sizes."""
        return self._last[1]

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
        return self.compiles and not self._tasks and all(each.idle for each in self.planned)

    @property
    def ready(self) -> bool:
        """Whether whatever has been asked for is compiled, or needs no compiler."""
        compiled = not self.compiles or len(self._functions) == len(self._tasks)
        return compiled and all(each.ready for each in self.planned)

    def asked(self, name: str) -> bool:
        """Return whether there was a call of a function, whole or in parts."""
        if any(each.asked(name) for each in self.planned):
            return True
        return name in self._tasks or any(self.divided.owns(task) and task.startswith(name) for task in self._tasks)

    def wait(self) -> None:
        """Compile what has been asked for; what is asked for from now on is compiled at once."""
        self.patient = True
        for name in list(self._tasks):
            self.function(name)
        for each in self.planned:
            each.wait()

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

    def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments: the compiled one, or until there is one an early one."""
        return self._for(self.arguments.sizes(arguments)).call(name, arguments)

    def _for(self, sizes: Mapping[str, int]) -> Program:
        """Return what answers a call with these sizes: the first one decides for which there is a plan of its own."""
        last, program = self._last
        if sizes is last:
            return program
        if self.target == "numba":
            self._decide(sizes, first=last is None)
        program = self._suited_to(sizes) or self
        program.patient = self.patient
        self._last = sizes, program
        return program

    def _suited_to(self, sizes: Mapping[str, int]) -> Suited | None:
        """Return the program that is planned for these sizes, if there is one."""
        return next((each for each in self.planned if each.suits(sizes)), None)

    def _decide(self, sizes: Mapping[str, int], *, first: bool) -> None:
        """Have a plan of its own for the small sizes of the first call, if it has any, or for a call with others."""
        if not first and (self.further is not None or not self._varies or self._suited_to(sizes) is not None):
            return
        with EMISSION:  # that of one thread, if several make a first call
            if first and self.suited is None:
                known = small_sizes(self.graph, sizes, by_numba=wants_numba())
                self.suited = self._planned_for(sizes, known, self.suiting(sizes) if self.suiting else None)
            elif not first and self.further is None:
                self.further = self._planned_for(sizes, {}, None)  # to know sizes, each would take a compilation

    @cached_property
    def _varies(self) -> bool:
        """Whether there are plans of other loops for some sizes, whichever numbers these are."""
        with EMISSION:
            return self.picked is not None or keeps_pairs(self.graph) or row_axis(self.graph) is not None

    @cached_property
    def picked(self) -> Axis | None:
        """The axis of that of which samples do nothing but pick elements, if there is any."""
        return picked_axis(self.graph)

    def _planned_for(self, sizes: Mapping[str, int], known: Mapping[str, int], graph: Graph | None) -> Suited | None:
        """Return a program that is planned for such sizes; None if it would be the one for any."""
        few = are_few(self.graph, sizes) and keeps_pairs(graph or self.graph)
        picked = pick_little(graph or self.graph, picked_axis(graph) if graph else self.picked, sizes)
        wide = not picked and has_long_rows(graph or self.graph, sizes)
        needed = known or graph or few or picked or wide
        return Suited(self, known, graph, sizes, few=few, picked=picked, wide=wide) if needed else None

    def call(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function of this very program."""
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


class Suited(Program):
    """A program that is planned for some sizes, and right for these alone.

    What answers before its kernel is compiled is what answers for the general one: that is right for any sizes.

    Parameters
    ----------
    general : Program
        The same for any sizes.
    known : mapping of str to int
        The sizes for which it is planned.
    graph : Graph or None
        Another one than the general, for calls in which data pick elements of an array as often as in the first.
    sizes : mapping of str to int
        All of those of the first call.
    few : bool
        Whether it is planned for so few samples that what there is for pairs of them is kept.
    picked : bool
        Whether its loops stream over what the samples pick elements of.
    wide : bool
        Whether its loops stream along the rows of data.
    """

    def __init__(
        self,
        general: Program,
        known: Mapping[str, int],
        graph: Graph | None,
        sizes: Mapping[str, int],
        *,
        few: bool,
        picked: bool,
        wide: bool,
    ) -> None:
        planned = one_by_one(replace(graph or general.graph, known=known, few=few, picked=picked, wide=wide))
        super().__init__(planned, general.dtype, general.strict)
        self.general, self.arguments = general, general.arguments
        self.lookups = lookups(graph, sizes, computed=True) if graph else []
        self.seldom = seldom_looked_up(general.graph, sizes) if graph else []
        self.notes = general.notes

    def _told_of_sizes(self) -> tuple[str, ...]:
        told = ", ".join(f"{name} = {number}" for name, number in self.graph.known.items())
        more = ("planned for arrays of which data pick more elements than there are: these are computed whole",)
        fixed = (f"planned for {told}, as in the first call: calls with other sizes have a plan for any",)
        less = ("planned for tables of which samples look up less than there is: functions are of that alone",)
        few = ("planned for so few samples that what there is for pairs of them is kept",)
        picked = ("planned for samples that do nothing but pick elements: loops stream over these elements",)
        wide = ("planned for rows of data that are longer than there are rows: loops stream along them",)
        also = (
            (more, self.lookups),
            (less, self.seldom),
            (few, self.graph.few),
            (picked, self.graph.picked),
            (wide, self.graph.wide),
        )
        return (*(fixed if told else ()), *(line for lines, holds in also if holds for line in lines))

    def suits(self, sizes: Mapping[str, int]) -> bool:
        """Return whether a call has the sizes for which this is planned."""
        known = all(sizes[name] == number for name, number in self.graph.known.items())
        known = known and (not self.graph.few or are_few(self.graph, sizes))
        known = known and (not self.graph.picked or pick_little(self.graph, self.picked, sizes))
        known = known and (not self.graph.wide or has_long_rows(self.graph, sizes))
        known = known and all(are_seldom(*pair, sizes) for pair in self.seldom)
        return known and all(are_often(self.graph, *pair, sizes) for pair in self.lookups)

    @property
    def early(self) -> Early:
        """What answers until the kernel is compiled."""
        return self.general.early

    def _answer(self, name: str) -> Function:
        return self.general._answer(name)

    def _in_slices(self, name: str, arguments: Sequence[Argument]) -> Function | None:
        return self.general._in_slices(name, arguments)


class Trusting(Program):
    """A program whose value is no finite number where it is not to be trusted: then an exact one answers.

    Where it answered several calls in a row, it answers all that follow: their sums are likely to be out of range, too.

    Parameters
    ----------
    graph : Graph
        What `trusting` returns.
    exact : Program
        The same in the exact form.
    suiting : callable or None
        Makes the graph of a program for the sizes of the first call.
    """

    def __init__(self, graph: Graph, exact: Program, suiting: Suiting | None) -> None:
        super().__init__(graph, exact.dtype, exact.strict, suiting)
        self.exact, self.patient = exact, exact.patient
        self._failures = 0  # in a row
        limit = TRUST[self.dtype]
        self.notes = (
            f"where a sum is not within {1 / limit:g} and {limit:g}, an exact form answers;"
            f" after {FAILURES} such calls in a row it answers all",
        )

    def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments; once more in the exact form if the value is no finite number."""
        if self._failures < FAILURES:
            found = super().run(name, arguments)
            if np.isfinite(found if name == "value" else found[0]):
                self._failures = 0
                return found
            self._failures += 1
        self.exact.patient = self.patient
        return self.exact.run(name, arguments)
