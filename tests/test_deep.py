"""Hundreds and thousands of terms, factors and cases in one expression: no limit of Python's reaches a user."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import mpmath
import pytest
import sympy
from sympy import Expr, Symbol

import gradcompile as gc
from gradcompile.errors import TooDeepError, within_depth
from tests.zoo import load

X, Y = Symbol("x"), Symbol("y")
POINT = {"x": 0.3, "y": 2.0}


def waves(count: int) -> list[Expr]:
    return [sympy.sin(k * X) * Y + sympy.Rational(k, 1000) for k in range(1, count + 1)]


def digits(expr: Expr, **point: float | mpmath.mpf) -> mpmath.mpf:
    """Return the value of an expression at 50 digits."""
    with mpmath.workdps(50):
        return sympy.lambdify([X, Y], expr, "mpmath")(*(mpmath.mpf(point[name]) for name in "xy"))


@pytest.mark.slow
@pytest.mark.one_in(2)
@pytest.mark.parametrize(("extreme", "choose"), [(sympy.Max, max), (sympy.Min, min)])
def test_extremum_of_300(extreme: Callable[..., Expr], choose: Callable[..., int]) -> None:
    terms = waves(300)
    model = gc.compile(extreme(*terms, evaluate=False), wrt=[X, Y])
    best = terms[choose(range(300), key=lambda k: math.sin((k + 1) * POINT["x"]) * POINT["y"] + (k + 1) / 1000)]
    value, grads = model.value_and_grad(**POINT)
    assert value == pytest.approx(float(digits(best, **POINT)), rel=1e-14)
    slopes = [best.diff(v) for v in (X, Y)]
    assert grads == pytest.approx([float(digits(slope, **POINT)) for slope in slopes], rel=1e-12)
    hessian = [float(digits(slope.diff(v), **POINT)) for slope in slopes for v in (X, Y)]
    assert [h for row in model.hessian(**POINT) for h in row] == pytest.approx(hessian, rel=1e-12)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_extremum_of_400_in_every_target(target: str, tmp_path: Path) -> None:
    terms = waves(400)
    text = gc.emit(sympy.Max(*terms, evaluate=False), wrt=[X, Y], target=target)
    assert len(text) < 1500 * 400  # how many are the largest is counted once, and not in the slope of each term
    if target != "numba":  # which takes long to compile it
        value = load(text, tmp_path / "wide.py").value(**POINT)
        assert value == pytest.approx(max(float(term.subs(POINT)) for term in terms), rel=1e-14)


MANY: dict[str, Callable[[], Expr]] = {
    "the log of 1,300 factors": lambda: sympy.log(sympy.Mul(*[X**2 + k for k in range(1, 1300)])),
    "the log of 400 cases": lambda: sympy.log(
        sympy.Piecewise(*[(sympy.exp(k * Y), k / 901 > X) for k in range(400)], (Y, True))
    ),
    "a quotient by 1,300 factors": lambda: 1 / sympy.Mul(*[1 + sympy.exp(-k * X * Y) for k in range(1, 1300)]),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("what", MANY)
def test_many_parts_of_one_expression(what: str, tmp_path: Path) -> None:
    expr = MANY[what]()
    module = load(gc.emit(expr, wrt=[X, Y], target="python"), tmp_path / "many.py")
    value, grads = module.value_and_grad(**POINT)
    assert value == pytest.approx(float(digits(expr, **POINT)), rel=1e-13)
    with mpmath.workdps(50):
        step = mpmath.mpf("1e-20")
        ends = [digits(expr, x=POINT["x"] + reach, y=POINT["y"]) for reach in (step, -step)]
        slope = (ends[0] - ends[1]) / (2 * step)
    assert grads[0] == pytest.approx(float(slope), rel=1e-12)


def test_what_is_too_deep_is_told() -> None:
    def endless() -> None:
        endless()

    with pytest.raises(TooDeepError, match="nested too deeply"), within_depth():
        endless()
