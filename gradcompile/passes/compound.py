"""Powers ``(1 + u/n)**(n*t)`` of what is near 1, with a large exponent: interest, kernels, densities with heavy tails.

In ``1 + u/n`` the digits of u are lost where n is large, and the power has none of them left. It is
``exp(t*xlog1pdiv(n, u))``, which goes to ``exp(t*u)``; so do its slopes, of which that in n goes to 0.

A number below -1 has whole powers, and what is written remains for such u/n. Of arrays, both would be computed for each
element, which takes twice as long: there, u/n has to be seen to be not negative.
"""

from __future__ import annotations

from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.polynomials import Polynomial, as_value, polynomial
from gradcompile.passes.quotients import is_variable
from gradcompile.passes.ratios import fraction

NEAR = Fraction(1, 2)  # of what is added to 1; beyond, what is written remains


def compound(graph: Graph) -> Graph:
    """Return the graph with such powers by logarithms, where they are of what is near 1."""
    if not any(map(is_variable, graph.order())):
        return graph
    return graph.rewrite(lambda value, operands: _power(*operands) if is_variable(value) else None)


def _power(base: Value, exponent: Value) -> Value | None:
    for one, rest in (base.operands, base.operands[::-1]) if base.op == "add" else ():
        if not one.is_const(1) or (base.axes and not not_negative(rest)):
            continue
        terms, whole = polynomial(exponent), fraction(rest)
        for place, divisor in enumerate(whole.below):
            if (factor := _over(terms, divisor)) is None:
                continue
            apply = base.builder.apply
            left = whole._replace(below=whole.below[:place] + whole.below[place + 1 :]).value(base)
            log = as_value(factor, base) * apply("xlog1pdiv", divisor, left)
            others = {monomial: number for monomial, number in terms.items() if divisor not in monomial}
            if others:
                log = log + as_value(others, base) * apply("log1p", rest)
            if not_negative(rest):
                return apply("exp", log)
            near = apply("lt", apply("abs", rest), NEAR)
            return apply("select", near, apply("exp", log), base**exponent)
    return None


def _over(terms: Polynomial, divisor: Value) -> Polynomial | None:
    """Return the terms of a polynomial that have a factor, without it; None if none have, or one has it twice."""
    having = {monomial: number for monomial, number in terms.items() if divisor in monomial}
    if not having or divisor.op == "const" or any(monomial.count(divisor) > 1 for monomial in having):
        return None
    return {tuple(factor for factor in monomial if factor is not divisor): n for monomial, n in having.items()}
