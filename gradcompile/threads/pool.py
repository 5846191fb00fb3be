"""A small pool of threads: pieces of work, done in any order, whose results are combined in theirs.

The thread that asks works too, so nothing waits for a thread that is busy with somebody else's pieces. Threads are
started when they are first needed, wait in a queue without cost, and end with the process. After a fork the child
starts anew.

A thread that is woken is often put on the processor of the one that wakes it, where both take turns: Linux does so for
hundreds of calls of less than a millisecond. So threads that wait are kept off that processor; those that work for long
are free again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import reduce
from queue import SimpleQueue
from typing import Any, NamedTuple

from gradcompile.processors import Place, here

Piece = Any
Task = Callable[[int], Piece]
Combine = Callable[[Piece, Piece], Piece]


def total(task: Task, count: int, combine: Combine, threads: int) -> Piece:
    """Return ``combine(...combine(task(0), task(1))..., task(count - 1))``, with the tasks done by several threads.

    Parameters
    ----------
    task : callable
        ``task(number)`` does one piece, and may run beside others; it lets other threads run where it is long.
    count : int
        How many pieces there are, at least 1.
    combine : callable
        ``combine(total, piece)`` may change the total in place. Never runs beside itself.
    threads : int
        How many threads work at most, this one included.

    Raises
    ------
    BaseException
        What a piece raised; no further ones are begun then.
    """
    if threads == 1:
        return reduce(combine, map(task, range(count)))
    job = _Job(task, count, combine)
    _pool.help(job, min(threads, count) - 1)
    return job.result()


def beside(task: Callable[[], object], threads: int) -> None:
    """Have threads do a task, each of them the whole of it, as soon as they are free; wait for none.

    Parameters
    ----------
    task : callable
        It may begin long after, and raises nothing.
    threads : int
        How many.
    """
    _pool.help(_Task(task), threads)


class _Task(NamedTuple):
    """What a thread does of its own."""

    work: Callable[[], object]


class _Job:
    """The pieces of one call, as they are taken, done and combined."""

    def __init__(self, task: Task, count: int, combine: Combine) -> None:
        self._task, self._count, self._combine = task, count, combine
        self._lock = threading.Lock()
        self._taken = 0
        self._waiting: dict[int, Piece] = {}  # done, and not combined yet
        self._combined = 0
        self._combining = False
        self._total: Piece = None
        self._failure: BaseException | None = None
        self._finished = False
        self._end = threading.Lock()
        self._end.acquire()

    def result(self) -> Piece:
        """Work until no piece is left, wait for the others, and return the total."""
        try:
            self.work()
            self._end.acquire()
        except BaseException as error:  # a keyboard interrupt: the others begin no more pieces
            self._fail(error)
            raise
        if self._failure is not None:
            raise self._failure
        return self._total

    def work(self) -> None:
        """Take pieces and do them until none is left."""
        while (number := self._take()) is not None:
            try:
                self._deliver(number, self._task(number))
            except BaseException as error:
                self._fail(error)
                return

    def _take(self) -> int | None:
        with self._lock:
            if self._taken == self._count or self._failure is not None:
                return None
            self._taken += 1
            return self._taken - 1

    def _deliver(self, number: int, piece: Piece) -> None:
        """Keep a piece until its turn, and combine those whose turn it is, unless somebody else does so."""
        with self._lock:
            self._waiting[number] = piece
            if self._combining:
                return
            self._combining = True
        while (piece := self._next()) is not None:
            self._total = self._combine(self._total, piece[0]) if self._combined else piece[0]
            self._combined += 1

    def _next(self) -> tuple[Piece] | None:
        """Return the next piece in order, if it is done; else nobody is combining any more."""
        with self._lock:
            if self._combined in self._waiting:
                return (self._waiting.pop(self._combined),)
            self._combining = False
            if self._combined == self._count:
                self._finish()
            return None

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
            self._finish()

    def _finish(self) -> None:
        """Let the thread that asks go on; once, also if it is interrupted while the others come to the end."""
        if not self._finished:
            self._finished = True
            self._end.release()


class _Pool:
    """The threads of this process."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[_Job | _Task, Place]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0  # how many of them work
        self._left = -1  # the processor that they are kept off
        self._lock = threading.Lock()

    def help(self, job: _Job | _Task, helpers: int) -> None:
        """Let some threads work on a job, as soon as they are free."""
        place = here()
        with self._lock:
            for number in range(len(self._threads), helpers):
                thread = threading.Thread(target=self._serve, name=f"gradcompile-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
                self._left = -1
            if place.processor != self._left and not self._busy:
                place.keep_off(thread.native_id for thread in self._threads if thread.native_id is not None)
                self._left = place.processor
        for _ in range(helpers):
            self._jobs.put((job, place))

    def _serve(self) -> None:
        """Work on one job after the other."""
        while True:
            job, place = self._jobs.get()
            with self._lock:
                self._busy += 1
                self._begin(job, place)
            try:
                job.work()
            finally:
                with self._lock:
                    self._busy -= 1

    def _begin(self, job: _Job | _Task, asked: Place) -> None:
        """Leave the processor of the thread that asked, which may have moved; be free for what may take long."""
        own = threading.get_native_id()
        if here().processor == asked.processor >= 0:
            asked.keep_off([own])
        if isinstance(job, _Task):
            asked.set_free(own)
            self._left = -1


_pool = _Pool()


def _anew() -> None:
    """Forget the threads of the parent, which a forked child does not have."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
