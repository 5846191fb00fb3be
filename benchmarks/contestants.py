"""Who can take part: what a contestant imports, and how it is told how many threads to use."""

from __future__ import annotations

import importlib.util
import os
import sys

from benchmarks.row import LIMIT, OURS, Row

MODULES = {
    OURS: ("gradcompile", "sympy", "numba", "scipy"),
    LIMIT: ("numpy", "numba"),
    "math": ("math",),
    "jax": ("jax",),
    "torch": ("torch",),
    "scikit-learn": ("sklearn.linear_model",),
    "pytensor": ("pytensor",),
    "casadi": ("casadi",),
    "symengine": ("symengine",),
    "sympy": ("sympy", "numpy"),
}
# Why a library is not in a row.
NO_DATA = "has no sum over data"
NO_GRADIENT = "gives no gradient of a loss"
NO_LOOP = "has no loop over batches of its own"
NO_MODEL = "has no such model"
UNROLLED = "unrolls a sum over data into as many operations"
SLOW_COMPILE = "compiles for minutes"

THREADED = (OURS, LIMIT, "jax", "torch")  # those for which the number of threads makes a difference
THREADS = tuple(sorted({1, min(2, os.cpu_count() or 1)}))
# The libraries read these when they are imported. XLA sizes its pool by NPROC and has a switch for its products.
COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GRADCOMPILE_THREADS",
    "NPROC",
    "PJRT_NPROC",
)


def library(contestant: str) -> str:
    """Return the first word of a contestant's name."""
    return contestant.split()[0].rstrip(",")


def installed(name: str) -> bool:
    """Return whether a library's modules are there."""
    return all(importlib.util.find_spec(module.partition(".")[0]) is not None for module in MODULES[name])


def variants(row: Row, threads: tuple[int, ...] = THREADS) -> list[tuple[str, str, int]]:
    """Return (label, contestant, threads) of everybody who takes part in a row, those without their library too."""
    made = []
    for name in row.contestants:
        several = library(name) in THREADED and name not in row.single
        for number in threads if several else threads[:1]:
            label = f"{name}, {number} thread{'s' * (number > 1)}" if several else name
            made.append((label, name, number))
    return made


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that is to use so many threads."""
    made = {**os.environ, **{name: str(threads) for name in COUNTS}}
    if threads == 1:
        made["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    return made


def on_one_thread() -> None:
    """Start this process again with one thread for every library, which they read when they are imported."""
    if any(os.environ.get(name) != "1" for name in COUNTS):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment(1))
