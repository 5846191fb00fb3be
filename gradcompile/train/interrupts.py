"""Interrupts that are heard: Ctrl-C ends a training wherever it comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard_interrupts() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if one was raised and lost.

    Python raises it wherever it happens to be, and drops what is raised in a callback of its garbage collector, in
    `__del__`, or in a callback of a weak reference ("Exception ignored in"). What handles the signal stays as it is.
    Only the main thread is ever interrupted: in another there is nothing to hear.

    Examples
    --------
    >>> with heard_interrupts() as listen:
    ...     listen()
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    raised: list[KeyboardInterrupt] = []

    def heard(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except KeyboardInterrupt as interrupt:
            raised.append(interrupt)
            raise

    def listen() -> None:
        if raised:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heard)
    try:
        yield listen
    finally:
        signal.signal(signal.SIGINT, handler)
