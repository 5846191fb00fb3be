"""Derivatives along directions and back from cotangents, of one model: products with its Jacobian and its Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcompile import higher
from gradcompile.arguments import Argument, laid_out, no_numbers, numeric
from gradcompile.errors import ArgumentError, ShapeError, within_depth
from gradcompile.ir import Axis, Graph
from gradcompile.pipeline import EMISSION, Program
from gradcompile.schedule import Product
from gradcompile.schedule.nodes import all_statements

Parts = tuple[Any, ...]  # one array or number for each parameter
Sizes = dict[str, int]
Bind = Callable[[Mapping[str, Any]], tuple[list[Argument], Sizes]]


def _parts_in_words(direction: object) -> str:
    """Return what was given for a direction, as an error says it: ``a tuple of 2``."""
    kind = type(direction).__name__
    return f"a {kind} of {len(direction)}" if isinstance(direction, tuple | list) else f"an object of type {kind}"


class Derivatives:
    """The products of one model's derivatives with given arrays; each program is made when it is first asked for.

    Parameters
    ----------
    lowered : Graph
        The objective, before differentiation.
    bind : callable
        Checked arguments, in call order, and the sizes, from the arguments of a call.
    gradient : callable
        The gradient, one part for each parameter, from checked arguments; of an objective that is a number.
    program : callable
        The program of a graph, in the model's dtype.
    dtype : {"float64", "float32"}
        Of directions and cotangents that are arrays.
    """

    def __init__(
        self,
        lowered: Graph,
        bind: Bind,
        gradient: Callable[[Sequence[Argument]], Parts],
        program: Callable[[Graph], Program],
        dtype: str,
    ) -> None:
        self.lowered, self._bind, self.gradient, self.names = lowered, bind, gradient, lowered.wrt
        self._new, self.dtype = program, dtype
        self._known: dict[tuple[object, ...], Program] = {}

    def jvp(self, direction: Any, inputs: Mapping[str, Any]) -> Any:
        """Return the derivative of the objective along a direction."""
        self._need(direction, "the direction v", "jvp(v, ...)")
        arguments, _ = self._bind(inputs)
        (along,) = self.run(higher.pushed, [*arguments, *self._directions(direction, arguments)])
        return along if self.lowered.output_axes("value") else float(along)

    def vjp(self, factor: Any, inputs: Mapping[str, Any]) -> Parts:
        """Return the derivatives of the objective, multiplied by an array of its shape and added up."""
        self._need(factor, "u, which weighs the objective,", "vjp(u, ...)")
        arguments, sizes = self._bind(inputs)
        axes = self.lowered.output_axes("value")
        weight = self._part("u, which weighs the objective,", factor, tuple(axis.size.evaluate(sizes) for axis in axes))
        return self.run(higher.pulled, [*arguments, weight]) if axes else self._scaled(arguments, weight)

    def _scaled(self, arguments: Sequence[Argument], factor: Argument) -> Parts:
        """Return a number times the gradient, which needs no program of its own."""
        return tuple(part * factor for part in self.gradient(arguments))

    def hvp(self, direction: Any, inputs: Mapping[str, Any]) -> Parts:
        """Return the Hessian times a direction."""
        self._need(direction, "the direction v", "hvp(v, ...)")
        arguments, _ = self._bind(inputs)
        return self.run(higher.curved, [*arguments, *self._directions(direction, arguments)])

    @property
    def programs(self) -> Iterable[Program]:
        """The programs that there are so far."""
        return self._known.values()

    def run(self, make: Callable[..., Graph], arguments: Sequence[Argument], *along: Axis) -> Parts:
        """Return all outputs of the program of a graph that `make` makes of the objective."""
        parts: Parts = self._program(make, *along).run("derivatives", arguments)
        return parts

    def multiplies(self, make: Callable[..., Graph]) -> bool:
        """Return whether the program for one direction has products of matrices, which BLAS computes."""
        return any(isinstance(each, Product) for each in all_statements(self._program(make).plan.body))

    def _program(self, make: Callable[..., Graph], *along: Axis) -> Program:
        key = (make.__name__, *along)
        if key not in self._known:
            with EMISSION, within_depth():
                self._known[key] = self._new(make(self.lowered, *along))
        return self._known[key]

    @staticmethod
    def _need(given: Any, name: str, call: str) -> None:
        """Refuse a call without what comes first."""
        if given is None:
            hint = f"give it first and without a name, {call}, then the arguments by name"
            raise ArgumentError(f"{name} is missing", expected=call, hint=hint)

    def _directions(self, direction: Any, arguments: Sequence[Argument]) -> list[Argument]:
        """Return a direction as one array a parameter, each with the parameter's shape and dtype."""
        if isinstance(direction, Mapping):
            parts: Any = self._by_name(direction)
        else:
            parts = (direction,) if len(self.names) == 1 and not isinstance(direction, tuple) else direction
        if not isinstance(parts, (tuple, list)) or len(parts) != len(self.names):
            raise ArgumentError(
                "the direction v does not have one part for each parameter",
                expected=f"v=({', '.join(self.names)}{',' * (len(self.names) == 1)})",
                found=_parts_in_words(direction),
                hint="give a tuple with one array for each parameter, or a dict with their names",
            )
        shapes = [np.shape(argument) for argument in arguments[: len(self.names)]]
        named = (f"the direction of {name}" for name in self.names)
        return [self._part(*each) for each in zip(named, parts, shapes, strict=True)]

    def _by_name(self, direction: Mapping[Any, Any]) -> list[Any]:
        """Return the parts of a direction that is given by the names of the parameters."""
        missing = [name for name in self.names if name not in direction]
        others = [str(name) for name in direction if name not in self.names]
        if missing or others:
            what = f"has no part for {', '.join(missing)}" if missing else f"names {', '.join(others)}, no parameter"
            raise ArgumentError(
                f"the direction v {what}",
                expected=", ".join(self.names),
                found=", ".join(map(str, direction)) or "an empty dict",
                hint="give one array for each parameter; zeros where it is not to move",
            )
        return [direction[name] for name in self.names]

    def _part(self, name: str, part: Any, shape: tuple[int, ...]) -> Argument:
        """Return an array (or a number) of this shape."""
        array = numeric(part, partial(no_numbers, name))
        if array.shape != shape:
            expected, found = f"shape {shape}" if shape else "a number", f"shape {array.shape}"
            raise ShapeError(f"{name} has another shape", expected=expected, found=found, hint=f"give it {expected}")
        return laid_out(name, array, np.dtype(self.dtype)) if array.ndim else float(array)
