"""Matrix algebra by elements, against NumPy."""

import numpy as np
import pytest
import sympy
from sympy import (
    FunctionMatrix,
    Identity,
    IndexedBase,
    Inverse,
    Lambda,
    MatrixSymbol,
    OneMatrix,
    Sum,
    Symbol,
    Trace,
    ZeroMatrix,
    symbols,
)
from sympy.matrices.expressions import BlockMatrix, DiagMatrix, DotProduct, HadamardPower, hadamard_product
from sympy.matrices.expressions.diagonal import DiagonalMatrix, DiagonalOf

from gradcompile.errors import UnsupportedError
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from gradcompile.model import Model
from gradcompile.verify import verify

N, D = symbols("N D", integer=True, positive=True)
i, j, s = symbols("i j s", integer=True)
a = Symbol("a")
A, B, S = MatrixSymbol("A", N, D), MatrixSymbol("B", N, D), MatrixSymbol("S", D, D)
v, u = MatrixSymbol("v", D, 1), MatrixSymbol("u", N, 1)

random = np.random.default_rng(1)
GIVEN = {
    "A": random.normal(size=(4, 3)),
    "B": random.normal(size=(4, 3)),
    "S": random.normal(size=(3, 3)) + 4 * np.eye(3),
    "v": random.normal(size=(3, 1)),
    "u": random.normal(size=(4, 1)),
    "a": 1.5,
}
nA, nB, nS, nv, nu, na = GIVEN.values()

CASES = {
    "sum": (A + B - 2 * A, nB - nA),
    "scalar factor": (a * A / 2, na * nA / 2),
    "product": (A * S, nA @ nS),
    "chain to a vector": (A * S * v, (nA @ nS @ nv)[:, 0]),
    "chain from a vector": (u.T * A * S, (nu.T @ nA @ nS)[0]),
    "chain": (A.T * B * S, nA.T @ nB @ nS),
    "transpose": (A.T + B.T, (nA + nB).T),
    "elementwise product": (hadamard_product(A, B), nA * nB),
    "elementwise power": (HadamardPower(A, 2), nA**2),
    "applied": (A.applyfunc(lambda z: sympy.exp(z) * a), np.exp(nA) * na),
    "applied class": ((A * S).applyfunc(sympy.tanh), np.tanh(nA @ nS)),
    "identity": (S + a * Identity(D), nS + na * np.eye(3)),
    "ones": (A + OneMatrix(N, D) + ZeroMatrix(N, D), nA + 1),
    "outer": (u * v.T, nu @ nv.T),
    "diagonal": (A * DiagMatrix(v), nA * nv[:, 0]),
    "only diagonal": (DiagonalMatrix(S) + S, np.diag(np.diag(nS)) + nS),
    "diagonal of": (DiagonalOf(S), np.diag(nS)),
    "slice": (A[1:N, 0 : D - 1], nA[1:, :-1]),
    "strided": (A[0:4:2, 0:2], nA[0:4:2, 0:2]),
    "inverse": (Inverse(S) * v, np.linalg.solve(nS, nv)[:, 0]),
    "inverse of a product": (Inverse(A.T * A), np.linalg.inv(nA.T @ nA)),
    "power": (S**3, nS @ nS @ nS),
    "negative power": (S**-2, np.linalg.inv(nS @ nS)),
    "explicit": (
        sympy.Matrix([[1, a], [0, 2], [a, 3]]).T * S[0:3, 0:2],
        np.array([[1, na], [0, 2], [na, 3]]).T @ nS[:, :2],
    ),
    "formula": (
        FunctionMatrix(N, D, Lambda((i, j), a * i * A[i, j] + Sum(S[s, j], (s, 0, j)))) * S,
        (na * np.arange(4)[:, None] * nA + np.triu(nS).sum(0)) @ nS,
    ),
    "formula of one column": (
        S.T * FunctionMatrix(D, 1, Lambda((j, i), v[j, i] * j)),
        nS.T @ (nv[:, 0] * np.arange(3)),
    ),
    "elements of a formula": (
        FunctionMatrix(D, D, Lambda((i, j), a * S[i, j] - i))[2, 1] * a,
        (na * nS[2, 1] - 2) * na,
    ),
    "formula in a sum": (
        Sum(FunctionMatrix(D, D, Lambda((i, j), S[i, s] * S[s, j]))[s, 0], (s, 0, D - 1)),
        sum(nS[k, k] * nS[k, 0] for k in range(3)),
    ),
    "blocks": (BlockMatrix([[A, B], [B, A]]), np.block([[nA, nB], [nB, nA]])),
    "trace": (Trace(A.T * B), np.trace(nA.T @ nB)),
    "determinant": (sympy.Determinant(S), np.linalg.det(nS)),
    "logdet": (sympy.log(sympy.Determinant(S * S.T)), np.linalg.slogdet(nS @ nS.T)[1]),
    "dot": (DotProduct(v, v) + DotProduct(A[0, :], v), nv.T @ nv + nA[0] @ nv),
    "element": (A[1, 2] * A[N - 1, 0], nA[1, 2] * nA[-1, 0]),
    "one by one": (v.T * S * v, nv.T @ nS @ nv),
    "one by one in a function": (sympy.exp((v.T * v)[0, 0]), np.exp(nv.T @ nv)),
    "elements in a sum": (Sum(A[s, j] * S[j, i], (s, 0, N - 1), (i, 0, D - 1), (j, 0, D - 1)), (nA @ nS).sum()),
    "inverse of one by one": (Inverse(v.T * v) * v.T, (nv / (nv**2).sum())[:, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_matrix_algebra(name):
    expr, expected = CASES[name]
    wrt = tuple(m for m in (A, B, S, v, u, a))
    got = evaluate(verify(lower(Model(expr, wrt))), GIVEN)["value"]
    assert np.allclose(got, np.squeeze(expected), rtol=1e-12, atol=1e-12)
    assert got.shape == np.squeeze(expected).shape


def test_matrices_and_indices_give_one_graph():
    x, w, t = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D, D)), IndexedBase("t", shape=(N, D))
    X, W, T = MatrixSymbol("x", N, D), MatrixSymbol("w", D, D), MatrixSymbol("t", N, D)
    k = Symbol("k", integer=True)
    indexed = Sum((Sum(x[s, j] * w[j, k], (j, 0, D - 1)) - t[s, k]) ** 2, (k, 0, D - 1), (s, 0, N - 1))
    R = X * W - T
    matrix = (OneMatrix(1, N) * HadamardPower(R, 2) * OneMatrix(D, 1))[0, 0]

    def shape_of_graph(objective, wrt):
        lowered = lower(Model(objective, (wrt,), inputs=(x, t) if wrt is w else (X, T)))
        return sorted((v.op, str(v.axes), str(v.attr)) for v in lowered.order())

    assert shape_of_graph(indexed, w) == shape_of_graph(matrix, W)


def test_zeros_and_ones_leave_nothing_behind():
    lowered = lower(Model(Trace(A.T * A) + Trace(OneMatrix(N, N)) * 0, (A,)))
    assert [v.op for v in lowered.order()] == ["input", "mul", "sum"]


def test_what_is_subtracted_is_not_negated_first():
    assert "neg" not in [v.op for v in lower(Model(Trace(A * S - B), (A,))).order()]


def test_lengths_that_must_agree_are_required():
    C = symbols("C", integer=True, positive=True)
    lowered = lower(Model(Trace(MatrixSymbol("P", N, D) * MatrixSymbol("Q", C, N)), (A,)))
    assert {str(r.size) for r in lowered.requirements} == {"C - D", "D - C"}


@pytest.mark.parametrize("expr", [sympy.Function("f")(a) * Trace(S), Trace(S ** sympy.Rational(1, 2))])
def test_what_is_not_defined_is_refused(expr):
    with pytest.raises(UnsupportedError):
        lower(Model(expr, (A,)))
