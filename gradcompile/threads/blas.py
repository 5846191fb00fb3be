"""What BLAS it is that kernels call: its threads, and what it is fast at.

It is kept to one thread while kernels run on several: its own threads would fight with them for the processors.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from gradcompile.jit import linking

# OpenBLAS under the names that its builds give it (SciPy's has a prefix of its own), and MKL.
PREFIXES = ("scipy_openblas_", "openblas_", "MKL_")
SUFFIXES = ("", "64_", "_64")
NAMES = ("{}_num_threads", "{}_Num_Threads", "{}_Max_Threads")
# The processors for which OpenBLAS has code that multiplies small matrices without copying them: those with AVX-512.
SMALL_MATRICES = ("SkylakeX", "Cooperlake", "Sapphirerapids")

_lock = threading.Lock()
_users = 0
_before = 1


class on_one_thread(AbstractContextManager[None]):  # noqa: N801  (named as the functions of contextlib are)
    """Let BLAS use one thread; the last user to leave puts back what the first one found.

    A class, for a generator would take longer than a small product.
    """

    def __enter__(self) -> None:
        global _users, _before
        with _lock:
            if not _users:
                _before = _exchange(1)
            _users += 1

    def __exit__(self, *_: object) -> None:
        global _users
        with _lock:
            _users -= 1
            if not _users:
                _exchange(_before)


@cache
def likes_tiles() -> bool:
    """Return whether large products of matrices are faster in tiles, one thread each: a tenth, with AVX-512."""
    library = _library()
    names = [f"{prefix}get_corename{suffix}" for prefix in PREFIXES for suffix in SUFFIXES]
    name = next((name for name in names if hasattr(library, name)), None)
    if name is None:
        return False
    ask = getattr(library, name)
    ask.restype = ctypes.c_char_p
    return (ask() or b"").decode() in SMALL_MATRICES


def _exchange(number: int) -> int:
    """Set the number of BLAS threads and return what it was; 1, and nothing done, where it cannot be set."""
    functions = _functions()
    if functions is None:
        return 1
    get, put = functions
    before = int(get())
    put(number)
    return before


@cache
def _functions() -> tuple[Callable[[], Any], Callable[[int], Any]] | None:
    """Return how the number of threads is read and set in the BLAS that kernels call: SciPy's."""
    library = _library()
    for prefix in PREFIXES:
        for suffix in SUFFIXES:
            get = next((n for n in _spelled("get", prefix, suffix) if hasattr(library, n)), None)
            put = next((n for n in _spelled("set", prefix, suffix) if hasattr(library, n)), None)
            if get and put:
                return getattr(library, get), getattr(library, put)
    return None


@cache
def _library() -> ctypes.CDLL | None:
    """Return the BLAS that kernels call: SciPy's."""
    path = linking.library()
    try:
        return ctypes.CDLL(path) if path else None  # finds the names of the libraries that it needs, too
    except OSError:
        return None


def _spelled(verb: str, prefix: str, suffix: str) -> Iterator[str]:
    word = verb.capitalize() if prefix == "MKL_" else verb
    yield from (prefix + name.format(word) + suffix for name in NAMES)


def _anew() -> None:
    """Begin again in a forked child: nobody there is in the midst of a call."""
    global _lock, _users
    if _users:
        _exchange(_before)
    _lock, _users = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
