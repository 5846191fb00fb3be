"""Powers of what is near 1, with a large exponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from tests.derivatives import derivatives

FORMULAS: dict[str, tuple[str, Callable[..., Any]]] = {
    "rational quadratic kernel": (
        "(1 + (x - 1)**2/(2*n*y**2))**(-n)", lambda x, y, n: (1 + (x - 1) ** 2 / (2 * n * y**2)) ** (-n),
    ),
    "interest": ("x*(1 + y/n)**(3*n*x)", lambda x, y, n: x * (1 + y / n) ** (3 * n * x)),
    "heavy tails": ("(1 + x**2/n)**(-(n + 1)/2)*y", lambda x, y, n: (1 + x**2 / n) ** (-(n + 1) / 2) * y),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("n", [0.7, 12.0, 1e6, 1e12])
def test_value_and_slopes(name: str, n: float) -> None:
    text, function = FORMULAS[name]
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nn: parameter\nloss = {text}"))
    value, slopes, _ = derivatives(lambda at: function(*at), [0.4, 0.6, n])
    found, gradient = model.value_and_grad(x=0.4, y=0.6, n=n)
    assert found == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11)


def test_arrays_of_a_positive_order() -> None:
    text = "r: data[N]\nl: parameter\nloss = Sum((1 + r[i]**2/exp(l))**(-exp(l)), i)"
    value, (slope,) = gc.compile(gc.parse(text)).value_and_grad(r=np.array([0.3, 1.5]), l=25.0)
    right, (exact,), _ = derivatives(
        lambda at: sum((1 + mp.mpf(r) ** 2 * mp.exp(-at[0])) ** (-mp.exp(at[0])) for r in (0.3, 1.5)), [25.0]
    )
    assert value == pytest.approx(right, rel=1e-14)
    assert slope == pytest.approx(exact, rel=1e-12)


def test_whole_powers_of_negative_numbers_remain() -> None:
    model = gc.compile(gc.parse("x: parameter\nn: constant\nloss = (1 - x/n)**n"))
    value, (slope,) = model.value_and_grad(x=5.0, n=3.0)
    assert (value, slope) == pytest.approx((-8 / 27, -4 / 9), rel=1e-15)
