"""Differences of log gammas, and of digammas, of arguments that have a part in common.

``lgamma(y + r) - lgamma(r)``, of the negative binomial distribution, is the difference of two numbers of the size of
``r*log(r)``: for large r nothing is left of its digits. It is ``lgammagap(r, y, lgamma(r))``, which knows the gap y
itself; and ``lgamma(a) + lgamma(b) - lgamma(a + b)`` is ``lbeta(a, b)``.

Of several partners a function gets the one from which it differs by data, or by a number: the parameters are what is
large. Then a difference of two log betas whose arguments differ by counts is three small gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import reduce
from itertools import combinations
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Graph, Value, reachable
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import Exact, exact, factored, scaled

GAPS = {"lgamma": "lgammagap", "digamma": "digammagap"}
SUMS = ("add", "sub", "neg")
MANY = 32  # terms of a sum, or of an argument, that are looked at

Monomial = tuple[Value, ...]  # the factors, by number
Polynomial = dict[Monomial, Fraction]


class Term(NamedTuple):
    """One term of a sum, ``factor*value``; of a log gamma or a digamma, with its argument as a polynomial."""

    factor: Exact
    value: Value
    argument: Polynomial | None


class Pair(NamedTuple):
    """Two terms whose difference is a gap: ``f(of + by) - f(of)``."""

    plus: Term
    minus: Term
    by: Polynomial


def gammas(graph: Graph) -> Graph:
    """Return the graph with differences of log gammas, and of digammas, that keep their digits."""
    order = graph.order()
    if sum(value.op in GAPS for value in order) < 2:
        return graph
    users = {o for v in order if v.op in SUMS for o in v.operands}
    elsewhere = {o for v in order if v.op not in SUMS for o in v.operands} | set(graph.outputs.values())
    inner = {v for v in order if v.op in SUMS and v in users and v not in elsewhere}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op not in SUMS or value in inner:
            return None
        return _with_gaps(value.builder.rebuild(value, operands), frozenset(graph.wrt))

    return graph.rewrite(rule)


def _with_gaps(total: Value, wrt: frozenset[str]) -> Value | None:
    """Return a sum with its gaps; None if it has none."""
    terms = list(_terms(total, 1))
    found = False
    while len(terms) <= MANY and (pair := _best(terms, wrt)) is not None:
        terms, found = _replaced(terms, pair), True
    return _sum(terms) if found else None


def _terms(total: Value, sign: int) -> Iterator[Term]:
    """Yield the terms of a sum."""
    stack = [(sign, total)]
    while stack:
        sign, value = stack.pop()
        if value.op in SUMS:
            stack.append((-sign if value.op != "add" else sign, value.operands[-1]))
            stack += [(sign, value.operands[0])] if value.op != "neg" else []
            continue
        factor, rest = factored(value)
        if rest is not None and rest.op in GAPS:
            yield Term(sign * factor, rest, _polynomial(rest.operands[0]))
        else:
            yield Term(sign, value, None)


def _best(terms: Iterable[Term], wrt: frozenset[str]) -> Pair | None:
    """Return the pair of terms with the simplest gap, if there is one: data rather than parameters, few terms."""
    pairs = [pair for a, b in combinations((t for t in terms if t.argument), 2) if (pair := _pair(a, b)) is not None]
    return min(pairs, key=lambda pair: (_moves(pair.by, wrt), len(pair.by)), default=None)


def _pair(a: Term, b: Term) -> Pair | None:
    """Return the gap between two terms if their arguments have more in common than a number."""
    if a.factor != -b.factor or a.value.op != b.value.op or a.argument is None or b.argument is None:
        return None
    common = [m for m, n in a.argument.items() if m and b.argument.get(m) == n]
    by = _added(a.argument, b.argument, -1)
    if not common or not by:
        return None
    return Pair(a, b, by) if any(n > 0 for n in by.values()) else Pair(b, a, {m: -n for m, n in by.items()})


def _moves(by: Polynomial, wrt: frozenset[str]) -> bool:
    """Return whether a gap depends on parameters."""
    return any(v.op == "input" and v.attr in wrt for v in reachable(f for m in by for f in m))


def _replaced(terms: list[Term], pair: Pair) -> list[Term]:
    """Return terms with a gap in the place of two of them, or with a log beta in the place of three."""
    plus, minus, by = pair
    apply, of, gone = plus.value.builder.apply, minus.value.operands[0], [plus, minus]
    if plus.value.op == "lgamma" and (third := _third(terms, pair)) is not None:
        made = Term(minus.factor, apply("lbeta", of, third.value.operands[0]), None)
        gone.append(third)
    else:
        made = Term(plus.factor, apply(GAPS[plus.value.op], of, _value(by, of), minus.value), None)
    first, left = min(map(terms.index, gone)), [t for t in terms if not any(t is g for g in gone)]
    return [*left[:first], made, *left[first:]]


def _third(terms: list[Term], pair: Pair) -> Term | None:
    """Return the term lgamma(b) of ``lgamma(a) + lgamma(b) - lgamma(a + b)``."""
    others = (t for t in terms if t is not pair.minus and t.value.op == "lgamma" and t.factor == pair.minus.factor)
    return next((t for t in others if t.argument == pair.by), None)


def _sum(terms: list[Term]) -> Value:
    """Return a sum; what is added comes first."""
    signed = sorted(terms, key=lambda term: term.factor < 0)
    values = [scaled(t.value, t.factor if t.factor > 0 else -t.factor, t.value) for t in signed]
    total = values[0] if signed[0].factor > 0 else negated(values[0])
    for term, value in zip(signed[1:], values[1:], strict=True):
        total = total + value if term.factor > 0 else total - value
    return total


# --- arguments as polynomials


def _polynomial(x: Value) -> Polynomial:
    """Return a value as a polynomial in what is no sum, product or number; one with many terms as itself."""
    made: Polynomial | None = None
    if (number := exact(x)) is not None:
        return {(): Fraction(number)} if number else {}
    if x.op in ("add", "sub"):
        a, b = map(_polynomial, x.operands)
        made = _added(a, b, 1 if x.op == "add" else -1)
    elif x.op == "neg":
        made = _added({}, _polynomial(x.operands[0]), -1)
    elif x.op == "mul":
        made = _product(*map(_polynomial, x.operands))
    elif x.op == "div" and (divisor := exact(x.operands[1])):
        made = {m: n / divisor for m, n in _polynomial(x.operands[0]).items()}
    elif x.op == "sigmoid" and factored(x.operands[0])[0] < 0:  # 1 - p has become that
        made = {(): Fraction(1), (x.builder.apply("sigmoid", negated(x.operands[0])),): Fraction(-1)}
    return {(x,): Fraction(1)} if made is None or len(made) > MANY else made


def _added(a: Polynomial, b: Polynomial, sign: int) -> Polynomial:
    total = {m: a.get(m, Fraction(0)) + sign * b.get(m, Fraction(0)) for m in {**a, **b}}
    return {m: n for m, n in total.items() if n}


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Return the product of two polynomials; None if it has many terms."""
    if len(a) * len(b) > MANY:
        return None
    total: Polynomial = {}
    for left, n in a.items():
        for right, k in b.items():
            total = _added(total, {tuple(sorted((*left, *right), key=lambda v: v.number)): n * k}, 1)
    return total


def _value(by: Polynomial, like: Value) -> Value:
    """Return a polynomial as a value."""
    const = like.builder.const
    return _sum([Term(n, reduce(mul, m) if m else const(1), None) for m, n in by.items()])
