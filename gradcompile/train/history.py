"""What training reports of an epoch, and when it stops early."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


class Epoch(float):
    """The objective per sample in an epoch: a number, with the facts of that epoch as attributes.

    It is the mean over the epoch's batches, each at the parameters that it found, so it lags half an epoch behind.

    Parameters
    ----------
    objective : float
        The objective per sample on the training data, dimension of the objective.
    epoch : int
        Its number, from 1.
    validation : float or None
        The objective per sample on the validation data after the epoch, if there are any.
    seconds : float
        How long the epoch took, validation included.
    rate : float
        The learning rate of its last step.

    Examples
    --------
    >>> first = Epoch(2.0, 1, None, 0.5, 0.1)
    >>> first.rate, f"{first:.2f}", first > 1
    (0.1, '2.00', True)
    """

    __slots__ = ("epoch", "rate", "seconds", "validation")

    def __new__(cls, objective: float, epoch: int, validation: float | None, seconds: float, rate: float) -> Epoch:
        """Make the number, and keep the facts beside it."""
        self = float.__new__(cls, objective)
        self.epoch, self.validation, self.seconds, self.rate = epoch, validation, seconds, rate
        return self

    epoch: int
    validation: float | None
    seconds: float
    rate: float

    @property
    def objective(self) -> float:
        """The objective per sample on the training data, as a plain float."""
        return float(self)

    @property
    def watched(self) -> float:
        """What early stopping looks at: the validation objective where there is one."""
        return self.objective if self.validation is None else self.validation

    def __repr__(self) -> str:
        """Return the record in words."""
        validation = "" if self.validation is None else f", validation={self.validation:.6g}"
        objective = f"objective={self.objective:.6g}{validation}"
        return f"Epoch({self.epoch}: {objective}, seconds={self.seconds:.3g}, rate={self.rate:.6g})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return what copies are made of."""
        return (self.objective, self.epoch, self.validation, self.seconds, self.rate)


@dataclass
class Patience:
    """Stops training when nothing has improved for a while (Prechelt 1998, Early stopping - but when?).

    Parameters
    ----------
    epochs : int or None
        How many epochs without improvement are one too many; None never stops.
    improvement : float
        By how much the watched objective must fall to count as improved, in its units.
    """

    epochs: int | None
    improvement: float
    best: float = math.inf
    waited: int = 0

    def improved(self, watched: float) -> bool:
        """Take the watched objective of an epoch, and return whether it is the best so far."""
        better = watched < self.best - self.improvement
        self.best, self.waited = (watched, 0) if better else (self.best, self.waited + 1)
        return better

    @property
    def exhausted(self) -> bool:
        """Whether training must stop."""
        return self.epochs is not None and self.waited >= self.epochs
