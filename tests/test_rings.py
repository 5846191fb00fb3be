"""Neighbours on a ring: slopes are read from the other side, and loops have remainders only where they turn back."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.jit.direct.rings import unroll_rings
from gradcompile.lower import lower
from gradcompile.passes import prepare
from tests.texts import arrays_for, assert_right
from tests.zoo import load, load_uncompiled

MODELS = {
    "samples": """
        x: data[N]
        w: parameter[N]
        u[i] = tanh(w[i]*x[i])
        loss = Sum((u[mod(i + 1, N)] - 2*u[i] + u[mod(i - 1, N)])**2*(w[i] + 1), i)
    """,
    "rows": """
        x: data[N, M]
        w: parameter[M]
        u[n, i] = x[n, i] + w[i]*(x[n, mod(i + 1, M)] - x[n, mod(i - 2, M)])*x[n, mod(i - 1, M)]
        v[n, i] = u[n, i] + w[i]*(u[n, mod(i + 1, M)] - u[n, mod(i - 2, M)])*u[n, mod(i - 1, M)]
        loss = Sum(sin(v[n, i] + v[n, mod(7 + i, M)]), n, i)
    """,
    "both axes": """
        s: data[N, M]
        f: parameter[N, M]
        loss = Sum(s[i, j]*(f[mod(i + 1, N), j] - f[i, j])**2 + exp(f[i, mod(j + 1, M)]*f[mod(i - 1, N), j]), i, j)
    """,
    "a corner, and a further axis": """
        x: data[N, M, K]
        f: parameter[N, M]
        loss = Sum(cos(f[mod(i + 1, N), mod(j - 1, M)]*x[i, j, k]), i, j, k)
    """,
}


def drawn(name: str, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    return arrays_for(MODELS[name], {"K": 2} | sizes, seed=4)


@pytest.mark.parametrize("name", MODELS)
def test_the_pass_changes_no_value_and_adds_up_nothing_at_indices(name: str) -> None:
    model, arrays = gc.compile(gc.parse(MODELS[name])), drawn(name, {"N": 5, "M": 4})
    before, after = evaluate(prepare(lower(gc.parse(MODELS[name]))), arrays), evaluate(model.graph, arrays)
    assert after["value"] == pytest.approx(before["value"], rel=1e-13)
    assert not any(v.op == "accumulate" for v in model.graph.order())


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_code_is_right(name: str, target: str, tmp_path: Path) -> None:
    read = load_uncompiled if target == "numba" else load
    module = read(gc.emit(gc.parse(MODELS[name]), target=target), tmp_path / "module.py")
    for sizes in ({"N": 5, "M": 4}, {"N": 1, "M": 2}):
        arrays = drawn(name, sizes)
        arguments = [arrays[a] for a in gc.compile(gc.parse(MODELS[name])).arguments]
        value, gradient = module.value_and_grad(*([a.tolist() for a in arguments] if target == "python" else arguments))
        assert_right(MODELS[name], arrays, (value, gradient))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["rows", "both axes"])
def test_compiled_loops_turn_back_where_they_must(name: str) -> None:
    """Also on rings that are shorter than the way to a neighbour, by a kernel for any sizes, and one for the first."""
    model = gc.compile(gc.parse(MODELS[name]))
    for sizes in ({"N": 6, "M": 40}, {"N": 7, "M": 41}, {"N": 1, "M": 1}, {"N": 2, "M": 3}):
        arrays = drawn(name, sizes)
        model.value_and_grad(**arrays)
        model.wait()
        assert_right(MODELS[name], arrays, model.value_and_grad(**arrays))


def test_steps_keep_their_order_and_turn_back_in_the_first_and_last_loop_alone() -> None:
    text = """
def steps(N, M):
    for i in range(N):
        met.append((i, (1 + i) % N, (i - 2) % N, i % M))
"""
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    unroll_rings(function, lambda _: 0)
    ast.fix_missing_locations(function)
    loops = [each for each in function.body if isinstance(each, ast.For)]
    assert [ast.unparse(each).count("% N") for each in loops] == [2, 0, 2]
    code = ast.unparse(function).replace(".1", "")
    for count in range(6):
        met: list[tuple[int, ...]] = []
        names = {"met": met}
        exec(code, names)
        names["steps"](count, 3)
        assert met == [(i, (1 + i) % count, (i - 2) % count, i % 3) for i in range(count)]


def test_seasons_stay_remainders() -> None:
    text = "def steps(N, P):\n    for t in range(N):\n        s[t] = a[(t + 1) % P]\n"
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    unroll_rings(function, lambda _: 0)
    assert ast.unparse(function) == text.strip()


@pytest.mark.parametrize("numbers", ["(1, 2)", "range(9, 0, -3)", "x"])
def test_loops_that_do_not_count_up_are_left_alone(numbers: str) -> None:
    text = f"def f(x, y, N):\n    for k in {numbers}:\n        y[(k + 1) % N] += 1"
    [function] = ast.parse(text).body
    unroll_rings(function, lambda _: 0)
    assert ast.unparse(function) == text
