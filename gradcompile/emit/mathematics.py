"""The mathematics beside a line of code: what a statement computes, one level deep, with its indices.

A comment is made of the graph and of allocated names; where user's text is quoted it is first reduced to a fixed set
of printable characters, so that it cannot end a comment or a docstring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gradcompile.emit.expression import ADD, ATOM, MUL, Printer, Text, parenthesised
from gradcompile.emit.names import Names
from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value
from gradcompile.primitives import PRIMITIVES

UP_TO, FROM_ON = ("before {}", "up to {}"), ("after {}", "from {} on")  # without the own term of an index, and with
LONGEST = 88  # columns of a comment
SHORT = 60  # columns up to which the user's own formula of a number is quoted
SPELLINGS = {"pow": "{0} ** {1}", "logtotal": "log({0})"}  # as on paper, where they are not so in Python
HARMLESS = re.compile(r"[^A-Za-z0-9 _+\-*/^().,<>=\[\]{}|&~!:;%?']")


Rank = Callable[[Iterable[Axis]], tuple[Axis, ...]]
Shown = Callable[[Value], bool]


def describe(value: Value, graph: Graph, names: Names, shown: Shown, rank: Rank = tuple) -> str:
    """Return the mathematics of a value, in ASCII: ``y[s, i] = sum_j x[s, j]*W[j, i]``, or ``df/dW[j, i]``.

    Parameters
    ----------
    value : Value
        What a line computes.
    graph : Graph
        Tells which values are derivatives of the objective, and with respect to what.
    names : Names
        The identifiers of the module.
    shown : callable
        Whether a value has a name in the function at hand, which stands for it; another function may give it one, too.
    rank : callable
        The order in which indices are written.
    """
    primal, root = names.primal(value), graph.outputs.get("value")
    if primal is not None and root is not None:
        axes = graph.cotangents[value].axes if value in graph.cotangents else value.axes
        return f"d{names.value(root)}/d{primal}{_indices(axes, names, rank)}"
    if not names.many and (text := harmless(value.quoted(SHORT))):
        return text
    text = Mathematics(names, shown, rank).of(value)
    return f"{names.value(value)}{_indices(value.axes, names, rank)} = {text}" if value.axes else text


def harmless(text: str) -> str:
    """Return user's text with every character outside of a fixed ASCII set replaced by ``?``."""
    return HARMLESS.sub("?", text)


def _indices(axes: tuple[Axis, ...], names: Names, rank: Rank) -> str:
    return f"[{', '.join(map(names.axis, rank(axes)))}]" if axes else ""


class Mathematics(Printer):
    """Prints values as on paper: ``sum_j x[s, j]*W[j, i]``, without the modules of a target."""

    def __init__(self, names: Names, shown: Shown, rank: Rank = tuple) -> None:
        super().__init__("python", names)
        self.shown, self.rank = shown, rank

    def of(self, value: Value) -> str:
        """Return a value's own operation, cut where it gets long."""
        text = self.render(value, self._element, whole=True)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."

    def _element(self, value: Value) -> str | None:
        name = self._name(value)
        rank: Rank = tuple if value.op == "input" else self.rank
        return None if name is None else f"{name}{_indices(value.axes, self.names, rank)}"

    def _name(self, value: Value) -> str | None:
        return self.names.known(value) if value.op == "input" or self.shown(value) else None

    def const(self, value: Value) -> Text:
        """Return a number, pi and e by their names."""
        text, precedence = super().const(value)
        return text.replace("math.", ""), precedence

    def spelling(self, value: Value) -> str:
        """Return Python's spelling without the name of a module."""
        return SPELLINGS.get(value.op) or super().spelling(value).replace("math.", "")

    def operation(self, value: Value, operands: list[Text]) -> Text:
        """Return one operation of any kind; what the targets write as statements, too."""
        if value.op in REDUCTIONS:
            return f"{value.op}_{','.join(map(self.names.axis, value.attr))} {parenthesised(operands[0], MUL)}", ADD
        if value.op == "running":
            way = FROM_ON if value.attr.backward else UP_TO
            where = way[value.attr.own].format(self.names.axis(value.attr.axis))
            if value.attr.op == "linear":
                factor, term = (parenthesised(o, least) for o, least in zip(operands, (MUL, ADD), strict=True))
                return f"what total*{factor} + {term} makes of 0 {where}", ADD
            what = "sum" if value.attr.op == "sum" else "product"
            return f"{what} of {parenthesised(operands[0], MUL)} {where}", ADD
        if value.op == "accumulate":
            place = dict(zip(value.axes, (text for text, _ in operands[1:]), strict=True))
            return f"{operands[0][0]} added at [{', '.join(place[axis] for axis in self.rank(value.axes))}]", ATOM
        if value.op in MATRIX_FUNCTIONS and (name := self._name(value.operands[0])) is not None:
            return self._of_matrix(value, name, operands[1:]), ATOM
        if value.op not in ("read", "const", "size", "iota") and value.op not in PRIMITIVES:
            return f"{value.op}({', '.join(text for text, _ in operands)})", ATOM
        return super().operation(value, operands)

    def row(self, value: Value, operands: list[Text]) -> Text:
        """Return a row of the table; a whole number is a number."""
        return operands[0] if value.op == "real" else super().row(value, operands)

    def _of_matrix(self, value: Value, name: str, rest: list[Text]) -> str:
        """Return a function of the whole matrix: ``inverse(A)[i, j]``, ``logdet(K[n])``, ``solve(A.T, b[i])``."""
        matrix = value.operands[0]
        batch = tuple(axis for axis in matrix.axes if axis not in value.attr)
        own = matrix.axes if matrix.op == "input" else self.rank(matrix.axes)
        turned = ".T" if tuple(axis for axis in own if axis in value.attr) != value.attr and rest else ""
        operands = ", ".join([f"{name}{_indices(batch, self.names, self.rank)}{turned}", *(text for text, _ in rest)])
        element = tuple(axis for axis in value.axes if axis not in batch)
        return f"{value.op}({operands}){_indices(element, self.names, self.rank)}"

    def children(self, value: Value) -> tuple[Value, ...]:
        """Return all operands."""
        return value.operands

    def read(self, value: Value, indices: list[str]) -> str:
        """Return an element of an array, which may be an expression."""
        array = value.operands[0]
        name = self._name(array) or f"({self.render(array, self._element)})"
        if array.op != "input":
            place = dict(zip(array.axes, indices, strict=True))
            indices = [place[axis] for axis in self.rank(array.axes)]
        return f"{name}[{', '.join(indices)}]"
