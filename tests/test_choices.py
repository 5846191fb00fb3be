"""Choices of functions: one function of a choice, as right as the functions were."""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.ir import Graph
from tests.texts import exact_answer

DATA = "x: data[N]\nc: data[N]\na: parameter\n"
# The objective, and how many functions of each kind there are for its samples.
MODELS = {
    "one": ("where(c[n] > 0, exp(a*x[n]), exp(-a))", {"exp": 2}),  # the second is one number for all samples
    "both": ("where(c[n] > 0, exp(a*x[n]), exp(a - x[n]))", {"exp": 1}),
    "terms": ("where(c[n] > 0, log(2 + sin(a*x[n])), a*x[n] + log(3 + a*x[n]**2))", {"log": 1, "sin": 1}),
    "nested": ("where(c[n] > 1, erf(a*x[n]), where(c[n] < -1, erf(a - x[n]), a**2*x[n]))", {"erf": 1}),
    "further": ("where(c[n] > 0, x[n]*a - (2 - exp(a*x[n])), a**2 + exp(a - x[n]) - x[n])", {"exp": 1}),
    "other": ("where(c[n] > 0, tanh(a*x[n]), sin(a - x[n]))", {"tanh": 1, "sin": 1}),
    "shared": ("where(c[n] > 0, tanh(a*x[n]), tanh(a - x[n])) + x[n]*tanh(a*x[n])", {"tanh": 2}),
}
INPUTS = {"x": np.array([0.3, -1.2, 2.0, 0.7, -0.4]), "c": np.array([1.5, -2.0, 0.5, -0.5, 2.0]), "a": np.array(0.6)}


def lowered(objective: str) -> tuple[gc.CompiledModel, str]:
    text = f"{DATA}loss = Sum({objective}, n)\n"
    return gc.compile(gc.parse(text)), text


def functions(graph: Graph) -> dict[str, int]:
    """Return how many functions the value is made of, by name."""
    order = [value.op for value in graph.order([graph.outputs["value"]])]
    return {op: order.count(op) for op in ("exp", "log", "sin", "erf", "tanh") if op in order}


@pytest.mark.parametrize("name", MODELS)
def test_functions_of_choices_are_computed_once_and_are_right(name: str) -> None:
    objective, expected = MODELS[name]
    model, text = lowered(objective)
    assert functions(model.graph) == expected
    right, (slope,) = exact_answer(text, INPUTS)
    value, (gradient,) = model.value_and_grad(**INPUTS)
    assert value == pytest.approx(right, rel=1e-14)
    assert gradient == pytest.approx(float(slope), rel=1e-13)


def test_a_branch_that_is_not_taken_may_be_no_number() -> None:
    model, _ = lowered("where(c[n] > 0, log(a*x[n]), log(-x[n]/a**3 - 1))")
    x = np.array([2.0, -1.0, 0.5])
    model.value_and_grad(x=x, c=x, a=0.5)
    model.wait()
    value, (slope,) = model.value_and_grad(x=x, c=x, a=0.5)
    assert value == pytest.approx(np.log(1.0) + np.log(7.0) + np.log(0.25))
    assert slope == pytest.approx(2 / 0.5 - 3 * 8 / 0.5 / 7)


def test_a_triangle_bounds_its_loops() -> None:
    text = """
        x: data[N]
        w: parameter[K]
        v: parameter[K]
        loss = Sum(where(i < j, exp(w[i]*x[n]), exp(v[j]*x[n])), i, j, n)
    """
    assert functions(gc.compile(gc.parse(text)).graph)["exp"] == 2
