"""Quotients whose divisor d is 0 where they have a limit: ``log(p**a*q**(1 - a) + ...)/(a - 1)`` at a = 1.

Near such a place what is written loses its digits, its slopes lose more, and there it is nan. So it is taken apart in
powers of d, as `expansions` has it. Where coefficients of negative powers cancel, which is decided in exact arithmetic,
d is not divided by any more.

The densities of Tweedie, the entropies of Tsallis and Renyi, decay chains with equal rates and bonds by Vasicek have
such places, in one of their parameters or in a difference of two.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import NamedTuple

from gradcompile.ir import Graph, Value, reachable
from gradcompile.passes.expansions import Expansion, Place
from gradcompile.passes.fold import factored
from gradcompile.passes.laurent import TooManyError, of_value, whole
from gradcompile.passes.logarithms import positive
from gradcompile.passes.ratios import DEEPEST, flat, fraction, in_sums, ratios
from gradcompile.passes.small import small, small_logs
from gradcompile.passes.stabilise import stabilise
from gradcompile.passes.vanishing import may_have_limits

NEAR = Fraction(1, 2)  # of what is added to 1, and of exponents; beyond, what is written remains
ORDERS = (1, 2, 3)  # of the rest: the highest power of d that is divided by
MOST = 12  # divisors that are looked at in one graph
LARGEST = 4096  # values of a graph that is looked at
SUMS = ("add", "sub")
FUNCTIONS = ("exp", "log", "pow", "sinh", "tanh", "atanh")
OTHERS: tuple[Callable[[Graph], Graph], ...] = (small_logs, stabilise, ratios, small)  # what knows simple quotients


def removable(graph: Graph) -> Graph:
    """Return the graph with such quotients, and sums of several, that have their limits and keep their digits."""
    graph = _with_sums(graph)
    order = graph.order()
    if not any(value.op == "div" for value in order) and sum(value.op == "log" for value in order) < 2:
        return graph
    if len(order) > LARGEST:
        return graph
    made, seen = list[dict[Value, Choice]](), set[object]()
    for divisor in _divisors(order, moving_values(graph, order)):
        for place in _places(divisor):
            if place.zeros in seen or not may_have_limits(order, place) or not (found := _choices(order, place)):
                continue
            seen |= {place.zeros, *(frozenset(((atom, 1),)) for atom, _ in place.monomial if not place.shift)}
            made.append({value: choice for value, choice in found.items() if not _is_known(graph, value, choice)})
            break
    return _replaced(graph, list(filter(None, made)))


def _with_sums(graph: Graph) -> Graph:
    """Return the graph with sums of which such a divisor has been taken out, with terms that have their limits."""
    order = graph.order()
    if not any(value.op == "sum" for value in order) or len(order) > LARGEST:
        return graph
    moving = moving_values(graph, order)

    def term(value: Value) -> Value | None:
        alone = replace(graph, outputs={"value": value}, names={}, cotangents={}, axes={})
        made = removable(alone).outputs["value"]
        return None if made is value else made

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op not in ("mul", "div"):
            return None
        whole = fraction(value.builder.rebuild(value, operands))
        below = [factor for factor in map(_base, whole.below) if factor in moving and not positive(factor)]
        return in_sums(whole, term) if below else None

    return graph.rewrite(rule)


class Choice(NamedTuple):
    """What takes the place of a value near the zero of a divisor.

    Parameters
    ----------
    near : Value
        What does.
    sizes : sequence of Value
        Of these the largest says how near.
    divisor : Value
        That is 0 there.
    """

    near: Value
    sizes: Sequence[Value]
    divisor: Value
    is_hidden: bool = False  # whether something else is divided by that is 0 there, too

    def instead(self, far: Value) -> Value:
        """Return the choice between this and what is written; it does not hold where a size is nan."""
        if not self.sizes:
            return self.near
        apply = far.builder.apply
        sizes = [apply("abs", size) for size in self.sizes]
        is_near = apply("lt", apply("maximum", *sizes) if sizes[1:] else sizes[0], NEAR)
        return apply("select", is_near, self.near, far if self.divisor.axes else flat(far, [self.divisor]))


def _replaced(graph: Graph, places: Iterable[dict[Value, Choice]]) -> Graph:
    """Return the graph with choices, those of one place after the other."""
    now = {value: value for value in graph.order()}
    for chosen in places:
        graph, became = with_choices(graph, {now[value]: choice for value, choice in chosen.items()})
        now = {value: became[after] for value, after in now.items() if after in became}
    return graph


def with_choices(graph: Graph, chosen: dict[Value, Choice]) -> tuple[Graph, dict[Value, Value]]:
    """Return the graph with choices, and what each value has become; what is written has no choice inside."""
    plain: dict[Value, Value] = {}
    became: dict[Value, Value] = {}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        plain[value] = value.builder.rebuild(value, tuple(plain[o] for o in value.operands))
        made = value.builder.rebuild(value, operands)
        became[value] = chosen[value].instead(plain[value]) if value in chosen else made
        return became[value]

    return graph.rewrite(rule), became


def moving_values(graph: Graph, order: Iterable[Value]) -> set[Value]:
    """Return the values that have a derivative."""
    moving: set[Value] = set()
    for value in order:
        if (value.op == "input" and value.attr in graph.wrt) or not moving.isdisjoint(value.operands):
            moving.add(value)
    return moving


def _divisors(order: Iterable[Value], moving: set[Value]) -> list[Value]:
    """Return what may be 0 where something is divided by 0: products as a whole, and then their factors."""
    found: dict[Value, None] = {}
    for value in order:
        if value.op == "log":
            found |= dict.fromkeys(value.operands)
        if value.op == "div" and not moving.isdisjoint(value.operands[1:]):
            above, below = (fraction(operand).above for operand in value.operands)
            whole = factored(value.operands[1])[1]
            found |= dict.fromkeys([*([] if whole is None else [whole]), *map(_base, below)])
            for curved in (each for each in below if _is_curved(each)):
                inside = reachable([curved])
                found |= dict.fromkeys(_common(value.operands[0], inside))
                found |= dict.fromkeys(_products_in(value.operands[0], set(inside)))
                found |= dict.fromkeys(each for each in above if each.op in SUMS)
                found |= dict.fromkeys(
                    each for f in inside if f.op in FUNCTIONS for each in fraction(f.operands[0]).above
                )
    candidates = [value for value in found if value.kind == "real" and not moving.isdisjoint(reachable([value]))]
    return [value for value in candidates if not positive(value)][:MOST]


def _common(above: Value, inside: Iterable[Value]) -> Iterator[Value]:
    """Yield products of what a product has in common with the terms of sums that are inside of another value."""
    try:
        (monomial,) = of_value(above)
        own = {atom for atom, exponent in monomial if exponent == 1}
        sums = [of_value(each) for each in inside if each.op in SUMS]
    except (TooManyError, ValueError):
        return
    for term in (term for terms in sums for term in terms):
        common = [atom for atom, exponent in term if exponent == 1 and atom in own]
        if common[1:]:
            yield reduce(mul, common)


def _products_in(x: Value, inside: Container[Value], depth: int = DEEPEST) -> Iterator[Value]:
    """Yield the products, as large as they can be, that are factors of a value and inside of another one."""
    if x in inside:
        yield x
    elif depth and x.op in ("mul", "div", "neg"):
        for operand in x.operands[: 1 if x.op == "div" else None]:
            yield from _products_in(operand, inside, depth - 1)


def _is_curved(x: Value, depth: int = DEEPEST) -> bool:
    """Return whether a sum or difference has a function as a term, or what is a function itself."""
    if depth and x.op in SUMS:
        return any(_is_curved(operand, depth - 1) for operand in x.operands)
    return any(factor.op in FUNCTIONS for factor in fraction(x).above)


def _places(divisor: Value) -> Iterator[Place]:
    """Yield the ways in which a divisor is a product of others, times a number, and something else."""
    try:
        terms = of_value(divisor)
    except TooManyError:
        return
    for monomial, number in sorted(terms.items(), key=lambda term: len(term[0])):
        own = {atom for atom, _ in monomial}
        shift = {m: n for m, n in terms.items() if m != monomial}
        if (
            own
            and all(e <= 1 for _, e in monomial)
            and any(e > 0 for _, e in monomial)
            and not any(atom in own for m in shift for atom, _ in m)
        ):
            yield Place(divisor, monomial, number, shift)


def _choices(order: Sequence[Value], place: Place) -> dict[Value, Choice]:
    """Return what takes the place of the values in which a divisor cancels, and of sums of these that vanish there."""
    found: dict[Value, Choice] = {}
    for highest in ORDERS:
        expansion, beyond = Expansion(place, highest), set[Value]()  # what such values are in
        for value in order:
            expansion.add(value)
            made = expansion.known.get(value)
            if value in found or not beyond.isdisjoint(value.operands):
                beyond.add(value)
            if made is None or value in found or not expansion.sizes[value] or made.order < 0:
                continue
            expansion.is_short |= value in beyond and value.op in ("add", "sub") and made.lowest == made.order
            if expansion.holds_log(value):
                continue
            if expansion.cancels(value) or (value in beyond and expansion.vanishes(value)):
                sizes = list(expansion.sizes[value])
                found[value] = Choice(expansion.value(made, value), sizes, place.divisor, value in expansion.hidden)
                beyond.add(value)
        if not expansion.is_short:
            break
    return found


def _is_known(graph: Graph, value: Value, choice: Choice) -> bool:
    """Return whether other passes take the divisor out of a value, or have a choice of their own for all of it."""
    alone = replace(graph, outputs={"value": value}, names={}, cotangents={}, axes={})
    made = reduce(lambda each, other: other(each), OTHERS, alone).outputs["value"]
    if value.op in SUMS:
        return made.op == "select"
    divisor = choice.divisor
    factors = set(reachable([divisor])) if choice.is_hidden else {divisor, *fraction(divisor).above}
    stack, seen = [made], set[Value]()
    while stack:
        each = stack.pop()
        if each in seen:
            continue
        seen.add(each)
        if each.op == "div":
            below = [*map(_base, fraction(each.operands[1]).above)]
            below = reachable(below) if choice.is_hidden else below
            if not factors.isdisjoint(below):
                return False
        stack.extend(each.operands[:-1] if each.op == "select" else each.operands)
    return True


def _base(x: Value) -> Value:
    """Return what is raised, if a value is a whole power."""
    return x.operands[0] if x.op == "pow" and whole(x.operands[1]) else x
