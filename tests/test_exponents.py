"""Quotients with an exponential above and one below: both may underflow or overflow, while the quotient does not."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from tests.derivatives import derivatives

WEIGHT = "x: parameter\ny: parameter\nz: parameter\nloss = z*exp(-x)/(3*exp(-y)*(1 + z))"


@pytest.mark.parametrize("point", [(2.0, 1.0, 0.5), (800.0, 790.0, 0.5), (-1000.0, -995.0, 2.0)])
def test_weight_of_two_likelihoods(point: tuple[float, ...]) -> None:
    value, slopes, second = derivatives(lambda at: at[2] * mp.exp(at[1] - at[0]) / (3 * (1 + at[2])), list(point))
    model, given = gc.compile(gc.parse(WEIGHT)), dict(zip("xyz", point, strict=True))
    found, gradient = model.value_and_grad(**given)
    assert found == pytest.approx(value, rel=1e-15)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-14)
    np.testing.assert_allclose(np.array(model.hessian(**given), float), second, rtol=1e-14)


def test_weights_of_samples() -> None:
    text = "x: data[N]\nm: parameter\nk: parameter\nloss = Sum(m*exp(-(x[n] - m)**2/2)/(k*exp(-(x[n] - k)**2/2)), n)"
    x, m, k = np.array([-50.0, 0.5, 60.0]), 1.0, 1.25
    weights = m / k * np.exp(((x - k) ** 2 - (x - m) ** 2) / 2)
    model = gc.compile(gc.parse(text))
    for _ in range(2):
        value, (dm, dk) = model.value_and_grad(x=x, m=m, k=k)
        assert value == pytest.approx(np.sum(weights), rel=1e-13)
        assert (dm, dk) == pytest.approx(
            (np.sum(weights * (1 / m + x - m)), np.sum(weights * (k - x - 1 / k))), rel=1e-12
        )
        model.wait()


@pytest.mark.parametrize("rest", ["u", "v"])
def test_an_exponential_that_is_used_elsewhere_stays(rest: str) -> None:
    text = "x: data[N]\ny: data[N]\nw: parameter\nu[n] = exp(w*x[n])\nv[n] = exp(w*y[n])\n"
    text += f"loss = Sum(u[n]/(w*v[n]) + {rest}[n], n)"
    model = gc.compile(gc.parse(text))
    assert sum(value.op == "exp" for value in model.graph.order()) == 2


def test_a_table_of_quotients_has_no_exponential_for_each() -> None:
    text = "x: data[N]\ny: data[M]\nw: parameter\nloss = Sum(tanh(w*exp(w*x[n])/(3*exp(y[m]))), n, m)"
    model = gc.compile(gc.parse(text))
    assert all(len(value.axes) < 2 for value in model.graph.order() if value.op == "exp")
