"""Quotients such as log(1 + k*z)/k keep the digits of value and derivatives for small k, and have their limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile.passes import prepare
from tests.derivatives import Point, derivatives

POSITIVE = [0.05, 0.3, 0.9, 1.4, 2.5, 6.0]
REAL = [-1.5, -0.3, 0.2, 0.8, 1.7, 3.1]


def extreme(w: Point) -> Any:
    k, m, s = w
    steps = [mp.log1p(k * (x - m) / mp.exp(s)) / k for x in map(mpf, REAL)]
    return sum(s + (1 + k) * t + mp.exp(-t) for t in steps)


def pareto(w: Point) -> Any:
    return sum(w[1] + (1 + 1 / w[0]) * mp.log1p(w[0] * x / mp.exp(w[1])) for x in map(mpf, POSITIVE))


def box_cox(w: Point) -> Any:
    return sum((mp.expm1(w[0] * mp.log(x)) / w[0] - w[1]) ** 2 for x in map(mpf, POSITIVE))


def saturating(w: Point) -> Any:
    return sum(w[1] * -mp.expm1(-w[0] * x) / w[0] for x in map(mpf, POSITIVE))


def reverting(w: Point) -> Any:
    k, m, s = w
    variance = mp.exp(2 * s) * -mp.expm1(-2 * k * POSITIVE[0]) / (2 * k)
    return sum((x - m * mp.exp(-k * POSITIVE[0])) ** 2 / variance + mp.log(variance) for x in map(mpf, POSITIVE))


def frailty(w: Point) -> Any:
    return sum((1 + mp.exp(-w[0])) * mp.log1p(mp.exp(w[0] + w[1]) * x) for x in map(mpf, POSITIVE))


Z = "k*(x[n] - m)/exp(s)"
MODELS: dict[str, tuple[str, Callable[[Point], Any], str, list[float], list[float]]] = {
    "extreme values": (
        f"t[n] = log(1 + {Z})/k\nSum(s + (1 + k)*t[n] + exp(-t[n]), n)", extreme, "kms", [0.5, 0.3], REAL),
    "extreme values by a power": (
        f"z[n] = 1 + {Z}\nSum(s + (1 + 1/k)*log(z[n]) + z[n]**(-1/k), n)", extreme, "kms", [0.5, 0.3], REAL),
    "Pareto": ("Sum(s + (1 + 1/k)*log(1 + k*x[n]/exp(s)), n)", pareto, "ks", [0.5], POSITIVE),
    "Pareto density": (
        "-Sum(log(1/exp(s)*(1 + k*x[n]/exp(s))**(-1/k - 1)), n)", pareto, "ks", [0.5], POSITIVE),
    "Box-Cox": ("Sum(((x[n]**k - 1)/k - m)**2, n)", box_cox, "km", [0.3], POSITIVE),
    "reverting to a mean": (
        "v = exp(2*s)*(1 - exp(-2*k*x[0]))\nSum(2*k*(x[n] - m*exp(-k*x[0]))**2/v + log(v/(2*k)), n)",
        reverting, "kms", [0.5, 0.2], POSITIVE),
    "saturation": ("Sum(m*(1 - exp(-k*x[n]))/k, n)", saturating, "km", [0.3], POSITIVE),
}  # fmt: skip
SMALL = (0.3, 1e-3, 1e-5, -1e-8, 1e-12)
PLACES = [pytest.param(name, k, id=f"{name} at {k:g}") for name in MODELS for k in SMALL]


def model(text: str, names: str, dtype: str = "float64") -> Any:
    *lines, last = text.split("\n")
    declared = ["x: data[N]", *(f"{name}: parameter" for name in names)]
    return gc.compile(gc.parse("\n".join([*declared, *lines, "loss = " + last])), dtype=dtype)


@pytest.mark.one_in(13)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("name", "k"), PLACES)
def test_digits_of_value_gradient_and_hessian(name: str, k: float, compiled: bool) -> None:
    text, function, names, rest, data = MODELS[name]
    value, slopes, second = derivatives(function, [k, *rest])
    made, given = model(text, names), {**dict(zip(names, [k, *rest], strict=True)), "x": np.array(data)}
    made.value_and_grad(**given)
    if compiled:
        made.wait()
    found, gradient = made.value_and_grad(**given)
    assert found == pytest.approx(value, rel=2e-15)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13, atol=1e-14 * np.max(np.abs(slopes)))
    hessian = np.array(made.hessian(**given), float).reshape(second.shape)
    np.testing.assert_allclose(hessian, second, rtol=2e-12, atol=1e-13 * np.max(np.abs(second)))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "Pareto density"])
def test_limits_at_0(name: str) -> None:
    text, function, names, rest, data = MODELS[name]
    value, slopes, _ = derivatives(function, [1e-30, *rest])
    made, given = model(text, names), {**dict(zip(names, [0.0, *rest], strict=True)), "x": np.array(data)}
    for _ in range(2):
        found, gradient = made.value_and_grad(**given)
        assert found == pytest.approx(value, rel=1e-15)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-14)
        made.wait()


@pytest.mark.parametrize("name", list(MODELS))
def test_digits_of_float32(name: str) -> None:
    text, function, names, rest, data = MODELS[name]
    point = [float(np.float32(each)) for each in (1e-6, *rest)]
    value, slopes, _ = derivatives(function, point)
    made = model(text, names, "float32")
    given = {**dict(zip(names, point, strict=True)), "x": np.array(data, np.float32)}
    for _ in range(2):
        found, gradient = made.value_and_grad(**given)
        assert found == pytest.approx(value, rel=1e-6)
        np.testing.assert_allclose(gradient, slopes, rtol=5e-6)
        made.wait()


@pytest.mark.parametrize(("q", "a"), [(-20.0, 0.3), (-40.0, 2.0), (-70.0, 60.0), (400.0, 400.0), (-3.0, -900.0)])
def test_exponentials_by_which_is_divided(q: float, a: float) -> None:
    value, slopes, _ = derivatives(frailty, [q, a])
    made = model("Sum((1 + exp(-q))*log(1 + exp(q)*x[n]*exp(a)), n)", "qa")
    for _ in range(2):
        found, gradient = made.value_and_grad(q=q, a=a, x=np.array(POSITIVE))
        assert found == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-15 * np.max(np.abs(slopes)))
        made.wait()


def test_what_is_not_small_is_as_it_is_written() -> None:
    made = model("Sum(s + (1 + 1/k)*log(1 + k*x[n]/exp(s)), n)", "ks")
    for s in (-900.0, 2.0):
        value, slopes, _ = derivatives(pareto, [0.3, s])
        found, gradient = made.value_and_grad(k=0.3, s=s, x=np.array(POSITIVE))
        assert found == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-13)
    even = model("Sum((1 + k*x[n])**(-1/k), n)", "k")  # a whole power of a negative number
    assert even.value(k=-0.5, x=np.array([1.0, 5.0])) == pytest.approx(0.5**2 + (-1.5) ** 2)
    roots = model("Sum((x[n]**k - 1)/k, n)", "k")
    assert roots.value(k=2.0, x=np.array([0.0, -3.0])) == pytest.approx(-0.5 + 4.0)


def operations(text: str) -> list[str]:
    order = prepare(model(text, "kms").lowered).order()
    return sorted(value.op for value in order if value.op.endswith(("over", "m1div")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sum(log(1 + k*x[n])/k, n)", ["log1pover"]),
        ("Sum(log(1 - k*x[n])*(m/k), n)", ["log1pover"]),
        ("Sum(log(1 + (k*x[n] - k*m)/s)/(2*k), n)", ["log1pover"]),
        ("Sum((m + 3/k - s/k)*log(1 + k*x[n]), n)", ["log1pover"]),
        ("Sum((1 + m*k*x[n])**(-s/k), n)", ["log1pover"]),
        ("Sum((1 + 1/k)*log(1 + k*x[n]**2/s), n)", ["log1pover"]),
        ("Sum((1 + 1/k)*log(1 + k*x[n]**2/exp(s)), n)", ["log1pover"]),
        ("Sum((exp(k*x[n]) - 1)/k, n)", ["expm1div"]),
        ("Sum(log(1 + exp(k)*x[n])/exp(k), n)", ["log1pover"]),
        ("Sum(log(1 + k*x[n])/m, n)", []),
        ("Sum(log(1 + x[n])/2 + (1 + x[n])**k, n)", []),
        ("Sum((m + k)*log(1 + k*x[n]), n)", []),
    ],
)
def test_which_quotients_are_rewritten(text: str, expected: list[str]) -> None:
    assert operations(text) == expected


@pytest.mark.parametrize("k", [0.0, 1e-9, -0.4, 2.5, 30.0])
@pytest.mark.parametrize("z", [1e-9, 0.7, 20.0])
def test_a_discount_over_its_rate_has_the_digits_of_its_slope(k: float, z: float) -> None:
    bond = gc.compile(gc.parse("k: parameter\nz: parameter\nloss = (1 - exp(-k*z))/k"))
    value, (in_k, in_z) = bond.value_and_grad(k=k, z=z)
    with mp.workdps(60):
        rate, time = mp.mpf(k), mp.mpf(z)
        exact = -mp.expm1(-rate * time) / rate if k else time
        slope = (time * mp.exp(-rate * time) - exact) / rate if k else -(time**2) / 2
    assert value == pytest.approx(float(exact), rel=1e-15)
    assert in_z == pytest.approx(math.exp(-k * z), rel=1e-13)
    assert in_k == pytest.approx(float(slope), rel=1e-13)


def test_the_hazard_of_gompertz_has_one_form() -> None:
    text = gc.emit(gc.parse("a: parameter\nb: parameter\nt: parameter\nloss = a/b*(exp(b*t) - 1)"), target="python")
    body = text[text.index("def value_and_grad") : text.index("def grad(")]
    assert "expm1over(0, b*t)" in body
    assert " if " not in body


def test_sums_inside_one_another_are_looked_at_for_a_while() -> None:
    """Of those who are healthy after each step of an epidemic, the terms are twice as many with each step."""
    text = "x: data[N]\nw: parameter\ns0[n] = x[n] + 0*w\ni0[n] = w*x[n]\n"
    for k in range(30):
        text += f"d{k}[n] = s{k}[n]*(1 - exp(-i{k}[n]))\ns{k + 1}[n] = s{k}[n] - d{k}[n]\n"
        text += f"i{k + 1}[n] = i{k}[n]/2 + d{k}[n]\n"
    model = gc.compile(gc.parse(text + "loss = Sum(d29[n], n)"))
    x, w = np.array([0.01, 0.3, 2.0]), 0.7
    with mp.workdps(30):

        def last(w: Any) -> Any:
            healthy, ill, new = list(map(mpf, x)), [w * each for each in map(mpf, x)], [mpf(0)] * 3
            for _ in range(30):
                new = [-s * mp.expm1(-i) for s, i in zip(healthy, ill, strict=True)]
                healthy = [s - d for s, d in zip(healthy, new, strict=True)]
                ill = [i / 2 + d for i, d in zip(ill, new, strict=True)]
            return mp.fsum(new)

        exact, slope = float(last(mpf(w))), float(mp.diff(last, mpf(w)))
    value, (gradient,) = model.value_and_grad(x=x, w=w)
    assert value == pytest.approx(exact, rel=1e-11)
    assert gradient == pytest.approx(slope, rel=1e-11)
