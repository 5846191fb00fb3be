"""A product taken apart, and put together again: a number, factors and divisors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradcompile.ir import Builder, Value
from gradcompile.passes.fold import factored, scaled
from gradcompile.passes.uses import Uses

MOST = 16  # factors and divisors that are told apart
ONE = Fraction(1)


@dataclass
class Term:
    """A number times factors over divisors."""

    number: Fraction = ONE
    factors: list[Value] = field(default_factory=list)
    divisors: list[Value] = field(default_factory=list)

    def without(self, other: Term) -> Term:
        """Return the term divided by another one, whose factors and divisors it has."""
        factors, divisors = less(self.factors, other.factors), less(self.divisors, other.divisors)
        return Term(self.number / other.number, factors, divisors)

    def value(self, builder: Builder) -> Value:
        """Return the product, with what has the fewest axes first."""
        product, *others = sorted(self.factors, key=_axes) or [builder.const(1)]
        steps = [(other, "mul") for other in others] + [(divisor, "div") for divisor in self.divisors]
        for other, op in sorted(steps, key=lambda step: _axes(step[0])):
            product = builder.apply(op, product, other)
        return scaled(product, self.number, product)


def _axes(value: Value) -> int:
    return len(value.axes)


def taken_apart(product: Value, uses: Uses) -> Term:
    """Return what a product is made of, looking into what has no other use."""
    term, stack = Term(), [product]
    while stack:
        value = stack.pop()
        if value.op not in ("neg", "mul", "div") or not _may_be_opened(value, product, uses, term):
            _multiply(term, value)
            continue
        if value.op == "neg":
            term.number = -term.number
        if value.op == "div":
            number, rest = factored(value.operands[1])
            term.number /= number or 1
            term.divisors += [rest] if rest is not None else [] if number else [value.operands[1]]
        stack.extend(reversed(value.operands if value.op == "mul" else value.operands[:1]))
    return term


def _may_be_opened(value: Value, product: Value, uses: Uses, term: Term) -> bool:
    return (value is product or value in uses.own) and len(term.factors) + len(term.divisors) < MOST


def _multiply(term: Term, value: Value) -> None:
    """Multiply a term with a value, or with the number and the rest of one that has no axes."""
    number, rest = factored(value) if not value.axes else (1, value)
    if value.op == "const" and isinstance(value.attr, float) and value.attr < 0:
        number, rest = -1, value.builder.const(-value.attr)
    term.number *= number
    term.factors += [] if rest is None else [rest]


def both(one: Sequence[Value], other: Sequence[Value]) -> list[Value]:
    """Return what two lists of values have in common, each as often as both have it."""
    return less(one, less(one, other))


def less(values: Sequence[Value], gone: Sequence[Value]) -> list[Value]:
    """Return values without others, each taken away once for each time that it is among them."""
    left = list(values)
    for value in gone:
        if value in left:
            left.remove(value)
    return left
