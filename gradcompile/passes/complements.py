"""What is left of a limit in slopes: the slope ``s*(1 - s)`` of a sigmoid s, ``y + 1`` of y = exp(x) - 1.

Where s is near 1 that is mostly rounding, and 0 beyond x = 37, while it is ``s*sigmoid(-x)``, which is made of the
same exponential; and ``y + 1`` is exp(x). In a layer, whose x are sums over an axis, s and y are kept, and x is not:
there to compute an exponential again would cost more than what is rounded away in a slope is worth. So it would for
tanh, whose slope is one of another function.
"""

from __future__ import annotations

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import negated

DEEPEST = 6  # operations inside of one another that are looked through
ARITHMETIC = ("add", "sub", "neg", "mul", "div", "select", "read", "real")


def complements(graph: Graph) -> Graph:
    """Return the graph with what is left of a limit by a function that does not cancel.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    if not any(value.op in ("sigmoid", "expm1") for value in graph.order()):
        return graph
    return graph.rewrite(lambda value, operands: LEFT[value.op](*operands) if value.op in LEFT else None)


def _less(one: Value, other: Value) -> Value | None:
    """Return ``1 - sigmoid(x)`` as ``sigmoid(-x)``."""
    if one.is_const(1) and other.op == "sigmoid" and not _is_sum(x := other.operands[0]):
        return x.builder.apply("sigmoid", negated(x))
    return None


def _plus(a: Value, b: Value) -> Value | None:
    """Return ``expm1(x) + 1`` as ``exp(x)``."""
    for one, other in ((a, b), (b, a)):
        if one.is_const(1) and other.op == "expm1" and not _is_sum(x := other.operands[0]):
            return x.builder.apply("exp", x)
    return None


LEFT = {"sub": _less, "add": _plus}


def _is_sum(x: Value) -> bool:
    """Return whether a value is that of a layer: a sum over an axis, and what is added to it."""
    level = [x]
    for _ in range(DEEPEST):
        if any(value.op == "sum" for value in level):
            return True
        level = list(dict.fromkeys(o for value in level if value.op in ARITHMETIC for o in value.operands))
    return False
