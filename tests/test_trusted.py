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
EXPONENTS = """
    X: data[N, M]
    T: parameter[N, K]
    P: parameter[K, M]
    z[i, j] = Sum(exp(T[i, k] + P[k, j]), k)
    loss    = Sum(X[i, j]/z[i, j] - log(X[i, j]/z[i, j]), i, j)
"""
MIXED = """
    X: data[N, M]
    T: parameter[N, K]
    P: parameter[K, M]
    a[i, k] = softmax(T[i, k], k)
    p[i, j] = Sum(a[i, k]*sigmoid(P[k, j]), k)
    loss    = -Sum(X[i, j]*log(p[i, j]) + (2 - X[i, j])*log(1 - p[i, j]), i, j)
"""
MODELS = {"topics": TOPICS, "factors": FACTORS, "exponents": EXPONENTS, "mixed": MIXED}


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


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", MODELS)
def test_there_are_no_exponentials_of_all_terms_and_answers_are_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    assert isinstance(model._program, Trusting)
    exponentials = [v for v in model._program.graph.order() if v.op in ("exp", "sigmoid")]
    assert {len(v.axes) for v in exponentials} == {2}
    assert "gemm(" in model.source
    assert "an exact form answers" in str(model.plan)
    close(model, drawn(3, 3, 2))
    assert model._exact.idle


# At the first one, the topics that a document has do not have a word that it has; at the second, terms overflow.
FAR = {"topics": ("T", [[1000.0, 0.0], [0.0, 1.0]], [[-1000.0, 2.0], [0.0, -3.0]]),
       "factors": ("T", [[800.0, 0.0], [0.0, 1.0]], [[-799.0, -801.0], [0.5, 1.0]]),
       "exponents": ("T", [[800.0, 0.0], [0.0, 1.0]], [[-799.0, -801.0], [0.5, 1.0]]),
       "mixed": ("T", [[900.0, 0.0], [0.0, 1.0]], [[-600.0, 2.0], [0.0, -3.0]])}  # fmt: skip


@pytest.mark.one_in(2)
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


COUNTS = """
    X: data[N, M]
    T: parameter[N]
    P: parameter[M]
    s: constant
    loss = Sum(exp((T[i] - P[j])/s) - X[i, j]*(T[i] - P[j]), i, j)
"""


def counted(T: list[float], P: list[float]) -> tuple[gc.CompiledModel, dict[str, Any]]:
    return gc.compile(gc.parse(COUNTS)), {
        "X": np.ones((len(T), len(P))),
        "T": np.array(T),
        "P": np.array(P),
        "s": 2.0,
    }


def test_an_exponential_of_a_sum_is_a_product_of_fewer() -> None:
    model, given = counted([0.3, -2.0, 40.0], [1.0, -0.5])
    assert isinstance(model._program, Trusting)
    assert {len(v.axes) for v in model._program.graph.order() if v.op == "exp"} == {1}
    close(model, given)
    assert model._exact.idle


@pytest.mark.parametrize("far", [1e3, 1.5e3, 4e3])
def test_factors_that_overflow_while_their_product_does_not_are_not_trusted(far: float) -> None:
    model, given = counted([far, far - 3.0], [far + 1.0, far + 0.5])
    close(model, given)
    assert not model._exact.idle


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_exponents_that_are_no_numbers_mean_what_they_mean(odd: float) -> None:
    model, given = counted([1.0, odd], [0.5])
    given["X"] *= 0
    found = model.value_and_grad(**given)
    right = model._exact.run("value_and_grad", model.checked.bind(given)[0])
    np.testing.assert_array_equal(found[0], right[0])
    for one, other in zip(found[1], right[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "term",
    [
        "exp(x[n, k] + T[k])",  # has all axes: nothing is saved
        "where(T[k] < 700, exp(x[n, 0] + T[k]), 0)",  # what is not taken may overflow
        "exp(x[n, 0]*T[k])",
    ],
)
def test_other_exponentials_stay_as_they_are(term: str) -> None:
    model = gc.compile(gc.parse(f"x: data[N, K]\nT: parameter[K]\nloss = Sum({term}, n, k)"))
    assert not isinstance(model._program, Trusting)


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


def test_a_part_of_odds_is_not_made_one_with_an_exponential_of_other_axes() -> None:
    text = MIXED[: MIXED.index("    loss")] + "    loss = Sum((p[i, j] - X[i, j])**2, i, j)\n"
    model = gc.compile(gc.parse(text))
    assert {len(v.axes) for v in model._program.graph.order() if v.op in ("exp", "sigmoid")} == {2}
    given = drawn(3, 3, 2)
    close(model, given)
    given["T"][0] *= 1000.0
    given["P"][0] *= -1000.0
    close(model, given)


ANYWAY = """
    X: data[N]
    i: labels[N]
    T: parameter[U, K]
    P: parameter[K]
    m[n] = Sum(exp(T[i[n], k] + P[k]), k)
    loss = Sum(m[n] - X[n]*log(m[n]), n)
"""


@pytest.mark.parametrize("far", [0.0, 600.0, -1200.0])
def test_a_sum_that_the_objective_has_anyway_is_not_computed_with_another_scale(far: float) -> None:
    model = gc.compile(gc.parse(ANYWAY.replace("exp(T[i[n], k] + P[k])", "exp(T[i[n], k]*P[k])")))
    assert isinstance(model._program, Trusting)
    assert sum(v.op == "exp" for v in model._program.graph.order()) == 1
    assert not any(v.op == "max" for v in model._program.graph.order())
    random = np.random.default_rng(3)
    T, P = random.normal(size=(3, 2)), np.array([1.0, 0.5])
    T[2] = far
    close(model, {"X": np.array([2.0, 1.0, 0.0, 3.0]), "i": np.array([0, 2, 1, 1]), "T": T, "P": P}, 1e-9)
    assert model._exact.idle == (far == 0)


def test_a_sum_whose_logarithm_alone_is_in_the_objective_keeps_its_scale() -> None:
    model = gc.compile(gc.parse(ANYWAY.replace("m[n] - X[n]*log(m[n])", "X[n]*log(m[n])").replace(" + P[k]", "*P[k]")))
    assert not isinstance(model._program, Trusting)


def test_after_some_calls_out_of_range_the_exact_form_answers_at_once() -> None:
    model = gc.compile(gc.parse(FACTORS))
    _, T, P = FAR["factors"]
    near, far = drawn(2, 2, 2), {"X": np.array([[1.0, 2.0], [0.5, 1.0]]), "T": np.array(T), "P": np.array(P)}
    asked, program = [], model._program
    run = program._for
    program._for = lambda sizes: asked.append(sizes) or run(sizes)  # type: ignore[method-assign]  # counts the calls
    for given in (far, far, near, far, far, far, near, far):  # the first one near lets those before it be forgotten
        model.value_and_grad(**given)
    assert len(asked) == 6
    close(model, near)


BOTH = """
    T: parameter[N, K]
    P: parameter[N, K]
    X: data[N]
    z[n, m] = Sum(T[n, k]*P[m, k], k)
    loss = Sum(X[n]*log(Sum(exp(z[n, m]), m)) + log(Sum(exp(z[m, n]), m)) - 2*z[n, n], n)
"""


@pytest.mark.one_in(3)
@pytest.mark.parametrize("far", [1.0, 300.0])
def test_exponentials_of_pairs_that_are_summed_up_both_ways_are_computed_once(far: float) -> None:
    model = gc.compile(gc.parse(BOTH))
    assert isinstance(model._program, Trusting)
    assert sum(v.op == "exp" for v in model._program.graph.order()) == 1
    assert not any(v.op == "max" for v in model._program.graph.order())
    random = np.random.default_rng(5)
    close(model, {"X": random.random(4), "T": far * random.normal(size=(4, 2)), "P": random.normal(size=(4, 2))}, 1e-9)
    assert model._exact.idle == (far == 1.0)


def test_pairs_that_are_summed_up_one_way_keep_their_scale() -> None:
    model = gc.compile(gc.parse(BOTH.replace("z[m, n]", "z[n, m]/2")))
    assert not isinstance(model._program, Trusting)
