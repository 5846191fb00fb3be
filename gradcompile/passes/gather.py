"""Gather placement: where an index that is data is applied.

``y[s, gt[s]]`` is written with the index at the leaves, as a sum over rows of W that labels pick. Where the full ``y``
is computed anyway, picking one of its elements is free: the value becomes a read of ``y``. Where it is not, a read
sinks to the leaves: a row of an embedding is read, not the table multiplied. A window that slides over a whole array,
as ``h[n, i + a]`` in a second convolution, has each element several times: the array is computed, and then read. So is
one of which data pick more than it has, as ``h[nb[n, k]]`` of K neighbours: see `gradcompile.passes.whole`.

At other indices, ``y[s, 0]`` is read of a full ``y``, too, where it is more than an addition. Computed again it is
rounded in another way, and ``exp(y[s, 0] - max_i y[s, i])`` of large numbers is not 1 where it is the largest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import heapify, heappop, heappush

from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Size, Value, fresh_axis, reachable
from gradcompile.passes.factor import used_bare
from gradcompile.passes.group import summed_up
from gradcompile.passes.share import costly, is_renaming
from gradcompile.passes.stencils import stencils
from gradcompile.passes.trusted import below
from gradcompile.passes.whole import NO_SIZES, Tables, finite_values, worth_computing
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import substitute


def gather(graph: Graph, *, trust: float | None = None, sizes: Mapping[str, int] = NO_SIZES) -> Graph:
    """Return the graph with every data index where it costs least.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    trust : float, optional
        Exponentials of rows of a table that no index takes are trusted to stay below its square root; the objective is
        nan where one does not: see trusted.py.
    sizes : mapping of str to int, optional
        Those of a call, to which the graph is to be suited.
    """
    if not any(value.op == "read" for value in graph.order()):
        return graph
    doubts: dict[Value, None] = {}
    sunk = _sink(_through_windows(graph), None if trust is None else doubts, sizes)
    found = _part(_lift(_look_up(sunk, sizes)))
    return found if trust is None else below(found, doubts, trust)


def _through_windows(graph: Graph) -> Graph:
    """Turn what is computed of a window's elements into a window of what is computed: ``exp(u[i + k])`` reads exp(u).

    Whether that is worth while is what decides about all windows: those that are not sink again.
    """
    if not any(map(_is_window, graph.order())):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        windows = [o for o in operands if o.axes]
        if value.op not in PRIMITIVES or not windows or not all(map(_is_window, windows)):
            return None
        (first, *indices), builder = windows[0].operands, value.builder
        if any(w.operands[1:] != windows[0].operands[1:] or w.operands[0].axes != first.axes for w in windows):
            return None
        return builder.read(builder.apply(value.op, *(o.operands[0] if o.axes else o for o in operands)), indices)

    return graph.rewrite(rule)


def _is_window(value: Value) -> bool:
    """Return whether a value takes numbers of an array several times, each from 0 on and without a gap."""
    several = value.op == "read" and value.kind == "real" and len(value.axes) > len(value.operands[0].axes)
    return several and _slides_over(value, gaps=False) is not None


def _sink(graph: Graph, doubts: dict[Value, None] | None, sizes: Mapping[str, int]) -> Graph:
    """Move the reads of a computed array to its leaves, if nothing else needs the array."""
    uses = Counter(o for value in graph.order() for o in _whole_uses(value))
    kept = set(graph.outputs.values()) | {value for value, count in uses.items() if count} | _read_twice(graph)
    kept |= {v.operands[0] for v in graph.order() if is_renaming(v) and v.operands[0] in graph.names}
    kept |= summed_up(graph.order())
    kept |= set(stencils(graph))
    kept |= set(worth_computing(graph, kept, doubts, sizes))
    windows = _windows(graph)
    kept |= {v.operands[0] for v, lengths in windows.items() if lengths == [a.size for a in v.operands[0].axes]}
    letters, names = dict[Axis, str](), dict[Value, str]()

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "read" or operands[0].op in ("input", "accumulate") or value.operands[0] in kept:
            return None
        array, *indices = operands
        if value not in windows:
            return substitute([array], dict(zip(array.axes, indices, strict=True)))[array]
        shorter = _shorter(array, dict(zip(value.operands[0].axes, windows[value], strict=True)))
        letters.update({own: graph.letter(axis) for axis, own in shorter.items()})
        iota = array.builder.iota
        found = substitute([array], {axis: iota(own) for axis, own in shorter.items()})[array]
        if value.operands[0] in graph.names:
            names[found] = graph.names[value.operands[0]]
        places = {shorter[axis]: index for axis, index in zip(array.axes, indices, strict=True)}
        return array.builder.read(found, [places[axis] for axis in found.axes])

    sunk = graph.rewrite(rule)
    used = {axis for value in sunk.order() for axis in value.axes} if letters else ()
    given = {axis: letter for axis, letter in sunk.letters.items() if axis in used or letter not in letters.values()}
    return replace(sunk, names=sunk.names | names, letters=given | letters)


def _shorter(array: Value, lengths: Mapping[Axis, Size]) -> dict[Axis, Axis]:
    """Return an axis of the given length for each axis of an array: its own where that has it."""
    found: dict[Axis, Axis] = {}
    for axis in array.axes:
        length = lengths[axis]
        taken = {*array.axes, *found.values()}
        found[axis] = axis if axis.size == length else fresh_axis(Axis(length), taken)
    return found


def _read_twice(graph: Graph) -> set[Value]:
    """Return the arrays that are read under two namings of their axes: they are computed once."""
    namings = Counter(v.operands[0] for v in graph.order() if v.op == "read" and is_renaming(v))
    return {array for array, count in namings.items() if count > 1}


def _windows(graph: Graph) -> dict[Value, list[Size]]:
    """Return the reads that take most elements of a costly array several times, with the lengths that they cover.

    Those in branches do not count: an element that no branch takes is not to be computed.
    """
    order = graph.order()
    candidates = [value for value in order if value.op == "read" and len(value.axes) > len(value.operands[0].axes)]
    finite = finite_values(order) if candidates else ()
    windows = {v: lengths for v in candidates if (lengths := _slides_over(v, gaps=v.operands[0] in finite))}
    if not windows:
        return {}
    dear, bare = costly(order), used_bare(graph.outputs.values())
    return {value: found for value, found in windows.items() if value.operands[0] in dear and value in bare}


def _slides_over(value: Value, *, gaps: bool) -> list[Size] | None:
    """Return the lengths that a read covers of the axes of its array, each from 0 and without a gap."""
    indices = value.operands[1:]
    axes = [axis for index in indices for axis in index.axes]
    if len(set(axes)) < len(axes):
        return None
    lengths = [length for index in indices if (length := _covered(index, gaps=gaps)) is not None]
    return lengths if len(lengths) == len(indices) else None


def _covered(index: Value, *, gaps: bool) -> Size | None:
    """Return how many values, from 0 on, a sum of multiples of indices takes; None if it leaves any of them out.

    With `gaps`, an axis of unknown length counts as one no shorter than the steps of another: ``t + 2*k`` leaves out
    the odd ones if there is one t.
    """
    steps = _steps(index)
    if steps is None:
        return None
    last = Size()
    for step, axis in sorted(steps, key=lambda pair: pair[0]):
        if step != 1 and not (gaps if last.terms else last.constant >= step - 1):
            return None  # there are gaps, for all that is known
        last = last + (axis.size - 1) * step
    return last + 1


def _steps(index: Value) -> list[tuple[int, Axis]] | None:
    """Return an index as a sum of positive whole multiples of indices of axes; None if it is none."""
    if index.op == "iota":
        return [(1, index.attr)]
    if index.op == "add":
        left, right = map(_steps, index.operands)
        return None if left is None or right is None else left + right
    if index.op == "mul" and index.operands[0].op == "const" and index.operands[0].attr > 0:
        steps = _steps(index.operands[1])
        return None if steps is None else [(step * index.operands[0].attr, axis) for step, axis in steps]
    return None


def _whole_uses(value: Value) -> Iterable[Value]:
    return value.operands[1:] if value.op == "read" else value.operands


def _look_up(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Turn functions of what one label picks of a table into reads of the functions of the table."""
    order, tables = graph.order(), Tables.of(graph, sizes)
    if not tables.few and not sizes:
        return graph
    dear, bare = costly(order), used_bare(graph.outputs.values())
    found: dict[Value, Value] = {}
    for index in _data_indices(order):
        for axis in _axes_read(order, index):
            wholes = {v: full for v, full in _abstracted(order, index, axis).items() if v in dear and v in bare}
            finite = finite_values(reachable(wholes.values()))
            wholes = {v: full for v, full in wholes.items() if full in finite and v not in found}
            for value in tables.looked_up(wholes, axis, index):
                found[value] = _read_at(wholes[value], axis, index)
    return graph.rewrite(lambda value, _: found.get(value)) if found else graph


def _lift(graph: Graph) -> Graph:
    """Turn a value with a data index at its leaves into a read of the full value, if that is computed anyway."""
    order = graph.order()
    computed = set(order)
    lifted: dict[Value, Value] = {}
    for index in _data_indices(order):
        for axis in _axes_read(order, index):
            for value, full in _abstracted(order, index, axis).items():
                if full in computed and full is not value and value not in lifted and value.op not in ("read", "iota"):
                    lifted[value] = _read_at(full, axis, index)
    lifted = _elements(graph, order) | lifted

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        return lifted.get(value)

    return graph.rewrite(rule) if lifted else graph


def _elements(graph: Graph, order: list[Value]) -> dict[Value, Value]:
    """Return what is computed at places of an array that is computed, too, as reads of that; not along the samples.

    From what is read at such a place, it is followed only as far as the array goes: time grows with what is found.
    """
    dear, axes, lifted = costly(order), dict[Size, dict[Axis, None]](), dict[Value, Value]()
    for axis in (axis for value in order for axis in value.axes if axis != graph.sample):
        axes.setdefault(axis.size, {})[axis] = None
    users = _users(order)
    for (index, size), reads in _places(order).items():
        for axis in axes.get(size, ()):
            for value, full in _followed(reads, index, axis, users).items() if axis not in index.axes else ():
                if value in dear and value.op != "read":
                    lifted.setdefault(value, _read_at(full, axis, index))
    return lifted


def _places(order: list[Value]) -> dict[tuple[Value, Size], list[Value]]:
    """Return the reads of each place, an index of no data that is not the whole of its axis, and the axis's length."""
    found: dict[tuple[Value, Size], list[Value]] = {}
    for value in (value for value in order if value.op == "read"):
        for index, axis in zip(value.operands[1:], value.operands[0].axes, strict=True):
            whole = index.op == "iota" and index.attr.size == axis.size
            if not whole and index.op not in DATA:
                found.setdefault((index, axis.size), []).append(value)
    return found


def _users(order: list[Value]) -> dict[Value, list[Value]]:
    users: dict[Value, list[Value]] = {value: [] for value in order}
    for value in order:
        for operand in dict.fromkeys(value.operands):
            users[operand].append(value)
    return users


def _followed(reads: list[Value], index: Value, axis: Axis, users: Mapping[Value, list[Value]]) -> dict[Value, Value]:
    """Return each value that reads at `index` with `axis` in place of it, as far as the graph has that."""
    new: dict[Value, Value] = {}
    waiting = [(value.number, value) for value in dict.fromkeys(reads)]
    heapify(waiting)
    while waiting:
        _, value = heappop(waiting)
        full = None if value in new or axis in value.axes or _binds(value, index) else _at(value, new, index, axis)
        if full is not None and full is not value and full in users:
            new[value] = full
            for user in users[value]:
                heappush(waiting, (user.number, user))
    return new


def _at(value: Value, new: Mapping[Value, Value], index: Value, axis: Axis) -> Value:
    """Return a value with other operands, and with `axis` where it reads at `index`."""
    operands = [new.get(o, o) for o in value.operands]
    if value.op == "read":
        iota = value.builder.iota(axis)
        places = zip(value.operands[1:], value.operands[0].axes, strict=True)
        operands[1:] = (iota if i is index and a.size == axis.size else i for i, a in places)
    return value.builder.rebuild(value, tuple(operands))


def _read_at(full: Value, axis: Axis, index: Value) -> Value:
    """Return a value at an index in place of an axis."""
    return full.builder.read(full, [index if a == axis else full.builder.iota(a) for a in full.axes])


CHEAP = ("add", "sub", "mul", "neg")
DATA = ("input", "read", "place")  # indices that come from data and not from an axis


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
    return list(dict.fromkeys(i for i in indices if i.op in DATA))


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
