"""The functions of a program that threads can share: which there are, and which calls are large enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import Any

from gradcompile.arguments import Argument, Arguments
from gradcompile.ir import Graph, Input
from gradcompile.schedule import Parts, in_parts, stream_axis
from gradcompile.threads import chunks
from gradcompile.threads.calls import Function, InParts
from gradcompile.threads.chunks import Chunks, Work


class Divided:
    """What threads can share of a program.

    Parameters
    ----------
    graph : Graph
        The program: the objective, with or without its backward half.
    arguments : Arguments
        What its functions are called with.
    function : callable
        ``function(name)`` is a compiled function of the program's module.
    lock : lock
        Held while the graph gets further values.
    """

    def __init__(
        self, graph: Graph, arguments: Arguments, function: Function, lock: AbstractContextManager[Any]
    ) -> None:
        self.graph, self.arguments, self._function, self._lock = graph, arguments, function, lock
        self.sample = stream_axis(graph)
        if self.sample is not None and not any(self.sample in value.axes for value in graph.order()):
            self.sample = None  # the samples of the model, of which this program has none
        self._last: tuple[Mapping[str, int] | None, bool] = (None, False)  # replaced as a whole

    @cached_property
    def parts(self) -> dict[str, Parts]:
        """The functions in parts, by name: ``value``, ``value_and_grad``."""
        return {name: cut for name, cut in self._cuts.items() if isinstance(cut, Parts)}

    @cached_property
    def functions(self) -> dict[str, Graph]:
        """The program of each function that those are made of."""
        return {part: program for name, cut in self.parts.items() for part, program in cut.functions(name).items()}

    @cached_property
    def _filled(self) -> dict[str, dict[str, Input]]:
        """The arrays that a function fills in place, which it is given after its inputs."""
        return {part: each.arrays for name, cut in self.parts.items() for part, each in cut.named(name).items()}

    @cached_property
    def _cuts(self) -> dict[str, Parts | str]:
        """The functions in parts; or why they cannot be cut."""
        with self._lock:
            return {name: in_parts(program, stream_axis(program)) for name, program in _programs(self.graph)}

    @cached_property
    def _calls(self) -> dict[str, InParts]:
        return {
            name: InParts(cut, name, self.arguments, Chunks(cut), self._function, fills=True)
            for name, cut in self.parts.items()
        }

    def call(self, name: str, arguments: Sequence[Argument]) -> InParts | None:
        """Return a function in parts, if that is how a call with these arguments is to be made."""
        if self.sample is None or not self._large(self.arguments.sizes(arguments)):
            return None
        shared = self._calls.get(name)
        return shared if shared is not None and shared.length(arguments) else None

    def _large(self, sizes: Mapping[str, int]) -> bool:
        """Return whether there is work for several threads; only then is it worth while to cut the program."""
        last, large = self._last
        if sizes is not last:
            assert self.sample is not None
            time = self._work.time(sizes) * self.sample.size.evaluate(sizes)
            large = time >= chunks.LEAST * chunks.CHUNK
            self._last = sizes, large
        return large

    def operations(self, sizes: Mapping[str, int]) -> float:
        """Return how many operations of a loop there are for all samples together, see `chunks.Work`; 0 without any."""
        if self.sample is None:
            return 0.0
        return self._work.count(sizes)[0] * self.sample.size.evaluate(sizes)

    @cached_property
    def _work(self) -> Work:
        assert self.sample is not None
        return Work(self.graph, self.sample)

    def owns(self, function: str) -> bool:
        """Return whether a function is one of a program in parts."""
        return "_calls" in self.__dict__ and function in self.functions

    def inputs(self, function: str) -> dict[str, Input]:
        """Return the inputs of a function of the module, in parts or whole."""
        if not self.owns(function):
            return self.graph.inputs
        return self.functions[function].inputs | self._filled.get(function, {})

    def described(self) -> tuple[str, ...]:
        """Return in words whether threads share the work, for the plan."""
        sizes, large = self._last
        if self.parts and sizes is not None and not large:
            return (f"one thread: the last call was too small for chunks of samples {self._letter()}",)
        if self.parts:
            return (max(self._calls.values(), key=lambda call: call.asked).described(),)
        return tuple(f"one thread: {reason}" for reason in list(self._cuts.values())[:1])

    def _letter(self) -> str:
        return "" if self.sample is None else self.graph.letter(self.sample)


def _programs(graph: Graph) -> Sequence[tuple[str, Graph]]:
    """Return the program of each function that is called."""
    if "value" not in graph.outputs:
        return ()
    value = "value", replace(graph, outputs={"value": graph.outputs["value"]})
    return (("value_and_grad", graph), value) if graph.wrt else (value,)
