"""Differences of probabilities that are near 1, and of angles: against mpmath, with digits for what cancels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from mpmath import mp, mpf

import gradcompile as gc

Function = Callable[[mpf], mpf]


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def tail(x: mpf) -> mpf:
    return mp.erfc(x) / 2


CASES: dict[str, tuple[str, Function, list[float]]] = {  # a probability p, 1 - p, and places
    "guessing": ("g + (1 - g)*sigmoid(x)", lambda x: (1 - mpf(0.25)) * sigmoid(-x), [-30.0, 0.3, 40.0, 800.0]),
    "guessing, other order": ("sigmoid(x)*(1 - g) + g", lambda x: (1 - mpf(0.25)) * sigmoid(-x), [40.0]),
    "guessing by chance": ("0.2 + 0.8*sigmoid(x)", lambda x: sigmoid(-x) * mpf("0.8"), [-30.0, 0.3, 40.0, 800.0]),
    "decimals that are 1": ("0.7 + 0.3*sigmoid(x)", lambda x: sigmoid(-x) * mpf("0.3"), [0.3, 40.0, 800.0]),
    "quotients": ("1/5 + 4/5*sigmoid(x)", lambda x: sigmoid(-x) * 4 / 5, [0.3, 40.0, 800.0]),
    "probit": ("0.25 + 0.75*(1 + erf(x))/2", lambda x: tail(x) * mpf("0.75"), [0.3, 5.0, 30.0]),
    "probit by its tail": ("0.25 + (1 - 0.25)*erfc(-x)/2", lambda x: tail(x) * mpf("0.75"), [0.3, 5.0, 30.0]),
    "probit of two choices": ("0.1 + 0.9*(0.5 + erf(x)/2)", lambda x: tail(x) * mpf("0.9"), [0.3, 5.0, 30.0]),
    "erf in halves": ("0.5 + 0.5*erf(x)", tail, [0.3, 5.0, 30.0]),
    "log-log": ("1 - 0.3*(1 - exp(-exp(-x)))", lambda x: -mp.expm1(-mp.exp(-x)) * mpf("0.3"), [3.0, 800.0]),
    "Cauchy": ("1/2 + atan(x)/pi", lambda x: mp.atan2(1, x) / mp.pi, [-3.0, 0.0, 2.0, 1e12]),
    "Cauchy, the other tail": ("0.5 - atan(x)/pi", lambda x: mp.atan2(1, -x) / mp.pi, [-1e12, 0.3, 2.0]),
    "arctangent": ("1 - (pi/2 - atan(x))", lambda x: mp.atan2(1, x), [-3.0, 1e12]),
    "arctangent, negative": ("1 + 2*(-pi/2 - atan(x))", lambda x: 2 * mp.atan2(1, -x), [-1e12, 3.0]),
    "arctangent of two": ("1 - (pi - atan2(1, x))", lambda x: mp.atan2(1, -x), [-1e12, 3.0]),
}  # fmt: skip
POINTS = [
    pytest.param(*case[:2], place, id=f"{name} at {place:g}") for name, case in CASES.items() for place in case[2]
]


@pytest.mark.parametrize(("probability", "other", "place"), POINTS)
def test_the_logarithm_of_what_is_left_of_1_has_its_digits(probability: str, other: Function, place: float) -> None:
    model = gc.compile(gc.parse(f"x: parameter\ng: constant = 0.25\np = {probability}\nloss = log(1 - p)"))
    value, (slope,) = model.value_and_grad(x=place)
    with mp.workdps(60):
        exact = mp.log(other(mpf(place)))
        h = mpf(10) ** -25 * max(1, abs(mpf(place)))
        exact_slope = (mp.log(other(mpf(place) + h)) - mp.log(other(mpf(place) - h))) / (2 * h)
    assert value == pytest.approx(float(exact), rel=1e-14, abs=3e-16)
    assert slope == pytest.approx(float(exact_slope), rel=1e-13, abs=2e-16)
    assert math.isfinite(model.hvp((1.0,), x=place)[0])


@pytest.mark.parametrize("scale", ["0.5", "2.5", "1/3"])
def test_a_number_leaves_a_logarithm_whose_rest_is_rewritten(scale: str) -> None:
    """Also a float, of which no whole numbers are known, and where the rest needs to know its exponential."""
    for text, exact in (
        ("erfc(x)", lambda x: mp.log(mp.erfc(x))),
        ("(tanh(x + 1) - tanh(x))", lambda x: mp.log(mp.tanh(x + 1) - mp.tanh(x))),
        ("(1 - exp(-exp(-x)))", lambda x: mp.log(-mp.expm1(-mp.exp(-x)))),
    ):
        value = gc.compile(gc.parse(f"x: parameter\nloss = log({scale}*{text})")).value(x=800.0)
        with mp.workdps(1500):
            number = mpf(1) / 3 if scale == "1/3" else mpf(scale)
            assert value == pytest.approx(float(mp.log(number) + exact(mpf(800))), rel=1e-14)


@pytest.mark.parametrize(
    "left", ["1 - g - (1 - g)*sigmoid(x)", "1 - (1 - g)*sigmoid(x) - g", "(1 - g) - sigmoid(x)*(1 - g)"]
)
def test_what_is_left_of_two_chances_is_their_product(left: str) -> None:
    """As SymPy writes ``1 - (g + (1 - g)*sigmoid(x))``, too."""
    value, (slope,) = gc.compile(gc.parse(f"x: parameter\ng: constant\nloss = log({left})")).value_and_grad(
        x=400.0, g=0.2
    )
    with mp.workdps(50):
        assert value == pytest.approx(float(mp.log(1 - mpf(0.2)) - mp.log1p(mp.exp(400))), rel=1e-15)
    assert slope == pytest.approx(-1.0, rel=1e-15)


def test_what_is_left_of_a_power_of_what_is_near_1() -> None:
    """The distribution of Kumaraswamy, ``1 - (1 - x**a)**b``, is ``b*x**a`` where x**a is small."""
    model = gc.compile(gc.parse("x: constant\na: constant\nb: parameter\nloss = 1 - (1 - x**a)**b"))
    for x, a, b in ((1e-10, 1.0, 150.0), (0.1, 200.0, 3.0), (0.3, 0.5, 2.0)):
        value, (slope,) = model.value_and_grad(x=x, a=a, b=b)
        with mp.workdps(400):
            log = mp.log1p(-(mpf(x) ** a))
            right, right_slope = -mp.expm1(b * log), -log * mp.exp(b * log)
        assert abs(value - right) < 1e-13 * right
        assert abs(slope - right_slope) < 1e-13 * right_slope
