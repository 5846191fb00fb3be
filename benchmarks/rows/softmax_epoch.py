"""One epoch of minibatch SGD for the softmax classifier, at the size of MNIST."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from benchmarks.row import Arrays, Row, Run

SAMPLES, FEATURES, CLASSES, BATCH, RATE, SEED = 60_000, 784, 10, 128, 0.01, 0
THREADS = tuple(n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1))


def data(scale: float) -> Arrays:
    """Random images with labels from a random linear teacher, so that there is something to learn."""
    samples = int(SAMPLES * scale)
    random = np.random.default_rng(1)
    x = random.random((samples, FEATURES), dtype=np.float32)
    teacher = random.normal(size=(FEATURES, CLASSES)).astype(np.float32)
    return {"x": x, "gt": np.argmax((x - np.float32(0.5)) @ teacher, axis=1)}


def gradcompile(arrays: Arrays) -> Run:
    """Run `model.fit` for one epoch of the objective as the lecture writes it."""
    from sympy import IndexedBase, Sum, exp, log, symbols

    import gradcompile as gc

    N, D, C = symbols("N D C", integer=True, positive=True)
    s, j, i = symbols("s j i", integer=True)
    x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
    W, b = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,))

    def y(s, i):
        return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]

    def p(s, c):
        return exp(y(s, c)) / Sum(exp(y(s, i)), (i, 0, C - 1))

    model = gc.compile(-Sum(log(p(s, gt[s])), (s, 0, N - 1)), wrt=[W, b], dtype="float32")

    def run() -> Arrays:
        start = {"W": np.zeros((FEATURES, CLASSES), np.float32), "b": np.zeros(CLASSES, np.float32)}
        fitted = model.fit(
            **arrays, init=start, optimizer=gc.SGD(RATE), epochs=1, batch_size=BATCH, seed=SEED, progress=False
        )
        return fitted.params

    return run


def torch(arrays: Arrays) -> Run:
    """Run the plain loop of the same steps on the same rows, with the number of threads that is fastest here."""
    import torch

    x, gt = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["gt"])
    order = torch.from_numpy(shuffled(len(x)))

    def run(steps: int | None = None) -> Arrays:
        W = torch.zeros(FEATURES, CLASSES, requires_grad=True)
        b = torch.zeros(CLASSES, requires_grad=True)
        for rows in order.split(BATCH)[:steps]:
            loss = torch.nn.functional.cross_entropy(torch.addmm(b, x[rows], W), gt[rows])
            loss.backward()
            with torch.no_grad():
                W -= RATE * W.grad
                b -= RATE * b.grad
            W.grad = b.grad = None
        return {"W": W.detach().numpy(), "b": b.detach().numpy()}

    torch.set_num_threads(fastest(THREADS, torch.set_num_threads, lambda: run(100)))
    return run


def shuffled(samples: int) -> np.ndarray:
    """Return the rows in the order in which `fit` takes them in its first epoch."""
    from gradcompile.shuffle import order

    return order(SEED, 1, np.arange(samples))


def fastest(choices: tuple[int, ...], choose: Callable[[int], object], run: Callable[[], object]) -> int:
    """Return the choice with which a run is quickest, the second run each (the first one warms up)."""
    times = {}
    for choice in choices:
        choose(choice)
        run()
        start = time.perf_counter()
        run()
        times[choice] = time.perf_counter() - start
    return min(times, key=lambda choice: times[choice])


ROW = Row(
    name="softmax-epoch",
    work=f"softmax classifier, {SAMPLES:,} x {FEATURES} float32, {CLASSES} classes, one epoch of SGD, batch {BATCH}",
    data=data,
    contestants={"gradcompile": gradcompile, "torch": torch},
    tolerance=1e-3,
)
