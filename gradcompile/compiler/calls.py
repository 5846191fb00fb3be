"""What all calls of a compiled model have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcompile.arguments import Arguments
from gradcompile.errors import UnsupportedError
from gradcompile.ir import Graph
from gradcompile.pipeline import Program, Suiting

Gradient = Any  # an array with the parameter's shape, or a float for a scalar parameter
Gradients = Any  # one gradient, or a tuple of them: as `wrt` was given


class Calls:
    """The parts of a compiled model that its calls use; see `CompiledModel` for those that are public."""

    graph: Graph
    lowered: Graph
    arguments: tuple[str, ...]
    dtype: str
    strict: bool
    is_array: bool
    single: bool  # whether `wrt` was given as one symbol
    _program: Program  # of value and gradient
    _patient: bool  # whether the user has waited for compiled code

    @property
    def checked(self) -> Arguments:
        """The declared arguments, which check and cast those of a call."""
        return self._program.arguments

    def _new(self, graph: Graph, suited: Suiting | None = None) -> Program:
        """Return the program of a graph that belongs to this model."""
        program = Program(graph, self.dtype, self.strict, suited)
        program.patient = self._patient or program.patient
        return program

    def _named(self, positional: Sequence[Any], inputs: dict[str, Any]) -> dict[str, Any]:
        if positional:
            raise self.checked.signature.positional(len(positional))
        return inputs

    def _mirrored(self, gradients: tuple[Gradient, ...]) -> Gradients:
        """Return gradients as `wrt` was given."""
        return gradients[0] if self.single else gradients

    def _need_number(self, call: str) -> None:
        """Refuse what only an objective that is a number has."""
        if self.is_array:
            axes = ", ".join(str(axis.size) for axis in self.lowered.output_axes("value"))
            raise UnsupportedError(
                f"the objective is an array, which has no {call}",
                expected="an objective that is one number",
                found=f"axes ({axes})",
                hint="call jacobian, jvp or vjp; or sum the objective over its axes",
            )
