"""Functions that SymPy lacks, written out in those that it has, and found again where they stand in an expression.

The text language builds them, as in ``sigmoid(x) = 1/(1 + exp(-x))``, and prints them by their names. The compiler
finds these forms where they can be computed better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy

HALF, THIRD = sympy.Rational(1, 2), sympy.Rational(1, 3)
ZERO, ONE, TWO, MINUS = sympy.S.Zero, sympy.S.One, sympy.Integer(2), sympy.S.NegativeOne
Operands = tuple[Any, ...]


def add(*terms: Any) -> Any:
    """Return a sum as it is written."""
    return sympy.Add(*terms, evaluate=False)


def multiply(*factors: Any) -> Any:
    """Return a product as it is written."""
    return sympy.Mul(*factors, evaluate=False)


def power(base: Any, exponent: Any) -> Any:
    """Return a power as it is written."""
    return sympy.Pow(base, exponent, evaluate=False)


def minus(x: Any) -> Any:
    """Return ``-x``, the sign drawn into the number that leads a product."""
    if x.is_Number:
        return -x
    number, *factors = x.args if x.is_Mul and x.args[0].is_Number else (ONE, *(x.args if x.is_Mul else (x,)))
    if number != MINUS:
        factors = [-number, *factors]
    return factors[0] if len(factors) == 1 else multiply(*factors)


def _exp(x: Any) -> Any:
    return sympy.exp(x, evaluate=False)


def _log(x: Any) -> Any:
    return sympy.log(x, evaluate=False)


def _exponent(x: Any) -> Any:
    """Return y of ``exp(y)``."""
    if not isinstance(x, sympy.exp):
        raise TypeError(x)
    return x.args[0]


def _root(x: Any) -> Any:
    return power(x, HALF)


def _cbrt(x: Any) -> Any:
    return multiply(sympy.sign(x, evaluate=False), power(sympy.Abs(x, evaluate=False), THIRD))


def _gelu(x: Any) -> Any:
    return multiply(HALF, x, add(ONE, sympy.erf(multiply(x, power(TWO, -HALF)), evaluate=False)))


class Written(NamedTuple):
    """A function that is written out.

    word : its name
    build : operands -> the expression, nothing evaluated
    head : the class of the expression
    operands : the expression -> what the operands must be if it is this function; what does not fit may raise
    """

    word: str
    build: Callable[..., Any]
    head: type
    operands: Callable[[Any], Operands]


# The first row that fits is the one: a softplus is a log1p as well.
TABLE: tuple[Written, ...] = (
    Written("expm1", lambda x: add(MINUS, _exp(x)), sympy.Add, lambda e: (_exponent(e.args[1]),)),
    Written("softplus", lambda x: _log(add(ONE, _exp(x))), sympy.log, lambda e: (_exponent(e.args[0].args[1]),)),
    Written("log1p", lambda x: _log(add(ONE, x)), sympy.log, lambda e: (e.args[0].args[1],)),
    Written(
        "sigmoid",
        lambda x: power(add(ONE, _exp(minus(x))), MINUS),
        sympy.Pow,
        lambda e: (minus(_exponent(e.base.args[1])),),
    ),
    Written(
        "hypot",
        lambda x, y: _root(add(power(x, TWO), power(y, TWO))),
        sympy.Pow,
        lambda e: tuple(square.base for square in e.base.args),
    ),
    Written("sqrt", _root, sympy.Pow, lambda e: (e.base,)),
    Written("cbrt", _cbrt, sympy.Mul, lambda e: e.args[0].args),
    Written("gelu", _gelu, sympy.Mul, lambda e: (e.args[1],)),
    Written(
        "digamma",
        lambda x: sympy.polygamma(ZERO, x, evaluate=False),
        sympy.polygamma,
        lambda e: (e.args[1],),
    ),
)
WRITTEN: Mapping[str, Written] = MappingProxyType({row.word: row for row in TABLE})


def found_in(expr: Any) -> tuple[str, Operands] | None:
    """Return the function that an expression is, with its operands; None if it is none of the table.

    Examples
    --------
    >>> x = sympy.Symbol("x", real=True)
    >>> found_in(1/(1 + sympy.exp(-x)))
    ('sigmoid', (x,))
    """
    for row in TABLE:
        if isinstance(expr, row.head):
            try:
                operands = row.operands(expr)
                if all(isinstance(o, sympy.Expr) for o in operands) and row.build(*operands) == expr:
                    return row.word, operands
            except (AttributeError, IndexError, TypeError):  # another shape than the row's
                continue
    return None
