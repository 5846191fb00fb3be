"""The processors that there are for this process, and which threads run on which."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache


def processors() -> int:
    """Return the number of processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here() -> int:
    """Return the number of the processor that this thread runs on; -1 where the system does not tell."""
    return _asking()()


@cache
def _asking() -> Callable[[], int]:
    """Return the C library's ``sched_getcpu``, or what stands for it."""
    if sys.platform != "linux" or not hasattr(ctypes.pythonapi, "sched_getcpu"):
        return lambda: -1
    ask: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu  # another thread would begin here if the lock were let go
    return ask


def keep_off(processor: int, threads: Iterable[int]) -> None:
    """Let threads run on all processors of this one but one of them, where there are others and the system allows it.

    Parameters
    ----------
    processor : int
        The number of the processor.
    threads : iterable of int
        The system's numbers of the threads, as of ``threading.Thread.native_id``.
    """
    others = os.sched_getaffinity(0) - {processor}
    try:
        for thread in threads if others else ():
            os.sched_setaffinity(thread, others)
    except OSError:  # some containers forbid it: then the system decides
        return
