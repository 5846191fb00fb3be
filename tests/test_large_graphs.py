"""Large models are a DAG of definitions: linear time, no recursion, right answers from 1,000 to 100,000 operations.

The reference is a tape in plain Python that shares nothing with the package: it runs the operations forward and
then backward.
"""

from __future__ import annotations

import gc as garbage
import itertools
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Symbol
from sympy.physics.mechanics import LagrangesMethod, ReferenceFrame, dynamicsymbols

import gradcompile as gc
from tests.oracle import Problem, exact
from tests.zoo import load

EPS = float(np.finfo(np.float64).eps)
INPUTS = 5
BUDGET = 20.0  # seconds of processor time for 100,000 operations
LINEAR = 4.0  # ten times the operations may take this many times ten times the time

# How much an operation bends: small, so that values and slopes neither die nor explode on a path of 100,000.
BEND = 2.0**-12
SLOW = 2.0**-17

# name: number of operations, SymPy, value, partial derivatives
Rule = tuple[int, Callable[..., Any], Callable[..., float], Callable[..., tuple[float, float]]]
STEPS: dict[str, Rule] = {
    "sum": (1, lambda a, b: a + b, lambda a, b: a + b, lambda a, b: (1.0, 1.0)),
    "product": (1, lambda a, b: a * b, lambda a, b: a * b, lambda a, b: (b, a)),
    "mean": (2, lambda a, b: (a + b) / 2, lambda a, b: (a + b) / 2, lambda a, b: (0.5, 0.5)),
    "sine": (1, lambda a, b: sympy.sin(a), lambda a, b: math.sin(a), lambda a, b: (math.cos(a), 0.0)),
    "drift": (2, lambda a, b: a + SLOW * b, lambda a, b: a + SLOW * b, lambda a, b: (1.0, SLOW)),
    "bend": (
        4,
        lambda a, b: a + BEND * sympy.exp(-b),
        lambda a, b: a + BEND * math.exp(-b),
        lambda a, b: (1.0, -BEND * math.exp(-b)),
    ),
    "twist": (
        3,
        lambda a, b: a * (1 - BEND * b),
        lambda a, b: a * (1 - BEND * b),
        lambda a, b: (1 - BEND * b, -BEND * a),
    ),
}


@dataclass
class Tape:
    """Operations on earlier values: (name, place of a, place of b); the first places are the inputs."""

    start: list[float]
    steps: list[tuple[str, int, int]]

    def forward(self) -> list[float]:
        values = list(self.start)
        for name, a, b in self.steps:
            values.append(STEPS[name][2](values[a], values[b]))
        return values

    def gradient(self) -> list[float]:
        """The gradient of the sum of the last INPUTS values."""
        values = self.forward()
        adjoint = [0.0] * (len(values) - INPUTS) + [1.0] * INPUTS
        for place in range(len(values) - 1, INPUTS - 1, -1):
            name, a, b = self.steps[place - INPUTS]
            da, db = STEPS[name][3](values[a], values[b])
            adjoint[a] += da * adjoint[place]
            adjoint[b] += db * adjoint[place]
        return adjoint[:INPUTS]

    def model(self) -> dict[str, Any]:
        """The same as definitions: what gc.emit is called with."""
        symbols = [Symbol(f"x{a}") for a in range(INPUTS)] + [Symbol(f"v{a}") for a in range(len(self.steps))]
        define = {
            symbols[INPUTS + place]: STEPS[name][1](symbols[a], symbols[b])
            for place, (name, a, b) in enumerate(self.steps)
        }
        return {"expr": sympy.Add(*symbols[-INPUTS:]), "wrt": symbols[:INPUTS], "define": define}


def operations(steps: list[tuple[str, int, int]]) -> int:
    return sum(STEPS[name][0] for name, _, _ in steps)


def chain(length: int) -> Tape:
    """sin and drift by turns, one long path: x, sin x, x + c sin x, ...; as deep as it is long."""
    steps = [("twist", 0, 1), ("mean", INPUTS, 2), ("mean", INPUTS + 1, 3), ("bend", INPUTS + 2, 4)]
    last = INPUTS + 3
    for _ in range((length - operations(steps)) // 3):
        steps += [("sine", last, last), ("drift", last, last_sine := INPUTS + len(steps))]
        last = last_sine + 1
    return Tape([0.3, 0.9, -0.4, 0.7, 0.5], steps)


def web(length: int) -> Tape:
    """Random operations on one of the last 30 values and another or an input, so that nearly all are used."""
    choose, steps = random.Random(length), []
    for place in range(INPUTS, INPUTS + length * 4 // 11):  # 11 operations in 4 steps on average
        a, b = (choose.randrange(max(0, place - 30), place) for _ in range(2))
        name = choose.choice(["mean", "drift", "bend", "twist"])
        steps.append((name, a, choose.randrange(INPUTS) if name != "mean" and choose.random() < 0.5 else b))
    return Tape([0.3, 0.9, -0.4, 0.7, 0.5], steps)


def ladder(length: int) -> Tape:
    """One operation a definition: v = sin(v), v = v + x, v = v*y, again and again."""
    steps = [("sum", 0, 1)]
    while len(steps) < length:
        last = INPUTS + len(steps) - 1
        steps.append([("sine", last, last), ("sum", last, 2), ("product", last, 3)][len(steps) % 3])
    return Tape([0.3, 0.4, 0.001, 1.0, 0.5], steps)


SHAPES = [pytest.param(chain, id="chain"), pytest.param(web, id="web"), pytest.param(ladder, id="ladder")]


def timed(work: Callable[[], str]) -> tuple[str, float]:
    """Return what the work gives and its processor time on this thread.

    Models of other tests may still compile on another thread, and garbage of the whole run is searched at any time:
    neither is the work's.
    """
    garbage.collect()
    garbage.disable()
    try:
        start = time.thread_time()
        return work(), time.thread_time() - start
    finally:
        garbage.enable()


def emitted(tape: Tape) -> tuple[str, float]:
    """Return the module and the processor time of lowering, differentiating and emitting."""
    model = tape.model()
    return timed(lambda: gc.emit(**model, target="python"))


def check(tape: Tape, module: Any) -> None:
    value, grads = module.value_and_grad(*tape.start)
    np.testing.assert_allclose(value, math.fsum(tape.forward()[-INPUTS:]), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(grads, tape.gradient(), rtol=1e-9, atol=1e-12)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("build", SHAPES)
@pytest.mark.parametrize("length", [1_000, 10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_large_models_are_right(build: Callable[[int], Tape], length: int, tmp_path: Path) -> None:
    tape = build(length)
    text, seconds = emitted(tape)
    assert length < 100_000 or seconds < BUDGET  # smaller ones are over too soon to be timed on a busy machine
    check(tape, load(text, tmp_path / "large.py"))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("build", SHAPES)
def test_time_grows_linearly(build: Callable[[int], Tape]) -> None:
    emitted(build(200))  # imports and tables
    small = min(emitted(build(500))[1] for _ in range(2))
    _, large = emitted(build(5_000))
    assert large <= 10 * LINEAR * small


def planning(length: int) -> float:
    """Return the processor time of a plan for a chain of branches of so many definitions."""
    x, y = sympy.symbols("x y")
    names = [x, *sympy.symbols(f"u:{length}")]
    define = {
        b: sympy.Piecewise((sympy.sqrt(a) + y, a > 1), (sympy.cos(a * y), True)) for a, b in itertools.pairwise(names)
    }
    model = gc.compile(names[-1], wrt=[x, y], define=define)
    return timed(lambda: str(model.plan))[1]


@pytest.mark.slow
def test_the_time_of_a_plan_grows_linearly() -> None:
    planning(10)  # imports and tables
    small = min(planning(50) for _ in range(3))
    assert planning(500) <= 10 * LINEAR * small


@pytest.mark.slow
@pytest.mark.parametrize("build", SHAPES)
def test_time_grows_linearly_to_100_000(build: Callable[[int], Tape]) -> None:
    _, small = emitted(build(10_000))
    _, large = emitted(build(100_000))
    assert large <= 10 * LINEAR * small


@pytest.mark.parametrize("build", SHAPES)
def test_graphs_have_the_size_that_they_say(build: Callable[[int], Tape]) -> None:
    assert operations(build(10_000).steps) == pytest.approx(10_000, rel=0.02)


def test_reference_tape_agrees_with_differences() -> None:
    """The tape is itself checked: in sums of halves and products at 1,000 operations."""
    tape, step = web(1_000), 1e-6
    for place, slope in enumerate(tape.gradient()):
        ends = []
        for sign in (1, -1):
            start = list(tape.start)
            start[place] += sign * step
            ends.append(math.fsum(Tape(start, tape.steps).forward()[-INPUTS:]))
        assert abs(slope - (ends[0] - ends[1]) / (2 * step)) <= 1e-6
    assert max(map(abs, tape.gradient())) > 1e-3


@pytest.mark.slow
def test_wide_sum_without_definitions(tmp_path: Path) -> None:
    """SymPy keeps a sum of 5,000 terms flat; so must everything behind it."""
    xs = sympy.symbols("x0:50")
    terms = [sympy.sin((k + 1) * xs[k % 50]) for k in range(5_000)]
    module = load(gc.emit(sympy.Add(*terms), wrt=list(xs), target="python"), tmp_path / "wide.py")
    point = [0.01 * (k + 1) for k in range(50)]
    value, grads = module.value_and_grad(*point)
    np.testing.assert_allclose(value, math.fsum(math.sin((k + 1) * point[k % 50]) for k in range(5_000)), rtol=1e-11)
    expected = [math.fsum((k + 1) * math.cos((k + 1) * p) for k in range(j, 5_000, 50)) for j, p in enumerate(point)]
    np.testing.assert_allclose(grads, expected, rtol=1e-10)


def test_cse_output_is_a_model(tmp_path: Path) -> None:
    """`sympy.cse` gives (replacements, expressions), and that is accepted as it is."""
    x, y = sympy.symbols("x y")
    f = sympy.exp(x * y + 1) * sympy.sin(x * y + 1) + (x * y + 1) ** 3
    module = load(gc.emit(sympy.cse(f), wrt=[x, y], target="python"), tmp_path / "cse.py")
    u, v = 0.3, -0.8
    w = u * v + 1
    slope = math.exp(w) * (math.sin(w) + math.cos(w)) + 3 * w**2
    value, (dx, dy) = module.value_and_grad(u, v)
    np.testing.assert_allclose([value, dx, dy], [math.exp(w) * math.sin(w) + w**3, slope * v, slope * u], rtol=1e-14)


def double_pendulum() -> tuple[list[Symbol], list[sympy.Expr]]:
    """The angular accelerations of two point masses on rods, by Lagrange's method, in angles, speeds and constants."""
    q1, q2 = dynamicsymbols("q1 q2")
    m1, m2, l1, l2, g = constants = sympy.symbols("m1 m2 l1 l2 g")
    frame = ReferenceFrame("N")
    x, y = frame.x, frame.y
    first = l1 * (sympy.sin(q1) * x - sympy.cos(q1) * y)
    places = [first, first + l2 * (sympy.sin(q2) * x - sympy.cos(q2) * y)]
    energies = [
        m * (place.dt(frame).dot(place.dt(frame)) / 2 - g * place.dot(y))
        for m, place in zip((m1, m2), places, strict=True)
    ]
    method = LagrangesMethod(sum(energies), [q1, q2])
    method.form_lagranges_equations()
    accelerations = method.mass_matrix.LUsolve(method.forcing)
    state = sympy.symbols("a1 a2 s1 s2")
    plain = dict(zip([q1.diff(), q2.diff(), q1, q2], [*state[2:], *state[:2]], strict=True))
    return [*state, *constants], [a.subs(plain) for a in accelerations]


def test_double_pendulum_through_cse(tmp_path: Path) -> None:
    """Number 22 of the zoo: a long scalar model, the square of both accelerations, as `sympy.cse` delivers it."""
    symbols, accelerations = double_pendulum()
    point = dict(zip(map(str, symbols), [0.4, -0.9, 1.1, 0.3, 1.2, 0.7, 1.5, 0.8, 9.81], strict=True))
    objective = sum(a**2 for a in accelerations)
    answer = exact(Problem(objective, symbols, point))
    for target in ("python", "numpy"):
        module = load(gc.emit(sympy.cse(objective), wrt=symbols, target=target), tmp_path / f"{target}.py")
        value, grads = module.value_and_grad(**point)
        assert abs(value - answer.value) <= 64 * EPS * answer.value_scale
        for name, g in zip(point, grads, strict=True):
            assert abs(g - answer.grads[name].item()) <= 64 * EPS * max(1, answer.scales[name].item())
