"""Sums of products of what is left of 1: ``(1 - exp(a)) - (1 - exp(b))*(1 - exp(c))``, of Frank's copula.

Where exponents are far below 0 each factor is 1, and nothing is left of their difference, which is
``exp(b) + exp(c) - exp(a) - exp(b + c)``. Where they are near to 0 it is that which cancels.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from operator import add

from gradcompile.ir import Value
from gradcompile.passes.fold import scaled
from gradcompile.passes.polynomials import minus, plus, polynomial

MANY = 8  # exponentials of a sum
Exponents = tuple[Value, ...]  # of a product of exponentials, by number


def logarithm(x: Value) -> Value | None:
    """Return log(x), or log(abs(x)) of such an x, as a choice of two logarithms; None for any other x."""
    if (terms := _exponentials(x.operands[0] if x.op == "abs" else x)) is None:
        return None
    apply = x.builder.apply
    exponents = [reduce(add, each) for each in terms]
    parts = dict.fromkeys(exponent for each in terms for exponent in each)
    near = apply("lt", apply("maximum", *(apply("abs", each) for each in parts)), 1)
    shift = apply("detach", apply("maximum", *exponents))
    total = x.builder.const(0)
    for exponent, number in sorted(zip(exponents, terms.values(), strict=True), key=lambda term: term[1] < 0):
        term = scaled(apply("exp", exponent - shift), abs(number), x)
        total = plus(total, term) if number > 0 else minus(total, term)
    far = shift + apply("log", apply("abs", total) if x.op == "abs" else total)
    return apply("select", near, apply("log", x), far)


def of_quotient(x: Value) -> Value | None:
    """Return log(1 + p/expm1(c)), p being a product of two of these, as a choice: far from 0 that sum cancels."""
    for one, share in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        if not one.is_const(1) or share.op != "div" or share.operands[1].op != "expm1":
            continue
        above, below = share.operands
        if (whole := logarithm(x.builder.apply("abs", above + below))) is None:
            continue
        apply, (c,) = x.builder.apply, below.operands
        near, _, far = whole.operands
        size = apply("maximum", c, 0) + apply("log1mexp", -apply("abs", c))  # log(abs(expm1(c)))
        return apply("select", near, apply("log1p", share), far - size)
    return None


def _exponentials(x: Value) -> dict[Exponents, Fraction] | None:
    """Return a sum of products of expm1(u) as one of exponentials, if it has no other number in it."""
    if x.op not in ("add", "sub", "neg"):
        return None
    monomials = polynomial(x)
    if not any(sum(factor.op == "expm1" for factor in m) > 1 for m in monomials):
        return None
    total: dict[Exponents, Fraction] = {}
    for monomial, number in monomials.items():
        if any(factor.op not in ("expm1", "exp") for factor in monomial):
            return None
        for exponents, sign in _expanded(monomial):
            total[exponents] = total.get(exponents, Fraction(0)) + sign * number
    total = {exponents: number for exponents, number in total.items() if number}
    return None if () in total or len(total) > MANY else total


def _expanded(factors: Iterable[Value]) -> list[tuple[Exponents, int]]:
    """Return a product of exp(u) and exp(v) - 1 as a sum of products of exponentials."""
    terms: list[tuple[Exponents, int]] = [((), 1)]
    for factor in factors:
        (u,) = factor.operands
        with_it = [(tuple(sorted((*each, u), key=lambda v: v.number)), sign) for each, sign in terms]
        terms = with_it if factor.op == "exp" else [*with_it, *((each, -sign) for each, sign in terms)]
    return terms
