"""What an error says: one line a field, a caret under the place, and nothing that a terminal would obey."""

import ast
from pathlib import Path

import pytest
import sympy

import gradcompile as gc
from gradcompile import errors
from gradcompile.errors import GradcompileError

EVIL = "a\x1b[2J\r\nb\x00\u202e\u2028\x9b"
Z = sympy.Symbol("z")
PACKAGE = Path(gc.__file__).parent
NAMES = {name for name, each in vars(errors).items() if isinstance(each, type)}
FIELDS = ("what", "text", "expected", "found", "hint", "source")


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_reaches_the_terminal_unescaped(field):
    fields = {"what": "it is wrong", field: f"<{EVIL}>"}
    error = GradcompileError(fields.pop("what"), **fields)
    lines = str(error).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == (1 if field in ("what", "source") else 2)
    assert "<a?[2J??b????>" in str(error)


def test_a_caret_stays_under_its_place_in_hostile_text():
    message = str(GradcompileError("no", text="\x1b\x1b + foo", place="foo")).split("\n")
    assert message[1].index("foo") == message[2].index("^^^")


def test_fields_keep_what_was_given():
    error = GradcompileError("what", found=EVIL, hint="do")
    assert (error.what, error.found, error.hint) == ("what", EVIL, "do")


def test_names_of_users_are_clean_where_they_are_said():
    from sympy import Symbol

    model = gc.compile(Symbol("x\x1b[31m") ** 2, wrt=Symbol("x\x1b[31m"))
    with pytest.raises(GradcompileError) as caught:
        model.value()
    assert "\x1b" not in str(caught.value)


def test_all_errors_are_of_one_family():
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(found) > 10
    assert all(issubclass(e, GradcompileError) for e in found)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda model: gc.compile(model, dtype="float16"),
        lambda model: gc.emit(model, target="cuda"),
        lambda model: gc.compile(model).fit(x=[1.0, 2.0], batch_size=0, progress=False),
    ],
    ids=["dtype", "target", "batch_size"],
)
def test_a_setting_that_cannot_be_says_what_can(wrong):
    with pytest.raises(gc.errors.ArgumentError) as caught:
        wrong(gc.parse("x: data[N]\nw: parameter\nloss = Sum((w*x[n] - 1)**2, n)"))
    assert all(part in str(caught.value) for part in ("expected:", "found:", "to do:"))


def called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


CALLS = [
    pytest.param(call, id=f"{path.relative_to(PACKAGE).as_posix()}:{call.lineno}")
    for path in sorted(PACKAGE.rglob("*.py"))
    if "Error(" in (text := path.read_text(encoding="utf-8"))
    for call in ast.walk(ast.parse(text))
    if isinstance(call, ast.Call) and called(call) in NAMES - {"EmissionError"}
]


@pytest.mark.parametrize("call", CALLS)
def test_every_error_says_what_to_do(call):
    """Of what users meet: a graph that is not well formed, and text that was not emitted, are for us."""
    given = {keyword.arg for keyword in call.keywords}
    assert "hint" in given or "well formed" in ast.unparse(call)


def test_a_missing_argument_is_told_from_those_that_were_given():
    model = gc.compile(gc.parse("x: data[N]\nw: parameter\nloss = Sum((w*x[n] - 1)**2, n)"))
    with pytest.raises(gc.errors.ArgumentError) as caught:
        model.value(x=[1.0, 2.0])
    assert str(caught.value).split("\n")[1:] == [
        "    w, x[N]",
        "    ^",
        "  expected: a number",
        "  found:    x",
        "  to do:    add w=... to the call (a parameter)",
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda model: model.ravel([1.0], x=[1.0]), ("dict of parameters", "list", "{name: value}")),
        (lambda model: model.hvp([1.0], w=2.0, x=[1.0]), ("a number", "shape (1,)", "give it a number")),
        (lambda model: model.predict("q", x=[1.0]), ("y", "ask for one of these")),
        (lambda model: model.fit(x=[1.0], init={"v": 1.0}, progress=False), ("w", "v", "one of these")),
        (lambda model: gc.SGD("fast"), ("a number", "'fast'", "0.1")),
        (lambda model: gc.compile(sympy.Function("foo")(Z), wrt=Z), ("a function of SymPy", "define=")),
    ],
    ids=["ravel", "hvp", "predict", "init", "rate", "function"],
)
def test_a_mistake_in_a_call_says_what_to_do(wrong, words):
    model = gc.compile(gc.parse("x: data[N]\nw: parameter\ny[n] = w*x[n]\nloss = Sum((y[n] - 1)**2, n)"))
    with pytest.raises(GradcompileError) as caught:
        wrong(model)
    message = str(caught.value)
    assert "to do:" in message
    assert all(word in message for word in words), message
