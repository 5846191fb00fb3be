"""The objective of a graph at one point, to any number of digits, and its slopes: the exact gradient.

The value is the graph before differentiation and before any pass, evaluated with mpmath; a slope is a difference of two
such values, so far apart from rounding that more than 50 digits of it are right. Neither the adjoint, nor the
table's derivatives, nor the passes, nor the emitted code, nor floating point has a part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from gradcompile.check import matrices
from gradcompile.check.arithmetic import ROWS, constant, elementwise, number, totalled
from gradcompile.errors import UnsupportedError
from gradcompile.interpret import find_sizes
from gradcompile.ir import REDUCTIONS, Axis, Graph, Value, union
from gradcompile.primitives import PRIMITIVES

Array = NDArray[Any]  # of mpmath's numbers, or of Python's integers and booleans
Axes = tuple[Axis, ...]
Point = Mapping[str, Any]

DIGITS = 50
# Decimal digits that a point may need: where the first are too few, as for 1 - tanh(300), more show it. A difference
# with step 1e-40 keeps 70 of them, and is off by 1e-80, or by 1e-40 where the slope itself has a kink.
WORKING = (110, 880, 4400)
STEP, FINER = 40, 8  # decimal places of the step, and how many more where that leaves a doubt
LOST = 20  # digits that the objective may lose at a precision that is enough
KINK = 12  # digits in which the slopes on both sides of a point agree where there is no kink


@dataclass(frozen=True)
class Slope:
    """The derivative of the objective along a direction: from below, from above, and whether they are one.

    Where the objective is not a real number on one side, that side is nan. At a kink, `moved` is by how much a smaller
    step has changed the sides: where that made one of them larger, as that of x*log(x) at 0, it has no bound.
    """

    below: Any
    above: Any
    smooth: bool
    moved: Any = 0
    bounded: bool = True

    @property
    def mean(self) -> Any:
        """The derivative; with a side that is nan, that from the other."""
        sides = [side for side in (self.below, self.above) if side == side]
        return sum(sides) / len(sides) if sides else mp.nan


class Exact:
    """A graph at one point.

    Parameters
    ----------
    graph : Graph
        Lowered, and not differentiated.
    point : mapping of str to array
        Every input; floats count as the binary numbers that they are.
    weights : array, optional
        Of an objective that is an array: the sum of its numbers with these weights takes its place.

    Examples
    --------
    >>> from gradcompile.language import parse_expression
    >>> from gradcompile.lower import lower
    >>> exact = Exact(lower(parse_expression("x**2")), {"x": 3.0})
    >>> float(exact.slope("x", ()).mean)
    6.0
    """

    def __init__(self, graph: Graph, point: Point, weights: Any = 1.0) -> None:
        self.graph, self.weights = graph, numbers(weights, "real")
        self.point = {name: numbers(point[name], graph.inputs[name].kind) for name in graph.inputs}
        self.sizes = find_sizes(graph, {name: np.asarray(value) for name, value in point.items()})
        self.order = graph.order([graph.outputs["value"]])

    @cached_property
    def centre(self) -> Any:
        """The objective at the point."""
        with mp.workdps(self.digits):
            return self.value()

    @cached_property
    def digits(self) -> int:
        """The digits at which the objective has those that differences need."""
        values = []
        for digits in WORKING:
            with mp.workdps(digits):
                values.append(self.value())
                if len(values) > 1 and abs(values[-1] - values[-2]) <= abs(values[-1]) * mpf(10) ** (LOST - WORKING[0]):
                    return WORKING[len(values) - 2]
        return WORKING[-1]

    @property
    def work(self) -> int:
        """About how many numbers one evaluation computes."""
        lengths = {axis: axis.size.evaluate(self.sizes) for value in self.order for axis in value.axes}
        axes = [value.operands[0].axes if value.op in REDUCTIONS else value.axes for value in self.order]
        return sum(int(np.prod([lengths[a] for a in each], dtype=float)) for each in axes)

    def value(self, changed: Mapping[str, Array] | None = None) -> Any:
        """Return the objective at the precision that is set, with some inputs changed."""
        machine = _Machine(self.point | dict(changed or {}), self.sizes)
        machine.run(self.order)
        found = machine.full(self.graph.outputs["value"], self.graph.output_axes("value"))
        return np.sum(found * self.weights) if self.weights.ndim else found.item()

    def slope(self, parameter: str, place: tuple[int, ...]) -> Slope:
        """Return the derivative by one element of a parameter."""
        way = np.full(self.point[parameter].shape, mpf(0), object)
        way[place] = mpf(1)
        return self.along({parameter: way})

    def along(self, direction: Mapping[str, Array]) -> Slope:
        """Return the derivative along a direction: an array for each parameter that moves.

        Without a kink, what the two sides differ by shrinks with the step, and so does a derivative that is 0.
        """
        with mp.workdps(self.digits):
            below, above = self._sides(direction, STEP)
            apart, size = abs(below - above), abs(below) + abs(above)
            if apart <= size * mpf(10) ** -KINK and (size > mpf(10) ** -STEP or not size):
                return Slope(below, above, smooth=True)
            finer = self._sides(direction, STEP + FINER)
            if abs(sum(finer)) < size * mpf(10) ** (1 - FINER):  # of x**3 at 0: it is 0
                finer = (mpf(0), mpf(0))
            if abs(finer[0] - finer[1]) <= apart * mpf(10) ** (1 - FINER) or apart == 0:
                return Slope(*finer, smooth=True)
            pairs = [(old, new) for old, new in zip((below, above), finer, strict=True) if new == new]
            bounded = all(abs(new) <= abs(old) * (1 + mpf(10) ** -6) for old, new in pairs)
            return Slope(*finer, False, max((abs(old - new) for old, new in pairs), default=mpf(0)), bounded)

    def _scale(self, direction: Mapping[str, Array]) -> Any:
        """Return the smallest ratio of a number to how far it moves: a step is small beside each of them."""
        ratios = [
            abs(number / moves)
            for name, way in direction.items()
            for number, moves in zip(self.point[name].flat, way.flat, strict=True)
            if number and moves
        ]
        return min(ratios, default=mpf(1))

    def _sides(self, direction: Mapping[str, Array], places: int) -> tuple[Any, Any]:
        """Return the slopes to a point below and to one above, with a step of so many decimal places."""
        step = mpf(10) ** -places * self._scale(direction)
        below, above = (
            self.value({name: self.point[name] + signed * way for name, way in direction.items()})
            for signed in (-step, step)
        )
        return (self.centre - below) / step, (above - self.centre) / step


def numbers(given: Any, kind: str) -> Array:
    """Return an array of exact numbers: integers for labels, else mpmath's."""
    array = np.asarray(given)
    exact = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        exact[place] = int(array[place]) if kind == "int" else number(float(array[place]))
    return exact


class _Machine:
    """Evaluates one value after the other, operands first."""

    def __init__(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.inputs, self.sizes = inputs, sizes
        self.known: dict[Value, Array] = {}

    def run(self, order: Sequence[Value]) -> Array:
        """Return the last value of an order."""
        for value in order:
            self.known[value] = objects(self._result(value))
        return self.known[order[-1]]

    def _result(self, value: Value) -> Any:
        if value.op in PRIMITIVES:
            return self._elementwise(value)
        if value.op in REDUCTIONS:
            return self._reduced(value)
        if value.op not in OPERATIONS:
            hint = "check it with gradcompile.testing.assert_function_gradient"
            raise UnsupportedError(f"{value.op} is not evaluated at {DIGITS} digits", hint=hint)
        return OPERATIONS[value.op](self, value)

    def length(self, axis: Axis) -> int:
        """Return the number of entries along an axis."""
        return axis.size.evaluate(self.sizes)

    def full(self, value: Value, axes: Axes) -> Array:
        """Return the array of `value` with the dimensions of `axes`, repeated along those that it does not have."""
        order = sorted(range(len(value.axes)), key=lambda k: axes.index(value.axes[k]))
        array = self.known[value].transpose(order)
        aligned = array.reshape([self.length(a) if a in value.axes else 1 for a in axes])
        return np.broadcast_to(aligned, [self.length(a) for a in axes])

    def _elementwise(self, value: Value) -> Any:
        return elementwise(ROWS[value.op])(*(self.full(operand, value.axes) for operand in value.operands))

    def _reduced(self, value: Value) -> Array:
        body = value.operands[0]
        apart = self.full(body, (*value.axes, *value.attr)).reshape([self.length(a) for a in value.axes] + [-1])
        result = np.empty(apart.shape[:-1], object)
        for place in np.ndindex(result.shape):
            result[place] = totalled(value.op, list(apart[place]))
        return result

    def const(self, value: Value) -> Any:
        """Return a constant: pi, e, or the number as it stands in the graph."""
        if isinstance(value.attr, str):
            return +getattr(mp, value.attr)
        if isinstance(value.attr, Fraction):
            return mpf(value.attr.numerator) / value.attr.denominator
        return constant(value.attr) if isinstance(value.attr, float) else value.attr

    def input(self, value: Value) -> Any:
        """Return an input."""
        return self.inputs[value.attr]

    def size(self, value: Value) -> Any:
        """Return the length of an axis as a number."""
        return value.attr.evaluate(self.sizes)

    def iota(self, value: Value) -> Any:
        """Return the numbers of an axis."""
        return list(range(self.length(value.attr)))

    def custom(self, value: Value) -> Any:
        """Return the value of a user's own function."""
        return self.full(value.operands[0], value.axes)

    def indices(self, indices: Sequence[Value], axes: Axes) -> list[NDArray[np.int64]]:
        """Return arrays of whole numbers over `axes`."""
        return [self.full(index, axes).astype(np.int64) for index in indices]

    def read(self, value: Value) -> Any:
        """Return an array at indices."""
        array, *indices = value.operands
        return self.known[array][tuple(self.indices(indices, value.axes))]

    def accumulate(self, value: Value) -> Any:
        """Return zeros to which an array was added at indices."""
        added, *indices = value.operands
        points = union([added.axes, *(i.axes for i in indices)])
        result = np.full([self.length(a) for a in value.axes], mpf(0), object)
        np.add.at(result, tuple(self.indices(indices, points)), self.full(added, points))
        return result

    def matrices(self, value: Value, operand: Value) -> tuple[Array, Axes]:
        """Return an operand with rows and columns last, and its other axes."""
        batch = tuple(a for a in operand.axes if a not in value.attr)
        return self.full(operand, (*batch, *value.attr)), batch

    def inverse(self, value: Value) -> Any:
        """Return inverse matrices."""
        return self._each(value, matrices.inverse, (*value.attr,))

    def cholesky(self, value: Value) -> Any:
        """Return lower triangular factors."""
        return self._each(value, matrices.cholesky, (*value.attr,))

    def determinant(self, value: Value) -> Any:
        """Return determinants."""
        return self._each(value, matrices.determinant, ())

    def logdet(self, value: Value) -> Any:
        """Return logarithms of determinants."""
        return self._each(value, matrices.logdet, ())

    def _each(self, value: Value, function: Callable[[Any], Any], own: Axes) -> Array:
        """Return a function of every matrix of a stack, with the dimensions in the order of the value's axes."""
        stack, batch = self.matrices(value, value.operands[0])
        axes = (*batch, *own)
        return objects(function(stack)).transpose([axes.index(a) for a in value.axes])

    def solve(self, value: Value) -> Any:
        """Return x with sum over columns of A[row, column] x[column] = b[row], for each right side."""
        matrix, right = value.operands
        row, column = value.attr
        stack, batch = self.matrices(value, matrix)
        sides = tuple(a for a in value.axes if a not in (*batch, column))
        given = self.full(right, (*batch, row, *sides))
        shape = given.shape
        solution = matrices.solve(stack, given.reshape(*stack.shape[:-1], math.prod(shape[stack.ndim - 1 :]))).reshape(
            shape
        )
        return solution.transpose([(*batch, column, *sides).index(a) for a in value.axes])


OPERATIONS: Mapping[str, Callable[[_Machine, Value], Any]] = {
    name: getattr(_Machine, name)
    for name in (
        "const", "input", "size", "iota", "custom", "read", "accumulate",
        "inverse", "cholesky", "determinant", "logdet", "solve",
    )
}  # fmt: skip


def objects(given: Any) -> Array:
    """Return anything as an array of objects."""
    result: Array = np.asarray(given, object)
    return result
