"""A program that is faster than an exact one, and leaves to that what it cannot be trusted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcompile.arguments import Argument
from gradcompile.ir import Graph
from gradcompile.pipeline.graphs import TRUST, Suiting
from gradcompile.pipeline.program import Program

FAILURES = 3  # calls in a row that were not to be trusted, from which on no further one is


class Trusting(Program):
    """A program whose value is no finite number where it is not to be trusted: then an exact one answers.

    Where it answered several calls in a row, it answers all that follow: their sums are likely to be out of range, too.

    Parameters
    ----------
    graph : Graph
        What `trusting` returns.
    exact : Program
        The same in the exact form.
    suiting : callable or None
        Makes the graph of a program for the sizes of the first call.
    """

    def __init__(self, graph: Graph, exact: Program, suiting: Suiting | None) -> None:
        super().__init__(graph, exact.dtype, exact.strict, suiting)
        self.exact, self.patient = exact, exact.patient
        self._failures = 0  # in a row
        limit = TRUST[self.dtype]
        self.notes = (
            f"where a sum is not within {1 / limit:g} and {limit:g}, an exact form answers;"
            f" after {FAILURES} such calls in a row it answers all",
        )

    def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments; once more in the exact form if the value is no finite number."""
        if self._failures < FAILURES:
            found = super().run(name, arguments)
            if np.isfinite(found if name == "value" else found[0]):
                self._failures = 0
                return found
            self._failures += 1
        self.exact.patient = self.patient
        return self.exact.run(name, arguments)
