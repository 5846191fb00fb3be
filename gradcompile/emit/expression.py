"""Expressions: a value printed in a target's syntax, with the parentheses that it needs and no others.

The table's spellings are parsed once, so that their precedence is known and not declared. Printing never changes the
order of evaluation: right operands of + and * keep their parentheses. The walk has its own stack.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial, reduce
from typing import NamedTuple

from gradcompile.emit.names import Names
from gradcompile.errors import EmissionError
from gradcompile.ir import LARGE, Value, nearest_float
from gradcompile.primitives import PRIMITIVES

Text = tuple[str, int]  # an expression and its precedence
NameOf = Callable[[Value], str | Text | None]  # what stands for a value; a name binds as tightly as can be

# Precedence, loosest first. A remainder and a product of matrices are printed as if looser than a product:
# ``(x % 3)*2``, ``-(x % 3)``, ``(x @ W)*y``.
ANY, OR, AND, NOT, COMPARE, BITOR, BITAND, ADD, MOD, MATMUL, MUL, UNARY, POW, ATOM = range(14)
NODES: dict[type[ast.AST], int] = {
    ast.IfExp: ANY, ast.Or: OR, ast.And: AND, ast.Not: NOT, ast.Compare: COMPARE, ast.BitOr: BITOR, ast.BitAnd: BITAND,
    ast.Add: ADD, ast.Sub: ADD, ast.Mod: MOD, ast.Mult: MUL, ast.Div: MUL, ast.USub: UNARY, ast.Invert: UNARY,
    ast.Pow: POW,
}  # fmt: skip
MOST_IN_TURN = 16  # operands of a maximum that are taken one after the other


class Template(NamedTuple):
    """A spelling: text with holes, what each hole needs, and how tightly the whole binds."""

    pieces: tuple[str | int, ...]  # text, or the number of an operand
    needs: dict[int, int]
    precedence: int
    support: tuple[str, ...]  # functions of the target's support file that it calls


@cache
def template(spelling: str) -> Template:
    """Parse a spelling of the table."""
    tree = ast.parse(re.sub(r"\{(\d)\}", r"_\1", spelling), mode="eval").body
    needs: dict[int, int] = {}
    _needs(tree, ANY, needs)
    support = tuple(n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
    compact = re.sub(r" (\*\*|\*|/) ", r"\1", spelling)
    pieces = [int(p) if p.isdigit() and k % 2 else p for k, p in enumerate(re.split(r"\{(\d)\}", compact))]
    own = tuple(name for name in support if name not in ("abs", "float"))
    return Template(tuple(p for p in pieces if p != ""), needs, _precedence(tree), own)


def _operator(node: ast.expr) -> ast.AST:
    return node.op if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp) else node


def _precedence(node: ast.expr) -> int:
    return NODES.get(type(_operator(node)), ATOM)


def _needs(node: ast.expr, need: int, needs: dict[int, int]) -> None:
    """Note how tightly each hole below `node` must bind; `node` itself stands where `need` is needed."""
    if isinstance(node, ast.Name) and node.id.startswith("_"):
        needs[int(node.id[1:])] = need
    own = _precedence(node)
    if isinstance(node, ast.BinOp):
        _needs(node.left, {MOD: POW, POW: ATOM}.get(own, own), needs)
        _needs(node.right, {MOD: POW, MUL: POW, POW: ATOM}.get(own, own + 1), needs)
    elif isinstance(node, ast.UnaryOp):
        _needs(node.operand, POW if own == UNARY else own, needs)
    elif isinstance(node, ast.Compare):
        _needs(node.left, COMPARE + 1, needs)
        _needs(node.comparators[0], COMPARE + 1, needs)
    elif isinstance(node, ast.BoolOp):
        _needs(node.values[0], own, needs)
        _needs(node.values[1], own + 1, needs)
    elif isinstance(node, ast.IfExp):
        for part in (node.body, node.test, node.orelse):
            _needs(part, OR, needs)
    elif isinstance(node, ast.Call):
        for argument in node.args:
            _needs(argument, ANY, needs)


class Printer:
    """Prints values as expressions of one target.

    Parameters
    ----------
    target : {"python", "numpy", "numba"}
        Which spelling of the table to use.
    names : Names
        Identifiers of sizes and axes.

    Attributes
    ----------
    support : set of str
        The support functions that were printed so far.
    """

    def __init__(self, target: str, names: Names) -> None:
        self.target, self.names = target, names
        self.support: set[str] = set()
        self.module = "np" if target == "numpy" else "math"

    def render(self, value: Value, name_of: NameOf, *, whole: bool = False, need: int = ANY) -> str:
        """Return a value as text.

        Parameters
        ----------
        value : Value
            What to print.
        name_of : callable
            What stands for a value: an identifier, ``x[s, j]``, an expression with its precedence; or None where its
            operation is to be written out.
        whole : bool
            Write out the value's own operation even if it has a name: the right side of its assignment.
        need : int
            How tightly the text must bind where it will stand; else it gets parentheses.
        """
        return parenthesised(self.text(value, name_of, whole=whole), need)

    def call(self, op: str, *operands: str) -> str:
        """Return a row of the table, spelled as a call, of operands that are text already."""
        form = template(str(getattr(PRIMITIVES[op], self.target)))
        self.support.update(form.support)
        return "".join(piece if isinstance(piece, str) else operands[piece] for piece in form.pieces)

    def text(self, root: Value, name_of: NameOf, *, whole: bool = False) -> Text:
        """Return the text and the precedence of a value; see `render`."""
        done: dict[Value, Text] = {}
        stack: list[tuple[Value, bool]] = [(root, False)]
        while stack:
            value, ready = stack.pop()
            name = None if ready or (whole and value is root) else name_of(value)
            if value in done:
                continue
            if name is not None:
                done[value] = (name, ATOM) if isinstance(name, str) else name
            elif ready or not value.operands:
                done[value] = self.operation(value, [done.get(o, ("", ATOM)) for o in value.operands])
            else:
                stack.append((value, True))
                stack.extend((o, False) for o in self.children(value) if o not in done)
        return done[root]

    def children(self, value: Value) -> tuple[Value, ...]:
        """Return the operands whose text is needed for that of the value."""
        return value.operands[1:] if value.op == "read" else value.operands

    def operation(self, value: Value, operands: list[Text]) -> Text:
        """Return one operation, given the text of its operands."""
        if value.op in PRIMITIVES:
            return self.row(value, operands)
        if value.op == "read":
            return self.read(value, [text for text, _ in operands[1:]]), ATOM
        if value.op == "const":
            return self.const(value)
        if value.op == "size":
            text = self.names.size(value.attr)
            return text, ATOM if text.isidentifier() else MUL if "+" not in text and " - " not in text else ADD
        if value.op == "iota":
            return self.iota(value), ATOM
        raise EmissionError(f"'{value.op}' cannot stand inside an expression", found=repr(value))

    def row(self, value: Value, operands: list[Text]) -> Text:
        """Return a row of the table in this target's spelling."""
        if len(operands) > 2 and value.op in ("maximum", "minimum"):
            return self.row_of_many(value, operands)
        form = template(self.spelling(value))
        self.support.update(form.support)
        if form.pieces == (0,):
            return operands[0]
        if value.op == "neg" and value.operands[0].op in ("mul", "div") and operands[0][1] == MUL:
            product = operands[0][0]  # the sign of its first factor is that of all of it
            return product[1:] if product.startswith("-") else f"-{product}", MUL
        signs = form.precedence in (ADD, MOD, MUL)  # where a sign must not follow an operator
        exact = value.op == "add" and value.kind == "int"  # 1 + (n + k) is 1 + n + k, without rounding
        parts = [
            piece
            if isinstance(piece, str)
            else _fitted(operands[piece], ADD if exact else form.needs[piece], sign=k == 0 or not signs)
            for k, piece in enumerate(form.pieces)
        ]
        return "".join(parts), form.precedence

    def row_of_many(self, value: Value, operands: list[Text]) -> Text:
        """Return a maximum or minimum of several operands, taken two at a time.

        That of many is one of halves: Python allows for 200 parentheses inside of one another.
        """
        texts = [text for text, _ in operands]
        while len(texts) > MOST_IN_TURN:
            pairs = [texts[k : k + 2] for k in range(0, len(texts), 2)]
            texts = [self.call(value.op, *pair) if len(pair) > 1 else pair[0] for pair in pairs]
        return reduce(partial(self.call, value.op), texts), ATOM

    def spelling(self, value: Value) -> str:
        """Return the spelling of a row. A power of a negative number must be an error or nan, not complex."""
        row = PRIMITIVES[value.op]
        if self.target == "python" and value.op == "pow" and value.operands[1].kind != "int":
            return "math.pow({0}, {1})"
        return str(getattr(row, self.target))

    def read(self, value: Value, indices: list[str]) -> str:
        """Return an element of an array that has a name."""
        return f"{self.names.value(value.operands[0])}[{', '.join(indices)}]"

    def iota(self, value: Value) -> str:
        """Return an index as a number."""
        return self.names.axis(value.attr)

    def const(self, value: Value) -> Text:
        """Return a number."""
        return number(value.attr, self.module)


def parenthesised(text: Text, need: int) -> str:
    """Return the text, in parentheses if it binds less tightly than `need`."""
    return text[0] if text[1] >= need else f"({text[0]})"


def as_factor(size: str) -> str:
    """Return the text of a size as it stands in a product: a sum of sizes in parentheses."""
    return size if size.isidentifier() or size.isdigit() else f"({size})"


def _fitted(text: Text, need: int, *, sign: bool) -> str:
    """Return an operand as it must stand; with a sign in front only where `sign` allows it."""
    fitted = parenthesised(text, need)
    return fitted if sign or not fitted.startswith("-") else f"({fitted})"


def number(attr: object, module: str) -> Text:
    """Return a constant as Python source: ``2``, ``1/3``, ``0.1``, ``math.pi``, ``-np.inf``."""
    if isinstance(attr, str):
        return f"{module}.{attr}", ATOM
    if isinstance(attr, bool):
        return str(attr), ATOM
    if isinstance(attr, Fraction) and abs(attr.numerator) <= LARGE and attr.denominator <= LARGE:
        return f"{attr.numerator}/{attr.denominator}", MUL
    if isinstance(attr, int) and abs(attr) <= LARGE:
        return str(attr), ATOM if attr >= 0 else UNARY
    assert isinstance(attr, int | float | Fraction)
    real = nearest_float(attr)
    text = repr(abs(real)) if math.isfinite(real) else f"{module}.{'nan' if math.isnan(real) else 'inf'}"
    return (f"-{text}", UNARY) if math.copysign(1, real) < 0 and not math.isnan(real) else (text, ATOM)
