"""Kernels are planned for the small sizes of the first call, and right for any sizes of a later one."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose

import gradcompile as gc
from gradcompile import pipeline
from gradcompile.errors import ArgumentError
from gradcompile.interpret import evaluate
from gradcompile.schedule import Product, small_sizes
from gradcompile.schedule import sizes as plans_of_sizes
from gradcompile.schedule.nodes import all_statements
from gradcompile.threads import chunks

# A map of points, turned once more for each of them. D and K are two sizes, also where their numbers are the same.
MAP = """
R: data[N, D, D]
x: data[N, K]
y: data[N, D]
A: parameter[D, K]
b: parameter[D]
u[n, i] = Sum(A[i, k]*x[n, k], k) + b[i]
r[n, i] = Sum(R[n, i, j]*u[n, j], j) - y[n, i]
loss = Sum(sqrt(1 + Sum(r[n, i]**2, i)), n) + Sum(A[i, k]**2, i, k)/K
"""
FIT = """
x: data[N, D]
t: data[N]
w: parameter[D]
loss = Sum((Sum(x[n, i]*w[i], i) - t[n])**2, n)
"""
MIXED = [(3, 2), (2, 3), (3, 3), (1, 8), (8, 1), (5, 5), (4, 20), (20, 4), (12, 9)]


def given(dimensions=3, inputs=2, samples=50, dtype="float64"):
    random = np.random.default_rng(1)

    def draw(*shape):
        return random.normal(size=shape).astype(dtype)

    arrays = {"A": draw(dimensions, inputs), "b": draw(dimensions), "R": draw(samples, dimensions, dimensions)}
    return arrays | {"x": draw(samples, inputs), "y": draw(samples, dimensions)}


def expected(A, b, R, x, y):
    """Return value and gradient, as NumPy computes what was derived by hand."""
    A, b, R, x, y = (np.asarray(each, np.float64) for each in (A, b, R, x, y))
    r = np.einsum("nij,nj->ni", R, x @ A.T + b) - y
    root = np.sqrt(1 + np.sum(r**2, 1))
    du = np.einsum("nij,ni->nj", R, r / root[:, None])
    return np.sum(root) + np.sum(A**2) / A.shape[1], (du.T @ x + 2 * A / A.shape[1], np.sum(du, 0))


def close(found, wanted, rtol=1e-12):
    assert_allclose(found[0], wanted[0], rtol=rtol)
    for gradient, other in zip(found[1], wanted[1], strict=True):
        assert_allclose(gradient, other, rtol=rtol, atol=10 * rtol * np.abs(other).max())


@pytest.fixture
def model(compiled_at_once):
    return gc.compile(gc.parse(MAP))


def body(source):
    return source[source.index("def value_and_grad(") : source.index("def grad(")]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("first", [(3, 2), (3, 3), (20, 9)])
def test_calls_of_any_sizes_are_right_whatever_the_first_one_had(compiled_at_once, first, dtype):
    model, rtol = gc.compile(gc.parse(MAP), dtype=dtype), 1e-12 if dtype == "float64" else 2e-5
    for sizes in (first, *MIXED, first):
        arrays = given(*sizes, dtype=dtype)
        close(model.value_and_grad(**arrays), expected(**arrays), rtol)
        assert_allclose(model.value(**arrays), expected(**arrays)[0], rtol=rtol)


def test_plan_and_source_say_for_which_sizes_they_are(model):
    assert "planned for" not in str(model.plan)
    assert not model.plan.sizes
    model.value_and_grad(**given(3, 2))
    assert "planned for D = 3, K = 2, as in the first call" in str(model.plan)
    assert model.plan.sizes == {"D": 3, "K": 2}
    assert "Planned for D = 3, K = 2, and wrong for any other sizes." in model.source
    assert "    D, K = 3, 2  # sizes for which this is planned\n" in body(model.source)
    assert "Sizes, found from the arrays: N." in model.source
    model.value_and_grad(**given(4, 2))
    assert not model.plan.sizes
    assert "planned for any sizes: D = 3, K = 2, as in the first call, have a plan of their own" in str(model.plan)
    assert "Sizes, found from the arrays: D, K, N." in model.source
    assert model.source == gc.emit(gc.parse(MAP), target="numba")
    model.value_and_grad(**given(3, 2, samples=9))
    assert model.plan.sizes == {"D": 3, "K": 2}


def test_small_matrices_are_no_products_for_blas(model):
    model.value_and_grad(**given(3, 2))
    assert "gemm(" not in model.source
    model.value_and_grad(**given(30, 20))
    assert "gemm(" in model.source


@pytest.mark.parametrize(("sizes", "products"), [((8, 5), 2), ((2, 19), 0), ((2, 20), 2), ((6, 6), 0), (("D", 2), 2)])
def test_narrow_matrices_are_products_where_the_other_side_is_wide(sizes, products):
    """A product with the samples along one side is a call of BLAS if the other two make 40."""
    text = "x: data[N,D]\nW: parameter[D,K]\nloss=Sum(tanh(Sum(x[n,j]*W[j,k],j)),n,k)"
    for name, size in zip("DK", sizes, strict=True):
        text = text.replace(f"{name}]", f"{size}]").replace(f"[{name},", f"[{size},")
    statements = all_statements(gc.compile(gc.parse(text)).plan.schedule.body)
    assert sum(isinstance(each, Product) for each in statements) == products


def test_numbers_of_samples_are_never_part_of_a_plan(model):
    sizes = {"N": 4, "D": 3, "K": 300}
    assert small_sizes(model.graph, sizes) == {"D": 3}
    model.value_and_grad(**given(3, 2, samples=2))
    model.value_and_grad(**given(3, 2, samples=7))
    assert model.plan.sizes == {"D": 3, "K": 2}


def test_the_size_of_a_matrix_for_all_samples_is_none_of_samples():
    text = "x: data[N,D]\nM: data[D,D]\nm: parameter[D]\nd[n,i]=x[n,i]-m[i]\nloss=Sum(d[n,i]*M[i,j]*d[n,j],n,i,j)"
    assert small_sizes(gc.compile(gc.parse(text)).graph, {"N": 4, "D": 3}) == {"D": 3}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("matrices", [True, False])
def test_lengths_of_rows_are_known_unless_numba_compiles(matrices, monkeypatch):
    """It would write rows of 30 out, which takes twice as long as vectors."""
    N, D, K, n, i, k = sympy.symbols("N D K n i k", integer=True)
    X, A, B = sympy.MatrixSymbol("X", N, D), sympy.MatrixSymbol("A", D, K), sympy.MatrixSymbol("B", D, D)
    loss = sympy.Sum(sympy.tanh(X[n, i] * A[i, k] * B[i, i]), (n, 0, N - 1), (i, 0, D - 1), (k, 0, K - 1))
    loss += sympy.log(sympy.Determinant(B)) if matrices else 0
    for compiler, sizes in (("", {"D": 30, "K": 3}), ("numba", {"K": 3})):
        monkeypatch.setenv("GRADCOMPILE_COMPILER", compiler)
        model = gc.compile(loss, wrt=[A, B])
        model.value(X=np.ones((4, 30)), A=np.ones((30, 3)), B=np.eye(30))
        assert model.plan.sizes == sizes


def test_nothing_is_planned_for_large_sizes(model):
    model.value_and_grad(**given(200, 150))
    assert model._program.suited is None
    assert "planned for" not in str(model.plan)


def test_sizes_that_another_depends_on(compiled_at_once):
    text = "x: data[N, K + 1]\nw: parameter[K]\nloss = Sum((x[n, k + 1] - w[k]*x[n, k])**2, n, k)"
    model = gc.compile(gc.parse(text))
    for length in (2, 5, 2, 12):
        x, w = np.random.default_rng(0).normal(size=(9, length + 1)), np.linspace(1, 2, length)
        r = x[:, 1:] - w * x[:, :-1]
        value, (gradient,) = model.value_and_grad(x=x, w=w)
        assert_allclose(value, np.sum(r**2), rtol=1e-12)
        assert_allclose(gradient, np.sum(-2 * r * x[:, :-1], 0), rtol=1e-12)
    assert model._program.suited.graph.known == {"K": 2}


def test_second_derivatives(model):
    for sizes in ((3, 3), (2, 3), (3, 3)):
        arrays = given(*sizes)
        v = tuple(np.random.default_rng(2).normal(size=arrays[name].shape) for name in "Ab")

        def moved(step, arrays=arrays, v=v):
            return expected(**{**arrays, "A": arrays["A"] + step * v[0], "b": arrays["b"] + step * v[1]})[1]

        product, (above, below) = model.hvp(v, **arrays), (moved(1e-5), moved(-1e-5))
        for part, a, z in zip(product, above, below, strict=True):
            assert_allclose(part, (a - z) / 2e-5, rtol=1e-7, atol=1e-6)
        column = np.einsum("ikjl,jl->ik", model.hessian(**arrays)[0][0], v[0])
        assert_allclose(column + np.einsum("ikj,j->ik", model.hessian(**arrays)[0][1], v[1]), product[0], rtol=1e-10)


def test_threads_share_what_is_planned(model, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 1)
    monkeypatch.setattr(chunks, "RETURNED", 1)
    for sizes in ((3, 2), (4, 2), (3, 2)):
        arrays = given(*sizes, samples=3000)
        close(model.value_and_grad(**arrays), expected(**arrays))
        assert "chunks of" in str(model.plan)
        assert ("D, K = 3, 2" in model.source_in_parts) == (sizes == (3, 2))


def test_first_answers_and_the_kernel_are_those_of_the_sizes(monkeypatch):
    monkeypatch.setattr(pipeline.Program, "patient", False)
    model = gc.compile(gc.parse(MAP))
    for sizes in ((3, 2), (2, 2), (3, 2)):
        close(model.value_and_grad(**given(*sizes)), expected(**given(*sizes)))
    assert model.wait().ready
    for sizes in ((3, 2), (2, 2), (3, 2)):
        close(model.value_and_grad(**given(*sizes)), expected(**given(*sizes)))
    general, suited = model._program, model._program.suited
    assert general.compiled("value_and_grad") is not suited.compiled("value_and_grad")
    assert general.early is suited.early


def test_waiting_before_the_first_call_compiles_for_any_sizes():
    model = gc.compile(gc.parse(MAP)).wait()
    close(model.value_and_grad(**given(3, 2)), expected(**given(3, 2)))
    assert model.plan.sizes == {"D": 3, "K": 2}
    assert model._program.suited.compiled("value_and_grad")


def test_callers_at_once_get_the_kernel_of_their_sizes(model):
    wanted = {sizes: expected(**given(*sizes)) for sizes in MIXED}
    together = threading.Barrier(4)

    def call(k):
        if k < 4:
            together.wait()
        close(model.value_and_grad(**given(*MIXED[k % len(MIXED)])), wanted[MIXED[k % len(MIXED)]])

    with ThreadPoolExecutor(4) as callers:
        list(callers.map(call, range(200)))


# Training ---------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("batch", "optimizer"), [(None, gc.SGD(1e-3)), (16, gc.Adam(1e-3)), (1, gc.SGD(1e-3))])
def test_training_takes_the_steps_of_sizes_that_are_written_as_numbers(model, batch, optimizer):
    options = {"epochs": 2, "batch_size": batch, "optimizer": optimizer, "seed": 0, "progress": False}
    for sizes in ((3, 2), (4, 2), (3, 2)):
        arrays = given(*sizes)
        start = {name: arrays.pop(name) for name in "Ab"}
        text = MAP.replace("D", str(sizes[0])).replace("K", str(sizes[1]))
        named = model.fit(**arrays, init=start, **options)
        written = gc.compile(gc.parse(text)).fit(**arrays, init=start, **options)
        for name in "Ab":
            assert_allclose(named.params[name], written.params[name], rtol=1e-11)


def test_training_again_gives_the_same_bits_after_other_sizes(compiled_at_once):
    def trained(model, sizes):
        arrays = given(*sizes)
        start = {name: arrays.pop(name) for name in "Ab"}
        result = model.fit(**arrays, init=start, epochs=3, batch_size=16, seed=0, progress=False)
        return [result.params[name].tobytes() for name in "Ab"]

    fresh, used = gc.compile(gc.parse(MAP)), gc.compile(gc.parse(MAP))
    trained(used, (2, 2))
    assert trained(used, (3, 2)) == trained(fresh, (3, 2))


# Modules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["python", "numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_a_module_for_given_sizes_checks_itself(target, tmp_path):
    text = gc.emit(gc.parse(MAP), target=target, sizes={"K": 2, "D": 3})
    assert "Planned for D = 3, K = 2, and wrong for any other sizes." in text
    path = tmp_path / "planned.py"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, path, "--check"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_a_module_for_given_sizes_refuses_others(target):
    """It gave wrong numbers, of what lies behind an array if that is shorter."""
    module = {}
    exec(gc.emit(gc.parse(FIT), target=target, sizes={"D": 3}), module)

    def asked(rows, columns, weights):
        arrays = np.ones(weights), np.ones((rows, columns)), np.zeros(rows)
        return module["value"](*(a.tolist() for a in arrays) if target == "python" else arrays)

    assert asked(4, 3, 3) == asked(2, 3, 3) * 2 == 36
    for columns, weights in ((2, 2), (3, 2), (4, 3)):
        with pytest.raises(AssertionError, match="planned for other sizes"):
            asked(4, columns, weights)


def test_arrays_of_one_size_are_asked_in_lines_that_are_not_long():
    names = [f"a_parameter_with_the_number_{k}" for k in range(9)]
    text = "".join(f"{name}: parameter[D]\n" for name in names)
    text += f"loss = {' + '.join(f'Sum({name}[i]**2, i)' for name in names)}"
    source = gc.emit(gc.parse(text), target="numba", sizes={"D": 5})
    asked = [line for line in source.splitlines() if line.startswith("    assert ")]
    assert max(map(len, source.splitlines())) <= 100
    assert all(sum(f"{name}.shape[0]" in line for line in asked) == 2 for name in names)  # in value and value_and_grad


def test_the_plan_of_a_call_is_that_of_its_sizes_as_text(model):
    model.value_and_grad(**given(3, 2))
    assert model.source == gc.emit(gc.parse(MAP), target="numba", sizes={"D": 3, "K": 2})


def test_second_derivatives_of_a_module_for_given_sizes():
    text = gc.emit(gc.parse(MAP), target="numba", order=2, sizes={"D": 3, "K": 2})
    assert text.count("D, K = 3, 2  # sizes") == 3


@pytest.mark.parametrize(
    ("sizes", "message"), [({"Q": 3}, "no such size"), ({"D": 0}, "whole number"), ({"D": 2.5}, "whole")]
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ArgumentError, match=message):
        gc.emit(gc.parse(MAP), sizes=sizes)


CONVOLUTION = """
    x: data[N, 20, C]
    y: data[N, M]
    A: parameter[3, C, K]
    V: parameter[3, K, K]
    U: parameter[K, M]
    h[n, t, k] = max(0, Sum(x[n, t + a, i]*A[a, i, k], a, i))
    g[n, t, k] = max(0, Sum(h[n, t + a, j]*V[a, j, k], a, j))
    loss = Sum((Sum(Mean(g[n, t, k], t)*U[k, m], k) - y[n, m])**2, n, m)/N
"""


@pytest.mark.parametrize(("outputs", "known"), [(2, True), (120, False)])
def test_of_samples_with_rows_of_their_own_few_are_taken_at_once(outputs: int, known: bool) -> None:
    """Not so where a part of the work is in products of one row for each sample."""
    model, random = gc.compile(gc.parse(CONVOLUTION)).wait(), np.random.default_rng(0)
    shapes = {"x": (300, 20, 4), "y": (300, outputs), "A": (3, 4, 24), "V": (3, 24, 24), "U": (24, outputs)}
    point = {name: random.normal(size=shape) for name, shape in shapes.items()}
    assert "samples_of_rows" not in model.source
    value, gradients = model.value_and_grad(**point)
    assert (re.search(r"samples_of_rows\([^,]*, N, 16\)", model.source) is not None) == known
    right = evaluate(model.graph, point)
    assert value == pytest.approx(float(right["value"]), rel=1e-12)
    for name, gradient in zip(model.graph.wrt, gradients, strict=True):
        np.testing.assert_allclose(gradient, right[f"d{name}"], rtol=1e-10, atol=1e-12)


NETWORK = """
e: labels[M]
f: labels[M]
x: data[N, D]
t: labels[N]
A: parameter[D, H]
B: parameter[H, C]
g[n, k] = max(0, Sum(x[n, j]*A[j, k], j))
y[n, c] = Sum(g[n, k]*B[k, c], k)
loss = Sum(log(Sum(exp(y[e[m], c]), c)) - y[f[m], t[f[m]]], m)
"""


def network(nodes, edges):
    random = np.random.default_rng(0)
    ends = {name: random.integers(nodes, size=edges) for name in "ef"}
    weights = {"A": random.normal(size=(16, 12)), "B": random.normal(size=(12, 5))}
    return {**ends, **weights, "x": random.normal(size=(nodes, 16)), "t": random.integers(5, size=nodes)}


def network_slopes(A, B, e, f, t, x):
    hidden = np.maximum(0, x @ A)
    y = np.exp(hidden @ B)
    value = np.sum(np.log(np.sum(y, 1))[e] - np.log(y)[f, t[f]])
    slopes = np.bincount(e, minlength=len(x))[:, None] * y / np.sum(y, 1, keepdims=True)
    np.subtract.at(slopes, (f, t[f]), 1)
    return value, (x.T @ (slopes @ B.T * (hidden > 0)), hidden.T @ slopes)


@pytest.mark.parametrize(("threads", "dtype"), [(1, "float64"), (2, "float32")])
def test_loops_stream_over_what_samples_pick(threads, dtype, compiled_at_once, monkeypatch):
    """So nodes of a graph have BLAS, unless there are many edges for each of them."""
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    try:
        gc.set_threads(threads)
        model = gc.compile(gc.parse(NETWORK), dtype=dtype)
        for nodes, edges, streams in ((70, 300, True), (300, 700, True), (30, 700, False)):
            arrays = network(nodes, edges)
            value, gradients = model.value_and_grad(**arrays)
            right, slopes = network_slopes(**arrays)
            accuracy = 1e-11 if dtype == "float64" else 2e-5
            assert_allclose(value, right, rtol=accuracy)
            for gradient, slope in zip(gradients, slopes, strict=True):
                assert_allclose(gradient, slope, rtol=accuracy, atol=accuracy * np.abs(slope).max())
            assert ("do nothing but pick elements" in str(model.plan)) is streams
            assert ("gemm(1.0, x_b" in model.source) is streams
    finally:
        gc.set_threads(None)


@pytest.mark.parametrize(
    "samples",
    [
        "w: data[M]\nloss = Sum(w[m]*Sum(tanh(w[m]*s[e[m], k]), k), m)",
        "f: labels[M]\nloss = Sum(log(1 + exp(s[e[m], 0] - s[f[m], 1])), m)",
    ],
)
def test_loops_stream_over_samples_that_have_work_of_their_own(samples, compiled_at_once):
    text = f"e: labels[M]\nx: data[N, D]\nA: parameter[D, H]\ns[n, k] = tanh(Sum(x[n, j]*A[j, k], j))\n{samples}"
    given = {
        "e": np.arange(20) % 9,
        "f": np.arange(20) % 7,
        "x": np.ones((9, 3)),
        "A": np.ones((3, 4)),
        "w": np.ones(20),
    }
    model = gc.compile(gc.parse(text))
    model.value(**{name: given[name] for name in model.arguments})
    assert "do nothing but pick elements" not in str(model.plan)


BALANCED = """
C: parameter[N, M]
a: data[N]
b: data[M]
K[i, j] = exp(-C[i, j])
u[i] = a[i]/Sum(K[i, j], j)
v[j] = b[j]/Sum(K[i, j], i)
loss = Sum(u[i]*K[i, j]*v[j], i, j)
"""


@pytest.mark.parametrize("first", [(5, 4), (60, 50), (3, 2)])
def test_calls_of_other_sizes_than_the_first_keep_pairs_where_these_are_few(first, compiled_at_once, monkeypatch):
    monkeypatch.setattr(plans_of_sizes, "PAIRS", 40**2)
    model, random = gc.compile(gc.parse(BALANCED)), np.random.default_rng(0)
    for rows, columns, kept in ((*first, max(first) <= 40), (30, 20, True), (50, 20, False), (40, 30, True)):
        C, a, b = random.normal(size=(rows, columns)), random.normal(size=rows), random.normal(size=columns)
        K = np.exp(-C)
        u, v = a / np.sum(K, 1), b / np.sum(K, 0)
        value, (gradient,) = model.value_and_grad(C=C, a=a, b=b)
        assert_allclose(value, u @ K @ v, rtol=1e-11)
        slope = np.outer(u, v) - (u * (K @ v) / np.sum(K, 1))[:, None] - v * (u @ K) / np.sum(K, 0)
        assert_allclose(gradient, -K * slope, rtol=1e-9, atol=1e-11)
        assert ("for pairs of them is kept" in str(model.plan)) is kept
