"""Emitted code at any precision: the text of a module, run with mpmath's numbers in place of floating point.

The text is what a user reads and what is compiled. Its syntax is walked once: quotients, powers and numbers become
calls, so that ``1/3`` is a third, and imports and decorators go. Then it runs as it stands, with mpmath's functions
under the names of `math`, NumPy and the support functions, and with arrays of objects.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from gradcompile.check import matrices
from gradcompile.check.arithmetic import ROWS, constant, elementwise
from gradcompile.jit import load
from gradcompile.vecmath import ORDERS, VECTOR

Array = NDArray[Any]
PUBLIC = ("value", "value_and_grad", "vjp")
MATH = {  # spelling in `math` or NumPy -> row of the table, where they differ
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "logical_not": "not", "mod": "mod",
}  # fmt: skip


class _Exactly(ast.NodeTransformer):
    """Makes arithmetic that Python would do in floating point a call."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.Div: "quotient", ast.Pow: "power", ast.Mod: "remainder"}.get(type(node.op))
        return node if name is None else _call(name, node.left, node.right)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return _call("constant", node) if isinstance(node.value, float) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = []
        self.generic_visit(node)
        return node


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def exact_text(source: str) -> str:
    """Return the public functions of a module with exact arithmetic, as text."""
    tree = ast.parse(source)
    kept: list[ast.stmt] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in PUBLIC]
    module = ast.Module([_Exactly().visit(node) for node in kept], [])
    return ast.unparse(ast.fix_missing_locations(module)) + "\n"


class Emitted:
    """The functions of an emitted module, of mpmath's numbers.

    Parameters
    ----------
    source : str
        The module, of any target, after its check against the allow-list.

    Examples
    --------
    >>> from sympy import log, symbols
    >>> import gradcompile as gc
    >>> x = symbols("x")
    >>> emitted = Emitted(gc.emit(log(x)/3, wrt=x, target="python"))
    >>> value, gradient = emitted.value_and_grad([mpf(2)], bits=100)
    >>> print(mp.nstr(gradient[0], 30))
    0.166666666666666666666666666667
    """

    def __init__(self, source: str) -> None:
        self.module = load(exact_text(source), compiled=False)
        self.lists = "np." not in source and "@njit" not in source
        vars(self.module).update(NAMES)

    def value_and_grad(self, arguments: Sequence[Any], *, bits: int) -> tuple[Any, tuple[Any, ...]]:
        """Return value and gradients for exact arguments in call order, computed with so many binary digits."""
        value, gradients = self._called("value_and_grad", arguments, bits)
        return value, _parts(gradients)

    def vjp(self, arguments: Sequence[Any], *, bits: int) -> tuple[Any, ...]:
        """Return weights, which are the last argument, times the Jacobian."""
        return _parts(self._called("vjp", arguments, bits))

    def _called(self, name: str, arguments: Sequence[Any], bits: int) -> Any:
        given = [a.tolist() if self.lists and isinstance(a, np.ndarray) else _own(a) for a in arguments]
        with mp.workprec(bits):
            return getattr(self.module, name)(*given)


def _parts(gradients: Any) -> tuple[Any, ...]:
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return tuple(np.asarray(g, object) if np.ndim(g) else g for g in gradients)


def _own(argument: Any) -> Any:
    """Return an argument: labels as an array of whole numbers, a number as it is."""
    if not isinstance(argument, np.ndarray):
        return argument
    if argument.ndim == 0:
        return argument.item()
    return argument.astype(np.int64) if all(isinstance(e, int) for e in argument.flat) else argument.copy()


class _Mathematics:
    """`math`, in mpmath."""

    pi = property(lambda self: +mp.pi)
    e = property(lambda self: +mp.e)
    inf, nan = mp.inf, mp.nan

    def __getattr__(self, name: str) -> Any:
        return elementwise(ROWS[MATH.get(name, name)])


class _Arrays(_Mathematics):
    """The part of NumPy that emitted code calls: its own functions move numbers, mpmath's compute them."""

    float64 = float32 = "mpmath"
    int64, newaxis = np.int64, None
    add = np.add

    class linalg:  # noqa: N801  (it stands for np.linalg)
        """Matrix functions."""

        inv, det, cholesky, solve = matrices.inverse, matrices.determinant, matrices.cholesky, matrices.solve

    @staticmethod
    def asarray(a: Any, dtype: Any = None) -> Any:
        """Return numbers as they are."""
        return np.asarray(a, object) if isinstance(a, list) else a

    @staticmethod
    def zeros(shape: Any, dtype: Any = None) -> Array:
        """Return an array of zeros."""
        return np.full(shape, mpf(0), object)

    empty = zeros

    @staticmethod
    def zeros_like(a: Any) -> Any:
        """Return zeros of the same shape."""
        return np.full(np.shape(a), mpf(0), object)

    @staticmethod
    def full_like(a: Any, fill: Any) -> Any:
        """Return one number everywhere."""
        return np.full(np.shape(a), fill, object)

    def __getattr__(self, name: str) -> Any:
        row = MATH.get(name, name)
        return elementwise(ROWS[row]) if row in ROWS and name not in ("add", "sum", "max", "min") else getattr(np, name)


BLOCK = 3  # samples that are taken at once: as few as tell blocks from the whole


def _gemm(alpha: Any, a: Array, b: Array, beta: Any, c: Array) -> None:
    """Set c to alpha*a@b + beta*c, as BLAS does."""
    c[...] = (a @ b) * alpha + (c * beta if beta else 0)


def _as_given(*values: Any) -> Any:
    """Return arguments, as `as_float64` does."""
    return values


NAMES: dict[str, Any] = {
    **{name: elementwise(ROWS[row]) for row in ROWS for name in (row, *VECTOR.get(row, ()))},
    **{name: elementwise(ROWS[row]) for row in ORDERS for name in (f"v{row}", f"v{row}32")},
    **dict.fromkeys(("vtrigamma", "vtrigamma32"), elementwise(lambda x: ROWS["polygamma"](1, x))),
    "quotient": elementwise(ROWS["div"]),
    "power": elementwise(ROWS["pow"]),
    "remainder": elementwise(ROWS["mod"]),
    "constant": constant,
    "math": _Mathematics(),
    "np": _Arrays(),
    "float": elementwise(ROWS["real"]),
    "real": elementwise(ROWS["real"]),
    "abs": abs,
    "as_float64": _as_given,
    "as_float32": _as_given,
    "as_labels": lambda labels: labels,
    "gemm": _gemm,
    "rolled": lambda length: length,
    **dict.fromkeys(("vwhen", "vwhen32"), lambda condition, x: x if condition else mpf(0)),
    **dict.fromkeys(("vunless", "vunless32"), lambda condition, x: mpf(0) if condition else x),
    "samples_in_block": lambda width: BLOCK,
    "samples_to_multiply": lambda width, samples: BLOCK,
    "samples_of_rows": lambda width, samples, rows: BLOCK,
    "inverse": matrices.inverse,
    "solve": matrices.solve,
    "determinant": matrices.determinant,
    "logdet": matrices.logdet,
}
