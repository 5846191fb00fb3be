"""Where a number stands: ``2*(x/y)`` is ``2*x/y``, and ``2*x*y`` is ``2*(x*y)`` where ``x*y`` is computed anyway.

Slopes get their numbers from powers and means, each in its own place; here one product has one form.
"""

from __future__ import annotations

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import factored, scaled
from gradcompile.passes.uses import Uses, rewrite_used


def coefficients(graph: Graph) -> Graph:
    """Return the graph with numbers above the bar of a quotient, and before products that are computed anyway.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    computed = set(graph.order())

    def rule(value: Value, uses: Uses) -> Value:
        number, rest = factored(value) if value.op == "mul" else (1, None)
        if number == 1 or rest is None:
            return value
        if rest.op == "div" and rest in uses.own:
            above, below = rest.operands
            return scaled(above, number, above) / below
        return number * rest if rest.op == "mul" and rest in computed else value

    return rewrite_used(graph, rule)
