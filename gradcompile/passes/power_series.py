"""Laurent series about 0 with exact coefficients: what a formula of one number is for small ones.

A series is a valuation v and the coefficients of u**v, u**(v + 1), ..., the first of which is not 0. The same number of
coefficients is kept of each, so a difference of nearly equal series keeps fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import factorial, isqrt
from typing import NamedTuple

TERMS = 36  # coefficients that are kept
ONE = Fraction(1)
ROOT_OF_PI = Fraction(isqrt(31415926535897932384626433832795028841971693993751 * 10**31), 10**40)


class Series(NamedTuple):
    """A series; without coefficients it is 0, as far as is known."""

    valuation: int
    coefficients: tuple[Fraction, ...]

    @property
    def constant(self) -> Fraction:
        """The value at 0, where the series has no pole."""
        return self.coefficients[0] if self.coefficients and self.valuation == 0 else Fraction(0)


def normal(valuation: int, coefficients: list[Fraction]) -> Series:
    """Return a series that begins with a coefficient that is not 0."""
    first = next((n for n, c in enumerate(coefficients) if c), len(coefficients))
    return Series(valuation + first, tuple(coefficients[first : first + TERMS]))


def number(value: Fraction) -> Series:
    """Return the series of a number: exact, so with as many zeros as are kept."""
    return Series(0, (value,) + (Fraction(0),) * (TERMS - 1)) if value else Series(0, ())


def variable() -> Series:
    """Return the series of u itself."""
    return Series(1, (ONE,) + (Fraction(0),) * (TERMS - 1))


def add(a: Series, b: Series, sign: int = 1) -> Series:
    """Return a + b, or a - b."""
    if not a.coefficients or not b.coefficients:
        return a if a.coefficients else Series(b.valuation, tuple(sign * c for c in b.coefficients))
    low = min(a.valuation, b.valuation)
    high = min(s.valuation + len(s.coefficients) for s in (a, b))
    return normal(low, [_at(a, n) + sign * _at(b, n) for n in range(low, high)])


def _at(a: Series, power: int) -> Fraction:
    place = power - a.valuation
    return a.coefficients[place] if 0 <= place < len(a.coefficients) else Fraction(0)


def multiply(a: Series, b: Series) -> Series:
    """Return a*b."""
    count = min(len(a.coefficients), len(b.coefficients))
    left = [(n, c) for n, c in enumerate(a.coefficients[:count]) if c]
    total = [Fraction(0)] * count
    for n, c in left:
        for m, d in enumerate(b.coefficients[: count - n]):
            if d:
                total[n + m] += c * d
    return normal(a.valuation + b.valuation, total)


def mirrored(a: Series) -> Series:
    """Return the series of a(-u)."""
    return Series(a.valuation, tuple(-c if (a.valuation + n) % 2 else c for n, c in enumerate(a.coefficients)))


def reciprocal(a: Series) -> Series | None:
    """Return 1/a."""
    if not a.coefficients:
        return None
    first, rest = a.coefficients[0], [(n, c) for n, c in enumerate(a.coefficients) if n and c]
    found = [1 / first]
    for n in range(1, len(a.coefficients)):
        found.append(-sum((c * found[n - m] for m, c in rest if m <= n), Fraction(0)) / first)
    return normal(-a.valuation, found)


def power(a: Series, exponent: Fraction) -> Series | None:
    """Return a**exponent: any whole power, and other powers of what is 1 at 0."""
    if exponent.denominator == 1 and abs(exponent) <= TERMS:
        base = a if exponent >= 0 else reciprocal(a)
        result: Series | None = number(ONE)
        for _ in range(abs(int(exponent))):
            result = None if result is None or base is None else multiply(result, base)
        return result
    if a.constant != 1:
        return None
    coefficients, binomial = [ONE], ONE
    for n in range(1, TERMS):
        binomial *= (exponent - n + 1) / n
        coefficients.append(binomial)
    return compose(coefficients, add(a, number(ONE), -1))


def compose(coefficients: list[Fraction], inner: Series) -> Series | None:
    """Return f(inner), given the coefficients of f, where inner is 0 at 0."""
    if not inner.coefficients or inner.valuation < 1:
        return None
    if not any(inner.coefficients[1:]):
        total, scale = [Fraction(0)] * TERMS, ONE
        for n in range(0, TERMS, inner.valuation):
            total[n] = coefficients[n // inner.valuation] * scale
            scale *= inner.coefficients[0]
        return normal(0, total)
    result = number(coefficients[-1])
    for c in reversed(coefficients[: TERMS // inner.valuation]):
        result = add(multiply(result, inner), number(c))
    return result


def _even(of: Callable[[int], Fraction]) -> list[Fraction]:
    return [of(n // 2) if n % 2 == 0 else Fraction(0) for n in range(TERMS)]


def _odd(of: Callable[[int], Fraction]) -> list[Fraction]:
    return [of(n // 2) if n % 2 else Fraction(0) for n in range(TERMS)]


def _ratio(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    inverse = reciprocal(normal(0, b))
    assert inverse is not None
    quotient = multiply(normal(0, a), inverse)
    return [_at(quotient, n) for n in range(TERMS)]


def _central(k: int) -> Fraction:
    """Return (2k)!/(4**k*k!**2)."""
    return Fraction(factorial(2 * k), 4**k * factorial(k) ** 2)


@cache
def taylor(name: str) -> list[Fraction] | None:
    """Return the coefficients of a function about 0, of log and its like about 1."""
    rule = FUNCTIONS.get(name)
    return None if rule is None else rule()


FUNCTIONS: dict[str, Callable[[], list[Fraction]]] = {
    "exp": lambda: [Fraction(1, factorial(n)) for n in range(TERMS)],
    "expm1": lambda: [Fraction(1 if n else 0, factorial(n)) for n in range(TERMS)],
    "log1p": lambda: [Fraction((-1) ** (n + 1), n) if n else Fraction(0) for n in range(TERMS)],
    "sin": lambda: _odd(lambda k: Fraction((-1) ** k, factorial(2 * k + 1))),
    "cos": lambda: _even(lambda k: Fraction((-1) ** k, factorial(2 * k))),
    "sinh": lambda: _odd(lambda k: Fraction(1, factorial(2 * k + 1))),
    "cosh": lambda: _even(lambda k: Fraction(1, factorial(2 * k))),
    "tan": lambda: _ratio(FUNCTIONS["sin"](), FUNCTIONS["cos"]()),
    "tanh": lambda: _ratio(FUNCTIONS["sinh"](), FUNCTIONS["cosh"]()),
    "sech": lambda: _ratio([ONE] + [Fraction(0)] * (TERMS - 1), FUNCTIONS["cosh"]()),
    "logcosh": lambda: [Fraction(0), *(c / (n + 1) for n, c in enumerate(FUNCTIONS["tanh"]()[:-1]))],
    "asin": lambda: _odd(lambda k: _central(k) / (2 * k + 1)),
    "asinh": lambda: _odd(lambda k: (-1) ** k * _central(k) / (2 * k + 1)),
    "atan": lambda: _odd(lambda k: Fraction((-1) ** k, 2 * k + 1)),
    "atanh": lambda: _odd(lambda k: Fraction(1, 2 * k + 1)),
    "erf": lambda: _odd(lambda k: 2 * Fraction((-1) ** k, factorial(k) * (2 * k + 1)) / ROOT_OF_PI),
}
