"""GradBench's gmm: the gradient of a Gaussian mixture with triangular factors and a Wishart prior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.contestants import NO_DATA, NO_GRADIENT, SLOW_COMPILE, UNROLLED
from benchmarks.gradients import gradcompile, inputs, jax, products, torch
from benchmarks.row import Arrays, Row, Work

SAMPLES = 1000
WRT = ("alpha", "mu", "q", "L")


def data(features: int, components: int) -> Callable[[float], Arrays]:
    """Return what makes the normal parameters and samples of one size."""

    def made(scale: float) -> Arrays:
        random = np.random.default_rng(0)
        d, k = features, components
        factors = random.normal(size=(k, d, d)) / d
        return inputs(
            x=random.normal(size=(int(SAMPLES * scale), d)),
            alpha=random.normal(size=k),
            mu=random.normal(size=(k, d)),
            q=0.3 * random.normal(size=(k, d)),
            L=np.tril(factors, -1),
        )

    return made


def jax_loss(x, alpha, mu, q, L):
    """Write the loss as GradBench's program for JAX does: the factors as matrices, products over all samples."""
    import jax
    import jax.numpy as jnp

    lower = jnp.tril(L, -1)
    factors = lower + jax.vmap(jnp.diag)(jnp.exp(q))
    scaled = jnp.einsum("kij,skj->ski", factors, x[:, None, :] - mu)
    term = alpha + jnp.sum(q, axis=1) - jnp.sum(scaled**2, axis=2) / 2
    mixture = jnp.sum(jax.nn.logsumexp(term, axis=1)) - len(x) * jax.nn.logsumexp(alpha)
    return -mixture + (jnp.sum(jnp.exp(2 * q)) + jnp.sum(lower**2)) / 2


def torch_loss(x, alpha, mu, q, L):
    """Write the loss in torch in the same way."""
    import torch

    lower = torch.tril(L, -1)
    factors = lower + torch.diag_embed(torch.exp(q))
    scaled = torch.einsum("kij,skj->ski", factors, x[:, None, :] - mu)
    term = alpha + q.sum(1) - (scaled**2).sum(2) / 2
    mixture = torch.logsumexp(term, 1).sum() - len(x) * torch.logsumexp(alpha, 0)
    return -mixture + (torch.exp(2 * q).sum() + (lower**2).sum()) / 2


def limit(arrays: Arrays) -> Work:
    """Multiply all samples by all factors, and what comes back by all samples: triangles as full matrices."""
    x, (k, d) = arrays["x"], arrays["mu"].shape
    factors = np.ascontiguousarray(arrays["L"].reshape(k * d, d).T)
    back = np.ones((len(x), k * d))
    return products((x, factors), (back.T, x))


def row(features: int, components: int) -> Row:
    """Return the row of one size."""
    return Row(
        name=f"gmm-{features}",
        work=f"GradBench's gmm, {SAMPLES} samples, d = {features}, k = {components}, value and gradient, float64",
        data=data(features, components),
        contestants={
            "gradcompile": gradcompile("gaussian_mixture", WRT),
            "limit": limit,
            "jax": jax(jax_loss, WRT),
            "torch": torch(torch_loss, WRT),
        },
        limit="its matrix products alone",
        cannot={
            "pytensor": SLOW_COMPILE,
            "casadi": UNROLLED,
            "symengine": NO_DATA,
            "scikit-learn": NO_GRADIENT,
        },
        goals={"jax": 2.5},
        tolerance=1e-10,
    )


GMM = tuple(row(*size) for size in ((2, 5), (10, 25), (32, 50), (64, 100)))
