"""Slopes of an inverse between thin matrices are products with few columns, and none of three large axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import Determinant, HadamardProduct, Identity, MatrixSymbol, Trace, exp, log, symbols

import gradcompile as gc

N, D, K = symbols("N D K", integer=True, positive=True)
a, s = symbols("a s")
X, Z = MatrixSymbol("X", N, D), MatrixSymbol("Z", N, K)
y, b = MatrixSymbol("y", N, 1), MatrixSymbol("b", D, 1)
V = exp(a) * Z * Z.T + exp(s) * Identity(N)
e = y - X * b


def logdet(m: Any) -> Any:
    return np.log(np.linalg.det(m))


Solved = Callable[[Any, dict[str, np.ndarray]], Any]
OBJECTIVES: dict[str, tuple[Any, Solved]] = {
    "restricted likelihood": (
        log(Determinant(V)) + (e.T * V.I * e)[0, 0] + log(Determinant(X.T * V.I * X)),
        lambda v, g: (
            logdet(v)
            + ((g["y"] - g["X"] @ g["b"]).T @ np.linalg.solve(v, g["y"] - g["X"] @ g["b"]))[0, 0]
            + logdet(g["X"].T @ np.linalg.solve(v, g["X"]))
        ),
    ),
    "a trace, and signs": (
        3 * Trace(X.T * V.I * X) - ((y.T * V.I * y)[0, 0] - (y.T * V.I * X * b)[0, 0]),
        lambda v, g: (
            3 * np.trace(g["X"].T @ np.linalg.solve(v, g["X"]))
            - ((g["y"].T @ np.linalg.solve(v, g["y"]))[0, 0] - (g["y"].T @ np.linalg.solve(v, g["X"] @ g["b"]))[0, 0])
        ),
    ),
    "all elements": (
        Trace(HadamardProduct(V.I, V.I) * X * X.T),
        lambda v, g: np.trace((np.linalg.inv(v) ** 2) @ g["X"] @ g["X"].T),
    ),
}


def drawn(rows: int, columns: int) -> dict[str, Any]:
    random = np.random.default_rng(2)
    shapes = {"X": (rows, columns), "Z": (rows, 2), "y": (rows, 1), "b": (columns, 1)}
    return {name: random.normal(size=shape) for name, shape in shapes.items()} | {"a": 0.3, "s": -0.2}


@pytest.mark.parametrize("columns", [2, 6])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_slopes_are_those_of_complex_steps(name: str, columns: int) -> None:
    objective, solved = OBJECTIVES[name]
    model, given = gc.compile(objective, wrt=[a, s]), drawn(5, columns)
    given = {each: given[each] for each in model.arguments}

    def at(**moved: complex) -> complex:
        g = {**drawn(5, columns), **moved}
        return complex(solved(np.exp(g["a"]) * g["Z"] @ g["Z"].T + np.exp(g["s"]) * np.eye(5), g))

    if columns > 5 and "restricted" in name:
        pytest.skip("the determinant is 0")
    for _ in range(2):  # before and after it is compiled
        value, found = model.value_and_grad(**given)
        assert value == pytest.approx(at().real, rel=1e-12)
        for each, slope in zip("as", found, strict=True):
            assert slope == pytest.approx(at(**{each: given[each] + 1e-30j}).imag / 1e-30, rel=1e-10)
        model.wait()


@pytest.mark.parametrize(
    ("name", "large"), [("restricted likelihood", 2), ("a trace, and signs", 2), ("all elements", 3)]
)
def test_how_many_large_axes_there_are(name: str, large: int) -> None:
    graph = gc.compile(OBJECTIVES[name][0], wrt=[a, s]).graph
    solved = {value: {a for o in value.operands for a in o.axes} for value in graph.order() if value.op == "solve"}
    axes = [solved.get(value, value.axes) for value in graph.order()]
    assert max(sum(str(axis.size) == "N" for axis in each) for each in axes) == large
