"""Formulas of statistics, physics, chemistry, finance and machine learning, at ordinary and at extreme points.

The oracle is mpmath, on what SymPy differentiates: `python -m tests.formulas NAME ...` compares value and slopes, as
scalars and as arrays of both precisions. A number is right if it is finite and has its digits, but for what a last bit
of the arguments changes.
"""

# ruff: noqa: E501  (a formula and its points are a line)
from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import sympy
from mpmath import mp, mpf
from sympy import (
    Abs,
    Expr,
    IndexedBase,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    acosh,
    atan,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    gamma,
    log,
    loggamma,
    pi,
    sin,
    sinh,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc

Grid = dict[Symbol, list[float]]
KINDS = ("scalars", "float64", "float32")
POINTS = 40  # of those in a grid
WRONG = 3000  # times the precision, and
SPREAD = 200  # times what a last bit of the arguments changes
POSITIVES = [1e-8, 0.01, 0.3, 1.7, 12.0, 150.0, 4e3]
FEW = [0.2, 1.0, 2.5, 9.0]
REALS = [-800.0, -90.0, -40.0, -20.0, -3.0, -0.4, 0.0, 1e-9, 0.3, 2.0, 18.0, 38.0, 95.0, 750.0]
MIDDLING = [-30.0, -2.0, -1e-6, 0.0, 0.7, 3.0, 25.0]
a, b, c, k, m, n, r, s, t, u, v, x, y = symbols("a b c k m n r s t u v x y")
# fmt: off
FORMULAS: dict[str, tuple[Expr, Grid]] = {
    "weibull cdf": (1-exp(-(t/s)**k), {t: POSITIVES, s: FEW, k: [0.5, 1.0, 3.0, 8.0]}),
    "elu": (Piecewise((x, x>0), (a*(exp(x)-1), True)), {x: REALS, a: [1.0, 1.67]}),
    "logistic": (1/(1+exp(-a*(x-b))), {x: REALS, a: [0.7, 1.0], b: [0.0, 2.0]}),
    "bose2": (exp(2*x)/(exp(x)-1)**2, {x: [each for each in REALS if each]}),
    "richards": ((1+t*exp(-b*x))**(-1/t), {x: REALS, t: [1e-9, 0.1, 1.0, 5.0], b: [0.5, 2.0]}),
    "matern32": ((1+sqrt(3)*Abs(x-y)/s)*exp(-sqrt(3)*Abs(x-y)/s), {x: [0.0, 1.0, 1+1e-9, 3.0], y: [1.0, 0.0, 1+1e-12, 1000.0], s: [0.1, 1.0]}),
    "matern52": ((1+sqrt(5)*Abs(x-y)/s+5*(x-y)**2/(3*s**2))*exp(-sqrt(5)*Abs(x-y)/s), {x: [0.0, 1.0, 1+1e-9, 3.0], y: [1.0, 0.0, 1+1e-12, 1000.0], s: [0.1, 1.0]}),
    "matern32 2d": ((1+sqrt(3*((x-y)**2+(u-v)**2)))*exp(-sqrt(3*((x-y)**2+(u-v)**2))), {x: [0.0, 1.0, 1+1e-9], y: [1.0, 0.0, 1+1e-12], u: [0.5, 0.5+1e-8], v: [0.5, 7.0]}),
    "gev cdf": (exp(-(1+c*(x-m)/s)**(-1/c)), {x: [-1.0, 0.0, 1.0, 5.0, 100.0], m: [0.0], s: [1.0, 3.0], c: [1e-10, 1e-4, 0.1, 0.4]}),
    "gpd pdf": ((1+c*x/s)**(-1/c-1)/s, {x: [0.0, 0.1, 1.0, 50.0, 1e6], s: [0.5, 2.0], c: [1e-12, 1e-5, 0.1, 2.0]}),
    "loglogistic pdf": ((b/a)*(x/a)**(b-1)/(1+(x/a)**b)**2, {x: POSITIVES, a: FEW, b: [1.0, 3.0, 40.0, 300.0]}),
    "burr cdf": (1-(1+x**c)**(-k), {x: POSITIVES, c: [0.5, 2.0, 200.0], k: [0.1, 1.0, 7.0]}),
    "dagum": ((1+(x/b)**(-a))**(-k), {x: POSITIVES, b: FEW, a: [0.5, 2.0, 90.0], k: [0.5, 4.0]}),
    "cloglog": (1-exp(-exp(a+b*x)), {x: MIDDLING, a: [-1.0, 0.0], b: [0.5, 2.0]}),
    "cauchit": (atan(a*(x-b))/pi+Rational(1, 2), {x: [-1e10, -1e3, -2.0, 0.0, 2.0, 1e3, 1e10], a: [0.1, 1.0], b: [0.0, 1.0]}),
    "mish": (x*tanh(log(1+exp(x))), {x: REALS}),
    "swish": (x/(1+exp(-b*x)), {x: REALS, b: [0.5, 1.0, 3.0]}),
    "gelu": (x*(1+erf(x/sqrt(2)))/2, {x: [-40.0, -12.0, -6.0, -2.0, 0.0, 0.5, 3.0, 10.0, 40.0]}),
    "gelu tanh": (x*(1+tanh(sqrt(2/pi)*(x+0.044715*x**3)))/2, {x: [-40.0, -12.0, -6.0, -2.0, 0.0, 0.5, 3.0, 10.0, 40.0]}),
    "logcosh loss": (log(cosh(a*x))/a, {x: REALS, a: [0.1, 1.0, 5.0]}),
    "planck": (x**3/(exp(x)-1), {x: [1e-10, 1e-3, 0.5, 5.0, 40.0, 700.0, 800.0]}),
    "fermi": (1/(exp((x-m)/t)+1), {x: [-5.0, 0.0, 1.0, 5.0], m: [0.0, 1.0], t: [1e-3, 0.02, 0.5, 10.0]}),
    "langevin": (1/tanh(x)-1/x, {x: [-800.0, -3.0, -1e-4, 1e-8, 1e-3, 0.7, 5.0, 40.0, 900.0]}),
    "lennard": (4*a*((s/x)**12-(s/x)**6), {x: [0.3, 1.0, 2.0, 1e3], a: [0.1, 1.0], s: [0.5, 1.0]}),
    "morse": (a*(1-exp(-b*(x-c)))**2, {x: [0.1, 1.0, 1+1e-9, 5.0, 500.0], a: [1.0], b: [0.5, 3.0], c: [1.0]}),
    "bs call": (x*(1+erf((log(x/k)+(r+v**2/2)*t)/(v*sqrt(2*t))))/2-k*exp(-r*t)*(1+erf((log(x/k)+(r-v**2/2)*t)/(v*sqrt(2*t))))/2, {x: [50.0, 99.0, 100.0, 300.0], k: [100.0], r: [0.01], v: [0.01, 0.2, 0.8], t: [1e-4, 0.5, 10.0]}),
    "vasicek": ((1-exp(-a*t))/a, {a: [1e-12, 1e-4, 0.3, 5.0, 90.0], t: [0.1, 1.0, 30.0]}),
    "focal": (-(1-1/(1+exp(-x)))**a*log(1/(1+exp(-x))), {x: REALS, a: [0.0, 0.5, 2.0, 5.0]}),
    "poly loss": (-log(1/(1+exp(-x)))+a*(1-1/(1+exp(-x))), {x: REALS, a: [-1.0, 1.0]}),
    "gce": ((1-(1/(1+exp(-x)))**a)/a, {x: REALS, a: [1e-9, 1e-3, 0.5, 0.9]}),
    "sech2 soliton": (a*(1/cosh(b*(x-c*t)))**2, {x: REALS, a: [1.0], b: [0.5, 3.0], c: [1.0], t: [0.0, 2.0]}),
    "voigt lor": (a/pi*(s/((x-m)**2+s**2)), {x: [-1e180, -1e5, 0.0, 1.0, 1+1e-9], m: [0.0, 1.0], s: [1e-9, 0.1, 5.0], a: [1.0]}),
    "laplace cdf": (Piecewise((exp((x-m)/s)/2, x<m), (1-exp(-(x-m)/s)/2, True)), {x: REALS, m: [0.0], s: [0.5, 1.0]}),
    "asym laplace": (Piecewise((exp(-(x-m)*b*a), x>=m), (exp((x-m)*b/a), True))*b/(a+1/a), {x: REALS, m: [0.0], b: [0.5, 2.0], a: [0.5, 3.0]}),
    "gen normal": (b/(2*a*gamma(1/b))*exp(-(Abs(x-m)/a)**b), {x: [-500.0, -3.0, -1e-6, 0.0, 0.3, 40.0], m: [0.0, 0.1], a: [0.5, 2.0], b: [0.5, 1.0, 2.0, 8.0, 60.0]}),
    "kumaraswamy": (a*b*x**(a-1)*(1-x**a)**(b-1), {x: [1e-10, 0.1, 0.5, 0.99, 1-1e-12], a: [0.5, 1.0, 3.0, 200.0], b: [0.5, 2.0, 150.0]}),
    "kumar cdf": (1-(1-x**a)**b, {x: [1e-10, 0.1, 0.5, 0.99, 1-1e-12], a: [0.5, 1.0, 3.0, 200.0], b: [0.5, 2.0, 150.0]}),
    "rayleigh": (x/s**2*exp(-x**2/(2*s**2)), {x: [0.0, 1e-9, 1.0, 40.0, 1e5], s: [0.1, 1.0, 1e3]}),
    "maxwell": (sqrt(2/pi)*x**2*exp(-x**2/(2*a**2))/a**3, {x: [0.0, 1e-9, 1.0, 40.0, 1e5], a: [0.1, 1.0, 1e3]}),
    "nakagami": (2*m**m/(gamma(m)*s**m)*x**(2*m-1)*exp(-m*x**2/s), {x: [1e-9, 0.3, 1.0, 7.0], m: [0.5, 1.0, 20.0, 300.0], s: [0.1, 1.0, 30.0]}),
    "rice like": (x/s**2*exp(-(x**2+v**2)/(2*s**2)), {x: [0.0, 1.0, 40.0], v: [0.0, 1.0, 50.0], s: [0.1, 1.0]}),
    "invgamma": (b**a/gamma(a)*x**(-a-1)*exp(-b/x), {x: [1e-9, 1e-3, 0.3, 1.0, 700.0], a: [0.5, 3.0, 250.0], b: [0.1, 1.0, 300.0]}),
    "lognormal": (exp(-(log(x)-m)**2/(2*s**2))/(x*s*sqrt(2*pi)), {x: [1e-300, 1e-9, 0.3, 1.0, 700.0, 1e200], m: [0.0, 2.0], s: [0.1, 1.0, 5.0]}),
    "lognorm cdf": (erfc(-(log(x)-m)/(s*sqrt(2)))/2, {x: [1e-300, 1e-9, 0.3, 1.0, 700.0, 1e200], m: [0.0, 2.0], s: [0.1, 1.0, 5.0]}),
    "levy": (sqrt(c/(2*pi))*exp(-c/(2*(x-m)))/(x-m)**Rational(3, 2), {x: [1+1e-9, 1.001, 2.0, 1e5], m: [1.0], c: [0.1, 1.0, 40.0]}),
    "birnbaum": ((sqrt(x/b)+sqrt(b/x))/(2*a*x)*exp(-(sqrt(x/b)-sqrt(b/x))**2/(2*a**2))/sqrt(2*pi), {x: [1e-9, 0.01, 0.3, 1.0, 1+1e-9, 700.0], a: [0.1, 1.0, 5.0], b: [0.5, 1.0]}),
    "hyperbolic pdf": (exp(-a*sqrt(s**2+(x-m)**2)+b*(x-m)), {x: [-1e10, -30.0, 0.0, 1e-9, 1.0, 1e5], m: [0.0], a: [1.0, 2.0], b: [0.0, 0.5], s: [1e-9, 0.3, 2.0]}),
    "vonmises": (exp(k*(cos(x-m)-1)), {x: [0.0, 1e-9, 1.0, 3.0, 40.0], m: [0.0, 1.0], k: [0.1, 10.0, 1e4]}),
    "wrapped cauchy": ((1-r**2)/(2*pi*(1+r**2-2*r*cos(x-m))), {x: [0.0, 1e-9, 1.0, 3.0], m: [0.0], r: [0.0, 0.5, 0.999, 1-1e-10]}),
    "hellinger": (sqrt(1-sqrt(2*a*b/(a**2+b**2))*exp(-(x-y)**2/(4*(a**2+b**2)))), {x: [0.0, 1.0, 30.0], y: [0.5, 1.1], a: [0.5, 1.0], b: [2.0, 1.5]}),
    "poincare": (acosh(1+2*((x-u)**2+(y-v)**2)/((1-x**2-y**2)*(1-u**2-v**2))), {x: [0.0, 0.5, 0.9], y: [0.0, 0.3], u: [0.0, 0.5+1e-9, 0.1], v: [0.3, 0.31]}),
    "softmax2t": (exp(x/t)/(exp(x/t)+exp(y/t)), {x: [-800.0, 0.0, 1.0, 900.0], y: [1.0, 1+1e-9, -700.0], t: [1e-3, 1.0, 50.0]}),
    "tsallis exp": ((1+(1-n)*x)**(1/(1-n)), {x: [-0.5, 0.0, 0.3, 3.0], n: [0.5, 1-1e-9, 1.2, 1.5, 2.0]}),
    "cobb ces": ((a*x**(-r)+(1-a)*y**(-r))**(-1/r), {x: [0.1, 1.0, 1e5], y: [0.5, 2.0], a: [0.3], r: [1e-9, -0.5, 0.5, 3.0, 300.0]}),
    "crra": ((x**(1-a)-1)/(1-a), {x: [1e-5, 0.5, 1.0, 3e4], a: [0.0, 0.5, 1-1e-9, 1+1e-5, 3.0, 40.0]}),
    "annuity": (a*(1-(1+r)**(-n))/r, {a: [1.0], r: [1e-12, 1e-5, 0.01, 0.3, 50.0], n: [1.0, 30.0, 360.0, 1e5]}),
    "hyperbolic disc": (1/(1+a*t)**(b/a), {a: [1e-12, 1e-4, 0.5, 20.0], b: [0.1, 2.0], t: [0.0, 1.0, 300.0]}),
    "debye waller": (exp(-x**2*u/3)*(sin(x*r)/(x*r)), {x: [1e-9, 1e-3, 1.0, 40.0], u: [0.1, 2.0], r: [1e-9, 1.0, 9.0]}),
    "form factor": ((3*(sin(x*r)-x*r*cos(x*r))/(x*r)**3)**2, {x: [1e-9, 1e-3, 0.1, 1.0, 40.0], r: [0.1, 1.0, 9.0]}),
    "yukawa": (a*exp(-m*r)/r, {a: [1.0], m: [1e-9, 1.0, 900.0], r: [1e-9, 0.1, 1.0, 90.0]}),
    "buckingham": (a*exp(-b*r)-c/r**6, {a: [1e3], b: [1.0, 4.0], c: [1.0, 30.0], r: [1e-3, 0.1, 1.0, 90.0]}),
    "wlf": (exp(-a*(t-c)/(b+t-c)), {a: [17.0], b: [51.0], t: [300.0, 251.0, 1e5], c: [300.0]}),
    "double layer": (sqrt(8*a*t)*sinh(x/(2*t)), {a: [0.1], t: [0.025, 1.0], x: [-1.0, -1e-9, 0.0, 0.3, 30.0]}),
    "carnahan": ((1+x+x**2-x**3)/(1-x)**3, {x: [0.0, 1e-9, 0.3, 0.74, 1-1e-9]}),
    "redlich": (r*t/(v-b)-a/(sqrt(t)*v*(v+b)), {r: [8.0], t: [1.0, 300.0], v: [1.0, 1e5], b: [0.1, 1-1e-9], a: [1.0, 30.0]}),
    "tanhshrink": (x-tanh(x), {x: REALS}),
    "logsigsq": (log(1/(1+exp(-x)))**2, {x: REALS}),
    "snake": (x+sin(a*x)**2/a, {x: [-30.0, -1e-9, 0.0, 0.3, 20.0], a: [1e-9, 0.1, 1.0, 30.0]}),
    "smish": (x*tanh(log(1+1/(1+exp(-x)))), {x: REALS}),
    "logish": (x*log(1+1/(1+exp(-x))), {x: REALS}),
    "serf": (x*erf(log(1+exp(x))), {x: REALS}),
    "hurdle": (m*exp(-m)/(1-exp(-m)), {m: [1e-12, 1e-5, 1.0, 50.0, 900.0]}),
    "cmp like": (exp(x*log(m)-n*loggamma(x+1)), {x: [0.0, 1.0, 30.0, 1e4], m: [0.1, 3.0, 1e3], n: [0.5, 1.0, 2.0]}),
}
# fmt: on


def exact(functions: list[Callable[..., Any]], point: list[Any]) -> list[Any]:
    """Return what functions are at a point, to 30 digits; None for what is no finite real number."""
    found = []
    for function in functions:
        made: Any = None
        for digits in (60, 400):
            with mp.workdps(digits):
                try:
                    value = function(*point)
                except (ZeroDivisionError, ValueError, OverflowError):
                    made = None
                    break
                settled = made is not None and abs(value - made) <= mpf(10) ** -30 * abs(value)
                made = value
                if settled:
                    break
        found.append(made if made is not None and mp.isfinite(made) and mp.im(made) == 0 else None)
    return found


def answers(expr: Expr, grid: Grid, points: list[tuple[float, ...]], epsilon: float) -> Iterator[list[tuple[Any, Any]]]:
    """Yield value and slopes at each point, each with what half a last bit of the arguments changes of it."""
    real = {symbol: Symbol(symbol.name, real=True) for symbol in grid}
    of_reals = expr.subs(real)
    forms = [of_reals, *(of_reals.diff(symbol) for symbol in real.values())]
    functions = [sympy.lambdify(list(real.values()), form, "mpmath") for form in forms]
    for point in points:
        at = [mpf(each) for each in point]
        with mp.workdps(60):
            near = [[*at[:n], each * (1 + mpf(epsilon) / 2), *at[n + 1 :]] for n, each in enumerate(at)]
        right, moved = exact(functions, at), [exact(functions, each) for each in near]
        spread = [
            sum((abs(other[n] - one) for other in moved if other[n] is not None), mpf(0)) if one is not None else None
            for n, one in enumerate(right)
        ]
        yield list(zip(right, spread, strict=True))


def computed(expr: Expr, grid: Grid, points: list[tuple[float, ...]], kind: str) -> list[list[float | None]]:
    """Return value and slopes at each point as gradcompile has them; of arrays, the slopes alone."""
    if kind == "scalars":
        model = gc.compile(expr, wrt=list(grid))
        given = [model.value_and_grad(**{q.name: p for q, p in zip(grid, point, strict=True)}) for point in points]
        return [[value, *slopes] for value, slopes in given]
    size, index = Symbol("N", integer=True, positive=True), Symbol("index", integer=True)
    arrays = {symbol: IndexedBase(symbol.name, shape=(size,)) for symbol in grid}
    total = Sum(expr.subs({symbol: array[index] for symbol, array in arrays.items()}), (index, 0, size - 1))
    model = gc.compile(total, wrt=list(arrays.values()), dtype=kind)
    columns = np.array(points, kind).T
    slopes = model.grad(**{symbol.name: column for symbol, column in zip(grid, columns, strict=True)})
    return [[None, *(float(slope[n]) for slope in slopes)] for n in range(len(points))]


def mistakes(name: str, kind: str) -> Iterator[str]:
    """Yield what is wrong of a formula, in words."""
    expr, grid = FORMULAS[name]
    dtype = np.float32 if kind == "float32" else np.float64
    limits = np.finfo(dtype)
    epsilon, tiny, largest = float(limits.eps), 4 * float(limits.tiny), float(limits.max) / 4
    points = list(product(*grid.values()))
    random.Random(1).shuffle(points)
    points = [tuple(float(dtype(each)) for each in point) for point in points[:POINTS]]
    with np.errstate(all="ignore"):
        found = computed(expr, grid, points, kind)
    for point, own, right in zip(points, found, answers(expr, grid, points, epsilon), strict=True):
        for what, number, (value, spread) in zip(["value", *map(str, grid)], own, right, strict=True):
            if number is None or value is None or right[0][0] is None or abs(value) > largest:
                continue
            allowed = max(tiny, WRONG * epsilon * abs(value), SPREAD * spread)
            if not np.isfinite(number) or abs(mpf(number) - value) > allowed:
                yield f"{name}, {kind}, {what} at {point}: {number}, not {mp.nstr(value, 12)}"


if __name__ == "__main__":
    for each in sys.argv[1:] or FORMULAS:
        for of in KINDS:
            for wrong in mistakes(each, of):
                print(wrong)
