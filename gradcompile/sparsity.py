"""Which entries of a matrix of derivatives can differ from zero, from the indices of the graph alone.

Every value gets the places of the parameters on which it depends, as mathematics and not as numbers: a `Dependence`
says that ``y[s]`` depends on ``W[gt[s], j]`` for every j. That takes time linear in the number of values, whatever the
sizes. Only the places on which the outputs depend are then numbered, for the sizes and labels of a call.

Numbers that are real never matter, so a pattern holds at every point. A choice whose condition compares indices or
labels counts (a Kronecker delta, a triangle); one that compares real numbers may go either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcompile.errors import LabelError
from gradcompile.interpret import Array, numbers
from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, reachable, union
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import substitute

Index = tuple[Value, ...]
Places = NDArray[np.int64]

BOUND = 1 << 20  # axes from this number on are bound inside of one dependence: "for every"
MOST = 400  # dependences of one value; more become "on every entry"
LARGEST = 1 << 26  # points of a grid that are looked at; beyond it, the block counts as full


@dataclass(frozen=True)
class Dependence:
    """A family of entries of a parameter on which a value depends.

    Parameters
    ----------
    parameter : str
        Its name.
    index : tuple of Value
        A whole number for each axis of the parameter, in axes of the value and in bound ones, which run over all
        their points.
    conditions : frozenset of Value
        What has to hold, all of it, in the same axes; made of indices, labels and sizes.
    """

    parameter: str
    index: Index
    conditions: frozenset[Value] = frozenset()

    def mapped(self, index: Mapping[Axis, Value], *further: Value) -> Dependence:
        """Return the dependence with indices put in place of axes, and under further conditions."""
        values = (*self.index, *self.conditions)
        new = substitute(values, index) if index else {}
        moved = tuple(new.get(v, v) for v in self.index)
        return Dependence(self.parameter, moved, frozenset(new.get(v, v) for v in self.conditions).union(further))

    def axes(self) -> tuple[Axis, ...]:
        """Return the axes that the indices and conditions have."""
        return union(v.axes for v in (*self.index, *sorted(self.conditions, key=lambda c: c.number)))

    def bound(self, axes: Iterable[Axis]) -> dict[Axis, Axis]:
        """Return a bound axis, not yet used here, for each of some axes."""
        taken, new = set(self.axes()), dict[Axis, Axis]()
        for axis in axes:
            number = BOUND
            while Axis(axis.size, number) in taken:
                number += 1
            new[axis] = Axis(axis.size, number)
            taken.add(new[axis])
        return new


Dependences = tuple[Dependence, ...]


def dependences(graph: Graph, parameters: Sequence[str]) -> dict[Value, Dependences]:
    """Return, for every value of a graph, on what entries of the parameters it depends.

    Parameters
    ----------
    graph : Graph
        Any program.
    parameters : sequence of str
        Names of inputs of it.
    """
    known: dict[Value, Dependences] = {}
    masks: dict[Value, frozenset[Value]] = {}
    for value in graph.order():
        masks[value] = _mask(value, masks)
        if value.op == "input" and value.attr in parameters:
            found: Iterable[Dependence] = [Dependence(value.attr, tuple(map(value.builder.iota, value.axes)))]
        elif value.kind == "real" and any(known[o] for o in value.operands):
            found = _depends(value, known, masks)
        else:
            found = ()
        known[value] = _few(graph, tuple(dict.fromkeys(found)))
    return known


def _few(graph: Graph, found: Dependences) -> Dependences:
    """Return dependences without those that others cover; where there are very many, that every entry counts."""
    found = _widest(graph, found)
    if len(found) <= MOST:
        return found
    names = dict.fromkeys(each.parameter for each in found)
    return tuple(everywhere(graph, name) for name in names)


def _widest(graph: Graph, found: Dependences) -> Dependences:
    """Return dependences without those that others cover: ``W[s, j]`` for every j covers ``W[s, 0]``."""
    kept: list[tuple[Dependence, tuple[bool, ...]]] = []
    wide: list[tuple[Dependence, tuple[bool, ...]]] = []
    for each, whole in sorted(((f, _whole(graph, f)) for f in found), key=lambda pair: -sum(pair[1])):
        if not any(_covers(*other, each) for other in wide):
            kept.append((each, whole))
            wide += [(each, whole)] if any(whole) else []
    return tuple(each for each, _ in kept)


def _whole(graph: Graph, each: Dependence) -> tuple[bool, ...]:
    """Return of which axes of a parameter every index counts, whatever the others are."""
    axes = graph.inputs[each.parameter].axes
    told = [a for v in (*each.index, *each.conditions) for a in v.axes]
    return tuple(
        v.op == "iota" and v.attr.number >= BOUND and v.attr.size == axis.size and told.count(v.attr) == 1
        for v, axis in zip(each.index, axes, strict=True)
    )


def _covers(wide: Dependence, whole: tuple[bool, ...], each: Dependence) -> bool:
    """Return whether one dependence, with every index along its whole axes, has all entries of another."""
    if each.parameter != wide.parameter or not wide.conditions <= each.conditions:
        return False
    return all(w or a is b for w, a, b in zip(whole, wide.index, each.index, strict=True))


def everywhere(graph: Graph, name: str) -> Dependence:
    """Return the dependence on every entry of a parameter."""
    axes = graph.inputs[name].axes
    new = Dependence(name, ()).bound(axes)
    return Dependence(name, tuple(graph.builder.iota(new[a]) for a in axes))


def _structural(value: Value) -> bool:
    """Return whether a condition is made of indices, labels and sizes alone."""
    return all(v.kind != "real" for v in reachable([value]))


def _mask(value: Value, masks: Mapping[Value, frozenset[Value]]) -> frozenset[Value]:
    """Return conditions without which a value is zero."""
    if value.op == "select" and value.operands[2].is_const(0):
        inner = masks[value.operands[1]]
        return inner | {value.operands[0]} if _structural(value.operands[0]) else inner
    if value.op == "mul":
        return masks[value.operands[0]] | masks[value.operands[1]]
    return masks[value.operands[0]] if value.op in ("neg", "div") else frozenset()


def _depends(
    value: Value, known: Mapping[Value, Dependences], masks: Mapping[Value, frozenset[Value]]
) -> Iterator[Dependence]:
    """Yield on what a value depends, given that of its operands and the conditions without which they are zero."""
    if value.op == "select":
        yield from _chosen(value, known)
    elif value.op in (*REDUCTIONS, *MATRIX_FUNCTIONS):
        gone = value.attr
        for each in _of(value.operands, known):
            axes = each.bound(a for a in gone if a in each.axes())
            yield each.mapped({a: value.builder.iota(b) for a, b in axes.items()})
    elif value.op == "read":
        array, *indices = value.operands
        index = dict(zip(array.axes, indices, strict=True))
        yield from (each.mapped(index) for each in known[array])
    elif value.op == "running":
        yield from (_run_through(value, each) for each in _of(value.operands, known))
    elif value.op == "accumulate":
        yield from (_accumulated(value, each) for each in known[value.operands[0]])
    else:
        for place, operand in enumerate(value.operands):
            if known[operand] and _matters(value, place):
                others = (o for o in value.operands if o is not operand) if value.op == "mul" else ()
                conditions = frozenset[Value]().union(*(masks[o] for o in others))
                yield from (each.mapped({}, *conditions) for each in known[operand])


def _of(operands: Iterable[Value], known: Mapping[Value, Dependences]) -> Iterator[Dependence]:
    for operand in operands:
        yield from known[operand]


def _chosen(value: Value, known: Mapping[Value, Dependences]) -> Iterator[Dependence]:
    """Yield what a choice depends on: where the condition is one of indices, each branch counts where it is taken."""
    condition, *branches = value.operands
    tests = (condition, value.builder.apply("not", condition)) if _structural(condition) else ()
    for k, branch in enumerate(branches):
        yield from (each.mapped({}, *tests[k : k + 1]) for each in known[branch])


def _accumulated(value: Value, each: Dependence) -> Dependence:
    """Bind the axes of what is added, and say at which of the result's places it is added."""
    builder, (source, *places) = value.builder, value.operands
    told = union([each.axes(), source.axes, *(p.axes for p in places)])
    axes = each.bound(a for a in told if a.number < BOUND)
    index = {a: builder.iota(b) for a, b in axes.items()}
    moved = substitute(places, index)
    here = [builder.apply("eq", builder.iota(a), moved[p]) for a, p in zip(value.attr, places, strict=True)]
    return each.mapped(index, *here)


def _run_through(value: Value, each: Dependence) -> Dependence:
    """Bind the axis along which a sum runs, and say which of its elements are in the sum at an index."""
    builder, how = value.builder, value.attr
    axes = each.bound([how.axis])
    terms, here = builder.iota(axes[how.axis]), builder.iota(how.axis)
    first, last = (here, terms) if how.backward else (terms, here)
    moved = each.mapped({how.axis: terms}) if how.axis in each.axes() else each
    return moved.mapped({}, builder.apply("le" if how.own else "lt", first, last))


def _matters(value: Value, place: int) -> bool:
    """Return whether the derivative by an operand is not zero everywhere, as that of a step is."""
    row = PRIMITIVES.get(value.op)
    if row is None or row.partials is None:
        return True
    partial = row.partials[place] if place < len(row.partials) else None
    local = partial(*value.operands, value) if partial is not None else None
    return not (isinstance(local, int) and local == 0)


# Numbers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pattern:
    """The entries of a matrix that can differ from zero.

    Parameters
    ----------
    shape : (int, int)
        Rows, columns.
    rows, columns : ndarray of int64
        One entry each, sorted by rows and then by columns, none twice.
    """

    shape: tuple[int, int]
    rows: Places
    columns: Places

    @property
    def is_full(self) -> bool:
        """Whether every entry may differ from zero."""
        return len(self.rows) == self.shape[0] * self.shape[1]

    def mirrored(self) -> Pattern:
        """Return the pattern with every entry on both sides of the diagonal."""
        count = self.shape[1]
        places = np.unique(np.concatenate([self.rows * count + self.columns, self.columns * count + self.rows]))
        return Pattern(self.shape, places // count, places % count)


def pattern(graph: Graph, parameters: Sequence[str], arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> Pattern:
    """Return the pattern of the derivatives of all outputs of a graph by some of its inputs.

    Parameters
    ----------
    graph : Graph
        The program; the rows are its outputs, one after another, each in C order.
    parameters : sequence of str
        The inputs; the columns are their entries, one after another, each in C order.
    arrays : mapping of str to array
        The labels of the call by name; others are not looked at.
    sizes : mapping of str to int
        The named sizes of the call.
    """
    known = dependences(graph, parameters)
    if all(_is_full(graph, known[value], parameters) for value in graph.outputs.values()):
        return _full(_length_of_all(graph, sizes), sum(_length(graph.inputs[n].axes, sizes) for n in parameters))
    widths = [_length(graph.inputs[name].axes, sizes) for name in parameters]
    starts = dict(zip(parameters, np.cumsum([0, *widths]).tolist(), strict=False))
    count, top, found = sum(widths), 0, [np.empty(0, np.int64)]
    for name, value in graph.outputs.items():
        axes = graph.output_axes(name)
        for each in known[value]:
            rows, columns = _block(graph, axes, each, arrays, sizes)
            found.append((rows + top) * count + columns + starts[each.parameter])
        top += _length(axes, sizes)
    places = np.unique(np.concatenate(found))
    return Pattern((top, count), places // count, places % count)


def _is_full(graph: Graph, found: Dependences, parameters: Sequence[str]) -> bool:
    """Return whether a value depends, at all of its points, on every entry of all parameters."""
    whole = {each.parameter for each in found if not each.conditions and all(_whole(graph, each))}
    return whole.issuperset(parameters)


def _full(rows: int, columns: int) -> Pattern:
    places = np.arange(rows * columns)
    return Pattern((rows, columns), places // columns, places % columns)


def _length_of_all(graph: Graph, sizes: Mapping[str, int]) -> int:
    return sum(_length(graph.output_axes(name), sizes) for name in graph.outputs)


def _length(axes: Iterable[Axis], sizes: Mapping[str, int]) -> int:
    return int(np.prod([axis.size.evaluate(sizes) for axis in axes], dtype=np.int64))


def _block(
    graph: Graph, axes: tuple[Axis, ...], each: Dependence, arrays: Mapping[str, Any], sizes: Mapping[str, int]
) -> tuple[Places, Places]:
    """Return the rows and the columns of one dependence."""
    shapes = [_lengths(axes, sizes), _lengths(graph.inputs[each.parameter].axes, sizes)]
    try:
        rows, columns, holds = _solved(graph, axes, each)
        grid = union(v.axes for v in (*rows, *columns, *holds))
        if _length(grid, sizes) <= LARGEST:
            return _numbered(rows, columns, holds, shapes, arrays, sizes)
    except LabelError:  # an index was moved to where it is not valid
        pass
    whole = np.arange(int(np.prod([*shapes[0], *shapes[1]], dtype=np.int64)))
    width = int(np.prod(shapes[1], dtype=np.int64))
    return whole // width, whole % width


def _lengths(axes: Iterable[Axis], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(axis.size.evaluate(sizes) for axis in axes)


def _solved(graph: Graph, axes: tuple[Axis, ...], each: Dependence) -> tuple[Index, Index, Index]:
    """Return rows, columns and conditions, with axes put away that a condition says another index is equal to.

    ``y[k]`` where ``k = i + 1`` for some i is ``y[i + 1]`` for every i: a line and not a plane.
    """
    builder = graph.builder
    rows: Index = tuple(map(builder.iota, axes))
    columns, open_ = each.index, list(_literals(sorted(each.conditions, key=lambda c: c.number)))
    holds: list[Value] = []
    while open_:
        condition = open_.pop(0)
        solution = _solution(condition)
        if solution is None:
            holds.append(condition)
            continue
        axis, index = solution
        limits = [builder.apply("ge", index, 0), builder.apply("lt", index, builder.size(axis.size))]
        values = (*rows, *columns, *open_, *holds)
        new = substitute(values, {axis: index})
        rows, columns = tuple(new[v] for v in rows), tuple(new[v] for v in columns)
        open_, holds = [new[v] for v in open_], [*(new[v] for v in holds), *limits]
    return rows, columns, tuple(holds)


def _literals(conditions: Iterable[Value]) -> Iterator[Value]:
    """Yield conditions that all hold, with every ``and`` taken apart."""
    for condition in conditions:
        if condition.op == "and":
            yield from _literals(condition.operands)
        else:
            yield condition


def _solution(condition: Value) -> tuple[Axis, Value] | None:
    """Return an axis and the index that it is equal to, if the condition says so."""
    if condition.op != "eq":
        return None
    for axis, index in (condition.operands, condition.operands[::-1]):
        if axis.op == "iota" and axis.attr not in index.axes:
            return axis.attr, index
    return None


def _numbered(
    rows: Index, columns: Index, holds: Index, shapes: list[tuple[int, ...]], arrays: Mapping[str, Any], sizes: Any
) -> tuple[Places, Places]:
    """Return the numbers of the rows and columns at which all conditions hold."""
    grid = union(v.axes for v in (*rows, *columns, *holds))
    table = numbers((*rows, *columns, *holds), grid, arrays, sizes)
    valid = np.ones(_lengths(grid, sizes), bool)
    for condition in holds:
        valid &= table[condition].astype(bool)
    return _flat(rows, shapes[0], table, valid), _flat(columns, shapes[1], table, valid)


def _flat(index: Index, shape: tuple[int, ...], table: Mapping[Value, Array], valid: Array) -> Places:
    """Return the place of an index in an array of this shape, in C order, where it is valid."""
    flat = np.zeros(valid.shape, np.int64)
    for each, length in zip(index, shape, strict=True):
        flat = flat * length + table[each]
    return flat[valid]
