"""Identifiers: the user's where they are safe, a lecture's for the rest, and no two alike."""

from __future__ import annotations

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcompile as gc
from gradcompile.emit.names import RESERVED, Names, is_safe
from gradcompile.errors import EmissionError
from gradcompile.ir import Axis, Builder, Graph, Input, Size

N, D = Axis(Size.of("N")), Axis(Size.of("D"))


def graph(names: list[str], **options) -> Graph:
    builder = Builder()
    inputs = {name: Input(name) for name in names}
    total = builder.const(0)
    for name in names:
        total = total + builder.input(name, ())
    return Graph(builder, inputs, {"value": total}, **options)


@pytest.mark.parametrize("name", ["x", "w1", "lam", "gamma", "e", "pi", "I", "N", "beta_1", "exp", "x_bar", "t0", "df"])
def test_a_plain_name_is_kept(name):
    assert Names(graph([name])).inputs == {name: name}


@pytest.mark.parametrize(
    "name",
    [
        *("lambda", "class", "match", "print", "np", "math", "njit", "value", "grad", "check", "sys"),
        *("__debug__", "a__b", "_x", "x y", "", "1x", "x\nimport os", "µ", "x²", "x" * 31, "ｘ", 'x"""', "x\\"),
    ],
)
def test_any_other_name_is_replaced_and_noted(name):
    names = Names(graph([name]))
    assert names.inputs == {name: "p0"}
    assert names.renamed == {"p0": name}


def test_a_replacement_avoids_the_names_that_are_kept():
    assert Names(graph(["p0", "class", "p1"])).inputs == {"p0": "p0", "class": "p1", "p1": "p2"}


def test_support_functions_are_avoided():
    assert Names(graph(["gamma"]), ["gamma"]).inputs == {"gamma": "p0"}


LIKELY = st.sampled_from(["p0", "p1", "f", "a", "s", "N", "df", "da"])


@given(st.lists(st.text(max_size=8) | LIKELY, unique=True, max_size=8))
def test_no_two_are_alike_and_all_are_identifiers(users):
    g = graph(users)
    names = Names(g)
    values = [v for v in g.order() if v.op != "input"]
    found = [*names.inputs.values(), *(names.value(v) for v in values), names.axis(N), names.axis(D), names.fresh("f")]
    assert len(set(found)) == len(found)
    for name in found:
        assert name.isascii()
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in RESERVED


def test_values_get_letters_the_objective_f_and_derivatives_a_d():
    builder = Builder()
    x = builder.input("x", ())
    a = x * x
    f = builder.apply("exp", a)
    da, dx = f * 3, f * x
    g = Graph(builder, {"x": Input("x")}, {"value": f, "dx": dx}, wrt=("x",), cotangents={da: a, dx: x})
    names = Names(g)
    assert [names.value(v) for v in (a, f, da, dx)] == ["a", "f", "da", "dx"]


def test_letters_are_followed_by_numbered_letters():
    builder = Builder()
    names = Names(Graph(builder, {}, {}))
    found = [names.value(builder.const(k)) for k in range(50)]
    assert found[0] == "a"
    assert found[23] == "a1"
    assert not {"d", "f", "l"} & set(found)
    assert Names(Graph(builder, {}, {}), many=True).value(builder.const(7)) == "v1"


def test_letters_of_axes_belong_to_axes():
    builder = Builder()
    names = Names(Graph(builder, {}, {}, letters={N: "a", D: "lambda"}))
    assert (names.axis(N), names.axis(D)) == ("a", "i")
    assert names.value(builder.const(1)) == "b"


def test_two_axes_with_one_letter_are_told_apart():
    names = Names(Graph(Builder(), {}, {}, letters={N: "i", D: "i"}))
    assert names.axis(N) != names.axis(D)


def sized(**shapes) -> Names:
    inputs = {name: Input(name, shape) for name, shape in shapes.items()}
    return Names(Graph(Builder(), inputs, {}))


def test_sizes_are_read_off_shapes():
    n, d = Size.of("N"), Size.of("D")
    assert list(sized(x=(n, d)).size_lines({"N", "D"}, "numba")) == ["N, D = x.shape"]
    assert list(sized(x=(d, d)).size_lines({"D"}, "numpy")) == ["D = x.shape[0]"]
    assert list(sized(x=(n, d)).size_lines({"D"}, "python")) == ["D = len(x[0])"]
    assert list(sized(x=(n - 1,)).size_lines({"N"}, "numpy")) == ["N = x.shape[0] + 1"]
    assert list(sized(x=(n * 2 + 3,)).size_lines({"N"}, "numpy")) == ["N = (x.shape[0] - 3)//2"]
    assert list(sized(x=(n + d,), y=(d,)).size_lines({"N", "D"}, "numpy")) == ["D = y.shape[0]", "N = x.shape[0] - (D)"]


def test_a_size_that_nothing_tells_is_an_error():
    with pytest.raises(EmissionError, match="size 'K'"):
        list(sized(x=(Size.of("N"),)).size_lines({"K"}, "numpy"))


def test_size_arithmetic_uses_the_identifiers():
    names = sized(x=(Size.of("class"),))
    assert names.size(Size.of("class") - 1) == "n0 - 1"
    assert is_safe("n0")


def test_letters_of_users_are_left_for_their_values():
    """m is asked for last, in an inner loop: until then no array takes it."""
    model = gc.compile(
        gc.parse("""
        x: data[N, T, D]
        W: parameter[D, H]
        V: parameter[H]
        a[n, s, k] = max(0, Sum(x[n, s, j]*W[j, k], j))
        loss = Sum(Sum(Sum(a[n, s, k], s)*V[k], k)**2, n)
    """)
    )
    assert "'a'" not in model.source  # it would be in the list of names that had to be replaced
    assert re.search(r"\ba(\[.*\])? = maximum", model.source)


def test_a_gradient_and_the_array_that_it_is_filled_from_have_two_names():
    model = gc.compile(
        gc.parse("""
        x: data[N, D, K]
        W: parameter[K, D, D, D]
        loss = Sum(Sum(x[n, s, j]*W[j, r, s, c], s, c)**2, n, j, r)
    """)
    )
    gradient = model.source[model.source.index("def value_and_grad(") : model.source.index("def grad(")]
    made = re.findall(r"(\w+) = np\.(?:empty|zeros)\(", gradient)
    assert len(made) == len(set(made))
