"""Derivatives along directions, and matrices of derivatives, of a model that has value and gradient.

One program gives them all: forward mode over the graph of value and gradient. Its value is the derivative of the
objective along a direction, its gradient the Hessian times that direction, at a small multiple of one gradient's cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradcompile.arguments import Argument
from gradcompile.errors import ArgumentError, ShapeError
from gradcompile.ir import Graph
from gradcompile.pipeline import Program, directional

Parts = tuple[Any, ...]  # one array or number for each parameter


class Derivatives:
    """The derivatives of one model beyond its gradient.

    Parameters
    ----------
    lowered : Graph
        The objective, before differentiation.
    bind : callable
        Checked arguments, in call order, from those of a call.
    gradient : callable
        The gradients, one for each parameter, from checked arguments.
    program : callable
        The program of a graph, in the model's dtype.
    """

    def __init__(
        self,
        lowered: Graph,
        bind: Callable[[Mapping[str, Any]], list[Argument]],
        gradient: Callable[[Sequence[Argument]], Parts],
        program: Callable[[Graph], Program],
    ) -> None:
        self._bind, self._gradient, self.names = bind, gradient, lowered.wrt
        self.seeds = {name: _free(f"v_{name}", lowered.inputs) for name in lowered.wrt}
        self.program = program(directional(lowered, self.seeds))
        self.forward = program(_value_alone(self.program.graph))
        self.programs = (self.program, self.forward)

    def along(self, direction: Any, inputs: Mapping[str, Any]) -> float:
        """Return the derivative of the objective along a direction."""
        arguments = self._bind(inputs)
        return float(self.forward.run("value", [*arguments, *self._directions(direction, arguments)]))

    def gradient(self, factor: Any, inputs: Mapping[str, Any]) -> Parts:
        """Return `factor` times the gradient."""
        if np.ndim(factor):
            found = f"shape {np.shape(factor)}"
            raise ShapeError("the objective is one number, and so is its factor u", expected="a number", found=found)
        return tuple(part * float(factor) for part in self._gradient(self._bind(inputs)))

    def hessian_times(self, direction: Any, inputs: Mapping[str, Any]) -> Parts:
        """Return the Hessian times a direction."""
        arguments = self._bind(inputs)
        return self._times(arguments, self._directions(direction, arguments))

    def hessian(self, inputs: Mapping[str, Any]) -> tuple[Parts, ...]:
        """Return the Hessian in blocks: block [k][l] has the axes of parameter k and then those of parameter l."""
        arguments = self._bind(inputs)
        shapes = [np.shape(a) for a in arguments[: len(self.names)]]
        columns = [self._columns(arguments, shapes, moving) for moving in range(len(shapes))]
        return tuple(tuple(column[row] for column in columns) for row in range(len(shapes)))

    def _columns(self, arguments: list[Argument], shapes: list[tuple[int, ...]], moving: int) -> list[Any]:
        """Return, for each parameter, the derivative of its gradient by parameter number `moving`."""
        blocks = [np.empty((*shape, *shapes[moving]), self.program.dtype) for shape in shapes]
        zeros: list[Any] = [np.zeros(shape, self.program.dtype) if shape else 0.0 for shape in shapes]
        for place in np.ndindex(shapes[moving]):
            unit = list(zeros)
            unit[moving] = _unit(zeros[moving], place)
            for block, part in zip(blocks, self._times(arguments, unit), strict=True):
                block[(..., *place)] = part
        return [block if block.ndim else float(block) for block in blocks]

    def _times(self, arguments: list[Argument], directions: list[Argument]) -> Parts:
        parts: Parts = self.program.run("value_and_grad", [*arguments, *directions])[1]
        return parts

    def _directions(self, direction: Any, arguments: list[Argument]) -> list[Argument]:
        """Return a direction as one array a parameter, each with the parameter's shape and dtype."""
        parts = (direction,) if len(self.names) == 1 and not isinstance(direction, tuple) else direction
        if not isinstance(parts, (tuple, list)) or len(parts) != len(self.names):
            raise ArgumentError(
                "the direction v does not have one part for each parameter",
                expected=f"v=({', '.join(self.names)}{',' * (len(self.names) == 1)})",
                found=f"an object of type {type(direction).__name__}",
            )
        return [self._part(*each) for each in zip(self.names, parts, arguments, strict=False)]

    def _part(self, name: str, part: Any, parameter: Argument) -> Argument:
        try:
            array = np.asarray(part, self.program.dtype)
        except (TypeError, ValueError):
            found = f"an object of type {type(part).__name__}"
            raise ArgumentError(f"the direction of {name} does not hold numbers", found=found) from None
        if array.shape != np.shape(parameter):
            expected, found = f"shape {np.shape(parameter)}", f"shape {array.shape}"
            raise ShapeError(f"the direction of {name} has another shape", expected=expected, found=found)
        return np.ascontiguousarray(array) if array.ndim else float(array)


def _unit(zero: Any, place: tuple[int, ...]) -> Any:
    """Return a direction that is 1 at one place and 0 at all others."""
    if not place:
        return 1.0
    unit = zero.copy()
    unit[place] = 1
    return unit


def _value_alone(graph: Graph) -> Graph:
    """Return the graph of the derivative along a direction, without the products of the Hessian."""
    return replace(graph, outputs={"value": graph.outputs["value"]}, wrt=())


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name that no argument has."""
    while name in taken:
        name += "_"
    return name
