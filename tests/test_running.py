"""Running sums: each is the one before and one term more, from whichever end, and no term is in another's sum."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pytest

import gradcompile as gc
from gradcompile import higher
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.lower import lower
from gradcompile.passes import prepare
from tests.derivatives import derivatives
from tests.texts import arrays_for, assert_right
from tests.zoo import load, load_uncompiled

SIZES = {"N": 7, "M": 5, "K": 3}
SUMS = {
    "before": ("lt", "Sum(f[n, j], j, 0, i - 1)"),
    "up to": ("le", "Sum(f[n, j], j, 0, i)"),
    "after": ("gt", "Sum(where(j > i, f[n, j], 0), j)"),
    "from": ("ge", "Sum(f[n, j], j, i, M - 1)"),
    "the other way round": ("lt", "Sum(where(i > j, f[n, j], 0), j)"),
    "a further condition": ("le", "Sum(where(j <= i and t[j] > 0, f[n, j], 0), j)"),
    "conditions inside one another": ("ge", "Sum(where(t[j] > 0, where(j < i, 0, f[n, j]), 0), j)"),
    "a factor of the end": ("lt", "Sum(x[n, i]*f[n, j]/t[i], j, 0, i - 1)"),
    "a factor of the end, from it on": ("ge", "Sum(f[n, j]*x[n, i], j, i, M - 1)"),
    "further axes": ("lt", "Sum(where(j < i, f[n, j]*h[j, k], 0), j, k)"),
}
RAYS = """
    x: data[N, M]
    t: data[M]
    h: parameter[M, K]
    w: parameter[M]
    f[n, j] = x[n, j]*w[j]
    loss = Sum(exp({}/10)*sin(f[n, i]), n, i)
"""
MODELS = {name: RAYS.format(text) for name, (_, text) in SUMS.items()} | {
    "along the samples": """
        x: data[N, K]
        d: data[N]
        w: parameter[K]
        y[i] = Sum(x[i, k]*w[k], k)
        loss = Sum(d[i]*(log(Sum(exp(y[j]), j, i, N - 1)) - y[i]), i)
    """,
    "two along the samples, and their rows": """
        x: data[N, K]
        w: parameter[K]
        y[i, k] = tanh(x[i, k]*w[k])
        loss = Sum(x[i, k]*Sum(y[j, k], j, 0, i - 1)*Sum(y[j, k]**2, j, i, N - 1), i, k)
    """,
    "parameters alone": """
        w: parameter[N]
        loss = Sum((Sum(exp(w[j]), j, 0, i) - i)**2, i)
    """,
    "one of another": """
        w: parameter[N]
        s[i] = Sum(w[j]**2, j, 0, i)
        loss = Sum(w[i]*tanh(Sum(s[j], j, i, N - 1)), i)
    """,
    "parameters that are factors of the end": """
        x: data[N, M]
        a: parameter[M]
        b: parameter[M]
        w: parameter[M]
        s[n, i] = Sum(where(j > i, a[i]*tanh(x[n, j]*w[j])/b[i], 0), j)
        loss = Sum(s[n, i]**2 + s[n, i]*x[n, i], n, i)
    """,
    "whole numbers": """
        w: parameter[N]
        loss = Sum(w[i]**2*Sum(j, j, 0, i), i)
    """,
}


def drawn(name: str) -> dict[str, np.ndarray]:
    return arrays_for(MODELS[name], SIZES, seed=3)


def triangles(graph: Graph) -> list[str]:
    """Return the comparisons of two indices."""
    orders = (v for v in graph.order() if v.op in ("lt", "le", "gt", "ge"))
    return [str(v) for v in orders if all(o.op == "iota" for o in v.operands)]


@pytest.mark.parametrize("name", MODELS)
def test_the_pass_changes_no_value_and_leaves_no_triangle(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    before, after = evaluate(prepare(lower(gc.parse(MODELS[name]))), drawn(name)), evaluate(model.graph, drawn(name))
    assert after["value"] == pytest.approx(before["value"], rel=1e-13)
    assert any(v.op == "running" for v in model.graph.order())
    assert not triangles(model.graph)


@pytest.mark.parametrize("name", SUMS)
def test_the_derivative_runs_from_the_other_end(name: str) -> None:
    graph = gc.compile(gc.parse(MODELS[name])).graph
    forward, backward = (v.attr for v in graph.order() if v.op == "running")
    ways = {"lt": (False, False), "le": (False, True), "gt": (True, False), "ge": (True, True)}
    assert (forward.backward, forward.own) == ways[SUMS[name][0]]
    assert (backward.backward, backward.own) == (not forward.backward, forward.own)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_code_is_right(name: str, target: str, tmp_path: Path) -> None:
    read = load_uncompiled if target == "numba" else load
    module = read(gc.emit(gc.parse(MODELS[name]), target=target), tmp_path / "module.py")
    arrays = drawn(name)
    arguments = [arrays[a] for a in gc.compile(gc.parse(MODELS[name])).arguments]
    value, gradients = module.value_and_grad(*([a.tolist() for a in arguments] if target == "python" else arguments))
    assert_right(MODELS[name], arrays, (value, gradients))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_is_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    assert_right(MODELS[name], drawn(name), model.value_and_grad(**drawn(name)))
    model.wait()
    assert_right(MODELS[name], drawn(name), model.value_and_grad(**drawn(name)))


@pytest.mark.parametrize("name", ["before", "along the samples", "one of another"])
def test_second_derivatives_are_differences_of_gradients(name: str) -> None:
    model, given = gc.compile(gc.parse(MODELS[name])), drawn(name)
    wrt = [name for name in model.arguments if name in ("h", "w")]
    direction = [np.random.default_rng(8).normal(size=given[each].shape) for each in wrt]

    def gradient(step: float) -> np.ndarray:
        moved = {each: given[each] + step * d for each, d in zip(wrt, direction, strict=True)}
        found = model.grad(**{**given, **moved})
        return np.concatenate([np.ravel(g) for g in (found if isinstance(found, tuple) else (found,))])

    found = model.hvp(tuple(direction), **given)
    expected = (gradient(1e-5) - gradient(-1e-5)) / 2e-5
    np.testing.assert_allclose(np.concatenate([np.ravel(h) for h in found]), expected, rtol=1e-7, atol=1e-8)


def test_sums_that_are_used_twice_run_once() -> None:
    """In the residuals and their weights, and in the gradients of both: h up to each t, and back from the end."""
    text = "y: data[N]\na: parameter\nw: parameter[N]\nh[t] = Sum(exp(w[j]), j, 0, t)\n"
    model = gc.compile(gc.parse(text + "loss = Sum((y[t] - a*h[t])**2/(1 + h[t]), t)"))
    assert [v.attr.backward for v in model.graph.order() if v.op == "running"] == [False, True]
    assert sum(v.op == "exp" and bool(v.axes) for v in model.graph.order()) == 1
    y, a, w = np.linspace(1, 3, 6), 0.5, np.linspace(-1, 1, 6)
    h = np.cumsum(np.exp(w))
    r = y - a * h
    value, (da, dw) = model.value_and_grad(y=y, a=a, w=w)
    assert value == pytest.approx(np.sum(r**2 / (1 + h)), rel=1e-13)
    assert da == pytest.approx(np.sum(-2 * h * r / (1 + h)), rel=1e-12)
    dh = -2 * a * r / (1 + h) - r**2 / (1 + h) ** 2
    np.testing.assert_allclose(dw, np.exp(w) * np.cumsum(dh[::-1])[::-1], rtol=1e-12)


def test_what_other_sums_hold_is_not_taken_away_again() -> None:
    """A sum from an end does not come from the sum of all: it would be off by rounding of that, infinite or nan."""
    text = "x: data[N]\nw: parameter[N]\nloss = Sum(x[i]*Sum(w[j], j, i, N - 1), i)"
    model = gc.compile(gc.parse(text))
    given = {"x": np.array([0.0, 0.0, 1.0, 1.0]), "w": np.array([1e20, 3.0, 1e-20, 2e-20])}
    assert model.value(**given) == pytest.approx(5e-20, rel=1e-14)
    last = text.replace("x[i]*Sum(w[j], j, i, N - 1)", "where(i > 1, x[i]*Sum(w[j], j, i, N - 1), 0)")
    chosen = gc.compile(gc.parse(last))
    for odd in (np.inf, np.nan):
        assert chosen.value(x=given["x"], w=np.array([odd, odd, 1.0, 2.0])) == 5.0


def test_no_terms_are_no_sum() -> None:
    model = gc.compile(gc.parse("w: parameter[N]\nloss = Sum(w[i]*exp(Sum(w[j], j, 0, i - 1)), i)"))
    value, (gradient,) = model.value_and_grad(w=np.array([5.0]))
    assert (value, gradient.tolist()) == (5.0, [1.0])


def test_long_sums_of_single_precision_are_added_up_in_double() -> None:
    text = "x: data[N]\nw: parameter[N]\nloss = Sum(x[i]*Sum(w[j], j, 0, i), i)"
    model = gc.compile(gc.parse(text), dtype="float32")
    x, w = np.zeros(300_000, np.float32), np.full(300_000, 0.1, np.float32)
    x[-1] = 1
    model.value_and_grad(x=x, w=w)
    model.wait()
    assert model.value(x=x, w=w) == pytest.approx(np.sum(w, dtype=np.float64), rel=1e-7)


def test_a_factor_of_the_end_does_not_meet_a_sum_of_no_terms() -> None:
    text = "x: data[N]\ny: data[N]\nw: parameter[N]\nloss = Sum(x[i]*Sum(y[i]*w[j], j, {}), i)"
    before, after = (gc.compile(gc.parse(text.format(bounds))) for bounds in ("0, i - 1", "i + 1, N - 1"))
    odd = np.array([np.inf, 2.0, 3.0])
    value, (gradient,) = before.value_and_grad(x=np.ones(3), y=odd, w=np.ones(3))
    assert (value, gradient.tolist()) == (8.0, [5.0, 3.0, 0.0])
    value, (gradient,) = after.value_and_grad(x=np.ones(3), y=odd[::-1], w=np.ones(3))
    assert (value, gradient.tolist()) == (8.0, [0.0, 3.0, 5.0])


PRODUCTS = {
    "all": "loss = Product(f[n, j], n, j)",
    "rows": "loss = Sum(Product(f[n, j], j)*t[n], n)",
    "samples": "loss = Sum(Product(1 + f[n, j]/10, n)*w[j], j)",
    "likelihood": "loss = Product(1/(1 + exp(-f[n, 1])), n)",
    "squares": "loss = Product(f[n, 0]**2 + w[1], n)",
}


def product_model(name: str) -> str:
    return f"x: data[N, M]\nt: data[N]\nw: parameter[M]\nf[n, j] = x[n, j]*w[j]\n{PRODUCTS[name]}"


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_costs_one_pass_and_zeros_are_no_matter(name: str, zeros: int) -> None:
    random = np.random.default_rng(0)
    given = {"x": random.uniform(0.5, 1.5, (9, 4)), "t": random.normal(size=9), "w": random.uniform(0.5, 1.5, 4)}
    given["x"][[3, 3][:zeros], [1, 2][:zeros]] = 0
    text = product_model(name)
    model = gc.compile(gc.parse(text))
    for _ in range(2):  # before and after it is compiled
        assert_right(text, given, model.value_and_grad(**given))
        model.wait()
    axes = 2 if name == "all" else 1
    assert [v.attr.op for v in model.graph.order() if v.op == "running"] == ["prod"] * 2 * axes
    assert not any(v.op == "ne" for v in model.graph.order())


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_emitted_products_are_right(target: str, tmp_path: Path) -> None:
    text = product_model("likelihood")
    module = (load_uncompiled if target == "numba" else load)(gc.emit(gc.parse(text), target=target), tmp_path / "m.py")
    x, w = np.random.default_rng(0).normal(size=(9, 4)), np.ones(4)
    given = {"x": x, "w": w, "t": np.ones(9)}
    arguments = [given[name] for name in gc.compile(gc.parse(text)).arguments]
    value, (gradient,) = module.value_and_grad(*([a.tolist() for a in arguments] if target == "python" else arguments))
    p = 1 / (1 + np.exp(-x[:, 1]))
    assert value == pytest.approx(np.prod(p), rel=1e-13)
    np.testing.assert_allclose(gradient, np.prod(p) * np.sum((1 - p) * x[:, 1]) * np.eye(4)[1], rtol=1e-12)


ROWS = [[0.5, 1.25, -0.75], [1.5, 2.0, 0.25]]
CURVED = {
    "one": ("loss = Product(f[j], j)", mpmath.fprod),
    "a function of one": ("loss = tanh(Product(f[j], j)) + f[0]", lambda f: mpmath.tanh(mpmath.fprod(f)) + f[0]),
    "of rows": (
        "loss = Sum(exp(Product(x[n, j] - f[j], j)), n)",
        lambda f: sum(mpmath.exp(mpmath.fprod(a - b for a, b in zip(row, f, strict=True))) for row in ROWS),
    ),
    "along samples": (
        "loss = Sum(Product(1 + x[n, j]*f[j], n)*(j + 1), j)",
        lambda f: sum((j + 1) * mpmath.fprod(1 + row[j] * each for row in ROWS) for j, each in enumerate(f)),
    ),
    "over both": (
        "loss = Product(x[n, j] - f[j], n, j)",
        lambda f: mpmath.fprod(row[j] - each for row in ROWS for j, each in enumerate(f)),
    ),
}


def curved(name: str) -> gc.Model:
    data = "x: data[N, M]\n" if "x[" in CURVED[name][0] else ""
    return gc.parse(f"{data}w: parameter[M]\nf[j] = sin(w[j])\n{CURVED[name][0]}")


def hessian_of(name: str, w: list[float]) -> np.ndarray:
    return derivatives(lambda w: CURVED[name][1]([mpmath.sin(each) for each in w]), w)[2]


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("name", CURVED)
def test_second_derivatives_of_products_take_one_pass_and_zeros_are_no_matter(name: str, zeros: int) -> None:
    direction = np.array([0.3, -1.0, 2.0])
    given = {"w": np.array([*[0.0] * zeros, *[0.7, -0.4, 1.1][zeros:]]), "v_w": direction, "x": np.array(ROWS)}
    graph = higher.curved(lower(curved(name)))
    found = evaluate(graph, {name: given[name] for name in graph.inputs})["hw"]
    np.testing.assert_allclose(found, hessian_of(name, given["w"].tolist()) @ direction, rtol=1e-12, atol=1e-14)
    assert not any(v.op in ("eq", "ne") for v in graph.order())  # which has pairs of factors


@pytest.mark.parametrize("name", ["of rows", pytest.param("over both", marks=pytest.mark.slow)])
def test_compiled_hessians_of_products_are_right(name: str) -> None:
    w, direction, model = [0.0, 0.0, 1.1], np.array([0.3, -1.0, 2.0]), gc.compile(curved(name))
    expected = hessian_of(name, w)
    for _ in range(2):  # before and after it is compiled
        (found,) = model.hvp((direction,), w=w, x=ROWS)
        np.testing.assert_allclose(found, expected @ direction, rtol=1e-12, atol=1e-14)
        model.wait()
    ((hessian,),) = model.hessian(w=w, x=ROWS)
    np.testing.assert_allclose(hessian, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_emitted_second_derivatives_of_products_are_right(target: str, tmp_path: Path) -> None:
    text, w, direction = gc.emit(curved("of rows"), target=target, order=2), [0.0, 0.0, 0.3], [0.3, -1.0, 2.0]
    module = (load_uncompiled if target == "numba" else load)(text, tmp_path / "m.py")
    arrays = [w, ROWS, direction] if target == "python" else [np.array(each) for each in (w, ROWS, direction)]
    (found,) = module.hvp(*arrays)
    np.testing.assert_allclose(found, hessian_of("of rows", w) @ direction, rtol=1e-12, atol=1e-14)
