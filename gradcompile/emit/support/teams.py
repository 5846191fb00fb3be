"""What several threads do together, as functions for the target numba: products of matrices, and copies of rows.

A team is an array of integers that its threads have in common. Work is in pieces: a product in tiles, rows by sixteens.
At 0 is what is left of a product: its number, and in 16 bits each the first of the tiles that nobody has taken and the
one after the last; -1 says that there will be no more work. At 8 is how many tiles are done, of all products. From 16
on is what `multiply` has to know of the product. At 40 is what is left of rows to be copied, at 48 how many pieces of
those are done. From 56 on is of which samples they are: the first, the one after the last, the place of the copy of
the first, and how many pieces will be done then. At 60 is 1 if a number among them was not finite, at 61 if that is to
be looked for.
"""

from typing import Any

import numpy as np

from gradcompile.emit.support.kernels import by_rows, gemm, interpreted, multiply

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


def offer(team, at, pieces):
    """Have a team do a work of so many pieces."""
    before = look(team, at)
    swap(team, at, before, ((before >> 32) + 1 << 32) + pieces)


def claim(team, at, first):
    """Return the number of a piece that nobody has taken, the first or the last; -1 if all are."""
    left = look(team, at)
    while left >> 16 & 65535 < left & 65535:
        if swap(team, at, left, left + 65536 if first else left - 1):
            return left >> 16 & 65535 if first else (left & 65535) - 1
        left = look(team, at)
    return -1


def count(team, at):
    """Count a piece that is done."""
    done = look(team, at)
    while not swap(team, at, done, done + 1):
        done = look(team, at)


def take(team, first):
    """Compute tiles of the product of a team until all are taken: the first ones, or the last."""
    number = claim(team, 0, first)
    while number >= 0:
        compute(team, number)
        count(team, 8)
        number = claim(team, 0, first)


def finish(team, at, number):
    """Count a piece that is done; let other threads have the processor if there was none."""
    if number < 0:
        rest()
    else:
        count(team, at)


def announce(team, first, last, place):
    """Let a team copy the rows of samples that will be needed, from a place on, 16 at once."""
    pieces = (max(last - first, 0) + 15) // 16
    team[56], team[57], team[58], team[59] = first, last, place, look(team, 48) + pieces
    offer(team, 40, pieces)


def share(team, alpha, a, b, beta, c):
    """Set c to alpha*a@b + beta*c; the threads of a team compute the tiles of a large product."""
    m, k, n, item = a.shape[0], a.shape[1], b.shape[1], c.itemsize
    near = min(a.strides) == min(b.strides) == min(c.strides) == item
    if m * k * n < 10**6 or min(m, n) <= 32 or not near or interpreted(m):
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
    done = look(team, 8)
    offer(team, 0, tiles)
    take(team, True)
    while look(team, 8) < done + tiles:
        rest()
    return own.size  # BLAS reads it by address: it must live until here
