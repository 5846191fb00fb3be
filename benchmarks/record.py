"""What is kept of a run: a row's results as plain numbers, in a file that README and picture are made from."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from benchmarks.row import OURS, Row

FILE = Path(__file__).parent / "results.json"
PACKAGES = ("numpy", "numba", "sympy", "jax", "torch", "scikit-learn", "pytensor", "casadi", "symengine")


@dataclass(frozen=True)
class Line:
    """One contestant of a row; times in seconds, memory in megabytes beyond the data.

    Parameters
    ----------
    label, library : str
        Who it is, with its threads, and its first word.
    missing : str
        Why it did not take part; the numbers are then meaningless.
    median, fastest : float
        Of a run.
    ratio : float
        Time over the time of gradcompile's best setting, the median of what each turn gives.
    first : float
        From the model to the first result, compilation included.
    growth : float, optional
        The time of value and gradient over that of the value.
    memory, difference : float, optional
        Beyond the data; from gradcompile's answers, relative to the largest entry.
    """

    label: str
    library: str
    missing: str = ""
    median: float = 0.0
    fastest: float = 0.0
    ratio: float = 0.0
    first: float = 0.0
    growth: float | None = None
    memory: float | None = None
    difference: float | None = None


@dataclass(frozen=True)
class Record:
    """A row's results."""

    name: str
    work: str
    limit: str
    lines: Sequence[Line]
    cannot: Mapping[str, str] = field(default_factory=dict)

    def best(self, library: str) -> Line | None:
        """Return the fastest of a library's lines: its best setting."""
        ran = [line for line in self.lines if line.library == library and not line.missing]
        return min(ran, key=lambda line: line.median, default=None)


def record(row: Row, results: Sequence[Result]) -> Record:
    """Return what is kept of a row's results."""
    ours = min((r for r in results if r.library == OURS), key=lambda result: result.median)
    return Record(row.name, row.work, row.limit, tuple(line(result, ours) for result in results), dict(row.cannot))


def line(result: Result, ours: Result) -> Line:
    """Return what is kept of a contestant."""
    if result.missing:
        return Line(result.label, result.library, result.missing)
    return Line(
        result.label,
        result.library,
        median=result.median,
        fastest=min(result.times["run"]),
        ratio=result.ratio(ours),
        first=result.first,
        growth=result.gradient_over_value,
        memory=result.memory,
        difference=result.difference,
    )


def machine() -> dict[str, str]:
    """Return what a reader must know to judge the numbers: the processor and the versions."""
    made = {"processor": processor(), "cores": str(os.cpu_count()), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            made[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return made


def processor() -> str:
    """Return the name of the processor, with the widest vector instructions that it has."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    widest = next((name for flag, name in VECTORS.items() if flag in fields.get("flags", "").split()), "")
    return f"{fields.get('model name', platform.machine())}{f' with {widest}' if widest else ''}"


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2"}


def save(records: Sequence[Record], at: Mapping[str, str], order: Sequence[str], path: Path = FILE) -> None:
    """Write results over those of the same rows in the file; rows that no longer exist are dropped.

    Parameters
    ----------
    records : sequence of Record
        Of this run.
    at : mapping of str to str
        As `machine` returns it.
    order : sequence of str
        The names of all rows.
    path : Path
        The file.
    """
    known = {kept.name: kept for kept in load(path)[0]} if path.exists() else {}
    known.update({made.name: made for made in records})
    rows = [asdict(rounded(known[name])) for name in order if name in known]
    path.write_text(json.dumps({"machine": dict(at), "rows": rows}, indent=1) + "\n", encoding="utf-8")


def rounded(made: Record) -> Record:
    """Return a record with four digits a number: more is noise, and makes differences of the file long."""

    def few(value: Any) -> Any:
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return replace(made, lines=tuple(Line(**{k: few(v) for k, v in asdict(line).items()}) for line in made.lines))


def load(path: Path = FILE) -> tuple[list[Record], dict[str, str]]:
    """Return the results of a file and the machine that they come from."""
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = [Record(**{**row, "lines": tuple(Line(**kept) for kept in row["lines"])}) for row in found["rows"]]
    return rows, found["machine"]
