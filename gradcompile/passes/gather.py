"""Gather placement: where an index that is data is applied.

``y[s, gt[s]]`` is written with the index at the leaves, as a sum over rows of W that labels pick. Where the full ``y``
is computed anyway, picking one of its elements is free: the value becomes a read of ``y``. Where it is not, a read
sinks to the leaves: a row of an embedding is read, not the table multiplied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, substitute
from gradcompile.passes.share import is_renaming, is_window


def gather(graph: Graph) -> Graph:
    """Return the graph with every data index where it costs least."""
    if not any(value.op == "read" for value in graph.order()):
        return graph
    return _part(_lift(_sink(graph)))


def _sink(graph: Graph) -> Graph:
    """Move the reads of a computed array to its leaves, if nothing else needs the array."""
    uses = Counter(o for value in graph.order() for o in _whole_uses(value))
    kept = set(graph.outputs.values()) | {value for value, count in uses.items() if count} | _read_twice(graph)
    kept |= {v.operands[0] for v in graph.order() if is_renaming(v) and v.operands[0] in graph.names}
    kept |= {v.operands[0] for v in graph.order() if is_window(v)}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "read" or operands[0].op in ("input", "accumulate") or value.operands[0] in kept:
            return None
        array, *indices = operands
        return substitute([array], dict(zip(array.axes, indices, strict=True)))[array]

    return graph.rewrite(rule)


def _read_twice(graph: Graph) -> set[Value]:
    """Return the arrays that are read under two namings of their axes: they are computed once."""
    namings = Counter(v.operands[0] for v in graph.order() if v.op == "read" and is_renaming(v))
    return {array for array, count in namings.items() if count > 1}


def _whole_uses(value: Value) -> Iterable[Value]:
    return value.operands[1:] if value.op == "read" else value.operands


def _lift(graph: Graph) -> Graph:
    """Turn a value with a data index at its leaves into a read of the full value, if that is computed anyway."""
    order = graph.order()
    computed = set(order)
    lifted: dict[Value, Value] = {}
    for index in _data_indices(order):
        for axis in _axes_read(order, index):
            for value, full in _abstracted(order, index, axis).items():
                if full in computed and full is not value and value not in lifted and value.op not in ("read", "iota"):
                    builder = value.builder
                    lifted[value] = builder.read(full, [index if a == axis else builder.iota(a) for a in full.axes])

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return lifted.get(value)

    return graph.rewrite(rule) if lifted else graph


CHEAP = ("add", "sub", "mul", "neg")


def _part(graph: Graph) -> Graph:
    """Read the operands of a cheap operation and not its result, so that the result need not be kept as an array."""
    uses = Counter(o for value in graph.order() for o in _whole_uses(value))
    kept = set(graph.outputs.values()) | set(graph.names)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "read":
            return None
        array, *indices = operands
        cheap = array.op in CHEAP and uses[value.operands[0]] <= 1 and value.operands[0] not in kept
        return _read_operands(array, indices) if cheap else None

    return graph.rewrite(rule)


def _read_operands(array: Value, indices: list[Value]) -> Value:
    builder, index = array.builder, dict(zip(array.axes, indices, strict=True))
    return builder.apply(
        array.op, *(builder.read(o, [index[a] for a in o.axes]) if o.axes else o for o in array.operands)
    )


def _data_indices(values: list[Value]) -> list[Value]:
    """Return the index values that come from data and not from an axis."""
    indices = (i for value in values if value.op == "read" for i in value.operands[1:])
    return list(dict.fromkeys(i for i in indices if i.op in ("input", "read")))


def _axes_read(values: list[Value], index: Value) -> list[Axis]:
    """Return the axes over which a full value may stand in for `index`: one for each size that it reads."""
    sizes = [
        axis.size
        for value in values
        if value.op == "read"
        for axis, i in zip(value.operands[0].axes, value.operands[1:], strict=True)
        if i is index
    ]
    axes = dict.fromkeys(axis for value in values for axis in value.axes if axis.size in sizes)
    return [axis for axis in axes if axis not in index.axes]


def _binds(value: Value, index: Value) -> bool:
    """Return whether a value takes all that an index points at, and not one element: it is not one of a full value."""
    reduced = value.op in REDUCTIONS and any(axis in index.axes for axis in value.attr)
    return reduced or value.op in ("accumulate", *MATRIX_FUNCTIONS)


def _abstracted(values: list[Value], index: Value, axis: Axis) -> dict[Value, Value]:
    """Return each value that reads at `index`, with `axis` in place of the index."""
    new: dict[Value, Value] = {}
    for value in values:
        operands = tuple(new.get(o, o) for o in value.operands)
        if value.op == "read":
            sizes = (a.size for a in value.operands[0].axes)
            places = zip(value.operands[1:], sizes, strict=True)
            iota = value.builder.iota(axis)
            operands = (value.operands[0], *(iota if i is index and size == axis.size else i for i, size in places))
        if operands != value.operands and axis not in value.axes and not _binds(value, index):
            new[value] = value.builder.rebuild(value, operands)
    return new
