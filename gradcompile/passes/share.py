"""Sharing up to the names of indices: ``h[s, k]`` and ``h[s, l]`` are one array.

Every value gets a class and an order of its axes that do not depend on which axes they are: two values of one class are
equal after renaming. A costly value whose class has been computed before becomes a read of that, under its own indices.
What there is for pairs of samples is no such value where it would be read with the two exchanged: all of it would have
to be kept.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Size, Value, reachable
from gradcompile.primitives import PRIMITIVES

Named = tuple[int, tuple[Axis, ...]]  # a class, and the axes of this member of it
ARITHMETIC = ("add", "sub", "mul", "div", "neg", "real", "detach", "select")
LOGIC = ("and", "or", "not", "lt", "le", "gt", "ge", "eq", "ne")
CHEAP = (*ARITHMETIC, *LOGIC, "read", "const", "input", "size", "iota")


def share(graph: Graph) -> Graph:
    """Return the graph with every costly value computed under one naming of its indices."""
    first: dict[int, Value] = {}
    renamed: dict[Value, tuple[Value, dict[Axis, Axis]]] = {}  # the original, and its axes as they are here
    order, samples = graph.order(), sample_sizes(graph)
    if not any(value.axes for value in order):
        return graph
    dear, known = costly(order), classified(order)
    for value in order:
        if value in dear and not is_renaming(value):
            number, own = known[value]
            original = first.setdefault(number, value)
            axes = dict(zip(known[original][1], own, strict=True))
            if original is not value and not (exchanges(_as(original, axes)) and is_of_pairs(original, samples)):
                renamed[value] = original, axes
    return _renamed(graph, renamed) if renamed else graph


def _renamed(graph: Graph, renamed: Mapping[Value, tuple[Value, Mapping[Axis, Axis]]]) -> Graph:
    """Return the graph with values that are others renamed, of which some may be made of values renamed, too."""
    new: dict[Value, Value] = {}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        if value in renamed:
            original, axes = renamed[value]
            new[value] = _as(new[original], axes)
        else:
            new[value] = graph.builder.rebuild(value, operands)
        return new[value]

    return graph.rewrite(rule)


def classified(order: Iterable[Value]) -> dict[Value, Named]:
    """Return the class of each value, operands first, and its axes in the order that belongs to the class."""
    classes: dict[object, int] = {}
    known: dict[Value, Named] = {}
    for value in order:
        known[value] = _named(value, known, classes)
    return known


def costly(order: Iterable[Value]) -> set[Value]:
    """Return the values that cost more than an addition or two."""
    found: set[Value] = set()
    for value in order:
        if value.kind != "int" and (value.op not in CHEAP or any(o in found for o in value.operands)):
            found.add(value)  # an index is written where it is used
    return found


def is_renaming(value: Value) -> bool:
    """Return whether a value is another one with its axes renamed: a read at distinct whole axes of the same sizes."""
    if value.op != "read":
        return False
    array, *indices = value.operands
    axes = [i.attr for i in indices if i.op == "iota"]
    sizes = [a.size for a in array.axes]
    return len(set(axes)) == len(indices) and [a.size for a in axes] == sizes


def runs_from(index: Value) -> tuple[Axis, Value | None] | None:
    """Return the axis along which an index runs, one by one, and the argument that it starts from; None for 0."""
    if index.op == "iota":
        return index.attr, None
    for one, other in (index.operands, index.operands[::-1]) if index.op == "add" else ():
        if one.op == "iota" and other.op == "input" and not other.axes:
            return one.attr, other
    return None


def is_slice(value: Value) -> bool:
    """Return whether a value is an array at some of its indices, all along others: ``y[i, 0]``, ``a[k, j, i]``."""
    if value.op != "read":
        return False
    along = [index.attr for index in value.operands[1:] if index.op == "iota"]
    return len({*along}) == len(along) and all(i.op == "iota" or not i.axes for i in value.operands[1:])


def is_part(value: Value) -> bool:
    """Return whether a value is a part of an argument under other axes: along one, from a number of the caller on."""
    if value.op != "read" or value.operands[0].op != "input":
        return False
    array, *indices = value.operands
    runs = [run for index in indices if (run := runs_from(index)) is not None]
    whole = [axis.size == a.size for (a, start), axis in zip(runs, array.axes, strict=False) if start is None]
    distinct = len({axis for axis, _ in runs}) == len(indices)
    return distinct and all(whole) and len(whole) == len(indices) - 1


def exchanges(value: Value) -> bool:
    """Return whether a renaming of an array is one between the axes that the array has."""
    return is_renaming(value) and set(value.axes) == set(value.operands[0].axes)


def sample_sizes(graph: Graph) -> set[Size]:
    """Return the numbers of samples: the lengths of data; of parameters where there are no data.

    Of these there are several where a part of the samples reads what belongs to all, or where data are of two kinds,
    edges and nodes; loops stream over one axis, `gradcompile.schedule.stream_axis`. What there is for pairs must not be
    kept whichever number it is: so one does not follow from the other.
    """
    data = {i.shape[0] for i in graph.inputs.values() if i.shape and i.role in ("data", "labels")}
    return data or {i.shape[0] for i in graph.inputs.values() if i.shape}


def is_of_pairs(value: Value, samples: Container[Size]) -> bool:
    """Return whether there is a value for every pair of samples, and none of it is a sum over further ones."""

    def count(axes: Iterable[Axis]) -> int:
        return sum(axis.size in samples for axis in axes)

    summed = (v for v in reachable([value]) if v.op in REDUCTIONS)
    return count(value.axes) > 1 and not any(count(v.attr) and count(v.axes) for v in summed)


def combines_axes(value: Value) -> bool:
    """Return whether a read has an index of several axes, so that it may take elements again: ``h[n, i + a]``.

    These need not be windows that cover the array: see `gradcompile.passes.gather`.
    """
    computed = (i for i in value.operands[1:] if i.op in PRIMITIVES and i.op != "place")
    return value.op == "read" and any(len(i.axes) > 1 for i in computed)


def rotates(value: Value) -> bool:
    """Return whether a read takes each element of an array once, along axes of which some are rings."""
    if value.op != "read" or len(value.axes) + 1 < len(value.operands):
        return False
    turned = [
        i.operands[0] if i.op == "mod" and i.operands[1].op in ("size", "const") else i for i in value.operands[1:]
    ]
    plain = all(len(i.axes) == 1 and i.op in ("iota", "add", "sub") for i in turned)
    return plain and any(i.op == "mod" for i in value.operands[1:])


def composed(array: Value, *indices: Value) -> Value | None:
    """Return a read of a renamed array as a read of the array itself."""
    if not is_renaming(array):
        return None
    inner, *places = array.operands
    index = dict(zip(array.axes, indices, strict=True))
    return array.builder.read(inner, [index[p.attr] for p in places])


def _as(value: Value, axes: Mapping[Axis, Axis]) -> Value:
    """Return a value with its axes renamed."""
    return value.builder.read(value, [value.builder.iota(axes[a]) for a in value.axes])


def _named(value: Value, known: dict[Value, Named], classes: dict[object, int]) -> Named:
    """Return the class of a value and its axes in the order that belongs to the class."""
    if value.op == "input":
        return classes.setdefault(("input", value.attr), len(classes)), value.axes
    if value.op == "iota":
        return classes.setdefault(("iota", value.attr.size), len(classes)), (value.attr,)
    if is_renaming(value):
        number, axes = known[value.operands[0]]
        index = dict(zip(value.operands[0].axes, (i.attr for i in value.operands[1:]), strict=True))
        return number, tuple(index[a] for a in axes)
    return _of_operation(value, known, classes)


def _of_operation(value: Value, known: dict[Value, Named], classes: dict[object, int]) -> Named:
    operands = [known[o] for o in value.operands]
    if value.op == "read":  # the axes of the array are bound: an index has the place of its axis in the class
        (array, axes), index = operands[0], dict(zip(value.operands[0].axes, operands[1:], strict=True))
        operands = [(array, ()), *(index[axis] for axis in axes)]
    row = PRIMITIVES.get(value.op)
    if row is not None and row.commutative:
        operands.sort(key=lambda named: named[0])
    order = tuple(dict.fromkeys(axis for _, axes in operands for axis in axes))
    own = tuple(a for a in order if a in value.axes) + tuple(a for a in value.axes if a not in order)
    places = {axis: place for place, axis in enumerate(order)}
    shape = tuple((number, tuple(places[a] for a in axes)) for number, axes in operands)
    key = (value.op, value.kind, _attribute(value, places), tuple(a.size for a in order), shape)
    return classes.setdefault(key, len(classes)), own


def _attribute(value: Value, places: Mapping[Axis, int]) -> object:
    """Return what belongs to the operation beside its operands, without the names of axes."""
    if value.op in REDUCTIONS:
        return tuple(sorted(places[a] for a in value.attr))
    if value.op in MATRIX_FUNCTIONS:
        return tuple(places[a] for a in value.attr)
    if value.op == "running":
        return places[value.attr.axis], value.attr.backward, value.attr.own, value.attr.op
    if value.op in ("read", "accumulate"):  # their array's axes are bound; which they are is said by the operands
        array = value.operands[0].axes if value.op == "read" else value.attr
        return (tuple(array), value.number) if value.op == "accumulate" else tuple(a.size for a in array)
    return (type(value.attr), str(value.attr))
