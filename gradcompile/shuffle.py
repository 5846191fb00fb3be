"""Randomness of training as pure functions: a seed and what it is for give the same numbers, whatever ran before."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
EPOCH, SPLIT, START = 0, 1, 2  # what a stream of random numbers is for
MANY = 2**15  # rows that do not stay in the nearest cache: exchanging two of them waits for memory


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


def order(seed: int, epoch: int, rows: Rows | int) -> Rows:
    """Return `rows` in the order in which an epoch takes them: a pure function of (seed, epoch).

    Parameters
    ----------
    seed : int
        Not negative.
    epoch : int
        Counted from 1.
    rows : int64 array (B,), or int
        Sample numbers; left as they are. A count stands for the numbers below it.

    Examples
    --------
    >>> order(0, 1, np.arange(5)).tolist() == order(0, 1, 5).tolist()
    True
    """
    random = generator(seed, EPOCH, epoch)
    if count_of(rows) < MANY:
        return random.permutation(rows)
    places = _scatter()(count_of(rows), random.integers(2**63))
    return places if isinstance(rows, int) else rows[places]


def count_of(rows: Rows | int) -> int:
    """Return how many rows there are."""
    return rows if isinstance(rows, int) else len(rows)


@cache
def _scatter() -> Callable[[int, np.int64], Rows]:
    """Return the compiled shuffling of many numbers, whose machine code is kept like that of a model."""
    from gradcompile.jit import ByArguments

    text = pkgutil.get_data("gradcompile.jit", "scatter.py")
    if text is None:
        raise RuntimeError("the package is not whole: jit/scatter.py is missing")
    return ByArguments(text.decode(), "scatter", (), ())


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
