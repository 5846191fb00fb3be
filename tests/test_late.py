"""What is written out when loops are vectors has the same bits as the text that it stands for."""

import ast
import re
import textwrap

import llvmlite.binding as llvm
import numpy as np
import pytest

from gradcompile.emit import support
from gradcompile.jit import Given, late, objects
from gradcompile.jit.direct import build, variants
from gradcompile.jit.direct.kinds import SCALARS, Array
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.streams import read_in_turn
from tests.test_seldom import LOOP, OPTIONS, applied, text_of

GROWN = f"@{late.PREFIX}grown"
ONE = OPTIONS + "def f(x, y):\n    y[0] = FUNCTION(x[0])\n    return 0\n"
NEEDED = pytest.mark.skipif(not late.has_instructions(), reason="this processor does not have them")


def operands(dtype: str) -> np.ndarray:
    """Return some of all sizes, those where exp is subnormal or ends, and special ones; not of whole vectors."""
    draw, kind = np.random.default_rng(7), np.finfo(dtype)
    least, smallest, most = (float(np.log(float(number))) for number in (kind.smallest_subnormal, kind.tiny, kind.max))
    ends = np.concatenate([np.linspace(end - 2, end + 2, 101) for end in (least, smallest, most)])
    some = np.concatenate(
        [draw.normal(size=301), draw.uniform(2 * least, 2 * most, 301), 10.0 ** draw.uniform(-30, 30, 99)]
    )
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, float(kind.max), -float(kind.max)]
    return np.concatenate([ends, some, -some, special]).astype(dtype)


@NEEDED
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", ["exp", "sigmoid"])
def test_an_instruction_has_the_bits_of_the_text(monkeypatch, row, dtype):
    x = operands(dtype)
    found = applied(text_of(row, dtype, LOOP), x)
    each = [applied(text_of(row, dtype, ONE), x[k : k + 1])[0] for k in range(0, x.size, 7)]
    monkeypatch.setattr(variants, "has_instructions", lambda: False)
    text = text_of(row, dtype, "# without instructions: what was compiled is kept by its text\n" + LOOP)
    assert GROWN not in Program(text).modules("f", [Array(SCALARS[dtype], 1)] * 2)[0].text
    expected = applied(text, x)
    np.testing.assert_array_equal(found.view(f"i{x.itemsize}"), expected.view(f"i{x.itemsize}"))
    np.testing.assert_array_equal(each, expected[::7])


def vectors_of(text: str, dtype: str) -> str:
    """Return the loop of vectors that LLVM makes of a function of two arrays."""
    [module] = Program(text).modules("f", [Array(SCALARS[dtype], 1)] * 2)
    parsed, machine = llvm.parse_assembly(module.text, llvm.create_context()), objects.machine(3)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    objects.optimised(builder).run(parsed, builder)
    [loop] = re.findall(r"^vector\.body:(.*?)^middle\.block:", str(parsed), re.MULTILINE | re.DOTALL)
    return loop


@NEEDED
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loop_becomes_vectors_of_which_each_takes_one_instruction(dtype):
    loop = vectors_of(text_of("exp", dtype, LOOP), dtype)
    assert re.search(rf"call [^\n]*<{objects.singles() * 4 // np.dtype(dtype).itemsize} x [^\n]*{GROWN}", loop)
    assert "shl" not in loop, "what makes powers of 2 of bits"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loop_becomes_vectors_that_ask_once_for_what_follows(dtype):
    text = OPTIONS + "def f(x, y):\n    for k in range(x.shape[0]):\n        y[k] = 3*x[k] + x[k]*x[k]\n    return 0\n"
    loop = vectors_of("import numpy as np\n\n\n" + text, dtype)
    loads, asks = (
        len(re.findall(word, loop)) for word in (rf"load <\d+ x {late.SOON[SCALARS[dtype].llvm].kind}>", "@late.soon")
    )
    assert 0 < loads == asks
    x = np.arange(1037, dtype=dtype)
    np.testing.assert_array_equal(applied("import numpy as np\n\n\n" + text, x), 3 * x + x * x)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for n in range(N):\n  s += x[n]*w[0]", ["x[n]"]),
        ("for n in range(N):\n  z[n] = x[n] + y[n]", ["x[n]", "y[n]"]),
        ("a = np.empty(N)\nfor n in range(N):\n  s += a[n] + x[n + 1]", []),
        ("for n in range(N):\n  for k in range(K):\n    s += x[n]*w[k]*y[k]", []),
        ("for f in range(0, N, T):\n  p = x[f:f + T]\n  for n in range(T):\n    s += p[n]*w[n]", ["p[n]"]),
        ("for f in range(0, N, T):\n  p = x[f:f + T]\n  for n in range(T):\n    s += p[n]\n  for n in range(T):\n"
         "    s -= p[n]", ["p[n]"]),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_data_that_a_loop_reads_in_turn_for_the_first_time(body, expected):
    function = ast.parse("def f(x, y, w, z):\n" + textwrap.indent(body, "  ")).body[0]
    assert sorted(map(ast.unparse, read_in_turn(function))) == expected


def test_a_processor_without_them_is_given_the_text(monkeypatch):
    monkeypatch.setattr(variants, "has_instructions", lambda: False)
    [module] = Program(text_of("exp", "float64", LOOP)).modules("f", [Array(SCALARS["float64"], 1)] * 2)
    assert "@vgrown.1(" in module.text
    assert GROWN not in module.text


@NEEDED
def test_whole_numbers_are_given_the_text():
    text = OPTIONS.replace(")\n", ", forceinline=True)\n").join(
        ["import numpy as np\n\n\n", support.source("numba", "vgrown")]
    )
    assert variants.by_instruction("vgrown", [SCALARS["int64"]] * 2, Program(text).around) is None


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_numbers_of_both_kinds_are_asked_for_in_one_function(dtypes):
    text = OPTIONS + "def f(x, y):\n    for k in range(x.shape[0]):\n        y[k] = x[k] + 2*y[k]\n    return 0\n"
    x, y = (np.arange(37, dtype=dtype) for dtype in dtypes)
    build("import numpy as np\n\n\n" + text, "f", [Given(dtype, 1) for dtype in dtypes])(x, y)
    np.testing.assert_array_equal(y, 3 * np.arange(37))
