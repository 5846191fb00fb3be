"""A model as text: what is printed is parsed to the same model, and what cannot be written says so."""

import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, Lambda, MatrixSymbol, Sum, Symbol, exp, log, sqrt, symbols

import gradcompile as gc
from gradcompile.compiler.specification import model_of
from gradcompile.errors import ParseError, UnsupportedError
from gradcompile.interpret import evaluate
from gradcompile.language import FUNCTIONS, parse_expression
from tests import hostile
from tests.conftest import readable
from tests.generated import Generator
from tests.zoo import ZOO

MODELS = sorted((Path(__file__).parent.parent / "examples" / "models").glob("*.model"))
N, D = symbols("N D", integer=True, positive=True)
s, i, j, k = symbols("s i j k", integer=True)
x, w, b = symbols("x w b", real=True)


def again(model):
    """Return what the parser makes of a model's text, after a look at whether its text is the same text."""
    text = model.text
    parsed = gc.parse(text, loss=model.loss)
    assert parsed.text == text
    return parsed


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_model_comes_back(path):
    assert again(gc.load(path)) == gc.load(path)


CHUNK = 125


def come_back(seeds, deepest):
    """Check that models come back; return how many were models (a few are refused: gamma(0) is no number)."""
    found = 0
    for seed in seeds:
        try:
            model = gc.parse(Generator(seed, seed % (deepest + 1)).model())
        except ParseError:
            continue
        assert again(model) == model, f"the model of seed {seed}"
        found += 1
    return found


def test_an_index_that_is_hidden_twice_keeps_three_names():
    """SymPy lets a sum take the letter of one around it; a text that spells both apart would come back as another."""
    model = gc.parse("b: parameter[C]\nt: data[N]\nloss = Sum(Sum(t[k]*Sum(2*b[k], k), k)*b[k], k, 1, 2)")
    assert {str(bound) for bound in sympy.preorder_traversal(model.objective) if bound.is_Symbol} >= {"k", "k_2", "k_3"}
    assert again(model) == model


@pytest.mark.one_in(4)
@pytest.mark.parametrize("chunk", range(8))
def test_generated_model_comes_back(chunk):
    assert come_back(range(chunk * CHUNK, (chunk + 1) * CHUNK), deepest=1) > 0.95 * CHUNK


@pytest.mark.slow
def test_large_generated_model_comes_back():
    assert come_back(range(2000), deepest=4) > 1900


VARIABLE = sorted(text for text in hostile.LEGAL if "x" in text or text == "sin")


@pytest.fixture
def deep():
    """Let SymPy compare expressions that are nested deeply, which it does by recursion."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize("text", VARIABLE, ids=readable)
def test_legal_text_at_the_limits_comes_back(text, deep):
    model = parse_expression(text)
    assert again(model).objective == model.objective


@pytest.mark.parametrize("word", FUNCTIONS)
def test_every_function_comes_back(word):
    operands = ", ".join("xy"[: FUNCTIONS[word].fewest])
    model = parse_expression(f"2*{word}({operands})*x + 1/{word}({operands}) - {word}({operands})")
    assert again(model).objective == model.objective
    expected = "max(0, x)" if word == "relu" else f"{word}({operands})"
    assert expected in model.text


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        (1 + exp(w * x + b), "exp(b + w*x) + 1"),
        (-(x**2) / 3 + sqrt(w), "sqrt(w) - x**2/3"),
        (x ** sympy.Rational(-1, 2) / w, "1/w*x**(-1/2)"),
        ((x + 1) ** -2 * 0.5, "0.5*(x + 1)**(-2)"),
        (1 / (1 + exp(-x)), "sigmoid(x)"),
        (log(1 + exp(x)), "softplus(x)"),
        (
            sympy.Piecewise((x, (x > 1) & (w < 2)), (w, x < 0), (b, True)),
            "where(x > 1 and w < 2, x, where(x < 0, w, b))",
        ),
    ],
    ids=readable,
)
def test_expression_reads_like_this(objective, line):
    printed = model_of(objective, [x, w, b][: 1 + len(objective.free_symbols) // 2], None, None, None).text
    assert printed.splitlines()[-1] == f"loss = {line}"


@pytest.mark.parametrize(
    "number", [2**53, 2**53 + 1, 2**70, 10**20, -3 * 10**40, 10**15 + 1, sympy.Rational(2**60 + 1, 3**50)]
)
def test_long_numbers_stay_exact(number):
    model = model_of(number * x + w, [x, w], None, None, None)
    assert again(model).objective == model.objective


def test_ranges_are_written_where_the_parser_could_not_infer_them():
    v = IndexedBase("v", shape=(N,))
    whole, part, free = (Sum(v[i] ** 2, (i, 0, N - 1)), Sum(v[i], (i, 1, N - 2)), Sum(i**2 * w, (i, 0, 3)))
    text = model_of(whole + part + free, [v, w], None, None, None).text
    assert "Sum(v[i]**2, i)" in text
    assert "Sum(v[i], i, 1, N - 2)" in text
    assert "Sum(w*i**2, i, 0, 3)" in text or "Sum(i**2*w, i, 0, 3)" in text


def test_index_with_the_letter_of_an_outer_one_gets_another():
    v = IndexedBase("v", shape=(N,))
    nested = Sum(v[i] * Sum(v[i] ** 2, (i, 0, N - 1)), (i, 0, N - 1))
    assert "Sum(v[i]*Sum(v[i_2]**2, i_2), i)" in model_of(nested, [v], None, None, None).text


def test_name_of_the_users_is_never_called():
    model = gc.parse("sigmoid: parameter\ne: parameter\nsqrt: parameter\nloss = sigmoid/(1 + exp(-e)) + sqrt**(1/2)")
    assert again(model) == model
    model = gc.parse("exp: parameter\nloss = e**(exp + 1) + sigmoid(exp)")
    assert again(model) == model
    log = Symbol("log")
    with pytest.raises(UnsupportedError, match="log is a name of the model, and a function in it"):
        print(model_of(sympy.log(log + w), [log], None, None, None).text)


def test_another_loss_keeps_its_name():
    model = gc.parse("w: parameter\nloss = w**2\nquartic = w**4 + loss\n", loss="quartic")
    assert again(model) == model
    assert model.text.endswith("loss = w**2\nquartic = w**4 + loss\n")


def test_parts_that_sympy_takes_of_symbols_are_written_as_real_numbers():
    z = Symbol("z")  # SymPy, which does not know that z is real, takes Abs(exp(i*z)) and its like apart
    model = model_of(sympy.re(z) ** 2 + sympy.im(z) + 3 * sympy.conjugate(z), [z], None, None, None)
    assert gc.compile(again(model)).value(z=2.0) == gc.compile(model).value(z=2.0) == 10


def test_columns_have_one_value_a_sample():
    objective = log(1 + exp(-x * w)) + w**2
    model = model_of(objective, [w], [x], None, None)
    assert model.text == "x: column\nw: parameter\n\nloss = w**2 + softplus(-w*x)\n"
    ours, theirs = (gc.compile(m) for m in (model, again(model)))
    assert ours.value(x=[1.0, 2.0], w=0.5) == theirs.value(x=[1.0, 2.0], w=0.5)


INDEXED = [
    pytest.param(row, notation, id=f"{row.name}-{notation}")
    for row in ZOO
    for notation in row.forms
    if notation != "matrix"
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("row", "notation"), INDEXED)
def test_model_made_in_python_comes_back_with_the_same_value(row, notation):
    form = row.forms[notation]
    model = model_of(form.objective, list(form.wrt), list(form.data), dict(form.define), None)
    parsed = again(model)
    ours, theirs = (gc.compile(m) for m in (model, parsed))
    values = {name: np.asarray(value) for name, value in form.inputs.items() if name in ours.arguments}
    assert set(theirs.arguments) == set(ours.arguments)
    expected, found = (evaluate(m.graph, values) for m in (ours, theirs))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12 * np.abs(value).max())


def test_outputs_are_definitions():
    v = IndexedBase("v", shape=(N,))
    model = model_of(Sum(v[i] ** 2, (i, 0, N - 1)), [v], None, None, {"p": Lambda(k, exp(v[k])), "q": v[0]})
    text = model.text
    assert "p[k] = exp(v[k])\n" in text
    assert "q = v[0]\n" in text
    assert set(gc.parse(text).outputs) == {"p", "q"}


def test_an_objective_that_is_a_definition_is_the_loss_all_the_same():
    w, q = Symbol("w"), Symbol("q")
    model = model_of(q, [w], None, {q: w**2 + 1}, None)
    assert model.text.endswith("loss = q\n")
    assert gc.compile(again(model)).value(w=2.0) == 5


INJECTED = Symbol("x\nimport os")


@pytest.mark.parametrize(
    ("objective", "wrt", "said"),
    [
        (
            Symbol("x\nimport os") ** 2,
            [Symbol("x\nimport os")],
            r"the name 'x\nimport os' is not one of the text language",
        ),
        (Symbol("and"), [Symbol("and")], "the name 'and' is not one"),
        (MatrixSymbol("X", N, N)[0, 0], [MatrixSymbol("X", N, N)], "X is a matrix"),
        (sympy.besselj(0, x), [x], "the text language has no besselj"),
        (Sum(IndexedBase("v", shape=(N**2,))[i], (i, 0, N - 1)), [IndexedBase("v", shape=(N**2,))], "the length N**2"),
    ],
    ids=readable,
)
def test_what_the_language_cannot_say_is_an_error(objective, wrt, said):
    with pytest.raises(UnsupportedError) as caught:
        print(model_of(objective, wrt, None, None, None).text)
    assert said in str(caught.value)


def test_compiled_model_has_its_text():
    assert gc.compile(1 + exp(w * x), wrt=w).text == "w: parameter\nx: constant\n\nloss = exp(w*x) + 1\n"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [("2 < 3.5", True), ("0*w[d] >= 3", False), ("not 2 < 3", False), ("2 < 3 and w[d] > 0", True), ("2 == 3", False)],
)
def test_comparisons_of_numbers_are_printed_and_computed(condition, holds):
    """SymPy divides by zero when it rearranges such a comparison, as it does to print a sum that has one."""
    text = f"w: parameter[D]\nq = Sum(where({condition}, w[d], 7*w[d]), d)\nloss = q**2 + w[0]"
    model = gc.compile(gc.parse(text))
    assert model.value(w=[1.0, 2.0]) == (9.0 if holds else 441.0) + 1.0
    assert gc.parse(model.text)
    assert gc.emit(gc.parse(text), target="numba")


@pytest.mark.parametrize("loss", ["Sum(w[d]**2, d) + b*Sum(y[n], n)", "b*Sum(q[n, d], n, d) + Sum(w[d]*y[n], n, d)"])
def test_a_definition_without_its_index_tells_the_range(loss):
    text = f"y: data[N]\nw: parameter[D]\nb: parameter\nq[n, d] = b**2 + 0*y[n] + 0*w[d]\nloss = {loss}"
    parsed = gc.parse(text)
    assert "q[n, d] = b**2 + 0*y[n] + 0*w[d]\n" in parsed.text
    given = {"y": [1.0, 2.0], "w": [3.0, 4.0, 5.0], "b": 3.0}
    model, made = gc.compile(parsed), gc.compile(again(parsed))
    assert made.value(**given) == model.value(**given)
    assert made.predict("q", **given).tolist() == [[9.0] * 3] * 2
