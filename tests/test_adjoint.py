"""Reverse mode against central differences, through the interpreter; and its conventions."""

from dataclasses import replace

import numpy as np
import pytest

import gradcompile as gc
from gradcompile import passes
from gradcompile.adjoint import adjoint
from gradcompile.errors import NonDifferentiableError
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size
from tests.graphs import CASES, Case, case

D = Axis(Size.of("D"))


def differences(given: Case, name: str, step: float = 1e-5) -> np.ndarray:
    """Return central differences, O(step**2), of the interpreter."""
    result = np.zeros(np.shape(given.inputs[name]))
    for place in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = {k: np.array(v) for k, v in given.inputs.items()}
            moved[name][place] += sign * step
            ends.append(float(evaluate(given.graph, moved)["value"]))
        result[place] = (ends[0] - ends[1]) / (2 * step)
    return result


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "with passes"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_differences(name: str, optimised: bool) -> None:
    given = CASES[name]
    graph = adjoint(passes.prepare(given.graph) if optimised else given.graph)
    found = evaluate(passes.optimise(graph) if optimised else graph, given.inputs)
    assert found["value"] == pytest.approx(evaluate(given.graph, given.inputs)["value"], rel=1e-13)
    for parameter in given.graph.wrt:
        # 1e-7: the differences have an error of about step**2 = 1e-10 times a third derivative
        np.testing.assert_allclose(found[f"d{parameter}"], differences(given, parameter), rtol=1e-7, atol=1e-7)


def gradient(build, **values: float) -> list[float]:
    given = case(build, dict.fromkeys(values, ()), " ".join(values))
    graph = adjoint(given.graph)
    inputs = {k: np.array(v) for k, v in values.items()}
    return [float(evaluate(graph, inputs)[f"d{name}"]) for name in values]


def test_equal_operands_share_and_constants_take_none() -> None:
    assert gradient(lambda b, v: b.apply("maximum", v["x"], v["y"]), x=2.0, y=2.0) == [0.5, 0.5]
    third = gradient(lambda b, v: b.apply("maximum", v["x"], v["y"], v["z"]), x=2.0, y=2.0, z=2.0)
    assert third == pytest.approx([1 / 3] * 3, rel=1e-15)
    assert gradient(lambda b, v: b.apply("maximum", v["x"], 0), x=0.0) == [0.0]
    assert gradient(lambda b, v: b.apply("minimum", b.apply("maximum", v["x"], 0), v["x"]), x=5.0) == [1.0]


@pytest.mark.parametrize("count", [2, 3])
def test_nothing_is_divided_by_no_ties_where_a_constant_is_the_largest(count: int) -> None:
    """Python raises an error for 1/0, and many branches inside one another are more than a guard can tell."""
    builder = Builder()
    numbers = [builder.input(f"x{k}", ()) for k in range(count)]
    largest = builder.apply("maximum", 1, *numbers)
    inputs = {number.attr: Input(number.attr, (), "real", "parameter") for number in numbers}
    graph = adjoint(Graph(builder, inputs, {"value": largest}, wrt=tuple(inputs)))
    every = replace(graph, outputs={str(v.number): v for v in graph.order()} | graph.outputs, wrt=())
    for below in (0.0, 2.0):
        found = evaluate(every, dict.fromkeys(inputs, np.array(below)))
        assert all(np.isfinite(value).all() for value in found.values())
        assert found["dx0"] == (0 if below < 1 else 1 / count)


def test_a_branch_that_is_not_taken_leaks_nothing() -> None:
    def root(b, v):
        return b.apply("select", b.apply("gt", v["x"], 0), b.apply("sqrt", v["x"]), 0)

    assert gradient(root, x=-1.0) == [0.0]
    assert gradient(root, x=1.0) == [0.5]


def test_nested_branches_that_share_a_value() -> None:
    def shared(b, v):
        root = b.apply("sqrt", v["x"])
        inner = b.apply("select", b.apply("gt", v["x"], -1), 2 * root, 0)
        return b.apply("select", b.apply("gt", v["x"], 1), root, inner)

    assert gradient(shared, x=-2.0) == [0.0]
    assert gradient(shared, x=0.25) == [2.0]


def test_a_product_with_zeros() -> None:
    values = Builder()
    w = values.input("w", (D,))
    graph = Graph(values, {"w": Input("w", (D.size,))}, {"value": values.reduce("prod", w, [D])}, wrt=("w",))
    assert evaluate(adjoint(graph), {"w": [0.0, 2.0, 3.0]})["dw"].tolist() == [6.0, 0.0, 0.0]
    assert evaluate(adjoint(graph), {"w": [0.0, 0.0, 3.0]})["dw"].tolist() == [0.0, 0.0, 0.0]


def test_a_parameter_that_does_not_occur_has_gradient_zero() -> None:
    assert gradient(lambda b, v: v["x"] * 2, x=1.0, y=3.0) == [2.0, 0.0]


def test_a_parameter_used_many_times() -> None:
    def chain(b, v):
        total = v["x"]
        for _ in range(99):
            total = total + v["x"] * 1.0
        return total

    assert gradient(chain, x=1.0) == [100.0]


def test_the_order_of_polygamma_has_no_derivative() -> None:
    with pytest.raises(NonDifferentiableError, match="polygamma"):
        gradient(lambda b, v: b.apply("polygamma", v["n"], v["x"]), n=1.0, x=2.0)


@pytest.mark.parametrize(
    ("text", "expected"), [("max(y, -exp(x))", 1.0), ("min(y, exp(x))", 1.0), ("max(y, sinh(-x))", 1.0)]
)
def test_what_is_not_the_largest_passes_nothing_back_though_its_slope_is_infinite(text, expected):
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nloss = {text}"))
    assert model.grad(x=3000.0, y=1.0) == (0.0, expected)
    rows = "x: data[N]\nw: parameter\ny: parameter\nloss = Sum(" + text.replace("x)", "w*x[n])") + ", n)"
    assert gc.compile(gc.parse(rows)).grad(x=[3000.0, 4000.0], w=1.0, y=1.0) == (0.0, 2 * expected)
