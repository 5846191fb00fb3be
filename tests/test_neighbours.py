"""Models in which what is computed once is read in several places: of neighbours, of rivals, of times before."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from gradcompile import passes
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from tests.oracle import Problem, exact
from tests.texts import assert_right, gradient_of
from tests.zoo import load_uncompiled

ATTENTION = """
    x:  data[N, D]
    nb: labels[N, K]
    W:  parameter[D, H]
    a:  parameter[H]
    b:  parameter[H]
    h[n, i] = Sum(x[n, d]*W[d, i], d)
    s[n]    = Sum(h[n, i]*a[i], i)
    t[n]    = Sum(h[n, i]*b[i], i)
    e[n, k] = max(s[n] + t[nb[n, k]], 0.2*(s[n] + t[nb[n, k]]))
    z[n, i] = tanh(Sum(softmax(e[n, k], k)*h[nb[n, k], i], k))
    loss    = Sum(z[n, i]**2, n, i)
"""
CONVOLUTION = """
    x:  data[N, D]
    y:  data[N]
    nb: labels[N, K]
    W:  parameter[D, H]
    v:  parameter[H]
    h[n, i] = sigmoid(Sum(x[n, d]*W[d, i], d))
    loss    = Sum((Sum(h[nb[n, k], i]*v[i], k, i) - y[n])**2, n)
"""
RANKING = """
    x: data[N, L, D]
    r: data[N, L]
    W: parameter[D, H]
    v: parameter[H]
    s[n, i] = Sum(tanh(Sum(x[n, i, d]*W[d, k], d))*v[k], k)
    loss    = Sum(where(r[n, i] > r[n, j], log(1 + exp(s[n, j] - s[n, i])), 0), n, i, j)
"""
DILATED = """
    x: data[N, T, D]
    A: parameter[3, D, H]
    B: parameter[3, H, H]
    v: parameter[2, H]
    h[n, t, f] = max(0, Sum(x[n, t + k, d]*A[k, d, f], k, d))
    g[n, t, f] = tanh(Sum(h[n, t + 2*k, c]*B[k, c, f], k, c))
    loss       = Sum(Sum(g[n, t + 4*k, c]*v[k, c], k, c)**2, n, t)
"""
MESSAGES = """
    e: labels[M]
    f: labels[M]
    x: data[N, D]
    t: data[N]
    A: parameter[D, H]
    W: parameter[H, H]
    o: parameter[H]
    h[n, k] = max(0, Sum(x[n, j]*A[j, k], j))
    m[n, k] = h[n, k] + Sum(where(e[q] == n, h[f[q], k], 0), q)
    y[n]    = Sum(o[l]*tanh(Sum(m[n, k]*W[k, l], k)), l)
    loss    = Sum((y[n] - t[n])**2, n)
"""
MODELS = {
    "attention": ATTENTION,
    "convolution": CONVOLUTION,
    "ranking": RANKING,
    "dilated": DILATED,
    "messages": MESSAGES,
}
FEW = {"N": 2, "D": 2, "H": 2, "K": 2, "L": 2, "T": 11, "M": 3}
MANY = {"N": 300, "D": 4, "H": 5, "K": 3, "L": 6, "T": 17, "M": 900}


def drawn(text: str, sizes: dict[str, int]) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a model, its data and its parameters."""
    random = np.random.default_rng(0)
    data, parameters = {}, {}
    for name, role, axes in re.findall(r"(\w+): +(\w+)\[(.*)\]", text):
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes.split(", ")]
        array = random.integers(0, sizes["N"], shape) if role == "labels" else random.normal(size=shape) / 2
        (parameters if role == "parameter" else data)[name] = array
    return gc.compile(gc.parse(text)), data, parameters


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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "attention")) for name in MODELS]
)
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


def test_what_neighbours_read_is_computed_once() -> None:
    """Each has K neighbours, for each of which its layer would be computed again."""
    gradient = gradient_of(ATTENTION)
    assert gradient.count("gemm(") == 2  # the layer and its gradient
    assert gradient.count("vtanh(") == gradient.count("vexp(") == 1


def test_what_is_added_to_neighbours_is_added_where_it_is_computed() -> None:
    """A pass of its own would compute it again: the layer, the objective, and what comes back to the layer."""
    assert gradient_of(ATTENTION).count("for first in range(0, N, T)") == 3


def test_rows_that_edges_pick_are_in_one_place_each() -> None:
    """Slopes come feature by feature: laid so, a message would touch a line of the cache for each number."""
    assert re.search(r"dh\[minimum\(.*\), k\] \+= \w+\[\w+\[q\], k\] if", gradient_of(MESSAGES))


def test_what_is_not_samples_adds_to_samples(tmp_path: Path) -> None:
    """The loop that adds is one over other things, and comes in no pass over the samples."""
    text = """
        x: data[D]
        y: data[D]
        g: labels[N]
        W: parameter[D]
        loss = log(Sum(x[d]*y[d], d)) + log(Sum(exp(W[g[n]]), n))
    """
    loops = load_uncompiled(gc.compile(gc.parse(text)).source, tmp_path / "loops.py")
    x, g, W = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2, 2]), np.array([0.5, 1.0, 2.0])
    value, (dW,) = loops.value_and_grad(W, x, x, g)
    total = np.exp(0.5) + 3 * np.exp(2)
    assert value == pytest.approx(np.log(14) + np.log(total), rel=1e-14)
    np.testing.assert_allclose(dW, [np.exp(0.5) / total, 0, 3 * np.exp(2) / total], rtol=1e-13)


def test_a_network_is_computed_once_for_both_of_a_pair() -> None:
    gradient = gradient_of(RANKING)
    assert gradient.count("gemm(") == 2
    assert gradient.count("vtanh(") == gradient.count("vsoftplus(") == gradient.count("vsigmoid(") == 1


def test_sums_over_either_of_a_pair_run_in_one_loop() -> None:
    """One that began with the other would need a second loop, and what both are made of for all pairs."""
    _, after = gradient_of(RANKING).split("vsigmoid(")
    assert len(re.findall(r"\[\w+, n\] [+-]= ", after[: after.index("for ")])) == 2


def test_a_layer_of_dilated_windows_is_computed_once() -> None:
    assert gradient_of(DILATED).count("gemm(") == 5  # two layers, with their gradients but for that of x


DECONVOLUTION = """
    y: data[N - K + 1]
    h: parameter[K]
    u: parameter[N]
    loss = Sum((y[n] - Sum(h[k]*exp(2*u[n + k]), k))**2, n)
"""


def test_functions_of_what_a_window_slides_over_are_computed_once() -> None:
    assert re.findall(r"vexp\((.*)\)  #", gradient_of(DECONVOLUTION)) == ["2*u[i]"]
    stays = DECONVOLUTION.replace("exp(2*u[n + k])", "exp(2*u[n + k]*h[k])")  # of more than the window has
    assert re.search(r"vexp\(.*u_w\[k \+ n\]", gradient_of(stays))


def test_windows_along_the_samples_count_from_the_first_of_a_block() -> None:
    """LLVM does not know that the first one is not negative, and would look up every number by itself."""
    gradient = gradient_of(DECONVOLUTION)
    assert len(set(re.findall(r"(\w+)_w = \1\[first:\]", gradient))) == 2  # what is read, and what is added to
    assert "first + " not in gradient.replace("[first:first + ", "")
    model = gc.compile(gc.parse(DECONVOLUTION))
    random = np.random.default_rng(0)
    u, h, y = random.normal(size=1004) / 4, random.normal(size=5), random.normal(size=1000)
    value, (dh, du) = model.value_and_grad(u=u, h=h, y=y)
    windows = np.lib.stride_tricks.sliding_window_view(np.exp(2 * u), 5)
    rest = y - windows @ h
    assert value == pytest.approx(np.sum(rest**2), rel=1e-13)
    assert dh == pytest.approx(-2 * windows.T @ rest, rel=1e-11)
    assert du == pytest.approx(-4 * np.exp(2 * u) * np.convolve(rest, h), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("index", "sample", "step", "start", "counted"),
    [("n + 2 - k", 1, -1, 2, "x_w = x[first:]"), ("2*n + k", 2, 1, 0, "(first + n)")],
)
def test_other_windows_count_from_the_first_of_all(
    index: str, sample: int, step: int, start: int, counted: str
) -> None:
    text = f"""
        x: data[M]
        y: data[N]
        h: parameter[3]
        loss = Sum((y[n] - Sum(h[k]*exp(h[k]*x[{index}]), k))**2, n)
    """
    assert counted in gradient_of(text)
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(0)
    x, y, h = random.normal(size=1300), random.normal(size=600), random.normal(size=3)
    value, (gradient,) = model.value_and_grad(x=x, y=y, h=h)
    n, k = np.arange(600)[:, None], np.arange(3)
    read = x[sample * n + step * k + start]
    rest = y - (h * np.exp(h * read)).sum(axis=1)
    assert value == pytest.approx(np.sum(rest**2), rel=1e-12)
    expected = -2 * (rest[:, None] * (np.exp(h * read) * (1 + h * read))).sum(axis=0)
    assert gradient == pytest.approx(expected, rel=1e-11)


def test_windows_that_are_read_both_ways_count_from_where_each_begins() -> None:
    text = """
        x: data[M]
        y: data[N]
        h: parameter[3]
        loss = Sum((y[n] - Sum(h[k]*exp(h[k]*x[n + 2 - k]*x[n + k]), k))**2, n)
    """
    assert "x_k = x[2 + first - k:]" in gradient_of(text)
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(size=12), "y": random.normal(size=10), "h": random.normal(size=3) / 2}
    model = gc.compile(gc.parse(text))
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(text, arrays, model.value_and_grad(**arrays))


def axes_read(text: str) -> list[list[str]]:
    """Return the sizes of the computed arrays that are read at other places than their own."""
    graph = lower(gc.parse(text))
    order = passes.prepare(replace(graph, outputs={"value": graph.outputs["value"]})).order()
    reads = [v for v in order if v.op == "read" and any(i.op != "iota" for i in v.operands[1:])]
    return [[str(a.size) for a in v.operands[0].axes] for v in reads if v.operands[0].op != "input"]


SIX_TIMES = "x: data[N]\nw: parameter\ng: labels[N, 6]\nh[n] = {}\nloss = Sum({}, n, k)\n"


@pytest.mark.parametrize(
    ("text", "arrays"),
    [
        (SIX_TIMES.format("tanh(w*x[n])", "h[g[n, k]]**2"), [["N"]]),
        (SIX_TIMES.format("log(w*x[n])", "h[g[n, k]]**2"), []),  # what no label takes may be undefined
        (SIX_TIMES.format("log(w*x[n])", "h[n]*h[g[n, k]]"), [["N"]]),  # and is not where all of it is taken
        (SIX_TIMES.format("tanh(w*x[n])", "where(x[n] > 0, h[g[n, k]], 0)"), []),  # in branches neither
        ("g: labels[N]\nE: parameter[V]\nW: parameter[3]\nh[v] = Sum(E[v]*W[d], d)\nloss = Sum(h[g[n]]**2, n)\n", []),
        ("g: labels[N]\nE: parameter[N]\nh[v] = tanh(E[v])\nloss = Sum(h[g[n]], n)\n", []),  # as many places
        ("g: labels[9]\nE: parameter[5]\nh[v] = tanh(E[v])\nloss = Sum(h[g[n]], n)\n", [["5"]]),
        ("g: labels[5]\nE: parameter[9]\nh[v] = tanh(E[v])\nloss = Sum(h[g[n]], n)\n", []),
        ("g: labels[N, 9]\nE: parameter[5]\nh[v] = tanh(E[v])\nloss = Sum(h[g[n, k]], n, k)\n", [["5"]]),
    ],
)
def test_an_array_is_computed_if_more_is_read_of_it(text: str, arrays: list[list[str]]) -> None:
    assert axes_read(text) == arrays


def test_what_is_never_read_does_not_spoil_a_gradient() -> None:
    """Of the logarithm of 0, which nobody has as a neighbour, nothing comes back."""
    model = gc.compile(gc.parse(SIX_TIMES.format("log(w*x[n])", "h[g[n, k]]**2")))
    x = np.array([0.0, 1.0, 2.0])
    value, (dw,) = model.value_and_grad(x=x, w=2.0, g=np.array([[1, 2, 1, 2, 1, 2]] * 3))
    logs = np.log(2 * x[1:])
    assert value == pytest.approx(9 * np.sum(logs**2), rel=1e-14)
    assert dw == pytest.approx(9 * np.sum(2 * logs / 2), rel=1e-14)


@pytest.mark.parametrize(
    ("length", "function", "arrays"),
    [
        ("T", "tanh", [["T"]]),
        ("T", "log", []),  # if T is 5, there is one place, from which the windows leave out 1 and 3
        ("5", "tanh", []),
        ("6", "log", [["6"]]),
    ],
)
def test_windows_with_steps_cover_an_array_of_unknown_length(
    length: str, function: str, arrays: list[list[str]]
) -> None:
    text = f"x: data[{length}]\nw: parameter\nv: parameter[3]\nh[t] = {function}(w*x[t])\n"
    assert axes_read(text + "loss = Sum(Sum(h[t + 2*k]*v[k], k)**2, t)\n") == arrays


@pytest.mark.slow
def test_training_takes_steps_of_the_gradients() -> None:
    """Of a minibatch, the layers of a few are computed; their neighbours are not among them."""
    text = """
        x:  data[M, D]
        y:  data[N]
        nb: labels[N, K]
        W:  parameter[D, H]
        h[m, i] = tanh(Sum(x[m, d]*W[d, i], d))
        loss    = Sum((Sum(h[nb[n, k], i], k, i) - y[n])**2, n)
    """
    model, data, parameters = drawn(text, MANY | {"M": 300})
    trained = model.fit(**data, init=parameters, optimizer=gc.SGD(1e-3), epochs=1, batch_size=300, progress=False)
    _, gradient = model.value_and_grad(**data, **parameters)
    np.testing.assert_allclose(trained.params["W"], parameters["W"] - 1e-3 * gradient[0] / 300, rtol=1e-12)


def test_no_array_is_filled_that_nothing_reads() -> None:
    """Windows that a product takes have a copy of their own, and so the data have none."""
    text = """
        x: data[N, 8, D]
        W: parameter[2, D, F]
        V: parameter[2, F, D]
        h[n, i, f] = max(0, Sum(x[n, 2*i + p, d]*W[p, d, f], p, d))
        loss       = Sum((Sum(h[n, i, f]*V[p, f, d], f) - x[n, 2*i + p, d])**2, n, i, p, d)
    """
    names = [node for node in ast.walk(ast.parse(gradient_of(text).split("@njit")[0])) if isinstance(node, ast.Name)]
    stored, read = ({n.id for n in names if isinstance(n.ctx, context)} for context in (ast.Store, ast.Load))
    assert not stored - read


def test_an_autoregression_takes_its_samples_in_blocks_and_each_lag_along_them() -> None:
    text = """
        x: data[T]
        a: parameter[P]
        c: parameter
        loss = Sum(log(1 + (x[t + 5] - c - Sum(a[p]*x[t + 4 - p], p))**2), t)
    """
    gradient = gradient_of(text)
    assert "x_p = x[first + p + 5 - P:]" in gradient
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(0)
    x, a = random.normal(size=1000), random.normal(size=4)
    value, (da, dc) = model.value_and_grad(x=x, a=a, c=0.1)
    lags = np.lib.stride_tricks.sliding_window_view(x, 5)[:-1, :0:-1]
    rest = x[5:] - 0.1 - lags @ a
    slope = 2 * rest / (1 + rest**2)
    assert value == pytest.approx(np.sum(np.log1p(rest**2)), rel=1e-12)
    assert da == pytest.approx(-lags.T @ slope, rel=1e-10)
    assert dc == pytest.approx(-np.sum(slope), rel=1e-10)


def test_a_place_that_a_branch_keeps_from_being_read_is_none_to_begin_a_window_at() -> None:
    text = """
        x: data[N]
        a: parameter[4]
        loss = Sum((x[n] - Sum(where(n > k, a[k]*x[n - k - 1], 0), k))**2, n)
    """
    assert "- k - 1:]" not in gradient_of(text)
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(0)
    x, a = random.normal(size=700), random.normal(size=4)
    value, (da,) = model.value_and_grad(x=x, a=a)
    lags = np.stack([np.concatenate([np.zeros(k + 1), x[: -k - 1]]) for k in range(4)], axis=1)
    rest = x - lags @ a
    assert value == pytest.approx(np.sum(rest**2), rel=1e-12)
    assert da == pytest.approx(-2 * lags.T @ rest, rel=1e-10)
