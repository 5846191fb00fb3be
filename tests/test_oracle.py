"""The two oracles agree with each other, with closed forms, and on all notations of every model of the zoo."""

import mpmath
import numpy as np
import pytest
import sympy
from sympy import IndexedBase, MatrixSymbol, Piecewise, Sum, Symbol, symbols

from gradcompile.model import max_over
from tests import oracle, tape
from tests.oracle import Problem
from tests.zoo import ZOO, Row, in_order, reference, reference_notation

N, D = symbols("N D", integer=True, positive=True)
s, i, j = symbols("s i j", integer=True)
FORMS = [
    pytest.param(row, notation, id=f"{row.name}-{notation}")
    for row in ZOO
    for notation in row.forms
    if row.number != 9 or notation == "defined"  # unrolled networks are large; the next test compares the others
]
TRUNCATION = mpmath.mpf("1e-26")  # of a central difference with step 1e-15, times the third derivative


@pytest.mark.one_in(7)
@pytest.mark.parametrize(("row", "notation"), FORMS)
def test_exact_derivatives_agree_with_differences(row: Row, notation: str) -> None:
    problem = row.forms[notation]
    answer = reference(row.name)[1] if notation == reference_notation(row.name) else oracle.exact(problem)
    slopes = oracle.differences(problem)
    value = oracle.value_of(problem)
    assert abs(answer.value - value) <= 1e-40 * max(1, abs(value))
    for name in problem.names:
        assert answer.grads[name].shape == np.shape(problem.inputs[name])
        for exact, slope in zip(answer.grads[name].flat, slopes[name].flat, strict=True):
            assert abs(exact - slope) <= TRUNCATION * max(1, abs(exact))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("row", "notation"), FORMS)
def test_the_tape_agrees_with_sympy(row: Row, notation: str) -> None:
    """Its scales may be those of another order of the same sum, and no more than that."""
    found, (asked, expected) = tape.answer(row.forms[notation]), reference(row.name)
    problem = row.forms[notation]
    pairs = zip(in_order(problem, found.grads), in_order(asked, expected.grads), strict=True)
    assert all(abs(a - b) <= 1e-14 * max(1, abs(b)) for a, b in pairs)  # of other notations the inputs are rounded
    scales = zip(in_order(problem, found.scales), in_order(asked, expected.scales), strict=True)
    assert all(float(b) / 50 <= a <= 50 * float(b) for a, b in scales)


@pytest.mark.parametrize("x", [0.3, 7.25, -0.3, -2.75, -40.5])
def test_the_derivatives_of_digamma_below_0(x: float) -> None:
    for order, function in ((1, tape.trigamma), (2, tape.tetragamma)):
        right = oracle.mp.polygamma(order, x)
        assert abs(function(oracle.mp.mpf(x)) - right) <= 1e-40 * max(1, abs(right))


@pytest.mark.parametrize("name", ["softmax", "huber", "factorisation", "gaussian", "network-2-gelu"])
def test_rules_alone_give_what_sympy_gives(name: str) -> None:
    unroller = oracle.Unroller(reference(name)[0])
    objective = unroller.objective()
    symbols_of_parameters = [unroller.symbols[key] for key in unroller.symbols if key[0] in reference(name)[0].names]
    evaluate = oracle.Evaluator(unroller.values)
    for symbol in symbols_of_parameters[::5]:
        with oracle.rules_alone():
            found = objective.diff(symbol)
        (value, scale), (right, size) = evaluate(found), evaluate(objective.diff(symbol))
        assert abs(value - right) <= 1e-45 * max(1, size)
        assert abs(scale - size) <= 1e-12 * size


@pytest.mark.one_in(2)
@pytest.mark.parametrize("row", [row for row in ZOO if len(row.forms) > 1], ids=lambda row: row.name)
def test_all_notations_are_one_model(row: Row) -> None:
    first, *others = row.forms.values()
    expected = [oracle.value_of(first), *in_order(first, oracle.differences(first))]
    for other in others:
        found = [oracle.value_of(other), *in_order(other, oracle.differences(other))]
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert abs(a - b) <= 1e-14 * max(1, abs(b))  # the inputs are rounded differently: x/N of an array, 1.0


@pytest.mark.one_in(4)
@pytest.mark.parametrize("row", ZOO, ids=lambda row: row.name)
def test_no_gradient_of_the_zoo_is_trivial(row: Row) -> None:
    """A model whose gradient is 0 everywhere tests nothing."""
    problem = next(iter(row.forms.values()))
    slopes = in_order(problem, oracle.differences(problem))
    assert sum(abs(slope) > 1e-3 for slope in slopes) >= max(1, 0.5 * len(slopes))


@pytest.mark.parametrize("row", ZOO, ids=lambda row: row.name)
def test_the_bound_is_tight(row: Row) -> None:
    """The bound of test_zoo.py notices an error of 1e-10 in any component, far less than any wrong formula makes."""
    problem, answer = reference(row.name)
    assert row.tolerance * np.finfo(float).eps * max(1, *in_order(problem, answer.scales)) < 1e-10


def test_closed_form_of_least_squares() -> None:
    x, w, t = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D,)), IndexedBase("t", shape=(N,))
    error = Sum(x[s, j] * w[j], (j, 0, D - 1)) - t[s]
    rng = np.random.default_rng(1)
    X, v, y = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=5)
    answer = oracle.exact(Problem(Sum(error**2, (s, 0, N - 1)), [w], {"x": X, "w": v, "t": y}))
    value, grads = answer.floats()
    np.testing.assert_allclose(value, np.sum((X @ v - y) ** 2), rtol=1e-14)
    np.testing.assert_allclose(grads["w"], 2 * X.T @ (X @ v - y), rtol=1e-13)


def test_closed_form_of_log_determinant() -> None:
    A = MatrixSymbol("A", D, D)
    point = np.array([[2.0, 0.3], [-0.4, 1.5]])
    problem = Problem(sympy.log(sympy.Determinant(A)), [A], {"A": point})
    np.testing.assert_allclose(oracle.exact(problem).floats()[1]["A"], np.linalg.inv(point).T, rtol=1e-14)


def test_gather_with_repeated_labels_accumulates() -> None:
    w, at = IndexedBase("w", shape=(D,)), IndexedBase("at", shape=(N,))
    problem = Problem(Sum(w[at[s]], (s, 0, N - 1)), [w], {"w": np.ones(4), "at": np.array([2, 2, 0, 2])})
    assert oracle.exact(problem).floats()[1]["w"].tolist() == [1, 0, 3, 0]


def test_sums_scope_their_index() -> None:
    """The inner i is not the outer i, whatever its letter."""
    x = IndexedBase("x", shape=(D,))
    inner = Sum(x[i] ** 2, (i, 0, D - 1))
    problem = Problem(Sum(x[i] * inner, (i, 0, D - 1)), [x], {"x": np.array([1.0, 2, 3])})
    value, grads = oracle.exact(problem).floats()
    assert value == 6 * 14
    assert grads["x"].tolist() == [14 + 6 * 2, 14 + 6 * 4, 14 + 6 * 6]


def test_bound_of_a_sum_may_be_another_index() -> None:
    x = IndexedBase("x", shape=(D,))
    problem = Problem(Sum(x[j], (j, 0, i - 1), (i, 0, D - 1)), [x], {"x": np.array([1.0, 2, 3])})
    assert oracle.exact(problem).floats()[1]["x"].tolist() == [2, 1, 0]


def test_per_sample_form_is_the_mean_and_counts_the_rest_once() -> None:
    x, w = symbols("x w")
    problem = Problem(w * x + w**2, [w], {"x": np.array([1.0, 2, 6]), "w": 0.5}, data=[x])
    assert oracle.exact(problem).floats()[1]["w"] == 3 + 1


def test_definitions_are_followed() -> None:
    x, w, a = symbols("x w a")
    h = IndexedBase("h", shape=(3,))
    problem = Problem(Sum(h[j], (j, 0, 2)) + a, [w], {"w": 2.0, "x": 3.0}, define={a: w * x, h[i]: w**2 * i})
    assert oracle.exact(problem).floats()[1]["w"] == 3 + 2 * 2 * 3


def test_branch_not_taken_is_not_evaluated() -> None:
    x = Symbol("x")
    problem = Problem(Piecewise((sympy.sqrt(x), x > 0), (3 * x, True)), [x], {"x": -2.0})
    value, grads = oracle.exact(problem).floats()
    assert (value, grads["x"]) == (-6, 3)


@pytest.mark.parametrize(
    "objective", [sympy.Abs(Symbol("x")), sympy.Max(Symbol("x"), 0), max_over(Symbol("x") * i, (i, 0, 2))]
)
def test_kinks_are_refused(objective: sympy.Expr) -> None:
    with pytest.raises(oracle.KinkError):
        oracle.exact(Problem(objective, [Symbol("x")], {"x": 0.0}))


def test_points_outside_of_the_domain_are_refused() -> None:
    x = Symbol("x")
    with pytest.raises(ArithmeticError):
        oracle.exact(Problem(sympy.log(x), [x], {"x": -1.0}))


def test_an_index_outside_of_its_array_is_refused() -> None:
    x = IndexedBase("x", shape=(D,))
    with pytest.raises(IndexError):
        oracle.exact(Problem(Sum(x[j - 1], (j, 0, D - 1)), [x], {"x": np.ones(3)}))


def test_the_scale_of_a_cancelling_sum_is_that_of_its_terms() -> None:
    x, y = symbols("x y")
    answer = oracle.exact(Problem(x * (1000 * y - 999), [x], {"x": 1.0, "y": 1.0}))
    assert answer.floats()[1]["x"] == 1
    assert float(answer.scales["x"]) == 1999
