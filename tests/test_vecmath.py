"""Elementary functions as arithmetic: against mpmath, NumPy's tables and IEEE 754; their bits, vectors and text."""

from __future__ import annotations

import ast
import csv
import functools
import inspect
import itertools
import math
import os
import re
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile import vecmath
from gradcompile.jit import Given, wants_numba
from gradcompile.jit.direct.build import build
from tests import minimax

FAST = 'fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy"'
PLAIN = 'fastmath=False, error_model="numpy"'
# What is inside of loops needs no way in from Python or C, which would take a quarter of the time to compile.
INNER = vecmath.DECORATOR.replace(")\n", ", no_cpython_wrapper=True, no_cfunc_wrapper=True)\n")
DTYPES = (np.float64, np.float32)
LIMITS = {
    ("pow", np.float32): 4.0,
    ("erf", np.float32): 4.0,
    ("erfc", np.float32): 4.0,
    ("erfcx", np.float32): 4.0,
    ("logtail", np.float32): 4.0,
    ("logtail", np.float64): 3.0,
    ("logcosh", np.float64): 4.0,
    ("log1mexp", np.float64): 3.0,  # two steps each, of which the second magnifies what the first was rounded by
    ("acosh", np.float32): 3.0,
    ("xlogx1p", np.float32): 3.0,
    ("xlog1py", np.float32): 3.0,
    ("xlog1pdiv", np.float64): 3.0,
    ("xlog1pdiv", np.float32): 4.0,
    ("log1pgap", np.float64): 5.0,  # what it takes the difference of has been rounded: 2 ULP of it each
    ("log1pgap", np.float32): 4.0,
    ("log1pwsq", np.float64): 3.0,
    ("log1pwsq", np.float32): 3.0,
    ("log1pwexp", np.float64): 4.0,
    ("log1pwexp", np.float32): 4.0,
    ("lgamma", np.float64): 3.0,
    ("lgammagap", np.float64): 4.0,
    ("digammagap", np.float64): 4.0,
    ("lbeta", np.float64): 4.0,
    ("trigamma", np.float64): 3.0,
    ("gamma", np.float64): 3.0,
    ("digamma", np.float64): 3.0,  # sums of a polynomial and a logarithm or a quotient
}  # ULP; 2 for all others

FUNCTIONS = {
    name: f for m in vecmath.MODULES for name, f in vars(m).items() if getattr(f, "__module__", "") == m.__name__
}


def tail(x: mpf) -> mpf:
    """Return erfc(x); of a number whose square mpmath cannot hold, 0."""
    return mp.erfc(x) if x < 1e100 else mpf(0)


def scaled_tail(x: mpf) -> mpf:
    """Return exp(x*x)*erfc(x); from 1e6 on as the two terms of its asymptotic series that are left."""
    return mp.exp(x * x) * mp.erfc(x) if x < 1e6 else (1 - 1 / (2 * x * x)) / (x * mp.sqrt(mp.pi))


def gap(x: mpf) -> mpf:
    """Return log(1 + x) - x/(1 + x), of which as many digits cancel as x has zeros behind the point."""
    with mp.workprec(2400):
        return mp.log1p(x) - x / (1 + x)


EXACT = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "logtotal": mp.log,
    "logcosh": lambda x: mp.log1p(2 * mp.sinh(x / 2) ** 2),
    "log1p": mp.log1p,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "sech": mp.sech,
    "erf": mp.erf,
    "erfc": tail,
    "erfcx": lambda x: scaled_tail(x) if x > 1 else mp.exp(x * x) * mp.erfc(x),
    "logtail": lambda x: mp.log(scaled_tail(x) / 2) - x * x if x > 1 else mp.log1p(-tail(-x) / 2),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "pow": mp.power,
    "hypot": mp.hypot,
    "atan2": mp.atan2,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "log1mexp": lambda x: mp.nan if x >= 0 else mp.log(-mp.expm1(x)) if x > -1 else mp.log1p(-mp.exp(x)),
    "xlogx": lambda x: x * mp.log(x) if x else mpf(0),
    "xlogx1p": lambda x: (1 + x) * mp.log1p(x) if x != -1 else mpf(0),
    "xlog1py": lambda x, y: x * mp.log1p(y) if x else mpf(0),
    "xlog1pdiv": lambda x, d: x * mp.log1p(d / x) if x else mpf(0),
    "log1pgap": lambda x, _: gap(x),
    "log1pwexp": lambda w, u: mp.log1p(w * mp.exp(u)),
    "log1pwsq": lambda w, x: mp.log1p(w * x * x),
    "xlogy": lambda x, y: x * mp.log(y) if x else mpf(0),
    "lgammagap": lambda r, d, _: mp.re(mp.loggamma(r + d) - mp.loggamma(r)),
    "digammagap": lambda r, d, _: mp.digamma(r + d) - mp.digamma(r),
    "lbeta": lambda a, b: mp.re(mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)),
    "lgamma": lambda x: mp.re(mp.loggamma(x)),
    "digamma": mp.digamma,
    "trigamma": lambda x: mp.psi(1, x) if x > -1e4 else mp.nan,
    "gamma": lambda x: mp.gamma(x) if abs(x) < 1e4 else mp.inf,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
}
CASES = list(itertools.product(vecmath.VECTOR, DTYPES))


def spelled(row: str, dtype: type) -> str:
    return vecmath.VECTOR[row][dtype is np.float32]


def closure(name: str) -> list[str]:
    """A function after all that it calls."""
    names = {node.id for node in ast.walk(ast.parse(inspect.getsource(FUNCTIONS[name]))) if isinstance(node, ast.Name)}
    called = itertools.chain.from_iterable(closure(n) for n in sorted(names & FUNCTIONS.keys() - {name}))
    return list(dict.fromkeys([*called, name]))


LOOP = """
@njit({flags})
def {loop}({arrays}, out):
    for i in range(out.size):
        out[i] = {name}({elements})
"""


def text_of(name: str, arity: int, decorator: str) -> str:
    """A module that imports numpy and numba alone: the function, and loops over it with two sets of flags."""
    copied = "\n\n".join(decorator + inspect.getsource(FUNCTIONS[n]) for n in closure(name))
    arrays, elements = ", ".join("xyz"[:arity]), ", ".join(f"{a}[i]" for a in "xyz"[:arity])
    pairs = (("fast", FAST), ("plain", PLAIN))
    loops = [LOOP.format(flags=f, loop=n, arrays=arrays, name=name, elements=elements) for n, f in pairs]
    return "\n\n".join(("import numpy as np\nfrom numba import njit\n", copied, *loops))


@functools.cache
def module(name: str, arity: int = 1) -> ModuleType:
    built = ModuleType(f"vecmath_{name}")
    exec(compile(text_of(name, arity, INNER), f"<{name}>", "exec"), vars(built))
    return built


@functools.cache
def directly(name: str, arity: int, dtype: str) -> Callable[..., object]:
    """The loop as calls have it: LLVM compiles the text without Numba, in a tenth of the time."""
    return build(text_of(name, arity, vecmath.DECORATOR), "fast", [Given(dtype, 1)] * (arity + 1))


def run(row: str, *operands: np.ndarray, loop: str = "", name: str = "") -> np.ndarray:
    """What the loop computes that Numba makes with some flags, or else the one that is compiled directly."""
    operands = tuple(map(np.ascontiguousarray, operands))
    out = np.empty_like(operands[0])
    name = name or spelled(row, out.dtype.type)
    if loop or wants_numba():
        getattr(module(name, len(operands)), loop or "fast")(*operands, out)
    else:
        directly(name, len(operands), out.dtype.name)(*operands, out)
    return out


def rounded(exact: mpf, dtype: type) -> float:
    """The float that is nearest to an exact real number."""
    if mp.isnan(exact):
        return math.nan
    with np.errstate(over="ignore"):
        return float(dtype(float(exact)))


def ulps(found: float, exact: mpf, dtype: type) -> float:
    """The distance from the exact value in units of its last place; 0 where both are the same infinity, or nan."""
    nearest = rounded(exact, dtype)
    if math.isnan(nearest) or math.isinf(nearest) or not math.isfinite(found):
        return 0.0 if found == nearest or (math.isnan(found) and math.isnan(nearest)) else math.inf
    with mp.workprec(160):
        return float(abs(mpf(float(found)) - exact) / mpf(float(np.spacing(dtype(abs(nearest))))))


def exact_of(row: str, *operands: float) -> mpf:
    """The exact value where the operands are finite numbers at which it is real."""
    with mp.workprec(160):
        if row == "softplus" and operands[0] < -1000:
            return mpf(0)
        value = EXACT[row](*(mpf(float(o)) for o in operands))
        return value if isinstance(value, mpf) else mp.nan


def worst(row: str, *operands: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """The largest error in ULP, and where."""
    found = run(row, *operands)
    dtype = found.dtype.type
    errors = [ulps(y, exact_of(row, *at), dtype) for y, at in zip(found, zip(*operands, strict=True), strict=True)]
    k = int(np.argmax(errors))
    return errors[k], tuple(float(o[k]) for o in operands)


def spread(dtype: type, count: int, seed: int) -> np.ndarray:
    """Numbers of every exponent and sign, subnormal ones among them; and of the sizes that models have."""
    draw = np.random.default_rng(seed)
    limits = np.finfo(dtype)
    exponents = draw.uniform(np.log2(float(limits.smallest_subnormal)), np.log2(float(limits.max)), count)
    every = draw.choice([-1.0, 1.0], count) * np.exp2(exponents)
    sizes = [draw.uniform(-s, s, count) for s in (1.0, 5.0, 40.0, 800.0 if dtype is np.float64 else 100.0)]
    near_one = 1 + draw.choice([-1.0, 1.0], count) * 10.0 ** draw.uniform(-8, 0, count)
    return np.concatenate([every, *sizes, near_one]).astype(dtype)


def valid(row: str, x: np.ndarray) -> np.ndarray:
    """Those numbers at which the function is real and finite."""
    with np.errstate(all="ignore"):
        within = {
            "log": np.abs(x), "log1p": x[x > -1], "xlogx": np.abs(x), "xlogx1p": x[x > -1], "log1mexp": -np.abs(x),
            "acosh": 1 + np.abs(x), "atanh": x[np.abs(x) < 1],
            "asin": x[np.abs(x) <= 1], "acos": x[np.abs(x) <= 1], "lgamma": np.abs(x), "digamma": np.abs(x),
            "trigamma": np.abs(x), "gamma": np.abs(x),
        }  # fmt: skip
    found = within.get(row, x)
    return found[np.isfinite(found)]


def powers(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Operands whose power spans the whole range, underflow and overflow included."""
    draw = np.random.default_rng(seed)
    top = 1024.0 if dtype is np.float64 else 128.0
    wide = np.exp2(draw.uniform(-top * 1.02, top * 0.99, count))
    near_one = 1 + draw.choice([-1.0, 1.0], count) * 10.0 ** draw.uniform(-6, -1, count)
    plain = draw.uniform(0.01, 8, count)
    x = np.concatenate([wide, near_one, plain]).astype(dtype)
    with np.errstate(all="ignore"):
        y = draw.uniform(-1.1, 1.05, x.size) * top / np.abs(np.log2(x.astype(float)))
    y[-count:] = draw.choice([-2.5, -1.0, 0.5, 1.5, 2.0, 3.0, 1 / 3, 7.0], count)
    keep = (x > 0) & np.isfinite(y) & (np.abs(y) < np.finfo(dtype).max)
    return x[keep], y[keep].astype(dtype)


def sides(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of about one size each, which is any; and numbers that have nothing to do with each other."""
    x = spread(dtype, count, seed)
    draw = np.random.default_rng(seed + 1)
    with np.errstate(over="ignore"):
        near = (x * draw.uniform(-2, 2, x.size)).astype(dtype)
    keep = np.isfinite(near)
    return np.concatenate([x[keep], x]), np.concatenate([near[keep], draw.permutation(x)])


def operands_of(row: str, dtype: type, count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Operands at which a row is real and finite."""
    if row in PAIRS:
        return PAIRS[row](dtype, count, seed)
    return (valid(row, spread(dtype, count, seed)),)


def factors(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A number of ordinary size, and a positive one of any."""
    y = np.abs(spread(dtype, count, seed))
    return np.random.default_rng(seed + 1).uniform(-5, 5, y.size).astype(dtype), y


def beside_one(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A number of ordinary size, and one above -1."""
    y = valid("log1p", spread(dtype, count, seed))
    return np.random.default_rng(seed + 1).uniform(-5, 5, y.size).astype(dtype), y


def squares(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight, and a number whose square may overflow; their product is not below -0.3, and no subnormal."""
    draw, top = np.random.default_rng(seed), float(np.log(np.finfo(dtype).max))
    size = np.concatenate([draw.uniform(-s, s, count) for s in (2.0, 0.4 * top, 0.95 * top)])
    weight = draw.uniform(-1.0, 1.0, size.size) * np.where(size < -0.4 * top, 1.0, min(20.0, 0.05 * top))
    weight = np.where(size < -0.4 * top, -2.0 * size - draw.uniform(0, 0.3 * top, size.size), weight)
    weight = np.minimum(weight, 0.95 * top)
    negative = (weight + 2 * size < np.log(0.3)) & (draw.random(size.size) < 0.5)
    sign = draw.choice([-1.0, 1.0], size.size)
    return (np.exp(weight) * np.where(negative, -1, 1)).astype(dtype), (np.exp(size) * sign).astype(dtype)


def gaps(dtype: type, count: int, seed: int) -> tuple[np.ndarray, ...]:
    """A number from 16 on, one that is added to it or taken from it up to 16, and what is not looked at there."""
    draw = np.random.default_rng(seed)
    r = 10 ** draw.uniform(1.21, 15, 4 * count)
    d = np.exp(draw.uniform(-3, 8, r.size)) * np.where(draw.random(r.size) < 0.5, 1, r)
    d = np.where(draw.random(r.size) < 0.3, -draw.uniform(0, 0.9, r.size) * (r - 16), d)
    r, d = r.astype(dtype), d.astype(dtype)
    keep = r.astype(float) + d > 16
    return r[keep], d[keep], 0 * r[keep]


def with_logarithms(dtype: type, count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Numbers above -1/2 of any size, and the logarithms of what is 1 more."""
    x = spread(dtype, count, seed)
    x = x[(x > -0.5) & ((np.abs(x) > 1e-18) | (dtype is np.float64)) & (np.abs(x) > 1e-150)]
    return x, np.log1p(x)


def both_positive(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers above 2, for log beta is 0 somewhere below, one of them of any size."""
    draw = np.random.default_rng(seed)
    a, b = 10 ** draw.uniform(0.4, 1, 4 * count), 10 ** draw.uniform(1.5, 15, 4 * count)
    swap = draw.random(a.size) < 0.5
    return np.where(swap, a, b).astype(dtype), np.where(swap, b, a).astype(dtype)


def numbers_and_more(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A positive number and what is added to it: any, some of it negative, or so much that the quotient overflows."""
    draw = np.random.default_rng(seed)
    top = 300.0 if dtype is np.float64 else 37.0
    x = 10 ** draw.uniform(-0.9 * top, 0.5 * top, 4 * count)
    share = 10 ** np.minimum(draw.uniform(-12, 1.2 * top, x.size), 0.95 * top - np.log10(x))
    return x.astype(dtype), (x * np.where(draw.random(x.size) < 0.2, -draw.uniform(0, 0.7, x.size), share)).astype(
        dtype
    )


TAILS = ("erfc", "erfcx", "logtail")


def tails(dtype: type, count: int) -> np.ndarray:
    """Operands of erfc: towards 2, about 0, out to where it is subnormal, and where it underflows to 0."""
    ends = (-6.0, -0.5, 0.0, 0.1, 0.5, 2.0, *((26.5, 27.4, 60.0) if dtype is np.float64 else (9.1, 10.3, 30.0)))
    draw = np.random.default_rng(8)
    return np.concatenate([draw.uniform(*pair, count) for pair in itertools.pairwise(ends)]).astype(dtype)


GAMMAS, GAPS = (
    ("lgamma", "digamma", "trigamma", "gamma"),
    ("lgammagap", "digammagap", "lbeta"),
)  # those of float32 take float64
DIGAMMA_ZERO = 1.4616321449683622


def parts_of_gammas(dtype: type, count: int) -> np.ndarray:
    """Positive numbers of each interval that has its own polynomial or product, about its ends and about zeros."""
    draw = np.random.default_rng(9)
    ends = (1e-3, 0.375, 1.0, 1.375, 2.0, 2.375, 3.0, 3.375, 4.375, 5.375, 9.0, 100.0)
    inside = [draw.uniform(*pair, count) for pair in itertools.pairwise(ends)]
    zeros = [z + draw.choice([-1.0, 1.0], count) * 10.0 ** draw.uniform(-16, -1, count) for z in (1, 2, DIGAMMA_ZERO)]
    around = [end + np.arange(-4, 5) * np.spacing(dtype(end)) for end in ends]
    return np.concatenate([*inside, *zeros, *around]).astype(dtype)


def reflected(row: str, dtype: type, count: int) -> float:
    """The largest error at negative numbers, over what is allowed.

    The difference of two terms of reflection is 0 between any two poles: there, the error is absolute. The functions
    that these stand in for are held to max(4e-15*|exact|, 1e-15) and 3.2e-14*max(1, |exact|) (test_emit_support.py).
    """
    draw = np.random.default_rng(10)
    tiny = -(10.0 ** draw.uniform(-30, 0, count))
    x = np.concatenate([tiny, *(draw.uniform(low, 0, count) for low in (-1, -5, -40, -1000))]).astype(dtype)
    found = run(row, x)
    with mp.workprec(160):
        exact = np.array([float(EXACT[row](mpf(float(v)))) for v in x])
    allowed = 2e-15 if dtype is np.float64 else 1.2e-7
    finite = np.abs(exact) <= float(np.finfo(dtype).max)
    assert np.isinf(found[~finite]).all()
    found, exact = found[finite], exact[finite]
    return float(np.max(np.abs(found - exact) / (allowed * np.maximum(1, np.abs(exact)))))


def weights(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight of any size and an exponent, whose product is not below -0.3."""
    draw = np.random.default_rng(seed)
    u = np.concatenate([draw.uniform(-s, s, count) for s in (2.0, 30.0, 3000.0)]).astype(dtype)
    size = draw.uniform(-60, 30, u.size) - np.where(draw.random(u.size) < 0.5, u, 0.0)
    size = np.where(np.abs(size) < np.log(float(np.finfo(dtype).max)) * 0.95, size, draw.uniform(-50, 50, u.size))
    negative = (size + u < np.log(0.3)) & (draw.random(u.size) < 0.5)
    return (np.exp(size) * np.where(negative, -1, 1)).astype(dtype), u


PAIRS = {
    "pow": powers,
    "hypot": sides,
    "atan2": sides,
    "xlogy": factors,
    "xlog1py": beside_one,
    "log1pwexp": weights,
    "log1pwsq": squares,
    "lgammagap": gaps,
    "digammagap": gaps,
    "lbeta": both_positive,
    "xlog1pdiv": numbers_and_more,
    "log1pgap": with_logarithms,
}


class TestAccuracy:
    """At most 2 ULP from the exact value, at numbers of every size."""

    @pytest.mark.one_in(9)
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_is_within_its_limit(self, row, dtype):
        operands = operands_of(row, dtype, 130, 1)
        error, where = worst(row, *operands)
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.slow
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_is_within_its_limit_at_many_numbers(self, row, dtype):
        operands = operands_of(row, dtype, 7000, 2)
        error, where = worst(row, *operands)
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.one_in(2)
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", ["sin", "cos", "tan"])
    def test_angles_next_to_a_zero_or_a_pole(self, row, dtype):
        some = np.random.default_rng(3).integers(1, 2**26, 60)
        turns = np.concatenate([np.arange(1, 60), 2 ** np.arange(6, 27), some])
        hard = [6381956970095103 * 2.0**797, 5.319372648326541e255, 1e22, 16367173 * 2.0**72, 2.0**26, 1e8, 1.0000001e8]
        angles = np.concatenate([turns * np.pi / 2, hard])
        angles = angles[angles < float(np.finfo(dtype).max)].astype(dtype)
        error, where = worst(row, np.concatenate([angles, -angles, np.nextafter(angles, dtype(0))]))
        assert error <= 2, where

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_atan_where_its_intervals_meet(self, dtype):
        ends = np.array([0.4375, 0.6875, 1.1875, 2.4375], dtype)
        x = np.concatenate([end + np.arange(-20, 20) * np.spacing(end) for end in ends]).astype(dtype)
        error, where = worst("atan", np.concatenate([x, -x]))
        assert error <= 2, where

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", ["asin", "acos"])
    def test_asin_and_acos_where_their_intervals_meet_and_end(self, row, dtype):
        middle, end = dtype(0.5), dtype(1)
        x = np.concatenate([middle + np.arange(-40, 90) * np.spacing(middle), end - np.arange(60) * np.spacing(middle)])
        draw = np.random.default_rng(5).uniform(0.5, 1, 200)
        x = np.concatenate([x, draw, [1 - 2.0**-9, 0.0, 1e-30]]).astype(dtype)
        error, where = worst(row, np.concatenate([x, -x]))
        assert error <= 2, where

    @pytest.mark.one_in(2)
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", TAILS)
    def test_both_tails_of_erfc(self, row, dtype):
        error, where = worst(row, tails(dtype, 60))
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", TAILS)
    def test_both_tails_of_erfc_at_many_numbers(self, row, dtype):
        error, where = worst(row, tails(dtype, 10_000))
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.one_in(2)
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", GAMMAS)
    def test_gammas_where_their_parts_meet_and_next_to_zeros(self, row, dtype):
        error, where = worst(row, parts_of_gammas(dtype, 12))
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", GAMMAS)
    def test_gammas_where_their_parts_meet_and_next_to_zeros_at_many_numbers(self, row, dtype):
        error, where = worst(row, parts_of_gammas(dtype, 2000))
        assert error <= LIMITS.get((row, dtype), 2.0), where

    @pytest.mark.one_in(2)
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", GAMMAS)
    def test_gammas_of_negative_numbers(self, row, dtype):
        assert reflected(row, dtype, 150) <= 1

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", GAMMAS)
    def test_gammas_of_many_negative_numbers(self, row, dtype):
        assert reflected(row, dtype, 5000) <= 1

    @pytest.mark.slow
    @pytest.mark.parametrize("row", [row for row in vecmath.VECTOR if row not in PAIRS])
    def test_every_4001st_float32(self, row):
        x = np.arange(0, 2**32, 4001, dtype=np.uint64).astype(np.uint32).view(np.float32)
        x = valid(row, x[np.isfinite(x)])
        found, double = run(row, x).astype(np.float64), run(row, x.astype(np.float64))
        with np.errstate(all="ignore"):
            nearest = double.astype(np.float32)
            errors = np.abs(found - double) / np.spacing(np.abs(nearest)).astype(np.float64)
        errors[(found == nearest) | ~np.isfinite(nearest)] = 0
        assert np.array_equal(np.isfinite(found), np.isfinite(nearest))
        assert errors.max() <= LIMITS.get((row, np.float32), 2.0) + 1e-6


OVER = {
    "log1pover": (lambda n, x: mp.hyp2f1(n + 1, n + 1, n + 2, -x) / (n + 1), -0.98, 50.0),
    "expm1over": (lambda n, x: mp.hyp1f1(n + 1, n + 2, x) / (n + 1), -60.0, 60.0),
}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("row", OVER)
def test_quotients_by_their_operand_and_their_derivatives(row, order, dtype):
    exact, low, high = OVER[row]
    draw = np.random.default_rng(order)
    sizes = [draw.uniform(max(low, -s), min(high, s), 80) for s in (1e-30, 1e-8, 0.3, 1.1, 100.0)]
    x = np.concatenate([[0.0, *(np.nextafter(e, e + s) for e in (-1.0, 1.0) if e > low for s in (-9, 9))], *sizes])
    x = x.astype(dtype)
    found = run(row, np.full_like(x, order), x, name=f"v{row}" + "32" * (dtype is np.float32))
    with mp.workprec(160):
        expected = np.array([float(exact(order, mpf(float(each)))) for each in x])
    np.testing.assert_allclose(found, expected, rtol=(6e-16, 4e-15, 4e-14)[order] if dtype is np.float64 else 1.2e-7)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_an_exponential_over_its_operand_leaves_the_range_of_single_numbers_where_it_should(order):
    x = np.array([80.0, 92.0, 94.0, 200.0, 1e6, 1e30, np.inf, -1e6, -1e12, -np.inf], np.float32)
    found = run("expm1over", np.full_like(x, order), x, name="vexpm1over32")
    with mp.workprec(200):
        exact = [mp.inf if e > 1e5 else mp.hyp1f1(order + 1, order + 2, mpf(float(e))) / (order + 1) for e in x[:-3]]
    exact += [1 / mpf(float(-e)) ** (order + 1) * max(order, 1) for e in x[-3:]]
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_allclose(found, np.array([float(e) for e in exact]).astype(np.float32), rtol=1.2e-7)


TABLES = Path(np.__file__).parent / "_core/tests/data"


def table(row: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """NumPy's own accuracy table of a function: operands and values."""
    with (TABLES / f"umath-validation-set-{row}.csv").open() as file:
        lines = [line for line in csv.reader(file) if line and line[0] == f"np.{dtype.__name__}"]
    code = "!d" if dtype is np.float64 else "!f"
    size = struct.calcsize(code)
    words = [[struct.unpack(code, int(word, 16).to_bytes(size, "big"))[0] for word in line[1:3]] for line in lines]
    operands, values = np.array(words, dtype).T
    return np.ascontiguousarray(operands), values


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ["exp", "expm1", "log", "log1p", "sinh", "cosh", "tanh", "sin", "cos", "tan", "atan"])
def test_agrees_with_numpys_table(row, dtype):
    operands, values = table({"atan": "arctan"}.get(row, row), dtype)
    found = run(row, operands)
    same = (found == values) | (np.isnan(found) & np.isnan(values))
    with np.errstate(all="ignore"):
        distance = np.abs(found.astype(np.longdouble) - values) / np.abs(np.spacing(values))
    assert operands.size > 100
    assert np.all(same | (distance <= 2)), operands[~(same | (distance <= 2))]


INF, NAN = math.inf, math.nan
EDGES = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e300, INF), (-1e300, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1e300, INF), (-1e300, -1.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN), (-5e-324, NAN)],
    "logtotal": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF)],
    "logcosh": [(0.0, 0.0), (-0.0, 0.0), (INF, INF), (-INF, INF), (1e300, 1e300), (-1e300, 1e300)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e300, 1.0), (-1e300, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e300, 1e300), (-1e300, 0.0)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e300, INF)],
    "cosh": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, INF), (-1e300, INF)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e300, 1.0)],
    "sech": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 0.0), (1e300, 0.0), (-1e300, 0.0)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (-1e300, -1.0)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (1e300, 0.0), (-1e300, 2.0), (30.0, 0.0), (1e-30, 1.0)],
    "erfcx": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, INF), (-1e300, INF), (-27.3, INF)],
    "logtail": [(INF, -INF), (-INF, 0.0), (1e300, -INF), (-1e300, 0.0), (-30.0, 0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (1e300, math.pi / 2)],
}
EDGES |= {
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1.0, math.pi / 2), (-1.0, -math.pi / 2), (1.5, NAN), (-INF, NAN), (INF, NAN)],
    "acos": [(0.0, math.pi / 2), (1.0, 0.0), (-1.0, math.pi), (1.5, NAN), (-1.5, NAN), (INF, NAN)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)],
    "acosh": [(1.0, 0.0), (0.5, NAN), (-INF, NAN), (INF, INF)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)],
    "log1mexp": [(0.0, -INF), (-0.0, -INF), (1.0, NAN), (INF, NAN), (-1e300, -0.0)],
    "xlogx": [(0.0, 0.0), (1.0, 0.0), (INF, INF), (-1.0, NAN)],
    "xlogx1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, 0.0), (INF, INF), (-1.5, NAN), (-INF, NAN)],
    "lgamma": [(0.0, INF), (-0.0, INF), (1.0, 0.0), (2.0, 0.0), (INF, INF), (-INF, INF), (-1.0, INF), (-1e300, INF)],
    "digamma": [(0.0, -INF), (-0.0, INF), (INF, INF), (-INF, NAN), (-1.0, NAN), (-7.0, NAN), (-1e300, NAN)],
    "trigamma": [(0.0, INF), (-0.0, INF), (INF, 0.0), (-INF, INF), (-1.0, INF), (-7.0, INF), (-1e300, INF)],
    "gamma": [(0.0, INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1.0, NAN), (5.0, 24.0), (-1e300, NAN), (1e300, INF)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (27.0, 3.0), (-8.0, -2.0), (1e300, 1e100)],
}
GROWING = ("exp", "expm1", "sinh", "cosh", "sech", "sigmoid")
ODD = ("expm1", "log1p", "xlogx1p", "sinh", "tanh", "sin", "tan", "atan", "asinh", "atanh")  # f(x) = x where x is tiny
BASES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0, 1e30, 1e-40, INF]
EXPONENTS = [0.0, 0.5, 1.0, 2.0, 3.0, 1 / 3, 2.0**23 + 1, 2.0**24, 2.0**52 + 1, 2.0**53, 1e30, INF]


class TestEdges:
    """Zeros with their signs, infinities, nan, subnormal numbers, the ends of the range."""

    @pytest.mark.one_in(5)
    @pytest.mark.parametrize(("row", "dtype"), [c for c in CASES if c[0] not in PAIRS])
    def test_special_operands(self, row, dtype):
        pairs = [(x, y) for x, y in EDGES[row] if dtype is np.float64 or abs(x) not in (1e300, 5e-324)]
        found = run(row, np.array([x for x, _ in pairs], dtype))
        expected = np.array([y for _, y in pairs], dtype)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found[expected == 0]), np.signbit(expected[expected == 0]))

    @pytest.mark.one_in(5)
    @pytest.mark.parametrize(("row", "dtype"), [c for c in CASES if c[0] not in PAIRS])
    def test_nan_stays_nan(self, row, dtype):
        whole = np.array([np.nan, -np.nan], dtype)
        payload = (whole.view(np.int64 if dtype is np.float64 else np.int32) | 0x12345).view(dtype)
        assert np.isnan(run(row, np.concatenate([whole, payload]))).all()

    @pytest.mark.one_in(2)
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", ODD)
    def test_subnormal_numbers_come_back(self, row, dtype):
        tiny = float(np.finfo(dtype).smallest_subnormal)
        x = np.array([1, 2, 3, 12345, 99999], dtype) * dtype(tiny)
        np.testing.assert_array_equal(run(row, np.concatenate([x, -x])), np.concatenate([x, -x]))

    @pytest.mark.one_in(3)
    @pytest.mark.parametrize(("row", "dtype"), [c for c in CASES if c[0] in GROWING])
    def test_every_number_about_overflow_and_underflow(self, row, dtype):
        with mp.workprec(160):
            top, low = mp.log(mpf(float(np.finfo(dtype).max))), mp.log(mpf(float(np.finfo(dtype).smallest_subnormal)))
            ends = [top, top + mp.log(2), low, low - mp.log(2), mp.log(mpf(float(np.finfo(dtype).tiny)))]
        around = [dtype(float(e)) + np.arange(-40, 40) * np.spacing(dtype(float(e))) for e in ends]
        x = np.concatenate(around).astype(dtype)
        error, where = worst(row, np.concatenate([x, -x]))
        assert error <= 2, where

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_power_of_special_operands_is_that_of_the_standard(self, dtype):
        bases, exponents = [np.array([*e, *(-v for v in e), np.nan], dtype) for e in (BASES, EXPONENTS)]
        x, y = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(bases, exponents))
        with np.errstate(all="ignore"):
            expected = np.power(x.astype(np.longdouble), y.astype(np.longdouble)).astype(dtype)
        found = run("pow", x, y)
        close = np.isclose(found, expected, rtol=4 * float(np.finfo(dtype).eps), atol=0, equal_nan=True)
        wrong = ~(close & (np.isnan(expected) | (np.signbit(found) == np.signbit(expected))))
        assert not wrong.any(), list(zip(x[wrong], y[wrong], found[wrong], expected[wrong], strict=True))

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("row", ["hypot", "atan2"])
    def test_pairs_of_special_operands_are_those_of_the_standard(self, row, dtype):
        limits = np.finfo(dtype)
        some = [0.0, 3.0, float(limits.max) / 2, float(limits.smallest_subnormal), float(limits.tiny), INF]
        each = np.array([*some, *(-v for v in some), NAN], dtype)
        x, y = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(each, each))
        with np.errstate(all="ignore"):
            function = {"hypot": np.hypot, "atan2": np.arctan2}[row]
            expected = function(x.astype(np.longdouble), y.astype(np.longdouble)).astype(dtype)
        found = run(row, x, y)
        np.testing.assert_array_max_ulp(found, expected, 1)
        there = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[there]), np.signbit(expected[there]))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_nothing_times_a_logarithm(self, dtype):
        cases = [
            (0.0, 0.0, 0.0),
            (0.0, INF, 0.0),
            (0.0, -1.0, 0.0),
            (2.0, 0.0, -INF),
            (-2.0, 0.0, INF),
            (1.0, -1.0, NAN),
        ]
        cases += [(0.0, NAN, NAN), (NAN, 1.0, NAN), (0.0, 5.0, 0.0)]
        x, y, expected = np.array(cases, dtype).T
        x, y = map(np.ascontiguousarray, (x, y))
        np.testing.assert_array_equal(run("xlogy", x, y), expected)
        np.testing.assert_array_equal(run("xlog1py", x, y - dtype(1)), expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_the_logarithm_of_1_and_a_weighted_exponential(self, dtype):
        tiny = float(np.finfo(dtype).smallest_subnormal)
        cases = [(0.0, u, 0.0) for u in (-2000.0, 0.0, 800.0, 3000.0, INF, -INF)]
        cases += [(1.0, INF, INF), (INF, 1.0, INF), (1.0, -INF, 0.0), (-1.0, 0.0, -INF), (-2.0, 0.0, NAN)]
        cases += [(-2.0, 3000.0, NAN), (NAN, 1.0, NAN), (1.0, NAN, NAN), (0.0, NAN, NAN), (NAN, 3000.0, NAN)]
        cases += [(tiny, 3000.0, 3000.0 + math.log(tiny)), (1.0, 3000.0, 3000.0), (2e-30, 89.0, 20.615594391852253)]
        w, u, expected = np.array(cases, dtype).T
        found = run("log1pwexp", np.ascontiguousarray(w), np.ascontiguousarray(u))
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_the_logarithm_of_1_and_a_weighted_square(self, dtype):
        cases = [
            (0.0, 2.0, 0.0),
            (1.0, 0.0, 0.0),
            (1.0, INF, INF),
            (INF, 1.0, INF),
            (1.0, -INF, INF),
            (-1.0, 1.0, -INF),
        ]
        cases += [(-2.0, 1.0, NAN), (-2.0, 1e30, NAN), (NAN, 1.0, NAN), (1.0, NAN, NAN), (0.5, 1e30, 137.46196)]
        w, x, expected = np.array(cases, dtype).T
        found = run("log1pwsq", np.ascontiguousarray(w), np.ascontiguousarray(x))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


FUSED = ("lgammagap", "lbeta")  # compiled directly, single numbers are fused otherwise, with another last digit


class TestCode:
    """What LLVM makes of it, and what is copied."""

    @pytest.mark.one_in(10)
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_same_bits_whatever_the_flags_of_the_caller(self, row, dtype):
        operands = PAIRS[row](dtype, 500, 5) if row in PAIRS else (spread(dtype, 500, 5),)
        fast, plain = (run(row, *operands, loop=loop) for loop in ("fast", "plain"))
        np.testing.assert_array_equal(fast.view(np.uint8), plain.view(np.uint8))

    @pytest.mark.one_in(10)
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_numba_computes_what_the_compiler_of_calls_does(self, row, dtype):
        """But for what each fuses of products and sums."""
        operands = operands_of(row, dtype, 100, 5)
        np.testing.assert_array_max_ulp(run(row, *operands, loop="fast"), run(row, *operands), 2)

    @pytest.mark.one_in(5)
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_the_loop_is_vectorised_without_a_call(self, row, dtype):
        operands = [np.ones(3, dtype)] * vecmath.ARITY.get(row, 1)
        run(row, *operands, loop="fast")
        loop = module(spelled(row, dtype), len(operands)).fast
        text = loop.inspect_llvm(loop.signatures[0])
        body = re.search(r"^vector\.body:.*?^ +br ", text, re.DOTALL | re.MULTILINE)
        assert body, "no vector loop"
        kind = "float" if dtype is np.float32 and row not in (*GAMMAS, *GAPS, "log1pgap") else "double"
        assert re.search(rf"fmul contract <\d+ x {kind}>", body[0])
        calls = set(re.findall(r"call [^@\n]*@([\w.]+)", body[0]))
        harmless = r"llvm\.(fabs|sqrt|is\.fpclass|smax|smin|umax|umin|abs|fshl|masked\.load)\b"
        assert all(re.match(harmless, call) for call in calls), calls

    @pytest.mark.one_in(3)
    @pytest.mark.parametrize(("row", "dtype"), CASES)
    def test_one_element_is_as_many(self, row, dtype):
        operands = PAIRS[row](dtype, 15, 6) if row in PAIRS else (spread(dtype, 15, 6),)
        loop = "fast" if row in FUSED else ""
        single = [run(row, *(o[k : k + 1] for o in operands), loop=loop)[0] for k in range(operands[0].size)]
        np.testing.assert_array_equal(np.array(single, dtype), run(row, *operands, loop=loop))

    @pytest.mark.one_in(22)
    @pytest.mark.parametrize("row", vecmath.VECTOR)
    def test_operands_of_other_types_are_rounded_first(self, row):
        operands = PAIRS[row](np.float32, 15, 7) if row in PAIRS else (spread(np.float32, 15, 7),)
        wide = [o.astype(np.float64) for o in operands]
        found = np.empty(operands[0].size, np.float32)
        module(spelled(row, np.float32), len(operands)).fast(*wide, found)
        np.testing.assert_array_equal(found, run(row, *operands))
        whole, real = np.arange(2, 9), np.empty(7)
        module(spelled(row, np.float64), len(operands)).fast(*[whole] * len(operands), real)
        np.testing.assert_array_equal(real, run(row, *[whole.astype(np.float64)] * len(operands)))

    @pytest.mark.parametrize(
        ("name", "operands"),
        [
            ("vexp", (-746.0,)), ("vexp", (-1e5,)), ("vexp32", (-105.0,)), ("vexp32", (-1e5,)), ("verfc", (28.0,)),
            ("verfc", (1e9,)), ("verfc32", (11.0,)), ("vsoftplus", (-1e4,)), ("vsigmoid", (-1e4,)),
            ("vsoftplus", (-300.0,)), ("vsoftplus32", (-60.0,)), ("vlog1p", (1e-200,)), ("vlog1p32", (1e-25,)),
            ("vlogcosh32", (30.0,)), ("vsech", (400.0,)), ("vsech32", (60.0,)),
            ("vpow", (0.5, 1080.0)), ("vpow", (0.5, 1e9)), ("vpow32", (0.5, 160.0)), ("vpow32", (0.5, 1e9)),
        ],
    )  # fmt: skip
    def test_what_is_small_far_out_does_not_underflow(self, name, operands):
        kind = np.float32 if name.endswith("32") else np.float64
        with np.errstate(under="raise"):  # some processors take a hundred cycles for it
            found = FUNCTIONS[name](*map(kind, operands))
        assert found == 0 or abs(found) > np.finfo(kind).tiny

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_copied_text_names_numpy_and_its_own_kind_only(self, name):
        tree = ast.parse(textwrap.dedent(inspect.getsource(FUNCTIONS[name])))
        stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        stored |= {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - stored
        assert used <= FUNCTIONS.keys() | {"np", "abs", "max", "min"}
        assert max(map(len, inspect.getsource(FUNCTIONS[name]).splitlines())) <= 100

    @pytest.mark.parametrize(
        ("terms", "dtype", "called"), [(3, "float64", True), (3, "float32", True), (17, "float64", False)]
    )
    def test_likelihoods_call_them_in_programs_that_are_not_long(self, terms, dtype, called):
        parts = " + ".join(f"lgamma(a*x[s] + {k})" for k in range(1, terms + 1))
        model = gc.parse(f"x: data[N]\na: parameter\nloss = Sum({parts} + erfc(a*x[s]), s)\n")
        text = gc.emit(model, target="numba", dtype=dtype)
        for row in ("lgamma", "digamma"):
            assert (f"{spelled(row, np.dtype(dtype).type)}(" in text) == called
        assert f"{spelled('erfc', np.dtype(dtype).type)}(" in text

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_the_slope_of_tanh_calls_one(self, dtype):
        model = gc.parse("x: data[N]\na: parameter\nloss = Sum(1 - tanh(a*x[s])**2, s)\n")
        text = gc.emit(model, target="numba", dtype=dtype)
        assert f" {spelled('sech', np.dtype(dtype).type)}(a*x[s])" in text

    def test_squares_do_not_count_as_long_functions(self):
        terms = "(cos(a*x[s]) - u)**2 + (sin(a*x[s]) - v)**2 + a**2 + u**3 + v**4"
        model = gc.parse(f"x: data[N]\na: parameter\nu: parameter\nv: parameter\nloss = Sum({terms}, s)\n")
        text = gc.emit(model, target="numba")
        assert "vcos(" in text
        assert "math.cos(" not in text

    def test_every_row_has_a_function_for_each_dtype(self):
        names = [name for pair in vecmath.VECTOR.values() for name in pair]
        assert {*names, *vecmath.SELDOM} <= FUNCTIONS.keys()
        assert vecmath.VECTOR.keys() == EXACT.keys()

    @pytest.mark.one_in(5)
    @pytest.mark.parametrize("row", minimax.ROWS)
    def test_coefficients_are_those_of_the_minimax_polynomial(self, row):
        text = "".join(inspect.getsource(module) for module in vecmath.MODULES)
        assert all(c.lstrip("-") in text for c in minimax.rounded(row))


SLOW_MACHINE = """
import numpy as np, pytest, sys
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "TestAccuracy or TestEdges", "--no-header", sys.argv[1]]))
"""


@pytest.mark.slow
def test_right_on_a_machine_without_fused_products_and_wide_vectors():
    numba = {"GRADCOMPILE_COMPILER": "numba", "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    environment = {**os.environ, **numba}
    done = subprocess.run(
        [sys.executable, "-c", SLOW_MACHINE, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_oracle_knows_half_an_ulp():
    with mp.workprec(160):
        assert ulps(1.0, mpf(1) + mpf(2) ** -53, np.float64) == 0.5
        assert ulps(math.inf, mpf(2) ** 1024, np.float64) == 0.0
        assert ulps(0.0, mpf(2) ** -1080, np.float64) < 0.5
        assert ulps(math.pi, mp.pi, np.float32) < 1e-6
