"""Printed expressions mean what the graph means: the parentheses that are needed, and the order of evaluation kept."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradcompile as gc
from gradcompile.emit import support
from gradcompile.emit.expression import Printer, template
from gradcompile.emit.names import Names
from gradcompile.errors import EmissionError
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value

BUILDER = Builder()
X, Y, Z = (BUILDER.input(name, ()) for name in "xyz")
INPUTS = {name: Input(name) for name in "xyz"}


def printed(value: Value, target: str = "numpy") -> str:
    names = Names(Graph(BUILDER, INPUTS, {"value": value}))
    return Printer(target, names).render(value, lambda v: names.value(v) if v.op == "input" else None)


def op(name: str, *operands) -> Value:
    return BUILDER.apply(name, *operands)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-(X**2), "-x**2"),
        ((-X) ** 2, "(-x)**2"),
        (X / (Y * Z), "x/(y*z)"),
        (X / Y * Z, "x/y*z"),
        (X - (Y - Z), "x - (y - z)"),
        (X - Y - Z, "x - y - z"),
        (X + (Y + Z), "x + (y + z)"),
        (X * (Y * Z), "x*(y*z)"),
        (X * Y * Z, "x*y*z"),
        (X ** (Y**Z), "x**(y**z)"),
        ((X**Y) ** Z, "(x**y)**z"),
        (-2 * op("mod", X, 3), "-2*(x % 3)"),
        (-X / op("mod", X, Y), "-x/(x % y)"),
        (op("mod", 1, 1 / X), "1 % (1/x)"),
        (-op("mod", X, 3), "-(x % 3)"),
        (-(X * Y), "-x*y"),
        (-(X + Y), "-(x + y)"),
        (op("neg", op("neg", X)), "-(-x)"),
        (X + -Y, "x + (-y)"),
        (X * -Y, "x*(-y)"),
        (X ** BUILDER.const(-2), "x**(-2)"),
        (X * Fraction(1, 3), "x*(1/3)"),
        (X ** Fraction(2, 3), "x**(2/3)"),
        (X * BUILDER.const("pi"), "x*np.pi"),
        (X + BUILDER.const(-math.inf), "x + (-np.inf)"),
        (op("and", op("lt", X, Y), op("not", op("gt", X, Z))), "(x < y) & np.logical_not(x > z)"),
        (op("exp", X + Y) * 2, "np.exp(x + y)*2"),
        (op("detach", X + Y) * Z, "(x + y)*z"),
    ],
)
def test_parentheses(value, text):
    assert printed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (op("select", op("lt", X, Y), X, -Y), "x if x < y else -y"),
        (op("select", op("lt", X, Y), X, Z) + 1, "(x if x < y else z) + 1"),
        (op("select", op("lt", X, Y), op("select", op("lt", X, Z), X, Y), Z), "(x if x < z else y) if x < y else z"),
        (op("or", op("lt", X, Y), op("not", op("eq", X, Y))), "x < y or not x == y"),
        (X**2, "x**2"),
        (X ** Fraction(1, 3), "math.pow(x, 1/3)"),  # Python's own power of a negative number is complex
        (op("maximum", X, Y), "maximum(x, y)"),
    ],
)
def test_choices_and_powers_of_python(value, text):
    assert printed(value, "python") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "2"),
        (-2, "-2"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (True, "True"),
        (Fraction(-1, 3), "-1/3"),
        (2**60, "1.152921504606847e+18"),
        (math.nan, "np.nan"),
        ("e", "np.e"),
        (1e400, "np.inf"),
        (Fraction(1, 10**30), "1e-30"),
    ],
)
def test_numbers(number, text):
    assert printed(BUILDER.const(number)) == text


def test_numbers_beyond_floats():
    from gradcompile.emit.expression import number

    assert number(10**5000, "math")[0] == "math.inf"
    assert number(-(10**5000), "math")[0] == "-math.inf"


NUMBERS = st.sampled_from([2, 3, -1, Fraction(1, 3), Fraction(-5, 2), 0.7, -1.25])
LEAVES = st.sampled_from([X, Y, Z]) | NUMBERS.map(BUILDER.const)


def combined(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    pair = st.tuples(values, values)
    rows = st.sampled_from(["add", "sub", "mul", "div", "mod", "maximum"])
    binary = st.tuples(rows, pair).map(lambda c: op(c[0], *c[1]))
    unary = st.tuples(st.sampled_from(["neg", "abs", "tanh", "sigmoid"]), values).map(lambda c: op(*c))
    power = st.tuples(values, st.sampled_from([2, 3])).map(lambda c: c[0] ** c[1])
    truth = st.tuples(st.sampled_from(["lt", "ge", "ne"]), pair).map(lambda c: op(c[0], *c[1]))
    both = st.tuples(st.sampled_from(["and", "or"]), truth, truth).map(lambda c: op(*c))
    either = truth | both | truth.map(lambda t: op("not", t))
    return binary | unary | power | st.tuples(either, pair).map(lambda c: op("select", c[0], *c[1]))


@settings(max_examples=300, deadline=None)
@given(st.recursive(LEAVES, combined, max_leaves=20))
def test_text_means_the_same_as_the_graph(value):
    """Bit for bit where Python has a value at all: no operation was moved."""
    point = {"x": 0.625, "y": -1.5, "z": 2.25}
    expected = float(evaluate(Graph(BUILDER, INPUTS, {"value": value}), point)["value"])
    for target, module in (("python", math), ("numpy", np)):
        space = {**support.functions(target), "math": math, "np": module, **point}
        space = {n: np.float64(v) if target == "numpy" and n in point else v for n, v in space.items()}
        try:
            with np.errstate(all="ignore"):
                found = float(eval(printed(value, target), space))
        except (ArithmeticError, ValueError):
            continue  # Python raises where IEEE 754 has an infinity or a nan
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), printed(value, target)


def test_a_deep_chain_needs_no_recursion():
    value = X
    for _ in range(20_000):
        value = value + 1
    assert printed(value).count("+") == 20_000


def test_a_sum_cannot_stand_inside_an_expression():
    axis = Axis(Size.of("N"))
    total = BUILDER.reduce("sum", BUILDER.iota(axis), [axis])
    with pytest.raises(EmissionError, match="'sum' cannot stand inside"):
        printed(total + 1)


def test_support_functions_are_collected():
    names = Names(Graph(BUILDER, INPUTS, {}))
    printer = Printer("python", names)
    printer.render(op("sigmoid", X) + op("softplus", X), lambda v: "x" if v is X else None)
    assert printer.support == {"sigmoid", "softplus"}
    assert printer.call("maximum", "a", "b + 1") == "maximum(a, b + 1)"


def test_templates_are_parsed_once_for_precedence():
    form = template("math.pow({0}, {1})")
    assert form.pieces == ("math.pow(", 0, ", ", 1, ")")
    assert form.support == ()
    assert template("softplus({0})").support == ("softplus",)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_terms_of_a_relative_entropy_become_vectors(dtype):
    """As x log(x/y), by the function of the table that is 0 at x = 0; a call of `math.log` would leave them numbers."""
    text = "p: data[N]\nq: parameter[N]\nloss = Sum(p[n]*log(p[n]/q[n]) - p[n] + q[n], n)"
    model = gc.compile(gc.parse(text), dtype=dtype).wait()
    loop = model.source[model.source.index("def value_and_grad(") :]
    assert ("vxlogy(" if dtype == "float64" else "vxlogy32(") in loop
    assert "math.log" not in model.source
    p, q = np.array([0.0, 1e-30, 0.3, 2.0, 5.0]), np.array([0.7, 1e-30, 0.1, 2.5, 4.0])
    terms = np.array([0.7, 0.0, 0.3 * np.log(3) - 0.2, 2 * np.log(0.8) + 0.5, 5 * np.log(1.25) - 1])
    value, (gradient,) = model.value_and_grad(p=p, q=q)
    rtol = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(value, terms.sum(), rtol=rtol)
    np.testing.assert_allclose(gradient, 1 - p / q, rtol=rtol, atol=rtol)
    assert model.value(p=np.zeros(5), q=q) == pytest.approx(q.sum(), rel=rtol)
