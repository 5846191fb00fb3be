"""Calls in packs: what is in them, in which order, and that every result is the exact one to within a few digits."""

import ast
import functools
import itertools
import math
import random
import re
import textwrap

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose

import gradcompile as gc
from gradcompile import vecmath
from gradcompile.emit import support
from gradcompile.jit import native as native_module
from gradcompile.jit import packs, translation
from gradcompile.jit.direct import vectors
from gradcompile.jit.direct.kinds import F64, Vectors
from gradcompile.jit.native import native
from gradcompile.jit.translation import translate
from gradcompile.primitives import TABLE
from tests.test_vecmath import EDGES, LIMITS, exact_of, operands_of, ulps

SPELLED = {row.name: row.python for row in TABLE if row.name in vecmath.VECTOR}
ROWS = [row for row in vecmath.VECTOR if row in SPELLED]  # trigamma is a polygamma there
CALLED = {row: packs.ROWS[text.split("(")[0]] if "(" in text else row for row, text in SPELLED.items()}
HEAD = "import math\n\n\n"


def calls_of(row: str, count: int) -> str:
    """Return a module with a function of as many numbers, which applies a row to each, or each two."""
    arity = vecmath.ARITY.get(row, 1)
    names = [f"x{k}" for k in range(count * arity)]
    own = support.functions("python").keys() & set(re.findall(r"\w+", SPELLED[row]))
    texts = [support.source("python", name) for name in support.closure("python", own)]
    each = [SPELLED[row].format(*names[k : k + arity]) for k in range(0, len(names), arity)]
    value = f"def value_and_grad({', '.join(names)}):\n    return {each[0]}, ({', '.join(each[1:])},)\n"
    return HEAD + "\n\n".join([*texts, value])


@functools.cache
def compiled(row: str, count: int):
    return native(calls_of(row, count), "value_and_grad", count - 1, strict=False)


def applied(row: str, *operands: np.ndarray, size: int = 11) -> np.ndarray:
    """Return what a row is at each place, several at a time: a full pack, and one that is not."""
    count = operands[0].size
    places = np.arange(-(-count // size) * size) % count
    points = np.stack(operands, axis=-1)[places].reshape(-1, size * len(operands))
    results = [compiled(row, size)(*map(float, point)) for point in points]
    return np.array([[first, *rest] for first, rest in results]).ravel()[:count]


def text_of(text: str, name: str = "value_and_grad") -> translation.Translated:
    return translate(HEAD + textwrap.dedent(text), name, contract=True, pairs=True, packs=True)


def sizes(found: translation.Translated, row: str) -> list[int]:
    """Return how many calls are in each pack of a function: arguments that are not once more the first."""
    called = "\n".join(found.modules)
    groups = re.findall(rf"((?:  %t\d+ = insertelement .*\n)+)  %t\d+ = call \S.* @{re.escape(row)}\.float64x8", called)
    return [len(set(re.findall(r", double (\S+),", group))) for group in groups]


# Every function -----------------------------------------------------------------------------------------------------


def test_every_row_has_a_function_for_packs():
    assert CALLED["cos"] == "sincos"
    assert CALLED["xlogx"] == "xlogy"
    assert {row for row, called in CALLED.items() if row == called} == set(ROWS) - {"sin", "cos", "xlogx"}
    for row in ROWS:
        found = translate(calls_of(row, 9), "value_and_grad", contract=True, packs=True)
        assert found.rows == (CALLED[row],)
        assert vectors.vector_code(Vectors(CALLED[row], F64, packs.LANES)), "it is compiled"


@pytest.mark.one_in(3)
@pytest.mark.parametrize("row", ROWS)
def test_results_are_exact_to_a_few_units_in_the_last_place(row):
    operands = operands_of(row, np.float64, 66, 1)
    points = list(zip(*operands, strict=True))
    for found, point in zip(applied(row, *operands), points, strict=True):
        assert ulps(found, exact_of(row, *point), np.float64) <= LIMITS.get((row, np.float64), 2.0), point


@pytest.mark.one_in(3)
@pytest.mark.parametrize("row", [row for row in EDGES if row in ROWS])
def test_special_numbers_among_others(row):
    numbers, expected = (np.array(each) for each in zip(*EDGES[row], (math.nan, math.nan), strict=True))
    for shift in range(3):  # whatever else is in the pack
        order = np.roll(np.arange(numbers.size), shift)
        found = applied(row, numbers[order])
        np.testing.assert_array_equal(found, expected[order])
        zero = expected[order] == 0
        np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[order][zero]))


@pytest.mark.parametrize("row", ["sin", "cos", "tan"])
def test_angles_of_any_size_among_small_ones(row):
    angles = np.array([0.5, 1e8, 1.0000001e8, 1e9, -3e15, 1e22, 1e300, -2.0, 3.0, 0.1, -1e8, 7.0])
    for found, angle in zip(applied(row, angles), angles, strict=True):
        assert ulps(found, exact_of(row, angle), np.float64) <= 2, angle


def test_a_result_does_not_depend_on_what_else_is_in_the_pack():
    chance = np.random.default_rng(4)
    for row in ("exp", "tanh", "sin", "pow"):
        operands = [chance.uniform(0.1, 3.0, 8) for _ in range(vecmath.ARITY.get(row, 1))]
        whole = applied(row, *operands, size=8)
        turned = applied(row, *(np.roll(each, 3) for each in operands), size=8)
        two = applied(row, *operands, size=2)
        assert np.roll(whole, 3).tolist() == turned.tolist()
        assert whole.tolist() == two.tolist()


# What is gathered ---------------------------------------------------------------------------------------------------


def test_independent_calls_are_one_pack_wherever_they_stand():
    found = text_of("""
    def value_and_grad(x, y):
        a = math.exp(x)
        b = a*y + math.exp(-y)
        c = math.tanh(b)
        d = 3*math.exp(x*y) - x**2.5
        return c + d, (b, math.exp(2*x))
    """)
    assert sizes(found, "exp") == [4]
    assert found.rows == ("exp",)
    assert "call contract double @tanh(" in found.modules[0], "by itself, it is left to the C library"
    assert "call contract double @llvm.pow" in found.modules[0]


def test_calls_that_wait_for_one_another_are_no_pack():
    lines = [f"    x{k + 1} = math.exp(-x{k})" for k in range(40)]
    found = text_of("\n".join(["def value(x0):", *lines, "    return x40\n"]), "value")
    assert not found.rows


def test_sixteen_calls_are_two_packs():
    names = [f"x{k}" for k in range(21)]
    results = ", ".join(f"math.log({name})" for name in names)
    found = text_of(f"def value_and_grad({', '.join(names)}):\n    return x0, ({results})\n")
    assert sizes(found, "log") == [8, 8, 5]


def test_less_urgent_calls_wait_until_a_pack_is_full():
    """Of each step of a chain of sines, a tanh is needed only at the end: eight steps make a pack of them."""
    lines = [f"    x{k + 1} = math.sin(x{k})\n    y{k} = math.tanh(x{k})" for k in range(32)]
    total = " + ".join(f"y{k}" for k in range(32))
    found = text_of("\n".join(["def value(x0):", *lines, f"    return {total}\n"]), "value")
    assert sizes(found, "tanh") == [8, 8, 8, 8]
    assert found.rows == ("tanh",)


def test_a_sine_and_a_cosine_of_one_number_are_one_call():
    found = text_of("""
    def value_and_grad(x, y, z):
        a = math.sin(x)
        b = math.sin(y)
        c = math.cos(z)
        d = math.cos(x)*a
        if b > 0:
            d = math.cos(y) + math.sin(d)
        return d, (a, b, c)
    """)
    assert sizes(found, "sincos") == [3]
    assert found.modules[0].count("call contract double @sin(") == 1, "of d, which is assigned twice"
    assert "double @cos(" not in found.modules[0]


def test_strict_programs_call_the_c_library():
    text = calls_of("exp", 8)
    exact = native(text, "value_and_grad", 7, strict=True)
    point = [0.1 * k for k in range(8)]
    assert exact(*point) == (1.0, tuple(map(math.exp, point[1:])))
    assert native_module.translate(text, "value_and_grad", contract=False).rows == ()


# Whole programs -----------------------------------------------------------------------------------------------------


FORMS = (
    "math.tanh({a} - 0.7*{b})", "math.sin({a})*{b}/(1 + {b}**2)", "math.cos({a})", "abs({a})**0.3",
    "{a} - math.exp(-{b}**2)",
)  # fmt: skip


def program(length: int, seed: int) -> str:
    """Return a function with choices and loops, in which names change, and any line may use any earlier name."""
    chance, names, lines = random.Random(seed), ["x", "y", "z"], []
    for k in range(length):
        a, b = chance.choice(names), chance.choice(names)
        kind = chance.random()
        if kind < 0.1:
            lines += [f"    if {a} < {b}:", f"        v{k} = math.sin({a})", "    else:", f"        v{k} = 0.5*{b}"]
        elif kind < 0.15:
            lines += [f"    w = math.exp(-{a}**2)", f"    w += math.cos({b})", f"    v{k} = w*0.5"]
        elif kind < 0.2:
            lines += [f"    v{k} = {a}", f"    while v{k} > 0.25:", f"        v{k} = v{k} - 0.5*math.tanh({b}**2 + 1)"]
        elif kind < 0.25:
            lines.append(f"    v{k}, u{k} = math.atan({a}), math.sin({b}) if {a} > 0 else math.cos({b})")
            names.append(f"u{k}")
        else:
            lines.append(f"    v{k} = {chance.choice(FORMS).format(a=a, b=b)}")
        names.append(f"v{k}")
    last = ", ".join(names[-3:])
    return "\n".join([HEAD, "def value_and_grad(x, y, z):", *lines, f"    return {names[-4]}, ({last})", ""])


@pytest.mark.parametrize("part", [3, 40, 1000])
def test_programs_compute_what_python_computes(part, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(translation, "PART", part)
    for seed in range(6):
        text = program(90, seed)
        known: dict = {}
        exec(text, known)  # what this test wrote
        machine = native(text, "value_and_grad", 3, strict=False)
        for point in ((0.3, -0.8, 1.1), (2.0, 1.0, -0.3), (-1.0, 0.4, 0.2)):
            found, expected = machine(*point), known["value_and_grad"](*point)
            assert_allclose([found[0], *found[1]], [expected[0], *expected[1]], rtol=1e-11, atol=1e-13)


def test_what_returns_early_does_so():
    text = HEAD + textwrap.dedent("""
    def value(x, y):
        a = math.exp(x)
        if a > y:
            return a + math.exp(y)
        b = math.exp(x - y)
        c = math.exp(y - x)
        if c > 2:
            return b*c
        return math.exp(b) - c
    """)
    known: dict = {}
    exec(text, known)  # what this test wrote
    machine = native(text, "value", 0, strict=False)
    for point in itertools.product((-1.0, 0.5, 2.0), repeat=2):
        assert_allclose(machine(*point), known["value"](*point), rtol=1e-14)


def test_what_reads_a_name_comes_before_its_next_value():
    text = HEAD + textwrap.dedent("""
    def value_and_grad(x, y):
        a = math.exp(math.exp(x))
        w = x + y
        b = w*a
        c = math.sin(w)*a
        w = 2*y
        d = math.cos(w)
        w += 1
        return a, (b, c, d, w)
    """)
    known: dict = {}
    exec(text, known)  # what this test wrote
    found, expected = (f(0.3, 0.9) for f in (native(text, "value_and_grad", 4, strict=False), known["value_and_grad"]))
    assert_allclose([found[0], *found[1]], [expected[0], *expected[1]], rtol=1e-14)


def test_the_order_is_the_same_every_time():
    text = program(150, 9)
    first, second = (translate(text, "value_and_grad", contract=True, packs=True) for _ in range(2))
    assert first == second


def test_every_statement_is_there_once_and_after_what_it_needs():
    [function] = ast.parse(program(200, 11)).body[1:]
    assert isinstance(function, ast.FunctionDef)
    known = {a.arg for a in function.args.args}
    statements = packs.gathered(function)
    for statement in statements:
        assert set(statement.read) - {"math", "abs"} - set(statement.assigned) <= known
        known |= set(statement.assigned)
    assert isinstance(statements[-1].node, ast.Return)


def test_a_long_model_is_right():
    x = sympy.symbols("x:6")
    terms = [sympy.sin(a * k) * sympy.exp(-b * k / 9) + sympy.log(1 + sympy.exp(a - k * b)) for k in range(1, 9)
             for a, b in itertools.combinations(x, 2)]  # fmt: skip
    total = sympy.Add(*terms)
    model = gc.compile(total, wrt=list(x))
    assert str(model.plan).startswith("runs in llvm")
    point = {f"x{k}": 0.1 + 0.07 * k for k in range(6)}
    value, slopes = model.wait().value_and_grad(**point)
    at = {s: sympy.Float(point[s.name], 50) for s in x}
    assert_allclose(value, float(total.evalf(30, subs=at)), rtol=1e-14)
    for symbol, slope in zip(x, slopes, strict=True):
        assert_allclose(slope, float(total.diff(symbol).evalf(30, subs=at)), rtol=1e-13)
