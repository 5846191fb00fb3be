"""What a row of the benchmark is: one piece of work, and everybody who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
Run = Callable[[], Any]

OURS = "gradcompile"
LIMIT = "limit"  # the contestant that does the least that any program must: reads the data, or multiplies the matrices


class Call:
    """A call that is timed as written, in a loop of its own: a wrapper would cost more than the shortest calls.

    Parameters
    ----------
    statement : str
        An expression in Python.
    names : mapping of str to object
        What the expression uses.
    """

    def __init__(self, statement: str, **names: Any) -> None:
        self.statement, self.names = statement, names
        self.code = compile(statement, "<benchmark>", "eval")

    def __call__(self) -> Any:
        """Evaluate the expression once."""
        return eval(self.code, dict(self.names))  # the statement is a row's own text, not a user's


@dataclass(frozen=True)
class Work:
    """What a contestant does, ready to run.

    Parameters
    ----------
    run : callable
        The work of the row. It starts from the same state each time and returns when it is done.
    answers : callable
        From what `run` returns to arrays by name; no array means that there is nothing to compare. Not timed.
    value, gradient : callable, optional
        The objective alone, and with its gradient, for the column that compares the two.
    settle : callable, optional
        Waits until whatever compiles in the background has compiled; called when each part has run once.
    seconds : callable, optional
        ``seconds() -> float`` where the clock is not around `run`: the time inside a process that `run` starts.
    compile : float, optional
        Seconds from the model as mathematics to a function that runs, where the contestant has timed it.
    """

    run: Run
    answers: Callable[[Any], Arrays] = lambda result: {}
    value: Run | None = None
    gradient: Run | None = None
    settle: Run = lambda: None
    seconds: Callable[[], float] | None = None
    compile: float | None = None


Contestant = Callable[[Arrays], Work]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    name : str
        What selects the row on the command line; ``gmm`` also selects ``gmm-2`` and ``gmm-10``.
    work : str
        One line for a reader: sizes, dtypes, and what a run computes.
    data : callable
        ``data(scale) -> arrays`` by name, the same for everybody; scale 1 is the full size.
    contestants : mapping of str to callable
        By name, `gradcompile` first. The first word is the library (``jax expanded`` needs jax). A contestant compiles
        what it compiles ahead.
    tolerance : float
        How far answers may differ from gradcompile's, relative to the largest entry of each array.
    goals : mapping of str to float
        How many times gradcompile is to be faster, by library; for `limit`, the part of the limit's speed to reach.
    limit : str
        What the contestant `limit` does.
    cannot : mapping of str to str
        Libraries that cannot do this work, and why.
    single : tuple of str
        Contestants that use one thread whatever they are offered.
    home : str
        The module whose ``ROWS`` has the row, for the processes of its contestants.
    repeats : int
        How many times each runs; the median is reported.
    """

    name: str
    work: str
    data: Callable[[float], Arrays]
    contestants: Mapping[str, Contestant]
    tolerance: float
    goals: Mapping[str, float] = field(default_factory=dict)
    limit: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)
    single: tuple[str, ...] = ()
    home: str = "benchmarks.rows"
    repeats: int = 7
