"""The example of the lecture at one point, the call from Python included."""

from __future__ import annotations

import math
from typing import Any

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


def answers(result: Any) -> Arrays:
    """Return value and gradient by name."""
    return named(WRT, *result)


ROW = Row(
    name="point",
    work="1 + exp(w1*x + w0) at one point, value and gradient, the call from Python included",
    data=data,
    contestants={"gradcompile": gradcompile, "limit": limit, "jax": jax},
    limit="the function written by hand with math.exp",
    goals={"jax": 20, "symengine": 5, "limit": 0.5},
    single=("gradcompile", "limit", "jax"),
    tolerance=1e-14,
)
