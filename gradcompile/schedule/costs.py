"""What an operation costs, in units of an addition."""

from __future__ import annotations

from gradcompile.ir import LEAVES, Value
from gradcompile.passes.fold import exact

ELEMENTARY = 20  # operations that exp counts as, and whatever is not in the table
# Measured: times of loops over arrays of float64 in the cache, where exp takes 20. A division and a square root
# take 25 and 40 alone, but little beside other operations.
COSTS = {
    "div": 4, "sqrt": 4, "accumulate": 2,
    "sinh": 30, "cosh": 30, "sigmoid": 35, "expm1": 35, "log": 40, "log1p": 40, "xlogx": 40, "xlogy": 40, "tanh": 40,
    "sech": 40, "hypot": 40, "sin": 50, "cos": 50, "atan": 50, "softplus": 60, "cbrt": 60, "tan": 70, "asin": 70,
    "acos": 70, "atan2": 70, "erf": 90, "erfc": 90, "atanh": 100, "asinh": 110, "polygamma": 120, "logcosh": 125,
    "erfcx": 125, "digamma": 130, "pow": 140, "lgamma": 150, "log1mexp": 160, "gamma": 240,
    "digammagap": 250, "lgammagap": 300, "lbeta": 600,
}  # fmt: skip
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
