"""Rows of the benchmark whose contestants are made up, for the processes that `test_benchmarks` starts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from benchmarks.row import Arrays, Contestant, Row, Work

LOG = "GRADCOMPILE_TEST_LOG"  # the file in which contestants write when they run
MEGABYTES = 64


def data(scale: float) -> Arrays:
    return {"x": np.arange(10 * scale)}


def adds(name: str, mistake: float = 0.0) -> Contestant:
    """Return a contestant that adds, and writes its name down."""

    def contestant(arrays: Arrays) -> Work:
        def run() -> float:
            with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
                print(name, os.environ["OMP_NUM_THREADS"], file=log)
            return float(arrays["x"].sum()) + mistake

        return Work(run=run, answers=lambda result: {"sum": np.asarray(result)}, value=lambda: None)

    return contestant


def hungry(arrays: Arrays) -> Work:
    """Fill an array, and drop it."""
    return Work(run=lambda: float(np.ones(MEGABYTES * 125_000).sum()), answers=lambda result: {"sum": np.asarray(45.0)})


def broken(arrays: Arrays) -> Work:
    """Fail as a library does that lacks something."""
    raise ImportError("no such thing")


def row(name: str, contestants: dict[str, Contestant]) -> Row:
    return Row(name, "add ten numbers", data, contestants, 1e-12, single=tuple(contestants), home=__name__, repeats=3)


ROWS = (
    row("turns", {"gradcompile": adds("ours"), "math": adds("theirs")}),
    row("wrong", {"gradcompile": adds("ours"), "math": adds("theirs", mistake=1e-9)}),
    row("nan", {"gradcompile": adds("ours"), "math": adds("theirs", mistake=np.nan)}),
    row("broken", {"gradcompile": adds("ours"), "math": broken}),
    row("ours-broken", {"gradcompile": broken, "math": adds("theirs")}),
    row("memory", {"gradcompile": adds("ours"), "math": hungry}),
    row("threads", {"gradcompile": adds("ours"), "math": adds("theirs")}),
)
