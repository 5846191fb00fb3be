"""Bounds of exponents in float32, which lie closer than those of float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from gradcompile.passes.precision import HIGHEST, SINGLE

TEXT = """
    t: data[N]
    y: data[N]
    k: parameter
    a: parameter
    r: parameter
    loss = Sum((y[n] - k/(1 + a*exp(-r*t[n])))**2, n)
"""
TIMES, SEEN = np.array([-400.0, -100.0, -88.0, 0.0, 50.0]), np.ones(5)
AT = {"k": 10.0, "a": 2.0, "r": 1.0, "t": TIMES, "y": SEEN}


def exact(k: Any, a: Any, r: Any) -> Any:
    return mp.fsum((1 - k / (1 + a * mp.exp(-r * t))) ** 2 for t in map(mp.mpf, TIMES))


def slopes() -> list[float]:
    with mp.workdps(60):
        return [float(mp.diff(exact, (10, 2, 1), tuple(int(k == n) for k in range(3)))) for n in range(3)]


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-13), ("float32", 1e-5)])
def test_growth_before_its_time_has_its_gradient_in_both_precisions(dtype: str, digits: float) -> None:
    model = gc.compile(gc.parse(TEXT), dtype=dtype)
    for _ in range(2):
        _, gradient = model.value_and_grad(**AT)
        np.testing.assert_allclose(gradient, slopes(), rtol=digits, atol=1e-16)
        assert np.isfinite(model.hessian(**AT)).all()
        model.wait()
    space: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(gc.emit(gc.parse(TEXT), target="numpy", dtype=dtype), dtype, "exec"), space)
    _, gradient = space["value_and_grad"](*(AT[name] for name in model.arguments))
    np.testing.assert_allclose(gradient, slopes(), rtol=digits, atol=1e-16)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_training_in_float32_goes_on_from_there(batch_size: int | None) -> None:
    model, start = gc.compile(gc.parse(TEXT), dtype="float32"), {"k": 1.5, "a": 2.0, "r": 1.0}
    result = model.fit(t=TIMES, y=SEEN, init=start, optimizer=gc.SGD(1e-3), epochs=2, batch_size=batch_size, seed=0)
    assert len(result.history) == 2
    assert all(np.isfinite(each) for each in result.params.values())


def test_a_bound_that_is_the_users_own_stays_one() -> None:
    text = f"x: data[N]\na: parameter\nloss = Sum(min(a*x[n], {int(HIGHEST)}), n)"
    model = gc.compile(gc.parse(text), dtype="float32")
    assert model.value(x=np.array([2.0 * SINGLE, 1e4]), a=1.0) == 2 * SINGLE + HIGHEST
