"""Powers of one base as one power: ``sqrt(x)*x`` is ``x**(3/2)``, and so is ``sqrt(x)**3``.

A root has an infinite slope at 0, a reciprocal is infinite there; times what is 0 both are nan, although the product
has a value and a slope. What is merged has its limit at 0. ``x/x`` stays what it is: not a power, and nan at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Value
from gradcompile.passes.fold import NEVER_ZERO
from gradcompile.passes.logarithms import not_negative

MADE = ("mul", "div", "pow", "sqrt", "select")  # what may hold powers
MANY = 32  # operations of a product that are looked at
SIMPLE = 2**20  # the denominator of an exponent that somebody has written as a fraction


class Factor(NamedTuple):
    """One factor of a product, ``base**exponent``.

    Parameters
    ----------
    base : Value
        What is raised.
    exponent : Fraction
        The product of all exponents on the way to the base: -3/2 for ``1/sqrt(x)**3``.
    powers : int
        How many powers and roots there are on the way.
    rooted : bool
        Whether one of the exponents is no whole number: then the factor is nan where the base is negative.
    pole : bool
        Whether one of them is negative.
    """

    base: Value
    exponent: Fraction = Fraction(1)
    powers: int = 0
    rooted: bool = False
    pole: bool = False

    def to(self, exponent: Fraction, base: Value) -> Factor:
        """Return the factor of which this is one, if its base is a power."""
        rooted = self.rooted or exponent.denominator != 1
        return Factor(base, self.exponent * exponent, self.powers + 1, rooted, self.pole or exponent < 0)


def of_product(a: Value, b: Value) -> Value | None:
    """Return a*b with powers of one base merged, where one of them has no slope at 0."""
    return _merged([Factor(a), Factor(b)])


def of_quotient(a: Value, b: Value) -> Value | None:
    """Return a/b in the same way."""
    return _merged([Factor(a), Factor(b, Fraction(-1), pole=True)])


def of_power(a: Value, b: Value) -> Value | None:
    """Return a**b in the same way."""
    exponent = _number(b)
    return None if exponent is None else _merged([Factor(a).to(exponent, a)])


def of_root(x: Value) -> Value | None:
    """Return sqrt(x) in the same way."""
    return _merged([Factor(x).to(Fraction(1, 2), x)])


def _merged(product: list[Factor]) -> Value | None:
    """Return a product whose powers of one base are one power each; None if there is nothing to merge."""
    if not _may_merge(product):
        return None
    by_base: dict[Value, list[Factor]] = {}
    for factor in _factors(product):
        by_base.setdefault(factor.base, []).append(factor)
    if not any(_belong_together(factors) for factors in by_base.values()):
        return None
    powers: list[tuple[Value, bool]] = []
    for factors in by_base.values():
        powers += [_power(factors)] if _belong_together(factors) else [_power([factor]) for factor in factors]
    above, below = ([value for value, is_above in powers if is_above is side] for side in (True, False))
    top = reduce(mul, above) if above else product[0].base.builder.const(1)
    return top / reduce(mul, below) if below else top


def _may_merge(product: list[Factor]) -> bool:
    """Return whether a base may occur twice: in most products none does, and they are looked at often."""
    if any(factor.powers and factor.base.op in MADE for factor in product):
        return True
    stack, bases = [factor.base for factor in product], set[Value]()
    while stack and len(bases) < MANY:
        value = stack.pop()
        if value.op in ("mul", "div"):
            stack.extend(value.operands)
            continue
        base = value.operands[-1 if value.op == "select" else 0] if value.op in MADE else value
        if base in bases or base.op in MADE:
            return True
        bases.add(base)
    return False


def _factors(product: list[Factor]) -> Iterator[Factor]:
    """Yield the factors of a product, from left to right, as powers of what is no power itself."""
    stack, seen = product[::-1], 0
    while stack:
        factor, seen = stack.pop(), seen + 1
        inside = _inside(factor) if seen < MANY else None
        if inside is None:
            yield factor
        else:
            stack.extend(reversed(inside))


def _inside(factor: Factor) -> list[Factor] | None:
    """Return the factors that one is made of, if it is made of any.

    A root of a product is no product of roots where signs are unknown, and one of an even power has an absolute value.
    """
    x = factor.base
    if x.op == "sqrt":
        return [factor.to(Fraction(1, 2), x.operands[0])]
    if x.op == "pow" and (exponent := _number(x.operands[1])) is not None:
        return [factor.to(exponent, x.operands[0])] if exponent.numerator % 2 or not factor.rooted else None
    if (exponent := _where_rooted_to(x)) is not None:
        return [factor.to(exponent, x.operands[2].operands[0])._replace(rooted=True)]
    if factor.rooted or x.op not in ("mul", "div"):
        return None
    return [_other(factor, x.operands[0]), _other(factor, x.operands[1], 1 if x.op == "mul" else -1)]


def _other(factor: Factor, base: Value, sign: int = 1) -> Factor:
    if sign > 0:
        return factor._replace(base=base)
    return factor._replace(base=base, exponent=-factor.exponent, pole=True)


def _number(exponent: Value) -> Fraction | None:
    """Return the number that an exponent is, floats included."""
    number = exponent.attr if exponent.op == "const" else None
    if not isinstance(number, int | Fraction | float) or not abs(float(number)) < SIMPLE:
        return None
    return Fraction(number)


def _belong_together(factors: list[Factor]) -> bool:
    """Return whether powers of one base are several, and one of them has no slope, or no value, at 0."""
    base, several = factors[0].base, sum(max(f.powers, 1) for f in factors) > 1
    if not several or base.op in ("const", "size", *NEVER_ZERO):
        return False
    return any(f.rooted or f.pole for f in factors) and sum(f.exponent for f in factors) != 0


def _power(factors: list[Factor]) -> tuple[Value, bool]:
    """Return the power that factors are, or the one by which they divide, and which of the two it is."""
    base, total = factors[0].base, Fraction(sum(f.exponent for f in factors))
    power = _raised(base, abs(total))
    if total.denominator == 1 and any(f.rooted for f in factors) and not not_negative(base):
        power = _where_rooted(power, base.builder.apply("sqrt", base))
    return power, total > 0


def _where_rooted(power: Value, root: Value) -> Value:
    """Return a power where its base has a root, and elsewhere that root: nan, as is its slope."""
    apply = power.builder.apply
    return apply("select", apply("ge", root.operands[0], 0), power, root)


def _where_rooted_to(x: Value) -> Fraction | None:
    """Return the exponent of what `_where_rooted` has made."""
    if x.op != "select" or x.operands[2].op != "sqrt":
        return None
    condition, power, (base,) = x.operands[0], x.operands[1], x.operands[2].operands
    if condition.op != "ge" or condition.operands[0] is not base or not condition.operands[1].is_const(0):
        return None
    if power is base:
        return Fraction(1)
    return _number(power.operands[1]) if power.op == "pow" and power.operands[0] is base else None


def _raised(base: Value, exponent: Fraction) -> Value:
    if exponent == Fraction(1, 2):
        return base.builder.apply("sqrt", base)
    return base if exponent == 1 else base ** (exponent if exponent.denominator < SIMPLE else float(exponent))
