"""Shares of a sum, such as ``v*s/(k + s)`` of Michaelis and Menten, whose slopes in what is shared do not cancel.

Of the quotient, the slope in s is ``v/(k + s) - v*s/(k + s)**2``, a difference of near numbers where s is large.
Of ``s/(k + s)``, a function of its own, it is ``k/(k + s)**2``. Once it is differentiated it is a quotient again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import reduce
from operator import mul

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import factors

MANY = 8  # terms of what is divided by


def saturations(graph: Graph) -> Graph:
    """Return the graph with quotients by sums of which a term is in the dividend as shares of those sums."""
    if not any(value.op == "div" for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return _shares(*operands) if value.op == "div" else None

    return graph.rewrite(rule)


def _shares(above: Value, below: Value) -> Value | None:
    """Return a quotient of products as a product with the shares that are in it; None if there is none."""
    one, top, bottom, found = above.builder.const(1), Counter(factors(above)), [], []
    for divisor in factors(below):
        share = _share(top, divisor) if divisor.op in ("add", "sub") else None
        if share is None:
            bottom.append(divisor)
        else:
            found.append(share)
            top = top - Counter(factors(share.operands[0]))
    if not found:
        return None
    whole = reduce(mul, [*top.elements(), *found])
    return whole / reduce(mul, bottom, one) if bottom else whole


def _share(top: Counter[Value], total: Value) -> Value | None:
    """Return the share of a sum that one of its terms has, if all factors of that are above."""
    terms = list(_terms(total))
    for place, (sign, term) in enumerate(terms[:MANY]):
        if sign < 0 or exact(term) is not None or Counter(factors(term)) - top:
            continue
        rest = total.builder.const(0)
        for other_sign, other in terms[:place] + terms[place + 1 :]:
            rest = plus(rest, other) if other_sign > 0 else minus(rest, other)
        return total.builder.apply("share", term, rest)
    return None


def _terms(total: Value) -> Iterator[tuple[int, Value]]:
    """Yield the terms of a sum with their signs."""
    stack = [(1, total)]
    while stack:
        sign, value = stack.pop()
        if value.op in ("add", "sub"):
            first, second = value.operands
            stack += [(sign if value.op == "add" else -sign, second), (sign, first)]
        elif value.op == "neg":
            stack.append((-sign, value.operands[0]))
        else:
            yield sign, value
