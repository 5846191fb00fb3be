"""Parameters laid out as the steps want them: transposed once before training and back after it, not in every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from gradcompile.ir import Axis, Graph, Value
from gradcompile.schedule import plan

T = TypeVar("T")
Order = tuple[int, ...]  # the axes of an array, by their numbers, in another order


def wanted_orders(graph: Graph) -> dict[str, Order]:
    """Return the parameters that the schedule of a graph lays out in another order than they are declared in.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    orders: dict[str, Order] = {}
    for value, axes in plan(graph).layout.items():
        if value.op == "input" and value.attr in graph.wrt and len(set(graph.inputs[value.attr].shape)) == len(axes):
            orders[value.attr] = tuple(value.axes.index(axis) for axis in axes)
    return orders


def reordered(graph: Graph, orders: Mapping[str, Order]) -> Graph:
    """Return a graph whose parameters are declared with their axes in another order; it means the same.

    Parameters
    ----------
    graph : Graph
        Without a backward half.
    orders : mapping of str to tuple of int
        Parameters whose axes have different sizes, and the order of their axes.
    """
    inputs = dict(graph.inputs)
    for name, order in orders.items():
        inputs[name] = replace(inputs[name], shape=_permuted(inputs[name].shape, order))

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "input" and value.attr in orders:
            axes: tuple[Axis, ...] = _permuted(value.axes, orders[value.attr])
            return graph.builder.input(value.attr, axes, value.kind)
        array = value.operands[0] if value.op == "read" else None
        if array is not None and array.op == "input" and array.attr in orders:
            return graph.builder.read(operands[0], _permuted(operands[1:], orders[array.attr]))
        return None

    return replace(graph.rewrite(rule), inputs=inputs)


def _permuted(items: tuple[T, ...], order: Order) -> tuple[T, ...]:
    return tuple(items[k] for k in order)
