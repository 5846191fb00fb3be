"""Sums over lags: they run forwards, and what is computed of a lagged series is computed once."""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.passes.forwards import forwards
from tests.texts import arrays_for, assert_right, gradient_of

SIZES = {"T": 11, "P": 3, "Q": 2, "H": 6, "W": 7, "N": 2, "S": 5}

AUTOREGRESSION = """
y: data[T]
a: parameter[P]
e[t] = y[t + P] - Sum(a[k]*y[t + P - 1 - k], k, 0, P - 1)
loss = Sum(e[t]**2, t)
"""
INPUTS = """
y: data[T]
u: data[T]
a: parameter[P]
b: parameter[P]
s: parameter
e[t] = y[t + P] - Sum(a[k]*y[t + P - 1 - k] + b[k]*tanh(u[t + P - 1 - k]*exp(s)), k, 0, P - 1)
loss = Sum(e[t]**2, t)
"""
DECAY = """
y: data[T]
c: parameter
m: parameter[T]
loss = Sum((y[t] - Sum(exp(-c*k)*m[t - k], k, 0, t))**2, t) + Sum(m[t + 3 - k]*m[t]*k, t, 0, T - 4, k, 0, 3)
"""
PLANE = """
x: data[N, H, W]
w: parameter[P, Q]
h[n, i, j] = Sum(w[a, b]*x[n, i + P - 1 - a, j + Q - 1 - b], a, 0, P - 1, b, 0, Q - 1)
loss = Sum(log(1 + exp(h[n, i, j])), n, i, j)
"""
BOTH_WAYS = """
y: data[T]
a: parameter[P]
loss = Sum(Sum(a[k]*(y[t + P - 1 - k] + y[t + k]), k, 0, P - 1)**2, t)
"""
LARGEST = """
y: data[T]
a: parameter[P]
loss = Sum(Max(a[k] - y[t + P - 1 - k], k, 0, P - 1)**2, t)
"""
MODELS = {
    name.lower(): text
    for name, text in globals().items()
    if name in ("AUTOREGRESSION", "INPUTS", "DECAY", "PLANE", "BOTH_WAYS", "LARGEST")
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_right_at_50_digits(name: str) -> None:
    text = MODELS[name]
    arrays = arrays_for(text, SIZES, seed=2)
    model = gc.compile(gc.parse(text))
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(text, arrays, model.value_and_grad(**arrays))


def test_what_is_computed_of_a_lagged_series_is_computed_once() -> None:
    gradient = gradient_of(INPUTS)
    assert gradient.count("vtanh(") == 1
    assert gradient.index("vtanh(") < gradient.index("for k in")


@pytest.mark.parametrize("text", [AUTOREGRESSION, PLANE])
def test_lags_are_read_forwards_and_their_weights_backwards(text: str) -> None:
    gradient = gradient_of(text)
    assert "P - 1 - " in gradient
    assert "+ P - 1 - " not in gradient


def test_samples_of_an_autoregression_of_any_order_are_taken_in_blocks() -> None:
    """Of series of a million numbers, nothing is kept that is as long."""
    assert "for first in range(0, T - P, T1):" in gradient_of(AUTOREGRESSION)


def test_a_series_that_is_read_both_ways_stays_as_it_is() -> None:
    graph = gc.compile(gc.parse(BOTH_WAYS)).graph
    assert forwards(graph) is graph


def test_a_series_as_long_as_the_lags_has_a_gradient() -> None:
    model = gc.compile(gc.parse(AUTOREGRESSION))
    value, [slope] = model.value_and_grad(y=np.arange(4.0), a=np.array([0.5, 0.25, 1.0]))
    assert value == (3 - (0.5 * 2 + 0.25 * 1 + 0)) ** 2
    np.testing.assert_array_equal(slope, -2 * 1.75 * np.array([2.0, 1.0, 0.0]))
