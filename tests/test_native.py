"""Long programs of numbers: machine code that LLVM makes of the emitted Python says what Python says."""

import itertools
import math
import random
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose
from sympy import Piecewise, Symbol, symbols

import gradcompile as gc
from gradcompile import pipeline
from gradcompile.early import Early
from gradcompile.emit import module
from gradcompile.ir import Builder, Graph, Input
from gradcompile.jit import directory as directory_module
from gradcompile.jit import native as native_module
from gradcompile.jit import objects as objects_module
from gradcompile.jit import translation
from gradcompile.jit.direct import UntranslatableError
from gradcompile.jit.native import native
from gradcompile.primitives import PRIMITIVES, TABLE

ODD = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan)
ARITY = {"and": 2, "or": 2, "not": 1, "select": 3}  # the rows without a domain
ORDERED = ("polygamma", "polygammagap", "log1pover", "expm1over")  # their order is a whole number: below
NUMBERS = [row for row in TABLE if row.name not in ORDERED]
# rows whose last operand is a function of the first
LAST = {
    "lgammagap": "lgamma",
    "digammagap": "digamma",
    "log1pgap": "log1p",
}
HEAD = "import math\n\n\n"


def compiled(text: str, name: str = "value", gradients: int = 0, *, strict: bool = True):
    return native(HEAD + textwrap.dedent(text), name, gradients, strict=strict)


# CPython computes these itself, and not by the C library; others are made of them.
OWN = {"gamma": 4e-15} | dict.fromkeys(("lgamma", "lgammagap", "lbeta"), 4e-14)


def same(found: float, expected: float, tolerance: float = 4e-16) -> bool:
    near = math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance if tolerance > 1e-15 else 0.0)
    return math.isnan(found) if math.isnan(expected) else near


# The vocabulary -----------------------------------------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_every_row_is_what_it_is_in_python(row):
    """Where Python raises, the interpreter says what IEEE 754 has."""
    builder = Builder()
    names = [f"a{k}" for k in range(ARITY.get(row.name, len(row.domain)))]
    inputs = [builder.input(name, ()) for name in names]
    bits = row.name in ("and", "or", "not")
    operands = [builder.apply("gt", i, 0) for i in inputs] if bits else inputs
    if row.name == "select":
        operands[0] = builder.apply("gt", operands[0], 0)
    value = builder.apply(row.name, *operands)
    if value.kind == "bool":
        value = builder.apply("select", value, 1.5, -0.5)
    graph = Graph(builder, {name: Input(name) for name in names}, {"value": value})
    python = Early(graph, "float64").function("value")
    machine = native(module.render(graph, "python"), "value", 0, strict=True)
    chance = np.random.default_rng(5)
    domain = row.domain if row.name not in ARITY else [(-1, 1)] * len(names)
    inside = [tuple(float(chance.uniform(*interval)) for interval in domain) for _ in range(20)]
    for point in [*inside, *itertools.product(ODD, repeat=min(len(names), 2))]:
        given = (*point, *[2.0] * (len(names) - len(point)))
        if row.name in LAST:
            given = (*given[:-1], float(PRIMITIVES[LAST[row.name]].reference(given[0])))
        tolerance = OWN.get(row.name, 4e-16)
        assert same(machine(*given), python(*given), tolerance), (row.name, given, machine(*given), python(*given))


@pytest.mark.parametrize("row", ["log1pover", "expm1over"])
def test_derivatives_of_a_whole_order(row):
    for order in range(3):
        builder = Builder()
        value = builder.apply(row, order, builder.input("x", ()))
        graph = Graph(builder, {"x": Input("x")}, {"value": value})
        machine = native(module.render(graph, "python"), "value", 0, strict=True)
        for point in (-0.7, -0.1, 1e-9, 0.3, 0.9, 5.0, math.nan):
            assert same(machine(point), float(PRIMITIVES[row].reference(order, np.float64(point))), 4e-15), point


def test_a_polygamma_of_a_whole_order():
    x = Symbol("x")
    model = gc.compile(sympy.polygamma(2, x), wrt=x)
    machine = native(model.source, "value_and_grad", 1, strict=True)
    for point in (0.3, 2.5, 17.0, -1.25):
        value, (slope,) = machine(point)
        assert value == pytest.approx(float(sympy.polygamma(2, sympy.Rational(point)).evalf(30)), rel=1e-12)
        assert slope == pytest.approx(float(sympy.polygamma(3, sympy.Rational(point)).evalf(30)), rel=1e-12)


def test_remainders_have_the_sign_of_the_divisor():
    machine = compiled("def value(x, y):\n    return x % y\n")
    for x, y in itertools.product((5.5, -5.5, 6.0, -6.0, 0.0, 1e-300), (2.0, -2.0, 0.75, -3.5)):
        assert math.copysign(1.0, machine(x, y)) * machine(x, y) == math.copysign(1.0, x % y) * (x % y), (x, y)
        assert machine(x, y) == x % y


def test_whole_powers():
    for exponent in (0, 1, 2, 3, 5, 12, 63, -1, -4, -9, 70):
        machine = compiled(f"def value(x):\n    return x**{exponent}\n")
        for x in (1.37, -0.6, 2.0, -3.0, 10**22):
            exact = float(sympy.Rational(x) ** exponent)
            assert machine(float(x)) == pytest.approx(exact, rel=1e-16 * max(abs(exponent), 4)), (x, exponent)
    assert compiled("def value(x):\n    return x + 100000000000000000000000\n")(1e23) == 2e23


def test_choices_loops_and_several_results():
    text = """
    def power(x, n):
        result = 1.0
        while n > 0:
            result *= x
            n = n - 1
        return result


    def value_and_grad(x, y):
        small = x < y
        if small:
            a = math.sqrt(y - x)
            if a > 1:
                a = a / 2
        else:
            a = power(x - y, 3) if x - y < 2 else -1.0
        b = a if small and not a == 0.5 or y > 9 else 0.25
        return a, (b, 2, small)
    """
    machine = compiled(text, "value_and_grad", 3)
    assert machine(1.0, 1.25) == (0.5, (0.25, 2.0, 1.0))
    assert machine(1.0, 10.0) == (1.5, (1.5, 2.0, 1.0))
    assert machine(3.0, 1.5) == (3.375, (0.25, 2.0, 0.0))
    assert machine(9.0, 1.0) == (-1.0, (0.25, 2.0, 0.0))


@pytest.mark.parametrize(
    "line",
    ["return [x]", "return x.y", "return unknown(x)", "return x // 2", "return z", "import os", "return 'x'",
     "for k in x: pass", "x.y = 1", "return x if x else lambda: x", "(a, b) = x", "return x < 1 is 2"],
)  # fmt: skip
def test_what_is_no_arithmetic_on_floats_is_refused(line):
    with pytest.raises(UntranslatableError):
        compiled(f"def value(x):\n    {line}\n    return 1.0\n")


# Parts --------------------------------------------------------------------------------------------------------------


def program(length: int, seed: int) -> str:
    """Return a function with choices, in which any line may use any earlier name."""
    chance, names, lines = random.Random(seed), ["x", "y"], []
    for k in range(length):
        a, b = chance.choice(names), chance.choice(names)
        if chance.random() < 0.15:
            lines += [f"    if {a} < {b}:", f"        v{k} = math.sin({a})", "    else:", f"        v{k} = 0.5*{b}"]
        elif chance.random() < 0.1:
            lines.append(f"    v{k} = {a} > {b}")
        else:
            lines.append(f"    v{k} = math.tanh({a} - 0.7*{b})")
        names.append(f"v{k}")
    last = ", ".join(names[-3:])
    return "\n".join(["def value_and_grad(x, y):", *lines, f"    return {names[-4]}, ({last})", ""])


def test_sines_and_cosines_of_one_name_are_computed_together():
    text = """
    def value_and_grad(x, y):
        a = x*y
        b = math.sin(a) + math.sin(x) if y > 0 else math.cos(a)
        c = math.cos(a)*math.sin(x)
        if c > b:
            c = math.cos(c) + math.sin(c)
        return b, (c, math.cos(x), math.sin(y))
    """
    translated = translation.translate(HEAD + textwrap.dedent(text), "value_and_grad", contract=False, pairs=True)
    first = translated.modules[0]
    assert first.count("call void @sincos") == 2  # of x and of a; c changes, and y has no cosine
    machine = compiled(text, "value_and_grad", 3)
    known: dict = {"math": math}
    exec(textwrap.dedent(text), known)  # what this test wrote
    for x, y in ((0.3, 2.0), (-1.2, 0.4), (2.5, -0.7)):
        found, expected = machine(x, y), known["value_and_grad"](x, y)
        assert_allclose([found[0], *found[1]], [expected[0], *expected[1]], rtol=4e-16)


def test_a_value_is_read_again_after_calls_in_a_branch(monkeypatch):
    """What a branch reads from memory after a call in it is not known where the other way was taken."""
    monkeypatch.setattr(translation, "PART", 3)
    text = """
    def value(x, y):
        a = x*y
        b = math.tanh(a)
        c = b
        if y > 0:
            c = math.exp(-a*a) + a*b
        d = a + c
        e = math.tanh(d) + a
        return a*e + b
    """
    known: dict = {"math": math}
    exec(textwrap.dedent(text), known)  # what this test wrote
    for x, y in ((0.3, 2.0), (-1.2, -0.4)):
        assert compiled(text)(x, y) == known["value"](x, y)


def test_an_argument_that_changes_has_its_last_value_in_all_parts(monkeypatch):
    monkeypatch.setattr(translation, "PART", 2)
    text = """
    def value(x, y):
        x = x + y
        a = x*y
        x = x*2
        b = a - y
        return x + b
    """
    assert compiled(text)(1.0, 3.0) == 17.0


@pytest.mark.parametrize("part", [1, 2, 7, 40, 1000])
def test_parts_hand_their_values_on(part, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(translation, "PART", part)
    for seed in range(3):
        text = program(80, seed)
        known: dict = {"math": math}
        exec(text, known)  # what this test wrote
        machine = compiled(text, "value_and_grad", 3)
        for x, y in ((0.3, -0.8), (2.0, 1.0), (-1.0, 4.0)):
            assert machine(x, y) == known["value_and_grad"](x, y)


# Models -------------------------------------------------------------------------------------------------------------


def long_model(steps: int = 200):
    """A chain with choices, longer than what Python runs."""
    x, y = symbols("x y")
    definitions, a = {}, x
    for k in range(steps):
        u = Symbol(f"u{k}")
        definitions[u] = Piecewise((sympy.sqrt(a) + y, a > 1), (sympy.cos(a * y) - a**2 / 3, True))
        a = u
    return gc.compile(a, wrt=[x, y], define=definitions)


def test_long_models_are_compiled_and_say_so(monkeypatch):
    model = long_model()
    monkeypatch.setattr(pipeline.Program, "patient", False)
    early = model.value_and_grad(x=0.3, y=0.9)
    late = model.wait().value_and_grad(x=0.3, y=0.9)
    assert str(model.plan).startswith("runs in llvm: many numbers")
    # a map that folds its argument 200 times: what is rounded differently is carried along
    assert_allclose(late[0], early[0], rtol=1e-9)
    assert_allclose(late[1], early[1], rtol=1e-6)
    with monkeypatch.context() as without:
        without.setattr(model._program.arguments, "bind", None)  # floats go straight to the compiled function
        assert model.value_and_grad(x=0.3, y=0.9) == late
    monkeypatch.setattr("gradcompile.pipeline.functions.MANY", 10**9)
    assert long_model().value(x=0.3, y=0.9) == early[0]


def test_strict_models_round_as_python_does():
    model = long_model()
    python = model._program.plain("value_and_grad")
    machine = native(model.source, "value_and_grad", 2, strict=True)
    for point in ((0.3, 0.9), (2.0, -0.4), (-1.5, 0.1)):
        assert machine(*point) == python(*point)


def test_long_models_have_infinities_where_python_raises():
    x = Symbol("x")
    model = gc.compile(sum(sympy.exp(x * (k + 1)) * (k + 2) for k in range(400)), wrt=x)
    assert model.value_and_grad(x=2.0) == (math.inf, math.inf)


def test_threads_do_not_share_memory():
    machine = native(long_model().source, "value_and_grad", 2, strict=True)
    points = [(0.1 + 0.01 * k, 0.9) for k in range(64)] * 20
    alone = [machine(*point) for point in points]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda point: machine(*point), points)) == alone


def test_what_cannot_be_translated_stays_in_python(monkeypatch):
    def refuses(*_, **__):
        raise UntranslatableError("no")

    monkeypatch.setattr(native_module, "translate", refuses)
    monkeypatch.setattr(objects_module, "cache_directory", lambda: None)
    model = long_model(150)
    assert model.value(x=0.3, y=0.9) == model._program.plain("value")(0.3, 0.9)


# The cache ----------------------------------------------------------------------------------------------------------

SQUARE = "def value(x):\n    return x*x\n"


def test_a_second_time_nothing_is_translated(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path / "kernels"))
    assert compiled(SQUARE)(3.0) == 9.0
    monkeypatch.setattr(native_module, "translate", None)
    assert compiled(SQUARE)(3.0) == 9.0
    with pytest.raises(TypeError):  # another text, and another way to round, are other code
        compiled(SQUARE, strict=False)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"", lambda c: bytes([c[40] ^ 1]) + c[1:]])
def test_a_damaged_file_is_put_aside(monkeypatch, tmp_path, damage):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path / "kernels"))
    compiled(SQUARE)
    [file] = (tmp_path / "kernels").glob("*.native")
    file.write_bytes(damage(file.read_bytes()))
    assert compiled(SQUARE)(3.0) == 9.0
    assert len(list((tmp_path / "kernels").glob("*.damaged"))) == 1


def test_without_a_cache_it_runs_all_the_same(monkeypatch):
    monkeypatch.setenv("GRADCOMPILE_CACHE", "/proc/nowhere")
    monkeypatch.setattr(directory_module, "_warned", True)
    assert compiled(SQUARE)(3.0) == 9.0
