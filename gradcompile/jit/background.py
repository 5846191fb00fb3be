"""Compilation in a thread of its own, so that first answers need not wait for it.

There is one such thread, for Numba compiles one function at a time; it works off a queue and ends with it. What a
caller cannot wait for is compiled where it is needed. When the interpreter ends, a compilation ends with the step that
it is in, and the queue is dropped. A fork waits for the compilation under way: the child would inherit its locks, and
no thread to release them.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

HEAD_START = 0.05  # seconds for the first answer: an import of Numba would hold the interpreter's lock
POLL = 0.05  # seconds after which a waiting caller looks whether the work was given up by an interrupt


class StoppedError(BaseException):
    """The interpreter ends, and so does the compilation; never leaves this package."""


class Task:
    """Work that is done once, by whoever comes first: the thread in the background, or a caller that needs it now.

    Parameters
    ----------
    work : callable
        Without arguments; what it returns is the result.

    Examples
    --------
    >>> task = Task(lambda: 6 * 7)
    >>> task.begin()
    >>> task.result(), task.over
    (42, True)
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._claim = threading.Lock()  # held by whoever does the work
        self._over = threading.Event()
        self._begun = False
        self._result: Any = None
        self._error: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether `result` has something to return or to raise."""
        return self._over.is_set()

    def begin(self) -> None:
        """Have the work done by the thread in the background, unless that has been asked for before."""
        if not self._begun and not self.over:
            self._begun = True
            WORKER.add(self)

    def result(self) -> Any:
        """Return the result of the work, or raise what it raised; do it now if nobody is doing it."""
        while not self.over:
            self.run()
            self._over.wait(POLL)
        if self._error is not None:
            raise self._error
        return self._result

    def run(self) -> None:
        """Do the work, unless it is done or somebody is doing it. After an interrupt it can be begun anew."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            if not self.over:
                self._result = self._work()
                self._over.set()
        except Exception as error:
            self._error = error
            self._over.set()
        finally:
            self._claim.release()


class Worker:
    """The thread, and the queue that it works off.

    Parameters
    ----------
    delay : float
        Seconds that a new thread waits before it begins.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.thread: threading.Thread | None = None
        self._queue: deque[Task] = deque()
        self._idle = threading.Condition(threading.Lock())  # its lock guards all of this; held between two tasks
        self._busy = False

    def add(self, task: Task) -> None:
        """Put a task into the queue; start the thread if there is none."""
        with self._idle:
            self._queue.append(task)
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="gradcompile-compiler")
                try:
                    self.thread.start()
                except RuntimeError:  # the system has no thread left: whoever asks next may have one
                    self.thread = None
                    self._forget()

    def _work(self) -> None:
        time.sleep(self.delay)
        while (task := self._next()) is not None:
            try:
                task.run()
            except StoppedError:
                pass
            finally:
                with self._idle:
                    self._busy = False
                    self._idle.notify_all()

    def _forget(self) -> None:
        """Empty the queue: its tasks are begun when they are asked for again."""
        for task in self._queue:
            task._begun = False
        self._queue.clear()

    def _next(self) -> Task | None:
        with self._idle:
            if not self._queue or ending():
                self.thread = None
                return None
            self._busy = True
            return self._queue.popleft()

    # A fork, seen from the thread that forks

    def pause(self) -> None:
        """Wait until no task is being worked on, and let none begin before `go_on`."""
        self._idle.acquire()
        while self._busy and threading.current_thread() is not self.thread:
            self._idle.wait()

    def go_on(self) -> None:
        """Let the next task begin."""
        self._idle.release()


WORKER = Worker(HEAD_START)


def _in_child() -> None:
    """Begin anew in a child process: its thread is gone, and the tasks of the queue are begun when asked for."""
    global WORKER
    WORKER._forget()
    WORKER = Worker(HEAD_START)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=lambda: WORKER.pause(), after_in_parent=lambda: WORKER.go_on(), after_in_child=_in_child)


def ending() -> bool:
    """Return whether the interpreter waits for the end of its threads."""
    return not threading.main_thread().is_alive()


def stop_if_ending() -> None:
    """End a compilation in the background here, if the interpreter ends."""
    if ending() and threading.current_thread() is WORKER.thread:
        raise StoppedError


def stop_when_ending() -> None:
    """Let every step of Numba's compiler in the background be its last once the interpreter ends."""
    from numba.core import event

    register: Any = event.register  # Numba's type hints are partial
    global _listening
    if not _listening:
        _listening = True
        register("numba:run_pass", _listener(event.Listener))


_listening = False


def _listener(base: Any) -> Any:
    """Return a listener to Numba's events, whose class is known only where Numba is imported."""

    class Stop(base):  # type: ignore[misc]  # Numba's type hints are partial
        def on_start(self, event: object) -> None:
            stop_if_ending()

        def on_end(self, event: object) -> None:
            return

    return Stop()
