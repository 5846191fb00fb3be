"""What is left of a limit in slopes, against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from sympy import exp, symbols

import gradcompile as gc

x, t, k, s = symbols("x t k s")


@pytest.mark.parametrize("at", [-700.0, -45.0, -20.0, 0.3, 18.0, 38.0, 700.0])
def test_the_slope_of_a_sigmoid_has_its_digits_on_both_sides(at: float) -> None:
    model = gc.compile(1 / (1 + exp(-x)), wrt=x)
    with mpmath.workdps(400):
        right = 1 / (2 + 2 * mpmath.cosh(mpmath.mpf(at)))
        assert abs(model.grad(x=at) - right) < 1e-14 * right


@pytest.mark.parametrize("at", [-700.0, -45.0, -20.0, -1e-9, 0.3])
def test_the_slope_of_what_an_exponential_is_above_1_is_the_exponential(at: float) -> None:
    model = gc.compile(3 * (exp(x) - 1), wrt=x)
    right = 3 * mpmath.exp(mpmath.mpf(at))
    assert abs(model.grad(x=at) - right) < 1e-14 * right


def test_arrays_of_them_have_the_same_digits() -> None:
    model = gc.parse("z: parameter[N]\nloss = Sum(sigmoid(z[n]) + 1 - exp(-z[n]**2), n)")
    at = np.array([-7.0, -3.0, 0.5, 6.0, 20.0])
    (slopes,) = gc.compile(model).grad(z=at)
    for found, z in zip(slopes, map(mpmath.mpf, at), strict=True):
        right = 1 / (2 + 2 * mpmath.cosh(z)) + 2 * z * mpmath.exp(-(z**2))
        assert abs(found - right) < 1e-14 * abs(right)


def test_the_density_of_weibull_is_the_slope_of_its_distribution() -> None:
    model = gc.compile(1 - exp(-((t / s) ** k)), wrt=t)
    found = model.grad(t=9.0, s=1.5, k=2.5)
    u = mpmath.mpf(9) / mpmath.mpf(1.5)
    right = mpmath.mpf(2.5) / 9 * u**2.5 * mpmath.exp(-(u**2.5))
    assert abs(found - right) < 1e-13 * right


def test_a_layer_keeps_what_it_has() -> None:
    model = gc.parse(
        "x: data[N, D]\nW: parameter[D, K]\nb: parameter[K]\n"
        "loss = Sum(sigmoid(Sum(x[s, j]*W[j, k], j) + b[k])**2, s, k)"
    )
    assert "sigmoid(-" not in gc.emit(model, target="numpy")


@pytest.mark.parametrize("z", [1e-18, 1e-9, 0.3])
def test_the_slope_of_a_power_near_1_in_its_exponent(z: float) -> None:
    model = gc.compile(gc.parse("k: parameter\nz: constant\nloss = (1 + z)**k"))
    right = (1 + mpmath.mpf(z)) ** 2.5 * mpmath.log1p(z)
    assert abs(model.grad(k=2.5, z=z)[0] - right) < 1e-14 * right
