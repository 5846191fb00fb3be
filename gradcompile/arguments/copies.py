"""Copies of arguments: made only where a kernel needs another layout, and told of in the plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gradcompile.errors import TooLargeError

Array = np.ndarray[Any, np.dtype[Any]]
IN_ROWS, IN_COLUMNS, ALIGNED = 0x1, 0x2, 0x100  # C_CONTIGUOUS, F_CONTIGUOUS and ALIGNED in an array's flags
FITTING = IN_ROWS | ALIGNED
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
        if array.dtype.kind != "f":
            return array.astype(dtype, "C", subok=False)
        with np.errstate(over="ignore"):  # a number beyond float32 is an infinity, as IEEE 754 says
            return array.astype(dtype, "C", subok=False)
    except (MemoryError, ValueError):  # NumPy's two words for more than there is
        why = Copied(name, array.dtype, array.flags.num, dtype).why
        what = f"{name} has to be copied, since {why}, and there is no memory for the copy"
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


class Copied(NamedTuple):
    """An array that is copied, and nothing of its entries, so that a call that tells of it keeps no data.

    Parameters
    ----------
    name : str
        Of the argument.
    dtype : dtype
        Of the array as it was given.
    flags : int
        Its flags, bits of NumPy's.
    wanted : dtype
        What the kernel takes.
    """

    name: str
    dtype: np.dtype[Any]
    flags: int
    wanted: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} is copied in every call, since {self.why}"

    @property
    def why(self) -> str:
        """Why the array does not fit, in words."""
        if not self.dtype.isnative:
            return "its bytes are in the order of another machine"
        if self.dtype != self.wanted:
            return f"it is {self.dtype} and not {self.wanted}"
        if not self.flags & IN_ROWS:
            return "it is in Fortran order" if self.flags & IN_COLUMNS else "its entries are not next to each other"
        return "it is not aligned"


def told(given: Iterable[tuple[str, object, object, np.dtype[Any]]]) -> tuple[Copied, ...]:
    """Return which arrays are copied.

    Parameters
    ----------
    given : iterable of (str, object, object, dtype)
        An argument's name, what was given, what was made of it, and the dtype that the kernel takes.
    """
    return tuple(
        Copied(name, array.dtype, array.flags.num, dtype)
        for name, array, new, dtype in given
        if isinstance(array, np.ndarray)
        and isinstance(new, np.ndarray)
        and not (is_laid_out(new, dtype) and np.may_share_memory(array, new))
    )


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
