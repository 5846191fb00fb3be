"""Powers of halves and thirds as roots: ``x**(3/2)`` is ``x*sqrt(x)``, an eighth of the cost, as is its slope.

A third needs a base that is not negative: of others, a power is nan and the cube root is not. With the sign of what it
is the absolute value of, a cube root is that of the number itself.

Done after differentiation: at 0, the slope of a root is infinite, and of a product with one it would be nan.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

from gradcompile.ir import Graph, Value
from gradcompile.passes.fold import exact
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.quotients import factors, replaced

LARGEST = 8  # beyond it, a product of so many factors rounds more than a power does


def roots(graph: Graph) -> Graph:
    """Return the graph with powers whose exponent is a multiple of a half or a third as products with a root."""
    if not any(value.op == "pow" for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "mul":
            return _signed(operands[0] * operands[1])
        number = exact(operands[1]) if value.op == "pow" else None
        if number is None or not -LARGEST < number < LARGEST:
            return None
        if number.denominator == 2 or (number.denominator == 3 and not_negative(operands[0])):
            power = _product(operands[0], abs(Fraction(number)))
            return power if number > 0 else 1 / power
        return None

    return graph.rewrite(rule)


def _product(base: Value, exponent: Fraction) -> Value:
    """Return a power with a positive exponent of halves or thirds."""
    whole, rest = divmod(exponent, 1)
    if rest.numerator == 1:
        root = base.builder.apply("sqrt" if exponent.denominator == 2 else "cbrt", base)
    else:
        root = base.builder.apply("cbrt", base.operands[0] if base.op == "abs" else base) ** 2
    return root if whole == 0 else (base if whole == 1 else base ** int(whole)) * root


def _signed(product: Value) -> Value | None:
    """Return a product with ``sign(x)*cbrt(abs(x))`` in it as one with cbrt(x)."""
    found = [factor for factor in factors(product) if factor.op in ("sign", "cbrt")]
    for sign, root in permutations(found, 2):
        if sign.op == "sign" and root.op == "cbrt" and _is_size(root.operands[0], sign.operands[0]):
            rest = replaced(product, sign, product.builder.const(1))
            return replaced(rest, root, product.builder.apply("cbrt", *sign.operands))
    return None


def _is_size(value: Value, of: Value) -> bool:
    return value.op == "abs" and value.operands[0] is of
