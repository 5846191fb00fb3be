"""Renumbering: a sum over samples runs along the first axis of their number that is free.

``Σ_m x[m, j]*d[m, k]`` where nothing depends on n is ``Σ_n x[n, j]*d[n, k]``: a sum over samples like all others, which
one loop over them computes.
"""

from __future__ import annotations

from gradcompile.ir import REDUCTIONS, Graph, Value, fresh_axis
from gradcompile.passes.share import sample_sizes
from gradcompile.substitution import moved


def renumber(graph: Graph) -> Graph:
    """Return the graph with sums over samples along the first axis that is free, where they are matrices."""
    samples = sample_sizes(graph)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op not in REDUCTIONS or len(value.axes) < 2:
            return None
        (body,), axes = operands, list(value.attr)
        for place, axis in enumerate(axes):
            free = fresh_axis(axis, body.axes)
            if axis.size in samples and axis in body.axes and free.number < axis.number:
                body = moved(body, {axis: body.builder.iota(free)})
                axes[place] = free
        return None if body is operands[0] else value.builder.reduce(value.op, body, axes)

    return graph.rewrite(rule)
