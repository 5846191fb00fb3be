"""The minibatch graph means what it should: the estimate of the objective per sample, by the reference interpreter.

The batches of an epoch, weighted by their lengths, must average to objective and gradient of the full graph, whose
gradient is divided by N where the objective is a sum.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sympy import IndexedBase, Product, Rational, Sum, Symbol, exp, log, sqrt, symbols

import gradcompile
from gradcompile.adjoint import adjoint
from gradcompile.errors import MinibatchError
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Size
from gradcompile.language import load
from gradcompile.lower import lower
from gradcompile.minibatch import is_mean, minibatch, per_sample, why_not
from gradcompile.model import Model
from gradcompile.passes import optimise, prepare
from gradcompile.verify import verify

N, D, P = symbols("N D P", integer=True, positive=True)
s, j, k = symbols("s j k", integer=True)
x, t = IndexedBase("x", shape=(N, D)), IndexedBase("t", shape=(N,))
w, lam, b = IndexedBase("w", shape=(D,)), Symbol("lam"), Symbol("b")
SAMPLES, FEATURES = 7, 3
RESIDUAL = Sum(x[s, j] * w[j], (j, 0, D - 1)) + b - t[s]
LOSS = Sum(RESIDUAL**2, (s, 0, N - 1))
RIDGE = lam * Sum(w[j] ** 2, (j, 0, D - 1))
LIKELIHOOD = Product(exp(-(RESIDUAL**2) / 2) / (1 + b**2), (s, 0, N - 1))

MODELS = sorted((Path(gradcompile.__file__).parent / "models").glob("*.model"))


def both(graph):
    return verify(optimise(verify(adjoint(verify(prepare(verify(graph)))))))


def numbers():
    random = np.random.default_rng(4)
    return {
        "x": random.normal(size=(SAMPLES, FEATURES)),
        "t": random.normal(size=SAMPLES),
        "w": random.normal(size=FEATURES),
        "b": 0.25,
        "lam": 0.7,
    }


def epoch_average(graph, inputs, samples, size):
    part = minibatch(graph)
    program, extra = both(part.graph), {part.count: float(samples)} if part.count else {}
    order = np.random.default_rng(1).permutation(samples)
    totals = {}
    for first in range(0, samples, size):
        rows = order[first : first + size]
        for name, value in evaluate(program, inputs | extra | {part.rows: rows}).items():
            totals[name] = totals.get(name, 0.0) + value * len(rows) / samples
    return totals


def assert_unbiased(model, inputs, samples, divisor, size=3, sample=None):
    graph = lower(model)
    graph = replace(graph, sample=sample or graph.sample)
    given = {name: inputs[name] for name in graph.inputs}
    whole = evaluate(both(graph), given)
    for name, value in epoch_average(graph, given, samples, size).items():
        np.testing.assert_allclose(value, whole[name] / divisor, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_sum_with_a_regulariser(size):
    assert_unbiased(Model(LOSS / 2 + RIDGE, (w, b)), numbers(), SAMPLES, SAMPLES, size)


MEANS = {
    "divided": LOSS / N + RIDGE,
    "times the reciprocal": RIDGE + (1 / N) * LOSS,
    "half": LOSS / (2 * N),
    "inside": Sum(RESIDUAL**2 / N, (s, 0, N - 1)) + RIDGE,
    "two sums": Sum(RESIDUAL**2, (s, 0, N - 1)) / N + Sum(exp(-t[s] * b), (s, 0, N - 1)) / N,
    "factored": (LOSS + Sum(exp(b * t[s]), (s, 0, N - 1))) / N + RIDGE,
    "unbiased variance": LOSS / (N - 1),
    "mean of a log-likelihood": -log(LIKELIHOOD) / N + RIDGE,
    "counted from 1": Sum(RESIDUAL.subs(s, s - 1) ** 2, (s, 1, N)) / N,
}
SUMS = {
    "plain": LOSS,
    "half": LOSS / 2 - RIDGE,
    "negative": -Sum(-(RESIDUAL**2), (s, 0, N - 1)) + RIDGE,
    "weighted by a constant": lam * LOSS + RIDGE,
    "number of samples beside it": LOSS + N * RIDGE,
    "regulariser per sample": LOSS + RIDGE / N,
    "two sums": LOSS + Sum(exp(-t[s] * b), (s, 0, N - 1)),
    "log of N": LOSS + b * log(N),
    "log-likelihood": -log(LIKELIHOOD),
    "log of a posterior": 3 - log(LIKELIHOOD * exp(-RIDGE) / Product(1 + t[s] ** 2, (s, 0, N - 1))),
    "counted from 1 and from 0": LOSS + Sum(exp(-t[s - 1] * b), (s, 1, N)),
}


@pytest.mark.parametrize("objective", MEANS.values(), ids=MEANS)
def test_means_are_not_divided_again(objective):
    assert is_mean(lower(Model(objective, (w, b))))
    assert_unbiased(Model(objective, (w, b)), numbers(), SAMPLES, 1)


@pytest.mark.parametrize("objective", SUMS.values(), ids=SUMS)
def test_sums_are_divided_once(objective):
    assert not is_mean(lower(Model(objective, (w, b))))
    assert_unbiased(Model(objective, (w, b)), numbers(), SAMPLES, SAMPLES)


def test_sizes_that_are_numbers():
    xs, ts = IndexedBase("x", shape=(SAMPLES, FEATURES)), IndexedBase("t", shape=(SAMPLES,))
    v = IndexedBase("w", shape=(FEATURES,))
    loss = Sum((Sum(xs[s, j] * v[j], (j, 0, FEATURES - 1)) - ts[s]) ** 2, (s, 0, SAMPLES - 1))
    ridge = lam * Sum(v[j] ** 2, (j, 0, FEATURES - 1))
    assert_unbiased(Model(loss + ridge, (v,)), numbers(), SAMPLES, SAMPLES)
    assert_unbiased(Model(loss * Rational(1, 2 * SAMPLES) + ridge, (v,)), numbers(), SAMPLES, 1)


def test_neighbours_are_read_through_the_order():
    """x[s + 1] and x[s + k] of a batch are the neighbours of its own samples, not of its places."""
    series, a = IndexedBase("x", shape=(N,)), IndexedBase("a", shape=(P,))
    guess = Sum(a[k] * series[s + k], (k, 0, P - 1))
    objective = Sum((series[s + P] - guess) ** 2, (s, 0, N - P - 1))
    inputs = {"x": np.random.default_rng(2).normal(size=SAMPLES), "a": np.array([0.4, -0.3])}
    windows = Axis(Size.of("N") - Size.of("P"))
    assert_unbiased(Model(objective, (a,)), inputs, SAMPLES - 2, SAMPLES - 2, sample=windows)


def test_per_sample_form():
    u, v = symbols("u v")
    model = Model((b * u - v) ** 2 + lam * b**2, (b,), data=(u, v))
    inputs = numbers() | {"u": numbers()["t"], "v": numbers()["x"][:, 0]}
    assert_unbiased(model, inputs, SAMPLES, 1)


def test_names_that_the_estimate_needs_may_be_taken():
    rows, count = Symbol("rows"), Symbol("count")
    B = symbols("B", integer=True, positive=True)
    weights, data = IndexedBase("w", shape=(B,)), IndexedBase("x", shape=(N, B))
    loss = Sum((Sum(data[s, j] * weights[j], (j, 0, B - 1)) - rows) ** 2, (s, 0, N - 1)) + count * weights[0]
    inputs = numbers() | {"rows": 0.5, "count": 2.0}
    assert_unbiased(Model(loss, (weights,)), inputs, SAMPLES, SAMPLES)


def test_data_are_read_in_place():
    """No value of the minibatch graph is as long as the data, beside the inputs themselves."""
    part = minibatch(lower(Model(LOSS + RIDGE, (w, b))))
    full = lower(Model(LOSS + RIDGE, (w, b))).sample
    assert full is not None
    long = [v for v in both(part.graph).order() if full in v.axes and v.op != "input"]
    assert long == []


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (sqrt(LOSS), "sqrt"),
        (log(Sum(exp(RESIDUAL), (s, 0, N - 1))), "log"),
        (LOSS * Sum(t[s] * b, (s, 0, N - 1)), "multiplies"),
        (b / LOSS, "divides"),
        (Sum(w[j] ** 2, (j, 0, D - 1)), "sample"),
    ],
    ids=["root", "log", "product", "quotient", "no samples"],
)
def test_what_is_not_a_sum_is_refused_with_the_reason(objective, words):
    graph = lower(Model(objective, (w, b)))
    assert words in why_not(graph)
    with pytest.raises(MinibatchError, match=words) as caught:
        minibatch(graph)
    assert "batch_size=None" in str(caught.value)


def test_what_is_not_a_sum_is_left_as_it_is():
    graph = lower(Model(sqrt(LOSS), (w, b)))
    assert per_sample(graph) is graph


def test_objective_per_sample():
    inputs = numbers()
    for objective, divisor in ((LOSS + RIDGE, SAMPLES), (LOSS / N + RIDGE, 1)):
        graph = lower(Model(objective, (w, b)))
        whole, single = evaluate(graph, inputs)["value"], evaluate(per_sample(graph), inputs)["value"]
        np.testing.assert_allclose(single, whole / divisor, rtol=1e-14)


def test_estimate_is_the_mean_of_the_losses_and_the_regulariser_over_n():
    part, inputs = minibatch(lower(Model(LOSS + RIDGE, (w, b)))), numbers()
    rows = np.array([5, 0, 5])
    residuals = inputs["x"] @ inputs["w"] + inputs["b"] - inputs["t"]
    expected = np.mean(residuals[rows] ** 2) + inputs["lam"] * np.sum(inputs["w"] ** 2) / SAMPLES
    found = evaluate(part.graph, inputs | {part.rows: rows, part.count: float(SAMPLES)})["value"]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_step_computes_nothing_for_all_samples(path):
    graph = lower(load(path))
    if graph.sample is None:
        return
    whole = graph.sample.size
    computed = [v for v in both(minibatch(graph).graph).order() if v.op not in ("input", "iota")]
    assert not [v for v in computed if any(axis.size == whole for axis in v.axes)]


@pytest.mark.parametrize(
    ("objective", "held"),
    [
        (LOSS, False),
        (LOSS / N, False),
        (-LOSS / (2 * N) + RIDGE, False),
        (LOSS + RIDGE, True),  # the penalty has a share in each step: an N-th part
    ],
)
@pytest.mark.parametrize("one", [False, True])
def test_the_number_of_samples_is_not_multiplied_by_to_be_divided_by(objective, held, one):
    part = minibatch(lower(Model(objective, (w, b))), one=one)
    number = ("input", "count"), ("size", Size.of("N"))
    assert any((v.op, v.attr) in number for v in part.graph.order()) == held
    assert bool(part.count) == held
