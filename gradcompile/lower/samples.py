"""The sum is the sampler: the axis over which an objective is a sum of one term a sample, plus a regulariser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import sympy

from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, reachable

LINEAR = ("add", "sub", "neg", "real")


def detect_samples(graph: Graph) -> Axis | None:
    """Return the axis of samples, or None.

    The objective must be a sum over it of terms that each read one sample, times factors without samples, plus terms
    without samples. Leading dimensions of data come first; no parameter may have a dimension of that size.
    """
    if graph.output_axes("value"):
        return None
    graph = opened(graph)
    return next((axis for axis in _candidates(graph) if not _reason(graph, axis)), None)


def with_samples(graph: Graph) -> Graph:
    """Return a graph that knows the axis of its samples, whatever it has been told of it."""
    return replace(graph, sample=detect_samples(graph))


def why_not_samples(graph: Graph) -> str:
    """Return why the objective is not a sum over samples; "" if it is one."""
    if detect_samples(graph) is not None:
        return ""
    if graph.output_axes("value"):
        return "the objective is not a scalar"
    graph = opened(graph)
    reasons = [_reason(graph, axis) for axis in _candidates(graph)]
    return reasons[0] if reasons else "no array has an axis of its own for samples"


def opened(graph: Graph) -> Graph:
    """Return a graph whose objective has sums of logarithms for the logarithms of products, as of a likelihood.

    These are the same where each factor is positive. Where two factors are negative, and their product is not, the sum
    is nan: an estimate from some of the samples could not tell.
    """
    root, new = graph.outputs["value"], dict[Value, Value]()
    found = {value for value in _linear_in(root) if value.op == "log" and _factors(value.operands[0])}
    for value in reachable([root]) if found else ():
        operands = tuple(new[o] for o in value.operands)
        new[value] = _opened(operands[0]) if value in found else value.builder.rebuild(value, operands)
    return replace(graph, outputs=graph.outputs | {"value": new[root]}) if found else graph


def _linear_in(root: Value) -> Iterator[Value]:
    """Yield what an objective is a sum of multiples of, and what lies between."""
    stack, seen = [root], set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            yield value
            stack.extend(value.operands if value.op in (*LINEAR, "mul", "div", "sum") else ())


def _factors(product: Value) -> list[tuple[Value, int]]:
    """Return the products over indices in a product or a quotient, 1 or -1 by where; the rest of it last."""
    stack, found, rest = [(product, 1)], list[tuple[Value, int]](), list[tuple[Value, int]]()
    while stack:
        value, sign = stack.pop()
        if value.op in ("mul", "div"):
            first, second = value.operands
            stack += [(second, sign if value.op == "mul" else -sign), (first, sign)]
        else:
            (found if value.op == "prod" else rest).append((value, sign))
    return [*found, *rest] if found else []


def _opened(product: Value) -> Value:
    """Return the logarithm of a product as a sum over the indices of products in it."""
    builder, total, rest = product.builder, product.builder.const(0), product.builder.const(1)
    for value, sign in _factors(product):
        if value.op == "prod":
            logarithms = builder.reduce("sum", builder.apply("log", value.operands[0]), value.attr)
            total = total + logarithms if sign > 0 else total - logarithms
        else:
            rest = rest * value if sign > 0 else rest / value
    return total if rest.is_const(1) else total + builder.apply("log", rest)


def sample_sums(graph: Graph, axis: Axis) -> tuple[Value, ...]:
    """Return the sums over samples that the objective is linear in; scaled by N/B they make a minibatch estimate.

    The graph is one that `opened` returns.
    """
    return tuple(_Walk(graph, axis).sums())


def _candidates(graph: Graph) -> Iterator[Axis]:
    """Yield the axes of data that no parameter shares, leading dimensions first."""
    used = {v.attr: v for v in graph.order([graph.outputs["value"]]) if v.op == "input"}
    inputs = [used[name] for name in graph.inputs if name in used]
    parameters = {name for name, i in graph.inputs.items() if i.role == "parameter"}
    taken = {axis.size for name in parameters for axis in _axes_of(graph, name)}
    data = [v for v in inputs if v.attr not in parameters and v.axes]
    leading = [v.axes[0] for v in data]
    others = [axis for v in data for axis in v.axes[1:] if axis.number == 0]
    yield from dict.fromkeys(a for a in (*leading, *others) if a.size not in taken)


def _axes_of(graph: Graph, name: str) -> tuple[Axis, ...]:
    return tuple(Axis(size) for size in graph.inputs[name].shape)


def _reason(graph: Graph, axis: Axis) -> str:
    """Return why the objective is not a sum over one axis; "" if it is."""
    return _Walk(graph, axis).reason()


def _letter(graph: Graph, axis: Axis, total: Value | None = None) -> str:
    """Return the letter of an axis as the user's sum has it, `total` or the first one: code may need another."""
    values = [total] if total else reachable([graph.outputs["value"]])
    for value in (v for v in values if v.op == "sum" and v.attr == (axis,)):
        limits: Any = getattr(value.origin, "limits", ())
        if len(limits) == 1 and not isinstance(limits[0][0], sympy.Dummy):
            return str(limits[0][0])
    return graph.letter(axis)


class _Walk:
    """The way from an objective back to its sums over one axis."""

    def __init__(self, graph: Graph, axis: Axis) -> None:
        self.graph, self.axis, self.root = graph, axis, graph.outputs["value"]
        self.sampled: set[Value] = set()  # what depends on samples in any way
        for value in reachable([self.root]):
            own = value.op in ("input", "iota") and any(a.size == axis.size for a in value.axes)
            if own or any(o in self.sampled for o in value.operands):
                self.sampled.add(value)

    @cached_property
    def letter(self) -> str:
        """The user's letter of the axis."""
        return _letter(self.graph, self.axis)

    def is_sum(self, value: Value) -> bool:
        """Return whether the value is a sum over the axis."""
        return value.op == "sum" and self.axis in value.attr

    def linear(self, value: Value) -> tuple[Value, ...] | None:
        """Return the operands that depend on samples, if the value is linear in them."""
        parts = tuple(o for o in value.operands if o in self.sampled)
        if value.op in LINEAR or value.op == "sum":
            return parts
        single = len(parts) == 1 and value.operands.count(parts[0]) == 1
        if (value.op == "mul" and single) or (value.op == "div" and parts == value.operands[:1]):
            return parts
        return None

    def walk(self) -> Iterator[Value]:
        """Yield what lies between the objective and its sums over samples, and these."""
        stack, seen = [self.root] if self.root in self.sampled else [], set[Value]()
        while stack:
            value = stack.pop()
            if value not in seen:
                seen.add(value)
                yield value
                if not self.is_sum(value):
                    stack.extend(reversed(self.linear(value) or ()))

    def sums(self) -> list[Value]:
        """Return the sums over the axis, in their order."""
        return sorted((v for v in self.walk() if self.is_sum(v)), key=lambda v: v.number)

    def reason(self) -> str:
        """Return why the objective is not linear in sums over the axis of terms that see one sample each."""
        if self.root not in self.sampled:
            return f"the objective does not depend on {self.letter}"
        if not any(value.op in REDUCTIONS and self.axis in value.attr for value in reachable([self.root])):
            return self._no_sum()
        for value in self.walk():
            if not self.is_sum(value) and self.linear(value) is None:
                return self._not_linear(value)
            if not self.is_sum(value) and not value.operands:
                return f"the objective reads {value.attr} outside of the sum over {self.letter}"
        bodies = [v.operands[0] for v in self.sums()]
        return next((why for v in reachable(bodies) if v in self.sampled and (why := self._sees_others(v))), "")

    def _not_linear(self, value: Value) -> str:
        """Return the reason where the objective is not linear in what runs over the samples."""
        over = dict.fromkeys(v.op for v in reachable([value]) if v.op in REDUCTIONS and self.axis in v.attr)
        what = REDUCED[next(iter(over), "sum")]
        if value.op in REDUCED:
            return f"the objective takes the {what} over {self.letter}"
        if value.op in MATRIX_FUNCTIONS:
            return f"the objective takes {value.op} of a matrix with rows of all samples"
        form = NOT_LINEAR.get(value.op, "the objective takes {op} of the {what} over {s}")
        return form.format(op=value.op, what=what, s=self.letter)

    def _no_sum(self) -> str:
        """Return the reason where nothing runs over the samples, so that they have no letter that the user knows."""
        name = next(n for n, i in self.graph.inputs.items() if self.axis.size in i.shape)
        array = f"the entries of {name}, of which there are {self.axis.size}"
        total = next((value for value in self.walk() if value.op == "sum"), None)
        if total is None:
            return f"the objective has no sum over {array}"
        letters = ", ".join(_letter(self.graph, axis, total) for axis in total.attr)
        sizes = " times ".join(str(axis.size) for axis in total.attr)
        return f"the sum over {letters} has {sizes} terms, and does not run over {array}"

    def _sees_others(self, value: Value) -> str:
        """Return how a value of one sample depends on other samples; "" if it does not."""
        if value.op in (*REDUCTIONS, *MATRIX_FUNCTIONS) and any(a.size == self.axis.size for a in value.attr):
            return f"a term of the sum over {self.letter} takes the {value.op} over other samples"
        if value.op in ("input", "iota"):
            return ""
        if value.op == "read" and not self._at_sample(value):
            return f"a term of the sum over {self.letter} reads other samples"
        return ""

    def _at_sample(self, value: Value) -> bool:
        """Return whether a read stays at its sample."""
        array, *indices = value.operands
        along = [i for a, i in zip(array.axes, indices, strict=True) if a.size == self.axis.size]
        return all(i.is_index(self.axis) for i in along)


REDUCED = {"sum": "sum", "prod": "product", "max": "maximum", "min": "minimum"}
NOT_LINEAR = {
    "mul": "the objective multiplies {what}s over {s} with one another",
    "div": "the objective divides by a {what} over {s}",
    "read": "the objective reads samples outside of the {what} over {s}",
    "select": "the objective chooses by a {what} over {s}",
}
