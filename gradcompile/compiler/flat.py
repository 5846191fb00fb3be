"""A model as a function of one flat array, which is what `scipy.optimize.minimize` and its like want."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradcompile.arguments import Argument, laid_out, no_numbers, numeric
from gradcompile.errors import ShapeError

Flat = NDArray[np.float64]
Shape = tuple[int, ...]
REAL = np.dtype(np.float64)


class FlatFunction:
    """``fun(flat) -> (value, flat gradient)``: the parameters one after another, in the order of `wrt`, in C order.

    Parameters
    ----------
    call : callable
        Value and tuple of gradients from checked arguments.
    arguments : sequence
        Checked arguments, in call order, the parameters first; the rest stay as they are.
    names : sequence of str
        The parameters.
    dtype : str
        Of the parameters that are arrays; the flat array and its gradient are float64.

    Examples
    --------
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, y = symbols("x y")
    >>> fun, start = gc.compile(x**2*y, wrt=[x, y]).ravel({"x": 3, "y": 2})
    >>> fun(start)
    (18.0, array([12.,  9.]))
    >>> fun.unravel(start)
    {'x': 3.0, 'y': 2.0}
    """

    def __init__(
        self, call: Callable[[Sequence[Argument]], Any], arguments: Sequence[Argument], names: Sequence[str], dtype: str
    ) -> None:
        self._call, self._names, self._dtype = call, tuple(names), dtype
        self._start, self._rest = list(arguments[: len(names)]), list(arguments[len(names) :])
        self._shapes: list[Shape] = [np.shape(value) for value in self._start]
        self._ends = np.cumsum([0, *(np.size(value) for value in self._start)]).tolist()

    def __call__(self, flat: ArrayLike) -> tuple[float, Flat]:
        """Return the value and the gradient at a flat array of all parameters."""
        value, gradients = self._call([*self._split(flat), *self._rest])
        return value, _joined(gradients)

    def start(self) -> Flat:
        """Return the parameters that the function was made with, as a flat array.

        Returns
        -------
        ndarray of float64
            One after another, in the order of `wrt`.
        """
        return _joined(self._start)

    def unravel(self, flat: ArrayLike) -> Mapping[str, Any]:
        """Return the parameters in a flat array by name, each with its own shape.

        Parameters
        ----------
        flat : array of float64
            As `scipy.optimize.minimize` returns it in ``result.x``.

        Returns
        -------
        mapping of str to array or float
            In the model's dtype.
        """
        return dict(zip(self._names, self._split(flat), strict=True))

    def _split(self, flat: ArrayLike) -> list[Argument]:
        array = laid_out("the flat array", numeric(flat, partial(no_numbers, "the flat array")), REAL)
        if array.shape != (self._ends[-1],):
            raise ShapeError(
                "the flat array has another shape",
                expected=f"({self._ends[-1]},)",
                found=str(array.shape),
                hint="start from the array that ravel returns: all parameters, one after another",
            )
        parts = zip(self._shapes, self._ends, self._ends[1:], strict=False)
        return [self._part(array[first:last], shape) for shape, first, last in parts]

    def _part(self, entries: Flat, shape: Shape) -> Argument:
        if not shape:
            return float(entries[0])
        return np.ascontiguousarray(entries, self._dtype).reshape(shape)


def _joined(parts: Sequence[Argument]) -> Flat:
    """Return arrays and numbers as one new flat array."""
    return np.concatenate([np.ravel(part) for part in parts], dtype=np.float64)
