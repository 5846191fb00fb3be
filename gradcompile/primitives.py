"""THE TABLE: one row a function.

A row holds all that the compiler knows of a function: its SymPy form, its meaning in NumPy, its partial derivatives,
how each target spells it, where it may be sampled, and what it gives at the edges. Lowering, both modes of
differentiation, every target, the documentation and a test of each row follow from it: a new function is one row.

A partial derivative is a lambda of the operands and, last, the output, written with ordinary arithmetic and ``op.name``
for other rows. The same lambda builds graph values, and SymPy expressions for the test that proves it with `sympy.diff`.

A spelling is a Python expression in ``{0}``, ``{1}``; a bare name in it is a function of the target's support file,
whose text is copied into the emitted module.
"""

# ruff: noqa: E501  (a row is a line, however long: the table is read down its columns)
from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import sympy

Operand = Any  # a graph Value, a SymPy expression or a number: whatever has arithmetic
Partial = Callable[..., Operand]
Interval = tuple[float, float]


class _Special:
    """`scipy.special`, imported when a function of it is first called: it takes longer than all else at start-up."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*operands: Any) -> Any:
            return getattr(importlib.import_module("scipy.special"), name)(*operands)

        return call


special = _Special()
INF, NAN = float("inf"), float("nan")
REALS: Interval = (-3.0, 3.0)
POSITIVES: Interval = (0.05, 4.0)
UNIT: Interval = (-0.95, 0.95)


class Primitive(NamedTuple):
    """One function.

    Parameters
    ----------
    name : str
        What the graph calls it.
    sympy : callable
        Its SymPy form, as a function of SymPy operands.
    reference : callable
        Its meaning on NumPy arrays, with broadcasting.
    partials : tuple of callables, or None
        A local derivative an operand, of (operands..., output); None where there is none to take (comparisons) or
        where the rule is structural (select, minimum, maximum: see adjoint.py).
    python, numpy, numba : str
        The spelling for each target.
    heads : tuple of SymPy classes
        The classes that lower to this row, operand by operand.
    domain : tuple of (low, high)
        Where tests sample each operand.
    extremes : tuple of (operands, value)
        What it gives at the edges.
    kind : {"real", "bool", "same"}
        What it returns; "same" is an integer for integer operands.
    commutative : bool
        Whether two operands may be exchanged.
    relative : callable or None
        The derivative of a function of one operand over its value, of (operand, output), where both of these may be
        infinite, or 0, while this is not: what a quotient by the function, or a power of it, is differentiated with.
    textbook : tuple of callables or None
        The partials as a lecture writes them, where they differ from `partials`.
    source : str
        Where the formula or the convention comes from.
    """

    name: str
    sympy: Callable[..., Any]
    reference: Callable[..., Any]
    partials: tuple[Partial, ...] | None
    python: str
    numpy: str
    numba: str
    heads: tuple[type, ...] = ()
    domain: tuple[Interval, ...] = (REALS,)
    extremes: tuple[tuple[tuple[float, ...], float], ...] = ()
    kind: str = "real"
    commutative: bool = False
    relative: Partial | None = None
    textbook: tuple[Partial, ...] | None = None
    source: str = ""


class _Calls:
    """Names of rows as functions: ``op.cos(x)`` is a graph value if x is one, else a SymPy expression."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*operands: Operand) -> Any:
            for operand in operands:
                if hasattr(operand, "builder"):
                    return operand.builder.apply(name, *operands)
            return PRIMITIVES[name].sympy(*(sympy.sympify(o, strict=True) for o in operands))

        return call


op = _Calls()


def _select(condition: Any, a: Any, b: Any) -> Any:
    return sympy.Piecewise((a, condition), (b, True))


def _infix(symbol: str) -> dict[str, Any]:
    """Return one spelling for all three targets: Python's own operator."""
    text = f"{{0}} {symbol} {{1}}"
    return {"python": text, "numpy": text, "numba": text}


def _math(name: str, numpy_name: str = "") -> dict[str, Any]:
    """Return the spellings of a function that `math` and NumPy both have."""
    return {"python": f"math.{name}({{0}})", "numpy": f"np.{numpy_name or name}({{0}})", "numba": f"math.{name}({{0}})"}


def _support(name: str, arity: int = 1) -> dict[str, Any]:
    """Return the spelling of a function that every target's support file defines."""
    text = f"{name}({', '.join(f'{{{k}}}' for k in range(arity))})"
    return {"python": text, "numpy": text, "numba": text}


def _log_cosh(x: Any) -> Any:
    """Return log(cosh(x)): up to 1 from cosh(x) - 1, beyond from |x| - log(2)."""
    size = np.abs(x)
    small = np.expm1(-np.minimum(size, 1.0))
    return np.where(size < 1, np.log1p(small**2 / (2 + 2 * small)), size + (np.log1p(np.exp(-2 * size)) - np.log(2)))


def _log_1m_exp(x: Any) -> Any:
    """Return log(1 - exp(x)) by whichever of two forms does not cancel."""
    below = np.where(x > 0, np.nan, x)
    return np.where(below > -np.log(2), np.log(-np.expm1(below)), np.log1p(-np.exp(below)))


def _log_1p_w_exp(w: Any, u: Any) -> Any:
    """Return log(1 + w*exp(u)); where the product overflows it is u + log(w)."""
    half = np.exp(u / 2)
    product = w * half * half
    return np.where(w == 0, 0.0 * w, np.where(product < np.inf, np.log1p(product), u + np.log(w)))


def _log_1p_w_square(w: Any, x: Any) -> Any:
    """Return log(1 + w*x**2); where the product overflows it is log(w) + 2*log(abs(x))."""
    product = w * x * x
    return np.where(product < np.inf, np.log1p(product), np.log(w) + 2 * np.log(np.abs(x)))


def _x_log_1p_div(x: Any, d: Any) -> Any:
    """Return x*log(1 + d/x), 0 at x = 0; where the quotient overflows it is x*(log(d) - log(x))."""
    with np.errstate(all="ignore"):
        share = d / x
        there = x * np.where(share < np.inf, np.log1p(share), np.log(d) - np.log(x))
        return np.where((x == 0) & (d == d), 0.0 * x, there)


def _order(n: Any) -> int:
    """Return a whole number that a formula has, which stands in an array of one entry beside other arrays."""
    return int(np.asarray(n).flat[0])


def _log_1p_over(n: Any, x: Any) -> Any:
    """Return the integral of u**n/(1 + x*u)**(n + 1) over the unit interval: by a series where x is small."""
    x, share = np.asarray(x, np.float64), x / (1 + x)
    near = np.where(np.abs(share) < 0.3, share, 0.0)
    series = reduce(lambda total, k: total * near + 1 / (n + 1 + k), reversed(range(32)), 0.0) / (1 + x) ** (n + 1)
    total = np.where(x == np.inf, 0.0, np.log1p(x) / x)
    for k in range(1, _order(n) + 1):
        total = (total - 1 / (k * (1 + x) ** k)) / x
    return np.where(np.abs(share) < 0.3, series, total)


def _log_1p_gap(x: Any, log: Any = None) -> Any:
    """Return log(1 + x) - x/(1 + x): of small x, minus x**2 times the derivative of log(1 + x)/x."""
    with np.errstate(all="ignore"):
        small = np.square(np.minimum(x, 1.0)) * _log_1p_over(1, np.minimum(x, 1.0))
        return np.where(np.abs(x) < 0.4, small, np.log1p(x) - 1 + 1 / (1 + x))


def _exp_m1_over(n: Any, x: Any) -> Any:
    """Return the integral of u**n*exp(x*u) over the unit interval: by a series where x is small."""
    x = np.asarray(x, np.float64)
    near = np.where(np.abs(x) < 1, x, 0.0)
    series = sum(near**k / (float(math.factorial(k)) * (n + 1 + k)) for k in range(20))
    total = np.expm1(x) / x
    for k in range(1, _order(n) + 1):
        total = (np.exp(x) - k * total) / x
    return np.where(np.abs(x) < 1, series, np.where(np.exp(x) == np.inf, np.inf, total))


def _log_tail(x: Any) -> Any:
    """Return log(erfc(x)/2): below 0 from the other tail, beyond 1 from the scaled function, which does not underflow."""
    far, near = np.maximum(x, 1.0), np.clip(x, 0.0, 1.0)
    below = np.log1p(-special.erfc(-np.minimum(x, 0.0)) / 2)
    return np.where(
        x < 0, below, np.where(x > 1, np.log(special.erfcx(far) / 2) - far**2, np.log(special.erfc(near) / 2))
    )


def _log_gamma(x: Any) -> Any:
    """Return log(abs(gamma(x))): SciPy's is infinite at subnormal numbers, and not at minus infinity, as that of C is."""
    with np.errstate(all="ignore"):
        tiny = np.where(np.abs(x) < sys.float_info.min, -np.log(np.abs(x)), special.gammaln(x))
    return np.where(np.isneginf(x), np.inf, tiny)


def _of_gap(far: Callable[..., Any], near: Callable[..., Any], r: Any, d: Any) -> Any:
    """Return f(r + d) - f(r): from 16 on as `far` has it, of the smaller argument, the distance and the larger."""
    x = r + d
    low, high = np.minimum(r, x), np.maximum(r, x)
    with np.errstate(all="ignore"):
        series = np.sign(d) * far(np.maximum(low, 16.0), np.abs(d), np.maximum(high, 16.0))
        return np.where(low > 16, series, near(x) - near(r))


def _log_gamma_gap(r: Any, d: Any, at_r: Any = None) -> Any:
    """Return lgamma(r + d) - lgamma(r) by the difference of Stirling's series."""

    def far(low: Any, d: Any, high: Any) -> Any:
        u, v = 1 / low, 1 / high
        series = sum(c * _powers_apart(u, v, 2 * k + 1) for k, c in enumerate(STIRLING))
        return (low - 0.5) * np.log1p(d / low) + d * (np.log(high) - 1 - u * v * series)

    return _of_gap(far, _log_gamma, r, d)


def _digamma_gap(r: Any, d: Any, at_r: Any = None) -> Any:
    """Return digamma(r + d) - digamma(r) by the difference of the asymptotic series."""

    def far(low: Any, d: Any, high: Any) -> Any:
        u, v = 1 / low, 1 / high
        series = sum((2 * k + 1) * c * _powers_apart(u, v, 2 * k + 2) for k, c in enumerate(STIRLING))
        return np.log1p(d / low) + d * u * v * (0.5 + series)

    return _of_gap(far, special.digamma, r, d)


def _polygamma_gap(n: Any, r: Any, d: Any) -> Any:
    """Return polygamma(n, r + d) - polygamma(n, r) by the difference of the asymptotic series."""
    sign, order = (-1.0) ** (n + 1), np.asarray(n, np.float64)

    def far(low: Any, d: Any, high: Any) -> Any:
        def apart(power: Any) -> Any:
            return np.expm1(-power * np.log1p(d / low)) / low**power

        total = special.gamma(order) * apart(order) + special.gamma(order + 1) / 2 * apart(order + 1)
        for k, c in enumerate(STIRLING):
            power = 2 * k + 2 + order
            total = total + c * (2 * k + 1) * special.gamma(power) / special.gamma(2 * k + 2) * apart(power)
        return sign * total

    return np.where(order == 0, _digamma_gap(r, d), _of_gap(far, lambda x: special.polygamma(n, x), r, d))


def _powers_apart(u: Any, v: Any, power: int) -> Any:
    """Return (u**power - v**power)/(u - v)."""
    return sum(u**k * v ** (power - 1 - k) for k in range(power))


def _log_beta(a: Any, b: Any) -> Any:
    low, high = np.minimum(a, b), np.maximum(a, b)
    return _log_gamma(low) - _log_gamma_gap(high, low)


def _place(x: Any, count: Any) -> Any:
    """Return numbers as indices of an axis: 0 for those below it and nan, its last one for those beyond."""
    return np.minimum(np.fmin(np.fmax(x, 0), 2.0**53).astype(np.int64), count - 1)


NO_DERIVATIVE = object()  # a partial that must never be asked for: adjoint.py raises NonDifferentiableError
TWO_OVER_ROOT_PI = 1.1283791670955126
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)  # dlmf.nist.gov/5.11.1
TWO = (REALS, REALS)
# fmt: off
TABLE: tuple[Primitive, ...] = (
    # arithmetic
    Primitive("add", lambda a, b: a + b, np.add, (lambda a, b, y: 1, lambda a, b, y: 1), **_infix("+"), domain=TWO, kind="same", commutative=True),
    Primitive("sub", lambda a, b: a - b, np.subtract, (lambda a, b, y: 1, lambda a, b, y: -1), **_infix("-"), domain=TWO, kind="same"),
    Primitive("mul", lambda a, b: a * b, np.multiply, (lambda a, b, y: b, lambda a, b, y: a), **_infix("*"), domain=TWO, kind="same", commutative=True),
    Primitive("div", lambda a, b: a / b, np.true_divide, (lambda a, b, y: 1 / b, lambda a, b, y: -(y / b)), python="{0} / {1}", numpy="{0} / {1}", numba="{0} / {1}", domain=(REALS, POSITIVES), extremes=(((1.0, 0.0), INF), ((-1.0, 0.0), -INF))),
    Primitive("neg", lambda a: -a, np.negative, (lambda a, y: -1,), python="-{0}", numpy="-{0}", numba="-{0}", kind="same"),
    Primitive(
        "pow", lambda a, b: a**b, np.float_power, (lambda a, b, y: _power_base(a, b), lambda a, b, y: op.select(op.eq(a, 0), 0, y * op.log(a))),
        python="{0} ** {1}", numpy="{0} ** {1}", numba="{0} ** {1}", domain=(POSITIVES, REALS),
        extremes=(((0.0, 0.0), 1.0), ((0.0, 2.0), 0.0), ((-1.5, 2.0), 2.25)), source="calculus at 0: design note on x**c",
    ),
    Primitive("abs", sympy.Abs, np.abs, (lambda x, y: op.sign(x),), python="abs({0})", numpy="np.abs({0})", numba="abs({0})", heads=(sympy.Abs,), extremes=(((-INF,), INF), ((0.0,), 0.0)), kind="same", source="subgradient 0 at 0"),
    Primitive("sign", sympy.sign, np.sign, (lambda x, y: 0,), **(_support("sign") | {"numpy": "np.sign({0})"}), heads=(sympy.sign,), extremes=(((0.0,), 0.0), ((-INF,), -1.0))),
    Primitive("floor", sympy.floor, np.floor, (lambda x, y: 0,), **_support("floor") | {"numpy": "np.floor({0})"}, heads=(sympy.floor,)),
    Primitive("ceil", sympy.ceiling, np.ceil, (lambda x, y: 0,), **_support("ceil") | {"numpy": "np.ceil({0})"}, heads=(sympy.ceiling,)),
    Primitive("place", lambda x, count: sympy.floor(sympy.Max(0, sympy.Min(x, count - 1))), _place, (lambda x, count, y: 0, lambda x, count, y: 0), **_support("place", 2), domain=(REALS, (3.0, 3.0)), kind="int", extremes=(((-INF, 3.0), 0.0), ((1.5, 3.0), 1.0), ((NAN, 3.0), 0.0), ((INF, 3.0), 2.0)), source="a label as an index of an axis; what is none becomes one, to be left out"),
    Primitive("mod", sympy.Mod, np.mod, (lambda a, b, y: 1, lambda a, b, y: -op.floor(a / b)), **_infix("%"), heads=(sympy.Mod,), domain=(REALS, POSITIVES), kind="same", source="sign of the divisor, as SymPy and Python"),
    # exponentials and logarithms
    Primitive("exp", sympy.exp, np.exp, (lambda x, y: y,), **_math("exp"), heads=(sympy.exp,), extremes=(((-INF,), 0.0), ((INF,), INF)), textbook=(lambda x, y: op.exp(x),)),
    Primitive("log", sympy.log, np.log, (lambda x, y: 1 / x,), **_math("log"), domain=(POSITIVES,), extremes=(((1.0,), 0.0), ((0.0,), -INF), ((INF,), INF))),
    Primitive("expm1", lambda x: sympy.exp(x) - 1, np.expm1, (lambda x, y: y + 1,), **_math("expm1"), relative=lambda x, y: -1 / op.expm1(-x), extremes=(((-INF,), -1.0), ((0.0,), 0.0))),
    Primitive("log1p", lambda x: sympy.log(1 + x), np.log1p, (lambda x, y: 1 / (1 + x),), **_math("log1p"), domain=((-0.9, 4.0),), extremes=(((0.0,), 0.0), ((-1.0,), -INF))),
    Primitive("log1pwexp", lambda w, u: sympy.log(1 + w * sympy.exp(u)), _log_1p_w_exp, (lambda w, u, y: _odds(w, u)[0] / _odds(w, u)[1], lambda w, u, y: _share(w * _odds(w, u)[0], _odds(w, u)[1])), **_support("log1pwexp", 2), domain=(POSITIVES, REALS), extremes=(((2.0, 1e4), 10000.693147180559), ((0.0, 1e4), 0.0), ((1e-9, 0.0), 9.999999995e-10), ((-1.0, 0.0), -INF)), source="log1p of a product whose exponential may overflow"),
    Primitive("log1pwsq", lambda w, x: sympy.log(1 + w * x**2), _log_1p_w_square, (lambda w, x, y: x * _over_square(w, x), lambda w, x, y: 2 * (w * _over_square(w, x))), **_support("log1pwsq", 2), domain=(POSITIVES, REALS), extremes=(((2.0, 0.0), 0.0), ((1.0, 1e200), 921.0340371976183), ((1e-9, 1.0), 9.999999995e-10), ((-1.0, 1.0), -INF)), source="log1p of a square that may overflow"),
    Primitive("log1mexp", lambda x: sympy.log(1 - sympy.exp(x)), _log_1m_exp, (lambda x, y: op.exp(x) / op.expm1(x),), **_support("log1mexp"), domain=((-3.0, -0.05),), extremes=(((-1e4,), 0.0), ((0.0,), -INF), ((-1e-300,), -690.7755278982137)), source="M. Maechler, Accurately computing log(1 - exp(-|a|)), 2012"),
    Primitive("logtotal", sympy.log, np.log, (lambda x, y: op.select(op.ne(x, 0), 1 / x, 0),), **_support("logtotal") | {"numpy": "np.log({0})"}, domain=(POSITIVES,), extremes=(((0.0,), -INF),), source="log of a sum of exponentials: of none, all exponents -inf, the gradient is 0"),
    Primitive("sqrt", sympy.sqrt, np.sqrt, (lambda x, y: 1 / (2 * y),), **_math("sqrt"), domain=(POSITIVES,), extremes=(((0.0,), 0.0), ((INF,), INF)), source="infinite slope at 0, honestly"),
    Primitive("norm", sympy.sqrt, np.sqrt, (lambda x, y: op.select(op.eq(y, 0), 0, 1 / y) / 2,), **_math("sqrt"), domain=(POSITIVES,), extremes=(((0.0,), 0.0),), source="the root of a sum of squares: gradient 0 at the origin"),
    Primitive("cbrt", lambda x: sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3), np.cbrt, (lambda x, y: 1 / (3 * y**2),), **_math("cbrt") | {"numba": "np.cbrt({0})"}, domain=(POSITIVES,), extremes=(((-8.0,), -2.0),), source="the real cube root"),
    Primitive("sigmoid", lambda x: 1 / (1 + sympy.exp(-x)), special.expit, (lambda x, y: y * (1 - y),), **_support("sigmoid"), relative=lambda x, y: 1 - y, extremes=(((-1e3,), 0.0), ((1e3,), 1.0))),
    Primitive("softplus", lambda x: sympy.log(1 + sympy.exp(x)), lambda x: np.logaddexp(0, x), (lambda x, y: op.sigmoid(x),), **_support("softplus"), extremes=(((-1e4,), 0.0), ((1e4,), 1e4))),
    Primitive("xlogy", lambda x, y: x * sympy.log(y), special.xlogy, (lambda a, b, y: op.log(b), lambda a, b, y: a / b), **_support("xlogy", 2), domain=(POSITIVES, POSITIVES), extremes=(((0.0, 0.0), 0.0),), source="0 log 0 = 0"),
    Primitive("xlog1py", lambda x, y: x * sympy.log(1 + y), special.xlog1py, (lambda a, b, y: op.log1p(b), lambda a, b, y: a / (1 + b)), **_support("xlog1py", 2), domain=(POSITIVES, (-0.9, 4.0)), extremes=(((0.0, -1.0), 0.0), ((1.0, 1e-20), 1e-20)), source="0 log 0 = 0; exact for small y"),
    Primitive("xlog1pdiv", lambda x, d: x * sympy.log(1 + d / x), _x_log_1p_div, (lambda x, d, y: op.log1pgap(d / x, op.log1p(d / x)), lambda x, d, y: op.select(op.ne(x, 0), 1 / (1 + d / x), 0)), **_support("xlog1pdiv", 2), domain=(POSITIVES, POSITIVES), extremes=(((0.0, 1.0), 0.0), ((1e20, 3.0), 3.0), ((1e-320, 1.0), 7.368176715467873e-318)), source="0 log(1 + d/0) = 0; of large x, d"),
    Primitive("xlog1psqdiv", lambda x, u: x * sympy.log(1 + u**2 / x), lambda x, u: x * _log_1p_w_square(1 / x, u), (lambda x, u, y: op.log1pgap(u / x * u, op.log1pwsq(1 / x, u)), lambda x, u, y: 2 * _over_square(1 / x, u)), python="{0} * log1pwsq(1 / {0}, {1})", numpy="{0} * log1pwsq(1 / {0}, {1})", numba="{0} * log1pwsq(1 / {0}, {1})", domain=(POSITIVES, REALS), extremes=(((3.0, 0.0), 0.0), ((1e20, 2.0), 4.0), ((3.0, 1e200), 2759.8062747268505)), source="x log(1 + u**2/x) of large x, or u: Student's distribution"),
    Primitive("log1pover", lambda n, x: sympy.hyper((n + 1, n + 1), (n + 2,), -x) / (n + 1), _log_1p_over, (lambda n, x, y: NO_DERIVATIVE, lambda n, x, y: -((n + 1) * op.log1pover(_after(n), x))), **_support("log1pover", 2), domain=((1.0, 1.0), (-0.9, 4.0)), extremes=(((0.0, 0.0), 1.0), ((1.0, 0.0), 0.5), ((0.0, -1.0), INF), ((0.0, INF), 0.0)), source="log(1 + x)/x for n = 0; the integral of u**n/(1 + x*u)**(n + 1), u from 0 to 1, of which each derivative is the next: dlmf.nist.gov/15.6.1"),
    Primitive("log1pgap", lambda x, log: sympy.log(1 + x) - x / (1 + x), _log_1p_gap, (lambda x, log, y: x / (1 + x) / (1 + x), lambda x, log, y: 0), **_support("log1pgap", 2), domain=((-0.9, 4.0), POSITIVES), extremes=(((0.0, 0.0), 0.0), ((1e-20, 1e-20), 5e-41), ((INF, INF), INF)), source="the derivative of x*log(1 + d/x); the last operand is log(1 + x), which a model has"),
    Primitive("expm1over", lambda n, x: sympy.hyper((n + 1,), (n + 2,), x) / (n + 1), _exp_m1_over, (lambda n, x, y: NO_DERIVATIVE, lambda n, x, y: op.expm1over(_after(n), x)), **_support("expm1over", 2), domain=((1.0, 1.0), REALS), extremes=(((0.0, 0.0), 1.0), ((1.0, 0.0), 0.5), ((0.0, 1e4), INF), ((0.0, -INF), 0.0)), source="(exp(x) - 1)/x for n = 0; the integral of u**n*exp(x*u), u from 0 to 1, of which each derivative is the next: dlmf.nist.gov/13.4.1"),
    Primitive("expm1div", lambda k, x: (sympy.exp(k * x) - 1) / k, lambda k, x: x * _exp_m1_over(0, k * x), (lambda k, x, y: op.expm1over(1, k * x) * x**2, lambda k, x, y: op.exp(k * x)), python="{1} * expm1over(0, {0} * {1})", numpy="{1} * expm1over(0, {0} * {1})", numba="{1} * expm1over(0, {0} * {1})", domain=(POSITIVES, REALS), extremes=(((0.0, 2.0), 2.0), ((-1.0, 1e300), 1.0)), source="(exp(k*x) - 1)/k, which is x where k is 0"),
    Primitive("xlogx", lambda x: x * sympy.log(x), lambda x: special.xlogy(x, x), (lambda x, y: op.log(x) + 1,), python="xlogy({0}, {0})", numpy="xlogy({0}, {0})", numba="xlogy({0}, {0})", domain=(POSITIVES,), extremes=(((0.0,), 0.0),), source="0 log 0 = 0"),
    Primitive("xlogx1p", lambda x: (1 + x) * sympy.log(1 + x), lambda x: special.xlog1py(1 + x, x), (lambda x, y: op.log1p(x) + 1,), **_support("xlogx1p"), domain=((-0.9, 4.0),), extremes=(((-1.0,), 0.0), ((0.0,), 0.0)), source="0 log 0 = 0; x log x at 1 + x, exact for small x"),
    Primitive("relent", lambda x, y: x * sympy.log(x / y), lambda x, y: special.xlogy(x, x / y), (lambda a, b, y: op.log(a / b) + 1, lambda a, b, y: -(a / b)), python="xlogy({0}, {0}/{1})", numpy="xlogy({0}, {0}/{1})", numba="xlogy({0}, {0}/{1})", domain=(POSITIVES, POSITIVES), extremes=(((0.0, 2.0), 0.0),), source="0 log 0 = 0; a term of the relative entropy"),
    Primitive("share", lambda a, b: a / (a + b), lambda a, b: a / (a + b), (lambda a, b, y: b / (a + b) / (a + b), lambda a, b, y: -(y / (a + b))), python="{0} / ({0} + {1})", numpy="{0} / ({0} + {1})", numba="{0} / ({0} + {1})", domain=(POSITIVES, POSITIVES), extremes=(((0.0, 2.0), 0.0), ((1e20, 1.0), 1.0)), source="a quotient, whose slope in a does not cancel"),
    Primitive("hypot", lambda a, b: sympy.sqrt(a**2 + b**2), np.hypot, (lambda a, b, y: op.select(op.eq(y, 0), 0, a / y), lambda a, b, y: op.select(op.eq(y, 0), 0, b / y)), python="math.hypot({0}, {1})", numpy="np.hypot({0}, {1})", numba="math.hypot({0}, {1})", domain=TWO, extremes=(((0.0, 0.0), 0.0), ((INF, NAN), INF)), commutative=True, source="a norm has gradient 0 at the origin"),
    # trigonometry
    Primitive("sin", sympy.sin, np.sin, (lambda x, y: op.cos(x),), **_math("sin"), heads=(sympy.sin,)),
    Primitive("cos", sympy.cos, np.cos, (lambda x, y: -op.sin(x),), **_math("cos"), heads=(sympy.cos,)),
    Primitive("tan", sympy.tan, np.tan, (lambda x, y: 1 + y**2,), **_math("tan"), heads=(sympy.tan,), domain=((-1.2, 1.2),)),
    Primitive("asin", sympy.asin, np.arcsin, (lambda x, y: 1 / op.sqrt((1 - x) * (1 + x)),), **_math("asin", "arcsin"), heads=(sympy.asin,), domain=(UNIT,), extremes=(((1.0,), np.pi / 2),)),
    Primitive("acos", sympy.acos, np.arccos, (lambda x, y: -1 / op.sqrt((1 - x) * (1 + x)),), **_math("acos", "arccos"), heads=(sympy.acos,), domain=(UNIT,), extremes=(((1.0,), 0.0),)),
    Primitive("atan", sympy.atan, np.arctan, (lambda x, y: 1 / (1 + x**2),), **_math("atan", "arctan"), heads=(sympy.atan,), extremes=(((INF,), np.pi / 2),)),
    Primitive("atan2", sympy.atan2, np.arctan2, (lambda a, b, y: b / op.hypot(a, b) / op.hypot(a, b), lambda a, b, y: -(a / op.hypot(a, b) / op.hypot(a, b))), python="math.atan2({0}, {1})", numpy="np.arctan2({0}, {1})", numba="math.atan2({0}, {1})", heads=(sympy.atan2,), domain=TWO, extremes=(((0.0, -1.0), np.pi), ((-0.0, -1.0), -np.pi))),
    Primitive("sinh", sympy.sinh, np.sinh, (lambda x, y: op.cosh(x),), **_math("sinh"), relative=lambda x, y: 1 / op.tanh(x), heads=(sympy.sinh,)),
    Primitive("cosh", sympy.cosh, np.cosh, (lambda x, y: op.sinh(x),), **_math("cosh"), relative=lambda x, y: op.tanh(x), heads=(sympy.cosh,)),
    Primitive("sech", sympy.sech, lambda x: 2 / (np.exp(np.abs(x)) + np.exp(-np.abs(x))), (lambda x, y: -(y * op.tanh(x)),), **_support("sech"), relative=lambda x, y: -op.tanh(x), heads=(sympy.sech,), extremes=(((0.0,), 1.0), ((1e4,), 0.0)), source="1/cosh, which overflows where this is 0"),
    Primitive("logcosh", lambda x: sympy.log(sympy.cosh(x)), _log_cosh, (lambda x, y: op.tanh(x),), **_support("logcosh"), extremes=(((0.0,), 0.0), ((-1e4,), 9999.30685281944))),
    Primitive("tanh", sympy.tanh, np.tanh, (lambda x, y: 1 - y**2,), **_math("tanh"), heads=(sympy.tanh,), extremes=(((-INF,), -1.0), ((INF,), 1.0))),
    Primitive("asinh", sympy.asinh, np.arcsinh, (lambda x, y: 1 / op.hypot(1, x),), **_math("asinh", "arcsinh"), heads=(sympy.asinh,)),
    Primitive("acosh", sympy.acosh, np.arccosh, (lambda x, y: 1 / op.sqrt((x - 1) * (x + 1)),), **_math("acosh", "arccosh"), heads=(sympy.acosh,), domain=((1.1, 4.0),), extremes=(((1.0,), 0.0),)),
    Primitive("atanh", sympy.atanh, np.arctanh, (lambda x, y: 1 / ((1 - x) * (1 + x)),), **_math("atanh", "arctanh"), heads=(sympy.atanh,), domain=(UNIT,), extremes=(((1.0,), INF),)),
    # special functions
    Primitive("erf", sympy.erf, special.erf, (lambda x, y: TWO_OVER_ROOT_PI * op.exp(-(x**2)),), **_math("erf") | {"numpy": "erf({0})"}, heads=(sympy.erf,), extremes=(((INF,), 1.0),)),
    Primitive("erfc", sympy.erfc, special.erfc, (lambda x, y: -(TWO_OVER_ROOT_PI * op.exp(-(x**2))),), **_math("erfc") | {"numpy": "erfc({0})"}, heads=(sympy.erfc,), extremes=(((INF,), 0.0), ((-INF,), 2.0))),
    Primitive(
        "logtail", lambda x: sympy.log(sympy.erfc(x) / 2), _log_tail,
        (lambda x, y: -(TWO_OVER_ROOT_PI / op.erfcx(x)),),
        **_support("logtail"), extremes=(((-INF,), 0.0), ((0.0,), -0.6931471805599453), ((100.0,), -10005.870732303225)), source="log of the tail of the normal distribution",
    ),
    Primitive("erfcx", lambda x: sympy.exp(x**2) * sympy.erfc(x), special.erfcx, (lambda x, y: 2 * x * y - TWO_OVER_ROOT_PI,), **_support("erfcx"), relative=lambda x, y: 2 * x - TWO_OVER_ROOT_PI / y, domain=((-2.0, 3.0),), extremes=(((0.0,), 1.0), ((1e10,), 5.641895835477563e-11)), source="dlmf.nist.gov/7.2.3; its asymptotic series: dlmf.nist.gov/7.12.1"),
    Primitive("gamma", sympy.gamma, special.gamma, (lambda x, y: y * op.digamma(x),), **_math("gamma") | {"numpy": "gamma({0})"}, relative=lambda x, y: op.digamma(x), heads=(sympy.gamma,), domain=(POSITIVES,), extremes=(((5.0,), 24.0),)),
    Primitive("lgamma", sympy.loggamma, _log_gamma, (lambda x, y: op.digamma(x),), **_math("lgamma") | {"numpy": "lgamma({0})"}, heads=(sympy.loggamma,), domain=(POSITIVES,), extremes=(((1.0,), 0.0), ((-INF,), INF)), source="infinite at minus infinity, as in C"),
    Primitive("digamma", sympy.digamma, special.digamma, (lambda x, y: op.polygamma(1, x),), **_support("digamma"), heads=(sympy.digamma,), domain=(POSITIVES,)),
    Primitive("polygamma", sympy.polygamma, special.polygamma, (lambda n, x, y: NO_DERIVATIVE, lambda n, x, y: op.polygamma(_after(n), x)), **_support("polygamma", 2), domain=((1.0, 1.0), POSITIVES), source="the order is a whole number"),
    Primitive("lgammagap", lambda r, d, at_r: sympy.loggamma(r + d) - sympy.loggamma(r), _log_gamma_gap, (lambda r, d, at_r, y: op.digammagap(r, d, op.digamma(r)), lambda r, d, at_r, y: op.digamma(r + d), lambda r, d, at_r, y: 0), **_support("lgammagap", 3), domain=(POSITIVES,) * 3, extremes=(((1.0, 1.0, 0.0), 0.0), ((1e10, 3.0, 0.0), 69.07755279012137), ((1e10, -3.0, 0.0), -69.07755278922137), ((0.0, 1.0, INF), -INF)), source="the last operand is lgamma(r), which is the same for many d; where r is large, the difference of two dlmf.nist.gov/5.11.1"),
    Primitive("digammagap", lambda r, d, at_r: sympy.digamma(r + d) - sympy.digamma(r), _digamma_gap, (lambda r, d, at_r, y: op.polygammagap(1, r, d), lambda r, d, at_r, y: op.polygamma(1, r + d), lambda r, d, at_r, y: 0), **_support("digammagap", 3), domain=(POSITIVES,) * 3, extremes=(((1.0, 1.0, -0.5772156649015329), 1.0), ((1e10, 3.0, 0.0), 2.9999999997e-10)), source="the last operand is digamma(r); where r is large, the difference of two dlmf.nist.gov/5.11.2"),
    Primitive("polygammagap", lambda n, r, d: sympy.polygamma(n, r + d) - sympy.polygamma(n, r), _polygamma_gap, (lambda n, r, d, y: NO_DERIVATIVE, lambda n, r, d, y: op.polygammagap(_after(n), r, d), lambda n, r, d, y: op.polygamma(_after(n), r + d)), **_support("polygammagap", 3), domain=((1.0, 1.0), POSITIVES, POSITIVES), extremes=(((1.0, 1.0, 1.0), -1.0), ((1.0, 1e10, 3.0), -2.9999999994e-20)), source="the order is a whole number"),
    Primitive("lbeta", lambda a, b: sympy.loggamma(a) + sympy.loggamma(b) - sympy.loggamma(a + b), _log_beta, (lambda a, b, y: -op.digammagap(a, b, op.digamma(a)), lambda a, b, y: -op.digammagap(b, a, op.digamma(b))), **_support("lbeta", 2), domain=(POSITIVES, POSITIVES), extremes=(((1.0, 1.0), 0.0), ((3.0, 1e10), -68.38440560956143), ((0.0, 1.0), INF)), commutative=True, source="log of the beta function, by the difference of log gammas that is large"),
    # comparisons and choices
    Primitive("lt", sympy.Lt, np.less, None, **_infix("<"), domain=TWO, kind="bool", heads=(sympy.StrictLessThan,)),
    Primitive("le", sympy.Le, np.less_equal, None, **_infix("<="), domain=TWO, kind="bool", heads=(sympy.LessThan,)),
    Primitive("gt", sympy.Gt, np.greater, None, **_infix(">"), domain=TWO, kind="bool", heads=(sympy.StrictGreaterThan,)),
    Primitive("ge", sympy.Ge, np.greater_equal, None, **_infix(">="), domain=TWO, kind="bool", heads=(sympy.GreaterThan,)),
    Primitive("eq", sympy.Eq, np.equal, None, **_infix("=="), domain=TWO, kind="bool", heads=(sympy.Equality,), commutative=True),
    Primitive("ne", sympy.Ne, np.not_equal, None, **_infix("!="), domain=TWO, kind="bool", heads=(sympy.Unequality,), commutative=True),
    Primitive("and", sympy.And, np.logical_and, None, python="{0} and {1}", numpy="{0} & {1}", numba="{0} and {1}", kind="bool", commutative=True),
    Primitive("or", sympy.Or, np.logical_or, None, python="{0} or {1}", numpy="{0} | {1}", numba="{0} or {1}", kind="bool", commutative=True),
    Primitive("not", sympy.Not, np.logical_not, None, python="not {0}", numpy="np.logical_not({0})", numba="not {0}", kind="bool"),
    Primitive("select", _select, np.where, None, python="{1} if {0} else {2}", numpy="np.where({0}, {1}, {2})", numba="{1} if {0} else {2}", kind="same", source="the branch that is taken, alone, in every derivative"),
    Primitive("maximum", sympy.Max, lambda *operands: reduce(np.maximum, operands), None, **_support("maximum", 2) | {"numpy": "np.maximum({0}, {1})"}, domain=TWO, kind="same", source="k equal operands share the gradient, 1/k each; a constant takes none"),
    Primitive("minimum", sympy.Min, lambda *operands: reduce(np.minimum, operands), None, **_support("minimum", 2) | {"numpy": "np.minimum({0}, {1})"}, domain=TWO, kind="same", source="as maximum"),
    Primitive("detach", lambda x: x, lambda x: x, (lambda x, y: 0,), python="{0}", numpy="{0}", numba="{0}", kind="same", source="a shift that cancels: no derivative passes"),
    Primitive("finite", lambda x: x, lambda x: np.where(np.isfinite(x), x, 0.0), (lambda x, y: 0,), **_support("finite"), extremes=(((-INF,), 0.0), ((3.0,), 3.0)), source="a shift that cancels and that may be infinite: no derivative passes"),
    Primitive("real", lambda x: x, lambda x: np.asarray(x, np.float64), (lambda x, y: 1,), python="float({0})", numpy="{0} * 1.0", numba="float({0})", source="an integer as a number"),
)
# fmt: on
PRIMITIVES: dict[str, Primitive] = {row.name: row for row in TABLE}
HEADS: dict[type, str] = {head: row.name for row in TABLE for head in row.heads}


def _power_base(a: Operand, b: Operand) -> Operand:
    """Return d(a**b)/da = b*a**(b - 1), which is 0 and not 0*inf where b is 0."""
    if b == 2 or getattr(b, "attr", None) == 2:
        return b * a
    if getattr(b, "is_number", False) or getattr(b, "op", "") == "const":
        return b * a ** (b - 1)
    return op.select(op.eq(b, 0), 0, b * a ** (b - 1))


def _share(part: Operand, whole: Operand) -> Operand:
    """Return part/whole, 0 of nothing."""
    return part / op.select(op.ne(whole, 0), whole, 1)


def _odds(w: Operand, u: Operand) -> tuple[Operand, Operand]:
    """Return a and b of exp(u)/(1 + w*exp(u)) = a/b, of the exponential that does not overflow, for all derivatives."""
    below = op.lt(u, 0)
    small = op.exp(op.select(below, u, -u))
    return op.select(below, small, 1), op.select(below, 1 + w * small, w + small)


def _over_square(w: Operand, x: Operand) -> Operand:
    """Return x/(1 + w*x**2), without the square where w has a derivative: x**2/(1 + w*x**2) goes to 1/w."""
    if getattr(w, "op", "") == "const":
        return x / (1 + w * x**2)
    near = op.lt(op.abs(x), 1)
    small = op.select(near, x, 1 / x)
    return small / op.select(near, 1 + w * small**2, w + small**2)


def _after(n: Operand) -> Operand:
    """Return n + 1, a number where n is one: what is no number might be a parameter."""
    return n.builder.const(n.attr + 1) if getattr(n, "op", "") == "const" else n + 1
