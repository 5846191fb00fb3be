"""A network of radial basis functions, whose distances want neither memory nor time for n x m x d."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants import NO_DATA, NO_GRADIENT, SLOW_COMPILE, UNROLLED
from benchmarks.gradients import gradcompile, inputs, jax, products, torch
from benchmarks.row import Arrays, Row, Work

SAMPLES, FEATURES, CENTRES = 100_000, 20, 256
WRT = ("c", "w", "h")


def data(scale: float) -> Arrays:
    """Return normal samples; the centres are some of them."""
    random = np.random.default_rng(0)
    x = random.normal(size=(int(SAMPLES * scale), FEATURES))
    return inputs(
        x=x, t=np.sin(x[:, 0]), c=x[:CENTRES] + 0.1, w=random.normal(size=CENTRES) / 16, h=np.sqrt(FEATURES / 2)
    )


def jax_direct(x, t, c, w, h):
    """Write the loss in JAX as the model is written; XLA fuses the differences into the sum."""
    import jax.numpy as jnp

    distance = jnp.sum((x[:, None, :] - c) ** 2, axis=2)
    return jnp.sum((jnp.exp(-distance / (2 * h**2)) @ w - t) ** 2)


def jax_expanded(x, t, c, w, h):
    """Write the loss in JAX with |x|² - 2xc + |c|², a product of matrices."""
    import jax.numpy as jnp

    distance = jnp.sum(x**2, axis=1)[:, None] - 2 * x @ c.T + jnp.sum(c**2, axis=1)
    return jnp.sum((jnp.exp(-distance / (2 * h**2)) @ w - t) ** 2)


def torch_loss(x, t, c, w, h):
    """Write the loss in torch, with the expanded distances."""
    import torch

    distance = (x**2).sum(1)[:, None] - 2 * x @ c.T + (c**2).sum(1)
    return ((torch.exp(-distance / (2 * h**2)) @ w - t) ** 2).sum()


def limit(arrays: Arrays) -> Work:
    """Multiply samples and centres, and weights by samples on the way back."""
    x, c = arrays["x"], arrays["c"]
    return products((x, np.ascontiguousarray(c.T)), (np.ones((len(x), len(c))).T, x))


ROW = Row(
    name="distances",
    work=f"network of {CENTRES} radial basis functions, {SAMPLES:,} x {FEATURES} float64, value and gradient",
    data=data,
    contestants={
        "gradcompile": gradcompile("radial_basis", WRT),
        "jax": jax(jax_direct, WRT),
        "jax expanded": jax(jax_expanded, WRT),
        "torch": torch(torch_loss, WRT),
        "limit": limit,
    },
    limit="its matrix products alone",
    cannot={"pytensor": SLOW_COMPILE, "casadi": UNROLLED, "symengine": NO_DATA, "scikit-learn": NO_GRADIENT},
    goals={"jax": 1.5},
    tolerance=1e-8,  # the expanded distances lose digits to cancellation
    repeats=5,
)
