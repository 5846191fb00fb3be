"""The passes: stable where the formula is not, the same value everywhere else, and gathers where they cost least."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradcompile as gc
from gradcompile import passes
from gradcompile.adjoint import adjoint
from gradcompile.interpret import evaluate
from gradcompile.ir import Builder, Graph, Input, Value
from gradcompile.language import parse
from gradcompile.lower import lower
from gradcompile.passes.fold import fold
from tests.graphs import CASES, C, D, N, case


def ops(graph: Graph) -> list[str]:
    return [value.op for value in graph.order()]


def stable(build, **inputs: float) -> tuple[float, list[float]]:
    """Return value and gradient of a scalar model after all passes."""
    given = case(build, dict.fromkeys(inputs, ()), " ".join(inputs))
    graph = passes.optimise(adjoint(passes.prepare(given.graph)))
    found = evaluate(graph, {k: np.array(v) for k, v in inputs.items()})
    return float(found["value"]), [float(found[f"d{name}"]) for name in inputs]


def where(condition: Value, yes: object, no: object) -> Value:
    return condition.builder.apply("select", condition, yes, no)


def exp(x: Value) -> Value:
    return x.builder.apply("exp", x)


def log(x: Value) -> Value:
    return x.builder.apply("log", x)


@pytest.mark.parametrize(
    ("name", "build", "x", "value", "slope"),
    [
        ("softplus", lambda b, v: log(1 + exp(v["x"])), 1000.0, 1000.0, 1.0),
        (
            "power of an exponential",
            lambda b, v: exp(v["x"]) ** (1 / (2 + 0 * v["x"])),
            1400.0,
            math.exp(700),
            math.exp(700) / 2,
        ),
        ("softplus", lambda b, v: log(1 + exp(v["x"])), -1000.0, 0.0, 0.0),
        ("softplus of -x", lambda b, v: log(1 + exp(-v["x"])), -800.0, 800.0, -1.0),
        ("sigmoid", lambda b, v: 1 / (1 + exp(-v["x"])), -1000.0, 0.0, 0.0),
        ("sigmoid", lambda b, v: 1 / (1 + exp(-v["x"])), 1e6, 1.0, 0.0),
        ("sigmoid from above", lambda b, v: exp(v["x"]) / (1 + exp(v["x"])), 1000.0, 1.0, 0.0),
        ("log sigmoid", lambda b, v: log(1 / (1 + exp(-v["x"]))), -1000.0, -1000.0, 1.0),
        ("log of a difference", lambda b, v: log(1 - 1 / (1 + exp(-v["x"]))), 1000.0, -1000.0, -1.0),
        ("log cosh", lambda b, v: log(b.apply("cosh", v["x"])), 1000.0, 1000.0 - math.log(2), 1.0),
        ("log of two exponentials", lambda b, v: log(exp(v["x"]) + exp(2 * v["x"])), 800.0, 1600.0, 2.0),
        ("density under a log", lambda b, v: log(exp(-(v["x"] ** 2) / 2) / 2), 100.0, -5000.0 - math.log(2), -100.0),
        ("square root of a square", lambda b, v: b.apply("sqrt", v["x"] ** 2), -3.0, 3.0, -1.0),
        ("square root of a square", lambda b, v: b.apply("sqrt", v["x"] ** 2), 0.0, 0.0, 0.0),
        ("difference of exponentials", lambda b, v: exp(v["x"]) - 1, 1e-20, 1e-20, 1.0),
        ("log of 1 + x", lambda b, v: log(1 + v["x"]), 1e-20, 1e-20, 1.0),
        ("x log x", lambda b, v: v["x"] * log(v["x"]), 0.0, 0.0, -math.inf),
        ("log of a square", lambda b, v: log(v["x"] ** 2), -1e-200, 2 * math.log(1e-200), -2e200),
    ],
)
def test_a_formula_is_finite_where_the_mathematics_is(name, build, x, value, slope) -> None:
    found, gradient = stable(build, x=x)
    assert found == pytest.approx(value, rel=1e-15, abs=0), name
    assert gradient == pytest.approx([slope], rel=1e-15, abs=0), name


def test_a_sigmoid_times_what_cannot_overflow_stays_a_product() -> None:
    def gated(b: Builder, v: dict[str, Value]) -> Value:
        inner = b.apply("tanh", v["x"]) / (1 + exp(-v["y"]))
        return inner / (1 + exp(-v["z"]))

    graph = passes.prepare(case(gated, dict.fromkeys("xyz", ()), "x y z").graph)
    assert sorted(set(ops(graph)) - {"input", "mul"}) == ["sigmoid", "tanh"]
    value, slopes = stable(lambda b, v: log(gated(b, v)), x=0.5, y=-500.0, z=-600.0)
    assert value == pytest.approx(math.log(math.tanh(0.5)) - 1100.0, rel=1e-15)
    assert slopes[1:] == [1.0, 1.0]


@pytest.mark.parametrize("logits", [(-431.0, 279, 427), (-1047.0, -981, 1891), (1e4, -1e4, 0), (0.0, 0, 0)])
def test_logits_of_any_size(logits) -> None:
    def build(b: Builder, v: dict[str, Value]) -> Value:
        return -log(b.read(exp(v["z"]), [b.const(0)]) / b.reduce("sum", exp(v["z"]), [C]))

    given = case(build, {"z": (C,)}, "z")
    graph = passes.optimise(adjoint(passes.prepare(given.graph)))
    found = evaluate(graph, {"z": np.array(logits)})
    shares = np.exp(np.array(logits) - max(logits))
    shares /= shares.sum()
    assert found["value"] == pytest.approx(
        -(logits[0] - max(logits)) + math.log(np.exp(np.array(logits) - max(logits)).sum()), rel=1e-15
    )
    np.testing.assert_allclose(found["dz"], shares - [1, 0, 0], rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize(
    ("exponents", "weights", "value", "slopes"),
    [
        ((-50.0, 900.0, -50.0), (1.0, 0.0, 1.0), -50 + math.log(2), (0.5, 0.0, 0.5)),  # 900 is not there to choose
        ((900.0, -900.0, 1000.0), (1.0, 2.0, 0.0), 900.0, (1.0, 0.0, 0.0)),
        ((-900.0, -901.0, 0.0), (0.0, 3.0, 0.0), -901 + math.log(3), (0.0, 1.0, 0.0)),
    ],
)
def test_a_term_without_weight_does_not_set_the_scale_of_a_sum(exponents, weights, value, slopes) -> None:
    def build(b: Builder, v: dict[str, Value]) -> Value:
        return log(b.reduce("sum", v["m"] * exp(v["z"]), [C]))

    given = case(build, {"z": (C,), "m": (C,)}, "z")
    found = evaluate(
        passes.optimise(adjoint(passes.prepare(given.graph))), {"z": np.array(exponents), "m": np.array(weights)}
    )
    assert found["value"] == pytest.approx(value, rel=1e-15)
    np.testing.assert_allclose(found["dz"], slopes, rtol=1e-14)


def test_a_likelihood_as_a_product() -> None:
    """log prod_s p^t (1 - p)^(1 - t) is a sum of softplus, finite for a thousand samples."""

    def build(b: Builder, v: dict[str, Value]) -> Value:
        p = 1 / (1 + exp(-v["w"] * v["x"]))
        return -log(b.reduce("prod", p ** v["t"] * (1 - p) ** (1 - v["t"]), [N]))

    given = case(build, {"w": (), "x": (N,), "t": (N,)}, "w", sample=N)
    graph = passes.optimise(adjoint(passes.prepare(given.graph)))
    x, t = np.linspace(-50, 50, 1000), np.tile([0.0, 1.0], 500)
    found = evaluate(graph, {"w": 2.0, "x": x, "t": t})
    assert found["value"] == pytest.approx(np.sum(np.logaddexp(0, 2 * x) - t * 2 * x), rel=1e-14)


def test_a_gather_reads_what_is_computed_anyway() -> None:
    graph = passes.prepare(CASES["softmax"].graph)
    reads = [value for value in graph.order() if value.op == "read"]
    assert [value.operands[0].axes for value in reads] == [(N, C)]  # one read, of y, and none of W or b


def test_a_gather_sinks_where_the_full_array_is_not_needed() -> None:
    def build(b: Builder, v: dict[str, Value]) -> Value:
        table = b.reduce("sum", v["W"] * v["c"], [D])
        return b.reduce("sum", b.read(table, [v["gt"]]), [N])

    graph = passes.prepare(case(build, {"W": (D, C), "c": (D,), "gt": (N,)}, "W c", labels="gt").graph)
    assert all(value.operands[0].op == "input" for value in graph.order() if value.op == "read")


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ("Sum(Sum(h[i + a]*v[a], a)**2, i)", 15),
        ("Sum(Sum(h[2*i + a]*v[a], a)**2, i, 0, 6)", 15),  # 0 to 14, each of them
        ("Sum(Sum(h[3*i + a]*v[a], a)**2, i, 0, 4)", 15),
        ("Sum(Sum(h[4*i + a]*v[a], a)**2, i, 0, 3)", None),  # 3, 7 and 11 are left out
        ("Sum(Sum(h[i + a]*v[a], a)**2, i, 0, 9)", 12),  # the last three are
        ("Sum(Sum(h[2*i + a]*v[a], a)**2, i, 0, 5)", 13),
        ("Sum(Sum(h[i + a + 1]*v[a], a)**2, i, 0, 11)", None),  # the first is
        ("Sum(Sum(where(v[a] > 0, h[i + a], 0), a)**2, i, 0, 12)", None),  # a branch that may take none of an element
        ("Sum(h[i + 1]**2, i)", None),  # each once
    ],
)
def test_what_a_window_slides_over_is_computed_once(body, length) -> None:
    """As far as the windows reach: an element that none of them takes may be undefined."""
    text = f"x: data[15]\nw: parameter\nv: parameter[3]\nh[i] = log(w*x[i])\nloss = {body}\n"
    graph = lower(parse(text))
    order = passes.prepare(replace(graph, outputs={"value": graph.outputs["value"]})).order()
    windows = [v for v in order if v.op == "read" and any(i.op != "iota" for i in v.operands[1:])]
    computed = {v.operands[0].axes[0].size.constant for v in windows if v.operands[0].op != "input"}
    assert computed == ({length} if length else set())
    assert windows


@pytest.mark.parametrize(
    ("build", "simplest"),
    [
        (lambda x, y: x * 1, "x"), (lambda x, y: x + 0, "x"), (lambda x, y: -1 * -x, "x"), (lambda x, y: x - 0, "x"),
        (lambda x, y: 2 * (x / 2), "x"), (lambda x, y: -(-1 * x), "x"), (lambda x, y: x**1, "x"),
        (lambda x, y: x.builder.apply("select", True, x, y), "x"), (lambda x, y: exp(y) * (x / exp(y)), "x"),
        (lambda x, y: 1 + (x - 1), "x"), (lambda x, y: (x - 3) + 3, "x"),
    ],
)  # fmt: skip
def test_what_does_nothing_goes(build, simplest) -> None:
    builder = Builder()
    x, y = builder.input("x", ()), builder.input("y", ())
    graph = fold(Graph(builder, {}, {"value": build(x, y)}))
    assert graph.outputs["value"] is {"x": x, "y": y}[simplest]


@pytest.mark.parametrize(
    ("build", "choices"),
    [
        (lambda c, x, y: where(c, x, 0) + where(c, y, 0), 1),
        (lambda c, x, y: where(c, x, 0) + where(c, 0, y), 1),
        (lambda c, x, y: where(c, x, y) + where(c, y, 0), 1),
        (lambda c, x, y: where(c, 0, x) + where(c, y, x), 1),
        (lambda c, x, y: where(c, x, y) + where(c, y, x), 2),  # two sums instead of one
        (lambda c, x, y: where(c, x, 0) + where(x.builder.apply("gt", x, 1), y, 0), 2),
    ],
)
def test_sums_of_choices_by_one_condition_are_one_choice(build, choices) -> None:
    builder = Builder()
    x, y = builder.input("x", ()), builder.input("y", ())
    inputs = {name: Input(name, (), role="data") for name in "xy"}
    whole = Graph(builder, inputs, {"value": build(builder.apply("lt", x, y), x, y)})
    graph = fold(whole)
    assert sum(value.op == "select" for value in graph.order()) == choices
    for given in ({"x": 2.0, "y": 3.0}, {"x": 3.0, "y": 2.0}):
        assert evaluate(graph, given)["value"] == evaluate(whole, given)["value"]


def test_a_condition_inside_of_others_is_asked_once() -> None:
    """The adjoint asks again what a branch inside of another one has asked."""
    builder = Builder()
    p, q, r = (builder.apply("gt", builder.input(name, ()), 0) for name in "xyz")
    for one, other in (("and", "or"), ("or", "and")):
        chain = builder.apply(one, builder.apply(one, p, q), r)
        for again in (p, q, r, chain):
            assert fold(Graph(builder, {}, {"value": builder.apply(one, again, chain)})).outputs["value"] is chain
        both = builder.apply(other, p, chain)
        assert fold(Graph(builder, {}, {"value": both})).outputs["value"] is p
    halves = [builder.apply("and", p, q), builder.apply("and", p, builder.apply("not", q))]
    assert fold(Graph(builder, {}, {"value": builder.apply("or", *halves)})).outputs["value"] is p


@pytest.mark.parametrize("name", CASES)
def test_passes_keep_value_and_gradient(name: str) -> None:
    given = CASES[name]
    plain = evaluate(adjoint(given.graph), given.inputs)
    passed = evaluate(passes.optimise(adjoint(passes.prepare(given.graph))), given.inputs)
    for output, expected in plain.items():
        np.testing.assert_allclose(passed[output], expected, rtol=1e-12, atol=1e-13)


def test_norms_stay_with_one_of_a_pair() -> None:
    """A quotient for each number of a sample is fewer than one for each pair of samples."""
    text = """
        x: data[N, D]
        W: parameter[D, K]
        a[n, k] = Sum(x[n, j]*W[j, k], j)
        u[n, k] = a[n, k]/sqrt(Sum(a[n, i]**2, i))
        loss = Sum(log(Sum(exp(Sum(u[n, k]*u[m, k], k)), m)), n)
    """
    model = gc.compile(gc.parse(text))
    pairs = [v for v in model.graph.order() if v.op == "div" and len({a for a in v.axes if str(a.size) == "N"}) > 1]
    assert not pairs
    random = np.random.default_rng(0)
    x, W = random.normal(size=(6, 4)), random.normal(size=(4, 3))
    u = x @ W
    u /= np.sqrt((u**2).sum(axis=1, keepdims=True))
    assert model.value(x=x, W=W) == pytest.approx(np.log(np.exp(u @ u.T).sum(axis=1)).sum(), rel=1e-13)


def test_what_is_read_at_labels_under_two_indices_is_computed_once() -> None:
    """The angle of a rotation, and the length that its axis is divided by."""
    model = gc.compile(gc.load(Path(gc.__file__).parent / "models" / "bundle_adjustment.model"))
    assert [value.op for value in model.graph.order()].count("sqrt") == 1
