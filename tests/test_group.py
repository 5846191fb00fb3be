"""Sums by group: every sample goes to its own group alone, whatever the labels and the samples are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.lower import lower
from gradcompile.passes import one_by_one, optimise, prepare
from gradcompile.passes.group import FEW
from gradcompile.pipeline import differentiate
from tests.texts import arrays_for, assert_right, exact_answer
from tests.zoo import load, load_uncompiled

SIZES = {"N": 9, "G": 4, "H": 3, "D": 2, "M": 4, "K": 10}
MODELS = {
    "sums": """
        g: labels[N]
        x: data[N]
        w: parameter[G]
        s[c] = Sum(where(g[n] == c, exp(w[c]*x[n]), 0), n)
        loss = Sum(log(1 + s[c]), c)
    """,
    "means": """
        g: labels[N]
        x: data[N]
        o: data[G]
        w: parameter
        m[c] = o[c]*Sum(where(g[n] == c, tanh(w*x[n]), 0), n)/(1 + Sum(where(g[n] == c, 1, 0), n))
        loss = Sum((tanh(w*x[n]) - Sum(where(g[n] == c, m[c], 0), c))**2, n)
    """,
    "an effect of the group": """
        g: labels[N]
        x: data[N, D]
        w: parameter[D]
        u: parameter[G]
        loss = Sum((Sum(x[n, j]*w[j], j) + Sum(where(g[n] == c, u[c], 0), c))**2, n) + Sum(u[c]**2, c)
    """,
    "an effect at a label that is an index, too": """
        g: labels[N]
        x: data[N]
        u: parameter[G]
        v: parameter[G]
        loss = Sum((x[n]*v[g[n]] + Sum(where(g[n] == c, u[c], 0), c))**2, n)
    """,
    "two labels": """
        g: labels[N]
        h: labels[N]
        x: data[N]
        W: parameter[G, H]
        v: parameter
        T[a, b] = Sum(where(g[n] == a and h[n] == b, exp(v*x[n]), 0), n)
        loss = Sum((T[a, b] - W[a, b])**2, a, b) + Sum(where(g[n] == a and h[n] == b, W[a, b]**3, 0), n, a, b)
    """,
    "a label that another one picks": """
        g: labels[N]
        h: labels[G]
        x: data[N]
        W: parameter[H]
        v: parameter
        s[c] = Sum(where(g[n] == c, exp(v*x[n]), 0), n)
        loss = Sum((Sum(where(h[c] == d, s[c]**2, 0), c) - W[d])**2, d)
    """,
    "branches the other way round, and a further condition": """
        g: labels[N]
        x: data[N]
        u: parameter[G]
        s[c] = Sum(where(g[n] != c, 0, u[c]*x[n]), n)
        t[c] = Sum(where(x[n] > 0 and c == g[n], where(n > 2, u[c]**2, 0), 0), n)
        loss = Sum((s[c] + t[c])**2, c)
    """,
    "labels that count from 1": """
        g: labels[N]
        x: data[N]
        u: parameter[G]
        loss = Sum(Sum(where(g[n] == c + 1, x[n]*u[c], 0), n)**2, c)
    """,
    "whole rows": """
        g: labels[N]
        x: data[N, D]
        m: parameter[G, D]
        s[c, j] = Sum(where(g[n] == c, x[n, j]**2, 0), n)
        loss = Sum(where(g[n] == c, Sum((x[n, j] - m[c, j])**2, j), 0), n, c) + Sum((s[c, j] - m[c, j])**2, c, j)
    """,
    "a label of each pair": """
        g: labels[M, N]
        x: data[N]
        w: parameter[M, G]
        s[m, c] = Sum(where(g[m, n] == c, w[m, c]*x[n], 0), n)
        loss = Sum(s[m, c]**3, m, c)
    """,
    "a histogram": """
        x: data[N]
        t: data[G]
        w: parameter
        loss = Sum((t[b] - Sum(where(floor(3*x[n]) == b, tanh(w*x[n]), 0), n))**2, b)
    """,
    "an index of another axis": """
        x: data[N]
        u: parameter[G]
        loss = Sum((Sum(where(n == c, x[n], 0), n) - u[c])**2, c) + Sum(x[n]*Sum(where(n == c, u[c], 0), c), n)
    """,
    "a table that is there anyway": """
        g: labels[N]
        x: data[N, D]
        W: parameter[D, G]
        p[n, c] = exp(Sum(x[n, j]*W[j, c], j))/Sum(exp(Sum(x[n, j]*W[j, k], j)), k)
        loss = -Sum(where(g[n] == c, log(p[n, c]), 0), n, c)
    """,
}
INSIDE = ("an effect at a label that is an index, too",)


def drawn(name: str) -> dict[str, np.ndarray]:
    """Return an array for each name; some labels belong to no group, and all are given as floats."""
    arrays = arrays_for(MODELS[name], SIZES, seed=5, labels=lambda _: (0, 4) if name in INSIDE else (-1, 6))
    return {each: array * 1.0 for each, array in arrays.items()}


def pairs(graph: Graph) -> list[str]:
    """Return what there is for each sample and group."""
    return [str(v) for v in graph.order() if v.op == "select" and {"N", "G"} <= {str(a.size) for a in v.axes}]


@pytest.mark.parametrize("name", MODELS)
def test_the_pass_changes_no_value_and_leaves_no_pairs(name: str) -> None:
    graph = optimise(prepare(lower(gc.parse(MODELS[name]))))
    assert evaluate(graph, drawn(name))["value"] == pytest.approx(exact_answer(MODELS[name], drawn(name))[0], rel=1e-12)
    assert bool(pairs(graph)) == (name == "a table that is there anyway")


@pytest.mark.parametrize("target", ["numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_code_is_right(name: str, target: str, tmp_path: Path) -> None:
    read = load if target == "numpy" else load_uncompiled
    module = read(gc.emit(gc.parse(MODELS[name]), target=target), tmp_path / "module.py")
    arrays = drawn(name)
    arguments = [arrays[a] for a in gc.compile(gc.parse(MODELS[name])).arguments]
    if name in INSIDE:  # labels that are an index are whole numbers in a module
        arguments = [a.astype(np.int64) if a is arrays["g"] else a for a in arguments]
    assert_right(MODELS[name], arrays, module.value_and_grad(*arguments))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_is_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    model.value_and_grad(**drawn(name))
    model.wait()
    assert_right(MODELS[name], drawn(name), model.value_and_grad(**drawn(name)))


@pytest.mark.parametrize("kernel", ["early", "compiled"])
def test_what_is_not_a_number_stays_in_its_group(kernel: str) -> None:
    text = "g: labels[N]\nx: data[N]\no: data[G]\nu: parameter[G]\n"
    model = gc.compile(gc.parse(text + "loss = Sum(where(o[c] > 0, Sum(where(g[n] == c, u[c]*x[n], 0), n), 0), c)"))
    nan, inf = np.nan, np.inf
    g, x = np.array([0.0, 1.0, nan, 1.5, 2.0, inf, -1.0]), np.array([1.0, nan, inf, nan, 5.0, -inf, nan])
    given = {"g": g, "x": x, "u": np.full(3, 2.0)}
    model.value_and_grad(**given, o=np.ones(3))
    if kernel == "compiled":
        model.wait()
    value, (gradient,) = model.value_and_grad(**given, o=np.array([1.0, 0.0, 1.0]))
    assert value == 12.0
    np.testing.assert_array_equal(gradient, [1.0, 0.0, 5.0])
    value, (gradient,) = model.value_and_grad(**given, o=np.ones(3))
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, [1.0, nan, 5.0])


def test_a_count_that_is_an_index_stays_a_whole_number() -> None:
    n, c, N, G, K = sympy.symbols("n c N G K", integer=True)
    g, o = sympy.IndexedBase("g", shape=(N,)), sympy.IndexedBase("o", shape=(G,))
    u, count = sympy.IndexedBase("u", shape=(K,)), sympy.IndexedBase("count", shape=(G,))
    counted = sympy.Sum(sympy.Piecewise((1, sympy.Eq(g[n], c)), (0, True)), (n, 0, N - 1))
    loss = sympy.Sum(o[c] * u[count[c]] ** 2, (c, 0, G - 1))
    model = gc.compile(loss, wrt=[u], define={count[c]: counted})
    given = {"g": np.array([0, 2, 2, 0, 2, 1]), "u": np.arange(1.0, 11.0), "o": np.ones(4)}
    counts = np.bincount(given["g"], minlength=4)
    value, (gradient,) = model.value_and_grad(**given)
    assert value == np.sum(given["u"][counts] ** 2)
    np.testing.assert_array_equal(gradient, np.bincount(counts, minlength=10) * 2 * given["u"])


def test_the_second_derivative_goes_through_groups() -> None:
    model = gc.compile(
        gc.parse("""
        g: labels[N]
        x: data[N]
        o: data[G]
        w: parameter
        loss = Sum(o[c]*log(Sum(where(g[n] == c, exp(w*x[n]), 0), n)), c)
    """)
    )
    random = np.random.default_rng(0)
    g, x, o, w = np.arange(30) % 5, random.normal(size=30), random.normal(size=5), 0.3
    weights = np.exp(w * x) * (g == np.arange(5)[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    variance = weights @ x**2 - (weights @ x) ** 2
    (found,) = model.hvp(2.0, g=g, x=x, o=o, w=w)
    assert found == pytest.approx(2 * o @ variance, rel=1e-12)


def test_minibatches_pick_the_effect_of_a_group() -> None:
    text = """
        g: labels[N]
        x: data[N]
        u: parameter[G]
        loss = Sum((x[n] - {})**2, n) + Sum(u[c]**2, c)
    """
    random = np.random.default_rng(0)
    given = {"g": random.integers(0, 5, 60), "x": random.normal(size=60)}
    fits = [
        gc.compile(gc.parse(text.format(effect))).fit(
            **given, optimizer=gc.SGD(0.1), epochs=3, batch_size=7, seed=1, init={"u": np.zeros(5)}
        )
        for effect in ("u[g[n]]", "Sum(where(g[n] == c, u[c], 0), c)")
    ]
    np.testing.assert_allclose(fits[1].params["u"], fits[0].params["u"], rtol=1e-12)


def test_few_groups_of_a_known_number_are_asked_one_by_one() -> None:
    text = "g: labels[N]\nu: parameter[{}]\nloss = Sum(Sum(where(g[n] == c, u[c], 0), c)**2, n)"
    few, many = (prepare(lower(gc.parse(text.format(count)))) for count in (3, 20))
    assert any(v.op == "eq" and len(v.axes) == 2 for v in few.order())
    assert not any(v.op == "eq" and len(v.axes) == 2 for v in many.order())


@pytest.mark.parametrize("groups", [4, 9])
def test_sums_at_few_labels_are_a_vector_for_each_where_it_is_known_how_many(groups: int) -> None:
    model = gc.compile(gc.parse("g: labels[N]\nx: data[N]\nu: parameter[G]\nloss = Sum(exp(u[g[n]]*x[n]), n)"))
    graph = differentiate(model.lowered)
    known = one_by_one(replace(graph, known={"G": groups}))
    assert [any(v.op == "accumulate" for v in each.order()) for each in (graph, known)] == [True, groups > FEW]
    random = np.random.default_rng(1)
    given = {"g": random.integers(0, groups, 60), "x": random.normal(size=60), "u": random.random(groups)}
    given["x"][7] = np.inf  # reaches the slope of its own group alone
    expected = np.zeros(groups)
    np.add.at(expected, given["g"], given["x"] * np.exp(given["u"][given["g"]] * given["x"]))
    np.testing.assert_allclose(evaluate(known, given)["du"], expected, rtol=1e-13)
    for _ in range(2):  # until the kernel is there, and by the kernel for as many groups as in the first call
        np.testing.assert_allclose(model.grad(**given)[0], expected, rtol=1e-13)
        model.wait()
