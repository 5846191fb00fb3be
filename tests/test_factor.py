"""A masked contraction becomes a product of matrices, unless the mask keeps bad data out."""

import inspect
import re
from builtins import compile as compile_text

import numpy as np
import pytest

from gradcompile import language
from gradcompile.compiler import compile, emit
from gradcompile.lower import lower
from gradcompile.pipeline import differentiate
from gradcompile.schedule import Loop, Product, plan

RELU = """
    x: data[N, D]
    W: parameter[D, H]
    v: parameter[H]
    loss = Sum(Sum(max(Sum(x[s, j]*W[j, k], j), 0)*v[k], k)**2, s)
"""
MASKED = """
    x: data[N, D]
    good: data[N]
    W: parameter[D, H]
    loss = Sum(where(good[s] > 0, Sum(Sum(x[s, j]*W[j, k], j)**2, k), 0), s)
"""


def products(text: str) -> list[tuple[str, ...]]:
    stack, found = list(plan(differentiate(lower(language.parse(text)))).body), []
    while stack:
        node = stack.pop(0)
        if isinstance(node, Product):
            found.append(tuple(str(axis.size) for axis in node.target.axes))
        elif isinstance(node, Loop):
            stack += node.body
    return found


def test_a_layer_with_relu_is_products_both_ways():
    assert products(RELU) == [("N", "H"), ("D", "H")]


TWO_PARTS = """
    x: data[N, D]
    y: data[N]
    w: parameter[D]
    v: parameter[D]
    z[n] = Sum(x[n, d]*w[d], d)
    m[n] = Sum(x[n, d]*v[d], d)
    loss = Sum(where(y[n] > 0, log(1 + exp(-z[n])) + (y[n] - m[n])**2, log(1 + exp(z[n]))), n)
"""


def test_data_that_both_branches_use_are_not_asked_for_one_by_one_whether_they_count():
    gradient = emit(language.parse(TWO_PARTS), target="numba")
    assert re.search(r"dv\[d\] -= x_b\[n, d\]\*\w+\[n\]", gradient)
    random = np.random.default_rng(1)
    x, w, v, y = random.normal(size=(50, 4)), random.normal(size=4), random.normal(size=4), random.normal(size=50)
    _, (dw, dv) = compile(language.parse(TWO_PARTS)).value_and_grad(x=x, y=y, w=w, v=v)
    np.testing.assert_allclose(dw, x.T @ (1 / (1 + np.exp(-x @ w)) - (y > 0)), rtol=1e-12)
    np.testing.assert_allclose(dv, -2 * x.T @ np.where(y > 0, y - x @ v, 0), rtol=1e-12)


def test_data_that_one_branch_uses_may_be_missing_in_the_other():
    text = TWO_PARTS.replace("log(1 + exp(z[n]))), n)", "0), n)")
    x, y = np.array([[1.0, 2.0], [np.nan, np.inf]]), np.array([1.0, -1.0])
    model = compile(language.parse(text))
    value, (dw, dv) = model.value_and_grad(x=x, y=y, w=np.ones(2), v=np.ones(2))
    assert value == pytest.approx(np.log1p(np.exp(-3)) + 4)
    np.testing.assert_allclose(dw, -x[0] / (1 + np.exp(3)), rtol=1e-12)
    np.testing.assert_allclose(dv, 4 * x[0], rtol=1e-12)


def test_a_sample_is_asked_once_whether_it_counts_and_not_for_every_number_of_its_row():
    text = """
        x: data[N, D]
        t: data[N]
        w: parameter[D]
        loss = Sum(max(0, 1 - t[n]*Sum(x[n, j]*w[j], j)), n)/N
    """
    gradient = emit(language.parse(text), target="numba")
    assert re.search(r"dw\[j\] -= x_b\[n, j\]\*\w+\[n\]", gradient)
    random = np.random.default_rng(0)
    x, w, t = random.normal(size=(600, 9)), random.normal(size=9), np.sign(random.normal(size=600))
    model = compile(language.parse(text))
    model.wait()
    value, (dw,) = model.value_and_grad(x=x, t=t, w=w)
    short = 1 - t * (x @ w)
    np.testing.assert_allclose(value, np.maximum(0, short).mean(), rtol=1e-13)
    np.testing.assert_allclose(dw, -x.T @ (t * (short > 0)) / 600, rtol=1e-12)


def test_relu_has_the_gradient_of_its_formula():
    random = np.random.default_rng(0)
    x, w, v = random.normal(size=(7, 9)), random.normal(size=(9, 8)), random.normal(size=8)
    model = compile(language.parse(RELU))
    model.wait()
    value, (dw, dv) = model.value_and_grad(x=x, W=w, v=v)
    hidden = np.maximum(x @ w, 0)
    out = hidden @ v
    np.testing.assert_allclose(value, out @ out, rtol=1e-13)
    np.testing.assert_allclose(dv, 2 * hidden.T @ out, rtol=1e-12)
    np.testing.assert_allclose(dw, x.T @ (2 * np.outer(out, v) * (hidden > 0)), rtol=1e-12)


def test_a_mask_keeps_missing_data_out():
    random = np.random.default_rng(1)
    x, w, good = random.normal(size=(6, 9)), random.normal(size=(9, 8)), np.array([1.0, 0, 1, 1, 0, 1])
    model = compile(language.parse(MASKED))
    model.wait()
    (whole,) = model.grad(x=x, good=good, W=w)
    (holes,) = model.grad(x=np.where(good[:, None] > 0, x, np.nan), good=good, W=w)
    np.testing.assert_array_equal(holes, whole)
    np.testing.assert_allclose(whole, 2 * x[good > 0].T @ (x[good > 0] @ w), rtol=1e-12)


NEAREST = """
    x: data[N, D]
    c: parameter[K, D]
    d[s, k] = Sum((x[s, j] - c[k, j])**2, j)
    loss    = Sum(Min(d[s, k], k), s)
"""


def test_a_mask_keeps_missing_data_out_of_a_classifier():
    """Its gradients have parts that labels pick; rows that are left out are 0 in both factors of the product."""
    text = """
        x: data[N, D]
        gt: labels[N]
        m: data[N]
        W: parameter[D, C]
        p[n, c] = exp(Sum(x[n, j]*W[j, c], j))/Sum(exp(Sum(x[n, j]*W[j, k], j)), k)
        loss    = Sum(where(m[n] > 0, -log(p[n, gt[n]]), 0), n)
    """
    model = compile(language.parse(text))
    assert model.source.count("gemm(1.0, ") >= 2
    random = np.random.default_rng(0)
    kept = random.random(300) < 0.7
    x, gt, W = random.normal(size=(300, 20)), random.integers(0, 5, 300), random.normal(size=(20, 5)) / 5
    x[~kept] = np.nan
    value, (gradient,) = model.value_and_grad(x=x, gt=gt, m=kept * 1.0, W=W)
    alone, (exact,) = model.value_and_grad(x=x[kept], gt=gt[kept], m=np.ones(kept.sum()), W=W)
    assert value == pytest.approx(alone, rel=1e-13)
    np.testing.assert_allclose(gradient, exact, rtol=1e-11, atol=1e-12)


def test_what_a_whole_term_is_divided_by_is_inverted_once_for_its_axes():
    text = emit(language.parse(NEAREST), target="numba")
    gradient = text[text.index("def value_and_grad(") : text.index("def grad(")]
    divided = [line for line in gradient.splitlines() if re.search(r"/\w+\[s\]", line.split("#")[0])]
    assert len(divided) == 1
    assert re.match(r" {12}\w+\[s\] = 2/\w+\[s\]$", divided[0])
    assert sum(" == " in line.split("#")[0] for line in gradient.splitlines()) == 1  # compared once, and kept


def test_divided_sums_have_the_gradient_of_their_formula():
    random = np.random.default_rng(2)
    x, c = random.normal(size=(300, 3)), random.normal(size=(4, 3))
    c[3] = c[1]  # a tie: both get half
    model = compile(language.parse(NEAREST))
    model.wait()
    value, dc = model.value_and_grad(x=x, c=c)
    d = ((x[:, None] - c) ** 2).sum(axis=2)
    share = (d == d.min(axis=1, keepdims=True)) / (d == d.min(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(value, d.min(axis=1).sum(), rtol=1e-13)
    np.testing.assert_allclose(dc[0], -2 * (share[:, :, None] * (x[:, None] - c)).sum(axis=0), rtol=1e-12)


def test_a_centre_that_is_nobodys_may_be_infinite():
    model = compile(language.parse(NEAREST))
    model.wait()
    value, (dc,) = model.value_and_grad(x=np.ones((5, 2)), c=np.array([[0.0, 0.0], [np.inf, 1.0]]))
    assert value == 10.0
    np.testing.assert_array_equal(dc, [[-10.0, -10.0], [0.0, 0.0]])


# What is divided by may be 0 where it is not used: targets without reciprocals divide where the formula does.
UNDIVIDED = [
    (
        "x: data[N, D]\nn: data[N]\nw: parameter[D]\nloss = Sum(where(x[s,j] > 0, (w[j] - x[s,j])**2/n[s], 0), s, j)",
        {"w": [1.0, 2.0], "x": [[1.0, 1.0], [-1.0, -1.0]], "n": [1.0, 0.0]},
        1.0,
        [0.0, 2.0],
    ),
    (
        "n: data[N]\nw: parameter[N]\nloss = Sum(where(i < j, (w[j] - w[i])**2/n[j], 0), i, j)",
        {"w": [1.0, 2.0, 3.0], "n": [0.0, 1.0, 2.0]},
        3.5,
        [-4.0, 1.0, 3.0],
    ),
]


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize(("text", "given", "value", "slopes"), UNDIVIDED)
def test_a_branch_that_is_not_taken_may_divide_by_zero(text, given, value, slopes, target):
    made: dict[str, object] = {"__name__": "emitted"}
    exec(compile_text(emit(language.parse(text), target=target), "emitted", "exec"), made)
    function = made["value_and_grad"]
    names = inspect.signature(getattr(function, "py_func", function)).parameters
    with np.errstate(all="ignore"):
        found, (slope,) = function(*[given[n] if target == "python" else np.array(given[n]) for n in names])
    assert found == pytest.approx(value, rel=1e-15)
    np.testing.assert_allclose(slope, slopes, rtol=1e-15)


def test_strict_code_divides_as_is_written():
    text = "x: data[N, D]\nn: data[N]\nw: parameter[D]\nloss = Sum((w[j] - x[s,j])**2/n[s], s, j)"
    model = compile(language.parse(text), strict=True)
    model.wait()
    value, (slope,) = model.value_and_grad(x=[[0.0]], n=[1e-310], w=[0.0])  # 1/n is infinite
    assert (value, slope.tolist()) == (0.0, [0.0])


CAUSAL = """
    x: data[N, T, D]
    Q: parameter[D, K]
    L: parameter[D, K]
    q[n, s, k] = Sum(x[n, s, d]*Q[d, k], d)
    l[n, r, k] = Sum(x[n, r, d]*L[d, k], d)
    e[n, s, r] = where(r <= s, exp(Sum(q[n, s, k]*l[n, r, k], k)), 0)
    y[n, s, d] = Sum(e[n, s, r]*x[n, r, d], r)
    loss       = Sum(y[n, s, d]**2, n, s, d)
"""


def causal(random, shape=(5, 12, 9)):
    return {"x": random.normal(size=shape), "Q": random.normal(size=(9, 10)) / 9, "L": random.normal(size=(9, 10)) / 9}


def test_attention_to_what_came_before_is_products_both_ways():
    """Of each sample, those that give: scores, y, the cotangents of e, of q and of l."""
    assert products(CAUSAL).count(("N", "T", "T")) == 2
    assert len(products(CAUSAL)) == 2 + 2 + 3 + 2


def test_attention_to_what_came_before_has_the_gradient_of_its_formula():
    given = causal(np.random.default_rng(0))
    x, Q, L = given.values()
    model = compile(language.parse(CAUSAL))
    model.wait()
    value, (dQ, dL) = model.value_and_grad(**given)
    q, k = x @ Q, x @ L
    e = np.tril(np.exp(q @ k.transpose(0, 2, 1)))
    y = e @ x
    ds = 2 * y @ x.transpose(0, 2, 1) * e
    np.testing.assert_allclose(value, np.sum(y**2), rtol=1e-13)
    np.testing.assert_allclose(dQ, np.einsum("nsd,nsk->dk", x, ds @ k), rtol=1e-11)
    np.testing.assert_allclose(dL, np.einsum("nrd,nrk->dk", x, ds.transpose(0, 2, 1) @ q), rtol=1e-11)


@pytest.mark.parametrize(
    "text",
    [
        "loss = Sum(where(r < s, exp(Sum(q[n, s, k]*l[n, r, k], k)), 0), n, s, r)",
        "e[n, s, r] = where(r <= s, exp(Sum(q[n, s, k]*l[n, r, k], k)), 0)\n"
        "loss = Sum(where(s < 5, Sum(e[n, s, r], r), 0), n, s)",
    ],
    ids=["without the diagonal", "some rows"],
)
def test_what_a_triangle_leaves_out_stays_out_of_the_gradient(text):
    """The last key is used by nothing: what it holds is not to be multiplied by zero."""
    random = np.random.default_rng(1)
    given = {"q": random.normal(size=(3, 8, 9)) / 3, "l": random.normal(size=(3, 8, 9)) / 3}
    model = compile(language.parse(f"q: parameter[N, T, K]\nl: parameter[N, T, K]\n{text}\n"))
    model.wait()
    whole = model.value_and_grad(**given)
    given["l"][:, -1] = np.nan
    holes = model.value_and_grad(**given)
    assert holes[0] == whole[0]
    for gradient, expected in zip(holes[1], whole[1], strict=True):
        np.testing.assert_array_equal(gradient, expected)
    assert np.count_nonzero(whole[1][0]) > 0


CONTRAST = """
    x: data[N, D]
    W: parameter[D, K]
    z[n, k] = tanh(Sum(x[n, d]*W[d, k], d))
    s[n, m] = where(n == m, -1000, Sum(z[n, k]*z[m, k], k))
    l[n]    = log(Sum(where(n != m, exp(s[n, m]), 0), m))
    loss    = Sum(x[n, 0]*l[n], n)
"""


def test_pairs_but_of_one_with_itself_are_products_both_ways():
    """z, the scores, the two cotangents of z, and that of W."""
    assert len(products(CONTRAST)) == 5


def test_pairs_but_of_one_with_itself_have_the_gradient_of_their_formula():
    random = np.random.default_rng(0)
    x, W = random.normal(size=(30, 12)), random.normal(size=(12, 10)) / 4
    model = compile(language.parse(CONTRAST))
    model.wait()
    value, (dW,) = model.value_and_grad(x=x, W=W)
    z = np.tanh(x @ W)
    e = np.exp(z @ z.T) * ~np.eye(30, dtype=bool)
    ds = e / e.sum(axis=1, keepdims=True) * x[:, :1]
    np.testing.assert_allclose(value, x[:, 0] @ np.log(e.sum(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(dW, x.T @ ((ds @ z + ds.T @ z) * (1 - z**2)), rtol=1e-11)


PAIRS = """
    a: data[N, K]
    p: data[N, D]
    W: parameter[D, K]
    b[n, k] = Sum(p[n, d]*W[d, k], d)
    loss = Sum(log(1 + Sum(where(m != n, exp(Sum(a[n, k]*(b[m, k] - b[n, k]), k)), 0), m)), n)
"""


def test_differences_of_pairs_are_computed_again_and_their_slopes_are_a_product():
    """No buffer has a difference for each pair and feature, and a[n, k] leaves the sum over m that does not have m."""
    model = differentiate(lower(language.parse(PAIRS)))
    assert max(len(axes) for axes in plan(model).stored.values()) == 2
    assert products(PAIRS) == [("N", "K"), ("K", "N"), ("D", "K")]


def test_slopes_of_differences_of_pairs_are_those_of_their_formula():
    random = np.random.default_rng(2)
    a, p, W = random.normal(size=(20, 3)), random.normal(size=(20, 4)), random.normal(size=(4, 3)) / 3
    model = compile(language.parse(PAIRS))
    model.wait()
    value, (dW,) = model.value_and_grad(a=a, p=p, W=W)
    b = p @ W
    e = np.exp(a @ b.T - (a * b).sum(axis=1)[:, None]) * ~np.eye(20, dtype=bool)
    w = e / (1 + e.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(value, np.log1p(e.sum(axis=1)).sum(), rtol=1e-12)
    np.testing.assert_allclose(dW, p.T @ (w.T @ a - a * w.sum(axis=1)[:, None]), rtol=1e-11, atol=1e-12)


def test_what_is_left_of_a_masked_product_stays_the_value_that_it_was():
    """The weight of a pair is one quotient for each sample, not one for each pair."""
    gradient = emit(language.parse(PAIRS), target="numba").split("def value_and_grad")[1]
    inner = [line.split("#")[0] for line in gradient.split("\n") if "if m != first + n" in line]
    assert inner
    assert not any("/" in line for line in inner)
