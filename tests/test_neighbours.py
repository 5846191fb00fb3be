"""Models in which what is computed once is read in several places: of neighbours, of rivals, of times before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from tests.oracle import Problem, exact
from tests.zoo import load_uncompiled

RANKING = """
    x: data[N, L, D]
    r: data[N, L]
    W: parameter[D, H]
    v: parameter[H]
    s[n, i] = Sum(tanh(Sum(x[n, i, d]*W[d, k], d))*v[k], k)
    loss    = Sum(where(r[n, i] > r[n, j], log(1 + exp(s[n, j] - s[n, i])), 0), n, i, j)
"""
MODELS = {"ranking": RANKING}
FEW = {"N": 2, "D": 2, "H": 2, "K": 2, "L": 2, "T": 11}
MANY = {"N": 300, "D": 4, "H": 5, "K": 3, "L": 6, "T": 17}


def drawn(text: str, sizes: dict[str, int]) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a model, its data and its parameters."""
    random = np.random.default_rng(0)
    data, parameters = {}, {}
    for name, role, axes in re.findall(r"(\w+): +(\w+)\[(.*)\]", text):
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes.split(", ")]
        array = random.integers(0, sizes["N"], shape) if role == "labels" else random.normal(size=shape) / 2
        (parameters if role == "parameter" else data)[name] = array
    return gc.compile(gc.parse(text)), data, parameters


def gradient_of(text: str) -> str:
    """Return the text of the function that gives value and gradient."""
    source = gc.compile(gc.parse(text)).source
    return source[source.index("def value_and_grad(") : source.index("def grad(")]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_right_at_50_digits(name: str, tmp_path: Path) -> None:
    model, data, parameters = drawn(MODELS[name], FEW)
    text = gc.parse(MODELS[name])
    value, gradients = exact(Problem(text.objective, text.wrt, data | parameters, define=text.definitions)).floats()
    loops = load_uncompiled(model.source, tmp_path / "loops.py")
    found, own = loops.value_and_grad(*((data | parameters)[name] for name in model.arguments))
    assert found == pytest.approx(value, rel=1e-13)
    for parameter, gradient in zip(parameters, own, strict=True):
        np.testing.assert_allclose(gradient, gradients[parameter], rtol=1e-11, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_agrees_with_the_graph(name: str) -> None:
    model, data, parameters = drawn(MODELS[name], MANY)
    right = evaluate(lower(gc.parse(MODELS[name])), data | parameters)["value"]
    gradients = evaluate(model.graph, data | parameters)
    model.value_and_grad(**data, **parameters)
    model.wait()
    value, own = model.value_and_grad(**data, **parameters)
    assert value == pytest.approx(right, rel=1e-12)
    for parameter, gradient in zip(parameters, own, strict=True):
        np.testing.assert_allclose(gradient, gradients[f"d{parameter}"], rtol=1e-9, atol=1e-10)


def test_a_network_is_computed_once_for_both_of_a_pair() -> None:
    gradient = gradient_of(RANKING)
    assert gradient.count("gemm(") == 2
    assert gradient.count("vtanh(") == gradient.count("vsoftplus(") == gradient.count("vsigmoid(") == 1


def test_sums_over_either_of_a_pair_run_in_one_loop() -> None:
    """One that began with the other would need a second loop, and what both are made of for all pairs."""
    _, after = gradient_of(RANKING).split("vsigmoid(")
    assert len(re.findall(r"\[\w+, n\] \+= ", after[: after.index("for ")])) == 2
