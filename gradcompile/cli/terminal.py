"""Where text goes: results to stdout, messages to stderr, colours and tables to terminals alone."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import Any

QUIET = "no messages on stderr, errors excepted"
WIDE = 10_000  # columns where there is no terminal: no line of a table is cut


def arguments(parser: argparse.ArgumentParser, *, json: str, quiet: str = QUIET) -> None:
    """Add the options that every command has: a result for machines, and silence.

    Parameters
    ----------
    parser : ArgumentParser
        Of the command.
    json, quiet : str
        What its help says of the two.
    """
    parser.add_argument("--json", action="store_true", help=json)
    parser.add_argument("-q", "--quiet", action="store_true", help=quiet)


def result(text: str) -> None:
    """Write a result, ending in a new line, to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def result_as_json(content: Any) -> None:
    """Write a result for machines: one line of JSON, keys in their order; what is not finite is null."""
    result(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False))


def note(text: str, *, quiet: bool = False) -> None:
    """Write a message to stderr, unless the user wants none."""
    if not quiet:
        sys.stdout.flush()  # where both are one terminal or file, the order is kept
        print(text, file=sys.stderr)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, marks: Mapping[str, str] | None = None) -> None:
    """Write a table to stdout.

    Parameters
    ----------
    columns : sequence of str
        The heads; one that ends in ``>`` is aligned to the right.
    rows : sequence of sequences of str
        The cells, plain text.
    marks : mapping of str to str
        Cells that are coloured on a terminal: text to style.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    file = sys.stdout if terminal else io.StringIO()
    console = Console(file=file, width=None if terminal else WIDE, highlight=False)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        shown.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=(marks or {}).get(cell, "")) for cell in row))
    console.print(shown)
    if isinstance(file, io.StringIO):
        lines = (line.rstrip() for line in file.getvalue().splitlines())
        result(dedent("\n".join(line for line in lines if line)))


def seed(text: str) -> int:
    """Return a seed, for argparse: a whole number that is not negative."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _finite(content: Any) -> Any:
    """Return content that JSON can hold."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float):
        return float(content) if abs(content) < float("inf") else None
    return content
