"""Ranges that follow from ``x[i + a]``: what they are, what they compute against 50 digits, and what is refused."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import gradcompile as gc
from gradcompile.errors import GradcompileError, ParseError, ShapeError
from gradcompile.interpret import evaluate
from gradcompile.language import Limits
from tests.oracle import Answer, Problem, exact
from tests.test_zoo import assert_answer
from tests.zoo import arguments, as_passed, call, load, load_uncompiled, numbers

CONVOLUTIONS = """
x: data[N, T]
t: data[N]
w: parameter[K, F]
v: parameter[L, F]
b: parameter[F]
h[n, i, f] = tanh(Sum(x[n, i + a]*w[a, f], a) + b[f])
g[n, i, f] = tanh(Sum(h[n, i + a, f]*v[a, f], a))
y[n] = Sum(Mean(g[n, i, f], i), f)
loss = Sum((y[n] - t[n])**2, n)
"""
POOLED = """
x: data[N, 10]
t: data[N]
w: parameter[3, F]
b: parameter[F]
z[n, i, f] = Sum(x[n, i + a]*w[a, f], a) + b[f]
h[n, i, f] = max(z[n, i, f]/8, z[n, i, f])
p[n, j, f] = Max(h[n, 2*j + a, f], a, 0, 1)
q[n, f] = Mean(p[n, j, f], j)
loss = Sum((Sum(q[n, f], f) + Max(h[n, i, 0], i) - t[n])**2, n)
"""
AUTOREGRESSION = """
x: data[N]
a: parameter[3]
c: parameter
e[t] = x[t + 3] - c - Sum(a[k]*x[t + 2 - k], k)
loss = Sum(e[t]**2, t)
"""
MOVING_AVERAGE = """
x: data[N]
s: parameter
m[t] = Mean(x[t + k], k, 0, 4)
loss = Sum((x[t + 2] - s*m[t])**2, t)
"""
CUMULATIVE = """
c: parameter[K]
d: data[K]
q[i] = Sum(exp(c[j]), j, 0, i)
loss = Sum(log(q[i] + i)**2, i) + Sum((d[i + 1] - d[i + 2]*c[i])**2, i, 0, K - 3)
"""
DIFFERENCES = """
x: data[N]
z: data[N]
u: parameter[H, W]
s: parameter[N]
d[i] = s[i + 1] - s[i]
c[i] = d[i + 1]/x[i] - d[i]
l[i, j] = u[i + 2, j + 1] + u[i, j + 1] + u[i + 1, j + 2] + u[i + 1, j] - 4*u[i + 1, j + 1]
loss = Sum(c[i]**2, i) + Sum(exp(l[i, j]), i, j) + Sum((u[k, i + 1] - u[k, i])**2, k, i) + Mean((s[i + 1] - z[i])**2, i)
"""
x39, x310 = numbers(3, 9, seed=1), numbers(3, 10, seed=9)
w32, v22, b2, t3 = numbers(3, 2, seed=2), numbers(2, 2, seed=3), numbers(2, seed=4), numbers(3, seed=5)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "two convolutions": (CONVOLUTIONS, {"x": x39, "t": t3, "w": w32, "v": v22, "b": b2}),
    "pooled convolution": (POOLED, {"x": x310, "t": t3, "w": w32, "b": b2}),
    "autoregression": (AUTOREGRESSION, {"x": numbers(9, seed=6), "a": numbers(3, seed=7), "c": 0.3}),
    "moving average": (MOVING_AVERAGE, {"x": numbers(9, seed=6), "s": 0.7}),
    "differences": (
        DIFFERENCES,
        {"x": numbers(5, seed=6), "z": numbers(5, seed=7), "u": numbers(4, 5, seed=8), "s": numbers(5, seed=10)},
    ),
    "cumulative sum": (CUMULATIVE, {"c": numbers(5, seed=8), "d": numbers(5, seed=10)}),
}


@functools.cache
def problem_of(name: str) -> Problem:
    text, inputs = MODELS[name]
    model = gc.parse(text)
    return Problem(model.objective, list(model.wrt), inputs, define=dict(model.definitions))


@functools.cache
def answer_of(name: str) -> Answer:
    return exact(problem_of(name))


def check(name: str, value: Any, grads: dict[str, Any]) -> None:
    assert_answer(answer_of(name), value, grads)


@pytest.mark.parametrize("name", MODELS)
def test_interpreter(name: str) -> None:
    text, inputs = MODELS[name]
    outputs = evaluate(gc.compile(gc.parse(text)).graph, {n: np.asarray(v) for n, v in inputs.items()})
    check(name, outputs["value"], {n: outputs[f"d{n}"] for n in problem_of(name).names})


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_module(name: str, target: str, tmp_path: Path) -> None:
    problem = problem_of(name)
    read = load_uncompiled if target == "numba" else load
    module = read(gc.emit(**arguments(problem), target=target), tmp_path / "module.py")
    given = problem.inputs.items()
    inputs = {n: np.asarray(v).tolist() if target == "python" else as_passed(v) for n, v in given}
    value, grads = module.value_and_grad(**inputs)
    check(name, value, dict(zip(problem.names, grads, strict=True)))


@pytest.mark.parametrize("name", ["two convolutions", "cumulative sum", "differences"])
def test_kernel(name: str) -> None:
    problem = problem_of(name)
    value, grads = call(gc.compile(gc.parse(MODELS[name][0])).wait().value_and_grad, problem)
    check(name, value, dict(zip(problem.names, grads, strict=True)))


SOFTMAX = """
x: data[N]
a: parameter
p[i] = softmax(a*x[i + 1], i)
loss = Sum(p[i]**2, i) + Sum(softmax(a*x[t + 2], t)*x[t + 3], t) + Sum(softmax(x[j], j)*a, j, 0, 2)
"""


@pytest.mark.parametrize("text", [*(text for text, _ in MODELS.values()), SOFTMAX], ids=[*MODELS, "softmax"])
def test_text_comes_back(text: str) -> None:
    model = gc.parse(text)
    assert gc.parse(model.text) == model


def test_definition_is_predicted_over_its_places() -> None:
    model = gc.compile(gc.parse(CONVOLUTIONS))
    _, inputs = MODELS["two convolutions"]
    windows = np.lib.stride_tricks.sliding_window_view(inputs["x"], 3, axis=1)
    expected = np.tanh(np.einsum("nia,af->nif", windows, inputs["w"]) + inputs["b"])
    known = {name: inputs[name] for name in ("x", "w", "b")}
    np.testing.assert_allclose(model.predict("h", **known), expected, rtol=1e-13)


def test_data_that_are_too_short_are_an_error_before_anything_is_read() -> None:
    model = gc.compile(gc.parse(CONVOLUTIONS))
    with pytest.raises(ShapeError, match=r"T \+ 1 - K, which must not be negative"):
        model.value(x=x39[:, :1], t=t3, w=w32, v=v22, b=b2)
    with pytest.raises(ShapeError, match=r"T \+ 1 - K, which must not be negative"):
        model.predict("h", x=x39[:, :1], w=w32, b=b2)


def test_prediction_is_checked_for_what_it_reads_and_for_nothing_else(tmp_path: Path) -> None:
    text = """
    x: data[N]
    y: data[M]
    w: parameter
    h[i] = x[i]*w + y[i + 1]
    q[i] = x[i]*w
    loss = Sum(h[i] + q[i], i) + Sum(x[i + 3], i, 0, N - 4)
    """
    model = gc.compile(gc.parse(text))
    model.save(tmp_path / "model")
    for found in (model, gc.load_model(tmp_path / "model")):
        np.testing.assert_array_equal(found.predict("h", x=[1.0, 2.0], y=[0.0, 3.0, 4.0], w=1.0), [4.0, 6.0])
        np.testing.assert_array_equal(found.predict("q", x=[1.0, 2.0], w=2.0), [2.0, 4.0])
        with pytest.raises(ShapeError, match="exceeds its axis"):
            found.predict("h", x=[1.0, 2.0], y=[0.0, 3.0], w=1.0)


# --- models made in Python

D = sympy.Symbol("D", integer=True, positive=True)
i, j = sympy.symbols("i j", integer=True)
v = sympy.IndexedBase("v", shape=(D,))


def test_definition_without_a_shape_gets_one_from_its_places() -> None:
    h = sympy.IndexedBase("h")
    moved = sympy.Sum(v[i + j], (j, 0, 2))
    model = gc.compile(
        sympy.Sum(h[i] ** 2, (i, 0, D - 3)),
        wrt=v,
        define={h[i]: moved},
        outputs={"h": sympy.Lambda(j, h[j] * v[j + 2])},
    )
    values = numbers(6, seed=1)
    sums = values[:-2] + values[1:-1] + values[2:]
    assert model.value(v=values) == pytest.approx((sums**2).sum(), rel=1e-14)
    np.testing.assert_allclose(model.predict("h", v=values), sums * values[2:], rtol=1e-13)


def test_text_of_a_shorter_definition_tells_its_length_where_it_is_used() -> None:
    h = sympy.IndexedBase("h", shape=(D - 3,))
    values = numbers(6, seed=1)
    for body in (v[i], v[i + 1] - v[i], v[i + 3] - v[i]):
        model = gc.compile(sympy.Sum(h[i] ** 2, (i, 0, D - 4)), wrt=v, define={h[i]: body})
        again = gc.compile(gc.parse(model.text))
        assert again.value(v=values) == pytest.approx(model.value(v=values), rel=1e-14)


def test_differences_without_a_shape_get_one_from_their_places() -> None:
    h = sympy.IndexedBase("h")
    model = gc.compile(
        sympy.Sum(h[i] ** 2, (i, 0, D - 2)),
        wrt=v,
        define={h[i]: v[i + 1] - v[i]},
        outputs={"h": sympy.Lambda(i, h[i]), "q": sympy.Lambda(j, v[j + 2] - 2 * v[j + 1] + v[j])},
    )
    values = numbers(6, seed=1)
    assert model.value(v=values) == pytest.approx((np.diff(values) ** 2).sum(), rel=1e-14)
    np.testing.assert_allclose(model.predict("h", v=values), np.diff(values), rtol=1e-13)
    np.testing.assert_allclose(model.predict("q", v=values), np.diff(values, 2), rtol=1e-13)
    with pytest.raises(gc.errors.IndexRangeError, match="cannot start at 0"):
        gc.compile(v[0], wrt=v, outputs={"q": sympy.Lambda(j, v[j] - v[j - 1])})


def test_definition_that_has_no_place_at_zero_is_refused() -> None:
    h = sympy.IndexedBase("h")
    with pytest.raises(gc.errors.IndexRangeError, match="cannot start at 0") as caught:
        gc.compile(sympy.Sum(h[i], (i, 1, 2)), wrt=v, define={h[i]: v[i - 1]})
    assert "give what is defined a shape" in str(caught.value)


def test_text_of_a_definition_that_is_shorter_than_its_formula_allows_has_bounds() -> None:
    h, d = (sympy.IndexedBase(name, shape=(D - 3,)) for name in "hd")
    define = {h[i]: v[i + 1], d[i]: h[i] ** 2}
    model = gc.compile(sympy.Sum(d[i] * h[i], (i, 0, D - 4)) + sympy.Sum(d[i], (i, 0, D - 4)), wrt=v, define=define)
    again = gc.compile(gc.parse(model.text))
    values = numbers(6, seed=1)
    assert again.value(v=values) == pytest.approx(model.value(v=values), rel=1e-15)


# --- how long the axis is

DECLARED = """x: data[N]
y: data[M]
z: data[9]
c: parameter[K]
g: labels[N]
v: data[N]
w: parameter[3]
"""
LENGTHS = [
    # a definition h with index i, and the length of its axis
    ("h[i] = x[i + 3]", "N - 3"),
    ("h[i] = x[i + 3] - x[i + 1]", "N - 3"),
    ("h[i] = x[N - 1 - i]", "N"),
    ("h[i] = x[N - 2 - i]*x[i + 4]", "N - 4"),
    ("h[i] = Sum(x[i + a]*c[a], a)", "N - K + 1"),
    ("h[i] = Sum(x[i + K - 1 - a]*c[a], a)", "N - K + 1"),
    ("h[i] = Sum(x[i + 2*a]*c[a], a)", "N - 2*K + 2"),
    ("h[i] = Sum(x[i + a], a, 0, 4)", "N - 4"),
    ("h[i] = Sum(x[i + a - 1], a, 1, K)", "N - K + 1"),
    ("h[i] = Sum(Sum(x[i + a + d]*c[d], d, 0, a)*c[a], a)", "N - 2*K + 2"),
    ("h[i] = z[2*i + 1]", "4"),
    ("h[i] = z[2*i]", "5"),
    ("h[i] = Max(z[3*i + a], a, 0, 2)", "3"),
    ("h[i] = Sum(c[j], j, 0, i)", "K"),
    ("h[i] = Sum(c[j], j, 0, i - 1)", "K + 1"),
    ("h[i] = Sum(c[i - j]*c[j], j, 0, i)", "K"),
    ("h[i] = x[g[i + 2]]", "N - 2"),
    ("h[i] = where(i > 0, x[i - 1], 0) + x[i + 1]", "N - 1"),
    ("h[i] = d[i + 1]*x[i + 1]\nd[i] = x[i + 1]", "N - 2"),
    ("d[i] = x[i + 1]\nh[i] = d[i]*x[i + 2]", "N - 2"),
    ("d[i] = x[i + 1]\nf[i] = x[i + 2]\nh[i] = d[i]*f[i]", "N - 2"),
    # alone and shifted
    ("h[i] = x[i + 1] - x[i]", "N - 1"),
    ("h[i] = x[i + 1] - v[i]", "N - 1"),
    ("h[i] = x[i + 2] - 2*x[i + 1] + x[i]", "N - 2"),
    ("h[i] = x[N - 2 - i] - x[N - 1 - i] + x[i]", "N - 1"),
    ("h[i] = z[2*i + 1] - z[i]", "4"),
    ("h[i] = x[i] - Mean(x[i + a], a, 0, 4)", "N - 4"),
    ("h[i] = x[i] - Sum(x[i + a]*w[a], a)", "N - 2"),
    ("h[i] = x[i] - Sum(x[i + a]*c[a], a)", "N - K + 1"),
    ("h[i] = x[i] - Sum(x[i + 2*a]*c[a], a)", "N - 2*K + 2"),
    ("h[i] = x[i + K] - x[i]*c[0]", "N - K"),
    ("h[i] = d[i + 1] - d[i]\nd[i] = x[i + 1] - x[i]", "N - 2"),
    ("d[i] = x[i + 1] - x[i]\nh[i] = d[i]*2", "N - 1"),
    ("d[i] = x[i + 1] - x[i]\nh[i] = Sum(d[j], j, 0, i - 1)\nf[i] = h[i]*d[i]", "N - 1"),
    ("d[i] = x[i + 1] - x[i]\nh[i] = d[N - 2 - i]", "N - 1"),
    ("d[i] = x[i + 1] - x[i]\nf[i] = h[i]*d[i]\nh[i] = i**2", "N - 1"),
    ("d[i] = x[i + 1] - x[i]\nh[i] = d[i + 1] + d[i]*x[i]", "N - 2"),
    ("h[i] = where(i > 0, x[i - 1], 0) + x[i]", "N"),
    ("h[i] = x[i] + 0*x[i + 1]", "N"),  # what is multiplied by 0 is no part of the model
    # what may fit is left as it is, and checked in each call
    ("h[i] = x[i] - y[i + 1]", "N"),
]


@pytest.mark.parametrize(("text", "length"), LENGTHS, ids=[text for text, _ in LENGTHS])
def test_axis_of_a_definition(text: str, length: str) -> None:
    model = gc.parse(DECLARED + text + "\nloss = Sum(c[k]**2, k)")
    (key,) = [key for key in model.definitions if key.base.name == "h"]
    sizes = {name: sympy.Symbol(name, integer=True, positive=True) for name in "NMK"}
    assert key.base.shape == (sympy.parse_expr(length, sizes),)
    assert gc.parse(model.text) == model


def test_sum_without_bounds_runs_over_the_places() -> None:
    model = gc.parse(DECLARED + "loss = Sum((x[t + 3] - Sum(c[k]*x[t + 2 - k], k, 0, 2))**2, t)")
    (limit,) = model.objective.limits
    N = sympy.Symbol("N", integer=True, positive=True)
    assert limit[1:] == (0, N - 4)


SAMPLE = numbers(6, seed=3)
SQUARE = numbers(4, 5, seed=8)
FINITE: list[tuple[str, np.ndarray, float]] = [
    # a formula of the differences of an array p, and its value in NumPy
    ("Sum((p[i + 1] - p[i])**2, i)", SAMPLE, np.sum(np.diff(SAMPLE) ** 2)),
    ("Max(p[i + 1] - p[i], i) + Min(p[i + 1] - p[i], i)", SAMPLE, np.diff(SAMPLE).max() + np.diff(SAMPLE).min()),
    ("Product(p[i + 2] - p[i], i)", SAMPLE, np.prod(SAMPLE[2:] - SAMPLE[:-2])),
    ("Mean((p[i + 1] - p[i])**2, i)", SAMPLE, np.mean(np.diff(SAMPLE) ** 2)),
    ("logsumexp(p[i + 1] - p[i], i)", SAMPLE, np.log(np.sum(np.exp(np.diff(SAMPLE))))),
    ("Sum((p[k, i + 2] - 2*p[k, i + 1] + p[k, i])**2, k, i)", SQUARE, np.sum(np.diff(SQUARE, 2) ** 2)),
    (
        "Sum(sqrt(1 + (p[i + 1, j] - p[i, j])**2 + (p[i, j + 1] - p[i, j])**2), i, j)",
        SQUARE,
        np.sum(np.sqrt(1 + np.diff(SQUARE, axis=0)[:, :-1] ** 2 + np.diff(SQUARE, axis=1)[:-1] ** 2)),
    ),
    ("Sum((d[i] - d[i + 1])**2, i)\nd[i] = p[i + 1] - p[i]", SAMPLE, np.sum(np.diff(SAMPLE, 2) ** 2)),
    (
        "Sum(r[i]**2, i)\nd[i] = p[i + 1] - p[i]\nr[i] = d[i + 1] - d[i] + p[i]",
        SAMPLE,
        np.sum((np.diff(SAMPLE, 2) + SAMPLE[:-2]) ** 2),
    ),
]


@pytest.mark.parametrize(("text", "values", "expected"), FINITE, ids=[text for text, _, _ in FINITE])
def test_index_alone_and_shifted_runs_as_far_as_all_places_allow(text: str, values: Any, expected: float) -> None:
    axes = ", ".join("NM"[: values.ndim])
    model = gc.compile(gc.parse(f"p: parameter[{axes}]\nloss = {text}"))
    assert model.value(p=values) == pytest.approx(expected, rel=1e-13)
    gc.check_grad(model, p=values)


def test_residual_convolutions_are_as_long_as_their_windows_allow() -> None:
    text = """
    x: data[N, T]
    v: parameter[K]
    w: parameter[K]
    h[n, t] = max(0, Sum(v[k]*x[n, t + k], k))
    g[n, t] = Sum(w[k]*h[n, t + 2*k], k) + h[n, t]
    loss = Sum(g[n, t]**2, n, t)
    """
    x, v, w = numbers(2, 9, seed=1), numbers(3, seed=2), numbers(3, seed=3)
    h = [[max(0.0, float(np.dot(v, row[t : t + 3]))) for t in range(7)] for row in x]
    expected = sum((np.dot(w, row[t : t + 5 : 2]) + row[t]) ** 2 for row in h for t in range(3))
    model = gc.compile(gc.parse(text))
    assert model.value(x=x, v=v, w=w) == pytest.approx(expected, rel=1e-13)
    assert "%" not in str(model.listing)  # nothing is counted from the end of an array where all is inside
    gc.check_grad(model, x=x, v=v, w=w)


def test_definition_of_differences_is_predicted_over_its_places() -> None:
    model = gc.compile(gc.parse(DIFFERENCES))
    _, inputs = MODELS["differences"]
    u, s = inputs["u"], inputs["s"]
    laplace = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    np.testing.assert_allclose(model.predict("l", u=u), laplace, rtol=1e-13)
    np.testing.assert_allclose(model.predict("d", s=s), np.diff(s), rtol=1e-13)


def test_differences_of_an_axis_that_is_one_longer() -> None:
    text = """
    t: data[R, S + 1]
    y: data[R]
    s: parameter[R, S]
    sig[r, i] = softplus(s[r, i])*(t[r, i + 1] - t[r, i])
    T[r, i] = exp(-Sum(sig[r, j], j, 0, i - 1))
    loss = Sum((Sum(T[r, i]*(1 - exp(-sig[r, i])), i) - y[r])**2, r)
    """
    model = gc.compile(gc.parse(text))
    t, y, s = np.sort(numbers(3, 6, seed=1), axis=1), numbers(3, seed=2), numbers(3, 5, seed=3)
    depth = np.log1p(np.exp(s)) * np.diff(t, axis=1)
    through = np.exp(-np.concatenate([np.zeros((3, 1)), np.cumsum(depth, axis=1)[:, :-1]], axis=1))
    expected = np.sum((np.sum(through * (1 - np.exp(-depth)), axis=1) - y) ** 2)
    assert model.value(t=t, y=y, s=s) == pytest.approx(expected, rel=1e-13)
    gc.check_grad(model, t=t, y=y, s=s)
    with pytest.raises(ShapeError, match="disagrees with s about S \\+ 1"):
        model.value(t=t[:, 1:], y=y, s=s)


def test_sizes_that_no_array_tells_are_refused() -> None:
    A, B = sympy.symbols("A B", integer=True, positive=True)
    p = sympy.IndexedBase("p", shape=(A + B,))
    with pytest.raises(gc.errors.IndexRangeError, match="nothing says how large A is"):
        gc.compile(sympy.Sum(p[i], (i, 0, A + B - 1)), wrt=p)
    q = sympy.IndexedBase("q", shape=(B,))
    model = gc.compile(sympy.Sum(p[i], (i, 0, A - 1)) * q[0], wrt=[p, q])
    assert model.value(p=[1.0, 2.0, 3.0], q=[2.0]) == 6


def test_index_that_may_fit_keeps_its_axis() -> None:
    model = gc.compile(gc.parse("x: data[N]\ny: data[M]\nw: parameter\nloss = w*Sum(x[i] - y[i + 1], i)"))
    assert model.value(x=[1.0, 2.0], y=[0.0, 5.0, 7.0, 9.0], w=1.0) == 3 - 12
    with pytest.raises(ShapeError, match="exceeds its axis"):
        model.value(x=[1.0, 2.0], y=[0.0, 5.0], w=1.0)


def test_two_indices_of_one_sum_keep_their_axes() -> None:
    with pytest.raises(GradcompileError, match="leaves its axis"):
        gc.compile(gc.parse(DECLARED + "loss = Sum(z[i]*z[j]*z[i + j], i, j) + c[0]"))


def test_index_with_bounds_keeps_them() -> None:
    with pytest.raises(GradcompileError, match="leaves its axis"):
        gc.compile(gc.parse(DECLARED + "loss = Sum(x[i]*x[i + 1], i, 0, N - 1) + c[0]"))


# --- what is refused

REFUSED = [
    ("h[i] = x[i - 1]", ("'i' cannot start at 0", "x[i - 1]", "up by 1, writing i for i - 1, i + 1 for i, i + 2 for")),
    ("h[i] = x[i + 1] - 2*x[i] + x[i - 1]", ("'i' cannot start at 0", "x[i - 1]", "i for i - 1, i + 1 for i, i + 2")),
    ("h[i] = x[i + 1] - x[i - 1] + x[i]\nd = Sum(h[k]*v[k], k)", ("'i' cannot start at 0", "writing i for i - 1")),
    ("h[i] = x[i + 1] - x[i]*y[i]\nd = Sum(h[k]*v[k], k)", ("'i' has two ends", "N - 2", "M - 1")),
    ("h[i] = x[i - 2] - x[i - 1]", ("x[i - 2], which is outside", "up by 2, writing i for i - 2, i + 2 for i, i + 3")),
    ("d = Sum(x[i + 1] - x[i - 1] + x[i], i)", ("'i' cannot start at 0", "or give it bounds: Sum(f, i, 1, N - 1)")),
    ("d = Sum((x[i + 1] - x[i])*y[i], i)", ("two ends", "N - 2", "M - 1", "to do:    give it bounds")),
    ("d = Sum(x[i] - y[i], i)", ("'i' has two sizes", "N, from line 8, column 11", "M, here")),
    ("h[i] = z[i + 9]", ("'i' cannot start at 0", "z[i + 9]")),
    ("h[i] = x[i + 1]*y[i + 1]", ("two ends", "N - 2, the last one for x[i + 1]", "M - 2", "in a sum with bounds")),
    ("h[i] = x[2*i]", ("no end that sizes can say", "the whole part of (N - 1)/2", "sizes that are numbers")),
    (
        "h[i] = Sum(x[i + a], a)",
        ("'i' has no range", "x[i + a], and no range for 'a' either", "with one of them alone"),
    ),
    ("h[i] = Sum(where(j <= i, c[j], 0), j)", ("'i' has no range", "Sum(f, j, 0, i)")),
    ("h[i] = Sum(where(i > j, c[j], 0), j)", ("'i' has no range", "Sum(f, j, 0, i - 1)")),
    ("h[i] = where(c[0] > 0, x[i + 1], 0)", ("'i' has no range", "index an array with i alone")),
    ("h[i] = i**2\nd[t] = h[t]*x[t + 1]", ("'i' has no range", "index an array with i alone")),
    ("h[i] = Sum(c[j], j, i, K - 1)", ("'i' has no range", "index an array with i alone")),
    ("d = Sum(x[i + 1]*y[i + 1], i)", ("two ends", "give it bounds: Sum(f, i, 1, N - 1)")),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_has_no_range_says_why_and_what_to_do(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ParseError) as caught:
        gc.parse(DECLARED + text + "\nloss = c[0]")
    message = str(caught.value)
    assert "model:8:" in message
    assert "\n    " + text.split("\n")[0] in message
    assert "^" in message
    for word in words:
        assert word in message


def test_definition_that_is_used_with_a_longer_axis_is_refused() -> None:
    text = "h[i] = x[i + 1] - x[i]\nd = Sum(h[k]*v[k], k)\n"
    with pytest.raises(ParseError) as caught:
        gc.parse(DECLARED + text + "loss = c[0]")
    message = str(caught.value)
    assert message.startswith("model:9:16: ")
    expected = "N - 1, as far as the places of 'i' go in line 8"
    for words in ("the index 'k' has two sizes", expected, "N, here", "Sum(f, k, 0, N - 2)"):
        assert words in message


def nested(depth: int, places: int) -> str:
    """Return sums each of which ends at the index outside of it, around many places of the innermost index."""
    inner = " + ".join([f"x[i{depth} + 1]"] * places)
    bounds = "".join(f", i{k}, 0, i{k - 1})" for k in range(depth, 0, -1))
    return DECLARED + "loss = c[0]*" + "Sum(" * depth + f"Sum({inner}" + bounds + ", i0)"


@pytest.mark.parametrize(("depth", "places"), [(0, 2000), (4, 2000), (60, 2000), (150, 100)])
def test_ranges_are_inferred_in_few_steps_or_not_at_all(depth: int, places: int) -> None:
    with pytest.raises(ParseError, match=r"the limit is 20,000 \(Limits.ranges\)"):  # steps: time is for benchmarks
        gc.parse(nested(depth, places))


def test_definitions_that_shorten_one_another_in_many_rounds_are_refused() -> None:
    chain = [f"d{k}[i] = x[i] + d{k - 1}[i + 0]" for k in range(1, 900)]
    text = "\n".join([DECLARED + "d0[i] = x[i + 1] - x[i]", *chain, "loss = c[0]"])
    with pytest.raises(ParseError, match=r"the limit is 20,000 \(Limits.ranges\)"):
        gc.parse(text)


def test_the_limit_can_be_set() -> None:
    assert gc.parse(nested(3, 10)).wrt
    with pytest.raises(ParseError, match="the limit is 100"):
        gc.parse(nested(3, 10), limits=Limits(ranges=100))


BOTH_WAYS: dict[
    str, tuple[str, Any]
] = {  # a condition that guards another one, and what it means of each index and the array
    "or": ("i == 0 or x[i - 1] > 1", lambda i, x: i == 0 or x[i - 1] > 1),
    "and": ("i > 0 and x[i - 1] > 1", lambda i, x: i > 0 and x[i - 1] > 1),
    "the other first": ("x[i - 1] > 1 and i > 0", lambda i, x: i > 0 and x[i - 1] > 1),
    "a shorter array": ("i < 2 and c[i] > 1", lambda i, x: i < 2 and GIVEN[i] > 1),
    "three": ("i > 3 or i > 1 or c[i] > 1", lambda i, x: i > 1 or GIVEN[i] > 1),
}
GIVEN = [1.0, 2.0]


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_condition_beside_others_may_look_outside_where_these_decide(name: str, target: str, tmp_path: Path) -> None:
    text, holds = BOTH_WAYS[name]
    model = gc.parse(f"x: parameter[N]\nc: data[M]\nloss = Sum(x[i]**2*where({text}, 3, 1), i, 0, N - 1) + 0*c[0]")
    module = (load_uncompiled if target == "numba" else load)(gc.emit(model, target=target), tmp_path / "module.py")
    x = [0.5, 1.5, -2.0, 3.0, 0.25]
    weights = [3 if holds(i, x) else 1 for i in range(5)]
    value, (gradient,) = module.value_and_grad(*((x, GIVEN) if target == "python" else map(np.array, (x, GIVEN))))
    assert value == pytest.approx(sum(w * each**2 for w, each in zip(weights, x, strict=True)))
    assert list(gradient) == pytest.approx([2 * w * each for w, each in zip(weights, x, strict=True)])


def test_a_condition_that_no_other_on_an_index_decides_may_not_look_outside() -> None:
    text = "x: parameter[N]\ny: data\nloss = Sum(x[i]*where(x[i - 1] > 1 and y > 0, 3, 1), i, 0, N - 1)"
    with pytest.raises(gc.errors.IndexRangeError):
        gc.compile(gc.parse(text))
