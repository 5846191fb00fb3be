"""Rotations: what is added at neighbours on a ring is read from the neighbours on the other side.

The slope of ``u[mod(i + 1, N)]`` is added to the element after each i; so each element takes what the one before it
has. Both are the same sums. But what is read is part of one formula, where each addition is a pass of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from gradcompile.ir import Axis, Graph, Value


class Turn(NamedTuple):
    """An index that passes an axis once, from some element on and from the last to the first.

    Parameters
    ----------
    own : Axis
        That of the index.
    by : int
        Where it begins.
    """

    own: Axis
    by: int


def rotations(graph: Graph) -> Graph:
    """Return the graph with accumulations at rotated indices as reads that are rotated back."""
    if not any(v.op == "mod" and v.kind == "int" for v in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return _read(operands[0], operands[1:], value.attr) if value.op == "accumulate" else None

    return graph.rewrite(rule)


def _read(value: Value, indices: tuple[Value, ...], axes: tuple[Axis, ...]) -> Value | None:
    """Return what an accumulation adds up as a read; None if its indices are no rotations."""
    builder, places = value.builder, dict[Axis, Value]()
    for axis, index in zip(axes, indices, strict=True):
        turn = _turn(index, axis)
        if turn is None or turn.own in places:
            return None
        place = builder.iota(axis)
        back = place - turn.by if turn.by > 0 else place + -turn.by
        places[turn.own] = builder.apply("mod", back, builder.size(axis.size)) if turn.by else place
    return builder.read(value, [places[a] for a in value.axes]) if set(value.axes) == set(places) else None


def _turn(index: Value, axis: Axis) -> Turn | None:
    """Return which rotation of an axis an index is, if it is one."""
    if index.op == "mod" and index.operands[1] is index.builder.size(axis.size):
        own, by = _shifted(index.operands[0])
    else:
        own, by = index, 0
    return Turn(own.attr, by) if own.op == "iota" and own.attr.size == axis.size else None


def _shifted(index: Value) -> tuple[Value, int]:
    """Return an index without a whole number that is added to it, and that."""
    if index.op in ("add", "sub"):
        one, other = index.operands
        if other.op == "const":
            return one, other.attr if index.op == "add" else -other.attr
        if one.op == "const" and index.op == "add":
            return other, one.attr
    return index, 0
