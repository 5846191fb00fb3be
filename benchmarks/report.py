"""Results as text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Result
from benchmarks.row import LIMIT, OURS, Row

HEADINGS = (
    "row",
    "contestant",
    "median",
    "fastest",
    "ratio",
    "goal",
    "grad/value",
    "first result",
    "memory",
    "difference",
)


def best(results: Sequence[Result], library: str) -> Result | None:
    """Return the fastest of a library's contestants: its best setting."""
    ran = [result for result in results if result.library == library and not result.missing]
    return min(ran, key=lambda result: result.median, default=None)


def table(row: Row, results: Sequence[Result]) -> str:
    """Return the results as a Markdown table; the ratio is to gradcompile's best setting."""
    ours = best(results, OURS)
    assert ours is not None, "measure() does not return without gradcompile"
    lines = [HEADINGS, tuple("---" for _ in HEADINGS)]
    lines += [cells(row, result, ours, best(results, result.library) is result) for result in results]
    lines += [(row.name, name, f"cannot: {why}", *("",) * 7) for name, why in row.cannot.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cells(row: Row, result: Result, ours: Result, is_best: bool) -> tuple[str, ...]:
    """Return the line of a contestant."""
    if result.missing:
        return (row.name, result.label, result.missing, *("",) * 7)
    ratio = result.ratio(ours)
    growth = result.gradient_over_value
    return (
        row.name,
        result.label + (f" ({row.limit})" if result.library == LIMIT else ""),
        duration(result.median),
        duration(min(result.times["run"])),
        f"{ratio:.0%}" if result.library == LIMIT else f"{ratio:.2f}x",
        goal(row, result.library, ratio) if is_best else "",
        f"{growth:.2f}" if growth else "",
        duration(result.first),
        "" if result.memory is None else f"data + {result.memory:.0f} MB",
        "" if result.difference is None else f"{result.difference:.0e}",
    )


def goal(row: Row, library: str, ratio: float) -> str:
    """Return the goal against a library and whether it is reached."""
    if library not in row.goals:
        return ""
    wanted = row.goals[library]
    text = f"{wanted:.0%}" if library == LIMIT else f"{wanted:g}x"
    return f"{text} {'reached' if ratio >= wanted else f'MISSED, {ratio / wanted:.0%} of it'}"


def duration(seconds: float) -> str:
    """Return a time with three digits in the unit that suits it."""
    for unit, length in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
