"""From the start of a process to the first gradient and to the first compiled one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.row import Arrays, Contestant, Row, Work

PROGRAMS = Path(__file__).parent.parent / "programs"


def data(scale: float) -> Arrays:
    """Return a point and samples for the softmax classifier of the digits' size."""
    random = np.random.default_rng(0)
    return {
        "x": random.random((1000, 64)),
        "gt": random.integers(0, 10, size=1000),
        "W": 0.1 * random.normal(size=(64, 10)),
        "b": np.zeros(10),
    }


def process(program: str, clock: str, filled: bool) -> Contestant:
    """Return the contestant that starts a process a run.

    Parameters
    ----------
    program : str
        A file of `programs`, which prints seconds by name as JSON, and the gradient's sum of squares.
    clock : str
        Which of the times to report.
    filled : bool
        Whether an earlier process has left its compiled code.
    """

    def contestant(arrays: Arrays) -> Work:
        folder = tempfile.TemporaryDirectory()
        points = Path(folder.name) / "point.npz"
        np.savez(points, **arrays)

        def start(cache: str) -> dict[str, float]:
            env = {**os.environ, "XDG_CACHE_HOME": cache, "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax"}
            env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
            command = [sys.executable, str(PROGRAMS / f"{program}.py"), str(points)]
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
            found: dict[str, float] = json.loads(done.stdout)
            return found

        def run() -> dict[str, float]:
            if filled:
                return start(f"{folder.name}/kept")
            with tempfile.TemporaryDirectory() as empty:
                return start(empty)

        return Work(
            run=run,
            answers=lambda result: {"squares": np.asarray(result["squares"])},
            seconds=lambda: run()[clock],
        )

    return contestant


def row(name: str, work: str, clock: str, filled: bool) -> Row:
    """Return a row of processes."""
    contestants: dict[str, Contestant] = {
        library: process(program, clock, filled)
        for library, program in (("gradcompile", "start_gradcompile"), ("jax", "start_jax"))
    }
    return Row(
        name=f"start-{name}",
        work=f"softmax classifier, 1,000 x 64: seconds {work}",
        data=data,
        contestants=contestants,
        single=tuple(contestants),
        goals={"jax": 1},
        tolerance=1e-9,
        repeats=5,
    )


START = (
    row(
        "answer",
        "from the model, imported and its code emitted, to a first answer; JAX traces and compiles",
        "answer",
        False,
    ),
    row("compiled", "from `import` to the first compiled gradient, nothing compiled before", "compiled", False),
    row("filled", "from `import` to the first compiled gradient, compiled by an earlier process", "compiled", True),
)
