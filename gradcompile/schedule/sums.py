"""Sums as statements that update: which terms run into which target, and what it starts from."""

from __future__ import annotations

from collections.abc import Container, Mapping

from gradcompile.ir import Value
from gradcompile.passes.share import is_renaming
from gradcompile.schedule.conditions import index_bounds
from gradcompile.schedule.nodes import LINE, loop_axes
from gradcompile.schedule.samples import Samples

STEPS = 4  # before two sums, within which they are seen to be made of one value
Signed = tuple[Value, int]  # a term, added (1) or taken away (-1)
Found = dict[Value, tuple[Value | None, list[Signed]]]  # what a sum starts from, and its terms


class Sums:
    """The sums of a program.

    Attributes
    ----------
    found : dict of Value to (Value or None, list of Signed)
        A target: what it starts from (None: nothing), and the sums that are added to it.
    conditions : dict of (Value, Value) to Value
        A target and a term of it: the comparison of indices that bounds the term's loops.
    absorbed : set of Value
        What has no statement of its own, since it is part of a target.
    """

    def __init__(
        self, order: list[Value], uses: Mapping[Value, int], kept: Container[Value], samples: Samples, *, blocks: bool
    ) -> None:
        self.uses, self.kept, self.samples, self.blocks = uses, kept, samples, blocks
        self.found: Found = {}
        self.conditions: dict[tuple[Value, Value], Value] = {}
        self.absorbed: set[Value] = set()
        self._find(order)

    def _find(self, order: list[Value]) -> None:
        for value in reversed(order):
            if value not in self.absorbed and value.op in ("add", "sub", "neg"):
                self._absorb(value)
            if value not in self.absorbed and value not in self.found and self._condition(value) is not None:
                self.found[value] = None, [(value, 1)]
        for target, (base, terms) in self.found.items():
            self.found[target] = base, [(self._bounded(target, term), sign) for term, sign in terms]

    def _condition(self, term: Value) -> Value | None:
        """Return the comparison of two indices under which a sum runs, ``j < i``, if that can bound its loops."""
        if term.op not in ("sum", "accumulate") or term.operands[0].op != "select":
            return None
        condition, taken, other = term.operands[0].operands
        kept = term.builder.make(term.op, (taken, *term.operands[1:]), term.axes, term.kind, term.attr)
        if not other.is_const(0) or set(loop_axes(kept)) != set(loop_axes(term)):
            return None
        if self.blocks and self.samples.streamed(condition):
            return None  # the loop over the samples of a block is innermost, and whole
        order = loop_axes(term)
        both = index_bounds(condition, list(order)) and index_bounds(condition, list(reversed(order)))
        return condition if both else None

    def _bounded(self, target: Value, term: Value) -> Value:
        """Return a term without the condition that bounds its loops, and remember that."""
        condition = self._condition(term)
        if condition is None:
            return term
        taken = term.operands[0].operands[1]
        kept = term.builder.make(term.op, (taken, *term.operands[1:]), term.axes, term.kind, term.attr)
        self.conditions[target, kept] = condition
        return kept

    def _absorb(self, value: Value) -> None:
        """Let a chain of additions start its own target and update it by each sum that occurs in it."""
        rest: list[Signed] = []
        terms: list[Signed] = []
        inner: list[Value] = []
        steps = 0  # of what the terms are added to, which is one line
        stack = [(value, 1)]
        while stack:
            part, sign = stack.pop()
            if (part is value or self._absorbable(part, value)) and part.op in ("add", "sub", "neg") and steps < LINE:
                inner.append(part)
                steps += not any(self._absorbable(o, value) and _fills(o, value) for o in part.operands)
                second = -sign if part.op in ("sub", "neg") else sign
                stack.append((part.operands[-1], second))
                if part.op != "neg":
                    stack.append((part.operands[0], sign))
            elif self._absorbable(part, value) and self._is_term(part, value):
                terms.append((part, sign))
            else:
                rest.append((part, sign))
        crossing = [(term, sign) for term, sign in terms if self.samples.crosses(term)]
        if 0 < len(crossing) < len(terms) and not self._together(terms, rest):
            others = [each for each in terms if each not in crossing]
            total = None if self._together(crossing, rest + others) else self._added_up(crossing)
            if total is None:
                rest, terms = rest + others, crossing  # known before the loop over the samples
            else:
                rest, terms = [*rest, (total, 1)], others
        if not terms or not self._together(terms, rest):
            return
        self.found[value] = self._base(rest), terms
        self.absorbed.update(v for v in inner if v is not value)
        self.absorbed.update(term for term, _ in terms)

    def _added_up(self, terms: list[Signed]) -> Value | None:
        """Return what samples add at places, as one target from which another sum can start after them; else None."""
        at_places = all(term.op == "accumulate" for term, _ in terms)
        if len(terms) == 1 or not at_places or not self._together(terms, []):
            return None
        total = self._base(terms)
        assert total is not None
        self.samples.phase[total] = max(self.samples.phase[term] for term, _ in terms)
        self.found[total] = None, terms
        self.absorbed.update(term for term, _ in terms)
        return total

    def _is_term(self, part: Value, into: Value) -> bool:
        """Return whether a part is a sum with the same axes: a product of matrices in any order, BLAS writes them all.

        Loops of another order would take the others apart, but for those that add to few elements.
        """
        if part.op not in ("sum", "accumulate") or {*part.axes} != {*into.axes}:
            return False
        few = part.op == "accumulate" and len(loop_axes(part)) < len(part.axes)
        return few or part.axes == into.axes or (part.op == "sum" and part.operands[0].op == "mul")

    def _absorbable(self, part: Value, into: Value) -> bool:
        return self.uses[part] == 1 and part not in self.kept and part.kind == into.kind

    def _together(self, terms: list[Signed], rest: list[Signed]) -> bool:
        """Return whether one loop over the samples can do all terms, with the rest known before it."""
        if any(_in_one_loop(term, part) for term, _ in terms for part, _ in rest):
            return False
        if not any(self.samples.crosses(t) for t, _ in terms):
            # What adds to few elements can wait for the rest; a sum is better added up in a block of its own.
            summed = [self.samples.phase[t] for t, _ in terms if t.op == "sum"]
            return all(self.samples.phase[r] <= phase for r, _ in rest for phase in summed)
        early = [t for t, _ in terms if self.samples.adds_before(t)]
        late = [t for t, _ in terms if t not in early]
        phases = {
            self.samples.phase[t] - self.samples.crosses(t)
            for t in late
            if self.samples.crosses(t) or self.samples.streamed(t)
        }
        if len(phases) > 1 or len({self.samples.crosses(t) for t in late}) > 1:
            return False
        first = min(phases, default=None)
        return first is None or all(self.samples.phase[known] <= first for known in (*early, *(r for r, _ in rest)))

    def _base(self, rest: list[Signed]) -> Value | None:
        base: Value | None = None
        for part, sign in sorted(rest, key=lambda r: -r[1]):
            signed = part if sign > 0 else -part
            base = signed if base is None else base + part if sign > 0 else base - part
        return base


def _fills(term: Value, into: Value) -> bool:
    """Return whether a term is added to elements all along the axes of a sum, as the slope of a place of a stencil."""
    return term.op == "accumulate" and term.axes == into.axes and len(loop_axes(term)) >= len(term.axes)


def _in_one_loop(term: Value, rest: Value) -> bool:
    """Return whether a sum and another one, under other names of its axes, are made of one value in one loop.

    ``Σ_j e[i, j]`` cannot start from ``Σ_j e[j, i]`` without a second loop over the pairs, for which e would be kept.
    """
    other = rest
    while is_renaming(other) or other.op == "neg":
        other = other.operands[0]
    if term.op != "sum" or other.op != "sum" or set(loop_axes(other)) != set(loop_axes(term)):
        return False
    return not _computed_in_loop(term).isdisjoint(_computed_in_loop(other))


def _computed_in_loop(total: Value) -> set[Value]:
    """Return what a sum is made of, an operation or two before it, that is computed in each turn of its loop."""
    axes, found = set(loop_axes(total)), set[Value]()
    layer = list(total.operands)
    for _ in range(STEPS):
        layer = [value for value in layer if value.kind == "real" and value.op != "input" and set(value.axes) == axes]
        found.update(layer)
        layer = [operand for value in layer for operand in value.operands]
    return found
