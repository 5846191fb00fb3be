"""The last gate: an emitted module is parsed again, and whatever is not plain arithmetic is refused.

Names come from users, and a name must never become code. Functions that are copied from the package's own files are
compared with them to the letter; everything else may hold known imports, assignments, loops over ranges, choices,
arithmetic, calls of known functions, allocated names and numbers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from gradcompile.emit import support
from gradcompile.emit.names import OTHERS
from gradcompile.errors import EmissionError
from gradcompile.garbage import uncollected

NUMBA = ("from numba import njit", "from numba import njit, types")
IMPORTS = frozenset(("import math", "import sys", "import numpy as np", *NUMBA))
FETCH = "from gradcompile.jit.fetch import fetch"
TEAM = "from gradcompile.jit.team import look, rest, swap"
TRAINING = frozenset((FETCH, TEAM))  # what the steps of a training import besides; they stay here
IMPORTED = ("fetch", "look", "rest", "swap")
MODULES = frozenset(("math", "np"))
NO_FUNCTIONS: Mapping[str, str] = MappingProxyType({})
PUBLIC: Mapping[str, str] = MappingProxyType(
    {
        "value": "Return the objective.",
        "grad": "Return the gradient.",
        "value_and_grad": "Return the objective and its gradient.",
        "derivatives": "Return derivatives of the objective.",
        "jvp": "Return the Jacobian times a direction, whose parts are the last arguments.",
        "vjp": "Return the last argument, of the objective's shape, times the Jacobian.",
        "jacobian": "Return the derivatives of the objective.",
        "hvp": "Return the Hessian times a direction, whose parts are the last arguments.",
        "hessian": "Return all second derivatives.",
    }
)  # the functions of a module, and what they say of themselves
CALLS = frozenset(("abs", "float", "int", "len", "range", "min", "max", "real", "slice"))
MATH = frozenset(
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh e erf erfc exp expm1 floor fmod gamma hypot inf"
    " isfinite isinf isnan lgamma log log10 log1p log2 nan pi pow sin sinh sqrt tan tanh".split()
)
NUMPY = frozenset(
    "abs add add.at arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh array asarray ascontiguousarray bool_"
    " broadcast_to cbrt ceil copysign cos cosh cumsum dot e einsum empty empty_like errstate exp expm1 eye float32"
    " float64 flip floor full full_like hypot inf int64 isfinite isinf isnan linalg.cholesky linalg.det linalg.inv"
    " linalg.slogdet linalg.solve log log1p logical_and logical_not logical_or max maximum mean min minimum mod"
    " moveaxis multiply nan negative newaxis ones ones_like outer pi power prod sign sin sinh sqrt square sum tan tanh"
    " tensordot trace transpose uint64 where zeros zeros_like".split()
)
NUMBERS = (int, float)
DECLARED = frozenset(ast.unparse(ast.parse(text)) for text in support.DECLARATIONS.values())
METHODS = frozenset(("T", "shape", "size", "astype", "copy", "transpose", "reshape", "sum"))
ALLOWED = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AugAssign, ast.For, ast.If, ast.Return,
    ast.Expr, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.Assert, ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.ListComp, ast.comprehension, ast.Set,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
STRINGS = frozenset(("__main__", "numpy", "contract", "reassoc", "nsz", "arcp", "afn", "ignore", OTHERS))
SUBSCRIPTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,->")  # of np.einsum
DTYPE = r"(, np\.float(32|64))?"
CHECKS = (
    rf"check\(sys\.argv\[1:\], value, value_and_grad, PROBLEM, \d+{DTYPE}\)"
    rf"( or check_products\(value_and_grad, hvp, PROBLEM, \d+{DTYPE}\))?",
    rf"check_map\(sys\.argv\[1:\], value, jvp, vjp, PROBLEM, \d+{DTYPE}\)",
)
WAIT = re.compile(r"look\(\w+, (0\) >= 0|48\) < \w+\[59\])")  # until other threads have put a number there
MAIN = re.compile(rf"if __name__ == '__main__':\n    sys\.exit\(({'|'.join(CHECKS)})\)")


def check(text: str, target: str, allocated: Iterable[str], functions: Mapping[str, str] = NO_FUNCTIONS) -> None:
    """Raise if a module holds anything that is not on the list.

    Parameters
    ----------
    text : str
        The module.
    target : {"python", "numpy", "numba"}
        Whose support functions it may define.
    allocated : iterable of str
        Every identifier that was allocated for it.
    functions : mapping of str to str
        Further functions that it may define and call, with their docstrings.

    Raises
    ------
    EmissionError
        What was found, and in which line.
    """
    try:
        with uncollected():
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise EmissionError("emitted text is not Python", found=str(error)) from error
    _Gate(text, target, frozenset(allocated), functions).module(tree)


class _Gate:
    """The walk through one module."""

    def __init__(self, text: str, target: str, allocated: frozenset[str], functions: Mapping[str, str]) -> None:
        self.lines = text.splitlines()
        self.copied = {n: support.source(target, n) for n in support.functions(target)} | support.checks(target)
        self.imports = IMPORTS | TRAINING if functions else IMPORTS
        self.public = frozenset((*PUBLIC, *functions, *(IMPORTED if functions else [])))
        self.docstrings = {*PUBLIC.values(), *functions.values()}
        self.subscripts: set[ast.Constant] = set()  # strings that say what np.einsum does
        self.callable = CALLS | self.public | {"njit"} | self.copied.keys()
        self.names = allocated | CALLS | self.public | MODULES | {"njit", "PROBLEM"} | self.copied.keys()

    def module(self, tree: ast.Module) -> None:
        for number, node in enumerate(tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.demand(ast.unparse(node) in self.imports, node, "this import")
            elif number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                self.demand(isinstance(node.value.value, str), node, "what is not a docstring")
            elif isinstance(node, ast.FunctionDef) and node.name in self.copied:
                same = self.source(node) == self.copied[node.name].rstrip("\n")
                self.demand(same, node, "a changed support function")
            elif isinstance(node, ast.Assign) and ast.unparse(node) in DECLARED:
                pass
            elif isinstance(node, ast.If):
                self.main(node)
            else:
                self.demand(isinstance(node, ast.FunctionDef | ast.Assign), node, "this statement")
                self.walk(node)

    def source(self, node: ast.FunctionDef) -> str:
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        return "\n".join(self.lines[first - 1 : node.end_lineno])

    def main(self, node: ast.If) -> None:
        self.demand(MAIN.fullmatch(ast.unparse(node)) is not None, node, "this statement")

    def walk(self, top: ast.AST) -> None:
        """Look at every node below `top`, without recursion; the three kinds that long code is made of come first."""
        stack: list[ast.AST] = [top]
        rules, names = self.rules, self.names
        while stack:
            node = stack.pop()
            kind = type(node)
            if kind is ast.Name:
                self.demand(node.id in names, node, node.id)  # type: ignore[attr-defined]  # a name has an id
            elif kind is ast.BinOp:
                stack += (node.left, node.right)  # type: ignore[attr-defined]  # any of Python's operators will do
            elif kind is not ast.Constant or type(node.value) not in NUMBERS:  # type: ignore[attr-defined]  # it has one
                if kind in rules:
                    rules[kind](node)
                elif not isinstance(node, ALLOWED):
                    self.demand(False, node, kind.__name__)
                stack += ast.iter_child_nodes(node)

    @property
    def rules(self) -> dict[type[ast.AST], Callable[..., None]]:
        return {
            ast.arg: self.argument,
            ast.Constant: self.constant,
            ast.Attribute: self.attribute,
            ast.Call: self.call,
            ast.For: self.loop,
            ast.While: self.wait,
            ast.FunctionDef: self.function,
            ast.Expr: self.expression,
            ast.Assert: self.planned,
        }

    def argument(self, node: ast.arg) -> None:
        self.demand(node.arg in self.names and node.annotation is None, node, node.arg)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str):
            known = value in STRINGS or value in self.names or value in self.docstrings or node in self.subscripts
            self.demand(known, node, repr(value))
        else:
            self.demand(value is None or isinstance(value, int | float), node, repr(value))

    def attribute(self, node: ast.Attribute) -> None:
        inner = node.value
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "np":
            self.demand(f"{inner.attr}.{node.attr}" in NUMPY, node, f"np.{inner.attr}.{node.attr}")
        elif isinstance(inner, ast.Name) and inner.id in MODULES:
            known = NUMPY if inner.id == "np" else MATH
            packages = ("linalg", "add") if inner.id == "np" else ()
            self.demand(node.attr in known or node.attr in packages, node, f"{inner.id}.{node.attr}")
        else:
            self.demand(node.attr in METHODS, node, f".{node.attr}")

    def call(self, node: ast.Call) -> None:
        function = node.func
        known = isinstance(function, ast.Attribute) or (isinstance(function, ast.Name) and function.id in self.callable)
        if not known or not all(k.arg for k in node.keywords):
            self.demand(False, node, f"a call of {ast.unparse(function)[:40]}")
        einsum = isinstance(function, ast.Attribute) and function.attr == "einsum"
        first = node.args[0] if einsum and node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and SUBSCRIPTS.issuperset(first.value):
            self.subscripts.add(first)

    def loop(self, node: ast.For) -> None:
        over = node.iter
        known = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range"
        self.demand(known and isinstance(node.target, ast.Name) and not node.orelse, node, "a loop over this")

    def wait(self, node: ast.While) -> None:
        self.demand(WAIT.fullmatch(ast.unparse(node.test)) is not None, node, "a loop while this is so")

    def function(self, node: ast.FunctionDef) -> None:
        plain = not (node.args.defaults or node.args.kwonlyargs or node.args.vararg or node.args.kwarg or node.returns)
        self.demand(plain and node.name in self.public, node, node.name)

    def planned(self, node: ast.Assert) -> None:
        equal = isinstance(node.test, ast.Compare) and all(isinstance(each, ast.Eq) for each in node.test.ops)
        says = isinstance(node.msg, ast.Constant) and node.msg.value == OTHERS
        self.demand(equal and says, node, "this assertion")

    def expression(self, node: ast.Expr) -> None:
        says = isinstance(node.value, ast.Constant) and node.value.value in self.docstrings
        known = isinstance(node.value, ast.Call) or says
        self.demand(known, node, "this expression")

    def demand(self, condition: bool, node: ast.AST, what: str) -> None:
        if not condition:
            line = getattr(node, "lineno", 0)
            text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
            raise EmissionError(
                "emitted code holds something that is not on the allow-list",
                text=text,
                found=f"{what} in line {line}",
                hint="report this: it is a defect of gradcompile, and nothing was written or run",
            )
