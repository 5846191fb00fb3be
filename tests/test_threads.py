"""Threads: the same bits whatever their number, chunks that do not depend on it, and nothing lost on the way."""

import ast
import builtins
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sympy import IndexedBase, Inverse, MatrixSymbol, Mod, Sum, Trace, exp, log, loggamma, sqrt, symbols, tanh

import gradcompile as gc
from gradcompile import early, shuffle
from gradcompile.errors import ArgumentError, DataError
from gradcompile.interpret import evaluate
from gradcompile.pipeline import Program
from gradcompile.primitives import PRIMITIVES
from gradcompile.processors import Place, processors
from gradcompile.schedule import Parts, in_parts, stream_axis
from gradcompile.schedule.costs import COSTS
from gradcompile.threads import blas, chunks, number, pool
from gradcompile.train.whole import Whole

N, D, C, M = symbols("N D C M", integer=True, positive=True)
s, r, j, i = symbols("s r j i", integer=True)
X, t, g = IndexedBase("X", shape=(N, D)), IndexedBase("t", shape=(N,)), IndexedBase("g", shape=(N,))
w, V, q = IndexedBase("w", shape=(D,)), IndexedBase("V", shape=(D, C)), IndexedBase("q", shape=(N,))
u, S = IndexedBase("u", shape=(M,)), IndexedBase("S", shape=(D, D))
a, b = symbols("a b")
LINE = Sum(X[s, j] * w[j], (j, 0, D - 1))


def logit(s, i):
    return Sum(X[s, j] * V[j, i], (j, 0, D - 1))


def softmax():
    terms = Sum(log(exp(logit(s, g[s])) / Sum(exp(logit(s, i)), (i, 0, C - 1))), (s, 0, N - 1))
    return gc.compile(b * Sum(V[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)) - terms, wrt=V)


def standardised():
    """Sums that the end of the program reads along a second name of their axis."""
    text = """
        x: data[N, D]
        w: parameter[D]
        m[j] = Mean(x[n, j]*w[j], n)
        v[j] = Mean((x[n, j]*w[j] - m[j])**2, n)
        loss = Sum(Mean((x[n, j]*w[j] - m[j])/v[j]*x[n, i], n)**2, j, i)
    """
    return gc.compile(gc.parse(text))


MODELS = {
    "standardised": standardised,
    "mean": lambda: gc.compile(log(1 + exp(-b * (a * symbols("x") + 1))), wrt=[a, b], data=[symbols("x")]),
    "regularised": lambda: gc.compile(
        Sum((LINE - t[s]) ** 2, (s, 0, N - 1)) / N + b * Sum(w[j] ** 2, (j, 0, D - 1)), wrt=[w, b]
    ),
    "root of a sum": lambda: gc.compile(sqrt(Sum((LINE - t[s]) ** 2, (s, 0, N - 1))), wrt=w),
    "two passes": lambda: gc.compile(log(Sum(exp(LINE), (s, 0, N - 1))), wrt=w),
    "two passes and a mean": lambda: gc.compile(
        Sum((t[s] - Sum(t[r], (r, 0, N - 1)) / N - a) ** 2, (s, 0, N - 1)), wrt=a
    ),
    "softmax": softmax,
    "gathers": lambda: gc.compile(Sum((u[g[s]] * t[s] - a) ** 2, (s, 0, N - 1)), wrt=[u, a]),
    "gradient a sample": lambda: gc.compile(Sum((t[s] - exp(b) * q[s]) ** 2 + q[s] ** 2, (s, 0, N - 1)), wrt=[q, b, a]),
    "the same for every sample": lambda: gc.compile(Sum(q[s], (s, 0, N - 1)) * a, wrt=[a, q]),
    "rows and columns of one length": lambda: gc.compile(
        Sum(Sum(X[s, j] * S[j, i], (j, 0, D - 1)) ** 2, (i, 0, D - 1), (s, 0, N - 1)), wrt=S
    ),
    "largest": lambda: gc.compile(gc.parse("t: data[N]\na: parameter\nb: parameter\nloss = Max(a*t[s] + b, s)**2")),
    "number of samples": lambda: gc.compile(
        Sum(t[s] * a, (s, 0, N - 1)) * (2 * N + D) + Sum(w[j], (j, 0, D - 1)) * N, wrt=[a, w]
    ),
}
# What is read of other samples, and sums over pairs of them.
ACROSS = {
    "pairs": "t: data[N]\na: parameter\nloss = Sum(exp(-(t[s] - a*t[r])**2), s, r)",
    "positions": "t: data[N]\na: parameter\nloss = Sum((t[s] - a*s)**2, s)",
    "counted": "t: data[N]\na: parameter\nloss = Sum(Sum(where(r < s, exp(-t[s]*a*r/N), 0), r, 0, N - 1), s)",
    "neighbours": """
        q: parameter[N]
        t: data[N]
        loss = Sum((q[s] - t[s])**2, s) + Sum((q[s + 1] - q[s])**2, s, 0, N - 2)
    """,
    "layers that samples share": """
        X: data[N, D]
        S: data[N, N]
        g: labels[N]
        V: parameter[D, C]
        h[s, k] = tanh(Sum(X[s, j]*V[j, k], j))
        loss = Sum((Sum(S[s, r]*h[r, k], r) - h[g[s], k])**2, s, k)
    """,
    "neighbours that data pick": """
        X: data[N, D]
        g: labels[N, D]
        V: parameter[D, C]
        u: parameter[C]
        h[s, k] = Sum(X[s, j]*V[j, k], j)
        t[s]    = Sum(h[s, k]*u[k], k)
        loss    = Sum(tanh(Sum(h[g[s, j], k]*exp(tanh(t[s] + t[g[s, j]])), j))**2, s, k)
    """,
    "both ways": """
        X: data[N, D]
        Z: data[N, D]
        V: parameter[D, C]
        W: parameter[D, C]
        a[s, k] = Sum(X[s, j]*V[j, k], j)
        c[s, k] = Sum(Z[s, j]*W[j, k], j)
        z[s, r] = Sum(a[s, k]*c[r, k], k)
        loss = Sum(log(Sum(exp(z[s, r]), r)) + log(Sum(exp(z[r, s]), r)) - 2*z[s, s], s)
    """,
    "kernels": """
        X: data[N, D]
        t: data[N]
        q: parameter[N]
        b: parameter
        k[s, r] = exp(-Sum((X[s, j] - X[r, j])**2, j)*b**2)
        loss = Sum((Sum(k[s, r]*q[r], r) - t[s])**2, s) + Sum(q[s]*q[r]*k[s, r], s, r)
    """,
    "orders": """
        t: data[N]
        X: data[N, D]
        w: parameter[D]
        y[s] = Sum(X[s, j]*w[j], j)
        loss = -Sum(y[s] - log(Sum(where(t[r] >= t[s], exp(y[r]), 0), r)), s)
    """,
    "positions of parameters": """
        P: parameter[N, D]
        d[s, r] = 1 + Sum((P[s, j] - P[r, j])**2, j)
        loss = Sum(where(s < r, d[s, r]**-6 - d[s, r]**-3, 0), s, r)
    """,
}
# Samples that are places of a longer series.
SERIES = {
    "autoregression": """
        t: data[N]
        u: parameter[M]
        a: parameter
        loss = Sum((t[s + M] - a - Sum(u[k]*t[s + k], k))**2, s)/N
    """,
    "steps": "t: data[N]\na: parameter\nb: parameter\nloss = Sum((t[s + 1] - t[s]*a)**2*exp(b) - b, s)/(N - 1)",
    "pairs of labels": """
        g: labels[N]
        S: parameter[D, D]
        loss = Sum(S[mod(g[s], D), mod(g[s + 1], D)] - log(Sum(exp(S[mod(g[s], D), j]), j)), s)
    """,
    "rows of windows": """
        X: data[N, D]
        t: data[N]
        w: parameter[D]
        u: parameter[M]
        h[s] = tanh(Sum(X[s + k, j]*u[k]*w[j], k, j))
        loss = Sum((h[s] - t[s + 2])**2, s)*Sum(w[j]**2, j) + Max(h[s], s)
    """,
    "windows in a mean": """
        t: data[N]
        u: parameter[M]
        h[s] = exp(Sum(t[s + k]*u[k], k))
        loss = Sum((h[s] - t[s + 1])**2, s) + log(Sum(h[s], s)/N)
    """,
    "what may be outside": """
        t: data[N]
        a: parameter
        loss = Sum((t[s + 1] - where(s > 0, a*t[s - 1], a))**2, s)
    """,
    "windows of a parameter": """
        t: data[N]
        q: parameter[N]
        loss = Sum((q[s + 1] - q[s])**2*exp(t[s]), s)
    """,
}
ACROSS |= SERIES
MODELS |= {name: lambda text=text: gc.compile(gc.parse(text)) for name, text in ACROSS.items()}


@pytest.fixture
def small(monkeypatch):
    """Let a hundred samples be enough for several chunks, and the first answer come from compiled code."""
    monkeypatch.setattr(Program, "patient", True)
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    yield
    gc.set_threads(None)


def drawn(model, samples, seed=0):
    """Arguments of a model for so many samples."""
    draw = np.random.default_rng(seed)
    sizes = {"N": samples, "n": samples, "D": 3, "C": 4, "M": 5}
    given = {}
    for name, declared in model.graph.inputs.items():
        shape = tuple(size.evaluate(sizes) for size in declared.shape)
        given[name] = draw.integers(4, size=shape) if declared.kind == "int" else draw.normal(size=shape) * 0.5
    return given


def bits(result):
    value, gradients = result
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return [np.asarray(value).tobytes(), *(np.ascontiguousarray(each).tobytes() for each in gradients)]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def listed(result):
    value, gradients = result
    return [value, *(gradients if isinstance(gradients, tuple) else (gradients,))]


def interpreted(model, given):
    """The objective and its gradient by the interpreter, which knows nothing of loops."""
    outputs = evaluate(model.graph, {name: np.asarray(value) for name, value in given.items()})
    return [outputs["value"], *(outputs[f"d{name}"] for name in model.graph.wrt)]


def imported(tree):
    return [alias for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]


def functions(tree):
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def stored(nodes):
    """The names that statements bind."""
    within = (each for node in nodes for each in ast.walk(node))
    return [node for node in within if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", MODELS)
def test_result_has_the_same_bits_on_any_number_of_threads_and_is_that_of_the_whole(small, name):
    model = MODELS[name]()
    given = drawn(model, 1000)
    found = {}
    for threads in (1, 2, 4, 8):
        gc.set_threads(threads)
        found[threads] = model.value_and_grad(**given)
    assert "chunks of" in str(model.plan)
    assert all(bits(result) == bits(found[1]) for result in found.values())
    for name, array in zip(model.graph.wrt, listed(found[1])[1:], strict=True):
        assert np.shape(array) == np.shape(given[name])
    value, *gradients = interpreted(model, given)
    close(listed(found[1]), [value, *gradients])


@pytest.mark.parametrize("name", MODELS)
def test_numpy_answers_for_one_slice_of_samples_after_the_other(name, monkeypatch):
    model = MODELS[name]()
    program, given = model._program, drawn(model, 100)
    sliced = early.in_slices(program.divided.parts["value_and_grad"], "value_and_grad", program.arguments, "float64")
    monkeypatch.setattr(sliced.division, "length", lambda sizes: 30)
    arguments, _ = model.checked.bind(given)
    value, gradients = sliced(*arguments)
    assert isinstance(value, float)
    for parameter, gradient in zip(model.graph.wrt, gradients, strict=True):
        assert np.shape(gradient) == np.shape(given[parameter])
    close([value, *gradients], interpreted(model, given))


@pytest.mark.parametrize("name", MODELS)
def test_functions_of_the_parts_define_what_they_use(name):
    tree = ast.parse(MODELS[name]().source_in_parts)
    known = {*vars(builtins), *(alias.asname or alias.name for alias in imported(tree)), *functions(tree)}
    known |= {node.id for node in stored([node for node in tree.body if isinstance(node, ast.Assign)])}
    for function in functions(tree).values():
        own = {arg.arg for arg in function.args.args} | {node.id for node in stored([function])}
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        assert used <= known | own


def test_value_alone_is_divided_too(small):
    model = MODELS["mean"]()
    given = drawn(model, 1000)
    assert model.value(**given) == pytest.approx(interpreted(model, given)[0], rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_thousand_repeats_of_scattered_sums_have_the_same_bits(small, dtype):
    model = gc.compile(Sum((u[g[s]] * t[s] - 1) ** 2, (s, 0, N - 1)), wrt=u, dtype=dtype)
    given = drawn(model, 640)
    first = bits(model.value_and_grad(**given))
    for repeat in range(1000):
        gc.set_threads((1, 2, 4)[repeat % 3])
        assert bits(model.value_and_grad(**given)) == first


def test_duplicates_of_a_scattered_sum_are_all_counted(small, monkeypatch):
    """Issue 1631 of PyTorch, on two threads: w[idx] with idx = [0, 0, 2] and upstream (.2, .3, .5)."""
    monkeypatch.setattr(chunks, "MOST", 4)
    gc.set_threads(2)
    model = gc.compile(Sum(u[g[s]] * t[s], (s, 0, N - 1)), wrt=u)
    repeated = {"g": np.repeat([0, 0, 2, 2], 64), "t": np.repeat([0.2, 0.3, 0.25, 0.25], 64) / 64, "u": np.zeros(3)}
    np.testing.assert_allclose(model.grad(**repeated), [0.5, 0, 0.5], rtol=1e-14)
    assert "4 chunks of 64 samples" in str(model.plan)


def test_nan_in_the_data_comes_out(small):
    model = MODELS["two passes"]()
    given = drawn(model, 1000)
    given["X"][700, 1] = np.nan
    value, gradient = model.value_and_grad(**given)
    assert np.isnan(value)
    assert np.isnan(gradient).all()


def test_many_callers_at_once_get_their_own_results(small):
    model = MODELS["softmax"]()
    points = [drawn(model, 500 + 100 * k, seed=k) for k in range(6)]
    expected = [bits(model.value_and_grad(**given)) for given in points]
    gc.set_threads(3)
    with ThreadPoolExecutor(6) as callers:
        found = list(callers.map(lambda k: bits(model.value_and_grad(**points[k % 6])), range(120)))
    assert found == [expected[k % 6] for k in range(120)]


FORK = """
import os, sys
import numpy as np
import gradcompile as gc
from gradcompile.threads import chunks
from sympy import exp, symbols
chunks.CHUNK = chunks.RETURNED = 1
x, a = symbols("x a")
model = gc.compile(exp(a*x), wrt=a, data=[x]).wait()
x = np.linspace(-1, 1, 1000)
gc.set_threads(3)
before = model.value_and_grad(x=x, a=0.5)
child = os.fork()
after = model.value_and_grad(x=x, a=0.5)
assert after == before
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_child_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_singular_matrix_in_a_chunk_is_an_error_in_words(small):
    A = MatrixSymbol("A", 2, 2)
    model = gc.compile(Sum(t[s] * Trace(Inverse(A)) * a, (s, 0, N - 1)), wrt=[A, a])
    with pytest.raises(DataError, match="singular"):
        model.value_and_grad(A=np.zeros((2, 2)), a=1.0, t=np.ones(1000))


# How samples are divided ----------------------------------------------------------------------------------------------


def test_small_work_is_not_divided():
    model = MODELS["mean"]()
    model._program.patient = True
    model.value_and_grad(x=np.ones(1000), a=1.0, b=1.0)
    assert "one thread: the last call was too small" in str(model.plan)
    model.value_and_grad(x=np.ones(1_000_000), a=1.0, b=1.0)
    assert "their sums are added in order" in str(model.plan)


def test_output_without_samples_is_computed_whole():
    """The samples of the objective are no samples of an output that has none of them."""
    model = gc.compile(Sum((LINE - t[s]) ** 2, (s, 0, N - 1)), wrt=w, outputs={"size": Sum(w[j] ** 2, (j, 0, D - 1))})
    assert model.predict("size", w=[1.0, 2.0]) == 5.0


def test_gradient_of_a_parameter_of_which_pairs_are_summed_up(monkeypatch):
    """Its elements are counted along the axis that is not streamed over: each chunk has those of its own samples."""
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    a, q, i, j = IndexedBase("a", shape=(N,)), symbols("q"), *symbols("i j", integer=True)
    model = gc.compile(Sum(a[j] * q * (j + 1), (j, i, N - 1), (i, 0, N - 1)), wrt=[a, q])
    numbers = np.cos(np.arange(300.0))
    value, (da, dq) = model.value_and_grad(a=numbers, q=0.5)
    assert "their sums are added in order" in str(model.plan)
    squares = np.arange(1.0, 301.0) ** 2
    np.testing.assert_allclose(da, squares / 2, rtol=1e-14)
    np.testing.assert_allclose([2 * value, dq], numbers @ squares, rtol=1e-11)


@pytest.mark.parametrize("turned", [False, True])
def test_an_array_longer_than_the_samples_is_taken_in_overlapping_rows(monkeypatch, turned):
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    a, f = IndexedBase("a", shape=(N,)), IndexedBase("f", shape=(N + 2,))
    q, j = symbols("q"), symbols("j", integer=True)
    term = q * f[j] + f[j + 2] * (a[Mod(j + 1, N)] if turned else 1)
    model = gc.compile(Sum(exp(term), (j, 0, N - 1)), wrt=[q])
    numbers, others = np.cos(np.arange(302.0)), np.sin(np.arange(300.0)) if turned else np.ones(300)
    terms = np.exp(0.5 * numbers[:-2] + numbers[2:] * np.roll(others, -1))
    value, slope = model.value_and_grad(f=numbers, q=0.5, **({"a": others} if turned else {}))
    assert "their sums are added in order" in str(model.plan)
    np.testing.assert_allclose([value, slope[0]], [terms.sum(), terms @ numbers[:-2]], rtol=1e-12)


def test_gradient_of_a_diagonal_takes_the_samples_of_other_chunks(monkeypatch):
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    A, B = MatrixSymbol("A", N, N), MatrixSymbol("B", N, N)
    model = gc.compile(Trace((A.T * B).applyfunc(tanh)), wrt=[A, B])
    random = np.random.default_rng(4)
    left, right = random.normal(size=(2, 260, 260)) / 16
    value, (dA, dB) = model.value_and_grad(A=left, B=right)
    assert "their sums are added in order" in str(model.plan)
    inner = np.tanh((left * right).sum(axis=0))
    np.testing.assert_allclose(value, inner.sum(), rtol=1e-12)
    np.testing.assert_allclose(dA, right * (1 - inner**2), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(dB, left * (1 - inner**2), rtol=1e-10, atol=1e-14)


def test_gradient_that_is_an_argument_is_filled(monkeypatch):
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    A, B = MatrixSymbol("A", N, N), MatrixSymbol("B", N, N)
    model = gc.compile(Trace(B.T * A.T), wrt=[A, B])
    left, right = np.random.default_rng(4).normal(size=(2, 260, 260))
    dA, dB = model.grad(A=left, B=right)
    assert "their sums are added in order" in str(model.plan)
    np.testing.assert_array_equal(dA, right.T)
    np.testing.assert_array_equal(dB, left.T)


def test_gradient_of_a_column_is_a_column(monkeypatch):
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    B, D, v, u = MatrixSymbol("B", N, N), MatrixSymbol("D", N, M), MatrixSymbol("v", N, 1), MatrixSymbol("u", M, 1)
    model = gc.compile(Trace((u * v.T * B.T * D).applyfunc(tanh)), wrt=[B, D, v, u])
    random = np.random.default_rng(4)
    arrays = {"B": random.normal(size=(260, 260)) / 20, "D": random.normal(size=(260, 2))}
    column, row = random.normal(size=(260, 1)), random.normal(size=(2, 1))
    *_, dv, du = model.grad(v=column, u=row, **arrays)
    assert "their sums are added in order" in str(model.plan)
    image = arrays["B"].T @ arrays["D"]
    slope = 1 - np.tanh(row.T * (column.T @ image)) ** 2
    np.testing.assert_allclose(dv, image @ (slope * row.T).T, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(du, (slope * (column.T @ image)).T, rtol=1e-10, atol=1e-13)


def test_number_of_threads_does_not_change_the_chunks():
    model = MODELS["softmax"]()
    cut = in_parts(model.graph, stream_axis(model.graph))
    lengths = set()
    for threads in (1, 2, 64):
        gc.set_threads(threads)
        lengths.add(chunks.Chunks(cut).length({"N": 10**6, "D": 784, "C": 10}))
    gc.set_threads(None)
    assert len(lengths) == 1
    assert lengths.pop() > 0


@pytest.mark.parametrize("samples", [512, 1000, 10**6])
def test_no_chunk_is_a_part_of_a_block(samples):
    """A kernel that takes 64 samples at once spends twice the time on 63 chunks of 16 that it does on 16 of 64."""
    model = MODELS["softmax"]()
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    length = divided.length({"N": samples, "D": 10**5, "C": 10})
    assert length > 0
    assert length % 64 == 0


def test_few_samples_are_not_cut_to_slivers():
    """500 samples of 784 x 128 weights in chunks of 8 take three times as long as in chunks of 64."""
    model = MODELS["softmax"]()
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    assert divided.length({"N": 500, "D": 10**4, "C": 100}) >= 64  # each chunk adds a million sums to the others'
    length = divided.length({"N": 100, "D": 10**6, "C": 2})
    assert length == 0 or length >= 32
    assert divided.length({"N": 30, "D": 10**6, "C": 2}) == 0


def test_work_with_many_sums_is_cut_into_fewer_chunks():
    """Python adds the sums of each chunk to those of the others, one after the other."""
    lengths = []
    for count in (2, 40):
        weights = symbols(f"w:{count}")
        total = sum(weight * exp(-k * t[s]) for k, weight in enumerate(weights))
        model = gc.compile(Sum(total**2, (s, 0, N - 1)), wrt=weights)
        cut = in_parts(model.graph, stream_axis(model.graph))
        divided = chunks.Chunks(cut)
        each = sum(work.count({"N": 1})[0] for work in divided.works)
        lengths.append(divided.length({"N": int(40 * chunks.CHUNK / each)}) * each / chunks.CHUNK)
    assert lengths[0] < 2
    assert lengths[1] > 5


def test_products_of_matrices_count_as_the_time_that_they_take():
    """BLAS multiplies and adds three pairs while a loop does one operation; their multiplication is not one more."""
    x, h, w = IndexedBase("x", shape=(N, D)), IndexedBase("h", shape=(D, 40)), IndexedBase("w", shape=(40,))
    j, k = symbols("j k", integer=True)
    unit = exp(Sum(x[s, j] * h[j, k], (j, 0, D - 1)))
    model = gc.compile(Sum(Sum(unit * w[k], (k, 0, 39)) ** 2, (s, 0, N - 1)), wrt=[h, w])
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    few, many = (sum(work.count({"N": 1, "D": inputs})[0] for work in divided.works) for inputs in (100, 1100))
    assert many - few == pytest.approx(1000 * 40 * 2 / chunks.MULTIPLIED)  # forward, and for the gradient of h
    whole = int(chunks.CHUNK / few)
    assert divided.length({"N": whole, "D": 100}) == 0
    assert divided.length({"N": 6 * whole, "D": 100}) > 0


def test_functions_count_as_the_time_that_they_take():
    """A loggamma takes as long as seven exponentials: half as many samples are work enough for two threads."""
    least = {}
    for function in (exp, loggamma):
        model = gc.compile(Sum(function(a * t[s]), (s, 0, N - 1)), wrt=[a])
        divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
        least[function] = next(n for n in range(10_000, 10**7, 10_000) if divided.length({"N": n}))
    assert 4 * least[loggamma] < least[exp]
    assert PRIMITIVES.keys() >= COSTS.keys() - {"accumulate"}


def test_more_than_four_chunks_spend_little_time_on_adding_up():
    """Chunks of 128 samples of 784 x 256 weights spend a tenth to a quarter of their time on their sums."""
    model = MODELS["softmax"]()
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    sizes = {"N": 512, "D": 784, "C": 256}
    assert divided.length(sizes) == 128  # four: as many as two threads take in two turns
    assert divided.length(sizes | {"N": 4096}) >= 384


def test_sums_of_all_chunks_stay_small():
    """A table of 10 million numbers is not summed in 64 copies."""
    model = MODELS["gathers"]()
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    samples, table = 10**9, 10**7
    length = divided.length({"N": samples, "M": table})
    assert length == 0 or 8 * table * -(-samples // length) <= chunks.MEMORY
    assert divided.length({"N": 10**6, "M": table}) == 0


COLUMNS, TWENTY = IndexedBase("Z", shape=(D, N)), IndexedBase("t", shape=(20,))
REFUSED = {
    "the samples are not the first axis": lambda: (Sum(COLUMNS[j, s] * w[j], (j, 0, D - 1), (s, 0, N - 1)), w),
    "the number of samples is not a size": lambda: (Sum((TWENTY[s] - a) ** 2, (s, 0, 19)), a),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_program_that_cannot_be_cut_says_why(reason):
    objective, wrt = REFUSED[reason]()
    model = gc.compile(objective, wrt=wrt)
    assert not isinstance(in_parts(model.graph, stream_axis(model.graph)), Parts)
    told = next(line for line in str(model.plan).splitlines() if line.startswith("one thread"))
    assert reason in told


def test_sums_of_a_part_are_laid_out_as_the_gradient():
    """A part then fills them in the loops of the whole program; in another order it takes a third longer."""
    model = gc.compile(gc.load(Path(gc.__file__).parent / "models" / "gaussian_mixture.model"))
    cut = in_parts(model.graph, stream_axis(model.graph))
    part = cut.passes[0].graph
    shapes = {tuple(str(axis.size) for axis in part.output_axes(name)) for name in part.outputs}
    assert ("K", "D", "D") in shapes
    assert ("D", "D", "K") not in shapes
    assert ("K", "D") in shapes
    assert ("D", "K") not in shapes


def test_cut_program_reads_as_two_functions():
    model = MODELS["mean"]()
    assert "def value_and_grad_part(a, b, x):" in model.source_in_parts
    assert "def value_and_grad_end(" in model.source_in_parts
    assert "_part" not in model.source
    assert all(len(line) <= 100 for line in model.source_in_parts.splitlines())


# The number of threads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, 10**6])
def test_wrong_number_of_threads(wrong):
    with pytest.raises(ArgumentError, match="1 to 256"):
        gc.set_threads(wrong)


def test_number_of_threads_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv(number.VARIABLE, "3")
    gc.set_threads(None)
    assert gc.get_threads() == 3
    gc.set_threads(2)
    assert gc.get_threads() == 2
    monkeypatch.setenv(number.VARIABLE, "many")
    gc.set_threads(None)
    assert gc.get_threads() == min(processors(), number.MOST)
    monkeypatch.undo()
    gc.set_threads(None)


# The pool -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pieces_are_combined_in_their_order(threads):
    """Strings: their concatenation shows every change of order."""
    for _ in range(50):
        assert pool.total(str, 30, lambda a, b: a + "," + b, threads) == ",".join(map(str, range(30)))


def test_what_a_piece_raises_comes_out():
    def task(number):
        if number == 7:
            raise ZeroDivisionError("seven")
        return number

    for threads in (1, 4):
        with pytest.raises(ZeroDivisionError, match="seven"):
            pool.total(task, 20, int.__add__, threads)
        assert pool.total(abs, 20, int.__add__, threads) == 190  # and the threads are still there


def test_pieces_run_beside_each_other():
    both = threading.Barrier(2, timeout=30)
    assert pool.total(lambda number: both.wait() * 0 + number, 2, int.__add__, 2) == 1


def after(own, job):
    """Have the one thread of a pool do a job; return the processors that it may run on afterwards."""
    own.help(job, 1)
    deadline = time.monotonic() + 30
    while own._busy or not own._jobs.empty():
        assert time.monotonic() < deadline
    [thread] = own._threads
    return os.sched_getaffinity(thread.native_id)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let threads be kept off")
@pytest.mark.skipif(processors() < 2, reason="there is one processor")
def test_threads_that_wait_are_kept_off_the_processor_that_wakes_them(monkeypatch):
    every, own = os.sched_getaffinity(0), pool._Pool()
    for here in [*sorted(every)[:2], sorted(every)[1]]:
        monkeypatch.setattr(pool, "here", lambda here=here: Place(here, frozenset(every)))
        assert after(own, pool._Job(abs, 1, max)) == every - {here}
    assert after(own, pool._Task(lambda: None)) == every  # what may take long is free again
    assert after(own, pool._Job(abs, 1, max)) == every - {here}
    assert os.sched_getaffinity(0) == every


def test_threads_that_work_are_left_where_they_are(monkeypatch):
    moved, begun, end = [], threading.Event(), threading.Event()
    monkeypatch.setattr(Place, "keep_off", lambda self, _: moved.append(self.processor))

    def place(number):
        """Let the one thread that asks be somewhere, and others elsewhere."""
        asks = threading.main_thread()
        monkeypatch.setattr(pool, "here", lambda: Place(number + (threading.current_thread() is not asks), frozenset()))

    own = pool._Pool()
    place(0)
    own.help(pool._Job(lambda _: (begun.set(), end.wait(30)), 1, max), 1)
    assert begun.wait(30)
    place(1)
    own.help(pool._Job(abs, 1, max), 1)
    assert moved == [0]
    end.set()
    while own._busy or not own._jobs.empty():
        pass
    own.help(pool._Job(abs, 1, max), 1)
    assert moved == [0, 1]


def test_a_system_that_forbids_it_decides_itself(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    Place(0, frozenset({0, 1})).keep_off([1])


# BLAS -----------------------------------------------------------------------------------------------------------------


def test_blas_has_one_thread_while_anybody_needs_that(monkeypatch):
    state = [4]
    monkeypatch.setattr(blas, "_functions", lambda: (lambda: state[0], lambda n: state.__setitem__(0, n)))
    with blas.on_one_thread():
        assert state == [1]
        with blas.on_one_thread():
            assert state == [1]
        assert state == [1]
    assert state == [4]


@pytest.mark.parametrize(("width", "told", "alone"), [(20, False, True), (100, True, True), (1000, False, False)])
def test_small_products_have_one_thread_of_blas(monkeypatch, width, told, alone):
    """Two threads that wait for each other by turning take a hundred times as long where others use the processors.

    For very small ones BLAS takes one thread by itself: in a call, which may be short, it is not told so.
    """
    A, B = IndexedBase("A", shape=(D, C)), IndexedBase("B", shape=(C, M))
    h = Sum(X[s, j] * A[j, r], (j, 0, D - 1))
    model = gc.compile(Sum(Sum(h**2 * B[r, i], (r, 0, C - 1)) ** 2, (i, 0, M - 1), (s, 0, N - 1)), wrt=[A, B])
    point = {"X": np.ones((32, width)), "A": np.ones((width, width)), "B": np.ones((width, 3))}
    model.value(**point)
    model.wait()
    numbers = []
    monkeypatch.setattr(blas, "_functions", lambda: (lambda: 4, numbers.append))
    model.value(**point)
    assert numbers == ([1, 4] if told else [])
    numbers.clear()
    monkeypatch.setattr("gradcompile.train.steps.likes_tiles", lambda: False)
    options = {"epochs": 1, "optimizer": gc.SGD(1e-30), "progress": False}
    model.fit(X=point["X"], init={"A": point["A"], "B": point["B"]}, **options)
    assert bool(numbers) == alone


@pytest.mark.parametrize("likes", [True, False])
def test_large_products_are_given_in_tiles_to_a_blas_that_likes_them(monkeypatch, likes):
    """On one thread of it, which the parts of a divided program have: what threads of BLAS share is given whole."""
    monkeypatch.setattr("gradcompile.pipeline.functions.likes_tiles", lambda: likes)
    A = IndexedBase("A", shape=(D, C))
    model = gc.compile(Sum(Sum(X[s, j] * A[j, r], (j, 0, D - 1)) ** 2, (r, 0, C - 1), (s, 0, N - 1)), wrt=A)
    for text, given in ((model.source_in_parts, likes), (model.source, False)):
        calls = [line for line in text.splitlines() if line.lstrip().startswith("gemm(")]
        assert calls
        assert all((", True)" in call) == given for call in calls)


def test_threads_of_the_blas_that_is_there_can_be_set():
    functions = blas._functions()
    if functions is None:
        pytest.skip("this BLAS does not say how")
    get, _ = functions
    with blas.on_one_thread():
        assert get() == 1


def test_columns_of_a_part_are_multiplied_where_they_lie(small):
    """The neighbours of a part's samples, in a matrix of all pairs, are columns from its first sample on."""
    model = gc.compile(
        gc.parse("""
            A: constant[N, N]
            X: data[N, D]
            W: parameter[D, C]
            z[s, k] = exp(Sum(X[s, j]*W[j, k], j))
            p[s, k] = z[s, k]/Sum(z[s, i], i)
            loss = Sum(p[s, k]*A[s, r]*p[r, k], s, r, k)/Sum(A[s, r]*p[s, k]**2, s, r, k)
        """)
    )
    random = np.random.default_rng(1)
    given = {"A": random.random((300, 300)), "X": random.normal(size=(300, 6)), "W": random.normal(size=(6, 9))}
    model.value_and_grad(**given)
    model.wait()
    found = model.value_and_grad(**given)
    assert "A_all[:, start + first:start + first + T]" in model.source_in_parts
    assert re.search(r"gemm\(1.0, A_all_b, \w+, 1.0, \w+, True\)", model.source_in_parts)
    z = np.exp(given["X"] @ given["W"])
    p = z / z.sum(axis=1, keepdims=True)
    above, below = np.sum(p * (given["A"] @ p)), np.sum(given["A"].sum(axis=1)[:, None] * p**2)
    assert found[0] == pytest.approx(above / below, rel=1e-12)
    dp = ((given["A"] + given["A"].T) @ p - 2 * above / below * given["A"].sum(axis=1)[:, None] * p) / below
    dz = p * (dp - np.sum(p * dp, axis=1, keepdims=True))
    np.testing.assert_allclose(found[1][0], given["X"].T @ dz, rtol=1e-10, atol=1e-13)


def test_every_pass_has_enough_work_for_its_chunks(monkeypatch):
    """A chunk is handed out once in every pass."""
    monkeypatch.setattr(chunks, "ROWS", 1 << 40)  # large rows are cut more finely
    model = MODELS["two passes"]()
    parts = in_parts(model.graph, stream_axis(model.graph))
    count = len(parts.passes)
    operations = sum(sum(work.count({"N": 1, "D": 20, "N_all": 1})) for work in chunks.Chunks(parts).works)
    samples = 8 * chunks.CHUNK // operations
    length = chunks.Chunks(parts).length({"N": samples, "D": 20})
    assert count > 1
    assert -(-samples // length) <= 8 // count


EVERY = """
    x:  data[N, D]
    t:  data[N]
    w:  parameter[D]
    dw: parameter
    u:  parameter[D]
    loss = Mean((Sum(x[s, j]*w[j], j) + dw**2 - t[s])**2, s) + 0*Sum(u[j], j)
"""


OPTIMIZERS = {"plain": gc.SGD(0.05), "momentum": gc.SGD(0.05, momentum=0.9), "Adam": gc.Adam(0.05)}


@pytest.mark.parametrize("batch", [None, 400])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_steps_of_many_samples_are_shared_with_the_same_bits(small, rule, batch, monkeypatch):
    shared, step = [], Whole.step
    monkeypatch.setattr(Whole, "step", lambda *given: shared.append(given) or step(*given))
    random = np.random.default_rng(0)
    given = {"x": random.normal(size=(1000, 3)), "t": random.normal(size=1000)}
    start = {"w": np.array([0.5, -1.0, 0.25]), "dw": 0.75, "u": np.ones(3)}
    options = {"optimizer": OPTIMIZERS[rule], "epochs": 6, "batch_size": batch, "seed": 5, "progress": False}
    fits = []
    for threads in (1, 2, 4, 8):
        gc.set_threads(threads)
        fits.append(gc.compile(gc.parse(EVERY)).fit(**given, init=start, **options))
    assert len(shared) == 4 * 6 * (3 if batch else 1)
    for each in fits[1:]:
        assert all(np.array_equal(each.params[name], fits[0].params[name]) for name in start)
        assert [e.objective for e in each.history] == [e.objective for e in fits[0].history]
    w, b, state, steps = start["w"], start["dw"], {}, 0
    for epoch, record in enumerate(fits[0].history, 1):
        order, total = shuffle.order(5, epoch, np.arange(1000)), 0.0
        for first in range(0, 1000, batch or 1000):
            rows, steps = order[first : first + (batch or 1000)], steps + 1
            miss = given["x"][rows] @ w + b**2 - given["t"][rows]
            total += np.sum(miss**2)
            slopes = {"w": 2 * given["x"][rows].T @ miss / rows.size, "dw": 4 * b * np.mean(miss)}
            w, b = (p - moved(rule, state, n, slopes[n], steps) for n, p in (("w", w), ("dw", b)))
        assert record.objective == pytest.approx(total / 1000, rel=1e-12)
    np.testing.assert_allclose(fits[0].params["w"], w, rtol=1e-11)
    assert fits[0].params["dw"] == pytest.approx(b, rel=1e-11)
    np.testing.assert_array_equal(fits[0].params["u"], 1)


def moved(rule, state, name, g, step):
    """How far a parameter moves at rate 0.05, by the optimizers' definitions."""
    if rule == "plain":
        return 0.05 * g
    if rule == "momentum":
        state[name] = 0.9 * state.get(name, 0) + g
        return 0.05 * state[name]
    first, second = state.get(name, (0, 0))
    first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
    state[name] = first, second
    return 0.05 * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)


def test_a_few_samples_are_no_work_for_several_threads(monkeypatch):
    monkeypatch.setattr(Whole, "step", None)  # whoever takes one fails
    random = np.random.default_rng(0)
    given = {"x": random.normal(size=(50, 3)), "t": random.normal(size=50)}
    fitted = gc.compile(gc.parse(EVERY)).fit(**given, batch_size=None, epochs=2, progress=False)
    assert len(fitted.history) == 2


@pytest.mark.parametrize("rows", [1 << 23, 1 << 40])
def test_chunks_are_as_many_for_each_of_two_threads_or_four(rows, monkeypatch):
    """Three chunks on two threads take as long as four."""
    monkeypatch.setattr(chunks, "ROWS", rows)
    model = MODELS["softmax"]()
    divided = chunks.Chunks(in_parts(model.graph, stream_axis(model.graph)))
    counts = set()
    for samples in range(1000, 200_000, 1000):
        length = divided.length({"N": samples, "D": 60, "C": 4})
        counts.add(-(-samples // length) if length else 1)
    assert {1, 4, 8} <= counts <= {1, 2, 4, 8, 12}
    assert 2 in counts or rows == 1 << 23
