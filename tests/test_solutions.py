"""Products with an inverse are solutions of linear equations, which keep digits that the inverse has not."""

from __future__ import annotations

import ast
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Determinant, E, Identity, IndexedBase, MatrixSymbol, Sum, Trace, cos, exp, log, pi, symbols

import gradcompile as gc
from gradcompile.check import exact
from gradcompile.interpret import evaluate
from gradcompile.jit import Given
from gradcompile.jit.direct import build
from gradcompile.jit.direct.factors import share_factors
from gradcompile.passes.mirrored import is_symmetric

N, M, S = symbols("N M S", integer=True, positive=True)
i, j, k, s = symbols("i j k s", integer=True)
x, u, w = IndexedBase("x", shape=(N,)), IndexedBase("u", shape=(M,)), IndexedBase("w", shape=(S,))
ell, a = symbols("ell a")
K, F, T = MatrixSymbol("K", M, M), MatrixSymbol("F", M, N), MatrixSymbol("T", N, 1)
A, C, y, z = MatrixSymbol("A", N, N), MatrixSymbol("C", N, N), MatrixSymbol("y", N, 1), MatrixSymbol("z", N, 1)
NJIT = '@njit(fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy")\n'


def kernel(jitter: float) -> dict[Any, Any]:
    same = exp(-((u[i] - u[j]) ** 2) / (2 * ell**2))
    return {K[i, j]: same + jitter * Identity(M)[i, j], F[i, k]: exp(-((u[i] - x[k]) ** 2) / (2 * ell**2))}


def smooth(dtype: str) -> dict[str, Any]:
    """Return points that lie so near to one another that the inverse has no right digits in single precision."""
    points = {"u": np.linspace(-3, 3, 12), "x": np.linspace(-2, 2, 7), "T": np.cos(np.linspace(-2, 2, 7))[:, None]}
    return {name: each.astype("float32").astype(dtype) for name, each in points.items()} | {"ell": 1.5}


OBJECTIVES = {"a quadratic form": ((F * T).T * K.I * F * T)[0, 0], "a trace": Trace(K.I * F * F.T)}


def exactly(name: str, jitter: float) -> tuple[Any, Any]:
    """Return the objective, and its slope by a difference of 60 digits."""
    given = smooth("float64")

    def at(length: Any) -> Any:
        def element(one: float, other: float) -> Any:
            return mpmath.exp(-((mpmath.mpf(one) - mpmath.mpf(other)) ** 2) / (2 * length**2))

        of = [[element(p, q) for q in given["u"]] for p in given["u"]]
        matrix = mpmath.matrix(of) + mpmath.mpf(jitter) * mpmath.eye(len(of))
        right = mpmath.matrix([[element(p, q) for q in given["x"]] for p in given["u"]])
        if name == "a quadratic form":
            right = right * mpmath.matrix(given["T"].tolist())
        solved = matrix**-1 * right
        return mpmath.fsum(solved[p, q] * right[p, q] for p, q in product(range(right.rows), range(right.cols)))

    with mpmath.workdps(70):
        length, step = mpmath.mpf(given["ell"]), mpmath.mpf(10) ** -30
        return at(length), (at(length + step) - at(length - step)) / (2 * step)


def emitted(target: str, name: str, jitter: float, dtype: str) -> Any:
    text = gc.emit(OBJECTIVES[name], wrt=ell, define=kernel(jitter), target=target, dtype=dtype)
    module: dict[str, Any] = {}
    exec(compile(text, target, "exec"), module)
    return module["value_and_grad"]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(
    ("dtype", "jitter"), [("float32", 2.0**-18), pytest.param("float64", 2.0**-44, marks=pytest.mark.slow)]
)
def test_digits_that_an_inverse_loses_are_kept(name: str, dtype: str, jitter: float) -> None:
    model = gc.compile(OBJECTIVES[name], wrt=ell, define=kernel(jitter), dtype=dtype)
    given, digits = {each: smooth(dtype)[each] for each in model.arguments}, 2e4 * float(np.finfo(dtype).eps)
    expected = [float(each) for each in exactly(name, jitter)]
    model.value_and_grad(**given)
    model.wait()
    numbers = [float(each) if np.ndim(each) == 0 else each for each in given.values()]
    found = [model.value_and_grad(**given), emitted("numpy", name, jitter, dtype)(*numbers)]
    if dtype == "float64":
        lists = [each.tolist() if np.ndim(each) else each for each in numbers]
        found.append(emitted("python", name, jitter, dtype)(*lists))
    for value, slope in found:
        assert float(value) == pytest.approx(expected[0], rel=digits)
        assert float(np.ravel(slope)[0]) == pytest.approx(expected[1], rel=digits, abs=4 * float(np.finfo(dtype).eps))


def test_a_likelihood_solves_once_and_inverts_for_the_slope_of_the_determinant_alone() -> None:
    loss = log(Determinant(C * C.T + a * Identity(N))) + (y.T * (C * C.T + a * Identity(N)).I * y)[0, 0]
    text = gc.emit(loss, wrt=a, target="numpy").partition("def value_and_grad(")[2].partition("\ndef ")[0]
    assert text.count("np.linalg.solve(") == text.count("np.linalg.inv(") == text.count("logdet(") == 1
    value = gc.emit((y.T * A.I * z)[0, 0], wrt=[A, y, z], target="numpy")
    assert value.count("np.linalg.inv(") == 0


@pytest.mark.parametrize(
    ("matrix", "symmetric"),
    [
        (exp(-((x[i] - x[j]) ** 2) / a) + Identity(N)[i, j], True),
        (Sum(A[i, k] * A[j, k], (k, 0, N - 1)) + a * x[j] * cos(i - j) * x[i], True),
        (A[i, j] + A[j, i], True),
        (abs(x[i] - x[j]) / (1 + x[i] * x[j]), True),
        ((x[i] - x[j]) ** pi * (x[j] - x[i]) ** E, False),
        (A[i, j], False),
        (exp(-((x[i] - x[j]) ** 3)), False),
        (x[i] - x[j] + 1, False),
        (x[i] + 2 * x[j], False),
        (Sum(A[i, k] * A[k, j], (k, 0, N - 1)), False),
    ],
)
def test_which_matrices_are_symmetric(matrix: Any, symmetric: bool) -> None:
    W = MatrixSymbol("W", N, N)
    graph = gc.compile((y.T * W.I * y)[0, 0], wrt=y, define={W[i, j]: matrix}).lowered
    inverse = next(value for value in graph.order() if value.op == "inverse")
    assert is_symmetric(inverse.operands[0], *inverse.attr) is symmetric


SEVERAL = {
    "a vector": Sum(w[s] * (y.T * (A + w[s] * Identity(N)).I * z)[0, 0], (s, 0, S - 1)),
    "columns": Sum(w[s] * Trace((A + w[s] * Identity(N)).I * C), (s, 0, S - 1)),
    "one inverse of another": Sum((y.T * (A + w[s] * Identity(N)).I.T * A.I * z)[0, 0], (s, 0, S - 1)),
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("size", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(17, marks=pytest.mark.slow)])
def test_a_matrix_for_each_sample(name: str, size: int) -> None:
    random, wrt = np.random.default_rng(size), [each for each in (A, C, y, z, w) if SEVERAL[name].has(each)]
    given = {"A": random.normal(size=(size, size)) + 6 * np.eye(size), "C": random.normal(size=(size, size))}
    given |= {"y": random.normal(size=(size, 1)), "z": random.normal(size=(size, 1)), "w": np.array([0.5, 1.0, 2.0])}
    model = gc.compile(SEVERAL[name], wrt=wrt)
    given = {each: given[each] for each in model.arguments}

    def at(**moved: Any) -> Any:
        g, total = given | moved, 0
        for each in g["w"]:
            inverse = np.linalg.inv(g["A"] + each * np.eye(size))
            if name == "columns":
                total += each * np.trace(inverse @ g["C"])
            else:
                left = each * inverse if name == "a vector" else inverse.T @ np.linalg.inv(g["A"])
                total += (g["y"].T @ left @ g["z"])[0, 0]
        return total

    module: dict[str, Any] = {}
    exec(gc.emit(SEVERAL[name], wrt=wrt, target="numpy"), module)
    model.value_and_grad(**given)
    model.wait()
    for value, slopes in (model.value_and_grad(**given), module["value_and_grad"](*given.values())):
        assert value == pytest.approx(at(), rel=1e-12)
        for parameter, slope in zip(wrt, slopes, strict=True):
            which = str(parameter.label if parameter is w else parameter)
            for place in np.ndindex(np.shape(slope)):
                moved = given[which].astype(complex)
                moved[place] += 1e-30j
                expected = at(**{which: moved}).imag * 1e30
                assert np.asarray(slope)[place] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_interpreters_solve_for_several_right_sides_and_for_none() -> None:
    graph = gc.compile(Trace(A.I * C), wrt=A).graph
    for size in (0, 2):
        given = {"A": 2 * np.eye(size) + 1, "C": np.arange(size * size).reshape(size, size) + 1.0}
        assert evaluate(graph, given)["value"] == pytest.approx(np.trace(np.linalg.solve(given["A"], given["C"])))
    assert any(value.op == "solve" and len(value.axes) == 2 for value in graph.order())
    assert float(exact.matrices.solve([[2.0]], [4.0])[0]) == 2


def solver(dtype: str, rank: int) -> Any:
    text = f"{NJIT}def f(x, y):\n    return np.linalg.solve(x, y)\n"
    return build(text, "f", [Given(dtype, 2), Given(dtype, rank)])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_solutions_are_those_of_exact_arithmetic(dtype: str) -> None:
    one, several, random = solver(dtype, 1), solver(dtype, 2), np.random.default_rng(3)
    for size, columns in ((0, 2), (1, 1), (3, 70), (16, 2), (17, 1), (17, 9), (30, 130)):
        matrix = random.normal(size=(size, size)).astype(dtype)
        right = random.normal(size=(size, columns)).astype(dtype)
        found = several(matrix, right)
        assert found.shape == right.shape
        assert found.dtype == dtype
        left = matrix.astype(float) @ found - right
        limit = 64 * max(size, 1) * np.finfo(dtype).eps * np.abs(matrix).sum(initial=1) * np.abs(found).max(initial=1)
        assert np.abs(left).max(initial=0) <= limit
        np.testing.assert_allclose(one(matrix, right[:, 0].copy()), found[:, 0], rtol=2e4 * np.finfo(dtype).eps)
    for size in (2, 17):
        with pytest.raises(np.linalg.LinAlgError):
            several(np.ones((size, size), dtype), np.ones((size, 9), dtype))
        with pytest.raises(np.linalg.LinAlgError):
            one(np.ones((size, size), dtype), np.ones(size, dtype))
        assert np.isnan(one(np.eye(size, dtype=dtype), np.full(size, np.nan, dtype))).all()


LINES = """
def f(K, b, n):
    K = np.asarray(K, np.float64)
    h = logdet(K[:, :])
    x = np.empty(n)
    x[:] = solve(K[:, :], b[:])
    {between}
    y = np.empty((n, n))
    y[:, :] = inverse(K[:, :])
    return h, x, y
"""


@pytest.mark.parametrize(
    ("between", "inverted"),
    [
        ("x[0] = 1.0", "_inverted"),
        ("K[0, 0] = 1.0", "inverse"),
        ("for i in range(n):\n        K[i, i] += 1.0", "inverse"),
        ("gemm(1.0, b, b, 1.0, K)", "inverse"),
    ],
)
def test_factors_are_made_once_for_lines_between_which_nothing_writes_to_the_matrix(
    between: str, inverted: str
) -> None:
    [function] = ast.parse(LINES.format(between=between)).body
    assert isinstance(function, ast.FunctionDef)
    share_factors(function)
    text = ast.unparse(function)
    assert [text.count(part) for part in ("_factors(", "_logdet(", "_solved(")] == [1, 1, 1]
    assert f"= {inverted}(" in text


def test_a_likelihood_by_shared_factors_is_right() -> None:
    loss = log(Determinant(A)) + (y.T * A.I * y)[0, 0]
    for size in (20,):
        random = np.random.default_rng(size)
        matrix, vector = random.normal(size=(size, size)), random.normal(size=(size, 1))
        matrix = matrix @ matrix.T + np.eye(size) + np.triu(random.normal(size=(size, size)), 1) / 10
        model = gc.compile(loss, wrt=A)
        model.value_and_grad(A=matrix, y=vector)
        value, slope = model.wait().value_and_grad(A=matrix, y=vector)
        inverse = np.linalg.inv(matrix)
        assert value == pytest.approx(np.linalg.slogdet(matrix)[1] + (vector.T @ inverse @ vector)[0, 0], rel=1e-12)
        np.testing.assert_allclose(slope, inverse.T - inverse.T @ vector @ vector.T @ inverse.T, rtol=1e-9)


@pytest.mark.parametrize("target", ["numba", "python"])
def test_a_later_loop_over_the_samples_solves_nothing_again(target: str) -> None:
    text = gc.emit(log(Determinant(A)) + (y.T * A.I * y)[0, 0], wrt=[A, y], target=target)
    function = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == "value_and_grad")
    assert ast.unparse(function).count("= solve(") == 2  # of the matrix, and of its transpose


def test_a_product_with_a_vector_comes_before_the_inverse() -> None:
    """The inverse times a matrix times a vector takes no product of the inverse and the matrix."""
    graph = gc.compile(((F * T).T * K.I * F * T)[0, 0], wrt=[K, F]).graph
    assert all(len(value.operands[1].axes) == 1 for value in graph.order() if value.op == "solve")


def test_an_element_of_a_sum_with_an_identity() -> None:
    given = {"A": np.arange(9.0).reshape(3, 3), "y": np.arange(3.0)[:, None], "a": 2.0}
    model = gc.compile((y.T * (A + a * Identity(N)) * y)[0, 0], wrt=a)
    expected = (given["y"].T @ (given["A"] + 2 * np.eye(3)) @ given["y"])[0, 0]
    assert model.value_and_grad(**given) == (expected, pytest.approx(5.0))
