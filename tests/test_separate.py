"""A sum of several products of matrices is a sum of products, each of which BLAS may compute."""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from gradcompile.passes import prepare
from tests.texts import arrays_for, assert_right

GIVEN = """
    x: data[N, D]
    y: data[N, D]
    z: data[N]
    V: parameter[D, K]
    W: parameter[D, K]
    loss = Sum(sin(Sum({}, d)), n, k)
"""
SUMS = {
    "two": ("x[n, d]*V[d, k] + y[n, d]*W[d, k]", 2),
    "a difference, and what is changed in sign": ("-x[n, d]*V[d, k] - (y[n, d]*W[d, k] - y[n, d]*V[d, k])", 3),
    "one of a number for each sample": ("x[n, d]*V[d, k] - z[n]", 1),
    "one of fewer axes": ("x[n, d]*V[d, k] + y[n, d]", 2),
    "one that is no product": ("x[n, d]*V[d, k] + exp(y[n, d] + W[d, k])", 1),
    "no product at all": ("x[n, d]*V[d, k]*cos(y[n, d] + W[d, k]) + y[n, d]", 1),
}
SIZES = {"N": 5, "D": 3, "K": 4, "M": 2}


def sums(text: str) -> int:
    """Return how many sums over features there are in an objective."""
    return sum(v.op == "sum" and [str(a.size) for a in v.attr] == ["D"] for v in prepare(lower(gc.parse(text))).order())


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", SUMS)
def test_the_sums_of_products_are_apart_and_no_value_changes(name: str) -> None:
    text, count = GIVEN.format(SUMS[name][0]), SUMS[name][1]
    arrays = arrays_for(text, SIZES, seed=5)
    assert sums(text) == count
    model, before = gc.compile(gc.parse(text)), evaluate(lower(gc.parse(text)), arrays)
    assert evaluate(model.graph, arrays)["value"] == pytest.approx(before["value"], rel=1e-13)
    assert_right(text, arrays, model.value_and_grad(**arrays))


def test_short_sums_and_small_matrices_stay_together() -> None:
    for declared, bounds in (("3, K", "d"), ("D, 4", "d")):
        text = f"""
            x: data[N, {declared.split(",")[0]}]
            y: data[N, {declared.split(",")[0]}]
            V: parameter[{declared}]
            W: parameter[{declared}]
            s[n, k] = Sum(x[n, d]*V[d, k] + y[n, d]*W[d, k], {bounds})
            loss = Sum(s[n, k]**2, n, k)
        """
        graph = prepare(lower(gc.parse(text)))
        assert [v.operands[0].op for v in graph.order() if v.op == "sum" and len(v.attr) == 1] == ["add"]


def test_a_second_convolution_of_channels_is_right() -> None:
    text = """
        x: data[N, T]
        w: parameter[J]
        F: parameter[2, J, K]
        g[n, t, j] = sin(x[n, t]*w[j])
        h[n, t, k] = tanh(Sum(F[0, j, k]*g[n, t, j] + F[1, j, k]*g[n, t + 2, j], j))
        loss = Sum(h[n, t, k]**2, n, t, k)
    """
    model, given = gc.compile(gc.parse(text)), arrays_for(text, {"N": 9, "T": 7, "J": 16, "K": 16}, seed=0)
    model.value_and_grad(**given)
    model.wait()
    value, (_, slope) = model.value_and_grad(**given)
    g, f = np.sin(given["x"][:, :, None] * given["w"]), given["F"]
    h = np.tanh(g[:, :-2] @ f[0] + g[:, 2:] @ f[1])
    back = (2 * h * (1 - h**2)).reshape(-1, 16)
    assert value == pytest.approx(np.sum(h**2), rel=1e-12)
    for k, part in enumerate((g[:, :-2], g[:, 2:])):
        np.testing.assert_allclose(slope[k], part.reshape(-1, 16).T @ back, rtol=1e-10)
