"""Value and gradient of a loss over all of the data, by each library: the work of most rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Contestant, Work

Loss = Callable[..., Any]  # arrays by name -> the objective, in a library's own operations


def gradcompile(text: str, wrt: Sequence[str], dtype: str = "float64") -> Contestant:
    """Return the contestant that compiles a model's text; a word without spaces is the name of a shipped model."""

    def contestant(arrays: Arrays) -> Work:
        import gradcompile as gc

        model = gc.compile(shipped(text) if " " not in text else gc.parse(text), dtype=dtype)
        return work_of(model, wrt, arrays)

    return contestant


def shipped(name: str) -> Any:
    """Return a model that the package ships."""
    import gradcompile as gc

    return gc.load(Path(gc.__file__).parent / "models" / f"{name}.model")


def work_of(model: Any, wrt: Sequence[str], arrays: Arrays) -> Work:
    """Return the work of a compiled model: value and gradient, and the value alone."""
    model.value_and_grad(**arrays)
    model.wait()
    return Work(
        run=lambda: model.value_and_grad(**arrays),
        answers=lambda result: named(wrt, *result),
        value=lambda: model.value(**arrays),
        settle=model.wait,
    )


def named(wrt: Sequence[str], value: Any, gradients: Sequence[Any]) -> Arrays:
    """Return value and gradients as arrays by name."""
    if len(wrt) == 1 and not isinstance(gradients, (tuple, list)):
        gradients = [gradients]
    made = {f"d{name}": np.asarray(gradient) for name, gradient in zip(wrt, gradients, strict=True)}
    return {"value": np.asarray(value), **made}


def jax(loss: Loss, wrt: Sequence[str], dtype: str = "float64") -> Contestant:
    """Return the contestant that runs ``jax.jit(jax.value_and_grad(loss))`` on arrays that JAX holds already."""

    def contestant(arrays: Arrays) -> Work:
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
        held = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
        parameters = {name: held.pop(name) for name in wrt}
        both = jax.jit(jax.value_and_grad(lambda parameters, held: loss(**parameters, **held)))
        value = jax.jit(lambda parameters, held: loss(**parameters, **held))
        return Work(
            run=lambda: jax.block_until_ready(both(parameters, held)),
            answers=lambda result: named(wrt, result[0], [result[1][name] for name in wrt]),
            value=lambda: jax.block_until_ready(value(parameters, held)),
        )

    return contestant


def torch(loss: Loss, wrt: Sequence[str]) -> Contestant:
    """Return the contestant that runs torch's autograd on tensors that share the arrays."""

    def contestant(arrays: Arrays) -> Work:
        import torch

        held = {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}
        parameters = [held[name].clone().requires_grad_() for name in wrt]
        inputs = {**held, **dict(zip(wrt, parameters, strict=True))}

        def run() -> tuple[Any, Any]:
            value = loss(**inputs)
            return value.detach(), torch.autograd.grad(value, parameters)

        return Work(run=run, answers=lambda result: named(wrt, *result))

    return contestant


def pytensor(loss: Loss, wrt: Sequence[str], mode: str) -> Contestant:
    """Return the contestant that compiles PyTensor's gradient by a mode, and calls it without checks of its inputs."""

    def contestant(arrays: Arrays) -> Work:
        import pytensor

        symbols = {
            name: pytensor.tensor.tensor(name, dtype=str(array.dtype), shape=(None,) * array.ndim)
            for name, array in arrays.items()
        }
        value = loss(**symbols)
        gradients = pytensor.grad(value, [symbols[name] for name in wrt])
        both = pytensor.function(list(symbols.values()), [value, *gradients], mode=mode, trust_input=True)
        given = list(arrays.values())
        return Work(run=lambda: both(*given), answers=lambda result: named(wrt, result[0], result[1:]))

    return contestant


def products(*pairs: tuple[np.ndarray, np.ndarray]) -> Work:
    """Return the limit of whatever multiplies these matrices: the products alone, by OpenBLAS into arrays kept."""
    outputs = [np.empty((a.shape[0], b.shape[1]), a.dtype) for a, b in pairs]

    def run() -> None:
        for (a, b), out in zip(pairs, outputs, strict=True):
            np.dot(a, b, out=out)

    return Work(run=run)


def total(*names: str) -> Contestant:
    """Return the limit of whatever reads these arrays: their plain sum, by compiled code."""

    def contestant(arrays: Arrays) -> Work:
        from numba import get_num_threads, njit, prange

        parts = get_num_threads()

        @njit(fastmath=True, error_model="numpy")
        def add(x):  # indices from 0, and in the type of the array: whatever else does not become vectors
            total = x.dtype.type(0)
            for i in range(x.size):
                total += x[i]
            return total

        @njit(parallel=parts > 1)
        def add_parts(x, parts):
            sums = np.zeros(parts)
            for part in prange(parts):
                sums[part] = add(x[part * x.size // parts : (part + 1) * x.size // parts])
            return sums.sum()

        flat = [arrays[name].reshape(-1) for name in names]
        return Work(run=lambda: sum(add_parts(x, parts) for x in flat))

    return contestant


def inputs(**made: Any) -> Mapping[str, np.ndarray]:
    """Return inputs by name, scalars as arrays without axes."""
    return {name: np.asarray(array) for name, array in made.items()}
