"""The module around the functions: header, imports, names, --check, and the gate that it must pass."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import IndexedBase, MatrixSymbol, Max, Min, Sum, Symbol, exp, symbols

import gradcompile as gc
from gradcompile.emit import allowlist, module, support
from gradcompile.emit.header import quoted
from gradcompile.emit.layout import WIDTH, commented, wrapped
from gradcompile.emit.mathematics import harmless
from gradcompile.emit.problem import problem
from gradcompile.emit.support.check_arrays import draw
from gradcompile.errors import EmissionError
from gradcompile.ir import Axis, Builder, Graph, Input, Size
from tests.zoo import load_uncompiled

x, w1, w0 = symbols("x w1 w0")
LECTURE = 1 + exp(w1 * x + w0)
N, D = symbols("N D", integer=True, positive=True)
s, j = symbols("s j", integer=True)
X, w, gt = IndexedBase("X", shape=(N, D)), IndexedBase("w", shape=(D,)), IndexedBase("gt", shape=(N,))
PICKED = Sum(exp(w[gt[s]]) + Sum(X[s, j] * w[j], (j, 0, D - 1)), (s, 0, N - 1))
TARGETS = ("python", "numpy", "numba")


def text_of(target: str, objective=PICKED, wrt=w, **options) -> str:
    return gc.emit(objective, wrt=wrt, target=target, **options)


# --- header -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_the_header_has_objective_arrays_and_sizes(target):
    doc = ast.get_docstring(ast.parse(text_of(target)))
    assert doc is not None
    assert re.search(r"^w +\(D,\) +float64 +parameter$", doc, re.MULTILINE)
    assert re.search(r"^gt +\(N,\) +int64 +labels$", doc, re.MULTILINE)
    assert re.search(r"^X +\(N, D\) +float64 ", doc, re.MULTILINE)
    assert "Sizes, found from the arrays: D, N." in doc
    assert "exp(w[gt[s]])" in doc


def test_the_header_quotes_the_lines_of_a_text_without_its_comments():
    text = """# A line: "quoted" \\ here
x: data[N]   # what is measured
t: data[N]
w: parameter
lam: constant = 1e-4

# and its loss
loss = Sum((w*x[s] - t[s])**2, s) + lam*w**2
"""
    lines = gc.emit(gc.parse(text), target="python").splitlines()
    start = lines.index("    x: data[N]")
    assert lines[start - 1] == ""
    assert lines[start : start + 7] == [
        "    x: data[N]",
        "    t: data[N]",
        "    w: parameter",
        "    lam: constant = 1e-4",
        "",
        "    loss = Sum((w*x[s] - t[s])**2, s) + lam*w**2",
        "",
    ]
    assert "lam    number  float64  constant, 0.0001 in the model" in lines


def test_the_header_cuts_a_long_text_and_breaks_its_long_lines():
    terms = " + ".join(f"(w - {k})**2" for k in range(40))
    text = "w: parameter\n" + "".join(f"a{k} = {terms}\n" for k in range(10)) + "loss = a0 + a9\n"
    doc = gc.emit(gc.parse(text), target="python").split('"""')[1]
    assert all(len(line) <= 100 for line in doc.splitlines())
    assert "    a0 = (w - 0)**2 + (w - 1)**2" in doc
    assert " ...\n\narray" in doc


def test_a_sign_of_comments_in_a_name_of_sympy_ends_nothing():
    doc = text_of("python", Symbol("a#b") * Symbol("w"), [Symbol("w")]).split('"""')[1]
    assert "    a?b*w\n" in doc


def test_the_hash_tells_two_texts_apart():
    found = {re.search("[0-9a-f]{16}", text_of(t)).group() for t in TARGETS}
    assert len(found) == 3


def test_renamed_inputs_are_in_the_table():
    text = text_of("python", Symbol("class") ** 2 * Symbol("a\nb"), [Symbol("class"), Symbol("a\nb")])
    assert "    p0  'class'\n    p1  'a\\\\nb'\n" in text
    assert text.startswith('r"""')
    assert "def value(p0, p1):" in text


@given(st.text(max_size=60))
def test_user_text_is_harmless_in_a_docstring(name):
    for text in (quoted(name), harmless(name)):
        assert text.isascii()
        assert "\n" not in text
        assert '"' not in text
    assert "\\" not in harmless(name)
    assert len(quoted(name)) <= 80


# --- allow-list -------------------------------------------------------------------------------------------------

GOOD = '''"""A module."""

import math


def value(x):
    """Return the objective."""
    a = math.exp(x)
    return a
'''

BAD = [
    ("import math", "import os"),
    ("import math", "from math import *"),
    ("import math", "import math as np"),
    ("math.exp(x)", "open(x)"),
    ("math.exp(x)", "__import__(x)"),
    ("math.exp(x)", "math.__loader__"),
    ("math.exp(x)", "math.exp.__self__"),
    ("math.exp(x)", "x.__class__"),
    ("math.exp(x)", "x()"),
    ("math.exp(x)", "(lambda: 1)()"),
    ("math.exp(x)", "[x for x in a]()"),
    ("math.exp(x)", "'text'"),
    ("math.exp(x)", "b'bytes'"),
    ("math.exp(x)", "1j"),
    ("math.exp(x)", "f'{x}'"),
    ("math.exp(x)", "unknown"),
    ("math.exp(x)", "{x: 1}"),
    ("math.exp(x)", "(y := x)"),
    ("math.exp(x)", "math.exp(*x, **x)"),
    ("a = math.exp(x)", "del x"),
    ("a = math.exp(x)", "global a"),
    ("a = math.exp(x)", "import os"),
    ("a = math.exp(x)", "while x:\n        a = 1"),
    ("a = math.exp(x)", "with x:\n        a = 1"),
    ("a = math.exp(x)", "try:\n        a = 1\n    except x:\n        a = 2"),
    ("a = math.exp(x)", "raise x"),
    ("a = math.exp(x)", "assert x"),
    ("a = math.exp(x)", "assert x == 1, 'anything'"),
    ("a = math.exp(x)", "assert x < 1, 'planned for other sizes'"),
    ("a = math.exp(x)", "assert open == 1, 'planned for other sizes'"),
    ("a = math.exp(x)", "for a in x:\n        a = 1"),
    ("a = math.exp(x)", "class a:\n        x = 1"),
    ("a = math.exp(x)", "def open(x):\n        return x"),
    ("a = math.exp(x)", "yield x"),
    ("def value(x):", "async def value(x):"),
    ("def value(x):", "def value(x=open):"),
    ("def value(x):", "def value(x: open):"),
    ("def value(x):", "@open\ndef value(x):"),
    ("def value(x):", "def exec(x):"),
    ("return a\n", "return a\n\n\nif __name__ == '__main__':\n    value(1)\n"),
    ("return a\n", "return a\n\n\nif x:\n    import os\n"),
    ("return a\n", "return a\n\n\ndef sigmoid(x):\n    return x\n"),
    ("return a\n", "return a\n\n\nvalue(1)\n"),
    ("return a\n", "return a; import os\n"),
    ("return a\n", "return (\n"),
    ("return a\n", "return a\x00\n"),
]


def test_the_gate_opens_for_arithmetic():
    allowlist.check(GOOD, "python", {"x", "a"})


@pytest.mark.parametrize(("old", "new"), BAD, ids=[new[:30] for _, new in BAD])
def test_the_gate_stays_shut(old, new):
    assert old in GOOD
    with pytest.raises(EmissionError):
        allowlist.check(GOOD.replace(old, new), "python", {"x", "a"})


def test_the_gate_says_what_and_where():
    with pytest.raises(EmissionError, match="open in line 8") as caught:
        allowlist.check(GOOD.replace("math.exp(x)", "open(x)"), "python", {"x", "a"})
    assert "a = open(x)" in str(caught.value)


@pytest.mark.parametrize("target", TARGETS)
def test_a_changed_support_function_is_refused(target):
    name = "softplus"
    source = support.source(target, name)
    head = '"""A module."""\n\nimport math\nimport sys\n\nimport numpy as np\nfrom numba import njit\n\n\n'
    allowlist.check(head + source, target, ())
    with pytest.raises(EmissionError, match="changed support function"):
        allowlist.check(head + source.replace("return", "return 2*"), target, ())


NAMES = st.text(max_size=12) | st.from_regex(r"[A-Za-z_.()\n;#\"'\\]{1,12}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=3, max_size=3, unique=True), st.sampled_from(TARGETS))
def test_every_name_passes_the_gate_or_is_refused(names, target):
    """The three places of names in the lecture's model, from hand, so that nothing before emission refuses any."""
    builder = Builder()
    axis = Axis(Size.of(names[2]))
    a, b = builder.input(names[0], (axis,)), builder.input(names[1], ())
    f = builder.reduce("sum", builder.apply("exp", a * b), [axis])
    inputs = {names[0]: Input(names[0], (axis.size,)), names[1]: Input(names[1])}
    graph = Graph(builder, inputs, {"value": f}, {}, {axis: names[2]}, objective=names[0])
    text = module.render(graph, target)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_gate_is_quick():
    lines = [f"    v{k} = v{k - 1} + 2*math.sin(v{k - 2})*x\n" for k in range(2, 20_000)]
    text = GOOD.replace("    return a\n", "    v0 = x\n    v1 = x\n" + "".join(lines) + "    return a\n")
    start = time.thread_time()
    allowlist.check(text, "python", {"x", "a", *(f"v{k}" for k in range(20_000))})
    assert time.thread_time() - start < 3  # some 300,000 nodes


# --- layout -----------------------------------------------------------------------------------------------------

EXPRESSIONS = st.recursive(
    st.sampled_from(["alpha", "beta1", "3.25", "x[:, None]", "w.T"]),
    lambda e: st.builds(str.format, st.sampled_from(["({} + {})", "np.where({}, {}, 0)", "{}*{}"]), e, e),
    max_leaves=25,
)
STATEMENTS = [
    "a = {}",
    "a += {}",
    "return {}, (b, c)",
    "np.add.at(a, (b, c), {})",
    "if {} > 0:",
    "a = h[:, {}].transpose(0, 2, 1)",
    "a[minimum(maximum(b[n], 0), P - 1)] += {}",
]


def test_a_line_is_broken_between_arguments_before_it_is_broken_inside_of_one():
    condition, taken = " | ".join(["alpha[:, None]"] * 4), "beta*(gamma + delta)"
    found = list(wrapped(f"    p = np.where({condition}, {taken}, 0)", 96))
    assert found == ["    p = np.where(", f"        {condition}, {taken},", "        0", "    )"]
    found = list(wrapped(f"    p = np.where({condition}, {taken}, 0)", 90))
    assert found == ["    p = np.where(", f"        {condition},", f"        {taken}, 0", "    )"]


@given(EXPRESSIONS, st.sampled_from(STATEMENTS))
def test_a_broken_line_means_the_same(expression, statement):
    line = statement.format(expression)
    tail = "\n        pass" if line.endswith(":") else ""
    whole = ast.dump(ast.parse(f"def f():\n    {line}{tail}"))
    pieces = list(wrapped(f"    {line}"))
    assert ast.dump(ast.parse("def f():\n" + "\n".join(pieces) + tail)) == whole
    assert max(map(len, pieces)) <= WIDTH


def test_a_long_subscript_before_a_call_is_broken_in_its_own_brackets():
    line = f"a = h[:, {', '.join(f'index_{k}[:, None]' for k in range(9))}].transpose(0, 2, 1)"
    pieces = [piece for part in wrapped(line, WIDTH - 4) for piece in wrapped(f"    {part}")]  # a function's body
    assert max(map(len, pieces)) <= WIDTH
    assert ast.dump(ast.parse("def f():\n" + "\n".join(pieces))) == ast.dump(ast.parse(f"def f():\n    {line}"))


PLATE = "minimum(maximum(label_of_a_plate[n], 0), P - 1)"


@pytest.mark.parametrize(
    "target", [f"a[{PLATE}] -=", f"a[{PLATE} + {PLATE} + n] +=", ", ".join(f"name{k}" for k in range(20)) + " ="]
)
def test_a_line_is_broken_whatever_it_assigns_to(target):
    line = f"{target} {' + '.join(['alpha*beta'] * 9)}"
    pieces = list(wrapped(f"    {line}"))
    assert max(map(len, pieces)) <= WIDTH
    assert ast.dump(ast.parse("def f():\n" + "\n".join(pieces))) == ast.dump(ast.parse(f"def f():\n    {line}"))


def test_a_string_is_never_broken():
    operands = ", ".join(f"operand_{k}" for k in range(9))
    (first, *rest) = wrapped(f'    a = np.einsum("ab,bc,cd,de,ef,fg,gh,hi,ij->aj", {operands}, optimize=True)')
    assert first == "    a = np.einsum("
    assert '"ab,bc,cd,de,ef,fg,gh,hi,ij->aj"' in rest[0]


def test_comments_stand_in_a_column():
    assert list(commented([("a = 1", "one"), ("long = 2", "two"), ("b = 3", "")])) == [
        "a = 1     # one",
        "long = 2  # two",
        "b = 3",
    ]


# --- comments ---------------------------------------------------------------------------------------------------

SCORES = """
    x: data[N, D]
    gt: labels[N]
    W: parameter[D, C]
    z[n, i] = Sum(x[n, j]*W[j, i], j)
    p[n, i] = softmax(z[n, i], i)
    loss = -Sum(log(p[n, gt[n]]), n)/N
"""
GROUPS = """
    y: data[N]
    g: labels[N]
    a: parameter[G]
    s: parameter
    t: parameter
    m: parameter
    loss = Sum((y[n] - a[g[n]])**2, n)/(2*exp(2*s)) + N*s + Sum((a[i] - m)**2, i)/(2*exp(2*t)) + G*t + m**2/2
"""
WORDS = re.compile(r"(?<![\w/])[A-Za-z_]\w*")
OPERATIONS = {"log", "exp", "if", "else", "added", "at", "forward", "backward"}


def lines_of(text: str, function: str) -> list[tuple[str, str]]:
    """The lines of an emitted function, and the comments beside them."""
    body = re.search(rf"\ndef {function}\(.*?(?=\n\n\n)", text, re.DOTALL)[0]
    return [(code.strip(), comment.strip()) for code, _, comment in (line.partition("#") for line in body.splitlines())]


@pytest.mark.parametrize("function", ["value", "value_and_grad"])
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("model", [SCORES, GROUPS])
def test_comments_name_what_their_function_has(model: str, target: str, function: str) -> None:
    text = gc.emit(gc.parse(model), target=target)
    _, header, _ = text.split('"""', 2)
    known = {*WORDS.findall(header), *OPERATIONS}
    for code, comment in lines_of(text, function):
        known.update(WORDS.findall(code))
        words = set(WORDS.findall(re.sub(r"sum_\w+|max_\w+|df/d", "", comment)))
        assert words <= known, comment


def test_comments_have_places_in_the_order_of_indices() -> None:
    comments = [comment for _, comment in lines_of(gc.emit(gc.parse(SCORES), target="numpy"), "value_and_grad")]
    assert any("added at [n, gt[n]]" in comment for comment in comments)


def test_comments_have_no_functions_but_those_of_mathematics() -> None:
    text = "x: data[N]\na: parameter[K]\nloss = Mean(logsumexp(a[k]*x[n], k)*x[n], n)"
    comments = [comment for _, comment in lines_of(gc.emit(gc.parse(text), target="numpy"), "value_and_grad")]
    assert any("log(" in comment and "/N" in comment for comment in comments)
    assert not any(word in comment for comment in comments for word in ("float(", "logtotal("))


def test_comments_of_matrices_are_about_the_matrix() -> None:
    A, t = MatrixSymbol("A", N, N), MatrixSymbol("t", N, 1)
    found = dict(lines_of(gc.emit((t.T * A.I * t)[0, 0] + (A.I)[0, 1], wrt=A, target="numpy"), "value"))
    assert "inverse(A)[" in next(comment for code, comment in found.items() if "np.linalg.inv" in code)
    assert "solve(A.T, t[j, 0])[i]" in next(comment for code, comment in found.items() if "np.linalg.solve" in code)


# --- indices ----------------------------------------------------------------------------------------------------


def test_an_index_that_is_computed_of_labels_is_computed_once(tmp_path: Path) -> None:
    n, P = symbols("n", integer=True), symbols("P", integer=True, positive=True)
    y, label, off, s = IndexedBase("y", (N,)), IndexedBase("label", (N,)), IndexedBase("off", (P,)), Symbol("s")
    place = Min(Max(label[n], 0), P - 1)
    text = gc.emit(Sum((y[n] - off[place] * exp(s)) ** 2, (n, 0, N - 1)), wrt=[off, s], target="numba")
    gradient = text[text.index("def value_and_grad(") : text.index("def grad(")]
    assert gradient.count("minimum(") == 1 + sum("minimum(" in line.partition("#")[2] for line in gradient.splitlines())
    plates = load_uncompiled(text, tmp_path / "plates.py")
    found = plates.value_and_grad(np.array([1.0, 2.0]), 0.0, np.array([-3, 0, 7]), np.array([0.5, 1.5, 2.5]))
    assert found[0] == 0.75
    np.testing.assert_allclose(found[1][0], [0.0, -1.0])


# --- problem of the self-check ----------------------------------------------------------------------------------


def test_the_problem_has_room_for_every_axis_and_label():
    small, large = Size.of("K"), Size.of("N")
    builder = Builder()
    table, label = Axis(small), Axis(large)
    window = Axis(large - small * 2)
    read = builder.read(builder.input("b", (table,)), (builder.input("gt", (label,), "int"),))
    total = builder.reduce("sum", read, [label]) + builder.reduce("sum", builder.iota(window), [window])
    inputs = {"b": Input("b", (small,)), "gt": Input("gt", (large,), "int")}
    (_, (k,), none), (_, (n,), labels) = problem(Graph(builder, inputs, {"value": total}))
    assert n - 2 * k >= 1
    assert (none, labels) == (0, min(k, 3))


# --- whole modules ----------------------------------------------------------------------------------------------


def check(text: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    path.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, "-I", str(path), *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["python", "numpy"])
def test_check_prints_a_table(target, dtype, tmp_path):
    found = check(text_of(target, dtype=dtype), tmp_path / "m.py", "--check")
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^w +\d+ +0 +\d\.\de-\d\d$", found.stdout, re.MULTILINE)
    assert "the derivatives agree" in found.stdout


def test_check_gives_numbers_for_numbers():
    """An array of no axes is no number to Numba, where a module of float32 rounds its arguments."""
    number, label, array = draw((("w", (), 0), ("g", (), 3), ("x", (2,), 0)), 0.2, 0.9, np.float32)
    assert isinstance(number, float)
    assert isinstance(label, int | np.integer)
    assert array.dtype == np.float32


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_check_finds_a_wrong_component(target, tmp_path):
    text = text_of(target, LECTURE, [x, w1, w0])
    spoilt = text.replace("dw1 = x*a ", "dw1 = x*a*1.001")
    assert spoilt != text
    found = check(spoilt, tmp_path / "m.py", "--check")
    assert found.returncode == 1
    assert "DISAGREE" in found.stdout


def test_a_module_without_options_says_how_to_use_it(tmp_path):
    found = check(text_of("python"), tmp_path / "m.py")
    assert found.returncode == 2
    assert "--check" in found.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_value_alone_needs_no_backward_half(target):
    axis = Axis(Size.of("N"))
    builder = Builder()
    v = builder.input("v", (axis,))
    graph = Graph(builder, {"v": Input("v", (axis.size,))}, {"value": builder.reduce("sum", v * v, [axis])})
    text = module.render(graph, target)
    assert "value_and_grad" not in text
    assert "def value(v):" in text


def test_float32_stays_float32(tmp_path):
    from tests.zoo import load

    emitted = load(text_of("numpy", dtype="float32"), tmp_path / "m.py")
    arrays = np.ones(3), np.ones((2, 3)), np.array([0, 2])
    names = re.search(r"def value_and_grad\((.*)\)", text_of("numpy")).group(1).split(", ")
    given = dict(zip(("w", "X", "gt"), arrays, strict=True))
    value, gradient = emitted.value_and_grad(*(given[name] for name in names))
    assert gradient.dtype == np.float32
    assert np.asarray(value).dtype == np.float32


def test_users_names_that_look_like_numbers_are_kept():
    text = text_of("numpy", Symbol("l") * Symbol("O") ** 2, [Symbol("O"), Symbol("l")])
    assert "def value(O, l):" in text
    assert text.startswith("# ruff: noqa: E741")


def test_strict_arithmetic_is_not_rearranged():
    assert "reassoc" in text_of("numba")
    assert "reassoc" not in text_of("numba", strict=True)
    assert "nnan" not in text_of("numba")


def test_the_width_of_a_block_has_one_term_for_each_size():
    text = """
        x: data[N, 3]
        c: parameter[K, 3]
        a: parameter[K]
        d[n, k] = Sum((x[n, j] - c[k, j])**2, j)
        loss = Sum(logsumexp(a[k] - d[n, k], k), n)
    """
    width = re.findall(r"samples_in_block\((.*)\)$", gc.emit(gc.parse(text), target="numba"), re.MULTILINE)[-1]
    names = [re.sub(r"^\d+\*?", "", term) for term in width.split(" + ")]
    assert sorted(names) == ["", "K"], width
