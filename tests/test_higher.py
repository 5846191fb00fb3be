"""Objectives that are arrays, Jacobians and Hessians: against SymPy at 50 digits, and the modes against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    HadamardProduct,
    IndexedBase,
    Lambda,
    MatrixSymbol,
    Max,
    Piecewise,
    Sum,
    cos,
    cse,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc
from gradcompile import errors, higher
from gradcompile.interpret import evaluate
from tests.graphs import CASES

x, y, z = symbols("x y z")
N, D, C = symbols("N D C", integer=True, positive=True)
i, j, s = symbols("i j s", integer=True)
w, t, X = IndexedBase("w", shape=(D,)), IndexedBase("t", shape=(N,)), IndexedBase("X", shape=(N, D))
W = IndexedBase("W", shape=(D, C))
PLACE = {"x": "0.3", "y": "0.7", "z": "-0.2"}
NUMBERS = {name: float(number) for name, number in PLACE.items()}


def exactly(expr: Any) -> float:
    """Return an expression at the place, from 50 digits."""
    return float(expr.doit().subs({symbols(n): sympy.Float(v, 50) for n, v in PLACE.items()}).evalf(50))


VECTORS: dict[str, list[Any]] = {
    "a map of the plane": [x**2 * y, sin(x) + y],
    "constants and copies": [x, sympy.Integer(3), exp(y * z), x, sympy.Rational(1, 3) * y],
    "shared": [exp(x * y) * z, exp(x * y) + log(1 + exp(x * y)), sqrt(x**2 + y**2)],
    "branches": [Piecewise((log(x), x > 0), (z, True)), Piecewise((log(z), z > 0), (x * z, True)), Max(x, y, z) ** 2],
    "one": [tanh(x * y - z)],
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_list_of_expressions(name: str) -> None:
    model = gc.compile(VECTORS[name], wrt=[x, y, z])
    exact = np.array([[exactly(f.diff(v)) for v in (x, y, z)] for f in VECTORS[name]])
    np.testing.assert_allclose(model.value(**NUMBERS), [exactly(f) for f in VECTORS[name]], rtol=1e-15)
    np.testing.assert_allclose(np.stack(model.jacobian(**NUMBERS), axis=1), exact, rtol=4e-15, atol=1e-15)
    np.testing.assert_allclose(model.jacobian(**NUMBERS, sparse=True).toarray(), exact, rtol=4e-15, atol=1e-15)
    np.testing.assert_allclose(model.jvp((1, 10, 100), **NUMBERS), exact @ [1, 10, 100], rtol=1e-13)
    if name == "shared":  # it has arrays, and takes seconds to compile
        np.testing.assert_allclose(model.vjp([1, 2, 3], **NUMBERS), [1, 2, 3] @ exact, rtol=1e-13)


def test_the_kinds_of_objectives_that_are_arrays() -> None:
    a, b = [x * y, y**2, z], [[x, y * z], [z, 1], [exp(x), x + y]]
    shapes = {
        (3,): [gc.compile(kind, wrt=x) for kind in (a, tuple(a), sympy.Tuple(*a), sympy.Matrix(a), sympy.Array(a))],
        (3, 2): [gc.compile(kind, wrt=x) for kind in (b, sympy.Matrix(b), sympy.ImmutableDenseNDimArray(b))],
    }
    for shape, models in shapes.items():
        for model in models:
            given = {name: NUMBERS[name] for name in model.arguments}
            assert model.value(**given).shape == model.jacobian(**given).shape == shape
            assert model.is_array


def test_the_output_of_cse() -> None:
    expressions = [exp(x * y) ** 2 + z, exp(x * y) * cos(z)]
    model, plain = (gc.compile(each, wrt=[x, y, z]) for each in (cse(expressions), expressions))
    np.testing.assert_allclose(model.jacobian(**NUMBERS), plain.jacobian(**NUMBERS), rtol=1e-15)


def test_arrays_over_indices_and_matrices_are_one_model() -> None:
    """Of tanh(X W): the derivative of entry (s, i) by entry (j, i) is X[s, j] (1 - f[s, i]^2)."""
    random = np.random.default_rng(0)
    given = {"X": random.normal(size=(4, 3)), "W": random.normal(size=(3, 2))}
    A, B = MatrixSymbol("X", N, D), MatrixSymbol("W", D, C)
    indexed = gc.compile(Lambda((s, i), tanh(Sum(X[s, j] * W[j, i], (j, 0, D - 1)))), wrt=W)
    matrices = gc.compile((A * B).applyfunc(tanh), wrt=B)
    f = np.tanh(given["X"] @ given["W"])
    exact = np.einsum("sj,si,ik->sijk", given["X"], 1 - f**2, np.eye(2))
    np.testing.assert_allclose(evaluate(matrices.graph, given)["value"], f, rtol=1e-14)
    np.testing.assert_allclose(indexed.value(**given), f, rtol=1e-14)
    np.testing.assert_allclose(indexed.jacobian(**given), exact, rtol=1e-13)
    np.testing.assert_allclose(indexed.jacobian(sparse=True, **given).toarray(), exact.reshape(8, 6), rtol=1e-13)
    u, v = random.normal(size=(4, 2)), random.normal(size=(3, 2))
    np.testing.assert_allclose(indexed.jvp(v, **given), np.tensordot(exact, v, 2), rtol=1e-12)
    np.testing.assert_allclose(indexed.vjp(u, **given), np.tensordot(u, exact, 2), rtol=1e-12)


def test_the_mean_over_samples_of_a_vector() -> None:
    model = gc.compile([x * z, x**2 + y, y], wrt=[x, y], data=[z])
    zs = [1.0, 2.0, 6.0]
    assert model.value(x=2, y=5, z=zs).tolist() == [6, 9, 5]
    by_x, by_y = model.jacobian(x=2, y=5, z=zs)
    assert by_x.tolist() == [3, 4, 0]
    assert by_y.tolist() == [0, 1, 1]


def test_a_column_keeps_no_axis_of_length_one() -> None:
    A, b = MatrixSymbol("A", N, D), MatrixSymbol("b", D, 1)
    given = {"A": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "b": [[1.0], [-1.0]]}
    model = gc.compile(A * HadamardProduct(b, b), wrt=b)
    assert model.value(**given).shape == (3,)
    np.testing.assert_array_equal(model.jacobian(**given)[..., 0], [[2, -4], [6, -8], [10, -12]])


@pytest.mark.parametrize("call", ["grad", "value_and_grad", "hvp", "hessian", "minibatch_grad", "ravel", "fit"])
def test_an_array_has_no_gradient(call: str) -> None:
    model = gc.compile([x, y], wrt=x)
    arguments: Any = {"hvp": (1.0,), "ravel": ({},)}.get(call, ())
    with pytest.raises(errors.UnsupportedError, match=r"axes \(2\)") as caught:
        getattr(model, call)(*arguments, **({"rows": []} if call == "minibatch_grad" else {}))
    assert "jacobian" in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "words"),
    [([], "empty"), ([[x], [x, y]], "different lengths"), ([MatrixSymbol("A", 2, 2), x], "no number"), (["x"], "text")],
)
def test_lists_that_are_no_objective(objective: Any, words: str) -> None:
    with pytest.raises(errors.GradcompileError, match=words):
        gc.compile(objective, wrt=x)


def test_cotangents_of_another_shape() -> None:
    model = gc.compile([x, y], wrt=x)
    with pytest.raises(errors.ShapeError, match=r"u, which weighs the objective(?s:.*)to do: +give it shape \(2,\)$"):
        model.vjp([1.0, 2.0, 3.0], x=1, y=2)


# Several directions at once, and directions that stay indices: against one direction after the other ------------------


def columns(given: Any) -> dict[str, np.ndarray]:
    """Return the Hessian by the interpreter, one product with it a column."""
    single, seeds = higher.curved(given.graph), higher.seeds_of(given.graph)
    zeros = {seeds[n]: np.zeros(np.shape(given.inputs[n])) for n in given.graph.wrt}
    found = {}
    for name in given.graph.wrt:
        shape, parts = np.shape(given.inputs[name]), []
        for place in np.ndindex(shape):
            unit = zeros[seeds[name]].copy()
            unit[place] = 1
            parts.append(evaluate(single, given.inputs | zeros | {seeds[name]: unit}))
        for other in given.graph.wrt:
            own = np.shape(given.inputs[other])
            found[f"h{other},{name}"] = np.stack([p[f"h{other}"] for p in parts], -1).reshape((*own, *shape))
    return found


@pytest.mark.parametrize("name", CASES)
def test_directions_that_are_comparisons_of_indices(name: str) -> None:
    given = CASES[name]
    expected = columns(given)
    for block, found in evaluate(higher.hessian(given.graph), given.inputs).items():
        scale = 1e-12 * np.abs(expected[block]).max(initial=1e-300)
        np.testing.assert_allclose(found, expected[block], rtol=1e-12, atol=scale, err_msg=block)


@pytest.mark.parametrize("name", CASES)
def test_several_directions_at_once(name: str) -> None:
    given, random, seeds = CASES[name], np.random.default_rng(5), higher.seeds_of(CASES[name].graph)
    graph = higher.curved(given.graph, higher.numbering(given.graph))
    drawn = {seeds[n]: random.normal(size=(*np.shape(given.inputs[n]), 3)) for n in given.graph.wrt}
    together = evaluate(graph, given.inputs | drawn)
    for k in range(3):
        alone = evaluate(higher.curved(given.graph), given.inputs | {n: d[..., k] for n, d in drawn.items()})
        for output, part in alone.items():
            np.testing.assert_allclose(together[output][..., k], part, rtol=1e-12, atol=1e-14, err_msg=output)


# The check ------------------------------------------------------------------------------------------------------------


def test_the_check_of_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    model = gc.compile([x * y, sin(x) * z, exp(y)], wrt=[x, y])
    report = gc.check_grad(model, **NUMBERS)
    assert (report.checked, report.total) == (2, 2)
    assert report.digits > 8
    right = type(model).vjp
    monkeypatch.setattr(type(model), "vjp", lambda *a, **k: (right(*a, **k)[0], right(*a, **k)[1] * (1 + 1e-5)))
    with pytest.raises(errors.GradientCheckError, match="the worst is y"):
        gc.check_grad(model, **NUMBERS)


def test_an_array_has_no_listing() -> None:
    with pytest.raises(errors.UnsupportedError, match="no listing"):
        gc.emit([x, y], wrt=x, target="listing")


def test_a_sum_that_starts_at_a_matrix_function() -> None:
    """Of tr(A^-1) + log det A: the gradient is A^-T - (A^-1 A^-1)^T, and of the determinant 2 at the identity."""
    A = MatrixSymbol("A", 3, 3)
    at = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 1.0]])
    model = gc.compile(sympy.Trace(A.inv()) + log(sympy.Determinant(A)), wrt=A)
    inverse = np.linalg.inv(at)
    np.testing.assert_allclose(model.wait().grad(A=at), (inverse - inverse @ inverse).T, rtol=1e-12)


@pytest.mark.slow
def test_second_derivatives_of_many_numbers_are_compiled_whole() -> None:
    """Beyond some 400 operations they are machine code, which returned the first of them and wrote over memory."""
    terms = [sin(k * x * y) * exp(-z * x / k) * log(1 + y**2 + k * z**2) for k in range(1, 12)]
    model, at = gc.compile(sum(terms), wrt=[x, y, z]), dict(NUMBERS)
    exact = [[sum(exactly(sympy.diff(term, a, b)) for term in terms) for b in (x, y, z)] for a in (x, y, z)]
    for _ in range(3):
        np.testing.assert_allclose(model.hessian(**at), exact, rtol=1e-12)
        for k in range(3):
            direction = tuple(float(k == n) for n in range(3))
            np.testing.assert_allclose(model.hvp(direction, **at), exact[k], rtol=1e-12)
        model.wait()
    slopes = [sum(exactly(sympy.diff(term, a)) for term in terms) for a in (x, y, z)]
    assert model.jvp((1.0, 0.0, 2.0), **at) == pytest.approx(slopes[0] + 2 * slopes[2], rel=1e-12)
