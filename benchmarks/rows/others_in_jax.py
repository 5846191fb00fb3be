"""The losses of models outside of the table, in JAX, as somebody who knows JAX well writes them."""

from __future__ import annotations

from typing import Any


def nll(y: Any, gt: Any) -> Any:
    """Return minus the log-likelihood of labels under softmax."""
    import jax
    import jax.numpy as jnp

    return -jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(y), gt[:, None], axis=1))


def kmeans(x, c):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    return jnp.sum(jnp.min(jnp.sum(x**2, 1)[:, None] - 2 * x @ c.T + jnp.sum(c**2, 1), axis=1))


def poisson(x, n, w, b):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    eta = x @ w + b
    return jnp.sum(jnp.exp(eta) - n * eta + jax.lax.lgamma(n + 1))


def negative_binomial(x, n, w, b, a):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    eta, r, g = x @ w + b, jnp.exp(a), jax.lax.lgamma
    return -jnp.sum(g(n + r) - g(r) - g(n + 1) + r * a + n * eta - (n + r) * jnp.log(r + jnp.exp(eta)))


def huber(x, t, w, b):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    r = jnp.abs(x @ w + b - t)
    return jnp.sum(jnp.where(r <= 1, r**2 / 2, r - 0.5))


def svm(x, gt, W, b):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    z = x @ W + b
    return jnp.sum(jnp.maximum(0, z - jnp.take_along_axis(z, gt[:, None], 1) + 1)) + 1e-3 * jnp.sum(W**2)


def convolution(x, gt, w, V, b):
    """Write the loss in JAX, with XLA's own convolution."""
    import jax
    import jax.numpy as jnp

    h = jax.lax.conv_general_dilated(x[:, None, :], w.T[:, None, :], (1,), "VALID")
    return nll(jnp.mean(jax.nn.relu(h), axis=2) @ V + b, gt)


def convolution2d(x, gt, w, V, b):
    """Write the loss in JAX, with XLA's own convolution."""
    import jax
    import jax.numpy as jnp

    h = jax.lax.conv_general_dilated(x[:, None], jnp.transpose(w, (2, 0, 1))[:, None], (1, 1), "VALID")
    return nll(jnp.mean(jax.nn.relu(h), axis=(2, 3)) @ V + b, gt)


def two_convolutions(x, gt, w, u, V):
    """Write the loss in JAX, with XLA's own convolutions."""
    import jax
    import jax.numpy as jnp

    axes = ("NHWC", "HWIO", "NHWC")
    h = jax.nn.relu(jax.lax.conv_general_dilated(x[..., None], w[:, :, None], (2, 2), "VALID", dimension_numbers=axes))
    g = jax.nn.relu(jax.lax.conv_general_dilated(h, u, (1, 1), "VALID", dimension_numbers=axes))
    return nll(jnp.mean(g, axis=(1, 2)) @ V, gt)


def autoencoder(x, W, b, c):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    return jnp.sum((x - jnp.tanh(x @ W + b) @ W.T - c) ** 2)


def network3(x, gt, W1, b1, W2, b2, W3, b3):
    """Write the loss in JAX."""
    import jax

    h = jax.nn.relu(x @ W1 + b1)
    return nll(jax.nn.gelu(h @ W2 + b2, approximate=False) @ W3 + b3, gt)


def bilinear(x, t, A, b):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    return jnp.sum((jnp.sum((x @ A) * x, axis=1) + b - t) ** 2)


def autoregression(x, a, c):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    p = len(a)
    past = sum(a[k] * x[p - 1 - k : len(x) - 1 - k] for k in range(p))
    return jnp.sum((x[p:] - c - past) ** 2)


def bradley_terry(won, lost, r):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    return jnp.sum(jax.nn.softplus(r[lost] - r[won])) + 0.01 * jnp.sum(r**2)


def bundle_adjustment(camera, point, u, v, r, c, f, o, k, X, w):
    """Write the loss in JAX: Rodrigues' rotation, radial distortion."""
    import jax.numpy as jnp

    axis = r[camera]
    angle = jnp.sqrt(jnp.sum(axis**2, axis=1) + 1e-12)[:, None]
    e, x = axis / angle, X[point] - c[camera]
    turned = x * jnp.cos(angle) + jnp.cross(e, x) * jnp.sin(angle)
    p = turned + e * jnp.sum(e * x, axis=1, keepdims=True) * (1 - jnp.cos(angle))
    flat = p[:, :2] / p[:, 2:]
    radius, kk = jnp.sum(flat**2, axis=1), k[camera]
    bent = f[camera] * (1 + kk[:, 0] * radius + kk[:, 1] * radius**2)
    error = o[camera] + bent[:, None] * flat - jnp.stack([u, v], axis=1)
    return jnp.sum(w**2 * jnp.sum(error**2, axis=1) + (1 - w**2) ** 2)


def word_vectors(centre, context, negative, U, V):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    u = U[centre]
    near = jax.nn.softplus(-jnp.sum(u * V[context], axis=1))
    return jnp.sum(near) + jnp.sum(jax.nn.softplus(jnp.einsum("nd,nkd->nk", u, V[negative])))


def kernel_ridge(x, t, a, h):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    square = jnp.sum(x**2, axis=1)
    y = jnp.exp(-(square[:, None] + square - 2 * x @ x.T) / (2 * h**2)) @ a
    return jnp.sum((y - t) ** 2) + 0.1 * jnp.sum(a * y)


def student(x, t, w, b, s, nu):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    v, g = jnp.exp(nu), jax.lax.lgamma
    z = (x @ w + b - t) / jnp.exp(s)
    return jnp.sum((v + 1) / 2 * jnp.log1p(z**2 / v) + s + g(v / 2) - g((v + 1) / 2) + nu / 2)


def item_response(right, student, task, ability, ease, slope):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    z = jnp.exp(slope[task]) * (ability[student] - ease[task])
    return jnp.sum(right * jax.nn.softplus(-z) + (1 - right) * jax.nn.softplus(z)) + jnp.sum(ability**2) / 2


def contrastive(x, y, W, V):
    """Write the loss in JAX."""
    import jax
    import jax.numpy as jnp

    z = (x @ W) @ (y @ V).T
    return jnp.sum(jax.nn.logsumexp(z, axis=1) - jnp.diagonal(z))


def cox(x, time, died, w):
    """Write the loss in JAX."""
    import jax.numpy as jnp

    z = x @ w
    return -jnp.sum(died * (z - jnp.log(jnp.where(time >= time[:, None], jnp.exp(z), 0).sum(axis=1))))


def machine(x, t, w, V):
    """Write the loss in JAX: a factorisation machine."""
    import jax
    import jax.numpy as jnp

    y = x @ w + jnp.sum((x @ V) ** 2 - x**2 @ V**2, axis=1) / 2
    return jnp.sum(jax.nn.softplus(-t * y))


def bodies(m, p):
    """Write the energy in JAX."""
    import jax.numpy as jnp

    distance = jnp.sqrt(jnp.sum((p[:, None] - p) ** 2, axis=2) + 1e-4)
    return -jnp.sum(jnp.triu(m[:, None] * m / distance, 1))


def attention(x, t, Q, L, V):
    """Write the loss in JAX: one head, a softmax over places."""
    import jax
    import jax.numpy as jnp

    z = jax.nn.softmax(jnp.einsum("nsk,nrk->nsr", x @ Q, x @ L) / 4, axis=2)
    return jnp.sum((z @ (x @ V) - t) ** 2)
