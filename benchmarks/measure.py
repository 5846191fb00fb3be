"""Time, agreement and memory of the contestants of a row."""

from __future__ import annotations

import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.row import OURS, Arrays, Row, Run

MEGABYTE = 1e6
WARM = 0.05  # the part of the full size that warms up a contestant before its memory is measured


class DisagreementError(AssertionError):
    """Two contestants computed different things, so their times say nothing."""


@dataclass(frozen=True)
class Result:
    """What one contestant took; times in seconds, memory in megabytes beyond the data."""

    median: float
    fastest: float
    first: float  # import, compilation and the first run
    difference: float  # from gradcompile's answers, relative to the largest entry
    memory: float


def measure(row: Row) -> dict[str, Result]:
    """Run every installed contestant of a row in turn, `repeats` times, and compare their answers."""
    data = row.data(1)
    runs: dict[str, Run] = {}
    first: dict[str, float] = {}
    answers: dict[str, Arrays] = {}
    for name in installed(row):
        start = time.perf_counter()
        runs[name] = row.contestants[name](data)
        answers[name] = runs[name]()
        first[name] = time.perf_counter() - start
    differences = {name: difference(answers[name], answers[OURS]) for name in runs}
    for name, found in differences.items():
        if not found <= row.tolerance:
            raise DisagreementError(
                f"{row.name}: {name} differs from {OURS} by {found:.1e}, allowed {row.tolerance:.1e}"
            )
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(row.repeats):  # in turn, so that a slow minute of the machine hits everybody
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {
        name: Result(
            statistics.median(times[name]),
            min(times[name]),
            first[name],
            differences[name],
            memory_in_child(row.name, name),
        )
        for name in runs
    }


def installed(row: Row) -> list[str]:
    """Return the contestants whose library is there: a contestant's first word is the module that it imports."""
    return [name for name in row.contestants if importlib.util.find_spec(name.split()[0].replace("-", "_"))]


def seconds(run: Run) -> float:
    """Return the time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def difference(found: Arrays, expected: Arrays) -> float:
    """Return the largest difference of any array, relative to the largest entry of the expected one."""
    if found.keys() != expected.keys():
        raise DisagreementError(f"answers {sorted(found)} and {sorted(expected)}")
    return max(
        float(np.max(np.abs(np.float64(found[name]) - expected[name])) / max(np.max(np.abs(expected[name])), 1e-300))
        for name in expected
    )


def memory_in_child(row: str, contestant: str) -> float:
    """Measure the memory of one contestant in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.measure", row, contestant]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return float(json.loads(done.stdout.splitlines()[-1])["megabytes"])


def extra_memory(row: Row, contestant: str) -> float:
    """Return how far a run at full size raises the peak of this process, in megabytes.

    The libraries are loaded and the code is compiled and warm before; the data are in memory before. Whatever the
    run adds, copies of the data included, counts.
    """
    row.contestants[contestant](row.data(WARM))()
    data = row.data(1)
    run = row.contestants[contestant](data)
    forget_peak()
    before = resident()
    run()
    return max(0.0, peak() - before) / MEGABYTE


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


def main(row_name: str, contestant: str) -> None:
    """Print the memory of one contestant as JSON; the process that `memory_in_child` starts."""
    from benchmarks.rows import ROWS  # rows import this package, so not at the top

    row = next(row for row in ROWS if row.name == row_name)
    print(json.dumps({"megabytes": extra_memory(row, contestant)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
