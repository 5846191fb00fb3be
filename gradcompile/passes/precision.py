"""Bounds of exponents, which lie closer in float32: ``exp(89)`` is infinite there."""

from __future__ import annotations

from gradcompile.ir import Graph, Value


class Bound(int):
    """An exponent whose exponential, and the reciprocal of that, are finite in float64."""


HIGHEST = Bound(700)
SINGLE = 80  # exp(80) is a float32


def within(graph: Graph, dtype: str) -> Graph:
    """Return a graph, differentiated or not, with the bounds of a precision.

    Parameters
    ----------
    graph : Graph
        After the passes, which know no precision.
    dtype : {"float64", "float32"}
        Of its real arrays.
    """
    if dtype == "float64" or not any(map(_is_bound, graph.order())):
        return graph
    return graph.rewrite(lambda value, operands: value.builder.const(SINGLE) if _is_bound(value) else None)


def _is_bound(value: Value) -> bool:
    return value.op == "const" and isinstance(value.attr, Bound)
