"""Products of matrices that several threads compute, as functions for the target numba.

A team is an array of integers that its threads have in common. At 0 is what is left of a product: its number, and in
16 bits each the first of the tiles that nobody has taken and the one after the last; -1 says that there will be no more
products. At 8 is how many tiles are done, of all products. From 16 on is the product, a job for `compute`.
"""

from typing import Any

import numpy as np

from gradcompile.emit.support.kernels import compute, described, gemm

look: Any = None  # an emitted module imports these: the integer at a place, as the last thread left it there
rest: Any = None  # lets other threads have the processor
swap: Any = None  # puts an integer in the place of another one; whether that was there


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
    z, z0, z1, factors = c.ctypes.data, c.strides[0], c.strides[1], own.ctypes.data
    tiles = described(team, m, k, n, item, factors, x, x0, x1, y, y0, y1, z, z0, z1, True)
    if tiles >= 65536:
        return gemm(alpha, a, b, beta, c, True)
    before, done = look(team, 0), look(team, 8)
    swap(team, 0, before, ((before >> 32) + 1 << 32) + tiles)
    take(team, True)
    while look(team, 8) < done + tiles:
        rest()
    return own.size  # BLAS reads it by address: it must live until here
