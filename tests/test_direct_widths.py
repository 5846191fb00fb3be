"""Steps of single numbers have vectors of half a register; loops over many numbers whole ones."""

import pytest

import gradcompile as gc
from gradcompile.jit.direct.kinds import SCALARS, Array
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.text import parsed
from gradcompile.jit.direct.widths import HALF
from gradcompile.train.steps import kernel

HEAD = "import numpy as np\nfrom numba import njit\n\n\n"
NJIT = '@njit(fastmath={"contract"}, error_model="numpy")\n'
MOVE = NJIT + "def move(w, x, row):\n    D = 10\n    for j in range(D):\n        w[j] -= x[row, j]\n\n\n"
STEPS = NJIT + "def steps(w, x, count):\n    for row in range(count):\n        move(w, x, row)\n"
TEXTS = {
    "steps of a few numbers": (MOVE + STEPS, HALF),
    "steps of some numbers": (MOVE.replace("10", "33") + STEPS, ""),
    "steps of as many numbers as a call has": (MOVE.replace("D = 10", "D = w.shape[0]") + STEPS, ""),
    "steps of as many numbers as LLVM is not told": (MOVE.replace("D = 10", "D = rolled(10)") + STEPS, HALF),
    "a loop that begins elsewhere": (MOVE.replace("range(D)", "range(1, D)") + STEPS, ""),
    "no steps": (MOVE, ""),
    "a loop that calls a function of numbers": (
        NJIT + "def half(a):\n    return a/2\n\n\n" + MOVE + STEPS.replace("move(w, x, row)", "w[row] = half(w[row])"),
        "",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_vectors_are_as_wide_as_steps_want_them(name):
    text, width = TEXTS[name]
    assert parsed(HEAD + text).width == width


def test_all_functions_of_a_module_have_the_width():
    types = [Array(SCALARS["float64"], 1), Array(SCALARS["float64"], 2), SCALARS["int64"]]
    [module] = [each.text for each in Program(HEAD + MOVE + STEPS).modules("steps", types)]
    assert module.count(HALF) == 2


@pytest.mark.parametrize(("how", "width"), [("one", HALF), ("few", "")])
def test_steps_of_one_sample_have_it(how, width):
    model = gc.parse("x: data[N, 3]\nw: parameter[3]\nloss = Sum(exp(Sum(x[n, j]*w[j], j)), n)")
    source = kernel(gc.compile(model).lowered, gc.SGD(0.1), "float64", how).source
    assert parsed(source).width == width
