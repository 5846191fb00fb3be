"""Functions of numbers for the target numba, where those of scalars.py would not do."""

from typing import Any

import numpy as np

xxgemm: Any = None  # an emitted module declares it: the product of matrices of the BLAS that Numba calls, too


def floor(x):
    """Return the largest whole number that is not above x."""
    return np.floor(x)


def ceil(x):
    """Return the smallest whole number that is not below x."""
    return np.ceil(x)


def inverse(matrix):
    """Return the inverse of a square matrix."""
    return np.linalg.inv(matrix)


def determinant(matrix):
    """Return the determinant of a square matrix."""
    return np.linalg.det(matrix)


def logdet(matrix):
    """Return the logarithm of the determinant; nan where that is negative."""
    orientation, log = np.linalg.slogdet(matrix)
    return np.nan if orientation < 0 else log


def samples_in_block(width):
    """Return how many samples to take at once: `width` values of each stay in the cache."""
    return min(256, max(64, 24576 // (8 * width) * 8)) if width > 0 else 256


def leading(rows, columns, down, right, item):
    """Return how BLAS reads a matrix (110, "n": by rows; 116, "t": by columns) of what length."""
    if right == item:
        return 110, down // item if down > columns * item else columns
    return 116, right // item if right > rows * item else rows


def gemm(alpha, a, b, beta, c):
    """Set c to alpha*a@b + beta*c. Of each matrix, rows or columns are contiguous."""
    m, k, n, item = a.shape[0], a.shape[1], b.shape[1], c.itemsize
    kind = 100 if item == 8 else 115  # "d", "s"
    factors = np.empty((1, 2), c.dtype)
    factors[0, 0], factors[0, 1] = alpha, beta
    p = factors.ctypes.data
    q = p + item
    of_a, lda = leading(m, k, a.strides[0], a.strides[1], item)
    of_b, ldb = leading(k, n, b.strides[0], b.strides[1], item)
    of_c, ldc = leading(m, n, c.strides[0], c.strides[1], item)
    x, y, z = a.ctypes.data, b.ctypes.data, c.ctypes.data
    if of_c == 110:  # BLAS has columns contiguous: it is given the transposed product
        xxgemm(kind, of_b, of_a, n, m, k, p, y, ldb, x, lda, q, z, ldc)
    elif n < 32:  # BLAS is twice as fast where a narrow result has rows contiguous
        narrow = np.empty((m, n), c.dtype)
        for i in range(m):
            for j in range(n):
                narrow[i, j] = c[i, j]  # a slice would take seconds to compile
        z = narrow.ctypes.data
        xxgemm(kind, of_b, of_a, n, m, k, p, y, ldb, x, lda, q, z, n)
        for i in range(m):
            for j in range(n):
                c[i, j] = narrow[i, j]
    else:
        xxgemm(kind, 226 - of_a, 226 - of_b, m, n, k, p, x, lda, y, ldb, q, z, ldc)
    return factors.size  # BLAS reads them by address: they must live until here
