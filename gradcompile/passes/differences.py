"""Differences of what is nearly equal, by formulas that do not subtract.

``f(u) - 1`` is mostly rounding where f(u) is near 1, and so is ``c*f(u) - c``, which SymPy makes of ``c*(f(u) - 1)``.
A row of `LIMITS` says what a function minus a number that it comes near to is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

from gradcompile.ir import Value
from gradcompile.passes.exponentials import negated, opposite
from gradcompile.passes.fold import factored, scaled
from gradcompile.passes.logarithms import not_negative, positive

Real = int | Fraction | float
DEEPEST = 4  # sums inside one another that are looked through


def difference(a: Value, b: Value) -> Value | None:
    """Return a - b without cancellation, or None where nothing is known of it."""
    if (number := as_number(b)) is not None:
        return _with_limit(a, -number)
    if (number := as_number(a)) is not None:
        made = _with_limit(b, -number)
        return _of_either(b) if made is None and number == 1 else None if made is None else _times(-1, made)
    if a.op == b.op == "softplus" and opposite(a.operands[0], b.operands[0]):
        return a.operands[0]
    if (angle := _of_angles(a, b, -1)) is not None:
        return angle
    if (angle := _of_angles(b, a, -1)) is not None:
        return negated(angle)
    return _of_neither(a, b) or _of_roots(a, b)


def of_waves(a: Value, b: Value) -> Value | None:
    """Return sin(u) - sin(v) as 2*cos(v + g/2)*sin(g/2), g being u - v, and so with cosines, if u and v share terms."""
    if a.op != b.op or a.op not in ("sin", "cos") or not share_terms(*a.operands, *b.operands):
        return None
    (u,), (v,) = a.operands, b.operands
    half = gap(u, v) / 2
    across, along = a.builder.apply("cos" if a.op == "sin" else "sin", v + half), a.builder.apply("sin", half)
    return scaled(across * along, 2 if a.op == "sin" else -2, a)


def total(a: Value, b: Value) -> Value | None:
    """Return a + b without cancellation, or None where nothing is known of it."""
    for one, other in ((a, b), (b, a)):
        if (number := as_number(one)) is not None:
            return _with_limit(other, number)
        if (angle := _of_angles(one, other, 1)) is not None:
            return angle
    return None


def taken_away(a: Value, b: Value) -> Value | None:
    """Return a - b where a is a sum that has b as a term."""
    if a.op == "add" and b in a.operands:
        return a.operands[0] if b is a.operands[1] else a.operands[1]
    return None


def added_back(a: Value, b: Value) -> Value | None:
    """Return a + b where one of them is a difference that takes the other away."""
    for one, other in ((a, b), (b, a)):
        if other.op == "sub" and other.operands[1] is one:
            return other.operands[0]
    return None


def gap(a: Value, b: Value) -> Value:
    """Return a - b without the terms that both have: ``(p - x)/s - (q - x)/s`` is ``(p - q)/s``."""
    if a.op == b.op == "div" and a.operands[1] is b.operands[1]:
        return gap(a.operands[0], b.operands[0]) / a.operands[1]
    left = Counter(_terms(a, 1, DEEPEST))
    for sign, term in _terms(b, -1, DEEPEST):
        if left[-sign, term]:
            left[-sign, term] -= 1
        else:
            left[sign, term] += 1
    result = a.builder.const(0)
    for sign, term in sorted(left.elements(), key=lambda part: -part[0]):  # what is added comes first
        if result.is_const(0):
            result = term if sign > 0 else negated(term)
        else:
            result = result + term if sign > 0 else result - term
    return result


def share_terms(a: Value, b: Value) -> bool:
    """Return whether two sums have a term in common, which `gap` leaves out."""
    return not {*_terms(a, 1, DEEPEST)}.isdisjoint(_terms(b, 1, DEEPEST))


def _terms(x: Value, sign: int, depth: int) -> Iterator[tuple[int, Value]]:
    """Yield the terms of a sum, with their signs."""
    if depth and x.op in ("add", "sub"):
        yield from _terms(x.operands[0], sign, depth - 1)
        yield from _terms(x.operands[1], sign if x.op == "add" else -sign, depth - 1)
    elif depth and x.op == "neg":
        yield from _terms(x.operands[0], -sign, depth - 1)
    elif x.op != "const" or x.attr != 0:
        yield sign, x


# --- probabilities


def _of_either(x: Value) -> Value | None:
    """Return ``1 - (p + (1 - p)*q)`` as ``(1 - p)*(1 - q)``."""
    for p, product in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        for share, q in (product.operands, product.operands[::-1]) if product.op == "mul" else ():
            if _is_complement(share, p):
                return share * (difference(x.builder.const(1), q) or 1 - q)
    return None


def _of_neither(a: Value, b: Value) -> Value | None:
    """Return ``(1 - p) - (1 - p)*q`` as ``(1 - p)*(1 - q)``, and ``1 - (1 - p)*q - p``, which is the same."""
    one = a.builder.const(1)
    if a.op == "sub" and a.operands[0].is_const(1):
        left, product = (a, b) if b.op == "mul" else (one - b, a.operands[1])
        for share, q in (product.operands, product.operands[::-1]) if product.op == "mul" else ():
            if share is left:
                return share * (difference(one, q) or 1 - q)
    return None


def _is_complement(x: Value, p: Value) -> bool:
    """Return whether x is 1 - p."""
    if x.op == "sub":
        return x.operands[0].is_const(1) and x.operands[1] is p
    return x.op == p.op == "sigmoid" and opposite(x.operands[0], p.operands[0])


# --- a function and a number


def _with_limit(x: Value, number: Real) -> Value | None:
    """Return x + number for ``x = c*f(u)``, or ``n + c*f(u)``, where f comes near to -number/c."""
    for one, rest, sign in _beside_numbers(x):
        whole = _sum(as_number(one) or 0, number)
        made = _with_limit(rest, sign * whole) if whole else rest
        return None if made is None else made if sign > 0 else _times(-1, made)
    factor, function = _coefficient(x)
    if function is None or not factor:
        return None
    if function.op == "div" and _is_pi(function.operands[1]):
        angle, pi = function.operands
        made = _beside_angle(_decimal(number), _decimal(factor), angle)
        return None if made is None else _times(_signed(factor, number), made / pi)
    rule = LIMITS.get((function.op, -_decimal(number) / _decimal(factor)))
    made = None if rule is None else rule(function)
    return None if made is None else _times(factor, made)


def _beside_numbers(x: Value) -> Iterator[tuple[Value, Value, int]]:
    """Yield the number and the rest, with its sign, of a sum that has a number: ``n + rest``, or ``n - rest``."""
    if x.op == "add":
        yield from ((one, other, 1) for one, other in (x.operands, x.operands[::-1]) if as_number(one) is not None)
    elif x.op == "sub" and as_number(x.operands[0]) is not None:
        yield x.operands[0], x.operands[1], -1


def _sum(a: Real, b: Real) -> Real:
    """Return a + b; of floats the decimals that they are written as, so that 0.7 and 0.3 are 1."""
    whole = _decimal(a) + _decimal(b)
    return float(whole) if isinstance(a, float) or isinstance(b, float) else whole


def _decimal(number: Real) -> Fraction:
    return Fraction(str(float(number))) if isinstance(number, float) else Fraction(number)


def as_number(x: Value) -> Real | None:
    """Return the number that a value is, if it is finite and not 0; names of numbers, as pi, are none."""
    number = x.attr if x.op == "const" and not isinstance(x.attr, bool | str) else None
    return number if number and abs(number) < float("inf") else None


def _coefficient(x: Value) -> tuple[Real, Value | None]:
    """Return (c, rest) with x = c*rest, c a number of any kind."""
    if x.op == "mul" and isinstance(number := as_number(x.operands[0]), float):
        factor, rest = _coefficient(x.operands[1])
        return (number, x.operands[1]) if rest is None else (float(number * factor), rest)
    return factored(x)


def _times(factor: Real, x: Value) -> Value:
    if x.op == "select" and factor < 0:
        return -_times(-factor, x)
    if x.op == "select":
        condition, *branches = x.operands
        return x.builder.apply("select", condition, *(_times(factor, branch) for branch in branches))
    inner, rest = _coefficient(x)
    if isinstance(whole := factor * inner, float) and rest is not None:
        return rest if whole == 1 else x.builder.const(whole) * rest
    return x.builder.const(factor) * x if isinstance(whole, float) else scaled(rest, whole, x)


def _beside_angle(turns: Fraction, factor: Fraction, angle: Value) -> Value | None:
    """Return ``(turns*pi + factor*angle)/|factor|``, without its sign, of an angle that may come near to -turns*pi.

    That is ``pi/2 + atan(u)``, which is atan2(1, -u), or ``pi - atan2(1, u)``, which is so, too.
    """
    is_opposite = (turns > 0) != (factor > 0)
    if angle.op == "atan" and 2 * abs(turns) == abs(factor):
        (u,) = angle.operands
        return angle.builder.apply("atan2", 1, u if is_opposite else negated(u))
    if angle.op == "atan2" and angle.operands[0].is_const(1) and turns == -factor:
        return angle.builder.apply("atan2", 1, negated(angle.operands[1]))
    return None


def _of_angles(a: Value, b: Value, sign: int) -> Value | None:
    """Return a + sign*b without cancellation, where one is a multiple of pi and the other one of an angle."""
    scale, pi = factored(a)
    factor, angle = factored(b)
    if pi is None or angle is None or not _is_pi(pi):
        return None
    made = _beside_angle(Fraction(scale), Fraction(sign * factor), angle)
    return None if made is None else _times(_signed(factor, scale), made)


def _signed(size: Real, sign: Real) -> Real:
    return size if (size > 0) == (sign > 0) else -size


def _is_pi(x: Value) -> bool:
    return x.op == "const" and x.attr == "pi"


Limit = Callable[[Value], Value | None]


def _of(name: str, scale: Real = 1, argument: Real = 1) -> Limit:
    """Return the rule that a difference is ``scale*name(argument*u)``."""

    def rule(f: Value) -> Value:
        return _times(scale, f.builder.apply(name, _times(argument, f.operands[0])))

    return rule


def _of_square(name: str, scale: int) -> Limit:
    """Return the rule that a difference is ``scale*name(u/2)**2``."""
    return lambda f: scale * f.builder.apply(name, f.operands[0] / 2) ** 2


def _root_minus_one(root: Value) -> Value | None:
    """Return sqrt(1 + z) - 1 as z/(1 + sqrt(1 + z))."""
    square = root.operands[0]
    for one, rest in (square.operands, square.operands[::-1]) if square.op == "add" else ():
        if one.is_const(1):
            return rest / (1 + root)
    return None


def _hypot_minus_one(root: Value) -> Value | None:
    """Return hypot(1, z) - 1 without z**2, which may overflow."""
    other = [o for o in root.operands if not o.is_const(1)]
    return other[0] * (other[0] / (1 + root)) if len(other) == 1 else None


# cos**2 - 1 is -sin**2, and so on.
PYTHAGOREAN = {"tanh": (-1, "sech"), "sech": (-1, "tanh"), "cos": (-1, "sin"), "sin": (-1, "cos"), "cosh": (1, "sinh")}


def _power_minus_one(power: Value) -> Value | None:
    """Return f(u)**2 - 1 by an identity or as (f - 1)*(f + 1), and (1 + z)**c - 1 by its logarithm."""
    base, exponent = power.operands
    if exponent.is_const(2) and base.op in PYTHAGOREAN:
        scale, name = PYTHAGOREAN[base.op]
        return _times(scale, base.builder.apply(name, base.operands[0]) ** 2)
    if exponent.is_const(2) and (less := _with_limit(base, -1)) is not None:
        return less * (1 + base)
    if exponent.op != "const" and exponent.kind == "real":
        return _variable_power_minus_one(power)
    whole = isinstance(exponent.attr, int) if exponent.op == "const" else True
    for one, rest in (base.operands, base.operands[::-1]) if base.op == "add" else ():
        if one.is_const(1) and (not whole or not_negative(rest)):  # a negative base has whole powers
            return base.builder.apply("expm1", exponent * base.builder.apply("log1p", rest))
    return None


def logarithm(base: Value) -> Value:
    """Return log(base), which is log1p(z) for 1 + z, and for 1 - z; -log1p(b/a) for a/(a + b)."""
    apply = base.builder.apply
    for one, rest in (base.operands, base.operands[::-1]) if base.op == "add" else ():
        if one.is_const(1):
            return apply("log1p", rest)
    if base.op == "sub" and base.operands[0].is_const(1):
        return apply("log1p", negated(base.operands[1]))
    part, whole = base.operands if base.op == "div" else (base, base)
    for one, rest in (whole.operands, whole.operands[::-1]) if whole.op == "add" else ():
        if one is part:
            return -apply("log1p", rest / part)
    if base.op == "neg" and base.operands[0].op == "expm1":
        return apply("log1mexp", base.operands[0].operands[0])
    if base.op == "neg" and (power := _less_one(base.operands[0])) is not None:
        return apply("log1p", -power)
    return apply("log", base)


def _less_one(x: Value) -> Value | None:
    """Return the power that is in a choice which `_variable_power_minus_one` has made."""
    written = x.operands[2] if x.op == "select" else x
    return written.operands[0] if written.op == "sub" and written.operands[1].is_const(1) else None


def _variable_power_minus_one(power: Value) -> Value | None:
    """Return x**y - 1 as expm1(y*log(x)), where x has a logarithm; elsewhere y may still be a whole number."""
    base, exponent = power.operands
    if not_negative(base) and not positive(base):
        return None  # a distance, whose logarithm has no slope at 0
    apply = power.builder.apply
    made = apply("expm1", exponent * logarithm(base))
    return made if positive(base) else apply("select", apply("gt", base, 0), made, power - 1)


HALF = Fraction(1, 2)
LIMITS: dict[tuple[str, Real], Limit] = {  # (f, number): f(u) - number
    ("exp", 1): _of("expm1"),
    ("expm1", -1): _of("exp"),
    ("tanh", 1): _of("sigmoid", -2, -2),
    ("tanh", -1): _of("sigmoid", 2, 2),
    ("sigmoid", 1): _of("sigmoid", -1, -1),
    ("sigmoid", HALF): _of("tanh", HALF, HALF),
    ("erf", 1): _of("erfc", -1),
    ("erf", -1): _of("erfc", 1, -1),
    ("erfc", 1): _of("erf", -1),
    ("erfc", 2): _of("erfc", -1, -1),
    ("cos", 1): _of_square("sin", -2),
    ("cos", -1): _of_square("cos", 2),
    ("cosh", 1): _of_square("sinh", 2),
    ("sech", 1): lambda f: -f.builder.apply("tanh", f.operands[0]) * f.builder.apply("tanh", f.operands[0] / 2),
    ("sqrt", 1): _root_minus_one,
    ("hypot", 1): _hypot_minus_one,
    ("pow", 1): _power_minus_one,
}


# --- roots


def _of_roots(a: Value, b: Value) -> Value | None:
    """Return sqrt(x + c) - sqrt(x) as c/(sqrt(x + c) + sqrt(x)), where the numbers alone differ."""
    if (made := _root_less_side(a, b)) is not None or a.op != "sqrt" or b.op != "sqrt":
        return made
    (inside,), (other,) = a.operands, b.operands
    return gap(inside, other) / (a + b) if share_terms(inside, other) else None


def _root_less_side(root: Value, side: Value) -> Value | None:
    """Return sqrt(u**2 + z) - u, which cancels where u is large, as z/(sqrt(u**2 + z) + u)."""
    apply, is_root = root.builder.apply, root.op in ("sqrt", "norm")
    inside = root.operands[0] if is_root else root
    pairs = (inside.operands, inside.operands[::-1]) if inside.op == ("add" if is_root else "hypot") else ()
    for one, other in pairs:
        whole = None
        if not is_root and one is side:
            whole = other * (other / (root + side))
        elif is_root and one.op == "pow" and one.operands[0] is side and one.operands[1].is_const(2):
            whole = other / (root + side)
        if whole is not None:
            return apply("select", apply("gt", side, 0), whole, root - side)
    return None
