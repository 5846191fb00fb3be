"""Copies of arguments: made only where a kernel needs another layout, and told of in the plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradcompile.errors import TooLargeError

Array = np.ndarray[Any, np.dtype[Any]]
FITTING = 0x1 | 0x100  # the bits of NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED in an array's flags
LARGE = 2**20  # bytes of a copy that is better made of some rows at a time: the system would clear all of it before
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def laid_out(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array in C order, aligned, in this dtype and the machine's byte order: itself, if it is so.

    Raises
    ------
    TooLargeError
        A copy is needed, and there is no memory for it.
    """
    if array.dtype == dtype and fits(array):
        return array
    try:
        with np.errstate(over="ignore"):  # a number beyond float32 is an infinity, as IEEE 754 says
            return np.require(array, dtype, ("C", "A"))
    except (MemoryError, ValueError):  # NumPy's two words for more than there is
        what = f"{name} has to be copied, since {why(array, dtype)}, and there is no memory for the copy"
        found = f"shape {array.shape}, {size(array.size * dtype.itemsize)}"
        hint = f"give {name} in C order as {dtype}, or fewer entries at a time"
        raise TooLargeError(what, found=found, hint=hint) from None


def is_laid_out(argument: object, dtype: np.dtype[Any]) -> bool:
    """Return whether an argument is a number, or an array in C order, aligned, in this dtype and native byte order."""
    return not isinstance(argument, np.ndarray) or (argument.dtype == dtype and fits(argument))


def fits(array: Array) -> bool:
    """Return whether an array is in C order and aligned."""
    return array.flags.num & FITTING == FITTING


def may_wait(array: Array, dtype: np.dtype[Any]) -> bool:
    """Return whether an array that does not fit may be copied by and by: it is large, and not broadcast from less."""
    return array.size * dtype.itemsize >= LARGE and 0 not in array.strides


def told(given: Iterable[tuple[str, object, object, np.dtype[Any]]]) -> tuple[str, ...]:
    """Return in words which arrays are copied, and why.

    Parameters
    ----------
    given : iterable of (str, object, object, dtype)
        An argument's name, what was given, what was made of it, and the dtype that the kernel takes.
    """
    return tuple(
        f"{name} is copied in every call, since {why(array, dtype)}"
        for name, array, new, dtype in given
        if isinstance(array, np.ndarray)
        and isinstance(new, np.ndarray)
        and not (is_laid_out(new, dtype) and np.may_share_memory(array, new))
    )


def why(array: Array, dtype: np.dtype[Any]) -> str:
    """Return why an array does not fit."""
    if not array.dtype.isnative:
        return "its bytes are in the order of another machine"
    if array.dtype != dtype:
        return f"it is {array.dtype} and not {dtype}"
    if not array.flags.c_contiguous:
        return "it is in Fortran order" if array.flags.f_contiguous else "its entries are not next to each other"
    return "it is not aligned"


def size(count: float) -> str:
    """Return a number of bytes in words.

    Examples
    --------
    >>> size(3 * 2**40)
    '3.0 TiB'
    """
    unit = 0
    while count >= 1024 and unit < len(UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.1f} {UNITS[unit]}"
