"""Steps of a recurrence that are written out are compiled once, whatever their names and places are."""

from __future__ import annotations

import ast

import numpy as np

import gradcompile as gc
from gradcompile.jit.direct import build
from gradcompile.jit.direct.outline import LONG, outlined
from gradcompile.jit.direct.repeats import Repeat, outline, repeats, with_places
from gradcompile.jit.loading import Given
from tests.texts import arrays_for, assert_right

STEP = """
    for n in range(size):
        c = a{k}[n]*w[{place}]
        a{next}[n] = c + x[n, {k}]
        total += a{next}[n]
        kept[n] += {other}
    for i in range(2):
        b[i, {k}] = a{k}[i]
"""


def steps(count: int, *, odd: int = -1) -> str:
    """Return a function of steps, of which one may differ."""
    arrays = "".join(f"    a{k} = np.zeros(4)\n" for k in range(count + 1))
    body = "".join(
        STEP.format(k=k, next=k + 1, place=count - k, other="a0[n]" if k == odd else f"a{k}[n]") for k in range(count)
    )
    lines = "\n" * LONG  # what counts as long
    return f"def steps(x, w, b, kept):\n    size = 4\n    total = 1.0\n{arrays}{body}{lines}    return total\n"


def parsed(text: str) -> ast.FunctionDef:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def run(text: str, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    x, w, b, kept = random.normal(size=(4, count)), random.normal(size=count + 1), np.zeros((2, count)), np.zeros(4)
    names = {"np": np}
    exec(text, names)
    total = names["steps"](x, w, b, kept)  # type: ignore[operator]  # a function that the text defines
    return [np.array(total), b, kept]


def test_steps_are_one_function_that_does_the_same() -> None:
    for odd in (-1, 5):
        text = steps(12, odd=odd)
        *parts, whole = outlined(parsed(text))
        assert len(parts) == 1
        assert ast.unparse(whole.node).count("steps.0(") == (12 if odd < 0 else 11)
        functions = "\n\n".join(ast.unparse(each.node) for each in (*parts, whole))
        found = run(functions.replace("steps.", "steps_").replace("place.", "place_"), 12)
        for one, other in zip(found, run(text, 12), strict=True):
            np.testing.assert_array_equal(one, other)


def test_places_that_differ_are_arguments_that_count() -> None:
    part, _ = outlined(parsed(steps(12)))
    assert {each.arg for each in part.node.args.args if "." in each.arg} <= part.counted
    assert ast.unparse(part.node).count("place.") == 6  # three arguments, each used once


def test_what_differs_in_more_than_names_is_no_repetition() -> None:
    loop = "for n in range(9):\n" + "    {0}[n] = {1}[n]*{2}[n] + {3}\n" * 10
    for first, other, same in (
        ("abcd", "efgh", True),
        ("abbd", "effh", True),
        ("abbd", "efgh", False),
        ("abcd", "effh", False),
        ("abc2", "efg3", False),
    ):
        texts = [loop.format(*each) for each in (first, other)] * 3
        found = repeats(ast.parse("".join(texts)).body, "abcdefghn")
        assert (found == [Repeat([0, 1, 2, 3, 4, 5], 1, 55)]) is same


def test_places_are_named_in_the_order_of_an_outline() -> None:
    text = "for n in range(5):\n    a[3, b[n, 4]] += c[n, 7] * d[n, 0]\n"
    (loop,) = ast.parse(text).body
    assert outline(loop, "abcdn").places == (3, 4, 7, 0)
    (named,) = with_places([loop], ["p", "q", None, "r"])
    assert ast.unparse(named) == text.replace("3", "p").replace("4", "q").replace("0", "r").strip()


EPIDEMIC = """
    y: data[R, 8, A]
    p: data[R, A]
    C: parameter[A, A]
    g: parameter
    i: parameter[R]
    S0[r, a] = 2 + cos(p[r, a])
    I0[r, a] = exp(i[r])
"""


def test_an_epidemic_written_out_is_right() -> None:
    text = EPIDEMIC
    for t in range(8):
        text += f"    n{t}[r, a] = S{t}[r, a]*(1 - exp(-Sum(exp(C[a, b])*I{t}[r, b], b)/20))\n"
        text += f"    S{t + 1}[r, a] = S{t}[r, a] - n{t}[r, a]\n"
        text += f"    I{t + 1}[r, a] = I{t}[r, a]*exp(-exp(g)) + n{t}[r, a]\n"
    text += "    loss = " + " + ".join(f"Sum((n{t}[r, a] - y[r, {t}, a])**2, r, a)" for t in range(8)) + "\n"
    model, arrays = gc.compile(gc.parse(text)), arrays_for(text, {"R": 5, "A": 2}, seed=1)
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(text, arrays, model.value_and_grad(**arrays))
    function = next(each for each in ast.parse(model.source).body if getattr(each, "name", "") == "value_and_grad")
    assert isinstance(function, ast.FunctionDef)
    *parts, _ = outlined(function)
    assert sum(len(ast.unparse(each.node)) for each in parts) < len(ast.unparse(function)) / 2


def test_a_part_has_the_lengths_of_the_array_of_each_call() -> None:
    """Rows of three numbers and rows of five: where the second one begins, differs."""
    random = np.random.default_rng(0)
    arrays = {"u": random.normal(size=(2, 3)), "v": random.normal(size=(2, 5))}
    x, y, z = random.normal(size=7), np.zeros(7), np.zeros(7)
    lines, expected = [], [np.zeros(7), np.zeros(7)]
    for k, name in enumerate("uv" * 30):
        lines += [
            "    for s in range(y.shape[0]):",
            f"        y[s] += {name}[1, {k % 3}]*x[s]",
            f"        y[s] += {name}[1, 0]",
            f"        z[s] += x[s]*{name}[0, {k % 2}]",
            "        y[s] = y[s]*0.5",
            "        z[s] = z[s] - 0.25*y[s]",
        ]
        array = arrays[name]
        expected[0] = (expected[0] + array[1, k % 3] * x + array[1, 0]) / 2
        expected[1] = expected[1] + array[0, k % 2] * x - expected[0] / 4
    text = "\n".join(["@njit(error_model='numpy')", "def f(u, v, x, y, z):", *lines, "    return 0\n"])
    one = Given("float64", 1)
    build(text, "f", [Given("float64", 2, (2, 3)), Given("float64", 2, (2, 5)), one, one, one])(
        *arrays.values(), x, y, z
    )
    np.testing.assert_allclose([y, z], expected, rtol=1e-12)
