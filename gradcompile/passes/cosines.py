"""The law of cosines without its difference: ``a**2 + b**2 - 2*a*b*cos(w)`` is ``(a - b)**2 + 4*a*b*sin(w/2)**2``."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from gradcompile.ir import Value
from gradcompile.passes import laurent
from gradcompile.passes.laurent import Monomial, TooManyError


def side(a: Value, b: Value) -> Value | None:
    """Return a + b as a square and a half angle; None if it is no such sum."""
    return _side(a.builder.apply("add", a, b))


def side_of_difference(a: Value, b: Value) -> Value | None:
    """Return a - b in the same way."""
    return _side(a.builder.apply("sub", a, b))


def _side(x: Value) -> Value | None:
    if not any(_has_cosine(operand) for operand in (x, *x.operands)):
        return None
    try:
        terms = laurent.of_value(x)
    except TooManyError:
        return None
    if len(terms) != 3:
        return None
    for monomial, number in terms.items():
        angles = [atom for atom, exponent in monomial if atom.op == "cos" and exponent == 1]
        roots = [_root(each, n) for each, n in terms.items() if each is not monomial]
        if number >= 0 or len(angles) != 1 or None in roots:
            continue
        (first, p), (second, q) = (root for root in roots if root is not None)
        both = laurent.joined(first, second)
        if both == laurent.joined(monomial, ((angles[0], 1),), -1) and 2 * p * q == -number:
            gap = laurent.as_value({second: q}, x) - laurent.as_value({first: p}, x)
            half = x.builder.apply("sin", angles[0].operands[0] / 2)
            return gap**2 + laurent.as_value({both: 4 * p * q}, x) * half**2
    return None


def _has_cosine(x: Value, depth: int = 3) -> bool:
    """Return whether a term of a sum is a product with a cosine."""
    if x.op == "cos":
        return True
    return bool(depth) and x.op in ("add", "sub", "neg", "mul") and any(_has_cosine(o, depth - 1) for o in x.operands)


def _root(monomial: Monomial, number: Fraction) -> tuple[Monomial, Fraction] | None:
    """Return the root of a term, if it is a square."""
    top, bottom = isqrt(max(number.numerator, 0)), isqrt(number.denominator)
    if Fraction(top, bottom) ** 2 != number or any(exponent % 2 for _, exponent in monomial):
        return None
    return tuple((atom, exponent // 2) for atom, exponent in monomial), Fraction(top, bottom)
