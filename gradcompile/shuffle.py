"""Randomness of training as pure functions: a seed and what it is for give the same numbers, whatever ran before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
EPOCH, SPLIT, START = 0, 1, 2  # what a stream of random numbers is for


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return the random numbers of a seed and a purpose; other purposes have independent streams.

    Parameters
    ----------
    seed : int
        Not negative.
    *purpose : int
        What the numbers are for: `EPOCH` and its number, `SPLIT`, or `START` and the number of the parameter.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=purpose)))


def order(seed: int, epoch: int, rows: Rows) -> Rows:
    """Return `rows` in the order in which an epoch takes them: a pure function of (seed, epoch).

    Parameters
    ----------
    seed : int
        Not negative.
    epoch : int
        Counted from 1.
    rows : int64 array (B,)
        Sample numbers; left as they are.

    Examples
    --------
    >>> order(0, 1, np.arange(5)).tolist() == order(0, 1, np.arange(5)).tolist()
    True
    """
    return generator(seed, EPOCH, epoch).permutation(rows)


def split(seed: int, count: int, fraction: float) -> tuple[Rows, Rows]:
    """Return the rows to train on and the rows held out, both ascending.

    Parameters
    ----------
    seed : int
        Not negative.
    count : int
        Number of samples.
    fraction : float
        Part of the samples to hold out, between 0 and 1; at least one sample is, and at least one is not.
    """
    held = min(max(1, round(fraction * count)), count - 1)
    shuffled = generator(seed, SPLIT).permutation(count)
    return np.sort(shuffled[held:]), np.sort(shuffled[:held])
