"""Indices in place of the axes of a value, as ``y[s, i]`` becomes ``y[s, gt[s]]``."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, REDUCTIONS, Axis, Value, fresh_axis, reachable
from gradcompile.primitives import PRIMITIVES

Moved = dict[tuple[Value, frozenset[tuple[Axis, Value]]], Value]  # a value with indices in place of axes


def substitute(
    values: Iterable[Value],
    index: Mapping[Axis, Value],
    *,
    through: bool = False,
    whole: Container[Value] = (),
    known: Moved | None = None,
) -> dict[Value, Value]:
    """Return each value with indices put in place of axes, as ``y[s, i]`` becomes ``y[s, gt[s]]``.

    The indices sink to the leaves; reductions and arrays whose own axes they are stay as they are. With `through`
    they also sink into a computed array that is read along such an axis: of ``p[s, gt[s]]`` only the rows that the
    index picks are then computed, where otherwise all of ``p`` would be. Values in `whole` are computed and read. What
    reductions inside of one another have with other names for their axes is `known` once it has been made.
    """
    new: dict[Value, Value] = {}
    known = {} if known is None else known
    for value in reachable(values):
        if not any(axis in value.axes for axis in index):
            new[value] = value
        elif value.op == "iota":
            new[value] = index[value.attr]
        elif value.op in ("input", "accumulate", "running", *MATRIX_FUNCTIONS) or value in whole:
            builder = value.builder
            new[value] = builder.read(value, (index.get(a) or builder.iota(a) for a in value.axes))
        elif value.op in REDUCTIONS:
            new[value] = _substitute_reduction(value, new, index, known)
        elif value.op == "read" and through and _reads_along(value, index):
            new[value] = _substitute_through(value, new, index)
        elif value.op == "read":  # the array's axes are bound by the read: only the indices change
            new[value] = value.builder.read(value.operands[0], (new[o] for o in value.operands[1:]))
        else:
            new[value] = value.builder.rebuild(value, tuple(new[o] for o in value.operands))
    return new


def moved(
    value: Value, index: Mapping[Axis, Value], read: Callable[[Value, Iterable[Value]], Value] | None = None
) -> Value:
    """Return a value at other indices: arithmetic is done there, and arrays, sums among them, are read there.

    `read` makes the reads in place of the builder.
    """
    builder, new = value.builder, dict[Value, Value]()
    read = read or builder.read
    for each in reachable([value]):
        operands = tuple([new[o] for o in each.operands])
        if each.op == "iota":
            new[each] = index.get(each.attr, each)
        elif each.op in PRIMITIVES:
            new[each] = builder.rebuild(each, operands)
        elif each.op == "read":  # its array's axes are bound: only the indices change
            new[each] = read(each.operands[0], operands[1:])
        else:
            new[each] = read(each, [index.get(a) or builder.iota(a) for a in each.axes])
    return new[value]


def _reads_along(value: Value, index: Mapping[Axis, Value]) -> bool:
    """Return whether a read takes, of a computed array, just what belongs to the axes that are replaced."""
    array, *indices = value.operands
    along = [a for a, i in zip(array.axes, indices, strict=True) if a in index and i.is_index(a)]
    others = {a for a in array.axes if a not in along}
    free = not any(a in others for axis in along for a in index[axis].axes)
    return bool(along) and free and not others & index.keys() and array.op not in (*LEAVES, "accumulate")


def _substitute_through(value: Value, new: Mapping[Value, Value], index: Mapping[Axis, Value]) -> Value:
    """Return a read of the array in which the indices have been put."""
    array, *indices = value.operands
    places = {a: new[i] for a, i in zip(array.axes, indices, strict=True) if a not in index}
    return value.builder.read(new[array], [places.get(a) or value.builder.iota(a) for a in new[array].axes])


def _substitute_reduction(
    value: Value,
    new: Mapping[Value, Value],
    index: Mapping[Axis, Value],
    known: Moved,
) -> Value:
    """Put indices under a reduction, renaming its own axes where an index would be captured."""
    builder, taken = value.builder, {a for i in index.values() for a in i.axes} | set(value.operands[0].axes)
    captured = [a for a in value.attr if any(a in i.axes for i in index.values())]
    body = new[value.operands[0]]
    if captured or any(a in index for a in value.attr):
        fresh: dict[Axis, Axis] = {}
        for axis in value.attr:
            if axis in captured or axis in index:
                fresh[axis] = fresh_axis(axis, taken)
                taken.add(fresh[axis])
        inner = {a: i for a, i in index.items() if a not in value.attr} | {a: builder.iota(b) for a, b in fresh.items()}
        key = value.operands[0], frozenset(inner.items())
        if key not in known:
            known[key] = substitute([value.operands[0]], inner, known=known)[value.operands[0]]
        body = known[key]
        return builder.reduce(value.op, body, (fresh.get(a, a) for a in value.attr))
    return builder.reduce(value.op, body, value.attr)
