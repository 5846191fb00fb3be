"""`fit` against a plain NumPy loop of the same steps on the same rows, and what it does when something is wrong."""

import copy
import math
import os
import re
import signal
import threading
import time
from contextlib import contextmanager

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
from gradcompile.jit import objects
from gradcompile.language import parse
from gradcompile.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from gradcompile.train import descent, steps

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
    square = dict.fromkeys("wbUV", 0.0)

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
}


def assert_same(result, expected, history):
    for name, value in expected.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.history, history, rtol=1e-12)
    assert result.stopped == "finished"


@pytest.mark.one_in(5)
@pytest.mark.parametrize("case", CASES)
def test_fit_is_the_plain_loop(model, case):
    optimizer, step = CASES[case]
    expected = plain_loop(data(), step, 4, 5)
    assert_same(model.fit(**data(), init=START, optimizer=optimizer, epochs=4, batch_size=5, progress=False), *expected)


@pytest.mark.parametrize("size", [1, 2, 22, 23, 24, None])
def test_every_batch_size(model, size):
    expected = plain_loop(data(), sgd(lambda t: 0.03), 3, size or SAMPLES)
    result = model.fit(**data(), init=START, optimizer=SGD(0.03), epochs=3, batch_size=size, progress=False)
    assert_same(result, *expected)


def test_rows_are_asked_for_at_labels_of_labels():
    """A label in the place of a row is one of its array, for the samples to come, and within its axis in a branch."""
    text = """
        x: data[N, D]
        y: data[D]
        g: labels[D, N]
        p: labels[M]
        w: parameter[K]
        h[n, r, j] = (x[n, j] - w[g[j, n]])*y[r]
        loss = Sum(Sum(where(x[n, 0] > 0, h[n, p[a], p[a]]**2, 0), a) + h[n, 0, 0]**2, n)
    """
    x, y, g = np.array([[1.0, 2.0], [-1.0, 0.5]]), np.array([1.0, 2.0]), np.array([[0, 1], [2, 1]])
    start, options = np.array([0.5, -0.5, 0.25]), {"epochs": 1, "batch_size": 1, "progress": False}
    fit = compile(parse(text)).fit
    result = fit(x=x, y=y, g=g, p=np.array([1, 1]), init={"w": start}, optimizer=SGD(0.1), **options)
    expected = start.copy()
    for n in shuffle.order(0, 1, 2):
        weights = np.array([1.0, 2 * 2.0**2 * (x[n, 0] > 0)])  # p picks the second feature twice, times y[1]**2
        np.add.at(expected, g[:, n], 0.2 * weights * (x[n] - expected[g[:, n]]))
    np.testing.assert_allclose(result.params["w"], expected, rtol=1e-13)


def test_what_the_objective_does_not_depend_on_decays():
    text = "x: data[N]\nu: parameter\nv: parameter[D]\nloss = Sum((x[n] - u)**2, n) + 0*Sum(v[i], i)"
    start, optimizer = {"u": 1.0, "v": np.array([1.0, -2.0])}, AdamW(0.01, decay=0.1)
    unused = compile(parse(text))
    result = unused.fit(x=np.arange(4.0), init=start, optimizer=optimizer, epochs=3, batch_size=3, progress=False)
    np.testing.assert_allclose(result.params["v"], start["v"] * (1 - 0.01 * 0.1) ** 6, rtol=1e-14)


def test_the_batch_is_128_if_nothing_is_said(model):
    expected = plain_loop(data(300), sgd(lambda t: 0.03), 2, 128)
    assert_same(model.fit(**data(300), init=START, optimizer=SGD(0.03), epochs=2, progress=False), *expected)


def test_the_same_seed_gives_the_same_bits(model):
    options = {"init": START, "optimizer": Adam(0.01), "epochs": 3, "batch_size": 4, "progress": False}
    first, again, other = (model.fit(**data(), seed=seed, **options) for seed in (5, 5, 6))
    assert first.params["w"].tobytes() == again.params["w"].tobytes()
    assert first.history == again.history
    assert first.params["w"].tobytes() != other.params["w"].tobytes()


def test_parameters_begin_where_a_line_of_the_cache_does(model):
    fits = [model.fit(**data(), init=START, epochs=1, batch_size=5, progress=False) for _ in range(4)]
    assert not any(each.params["w"].ctypes.data % 64 for each in fits)


def test_chunks_of_batches_do_not_matter(model, monkeypatch):
    options = {"init": START, "optimizer": SGD(0.02, 0.9), "epochs": 3, "batch_size": 2, "progress": False}
    at_once = model.fit(**data(), **options)
    monkeypatch.setattr("gradcompile.train.descent.CALL", 0.0)
    batch_by_batch = model.fit(**data(), **options)
    assert at_once.params["w"].tobytes() == batch_by_batch.params["w"].tobytes()


def test_float32(model):
    expected, _ = plain_loop(data(), adam(0.01), 3, 5)
    result = ridge("float32").fit(**data(), init=START, optimizer=Adam(0.01), epochs=3, batch_size=5, progress=False)
    assert result.params["w"].dtype == np.float32
    np.testing.assert_allclose(result.params["w"], expected["w"], rtol=1e-5)


def test_what_is_given_stays_as_it_is(model):
    inputs, start = data(), {"w": START["w"].copy(), "b": 0.05}
    inputs["x"].flags.writeable = False
    model.fit(**inputs, init=start, epochs=2, batch_size=5, progress=False)
    assert start["w"].tobytes() == START["w"].tobytes()
    assert inputs["t"].tobytes() == data()["t"].tobytes()


def test_result_predicts_with_the_learned_parameters(model):
    result = model.fit(**data(), init=START, epochs=30, batch_size=8, progress=False)
    new = np.array([[1.0, 2.0, 3.0]])
    expected = new @ result.params["w"] + result.params["b"]
    np.testing.assert_allclose(result.model.predict("guess", x=new), expected, rtol=1e-14)
    np.testing.assert_allclose(
        result.model.value(x=data()["x"], t=data()["t"]), model.value(**data(), **result.params), rtol=1e-14
    )


def test_history_has_the_facts_of_each_epoch(model):
    result = model.fit(**data(), init=START, optimizer=SGD(0.1 / (1 + T)), epochs=3, batch_size=6, progress=False)
    assert [record.epoch for record in result.history] == [1, 2, 3]
    np.testing.assert_allclose([record.rate for record in result.history], [0.1 / 5, 0.1 / 9, 0.1 / 13], rtol=1e-14)
    assert all(record.seconds > 0 and record.validation is None for record in result.history)
    assert result.history[-1] < result.history[0]


# Other shapes of models


def softmax():
    W, gt = IndexedBase("W", shape=(D, C)), IndexedBase("gt", shape=(N,))

    def y(s, i):
        return Sum(x[s, j] * W[j, i], (j, 0, D - 1))

    def p(s, c):
        return exp(y(s, c)) / Sum(exp(y(s, i)), (i, 0, C - 1))

    return compile(-Sum(log(p(s, gt[s])), (s, 0, N - 1)), wrt=W)


def test_softmax_against_numpy():
    inputs, labels = data()["x"], np.random.default_rng(1).integers(0, 4, SAMPLES)
    W = np.zeros((FEATURES, 4))
    for epoch in (1, 2):
        order = shuffle.order(3, epoch, np.arange(SAMPLES))
        for first in range(0, SAMPLES, 6):
            rows = order[first : first + 6]
            z = np.exp(inputs[rows] @ W)
            z /= z.sum(axis=1, keepdims=True)
            z[np.arange(len(rows)), labels[rows]] -= 1
            W -= 0.2 * inputs[rows].T @ z / len(rows)
    options = {"init": {"W": np.zeros((FEATURES, 4))}, "optimizer": SGD(0.2), "seed": 3, "progress": False}
    result = softmax().fit(x=inputs, gt=labels, epochs=2, batch_size=6, **options)
    np.testing.assert_allclose(result.params["W"], W, rtol=1e-12, atol=1e-14)


LAYERS = """
    x: data[N, D]
    t: data[N, C]
    V: parameter[D, H]
    W: parameter[H, C]
    h[s, k] = tanh(Sum(x[s, j]*V[j, k], j))
"""
TIED = """
    x: data[N, D]
    W: parameter[D, H]
    h[s, k] = tanh(Sum(x[s, j]*W[j, k], j))
    loss = Sum((x[s, i] - Sum(h[s, k]*W[i, k], k))**2, s, i)/N
"""
TWO = """
    x: data[N, D]
    t: data[N, C]
    V: parameter[D, C]
    W: parameter[D, C]
    y[s, i] = Sum(x[s, j]*V[j, i], j) + 2*Sum(x[s, j]*W[j, i], j)
    loss = Sum((y[s, i] - t[s, i])**2, s, i)/N
"""
ERROR = "(t[s, i] - Sum(h[s, k]*W[k, i], k))**2"
# Models, and which parameters a product of matrices moves itself.
MATRICES = {
    "layers": (f"{LAYERS}loss = Sum({ERROR}, s, i)/N", "VW"),
    "one of two with a penalty": (f"{LAYERS}loss = Sum({ERROR}, s, i)/N + Sum(V[j, k]**2, j, k)/8", "W"),
    "a penalty that multiplies": (f"{LAYERS}loss = Sum({ERROR}, s, i)/N*(1 + Sum(V[j, k]**2, j, k)/8)", ""),
    "used twice": (TIED, ""),
    "one gradient for two": (TWO, ""),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("rate", [0.05, 0.05 / (1 + Symbol("t"))], ids=str)
def test_matrices_that_products_move_themselves(name, rate):
    """Against gradients of the batches, each taken at the parameters that the step before has left."""
    text, moved = MATRICES[name]
    model = compile(parse(text))
    random = np.random.default_rng(5)
    sizes = {"x": (300, 5), "t": (300, 3), "V": (5, 9), "W": (9, 3) if "V" in model.lowered.wrt else (5, 9)}
    sizes |= {"V": (5, 3), "W": (5, 3)} if text is TWO else {}
    point = {key: random.normal(size=shape) for key, shape in sizes.items() if key in model.lowered.inputs}
    start = {key: point.pop(key) for key in model.lowered.wrt}
    now = {key: value.copy() for key, value in start.items()}
    order = shuffle.order(0, 1, np.arange(300))
    for t, first in enumerate(range(0, 300, 128), 1):
        gradients = model.minibatch_grad(rows=order[first : first + 128], **point, **now)
        for key, gradient in zip(now, gradients, strict=True):
            now[key] = now[key] - float(sympy.sympify(rate).subs("t", t)) * gradient
    options = {"init": start, "optimizer": SGD(rate), "epochs": 1, "batch_size": 128, "progress": False}
    result = model.fit(**point, **options)
    for key, value in now.items():
        np.testing.assert_allclose(result.params[key], value, rtol=1e-11, atol=1e-13)
    source = steps.kernel(model.lowered, SGD(rate), "float64", "block").source
    assert "".join(key for key in start if re.search(rf"\((team, )?-?factor.*, 1.0, {key}\)", source)) == moved
    for how in ("few", "many", "all"):  # of several blocks, each of which needs the parameters as they were
        assert not re.search(r"\bfactor\b", steps.kernel(model.lowered, SGD(rate), "float64", how).source)
    assert not re.search(r"\bfactor\b", steps.kernel(model.lowered, Adam(0.1), "float64", "block").source)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("case", "size", "few"), [("sgd", 8, 8), ("sgd", 8, 7), ("sgd", 1, 8), ("adagrad", 8, 8)])
def test_factorisation_with_repeated_rows(case, size, few, monkeypatch):
    """In steps of one sample, of few, each of which moves its rows, and of many, whose gradients are added up."""
    monkeypatch.setattr(steps, "FEW", few)
    user, item, r = (IndexedBase(name, shape=(N,)) for name in ("user", "item", "r"))
    U, V = IndexedBase("U", shape=(A, K)), IndexedBase("V", shape=(B, K))
    error = r[s] - Sum(U[user[s], k] * V[item[s], k], (k, 0, K - 1))
    model = compile(Sum(error**2, (s, 0, N - 1)), wrt=[U, V])
    random = np.random.default_rng(2)
    users, items, ratings = random.integers(0, 4, 30), random.integers(0, 3, 30), random.normal(size=30)
    u, v = random.normal(size=(4, 2)), random.normal(size=(3, 2))
    init = {"U": u.copy(), "V": v.copy()}
    optimizer, step = CASES[case]
    order = shuffle.order(0, 1, np.arange(30))
    for number, first in enumerate(range(0, 30, size), 1):
        rows = order[first : first + size]
        a, c = users[rows], items[rows]
        e = ratings[rows] - (u[a] * v[c]).sum(axis=1)
        du, dv = np.zeros_like(u), np.zeros_like(v)
        np.add.at(du, a, -2 * e[:, None] * v[c] / len(rows))
        np.add.at(dv, c, -2 * e[:, None] * u[a] / len(rows))
        u, v = step(number, "U", u, du), step(number, "V", v, dv)
    options = {"init": init, "optimizer": optimizer, "epochs": 1, "batch_size": size, "progress": False}
    result = model.fit(r=ratings, user=users, item=items, **options)
    np.testing.assert_allclose(result.params["U"], u, rtol=1e-12)
    np.testing.assert_allclose(result.params["V"], v, rtol=1e-12)


def test_per_sample_form_of_scalars():
    u, v, slope = symbols("u v slope")
    model = compile((slope * u - v) ** 2, wrt=slope, data=[u, v])
    us, vs = data()["t"], data()["x"][:, 0]
    expected = 0.0
    for epoch in (1, 2):
        order = shuffle.order(0, epoch, np.arange(SAMPLES))
        for first in range(0, SAMPLES, 10):
            rows = order[first : first + 10]
            expected -= 0.1 * np.mean(2 * (expected * us[rows] - vs[rows]) * us[rows])
    result = model.fit(u=us, v=vs, init={"slope": 0.0}, optimizer=SGD(0.1), epochs=2, batch_size=10, progress=False)
    np.testing.assert_allclose(result.params["slope"], expected, rtol=1e-12)
    assert isinstance(result.params["slope"], float)


def test_an_objective_without_data_is_descended():
    p, q = symbols("p q")
    result = compile((1 - p) ** 2 + 10 * (q - p**2) ** 2, wrt=[p, q]).fit(
        init={"p": -1.0, "q": 1.0}, optimizer=SGD(0.005), epochs=5000, progress=False
    )
    np.testing.assert_allclose([result.params["p"], result.params["q"]], [1.0, 1.0], atol=1e-3)


def test_what_is_not_a_sum_takes_all_samples_or_none():
    model = compile(sqrt(Sum((b - t[s]) ** 2, (s, 0, N - 1))), wrt=b)
    targets = data()["t"]
    with pytest.raises(MinibatchError, match="sqrt"):
        model.fit(t=targets, init={"b": 0.0}, batch_size=5, progress=False)
    with pytest.raises(MinibatchError, match="sqrt"):
        model.fit(t=targets, init={"b": 0.0}, valid=0.2, progress=False)
    for size in (None, SAMPLES, 1000):
        result = model.fit(t=targets, init={"b": 0.0}, epochs=300, batch_size=size, progress=False)
        np.testing.assert_allclose(result.params["b"], targets.mean(), rtol=1e-6)


def test_names_of_users_that_the_code_needs():
    order, first, batch, objective = symbols("order first batch objective")
    rows = IndexedBase("rows", shape=(N,))
    loss = Sum((order * rows[s] + first - batch * objective) ** 2, (s, 0, N - 1))
    inputs = {"rows": data()["t"], "batch": 2.0, "objective": 0.25, "init": {"order": 0.1, "first": 0.2}}
    result = compile(loss, wrt=[order, first]).fit(**inputs, epochs=200, batch_size=4, progress=False)
    np.testing.assert_allclose(result.params["first"], 0.5, atol=1e-3)
    np.testing.assert_allclose(result.params["order"], 0.0, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_parameter_that_does_not_occur_stays_where_it_is(dtype):
    idle, still = IndexedBase("idle", shape=(D,)), Symbol("still")
    model = compile(RIDGE, wrt=[w, b, idle, still], dtype=dtype)
    start = {**START, "idle": np.ones(FEATURES), "still": 2.0}
    result = model.fit(**data(), init=start, optimizer=Adam(0.05), epochs=2, batch_size=5, progress=False)
    assert result.params["idle"].tolist() == [1.0] * FEATURES
    assert result.params["still"] == 2.0
    assert result.params["b"] != START["b"]


@pytest.mark.parametrize("name", ["update", "epoch", "np", "value_and_grad", "x; import os"])
def test_names_of_users_that_mean_something_else(name):
    parameter = Symbol(name)
    model = compile((parameter * T - 1) ** 2, wrt=parameter, data=[T])
    result = model.fit(**{"t": np.ones(5), "init": {name: 0.0}}, epochs=1, batch_size=2, progress=False)
    np.testing.assert_allclose(result.params[name], 1 - 0.8**3, rtol=1e-12)


# Starting values


def test_defaults_are_zeros_for_vectors_and_random_numbers_for_matrices(model):
    options = {"optimizer": SGD(0.0), "epochs": 1, "progress": False}
    result = model.fit(**data(), **options)
    assert result.params["w"].tolist() == [0.0] * FEATURES
    assert result.params["b"] == 0.0
    H = symbols("H", integer=True, positive=True)
    W, V = IndexedBase("W", shape=(D, H)), IndexedBase("V", shape=(H,))
    hidden = Sum(V[k] * sympy.tanh(Sum(x[s, j] * W[j, k], (j, 0, D - 1))), (k, 0, H - 1))
    network = compile(Sum((hidden - t[s]) ** 2, (s, 0, N - 1)), wrt=[W, V])
    wide = {"x": np.ones((5, 400)), "t": np.zeros(5), "init": {"V": np.ones(50)}}
    start, again, other = (network.fit(**wide, seed=seed, **options).params["W"] for seed in (1, 1, 2))
    np.testing.assert_allclose(start.std(), 400**-0.5, rtol=0.05)
    assert start.tobytes() == again.tobytes() != other.tobytes()


def test_a_size_that_nothing_tells_is_named():
    V = IndexedBase("V", shape=(K,))
    hidden = compile(Sum((Sum(V[k], (k, 0, K - 1)) - t[s]) ** 2, (s, 0, N - 1)), wrt=V)
    with pytest.raises(ShapeError, match="size K") as caught:
        hidden.fit(t=data()["t"], progress=False)
    assert "V" in str(caught.value)


def test_the_largest_label_tells_how_many_classes_there_are():
    labels = np.array([0, 4, 2] + [1] * (SAMPLES - 3))
    options = {"x": data()["x"], "epochs": 1, "progress": False, "batch_size": 6}
    found = softmax().fit(gt=labels, **options).params["W"]
    assert found.shape == (FEATURES, 5)
    assert np.array_equal(found, softmax().fit(gt=labels.astype(float), **options).params["W"])


def test_a_shape_goes_before_labels():
    W = np.zeros((FEATURES, 7))
    assert softmax().fit(x=data()["x"], gt=np.zeros(SAMPLES, int), init={"W": W}, epochs=1, progress=False).params[
        "W"
    ].shape == (FEATURES, 7)


def test_labels_of_two_arrays_tell_two_sizes():
    U, V = IndexedBase("U", shape=(A, K)), IndexedBase("V", shape=(B, K))
    user, item = IndexedBase("user", shape=(N,)), IndexedBase("item", shape=(N,))
    guess = Sum(U[user[s], k] * V[item[s] + 1, k], (k, 0, K - 1))
    factors = compile(Sum((guess - t[s]) ** 2, (s, 0, N - 1)), wrt=[U, V])
    given = {"user": [0, 3, 1], "item": [2, 0, 1], "t": [1.0, 2.0, 3.0]}
    with pytest.raises(ShapeError, match="size K"):
        factors.fit(**given, progress=False)
    start = {"V": np.ones((4, 2))}
    assert factors.fit(**given, init=start, epochs=1, progress=False).params["U"].shape == (4, 2)
    start = {"U": np.ones((4, 2))}
    assert factors.fit(**given, init=start, epochs=1, progress=False).params["V"].shape == (4, 2)


@pytest.mark.parametrize("label", [10**13, 2**62])
def test_a_label_far_too_large_is_no_internal_error(label):
    labels = np.array([label] + [0] * (SAMPLES - 1))
    with pytest.raises(ShapeError, match=r"W of shape .* does not fit into memory"):
        softmax().fit(x=data()["x"], gt=labels, progress=False)


def test_labels_below_zero_are_refused_where_they_tell_the_size():
    with pytest.raises(LabelError, match="gt"):
        softmax().fit(x=data()["x"], gt=np.full(SAMPLES, -1), progress=False)


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"init": {"v": 1.0}}, UnknownNameError, "'v'"),
        ({"init": {"lam": 1.0}}, UnknownNameError, "lam"),
        ({"init": {"w": np.zeros(4), "b": 0.0}}, ShapeError, "w"),
        ({"w": np.zeros(FEATURES), "init": START}, ArgumentError, "given twice"),
        ({"lam": None}, GradcompileError, "lam"),
        ({"x": np.where(np.eye(SAMPLES, FEATURES) > 0, np.nan, 1.0)}, DataError, "nan"),
        ({"x": np.zeros((0, FEATURES)), "t": np.zeros(0)}, DataError, "empty"),
        ({"x": np.zeros((5, FEATURES))}, ShapeError, "N"),
        ({"z": 1.0}, UnknownNameError, "'z'"),
        ({"optimizer": 0.1}, ArgumentError, r"pass gc\.SGD\(0\.1\)"),
        ({"optimizer": Adam}, ArgumentError, r"pass gc\.Adam\(0\.001\)"),
        ({"optimizer": SGD}, ArgumentError, r"pass gc\.SGD\(0\.1\)"),
        ({"optimizer": "adam"}, ArgumentError, r"pass gc\.Adam\(0\.001\)"),
        ({"optimizer": "rmsprop(0.02)"}, ArgumentError, r"pass gc\.RMSProp\(0\.02\)"),
        ({"optimizer": "lbfgs"}, ArgumentError, r"pass gc\.SGD\(0\.1\) or gc\.Adam\(0\.001\)"),
        ({"optimizer": type("AdamW", (), {})()}, ArgumentError, r"pass gc\.AdamW\(0\.001\)"),
        ({"optimizer": None}, ArgumentError, r"pass gc\.SGD\(0\.1\) or gc\.Adam\(0\.001\)"),
        ({"epochs": 0}, ArgumentError, "epochs"),
        ({"epochs": 2.5}, ArgumentError, "epochs"),
        ({"batch_size": 0}, ArgumentError, "batch_size"),
        ({"batch_size": "all"}, ArgumentError, "batch_size"),
        ({"seed": -1}, ArgumentError, "seed"),
        ({"valid": 1.5}, ArgumentError, "valid"),
        ({"valid": 3}, ArgumentError, "valid"),
        ({"patience": 0}, ArgumentError, "patience"),
        ({"min_improvement": -1.0}, ArgumentError, "min_improvement"),
        ({"min_improvement": "small"}, ArgumentError, "min_improvement='small'"),
        ({"init": {**START, "b": np.nan}}, DataError, "b is nan"),
        ({"momentum": 0.9}, UnknownNameError, r"gc\.SGD\(0\.1, momentum=0\.9\)"),
        ({"validation_split": 0.2}, UnknownNameError, "valid="),
        ({"sample_weight": np.ones(SAMPLES)}, UnknownNameError, "multiply the terms"),
        ({"valid": {"x": np.zeros((2, FEATURES))}}, ArgumentError, "lack 't', of which each sample has its own"),
        ({"valid": {"x": np.full((2, FEATURES), np.inf), "t": np.zeros(2)}}, DataError, "inf"),
    ],
)
def test_mistakes_are_told(model, changed, kind, words):
    options = {**data(), "init": START, "progress": False, **changed}
    with pytest.raises(kind, match=words):
        model.fit(**options)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_many_data_are_looked_at_while_the_first_epoch_runs(model, threads, wrong, monkeypatch):
    monkeypatch.setattr(descent, "MANY", 0)
    monkeypatch.setattr(descent, "get_threads", lambda: threads)
    inputs = data()
    inputs["x"][17, 1] = wrong
    with pytest.raises(DataError, match=rf"x has {wrong} in row 17"):
        model.fit(**inputs, init=START, epochs=3, batch_size=4, progress=False)
    inputs["x"][17, 1] = 0.0
    assert model.fit(**inputs, init=START, epochs=3, batch_size=4, progress=False).stopped == "finished"


def test_a_missing_constant_is_named(model):
    inputs = data()
    del inputs["lam"]
    with pytest.raises(ArgumentError, match="lam"):
        model.fit(**inputs, progress=False)


def test_labels_out_of_range_are_refused():
    labels = np.zeros(SAMPLES, int)
    labels[3] = 4
    with pytest.raises(LabelError, match="gt"):
        softmax().fit(x=data()["x"], gt=labels, init={"W": np.zeros((FEATURES, 4))}, progress=False)


# Validation and stopping


def objective(inputs, p, count):
    return gradient(inputs, p, np.arange(len(inputs["t"])), count)[0]


def test_validation_on_other_data(model):
    """The regulariser weighs what it weighs in training: over the number of training samples."""
    other = data(7, seed=9)
    valid = {"x": other["x"], "t": other["t"]}
    result = model.fit(**data(), init=START, epochs=2, batch_size=5, valid=valid, progress=False)
    np.testing.assert_allclose(result.history[-1].validation, objective(other, result.params, SAMPLES), rtol=1e-12)


def test_validation_holds_samples_out(model):
    inputs = data()
    train, held = shuffle.split(4, SAMPLES, 0.3)
    part = {"x": inputs["x"][train], "t": inputs["t"][train], "lam": 0.8}
    other = {"x": inputs["x"][held], "t": inputs["t"][held], "lam": 0.8}
    for size in (None, 4):
        result = model.fit(**inputs, init=START, epochs=1, batch_size=size, valid=0.3, seed=4, progress=False)
        found = objective(other, result.params, len(train))
        np.testing.assert_allclose(result.history[-1].validation, found, rtol=1e-12)
    p, rows = dict(START), np.arange(len(train))
    p = {name: p[name] - 0.1 * g for name, g in gradient(part, p, rows, len(train))[1].items()}
    result = model.fit(**inputs, init=START, epochs=1, batch_size=None, valid=0.3, seed=4, progress=False)
    np.testing.assert_allclose(result.params["w"], p["w"], rtol=1e-12)


def test_one_sample_cannot_be_split(model):
    with pytest.raises(DataError, match="split"):
        model.fit(x=np.ones((1, FEATURES)), t=np.ones(1), lam=0.1, valid=0.5, progress=False)


def test_validation_of_an_objective_that_is_not_a_sum():
    model = compile(sqrt(Sum((b - t[s]) ** 2, (s, 0, N - 1))), wrt=b)
    result = model.fit(t=np.arange(5.0), valid={"t": np.arange(3.0)}, epochs=2, progress=False)
    expected = model.value(t=np.arange(3.0), b=result.params["b"])
    np.testing.assert_allclose(result.history[-1].validation, expected, rtol=1e-12)


def test_validation_data_give_nothing_that_is_learned(model):
    given = data()
    with pytest.raises(ArgumentError, match="'w', which is learned"):
        model.fit(**given, valid={"x": given["x"], "t": given["t"], "w": np.ones(FEATURES)}, epochs=1, progress=False)


def test_validation_data_are_whole_samples(model):
    """As many as there are to train on: the targets of those would fit in number."""
    with pytest.raises(ArgumentError, match="lack 't'"):
        model.fit(**data(), valid={"x": data(seed=9)["x"]}, epochs=1, progress=False)


def test_early_stopping_returns_the_best_parameters(model):
    """Validation data that pull the other way: the objective on them rises after a few epochs."""
    inputs, other = data(), data(11, seed=3)
    other["t"] = 0.2 * other["t"]
    valid = {"x": other["x"], "t": other["t"]}
    options = {"init": {"w": np.zeros(3), "b": 0.0}, "optimizer": SGD(0.01), "batch_size": 5, "progress": False}
    result = model.fit(**inputs, valid=valid, epochs=500, patience=4, **options)
    assert result.stopped == "no improvement"
    watched = [record.validation for record in result.history]
    best = int(np.argmin(watched))
    assert len(watched) == best + 1 + 4
    np.testing.assert_allclose(objective(other, result.params, SAMPLES), watched[best], rtol=1e-12)


def test_early_stopping_on_the_training_objective(model):
    options = {"epochs": 10_000, "batch_size": None, "patience": 3, "min_improvement": 1e-6, "progress": False}
    result = model.fit(**data(), init=START, **options)
    assert result.stopped == "no improvement"
    assert len(result.history) < 1000


@pytest.mark.parametrize("size", [5, None])
def test_what_diverges_stops_with_the_last_finite_parameters(model, size):
    result = model.fit(**data(), init=START, optimizer=SGD(1e6), epochs=1000, batch_size=size, progress=False)
    assert result.stopped == "not finite"
    assert "rate" in result.reason
    assert np.isfinite(result.params["w"]).all()
    assert math.isfinite(result.params["b"])
    assert len(result.history) < 1000
    assert all(math.isfinite(record) for record in result.history)


@pytest.fixture
def interrupt_after():
    """Send Ctrl-C after some seconds, also where the tests run in a background that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda seconds: threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_returns_what_was_learned(model, interrupt_after):
    options = {**data(2000), "init": START, "optimizer": SGD(1e-3), "batch_size": 1, "progress": False}
    model.fit(**options, epochs=1)  # compiled before the clock starts
    interrupt_after(0.5)
    began = time.perf_counter()
    result = model.fit(**options, epochs=10**9)
    assert time.perf_counter() - began < 1.5
    assert result.stopped == "interrupted"
    assert result.history
    assert np.abs(result.params["w"] - [1.0, -2.0, 0.5]).max() < 0.2


def test_an_interrupt_is_heard_where_python_drops_its_exception(model, interrupt_after, monkeypatch):
    class Dropping:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    @contextmanager
    def interrupted(total, wanted):
        yield lambda done, words: Dropping() and None

    dropped = []
    monkeypatch.setattr("sys.unraisablehook", dropped.append)
    monkeypatch.setattr("gradcompile.train.descent.progress_bar", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    result = model.fit(**data(), init=START, epochs=50, batch_size=5)
    assert result.stopped == "interrupted"
    assert len(dropped) == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_training_in_another_thread_hears_no_interrupts(model):
    results = []
    thread = threading.Thread(target=lambda: results.append(model.fit(**data(), init=START, epochs=2, progress=False)))
    thread.start()
    thread.join()
    assert [result.stopped for result in results] == ["finished"]


def test_an_interrupt_while_compiling_returns_the_start(model, interrupt_after, monkeypatch):
    made, begun = objects._machine_code, []

    def slowly(*arguments):
        if not begun:  # it is then that the clock starts, however long all before it takes
            begun.append(time.perf_counter())
            interrupt_after(0.15)
        time.sleep(0.3)  # a compilation takes less than the clock's 0.15 s on some machines
        return made(*arguments)

    monkeypatch.setattr(objects, "_machine_code", slowly)
    options = {**data(), "init": START, "optimizer": Adam(0.0123), "batch_size": 6, "progress": False}
    result = model.fit(**options, epochs=10**9)
    assert time.perf_counter() - begun[0] < 1.2
    assert result.stopped == "interrupted"
    assert result.history == []
    assert result.params["w"].tolist() == START["w"].tolist()
    assert model.fit(**options, epochs=1).stopped == "finished"


def test_only_what_no_training_has_called_yet_is_compiled_in_the_background(monkeypatch):
    begun, compiled = [], descent.in_background
    monkeypatch.setattr(descent, "in_background", lambda work: [begun.append(work), compiled(work)])
    options, fresh = {"init": START, "epochs": 1, "progress": False}, ridge()

    def compilations(samples, batch, rate):
        begun.clear()
        fresh.fit(**data(samples), **options, optimizer=SGD(rate), batch_size=batch)
        return len(begun)

    assert [compilations(23, 5, 0.1), compilations(23, 5, 0.1), compilations(40, 5, 0.1)] == [1, 0, 0]
    assert [compilations(23, 6, 0.1), compilations(23, 5, 0.2), compilations(23, 23, 0.1)] == [1, 1, 1]
    assert compilations(23, 5, 0.2) == 0


def test_nothing_is_printed_where_there_is_no_terminal(model, capfd):
    model.fit(**data(), init=START, epochs=2, batch_size=5)
    model.fit(**data(), init=START, epochs=2, batch_size=5, progress=False)
    assert capfd.readouterr() == ("", "")


def test_no_bar_where_stderr_is_closed(monkeypatch, model):
    monkeypatch.setattr("sys.stderr", None)
    assert model.fit(**data(), init=START, epochs=1, progress=True).history


def test_a_bar_is_shown_on_a_terminal(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    model.fit(**data(), init=START, epochs=2, batch_size=5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "objective" in shown.err


def test_kernels_are_made_once(model, monkeypatch):
    options = {**data(), "init": START, "optimizer": SGD(0.0625), "epochs": 1, "batch_size": 5, "progress": False}
    model.fit(**options)
    monkeypatch.setattr("gradcompile.train.task.kernel", None)
    model.fit(**options)


@pytest.mark.parametrize(("rate", "words"), [(0.1, "all 20 epochs are done"), (1.2, "grew .*: try a rate below 1.2")])
def test_a_training_in_which_the_objective_grew_says_so(rate, words):
    """A rate that is too large for steps to converge, and small enough for all to stay finite."""
    line = compile(parse("x: data[N]\nw: parameter\nloss = Sum((w*x[n] - 1)**2, n)/N"))
    result = line.fit(x=[1.0, 1.0], init={"w": 0.0}, optimizer=SGD(rate), progress=False)
    assert result.stopped == "finished"
    assert re.search(words, result.reason)
    assert ("grew" in result.reason) == (rate > 1)


@pytest.fixture(scope="module")
def trained():
    line = compile(parse("x: data[N]\nw: parameter\ny[n] = w*x[n]\nloss = Sum((y[n] - 1)**2, n)"))
    return line.fit(x=[1.0, 1.0], init={"w": 0.0}, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("name", "to_do"),
    [
        ("predict", "result.model.predict"),
        ("coef_", "params"),
        ("histroy", "'history'"),
        ("fun", "history"),
        ("q", "it has"),
    ],
)
def test_a_result_says_what_it_has(trained, name, to_do):
    with pytest.raises(AttributeError, match=f"to do: .*{to_do}"):
        getattr(trained, name)
    assert copy.deepcopy(trained).params == trained.params


def test_predictions_are_asked_for_by_name(trained):
    for wrong in (lambda: trained.model.predict(np.ones(2)), lambda: trained.model.predict(x=np.ones(2))):
        with pytest.raises(ArgumentError, match="name of an output first"):
            wrong()
    with pytest.raises(ArgumentError, match="by name"):
        trained.model.predict("y", np.ones(2))
    with pytest.raises(AttributeError, match=r"model\.predict"):
        trained.model.score(x=np.ones(2))
