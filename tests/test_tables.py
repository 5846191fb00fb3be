"""Functions of tables of parameters: computed once for each row, and not for each sample that looks it up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.ir import Graph
from gradcompile.minibatch import minibatch
from gradcompile.passes import optimise, prepare
from gradcompile.pipeline import Trusting
from tests.texts import arrays_for, assert_right
from tests.zoo import load, load_uncompiled

SIZES = {"N": 9, "V": 4, "C": 3, "D": 2}
MODELS = {
    "a softmax that is looked up": """
        g: labels[N]
        x: data[N]
        E: parameter[V, C]
        w: parameter[C]
        p[v, c] = softmax(E[v, c], c)
        loss = Sum((x[n] - Sum(p[g[n], c]*w[c], c))**2, n)
    """,
    "a softmax over what is looked up": """
        g: labels[N]
        y: labels[N]
        E: parameter[V, C]
        loss = -Sum(log(exp(E[g[n], y[n]])/Sum(exp(E[g[n], c]), c)), n)
    """,
    "a function of what is looked up": """
        g: labels[N]
        x: data[N]
        E: parameter[V, C]
        loss = Sum((x[n] - tanh(Sum(E[g[n], c]**2, c)))**2, n)
    """,
    "two tables": """
        g: labels[N]
        h: labels[N]
        x: data[N]
        E: parameter[V, C]
        F: parameter[D, C]
        loss = Sum(x[n]*Sum(tanh(E[g[n], c])*sigmoid(F[h[n], c]), c), n)
    """,
    "words of texts": """
        w: labels[N, D]
        x: data[N]
        E: parameter[V]
        loss = Sum((x[n] - Sum(sigmoid(E[w[n, d]]), d))**2, n)
    """,
}
AS_THEY_ARE = {
    "more than one row of the table": "Sum((x[n] - tanh(E[g[n], 0]*x[n]))**2, n)",
    "two labels": "Sum((x[n] - tanh(E[g[n], y[n]]))**2, n)",
    "a function that is not finite everywhere": "Sum(x[n]*Sum(log(E[g[n], c]), c), n)",
    "a branch": "Sum(where(x[n] > 0, x[n]*tanh(Sum(E[g[n], c]**2, c)), 0), n)",
    "arithmetic": "Sum((x[n] - Sum(E[g[n], c]*E[g[n], c], c))**2, n)",
}


def drawn(text: str) -> dict[str, np.ndarray]:
    return arrays_for(text, SIZES, seed=2)


def functions_of_samples(graph: Graph) -> list[str]:
    """Return the functions that are computed for each sample, of a parameter alone."""
    functions = (v for v in graph.order() if v.op in ("exp", "tanh", "sigmoid") and v.kind == "real")
    return [str(v) for v in functions if any(str(axis.size) == "N" for axis in v.axes)]


@pytest.mark.parametrize("name", MODELS)
def test_samples_look_up_what_there_is_for_each_row(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    assert not functions_of_samples(model.graph)


@pytest.mark.parametrize("target", ["numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_code_is_right(name: str, target: str, tmp_path: Path) -> None:
    read = load if target == "numpy" else load_uncompiled
    module = read(gc.emit(gc.parse(MODELS[name]), target=target), tmp_path / "module.py")
    arrays = drawn(MODELS[name])
    arguments = [arrays[a] for a in gc.compile(gc.parse(MODELS[name])).arguments]
    assert_right(MODELS[name], arrays, module.value_and_grad(*arguments))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_is_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    arrays = drawn(MODELS[name])
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(MODELS[name], arrays, model.value_and_grad(**arrays))


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_other_lookups_are_of_what_samples_need(name: str) -> None:
    text = f"g: labels[N]\ny: labels[N]\nx: data[N]\nE: parameter[V, C]\nloss = {AS_THEY_ARE[name]}\n"
    reads = [v for v in gc.compile(gc.parse(text)).graph.order() if v.op == "read"]
    assert all(v.operands[0].op == "input" for v in reads)


@pytest.mark.parametrize("name", MODELS)
def test_a_minibatch_computes_the_rows_that_it_needs(name: str) -> None:
    batch = minibatch(gc.compile(gc.parse(MODELS[name])).lowered).graph
    read = [v.operands[0] for v in optimise(prepare(batch)).order() if v.op == "read"]
    computed = [array for array in read if array.op in ("tanh", "sigmoid", "exp")]
    assert all("B" in {str(axis.size) for axis in array.axes} for array in computed), "of a batch, not of the table"


def test_a_row_that_no_sample_looks_up_receives_nothing() -> None:
    model = gc.compile(gc.parse(MODELS["a softmax over what is looked up"]))
    E = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0], [-1000.0, 1000.0, 0.0], [1e300, -1e300, 5.0]])
    _, (gradient,) = model.value_and_grad(g=np.array([0, 1, 1]), y=np.array([2, 0, 1]), E=E)
    np.testing.assert_array_equal(gradient[2:], 0)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", ["a function of what is looked up", "two tables"])
def test_a_call_of_few_samples_has_functions_of_what_these_look_up(name: str) -> None:
    text = MODELS[name]
    model = gc.compile(gc.parse(text))
    for samples, rows, of_samples in ((3, 8, True), (9, 4, False)):
        arrays = arrays_for(text, SIZES | {"N": samples, "V": rows, "D": rows}, seed=2)
        assert_right(text, arrays, model.value_and_grad(**arrays))
        assert bool(functions_of_samples(model._program.answering.graph)) == of_samples
        assert ("of which samples look up less than there is" in str(model.plan)) == of_samples


HAZARD = """
    t: labels[N]
    d: data[N]
    h: parameter[V]
    H[k] = Sum(exp(h[j]), j, 0, k)
    loss = Sum(H[t[n]] - d[n]*h[t[n]], n)
"""


def test_a_cumulative_hazard_is_summed_up_once() -> None:
    model = gc.compile(gc.parse(HAZARD))
    assert isinstance(model._program, Trusting)
    assert not functions_of_samples(model._program.graph)
    assert [v.op for v in model._program.graph.order()].count("running") == 2
    value, gradients = model.value_and_grad(**drawn(HAZARD))
    assert_right(HAZARD, drawn(HAZARD), (value, gradients))
    assert model._exact.idle


def test_the_exact_form_answers_where_an_exponential_is_large_that_no_sample_looks_up() -> None:
    model = gc.compile(gc.parse(HAZARD))
    h = np.array([0.5, -1.0, 300.0, 0.0])
    value, (gradient,) = model.value_and_grad(t=np.array([0, 1, 1]), d=np.ones(3), h=h)
    assert value == pytest.approx(3 * np.exp(0.5) + 2 * np.exp(-1) - 0.5 + 2, rel=1e-14)
    np.testing.assert_allclose(gradient, [3 * np.exp(0.5) - 1, 2 * np.exp(-1) - 2, 0, 0], rtol=1e-14)
    assert not model._exact.idle


def test_what_is_the_same_either_way_is_computed_in_one_way() -> None:
    model = gc.compile(gc.parse(MODELS["a softmax that is looked up"]))
    assert not isinstance(model._program, Trusting)


def test_a_sum_that_begins_with_what_was_asked_is_added_up_in_double() -> None:
    model, random = gc.compile(gc.parse(HAZARD), dtype="float32"), np.random.default_rng(0)
    h = random.normal(size=50).astype(np.float32) - 3
    t, d = random.integers(0, 50, 100_000), random.integers(0, 2, 100_000).astype(np.float32)
    model.value(t=t, d=d, h=h)
    model.wait()
    wide = h.astype(np.float64)
    assert model.value(t=t, d=d, h=h) == pytest.approx(np.sum(np.cumsum(np.exp(wide))[t] - d * wide[t]), rel=2e-7)
