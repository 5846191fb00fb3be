"""The text language: what a text means, checked against SymPy by hand, and what it refuses, with the place."""

import gc
import math
import random
import sys
import time

import numpy as np
import pytest
import sympy
from sympy import Abs, IndexedBase, Max, Min, Piecewise, Product, Rational, Sum, Symbol, erf, exp, log, sqrt

from gradcompile.compiler import compile as compile_model
from gradcompile.errors import ModelError, ParseError
from gradcompile.language import Limits, load, parse, parse_expression
from gradcompile.model import MaxOver, MinOver
from tests import hostile
from tests.conftest import readable

N, D, C, K = sympy.symbols("N D C K", integer=True, positive=True)
s, i, j, k = sympy.symbols("s i j k", integer=True)

SOFTMAX = """
# softmax classifier
x:   data[N, D]
gt:  labels[N]            # integers, used as an index
W:   parameter[D, C]
b:   parameter[C]
lam: constant = 1e-4

y[s, i] = Sum(x[s, j]*W[j, i], j) + b[i]
p[s, i] = exp(y[s, i]) / Sum(exp(y[s, k]), k)
loss    = -Sum(log(p[s, gt[s]]), s) + lam*(Sum(W[j, i]**2, j, i) + Sum(b[i]**2, i))
"""


def real(names):
    return [Symbol(name, real=True) for name in names.split()]


def settled(expr):
    """Let SymPy bring an expression into its usual form, so that two of them can be compared."""
    return expr.func(*map(settled, expr.args)) if expr.args else expr


def number(expr, **values):
    """Evaluate an expression in scalars to a float, by SymPy and with 30 digits."""
    return float(sympy.N(expr.subs({v: values[v.name] for v in expr.free_symbols}), 30))


def refusal(text, **options):
    """Return the error of a model file that is refused."""
    with pytest.raises(ParseError) as caught:
        parse(text, **options)
    return caught.value


def column(error):
    """Return the column, counted from 0, of the caret in a message."""
    lines = str(error).split("\n")
    return lines[2].index("^") - 4


# What a model file means


def test_the_softmax_classifier_is_the_one_written_by_hand():
    model = parse(SOFTMAX)
    x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
    W, b = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,))
    y, p, lam = IndexedBase("y", shape=(N, C)), IndexedBase("p", shape=(N, C)), Symbol("lam", real=True)
    assert model.wrt == (W, b)
    assert model.inputs == (x, gt, lam)
    assert dict(model.defaults) == {"lam": 1e-4}
    assert list(model.definitions) == [y[s, i], p[s, i]]
    assert settled(model.definitions[p[s, i]]) == exp(y[s, i]) / Sum(exp(y[s, k]), (k, 0, C - 1))
    assert settled(model.definitions[y[s, i]]) == Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]
    squares = Sum(W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)) + Sum(b[i] ** 2, (i, 0, C - 1))
    assert settled(model.objective) == -Sum(log(p[s, gt[s]]), (s, 0, N - 1)) + lam * squares
    assert model.source == SOFTMAX
    assert not model.single
    assert model.data == ()


def test_definitions_are_outputs_over_their_indices():
    model = parse(SOFTMAX + "rmse = sqrt(loss/N)\n")
    p, rmse = IndexedBase("p", shape=(N, C)), Symbol("rmse", real=True)
    assert set(model.outputs) == {"y", "p", "rmse"}
    assert model.outputs["p"] == sympy.Lambda((s, i), p[s, i])
    assert model.outputs["rmse"] == rmse
    assert model.objective in model.definitions  # used by another definition, so it keeps its name


def test_a_definition_may_stand_above_what_it_uses():
    model = parse("loss = c + a\na = b*2\nb = w**2\nc = a + b\nw: parameter\n")
    assert [str(key) for key in model.definitions] == ["b", "a", "c"]


def test_another_definition_can_be_the_loss():
    text = "w: parameter\nloss = w**2\nquartic = w**4\n"
    (w,) = real("w")
    assert parse(text, loss="quartic").objective == w**4
    assert set(parse(text, loss="quartic").outputs) == {"loss"}


FOLDS = {Sum: sum, Product: math.prod, MaxOver: max, MinOver: min}


def evaluate(expr, model, values):
    """Evaluate an expression of a model by loops over small arrays: an oracle that knows nothing of the parser."""
    if isinstance(expr, sympy.Indexed):
        places = tuple(round(evaluate(index, model, values)) for index in expr.indices)
        for key, body in model.definitions.items():
            if getattr(key, "base", None) == expr.base:
                return evaluate(body, model, values | {q.name: p for q, p in zip(key.indices, places, strict=True)})
        assert min(places) >= 0
        return float(values[expr.base.name][places])
    if isinstance(expr, sympy.Symbol):
        return values[expr.name]
    if type(expr) in FOLDS:
        return FOLDS[type(expr)](terms(expr.function, list(expr.limits), model, values))
    if not expr.args:
        return float(expr)
    return float(expr.func(*(evaluate(part, model, values) for part in expr.args)))


def terms(body, limits, model, values):
    """Yield the terms of a sum; the last limit is the outermost loop."""
    if not limits:
        yield evaluate(body, model, values)
        return
    *inner, (index, low, high) = limits
    for value in range(round(evaluate(low, model, values)), round(evaluate(high, model, values)) + 1):
        yield from terms(body, inner, model, values | {index.name: value})


REDUCTIONS = [
    ("Sum(v[i]**2, i)", lambda v, m: (v**2).sum()),
    ("Sum(v[i], i, 1, N - 1)", lambda v, m: v[1:].sum()),
    ("Sum(v[i]*v[i + 1], i, 0, N - 2)", lambda v, m: (v[:-1] * v[1:]).sum()),
    ("Sum(v[N - 1 - i]*i, i, 0, N - 1)", lambda v, m: (v[::-1] * np.arange(len(v))).sum()),
    ("Product(v[i] + 2, i)", lambda v, m: (v + 2).prod()),
    ("Mean(v[i], i)", lambda v, m: v.mean()),
    ("Mean(v[i], i, 1, 3)", lambda v, m: v[1:4].mean()),
    ("Mean(m[i, j], i, j)", lambda v, m: m.mean()),
    ("Sum(v[i]*v[j], i, j, 0, i)", lambda v, m: np.tril(np.outer(v, v)).sum()),
    ("Sum(m[i, j]*(i - j)**2, i, j)", lambda v, m: (m * np.subtract.outer(range(4), range(3)) ** 2).sum()),
    ("Sum(Sum(v[i], i)*v[i], i)", lambda v, m: v.sum() ** 2),
    ("Sum(Sum(m[i, j]*v[i], i)*Max(v[i], i), j)", lambda v, m: (m.T @ v).sum() * v.max()),
    ("Max(Min(m[i, j], j), i, 1, 2)", lambda v, m: m.min(axis=1)[1:3].max()),
    ("Sum(v[g[k]]*m[g[k] + 1, 2], k)", lambda v, m: (v[[2, 0, 2]] * m[[3, 1, 3], 2]).sum()),
    ("logsumexp(v[i], i)", lambda v, m: np.log(np.exp(v).sum())),
    ("Sum(q[i]*i, i)", lambda v, m: (np.exp(v) / np.exp(v).sum() * np.arange(4)).sum()),
]


@pytest.mark.parametrize(("text", "by_numpy"), REDUCTIONS, ids=[text for text, _ in REDUCTIONS])
def test_reductions_run_over_the_axes_they_index(text, by_numpy):
    head = "v: data[N]\nm: data[N, 3]\ng: labels[K]\nw: parameter\nq[i] = softmax(v[i], i)\n"
    model = parse(head + f"loss = {text}")
    v, m = np.array([0.3, -1.2, 0.7, 1.9]), np.arange(12.0).reshape(4, 3) - 5
    values = {"v": v, "m": m, "g": np.array([2, 0, 2]), "N": 4, "K": 3, "w": 0.5}
    assert evaluate(model.objective, model, values) == pytest.approx(by_numpy(v, m), rel=1e-12)


def test_extremes_run_over_an_index():
    model = parse("v: parameter[N]\nloss = Max(v[i], i) - Min(v[i]**2, i, 1, N - 1)")
    v = IndexedBase("v", shape=(N,))
    largest, smallest = model.objective.atoms(MaxOver) - model.objective.atoms(MinOver), model.objective.atoms(MinOver)
    assert [m.args for m in largest] == [(v[i], sympy.Tuple(i, 0, N - 1))]
    assert [m.args for m in smallest] == [(v[i] ** 2, sympy.Tuple(i, 1, N - 1))]


def test_labels_gather_and_affine_indices_shift():
    model = parse(
        "u: labels[N]\ng: labels[N]\nr: data[N]\nU: parameter[A, K]\nV: parameter[B, K]\na: parameter[P]\n"
        "loss = Sum((r[n] - Sum(U[u[n], k]*V[g[n], k], k))**2, n) + Sum(r[n]*a[k]*r[2*n - k + 1], n, 2, 3, k)"
    )
    rng = np.random.default_rng(1)
    arrays = {"U": rng.normal(size=(3, 2)), "V": rng.normal(size=(4, 2)), "a": rng.normal(size=2)}
    arrays |= {"r": rng.normal(size=9), "u": rng.integers(0, 3, 9), "g": rng.integers(0, 4, 9)}
    misfit = arrays["r"] - (arrays["U"][arrays["u"]] * arrays["V"][arrays["g"]]).sum(axis=1)
    shifted = sum(arrays["r"][t] * arrays["a"][q] * arrays["r"][2 * t - q + 1] for t in (2, 3) for q in (0, 1))
    values = arrays | {"N": 9, "A": 3, "B": 4, "K": 2, "P": 2}
    assert evaluate(model.objective, model, values) == pytest.approx((misfit**2).sum() + shifted, rel=1e-12)


def test_an_index_gets_its_size_from_where_its_definition_is_used():
    model = parse("v: parameter[M]\nx: data[N]\nh[i] = Sum(x[i + k], k, 0, 2)\nloss = Sum(h[i]*v[i], i)")
    (key,) = model.definitions
    assert key.base.shape == (Symbol("M", integer=True, positive=True),)


def test_sizes_are_numbers_as_well():
    model = parse("v: parameter[3]\nx: data[N, 3]\nloss = Sum(x[s, j]*v[j], s, j)/N")
    assert model.objective.has(N)
    assert (j, 0, 2) in [tuple(limit) for limit in next(iter(model.objective.atoms(Sum))).limits]


def test_an_inner_index_hides_an_outer_one():
    model = parse("v: parameter[N]\nx: data[K]\nloss = Sum(v[i]*Sum(x[i]**2, i), i)")
    values = {"v": np.array([1.0, 2.0]), "x": np.array([3.0, 4.0, 5.0]), "N": 2, "K": 3}
    assert evaluate(model.objective, model, values) == 3 * 50


def test_a_condition_chooses():
    (x, y) = real("x y")
    model = parse_expression("where(x < 1 and not (y >= 2 or x == y), x, -y)")
    by_hand = Piecewise((x, (x < 1) & ~((y >= 2) | sympy.Eq(x, y))), (-y, True))
    for a, b in [(0, 0), (0, 1), (0, 3), (2, 1)]:
        assert number(model.objective, x=a, y=b) == number(by_hand, x=a, y=b)


def test_constants_may_be_computed():
    model = parse("w: parameter\na: constant = 1/3\nb: constant = -2*pi\nc: constant = sqrt(2)\nloss = a*b*c*w")
    assert dict(model.defaults) == pytest.approx({"a": 1 / 3, "b": -2 * math.pi, "c": math.sqrt(2)}, rel=1e-15)


def test_a_formula_goes_on_inside_brackets_and_ends_of_lines_may_be_of_any_system():
    (w,) = real("w")
    assert parse("w: parameter\r\n\r\n# note\r\nloss = (w\r\n  + 1 # one\r\n)**2\r\n").objective == (w + 1) ** 2


def test_a_comment_may_be_in_any_language():
    assert parse("w: parameter  # Gewicht, 重み, größe\nloss = w").objective == Symbol("w", real=True)


# What an expression alone means


@pytest.mark.parametrize(
    ("text", "by_hand"),
    [
        ("1 + exp(w*x + b)", lambda w, x, b: 1 + exp(w * x + b)),
        ("-x**2", lambda w, x, b: -(x**2)),
        ("2**-x**2", lambda w, x, b: 2 ** (-(x**2))),
        ("x**b**w", lambda w, x, b: x ** (b**w)),
        ("x - b - w", lambda w, x, b: x - b - w),
        ("x/b/w", lambda w, x, b: x / b / w),
        ("x/(b/w)", lambda w, x, b: x * w / b),
        ("x/b*w", lambda w, x, b: x * w / b),
        ("- - x + +b", lambda w, x, b: x + b),
        ("-(x - b)", lambda w, x, b: b - x),
        ("x*2*3/4", lambda w, x, b: Rational(3, 2) * x),
        ("1/3*x + 1/6", lambda w, x, b: x / 3 + Rational(1, 6)),
        ("2*(x + b)", lambda w, x, b: 2 * x + 2 * b),
        ("x**(1/2)", lambda w, x, b: sqrt(x)),
        ("e**x + pi", lambda w, x, b: exp(x) + sympy.pi),
        ("x*10**400/10**399", lambda w, x, b: 10 * x),
        (".5*x + 1.", lambda w, x, b: 0.5 * x + 1.0),
        ("0*x + b", lambda w, x, b: b),
        ("expm1(x) + log1p(b)", lambda w, x, b: exp(x) - 1 + log(1 + b)),
        ("sigmoid(x)", lambda w, x, b: 1 / (1 + exp(-x))),
        ("sigmoid(-x)", lambda w, x, b: 1 / (1 + exp(x))),
        ("softplus(x)", lambda w, x, b: log(1 + exp(x))),
        ("relu(x)", lambda w, x, b: Max(x, 0)),
        ("gelu(x)", lambda w, x, b: x * (1 + erf(x / sqrt(2))) / 2),
        ("hypot(x, b)", lambda w, x, b: sqrt(x**2 + b**2)),
        ("cbrt(x)", lambda w, x, b: sympy.sign(x) * Abs(x) ** Rational(1, 3)),
        ("max(x, b, 0.25) + min(x, w)", lambda w, x, b: Max(x, b, 0.25) + Min(x, w)),
        ("mod(x, b)", lambda w, x, b: sympy.Mod(x, b)),
        ("lgamma(x) + gamma(b) + digamma(w)", lambda w, x, b: sympy.loggamma(x) + sympy.gamma(b) + sympy.digamma(w)),
        ("atan2(x, b) + asin(w/4)", lambda w, x, b: sympy.atan2(x, b) + sympy.asin(w / 4)),
        ("floor(x) + ceil(b) + sign(w) + abs(-x)", lambda w, x, b: sympy.floor(x) + sympy.ceiling(b) + 1 + Abs(x)),
        ("Sum(x**i, i, 0, 3)", lambda w, x, b: 1 + x + x**2 + x**3),
        ("Product(x + i, i, 1, 2)", lambda w, x, b: Product(x + i, (i, 1, 2))),
        ("logsumexp(x*i, i, 0, 1)", lambda w, x, b: log(1 + exp(x))),
    ],
    ids=readable,
)
def test_an_expression_is_the_mathematics_as_written(text, by_hand):
    ours, theirs = parse_expression(text).objective, by_hand(*real("w x b"))
    for seed in range(3):
        values = dict(zip("wxb", (random.Random(seed).uniform(0.3, 1.7) for _ in range(3)), strict=True))
        assert number(ours.doit(), **values) == pytest.approx(number(theirs.doit(), **values), rel=1e-14)


def test_what_a_text_writes_is_not_rearranged():
    assert parse_expression("2*(x + y)").objective.is_Mul  # SymPy itself would write 2*x + 2*y
    w1, w0, x = real("w1 w0 x")
    assert parse_expression("1 + exp(w1*x + w0)").objective.args[1].args[0].args == (w1 * x, w0)


def test_the_order_of_parameters_is_the_one_given():
    w1, w0, x = real("w1 w0 x")
    model = parse_expression("1 + exp(w1*x + w0)", wrt=("w0", "w1"))
    assert (model.wrt, model.inputs, model.data, model.single) == ((w0, w1), (x,), (), False)
    model = parse_expression("1 + exp(w1*x + w0)", wrt="w1", data=["x"])
    assert (model.wrt, model.inputs, model.data, model.single) == ((w1,), (x, w0), (x,), True)
    assert parse_expression("1 + exp(w1*x + w0)").wrt == (w1, x, w0)


@pytest.mark.parametrize("word", "I E N S Q O C beta gamma zeta lambda def pi e sin max Sum where".split())
def test_names_of_the_users_win(word):
    symbol, x = real(f"{word} x")
    assert set(parse_expression(f"{word}**2 + x", wrt=[word]).objective.args) == {symbol**2, x}
    assert parse(f"{word}: parameter\nloss = 2*{word}").objective == 2 * symbol
    assert "not a function" in refusal(f"{word}: parameter\nloss = {word}(3)").what


def test_numbers_are_exact_or_the_nearest_float():
    objective = parse_expression("0.1*x + 9007199254740992*y + 9007199254740993*z").objective
    coefficients = {str(v): objective.coeff(v) for v in objective.free_symbols}
    assert float(coefficients["x"]) == 0.1
    assert coefficients["y"] == sympy.Integer(2**53)
    assert coefficients["z"].is_Float
    assert float(coefficients["z"]) == float(2**53 + 1)


# What is refused, and where

MISTAKES = [
    # text after the declarations, column of the caret, words of the message
    ("loss = Sum(x[s, j]*W[i, j], s, j, i)", 24, ("'j' has two sizes", "D, from line 8, column 17", "C, here")),
    ("loss = Sum(j**2, j)", 17, ("'j' has no range", "Sum(f, j, 0, N - 1)")),
    ("h[i] = i**2\nloss = v", 2, ("'i' has no range", "x[i]", "k: data[12], and write k[i] for i")),
    ("h[i] = where(i > 0, q[i], W[i, 0])\nloss = v", 28, ("two sizes", "3, from line 8", "arrays of one length")),
    ("loss = Sum(v, i)", 14, ("'i' has no range",)),
    ("loss = lamm*v", 7, ("there is no 'lamm'", "did you mean 'lam'?")),
    ("loss = Sum(zz[0, j]*W[j, 0], j)", 11, ("there is no 'zz'", "declare it, as in zz: data[N, D]")),
    ("loss = Smu(W[j, i], i, j)", 7, ("no function 'Smu'", "did you mean 'Sum'?")),
    ("loss = max(v*W[0, k], k)", 22, ("no 'k'", "expected: a number", "the largest over an index is Max(f, k)")),
    ("loss = min(v, W[j, 0], j)", 23, ("no 'j'", "the smallest over an index is Min(f, j)")),
    ("loss = sinn(v)", 7, ("no function 'sinn'", "did you mean 'sin'?")),
    ("loss = ln(v)", 7, ("no function 'ln'", "log(x)")),
    ("loss = sigm(v)", 7, ("no function 'sigm'", "sigmoid(x)")),
    ("loss = inv(v)", 7, ("no function 'inv'", "1/x")),
    ("loss = norm(q)", 7, ("no function 'norm'", "sqrt(Sum(x[i]**2, i))")),
    ("loss = exp v", 11, ("'v' cannot follow", "stands in brackets: exp(...)")),
    ("loss = 2*log 3", 13, ("'3' cannot follow", "stands in brackets: log(...)")),
    ("loss = v mod 2", 9, ("'mod' cannot follow", "mod(a, b)")),
    ("loss = v max 2", 9, ("'max' cannot follow", "max(a, b)")),
    ("loss = v*1,5", 10, ("',' cannot follow", "decimals stand behind a point")),
    ("loss == v", 5, ("'==' cannot stand here", "a definition has one '='")),
    ("loss = ∑ v", 7, ("N-ARY SUMMATION", "Sum(f, i)")),
    ("loss = v^2", 8, ("'^' is not of the language", "x**2")),
    ("loss = 2v", 7, ("'2v' is not a number", "2*v")),
    ("loss = 2 v", 9, ("'v' cannot follow", "a*b")),
    ("loss = W", 7, ("'W' needs one index for each of its axes", "parameter[D, C]")),
    ("loss = Sum(W[j], j)", 11, ("'W' needs one index for each of its axes",)),
    ("loss = v[0]", 7, ("'v' is a number and has no axes",)),
    ("loss = W[0.5, 0]", 9, ("not an index of 'W'",)),
    ("loss = W[v, 0]", 9, ("not an index of 'W'",)),
    ("loss = W[lam, 0]", 9, ("not an index of 'W'",)),
    ("loss = Sum(W[x[s, 0], 0], s)", 13, ("not an index of 'W'", "declare x: labels")),
    ("loss = Sum(W[j*i, i], i, j, 0, 3)", 14, ("not an index of 'W'",)),
    ("loss = Sum(W[mod(j, D)/2, 0], j, 0, 1)", 22, ("not an index of 'W'",)),
    ("loss = Sum(W[mod(v, D), 0], j, 0, 1)", 13, ("not an index of 'W'",)),
    ("loss = Sum(W[mod(j, 0), 0], j, 0, 1)", 13, ("division by zero",)),
    ("loss = Sum(W[mod(j, 3), 0], j)", 28, ("'j' has no range",)),
    ("loss = Sum(Sum(q[k], k, 0, mod(i, 3))*q[i], i)", 27, ("not a bound",)),
    ("loss = W[-1, 0]", 9, ("the index -1 leaves the axis",)),
    ("loss = q[3]", 9, ("the index 3 leaves the axis", "0 to 3 - 1")),
    ("loss = Sum(v, k, 0, lam)", 20, ("not a bound", "found:    lam")),
    ("loss = Sum(Sum(q[k], k, 0, gt[s])*v, s)", 27, ("not a bound", "where(k <= gt[s], ..., 0)")),
    ("loss = Sum(v, k, 3, 1)", 14, ("hold nothing", "3 to 1")),
    ("loss = Sum(v, k, 3)", 17, ("a lower and an upper bound",)),
    ("loss = Sum(q[j], (j, 0, 2))", 19, ("bounds follow their index without brackets",)),
    ("loss = Sum(v)", 7, ("needs an index",)),
    ("loss = Max(v, 0)", 14, ("runs over an index", "max(a, b)")),
    ("loss = max(v)", 7, ("'max' has 1 argument", "2 or more", "Max(f, i)")),
    ("loss = Sum(W[D, i], D, i)", 20, ("'D' cannot be an index", "a size")),
    ("h[c] = q[c]\nc[i, j] = W[i, j]\nloss = v", 2, ("'c' cannot be an index", "a definition with 2 axes")),
    ("h[c] = q[c]\nc = v\nloss = v", 2, ("'c' cannot be an index: it is a definition, line 9",)),
    ("h[i] = q[i]\nloss = Sum(h[i, i], i)", 11, ("one index for each", "1: it is a definition with 1 axis")),
    ("loss = Sum(q[j], j, j)", 20, ("an index", "twice")),
    ("loss = softmax(q[j], j)", 7, ("softmax needs",)),
    ("loss = Mean(q[i]*q[j], i, j, 0, i)", 7, ("one index bounds another",)),
    ("loss = v < 1", 9, ("a comparison is not a number", "where")),
    ("loss = where(0 < v < 1, v, 1)", 19, ("do not chain", "a < b and b < c")),
    ("loss = where(v, v, 1)", 13, ("a number is not a condition",)),
    ("loss = where(where(v < 1, 1, 2) < 2, v, 1)", 32, ("holds another where",)),
    ("loss = v + ", 11, ("missing before the end",)),
    ("loss = (v + 1", 7, ("'(' is never closed", "the end of the text", "write ')' where it ends")),
    ("loss = (v + \nk = 1", 7, ("'(' is never closed",)),
    ("loss = v)", 8, ("closes nothing", "open it with '('")),
    ("loss = v@v", 8, ("'@' is not of the language",)),
    ("loss = np.exp(v)", 9, ("'.' is not of the language", "without their module: exp(...)")),
    ("loss = sine(v)", 7, ("no function 'sine'", "'sin'", "found:    'sine'")),
    ("loss = quux(v)", 7, ("no function 'quux'", "one of exp expm1", "found:    'quux'", "as a definition")),
    ("loss = exp(v, 2)", 7, ("'exp' has 2 arguments", "write exp(x)")),
    ("loss = where(v > 0, v)", 7, ("'where' has 2 arguments", "write where(condition, a, b)")),
    ("loss = v v", 9, ("'v' cannot follow", "a*b")),
    ("loss = v, 3", 8, ("',' cannot follow", "one expression")),
    ("loss = exp(v]", 12, ("closes nothing", "a ')'")),
    ("loss = v/(1 - 1)", 8, ("division by zero",)),
    ("loss = where(True, v, 0)", 13, ("'True' is not a real number", "where(x > 0, a, b)")),
    ("loss = v*log(0)", 9, ("log(0) is not a real number",)),
    ("loss = v + (-8)**(1/3)", 15, ("not real", "cbrt")),
    ("loss = v**2000", 8, ("exponent 2000 is too large", "1,024", "Limits.exponent")),
    ("loss[s] = Sum(x[s, j], j)", 0, ("'loss' has axes", "Sum(loss[s], s)")),
    ("loss = a\na = loss", 0, ("defined by itself", "loss -> a -> loss")),
    ("loss = v\nv = 3", 0, ("'v' is taken", "line 5, column 1")),
    ("D: data\nloss = v", 0, ("'D' is taken", "used as a size in line 1")),
    ("u: parameter[v]\nloss = v", 13, ("'v' is not a size",)),
    ("u: paramter[3]\nloss = v", 3, ("no role 'paramter'", "did you mean 'parameter'?")),
    ("u = data[N]\nloss = v", 4, ("no 'data'", "a declaration has a colon", "x: data[N]")),
    ("u: data[N\nloss = v", 7, ("'[' is never closed",)),
    ("u[s = v\nloss = v", 4, ("'=' cannot stand here", "']'")),
    ("u: data[0]\nloss = v", 8, ("0 is not a size",)),
    ("u: data[N - N]\nloss = v", 8, ("the length 0 leaves nothing",)),
    ("u: data[2 - 3*N]\nloss = v", 8, ("the length 2 - 3*N leaves nothing",)),
    ("u: data[N + 0]\nloss = v", 12, ("0 is not a size",)),
    ("u: data[N + ]\nloss = v", 12, ("']' cannot stand here", "a size, such as N or 3")),
    ("u: data[2*3]\nloss = v", 10, ("'3' cannot stand here", "a size, such as N or 3")),
    ("u: data[N*2]\nloss = v", 9, ("'*' cannot stand here", "',' or ']'")),
    ("u: data[N + v]\nloss = v", 12, ("'v' is not a size",)),
    ("u: data[A + B]\nloss = v", 8, ("no array says how large 'A' is", "an axis of length A", "x: data[A]")),
    ("u: data = 3\nloss = v", 8, ("only a constant",)),
    ("u: constant = v\nloss = v", 14, ("must be a number",)),
    ("u[i, i] = 1\nloss = v", 5, ("written twice",)),
    ("v + 1", 2, ("'+' cannot stand here", "what is minimised is loss = ...")),
    ("lss = v", 7, ("no definition of 'loss'", "did you mean 'lss'?")),
]
DECLARED = """x: data[N, D]
W: parameter[D, C]
q: parameter[3]
gt: labels[N]
v: parameter
lam: constant = 0.1

"""


@pytest.mark.parametrize(("body", "place", "words"), MISTAKES, ids=[body for body, _, _ in MISTAKES])
def test_a_mistake_is_shown_with_its_place(body, place, words):
    error = refusal(DECLARED + body, name="slip.model")
    message = str(error)
    assert message.startswith("slip.model:")
    assert column(error) == place
    for word in words:
        assert word in message
    assert error.expected or error.found
    assert error.hint


def test_a_length_is_a_sum_of_sizes_and_numbers():
    declared = "t: data[R, 2*S - 1]\ny: data[R + S + 3]\nw: parameter[S + 1]\nc: parameter[S]\nr: data[R]\n"
    model = parse(declared + "loss = Sum((w[i + 1] - w[i])*c[i], i) + Sum(t[i, j], i, j) + Sum(y[i], i)")
    R, S = sympy.symbols("R S", integer=True, positive=True)
    assert [leaf.shape for leaf in (*model.inputs, *model.wrt)] == [(R, 2 * S - 1), (R + S + 3,), (R,), (S + 1,), (S,)]
    assert model.objective.args[0].limits == ((i, 0, S - 1),)
    assert "y: data[R + S + 3]\n" in model.text
    assert parse(model.text) == model


def test_a_message_reads_like_this():
    assert str(refusal("W: parameter[D]\nloss = Sum(W[j]**2, j) + lam*Wj", name="ridge.model")) == (
        "ridge.model:2:26: there is no 'lam'\n"
        "    loss = Sum(W[j]**2, j) + lam*Wj\n"
        "                             ^\n"
        "  expected: one of D, W\n"
        "  to do:    declare it, lam: constant, or bind it as an index: Sum(f, lam)"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wrt": ["w", "b"]}, ("no 'b'", "w, x")),
        ({"wrt": ["weight"]}, ("no 'weight'",)),
        ({"wrt": ["w"], "data": ["w"]}, ("'w' is given twice",)),
        ({"wrt": ["w", "w"]}, ("'w' is given twice",)),
        ({"data": ["X"]}, ("no 'X'", "did you mean 'x'?")),
    ],
    ids=readable,
)
def test_names_that_are_asked_for_must_occur(options, words):
    with pytest.raises(ParseError) as caught:
        parse_expression("w*x", **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "value", "text"),
    [
        ("characters", 10, "x + y + z + 1"),
        ("tokens", 4, "x + y + z"),
        ("names", 2, "x + y + z"),
        ("name_characters", 3, "long + x"),
        ("number_characters", 4, "3.1415*x"),
        ("nesting", 3, "sin(sin(sin(sin(x))))"),
        ("arguments", 2, "max(x, y, z)"),
        ("exponent", 8, "x**9"),
        ("constant_bits", 64, "10**30*x"),
    ],
)
def test_every_limit_is_named_and_can_be_set(limit, value, text):
    assert parse_expression(text).wrt
    with pytest.raises(ParseError) as caught:
        parse_expression(text, limits=Limits(**{limit: value}))
    assert f"the limit is {value:,} (Limits.{limit})" in str(caught.value)


def test_a_parse_error_is_a_model_error_and_a_value_error():
    assert issubclass(ParseError, ModelError)
    assert issubclass(ParseError, ValueError)


# Files


def test_a_file_is_read_as_utf8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "mark.model"
    path.write_bytes(b"\xef\xbb\xbfw: parameter\nloss = w\n")
    assert load(path).objective == Symbol("w", real=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"w: parameter\nloss = w + \xff\n", ("broken.model:2:12", "UTF-8")),
        (b"w: parameter\nloss = W\n", ("broken.model:2:8", "did you mean 'w'?")),
        (b"\x00" * 10**6, ("broken.model:1:1", "Limits.characters")),
        (b"\xff" * 10**6, ("broken.model:1:1", "UTF-8")),
    ],
    ids=["encoding", "name", "long", "bytes"],
)
def test_a_broken_file_names_itself_line_and_column(tmp_path, content, words):
    path = tmp_path / "broken.model"
    path.write_bytes(content)
    with pytest.raises(ParseError) as caught:
        load(path)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.model")


# Text that nobody vouches for

HOSTILE = [
    *((f"code {n}", text) for n, text in enumerate(hostile.CODE_EXECUTION)),
    *((f"exhaustion {n}", text) for n, text in enumerate(hostile.EXHAUSTION)),
    *((f"lexical {n}", text) for n, text in enumerate(hostile.LEXICAL)),
]
WATCHED = ("exec", "compile", "open", "import", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "tempfile.")
SECONDS = 0.1

watching = False
events: list[str] = []


def watch(event, args):
    if watching and event.startswith(WATCHED):
        events.append(event)


@pytest.fixture(scope="module")
def audited():
    """Warm SymPy's lazy imports up, then record what a parse does to the machine; a hook stays for good."""
    parse(SOFTMAX)
    parse_expression("where(x < 1 and y > 2, max(x, gelu(y)), logsumexp(x*i, i, 0, 3)) + mod(x, y)**0.5")
    with pytest.raises(ParseError):
        parse_expression("1 == -4")  # of numbers, which SymPy decides with a module of its own
    sys.addaudithook(watch)


def outcome(text, parser):
    """Return the error's message or None, the seconds of work, and the audit events."""
    global watching
    events.clear()
    watching = True
    start = time.thread_time()
    try:
        parser(text)
        message = None
    except ParseError as error:
        message = str(error)
    finally:
        watching = False
    return message, time.thread_time() - start, list(events)


def in_time(text, parser, seconds):
    """Return whether a text is parsed in time; again if not: a module of SymPy's may have been imported on the way."""
    return seconds < SECONDS or min(outcome(text, parser)[1] for _ in range(3)) < SECONDS


@pytest.mark.parametrize("text", [text for _, text in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_hostile_text_is_refused_or_is_mathematics(text, audited):
    message, seconds, seen = outcome(text, parse_expression)
    assert (message is None) == (text in hostile.LEGAL)
    assert seen == []
    assert in_time(text, parse_expression, seconds)
    if message is not None:
        first, *rest = message.split("\n")
        assert first.startswith("expression:")
        assert "Traceback" not in message
        assert any(line.strip() == "^" for line in rest)
        assert len(message) < 2_000
        assert all(c.isprintable() for line in message.split("\n") for c in line)


@pytest.mark.parametrize("text", [text for _, text in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_hostile_text_in_a_model_file_is_refused_or_is_mathematics(text, audited):
    text_of_model = f"x: parameter\nloss = x + {text}\n"
    message, seconds, seen = outcome(text_of_model, parse)
    assert seen == []
    assert in_time(text_of_model, parse, seconds)
    if text.startswith("-") and text in hostile.LEGAL:
        assert message is None
    if text in hostile.CODE_EXECUTION and text != "x#comment":  # a comment is one in a file
        assert message is not None


PIECES = [
    *"x y w1 1 2.5 1e3 0 + - * / ** ( ) [ ] , < == = : and or not pi e i N".split(),
    *"exp( log( Sum( max( where( softmax( gamma( lgamma( ,i) \n # ^ . _ ' µ \x00 10**9 data[N] parameter loss=".split(
        " "
    ),
]


def mutated(rng):
    """Return a random string of pieces of the language, or a valid text with a few pieces exchanged."""
    if rng.random() < 0.5:
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 30)))
    text = list(SOFTMAX)
    for _ in range(rng.randrange(1, 6)):
        text[rng.randrange(len(text))] = rng.choice(PIECES)
    return "".join(text)


def fuzz(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        text = mutated(rng)
        for parser in (parse, parse_expression):
            _, seconds, seen = outcome(text, parser)
            assert seen == [], text
            assert in_time(text, parser, seconds), text


def test_mutated_text_is_a_model_or_a_parse_error(audited):
    fuzz(2_000, seed=1)


@pytest.mark.slow
def test_much_mutated_text_is_a_model_or_a_parse_error(audited):
    fuzz(100_000, seed=2)


def test_a_long_model_is_read_in_time_that_grows_with_its_length():
    def seconds(terms):
        text = " + ".join(f"sin(x{n % 300})*{n}" for n in range(terms))
        gc.disable()  # a search for garbage goes through all that other tests have left
        start = time.thread_time()
        parse_expression(text)
        taken = time.thread_time() - start
        gc.enable()
        return taken

    seconds(100)
    assert min(seconds(2_000) for _ in range(3)) < 8 * max(min(seconds(500) for _ in range(3)), 1e-3)


def test_a_neighbour_on_a_ring_is_a_remainder():
    text = "w: parameter[N]\nloss = Sum((w[mod(n + 1, N)] - w[n])**2*w[mod(n - 1, N)], n)\n"
    model = parse(text)
    assert parse(model.text) == model
    w = np.array([1.0, 2.0, 4.0, 8.0])
    after, before = np.roll(w, -1), np.roll(w, 1)
    expected = 2 * (w - before) * np.roll(before, 1) - 2 * (after - w) * before + (np.roll(w, -2) - after) ** 2
    for wait in (False, True):  # by NumPy, and compiled
        compiled = compile_model(model)
        if wait:
            compiled.wait()
        value, (gradient,) = compiled.value_and_grad(w=w)
        assert value == np.sum((after - w) ** 2 * before)
        np.testing.assert_array_equal(gradient, expected)


def test_a_season_is_a_remainder_by_a_size():
    model = compile_model(parse("s: parameter[P]\ny: data[T]\nloss = Sum((y[t] - s[mod(t, P)])**2, t)"))
    y, s = np.arange(8.0), np.array([3.0, 1.0, 4.0])
    assert model.value(s=s, y=y) == np.sum((y - np.tile(s, 3)[:8]) ** 2)
