"""Functions that seldom count are computed only where they do: in loops that are vectors, and number by number."""

import math
import re
from types import MappingProxyType

import llvmlite.binding as llvm
import numpy as np
import pytest

from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit import Given, objects
from gradcompile.jit.direct import build
from gradcompile.jit.direct.kinds import SCALARS, Array
from gradcompile.jit.direct.program import Program
from tests.test_vecmath import LIMITS, exact_of, ulps

OPTIONS = '@njit(fastmath={"contract"}, error_model="numpy")\n'
INLINE = OPTIONS.replace(")\n", ", forceinline=True)\n")
LOOP = OPTIONS + "def f(x, y):\n    for k in range(x.shape[0]):\n        y[k] = FUNCTION(x[k])\n    return 0\n"
GAMMAS = ("lgamma", "digamma")
MOST = {"float64": 2e-15, "float32": 6e-8}  # of max(1, |f|) where their operand is negative: f is 0 between poles


def text_of(row: str, dtype: str, body: str = LOOP) -> str:
    """Return a module with a loop that applies a row to an array, or another body that does."""
    name = vecmath.VECTOR[row][dtype == "float32"]
    texts = [support.source("numba", each) for each in support.closure("numba", [name])]
    return "\n\n".join(["import numpy as np\n", *texts, body.replace("FUNCTION", name)])


def applied(text: str, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    build(text, "f", [Given(x.dtype.name, 1)] * 2)(x, y)
    return y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", ["sin", "cos", "tan", "lgamma", "digamma"])
def test_numbers_that_count_are_right_beside_others_and_by_themselves(row, dtype):
    draw = np.random.default_rng(3)
    near, far = draw.uniform(0.1, 9, 64), draw.uniform(1, 9, 64) * 10.0 ** draw.integers(8, 38, 64)
    far = draw.uniform(-9.4, -0.1, 64) if row in GAMMAS else far
    mixed = np.where(draw.random(64) < 0.1, far, near)
    x = np.concatenate([near, far, mixed, -mixed, far[:1], near[:3], [np.inf, 2.0**26, 1e8]]).astype(dtype)
    for operand, found in zip(x, applied(text_of(row, dtype), x), strict=True):
        exact = exact_of(row, float(operand))
        error, size = abs(found - float(exact)), max(1, abs(float(exact)))
        between = row in GAMMAS and operand < 0 and error <= MOST[dtype] * size
        assert between or ulps(float(found), exact, x.dtype.type) <= LIMITS.get((row, x.dtype.type), 2), operand


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nan_and_infinity_remain_what_they_are(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 8 + [np.nan, np.inf], dtype)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(applied(text_of("sin", dtype), x), np.sin(x))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("relation", "sign"), [(">", 1), ("<", -1)])
def test_a_function_is_not_computed_where_no_number_counts(monkeypatch, relation, sign, dtype):
    """Its result is 0 then: nobody chooses it."""
    table = MappingProxyType({"far": (relation, sign * 1.5)})
    monkeypatch.setattr("gradcompile.jit.direct.program.SELDOM", table)
    note = f"# counts where x {relation} {sign}\n"  # what was compiled is kept by its text
    text = f"{note}{INLINE}def far(x):\n    return x*np.{dtype}(2)\n\n\n" + LOOP.replace("FUNCTION", "far")
    few, many = np.linspace(-1, 1, 67, dtype=dtype), sign * np.linspace(2, 3, 67, dtype=dtype)
    np.testing.assert_array_equal(applied(text, few), np.zeros(67, dtype))
    np.testing.assert_array_equal(applied(text, many), 2 * many)
    np.testing.assert_array_equal(applied(text, np.full(67, np.nan, dtype)), np.zeros(67, dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loop_becomes_vectors_and_asks_once_for_all_numbers_of_one(dtype):
    program = Program(text_of("sin", dtype))
    [module] = program.modules("f", [Array(SCALARS[dtype], 1)] * 2)
    parsed, machine = llvm.parse_assembly(module.text, llvm.create_context()), objects.machine(3)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    objects.optimised(builder).run(parsed, builder)
    [loop] = re.findall(r"^vector\.body:(.*?)^middle\.block:", str(parsed), re.MULTILINE | re.DOTALL)
    assert ".each" in loop, "the slow way, which the loop takes if any number is far"
    assert ".asked" not in loop
    assert not re.search(r"call [^@]*@vfar(32)?\.1\.\d\.v\d", loop), "what asks is written out"


def test_what_is_given_a_whole_number_is_computed_in_any_case():
    name = vecmath.VECTOR["lgamma"][0]
    texts = [support.source("numba", each) for each in support.closure("numba", [name])]
    text = "\n\n".join(["import numpy as np\n", *texts, OPTIONS + f"def f(n):\n    return {name}(n)\n"])
    f = build(text, "f", [Given("int64", 0)])
    np.testing.assert_array_max_ulp(
        np.array([f(n) for n in range(1, 20)]), np.array([math.lgamma(n) for n in range(1, 20)]), 4
    )
