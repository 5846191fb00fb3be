"""Stencils: arrays of which several shifted parts are read, as ``u[i]``, ``u[i + 1]`` and ``u[i + 2]`` of neighbours.

Written out, a step of a difference scheme is computed once for each of the neighbours that read it, and a second step
once for each of theirs: ``2*k + 1`` times, k steps further on. As an array, it is computed once. The parts must be all
that there is of the array, so that no element is computed that none reads; between parts there may be gaps where
elements have a finite derivative wherever their operands have.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from gradcompile.ir import LEAVES, Axis, Graph, Size, Value, reachable
from gradcompile.passes.factor import used_bare
from gradcompile.passes.share import is_of_pairs, sample_sizes
from gradcompile.passes.whole import finite_values

WORTH = 8  # operations saved for each element, from which on it is kept: to store it, read it and add to it is not free
FUNCTION = 10  # operations that exp and its like, and sums, count as
ARITHMETIC = ("add", "sub", "mul", "neg", "select", "maximum", "minimum", "abs", "real")


class Part(NamedTuple):
    """Where a part of an array begins, and how long it is, along each axis."""

    begins: tuple[int, ...]
    lengths: tuple[Size, ...]


def stencils(graph: Graph) -> Iterator[Value]:
    """Yield the arrays that are computed whole because neighbouring elements of them are read.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    """
    parts = {array: found for array, found in _parts(graph).items() if len(found) > 1}
    if not parts:
        return
    finite, bare, samples = finite_values(graph.order()), used_bare(graph.outputs.values()), sample_sizes(graph)
    kept: set[Value] = set()
    for array, found in sorted(parts.items(), key=lambda item: item[0].number):
        saved = (len(found) - 1) * _operations(array, kept)
        fits = not is_of_pairs(array, samples) and not _outgrows(array, found, samples)
        if saved >= WORTH and fits and array in bare and _are_all(array, found, gaps=array in finite):
            kept.add(array)
            yield array


def _parts(graph: Graph) -> dict[Value, list[Part]]:
    """Return the parts that are read of each computed array."""
    found: dict[Value, dict[Part, None]] = {}
    for value in graph.order():
        if value.op == "read" and value.operands[0].op not in LEAVES and (part := _part(value)) is not None:
            found.setdefault(value.operands[0], {})[part] = None
    return {array: list(parts) for array, parts in found.items()}


def _part(read: Value) -> Part | None:
    """Return which part of its array a read takes; None if that is no part as it stands."""
    runs = [run for index in read.operands[1:] if (run := _run(index)) is not None]
    if len(runs) + 1 < len(read.operands) or len({axis for axis, _ in runs}) < len(runs):
        return None
    return Part(tuple(begin for _, begin in runs), tuple(axis.size for axis, _ in runs))


def _run(index: Value) -> tuple[Axis, int] | None:
    """Return the axis along which an index runs, one by one, and the number that it starts from."""
    if index.op == "iota":
        return index.attr, 0
    for one, other in (index.operands, index.operands[::-1]) if index.op == "add" else ():
        if one.op == "iota" and other.op == "const" and other.attr >= 0:
            return one.attr, other.attr
    return None


def _are_all(array: Value, parts: Sequence[Part], *, gaps: bool) -> bool:
    """Return whether parts begin and end where an array does and, without `gaps`, are all of it."""
    runs = [sorted({(part.begins[k], part.lengths[k]) for part in parts}, key=_begin) for k in range(len(array.axes))]
    ends = (length + begin for (*_, (begin, length)) in runs)
    spanned = all(run[0][0] == 0 for run in runs) and list(ends) == [axis.size for axis in array.axes]
    moved = [run for run in runs if len(run) > 1]  # along two axes, corners may be left out
    steps = [later - begin for run in moved for (begin, _), (later, _) in pairwise(run)]
    return spanned and (gaps or (len(moved) == 1 and max(steps) == 1))


def _begin(run: tuple[int, Size]) -> int:
    return run[0]


def _outgrows(array: Value, parts: Sequence[Part], samples: Set[Size]) -> bool:
    """Return whether an array that is kept for all samples, as parts begin at others, has more axes than what it is of.

    One that is read at its own samples alone is kept for those of a block.
    """
    names = {name for size in samples for name, _ in size.terms}
    places = [k for k, axis in enumerate(array.axes) if any(name in names for name, _ in axis.size.terms)]
    moved = any(part.begins[k] for part in parts for k in places)
    return moved and not any(len(v.axes) >= len(array.axes) for v in reachable([array]) if v.op == "input")


def _operations(array: Value, kept: Container[Value]) -> int:
    """Return what each element of an array costs, made of arrays that are there."""
    stack, seen, cost = [array], {array}, 0
    while stack:
        value = stack.pop()
        if value.kind != "real" or value.op in LEAVES or (value.op == "read" and value.operands[0] in kept):
            continue
        cost += 0 if value.op == "read" else 1 if value.op in ARITHMETIC else FUNCTION
        further = [o for o in value.operands if o.axes and o not in seen and o not in kept]
        seen.update(further)
        stack.extend(further)
    return cost
