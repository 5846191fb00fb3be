"""Norms and means of an order r that is no number, ``Sum(x[i]**r, i)**(1/r)``: each power may overflow, or all be 0.

So the largest x is taken out of all powers, or the smallest where r is negative. What it is does not matter for the
whole, and so no derivative passes by it.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

from gradcompile.ir import Axis, Graph, Value
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.quotients import factors, is_variable, replaced
from gradcompile.passes.variable_powers import MANY, terms


class Order(NamedTuple):
    """The sign and the size of an exponent ``r``, or ``-r``; what is divided by it, if it is ``k/r``."""

    sign: int
    size: Value
    above: Value


def orders(graph: Graph) -> Graph:
    """Return the graph with powers of sums of powers that do not overflow."""
    if sum(map(is_variable, graph.order())) < 2:
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "gt" and operands[1].is_const(0) and operands[0].op == "add":
            return _is_positive(operands[0])
        return _scaled(*operands) if value.op == "pow" else None

    return graph.rewrite(rule)


def _scaled(total: Value, exponent: Value) -> Value | None:
    """Return ``(w*x**r + v*y**r)**(k/r)`` as ``m**k*(w*(x/m)**r + v*(y/m)**r)**(k/r)``."""
    whole = _signed(exponent)
    if whole.size.op != "div":
        return None
    order = Order(whole.sign, whole.size.operands[1], whole.size.operands[0])
    axes: tuple[Axis, ...] = total.attr if total.op == "sum" else ()
    parts = [(1, total.operands[0])] if axes else terms(total) if total.op in ("add", "sub") else []
    powers = [_power(part, order.size, axes) for _, part in parts]
    if not powers or len(powers) > MANY or None in powers:
        return None
    found = [power for power in powers if power is not None]
    if (len(found) == 1 and not axes) or len({power.operands[1] for power in found}) > 1:
        return None
    scale = _scale(found, axes)
    inside = total.builder.const(0)
    for (sign, part), power in zip(parts, found, strict=True):
        term = _with(part, power, (power.operands[0] / scale) ** power.operands[1])
        inside = (term if sign > 0 else -term) if inside.is_const(0) else inside + term if sign > 0 else inside - term
    made = (total.builder.reduce("sum", inside, axes) if axes else inside) ** exponent
    taken = scale if order.above.is_const(1) else scale**order.above
    return made * taken if order.sign * _signed(found[0].operands[1]).sign > 0 else made / taken


def _is_positive(total: Value) -> Value | None:
    """Return whether ``x**r + y**r`` of distances is above 0, which the powers may not be where x or y is."""
    powers = [value for _, value in terms(total)]
    if not all(is_variable(each) and not_negative(each.operands[0]) for each in powers):
        return None
    apply = total.builder.apply
    return apply("gt", reduce(lambda a, b: apply("maximum", a, b), (each.operands[0] for each in powers)), 0)


def _signed(exponent: Value) -> Order:
    sign, one = 1, exponent.builder.const(1)
    while exponent.op == "neg":
        sign, exponent = -sign, exponent.operands[0]
    return Order(sign, exponent, one)


def _power(term: Value, order: Value, axes: tuple[Axis, ...]) -> Value | None:
    """Return the factor of a term that is a power of this order; None if there is another power, or none."""
    inner = term
    while inner.op in ("neg", "div"):
        inner = inner.operands[0]
    found = [factor for factor in factors(inner) if is_variable(factor)]
    if len(found) != 1 or {*found[0].operands[1].axes} & {*axes}:
        return None
    return found[0] if _signed(found[0].operands[1]).size is order else None


def _with(term: Value, old: Value, new: Value) -> Value:
    """Return a term with another factor in the place of one."""
    if term.op == "neg":
        return -_with(term.operands[0], old, new)
    if term.op == "div":
        return _with(term.operands[0], old, new) / term.operands[1]
    return replaced(term, old, new)


def _scale(powers: list[Value], axes: tuple[Axis, ...]) -> Value:
    """Return what is taken out of all powers, which is 1 where it would be 0 or infinite."""
    apply, reduced = powers[0].builder.apply, powers[0].builder.reduce
    sizes = [base if not_negative(base) else apply("abs", base) for base in (power.operands[0] for power in powers)]
    high = reduce(lambda a, b: apply("maximum", a, b), sizes)
    low = reduce(lambda a, b: apply("minimum", a, b), sizes)
    if axes:
        high, low = reduced("max", high, axes), reduced("min", low, axes)
    scale = apply("select", apply("gt", powers[0].operands[1], 0), high, low)
    is_number = apply("and", apply("gt", scale, 0), apply("lt", scale, math.inf))
    return apply("detach", apply("select", is_number, scale, 1))
