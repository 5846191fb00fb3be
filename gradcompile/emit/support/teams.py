"""Products of matrices that several threads compute, as functions for the target numba.

A team is an array of integers that its threads have in common. At 0 is what is left of a product: its number, and in
16 bits each the first of the tiles that nobody has taken and the one after the last; -1 says that there will be no more
products. At 8 is how many tiles are done, of all products. From 16 on is what `multiply` has to know of the product.
"""

from typing import Any

import numpy as np

from gradcompile.emit.support.kernels import by_rows, gemm, multiply

look: Any = None  # an emitted module imports these: the integer at a place, as the last thread left it there
rest: Any = None  # lets other threads have the processor
swap: Any = None  # puts an integer in the place of another one; whether that was there


def compute(team, number):
    """Compute a tile of the product of a team."""
    m, k, n, item, own = team[16], team[17], team[18], team[19], team[20]
    of_a, lda, a, a0 = team[21], team[22], team[23], team[24]
    of_b, ldb, b, b1 = team[25], team[26], team[27], team[28]
    c, ldc, u, v, deep = team[29], team[30], team[31], team[32], team[33]
    across = (n + v - 1) // v
    i, j = number // across * u, number % across * v
    multiply(i, j, m, k, n, item, own, of_a, lda, a, a0, of_b, ldb, b, b1, c, ldc, u, v, deep)


def take(team, first):
    """Compute tiles of the product of a team until all are taken: the first ones, or the last."""
    left = look(team, 0)
    while left >> 16 & 65535 < left & 65535:
        if swap(team, 0, left, left + 65536 if first else left - 1):
            compute(team, left >> 16 & 65535 if first else (left & 65535) - 1)
            done = look(team, 8)
            while not swap(team, 8, done, done + 1):
                done = look(team, 8)
        left = look(team, 0)


def follow(team):
    """Compute tiles of the products of a team until there will be no more; return how many are."""
    while look(team, 0) >= 0:
        take(team, False)
        rest()
    return look(team, 8)


def share(team, alpha, a, b, beta, c):
    """Set c to alpha*a@b + beta*c; the threads of a team compute the tiles of a large product."""
    m, k, n, item = a.shape[0], a.shape[1], b.shape[1], c.itemsize
    near = min(a.strides) == min(b.strides) == min(c.strides) == item
    if m * k * n < 10**6 or min(m, n) <= 32 or not near:
        return gemm(alpha, a, b, beta, c, True)
    own = np.empty(3, c.dtype)
    own[0], own[1], own[2] = alpha, beta, 1
    x, x0, x1 = a.ctypes.data, a.strides[0], a.strides[1]
    y, y0, y1 = b.ctypes.data, b.strides[0], b.strides[1]
    z0, z1 = c.strides[0], c.strides[1]
    m, n, of_a, lda, x, x0, of_b, ldb, y, y1, ldc, rows, columns, depth = by_rows(
        m, k, n, item, x, x0, x1, y, y0, y1, z0, z1, True
    )
    tiles = (m + rows - 1) // rows * ((n + columns - 1) // columns)
    if tiles >= 65536:
        return gemm(alpha, a, b, beta, c, True)
    team[16], team[17], team[18], team[19], team[20] = m, k, n, item, own.ctypes.data
    team[21], team[22], team[23], team[24] = of_a, lda, x, x0
    team[25], team[26], team[27], team[28] = of_b, ldb, y, y1
    team[29], team[30], team[31], team[32], team[33] = c.ctypes.data, ldc, rows, columns, depth
    before, done = look(team, 0), look(team, 8)
    swap(team, 0, before, ((before >> 32) + 1 << 32) + tiles)
    take(team, True)
    while look(team, 8) < done + tiles:
        rest()
    return own.size  # BLAS reads it by address: it must live until here
