"""Modules with second derivatives, and modules of objectives that are arrays."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, Lambda, Piecewise, Sum, exp, log, sin, sqrt, symbols, tanh

import gradcompile as gc
from gradcompile import errors

x, w1, w0 = symbols("x w1 w0")
N, D, C = symbols("N D C", integer=True, positive=True)
i, j, s = symbols("i j s", integer=True)
X, W, t = IndexedBase("X", shape=(N, D)), IndexedBase("W", shape=(D, C)), IndexedBase("t", shape=(N,))
FAST = ("python", "numpy")
ALL = (*FAST, pytest.param("numba", marks=pytest.mark.slow))  # Numba compiles each function for seconds

HEAD = Sum(tanh(Sum(X[s, j] * W[j, i], (j, 0, D - 1))) ** 2 * t[s], (s, 0, N - 1), (i, 0, C - 1))
GIVEN = {
    "W": np.array([[0.3, -0.2], [0.1, 0.7], [0.9, 0.2]]),
    "X": np.array([[1.0, 2.0, -1.0], [0.5, -0.3, 0.8]]),
    "t": np.array([2.0, -1.0]),
}


def run(text: str, call: str, *arguments: Any) -> Any:
    """Return what a function of a module returns, from arrays or, where the module has no NumPy, from lists."""
    names: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(text, "emitted", "exec"), names)  # the module that is under test
    plain = "import numpy" not in text
    return names[call](*(a.tolist() if plain and isinstance(a, np.ndarray) else a for a in arguments))


def checked(text: str) -> str:
    """Return what a module says of itself, once it has found itself right."""
    names: dict[str, Any] = {"__name__": "__main__"}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["emitted.py", "--check"])
        with pytest.raises(SystemExit) as caught:
            exec(compile(text, "emitted", "exec"), names)  # the module that is under test
    assert caught.value.code == 0, said.getvalue()
    return said.getvalue()


@pytest.mark.parametrize("target", ALL)
def test_second_derivatives_of_numbers(target: str) -> None:
    """Of 1 + exp(a) with a = w1*x + w0: exp(a) times the outer product of (w1, x, 1), and the mixed term."""
    text = gc.emit(1 + exp(w1 * x + w0), wrt=[x, w1, w0], target=target, order=2)
    point, a = (0.5, 2.0, -1.0), np.exp(0.0)
    ways = np.array([2.0, 0.5, 1.0])
    exact = a * np.outer(ways, ways) + a * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(run(text, "hessian", *point), exact, rtol=1e-15)
    np.testing.assert_allclose(run(text, "hvp", *point, 1.0, -2.0, 3.0), exact @ [1, -2, 3], rtol=1e-15)
    assert "the products agree" in checked(text)


@pytest.mark.parametrize("target", ALL)
def test_products_with_the_hessian_of_arrays(target: str) -> None:
    """f = sum t tanh(a)^2 with a = X W: the second derivative of tanh^2 is 2 (1 - y^2) (1 - 3 y^2)."""
    text = gc.emit(HEAD, wrt=W, target=target, order=2)
    v = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0]])
    y = np.tanh(GIVEN["X"] @ GIVEN["W"])
    exact = GIVEN["X"].T @ (GIVEN["t"][:, None] * 2 * (1 - y**2) * (1 - 3 * y**2) * (GIVEN["X"] @ v))
    names = gc.compile(HEAD, wrt=W).arguments
    np.testing.assert_allclose(run(text, "hvp", *(GIVEN[n] for n in names), v), exact, rtol=1e-13)
    assert "hessian" not in text.split("def check")[0]
    assert "the products agree" in checked(text)


@pytest.mark.parametrize("target", ALL)
def test_a_module_of_an_array(target: str) -> None:
    objective = Lambda((s, i), tanh(Sum(X[s, j] * W[j, i], (j, 0, D - 1))))
    text = gc.emit(objective, wrt=[W], target=target)
    v, u = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0]]), np.array([[1.0, 2.0], [3.0, -1.0]])
    y, given = np.tanh(GIVEN["X"] @ GIVEN["W"]), (GIVEN["W"], GIVEN["X"])
    np.testing.assert_allclose(run(text, "value", *given), y, rtol=1e-14)
    np.testing.assert_allclose(run(text, "jvp", *given, v), (1 - y**2) * (GIVEN["X"] @ v), rtol=1e-13)
    np.testing.assert_allclose(run(text, "vjp", *given, u)[0], GIVEN["X"].T @ (u * (1 - y**2)), rtol=1e-13)
    assert "grad" not in text.split('"""')[2]
    assert "forward against reverse" in checked(text)


@pytest.mark.parametrize("target", ALL)
def test_the_jacobian_of_few_numbers(target: str) -> None:
    text = gc.emit([x * w1, exp(x) + w0 * w1, sin(w0)], wrt=[x, w1, w0], target=target)
    exact = np.array([[2.0, 0.5, 0], [np.exp(0.5), -1, 2], [0, 0, np.cos(1)]])
    np.testing.assert_allclose(np.stack(run(text, "jacobian", 0.5, 2.0, -1.0), 1), exact, rtol=1e-15)
    checked(text)


@pytest.mark.parametrize("target", FAST)
def test_branches_that_are_not_taken_leak_nothing(target: str) -> None:
    text = gc.emit(Piecewise((log(x), x > 0), (sqrt(-x) * w0, True)), wrt=[x, w0], target=target, order=2)
    np.testing.assert_allclose(run(text, "hessian", 2.0, 1.0), [[-0.25, 0], [0, 0]])
    np.testing.assert_allclose(run(text, "hessian", -4.0, 2.0), [[-1 / 16, -0.25], [-0.25, 0]])
    np.testing.assert_allclose(run(text, "hvp", 2.0, 1.0, 1.0, 1.0), [-0.25, 0])


@pytest.mark.parametrize("target", FAST)
def test_products_that_are_zero_but_for_rounding(target: str) -> None:
    """The softmax of what does not depend on the index is that, and its slopes in what weighs it cancel."""
    p, y = IndexedBase("p", shape=(N,)), sin(w0)
    weights = Sum(exp(p[s] * y), (s, 0, N - 1))
    text = gc.emit(Sum(exp(p[s] * y) / weights * y, (s, 0, N - 1)), wrt=[p, w0], target=target, order=2)
    assert "where these can tell" in checked(text)


def test_a_wrong_module_finds_itself_out() -> None:
    text = gc.emit(1 + exp(w1 * x + w0), wrt=[x, w1, w0], target="python", order=2)
    line = next(line for line in text.splitlines() if line.lstrip().startswith("hw1 = "))
    with pytest.raises(AssertionError, match="THE PRODUCTS DISAGREE"):
        checked(text.replace(line, line + "*1.0001"))


def test_orders_that_there_are_not() -> None:
    with pytest.raises(errors.ArgumentError, match="order"):
        gc.emit(x**2, wrt=x, order=3)
    with pytest.raises(errors.UnsupportedError, match="array"):
        gc.emit([x, x**2], wrt=x, order=2)
