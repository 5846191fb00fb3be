"""Loops with more calls of elementary functions than are written out: those are called for vectors of numbers."""

import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcompile as gc
from gradcompile.jit import Given, objects
from gradcompile.jit.direct import body, build, vectors
from gradcompile.jit.direct.kinds import F32, F64, SCALARS, Array, Vectors
from gradcompile.jit.direct.program import Program
from tests.test_vecmath import exact_of

FAST = '@njit(fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy")\n'
STRICT = '@njit(error_model="numpy")\n'
HEAD = "import math\n\nimport numpy as np\n\n\n"
LOOP = "def f(x, y):\n    for k in range(x.shape[0]):\n        y[k] = {call}\n    return 0\n"
TOLERANCE = {"float64": 4e-15, "float32": 2e-6}


def chain(count: int) -> tuple[str, str]:
    """Return a sum over samples of as many sines as given, and a chain of as many hyperbolic tangents."""
    weights = "".join(f"w{k}: parameter\n" for k in range(count))
    sines = " + ".join(f"sin(w{k}*x[n])" for k in range(count))
    steps = "".join(f"h{k + 1}[n] = tanh(h{k}[n] + {k % 7}*w/9)\n" for k in range(count))
    return (
        f"x: data[N]\n{weights}loss = Sum({sines}, n)\n",
        f"x: data[N]\nw: parameter\nh0[n] = w*x[n]\n{steps}loss = Sum(h{count}[n]**2, n)\n",
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_many_sines_are_right_and_so_are_their_slopes(dtype):
    count = 40
    model = gc.compile(gc.parse(chain(count)[0]), dtype=dtype)
    x, w = np.linspace(-3, 3, 67).astype(dtype), np.linspace(0.1, 2, count).astype(dtype)
    given = {"x": x} | {f"w{k}": w[k] for k in range(count)}
    model.value_and_grad(**given)
    model.wait()
    value, gradient = model.value_and_grad(**given)
    angles = np.outer(w.astype(float), x.astype(float))
    assert_allclose(value, np.sin(angles).sum(), atol=count * len(x) * TOLERANCE[dtype])
    assert_allclose(gradient, (np.cos(angles) * x).sum(axis=1), atol=len(x) * 9 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_functions_of_a_crowded_program_are_those_that_are_written_out(monkeypatch, dtype):
    """Number by number: what is called has the same arithmetic."""
    model = gc.parse(chain(6)[1])
    given = {"x": np.linspace(-2, 2, 67).astype(dtype), "w": 0.7}
    found = []
    for crowded in (0, 10**6):
        monkeypatch.setattr(body, "CROWDED", crowded)
        source = f"# {crowded}\n" + gc.emit(model, target="numba", dtype=dtype)  # what is compiled is kept by its text
        function = build(source, "value_and_grad", [Given("float64", 0), Given(dtype, 1)])
        found.append(function(given["w"], given["x"]))
    assert_allclose(found[0][0], found[1][0], rtol=TOLERANCE[dtype])
    assert_allclose(found[0][1], found[1][1], rtol=TOLERANCE[dtype])


def optimised(text: str, dtype: str) -> str:
    """Return what LLVM makes of a function of two arrays."""
    program = Program(HEAD + text)
    [module] = program.modules("f", [Array(SCALARS[dtype], 1)] * 2)
    parsed = llvm.parse_assembly(module.text, llvm.create_context())
    builder = llvm.create_pass_builder(objects.machine(3), llvm.create_pipeline_tuning_options(speed_level=3))
    objects.optimised(builder).run(parsed, builder)
    return str(parsed)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", ["math.sin(x[k])", "math.atan2(x[k], x[k] + 1)", "sigmoid(x[k])"])
def test_a_loop_of_calls_becomes_vectors_where_functions_may_be_approximate(call, dtype):
    own = (
        f"{STRICT}def sigmoid(x):\n    e = math.exp(-abs(x))\n    return (1/(1 + e) if x > 0 else e/(1 + e))*x/x\n\n\n"
    )
    row = re.split(r"[.(]", call.removeprefix("math."))[0]
    one = {"float64": "1.0", "float32": "np.float32(1)"}[dtype]
    loop = LOOP.format(call=call.replace("+ 1", f"+ {one}"))
    symbol = Vectors(row, SCALARS[dtype], objects.singles() * 4 // SCALARS[dtype].width).symbol
    assert re.search(rf"call [^\n]*@{re.escape(symbol)}\(", optimised(own + FAST + loop, dtype))
    assert symbol not in optimised(own + STRICT + loop, dtype)


def test_what_vectors_take_the_place_of_keeps_an_argument_that_is_the_same_in_every_call():
    own = f"{STRICT}def hypot(x, y):\n    e = math.exp(-abs(x)*y)\n    return (1/(y + e) if x > 0 else e)*x/x\n\n\n"
    symbol = Vectors("hypot", F64, objects.singles() // 2).symbol
    made = optimised(own + FAST + LOOP.format(call="hypot(x[k], 2.0)"), "float64")
    assert re.search(rf"call [^\n]*@{re.escape(symbol)}\(", made)
    assert re.search(r"define [^\n]*double @hypot\.1\(double [^,\n]*, double [^,\n]*\)", made)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", ["sin", "lgamma", "tanh"])
def test_what_is_called_is_linked(row, dtype):
    x, y = np.linspace(0.1, 3, 67).astype(dtype), np.empty(67, dtype)
    build(HEAD + FAST + LOOP.format(call=f"math.{row}(x[k])"), "f", [Given(dtype, 1)] * 2)(x, y)
    exact = np.array([float(exact_of(row, float(each))) for each in x])
    assert_allclose(y, exact, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.one_in(9)
@pytest.mark.parametrize("kind", [F64, F32], ids=["float64", "float32"])
@pytest.mark.parametrize("row", vectors.FUNCTIONS)
def test_there_is_code_for_each_row(row, kind):
    if row in ("sincos",) and kind == F32:
        pytest.skip("packs are of float64")
    assert vectors.vector_code(Vectors(row, kind, objects.singles() * 4 // kind.width))
