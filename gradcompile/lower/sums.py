"""Sums, products, maxima and minima over indices: each limit is an axis, each triangle a mask."""

from __future__ import annotations

from typing import Any

from gradcompile.errors import IndexRangeError, UnsupportedError
from gradcompile.ir import Axis, Value

from .indices import bind_range
from .places import shown
from .state import Ask, Rule, State, Steps

EMPTY: dict[str, int | float] = {"sum": 0, "prod": 1, "max": float("-inf"), "min": float("inf")}


def reduction(op: str) -> Rule:
    """Return the rule for a reduction over the limits of an expression, the last limit outermost."""

    def rule(state: State, ask: Ask) -> Steps:
        body, scope, axes, masks = ask.expr.function, ask.scope, [], []
        own = _indices(ask)
        taken = state.free_axes(body, scope, without=own) | state.free_axes(ask.expr, scope)
        for limit in reversed(ask.expr.limits):
            bound = bind_range(state, limit, scope, taken, body)
            for row, end in bound.cuts:
                masks.append(state.builder.apply(row, bound.binding.value, (yield Ask(end, scope))))
            scope = scope.bind(limit[0], bound.binding)
            axes.append(bound.axis)
            taken.add(bound.axis)
        if any(axis.size.terms == () and axis.size.constant == 0 for axis in axes):
            return _empty(state, op, ask)
        value = yield Ask(body, scope)
        return state.builder.reduce(op, _masked(state, masks, value, op), axes)

    return rule


def _indices(ask: Ask) -> list[Any]:
    """Return the indices of a reduction, each with one range."""
    indices = [limit[0] for limit in ask.expr.limits]
    for k, limit in enumerate(ask.expr.limits):
        if limit[0] in indices[:k]:
            raise IndexRangeError(
                f"the index {limit[0]} has two ranges",
                **shown(ask.scope.root, limit),
                expected="one range for each index",
                hint="give one of the two another letter",
            )
    return indices


def _empty(state: State, op: str, ask: Ask) -> Value:
    """Return what is left of a range without elements."""
    if op in ("max", "min"):
        raise UnsupportedError(
            f"there is no {op}imum of nothing",
            **shown(ask.scope.root, ask.expr),
            expected="a range with an element",
            hint="correct the ends of the range",
        )
    return state.builder.const(EMPTY[op])


def _masked(state: State, masks: list[Value], value: Value, op: str) -> Value:
    """Leave out the points of the box that do not belong to the range."""
    for mask in reversed(masks):
        value = state.apply("select", mask, value, state.builder.const(EMPTY[op]))
    return value


def total(state: State, value: Value, axis: Axis) -> Value:
    """Sum over an axis; a sum of a sum is one sum over both axes."""
    if value.op == "sum" and axis in value.axes:
        return state.builder.reduce("sum", value.operands[0], (*value.attr, axis))
    return state.builder.reduce("sum", value, [axis])
