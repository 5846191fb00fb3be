"""Formulas as they are shown: drawn as on paper, in LaTeX, or as text where SymPy's printers would not come to an end.

SymPy prints by recursion. A formula that is nested deeply is printed by the printer of the text language, which is not.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter

from gradcompile.cli.typeset import escaped, symbol
from gradcompile.errors import GradcompileError
from gradcompile.model.formula import Formulas

LARGEST = 400  # operations of a formula that is drawn; a larger one is printed on a line
DEEPEST = 40  # levels of a formula that SymPy prints
LONGEST = 10_000  # characters of a formula that is printed as text


def drawn(formula: Any) -> str:
    """Return a formula as on paper, or on one line if it is large."""
    if _is_deep(formula) or sympy.count_ops(formula) > LARGEST:
        return written(formula)
    text: str = sympy.pretty(formula, wrap_line=False, use_unicode=True)
    return text


def typeset(formula: Any) -> str:
    """Return a formula in LaTeX, or as a text in it if it is nested too deeply; names look as in the equations."""
    if _is_deep(formula):
        return rf"\texttt{{{escaped(written(formula))}}}"
    names = {each: symbol(each.name) for each in formula.atoms(sympy.Symbol)}
    return str(_Latex({"symbol_names": names}).doprint(formula))


class _Latex(LatexPrinter):  # type: ignore[misc]  # SymPy has no type hints
    """SymPy's printer, which hands the exponent of a power to what prints its base, and a choice takes none."""

    def _print_Piecewise(self, expr: Any, exp: str = "") -> str:
        text = super()._print_Piecewise(expr)
        return rf"\left({text}\right)^{{{exp}}}" if exp else str(text)


def written(formula: Any) -> str:
    """Return a formula on one line."""
    if not _is_deep(formula):
        return str(formula)
    try:
        text = Formulas({}, ()).text(formula)
    except GradcompileError:  # matrices, nested deeply
        return "a formula that is nested too deeply to print"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _is_deep(formula: Any) -> bool:
    """Return whether a formula has more levels than SymPy's printers should walk down."""
    level, seen = [formula], set[int]()
    for _ in range(DEEPEST):
        level = [part for expr in level for part in getattr(expr, "args", ()) if id(part) not in seen]
        seen.update(map(id, level))
        if not level:
            return False
    return True
