"""Tables of which samples pick elements along the last axis, and their copies, in which these are rows."""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc
from tests.texts import arrays_for, assert_right

SIZES = {"N": 11, "L": 3, "Q": 4, "K": 5, "V": 2}
HEAD = "x: labels[N, L]\ng: labels[N]\ny: data[N]\nW: parameter[K, L, Q]\nE: parameter[K, Q]\nv: parameter[K]\n"
TURNED = {
    "places of a sequence": "loss = Sum((y[n] - Sum(tanh(Sum(W[k, j, x[n, j]], j))*v[k], k))**2, n)",
    "with a bias and a regulariser": """
        z[n, k] = v[k] + Sum(W[k, j, x[n, j]], j)
        loss = Sum(log(Sum(exp(z[n, k]), k)) - y[n]*z[n, 0], n) + 0.1*Sum(W[k, j, q]**2, k, j, q)
        """,
    "one label": "loss = Sum((y[n] - Sum(exp(E[k, g[n]])*sin(v[k]*y[n]), k))**2, n) + Sum(E[k, 1]*E[0, q], k, q)",
    "a product with a vector": "loss = Sum(y[n]*exp(Sum(E[k, g[n]]*v[k], k)), n)",
}
AS_THEY_ARE = {
    "picked by rows": "loss = Sum((y[n] - Sum(tanh(W[x[n, 0], l, q]*v[0]), l, q))**2, n)",
    "few numbers": "loss = Sum((y[n] - tanh(E[0, g[n]] + E[1, g[n]]*v[0]))**2, n)",
    "two ways": "loss = Sum((y[n] - Sum(tanh(W[k, j, x[n, j]]), j, k) - Sum(sin(y[n]*W[k, x[n, 0], q]), k, q))**2, n)",
}


def text_of(body: str) -> str:
    used = [line for line in HEAD.splitlines() if f"{line[0]}[" in body.replace("exp(", "(")]
    return "\n".join([*used, body])


def called(text: str, dtype: str = "float64") -> tuple[gc.CompiledModel, dict[str, np.ndarray]]:
    arrays = arrays_for(text, SIZES, seed=3, labels=lambda name: (0, 3))
    model = gc.compile(gc.parse(text), dtype=dtype)
    model.value_and_grad(**arrays)
    return model, arrays


@pytest.mark.parametrize("name", TURNED)
def test_what_samples_pick_is_a_row_of_a_copy(name: str) -> None:
    model, arrays = called(text_of(TURNED[name]))
    table = "E" if name in ("one label", "a product with a vector") else "W"
    assert f"{table}_t = np.empty((" in model.source
    model.wait()
    assert_right(text_of(TURNED[name]), arrays, model.value_and_grad(**arrays))


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_other_tables_are_read_where_they_lie(name: str) -> None:
    model, _ = called(text_of(AS_THEY_ARE[name]))
    assert "_t = np.empty((" not in model.source


def test_slopes_are_added_up_in_rows_and_copied_to_the_order_of_the_parameter() -> None:
    model, _ = called(text_of(TURNED["places of a sequence"]))
    assert "dW = np.zeros((L, Q, K))" in model.source
    assert "dW1 = np.empty((K, L, Q))" in model.source


def test_a_table_of_which_no_size_is_known_is_read_where_it_lies() -> None:
    source = gc.emit(gc.parse(text_of(TURNED["places of a sequence"])), target="numba")
    assert "W_t" not in source
