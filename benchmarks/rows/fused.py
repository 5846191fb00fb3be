"""The example of the lecture over a million samples."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import NO_DATA, NO_GRADIENT
from benchmarks.gradients import gradcompile, inputs, jax, named, pytensor, torch, total
from benchmarks.row import Arrays, Row, Work

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


def torch_loss(x, w1, w0):
    """Write the loss in torch."""
    import torch

    return torch.sum(1 + torch.exp(w1 * x + w0))


def pytensor_loss(x, w1, w0):
    """Write the loss in PyTensor."""
    import pytensor.tensor as pt

    return pt.sum(1 + pt.exp(w1 * x + w0))


def casadi(arrays: Arrays) -> Work:
    """Map CasADi's function of one sample over all of them, and add."""
    import casadi

    x, w1, w0 = casadi.SX.sym("x"), casadi.SX.sym("w1"), casadi.SX.sym("w0")
    f = 1 + casadi.exp(w1 * x + w0)
    one = casadi.Function("one", [x, w1, w0], [casadi.vertcat(f, casadi.gradient(f, w1), casadi.gradient(f, w0))])
    samples = arrays["x"].reshape(1, -1)
    mapped = one.map(samples.shape[1])
    at = float(arrays["w1"]), float(arrays["w0"])

    def run() -> np.ndarray:
        return np.asarray(mapped(samples, *at)).sum(axis=1)

    return Work(run=run, answers=lambda found: named(WRT, found[0], found[1:]))


ROW = Row(
    name="fused",
    work=f"1 + exp(w1*x + w0) summed over {SAMPLES:,} float64 samples, value and gradient",
    data=data,
    contestants={
        "gradcompile": gradcompile(MODEL, WRT),
        "limit": total("x"),
        "jax": jax(jax_loss, WRT),
        "torch": torch(torch_loss, WRT),
        "pytensor": pytensor(pytensor_loss, WRT, "FAST_RUN"),
        "pytensor numba": pytensor(pytensor_loss, WRT, "NUMBA"),
        "casadi": casadi,
    },
    limit="sum of x",
    goals={"jax": 2, "pytensor": 8, "limit": 0.8},
    cannot={"symengine": NO_DATA, "scikit-learn": NO_GRADIENT},
    tolerance=1e-12,
)
