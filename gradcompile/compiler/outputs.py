"""Graphs of one output each, with the inputs that it needs and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gradcompile.ir import Axis, Graph, Input, Size


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
    axes = {"value": graph.output_axes(output)}
    needed = tuple(requirement for requirement in graph.requirements if output in requirement.outputs)
    single = replace(graph, outputs={"value": graph.outputs[output]}, axes=axes, requirements=needed, wrt=())
    mentioned = _mentioned(single)
    return replace(single, inputs=_sized(graph, single, {n: i for n, i in graph.inputs.items() if n in mentioned}))


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
    axes.update(axis for name in graph.outputs for axis in graph.output_axes(name))
    return _names([*(axis.size for axis in axes), *(value.attr for value in values if value.op == "size")])


def _names(sizes: Iterable[Size]) -> set[str]:
    return {name for size in sizes for name, _ in size.terms}
