"""The listing: the lecture's lines to the letter, and for every model lines that compute its gradient as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import IndexedBase, MatrixSymbol, Sum, exp, symbols

import gradcompile as gc
from gradcompile.emit import listing, support
from tests.oracle import Problem
from tests.zoo import ZOO, arguments, reference

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


def test_the_lecture() -> None:
    a, w1, w0 = symbols("x w1 w0")
    found = gc.compile(1 + exp(w1 * a + w0), wrt=[a, w1, w0]).listing
    assert found == (GOLDEN / "lecture.listing").read_text(encoding="utf-8")


def test_the_softmax_classifier() -> None:
    from tests.zoo import BY_NAME

    found = gc.compile(**arguments(BY_NAME["softmax"].forms["indexed"])).listing
    assert found == (GOLDEN / "softmax.listing").read_text(encoding="utf-8")


FORMS = [
    pytest.param(row.name, problem, id=f"{row.name}-{notation}")
    for row in ZOO
    for notation, problem in row.forms.items()
    if row.name != NAN_IN_DATA
]


@pytest.mark.one_in(7)
@pytest.mark.parametrize(("name", "problem"), FORMS)
def test_the_lines_compute_the_gradient(name: str, problem: Problem) -> None:
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
