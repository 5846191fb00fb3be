"""Linear algebra as emitted text calls it, in the language of emitted text: it is translated with the rest.

Small matrices are eliminated here, because LAPACK takes longer to begin than they take. Large ones are given to LAPACK,
as NumPy and Numba do. What is singular there is mostly singular here: rows are exchanged so that the largest element of
a column comes first, a row is divided by that as LAPACK divides, and no product is fused with a sum. `LinAlgError` is
raised as by Numba: also where an element is no finite number.
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


def inv(matrix: Any) -> Any:
    """Return the inverse of a square matrix: Gauss and Jordan's, in the place of a copy."""
    n = matrix.shape[0]
    if n > 16:
        return _inverse(matrix)
    a = np.empty((n, n), matrix.dtype)
    _copy(matrix, a)
    chosen = np.empty(n, np.int64)
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


def slogdet(matrix: Any) -> Any:
    """Return the sign of a determinant, and the logarithm of its size."""
    sign, size, log = _determinant(matrix)
    return sign, np.log(size) + log


def det(matrix: Any) -> Any:
    """Return the determinant of a square matrix."""
    sign, size, log = _determinant(matrix)
    return sign * size * np.exp(log)


def _determinant(matrix: Any) -> Any:
    """Return its sign and two numbers: the determinant's size is the first times exp of the second.

    The second is 0, unless the product of some pivots is so large, or so small, that it is kept as its logarithm.
    """
    n = matrix.shape[0]
    a = np.empty((n, n), matrix.dtype)
    sign = _eliminate(matrix, a) if n <= 16 else _factorise(matrix, a)
    size, log = 1.0, 0.0
    for k in range(n):
        pivot = a[k, k]
        sign = -sign if pivot < 0 else sign
        product = size * abs(pivot)
        if 1e-300 < product < 1e300:
            size = product
        else:
            log += np.log(size) + np.log(abs(pivot))
            size = 1.0
    return (0.0 if log == -math.inf else sign), size, log


def _eliminate(matrix: Any, a: Any) -> Any:
    """Set `a` to a matrix with the pivots on its diagonal; return the sign of the exchanges."""
    n = matrix.shape[0]
    _copy(matrix, a)
    sign = 1.0
    for k in range(n):
        sign = -sign if _exchange(a, k) != k else sign
        pivot = a[k, k]
        a[k, k] = 1
        inverse = a[k, k] / pivot
        a[k, k] = pivot
        for i in range(k + 1, n):
            factor = a[i, k] * inverse
            if not math.isfinite(factor):  # of a pivot that is 0, or next to it
                factor = a[i, k] / pivot if pivot != 0 else pivot
            for j in range(k + 1, n):
                a[i, j] -= factor * a[k, j]
    return sign


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


def _inverse(matrix: Any) -> Any:
    """Return the inverse of a large matrix."""
    n = matrix.shape[0]
    a = np.empty((n, n), matrix.dtype)
    _copy(matrix.T, a)
    chosen = np.empty(n, np.int32)
    work = np.empty(64 * n, matrix.dtype)
    if lapack.getrf(a, chosen) != 0 or lapack.getri(a, chosen, work) != 0:
        raise np.linalg.LinAlgError
    for i in range(n):
        for j in range(i):
            a[i, j], a[j, i] = a[j, i], a[i, j]
    return a


def _factorise(matrix: Any, a: Any) -> Any:
    """Do for a large matrix what `_eliminate` does for a small one."""
    n = matrix.shape[0]
    _copy(matrix.T, a)
    chosen = np.empty(n, np.int32)
    lapack.getrf(a, chosen)
    exchanges = 0
    for k in range(n):
        exchanges += chosen[k] != k + 1  # they are counted from 1 there
    return 1.0 - 2 * (exchanges % 2)


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
        each.decorator_list = [ast.parse(OPTIONS, mode="eval").body]
    return found
