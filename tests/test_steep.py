"""Limits of curves and densities where a power, or an exponential, is infinite: their slopes are 0 there, not nan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from tests.derivatives import derivatives

Formula = tuple[str, Callable[..., Any]]
FORMULAS: dict[str, Formula] = {  # in x, y and z, with mpmath
    "survival of Weibull": ("exp(-(x/y)**z)", lambda x, y, z: mp.exp(-((x / y) ** z))),
    "distribution of Weibull": ("1 - exp(-(x/y)**z)", lambda x, y, z: -mp.expm1(-((x / y) ** z))),
    "density of Weibull": (
        "z/y*(x/y)**(z - 1)*exp(-(x/y)**z)",
        lambda x, y, z: z / y * (x / y) ** (z - 1) * mp.exp(-((x / y) ** z)),
    ),
    "density of Frechet": (
        "z/y*(x/y)**(-1 - z)*exp(-(x/y)**(-z))",
        lambda x, y, z: z / y * (x / y) ** (-1 - z) * mp.exp(-((x / y) ** (-z))),
    ),
    "dose and response": ("3 - 2/(1 + (x/y)**z)", lambda x, y, z: 3 - 2 / (1 + (x / y) ** z)),
    "the other way round": ("1/(1 + (x/y)**(-z))", lambda x, y, z: 1 / (1 + (x / y) ** (-z))),
    "share of a power": ("x**z/(y + x**z)", lambda x, y, z: x**z / (y + x**z)),
    "Hill": ("x**z/(y**z + x**z)", lambda x, y, z: 1 / (1 + (y / x) ** z)),
    "density of Gompertz": (
        "y*exp(x*z)*exp(-y*exp(x*z))", lambda x, y, z: y * mp.exp(x * z) * mp.exp(-y * mp.exp(x * z)),
    ),
    "survival of Gompertz": (
        "exp(-y/z*(exp(x*z) - 1))", lambda x, y, z: mp.exp(-y / z * mp.expm1(x * z)),
    ),
    "a number of deaths": ("exp(-y*(exp(x*z) - 1))", lambda x, y, z: mp.exp(-y * mp.expm1(x * z))),
    "the same as one exponential": (
        "y*exp(x*z - y*exp(x*z))", lambda x, y, z: y * mp.exp(x * z - y * mp.exp(x * z)),
    ),
}  # fmt: skip
LARGE: dict[str, Formula] = {  # where a power is all of a sum of which there is a power, or a logarithm
    "Dagum": ("(1 + (x/y)**(-z))**(-y)", lambda x, y, z: (1 + (x / y) ** (-z)) ** (-y)),
    "Burr": ("1 - (1 + x**z)**(-1/y)", lambda x, y, z: 1 - (1 + x**z) ** (-1 / y)),
    "a root": ("sqrt(3 + y*x**z)", lambda x, y, z: mp.sqrt(3 + y * x**z)),
    "density of the logarithm of a logistic number": (
        "z/y*(x/y)**(z - 1)/(1 + (x/y)**z)**2", lambda x, y, z: z / y * (x / y) ** (z - 1) / (1 + (x / y) ** z) ** 2,
    ),
    "density of Burr": (
        "z*x**(z - 1)*(1 + x**z)**(-1/y - 1)/y", lambda x, y, z: z * x ** (z - 1) * (1 + x**z) ** (-1 / y - 1) / y,
    ),
    "growth of Richards": ("(1 + y*exp(x*z))**(-1/y)", lambda x, y, z: (1 + y * mp.exp(x * z)) ** (-1 / y)),
}  # fmt: skip
PLACES = [(2.5, 2.0, 1.5), (25.0, 2.0, 306.0), (40.0, 2.0, 300.0), (0.5, 20.0, 250.0), (900.0, 30.0, 2.0)]
POINTS = [pytest.param(name, at, id=f"{name} at {at}") for name in FORMULAS for at in PLACES]


def model_of(text: str, names: str) -> Any:
    return gc.compile(gc.parse("".join(f"{name}: parameter\n" for name in names) + f"loss = {text}"))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "point"), POINTS)
def test_value_gradient_and_hessian(name: str, point: tuple[float, ...]) -> None:
    text, function = FORMULAS[name]
    value, slopes, second = derivatives(lambda at: function(*at), list(point))
    model, given = model_of(text, "xyz"), dict(zip("xyz", point, strict=True))
    found, gradient = model.value_and_grad(**given)
    assert found == pytest.approx(value, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(np.array(model.hessian(**given), float), second, rtol=1e-9, atol=1e-290)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("point", [(2.5, 2.0, 1.5), (1e4, 50.0, 30.0), (3.0, 900.0, 350.0), (9.0, 200.0, 700.0)])
def test_a_power_that_is_all_of_a_sum(name: str, point: tuple[float, ...]) -> None:
    text, function = LARGE[name]
    value, slopes, _ = derivatives(lambda at: function(*at), list(point))
    found, gradient = model_of(text, "xyz").value_and_grad(**dict(zip("xyz", point, strict=True)))
    assert found == pytest.approx(value, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(("text", "limit"), [("x**2/(1 + x**2)", 1.0), ("3*x**4/(x**4 + 2)", 3.0)])
def test_share_of_a_square_that_overflows(text: str, limit: float) -> None:
    model = model_of(text, "x")
    for x in (1e160, -1e200, 1e300):
        assert model.value_and_grad(x=x) == (limit, (0.0,))
    value, (slope,) = model.value_and_grad(x=1.0)
    assert (value, slope) == (pytest.approx(0.5 if limit == 1 else 1.0), pytest.approx(0.5 if limit == 1 else 8 / 3))


@pytest.mark.parametrize("point", [(1.0, 2.0, 1.5), (0.5, 14388.0, 5000.0), (0.1, 14388.0, 20.0)])
def test_plancks_law(point: tuple[float, ...]) -> None:
    value, slopes, _ = derivatives(lambda at: 2 * at[1] / (at[0] ** 5 * mp.expm1(at[1] / (at[0] * at[2]))), list(point))
    model = model_of("2*y/(x**5*(exp(y/(x*z)) - 1))", "xyz")
    found, gradient = model.value_and_grad(**dict(zip("xyz", point, strict=True)))
    assert found == pytest.approx(value, rel=1e-14, abs=1e-300)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-14, atol=1e-300)


def test_slopes_of_what_is_divided_by_an_exponential_do_not_overflow() -> None:
    """They are not divided by it once more."""
    model = model_of("z/exp(-x**y)", "xyz")
    point = [4.5, 4.1875, 1e40]
    value, slopes, _ = derivatives(lambda at: at[2] * mp.exp(at[0] ** at[1]), point)
    found, gradient = model.value_and_grad(**dict(zip("xyz", point, strict=True)))
    assert found == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11)


@pytest.mark.parametrize("name", FORMULAS)
def test_nan_is_never_hidden(name: str) -> None:
    model, point = model_of(FORMULAS[name][0], "xyz"), {"x": 1.5, "y": 2.5, "z": 3.5}
    for bad in "xyz":
        assert math.isnan(model.value(**{**point, bad: math.nan}))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_loops(dtype: str) -> None:
    """A curve of doses over eight decades, in float32, too."""
    dose = np.array([1e-4, 1e-2, 1.0, 3.0, 1e2, 1e4])
    text = "d: data[N]\ny: data[N]\na: parameter\nk: parameter\nloss = Sum((1/(1 + (d[n]/a)**k) - y[n])**2, n)"
    model, given = gc.compile(gc.parse(text), dtype=dtype), {"d": dose, "y": np.linspace(1, 0, 6), "a": 1.5, "k": 128.0}

    def loss(at: list[Any]) -> Any:
        return sum((1 / (1 + (mp.mpf(d) / at[0]) ** at[1]) - y) ** 2 for d, y in zip(dose, given["y"], strict=True))

    value, slopes, _ = derivatives(loss, [1.5, 128.0])
    for _ in range(2):
        found, gradient = model.value_and_grad(**given)
        assert found == pytest.approx(value, rel=1e-13 if dtype == "float64" else 1e-5)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-12 if dtype == "float64" else 1e-4)
        model.wait()


def test_float32_where_the_slope_inside_overflows_before_the_value_does() -> None:
    text = "x: parameter[N]\na: parameter\nloss = Sum(exp(-(exp(a*x[n]) - 1)/(100*a)), n)"
    (dx, da) = gc.compile(gc.parse(text), dtype="float32").grad(x=np.array([43.9, 44.2, 44.5]), a=2.0)
    np.testing.assert_array_equal(dx, 0)
    assert da == 0
