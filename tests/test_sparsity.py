"""Patterns against the entries that are there, colourings against their definitions, and what is read from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import (
    IndexedBase,
    Lambda,
    MatrixSymbol,
    Piecewise,
    Sum,
    exp,
    floor,
    sin,
    symbols,
)

import gradcompile as gc
from gradcompile import higher
from gradcompile.colouring import column_colours, star_colours
from gradcompile.compiler.matrices import COLOURED
from gradcompile.interpret import evaluate, find_sizes
from gradcompile.pipeline import differentiate
from gradcompile.sparsity import Pattern, pattern
from tests.graphs import CASES

N, D = symbols("N D", integer=True, positive=True)
i, j, k, s = symbols("i j k s", integer=True)
w, t, X = IndexedBase("w", shape=(D,)), IndexedBase("t", shape=(N,)), IndexedBase("X", shape=(N, D))
g = IndexedBase("g", shape=(N,))
lam = symbols("lam")
every_j, every_s = (j, 0, D - 1), (s, 0, N - 1)
DIAGONAL = {(a, a) for a in range(5)}
BAND = DIAGONAL | {(a, a + 1) for a in range(4)} | {(a + 1, a) for a in range(4)}
ARROW = {*DIAGONAL, *((0, a) for a in range(5)), *((a, 0) for a in range(5))}
LABELS = {"g": np.array([3, 0, 3])}
SIZES = {"N": 3, "D": 5}

# An objective, and the entries of its Hessian by w, of 5 numbers, that can differ from zero.
HESSIANS: dict[str, tuple[Any, set[tuple[int, int]]]] = {
    "separable": (Sum(exp(w[j]), every_j), DIAGONAL),
    "neighbours": (Sum((w[j + 1] - w[j]) ** 4, (j, 0, D - 2)), BAND),
    "linear": (Sum(t[s] * w[g[s]], every_s), set()),
    "a row of a table": (Sum(sin(w[g[s]]) * t[s], every_s), DIAGONAL),  # computed once for every row, looked up or not
    "a row of a parameter": (Sum(w[g[s]] ** 2 * t[s], every_s), {(0, 0), (3, 3)}),
    "an arrow": (w[0] ** 2 * Sum(w[j] ** 2, every_j), ARROW),
    "a triangle": (
        Sum(Sum(Piecewise((w[j] * w[k], j < k), (0, True)), (k, 0, D - 1)), every_j),
        {(a, b) for a in range(5) for b in range(5) if a != b},
    ),
    "a step": (Sum(floor(w[j]) * Sum(w[k], (k, 0, D - 1)), every_j), set()),
    "everything": (Sum(w[j], every_j) ** 3, {(a, b) for a in range(5) for b in range(5)}),
    "a branch on numbers": (Sum(Piecewise((w[j] ** 2, t[0] > 0), (w[0] * w[j], True)), every_j), ARROW),
    "blocks": (Sum(w[2 * i] * w[2 * i + 1], (i, 0, 1)), {(0, 1), (1, 0), (2, 3), (3, 2)}),
}


def entries(found: Pattern) -> set[tuple[int, int]]:
    return set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))


@pytest.mark.parametrize("name", HESSIANS)
def test_patterns_of_hessians(name: str) -> None:
    expr, expected = HESSIANS[name]
    graph = gc.compile(expr, wrt=w).graph
    part = replace(graph, outputs={"dw": graph.outputs["dw"]})
    assert entries(pattern(part, ["w"], LABELS, SIZES)) == expected


def test_a_pattern_of_several_parameters_and_outputs() -> None:
    model = gc.compile(Lambda((s,), w[g[s]] * t[s] + lam), wrt=[lam, w, t], data=[])
    expected = {(0, 0), (1, 0), (2, 0), (0, 4), (1, 1), (2, 4), (0, 6), (1, 7), (2, 8)}
    found = pattern(model.graph, ["lam", "w", "t"], LABELS, SIZES)
    assert entries(found) == expected
    assert found.shape == (3, 9)


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_in_a_pattern_is_zero(name: str) -> None:
    case = CASES[name]
    sizes = find_sizes(case.graph, case.inputs)
    both = differentiate(case.graph)
    part = replace(both, outputs={f"d{n}": both.outputs[f"d{n}"] for n in case.graph.wrt})
    found = pattern(part, case.graph.wrt, case.inputs, sizes)
    blocks = evaluate(higher.hessian(case.graph), case.inputs)
    starts = np.cumsum([0, *(np.size(case.inputs[n]) for n in case.graph.wrt)])
    seen = np.zeros(found.shape, bool)
    seen[found.rows, found.columns] = True
    for row, a in enumerate(case.graph.wrt):
        for column in range(row, len(case.graph.wrt)):
            b = case.graph.wrt[column]
            block = blocks[f"h{a},{b}"].reshape(np.size(case.inputs[a]), np.size(case.inputs[b]))
            allowed = seen[starts[row] : starts[row + 1], starts[column] : starts[column + 1]]
            assert not np.any(block[~allowed]), (a, b)


# Colours --------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(1, 9), st.data())
def test_columns_of_one_colour_have_no_row_in_common(rows: int, columns: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)), unique=True))
    r, c = (np.array([p[k] for p in places], np.int64) for k in (0, 1))
    colours = column_colours(r, c, columns)
    for row in range(rows):
        used = colours[c[r == row]].tolist()
        assert len(set(used)) == len(used)


@given(st.integers(1, 9), st.data())
def test_a_symmetric_matrix_is_read_from_its_star_colouring(count: int, data: st.DataObject) -> None:
    """Every entry is alone in its row among the columns of its colour, or its mirror image is."""
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))))
    matrix = np.zeros((count, count))
    for number, (a, b) in enumerate(pairs, 1):
        matrix[a, b] = matrix[b, a] = number
    rows, columns = np.nonzero(matrix)
    colours, reverse = COLOURED["hessian"](Pattern(matrix.shape, rows, columns))
    assert not reverse
    compressed = matrix @ (colours.colour[:, None] == np.arange(colours.count))
    read = compressed[colours.at, colours.colour[colours.by]]
    assert read.tolist() == matrix[colours.pattern.rows, colours.pattern.columns].tolist()


def test_bands_and_arrows_need_few_colours() -> None:
    count = 40
    numbers = np.arange(count)
    zeros = np.zeros(count, np.int64)
    arrow = [np.concatenate(each) for each in ([numbers, zeros, numbers], [zeros, numbers, numbers])]
    assert star_colours(*arrow, count).max() == 1
    assert column_colours(*arrow, count).max() == count - 1
    band = [
        np.concatenate(each) for each in ([numbers, numbers[1:], numbers[:-1]], [numbers, numbers[:-1], numbers[1:]])
    ]
    assert star_colours(*band, count).max() == column_colours(*band, count).max() == 2


# Compiled matrices ----------------------------------------------------------------------------------------------------


def test_a_sparse_hessian_is_the_dense_one() -> None:
    """A chain whose ends meet in one number: a band, and an arrow around it."""
    chain = Sum((w[j + 1] - w[j] ** 2) ** 2 + lam * exp(w[j]), (j, 0, D - 2)) + lam**3
    model, random = gc.compile(chain, wrt=[w, lam]), np.random.default_rng(0)
    point = {"w": random.normal(size=30), "lam": 0.7}
    dense = np.zeros((31, 31))
    at = point["w"][:-1]
    for a in range(29):
        dense[a, a] += 12 * at[a] ** 2 - 4 * point["w"][a + 1] + point["lam"] * np.exp(at[a])
        dense[a + 1, a + 1] += 2
        dense[a, a + 1] = dense[a + 1, a] = -4 * at[a]
        dense[a, 30] = dense[30, a] = np.exp(at[a])
    dense[30, 30] = 6 * point["lam"]
    found = model.hessian(sparse=True, **point)
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-13, atol=1e-13)
    assert found.nnz == 31 + 2 * 29 + 2 * 29
    (ww, wl), (lw, ll) = model.hessian(**point)
    np.testing.assert_allclose(
        np.block([[ww, wl[:, None]], [lw[None], np.array([[ll]])]]), dense, rtol=1e-13, atol=1e-13
    )


def test_a_jacobian_with_few_rows_is_computed_backward() -> None:
    A, b = MatrixSymbol("A", 2, 40), MatrixSymbol("b", 40, 1)
    model, random = gc.compile((A * b).applyfunc(sin), wrt=b), np.random.default_rng(1)
    given_ = {"A": random.normal(size=(2, 40)), "b": random.normal(size=(40, 1))}
    exact = np.cos(given_["A"] @ given_["b"]) * given_["A"]
    np.testing.assert_allclose(model.jacobian(**given_)[..., 0], exact, rtol=1e-12)
