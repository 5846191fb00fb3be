"""What training shows while it runs: a bar on the terminal, on stderr, so that a program's output stays clean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Show(Protocol):
    """Tell how far training is: steps done, and a few words."""

    def __call__(self, done: int, words: str) -> None:
        """Move the bar to `done` steps."""


def _silent(done: int, words: str) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Show]:
    """Yield a function that moves a bar of `total` steps; it does nothing if not wanted or not on a terminal.

    Parameters
    ----------
    total : int
        Number of steps at the right end.
    wanted : bool
        False turns the bar off.

    Examples
    --------
    >>> with progress_bar(10, wanted=False) as show:
    ...     show(5, "halfway")
    """
    if not wanted or sys.stderr is None or not sys.stderr.isatty():  # there is none where it was closed
        yield _silent
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
