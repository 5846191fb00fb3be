"""Values as polynomials in what is no sum, product or number: what two of them have in common, and what is left.

A sum is looked at as a whole where it is no term of another one.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from operator import mul

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import exact, factored, scaled

SUMS = ("add", "sub", "neg")
MANY = 32  # terms of a polynomial
DEEPEST = 8  # sums, or products, inside one another that are looked through

Monomial = tuple[Value, ...]  # the factors, by number
Polynomial = dict[Monomial, Fraction]


def terms_of_sums(graph: Graph) -> set[Value]:
    """Return the sums that are terms of other sums, and nothing else."""
    order = graph.order()
    inner = {o for v in order if v.op in SUMS for o in v.operands if o.op in SUMS}
    elsewhere = {o for v in order if v.op not in SUMS for o in v.operands} | set(graph.outputs.values())
    return inner - elsewhere


def polynomial(x: Value, depth: int = DEEPEST) -> Polynomial:
    """Return a value as a polynomial; one with many terms, or deep inside, as itself."""
    if (number := exact(x)) is not None:
        return {(): Fraction(number)} if number else {}
    made = _taken_apart(x, depth - 1) if depth else None
    return {(x,): Fraction(1)} if made is None or len(made) > MANY else made


def _taken_apart(x: Value, depth: int) -> Polynomial | None:
    """Return a sum, a product or a multiple as a polynomial; None for anything else."""
    if x.op in ("add", "sub"):
        a, b = (polynomial(o, depth) for o in x.operands)
        return added(a, b, 1 if x.op == "add" else -1)
    if x.op == "neg":
        return added({}, polynomial(x.operands[0], depth), -1)
    if x.op == "mul":
        return _product(*(polynomial(o, depth) for o in x.operands))
    if x.op == "div" and (divisor := exact(x.operands[1])):
        return {m: n / divisor for m, n in polynomial(x.operands[0], depth).items()}
    if x.op == "sigmoid" and factored(x.operands[0])[0] < 0:  # 1 - p has become that
        return {(): Fraction(1), (x.builder.apply("sigmoid", negated(x.operands[0])),): Fraction(-1)}
    return None


def added(a: Polynomial, b: Polynomial, sign: int) -> Polynomial:
    """Return a + sign*b."""
    total = {m: a.get(m, Fraction(0)) + sign * b.get(m, Fraction(0)) for m in {**a, **b}}
    return {m: n for m, n in total.items() if n}


def gap(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Return a - b for polynomials that have more in common than a number, but are not the same."""
    common = [m for m, n in a.items() if m and b.get(m) == n]
    return (added(a, b, -1) or None) if common else None


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Return the product of two polynomials; None if it has many terms."""
    if len(a) * len(b) > MANY:
        return None
    total: Polynomial = {}
    for left, n in a.items():
        for right, k in b.items():
            total = added(total, {tuple(sorted((*left, *right), key=lambda v: v.number)): n * k}, 1)
    return total


def as_value(polynomial: Polynomial, like: Value) -> Value:
    """Return a polynomial as a value; what is added comes first."""
    one, total = like.builder.const(1), like.builder.const(0)
    for m, n in sorted(polynomial.items(), key=lambda term: term[1] < 0):
        term = scaled(reduce(mul, m) if m else one, abs(n), like)
        total = plus(total, term) if n > 0 else minus(total, term)
    return total


def plus(total: Value, term: Value) -> Value:
    """Return a sum, of which 0 is no term."""
    return term if total.is_const(0) else total + term


def minus(total: Value, term: Value) -> Value:
    """Return a difference, of which 0 is no term."""
    return negated(term) if total.is_const(0) else total - term
