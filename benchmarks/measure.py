"""Run the contestants of a row in turn, compare their answers, and collect times and memory."""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import THREADS, environment, installed, library, variants
from benchmarks.row import LIMIT, OURS, Arrays, Row
from benchmarks.worker import load_answers

ROOT = Path(__file__).parent.parent
PATIENCE = 600  # seconds that a contestant may take to compile and run once


class DisagreementError(AssertionError):
    """Two contestants computed different things, so their times say nothing."""


class ContestantError(RuntimeError):
    """A contestant's process ended before it answered."""


@dataclass
class Result:
    """What one contestant took; times in seconds, memory in megabytes beyond the data."""

    label: str
    library: str
    threads: int
    first: float = 0.0  # from the model to the first result, compilation included, imports not
    imports: float = 0.0
    difference: float | None = None  # from gradcompile's answers, relative to the largest entry
    memory: float | None = None
    times: dict[str, list[float]] = field(default_factory=dict)
    missing: str = ""  # why it did not take part

    @property
    def median(self) -> float:
        """The median time of a run."""
        return statistics.median(self.times["run"])

    def ratio(self, other: Result) -> float:
        """Return how many times longer this takes than another: the median over turns, each compared with its own."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.times["run"], other.times["run"], strict=True)
        )

    @property
    def gradient_over_value(self) -> float | None:
        """The time of value and gradient over the time of the value alone."""
        if "value" not in self.times:
            return None
        gradients = self.times.get("gradient", self.times["run"])
        return statistics.median(g / v for g, v in zip(gradients, self.times["value"], strict=True))


class Process:
    """A contestant in a process of its own; see `benchmarks.worker`."""

    def __init__(self, row: Row, contestant: str, threads: int, scale: float, cache: str, clock: str) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", row.home, row.name, contestant, str(scale), clock]
        env = {
            **environment(threads),
            "XDG_CACHE_HOME": cache,
            "BENCHMARK_CLOCK": clock,
        }  # nothing compiled before, for anybody
        env.pop("GRADCOMPILE_CACHE", None)
        self.name = f"{row.name}: {contestant}"
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )

    def ask(self, *command: str) -> Any:
        """Send a command and return the answer."""
        assert self.process.stdin is not None, "it is a pipe"
        assert self.process.stdout is not None, "it is a pipe"
        try:
            print(json.dumps(command), file=self.process.stdin, flush=True)
        except BrokenPipeError as error:
            raise ContestantError(f"{self.name} stopped; see its message above") from error
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise ContestantError(f"{self.name} has not answered for {PATIENCE} s")
        reply = self.process.stdout.readline()
        if not reply:
            raise ContestantError(f"{self.name} stopped with status {self.process.wait()}; see its message above")
        return json.loads(reply)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None, "it is a pipe"
        try:
            self.process.stdin.close()
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def measure(
    row: Row,
    *,
    quick: bool = False,
    busy: bool = False,
    scale: float | None = None,
    say: Callable[[str], object] = print,
) -> list[Result]:
    """Run every contestant of a row in turn, `repeats` times, and compare their answers.

    Parameters
    ----------
    row : Row
        The work.
    quick : bool
        A tenth of the data, three turns, and no measurement of memory.
    busy : bool
        Measure the time of the processor, which is that of the clock on a machine with nothing else to do, and
        therefore run contestants of one thread alone.
    scale : float, optional
        Of the data, if it is to be another than these.
    say : callable
        Told of whoever does not take part.
    """
    taking_part = variants(row, threads=(1,) if busy else THREADS)
    results = [Result(label, library(name), threads) for label, name, threads in taking_part]
    running: list[tuple[Result, Process]] = []
    clock = "processor" if busy else "wall"
    scale = scale or (0.1 if quick else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, (result, (_, name, _)) in enumerate(zip(results, taking_part, strict=True)):
                result.missing = "" if installed(result.library) else f"{result.library} is not installed"
                if not result.missing:
                    process = Process(row, name, result.threads, scale, f"{folder}/cache{number}", clock)
                    running.append((result, process))
                    prepare(result, process, f"{folder}/{number}.npz")
                if result.missing:
                    say(f"{row.name}: {result.label} SKIPPED: {result.missing}")
            running = [(result, process) for result, process in running if not result.missing]
            agree(row, [(result, load_answers(f"{folder}/{results.index(result)}.npz")) for result, _ in running])
            if not quick:
                for result, process in running:
                    result.memory = process.ask("memory")["megabytes"]
            take_turns(running, 3 if quick else row.repeats)
        finally:
            for _, process in running:
                process.close()
    return results


def prepare(result: Result, process: Process, path: str) -> None:
    """Let a contestant compile and answer; one that fails is left out, unless it is gradcompile."""
    try:
        reply = process.ask("prepare", path)
    except ContestantError as error:
        process.close()
        if result.library == OURS:
            raise
        result.missing = f"failed: {error}"
        return
    result.first, result.imports = reply["first"], reply["import"]
    result.times = {part: [] for part in reply["parts"]}


def take_turns(running: Sequence[tuple[Result, Process]], repeats: int) -> None:
    """Time everybody once a turn, so that a slow minute of the machine hits everybody."""
    for _ in range(repeats):
        for result, process in running:
            for part, taken in process.ask("time").items():
                result.times.setdefault(part, []).append(taken)


def agree(row: Row, found: Sequence[tuple[Result, Arrays]]) -> None:
    """Compare all answers with gradcompile's.

    Raises
    ------
    DisagreementError
        If some are further from gradcompile's than the row allows.
    """
    expected = next((answers for result, answers in found if result.library == OURS), None)
    if expected is None:
        raise ContestantError(f"{row.name}: gradcompile did not take part")
    for result, answers in found:
        if not answers or result.library == LIMIT:
            continue
        result.difference = difference(answers, expected)
        if not result.difference <= row.tolerance:
            raise DisagreementError(
                f"{row.name}: {result.label} differs from {OURS} by {result.difference:.1e},"
                f" allowed {row.tolerance:.1e}"
            )


def difference(found: Arrays, expected: Arrays) -> float:
    """Return the largest difference of any array, relative to the largest entry of the expected one."""
    if found.keys() != expected.keys():
        raise DisagreementError(f"answers {sorted(found)} and {sorted(expected)}")
    distances = [distance(np.asarray(found[name], np.float64), np.asarray(expected[name])) for name in expected]
    return float(np.max(distances))  # a nan stays one, as it would not in Python's max


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays, relative to the largest entry of the second."""
    if found.shape != expected.shape:
        raise DisagreementError(f"answers of shapes {found.shape} and {expected.shape}")
    return float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-300))
