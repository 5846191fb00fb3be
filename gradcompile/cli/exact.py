"""Value and gradient of a graph at 50 digits: what `gradcompile check` compares the compiled gradient with.

The value is the graph before differentiation, evaluated number by number with the SymPy form of every function, at a
precision far beyond 50 digits; the gradient is its central differences. Neither the adjoint, nor the passes, nor the
emitted code, nor floating point has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from gradcompile.errors import DataError, UnsupportedError
from gradcompile.interpret import find_sizes
from gradcompile.ir import Axis, Graph, Value, union
from gradcompile.primitives import PRIMITIVES

Array = NDArray[Any]  # of SymPy numbers, or of Python's integers and booleans
Axes = tuple[Axis, ...]

DIGITS = 50
WORKING = 110  # digits: a difference with step 1e-30 keeps 80 of them, and is off by about 1e-60
STEP = sympy.Float("1e-30", WORKING)
NUMBERS = {"pi": sympy.pi, "e": sympy.E}
REDUCE: Mapping[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "max": lambda a, b: a if a >= b else b,
    "min": lambda a, b: a if a <= b else b,
}


class Exact:
    """A graph at one point, at 50 digits.

    Parameters
    ----------
    graph : Graph
        Lowered, and not differentiated.
    point : mapping of str to array
        Every input; floats count as the binary numbers that they are.

    Examples
    --------
    >>> from gradcompile.language import parse_expression
    >>> from gradcompile.lower import lower
    >>> exact = Exact(lower(parse_expression("x**2")), {"x": 3.0})
    >>> exact.slope("x", ())
    6.0
    """

    def __init__(self, graph: Graph, point: Mapping[str, Any]) -> None:
        self.graph = graph
        self.point = {name: _numbers(point[name], graph.inputs[name].kind) for name in graph.inputs}
        self.sizes = find_sizes(graph, {name: np.asarray(value) for name, value in point.items()})
        self.order = graph.order([graph.outputs["value"]])

    def value(self, changed: Mapping[str, Array] | None = None) -> Any:
        """Return the objective as a SymPy number, with some inputs changed.

        Raises
        ------
        DataError
            It is not a real number at this point.
        """
        found = _Machine(self.point | dict(changed or {}), self.sizes).run(self.order).item()
        if not (found.is_Float or found.is_Rational):
            raise DataError(f"the objective is {found} at this point", hint="check at another point")
        return found

    def slope(self, parameter: str, place: tuple[int, ...]) -> float:
        """Return the derivative by one element of a parameter, correctly rounded."""
        ends = []
        for step in (STEP, -STEP):
            moved = self.point[parameter].copy()
            moved[place] = moved[place] + step
            ends.append(self.value({parameter: moved}))
        return float((ends[0] - ends[1]) / (2 * STEP))


def _numbers(given: Any, kind: str) -> Array:
    """Return an array of exact numbers: integers for labels, else floats at the working precision."""
    array = np.asarray(given)
    exact = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        number = array[place].item()
        exact[place] = int(number) if kind == "int" else sympy.Float(number, WORKING)
    return exact


class _Machine:
    """Evaluates one value after the other, operands first."""

    def __init__(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.inputs, self.sizes = inputs, sizes
        self.known: dict[Value, Array] = {}

    def run(self, order: Sequence[Value]) -> Array:
        """Return the last value of an order."""
        for value in order:
            self.known[value] = self._result(value)
        return self.known[order[-1]]

    def _result(self, value: Value) -> Array:
        if value.op in PRIMITIVES:
            return self._elementwise(value)
        if value.op in REDUCE:
            return self._reduced(value)
        if value.op not in OPERATIONS:
            raise UnsupportedError(f"{value.op} is not evaluated at {DIGITS} digits")
        return _objects(OPERATIONS[value.op](self, value))

    def length(self, axis: Axis) -> int:
        """Return the number of entries along an axis."""
        return axis.size.evaluate(self.sizes)

    def full(self, value: Value, axes: Axes) -> Array:
        """Return the array of `value` with the dimensions of `axes`, repeated along those that it does not have."""
        order = sorted(range(len(value.axes)), key=lambda k: axes.index(value.axes[k]))
        array = self.known[value].transpose(order)
        aligned = array.reshape([self.length(a) if a in value.axes else 1 for a in axes])
        return np.broadcast_to(aligned, [self.length(a) for a in axes])

    def _elementwise(self, value: Value) -> Array:
        operands = [self.full(operand, value.axes) for operand in value.operands]
        result = np.empty(operands[0].shape, object)
        for place in np.ndindex(result.shape):
            result[place] = _exactly(value.op, *(operand[place] for operand in operands))
        return result

    def _reduced(self, value: Value) -> Array:
        body = value.operands[0]
        apart = self.full(body, (*value.axes, *value.attr)).reshape([self.length(a) for a in value.axes] + [-1])
        result = np.empty(apart.shape[:-1], object)
        for place in np.ndindex(result.shape):
            result[place] = reduce(REDUCE[value.op], apart[place])
        return result

    def const(self, value: Value) -> Any:
        """Return a constant: pi, e, or the number as it stands in the graph."""
        if isinstance(value.attr, str):
            return NUMBERS[value.attr].evalf(WORKING)
        return (
            sympy.Float(value.attr, WORKING)
            if isinstance(value.attr, float)
            else sympy.sympify(value.attr, strict=True)
        )

    def input(self, value: Value) -> Any:
        """Return an input."""
        return self.inputs[value.attr]

    def size(self, value: Value) -> Any:
        """Return the length of an axis as a number."""
        return sympy.Integer(value.attr.evaluate(self.sizes))

    def iota(self, value: Value) -> Any:
        """Return the numbers of an axis."""
        return [sympy.Integer(k) for k in range(self.length(value.attr))]

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
        result = np.full([self.length(a) for a in value.axes], sympy.Integer(0), object)
        np.add.at(result, tuple(self.indices(indices, points)), self.full(added, points))
        return result

    def matrices(self, value: Value, operand: Value) -> tuple[Array, Axes]:
        """Return an operand with rows and columns last, and its other axes."""
        batch = tuple(a for a in operand.axes if a not in value.attr)
        return self.full(operand, (*batch, *value.attr)), batch

    def inverse(self, value: Value) -> Any:
        """Return inverse matrices."""
        return self._each(value, lambda matrix: matrix.inv(method="LU"), (*value.attr,))

    def cholesky(self, value: Value) -> Any:
        """Return lower triangular factors."""
        return self._each(value, lambda matrix: matrix.cholesky(hermitian=False), (*value.attr,))

    def determinant(self, value: Value) -> Any:
        """Return determinants."""
        return self._each(value, lambda matrix: matrix.det(method="lu"), ())

    def logdet(self, value: Value) -> Any:
        """Return logarithms of determinants."""
        return self._each(value, lambda matrix: sympy.log(matrix.det(method="lu")), ())

    def _each(self, value: Value, function: Callable[[Any], Any], own: Axes) -> Array:
        """Return a function of every matrix of a stack, with the dimensions in the order of the value's axes."""
        stack, batch = self.matrices(value, value.operands[0])
        axes = (*batch, *own)
        result = np.empty([self.length(a) for a in axes], object)
        for place in np.ndindex(stack.shape[:-2]):
            result[place] = _objects(function(sympy.Matrix(stack[place].tolist())))[()]
        return result.transpose([axes.index(a) for a in value.axes])

    def solve(self, value: Value) -> Any:
        """Return x with sum over columns of A[row, column] x[column] = b[row]."""
        matrix, right = value.operands
        row, column = value.attr
        batch = tuple(a for a in value.axes if a != column)
        left, given = self.full(matrix, (*batch, row, column)), self.full(right, (*batch, row))
        result = np.empty([self.length(a) for a in (*batch, column)], object)
        for place in np.ndindex(left.shape[:-2]):
            solution = sympy.Matrix(left[place].tolist()).LUsolve(sympy.Matrix(given[place].tolist()))
            result[place] = _objects(solution)[:, 0]
        return result.transpose([(*batch, column).index(a) for a in value.axes])


OPERATIONS: Mapping[str, Callable[[_Machine, Value], Any]] = {
    name: getattr(_Machine, name)
    for name in (
        "const", "input", "size", "iota", "custom", "read", "accumulate",
        "inverse", "cholesky", "determinant", "logdet", "solve",
    )
}  # fmt: skip


def _exactly(op: str, *operands: Any) -> Any:
    """Return a function of the table at exact numbers; nan where it has no value."""
    try:
        found = PRIMITIVES[op].sympy(*(sympy.sympify(operand, strict=True) for operand in operands))
    except TypeError:  # a comparison of what is not real
        return sympy.nan
    return found.evalf(WORKING) if found.is_number and not found.is_Integer else found


def _objects(given: Any) -> Array:
    """Return anything as an array of objects."""
    if isinstance(given, sympy.MatrixBase):
        given = given.tolist()
    result: Array = np.asarray(given, object)
    return result
