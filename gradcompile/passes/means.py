"""Logarithms of means of exponentials, over a factor of all exponents: ``log((exp(k*a) + exp(k*b))/2)/k``.

So are ``log(u**(-k) + v**(-k) - 1)/k`` and ``(u**(-k) + v**(-k) - 1)**(-1/k)`` of Clayton's copula: the weights add up
to 1. For small k the logarithm is near to 0, its slopes in k are differences of what is nearly equal, divided by k, and
at k = 0 there is nothing but a limit. With ``exp(k*a) = 1 + k*a*expm1over(0, k*a)`` nothing is divided by k.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from fractions import Fraction as Number
from functools import partial
from typing import NamedTuple

from gradcompile.ir import Graph, Value, reachable
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import factored, scaled
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import is_variable
from gradcompile.passes.ratios import DEEPEST, Fraction, cancelled, flat, fraction, in_sums
from gradcompile.passes.variable_powers import MANY, terms

NEAR = Number(1, 2)  # of exponents; beyond, what is written remains


class Mean(NamedTuple):
    """A mean of exponentials over a factor of its exponents, and all that is multiplied by its logarithm.

    Parameters
    ----------
    weights, exponents : tuple
        Of the mean, without those that are 0.
    rest : Fraction
        What is multiplied by the logarithm.
    divisor : Value
        A factor of all exponents; what is multiplied by the logarithm is divided by it, or a term of that is.
    """

    weights: tuple[Number, ...]
    exponents: tuple[Value, ...]
    rest: Fraction
    divisor: Value

    def small(self) -> Value | None:
        """Return the product for small exponents; None if the divisor is no factor of one of them."""
        slope = self.divisor.builder.const(0)
        for weight, exponent in zip(self.weights, self.exponents, strict=True):
            if (left := cancelled(exponent, self.divisor, DEEPEST)) is None:
                return None
            term = scaled(left * left.builder.apply("expm1over", 0, exponent), abs(weight), left)
            slope = plus(slope, term) if weight > 0 else minus(slope, term)
        ratio = slope * slope.builder.apply("log1pover", 0, self.divisor * slope)  # the logarithm over the divisor
        return self._times(self.rest, ratio)

    def _times(self, factor: Fraction, ratio: Value) -> Value:
        """Return a product with the logarithm, taking sums in it apart: ``2 + 1/k``."""
        if self.divisor in factor.below:
            place = factor.below.index(self.divisor)
            return factor._replace(below=factor.below[:place] + factor.below[place + 1 :]).value(ratio) * ratio
        for place, total in enumerate(factor.above):
            if total.op in ("add", "sub") and self.divisor in _divisors(total):
                others = factor._replace(above=factor.above[:place] + factor.above[place + 1 :])
                a, b = (self._times(fraction(term), ratio) for term in total.operands)
                return others.value(ratio) * (a + b if total.op == "add" else a - b)
        return factor.value(ratio) * (self.divisor * ratio)

    def condition(self) -> Value:
        """Return where that is used: it does not hold where an exponent is nan."""
        apply = self.divisor.builder.apply
        sizes = [apply("abs", exponent) for exponent in self.exponents]
        return apply("lt", apply("maximum", *sizes) if sizes[1:] else sizes[0], NEAR)


def means(graph: Graph) -> Graph:
    """Return the graph with such logarithms, and powers of such means, that keep their digits.

    It takes time, and so is left out where the factor has no derivative, for the slope in it is what loses them.
    """
    if not any(value.op in ("log", "pow") for value in graph.order()):
        return graph
    moving = {graph.builder.input(name, graph.inputs[name].axes) for name in graph.wrt}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op in ("mul", "div"):
            return _product(value.builder.rebuild(value, operands), moving)
        return _power(operands[0], operands[1], moving) if value.op == "pow" else None

    return graph.rewrite(rule)


def _product(x: Value, moving: Container[Value]) -> Value | None:
    whole = fraction(x)
    for place, log in enumerate(whole.above):
        if log.op == "log":
            rest = whole._replace(above=whole.above[:place] + whole.above[place + 1 :])
            for mean in _means(log.operands[0], rest, moving):
                if (made := mean.small()) is not None:
                    return x.builder.apply("select", mean.condition(), made, flat(x, [mean.divisor]))
    return in_sums(whole, partial(_product, moving=moving))


def _power(base: Value, exponent: Value, moving: Container[Value]) -> Value | None:
    if base.op not in ("add", "sub") or exponent.op == "const" or exponent.kind == "int":
        return None
    apply = base.builder.apply
    for mean in _means(base, fraction(exponent), moving):
        if (made := mean.small()) is not None:
            return apply("select", mean.condition(), apply("exp", made), base ** flat(exponent, [mean.divisor]))
    return None


def _means(x: Value, rest: Fraction, moving: Container[Value]) -> Iterator[Mean]:
    """Yield what a value may be, as a mean of exponentials, for each divisor of what its logarithm is multiplied by."""
    known = [*rest.below, *(below for total in rest.above for below in _divisors(total))]
    divisors = [each for each in dict.fromkeys(known) if not each.axes and any(v in moving for v in reachable([each]))]
    found = _weights(x) if divisors else {}
    exponents = {exponent: weight for exponent, weight in found.items() if exponent is not None}
    for divisor in divisors if exponents and sum(found.values()) == 1 else ():
        yield Mean(tuple(exponents.values()), tuple(exponents), rest, divisor)


def _divisors(total: Value) -> tuple[Value, ...]:
    """Return what the terms of a sum are divided by."""
    if total.op not in ("add", "sub"):
        return ()
    return tuple(d for term in total.operands for d in (*fraction(term).below, *_divisors(term)))


def _weights(x: Value) -> dict[Value | None, Number]:
    """Return a sum of exponentials as weights by exponents, None for that of a number; {} for any other value."""
    scale, inner = factored(x)
    if inner is None or inner.op not in ("add", "sub"):
        return {}
    total: dict[Value | None, Number] = {}
    parts = terms(inner)
    for sign, value in parts if len(parts) <= MANY else ():
        weight, rest = factored(value)
        if rest is not None and rest.op != "exp" and not is_variable(rest):
            return {}
        exponent = None if rest is None else _exponent(rest)
        total[exponent] = total.get(exponent, Number(0)) + Number(scale) * sign * weight
    return total


def _exponent(x: Value) -> Value:
    """Return the exponent of an exponential, or of a power of a positive number."""
    if x.op == "exp":
        return x.operands[0]
    base, exponent = x.operands
    log = x.builder.apply("log", base)
    return negated(exponent.operands[0] * log) if exponent.op == "neg" else exponent * log
