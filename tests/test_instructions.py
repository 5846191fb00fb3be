"""Functions that are instructions of this processor have the same bits as the text that they stand for."""

import re

import llvmlite.binding as llvm
import numpy as np
import pytest

from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit import Given, instructions, objects
from gradcompile.jit.direct import build, variants
from gradcompile.jit.direct.kinds import SCALARS, Array
from gradcompile.jit.direct.program import Program

OPTIONS = '@njit(fastmath={"contract"}, error_model="numpy")\n'
LOOP = OPTIONS + "def f(x, y):\n    for k in range(x.shape[0]):\n        y[k] = FUNCTION(x[k])\n    return 0\n"
ONE = OPTIONS + "def f(x, y):\n    y[0] = FUNCTION(x[0])\n    return 0\n"
NEEDED = pytest.mark.skipif(not instructions.has_instructions(), reason="this processor does not have them")


def text_of(row: str, dtype: str, body: str) -> str:
    name = vecmath.VECTOR[row][dtype == "float32"]
    texts = [support.source("numba", each) for each in support.closure("numba", [name])]
    return "\n\n".join(["import numpy as np\n", *texts, body.replace("FUNCTION", name)])


def applied(text: str, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    build(text, "f", [Given(x.dtype.name, 1)] * 2)(x, y)
    return y


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
    assert instructions.PREFIX not in Program(text).modules("f", [Array(SCALARS[dtype], 1)] * 2)[0].text
    expected = applied(text, x)
    np.testing.assert_array_equal(found.view(f"i{x.itemsize}"), expected.view(f"i{x.itemsize}"))
    np.testing.assert_array_equal(each, expected[::7])


@NEEDED
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loop_becomes_vectors_of_which_each_takes_one_instruction(dtype):
    [module] = Program(text_of("exp", dtype, LOOP)).modules("f", [Array(SCALARS[dtype], 1)] * 2)
    parsed, machine = llvm.parse_assembly(module.text, llvm.create_context()), objects.machine(3)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    objects.optimised(builder).run(parsed, builder)
    [loop] = re.findall(r"^vector\.body:(.*?)^middle\.block:", str(parsed), re.MULTILINE | re.DOTALL)
    assert re.search(
        rf"call [^\n]*<{objects.singles() * 4 // np.dtype(dtype).itemsize} x [^\n]*@{instructions.PREFIX}", loop
    )
    assert "shl" not in loop, "what makes powers of 2 of bits"


def test_a_processor_without_them_is_given_the_text(monkeypatch):
    monkeypatch.setattr(variants, "has_instructions", lambda: False)
    [module] = Program(text_of("exp", "float64", LOOP)).modules("f", [Array(SCALARS["float64"], 1)] * 2)
    assert "@vgrown.1(" in module.text
    assert instructions.PREFIX not in module.text


@NEEDED
def test_whole_numbers_are_given_the_text():
    text = OPTIONS.replace(")\n", ", forceinline=True)\n").join(
        ["import numpy as np\n\n\n", support.source("numba", "vgrown")]
    )
    assert variants.by_instruction("vgrown", [SCALARS["int64"]] * 2, Program(text).around) is None
