"""What one pass over the samples computes again and uses at once: a number there, though another pass keeps arrays."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gradcompile.ir import Value
from gradcompile.schedule.nodes import (
    Define,
    Loop,
    Plan,
    Product,
    Result,
    Statement,
    Update,
    conditions_of,
    exponent_axis,
    placed,
    right_side,
)


class _Uses(NamedTuple):
    """What a statement uses: arrays at its own indices, and others of which it reads elements at other places."""

    own: set[Value]
    others: set[Value]


def used_at_once(plan: Plan, block: Loop) -> dict[Loop, list[Value]]:
    """Return the arrays of a block that a loop computes and nothing outside of it uses, by the loop."""
    statements = list(placed(block.body))
    uses = [(path, _used(plan, statement)) for path, statement in statements]
    changed = Counter(each.target for _, each in statements if isinstance(each, Define | Update | Product))
    found: dict[Loop, list[Value]] = {}
    for path, statement in statements:
        if not path or not isinstance(statement, Define) or not _is_array(plan, statement.target):
            continue
        value = statement.target
        whole = {*plan.stored[value]} <= {loop.axis for loop in path} and changed[value] == 1
        inside = all(path[-1] in around for around, used in uses if value in used.own)
        if whole and inside and not any(value in used.others for _, used in uses):
            found.setdefault(path[-1], []).append(value)
    return found


def _is_array(plan: Plan, value: Value) -> bool:
    """Return whether a value is an array of a block: no copy of data, and none of whose elements makes the next."""
    return value in plan.blocked and bool(plan.stored[value]) and value.op != "input" and exponent_axis(value) is None


def _used(plan: Plan, statement: Statement) -> _Uses:
    guard = None if isinstance(statement, Result) else plan.guards.get(statement.target)
    stack, found = [*right_side(statement), *conditions_of(guard)], _Uses(set(), set())
    if isinstance(statement, Define) and statement.expression.op == "read":
        found.others.add(statement.expression.operands[0])
    while stack:
        value = stack.pop()
        if value in plan.stored:
            found.own.add(value)
        elif value.op == "read" and value.operands[0] in plan.stored:
            found.others.add(value.operands[0])
            stack.extend(value.operands[1:])
        else:
            stack.extend(value.operands)
    return found
