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
def scatter(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers from 0 to count - 1 in a random order, which depends on the seed alone.

    Parameters
    ----------
    count : int
        At most 2**43.
    seed : int
        From 0 to 2**63 - 1.

    Notes
    -----
    Takes 12 bytes for each number.
    """
    parts = count // PART + 1
    chosen = np.empty(count, np.uint32)
    for k in range(count):  # drawn by themselves, since such a loop becomes vectors
        chosen[k] = drawn(seed, k, parts)
    ends = np.zeros(parts, np.int64)
    for k in range(count):
        ends[chosen[k]] += 1
    end, most = count, 0
    for part in range(parts - 1, -1, -1):
        most = max(most, ends[part])
        ends[part], end = end, end - ends[part]
    order = np.empty(count, np.int64)
    for k in range(count - 1, -1, -1):  # each part from its end: `ends` are its first places then
        ends[chosen[k]] -= 1
        order[ends[chosen[k]]] = k
    others = np.empty(most, np.int64)
    end = count
    for part in range(parts - 1, -1, -1):
        first = ends[part]
        for k in range(1, end - first):
            others[k] = drawn(seed, count + first + k, k + 1)
        for k in range(end - first - 1, 0, -1):
            held = order[first + k]
            order[first + k] = order[first + others[k]]
            order[first + others[k]] = held
        end = first
    return order
