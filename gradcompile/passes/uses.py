"""Which values of a graph that is being rewritten have one use: what they are part of may take them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gradcompile.ir import Graph, Value


def used_once(graph: Graph) -> set[Value]:
    """Return the values of a graph that are used once, and are neither an output nor bear a name."""
    count = Counter(o for value in graph.order() for o in value.operands)
    kept = {*graph.outputs.values(), *graph.names}
    return {value for value, uses in count.items() if uses == 1 and value not in kept}


def as_written(graph: Graph) -> set[Value]:
    """Return what the objective is made of, or all where there is none: there, inf - inf is nan, and 0/0."""
    return set(graph.order([graph.outputs["value"]] if "value" in graph.outputs else None))


class Uses:
    """The uses of the values of a graph, carried over to what stands for them.

    Attributes
    ----------
    own : set of Value
        New values that are used once, and bear no name.
    named : set of Value
        New values that are kept whatever they are used for.
    """

    def __init__(self, graph: Graph) -> None:
        self._once = used_once(graph)
        self._kept = {*graph.outputs.values(), *graph.names}
        self.own = set[Value]()
        self.named = set[Value]()

    def carry(self, old: Value, new: Value) -> None:
        """Let a new value have the uses of an old one; it may stand for several."""
        if old in self._kept:
            self.named.add(new)
        (self.own.add if old in self._once else self.own.discard)(new)


def rewrite_used(graph: Graph, rule: Callable[[Value, Uses], Value]) -> Graph:
    """Return the graph with other values for its values, by a rule that knows the uses of what they are made of."""
    uses = Uses(graph)

    def carried(value: Value, operands: tuple[Value, ...]) -> Value:
        new = rule(value.builder.rebuild(value, operands), uses)
        uses.carry(value, new)
        return new

    return graph.rewrite(carried)


def rewrite_sums(graph: Graph, rule: Callable[[Value, Uses], Value]) -> Graph:
    """Return the graph with other values for its sums, by a rule that knows the uses of what they are made of."""
    return rewrite_used(graph, lambda new, uses: rule(new, uses) if new.op == "sum" and new.kind == "real" else new)
