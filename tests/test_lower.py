"""Lowering of scalars, indexed sums, definitions, outputs and the per-sample form, against SymPy and NumPy."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import sympy
from sympy import (
    Determinant,
    Identity,
    IndexedBase,
    Lambda,
    MatrixSymbol,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    Trace,
    cos,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)

from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.lower import detect_samples, lower, sample_sums, why_not_samples
from gradcompile.model import Model, max_over, min_over, reduction
from gradcompile.verify import verify
from tests import oracle, zoo
from tests.conftest import readable

N, D, C, K = symbols("N D C K", integer=True, positive=True)
s, i, j, k, t = symbols("s i j k t", integer=True)
a, b, c, lam = symbols("a b c lam")
x, w, W = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D,)), IndexedBase("W", shape=(D, C))
gt = IndexedBase("gt", shape=(N,))

random = np.random.default_rng(0)
X, V, M = random.normal(size=(4, 3)), random.normal(size=3), random.normal(size=(3, 2))
LABELS = np.array([1, 0, 1, 1])


def graph(objective, *wrt, **rest) -> Graph:
    return verify(lower(Model(objective, wrt, **rest)))


def value(objective, *wrt, define=None, **arrays):
    return evaluate(graph(objective, *wrt, definitions=define or {}), arrays)["value"]


def ops(lowered: Graph, *roots):
    return [v.op for v in lowered.order(roots or lowered.outputs.values())]


# The zoo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "form"), [(row, form) for row in zoo.ZOO for form in row.forms], ids=lambda v: getattr(v, "name", v)
)
def test_zoo(row, form):
    p = row.forms[form]
    lowered = graph(p.objective, *p.wrt, data=tuple(p.data), definitions=p.define)
    got = evaluate(lowered, p.inputs)["value"]
    expected = float(oracle.value_of(p))
    assert abs(got - expected) <= 1e-13 * max(1, abs(expected))


# Scalars ------------------------------------------------------------------------------------------------------------


def test_the_lecture_reads_as_on_the_board():
    X0, w1, w0 = symbols("x w1 w0")
    lowered = graph(1 + exp(w1 * X0 + w0), X0, w1, w0)
    steps = [v for v in lowered.order() if v.op not in ("input", "const")]
    assert [v.op for v in steps] == ["mul", "add", "exp", "add"]
    product, total, _, result = steps
    assert [o.attr for o in product.operands] == ["x", "w1"]
    assert total.operands[0] is product
    assert result.operands[0].attr == 1


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (a - b, ["sub"]),
        (b - a, ["sub"]),
        (1 - a, ["sub"]),
        (a - 1, ["sub"]),
        (-a, ["neg"]),
        (-a - b, ["neg", "sub"]),
        (a / b, ["div"]),
        (1 / a, ["div"]),
        (a / (b * c), ["mul", "div"]),
        (Rational(2, 3) * a, ["mul", "div"]),
        (a / 2, ["div"]),
        (-a / 2, ["div", "neg"]),
        (-2 * a, ["mul"]),
        (sqrt(a), ["sqrt"]),
        (1 / sqrt(a), ["sqrt", "div"]),
        (sqrt(a**2), ["abs"]),
        (a**2, ["pow"]),
        (a**-2, ["pow", "div"]),
        (sympy.cbrt(a), ["pow"]),
        (sympy.Max(a, b, c), ["maximum"]),
        (sympy.Pow(a, 0.5), ["sqrt"]),
    ],
    ids=readable,
)
def test_arithmetic_in_the_fewest_steps(expr, expected):
    assert [op for op in ops(graph(expr, a, b, c)) if op not in ("input", "const")] == expected


def test_numbers_stay_exact():
    consts = [v.attr for v in graph(sympy.pi * a ** Rational(5, 3) + 2, a).order() if v.op == "const"]
    assert sorted(map(str, consts)) == ["2", "5/3", "pi"]


@pytest.mark.parametrize("declared", [{}, {"positive": True}, {"complex": True}, {"integer": True}])
def test_every_symbol_is_real(declared):
    z = Symbol("z", **declared)
    expr = sympy.re(z) + sympy.im(z) * 7 + sympy.conjugate(z) + sympy.Abs(z)
    assert value(expr, z, z=1.5) == 4.5


def test_a_choice_without_a_default_is_not_a_number():
    assert np.isnan(value(Piecewise((a, a > 0)), a, a=-1.0))


def test_conditions():
    condition = sympy.Or(sympy.And(a > 0, b > 0, c > 0), sympy.Not(sympy.Eq(a, b)))
    expr = Piecewise((1, condition), (0, True))
    for point in [(1, 1, 1), (-1, -1, 1), (-1, 2, 1)]:
        at = dict(zip("abc", map(float, point), strict=True))
        assert value(expr, a, b, c, **at) == float(expr.subs(at))


def test_integers_become_real_where_they_meet_a_function():
    labels = IndexedBase("n", shape=(N,))
    expr = Sum(2 ** labels[s] + exp(labels[s]) + w[labels[s]] / labels[s], (s, 0, N - 1))
    got = value(expr, w, w=V, n=[1, 2])
    assert np.isclose(got, 6 + np.exp(1) + np.exp(2) + V[1] + V[2] / 2, rtol=1e-14)


# Sums over indices --------------------------------------------------------------------------------------------------


def test_equal_sums_are_one_value_whatever_their_letters():
    first = Sum(x[s, j] * W[j, i], (j, 0, D - 1))
    second = Sum(x[s, k] * W[k, i], (k, 0, D - 1))
    lowered = graph(Sum(exp(first) * sin(second), (s, 0, N - 1), (i, 0, C - 1)), W)
    assert ops(lowered).count("sum") == 2


def test_an_index_may_shadow_a_parameter_and_an_outer_index():
    shadowed = Sum(w[i] * Sum(w[i] ** 2, (i, 0, D - 1)), (i, 0, D - 1)) + i
    assert np.isclose(value(shadowed, w, i, w=V, i=2.5), V.sum() * (V**2).sum() + 2.5)


def test_two_indices_of_one_size_stay_apart():
    pairs = Sum((w[i] - w[j]) ** 2 * (i - j), (j, 0, i), (i, 0, D - 1))
    expected = sum((V[p] - V[q]) ** 2 * (p - q) for p in range(3) for q in range(p + 1))
    assert np.isclose(value(pairs, w, w=V), expected)


def test_an_index_that_the_summand_does_not_have_multiplies():
    assert np.isclose(value(Sum(a, (j, 0, D - 1)) + 0 * w[0] + Sum(w[j], (j, 0, D - 1)), a, w, a=2.0, w=V), 6 + V.sum())


def test_products_and_extremes():
    row = lambda s: Product(x[s, j], (j, 0, D - 1))  # noqa: E731
    expr = Sum(row(s), (s, 0, N - 1)) + max_over(x[s, j], (s, 0, N - 1), (j, 0, D - 1))
    expr -= min_over(max_over(x[s, j], (j, 0, D - 1)), (s, 0, N - 1))
    assert np.isclose(value(expr, x, x=X), X.prod(axis=1).sum() + X.max() - X.max(axis=1).min())


def test_ranges_that_do_not_start_at_zero():
    assert np.isclose(value(Sum(w[j] * j, (j, 1, D - 1)), w, w=V), V[1] + 2 * V[2])
    assert np.isclose(value(Sum(w[j - 1] * w[j], (j, 1, D - 1)), w, w=V), V[0] * V[1] + V[1] * V[2])


def test_empty_ranges():
    assert value(Sum(w[j], (j, 0, -1)) + Product(w[j], (j, 3, 2)), w, w=V) == 1


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (Sum(w[i] * Sum(w[j], (j, 0, i - 1)), (i, 0, D - 1)), lambda v: v[1] * v[0] + v[2] * (v[0] + v[1])),
        (Sum(w[i] * Sum(w[j], (j, i, D - 1)), (i, 0, D - 1)), lambda v: v @ np.cumsum(v[::-1])[::-1]),
        (Sum(w[i] * Product(w[j], (j, 0, i)), (i, 0, D - 1)), lambda v: v @ np.cumprod(v)),
        (Sum(max_over(w[j], (j, 0, i)), (i, 0, D - 1)), lambda v: np.maximum.accumulate(v).sum()),
        (Sum(w[i - j], (j, 0, i), (i, 0, D - 1)), lambda v: v @ [3, 2, 1]),
        (Sum(w[j], (j, i, i + 1), (i, 0, D - 2)), lambda v: v @ [1, 2, 1]),
        (Sum(w[k], (k, j, i), (j, 0, i), (i, 0, D - 1)), lambda v: v @ [3, 4, 3]),
    ],
    ids=readable,
)
def test_ranges_that_depend_on_an_index(expr, expected):
    assert np.isclose(value(expr, w, w=V), expected(V))


def test_a_piecewise_stays_inside_of_its_sum():
    earlier = reduction(Sum, Piecewise((w[j], j <= i), (0, True)), (j, 0, D - 1))
    expr = reduction(Sum, earlier**2, (i, 0, D - 1))
    assert np.isclose(value(expr, w, w=V), (np.cumsum(V) ** 2).sum())


def test_affine_indices():
    kernel = IndexedBase("kernel", shape=(K,))
    for stride in (1, 2):
        expr = Sum(w[stride * i + k] * kernel[k] * (i + 1), (k, 0, K - 1), (i, 0, 1))
        series = random.normal(size=5)
        expected = sum(series[stride * p + q] * [2.0, 3.0][q] * (p + 1) for p in range(2) for q in range(2))
        assert np.isclose(value(expr, w, w=series, kernel=[2.0, 3.0]), expected)


def test_indices_that_are_data():
    pairs = IndexedBase("pairs", shape=(N, 2))
    expr = Sum(w[pairs[s, 0]] * W[pairs[s, 1], gt[s]], (s, 0, N - 1))
    which = np.array([[0, 2], [2, 1], [1, 1], [0, 0]])
    lowered = graph(expr, w, W)
    assert [(n, v.role) for n, v in lowered.inputs.items()][2:] == [("pairs", "labels"), ("gt", "labels")]
    got = evaluate(lowered, {"w": V, "W": M, "pairs": which, "gt": LABELS})["value"]
    assert np.isclose(got, (V[which[:, 0]] * M[which[:, 1], LABELS]).sum())


def test_idx_objects_are_indices():
    index = sympy.Idx("p", D)
    assert np.isclose(value(Sum(w[index] ** 2, index), w, w=V), (V**2).sum())


def test_shapes_that_are_not_declared_come_from_the_ranges():
    p, q = IndexedBase("p"), IndexedBase("q")
    lowered = graph(Sum(p[i] * q[i + k], (i, 0, N - 1), (k, 0, K - 1)), p)
    assert [str(size) for size in (*lowered.inputs["p"].shape, *lowered.inputs["q"].shape)] == ["N", "K + N - 1"]
    got = evaluate(lowered, {"p": [1.0, 2], "q": [1.0, 10, 100, 1000]})["value"]
    assert got == 111 + 2 * 1110


def test_a_shape_that_nothing_tells_is_a_size_of_its_own():
    table = IndexedBase("table")
    assert value(Sum(table[gt[s]], (s, 0, N - 1)), table, table=[5.0, 7.0], gt=LABELS) == 26


def test_what_may_leave_an_axis_is_a_requirement():
    v = IndexedBase("v", shape=(K,))
    lowered = graph(Sum(w[k] * v[k], (k, 0, K - 1)), w)
    (requirement,) = lowered.requirements
    assert str(requirement.size) == "D - K"
    assert "w[k]" in requirement.message
    assert not graph(Sum(w[i + 1] - w[i], (i, 0, D - 2)), w).requirements


def test_a_condition_may_keep_an_index_on_its_axis():
    padded = Sum(Piecewise((w[t - 1], t >= 1), (a, True)) * w[t], (t, 0, D - 1))
    assert np.isclose(value(padded, w, a, w=V, a=2.0), 2 * V[0] + V[0] * V[1] + V[1] * V[2])
    labelled = Sum(Piecewise((w[gt[s]], gt[s] >= 0), (0, True)), (s, 0, N - 1))
    assert np.isclose(value(labelled, w, w=V, gt=[-1, 2, 9 - 9, -7]), V[2] + V[0])


# Inputs -------------------------------------------------------------------------------------------------------------


def test_inputs_come_in_the_order_of_the_call():
    expr = sin(b) * Sum(x[s, j] * w[j], (s, 0, N - 1), (j, 0, D - 1)) + lam * w[0] + a
    assert list(graph(expr, w, a).inputs)[:2] == ["w", "a"]
    assert list(graph(expr, w, a, inputs=(lam, b, x)).inputs) == ["w", "a", "lam", "b", "x"]
    assert list(graph(expr, w, data=(b,)).inputs)[:2] == ["w", "b"]


def test_a_parameter_that_does_not_occur_is_an_input():
    lowered = graph(a**2, a, W)
    assert lowered.wrt == ("a", "W")
    assert lowered.inputs["W"].role == "parameter"


def test_defaults():
    assert graph(a * lam, a, defaults={"lam": 0.5}).inputs["lam"].default == 0.5


# Definitions and outputs --------------------------------------------------------------------------------------------

y, z = IndexedBase("y", shape=(N, C)), IndexedBase("z")
LINEAR = Sum(x[s, j] * W[j, i], (j, 0, D - 1))


def test_definitions_in_any_order_and_with_other_letters():
    define = {y[s, i]: exp(z[s, i]) * a, z[t, k]: LINEAR.subs({s: t, i: k}), a: lam**2}
    lowered = graph(Sum(log(y[s, gt[s]]), (s, 0, N - 1)) + a, W, definitions=define)
    assert set(lowered.names.values()) == {"y", "z", "a"}
    got = evaluate(lowered, {"x": X, "W": M, "gt": LABELS, "lam": 1.5})["value"]
    assert np.isclose(got, np.log(np.exp((X @ M)[range(4), LABELS]) * 2.25).sum() + 2.25)


def test_a_use_with_its_own_indices_is_the_definition_itself():
    lowered = graph(Sum(y[s, i] ** 2, (s, 0, N - 1), (i, 0, C - 1)), W, definitions={y[s, i]: LINEAR})
    assert "read" not in ops(lowered)


def test_a_definition_is_read_where_its_indices_are():
    square = IndexedBase("square", shape=(D, D))
    define = {square[i, j]: w[i] * (j + 1)}
    expr = Sum(square[j, i] * square[i, i], (i, 0, D - 1), (j, 0, D - 1))
    S = np.outer(V, [1, 2, 3])
    assert np.isclose(value(expr, w, define=define, w=V), (S.T * np.diag(S)[:, None]).sum())


def test_a_matrix_may_be_defined():
    A, G = MatrixSymbol("A", N, D), MatrixSymbol("G", N, N)
    assert np.isclose(value(Trace(G * G), A, define={G: A * A.T}, A=X), np.trace(X @ X.T @ X @ X.T))


def test_outputs_have_the_axes_of_their_lambda():
    outputs = {"z": Lambda((s, i), LINEAR), "zt": Lambda((i, s), LINEAR), "row": Lambda((s, i), W[0, i]), "e": a * 2}
    outputs["row"] = Lambda((s, i), W[0, i] + 0 * x[s, 0] + x[s, 0])
    got = evaluate(graph(a, a, outputs=outputs), {"a": 1.0, "x": X, "W": M})
    assert np.allclose(got["z"], X @ M)
    assert np.allclose(got["zt"], (X @ M).T)
    assert np.allclose(got["row"], M[0] + X[:, :1])
    assert got["e"] == 2


def test_an_objective_may_be_a_vector():
    lowered = graph(Lambda(s, Sum(x[s, j] * w[j], (j, 0, D - 1))), w)
    assert np.allclose(evaluate(lowered, {"x": X, "w": V})["value"], X @ V)
    written = evaluate(graph(sympy.Matrix([a * b, b**2, 7]), a, b), {"a": 2.0, "b": 3.0})["value"]
    assert np.array_equal(written, [6, 9, 7])


# The per-sample form ------------------------------------------------------------------------------------------------

XS, TS = random.normal(size=6), np.sign(random.normal(size=6))


def test_the_objective_per_sample_is_a_mean_and_the_rest_counts_once():
    lowered = graph((a * c - b) ** 2 + lam * a**2 - b, a, b, data=(c,))
    got = evaluate(lowered, {"a": 0.5, "b": 0.2, "c": XS, "lam": 3.0})["value"]
    assert np.isclose(got, np.mean((0.5 * XS - 0.2) ** 2) + 3 * 0.25 - 0.2)
    assert lowered.sample is not None
    (total,) = sample_sums(lowered, lowered.sample)
    assert total.attr == (lowered.sample,)


def test_vectors_and_labels_per_sample():
    label = Symbol("label", integer=True)
    expr = log(Sum(exp(Sum(w[j] * W[j, i], (j, 0, D - 1))), (i, 0, C - 1))) - W[0, label]
    lowered = graph(expr, W, data=(w, label))
    assert lowered.inputs["label"].kind == "int"
    got = evaluate(lowered, {"W": M, "w": X, "label": LABELS})["value"]
    assert np.isclose(got, np.mean(np.log(np.exp(X @ M).sum(axis=1)) - M[0, LABELS]))


def test_definitions_and_outputs_per_sample():
    d = Symbol("d")
    outputs = {"d": d, "table": Lambda(i, w[i] * c)}
    lowered = graph((d - 1) ** 2, a, data=(c,), definitions={d: a * c}, outputs=outputs)
    got = evaluate(lowered, {"a": 0.5, "c": XS, "w": V})
    assert np.isclose(got["value"], np.mean((0.5 * XS - 1) ** 2))
    assert np.allclose(got["d"], 0.5 * XS)
    assert np.allclose(got["table"], np.outer(XS, V))


def test_an_objective_without_data_counts_once():
    assert evaluate(graph(a**2, a, data=(c,)), {"a": 3.0, "c": XS})["value"] == 9


def test_a_size_named_n_is_not_the_number_of_samples():
    n = Symbol("n", integer=True, positive=True)
    v = IndexedBase("v", shape=(n,))
    lowered = graph(Sum(v[i] * c, (i, 0, n - 1)), v, data=(c,))
    assert np.isclose(evaluate(lowered, {"v": V, "c": XS})["value"], V.sum() * XS.mean())


# Samples ------------------------------------------------------------------------------------------------------------

z_s = Sum(x[s, j] * w[j], (j, 0, D - 1))
KERNEL = MatrixSymbol("G", N, N) + a * Identity(N)
RISK = Sum(Piecewise((exp(x[t, 0] * a), gt[0] >= 0), (0, True)), (t, 0, N - 1))


def test_the_sum_over_samples_is_found_and_the_regulariser_left():
    lowered = graph(3 * Sum(log(1 + exp(z_s)), (s, 0, N - 1)) / N + lam * Sum(w[j] ** 2, (j, 0, D - 1)), w)
    axis = detect_samples(lowered)
    assert axis is not None
    assert lowered.letter(axis) == "s"
    assert [total.attr for total in sample_sums(lowered, axis)] == [(axis,)]


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (sqrt(Sum(z_s**2, (s, 0, N - 1))), "takes sqrt of the sum over s"),
        (log(Sum(exp(z_s), (s, 0, N - 1))), "takes log of the sum over s"),
        (sqrt(Product(exp(z_s), (s, 0, N - 1))), "takes sqrt of the product over s"),
        (Product(exp(z_s), (s, 0, N - 1)), "takes the product over s"),
        (log(Determinant(KERNEL)) + Sum(z_s, (s, 0, N - 1)), "takes logdet of a matrix with rows of all samples"),
        (Sum(z_s, (s, 0, N - 1)) * Sum(z_s**2, (s, 0, N - 1)), "multiplies sums over s"),
        (Sum(z_s, (s, 0, N - 1)) ** 2, "takes pow of the sum over s"),
        (Sum(z_s, (s, 0, N - 1)) / Sum(gt[s] * a, (s, 0, N - 1)), "divides by a sum over s"),
        (Sum(log(Sum(exp(x[s, 0] - x[t, 0]), (t, 0, N - 1))), (s, 0, N - 1)), "other samples"),
        (Sum(z_s, (s, 0, N - 1)) + x[0, 0] * w[0], "samples outside of the sum over s"),
        (Sum(w[j] ** 2, (j, 0, D - 1)), "no array"),
        (tanh(w[0]) + cos(w[1]), "no array"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_not_a_sum_over_samples_says_why(objective, reason):
    lowered = graph(objective, w)
    assert lowered.sample is None
    assert reason in why_not_samples(lowered)


# Size and order -----------------------------------------------------------------------------------------------------


def chain(length: int) -> Model:
    define, previous = {}, a
    for number in range(length):
        name = Symbol(f"y{number}")
        define[name] = sin(previous) * b + previous
        previous = name
    return Model(previous**2, (a, b), definitions=define)


def test_large_models_lower_in_linear_time():
    models = [chain(length) for length in (500, 5_000)]
    times = []
    for model in models:
        start = time.perf_counter()
        lowered = lower(model)
        times.append(time.perf_counter() - start)
    assert len(lowered.order()) > 15_000
    assert times[1] < 40 * max(times[0], 0.02)


def test_deep_expressions_and_chains_backwards():
    deep = a
    for _ in range(3_000):
        deep = sin(deep, evaluate=False)
    assert len(graph(deep, a).order()) == 3_001
    model = chain(3_000)
    backwards = dict(reversed(model.definitions.items()))
    assert len(lower(Model(model.objective, model.wrt, definitions=backwards)).order()) > 9_000


DETERMINISM = """
from tests.zoo import BY_NAME
from gradcompile.lower import lower
from gradcompile.model import Model
for name in ("softmax", "mixture", "huber"):
    for form in BY_NAME[name].forms.values():
        print(lower(Model(form.objective, tuple(form.wrt), data=tuple(form.data), definitions=form.define)))
"""


@pytest.mark.slow
def test_the_graph_is_the_same_for_every_hash_seed():
    def run(seed: int) -> str:
        env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", DETERMINISM], env=env, capture_output=True, text=True, check=True)
        return done.stdout

    assert run(1) == run(2)
