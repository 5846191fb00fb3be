"""Sums up to a label are elements of running sums, whatever the labels and the terms are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from gradcompile.passes import prepare
from tests.texts import arrays_for, assert_right
from tests.zoo import load, load_uncompiled

SIZES = {"N": 6, "M": 5, "G": 4, "S": 2, "K": 3}
GIVEN = "g: labels[G]\nx: data[M]\nt: data[G]\nw: parameter[M]\nf[j] = exp(x[j]*w[j])\n"
ASKED = {"up to": "j <= g[i]", "before": "j < g[i]", "from": "j >= g[i]", "after": "g[i] < j"}
MODELS = {
    name: GIVEN + f"loss = Sum(t[i]*sin(Sum(where({asked}, f[j], 0), j)), i)" for name, asked in ASKED.items()
} | {
    "an element of sums": GIVEN + "s[k] = Sum(f[j], j, 0, k)\nloss = Sum(t[i]*s[g[i]]**2, i)",
    "further conditions": GIVEN
    + "loss = Sum(where(t[i] > 0, Sum(where(j <= g[i] and x[j] > 0, f[j]**2, 0), j)**3, 0), i)",
    "conditions inside one another": GIVEN
    + "loss = Sum(Sum(where(x[j] > 0, where(j > g[i], f[j], 0), 0), j)**2*t[i], i)",
    "sums over both": GIVEN
    + "loss = Sum(where(j < g[i], f[j]**2, 0), i, j) + Sum(where(j >= g[i], t[i]*f[j], 0), i, j)",
    "data that are no labels": "r: data[G]\n" + GIVEN.replace("g: labels[G]\n", "")
    + "loss = Sum(t[i]*Sum(where(j <= 2*r[i] + 2, f[j], 0), j)**2 + Sum(where(j > 2*r[i], f[j], 0), j), i)",
    "strata, along samples": """
        x: data[S, N, K]
        g: labels[S, G]
        w: parameter[K]
        z[s, n] = Sum(x[s, n, k]*w[k], k)
        r[s, m] = exp(z[s, m]) + Sum(exp(z[s, n]), n, m, N - 1)
        loss = Sum(z[s, g[s, i]] - log(r[s, g[s, i]]), s, i)
    """,
    "among the samples themselves": """
        x: data[N, K]
        g: labels[N]
        w: parameter[K]
        y[n] = tanh(Sum(x[n, k]*w[k], k))
        loss = Sum((y[n] - Sum(where(m <= g[n], y[m], 0), m))**2, n)
    """,
    "further axes": """
        x: data[M, K]
        g: labels[G]
        w: parameter[K]
        s[i, k] = Sum(where(j >= g[i], tanh(x[j, k]*w[k]), 0), j)
        loss = Sum(s[i, k]**2, i, k) + Sum(where(j < g[i], x[j, k]*w[k]**2, 0), i, j, k)
    """,
}  # fmt: skip


def drawn(name: str) -> dict[str, np.ndarray]:
    used_as_index = any(index in MODELS[name] for index in ("[g[i]]", ", g[s, i]]"))
    return arrays_for(MODELS[name], SIZES, seed=3, labels=lambda _: (0, 5) if used_as_index else (-1, 8))


@pytest.mark.parametrize("name", MODELS)
def test_the_pass_changes_no_value_and_no_index_is_compared_with_labels(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    before, after = evaluate(prepare(lower(gc.parse(MODELS[name]))), drawn(name)), evaluate(model.graph, drawn(name))
    assert after["value"] == pytest.approx(before["value"], rel=1e-13)
    assert any(v.op == "running" for v in model.graph.order())
    compared = [v for v in model.graph.order() if v.op in ("lt", "le", "gt", "ge") and len(v.axes) > 1]
    assert not any(o.op == "iota" for v in compared for o in v.operands)


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


@pytest.mark.parametrize("name", ["up to", "after", "strata, along samples", "among the samples themselves"])
def test_compiled_code_is_right(name: str) -> None:
    model = gc.compile(gc.parse(MODELS[name]))
    model.value_and_grad(**drawn(name))
    model.wait()
    assert_right(MODELS[name], drawn(name), model.value_and_grad(**drawn(name)))


@pytest.mark.parametrize("asked", ["j <= g[i]", "j < g[i]", "j >= g[i]", "j > g[i]"])
def test_any_number_is_a_threshold(asked: str) -> None:
    """Also between two indices, beyond the axis, infinite, or none, with which no index compares."""
    text = f"g: data[G]\nt: data[G]\nw: parameter[M]\nloss = Sum(t[i]*Sum(where({asked}, w[j]**2, 0), j), i)"
    model = gc.compile(gc.parse(text))
    given = np.array([-np.inf, -3.0, -0.5, -0.0, 0.0, 0.5, 3.0, 3.5, 4.0, 4.5, 5.0, 1e300, np.inf, np.nan])
    t, w = np.linspace(1, 2, len(given)), np.arange(1.0, 6)
    below = {"<=": np.less_equal, "<": np.less, ">=": np.greater_equal, ">": np.greater}[asked.split()[1]]
    holds = below(np.arange(5), given[:, None])
    for _ in range(2):  # before and after it is compiled
        value, (gradient,) = model.value_and_grad(g=given, t=t, w=w)
        assert value == pytest.approx(t @ holds @ w**2, rel=1e-13)
        np.testing.assert_allclose(gradient, 2 * w * (t @ holds), rtol=1e-13)
        model.wait()


def test_terms_beyond_a_label_are_in_no_sum() -> None:
    text = "g: labels[G]\nx: data[M]\nw: parameter[M]\nloss = Sum(Sum(where(j {} g[i], x[j]*w[j], 0), j)*(i + 1), i)"
    odd, w = np.array([np.nan, np.inf, 3.0, np.inf, np.nan]), np.ones(5)
    for way, labels in (("<=", [-1, -2]), (">", [4, 9])):
        model = gc.compile(gc.parse(text.format(way)))
        value, (gradient,) = model.value_and_grad(g=labels, x=odd, w=w)
        assert value == 0
        assert np.isnan(gradient).tolist() == np.isnan(odd * 0).tolist()  # as of 0*x, which it is as written
    upwards = gc.compile(gc.parse(text.format("<=")))
    assert upwards.value(g=[2, 1], x=np.array([1.0, 2.0, 3.0, np.inf, np.nan]), w=w) == 6 + 2 * 3


def test_few_steps_are_asked_one_by_one() -> None:
    text = "g: labels[N]\na: parameter[4]\nx: data[N]\nloss = Sum(x[n]*exp(Sum(where(k < g[n], a[k], 0), k)), n)"
    assert not any(v.op == "running" for v in gc.compile(gc.parse(text)).graph.order())
