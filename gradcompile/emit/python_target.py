"""Target python, for models without arrays: straight-line code with `math`.

What only one branch of a choice needs is computed only where that branch is taken: `math.sqrt` of a negative number
is an error in Python, not a nan. A value is guarded by the conditions that hold wherever it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradcompile.emit.expression import NOT, OR, Printer
from gradcompile.emit.layout import INDENT, commented
from gradcompile.emit.mathematics import describe
from gradcompile.emit.names import Names
from gradcompile.emit.statements import halves, own_lines
from gradcompile.ir import LEAVES, Graph, Value

Literal = tuple[Value, bool]  # a condition, and whether it holds
Case = frozenset[Literal]  # literals that all hold
Guard = frozenset[Case]  # cases, one of which holds
ALWAYS: Guard = frozenset((frozenset(),))
DEEPEST = 6  # conditions that one statement is guarded by at most
MOST = 4  # cases; more are replaced by what they have in common


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
        self.forward, self.backward = halves(graph)
        self.computed = set(self.forward)
        order = [*self.forward, *self.backward]
        self.guards = guards(graph, order)
        self.own = own_lines(graph, order, lambda value: False)
        self.shared = list(self._statements(self.forward))  # what both functions begin with

    def value(self) -> list[str]:
        """Return the body of the function `value`."""
        return [*self.shared, f"return {self._returned(self.graph.outputs['value'])}"]

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

    def _statements(self, values: Iterable[Value]) -> Iterator[str]:
        block: list[tuple[str, str]] = []
        open_: list[Guard] = []
        for value in values:
            if value in self.own:
                wanted = self._nested(self.guards.get(value, ALWAYS))
                shared = 0
                while shared < min(len(open_), len(wanted)) and open_[shared] == wanted[shared]:
                    shared += 1
                del open_[shared:]
                for guard in wanted[shared:]:
                    block.append((f"{INDENT * len(open_)}if {self._condition(guard)}:", ""))
                    open_.append(guard)
                text = self.printer.render(value, self._name, whole=True)
                line = f"{INDENT * len(open_)}{self.names.value(value)} = {text}"
                block.append((line, self._comment(value)))
        yield from commented(block)

    def _comment(self, value: Value) -> str:
        """Return the mathematics of a line; in a long program only what it is the derivative of."""
        silent = self.names.many and self.names.primal(value) is None
        return "" if silent else describe(value, self.graph, self.names)

    def _nested(self, guard: Guard) -> list[Guard]:
        """Return a guard as conditions inside one another: what all cases share, and then the cases."""
        if guard is ALWAYS:
            return []
        shared = frozenset.intersection(*guard)
        outer: list[Guard] = [frozenset((frozenset((each,)),)) for each in self._in_order(shared)[:DEEPEST]]
        rest = frozenset(case - shared for case in guard)
        return [*outer, rest] if all(rest) else outer

    def _in_order(self, case: Case) -> list[Literal]:
        """Return literals, a condition that is itself guarded after those that guard it."""
        return sorted(case, key=lambda each: (max(map(len, self.guards.get(each[0], ALWAYS))), each[0].number))

    def _condition(self, guard: Guard) -> str:
        """Return a guard as an expression."""
        spelled = []
        for case in sorted(guard, key=lambda case: (len(case), min(c.number for c, _ in case))):
            need = OR if len(guard) == len(case) == 1 else NOT
            spelled.append(" and ".join(self._literal(c, holds, need) for c, holds in self._in_order(case)))
        return " or ".join(spelled)

    def _literal(self, condition: Value, holds: bool, need: int) -> str:
        """Return one condition of a guard; its opposite is written out, for the line that names it may come later."""
        part = condition if holds else condition.builder.apply("not", condition)
        return self.printer.render(part, self._name, whole=not holds, need=need)


def guards(graph: Graph, order: list[Value]) -> dict[Value, Guard]:
    """Return, for each value that only branches use, the cases in which one of them is taken."""
    found: dict[Value, Guard] = dict.fromkeys(graph.outputs.values(), ALWAYS)
    for value in reversed(order):
        mine = found.get(value, ALWAYS)
        for place, operand in enumerate(value.operands):
            if operand.op in LEAVES:
                continue
            taken = mine
            if value.op == "select" and place:
                taken = both(mine, cases(value.operands[0], place == 1))
            elif value.op in ("and", "or") and place:  # evaluated only where the first operand does not decide
                taken = both(mine, cases(value.operands[0], value.op == "and"))
            found[operand] = either(found[operand], taken) if operand in found else taken
    return {value: guard for value, guard in found.items() if guard is not ALWAYS}


def cases(condition: Value, holds: bool, depth: int = DEEPEST) -> Guard:
    """Return the cases in which a condition holds (or does not): ``not``, ``and``, ``or`` are taken apart."""
    if condition.op == "not":
        return cases(condition.operands[0], not holds, depth)
    if condition.op not in ("and", "or") or not depth:
        return frozenset((frozenset(((condition, holds),)),))
    a, b = (cases(operand, holds, depth - 1) for operand in condition.operands)
    return both(a, b) if holds == (condition.op == "and") else either(a, b)


def both(a: Guard, b: Guard) -> Guard:
    """Return the guard that holds where two do, without cases that contradict themselves."""
    joined = [first | second for first in a for second in b]
    possible = [case for case in joined if not any((c, not holds) in case for c, holds in case)]
    return covered(possible or joined)


def either(a: Guard, b: Guard) -> Guard:
    """Return the guard that holds where one of two does."""
    return ALWAYS if a is ALWAYS or b is ALWAYS else covered([*a, *b])


def covered(found: Iterable[Case]) -> Guard:
    """Return cases as a guard, without those that others cover; too many are replaced by what they share."""
    distinct = set(found)
    least = frozenset(case for case in distinct if not any(other < case for other in distinct))
    if len(least) > MOST:
        least = frozenset((frozenset.intersection(*least),))
    return least if all(least) else ALWAYS
