"""Products and quotients of which one part overflows and another underflows, or overflows, too: models as in books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from mpmath import mp
from sympy import Expr, Symbol, cosh, erf, erfc, exp, pi, sinh, sqrt, symbols

import gradcompile as gc

A, B, C, X = symbols("a b c x")
Model = tuple[Expr, Callable[..., Any], list[tuple[float, ...]]]


def normal(u: Any) -> Any:
    return (1 + erf(u / sqrt(2))) / 2


def below(u: Any) -> Any:
    return mp.erfc(-u / mp.sqrt(2)) / 2


MODELS: dict[str, Model] = {
    "inverse Gaussian": (
        normal(sqrt(A / X) * (X / B - 1)) + exp(2 * A / B) * normal(-sqrt(A / X) * (X / B + 1)),
        lambda a, b, x: below(mp.sqrt(a / x) * (x / b - 1)) + mp.exp(2 * a / b) * below(-mp.sqrt(a / x) * (x / b + 1)),
        [(1.0, 2.0, 0.5), (500.0, 1.0, 0.9), (500.0, 1.0, 1.1), (2e4, 3.0, 3.1)],
    ),
    "exponentially modified Gaussian": (
        A / 2 * exp(A / 2 * (A * B**2 - 2 * X)) * erfc((A * B**2 - X) / (sqrt(2) * B)),
        lambda a, b, x: a * mp.exp(a / 2 * (a * b**2 - 2 * x)) * below((x - a * b**2) / b),
        [(1.0, 1.0, 0.5), (30.0, 1.0, 0.5), (100.0, 1.0, -3.0), (2.0, 0.01, 0.5)],
    ),
    "advection and dispersion": (
        (erfc((X - A) / sqrt(4 * B)) + exp(A * X / B) * erfc((X + A) / sqrt(4 * B))) / 2,
        lambda a, b, x: (
            mp.erfc((x - a) / mp.sqrt(4 * b)) / 2 + mp.exp(a * x / b) * mp.erfc((x + a) / mp.sqrt(4 * b)) / 2
        ),
        [(1.0, 0.2, 1.2), (100.0, 10.0, 100.0), (1.0, 1e-3, 0.9)],
    ),
    "Mills' ratio": (
        A * exp(-(X**2) / 2) / sqrt(2 * pi) / normal(X) + 0 * B,
        lambda a, b, x: a * mp.npdf(x) / below(x),
        [(1.0, 0.0, x) for x in (-40.0, -1.0, 2.0, 13.0, 60.0)],
    ),
    "logistic growth": (
        A * B * exp(X) / (A + B * (exp(X) - 1)),
        lambda a, b, x: a * b * mp.exp(x) / (a + b * mp.expm1(x)),
        [(10.0, 2.0, x) for x in (-900.0, -1.0, 1e-9, 30.0, 100.0, 800.0)],
    ),
    "bond by Cox, Ingersoll and Ross": (
        2 * (exp(A * X) - 1) / ((A + B) * (exp(A * X) - 1) + 2 * A),
        lambda a, b, x: 2 * mp.expm1(a * x) / ((a + b) * mp.expm1(a * x) + 2 * a),
        [(0.5, 0.3, x) for x in (1e-9, 1.0, 50.0, 5000.0)],
    ),
    "kinetics of second order": (
        A * B * (exp((A - B) * X) - 1) / (A * exp((A - B) * X) - B),
        lambda a, b, x: a * b * mp.expm1((a - b) * x) / (a * mp.exp((a - b) * x) - b),
        [(1.0, 0.5, x) for x in (1e-9, 1.0, 300.0, 1e4)] + [(0.5, 1.0, 2e3)],
    ),
    "current through a membrane": (
        X * (A - B * exp(-X)) / (1 - exp(-X)),
        lambda a, b, x: x * (a - b * mp.exp(-x)) / -mp.expm1(-x),
        [(2.0, 3.0, x) for x in (-900.0, -90.0, 1e-9, 0.3, 800.0)],
    ),
    "quanta that bosons emit": (
        A * exp(X) / (B * (exp(X) - 1)),
        lambda a, b, x: a * mp.exp(x) / (b * mp.expm1(x)),
        [(1.5, 2.0, x) for x in (-900.0, -1.0, 0.3, 40.0, 100.0, 800.0)],
    ),
    "Langevin": (
        A * cosh(X) / (B * sinh(X)) - 1 / X,
        lambda a, b, x: a * mp.cosh(x) / (b * mp.sinh(x)) - 1 / x,
        [(1.5, 2.0, x) for x in (-900.0, 0.3, 800.0)],
    ),
    "what has the slope of a softplus": (
        A * sinh(X) / (B * cosh(X)),
        lambda a, b, x: a * mp.sinh(x) / (b * mp.cosh(x)),
        [(1.5, 2.0, x) for x in (-900.0, 0.0, 800.0)],
    ),
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", MODELS)
def test_limits_where_a_part_overflows(name: str) -> None:
    form, function, points = MODELS[name]
    wrt: list[Symbol] = [each for each in (A, B, X) if each in form.free_symbols]
    model, text = gc.compile(form, wrt=wrt), gc.emit(form, wrt=wrt, target="numpy")
    module: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(text, name, "exec"), module)
    for point in points:
        given = dict(zip("abx", point, strict=True))
        with mp.workdps(1500):
            centre, step = [mp.mpf(each) for each in point], mp.mpf(10) ** -400

            def moved(place: int, by: Any) -> Any:
                return function(*(c + by * (k == place) for k, c in enumerate(centre)))  # noqa: B023  (called at once)

            places = ["abx".index(str(each)) for each in wrt]
            value, near = function(*centre), [(moved(k, step), moved(k, -step)) for k in places]
            slopes = [float((up - down) / (2 * step)) for up, down in near]
            curved = [float((up - 2 * value + down) / step**2) for up, down in near]
        called = {str(each): given[str(each)] for each in wrt}
        size = max(1.0, abs(point[0] / point[1]) if point[1] else 1.0)  # what the exponents are in
        for found, gradient in (model.value_and_grad(**called), module["value_and_grad"](*called.values())):
            assert found == pytest.approx(float(value), rel=1e-13 * size, abs=1e-300), point
            np.testing.assert_allclose(gradient, slopes, rtol=1e-12 * size, atol=1e-14, err_msg=str(point))
        hessian = np.diag(np.array(model.hessian(**called)))
        np.testing.assert_allclose(hessian, curved, rtol=1e-8 * size, atol=1e-11, err_msg=str(point))


def test_a_discount_is_no_exponential_that_grows() -> None:
    r, t = sympy.symbols("r t")
    assert "logtail" not in gc.emit(exp(-r * t) * normal(X), wrt=[r, t, X], target="python")
    assert "logtail" not in gc.emit(exp(-((X - A) ** 2) / 2) * normal(B * X), wrt=[A, B], target="python")


def test_an_exponent_that_may_not_stay_where_it_is_is_left_alone() -> None:
    c = 3 * exp(X) / (2 + B * (exp(X) - 1)) * exp(2 * X)
    found = gc.compile(c, wrt=[X]).value(x=100.0, b=1.0)
    assert found == pytest.approx(float(3 * mp.exp(300) / (2 + mp.expm1(100))), rel=1e-13)


@pytest.mark.parametrize(
    "form",
    [
        exp(X) * (exp(X) + 1) / (exp(X) - 1),
        (exp(X) + A) * (exp(X) + 2) / (3 + B * (exp(X) - 1)),
        (exp(X) + A) / ((exp(X) - 1) * (3 + B * (exp(X) - 1))),
    ],
)
def test_what_grows_faster_above_the_line_than_below_or_slower_has_no_limit(form: Expr) -> None:
    point = {"a": 2.0, "b": 0.5, "x": 100.0}
    names = sorted(map(str, form.free_symbols))
    found, slope = gc.compile(form, wrt=X).value_and_grad(**{name: point[name] for name in names})
    exact = {symbol: sympy.Rational(point[str(symbol)]) for symbol in (A, B, X)}
    assert found == pytest.approx(float(form.subs(exact)), rel=1e-13)
    assert slope == pytest.approx(float(form.diff(X).subs(exact)), rel=1e-13)


def test_an_exponential_over_itself_less_1_is_1_for_singles_too() -> None:
    model = gc.parse("x: data[N]\nw: parameter\nloss = Sum(x[n]*exp(w*x[n])/(exp(w*x[n]) - 1), n)")
    x = np.array([0.5, 80.0, 100.0, 1e4])
    value, (slope,) = gc.compile(model, dtype="float32").value_and_grad(x=x, w=1.0)
    assert value == pytest.approx(float(sum(each / -mp.expm1(-each) for each in x)), rel=1e-6)
    assert slope == pytest.approx(float(sum(-(each**2) * mp.exp(-each) / mp.expm1(-each) ** 2 for each in x)), rel=1e-6)
