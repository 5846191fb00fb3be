"""Functions without a row in the table are rewritten until rows fit; a user's own keep their derivative."""

import mpmath
import numpy as np
import pytest
import sympy
import sympy.stats
from sympy import Rational, Symbol, symbols
from sympy.codegen import cfunctions
from sympy.utilities.lambdify import implemented_function

from gradcompile.adjoint import adjoint
from gradcompile.compiler import compile
from gradcompile.errors import UnsupportedError
from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from gradcompile.model import Model
from gradcompile.verify import verify
from tests.conftest import readable

x, y = symbols("x y")
AT = {"x": 0.7, "y": 0.4}

EXPRESSIONS = [
    *(f(x) for f in (sympy.sec, sympy.csc, sympy.cot, sympy.sech, sympy.csch, sympy.coth, sympy.sinc, sympy.acot)),
    *(f(x + 1) for f in (sympy.asec, sympy.acsc, sympy.acoth)),
    *(f(x) for f in (sympy.asech, sympy.acsch, sympy.erfc, sympy.factorial, sympy.harmonic, sympy.catalan)),
    *(f(x) for f in (sympy.loggamma, sympy.digamma, sympy.trigamma, sympy.gamma)),
    *(f(x, y) for f in (sympy.binomial, sympy.beta, sympy.atan2)),
    sympy.polygamma(2, x),
    sympy.Heaviside(x - y),
    sympy.Heaviside(x - x * y / y),
    sympy.frac(3 * x),
    sympy.Mod(5 * x, 2),
    sympy.floor(5 * x) + sympy.ceiling(5 * x) + sympy.sign(y - x),
    sympy.KroneckerDelta(x, y),
    sympy.real_root(x, 3),
    sympy.Max(x, y, Rational(1, 2)) - sympy.Min(x, y, 1),
    sympy.Derivative(sympy.sin(x) * y, x),
    sympy.EulerGamma * x + sympy.GoldenRatio,
    sympy.UnevaluatedExpr(x) + 1,
    sympy.legendre(3, x),
    sympy.rf(x, 2),
    (x**5) ** Rational(1, 3),
    sympy.Piecewise((1, sympy.Xor(x > y, y > 0)), (2, True)),
    sympy.Piecewise((1, sympy.ITE(x > y, x > 1, y > 0)), (2, True)),
    cfunctions.log1p(x),
    cfunctions.expm1(x),
    cfunctions.log2(x),
    cfunctions.exp2(x),
    cfunctions.hypot(x, y),
]


def lowered(expr):
    return verify(lower(Model(expr, (x, y))))


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=readable)
def test_value(expr):
    got = evaluate(lowered(expr), AT)["value"]
    expected = float(sympy.N(expr.doit().subs(AT)))
    assert abs(got - expected) <= 1e-14 * max(1, abs(expected))


@pytest.mark.parametrize("half", [(), (0,), (1,), (Rational(1, 4),)])
@pytest.mark.parametrize("at", [-2, 0, 3])
def test_step_has_its_own_value_at_0(half, at):
    step = sympy.Heaviside(x, *half)
    assert evaluate(lowered(step), {"x": float(at), "y": 0.0})["value"] == float(step.subs(x, at))


class Logistic(sympy.Function):
    """A function whose derivative is written on its own value."""

    def _eval_rewrite_as_exp(self, u, **_):
        return 1 / (1 + sympy.exp(-u))

    def fdiff(self, argindex=1):
        return self * (1 - self)


class Clipped(sympy.Function):
    """Straight-through: the value is a step, the derivative that of the identity."""

    @classmethod
    def eval(cls, u, v):
        return None

    def _eval_rewrite_as_Piecewise(self, u, v, **_):
        return sympy.Piecewise((v, u > 0), (-v, True))

    def fdiff(self, argindex=1):
        return sympy.Integer(1) if argindex == 1 else sympy.sign(self.args[0])


def test_a_users_own_derivative_is_used():
    expr = Clipped(x * y, y) ** 2
    got = evaluate(adjoint(lowered(expr)), {"x": 0.7, "y": 0.4})
    value, partial = 0.4, 2 * 0.4
    assert np.isclose(got["value"], value**2)
    assert np.isclose(got["dx"], partial * 0.4)
    assert np.isclose(got["dy"], partial * (0.7 + 1))


def test_a_derivative_on_the_value_itself():
    got = evaluate(adjoint(lowered(Logistic(x) + Logistic(x * y))), AT)
    s, t = 1 / (1 + np.exp(-0.7)), 1 / (1 + np.exp(-0.28))
    assert np.isclose(got["value"], s + t)
    assert np.isclose(got["dx"], s * (1 - s) + 0.4 * t * (1 - t))


def test_an_implementation_in_arithmetic_is_enough():
    square = implemented_function("square", lambda u: u**2 + 1)
    assert np.isclose(evaluate(lowered(square(x) * y), AT)["value"], 1.49 * 0.4)


@pytest.mark.parametrize(
    "expr",
    [
        sympy.Function("mystery")(x),
        sympy.zeta(x),
        sympy.besselj(0, x),
        sympy.polygamma(x, y),
        sympy.Integral(sympy.sin(x * y), x),
        sympy.Limit(sympy.sin(x) / x, x, 0),
        sympy.I * x,
        sympy.oo * x,
        sympy.DiracDelta(x),
        sympy.Derivative(sympy.Function("mystery")(x), x),
    ],
    ids=readable,
)
def test_what_has_no_meaning_is_shown(expr):
    with pytest.raises(UnsupportedError) as caught:
        lower(Model(Symbol("q") + 2 * expr, (x, y)))
    assert "^" in str(caught.value)


NEAR_1 = (1 + 1e-12, -1 - 1e-12)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("asech", (1e-300, 1e-10, 0.5, 1 - 1e-9, 1 - 1e-15)),
        ("acsch", (1e-200, -1e-10, -3.0, 1e10, 1e150)),
        ("acoth", (*NEAR_1, 2.0, -3.0, 1e150)),
        ("asec", (*NEAR_1, 2.0, -3.0, 1e150)),
        ("acsc", (*NEAR_1, 2.0, -3.0, 1e150)),
    ],
)
def test_inverses_of_reciprocals_keep_their_digits(name, places):
    """Value and slope to 15 digits, from mpmath, with differences at 700 digits."""
    compiled, function = compile(getattr(sympy, name)(x), wrt=x), getattr(mpmath.mp, name)
    for place in places:
        value, slope = compiled.value_and_grad(x=place)
        with mpmath.workdps(700):
            at = mpmath.mpf(place)
            exact, exact_slope = function(at), mpmath.diff(function, at, h=at * mpmath.mpf(10) ** -250)
        assert value == pytest.approx(float(exact), rel=1e-15, abs=0)
        assert slope == pytest.approx(float(exact_slope), rel=1e-15, abs=0)


@pytest.mark.parametrize("name", ["asech", "acsch", "acoth", "asec", "acsc"])
def test_inverses_of_reciprocals_have_second_derivatives_far_out(name):
    compiled, function = compile(getattr(sympy, name)(x), wrt=x), getattr(mpmath.mp, name)
    for place in (0.5, 1e-100) if name == "asech" else (-3.0, 1e80, 1e120, -1e200, 1e300):
        with mpmath.workdps(1500):
            at = mpmath.mpf(place)
            exact = mpmath.diff(function, at, 2, h=at * mpmath.mpf(10) ** -200)
        assert compiled.hvp(1.0, x=place) == pytest.approx(float(exact), rel=1e-12, abs=0)


@pytest.mark.parametrize("drawn", ["Binomial", "Geometric", "NegativeBinomial", "Poisson"])
def test_probabilities_of_sympy_are_models(drawn):
    """Those of counts ask whether a number is whole."""
    p = Symbol("p", positive=True)
    arguments = {"Binomial": (5, p), "Geometric": (p,), "NegativeBinomial": (3, p), "Poisson": (p,)}[drawn]
    density = sympy.stats.density(getattr(sympy.stats, drawn)("X", *arguments))
    model = compile(-sympy.log(density(x)), wrt=p, data=[x])
    exact = [-sympy.log(density(k)) for k in (1, 2)]
    value, slope = model.value_and_grad(x=[1, 2], p=0.3)
    assert value == pytest.approx(float(sum(e.subs(p, Rational(3, 10)) for e in exact) / 2), rel=1e-14)
    assert slope == pytest.approx(float(sum(e.diff(p).subs(p, Rational(3, 10)) for e in exact) / 2), rel=1e-13)


INTERVALS = [
    sympy.Interval(0, 1),
    sympy.Interval.open(0, 1),
    sympy.Interval(-sympy.oo, 1),
    sympy.Interval.Lopen(0, sympy.oo),
    sympy.FiniteSet(0, 3),
    sympy.Union(sympy.Interval(0, 1), sympy.Interval.open(2, 3)),
]


@pytest.mark.parametrize("those", INTERVALS, ids=str)
def test_members_of_intervals(those):
    points = [-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0]
    model = compile(sympy.Piecewise((x, sympy.Contains(x, those)), (9, True)), wrt=x)
    assert [model.value(x=at) for at in points] == [at if those.contains(at) is sympy.true else 9.0 for at in points]


@pytest.mark.parametrize(("those", "inside"), [("Integers", [-1, 0, 1]), ("Naturals", [1]), ("Naturals0", [0, 1])])
def test_whole_numbers_are_asked_for(those, inside):
    formula = sympy.Piecewise((x, sympy.Contains(x, getattr(sympy.S, those), evaluate=False)), (9, True))
    model = compile(formula, wrt=x)
    assert [model.value(x=k / 2) for k in range(-2, 3)] == [k / 2 if k / 2 in inside else 9.0 for k in range(-2, 3)]
