"""Corners of the language, one small model each, by every way of running it, against 50 digits.

The zoo holds what papers write; here is what SymPy allows: indices as numbers, reversed and diagonal reads, sums whose
bounds are indices, gathers of gathers, powers and slices of matrices, definitions read through other indices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from sympy import (
    Abs,
    Determinant,
    DotProduct,
    HadamardPower,
    Identity,
    Idx,
    IndexedBase,
    Inverse,
    MatrixSymbol,
    Max,
    Min,
    OneMatrix,
    Or,
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
from sympy.matrices.expressions import hadamard_product as times
from sympy.matrices.expressions.diagonal import DiagMatrix, DiagonalOf

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.model import max_over, min_over
from tests.oracle import Answer, Problem, exact
from tests.test_zoo import assert_answer
from tests.zoo import arguments, as_passed, call, load, load_uncompiled, numbers

N, D, M = symbols("N D M", integer=True, positive=True)
i, j, k, r, s = symbols("i j k r s", integer=True)
a, b, c = symbols("a b c")
x, w, v = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D,)), IndexedBase("v", shape=(N,))
W, h = IndexedBase("W", shape=(D, D)), IndexedBase("h", shape=(N, D))
g, d = IndexedBase("g", shape=(D, D)), IndexedBase("d", shape=(D,))
z = IndexedBase("z", shape=(N, N))
at, to = IndexedBase("at", shape=(N,)), IndexedBase("to", shape=(M,))
A, B, X = MatrixSymbol("A", D, D), MatrixSymbol("B", D, D), MatrixSymbol("X", N, D)
u, t = MatrixSymbol("u", D, 1), MatrixSymbol("t", D, 1)

every_i, every_j, every_s = (i, 0, D - 1), (j, 0, D - 1), (s, 0, N - 1)
w3, v4, x43, W33 = numbers(3, seed=1), numbers(4, seed=2), numbers(4, 3, seed=3), numbers(3, 3, seed=4)
regular = W33 + 2 * np.eye(3)
square, pair, tall = {"A": regular, "B": W33}, {"u": numbers(3, 1, seed=5), "t": numbers(3, 1, seed=6)}, {"X": x43}

CORNERS: dict[str, Problem] = {
    "index as a number": Problem(Sum((i - j) ** 2 * w[i] * w[j], every_i, every_j), [w], {"w": w3}),
    "index in a power": Problem(Sum(w[i] * a**i, every_i), [w, a], {"w": w3, "a": 0.7}),
    "size as a number": Problem(D * Sum(w[i] ** 2, every_i) / (D + 1), [w], {"w": w3}),
    "sum of a constant": Problem(a * Sum(1, every_i) + Sum(a, every_j), [a, w], {"a": 0.3, "w": w3}),
    "bound by another index": Problem(Sum(W[i, j] * w[j], (j, 0, i), every_i), [W, w], {"W": W33, "w": w3}),
    "sum above an index": Problem(Sum(w[i] * w[j], (j, i + 1, D - 1), every_i), [w], {"w": w3}),
    "empty sum": Problem(Sum(w[i], (i, 2, 1)) + a**2, [a, w], {"a": 0.3, "w": w3}),
    "sum over a part": Problem(Sum(exp(w[i]), (i, 1, D - 2)), [w], {"w": w3}),
    "reversed": Problem(Sum(w[i] * sin(w[D - 1 - i]), every_i), [w], {"w": w3}),
    "neighbours": Problem(Sum(w[i + 1] * exp(w[i]), (i, 0, D - 2)), [w], {"w": w3}),
    "every second": Problem(Sum(v[2 * k] * v[2 * k + 1] ** 2, (k, 0, 1)), [v], {"v": v4}),
    "diagonal": Problem(Sum(exp(W[i, i]), every_i), [W], {"W": W33}),
    "transposed": Problem(Sum(W[i, j] * tanh(W[j, i]), every_i, every_j), [W], {"W": W33}),
    "fixed elements": Problem(W[0, 1] * W[2, 2] + exp(w[1]) * w[0], [W, w], {"W": W33, "w": w3}),
    "one row": Problem(Sum(W[1, j] ** 2, every_j), [W], {"W": W33}),
    "gather": Problem(Sum(sin(w[at[s]]) * v[s], every_s), [w, v], {"w": w3, "v": v4, "at": np.array([2, 0, 2, 2])}),
    "gather of a gather": Problem(
        Sum(w[at[to[k]]] ** 3, (k, 0, M - 1)), [w], {"w": w3, "at": np.array([2, 0, 1, 2]), "to": np.array([3, 3, 0])}
    ),
    "gathered row and column": Problem(
        Sum(W[at[s], j] * W[j, at[s]], every_j, every_s), [W], {"W": W33, "at": np.array([2, 0, 2, 1])}
    ),
    "label also a number": Problem(Sum(w[at[s]] * at[s], every_s), [w], {"w": w3, "at": np.array([2, 0, 1, 2])}),
    "label plus one": Problem(Sum(w[at[s] + 1], every_s), [w], {"w": w3, "at": np.array([1, 0, 1, 1])}),
    "product": Problem(Product(w[i], every_i), [w], {"w": w3}),
    "product with a zero": Problem(Product(w[i], every_i), [w], {"w": np.array([0.5, 0.0, -2.0])}),
    "product with two zeros": Problem(Product(w[i], every_i), [w], {"w": np.array([0.0, 0.0, -2.0])}),
    "product of sums": Problem(Product(1 + Sum(x[s, j] * w[j], every_j), every_s), [w], {"w": w3, "x": x43}),
    "largest": Problem(max_over(w[i] ** 2, every_i), [w], {"w": w3}),
    "smallest of largest": Problem(min_over(max_over(W[i, j], every_j), every_i), [W], {"W": W33}),
    "largest in a sum": Problem(Sum(exp(max_over(x[s, j] * w[j], every_j)), every_s), [w], {"w": w3, "x": x43}),
    "one letter, two scopes": Problem(Sum(w[i] * Sum(w[i] ** 2, every_i), every_i), [w], {"w": w3}),
    "one letter, two sums": Problem(Sum(w[i], every_i) * Sum(v[i], (i, 0, N - 1)), [w, v], {"w": w3, "v": v4}),
    "Idx": Problem(
        Sum(w[Idx("q", D)] ** 2, (Idx("q", D), 0, D - 1)) + a * w[0], [w, a], {"w": w3, "a": 0.5}
    ),
    "definition read transposed": Problem(
        Sum(g[j, i] * g[i, j], every_i, every_j), [W], {"W": W33}, define={g[s, k]: sin(W[s, k]) + s}
    ),
    "definition read shifted": Problem(
        Sum(d[s + 1] * d[s], (s, 0, D - 2)), [w], {"w": w3}, define={d[k]: exp(w[k]) * k}
    ),
    "definition gathered": Problem(
        Sum(h[s, at[s]], every_s), [w], {"w": w3, "x": x43, "at": np.array([0, 2, 2, 1])},
        define={h[s, j]: sin(x[s, j] * w[j])},
    ),
    "definition's diagonal over pairs of samples": Problem(
        Sum(z[s, s] - log(Sum(exp(z[s, r]), (r, 0, N - 1))), every_s), [w], {"w": w3, "x": x43},
        define={z[s, r]: Sum(x[s, j] * w[j] * x[r, j], every_j)},
    ),
    "definition of a definition": Problem(
        c**2 + b, [a], {"a": 0.4}, define={b: sin(a), c: b * exp(b) + a}
    ),
    "definition unused": Problem(a**2, [a], {"a": 0.4}, define={b: log(a)}),
    "parameter unused": Problem(a**2, [a, w, b], {"a": 0.4, "b": 1.0, "w": w3}),
    "constant": Problem(sympy.Integer(7) / 2 + 0 * a, [a], {"a": 0.4}),
    "input itself": Problem(a, [a], {"a": 0.4}),
    "branches of branches": Problem(
        Sum(Piecewise((Piecewise((x[s, j], v[s] > 0), (x[s, j] ** 3, True)), x[s, j] > 0), (sin(x[s, j]), True)),
            every_j, every_s), [x, v], {"x": x43, "v": v4},
    ),
    "branch on an index": Problem(
        Sum(Piecewise((w[i] ** 2, i < 1), (exp(w[i]), i < 2), (w[i - 1], True)), every_i), [w], {"w": w3}
    ),
    "branch on either": Problem(
        Sum(Piecewise((v[s] ** 2, Or(v[s] > Rational(1, 2), v[s] < -Rational(1, 2))), (v[s], True)), every_s), [v],
        {"v": v4},
    ),
    "branch not taken is undefined": Problem(
        Sum(Piecewise((sqrt(v[s]) + log(v[s]), v[s] > 0), (v[s] / 3, True)), every_s), [v], {"v": v4}
    ),
    "three largest": Problem(Max(a * b, b, a - b) + Min(a, b, a * b), [a, b], {"a": 0.7, "b": -0.4}),
    "step functions": Problem(
        a * sympy.floor(3 * b) + sympy.ceiling(b) * b + sympy.sign(a - b) * a, [a, b], {"a": 0.7, "b": 0.4}
    ),
    "special functions": Problem(
        sympy.loggamma(a) + sympy.erf(b) * sympy.erfc(a) + sympy.digamma(a + b) + sympy.gamma(a), [a, b],
        {"a": 1.7, "b": 0.4},
    ),
    "inverse functions": Problem(
        sympy.atan2(a, b) + sympy.asin(b) * sympy.acos(b) + sympy.atan(a) + sympy.asinh(a) * sympy.atanh(b)
        + sympy.acosh(1 + a), [a, b], {"a": 0.7, "b": 0.4},
    ),
    "reciprocal functions": Problem(
        sympy.sec(a) * sympy.csc(b) + sympy.cot(a) + sympy.sech(a) + sympy.csch(b) * sympy.coth(a) + sympy.tan(b),
        [a, b], {"a": 0.7, "b": 0.4},
    ),
    "powers": Problem(
        a**b + b**a + a**Rational(1, 3) + (-b) ** 3 / a**2 + 2**a + a**0.5 + sympy.cbrt(b), [a, b],
        {"a": 0.7, "b": 0.4},
    ),
    "negative base": Problem(a**3 + 2 * a**2 + a**-3 + Abs(a) ** Rational(3, 2), [a], {"a": -0.7}),
    "trace of a product": Problem(Trace(A * B * A.T), [A, B], square),
    "matrix powers": Problem(Trace(A**3) + Trace(A**2 * B), [A, B], square),
    "element of a product": Problem((A * B)[0, 2] + (A.T)[1, 0] + (A * u)[2, 0], [A, B, u], {**square, "u": pair["u"]}),
    "inverse": Problem(Trace(Inverse(A) * B), [A, B], square),
    "quadratic form of an inverse": Problem(u.T * Inverse(A) * t, [A, u, t], {"A": regular, **pair}),
    "determinant": Problem(Determinant(A) * a, [A, a], {"A": regular, "a": 0.3}),
    "log of a determinant": Problem(log(Determinant(A * A.T + Identity(D))), [A], {"A": W33}),
    "elementwise": Problem(Trace(times(A, B).applyfunc(tanh) * A), [A, B], square),
    "elementwise powers": Problem(Trace(HadamardPower(A, 2) * B) + Trace(HadamardPower(A, 3)), [A, B], square),
    "dot product": Problem(DotProduct(u, t) ** 2 + a * DotProduct(u, u), [u, t, a], {**pair, "a": 0.4}),
    "diagonals": Problem(
        Trace(DiagMatrix(u) * A) + (OneMatrix(1, D) * DiagonalOf(B))[0, 0], [u, A, B], {"u": pair["u"], **square}
    ),
    "slices": Problem(Trace(A[0:2, 1:3] * B[1:3, 0:2]) + (A[0, :] * B[:, 2])[0, 0], [A, B], square),
    "column sums": Problem(sqrt(Trace((OneMatrix(1, N) * X).T * (OneMatrix(1, N) * X))), [X], tall),
    "matrix and indexed together": Problem(
        Sum(w[j] * X[s, j] * v[s], every_j, every_s) + Trace(X.T * X), [w, X, v], {"w": w3, "v": v4, **tall}
    ),
    "per sample arrays": Problem(
        (Sum(w[j] * IndexedBase("z", shape=(D,))[j], every_j) - a) ** 2 + b * a**2, [w, a],
        {"w": w3, "a": 0.3, "b": 0.1, "z": x43}, data=[IndexedBase("z", shape=(D,))],
    ),
    "per sample labels": Problem(w[k] * a, [w, a], {"w": w3, "a": v4[0], "k": np.array([2, 0, 2])}, data=[k]),
    "per sample matrices": Problem(
        u.T * MatrixSymbol("z", D, D) * u, [u], {"u": pair["u"], "z": numbers(4, 3, 3, seed=8)},
        data=[MatrixSymbol("z", D, D)],
    ),
    "norm of a difference": Problem(
        Sum(sqrt(Sum((x[s, j] - w[j]) ** 2, every_j)), every_s), [w, x], {"w": w3, "x": x43}
    ),
    "distances of all pairs": Problem(
        Sum(exp(-Sum((x[s, j] - x[k, j]) ** 2, every_j)), every_s, (k, 0, N - 1)), [x], {"x": x43}
    ),
    "softmax twice": Problem(
        Sum(log(Sum(exp(x[s, j] * exp(w[j]) / Sum(exp(w[i]), every_i)), every_j)), every_s), [w, x],
        {"w": w3, "x": x43},
    ),
    "product of transposes": Problem(
        3 * sin(((X * u).T * (X * t))[0, 0]), [u, t, X], {**pair, "X": x43[:2]}
    ),
    "log of a determinant beside the diagonal": Problem(
        log(Determinant(B + 3 * Identity(D))), [B], {"B": W33}
    ),
    "sum of a constant over a part": Problem(
        a * Sum(Sum(w[i], (k, 1, D - 1)), every_i) + sin(Sum(a / 4, (k, 2, D - 1))), [w, a], {"w": w3, "a": 0.4}
    ),
    "smallest of gathered": Problem(
        a * min_over(w[at[s]], every_s) + max_over(w[at[s]] ** 2, every_s), [w, a],
        {"w": w3 + 0.2, "a": 0.4, "at": np.array([2, 0, 1, 2])},
    ),
    "product of gathered in a branch": Problem(
        Piecewise((b**2, a < 0), (Product(sin(w[at[s]]), every_s) ** 2, True)), [w, a],
        {"w": w3, "a": 0.4, "b": 0.1, "at": np.array([2, 0, 2, 2])},
    ),
    "inverse beside a transpose": Problem(
        sin(Trace(times(A, B) * (A + B.T))) ** 3 + log(2 + sin((u.T * (A + 3 * Identity(D)).inv() * t)[0, 0]) ** 2),
        [A, B, u, t], {**square, **pair},
    ),
    "reversed and gathered": Problem(
        Sum(W[D - 1 - j, at[s]] ** 2 * v[s], every_j, every_s), [W, v],
        {"W": W33, "v": v4, "at": np.array([2, 0, 1, 2])},
    ),
    "branch decided late": Problem(
        Sum(w[i], every_i) + Piecewise((sqrt(a), log(exp(b) + exp(a * b)) > 2), (sympy.gamma(1 + a**2), True)),
        [w, a], {"w": w3, "a": -0.4, "b": 0.3},
    ),
    "branch decided by a sum over samples": Problem(
        Piecewise((Sum(sqrt(v[s]), every_s), Sum(v[s], every_s) > 9), (Sum(x[s, 0] * v[s], every_s), True)),
        [v], {"v": v4, "x": x43},
    ),
    "polynomial of a sum": Problem(
        Sum(w[i], every_i) ** 3 + Sum(cos(w[i]), every_i) / (1 + Sum(w[i], every_i) ** 2), [w], {"w": w3}
    ),
}  # fmt: skip

ANSWERS: dict[str, Answer] = {}


def check(name: str, value: Any, grads: dict[str, Any]) -> None:
    if name not in ANSWERS:
        ANSWERS[name] = exact(CORNERS[name])
    assert_answer(ANSWERS[name], value, grads)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", CORNERS)
def test_interpreter(name: str) -> None:
    problem = CORNERS[name]
    outputs = evaluate(gc.compile(**arguments(problem)).graph, {n: np.asarray(e) for n, e in problem.inputs.items()})
    check(name, outputs["value"], {n: outputs[f"d{n}"] for n in problem.names})


@pytest.mark.one_in(2)
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", CORNERS)
def test_emitted_module(name: str, target: str, tmp_path: Path) -> None:
    problem = CORNERS[name]
    read = load_uncompiled if target == "numba" else load
    module = read(gc.emit(**arguments(problem), target=target), tmp_path / "module.py")
    given = problem.inputs.items()
    inputs = {n: np.asarray(v).tolist() if target == "python" else as_passed(v) for n, v in given}
    value, grads = module.value_and_grad(**inputs)
    check(name, value, dict(zip(problem.names, grads, strict=True)))
    check(name, module.value(**inputs), dict(zip(problem.names, grads, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CORNERS)
def test_kernel(name: str) -> None:
    problem = CORNERS[name]
    value, grads = call(gc.compile(**arguments(problem)).wait().value_and_grad, problem)
    check(name, value, dict(zip(problem.names, grads, strict=True)))


def test_names_of_symbols_do_not_matter() -> None:
    """The corners above share letters for indices, definitions and inputs; every one is a model of its own."""
    assert len(CORNERS) == len({str(p.objective) + str(p.define) for p in CORNERS.values()}) + 2  # three products
    assert Symbol("i", integer=True) == i


STEEP = {
    "Gompertz's growth": ("a*exp(-b*exp(-c*t))", {"a": 2.0, "b": 0.1, "c": 1.0, "t": -1000.0}),
    "Gompertz's growth, before": ("a*exp(-b*exp(-c*t))", {"a": 2.0, "b": 3.0, "c": 1.0, "t": 2.0}),
    "Einstein's heat capacity, cold": ("t**2*exp(t)/(exp(t) - 1)**2", {"t": 700.0}),
    "Einstein's heat capacity, hot": ("t**2*exp(t)/(exp(t) - 1)**2", {"t": 1e-8}),
    "the density of Clayton's copula": (
        "log((1 + a)*(u*v)**(-1 - a)*(u**(-a) + v**(-a) - 1)**(-2 - 1/a))",
        {"a": 20.0, "u": 1e-8, "v": 0.5},
    ),
}


@pytest.mark.parametrize("name", STEEP)
def test_steep_formulas_keep_value_and_slopes(name: str) -> None:
    text, point = STEEP[name]
    symbols = {each: sympy.Symbol(each) for each in point}
    formula = sympy.parse_expr(text, symbols)
    value, slopes = gc.compile(formula, wrt=[*symbols.values()]).value_and_grad(**point)
    with mpmath.workdps(400):
        numbers = [mpmath.mpf(each) for each in point.values()]
        expected = [
            float(sympy.lambdify([*symbols.values()], f, "mpmath")(*numbers))
            for f in (formula, *(formula.diff(symbol) for symbol in symbols.values()))
        ]
    np.testing.assert_allclose([value, *slopes], expected, rtol=1e-12)


def test_a_steep_slope_vanishes_in_float32() -> None:
    b, t = sympy.symbols("b t")
    model = gc.compile(sympy.exp(-b * sympy.exp(-t)), wrt=[b, t], dtype="float32")
    assert model.value_and_grad(b=np.float32(0.1), t=np.float32(-100)) == (0, (0, 0))
