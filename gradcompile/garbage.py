"""Python's search for cyclic garbage, which is held back where much is made and little thrown away.

A tenth of the time of an import of SymPy or Numba is such searches.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 20  # modules


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the search back: each of its passes over a large graph in the making costs its size."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Search rarely, in a whole program: what is imported at the start stays, and 200 searches of it take 0.1 s."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def importing() -> Iterator[None]:
    """Hold the search back while modules are imported, and count them as old afterwards: they stay."""
    before = len(sys.modules)
    with uncollected():
        yield
        if len(sys.modules) > before + MANY:  # seldom: the user's garbage grows old with them
            _age()


def _age() -> None:
    """Let all that there is wait for a search of everything, which is rare."""
    if hasattr(gc, "freeze") and gc.get_freeze_count() == 0:  # else somebody wants to keep what is frozen
        gc.freeze()
        gc.unfreeze()
