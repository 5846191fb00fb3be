"""`fit` against a plain NumPy loop of the same steps on the same rows, and what it does when something is wrong."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, Lambda, Sum, Symbol, exp, log, sqrt, symbols

from gradcompile import shuffle
from gradcompile.compiler import compile
from gradcompile.errors import (
    ArgumentError,
    DataError,
    GradcompileError,
    LabelError,
    MinibatchError,
    ShapeError,
    UnknownNameError,
)
from gradcompile.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp

N, D, C, A, B, K = symbols("N D C A B K", integer=True, positive=True)
s, j, i, k, c = symbols("s j i k c", integer=True)
x, t, w = IndexedBase("x", shape=(N, D)), IndexedBase("t", shape=(N,)), IndexedBase("w", shape=(D,))
b, lam = symbols("b lam")
SAMPLES, FEATURES = 23, 3

GUESS = Sum(x[s, j] * w[j], (j, 0, D - 1)) + b
RIDGE = Sum((GUESS - t[s]) ** 2, (s, 0, N - 1)) + lam * Sum(w[j] ** 2, (j, 0, D - 1))
OUTPUTS = {"guess": Lambda((s,), GUESS)}


def ridge(dtype="float64"):
    return compile(RIDGE, wrt=[w, b], outputs=OUTPUTS, dtype=dtype)


@pytest.fixture(scope="module")
def model():
    return ridge()


def data(samples=SAMPLES, seed=0):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(samples, FEATURES))
    targets = inputs @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * random.normal(size=samples)
    return {"x": inputs, "t": targets, "lam": 0.8}


START = {"w": np.array([0.1, 0.2, -0.3]), "b": 0.05}


def gradient(inputs, p, rows, count):
    """The estimate of objective and gradient per sample, by hand."""
    xs, residual = inputs["x"][rows], inputs["x"][rows] @ p["w"] + p["b"] - inputs["t"][rows]
    value = np.mean(residual**2) + inputs["lam"] * np.sum(p["w"] ** 2) / count
    dw = 2 * residual @ xs / len(rows) + 2 * inputs["lam"] * p["w"] / count
    return value, {"w": dw, "b": 2 * np.mean(residual)}


def plain_loop(inputs, step, epochs, size, seed=0):
    """Train in NumPy: `step(t, name, parameter, gradient)` returns the new parameter."""
    p, count, number, history = dict(START), len(inputs["t"]), 0, []
    for epoch in range(1, epochs + 1):
        order, total = shuffle.order(seed, epoch, np.arange(count)), 0.0
        for first in range(0, count, size):
            rows = order[first : first + size]
            value, grads = gradient(inputs, p, rows, count)
            total, number = total + value * len(rows), number + 1
            p = {name: step(number, name, p[name], grads[name]) for name in p}
        history.append(total / count)
    return p, history


def sgd(rate):
    return lambda number, name, p, g: p - rate(number) * g


def with_momentum(rate, mu, nesterov=False):
    velocity = {"w": 0.0, "b": 0.0}

    def step(number, name, p, g):
        velocity[name] = mu * velocity[name] + g
        return p - rate * (g + mu * velocity[name] if nesterov else velocity[name])

    return step


def adam(rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    mean, square = {"w": 0.0, "b": 0.0}, {"w": 0.0, "b": 0.0}

    def step(number, name, p, g):
        mean[name] = b1 * mean[name] + (1 - b1) * g
        square[name] = b2 * square[name] + (1 - b2) * g**2
        unbiased = mean[name] / (1 - b1**number), square[name] / (1 - b2**number)
        return p - rate * decay * p - rate * unbiased[0] / (np.sqrt(unbiased[1]) + eps)

    return step


def scaled(rate, eps, rho=None):
    square = {"w": 0.0, "b": 0.0}

    def step(number, name, p, g):
        square[name] = square[name] + g**2 if rho is None else rho * square[name] + (1 - rho) * g**2
        return p - rate * g / (np.sqrt(square[name]) + eps)

    return step


T = Symbol("t")
CASES = {
    "sgd": (SGD(0.05), sgd(lambda t: 0.05)),
    "momentum": (SGD(0.02, momentum=0.9), with_momentum(0.02, 0.9)),
    "nesterov": (SGD(0.02, momentum=0.8, nesterov=True), with_momentum(0.02, 0.8, nesterov=True)),
    "adam": (Adam(0.01), adam(0.01)),
    "adamw": (AdamW(0.01, decay=0.1), adam(0.01, decay=0.1)),
    "rmsprop": (RMSProp(0.01), scaled(0.01, 1e-8, 0.99)),
    "adagrad": (AdaGrad(0.1), scaled(0.1, 1e-10)),
    "decaying rate": (SGD(0.1 / (1 + T / 10)), sgd(lambda t: 0.1 / (1 + t / 10))),
    "cosine": (SGD(0.05 * (1 + sympy.cos(sympy.pi * T / 50))), sgd(lambda t: 0.05 * (1 + math.cos(math.pi * t / 50)))),
    "warm-up": (SGD(0.05 * sympy.Min(1, T / 8)), sgd(lambda t: 0.05 * min(1, t / 8))),
    "rate of all states": (Adam(0.01 * sympy.Rational(9, 10) ** T), None),
}


@pytest.mark.parametrize("size", [5, 1, 22])
@pytest.mark.parametrize(("optimizer", "step"), [v for v in CASES.values() if v[1]], ids=[k for k in CASES if CASES[k][1]])
def test_fit_is_the_plain_loop(model, optimizer, step, size):
    if size != 5 and optimizer.rule.name != "SGD":
        pytest.skip("one batch size is enough")
    if size != 5:  # the hand-written rules keep state: make sure that it is fresh
        optimizer, step = SGD(0.03), sgd(lambda t: 0.03)
    inputs = data()
    expected, history = plain_loop(inputs, step, 4, size)
    result = model.fit(**inputs, init=START, optimizer=optimizer, epochs=4, batch_size=size, seed=0, progress=False)
    np.testing.assert_allclose(result.params["w"], expected["w"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.params["b"], expected["b"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.history, history, rtol=1e-12)
    assert result.stopped == "finished"
