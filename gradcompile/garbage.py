"""Python's search for cyclic garbage, which is held back where much is made and little thrown away."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector:
    """The collector of the process: at rest while any thread has asked for it, and then as it was."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.running = gc.isenabled()

    def rest(self) -> None:
        """Search no more."""
        with self.lock:
            if self.users == 0:
                self.running = gc.isenabled()
                gc.disable()
            self.users += 1

    def resume(self) -> None:
        """Search again as before, once nobody needs rest any more."""
        with self.lock:
            self.users -= 1
            if self.users == 0 and self.running:
                _age()
                gc.enable()


def _age() -> None:
    """Count all that there is as old: it waits for the next search of everything, which is rare."""
    if hasattr(gc, "freeze") and gc.get_freeze_count() == 0:  # else somebody wants to keep what is frozen
        gc.freeze()
        gc.unfreeze()


_collector = _Collector()


def _in_child() -> None:
    """Begin anew in a child process, in which no other thread goes on."""
    global _collector
    if _collector.users and _collector.running:
        gc.enable()
    _collector = _Collector()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the search for cyclic garbage back: a graph in the making, or modules that are imported, are none.

    A tenth of the time of an import of SymPy or Numba, and of a compilation, is such searches.
    """
    collector = _collector
    collector.rest()
    try:
        yield
    finally:
        collector.resume()
