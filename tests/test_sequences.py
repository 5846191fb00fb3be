"""Models with several places in every sample: words of a sentence, points of a set, steps in time.

Their layers are products of matrices whose rows are all places of all samples, or products for each sample.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from gradcompile import shuffle
from gradcompile.emit import support
from gradcompile.interpret import evaluate
from tests.oracle import Problem, exact
from tests.texts import gradient_of

DENSE = """
    x: data[N, T, D]
    gt: labels[N]
    W: parameter[D, H]
    b: parameter[H]
    V: parameter[H, G]
    U: parameter[G, C]
    h[n, s, i] = max(0, Sum(x[n, s, j]*W[j, i], j) + b[i])
    g[n, s, k] = tanh(Sum(h[n, s, i]*V[i, k], i))
    m[n, k]    = Mean(g[n, s, k], s)
    y[n, c]    = Sum(m[n, k]*U[k, c], k)
    loss       = -Sum(y[n, gt[n]] - log(Sum(exp(y[n, c]), c)), n)
"""
ATTENTION = """
    x: data[N, T, D]
    t: data[N, T, D]
    Q: parameter[D, K]
    L: parameter[D, K]
    V: parameter[D, D]
    q[n, s, k] = Sum(x[n, s, d]*Q[d, k], d)
    l[n, r, k] = Sum(x[n, r, d]*L[d, k], d)
    v[n, r, e] = Sum(x[n, r, d]*V[d, e], d)
    z[n, s, r] = exp(Sum(q[n, s, k]*l[n, r, k], k)/4)
    y[n, s, e] = Sum(z[n, s, r]*v[n, r, e], r)/Sum(z[n, s, r], r)
    loss = Sum((y[n, s, e] - t[n, s, e])**2, n, s, e)
"""
WORDS = """
    w: labels[N, T]
    t: data[N]
    E: parameter[A, D]
    W: parameter[T, D, H]
    V: parameter[H, T, D]
    h[n, i]    = tanh(Sum(E[w[n, s], j]*W[s, j, i], s, j))
    g[n, s, j] = Sum(h[n, i]*V[i, s, j], i) + E[w[n, s], j]
    loss       = Sum((Sum(g[n, s, j]**2, s, j) - t[n])**2, n) + 0.1*Sum(W[s, j, i]**2, s, j, i)
"""
MIXED = """
    x: data[N, T, D]
    m: data[N, T]
    W: parameter[D, H]
    A: parameter[T, T]
    U: parameter[H, D]
    h[n, s, k] = sigmoid(Sum(x[n, s, j]*W[j, k], j))
    g[n, r, k] = tanh(Sum(h[n, s, k]*A[s, r], s))
    z[n, s, j] = Sum(g[n, s, k]*U[k, j], k)
    loss       = Sum(where(m[n, s] > 0, (z[n, s, j] - x[n, s, j])**2, 0), n, s, j) - Sum(g[n, T - 1, k], n, k)
"""
HEADS = """
    x: data[N, T, D]
    t: data[N, T, D]
    Q: parameter[H, D, K]
    L: parameter[H, D, K]
    V: parameter[H, D, K]
    O: parameter[H, K, D]
    q[n, h, s, k] = Sum(x[n, s, d]*Q[h, d, k], d)
    l[n, h, r, k] = Sum(x[n, r, d]*L[h, d, k], d)
    v[n, h, r, k] = Sum(x[n, r, d]*V[h, d, k], d)
    a[n, h, s, r] = exp(Sum(q[n, h, s, k]*l[n, h, r, k], k)/4)
    y[n, h, s, k] = Sum(a[n, h, s, r]*v[n, h, r, k], r)/Sum(a[n, h, s, r], r)
    loss = Sum((Sum(y[n, h, s, k]*O[h, k, d], h, k) - t[n, s, d])**2, n, s, d)
"""
CAUSAL = """
    x: data[N, T, D]
    t: data[N, T, D]
    g: parameter[D]
    Q: parameter[H, D, K]
    L: parameter[H, D, K]
    V: parameter[H, D, K]
    O: parameter[H, K, D]
    a[n, s, d]    = x[n, s, d]*g[d]
    q[n, h, s, k] = Sum(a[n, s, d]*Q[h, d, k], d)
    l[n, h, r, k] = Sum(a[n, r, d]*L[h, d, k], d)
    v[n, h, r, k] = Sum(a[n, r, d]*V[h, d, k], d)
    e[n, h, s, r] = where(r <= s, exp(Sum(q[n, h, s, k]*l[n, h, r, k], k)/4), 0)
    y[n, h, s, k] = Sum(e[n, h, s, r]*v[n, h, r, k], r)/Sum(e[n, h, s, r], r)
    loss = Sum((a[n, s, d] + Sum(y[n, h, s, k]*O[h, k, d], h, k) - t[n, s, d])**2, n, s, d)
"""
BILINEAR = """
    x: data[N, T, K]
    y: parameter[N, R, K]
    w: parameter[T, R]
    loss = Sum(Sum(x[n, s, k]*y[n, r, k], k)**2*w[s, r], n, s, r)
"""
WINDOWS = """
    x: data[N, S, D]
    gt: labels[N]
    W: parameter[P, D, H]
    b: parameter[H]
    V: parameter[P, H, G]
    U: parameter[G, C]
    h[n, i, k] = tanh(Sum(x[n, i + a, d]*W[a, d, k], a, d) + b[k])
    m[n, i, k] = Max(h[n, i + a, k], a, 0, 1)
    g[n, i, f] = max(0, Sum(m[n, i + a, k]*V[a, k, f], a, k))
    y[n, c]    = Sum(Mean(g[n, i, f], i)*U[f, c], f)
    loss       = -Sum(y[n, gt[n]] - log(Sum(exp(y[n, c]), c)), n)
"""
POOLED = """
    x: data[N, 10]
    gt: labels[N]
    W: parameter[3, H]
    V: parameter[H, 4, C]
    h[n, i, k] = tanh(Sum(x[n, i + a]*W[a, k], a))
    p[n, i, k] = max(h[n, 2*i, k], h[n, 2*i + 1, k])
    y[n, c]    = Sum(p[n, i, k]*V[k, i, c], k, i)
    loss       = Sum(log(Sum(exp(y[n, c]), c)) - y[n, gt[n]], n)
"""
CENTRED = """
    x: data[N, D]
    t: data[N]
    W: parameter[D, T, H]
    y[n, s, k] = Sum(x[n, d]*W[d, s, k], d)
    m[s, k]    = Mean(y[n, s, k], n)
    loss       = Sum((t[n] - Sum(log(1 + exp(y[n, s, k] - m[s, k])), s, k))**2, n)
"""
IMAGES = """
    x: data[N, 28, 28]
    gt: labels[N]
    W: parameter[5, 5, H]
    V: parameter[3, 3, H, G]
    U: parameter[G, C]
    h[n, i, j, c] = max(0, Sum(x[n, 2*i + a, 2*j + b]*W[a, b, c], a, b))
    g[n, i, j, f] = max(0, Sum(h[n, i + a, j + b, c]*V[a, b, c, f], a, b, c))
    y[n, o]       = Sum(Mean(g[n, i, j, f], i, j)*U[f, o], f)
    loss          = -Sum(y[n, gt[n]] - log(Sum(exp(y[n, o]), o)), n)
"""
SIZES = {"N": 300, "T": 5, "R": 10, "D": 9, "H": 11, "G": 8, "C": 4, "K": 8, "A": 7, "S": 11, "P": 3}
MODELS = {"dense": DENSE, "attention": ATTENTION, "words": WORDS, "mixed": MIXED, "heads": HEADS, "windows": WINDOWS}
MODELS |= {"causal": CAUSAL, "bilinear": BILINEAR, "pooled": POOLED, "centred": CENTRED}


def drawn(text: str, dtype: str = "float64", **sizes: int) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a model, its data and its parameters."""
    sizes, random = SIZES | sizes, np.random.default_rng(0)
    data, parameters = {}, {}
    for name, role, axes in re.findall(r"(\w+): (\w+)\[(.*)\]", text):
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes.split(", ")]
        labels = sizes["C"] if name == "gt" else sizes["A"]
        array = random.integers(0, labels, shape) if role == "labels" else random.normal(size=shape) / 3
        made = array if role == "labels" else array.astype(dtype)
        (parameters if role == "parameter" else data)[name] = made
    return gc.compile(gc.parse(text), dtype=dtype), data, parameters


def assert_near(found: Any, right: Any, tolerance: float) -> None:
    """Compare arrays by their largest numbers."""
    np.testing.assert_allclose(found, right, rtol=0, atol=tolerance * (1 + np.abs(right).max(initial=0)))


def some_slow(cases: list[tuple[Any, ...]], fast: int) -> list[Any]:
    """Return cases for a test, of which the first are not slow."""
    return [pytest.param(*case, marks=[pytest.mark.slow] * (k >= fast)) for k, case in enumerate(cases)]


DRAWN = [{}, {"T": 1}, {"N": 1, "D": 1, "H": 1, "K": 1}]
NAMES = ("windows", "centred", "pooled", "causal", "bilinear", "dense", "mixed", "heads", "attention", "words")
AGREED = [(name, dtype, sizes) for dtype in ("float64", "float32") for sizes in DRAWN for name in NAMES]


@pytest.mark.parametrize(("name", "dtype", "sizes"), some_slow(AGREED, 2))
def test_compiled_code_agrees_with_the_graph(name: str, dtype: str, sizes: dict[str, int]) -> None:
    tolerance = 1e-12 if dtype == "float64" else 2e-4
    model, data, parameters = drawn(MODELS[name], dtype, **sizes)
    value, gradients = model.value_and_grad(**data, **parameters)
    right = evaluate(model.graph, {k: np.asarray(a) for k, a in {**data, **parameters}.items()})
    assert_near(value, right["value"], tolerance)
    assert_near(model.value(**data, **parameters), right["value"], tolerance)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert_near(gradient, right[f"d{parameter}"], tolerance)


@pytest.mark.parametrize("name", [*MODELS, "images"])
def test_numpy_and_the_listing_agree_with_the_graph(name: str, tmp_path: Path) -> None:
    model, data, parameters = drawn(MODELS.get(name, IMAGES), N=4)
    (tmp_path / "emitted.py").write_text(gc.emit(gc.parse(MODELS.get(name, IMAGES)), target="numpy"), encoding="utf-8")
    emitted = runpy.run_path(str(tmp_path / "emitted.py"))
    right = evaluate(model.graph, {**data, **parameters})
    given = {**parameters, **data}
    value, gradients = emitted["value_and_grad"](*(given[name] for name in model.graph.inputs))
    space = {"np": np, **support.functions("numpy"), **{key: array.copy() for key, array in given.items()}}
    with np.errstate(all="ignore"):
        exec(model.listing, space)
    assert_near(value, right["value"], 1e-12)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert_near(gradient, right[f"d{parameter}"], 1e-12)
        assert_near(space[f"d{parameter}"], right[f"d{parameter}"], 1e-12)


@pytest.mark.parametrize(
    "name", some_slow([(name,) for name in ("words", "heads", *sorted(MODELS.keys() - {"words", "heads"}))], 1)
)
def test_gradients_are_right_at_50_digits(name: str) -> None:
    sizes = {"N": 2, "T": 2, "D": 2, "H": 2, "G": 2, "C": 2, "K": 2, "A": 3, "S": 5, "P": 2}
    model, data, parameters = drawn(MODELS[name], **sizes)
    text = gc.parse(MODELS[name])
    problem = Problem(text.objective, text.wrt, {**data, **parameters}, define=text.definitions)
    value, gradients = exact(problem).floats()
    found, own = model.value_and_grad(**data, **parameters)
    assert found == pytest.approx(value, rel=1e-13)
    for parameter, gradient in zip(parameters, own, strict=True):
        np.testing.assert_allclose(gradient, gradients[parameter], rtol=1e-11, atol=1e-14)


STEPS = [
    (name, batch)
    for batch in (200, 1, 64, 128)
    for name in ("words", "causal", "dense", "heads", "attention", "mixed", "windows")
]


@pytest.mark.parametrize(
    ("name", "batch"), some_slow([("causal", 64), *(each for each in STEPS if each != ("causal", 64))], 1)
)
def test_an_epoch_takes_the_steps_of_the_gradients(name: str, batch: int) -> None:
    model, data, parameters = drawn(MODELS[name])
    trained = model.fit(**data, init=parameters, optimizer=gc.SGD(1e-3), epochs=1, batch_size=batch, progress=False)
    now = {k: a.copy() for k, a in parameters.items()}
    order = shuffle.order(0, 1, np.arange(SIZES["N"]))
    for first in range(0, SIZES["N"], batch):
        gradients = model.minibatch_grad(rows=order[first : first + batch], **data, **now)
        now = {k: now[k] - 1e-3 * gradient for k, gradient in zip(now, gradients, strict=True)}
    for parameter, right in now.items():
        assert_near(trained.params[parameter], right, 1e-12)


def test_a_layer_of_all_places_is_one_product() -> None:
    gradient = gradient_of(DENSE)
    assert "gemm(1.0, x_b.reshape(size*T, D), W, 1.0, " in gradient
    assert "gemm(1.0, h[:size].reshape(size*T, H), V, 0.0, " in gradient
    assert "gemm(1.0, x_b.reshape(size*T, D).T, " in gradient
    assert "x_t" not in gradient  # data are read where they lie


def test_products_within_a_sample_stand_in_the_loop_over_samples() -> None:
    gradient = gradient_of(ATTENTION)
    assert re.search(r"for n in range\(size\):\n +gemm\(1.0, l\[n\], q\[n\].T, 0.0, \w+\)", gradient)
    assert gradient.count("gemm(") == 12  # three projections, six products of samples, three gradients


def test_a_layer_of_windows_is_computed_once_and_multiplied() -> None:
    """Read at ``i + a``, a layer is the same for every a: to compute it for each would take a hundred times as long."""
    text = gradient_of(WINDOWS)
    assert text.count("gemm(") == 8  # two layers and the outputs, each with its gradients, but for that of x
    assert len(re.findall(r"= x_b\[", text)) == 1


def test_loops_of_known_lengths_are_not_written_out_with_all_that_is_in_them() -> None:
    """LLVM takes seconds to write out the 12 x 12 places of a layer; where a loop holds no other, it may."""
    text = gradient_of(IMAGES)
    assert "n5, n10, n12, n28 = rolled(5), rolled(10), rolled(12), rolled(28)\n" in text
    assert "for i in range(n12):\n" in text
    assert not re.search(r"range\((12|28)\):\n( +)for", text)
    short = gradient_of("x: data[N, 3]\nA: parameter[3, 3]\nloss = Sum(exp(Sum(A[i, k]*x[n, k], k)), n, i)")
    assert "rolled" not in short


def test_windows_of_single_numbers_are_left_to_loops() -> None:
    layer = "x: data[N, S]\nw: parameter[P, H]\nh[n, i, k] = tanh(Sum(x[n, i + a]*w[a, k], a))"
    assert "gemm(" not in gradient_of(f"{layer}\nloss = Sum(h[n, i, k], n, i, k)")


def test_sums_over_two_axes_are_one_product() -> None:
    gradient = gradient_of(WORDS)
    assert re.search(r"gemm\(1.0, \w+\[:size\].reshape\(size, T\*D\), W.reshape\(T\*D, H\), 0.0, \w+", gradient)


@pytest.mark.parametrize(
    ("text", "rows"),
    [(POOLED, "p.reshape(H*4, T)[:, :size].T"), (CENTRED, "y.reshape(T*H, N)[:, first:first + size].T")],
    ids=["of a block", "of all"],
)
def test_numbers_of_samples_lie_next_to_each_other_where_nothing_but_products_has_them_as_rows(text, rows) -> None:
    """Which of two numbers is larger lies as they do: by rows, it would be asked, and used, one by one."""
    gradient = gradient_of(text)
    assert rows in gradient
    loops = re.findall(r"( +)for n in range\(size\):\n((?:\1 .*\n)*)", gradient)
    assert loops
    assert not any("for " in body for _, body in loops)  # loops over samples are the innermost ones


def test_a_product_of_each_sample_needs_none_of_all_samples() -> None:
    gradient = gradient_of(BILINEAR)
    assert "gemm(1.0, x_b[n], y_b[n].T, 0.0, a)  # " in gradient
    assert re.search(r"gemm\(1.0, \w+.T, x_b\[n\], 0.0, \w+\)", gradient)
    assert gradient.count("gemm(") == 2
    assert "x_t" not in gradient  # data are read where they lie


@pytest.mark.parametrize("sizes", ["TR", "RK", "TK"])
def test_a_small_product_for_each_sample_is_left_to_loops(sizes: str) -> None:
    """A call for each sample would take longer than vectors over samples; not so if a narrow matrix is a long one."""
    assert "gemm(" not in gradient_of(re.sub(rf"\b[{sizes}]\b", "4", BILINEAR))
    assert gradient_of(re.sub(rf"\b{sizes[0]}\b", "4", BILINEAR)).count("gemm(") == 2


def test_a_product_for_each_head_takes_all_places() -> None:
    gradient = gradient_of(HEADS)
    assert "gemm(1.0, x_b.reshape(size*T, D), Q[h], 0.0, q[:size].reshape(size*T, H, K)[:, h])" in gradient
    assert "gemm(1.0, l[n, :, h], q[n, :, h].T, 0.0, " in gradient


def test_a_sum_over_heads_is_a_product_for_each_all_added_to_one_array() -> None:
    """Three sums, of q, l and v, over heads and their numbers, which lie apart; the rest of the sum is loops before."""
    gradient = gradient_of(CAUSAL)
    added = re.findall(
        r"gemm\(\s*1.0, \w+\[:size\].reshape\(size\*T, H, K\)\[:, h\], \w\[h\].T, 1.0,\s*(\w+)\[", gradient
    )
    assert len(added) == 3
    assert len({*added}) == 1


def test_a_triangle_is_no_product_of_whole_matrices() -> None:
    model = gc.compile(
        gc.parse("""
        x: data[N, D]
        L: parameter[D, D]
        z[n, i] = Sum(where(j < i, L[i, j]*x[n, j], 0), j)
        loss    = Sum(z[n, i]**2, n, i)
    """)
    )
    random = np.random.default_rng(0)
    x, L = random.normal(size=(300, 9)), random.normal(size=(9, 9))
    z = x @ np.tril(L, -1).T
    value, (gradient,) = model.value_and_grad(x=x, L=L)
    assert value == pytest.approx((z**2).sum(), rel=1e-12)
    np.testing.assert_allclose(gradient, np.tril(2 * z.T @ x, -1), rtol=1e-11)


def test_an_array_twice_in_a_product_has_one_order() -> None:
    """The second factor's axes stand where the first one's would not let BLAS read them."""
    model = gc.compile(
        gc.parse("""
        x: data[S, N]
        W: parameter[S, K]
        h[n, j, s, k] = max(0, x[s, n]*W[j, k])
        m[n, r, j]    = Sum(h[n, s, j, k]*h[n, r, s, k], k, s)
        loss          = Sum(m[n, r, j], n, r, j)
    """)
    )
    random = np.random.default_rng(0)
    x, W = random.normal(size=(3, 50)), random.normal(size=(3, 4))
    h = np.maximum(0, np.einsum("sn,jk->njsk", x, W))
    assert model.value(x=x, W=W) == pytest.approx(np.einsum("nsjk,nrsk->", h, h), rel=1e-12)


def test_a_definition_that_is_summed_is_an_array_of_its_own() -> None:
    model = gc.compile(
        gc.parse("""
        h: data[N, T, K]
        W: parameter[K, C]
        m[n, s, k, c] = h[n, s, k]*W[k, c]
        y[n, s, c]    = Sum(m[n, s, k, c], k)
        loss          = Sum(y[n, s, c]**2, n, s, c)
    """)
    )
    random = np.random.default_rng(0)
    h, W = random.normal(size=(300, 4, 9)), random.normal(size=(9, 8))
    assert model.value(h=h, W=W) == pytest.approx(((h @ W) ** 2).sum(), rel=1e-12)


def test_rows_that_labels_find_come_after_them() -> None:
    model = gc.compile(
        gc.parse("""
        x: data[N, T, D]
        g: labels[N]
        W: parameter[D]
        loss = Sum((x[n, s, g[n]]*W[j] - 1)**2, n, s, j)
    """)
    )
    random = np.random.default_rng(0)
    data = {"x": random.normal(size=(30, 4, 3)), "g": random.integers(0, 3, 30)}
    settings = {"optimizer": gc.SGD(1e-3), "epochs": 1, "batch_size": 7, "progress": False}
    assert np.isfinite(model.fit(**data, init={"W": np.ones(3)}, **settings).params["W"]).all()


@pytest.mark.slow
def test_training_follows_a_call_that_threads_share() -> None:
    """Both tell a program how many samples there are, each in its own kind."""
    model = gc.compile(gc.load(Path(gc.__file__).parent / "models" / "gaussian_mixture.model"))
    sizes, random = {"N": 4000, "K": 8, "D": 12}, np.random.default_rng(0)
    shapes = {"alpha": "K", "mu": "KD", "q": "KD", "L": "KDD"}
    start = {name: random.normal(size=[sizes[axis] for axis in axes]) / 3 for name, axes in shapes.items()}
    data = {"x": random.normal(size=(4000, 12)), "gamma": 1.0, "m": 0.0}
    model.value_and_grad(**data, **start)
    model.fit(**data, init=start, optimizer=gc.SGD(1e-6), epochs=1, batch_size=1, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("order", some_slow([("strided",), ("F",)], 1))
def test_an_emitted_module_takes_arrays_in_any_order(order: str) -> None:
    model, data, parameters = drawn(WORDS, N=200)
    module: dict[str, Any] = {}
    exec(compile(model.source, "emitted", "exec"), module)  # the text that a user would save
    given = {**data, **parameters}
    laid = {k: _laid(a, order) if a.dtype.kind == "f" else a for k, a in given.items()}
    names = list(model.lowered.inputs)
    assert module["value"](*(laid[k] for k in names)) == pytest.approx(model.value(**given), rel=1e-12)


def _laid(array: np.ndarray, order: str) -> np.ndarray:
    if order != "strided":
        return np.asarray(array, order=order)
    return np.repeat(array, 2, axis=-1)[..., ::2]
