"""Value, gradient and Hessian at the ends of the range of a formula, against differences at 150 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from tests.derivatives import derivatives

Formula = tuple[str, Callable[..., Any], list[tuple[float, ...]]]
STUDENT = [(1.5, 1e8), (1.5, 1e12), (0.0, 3.0), (-2.0, 0.3), (1e-9, 1e8)]
FORMULAS: dict[str, Formula] = {  # in its variables, with mpmath, and where
    "relative entropy": (
        "x*log(x/y) + (1 - x)*log((1 - x)/(1 - y))",
        lambda x, y: x * mp.log(x / y) + (1 - x) * mp.log((1 - x) / (1 - y)),
        [(1e-12, 0.3), (0.3, 0.7), (0.3, 1e-15)],
    ),
    "log of a sum over a term": ("log((x + y)/x)", lambda x, y: mp.log((x + y) / x), [(1e-15, 1.0), (2.0, 3.0)]),
    "Student": ("y*log(1 + x**2/y)", lambda x, y: y * mp.log(1 + x**2 / y), STUDENT),
    "density of Student": ("(y + 1)/2*log(1 + x**2/y)", lambda x, y: (y + 1) / 2 * mp.log(1 + x**2 / y), STUDENT),
    "gamma and Poisson": ("x*log(1 + y/x)", lambda x, y: x * mp.log(1 + y / x), [(1e8, 2.0), (1e12, 2.0), (1e-3, 2.0)]),
    "Cauchy": ("log(1 + y*x**2)", lambda x, y: mp.log(1 + y * x**2), [(0.0, 3.0), (0.5, 1e-9), (-40.0, 2.0)]),
    "frailty": (
        "(x + 1/y)*log(1 + y*exp(z))",
        lambda x, y, z: (x + 1 / y) * mp.log(1 + y * mp.exp(z)),
        [(0.0, 1e-6, -800.0), (1.0, 0.5, -800.0), (1.0, 0.5, 0.0), (1.0, 2.0, 5.0), (0.0, 1e-6, 3.0)],
    ),
    "square before an exponential": (
        "log(1 + x**2*exp(y))",
        lambda x, y: mp.log(1 + x**2 * mp.exp(y)),
        [(0.0, 1.0), (0.3, -800.0), (0.3, 800.0)],
    ),
    "share of a hyperbolic sine": (
        "sinh(x)/(y + cosh(x))",
        lambda x, y: mp.sinh(x) / (y + mp.cosh(x)),
        [(-1000.0, 0.5), (720.0, 0.5), (1.3, 0.5), (0.0, 0.5)],
    ),
    "log of a hyperbolic sine and a number": (
        "log(y + sinh(x))", lambda x, y: mp.log(y + mp.sinh(x)), [(1000.0, 0.5), (720.0, 0.5), (1.3, 0.5), (0.0, 0.5)],
    ),
    "log of 1 and a hyperbolic sine": (
        "log(1 + sinh(x))", lambda x: mp.log(1 + mp.sinh(x)), [(1e-9,), (-0.5,), (1000.0,)],
    ),
    "power of Bose and Einstein's distribution": (
        "exp(3*x)/(y*(exp(x) - 1)**3)",
        lambda x, y: 1 / (y * (1 - mp.exp(-x)) ** 3),
        [(0.5, 2.0), (90.0, 2.0), (700.0, 2.0), (900.0, 2.0), (-200.0, 2.0)],
    ),
    "Clayton's copula": (
        "(x**(-z) + y**(-z) - 1)**(-1/z)",
        lambda x, y, z: (x ** (-z) + y ** (-z) - 1) ** (-1 / z),
        [(0.3, 0.7, 1e-10), (0.3, 0.7, 1e-5), (0.3, 0.7, 0.4), (0.3, 0.7, 3.0)],
    ),
    "density of Clayton's copula": (
        "log(1 + z) - (1 + z)*(log(x) + log(y)) - (2 + 1/z)*log(x**(-z) + y**(-z) - 1)",
        lambda x, y, z: (
            mp.log(1 + z) - (1 + z) * mp.log(x * y) - (2 + 1 / z) * mp.log(x ** (-z) + y ** (-z) - 1)
        ),
        [(0.3, 0.7, 0.1), (0.3, 0.7, 3.0)],
    ),
    "Frank's copula": (
        "-log(1 + (exp(-z*x) - 1)*(exp(-z*y) - 1)/(exp(-z) - 1))/z",
        lambda x, y, z: -mp.log(1 + mp.expm1(-z * x) * mp.expm1(-z * y) / mp.expm1(-z)) / z,
        [(0.3, 0.7, 1e-10), (0.3, 0.7, 1e-5), (0.3, 0.7, -0.4), (0.3, 0.7, 5.0)],
    ),
    "logarithm of a mean of exponentials": (
        "log((exp(z*x) + exp(z*y))/2)/z",
        lambda x, y, z: mp.log((mp.exp(z * x) + mp.exp(z * y)) / 2) / z,
        [(1.0, 2.0, 0.2), (1.0, 2.0, -3.0)],
    ),
    "annuity": ("(1 - (1 + x)**(-y))/x", lambda x, y: (1 - (1 + x) ** (-y)) / x, [(1e-9, 30.0), (0.05, 30.0)]),
    "rate a year": ("(1 + x/y)**y - 1", lambda x, y: (1 + x / y) ** y - 1, [(0.05, 12.0), (-0.9, 1.5)]),
    "none of several": ("1 - (1 - x)**y", lambda x, y: 1 - (1 - x) ** y, [(1e-12, 10.0), (1e-12, 1e12), (0.3, 2.5)]),
    "Yeo and Johnson below 0": (
        "-((1 - x)**(2 - y) - 1)/(2 - y)",
        lambda x, y: -((1 - x) ** (2 - y) - 1) / (2 - y),
        [(-0.5, 1.9999999999), (-2.0, 1.999), (-0.3, 0.5), (-1e-9, 1.5)],
    ),
    "Bernoulli's function": ("x/(exp(x) - 1)", lambda x: x / mp.expm1(x), [(1e-9,), (-0.3,), (3.0,), (-40.0,)]),
    "rate of a channel": (
        "(25 - x)/10/(exp((25 - x)/10) - 1)",
        lambda x: (25 - x) / 10 / mp.expm1((25 - x) / 10),
        [(25.0000001,), (24.0,), (-60.0,)],
    ),
    "current of Goldman": (
        "x*(y - z*exp(-x))/(1 - exp(-x))",
        lambda x, y, z: x * (y - z * mp.exp(-x)) / (1 - mp.exp(-x)),
        [(1e-9, 2.0, 3.0), (0.7, 2.0, 3.0), (-5.0, 2.0, 3.0)],
    ),
    "growth to a limit": (
        "x/(1 + (x - y)/y*exp(-z))",
        lambda x, y, z: x / (1 + (x - y) / y * mp.exp(-z)),
        [(10.0, 1.0, -200.0), (10.0, 1.0, 0.7), (10.0, 1.0, 40.0), (2.0, 3.0, 0.1)],
    ),
    "growth of Richards": (
        "x/(1 + exp(-z))**y",
        lambda x, y, z: x / (1 + mp.exp(-z)) ** y,
        [(2.0, 1.5, -1000.0), (2.0, 1.5, -600.0), (2.0, 0.3, -30.0), (2.0, -0.4, 0.7), (2.0, 1.5, 30.0)],
    ),
    "power of a probability": (
        "(1/(1 + exp(-x)))**y",
        lambda x, y: (1 / (1 + mp.exp(-x))) ** y,
        [(-1000.0, 2.5), (-700.0, 1.1), (-0.7, -2.5), (30.0, 4.0)],
    ),
    "a robot that turns": (
        "x/y*(sin(z + y/8) - sin(z))",
        lambda x, y, z: x / y * (mp.sin(z + y / 8) - mp.sin(z)),
        [(2.0, 1e-9, 0.7), (2.0, -1e-4, 0.7), (2.0, 0.5, 0.7), (2.0, 30.0, 0.7)],
    ),
    "a robot that turns, across": (
        "x/y*(cos(z) - cos(z + y/8))",
        lambda x, y, z: x / y * (mp.cos(z) - mp.cos(z + y / 8)),
        [(2.0, 1e-9, 0.7), (2.0, -1e-4, 0.7), (2.0, 0.5, 0.7), (2.0, 30.0, 0.7)],
    ),
    "fall with drag": (
        "(exp(-x*y) - 1 + x*y)*z/x**2",
        lambda x, y, z: (mp.exp(-x * y) - 1 + x * y) * z / x**2,
        [(1e-9, 0.3, 9.8), (1e-3, 0.3, 9.8), (2.0, 3.0, 9.8)],
    ),
    "damped oscillation": (
        "-exp(-z)*sin(x*y)/x", lambda x, y, z: -mp.exp(-z) * mp.sin(x * y) / x, [(1e-9, 0.3, 0.5), (2.0, 3.0, 0.5)],
    ),
    "quadratic drag": (
        "z*log(cosh(sqrt(x)*y))/x",
        lambda x, y, z: z * mp.log(mp.cosh(mp.sqrt(x) * y)) / x,
        [(1e-9, 0.3, 0.5), (2.0, 3.0, 0.5)],
    ),
    "roots that are near": (
        "sqrt(x + y) - sqrt(x)", lambda x, y: mp.sqrt(x + y) - mp.sqrt(x), [(1e16, 1.0), (1.0, 1e-12), (2.0, 3.0)],
    ),
    "root less its side": (
        "sqrt(x**2 + y) - x", lambda x, y: mp.sqrt(x**2 + y) - x, [(1e5, 1.0), (1e8, 2.0), (0.5, 2.0), (-3.0, 2.0)],
    ),
    "log of a sum over its larger term": (
        "log((x + y)/x)", lambda x, y: mp.log((x + y) / x), [(1e16, 1.0), (1.0, 1e-12), (1e-12, 1.0)],
    ),
    "angle": ("acos(1 - x)", lambda x: mp.acos(1 - x), [(1e-20,), (1e-9,), (0.5,), (1.7,)]),
}  # fmt: skip
POINTS = [pytest.param(name, point, id=f"{name} at {point}") for name, (*_, at) in FORMULAS.items() for point in at]


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("name", "point"), POINTS)
def test_value_gradient_and_hessian(name: str, point: tuple[float, ...]) -> None:
    text, function, _ = FORMULAS[name]
    names = "xyz"[: len(point)]
    declared = "".join(f"{each}: parameter\n" for each in names)
    model, given = gc.compile(gc.parse(f"{declared}loss = {text}")), dict(zip(names, point, strict=True))
    value, slopes, second = derivatives(lambda at: function(*at), list(point))
    found, gradient = model.value_and_grad(**given)
    assert found == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13, atol=1e-100)
    # of what is 1 - 1e-16, the slope of a tanh is that of 1; an entry that cancels is as good as the others
    largest = np.max(np.abs(second))
    np.testing.assert_allclose(
        np.array(model.hessian(**given), float), second, rtol=1e-11, atol=1e-15 * largest + 1e-100
    )


def test_logarithms_of_means_have_their_limits() -> None:
    """Where k is 0: the mean, with half of the variance as slope; the copula of what is independent."""
    text = "x: data[N]\ny: data[N]\nk: parameter\nloss = Sum(log((exp(k*x[n]) + exp(k*y[n]))/2)/k, n)"
    x, y = np.array([1.0, -2.0, 0.3]), np.array([2.0, 1.0, 0.3])
    model = gc.compile(gc.parse(text))
    for _ in range(2):
        value, (slope,) = model.value_and_grad(x=x, y=y, k=0.0)
        assert (value, slope) == pytest.approx((np.sum(x + y) / 2, np.sum((x - y) ** 2) / 8), rel=1e-15)
        model.wait()
    copula = gc.compile(gc.parse("x: parameter\ny: parameter\nk: parameter\nloss = (x**(-k) + y**(-k) - 1)**(-1/k)"))
    value, slopes = copula.value_and_grad(x=0.3, y=0.7, k=0.0)
    assert value == pytest.approx(0.21, rel=1e-15)
    assert slopes == pytest.approx((0.7, 0.3, 0.21 * np.log(0.3) * np.log(0.7)), rel=1e-14)


@pytest.mark.parametrize("text", ["(1 + x)**y - 1", "1 - (1 - x)**y"])
def test_a_base_below_0_keeps_its_whole_powers(text: str) -> None:
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nloss = {text}"))
    sign, x = (1, -3.0) if text.startswith("(") else (-1, 3.0)
    assert model.value(x=x, y=3.0) == sign * (-8.0 - 1)
    assert model.value(x=x, y=2.0) == sign * (4.0 - 1)
    assert model.grad(x=x, y=3.0)[0] == 12.0


@pytest.mark.parametrize("text", ["x*log(x/y)", "x*(log(x) - log(y))", "x*log(x/(2*y))"])
def test_hessian_of_the_relative_entropy_of_nothing(text: str) -> None:
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nloss = {text}"))
    assert model.hessian(x=0.0, y=0.25) == ((np.inf, -4.0), (-4.0, 0.0))


def test_slopes_of_the_logarithm_of_a_large_quotient() -> None:
    model = gc.compile(gc.parse("x: parameter\ny: parameter\nloss = log(y/x)"))
    assert model.grad(x=1e-200, y=1.0) == pytest.approx((-1e200, 1.0), rel=1e-15)


@pytest.mark.parametrize("k", [50.0, 500.0, -500.0])
def test_franks_copula_where_it_is_strong(k: float) -> None:
    """Nothing is left of 1 - exp(-k*x), but for what is below the last place of the value over k."""
    text, function, _ = FORMULAS["Frank's copula"]
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nz: parameter\nloss = {text}"))
    with mp.workdps(700):
        at, step = [mp.mpf(each) for each in (0.3, 0.7, k)], mp.mpf(10) ** -40
        moved = [[a + step * (j == n) for n, a in enumerate(at)] for j in range(3)]
        value, slopes = function(*at), [float((function(*each) - function(*at)) / step) for each in moved]
    found, gradient = model.value_and_grad(x=0.3, y=0.7, z=k)
    assert found == pytest.approx(float(value), rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-9, atol=1e-17)


def test_students_distribution_far_out() -> None:
    model = gc.compile(gc.parse("x: parameter\ny: parameter\nloss = y*log(1 + x**2/y)"))
    value, gradient = model.value_and_grad(x=1e200, y=3.0)
    assert value == pytest.approx(2759.8062747268505, rel=1e-14)
    assert gradient == pytest.approx((6e-200, 918.9354249089502), rel=1e-14)
