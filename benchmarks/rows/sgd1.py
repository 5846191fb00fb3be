"""One epoch of pure SGD, a sample a step, for logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import epochs
from benchmarks.contestants import NO_DATA, NO_LOOP
from benchmarks.gradients import shipped, total
from benchmarks.row import Arrays, Row, Work

SAMPLES, FEATURES, RATE = 500_000, 20, 0.01


def data(scale: float) -> Arrays:
    """Return normal samples with labels -1 and 1 from a random plane and noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(int(SAMPLES * scale), FEATURES))
    return {"x": x, "t": np.sign(x @ random.normal(size=FEATURES) + random.normal(size=len(x)))}


def start(arrays: Arrays) -> dict[str, np.ndarray]:
    """Zeros."""
    return {"w": np.zeros(FEATURES), "b": np.zeros(())}


def model() -> Any:
    """Compile the shipped model."""
    import gradcompile as gc

    return gc.compile(shipped("logistic"))


def scikit_learn(arrays: Arrays) -> Work:
    """Fit SGDClassifier for one epoch without its penalty; compared on rows in our order, timed as it shuffles."""
    from sklearn.linear_model import SGDClassifier

    order = epochs.shuffled(len(arrays["x"]))
    settings = {
        "loss": "log_loss",
        "penalty": None,
        "learning_rate": "constant",
        "eta0": RATE,
        "max_iter": 1,
        "tol": None,
        "average": False,
    }
    timed = SGDClassifier(shuffle=True, random_state=0, **settings)

    def answers(result: Any) -> Arrays:
        compared = SGDClassifier(shuffle=False, **settings).fit(arrays["x"][order], arrays["t"][order])
        return {"w": compared.coef_[0], "b": compared.intercept_[0]}

    return Work(run=lambda: timed.fit(arrays["x"], arrays["t"]), answers=answers)


def jax_loss(x, t, w, b):
    """Write the mean loss in JAX."""
    import jax

    return jax.numpy.mean(jax.nn.softplus(-t * (x @ w + b)))


ROW = Row(
    name="sgd1",
    work=f"logistic regression, {SAMPLES:,} x {FEATURES} float64, one epoch of SGD, one sample a step",
    data=data,
    contestants={
        "gradcompile": epochs.gradcompile(model, start, RATE, 1),
        "scikit-learn": scikit_learn,
        "limit": total("x"),
        "jax": epochs.jax(epochs.jax_descent(jax_loss, RATE), start, 1, "float64"),
    },
    goals={"scikit-learn": 4},
    limit="sum of x",
    cannot={
        "torch": "takes half a minute for 500,000 steps",
        "pytensor": NO_LOOP,
        "casadi": NO_LOOP,
        "symengine": NO_DATA,
    },
    tolerance=1e-8,
)
