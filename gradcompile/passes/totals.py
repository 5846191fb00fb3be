"""Numbers that are sums of many sums over the same samples: ``Σ_n a + Σ_n b + Σ_n c`` is ``Σ_n (a + b + c)``.

So are slopes of what every step of a simulation uses. Each sum of its own takes a register, or a load and a store in
every step of the loop, and what has single precision is made double for each. A few are left as they are, unless there
are many in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from gradcompile.ir import REDUCTIONS, Axis, Graph, Value
from gradcompile.passes.uses import used_once

CHAINS = ("add", "sub", "neg")
FEW = 8  # sums that have a register each
PAIR = 2  # of those that are added up, where there are many others
Signed = tuple[Value, int]  # a term, added (1) or taken away (-1)


class _Kind(NamedTuple):
    """What sums must have in common: what they are over, and how many sums must be known before their terms are."""

    axes: frozenset[Axis]
    level: int


def totals(graph: Graph) -> Graph:
    """Return the graph with sums that are added up as one, where they are more than a few.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    order = graph.order()
    if sum(map(_is_total, order)) <= FEW:
        return graph
    once, levels = used_once(graph), _levels(order)
    chains = {root: _Chain(_terms(root, once), once, levels) for root in _roots(order, once)}
    crowded = sum(len(chain.kinds) for chain in chains.values()) > 2 * FEW
    many = {root: chain for root, chain in chains.items() if chain.most > (PAIR if crowded else FEW)}
    new: dict[Value, Value] = {}

    def rule(old: Value, operands: tuple[Value, ...]) -> Value:
        new[old] = many[old].value(new) if old in many else graph.builder.rebuild(old, operands)
        return new[old]

    return graph.rewrite(rule) if many else graph


class _Chain:
    """Terms that are added up to a number, some of them sums, or numbers times sums.

    Parameters
    ----------
    terms : list of Signed
        The terms.
    once : container of Value
        What has no other use.
    levels : mapping of Value to int
        How many sums must be known before each value.
    """

    def __init__(self, terms: list[Signed], once: Container[Value], levels: Mapping[Value, int]) -> None:
        self.terms, self.once = terms, once
        self.kinds: dict[Value, _Kind] = {}  # of the terms that are sums
        for term, _ in terms:
            if (total := self._total(term)) is not None:
                self.kinds[term] = _Kind(frozenset(total.attr), levels[total.operands[0]])
        self.most = max(Counter(self.kinds.values()).values(), default=0)  # sums of one kind

    def _total(self, term: Value) -> Value | None:
        """Return the sum that a term is, or is a number of times, if it has no other use; else None."""
        inner = [o for o in term.operands if o.op != "const"] if term.op == "mul" else [term]
        alone = len(inner) == 1 and term in self.once and inner[0] in self.once
        return inner[0] if alone and _is_total(inner[0]) else None

    def value(self, new: Mapping[Value, Value]) -> Value:
        """Return the number with one sum of each kind, made of new values."""
        rest = [(new[term], sign) for term, sign in self.terms if term not in self.kinds]
        for kind in dict.fromkeys(self.kinds.values()):
            bodies = [(self._body(t, new), sign) for t, sign in self.terms if self.kinds.get(t) == kind]
            sign = max(sign for _, sign in bodies)  # -1 where all are taken away
            total = _added((body, own * sign) for body, own in bodies)
            rest.append((total.builder.reduce("sum", total, kind.axes), sign))
        return _added(rest)

    def _body(self, term: Value, new: Mapping[Value, Value]) -> Value:
        """Return the term of a sum, times the number of times that the sum is taken."""
        total = self._total(term)
        assert total is not None  # it has a kind
        if term is total:
            return new[total].operands[0]
        return term.builder.rebuild(term, tuple(new[o].operands[0] if o is total else new[o] for o in term.operands))


def _is_total(value: Value) -> bool:
    """Return whether a value is a number that is a sum, of which no condition leaves out terms."""
    return value.op == "sum" and not value.axes and value.kind == "real" and value.operands[0].op != "select"


def _levels(order: list[Value]) -> dict[Value, int]:
    """Return how many sums, one of the other, must be known before a value: what needs another pass over samples."""
    found: dict[Value, int] = {}
    for value in order:
        known = max((found[operand] for operand in value.operands), default=0)
        found[value] = known + (value.op in REDUCTIONS and not value.axes)
    return found


def _roots(order: list[Value], once: set[Value]) -> list[Value]:
    """Return the numbers that are added up, and are not themselves part of such a number alone."""
    inner = {o for value in order if value.op in CHAINS for o in value.operands if o in once}
    return [value for value in order if value.op in CHAINS and not value.axes and value not in inner]


def _terms(root: Value, once: set[Value]) -> list[Signed]:
    """Return what a number is added up of, looking into what has no other use."""
    found, stack = list[Signed](), [(root, 1)]
    while stack:
        value, sign = stack.pop()
        if value.op in CHAINS and not value.axes and (value is root or value in once):
            stack.append((value.operands[-1], sign if value.op == "add" else -sign))
            stack += [] if value.op == "neg" else [(value.operands[0], sign)]
        else:
            found.append((value, sign))
    return found


def _added(signed: Iterable[Signed]) -> Value:
    """Return terms added up, those that are taken away last."""
    (first, sign), *rest = sorted(signed, key=lambda each: -each[1])
    total = first if sign > 0 else -first
    for term, sign in rest:
        total = total + term if sign > 0 else total - term
    return total
