"""The series about 0 of formulas of one number, as exact as the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from gradcompile.ir import Value
from gradcompile.passes import power_series as ps
from gradcompile.passes.fold import exact
from gradcompile.passes.power_series import Series


def series_of(formula: Value, series: dict[Value, Series | None]) -> Series | None:
    """Return the series of a formula; None if there is none.

    Parameters
    ----------
    formula : Value
        Made of values whose series are given, of numbers, and of operations of the table `OPERATIONS`.
    series : dict of Value to Series or None
        What is given; the series of the parts of the formula are added.

    Examples
    --------
    >>> from gradcompile.ir import Builder
    >>> u = Builder().input("u", ())
    >>> series_of(1 / u - u, {u: ps.variable()}).valuation
    -1
    """
    stack = [formula]
    while stack:
        value = stack[-1]
        waiting = [] if value in series else [o for o in value.operands if o not in series]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if value not in series:
            parts = [series[o] for o in value.operands]
            series[value] = None if None in parts else OPERATIONS[value.op](value, *parts)
    return series[formula]


def constant_of(value: Value) -> Fraction | None:
    """Return the number that a value is: what a float stands for, too."""
    if isinstance(value.attr, float) and math.isfinite(value.attr):
        return Fraction(value.attr)
    number = exact(value)
    return None if number is None else Fraction(number)


def _div(value: Value, a: Series, b: Series) -> Series | None:
    inverse = ps.reciprocal(b)
    return None if inverse is None else ps.multiply(a, inverse)


def _pow(value: Value, a: Series, b: Series) -> Series | None:
    number = exact(value.operands[1])
    if number is None or not a.coefficients or a.coefficients[0] != 1 or (places := number * a.valuation) % 1:
        return None if number is None else ps.power(a, Fraction(number))
    is_monomial = not any(a.coefficients[1:])
    power = ps.number(ps.ONE) if is_monomial else ps.power(Series(0, a.coefficients), Fraction(number))
    return None if power is None else Series(int(places), power.coefficients)


def _log(value: Value, a: Series) -> Series | None:
    coefficients = ps.taylor("log1p")
    assert coefficients is not None
    return ps.compose(coefficients, ps.add(a, ps.number(ps.ONE), -1)) if a.constant == 1 else None


def _function(value: Value, a: Series) -> Series | None:
    coefficients = ps.taylor(value.op)
    return None if coefficients is None else ps.compose(coefficients, a)


def _abs(value: Value, a: Series) -> Series:
    """Return the absolute value of a series for small positive numbers."""
    return a if not a.coefficients or a.coefficients[0] > 0 else ps.multiply(ps.number(-ps.ONE), a)


OPERATIONS: dict[str, Callable[..., Series | None]] = {
    "const": lambda value: ps.number(constant_of(value) or Fraction(0)),
    "abs": _abs,
    "neg": lambda value, a: ps.multiply(ps.number(-ps.ONE), a),
    "add": lambda value, a, b: ps.add(a, b),
    "sub": lambda value, a, b: ps.add(a, b, -1),
    "mul": lambda value, a, b: ps.multiply(a, b),
    "div": _div,
    "pow": _pow,
    "sqrt": lambda value, a: ps.power(a, Fraction(1, 2)) if a.constant == 1 else None,
    "log": _log,
    **dict.fromkeys(ps.FUNCTIONS, _function),
}
