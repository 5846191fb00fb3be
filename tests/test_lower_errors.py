"""Mistakes that lowering sees: each names the place, with a caret into the user's expression."""

import pytest
from sympy import Dummy, IndexedBase, Lambda, MatrixSymbol, Piecewise, Sum, Symbol, exp, log, oo, symbols

from gradcompile import errors
from gradcompile.lower import lower
from gradcompile.model import Model, max_over

N, D, C, K = symbols("N D C K", integer=True, positive=True)
s, i, j, k = symbols("s i j k", integer=True)
x, w, W = IndexedBase("x", shape=(N, D)), IndexedBase("w", shape=(D,)), IndexedBase("W", shape=(D, C))
gt, y = IndexedBase("gt", shape=(N,)), IndexedBase("y", shape=(N, C))
a, b, lam = symbols("a b lam")


def refused(kind, objective, *wrt, place="", **rest):
    """Return the message of the error that a model ends in."""
    with pytest.raises(kind) as caught:
        lower(Model(objective, wrt, **rest))
    message = str(caught.value)
    if place:
        lines = message.splitlines()
        caret = next(k for k, line in enumerate(lines) if set(line.strip()) == {"^"})
        start = lines[caret].index("^")
        assert lines[caret - 1][start : start + lines[caret].count("^")] == place, message
    return message


@pytest.mark.parametrize("other", [Symbol("a", positive=True), IndexedBase("a", shape=(N,))[0], Dummy("a")])
def test_two_symbols_of_one_name(other):
    assert "'a'" in refused(errors.DuplicateNameError, a + 2 * other, a, place="a")


def test_names_that_one_identifier_would_be():
    micro, mu = Symbol("\N{MICRO SIGN}"), Symbol("\N{GREEK SMALL LETTER MU}")
    refused(errors.DuplicateNameError, micro + mu, micro)
    assert "empty name" in refused(errors.ModelError, Symbol("") + a, a)


def test_a_symbol_that_does_not_commute_is_no_number():
    """Of two matrices, the difference of products would be 0."""
    p, q = symbols("p q", commutative=False)
    message = refused(errors.UnsupportedError, a * (p * q - q * p), a, place="p")
    assert "MatrixSymbol('p', n, m)" in message


def test_an_array_with_two_shapes():
    message = refused(errors.DuplicateNameError, w[0] + IndexedBase("w", shape=(C,))[0], w)
    assert "(D,)" in message
    assert "(C,)" in message


def test_the_label_of_an_array_is_no_symbol():
    v = IndexedBase(Symbol("v"), shape=(D,))
    lower(Model(Sum(v[j], (j, 0, D - 1)), (v,)))


def test_an_index_without_a_range():
    message = refused(errors.IndexRangeError, log(Sum(x[s, j] * w[j], (j, 0, D - 1))), w, place="x[s, j]")
    assert "the index s has no range" in message
    assert "not scalar" in message


def test_an_index_with_two_ranges():
    refused(errors.IndexRangeError, Sum(w[j], (j, 0, D - 1), (j, 0, C - 1)) + a, w, place="(j, 0, C - 1)")
    message = refused(errors.IndexRangeError, a, a, outputs={"p": Lambda(i, x[i, 0] * w[i])})
    assert "D, from w[i]" in message
    assert "N, from x[i, 0]" in message


@pytest.mark.parametrize(
    ("index", "first", "last", "words"),
    [(j + 1, 0, D - 1, "up to D"), (j - 1, 0, D - 1, "down to -1"), (j, 1, D, "up to D"), (2 * j, 0, D, "up to 2*D")],
)
def test_an_index_beyond_its_axis(index, first, last, words):
    message = refused(errors.IndexRangeError, Sum(w[index] * a, (j, first, last)), w, place=f"w[{index}]")
    assert words in message
    assert "0 to D - 1" in message


def test_an_index_outside_of_its_sum():
    """SymPy takes the Piecewise out of the inner sum, and its index with it."""
    folded = Sum(Sum(Piecewise((x[i, 0], i <= s), (0, True)), (i, 0, N - 1)) ** 2, (s, 0, N - 1))
    assert "define=" in refused(errors.IndexRangeError, folded * a, a, place="i")
    inner = Sum(Piecewise((x[s, j] * w[j], w[j] > 0), (0, True)), (j, 0, D - 1))
    assert "define=" in refused(errors.IndexRangeError, Sum(exp(inner), (s, 0, N - 1)), w, place="w[j]")


def test_ranges_that_are_none():
    assert "negative" in refused(errors.IndexRangeError, Sum(w[j], (j, 0, -3)), w, place="(j, 0, -3)")
    refused(errors.UnsupportedError, Sum(w[j], (j, 0, D**2)), w, place="D**2")
    refused(errors.UnsupportedError, Sum(w[j], (j, 0, gt[0])), w, place="gt[0]")
    refused(errors.UnsupportedError, Sum(w[j], (j, 0, lam)), w, lam)
    inside_out = Sum(W[i, 0] * w[j], (i, 0, D - 1), (j, 0, i))
    assert "first range is the innermost" in refused(errors.IndexRangeError, inside_out, w, place="(j, 0, i)")
    refused(errors.IndexRangeError, Sum(a**k, (k, 0, K)), a, place="(k, 0, K)")
    refused(errors.UnsupportedError, max_over(w[j], (j, 0, -1)), w)


def test_an_index_that_is_no_whole_number():
    refused(errors.IndexRangeError, Sum(w[gt[s] / 2], (s, 0, N - 1)), w, place="w[gt[s]/2]")


def test_ranks():
    q = IndexedBase("q")
    assert "1 and with 2 indices" in refused(errors.IndexRangeError, q[1, 2] * q[1] + a, q)
    refused(errors.ModelError, a * W, a)
    lower(Model(MatrixSymbol("A", N, D), (a,)))  # a vector-valued objective has a Jacobian
    refused(errors.UnsupportedError, exp(a), a, outputs={"p": oo * a})


def test_labels_have_no_derivative():
    assert "gt" in refused(errors.NonDifferentiableError, Sum(w[gt[s]], (s, 0, N - 1)), w, gt)


def test_definitions():
    p, q = symbols("p q")
    assert "p -> q -> p" in refused(errors.ModelError, a * p, a, definitions={p: q + 1, q: p + 1})
    refused(errors.UnsupportedError, a, a, definitions={y[0, i]: a})
    refused(errors.UnsupportedError, a, a, definitions={y[i, i]: a})
    refused(errors.DuplicateNameError, a, a, definitions={a: b})
    refused(errors.IndexRangeError, y[0, 0], a, definitions={y[s, i]: x[s, k]}, place="x[s, k]")


def test_a_parameter_is_not_data():
    refused(errors.DuplicateNameError, a * b, a, data=(a,))


def test_errors_are_the_builtins_that_one_would_guess():
    for kind, builtin in [
        (errors.IndexRangeError, IndexError),
        (errors.DuplicateNameError, ValueError),
        (errors.UnsupportedError, NotImplementedError),
    ]:
        assert issubclass(kind, builtin)


def test_no_shape_with_an_element_0_that_is_never_read_is_guessed():
    """Who counts from 1 would lose the first sample, and not be told."""
    z = IndexedBase("z")
    message = refused(errors.IndexRangeError, Sum(a * z[i], (i, 1, N)), a, place="z[i]")
    assert "the element 0 of z is never read" in message
    assert "from 1 on" in message
    for read in (a * z[i - 1], a * z[i] * z[i - 1], Piecewise((a * z[i - 1], z[i - 1] > 0), (0, True)), a * z[N - i]):
        lower(Model(Sum(read, (i, 1, N)), (a,)))
    lower(Model(Sum(a * IndexedBase("z", shape=(N + 1,))[i], (i, 1, N)), (a,)))
