"""One epoch of minibatch SGD for the softmax classifier, at the size of MNIST."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import epochs
from benchmarks.contestants import NO_DATA, NO_LOOP
from benchmarks.gradients import total
from benchmarks.row import Arrays, Row, Work

SAMPLES, FEATURES, CLASSES, BATCH, RATE = 60_000, 784, 10, 128, 0.01


def data(scale: float) -> Arrays:
    """Random images with labels from a random linear teacher, so that there is something to learn."""
    random = np.random.default_rng(1)
    x = random.random((int(SAMPLES * scale), FEATURES), dtype=np.float32)
    teacher = random.normal(size=(FEATURES, CLASSES)).astype(np.float32)
    return {"x": x, "gt": np.argmax((x - np.float32(0.5)) @ teacher, axis=1)}


def start(arrays: Arrays) -> dict[str, np.ndarray]:
    """Zeros."""
    return {"W": np.zeros((FEATURES, CLASSES), np.float32), "b": np.zeros(CLASSES, np.float32)}


def model() -> Any:
    """Compile the objective as the lecture writes it."""
    from sympy import IndexedBase, Sum, exp, log, symbols

    import gradcompile as gc

    N, D, C = symbols("N D C", integer=True, positive=True)
    s, j, i = symbols("s j i", integer=True)
    x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
    W, b = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,))

    def y(s, i):
        return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]

    def p(s, c):
        return exp(y(s, c)) / Sum(exp(y(s, i)), (i, 0, C - 1))

    return gc.compile(-Sum(log(p(s, gt[s])), (s, 0, N - 1)), wrt=[W, b], dtype="float32")


def jax_loss(x, gt, W, b):
    """Write the mean loss in JAX."""
    import jax
    import jax.numpy as jnp

    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x @ W + b), gt[:, None], axis=1))


def torch_loss(x, gt, W, b):
    """Write the mean loss in torch."""
    import torch

    return torch.nn.functional.cross_entropy(torch.addmm(b, x, W), gt)


def scikit_learn(arrays: Arrays) -> Work:
    """Fit SGDClassifier for one epoch: one classifier against the rest a class, a sample a step; nothing to compare."""
    from sklearn.linear_model import SGDClassifier

    fitted = SGDClassifier(
        loss="log_loss",
        penalty=None,
        learning_rate="constant",
        eta0=RATE,
        max_iter=1,
        tol=None,
        random_state=0,
        n_jobs=2,
    )
    return Work(run=lambda: fitted.fit(arrays["x"], arrays["gt"]))


ROW = Row(
    name="softmax-epoch",
    work=f"softmax classifier, {SAMPLES:,} x {FEATURES} float32, {CLASSES} classes, one epoch of SGD, batch {BATCH}",
    data=data,
    contestants={
        "gradcompile": epochs.gradcompile(model, start, RATE, BATCH),
        "jax": epochs.jax(epochs.jax_descent(jax_loss, RATE), start, BATCH),
        "limit": total("x"),
        "torch": epochs.torch(torch_loss, start, RATE, BATCH),
        "scikit-learn": scikit_learn,
    },
    goals={"jax": 1.5, "torch": 5, "scikit-learn": 12},
    limit="sum of x",
    cannot={"pytensor": NO_LOOP, "casadi": NO_LOOP, "symengine": NO_DATA},
    tolerance=1e-3,
)
