"""Expressions of one element, as loops compute them: functions that become vectors, numbers of the right type."""

from __future__ import annotations

from collections import Counter

from gradcompile.emit.expression import ATOM, Printer, Text
from gradcompile.emit.names import Names
from gradcompile.ir import Value, reachable
from gradcompile.schedule.samples import compared
from gradcompile.vecmath import COMPOSED, MASKED, ORDERS, VECTOR

# Vectorised functions of a hundred operations and more each, which take some 20 ms to compile, and Numba 100.
LONG = tuple("sin cos tan pow lgamma digamma trigamma gamma lgammagap digammagap lbeta".split())
FEW = 32  # so many of them in a program are worth that: the functions that they stand in for are slow
FEW_CHOICES = 2  # by one condition: LLVM makes one branch of more, and a loop with sums in that does not become vectors
WIDER = ("sign", "finite", "floor", "ceil")  # functions of Python that return double precision
MANY = 256  # calls of any vectorised function in a program, which Numba writes out, each where it stands


class LoopPrinter(Printer):
    """Prints expressions of one element; in float32 every number is cast, so that none widens the arithmetic."""

    def __init__(self, target: str, names: Names, real: str = "") -> None:
        super().__init__(target, names)
        self.real = real
        rows = [_row(value) for value in names.graph.order() if not _is_whole_power(value)]
        called = [row for row in rows if row in VECTOR]
        groups = ((tuple(VECTOR), MANY), (LONG, FEW))
        left = {row for group, most in groups if sum(op in group for op in called) > most for row in group}
        self.vectorised = {row: of for row, of in VECTOR.items() if row not in left}
        choices = Counter(v.operands[0] for v in names.graph.order() if v.op == "select" and v.kind == "real")
        self.masks = {condition for condition, count in choices.items() if count > FEW_CHOICES}

    def spelling(self, value: Value) -> str:
        """Return the spelling of a row: for Numba, the function that a loop with it is vectorised by."""
        if self.target == "numba" and _row(value) in self.vectorised and not _is_whole_power(value):
            if _is_composed(value):
                return COMPOSED[value.op][1][1 if self.real else 0]
            name = self.vectorised[value.op][1 if self.real else 0]
            return f"{name}({', '.join(f'{{{k}}}' for k in range(len(value.operands)))})"
        if self.target == "numba" and self._is_masked(value):
            for zero, spellings in MASKED.items():
                if value.operands[zero].is_const(0):
                    return spellings[1 if self.real else 0]
        if self.real and value.op in WIDER:
            return f"{self.real}({super().spelling(value)})"
        return super().spelling(value)

    def _is_masked(self, value: Value) -> bool:
        """Return whether a value is one of several choices by one condition."""
        return value.op == "select" and value.kind == "real" and value.operands[0] in self.masks

    def row(self, value: Value, operands: list[Text]) -> Text:
        """Return a row of the table, its numbers in the model's type."""
        if self.real and value.op == "real":  # as `float`, a count of samples would widen what it divides
            return f"{self.real}({operands[0][0]})", ATOM
        if self.real and compared([value]) and _may_be_double(value):
            operands = [text if text[0].endswith("]") else (f"{self.real}({text[0]})", ATOM) for text in operands]
        if self.real and value.kind == "real":
            last = len(operands) - 1 if value.op == "pow" and value.operands[1].kind == "int" else len(operands)
            operands = [
                (f"{self.real}({text[0]})", ATOM) if k < last and (o.kind == "int" or o.op == "const") else text
                for k, (o, text) in enumerate(zip(value.operands, operands, strict=True))
            ]
        return super().row(value, operands)


def _row(value: Value) -> str:
    """Return the row that computes a value."""
    return COMPOSED[value.op][0] if _is_composed(value) else value.op


def _is_composed(value: Value) -> bool:
    """Return whether a row is computed by another one; derivatives of some orders are not."""
    if value.op not in ORDERS:
        return value.op in COMPOSED
    order = value.operands[0]
    return order.op == "const" and order.attr in ORDERS[value.op]


def _may_be_double(value: Value) -> bool:
    """Return whether a sum over all samples is in a value: it is double, and what is computed of it until stored."""
    return any(part.op == "sum" and not part.axes for part in reachable(value.operands))


def _is_whole_power(value: Value) -> bool:
    """Return whether a value is a power that is a few products, and no call."""
    return value.op == "pow" and value.operands[1].kind == "int"
