"""One epoch of SGD for the factorisation of a matrix of ratings, of which a step touches few rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import epochs
from benchmarks.contestants import NO_DATA, NO_LOOP, NO_MODEL
from benchmarks.row import Arrays, Row, Work

RATINGS, USERS, ITEMS, RANK, BATCH, RATE, PENALTY = 1_000_000, 6_040, 3_706, 32, 1024, 0.5, 0.05
MODEL = """
    r:    data[N]
    user: labels[N]
    item: labels[N]
    U:    parameter[A, K]
    V:    parameter[B, K]
    lam:  constant = 0.05

    guess[n]   = Sum(U[user[n], k]*V[item[n], k], k)
    penalty[n] = Sum(U[user[n], k]**2 + V[item[n], k]**2, k)
    loss       = Sum((r[n] - guess[n])**2 + lam*penalty[n], n)
"""


def data(scale: float) -> Arrays:
    """Return ratings of the shape of MovieLens 1M: a few items and users have most of them."""
    random = np.random.default_rng(0)
    ratings = int(RATINGS * scale)
    user = (USERS * random.random(ratings) ** 1.5).astype(np.int64)
    item = (ITEMS * random.random(ratings) ** 2).astype(np.int64)
    taste, kind = random.normal(size=(USERS, 4)), random.normal(size=(ITEMS, 4))
    return {
        "r": np.einsum("nk,nk->n", taste[user], kind[item]).astype(np.float32),
        "user": user,
        "item": item,
    }


def start(arrays: Arrays) -> dict[str, np.ndarray]:
    """Small normal numbers."""
    random = np.random.default_rng(1)
    return {
        "U": random.normal(size=(USERS, RANK), scale=0.3).astype(np.float32),
        "V": random.normal(size=(ITEMS, RANK), scale=0.3).astype(np.float32),
    }


def model() -> Any:
    """Compile the model's text."""
    import gradcompile as gc

    return gc.compile(gc.parse(MODEL), dtype="float32")


def jax_step(parameters, batch):
    """Update the rows of the batch alone: the gradient by the tables would be as large as the tables."""
    import jax
    import jax.numpy as jnp

    user, item, r = batch["user"], batch["item"], batch["r"]

    def loss(u, v):
        return jnp.mean((r - jnp.sum(u * v, axis=1)) ** 2 + PENALTY * jnp.sum(u**2 + v**2, axis=1))

    U, V = parameters["U"], parameters["V"]
    du, dv = jax.grad(loss, argnums=(0, 1))(U[user], V[item])
    return {"U": U.at[user].add(-RATE * du), "V": V.at[item].add(-RATE * dv)}


def torch_loss(r, user, item, U, V):
    """Write the mean loss in torch, with sparse gradients of the tables."""
    import torch

    u = torch.nn.functional.embedding(user, U, sparse=True)
    v = torch.nn.functional.embedding(item, V, sparse=True)
    return ((r - (u * v).sum(1)) ** 2 + PENALTY * (u**2 + v**2).sum(1)).mean()


def limit(arrays: Arrays) -> Work:
    """Guess every rating once."""
    from numba import njit

    @njit(fastmath=True, error_model="numpy")
    def guess(user, item, U, V):
        total = np.float32(0)
        for n in range(user.size):
            u, v = U[np.uint64(user[n])], V[np.uint64(item[n])]
            for k in range(U.shape[1]):
                total += u[k] * v[k]
        return total

    tables = start(arrays)
    return Work(run=lambda: guess(arrays["user"], arrays["item"], tables["U"], tables["V"]))


ROW = Row(
    name="factorisation",
    work=f"{RATINGS:,} ratings, {USERS:,} x {ITEMS:,}, rank {RANK}, float32, one epoch of SGD, batch {BATCH:,}",
    data=data,
    contestants={
        "gradcompile": epochs.gradcompile(model, start, RATE, BATCH),
        "limit": limit,
        "jax": epochs.jax(jax_step, start, BATCH),
        "torch": epochs.torch(torch_loss, start, RATE, BATCH),
    },
    goals={"jax": 1.5, "torch": 2},
    limit="its dot products alone, in the order of the file",
    cannot={"pytensor": NO_LOOP, "casadi": NO_LOOP, "symengine": NO_DATA, "scikit-learn": NO_MODEL},
    tolerance=1e-2,  # rows of a batch that meet are added in another order
    repeats=5,
)
