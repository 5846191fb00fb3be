"""Logarithms of shares of a sum, which are near to 0 where the share is near to 1.

``log(a/(a + b))`` is ``-log(1 + b/a)``, and so is ``log(a) - log(a + b)`` where it has the same factor: the negative
binomial distribution has ``r*log(r) - (r + y)*log(r + m)``, whose terms of the size of r cancel. Times a it is
``xlog1pdiv(a, b)``, which is 0 where a is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import permutations
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import grows
from gradcompile.passes.norms import of_square
from gradcompile.passes.polynomials import (
    SUMS,
    Polynomial,
    added,
    as_value,
    gap,
    minus,
    plus,
    polynomial,
    terms_of_sums,
)
from gradcompile.passes.quotients import factors, replaced

MANY = 12  # logarithms of a sum that are looked at


def shares(graph: Graph) -> Graph:
    """Return the graph with logarithms of shares that keep their digits."""
    if not any(value.op == "log" for value in graph.order()):
        return graph
    inner = terms_of_sums(graph)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "log":
            return _log_of_share(operands[0])
        if value.op == "mul":
            return _times_share(operands[0] * operands[1])
        if value.op in SUMS and value not in inner:
            return _with_shares(value.builder.rebuild(value, operands))
        return None

    return graph.rewrite(rule)


def _log_of_share(x: Value) -> Value | None:
    """Return log(a/(a + b)) as -log(1 + b/a), and log((a + b)/a) as log(1 + b/a)."""
    if x.op != "div":
        return None
    if x.operands[1].op not in ("add", "sub"):
        whole, part = x.operands
        rest = _without(whole, part) if whole.op in ("add", "sub") and part.op != "const" else None
        return None if rest is None or grows(part) or grows(rest) else _log_1p(rest, part)
    part, whole = x.operands
    rest = _without(whole, part)
    if rest is None or (grows(part) and (rest.op == "const" or grows(rest))):
        return None  # exponentials have forms
    return -_log_1p(rest, part)


def _without(whole: Value, part: Value) -> Value | None:
    """Return what is left of a sum without one of its terms, or several; None if it has not all of them."""
    terms, all_terms = polynomial(part), polynomial(whole)
    if not terms or () in terms or any(all_terms.get(m) != n for m, n in terms.items()):
        return None
    rest = added(all_terms, terms, -1)
    return as_value(rest, whole) if rest else None


def _log_1p(rest: Value, part: Value) -> Value:
    return part.builder.apply("log", 1 + rest / part)


def _times_share(product: Value) -> Value | None:
    """Return a*log(1 + b/a) as a function that is 0 where a is; an exponential is not. So for a sum with a in it."""
    parts = list(factors(product))
    for log in parts:
        if log.op not in ("log", "neg") or (over := _over(log)) is None:
            continue
        above, below = over
        others = [p for p in parts if p is not log]
        for a in factors(below):
            if a.op == "exp" or (times := _over_factor(others, a)) is None:
                continue
            rest = _without_factor(below, a)
            made = _x_log_1p(a, above, rest)
            made = made if log.op == "log" else -made
            return made if times.is_const(1) else times * made
    return None


def _without_factor(product: Value, factor: Value) -> Value | None:
    """Return a product without one of its factors; None if nothing is left."""
    rest = replaced(product, factor, product.builder.const(1))
    return None if rest.is_const(1) else rest


def _over_factor(parts: list[Value], a: Value) -> Value | None:
    """Return a product over a, if a is a factor, or a factor is a sum with a multiple of a: (a + r)/a is 1 + r/a."""
    one = a.builder.const(1)
    for place, part in enumerate(parts):
        rest = parts[:place] + parts[place + 1 :]
        if part is a:
            return reduce(mul, rest) if rest else one
        if part.op in SUMS and (number := (terms := polynomial(part)).pop((a,), None)) is not None:
            inside = a.builder.const(number) + as_value(terms, part) / a
            return reduce(mul, rest) * inside if rest else inside
    return None


def _x_log_1p(a: Value, above: Value, below: Value | None) -> Value:
    """Return a*log(1 + d/a) for d = above/below, which may be a square that overflows."""
    d = above if below is None else above / below
    square = of_square(d)
    if square is None or not square[0].is_const(1):
        return a.builder.apply("xlog1pdiv", a, d)
    return a.builder.apply("xlog1psqdiv", a, square[1])


def _over(log: Value) -> tuple[Value, Value] | None:
    """Return (b, a) for log(1 + b/a), or for the negative of it."""
    x = log.operands[0].operands[0] if log.op == "neg" and log.operands[0].op == "log" else log.operands[0]
    for one, share in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        if one.is_const(1) and share.op == "div":
            return share.operands[0], share.operands[1]
    return None


# --- sums


class Term(NamedTuple):
    """A term ``factor*log(argument)`` of a sum; both as polynomials, too."""

    factor: Polynomial
    log: Value
    argument: Polynomial


def _with_shares(total: Value) -> Value | None:
    """Return a sum in which ``p*log(a) - (p + q)*log(a + b)`` is ``-p*log(1 + b/a) - q*log(a + b)``."""
    terms = list(_terms(total))
    logs = [k for k, (_, _, term) in enumerate(terms) if term is not None]
    for one, other in permutations(logs, 2) if len(logs) <= MANY else ():
        first, second = terms[one][2], terms[other][2]
        assert first is not None
        assert second is not None
        rest = gap(second.argument, first.argument)
        left = added(second.factor, first.factor, 1)  # the whole of the first is in the second, with the other sign
        if rest is None or len(left) >= len(second.factor) or () in first.argument:
            continue
        made = _gap(first, as_value(rest, total))
        others = [(sign, value) for k, (sign, value, _) in enumerate(terms) if k not in (one, other)]
        return _sum([*others, (-1, made), (1, as_value(left, total) * second.log)] if left else [*others, (-1, made)])
    return None


def _gap(first: Term, rest: Value) -> Value:
    """Return factor*log(1 + rest/argument)."""
    part = first.log.operands[0]
    product = as_value(first.factor, part) * _log_1p(rest, part)
    return _times_share(product) or product


def _terms(total: Value) -> Iterator[tuple[int, Value, Term | None]]:
    """Yield the terms of a sum with their signs, and what they are if they are multiples of a logarithm."""
    stack = [(1, total)]
    while stack:
        sign, value = stack.pop()
        if value.op in SUMS:
            stack.append((-sign if value.op != "add" else sign, value.operands[-1]))
            stack += [(sign, value.operands[0])] if value.op != "neg" else []
        else:
            yield sign, value, _term(sign, value)


def _term(sign: int, value: Value) -> Term | None:
    parts = list(factors(value))
    logs = [part for part in parts if part.op == "log"]
    if len(logs) != 1:
        return None
    others = [part for part in parts if part is not logs[0]]
    factor = polynomial(reduce(mul, others) if others else value.builder.const(1))
    return Term(added({}, factor, sign), logs[0], polynomial(logs[0].operands[0]))


def _sum(terms: list[tuple[int, Value]]) -> Value:
    total = terms[0][1].builder.const(0)
    for sign, value in sorted(terms, key=lambda term: -term[0]):
        total = plus(total, value) if sign > 0 else minus(total, value)
    return total
