"""The zoo: models that must compile and be right, each in every notation in which a paper would write it.

A row is a model; a form is one notation of it with small arrays made from a seed. All forms of a row are the same
function of the same numbers: the gradients in the order of `wrt`, each flattened row by row and put one after the
other, are the same vector for all of them. Sums over samples in scalar notation use the per-sample form, a mean, so
there the loss of a sample is multiplied by the number of samples.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    Abs,
    Determinant,
    Identity,
    IndexedBase,
    Inverse,
    MatrixSymbol,
    Max,
    OneMatrix,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    Trace,
    cos,
    cosh,
    erf,
    exp,
    log,
    loggamma,
    pi,
    sin,
    sqrt,
    symbols,
    tanh,
)
from sympy.matrices.expressions import hadamard_product as times

from gradcompile.model import min_over
from tests.kept import kept
from tests.oracle import Answer, Problem, exact

Form = Problem
SEED = 20240601

N, D, C, H, K, P = symbols("N D C H K P", integer=True, positive=True)
M_, n_ = symbols("M n", integer=True, positive=True)
s, i, j, k, l, m, n = symbols("s i j k l m n", integer=True)
lam = Symbol("lam")


class Forms(Mapping[str, Problem]):
    """The forms of a model by their notations, made when the first of them is asked for: SymPy takes its time."""

    def __init__(self, notations: str, make: Callable[..., dict[str, Problem]], *given: Any, **named: Any) -> None:
        self.notations, self.make = notations.split(), functools.partial(make, *given, **named)

    @functools.cached_property
    def made(self) -> dict[str, Problem]:
        made = self.make()
        assert [*made] == self.notations
        return made

    def __getitem__(self, notation: str) -> Problem:
        return self.made[notation]

    def __iter__(self) -> Iterator[str]:
        return iter(self.notations)

    def __len__(self) -> int:
        return len(self.notations)


@dataclass(frozen=True)
class Row:
    """One model.

    number : its number in the list of models
    name : unique
    forms : notation ("scalar", "indexed", "matrix", "defined") -> Problem
    tolerance : |g - g*| in units of eps * scale; see test_zoo.py
    reason : why the tolerance is not the default
    sampled : whether the objective is a sum over samples, so that a minibatch estimates it
    """

    number: int
    name: str
    forms: Forms
    tolerance: float = 64
    reason: str = ""
    sampled: bool = False


def numbers(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Return float64 numbers in [low, high), the same for a seed on every machine."""
    return np.random.default_rng(SEED + seed).uniform(low, high, shape)


def labels(count: int, classes: int, seed: int = 0) -> np.ndarray:
    """Return integer labels, each class at least once when there are enough."""
    return np.random.default_rng(SEED + seed).permutation(np.arange(count) % classes)


def base(name: str, *shape: Any) -> IndexedBase:
    return IndexedBase(name, shape=shape)


def split(name: str, array: np.ndarray) -> dict[str, Any]:
    """Name the last axis: {"x0": array[..., 0], "x1": ...}; for scalar notation."""
    return {f"{name}{a}": array[..., a] for a in range(array.shape[-1])}


def flat(name: str, array: np.ndarray) -> dict[str, float]:
    """Name every element, row by row: {"W00": ..., "W01": ...}."""
    return {name + "".join(map(str, place)): array[place].item() for place in np.ndindex(array.shape)}


def scalars(values: dict[str, Any]) -> list[Symbol]:
    return [Symbol(name) for name in values]


def column(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, 1)


def one_hot(which: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[which]


def total(matrix: Any) -> Any:
    """The sum of all elements of a matrix, as matrix algebra writes it."""
    rows, columns = matrix.shape
    return OneMatrix(1, rows) * matrix * OneMatrix(columns, 1)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + exp(-z))


def relu(z: Any) -> Any:
    return Max(z, 0)


def gelu(z: Any) -> Any:
    return z * (1 + erf(z / sqrt(2))) / 2


# --- 1, 2: by hand ----------------------------------------------------------------------------------------------


def lecture() -> dict[str, Problem]:
    x, w1, w0 = symbols("x w1 w0")
    w, v = base("w", 2), MatrixSymbol("w", 2, 1)
    pair = np.array([0.7, -0.3])
    return {
        "scalar": Form(1 + exp(w1 * x + w0), [x, w1, w0], {"x": 1.25, "w1": 0.7, "w0": -0.3}),
        "indexed": Form(1 + exp(w[0] * x + w[1]), [x, w], {"x": 1.25, "w": pair}),
        "matrix": Form(1 + exp(v[0, 0] * x + v[1, 0]), [x, v], {"x": 1.25, "w": column(pair)}),
    }


def neuron(activation: Callable[[Any], Any]) -> dict[str, Problem]:
    b, x, w = Symbol("b"), base("x", D), base("w", D)
    X, W = MatrixSymbol("x", D, 1), MatrixSymbol("w", D, 1)
    xs, ws = numbers(3, seed=1), numbers(3, seed=2)
    bias = 0.25 - xs @ ws  # where relu is on and tanh is not flat
    named = {**split("w", ws), "b": bias, **split("x", xs)}
    w0, w1, w2, _, x0, x1, x2 = scalars(named)
    return {
        "scalar": Form(activation(w0 * x0 + w1 * x1 + w2 * x2 + b), [w0, w1, w2, b], named),
        "indexed": Form(activation(Sum(w[j] * x[j], (j, 0, D - 1)) + b), [w, b], {"w": ws, "b": bias, "x": xs}),
        "matrix": Form(activation((W.T * X)[0, 0] + b), [W, b], {"w": column(ws), "b": bias, "x": column(xs)}),
    }


# --- 3, 4, 7, 8: generalised linear models ----------------------------------------------------------------------

SAMPLES = 6


def glm(loss: Callable[[Any, Any], Any], targets: np.ndarray, penalty: bool = True) -> dict[str, Problem]:
    """Sum over samples of loss(z, t), with z = x.w + b, and lam times the squares of w."""
    b, x, w, t = Symbol("b"), base("x", N, D), base("w", D), base("t", N)
    X, W, T = MatrixSymbol("x", N, D), MatrixSymbol("w", D, 1), MatrixSymbol("t", N, 1)
    xs, ws = numbers(SAMPLES, 2, seed=3), numbers(2, seed=4)
    rate = {"lam": 0.1} if penalty else {}
    named = {**split("w", ws), "b": 0.3, **split("x", xs), "t": targets, **rate}
    w0, w1, _, x0, x1, t_s = scalars(named)[:6]
    z = Sum(x[s, j] * w[j], (j, 0, D - 1)) + b
    scalar = SAMPLES * loss(w0 * x0 + w1 * x1 + b, t_s)
    indexed = Sum(loss(z, t[s]), (s, 0, N - 1))
    if penalty:
        scalar += lam * (w0**2 + w1**2)
        indexed += lam * Sum(w[j] ** 2, (j, 0, D - 1))
    forms = {
        "scalar": Form(scalar, [w0, w1, b], named, data=[x0, x1, t_s]),
        "indexed": Form(indexed, [w, b], {"w": ws, "b": 0.3, "x": xs, "t": targets, **rate}),
    }
    Z = X * W + b * OneMatrix(N, 1)
    objective = MATRIX_LOSSES[loss](Z, T) if loss in MATRIX_LOSSES else None
    if objective is not None:
        objective += lam * W.T * W
        forms["matrix"] = Form(objective, [W, b], {"w": column(ws), "b": 0.3, "x": xs, "t": column(targets), **rate})
    return forms


def squared(z: Any, t: Any) -> Any:
    return (z - t) ** 2 / 2


def softplus_loss(z: Any, t: Any) -> Any:
    return log(1 + exp(-t * z))


def likelihood_loss(z: Any, t: Any) -> Any:
    return -log(sigmoid(t * z))


MATRIX_LOSSES: dict[Any, Callable[[Any, Any], Any]] = {
    squared: lambda Z, T: (Z - T).T * (Z - T) / 2,
    softplus_loss: lambda Z, T: total(times(T, Z).applyfunc(lambda z: log(1 + exp(-z)))),
    likelihood_loss: lambda Z, T: -total(times(T, Z).applyfunc(lambda z: log(sigmoid(z)))),
}


def huber(z: Any, t: Any) -> Any:
    r, delta = z - t, Rational(1, 2)
    return Piecewise((r**2 / 2, Abs(r) <= delta), (delta * (Abs(r) - delta / 2), True))


def quantile(z: Any, t: Any) -> Any:
    r, tau = t - z, Rational(3, 10)
    return Piecewise((tau * r, r >= 0), ((tau - 1) * r, True))


def log_cosh(z: Any, t: Any) -> Any:
    return log(cosh(z - t))


def insensitive(z: Any, t: Any) -> Any:
    return Max(0, Abs(z - t) - Rational(1, 5))


def poisson(z: Any, t: Any) -> Any:
    return exp(z) - t * z + loggamma(t + 1)


def gamma_regression() -> dict[str, Problem]:
    """Minus the log-likelihood of gamma targets with mean exp(z) and shape a, with respect to w and a."""
    a, x, w, t = Symbol("a"), base("x", N, D), base("w", D), base("t", N)
    z = Sum(x[s, j] * w[j], (j, 0, D - 1))
    loss = a * t[s] * exp(-z) + a * z - a * log(a) - (a - 1) * log(t[s]) + loggamma(a)
    inputs = {"w": numbers(2, seed=4), "a": 2.25, "x": numbers(5, 2, seed=3), "t": numbers(5, seed=5, low=0.2, high=3)}
    return {"indexed": Form(Sum(loss, (s, 0, N - 1)), [w, a], inputs)}


def negative_binomial() -> dict[str, Problem]:
    """Minus the log-likelihood of counts with mean exp(z) and r failures, with respect to w and r."""
    r, x, w, t = Symbol("r"), base("x", N, D), base("w", D), base("t", N)
    mu = exp(Sum(x[s, j] * w[j], (j, 0, D - 1)))
    counts = loggamma(t[s] + r) - loggamma(r) - loggamma(t[s] + 1)
    loss = counts + r * log(r / (r + mu)) + t[s] * log(mu / (r + mu))
    inputs = {"w": numbers(2, seed=4), "r": 1.75, "x": numbers(5, 2, seed=3), "t": np.array([0.0, 3, 1, 7, 2])}
    return {"indexed": Form(-Sum(loss, (s, 0, N - 1)), [w, r], inputs)}


# --- 5, 6, 9: classifiers ---------------------------------------------------------------------------------------


def softmax_loss(z: Callable[[Any, Any], Any], which: Any) -> Any:
    """Minus the log of the softmax at the label: exp(z)/Sum exp(z), as the paper has it."""
    p = exp(z(s, which)) / Sum(exp(z(s, i)), (i, 0, C - 1))
    return -Sum(log(p), (s, 0, N - 1))


def matrix_softmax_loss(Z: Any, T: Any) -> Any:
    """The same in matrices: T has a one in each row."""
    E = Z.applyfunc(exp)
    inverse = (E * OneMatrix(C, 1)).applyfunc(lambda a: 1 / a)
    P = times(E, inverse * OneMatrix(1, C))
    return -total(times(T, P.applyfunc(log)))


def softmax() -> dict[str, Problem]:
    x, gt, W, b = base("x", N, D), base("gt", N), base("W", D, C), base("b", C)
    X, T, V, c = MatrixSymbol("x", N, D), MatrixSymbol("t", N, C), MatrixSymbol("W", D, C), MatrixSymbol("b", C, 1)
    xs, ws, bs, ys = numbers(4, 2, seed=6), numbers(2, 3, seed=7), numbers(3, seed=8), labels(4, 3)

    def y(s: Any, i: Any) -> Any:
        return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]

    squares = Sum(W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)) + Sum(b[i] ** 2, (i, 0, C - 1))
    parameters = {**flat("W", ws), **flat("b", bs)}
    data = {**split("x", xs), **split("t", one_hot(ys, 3))}
    weights, (x0, x1, *t) = scalars(parameters), scalars(data)
    z = [x0 * weights[a] + x1 * weights[3 + a] + weights[6 + a] for a in range(3)]
    norm = sum(exp(a) for a in z)
    one = -sum(t[a] * log(exp(z[a]) / norm) for a in range(3))
    return {
        "scalar": Form(
            4 * one + lam * sum(a**2 for a in weights), weights, {**parameters, **data, "lam": 0.05}, data=scalars(data)
        ),
        "indexed": Form(
            softmax_loss(y, gt[s]) + lam * squares, [W, b], {"x": xs, "gt": ys, "W": ws, "b": bs, "lam": 0.05}
        ),
        "matrix": Form(
            matrix_softmax_loss(X * V + OneMatrix(N, 1) * c.T, T) + lam * (total(times(V, V)) + c.T * c),
            [V, c],
            {"x": xs, "t": one_hot(ys, 3), "W": ws, "b": column(bs), "lam": 0.05},
        ),
    }


def svm() -> dict[str, Problem]:
    x, t, W = base("x", N, D), base("t", N), base("W", D, C)
    X, T, V = MatrixSymbol("x", N, D), MatrixSymbol("t", N, C), MatrixSymbol("W", D, C)
    xs, ws, ys = numbers(4, 2, seed=6), 2 * numbers(2, 3, seed=7), labels(4, 3)

    def z(s: Any, i: Any) -> Any:
        return Sum(x[s, j] * W[j, i], (j, 0, D - 1))

    parameters, data = flat("W", ws), {**split("x", xs), **split("t", one_hot(ys, 3))}
    weights, (x0, x1, *hot) = scalars(parameters), scalars(data)
    scores = [x0 * weights[a] + x1 * weights[3 + a] for a in range(3)]
    right = sum(a * b for a, b in zip(scores, hot, strict=True))
    Z = X * V
    own = times(T, Z) * OneMatrix(C, 1) * OneMatrix(1, C)
    return {
        "scalar": Form(
            4 * sum(Max(0, a - right + 1) for a in scores), weights, {**parameters, **data}, data=scalars(data)
        ),
        "indexed": Form(
            Sum(Max(0, z(s, i) - z(s, t[s]) + 1), (i, 0, C - 1), (s, 0, N - 1)), [W], {"x": xs, "t": ys, "W": ws}
        ),
        "matrix": Form(
            total((Z - own + OneMatrix(N, C)).applyfunc(lambda a: Max(0, a))),
            [V],
            {"x": xs, "t": one_hot(ys, 3), "W": ws},
        ),
    }


def network(activation: Callable[[Any], Any], layers: int) -> dict[str, Problem]:
    """A network with softmax output and `layers` layers of weights; tied sizes H for all hidden layers."""
    x, gt = base("x", N, D), base("gt", N)
    X, T = MatrixSymbol("x", N, D), MatrixSymbol("t", N, C)
    sizes, lengths = [D, *[H] * (layers - 1), C], [2, *[5 - layers] * (layers - 1), 3]
    ends = list(itertools.pairwise(sizes))
    weights = [base(f"W{a + 1}", *e) for a, e in enumerate(ends)]
    biases = [base(f"b{a + 1}", e[1]) for a, e in enumerate(ends)]
    letters = symbols("j k l m", integer=True)

    def layer(a: int, s: Any, i: Any) -> Any:
        """The input of the activation of layer `a` at unit i."""
        unit = letters[a]
        below = x[s, unit] if a == 0 else activation(layer(a - 1, s, unit))
        return Sum(below * weights[a][unit, i], (unit, 0, sizes[a] - 1)) + biases[a][i]

    hidden = [base(f"h{a + 1}", N, H) for a in range(layers - 1)]
    z, q = base("z", N, C), Symbol("q", integer=True)
    define = {}
    for a in range(layers):
        below = x if a == 0 else hidden[a - 1]
        linear = Sum(below[s, j] * weights[a][j, q], (j, 0, sizes[a] - 1)) + biases[a][q]
        define[(hidden[a] if a < layers - 1 else z)[s, q]] = activation(linear) if a < layers - 1 else linear

    V = [MatrixSymbol(f"W{a + 1}", *e) for a, e in enumerate(ends)]
    c = [MatrixSymbol(f"b{a + 1}", e[1], 1) for a, e in enumerate(ends)]
    Z = X
    for a in range(layers):
        Z = Z * V[a] + OneMatrix(N, 1) * c[a].T
        Z = Z.applyfunc(activation) if a < layers - 1 else Z

    ys = labels(2, 3)
    W_values = {f"W{a + 1}": numbers(lengths[a], lengths[a + 1], seed=10 + a) for a in range(layers)}
    b_values = {f"b{a + 1}": numbers(lengths[a + 1], seed=20 + a, low=-0.2) for a in range(layers)}
    inputs = {"x": numbers(2, 2, seed=9), "gt": ys, **W_values, **b_values}
    dense = {name: column(b) for name, b in b_values.items()}
    last = layers - 1
    return {
        "indexed": Form(softmax_loss(lambda s, i: layer(last, s, i), gt[s]), [*weights, *biases], inputs),
        "defined": Form(softmax_loss(lambda s, i: z[s, i], gt[s]), [*weights, *biases], inputs, define=define),
        "matrix": Form(
            matrix_softmax_loss(Z, T), [*V, *c], {"x": inputs["x"], "t": one_hot(ys, 3), **W_values, **dense}
        ),
    }


def autoencoder() -> dict[str, Problem]:
    x, W, b, c = base("x", N, D), base("W", D, H), base("b", H), base("c", D)
    X, V, B, E = MatrixSymbol("x", N, D), MatrixSymbol("W", D, H), MatrixSymbol("b", H, 1), MatrixSymbol("c", D, 1)
    inputs = {"x": numbers(3, 3, seed=1), "W": numbers(3, 2, seed=2), "b": numbers(2, seed=3), "c": numbers(3, seed=4)}
    code = tanh(Sum(x[s, l] * W[l, k], (l, 0, D - 1)) + b[k])
    back = Sum(code * W[j, k], (k, 0, H - 1)) + c[j]
    R = X - (X * V + OneMatrix(N, 1) * B.T).applyfunc(tanh) * V.T - OneMatrix(N, 1) * E.T
    return {
        "indexed": Form(Sum((x[s, j] - back) ** 2, (j, 0, D - 1), (s, 0, N - 1)), [W, b, c], inputs),
        "matrix": Form(Trace(R * R.T), [V, B, E], {**inputs, "b": column(inputs["b"]), "c": column(inputs["c"])}),
    }


# --- 11, 12, 24: gathers ----------------------------------------------------------------------------------------


def factorisation() -> dict[str, Problem]:
    A, B = symbols("A B", integer=True, positive=True)
    U, V, r, u, v = base("U", A, K), base("V", B, K), base("r", N), base("u", N), base("i", N)
    X, Y, R, M = MatrixSymbol("U", A, K), MatrixSymbol("V", B, K), MatrixSymbol("r", A, B), MatrixSymbol("m", A, B)
    users, items = np.array([0, 1, 1, 2, 0, 2]), np.array([3, 0, 2, 0, 0, 3])  # both repeat; no pair twice
    ratings = numbers(6, seed=5, low=1, high=5)
    us, vs = numbers(3, 2, seed=6), numbers(4, 2, seed=7)
    dense, mask = np.zeros((3, 4)), np.zeros((3, 4))
    dense[users, items], mask[users, items] = ratings, 1
    square = Sum(U[j, k] ** 2, (j, 0, A - 1), (k, 0, K - 1)) + Sum(V[j, k] ** 2, (j, 0, B - 1), (k, 0, K - 1))
    error = r[n] - Sum(U[u[n], k] * V[v[n], k], (k, 0, K - 1))
    E = times(M, R - X * Y.T)
    return {
        "indexed": Form(
            Sum(error**2, (n, 0, N - 1)) + lam * square,
            [U, V],
            {"U": us, "V": vs, "r": ratings, "u": users, "i": items, "lam": 0.1},
        ),
        "matrix": Form(
            Trace(E * E.T) + lam * (Trace(X * X.T) + Trace(Y * Y.T)),
            [X, Y],
            {"U": us, "V": vs, "r": dense, "m": mask, "lam": 0.1},
        ),
    }


def word_vectors() -> dict[str, Problem]:
    A = Symbol("A", integer=True, positive=True)
    E, O, c, w, g = base("E", A, K), base("O", A, K), base("c", N), base("w", N), base("g", N, M_)
    near = Sum(E[c[n], k] * O[w[n], k], (k, 0, K - 1))
    far = Sum(E[c[n], k] * O[g[n, m], k], (k, 0, K - 1))
    loss = -log(sigmoid(near)) - Sum(log(sigmoid(-far)), (m, 0, M_ - 1))
    inputs = {
        "E": numbers(5, 2, seed=1), "O": numbers(5, 2, seed=2), "c": np.array([0, 3, 3, 1]),
        "w": np.array([1, 0, 1, 3]), "g": np.array([[4, 4], [1, 4], [4, 0], [0, 0]]),
    }  # fmt: skip
    return {"indexed": Form(Sum(loss, (n, 0, N - 1)), [E, O], inputs)}


def bradley_terry() -> dict[str, Problem]:
    A = Symbol("A", integer=True, positive=True)
    r, a, b = base("r", A), base("a", N), base("b", N)
    inputs = {"r": numbers(4, seed=1), "a": np.array([0, 1, 0, 3, 0]), "b": np.array([1, 2, 3, 0, 1]), "lam": 0.1}
    loss = -Sum(log(sigmoid(r[a[n]] - r[b[n]])), (n, 0, N - 1)) + lam * Sum(r[j] ** 2, (j, 0, A - 1))
    r0, r1, r2, r3 = rs = symbols("r0:4")
    games = [(r0, r1), (r1, r2), (r0, r3), (r3, r0), (r0, r1)]
    unrolled = -sum(log(sigmoid(x - y)) for x, y in games) + lam * sum(x**2 for x in rs)
    return {
        "scalar": Form(unrolled, list(rs), {**split("r", inputs["r"]), "lam": 0.1}),
        "indexed": Form(loss, [r], inputs),
    }


def elo() -> dict[str, Problem]:
    A = Symbol("A", integer=True, positive=True)
    r, a, b = base("r", A), base("a", N), base("b", N)
    inputs = {"r": numbers(4, seed=1, low=1200, high=1800), "a": np.array([0, 1, 0, 3]), "b": np.array([1, 2, 3, 0])}
    expected = 1 / (1 + 10 ** ((r[b[n]] - r[a[n]]) / 400))
    return {"indexed": Form(-Sum(log(expected), (n, 0, N - 1)), [r], inputs)}


# --- 13, 14, 15, 19: densities and distances --------------------------------------------------------------------


def mixture() -> dict[str, Problem]:
    """The Gaussian mixture of GradBench: alphas, means, factors of the inverse covariances, a Wishart prior."""
    x, alpha, mu, q, L = base("x", N, D), base("alpha", K), base("mu", K, D), base("q", K, D), base("L", K, D, D)
    gamma = Symbol("gamma")

    def row(k: Any, i: Any) -> Any:
        below = Sum(L[k, i, j] * (x[s, j] - mu[k, j]), (j, 0, i - 1))
        return exp(q[k, i]) * (x[s, i] - mu[k, i]) + below

    inside = alpha[k] + Sum(q[k, i], (i, 0, D - 1)) - Sum(row(k, i) ** 2, (i, 0, D - 1)) / 2
    fit = Sum(log(Sum(exp(inside), (k, 0, K - 1))), (s, 0, N - 1))
    weights = N * log(Sum(exp(alpha[k]), (k, 0, K - 1)))
    squares = Sum(exp(q[k, i]) ** 2 + Sum(L[k, i, j] ** 2, (j, 0, i - 1)), (i, 0, D - 1), (k, 0, K - 1))
    prior = gamma**2 * squares / 2 - 3 * Sum(q[k, i], (i, 0, D - 1), (k, 0, K - 1))
    inputs = {
        "x": numbers(3, 2, seed=1), "alpha": numbers(2, seed=2), "mu": numbers(2, 2, seed=3),
        "q": numbers(2, 2, seed=4), "L": numbers(2, 2, 2, seed=5), "gamma": 0.9,
    }  # fmt: skip
    return {"indexed": Form(-(fit - weights) + prior, [alpha, mu, q, L], inputs)}


def k_means(hard: bool) -> dict[str, Problem]:
    x, c, beta = base("x", N, D), base("c", K, D), Symbol("beta")
    distance = Sum((x[s, j] - c[k, j]) ** 2, (j, 0, D - 1))
    inputs: dict[str, Any] = {"x": numbers(5, 2, seed=1), "c": numbers(3, 2, seed=2)}
    if hard:
        return {"indexed": Form(Sum(min_over(distance, (k, 0, K - 1)), (s, 0, N - 1)), [c], inputs)}
    soft = -log(Sum(exp(-beta * distance), (k, 0, K - 1))) / beta
    return {"indexed": Form(Sum(soft, (s, 0, N - 1)), [c, beta], {**inputs, "beta": 1.5})}


def gaussian() -> dict[str, Problem]:
    X, A, mu, v = MatrixSymbol("x", N, D), MatrixSymbol("A", D, D), MatrixSymbol("mu", D, 1), Symbol("v")
    S = A * A.T + v * Identity(D)
    R = X - OneMatrix(N, 1) * mu.T
    inputs = {"x": numbers(4, 2, seed=1), "A": numbers(2, 2, seed=2), "mu": numbers(2, 1, seed=3), "v": 0.5}
    loss = N * log(Determinant(S)) / 2 + Trace(R * Inverse(S) * R.T) / 2
    return {"matrix": Form(loss, [A, mu, v], inputs)}


def radial_basis() -> dict[str, Problem]:
    x, c, a, t, h = base("x", N, D), base("c", K, D), base("a", K), base("t", N), Symbol("h")
    bump = exp(-Sum((x[s, j] - c[m, j]) ** 2, (j, 0, D - 1)) / (2 * h**2))
    error = Sum(a[m] * bump, (m, 0, K - 1)) - t[s]
    inputs = {
        "x": numbers(4, 2, seed=1), "c": numbers(3, 2, seed=2), "a": numbers(3, seed=3), "t": numbers(4, seed=4),
        "h": 0.8,
    }  # fmt: skip
    return {"indexed": Form(Sum(error**2, (s, 0, N - 1)), [c, a, h], inputs)}


def kernel_ridge() -> dict[str, Problem]:
    x, a, t, h = base("x", N, D), base("a", N), base("t", N), Symbol("h")
    r = Symbol("r", integer=True)

    def kernel(s: Any, r: Any) -> Any:
        return exp(-Sum((x[s, j] - x[r, j]) ** 2, (j, 0, D - 1)) / (2 * h**2))

    error = Sum(kernel(s, r) * a[r], (r, 0, N - 1)) - t[s]
    ridge = Sum(a[s] * kernel(s, r) * a[r], (r, 0, N - 1), (s, 0, N - 1))
    inputs = {"x": numbers(4, 2, seed=1), "a": numbers(4, seed=2), "t": numbers(4, seed=3), "h": 0.8, "lam": 0.1}
    return {"indexed": Form(Sum(error**2, (s, 0, N - 1)) + lam * ridge, [a, h], inputs)}


# --- 16, 17, 18: shifts and contractions ------------------------------------------------------------------------


def convolution_1d() -> dict[str, Problem]:
    x, gt, w, V = base("x", N, D), base("gt", N), base("w", K, P), base("V", P, C)
    c = Symbol("c", integer=True)
    feature = Sum(relu(Sum(x[s, j + k] * w[k, c], (k, 0, K - 1))), (j, 0, D - K))
    inputs = {
        "x": numbers(3, 5, seed=1), "gt": labels(3, 2), "w": numbers(2, 2, seed=2), "V": numbers(2, 2, seed=3),
    }  # fmt: skip
    loss = softmax_loss(lambda s, i: Sum(feature * V[c, i], (c, 0, P - 1)), gt[s])
    return {"indexed": Form(loss, [w, V], inputs)}


def convolution_2d() -> dict[str, Problem]:
    x, gt, w = base("x", N, D, H), base("gt", N), base("w", K, K, C)
    a, b = symbols("a b", integer=True)

    def z(s: Any, i: Any) -> Any:
        local = Sum(x[s, j + a, k + b] * w[a, b, i], (a, 0, K - 1), (b, 0, K - 1))
        return Sum(tanh(local), (j, 0, D - K), (k, 0, H - K))

    inputs = {"x": numbers(2, 3, 4, seed=1), "gt": labels(2, 2), "w": numbers(2, 2, 2, seed=2)}
    return {"indexed": Form(softmax_loss(z, gt[s]), [w], inputs)}


def autoregression() -> dict[str, Problem]:
    x, a, c, t = base("x", N), base("a", P), Symbol("c"), Symbol("t", integer=True)
    error = x[t] - c - Sum(a[k] * x[t - 1 - k], (k, 0, P - 1))
    inputs = {"x": numbers(8, seed=1), "a": numbers(2, seed=2), "c": 0.2}
    return {"indexed": Form(Sum(error**2, (t, P, N - 1)), [a, c], inputs)}


def moving_average() -> dict[str, Problem]:
    x, theta, t = base("x", N), Symbol("theta"), Symbol("t", integer=True)
    residual = Sum((-theta) ** k * x[t - k], (k, 0, t))
    return {"indexed": Form(Sum(residual**2, (t, 0, N - 1)), [theta], {"x": numbers(6, seed=1), "theta": 0.4})}


def bilinear() -> dict[str, Problem]:
    x, A, t = base("x", N, D), base("A", D, D), base("t", N)
    X, B, T = MatrixSymbol("x", N, D), MatrixSymbol("A", D, D), MatrixSymbol("t", N, 1)
    form = Sum(A[i, j] * x[s, i] * x[s, j], (i, 0, D - 1), (j, 0, D - 1))
    inputs = {"x": numbers(4, 3, seed=1), "A": numbers(3, 3, seed=2), "t": numbers(4, seed=3)}
    R = times(X * B, X) * OneMatrix(D, 1) - T
    return {
        "indexed": Form(Sum((form - t[s]) ** 2, (s, 0, N - 1)), [A], inputs),
        "matrix": Form(R.T * R, [B], {**inputs, "t": column(inputs["t"])}),
    }


def polynomial() -> dict[str, Problem]:
    x, w, t = base("x", N), base("w", P), base("t", N)
    inputs = {"x": numbers(5, seed=1), "w": numbers(4, seed=2), "t": numbers(5, seed=3)}
    fit = Sum(w[k] * x[s] ** k, (k, 0, P - 1))
    return {"indexed": Form(Sum((fit - t[s]) ** 2, (s, 0, N - 1)), [w], inputs)}


# --- 20: functions to minimise ----------------------------------------------------------------------------------


def rosenbrock() -> dict[str, Problem]:
    x, (x0, x1, x2) = base("x", n_), symbols("x0:3")
    X = MatrixSymbol("x", n_, 1)
    point = np.array([-1.2, 1.1, 0.9])
    A, B = X[1:n_, 0], X[0 : n_ - 1, 0]
    E, G = A - times(B, B), B - OneMatrix(n_ - 1, 1)
    return {
        "scalar": Form(
            100 * (x1 - x0**2) ** 2 + (1 - x0) ** 2 + 100 * (x2 - x1**2) ** 2 + (1 - x1) ** 2,
            [x0, x1, x2],
            split("x", point),
        ),
        "indexed": Form(Sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2, (i, 0, n_ - 2)), [x], {"x": point}),
        "matrix": Form(100 * E.T * E + G.T * G, [X], {"x": column(point)}),
    }


def beale() -> dict[str, Problem]:
    x, y = symbols("x y")
    terms = [Rational(3, 2) - x + x * y, Rational(9, 4) - x + x * y**2, Rational(21, 8) - x + x * y**3]
    return {"scalar": Form(sum(a**2 for a in terms), [x, y], {"x": 1.3, "y": -0.7})}


def himmelblau() -> dict[str, Problem]:
    x, y = symbols("x y")
    return {"scalar": Form((x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, [x, y], {"x": 1.3, "y": -0.7})}


def rastrigin() -> dict[str, Problem]:
    x, xs, point = base("x", n_), symbols("x0:3"), np.array([0.3, -1.2, 2.6])
    terms = Sum(x[i] ** 2 - 10 * cos(2 * pi * x[i]), (i, 0, n_ - 1))
    return {
        "scalar": Form(30 + sum(a**2 - 10 * cos(2 * pi * a) for a in xs), list(xs), split("x", point)),
        "indexed": Form(10 * n_ + terms, [x], {"x": point}),
    }


def ackley() -> dict[str, Problem]:
    x, xs, point = base("x", n_), symbols("x0:3"), np.array([0.3, -1.2, 2.6])
    X = MatrixSymbol("x", n_, 1)

    def form(mean_square: Any, mean_cosine: Any) -> Any:
        return -20 * exp(-sqrt(mean_square) / 5) - exp(mean_cosine) + 20 + sympy.E

    every = (i, 0, n_ - 1)
    return {
        "scalar": Form(
            form(sum(a**2 for a in xs) / 3, sum(cos(2 * pi * a) for a in xs) / 3), list(xs), split("x", point)
        ),
        "indexed": Form(form(Sum(x[i] ** 2, every) / n_, Sum(cos(2 * pi * x[i]), every) / n_), [x], {"x": point}),
        "matrix": Form(
            form(Trace(X.T * X) / n_, Trace(X.applyfunc(lambda a: cos(2 * pi * a)) * OneMatrix(1, n_)) / n_),
            [X],
            {"x": column(point)},
        ),
    }


# --- 21, 23: geometry and curve fits ----------------------------------------------------------------------------


def bundle_adjustment() -> dict[str, Problem]:
    """Squared reprojection error: Rodrigues rotation, translation, radial distortion, projection; 11 + 3 + 1 inputs."""
    r, centre, focal, x0, k = symbols("r0:3"), symbols("c0:3"), Symbol("f"), symbols("p0:2"), symbols("k0:2")
    point, weight, feature = symbols("X0:3"), Symbol("w"), symbols("m0:2")
    theta = Symbol("theta")
    axis, moved, turned, flat_ = symbols("a0:3"), symbols("d0:3"), symbols("q0:3"), symbols("u0:2")
    cross = [axis[(a + 1) % 3] * moved[(a + 2) % 3] - axis[(a + 2) % 3] * moved[(a + 1) % 3] for a in range(3)]
    along, square, stretch = symbols("along square stretch")
    define = {theta: sqrt(sum(a**2 for a in r)), **{axis[a]: r[a] / theta for a in range(3)}}
    define |= {moved[a]: point[a] - centre[a] for a in range(3)}
    define[along] = sum(axis[a] * moved[a] for a in range(3))
    define |= {
        turned[a]: moved[a] * cos(theta) + cross[a] * sin(theta) + axis[a] * along * (1 - cos(theta)) for a in range(3)
    }
    define |= {flat_[a]: turned[a] / turned[2] for a in range(2)}
    define |= {square: flat_[0] ** 2 + flat_[1] ** 2, stretch: 1 + k[0] * square + k[1] * square**2}
    error = [weight * (focal * stretch * flat_[a] + x0[a] - feature[a]) for a in range(2)]
    wrt = [*r, *centre, focal, *x0, *k, *point, weight]
    start = [0.3, -0.2, 0.5, 0.1, 0.4, -2.0, 1.7, 0.05, -0.08, 0.1, -0.03, 0.6, -0.9, 1.1, 0.7]
    inputs = {str(a): v for a, v in zip(wrt, start, strict=True)} | {"m0": 0.2, "m1": -0.1}
    return {"defined": Form(error[0] ** 2 + error[1] ** 2, wrt, inputs, define=define)}


def curve(
    residual: Callable[..., Any], parameters: dict[str, float], columns: dict[str, np.ndarray]
) -> dict[str, Problem]:
    """A mean of squares over samples of residual(*parameters, *columns), per sample and indexed."""
    wrt, data = scalars(parameters), scalars(columns)
    indexed = residual(*wrt, *[base(name, N)[s] for name in columns])
    return {
        "scalar": Form(residual(*wrt, *data), wrt, {**parameters, **columns}, data=data),
        "indexed": Form(Sum(indexed, (s, 0, N - 1)) / N, wrt, {**parameters, **columns}),
    }


def pinhole() -> dict[str, Problem]:
    return curve(
        lambda f, u0, v0, X, Y, Z, u, v: (f * X / Z + u0 - u) ** 2 + (f * Y / Z + v0 - v) ** 2,
        {"f": 1.8, "u0": 0.1, "v0": -0.2},
        {name: numbers(5, seed=a, low=0.5, high=2) for a, name in enumerate("XYZuv")},
    )


def kepler() -> dict[str, Problem]:
    return curve(
        lambda mu, e, a, T: (log(T) - log(2 * pi * sqrt(a**3 / mu)) - e) ** 2,
        {"mu": 1.4, "e": 0.1},
        {"a": numbers(5, seed=1, low=0.5, high=5), "T": numbers(5, seed=2, low=1, high=9)},
    )


def michaelis_menten() -> dict[str, Problem]:
    return curve(
        lambda top, half, S, v: (v - top * S / (half + S)) ** 2,
        {"top": 2.1, "half": 0.7},
        {"S": numbers(6, seed=1, low=0.1, high=4), "v": numbers(6, seed=2, low=0.2, high=2)},
    )


# --- 25, 26 -----------------------------------------------------------------------------------------------------


def weighted() -> dict[str, Problem]:
    x, w, t, a = base("x", N, D), base("w", D), base("t", N), base("a", N)
    z = Sum(x[s, j] * w[j], (j, 0, D - 1))
    loss = Sum(a[s] * (z - t[s]) ** 2, (s, 0, N - 1)) / Sum(a[s], (s, 0, N - 1))
    weights = np.array([1.0, 0, 2, 3])
    inputs = {"x": numbers(4, 2, seed=1), "w": numbers(2, seed=2), "t": numbers(4, seed=3), "a": weights}
    return {"indexed": Form(loss, [w], inputs)}


def masked() -> dict[str, Problem]:
    x, w, t, a = base("x", N, D), base("w", D), base("t", N), base("a", N)
    z = Sum(x[s, j] * w[j], (j, 0, D - 1))
    loss = Sum(Piecewise(((z - t[s]) ** 2, a[s] > 0), (0, True)), (s, 0, N - 1))
    xs, ts = numbers(4, 2, seed=1), numbers(4, seed=3)
    xs[1, 0], ts[3] = np.nan, np.nan
    inputs = {"x": xs, "w": numbers(2, seed=2), "t": ts, "a": np.array([1.0, 0, 2, 0])}
    return {"indexed": Form(loss, [w], inputs)}


def root_of_sum() -> dict[str, Problem]:
    x, w, t = base("x", N, D), base("w", D), base("t", N)
    X, W, T = MatrixSymbol("x", N, D), MatrixSymbol("w", D, 1), MatrixSymbol("t", N, 1)
    inputs = {"x": numbers(5, 2, seed=1), "w": numbers(2, seed=2), "t": numbers(5, seed=3)}
    error = Sum(x[s, j] * w[j], (j, 0, D - 1)) - t[s]
    R = X * W - T
    return {
        "indexed": Form(sqrt(Sum(error**2, (s, 0, N - 1))), [w], inputs),
        "matrix": Form(sqrt(Trace(R.T * R)), [W], {**inputs, "w": column(inputs["w"]), "t": column(inputs["t"])}),
    }


def log_of_sum() -> dict[str, Problem]:
    x, w = base("x", N, D), base("w", D)
    z = Sum(x[s, j] * w[j], (j, 0, D - 1))
    inputs = {"x": numbers(5, 2, seed=1), "w": numbers(2, seed=2)}
    return {"indexed": Form(log(Sum(exp(z), (s, 0, N - 1))), [w], inputs)}


def cox() -> dict[str, Problem]:
    """The partial likelihood of Cox: the risk set of a sample is made of other samples.

    The risk set is a table of ones and zeros. A Piecewise on `time[r] >= time[s]` cannot be written here: SymPy's
    outer Sum pulls it out of the inner one (piecewise_fold), past the index that its condition depends on.
    """
    x, w, at_risk = base("x", N, D), base("w", D), base("at_risk", N, N)
    r = Symbol("r", integer=True)

    def z(s: Any) -> Any:
        return Sum(x[s, j] * w[j], (j, 0, D - 1))

    time = numbers(5, seed=3)
    risk = Sum(at_risk[s, r] * exp(z(r)), (r, 0, N - 1))
    table = np.where(time >= column(time), 1.0, 0.0)
    inputs = {"x": numbers(5, 2, seed=1), "w": numbers(2, seed=2), "at_risk": table}
    return {"indexed": Form(Sum(log(risk) - z(s), (s, 0, N - 1)), [w], inputs)}


TARGETS = numbers(SAMPLES, seed=5)
SIGNS = np.array([1.0, -1, -1, 1, 1, -1])
COUNTS = np.array([0.0, 2, 1, 4, 0, 3])

ZOO: tuple[Row, ...] = (
    Row(1, "lecture", Forms("scalar indexed matrix", lecture)),
    Row(2, "neuron-tanh", Forms("scalar indexed matrix", neuron, tanh)),
    Row(2, "neuron-sigmoid", Forms("scalar indexed matrix", neuron, sigmoid)),
    Row(2, "neuron-relu", Forms("scalar indexed matrix", neuron, relu)),
    Row(3, "linear", Forms("scalar indexed matrix", glm, squared, TARGETS), sampled=True),
    Row(4, "logistic", Forms("scalar indexed matrix", glm, softplus_loss, SIGNS), sampled=True),
    Row(4, "logistic-likelihood", Forms("scalar indexed matrix", glm, likelihood_loss, SIGNS), sampled=True),
    Row(5, "softmax", Forms("scalar indexed matrix", softmax), sampled=True),
    Row(6, "svm", Forms("scalar indexed matrix", svm), sampled=True),
    Row(7, "huber", Forms("scalar indexed", glm, huber, TARGETS), sampled=True),
    Row(7, "quantile", Forms("scalar indexed", glm, quantile, TARGETS), sampled=True),
    Row(7, "log-cosh", Forms("scalar indexed", glm, log_cosh, TARGETS), sampled=True),
    Row(7, "epsilon-insensitive", Forms("scalar indexed", glm, insensitive, TARGETS), sampled=True),
    Row(8, "poisson", Forms("scalar indexed", glm, poisson, COUNTS), sampled=True),
    Row(8, "gamma", Forms("indexed", gamma_regression), sampled=True),
    Row(8, "negative-binomial", Forms("indexed", negative_binomial), sampled=True),
    Row(9, "network-2-relu", Forms("indexed defined matrix", network, relu, 2), sampled=True),
    Row(9, "network-2-tanh", Forms("indexed defined matrix", network, tanh, 2), sampled=True),
    Row(9, "network-2-gelu", Forms("indexed defined matrix", network, gelu, 2), sampled=True),
    Row(9, "network-3-tanh", Forms("indexed defined matrix", network, tanh, 3), sampled=True),
    Row(9, "network-3-relu", Forms("indexed defined matrix", network, relu, 3), sampled=True),
    Row(10, "autoencoder", Forms("indexed matrix", autoencoder), sampled=True),
    Row(11, "factorisation", Forms("indexed matrix", factorisation), sampled=True),
    Row(12, "word-vectors", Forms("indexed", word_vectors), sampled=True),
    Row(13, "mixture", Forms("indexed", mixture), sampled=True),
    Row(14, "k-means-soft", Forms("indexed", k_means, hard=False), sampled=True),
    Row(14, "k-means-hard", Forms("indexed", k_means, hard=True), sampled=True),
    Row(15, "gaussian", Forms("matrix", gaussian)),
    Row(16, "convolution-1d", Forms("indexed", convolution_1d), sampled=True),
    Row(16, "convolution-2d", Forms("indexed", convolution_2d), sampled=True),
    Row(17, "autoregression", Forms("indexed", autoregression)),
    Row(17, "moving-average", Forms("indexed", moving_average)),
    Row(18, "bilinear", Forms("indexed matrix", bilinear), sampled=True),
    Row(18, "polynomial", Forms("indexed", polynomial), sampled=True),
    Row(19, "radial-basis", Forms("indexed", radial_basis), sampled=True),
    Row(19, "kernel-ridge", Forms("indexed", kernel_ridge)),
    Row(20, "rosenbrock", Forms("scalar indexed matrix", rosenbrock)),
    Row(20, "beale", Forms("scalar", beale)),
    Row(20, "himmelblau", Forms("scalar", himmelblau)),
    Row(20, "rastrigin", Forms("scalar indexed", rastrigin)),
    Row(20, "ackley", Forms("scalar indexed matrix", ackley)),
    Row(21, "bundle-adjustment", Forms("defined", bundle_adjustment)),
    Row(23, "pinhole", Forms("scalar indexed", pinhole), sampled=True),
    Row(23, "kepler", Forms("scalar indexed", kepler), sampled=True),
    Row(23, "michaelis-menten", Forms("scalar indexed", michaelis_menten), sampled=True),
    Row(24, "bradley-terry", Forms("scalar indexed", bradley_terry), sampled=True),
    Row(24, "elo", Forms("indexed", elo), sampled=True),
    Row(25, "weighted", Forms("indexed", weighted)),
    Row(25, "masked", Forms("indexed", masked), sampled=True),
    Row(26, "root-of-sum", Forms("indexed matrix", root_of_sum)),
    Row(26, "log-of-sum", Forms("indexed", log_of_sum)),
    Row(26, "cox", Forms("indexed", cox)),
)

BY_NAME = {row.name: row for row in ZOO}


def reference_notation(name: str) -> str:
    """Return the notation that the exact oracle is asked for."""
    return min(BY_NAME[name].forms, key=["defined", "indexed", "matrix", "scalar"].index)


@functools.cache
def reference(name: str) -> tuple[Problem, Answer]:
    """Return the form that the exact oracle is asked for, and its answer; test_oracle.py shows that all forms agree."""
    problem = BY_NAME[name].forms[reference_notation(name)]
    return problem, kept(f"zoo-{name}", lambda: exact(problem))


def in_order(problem: Problem, grads: dict[str, Any]) -> list[Any]:
    """Return all gradients in the order of `wrt`, each flattened: the same vector for all forms of a row."""
    return [g for name in problem.names for g in np.asarray(grads[name]).flat]


def arguments(problem: Problem) -> dict[str, Any]:
    """What gc.compile and gc.emit are called with."""
    options: dict[str, Any] = {"expr": problem.objective, "wrt": list(problem.wrt)}
    if problem.data:
        options["data"] = list(problem.data)
    if problem.define:
        options["define"] = dict(problem.define)
    return options


def call(f: Callable[..., Any], problem: Problem, /, **changed: Any) -> Any:
    """Call a method of a model with the inputs of a problem, some of them changed."""
    return f(**{**problem.inputs, **changed})


def load(text: str, path: Path) -> Any:
    """Write an emitted module to a file and run it as a module.

    It is not imported: Python would take the bytecode of another text for this one's if a file of the same name had the
    same length a moment ago.
    """
    path.write_text(text, encoding="utf-8")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(text, path, "exec"), vars(module))  # what gradcompile emitted
    return module


def load_uncompiled(text: str, path: Path) -> Any:
    """Import an emitted Numba module as the Python that it is: the same operations in the same order, no compiler.

    Numba takes seconds for a module, so that is what runs for every model in every notation; a few are compiled too.
    A block has two samples: the few of a test are several blocks, the last of them maybe a part of one.
    """
    import numba  # here, for processes that only look at models

    text = text.replace("max(128, samples_in_block(", "max(2, samples_in_block(")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", lambda *function, **flags: function[0] if function else lambda f: f)
        module = load(text, path)
    module.math = Ieee()
    if sign := getattr(module, "sign", None):
        module.sign = lambda x: sign(float(x))  # NumPy's booleans cannot be subtracted; Python's and Numba's can
    if hasattr(module, "samples_in_block"):
        module.samples_in_block = lambda width: 2
    if hasattr(module, "gemm"):
        module.gemm = product  # BLAS is called by address, which only compiled code can do
    return module


def product(alpha: float, a: np.ndarray, b: np.ndarray, beta: float, c: np.ndarray) -> None:
    """Set c to alpha*a@b + beta*c; with beta = 0, c need not be a number."""
    c[:] = alpha * (a @ b) + (beta * c if beta else 0)


class Ieee:
    """`math` as Numba compiles it: not a number where Python raises ValueError."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(math, name)

        def quiet(*args: float) -> float:
            try:
                return function(*args)
            except ValueError:
                return math.nan

        return quiet if callable(function) else function


def as_passed(value: Any) -> Any:
    """Return an input as a user passes it to an emitted module: a number as a number."""
    return np.asarray(value) if np.ndim(value) else value
