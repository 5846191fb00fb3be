"""Choices by cases: the same numbers as the sums of choices that they stand for, and fewer operations."""

from __future__ import annotations

import random

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value
from gradcompile.passes.cases import cases
from tests.texts import exact_answer

N = Axis(Size.of("N"), 0)
NUMBERS = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])


def compared(source: random.Random, builder: Builder) -> Value:
    """Return a random comparison of one of two arrays."""
    op = source.choice(("lt", "le", "gt", "ge", "eq", "ne"))
    return builder.apply(op, builder.input(source.choice("yz"), (N,)), builder.const(source.choice((0, 1))))


def condition(source: random.Random, several: list[Value], depth: int) -> Value:
    """Return a random condition that is made of some comparisons."""
    if not depth or source.random() < 0.4:
        return source.choice(several)
    op = source.choice(("and", "or", "not"))
    operands = [condition(source, several, depth - 1) for _ in range(1 if op == "not" else 2)]
    return several[0].builder.apply(op, *operands)


def drawn(source: random.Random, several: list[Value], depth: int) -> Value:
    """Return a random sum of choices, some of them inside of others."""
    builder = several[0].builder
    if not depth or source.random() < 0.2:
        return source.choice((builder.const(0), builder.input(source.choice("abc"), (N,))))
    one, other = (drawn(source, several, depth - 1) for _ in range(2))
    op = source.choice(("add", "sub", "mul", "select", "select", "select"))
    if op == "select":
        return builder.apply("select", condition(source, several, 2), one, other)
    return builder.apply(op, one, other)


def test_what_stands_for_a_sum_of_choices_has_the_same_numbers() -> None:
    source, changed = random.Random(5), 0
    point = {name: np.tile(NUMBERS, 6) for name in "y"} | {"z": np.repeat(NUMBERS, 6)}
    point |= {name: np.arange(36.0) * factor + 1 for name, factor in (("a", 1), ("b", 100), ("c", -10_000))}
    for _ in range(400):
        builder = Builder()
        root = drawn(source, [compared(source, builder) for _ in range(3)], 4)
        total = builder.reduce("sum", root, root.axes) if root.axes else root
        graph = Graph(builder, {name: Input(name, (Size.of("N"),)) for name in point}, {"value": total, "all": root})
        made = cases(graph)
        changed += made.outputs != graph.outputs
        assert len([v for v in made.order() if v.op == "select"]) <= len([v for v in graph.order() if v.op == "select"])
        np.testing.assert_array_equal(evaluate(made, point)["all"], evaluate(graph, point)["all"])
    assert changed > 60


TOBIT = """
    x: data[N]
    y: data[N]
    low: constant
    high: constant
    w: parameter
    z[n] = (y[n] - w*x[n])/sqrt(2)
    loss = -Sum(where(y[n] <= low, log(erfc(z[n])), where(y[n] >= high, log(erfc(-z[n])), -z[n]**2)), n)
"""
KINDS = """
    x: data[N, D]
    y: labels[N]
    w: parameter[D]
    eta[n] = Sum(x[n, j]*w[j], j)
    loss = Sum(where(y[n] == 0, softplus(eta[n] + 1), where(y[n] == 2, softplus(3 - eta[n]), log(cosh(eta[n])))), n)
"""
POINTS = {
    TOBIT: {"x": np.array([0.5, -1.0, 2.0]), "y": np.array([-1.0, 0.3, 4.0]), "low": -1.0, "high": 3.0, "w": 0.7},
    KINDS: {
        "x": np.array([[0.5, 1.0], [-1.0, 0.2], [2.0, 0.1]]),
        "y": np.array([0, 1, 2]),
        "w": np.array([0.4, -0.3]),
    },
}


def slopes(model: str, target: str) -> str:
    """Return what an emitted module computes for the gradient."""
    text = gc.emit(gc.parse(model), target=target)
    return text[text.index("def value_and_grad") : text.index("def grad(")]


@pytest.mark.parametrize("model", [TOBIT, KINDS])
def test_slopes_by_cases_are_right(model: str) -> None:
    right, gradient = exact_answer(model, POINTS[model])
    value, found = gc.compile(gc.parse(model)).value_and_grad(**POINTS[model])
    assert value == pytest.approx(right, rel=1e-14)
    np.testing.assert_allclose(found[0], np.array(gradient[0], float), rtol=1e-13)


def test_slopes_ask_once_for_a_case() -> None:
    assert slopes(TOBIT, "numpy").count("np.where(y <= low,") == 2  # one for the value, one for the slope
    assert "np.where(y == 0, c, np.where(y == 2, -c, np.tanh(eta)))" in slopes(KINDS, "numpy")
    assert slopes(TOBIT, "numba").count(" if ") == 4  # two for the value, two for the slope


def test_a_triangle_is_left_as_it_is() -> None:
    """What compares indices bounds a loop, which a choice inside of one by data would not."""
    builder = Builder()
    row, column = builder.iota(N), builder.iota(Axis(N.size, 1))
    a, zero = builder.input("a", (N,)), builder.const(0)
    low = builder.apply("select", builder.apply("lt", column, row), a, zero)
    high = builder.apply("select", builder.apply("lt", row, column), a, zero)
    total = builder.reduce("sum", low + high, (N, Axis(N.size, 1)))
    graph = Graph(builder, {"a": Input("a", (N.size,))}, {"value": total})
    assert cases(graph).outputs == graph.outputs


def test_a_product_with_a_choice_is_contracted() -> None:
    assert "dw = x.T @ " in slopes(KINDS, "numpy")
