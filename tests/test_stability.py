"""Stabilisation: each row is an identity, is applied, and makes value and gradient right where they were not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from mpmath import mp, mpf
from sympy import (
    Float,
    IndexedBase,
    Max,
    Min,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    acosh,
    asinh,
    beta,
    cosh,
    erf,
    erfc,
    exp,
    gamma,
    log,
    sin,
    sinh,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.passes import prepare
from gradcompile.passes.patterns import Row
from gradcompile.passes.stabilise import LATER, ROWS
from gradcompile.primitives import PRIMITIVES
from tests.derivatives import derivatives
from tests.zoo import load, load_uncompiled

x, y = symbols("x y")
D, N = symbols("D N", integer=True, positive=True)
i, s = symbols("i s", integer=True)
w, t = IndexedBase("w", shape=(D,)), IndexedBase("t", shape=(N,))
FUNCTIONS = {name: row.sympy for name, row in PRIMITIVES.items() if name not in ("and", "or", "not", "real")}
NAMES = {
    **FUNCTIONS,
    "where": FUNCTIONS["select"],
    "x": Symbol("x", real=True),
    "y": Symbol("y", real=True),
    "abs": sympy.Abs,
}
LATE = [row for rows in LATER.values() for row in rows]
WHOLE = [pytest.param(row, id=row.before) for row in (*ROWS, *LATE) if "Sum" not in row.before]


def read(text: str) -> Any:
    return sympy.sympify(text, locals=NAMES, evaluate=False)


def places(row: Row, count: int = 9) -> list[float]:
    """Return points of a row's domain, both ends and small ones among them."""
    low, high = row.domain
    small = [p for p in (-1e-9, 1e-9, 0.3, -0.3) if low <= p <= high]
    return [*np.random.default_rng(3).uniform(max(low, -1e3), min(high, 1e3), count), low, high, *small]


@pytest.mark.one_in(17)
@pytest.mark.parametrize("row", WHOLE)
def test_both_sides_of_a_row_are_equal_at_50_digits(row: Row) -> None:
    sides = [sympy.lambdify((NAMES["x"], NAMES["y"]), read(text), "mpmath") for text in (row.before, row.after)]
    for place in places(row):
        exponents = int(abs(place)) if max(map(abs, row.domain)) == 1e4 else 0  # exp(2*x) has 0.87*x digits
        with mp.workdps(600 + exponents if exponents else 1200 if abs(place) > 1e3 else 600):
            before, after = (side(mpf(place), mpf(0.75)) for side in sides)
            assert mpmath.almosteq(before, after, rel_eps=mpf("1e-50"), abs_eps=mpf("1e-50")), place


@pytest.mark.one_in(3)
@pytest.mark.parametrize("row", WHOLE)
def test_a_row_is_applied_to_its_pattern(row: Row) -> None:
    local = {**NAMES, "x": x, "y": y}
    expression = sympy.sympify(row.before, locals=local)
    if row.op == "pow" or expression == sympy.sympify(row.after, locals=local):
        pytest.skip("SymPy itself rewrites it")
    assert row.why in [found.why for found in gc.compile(expression, wrt=[x]).stability]


sigmoid = 1 / (1 + exp(-x))
HARD: dict[str, tuple[Any, list[float]]] = {
    "softplus": (log(1 + exp(x)), [-1e4, -40, 1e4]),
    "scaled softplus": (log(1 + 3 * exp(x)), [-1e4, -40, 1e4]),
    "sigmoid": (sigmoid, [-1e4, -40, 1e4]),
    "sigmoid of a quotient": (exp(x) / (1 + exp(x)), [-1e4, -40, 1e4]),
    "log-sigmoid": (log(sigmoid), [-1e4, 40, 1e4]),
    "log of the other": (log(1 - sigmoid), [-1e4, -40, 1e4]),
    "both sigmoids": (sigmoid * (1 - sigmoid), [-1e4, -745, 1e4]),
    "tanh of exponentials": ((exp(x) - exp(-x)) / (exp(x) + exp(-x)), [-1e4, -1e-9, 1e4]),
    "tanh of one exponential": ((exp(2 * x) - 1) / (exp(2 * x) + 1), [-1e4, 1e-9, 1e4]),
    "tanh of the other exponential": ((1 - exp(-2 * x)) / (1 + exp(-2 * x)), [-1e4, 1e-9, 1e4]),
    "tanh of a sigmoid": (2 / (1 + exp(-2 * x)) - 1, [-1e4, 1e-9, 1e4]),
    "log of the slope of tanh": (log(1 - tanh(x) ** 2), [-1e4, 1e-3, 20, 1e4]),
    "1 - tanh": (1 - tanh(x), [-1e4, 40, 1e4]),
    "log(1 + tanh)": (log(1 + tanh(x)), [-1e4, -40, 30]),
    "log-cosh": (log(cosh(x)), [-1e4, -1e-8, 1e-3, 1, 1e4]),
    "log of 2 cosh": (log(2 * cosh(x)), [-1e4, 1e4]),
    "log of exponentials": (log(exp(x) + exp(-x)), [-1e4, 1e4]),
    "log of halves": (log((exp(x) + exp(-x)) / 2), [-1e4, 1e-3, 1e4]),
    "1/cosh": (1 / cosh(x), [-1e4, 40, 1e4]),
    "1/cosh**2": (1 / cosh(x) ** 2, [-1e4, 40, 1e4]),
    "log sinh": (log(sinh(x)), [1e-9, 1e4]),
    "log tanh": (log(tanh(x)), [1e-9, 40, 300]),
    "expm1": (exp(x) - 1, [1e-9, -1e-17, -20]),
    "1 - exp": (1 - exp(x), [1e-9, -1e-17, -20]),
    "log(1 - exp)": (log(1 - exp(x)), [-1e-17, -0.5, -0.9, -40, -1e4]),
    "log(exp - 1)": (log(exp(x) - 1), [1e-17, 0.5, 40, 1e4]),
    "log(exp - exp)": (log(exp(2 * x) - exp(x)), [1e-9, 1e4]),
    "log1p": (log(1 + x), [1e-17, -1e-9, 0.5]),
    "1 - erf": (1 - erf(x), [-5, 5, 20]),
    "1 + erf": (1 + erf(x), [5, -5, -20]),
    "log erfc": (log(erfc(x)), [-5, 0.5, 5, 30, 1e4]),
    "log Phi": (log((1 + erf(x)) / 2), [5, -0.5, -5, -30]),
    "1 - cos": (1 - sympy.cos(x), [1e-9, 1.0]),
    "pseudo Huber": (sqrt(1 + x**2) - 1, [1e-9, 1e4]),
    "asinh": (log(x + sqrt(1 + x**2)), [-1e4, 1e-9, 1e4]),
    "acosh": (log(x + sqrt(x**2 - 1)), [1.5, 1e4]),
    "atanh": (log((1 + x) / (1 - x)), [1e-17, 0.5]),
    "x log x": (x * log(x), [1e-300, 0.5]),
    "Gaussian density": (log(exp(-((x - 1) ** 2) / 2) / sqrt(2 * sympy.pi)), [-1e4, 1e4]),
    "Laplace density": (log(exp(-sqrt(x**2)) / 2), [-1e4, 1e4]),
    "logistic density": (log(exp(-x) / (1 + exp(-x)) ** 2), [-1e4, 1e4]),
    "product of powers": (log(x**3 * (1 + x**2) ** 2 * exp(-x)), [1e-100, 100]),
    "exponents that cancel": (exp(x) * exp(sin(x) - x), [-1e4, 1e4]),
    "quotient of exponentials": (exp(x) / exp(x - sin(x)), [-1e4, 1e4]),
}  # fmt: skip
Phi = (1 + erf(x / sqrt(2))) / 2
HARD |= {
    "log of the other tail": (log(erfc(-x / sqrt(2)) / 2), [-40, -5, 0.3, 6]),
    "SELU": (Float("1.0507") * Piecewise((x, x > 0), (Float("1.67326") * (exp(x) - 1), True)), [-1e-9, -1e-3, -5]),
    "CELU": (Max(0, x) + Min(0, 2 * (exp(x / 2) - 1)), [-1e-9, -1e-3, -5]),
    "twice a root": (2 * sqrt(1 + x) - 2, [1e-12, 1e-3, 4]),
    "Charbonnier": (3 * (sqrt(1 + x**2 / 9) - 1), [1e-9, 1e-3, 10]),
    "multiple of 1 - cos": (5 * (1 - sympy.cos(x)), [1e-9, 1e-3, 2]),
    "float times 1 - cos": (Float(0.3) * (1 - sympy.cos(x)), [1e-9]),
    "1 + cos": (1 + sympy.cos(x), [3.14159, 1]),
    "1 - cos**2": (1 - sympy.cos(x) ** 2, [1e-9, 1]),
    "cosh - 1": (cosh(x) - 1, [1e-9, 1e-3, 3, 700]),
    "1 - 1/cosh": (1 - 1 / cosh(x), [1e-9, 1e-3, 3, 1e4]),
    "Barron": ((1 + x**2 / 2) ** Rational(1, 4) - 1, [1e-9, 1]),
    "sigmoid - 1/2": (sigmoid - Rational(1, 2), [1e-9, 40]),
    "roots that are near": (sqrt(x + 1) - sqrt(x), [1e16, 1, 1e-3]),
    "log gamma": (log(gamma(x)), [0.3, 3, 300, 1000, -1.5]),
    "log factorial": (log(sympy.factorial(x)), [0.3, 300]),
    "log beta": (log(beta(x, 3)), [0.3, 3]),
    "ordinal regression": (log(1 / (1 + exp(-x - 1)) - sigmoid), [-1000, -30, 0, 40, 1000]),
    "ordinal regression, thresholds": (log(1 / (1 + exp(x - 3)) - 1 / (1 + exp(x - 1))), [-1000, -30, 0, 1000]),
    "between two tanhs": (log(tanh(x + 1) - tanh(x)), [-400, 0, 400]),
    "interval of erf": (log(erf(x + 1) - erf(x)), [-30, -3, 0, -0.5, 3, 30]),
    "interval of the normal": (log(Phi.subs(x, x + 1) - Phi), [-30, -3, 0, -0.5, 3, 30]),
    "complementary log-log": (log(1 - exp(-exp(x))), [-1000, -40, -3, 0, 2, 30, 1000]),
    "log of a softplus": (log(log(1 + exp(x))), [-1000, -40, 1000]),
    "powers of a number": (log(2**x + 2 ** (2 * x)), [-2000, 1, 2000]),
    "choice of probabilities": (log(Piecewise((sigmoid, x < 500), (1 - sigmoid, True))), [-1000, 3, 1000]),
    "square of swish": ((x * sigmoid) ** 2, [-1000, 3, 1000]),
    "square of a sigmoid": (sigmoid**2, [-1000, 1, 1000]),
    "power of a sigmoid": ((1 - sigmoid) ** Rational(3, 4), [-1000, 40, 1000]),
    "slope of a sigmoid": (exp(x) / (1 + exp(x)) ** 2, [-1000, 1, 1000]),
    "share of a square": (exp(2 * x) / (1 + exp(x)) ** 3, [-1000, 1, 1000]),
    "Planck": (x**3 / (exp(x) - 1), [1e-3, 3, 1000]),
    "1/expm1": (1 / (exp(x) - 1), [1e-9, 3, -1000, 1000]),
    "csch": (sympy.csch(x), [1e-5, 3, -1000, 1000]),
    "csch**2": (sympy.csch(x) ** 2, [1e-5, 3, -1000, 1000]),
    "square of expm1": ((exp(x) - 1) ** 2, [0.0, 1e-9, -3]),
    "cube of sinh": (sinh(x) ** 3, [0.0, 1e-9, -3]),
    "square of tanh": (tanh(x) ** 2, [0.0, 1e-9, 20]),
    "square of erf": (erf(x) ** 2, [0.0, 1e-9, 3]),
    "sinh/cosh**2": (sinh(x) / cosh(x) ** 2, [-1000, 1, 1000]),
    "hazard": (exp(-(x**2) / 2) / erfc(x / sqrt(2)), [-1000, -3, 3, 10]),
    "scaled tail": (exp(x**2) * erfc(x), [-3, 3, 30]),
    "root of a square": ((x**2) ** Rational(1, 4), [1e-180, 1e200, -8]),
    "negative root of a square": ((x**2) ** Rational(-1, 4), [1e200, -8]),
    "hypot of multiples": (sqrt(x**2 / 4 + 9 * tanh(x) ** 2), [-1e200, 1, 1e200]),
    "distance in the hyperbolic plane": (acosh(1 + x), [1e-12, 1]),
    "asinh": (asinh(x), [1.5, 1e200]),
    "log of an odd power": (log(1 / x**3), [1e-100, 1e100]),
    "atan2 of large and small": (sympy.atan2(x, 10**200) + sympy.atan2(sympy.Rational(1, 10**200), x), [1e-150, 1e200]),
    "Gompertz": (exp(-3 * exp(-x)), [-1000, -1, 1, 1000]),
    "tanh of an exponential": (x * tanh(exp(x)), [-1000, 1, 800, 1e4]),
    "Dice": (1 - 2 * sigmoid / (sigmoid + 1), [-1e4, -800, 0.3, 3]),
    "Kumaraswamy": (log(1 - (1 - sigmoid) ** 2), [-1e4, -40, 0.3]),
    "relative entropy of logits": (
        sigmoid * log(sigmoid / Rational(3, 10)) + (1 - sigmoid) * log((1 - sigmoid) / Rational(7, 10)),
        [-1e4, -40, 0.3, 40, 1e4],
    ),
    "1/gamma": (1 / gamma(x), [0.5, 3, 300]),
    "Cauchy": (log(1 + x**2), [0.0, 1e-9, -3, 1e150]),
    "Student": (log(1 + (x - 1) ** 2 / 5), [1 + 2.0**-30, -3, 1e150]),
}
POINTS = [pytest.param(e, place, id=f"{name} at {place:g}") for name, (e, places_) in HARD.items() for place in places_]
ULP = 40  # of value and gradient; a few functions in a row, each to 2 ULP and with the condition of a subtraction


def truth(expression: Any, place: float) -> tuple[float, float]:
    real = Symbol("x", real=True)
    form = expression.xreplace({x: real})
    with mp.workdps(9500 if abs(place) > 1e3 and not expression.has(erfc) else 1400):  # exp(-1e4), exp(-1e3)
        both = [sympy.lambdify(real, e.doit(), "mpmath")(mpf(place)) for e in (form, sympy.diff(form, real))]
        return float(both[0]), float(both[1])


def assert_ulps(what: str, found: float, exact: float) -> None:
    assert abs(found - exact) <= ULP * max(np.spacing(abs(exact)), 5e-324), f"{what} is {found!r}, not {exact!r}"


@pytest.mark.one_in(35)
@pytest.mark.parametrize(("expression", "place"), POINTS)
def test_value_and_gradient_are_right_where_they_overflowed_or_cancelled(expression: Any, place: float) -> None:
    value, slope = gc.compile(expression, wrt=x).value_and_grad(x=place)
    exact = truth(expression, place)
    assert_ulps("value", value, exact[0])
    assert slope == pytest.approx(exact[1], rel=1e-13, abs=2e-16)  # 1 - y**2 and the like: of what is 1e-18, 0 is left


@pytest.mark.parametrize(("expression", "place"), POINTS[::3])
def test_second_derivatives_are_finite(expression: Any, place: float) -> None:
    assert math.isfinite(gc.compile(expression, wrt=x).hvp(1.0, x=place))


@pytest.mark.parametrize("place", [0.3, 3.0, 300.0, 1000.0])
def test_quotients_of_gamma_functions_are_finite_where_these_are_not(place: float) -> None:
    """Beyond 170 by logarithms, of which some 1e4 has 1e-12 as its last place."""
    model = gc.compile(beta(x, Rational(5, 2)) + sympy.binomial(x + 5, y), wrt=[x, y])
    value, slopes = model.value_and_grad(x=place, y=4.5)
    with mp.workdps(60):
        form, at = lambda x, y: mp.beta(x, mpf(5) / 2) + mp.binomial(x + 5, y), (mpf(place), mpf(4.5))
        assert value == pytest.approx(float(form(*at)), rel=1e-11)
        exact = [float(mp.diff(form, at, order)) for order in ((1, 0), (0, 1))]
    assert slopes == pytest.approx(tuple(exact), rel=1e-11)
    value, slope = gc.compile(log(beta(x, 3)), wrt=x).value_and_grad(x=place)
    assert value == pytest.approx(float(mp.log(mp.beta(place, 3))), rel=1e-12)
    assert slope == pytest.approx(float(mp.psi(0, place) - mp.psi(0, place + 3)), rel=1e-12)


@pytest.mark.parametrize("q", [0.25, 3.0])
def test_terms_of_the_relative_entropy_are_0_where_the_probability_is(q: float) -> None:
    """x*log(x/y), and x*(log(x) - y), as it is written for targets of 0: no 0*inf."""
    value, (dx, dy) = gc.compile(x * log(x / y), wrt=[x, y]).value_and_grad(x=0.0, y=q)
    assert (value, dx, dy) == (0.0, -math.inf, 0.0)
    value, (dx, dy) = gc.compile(x * (log(x) - y), wrt=[x, y]).value_and_grad(x=0.0, y=q)
    assert (value, dx, dy) == (0.0, -math.inf, 0.0)
    value, slope = gc.compile(x * log(3 * x), wrt=x).value_and_grad(x=0.0)
    assert (value, slope) == (0.0, -math.inf)
    value, (dx, dy) = gc.compile(x * log(x / y), wrt=[x, y]).value_and_grad(x=0.5, y=q)
    assert (value, dx, dy) == pytest.approx((0.5 * math.log(0.5 / q), math.log(0.5 / q) + 1, -0.5 / q), rel=1e-15)


TARGETS = [0.0, 0.4, 1.0]
RATIOS: dict[str, tuple[str, Any]] = {  # q in text, and q[i] of w with mpmath
    "softmax": ("softmax(w[i], i)", lambda w, i: mp.exp(w[i]) / sum(map(mp.exp, w))),
    "quotient": ("exp(w[i])/Sum(exp(w[k]), k)", lambda w, i: mp.exp(w[i]) / sum(map(mp.exp, w))),
    "total": ("Sum(exp(w[k]), k)", lambda w, i: sum(map(mp.exp, w))),
    "two terms": ("(exp(w[i]) + exp(2*w[i]))", lambda w, i: mp.exp(w[i]) + mp.exp(2 * w[i])),
    "one over": ("1/(1 + exp(w[i]) + exp(2*w[i]))", lambda w, i: 1 / (1 + mp.exp(w[i]) + mp.exp(2 * w[i]))),
    "root": ("sqrt(exp(w[i]) + exp(2*w[i]))", lambda w, i: mp.sqrt(mp.exp(w[i]) + mp.exp(2 * w[i]))),
    "sigmoid": ("sigmoid(w[i])", lambda w, i: 1 / (1 + mp.exp(-w[i]))),
    "softplus": ("log(1 + exp(w[i]))", lambda w, i: mp.log1p(mp.exp(w[i]))),
    "gamma": ("gamma(w[i])", lambda w, i: mp.gamma(w[i])),
    "itself": ("w[i]", lambda w, i: w[i]),
    "1": ("(1 + 0*w[i])", lambda w, i: mpf(1)),
}
ENTROPIES: dict[str, tuple[str, Any]] = {  # a term in text, and with mpmath: t is a target
    "t*log(t/q)": ("t[i]*log(t[i]/({q}))", lambda t, q: t * mp.log(t / q) if t else 0),
    "t*log(t*q)": ("t[i]*log(t[i]*({q}))", lambda t, q: t * mp.log(t * q) if t else 0),
    "-t*log(q/t)": ("-t[i]*log(({q})/t[i])", lambda t, q: t * mp.log(t / q) if t else 0),
    "in bits, masked": ("m[i]*t[i]*log(t[i]/({q}))/log(2)", lambda t, q: t * mp.log(t / q) / mp.log(2) if t else 0),
    "deviance": ("2*t[i]*(log(t[i]/({q})) - 1)", lambda t, q: 2 * t * (mp.log(t / q) - 1) if t else 0),
    "(1 - t)*log": ("(1 - t[i])*log((1 - t[i])/({q}))", lambda t, q: (1 - t) * mp.log((1 - t) / q) if 1 - t else 0),
    "t**2*log": ("t[i]**2*log(t[i]/({q}))", lambda t, q: t**2 * mp.log(t / q) if t else 0),
}


@pytest.mark.one_in(25)
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("form", ENTROPIES)
def test_a_term_with_a_target_of_0_is_0_whatever_it_is_compared_with(form: str, ratio: str) -> None:
    (text, term), (q, of) = ENTROPIES[form], RATIOS[ratio]
    lines = "t: {}[D]\nw: parameter[D]\nm: data[D]\nloss = Sum(" + text.format(q=q) + " + 0*m[i], i)"
    logits, given = [0.3, 0.1, 0.5], {"t": np.array(TARGETS), "m": np.ones(3)}
    right = slopes(lambda w: sum(term(mpf(t), of(w, i)) for i, t in enumerate(TARGETS)), logits)
    with np.errstate(all="ignore"):
        value, (gradient,) = gc.compile(gc.parse(lines.format("data"))).value_and_grad(w=logits, **given)
        both = gc.compile(gc.parse(lines.format("parameter"))).value_and_grad(w=logits, **given)
    np.testing.assert_allclose([value, *gradient], right, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose([both[0], *both[1][1]], right, rtol=1e-13, atol=1e-15)
    if "**" not in text:  # of t**2*log(t) it is 0*inf
        at_0 = 2 if "1 - t" in text else 0
        assert np.isinf(both[1][0][at_0])
        assert np.isfinite(np.delete(both[1][0], at_0)).all()


def levels(w: list[mpf]) -> Any:
    """The log-likelihood of three levels between two thresholds, of which the second is exp(w[1]) above the first."""
    scores = [3 * w[2], -2 * w[2], w[2]]
    low, high = ([1 / (1 + mp.exp(score - top)) for score in scores] for top in (w[0], w[0] + mp.exp(w[1])))
    return mp.log(low[0]) + mp.log(high[1] - low[1]) + mp.log(1 - high[2])


def pareto(w: list[mpf]) -> Any:
    """The log-likelihood of a generalised Pareto distribution with the scale exp(w[1])."""
    return sum(-w[1] - (1 + 1 / w[2]) * mp.log1p(w[2] * x / mp.exp(w[1])) for x in (mpf(0.5), mpf(1.5), mpf(3)))


def box_cox(w: list[mpf]) -> Any:
    return sum((mp.expm1(w[2] * mp.log(x)) / w[2] - w[1]) ** 2 for x in (mpf(0.5), mpf(1.5), mpf(3)))


LIKELIHOODS: dict[str, tuple[str, Any, list[list[float]]]] = {  # in text, with mpmath, and where
    "ordinal": (
        "p[n] = where(y[n] == 0, sigmoid(w[0] - b[n]*w[2]), where(y[n] == 1, sigmoid(w[0] + exp(w[1]) - b[n]*w[2])"
        " - sigmoid(w[0] - b[n]*w[2]), 1 - sigmoid(w[0] + exp(w[1]) - b[n]*w[2])))\nloss = Sum(log(p[n]), n)",
        levels,
        [[0.5, -30.0, 0.25], [0.0, 1.0, -30.0], [800.0, 0.5, 1.0], [-50.0, -20.0, 30.0]],
    ),
    "generalised Pareto": (
        "loss = Sum(log((1 + w[2]*x[n]/exp(w[1]))**(-1/w[2] - 1)/exp(w[1])), n)",
        pareto,
        [[0.0, -30.0, 0.3], [0.0, -30.0, 1e-3], [0.0, 60.0, 2.0], [0.0, 0.5, 0.01]],
    ),
    "Box-Cox": (
        "loss = Sum(((x[n]**w[2] - 1)/w[2] - w[1])**2, n)",
        box_cox,
        [[0.0, 0.5, 1e-4], [0.0, 0.5, 1e-2], [0.0, 0.5, -2.0]],
    ),
}  # fmt: skip


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_as_they_are_written(name: str, dtype: str) -> None:
    text, exact, places = LIKELIHOODS[name]
    model = gc.compile(
        gc.parse(f"x: data[N]\ny: labels[N]\nb: data[N]\nw: parameter[3]\n{text} + 0*x[0]*b[0]*y[0]"), dtype=dtype
    )
    given = {"x": [0.5, 1.5, 3.0], "y": [0, 1, 2], "b": [3.0, -2.0, 1.0]}
    digits = 1e-11 if dtype == "float64" else 1e-3
    for place in places[dtype == "float32" and name == "Box-Cox" :]:  # where two terms over 1e-4 cancel
        w = np.array(place, dtype)
        value, (gradient,) = model.value_and_grad(w=w, **given)
        np.testing.assert_allclose([value, *gradient], slopes(exact, w.tolist(), 1500), rtol=digits, atol=digits / 1e3)


def test_several_factors_are_taken_out_of_a_logarithm_together() -> None:
    """One alone would leave a product of 0 with the logarithm of the other."""
    text = "a: data[N]\nb: data[N]\nc: data[N]\nw: parameter\nloss = Sum(a[s]*b[s]*c[s]*log(a[s]*c[s]/w), s)"
    numbers = {"a": [0.0, 2.0, 0.0, 2.0], "b": [1.0, 1.0, 3.0, 3.0], "c": [3.0, 0.0, 0.0, 0.5]}
    value, (slope,) = gc.compile(gc.parse(text)).value_and_grad(w=4.0, **numbers)
    assert (value, slope) == pytest.approx((3 * math.log(0.25), -0.75), rel=1e-15)


FLAT_AT_0: dict[str, Any] = {  # products with a logarithm that have the slope 0 where a factor is 0
    "x**2*log(x/y)": x**2 * log(x / y),
    "x**2*log(x)": x**2 * log(x),
    "x**3*log(x*y)": x**3 * log(x * y),
    "x**2*log(x**2)": x**2 * log(x**2),
}


@pytest.mark.parametrize("place", [0.0, 1e-200, 0.7])
@pytest.mark.parametrize("name", FLAT_AT_0)
def test_slopes_of_products_with_a_logarithm_are_0_where_these_are_flat(name: str, place: float) -> None:
    form = FLAT_AT_0[name]
    value, (dx, dy) = gc.compile(form, wrt=[x, y]).value_and_grad(x=place, y=2.0)
    point = {x: Float(place or 1e-300, 60), y: Float(2, 60)}
    exact = [float(sympy.N(each.subs(point), 50)) for each in (form, form.diff(x), form.diff(y))]
    np.testing.assert_allclose([value, dx, dy], exact, rtol=1e-13, atol=1e-190)


@pytest.mark.parametrize("both", ["Sum((x[n, d] - c[k, d])**2, d)", "(x[n, 0] - c[k, 0])**2 + (x[n, 1] - c[k, 1])**2"])
def test_a_thin_plate_spline_has_a_gradient_where_a_centre_is_a_point(both: str) -> None:
    lines = f"x: data[N, D]\nc: parameter[K, D]\nr[n, k] = {both}\nloss = Sum(Sum(r[n, k]*log(r[n, k]), k)**2, n)"
    points, centres = [[0.0, 0.0], [1.0, 2.0], [-0.5, 0.3]], [1.0, 2.0, 0.25, -0.75]

    def energy(square: mpf) -> mpf:
        return square * mp.log(square) if square else mpf(0)

    def loss(c: list[mpf]) -> mpf:
        return sum(sum(energy((p - a) ** 2 + (q - b) ** 2) for a, b in (c[:2], c[2:])) ** 2 for p, q in points)

    value, (gradient,) = gc.compile(gc.parse(lines)).value_and_grad(x=points, c=np.reshape(centres, (2, 2)))
    np.testing.assert_allclose([value, *gradient.ravel()], slopes(loss, centres), rtol=1e-13)


def test_second_derivatives_of_products_with_a_logarithm_are_0_where_these_are_flat_enough() -> None:
    for power in (3, 4):
        assert gc.compile(x**power * log(x), wrt=x).hvp(1.0, x=0.0) == 0


@pytest.mark.parametrize("place", [1e-20, 1e-9, 0.3, 1.0, 0.0])
def test_the_entropy_of_a_bit_is_exact(place: float) -> None:
    value, slope = gc.compile(x * log(x) + (1 - x) * log(1 - x), wrt=x).value_and_grad(x=place)
    with mp.workdps(50):
        p = mpf(place)
        exact = sum(q * mp.log(q) for q in (p, 1 - p) if q)
        right = mp.log(p) - mp.log1p(-p) if 0 < place < 1 else mpf("inf") * (2 * p - 1)
    assert_ulps("value", value, float(exact))
    assert slope == pytest.approx(float(right), rel=1e-14)
    assert gc.compile((1 - x) * log(1 - x), wrt=x).value(x=1e-20) == -1e-20


WEIGHTED = {  # z in log(1 + z), w in z = w*exp(u), and the derivative of w
    "w*exp(u)": (y * exp(x), lambda y: y, lambda y: mpf(1)),
    "w/(2*exp(-u))": (y / (2 * exp(-x)), lambda y: y / 2, lambda y: mpf(1) / 2),
    "tanh(w)*exp(u)": (tanh(y) * exp(x), mp.tanh, lambda y: mp.sech(y) ** 2),
    "-w*exp(u)": (-y * exp(x), lambda y: -y, lambda y: -mpf(1)),
}
WEIGHTS = [
    (0.7, 0.3),
    (1e-9, 0.3),
    (1e-6, -50.0),
    (0.0, 0.3),
    (-1e-3, 0.5),
    (1e-200, 500.0),
    (2.0, 800.0),
    (1e-200, 800.0),
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("weight", "exponent"), WEIGHTS)
@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weighted_exponential_is_added_to_1_exactly(name: str, weight: float, exponent: float) -> None:
    """Where it is small, as where the exponential alone would overflow."""
    z, function, derivative = WEIGHTED[name]
    model = gc.compile(log(1 + z), wrt=[x, y])
    if name == "-w*exp(u)":
        weight = -weight
    value, (dx, dy) = model.value_and_grad(x=exponent, y=weight)
    with mp.workdps(700):
        w, e = mpf(weight), mp.exp(mpf(exponent))
        product = function(w) * e
        exact = mp.log1p(product), product / (1 + product), derivative(w) * e / (1 + product)
        assert value == pytest.approx(float(exact[0]), rel=2e-15)
        assert (dx, dy) == pytest.approx((float(exact[1]), float(exact[2])), rel=2e-15)
        second = model.hvp((1.0, 0.0), x=exponent, y=weight)[0]
        assert second == pytest.approx(float(product / (1 + product) ** 2), rel=1e-13, abs=1e-100)


BESIDE_1: dict[str, tuple[str, Any]] = {  # what is small beside 1, and what it means with mpmath
    "two": ("1 + exp(w[0]) + exp(w[1])", lambda w: mp.exp(w[0]) + mp.exp(w[1])),
    "one taken away": ("1 - exp(w[2] - 60) + exp(w[1])/3", lambda w: mp.exp(w[1]) / 3 - mp.exp(w[2] - 60)),
    "many": ("1 + Sum(exp(w[i]), i)", lambda w: sum(map(mp.exp, w))),
    "weights": (
        "Sum(a[i]*exp(w[i]), i) + 1",
        lambda w: sum(mpf(a) * mp.exp(x) for a, x in zip(GIVEN_WEIGHTS, w, strict=True)),
    ),
    "many and one": ("exp(-w[0]) + (1 + Sum(exp(w[i]), i))", lambda w: mp.exp(-w[0]) + sum(map(mp.exp, w))),
    "masked": ("1 + Sum(where(a[i] > 1, exp(w[i]), 0), i)", lambda w: mp.exp(w[1])),
}
GIVEN_WEIGHTS = [1.0, 2.5, 0.0]
SMALL_BESIDE_1 = [
    [-50.0, -51.0, -40.0],
    [-705.0, -709.0, -800.0],
    [-1e4, -9e3, -1e4],
    [0.5, -0.25, 1.0],
    [800.0, 801.0, 30.0],
]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", BESIDE_1)
def test_a_sum_of_exponentials_is_added_to_1_exactly(name: str, target: str, tmp_path: Any) -> None:
    text, small = BESIDE_1[name]
    model = gc.parse(f"w: parameter[D]\na: data[D]\nloss = log({text}) + 0*a[0]")
    module = (load_uncompiled if target == "numba" else load)(gc.emit(model, target=target), tmp_path / "module.py")
    for place in SMALL_BESIDE_1:
        given = (place, GIVEN_WEIGHTS) if target == "python" else (np.array(place), np.array(GIVEN_WEIGHTS))
        with np.errstate(all="ignore"):
            value, (gradient,) = module.value_and_grad(*given)
        exact = slopes(lambda w: mp.log1p(small(w)), place, 1500)
        np.testing.assert_allclose([value, *gradient], exact, rtol=4e-15, atol=1e-303)


k, p, q, nu = symbols("k p q nu")
STUDENT = gamma((nu + 1) / 2) / (gamma(nu / 2) * sqrt(nu * sympy.pi)) * (1 + x**2 / nu) ** (-(nu + 1) / 2)
POWERS_BESIDE_1: dict[str, Any] = {  # what a logarithm is taken of
    "(1 + w*exp(u))**p": (1 + k * exp(x)) ** p,
    "(1 + w*exp(u))**2": (1 + k * exp(x)) ** 2,
    "(1 + w*exp(u))**3": (1 + k * exp(x)) ** 3,
    "root of 1 + w*exp(u)": sqrt(1 + k * exp(x)),
    "one over exponentials": 1 / (1 + k**2 * exp(x - p) + exp(3 * x - 40)),
    "product": q * (1 + k**2 * exp(x)) ** p * (1 + exp(x)) ** -q,
    "(1 + z)**p": (1 + k * x) ** p,
    "(1 + z)**2": (1 + k * x) ** 2,
    "(1 + z**2)**p": (1 + k**2 * x**2) ** p,
    "Student": STUDENT,
    "generalised Pareto": (1 + k * x / q) ** (-1 / k - 1) / q,
    "Burr": p * q * x ** (p - 1) * (1 + x**p) ** (-q - 1),
    "Weibull": p / q * (x / q) ** (p - 1) * exp(-((x / q) ** p)),
}
PLACES_BESIDE_1 = [
    {"k": 1e-9, "x": 0.3, "p": 2.5, "q": 0.7, "nu": 3.0},
    {"k": 1e-3, "x": 1e-6, "p": 1.5, "q": 1.7, "nu": 100.0},
    {"k": -0.01, "x": 3.0, "p": -2.0, "q": -0.5, "nu": 2.5},
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("place", PLACES_BESIDE_1, ids=["k small", "x small", "negative"])
@pytest.mark.parametrize("name", POWERS_BESIDE_1)
def test_powers_leave_a_logarithm_before_what_is_small_beside_1_is_lost(name: str, place: dict[str, float]) -> None:
    objective = log(POWERS_BESIDE_1[name])
    names = sorted(objective.free_symbols, key=str)
    given = {str(symbol): place[str(symbol)] for symbol in names}
    value, gradient = gc.compile(objective, wrt=names).value_and_grad(**given)
    with mp.workdps(60):
        forms = [objective, *map(objective.diff, names)]
        exact = [sympy.lambdify(names, form, "mpmath")(*map(mpf, given.values())) for form in forms]
    if mpmath.im(exact[0]):  # the logarithm of a negative number
        assert math.isnan(value)
        return
    digits = 1e-15 / abs(place["k"]) if name == "generalised Pareto" else 1e-13  # two terms over k, which cancel
    off = 1e-15 if name == "Student" else 0  # two digammas, of which one is taken from the other
    np.testing.assert_allclose([value, *gradient], [float(each) for each in exact], rtol=digits, atol=off)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_logarithm_of_1_and_a_square_that_overflows(dtype: str) -> None:
    lines = "x: data[N]\nm: parameter\ns: parameter\nv: parameter\nloss = Sum(log(1 + ((x[n] - m)/s)**2/v), n)"
    far = 1e200 if dtype == "float64" else 1e25
    points = np.array([far, -3 * far, 0.5], dtype)
    given = [0.25, 2.0, 3.0]
    value, gradient = gc.compile(gc.parse(lines), dtype=dtype).value_and_grad(
        x=points, **dict(zip("msv", given, strict=True))
    )
    exact = slopes(
        lambda w: sum(mp.log1p(((x - w[0]) / w[1]) ** 2 / w[2]) for x in map(mpf, points.tolist())), given, 800
    )
    np.testing.assert_allclose([value, *gradient], exact, rtol=1e-14 if dtype == "float64" else 1e-6)
    flat = gc.compile(gc.parse("x: data[N]\nb: parameter\nloss = Sum(log(1 + (b*x[n])**2), n)"), dtype=dtype)
    assert flat.value(x=points[:2], b=1.0) == pytest.approx(4 * math.log(far) + 2 * math.log(3), rel=1e-6)


def test_even_powers_of_negative_numbers_have_their_logarithm() -> None:
    value, slope = gc.compile(log((1 + x) ** 2), wrt=x).value_and_grad(x=-3.5)
    assert (value, slope) == pytest.approx((2 * math.log(2.5), -0.8), rel=1e-15)


@pytest.mark.parametrize("base", [0.0, 1.0])
def test_a_power_of_0_with_an_exponent_of_0_has_the_logarithm_0(base: float) -> None:
    model = gc.compile(log((1 - x) ** (1 - y) * x**y), wrt=y)
    assert model.value(x=base, y=base) == 0.0


def test_a_weight_of_0_hides_an_exponential_that_overflows() -> None:
    value, (dx, dy) = gc.compile(log(1 + y * exp(x)), wrt=[x, y]).value_and_grad(x=800.0, y=0.0)
    assert (value, dx, dy) == (0.0, 0.0, math.inf)


def test_the_square_of_a_weight_of_0_has_no_slope_there() -> None:
    """2*k*exp(u)/(1 + k**2*exp(u)): at k = 0 it is 0, however large exp(u)."""
    model = gc.compile(log(1 + 3 * y**2 * exp(x)), wrt=[x, y])
    for exponent in (0.5, 500.0, 800.0):
        assert model.value_and_grad(x=exponent, y=0.0) == (0.0, (0.0, 0.0))
    value, (dx, dy) = model.value_and_grad(x=800.0, y=1e-100)
    with mp.workdps(500):
        z = 3 * mpf(1e-100) ** 2 * mp.exp(800)
        exact = [float(each) for each in (mp.log1p(z), z / (1 + z), 2 * z / (1 + z) / mpf(1e-100))]
    assert (value, dx, dy) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("shape", [1e-2, 1e-4, 1e-6])
def test_the_shape_of_a_generalised_pareto_distribution_has_its_gradient(shape: float) -> None:
    """(1 + 1/k)*log(1 + k*z) is divided by k: what its logarithm loses is multiplied by 1e6, and squared."""
    value, slope = gc.compile((1 + 1 / y) * log(1 + y * Rational(7, 10) / exp(x)), wrt=y).value_and_grad(x=0.3, y=shape)
    with mp.workdps(60):
        k, z = mpf(shape), mpf(7) / 10 / mp.exp(mpf(0.3))
        exact = (1 + 1 / k) * mp.log1p(k * z), (1 + 1 / k) * z / (1 + k * z) - mp.log1p(k * z) / k**2
    assert value == pytest.approx(float(exact[0]), rel=1e-15)
    assert slope == pytest.approx(float(exact[1]), rel=1e-15 / shape)


def test_a_choice_of_the_user_is_none_that_a_quotient_of_gamma_functions_was_made() -> None:
    """The hazard leaves such a quotient as it is, in a branch of the user's own."""
    quotient = exp(-(x**2)) * gamma(y) / (erfc(x) * gamma(y + 1))
    model = gc.compile(log(Piecewise((y, x > 1), (quotient, True))), wrt=x)
    assert model.value(x=2.0, y=3.0) == pytest.approx(math.log(3.0), rel=1e-15)
    assert model.value(x=0.0, y=3.0) == pytest.approx(math.log(1 / 3), rel=1e-15)


def test_a_power_that_is_defined_as_a_half_is_a_root() -> None:
    c = Symbol("c")
    model = gc.compile((x**2 + y**2) ** c, wrt=[x, y], define={c: Rational(1, 2)})
    assert model.value_and_grad(x=0.0, y=0.0) == (0.0, (0.0, 0.0))


def test_polygamma_has_second_derivatives() -> None:
    model = gc.compile(sympy.polygamma(2, x), wrt=x)
    assert model.hvp(1.0, x=3.0) == pytest.approx(float(mpmath.psi(4, 3)), rel=1e-13)


def test_whole_numbers_beyond_those_of_64_bits_are_numbers() -> None:
    assert float(evaluate(gc.compile(x + 10**200, wrt=x).graph, {"x": 1.0})["value"]) == 1e200
    assert float(evaluate(gc.compile(x - 10**400, wrt=x).graph, {"x": 1.0})["value"]) == -math.inf
    value, slope = gc.compile(sympy.atan2(x, 10**200), wrt=x).value_and_grad(x=0.5)
    assert (value, slope) == pytest.approx((5e-201, 1e-200), rel=1e-15, abs=0)


LOGITS = [[1e4, -1e4, 9999.0], [-1e4, -1e4, -1e4], [0.0, 0.0, 1e4], [-431.0, 279.0, 427.0]]
OVER: tuple[Any, ...] = (i, 0, D - 1)
SUMS: dict[str, tuple[Any, Any]] = {  # the model, and what it means with mpmath
    "log-sum-exp": (log(Sum(exp(w[i]), OVER)), lambda w: mp.log(sum(map(mp.exp, w)))),
    "log-softmax": (log(exp(w[1]) / Sum(exp(w[i]), OVER)), lambda w: w[1] - mp.log(sum(map(mp.exp, w)))),
    "softmax": (exp(w[1]) / Sum(exp(w[i]), OVER), lambda w: mp.exp(w[1]) / sum(map(mp.exp, w))),
    "terms": (log(exp(w[0]) + exp(w[1]) + exp(w[2])), lambda w: mp.log(sum(map(mp.exp, w)))),
    "terms and 1": (log(1 + exp(w[0]) + exp(w[1]) + exp(w[2])), lambda w: mp.log(1 + sum(map(mp.exp, w)))),
    "mixture": (
        log(Sum(exp(-(w[i] ** 2) / 2) / (i + 1), OVER)),
        lambda w: mp.log(sum(mp.exp(-(w[k] ** 2) / 2) / (k + 1) for k in range(3))),
    ),
}


def slopes(function: Any, point: list[float], digits: int = 200) -> list[float]:
    """Return the value and the derivatives by differences with a step of 1e-60, less if there are more digits."""
    with mp.workdps(digits):
        step, centre = mpf(10) ** -(60 * digits // 200), [mpf(each) for each in point]
        found = [function(centre)]
        for k in range(len(point)):
            ends = [function([c + sign * step * (n == k) for n, c in enumerate(centre)]) for sign in (1, -1)]
            found.append((ends[0] - ends[1]) / (2 * step))
        return [float(each) for each in found]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", SUMS)
def test_logits_of_ten_thousand(name: str, target: str, dtype: str, tmp_path: Any) -> None:
    if target == "python" and dtype == "float32":
        pytest.skip("Python has one kind of float")
    text = gc.emit(SUMS[name][0], wrt=[w], target=target, dtype=dtype)
    read_module = load_uncompiled if target == "numba" else load
    module = read_module(text, tmp_path / "module.py")
    digits = 1e-14 if dtype == "float64" else 1e-5
    for logits in LOGITS:
        with np.errstate(all="ignore"):
            value, (gradient,) = module.value_and_grad(logits if target == "python" else np.array(logits, dtype))
        exact = slopes(SUMS[name][1], logits)
        assert float(value) == pytest.approx(exact[0], rel=digits, abs=digits)
        assert [float(g) for g in gradient] == pytest.approx(exact[1:], rel=digits * 10, abs=digits)


GIVEN = [1.0, 2.0, -1.0]
MASKED: dict[str, tuple[str, Any]] = {  # the model of w and the given a, and what it means with mpmath
    "some": ("log(Sum(where(a[i] > 0, exp(w[i]), 0), i))", lambda w: mp.log(mp.exp(w[0]) + mp.exp(w[1]))),
    "the others": ("log(Sum(where(a[i] > 0, 0, exp(w[i])), i))", lambda w: w[2]),
    "weights": ("log(Sum(where(a[i] > 0, a[i]*exp(w[i]), 0), i))", lambda w: mp.log(mp.exp(w[0]) + 2 * mp.exp(w[1]))),
    "one of two": (
        "log(Sum(where(a[i] > 0, exp(w[i]), exp(-w[i])), i))",
        lambda w: mp.log(mp.exp(w[0]) + mp.exp(w[1]) + mp.exp(-w[2])),
    ),
    "a number": (
        "log(Sum(where(a[i] > 0, exp(w[i]), 3), i))",
        lambda w: mp.log(mp.exp(w[0]) + mp.exp(w[1]) + 3),
    ),
    "two masks": ("log(Sum(where(a[i] > 0, where(a[i] < 2, exp(w[i]), 0), 0), i))", lambda w: w[0]),
    "share": (
        "where(a[0] > 0, exp(w[0]), 0)/Sum(where(a[i] > 0, exp(w[i]), 0), i)",
        lambda w: 1 / (1 + mp.exp(w[1] - w[0])),
    ),
    "no share": ("where(a[2] > 0, exp(w[2]), 0)/Sum(where(a[i] > 0, exp(w[i]), 0), i)", lambda w: mpf(0)),
    "risk sets": (
        "Sum(log(Sum(where(a[i] >= a[j], exp(w[i]), 0), i)), j)",
        lambda w: w[1] + mp.log(mp.exp(w[0]) + mp.exp(w[1])) + mp.log(mp.exp(w[0]) + mp.exp(w[1]) + mp.exp(w[2])),
    ),
}
NEAR = [[1e4, 9999.0, 9400.0], [-1e4, -9999.0, -1e4], [0.5, 0.25, -0.5], [710.0, 720.0, 90.0]]
APART = [20.0, -600.0, 60.0]  # too far for one shift in float32


def masked(name: str) -> Any:
    return gc.parse(f"w: parameter[D]\na: data[D]\nloss = {MASKED[name][0]}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", MASKED)
def test_sums_of_exponentials_behind_a_mask(name: str, target: str, dtype: str, tmp_path: Any) -> None:
    if target == "python" and dtype == "float32":
        pytest.skip("Python has one kind of float")
    read_module = load_uncompiled if target == "numba" else load
    module = read_module(gc.emit(masked(name), target=target, dtype=dtype), tmp_path / "module.py")
    digits = 1e-13 if dtype == "float64" else 1e-5
    for logits in [*NEAR, APART] if dtype == "float64" else NEAR:
        arrays = (logits, GIVEN) if target == "python" else (np.array(logits, dtype), np.array(GIVEN, dtype))
        with np.errstate(all="ignore"):
            value, (gradient,) = module.value_and_grad(*arrays)
        exact = slopes(MASKED[name][1], logits)
        assert float(value) == pytest.approx(exact[0], rel=digits, abs=digits)
        assert [float(g) for g in gradient] == pytest.approx(exact[1:], rel=digits * 10, abs=digits)


@pytest.mark.parametrize("name", ["some", "weights", "two masks"])
@pytest.mark.parametrize("hidden", [math.nan, math.inf, -math.inf, 5000.0])
def test_what_a_mask_leaves_out_is_not_seen(name: str, hidden: float) -> None:
    value, (gradient,) = gc.compile(masked(name)).value_and_grad(w=[1000.0, 1001.0, hidden], a=GIVEN)
    exact = slopes(MASKED[name][1], [1000.0, 1001.0, 0.0])
    assert value == pytest.approx(exact[0], rel=1e-13)
    assert list(gradient) == pytest.approx(exact[1:], rel=1e-12)


@pytest.mark.parametrize("name", ["some", "weights", "two masks", "risk sets"])
def test_of_no_exponential_at_all_the_log_is_minus_infinite_and_the_gradient_0(name: str) -> None:
    given = [-1.0, -2.0, -3.0] if name != "risk sets" else [math.nan] * 3
    value, (gradient,) = gc.compile(masked(name)).value_and_grad(w=[1000.0, 1001.0, 5.0], a=given)
    assert value == -math.inf
    assert list(gradient) == [0, 0, 0]


def test_risk_sets_share_their_exponentials() -> None:
    graph = prepare(gc.compile(masked("risk sets")).lowered)
    assert [len(v.axes) for v in graph.order() if v.op == "exp"] == [1]


def test_a_risk_set_far_below_the_largest_exponent_is_what_it_was() -> None:
    """One shift for all of them: what is 600 below the largest must not underflow for its sake."""
    value = gc.compile(masked("risk sets")).value(w=[-520.0, -530.0, 80.0], a=[1.0, 2.0, -1.0])
    assert value == pytest.approx(slopes(MASKED["risk sets"][1], [-520.0, -530.0, 80.0])[0], rel=1e-13)


def test_shares_of_equal_totals_are_divided_by_each() -> None:
    """The divisor Z*Z of two shares has a factor twice, of which a rewrite takes one."""
    model = gc.compile(gc.parse("x: parameter[D]\np[i] = softmax(x[i], i)\nloss = Sum(p[i]*p[i], i)"))
    logits = [0.3, 0.1, -0.5]
    right = slopes(lambda w: sum(mp.exp(2 * each) for each in w) / sum(map(mp.exp, w)) ** 2, logits)
    value, (gradient,) = model.value_and_grad(x=logits)
    np.testing.assert_allclose([value, *gradient], right, rtol=1e-13)


@pytest.mark.parametrize(("place", "value", "slope"), [(-1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.25, 2500.0)])
def test_products_of_equal_sigmoids_are_finite(place: float, value: float, slope: float) -> None:
    model = gc.compile(gc.parse("x: parameter\nloss = sigmoid(10000*x)*sigmoid(10000*x)"))
    assert model.value_and_grad(x=place) == (value, (slope,))


SHARED: dict[str, tuple[str, Any]] = {  # quotients with an exponential above and below, and what is left of them
    "softmax along another axis": ("softmax(x[n], t)", lambda x, w: mpf(1) / len(w)),
    "of an exponential": ("softmax(exp(x[n]), t)", lambda x, w: mpf(1) / len(w)),
    "weights": ("w[t]*exp(x[n])/(exp(x[n])*Sum(w[k], k))", lambda x, w: w[0] / sum(w)),
    "a term of both": ("exp(x[n] + tanh(x[n]))/(3*exp(x[n] - w[t]))", lambda x, w: mp.exp(mp.tanh(x) + w[0]) / 3),
    "sigmoids": ("x[n]*sigmoid(x[n])/(w[t]*sigmoid(x[n]))", lambda x, w: x / w[0]),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_is_above_and_below_a_line_is_neither_infinite_nor_0_there(name: str) -> None:
    text, term = SHARED[name]
    lines = "x: parameter[N]\nw: data[T]\nloss = Sum(w[t]**2*" + text + ", n, t)"
    places, weights = [0.3, 1000.0, -1000.0], [0.5, 2.0]
    value, (gradient,) = gc.compile(gc.parse(lines)).value_and_grad(x=places, w=weights)

    def total(x: list[mpf]) -> Any:
        return sum(
            mpf(w) ** 2 * term(each, [mpf(w), *weights[:k], *weights[k + 1 :]])
            for each in x
            for k, w in enumerate(weights)
        )

    np.testing.assert_allclose([value, *gradient], slopes(total, places), rtol=1e-12, atol=1e-15)


def test_a_product_of_many_probabilities_does_not_underflow() -> None:
    p = Symbol("p")
    likelihood = log(Product(p ** t[s] * (1 - p) ** (1 - t[s]), (s, 0, N - 1)))
    given = np.arange(3000) % 3 == 0
    value, slope = gc.compile(likelihood, wrt=p).value_and_grad(p=0.25, t=given.astype(float))
    assert value == pytest.approx(1000 * math.log(0.25) + 2000 * math.log(0.75), rel=1e-13)
    assert slope == pytest.approx(1000 / 0.25 - 2000 / 0.75, rel=1e-12)


@pytest.mark.parametrize(
    ("factors", "value"), [([2.0, -3.0, -4.0], math.log(24)), ([2.0, -3.0], math.nan), ([0.0, 5.0], -math.inf)]
)
def test_the_log_of_a_product_keeps_its_domain(factors: list[float], value: float) -> None:
    found = evaluate(gc.compile(log(Product(w[i], OVER)), wrt=w).graph, {"w": factors})["value"]
    assert float(found) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("point", [(2.0, 3.0), (-2.0, -3.0), (-2.0, 3.0)])
def test_a_logarithm_is_taken_apart_only_where_signs_allow_it(point: tuple[float, float]) -> None:
    value = gc.compile(log(x * y * (1 + x**2)), wrt=[x, y]).value(x=point[0], y=point[1])
    product = point[0] * point[1] * (1 + point[0] ** 2)
    assert value == pytest.approx(math.log(product) if product > 0 else math.nan, nan_ok=True)


@pytest.mark.parametrize("name", ["Kumaraswamy", "ordinal regression", "log of the slope of tanh", "both sigmoids"])
def test_a_model_is_made_stable_in_the_same_way_every_time(name: str) -> None:
    """The graph of a Hessian starts from the model again, in a builder that knows what the first pass made."""
    lowered = gc.compile(HARD[name][0], wrt=x).lowered
    first, second = prepare(lowered), prepare(lowered)
    assert first.outputs == second.outputs


def test_a_model_tells_what_was_rewritten() -> None:
    (found,) = gc.compile(log(1 + exp(x)), wrt=x).stability
    assert found.before == "log(1 + exp(x))"
    assert found.after == "softplus(x)"
    assert "overflows" in found.why
    assert found.domain == (-1e4, 1e4)
    assert math.isinf(found.error_before)
    assert found.error_after <= 2
    assert "log(1 + exp(x))" in str(found)
    assert gc.compile(x**2, wrt=x).stability == ()


def test_weights_of_many_rows_leave_as_many_exponentials_as_there_are_exponents() -> None:
    """A scale for each row of data would take an exponential for each row and term: a product of matrices is lost."""
    for use in ("Sum(z[n]**2, n)", "Sum(z[n] - y[n]*log(z[n]), n)"):
        for weights in ("exp(w[k])", "softmax(w[k], k)"):
            text = f"x: data[N, K]\ny: data[N]\nw: parameter[K]\nz[n] = Sum(x[n, k]*{weights}, k)\nloss = {use}"
            model = gc.compile(gc.parse(text))
            exponents = [v.operands[0] for v in model.graph.order() if v.op == "exp"]
            assert all(len(u.axes) == 1 for u in exponents), text
    random = np.random.default_rng(0)
    x, y, w = random.random((5, 3)), random.random(5), np.array([900.0, 1.0, 901.0])
    found, (gradient,) = model.value_and_grad(x=x, y=y, w=w)
    share = np.exp(w - w.max()) / np.exp(w - w.max()).sum()
    z = x @ share
    assert found == pytest.approx(np.sum(z - y * np.log(z)), rel=1e-13)
    slope = (1 - y / z) @ x
    np.testing.assert_allclose(gradient, share * (slope - slope @ share), rtol=1e-11, atol=1e-15)


def test_steps_of_a_differential_equation_keep_their_exponentials() -> None:
    """Each addition would shift the exponents of those inside of it: twenty exponentials a step."""
    text, last = "y: data[N]\na: parameter\nb: parameter[N]\nx0[n] = exp(b[n])\n", 3
    for k in range(last):
        text += f"u{k}[n] = exp(a)*x{k}[n] - 0.1*x{k}[n]*(x{k}[n] + 0.5*exp(a))\nx{k + 1}[n] = x{k}[n] + 0.1*u{k}[n]\n"
    model = gc.compile(gc.parse(f"{text}loss = Sum((log(x{last}[n]) - y[n])**2, n)"))
    operations = [value.op for value in model.graph.order()]
    assert operations.count("exp") == 2
    assert "maximum" not in operations


def test_mixtures_of_mixtures_do_not_overflow() -> None:
    a, b = symbols("a b")
    inner = 2 * exp(a) + 3 * exp(b)
    nested = 5 * exp(-a) * (exp(2 * a) + 7 * exp(b) * (inner + exp(3 * b)))
    model = gc.compile(log(nested), wrt=[a, b])
    for place in ((800.0, -3.0), (-900.0, 700.0)):
        value, gradients = model.value_and_grad(a=place[0], b=place[1])
        point = dict(zip((a, b), map(mpf, place), strict=True))
        with mp.workdps(50):
            right = [mpf(sympy.N(each.subs(point), 50)) for each in (log(nested), *map(log(nested).diff, (a, b)))]
        np.testing.assert_allclose([value, *gradients], [float(each) for each in right], rtol=1e-12, atol=1e-300)


BESIDE = {
    "log(r + exp(b))": lambda r, b, a: mp.log(r + mp.exp(b)),
    "log(r + a*exp(b))": lambda r, b, a: mp.log(r + a * mp.exp(b)),
    "log(exp(b) - r)": lambda r, b, a: mp.log(mp.exp(b) - r),
    "log(exp(b) - 2)": lambda r, b, a: mp.log(mp.exp(b) - 2),
    "log(r*exp(-b) + a)": lambda r, b, a: mp.log(r * mp.exp(-b) + a),
    "log(r + exp(b) + exp(a))": lambda r, b, a: mp.log(r + mp.exp(b) + mp.exp(a)),
    "log(1 + (r + exp(b))*a)": lambda r, b, a: mp.log(1 + (r + mp.exp(b)) * a),
    "exp(b)/(r + exp(b))": lambda r, b, a: mp.exp(b) / (r + mp.exp(b)),
    "a/(r + exp(b))": lambda r, b, a: a / (r + mp.exp(b)),
    "log(r + exp(b))*a": lambda r, b, a: mp.log(r + mp.exp(b)) * a,
}


@pytest.mark.parametrize("b", [-1000.0, -1.0, 0.5, 30.0, 1000.0])
@pytest.mark.parametrize("text", BESIDE)
def test_what_is_added_to_an_exponential_that_overflows(text: str, b: float) -> None:
    if " - " in text and b < 1:
        pytest.skip("there is no logarithm")
    point = [0.75, b, 1.5]
    model = gc.compile(gc.parse(f"r: parameter\nb: parameter\na: parameter\nloss = {text} + 0*(a + b + r)"))
    given = dict(zip("rba", point, strict=True))
    value, *exact = slopes(lambda w: BESIDE[text](*w), point, 1200)
    found, gradient = model.value_and_grad(**given)
    off = 4e-16 if "/(" in text else 1e-300  # the slopes of shares are differences of shares
    np.testing.assert_allclose([found, *gradient], [value, *exact], rtol=1e-14, atol=off)
    assert np.all(np.isfinite(model.hessian(**given)))


def softplus_of(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


U, V = [0.1, 0.35, 0.5, 0.9], [0.2, 0.35, 0.55, 0.95]
POSITIVES = [0.05, 0.9, 1.4, 6.0]


def gumbel_copula(k: Any) -> Any:
    total = mpf(0)
    for u, v in zip(map(mpf, U), map(mpf, V), strict=True):
        a, b = -mp.log(u), -mp.log(v)
        c = (a**k + b**k) ** (1 / k)
        total += mp.log(c + k - 1) - c + (1 - 2 * k) * mp.log(c)
    return total


# Text, its exact form, parameters, and points at which the text itself overflows, underflows or cancels.
AT_THE_ENDS: dict[str, tuple[str, Any, str, list[list[float]]]] = {
    "a guess, or else a sigmoid": (
        "p[n] = sigmoid(c) + (1 - sigmoid(c))*sigmoid(a*x[n])\nloss = Sum(log(1 - p[n]), n)",
        lambda w: -sum(softplus_of(w[1]) + softplus_of(w[0] * z) for z in map(mpf, POSITIVES)),
        "ac",
        [[1.0, -1.0], [30.0, -50.0], [1.0, 60.0], [500.0, 1.0]],
    ),
    "a guess, or else another": (
        "loss = Sum(log(1 - (c + (1 - c)*sigmoid(a*x[n]))), n)",
        lambda w: sum(mp.log(1 - w[1]) - softplus_of(w[0] * z) for z in map(mpf, POSITIVES)),
        "ac",
        [[1.0, 0.25], [500.0, 0.25]],
    ),
    "what the complementary log-log leaves": (
        "p[n] = 1 - exp(-exp(a*x[n]))\nloss = Sum(log(1 - p[n]), n)",
        lambda w: -sum(mp.exp(w[0] * z) for z in map(mpf, POSITIVES)),
        "a",
        [[0.5], [5.0]],
    ),
    "one less a power": (
        "loss = Sum(log(1 - u[n]**exp(a)), n)",
        lambda w: sum(mp.log(-mp.expm1(mp.exp(w[0]) * mp.log(z))) for z in map(mpf, U)),
        "a",
        [[0.5], [-30.0], [-800.0]],
    ),
    "one and a power": (
        "loss = Sum(log(x[n]**a/(1 + x[n]**a)**(c + 1)), n)",
        lambda w: sum(w[0] * mp.log(z) - (w[1] + 1) * mp.log(1 + z ** w[0]) for z in map(mpf, POSITIVES)),
        "ac",
        [[2.0, 1.5], [900.0, 1.5], [2.0, 1e5]],
    ),
    "Clayton": (
        "loss = Sum((2 + 1/c)*log(u[n]**(-c) + v[n]**(-c) - 1), n)",
        lambda w: sum(
            (2 + 1 / w[0]) * mp.log(a ** -w[0] + b ** -w[0] - 1)
            for a, b in zip(map(mpf, U), map(mpf, V), strict=True)
        ),
        "c",
        [[2.0], [1e-3], [600.0], [5000.0]],
    ),
    "Gumbel": (
        "a[n] = -log(u[n])\nb[n] = -log(v[n])\nz[n] = (a[n]**c + b[n]**c)**(1/c)\n"
        "loss = Sum(log(z[n] + c - 1) - z[n] + (1 - 2*c)*log(z[n]), n)",
        lambda w: gumbel_copula(w[0]),
        "c",
        [[2.0], [500.0], [5000.0]],
    ),
}  # fmt: skip


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", AT_THE_ENDS)
def test_likelihoods_at_the_ends_of_their_range(name: str) -> None:
    text, function, names, points = AT_THE_ENDS[name]
    data = {k: np.array(each) for k, each in {"u": U, "v": V, "x": POSITIVES}.items() if f"{k}[n]" in text}
    lines = [*(f"{k}: data[N]" for k in data), *(f"{k}: parameter" for k in names), text]
    model = gc.compile(gc.parse("\n".join(lines)))
    answers = [slopes(function, point, 1200) for point in points]
    for _ in range(2):
        for point, (value, *exact) in zip(points, answers, strict=True):
            found, gradient = model.value_and_grad(**dict(zip(names, point, strict=True)), **data)
            np.testing.assert_allclose(found, value, rtol=1e-13, err_msg=str(point))
            np.testing.assert_allclose(
                gradient, exact, rtol=4e-12, atol=1e-13 * max(map(abs, exact)), err_msg=str(point)
            )
        model.wait()


def test_powers_of_negative_numbers_remain() -> None:
    model = gc.compile(gc.parse("x: data[N]\nc: parameter\nloss = Sum(log(1 + x[n]**c) + log(1 - 2*x[n]**c/99), n)"))
    numbers = np.array([-2.0, 0.0, 1.5])
    for _ in range(2):
        assert model.value(x=numbers, c=2.0) == pytest.approx(
            sum(math.log(1 + v**2) + math.log(1 - 2 * v**2 / 99) for v in numbers), rel=1e-15
        )
        model.wait()


def test_slopes_of_the_root_of_a_probability_that_is_0() -> None:
    text = """
        q: data[N]
        s: parameter[N]
        p[n] = exp(s[n])/Sum(exp(s[k]), k)
        loss = Sum(sqrt(p[n]*q[n]), n)
    """
    scores, q = np.array([0.0, -1000.0, 1.0, -2000.0]), np.array([0.1, 0.2, 0.3, 0.4])
    value, (gradient,) = gc.compile(gc.parse(text)).value_and_grad(q=q, s=scores)
    exact = slopes(
        lambda w: sum(mp.sqrt(mp.exp(v) * r / sum(map(mp.exp, w))) for v, r in zip(w, map(mpf, q), strict=True)),
        scores.tolist(),
        3000,
    )
    np.testing.assert_allclose([value, *gradient], exact, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize(
    "place", [[0.5, 0.1, -3.0], [0.5, 0.1, -8.0], [0.5, 0.1, -30.0], [9.0, 0.1, -9.0], [9.0, 2.0, -300.0]]
)
def test_what_lies_between_two_near_values_of_the_normal_distribution(place: list[float]) -> None:
    text = """
        x: data[N]
        b: parameter
        t: parameter
        d: parameter
        loss = Sum(log(erf((t + exp(d) - b*x[n])/sqrt(2)) - erf((t - b*x[n])/sqrt(2))), n)
    """
    data = [-1.5, -0.3, 0.2, 3.1]

    def between(w: Any) -> Any:
        lows = [(w[1] - w[0] * z) for z in map(mpf, data)]
        return sum(mp.log(mp.erfc(low / mp.sqrt(2)) - mp.erfc((low + mp.exp(w[2])) / mp.sqrt(2))) for low in lows)

    value, *exact = slopes(between, place, 700)
    model = gc.compile(gc.parse(text))
    for _ in range(2):
        found, gradient = model.value_and_grad(**dict(zip("btd", place, strict=True)), x=np.array(data))
        np.testing.assert_allclose([found, *gradient], [value, *exact], rtol=1e-13)
        model.wait()


POWERS_OF_LOGS = {  # p, k of v**p*log(v)**k, and its slope at 0
    "v[n]*log(v[n])**2": (1, 2, np.inf),
    "log(v[n])**3*v[n]": (1, 3, -np.inf),
    "v[n]*log(v[n])*log(v[n])": (1, 2, np.inf),
    "sqrt(v[n])*log(v[n])": (0.5, 1, -np.inf),
    "v[n]**0.3*log(v[n])": (0.3, 1, -np.inf),
    "sqrt(v[n])*log(v[n])**2": (0.5, 2, np.inf),
    "v[n]**1.5*log(v[n])": (1.5, 1, 0.0),
    "v[n]*sqrt(v[n])*log(v[n])": (1.5, 1, 0.0),
    "v[n]**2*log(v[n])**2": (2, 2, 0.0),
    "v[n]**3*log(v[n])**2": (3, 2, 0.0),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("product", POWERS_OF_LOGS)
def test_powers_of_logarithms_have_their_limits_at_0(product: str, compiled: bool) -> None:
    p, k, slope = POWERS_OF_LOGS[product]
    model = gc.compile(gc.parse(f"q: data[N]\nv: parameter[N]\nloss = Sum(3*{product}*q[n], n)"))
    v = np.array([0.0, 1e-306, 1e-250, 1e-100, 1e-8, 0.3, 2.0, 1e20])
    given = {"v": v, "q": np.full_like(v, 2.0)}
    model.value_and_grad(**given)
    if compiled:
        model.wait()
    value, (gradient,) = model.value_and_grad(**given)
    with mp.workdps(50):
        some, power = [mp.mpf(each) for each in v[1:]], mp.mpf(p)
        exact = [6 * each ** (power - 1) * mp.log(each) ** (k - 1) * (p * mp.log(each) + k) for each in some]
        assert value == pytest.approx(float(6 * sum(each**power * mp.log(each) ** k for each in some)), rel=1e-14)
    np.testing.assert_allclose(gradient, [slope, *map(float, exact)], rtol=1e-13)
    assert np.isnan(model.value(v=np.array([-1.0]), q=np.ones(1)))


FRANK = "log(k*(1 - exp(-k))*exp(-k*(u[n] + v[n]))/((1 - exp(-k)) - (1 - exp(-k*u[n]))*(1 - exp(-k*v[n])))**2)"
UNITS = ([0.1, 0.35, 0.5, 0.62, 0.9, 0.99], [0.2, 0.3, 0.55, 0.4, 0.95, 0.9])


def slope_of_franks_copula(k: float, u: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    """Return the value and the slope, which need as many digits as exp(-k) has zeros."""

    def exact(k: Any) -> Any:
        total = mp.mpf(0)
        for a, b in ((mp.mpf(float(a)), mp.mpf(float(b))) for a, b in zip(u, v, strict=True)):
            whole, product = 1 - mp.exp(-k), (1 - mp.exp(-k * a)) * (1 - mp.exp(-k * b))
            total += mp.log(k * whole) - k * (a + b) - 2 * mp.log(abs(whole - product))
        return total

    with mp.workdps(100 + int(abs(k))):
        step = mp.mpf(10) ** -30
        return float(exact(mp.mpf(k))), float((exact(k + step) - exact(k - step)) / (2 * step))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_density_of_franks_copula(dtype: str) -> None:
    u, v = (np.array(each, dtype) for each in UNITS)
    model = gc.compile(gc.parse(f"u: data[N]\nv: data[N]\nk: parameter\nloss = Sum({FRANK}, n)"), dtype=dtype)
    points = [0.5, 2.0, 40.0, 300.0, 600.0, 5000.0, -3.0, -60.0]
    exact = [slope_of_franks_copula(k, u, v) for k in points]
    digits = 1e-13 if dtype == "float64" else 1e-5
    for _ in range(2):
        for k, (value, slope) in zip(points, exact, strict=True):
            found, (gradient,) = model.value_and_grad(k=k, u=u, v=v)
            assert found == pytest.approx(value, rel=digits), k
            assert gradient == pytest.approx(slope, rel=digits), k
        model.wait()


HYPERBOLIC: dict[str, Callable[[Any, Any], Any]] = {
    "log(r + cosh(b))": lambda r, b: mp.log(r + mp.cosh(b)),
    "log(cosh(b) - r)": lambda r, b: mp.log(mp.cosh(b) - r),
    "log(1 + r*cosh(b))": lambda r, b: mp.log(1 + r * mp.cosh(b)),
    "log(r + cosh(b)**2)": lambda r, b: mp.log(r + mp.cosh(b) ** 2),
    "cosh(b)/(r + cosh(b))": lambda r, b: mp.cosh(b) / (r + mp.cosh(b)),
}


@pytest.mark.parametrize("formula", HYPERBOLIC)
def test_sums_with_a_hyperbolic_cosine_do_not_overflow(formula: str) -> None:
    model = gc.compile(gc.parse(f"r: parameter\nb: parameter\nloss = {formula}"))
    for b in (0.0, 1e-5, -1.3, 30.0, 720.0, -900.0):
        with mp.workdps(900):
            r, at, step = mp.mpf(0.7), mp.mpf(b), mp.mpf(10) ** -40
            f = HYPERBOLIC[formula]
            value = float(f(r, at))
            slopes = [
                (f(r + step, at) - f(r - step, at)) / (2 * step),
                (f(r, at + step) - f(r, at - step)) / (2 * step),
            ]
            second = (f(r, at + step) - 2 * f(r, at) + f(r, at - step)) / step**2
        found, gradient = model.value_and_grad(r=0.7, b=b)
        assert found == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradient, [float(slope) for slope in slopes], rtol=1e-13, atol=1e-15)
        assert np.array(model.hessian(r=0.7, b=b))[1][1] == pytest.approx(float(second), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(("m", "rate"), [(0.3, 0.5), (400.0, 0.5), (500.0, -5.0), (-500.0, -900.0)])
def test_inverse_gaussian_of_any_mean(m: float, rate: float) -> None:
    model = gc.compile(
        gc.parse(
            "x: data[N]\nm: parameter\nl: parameter\nloss = Sum(exp(l)*(x[n] - exp(m))**2/(2*exp(2*m)*x[n]) - l/2, n)"
        )
    )
    x = np.array([0.05, 0.3, 0.7, 1.4, 2.5, 6.0])

    def exact(m: Any, rate: Any) -> Any:
        return sum(mp.exp(rate) * (a - mp.exp(m)) ** 2 / (2 * mp.exp(2 * m) * a) - rate / 2 for a in map(mp.mpf, x))

    with mp.workdps(900):
        step = mp.mpf(10) ** -100
        ends = [
            (exact(m + a * step, rate + b * step), exact(m - a * step, rate - b * step)) for a, b in ((1, 0), (0, 1))
        ]
        value, slopes = float(exact(mp.mpf(m), mp.mpf(rate))), [float((up - down) / step) / 2 for up, down in ends]
    for _ in range(2):
        found, gradient = model.value_and_grad(m=m, l=rate, x=x)
        assert found == pytest.approx(value, rel=2e-13)
        np.testing.assert_allclose(gradient, slopes, rtol=2e-13)
        model.wait()


SHARES = """
    A: constant[N, N]
    x: data[N, D]
    W: parameter[D, K]
    z[n, k] = exp(Sum(x[n, j]*W[j, k], j))
    s[n, k] = z[n, k]/Sum(z[n, i], i)
    loss = Sum(s[n, k]*A[n, m]*s[m, k], n, m, k)/Sum(A[n, m]*s[n, k]**2, n, m, k)
"""


def test_sums_of_shares_are_of_no_further_exponentials() -> None:
    """The largest share of a sum is no less than 1 by their number: nothing has to be taken out of their products."""
    model = gc.compile(gc.parse(SHARES))
    assert [value.op for value in model.graph.order()].count("exp") == 1


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_sums_of_shares_are_right_however_large_exponents_are(scale: float) -> None:
    random = np.random.default_rng(2)
    x, W = random.normal(size=(5, 3)), random.normal(size=(3, 4))
    A = np.array(random.random((5, 5)) < 0.5, float)
    A[2] = 0  # a weight of nothing
    y = scale * x @ W
    s = np.exp(y - y.max(axis=1, keepdims=True))
    s /= s.sum(axis=1, keepdims=True)
    value = np.sum(s * (A @ s)) / np.sum(A.sum(axis=1)[:, None] * s**2)
    assert gc.compile(gc.parse(SHARES)).value(A=A, x=scale * x, W=W) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("a", "w"), [(1.0, 1e-9), (1 - 1e-9, 1e-10), (0.999999, 0.0), (0.5, 1.0), (-0.7, 3.0)])
def test_law_of_cosines(a: float, w: float) -> None:
    """The spectrum of an autoregression near a frequency at which it is infinite."""

    def spectrum(point: Any) -> Any:
        return -mp.log(1 - 2 * point[0] * mp.cos(point[1]) + point[0] ** 2)

    value, slopes, second = derivatives(spectrum, [a, w])
    model = gc.compile(gc.parse("a: parameter\nw: parameter\nloss = -log(1 - 2*a*cos(w) + a**2)"))
    found, gradient = model.value_and_grad(a=a, w=w)
    assert found == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13, atol=1e-15)
    rows = np.array([model.hvp((1.0, 0.0), a=a, w=w), model.hvp((0.0, 1.0), a=a, w=w)])
    np.testing.assert_allclose(rows, second, rtol=1e-12, atol=1e-14 * np.max(np.abs(second)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_great_circle_between_equal_places_has_the_gradient_0(dtype: str) -> None:
    text = "2*asin(sqrt(sin((a[n] - b[n])/2)**2 + cos(a[n])*cos(b[n])*sin((c[n] - d[n])/2)**2))"
    declared = "".join(f"{name}: parameter[N]\n" for name in "abcd")
    model = gc.compile(gc.parse(f"{declared}loss = Sum({text}, n)"), dtype=dtype)
    places = {"a": [0.5, 0.5], "b": [0.5, 0.6], "c": [1, 1], "d": [1, 1]}
    given = {name: np.array(each, dtype) for name, each in places.items()}
    for _ in range(2):
        gradient = np.array(model.grad(**given))
        np.testing.assert_array_equal(gradient[:, 0], np.zeros(4))
        np.testing.assert_allclose(gradient[:2, 1], [-1, 1], rtol=1e-5)
        model.wait()


@pytest.mark.parametrize(
    ("text", "value", "slope"),
    [
        ("x + y**2 - y", 9899.25, 199),
        ("y**2 + x**3 - y", 9899.578125, 199),
        ("log(y**2 + x - y)", math.log(9899.25), 199 / 9899.25),
        ("(x + y**2 - y)/(x + y**2 + y)", 9899.25 / 10099.25, 199 / 10099.25 - 9899.25 * 201 / 10099.25**2),
        ("sqrt(y**2 + x) - y", -0.75 / (math.sqrt(9999.25) + 100), 100 / math.sqrt(9999.25) - 1),
    ],
)
def test_a_square_and_something_less_its_side_is_no_difference_of_roots(text: str, value: float, slope: float) -> None:
    model = gc.compile(gc.parse(f"x: constant\ny: parameter\nloss = {text}"))
    found, gradient = model.value_and_grad(x=-0.75, y=100.0)
    assert found == pytest.approx(value, rel=1e-13)
    assert gradient[0] == pytest.approx(slope, rel=1e-10)
