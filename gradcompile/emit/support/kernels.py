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


def solve(matrix, right):
    """Return the x with `matrix @ x == right`: a vector, or a matrix of as many columns."""
    return np.linalg.solve(matrix, right)


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


def samples_of_rows(width, samples, rows):
    """Return how many of the samples to take at once where each has so many rows of matrices.

    128 rows are enough for BLAS, and so are the samples of which all that is kept stays in the
    cache.
    """
    return max(1, min(samples, 256, max((rows + 127) // rows, 131072 // width)))


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
    where one thread has AVX-512, and at most 976 products of a sum at once.
    """
    narrow, most = min(m, n), 10**6 // max(k, 1)
    if tiles and narrow > 32 and k >= 64 and m * n > most:
        return (32, 32) if k > 244 or dots else (64, 64)
    if dots:
        most = min(1200, most) if k >= 32 else 0
    if narrow > 32 or narrow * 16 > most or m * n <= most:
        return max(m, 1), max(n, 1)
    return (most // n, n) if n < m else (m, most // m)


def by_rows(m, k, n, item, a, a0, a1, b, b0, b1, c0, c1, tiles):
    """Return what BLAS is told of a product of matrices at addresses, and of its tiles.

    They have these strides of rows and columns; the result is by rows, which may be the transpose.
    """
    if c1 != item:
        m, n, c0 = n, m, c1
        a, a0, a1, b, b0, b1 = b, b1, b0, a, a1, a0
    of_a, lda = leading(m, k, a0, a1, item)
    of_b, ldb = leading(k, n, b0, b1, item)
    ldc = leading(m, n, c0, item, item)[1]
    rows, columns = tile(m, k, n, of_a == 110 and of_b == 116, tiles)
    if item == 4 and of_a == of_b == 110 and 8 < n <= 12 and k >= 64:
        columns = 8  # and then the others: OpenBLAS takes a third longer for all at once
    parts = (k + 975) // 976 if tiles and rows * columns < m * n else 1
    depth = (k + parts - 1) // parts
    return m, n, of_a, lda, a, a0, of_b, ldb, b, b1, ldc, rows, columns, depth


def multiply(i, j, m, k, n, item, own, of_a, lda, a, a0, of_b, ldb, b, b1, c, ldc, u, v, depth):
    """Call BLAS for the tile of u rows and v columns at i and j, or what there is of them."""
    kind = 100 if item == 8 else 115  # "d", "s"
    next_a, next_b = 1 if of_a == 110 else lda, 1 if of_b == 116 else ldb
    u, v = min(u, m - i), min(v, n - j)
    x, y, z, beta = a + i * a0, b + j * b1, c + (i * ldc + j) * item, own + item
    for h in range(0, k, depth):
        w = min(depth, k - h)
        xxgemm(kind, of_b, of_a, v, u, w, own, y, ldb, x, lda, beta, z, ldc)  # all transposed
        x, y, beta = x + w * next_a * item, y + w * next_b * item, own + 2 * item


def interpreted(number):
    """Return whether Python runs this text, without Numba: its whole numbers do not wrap around."""
    return number << 62 << 2 != 0


def gemm(alpha, a, b, beta, c, tiles=False):
    """Set c to alpha*a@b + beta*c."""
    m, k, n, item = a.shape[0], a.shape[1], b.shape[1], c.itemsize
    near = min(a.strides) == min(b.strides) == min(c.strides) == item
    # A call takes longer, or needs contiguous rows or columns; Python would call nothing.
    if m * k * n < 256 or not near or interpreted(m):
        for i in range(m):
            for j in range(n):
                total = beta * c[i, j] if beta != 0 else 0.0
                for h in range(k):
                    total += alpha * a[i, h] * b[h, j]
                c[i, j] = total
        return 0
    narrow = c.strides[1] != item and n < 16 and k > 128 and a.strides[1] == item  # faster by rows
    own = np.empty((m + 1 if narrow else 1, max(n, 3)), c.dtype)  # first the factors, then a copy
    own[0, 0], own[0, 1], own[0, 2] = alpha, beta, 1
    z, down, right = c.ctypes.data, c.strides[0], c.strides[1]
    if narrow:
        for i in range(m):
            for j in range(n):
                own[i + 1, j] = c[i, j]  # a slice would take seconds to compile
        down, right = own.strides[0], item
        z = own.ctypes.data + down
    x, x0, x1 = a.ctypes.data, a.strides[0], a.strides[1]
    y, y0, y1 = b.ctypes.data, b.strides[0], b.strides[1]
    r, s, of_a, lda, x, x0, of_b, ldb, y, y1, ldc, u, v, deep = by_rows(
        m, k, n, item, x, x0, x1, y, y0, y1, down, right, tiles
    )
    p = own.ctypes.data
    for i in range(0, r, u):
        for j in range(0, s, v):
            multiply(i, j, r, k, s, item, p, of_a, lda, x, x0, of_b, ldb, y, y1, z, ldc, u, v, deep)
    if narrow:
        for i in range(m):
            for j in range(n):
                c[i, j] = own[i + 1, j]
    return own.size  # BLAS reads it by address: it must live until here
