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
