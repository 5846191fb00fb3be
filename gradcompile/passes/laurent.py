"""Values as sums of products of powers, whole and negative ones: what is equal in exact arithmetic is equal here.

``y*m/y - m`` is nothing, as is ``p + (1 - p) - 1``. What is no sum, product, quotient or whole power is looked at as
one thing, an atom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import reduce
from operator import mul

from gradcompile.ir import Value
from gradcompile.passes.fold import exact, scaled
from gradcompile.passes.polynomials import minus, plus

MANY = 24  # terms
DEEPEST = 8  # sums and products inside one another that are looked through
HIGHEST = 4  # power of a sum that is multiplied out

Monomial = tuple[tuple[Value, int], ...]  # atoms and their exponents, by the numbers of the atoms
Terms = dict[Monomial, Fraction]


class TooManyError(Exception):
    """A sum of so many terms that it is not looked at, or of none that something is divided by."""


def of_atom(x: Value, exponent: int = 1) -> Terms:
    """Return a power of one thing."""
    return {((x, exponent),): Fraction(1)}


def of_number(number: int | Fraction) -> Terms:
    """Return a number."""
    return {(): Fraction(number)} if number else {}


def added(a: Terms, b: Terms, sign: int | Fraction = 1) -> Terms:
    """Return a + sign*b."""
    total = dict(a)
    for monomial, number in b.items():
        total[monomial] = total.get(monomial, Fraction(0)) + sign * number
    return {monomial: number for monomial, number in total.items() if number}


def multiplied(a: Terms, b: Terms) -> Terms:
    """Return a*b."""
    if len(a) * len(b) > MANY:
        raise TooManyError
    total: Terms = {}
    for left, n in a.items():
        for right, k in b.items():
            total = added(total, {joined(left, right): n * k})
    return total


def joined(a: Monomial, b: Iterable[tuple[Value, int]], times: int = 1) -> Monomial:
    """Return a times a power of b."""
    exponents = dict(a)
    for atom, exponent in b:
        exponents[atom] = exponents.get(atom, 0) + times * exponent
    return tuple(sorted(((atom, e) for atom, e in exponents.items() if e), key=lambda part: part[0].number))


def reciprocal(a: Terms) -> Terms:
    """Return 1/a; a sum of several terms is one thing."""
    if len(a) == 1:
        ((monomial, number),) = a.items()
        return {joined((), monomial, -1): 1 / number}
    if not a:
        raise TooManyError
    first = next(iter(a.values()))
    return {((as_value({m: n / first for m, n in a.items()}), -1),): 1 / first}


def over(a: Terms, b: Terms) -> Terms:
    """Return a/b; a number where a is a multiple of b."""
    if a.keys() == b.keys():
        ratios = {a[monomial] / b[monomial] for monomial in a}
        if len(ratios) == 1:
            return of_number(*ratios)
    return multiplied(a, reciprocal(b))


def of_value(x: Value, depth: int = DEEPEST) -> Terms:
    """Return a value as terms; what is deep inside is an atom."""
    if (number := exact(x)) is not None:
        return of_number(Fraction(number))
    if not depth or x.op not in RULES:
        return of_atom(x)
    if x.op == "pow" and whole(x.operands[1]) is None:
        return power(x.operands[0], of_value(x.operands[1], depth - 1))
    return RULES[x.op](x, depth - 1)


def _power_of(x: Value, depth: int) -> Terms:
    power, base = whole(x.operands[1]) or 0, of_value(x.operands[0], depth)
    return reduce(multiplied, [base if power > 0 else reciprocal(base)] * abs(power), of_number(1))


def _rule(combine: Callable[[Terms, Terms], Terms]) -> Callable[[Value, int], Terms]:
    return lambda x, depth: combine(*(of_value(operand, depth) for operand in x.operands))


RULES: dict[str, Callable[[Value, int], Terms]] = {
    "add": _rule(added),
    "sub": _rule(lambda a, b: added(a, b, -1)),
    "neg": lambda x, depth: added({}, of_value(x.operands[0], depth), -1),
    "mul": _rule(multiplied),
    "div": _rule(over),
    "pow": _power_of,
}


def power(base: Value, exponent: Terms) -> Terms:
    """Return a power: with a whole number in its exponent for a factor, ``x**(1 - y)`` is ``x*x**(-y)``."""
    number, rest = exponent.get((), Fraction(0)), {m: n for m, n in exponent.items() if m}
    if number.denominator != 1 or abs(number) > HIGHEST or not rest:
        return of_atom(base ** as_value(exponent, base))
    own = of_value(base) if number > 0 else reciprocal(of_value(base))
    return reduce(multiplied, [own] * abs(int(number)), of_atom(base ** as_value(rest, base)))


def as_number(a: Terms) -> Fraction | None:
    """Return the number that terms are, if they are one."""
    return Fraction(0) if not a else a.get(()) if len(a) == 1 else None


def as_value(a: Terms, like: Value | None = None) -> Value:
    """Return terms as a value; what is added comes first."""
    like = like or next(atom for monomial in a for atom, _ in monomial)
    total = like.builder.const(0)
    for monomial, number in sorted(a.items(), key=lambda term: (term[1] < 0, _place(term[0]))):
        above = [_power(atom, e) for atom, e in monomial if e > 0]
        below = [_power(atom, -e) for atom, e in monomial if e < 0]
        product = reduce(mul, above) if above else like.builder.const(1)
        product = product / reduce(mul, below) if below else product
        term = scaled(product, abs(number), like) if monomial else like.builder.const(abs(number))
        total = plus(total, term) if number > 0 else minus(total, term)
    return total


def _place(monomial: Monomial) -> list[tuple[int, int]]:
    return [(atom.number, exponent) for atom, exponent in monomial]


def _power(x: Value, exponent: int) -> Value:
    return x if exponent == 1 else x**exponent


def whole(x: Value) -> int | None:
    """Return the whole number that an exponent is, if it is a small one."""
    number = Fraction(exact(x) or 0)
    return int(number) if number.denominator == 1 and 0 < abs(number) <= HIGHEST else None
