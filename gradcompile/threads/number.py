"""How many threads kernels use."""

from __future__ import annotations

import os
from functools import cache

from gradcompile.errors import ArgumentError
from gradcompile.processors import processors

VARIABLE = "GRADCOMPILE_THREADS"
MOST = 256

_chosen: int | None = None


def set_threads(number: int | None) -> None:
    """Choose how many threads the kernels of this process use.

    The number changes how long a large call takes, and never its result, to the last bit. Small calls use one thread.

    Parameters
    ----------
    number : int or None
        At least 1, the thread that calls included. None: as at the start, what the environment variable
        ``GRADCOMPILE_THREADS`` says, and without it as many as there are processors for this process.

    Raises
    ------
    ArgumentError
        The number is not a whole number from 1 to 256.

    Examples
    --------
    >>> set_threads(2)
    >>> get_threads()
    2
    >>> set_threads(None)
    """
    global _chosen
    _default.cache_clear()
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST):
        raise ArgumentError(
            "there cannot be so many threads",
            expected=f"1 to {MOST}, or None",
            found=repr(number)[:40],
            hint="give one of these: None leaves the choice to gradcompile",
        )
    _chosen = number


def get_threads() -> int:
    """Return how many threads the kernels of this process use at most.

    Returns
    -------
    int
        What `set_threads` or the environment says, or the number of processors for this process.

    Examples
    --------
    >>> get_threads() >= 1
    True
    """
    return _chosen or _default()


@cache
def _default() -> int:
    """Return what the environment asks for, looked at once; what it says and is no such number counts for nothing."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= MOST:
        return int(wanted)
    return min(processors(), MOST)
