"""Products with the same matrix: one sum instead of two, the same value and gradient."""

import numpy as np
import pytest

from gradcompile.compiler import compile
from gradcompile.ir import Graph
from gradcompile.language import parse
from gradcompile.lower import lower
from gradcompile.passes.together import together

HEAD = "x: data[N, D]\ny: data[N, D]\nW: parameter[D, K]\nv: parameter[D]\n"
X, Y, W = "Sum(x[n, j]*W[j, k], j)", "Sum(y[n, j]*W[j, k], j)", "Sum(W[j, k]*x[n, j], j)"


def sums(graph: Graph) -> int:
    return sum(value.op == "sum" for value in graph.order())


def rewritten(text: str) -> tuple[int, int]:
    """Return how many sums a model has before and after."""
    graph = lower(parse(HEAD + text))
    return sums(graph), sums(together(graph))


@pytest.mark.parametrize("sign", ["+", "-"])
def test_two_products_with_one_matrix_are_one(sign):
    before, after = rewritten(f"loss = Sum(exp({W} {sign} {Y}), n, k)")
    assert after == before - 1


@pytest.mark.parametrize(
    "text",
    [
        f"z[n, k] = {X}\nloss = Sum(exp(z[n, k] - {Y}) + z[n, k], n, k)",  # x*W is used as it is
        f"loss = Sum(exp({X} - Sum(x[m, j]*W[j, k], j)), n, m, k)",  # of every two samples
        f"loss = Sum(exp({X} - Sum(y[n, j]*W[j, k]**2, j)), n, k)",  # by another matrix
        f"loss = Sum(exp({X} - Sum(v[j]*W[j, k], j)), n, k)",  # not for every sample
        f"loss = Sum(exp({X} * {Y}), n, k)",
    ],
)
def test_others_stay(text):
    before, after = rewritten(text)
    assert before == after


def test_the_gradient_is_that_of_the_difference():
    random = np.random.default_rng(0)
    given = {"x": random.normal(size=(7, 4)), "y": random.normal(size=(7, 4)), "W": random.normal(size=(4, 3))}
    model = compile(parse(HEAD.replace("v: parameter[D]\n", "") + f"loss = Sum(({X} - {Y})**2, n, k)/2"))
    value, (gradient,) = model.value_and_grad(**given)
    gap = given["x"] - given["y"]
    assert value == pytest.approx(np.sum((gap @ given["W"]) ** 2) / 2, rel=1e-14)
    np.testing.assert_allclose(gradient, gap.T @ (gap @ given["W"]), rtol=1e-13)
