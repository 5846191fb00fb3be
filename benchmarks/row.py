"""What a row of the benchmark is: one piece of work, and everybody who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
Run = Callable[[], Arrays]
Contestant = Callable[[Arrays], Run]

OURS = "gradcompile"


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    name : str
        What selects the row on the command line.
    work : str
        One line for a reader: sizes, dtypes, and what a run computes.
    data : callable
        ``data(scale) -> arrays`` by name, the same for everybody; scale 1 is the full size, a smaller one warms up.
    contestants : mapping of str to callable
        By name, `gradcompile` first. ``contestant(arrays)`` imports its library, compiles what it compiles ahead, and
        returns the run; ``run()`` starts from the same state each time and returns its answers by name.
    tolerance : float
        How far answers may differ from gradcompile's, relative to the largest entry of each array.
    repeats : int
        How many times each runs; the median is reported.
    """

    name: str
    work: str
    data: Callable[[float], Arrays]
    contestants: Mapping[str, Contestant]
    tolerance: float
    repeats: int = 5
