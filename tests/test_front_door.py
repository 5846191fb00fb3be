"""The package's front door: names are imported when they are asked for, and stand for what they should."""

import subprocess
import sys

import pytest

import gradcompile as gc


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("command", ["import gradcompile", "from gradcompile.cli import main; main(['--version'])"])
def test_the_start_needs_no_libraries(command):
    loaded = set(run(f"{command}; import sys; print(*sys.modules)"))
    assert not loaded & {"sympy", "numpy", "numba", "scipy", "rich"}


def test_printing_code_needs_neither_a_compiler_nor_scipy():
    loaded = set(run("from gradcompile.cli import main; main(['emit', 'softmax']); import sys; print(*sys.modules)"))
    assert not loaded & {"numba", "llvmlite", "scipy", "rich", "pyarrow"}


def test_printing_code_searches_for_garbage_a_few_times_only():
    count = "collected = []; gc.callbacks.append(lambda phase, info: collected.append(phase))"
    emit = "from gradcompile.cli import main; main(['emit', 'softmax', '-q', '--stage', 'forward'])"
    before, printed = "import gc; " + count, "print(collected.count('start'), gc.get_threshold()[0])"
    *_, searches, threshold = run(f"{before}; {emit}; {printed}")
    assert int(searches) < 20  # of some 200
    assert threshold == run("import gc; print(gc.get_threshold()[0])")[0]


@pytest.mark.parametrize("name", gc.__all__)
def test_every_public_name_is_there(name):
    assert getattr(gc, name) is not None
    assert name in dir(gc)


def test_star_brings_the_public_names():
    assert set(gc.__all__) <= set(run("from gradcompile import *; print(*dir())"))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "before", ["import gradcompile.emit.header", "import gradcompile.emit", "import gradcompile.compiler", "pass"]
)
@pytest.mark.parametrize("name", ["gradcompile.emit", "gradcompile.compile"])
def test_a_name_is_a_function_whatever_was_imported_before(before, name):
    assert run(f"import gradcompile; {before}; print(type({name}).__name__)") == ["function"]


def test_errors_is_the_module():
    assert run("import gradcompile as gc; print(gc.errors.GradcompileError is gc.GradcompileError)") == ["True"]


def test_a_name_can_be_replaced_and_put_back(monkeypatch):
    monkeypatch.setattr(gc, "emit", None)
    assert gc.emit is None
    monkeypatch.undo()
    assert callable(gc.emit)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'gradcompile' has no attribute 'emitt'"):
        gc.emitt  # noqa: B018  (asking is the test)


@pytest.mark.parametrize(("name", "to_do"), [("Adamw", "'AdamW'"), ("minimize", "ravel"), ("Momentum", "SGD, AdaGrad")])
def test_what_is_not_there_says_what_is(name, to_do):
    with pytest.raises(AttributeError, match=f"to do: .*{to_do}"):
        getattr(gc, name)
    assert not hasattr(gc, name)
