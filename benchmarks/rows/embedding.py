"""Word vectors by negative sampling: a step's time must not grow with the vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import epochs
from benchmarks.contestants import NO_DATA, NO_LOOP, NO_MODEL
from benchmarks.gradients import shipped
from benchmarks.row import Arrays, Contestant, Row, Work

PAIRS, NEGATIVE, WIDTH, BATCH, RATE = 200_000, 5, 64, 1024, 1.0
LARGE, SMALL = 100_000, 1_000


def data(scale: float) -> Arrays:
    """Return words drawn by Zipf's law from the large vocabulary."""
    return words(LARGE, int(PAIRS * scale))


def words(vocabulary: int, pairs: int) -> dict[str, np.ndarray]:
    """Return pairs of words that are near one another, and words drawn at random, by Zipf's law."""
    random = np.random.default_rng(0)
    chance = 1 / np.arange(1, vocabulary + 1)
    drawn = random.choice(vocabulary, size=(pairs, 2 + NEGATIVE), p=chance / chance.sum())
    made = {"centre": drawn[:, 0], "context": drawn[:, 1], "negative": drawn[:, 2:]}
    return {name: np.ascontiguousarray(array) for name, array in made.items()}


def start_of(vocabulary: int) -> epochs.Start:
    """Return what makes the vectors before the first step."""

    def start(arrays: Arrays) -> dict[str, np.ndarray]:
        random = np.random.default_rng(1)
        return {name: random.normal(size=(vocabulary, WIDTH), scale=0.1).astype(np.float32) for name in ("U", "V")}

    return start


def model() -> Any:
    """Compile the shipped model."""
    import gradcompile as gc

    return gc.compile(shipped("word_vectors"), dtype="float32")


def small(arrays: Arrays) -> Work:
    """Train on as many pairs of a small vocabulary; there is nothing to compare the answers with."""
    made = words(SMALL, len(arrays["centre"]))
    return Work(run=epochs.gradcompile(model, start_of(SMALL), RATE, BATCH)(made).run)


def jax_step(parameters, batch):
    """Update the rows of the batch alone."""
    import jax
    import jax.numpy as jnp

    centre, context, negative = batch["centre"], batch["context"], batch["negative"]
    U, V = parameters["U"], parameters["V"]

    def loss(u, near, far):
        close = jax.nn.softplus(-jnp.sum(u * near, axis=1))
        return jnp.mean(close + jnp.sum(jax.nn.softplus(jnp.einsum("nd,nkd->nk", u, far)), axis=1))

    du, dnear, dfar = jax.grad(loss, argnums=(0, 1, 2))(U[centre], V[context], V[negative])
    return {
        "U": U.at[centre].add(-RATE * du),
        "V": V.at[context].add(-RATE * dnear).at[negative].add(-RATE * dfar),
    }


def torch_loss(centre, context, negative, U, V):
    """Write the mean loss in torch, with sparse gradients of the tables."""
    import torch
    from torch.nn.functional import embedding, softplus

    u, near, far = embedding(centre, U, sparse=True), embedding(context, V, sparse=True), None
    far = embedding(negative, V, sparse=True)
    return (softplus(-(u * near).sum(1)) + softplus(torch.einsum("nd,nkd->nk", u, far)).sum(1)).mean()


CONTESTANTS: dict[str, Contestant] = {
    "gradcompile": epochs.gradcompile(model, start_of(LARGE), RATE, BATCH),
    "limit": small,
    "jax": epochs.jax(jax_step, start_of(LARGE), BATCH),
    "torch": epochs.torch(torch_loss, start_of(LARGE), RATE, BATCH),
}
ROW = Row(
    name="embedding",
    work=f"word vectors, {PAIRS:,} pairs, {NEGATIVE} negative words, {LARGE:,} words x {WIDTH} float32, one epoch"
    f" of SGD, batch {BATCH:,}",
    data=data,
    contestants=CONTESTANTS,
    limit=f"gradcompile with {SMALL:,} words",
    goals={"limit": 1 / 1.3},
    cannot={"pytensor": NO_LOOP, "casadi": NO_LOOP, "symengine": NO_DATA, "scikit-learn": NO_MODEL},
    tolerance=1e-2,
    repeats=5,
)
