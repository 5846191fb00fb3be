"""Which rule lowers which SymPy class: one table."""

from __future__ import annotations

import sympy
from sympy.codegen import cfunctions
from sympy.functions.elementary.complexes import conjugate, im, re
from sympy.matrices.expressions.matexpr import MatrixElement

from gradcompile.model import MaxOver, MinOver
from gradcompile.primitives import HEADS

from . import arithmetic, arrays, functions, matrices
from .state import Ask, Rule
from .sums import reduction

COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}

SCALARS: dict[type, Rule] = {
    **{head: arithmetic.relation(n) if n in COMPARISONS else arithmetic.row(n) for head, n in HEADS.items()},
    sympy.Number: arithmetic.number,
    sympy.NumberSymbol: arithmetic.number,
    sympy.Symbol: arrays.scalar,
    sympy.Idx: arrays.scalar,
    sympy.Indexed: arrays.element,
    sympy.IndexedBase: arrays.whole_array,
    sympy.Add: arithmetic.add,
    sympy.Mul: arithmetic.multiply,
    sympy.Pow: arithmetic.power,
    sympy.exp: arithmetic.exponential,
    sympy.log: functions.logarithm,
    cfunctions.log1p: arithmetic.row("log1p"),
    cfunctions.expm1: arithmetic.row("expm1"),
    cfunctions.Sqrt: arithmetic.row("sqrt"),
    cfunctions.Cbrt: arithmetic.row("cbrt"),
    cfunctions.hypot: arithmetic.row("hypot"),
    sympy.Max: arithmetic.row("maximum"),
    sympy.Min: arithmetic.row("minimum"),
    sympy.Piecewise: arithmetic.piecewise,
    sympy.ITE: arithmetic.choice,
    sympy.And: arithmetic.fold("and"),
    sympy.Or: arithmetic.fold("or"),
    sympy.Xor: arithmetic.fold("ne"),
    sympy.Not: arithmetic.negation,
    sympy.logic.boolalg.BooleanAtom: arithmetic.truth,
    re: arithmetic.same,
    conjugate: arithmetic.same,
    im: arithmetic.zero,
    sympy.UnevaluatedExpr: arithmetic.same,
    sympy.polygamma: functions.polygamma,
    sympy.KroneckerDelta: functions.delta,
    sympy.Derivative: functions.evaluated,
    sympy.Subs: functions.evaluated,
    sympy.Contains: functions.member,
    sympy.Sum: reduction("sum"),
    sympy.Product: reduction("prod"),
    MaxOver: reduction("max"),
    MinOver: reduction("min"),
    sympy.Trace: matrices.trace,
    sympy.Determinant: matrices.determinant,
    sympy.matrices.expressions.dotproduct.DotProduct: matrices.dot_product,
    MatrixElement: matrices.matrix_element,
    sympy.MatrixExpr: matrices.only_element,
    sympy.MatrixBase: matrices.only_element,
    **dict.fromkeys(functions.NOT_REAL, functions.unsupported),
    sympy.Function: functions.rewritten,
    sympy.Basic: functions.unsupported,
}

TABLES: dict[str, dict[type, Rule]] = {"scalar": SCALARS, "matrix": matrices.ELEMENTS}


NEAREST: dict[tuple[str, type], Rule] = {}


def rule_for(ask: Ask) -> Rule:
    """Return the rule for a scalar, or for an element of a matrix: that of the nearest base of its class."""
    table, kind = ("scalar" if ask.place is None else "matrix"), type(ask.expr)
    if (table, kind) not in NEAREST:
        rules = (TABLES[table][base] for base in kind.__mro__ if base in TABLES[table])
        NEAREST[table, kind] = next(rules, functions.unsupported)
    return NEAREST[table, kind]
