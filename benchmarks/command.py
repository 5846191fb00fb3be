"""The command line: which rows to run, and what is printed and written of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.contestants import library
from benchmarks.measure import measure
from benchmarks.record import load, machine, record, save
from benchmarks.report import table, write
from benchmarks.row import OURS, Row
from benchmarks.rows import ROWS


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if every contestant agreed, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="gradcompile against its peers")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(r.name for r in ROWS)}; default all"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, three turns, no memory")
    parser.add_argument(
        "--busy", action="store_true", help="processor time, one thread each: for a machine that has other work"
    )
    parser.add_argument("--peers", help="only these libraries beside gradcompile, by commas, e.g. jax,limit")
    parser.add_argument("--readme", action="store_true", help="keep the results, and write README, page and picture")
    options = parser.parse_args(words)
    if options.readme and (options.quick or options.busy or options.peers):
        parser.error("--readme keeps results of full size against everybody: leave --quick, --busy and --peers out")
    rows = chosen(options.rows, parser)
    print(", ".join(" ".join(pair) for pair in machine().items()) + "\n", flush=True)
    failed = [row.name for row in rows if not run(row, options)]
    return int(bool(failed))


def run(row: Row, options: argparse.Namespace) -> bool:
    """Run a row, print its table and keep its results if that is asked for; return whether all went well."""
    print(f"**{row.name}**: {row.work}\n", flush=True)
    try:
        made = record(row, measure(among(row, options.peers), quick=options.quick, busy=options.busy))
    except (AssertionError, RuntimeError) as error:  # the other rows are still worth having
        print(f"FAILED: {error}\n", file=sys.stderr, flush=True)
        return False
    print(table(made, row.goals), flush=True)
    if options.readme:  # at once: a run of all rows takes long
        save([made], machine(), [known.name for known in ROWS])
        write(*load())
    return True


def chosen(names: Sequence[str], parser: argparse.ArgumentParser) -> list[Row]:
    """Return the rows of these names; a name stands also for the rows that begin with it and a hyphen."""
    for name in names:
        if not any(matches(row, name) for row in ROWS):
            parser.error(f"no row {name!r}; there are: {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not names or any(matches(row, name) for name in names)]


def among(row: Row, peers: str | None) -> Row:
    """Return the row with these peers alone."""
    if peers is None:
        return row
    kept = {OURS, *peers.split(",")}
    return replace(row, contestants={name: made for name, made in row.contestants.items() if library(name) in kept})


def matches(row: Row, name: str) -> bool:
    """Return whether a word of the command line means a row."""
    return row.name == name or row.name.startswith(f"{name}-")
