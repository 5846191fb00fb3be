"""Results as Markdown: the table of a row, and what the README and the page of all rows show."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.picture import draw
from benchmarks.record import Line, Record
from benchmarks.row import LIMIT, OURS

ROOT = Path(__file__).parent.parent
README, PAGE, PICTURE = ROOT / "README.md", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg"
BEGIN = "<!-- What follows is written by `python -m benchmarks --readme`. -->"
END = "<!-- End of what is written by `python -m benchmarks --readme`. -->"
HEADINGS = ("contestant", "median", "fastest", "ratio", "gradient/value", "first result", "memory", "difference")
SUMMARY = ("row", "gradcompile", "jax", "torch", "others", "of the limit", "gradient/value", "first result", "memory")
OTHER = "others-"  # rows outside of the table


def table(made: Record, goals: Mapping[str, float] | None = None) -> str:
    """Return the results of a row, a line for each contestant; the ratio is to gradcompile's best setting."""
    rows = [cells(made, line) for line in made.lines]
    headings = HEADINGS
    if goals:
        headings = (*HEADINGS, "goal")
        rows = [(*row, goal(made, line, goals)) for row, line in zip(rows, made.lines, strict=True)]
    absent = [f"{name} {why}" for name, why in made.cannot.items()]
    note = f"\nNot here: {'; '.join(absent)}.\n" if absent else ""
    return markdown(headings, rows) + note


def cells(made: Record, line: Line) -> tuple[str, ...]:
    """Return the cells of a contestant."""
    if line.missing:
        return (line.label, line.missing, *("",) * (len(HEADINGS) - 2))
    return (
        line.label + (f" ({made.limit})" if line.library == LIMIT else ""),
        duration(line.median),
        duration(line.fastest),
        part(line.ratio) if line.library == LIMIT else times(line.ratio),
        f"{line.growth:.2f}" if line.growth else "",
        duration(line.first),
        "" if line.memory is None else f"data + {line.memory:.0f} MB",
        "" if line.difference is None else f"{line.difference:.0e}",
    )


def goal(made: Record, line: Line, goals: Mapping[str, float]) -> str:
    """Return the goal against a library beside its best line, and whether it is reached."""
    if line.library not in goals or made.best(line.library) is not line:
        return ""
    wanted = goals[line.library]
    text = part(wanted) if line.library == LIMIT else f"{wanted:g}x"
    return f"{text} {'reached' if line.ratio >= wanted else f'MISSED, {line.ratio / wanted:.0%} of it'}"


def summary(records: Sequence[Record]) -> str:
    """Return a line for each row: how many times as long as gradcompile the best setting of each library takes."""
    return markdown(SUMMARY, [summary_cells(made) for made in records])


def summary_cells(made: Record) -> tuple[str, ...]:
    """Return a row of the summary."""
    ours, limit = made.best(OURS), made.best(LIMIT)
    assert ours is not None, "nothing is kept of a row without gradcompile"
    others = [name for name in dict.fromkeys(line.library for line in made.lines) if name not in (*SUMMARY, LIMIT)]
    best = {name: line for name in others if (line := made.best(name))}
    growth = [line.growth for line in made.lines if line.library == OURS and line.growth]
    return (
        made.name,
        duration(ours.median),
        *(times(line.ratio) if (line := made.best(name)) else "" for name in ("jax", "torch")),
        ", ".join(f"{name} {times(line.ratio)}" for name, line in best.items()),
        part(limit.ratio) if limit else "",
        f"{min(growth):.2f}" if growth else "",
        duration(ours.first),
        "" if ours.memory is None else f"data + {ours.memory:.0f} MB",
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def block(records: Sequence[Record], machine: Mapping[str, str]) -> str:
    """Return what the README shows between its two marks."""
    shown = [made for made in records if not made.name.startswith(OTHER)]
    note = f"""Columns with a library say how many times as long as gradcompile it takes with its best setting, the
median over turns in which all ran on the same data; more than 1x means that gradcompile is faster. *Of the limit* is
how much is reached of the speed of the least work that any program must do. *First result* has compilation in it, with
nothing compiled before. {where(machine)} [docs/{PAGE.name}](docs/{PAGE.name}) says what each row does, and has every
setting, more models, and who cannot do what."""
    picture = f"![How many times as long as gradcompile others take](docs/{PICTURE.name})"
    return f"{BEGIN}\n{picture}\n\n{summary(shown)}\n{filled(note)}\n{END}"


def filled(text: str) -> str:
    """Return a paragraph in lines of the width of the project's pages."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def page(records: Sequence[Record], machine: Mapping[str, str]) -> str:
    """Return the page of all rows."""
    parts = [f"## {made.name}\n\n{made.work}.\n\n{table(made)}" for made in records]
    return f"""# Benchmarks

This page is written by `python -m benchmarks --readme`; `benchmarks/results.json` has its numbers. Every contestant
runs in a process of its own, all take turns, and each row compares their answers. A ratio above 1x means that
gradcompile is faster; a limit's says how much of its speed gradcompile's best setting reaches. The first result
includes compilation, with nothing compiled before; memory is what a run adds to the data.

{filled(where(machine))}

{chr(10).join(parts)}"""


def where(machine: Mapping[str, str]) -> str:
    """Return the sentence that says which machine and which versions were measured."""
    known = ("processor", "cores", "python")
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name not in known)
    processor, cores, python = (machine[name] for name in known)
    return f"Measured on {processor}, {cores} cores, Python {python}; {versions}."


def write(records: Sequence[Record], machine: Mapping[str, str]) -> None:
    """Rewrite the README's block, the page and the picture."""
    text = README.read_text(encoding="utf-8")
    README.write_text(replaced(text, block(records, machine)), encoding="utf-8")
    PAGE.write_text(page(records, machine), encoding="utf-8")
    PICTURE.write_text(draw([made for made in records if not made.name.startswith(OTHER)]), encoding="utf-8")


def replaced(text: str, new: str) -> str:
    """Return a text with what is between its two marks replaced."""
    found = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no line {BEGIN!r} before a line {END!r}: put both where the results belong")
    return text[: found.start()] + new + text[found.end() :]


def times(ratio: float) -> str:
    """Return a ratio with three digits."""
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:,.0f}x"


def part(ratio: float) -> str:
    """Return a part of a whole."""
    return f"{ratio:.0%}"


def duration(seconds: float) -> str:
    """Return a time with three digits in the unit that suits it."""
    for unit, length in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
