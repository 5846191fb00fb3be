"""Limits on this process, for text that anybody may have written: seconds of work and bytes of memory.

The parser bounds what a text may cost. What comes after it, derivation and emission, is bounded here by the operating
system. A command is a process of its own already, so that this costs two system calls and no second process.
"""

from __future__ import annotations

import resource
import signal
from types import FrameType
from typing import NoReturn

from gradcompile.errors import GradcompileError

SECONDS = 20  # of processor time
GRACE = 5  # seconds more, after which the system ends a process that does not react
MEMORY = 1 << 30  # bytes of address space beyond those that are in use
STATUS = "/proc/self/statm"  # pages of this process, its address space first


class LimitError(GradcompileError, RuntimeError):
    """A text costs more than may be spent on it."""


def confine(seconds: int = SECONDS, memory: int = MEMORY) -> None:
    """Let this process work for some seconds more and take some memory more, and then fail with a message.

    Parameters
    ----------
    seconds : int
        Of processor time, counted from the start of the process.
    memory : int
        Bytes beyond what the process has.
    """
    signal.signal(signal.SIGXCPU, _stop)
    _lower(resource.RLIMIT_CPU, seconds, seconds + GRACE)
    with open(STATUS, encoding="ascii") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + memory
    _lower(resource.RLIMIT_AS, limit, limit)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, if there is no lower one."""
    now = resource.getrlimit(kind)
    pairs = zip(now, (soft, hard), strict=True)
    soft, hard = (new if old == resource.RLIM_INFINITY else min(old, new) for old, new in pairs)
    resource.setrlimit(kind, (soft, hard))


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    what = f"this takes longer than the {SECONDS} seconds that a model of --untrusted text may take"
    raise LimitError(what, hint="leave --untrusted out if you trust the text")
