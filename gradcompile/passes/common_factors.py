"""Factors that the two terms of a sum have in common: ``2*b*h/N - 2*c*h/N`` is ``2*(b - c)*h/N``.

Slopes are sums of products: what one use of a value passes back has the same factors as what another one does. Taken
out, each is multiplied with once, and the difference of what is left rounds no worse. Only products that have no other
use are taken apart, and nothing is added for more elements than before. ``(b + 1)*h - h`` is ``b*h``. What the
objective is made of stays as it is written.

``e - (1 + c)*e``, the slope of ``(1 + c)*exp(-c)``, is ``-c*e``, whatever else that product is used for: near 0, the
difference would be mostly rounding.
"""

from __future__ import annotations

from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import RULES
from gradcompile.passes.terms import ONE, Term, both, taken_apart
from gradcompile.passes.uses import Uses, as_written, rewrite_used

DEEPEST = 4  # sums inside one another that are looked through


def common_factors(graph: Graph) -> Graph:
    """Return the graph with common factors taken out of sums of two terms.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    written = as_written(graph)

    def rule(value: Value, uses: Uses) -> Value:
        adds = value.op in ("add", "sub") and value.kind == "real"
        if not adds or value in written:
            return value
        return (_without_itself(*value.operands) if value.op == "sub" else None) or _together(value, uses)

    return rewrite_used(graph, rule)


def _without_itself(a: Value, b: Value) -> Value | None:
    """Return a difference of e and ``(1 + c)*e`` as ``c*e``."""
    for product, single, sign in ((a, b, 1), (b, a, -1)):
        for factor, other in (product.operands, product.operands[::-1]) if product.op == "mul" else ():
            if factor is single and (rest := _less_one(other, DEEPEST)) is not None:
                return rest * single if sign > 0 else -(rest * single)
    return None


def _less_one(x: Value, depth: int) -> Value | None:
    """Return a sum without the 1 that it has as a term; None if it has none."""
    for one, other in (x.operands, x.operands[::-1]) if depth and x.op == "add" else ():
        if one.is_const(1):
            return other
        if (rest := _less_one(one, depth - 1)) is not None:
            return rest + other
    return None


def _together(value: Value, uses: Uses) -> Value:
    """Return a sum of two terms as a product with what they have in common."""
    one, other = value.operands
    if not {one, other} <= uses.own or one is other or value.axes not in (one.axes, other.axes):
        return value
    first, second = taken_apart(one, uses), taken_apart(other, uses)
    if value.op == "sub":
        second.number = -second.number
    shared = Term(_number(first, second), both(first.factors, second.factors), both(first.divisors, second.divisors))
    if shared in (Term(), Term(-ONE)):
        return value
    total = _sum(first.without(shared), second.without(shared), value, divided=bool(shared.divisors))
    if total is None:
        return value
    result = Term(shared.number, [*shared.factors, total], shared.divisors).value(value.builder)
    uses.own.update(_inside(result, {total, *shared.factors}))
    return result


def _number(first: Term, second: Term) -> Fraction:
    """Return the number that two terms have in common; a product of matrices has its own at no cost."""
    sign = Fraction(-1 if first.number < 0 and second.number < 0 else 1)
    same = abs(first.number) == abs(second.number)
    free = any(len(term.factors) == 1 and term.factors[0].op == "sum" and not term.divisors for term in (first, second))
    return sign * abs(first.number) if same and not free else sign


def _sum(left: Term, right: Term, like: Value, divided: bool) -> Value | None:
    """Return the sum of two terms, of which one is positive; None where one is a number and no operation is saved."""
    if left.number < 0:
        left, right = right, left
    op = "add" if right.number > 0 else "sub"
    terms = [Term(abs(term.number), term.factors, term.divisors).value(like.builder) for term in (left, right)]
    simpler = RULES[op](*terms)
    if simpler is None and not divided and not (left.factors and right.factors):
        return None
    return simpler or like.builder.apply(op, *terms)


def _inside(product: Value, factors: set[Value]) -> list[Value]:
    """Return the products that a product is made of by way of its factors, which have no other use."""
    found, stack = list[Value](), [product]
    while stack:
        value = stack.pop()
        if value not in factors and value.op in ("neg", "mul", "div"):
            found.append(value)
            stack.extend(value.operands)
    return found
