"""What an operation costs, in units of an addition."""

from __future__ import annotations

from gradcompile.ir import LEAVES, Value
from gradcompile.passes.fold import exact

ELEMENTARY = 20  # operations that exp and its like count as
COSTS = {"div": 4, "sqrt": 4, "accumulate": 2}
SMALL_POWERS = (2, 3, 4)
PLAIN = (
    "add sub mul neg abs sign select maximum minimum real floor place not and or eq ne lt le gt ge read "
    "sum max min prod"
).split()


def cost(value: Value) -> int:
    """Return the operations that one element of a value counts as."""
    if value.op in LEAVES:
        return 0
    if value.op == "pow" and exact(value.operands[1]) in SMALL_POWERS:
        return 2  # products
    return COSTS.get(value.op) or (1 if value.op in PLAIN else ELEMENTARY)
