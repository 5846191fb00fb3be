"""Points at which other tools were wrong, G1 to G42: value and gradient, by every way of running them.

Expected numbers are literals, or one-line mathematics in them; nan, infinities and zeros are compared as they are.
Plain Python raises where IEEE 754 has an infinity or a nan: only where the case says ``raises`` may the emitted Python
do so, and the compiled model must give the numbers all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    Abs,
    IndexedBase,
    MatrixSymbol,
    Max,
    Min,
    Mod,
    Piecewise,
    Product,
    Rational,
    Sum,
    Trace,
    atan2,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.model import max_over
from tests.zoo import as_passed, load, load_uncompiled

INF, NAN, PI = math.inf, math.nan, math.pi
EPS = float(np.finfo(np.float64).eps)

x, y, z, a, b, c, m, p, q, r, t, u, u1, u2 = symbols("x y z a b c m p q r t u u1 u2")
N, D, M = symbols("N D M", integer=True, positive=True)
s, i, j, k = symbols("s i j k", integer=True)
w, v, g = IndexedBase("w", shape=(D,)), IndexedBase("v", shape=(N,)), IndexedBase("g", shape=(N,))
X, at, n = IndexedBase("X", shape=(N, D)), IndexedBase("at", shape=(N,)), IndexedBase("n", shape=(N,))
row, column = IndexedBase("row", shape=(1, D)), IndexedBase("column", shape=(N, 1))
one = IndexedBase("one", shape=(1,))
F = MatrixSymbol("F", D, D)
every_i, every_j, every_s = (i, 0, D - 1), (j, 0, D - 1), (s, 0, N - 1)


@dataclass(frozen=True)
class Point:
    """Where a case is evaluated, and what must come out: the gradients by parameter."""

    at: dict[str, Any]
    value: float
    grads: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One objective with its points; `raises`: the emitted Python may raise, as its arithmetic does."""

    objective: Any
    points: list[Point]
    define: dict[Any, Any] = field(default_factory=dict)
    data: tuple[Any, ...] = ()
    raises: bool = False

    @property
    def names(self) -> list[str]:
        return list(self.points[0].grads)

    @property
    def wrt(self) -> list[Any]:
        known = {str(v): v for v in (x, y, z, a, b, c, m, p, q, r, w, v, row, column, one, F)}
        return [known[name] for name in self.names]

    def compiled(self, **options: Any) -> Any:
        return gc.compile(self.objective, wrt=self.wrt, data=self.data, define=self.define, **options)

    def emitted(self, target: str) -> str:
        return gc.emit(self.objective, wrt=self.wrt, data=self.data, define=self.define, target=target)


def at_x(*points: tuple[float, float, float]) -> list[Point]:
    """Return points (x, value, derivative)."""
    return [Point({"x": place}, value, {"x": slope}) for place, value, slope in points]


def at_xy(*points: tuple[float, float, float, float, float]) -> list[Point]:
    """Return points (x, y, value, derivative by x, derivative by y)."""
    return [Point({"x": x, "y": y}, value, {"x": dx, "y": dy}) for x, y, value, dx, dy in points]


def where(condition: Any, taken: Any, otherwise: Any) -> Any:
    return Piecewise((taken, condition), (otherwise, True))


def written(*factors: Any) -> Any:
    """Return a product as it is written, which SymPy would make one power."""
    return sympy.Mul(*factors, evaluate=False)


def tanhs(count: int) -> tuple[dict[Any, Any], Any]:
    """Return a recurrence a <- tanh(a), unrolled into definitions."""
    names = [x, *symbols(f"h1:{count + 1}")]
    return {new: tanh(old) for old, new in pairwise(names)}, names[-1]


def tanhs_at(place: float, count: int) -> list[Point]:
    value, slope = place, 1.0
    for _ in range(count):
        value = math.tanh(value)
        slope *= 1 - value**2
    return at_x((place, value, slope))


def used(count: int) -> Case:
    """Return a parameter that is used `count` times, in ways that do not cancel or collect."""
    others = symbols(f"k1:{count + 1}")
    inputs = {str(other): 1.0 for other in others}
    return Case(sum(x * other for other in others), [Point({"x": 0.5, **inputs}, 0.5 * count, {"x": float(count)})])


def softmax(*logits: float) -> list[float]:
    weights = [math.exp(each - max(logits)) for each in logits]
    return [each / math.fsum(weights) for each in weights]


def log_sum(*logits: float) -> float:
    return max(logits) + math.log(math.fsum(math.exp(each - max(logits)) for each in logits))


LOG_SUM = log(Sum(exp(w[i]), every_i))
SINC = where(sympy.Ne(x, 0), sin(x) / x, 1)
SQUARE = (a - m) ** 2

CASES: dict[str, Case] = {
    "G1 where": Case(where(x >= 0, x, sqrt(-x)), at_x((1, 1, 1), (-4, 2, -0.25))),
    "G2 where with an infinite slope": Case(where(x > 0, sqrt(x), 0), at_x((-1, 0, 0), (0, 0, 0), (1, 1, 0.5))),
    "G3 nested branches that share": Case(
        where(a < -1e308, m, where(a >= 0, SQUARE, -SQUARE)), [
            Point({"a": -INF, "m": 0.0}, 0, {"a": 0, "m": 1}),
            Point({"a": 2.0, "m": 0.5}, 2.25, {"a": 3, "m": -3}),
            Point({"a": -2.0, "m": 0.5}, -6.25, {"a": 5, "m": -5}),
        ], raises=True,
    ),
    "G4 overflow in the branch not taken": Case(
        where(x > 0, x, exp(x) - 1), at_x((1000, 1000, 1), (-1, math.expm1(-1), math.exp(-1)), (0, 0, 1))
    ),
    "G5 division by zero in the branch not taken": Case(
        SINC, at_x((0, 1, 0), (2, math.sin(2) / 2, math.cos(2) / 2 - math.sin(2) / 4))
    ),
    "G7 jump": Case(
        where(x < 0, sin(x), 0.5), at_x((0, 0.5, 0), (-1e-300, -1e-300, 1), (1e-300, 0.5, 0))
    ),
    "G8 constant branch": Case(where(x > 10, x, 0), at_x((9, 0, 0), (11, 11, 1), (10, 0, 0))),
    "G9 x**0": Case(x**0, at_x((0, 1, 0))),
    "G9 x**1": Case(x**1, at_x((0, 0, 1))),
    "G9 x**2": Case(x**2, at_x((0, 0, 0))),
    "G9 x**(3/2)": Case(x ** Rational(3, 2), at_x((0, 0, 0), (4, 8, 3))),
    "G9 sqrt(x)*x": Case(written(sqrt(x), x), at_x((0, 0, 0), (4, 8, 3))),
    "G9 x**2/sqrt(x)": Case(written(x**2, 1 / sqrt(x)), at_x((0, 0, 0), (4, 8, 3))),
    "G9 x/x": Case(written(x, 1 / x), at_x((0, NAN, NAN), (4, 1, 0)), raises=True),
    "G9 sqrt": Case(x**0.5, at_x((0, 0, INF)), raises=True),
    "G9 x**0.3": Case(x**0.3, at_x((0, 0, INF)), raises=True),
    "G9 x**-1": Case(1 / x, at_x((0.0, INF, -INF)), raises=True),
    "G9 x**-2": Case(x**-2, at_x((0.0, INF, -INF)), raises=True),
    "G9 y/x**2": Case(y / x**2, at_xy((0.0, 3, INF, -INF, INF), (1e-100, 1, 1e200, -2e300, 1e200)), raises=True),
    "G9 x**y": Case(x**y, at_xy((0, 0, 1, 0, 0), (0, 1, 0, 1, 0), (0, 2, 0, 0, 0))),
    "G9 x**k": Case(Sum(x**i * w[i], every_i), [
        Point({"x": 0.0, "w": [2.0, 3.0, 5.0]}, 2, {"x": 3.0, "w": [1.0, 0.0, 0.0]}),
        Point({"x": -2.0, "w": [2.0, 3.0, 5.0]}, 16, {"x": -17.0, "w": [1.0, -2.0, 4.0]}),
    ]),
    "G10 power at 0": Case(x**y, at_xy((0, 1, 0, 1, 0), (2, 3, 8, 12, 8 * math.log(2)))),
    "G10 power of a negative number": Case(x**y, at_xy((-2, 2, 4, -4, NAN)), raises=True),
    "G10 logarithm of a power": Case(log(x**y), at_xy((-2, 3, NAN, -1.5, NAN)), raises=True),
    "G10 constant exponent": Case(x**y, [Point({"x": -2.0, "y": 2.0}, 4, {"x": -4})]),
    "G11 x**2": Case(x**2, at_x((-1.1, 1.2100000000000002, -2.2))),
    "G11 x**3": Case(x**3, at_x((-1.1, -1.331, 3.63))),
    "G11 x**-1": Case(1 / x, at_x((-1.1, -1 / 1.1, -1 / 1.21))),
    "G12 negative powers of integers": Case(Sum(a * 2 ** n[s], every_s), [
        Point({"a": 1.0, "n": np.array([-2, 1])}, 2.25, {"a": 2.25})
    ]),
    "G12 reciprocal of integers": Case(Sum(a * n[s] ** (-1), every_s), [
        Point({"a": 1.0, "n": np.array([2, 4])}, 0.75, {"a": 0.75})
    ]),
    "G12 negative powers of an index": Case(Sum(a * 2 ** (-s) + a / (s + 2) + a * (s + 1) ** (-2), (s, 0, 1)), [
        Point({"a": 1.0}, 1.5 + 0.5 + 1 / 3 + 1.25, {"a": 1.5 + 0.5 + 1 / 3 + 1.25})
    ]),
    "G12 negative powers of labels": Case(Sum(w[at[s]] * 2 ** (-at[s]) + w[at[s]] * (at[s] + 1) ** (-1), every_s), [
        Point({"w": [1.0, 1.0], "at": np.array([0, 1])}, 3, {"w": [2.0, 1.0]})
    ]),
    "G13 large powers of integers": Case(Sum(a * n[s] ** 8, every_s), [
        Point({"a": 1.0, "n": np.array([100], np.int32)}, 1e16, {"a": 1e16})
    ]),
    "G13 large products of integers": Case(Sum(a * n[s] * n[s] * n[s], every_s), [
        Point({"a": 1.0, "n": np.array([3_000_000])}, 2.7e19, {"a": 2.7e19})
    ]),
    "G13 large products of an index": Case(Sum(a * s**3, (s, 3_000_000, 3_000_000)), [
        Point({"a": 1.0}, 2.7e19, {"a": 2.7e19})
    ]),
    "G14 norm": Case(sqrt(x**2 + y**2), at_xy((0, 0, 0, 0, 0), (3, 4, 5, 0.6, 0.8))),
    "G14 square of a norm": Case(sqrt(x**2 + y**2) ** 2, at_xy((0, 0, 0, 0, 0))),
    "G14 square of a distance": Case(sqrt((x - y) ** 2) ** 2 / 2, at_xy((2, 2, 0, 0, 0))),
    "G14 distance": Case(sqrt((x - y) ** 2), at_xy((2, 2, 0, 0, 0), (1, 3, 2, -1, 1))),
    "G14 norm of an array": Case(sqrt(Sum(w[i] ** 2, every_i)), [
        Point({"w": [0.0, 0.0]}, 0, {"w": [0.0, 0.0]}), Point({"w": [3.0, -4.0]}, 5, {"w": [0.6, -0.8]})
    ]),
    "G15 abs": Case(Abs(x), at_x((7, 7, 1), (-7, 7, -1), (0, 0, 0))),
    "G16 max of two": Case(Max(x, y), at_xy((2, 2, 2, 0.5, 0.5), (2, 3, 3, 0, 1))),
    "G16 max of three": Case(Max(x, y, z), [
        Point({"x": 2.0, "y": 2.0, "z": 2.0}, 2, {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3}),
        Point({"x": 2.0, "y": 1.0, "z": 2.0}, 2, {"x": 0.5, "y": 0, "z": 0.5}),
    ]),
    "G16 max of one twice": Case(Max(x, x), at_x((2, 2, 1))),
    "G16 max of equal definitions": Case(Max(u1, u2), at_x((2, 4, 4)), define={u1: x**2, u2: x**2}),
    "G16 min of two": Case(Min(x, y), at_xy((2, 2, 2, 0.5, 0.5), (2, 3, 2, 1, 0))),
    "G16 max over an index": Case(max_over(w[i], every_i), [
        Point({"w": [1.0, 3.0, 3.0, 3.0]}, 3, {"w": [0, 1 / 3, 1 / 3, 1 / 3]})
    ]),
    "G17 clip at itself": Case(Min(Max(x, 0), x), at_x((5, 5, 1))),
    "G17 clip": Case(Min(Max(x, 0), y), at_xy((5, 9, 5, 1, 0), (5, 2, 2, 0, 1), (-1, 9, 0, 0, 0))),
    "G17 relu": Case(Max(x, 0), at_x((0, 0, 0), (2, 2, 1), (-2, 0, 0))),
    "G18 softplus": Case(log(1 + exp(x)), at_x(
        (1000, 1000, 1), (-1000, 0, 0), (89, 89, 1), (-89, math.exp(-89), math.exp(-89)), (710, 710, 1)
    )),
    "G19 sigmoid": Case(1 / (1 + exp(-x)), at_x((1000, 1, 0), (-1000, 0, 0), (1e6, 1, 0), (-1e6, 0, 0))),
    "G20 log-sum-exp": Case(LOG_SUM, [
        Point({"w": list(logits)}, log_sum(*logits), {"w": softmax(*logits)})
        for logits in ((-431.0, 279.0, 427.0), (-1047.0, -981.0, 1891.0), (1e4, -1e4, 1e4))
    ]),
    "G20 log-sum-exp of nothing": Case(LOG_SUM, [Point({"w": [-INF, -INF]}, -INF, {"w": [0.0, 0.0]})]),
    "G20 log-sum-exp of one": Case(LOG_SUM, [Point({"w": [-INF, 2.0]}, 2, {"w": [0.0, 1.0]})]),
    "G20 log-softmax": Case(-log(exp(w[1]) / Sum(exp(w[i]), every_i)), [
        Point({"w": [-431.0, 279.0, 427.0]}, 148, {"w": [0.0, -1.0, 1.0]})
    ]),
    "G21 atan2": Case(atan2(y, x), [
        Point({"x": -1.0, "y": 0.0}, PI, {"x": 0, "y": -1}), Point({"x": -1.0, "y": -0.0}, -PI, {"x": 0, "y": -1}),
        Point({"x": 3.0, "y": 4.0}, math.atan2(4, 3), {"x": -0.16, "y": 0.12}),
    ]),
    "G21 atan2 at the origin, masked": Case(where(x**2 + y**2 > 0, atan2(y, x), 0), at_xy(
        (0, 0, 0, 0, 0), (0, 2, PI / 2, -0.5, 0))
    ),
    "G22 product": Case(x * y * z, [
        Point({"x": 0.0, "y": 2.0, "z": 3.0}, 0, {"x": 6, "y": 0, "z": 0}),
        Point({"x": 0.0, "y": 0.0, "z": 3.0}, 0, {"x": 0, "y": 0, "z": 0}),
    ]),
    "G22 product over an index": Case(Product(w[i], every_i), [
        Point({"w": [0.0, 2.0, 3.0]}, 0, {"w": [6, 0, 0]}), Point({"w": [0.0, 0.0, 3.0]}, 0, {"w": [0, 0, 0]}),
        Point({"w": [-1.0, 2.0, 3.0]}, -6, {"w": [6, -3, -2]}),
    ]),
    "G23 square of a root": Case(sqrt(x) ** 2, at_x((0, 0, 1))),
    "G23 reciprocal of a reciprocal": Case(1 / (1 / x), at_x((0, 0, 1))),
    "G24 used twice": Case(x * (x * a) + x**2 * a + x * (x * a), [Point({"x": 1.0, "a": 1.0}, 3, {"x": 6, "a": 3})]),
    "G24 used twice by definitions": Case(
        x * u1 + x**2 * a + x * u2, [Point({"x": 1.0, "a": 1.0}, 3, {"x": 6, "a": 3})], define={u1: x * a, u2: x * a}
    ),
    "G25 cancellation": Case(
        u1 + (t - u2), at_x((0.5, 50, 100)), define={t: 100 * x, u1: t * exp(t), u2: t * exp(t)}
    ),
    **{f"G27 used {count} times": used(count) for count in (5, 12, 24, 100)},
    **{
        f"G28 recurrence of {count}": Case(tanhs(count)[1], tanhs_at(0.8, count), define=tanhs(count)[0])
        for count in (1, 2, 3, 10)
    },
    "G29 integers": Case(LOG_SUM, [
        Point({"w": np.array([1, 2, 3, 4])}, log_sum(1, 2, 3, 4), {"w": softmax(1, 2, 3, 4)})
    ]),
    "G30 scalar": Case(Sum(a * v[s], every_s), [Point({"a": 2.0, "v": [1.0, 2.0, 4.0]}, 14, {"a": 7, "v": [2, 2, 2]})]),
    "G30 shapes": Case(Sum(one[0] * row[0, j] * column[s, 0] * v[s], every_s, every_j), [
        Point({"one": [2.0], "row": [[1.0, 3.0]], "column": [[1.0], [2.0], [3.0]], "v": [1.0, 1.0, 2.0]}, 72,
              {"one": [36.0], "row": [[18.0, 18.0]], "column": [[8.0], [8.0], [16.0]], "v": [8.0, 16.0, 24.0]})
    ]),
    "G30 gradients of whole numbers": Case(Sum(Max(v[s], 0), every_s) + Sum(where(v[s] > 1, v[s], 2), every_s), [
        Point({"v": [2.0, 0.5, -1.0]}, 8.5, {"v": [2.0, 1.0, 0.0]})
    ]),
    "G30 gradients of zeros and ones": Case(Sum(Max(v[s], 0), every_s), [
        Point({"v": [2.0, 0.5, -1.0]}, 2.5, {"v": [1.0, 1.0, 0.0]})
    ]),
    "G31 one row": Case(Sum((X[s, j] - w[j]) ** 2, every_s, every_j) / N, [
        Point({"w": [0.0, 1.0, 2.0], "X": [[1.0, 1.0, 1.0]]}, 2, {"w": [-2.0, 0.0, 2.0]}),
        Point({"w": [0.0, 1.0, 2.0], "X": [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]}, 3.5, {"w": [-3.0, -1.0, 1.0]}),
    ]),
    "G31 per sample": Case((a * x - t) ** 2, [
        Point({"a": 1.0, "x": [2.0], "t": [1.0]}, 1, {"a": 4.0}),
        Point({"a": 1.0, "x": [2.0, 1.0], "t": [1.0, 1.0]}, 0.5, {"a": 2.0}),
    ], data=(x, t)),
    "G32 duplicates": Case(Sum(v[s] * w[at[s]], every_s), [
        Point({"w": [1.0, 2.0, 3.0], "v": [0.2, 0.3, 0.5], "at": np.array([0, 0, 2])}, 2, {"w": [0.5, 0.0, 0.5]})
    ]),
    "G34 two passes": Case(Sum((v[s] - Sum(v[k], (k, 0, N - 1)) / N) ** 2, every_s), [
        Point({"v": [1.0, 2.0, 6.0]}, 14, {"v": [-4.0, -2.0, 6.0]})
    ]),
    "G35 nan in the data": Case(Sum(a * v[s], every_s), [Point({"a": 2.0, "v": [1.0, NAN]}, NAN, {"a": NAN})]),
    "G36 polynomial": Case(Sum(w[i] * x**i, every_i), [Point({"w": [1.0, 2.0, 3.0], "x": 2.0}, 17, {"x": 14})]),
    "G36 product": Case(Product(1 + x * w[i], every_i), [Point({"w": [1.0, 2.0], "x": 1.0}, 6, {"x": 7, "w": [3, 2]})]),
    "G36 trace": Case(Trace(F.T * F) - 3, [
        Point({"F": [[1.0, 2.0], [3.0, 4.0]]}, 27, {"F": [[2.0, 4.0], [6.0, 8.0]]})
    ]),
    "G37 -2 mod(x, 3)": Case(-2 * Mod(x, 3), at_x((7.5, -3, -2))),
    "G37 -x/mod(x, y)": Case(-x / Mod(x, y), at_xy((7.5, 3, -5, -1 / 1.5 + 7.5 / 2.25, -2 * 7.5 / 2.25))),
    "G37 mod(1, 1/x)": Case(Mod(1, 1 / x), at_x((2.5, 0.2, 2 / 6.25))),
    "G37 -x**2": Case(-(x**2), at_x((3, -9, -6))),
    "G37 (-x)**2": Case(sympy.Pow(-x, 2, evaluate=False), at_x((3, 9, 6))),
    "G37 a/(b c)": Case(a / (b * c), [
        Point({"a": 6.0, "b": 2.0, "c": 4.0}, 0.75, {"a": 0.125, "b": -0.375, "c": -0.1875})
    ]),
    "G37 a - (b - c)": Case(
        a - u, [Point({"a": 6.0, "b": 2.0, "c": 4.0}, 8, {"a": 1, "b": -1, "c": 1})], define={u: b - c}
    ),
    "G37 x**(y**z)": Case(x ** (y**z), [
        Point({"x": 2.0, "y": 3.0, "z": 2.0}, 512,
              {"x": 9 * 256, "y": 512 * math.log(2) * 6, "z": 512 * math.log(2) * 9 * math.log(3)})
    ]),
    "G37 (x**y)**z": Case((x**y) ** z, [
        Point({"x": 2.0, "y": 3.0, "z": 2.0}, 64,
              {"x": 6 * 32, "y": 64 * math.log(2) * 2, "z": 64 * math.log(2) * 3})
    ]),
    "G38 sign": Case(x * sympy.sign(x), at_x((-2, 2, -1), (0, 0, 0))),
    "G38 step": Case(x * sympy.Heaviside(x), at_x((-2, 0, 0), (2, 2, 1))),
    "G38 square of a maximum": Case(Max(0, x) ** 2, at_x((-2, 0, 0), (2, 4, 4), (0, 0, 0))),
    "G39 root of a square": Case(sqrt(x**2), at_x((-1, 1, -1))),
    "G39 log of a square": Case(log(x**2), at_x((-1, 0, -2))),
    "G39 power of a square": Case(sympy.Pow(x**2, Rational(1, 2), evaluate=False), at_x((-1, 1, -1))),
    "G41 not in the loss": Case(x**2, at_xy((3, 5, 9, 6, 0))),
    "G41 constant": Case(sympy.Integer(7), at_x((3, 7, 0))),
    "G41 the parameter itself": Case(x, at_x((3, 3, 1))),
    "logarithm of zero times zero": Case(x * log(x), at_x((1, 0, 1), (0, 0, -INF)), raises=True),
}  # fmt: skip


LATER: dict[tuple[str, str], str] = {}  # (way, case) -> why it does not hold yet


def later(way: str, name: str) -> list[Any]:
    reason = LATER.get((way, name))
    return [] if reason is None else [pytest.mark.xfail(strict=True, reason=reason)]


def runs(*ways: str) -> list[Any]:
    """Return (case, way) for tests; what is known to be wrong must fail."""
    return [pytest.param(name, way, marks=later(way, name)) for way in ways for name in CASES]


def assert_same(what: str, found: Any, expected: Any) -> None:
    """Compare numbers: nan with nan, infinity with infinity of the same sign, zero exactly, the rest to 16 eps."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape, f"{what} has shape {found.shape}, not {expected.shape}"
    for place in np.ndindex(expected.shape):
        f, e = float(found[place]), float(expected[place])
        if math.isfinite(e):
            assert abs(f - e) <= 16 * EPS * abs(e), f"{what}{list(place)} is {f!r}, not {e!r}"
        else:
            assert f == e or (math.isnan(f) and math.isnan(e)), f"{what}{list(place)} is {f!r}, not {e!r}"


def check(point: Point, value: Any, grads: dict[str, Any]) -> None:
    assert_same("value", value, point.value)
    for name, expected in point.grads.items():
        assert_same(f"d{name}", grads[name], expected)


@pytest.mark.parametrize(("name", "way"), runs("interpreter"))
def test_interpreter(name: str, way: str) -> None:
    case = CASES[name]
    graph = case.compiled().graph
    for point in case.points:
        outputs = evaluate(graph, {n: np.asarray(e) for n, e in point.at.items() if n in graph.inputs})
        check(point, outputs["value"], {n: outputs[f"d{n}"] for n in case.names})


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "target"), runs("python", "numpy", "numba"))
def test_emitted_module(name: str, target: str, tmp_path: Path) -> None:
    case, arguments = CASES[name], CASES[name].compiled().arguments
    read = load_uncompiled if target == "numba" else load
    module = read(case.emitted(target), tmp_path / "module.py")
    for point in case.points:
        given = {n: point.at.get(n, 0.0) for n in arguments}
        inputs = {n: np.asarray(e).tolist() if target == "python" else as_passed(e) for n, e in given.items()}
        try:
            value, grads = module.value_and_grad(**inputs)
        except (ArithmeticError, ValueError):
            if not (case.raises and target != "numpy"):
                raise
        else:
            check(point, value, dict(zip(case.names, grads, strict=True)))


SCALAR = [
    name
    for name, case in CASES.items()
    if not case.data and not any(np.ndim(value) for value in case.points[0].at.values()) and "G27" not in name
]
ARRAYS = [name for name in CASES if name not in SCALAR]


def check_compiled(name: str) -> None:
    if reason := LATER.get(("interpreter", name)):
        pytest.xfail(reason)
    case, model = CASES[name], CASES[name].compiled()
    for point in case.points:
        value, grads = model.value_and_grad(**{n: point.at.get(n, 0.0) for n in model.arguments})
        check(point, value, dict(zip(case.names, grads, strict=True)))


@pytest.mark.parametrize("name", SCALAR)
def test_model(name: str) -> None:
    """Scalars run as Python; where its arithmetic raises, the model gives what IEEE 754 says all the same."""
    check_compiled(name)


def together(names: list[str]) -> tuple[Any, dict[str, list[float]], dict[str, list[float]], float]:
    """Return scalar cases as one sum over their points, with arrays in place of symbols: for one kernel."""
    length = max(len(CASES[name].points) for name in names)
    total, inputs, grads, value = sympy.S.Zero, {}, {}, 0.0
    for number, name in enumerate(names):
        case = CASES[name]
        expr = sympy.sympify(case.objective, strict=True)
        for new, old in reversed(case.define.items()):
            expr = expr.xreplace({new: old})
        points = [*case.points, *[case.points[0]] * (length - len(case.points))]
        arrays = {each: IndexedBase(f"{each}{number}", shape=(N,)) for each in sorted(expr.free_symbols, key=str)}
        with sympy.evaluate(False):  # a replacement is an evaluation: x/x would be 1
            each_point = expr.xreplace({each: array[k] for each, array in arrays.items()})
        total += Sum(each_point, (k, 0, N - 1))
        for each, array in arrays.items():
            inputs[str(array)] = [point.at[str(each)] for point in points]
            if str(each) in case.names:
                grads[str(array)] = [point.grads[str(each)] for point in points]
        value += sum(point.value for point in points)
    return total, inputs, grads, value


GOOD = [name for name in SCALAR if ("interpreter", name) not in LATER and not name.startswith("G41")]
GROUPS = [GOOD[k::8] for k in range(8)]


@pytest.mark.parametrize(
    "names", [pytest.param(g, id=f"group {k}", marks=[pytest.mark.slow] * (k > 0)) for k, g in enumerate(GROUPS)]
)
def test_kernel_of_scalars(names: list[str]) -> None:
    objective, inputs, grads, expected = together(names)
    model = gc.compile(objective, wrt=[IndexedBase(name, shape=(N,)) for name in grads])
    value, found = model.value_and_grad(**{name: inputs[name] for name in model.arguments})
    assert_same("value", value, expected)
    for name, gradient in zip(grads, found, strict=True):
        assert_same(f"{name} of {names[int(name.lstrip('abcdefghijklmnopqrstuvwxyz'))]}", gradient, grads[name])


QUICK = (
    "G20 log-sum-exp",
    "G30 gradients of zeros and ones",
    "G22 product over an index",
    "G32 duplicates",
    "G35 nan in the data",
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in ARRAYS])
def test_kernel_of_arrays(name: str) -> None:
    check_compiled(name)


def test_g26_one_array_in_two_places() -> None:
    """The same array as parameter and as data, and a parameter twice: nothing is written into what is given."""
    model = gc.compile(Sum(g[s] * v[s] ** 2, every_s), wrt=[g, v])
    same = np.array([1.0, 2.0])
    value, grads = model.value_and_grad(g=same, v=same)
    assert value == 9
    assert [grad.tolist() for grad in grads] == [[1, 4], [2, 8]]
    assert same.tolist() == [1, 2]
    again = model.grad(g=grads[0], v=grads[0])
    assert [grad.tolist() for grad in again] == [[1, 16], [2, 32]]
    assert grads[0].tolist() == [1, 4]


def test_g33_the_same_bits_every_time() -> None:
    model = gc.compile(Sum(sin(v[s] * w[at[s]]), every_s), wrt=w)
    inputs = {"w": [0.3, 0.7], "v": np.linspace(0, 1, 999), "at": np.arange(999) % 2}
    assert len({model.grad(**inputs).tobytes() for _ in range(200)}) == 1


def test_g40_batches_of_unequal_sizes() -> None:
    """Ten samples in batches of 4, 4 and 2: weighted by their sizes, they are the whole."""
    model = gc.compile(Sum((a * v[s] - g[s]) ** 2, every_s) + a**2, wrt=a)
    inputs = {"a": 0.7, "v": np.linspace(-1, 2, 10), "g": np.linspace(0, 1, 10) ** 2}
    parts = [
        model.minibatch_grad(rows=np.arange(*ends), **inputs) * (ends[1] - ends[0])
        for ends in ((0, 4), (4, 8), (8, 10))
    ]
    assert sum(parts) == pytest.approx(model.grad(**inputs), rel=1e-14)


def test_g42_long_sums_in_float32() -> None:
    """Ten million terms of 0.1: added one by one in float32, they would be 9 % too much."""
    model = gc.compile(Sum(a * v[s], every_s), wrt=a, dtype="float32")
    data = np.full(10_000_000, 0.1, np.float32)
    value, grad = model.value_and_grad(a=1.0, v=data)
    assert value == pytest.approx(1e6, rel=1e-5)
    assert grad == pytest.approx(1e6, rel=1e-5)
