"""Derivatives of what mpmath computes, which share nothing with those of gradcompile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp, mpf

Point = list[Any]


def derivatives(function: Callable[[Point], Any], point: list[float]) -> tuple[float, np.ndarray, np.ndarray]:
    """Return value, gradient and Hessian of a function of numbers of mpmath, by differences at 150 digits."""
    with mp.workdps(150):
        size, centre, step = len(point), [mpf(each) for each in point], mpf(10) ** -45

        def at(*moves: tuple[int, int]) -> Any:
            return function([c + step * sum(sign for k, sign in moves if k == n) for n, c in enumerate(centre)])

        slopes = [(at((k, 1)) - at((k, -1))) / (2 * step) for k in range(size)]
        second = [
            [sum(a * b * at((k, a), (j, b)) for a in (1, -1) for b in (1, -1)) / (4 * step**2) for j in range(size)]
            for k in range(size)
        ]
        return float(at()), np.array(slopes, float), np.array(second, float)
