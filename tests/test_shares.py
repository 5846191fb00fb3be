"""Logarithms of shares of a sum keep their digits where the share is near to 1, and in sums that cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile.passes import prepare

COUNTS = [0.0, 1.0, 3.0, 7.0]
HEAD = "y: data[N]\nr: parameter\nm: parameter\n"
LOGS = "lgamma(y[n] + r) - lgamma(r) - lgamma(y[n] + 1)"


def negative_binomial(r: Any, m: Any) -> Any:
    own = [mp.loggamma(y + r) - mp.loggamma(r) - mp.loggamma(y + 1) for y in map(mpf, COUNTS)]
    return sum(own) + sum(r * mp.log(r / (r + m)) + y * mp.log(m / (r + m)) for y in map(mpf, COUNTS))


FORMS: dict[str, tuple[str, Callable[[Any, Any], Any], float]] = {
    "shares": (f"Sum({LOGS} + r*log(r/(r + m)) + y[n]*log(m/(r + m)), n)", negative_binomial, 1e-13),
    "a sum": (f"Sum({LOGS} + r*log(r) + y[n]*log(m) - (r + y[n])*log(r + m), n)", negative_binomial, 1e-13),
    "of exponentials": (
        "Sum(exp(r)*log(exp(r)) + y[n]*log(m) - (exp(r) + y[n])*log(exp(r) + m), n)",
        lambda r, m: sum(
            mp.exp(r) * r + y * mp.log(m) - (mp.exp(r) + y) * mp.log(mp.exp(r) + m) for y in map(mpf, COUNTS)
        ),
        1e-13,
    ),
    "one share": ("log(r/(r + m)) + 0*Sum(y[n], n)", lambda r, m: mp.log(r / (r + m)), 1e-15),
    "of an exponential": ("log(exp(r)/(exp(r) + m)) + 0*Sum(y[n], n)", lambda r, m: -mp.log1p(m * mp.exp(-r)), 1e-15),
    "beside one": ("log(r/(r + exp(m))) + 0*Sum(y[n], n)", lambda r, m: -mp.log1p(mp.exp(m) / r), 1e-15),
    "entropy": ("r*log(r/(r + m)) + m*log(m/(r + m)) + 0*Sum(y[n], n)",
                lambda r, m: r * mp.log(r / (r + m)) + m * mp.log(m / (r + m)), 1e-15),
}  # fmt: skip
POINTS = {"of exponentials": [(0.5, 2.0), (30.0, 2.0)], "of an exponential": [(0.5, 2.0), (30.0, 2.0), (-800.0, 2.0)],
          "beside one": [(2.0, 0.5), (2.0, -30.0), (2.0, 900.0)]}  # fmt: skip


@pytest.mark.one_in(2)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_digits(name: str, compiled: bool) -> None:
    text, function, off = FORMS[name]
    model = gc.compile(gc.parse(f"{HEAD}loss = {text}"))
    for r, m in POINTS.get(name, [(2.0, 3.0), (1e5, 3.0), (1e9, 3.0), (1e12, 50.0)]):
        with mp.workdps(600):
            value, step = function(mpf(r), mpf(m)), mpf(10) ** -100
            slopes = [
                (function(r + a * step, m + b * step) - function(r - a * step, m - b * step)) / (2 * step)
                for a, b in ((1, 0), (0, 1))
            ]
        given = {"y": np.array(COUNTS), "r": r, "m": m}
        model.value_and_grad(**given)
        if compiled:
            model.wait()
        found, gradient = model.value_and_grad(**given)
        np.testing.assert_allclose(found, float(value), rtol=1e-14, atol=off if abs(value) > 1e-8 else 0)
        # that of a likelihood with respect to r is a sum of terms of this size, of which 1/r is left
        terms = 1e-14 * max(m, 1) / max(r, 1)
        np.testing.assert_allclose(gradient, [float(s) for s in slopes], rtol=1e-13, atol=terms)


def test_of_nothing() -> None:
    model = gc.compile(gc.parse("r: parameter\nm: parameter\nloss = r*log(r/(r + m))"))
    for _ in range(2):
        value, (of_r, of_m) = model.value_and_grad(r=0.0, m=2.0)
        assert (value, of_r, of_m) == (0.0, -np.inf, 0.0)
    text = gc.emit(gc.parse("r: parameter\nm: parameter\nloss = r*log(r/(r + m))"), target="python")
    space: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(text, "emitted", "exec"), space)
    assert space["value"](0.0, 2.0) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log(r/(r + m))", ["log1p"]),
        ("r*log(r/(r + m))", ["xlog1pdiv"]),
        ("log(r) - log(r + m)", ["log1p"]),
        ("log(exp(r)/(1 + exp(r)))", ["softplus"]),
        ("log(exp(r)/(exp(r) + exp(m)))", ["softplus"]),
        ("log(1/(1 + r))", ["log1p"]),
        ("2*log(r) - log(r + m)", ["log", "log"]),
        ("log(m) - log(r + 1)", ["log", "log1p"]),
        ("log(r) + log(r + m)", ["log", "log"]),
    ],
)
def test_which_logarithms_are_rewritten(text: str, expected: list[str]) -> None:
    order = prepare(gc.compile(gc.parse(f"r: parameter\nm: parameter\nloss = {text}")).lowered).order()
    assert sorted(v.op for v in order if "log" in v.op or v.op == "softplus") == expected
