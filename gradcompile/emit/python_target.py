"""Target python, for models without arrays: straight-line code with `math`.

What only one branch of a choice needs is computed only where that branch is taken: `math.sqrt` of a negative number
is an error in Python, not a nan. A value is guarded by the conditions that hold wherever it is used.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gradcompile.emit.expression import Printer
from gradcompile.emit.guarding import Guarding
from gradcompile.emit.layout import INDENT, commented
from gradcompile.emit.mathematics import describe
from gradcompile.emit.names import Names
from gradcompile.emit.statements import Returned, as_number, halves, own_lines, returning
from gradcompile.ir import Graph, Value
from gradcompile.schedule.conditions import guards
from gradcompile.schedule.nodes import Guard


class StraightLine:
    """The bodies of the functions of one module.

    Parameters
    ----------
    graph : Graph
        No value of it has axes.
    names : Names
        The module's identifiers.
    printer : Printer
        Of the target python.
    """

    def __init__(self, graph: Graph, names: Names, printer: Printer) -> None:
        self.graph, self.names, self.printer = graph, names, printer
        forward, backward = halves(graph)
        self.guarding = Guarding(guards(graph, [*forward, *backward]), self._rendered)
        self.forward = self._after_conditions(forward, set())
        self.computed = set(self.forward)
        self.backward = self._after_conditions(backward, set(self.computed))
        order = [*self.forward, *self.backward]
        self.own = own_lines(graph, order, lambda value: False)
        self.shared = list(self._statements(self.forward))  # what both functions begin with

    def _after_conditions(self, order: Iterable[Value], known: set[Value]) -> list[Value]:
        """Return values in order, each after the conditions that guard it, which may have been made later."""
        placed: list[Value] = []
        stack = [(value, False) for value in reversed(list(order))]
        while stack:
            value, ready = stack.pop()
            if value in known:
                continue
            if ready:
                known.add(value)
                placed.append(value)
            else:
                conditions = {c for case in self.guarding.guards.get(value, ()) for c, _ in case}
                needed = sorted({*value.operands, *conditions} - known, key=lambda v: -v.number)
                stack += [(value, True), *((each, False) for each in needed)]
        return placed

    def value(self) -> list[str]:
        """Return the body of the function `value`."""
        return self.body("value")

    def body(self, returned: Returned) -> list[str]:
        """Return the body of a function without a backward half, which returns these outputs."""
        return [*self.shared, returning(returned, lambda name: self._returned(self.graph.outputs[name]))]

    def value_and_grad(self, single: bool) -> list[str]:
        """Return the body of the function `value_and_grad`; `single` returns one gradient and no tuple."""
        lines = ["# forward", *self.shared, "# backward", *self._statements(self.backward)]
        gradients = []
        for name in self.graph.wrt:
            value = self.graph.outputs[f"d{name}"]
            if value in self.own and value not in self.computed and self.names.is_output(value, f"d{name}"):
                gradients.append(self.names.value(value))
            else:
                gradients.append(self.names.output(f"d{name}"))
                lines += commented([(f"{gradients[-1]} = {self._returned(value)}", "")])
        grads = gradients[0] if single else f"({', '.join(gradients)}{',' * (len(gradients) == 1)})"
        return [*lines, f"return {self._returned(self.graph.outputs['value'])}, {grads}"]

    def _returned(self, value: Value) -> str:
        return as_number(value, self.printer.render(value, self._name))

    def _name(self, value: Value) -> str | None:
        return self.names.value(value) if value.op == "input" or value in self.own else None

    def _rendered(self, value: Value, whole: bool, need: int) -> str:
        return self.printer.render(value, self._name, whole=whole, need=need)

    def _statements(self, values: Iterable[Value]) -> Iterator[str]:
        block: list[Line] = []
        open_: list[Guard] = []
        for value in values:
            if value in self.own:
                wanted = self.guarding.nested(value)
                shared = 0
                while shared < min(len(open_), len(wanted)) and open_[shared] == wanted[shared]:
                    shared += 1
                del open_[shared:]
                for guard in wanted[shared:]:
                    block.append(Line(len(open_), self.guarding.text(guard), "", is_condition=True))
                    open_.append(guard)
                text = f"{self.names.value(value)} = {self.printer.render(value, self._name, whole=True)}"
                block.append(Line(len(open_), text, self._comment(value)))
        yield from commented([line.spelled() for line in _joined(block)])

    def _comment(self, value: Value) -> str:
        """Return the mathematics of a line; in a long program only what it is the derivative of."""
        silent = self.names.many and self.names.primal(value) is None
        return "" if silent else describe(value, self.graph, self.names, self.own.__contains__)


class Line(NamedTuple):
    """One line of a body: a statement, or the conditions of what stands deeper."""

    depth: int
    text: str
    comment: str
    is_condition: bool = False

    def spelled(self) -> tuple[str, str]:
        """Return the line and its comment."""
        return INDENT * self.depth + (f"if {self.text}:" if self.is_condition else self.text), self.comment

    def and_then(self, inner: Line) -> Line:
        """Return one head for two blocks of which the inner is all that the outer holds."""
        return self._replace(text=" and ".join(map(_as_operand, (self.text, inner.text))))


def _as_operand(condition: str) -> str:
    """Return a condition as it stands in a conjunction."""
    tree = ast.parse(condition, mode="eval").body
    return f"({condition})" if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or) else condition


def _joined(block: list[Line]) -> list[Line]:
    """Return the lines with one head where a block holds another one and nothing else."""
    lines: list[Line | None] = list(block)
    for k in range(len(block) - 2, -1, -1):
        head, inner = block[k], lines[k + 1]
        if inner is None or not head.is_condition or not inner.is_condition or inner.depth != head.depth + 1:
            continue
        end = next((n for n in range(k + 1, len(block)) if block[n].depth <= head.depth), len(block))
        held = [(n, line) for n in range(k + 2, end) if (line := lines[n]) is not None]
        if all(line.depth > inner.depth for _, line in held):
            lines[k], lines[k + 1] = head.and_then(inner), None
            for n, line in held:
                lines[n] = line._replace(depth=line.depth - 1)
    return [line for line in lines if line is not None]
