"""Run the rows that are named, or all of them, and print a table: ``python -m benchmarks [ROW ...]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping, Sequence

from benchmarks.measure import Result, measure
from benchmarks.row import OURS, Row
from benchmarks.rows import ROWS

HEADINGS = ("row", "contestant", "median", "fastest", "against gradcompile", "first call", "memory", "difference")


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if every contestant agreed, an exception if not."""
    by_name = {row.name: row for row in ROWS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(by_name)}; all if none is named")
    chosen = parser.parse_args(words).rows or list(by_name)
    if unknown := [name for name in chosen if name not in by_name]:
        parser.error(f"no row {unknown[0]!r}; there are: {', '.join(by_name)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    for name in chosen:
        row = by_name[name]
        print(f"**{row.name}**: {row.work}; median of {row.repeats} runs, in turn\n")
        print(table(row, measure(row)), flush=True)
    return 0


def table(row: Row, results: Mapping[str, Result]) -> str:
    """Return the results as a Markdown table."""
    ours = results[OURS].median
    lines = [HEADINGS, tuple("---" for _ in HEADINGS)]
    for name, result in results.items():
        lines.append(
            (
                row.name,
                name,
                duration(result.median),
                duration(result.fastest),
                f"{result.median / ours:.2f}x",
                duration(result.first),
                f"data + {result.memory:.0f} MB",
                f"{result.difference:.0e}",
            )
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def duration(seconds: float) -> str:
    """Return a time with three digits in the unit that suits it."""
    for unit, length in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


if __name__ == "__main__":
    raise SystemExit(main())
