"""Densities of counts, shares and waiting times: gamma functions, powers and exponentials, each of which overflows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from tests.derivatives import derivatives

Formula = tuple[str, Callable[..., Any], list[tuple[float, ...]]]


def gamma(x: Any, a: Any, b: Any) -> Any:
    return b**a * x ** (a - 1) * mp.exp(-b * x) / mp.gamma(a)


def poisson(k: Any, m: Any) -> Any:
    return mp.exp(-m) * m**k / mp.gamma(k + 1)


def beta(x: Any, a: Any, b: Any) -> Any:
    return mp.gamma(a + b) / (mp.gamma(a) * mp.gamma(b)) * x ** (a - 1) * (1 - x) ** (b - 1)


GAMMA, POISSON = "y**x*z**(x - 1)*exp(-y*z)/gamma(x)", "exp(-{m})*{m}**k/gamma(k + 1)"
BETA = "gamma(x + y)/(gamma(x)*gamma(y))*z**(x - 1)*(1 - z)**(y - 1)"
FORMULAS: dict[str, Formula] = {  # in its variables, with mpmath, and where
    "gamma": (GAMMA, lambda x, y, z: gamma(z, x, y), [(2.0, 1.0, 3.0), (200.0, 2.0, 101.0), (4000.0, 2.0, 1900.0)]),
    "chi squared": (
        "y**(x/2 - 1)*exp(-y/2)/(2**(x/2)*gamma(x/2))",
        lambda x, y: gamma(y, x / 2, mpf(1) / 2),
        [(3.0, 2.0), (395.0, 225.0), (900.0, 850.0)],
    ),
    "Poisson": (POISSON.format(m="y").replace("k", "x"), poisson, [(3.0, 2.0), (200.0, 190.0), (850.0, 800.0)]),
    "beta": (BETA, lambda x, y, z: beta(z, x, y), [(2.0, 3.0, 0.3), (190.0, 200.0, 0.5), (800.0, 500.0, 0.6)]),
    "negative binomial": (
        "gamma(x + y)/(gamma(x)*gamma(y + 1))*z**y*(1 - z)**x",
        lambda x, y, z: mp.gamma(x + y) / (mp.gamma(x) * mp.gamma(y + 1)) * z**y * (1 - z) ** x,
        [(3.0, 2.0, 0.3), (5.0, 800.0, 0.99), (2000.0, 1000.0, 0.3)],
    ),
    "log of a mixture of Poissons": (
        f"log({POISSON.format(m='y')}/4 + 3/4*{POISSON.format(m='z')})".replace("k", "x"),
        lambda x, y, z: mp.log(poisson(x, y) / 4 + 3 * poisson(x, z) / 4),
        [(2.0, 3.0, 1.5), (900.0, 850.0, 1000.0), (100.0, 20.0, 1500.0)],
    ),
    "log of a mixture of a beta and a number": (
        f"log({BETA}/3 + 2/3)", lambda x, y, z: mp.log((beta(z, x, y) + 2) / 3), [(2.0, 3.0, 0.3), (800.0, 500.0, 0.6)],
    ),
    "log of a mixture of binomials": (
        "log(0.3*x**y*(1 - x)**(2000 - y) + 0.7*z**y*(1 - z)**(2000 - y))",
        lambda x, y, z: mp.log(0.3 * x**y * (1 - x) ** (2000 - y) + 0.7 * z**y * (1 - z) ** (2000 - y)),
        [(0.4, 900.0, 0.6), (0.4, 50.0, 0.6)],
    ),
}  # fmt: skip
POINTS = [pytest.param(name, at, id=f"{name} at {at}") for name, (_, _, points) in FORMULAS.items() for at in points]


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_value_and_gradient(name: str, point: tuple[float, ...]) -> None:
    text, function, _ = FORMULAS[name]
    names = "xyz"[: len(point)]
    model = gc.compile(gc.parse("".join(f"{each}: parameter\n" for each in names) + f"loss = {text}"))
    value, slopes, _ = derivatives(lambda at: function(*at), list(point))
    found, gradient = model.value_and_grad(**dict(zip(names, point, strict=True)))
    # an exponent of thousands has as many digits less in its exponential; a slope of 0 is as good as the others
    assert found == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-10, atol=1e-12 * np.max(np.abs(slopes)))


COUNTS = [0.0, 3.0, 120.0, 200.0, 950.0]
MIXTURE = f"Sum(log(Sum(p[j]*{POISSON.format(m='m[j]').replace('k', 'k[n]')}, j)), n)"


def mixture(w: list[Any]) -> Any:
    return sum(mp.log(w[0] * poisson(k, w[2]) + w[1] * poisson(k, w[3])) for k in map(mpf, COUNTS))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_mixture_of_any_number_of_poissons(dtype: str) -> None:
    at = [0.25, 0.75, 4.0, 256.0]
    value, slopes, _ = derivatives(mixture, at)
    model = gc.compile(gc.parse(f"k: data[N]\np: parameter[J]\nm: parameter[J]\nloss = {MIXTURE}"), dtype=dtype)
    given = {"k": np.array(COUNTS), "p": np.array(at[:2]), "m": np.array(at[2:])}
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for _ in range(2):
        found, gradient = model.value_and_grad(**given)
        assert found == pytest.approx(value, rel=tolerance)
        np.testing.assert_allclose(np.concatenate(gradient), slopes, rtol=tolerance)
        model.wait()


@pytest.mark.parametrize("text", [f"log({BETA} + x*y)", f"{BETA}*x", POISSON.format(m="x").replace("k", "y") + " + z"])
def test_bases_that_are_not_positive_stay_as_they_were_written(text: str) -> None:
    """Whole powers of negative numbers, and of 0."""
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nz: parameter\nloss = {text}"))
    for base in (-0.25, 0.0):
        at = {"x": 3.0, "y": 5.0, "z": base} if "gamma(x)" in text else {"x": base, "y": 4.0, "z": 0.5}
        exact = {name: mpf(number) for name, number in at.items()}
        with mp.workdps(50):
            function = {
                "log": lambda x, y, z: mp.log(beta(z, x, y) + x * y),
                "gam": lambda x, y, z: beta(z, x, y) * x,
                "exp": lambda x, y, z: poisson(y, x) + z,
            }[text[:3]]
            assert model.value(**at) == pytest.approx(float(function(**exact)), rel=1e-14)


def test_a_choice_beside_another_has_its_parts_wherever_it_is_evaluated() -> None:
    """Lines of pure Python that are guarded: here a choice lost its guard, and its branches had more than its own."""
    text = f"x: parameter\ny: parameter\nz: parameter\nw: parameter\nloss = log(w*{BETA} + (1 - w))"
    at = {"x": 2.0, "y": 3.0, "z": 0.25, "w": 0.125}
    expected = np.log(0.125 * 12 * 0.25 * 0.75**2 + 0.875)
    space: dict[str, Any] = {}
    exec(gc.emit(gc.parse(text), target="python"), space)
    assert space["value_and_grad"](**at)[0] == pytest.approx(expected, rel=1e-14)
    assert gc.compile(gc.parse(text)).value_and_grad(**at)[0] == pytest.approx(expected, rel=1e-14)


def test_a_condition_is_asked_for_after_those_that_guard_it() -> None:
    text = "log((1 + exp(x/w))/cosh(2*y) + exp(z)*gamma(z + 1)*x**z/(1 + (y*w)**y)/sinh(z*y))"
    model = gc.compile(gc.parse("".join(f"{name}: parameter\n" for name in "xyzw") + f"loss = {text}"))
    x, y, z, w = mpf("1.5"), mpf(2), mpf(3), mpf("0.25")
    first = (1 + mp.exp(x / w)) / mp.cosh(2 * y)
    value = mp.log(first + mp.exp(z) * mp.gamma(z + 1) * x**z / (1 + (y * w) ** y) / mp.sinh(z * y))
    assert model.value(x=1.5, y=2.0, z=3.0, w=0.25) == pytest.approx(float(value), rel=1e-14)


PRODUCTS = {  # densities in x, a and b whose factors overflow, or underflow, long before the whole does
    "Poisson": ("a**x*exp(-a)/gamma(x + 1) + 0*b", lambda x, a, b: a**x * mp.exp(-a) / mp.gamma(x + 1) + 0 * b),
    "gamma": (
        "b**a*x**(a - 1)*exp(-b*x)/gamma(a)", lambda x, a, b: b**a * x ** (a - 1) * mp.exp(-b * x) / mp.gamma(a),
    ),
    "Nakagami": (
        "2*a**a*x**(2*a - 1)*exp(-a*x**2/b)/(gamma(a)*b**a)",
        lambda x, a, b: 2 * a**a * x ** (2 * a - 1) * mp.exp(-a * x**2 / b) / (mp.gamma(a) * b**a),
    ),
    "Student": (
        "gamma((a + 1)/2)/(sqrt(a*pi)*gamma(a/2))*(1 + x**2/a)**(-(a + 1)/2)/b",
        lambda x, a, b: (
            mp.gamma((a + 1) / 2) / (mp.sqrt(a * mp.pi) * mp.gamma(a / 2)) * (1 + x**2 / a) ** (-(a + 1) / 2) / b
        ),
    ),
}  # fmt: skip
OVERFLOWING = [(30.0, 700.0, 2.0), (150.0, 700.0, 2.0), (20.0, 50.0, 2.25), (0.5, 20.0, 0.3), (3.0, 300.0, 8.0)]


@pytest.mark.parametrize("name", PRODUCTS)
def test_factors_that_overflow_beside_a_gamma_function(name: str) -> None:
    text, function = PRODUCTS[name]
    numbers = gc.compile(gc.parse(f"x: parameter\na: parameter\nb: parameter\nloss = {text}"))
    for index in "xab":
        text = re.sub(rf"\b{index}\b", f"{index}[n]", text)
    arrays = gc.compile(
        gc.parse(f"x: parameter[N]\na: parameter[N]\nb: parameter[N]\nloss = Sum({text}, n)"), dtype="float32"
    )
    found = np.array(arrays.grad(**dict(zip("xab", np.array(OVERFLOWING, np.float32).T, strict=True))))
    for place, point in enumerate(OVERFLOWING):
        value, slopes, _ = derivatives(lambda at: function(*at), list(point))
        given, gradient = numbers.value_and_grad(**dict(zip("xab", point, strict=True)))
        assert given == pytest.approx(value, rel=1e-11, abs=1e-300)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-10, atol=1e-60 * abs(value))
        np.testing.assert_allclose(found[:, place], slopes, rtol=3e-3, atol=1e-37)
