"""Linear algebra as emitted text calls it, in the language of emitted text: it is translated with the rest.

Small matrices are eliminated here, because LAPACK takes longer to begin than they take. Large ones are given to LAPACK,
as NumPy and Numba do, but for many right sides, of which its substitution makes no vectors. What is singular there is
mostly singular here: rows are exchanged so that the largest element of a column comes first, a row is divided by that
as LAPACK divides, and no product is fused with a sum before all pivots are known. `LinAlgError` is raised as by Numba:
also where an element is no finite number.
"""

from __future__ import annotations

import ast
import inspect
import math
import sys
from typing import Any

import numpy as np

from gradcompile.garbage import uncollected

lapack: Any = None  # its functions, of matrices by columns, are in `outside`
USED = "np.linalg."  # text has it if it calls a function of these
OPTIONS = 'njit(error_model="numpy")'
FUSED = 'njit(fastmath={"contract"}, error_model="numpy")'
WORKING = ("_substitute",)  # functions that compute much themselves, and are worth all passes of LLVM


def inv(matrix: Any) -> Any:
    """Return the inverse of a square matrix: of a small one Gauss and Jordan's, in the place of a copy."""
    n = matrix.shape[0]
    a = np.empty((n, n), matrix.dtype)
    chosen = np.empty(n, np.int32)
    if n > 16:
        _factors(matrix, a, chosen)
        return _inverted(a, chosen)
    _copy(matrix, a)
    for k in range(n):
        row = _exchange(a, k)
        chosen[k] = row
        pivot = a[k, k]
        if pivot == 0:
            raise np.linalg.LinAlgError
        a[k, k] = 1
        inverse = a[k, k] / pivot  # in the matrix's precision, which 1 / pivot is not
        for i in range(n):
            if i != k:
                factor = a[i, k] * inverse
                a[i, k] = 0
                for j in range(n):
                    a[i, j] -= factor * a[k, j]
        for j in range(n):
            a[k, j] *= inverse
    for k in range(n - 1, -1, -1):  # rows that were exchanged are columns of the inverse
        row = chosen[k]
        for i in range(n):
            a[i, k], a[i, row] = a[i, row], a[i, k]
    return a


def solve(matrix: Any, right: Any) -> Any:
    """Return the solution of linear equations, for a vector or for the columns of a matrix."""
    n = matrix.shape[0]
    a, chosen = np.empty((n, n), matrix.dtype), np.empty(n, np.int32)
    _factors(matrix, a, chosen)
    return _solved(a, chosen, right)


def slogdet(matrix: Any) -> Any:
    """Return the sign of a determinant, and the logarithm of its size."""
    n = matrix.shape[0]
    a, chosen = np.empty((n, n), matrix.dtype), np.empty(n, np.int32)
    _factors(matrix, a, chosen)
    sign, size, log = _determinant(a, chosen)
    return sign, np.log(size) + log


def det(matrix: Any) -> Any:
    """Return the determinant of a square matrix."""
    n = matrix.shape[0]
    a, chosen = np.empty((n, n), matrix.dtype), np.empty(n, np.int32)
    _factors(matrix, a, chosen)
    return _product(a, chosen)


def _factors(matrix: Any, a: Any, chosen: Any) -> Any:
    """Set `a` to the triangular factors of a matrix, one beside the other, and say which rows were exchanged.

    Those of a large one lie by columns and count rows from 1, as LAPACK has it; those of a small one do neither.
    """
    n = matrix.shape[0]
    if n > 16:
        _copy(matrix.T, a)
        lapack.getrf(a, chosen)
        return 0
    _copy(matrix, a)
    for k in range(n):
        chosen[k] = _exchange(a, k)
        pivot = a[k, k]
        a[k, k] = 1
        inverse = a[k, k] / pivot
        a[k, k] = pivot
        for i in range(k + 1, n):
            factor = a[i, k] * inverse
            if not math.isfinite(factor):  # of a pivot that is 0, or next to it
                factor = a[i, k] / pivot if pivot != 0 else pivot
            a[i, k] = factor
            for j in range(k + 1, n):
                a[i, j] -= factor * a[k, j]
    return 0


def _is_singular(a: Any) -> Any:
    """Return how many pivots among the factors of a matrix are 0."""
    zeros = 0
    for k in range(a.shape[0]):
        zeros += a[k, k] == 0
    return zeros


def _logdet(a: Any, chosen: Any) -> Any:
    """Return the logarithm of a determinant by the factors; nan where that is negative."""
    sign, size, log = _determinant(a, chosen)
    return np.log(size) + log if sign >= 0 else np.nan


def _product(a: Any, chosen: Any) -> Any:
    """Return a determinant by the factors."""
    sign, size, log = _determinant(a, chosen)
    return sign * size * np.exp(log)


def _determinant(a: Any, chosen: Any) -> Any:
    """Return its sign and two numbers: the determinant's size is the first times exp of the second.

    The second is 0, unless the product of some pivots is so large, or so small, that it is kept as its logarithm.
    """
    n = a.shape[0]
    first = 1 if n > 16 else 0
    sign, size, log = 1.0, 1.0, 0.0
    for k in range(n):
        pivot = a[k, k]
        sign = -sign if pivot < 0 else sign
        sign = -sign if chosen[k] != k + first else sign
        product = size * abs(pivot)
        if 1e-300 < product < 1e300:
            size = product
        else:
            log += np.log(size) + np.log(abs(pivot))
            size = 1.0
    return (0.0 if log == -math.inf else sign), size, log


def _exchange(a: Any, k: Any) -> Any:
    """Exchange row k with the one, from there on, whose element in column k is the largest; return its number."""
    n = a.shape[0]
    row = k
    for i in range(k + 1, n):
        row = i if abs(a[i, k]) > abs(a[row, k]) else row
    if row != k:
        for j in range(n):
            a[k, j], a[row, j] = a[row, j], a[k, j]
    return row


def _inverted(a: Any, chosen: Any) -> Any:
    """Return the inverse of a matrix by its factors."""
    n = a.shape[0]
    found = np.empty((n, n), a.dtype)
    if n > 16:
        for i in range(n):
            for j in range(n):
                found[i, j] = a[i, j]
        work = np.empty(64 * n, a.dtype)
        if lapack.getri(found, chosen, work) != 0:
            raise np.linalg.LinAlgError
        for i in range(n):
            for j in range(i):
                found[i, j], found[j, i] = found[j, i], found[i, j]
        return found
    for i in range(n):
        for j in range(n):
            found[i, j] = 1.0 if i == j else 0.0
    return _solved(a, chosen, found)


def _solved(a: Any, chosen: Any, right: Any) -> Any:
    """Return the solution of linear equations by the factors of their matrix."""
    n = a.shape[0]
    if _is_singular(a) != 0:
        raise np.linalg.LinAlgError
    count = right.size // max(n, 1)
    found = np.empty(right.shape, a.dtype)
    b, x = np.ascontiguousarray(right).reshape(n, count), found.reshape(n, count)
    if n > 16 and count < 8:
        columns = np.empty((count, n), a.dtype)
        for i in range(n):
            for c in range(count):
                columns[c, i] = b[i, c]
        lapack.getrs(a, chosen, columns)
        for i in range(n):
            for c in range(count):
                x[i, c] = columns[c, i]
        return found
    rows, places = np.empty((n, n), a.dtype), np.empty(n, np.int64)  # factors by rows, rows before their exchanges
    first = 1 if n > 16 else 0
    for i in range(n):
        places[i] = i
        for j in range(n):
            rows[i, j] = a[j, i] if n > 16 else a[i, j]
    for k in range(n):
        place = chosen[k] - first
        places[k], places[place] = places[place], places[k]
    _substitute(rows, places, b, x)
    return found


def _substitute(a: Any, places: Any, b: Any, x: Any) -> Any:
    """Set `x` to the solutions for right sides b, some columns at once, by the factors of a matrix.

    A row is computed apart: LLVM knows then that it is no other, and makes vectors of it.
    """
    n, count = b.shape
    width = min(count, 64)  # so many columns stay in the cache
    y, own = np.empty((n, width), a.dtype), np.empty(width, a.dtype)
    for first in range(0, count, max(width, 1)):
        size = min(width, count - first)
        for i in range(n):
            for c in range(size):
                own[c] = b[places[i], first + c]
            for k in range(i):
                for c in range(size):
                    own[c] -= a[i, k] * y[k, c]
            for c in range(size):
                y[i, c] = own[c]
        for i in range(n - 1, -1, -1):
            for c in range(size):
                own[c] = y[i, c]
            for k in range(i + 1, n):
                for c in range(size):
                    own[c] -= a[i, k] * y[k, c]
            for c in range(size):
                own[c] /= a[i, i]
                y[i, c] = own[c]
                x[i, first + c] = own[c]
    return 0


def _copy(matrix: Any, a: Any) -> Any:
    """Set `a` to a matrix, whose elements have to be finite."""
    n, others = a.shape[0], 0
    for i in range(n):
        for j in range(n):
            a[i, j] = matrix[i, j]
            others += 0 if math.isfinite(matrix[i, j]) else 1
    if others != 0:
        raise np.linalg.LinAlgError
    return 0


def definitions() -> list[ast.FunctionDef]:
    """Return the functions above as if the text had defined them, by the names that it calls."""
    with uncollected():
        tree = ast.parse(inspect.getsource(sys.modules[__name__]))
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name != definitions.__name__]
    for each in found:
        each.name = each.name if each.name.startswith("_") else USED + each.name
        options = FUSED if each.name in WORKING else OPTIONS
        each.decorator_list = [ast.parse(options, mode="eval").body]
    return found
