"""Target python, for models without arrays: straight-line code with `math`.

What only one branch of a choice needs is computed only where that branch is taken: `math.sqrt` of a negative number
is an error in Python, not a nan. A value is guarded by the conditions that hold wherever it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradcompile.emit.expression import Printer
from gradcompile.emit.guarding import Guarding
from gradcompile.emit.layout import INDENT, commented
from gradcompile.emit.mathematics import describe
from gradcompile.emit.names import Names
from gradcompile.emit.statements import Returned, halves, own_lines, returning
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
        text = self.printer.render(value, self._name)
        return f"{text}.0" if value.op == "const" and text.lstrip("-").isdigit() else text

    def _name(self, value: Value) -> str | None:
        return self.names.value(value) if value.op == "input" or value in self.own else None

    def _rendered(self, value: Value, whole: bool, need: int) -> str:
        return self.printer.render(value, self._name, whole=whole, need=need)

    def _statements(self, values: Iterable[Value]) -> Iterator[str]:
        block: list[tuple[str, str]] = []
        open_: list[Guard] = []
        for value in values:
            if value in self.own:
                wanted = self.guarding.nested(value)
                shared = 0
                while shared < min(len(open_), len(wanted)) and open_[shared] == wanted[shared]:
                    shared += 1
                del open_[shared:]
                for guard in wanted[shared:]:
                    block.append((f"{INDENT * len(open_)}if {self.guarding.text(guard)}:", ""))
                    open_.append(guard)
                text = self.printer.render(value, self._name, whole=True)
                line = f"{INDENT * len(open_)}{self.names.value(value)} = {text}"
                block.append((line, self._comment(value)))
        yield from commented(block)

    def _comment(self, value: Value) -> str:
        """Return the mathematics of a line; in a long program only what it is the derivative of."""
        silent = self.names.many and self.names.primal(value) is None
        return "" if silent else describe(value, self.graph, self.names)
