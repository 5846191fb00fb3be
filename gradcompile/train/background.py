"""Work in a thread of its own, so that Ctrl-C need not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable


def in_background(work: Callable[[], None]) -> None:
    """Do work in another thread and wait for its end; raise what it raises.

    An interrupt ends the waiting and not the work: a compiler that is stopped halfway may be left in disorder, and
    only the main thread is ever interrupted.

    Parameters
    ----------
    work : callable
        Without arguments and result.

    Examples
    --------
    >>> done = []
    >>> in_background(lambda: done.append(1))
    >>> done
    [1]
    """
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded, name="gradcompile")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
