"""Difference schemes and other stencils: steps of which neighbouring elements are read."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.lower import lower
from gradcompile.pipeline import differentiate
from gradcompile.schedule import plan
from tests.texts import arrays_for, exact_answer, gradient_of

SIZES = {"N": 5, "X": 14, "H": 6, "W": 7, "T": 9, "D": 2, "F": 3}


def scheme(steps: int) -> str:
    """Return a model whose states are those of a reaction that diffuses, step by step."""
    lines = ["u: data[N, X]", "y: data[N, X]", "k: parameter", "a: parameter", "u0[n, i] = u[n, i]"]
    for s in range(steps):
        near = f"u{s}[n, i] - 2*u{s}[n, i + 1] + u{s}[n, i + 2]"
        lines.append(f"u{s + 1}[n, i] = u{s}[n, i + 1] + exp(k)*({near}) + a*u{s}[n, i + 1]*(1 - u{s}[n, i + 1])")
    return "\n".join([*lines, f"loss = Sum((u{steps}[n, i] - y[n, i + {steps}])**2, n, i)", ""])


PLANE = """
    y: data[H, W]
    s: parameter[H, W]
    k: parameter
    e[i, j] = tanh(k*s[i, j])
    l[i, j] = e[i + 2, j + 1] + e[i, j + 1] + e[i + 1, j + 2] + e[i + 1, j] - 4*e[i + 1, j + 1]
    loss    = Sum((l[i, j] - y[i + 1, j + 1])**2, i, j)
"""
SERIES = """
    y: data[N]
    a: parameter
    b: parameter
    e[t] = y[t + 1] - a*tanh(y[t])
    loss = Sum((e[t + 1] + b*e[t])**2, t)
"""
LAYERS = """
    x: data[N, T, D]
    A: parameter[3, D, F]
    B: parameter[3, F, F]
    h[n, t, f] = tanh(Sum(x[n, t + k, d]*A[k, d, f], k, d))
    g[n, t, f] = h[n, t + 2, f] + tanh(Sum(h[n, t + k, c]*B[k, c, f], k, c))
    loss       = Sum(g[n, t, f]**2, n, t, f)
"""
EQUATION = """
    u: parameter[T, X]
    start: data[X]
    nu: parameter
    r[t, i] = 3*(u[t + 1, i + 1] - u[t, i + 1]) + u[t, i + 1]*(u[t, i + 2] - u[t, i]) - nu*(u[t, i + 2] + u[t, i])
    loss    = Sum(r[t, i]**2, t, i) + Sum((u[0, i] - start[i])**2, i)
"""
MODELS = {"scheme": scheme(3), "plane": PLANE, "series": SERIES, "layers": LAYERS}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_right_at_50_digits(name: str) -> None:
    text = MODELS[name]
    arrays = {name: array / 2 for name, array in arrays_for(text.replace("    ", ""), SIZES, seed=1).items()}
    right, slopes = exact_answer(text, arrays)
    model = gc.compile(gc.parse(text))
    model.value_and_grad(**arrays)
    model.wait()
    value, gradients = model.value_and_grad(**arrays)
    assert value == pytest.approx(right, rel=1e-13)
    for found, slope in zip(gradients if isinstance(gradients, tuple) else [gradients], slopes, strict=True):
        np.testing.assert_allclose(found, slope, rtol=1e-11, atol=1e-13)


def test_each_step_of_a_scheme_is_computed_once() -> None:
    """Six steps, written out, would be 1 + 3 + 5 + 7 + 9 + 11 of them."""
    three, six = (len(gc.compile(gc.parse(scheme(steps))).graph.order()) for steps in (3, 6))
    assert six < 2.2 * three


def test_what_functions_make_of_neighbours_is_computed_once() -> None:
    assert gradient_of(PLANE).count("vtanh(") == 1
    assert gradient_of(SERIES).count("vtanh(") == 2  # in each of two passes over the series


def test_neighbours_that_cost_little_are_read_where_they_are_used() -> None:
    """Of an addition, the array would take longer to keep than to compute again."""
    gradient = gradient_of("""
        x: data[N, T]
        s: parameter[T]
        d[n, i] = x[n, i]*s[i]
        loss = Sum((d[n, i + 1] - d[n, i])**2, n, i)
    """)
    assert not re.search(r"\n +d = ", gradient)


def test_elements_that_nobody_reads_are_not_computed() -> None:
    """The corners of the plane are in no neighbourhood, and 1/0 there is of no matter."""
    text = PLANE.replace("tanh(k*s[i, j])", "k/s[i, j]")
    s, y = np.arange(42.0).reshape(6, 7) + 1, np.zeros((6, 7))
    s[0, 0] = 0
    value, (ds, dk) = gc.compile(gc.parse(text)).value_and_grad(s=s, k=1.0, y=y)
    assert np.isfinite([value, dk]).all()
    assert np.isfinite(ds).all()
    assert ds[0, 0] == 0


@pytest.mark.parametrize("name", ["scheme", "layers"])
def test_what_comes_back_to_neighbours_is_kept_for_the_samples_of_a_block(name: str) -> None:
    returned = re.findall(r"\bd\w+", gradient_of(MODELS[name]).split("return")[-1])
    arrays = re.findall(r"(\w+) = np\.(?:empty|zeros)\(\(?(.*)\)", gradient_of(MODELS[name]))
    assert [array for array, shape in arrays if re.search(r"\bN\b", shape) and array not in returned] == []


def test_an_equation_on_a_grid_keeps_a_row_of_what_it_leaves_and_adds_its_start_before() -> None:
    """Loops run over steps in time, though data come along the other axis alone."""
    planned = plan(differentiate(lower(gc.parse(EQUATION))))
    assert str(planned.sample.size) == "T - 1"
    gradient = gradient_of(EQUATION)
    assert gradient.index("du[0, ") < gradient.index("for t in")
    assert "du = np.zeros((T, X))" in gradient
    assert "np.empty((T - 1, " not in gradient


def test_an_equation_on_a_grid_has_the_slopes_of_its_formula() -> None:
    random = np.random.default_rng(3)
    u, start, nu = random.normal(size=(7, 9)), random.normal(size=9), 0.3
    model = gc.compile(gc.parse(EQUATION))
    model.wait()
    value, (du, dnu) = model.value_and_grad(u=u, start=start, nu=nu)
    old, left, right = u[:-1, 1:-1], u[:-1, :-2], u[:-1, 2:]
    r = 3 * (u[1:, 1:-1] - old) + old * (right - left) - nu * (right + left)
    slopes = np.zeros((7, 9))
    slopes[0] = 2 * (u[0] - start)
    slopes[1:, 1:-1] += 6 * r
    slopes[:-1, 1:-1] += 2 * r * (right - left - 3)
    slopes[:-1, 2:] += 2 * r * (old - nu)
    slopes[:-1, :-2] -= 2 * r * (old + nu)
    np.testing.assert_allclose(value, (r**2).sum() + ((u[0] - start) ** 2).sum(), rtol=1e-13)
    np.testing.assert_allclose(du, slopes, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(dnu, -2 * (r * (right + left)).sum(), rtol=1e-11)


def test_rows_of_data_are_samples_and_not_their_columns() -> None:
    """Anchors begin two arrays as points do, but distances lie in a row for each point."""
    text = """
        p: data[A, 3]
        d: data[N, A]
        x: parameter[N, 3]
        b: parameter[A]
        loss = Sum((sqrt(Sum((x[n, k] - p[a, k])**2, k)) + b[a] - d[n, a])**2, n, a)
    """
    assert str(plan(differentiate(lower(gc.parse(text)))).sample.size) == "N"


def test_slopes_of_nine_points_are_added_to_one_array() -> None:
    """As many terms as a stencil has, of which the line that they start from has none."""
    near = " + ".join(f"{3 * a + b + 1}*u[i + {a}, j + {b}]" for a in range(3) for b in range(3))
    text = f"""
        u: parameter[H, W]
        f: data[H, W]
        loss = Sum((({near}) - f[i + 1, j + 1])**2, i, j)
    """
    gradient = gradient_of(text)
    assert re.findall(r"(\w+) = np.zeros", gradient) == ["du"]
    assert len(re.findall(r"du_?\w*\[[^]]+\] \+= ", gradient)) == 9
