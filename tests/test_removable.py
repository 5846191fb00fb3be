"""Quotients that have a limit where their divisor is 0 have it, and the digits of all derivatives beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.ir import Builder, Graph, Input
from gradcompile.passes.expansions import Expansion, Place
from gradcompile.passes.radial import radial
from gradcompile.passes.removable import removable
from tests.derivatives import Point, derivatives

STEPS = (1e-6, -1e-9, 1e-13)
NEXT = 1e-16  # so near that a function and its derivatives are their limits


def tweedie(w: Point) -> Any:
    y, m, p = w
    return y ** (2 - p) / ((1 - p) * (2 - p)) - y * m ** (1 - p) / (1 - p) + m ** (2 - p) / (2 - p)


def renyi(w: Point) -> Any:
    p, q, a = w
    return mp.log(p**a * q ** (1 - a) + (1 - p) ** a * (1 - q) ** (1 - a)) / (a - 1)


def bond(w: Point) -> Any:
    m, s, k = w
    b = (1 - mp.exp(-2 * k)) / k
    return (m - s**2 / (2 * k**2)) * (b - 2) - s**2 * b**2 / (4 * k)


def decay(w: Point) -> Any:
    a, t, b = w
    return a / (b - a) * (mp.exp(-a * t) - mp.exp(-b * t))


def mises(w: Point) -> Any:
    return w[0] * w[1] + mp.log(w[1] / mp.sinh(w[1])) - mp.log(4 * mp.pi)


def implied(w: Point) -> Any:
    r, z = w
    return z / mp.log((mp.sqrt(1 - 2 * r * z + z**2) + z - r) / (1 - r))


Model = tuple[str, Callable[[Point], Any], str, list[float], float]
MODELS: dict[str, Model] = {  # text, the same in mpmath, names, the other numbers, and where the last is at the limit
    "Tweedie as Poisson": (
        "y**(2 - p)/((1 - p)*(2 - p)) - y*m**(1 - p)/(1 - p) + m**(2 - p)/(2 - p)", tweedie, "ymp", [1.3, 0.7], 1),
    "Tweedie as gamma": (
        "y**(2 - p)/((1 - p)*(2 - p)) - y*m**(1 - p)/(1 - p) + m**(2 - p)/(2 - p)", tweedie, "ymp", [1.3, 0.7], 2),
    "Renyi": ("log(p**a*q**(1 - a) + (1 - p)**a*(1 - q)**(1 - a))/(a - 1)", renyi, "pqa", [0.3, 0.4], 1),
    "Tsallis": ("(1 - p**q - (1 - p)**q)/(q - 1)", lambda w: (1 - w[0]**w[1] - (1 - w[0])**w[1])/(w[1] - 1), "pq",
        [0.3], 1),
    "Hill": ("(p**q + (1 - p)**q)**(1/(1 - q))", lambda w: (w[0]**w[1] + (1 - w[0])**w[1])**(1/(1 - w[1])), "pq",
        [0.3], 1),
    "Vasicek": ("(m - s**2/(2*k**2))*((1 - exp(-2*k))/k - 2) - s**2*((1 - exp(-2*k))/k)**2/(4*k)", bond, "msk",
        [0.05, 0.02], 0),
    "equal rates": ("a/(b - a)*(exp(-a*t) - exp(-b*t))", decay, "atb", [0.5, 2.0], 0.5),
    "log mean": ("(a - b)/log(a/b)", lambda w: (w[0] - w[1])/mp.log(w[0]/w[1]), "ab", [2.0], 2),
    "von Mises and Fisher": ("k*c + log(k) - log(4*pi*sinh(k))", mises, "ck", [0.3], 0),
    "SABR": ("z/log((sqrt(1 - 2*r*z + z**2) + z - r)/(1 - r))", implied, "rz", [0.3], 0),
    "CES": ("(a*x**r + (1 - a)*3**r)**(1/r)", lambda w: (w[0]*w[1]**w[2] + (1 - w[0])*3**w[2])**(1/w[2]), "axr",
        [0.3, 2.0], 0),
    "geometric sum": ("(1 - x**n)/(1 - x)", lambda w: (1 - w[1]**w[0])/(1 - w[1]), "nx", [3.5], 1),
    "Peclet": ("(exp(p*x) - 1)/(exp(p) - 1)", lambda w: mp.expm1(w[0]*w[1])/mp.expm1(w[1]), "xp", [0.3], 0),
    "continuous Bernoulli": ("log(2*atanh(1 - 2*l)/(1 - 2*l))", lambda w: mp.log(2*mp.atanh(1 - 2*w[0])/(1 - 2*w[0])),
        "l", [], 0.5),
}  # fmt: skip


def compiled(text: str, names: str) -> Any:
    return gc.compile(gc.parse("\n".join([*(f"{name}: parameter" for name in names), f"loss = {text}"])))


def hessian(model: Any, given: dict[str, float], names: str) -> np.ndarray:
    moved = [tuple(float(name == each) for each in names) for name in names]
    rows = [model.hvp(each if len(names) > 1 else each[0], **given) for each in moved]
    return np.array([np.atleast_1d(row) for row in rows], float)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", list(MODELS))
def test_limits_and_digits_beside_them(name: str) -> None:
    text, function, names, rest, limit = MODELS[name]
    model = compiled(text, names)
    for step in (0.0, *STEPS):
        point = [*rest, limit + step]
        with mp.workdps(150):
            place = [*rest, mpf(limit) + NEXT] if step == 0 else point
        value, slopes, second = derivatives(function, place)
        given = dict(zip(names, point, strict=True))
        found, gradient = model.value_and_grad(**given)
        assert found == pytest.approx(value, rel=4e-15)
        np.testing.assert_allclose(
            np.atleast_1d(gradient), slopes, rtol=1e-13, atol=3e-14 * np.max(np.abs(slopes)) + 4 * NEXT
        )
        size = np.max(np.abs(second))
        np.testing.assert_allclose(hessian(model, given, names), second, rtol=1e-11, atol=1e-12 * size)


@pytest.mark.parametrize("text", ["(1 - b)*(f - k)/(f**(1 - b) - k**(1 - b))", "a*exp(-f)/(k - a) + a*exp(-k)/(b - f)"])
@pytest.mark.parametrize("point", [(0.5, 1.0, 1.1, 0.4), (0.5, 1.0, 1.0, 0.4), (0.5, 0.3, 2.5, 0.9)])
def test_choices_inside_one_another(text: str, point: tuple[float, ...]) -> None:
    """A choice that is only made where another is not asks for no condition that has no value there."""

    def function(w: Point) -> Any:
        b, f, k, a = w
        if "a" in text:
            return a * mp.exp(-f) / (k - a) + a * mp.exp(-k) / (b - f)
        return (1 - b) * (f - k) / (f ** (1 - b) - k ** (1 - b))

    names = "bfka" if "a" in text else "bfk"
    with mp.workdps(150):
        places = [*point[:2], mpf(point[2]) + NEXT, *point[3:]]
    value, slopes, _ = derivatives(function, places)
    found, gradient = compiled(text, names).value_and_grad(**dict(zip(names, point, strict=False)))
    assert found == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes[: len(names)], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_have_the_same_limits(dtype: str) -> None:
    text = "p: parameter[N]\nq: parameter\nloss = Sum((1 - p[n]**q - (1 - p[n])**q)/(q - 1), n)"
    model, p = gc.compile(gc.parse(text), dtype=dtype), np.array([0.3, 0.8, 0.5], dtype)
    for _ in range(2):
        found, (dp, dq) = model.value_and_grad(p=p, q=1.0)
        exact = p.astype(float)
        assert found == pytest.approx(-np.sum(exact * np.log(exact) + (1 - exact) * np.log(1 - exact)), rel=1e-6)
        np.testing.assert_allclose(dp, np.log(1 - exact) - np.log(exact), rtol=1e-6, atol=1e-6)
        halves = -(exact * np.log(exact) ** 2 + (1 - exact) * np.log(1 - exact) ** 2) / 2
        assert dq == pytest.approx(np.sum(halves), rel=1e-6)
        model.wait()


@pytest.mark.parametrize("text", ["x/x", "(x**2 - y**2)/(x - y)", "1/(1 + y/x)", "log(1 + exp(x))/y", "exp(x)/(x - y)"])
def test_what_has_no_limit_or_needs_none_is_as_it_is_written(text: str) -> None:
    assert "if" not in compiled(text, "xy" if "y" in text else "x").listing


def test_powers_of_0_that_are_taken_apart_are_no_quotients() -> None:
    model = gc.compile(gc.parse("x: parameter\ny: parameter\nloss = x*0**(y - 1)/(x - y)*log(x/y)\n"))
    assert model.value_and_grad(x=2.0, y=3.0) == (0, (0, 0))


def test_a_series_with_its_rest_is_the_value_however_far_d_is_from_0() -> None:
    builder = Builder()
    x, y = builder.input("x", ()), builder.input("y", ())
    apply = builder.apply
    values = [
        apply("exp", x * y), apply("log", y + x), apply("sqrt", y + x), 1 / (y + x), (y + x) ** 3, apply("sinh", x * y),
        apply("cosh", x), apply("tanh", x), apply("sin", x * y), apply("cos", x), apply("atanh", x / 4), y ** (2 - x),
        (y + x) ** x, (1 + x) ** builder.const(0.75), apply("log", apply("cosh", x)),
    ]  # fmt: skip
    for highest in (1, 2, 3):
        for value in values:
            graph = Graph(builder, {"x": Input("x"), "y": Input("y")}, {"value": value})
            expansion = Expansion(Place.of(x), highest)
            for each in graph.order():
                expansion.add(each)
            made = expansion.known[value]
            assert made is not None
            again = Graph(builder, graph.inputs, {"value": expansion.value(made, value)})
            for given in ({"x": 0.7, "y": 1.9}, {"x": -0.4, "y": 0.8}):
                expected = evaluate(graph, given)["value"]
                assert evaluate(again, given)["value"] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("text", ["(1 - p**q - (1 - p)**q)/(q - 1)", "log(p**q + (1 - p)**q)/(1 - q)"])
def test_the_pass_does_not_change_a_value(text: str) -> None:
    graph = compiled(text, "pq").lowered
    for q in (0.4, 1.2, 3.0):
        given = {"p": 0.3, "q": q}
        expected = evaluate(graph, given)["value"]
        assert evaluate(removable(graph), given)["value"] == pytest.approx(expected, rel=1e-14)


# Second derivatives of functions of a distance


RADIAL: dict[str, tuple[str, Callable[[Any], Any]]] = {  # in the distance r
    "Matern 3/2": ("(1 + sqrt(3)*r/s)*exp(-sqrt(3)*r/s)", lambda u: (1 + mp.sqrt(3) * u) * mp.exp(-mp.sqrt(3) * u)),
    "Matern 5/2": (
        "(1 + sqrt(5)*r/s + 5*r**2/(3*s**2))*exp(-sqrt(5)*r/s)",
        lambda u: (1 + mp.sqrt(5) * u + 5 * u**2 / 3) * mp.exp(-mp.sqrt(5) * u),
    ),
    "Wendland": ("(1 - r/s)**4*(4*r/s + 1)", lambda u: (1 - u) ** 4 * (4 * u + 1)),
    "soft absolute value": ("r/s - log(1 + r/s)", lambda u: u - mp.log(1 + u)),
    "wave": ("cos(r/s)", mp.cos),
    "log cosh": ("log(cosh(r/s))", lambda u: mp.log(mp.cosh(u))),
}
DISTANCES = {"abs(x - y)": 1, "sqrt((x - y)**2 + (u - v)**2)": 2, "sqrt(4*((x - y)**2/2**2 + (u/2 - v/2)**2))": 2}


@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("name", list(RADIAL))
def test_hessians_where_points_coincide(name: str, distance: str) -> None:
    text, function = RADIAL[name]
    names = "xyuvs" if DISTANCES[distance] == 2 else "xys"
    declared = [f"{each}: parameter" for each in names]
    model = gc.compile(gc.parse("\n".join([*declared, f"r = {distance}", f"loss = {text}"])))
    given = dict(zip("xyuvs", [1.0, 1.0, 2.0, 2.0, 0.7], strict=True))
    given = {each: given[each] for each in names}
    with mp.workdps(60):
        bend = float(2 * (function(mpf(10) ** -20) - function(mpf(0))) / mpf(10) ** -40 / mpf(0.7) ** 2)
    expected = np.zeros((len(names), len(names)))
    for pair in (names[:2], names[2:4])[: DISTANCES[distance]]:
        a, b = names.index(pair[0]), names.index(pair[1])
        expected[a, a] = expected[b, b] = bend
        expected[a, b] = expected[b, a] = -bend
    np.testing.assert_allclose(hessian(model, given, names), expected, rtol=1e-14, atol=1e-14 * abs(bend))
    np.testing.assert_array_equal(model.grad(**given), np.zeros(len(names)))


def test_distances_with_a_kink_are_as_they_are() -> None:
    graph = compiled("exp(-abs(x)) + abs(x)**3", "x").lowered
    assert str(radial(graph)).count("select") == 0


def test_roots_of_squares_are_sizes_also_where_a_scale_is_small() -> None:
    """c**2*sqrt(1 + (x/c)**2) goes to abs(x*c) as c goes to 0, and not to x*c, for x of any sign."""
    model = gc.compile(gc.parse("x: parameter\nc: parameter\nloss = c**2*(sqrt(1 + (x/c)**2) - 1)"))
    logs = gc.compile(gc.parse("x: parameter\nc: parameter\nloss = c*(log(c**2 + x**2) - log(x**2)) + (c*x - c)/c"))
    for x in (-1.0, 1.0):
        for c in (-0.1, -3.0, 0.1, 3.0):
            value, slopes, _ = derivatives(lambda p: p[1] ** 2 * (mp.sqrt(1 + (p[0] / p[1]) ** 2) - 1), [x, c])
            found, gradient = model.value_and_grad(x=x, c=c)
            assert found == pytest.approx(value, rel=1e-13)
            np.testing.assert_allclose(gradient, slopes, rtol=1e-13)
            value, slopes, _ = derivatives(
                lambda p: p[1] * (mp.log(p[1] ** 2 + p[0] ** 2) - mp.log(p[0] ** 2)) + p[0] - 1, [x, c]
            )
            found, gradient = logs.value_and_grad(x=x, c=c)
            assert found == pytest.approx(value, rel=1e-13)
            np.testing.assert_allclose(gradient, slopes, rtol=1e-13)


def epidemic(loss: str) -> str:
    """Return a model with what some steps make of the susceptible, exposed and infected."""
    step = "s{1} = s{0} - a*s{0}*i{0}\ne{1} = e{0} + a*s{0}*i{0} - c*e{0}\ni{1} = i{0} + c*e{0} - b*i{0}\n"
    given = "".join(f"{name}: parameter\n" for name in ("a", "b", "c", "s0", "e0", "i0"))
    return f"{given}{''.join(step.format(k, k + 1) for k in range(3))}loss = {loss}\n"


@pytest.mark.parametrize(
    ("loss", "asked"),
    [
        ("i1 - log(9*i1 + 1) + i2 - log(9*i2 + 1) + i3 - log(9*i3 + 1)", False),
        ("(exp(a*i3) - exp(b*i3))/(a - b)", True),
        ("log(a - b) - log((a - b)*i3)", True),
    ],
)
def test_series_are_made_only_where_something_is_divided_by_what_is_zero(loss, asked, monkeypatch) -> None:
    module, places = sys.modules["gradcompile.passes.removable"], []
    own = module._choices
    monkeypatch.setattr(module, "_choices", lambda order, place: places.append(place) or own(order, place))
    gc.compile(gc.parse(epidemic(loss)))
    assert bool(places) is asked


@pytest.mark.parametrize("x", [-1e-5, 2e-5, -0.3, 0.4])
def test_a_logarithm_of_what_is_divided_by_a_square_is_that_of_both_signs(x: float) -> None:
    """Beside a pole, too, that does not cancel: there, what is left has the logarithm of x in it, of |x| if at all."""
    found, (slope,) = gc.compile(
        gc.parse("x: parameter\ny: constant\nloss = y*(exp(x) + 1)/x - log(1 + y**2/x**2)")
    ).value_and_grad(x=x, y=21.0)
    with mp.workdps(50):
        at, y = mp.mpf(x), mp.mpf(21)
        exact = y * (mp.exp(at) + 1) / at - mp.log(1 + y**2 / at**2)
        rate = y * mp.exp(at) / at - y * (mp.exp(at) + 1) / at**2 + 2 * y**2 / (at**3 + at * y**2)
    assert found == pytest.approx(float(exact), rel=1e-14)
    assert slope == pytest.approx(float(rate), rel=1e-13)
