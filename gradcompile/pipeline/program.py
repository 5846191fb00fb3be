"""A graph as what is called: the functions for any sizes, and those that are planned for the sizes of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from gradcompile.arguments import Argument
from gradcompile.ir import Graph
from gradcompile.jit import wants_numba
from gradcompile.pipeline.functions import EMISSION, Functions
from gradcompile.pipeline.graphs import Suiting
from gradcompile.pipeline.suited import Suited
from gradcompile.schedule import are_few, has_long_rows, keeps_pairs, pick_little, picked_axis, row_axis, small_sizes


class Program(Functions):
    """The functions of a graph, of which a call runs those that are planned for its sizes.

    Calls with the small sizes of the first one are answered by functions that are planned for these, `Suited`. For
    those with other sizes, for which there may be a better plan than the one for any, there is one further such plan.

    Parameters
    ----------
    graph, dtype, strict
        As in `Functions`.
    suiting : callable, optional
        Makes the graph for the sizes of the first call, if it is to be another one.
    """

    def __init__(self, graph: Graph, dtype: str, strict: bool, suiting: Suiting | None = None) -> None:
        super().__init__(graph, dtype, strict)
        self.suiting = suiting
        self.suited: Suited | None = None  # there is none before the first call, or if that has no small sizes
        self.further: Suited | None = None  # for calls with other sizes, none of which it knows
        # sizes of the last call and what answered it, replaced as one
        self._last: tuple[Mapping[str, int] | None, Functions] = (None, self)

    def _told_of_sizes(self) -> tuple[str, ...]:
        """Return in words for which sizes the plan is, if there is also another."""
        known = {} if self.suited is None else self.suited.graph.known
        told = ", ".join(f"{name} = {number}" for name, number in known.items())
        return (f"planned for any sizes: {told}, as in the first call, have a plan of their own",) if told else ()

    @property
    def planned(self) -> tuple[Suited, ...]:
        """What is planned for some sizes."""
        return tuple(each for each in (self.suited, self.further) if each is not None)

    @property
    def answering(self) -> Functions:
        """What answered the last call, this program or what is planned for some sizes."""
        return self._last[1]

    @property
    def idle(self) -> bool:
        """Whether nothing has been asked for that has to be compiled."""
        return super().idle and all(each.idle for each in self.planned)

    @property
    def ready(self) -> bool:
        """Whether whatever has been asked for is compiled, or needs no compiler."""
        return super().ready and all(each.ready for each in self.planned)

    def asked(self, name: str) -> bool:
        """Return whether there was a call of a function, whole or in parts."""
        return any(each.asked(name) for each in self.planned) or super().asked(name)

    def wait(self) -> None:
        """Compile what has been asked for; what is asked for from now on is compiled at once."""
        super().wait()
        for each in self.planned:
            each.wait()

    def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments: the compiled one, or until there is one an early one."""
        return self._for(self.arguments.sizes(arguments)).call(name, arguments)

    def _for(self, sizes: Mapping[str, int]) -> Functions:
        """Return what answers a call with these sizes: the first one decides for which there is a plan of its own."""
        last, answering = self._last
        if sizes is last:
            return answering
        if self.target == "numba":
            self._decide(sizes, first=last is None)
        answering = self._suited_to(sizes) or self
        answering.patient = self.patient
        self._last = sizes, answering
        return answering

    def _suited_to(self, sizes: Mapping[str, int]) -> Suited | None:
        """Return what is planned for these sizes, if anything is."""
        return next((each for each in self.planned if each.suits(sizes)), None)

    def _decide(self, sizes: Mapping[str, int], *, first: bool) -> None:
        """Have a plan of its own for the small sizes of the first call, if it has any, or for a call with others."""
        if not first and (self.further is not None or not self._varies or self._suited_to(sizes) is not None):
            return
        with EMISSION:  # that of one thread, if several make a first call
            if first and self.suited is None:
                known = small_sizes(self.graph, sizes, by_numba=wants_numba())
                self.suited = self._planned_for(sizes, known, self.suiting(sizes) if self.suiting else None)
            elif not first and self.further is None:
                self.further = self._planned_for(sizes, {}, None)  # to know sizes, each would take a compilation

    @cached_property
    def _varies(self) -> bool:
        """Whether there are plans of other loops for some sizes, whichever numbers these are."""
        with EMISSION:
            return self.picked is not None or keeps_pairs(self.graph) or row_axis(self.graph) is not None

    def _planned_for(self, sizes: Mapping[str, int], known: Mapping[str, int], graph: Graph | None) -> Suited | None:
        """Return what is planned for such sizes; None if that would be the plan for any."""
        few = are_few(self.graph, sizes) and keeps_pairs(graph or self.graph)
        picked = pick_little(graph or self.graph, picked_axis(graph) if graph else self.picked, sizes)
        wide = not picked and has_long_rows(graph or self.graph, sizes)
        needed = known or graph or few or picked or wide
        return Suited(self, known, graph, sizes, few=few, picked=picked, wide=wide) if needed else None
