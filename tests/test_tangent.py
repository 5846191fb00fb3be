"""Forward mode against differences of the interpreter, and Hessians against SymPy at 50 digits."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    IndexedBase,
    Max,
    Piecewise,
    Sum,
    atan2,
    cos,
    erf,
    exp,
    log,
    loggamma,
    sin,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc
from gradcompile import passes
from gradcompile.adjoint import adjoint
from gradcompile.errors import ArgumentError, ShapeError
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.tangent import tangent
from tests.graphs import CASES


def moved(graph: Graph, inputs: dict[str, np.ndarray], directions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return central differences, O(step**2), of all outputs along the directions."""
    step = 1e-5
    ends = [
        evaluate(graph, {**inputs, **{n: inputs[n] + sign * step * d for n, d in directions.items()}})
        for sign in (1, -1)
    ]
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in ends[0]}


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "with passes"])
@pytest.mark.parametrize("name", CASES)
def test_tangents_of_gradients_are_differences(name: str, optimised: bool) -> None:
    given, random = CASES[name], np.random.default_rng(7)
    graph = adjoint(passes.prepare(given.graph) if optimised else given.graph)
    names = graph.wrt
    directions = {n: random.normal(size=np.shape(given.inputs[n])) for n in names}
    forward = tangent(graph, {n: f"v_{n}" for n in names})
    forward = passes.optimise(forward) if optimised else forward
    found = evaluate(forward, given.inputs | {f"v_{n}": d for n, d in directions.items()})
    for output, expected in moved(graph, given.inputs, directions).items():
        # 1e-7: the differences have an error of about step**2 = 1e-10 times a third derivative
        np.testing.assert_allclose(found[output], expected, rtol=1e-7, atol=1e-7, err_msg=output)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    """The derivative of the objective along v is the gradient times v."""
    given, random = CASES[name], np.random.default_rng(8)
    directions = {n: random.normal(size=np.shape(given.inputs[n])) for n in given.graph.wrt}
    forward = tangent(given.graph, {n: f"v_{n}" for n in directions})
    found = evaluate(forward, given.inputs | {f"v_{n}": d for n, d in directions.items()})["value"]
    gradient = evaluate(adjoint(given.graph), given.inputs)
    terms = np.concatenate([np.ravel(gradient[f"d{n}"] * d) for n, d in directions.items()])
    assert found == pytest.approx(terms.sum(), rel=1e-13, abs=1e-13 * np.abs(terms).sum())


# Compiled models -----------------------------------------------------------------------------------------------------

x, y, z = symbols("x y z")
N, D = symbols("N D", integer=True, positive=True)
i, j, s = symbols("i j s", integer=True)
w, t = IndexedBase("w", shape=(D,)), IndexedBase("t", shape=(N,))
W, X = IndexedBase("W", shape=(D, D)), IndexedBase("X", shape=(N, D))
every_i, every_j, every_s = (i, 0, D - 1), (j, 0, D - 1), (s, 0, N - 1)

SCALARS: dict[str, tuple[Any, dict[str, str]]] = {
    "polynomial": (x**2 * y + y**3 / (1 + z**2), {"x": "0.7", "y": "-1.3", "z": "0.4"}),
    "exponentials": (log(exp(x) + exp(y * z)) + exp(-x * z), {"x": "0.7", "y": "-1.3", "z": "0.4"}),
    "trigonometry": (sin(x * y) * tanh(z) + atan2(x, z) + cos(x) ** 2, {"x": "0.7", "y": "-1.3", "z": "0.4"}),
    "roots": (sqrt(x**2 + y**2 + z**2) + sqrt(x) ** 3 + x**y, {"x": "0.7", "y": "-1.3", "z": "0.4"}),
    "special": (loggamma(x) + erf(y) * z + x * log(x), {"x": "0.7", "y": "-1.3", "z": "0.4"}),
    "branches": (
        Piecewise((x**3 * y, x > 0), (z**2, True)) + Max(x * z, y, z**2),
        {"x": "0.7", "y": "-1.3", "z": "0.4"},
    ),
}


@pytest.mark.parametrize("name", SCALARS)
def test_hessian_at_50_digits(name: str) -> None:
    expr, place = SCALARS[name]
    point = {symbols(n): sympy.Float(v, 50) for n, v in place.items()}
    names = list(point)
    found = gc.compile(expr, wrt=names).hessian(**{n: float(v) for n, v in place.items()})
    for row, a in enumerate(names):
        for column, b in enumerate(names):
            exact = float(expr.diff(a, b).doit().subs(point).evalf(50))
            assert found[row][column] == pytest.approx(exact, rel=1e-12, abs=1e-12), (a, b)


SOFTMAX = -Sum(
    log(exp(Sum(X[s, j] * W[j, 1], every_j)) / Sum(exp(Sum(X[s, j] * W[j, i], every_j)), every_i)), every_s
) + Sum(w[i] ** 4 * W[i, i], every_i)
INPUTS = {
    "W": np.array([[0.3, -0.2, 0.5], [0.1, 0.7, -0.4], [0.9, 0.2, 0.6]]),
    "w": np.array([0.5, -1.0, 0.25]),
    "X": np.array([[1.0, 2.0, -1.0], [0.5, -0.3, 0.8]]),
}


@functools.cache
def classifier() -> Any:
    return gc.compile(SOFTMAX, wrt=[W, w])


def test_products_with_the_hessian_are_differences_of_gradients() -> None:
    model, random, step = classifier(), np.random.default_rng(3), 1e-5
    v = (random.normal(size=(3, 3)), random.normal(size=3))
    ends = [
        model.grad(X=INPUTS["X"], W=INPUTS["W"] + sign * step * v[0], w=INPUTS["w"] + sign * step * v[1])
        for sign in (1, -1)
    ]
    for found, up, down in zip(model.hvp(v, **INPUTS), *ends, strict=True):
        np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-7, atol=1e-8)


def test_hessian_in_blocks_is_symmetric_and_gives_the_products() -> None:
    model, random = classifier(), np.random.default_rng(4)
    blocks = model.hessian(**INPUTS)
    assert [[block.shape for block in row] for row in blocks] == [[(3, 3, 3, 3), (3, 3, 3)], [(3, 3, 3), (3, 3)]]
    np.testing.assert_allclose(blocks[0][1], np.moveaxis(blocks[1][0], 0, -1), rtol=1e-13, atol=1e-15)
    v = (random.normal(size=(3, 3)), random.normal(size=3))
    for found, row in zip(model.hvp(v, **INPUTS), blocks, strict=True):
        product = np.tensordot(row[0], v[0], 2) + np.tensordot(row[1], v[1], 1)
        np.testing.assert_allclose(found, product, rtol=1e-12, atol=1e-14)


def test_jvp_and_vjp_are_the_gradient_times_a_direction() -> None:
    model, random = classifier(), np.random.default_rng(5)
    v, gradient = (random.normal(size=(3, 3)), random.normal(size=3)), model.grad(**INPUTS)
    expected = sum(float(np.sum(g * d)) for g, d in zip(gradient, v, strict=True))
    assert model.jvp(v, **INPUTS) == pytest.approx(expected, rel=1e-13)
    for found, part, again in zip(model.vjp(2.5, **INPUTS), gradient, model.jacobian(**INPUTS), strict=True):
        np.testing.assert_array_equal(found, 2.5 * part)
        np.testing.assert_array_equal(again, part)


def test_one_parameter_alone_has_one_matrix() -> None:
    model = gc.compile(Sum(w[i] ** 3, every_i) + w[0] * w[1], wrt=w)
    assert model.hessian(w=[1.0, 2.0, 3.0]).tolist() == [[6, 1, 0], [1, 12, 0], [0, 0, 18]]
    assert model.hvp([1.0, 0.0, 0.0], w=[1.0, 2.0, 3.0]).tolist() == [6, 1, 0]
    assert gc.compile(x**3, wrt=x).hessian(x=2.0) == 12


@pytest.mark.parametrize(
    ("expr", "place", "expected"),
    [
        (Piecewise((sqrt(x), x > 0), (0, True)), -1.0, 0),  # G2
        (Piecewise((sqrt(x), x > 0), (0, True)), 0.0, 0),
        (Piecewise((sqrt(x), x > 0), (0, True)), 1.0, -0.25),
        (Piecewise((sin(x) / x, sympy.Ne(x, 0)), (1, True)), 0.0, 0),  # G6: of the branch taken; the limit is -1/3
        (Piecewise((x, x > 0), (exp(x) - 1, True)), 1000.0, 0),  # G4
        (Piecewise((x, x >= 0), (sqrt(-x), True)), 1.0, 0),  # G1
        (log(1 + exp(x)), 1000.0, 0),  # G18
        (log(1 + exp(x)), 0.0, 0.25),
        (1 / (1 + exp(-x)), -1000.0, 0),  # G19
        (Max(x, 0) ** 2, 3.0, 2),  # G38
        (Max(x, 0) ** 2, -3.0, 0),
        (sympy.Abs(x), 3.0, 0),
    ],
)
def test_second_derivatives_of_branches_are_finite(expr: Any, place: float, expected: float) -> None:
    assert gc.compile(expr, wrt=x).hessian(x=place) == pytest.approx(expected, rel=1e-15, abs=0)


def test_directions_may_be_given_by_name() -> None:
    model = classifier()
    along_w, along_W = np.arange(3.0), np.ones((3, 3))
    assert model.jvp({"w": along_w, "W": along_W}, **INPUTS) == model.jvp((along_W, along_w), **INPUTS)
    one = gc.compile(x**3, wrt=x)
    assert one.hvp({"x": 2.0}, x=1.0) == one.hvp(2.0, x=1.0) == 12
    with pytest.raises(ArgumentError, match=r"no part for W\n(?s:.*)expected: W, w\n(?s:.*)found: +w\n"):
        model.jvp({"w": along_w}, **INPUTS)
    with pytest.raises(ArgumentError, match=r"names V, no parameter\n(?s:.*)expected: W, w\n(?s:.*)found: +w, W, V\n"):
        model.hvp({"w": along_w, "W": along_W, "V": along_W}, **INPUTS)
    with pytest.raises(ArgumentError, match=r"no part for x\n(?s:.*)found: +an empty dict"):
        one.hvp({}, x=1.0)


def test_directions_are_checked() -> None:
    model = classifier()
    with pytest.raises(ShapeError, match="direction of w"):
        model.hvp((np.zeros((3, 3)), np.zeros(2)), **INPUTS)
    with pytest.raises(ArgumentError, match="one part for each parameter"):
        model.jvp(np.zeros((3, 3)), **INPUTS)
    with pytest.raises(ShapeError, match="u, which weighs the objective"):
        model.vjp([1.0, 2.0], **INPUTS)
