"""Print the page of functions, `docs/functions.md`, from the table of primitives.

Run it after a change of the table: ``python docs/functions.py > docs/functions.md``. A test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sympy

from gradcompile.primitives import NO_DERIVATIVE, TABLE, Primitive
from gradcompile.vecmath import VECTOR

START = """\
# Functions

<!-- Written by `python docs/functions.py`; do not edit. -->

Every function that gradcompile knows is a row of one table, `gradcompile/primitives.py`, and this page is that table.
A function of SymPy that has no row is differentiated by SymPy's own rule (`fdiff`), if it has one.

## Meaning and derivatives

The derivatives are those with respect to each operand, in order; `y` is the value of the function itself, which
the forward half has already computed. `select(c, a, b)` is a where c holds, else b. What holds at kinks and ties is
on the page of [conventions](conventions.md).
"""

SPELLING = """
## Spelling

What stands in emitted code for each target. A bare name, such as `sigmoid`, is a function whose text is copied into
the module. Inside loops over samples, the compiled kernel calls the vectorised function where there is one (the
first for float64, the second for float32).
"""

STRUCTURAL = {
    "select": "of the branch taken",
    "maximum": "1 for the larger, 1/2 each at a tie",
    "minimum": "1 for the smaller, 1/2 each at a tie",
}
SUM, PRODUCT, POWER, ATOM = range(4)  # how strongly an operation binds


class Formula:
    """A text that arithmetic makes longer: what a partial derivative says when it is asked with names."""

    def __init__(self, text: str, strength: int = ATOM) -> None:
        self.text, self.strength = text, strength
        self.builder = self  # as a graph value: `op.cos(x)` asks the operand to make the call

    def apply(self, name: str, *operands: Any) -> Formula:
        """Return the call of a row of the table."""
        if name == "eq":
            return Formula(" == ".join(_formula(o).text for o in operands), SUM)
        return Formula(f"{name}({', '.join(_formula(o).text for o in operands)})")

    def within(self, strength: int) -> str:
        """Return the text, in parentheses where it binds less than `strength`."""
        return self.text if self.strength >= strength else f"({self.text})"

    def __add__(self, other: Any) -> Formula:
        return Formula(f"{self.within(SUM)} + {_formula(other).within(SUM)}", SUM)

    def __radd__(self, other: Any) -> Formula:
        return _formula(other) + self

    def __sub__(self, other: Any) -> Formula:
        return Formula(f"{self.within(SUM)} - {_formula(other).within(PRODUCT)}", SUM)

    def __rsub__(self, other: Any) -> Formula:
        return _formula(other) - self

    def __mul__(self, other: Any) -> Formula:
        return Formula(f"{self.within(PRODUCT)}*{_formula(other).within(PRODUCT)}", PRODUCT)

    def __rmul__(self, other: Any) -> Formula:
        return _formula(other) * self

    def __truediv__(self, other: Any) -> Formula:
        return Formula(f"{self.within(PRODUCT)}/{_formula(other).within(POWER)}", PRODUCT)

    def __rtruediv__(self, other: Any) -> Formula:
        return _formula(other) / self

    def __pow__(self, other: Any) -> Formula:
        return Formula(f"{self.within(ATOM)}**{_formula(other).within(ATOM)}", POWER)

    def __neg__(self) -> Formula:
        return Formula(f"-{self.within(PRODUCT)}", SUM)


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield START
    yield from table(("function", "SymPy", "derivatives", "at the edges", "convention"), map(meaning, TABLE))
    yield SPELLING
    yield from table(("function", "`python`", "`numpy`", "`numba`", "vectorised"), map(spelling, TABLE))


def table(head: Sequence[str], rows: Any) -> Iterator[str]:
    """Yield a table; an empty cell says nothing."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def meaning(row: Primitive) -> tuple[str, ...]:
    """Return the cells that say what a row means."""
    names = operands(row)
    edges = "; ".join(f"{row.name}({', '.join(map(number, at))}) = {number(value)}" for at, value in row.extremes)
    return code(row.name), code(sympy_form(row, names)), derivatives(row, names), edges, row.source


def spelling(row: Primitive) -> tuple[str, ...]:
    """Return the cells that say how a row is written."""
    names = operands(row)
    written = (code(text.format(*names)) for text in (row.python, row.numpy, row.numba))
    return code(row.name), *written, ", ".join(code(name) for name in VECTOR.get(row.name, ()))


def operands(row: Primitive) -> tuple[str, ...]:
    """Return names for the operands of a row: as many as its spelling has places."""
    arity = 1 + max(int(place) for place in re.findall(r"\{(\d)\}", row.python))
    return {1: ("x",), 2: ("a", "b"), 3: ("c", "a", "b")}[arity]


def sympy_form(row: Primitive, names: tuple[str, ...]) -> str:
    """Return what stands for a row in SymPy."""
    function: Callable[..., Any] = row.sympy
    if function.__name__ == "<lambda>" or function.__name__.startswith("_") or row.kind == "bool":
        return str(function(*sympy.symbols(names)))
    return f"{function.__name__}({', '.join(names)})"


def derivatives(row: Primitive, names: tuple[str, ...]) -> str:
    """Return the partial derivatives of a row as they stand in the table."""
    if row.partials is None:
        return STRUCTURAL.get(row.name, "")
    found = [partial(*map(Formula, (*names, "y"))) for partial in row.partials]
    return ", ".join("none" if part is NO_DERIVATIVE else code(_formula(part).text) for part in found)


def number(value: float) -> str:
    """Return a number, short: ``0``, ``-inf``, ``1.5708``."""
    return f"{value:g}"


def code(text: str) -> str:
    """Return text as code; a bar in it does not end the cell."""
    return f"`{text}`".replace("|", "\\|")


def _formula(operand: Any) -> Formula:
    if isinstance(operand, Formula):
        return operand
    return Formula(f"{operand:.17g}", PRODUCT if operand < 0 else ATOM)


if __name__ == "__main__":
    print("\n".join(page()))
