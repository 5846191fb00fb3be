"""Checks of gradients for test suites: models at 50 digits, functions of one's own by differences.

Each raises `GradientCheckError`, which is an `AssertionError`, so that pytest shows what is wrong as it shows any other
failure; each returns its report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradcompile.check import GradientReport, by_differences, examine, refusal, sample
from gradcompile.compiler import CompiledModel
from gradcompile.errors import DataError, GradientCheckError

__all__ = ["assert_function_gradient", "assert_gradient"]

FEW = 200  # components that are looked at one by one


def assert_gradient(
    model: CompiledModel, /, *, seed: int = 0, digits: float = 0.0, ill_conditioned: bool = True, **inputs: Any
) -> GradientReport:
    """Assert that the gradient of a model is right, against its exact derivative at 50 digits.

    Parameters
    ----------
    model : CompiledModel
        The model.
    seed : int
        Of the random numbers that are drawn for inputs which are not given.
    digits : float
        How many decimal digits of every component must be right in floating point, from 0 to 16.
    ill_conditioned : bool
        Whether a component may be ill-conditioned: right as a formula, but without enough digits at this point.
    **inputs : number or array-like
        Arguments by name: all of them, or numbers to keep while a small problem is drawn for the rest.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientCheckError
        A component is wrong, or has fewer digits than asked for.

    Examples
    --------
    >>> from sympy import exp, symbols
    >>> import gradcompile as gc
    >>> x, w = symbols("x w")
    >>> print(assert_gradient(gc.compile(exp(w*x), wrt=w), digits=12).verdict)
    right
    """
    point = inputs if set(inputs) >= set(model.arguments) else sample(model, inputs, seed)
    report = examine(model, point)
    if not report.right:
        raise refusal(report)
    worst = report.worst
    if worst.verdict == "ill-conditioned" and not ill_conditioned:
        raise GradientCheckError(
            f"the gradient is ill-conditioned at this point; the worst component is {worst.name}",
            expected="a component of which floating point keeps the digits",
            found=str(worst),
            hint="the formula is right: check at another point, or write what cancels in another way",
        )
    if min((c.digits for c in report.components if c.verdict != "kink"), default=digits) < digits:
        raise GradientCheckError(
            f"the gradient has too few right digits; the worst component is {worst.name}",
            expected=f"{digits:g} digits",
            found=f"{worst.digits:.1f} digits, at a condition of {worst.condition:.1g}",
            hint="check at another point, or ask for fewer digits",
        )
    return report


def assert_function_gradient(
    fun: Callable[[NDArray[np.float64]], tuple[float, ArrayLike]],
    x: ArrayLike,
    *,
    names: Sequence[str] = (),
    tolerance: float = 1e-6,
) -> GradientReport:
    """Assert that a function's own gradient agrees with differences of its value.

    What is compared is relative: a small component beside a large one is judged by its own size. Where a difference is
    no more than rounding, the component is reported as not resolved; it is never called right.

    Parameters
    ----------
    fun : callable
        From a flat array of float64 to (value, gradient): what `scipy.optimize.minimize` takes with ``jac=True``.
    x : array-like, one axis
        The point.
    names : sequence of str, optional
        Of the components, for messages; else ``x[0]``, ``x[1]``, ...
    tolerance : float
        Largest relative error of a component, dimensionless.

    Returns
    -------
    GradientReport
        Its `unresolved` are the components that differences tell nothing about.

    Raises
    ------
    GradientCheckError
        A component is wrong.
    DataError
        The value is not finite at this point.

    Examples
    --------
    >>> report = assert_function_gradient(lambda x: (x @ x, 2*x), [1.0, 2.0])
    >>> report.checked
    2
    """
    flat = np.atleast_1d(np.asarray(x, np.float64))

    def called(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = fun(at)
        return float(value), np.asarray(gradient, np.float64).ravel()

    value, gradient = called(flat)
    if not np.isfinite(value):
        raise DataError(
            f"the function is {value} at this point", expected="a finite value", hint="check at another point"
        )
    named = list(names) or [f"x[{k}]" for k in range(flat.size)]
    found = tuple(by_differences(called, flat, gradient, named, FEW, tolerance))
    report = GradientReport(value, found, flat.size, "with differences in floating point")
    if not report.right:
        raise refusal(report)
    return report
