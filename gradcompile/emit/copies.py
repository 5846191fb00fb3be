"""Rows of data copied for the products of a batch, as text: by another thread, while the one before is computed.

A team is told which samples come next, and its threads copy their rows by sixteens, see `emit.support.teams`. Nobody
waits for a thread that does not run: before a batch, whoever computes it copies what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gradcompile.emit.ahead import SAMPLES
from gradcompile.emit.expression import Printer
from gradcompile.emit.layout import INDENT
from gradcompile.emit.names import Names
from gradcompile.ir import Axis, Graph

LEFT, DONE, WHICH = 40, 48, 56  # places of what a team has in common
STRANGE, UNSEEN = 60, 61  # where 1 is if a number was copied that is not finite; if such numbers are to be looked for


class Copies:
    """The copies of one module.

    Parameters
    ----------
    graph : Graph
        The step; its inputs are the copies of the rows of a batch, among others.
    copies : mapping of str to str
        By the name of each of these inputs, that of the data.
    names, printer : Names, Printer
        What identifiers look like; which support functions are called.
    team, real : str
        The identifier of what a team has in common, and of the type of numbers if that is not float64.

    Attributes
    ----------
    data, arrays : list of str
        The identifiers of the data, and of the arrays that their rows are copied to.
    """

    def __init__(
        self, graph: Graph, copies: Mapping[str, str], names: Names, printer: Printer, team: str, real: str
    ) -> None:
        self.names, self.support, self.team = names, printer.support, team
        self.zero = f"{real}(0)" if real else "0.0"
        self.data = [names.inputs[data] for data in copies.values()]
        self.arrays = [names.inputs[copy] for copy in copies]
        self.axes = [graph.inputs[copy].axes for copy in copies]
        self._parts = {array: names.fresh(f"{array}_b") for array in self.arrays}  # that of one batch

    def before(self, first: str, last: str, batch: str) -> Iterator[str]:
        """Yield the lines before all batches, which say what the first one is."""
        self.support.add("announce")
        place = self.names.word("place")
        yield f"{place} = 0"
        yield f"announce({self.team}, {first}, min({first} + {batch}, {last}), {place})"

    def lines(self, order: str, start: str, last: str, batch: str, size: str) -> Iterator[str]:
        """Yield the lines before a batch of `size` samples: its copies are made, and then those of the next may be."""
        place = self.names.word("place")
        yield f"while look({self.team}, {DONE}) < {self.team}[{WHICH + 3}]:"
        yield INDENT + self.call(order, first=True)
        for array, part in self._parts.items():
            yield f"{part} = {array}[{place}:{place} + {size}]"
        yield f"{place} = ({place} + {batch}) % {self.arrays[0]}.shape[0]"
        yield f"announce({self.team}, {start} + {batch}, min({start} + 2*{batch}, {last}), {place})"

    def of_batch(self, text: str) -> str:
        """Return arguments with the copies of one batch in the place of the arrays that hold those of several."""
        for array, part in self._parts.items():
            text = re.sub(rf"\b{array}\b", part, text)
        return text

    def arguments(self, order: str) -> list[str]:
        """Return the arguments of the function that copies: its last one says whether the first rows are taken."""
        return [self.team, order, *self.data, *self.arrays, self.names.word("own")]

    def call(self, order: str, *, first: bool) -> str:
        """Return the call of that function."""
        return f"gather({', '.join([*self.arguments(order)[:-1], str(first)])})"

    def body(self, order: str) -> Iterator[str]:
        """Yield its lines. What nobody has seen, it looks at: 0 times a number is 0 if that is finite, and else nan."""
        self.support |= {"claim", "finish"}
        words = ("number", "first", "last", "place", "row", "odd")
        number, first, last, place, row, odd = map(self.names.word, words)
        team, own, s = self.team, self.names.word("own"), self.names.axis(self.axes[0][0])
        yield f"{number} = claim({team}, {LEFT}, {own})"
        yield f"{first}, {last} = {team}[{WHICH}] + 16*{number}, {team}[{WHICH + 1}]"
        yield f"{place} = {team}[{WHICH + 2}] + 16*{number}"
        yield f"{odd} = {self.zero}"
        yield f"for {s} in range(min(16, {last} - {first}) if {number} >= 0 else 0):"
        for data in self.data:
            yield f"{INDENT}fetch({data}, {order}[min({first} + {s} + {SAMPLES}, {last} - 1)])"
        yield f"{INDENT}{row} = np.uint64({order}[{first} + {s}])"
        for data, array, (_, *axes) in zip(self.data, self.arrays, self.axes, strict=True):
            at = ", ".join(map(self.names.axis, axes))
            copy = f"{array}[{place} + {s}, {at}]"
            yield from self._loops(data, axes, [f"{copy} = {data}[{row}, {at}]"])
            yield f"{INDENT}if {team}[{UNSEEN}]:"
            seen = [f"{odd} += {self.zero}*{copy}  # nan, if the number is not finite"]
            yield from (INDENT + line for line in self._loops(data, axes, seen))
        yield f"if {odd} != 0:"
        yield f"{INDENT}{team}[{STRANGE}] = 1"
        yield f"finish({team}, {DONE}, {number})"

    def _loops(self, data: str, axes: Sequence[Axis], lines: list[str]) -> list[str]:
        """Return loops over a row around some lines, in the loop over samples."""
        for k, axis in reversed([*enumerate(axes, 1)]):
            lines = [f"for {self.names.axis(axis)} in range({data}.shape[{k}]):", *(INDENT + line for line in lines)]
        return [INDENT + line for line in lines]
