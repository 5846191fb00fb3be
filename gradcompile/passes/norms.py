"""Roots of squares and of sums of squares: as functions of their own they do not overflow, and have a gradient at 0."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from gradcompile.ir import Value
from gradcompile.passes.fold import exact, factored, scaled
from gradcompile.passes.logarithms import POSITIVE

NEAR = 1e-9  # of an order and the reciprocal of an exponent that is a float


def square_root(x: Value) -> Value | None:
    """Return the root of a square, or of a sum of squares: an absolute value, a hypotenuse, a norm."""
    apply = x.builder.apply
    if (base := squared(x)) is not None:
        return apply("abs", base)
    if x.op == "add":
        a, b = (_root_of_square(o) for o in x.operands)
        if a is not None and b is not None:
            return apply("hypot", a, b)
    factor, rest = factored(x)
    return apply("norm", x) if _sum_of_squares(x if rest is None or factor < 0 else rest) else None


def of_order(total: Value, exponent: Value) -> Value | None:
    """Return ``(Sum(abs(x[i])**p, i))**(1/p)`` with the gradient 0 at the origin, as that of a norm of order 2."""
    if exponent.op == "div" and exponent.operands[0].is_const(1):
        order = _order(total)
        matches = order is exponent.operands[1]
    else:
        number, order = _number(exponent), _order(total)
        matches = number is not None and isinstance(order, float) and order > 1 and abs(number * order - 1) < NEAR
    if not matches:
        return None
    return total.builder.apply("select", total.builder.apply("gt", total, 0), total**exponent, 0)


def _order(x: Value, depth: int = 8) -> Value | float | None:
    """Return the p of a sum of ``abs(u)**p``, or of even powers p: each term is one, times a number above 0."""
    if x.op == "sum" and depth:
        return _order(x.operands[0], depth - 1)
    if x.op == "abs":
        return 1.0
    if x.op == "pow":
        base, exponent = x.operands
        number = _number(exponent)
        is_even = number is not None and number > 0 and number % 2 == 0
        return None if base.op != "abs" and not is_even else exponent if number is None else number
    if not depth or x.op not in ("add", "mul", "div"):
        return None
    if x.op != "add" and any((exact(other) or 0) > 0 for other in x.operands[1:]):
        return _order(x.operands[0], depth - 1)
    if x.op == "mul" and (exact(x.operands[0]) or 0) > 0:
        return _order(x.operands[1], depth - 1)
    one, other = (_order(o, depth - 1) for o in x.operands)
    if x.op == "add":
        return one if one == other else None
    return one + other if x.op == "mul" and isinstance(one, float) and isinstance(other, float) else None


def _number(x: Value) -> float | None:
    return float(x.attr) if x.op == "const" and not isinstance(x.attr, bool | str) else None


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
        if not _is_square(x.operands[1]) and not (x.operands[1].op == "sum" and _sum_of_squares(x.operands[1])):
            return False
        x = x.operands[0]
    return _is_square(x) or (x.op == "sum" and _sum_of_squares(x.operands[0]))


def _is_square(x: Value, depth: int = 4) -> bool:
    """Return whether a value is a square, times numbers, squares and what is not negative; of these a cosine is one.

    A cosine is that of a latitude, beside squares of sines in the distance of two places on a sphere.
    """
    if squared(x) is not None:
        return True
    if not depth or x.op not in ("mul", "div"):
        return False
    a, b = x.operands
    if x.op == "div":
        return _is_square(a, depth - 1) and _is_weight(b)
    return any(_is_square(one, depth - 1) and _is_weight(other) for one, other in ((a, b), (b, a)))


def _is_weight(x: Value, depth: int = 4) -> bool:
    """Return whether a factor leaves a square not negative."""
    if (number := exact(x)) is not None:
        return number >= 0
    if depth and x.op == "mul":
        return all(_is_weight(operand, depth - 1) for operand in x.operands)
    return squared(x) is not None or x.op in ("cos", *POSITIVE)
