"""Functions of a distance r that are smooth where it is 0, as ``(1 + r)*exp(-r)``: by the square of the distance.

A distance has no slope at 0, and such a function has one, and a second derivative: it is ``c + z*h`` with z = r**2 and
an exact h, from `expansions`. So it is written near 0 where second derivatives are asked for; the value and the
gradient are right as they are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.expansions import Expansion, Place, Series, factors
from gradcompile.passes.norms import square_root
from gradcompile.passes.removable import Choice, moving_values, with_choices

MOST = 8  # distances that are looked at in one graph


class Radius(NamedTuple):
    """A distance, and its square."""

    value: Value
    square: Value


def radial(graph: Graph) -> Graph:
    """Return the graph with functions of distances that have second derivatives where these are 0."""
    for radius in list(_radii(graph))[:MOST]:
        if chosen := _choices(graph, radius):
            graph, _ = with_choices(graph, chosen)
    return graph


def _radii(graph: Graph) -> Iterator[Radius]:
    """Yield absolute values, and roots of sums of squares, that have a derivative."""
    order = graph.order()
    moving = moving_values(graph, order)
    for value in order:
        if value in moving and value.op == "abs":
            yield Radius(value, value.operands[0] ** 2)
        elif value in moving and value.op == "sqrt" and square_root(value.operands[0]) is not None:
            yield Radius(value, value.operands[0])


def _choices(graph: Graph, radius: Radius) -> dict[Value, Choice]:
    """Return what takes the place of the largest formulas of a distance that have no slope where it is 0."""
    order, expansion = graph.order(), Expansion(Place.of(radius.value), 2)
    smooth: dict[Value, Series] = {}
    for value in order:
        expansion.add(value)
        if value.op == "div" and _vanishes(expansion, value.operands[1], radius):
            return {}  # the limit of that quotient is looked for in what is written
        made = expansion.known.get(value)
        if made is not None and made.lowest >= 0 and made.order >= 2 and not made.constant(1):
            smooth[value] = made
    outermost = _used_by_others(graph, order, smooth)
    chosen = {value: made for value, made in smooth.items() if value in outermost and _has_odd_powers(made)}
    return {value: _choice(expansion, value, made, radius) for value, made in chosen.items()}


def _vanishes(expansion: Expansion, divisor: Value, radius: Radius) -> bool:
    """Return whether a divisor is 0 where the distance is."""
    made = expansion.known.get(divisor)
    if made is not None and made.lowest > 0:
        return True
    return any(factor is radius.square for factor in factors(divisor))


def _choice(expansion: Expansion, value: Value, made: Series, radius: Radius) -> Choice:
    """Return c + z*h, and where that is to stand."""
    constant = Series({0: made.constant()})
    rest = Series({power - 2: terms for power, terms in made.terms.items() if power}, made.order - 2, made.rest)
    near = expansion.value(constant, value) + radius.square * expansion.value(rest, value)
    return Choice(near, list(expansion.sizes[value]), radius.value)


def _has_odd_powers(series: Series) -> bool:
    return series.rest is not None or any(power % 2 for power, terms in series.terms.items() if terms)


def _used_by_others(graph: Graph, order: Iterable[Value], inner: Container[Value]) -> set[Value]:
    """Return what is an output, or what a value that is no inner one is made of."""
    return {o for value in order if value not in inner for o in value.operands} | set(graph.outputs.values())
