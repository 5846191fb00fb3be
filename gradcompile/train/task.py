"""What is trained on: an objective's compiled steps, the samples of an epoch, and the data to validate on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from gradcompile import shuffle
from gradcompile.arguments import Arguments
from gradcompile.errors import ArgumentError, DataError
from gradcompile.ir import Graph
from gradcompile.jit import wants_numba
from gradcompile.minibatch import refusal, why_not
from gradcompile.optimizers import Optimizer
from gradcompile.schedule import small_sizes
from gradcompile.train.settings import Settings, wrong
from gradcompile.train.start import starting_values
from gradcompile.train.steps import Kernel, Steps, Taken, kernel, taken
from gradcompile.train.validation import Validation

BATCH = 128  # samples in a batch, if the user does not say


@dataclass(frozen=True)
class Task:
    """What is trained on: compiled steps, the rows that an epoch takes, and the data to validate on."""

    steps: Steps
    rows: shuffle.Rows | int | None  # a count: as many; None: all samples in every step, and no shuffling
    batch: int
    validation: Validation | None
    check: Callable[..., None]  # raises a DataError if the data are not finite, but those in `known` it leaves out

    @property
    def count(self) -> int:
        """Samples in an epoch; a step over all of them counts as one."""
        return 1 if self.rows is None else shuffle.count_of(self.rows)

    @property
    def copied(self) -> frozenset[str]:
        """The data of which an epoch copies every row: the steps see whether they are finite."""
        return frozenset(self.steps.kernel.copies.values() if isinstance(self.rows, int) else ())

    @property
    def is_compiled(self) -> bool:
        """Whether there is nothing to compile; with validation data, that is not looked into."""
        return self.validation is None and self.steps.is_compiled(self.batch)

    def compile(self) -> None:
        """Compile everything that training calls."""
        self.steps.compile(self.batch)
        if self.validation is not None:
            self.validation.compile()

    def order(self, seed: int, epoch: int) -> shuffle.Rows:
        """Return the rows of an epoch in their order."""
        return np.zeros(0, np.int64) if self.rows is None else shuffle.order(seed, epoch, self.rows)


def task_of(model: Any, settings: Settings, inputs: dict[str, Any], init: dict[str, Any], valid: Any) -> Task:
    """Check everything, and return what is trained on.

    Parameters
    ----------
    model : CompiledModel
        The model.
    settings : Settings
        How to train.
    inputs, init : dict of str to array-like
        Data and constants; values to start from.
    valid : float, mapping or None
        A part of the samples to hold out, or other data.
    """
    graph: Graph = model.lowered
    _check_valid(graph, valid)
    given = inputs | starting_values(graph, inputs, init, settings.seed)
    checked = Arguments(graph, model.dtype)
    arguments, sizes = checked.bind(given)
    checked.check_finite(arguments, ("parameter", "constant"))
    samples = _samples(graph, arguments, sizes)
    rows: shuffle.Rows | int = samples
    held: shuffle.Rows | None = None
    if isinstance(valid, float):
        rows, held = _split(settings.seed, samples, valid)
    batch = _batch(graph, settings.batch_size, shuffle.count_of(rows))
    how = taken(batch, samples)
    own = dict(zip(checked.names, arguments, strict=True))
    check = partial(checked.check_finite, arguments)
    steps = Steps(_kernel(model, settings.optimizer, how, sizes), own, shuffle.count_of(rows), sizes)
    validation = None
    if valid is not None:
        others = dict(valid) if isinstance(valid, Mapping) else {}
        checked.bind({**own, **others}, check_finite=True)
        validation = Validation(graph, model.dtype, {**own, **others}, held, shuffle.count_of(rows))
    if how == "all":
        return Task(steps, None, 1, validation, check)
    return Task(steps, rows, batch, validation, check)


_kernels: WeakKeyDictionary[Any, dict[tuple[object, ...], Kernel]] = WeakKeyDictionary()


def _kernel(model: Any, optimizer: Optimizer, how: Taken, sizes: Mapping[str, int]) -> Kernel:
    """Return the compiled steps, made once for a model, an optimizer, a way of taking samples, and small sizes.

    Whichever sizes there were before: to train once more is to train to the same bits.
    """
    kernels = _kernels.setdefault(model, {})
    rule = optimizer.rule.text, *optimizer.settings.items(), how, wants_numba()
    asked = *rule, *sizes.items()
    if asked not in kernels:
        known = small_sizes(model.lowered, sizes, by_numba=wants_numba())
        key = *rule, "known", *known.items()
        if key not in kernels:
            kernels[key] = kernel(replace(model.lowered, known=known), optimizer, model.dtype, how)
        kernels[asked] = kernels[key]
    return kernels[asked]


def _check_valid(graph: Graph, valid: Any) -> None:
    """Raise if the validation data cannot be meant, or cannot be held out."""
    if isinstance(valid, Mapping):
        _check_names(graph, valid)
    if valid is None or isinstance(valid, Mapping):
        return
    if not isinstance(valid, float) or not 0 < valid < 1:
        raise wrong("valid", valid, "a part between 0 and 1, such as 0.1, or a dict of data")
    if reason := why_not(graph):
        raise refusal(graph, reason)


def _check_names(graph: Graph, valid: Mapping[Any, Any]) -> None:
    """Raise if validation data have values of what is learned, which would be replaced, or lack some of a sample."""
    for name in map(str, valid):
        if name in graph.wrt:
            raise ArgumentError(
                f"the validation data give {name!r}, which is learned: they are judged by what it is after each epoch",
                expected="data and constants",
                found=f"valid={{{name!r}: ...}}",
                hint=f"leave {name!r} out of valid; to start from it, give it in init",
            )
    lacking = _lacking(graph, valid)
    if lacking:
        raise ArgumentError(
            f"the validation data lack {lacking[0]!r}, of which each sample has its own",
            expected=f"all data of a sample, {', '.join(lacking)} among them",
            found=f"valid={{{', '.join(f'{name!r}: ...' for name in valid)}}}",
            hint=f"add {lacking[0]!r} to valid",
        )


def _lacking(graph: Graph, valid: Mapping[Any, Any]) -> list[str]:
    """Return the data of samples that are not given beside others: those to train on are of other samples."""
    if graph.sample is None:
        return []
    sampled = [name for name, i in graph.inputs.items() if graph.sample.size in i.shape and i.role != "parameter"]
    return [name for name in sampled if name not in valid] if any(name in valid for name in sampled) else []


def _split(seed: int, samples: int, fraction: float) -> tuple[shuffle.Rows, shuffle.Rows]:
    if samples < 2:
        raise DataError(
            "one sample cannot be split",
            expected="two samples or more",
            found="valid=" + str(fraction),
            hint="give more samples, or valid=None",
        )
    return shuffle.split(seed, samples, fraction)


def _samples(graph: Graph, arguments: list[Any], sizes: Mapping[str, int]) -> int:
    """Return the number of samples; where no axis is known to be theirs, that of the longest axis of the data."""
    if graph.sample is not None:
        return graph.sample.size.evaluate(sizes)
    data = (a for a, i in zip(arguments, graph.inputs.values(), strict=True) if i.role != "parameter")
    return max((max(np.shape(a), default=1) for a in data), default=1)


def _batch(graph: Graph, wanted: int | Literal["auto"] | None, samples: int) -> int:
    """Return the number of samples in a batch."""
    if wanted is None or (wanted != "auto" and wanted >= samples):
        return samples
    reason = why_not(graph)
    if not reason:
        return min(BATCH, samples) if wanted == "auto" else wanted
    if wanted == "auto":
        return samples
    raise refusal(graph, reason)
