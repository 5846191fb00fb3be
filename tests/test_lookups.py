"""Arrays of which data pick elements: computed whole where a call reads them more often than they are long."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcompile as gc
from gradcompile.lower import lower
from gradcompile.passes.gather import gather
from gradcompile.threads import chunks

# Links between items: features of items, which are data, become a row for each. Two items at a time are looked up.
LINKS = """
a: labels[M]
b: labels[M]
x: data[P, D]
W: parameter[D, K]
h[p, k] = tanh(Sum(x[p, d]*W[d, k], d))
loss = Sum((1 - Sum(h[a[m], k]*h[b[m], k], k))**2, m)
"""
# Raters: what each has rated before is added up, by labels that labels pick.
RATERS = """
u: labels[N]
y: data[N]
h: labels[P, H]
U: parameter[P, K]
Y: parameter[I, K]
q[p, k] = U[p, k] + Sum(Y[h[p, l], k], l)/sqrt(H)
loss = Sum((Sum(q[u[n], k], k) - y[n])**2, n)
"""
SLOPES = "x: data[N]\ng: labels[N]\nz: data[P]\nw: parameter\nloss = Sum((x[n] - {}(w*z[g[n]]))**2, n)"


def links(pairs, items, dtype="float64"):
    random = np.random.default_rng(1)
    labels = {name: random.integers(0, items, pairs) for name in "ab"}
    return labels | {"x": random.normal(size=(items, 5)).astype(dtype), "W": random.normal(size=(5, 3)).astype(dtype)}


def linked(a, b, x, W):
    """Return value and gradient of LINKS, derived by hand."""
    x, W = x.astype(float), W.astype(float)
    h = np.tanh(x @ W)
    r = 1 - np.sum(h[a] * h[b], 1)
    dh = np.zeros_like(h)
    np.add.at(dh, a, -2 * r[:, None] * h[b])
    np.add.at(dh, b, -2 * r[:, None] * h[a])
    return np.sum(r**2), x.T @ ((1 - h**2) * dh)


def body(model):
    source = model.source
    return source[source.index("def value_and_grad(") : source.index("def grad(")]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("first", [(60, 9), (4, 50)])
def test_answers_are_right_whichever_way_the_first_call_had_it(compiled_at_once, first, dtype):
    model, rtol = gc.compile(gc.parse(LINKS), dtype=dtype), 1e-12 if dtype == "float64" else 1e-4
    for sizes in (first, (60, 9), (4, 50), (17, 9), (1, 1), first):
        arrays = links(*sizes, dtype)
        value, (gradient,) = model.value_and_grad(**arrays)
        assert_allclose(value, linked(**arrays)[0], rtol=rtol)
        assert_allclose(gradient, linked(**arrays)[1], rtol=rtol, atol=rtol)
        assert_allclose(model.value(**arrays), value, rtol=rtol)


def test_rows_are_computed_once_if_they_are_read_often(compiled_at_once):
    model = gc.compile(gc.parse(LINKS))
    model.value_and_grad(**links(60, 9))
    assert "h = np.empty((P, K))" in body(model)
    assert "these are computed whole" in str(model.plan)
    model.value_and_grad(**links(4, 50))
    assert "(P, K)" not in body(model)
    assert "these are computed whole" not in str(model.plan)
    model.value_and_grad(**links(600, 9))
    assert "h = np.empty((P, K))" in body(model)


def test_rows_of_which_few_are_read_are_not_all_computed(compiled_at_once):
    model = gc.compile(gc.parse(LINKS))
    model.value_and_grad(**links(15, 9))  # less than twice
    assert "(P, K)" not in body(model)


def test_sums_at_labels_that_labels_pick_are_taken_once_for_each(compiled_at_once):
    model, random = gc.compile(gc.parse(RATERS)), np.random.default_rng(2)
    u, h = random.integers(0, 6, 50), random.integers(0, 7, (6, 25))
    y, U, Y = random.normal(size=50), random.normal(size=(6, 3)), random.normal(size=(7, 3))
    value, (dU, dY) = model.value_and_grad(u=u, h=h, y=y, U=U, Y=Y)
    r = (U + Y[h].sum(1) / 5)[u].sum(1) - y
    each = np.bincount(u, 2 * r, minlength=6)
    assert_allclose(value, np.sum(r**2), rtol=1e-12)
    assert_allclose(dU, np.repeat(each[:, None], 3, 1), rtol=1e-12, atol=1e-12)
    assert_allclose(dY[:, 0], np.bincount(h.ravel(), np.repeat(each, 25) / 5, minlength=7), rtol=1e-12, atol=1e-12)
    assert "for p in range(P)" in body(model).split("for first in range(0, N, T)")[0]


@pytest.mark.parametrize(("function", "whole"), [("tanh", True), ("sqrt", False), ("log", False)])
def test_what_no_index_takes_is_not_computed_where_its_slope_may_be_no_number(compiled_at_once, function, whole):
    model = gc.compile(gc.parse(SLOPES.format(function)))
    arrays = {"x": np.zeros(8), "g": np.ones(8, int), "z": np.array([0.0, 4.0]), "w": 1.0}  # no sample takes z[0]
    value, (gradient,) = model.value_and_grad(**arrays)
    point = {"tanh": (np.tanh(4), 4 / np.cosh(4) ** 2), "sqrt": (2, 1), "log": (np.log(4), 1)}[function]
    assert_allclose([value, gradient], [8 * point[0] ** 2, 16 * point[0] * point[1]], rtol=1e-12)
    assert ("np.empty(P)" in body(model)) is whole


def test_no_more_numbers_are_kept_than_the_arguments_have(compiled_at_once):
    text = """
    g: labels[N]
    v: constant[K]
    z: data[P]
    w: parameter
    loss = Sum(tanh(w*z[g[n]]*v[k]), n, k)
    """
    model = gc.compile(gc.parse(text))
    for items, samples, whole in ((3, 1200, True), (40, 80, False)):
        arrays = {"g": np.arange(samples) % items, "v": np.ones(200), "z": np.ones(items), "w": 0.5}
        value, (gradient,) = model.value_and_grad(**arrays)
        assert_allclose([value, gradient], 200 * samples * np.array([np.tanh(0.5), 1 / np.cosh(0.5) ** 2]), rtol=1e-12)
        assert ("these are computed whole" in str(model.plan)) is whole


def test_threads_agree_to_the_bit_on_what_is_computed_whole(compiled_at_once, monkeypatch):
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    found = []
    try:
        for threads in (1, 2):
            gc.set_threads(threads)
            model = gc.compile(gc.parse(LINKS))
            found.append(model.value_and_grad(**links(300, 9)))
    finally:
        gc.set_threads(None)
    assert any(name.endswith("_part") for name in model._program.suited._functions)
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1][0], found[1][1][0])


PARTS = {  # of a softmax, and which of the four classes are in them
    "p[s, 0]**2": [0],
    "p[s, C - 1]**2": [3],
    "Sum(p[s, i]**2, i, 0, 1)": [0, 1],
    "Sum(p[s, i]**2, i, 2, C - 1)": [2, 3],
    "Sum((p[s, i + 1] + p[s, i])**2, i, 0, C - 2)": [0, 1, 1, 2, 2, 3],
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_element_of_a_row_is_the_same_as_in_the_row(compiled_at_once, part, dtype):
    """Of sums that are far apart, a softmax is 0 or 1: the largest less itself is 0, and not what rounding leaves."""
    text = f"""
        x: data[N, D]
        W: parameter[D, C]
        p[s, i] = exp(Sum(x[s, j]*W[j, i], j)) / Sum(exp(Sum(x[s, j]*W[j, k], j)), k)
        loss = Sum({part}, s)
    """
    random = np.random.default_rng(3)
    x, W = (random.normal(0, 300, size=shape).astype(dtype) for shape in ((130, 20), (20, 4)))
    largest = (x.astype(float) @ W.astype(float)).argmax(axis=1)  # by 100 and more
    model, expected = gc.compile(gc.parse(text), dtype=dtype), float(sum(np.sum(largest == c) for c in PARTS[part]))
    assert model.value(x=x, W=W) == model.wait().value(x=x, W=W) == expected


def test_time_to_look_for_elements_grows_with_the_places():
    """Steps that are written out read `x[n, 0]`, `x[n, 1]`, ... and each is what all later ones are made of."""
    steps = "\n".join(f"h{t + 1}[n] = tanh(a*h{t}[n] + sin(x[n, {t}]))" for t in range(40))
    text = f"x: data[N, T]\na: parameter\n{steps}\nh0[n] = x[n, 0]\nloss = Sum(h40[n]**2 + Sum(sin(x[n, t]), t), n)"
    graph = lower(gc.parse(text))
    before = len(graph.builder.values)
    gather(graph)
    assert len(graph.builder.values) - before < 40 * 8  # all later steps of each would be 40 * 60
