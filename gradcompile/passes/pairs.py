"""One exponential for two of which the larger has been taken out: of ``u - max(u, v)`` and ``v - max(u, v)``, one is 0.

Done after differentiation, of values and of slopes. Exponents behind masks, whose shift is that of no term where all
are masked, stay as they are: to tell costs as much as an exponential.
"""

from __future__ import annotations

from collections import Counter

from gradcompile.ir import Graph, Value


def pairs(graph: Graph) -> Graph:
    """Return the graph with two exponentials, whose exponents have the larger one taken out, made of one."""
    shifts = {value: value.operands[0].operands[1] for value in graph.order() if _is_shifted(value)}
    counts = Counter(shifts.values())
    if 2 not in counts.values():
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return _chosen(*operands[0].operands) if value in shifts and counts[shifts[value]] == 2 else None

    return graph.rewrite(rule)


def _is_shifted(value: Value) -> bool:
    """Return whether a value is an exponential of one of two exponents less the larger of them."""
    if value.op != "exp" or value.operands[0].op != "sub":
        return False
    exponent, shift = value.operands[0].operands
    return shift.op == "maximum" and exponent in shift.operands


def _chosen(exponent: Value, shift: Value) -> Value:
    """Return such an exponential: 1, or that of the smaller exponent."""
    apply, (one, other) = shift.builder.apply, shift.operands
    less = apply("lt", one, other)
    low = apply("exp", apply("select", less, one, other) - shift)
    return apply("select", less, *((low, 1) if exponent is one else (1, low)))
