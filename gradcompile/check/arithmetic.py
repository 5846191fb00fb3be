"""The functions of the table in mpmath: real numbers of any precision, with IEEE 754's infinities and nan.

A number here is an `mpmath.mpf`, or a Python integer or boolean where the graph has one. Nothing overflows or
underflows: an exponent has as many digits as it needs. A function that has no real value is nan, as it is in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

Number = Any  # an mpf, an int or a bool
Function = Callable[..., Any]

# Constants that the compiler writes down in double precision, and what they stand for.
ROUNDED: dict[float, Callable[[], Number]] = {
    1.1283791670955126: lambda: 2 / mp.sqrt(mp.pi),
    math.log(2): lambda: mp.log(2),
    math.pi: lambda: +mp.pi,
    math.e: lambda: +mp.e,
}


def number(given: Any) -> Number:
    """Return a number exactly as it is: a float is the binary fraction that it is."""
    if isinstance(given, (bool, np.bool_)):
        return bool(given)
    if isinstance(given, (int, np.integer)):
        return int(given)
    return mpf(float(given))


def constant(given: float) -> Number:
    """Return a float of a program: the number, or what it was rounded from."""
    exact = ROUNDED.get(given)
    return mpf(given) if exact is None else exact()


def real(function: Function) -> Function:
    """Return a function with nan where it has no real value, and infinity at a pole."""

    def result(*operands: Number) -> Number:
        if any(isinstance(o, mpf) and mpmath.isnan(o) for o in operands):
            return mp.nan
        try:
            found = function(*operands)
        except ZeroDivisionError:
            return mp.inf
        except (ValueError, OverflowError):
            return mp.nan
        return mp.nan if isinstance(found, mpmath.mpc) else found

    return result


def quotient(a: Number, b: Number) -> Number:
    """Return a/b: infinite, or nan for 0/0, where b is 0. There is no negative zero here."""
    if b == 0:
        return mp.nan if a == 0 or mpmath.isnan(a) else mp.inf * mp.sign(a)
    return mpf(a) / b


def power(a: Number, b: Number) -> Number:
    """Return a**b for reals: 0 to a negative power is infinite, a negative base needs a whole exponent."""
    if a == 0 and b < 0:
        return mp.inf
    return 1 / mpf(a) ** -b if isinstance(a, int) and b < 0 else mp.power(a, b) if isinstance(a, mpf) else mpf(a) ** b


def sign(x: Number) -> Number:
    """Return -1, 0 or 1."""
    return x if mpmath.isnan(x) else mpf((x > 0) - (x < 0))


def xlogy(x: Number, y: Number) -> Number:
    """Return x*log(y), 0 where x is 0."""
    return mpf(0) if x == 0 and not mpmath.isnan(y) else x * mp.log(y)


def _log_cosh(x: Number) -> Number:
    return abs(x) + mp.log1p(mp.expm1(-2 * abs(x)) / 2) if abs(x) > 1 else mp.log1p(2 * mp.sinh(x / mpf(2)) ** 2)


def _log_tail(x: Number) -> Number:
    return mp.log(mp.erfc(x) / 2) if x > 0 else mp.log1p(-mp.erfc(-x) / 2)


def _log_gamma_gap(r: Number, d: Number, at_r: Number) -> Number:
    return mp.re(mp.loggamma(r + d)) - at_r


def _digamma_gap(r: Number, d: Number, at_r: Number) -> Number:
    return mp.digamma(r + d) - at_r


def _log_beta(a: Number, b: Number) -> Number:
    return mp.re(mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b))


def _largest(*operands: Number) -> Number:
    return mp.nan if any(mpmath.isnan(o) for o in operands) else max(operands)


def _smallest(*operands: Number) -> Number:
    return mp.nan if any(mpmath.isnan(o) for o in operands) else min(operands)


ROWS: dict[str, Function] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": quotient,
    "neg": lambda a: -a, "pow": real(power), "abs": abs, "sign": sign, "mod": real(lambda a, b: a % b),
    "floor": real(mp.floor), "ceil": real(mp.ceil),
    "place": lambda x, count: int(min(x, count - 1)) if x > 0 else 0,
    "exp": mp.exp, "log": real(mp.log), "expm1": mp.expm1, "log1p": real(mp.log1p),
    "log1mexp": real(lambda x: mp.log(-mp.expm1(x))), "logtotal": real(mp.log), "logcosh": real(_log_cosh),
    "sqrt": real(mp.sqrt), "norm": real(mp.sqrt), "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "softplus": real(lambda x: mp.log1p(mp.exp(x))),
    "xlogy": real(xlogy), "xlogx": real(lambda x: xlogy(x, x)), "hypot": mp.hypot,
    "xlog1py": real(lambda x, y: x * mp.log1p(y) if x else mpf(0)),
    "xlog1pdiv": real(lambda x, d: x * mp.log1p(d / x) if x else mpf(0)),
    "xlogx1p": real(lambda x: (1 + x) * mp.log1p(x) if x != -1 else mpf(0)),
    "log1pwexp": real(lambda w, u: mp.log1p(w * mp.exp(u)) if w else mpf(0)),
    "log1pwsq": real(lambda w, x: mp.log1p(w * x * x)),
    "log1pover": real(lambda n, x: mp.hyp2f1(n + 1, n + 1, n + 2, -x) / (n + 1)),
    "expm1over": real(lambda n, x: mp.hyp1f1(n + 1, n + 2, x) / (n + 1)),
    "xlog1psqdiv": real(lambda x, u: x * mp.log1p(u * u / x)),
    "log1pgap": real(lambda x, _: mp.log1p(x) - x / (1 + x)),
    "share": real(lambda a, b: a / (a + b)),
    "expm1div": real(lambda k, x: mp.expm1(k * x) / k if k else x),
    "relent": real(lambda x, y: xlogy(x, x / y)),
    "sin": mp.sin, "cos": mp.cos, "tan": real(mp.tan), "asin": real(mp.asin), "acos": real(mp.acos),
    "atan": real(mp.atan), "atan2": real(mp.atan2), "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "sech": mp.sech,
    "asinh": mp.asinh, "acosh": real(mp.acosh), "atanh": real(mp.atanh),
    "erf": mp.erf, "erfc": mp.erfc, "logtail": real(_log_tail), "erfcx": real(lambda x: mp.exp(x * x) * mp.erfc(x)),
    "gamma": real(mp.gamma), "lgamma": real(lambda x: mp.re(mp.loggamma(x))), "digamma": real(mp.digamma),
    "polygamma": real(lambda n, x: mp.psi(int(n), x)), "lbeta": real(_log_beta),
    "lgammagap": real(_log_gamma_gap), "digammagap": real(_digamma_gap),
    "polygammagap": real(lambda n, r, d: mp.psi(int(n), r + d) - mp.psi(int(n), r)),
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a) and bool(b), "or": lambda a, b: bool(a) or bool(b), "not": lambda a: not a,
    "select": lambda c, a, b: a if c else b, "maximum": _largest, "minimum": _smallest,
    "detach": lambda x: x, "finite": lambda x: x if mpmath.isfinite(x) else mpf(0), "real": lambda x: mpf(x),
}  # fmt: skip


def elementwise(function: Function) -> Function:
    """Return a function of numbers as one of arrays of them, with broadcasting."""

    def result(*operands: Any) -> Any:
        if any(isinstance(o, np.ndarray) for o in operands):
            count = len(operands)
            return np.frompyfunc(function, count, 1)(*operands)
        return function(*operands)

    return result


def totalled(op: str, numbers: list[Number]) -> Number:
    """Return the sum, product, maximum or minimum of numbers."""
    rule = {"sum": ROWS["add"], "prod": ROWS["mul"], "max": _largest, "min": _smallest}[op]
    empty = {"sum": mpf(0), "prod": mpf(1), "max": -mp.inf, "min": mp.inf}[op]
    return reduce(rule, numbers) if numbers else empty
