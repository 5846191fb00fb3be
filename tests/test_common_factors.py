"""Factors that terms of a slope have in common, what a product takes back, and where numbers stand."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import mul

import mpmath
import numpy as np
import pytest

import gradcompile as gc
from gradcompile.ir import Builder
from gradcompile.passes.fold import factored, scaled
from tests.texts import exact_answer

MODEL = """
x: data[N, D]
y: data[N]
w: parameter[D]
s: parameter
z[n] = Sum(x[n, j]*w[j], j)
loss = {}
"""
POINT = {
    "x": np.array([[0.3, -1.2], [2.0, 0.4], [0.1, 0.5]]),
    "y": np.array([0.4, 1.3, 2.2]),
    "w": np.array([0.7, -0.2]),
    "s": np.array(0.3),
}
# The objective, what its slopes have, and what they do not have.
SLOPES = {
    "difference": ("Sum(z[n]**2*y[n] - sin(z[n])*y[n]**2, n)*s", ("2*z*y - np.cos(z)*",), ()),
    "three terms": ("Sum(sin(z[n])*s + z[n]**3*s - cosh(z[n])*s, n)", (), ("*s +", "*s -", "s*z")),
    "twice the minus": ("-Sum(tanh(z[n])*s, n) - Sum(exp(z[n])*s, n)", (), ("*s -",)),
    "a power's own number": ("Sum(exp(z[n])**s/s, n)", (), ("s*(",)),
    "a number above the bar": ("Sum((z[n] - y[n])**2*y[n], n)/N*s", (), ("2*(",)),
    "a power takes its base back": ("Sum(y[n]*(s/exp(z[n]))**1.7, n)", (), ("**0.7", "s/c")),
    "powers of one base": ("Sum((y[n]/exp(z[n]))**6 - (y[n]/exp(z[n]))**3, n)", (), ("**5", "**2")),
    "a number that vanishes": ("Sum(exp(z[n]) + y[n]**2 - 1 - z[n], n)/N", (), ("+ 1", "- 1")),
    "a number over a divisor": ("Sum(log(z[n]**2 + 1)*s - s/(z[n]**2 + 1), n)/2", ("*(s + b)/a",), ()),
    "roots of squares": ("Sum(sqrt((z[n] - y[n])**2 + (z[n]*y[n] - s)**2), n)", (), ("2*",)),
    "the same product": ("Sum(s*z[n]**2*y[n] + cos(z[n]*y[n]), n)", (), ("2*z*y",)),
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_written_without_repetition(name: str) -> None:
    objective, there, gone = SLOPES[name]
    text = MODEL.format(objective)
    emitted = gc.emit(gc.parse(text), target="numpy")
    backward = emitted[emitted.index("# backward") : emitted.index("def grad(")]
    assert all(part in backward for part in there), backward
    assert not any(part in backward for part in gone), backward
    model = gc.compile(gc.parse(text))
    used = {name: value for name, value in POINT.items() if name in model.arguments}
    right, slopes = exact_answer(text, used)
    value, gradients = model.value_and_grad(**used)
    assert value == pytest.approx(right, rel=1e-14)
    for found, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(found, np.array(slope, float), rtol=1e-13)


def test_what_is_divided_by_0_and_multiplied_with_it_is_a_number() -> None:
    """The slope of exp(c*x)/c is exp(c*x), at 0 as well; the value is infinite there."""
    model = gc.compile(gc.parse("x: parameter\nc: constant\nloss = exp(c*x)/c"))
    assert model.grad(x=0.7, c=0.0) == (1,)
    assert model.grad(x=0.7, c=0.5)[0] == pytest.approx(np.exp(0.35), rel=1e-15)


@pytest.mark.parametrize("distance", [1e-12, 1e-9, 0.3, 40.0])
@pytest.mark.parametrize(
    ("kernel", "slope"),
    [
        ("(1 + r)*exp(-r)", lambda r: -r * mpmath.exp(-r)),
        ("exp(-r)*(1 + r + r**2/3)", lambda r: -r * (1 + r) / 3 * mpmath.exp(-r)),
    ],
)
def test_slopes_of_kernels_have_their_digits_near_0(
    kernel: str, slope: Callable[[mpmath.mpf], mpmath.mpf], distance: float
) -> None:
    model = gc.compile(gc.parse(f"x: parameter\nr = 3*abs(x)\nloss = {kernel}"))
    right = 3 * slope(3 * mpmath.mpf(distance))
    assert abs(model.grad(x=distance)[0] - right) < 1e-14 * abs(right)


def test_nothing_is_added_for_more_elements() -> None:
    """``a[i]*s + b[j]*s`` has two short products and one sum; ``(a[i] + b[j])*s`` would have two of all pairs."""
    text = "a: parameter[N]\nb: parameter[M]\ns: parameter\nloss = Sum(exp(a[i]*s + b[j]*s), i, j)"
    graph = gc.compile(gc.parse(text)).graph
    pairs = [v.op for v in graph.order() if len(v.axes) == 2 and v.op not in ("exp", "const")]
    assert pairs == ["add"]


def test_long_sums_of_products_are_taken_apart_in_time() -> None:
    terms = " + ".join(f"sin(k*x)*s*{k}" for k in range(1, 600))
    model = gc.compile(gc.parse(f"x: parameter\ns: parameter\nk: constant\nloss = {terms}"))
    value, (dx, ds) = model.value_and_grad(x=0.3, s=2.0, k=0.5)
    total = sum(range(1, 600))
    assert (value, dx, ds) == pytest.approx((total * 2 * np.sin(0.15), total * np.cos(0.15), total * np.sin(0.15)))


PAIRS = "x: parameter[N]\nloss = Sum(where(i < j, sin(x[i] - x[j]), 0), i, j)"


def test_a_choice_and_its_negative_are_one() -> None:
    """What a pair gives to one of the two, it takes from the other."""
    emitted = gc.emit(gc.parse(PAIRS), target="numpy")
    assert emitted[emitted.index("# backward") : emitted.index("def grad(")].count("np.where(") == 1
    point = {"x": np.array([0.3, -1.2, 2.0])}
    np.testing.assert_allclose(
        gc.compile(gc.parse(PAIRS)).grad(**point)[0], exact_answer(PAIRS, point)[1][0], rtol=1e-13
    )


def test_a_sum_of_negative_terms_is_the_negative_of_a_sum() -> None:
    emitted = gc.emit(gc.parse(MODEL.format("-Sum(-cos(z[n])*y[n] - y[n]**2*z[n] - s, n)")), target="numpy")
    assert "-np." not in emitted[emitted.index("# forward") : emitted.index("# backward")]


@pytest.mark.parametrize("length", [2, 7, 8, 9, 3000])
def test_a_number_before_a_product_is_found_where_it_was_put(length: int) -> None:
    """However many factors there are: none is looked for with a call for each of them."""
    builder = Builder()
    product = reduce(mul, [builder.input(f"x{k}", ()) for k in range(length)])
    assert factored(scaled(product, 6, product))[0] == 6
