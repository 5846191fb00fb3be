"""What is compared with its own maximum, and computed where it is and again where it is compared.

LLVM may round the two in different ways, if it may rearrange: then nothing is equal to the maximum, and its derivative
is lost. What is computed once and kept, as most of it is, or in one step, cannot differ.
"""

from __future__ import annotations

from collections import Counter

from gradcompile.ir import Graph, Value
from gradcompile.schedule.nodes import Define, Plan, Result, all_statements
from gradcompile.schedule.planner import plan
from gradcompile.schedule.samples import compared
from gradcompile.schedule.statements import is_recomputed


def must_round_alike(graph: Graph) -> bool:
    """Return whether what is compared with its own maximum, or minimum, is computed several times."""
    return bool(compared(graph.order())) and computed_again(plan(graph))


def computed_again(schedule: Plan) -> bool:
    """Return the same of a schedule."""
    found = [value for value, _ in compared(schedule.graph.order())]
    times = _times(schedule) if found else {}
    return any(times.get(value, 0) != 1 and not _is_exact(value) for value in found)


def _times(schedule: Plan) -> dict[Value, int]:
    """Return how often each value is computed that has statements: of a sum, how often one of its terms is added."""
    parts = Counter(
        (each.target, None if isinstance(each, Define) else each.term)
        for each in all_statements(schedule.body)
        if not isinstance(each, Result)
    )
    found: dict[Value, int] = {}
    for (value, _), count in parts.items():
        found[value] = max(found.get(value, 0), count)
    return found


def _is_exact(value: Value) -> bool:
    """Return whether a value is an argument, or one operation of some: it is rounded once."""
    return value.op == "input" or (value.op != "neg" and is_recomputed(value))
