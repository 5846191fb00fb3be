"""A sum over samples of a sum of products is taken inside of it, where that saves a product for every sample."""

import numpy as np
import pytest

import gradcompile as gc
from gradcompile import language
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size
from gradcompile.lower import lower
from gradcompile.passes.inward import inward
from gradcompile.pipeline import differentiate

HEAD = "x: data[N, D]\nL: parameter[D, D]\nm: parameter[D]\nc: parameter[D]\n"
# For each model: its text; the same in NumPy; and how many products there are for all samples, rows and columns: one
# for the value and one for the slope of L, and one more where what comes back to a sample is needed for itself.
MODELS = {
    "means": (
        "loss = Sum(Sum(L[i, j]*(x[s, j] - m[j]), j)**4, i, s)",
        lambda x, L, m, c: (((x - m) @ L.T) ** 4).sum(),
        2,
    ),
    "divided": (
        "loss = Sum(Sum(-L[i, j]*(x[s, j] - m[j])/c[i]**2, j)**4, i, s)",
        lambda x, L, m, c: (((x - m) @ L.T / c**2) ** 4).sum(),
        2,
    ),
    "a triangle": (
        "loss = Sum(Sum(where(j < i, L[i, j]*(x[s, j] - m[j]), 0), j)**4, i, s)",
        lambda x, L, m, c: (((x - m) @ np.tril(L, -1).T) ** 4).sum(),
        2,
    ),
    "a diagonal beside a triangle": (
        "d[s, j] = x[s, j] - m[j]\nloss = Sum((c[i]*d[s, i] + Sum(where(j < i, L[i, j]*d[s, j], 0), j))**4, i, s)",
        lambda x, L, m, c: (((x - m) @ (np.tril(L, -1) + np.diag(c)).T) ** 4).sum(),
        2,
    ),
    "slopes that differ between samples": (
        "loss = Sum(Sum(L[i, j]*(x[s, j] - x[s, j]**2*m[j]), j)**4, i, s)",
        lambda x, L, m, c: (((x - x**2 * m) @ L.T) ** 4).sum(),
        3,
    ),
    "slopes that two parameters need": (
        "loss = Sum(Sum(L[i, j]*(x[s, j]*c[j] - m[j]), j)**4, i, s)",
        lambda x, L, m, c: (((x * c - m) @ L.T) ** 4).sum(),
        3,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_all_samples_share_has_no_product_for_each_sample(name):
    text, _, count = MODELS[name]
    values = differentiate(lower(language.parse(HEAD + text))).order()
    sizes = [sorted(str(axis.size) for axis in value.axes) for value in values if value.op == "mul"]
    assert sizes.count(["D", "D", "N"]) == count


@pytest.mark.parametrize("name", MODELS)
def test_slopes_are_those_of_the_model_in_numpy(name):
    text, function, _ = MODELS[name]
    random = np.random.default_rng(0)
    given = {"x": (9, 4), "L": (4, 4), "m": (4,), "c": (4,)}
    given = {k: random.normal(size=shape) for k, shape in given.items()}
    model = gc.compile(gc.parse(HEAD + text))
    for _ in range(2):
        value, slopes = model.value_and_grad(**given)
        assert value == pytest.approx(function(**given), rel=1e-13)
        for parameter, slope in zip(map(str, model.model.wrt), slopes, strict=True):
            np.testing.assert_allclose(slope, by_complex_step(function, given, parameter), rtol=1e-11, atol=1e-11)
        model.wait()


def test_a_sum_of_thousands_of_terms_needs_no_recursion():
    builder, size = Builder(), Size.of("N")
    s, i, j = Axis(Size.of("M")), Axis(size), Axis(size, 1)
    b, L, x = builder.input("b", (s, i)), builder.input("L", (i, j)), builder.input("x", (s,))
    total = builder.reduce("sum", b * L, [i])
    for k in range(2, 5000):
        total = total + k * x
    inputs = {"b": Input("b", (s.size, size)), "L": Input("L", (size, size)), "x": Input("x", (s.size,))}
    graph = inward(Graph(builder, inputs, {"value": builder.reduce("sum", total, [s])}))
    assert all({*value.axes} != {s, i, j} for value in graph.order())
    given = {"b": np.ones((3, 2)), "L": np.array([[1.0, 2.0], [3.0, 4.0]]), "x": np.array([1.0, 0.0, 2.0])}
    more = 3 * sum(range(2, 5000))
    np.testing.assert_array_equal(evaluate(graph, given)["value"], [3 * 4 + more, 3 * 6 + more])


def by_complex_step(function, given, parameter):
    """Return the gradient with regard to one parameter: the imaginary part after a step too small to round."""
    exact = np.zeros_like(given[parameter])
    for place in np.ndindex(exact.shape):
        moved = given[parameter].astype(complex)
        moved[place] += 1e-150j
        exact[place] = function(**{**given, parameter: moved}).imag / 1e-150
    return exact
