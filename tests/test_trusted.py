"""Sums of products of few exponentials: computed as they are written, and in the exact form where that is not right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.pipeline import Trusting
from tests.oracle import Problem, exact

TOPICS = """
    X: data[N, M]
    T: parameter[N, K]
    P: parameter[K, M]
    a[i, k] = softmax(T[i, k], k)
    q[k, j] = softmax(P[k, j], j)
    loss    = -Sum(X[i, j]*log(Sum(a[i, k]*q[k, j], k)), i, j)
"""
FACTORS = """
    X: data[N, M]
    T: parameter[N, K]
    P: parameter[K, M]
    z[i, j] = Sum(exp(T[i, k])*exp(P[k, j]), k)
    loss    = Sum(X[i, j]*log(X[i, j]/z[i, j]), i, j)
"""
MODELS = {"topics": TOPICS, "factors": FACTORS}


def drawn(n: int, m: int, k: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"X": random.random((n, m)) + 0.1, "T": random.normal(size=(n, k)), "P": random.normal(size=(k, m))}


def close(model: gc.CompiledModel, given: dict[str, Any], tolerance: float = 1e-11) -> None:
    """Compare value and gradient with those at 50 digits."""
    text = model.model
    value, gradients = exact(Problem(text.objective, text.wrt, given, define=text.definitions)).floats()
    found, own = model.value_and_grad(**given)
    assert found == pytest.approx(value, rel=1e-13)
    assert model.value(**given) == pytest.approx(value, rel=1e-13)
    for name, gradient in zip(("T", "P"), own, strict=True):
        np.testing.assert_allclose(gradient, gradients[name], rtol=tolerance, atol=1e-14)


@pytest.mark.parametrize("name", MODELS)
def test_there_are_no_exponentials_of_all_terms_and_answers_are_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    assert isinstance(model._program, Trusting)
    exponentials = [v for v in model._program.graph.order() if v.op == "exp"]
    assert {len(v.axes) for v in exponentials} == {2}
    assert "gemm(" in model.source
    assert "an exact form answers" in str(model.plan)
    close(model, drawn(3, 3, 2))
    assert model._exact.idle


# At the first one, the topics that a document has do not have a word that it has; at the second, terms overflow.
FAR = {"topics": ("T", [[1000.0, 0.0], [0.0, 1.0]], [[-1000.0, 2.0], [0.0, -3.0]]),
       "factors": ("T", [[800.0, 0.0], [0.0, 1.0]], [[-799.0, -801.0], [0.5, 1.0]])}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_exact_form_answers_where_a_sum_leaves_its_range(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    _, T, P = FAR[name]
    given = {"X": np.array([[1.0, 2.0], [0.5, 1.0]]), "T": np.array(T), "P": np.array(P)}
    close(model, given, 1e-9)
    assert not model._exact.idle
    close(model, drawn(2, 2, 2))


def test_a_sum_that_has_lost_digits_is_not_trusted() -> None:
    """At 1e-320 a sum has three digits left: the value is a number, and wrong."""
    model = gc.compile(gc.parse(FACTORS))
    close(model, {"X": np.ones((1, 1)), "T": np.array([[-400.0, -401.0]]), "P": np.array([[-337.0], [-336.5]])})


def test_nan_in_data_is_nan_in_the_value() -> None:
    model, given = gc.compile(gc.parse(TOPICS)), drawn(3, 3, 2)
    given["X"][1, 1] = np.nan
    assert np.isnan(model.value_and_grad(**given)[0])


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_many_samples_on_threads_and_the_first_answer_agree(dtype: str) -> None:
    model, given = gc.compile(gc.parse(TOPICS), dtype=dtype), drawn(3000, 60, 5)
    early = model.value_and_grad(**given)
    model.wait()
    value, gradients = model.value_and_grad(**given)
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    assert early[0] == pytest.approx(value, rel=tolerance)
    right = model._exact.run("value_and_grad", model.checked.bind(given)[0])
    assert value == pytest.approx(right[0], rel=tolerance)
    for one, other in zip(gradients, right[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance * 100, atol=tolerance * np.abs(other).max())


def test_training_takes_the_exact_form() -> None:
    model, given = gc.compile(gc.parse(TOPICS)), drawn(4, 3, 2)
    init = {name: given.pop(name) for name in ("T", "P")}
    trained = model.fit(**given, init=init, optimizer=gc.SGD(0.1), epochs=3, progress=False)
    assert np.isfinite(trained.params["P"]).all()


def test_mixtures_have_an_exponential_for_each_term_and_stay_exact() -> None:
    """The distances of a mixture have all axes of the sum: nothing is saved, and nothing risked."""
    density = "Sum(softmax(w[k], k)*exp(-(x[n] - m[k])**2), k)"
    model = gc.compile(gc.parse(f"x: data[N]\nm: parameter[K]\nw: parameter[K]\nloss = -Sum(log({density}), n)"))
    assert not isinstance(model._program, Trusting)
