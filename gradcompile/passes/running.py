"""Running sums and products: ``Σ_j (f[j] if j < i else 0)`` for all i, where every i asks all j as it is written.

Each is the one before and one term more, in one pass: a cumulative hazard, the terms at risk of a sorted partial
likelihood, the transmittance along a ray. The derivative is such a sum from the other end. A sum starts at the end
where it has no terms, so that nothing is taken away again, and a term that is infinite or nan is in no other sums than
before.

The derivative of a product is that of all others, ``Π_j (f[j] if j != i else 1)``: of those before and those after.
It is written so before it is differentiated again (`products_of_others`): a running product's derivative runs with it.

Where labels say how far sums go, they are elements of running ones: see thresholds.py.

Along samples, the sums have an axis of their own: loops over samples pass them in blocks, from the first to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from gradcompile.ir import Axis, Graph, Running, Size, Value, free_axes
from gradcompile.passes.factor import parted
from gradcompile.passes.group import masked
from gradcompile.passes.share import sample_sizes
from gradcompile.passes.thresholds import thresholds, up_to_labels
from gradcompile.substitution import substitute

RUNNING = {  # by the comparison of the index of a term with that of the sum
    "lt": (False, False),
    "le": (False, True),
    "gt": (True, False),
    "ge": (True, True),
}
OTHERWISE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}  # the same comparison from the other side


class _Course(NamedTuple):
    """A sum over axes as a running one.

    Parameters
    ----------
    axis : Axis
        Of the result: where a sum ends.
    how : Running
        How the sums run along it.
    summed : Axis
        That of the terms.
    terms : Value
        What is summed, without the axis of the result.
    factor : Value or None
        What the sum is multiplied by, without the axis of the terms.
    conditions : tuple of Value
        Where there is a sum: elsewhere it is 0.
    """

    axis: Axis
    how: Running
    summed: Axis
    terms: Value
    factor: Value | None
    conditions: tuple[Value, ...]


def running(graph: Graph) -> Graph:
    """Return the graph with sums up to an index, or from it on, as running sums, and products of all others so."""
    return _rewritten(graph, sums=True)


def products_of_others(graph: Graph) -> Graph:
    """Return the graph with products of all others as running ones, and its sums as they are."""
    return _rewritten(graph, sums=False)


def _rewritten(graph: Graph, *, sums: bool) -> Graph:
    order, compared = graph.order(), (*RUNNING, "ne") if sums else ("ne",)
    if not any(value.op in compared and any(o.op == "iota" for o in value.operands) for value in order):
        return graph
    own = _own_axes(graph, order)
    letters: dict[Axis, str] = {}

    def along_of(axis: Axis, index: Axis) -> Axis:
        along = own.get(axis, axis)
        if along != axis:
            letters.setdefault(along, graph.letter(index))
        return along

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        others = _others(operands[0], value.attr) if value.op == "prod" else None
        if others is not None:
            return _product(*others, along_of(*others[:2]))
        if not sums or value.op != "sum":
            return None
        course = next(_courses(operands[0], value.attr), None)
        if course is None:
            letters.update((own[t.axis], graph.letter(t.axis)) for t in thresholds(operands[0]) if t.axis in own)
            return up_to_labels(operands[0], value.attr, own)
        along = along_of(course.axis, course.summed)
        return _sums(course, along, [axis for axis in value.attr if axis != course.summed])

    changed = graph.rewrite(rule)
    return changed if changed is graph else replace(changed, letters=changed.letters | letters)


def _own_axes(graph: Graph, order: list[Value]) -> dict[Axis, Axis]:
    """Return for each axis of samples another one of its size, which nothing has."""
    samples = sample_sizes(graph) if graph.sample is None else ()
    last, found = dict[Size, int](), list[Axis]()
    for axis in free_axes([*order, *(o for v in order for o in v.operands)]):
        last[axis.size] = max(last.get(axis.size, 0), axis.number)
        if axis.size in samples or axis == graph.sample:
            found.append(axis)
    return {axis: Axis(axis.size, last[axis.size] + 1) for axis in found}


def _courses(body: Value, axes: tuple[Axis, ...]) -> Iterator[_Course]:
    """Yield each way of reading a sum over axes as a running one."""
    conditions, taken = masked(body)
    for condition in conditions:
        for op, (index, axis) in _comparisons(condition):
            if index not in axes or axis in axes or axis == index or index.size != axis.size:
                continue
            how = Running(axis, *RUNNING[op])
            others = [c for c in conditions if c is not condition]
            ends = tuple(c for c in others if axis in c.axes)  # what is asked of the end of a sum
            if any(a in c.axes for c in ends for a in axes):
                continue
            inside = [c for c in others if c not in ends]
            terms, factor = (taken, None) if axis not in taken.axes else parted(taken, [axis])
            if factor is not None and (inside or index in factor.axes):
                continue  # of a sum that has no terms after all, the factor may be infinite
            terms = _where(inside, terms)
            if index in terms.axes:
                ends = ends if factor is None else (*ends, *_has_terms(how, terms))
                yield _Course(axis, how, index, terms, factor, ends)


def _others(body: Value, axes: tuple[Axis, ...]) -> tuple[Axis, Axis, Value] | None:
    """Return a product over all indices but one: that one, the index, and what is multiplied; None for any other."""
    if body.op != "select" or not body.operands[2].is_const(1) or len(axes) != 1:
        return None
    condition, factors, _ = body.operands
    if condition.op != "ne" or any(o.op != "iota" for o in condition.operands):
        return None
    both = [o.attr for o in condition.operands]
    axis = next((a for a in both if a not in axes), None)
    if axis is None or axes[0] not in both or axis.size != axes[0].size or axis in factors.axes:
        return None
    return (axis, axes[0], factors) if axes[0] in factors.axes else None


def _product(axis: Axis, index: Axis, factors: Value, along: Axis) -> Value:
    """Return the product of all others: of those before times those after."""
    builder = factors.builder
    factors = substitute([factors], {index: builder.iota(along)})[factors]
    before, after = (builder.running(Running(along, backward, False, "prod"), factors) for backward in (False, True))
    places = [builder.iota(axis if each == along else each) for each in before.axes]
    return builder.read(before, places) * builder.read(after, places)


def _has_terms(how: Running, value: Value) -> tuple[Value, ...]:
    """Return the condition under which a running sum has any terms, if that is not always so."""
    apply, index = value.builder.apply, value.builder.iota(how.axis)
    if how.own:
        return ()
    return (apply("lt", index, value.builder.size(how.axis.size) - 1) if how.backward else apply("gt", index, 0),)


def _comparisons(condition: Value) -> Iterator[tuple[str, tuple[Axis, Axis]]]:
    """Yield each way of reading a condition as a comparison of two indices."""
    if condition.op in RUNNING and all(o.op == "iota" for o in condition.operands):
        left, right = (o.attr for o in condition.operands)
        yield condition.op, (left, right)
        yield OTHERWISE[condition.op], (right, left)


def _where(conditions: Sequence[Value], value: Value) -> Value:
    """Return a value where conditions hold, and 0 elsewhere."""
    for condition in reversed(conditions):
        value = value.builder.apply("select", condition, value, 0)
    return value


def _sums(course: _Course, along: Axis, others: Sequence[Axis]) -> Value:
    """Return the sums of a course over other axes and along one, which may stand for that of the result."""
    builder, (terms, factor) = course.terms.builder, (course.terms, course.factor)
    later = [axis for axis in others if factor is not None and axis in factor.axes]
    terms = substitute([terms], {course.summed: builder.iota(along)})[terms]
    terms = builder.reduce("sum", terms, [axis for axis in others if axis not in later])
    sums = builder.running(replace(course.how, axis=along), terms)
    sums = builder.read(sums, [builder.iota(course.axis if axis == along else axis) for axis in sums.axes])
    return _where(course.conditions, sums if factor is None else builder.reduce("sum", factor * sums, later))
