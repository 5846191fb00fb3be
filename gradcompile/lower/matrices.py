"""Matrix algebra by elements: what stands at row i and column j of an expression.

A product is a sum over an axis, so that a model in matrices and the same model in indices are one graph. Rows and
columns are index values: an axis, a number, or whatever an element is asked for.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import sympy
from sympy.matrices.expressions.adjoint import Adjoint
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.blockmatrix import BlockMatrix
from sympy.matrices.expressions.diagonal import DiagMatrix, DiagonalMatrix, DiagonalOf
from sympy.matrices.expressions.hadamard import HadamardPower, HadamardProduct
from sympy.matrices.expressions.slice import MatrixSlice

from gradcompile.errors import ModelError, ShapeError, UnsupportedError
from gradcompile.ir import ONE, Axis, Size, Value
from gradcompile.model.affine import Affine

from .arrays import read
from .indices import index_value
from .places import shown, text_of
from .state import Ask, Place, Rule, Scope, Signed, State, Steps
from .sums import total


def shape_of(state: State, expr: Any, scope: Scope) -> tuple[Size, Size]:
    """Return the numbers of rows and columns."""
    rows, columns = expr.shape
    return state.size(rows, scope.root), state.size(columns, scope.root)


def _place(ask: Ask) -> Place:
    assert ask.place is not None
    return ask.place


def _index(state: State, size: Size, taken: set[Axis]) -> tuple[Value, Axis | None]:
    """Return an index over a length, and its axis; a length of one needs none."""
    if size == ONE:
        return state.builder.const(0), None
    axis = state.axis(size, taken)
    return state.builder.iota(axis), axis


# --- scalars made of matrices


def only_element(state: State, ask: Ask) -> Steps:
    """Lower a matrix with one row and one column as its element."""
    rows, columns = shape_of(state, ask.expr, ask.scope)
    if (rows, columns) != (ONE, ONE):
        raise ModelError(
            "a matrix stands where a number is needed",
            **shown(ask.scope.root, ask.expr),
            expected="one row and one column",
            found=f"{rows} rows and {columns} columns",
            hint="take an element [i, j] or a Trace; for the sum of all elements multiply by OneMatrix from both sides",
        )
    zero = state.builder.const(0)
    return (yield Ask(ask.expr, ask.scope, (zero, zero)))


def matrix_element(state: State, ask: Ask) -> Steps:
    """Lower ``A[i, j]``."""
    parent, indices = ask.expr.args[0], []
    for index, length in zip(ask.expr.args[1:], shape_of(state, parent, ask.scope), strict=True):
        indices.append((yield from index_value(state, index, length, ask.scope, ask.expr)))
    return (yield Ask(parent, ask.scope, (indices[0], indices[1])))


def trace(state: State, ask: Ask) -> Steps:
    """Lower the sum over the diagonal."""
    matrix = ask.expr.args[0]
    size, _ = shape_of(state, matrix, ask.scope)
    index, axis = _index(state, size, state.free_axes(matrix, ask.scope))
    return _summed(state, (yield Ask(matrix, ask.scope, (index, index))), axis)


def _summed(state: State, value: Value, axis: Axis | None) -> Value:
    return value if axis is None else total(state, value, axis)


def dot_product(state: State, ask: Ask) -> Steps:
    """Lower the scalar product of two vectors, each a row or a column."""
    a, b = ask.expr.args
    size = max(shape_of(state, a, ask.scope), key=lambda s: s != ONE)
    index, axis = _index(state, size, state.free_axes(ask.expr, ask.scope))
    left = yield Ask(a, ask.scope, _along(state, a, index, ask.scope))
    right = yield Ask(b, ask.scope, _along(state, b, index, ask.scope))
    return _summed(state, state.times(left, right), axis)


def _along(state: State, vector: Any, index: Value, scope: Scope) -> Place:
    """Return the place of an element of a vector, which is a row or a column."""
    zero = state.builder.const(0)
    rows, _ = shape_of(state, vector, scope)
    return (zero, index) if rows == ONE else (index, zero)


def determinant(state: State, ask: Ask) -> Steps:
    """Lower a determinant."""
    return (yield from matrix_function(state, "determinant", ask.expr.args[0], ask.scope))


def matrix_function(state: State, op: str, matrix: Any, scope: Scope) -> Steps:
    """Return an inverse, a determinant or its logarithm; an inverse has the axes of the matrix."""
    rows, columns = shape_of(state, matrix, scope)
    if rows != columns:
        raise ShapeError(
            f"the {op} of a matrix that is not square",
            **shown(scope.root, matrix),
            expected="as many rows as columns",
            hint="multiply it by its transpose, or take a part of it",
        )
    if rows == ONE:
        zero = state.builder.const(0)
        only = yield Ask(matrix, scope, (zero, zero))
        return state.apply("log", only) if op == "logdet" else only
    whole, row, column = yield from _whole(state, matrix, rows, scope)
    axes = tuple(a for a in whole.axes if a not in (row, column))
    return state.builder.matrix(op, (whole,), axes, (row, column))


def _whole(state: State, matrix: Any, size: Size, scope: Scope) -> Any:
    """Return all elements of a square matrix, with the axes of its rows and columns."""
    taken = state.free_axes(matrix, scope)
    row = state.axis(size, taken)
    column = state.axis(size, taken | {row})
    places = (state.builder.iota(row), state.builder.iota(column))
    whole = yield Ask(matrix, scope, places)
    for axis, index in zip((row, column), places, strict=True):
        if axis not in whole.axes:  # a matrix that is constant along an axis has it all the same
            whole = state.builder.apply("add", whole, state.builder.apply("mul", index, 0))
    return whole, row, column


# --- elements


def symbol(state: State, ask: Ask) -> Steps:
    """Element of a matrix symbol: of an input or a definition."""
    return (yield from read(state, ask.expr.name, _place(ask)))


def add(state: State, ask: Ask) -> Steps:
    """Element of a sum of matrices: the sum of the elements."""
    terms: list[Signed] = []
    for term in ask.expr.args:
        terms.append((yield from _term(state, term, ask)))
    return state.signed_sum(terms)


def _term(state: State, term: Any, ask: Ask) -> Generator[Ask, Value, Signed]:
    """Return a term as its sign and its value without that."""
    if isinstance(term, sympy.MatMul) and term.args[0].is_Number and term.args[0].is_negative:
        return True, (yield from _product(state, term, ask, absolute=True))
    return False, (yield Ask(term, ask.scope, ask.place))


def multiply(state: State, ask: Ask) -> Steps:
    """Element of a product of matrices: sums over the inner axes, times the scalar factors."""
    return (yield from _product(state, ask.expr, ask, absolute=False))


def _product(state: State, expr: Any, ask: Ask, absolute: bool) -> Steps:
    coefficient, factors = expr.as_coeff_matrices()
    value = yield from _chain(state, factors, ask, state.free_axes(expr, ask.scope))
    if absolute:
        coefficient = -coefficient
    top, bottom = sympy.fraction(coefficient)
    for scalar, op in ((top, "mul"), (bottom, "div")):
        if scalar == -1 and op == "mul":
            value = state.builder.apply("neg", value)
        elif scalar != 1:
            factor = yield Ask(scalar, ask.scope)
            value = state.times(factor, value) if op == "mul" else state.apply("div", value, factor)
    return value


def _chain(state: State, factors: list[Any], ask: Ask, free: set[Axis]) -> Steps:
    """Contract from the side of the vector or of the data, if there is one, else from left to right.

    The inner axes are numbered from the outside in, as they are for products of two.
    """
    _conform(state, factors, ask.scope)
    first, last = _place(ask)
    backward = _begins_at_the_end(state, factors)
    start, end = (last, first) if backward else (first, last)
    ordered = factors[::-1] if backward else factors
    inner = [_outer_length(state, f, ask.scope, backward) for f in ordered[:-1]]
    indices: list[tuple[Value, Axis | None]] = []
    outside = end
    for size in reversed(inner):
        indices.insert(0, _index(state, size, free | set(start.axes) | set(outside.axes)))
        outside = indices[0][0]
    here, result = start, None
    for k, factor in enumerate(ordered):
        there = indices[k][0] if k < len(indices) else end
        place = (there, here) if backward else (here, there)
        value = yield Ask(factor, ask.scope, place)
        result = value if result is None else _contract(state, result, value, indices[k - 1][1], backward)
        here = there
    assert result is not None
    return result


def _begins_at_the_end(state: State, factors: list[Any]) -> bool:
    """Return whether the last matrix is a vector and the first is none, or it is data and the first is learned.

    So a product and its transpose are computed in one order: ``X*A*B`` and ``B.T*A.T*X.T`` both with X*A.
    """
    if 1 in (factors[0].shape[0], factors[-1].shape[1]):
        return bool(factors[0].shape[0] != 1)
    first, last = (not state.parameters.isdisjoint(map(str, end.free_symbols)) for end in (factors[0], factors[-1]))
    return first and not last


def _contract(state: State, result: Value, value: Value, axis: Axis | None, backward: bool) -> Value:
    left, right = (value, result) if backward else (result, value)
    return _summed(state, state.times(left, right), axis)


def _outer_length(state: State, factor: Any, scope: Scope, backward: bool) -> Size:
    rows, columns = shape_of(state, factor, scope)
    return rows if backward else columns


def _conform(state: State, factors: list[Any], scope: Scope) -> None:
    """Check that columns meet rows; SymPy takes any two symbols for lengths that may be equal."""
    for a, b in pairwise(factors):
        columns, rows = shape_of(state, a, scope)[1], shape_of(state, b, scope)[0]
        if columns != rows:
            for difference in (columns - rows, rows - columns):
                message = f"{text_of(a)} has {columns} columns and {text_of(b)} has {rows} rows"
                state.require(difference, message, b)


def transpose(state: State, ask: Ask) -> Steps:
    """Element of a transpose; matrices are real, so an adjoint is one."""
    i, j = _place(ask)
    return (yield Ask(ask.expr.args[0], ask.scope, (j, i)))


def hadamard_product(state: State, ask: Ask) -> Steps:
    """Element of a product element by element."""
    result: Value | None = None
    for factor in ask.expr.args:
        value = yield Ask(factor, ask.scope, ask.place)
        result = value if result is None else state.times(result, value)
    assert result is not None
    return result


def hadamard_power(state: State, ask: Ask) -> Steps:
    """Element of a power element by element."""
    base, exponent = ask.expr.args
    value = yield Ask(base, ask.scope, ask.place)
    place = ask.place if getattr(exponent, "is_Matrix", False) else None
    return state.apply("pow", value, (yield Ask(exponent, ask.scope, place)))


def apply_to(state: State, function: Any, value: Value, scope: Scope) -> Steps:
    """Apply a function of one scalar to an element."""
    if not isinstance(function, sympy.Lambda):
        key = "apply", function
        if key not in state.templates:
            dummy = sympy.Dummy("x", real=True)
            state.survey.free.bound.add(dummy)
            state.templates[key] = sympy.Lambda(dummy, function(dummy))
        function = state.templates[key]
    (variable,) = function.variables
    return (yield Ask(function.expr, scope.bind(variable, state.argument(value))))


def applied(state: State, ask: Ask) -> Steps:
    """Element of ``A.applyfunc(f)``."""
    value = yield Ask(ask.expr.expr, ask.scope, ask.place)
    return (yield from apply_to(state, ask.expr.function, value, ask.scope))


def sliced(state: State, ask: Ask) -> Steps:
    """Element of ``A[a:b, c:d]``."""
    place = []
    for index, (start, _, step) in zip(_place(ask), (ask.expr.rowslice, ask.expr.colslice), strict=True):
        if step != 1:
            index = state.builder.apply("mul", index, state.builder.const(int(step)))
        first = state.builder.size(state.size(start, ask.scope.root))
        place.append(index if first.is_const(0) else _shifted(state, index, first))
    return (yield Ask(ask.expr.parent, ask.scope, (place[0], place[1])))


def _shifted(state: State, index: Value, first: Value) -> Value:
    if index.op == first.op == "const":
        return state.builder.const(index.attr + first.attr)
    return first if index.is_const(0) else state.builder.apply("add", index, first)


def ones(state: State, ask: Ask) -> Value:
    """Element of a matrix of ones."""
    return state.builder.const(1)


def zeros(state: State, ask: Ask) -> Value:
    """Element of a matrix of zeros."""
    return state.builder.const(0)


def identity(state: State, ask: Ask) -> Value:
    """Element of the identity."""
    return _on_diagonal(state, _place(ask), state.builder.const(1))


def _on_diagonal(state: State, place: Place, value: Value) -> Value:
    i, j = place
    if i is j:
        return value
    same = state.builder.const(i.attr == j.attr) if i.op == j.op == "const" else state.builder.apply("eq", i, j)
    return state.select(same, value, state.builder.const(0))


def diagonal_matrix(state: State, ask: Ask) -> Steps:
    """Element of the diagonal matrix of a vector."""
    vector, (i, _) = ask.expr.args[0], _place(ask)
    value = yield Ask(vector, ask.scope, _along(state, vector, i, ask.scope))
    return _on_diagonal(state, _place(ask), value)


def only_diagonal(state: State, ask: Ask) -> Steps:
    """Element of a matrix whose other elements are put to zero."""
    return _on_diagonal(state, _place(ask), (yield Ask(ask.expr.args[0], ask.scope, ask.place)))


def diagonal_of(state: State, ask: Ask) -> Steps:
    """Element of the diagonal of a matrix, a column."""
    i, _ = _place(ask)
    return (yield Ask(ask.expr.args[0], ask.scope, (i, i)))


def inverse(state: State, ask: Ask) -> Steps:
    """Element of an inverse."""
    return (yield from _inverse_of(state, ask.expr.args[0], ask))


def _inverse_of(state: State, matrix: Any, ask: Ask) -> Steps:
    rows, _ = shape_of(state, matrix, ask.scope)
    if rows == ONE:
        zero = state.builder.const(0)
        return state.apply("div", state.builder.const(1), (yield Ask(matrix, ask.scope, (zero, zero))))
    whole, row, column = yield from _whole(state, matrix, rows, ask.scope)
    value = state.builder.matrix("inverse", (whole,), whole.axes, (row, column))
    index = dict(zip((row, column), _place(ask), strict=True))
    return state.builder.read(value, (index.get(a) or state.builder.iota(a) for a in value.axes))


def power(state: State, ask: Ask) -> Steps:
    """Element of a power of a matrix: a chain of products, of the inverse where it is negative."""
    base, exponent = ask.expr.args
    if exponent == -1:
        return (yield from _inverse_of(state, base, ask))
    if not exponent.is_Integer or exponent == 0:
        hint = "HadamardPower takes powers of elements"
        raise UnsupportedError("a power of a matrix is a whole number", **shown(ask.scope.root, ask.expr), hint=hint)
    factor = base if exponent > 0 else sympy.Inverse(base)
    count = abs(int(exponent))
    return (yield from _chain(state, [factor] * count, ask, state.free_axes(base, ask.scope)))


def of_indices(state: State, ask: Ask) -> Steps:
    """Element of a matrix whose elements are a formula of row and column, as in a covariance."""
    formula, scope = ask.expr.lamda, ask.scope
    taken, axes = state.free_axes(ask.expr, scope), list[Axis | None]()
    for symbol, size in zip(formula.variables, shape_of(state, ask.expr, scope), strict=True):
        index, axis = _index(state, size, taken)
        last = Size() if axis is None else size - 1
        scope = scope.bind(symbol, state.binding(index, Affine(Size()), Affine(last), (Size(), last), len(axes)))
        axes.append(axis)
        taken |= set(index.axes)
    whole = yield Ask(formula.expr, scope)
    place = dict(zip(axes, _place(ask), strict=True))
    return state.builder.read(whole, (place.get(a) or state.builder.iota(a) for a in whole.axes))


def explicit(state: State, ask: Ask) -> Steps:
    """Element of a matrix that is written out: picked by number, chosen by an index."""
    i, j = _place(ask)
    rows, columns = ask.expr.shape
    result = state.builder.const(0)
    for r in reversed(range(rows)):
        for c in reversed(range(columns)):
            test = _is_at(state, (i, r, rows), (j, c, columns))
            if not test.is_const(False):
                result = state.select(test, (yield Ask(ask.expr[r, c], ask.scope)), result)
    return result


def _is_at(state: State, *pairs: tuple[Value, int, int]) -> Value:
    """Return whether each index is at its number; the first number needs no test, as it is what is left."""
    tests = []
    for index, number, length in pairs:
        if index.op == "const":
            if index.attr != number:
                return state.builder.const(False)
        elif length > 1:
            tests.append(state.builder.apply("eq", index, number))
    if not tests:
        return state.builder.const(True)
    return tests[0] if len(tests) == 1 else state.builder.apply("and", *tests)


def block(state: State, ask: Ask) -> Steps:
    """Element of a matrix of blocks: each block where its rows and columns are."""
    blocks = ask.expr.blocks
    result, row = state.builder.const(0), Size()
    for r in range(blocks.rows):
        height = shape_of(state, blocks[r, 0], ask.scope)[0]
        column = Size()
        for c in range(blocks.cols):
            width = shape_of(state, blocks[r, c], ask.scope)[1]
            i, here = _within(state, _place(ask)[0], row, height)
            j, there = _within(state, _place(ask)[1], column, width)
            value = yield Ask(blocks[r, c], ask.scope, (i, j))
            result = state.select(here, state.select(there, value, result), result)
            column = column + width
        row = row + height
    return result


def _within(state: State, index: Value, start: Size, length: Size) -> tuple[Value, Value]:
    """Return an index counted from the start of a block, kept inside of it, and whether it is inside."""
    b = state.builder
    shifted = index if start == Size() else b.apply("sub", index, b.size(start))
    clamped = b.apply("minimum", b.apply("maximum", shifted, b.const(0)), b.size(length - 1))
    return clamped, b.apply("and", b.apply("ge", shifted, b.const(0)), b.apply("lt", shifted, b.size(length)))


ELEMENTS: dict[type, Rule] = {
    sympy.MatrixSymbol: symbol,
    sympy.MatAdd: add,
    sympy.MatMul: multiply,
    sympy.MatPow: power,
    sympy.Inverse: inverse,
    sympy.Transpose: transpose,
    Adjoint: transpose,
    HadamardProduct: hadamard_product,
    HadamardPower: hadamard_power,
    ElementwiseApplyFunction: applied,
    MatrixSlice: sliced,
    sympy.OneMatrix: ones,
    sympy.ZeroMatrix: zeros,
    sympy.Identity: identity,
    sympy.FunctionMatrix: of_indices,
    DiagMatrix: diagonal_matrix,
    DiagonalMatrix: only_diagonal,
    DiagonalOf: diagonal_of,
    BlockMatrix: block,
    sympy.MatrixBase: explicit,
}
