"""The meaning of the intermediate representation, in NumPy: short, slow and obviously right.

Every target is tested against this interpreter, and this interpreter against mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradcompile.errors import ArgumentError, LabelError, ShapeError
from gradcompile.ir import Axis, Graph, Input, Value, nearest_float, reachable, union
from gradcompile.primitives import PRIMITIVES

Array = NDArray[Any]
Axes = tuple[Axis, ...]

REDUCE: dict[str, Callable[..., Array]] = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}
NUMBERS = {"pi": np.pi, "e": np.e}
DTYPES = {"real": np.float64, "int": np.int64, "bool": np.bool_}


def evaluate(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Evaluate every output of a graph in float64.

    Parameters
    ----------
    graph : Graph
        What to evaluate.
    inputs : mapping of str to array
        One array for each input of the graph, with the shape that it declares; labels are integers.

    Returns
    -------
    dict of str to ndarray
        The outputs by name; the dimensions of each are its axes in their order, those of a gradient its parameter's.

    Raises
    ------
    ArgumentError, ShapeError, LabelError
        An input is missing, has another shape, or an index leaves the axis that it indexes.

    Examples
    --------
    >>> from gradcompile.ir import Axis, Builder, Graph, Input, Size
    >>> builder, j = Builder(), Axis(Size.of("D"))
    >>> total = builder.reduce("sum", builder.input("w", (j,)), [j])
    >>> evaluate(Graph(builder, {"w": Input("w", (j.size,))}, {"value": total}), {"w": [1.0, 2.0]})
    {'value': array(3.)}
    """
    arrays = {name: _array(declared, inputs) for name, declared in graph.inputs.items()}
    known: dict[Value, Array] = {}
    machine = _Machine(arrays, find_sizes(graph, arrays), known)
    with np.errstate(all="ignore"):
        for value in graph.order():
            known[value] = np.asarray(machine.result(value), DTYPES[value.kind])
    return {name: np.array(machine.full(value, graph.output_axes(name))) for name, value in graph.outputs.items()}


def numbers(
    values: Iterable[Value], grid: Axes, arrays: Mapping[str, ArrayLike], sizes: Mapping[str, int]
) -> dict[Value, Array]:
    """Evaluate values at every point of a grid.

    Parameters
    ----------
    values : iterable of Value
        What to evaluate.
    grid : tuple of Axis
        The dimensions of the results; the values have no other axes.
    arrays : mapping of str to array
        The inputs that the values read.
    sizes : mapping of str to int
        The named sizes.
    """
    values, known = list(values), dict[Value, Array]()
    machine = _Machine({name: np.asarray(array) for name, array in arrays.items()}, sizes, known)
    with np.errstate(all="ignore"):
        for value in reachable(values):
            known[value] = np.asarray(machine.result(value), DTYPES[value.kind])
    return {value: machine.full(value, grid) for value in values}


def _array(declared: Input, inputs: Mapping[str, ArrayLike]) -> Array:
    """Return one input as an array of the declared rank and kind."""
    if declared.name not in inputs:
        raise ArgumentError(
            f"the input {declared.name} is missing",
            expected="an array for each input",
            hint="give an array for each input of the graph",
        )
    array: Array = np.asarray(inputs[declared.name], DTYPES[declared.kind])
    if array.ndim != len(declared.shape):
        shape = f"({', '.join(map(str, declared.shape))})"
        raise ShapeError(
            f"{declared.name} has another rank",
            expected=shape,
            found=str(array.shape),
            hint="give one length for each axis",
        )
    return array


def find_sizes(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, int]:
    """Read the named sizes off the shapes: those that stand alone first, then those inside sums such as ``N - 1``."""
    equations = [
        (size, length, name)
        for name, declared in graph.inputs.items()
        for size, length in zip(declared.shape, np.shape(arrays[name]), strict=True)
    ]
    equations.sort(key=lambda e: len(e[0].terms))
    sizes: dict[str, int] = {}
    for size, length, name in equations:
        unknown = [(term, count) for term, count in size.terms if term not in sizes]
        if len(unknown) == 1:
            (term, count), rest = unknown[0], length - size.constant
            rest -= sum(c * sizes[t] for t, c in size.terms if t != term)
            sizes[term] = rest // count
        if len(unknown) < 2 and size.evaluate(sizes) != length:
            expected = f"{size} = {size.evaluate(sizes)}"
            raise ShapeError(
                f"{name} has the wrong length",
                expected=expected,
                found=str(length),
                hint="give arrays that agree about their axes",
            )
    return sizes


class _Machine:
    """Evaluates one value after the other, operands first."""

    def __init__(self, arrays: Mapping[str, Array], sizes: Mapping[str, int], known: Mapping[Value, Array]) -> None:
        self.arrays, self.sizes, self.known = arrays, sizes, known

    def result(self, value: Value) -> Any:
        if value.op in PRIMITIVES:
            return self._elementwise(value)
        if value.op in REDUCE:
            body = value.operands[0]
            return REDUCE[value.op](self.known[body], axis=tuple(body.axes.index(a) for a in value.attr))
        return OPERATIONS[value.op](self, value)

    def length(self, axis: Axis) -> int:
        return axis.size.evaluate(self.sizes)

    def aligned(self, value: Value, axes: Axes) -> Array:
        """Return the array of `value` with its dimensions where `axes` has them, and length 1 elsewhere."""
        order = sorted(range(len(value.axes)), key=lambda k: axes.index(value.axes[k]))
        array = self.known[value].transpose(order)
        return array.reshape([self.length(a) if a in value.axes else 1 for a in axes])

    def full(self, value: Value, axes: Axes) -> Array:
        """Return the array of `value` repeated along the axes that it does not have."""
        return np.broadcast_to(self.aligned(value, axes), [self.length(a) for a in axes])

    def _elementwise(self, value: Value) -> Any:
        return PRIMITIVES[value.op].reference(*(self.aligned(o, value.axes) for o in value.operands))

    def const(self, value: Value) -> Any:
        if value.kind == "real":
            return NUMBERS[value.attr] if isinstance(value.attr, str) else np.float64(nearest_float(value.attr))
        return DTYPES[value.kind](value.attr)

    def input(self, value: Value) -> Any:
        return self.arrays[value.attr]

    def size(self, value: Value) -> Any:
        return value.attr.evaluate(self.sizes)

    def iota(self, value: Value) -> Any:
        return np.arange(self.length(value.attr))

    def custom(self, value: Value) -> Any:
        """Return the value of a user's own function; the other operands matter to its derivative alone."""
        return self.full(value.operands[0], value.axes)

    def indices(self, array_axes: Axes, indices: tuple[Value, ...], axes: Axes) -> tuple[Array, ...]:
        """Return index arrays over `axes`; one that leaves its dimension is an error, as it is in mathematics."""
        arrays = tuple(self.full(i, axes) for i in indices)
        for axis, index in zip(array_axes, arrays, strict=True):
            if index.size and not (index.min() >= 0 and index.max() < self.length(axis)):
                raise LabelError(
                    f"an index leaves the axis of length {axis.size}",
                    expected=f"0 to {self.length(axis) - 1}",
                    found=f"{index.min()} to {index.max()}",
                    hint="correct the labels that it is made of",
                )
        return arrays

    def read(self, value: Value) -> Any:
        array, *indices = value.operands
        return self.known[array][self.indices(array.axes, tuple(indices), value.axes)]

    def accumulate(self, value: Value) -> Any:
        added, *indices = value.operands
        points = union([added.axes, *(i.axes for i in indices)])
        result: Array = np.zeros([self.length(a) for a in value.axes], DTYPES[value.kind])
        np.add.at(result, self.indices(value.axes, tuple(indices), points), self.full(added, points))
        return result

    def running(self, value: Value) -> Any:
        """Return a running sum or product; what an index is not to count is not taken away again, but never taken."""
        how, turn = value.attr, slice(None, None, -1 if value.attr.backward else 1)
        place = value.axes.index(how.axis)
        if how.op == "linear":
            return np.moveaxis(self.recurrence(value, place, turn), 0, place)
        along = np.moveaxis(self.aligned(value.operands[0], value.axes), place, 0)[turn]
        one, run = (np.zeros_like, np.cumsum) if how.op == "sum" else (np.ones_like, np.cumprod)
        found: Array = one(along)
        found[0 if how.own else 1 :] = run(along if how.own else along[:-1], axis=0)
        return np.moveaxis(found[turn], 0, place)

    def recurrence(self, value: Value, place: int, turn: slice) -> Array:
        """Return, its axis first, what factors and terms make of 0: ``total = total*factor + term``."""
        factors, terms = (np.moveaxis(self.full(o, value.axes), place, 0)[turn] for o in value.operands)
        found: Array = np.zeros_like(terms)
        total: Array = np.zeros_like(terms[:1].sum(0))
        for k, (factor, term) in enumerate(zip(factors, terms, strict=True)):
            after = total * factor + term
            found[k] = after if value.attr.own else total
            total = after
        return found[turn]

    def matrix(self, operand: Value, value: Value) -> tuple[Array, Axes]:
        """Return an operand with rows and columns last, and its other axes."""
        batch = tuple(a for a in operand.axes if a not in value.attr)
        return self.aligned(operand, (*batch, *value.attr)), batch

    def placed(self, array: Array, axes: Axes, value: Value) -> Array:
        """Return `array`, whose dimensions are `axes`, with the dimensions in the order of the value's axes."""
        return array.transpose([axes.index(a) for a in value.axes])

    def inverse(self, value: Value) -> Any:
        array, batch = self.matrix(value.operands[0], value)
        return self.placed(np.linalg.inv(array), (*batch, *value.attr), value)

    def cholesky(self, value: Value) -> Any:
        array, batch = self.matrix(value.operands[0], value)
        return self.placed(np.linalg.cholesky(array), (*batch, *value.attr), value)

    def determinant(self, value: Value) -> Any:
        array, batch = self.matrix(value.operands[0], value)
        return self.placed(np.linalg.det(array), batch, value)

    def logdet(self, value: Value) -> Any:
        """Return log(det A); a negative determinant has no real logarithm."""
        array, batch = self.matrix(value.operands[0], value)
        sign, log = np.linalg.slogdet(array)
        return self.placed(np.where(sign < 0, np.nan, log), batch, value)

    def solve(self, value: Value) -> Any:
        """Return x with sum over columns of A[row, column] x[column] = b[row], for each right side."""
        matrix, right = value.operands
        row, column = value.attr
        array, batch = self.matrix(matrix, value)
        sides = tuple(a for a in value.axes if a not in (*batch, column))
        given = self.full(right, (*batch, row, *sides))
        shape = given.shape
        solution = np.linalg.solve(array, given.reshape(*array.shape[:-1], math.prod(shape[array.ndim - 1 :]))).reshape(
            shape
        )
        return self.placed(solution, (*batch, column, *sides), value)


OPERATIONS: dict[str, Callable[[_Machine, Value], Any]] = {
    name: getattr(_Machine, name)
    for name in (
        "const", "input", "size", "iota", "custom", "read", "accumulate", "running",
        "inverse", "cholesky", "determinant", "logdet", "solve",
    )
}  # fmt: skip
