"""A small random problem for the self-check of a module: a shape for every argument, a range for every label."""

from __future__ import annotations

from collections.abc import Container

from gradcompile.arguments.labels import LabelRange, label_ranges
from gradcompile.ir import Graph, Size, free_axes

LENGTHS = (5, 3, 4, 2)  # of the named sizes, by turns: no two neighbours alike
FREE = 3  # labels below this where nothing limits them
TRIES = 40


def problem(graph: Graph) -> list[tuple[str, tuple[int, ...], int]]:
    """Return (name, shape, number of labels or 0) for every input, with sizes at which no axis is empty."""
    sizes = _sizes(graph)
    labels = {name: FREE for name, declared in graph.inputs.items() if declared.kind == "int"}
    for limit in label_ranges(graph):
        if isinstance(limit, LabelRange):
            labels[limit.name] = min(labels[limit.name], limit.limits(sizes)[1] + 1)
        else:
            labels = dict.fromkeys(labels, 1)
    return [
        (name, tuple(size.evaluate(sizes) for size in declared.shape), max(labels[name], 1) if name in labels else 0)
        for name, declared in graph.inputs.items()
    ]


def _sizes(graph: Graph) -> dict[str, int]:
    """Return a length for each named size, longer ones where an axis such as ``N - K`` would be empty."""
    needed = [size for declared in graph.inputs.values() for size in declared.shape]
    needed += [axis.size for axis in free_axes(graph.order())]
    names = sorted({name for size in needed for name, _ in size.terms})
    sizes = {name: LENGTHS[k % len(LENGTHS)] for k, name in enumerate(names)} | dict(graph.known)
    for _ in range(TRIES):
        short = next((size for size in needed if size.evaluate(sizes) < 1), None)
        if short is None:
            break
        _lengthen(short, sizes, graph.known)
    return sizes


def _lengthen(size: Size, sizes: dict[str, int], known: Container[str]) -> None:
    for name, count in size.terms:
        if count > 0 and name not in known:
            sizes[name] += 1
