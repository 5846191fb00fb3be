"""Models outside of the table, each against JAX: where the compiler is weak, it shows here first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gradients import gradcompile, inputs, jax
from benchmarks.row import Arrays, Row
from benchmarks.rows import others_in_jax as losses

Draw = Callable[[np.random.Generator, int], dict[str, Any]]


def row(
    name: str, model: str, loss: Callable[..., Any], wrt: str, draw: Draw, samples: int, dtype: str = "float64"
) -> Row:
    """Return a row: a model, its loss in JAX, its parameters, and what draws its inputs for a number of samples."""

    def data(scale: float) -> Arrays:
        made = inputs(**draw(np.random.default_rng(0), int(samples * scale)))
        return {key: a.astype(dtype) if a.dtype.kind == "f" else a for key, a in made.items()}

    names = wrt.split()
    return Row(
        name=f"others-{name}",
        work=f"{name}, {samples:,} samples, {dtype}, value and gradient",
        data=data,
        contestants={"gradcompile": gradcompile(model, names, dtype), "jax": jax(loss, names, dtype)},
        goals={"jax": 1},
        tolerance=1e-8 if dtype == "float64" else 1e-3,
        repeats=5,
    )


def gathered(random: np.random.Generator, n: int, items: int) -> np.ndarray:
    """Draw labels, small ones more often."""
    return (items * random.random(n) ** 1.5).astype(np.int64)


# The rest is not among the models that the package ships either.

STUDENT = """
    x: data[N, D]
    t: data[N]
    w: parameter[D]
    b: parameter
    s: parameter
    nu: parameter
    z[n] = (Sum(x[n, j]*w[j], j) + b - t[n])/exp(s)
    loss = Sum((exp(nu) + 1)/2*log1p(z[n]**2/exp(nu)) + s + lgamma(exp(nu)/2) - lgamma((exp(nu) + 1)/2) + nu/2, n)
"""


ITEM_RESPONSE = """
    right:   data[N]
    student: labels[N]
    task:    labels[N]
    ability: parameter[A]
    ease:    parameter[B]
    slope:   parameter[B]
    z[n] = exp(slope[task[n]])*(ability[student[n]] - ease[task[n]])
    loss = -Sum(right[n]*log(sigmoid(z[n])) + (1 - right[n])*log(1 - sigmoid(z[n])), n) + Sum(ability[a]**2, a)/2
"""


TWO_CONVOLUTIONS = """
    x:  data[N, 28, 28]
    gt: labels[N]
    w:  parameter[5, 5, C]
    u:  parameter[3, 3, C, F]
    V:  parameter[F, O]
    h[s, i, j, c] = max(0, Sum(x[s, 2*i + p, 2*j + q]*w[p, q, c], p, q))
    g[s, i, j, f] = max(0, Sum(h[s, i + p, j + q, c]*u[p, q, c, f], p, q, c))
    y[s, o]       = Sum(Mean(g[s, i, j, f], i, j)*V[f, o], f)
    loss          = -Sum(y[s, gt[s]] - log(Sum(exp(y[s, o]), o)), s)
"""


CONTRASTIVE = """
    x: data[N, D]
    y: data[N, D]
    W: parameter[D, K]
    V: parameter[D, K]
    a[s, k] = Sum(x[s, j]*W[j, k], j)
    b[s, k] = Sum(y[s, j]*V[j, k], j)
    z[s, r] = Sum(a[s, k]*b[r, k], k)
    loss    = -Sum(z[s, s] - log(Sum(exp(z[s, r]), r)), s)
"""


COX = """
    x:    data[N, D]
    time: data[N]
    died: data[N]
    w:    parameter[D]
    z[s] = Sum(x[s, j]*w[j], j)
    loss = -Sum(died[s]*(z[s] - log(Sum(where(time[r] >= time[s], exp(z[r]), 0), r))), s)
"""


MACHINE = """
    x: data[N, D]
    t: data[N]
    w: parameter[D]
    V: parameter[D, K]
    q[s, k] = Sum(x[s, j]*V[j, k], j)
    y[s]    = Sum(x[s, j]*w[j], j) + Sum(q[s, k]**2 - Sum(x[s, j]**2*V[j, k]**2, j), k)/2
    loss    = Sum(log(1 + exp(-t[s]*y[s])), s)
"""


BODIES = """
    m: constant[N]
    p: parameter[N, 3]
    loss = -Sum(Sum(where(i < j, m[i]*m[j]/sqrt(Sum((p[i, k] - p[j, k])**2, k) + 1e-4), 0), i), j)
"""


ATTENTION = """
    x: data[N, T, D]
    t: data[N, T, D]
    Q: parameter[D, K]
    L: parameter[D, K]
    V: parameter[D, D]
    q[n, s, k] = Sum(x[n, s, d]*Q[d, k], d)
    l[n, r, k] = Sum(x[n, r, d]*L[d, k], d)
    v[n, r, e] = Sum(x[n, r, d]*V[d, e], d)
    z[n, s, r] = exp(Sum(q[n, s, k]*l[n, r, k], k)/4)
    y[n, s, e] = Sum(z[n, s, r]*v[n, r, e], r)/Sum(z[n, s, r], r)
    loss = Sum((y[n, s, e] - t[n, s, e])**2, n, s, e)
"""


def plane(random: np.random.Generator, n: int, features: int = 20) -> dict[str, Any]:
    """Draw samples, and parameters of a plane."""
    return {"x": random.normal(size=(n, features)), "w": random.normal(size=features) / features, "b": 0.1}


def counts(random: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw samples with counts."""
    return {**plane(random, n), "n": random.poisson(2.0, size=n).astype(float)}


def targets(random: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw samples with targets."""
    return {**plane(random, n), "t": random.normal(size=n)}


def layers(random: np.random.Generator, *widths: int) -> list[np.ndarray]:
    """Draw the weights of layers."""
    return [random.normal(size=(a, b)) / np.sqrt(a) for a, b in itertools.pairwise(widths)]


def draw_network3(random: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw images and a network."""
    W1, W2, W3 = layers(random, 784, 128, 64, 10)
    x, gt = random.random((n, 784)), random.integers(0, 10, n)
    return {
        "x": x,
        "gt": gt,
        "W1": W1,
        "b1": 0.1 * np.ones(128),
        "W2": W2,
        "b2": np.zeros(64),
        "W3": W3,
        "b3": np.zeros(10),
    }


def draw_bundle(random: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw cameras that look at a cloud of points."""
    cameras, points = 49, max(n // 4, 10)
    return {
        "camera": random.integers(0, cameras, n),
        "point": random.integers(0, points, n),
        "u": random.normal(size=n),
        "v": random.normal(size=n),
        "r": 0.3 * random.normal(size=(cameras, 3)),
        "c": random.normal(size=(cameras, 3)) + np.array([0, 0, -8]),
        "f": 1 + random.random(cameras),
        "o": 0.1 * random.normal(size=(cameras, 2)),
        "k": 0.01 * random.normal(size=(cameras, 2)),
        "X": random.normal(size=(points, 3)),
        "w": random.random(n),
    }


def draw_words(random: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw pairs of words, and vectors."""
    return {
        "centre": gathered(random, n, 5000),
        "context": gathered(random, n, 5000),
        "negative": gathered(random, 5 * n, 5000).reshape(n, 5),
        "U": 0.1 * random.normal(size=(5000, 64)),
        "V": 0.1 * random.normal(size=(5000, 64)),
    }


OTHERS = (
    row(
        "kmeans",
        "kmeans",
        losses.kmeans,
        "c",
        lambda r, n: {"x": r.normal(size=(n, 16)), "c": r.normal(size=(32, 16))},
        100_000,
    ),
    row("poisson", "poisson", losses.poisson, "w b", counts, 200_000),
    row(
        "negative-binomial",
        "negative_binomial",
        losses.negative_binomial,
        "w b a",
        lambda r, n: {**counts(r, n), "a": 0.3},
        50_000,
    ),
    row("huber", "huber", losses.huber, "w b", targets, 500_000),
    row("student", STUDENT, losses.student, "w b s nu", lambda r, n: {**targets(r, n), "s": 0.1, "nu": 1.0}, 200_000),
    row(
        "svm",
        "svm",
        losses.svm,
        "W b",
        lambda r, n: {
            "x": r.normal(size=(n, 100)),
            "gt": r.integers(0, 10, n),
            "W": r.normal(size=(100, 10)) / 10,
            "b": r.normal(size=10),
        },
        50_000,
    ),
    row(
        "convolution",
        "convolution",
        losses.convolution,
        "w V b",
        lambda r, n: {
            "x": r.normal(size=(n, 128)),
            "gt": r.integers(0, 10, n),
            "w": r.normal(size=(9, 16)) / 3,
            "V": r.normal(size=(16, 10)),
            "b": np.zeros(10),
        },
        2_000,
        "float32",
    ),
    row(
        "convolution2d",
        "convolution2d",
        losses.convolution2d,
        "w V b",
        lambda r, n: {
            "x": r.normal(size=(n, 28, 28)),
            "gt": r.integers(0, 10, n),
            "w": r.normal(size=(5, 5, 8)) / 5,
            "V": r.normal(size=(8, 10)),
            "b": np.zeros(10),
        },
        1_000,
        "float32",
    ),
    row(
        "autoencoder",
        "autoencoder",
        losses.autoencoder,
        "W b c",
        lambda r, n: {
            "x": r.random((n, 256)),
            "W": r.normal(size=(256, 32)) / 16,
            "b": np.zeros(32),
            "c": np.zeros(256),
        },
        10_000,
        "float32",
    ),
    row("network3", "network3", losses.network3, "W1 b1 W2 b2 W3 b3", draw_network3, 5_000, "float32"),
    row(
        "bilinear",
        "bilinear",
        losses.bilinear,
        "A b",
        lambda r, n: {"x": r.normal(size=(n, 20)), "t": r.normal(size=n), "A": r.normal(size=(20, 20)) / 20, "b": 0.1},
        100_000,
    ),
    row(
        "autoregression",
        "autoregression",
        losses.autoregression,
        "a c",
        lambda r, n: {"x": r.normal(size=n), "a": r.normal(size=8) / 8, "c": 0.1},
        1_000_000,
    ),
    row(
        "bradley-terry",
        "bradley_terry",
        losses.bradley_terry,
        "r",
        lambda r, n: {"won": gathered(r, n, 2000), "lost": gathered(r, n, 2000), "r": r.normal(size=2000)},
        500_000,
    ),
    row(
        "item-response",
        ITEM_RESPONSE,
        losses.item_response,
        "ability ease slope",
        lambda r, n: {
            "right": r.integers(0, 2, n).astype(float),
            "student": gathered(r, n, 10_000),
            "task": gathered(r, n, 200),
            "ability": r.normal(size=10_000),
            "ease": r.normal(size=200),
            "slope": 0.3 * r.normal(size=200),
        },
        500_000,
    ),
    row("word-vectors", "word_vectors", losses.word_vectors, "U V", draw_words, 20_000, "float32"),
    row("bundle-adjustment", "bundle_adjustment", losses.bundle_adjustment, "r c f o k X w", draw_bundle, 100_000),
    row(
        "kernel-ridge",
        "kernel_ridge",
        losses.kernel_ridge,
        "a h",
        lambda r, n: {"x": r.normal(size=(n, 5)), "t": r.normal(size=n), "a": r.normal(size=n), "h": 1.5},
        2_000,
    ),
    row(
        "two-convolutions",
        TWO_CONVOLUTIONS,
        losses.two_convolutions,
        "w u V",
        lambda r, n: {
            "x": r.random((n, 28, 28)),
            "gt": r.integers(0, 10, n),
            "w": r.normal(size=(5, 5, 8)) / 5,
            "u": r.normal(size=(3, 3, 8, 16)) / 8,
            "V": r.normal(size=(16, 10)) / 4,
        },
        500,
        "float32",
    ),
    row(
        "contrastive",
        CONTRASTIVE,
        losses.contrastive,
        "W V",
        lambda r, n: {
            "x": r.normal(size=(n, 64)),
            "y": r.normal(size=(n, 64)),
            "W": r.normal(size=(64, 32)) / 8,
            "V": r.normal(size=(64, 32)) / 8,
        },
        2_000,
        "float32",
    ),
    row(
        "cox",
        COX,
        losses.cox,
        "w",
        lambda r, n: {
            "x": r.normal(size=(n, 10)),
            "time": r.random(n),
            "died": r.integers(0, 2, n).astype(float),
            "w": r.normal(size=10) / 5,
        },
        3_000,
    ),
    row(
        "factorisation-machine",
        MACHINE,
        losses.machine,
        "w V",
        lambda r, n: {
            "x": r.normal(size=(n, 40)),
            "t": np.sign(r.normal(size=n)),
            "w": r.normal(size=40) / 6,
            "V": r.normal(size=(40, 8)) / 20,
        },
        100_000,
    ),
    row("bodies", BODIES, losses.bodies, "p", lambda r, n: {"m": r.random(n), "p": r.normal(size=(n, 3))}, 1_500),
    row(
        "attention",
        ATTENTION,
        losses.attention,
        "Q L V",
        lambda r, n: {
            "x": r.normal(size=(n, 32, 32)),
            "t": r.normal(size=(n, 32, 32)),
            "Q": r.normal(size=(32, 16)) / 6,
            "L": r.normal(size=(32, 16)) / 6,
            "V": r.normal(size=(32, 32)) / 6,
        },
        300,
        "float32",
    ),
)
