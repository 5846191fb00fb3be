"""What is planned for some sizes, and right for these alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradcompile.arguments import Argument
from gradcompile.early import Early
from gradcompile.ir import Graph
from gradcompile.passes import are_often, are_seldom, lookups, one_by_one, seldom_looked_up
from gradcompile.pipeline.functions import Function, Functions
from gradcompile.schedule import are_few, has_long_rows, pick_little


class Suited(Functions):
    """Functions that are planned for some sizes, and right for these alone.

    What answers before its kernel is compiled is what answers for the general one: that is right for any sizes.

    Parameters
    ----------
    general : Functions
        The same for any sizes.
    known : mapping of str to int
        The sizes for which it is planned.
    graph : Graph or None
        Another one than the general, for calls in which data pick elements of an array as often as in the first.
    sizes : mapping of str to int
        All of those of the first call.
    few : bool
        Whether it is planned for so few samples that what there is for pairs of them is kept.
    picked : bool
        Whether its loops stream over what the samples pick elements of.
    wide : bool
        Whether its loops stream along the rows of data.
    """

    def __init__(
        self,
        general: Functions,
        known: Mapping[str, int],
        graph: Graph | None,
        sizes: Mapping[str, int],
        *,
        few: bool,
        picked: bool,
        wide: bool,
    ) -> None:
        planned = one_by_one(replace(graph or general.graph, known=known, few=few, picked=picked, wide=wide))
        super().__init__(planned, general.dtype, general.strict)
        self.general, self.arguments = general, general.arguments
        self.lookups = lookups(graph, sizes, computed=True) if graph else []
        self.seldom = seldom_looked_up(general.graph, sizes) if graph else []
        self.notes = general.notes

    def _told_of_sizes(self) -> tuple[str, ...]:
        told = ", ".join(f"{name} = {number}" for name, number in self.graph.known.items())
        more = ("planned for arrays of which data pick more elements than there are: these are computed whole",)
        fixed = (f"planned for {told}, as in the first call: calls with other sizes have a plan for any",)
        less = ("planned for tables of which samples look up less than there is: functions are of that alone",)
        few = ("planned for so few samples that what there is for pairs of them is kept",)
        picked = ("planned for samples that do nothing but pick elements: loops stream over these elements",)
        wide = ("planned for rows of data that are longer than there are rows: loops stream along them",)
        also = (
            (more, self.lookups),
            (less, self.seldom),
            (few, self.graph.few),
            (picked, self.graph.picked),
            (wide, self.graph.wide),
        )
        return (*(fixed if told else ()), *(line for lines, holds in also if holds for line in lines))

    def suits(self, sizes: Mapping[str, int]) -> bool:
        """Return whether a call has the sizes for which this is planned."""
        graph = self.graph
        return (
            all(sizes[name] == number for name, number in graph.known.items())
            and (not graph.few or are_few(graph, sizes))
            and (not graph.picked or pick_little(graph, self.picked, sizes))
            and (not graph.wide or has_long_rows(graph, sizes))
            and all(are_seldom(*pair, sizes) for pair in self.seldom)
            and all(are_often(graph, *pair, sizes) for pair in self.lookups)
        )

    @property
    def early(self) -> Early:
        """What answers until the kernel is compiled."""
        return self.general.early

    def _answer(self, name: str) -> Function:
        return self.general._answer(name)

    def _in_slices(self, name: str, arguments: Sequence[Argument]) -> Function | None:
        return self.general._in_slices(name, arguments)
