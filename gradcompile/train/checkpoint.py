"""The last parameters that were finite, to go back to when a training diverges."""

from __future__ import annotations

import time

from gradcompile.train.steps import Array, Steps

SHARE = 20  # a look may cost one part in so many of the time since the one before
SPEED = 2e9  # bytes that a look takes a second, until one has been timed


class Checkpoint:
    """Finite parameters of not long ago.

    To look at large parameters and to copy them takes longer than the steps of a call, where these touch a few rows
    only. So it is done as often as it costs little.

    Parameters
    ----------
    steps : Steps
        The training in progress.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.saved: dict[str, Array] = {}  # nothing yet: the parameters that training began with
        self.due = time.perf_counter() + SHARE * steps.size / SPEED  # the time of the next look

    def look(self) -> bool:
        """Return whether the parameters are finite, as far as has been looked; keep them if so."""
        began = time.perf_counter()
        if began < self.due:
            return True
        finite = self.steps.is_finite()
        if finite and self.saved:
            self.steps.copy_to(self.saved)
        elif finite:
            self.saved = self.steps.copy()
        now = time.perf_counter()
        self.due = now + SHARE * (now - began)
        return finite

    def restore(self) -> None:
        """Go back to the parameters that were kept."""
        if self.saved:
            self.steps.restore(self.saved)
        else:
            self.steps.begin()
