"""Factors that the two terms of a sum have in common: ``2*b*h/N - 2*c*h/N`` is ``2*(b - c)*h/N``.

Slopes are sums of products: what one use of a value passes back has the same factors as what another one does. Taken
out, each is multiplied with once, and the difference of what is left rounds no worse. Only products that have no other
use are taken apart, and nothing is added for more elements than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradcompile.ir import Builder, Graph, Value
from gradcompile.passes.fold import exact, scaled
from gradcompile.passes.uses import Uses, rewrite_used

MOST = 16  # factors that are compared with one another


@dataclass
class Term:
    """A product, taken apart: a number, factors and divisors."""

    number: Fraction = Fraction(1)
    factors: list[Value] = field(default_factory=list)
    divisors: list[Value] = field(default_factory=list)

    def without(self, other: Term) -> Term:
        """Return the term without the factors and divisors of another one, and without its number if it has one."""
        factors, divisors = _less(self.factors, other.factors), _less(self.divisors, other.divisors)
        return Term(self.number / other.number, factors, divisors)

    def value(self, builder: Builder) -> Value:
        """Return the product, with what has the fewest axes first."""
        factors = sorted(self.factors, key=_axes)
        product, *others = factors or [builder.const(1)]
        steps = [(other, "mul") for other in others] + [(divisor, "div") for divisor in self.divisors]
        for other, op in sorted(steps, key=lambda step: _axes(step[0])):
            product = builder.apply(op, product, other)
        return scaled(product, self.number, product)


def _axes(value: Value) -> int:
    return len(value.axes)


def common_factors(graph: Graph) -> Graph:
    """Return the graph with common factors taken out of sums of two terms.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    return rewrite_used(graph, _rule)


def _rule(value: Value, uses: Uses) -> Value:
    if value.op not in ("add", "sub") or value.kind != "real":
        return value
    one, other = value.operands
    if not {one, other} <= uses.own or one is other or value.axes not in (one.axes, other.axes):
        return value
    first, second = _taken_apart(one, uses), _taken_apart(other, uses)
    if value.op == "sub":
        second.number = -second.number
    shared = Term(_number(first, second), _both(first.factors, second.factors), _both(first.divisors, second.divisors))
    left, right = first.without(shared), second.without(shared)
    if shared in (Term(), Term(Fraction(-1))) or not left.factors or not right.factors:
        return value
    if left.number < 0:
        left, right = right, left
    total = left.value(value.builder)
    rest = Term(abs(right.number), right.factors, right.divisors).value(value.builder)
    total = total + rest if right.number > 0 else total - rest
    result = Term(shared.number, [*shared.factors, total], shared.divisors).value(value.builder)
    uses.own.update(_inside(result, {total, *shared.factors}))
    return result


def _inside(product: Value, factors: set[Value]) -> list[Value]:
    """Return the products that a product is made of by way of its factors, which have no other use."""
    found, stack = list[Value](), [product]
    while stack:
        value = stack.pop()
        if value not in factors and value.op in ("neg", "mul", "div"):
            found.append(value)
            stack.extend(value.operands)
    return found


def _number(first: Term, second: Term) -> Fraction:
    """Return the number that two terms have in common; a product of matrices has its own at no cost."""
    sign = Fraction(-1 if first.number < 0 and second.number < 0 else 1)
    same = abs(first.number) == abs(second.number)
    free = any(len(term.factors) == 1 and term.factors[0].op == "sum" and not term.divisors for term in (first, second))
    return sign * abs(first.number) if same and not free else sign


def _taken_apart(product: Value, uses: Uses) -> Term:
    """Return what a product is made of, looking into what has no other use."""
    term, stack = Term(), [product]
    while stack:
        value = stack.pop()
        number = exact(value)
        if number is not None:
            term.number *= number
        elif value.op == "const" and isinstance(value.attr, float) and value.attr < 0:
            term.number = -term.number
            term.factors.append(value.builder.const(-value.attr))
        elif value not in uses.own or len(term.factors) > MOST:
            term.factors.append(value)
        elif value.op == "neg":
            term.number = -term.number
            stack.append(value.operands[0])
        elif value.op == "mul":
            stack.extend(reversed(value.operands))
        elif value.op == "div":
            stack.append(value.operands[0])
            if divisor := exact(value.operands[1]):
                term.number /= divisor
            else:
                term.divisors.append(value.operands[1])
        else:
            term.factors.append(value)
    return term


def _both(one: Sequence[Value], other: Sequence[Value]) -> list[Value]:
    """Return what two lists of factors have in common, each as often as both have it."""
    return _less(one, _less(one, other))


def _less(values: Sequence[Value], gone: Sequence[Value]) -> list[Value]:
    """Return values without others, each taken away once for each time that it is among them."""
    left = list(values)
    for value in gone:
        if value in left:
            left.remove(value)
    return left
