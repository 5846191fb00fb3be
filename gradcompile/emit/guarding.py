"""Guards as text: the conditions under which pure Python evaluates a line, whose functions raise elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradcompile.emit.expression import NOT, OR
from gradcompile.ir import LEAVES, Graph, Value
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.conditions import ALWAYS, both, covered, guards
from gradcompile.schedule.nodes import Case, Guard, Literal

OPPOSITES = {"eq": "ne", "ne": "eq"}  # those of < and <= are not, where a number is nan
DEEPEST = 6  # conditions that one statement is guarded by at most
# What pure Python computes of all numbers without raising
DEFINED = ("sin", "cos", "atan", "tanh")
SAFE = ("add", "sub", "mul", "neg", "select", "maximum", "minimum", "abs", "sign", "real", "read", *DEFINED)
Render = Callable[
    [Value, bool, int], str
]  # a value, whether its own operation is written out, how tightly it must bind


class Guarding:
    """The guards of the values of one function.

    Parameters
    ----------
    guards : mapping
        From `gradcompile.schedule.conditions.guards`.
    render : callable
        Prints a value as an expression.
    """

    def __init__(self, guards: Mapping[Value, Guard], render: Render) -> None:
        self.guards, self.render = guards, render
        self._depths: dict[Value, int] = {}

    def nested(self, value: Value) -> list[Guard]:
        """Return the guard of a value as conditions inside one another: what all cases share, and then the cases.

        What they share and is itself guarded by what they do not share stays with that, which must be known first.
        """
        guard = self.guards.get(value, ALWAYS)
        if guard is ALWAYS:
            return []
        shared = frozenset.intersection(*guard)
        outer, waiting = list[Literal](), list[Literal]()
        for each in self._in_order(shared)[:DEEPEST]:
            known = any(case <= {*outer} for case in self.guards.get(each[0], ALWAYS))
            (outer if known else waiting).append(each)
        rest = frozenset(each for case in guard for each in self._asked((case - shared).union(waiting), {*outer}))
        whole: list[Guard] = [frozenset((frozenset((each,)),)) for each in outer]
        return [*whole, rest] if all(rest) else whole

    def _asked(self, case: Case, known: set[Literal]) -> Guard:
        """Return a case with what guards its own conditions: these have no value elsewhere."""
        whole: Guard = frozenset((case,))
        for condition, _ in case:
            before = self.guards.get(condition, ALWAYS)
            if not self._is_written_out(condition) and not any(each <= case | known for each in before):
                whole = both(whole, frozenset(each - known for each in before))
        if whole == frozenset((case,)):
            return whole
        return covered([each for longer in whole for each in self._asked(longer, known)])

    def _is_written_out(self, condition: Value) -> bool:
        """Return whether a condition is a comparison of inputs that has no line of its own."""
        written = self.render(condition, True, NOT)
        return all(o.op in LEAVES for o in condition.operands) and written == self.render(condition, False, NOT)

    def text(self, guard: Guard) -> str:
        """Return a guard as an expression."""
        spelled = []
        for case in sorted(guard, key=lambda case: (len(case), min(c.number for c, _ in case))):
            need = OR if len(guard) == len(case) == 1 else NOT
            spelled.append(" and ".join(self._literal(c, holds, need) for c, holds in self._in_order(case)))
        return " or ".join(spelled)

    def _in_order(self, case: Case) -> list[Literal]:
        """Return literals, a condition that is itself guarded after those that guard it."""
        return sorted(case, key=lambda each: (self._depth(each[0]), each[0].number))

    def _depth(self, condition: Value) -> int:
        """Return how many conditions guard one, each the next; none guards one that is written out."""
        stack = [condition]
        while stack:
            each = stack.pop()
            guard = ALWAYS if self._is_written_out(each) else self.guards.get(each, ALWAYS)
            before = sorted({c for case in guard for c, _ in case}, key=lambda c: c.number)
            waiting = [c for c in before if c not in self._depths]
            if waiting and each not in self._depths:
                stack += [each, *waiting]
            else:
                self._depths[each] = max((self._depths[c] + 1 for c in before), default=0)
        return self._depths[condition]

    def _literal(self, condition: Value, holds: bool, need: int) -> str:
        """Return one condition of a guard; its opposite is written out, for the line that names it may come later."""
        name = self.render(condition, False, need)
        if holds:
            return name
        if condition.op in OPPOSITES and name == self.render(condition, True, need):  # it has no line of its own
            return self.render(condition.builder.apply(OPPOSITES[condition.op], *condition.operands), True, need)
        return self.render(condition.builder.apply("not", condition), True, need)


def raising(graph: Graph) -> dict[Value, Guard]:
    """Return the guards of the values that pure Python may not compute everywhere; what is looped over has none."""
    found = guards(graph, graph.order())
    return {value: guard for value, guard in found.items() if value.op in PRIMITIVES and _may_raise(value)}


def _may_raise(value: Value) -> bool:
    """Return whether pure Python may raise on evaluating the value: a domain, an overflow, a division by zero."""
    return value.op not in SAFE or any(o.op not in LEAVES for o in value.operands)
