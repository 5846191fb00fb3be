"""One epoch of stochastic gradient descent, by each library: the same rows in the same order, from the same start.

An epoch begins with its order: each library's time has that of drawing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Contestant, Work

SEED = 0
Start = Callable[[Arrays], dict[str, np.ndarray]]  # the parameters before the first step
Step = Callable[[Any, Any], Any]  # (parameters, batch) -> parameters, in a library's own operations


def shuffled(samples: int) -> np.ndarray:
    """Return the rows in the order in which `fit` takes them in its first epoch."""
    from gradcompile.shuffle import order

    return order(SEED, 1, np.arange(samples))


def gradcompile(
    model: Callable[[], Any], start: Start, rate: float, batch: int, constants: Mapping[str, float] | None = None
) -> Contestant:
    """Return the contestant that calls `fit` for one epoch; its gradient is that of the objective over all samples."""

    def contestant(arrays: Arrays) -> Work:
        import gradcompile as gc

        compiled, given, at = model(), {**arrays, **(constants or {})}, start(arrays)

        def run() -> Arrays:
            fitted = compiled.fit(
                **given,
                init=at,
                optimizer=gc.SGD(rate),
                epochs=1,
                batch_size=batch,
                seed=SEED,
                progress=False,
            )
            return fitted.params

        return Work(
            run=run,
            answers=dict,
            value=lambda: compiled.value(**given, **at),
            gradient=lambda: compiled.value_and_grad(**given, **at),
            settle=compiled.wait,
        )

    return contestant


def jax(step: Step, start: Start, batch: int, dtype: str = "float32") -> Contestant:
    """Return the contestant that runs the whole epoch in one jitted `lax.scan` over batches of row numbers."""

    def contestant(arrays: Arrays) -> Work:
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
        held = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
        samples = len(next(iter(arrays.values())))
        full = samples // batch * batch
        at = jax.tree.map(jax.numpy.asarray, start(arrays))

        def one(parameters: Any, rows: Any) -> tuple[Any, None]:
            return step(parameters, {name: array[rows] for name, array in held.items()}), None

        @jax.jit
        def epoch(parameters: Any, batches: Any, rest: Any) -> Any:
            parameters, _ = jax.lax.scan(one, parameters, batches)
            return one(parameters, rest)[0] if len(rest) else parameters

        def run() -> Any:
            order = shuffled(samples)
            batches, rest = jax.numpy.asarray(order[:full].reshape(-1, batch)), jax.numpy.asarray(order[full:])
            return jax.block_until_ready(epoch(at, batches, rest))

        return Work(run=run, answers=lambda result: {name: np.asarray(array) for name, array in result.items()})

    return contestant


def jax_descent(loss: Callable[..., Any], rate: float) -> Step:
    """Return the step down the gradient of a batch's mean loss."""

    def step(parameters: Any, batch: Any) -> Any:
        import jax

        gradient = jax.grad(lambda p: loss(**p, **batch))(parameters)
        return jax.tree.map(lambda p, g: p - rate * g, parameters, gradient)

    return step


def torch(loss: Callable[..., Any], start: Start, rate: float, batch: int, sparse: Sequence[str] = ()) -> Contestant:
    """Return the contestant that runs the plain loop over batches, with torch's own SGD where gradients are sparse."""

    def contestant(arrays: Arrays) -> Work:
        import torch

        held = {name: torch.from_numpy(array) for name, array in arrays.items()}
        at = {name: torch.from_numpy(array) for name, array in start(arrays).items()}
        samples = len(next(iter(arrays.values())))

        def run() -> dict[str, Any]:
            parameters = {name: array.clone().requires_grad_() for name, array in at.items()}
            optimizer = torch.optim.SGD(parameters.values(), lr=rate)
            for rows in torch.from_numpy(shuffled(samples)).split(batch):
                optimizer.zero_grad(set_to_none=True)
                loss(**parameters, **{name: array[rows] for name, array in held.items()}).backward()
                optimizer.step()
            return parameters

        return Work(run=run, answers=lambda result: {name: array.detach().numpy() for name, array in result.items()})

    return contestant
