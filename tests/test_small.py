"""Formulas that cancel for a small number: value, slope and second derivative have their digits, and limits at 0."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Expr, Symbol, atan, cos, cosh, coth, erf, exp, log, sin, sinc, sinh, sqrt, tanh

import gradcompile as gc
from gradcompile.passes import power_series
from gradcompile.passes.small import small
from tests.derivatives import derivatives

X, Y, Z = Symbol("x"), Symbol("y"), Symbol("z")
POINTS = [1e-30, -1e-8, 1e-4, -0.003, 0.03, -0.3, 0.49, 0.51, -0.99, 1.01, -2.5, 20.0]

# formula: its limits at 0, of the value, the slope and the second derivative
FORMS: dict[Expr, tuple[float, float, float]] = {
    sinc(X): (1, 0, -1 / 3),
    sinh(X) / X: (1, 0, 1 / 3),
    coth(X) - 1 / X: (0, 1 / 3, 0),
    (1 - cos(X)) / X**2: (1 / 2, 0, -1 / 12),
    (X - sin(X)) / X**3: (1 / 6, 0, -1 / 60),
    log(sinh(X) / X): (0, 0, 1 / 3),
    tanh(X) / X: (1, 0, -2 / 3),
    erf(X) / X: (2 / np.pi**0.5, 0, -4 / 3 / np.pi**0.5),
    1 / X - 1 / sinh(X): (0, 1 / 6, 0),
    1 / X - 1 / (exp(X) - 1): (1 / 2, -1 / 12, 0),
    2 * (exp(-X) - 1 + X) / X**2: (1, -1 / 3, 1 / 6),
    3 * (sin(X) - X * cos(X)) / X**3: (1, 0, -1 / 5),
    log(cosh(X)) / X**2: (1 / 2, 0, -1 / 6),
    (X - atan(X)) / X**3: (1 / 3, 0, -2 / 5),
    (X - log(1 + X)) / X**2: (1 / 2, -1 / 3, 1 / 2),
    (sqrt(1 + X**2) - 1) / X**2: (1 / 2, 0, -1 / 4),
    1 - (1 - X) ** 3: (0, 3, -6),
    ((1 + X) ** 5 - 1) / X: (5, 10, 20),
    1 - (1 - X**2) ** 3: (0, 0, 6),
}


def ids(form: Expr) -> str:
    return str(form)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("form", FORMS, ids=ids)
def test_digits_near_0(form: Expr) -> None:
    model = gc.compile(form, wrt=X)
    derivatives = [form, form.diff(X), form.diff(X, 2)]
    for point in POINTS if not form.has(log(1 + X)) else [point for point in POINTS if point > -1]:
        value, slope = model.value_and_grad(x=point)
        found = [value, slope, model.hessian(x=point)]
        with mpmath.workdps(250):
            expected = [sympy.lambdify(X, d, "mpmath")(mpmath.mpf(point)) for d in derivatives]
        # at the end of the polynomial, a second derivative may have lost four digits
        np.testing.assert_allclose(found, np.array(expected, float), rtol=5e-12)
    value, slope = model.value_and_grad(x=0.0)
    np.testing.assert_allclose([value, slope, model.hessian(x=0.0)], FORMS[form], rtol=1e-15)


def test_a_biweight_loss_has_its_value_where_residuals_are_small() -> None:
    """Tukey's, in units of a cutoff that is far away; quotients of powers stay as they are written."""
    r, c = Symbol("r"), Symbol("c")
    loss = c**2 / 6 * (1 - (1 - (r / c) ** 2) ** 3)
    for cutoff in (4.0, 1e5, 1e9):
        value, slope = gc.compile(loss, wrt=r).value_and_grad(r=3.0, c=cutoff)
        with mpmath.workdps(60):
            u = (mpmath.mpf(3) / cutoff) ** 2
            exact = [mpmath.mpf(cutoff) ** 2 / 6 * (1 - (1 - u) ** 3), 3 * (1 - u) ** 2]
        np.testing.assert_allclose([value, slope], np.array(exact, float), rtol=1e-15)
    assert "lt" not in str(gc.compile(1 - 1 / (1 + r) ** 2, wrt=r).graph)


def test_float32_has_its_digits_too() -> None:
    model = gc.compile(3 * (sin(X) - X * cos(X)) / X**3, wrt=X, dtype="float32")
    value, slope = model.value_and_grad(x=np.float32(1e-3))
    assert value == pytest.approx(1, rel=1e-6)
    assert slope == pytest.approx(-1e-3 / 5, rel=1e-5)


def test_the_number_may_be_any_value() -> None:
    u = X * Y
    value, grads = gc.compile(sin(u) / u, wrt=[X, Y]).value_and_grad(x=1e-5, y=3e-4)
    assert value == 1
    assert grads == pytest.approx((-1e-5 * 3e-4**2 / 3, -(1e-5**2) * 3e-4 / 3), rel=1e-14)


@pytest.mark.parametrize("form", [sinh(X * Y) / X, (exp(X * Y) - 1 - X * Y) / X**2, (1 - cos(X * Y)) / X], ids=ids)
@pytest.mark.parametrize("x", [1e-9, -1e-3, 0.2, 3.0])
def test_digits_of_a_quotient_by_one_factor(form: Expr, x: float) -> None:
    value, slopes = gc.compile(form, wrt=[X, Y]).value_and_grad(x=x, y=0.7)
    with mpmath.workdps(100):
        point = mpmath.mpf(x), mpmath.mpf(0.7)
        expected = [float(sympy.lambdify([X, Y], f, "mpmath")(*point)) for f in (form, form.diff(X), form.diff(Y))]
    np.testing.assert_allclose([value, *slopes], expected, rtol=1e-13)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("at", [(1e-9, 0.1), (1e-3, 2.0), (0.1, 0.4), (2.0, 1.5)])
def test_digits_of_powers_of_a_product_that_are_apart(power: int, at: tuple[float, float]) -> None:
    """The form factor of a sphere is ``(3*sin(x*y) - 3*x*y*cos(x*y))**2/(x**6*y**6)``."""

    def shape(x: mpmath.mpf, y: mpmath.mpf) -> mpmath.mpf:
        return (3 * (mpmath.sin(x * y) - x * y * mpmath.cos(x * y)) / (x * y) ** 3) ** power

    model = gc.compile((3 * (sin(X * Y) - X * Y * cos(X * Y)) / (X * Y) ** 3) ** power, wrt=(X, Y))
    right, slopes, second = derivatives(lambda point: shape(*point), list(at))
    value, gradient = model.value_and_grad(x=at[0], y=at[1])
    assert value == pytest.approx(right, rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13)
    np.testing.assert_allclose(model.hessian(x=at[0], y=at[1]), second, rtol=1e-12)


ANGLE = sqrt(X**2 + Y**2 + Z**2)
ROTATIONS: dict[str, Expr] = {  # of exponentials and logarithms of rotations, and of quaternions
    "sine": X * sin(ANGLE) / ANGLE,
    "cosine": -Y * X * (1 - cos(ANGLE)) / ANGLE**2,
    "left Jacobian": (ANGLE - sin(ANGLE)) / ANGLE**3,
    "inverse Jacobian": 1 / ANGLE**2 - (1 + cos(ANGLE)) / (2 * ANGLE * sin(ANGLE)),
    "quaternion": Y * sin(ANGLE / 2) / ANGLE,
    "in a plane": (1 - cos(sqrt(X**2 + Y**2))) / (X**2 + Y**2) * Z,
}
SIZES = [1e-150, 1e-9, 1e-4, 0.01, 0.7]


@pytest.mark.parametrize("name", ROTATIONS)
def test_digits_of_rotations_by_small_angles(name: str) -> None:
    form, at = ROTATIONS[name], (X, Y, Z)
    model = gc.compile(form, wrt=at)
    exact = sympy.lambdify(at, form, "mpmath")
    for size in SIZES:
        point = [0.6 * size, -0.5 * size, 0.3 * size]
        value, slopes = model.value_and_grad(**dict(zip("xyz", point, strict=True)))
        with mpmath.workdps(1000):
            expected = [float(exact(*map(mpmath.mpf, point)))]
            for k in range(3):
                moved = [[mpmath.mpf(c) * (1 + s * (j == k)) for j, c in enumerate(point)] for s in (STEP, -STEP)]
                expected.append(float((exact(*moved[0]) - exact(*moved[1])) / (2 * STEP * mpmath.mpf(point[k]))))
        np.testing.assert_allclose([value, *slopes], expected, rtol=1e-13)


STEP = mpmath.mpf(10) ** -40
LIMITS = {  # value and Hessian, row by row, where there is no rotation
    "sine": (0, [0] * 9),
    "cosine": (0, [0, -1 / 2, 0, -1 / 2, 0, 0, 0, 0, 0]),
    "left Jacobian": (1 / 6, [-1 / 60, 0, 0, 0, -1 / 60, 0, 0, 0, -1 / 60]),
    "inverse Jacobian": (1 / 12, [1 / 360, 0, 0, 0, 1 / 360, 0, 0, 0, 1 / 360]),
    "quaternion": (0, [0] * 9),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_where_there_is_no_rotation(name: str) -> None:
    model = gc.compile(ROTATIONS[name], wrt=[X, Y, Z])
    value, hessian = LIMITS[name]
    nowhere = dict.fromkeys("xyz", 0.0)
    assert model.value(**nowhere) == pytest.approx(value, rel=1e-15)
    slope = {"sine": (1, 0, 0), "quaternion": (0, 1 / 2, 0)}.get(name, (0, 0, 0))
    assert model.grad(**nowhere) == pytest.approx(slope, rel=1e-15)
    assert np.ravel(model.hessian(**nowhere)) == pytest.approx(hessian, rel=1e-14)


STUMPFF = {
    (1 - cos(sqrt(X))) / X: (1 / 2, -1 / 24),
    (sqrt(X) - sin(sqrt(X))) / sqrt(X) ** 3: (1 / 6, -1 / 120),
    (1 - cosh(sqrt(-X))) / X: (1 / 2, -1 / 24),
    (sinh(sqrt(-X)) - sqrt(-X)) / sqrt(-X) ** 3: (1 / 6, -1 / 120),
    sin(sqrt(X)) / sqrt(X): (1, -1 / 6),
}


@pytest.mark.parametrize("form", STUMPFF, ids=ids)
def test_digits_of_functions_of_a_root(form: Expr) -> None:
    model, side = gc.compile(form, wrt=X), -1 if form.has(sqrt(-X)) else 1
    for size in (1e-300, 1e-20, 1e-8, 1e-3, 0.1, 0.9, 3.0):
        with mpmath.workdps(1000):
            expected = [sympy.lambdify(X, f, "mpmath")(mpmath.mpf(side * size)) for f in (form, form.diff(X))]
        np.testing.assert_allclose(model.value_and_grad(x=side * size), np.array(expected, float), rtol=2e-13)
    assert model.value_and_grad(x=0.0) == pytest.approx(STUMPFF[form], rel=1e-15)


def test_root_of_a_negative_number_stays_none() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(gc.compile((1 - cos(sqrt(X))) / X, wrt=X).value(x=-1e-3))


def test_rotations_of_many() -> None:
    text = """
        r: parameter[N, 3]
        x: data[N, 3]
        angle[n] = sqrt(Sum(r[n, i]**2, i))
        along[n] = Sum(r[n, i]*x[n, i], i)
        loss = Sum(x[n, i]*cos(angle[n]) + r[n, i]*along[n]*(1 - cos(angle[n]))/angle[n]**2, n, i)
    """
    model, x = gc.compile(gc.parse(text)), np.array([[0.3, -1.0, 2.0]] * 4)
    r = np.array([[0.1, 0.2, -0.3]] * 4) * np.array([[0.0], [1e-9], [1e-4], [1.0]])

    def exact(r: list[mpmath.mpf], row: int) -> mpmath.mpf:
        angle, along = mpmath.norm(r), mpmath.fdot(r, x[row])
        turned = along * (1 - mpmath.cos(angle)) / angle**2
        return sum(mpmath.cos(angle) * a + turned * b for a, b in zip(x[row], r, strict=True))

    for _ in range(2):  # before and after it is compiled
        _, (gradient,) = model.value_and_grad(r=r, x=x)
        np.testing.assert_allclose(gradient[0], 0, atol=1e-300)
        for row in (1, 2, 3):
            _, slopes, _ = derivatives(lambda r, row=row: exact(r, row), r[row].tolist())
            np.testing.assert_allclose(gradient[row], slopes, rtol=1e-13, atol=1e-15)
        model.wait()


def test_a_robot_that_does_not_turn_goes_straight() -> None:
    east, north = (X / Y * wave for wave in (sin(Z + Y / 8) - sin(Z), cos(Z) - cos(Z + Y / 8)))
    s, c = np.sin(0.7), np.cos(0.7)
    for form, value, slopes in ((east, c, (c, -s / 8, -2 * s)), (north, s, (s, c / 8, 2 * c))):
        found, gradient = gc.compile(form, wrt=[X, Y, Z]).value_and_grad(x=2.0, y=0.0, z=0.7)
        assert found == pytest.approx(value / 4, rel=1e-15)
        assert gradient == pytest.approx([slope / 8 for slope in slopes], rel=1e-15)


def test_floats_count_as_the_numbers_that_they_are() -> None:
    model = gc.compile((0.1 - 0.1 * cos(X)) / X**2, wrt=X)
    assert model.value_and_grad(x=1e-9) == pytest.approx((0.05, -0.1 / 12 * 1e-9), rel=1e-14)


@pytest.mark.parametrize("form", [X**2 - X, sin(X) - Y, exp(X) - 1, (X + 1) / (X + 2), tanh(X) + X, 1 / X], ids=ids)
def test_other_formulas_stay(form: Expr) -> None:
    assert "abs(" not in gc.emit(form, wrt=[X], target="python").partition("def conclude")[0]


def test_series_of_functions_are_those_of_sympy() -> None:
    for name, head in {
        "tan": sympy.tan,
        "tanh": tanh,
        "asin": sympy.asin,
        "asinh": sympy.asinh,
        "sech": sympy.sech,
    }.items():
        series = sympy.Poly(head(X).series(X, 0, 10).removeO(), X)
        assert power_series.taylor(name)[:10] == [series.coeff_monomial(X**n) for n in range(10)]  # type: ignore[index]  # there is one


def test_nothing_to_do_changes_nothing() -> None:
    graph = gc.compile(X**2 + Y, wrt=[X]).graph
    assert small(graph) is graph


@pytest.mark.parametrize("text", ["sinh(x)/sinh(x)", "y*sin(x)*x/sin(x)", "(1 - cos(x))*exp(y)/(1 - cos(x))"])
def test_what_is_above_and_below_cancels(text: str) -> None:
    """Text is not simplified: a series once had both of them above."""
    model = gc.compile(gc.parse(f"x: parameter\ny: parameter\nloss = {text} + 0*y"))
    given = {name: number for name, number in {"x": 0.25, "y": 2.0}.items() if name in model.arguments}
    expected = {"s": 1.0, "y": 0.5, "(": np.exp(2.0)}[text[0]]
    assert model.value(**given) == pytest.approx(expected, rel=1e-15)
    slope = 2.0 if text[0] == "y" else 0.0
    assert np.ravel(model.grad(**given))[0] == pytest.approx(slope, rel=1e-14, abs=1e-14)
