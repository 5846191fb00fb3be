"""What was made stable in a model: `CompiledModel.stability`, with the errors that each rewrite avoids, measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import sympy

from gradcompile.emit.mathematics import Mathematics
from gradcompile.emit.names import Names
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.language import parse_expression
from gradcompile.lower import lower
from gradcompile.passes import BEFORE
from gradcompile.passes.patterns import Interval, Row
from gradcompile.passes.stabilise import Rewritten, stabilise

DIGITS = 30  # decimal, of the exact value that errors are measured from
POINTS = 21  # evenly over the domain; and small numbers of both signs
SMALL = (1e-12, 1e-6, 1e-3, 0.1, 0.7, 3.0, 20.0, 40.0)
OTHER = 0.75  # the value of y


@dataclass(frozen=True)
class Stabilised:
    """One rewrite in a model, and what it is good for.

    Parameters
    ----------
    before, after : str
        What stood in the model and what is computed in its place, as mathematics.
    pattern : str
        The row of the table that matched, in x and y.
    why : str
        What goes wrong otherwise.
    domain : (low, high)
        The x over which the errors of the pattern were measured, both ends included; y is 0.75.
    error_before, error_after : float
        The largest errors of the pattern and of its rewrite over the domain, in units in the last place of float64;
        infinite where an overflow or a nan takes the place of a finite value.
    """

    before: str
    after: str
    pattern: str
    why: str
    domain: Interval
    error_before: float
    error_after: float

    def __str__(self) -> str:
        """Return the rewrite in two lines."""
        low, high = self.domain
        return (
            f"{self.before}  ->  {self.after}\n    {self.why}; {self.pattern} for x from {low:g} to {high:g}:"
            f" up to {self.error_before:.3g} ULP before, {self.error_after:.3g} after"
        )


def stability(lowered: Graph) -> tuple[Stabilised, ...]:
    """Return what stabilisation rewrites in a graph, in the order of its values.

    Parameters
    ----------
    lowered : Graph
        Not differentiated, and before any pass.
    """
    found: list[Rewritten] = []
    graph = lowered
    for each in BEFORE:
        if each is stabilise:
            stable = stabilise(graph, found)
            break
        graph = each(graph)
    written = Mathematics(Names(stable, [], many=False), shown=lambda value: False)  # inputs alone have names
    return tuple(
        Stabilised(
            written.of(each.before),
            written.of(each.after),
            each.row.before,
            each.row.why,
            each.row.domain,
            *_errors(each.row),
        )
        for each in found
    )


@cache
def _errors(row: Row) -> tuple[float, float]:
    """Return the largest errors of a row's pattern and of its rewrite, in ULP."""
    expression = parse_expression(row.measured or row.before).objective
    graph = lower(parse_expression(row.measured or row.before))
    ulps = [[0.0], [0.0]]
    for place in _places(row.domain):
        point = {"x": place, "y": OTHER}
        values = {symbol: sympy.Float(point[symbol.name], DIGITS) for symbol in expression.free_symbols}
        exact = float(expression.evalf(DIGITS, subs=values, maxn=100_000))
        given = {name: np.float64(point[name]) for name in graph.inputs}
        for errors, program in zip(ulps, (graph, stabilise(graph)), strict=True):
            errors.append(_ulps(float(evaluate(program, given)["value"]), exact))
    return max(ulps[0]), max(ulps[1])


def _places(domain: Interval) -> Iterator[float]:
    low, high = domain
    yield from np.linspace(low, high, POINTS).tolist()
    yield from (sign * size for size in SMALL for sign in (1, -1) if low <= sign * size <= high)


def _ulps(found: float, exact: float) -> float:
    """Return an error in units in the last place."""
    if found == exact or not math.isfinite(exact):
        return 0.0
    return abs(found - exact) / float(np.spacing(abs(exact))) if math.isfinite(found) else math.inf
