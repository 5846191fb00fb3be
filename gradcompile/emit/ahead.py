"""Rows that are needed soon, as text: asked for before their turn, since they come in random order.

A sample needs what data lie at its row, and the rows of tables that these data pick. The former are asked for twice as
far ahead as the latter, because they tell which those are; and a step of one short row is over before memory answers.
What the caches hold is not asked for: whether data, or tables, are larger than that is found before all batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gradcompile.emit.expression import Printer
from gradcompile.emit.layout import INDENT
from gradcompile.emit.names import Names
from gradcompile.ir import Graph, Value, reachable

LARGE = 2**18  # numbers of an array that the caches do not hold, for certain: 2 MB
SAMPLES = 4  # how many samples before their turn rows are asked for that data pick, or that are copied


class Ahead:
    """What a sample needs at places that data tell.

    Parameters
    ----------
    graph : Graph
        What is computed for the samples of a batch.
    rows : str
        The input that holds the rows of a batch, or one row.
    names, printer : Names, Printer
        What identifiers and expressions look like.
    """

    def __init__(self, graph: Graph, rows: str, names: Names, printer: Printer) -> None:
        self.graph, self.names, self.printer = graph, names, printer
        self.row = next((v for v in graph.order() if v.op == "input" and v.attr == rows), None)
        self.own: dict[Value, None] = {}  # arrays with a row for every sample
        self.sizes: set[str] = set()  # the named sizes that the lines mention
        self.picked: dict[tuple[Value, Value], None] = {}  # arrays, and the row that data pick
        self.large: dict[str, list[str]] = {}  # the identifiers of what is found before, with the arrays that it is of
        for value in graph.order():
            self._find(value)

    def _find(self, value: Value) -> None:
        """Note what a value reads, or adds to, at rows."""
        array, place = (value.operands[0], value.operands[1:2]) if value.op == "read" else (value, value.operands[1:2])
        if not place or value.op not in ("read", "accumulate") or (value.op == "read" and array.op != "input"):
            return
        if place[0] is self.row:
            self.own[array] = None
        elif place[0].op == "read" and place[0].operands[0].op == "input" and self.row in place[0].operands:
            self.picked[array, place[0]] = None

    def lines(self, later: str, order: str, place: str, last: str, held: dict[Value, str]) -> Iterator[str]:
        """Yield the lines that ask for rows.

        Parameters
        ----------
        later : str
            The identifier of a row that is needed later.
        order : str
            The array of rows.
        place : str
            The place in it that is being computed.
        last : str
            The last place in it.
        held : dict of Value to str
            The identifiers of further arrays: what accumulates terms.
        """
        if self.row is None:
            return
        own = [self.names.inputs[array.attr] for array in self.own]
        asked = [f"fetch({array}, {later})" for array in own]
        yield from self._if_large("large", own, f"{later} = {order}[min({place} + {SAMPLES * 2}, {last})]", asked)
        tables, asked = [], []
        for array, index in self.picked:
            if (array.op == "input" or array in held) and not self._is_small(array):
                tables.append(held[array] if array in held else self.names.inputs[array.attr])
                asked += self._picked(tables[-1], index, later)
        found = f"{later} = {order}[min({place} + {SAMPLES}, {last})]"
        yield from self._if_large("large_tables", tables, found, asked)

    def _is_small(self, table: Value) -> bool:
        """Return whether a table is known to fit into the caches."""
        lengths = [self.graph.length(axis.size) for axis in table.axes]
        return all(length is not None for length in lengths) and prod(filter(None, lengths)) < LARGE

    def _if_large(self, word: str, arrays: list[str], found: str, asked: list[str]) -> Iterator[str]:
        """Yield lines that are carried out where one of some arrays is large."""
        if arrays:
            flag = self.names.word(word)
            self.large[flag] = list(dict.fromkeys(arrays))
            yield f"if {flag}:"
            yield from (INDENT + line for line in [found, *asked])

    def before(self) -> Iterator[str]:
        """Yield the lines, before all batches, that find what is large."""
        for flag, arrays in self.large.items():
            yield f"{flag} = {' or '.join(f'{array}.size >= {LARGE}' for array in arrays)}"

    def _picked(self, array: str, index: Value, later: str) -> Iterator[str]:
        """Yield the lines that ask for the rows of a table that the data of one sample pick."""
        axes = [axis for axis in index.axes if self.row is not None and axis not in self.row.axes]
        sizes = [v.attr for v in reachable(index.operands[1:]) if v.op == "size"] + [axis.size for axis in axes]
        self.sizes.update(name for size in sizes for name, _ in size.terms)
        indent = ""
        for axis in axes:
            yield f"{indent}for {self.names.axis(axis)} in range({self.names.size(axis.size)}):"
            indent += INDENT
        places = [self.printer.render(i, lambda value: self._leaf(value, later)) for i in index.operands[1:]]
        yield f"{indent}fetch({array}, {self.names.inputs[index.operands[0].attr]}[{', '.join(places)}])"

    def _leaf(self, value: Value, later: str) -> str | None:
        """Return what stands for data among the indices: the row to come, or an element at the loops' indices."""
        if value is self.row:
            return later
        if value.op != "input":
            return None
        name, places = self.names.inputs[value.attr], ", ".join(map(self.names.axis, value.axes))
        return f"{name}[{places}]" if places else name
