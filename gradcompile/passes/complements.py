"""What is left of a limit in slopes: the slope ``s*(1 - s)`` of a sigmoid s, ``y + 1`` of y = exp(x) - 1.

Where s is near 1 that is mostly rounding, and 0 beyond x = 37, while it is ``s*sigmoid(-x)``, which is made of the
same exponential; and ``y + 1`` is exp(x). In a layer, whose x are sums over an axis, s and y are kept, and x is not:
there to compute an exponential again would cost more than what is rounded away in a slope is worth. So it would for
tanh, whose slope is one of another function.

The slope of ``(1 + z)**k`` in k is that power times ``log1p(z)``.
"""

from __future__ import annotations

from gradcompile.ir import Graph, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.uses import as_written

DEEPEST = 6  # operations inside of one another that are looked through
ARITHMETIC = ("add", "sub", "neg", "mul", "div", "select", "read", "real")


def complements(graph: Graph) -> Graph:
    """Return the graph with what is left of a limit by a function that does not cancel.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    if not any(value.op in ("sigmoid", "expm1", "pow") for value in graph.order()):
        return graph
    written = as_written(graph)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        made = LEFT[value.op](*operands) if value.op in LEFT else None
        return _log(*operands) if value.op == "log" and value not in written else made

    return graph.rewrite(rule)


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


def _log(x: Value) -> Value | None:
    """Return ``log(1 + z)`` as ``log1p(z)``."""
    for one, other in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        if one.is_const(1):
            return x.builder.apply("log1p", other)
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
