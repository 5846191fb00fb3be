"""Products of hyperbolic functions and exponentials, each of which overflows: what is damped, fins, filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import gradcompile as gc
from gradcompile.passes import prepare
from tests.derivatives import derivatives

Formula = tuple[str, Callable[..., Any], list[tuple[float, ...]]]
DAMPED = [
    (1.0, 1000.0, 0.9),
    (1.0, 1000.0, 1.0),
    (2.0, 710.0, 1.5),
    (0.3, 2.0, 0.7),
    (3.0, 20.0, 2.0),
    (3.0, 20.0, -2.0),
]
FORMULAS: dict[str, Formula] = {  # in its variables, with mpmath, and where
    "damped cosine": ("exp(-x*y)*cosh(z*y)", lambda x, y, z: mp.exp(-x * y) * mp.cosh(z * y), DAMPED),
    "damped sine": ("exp(-x*y)*sinh(z*y)/z", lambda x, y, z: mp.exp(-x * y) * mp.sinh(z * y) / z, DAMPED),
    "overdamped": (
        "exp(-x*y)*(cosh(z*y) + x/z*sinh(z*y))",
        lambda x, y, z: mp.exp(-x * y) * (mp.cosh(z * y) + x / z * mp.sinh(z * y)),
        DAMPED,
    ),
    "fin": (
        "cosh(x*(y - z))/cosh(x*y)",
        lambda x, y, z: mp.cosh(x * (y - z)) / mp.cosh(x * y),
        [(2.0, 1e3, 0.5), (400.0, 37.0, 0.5), (2.0, 1.0, 0.3), (3.0, 40.0, 39.0), (3.0, 40.0, 85.0)],
    ),
    "fin with a tip": (
        "(cosh(x*(y - z)) + z*sinh(x*(y - z)))/(cosh(x*y) + z*sinh(x*y))",
        lambda x, y, z: (
            (mp.cosh(x * (y - z)) + z * mp.sinh(x * (y - z))) / (mp.cosh(x * y) + z * mp.sinh(x * y))
        ),
        [(2.0, 1e3, 0.5), (400.0, 37.0, 0.5), (2.0, 1.0, 0.3), (20.0, 2.0, 0.5)],
    ),
    "ratio of sines": (
        "sinh(x*y)/sinh(y)",
        lambda x, y: mp.sinh(x * y) / mp.sinh(y),
        [(0.5, -1e5), (0.5, 3.0), (0.9, 1e4), (0.5, 80.0)],
    ),
    "one over a sum": (
        "z/(cosh(x) + y*sinh(x))",
        lambda x, y, z: z / (mp.cosh(x) + y * mp.sinh(x)),
        [(500.0, 0.5, 2.0), (1000.0, 0.5, 2.0), (1.0, 0.3, 2.0)],
    ),
    "two of them": (
        "sinh(x)*cosh(y)*exp(-z)",
        lambda x, y, z: mp.sinh(x) * mp.cosh(y) * mp.exp(-z),
        [(3.0, 2.0, 1.0), (500.0, 600.0, 1090.0), (-500.0, 600.0, 1090.0)],
    ),
}  # fmt: skip
POINTS = [pytest.param(name, at, id=f"{name} at {at}") for name, (_, _, points) in FORMULAS.items() for at in points]


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_value_gradient_and_hessian(name: str, point: tuple[float, ...]) -> None:
    text, function, _ = FORMULAS[name]
    names = "xyz"[: len(point)]
    model = gc.compile(gc.parse("".join(f"{each}: parameter\n" for each in names) + f"loss = {text}"))
    with mp.workdps(1200):
        value, slopes, second = derivatives(lambda at: function(*at), list(point))
    given = dict(zip(names, point, strict=True))
    found, gradient = model.value_and_grad(**given)
    assert found == pytest.approx(value, rel=1e-12)  # an exponent of thousands has as many digits less
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-14 * np.max(np.abs(slopes)) + 1e-300)
    rounding = 1e-9 * abs(value)  # of sums of squares of arguments up to 1000
    hessian = np.array(model.hessian(**given), float)
    np.testing.assert_allclose(hessian, second, rtol=1e-10, atol=rounding + 1e-300)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_loops(dtype: str) -> None:
    t, w = np.array([0.5, 20.0, 40.0, 100.0, 500.0]), 1.0
    text = "t: data[N]\ng: parameter\nw: parameter\nloss = Sum(exp(-g*t[n])*cosh(w*t[n]), n)"
    model = gc.compile(gc.parse(text), dtype=dtype)
    expected = (
        np.sum((1 + np.exp(-2 * t)) / 2),
        -np.sum(t * (1 + np.exp(-2 * t)) / 2),
        np.sum(t * -np.expm1(-2 * t) / 2),
    )
    for _ in range(2):
        value, (dg, dw) = model.value_and_grad(t=t, g=w, w=w)
        np.testing.assert_allclose([value, dg, dw], expected, rtol=1e-14 if dtype == "float64" else 1e-5)
        model.wait()


@pytest.mark.parametrize("text", ["exp(-x**2)/cosh(y)", "cosh(x)*y", "exp(x)*exp(-y)", "sinh(x)/cosh(x)*exp(-y)"])
def test_what_does_not_overflow_with_another_stays(text: str) -> None:
    graph = prepare(gc.compile(gc.parse(f"x: parameter\ny: parameter\nloss = {text}")).lowered)
    assert not any(value.op == "gt" for value in graph.order())
