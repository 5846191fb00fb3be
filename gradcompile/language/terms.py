"""Arithmetic on the way from text to SymPy: constants are folded here, within limits, and SymPy evaluates nothing.

SymPy simplifies while it builds, and so ``9**9**9`` would fill the memory. Here numbers are folded by Python with a
limit on every step, everything else is built as it was written. Only index arithmetic, which is sums of whole
multiples, is left to SymPy, so that a subscript has its usual form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple

import sympy

from gradcompile.ir import nearest_float
from gradcompile.model.functions import add, power

from .limits import Limits

Number = int | Fraction | float


class ConstantError(ValueError):
    """A constant that is not a real number in float64, or costs too much; the caller knows where.

    Parameters
    ----------
    what : str
        What is wrong.
    hint : str
        What to do.
    """

    def __init__(self, what: str, hint: str = "change the constants that it is made of") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class Whole(IntEnum):
    """Whether a term can stand in a subscript."""

    NO = 0
    FIXED = 1  # whole numbers and sizes
    VARYING = 2  # with indices or labels in it


class Term(NamedTuple):
    """A number times factors.

    Parameters
    ----------
    coefficient : int, Fraction or float
        Exact where the text was.
    factors : tuple of sympy.Expr
        Empty for a plain number.
    whole : Whole
        Whether it can stand in a subscript.
    estimate : float, optional
        The product of the factors, to a few digits, where it is a constant.
    """

    coefficient: Number
    factors: tuple[sympy.Expr, ...] = ()
    whole: Whole = Whole.NO
    estimate: float | None = 1.0

    @property
    def is_number(self) -> bool:
        """Whether this is a plain number."""
        return not self.factors

    @property
    def constant(self) -> float | None:
        """The value to a few digits, if this depends on nothing."""
        return None if self.estimate is None else nearest_float(self.coefficient) * self.estimate


def number(value: Number) -> sympy.Number:
    """Return a number for SymPy; it must be within the range of float64."""
    size = nearest_float(value)
    if not math.isfinite(size) or (size == 0 and value != 0):
        raise ConstantError("a constant is not within the range of float64, 5e-324 to 1.8e308")
    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)


def expression(term: Term) -> sympy.Expr:
    """Return a term for SymPy."""
    if term.is_number or term.coefficient == 0:
        return number(term.coefficient)
    if term.whole:
        return sympy.Mul(number(term.coefficient), *term.factors)
    factors = term.factors if term.coefficient == 1 else (number(term.coefficient), *term.factors)
    return factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False)


def of(expr: sympy.Expr, whole: Whole = Whole.NO, estimate: float | None = None) -> Term:
    """Return the term of an expression."""
    if expr.is_Number:  # what SymPy makes of Max(0, 0)
        return plain(_python(expr))
    hash(expr), expr.is_commutative  # SymPy works these out by recursion and keeps them: no deep tree is walked at once
    return Term(1, (expr,), whole, estimate)


def _python(number: sympy.Number) -> Number:
    """Return a number of SymPy, exact if it is rational."""
    return Fraction(number.p, number.q) if number.is_Rational else float(number)


def plain(value: Number) -> Term:
    """Return the term of a number."""
    if isinstance(value, Fraction) and value.denominator == 1:
        value = value.numerator
    return Term(value, whole=Whole.FIXED if isinstance(value, int) else Whole.NO)


class Arithmetic:
    """The operations on terms.

    Parameters
    ----------
    limits : Limits
        `constant_bits` and `exponent` bound the numbers.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def negative(self, term: Term) -> Term:
        """Return ``-term``."""
        return Term(-term.coefficient, term.factors, term.whole, term.estimate)

    def sum(self, terms: Sequence[Term]) -> Term:
        """Return the sum, numbers folded and put first."""
        whole = max(t.whole for t in terms) if all(t.whole for t in terms) else Whole.NO
        folded: Number = 0
        for term in terms:
            if term.is_number:
                folded = self._bounded(folded + term.coefficient)
        rest = [t for t in terms if not t.is_number]
        if not rest:
            return plain(folded)
        if len(rest) == 1 and folded == 0:
            return rest[0]
        others = [expression(t) for t in rest]
        if whole:
            return _whole(sympy.Add(number(folded), *others), whole)
        if folded != 0:
            others = [number(folded), *others]
        constants = [t.constant for t in terms]
        estimate = sum(c for c in constants if c is not None) if None not in constants else None
        return of(add(*others), estimate=estimate)

    def product(self, terms: Sequence[Term]) -> Term:
        """Return the product, numbers folded and put first."""
        coefficient: Number = 1
        for term in terms:
            coefficient = self._bounded(coefficient * term.coefficient)
        if coefficient == 0:
            if any(t.coefficient == 0 for t in terms):
                return plain(0)
            raise ConstantError("a product of constants is smaller than the smallest float64, 5e-324")
        factors = tuple(f for t in terms for f in t.factors)
        if not factors:
            return plain(coefficient)
        if all(t.whole for t in terms) and sum(t.whole == Whole.VARYING for t in terms) <= 1:
            return _whole(sympy.Mul(number(coefficient), *factors), max(t.whole for t in terms))
        estimates = [t.estimate for t in terms]
        estimate = math.prod(e for e in estimates if e is not None) if None not in estimates else None
        return Term(coefficient, factors, Whole.NO, estimate)

    def reciprocal(self, term: Term) -> Term:
        """Return ``1/term``."""
        if term.constant == 0 and (not term.is_number or term.coefficient == 0):
            raise ConstantError("division by zero")
        if term.is_number:
            value = term.coefficient
            return plain(self._bounded(1 / value if isinstance(value, float) else 1 / Fraction(value)))
        estimate = None if term.constant is None else 1 / term.constant
        return of(power(expression(term), sympy.S.NegativeOne), estimate=estimate)

    def power(self, base: Term, exponent: Term) -> Term:
        """Return ``base**exponent``."""
        if exponent.is_number and isinstance(exponent.coefficient, int):
            return self._whole_power(base, exponent.coefficient)
        estimate = self._estimated_power(base.constant, exponent.constant)
        if base.is_number and exponent.is_number and estimate is not None:
            if isinstance(base.coefficient, float) or isinstance(exponent.coefficient, float):
                return plain(estimate)
            if base.coefficient in (0, 1):
                return base
        if _is_e(base):
            return of(sympy.exp(expression(exponent), evaluate=False), estimate=estimate)
        return of(power(expression(base), expression(exponent)), estimate=estimate)

    def _whole_power(self, base: Term, exponent: int) -> Term:
        """Return a power with a whole exponent, exact where the base is."""
        if abs(exponent) > self.limits.exponent:
            shown = exponent if abs(exponent) < LONG else "of a power"
            raise ConstantError(f"the exponent {shown} is too large", self.limits.exceeded("exponent"))
        if exponent in (0, 1):
            return base if exponent else plain(1)
        if base.is_number:
            return plain(self._number_power(base.coefficient, exponent))
        estimate = self._estimated_power(base.constant, float(exponent))
        if _is_e(base):
            return of(sympy.exp(sympy.Integer(exponent), evaluate=False), estimate=estimate)
        return of(power(expression(base), sympy.Integer(exponent)), estimate=estimate)

    def _number_power(self, base: Number, exponent: int) -> Number:
        if base == 0 and exponent < 0:
            raise ConstantError("division by zero")
        if isinstance(base, float):
            return self._estimated_power(base, float(exponent)) or 0.0
        if _bits(base) * abs(exponent) > self.limits.constant_bits:
            raise ConstantError("an exact constant is too large", self.limits.exceeded("constant_bits"))
        return Fraction(base) ** exponent

    def _estimated_power(self, base: float | None, exponent: float | None) -> float | None:
        """Return a constant power to a few digits; None where it is not a constant."""
        if base is None or exponent is None:
            return None
        try:
            value = math.pow(base, exponent)
        except (OverflowError, ValueError):
            value = math.inf
        if math.isinf(value) and base == 0:
            raise ConstantError("division by zero")
        if math.isinf(value) and base < 0 and not exponent.is_integer():
            raise ConstantError("a fractional power of a negative number is not real", "the real cube root is cbrt(x)")
        return _finite(value)

    def _bounded(self, value: Number) -> Number:
        """Return a folded number, if it is finite and not too long."""
        if isinstance(value, float):
            return _finite(value)
        if _bits(value) > self.limits.constant_bits:
            raise ConstantError("an exact constant is too large", self.limits.exceeded("constant_bits"))
        return value


LONG = 10**9  # larger exponents are not repeated in the message


def _is_e(base: Term) -> bool:
    """Whether a power of this base is the exponential function."""
    return base.coefficient == 1 and base.factors == (sympy.E,)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ConstantError("a constant is larger than the largest float64, 1.8e308")
    return value


def _bits(value: int | Fraction) -> int:
    """Return the length of the longer one of numerator and denominator."""
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _whole(expr: sympy.Expr, whole: Whole) -> Term:
    """Return the term of index arithmetic, which SymPy has brought into its usual form."""
    if expr.is_Mul and expr.args[0].is_Integer:
        return Term(int(expr.args[0]), expr.args[1:], whole, None)
    return of(expr, whole)
