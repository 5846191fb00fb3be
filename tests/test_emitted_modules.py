"""Emitted modules stand alone: they run where there is no gradcompile, check themselves, and hold no user's code."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, MatrixSymbol, Sum, Symbol, exp

import gradcompile as gc
from gradcompile.errors import GradcompileError
from tests.oracle import Problem, exact
from tests.zoo import BY_NAME, ZOO, arguments, load, reference

TARGETS = ("python", "numpy", "numba")
MODELS = Path(__file__).parent.parent / "examples" / "models"
NAMES = [row.name for row in ZOO]
COMPILED = ("lecture", "softmax", "factorisation")  # Numba takes seconds for each: a gather, a table, a scalar
WIDTH = 100

# Runs in `python -I` with another directory: importing gradcompile there is an error, installed or not.
STRANGER = """
import importlib, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "gradcompile":
            raise ImportError("an emitted module asked for gradcompile")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
answers = {}
for name, inputs in json.load(open(sys.argv[2], encoding="utf-8")).items():
    module = importlib.import_module(name)
    if not name.endswith("python"):
        import numpy
        inputs = [numpy.asarray(array) for array in inputs]
    value, grads = module.value_and_grad(*inputs)
    assert module.value(*inputs) == value or abs(module.value(*inputs) - value) <= 1e-12 * abs(value)
    again = module.grad(*inputs)
    plain = [g.tolist() if hasattr(g, "tolist") else g for g in grads]
    assert len(again) == len(plain)
    answers[name] = [float(value), plain]
assert not [name for name in sys.modules if name.split(".")[0] == "gradcompile"]
if all(name.endswith("python") for name in answers):
    assert "numpy" not in sys.modules and "numba" not in sys.modules
json.dump(answers, sys.stdout)
"""


@functools.cache
def in_call_order(name: str) -> list[Any]:
    """Return the point of a model of the zoo as what its functions are called with."""
    problem = reference(name)[0]
    return [np.asarray(problem.inputs[n]).tolist() for n in gc.compile(**arguments(problem)).arguments]


def emit(name: str, target: str) -> str:
    return gc.emit(**arguments(reference(name)[0]), target=target)


def python(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run isolated Python somewhere else."""
    return subprocess.run([sys.executable, "-I", *command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        pytest.param("python", NAMES, marks=pytest.mark.slow),
        ("numpy", NAMES),
        ("numba", COMPILED[:1]),
        pytest.param("numba", COMPILED, marks=pytest.mark.slow),
    ],
)
def test_modules_run_where_gradcompile_is_not(target: str, names: list[str], tmp_path: Path) -> None:
    calls = {}
    for name in names:
        module = f"{name.replace('-', '_')}_{target}"
        (tmp_path / f"{module}.py").write_text(emit(name, target), encoding="utf-8")
        calls[module] = in_call_order(name)
    (tmp_path / "calls.json").write_text(json.dumps(calls), encoding="utf-8")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    found = python("-c", STRANGER, str(tmp_path), str(tmp_path / "calls.json"), cwd=elsewhere)
    assert found.returncode == 0, found.stderr
    for name, (value, grads) in zip(names, json.loads(found.stdout).values(), strict=True):
        problem, answer = reference(name)
        expected_value, expected = answer.floats()
        np.testing.assert_allclose(value, expected_value, rtol=1e-12, atol=1e-13)
        for parameter, g in zip(problem.names, grads, strict=True):
            np.testing.assert_allclose(g, expected[parameter], rtol=1e-11, atol=1e-12)


@pytest.mark.one_in(11)
@pytest.mark.parametrize(
    ("name", "target"),
    [(n, t) for n in NAMES for t in ("python", "numpy")] + [(n, "numba") for n in COMPILED],
)
def test_modules_check_themselves(name: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(emit(name, target), encoding="utf-8")
    found = python("module.py", "--check", cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("target", ["python", "numpy"])
@pytest.mark.parametrize("name", ["pinhole", "bundle_adjustment"])
def test_the_check_knows_its_own_error(name: str, target: str, tmp_path: Path) -> None:
    """Where a camera has a point almost beside it, a plain central difference is off by 1e-4; the gradient is right."""
    text = gc.emit(gc.load(MODELS / f"{name}.model"), target=target, order=2)
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    found = python("module.py", "--check", cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    errors = [float(line.split()[-1]) for line in found.stdout.splitlines() if re.search(r"\de[-+]\d\d$", line)]
    assert max(errors) < 1e-6  # of each component; the smallest have seven digits in differences


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_the_check_sees_the_sixth_digit(target: str, tmp_path: Path) -> None:
    text = emit("lecture", target)
    (tmp_path / "module.py").write_text(re.sub(r"(?m)^( *dx = )", r"\1(1 + 1e-5)*", text), encoding="utf-8")
    assert python("module.py", "--check", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("target", ["python", "numpy"])
@pytest.mark.parametrize(("factor", "status", "says"), [
    ("1.0", 0, "agree"),  # differences of 1e6*x**2 have no seventh digit of dy = 1, but some have the first
    ("1.0001", 0, "can tell: 1 of 2"),
    ("2", 1, "DISAGREE"),
])  # fmt: skip
def test_the_check_does_not_certify_what_differences_cannot_tell(
    factor: str, status: int, says: str, target: str, tmp_path: Path
) -> None:
    a, b = sympy.symbols("a b")
    text = gc.emit(1e6 * a**2 + b, wrt=[a, b], target=target)
    spoilt = re.sub(r"return f, \(da, (.*)\)", rf"return f, (da, {factor}*\1)", text)
    (tmp_path / "module.py").write_text(spoilt, encoding="utf-8")
    found = python("module.py", "--check", cwd=tmp_path)
    assert (found.returncode, says in found.stdout) == (status, True), found.stdout


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_a_check_of_which_nothing_can_be_told_does_not_pass(target: str, tmp_path: Path) -> None:
    text = gc.emit(1e14 + Symbol("a"), wrt=Symbol("a"), target=target)
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    found = python("module.py", "--check", cwd=tmp_path)
    assert (found.returncode, "CANNOT TELL" in found.stdout) == (1, True), found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [path.stem for path in sorted(MODELS.glob("*.model"))])
def test_every_shipped_model_checks_itself_and_is_clean(name: str, target: str, order: int, tmp_path: Path) -> None:
    text = gc.emit(gc.load(MODELS / f"{name}.model"), target=target, order=order)
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "module.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    found = python("module.py", "--check", cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_the_check_of_a_module_can_fail(target: str, tmp_path: Path) -> None:
    """A module whose backward half is spoilt says so with a status that is not 0."""
    spoilt = Spoiler()
    tree = spoilt.visit(ast.parse(emit("lecture", target)))
    assert spoilt.changed
    (tmp_path / "module.py").write_text(ast.unparse(tree), encoding="utf-8")
    assert python("module.py", "--check", cwd=tmp_path).returncode not in (0, 2)


class Spoiler(ast.NodeTransformer):
    """Replace the first product in what `grad` and `value_and_grad` compute last by twice the product."""

    changed = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if "grad" in node.name or "backward" in node.name:
            for assignment in reversed([n for n in ast.walk(node) if isinstance(n, ast.Assign)]):
                if any(isinstance(n, ast.Mult) for n in ast.walk(assignment.value)):
                    doubled = ast.BinOp(ast.Constant(2.0), ast.Mult(), assignment.value)
                    assignment.value = ast.copy_location(doubled, assignment.value)
                    self.changed = True
                    break
        return ast.fix_missing_locations(node)


@pytest.mark.one_in(11)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_modules_can_be_read(name: str, target: str) -> None:
    """Lines fit, the imports are the promised ones, the header states the objective and every array."""
    text = emit(name, target)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.isascii()
    tree = ast.parse(text)
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    allowed = {"python": {"math"}, "numpy": {"math", "numpy"}, "numba": {"math", "numpy", "numba"}}[target]
    assert imported <= allowed | {"__future__", "sys"}  # sys for the status of --check
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert {"value", "grad", "value_and_grad"} <= defined
    header = text[: text.index("import ")]
    for parameter in gc.compile(**arguments(reference(name)[0])).arguments:
        assert parameter in header
    assert "float64" in header


def test_the_header_states_the_objective() -> None:
    text = gc.emit(**arguments(BY_NAME["lecture"].forms["scalar"]), target="numpy")
    assert str(BY_NAME["lecture"].forms["scalar"].objective) in text.split("import ")[0]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("target", TARGETS)
def test_ruff_has_nothing_to_say(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("RUFF IS MISSING: nothing holds emitted code to it; install the extra `test`")
    for name in NAMES:
        (tmp_path / f"{name.replace('-', '_')}.py").write_text(emit(name, target), encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "."]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[:3000]


# --- names ------------------------------------------------------------------------------------------------------

# Legal to a person, special to Python, NumPy or an emitter: models with them must simply work.
AWKWARD = (
    "lambda class None True print range exp math np numpy numba self _ __debug__ float64 e pi import def return"
    " t0 g_x _adj_0 x_bar df dc da a b c f v0 value grad value_and_grad njit prange len sum abs main sys args"
    " __name__ __builtins__ N i s out dS µ S' x y"
).split()

# Code in the place of a name: to be refused by an error of the package, or to be renamed; never to be run.
PAYLOAD = "open('pwned', 'w').close()"
HOSTILE = [
    f"x\n{PAYLOAD}",
    f"x; {PAYLOAD}",
    f"x)\n{PAYLOAD}#",
    f'"""\n{PAYLOAD}\n"""',
    f"'''\n{PAYLOAD}\n'''",
    f"x\r{PAYLOAD}",
    f"x\x0c{PAYLOAD}",
    f"x\u2028{PAYLOAD}",
    PAYLOAD,
    f"[{PAYLOAD}]",
    f"(y:={PAYLOAD})",
    "__import__('pathlib').Path('pwned').touch()",
    f"x={PAYLOAD}",
    f"{{{PAYLOAD}}}",
    f"x # {PAYLOAD}",
    "x\\",
    "\\",
    "",
    " ",
    "x y",
    "1x",
    "x\x00y",
    "x\u200by",
    "x\u202ey",
    "\x1b[31mred",
    "-x",
    "x.y",
    "*x",
    "**x",
    "x" * 5000,
]


def problem_with(name: str, role: str) -> Problem:
    """A small model with a name in one of the places where users give names; w is a parameter too."""
    w, symbol = IndexedBase("w", shape=(2,)), Symbol(name)
    j = Symbol("j", integer=True)
    point = {"w": np.array([0.5, -0.25])}
    if role == "symbol":
        objective = exp(symbol / 2) * Sum(w[j] ** 2, (j, 0, 1)) + symbol**2 * w[1]
        return Problem(objective, [symbol, w], {name: 0.75, **point})
    if role == "array":
        array = IndexedBase(name, shape=(2,))
        return Problem(Sum(exp(array[j]) * w[j], (j, 0, 1)), [array, w], {name: np.array([0.1, 0.2]), **point})
    if role == "matrix":
        matrix = MatrixSymbol(name, 2, 2)
        return Problem(sympy.Trace(matrix * matrix.T) * w[0], [matrix, w], {name: np.eye(2) + 0.5, **point})
    if role == "definition":
        return Problem(exp(symbol) + symbol * w[1], [w], point, define={symbol: w[0] ** 2 + w[1]})
    if role == "index":
        index = Symbol(name, integer=True)
        return Problem(Sum(exp(w[index]), (index, 0, 1)), [w], point)
    size = Symbol(name, integer=True, positive=True)
    long = IndexedBase("w", shape=(size,))
    return Problem(Sum(exp(long[j]), (j, 0, size - 1)), [long], point)


ROLES = ("symbol", "array", "matrix", "definition", "index", "size")


def run_emitted(problem: Problem, target: str, path: Path) -> None:
    """Emit, write, import and call with positional arguments, all of them parameters; compare with the oracle."""
    module = load(gc.emit(**arguments(problem), target=target), path)
    value, grads = module.value_and_grad(*[np.asarray(problem.inputs[n]).tolist() for n in problem.names])
    expected_value, expected = exact(problem).floats()
    np.testing.assert_allclose(value, expected_value, rtol=1e-13)
    for name, g in zip(problem.names, grads, strict=True):
        np.testing.assert_allclose(g, expected[name], rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "role"),
    [(name, "symbol") for name in AWKWARD]
    + [(name, role) for name in ("lambda", "np", "exp", "df", "N", "value", "µ") for role in ROLES[1:]],
)
def test_awkward_names_work(name: str, role: str, tmp_path: Path) -> None:
    run_emitted(problem_with(name, role), "python", tmp_path / "module.py")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["lambda", "np", "numba", "exp", "df", "range"])
def test_awkward_names_work_in_kernels(name: str) -> None:
    problem = problem_with(name, "symbol")
    model = gc.compile(**arguments(problem))
    value, (first, _) = model.value_and_grad(**problem.inputs)
    expected_value, expected = exact(problem).floats()
    np.testing.assert_allclose([value, first], [expected_value, expected[name]], rtol=1e-13)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:40])
def test_names_never_become_code(name: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problem = problem_with(name, role)
    for target in TARGETS if role in ("symbol", "array") else ("python",):
        try:
            text = gc.emit(**arguments(problem), target=target)
        except GradcompileError:
            continue  # refused
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= WIDTH
        assert_is_arithmetic(text)
        if target == "python":
            run_emitted(problem, target, tmp_path / "module.py")
    assert not Path("pwned").exists()


def assert_is_arithmetic(text: str) -> None:
    """No call of a function that opens files or imports, whatever the comments say."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            assert node.id not in {"open", "__import__", "exec", "eval", "compile", "globals", "getattr", "pathlib"}
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:40])
def test_errors_about_hostile_names_can_be_printed(name: str) -> None:
    """No control characters, no thousands of columns: an error goes to a terminal."""
    with pytest.raises(GradcompileError) as caught:
        gc.emit(sympy.Function("nowhere")(Symbol(name)), wrt=[Symbol(name)], target="python")
    assert all(line.isprintable() and len(line) < 400 for line in str(caught.value).split("\n"))


def test_two_symbols_of_one_name_are_an_error() -> None:
    x, other = Symbol("x"), Symbol("x", positive=True)
    with pytest.raises(gc.errors.DuplicateNameError):
        gc.emit(x * other, wrt=[x], target="python")


def test_a_symbol_and_an_array_of_one_name_are_an_error() -> None:
    x, other = Symbol("x"), IndexedBase("x", shape=(2,))
    with pytest.raises(gc.errors.DuplicateNameError):
        gc.emit(x * other[0], wrt=[x], target="python")


def test_names_that_python_cannot_tell_apart(tmp_path: Path) -> None:
    """The micro sign and the Greek letter mu are one identifier to Python, but two symbols to SymPy."""
    micro, mu = Symbol("\u00b5"), Symbol("\u03bc")
    problem = Problem(exp(micro) * mu**2, [micro, mu], {"\u00b5": 0.5, "\u03bc": 3.0})
    with contextlib.suppress(gc.errors.DuplicateNameError):  # to refuse is right as well; to mix them up is not
        run_emitted(problem, "python", tmp_path / "module.py")


def test_an_unknown_function_is_refused_by_name() -> None:
    x = Symbol("x")
    with pytest.raises(GradcompileError, match="evil"):
        gc.emit(sympy.Function("evil(1) or f")(x), wrt=[x], target="python")


def test_a_hostile_objective_does_not_leave_its_comment() -> None:
    """The objective is quoted in the header: quotes, backslashes and line ends in names must not end it."""
    name = 'x"""\nopen("pwned", "w").close()\n"""\\'
    try:
        text = gc.emit(Symbol(name) ** 2, wrt=[Symbol(name)], target="python")
    except GradcompileError:
        return
    assert_is_arithmetic(text)
