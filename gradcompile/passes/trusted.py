"""Sums of products of exponentials that are trusted as they are written, as long as they are in range.

The logarithm of ``Sum(exp(x[i, k])*exp(y[k, j]), k)`` in its exact form has an exponential for every i, j and k, where
the sum as it is written is a product of matrices, of far fewer exponentials. It is as right where neither it nor a
factor overflows and it does not come near to 0. So it is computed like that, and the objective is nan where such a sum
leaves its range: then the exact form answers.

So is a sum of exponentials that the objective has as it is, too, as ``m - y*log(m)`` has: the exact form would compute
each exponential twice, and the largest exponent besides. So are ``Sum(exp(z[n, m]), m)`` and ``Sum(exp(z[m, n]), m)``
of pairs of samples, which have their exponentials in common.

So is ``exp(a[i] + b[j])`` as the product ``exp(a[i])*exp(b[j])``, of M + N exponentials in place of M*N, as long as
these are far from overflow and underflow: then neither the product nor a derivative meets an infinity or loses digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from math import inf, log, nan
from operator import add, mul

from gradcompile.ir import LEAVES, Graph, Value, reachable
from gradcompile.passes.exponentials import Forms, negated, one_plus_exp
from gradcompile.passes.factor import used_bare
from gradcompile.passes.quotients import factors, replaced
from gradcompile.passes.share import classified, is_of_pairs, sample_sizes

TOTALS = ("sum", "add")
ADDED = ("sum", "add", "sub")


def taken_apart(graph: Graph, most: float) -> Graph:
    """Return a graph with exponentials of sums as products of fewer exponentials.

    Parameters
    ----------
    graph : Graph
        As it was lowered.
    most : float
        No product of these exponentials, or reciprocal of one, is beyond it, or the objective is nan.
    """
    bare, exponents = used_bare([graph.outputs["value"]]), dict[Value, float]()

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        parts = _parts(operands[0]) if value.op == "exp" and value in bare else []
        if len(parts) < 2:
            return None
        for part in parts:
            exponents[part] = min(exponents.get(part, inf), log(most) / len(parts))
        return reduce(mul, [part.builder.apply("exp", part) for part in parts])

    apart = graph.rewrite(rule)
    if not exponents:
        return graph
    value = _nan_unless(apart.outputs["value"], [_within(u, -int(bound), int(bound)) for u, bound in exponents.items()])
    return replace(apart, outputs={**apart.outputs, "value": value})


def below(graph: Graph, exponents: Iterable[Value], most: float) -> Graph:
    """Return a graph whose objective is nan where the square of an exponential is not below a number."""
    conditions = [u.builder.apply("lt", u, int(log(most) / 2)) for u in exponents]
    if not conditions:
        return graph
    return replace(graph, outputs={**graph.outputs, "value": _nan_unless(graph.outputs["value"], conditions)})


def _parts(u: Value) -> list[Value]:
    """Return a sum as sums of fewer axes each; one that is not such a sum as it is."""
    terms = _terms(u)
    axes = list(dict.fromkeys(frozenset(term.axes) for term in terms))
    largest = [each for each in axes if not any(each < other for other in axes)]
    if len(largest) < 2:
        return [u]
    groups: list[list[Value]] = [[] for _ in largest]
    for term in terms:
        groups[next(k for k, each in enumerate(largest) if each >= set(term.axes))].append(term)
    return [reduce(add, group) for group in groups]


def _terms(u: Value) -> list[Value]:
    """Return the terms of a sum, or of a multiple of one."""
    if u.op == "neg":
        return [-term for term in _terms(u.operands[0])]
    if u.op in ("add", "sub"):
        left, right = map(_terms, u.operands)
        return left + (right if u.op == "add" else [-term for term in right])
    for number, rest in (u.operands, u.operands[::-1]) if u.op == "mul" else ():
        if not number.axes:
            return [number * term for term in _terms(rest)]
    if u.op == "div" and not u.operands[1].axes:
        return [term / u.operands[1] for term in _terms(u.operands[0])]
    return [u]


def occurs(graph: Graph) -> bool:
    """Return whether there may be such sums in a graph, or exponentials in what is read of a computed array."""
    sums = any(value.op == "sum" and _holds_few(value.operands[0]) for value in graph.order()) or taken_anyway(graph)
    arrays = [v.operands[0] for v in graph.order() if v.op == "read" and v.operands[0].op not in LEAVES]
    return bool(sums) or any(value.op == "exp" for value in reachable(arrays))


def taken_anyway(graph: Graph) -> set[Value]:
    """Return the sums of exponentials in logarithms that the objective has as they are, too, or both ways."""
    uses: dict[Value, set[str]] = {}
    for value in used_bare([graph.outputs["value"]]):
        for operand in value.operands:
            if operand.op == "sum" and operand.operands[0].op == "exp":
                uses.setdefault(operand, set()).add(value.op)
    logs = [total for total, found in uses.items() if "log" in found]
    return {total for total in logs if uses[total].intersection(ADDED)} | _both_ways(logs, graph)


def _both_ways(totals: Iterable[Value], graph: Graph) -> set[Value]:
    """Return the sums over the one and over the other of two samples, for pairs of which there is an exponential."""
    samples = sample_sizes(graph)
    pairs = [total for total in totals if is_of_pairs(total.operands[0], samples)]
    known = classified(graph.order()) if len(pairs) > 1 else {}
    count = Counter(known[total.operands[0]][0] for total in pairs if known)
    return {total for total in pairs if known and count[known[total.operands[0]][0]] > 1}


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


def odds(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return a/(1 + exp(u)) as a*sigmoid(-u), where a is an exponential and it and u have axes of their own.

    In the exact form, the exponentials of both are one, for each element of all axes.
    """
    u = one_plus_exp(b)
    if u is None or a not in forms:
        return None
    own, other = set(forms[a][1].axes), set(u.axes)
    return None if own <= other or other <= own else a * a.builder.apply("sigmoid", negated(u))


def logarithm(value: Value) -> tuple[Value, list[Value]]:
    """Return a logarithm as it is computed where sums are trusted, and the sums that it is of.

    Of 1 less such a sum, it keeps the digits of the sum.
    """
    [x] = value.operands
    pairs = {"add": (x.operands, x.operands[::-1]), "sub": (x.operands,)}.get(x.op, ())
    for one, other in pairs:
        if one.is_const(1) and (found := list(sums(other))):
            return x.builder.apply("log1p", other if x.op == "add" else -other), found
    return value, list(sums(x))


def doubted(objective: Value, trusted: Iterable[Value], most: float) -> Value:
    """Return an objective that is nan where one of some sums, or its reciprocal, is not below a number."""
    least = float(f"{1 / most:g}")  # 1e-25, where 1/1e25 has 16 digits
    return _nan_unless(objective, [_within(value, least, most) for value in trusted])


def _within(value: Value, low: float, high: float) -> Value:
    """Return whether a value is in a range; nan is in none."""
    apply = value.builder.apply
    return apply("and", apply("gt", value, low), apply("lt", value, high))


def _nan_unless(objective: Value, conditions: Iterable[Value]) -> Value:
    """Return an objective that is nan unless conditions hold everywhere.

    Where they do not is counted: loops that add 0 or nan do not become vectors.
    """
    builder = objective.builder
    failures = [builder.apply("select", each, builder.const(0.0), builder.const(1.0)) for each in conditions]
    count = reduce(add, [builder.reduce("sum", each, each.axes) for each in failures])
    doubt = builder.apply("select", builder.apply("eq", count, 0), builder.const(0), builder.const(nan))
    return objective + builder.apply("detach", doubt)


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
