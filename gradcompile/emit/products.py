"""Products of matrices as text: calls of BLAS, on arrays as they lie in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradcompile.emit.expression import ATOM, Printer, as_factor
from gradcompile.emit.names import Names
from gradcompile.emit.places import Places
from gradcompile.ir import Value
from gradcompile.passes.share import runs_from
from gradcompile.schedule import Plan, Product
from gradcompile.schedule.products import Axes, Factors

Moved = tuple[str, str, Value]  # an array of the caller, and what is added to it is multiplied by: an argument, a value


class Products:
    """The products of matrices of one function.

    Parameters
    ----------
    plan : Plan
        The schedule.
    names, printer : Names, Printer
        What identifiers and expressions look like.
    places : Places
        Where the matrices are.
    moved : mapping of Value to Moved
        The products that are not kept but added to an array of the caller.
    team : str
        The array that threads have in common which share the products; "" if none do.
    tiles : bool
        Whether BLAS is to be given large products in tiles.
    """

    def __init__(
        self,
        plan: Plan,
        names: Names,
        printer: Printer,
        places: Places,
        moved: Mapping[Value, Moved],
        team: str,
        *,
        tiles: bool,
    ) -> None:
        self.plan, self.names, self.printer, self.places, self.moved = plan, names, printer, places, moved
        self.function, self.first = ("share", f"{team}, ") if team else ("gemm", "")
        self.tiles = ", True" if tiles else ""

    def line(self, node: Product) -> str:
        """Return the line of a product of matrices."""
        self.printer.support.add(self.function)
        f = self._by_rows(node)
        left, right = self._whole(f.left, f.rows, f.inner, f), self._whole(f.right, f.inner, f.columns, f)
        alpha, beta = "1.0" if node.sign > 0 else "-1.0", "0.0" if node.begins else "1.0"
        if node.target in self.moved:
            alpha, beta = self._multiple(node), "1.0"
        target = self._whole(node.target, f.rows, f.columns, f)
        return f"{self.function}({self.first}{alpha}, {left}, {right}, {beta}, {target}{self.tiles})"

    def _by_rows(self, node: Product) -> Factors:
        """Return a product, of one sample as that of which the rows are contiguous: transposed, it is the other way."""
        f = node.factors
        if self.plan.sample not in f.loops or not self._whole(node.target, f.rows, f.columns, f).endswith(".T"):
            return f
        return f._replace(left=f.right, right=f.left, rows=f.columns, columns=f.rows)

    def _multiple(self, node: Product) -> str:
        """Return what a product is multiplied by that is added to an array of the caller."""
        _, factor, scale = self.moved[node.target]
        sign = "-" if node.sign < 0 else ""
        if scale.is_const(1) or scale.is_const(-1):
            return factor if scale.is_const(node.sign) else f"-{factor}"
        text, binds = self.printer.text(scale, self.places.leaf)
        return f"{sign}{factor}*{text if binds == ATOM else f'({text})'}"

    def _whole(self, value: Value, rows: Axes, columns: Axes, of: Factors) -> str:
        """Return a matrix of which the samples of a block are rows or columns: an argument, or what was computed."""
        if value.op == "read" and value not in self.plan.stored:
            return self._renamed(value, rows, columns, of)
        given = value.op == "input" and not of.is_plain  # a copy of its samples may be laid otherwise
        axes, name = self.places.axes_of(value, given), self.names.value(value) if given else self.places.array(value)
        return self._laid(value, name, axes, rows, columns, of, given=given)

    def _renamed(self, value: Value, rows: Axes, columns: Axes, of: Factors) -> str:
        """Return an array under other axes as a matrix: an argument as it lies, of which any sample may be needed."""
        array, given = value.operands[0], value.operands[0].op == "input"
        runs = [run for index in value.operands[1:] if (run := runs_from(index)) is not None]
        own = dict(zip(array.axes, (axis for axis, _ in runs), strict=True))
        start = next((start for _, start in runs if start is not None), None)
        axes = tuple(own[a] for a in self.places.axes_of(array, given))
        return self._laid(array, self.names.value(array), axes, rows, columns, of, given=given, start=start)

    def _laid(
        self,
        array: Value,
        name: str,
        axes: Axes,
        rows: Axes,
        columns: Axes,
        of: Factors,
        *,
        given: bool = False,
        start: Value | None = None,
    ) -> str:
        """Return an array with these axes as a matrix, of the samples of a block if it has samples.

        They are counted from the first one of the array, or from `start` on.
        """
        runs, dimension = _runs(axes, [rows, columns]), self._samples_in(axes)
        grouped, own = len(runs) < len(axes), array in self.plan.blocked and not given
        if grouped and dimension == len(axes) - 1:  # a part of the samples is no longer contiguous
            name = self._shaped(name, runs, self.names.word("T") if own else self.names.size(axes[-1].size))
            name, grouped = self._part(name, len(runs) - 1, own=own), False
        elif dimension is not None and not own:
            name = self.places.view(array, name, dimension, start)
        elif dimension is not None and self.plan.sample not in of.loops:
            name = self._part(name, dimension, own=True)
        if grouped:
            if runs[0] == (self.plan.sample,) and self.plan.sample in of.loops:
                name, runs = f"{name}[{self.names.axis(runs[0][0])}]", runs[1:]
            name = self._shaped(name, runs, self.names.word("size"))
        indices = [self.names.axis(run[0]) if run[0] in of.loops else ":" for run in runs]
        while indices and indices[-1] == ":":
            indices.pop()
        name = f"{name}[{', '.join(indices)}]" if indices else name
        return name if runs.index(rows) < runs.index(columns) else f"{name}.T"

    def _samples_in(self, axes: Axes) -> int | None:
        """Return the dimension of an array along which its samples are; None if it has none."""
        return axes.index(self.plan.sample) if self.plan.sample in axes else None

    def _part(self, name: str, dimension: int, *, own: bool) -> str:
        """Return the samples of a block of a matrix: the first ones of its `own` array, or of one for all samples."""
        first, size = self.names.word("first"), self.names.word("size")
        return f"{name}[{':, ' * dimension}{f':{size}' if own else f'{first}:{first} + {size}'}]"

    def _shaped(self, name: str, runs: Sequence[Axes], samples: str) -> str:
        """Return an array with the axes of each group as one, of so many samples."""
        return f"{name}.reshape({', '.join(self._extent(run, samples) for run in runs)})"

    def _extent(self, axes: Axes, samples: str) -> str:
        """Return how many indices several axes have together."""
        sizes = [samples if a == self.plan.sample else self.names.size(a.size) for a in axes]
        return sizes[0] if len(sizes) == 1 else "*".join(map(as_factor, sizes))


def _runs(axes: Axes, groups: Sequence[Axes]) -> list[Axes]:
    """Return the axes of an array, those of a group together."""
    found: list[Axes] = []
    for axis in axes:
        run = next((group for group in groups if axis in group), (axis,))
        found += [run] if run not in found else []
    return found
