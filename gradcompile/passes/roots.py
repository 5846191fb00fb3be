"""Powers of halves as roots: ``x**(3/2)`` is ``x*sqrt(x)``, an eighth of the cost, and its slope has the same root.

Done after differentiation: at 0, the slope of a root is infinite, and of a product with one it would be nan.
"""

from __future__ import annotations

from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact

HALF = Fraction(1, 2)
LARGEST = 8  # beyond it, a product of so many factors rounds more than a power does


def roots(graph: Graph) -> Graph:
    """Return the graph with powers whose exponent is a whole number and a half as products with a root."""
    if not any(value.op == "pow" for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        number = exact(operands[1]) if value.op == "pow" else None
        if number is None or number.denominator != 2 or not -LARGEST < number < LARGEST:
            return None
        power = _product(operands[0], int(abs(Fraction(number)) - HALF))
        return power if number > 0 else 1 / power

    return graph.rewrite(rule)


def _product(base: Value, whole: int) -> Value:
    """Return base**(whole + 1/2)."""
    root = base.builder.apply("sqrt", base)
    return root if whole == 0 else (base if whole == 1 else base**whole) * root
