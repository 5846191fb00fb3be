"""Patterns that are unstable, and what takes their place: a row for each, tried from the top of a table.

A row has a pattern, its rewrite, why, and a proof: both sides as text, which a test evaluates at 50 digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gradcompile.ir import Value
from gradcompile.passes.exponentials import Forms

Interval = tuple[float, float]
LOGITS: Interval = (-1e4, 1e4)
SMALL, POSITIVE, UNIT = (-1.0, 1.0), (1e-3, 1e3), (-0.9, 0.9)

OVERFLOWS = "the exponential overflows, and so do its derivatives"
CANCELS = "the difference of what is nearly equal is mostly rounding"
UNDERFLOWS = "the product underflows to 0, whose logarithm is -inf"
NO_SLOPE = "at 0 a factor is infinite, or its slope, while the product is not"
FAR = 7  # of an exponent: exp(7) is 1097, and exp(-1097) is 0


class Row(NamedTuple):
    """One pattern.

    Parameters
    ----------
    op : str
        The operation that the pattern stands on.
    before, after : str
        The pattern and what takes its place, in x (and y), as text of the model language: the proof is that they are
        equal, which a test shows at 50 digits.
    rewrite : callable
        From the operands to the new value; None where the pattern does not match. With `forms`, it also gets what is
        known to be w*exp(u).
    why : str
        What goes wrong otherwise.
    domain : (low, high)
        Where both sides mean the same, and where errors are measured.
    forms : bool
        Whether the rewrite needs the forms.
    measured : str
        The pattern in x and y alone, where `before` has an array.
    """

    op: str
    before: str
    after: str
    rewrite: Callable[..., Value | None]
    why: str
    domain: Interval = LOGITS
    forms: bool = False
    measured: str = ""


Table = Mapping[str, tuple[Row, ...]]


def rewritten(value: Value, forms: Forms, table: Table) -> tuple[Row | None, Value]:
    """Return the first row of a table that matches, and what takes the place of the value."""
    for row in table.get(value.op, ()):
        result = row.rewrite(*value.operands, forms) if row.forms else row.rewrite(*value.operands)
        if result is not None and result is not value:
            return row, result
    return None, value
