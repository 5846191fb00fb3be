"""Logistic regression, the gradient over all samples."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import NO_DATA, NO_GRADIENT, UNROLLED
from benchmarks.gradients import gradcompile, inputs, jax, pytensor, torch, total
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


def torch_loss(x, t, w, b):
    """Write the loss in torch."""
    import torch

    return torch.nn.functional.softplus(-t * torch.addmv(b, x, w)).sum()


def pytensor_loss(x, t, w, b):
    """Write the loss in PyTensor."""
    import pytensor.tensor as pt

    return pt.sum(pt.softplus(-t * (pt.dot(x, w) + b)))


ROW = Row(
    name="logistic",
    work=f"logistic regression, {SAMPLES:,} x {FEATURES} float64, value and gradient over all samples",
    data=data,
    contestants={
        "gradcompile": gradcompile("logistic", WRT),
        "limit": total("x"),
        "jax": jax(jax_loss, WRT),
        "torch": torch(torch_loss, WRT),
        "pytensor": pytensor(pytensor_loss, WRT, "FAST_RUN"),
        "pytensor numba": pytensor(pytensor_loss, WRT, "NUMBA"),
    },
    limit="sum of x",
    goals={"jax": 1.5},
    cannot={"symengine": NO_DATA, "casadi": UNROLLED, "scikit-learn": NO_GRADIENT},
    tolerance=1e-10,
)
