"""The course of a training: epochs in calls of compiled code, until one of the reasons to stop."""

from __future__ import annotations

import math
import time

import numpy as np

from gradcompile import shuffle
from gradcompile.threads import get_threads
from gradcompile.train.background import Meanwhile, in_background
from gradcompile.train.checkpoint import Checkpoint
from gradcompile.train.history import Epoch, Patience
from gradcompile.train.interrupts import heard_interrupts
from gradcompile.train.progress import Show, progress_bar
from gradcompile.train.settings import Settings
from gradcompile.train.task import Task

CALL = 0.1  # seconds that one call of compiled code aims at: an interrupt waits for the end of a call
MANY = 2**24  # bytes of data that take longer to look at than a thread to start
GROWTH = 8  # how many times more batches a call may take than the one before it

FEW = 5  # epochs, whose objectives may grow by chance
FINISHED, PATIENCE, INTERRUPTED, DIVERGED = "finished", "no improvement", "interrupted", "not finite"


class Run:
    """One training: epochs, until one of the reasons to stop."""

    def __init__(self, settings: Settings, task: Task) -> None:
        self.settings, self.task, self.steps = settings, task, task.steps
        self.history: list[Epoch] = []
        self.patience = Patience(settings.patience, settings.min_improvement)
        self.safe, self.best = Checkpoint(self.steps), {} if settings.patience is None else self.steps.copy()
        self.strange = "objective or parameters were not finite"  # why training cannot go on, if so
        self.batches = 1  # in the next call: as many as the time of the last one allows

    def train(self) -> tuple[str, str]:
        """Train, leave the parameters in `steps`, and return why training stopped: a word and a sentence."""
        try:
            with heard_interrupts() as self.listen:
                self.data = self._looked_at()
                if not self.task.is_compiled:
                    in_background(self.task.compile)
                with progress_bar(self.settings.epochs * self.task.count, self.settings.progress) as show:
                    stopped, reason = self._epochs(show)
        except KeyboardInterrupt:
            stopped, reason = INTERRUPTED, f"interrupted in epoch {len(self.history) + 1}"
            if not self.steps.is_finite():
                self.safe.restore()
        if self.settings.patience is not None and math.isfinite(self.patience.best):
            self.steps.restore(self.best)
        return stopped, reason

    def _looked_at(self) -> Meanwhile | None:
        """Look whether all data are finite: at once, or, if there are many, while the first epoch runs."""
        many = sum(getattr(a, "nbytes", 0) for a in (*self.steps.before, *self.steps.after)) >= MANY
        if many and self.task.copied:
            self.steps.unseen = True
            self.task.check(known=self.task.copied)
        elif many and get_threads() > 1:
            return Meanwhile(self.task.check)
        else:
            self.task.check()
        return None

    def _see_data(self) -> None:
        """Raise a DataError if the data are not finite, now that there was an epoch."""
        if self.data is not None:
            self.data.wait()
        self.steps.unseen = False
        if self.steps.strange:
            self.task.check()

    def _epochs(self, show: Show) -> tuple[str, str]:
        for number in range(1, self.settings.epochs + 1):
            record = self._epoch(number, show)
            if number == 1:
                self._see_data()
            if record is None:
                return DIVERGED, self._diverged(number)
            self.history.append(record)
            if self.patience.improved(record.watched) and self.settings.patience is not None:
                self.best = self.steps.copy()
            if self.patience.exhausted:
                waited = self.patience.waited
                return PATIENCE, f"no improvement in {waited} epochs; the best was epoch {number - waited}"
        return FINISHED, f"all {self.settings.epochs} epochs are done{self._growth()}"

    def _epoch(self, number: int, show: Show) -> Epoch | None:
        """Train for an epoch and return its record; None if something was not finite."""
        began, total, done, count = time.perf_counter(), 0.0, 0, self.task.count
        order = self.task.order(self.settings.seed, number)
        while done < count:
            self.listen()
            last = min(done + self.batches * self.task.batch, count)
            total, done = self._call(order, done, last, total), last
            if not math.isfinite(total) or not (self.safe.look() and (done < count or self.steps.is_finite())):
                self.safe.restore()
                return None
            show((number - 1) * count + done, f"epoch {number}, objective {total / done:.4g}")
        validation = None if self.task.validation is None else self.task.validation(self.steps.learned())
        return Epoch(total / count, number, validation, time.perf_counter() - began, self.steps.rate)

    def _call(self, order: shuffle.Rows, first: int, last: int, total: float) -> float:
        """Call compiled code once, and learn from its time how many batches the next call may take.

        The total so far goes into the call, so that it is added up in one order whatever the calls.
        """
        began = time.perf_counter()
        try:
            total = self.steps.run(order, first, last, self.task.batch, total)
        except np.linalg.LinAlgError:
            self.strange, total = "a matrix was singular or not finite", math.nan
        a_batch = (time.perf_counter() - began) / math.ceil((last - first) / self.task.batch)
        self.batches = max(1, min(int(CALL / max(a_batch, 1e-9)), GROWTH * self.batches))
        return total

    def _growth(self) -> str:
        """Return what to say of a training in which the objective grew."""
        first, last = self.history[0].objective, self.history[-1].objective
        if last <= first or len(self.history) < FEW:
            return ""
        return f", but the objective grew from {first:.3g} to {last:.3g}: try a rate below {self.steps.rate:.3g}"

    def _diverged(self, epoch: int) -> str:
        return (
            f"{self.strange} in epoch {epoch}, by step {self.steps.taken}, at a rate of "
            f"{self.steps.rate:g}; the parameters are the last finite ones; try a lower rate"
        )
