"""The functions of the language: one row each.

What SymPy lacks is written out: see `gradcompile.model.functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import sympy

from gradcompile.model.functions import WRITTEN


class Function(NamedTuple):
    """A function of real numbers.

    word : its name in the text
    build : operands in SymPy -> expression in SymPy, nothing evaluated
    estimate : the same in floats, for constants: where it is not defined or overflows, the text is refused
    fewest, most : number of operands; None for any number
    """

    word: str
    build: Callable[..., sympy.Expr]
    estimate: Callable[..., float] | None
    fewest: int = 1
    most: int | None = 1


def _as_is(head: Any) -> Callable[..., sympy.Expr]:
    """Return a constructor that leaves ``head(x)`` as it is."""
    return lambda *operands: head(*operands, evaluate=False)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


FUNCTIONS = {
    row.word: row
    for row in (
        Function("exp", _as_is(sympy.exp), math.exp),
        Function("expm1", WRITTEN["expm1"].build, math.expm1),
        Function("log", _as_is(sympy.log), math.log),
        Function("log1p", WRITTEN["log1p"].build, math.log1p),
        Function("sqrt", WRITTEN["sqrt"].build, math.sqrt),
        Function("cbrt", WRITTEN["cbrt"].build, math.cbrt),
        Function("sin", _as_is(sympy.sin), math.sin),
        Function("cos", _as_is(sympy.cos), math.cos),
        Function("tan", _as_is(sympy.tan), math.tan),
        Function("asin", _as_is(sympy.asin), math.asin),
        Function("acos", _as_is(sympy.acos), math.acos),
        Function("atan", _as_is(sympy.atan), math.atan),
        Function("atan2", _as_is(sympy.atan2), math.atan2, 2, 2),
        Function("sinh", _as_is(sympy.sinh), math.sinh),
        Function("cosh", _as_is(sympy.cosh), math.cosh),
        Function("tanh", _as_is(sympy.tanh), math.tanh),
        Function("asinh", _as_is(sympy.asinh), math.asinh),
        Function("acosh", _as_is(sympy.acosh), math.acosh),
        Function("atanh", _as_is(sympy.atanh), math.atanh),
        Function("abs", _as_is(sympy.Abs), abs),
        Function("sign", _as_is(sympy.sign), lambda x: float(x > 0) - float(x < 0)),
        Function("floor", _as_is(sympy.floor), math.floor),
        Function("ceil", _as_is(sympy.ceiling), math.ceil),
        Function("mod", _as_is(sympy.Mod), lambda x, y: x % y, 2, 2),
        Function("min", _as_is(sympy.Min), min, 2, None),
        Function("max", _as_is(sympy.Max), max, 2, None),
        Function("erf", _as_is(sympy.erf), math.erf),
        Function("erfc", _as_is(sympy.erfc), math.erfc),
        Function("gamma", _as_is(sympy.gamma), math.gamma),
        Function("lgamma", _as_is(sympy.loggamma), math.lgamma),
        Function("digamma", WRITTEN["digamma"].build, None),
        Function("hypot", WRITTEN["hypot"].build, math.hypot, 2, 2),
        Function("sigmoid", WRITTEN["sigmoid"].build, lambda x: (1 + math.tanh(x / 2)) / 2),
        Function("softplus", WRITTEN["softplus"].build, _softplus),
        Function("relu", lambda x: sympy.Max(x, sympy.S.Zero, evaluate=False), lambda x: max(x, 0.0)),
        Function("gelu", WRITTEN["gelu"].build, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    )
}

COMPARISONS: dict[str, Any] = {
    "<": sympy.StrictLessThan,
    "<=": sympy.LessThan,
    ">": sympy.StrictGreaterThan,
    ">=": sympy.GreaterThan,
    "==": sympy.Equality,
    "!=": sympy.Unequality,
}
CONNECTIVES: dict[str, Any] = {"and": sympy.And, "or": sympy.Or, "not": sympy.Not}
CONSTANTS = {"pi": (sympy.pi, math.pi), "e": (sympy.E, math.e)}

# Calls that bind an index, or, softmax, use one that is bound.
REDUCTIONS = ("Sum", "Product", "Max", "Min", "Mean", "logsumexp", "softmax")
WORDS = frozenset({*FUNCTIONS, *REDUCTIONS, "where"})

WRITTEN_INSTEAD = {
    "ln": "log(x)",
    "log2": "log(x)/log(2)",
    "log10": "log(x)/log(10)",
    "exp2": "2**x",
    "pow": "x**y",
    "square": "x**2",
    "factorial": "gamma(n + 1)",
    "binomial": "gamma(n + 1)/(gamma(k + 1)*gamma(n - k + 1))",
    "arcsin": "asin(x)",
    "arccos": "acos(x)",
    "arctan": "atan(x)",
    "arctan2": "atan2(y, x)",
    "Abs": "abs(x)",
    "ceiling": "ceil(x)",
    "loggamma": "lgamma(x)",
    "sgn": "sign(x)",
    "sum": "Sum(f, i)",
    "mean": "Mean(f, i)",
    "prod": "Product(f, i)",
    "Piecewise": "where(condition, a, b)",
    "logistic": "sigmoid(x)",
    "tg": "tan(x)",
    "sec": "1/cos(x)",
    "csc": "1/sin(x)",
    "cosec": "1/sin(x)",
    "cot": "1/tan(x)",
    "sinc": "sin(x)/x",
    "LN": "log(x)",
    "lg": "log(x)/log(10)",
    "power": "x**y",
    "sq": "x**2",
    "sqr": "x**2",
    "root": "sqrt(x)",
    "inv": "1/x",
    "round": "floor(x + 1/2)",
    "int": "floor(x)",
    "trunc": "sign(x)*floor(abs(x))",
    "sig": "sigmoid(x)",
    "sigm": "sigmoid(x)",
    "sigma": "sigmoid(x)",
    "logit": "log(p/(1 - p))",
    "swish": "x*sigmoid(x)",
    "silu": "x*sigmoid(x)",
    "elu": "where(x > 0, x, exp(x) - 1)",
    "leaky_relu": "max(x, x/100)",
    "heaviside": "where(x > 0, 1, 0)",
    "step": "where(x > 0, 1, 0)",
    "clip": "min(max(x, low), high)",
    "clamp": "min(max(x, low), high)",
    "if": "where(condition, a, b)",
    "ifelse": "where(condition, a, b)",
    "iif": "where(condition, a, b)",
    "logaddexp": "log(exp(a) + exp(b))",
    "Phi": "erfc(-x/sqrt(2))/2",
    "normcdf": "erfc(-x/sqrt(2))/2",
    "beta": "exp(lgamma(a) + lgamma(b) - lgamma(a + b))",
    "choose": "gamma(n + 1)/(gamma(k + 1)*gamma(n - k + 1))",
    "dot": "Sum(a[i]*b[i], i)",
    "norm": "sqrt(Sum(x[i]**2, i))",
    "var": "Mean((x[i] - m)**2, i) with m = Mean(x[i], i)",
    "std": "sqrt(Mean((x[i] - m)**2, i)) with m = Mean(x[i], i)",
    "mse": "Mean((y[i] - t[i])**2, i)",
    "cumsum": "Sum(x[j], j, 0, i)",
    "diff": "x[i + 1] - x[i]",
    "argmax": "Max(x[i], i) for the largest; where it lies has no slope",
    "argmin": "Min(x[i], i) for the smallest; where it lies has no slope",
    "len": "the size that the declaration names, as N in x: data[N]",
    "range": "an index: Sum(f, i, 0, N - 1)",
    "transpose": "the indices the other way round: W[j, i]",
}

# What stands between two operands elsewhere, and is a call, or another operator, here.
BETWEEN = {
    "mod": "mod(a, b)",
    "div": "floor(a/b)",
    "max": "max(a, b)",
    "min": "min(a, b)",
    "x": "a*b",
    "X": "a*b",
    "xor": "(a or b) and not (a and b)",
    "is": "a == b",
    "else": "where(condition, a, b)",
    "then": "where(condition, a, b)",
    "if": "where(condition, a, b)",
}
