"""One epoch of minibatch SGD for a network with one hidden layer, at the size of MNIST."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks import epochs
from benchmarks.contestants import NO_DATA, NO_LOOP
from benchmarks.row import Arrays, Row, Work

SAMPLES, FEATURES, HIDDEN, CLASSES, BATCH, RATE = 60_000, 784, 256, 10, 128, 0.002
MODEL = """
    x:  data[N, D]
    gt: labels[N]
    W1: parameter[D, H]
    b1: parameter[H]
    W2: parameter[H, C]
    b2: parameter[C]

    h[s, k] = relu(Sum(x[s, j]*W1[j, k], j) + b1[k])
    y[s, i] = Sum(h[s, k]*W2[k, i], k) + b2[i]
    p[s, i] = exp(y[s, i]) / Sum(exp(y[s, c]), c)
    loss    = -Sum(log(p[s, gt[s]]), s)
"""


def data(scale: float) -> Arrays:
    """Random images with labels from a random network."""
    random = np.random.default_rng(1)
    x = random.random((int(SAMPLES * scale), FEATURES), dtype=np.float32)
    hidden = np.maximum((x - np.float32(0.5)) @ random.normal(size=(FEATURES, 64)).astype(np.float32), 0)
    return {"x": x, "gt": np.argmax(hidden @ random.normal(size=(64, CLASSES)).astype(np.float32), axis=1)}


def start(arrays: Arrays) -> dict[str, np.ndarray]:
    """Glorot's normal numbers, and zeros."""
    random = np.random.default_rng(2)
    return {
        "W1": (random.normal(size=(FEATURES, HIDDEN)) / np.sqrt(FEATURES)).astype(np.float32),
        "b1": np.zeros(HIDDEN, np.float32),
        "W2": (random.normal(size=(HIDDEN, CLASSES)) / np.sqrt(HIDDEN)).astype(np.float32),
        "b2": np.zeros(CLASSES, np.float32),
    }


def model() -> Any:
    """Compile the model's text."""
    import gradcompile as gc

    return gc.compile(gc.parse(MODEL), dtype="float32")


def limit(arrays: Arrays) -> Work:
    """Multiply the matrices of every batch, with OpenBLAS through NumPy: nothing else.

    The gradient by x is not needed, so that the first layer has two products and the second three.
    """
    x, parameters = arrays["x"], start(arrays)
    W1, W2 = parameters["W1"], parameters["W2"]
    h, y = np.empty((BATCH, HIDDEN), np.float32), np.empty((BATCH, CLASSES), np.float32)
    dh, dW1, dW2 = np.empty_like(h), np.empty_like(W1), np.empty_like(W2)

    def run() -> None:
        for first in range(0, len(x), BATCH):
            batch = x[first : first + BATCH]
            rows = len(batch)
            np.dot(batch, W1, out=h[:rows])
            np.dot(h[:rows], W2, out=y[:rows])
            np.dot(h[:rows].T, y[:rows], out=dW2)
            np.dot(y[:rows], W2.T, out=dh[:rows])
            np.dot(batch.T, dh[:rows], out=dW1)

    return Work(run=run)


def jax_loss(x, gt, W1, b1, W2, b2):
    """Write the mean loss in JAX."""
    import jax
    import jax.numpy as jnp

    y = jax.nn.relu(x @ W1 + b1) @ W2 + b2
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), gt[:, None], axis=1))


def torch_loss(x, gt, W1, b1, W2, b2):
    """Write the mean loss in torch."""
    import torch

    h = torch.relu(torch.addmm(b1, x, W1))
    return torch.nn.functional.cross_entropy(torch.addmm(b2, h, W2), gt)


def scikit_learn(arrays: Arrays) -> Work:
    """Fit MLPClassifier for one epoch of the same steps from a start of its own; nothing to compare."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is what is asked for
    fitted = MLPClassifier(
        HIDDEN,
        solver="sgd",
        alpha=0,
        batch_size=BATCH,
        learning_rate_init=RATE,
        momentum=0,
        nesterovs_momentum=False,
        max_iter=1,
        random_state=0,
    )
    return Work(run=lambda: fitted.fit(arrays["x"], arrays["gt"]))


ROW = Row(
    name="network-epoch",
    work=f"{FEATURES}-{HIDDEN}-{CLASSES} relu network, {SAMPLES:,} float32 images, one epoch of SGD, batch {BATCH}",
    data=data,
    contestants={
        "gradcompile": epochs.gradcompile(model, start, RATE, BATCH),
        "limit": limit,
        "jax": epochs.jax(epochs.jax_descent(jax_loss, RATE), start, BATCH),
        "torch": epochs.torch(torch_loss, start, RATE, BATCH),
        "scikit-learn": scikit_learn,
    },
    limit="its matrix products alone",
    goals={"jax": 1.1, "torch": 2, "limit": 1 / 1.3},
    cannot={"pytensor": NO_LOOP, "casadi": NO_LOOP, "symengine": NO_DATA},
    tolerance=1e-2,  # a relu that one side rounds to the other side of 0 changes all later steps, more at a high rate
    repeats=5,
)
