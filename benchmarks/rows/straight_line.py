"""Long straight-line code: the gradient of a random graph of scalar operations."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import NO_GRADIENT, SLOW_COMPILE
from benchmarks.gradients import named
from benchmarks.row import Arrays, Call, Contestant, Row, Work

INPUTS = 10
NO_SHARING = "differentiates expressions, which grow without bound where values are shared"
NEAR = 20  # how far back the first operand is at most; the second is anywhere
SUM, DIFFERENCE, PRODUCT, SINE, COSINE, TANGENT, BELL = range(7)
CHANCES = (0.2, 0.15, 0.15, 0.15, 0.15, 0.1, 0.1)


def data(operations: int) -> Callable[[float], Arrays]:
    """Return what draws a graph: the operation of each value, its operands, and a point."""

    def made(scale: float) -> Arrays:
        count, random = int(operations * scale), np.random.default_rng(0)
        number = np.arange(count) + INPUTS  # operand k < INPUTS is an input, else a value
        return {
            "operation": random.choice(len(CHANCES), size=count, p=CHANCES),
            "left": number - 1 - random.integers(0, np.minimum(NEAR, number)),
            "right": random.integers(0, number),
            "x": random.normal(size=INPUTS),
        }

    return made


def build(arrays: Arrays, inputs: Sequence[Any], functions: Any, name: Callable[[Any], Any] = lambda e: e) -> Any:
    """Return the objective, the sum of what no operation uses, in the expressions of a library.

    Parameters
    ----------
    arrays : mapping
        As `data` makes them.
    inputs : sequence
        The library's symbols.
    functions : namespace
        With sin, cos, tanh and exp.
    name : callable
        Told of every value as it is made; returns what stands for it.
    """
    table: tuple[Callable[[Any, Any], Any], ...] = (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: functions.sin(a),
        lambda a, b: functions.cos(a),
        lambda a, b: functions.tanh(a),
        lambda a, b: functions.exp(-a * a),
    )
    values = list(inputs)
    binary = arrays["operation"] <= PRODUCT
    for operation, left, right in zip(arrays["operation"], arrays["left"], arrays["right"], strict=True):
        a = values[left]
        if operation in (SUM, PRODUCT):
            a = functions.sin(a)  # so that neither sums nor products grow without bound
        values.append(name(table[operation](a, values[right])))
    used = {*arrays["left"].tolist(), *arrays["right"][binary].tolist()}
    return sum(value for number, value in enumerate(values) if number not in used)


def gradcompile(arrays: Arrays) -> Work:
    """Compile the graph as the output of `sympy.cse`: names and what they stand for."""
    import sympy

    import gradcompile as gc

    inputs = sympy.symbols(f"x:{INPUTS}")
    replacements: list[tuple[Any, Any]] = []

    def name(expression: Any) -> Any:
        symbol = sympy.Symbol(f"v{len(replacements)}")
        replacements.append((symbol, expression))
        return symbol

    objective = build(arrays, inputs, sympy, name)
    start = time.perf_counter()
    model = gc.compile((replacements, [objective]), wrt=list(inputs))
    point = {f"x{i}": float(value) for i, value in enumerate(arrays["x"])}
    model.value_and_grad(**point)
    model.wait()
    compiled = time.perf_counter() - start
    words = ", ".join(f"{name}={name}" for name in point)
    return Work(
        run=Call(f"f({words})", f=model.value_and_grad, **point),
        answers=lambda result: {"value": np.asarray(result[0]), "dx": np.asarray(result[1])},
        settle=model.wait,
        value=Call(f"f({words})", f=model.value, **point),
        compile=compiled,
    )


def casadi(arrays: Arrays) -> Work:
    """Generate C by CasADi, compile it by gcc -O1, and call it with buffers of its own."""
    import casadi

    x = casadi.SX.sym("x", INPUTS)
    objective = build(arrays, casadi.vertsplit(x), casadi)
    start = time.perf_counter()
    both = casadi.Function("both", [x], [objective, casadi.gradient(objective, x)])
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "both.c"
        generator = casadi.CodeGenerator(text.name)
        generator.add(both)
        generator.generate(f"{folder}/")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", text, "-o", f"{folder}/both.so", "-lm"], check=True)
        library = ctypes.CDLL(f"{folder}/both.so")
    compiled = time.perf_counter() - start

    point, value, gradient = np.array(arrays["x"], np.float64), np.empty(1), np.empty(INPUTS)
    work, integers = np.empty(both.sz_w()), np.empty(max(both.sz_iw(), 1), np.int64)
    given = (ctypes.c_void_p * max(both.sz_arg(), 1))(point.ctypes.data)
    found = (ctypes.c_void_p * max(both.sz_res(), 2))(value.ctypes.data, gradient.ctypes.data)
    names = {
        "f": library.both,
        "given": given,
        "found": found,
        "integers": ctypes.c_void_p(integers.ctypes.data),
        "work": ctypes.c_void_p(work.ctypes.data),
    }
    run = Call("f(given, found, integers, work, 0)", **names)
    held = (point, value, gradient, integers, work)  # what the pointers point to
    return Work(run=run, answers=lambda result: {"value": held[1][0], "dx": held[2]}, compile=compiled)


def torch(arrays: Arrays) -> Work:
    """Build the graph in each call and run torch's autograd, as it is used."""
    import torch

    x = torch.tensor(arrays["x"], requires_grad=True)

    def run() -> tuple[Any, Any]:
        value = build(arrays, list(x), torch)
        return value.detach(), torch.autograd.grad(value, x)

    return Work(run=run, answers=lambda result: named(("x",), *result))


def row(operations: int, contestants: dict[str, Contestant], **settings: Any) -> Row:
    """Return the row of one size."""
    return Row(
        name=f"straight-line-{operations}",
        work=f"random graph of {operations:,} scalar operations, {INPUTS} inputs, value and gradient at a point",
        data=data(operations),
        contestants=contestants,
        single=tuple(contestants),
        tolerance=1e-6,  # some graphs are steep
        **settings,
    )


STRAIGHT_LINE = (
    row(
        5_000,
        {"gradcompile": gradcompile, "casadi": casadi, "torch": torch},
        goals={"casadi": 1},
        cannot={"jax": SLOW_COMPILE, "pytensor": SLOW_COMPILE, "symengine": NO_SHARING, "scikit-learn": NO_GRADIENT},
    ),
    row(
        50_000,
        {"gradcompile": gradcompile, "casadi": casadi},
        cannot={
            "jax": SLOW_COMPILE,
            "torch": "takes a step of Python for each operation",
            "pytensor": SLOW_COMPILE,
            "symengine": NO_SHARING,
            "scikit-learn": NO_GRADIENT,
        },
        repeats=3,
    ),
)
