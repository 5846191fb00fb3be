"""Anything that NumPy accepts as an array of real numbers, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from gradcompile.errors import ArgumentError

Array = np.ndarray[Any, np.dtype[Any]]

REAL = "biuf"  # NumPy's kinds of real numbers
KINDS = {
    "U": "text",
    "S": "bytes",
    "T": "text",
    "c": "complex numbers",
    "O": "Python objects",
    "M": "dates",
    "m": "times",
    "V": "records",
}

NUMBERS = (Real, Decimal)  # Decimals, as databases have, are real numbers that Python's classes do not tell of


def numeric(value: object, refused: Callable[[str], Exception]) -> Array:
    """Return `value` as an array of real numbers, in whatever dtype it comes.

    Parameters
    ----------
    value : object
        What a user gives.
    refused : callable
        ``refused(found)`` is the error that is raised for what holds no real numbers, which `found` says in words.

    Examples
    --------
    >>> numeric([1, 2.5], ValueError).dtype
    dtype('float64')
    >>> numeric("1", ValueError)
    Traceback (most recent call last):
        ...
    ValueError: '1'
    """
    if type(value) is np.ndarray and value.dtype.kind in REAL:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise refused("an array with masked entries")
    if isinstance(value, NUMBERS) and not isinstance(value, (int, float, np.generic)):
        value = float(value)  # a Fraction
    try:
        array = np.asarray(value)
    except Exception:  # any array-like may refuse in its own way
        ragged = isinstance(value, (list, tuple))
        raise refused("rows of unequal lengths" if ragged else f"an object of type {type(value).__name__}") from None
    if array.dtype == object and array.ndim == 0 and type(value) is int:
        return np.asarray(_as_float(value))
    if array.dtype == object and array.ndim and all(isinstance(each, NUMBERS) for each in array.flat):
        return _as_floats(array)
    if array.dtype.kind not in REAL:
        raise refused(_described(value, array))
    return array


def _as_floats(array: Array) -> Array:
    """Return Python's numbers, as whole ones beyond 64 bits and Fractions, in an array of floats."""
    return np.array([_as_float(each) for each in array.flat]).reshape(array.shape)


def _as_float(number: Any) -> float:
    """Return the nearest float; infinity beyond all of them."""
    try:
        return float(number)
    except OverflowError:
        return float(np.inf if number > 0 else -np.inf)


def no_numbers(name: str, found: str) -> ArgumentError:
    """Return the error for something of this name that holds no real numbers."""
    what, hint = f"{name} does not hold real numbers", "give an array of real numbers"
    return ArgumentError(what, expected="real numbers", found=found, hint=hint)


def _described(value: object, array: Array) -> str:
    """Return what a thing without numbers is."""
    if array.ndim:
        found = f"an array of {KINDS.get(array.dtype.kind, array.dtype)}, shape {array.shape}"
        return found if array.dtype != object else found + _first_without_number(array)
    says = isinstance(value, (str, bytes, complex)) or value is None
    return f"{value!r:.40}" if says else f"an object of type {type(value).__name__}"


def _first_without_number(array: Array) -> str:
    """Return the first of Python's objects that is no number, for a message: ``, [2, 0] is 'low'``."""
    for at, entry in np.ndenumerate(array):
        if not isinstance(entry, NUMBERS):
            says = isinstance(entry, (str, bytes, complex)) or entry is None
            shown = f"{entry!r:.40}" if says else f"an object of type {type(entry).__name__}"
            return f"; {list(at)} is {shown}"
    return ""
