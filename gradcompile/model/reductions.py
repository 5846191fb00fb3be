"""What runs over an index and SymPy does not have: the largest and the smallest value of an expression."""

from __future__ import annotations

from typing import Any, TypeAlias

import sympy
from sympy.concrete.expr_with_limits import AddWithLimits

Symbolic: TypeAlias = sympy.Basic  # a Symbol, an IndexedBase, a MatrixSymbol, or an expression in them


class MaxOver(AddWithLimits):  # type: ignore[misc]  # SymPy has no type hints
    """The largest value of an expression over an index; see `max_over`."""

    def __new__(cls, function: Symbolic, *limits: object, **options: object) -> MaxOver:
        """Make the expression, as `sympy.Sum` does."""
        made: MaxOver = AddWithLimits.__new__(cls, function, *limits, **options)
        return made

    def _eval_derivative(self, x: Symbolic) -> None:
        return None  # SymPy has no rule; gradcompile differentiates its own graph


class MinOver(MaxOver):
    """The smallest value of an expression over an index; see `min_over`."""


def reduction(head: Any, function: Symbolic, *limits: tuple[Symbolic, object, object]) -> Any:
    """Return ``head(function, *limits)`` with every Piecewise left where it stands.

    SymPy's constructor moves a Piecewise to the front of a sum, and out of inner sums too: out of the scope of their
    indices. ``Sum(Sum(Piecewise((x[r], r <= s), (0, True)), (r, 0, 3))**2, (s, 0, 3))`` has r outside of its sum.

    Parameters
    ----------
    head : class
        Sum, Product, MaxOver or MinOver.
    function : sympy expression
        What runs over the indices.
    *limits : (index, first, last)
        The ranges, the innermost first, as in `sympy.Sum`.
    """
    made = head(sympy.Dummy(), *limits)
    result = sympy.Basic.__new__(head, function, *made.limits)
    result.is_commutative = function.is_commutative  # as SymPy's constructor does
    return result


def max_over(function: Symbolic, *limits: tuple[Symbolic, object, object]) -> MaxOver:
    """Return the largest value of `function` over one or more indices, as `sympy.Sum` returns the sum.

    Equal largest values share the gradient equally.

    Parameters
    ----------
    function : sympy expression
        Any expression in the indices; dimensionless or in its own units.
    *limits : (index, first, last)
        The ranges, both ends included, as in `sympy.Sum`.

    Returns
    -------
    MaxOver
        An expression, for a model.

    Examples
    --------
    >>> import sympy
    >>> import gradcompile as gc
    >>> z, i = sympy.IndexedBase("z", shape=(3,)), sympy.Symbol("i", integer=True)
    >>> gc.compile(gc.max_over(z[i], (i, 0, 2)), wrt=[z]).value(z=[1.0, 5.0, 2.0])
    5.0
    """
    maximum: MaxOver = reduction(MaxOver, function, *limits)
    return maximum


def min_over(function: Symbolic, *limits: tuple[Symbolic, object, object]) -> MinOver:
    """Return the smallest value of `function` over one or more indices; see `max_over`.

    Parameters
    ----------
    function : sympy expression
        Any expression in the indices.
    *limits : (index, first, last)
        The ranges, both ends included, as in `sympy.Sum`.

    Returns
    -------
    MinOver
        An expression, for a model.

    Examples
    --------
    >>> import sympy
    >>> import gradcompile as gc
    >>> z, i = sympy.IndexedBase("z", shape=(3,)), sympy.Symbol("i", integer=True)
    >>> gc.compile(gc.min_over(z[i], (i, 0, 2)), wrt=[z]).value(z=[1.0, 5.0, 2.0])
    1.0
    """
    minimum: MinOver = reduction(MinOver, function, *limits)
    return minimum
