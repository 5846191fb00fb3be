"""The process of one contestant: it prepares its work, then runs it whenever it is told to.

A process each, because a library fixes its threads when it is imported, and so that nobody's memory, idle threads or
allocator are counted for another. Commands come as JSON, a line each, and so do the answers.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import importlib
import json
import os
import resource
import sys
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import MODULES, library
from benchmarks.row import Arrays, Call, Row, Run, Work

MEGABYTE = 1e6
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
STRETCH = 0.05  # seconds that a timing lasts at least; short runs are repeated


class Worker:
    """One contestant of a row.

    Parameters
    ----------
    row : Row
        The work.
    contestant : str
        A key of ``row.contestants``.
    scale : float
        Of the data.
    clock : str
        A key of `CLOCKS`.
    """

    def __init__(self, row: Row, contestant: str, scale: float, clock: str) -> None:
        self.make, self.library = row.contestants[contestant], library(contestant)
        self.data, self.clock = row.data(scale), CLOCKS[clock]
        self.work: Work | None = None

    def prepare(self, path: str) -> dict[str, Any]:
        """Build the work and run it once, from import to answer; save the answers."""
        start = self.clock()
        for module in MODULES[self.library]:
            importlib.import_module(module)
        imported = self.clock()
        self.work = self.make(self.data)
        result = self.work.run()
        first = self.clock() - imported
        answers = self.work.answers(result)
        np.savez(path, **answers)
        self.settle()
        return {"import": imported - start, "first": self.work.compile or first, "parts": sorted(self.parts())}

    def settle(self) -> None:
        """Run every part that has not run yet, and wait for what compiles in the background."""
        assert self.work is not None, "prepare() comes first"
        for name, part in self.parts().items():
            if name != "run":
                part()
        self.work.settle()

    def memory(self) -> dict[str, Any]:
        """Build the work again and return how far a run raises the peak above what was before it, in megabytes.

        The libraries are loaded by then. Whatever is kept or added counts: copies of the data, buffers, code.
        """
        self.work = None
        gc.collect()
        release_free_memory()
        before = resident()
        self.work = self.make(self.data)
        self.work.run()
        self.settle()
        release_free_memory()
        forget_peak()
        self.work.run()
        return {"megabytes": max(0.0, peak() - before) / MEGABYTE}

    def parts(self) -> dict[str, Run]:
        """Return what can be timed: the run, and the objective with and without its gradient."""
        assert self.work is not None, "prepare() comes first"
        parts = {"run": self.work.run, "value": self.work.value, "gradient": self.work.gradient}
        return {name: part for name, part in parts.items() if part is not None}

    def time(self) -> dict[str, float]:
        """Return the seconds of each part, now."""
        assert self.work is not None, "prepare() comes first"
        if self.work.seconds is not None:
            return {"run": self.work.seconds()}
        return {name: seconds(part, self.clock) for name, part in self.parts().items()}


def seconds(run: Run, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one run: of the mean of several if one is short, with the caches warm."""
    if isinstance(run, Call):
        timer = timeit.Timer(run.statement, timer=clock, globals=dict(run.names))
    else:
        timer = timeit.Timer("run()", timer=clock, globals={"run": run})
    once = timer.timeit(1)
    if once >= STRETCH:
        return once  # long enough for its own caches
    number, taken = 1, once
    while taken < STRETCH:
        number = max(2 * number, min(int(number * STRETCH / max(taken, 1e-9)) + 1, 100 * number))
        taken = timer.timeit(number)
    return taken / number


def release_free_memory() -> None:
    """Give free memory back to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(ctypes.util.find_library("c")), "malloc_trim", None)
    if trim is not None:
        trim(0)


def forget_peak() -> None:
    """Let the peak start again from the present.

    Linux only (proc(5), clear_refs); elsewhere the peak stays an upper bound.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak() -> float:
    """Return the peak resident memory in bytes.

    Where there is one, Linux's own VmHWM: getrusage also counts the parent, whose memory a child has until its exec.
    """
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def resident() -> float:
    """Return the resident memory in bytes."""
    return _status("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _status(field: str) -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines: Mapping[str, str] = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return float(lines[field].split()[0]) * 1024 if field in lines else 0.0


def main(home: str, row_name: str, contestant: str, scale: str, clock: str) -> None:
    """Answer commands until the input ends."""
    rows = importlib.import_module(home).ROWS
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not an answer
    worker = Worker(next(row for row in rows if row.name == row_name), contestant, float(scale), clock)
    for line in sys.stdin:
        command, *words = json.loads(line)
        print(json.dumps(getattr(worker, command)(*words)), file=replies, flush=True)


def load_answers(path: str) -> Arrays:
    """Return the answers that `prepare` saved."""
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files}


if __name__ == "__main__":
    main(*sys.argv[1:])
