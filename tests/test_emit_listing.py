"""The listing: the lecture's lines to the letter, and for every model lines that compute its gradient as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, MatrixSymbol, Sum, exp, symbols

import gradcompile as gc
from gradcompile.emit import listing, support
from tests.oracle import Answer, Problem
from tests.random_models import numbered
from tests.zoo import BY_NAME, ZOO, arguments, reference

GOLDEN = Path(__file__).parent / "golden"
N, D, C = symbols("N D C", integer=True, positive=True)
s, j, i = symbols("s j i", integer=True)
x, w = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D,))
NAN_IN_DATA = "masked"  # the textbook multiplies by 0 what is not taken, and 0*nan is nan


def lines(objective: Any, wrt: Any, **options: Any) -> list[str]:
    return [line for line in gc.compile(objective, wrt=wrt, **options).listing.splitlines() if line and line[0] != "#"]


def run(text: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Paste the lines into a namespace that has NumPy and the inputs."""
    space = {"np": np, **support.functions("numpy")}
    space |= {name: np.array(a, a.dtype) if a.ndim else a[()] for name, a in inputs.items()}
    with np.errstate(all="ignore"):
        exec(text, space)
    return space


def random_model(seed: int) -> tuple[Problem, Answer]:
    found = numbered(seed)
    assert found is not None
    return found.problem, found.answer


def test_the_lecture() -> None:
    a, w1, w0 = symbols("x w1 w0")
    found = gc.compile(1 + exp(w1 * a + w0), wrt=[a, w1, w0]).listing
    assert found == (GOLDEN / "lecture.listing").read_text(encoding="utf-8")


def test_the_softmax_classifier() -> None:
    found = gc.compile(**arguments(BY_NAME["softmax"].forms["indexed"])).listing
    assert found == (GOLDEN / "softmax.listing").read_text(encoding="utf-8")


FORMS = [
    pytest.param(row.name, notation, id=f"{row.name}-{notation}")
    for row in ZOO
    for notation in row.forms
    if row.name != NAN_IN_DATA
]


@pytest.mark.one_in(7)
@pytest.mark.parametrize(("name", "notation"), FORMS)
def test_the_lines_compute_the_gradient(name: str, notation: str) -> None:
    problem = BY_NAME[name].forms[notation]
    model = gc.compile(**arguments(problem))
    inputs = {n: np.asarray(v) for n, v in problem.inputs.items()}
    inputs = {n: a.astype(float) if model.graph.inputs[n].kind == "real" else a for n, a in inputs.items()}
    text = listing.render(model.lowered)
    assert max(map(len, text.splitlines())) <= 100
    found = run(text, inputs)
    asked, answer = reference(name)
    expected = np.concatenate([np.ravel(answer.floats()[1][n]) for n in asked.names])
    gradient = np.concatenate([np.ravel(np.broadcast_to(found[f"d{n}"], inputs[n].shape)) for n in problem.names])
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-11)


def test_a_contraction_is_one_operation() -> None:
    X, W = MatrixSymbol("X", N, D), MatrixSymbol("W", D, C)
    found = lines(Sum((X * W)[s, i] ** 2, (s, 0, N - 1), (i, 0, C - 1)), [X, W])
    assert found[:3] == ["a = X @ W", "b = a**2", "f = np.sum(b)"]
    assert found[3:] == ["df = 1", "db = np.full_like(b, df)", "da = 2*a*db", "dW = X.T @ da", "dX = da @ W.T"]


def test_a_broadcast_is_summed_backward() -> None:
    b = IndexedBase("b", shape=(D,))
    found = lines(Sum(exp(x[s, j] + b[j]), (s, 0, N - 1), (j, 0, D - 1)), [b])
    assert found[-1] == "db = np.sum(da, axis=0)"


def test_what_is_used_twice_is_added() -> None:
    a, b = symbols("a b")
    assert lines(exp(a) * a, [a])[-1].startswith("da += ")
    values = run("\n".join(lines(exp(a) * a + b * a, [a, b])), {"a": np.array(0.5), "b": np.array(2.0)})
    assert values["da"] == pytest.approx(np.exp(0.5) * 1.5 + 2)


def test_an_alias_is_not_changed_in_place() -> None:
    """y = w + w*c: the derivative of w starts as that of y, whose array must stay as it is."""
    c = IndexedBase("c", shape=(D,))
    text = "\n".join(lines(Sum((w[j] + c[j] + exp(w[j] + c[j])) ** 2, (j, 0, D - 1)), [w, c]))
    found = run(text, {"w": np.array([0.5, -1.0]), "c": np.array([0.25, 2.0])})
    u = np.array([0.75, 1.0])
    expected = 2 * (u + np.exp(u)) * (1 + np.exp(u))
    np.testing.assert_allclose(found["dw"], expected, rtol=1e-14)
    np.testing.assert_allclose(found["dc"], expected, rtol=1e-14)


POINT = np.array([0.5, -2.0, 3.0])
POSITIVE = (POINT > 0) * 1.0


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("Sum(where(x[i] > 0, 1, 0)*x[i], i) + Sum(sin(x[i]), i)", POSITIVE + np.cos(POINT)),
        ("Sum(sin(x[i]), i) + Sum(where(x[i] > 0, 1, 0)*x[i], i)", POSITIVE + np.cos(POINT)),
        ("Sum(where(x[i] > 0, x[i], 0) - x[i]/3, i)", POSITIVE - 1 / 3),
        ("Sum(where(x[i] > 0, 1, 0)*x[i], i) + Sum(x[i], i) + Sum(x[i]*0.5, i)", POSITIVE + 1.5),
        ("Sum(where(x[i] > 0, 1, 0)*x[i], i) + x[1]/4", POSITIVE + np.array([0, 0.25, 0])),
        ("Sum(where(x[i] > 0, 1, 0)*x[i], i) + Sum(x[a[i]]/4, i)", POSITIVE + np.array([0.5, 0, 0.25])),
        ("where(x[0] > 0, x[0], 0) + x[0]/4", np.array([1.25, 0, 0])),
        ("where(x[0] > 0, min(x[0], 1) + x[0]**2, 0) - x[0]/4", np.array([1.75, 0, 0])),
    ],
)
def test_fractions_are_added_to_what_begins_as_whole_numbers(loss: str, expected: Any) -> None:
    model = gc.compile(gc.parse(f"x: parameter[N]\na: labels[N]\nloss = {loss}"))
    found = run(model.listing, {"x": POINT, "a": np.array([0, 0, 2])})
    np.testing.assert_allclose(found["dx"], expected, rtol=1e-14)


def test_a_number_that_a_choice_makes_is_not_changed_through_its_other_name() -> None:
    """np.where makes an array of a number, and `dp = dq` is that array."""
    text = "y: parameter\nx: parameter\np = y*x\nq = p + x\nloss = where(x > y, q, 0)"
    found = run(gc.compile(gc.parse(text)).listing, {"x": np.array(3.0), "y": np.array(2.0)})
    assert (found["dx"], found["dy"]) == (3.0, 3.0)


@pytest.mark.parametrize("seed", [41, 45, 86, 205, 235, 304, 586])
def test_random_models_that_were_wrong(seed: int) -> None:
    """Choices of whole numbers, logarithms of determinants, maxima of numbers alone."""
    problem, answer = random_model(seed)
    model = gc.compile(**arguments(problem))
    inputs = {
        n: np.asarray(v, float if model.graph.inputs[n].kind == "real" else int) for n, v in problem.inputs.items()
    }
    found = run(model.listing, inputs)
    for name, expected in answer.floats()[1].items():
        np.testing.assert_allclose(np.broadcast_to(found[f"d{name}"], inputs[name].shape), expected, rtol=1e-9)


def test_constants_and_data_get_no_derivative() -> None:
    found = lines(Sum((x[s, j] * w[j]) ** 2, (s, 0, N - 1), (j, 0, D - 1)), [w])
    assert not [line for line in found if line.startswith("dx")]


def test_a_parameter_that_does_not_occur_has_gradient_0() -> None:
    a, b = symbols("a b")
    assert lines(exp(a), [a, b])[-1] == "db = 0"


def test_definitions_keep_their_names() -> None:
    a, z = symbols("a z")
    found = lines(exp(z), [a], define={z: 2 * a + 1})
    assert found[0] == "b = 2*a"
    assert found[1] in ("z = b + 1", "z = 1 + b")
    assert found[2:6] == ["f = np.exp(z)", "df = 1", "dz = np.exp(z)*df", "db = dz"]
