"""The example of the lecture at one point, the call from Python included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.contestants import NO_GRADIENT
from benchmarks.gradients import inputs, named
from benchmarks.row import Arrays, Call, Row, Work

WRT = ("x", "w1", "w0")


def data(scale: float) -> Arrays:
    """One point."""
    return inputs(x=0.5, w1=2.0, w0=-1.25)


def gradcompile(arrays: Arrays) -> Work:
    """Call the compiled model, inputs by name as users write them."""
    from sympy import exp, symbols

    import gradcompile as gc

    x, w1, w0 = symbols("x w1 w0")
    model = gc.compile(1 + exp(w1 * x + w0), wrt=[x, w1, w0])
    values = {name: float(array) for name, array in arrays.items()}
    model.value_and_grad(**values)
    model.wait()
    return Work(
        run=Call("f(x=x, w1=w1, w0=w0)", f=model.value_and_grad, **values),
        answers=answers,
        settle=model.wait,
        value=Call("f(x=x, w1=w1, w0=w0)", f=model.value, **values),
    )


def limit(arrays: Arrays) -> Work:
    """Call what a person would write by hand."""

    def f(x: float, w1: float, w0: float) -> tuple[float, tuple[float, float, float]]:
        c = math.exp(w1 * x + w0)
        return 1 + c, (w1 * c, x * c, c)

    return Work(run=Call("f(x=x, w1=w1, w0=w0)", f=f, **{n: float(a) for n, a in arrays.items()}), answers=answers)


def jax(arrays: Arrays) -> Work:
    """Call the jitted function with arrays that JAX holds already."""
    import jax

    jax.config.update("jax_enable_x64", True)
    f = jax.jit(jax.value_and_grad(lambda x, w1, w0: 1 + jax.numpy.exp(w1 * x + w0), argnums=(0, 1, 2)))
    point = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    run = Call("ready(f(x, w1, w0))", f=f, ready=jax.block_until_ready, **point)
    return Work(run=run, answers=answers)


def torch(arrays: Arrays) -> Work:
    """Run torch's autograd on tensors without axes."""
    import torch

    point = [torch.tensor(float(arrays[name]), dtype=torch.float64, requires_grad=True) for name in WRT]

    def f(x: Any, w1: Any, w0: Any) -> tuple[Any, Any]:
        value = 1 + torch.exp(w1 * x + w0)
        return value.detach(), torch.autograd.grad(value, (x, w1, w0))

    return Work(run=Call("f(x, w1, w0)", f=f, **dict(zip(WRT, point, strict=True))), answers=answers)


def symengine(arrays: Arrays) -> Work:
    """Call SymEngine's compiled value and derivatives, on an array that it takes as it is, into one that is kept."""
    import symengine

    x, w1, w0 = symengine.symbols("x w1 w0")
    value = 1 + symengine.exp(w1 * x + w0)
    f = symengine.Lambdify(
        [x, w1, w0], [value, value.diff(x), value.diff(w1), value.diff(w0)], backend="llvm", cse=True
    )
    point, out = np.array([float(arrays[name]) for name in WRT]), np.empty(4)
    f(point, out=out)
    return Work(
        run=Call("f(point, out=out)", f=f, point=point, out=out), answers=lambda result: named(WRT, out[0], out[1:])
    )


def casadi(arrays: Arrays) -> Work:
    """Call CasADi's function with Python's floats."""
    import casadi

    symbols = [casadi.SX.sym(name) for name in WRT]
    x, w1, w0 = symbols
    value = 1 + casadi.exp(w1 * x + w0)
    f = casadi.Function("f", symbols, [value, *(casadi.gradient(value, symbol) for symbol in symbols)])
    return Work(
        run=Call("f(x, w1, w0)", f=f, **{name: float(arrays[name]) for name in WRT}),
        answers=lambda result: named(WRT, float(result[0]), [float(d) for d in result[1:]]),
    )


def answers(result: Any) -> Arrays:
    """Return value and gradient by name."""
    return named(WRT, *result)


ROW = Row(
    name="point",
    work="1 + exp(w1*x + w0) at one point, value and gradient, the call from Python included",
    data=data,
    contestants={
        "gradcompile": gradcompile,
        "limit": limit,
        "jax": jax,
        "torch": torch,
        "symengine": symengine,
        "casadi": casadi,
    },
    limit="the function written by hand with math.exp",
    goals={"jax": 20, "symengine": 5, "limit": 0.5},
    cannot={"pytensor": "calls a function of arrays, in tens of microseconds", "scikit-learn": NO_GRADIENT},
    single=("gradcompile", "limit", "jax", "torch"),
    tolerance=1e-14,
)
