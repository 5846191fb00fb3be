"""Sums of products of exponentials that are trusted as they are written, as long as they are in range.

The logarithm of ``Sum(exp(x[i, k])*exp(y[k, j]), k)`` in its exact form has an exponential for every i, j and k, where
the sum as it is written is a product of matrices, of far fewer exponentials. It is as right where neither it nor a
factor overflows and it does not come near to 0. So it is computed like that, and the objective is nan where such a sum
leaves its range: then the exact form answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import nan

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import Forms
from gradcompile.passes.quotients import factors, replaced

TOTALS = ("sum", "add")


def occurs(graph: Graph) -> bool:
    """Return whether there are such sums in a graph."""
    return any(value.op == "sum" and _holds_few(value.operands[0]) for value in graph.order())


def sums(x: Value) -> Iterator[Value]:
    """Yield the sums of few exponentials that a value is a product or a quotient of."""
    if x.op in ("mul", "div"):
        for operand in x.operands:
            yield from sums(operand)
    elif x.op == "sum" and _holds_few(x.operands[0]):
        yield x


def ratio(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return a/b for a sum of few exponentials, with the scale of b taken out of one of its factors."""
    if a.op != "sum" or not _holds_few(a.operands[0]) or b.op not in TOTALS or b not in forms:
        return None
    body, (w, u) = a.operands[0], forms[b]
    for factor in factors(body):
        if factor.op == "exp" and set(u.axes) <= set(factor.axes):
            smaller = replaced(body, factor, a.builder.apply("exp", factor.operands[0] - u))
            total = a.builder.reduce("sum", smaller, a.attr)
            return total if w is None else total / w
    return None


def doubted(objective: Value, trusted: Iterable[Value], most: float) -> Value:
    """Return an objective that is nan where one of some sums, or its reciprocal, is not below a number."""
    apply, const = objective.builder.apply, objective.builder.const
    for value in trusted:
        inside = apply("and", apply("gt", value, 1 / most), apply("lt", value, most))
        doubt = apply("select", inside, const(0), const(nan))
        doubt = objective.builder.reduce("sum", doubt, value.axes) if value.axes else doubt
        objective = objective + apply("detach", doubt)
    return objective


def _holds_few(body: Value) -> bool:
    """Return whether the factors of a product hold exponentials, each of which lacks an axis of the product."""
    found, stack = list[Value](), [body]
    while stack:
        value = stack.pop()
        if value.op in ("exp", "sigmoid"):
            found.append(value)
        elif value.op in ("mul", "div", "neg", "read"):
            stack.extend(value.operands[:1] if value.op == "read" else value.operands)
    return bool(found) and not any(set(value.axes) >= set(body.axes) for value in found)
