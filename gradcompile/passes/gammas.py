"""Differences of log gammas, and of digammas, of arguments that have a part in common.

``lgamma(y + r) - lgamma(r)``, of the negative binomial distribution, is the difference of two numbers of the size of
``r*log(r)``: for large r nothing is left of its digits. It is ``lgammagap(r, y, lgamma(r))``, which knows the gap y
itself; and ``lgamma(a) + lgamma(b) - lgamma(a + b)`` is ``lbeta(a, b)``.

Of several partners a function gets the one from which it differs by data, or by a number: the parameters are what is
large. Then a difference of two log betas whose arguments differ by counts is three small gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from gradcompile.ir import Graph, Value, reachable
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import Exact, factored, scaled
from gradcompile.passes.polynomials import SUMS, Polynomial, as_value, gap, polynomial, terms_of_sums

GAPS = {"lgamma": "lgammagap", "digamma": "digammagap"}
MANY = 32  # terms of a sum that are looked at


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
    if sum(value.op in GAPS for value in graph.order()) < 2:
        return graph
    inner = terms_of_sums(graph)

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
            yield Term(sign * factor, rest, polynomial(rest.operands[0]))
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
    if (by := gap(a.argument, b.argument)) is None:
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
        made = Term(plus.factor, apply(GAPS[plus.value.op], of, as_value(by, of), minus.value), None)
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
