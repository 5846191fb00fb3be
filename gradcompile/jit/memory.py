"""What becomes of memory that compiled code gives back."""

from __future__ import annotations

from functools import cache

import numpy

LARGEST = 32 * 2**20 - 2**16  # bytes: just below the size from which on glibc always gives memory back


@cache
def keep_freed() -> None:
    """Let the C library keep the memory of freed arrays for the next ones.

    glibc gives large ones back to the system at once, and asks for them again at the next call or chunk: each of their
    pages is then zeroed anew, which can take longer than what is computed, most of all where threads wait for each
    other in the system. How large is large follows the largest array that has been freed: so one is, untouched.
    """
    numpy.empty(LARGEST, numpy.uint8)
