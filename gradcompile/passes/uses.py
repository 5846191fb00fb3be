"""Which values of a graph that is being rewritten have one use: what they are part of may take them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gradcompile.ir import Graph, Value


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
        self._count = Counter(o for value in graph.order() for o in value.operands)
        self._kept = {*graph.outputs.values(), *graph.names}
        self.own = set[Value]()
        self.named = set[Value]()

    def carry(self, old: Value, new: Value) -> None:
        """Let a new value have the uses of an old one; it may stand for several."""
        if old in self._kept:
            self.named.add(new)
        (self.own.add if self._count[old] == 1 and old not in self._kept else self.own.discard)(new)


def rewrite_sums(graph: Graph, rule: Callable[[Value, Uses], Value]) -> Graph:
    """Return the graph with other values for its sums, by a rule that knows the uses of what they are made of."""
    uses = Uses(graph)

    def carried(value: Value, operands: tuple[Value, ...]) -> Value:
        new = value.builder.rebuild(value, operands)
        if new.op == "sum" and new.kind == "real":
            new = rule(new, uses)
        uses.carry(value, new)
        return new

    return graph.rewrite(carried)
