"""Sums up to a label: ``Σ_j (f[j] if j <= g[i] else 0)`` for all i, as of all who are at risk when a group fails.

As it is written, every i asks all j. But it is an element of the running sums of f, the one at the label. In the
derivative, ``Σ_i (f[i] if j <= g[i] else 0)`` for all j, every j asks all labels: there, the terms are added up at
their labels first, and these sums run from the other end. No term is in another sum than before, whatever it is.

A label that is no index of the axis has all terms in its sum, or none: it is kept on the axis, and asked for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from gradcompile.ir import Axis, Running, Value, reachable
from gradcompile.passes.factor import parted
from gradcompile.passes.group import FEW, masked
from gradcompile.substitution import substitute

COMPARISONS = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}  # and the same ones from the other side


class Threshold(NamedTuple):
    """A condition that compares an index with a label.

    Parameters
    ----------
    op : {"lt", "le", "gt", "ge"}
        How the index compares with the label.
    axis : Axis
        That of the index.
    label : Value
        Some number that data tell.
    condition : Value
        The condition.
    """

    op: str
    axis: Axis
    label: Value
    condition: Value

    @property
    def backward(self) -> bool:
        """Whether it holds from the label on."""
        return self.op in ("gt", "ge")

    @property
    def place(self) -> Value:
        """The last index for which it holds, or the first; kept on the axis."""
        apply, last = self.label.builder.apply, self.label
        if last.kind == "real":  # labels that no array is indexed by may be any numbers
            last = apply("floor" if self.op in ("le", "gt") else "ceil", last)
        shift = {"lt": -1, "gt": 1}.get(self.op, 0)
        return apply("place", last + shift if shift else last, last.builder.size(self.axis.size))

    @property
    def ever(self) -> Value:
        """Whether it holds for any index."""
        end = self.label.builder.size(self.axis.size) - 1 if self.backward else 0
        return self.label.builder.apply(COMPARISONS[self.op], self.label, end)


def thresholds(body: Value) -> Iterator[Threshold]:
    """Yield each way of reading a condition under which a term is not 0 as a threshold."""
    for condition in masked(body)[0]:
        if condition.op not in COMPARISONS:
            continue
        for index, label in (condition.operands, condition.operands[::-1]):
            op = condition.op if index is condition.operands[0] else COMPARISONS[condition.op]
            if index.op == "iota" and _is_told(label) and _is_long(index.attr) and index.attr not in label.axes:
                yield Threshold(op, index.attr, label, condition)


def _is_told(label: Value) -> bool:
    """Return whether data tell a value, which is not the same everywhere."""
    return bool(label.axes) and any(v.op == "input" for v in reachable([label]))


def _is_long(axis: Axis) -> bool:
    """Return whether an axis is longer than what vectors ask as fast."""
    return bool(axis.size.terms) or axis.size.constant > FEW


def up_to_labels(body: Value, axes: tuple[Axis, ...], own: Mapping[Axis, Axis]) -> Value | None:
    """Return a sum over axes in which labels say how far it goes as a running one; None if it is none.

    Parameters
    ----------
    body : Value
        What is summed.
    axes : tuple of Axis
        Over which.
    own : mapping of Axis to Axis
        The axis of running sums in place of one of samples.
    """
    for found in thresholds(body):
        terms = _Terms.of(body, found)
        value = _read(terms, axes, own) if found.axis in axes else _gathered(terms, axes, own)
        if value is not None:
            return value
    return None


class _Terms(NamedTuple):
    """What is summed up to labels.

    Parameters
    ----------
    threshold : Threshold
        The condition that says how far.
    body : Value
        A term.
    inside : tuple of Value
        Further conditions without the index that is compared.
    others : tuple of Value
        Further conditions with it.
    """

    threshold: Threshold
    body: Value
    inside: tuple[Value, ...]
    others: tuple[Value, ...]

    @staticmethod
    def of(body: Value, threshold: Threshold) -> _Terms:
        conditions, taken = masked(body)
        further = [c for c in conditions if c is not threshold.condition]
        with_index = tuple(c for c in further if threshold.axis in c.axes)
        return _Terms(threshold, taken, tuple(c for c in further if c not in with_index), with_index)


def _read(terms: _Terms, axes: tuple[Axis, ...], own: Mapping[Axis, Axis]) -> Value | None:
    """Return a sum over the index as an element of running sums; None if these would be as many sums as before."""
    threshold, index, told = terms.threshold, terms.threshold.axis, terms.threshold.label.axes
    value, factor = parted(terms.body, told, index)
    if factor.axes and terms.others:
        return None  # of a sum that has no terms after all, the factor may be infinite
    value = _where(terms.others, value)
    if index not in value.axes or not set(told) - set(value.axes):
        return None
    builder, along = value.builder, own.get(index, index)
    asked = {axis for each in (threshold.label, factor, *terms.inside) for axis in each.axes}
    value = builder.reduce("sum", value, [axis for axis in axes if axis not in asked and axis != index])
    value = substitute([value], {index: builder.iota(along)})[value]
    sums = builder.running(Running(along, threshold.backward, True), value)
    element = builder.read(sums, [threshold.place if axis == along else builder.iota(axis) for axis in sums.axes])
    found = _where((*terms.inside, threshold.ever), factor * element)
    return builder.reduce("sum", found, [axis for axis in axes if axis in asked])


def _gathered(terms: _Terms, axes: tuple[Axis, ...], own: Mapping[Axis, Axis]) -> Value | None:
    """Return sums for each index over the labels of terms as running ones; None if terms differ by the index."""
    threshold, index, builder = terms.threshold, terms.threshold.axis, terms.body.builder
    if index in terms.body.axes or not set(threshold.label.axes) & set(axes):
        return None
    if any(axis in each.axes for each in terms.others for axis in axes):
        return None
    value, along = _where((*terms.inside, threshold.ever), terms.body), own.get(index, index)
    value = builder.reduce("sum", value, [axis for axis in axes if axis not in threshold.label.axes])
    kept = tuple(axis for axis in dict.fromkeys((*threshold.label.axes, *value.axes)) if axis not in axes)
    places = [threshold.place, *map(builder.iota, kept)]
    sums = builder.running(
        Running(along, not threshold.backward, True), builder.accumulate(value, places, (along, *kept))
    )
    found = builder.read(sums, [builder.iota(index if axis == along else axis) for axis in sums.axes])
    return _where(terms.others, found)


def _where(conditions: Sequence[Value], value: Value) -> Value:
    """Return a value where conditions hold, and 0 elsewhere."""
    return reduce(lambda taken, each: value.builder.apply("select", each, taken, 0), reversed(conditions), value)
