"""The objective on validation data, with the regulariser weighing what it weighs in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcompile.ir import Graph
from gradcompile.minibatch import Minibatch, minibatch, per_sample, why_not
from gradcompile.pipeline import Program, simplify
from gradcompile.shuffle import Rows

ROWS = 8192  # samples in a call, so that an interrupt does not wait


class Validation:
    """The objective per sample of some samples.

    Parameters
    ----------
    lowered : Graph
        The model.
    dtype : {"float64", "float32"}
        Of its arrays.
    given : mapping of str to array-like
        All arguments; the parameters among them are replaced at each call.
    rows : int64 array (V,), optional
        The samples to take; all of them if left out.
    count : int
        The number of samples in training, which the regulariser is divided by.

    Raises
    ------
    DataError, ShapeError, LabelError, ArgumentError, UnknownNameError
        The data are wrong; the message says how.
    """

    def __init__(
        self, lowered: Graph, dtype: str, given: Mapping[str, Any], rows: Rows | None = None, count: int = 1
    ) -> None:
        self.task = Minibatch(per_sample(lowered), "", "") if why_not(lowered) else minibatch(lowered)
        self.program = Program(simplify(self.task.graph), dtype, strict=False)
        extra = {self.task.rows: np.zeros(1, np.int64), self.task.count: float(count)}
        extra.pop("", None)
        arguments, sizes = self.program.arguments.bind({**given, **extra}, check_finite=True)
        self.arguments = dict(zip(self.program.arguments.names, arguments, strict=True))
        self.rows = rows
        if rows is None and lowered.sample is not None:
            self.rows = np.arange(lowered.sample.size.evaluate(sizes))

    def compile(self) -> None:
        """Compile what a call needs."""
        self.program.function("value")

    def __call__(self, parameters: Mapping[str, Any]) -> float:
        """Return the objective per sample at some parameters, each with the shape that the model declares."""
        arguments = self.arguments | dict(parameters)
        if not self.task.rows or self.rows is None:
            return float(self.program.run("value", list(arguments.values())))
        total = 0.0
        for first in range(0, len(self.rows), ROWS):
            arguments[self.task.rows] = part = self.rows[first : first + ROWS]
            total += float(self.program.run("value", list(arguments.values()))) * len(part)
        return total / len(self.rows)
