"""Shares of a sum: slopes of saturating curves have their digits, however large what saturates is."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Expr, symbols

import gradcompile as gc
from gradcompile.lower import lower
from gradcompile.passes.saturations import saturations

V, K, S, N = symbols("v k s n")
CURVES: dict[str, Expr] = {
    "Michaelis and Menten": V * S / (K + S),
    "what is left of it": V * K / (K + S),
    "Hill": V * S**4 / (K**4 + S**4),
    "Hill with any power": V * S**N / (K**N + S**N),
    "Langmuir": V * K * S / (1 + K * S),
    "Haldane": V * S / (K + S + S**2 / N),
    "competitive inhibition": V * S / (K * (1 + V / N) + S),
    "minus": -S / (K - V + S),
    "two of them": V * S / (K + S) * N / (K + N) + S / (S + N),
}
POINTS = [1e-12, 1e-3, 0.7, 30.0, 1e4, 1e9, 1e15]


@pytest.mark.parametrize("name", CURVES)
def test_slopes_have_their_digits(name: str) -> None:
    form, at = CURVES[name], (V, K, S, N)
    model = gc.compile(form, wrt=at)
    slopes = [sympy.lambdify(at, form.diff(each), "mpmath") for each in at]
    for s in POINTS:
        point = (1.5, 0.3, s, 2.7)
        with mpmath.workdps(200):
            expected = [float(slope(*map(mpmath.mpf, point))) for slope in slopes]
        np.testing.assert_allclose(model.grad(**dict(zip("vksn", point, strict=True))), expected, rtol=2e-13)


def test_second_derivatives_have_their_digits() -> None:
    model = gc.compile(CURVES["Michaelis and Menten"], wrt=[K, S])
    for s in POINTS:
        (kk, ks), (sk, ss) = model.hessian(v=1.5, k=0.3, s=s)
        with mpmath.workdps(200):
            k, s_, v = mpmath.mpf(0.3), mpmath.mpf(s), mpmath.mpf(1.5)
            expected = [2 * v * s_ / (k + s_) ** 3, v * (s_ - k) / (k + s_) ** 3, -2 * v * k / (k + s_) ** 3]
        assert [kk, ks, ss] == pytest.approx([float(each) for each in expected], rel=1e-13)
        assert sk == pytest.approx(ks, rel=1e-14)


def test_slopes_have_their_digits_where_a_sum_has_a_common_factor() -> None:
    text = "s: parameter[N]\nv: parameter\nk: parameter\nloss = Sum(v*s[n]/(k + s[n]), n)"
    s, v, k = np.array(POINTS), 1.5, 0.3
    slope = gc.compile(gc.parse(text)).grad(s=s, v=v, k=k)[0]
    np.testing.assert_allclose(slope, v * k / (k + s) ** 2, rtol=1e-14)


def test_curves_of_data_are_divided_once_more_and_not_twice() -> None:
    text = "s: data[N]\nt: data[N]\nv: parameter\nk: parameter\nloss = Sum((v*s[n]/(k + s[n]) - t[n])**2, n)"
    model, s, t = gc.compile(gc.parse(text)), np.array([1e-3, 1.0, 1e9]), np.array([0.5, 0.25, 1.0])
    _, (dv, dk) = model.value_and_grad(v=1.5, k=0.3, s=s, t=t)
    residuals = 1.5 * s / (0.3 + s) - t
    assert dv == pytest.approx(2 * np.sum(residuals * s / (0.3 + s)), rel=1e-14)
    assert dk == pytest.approx(-2 * np.sum(residuals * 1.5 * s / (0.3 + s) ** 2), rel=1e-14)
    assert sum(value.op == "div" for value in model.graph.order()) == 2


@pytest.mark.parametrize("form", [V / (K + S), V * S / (K - S), 2 * V / (2 + S), (V + S) / (K + S)], ids=str)
def test_other_quotients_stay(form: Expr) -> None:
    graph = lower(gc.Model(form, wrt=[V]))
    assert saturations(graph).outputs == graph.outputs


def test_zero_over_a_positive_sum() -> None:
    assert gc.compile(V * S / (K + S), wrt=[V, K, S]).value_and_grad(v=2.0, k=0.5, s=0.0) == (0, (0, 0, 4))


def test_the_whole_of_a_sum_is_one() -> None:
    assert gc.compile(S / (K + S), wrt=[K, S]).value_and_grad(k=0.0, s=3.0) == (1, (-1 / 3, 0))


@pytest.mark.parametrize(("k", "s"), [(1e-3, 1e-3), (20.0, 20.5), (1e-3, 2e-3), (30.0, 7.0)])
def test_two_powers_that_both_overflow_or_vanish(k: float, s: float) -> None:
    model = gc.compile(CURVES["Hill with any power"], wrt=(V, K, S, N))
    with mpmath.workdps(50):
        p = (mpmath.mpf(s) / mpmath.mpf(k)) ** 300
        slope = 1.5 * p / (1 + p) ** 2
        expected = [p / (1 + p), -slope * 300 / k, slope * 300 / s, slope * mpmath.log(mpmath.mpf(s) / mpmath.mpf(k))]
    value, slopes = model.value_and_grad(v=1.5, k=k, s=s, n=300.0)
    assert value == pytest.approx(float(1.5 * p / (1 + p)), rel=1e-12)
    np.testing.assert_allclose(slopes, np.array(expected, float), rtol=1e-12)
