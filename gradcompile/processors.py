"""The processors that there are for this process, and which threads run on which."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple


class Place(NamedTuple):
    """Where a thread runs.

    Attributes
    ----------
    processor : int
        The number of the processor; -1 where the system does not tell.
    allowed : frozenset of int
        The processors that it may run on; none where the system does not tell.
    """

    processor: int
    allowed: frozenset[int]

    def keep_off(self, threads: Iterable[int]) -> None:
        """Let threads run on all processors that are allowed here but this one, if there are any.

        Parameters
        ----------
        threads : iterable of int
            The system's numbers of the threads, as of ``threading.Thread.native_id``.
        """
        _let_run(threads, self.allowed - {self.processor})

    def set_free(self, thread: int) -> None:
        """Let a thread run on all processors that are allowed here."""
        _let_run([thread], self.allowed)


def processors() -> int:
    """Return the number of processors that this process may run on."""
    return len(_allowed()) or os.cpu_count() or 1


def here() -> Place:
    """Return where this thread runs."""
    return Place(_asking()(), _allowed())


def _allowed() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


@cache
def _asking() -> Callable[[], int]:
    """Return the C library's ``sched_getcpu``, or what stands for it."""
    # By way of Python's own interface, which keeps its lock: another thread would begin here if that were let go.
    return getattr(ctypes.pythonapi, "sched_getcpu", lambda: -1)


def _let_run(threads: Iterable[int], where: frozenset[int]) -> None:
    try:
        for thread in threads if where else ():
            os.sched_setaffinity(thread, where)
    except OSError:  # some containers forbid it: then the system decides
        return
