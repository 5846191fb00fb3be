"""Functions of stacks of matrices of mpmath numbers: rows and columns are the last two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

Array = NDArray[Any]


def inverse(stack: Any) -> Array:
    """Return inverse matrices."""
    result: Array = _each(stack, lambda matrix: matrix**-1)
    return result


def cholesky(stack: Any) -> Array:
    """Return lower triangular factors."""
    result: Array = _each(stack, mp.cholesky)
    return result


def determinant(stack: Any) -> Any:
    """Return determinants."""
    return _each(stack, mp.det)


def logdet(stack: Any) -> Any:
    """Return logarithms of determinants, nan where those are negative."""

    def log(matrix: Any) -> Any:
        found = mp.det(matrix)
        return mp.log(found) if found >= 0 else mp.nan

    return _each(stack, log)


def solve(stack: Any, right: Any) -> Array:
    """Return the solutions x of A x = b; b is a vector, or has a dimension of columns, as in NumPy."""
    stack, right = np.asarray(stack, object), np.asarray(right, object)
    if right.ndim == 1:
        vector: Array = solve(stack, right[:, None])[:, 0]
        return vector
    batch = np.broadcast_shapes(stack.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(stack, (*batch, *stack.shape[-2:]))
    given = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    result = np.empty(given.shape, object)
    for place in np.ndindex(batch):
        for column in range(given.shape[-1]):
            solution = mp.lu_solve(mp.matrix(left[place].tolist()), mp.matrix(given[place][:, column].tolist()))
            result[place][:, column] = list(solution)
    return result


def _each(stack: Any, function: Callable[[Any], Any]) -> Any:
    """Return a function of every matrix of a stack."""
    stack = np.asarray(stack, object)
    found = [function(mp.matrix(stack[place].tolist())) for place in np.ndindex(stack.shape[:-2])]
    if isinstance(found[0], mp.matrix):
        return np.array([each.tolist() for each in found], object).reshape(stack.shape)
    result = np.array(found, object).reshape(stack.shape[:-2])
    return result if result.ndim else result[()]
