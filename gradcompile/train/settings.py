"""How to train: the settings of `fit`, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradcompile.errors import ArgumentError
from gradcompile.optimizers import Optimizer


@dataclass(frozen=True)
class Settings:
    """How to train; see `fit`."""

    optimizer: Optimizer
    epochs: int
    batch_size: int | Literal["auto"] | None
    seed: int
    patience: int | None
    min_improvement: float
    progress: bool

    def check(self) -> None:
        """Raise if a setting cannot be meant."""
        if not isinstance(self.optimizer, Optimizer):
            raise wrong("optimizer", self.optimizer, "an optimizer with its rate, such as SGD(0.1) or Adam(0.001)")
        _check_count("epochs", self.epochs, 1)
        _check_count("seed", self.seed, 0)
        if self.batch_size is not None and self.batch_size != "auto":
            _check_count("batch_size", self.batch_size, 1)
        if self.patience is not None:
            _check_count("patience", self.patience, 1)
        if not self.min_improvement >= 0:
            raise wrong("min_improvement", self.min_improvement, "a number of at least 0")


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise wrong(name, value, f"a whole number of at least {least}")


def wrong(name: str, value: object, expected: str) -> ArgumentError:
    """Return the error for a setting that cannot be meant."""
    hint = f"give {name} as such, or leave it out"
    return ArgumentError(f"{name} cannot be this", expected=expected, found=f"{name}={value!r}"[:80], hint=hint)
