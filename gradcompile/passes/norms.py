"""Roots of squares and of sums of squares: as functions of their own they do not overflow, and have a gradient at 0."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from gradcompile.ir import Value
from gradcompile.passes.fold import factored, scaled


def square_root(x: Value) -> Value | None:
    """Return the root of a square, or of a sum of squares: an absolute value, a hypotenuse, a norm."""
    apply = x.builder.apply
    if (base := squared(x)) is not None:
        return apply("abs", base)
    if x.op == "add":
        a, b = (_root_of_square(o) for o in x.operands)
        if a is not None and b is not None:
            return apply("hypot", a, b)
    return apply("norm", x) if _sum_of_squares(x) else None


def _root_of_square(x: Value) -> Value | None:
    """Return the root of a square, of which a number may be a factor that is one, too; but for its sign."""
    factor, rest = factored(x)
    base, scale = None if rest is None else squared(rest), Fraction(factor)
    if base is None or scale <= 0:
        return None
    top, bottom = isqrt(scale.numerator), isqrt(scale.denominator)
    return scaled(base, Fraction(top, bottom), x) if Fraction(top, bottom) ** 2 == scale else None


def squared(x: Value) -> Value | None:
    """Return u if the value is u**2."""
    if x.op == "pow" and x.operands[1].is_const(2):
        return x.operands[0]
    return x.operands[0] if x.op == "mul" and x.operands[0] is x.operands[1] else None


BOUNDED = ("tanh", "sin", "cos", "sigmoid", "erf", "erfc", "sech", "atan", "asin", "acos", "sign")


def of_square(z: Value, depth: int = 4) -> tuple[Value, Value] | None:
    """Return (w, x) if a value is w*x**2, and the square may overflow."""
    if (base := squared(z)) is not None:
        return None if base.op in BOUNDED else (z.builder.const(1), base)
    if not depth or z.op not in ("mul", "div"):
        return None
    a, b = z.operands
    for square, other in ((a, b), (b, a)) if z.op == "mul" else ((a, b),):
        if (found := of_square(square, depth - 1)) is not None:
            weight, base = found
            if z.op == "mul":
                return (other if weight.is_const(1) else weight * other), base
            return (weight, base / below) if (below := squared(other)) is not None else (weight / other, base)
    return None


def _sum_of_squares(x: Value) -> bool:
    while x.op == "add":
        if squared(x.operands[1]) is None and not (x.operands[1].op == "sum" and _sum_of_squares(x.operands[1])):
            return False
        x = x.operands[0]
    return squared(x) is not None or (x.op == "sum" and _sum_of_squares(x.operands[0]))
