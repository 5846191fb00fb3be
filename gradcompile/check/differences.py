"""Gradients against differences of a function in floating point: for what is a black box, or too large for 50 digits.

A component is right if it and the difference agree relative to their own size. An absolute tolerance certifies
nothing: where the difference is no more than rounding, the component is reported as not resolved, neither right
nor wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradcompile.check.report import Component, Verdict

Flat = NDArray[np.float64]
Function = Callable[[float], float]
FlatFunction = Callable[[Flat], tuple[float, Flat]]

TOLERANCE = {"float64": 1e-6, "float32": 1e-3}  # relative: what counts as agreement
STEPS = (1e-1, 1e-3)  # where the extrapolations start, relative to the parameter, or to 1 if that is larger
SHRINK, LEVELS = 1.6, 12
ROUNDING = 4 * np.finfo(np.float64).eps


def by_differences(
    fun: FlatFunction, flat: Flat, gradient: Flat, names: Sequence[str], most: int, tolerance: float
) -> Iterator[Component]:
    """Yield the components of a gradient, compared with extrapolated central differences of the value.

    Parameters
    ----------
    fun : callable
        From a flat array to (value, gradient); only the value is used.
    flat, gradient : ndarray
        The point, and the gradient there that is checked.
    names : sequence of str
        Of the components.
    most : int
        How many are looked at one by one.
    tolerance : float
        Relative error up to which a component is right.

    Notes
    -----
    Differences are extrapolated to step 0 with an estimate of their error: C. J. F. Ridders, Accurate computation of
    F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982) 75-76.
    """
    for name, slope, way, scale in ways(gradient, flat, names, most):
        difference, error = _difference(_along(fun, flat, way), scale)
        found = Component(name, slope, difference, "right", uncertainty=error)
        verdict: Verdict = "right"
        if not found.relative <= tolerance:
            verdict = "not resolved" if abs(slope - difference) <= error else "WRONG"
        yield Component(name, slope, difference, verdict, uncertainty=error)


def ways(gradient: Flat, flat: Flat, names: Sequence[str], most: int) -> Iterator[tuple[str, float, Flat, float]]:
    """Yield the components to look at: a name, the slope that the gradient gives, a direction, the size of a step.

    Of a large gradient that is the largest components, a sample, and one direction through all.
    """
    scales = np.maximum(np.abs(flat), 1.0)
    chance = np.random.default_rng(0)
    chosen = list(range(flat.size))
    if flat.size > most:
        largest = np.argsort(-np.where(np.isnan(gradient), np.inf, np.abs(gradient)), kind="stable")[: most // 2]
        others = chance.choice(flat.size, most // 2, replace=False)
        chosen = sorted({*largest.tolist(), *others.tolist()})
        way = chance.choice([-1.0, 1.0], flat.size) * scales / math.sqrt(flat.size)
        yield "all, along a direction", float(np.sum(gradient * way)), way, 1.0
    for place in chosen:
        way = np.zeros(flat.size)
        way[place] = 1.0
        yield names[place], float(gradient[place]), way, float(scales[place])


def _along(fun: FlatFunction, flat: Flat, direction: Flat) -> Function:
    """Return the value along a line through a point."""
    return lambda step: fun(flat + step * direction)[0]


def _difference(function: Function, scale: float) -> tuple[float, float]:
    """Return the derivative at 0 and an estimate of its error: the better of several extrapolations."""
    return min((_extrapolated(function, step * scale) for step in STEPS), key=lambda found: found[1])


def _extrapolated(function: Function, step: float) -> tuple[float, float]:
    """Return the derivative at 0 by Ridders' method."""
    best, error, before = math.nan, math.inf, list[float]()
    for level in range(LEVELS):
        up, down = function(step), function(-step)
        rounding = ROUNDING * max(abs(up), abs(down)) / step
        row = [(up - down) / (2 * step)]
        for order in range(level):
            factor = SHRINK ** (2 * (order + 1))
            row.append((factor * row[order] - before[order]) / (factor - 1))
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - before[order])) + rounding
            if estimate < error:
                best, error = row[-1], estimate
        before, step = row, step / SHRINK
    return best, error
