"""The functions of a program that threads can share: which there are, and which calls are large enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradcompile.arguments import Argument, Arguments
from gradcompile.ir import Graph, Input
from gradcompile.schedule import Parts, in_parts, stream_axis
from gradcompile.threads.calls import Function, InParts
from gradcompile.threads.chunks import Chunks


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
    possible : bool
        Whether the program is compiled at all.

    Attributes
    ----------
    parts : dict of str to Parts
        The functions in parts, by name: ``value``, ``value_and_grad``.
    functions : dict of str to Graph
        The program of each function that these are made of.
    """

    def __init__(self, graph: Graph, arguments: Arguments, function: Function, *, possible: bool) -> None:
        self.graph = graph
        cuts = {name: in_parts(program, stream_axis(program)) for name, program in _programs(graph) if possible}
        self.parts = {name: cut for name, cut in cuts.items() if isinstance(cut, Parts)}
        self._refusals = [cut for cut in cuts.values() if isinstance(cut, str)]
        self._calls = {name: InParts(cut, name, arguments, Chunks(cut), function) for name, cut in self.parts.items()}
        self.functions = {
            part: program for name, cut in self.parts.items() for part, program in cut.functions(name).items()
        }

    def call(self, name: str, arguments: Sequence[Argument]) -> InParts | None:
        """Return a function in parts, if that is how a call with these arguments is to be made."""
        shared = self._calls.get(name)
        return shared if shared is not None and shared.length(arguments) else None

    def inputs(self, function: str) -> dict[str, Input]:
        """Return the inputs of a function of the module, in parts or whole."""
        return self.functions.get(function, self.graph).inputs

    def described(self) -> tuple[str, ...]:
        """Return in words whether threads share the work, for the plan."""
        if self._calls:
            return (max(self._calls.values(), key=lambda call: call.calls).described(),)
        return tuple(f"one thread: {reason}" for reason in self._refusals[-1:])


def _programs(graph: Graph) -> Sequence[tuple[str, Graph]]:
    """Return the program of each function that is called."""
    if "value" not in graph.outputs:
        return ()
    value = "value", replace(graph, outputs={"value": graph.outputs["value"]})
    return (("value_and_grad", graph), value) if graph.wrt else (value,)
