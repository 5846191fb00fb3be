"""Divisions by an exponential that its own slope takes back."""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc
from tests.texts import exact_answer

MODEL = """
x: data[N]
t: data[N]
w: parameter
k: parameter
m[n] = exp(w*x[n])
loss = Sum({}, n)
"""
# The objective, and how many quotients by the mean value and gradient have.
OBJECTIVES = {
    "deviance": ("(t[n] - m[n])/m[n] - log(t[n]/m[n])", 1),
    "relative": ("(t[n]/m[n] - k)**2", 1),
    "squares": ("(t[n] - k*m[n])**2/m[n]", 1),
    "inside": ("tanh(k*t[n]/m[n])", 2),  # with the slope by k
    "parts": ("where(t[n] > 1, k*t[n]/m[n] + k*w, m[n])", 2),  # with t[n]/m[n], the slope by k
    "factor": ("k*m[n]*t[n]", 0),
}
INPUTS = {"x": np.array([0.3, -1.2, 2.0]), "t": np.array([0.4, 1.3, 2.2]), "w": np.array(0.7), "k": np.array(1.4)}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_slope_of_a_mean_does_not_divide_by_it_again(name: str) -> None:
    objective, quotients = OBJECTIVES[name]
    text = MODEL.format(objective)
    model = gc.compile(gc.parse(text))
    divided = [v for v in model.graph.order() if v.op == "div" and v.operands[1].op == "exp" and v.axes]
    assert len(divided) == quotients
    right, slopes = exact_answer(text, INPUTS)
    value, gradients = model.value_and_grad(**INPUTS)
    assert value == pytest.approx(right, rel=1e-14)
    np.testing.assert_allclose(gradients, [float(slope) for slope in slopes], rtol=1e-13)


def test_a_mean_that_overflows_leaves_a_slope() -> None:
    """Of ``(t/m - 1)**2`` it is 0 then; divided by infinity and multiplied with it, it was none."""
    model = gc.compile(gc.parse(MODEL.format("(t[n]/m[n] - k)**2")))
    value, gradients = model.value_and_grad(x=np.array([800.0]), t=np.array([2.0]), w=1.0, k=1.0)
    assert value == 1
    np.testing.assert_array_equal(gradients, [0.0, 2.0])


HALVES = """
x: data[N, D]
y: data[N]
w: parameter[D]
s: parameter
m[n] = Sum(x[n, j]*w[j], j)
loss = {}
"""
# The objective, and what its emitted slopes have no more.
NUMBERS = {
    "divergence": ("Sum(m[n]**2 + exp(2*m[n]) - 2*m[n] - 1, n)/2", "2*("),
    "length": ("Sum(y[n]*sqrt(Sum((x[n, j] - w[j])**2, j)), n)", "2*"),
    "root": ("sqrt(Sum((y[n] - m[n])**2, n)/N)", "2*"),
    "beside": ("Sum((m[n] + s/2)**2, n)", "/2)"),
    "case": ("Sum(where(y[n] > 0, m[n]/2, m[n]**2)**2, n)", "/2)"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_slopes_are_not_halved_and_doubled(name: str) -> None:
    objective, gone = NUMBERS[name]
    text = HALVES.format(objective)
    emitted = gc.emit(gc.parse(text), target="numpy")
    backward = emitted[emitted.index("# backward") : emitted.index("def grad(")]
    assert gone not in backward, backward
    point = {"x": np.array([[0.3, -1.2], [2.0, 0.4], [0.1, 0.5]]), "y": np.array([0.4, 1.3, -2.2])}
    point |= {"w": np.array([0.7, -0.2]), "s": np.array(0.3)}
    used = {name: value for name, value in point.items() if name in gc.compile(gc.parse(text)).arguments}
    right, slopes = exact_answer(text, used)
    value, gradients = gc.compile(gc.parse(text)).value_and_grad(**used)
    assert value == pytest.approx(right, rel=1e-13)
    for found, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(found, np.array(slope, float), rtol=1e-12)
