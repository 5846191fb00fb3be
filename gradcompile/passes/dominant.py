"""Powers and logarithms of sums in which a power, or an exponential, is so large that it is all of the sum.

``(1 + (x/b)**(-a))**(-k)`` is ``(x/b)**(a*k)`` there, and ``log1p(x**c)`` is ``c*log(x)``. What is written is 0, or no
number where another power is beside it, as in the density ``(x/a)**(b - 1)/(1 + (x/a)**b)**2``, which is
``(x/a)**(-1 - b)``; and its slopes are no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.differences import as_number
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import exact, scaled
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.polynomials import Polynomial, added, as_value, plus, polynomial
from gradcompile.passes.quotients import factors, is_variable
from gradcompile.passes.variable_powers import MANY, terms

ROOT = Fraction(1, 2)
FAR = 1e18  # beside it, 1 is nothing
Exponent = Value | Fraction


class Power(NamedTuple):
    """A power of a sum with one term that may be infinite.

    Parameters
    ----------
    term : Value
        That term.
    exponent : Value or Fraction
        Of the power.
    rest : Value, optional
        What else is in the sum, if it is a number.
    """

    term: Value
    exponent: Exponent
    rest: Value | None

    def condition(self) -> Value:
        """Return where that term is not all of the sum: beyond, a number of the size of 1 is lost beside it anyway."""
        apply = self.term.builder.apply
        if self.rest is None:
            return apply("ne", self.term, math.inf)
        return apply("lt", self.term, FAR * max(1.0, abs(float(self.rest.attr))))

    def choice(self, x: Value, limit: Value) -> Value:
        """Return a value, and its limit where that term is all of the sum."""
        return x.builder.apply("select", self.condition(), x, limit)


def dominant(graph: Graph) -> Graph:
    """Return the graph with choices where a term of a sum is infinite of which there is a power."""
    order = graph.order()
    if not any(map(_is_large, order)) or not any(value.op in ("pow", "sqrt", "log1p") for value in order):
        return graph
    divisors = {factor for value in order if value.op == "div" for factor in factors(value.operands[1])}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op not in RULES or value in divisors:  # a quotient takes all of its powers together
            return None
        return RULES[value.op](value.builder.rebuild(value, operands))

    return graph.rewrite(rule)


def _alone(x: Value) -> Value | None:
    """Return a power of such a sum as a choice, if it may be finite where the sum is not."""
    power = _power(x)
    if power is None or (not isinstance(power.exponent, Value) and power.exponent >= 1):
        return None
    return power.choice(x, _product_of(_powers(power.term, power.exponent), x))


def _logarithm(x: Value) -> Value | None:
    """Return log1p of a power, which is positive where it is so large, as a choice."""
    (term,) = x.operands
    if not any(map(_is_large, _above(term))):
        return None
    total = x.builder.const(0)
    for base, exponent in _powers(term, Fraction(1)):
        total = plus(total, _times_log(exponent, base, x))
    return Power(term, Fraction(1), x.builder.const(1)).choice(x, total)


def _product(x: Value) -> Value | None:
    """Return a product, or quotient, with such a power and with another one that may be infinite, as a choice."""
    parts = [(Fraction(1), f) for f in factors(x.operands[0])]
    parts += [(Fraction(1 if x.op == "mul" else -1), f) for f in factors(x.operands[1])]
    for place, (sign, part) in enumerate(parts):
        if (power := _chosen(part) or (_power(part, alone=True) if sign < 0 else None)) is None:
            continue
        others = parts[:place] + parts[place + 1 :]
        whole = isinstance(power.exponent, Fraction) and power.exponent == 1
        if not any(_is_large(other) for _, other in others) and (sign > 0 or whole):
            continue
        found = [pair for s, other in others for pair in _powers(other, s)]
        limit = _product_of([*found, *_powers(power.term, _times(power.exponent, sign))], x)
        return power.choice(_plain(x, part), limit)
    return None


def _plain(x: Value, part: Value) -> Value:
    """Return a product with what a choice has where the sum is finite."""
    if part.op != "select":
        return x
    made = [_with(operand, part, part.operands[1]) for operand in x.operands]
    return x.builder.apply(x.op, *made)


def _with(x: Value, old: Value, new: Value) -> Value:
    if x is old:
        return new
    return x.builder.apply("mul", *(_with(o, old, new) for o in x.operands)) if x.op == "mul" else x


def _chosen(x: Value) -> Power | None:
    """Return the power of a sum of which `_alone` has made a choice."""
    power = _power(x.operands[1]) if x.op == "select" else None
    return power if power is not None and power.condition() is x.operands[0] else None


def _power(x: Value, *, alone: bool = False) -> Power | None:
    """Return the term of a sum that may be infinite, and the power of the sum; with `alone`, of a first power, too."""
    base: Value = x
    exponent: Exponent = Fraction(1)
    if x.op == "sqrt":
        base, exponent = x.operands[0], ROOT
    if x.op == "pow":
        base, number = x.operands[0], exact(x.operands[1])
        exponent = x.operands[1] if number is None else Fraction(number)
    if base.op != "add" or (base is x and not alone):
        return None
    parts = terms(base)
    large = [(sign, term) for sign, term in parts if any(map(_is_large, _above(term)))] if len(parts) <= MANY else []
    if len(large) != 1 or large[0][0] < 0:
        return None
    others = [term for _, term in parts if term is not large[0][1]]
    return Power(large[0][1], exponent, others[0] if len(others) == 1 and as_number(others[0]) is not None else None)


def _is_large(x: Value) -> bool:
    """Return whether a factor may be infinite with a slope that is."""
    if x.op == "exp":
        return x.operands[0].op != "minimum" and not not_negative(negated(x.operands[0]))
    return is_variable(x)


def _above(x: Value) -> Iterator[Value]:
    """Yield the factors of a product, of a quotient those above the line."""
    while x.op == "div":
        x = x.operands[0]
    yield from factors(x)


def _powers(x: Value, exponent: Exponent) -> list[tuple[Value | None, Exponent]]:
    """Return a product to a power as powers of its factors; None is the base of exponentials."""
    if x.op in ("mul", "div"):
        one, other = x.operands
        return _powers(one, exponent) + _powers(other, exponent if x.op == "mul" else _times(exponent, Fraction(-1)))
    if x.op == "exp":
        return [(None, _times(exponent, x.operands[0]))]
    if x.op == "pow":
        return [(x.operands[0], _times(exponent, x.operands[1]))]
    return [(x, exponent)]


def _times(a: Exponent, b: Exponent) -> Exponent:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    value, other = (a, b) if isinstance(a, Value) else (b, a)
    assert isinstance(value, Value)
    if isinstance(other, Fraction) and (number := exact(value)) is not None:
        return other * number
    if isinstance(other, Fraction):
        return as_value({monomial: other * number for monomial, number in polynomial(value).items()}, value)
    return value * other


def _product_of(powers: list[tuple[Value | None, Exponent]], like: Value) -> Value:
    """Return a product of powers, of each base one; those of several bases that are no numbers by their logarithms.

    Of ``(t*exp(v))**k``, t**k may overflow where exp(k*v) underflows.
    """
    total: dict[Value | None, Polynomial] = {}
    for base, exponent in powers:
        own: Polynomial = {(): exponent} if isinstance(exponent, Fraction) else polynomial(exponent)
        total[base] = added(total.get(base, {}), own, 1)
    numbers = {base: n.get((), Fraction(0)) for base, n in total.items() if base is not None and set(n) <= {()}}
    others = {base: as_value(n, like) for base, n in total.items() if base not in numbers and n}
    above = [_raised(base, number) for base, number in numbers.items() if number > 0]
    below = [_raised(base, -number) for base, number in numbers.items() if number < 0]
    if len(others) == 1 and None not in others:
        above += [base**exponent for base, exponent in others.items() if base is not None]
    elif others:
        logs = [_times_log(exponent, base, like) for base, exponent in others.items()]
        above.append(like.builder.apply("exp", reduce(plus, logs)))
    one = like.builder.const(1)
    top = reduce(mul, above) if above else one
    return top / reduce(mul, below) if below else top


def _raised(base: Value, number: Fraction) -> Value:
    return base if number == 1 else base ** base.builder.const(number)


def _times_log(exponent: Exponent, base: Value | None, like: Value) -> Value:
    """Return the logarithm of a power, None being the base of exponentials; the product of all is positive."""
    if base is None:
        return exponent if isinstance(exponent, Value) else like.builder.const(exponent)
    log = like.builder.apply("log", base if not_negative(base) else like.builder.apply("abs", base))
    return exponent * log if isinstance(exponent, Value) else scaled(log, exponent, like)


RULES: dict[str, Callable[[Value], Value | None]] = {
    "pow": _alone,
    "sqrt": _alone,
    "log1p": _logarithm,
    "mul": _product,
    "div": _product,
}
