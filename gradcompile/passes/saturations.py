"""Shares of a sum, such as ``v*s/(k + s)`` of Michaelis and Menten, whose slopes in what is shared do not cancel.

Of the quotient, the slope in s is ``v/(k + s) - v*s/(k + s)**2``, a difference of near numbers where s is large.
Of ``s/(k + s)``, a function of its own, it is ``k/(k + s)**2``. Once it is differentiated it is a quotient again.

The share ``x**n/(k**n + x**n)`` of Hill is that of ``(x/k)**n`` beside 1: one power, where two would overflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import reduce
from operator import mul

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import factors, is_variable

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
        parts = _share(top, divisor) if divisor.op in ("add", "sub") else None
        if parts is None:
            bottom.append(divisor)
        else:
            found.append(_of_powers(*parts) or divisor.builder.apply("share", *parts))
            top = top - Counter(factors(parts[0]))
    if not found:
        return None
    whole = reduce(mul, [*top.elements(), *found])
    return whole / reduce(mul, bottom, one) if bottom else whole


def _share(top: Counter[Value], total: Value) -> tuple[Value, Value] | None:
    """Return a term of a sum all of whose factors are above, and the rest of the sum."""
    terms = list(_terms(total))
    for place, (sign, term) in enumerate(terms[:MANY]):
        if sign < 0 or exact(term) is not None or Counter(factors(term)) - top:
            continue
        rest = total.builder.const(0)
        for other_sign, other in terms[:place] + terms[place + 1 :]:
            rest = plus(rest, other) if other_sign > 0 else minus(rest, other)
        return term, rest
    return None


def _of_powers(part: Value, rest: Value) -> Value | None:
    """Return the share that a power has beside another one with the same exponent, which is no number."""
    if not (is_variable(part) and is_variable(rest)) or part.operands[1] is not rest.operands[1]:
        return None
    return part.builder.apply("share", (part.operands[0] / rest.operands[0]) ** part.operands[1], 1)


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
