"""From an objective over all samples to an estimate of it from a few: graph to graph.

An objective ``c*Σ_s ℓ_s + R`` becomes ``c*(Σ_b ℓ_rows[b])/B + R/N``, where `rows` holds the numbers of B samples:
an unbiased estimate of the objective per sample, and so is its gradient. An objective that is a mean already
(c holds 1/N) is not divided again. The data stay where they are and are read through `rows`: no batch is copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from gradcompile.errors import MinibatchError
from gradcompile.ir import Axis, Graph, Input, Size, Value, free_name, reachable
from gradcompile.lower import opened, sample_sums, why_not_samples
from gradcompile.substitution import substitute


@dataclass(frozen=True)
class Minibatch:
    """The estimate of an objective from some of its samples.

    Parameters
    ----------
    graph : Graph
        Its output ``value`` is the estimate of the objective per sample, dimension of the objective.
    rows : str
        The input with the numbers of the samples: int64, axes (B,), or none for a batch of one.
    count : str
        The input with the number of samples that an epoch has, dimensionless; "" where the estimate does not hold it,
        as that of a sum or a mean over samples alone.
    """

    graph: Graph
    rows: str
    count: str


def minibatch(graph: Graph, *, one: bool = False) -> Minibatch:
    """Return the estimate of the objective per sample from the samples in a new input, `rows`.

    Parameters
    ----------
    graph : Graph
        A lowered graph with a sample axis and without a backward half.
    one : bool
        Whether a batch is one sample: then `rows` is a number, ``row``, and there is no sum over a batch.

    Raises
    ------
    MinibatchError
        The objective is not a sum over samples; the message says why.
    """
    if graph.sample is None:
        raise refusal(graph, why_not(graph))
    return _Estimate(opened(graph), graph.sample, one).minibatch()


def refusal(graph: Graph, reason: str) -> MinibatchError:
    """Return the error for an objective that is not a sum over samples."""
    line = _line_of_loss(graph)
    return MinibatchError(
        "a minibatch cannot estimate this objective",
        text=line or graph.objective,
        place=graph.loss if line else "",
        expected="a sum over samples, or their mean, and terms without samples",
        found=reason,
        hint="train on all samples at once: batch_size=None",
    )


def _line_of_loss(graph: Graph) -> str:
    """Return the line of a model's text that defines the objective; "" where there is none."""
    found = re.search(rf"^[ \t]*{re.escape(graph.loss)}[ \t]*=(?!=).*", graph.objective, re.MULTILINE)
    return found[0].strip() if found else ""


def per_sample(graph: Graph) -> Graph:
    """Return the graph with the objective per sample: divided by N where it is a sum over N samples.

    An objective that is a mean already, or not a sum over samples, stays as it is.
    """
    if graph.sample is None or is_mean(graph):
        return graph
    value = graph.outputs["value"]
    return replace(graph, outputs=graph.outputs | {"value": value / graph.builder.size(graph.sample.size)})


def why_not(graph: Graph) -> str:
    """Return why a minibatch does not estimate the objective; "" if it does."""
    return why_not_samples(graph) if graph.sample is None else ""


def is_mean(graph: Graph) -> bool:
    """Return whether the sums over samples in the objective are divided by the number of samples."""
    axis, graph = graph.sample, opened(graph)
    return axis is not None and all(_degree(factors, axis.size) <= -1 for factors in _factors(graph, axis))


def _factors(graph: Graph, axis: Axis) -> list[list[Value]]:
    """Return, for every sum over samples, one list of what multiplies it on a way to the objective.

    A divisor is given as ``1/divisor``; the last of the list is the body of the sum.
    """
    root, sums = graph.outputs["value"], sample_sums(graph, axis)
    leads = set(sums)  # what is made of sums over samples
    for value in reachable([root]):
        if any(o in leads for o in value.operands):
            leads.add(value)
    ways: dict[Value, list[Value]] = {root: []}
    for value in reversed(reachable([root])):
        if value in ways and value not in sums:
            for operand in (o for o in value.operands if o in leads):
                ways.setdefault(operand, ways[value] + _beside(value, operand))
    return [[*ways[value], value.operands[0]] for value in sums]


def _beside(value: Value, operand: Value) -> list[Value]:
    """Return what a product or a quotient multiplies one of its operands by."""
    others = [o for o in value.operands if o is not operand]
    return {"mul": others, "div": [1 / o for o in others]}.get(value.op, [])


def _degree(factors: Iterable[Value], size: Size) -> int:
    """Return the power of the number of samples in a product: -1 in ``x/(2*N)``."""
    return sum(_power(factor, size) for factor in factors)


def _power(root: Value, size: Size) -> int:
    """Return the power of the number of samples that a value holds as a factor."""
    powers: dict[Value, int] = {}
    for value in reachable([root]):
        inner = [powers[o] for o in value.operands]
        rule = POWERS.get(value.op)
        powers[value] = rule(*inner) if rule else _power_of_leaf(value, inner, size)
    return powers[root]


POWERS: dict[str, Callable[..., int]] = {
    "add": max,
    "sub": max,
    "neg": int,
    "sum": int,
    "real": int,
    "mul": lambda a, b: a + b,
    "div": lambda a, b: a - b,
}


def _power_of_leaf(value: Value, inner: list[int], size: Size) -> int:
    if value.op == "size":
        return 1 if any(term in size.terms for term in value.attr.terms) else 0
    if value.op == "pow" and value.operands[1].op == "const" and isinstance(value.operands[1].attr, int):
        return inner[0] * value.operands[1].attr
    if value.op == "const" and not size.terms:
        return _power_of_number(value.attr, size.constant)
    return 0


def _power_of_number(number: object, count: int) -> int:
    """Return -1 for a fraction of a number of samples that is fixed: 1/20 or 1/40 for 20 samples."""
    if count <= 1:
        return 0
    if isinstance(number, Fraction | int) and not isinstance(number, bool):
        exact = Fraction(number)
        return -1 if exact.denominator % count == 0 else 1 if exact and exact.numerator % count == 0 else 0
    return -1 if isinstance(number, float) and abs(number * count - 1) < 1e-12 else 0


def _over(divisor: Value, size: Size) -> Value | None:
    """Return what is left of a divisor without its factor N; None if it has none."""
    if divisor.op == "size" and divisor.attr == size:
        return divisor.builder.const(1)
    if divisor.op == "real":
        return _over(divisor.operands[0], size)
    if divisor.op == "mul":
        for rest, factor in (divisor.operands, reversed(divisor.operands)):
            if (left := _over(factor, size)) is not None:
                return rest * left
    return None


class _Estimate:
    """The estimate of one objective: its sums over samples, each over the rows of a batch."""

    def __init__(self, graph: Graph, axis: Axis, one: bool) -> None:
        self.graph, self.axis, self.builder = graph, axis, graph.builder
        self.root = graph.outputs["value"]
        self.sums = sample_sums(graph, axis)
        sizes = {name for i in graph.inputs.values() for size in i.shape for name, _ in size.terms}
        self.batch = None if one else Axis(Size.of(free_name("B", sizes)))
        self.rows = free_name("row" if one else "rows", graph.inputs)
        self.count = "" if is_mean(graph) else free_name("count", graph.inputs)

    def minibatch(self) -> Minibatch:
        """Return the graph of the estimate."""
        bodies, names = self._bodies()
        bare = replace(self.graph, outputs={"value": self.root}, names={})
        value = self._estimates(bodies)[bool(self.count)]
        if not any(v.op == "input" and v.attr == self.count for v in reachable([value])):
            self.count = ""
        graph = replace(
            bare,
            inputs=self.graph.inputs | self._inputs(),
            outputs={"value": value},
            names=names,
            letters=self._letters(),
            sample=self.batch,
        )
        return Minibatch(graph, self.rows, self.count)

    def _estimates(self, bodies: Mapping[Value, Value]) -> tuple[Value, Value]:
        """Return the estimate of the objective, and of its N-th part, from the sums over a batch.

        A sum over N samples is estimated by N times its mean over the batch. Divided by N it is that mean: no N is
        multiplied by that would be divided by again.
        """
        whole = self.builder.input(self.count, ()) if self.count else self.builder.size(self.axis.size)
        found: dict[Value, tuple[Value, Value]] = {}
        for value in reachable([self.root]):
            if value in bodies:
                mean = bodies[value] if self.batch is None else bodies[value] / self.builder.size(self.batch.size)
                found[value] = whole * mean, mean
            elif any(o in found for o in value.operands):
                found[value] = self._combined(value, found, whole)
        return found.get(self.root) or (self.root, self.root / whole)

    def _combined(self, value: Value, found: Mapping[Value, tuple[Value, Value]], whole: Value) -> tuple[Value, Value]:
        """Return the estimate of what an operation makes of estimates, and of its N-th part."""
        all_of = [found[o][0] if o in found else o for o in value.operands]
        part = [found[o][1] if o in found else o for o in value.operands]
        if value.op == "div" and (rest := _over(value.operands[1], self.axis.size)) is not None:
            return part[0] / rest, part[0] / rest / whole
        estimate = self.builder.rebuild(value, tuple(all_of))
        if value.op in ("neg", "mul", "div", "sum"):  # one operand alone is made of sums over samples
            return estimate, self.builder.rebuild(value, tuple(part))
        if value.op in ("add", "sub"):
            ends = (p if o in found else o / whole for o, p in zip(value.operands, part, strict=True))
            return estimate, self.builder.rebuild(value, tuple(ends))
        return estimate, estimate / whole

    def _letters(self) -> dict[Axis, str]:
        """Give the letter of the samples to those of the batch: ``x[rows[s], j]``."""
        others = {axis: letter for axis, letter in self.graph.letters.items() if axis != self.axis}
        return others if self.batch is None else {self.batch: self.graph.letter(self.axis)} | others

    def _inputs(self) -> dict[str, Input]:
        rows = Input(self.rows, () if self.batch is None else (self.batch.size,), "int", "labels")
        return {self.rows: rows} | ({self.count: Input(self.count)} if self.count else {})

    def _bodies(self) -> tuple[dict[Value, Value], dict[Value, str]]:
        """Return each sum over samples as a sum over the batch, and the definitions inside, by their new values."""
        batch = () if self.batch is None else (self.batch,)
        row = self.builder.input(self.rows, batch, "int")
        new = substitute((value.operands[0] for value in self.sums), {self.axis: row}, through=True)
        bodies = {
            value: self.builder.reduce(
                "sum", new[value.operands[0]], (*batch, *(a for a in value.attr if a != self.axis))
            )
            for value in self.sums
        }
        names = {new.get(value, value): name for value, name in self.graph.names.items()}
        return bodies, names
