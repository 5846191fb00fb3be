"""What something is divided by and multiplied with again: ``m*(h/m*k)`` is ``h*k``.

The slope of ``u**c/c`` divides by c and multiplies with it. Where c is 0 or infinite, the product would have been no
number. The slope of what is divided by an exponential m has m as a divisor, and that of m itself is m: there, sums are
looked into as well, since an exponential is never 0 and never infinite but by rounding. Numbers come of squares and of
what is halved: ``2*(e/2 - 1/2)`` is ``e - 1``, and ``2*((0 if d == 0 else 1/(2*d))*x)`` is
``(0 if d == 0 else 1/d)*x``.

A power that is computed anyway takes its base back as well: ``g*(k*g**(k - 1))`` is ``k*g**k``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact, factored, scaled
from gradcompile.passes.terms import Term, both, less, taken_apart
from gradcompile.passes.uses import Uses, as_written, rewrite_used

DEEPEST = 6  # operations inside of one another that are looked through
Powers = Mapping[Value, Container[Value]]  # those that are computed, by their base
LINEAR = ("neg", "mul", "div", "add", "sub", "select", "sum")


def cancel(graph: Graph) -> Graph:
    """Return the graph without divisions that a product takes back, and powers with one that is computed anyway.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    order = graph.order()
    if not any(value.op in ("div", "pow") for value in order):
        return graph
    powers: dict[Value, set[Value]] = {}
    for value in order:
        if value.op == "pow":
            powers.setdefault(value.operands[0], set()).add(value)
    written = as_written(graph)  # there, x/x is no number at 0

    def rule(value: Value, uses: Uses) -> Value:
        if value.op not in ("mul", "div"):
            return value
        return _taken_back(value, uses) or (value if value in written else _simplified(value, uses, powers))

    return rewrite_used(graph, rule)


def _taken_back(value: Value, uses: Uses) -> Value | None:
    """Return a product with an exponential, or a number, that divides the other factor."""
    for factor, rest in (value.operands, value.operands[::-1]) if value.op == "mul" else ():
        cancels = factor.op == "exp" or _is_whole(factor)
        if cancels and (product := _times(factor, rest, uses)) is not None:
            return product
    return None


def _simplified(value: Value, uses: Uses, powers: Powers) -> Value:
    """Return a product without what it divides by and multiplies with, and with powers that are computed anyway."""
    term = taken_apart(value, uses)
    left = _with_powers(_reduced(term), uses, powers)
    return value if left == term else left.value(value.builder)


def _reduced(term: Term) -> Term:
    """Return a product without divisors that are factors as well, and with the numerators of quotients by such."""
    gone = both(term.factors, term.divisors)
    factors, divisors = less(term.factors, gone), less(term.divisors, gone)
    for quotient in term.factors:
        if quotient.op == "div" and quotient.operands[1] in factors and quotient in factors:
            factors = [*less(factors, (*quotient.operands[1:], quotient)), quotient.operands[0]]
    return Term(term.number, factors, divisors)


def _with_powers(term: Term, uses: Uses, powers: Powers) -> Term:
    """Return a product of x and a slope of ``x**k`` as a product with that power."""
    for base in term.factors:
        for slope in term.factors if base in powers else ():
            if slope is not base and (product := _power(base, slope, uses, powers, DEEPEST)) is not None:
                return Term(term.number, [*less(term.factors, [base, slope]), product], term.divisors)
    return term


def _power(x: Value, slope: Value, uses: Uses, powers: Powers, depth: int) -> Value | None:
    """Return x times what is made of ``x**(k - 1)``, as the same made of ``x**k``; None if this is not computed."""
    apply, operands = slope.builder.apply, slope.operands
    if slope is x:
        power = apply("pow", x, 2)
        return power if power in powers[x] else None
    if slope.op == "pow" and operands[0] is x:
        power = apply("pow", x, _next(operands[1]))
        return power if power in powers[x] else None
    if slope not in uses.own or slope.op not in ("neg", "mul", "add", "sub", "select") or not depth:
        return None
    if slope.op == "mul":
        for factor, other in (operands, operands[::-1]):
            if (product := _power(x, factor, uses, powers, depth - 1)) is not None:
                return product * other
        return None
    made = [o if o.kind == "bool" or o.is_const(0) else _power(x, o, uses, powers, depth - 1) for o in operands]
    known = [product for product in made if product is not None]
    return apply(slope.op, *known) if len(known) == len(made) else None


def _next(exponent: Value) -> Value:
    """Return an exponent plus 1."""
    number = exact(exponent)
    if number is not None:
        return exponent.builder.const(number + 1)
    minus = exponent.op == "sub" and exponent.operands[1].is_const(1)
    return exponent.operands[0] if minus else exponent + 1


def _is_whole(factor: Value) -> bool:
    number = exact(factor)
    return isinstance(number, int) and abs(number) > 1


def _times(m: Value, x: Value, uses: Uses) -> Value | None:
    """Return m*x with no more operations than x has; None if x is divided by m nowhere."""
    if x.op == "div" and x.operands[1] is m:
        return x.operands[0]
    if _is_whole(m) and (product := _whole_times(Fraction(m.attr), x)) is not None:
        return product
    if x not in uses.own or x.op not in LINEAR:
        return None
    if x.op == "sum":
        inside = None if {*m.axes} & {*x.attr} else _times(m, x.operands[0], uses)
        return None if inside is None else x.builder.reduce("sum", inside, x.attr)
    apply = x.builder.apply
    if x.op in ("neg", "div", "mul"):
        for place, operand in enumerate(x.operands[:1] if x.op == "div" else x.operands):
            if (part := _times(m, operand, uses)) is not None:
                return apply(x.op, *(part if k == place else o for k, o in enumerate(x.operands)))
        return None
    condition, terms = (x.operands[:1], x.operands[1:]) if x.op == "select" else ((), x.operands)
    products = [_times(m, term, uses) for term in terms]
    if all(product is None or term.op == "const" for product, term in zip(products, terms, strict=True)):
        return None
    made = [_plain(m, t) if p is None else p for t, p in zip(terms, products, strict=True)]
    negative = x.op == "add" and exact(made[0])
    if negative and negative < 0:
        return made[1] - -negative
    return apply(x.op, *condition, *made)


def _plain(m: Value, x: Value) -> Value:
    """Return m*x as it is written."""
    number = exact(m)
    return m * x if number is None else scaled(x, number, x)


def _whole_times(number: Fraction, x: Value) -> Value | None:
    """Return a whole number times a fraction, or what is divided by a number that divides it."""
    if (fraction := exact(x)) is not None:
        cancels = Fraction(fraction).denominator > 1 and (number * fraction).denominator == 1
        return x.builder.const(number * fraction) if cancels else None
    if x.op != "div":
        return None
    divisor, below = factored(x.operands[1])
    if divisor in (0, 1) or (number / divisor).denominator != 1:
        return None
    above = scaled(x.operands[0], number / divisor, x)
    return above if below is None else above / below
