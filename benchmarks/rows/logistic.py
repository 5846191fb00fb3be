"""Logistic regression, the gradient over all samples."""

from __future__ import annotations

import numpy as np

from benchmarks.gradients import gradcompile, inputs, jax, total
from benchmarks.row import Arrays, Row

SAMPLES, FEATURES = 1_000_000, 20
WRT = ("w", "b")


def data(scale: float) -> Arrays:
    """Return normal samples with labels -1 and 1 from a random plane and noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(int(SAMPLES * scale), FEATURES))
    t = np.sign(x @ random.normal(size=FEATURES) + random.normal(size=len(x)))
    return inputs(x=x, t=t, w=random.normal(size=FEATURES), b=0.1)


def jax_loss(x, t, w, b):
    """Write the loss in JAX."""
    import jax

    return jax.numpy.sum(jax.nn.softplus(-t * (x @ w + b)))


ROW = Row(
    name="logistic",
    work=f"logistic regression, {SAMPLES:,} x {FEATURES} float64, value and gradient over all samples",
    data=data,
    contestants={
        "gradcompile": gradcompile("logistic", WRT),
        "limit": total("x"),
        "jax": jax(jax_loss, WRT),
    },
    limit="sum of x",
    goals={"jax": 1.5},
    tolerance=1e-10,
)
