"""What comes back at an inverse times vectors is an outer product, and its slope takes no product of matrices."""

import numpy as np
import pytest
from sympy import Determinant, MatrixSymbol, Symbol, Trace, log

import gradcompile as gc
from gradcompile.interpret import evaluate

N = Symbol("N", integer=True, positive=True)
A, B, y, z, a = (
    MatrixSymbol("A", N, N), MatrixSymbol("B", N, N), MatrixSymbol("y", N, 1), MatrixSymbol("z", N, 1), Symbol("a"),
)  # fmt: skip
# For each: the objective, the same in NumPy, and the sums over products that have three axes.
MODELS = {
    "a likelihood": (
        log(Determinant(A)) + (y.T * A.I * y)[0, 0],
        lambda A, B, y, z, a: np.log(np.linalg.det(A)) + (y.T @ np.linalg.inv(A) @ y)[0, 0],
        0,
    ),
    "divided by numbers": (
        log(Determinant(A)) / 2 + (y.T * A.I * y)[0, 0] / (2 * a),
        lambda A, B, y, z, a: np.log(np.linalg.det(A)) / 2 + (y.T @ np.linalg.inv(A) @ y)[0, 0] / (2 * a),
        0,
    ),
    "two vectors and a number": (
        -a * (y.T * A.I * z)[0, 0] ** 2,
        lambda A, B, y, z, a: -a * (y.T @ np.linalg.inv(A) @ z)[0, 0] ** 2,
        0,
    ),
    "a solution": (
        ((A.I * y - z).T * (A.I * y - z))[0, 0],
        lambda A, B, y, z, a: ((np.linalg.inv(A) @ y - z) ** 2).sum(),
        0,
    ),
    "of what has itself an inverse": (
        (y.T * (A + B.I).I * z)[0, 0],
        lambda A, B, y, z, a: (y.T @ np.linalg.inv(A + np.linalg.inv(B)) @ z)[0, 0],
        0,
    ),
    "no outer product": (
        Trace(A.I * B),
        lambda A, B, y, z, a: np.trace(np.linalg.inv(A) @ B),
        2,
    ),
}


TAKEN = ("sum", "solve")  # a solution for each column is a product with the inverse


def compiled(name):
    objective, _, _ = MODELS[name]
    return gc.compile(objective, wrt=[s for s in (A, B, y, z, a) if objective.has(s)])


@pytest.mark.parametrize("name", MODELS)
def test_slopes_take_products_of_matrices_only_where_there_is_no_outer_product(name):
    values = compiled(name).graph.order()
    axes = [{axis for operand in value.operands for axis in operand.axes} for value in values if value.op in TAKEN]
    assert sum(len(each) == 3 for each in axes) == MODELS[name][2]


@pytest.mark.parametrize("name", MODELS)
def test_slopes_are_those_of_a_complex_step(name):
    random, step = np.random.default_rng(7), 1e-30j
    given = {"A": random.normal(size=(5, 5)) + 3 * np.eye(5), "B": random.normal(size=(5, 5)) + 3 * np.eye(5)}
    given |= {"y": random.normal(size=(5, 1)), "z": random.normal(size=(5, 1)), "a": np.array(1.3)}
    model, function = compiled(name), MODELS[name][1]
    found = evaluate(model.graph, {n: each for n, each in given.items() if n in model.graph.inputs})
    np.testing.assert_allclose(found.pop("value"), function(**given), rtol=1e-12)
    for slope, each in found.items():
        parameter = given[slope.removeprefix("d")]
        for place in np.ndindex(parameter.shape):
            moved = parameter.astype(complex)
            moved[place] += step
            expected = function(**given | {slope.removeprefix("d"): moved}).imag / step.imag
            np.testing.assert_allclose(np.asarray(each)[place], expected, rtol=1e-10, atol=1e-13)
