"""Norms and means of an order that is no number, whose powers overflow or are all 0."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from tests.derivatives import derivatives

POINTS = [(1e8, 3e8, 50.0), (1e-9, 3e-9, 60.0), (2.0, 3.0, 1.5), (3e-9, 1e-9, -60.0), (0.0, 3.0, 200.0)]
WEIGHTED = "(0.3*x**r + 0.7*y**r)**(1/r)"
INVERSE = "x/(2*x**(-r) + y**(-r)/5)**(1/r)"


@pytest.mark.parametrize("point", POINTS)
def test_norm_of_two(point: tuple[float, ...]) -> None:
    model = gc.compile(gc.parse("x: parameter\ny: parameter\nr: parameter\nloss = (abs(x)**r + abs(y)**r)**(1/r)"))
    value, slopes, _ = derivatives(lambda at: (abs(at[0]) ** at[2] + abs(at[1]) ** at[2]) ** (1 / at[2]), list(point))
    found, gradient = model.value_and_grad(**dict(zip("xyr", point, strict=True)))
    assert found == pytest.approx(value, rel=1e-13)
    if point[0]:
        np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("point", POINTS[:4])
def test_means_of_two(point: tuple[float, ...]) -> None:
    for text, function in (
        (WEIGHTED, lambda x, y, r: (mpf(0.3) * x**r + mpf(0.7) * y**r) ** (1 / r)),
        (INVERSE, lambda x, y, r: x / (2 * x ** (-r) + y ** (-r) / 5) ** (1 / r)),
    ):
        model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nr: parameter\nloss = {text}"))
        value, slopes, _ = derivatives(lambda at, function=function: function(*at), list(point))
        found, gradient = model.value_and_grad(**dict(zip("xyr", point, strict=True)))
        assert found == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_norm_of_many(dtype: str) -> None:
    text = "s: parameter[N]\nv: data[N]\np: parameter\nloss = Sum(v[e]*s[e]**p, e)**(1/p)"
    s, v, p = [1e8, 3e8, 2.9e8, 0.0], [1.0, 2.0, 1.5, 0.2], 50.0
    value, (ds, dp) = gc.compile(gc.parse(text), dtype=dtype).value_and_grad(s=np.array(s), v=np.array(v), p=p)
    with mp.workdps(50):
        powers = [mpf(weight) * mpf(size) ** p for weight, size in zip(v, s, strict=True)]
        total = sum(powers)
        right = total ** (1 / mpf(p))
        slopes = [right / total * power / size if size else 0 for power, size in zip(powers, s, strict=True)]
        weighted = sum(power * mp.log(size) for power, size in zip(powers, s, strict=True) if size)
        slope = right * (weighted / total - mp.log(total) / p) / p
    precision = 1e-13 if dtype == "float64" else 1e-5
    assert value == pytest.approx(float(right), rel=precision)
    np.testing.assert_allclose(ds, np.array(slopes, float), rtol=10 * precision, atol=1e-30)
    assert dp == pytest.approx(float(slope), rel=100 * precision)
