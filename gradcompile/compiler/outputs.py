"""Graphs of one output each, with the inputs that it needs and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradcompile.ir import Axis, Graph, Input, Size

Array = np.ndarray[Any, np.dtype[Any]]


def without_outputs(graph: Graph) -> Graph:
    """Return the graph of the objective alone; an input that only an output needs is not one of it.

    Parameters
    ----------
    graph : Graph
        A lowered graph: its output ``value`` is the objective, the others are what the user named.
    """
    objective = replace(graph, outputs={"value": graph.outputs["value"]})
    others = replace(graph, outputs={name: value for name, value in graph.outputs.items() if name != "value"})
    needed = {*_mentioned(objective), *graph.wrt}
    wanted = {name: i for name, i in graph.inputs.items() if name in needed or name not in _mentioned(others)}
    return replace(objective, inputs=_sized(graph, objective, wanted))


def alone(graph: Graph, output: str) -> Graph:
    """Return the graph of one output, under the name ``value``, with what it needs of the inputs."""
    single = replace(graph, outputs={"value": graph.outputs[output]}, requirements=(), wrt=())
    mentioned = _mentioned(single)
    return replace(single, inputs=_sized(graph, single, {n: i for n, i in graph.inputs.items() if n in mentioned}))


def delivered(result: Array, axes: Sequence[Axis], wanted: Sequence[Axis], sizes: Mapping[str, int]) -> Array:
    """Return an array whose dimensions are `axes` with the dimensions `wanted`, for passes do not keep their order.

    Parameters
    ----------
    result : ndarray
        Its dimensions are `axes`.
    axes, wanted : sequence of Axis
        `wanted` may have further ones, along which the output is the same.
    sizes : mapping of str to int
        The named sizes.
    """
    ordered = result.transpose([axes.index(axis) for axis in wanted if axis in axes])
    spread = ordered.reshape([axis.size.evaluate(sizes) if axis in axes else 1 for axis in wanted])
    return np.ascontiguousarray(np.broadcast_to(spread, [axis.size.evaluate(sizes) for axis in wanted]))


def _mentioned(graph: Graph) -> set[str]:
    return {value.attr for value in graph.order() if value.op == "input"}


def _sized(graph: Graph, part: Graph, inputs: Mapping[str, Input]) -> dict[str, Input]:
    """Return `inputs`, in call order, with further ones that tell the sizes of `part` that these do not."""
    chosen = dict(inputs)
    for declared in graph.inputs.values():
        told = _names(size for i in chosen.values() for size in i.shape)
        if _names(declared.shape) & (_sizes(part) - told):
            chosen[declared.name] = declared
    return {name: declared for name, declared in graph.inputs.items() if name in chosen}


def _sizes(graph: Graph) -> set[str]:
    """Return the names of the sizes on which the values of a graph depend."""
    values = graph.order()
    axes: set[Axis] = {axis for value in values for axis in value.axes}
    return _names([*(axis.size for axis in axes), *(value.attr for value in values if value.op == "size")])


def _names(sizes: Iterable[Size]) -> set[str]:
    return {name for size in sizes for name, _ in size.terms}
