"""Powers of one base are one power: right at 0, where a factor of the product is infinite or steep."""

import math
from fractions import Fraction
from random import Random

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import gradcompile as gc
from gradcompile.interpret import evaluate

INF, NAN = math.inf, math.nan


def model(text: str) -> gc.CompiledModel:
    return gc.compile(gc.parse(f"x: parameter\ny: constant = 2\nz = 0*y + x\nloss = {text}"))


def at(text: str, x: float) -> list[float]:
    """Return value, slope and second derivative."""
    compiled = model(text)
    value, (slope,) = compiled.value_and_grad(x=x)
    return [value, slope, float(np.ravel(compiled.hessian(x=x))[0])]


def power(exponent: Fraction, x: float, factor: int = 1) -> list[float]:
    """Return value and two derivatives of factor*x**exponent at 50 digits."""
    with mpmath.workdps(50):
        e, where = mpf(exponent.numerator) / exponent.denominator, mpf(x)
        terms = (where**e, e * where ** (e - 1), e * (e - 1) * where ** (e - 2) if e != 1 else mpf(0))
        return [float(factor * term) for term in terms]


@pytest.mark.parametrize(
    ("text", "at_zero"),
    [
        ("x**0.5*x", [0, 0, INF]),
        ("sqrt(x)*x", [0, 0, INF]),
        ("y*x*sqrt(x)", [0, 0, INF]),
        ("x**2*x**(-0.5)", [0, 0, INF]),
        ("x**3/sqrt(x)", [0, 0, 0]),
        ("sqrt(x)*x*x", [0, 0, 0]),
        ("sqrt(x)**3", [0, 0, INF]),
        ("sqrt(x**3)", [0, 0, INF]),
        ("(y*sqrt(x))**2*x", [0, 0, 8]),
        ("sqrt(x)*sqrt(x)", [0, 1, 0]),
        ("sqrt(x)**2", [0, 1, 0]),
        ("x**0.3*x**0.4", [0, INF, -INF]),
        ("x**0.3*x**1.9", [0, 0, 0]),
        ("x/sqrt(x)", [0, INF, -INF]),
        ("sqrt(x)/x", [INF, -INF, INF]),
        ("x**2/x", [0, 1, 0]),
        ("1/x/x", [INF, -INF, INF]),
        ("x/(1/x)", [0, 0, 2]),
    ],
)
def test_a_product_of_powers_has_the_slope_of_its_limit_at_0(text: str, at_zero: list[float]) -> None:
    assert at(text, 0.0) == at_zero


@pytest.mark.parametrize(
    ("text", "at_zero", "below"),
    [
        ("x/x", NAN, 1.0),  # what is no power at all stays as it is
        ("sqrt(x)*sqrt(x)", 0.0, NAN),  # a root is not defined where the product of two of them would be
        ("sqrt(x)**4", 0.0, NAN),
        ("x**0.3*x**0.7*x", 0.0, NAN),
        ("sqrt(x)*sqrt(x)/x", NAN, NAN),
        ("sqrt(exp(x))*sqrt(exp(x))", 1.0, math.exp(-3)),
        ("abs(x)**0.5*abs(x)**0.5", 0.0, 3.0),
        ("x**2*x**3", 0.0, -243.0),
        ("x**(1/3)*x**(2/3)", 0.0, NAN),
        ("(x**2)**0.5*x", 0.0, -9.0),
        ("((x**2)**0.25)**4*sqrt(y)*y", 0.0, 18 * math.sqrt(2)),
        ("((x*z)**0.25)**4*sqrt(y)*y", 0.0, 18 * math.sqrt(2)),
        ("(sqrt(x)**4)**0.5*sqrt(y)*y", 0.0, NAN),
        ("sqrt(x)**4*sqrt(y)*y", 0.0, NAN),
        ("sqrt(x**2*y)/sqrt(y)*x", 0.0, -9.0),
    ],
)
def test_products_of_powers_keep_their_domain(text: str, at_zero: float, below: float) -> None:
    values = [model(text).value(x=place) for place in (0.0, -3.0)]
    assert values == pytest.approx([at_zero, below], rel=1e-15, nan_ok=True)


def test_a_product_of_roots_is_nan_with_its_slope_where_the_roots_are() -> None:
    value, (slope,) = model("sqrt(x)*sqrt(x)").value_and_grad(x=-1.0)
    assert math.isnan(value)
    assert math.isnan(slope)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("seed", range(40))
def test_random_products_of_powers(seed: int) -> None:
    """Value and two derivatives against the one power that a product is, at 50 digits."""
    random = Random(seed)
    exponents = [Fraction(random.randint(-6, 9), random.choice((1, 2, 2, 4))) for _ in range(random.randint(2, 4))]
    text = "*".join(f"x**({e.numerator / e.denominator})" for e in exponents)
    total = sum(exponents)
    for place in (1e-3, 0.7, 4.0, 1e5):
        assert at(text, place) == pytest.approx(power(total, place), rel=1e-13)
    if total > 2 and not all(e >= 0 and e.denominator == 1 for e in exponents):
        assert at(text, 0.0) == [0, 0, 0]


@pytest.mark.parametrize("exponent", [Fraction(n, 2) for n in range(3, 19, 2)])
@pytest.mark.parametrize("place", [1e-310, 1e-3, 0.7, 4.0, 1e60])
def test_powers_of_halves(exponent: Fraction, place: float) -> None:
    """Some are beyond those that are computed as roots; overflow is that of the power itself."""
    assert at(f"3*x**{float(exponent)}", place) == pytest.approx(power(exponent, place, 3), rel=4e-15, abs=1e-320)


def test_powers_of_halves_are_computed_as_roots() -> None:
    graph = model("x**2.5").graph
    assert "pow" not in [v.op for v in graph.order() if not v.operands[1:] or v.operands[1].kind != "int"]
    assert "sqrt" in [v.op for v in graph.order()]
    assert evaluate(graph, {"x": 4.0, "y": 2.0})["dx"] == 20.0


@pytest.mark.parametrize("exponent", [Fraction(n, 3) for n in (1, 2, 4, 5, 7, 23)])
@pytest.mark.parametrize("place", [1e-100, 1e-3, 0.7, 4.0, 1e30])
def test_powers_of_thirds_of_what_is_not_negative(exponent: Fraction, place: float) -> None:
    text = f"3*abs(x)**({exponent.numerator}/{exponent.denominator})"
    assert at(text, place) == pytest.approx(power(exponent, place, 3), rel=4e-15)


@pytest.mark.parametrize("place", [-8.0, -1e-3, 0.5, 27.0])
def test_the_real_cube_root_is_one_function(place: float) -> None:
    compiled = model("2*cbrt(x) + abs(x)**(2/3)")
    assert not {"abs", "sign"} & {v.op for v in compiled.graph.order([compiled.graph.outputs["value"]])}
    value, (slope,) = compiled.value_and_grad(x=place)
    with mpmath.workdps(30):
        root = mpmath.sign(place) * mpmath.cbrt(abs(mpf(place)))
        assert value == pytest.approx(float(2 * root + root**2), rel=1e-15)
        assert slope == pytest.approx(float(2 / (3 * root**2) + 2 / (3 * root)), rel=4e-15)


def test_a_power_of_a_third_of_what_may_be_negative_stays_one() -> None:
    compiled = model("x**(1/3)")
    assert "cbrt" not in [v.op for v in compiled.graph.order()]
    assert math.isnan(compiled.value(x=-8.0))


AT_0 = {  # a formula that is 0 where x is, whatever c is, and its slope in c elsewhere
    "power law": ("(X/c)**b", lambda x, c, b: -b / c * (x / c) ** b),
    "root of a quotient": ("b*sqrt(X/c)", lambda x, c, b: -b / 2 / c * mpmath.sqrt(x / c)),
    "root of a product": ("b*sqrt(2*c*X)", lambda x, c, b: b * mpmath.sqrt(2 * c * x) / 2 / c),
    "stretched exponential": (
        "-exp(-(3*c*X/b)**b)", lambda x, c, b: b / c * (3 * c * x / b) ** b * mpmath.exp(-((3 * c * x / b) ** b)),
    ),
    "dose and response": ("1 - 1/(1 + (X/c)**b)", lambda x, c, b: -b / c * (x / c) ** b / (1 + (x / c) ** b) ** 2),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_0)
@pytest.mark.parametrize("of_x", [False, True])
def test_slopes_of_other_factors_where_a_power_is_0(name: str, of_x: bool) -> None:
    """The slope in x itself is infinite there, and that in c is 0."""
    text, slope = AT_0[name]
    kind = "parameter" if of_x else "data"
    text = f"x: {kind}[N]\nc: parameter\nb: constant\nloss = Sum({text}, n)"
    model = gc.compile(gc.parse(text.replace("X", "x[n]")))
    for x in (0.0, 1e-9, 0.3, 7.0):
        found = model.grad(x=np.array([x]), c=0.7, b=0.6)
        right = slope(mpmath.mpf(x), mpmath.mpf(0.7), mpmath.mpf(0.6)) if x else 0
        assert abs(found[-1] - right) < 1e-13 * abs(right) or found[-1] == right == 0
        if of_x and x == 0:
            assert np.isinf(found[0][0])


def test_slope_of_a_power_of_a_product_in_a_factor_that_is_0() -> None:
    model = gc.compile(gc.parse("c: parameter\nx: constant\nb: constant\nloss = (c*x)**b"))
    assert model.grad(c=0.0, x=2.0, b=2.5) == (0.0,)
    assert model.grad(c=0.0, x=2.0, b=1.0) == (2.0,)
    assert model.grad(c=0.0, x=2.0, b=0.5) == (np.inf,)
