"""Which labels are allowed: an integer array that is used as an index must stay on the axis that it indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcompile.ir import Graph, Size, Value, reachable

Array = np.ndarray[Any, np.dtype[Any]]
UNSIGNED = np.dtype(np.uint64)
LARGEST = np.maximum.reduce  # what `ndarray.max` calls, without the detour
Affine = tuple[Size, dict[Value, int]]  # a constant, and how often each label array and each index is in it


class LabelRange(NamedTuple):
    """What a label may be where ``factor*label + something`` is an index, the something between `first` and `last`.

    Parameters
    ----------
    name : str
        The label array.
    factor : int
        What a label is multiplied by; not 0.
    first, last : Size
        The smallest and largest whole number that the rest of the index takes.
    length : Size
        The length of the axis that is indexed.
    array : str
        The array that has the axis, "" if it has no name.
    """

    name: str
    factor: int
    first: Size
    last: Size
    length: Size
    array: str

    def limits(self, sizes: Mapping[str, int]) -> tuple[int, int]:
        """Return the smallest and the largest label that is allowed."""
        low, high = -self.first.evaluate(sizes), self.length.evaluate(sizes) - 1 - self.last.evaluate(sizes)
        if self.factor < 0:
            low, high = -high, -low
        return -(-low // abs(self.factor)), high // abs(self.factor)


class LabelIndex(NamedTuple):
    """An index that is not affine in one label array, such as ``mod(a[s] + b[s], 7)``: it is evaluated and looked at.

    So is one without labels, such as ``2*mod(i, 7)``, if nothing else says that it stays on the axis.

    Parameters
    ----------
    value : Value
        The index.
    length : Size
        The length of the axis that is indexed.
    array : str
        The array that has the axis, "" if it has no name.
    """

    value: Value
    length: Size
    array: str


def outside(labels: Array | float, low: int, high: int) -> bool:
    """Return whether labels, an int64 array or one number, have an entry that is not in ``low .. high``."""
    if not isinstance(labels, np.ndarray):
        return not low <= labels <= high
    if not labels.size:  # an index of a sum without terms
        return False
    if low == 0:  # as unsigned numbers, negative labels are huge: one pass over the labels is enough
        return bool(LARGEST(labels.view(UNSIGNED), axis=None) > high)
    return int(labels.min()) < low or int(labels.max()) > high


def labels_in(index: Value) -> str:
    """Return the names of the label arrays in an index: ``a, b``."""
    return ", ".join(sorted({_label_of(v) for v in reachable([index])} - {""}))


def label_ranges(graph: Graph) -> Iterator[LabelRange | LabelIndex]:
    """Yield what every index that is made of labels asks of them, each once."""
    seen: set[object] = set()
    for value in graph.order():
        for index, length, array in _indices(graph, value):
            limit = _limit(index, length, array)
            key = (
                (limit.name, limit.factor, limit.first, limit.last, length)
                if isinstance(limit, LabelRange)
                else (index, length)
            )
            if limit is not None and key not in seen:
                seen.add(key)
                yield limit


def places(graph: Graph) -> Iterator[LabelIndex]:
    """Yield every index that holds no labels, each once: where it is follows from the sizes alone."""
    found = (each for value in graph.order() for each in _indices(graph, value))
    for index, length, array in {(index, length): (index, length, array) for index, length, array in found}.values():
        if not labels_in(index):
            yield LabelIndex(index, length, array)


def sizes_of_labels(graph: Graph, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the known sizes, and those that labels tell: an axis that no shape tells holds the largest label.

    Parameters
    ----------
    graph : Graph
        The program; its reads say which axes are indexed by which labels.
    arrays : mapping of str to array
        Label arrays by name, int64; others are not looked at.
    sizes : mapping of str to int
        The sizes that shapes have told.
    """
    found: dict[str, int] = {}
    for limit in label_ranges(graph):
        name = _alone(limit.length)
        if not isinstance(limit, LabelRange) or name is None or name in sizes or limit.factor < 1:
            continue
        if limit.name in arrays and np.size(arrays[limit.name]) and not limit.last.terms:
            last = int(np.max(arrays[limit.name])) * limit.factor + limit.last.constant
            found[name] = max(found.get(name, 1), last + 1 - limit.length.constant)
    return {**sizes, **found}


def _alone(size: Size) -> str | None:
    """Return the name in a size such as ``C`` or ``C + 1``; None if it is another."""
    return size.terms[0][0] if len(size.terms) == 1 and size.terms[0][1] == 1 else None


def _indices(graph: Graph, value: Value) -> Iterator[tuple[Value, Size, str]]:
    """Yield every index of a read or an accumulate with the length of its axis and the name of the array."""
    if value.op == "read":
        array = graph.names.get(value.operands[0]) or (
            str(value.operands[0].attr) if value.operands[0].op == "input" else ""
        )
        yield from ((i, axis.size, array) for i, axis in zip(value.operands[1:], value.operands[0].axes, strict=True))
    elif value.op == "accumulate":
        yield from ((i, axis.size, "") for i, axis in zip(value.operands[1:], value.attr, strict=True))


def _limit(index: Value, length: Size, array: str) -> LabelRange | LabelIndex | None:
    """Return what an index asks of the labels in it; None if there are none."""
    labels, form = {v for v in reachable([index]) if _label_of(v)}, _affine(index)
    if form is not None and not labels:
        return None  # what it asks of the sizes is known before there are arrays
    low, high = _bounds(index)
    if low is not None and low >= 0 and high is not None and _is_at_least(length - 1, high):
        return None  # a place on a ring; or an index under a condition of the user's, which is clamped to the axis
    if form is None or sum(v in labels for v in form[1]) != 1:
        return LabelIndex(index, length, array)
    first = last = form[0]
    for term, count in form[1].items():
        if term not in labels:
            span = (term.attr.size - 1) * count  # an index runs from 0 to its size - 1
            first, last = (first, last + span) if count > 0 else (first + span, last)
    label, factor = next((v, count) for v, count in form[1].items() if v in labels)
    return LabelRange(_label_of(label), factor, first, last, length, array)


def _bounds(index: Value) -> tuple[int | None, Size | None]:
    """Return numbers between which an index stays by what it is made of; None where there is none."""
    found: dict[Value, tuple[int | None, Size | None]] = {}
    for value in reachable([index]):
        parts = [found[o] for o in value.operands]
        lows, highs = [low for low, _ in parts if low is not None], [high for _, high in parts if high is not None]
        form = _affine(value) if value.op not in ("maximum", "minimum") else None
        if form and not form[1]:
            found[value] = _smallest(form[0]), form[0]
        elif value.op == "maximum":
            found[value] = max(lows, default=None), None if len(highs) < len(parts) else _one_of(highs)
        elif value.op == "minimum":
            found[value] = min(lows) if len(lows) == len(parts) else None, next(iter(highs), None)
        elif value.op == "mod" and (parts[1][0] or 0) > 0 and parts[1][1]:
            found[value] = 0, parts[1][1] - 1
        elif value.op == "place":
            found[value] = 0, highs[-1] - 1 if highs else None
        else:
            found[value] = None, None
    return found[index]


def _smallest(size: Size) -> int | None:
    """Return the smallest number that a size can be: no array is empty."""
    counts = [count for _, count in size.terms]
    return size.constant + sum(counts) if all(count > 0 for count in counts) else None


def _one_of(highs: list[Size]) -> Size | None:
    """Return the one of several sizes that is at least as large as the others."""
    return next((high for high in highs if all(_is_at_least(high, other) for other in highs)), None)


def _is_at_least(size: Size, other: Size) -> bool:
    """Return whether a size is never smaller than another."""
    smallest = _smallest(size - other)
    return smallest is not None and smallest >= 0


def _label_of(value: Value) -> str:
    """Return the label array whose entries a value takes; "" if it is something else."""
    source = value.operands[0] if value.op == "read" else value
    return str(source.attr) if source.op == "input" and source.kind == "int" else ""


def _affine(index: Value) -> Affine | None:
    """Return an index as an affine form in labels and indices; None if it is not affine."""
    forms: dict[Value, Affine | None] = {}
    for value in reachable([index]):
        parts = [forms[o] for o in value.operands]
        forms[value] = _leaf(value) or _combined(value, [p for p in parts if p is not None], len(parts))
    form = forms[index]
    return form and (form[0], {term: count for term, count in form[1].items() if count})


def _leaf(value: Value) -> Affine | None:
    if _label_of(value) or value.op == "iota":
        return Size(), {value: 1}
    if value.op == "size":
        return Size.of(value.attr), {}
    return (Size.of(int(value.attr)), {}) if value.op == "const" and value.kind == "int" else None


def _combined(value: Value, parts: list[Affine], arity: int) -> Affine | None:
    """Return the form of a sum, difference or multiple of affine forms."""
    if len(parts) < arity:
        return None
    if value.op == "add":
        return _sum(parts[0], parts[1], 1)
    if value.op == "sub":
        return _sum(parts[0], parts[1], -1)
    if value.op == "neg":
        return _sum((Size(), {}), parts[0], -1)
    if value.op == "mul":
        numbers = [part for part in parts if not part[1] and not part[0].terms]
        other = parts[0] if numbers and parts[0] is not numbers[0] else parts[-1]
        return _sum((Size(), {}), other, numbers[0][0].constant) if numbers else None
    return None


def _sum(a: Affine, b: Affine, factor: int) -> Affine:
    counts = {term: a[1].get(term, 0) + factor * b[1].get(term, 0) for term in {**a[1], **b[1]}}
    return a[0] + b[0] * factor, counts
