"""How to train: the settings of `fit`, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np

from gradcompile.arguments.signature import Signature
from gradcompile.errors import ArgumentError, GradcompileError, UnknownNameError
from gradcompile.optimizers import Optimizer, Rule

# Rates to begin with, for messages.
RATES = {"SGD": 0.1, "Adam": 0.001, "AdamW": 0.001, "RMSProp": 0.001, "AdaGrad": 0.01}

# What others call a setting.
MEANT = {
    **dict.fromkeys(("lr", "learning_rate", "rate", "eta", "step_size"), "write optimizer=gc.SGD(0.1)"),
    **dict.fromkeys(("momentum", "nesterov"), "write optimizer=gc.SGD(0.1, momentum=0.9)"),
    **dict.fromkeys(("weight_decay", "l2"), "write optimizer=gc.AdamW(0.001, decay=0.01), or add it to the objective"),
    **dict.fromkeys(
        ("scheduler", "schedule", "lr_scheduler"), "give the optimizer a formula in t: gc.SGD(0.1/(1 + t/100))"
    ),
    **dict.fromkeys(("method", "solver", "algorithm"), "write optimizer=gc.SGD(0.1)"),
    **dict.fromkeys(("max_iter", "iterations", "steps", "n_iter"), "write epochs=..."),
    **dict.fromkeys(("random_state", "rng"), "write seed=..."),
    **dict.fromkeys(("validation_data", "validation_split", "validation_fraction"), "write valid=..."),
    **dict.fromkeys(("early_stopping", "n_iter_no_change"), "write patience=..."),
    **dict.fromkeys(("tol", "min_delta"), "write patience=... and min_improvement=..."),
    **dict.fromkeys(("x0", "start", "initial", "params"), "write init={...}"),
    **dict.fromkeys(("sample_weight", "weights", "mask"), "multiply the terms of the objective by data"),
    **dict.fromkeys(("callback", "callbacks"), "read result.history"),
    **dict.fromkeys(("data", "dataset", "train"), "give each array by its name; of a dict: fit(**arrays)"),
    "shuffle": "write seed=... for another order, batch_size=None for all samples at once",
    "verbose": "write progress=...",
}


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
            raise _no_optimizer(self.optimizer)
        _check_count("epochs", self.epochs, 1)
        _check_count("seed", self.seed, 0)
        if self.batch_size is not None and self.batch_size != "auto":
            _check_count("batch_size", self.batch_size, 1, ', None for all samples, or "auto"')
        if self.patience is not None:
            _check_count("patience", self.patience, 1)
        if not isinstance(self.min_improvement, int | float | np.number) or not self.min_improvement >= 0:
            raise wrong("min_improvement", self.min_improvement, "a number of at least 0")


def _no_optimizer(value: object) -> ArgumentError:
    """Return the error for what is no optimizer, with the call that is meant by "adam", by Adam itself, by a rate."""
    name = _name_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        meant = f"gc.SGD({value})"
    elif name:
        called = re.fullmatch(r"\s*\w+(\([-\w.,= ]+\))\s*", value, re.ASCII) if isinstance(value, str) else None
        meant = f"gc.{name}{called[1] if called else f'({RATES[name]})'}"
    else:
        meant = " or ".join(f"gc.{name}({RATES[name]})" for name in ("SGD", "Adam"))
    shown = f"optimizer={name if callable(value) and name else repr(value)}"[:80]
    expected = "an optimizer with its learning rate"
    return ArgumentError("optimizer cannot be this", expected=expected, found=shown, hint=f"pass {meant}")


def _name_of(value: object) -> str:
    """Return the optimizer that has nearly the name of an object, or that a text names; "" if none has."""
    named = value.name if isinstance(value, Rule) else getattr(value, "__name__", type(value).__name__)
    word = re.match(r"\s*(\w*)", value if isinstance(value, str) else str(named))
    near = get_close_matches(word[1].lower() if word else "", [name.lower() for name in RATES], 1)
    return next((name for name in RATES if [name.lower()] == near), "")


def _check_count(name: str, value: object, least: int, others: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise wrong(name, value, f"a whole number of at least {least}{others}")


def named_values(init: object) -> dict[str, Any]:
    """Return the values to start from by name."""
    if init is not None and not isinstance(init, Mapping):
        learned = isinstance(getattr(init, "params", None), Mapping)  # by another training
        hint = "give the params of the result: init=result.params" if learned else ""
        raise wrong("init", init, "a dict with values to start from, by name", hint)
    return dict(init or {})


def unknown(name: str, arguments: Signature) -> GradcompileError:
    """Return the error for what is neither a setting nor an argument of the model."""
    settings = [*(each.name for each in fields(Settings)), "init", "valid"]
    near = get_close_matches(name.casefold(), [*settings, *arguments.inputs], 1)
    if name in MEANT or (near and near[0] in settings):
        hint = MEANT.get(name) or f"did you mean {near[0]!r}?"
        expected = f"{', '.join(settings)}; {arguments}"
        return UnknownNameError(f"there is no setting {name!r}", expected=expected, found=f"{name}=...", hint=hint)
    return arguments.unknown(name)


def wrong(name: str, value: object, expected: str, hint: str = "") -> ArgumentError:
    """Return the error for a setting that cannot be meant."""
    hint = hint or f"give {name} as such, or leave it out"
    return ArgumentError(f"{name} cannot be this", expected=expected, found=f"{name}={value!r}"[:80], hint=hint)
