"""Norms of any order: the gradient is 0 at the origin, and that of mpmath elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc

NORMS = {
    "Sum(abs(x[i])**3, i)**(1/3)": 3,
    "Sum(abs(x[i])**1.5, i)**(1/1.5)": 1.5,
    "Sum(x[i]**4/7, i)**(1/4)": 4,
    "Sum(abs(x[i])**p, i)**(1/p)": 3,
    "(abs(x[0])**3 + 2*abs(x[1])**3)**(1/3)": 3,
}


def exact(text: str, x: list[float]) -> np.ndarray:
    """Return the gradient at 50 digits."""
    order = mp.mpf(NORMS[text])
    weights = [mp.mpf(1), mp.mpf(2)] if "2*" in text else [1 / mp.mpf(7)] * 2 if "/7" in text else [mp.mpf(1)] * 2

    def norm(*u: Any) -> Any:
        return sum(w * abs(each) ** order for w, each in zip(weights, u, strict=True)) ** (1 / order)

    with mp.workdps(50):
        return np.array([float(mp.diff(norm, x, n)) for n in ((1, 0), (0, 1))])


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("text", NORMS)
def test_norms_of_any_order(text: str, dtype: str) -> None:
    order = "p: constant\n" if "p," in text else ""
    parsed = gc.parse(f"x: parameter[N]\n{order}loss = {text}")
    model, more = gc.compile(parsed, dtype=dtype), {"p": 3.0} if order else {}
    space: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(gc.emit(parsed, target="numpy", dtype=dtype), text, "exec"), space)
    for _ in range(2):
        for x in ([3.0, -4.0], [-1e-3, 2e-3]):
            for gradient in (
                model.grad(x=np.array(x), **more),
                space["value_and_grad"](np.array(x), *more.values())[1],
            ):
                np.testing.assert_allclose(
                    np.ravel(gradient), exact(text, x), rtol=1e-5 if dtype == "float32" else 1e-14
                )
        np.testing.assert_array_equal(model.grad(x=np.zeros(2), **more), [np.zeros(2)])
        np.testing.assert_array_equal(np.ravel(model.hessian(x=np.zeros(2), **more)), np.zeros(4))
        model.wait()


def test_a_root_with_another_order_stays_honest() -> None:
    model = gc.compile(gc.parse("x: parameter[N]\nloss = Sum(x[i]**2, i)**(1/4)"))
    assert not np.isfinite(model.grad(x=np.zeros(2))).any()


def test_distances_of_order_3_between_equal_points() -> None:
    text = "x: parameter[N, D]\nloss = Sum(Sum(abs(x[i, d] - x[j, d])**3, d)**(1/3), i, j)"
    model, x = gc.compile(gc.parse(text)), np.array([[1.0, 2.0], [3.0, -1.0]])
    u = x[0] - x[1]
    slope = 2 * np.sign(u) * u**2 * np.sum(np.abs(u) ** 3) ** (-2 / 3)
    np.testing.assert_allclose(model.grad(x=x)[0], [slope, -slope], rtol=1e-14)
