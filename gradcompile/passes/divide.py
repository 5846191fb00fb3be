"""Divisions taken out of loops: for compiled code that may use reciprocals (LLVM's ``arcp``), and for no other.

``Σ_s (x[s, j] - c[k, j])/n[s]`` is ``Σ_s (x[s, j] - c[k, j])*(1/n[s])``, with one division for each s. Where a divisor
is so small that its reciprocal is infinite the two differ; so they do where a branch is not taken in which pure Python
would not divide.
"""

from __future__ import annotations

from functools import reduce
from operator import mul

from gradcompile.ir import Graph, Number, Value
from gradcompile.passes.fold import exact


def divide_once(graph: Graph) -> Graph:
    """Return the graph with sums of quotients as sums of products with what is divided along fewer axes."""
    if not any(v.op == "div" for v in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "sum":
            return None
        body = operands[0]
        product = _divided_once(body.operands[0] if body.op == "neg" else body)
        if product is None:
            return None
        return value.builder.reduce("sum", -product if body.op == "neg" else product, value.attr)

    return graph.rewrite(rule)


def _divided_once(body: Value) -> Value | None:
    """Return a quotient, masked or not, as the product with what is divided where there are fewer axes."""
    if body.op == "select" and body.operands[2].is_const(0):
        condition, quotient, zero = body.operands
        product = _divided_once(quotient)
        return None if product is None else body.builder.apply("select", condition, product, zero)
    number, factors, below = _parts(body)
    if not below or not factors:
        return None
    return reduce(mul, factors) * (body.builder.const(number) / reduce(mul, below))


def _parts(body: Value) -> tuple[Number, list[Value], list[Value]]:
    """Return the number and the factors that a term multiplies, and what all of it is divided by.

    Only divisors that differ in some loops and not in all count: what has no axes, LLVM divides by once.
    """
    number: Number = 1
    factors, below, stack = list[Value](), list[Value](), [body]
    while stack:
        value = stack.pop()
        if value.op == "neg":
            number = -number
            stack.append(value.operands[0])
        elif (constant := exact(value)) is not None:
            number *= constant
        elif value.op == "mul":
            stack.extend(reversed(value.operands))
        elif value.op == "div" and set(value.operands[0].axes) == set(body.axes) > set(value.operands[1].axes) > set():
            stack.append(value.operands[0])
            below.append(value.operands[1])
        else:
            factors.append(value)
    return number, factors, below
