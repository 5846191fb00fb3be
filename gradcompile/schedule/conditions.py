"""Conditions: which of them bound a loop, and under which a value is needed at all."""

from __future__ import annotations

from gradcompile.ir import Axis, Graph, Value
from gradcompile.schedule.nodes import Bounds

Guard = frozenset[tuple[Value, bool]]  # conditions, and whether each must hold


def guards(graph: Graph) -> dict[Value, Guard]:
    """Return, for each value that only branches use, the conditions that hold wherever it is used.

    A target whose functions raise outside their domain (pure Python) must not evaluate such a value elsewhere.
    """
    order = graph.order()
    found: dict[Value, Guard] = {value: frozenset() for value in graph.outputs.values()}
    for value in reversed(order):
        mine = found.get(value, frozenset())
        for k, operand in enumerate(value.operands):
            taken = mine | {(value.operands[0], k == 1)} if value.op == "select" and k else mine
            found[operand] = found[operand] & taken if operand in found else taken
    own = {v: frozenset(g for g in guard if set(g[0].axes) <= set(v.axes)) for v, guard in found.items()}
    return {value: guard for value, guard in own.items() if guard}


def index_bounds(condition: Value, order: list[Axis]) -> dict[Axis, Bounds] | None:
    """Return the bounds of the inner loop that stand for a comparison of two indices, or None."""
    if condition.op not in ("lt", "le", "gt", "ge") or any(o.op != "iota" for o in condition.operands):
        return None
    left, right = condition.operands
    if left.attr == right.attr:
        return None
    low, high, strict = (
        (left, right, condition.op == "lt") if condition.op in ("lt", "le") else (right, left, condition.op == "gt")
    )
    inner = max(low.attr, high.attr, key=order.index)
    if inner == high.attr:  # i > j: the inner index starts behind the outer one
        return {inner: (low + 1 if strict else low, None)}
    slack = inner.size - high.attr.size + (1 if strict else 0)
    if slack.terms or slack.constant < 0:
        return None
    return {inner: (None, high if strict else high + 1)}
