"""Steps that take many samples: the gradient in parts, which threads share, and then the update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from gradcompile.emit import epoch as text
from gradcompile.emit import support
from gradcompile.emit.update import Formulas
from gradcompile.ir import Graph, Input
from gradcompile.jit import ByArguments
from gradcompile.pipeline import Program
from gradcompile.step import in_halves

Array = np.ndarray[Any, np.dtype[Any]]
GRADIENT = "value_and_grad"


class Whole:
    """The steps of an optimizer on many samples, by two functions: one for the gradient, one for the update.

    Parameters
    ----------
    graph : Graph
        The objective per sample, with its backward half; every element of a parameter moves.
    formulas : Formulas
        The optimizer.
    dtype : {"float64", "float32"}
        Of the parameters.
    still : bool
        Whether a parameter does not move whose gradient is always 0.
    """

    def __init__(self, graph: Graph, formulas: Formulas, dtype: str, *, still: bool) -> None:
        self.graph, self.formulas, self.dtype, self.still = graph, formulas, dtype, still
        self.program = Program(graph, dtype, strict=False)
        self.program.patient = True

    def suits(self, given: Mapping[str, Any]) -> bool:
        """Return whether there is work for several threads in a step with these arguments."""
        return self.program.target == "numba" and self.program.divided.call(GRADIENT, self._of(given)) is not None

    def operations(self, given: Mapping[str, Any]) -> float:
        """Return how many operations of a loop a step with these arguments takes."""
        return self.program.divided.operations(self.program.arguments.sizes(self._of(given)))

    def compile(self, given: Mapping[str, Any], state: Sequence[Array]) -> None:
        """Compile what a step calls, and take none."""
        call = self.program.divided.call(GRADIENT, self._of(given))
        self.program.compile([GRADIENT] if call is None else call.functions)
        nothing = [np.zeros_like(given[name]) if self.graph.inputs[name].shape else 0.0 for name in self._moving]
        self._update(*self._parameters(given), *nothing, *state, 0, 0, 1, 0, 0.0)

    def step(self, given: Mapping[str, Any], state: Sequence[Array], taken: int) -> float:
        """Take a step after `taken` others: change parameters and state in place; return the objective per sample."""
        value, gradients = self.program.call(GRADIENT, self._of(given))
        found = dict(zip(self.graph.wrt, gradients, strict=True))
        moving = [np.ascontiguousarray(found[n]) if np.ndim(found[n]) else found[n] for n in self._moving]
        self._update(*self._parameters(given), *moving, *state, 0, 1, 1, taken, 0.0)
        return float(value)

    @cached_property
    def _update(self) -> Callable[..., float]:
        """The function ``epoch`` of a model whose gradients are given: parameters and gradients, then as always."""
        graph = _given(self.graph)
        halves = in_halves(graph, still=self.still)
        source = text.render(text.Epoch(graph, halves, "", self.formulas, self.dtype))
        return ByArguments(source, "epoch", ("gradient", "update"), support.functions("numba"))

    @property
    def _moving(self) -> list[str]:
        """The parameters whose gradient is not always 0."""
        return [name for name in self.graph.wrt if not self.graph.outputs[f"d{name}"].is_const(0)]

    def _parameters(self, given: Mapping[str, Any]) -> list[Array]:
        return [given[name] for name in self.graph.wrt]

    def _of(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the arguments in call order; of a scalar parameter its one element."""
        scalars = {name for name in self.graph.wrt if not self.graph.inputs[name].shape}
        return [given[name].item() if name in scalars else given[name] for name in self.graph.inputs]


def _given(graph: Graph) -> Graph:
    """Return a graph with the parameters of another, whose gradients are arguments."""
    inputs = {name: graph.inputs[name] for name in graph.wrt}
    outputs = {"value": graph.builder.const(0)}
    for name in graph.wrt:
        gradient = graph.outputs[f"d{name}"]
        if not gradient.is_const(0):
            own = _fresh(f"d{name}", inputs)
            inputs[own] = Input(own, graph.inputs[name].shape, role="data")
            gradient = graph.builder.input(own, graph.inputs[name].axes)
        outputs[f"d{name}"] = gradient
    return Graph(graph.builder, inputs, outputs, wrt=graph.wrt)


def _fresh(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name = f"d{name}"
    return name
