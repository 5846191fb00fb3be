"""Teams: threads that help one function of compiled code while it runs.

The function says in an array what there is to be done; see `emit.support.teams`. Who helps takes pieces of it as long
as there are any, so that nobody waits for a thread that does not run: the function does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradcompile.processors import processors
from gradcompile.threads import pool
from gradcompile.threads.number import get_threads

Array = np.ndarray[Any, np.dtype[np.int64]]
LENGTH = 64  # integers that a team has in common
OVER = -1  # at the first place: there will be nothing more to be done


@contextmanager
def team(assist: Callable[[Array], object], *, alone: bool = False) -> Iterator[Array]:
    """Yield what a team has in common, and have the other threads help with what it says.

    Parameters
    ----------
    assist : callable
        What these threads run. It lets others run beside it, and ends when there will be nothing more to be done.
    alone : bool
        Whether there are no other threads.
    """
    shared = np.zeros(LENGTH, np.int64)
    if not alone:
        # Whoever waits for work turns round and round: more threads than processors would take time from each other.
        pool.beside(lambda: assist(shared), min(get_threads(), processors()) - 1)
    try:
        yield shared
    finally:
        shared[0] = OVER


def over() -> Array:
    """Return what a team has in common that has come to its end."""
    return np.full(LENGTH, OVER)
