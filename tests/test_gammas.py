"""Differences of log gammas keep their digits where the arguments are large, and so do their first two derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile.passes import prepare
from tests.derivatives import Point, derivatives

log_gamma, psi = mp.loggamma, mp.digamma
COUNTS = [0.0, 1.0, 3.0, 7.0, 20.0]
SHARES = [0.1, 0.25, 0.5, 0.7, 0.9]
TRIALS = 25.0


def negative_binomial(w: Point) -> Any:
    return sum(log_gamma(y + w[0]) - log_gamma(w[0]) - log_gamma(y + 1) for y in map(mpf, COUNTS))


def beta_binomial(w: Point) -> Any:
    p, size = 1 / (1 + mp.exp(-w[0])), mp.exp(w[1])
    a, b, total = p * size, (1 - p) * size, mpf(0)
    for k in map(mpf, COUNTS):
        total += log_gamma(k + a) + log_gamma(TRIALS - k + b) - log_gamma(TRIALS + size)
        total -= log_gamma(a) + log_gamma(b) - log_gamma(size)
    return total


def polya(w: Point) -> Any:
    own = [log_gamma(y + a) - log_gamma(a) for a in w for y in map(mpf, COUNTS)]
    return log_gamma(sum(w)) - log_gamma(sum(w) + sum(COUNTS)) + sum(own)


def student(w: Point) -> Any:
    return len(COUNTS) * (log_gamma((w[0] + 1) / 2) - log_gamma(w[0] / 2) - mp.log(w[0] / 2) / 2)


def beta(w: Point) -> Any:
    a, b = w
    logs = [(a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) for x in map(mpf, SHARES)]
    return len(SHARES) * (log_gamma(a) + log_gamma(b) - log_gamma(a + b)) - sum(logs)


def expected_log(w: Point) -> Any:
    return sum(x * (psi(w[0]) - psi(w[0] + w[1])) + (psi(w[1]) - psi(w[0] + w[1])) for x in map(mpf, SHARES))


MODELS: dict[str, tuple[str, Callable[[Point], Any], list[str], list[list[float]]]] = {
    "negative binomial": (
        "y: data[N]\nr: parameter\nloss = Sum(lgamma(y[n] + r) - lgamma(y[n] + 1) - lgamma(r), n)",
        negative_binomial,
        ["r"],
        [[2.5], [1e3], [1e6], [1e10]],
    ),
    "beta-binomial": (
        "y: data[N]\nu: parameter\nv: parameter\np = sigmoid(u)\nphi = exp(v)\n"
        "loss = Sum(lgamma(y[n] + p*phi) + lgamma(25 - y[n] + (1 - p)*phi) - lgamma(25 + phi)"
        " + lgamma(phi) - lgamma(p*phi) - lgamma((1 - p)*phi), n)",
        beta_binomial,
        ["u", "v"],
        [[0.5, 1.0], [0.5, 10.0], [-1.5, 18.0]],
    ),
    "Dirichlet-multinomial": (
        "y: data[N]\na: parameter\nb: parameter\nloss = lgamma(a + b) - lgamma(a + b + Sum(y[n], n))"
        " + Sum(lgamma(y[n] + a) - lgamma(a) + lgamma(y[n] + b) - lgamma(b), n)",
        polya,
        ["a", "b"],
        [[0.5, 2.0], [1e5, 3e4], [1e9, 2e8]],
    ),
    "Student": (
        "y: data[N]\nr: parameter\nloss = Sum(lgamma((r + 1)/2) - lgamma(r/2) - log(r/2)/2 + 0*y[n], n)",
        student,
        ["r"],
        [[3.0], [1e3]],
    ),
    "beta": (
        "y: data[N]\na: parameter\nb: parameter\n"
        "loss = Sum(lgamma(a) - lgamma(a + b) + lgamma(b) - (a - 1)*log(y[n]) - (b - 1)*log(1 - y[n]), n)",
        beta,
        ["a", "b"],
        [[2.0, 3.5], [1.5, 1e9], [1e9, 1.5], [1e-3, 1e5]],
    ),
    "expectation of a logarithm": (
        "y: data[N]\na: parameter\nb: parameter\n"
        "loss = Sum(y[n]*(digamma(a) - digamma(a + b)) + digamma(b) - digamma(a + b), n)",
        expected_log,
        ["a", "b"],
        [[2.0, 3.5], [1e9, 1.5], [30.0, 1e7]],
    ),
}
PLACES = [pytest.param(name, w, id=f"{name} at {w[0]:g}") for name, (_, _, _, ws) in MODELS.items() for w in ws]


def data(name: str) -> np.ndarray:
    return np.array(SHARES if "parameter\nb" in MODELS[name][0] and "multinomial" not in name else COUNTS)


@pytest.mark.one_in(23)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("name", "point"), PLACES)
def test_digits_of_value_gradient_and_hessian(name: str, point: list[float], compiled: bool) -> None:
    text, function, names, _ = MODELS[name]
    value, slopes, second = derivatives(function, point)
    model, given = gc.compile(gc.parse(text)), {**dict(zip(names, point, strict=True)), "y": data(name)}
    model.value_and_grad(**given)
    if compiled:
        model.wait()
    found, gradient = model.value_and_grad(**given)
    np.testing.assert_allclose(found, value, rtol=1e-13, atol=1e-12)  # terms of some hundreds are added up
    scale = np.max(np.abs(slopes))
    np.testing.assert_allclose(np.atleast_1d(gradient), slopes, rtol=2e-12, atol=1e-14 * scale)
    hessian = np.array(model.hessian(**given), float).reshape(second.shape)
    np.testing.assert_allclose(hessian, second, rtol=1e-10, atol=1e-13 * np.max(np.abs(second)))


@pytest.mark.parametrize("compiled", [False, True])
def test_digits_of_float32(compiled: bool) -> None:
    text = "y: data[N]\nr: parameter[N]\nloss = Sum(lgamma(y[n] + r[n]) - lgamma(r[n]), n)"
    single = gc.compile(gc.parse(text), dtype="float32")
    r, y = np.array([0.3, 5.0, 1e3, 1e7, 1e12], np.float32), np.array(COUNTS, np.float32)[::-1].copy()
    single.value_and_grad(r=r, y=y)
    if compiled:
        single.wait()
    value, (gradient,) = single.value_and_grad(r=r, y=y)
    pairs = [(mpf(float(a)), mpf(float(b))) for a, b in zip(r, y, strict=True)]
    with mp.workdps(60):
        assert value == pytest.approx(float(sum(log_gamma(a + b) - log_gamma(a) for a, b in pairs)), rel=1e-6)
        np.testing.assert_allclose(gradient, [float(psi(a + b) - psi(a)) for a, b in pairs], rtol=1e-5)


def operations(text: str) -> list[str]:
    order = prepare(gc.compile(gc.parse("y: data[N]\nz: data[N]\na: parameter\nb: parameter\n" + text)).lowered).order()
    return sorted(value.op for value in order if "gamma" in value.op or value.op == "lbeta")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("lgamma(y[n] + a) - lgamma(a)", ["lgamma", "lgammagap"]),
        ("2*lgamma(a) - 2*lgamma(a + y[n])", ["lgamma", "lgammagap"]),
        ("lgamma(3*a/2 + 1) - lgamma((3*a - 1)/2)", ["lgamma", "lgammagap"]),
        ("lgamma(a*(1 + b)) - lgamma(a)", ["lgamma", "lgammagap"]),
        ("digamma(a) - digamma(a + b)", ["digamma", "digammagap"]),
        ("lgamma(a) - lgamma(a + b) + lgamma(b)", ["lbeta"]),
        ("lgamma(a + b) - y[n] - lgamma(a) - lgamma(b)", ["lbeta"]),
        # two log betas of parameters would cancel: each function is paired with the one that differs by data
        ("lgamma(a) + lgamma(b) - lgamma(a + b) - lgamma(a + y[n]) - lgamma(b + z[n]) + lgamma(a + b + y[n] + z[n])",
         ["lgamma", "lgamma", "lgamma", "lgammagap", "lgammagap", "lgammagap"]),
        ("lgamma(a + 1) - lgamma(b + 1)", ["lgamma", "lgamma"]),
        ("2*lgamma(y[n] + a) - lgamma(a)", ["lgamma", "lgamma"]),
        ("lgamma(y[n] + a) + lgamma(a)", ["lgamma", "lgamma"]),
        ("lgamma(y[n] + a) - digamma(a)", ["digamma", "lgamma"]),
    ],
)  # fmt: skip
def test_which_functions_are_paired(terms: str, expected: list[str]) -> None:
    assert operations(f"loss = Sum({terms}, n, 0, N - 1)") == expected


def test_negative_arguments_are_as_they_were() -> None:
    model = gc.compile(gc.parse("y: data[N]\na: parameter\nloss = Sum(lgamma(y[n] + a) - lgamma(a), n)"))
    given = {"y": np.array([0.25, 3.0]), "a": -1.5}
    for _ in range(2):
        value, (slope,) = model.value_and_grad(**given)
        exact = [float(sum(mp.re(f(y - 1.5) - f(mpf(-1.5))) for y in (0.25, 3))) for f in (log_gamma, psi)]
        assert (value, slope) == pytest.approx(exact, rel=1e-13)
        model.wait()
