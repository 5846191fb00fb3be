"""Many sums over the same samples: one sum of their terms, the same value and gradient."""

import re

import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.language import parse
from gradcompile.lower import lower
from gradcompile.passes.totals import totals
from tests.texts import arrays_for, assert_right, gradient_of

HEAD = "x: data[N]\ny: data[N, D]\na: parameter\n"
SIZES = {"N": 5, "D": 3}
POWERS = [f"Sum(sin({k}*a*x[n]), n)" for k in range(1, 10)]


def sums(graph: Graph) -> int:
    return sum(value.op == "sum" for value in graph.order())


def rewritten(loss: str) -> tuple[int, int]:
    """Return how many sums a model has before and after, which both have the same value."""
    text = f"{HEAD}loss = {loss}\n"
    graph, arrays = lower(parse(text)), arrays_for(text, SIZES, seed=0)
    after = totals(graph)
    assert evaluate(after, arrays)["value"] == pytest.approx(evaluate(graph, arrays)["value"], rel=1e-13, abs=1e-13)
    return sums(graph), sums(after)


@pytest.mark.parametrize(
    "loss",
    [
        " + ".join(POWERS),
        " - ".join(POWERS),
        "-" + " - ".join(POWERS),
        "a - (" + " - ".join(POWERS) + ")",
        "2*" + " - 3*".join(POWERS),
    ],
)
def test_many_sums_over_the_same_samples_are_one(loss):
    assert rewritten(loss) == (9, 1)


@pytest.mark.parametrize(
    "loss",
    [
        " + ".join(POWERS[1:]),  # each has a register
        " + ".join(f"a*{each}" for each in POWERS),  # a number that is not known before would be multiplied each time
        " + ".join([*POWERS[1:], "Sum(y[n, k]*a, n, k)"]),  # not for each sample alone
        " + ".join([*POWERS[1:], "Sum(cos(x[n] - Sum(x[m], m)), n)"]),  # of what all samples must have come to before
        " + ".join([*POWERS[1:], "Sum(where(x[n] > 0, x[n]*a, 0), n)"]),  # of some of the samples
    ],
)
def test_others_stay(loss):
    before, after = rewritten(loss)
    assert before == after


def test_a_parameter_of_many_steps_has_one_sum():
    steps = "".join(f"x{k + 1}[n] = x{k}[n] + 0.1*(b - a*x{k}[n]**3)\n" for k in range(10))
    text = f"x0: data[N]\na: parameter\nb: parameter\n{steps}loss = Sum(x10[n]**2, n)\n"
    added = re.findall(r"(\w+) [-+]= ", gradient_of(text))
    assert sorted(added) == ["da", "db", "f"]
    arrays = arrays_for(text, SIZES, seed=1)
    assert_right(text, arrays, gc.compile(parse(text)).value_and_grad(**arrays))


def test_a_few_steps_of_many_parameters_have_one_sum_for_each():
    """Together they would need more registers than there are."""
    step = "{0}{2}[n] = {0}{1}[n] + 0.1*(p[{3}]*x{1}[n]*z{1}[n] - p[{4}]*{0}{1}[n])\n"
    steps = "".join(step.format(v, k, k + 1, *p) for k in range(5) for v, p in (("x", (0, 1)), ("z", (2, 3))))
    text = f"x0: data[N]\nz0: data[N]\np: parameter[4]\n{steps}loss = Sum((x5[n] - 1)**2 + (z5[n] - 1)**2, n)\n"
    assert gradient_of(text).count(" = 0.0\n") == 5
    arrays = arrays_for(text, SIZES, seed=1)
    assert_right(text, arrays, gc.compile(parse(text)).value_and_grad(**arrays))
