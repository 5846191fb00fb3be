"""Functions of numbers for the target numba, where those of scalars.py would not do."""

import math
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


def samples_to_multiply(width, samples):
    """Return how many of the samples to take at once where these are rows or columns of matrices.

    On fewer than 128, BLAS is slow. Of fewer samples, there are not to be arrays for so many: what
    the system gives and takes back at every call, it clears every time.
    """
    return max(1, min(samples, max(128, samples_in_block(width))))


def rolled(length):
    """Return a length that LLVM does not know then: it would write out the loop, for seconds."""
    return int(math.ldexp(length, 0))  # in Numba a call of C


def leading(rows, columns, down, right, item):
    """Return how BLAS reads a matrix (110, "n": by rows; 116, "t": by columns) of what length."""
    if right == item:
        return 110, down // item if down > columns * item else columns
    return 116, right // item if right > rows * item else rows


def tile(m, k, n, dots, tiles):
    """Return the rows and columns of a product that BLAS is to compute at once.

    OpenBLAS copies no matrix to sum 10**6 products at most, and for dots of rows, to 1200 sums: it
    is two to three times as fast then where the product is narrow. Others are given in `tiles`
    where one thread has AVX-512.
    """
    narrow, most = min(m, n), 10**6 // max(k, 1)
    if tiles and narrow > 32 and not dots and 64 <= k <= 1024 and m * n > most:
        return (32, 32) if k > 244 else (64, 64)
    if dots:
        most = min(1200, most) if k >= 32 else 0
    if narrow > 32 or narrow * 16 > most or m * n <= most:
        return max(m, 1), max(n, 1)
    return (most // n, n) if n < m else (m, most // m)


def multiply(item, m, k, n, factors, a, a0, a1, b, b0, b1, c, c0, c1, tiles):
    """Call BLAS for matrices at addresses, with the strides of rows and columns, in tiles."""
    kind = 100 if item == 8 else 115  # "d", "s"
    of_a, lda = leading(m, k, a0, a1, item)
    of_b, ldb = leading(k, n, b0, b1, item)
    of_c, ldc = leading(m, n, c0, c1, item)
    p, q = factors, factors + item
    rows, columns = tile(m, k, n, of_a == 110 and of_b == 116, tiles)
    if item == 4 and of_a == of_b == of_c == 110 and 8 < n <= 12 and k >= 64:
        columns = 8  # and then the others: OpenBLAS takes a third longer for all at once
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            u, v = min(rows, m - i), min(columns, n - j)
            x, y, z = a + i * a0, b + j * b1, c + i * c0 + j * c1
            if of_c == 110:  # BLAS has columns contiguous: it is given the transposed product
                xxgemm(kind, of_b, of_a, v, u, k, p, y, ldb, x, lda, q, z, ldc)
            else:
                xxgemm(kind, 226 - of_a, 226 - of_b, u, v, k, p, x, lda, y, ldb, q, z, ldc)


def gemm(alpha, a, b, beta, c, tiles=False):
    """Set c to alpha*a@b + beta*c."""
    m, k, n, item = a.shape[0], a.shape[1], b.shape[1], c.itemsize
    near = min(a.strides) == min(b.strides) == min(c.strides) == item
    if m * k * n < 256 or not near:  # a call takes longer, or needs contiguous rows or columns
        for i in range(m):
            for j in range(n):
                total = beta * c[i, j] if beta != 0 else 0.0
                for h in range(k):
                    total += alpha * a[i, h] * b[h, j]
                c[i, j] = total
        return 0
    narrow = c.strides[1] != item and n < 32  # BLAS is twice as fast on a result by rows
    own = np.empty((m + 1 if narrow else 1, max(n, 2)), c.dtype)  # first the factors, then a copy
    own[0, 0], own[0, 1] = alpha, beta
    z, down, right = c.ctypes.data, c.strides[0], c.strides[1]
    if narrow:
        for i in range(m):
            for j in range(n):
                own[i + 1, j] = c[i, j]  # a slice would take seconds to compile
        down, right = own.strides[0], item
        z = own.ctypes.data + down
    x, x0, x1 = a.ctypes.data, a.strides[0], a.strides[1]
    y, y0, y1 = b.ctypes.data, b.strides[0], b.strides[1]
    multiply(item, m, k, n, own.ctypes.data, x, x0, x1, y, y0, y1, z, down, right, tiles)
    if narrow:
        for i in range(m):
            for j in range(n):
                c[i, j] = own[i + 1, j]
    return own.size  # BLAS reads it by address: it must live until here
