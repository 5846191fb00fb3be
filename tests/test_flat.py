"""Loops along rows as one loop over all their numbers, where the rows lie next to each other alone."""

import ast
import re

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.jit.direct.syntax import statements
from gradcompile.jit.direct.text import Text
from tests.test_direct import agree, both
from tests.texts import arrays_for, assert_right, gradient_of

FUNCTION = """@njit(error_model="numpy")
def f(m, n):
    a = np.zeros((m, n + 1, 3))
    b = np.empty((n, 3))
    c = np.empty((3, 3, 3))
    d = np.empty((n, n))
    e = np.zeros(3)
    for i in range(m):
        for j in range(n + 1):
            for k in range(3):
                a[i, j, k] = i + 2*j + 0.5*k
    for j in range(n):
        for k in range(3):
            b[j, k] = j - 3.0*k
    for i in range(3):
        for j in range(3):
            for k in range(3):
                c[i, j, k] = i*j - k
    for i in range(n):
        for j in range(n):
            d[i, j] = i - j
    for i in range(1):
        for j in range(n):
            for k in range(3):
                {}
    return a, b, c, d
"""
PLANE = """
    x: parameter[N, M, 3]
    a[i, j] = sqrt(Sum((x[i + 1, j, k] - x[i, j, k])**2, k))
    b[i, j] = sqrt(Sum((x[i, j + 1, k] - x[i, j, k])**2, k))
    loss    = Sum((a[i, j] - 1)**2, i, j) + Sum((b[i, j] - 1)**2, i, j)
"""


def flattened(text):
    """Return whether the last loops of the function are one loop; what they compute is what the interpreter does."""
    agree(*both(text, 2, 3))
    function = Text(text).prepared("f")
    last = [node for node in statements(function) if isinstance(node, ast.For) and ast.unparse(node.iter) == "range(1)"]
    return not any(isinstance(node, ast.For) for node in last[0].body[0].body)


@pytest.mark.parametrize(
    "statement",
    [
        "a[i, j, k] += b[j, k]",
        "a[i + 1, j + 1, k] -= 2*b[j, k]",
        "a[i, 1 + j, k] = b[j, k] + a[i, j, k]*0.5",  # one after the other, as before
        "b[j, k] = a[m - 1, j, k] if a[0, j, k] > 1 else b[j, k]",
    ],
)
def test_rows_next_to_each_other_are_one(statement):
    assert flattened(FUNCTION.format(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "a[i, j, k] += b[k, j]",  # the other way round
        "a[i, j, k] += b[j, k]*j",  # the number of the row
        "a[i, j, k] += b[j, 1]",
        "b[j, k] += c[j, j, k]",  # a diagonal
        "b[j, k] += d[j, k]",  # a part of longer rows
        "b[j, k] += a[i, j - 1, k]",  # the first from the end
        "b[j, k] = abs(b[j, k])",
        "b[j, k] += e[k]",  # a row that is the same for all
        "b[j, k] += a[0, 0, k]",
    ],
)
def test_others_stay(statement):
    assert not flattened(FUNCTION.format(statement))


def test_what_comes_back_to_neighbours_of_points_has_loops_of_its_own():
    """In one loop with what is added elsewhere, rows of coordinates are taken number by number."""
    text = gradient_of(PLANE)
    assert "for j in range(M):\n            for k in range(3):\n                dx[1 + i, j, k] += " in text
    assert "for j in range(M):\n            for k in range(3):\n                dx[i, j, k] -= " in text
    arrays = arrays_for(PLANE, {"N": 4, "M": 5}, seed=0)
    model = gc.compile(gc.parse(PLANE))
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(PLANE, arrays, model.value_and_grad(**arrays))


def test_what_comes_back_to_one_coordinate_of_neighbours_has_loops_of_its_own():
    text = "x: parameter[N, M, 2]\nloss = Sum((x[i + 1, j, 0] - x[i, j, 0] + x[i, j + 1, 1] - x[i, j, 1])**2, i, j)\n"
    loops = re.findall(r"\n +for j in range\(M - 1\):\n +dx\[.*\] [-+]= .*(?=\n {8}for|\n {4}\w)", gradient_of(text))
    assert len(loops) == 4
    arrays = arrays_for(text, {"N": 4, "M": 5}, seed=0)
    assert_right(text, arrays, gc.compile(gc.parse(text)).value_and_grad(**arrays))


def test_what_comes_back_to_a_chain_of_points_is_kept_for_one_of_them():
    """An array of all links would go through memory."""
    text = gradient_of("x: parameter[N, 3]\nloss = Sum(sqrt(Sum((x[i + 1, k] - x[i, k])**2, k)), i)\n")
    assert re.search(r"\w+ = np\.empty\(3\)\n", text)
    assert not re.search(r"np\.empty\(\(", text)


SUM = """@njit(error_model="numpy")
def f(x, w):
    assert x.shape[1] == w.shape[0] == 9, "planned for other sizes"
    assert x.shape[2] == w.shape[1] == 5, "planned for other sizes"
    {}assert x.shape[3] == w.shape[2] == 2, "planned for other sizes"
    P, Q, R = 9, 5, 2  # sizes for which this is planned
    N = x.shape[0]
    n9 = rolled(9)
    s = np.empty(N)
    for n in range(N):
        s_n = 0.0
        for p in range(n9):
            for q in range(Q):
                for r in range(R):
                    s_n += w[p, q, r]*x[n, p, q, r]
        s[n] = s_n
    return s


@njit(error_model="numpy")
def rolled(length):
    return int(math.ldexp(length, 0))
"""


@pytest.mark.parametrize("known", [True, False])
def test_arguments_of_known_sizes_are_rows_that_are_summed_up_as_one(known):
    random, text = np.random.default_rng(0), SUM.format("" if known else "# ")
    x, w = random.normal(size=(6, 9, 5, 2)), random.normal(size=(9, 5, 2))
    agree(*both(text, x, w))
    function = Text(text).prepared("f")
    ends = [ast.unparse(node.iter) for node in statements(function) if isinstance(node, ast.For)]
    assert ("range(90)" in ends) == known
    assert ("range(R)" in ends) != known


def test_a_sum_over_several_axes_is_held_in_one_variable():
    text = """
    x: data[N, P, Q]
    y: data[N]
    U: parameter[P, R]
    V: parameter[Q, R]
    s[n] = Sum(x[n, p, q]*U[p, r]*V[q, r], p, q, r)
    loss = Sum((y[n] - s[n])**2, n)
    """
    held = r"s_n = 0\.0\n +for p in range\(P\):\n +for q in range\(Q\):\n +s_n \+= .*\n +s\[n\] = s_n\n"
    assert re.search(held, gradient_of(text))
    arrays = arrays_for(text, {"N": 3, "P": 9, "Q": 3, "R": 2}, seed=0)
    assert_right(text, arrays, gc.compile(gc.parse(text)).value_and_grad(**arrays))
