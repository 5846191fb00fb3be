"""Shuffling of many numbers: as random as one exchange after another, without waiting for memory at each.

An exchange with a random place of a long array waits for memory. So every number first goes to a random one of some
parts, each of which is written from its first place to its last, and then the parts are shuffled, each in the cache.
Every order is as likely as any other: Sandelius, "A simple randomization procedure", J. Roy. Statist. Soc. B 24 (1962).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

PART = 2048  # numbers that stay in the nearest cache together
STEP = np.uint64(0x9E3779B97F4A7C15)
MIX1, MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@njit(error_model="numpy")
def drawn(seed: int, k: int, bound: int) -> np.int64:
    """Return a random number from 0 to bound - 1, at most 2**32: the k-th of SplitMix64."""
    z = np.uint64(seed) + np.uint64(k) * STEP
    z = (z ^ (z >> np.uint64(30))) * MIX1
    z = (z ^ (z >> np.uint64(27))) * MIX2
    z ^= z >> np.uint64(31)
    return np.int64(((z >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(error_model="numpy")
def scatter(numbers: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return numbers in a random order, which depends on the seed alone.

    Parameters
    ----------
    numbers : int64 array (N,)
        Left as they are.
    seed : int
        From 0 to 2**63 - 1.
    """
    count = numbers.size
    parts = count // PART + 1
    ends = np.empty(parts, np.int64)
    for part in range(parts):
        ends[part] = 0
    for k in range(count):
        ends[drawn(seed, k, parts)] += 1
    end = count
    for part in range(parts - 1, -1, -1):
        ends[part], end = end, end - ends[part]
    order = np.empty(count, np.int64)
    for k in range(count - 1, -1, -1):  # each part from its end: `ends` are its first places then
        chosen = drawn(seed, k, parts)
        ends[chosen] -= 1
        order[ends[chosen]] = numbers[k]
    end = count
    for part in range(parts - 1, -1, -1):
        first = ends[part]
        for last in range(end - 1, first, -1):
            other = first + drawn(seed, count + last, last - first + 1)
            held = order[last]
            order[last] = order[other]
            order[other] = held
        end = first
    return order
