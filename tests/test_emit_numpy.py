"""Target numpy: contractions, slices, gathers and scatters as a person writes them, and right for hand-built graphs."""

from __future__ import annotations

import math
import re
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import Heaviside, IndexedBase, Integer, MatrixSymbol, Max, Piecewise, Sum, Symbol, Trace, exp, log, symbols

import gradcompile as gc
from gradcompile.adjoint import adjoint
from gradcompile.emit import module
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Value
from gradcompile.passes import optimise
from tests.graphs import C, D, K, N, case
from tests.zoo import BY_NAME, arguments, load

GOLDEN = Path(__file__).parent / "golden"
n_, d_, c_, k_ = symbols("N D C K", integer=True, positive=True)
s, j, i, k, a, t = symbols("s j i k a t", integer=True)
x, gt = IndexedBase("x", shape=(n_, d_)), IndexedBase("gt", shape=(n_,))
W, b, w = IndexedBase("W", shape=(d_, c_)), IndexedBase("b", shape=(c_,)), IndexedBase("w", shape=(d_,))
A, r = IndexedBase("A", shape=(d_, d_)), Symbol("r")
u, v = IndexedBase("u", shape=(n_,)), IndexedBase("v", shape=(n_,))
SAMPLES, FEATURES, CLASSES = (s, 0, n_ - 1), (j, 0, d_ - 1), (i, 0, c_ - 1)


def body(objective: Any, wrt: Any) -> str:
    """The lines of value_and_grad, without comments."""
    text = gc.emit(objective, wrt=wrt, target="numpy")
    return re.sub(r" *#.*", "", text[text.index("def value_and_grad") : text.index("def grad(")])


@pytest.mark.parametrize(
    ("objective", "wrt", "expected"),
    [
        (Sum(exp(Sum(x[s, j] * W[j, i], FEATURES) + b[i]), SAMPLES, CLASSES), [W, b], ["x @ W + b", "dW = x.T @ "]),
        (Sum(exp(Sum(x[s, j] * w[j], FEATURES)), SAMPLES), w, ["x @ w", "dw = x.T @ "]),
        (Sum(exp(Sum(x[s, j] * W[j, i], FEATURES)) * b[i], SAMPLES, CLASSES), W, ["dW = (x.T @ ", ")*b"]),
        (Sum(log(Sum(exp(x[s, j]), FEATURES)), SAMPLES), x, ["axis=1)", "[:, None]"]),
        (Sum(exp(x[s, j] - w[s]), SAMPLES, FEATURES), w, ["dw[np.arange(N)]"]),
        (Sum((w[j + 1] - w[j]) ** 2, (j, 0, d_ - 2)), w, ["w[1:] - w[:-1]", "dw[1:] +=", "dw[:-1] "]),
        (Sum(b[gt[s]] ** 2, SAMPLES), b, ["b[gt]", "np.add.at(db, gt, "]),
        (Sum(W[0, i] ** 2, CLASSES), W, ["W[0]", "dW[0] +="]),
        (Sum(x[s, j] * W[j, i] * b[i] * x[s, i], SAMPLES, FEATURES, CLASSES), b, ["np.einsum("]),
        (Sum(Max(w[j], 0), FEATURES), w, ["np.maximum(", "np.where(w > 0, 1, 0)"]),
    ],
)
def test_spellings(objective: Any, wrt: Any, expected: list[str]) -> None:
    text = body(objective, wrt)
    for part in expected:
        assert part in text, text


@pytest.mark.parametrize(
    ("objective", "wrt", "expected"),
    [
        (Sum(exp(x[s, j] + exp(u[s] * v[s])), SAMPLES, FEATURES), x, "np.exp(u*v)[:, None] + x"),
        (Sum(exp(x[s, j] * (u[s] - v[s])), SAMPLES, FEATURES), v, "x*(u - v)[:, None]"),
        (Sum(exp(x[s, j] - u[s]), SAMPLES, FEATURES), x, "x - u[:, None]"),
        (Sum(Piecewise((exp(x[s, j]), u[s] > 0), (0, True)), SAMPLES, FEATURES), x, "u[:, None] > 0"),
    ],
)
def test_new_axes_are_written_once(objective: Any, wrt: Any, expected: str) -> None:
    assert expected in body(objective, wrt)


def test_a_mask_of_indices_is_made_once() -> None:
    objective = Sum(Piecewise((exp(x[s, j] * w[j]), j < s), (0, True)), SAMPLES, FEATURES)
    assert body(objective, w).count("np.arange(D) < np.arange(N)[:, None]") == 1


def test_a_sign_stands_in_the_line_of_what_it_changes() -> None:
    model = gc.load(Path(gc.__file__).parent / "models" / "gamma_regression.model")
    assert "f = -np.sum(" in gc.emit(model, target="numpy")


def test_what_is_the_same_under_two_indices_is_one_array(tmp_path: Path) -> None:
    quadratic = Sum((x[s, i] - w[i]) * A[i, j] * (x[s, j] - w[j]), SAMPLES, (i, 0, d_ - 1), FEATURES) / 2
    assert body(quadratic, [w, A]).count("x - w") == 1
    random = np.random.default_rng(3)
    data, centre, weights = random.normal(size=(5, 3)), random.normal(size=3), random.normal(size=(3, 3))
    module_ = load(gc.emit(quadratic, wrt=[w, A], target="numpy"), tmp_path / "quadratic.py")
    value, (dw, dA) = module_.value_and_grad(centre, weights, data)
    apart = data - centre
    np.testing.assert_allclose(value, np.sum(apart @ weights * apart) / 2)
    np.testing.assert_allclose(dA, apart.T @ apart / 2)
    np.testing.assert_allclose(dw, -np.sum(apart @ (weights + weights.T), axis=0) / 2)


def test_a_gradient_may_be_the_same_along_an_axis_that_it_has_under_another_name(tmp_path: Path) -> None:
    """The slope of a sum of a column by any of its elements: one number for each column of a square matrix."""
    text = "x: data[N]\nz: parameter[N, N]\nloss = Sum(sin(Sum(z[j, i], j))*x[i], i)"
    module_ = load(gc.emit(gc.parse(text), target="numpy"), tmp_path / "columns.py")
    x_, z_ = np.arange(1.0, 4.0), np.arange(9.0).reshape(3, 3) / 9
    _, (found,) = module_.value_and_grad(z_, x_)
    np.testing.assert_allclose(found, np.tile(np.cos(z_.sum(axis=0)) * x_, (3, 1)))


def test_a_gradient_under_other_axes_is_computed_as_it_is_returned() -> None:
    text = body(Sum((x[s, i] - w[i]) * A[i, j] * (x[s, j] - w[j]), SAMPLES, (i, 0, d_ - 1), FEATURES) / 2, A)
    assert "dA = (a.T @ a)/2" in text
    assert "copy" not in text
    assert "copy" not in body(Sum(exp(x[s, j]), SAMPLES, FEATURES), x)


def test_gradients_that_are_one_array_are_returned_as_two(tmp_path: Path) -> None:
    text = gc.emit(Sum(exp(u[s] + v[s]), SAMPLES), wrt=[u, v], target="numpy")
    _, (du, dv) = load(text, tmp_path / "both.py").value_and_grad([0.1, 0.2], [0.3, 0.4])
    assert du is not dv
    assert not np.shares_memory(du, dv)
    np.testing.assert_allclose(du, np.exp([0.4, 0.6]))


def test_a_gradient_that_the_value_is_made_of_is_returned(tmp_path: Path) -> None:
    """The gradient is exp(w), which the forward half has computed: there is no backward half."""
    module = load(gc.emit(Sum(exp(w[j]), FEATURES), wrt=[w], target="numpy"), tmp_path / "module.py")
    value, (gradient,) = module.value_and_grad(np.array([0.0, 1.0]))
    assert value == pytest.approx(1 + math.e)
    assert gradient == pytest.approx([1, math.e])


def test_golden_softmax() -> None:
    text = gc.emit(**arguments(BY_NAME["softmax"].forms["indexed"]), target="numpy")
    assert text == (GOLDEN / "softmax_numpy.txt").read_text(encoding="utf-8")


# --- hand-built graphs against the interpreter ------------------------------------------------------------------

Build = Callable[[Builder, dict[str, Value]], Value]
D1, N1 = Axis(D.size, 1), Axis(N.size, 1)
SHORT = Axis(D.size - 1)


def transposed(builder: Builder, v: dict[str, Value]) -> Value:
    """A matrix and itself transposed, under a function: sum over j, m of exp(A[j, m]*A[m, j])."""
    other = builder.read(v["A"], (builder.iota(D1), builder.iota(D)))
    return builder.reduce("sum", builder.apply("exp", v["A"] * other), [D, D1])


def diagonal(builder: Builder, v: dict[str, Value]) -> Value:
    return builder.reduce("sum", builder.read(v["A"], (builder.iota(D), builder.iota(D))) ** 3, [D])


def shifted(builder: Builder, v: dict[str, Value]) -> Value:
    ahead = builder.read(v["w"], (builder.iota(SHORT) + 1,))
    here = builder.read(v["w"], (builder.iota(SHORT),))
    return builder.reduce("sum", (ahead - here) ** 2 * ahead, [SHORT])


def reversed_(builder: Builder, v: dict[str, Value]) -> Value:
    back = builder.read(v["w"], (builder.size(D.size) - 1 - builder.iota(D),))
    return builder.reduce("sum", back * v["w"] ** 2, [D])


def gathered_rows(builder: Builder, v: dict[str, Value]) -> Value:
    row = builder.read(v["B"], (v["gt"], builder.iota(D)))
    return builder.reduce("sum", builder.apply("tanh", row * v["x"]), [N, D])


def gathered_columns(builder: Builder, v: dict[str, Value]) -> Value:
    column = builder.read(v["W"], (builder.iota(D), v["gt"]))
    return builder.reduce("sum", column**2 * v["x"], [N, D])


def twice_gathered(builder: Builder, v: dict[str, Value]) -> Value:
    first, second = builder.read(v["r"], (v["gt"],)), builder.read(v["r"], (v["u"],))
    return builder.reduce("sum", builder.apply("softplus", first - second), [N])


def masked_product(builder: Builder, v: dict[str, Value]) -> Value:
    hidden = builder.apply("maximum", builder.reduce("sum", v["x"] * v["W"], [D]), 0)
    return builder.reduce("sum", hidden**2, [N, C])


def products(builder: Builder, v: dict[str, Value]) -> Value:
    return builder.reduce("prod", 1 + v["w"] ** 2, [D]) + builder.reduce("max", v["w"], [D]) * v["c"]


def weighted_by_index(builder: Builder, v: dict[str, Value]) -> Value:
    place = builder.apply("real", builder.iota(D) - builder.iota(D1))
    return builder.reduce("sum", place**2 * v["A"] ** 2, [D, D1]) / builder.apply("real", builder.size(D.size))


def chained(builder: Builder, v: dict[str, Value]) -> Value:
    return builder.reduce("sum", v["x"] * v["W"] * v["V"] * v["c"], [N, D, C, K])


def determinant(builder: Builder, v: dict[str, Value]) -> Value:
    other = builder.read(v["A"], (builder.iota(D1), builder.iota(D)))
    square = v["A"] * other + builder.apply("select", builder.apply("eq", builder.iota(D), builder.iota(D1)), 20, 0)
    return builder.matrix("logdet", (square,), (), (D, D1))


def inverse(builder: Builder, v: dict[str, Value]) -> Value:
    square = v["A"] + builder.apply("select", builder.apply("eq", builder.iota(D), builder.iota(D1)), 20, 0)
    inverted = builder.matrix("inverse", (square,), (D, D1), (D, D1))
    return builder.reduce("sum", inverted**2 * v["A"], [D, D1])


GRAPHS: list[tuple[Build, dict[str, tuple[Axis, ...]], str, str]] = [
    (transposed, {"A": (D, D1)}, "A", ""),
    (diagonal, {"A": (D, D1)}, "A", ""),
    (shifted, {"w": (D,)}, "w", ""),
    (reversed_, {"w": (D,)}, "w", ""),
    (gathered_rows, {"B": (C, D), "x": (N, D), "gt": (N,)}, "B x", "gt"),
    (gathered_columns, {"W": (D, C), "x": (N, D), "gt": (N,)}, "W", "gt"),
    (twice_gathered, {"r": (C,), "gt": (N,), "u": (N,)}, "r", "gt u"),
    (masked_product, {"W": (D, C), "x": (N, D)}, "W x", ""),
    (products, {"w": (D,), "c": ()}, "w c", ""),
    (weighted_by_index, {"A": (D, D1)}, "A", ""),
    (chained, {"x": (N, D), "W": (D, C), "V": (C, K), "c": ()}, "W V c", ""),
    (determinant, {"A": (D, D1)}, "A", ""),
    (inverse, {"A": (D, D1)}, "A", ""),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("build", "shapes", "wrt", "labels"), GRAPHS, ids=lambda p: getattr(p, "__name__", None))
def test_graphs(build: Build, shapes: Any, wrt: str, labels: str, dtype: str, tmp_path: Path) -> None:
    made = case(build, shapes, wrt, labels=labels)
    graph = optimise(adjoint(made.graph))
    expected = evaluate(graph, made.inputs)
    emitted = load(module.render(graph, "numpy", dtype=dtype), tmp_path / "graph.py")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, grads = emitted.value_and_grad(*made.inputs.values())
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(value, expected["value"], rtol=tolerance)
    for name, gradient in zip(graph.wrt, grads, strict=True):
        assert np.shape(gradient) == made.inputs[name].shape
        scale = np.abs(expected[f"d{name}"]).max()
        np.testing.assert_allclose(gradient, expected[f"d{name}"], rtol=tolerance, atol=tolerance * scale)
        assert np.asarray(gradient).dtype == dtype


# --- promises ---------------------------------------------------------------------------------------------------


def emitted_module(tmp_path: Path, objective: Any, wrt: Any) -> Any:
    return load(gc.emit(objective, wrt=wrt, target="numpy"), tmp_path / "emitted.py")


def test_gradients_share_no_memory_with_inputs_or_each_other(tmp_path: Path) -> None:
    v = IndexedBase("v", shape=(d_,))
    emitted = emitted_module(tmp_path, Sum(v[j] * w[j], FEATURES) + Sum(v[j] + w[j], FEATURES), [v, w])
    first, second = np.ones(3), np.arange(3.0)
    dv, dw = emitted.grad(first, second)
    dv += 100
    dw += 100
    assert (first == 1).all()
    assert (second == np.arange(3)).all()
    same = load(gc.emit(Sum((v[j] + w[j]) ** 2, FEATURES), wrt=[v, w], target="numpy"), tmp_path / "same.py")
    dv, dw = same.grad(first, second)
    assert dv.tolist() == dw.tolist() == [2, 4, 6]
    assert not np.shares_memory(dv, dw)


def test_no_warning_from_a_branch_that_is_not_taken(tmp_path: Path) -> None:
    objective = Sum(Piecewise((log(w[j]), w[j] > 0), (w[j] ** 2, True)), FEATURES)
    emitted = emitted_module(tmp_path, objective, [w])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (dw,) = emitted.grad(np.array([2.0, -1.0, 0.0]))
    assert dw.tolist() == [0.5, -2.0, 0.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "objective",
    [Piecewise((r**2, r > 0), (2 * r, True)), Piecewise((1, r > 0), (2, True)), Integer(3), Heaviside(r), r],
    ids=str,
)
def test_a_result_that_is_a_number_is_no_array_and_no_int(objective: Any, dtype: str, tmp_path: Path) -> None:
    emitted = load(gc.emit(objective, wrt=r, target="numpy", dtype=dtype), tmp_path / "module.py")
    for found in (emitted.value(2.0), *emitted.value_and_grad(2.0)):
        assert isinstance(found, float | np.float32)


def test_numbers_divide_as_ieee_says(tmp_path: Path) -> None:
    p, q = symbols("p q")
    emitted = emitted_module(tmp_path, p / q + exp(p), [p, q])
    with np.errstate(all="ignore"):
        assert emitted.value(1, 0) == np.inf
        assert emitted.value(1000, 1) == np.inf


@pytest.mark.parametrize("hidden", [False, True], ids=["linear", "relu"])
def test_contractions_make_no_large_temporaries(hidden: bool, tmp_path: Path) -> None:
    """300 x 200 x 100 numbers would be 48 MB; the arrays themselves are below 1 MB."""
    z = Sum(x[s, j] * W[j, i], FEATURES)
    objective = Sum((Max(z, 0) if hidden else z) ** 2 * b[i], SAMPLES, CLASSES)
    emitted = emitted_module(tmp_path, objective, [W, b])
    random = np.random.default_rng(0)
    arguments = [random.normal(size=shape) for shape in ((200, 100), (100,), (300, 200))]
    tracemalloc.start()
    emitted.value_and_grad(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_a_gradient_that_is_the_same_everywhere_fills_its_shape(tmp_path: Path) -> None:
    lam = Symbol("lam")
    X = MatrixSymbol("X", n_, d_)
    emitted = emitted_module(tmp_path, lam * Sum(X[s, j], SAMPLES, FEATURES), [X])
    (dX,) = emitted.grad(np.ones((2, 3)), 0.5)
    assert dX.tolist() == [[0.5] * 3] * 2


def test_builder_is_left_as_it_was() -> None:
    """Printing asks for values of its own, but what a graph computes stays what it is."""
    made = case(masked_product, {"W": (D, C), "x": (N, D)}, "W")
    graph: Graph = optimise(adjoint(made.graph))
    before = str(graph)
    assert module.render(graph, "numpy") == module.render(graph, "numpy")
    assert str(graph) == before
    assert isinstance(graph.inputs["W"], Input)


def test_a_gradient_that_is_a_value_of_the_objective_is_an_array_of_its_own(tmp_path):
    """The derivative of a sum of exponentials is the exponentials, and nothing is left for a backward half."""
    n, k = symbols("n k", integer=True, positive=True)
    b = IndexedBase("b", shape=(n,))
    text = gc.emit(Sum(exp(b[k]), (k, 0, n - 1)), wrt=b, target="numpy")
    value, grad = load(text, tmp_path / "module.py").value_and_grad(np.array([0.0, 1.0]))
    np.testing.assert_allclose([value, *grad], [1 + np.e, 1, np.e], rtol=1e-15)


def test_gradient_added_to_a_whole_array_needs_no_subscript(tmp_path):
    """An array whose every element is read in reverse order is added to as a whole."""
    model = gc.parse("""
        W: parameter[N, C]
        v: parameter[N]
        q[s] = Sum(atan2(W[N - s - 1, l], v[s]**2 + 1), l)
        loss = Sum(q[N - s - 1], s, 0, N - 1)
    """)
    text = gc.emit(model, target="numpy")
    assert "[...]" not in text
    W, v = np.array([[0.3, -1.2], [2.0, 0.1], [0.5, 0.5]]), np.array([0.4, -0.7, 1.1])
    below = v[::-1, None] ** 2 + 1
    value, (dW, dv) = load(text, tmp_path / "module.py").value_and_grad(W, v)
    np.testing.assert_allclose(value, np.arctan2(W, below).sum(), rtol=1e-14)
    np.testing.assert_allclose(dW, below / (W**2 + below**2), rtol=1e-13)
    np.testing.assert_allclose(dv, (-W / (W**2 + below**2)).sum(axis=1)[::-1] * 2 * v, rtol=1e-13)


def test_a_gradient_that_is_the_transpose_of_another_is_not_overwritten():
    """x @ A + x @ B.T: the gradient of B is made of what the gradient of A is made of."""
    text = """
        x: data[N, D]
        A: parameter[D, D]
        B: parameter[D, D]
        g[n, s] = Sum(x[n, b]*A[b, s], b) + Sum(x[n, a]*B[s, a], a)
        loss = Sum((g[n, s] - x[n, s])**2, n, s)/N + Sum(g[n, r]**2, n, r)/N
    """
    random = np.random.default_rng(0)
    x, a, b = random.normal(size=(7, 4)), random.normal(size=(4, 4)), random.normal(size=(4, 4))
    g = x @ a + x @ b.T
    dg = (2 * (g - x) + 2 * g) / 7
    namespace: dict = {"__name__": "emitted"}
    exec(gc.emit(gc.parse(text), target="numpy"), namespace)
    _, (da, db) = namespace["value_and_grad"](a, b, x)
    np.testing.assert_allclose(da, x.T @ dg, rtol=1e-12)
    np.testing.assert_allclose(db, dg.T @ x, rtol=1e-12)


# Gradients that are one number, repeated for arrays: the array has the number's name.
ALIKE = {
    "an array and a number": "w: parameter[N]\nc: parameter\nloss = (c + Sum(w[s], s))**2",
    "a number and an array": "c: parameter\nw: parameter[N]\nloss = exp(c + Sum(w[s], s))",
    "several": "w: parameter[N]\nv: parameter[M]\nc: parameter\nloss = exp(c + Sum(w[s], s) + Sum(v[m], m))",
    "rows": "W: parameter[N, M]\nu: parameter[M]\nx: data[M]\nloss = Sum(sin(Sum(W[s, j], s) + u[j])*x[j], j)",
}


@pytest.mark.parametrize("name", ALIKE)
def test_gradients_that_are_alike_have_their_own_shapes(name, tmp_path):
    given = {
        "W": np.arange(6.0).reshape(2, 3) / 7, "w": np.array([0.1, 0.2]), "v": np.array([0.3, 0.1, 0.2]),
        "u": np.array([0.1, 0.2, 0.3]), "x": np.array([1.0, 2.0, -1.0]), "c": 0.5,
    }  # fmt: skip
    model = gc.compile(gc.parse(ALIKE[name]))
    arguments = {each: given[each] for each in model.arguments}
    text = module.render(model.graph, "numpy")
    _, gradients = load(text, tmp_path / "alike.py").value_and_grad(*arguments.values())
    for found, parameter in zip(gradients, model.graph.wrt, strict=True):
        step = 1e-6 * np.ones(np.shape(given[parameter]))
        ends = [model.value(**{**arguments, parameter: given[parameter] + sign * step}) for sign in (1, -1)]
        assert np.shape(found) == np.shape(given[parameter])
        assert np.sum(found) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


DATA, LEARNED, BACK = MatrixSymbol("X", n_, d_), MatrixSymbol("P", d_, k_), MatrixSymbol("Q", k_, d_)
COLUMN, MEAN, COVARIANCE = MatrixSymbol("u", d_, 1), MatrixSymbol("m", d_, 1), MatrixSymbol("S", d_, d_)


def test_a_product_and_its_transpose_are_computed_in_one_order() -> None:
    """Q.T*P.T*X.T begins at X.T, as X*P*Q begins at X: there is one residual, and not two."""
    residual = DATA - DATA * LEARNED * BACK
    text = body(Trace(residual.T * residual), [LEARNED, BACK])
    assert text.count("@") == 5  # X @ P, times Q; the slopes by Q, by X @ P and by P


def test_the_gradient_of_a_column_is_a_column() -> None:
    text = body(((DATA * COLUMN).T * (DATA * COLUMN))[0, 0], COLUMN)
    assert "du = du[:, None]\n" in text
    assert "zeros" not in text
    assert "broadcast" not in text


def test_a_difference_under_two_indices_is_computed_once() -> None:
    distance = ((MEAN - COLUMN).T * COVARIANCE.I * (MEAN - COLUMN))[0, 0]
    assert body(distance, [COVARIANCE, COLUMN]).count("m[:, 0] - u[:, 0]") == 1


@pytest.mark.parametrize("kind", [list, tuple, np.uint8, np.int16])
def test_labels_are_computed_with_as_whole_numbers(kind: Any, tmp_path: Path) -> None:
    """Of small types of NumPy, twice 200 would be another label, and the model computes with int64."""
    text = "g: labels[N]\nw: parameter[K]\nloss = Sum(w[2*g[s]]**2 + w[g[s] + 100]*(g[s] - 3), s)"
    emitted = load(gc.emit(gc.parse(text), target="numpy"), tmp_path / "labels.py")
    w, g = np.random.default_rng(0).normal(size=500), np.array([3, 200, 130, 7])
    value, gradient = emitted.value_and_grad(w, kind(g) if kind in (list, tuple) else g.astype(kind))
    expected = np.zeros(500)
    np.add.at(expected, 2 * g, 2 * w[2 * g])
    np.add.at(expected, g + 100, g - 3.0)
    assert value == pytest.approx(np.sum(w[2 * g] ** 2 + w[g + 100] * (g - 3)), rel=1e-14)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-14)
    with pytest.raises(TypeError):
        emitted.value(w, g + 0.5)


def test_an_index_that_leaves_its_axis_is_an_error_and_another_element_is_not_read(tmp_path: Path) -> None:
    source = gc.emit(gc.parse("y: parameter[N, C]\nloss = Sum(y[s, 0]*y[s, 1]**2, s)"), target="numpy")
    emitted = load(source, tmp_path / "second.py")
    assert emitted.value(np.array([[3.0, 2.0]])) == 12.0
    with pytest.raises(IndexError):
        emitted.value(np.array([[3.0]]))
    assert "%" not in source[source.index("def value(") : source.index("def grad(")]
