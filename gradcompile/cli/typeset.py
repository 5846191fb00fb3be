"""A listing as LaTeX: one equation a line. The derivative of the objective by v is written as v with a bar."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
SHORT = MappingProxyType({"lam": r"\lambda"})
SPLIT = re.compile(r"([A-Za-z]+?)_?([0-9]*)", re.ASCII)
SPECIAL = MappingProxyType({c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}"})

ADD, MULTIPLY, SIGN, POWER, ATOM = range(1, 6)
FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {name: rf"\{name}" for name in "exp log sin cos tan sinh cosh tanh max min".split()}
    | {"maximum": r"\max", "minimum": r"\min", "arcsin": r"\arcsin", "arccos": r"\arccos", "arctan": r"\arctan"}
)
SUMS: Mapping[str, str] = MappingProxyType({"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min"})
COMPARED: Mapping[type, str] = MappingProxyType(
    {ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge", ast.Eq: "=", ast.NotEq: r"\ne"}
)
Text = tuple[str, int]  # LaTeX, and how strongly it holds together


def equations(listing: str) -> Iterator[tuple[str, str]]:
    r"""Yield (half, equation) for every line of a listing, the half being "forward" or "backward".

    Parameters
    ----------
    listing : str
        Lines of NumPy: assignments, additions in place, and comments that name the halves.

    Examples
    --------
    >>> for half, equation in equations("# forward\na = x*w1\nf = np.exp(a)\n# backward\ndf = 1\nda = f*df"):
    ...     print(half, equation)
    forward a &= x\,w_{1}
    forward f &= \exp\left(a\right)
    backward \overline{f} &= 1
    backward \overline{a} &= f\,\overline{f}
    """
    lines = listing.splitlines()
    turn = next((k for k, line in enumerate(lines, start=1) if line.strip() == "# backward"), len(lines) + 1)
    writer = _Writer()
    for statement in ast.parse(listing).body:
        backward = statement.lineno > turn
        yield "backward" if backward else "forward", writer.equation(statement, backward)


def symbol(name: str) -> str:
    """Return a name as mathematics: ``w1`` with an index, ``alpha`` as a Greek letter, words upright."""
    match = SPLIT.fullmatch(name)
    if match is None:
        return rf"\mathrm{{{escaped(name)}}}"
    word, number = match.groups()
    letter = SHORT.get(word) or (f"\\{word}" if word in GREEK else word if len(word) == 1 else rf"\mathrm{{{word}}}")
    return f"{letter}_{{{number}}}" if number else letter


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(c, c) for c in text)


class _Writer:
    """Writes statements, and remembers which names are arrays and which are derivatives."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.barred: set[str] = set()

    def equation(self, statement: ast.stmt, backward: bool) -> str:
        """Return a statement as an equation."""
        match statement:
            case ast.Assign(targets=[target], value=value):
                right = self.loose(value)
                return f"{self._target(target, backward)} &= {right}"
            case ast.AugAssign(target=target, op=sign, value=value):
                left = self._target(target, backward)
                mark = "-" if isinstance(sign, ast.Sub) else "+"
                return rf"{left} &\leftarrow {left} {mark} {self._held(value, MULTIPLY)}"
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="at"), args=[array, place, value])):
                left = f"{self._held(array, ATOM)}_{{{self._place(place)}}}"
                return rf"{left} &\leftarrow {left} + {self._held(value, MULTIPLY)}"
        return rf"&\texttt{{{escaped(ast.unparse(statement))}}}"

    def loose(self, node: ast.expr) -> str:
        """Return an expression."""
        return self._write(node)[0]

    def _target(self, target: ast.expr, backward: bool) -> str:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                if backward and node.id.startswith("d") and len(node.id) > 1:
                    self.barred.add(node.id)
                self.known.add(node.id)
        if isinstance(target, ast.Tuple):
            return ", ".join(self.loose(element) for element in target.elts)
        return self.loose(target)

    def _held(self, node: ast.expr, strength: int) -> str:
        """Return an expression, in brackets if it holds together less than `strength`."""
        text, own = self._write(node)
        return text if own >= strength else rf"\left({text}\right)"

    def _write(self, node: ast.expr) -> Text:
        match node:
            case ast.Constant(value=value):
                return escaped(str(value)), ATOM
            case ast.Name(id=name):
                return (rf"\overline{{{symbol(name[1:])}}}" if name in self.barred else symbol(name)), ATOM
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"-{self._held(operand, MULTIPLY)}", ADD
            case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
                return rf"\lnot {self._held(operand, ATOM)}", SIGN
            case ast.BinOp():
                return self._operation(node)
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                return f"{self._held(left, ADD)} {COMPARED.get(type(sign), '?')} {self._held(right, ADD)}", 0
            case ast.Attribute(value=ast.Name(id="np"), attr=name):
                return rf"\{name}" if name in GREEK else name, ATOM
            case ast.Attribute(value=array, attr="shape"):
                return rf"\operatorname{{shape}} {self._held(array, ATOM)}", ATOM
            case ast.Attribute(value=value, attr="T"):
                return rf"{self._held(value, ATOM)}^{{\top}}", POWER
            case ast.Subscript(value=ast.Attribute(value=array, attr="shape"), slice=place):
                return rf"\operatorname{{length}}_{{{self._place(place)}}} {self._held(array, ATOM)}", ATOM
            case ast.Subscript(value=value, slice=place):
                where = self._place(place)
                return (
                    f"{{{self._held(value, ATOM)}}}_{{{where}}}" if where.strip(":, ") else self._held(value, ATOM)
                ), ATOM
            case ast.Call():
                return self._call(node)
        return rf"\texttt{{{escaped(ast.unparse(node))}}}", ATOM

    def _operation(self, node: ast.BinOp) -> Text:
        """Return a sum, product, quotient, power or matrix product."""
        left, right = node.left, node.right
        match node.op:
            case ast.Add():
                return f"{self._held(left, ADD)} + {self._held(right, ADD)}", ADD
            case ast.Sub():
                return f"{self._held(left, ADD)} - {self._held(right, MULTIPLY)}", ADD
            case ast.Mult():
                first = self._held(left, ADD if isinstance(left, ast.UnaryOp) else MULTIPLY)
                return rf"{first}\,{self._held(right, MULTIPLY)}", ADD if first.startswith("-") else MULTIPLY
            case ast.MatMult():
                return rf"{self._held(left, MULTIPLY)} \cdot {self._held(right, SIGN)}", MULTIPLY
            case ast.Div():
                return rf"\frac{{{self.loose(left)}}}{{{self.loose(right)}}}", SIGN
            case ast.Pow():
                return f"{{{self._held(left, ATOM)}}}^{{{self.loose(right)}}}", POWER
        return rf"\texttt{{{escaped(ast.unparse(node))}}}", ATOM

    def _call(self, node: ast.Call) -> Text:
        """Return a function of its arguments."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        write: Callable[[ast.Call], Text] | None = {
            "sqrt": lambda call: (rf"\sqrt{{{self.loose(call.args[0])}}}", ATOM),
            "abs": lambda call: (rf"\left|{self.loose(call.args[0])}\right|", ATOM),
            "where": self._cases,
            "einsum": self._contraction,
            "transpose": self._transposed,
            "copy": lambda call: self._write(call.func.value),
            "broadcast_to": lambda call: self._write(call.args[0]),
            "full_like": lambda call: self._write(call.args[1]),
            "zeros_like": lambda call: ("0", ATOM),
            "zeros": lambda call: ("0", ATOM),
        }.get(name)
        if write is not None:
            return write(node)
        axis = next((self.loose(word.value) for word in node.keywords if word.arg == "axis"), "")
        if name in SUMS and len(node.args) == 1:
            under = rf"_{{\text{{axis }}{axis}}}" if axis else ""
            return rf"{SUMS[name]}{under} {self._held(node.args[0], MULTIPLY)}", MULTIPLY
        arguments = ", ".join(self.loose(argument) for argument in node.args)
        head = FUNCTIONS.get(name) or rf"\operatorname{{{escaped(name)}}}"
        return rf"{head}\left({arguments}\right)", ATOM

    def _cases(self, call: ast.Call) -> Text:
        condition, yes, no = (self.loose(argument) for argument in call.args)
        return rf"\begin{{cases}} {yes} & {condition} \\ {no} & \text{{otherwise}} \end{{cases}}", ATOM

    def _contraction(self, call: ast.Call) -> Text:
        """Return ``einsum("ij,jk->ik", A, B)`` as a sum over the indices that the result does not have."""
        spelling = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
        inputs, _, result = str(spelling).partition("->")
        summed = "".join(dict.fromkeys(c for c in inputs if c.isalpha() and c not in result))
        operands = zip(inputs.split(","), call.args[1:], strict=True)
        factors = r"\,".join(f"{{{self._held(operand, ATOM)}}}_{{{letters}}}" for letters, operand in operands)
        return (rf"\sum_{{{summed}}} " if summed else "") + factors, MULTIPLY

    def _transposed(self, call: ast.Call) -> Text:
        assert isinstance(call.func, ast.Attribute)
        axes = ", ".join(self.loose(argument) for argument in call.args)
        return rf"{self._held(call.func.value, ATOM)}^{{\top({axes})}}", POWER

    def _place(self, place: ast.expr) -> str:
        """Return an index: new axes are left out, and all of an axis is a colon."""
        parts = place.elts if isinstance(place, ast.Tuple) else [place]
        shown = [self._index(part) for part in parts if not (isinstance(part, ast.Constant) and part.value is None)]
        return ", ".join(shown)

    def _index(self, part: ast.expr) -> str:
        if isinstance(part, ast.Slice):
            return f"{self.loose(part.lower) if part.lower else ''}:{self.loose(part.upper) if part.upper else ''}"
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "arange":
            return ":"
        return self.loose(part)
