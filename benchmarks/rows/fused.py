"""The example of the lecture over a million samples."""

from __future__ import annotations

import numpy as np

from benchmarks.gradients import gradcompile, inputs, jax, total
from benchmarks.row import Arrays, Row

SAMPLES = 1_000_000
MODEL = """
    x: data[N]
    w1: parameter
    w0: parameter
    loss = Sum(1 + exp(w1*x[s] + w0), s)
"""
WRT = ("w1", "w0")


def data(scale: float) -> Arrays:
    """Return normal samples."""
    return inputs(x=np.random.default_rng(0).normal(size=int(SAMPLES * scale)), w1=0.3, w0=-0.2)


def jax_loss(x, w1, w0):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    return jnp.sum(1 + jnp.exp(w1 * x + w0))


ROW = Row(
    name="fused",
    work=f"1 + exp(w1*x + w0) summed over {SAMPLES:,} float64 samples, value and gradient",
    data=data,
    contestants={
        "gradcompile": gradcompile(MODEL, WRT),
        "limit": total("x"),
        "jax": jax(jax_loss, WRT),
    },
    limit="sum of x",
    goals={"jax": 2, "pytensor": 8, "limit": 0.8},
    tolerance=1e-12,
)
