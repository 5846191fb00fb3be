"""What nobody vouches for, all the way through: text to every command, names to every target, limits on both."""

import ast
import builtins
import contextlib
import keyword
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from sympy import Dummy, Function, IndexedBase, MatrixSymbol, Sum, Symbol, exp, sin

import gradcompile as gc
from gradcompile.cli import main
from gradcompile.errors import GradcompileError, ParseError
from gradcompile.language import parse_expression
from tests import hostile
from tests.audit import Audit
from tests.conftest import readable
from tests.generated import Generator

MEMORY = 64 * 2**20
FORBIDDEN = (
    *("subprocess.", "socket.", "shutil.", "pickle.", "ctypes.dlopen", "os.system", "os.exec", "os.fork", "os.spawn"),
    *("os.posix_spawn", "os.remove", "os.rename", "os.mkdir", "os.chmod", "os.link", "os.symlink", "tempfile."),
)  # what lazy imports do, opening and compiling modules, is not among them
TEXTS = [*hostile.CODE_EXECUTION, *hostile.EXHAUSTION, *hostile.LEXICAL]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a lazy import would rename files of its own
    yield
    assert not list(tmp_path.iterdir()), "something was written"


# Text


@pytest.mark.parametrize(
    ("read", "form"),
    [(parse_expression, "{}"), (gc.parse, "x: parameter\nloss = x + {}\n")],
    ids=["alone", "in a file"],
)
def test_no_text_takes_more_than_64_mib_beside_itself(read, form):
    read(form.format("x + 1"))
    tracemalloc.start()
    try:
        for text in (form.format(text) for text in TEXTS):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with contextlib.suppress(ParseError):
                read(text)
            assert tracemalloc.get_traced_memory()[1] - before < MEMORY, text[:80]
    finally:
        tracemalloc.stop()


COMMANDS = ["emit --target listing", "emit --target python", "emit --target numpy", "show", "show --json", "latex"]
LEGAL = sorted(hostile.LEGAL - {"sin", "lgamma(10**8)", "digamma(10**8)"})


@pytest.mark.one_in(3)
@pytest.mark.parametrize("text", LEGAL, ids=readable)
def test_legal_text_at_the_limits_goes_through_every_command(text, capsys):
    for command in COMMANDS:
        name, *options = command.split()
        assert main([name, text, *options]) == 0, capsys.readouterr().err
        capsys.readouterr()


SHORT = [text for text in TEXTS if 0 < len(text) < 100_000 and "\x00" not in text]


@pytest.mark.parametrize("command", ["show", "check --at x=1", "train --data missing.csv -o o.npz"])
def test_hostile_text_to_other_commands_is_a_message(command, capsys):
    name, *options = command.split()
    for text in SHORT:
        if text in hostile.LEGAL:
            continue
        with Audit() as audit:
            status = main([name, text, "--wrt", "x", *options])
        message = capsys.readouterr().err
        assert status == 2, f"{text!r:.80} is status {status}: {message[:300]}"
        assert "Traceback" not in message
        assert not [event for event in audit.events if event.startswith(FORBIDDEN)]


def derive(count, seed, depth):
    """Emit random models and mutations of them; return how many were models."""
    chance = random.Random(seed)
    models = 0
    for number in range(count):
        text = list(Generator(seed + number, depth).model())
        for _ in range(chance.choice([0, 0, 1, 2])):
            text[chance.randrange(len(text))] = chance.choice("xwNij0123+-*/(),[]= \n")
        try:
            model = gc.parse("".join(text))
            gc.emit(model, target=chance.choice(["listing", "numpy", "numba"]))
        except GradcompileError:
            continue
        models += 1
    return models


def test_mutated_models_are_emitted_or_refused():
    assert derive(25, seed=1, depth=1) > 5


@pytest.mark.slow
def test_many_mutated_models_are_emitted_or_refused():
    derive(2_000, seed=1000, depth=2)


# Names

NAMES = [
    *keyword.kwlist,
    *(name for name in dir(builtins) if len(name) < 12),
    *"self cls np numpy math numba njit prange range float64 value grad value_and_grad dW dx da df a b f e pi".split(),
    *"main check PROBLEM sys argv __name__ __file__ _exp t0 g_x _adj_0 x_bar p0 d0 t17".split(),
    *("x\nimport os", "x; import os", "x)#", '"""\nimport os\n"""', "\r", "\x00", "\\", "x\\", "\\N{BULLET}", "'", '"'),
    *("x" * 5000, "1x", "x y", "x\u200dy", "µ", "μ", "ﬁ", "ｘ", "\u202ex", "\ud800", "{0}", "%s", "$(id)", "`id`"),
    *("evil(1)or f", "__import__('os').system('id')", "lambda: 0", "x=1", "x[0]", "é", "日本", "−x", "\x1b[31mred"),
]
CHARACTERS = "abxyzdfWN_019 \n\r\t\x00\\'\"#();:=[]{}.,%$`@!éµ\u200b\u202e\ud800日ﬁ"
EVIL_EVENTS = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.", "open")


def random_name(chance):
    if chance.random() < 0.3:
        return chance.choice(NAMES)
    return "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(1, 12)))


def objective(names, chance):
    """Return an expression with names everywhere: symbols, arrays, matrices, indices, sizes, definitions, outputs."""
    scalar, array, matrix, index, size, defined, output = names
    n = Symbol(size, integer=True, positive=True)
    i = Symbol(index, integer=True)
    x, v, m, d = Symbol(scalar), IndexedBase(array, shape=(n,)), MatrixSymbol(matrix, n, n), Symbol(defined)
    expr = Sum(v[i] * sin(x), (i, 0, n - 1)) * d + m[0, 0] * exp(x)
    return expr, [x, v] if chance.random() < 0.5 else [v], {d: x**2 + 1}, {output: d * x}


def name_models(count, seed):
    """Emit and import models with random names, seven each; return how many were accepted."""
    chance = random.Random(seed)
    accepted = 0
    for _ in range(count // 7):
        try:
            expr, wrt, define, outputs = objective([random_name(chance) for _ in range(7)], chance)
            target = chance.choice(["python", "numpy", "listing"])
            text = gc.emit(expr, wrt=wrt, define=define, outputs=outputs, target=target)
        except GradcompileError:
            continue
        accepted += 1
        assert text.isascii()
        if target != "listing":
            inspected(text)
    return accepted


def inspected(text):
    """Run a module under audit; look at what it imports and calls with eyes other than the compiler's own."""
    tree = ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"math", "sys", "numpy"}
    assert not any(
        isinstance(node, (ast.Lambda, ast.Global, ast.AsyncFunctionDef, ast.ClassDef)) for node in ast.walk(tree)
    )
    with Audit() as audit:
        exec(compile(tree, "emitted", "exec"), {"__name__": "emitted"})
    assert not [event for event in audit.events if event.startswith(EVIL_EVENTS)]


def test_random_names_never_become_code():
    assert name_models(1_000, seed=1) > 25


@pytest.mark.slow
def test_many_random_names_never_become_code():
    assert name_models(100_000, seed=2) > 1000


def test_symbol_that_holds_a_call_is_not_called():
    evil = Symbol("__import__('os').getpid()")
    value = gc.compile(evil + 1, wrt=evil).value(**{evil.name: 2.0})
    assert value == 3.0


@pytest.mark.parametrize(
    ("expr", "wrt"),
    [
        (Function("evil(1)or f")(Symbol("x")), [Symbol("x")]),
        (Symbol("x") + Symbol("x", positive=True), [Symbol("x")]),
        (Symbol("µ") + Symbol("μ"), [Symbol("µ")]),
        (Symbol("x") * Symbol("ｘ"), [Symbol("x")]),
        (Symbol("ﬁ") * Symbol("fi"), [Symbol("fi")]),
    ],
    ids=readable,
)
def test_names_that_python_would_confuse_are_an_error(expr, wrt):
    with pytest.raises(GradcompileError):
        gc.compile(expr, wrt=wrt)


def test_dummies_of_one_name_are_an_error():
    a, b = Dummy("x"), Dummy("x")
    with pytest.raises(GradcompileError, match="_x is listed twice"):
        gc.compile(a * b, wrt=[a, b])


# Time and memory


CONFINED = "import resource, sys\nfrom gradcompile.cli import confinement, main\n"
USED = "1 + int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))"
SPENDING = {
    "seconds": (f"confinement.confine(seconds={USED})\nwhile True: pass", "LimitError: this takes longer than"),
    "memory": ("confinement.confine(memory=2**26)\nbytes(2**28)", "MemoryError"),
}


def spend(body, *words):
    """Run Python in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-c", CONFINED + body, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("body", "said"), SPENDING.values(), ids=SPENDING)
def test_limits_end_work_with_an_error_of_python(body, said):
    done = spend(body)
    assert done.returncode == 1
    assert said in done.stderr


def test_untrusted_text_that_costs_little_is_emitted():
    done = spend("sys.exit(main(['emit', 'softmax', '--untrusted', '--target', 'numba']))")
    assert done.returncode == 0, done.stderr
    assert "def value_and_grad" in done.stdout


def test_untrusted_runs_no_python(capsys):
    assert main(["emit", "os:environ", "--untrusted"]) == 2
    assert "--untrusted runs none" in capsys.readouterr().err
