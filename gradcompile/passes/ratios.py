"""Logarithms and exponentials that are divided by what is small inside: ``log(1 + k*z)/k``, ``(x**k - 1)/k``.

The extreme value and Pareto distributions have ``log(1 + k*z)/k`` and ``(1 + k*z)**(-1/k)``, a Box-Cox transform has
``expm1(k*log(x))/k``. For small k their slopes in k are differences of what is nearly equal, divided by k, and at k = 0
there is nothing but a limit. ``z*log1pover(0, k*z)`` has value, slopes and limit; where ``k*z`` is not small, what is
written remains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import reduce
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.differences import gap, share_terms
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import exact, factored
from gradcompile.passes.logarithms import positive
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import replaced

FAR = 80  # exp(80) is finite in float32, too; beyond, what is written remains
LOGARITHMS = ("log1p", "log1pwexp", "log1pwsq", "softplus", "xlog1py")
EXPONENTIALS = ("expm1", "select")
SMALL = {"expm1": "expm1over", "log1p": "log1pover"}  # f(x), and f(x)/x
DEEPEST = 8  # products, or sums, inside one another that are looked through
TERMS = 64  # of products with sums inside one another that are looked at: of K sums, there are up to 2**K


class Fraction(NamedTuple):
    """A product over another one, with its sign."""

    sign: int
    above: tuple[Value, ...]
    below: tuple[Value, ...]

    def value(self, like: Value) -> Value:
        """Return it as a value."""
        top = reduce(mul, self.above) if self.above else like.builder.const(1)
        whole = top / reduce(mul, self.below) if self.below else top
        return whole if self.sign > 0 else negated(whole)


class Function(NamedTuple):
    """One factor f(x), which is x*over(0, x).

    Parameters
    ----------
    factor : Value
        That is f(x).
    over : str
        The function that is f(x)/x.
    weight, exponent : Value
        Of x, which is ``weight*exp(exponent)``, or the weight alone.
    condition : Value, optional
        Where the factor is f(x); elsewhere it is something else.
    """

    factor: Value
    over: str
    weight: Value
    exponent: Value | None = None
    condition: Value | None = None

    def elsewhere(self, whole: Fraction, x: Value) -> Value:
        """Return what a product is where the factor is something else, if it is f(x) for all sizes of x."""
        if self.condition is None or self.over != "expm1over":
            return x
        other = self.factor.operands[2]
        return whole._replace(above=tuple(other if f is self.factor else f for f in whole.above)).value(x)


def ratios(graph: Graph) -> Graph:
    """Return the graph with quotients of logarithms and exponentials that keep their digits, and those of slopes."""
    if not any(value.op in (*LOGARITHMS, *EXPONENTIALS, "pow") for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op in ("mul", "div", "xlog1py"):
            return _where_small(value.builder.rebuild(value, operands))
        return _power(*operands) if value.op == "pow" else None

    return graph.rewrite(rule)


def _where_small(x: Value) -> Value | None:
    """Return a product, or a quotient, with f(k*z)/k as z*over(0, k*z) where that is small."""
    whole = fraction(x)
    for function in _functions(whole.above):
        small = Small(function)
        if (made := small.over(whole)) is not None:
            return small.choice(made, flat(function.elsewhere(whole, x), small.divisors))
    return _by_expm1(x, whole) or in_sums(whole, _where_small)


def _by_expm1(x: Value, whole: Fraction) -> Value | None:
    """Return a product with k/(exp(k*z) - 1) as one with 1/(z*expm1over(0, k*z)) where k*z is small."""
    for below in whole.below:
        for above in whole.above if below.op == "expm1" else ():
            (argument,) = below.operands
            if exact(above) is not None or (left := _over_factor(argument, above)) is None:
                continue
            apply = x.builder.apply
            over = apply("expm1over", 0, argument)
            rest = whole._replace(above=_without(whole.above, above), below=_without(whole.below, below))
            made = rest.value(x) / (over if left.is_const(1) else left * over)
            return apply("select", apply("lt", apply("abs", argument), 1), made, x)
    return None


def _over_factor(x: Value, factor: Value) -> Value | None:
    """Return x without a factor that it has."""
    number, rest = factored(x)
    return x.builder.const(number) if rest is factor else cancelled(x, factor, DEEPEST)


def in_sums(whole: Fraction, rule: Callable[[Value], Value | None]) -> Value | None:
    """Return a product with a sum, of which what is the same for all terms has been taken out, with terms by a rule."""
    for total in whole.above:
        if total.op != "sum":
            continue
        inside, rest = total.operands[0], whole._replace(above=_without(whole.above, total))
        if any(axis not in total.axes for value in (*rest.above, *rest.below) for axis in value.axes):
            continue
        if (term := rule(_product(rest, fraction(inside)).value(inside))) is not None:
            return total.builder.reduce("sum", term, total.attr)
    return None


def _power(base: Value, exponent: Value) -> Value | None:
    """Return (1 + k*z)**(c/k) as an exponential where k*z is small."""
    if base.op not in ("add", "sub") or exponent.op == "const" or exponent.kind == "int":
        return None
    apply = base.builder.apply
    for one, other in (base.operands, base.operands[::-1]) if base.op == "add" else (base.operands,):
        if one.is_const(1):
            log = apply("log1p", other if base.op == "add" else negated(other))
            small = Small(Function(log, "log1pover", log.operands[0]))
            made = small.over(fraction(exponent * log))
            return None if made is None else small.choice(apply("exp", made), base ** flat(exponent, small.divisors))
    return None


def fraction(x: Value, depth: int = DEEPEST) -> Fraction:
    """Return a value as a product over another one."""
    if depth and x.op == "neg":
        inside = fraction(x.operands[0], depth - 1)
        return inside._replace(sign=-inside.sign)
    if depth and x.op in ("mul", "div", "xlog1py"):
        a, b = x.operands
        first = fraction(a, depth - 1)
        if x.op == "xlog1py":
            return first._replace(above=(*first.above, b.builder.apply("log1p", b)))
        second = fraction(b, depth - 1)
        above, below = (second.above, second.below) if x.op == "mul" else (second.below, second.above)
        return Fraction(first.sign * second.sign, (*first.above, *above), (*first.below, *below))
    return Fraction(1, () if x.is_const(1) else (x,), ())


def _functions(factors: tuple[Value, ...]) -> Iterator[Function]:
    """Yield the factors that are log(1 + x) or exp(x) - 1."""
    for factor in factors:
        if factor.op == "log1p":
            yield Function(factor, "log1pover", factor.operands[0])
        elif factor.op == "log1pwexp":
            yield Function(factor, "log1pover", *factor.operands)
        elif factor.op == "log1pwsq":
            yield Function(factor, "log1pover", factor.operands[0] * factor.operands[1] ** 2)
        elif factor.op == "softplus":
            yield Function(factor, "log1pover", factor.builder.const(1), factor.operands[0])
        elif factor.op == "expm1":
            yield Function(factor, "expm1over", factor.operands[0])
        elif factor.op == "select" and factor.operands[1].op == "expm1" and factor.operands[2].op == "sub":
            condition, power, _ = factor.operands  # x**y - 1, where x may be negative
            yield Function(factor, "expm1over", power.operands[0], condition=condition)
        elif factor.op == "select" and factor.operands[1].op == "log1p":
            condition, log, _ = factor.operands
            yield Function(factor, "log1pover", log.operands[0], condition=condition)


class Small:
    """What takes the place of a product with f(x)/k where x is small.

    Parameters
    ----------
    function : Function
        That is f(x).
    """

    def __init__(self, function: Function) -> None:
        self.function, self.exponents, self.divisors = function, dict[Value, None](), dict[Value, None]()
        self.looked = 0  # terms so far
        exponent = function.exponent
        self.argument = function.weight if exponent is None else self._times_exp(function.weight, exponent)

    def choice(self, made: Value, otherwise: Value) -> Value:
        """Return what was made where x is small, and no exponential large; (exp(x) - 1)/k is right for any x."""
        apply = made.builder.apply
        if self.function.over == "expm1over":
            condition = self.function.condition
            return made if condition is None else apply("select", condition, made, otherwise)
        condition = apply("lt", apply("abs", self.argument), 1)
        if self.function.condition is not None:
            condition = apply("and", self.function.condition, condition)
        for exponent in self.exponents:
            condition = apply("and", condition, apply("lt", exponent, FAR))
        return apply("select", condition, made, otherwise)

    def over(self, whole: Fraction) -> Value | None:
        """Return a product with f(x)/k as (x/k)*over(0, x); a sum with a term over k is taken apart."""
        self.looked += 1
        if (made := self._reduced(whole)) is not None:
            return made
        for factor in whole.above:
            if factor.op in ("add", "sub") and self.looked < TERMS:
                rest = whole._replace(above=_without(whole.above, factor))
                terms = [_product(rest, fraction(term)) for term in factor.operands]
                parts = [self.over(term) for term in terms]
                if any(part is not None for part in parts):
                    a, b = (t.value(factor) if p is None else p for t, p in zip(terms, parts, strict=True))
                    return plus(a, b) if factor.op == "add" else minus(a, b)
        return None

    def _reduced(self, whole: Fraction) -> Value | None:
        own = self.function.factor
        share = own.builder.apply(self.function.over, 0, self.argument)
        for divisor in whole.below:
            if (left := self._divided(divisor)) is not None:
                if self.function.over == "expm1over":
                    sign = fraction(left).sign  # (exp(-k*z) - 1)/k is -(exp(-k*z) - 1)/(-k)
                    k, z = (divisor, left) if sign > 0 else (negated(divisor), negated(left))
                    above = (*_without(whole.above, own), own.builder.apply("expm1div", k, z))
                    return Fraction(sign * whole.sign, above, _without(whole.below, divisor)).value(share)
                if self.function.exponent is None and any(v.op in SMALL for v in _leaves(self.argument)):
                    share = own.builder.apply(self.function.over, 0, divisor * left)  # which has all its slopes
                above = (*_without(whole.above, own), left, share)
                return Fraction(whole.sign, above, _without(whole.below, divisor)).value(share)
        for factor in whole.above:  # exp(-q), which is 1/exp(q)
            if factor.op == "exp" and (left := self._by_exponential(negated(factor.operands[0]))) is not None:
                above = (*_without(_without(whole.above, factor), own), left, share)
                return whole._replace(above=above).value(share)
        return None

    def _divided(self, divisor: Value) -> Value | None:
        """Return x/divisor if x has that factor."""
        weight, exponent = self.function.weight, self.function.exponent
        if exact(divisor) is None and (left := cancelled(weight, divisor, DEEPEST)) is not None:
            if not divisor.axes and not positive(divisor):
                self.divisors[divisor] = None
            return left if exponent is None else self._times_exp(left, exponent)
        return self._by_exponential(divisor.operands[0]) if divisor.op == "exp" else None

    def _by_exponential(self, exponent: Value) -> Value | None:
        """Return x/exp(exponent) if the exponential that x has is a multiple of that."""
        weight, own = self.function.weight, self.function.exponent
        if own is exponent:
            return weight
        if own is None or not share_terms(own, exponent):
            return None
        return self._times_exp(weight, gap(own, exponent))

    def _times_exp(self, weight: Value, exponent: Value) -> Value:
        """Return a weight times an exponential; one that overflows would have a slope of 0*inf where it is left out."""
        self.exponents[exponent] = None
        bounded = weight.builder.apply("exp", weight.builder.apply("minimum", exponent, FAR))
        return bounded if weight.is_const(1) else weight * bounded


def flat(x: Value, divisors: Collection[Value], depth: int = DEEPEST) -> Value:
    """Return what is written with the slope 0 in divisors that are 0: their own is infinite, if left out."""
    if not depth or x.op not in ("mul", "div", "xlog1py", "add", "sub", "neg"):
        return x
    operands = [flat(operand, divisors, depth - 1) for operand in x.operands]
    for divisor in divisors if x.op == "div" else ():
        nonzero = x.builder.apply("ne", divisor, 0)
        operands[1] = replaced(operands[1], divisor, x.builder.apply("select", nonzero, divisor, 0))
    return x.builder.rebuild(x, tuple(operands))


def _leaves(x: Value, depth: int = DEEPEST) -> Iterator[Value]:
    """Yield what a sum, a product or a quotient is made of."""
    if depth and x.op in ("mul", "div", "neg", "add", "sub"):
        for operand in x.operands:
            yield from _leaves(operand, depth - 1)
    else:
        yield x


def _product(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(a.sign * b.sign, (*a.above, *b.above), (*a.below, *b.below))


def _without(factors: tuple[Value, ...], one: Value) -> tuple[Value, ...]:
    """Return factors without one of them: without the first, where it occurs several times."""
    place = factors.index(one)
    return factors[:place] + factors[place + 1 :]


def cancelled(x: Value, divisor: Value, depth: int) -> Value | None:
    """Return x/divisor if the divisor is a factor of it."""
    if x is divisor:
        return x.builder.const(1)
    if not depth:
        return None
    if x.op in ("add", "sub"):
        a, b = (cancelled(o, divisor, depth - 1) for o in x.operands)
        return None if a is None or b is None else a + b if x.op == "add" else a - b
    if x.op == "mul":
        for one, other in (x.operands, x.operands[::-1]):
            if (left := cancelled(one, divisor, depth - 1)) is not None:
                return other if left.is_const(1) else left if other.is_const(1) else left * other
    if x.op == "select" and x.operands[2].is_const(0) and (left := cancelled(x.operands[1], divisor, depth - 1)):
        return x.builder.apply("select", x.operands[0], left, 0)
    if x.op in SMALL and (left := cancelled(x.operands[0], divisor, depth - 1)) is not None:
        return left * x.builder.apply(SMALL[x.op], 0, x.operands[0])
    if x.op in ("div", "neg") and (left := cancelled(x.operands[0], divisor, depth - 1)) is not None:
        return _over(left, x.operands[1], divisor, depth - 1) if x.op == "div" else negated(left)
    return None


def _over(above: Value, below: Value, divisor: Value, depth: int) -> Value:
    """Return a quotient, of expm1(a*k)/expm1(b*k) without the factor k that both have."""
    whole = cancelled(below, divisor, depth) if below.op == "expm1" else None
    left = None if whole is None else cancelled(above, divisor, depth)
    return above / below if left is None or whole is None else left / whole
