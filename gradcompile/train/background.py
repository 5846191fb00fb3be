"""Work in a thread of its own: so that Ctrl-C need not wait for it, or that nobody need wait for it."""

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
    Meanwhile(work).wait()


class Meanwhile:
    """Work that another thread does in the meantime.

    Parameters
    ----------
    work : callable
        Without arguments and result.

    Examples
    --------
    >>> done = []
    >>> work = Meanwhile(lambda: done.append(1))
    >>> work.wait()
    >>> done
    [1]
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="gradcompile")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._raised.append(error)

    def wait(self) -> None:
        """Wait for the end of the work; raise what it raised."""
        self._thread.join()
        if self._raised:
            raise self._raised[0]
