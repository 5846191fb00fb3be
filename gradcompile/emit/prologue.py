"""The first lines of an emitted function: lengths, casts of its arguments, and arrays for what it keeps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from math import inf

from gradcompile.emit.dialect import Dialect
from gradcompile.emit.expression import Printer, as_factor
from gradcompile.emit.names import Names
from gradcompile.emit.places import Places
from gradcompile.ir import Axis, Size, Value
from gradcompile.schedule import Loop, Plan, Product, Start, rows_of_samples
from gradcompile.schedule.nodes import Node, all_loops, all_statements

WRITTEN_OUT = 64  # steps of loops in loops that LLVM may write out: it would take seconds for more
FEW = 4  # steps of a loop that it may write out whatever there is in it
# What reductions start from, and the sums of what is added at indices.
STARTS = {"max": "-math.inf", "min": "math.inf", "prod": "1.0", "sum": "0.0", "accumulate": "0.0"}


class Prologue:
    """What a function does before its loops.

    Parameters
    ----------
    plan : Plan
        The schedule.
    names, printer, places : Names, Printer, Places
        What identifiers, expressions and elements of arrays look like.
    dialect : Dialect
        `NUMBA` or `PYTHON`.
    dtype : str
        "float64" or "float32".
    typed : bool
        Whether the arrays that are given have the model's type already.
    given : mapping of str to bool
        The outputs that are arrays of the caller; True for those that hold zeros.
    moved : set of Value
        The outputs that are added to arrays of the caller.

    Attributes
    ----------
    rolled : dict of int to str
        The names of the known lengths of loops that LLVM is not to write out, step by step.
    zeroed : set of Value
        The sums that start at zero once, before all loops: their arrays are made as zeros.
    """

    def __init__(
        self,
        plan: Plan,
        names: Names,
        printer: Printer,
        places: Places,
        dialect: Dialect,
        dtype: str,
        *,
        typed: bool,
        given: Mapping[str, bool],
        moved: Set[Value],
    ) -> None:
        self.plan, self.graph, self.names, self.printer, self.places = plan, plan.graph, names, printer, places
        self.dialect, self.dtype, self.real = dialect, dtype, dialect.rounding(dtype)
        self.typed, self.given, self.moved = typed, given, moved
        self.rolled = self._rolled()
        self.zeroed = self._zeroed()

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        if not self.typed:  # as by gradcompile itself, which calls this with its sizes alone
            yield from self.names.planned_lines(self.dialect.target)
        yield from self._sizes()
        yield from self._casts()
        yield from self._block_length()
        yield from self._buffers()

    def _sizes(self) -> Iterator[str]:
        needed = self._sizes_needed()
        yield from self.names.size_lines(needed, self.dialect.target)
        if self.rolled:
            self.printer.support.add("rolled")
            lengths = ", ".join(f"rolled({length})" for length in self.rolled)
            yield f"{', '.join(self.rolled.values())} = {lengths}"

    def _rolled(self) -> dict[int, str]:
        """Return the names of the known lengths of loops that LLVM is not to write out, step by step.

        It does so with loops of some tens of steps, together with the loops in them.
        """
        if self.dialect.target != "numba":
            return {}
        long = [loop for loop in all_loops(self.plan.body) if is_around(loop) and self._steps(loop) > WRITTEN_OUT]
        lengths = {length for loop in long if (length := self.graph.length(loop.axis.size)) is not None}
        return {n: self.names.word(f"n{n}") for n in sorted(lengths) if FEW < n <= WRITTEN_OUT}

    def _steps(self, loop: Loop) -> float:
        """Return the steps of a loop together with those of the loops in it; what is not known is large."""
        length = self.graph.length(loop.axis.size) if loop.bounds[1] is None else None
        inner = [self._steps(node) for node in loop.body if isinstance(node, Loop)]
        return (inf if length is None else length) * max(inner, default=1)

    def _sizes_needed(self) -> set[str]:
        """Return the names of the sizes that the body mentions."""
        sizes: list[Size] = [v.attr for v in self.graph.order() if v.op == "size"]
        stack = list(self.plan.body)
        while stack:
            node = stack.pop()
            if isinstance(node, Loop):
                sizes.append(node.axis.size)
                stack.extend(node.body)
            elif isinstance(node, Product) and not node.factors.is_plain:
                sizes += [axis.size for axis in node.factors.axes if axis != self.plan.sample]
        sizes += [axis.size for axes in self.plan.stored.values() for axis in axes]
        sizes += [axis.size for name in self.graph.outputs for axis in self.graph.output_axes(name)]
        return {name for size in sizes for name, _ in size.terms}

    def _casts(self) -> Iterator[str]:
        """Cast arguments to the model's type: whole numbers would be computed with as such, and overflow."""
        if self.dialect.target == "python":
            return
        used = {v.attr: v for v in self.graph.order() if v.op == "input" and v.kind == "real"}
        reshaped = self._reshaped()
        for name in [n for n in self.graph.inputs if n in used]:
            text = self.names.input(name)
            scalar = f"{self.real}({text})" if self.real else f"1.0*{text}"  # of an array of no axes, too
            array = f"np.asarray({text}, np.{self.dtype})"
            array = f"np.ascontiguousarray({array})" if name in reshaped else array
            if not (used[name].axes and self.typed):
                yield f"{text} = {array if used[name].axes else scalar}"

    def _reshaped(self) -> set[str]:
        """Return the arguments of which a product takes several axes for one index: these must lie in C order."""
        found: set[str] = set()
        for node in all_statements(self.plan.body):
            if isinstance(node, Product) and not node.factors.is_plain:
                arrays = [v.operands[0] if v.op == "read" else v for v in (node.factors.left, node.factors.right)]
                found.update(array.attr for array in arrays if array.op == "input" and len(array.axes) > 2)
        return found

    def _block_length(self) -> Iterator[str]:
        """Yield how many samples are taken at once: so many that what is kept of them stays in the cache."""
        if self.plan.blocks is None:
            return
        widths = Counter[tuple[str, ...]]()
        for value, axes in self.plan.stored.items():
            if value in self.plan.blocked and axes:
                sizes = [a.size for a in axes if a != self.plan.sample]
                named = tuple(sorted(as_factor(self.names.size(size)) for size in sizes if size.terms))
                widths[named] += math.prod(size.constant for size in sizes if not size.terms)
        terms = []
        for names, count in sorted(widths.items(), key=lambda item: -len(item[0])):
            terms.append("*".join([*([str(count)] if count > 1 or not names else []), *names]))
        products = any(
            isinstance(node, Product) for loop in self.plan.body if isinstance(loop, Loop) for node in loop.body
        )
        function, samples = "samples_in_block", ""
        if products and self.plan.sample is not None:
            function, samples = "samples_to_multiply", f", {self.names.size(self.plan.sample.size)}"
            if (rows := rows_of_samples(self.plan)) > 1:
                function, samples = "samples_of_rows", f"{samples}, {rows}"
        self.printer.support.add(function)
        yield f"{self.names.word('T')} = {function}({' + '.join(terms) or '1'}{samples})"

    def _length(self, value: Value, axis: Axis) -> str:
        """Return the length of an array along an axis."""
        block = axis == self.plan.sample and value in self.plan.blocked
        return self.names.word("T") if block else self.names.size(axis.size)

    def _buffers(self) -> Iterator[str]:
        given = {self.plan.results[name] for name in self.given} | self.moved
        for value, axes in self.plan.stored.items():
            if axes and value not in given:
                sizes = [self._length(value, axis) for axis in axes]
                array = self.places.array(value)
                yield f"{array} = {self._allocation(axes, value in self.zeroed, sizes, _kind(value))}"
        for name, returned in self.plan.results.items():
            if returned is None and name not in self.given and (axes := self.graph.output_axes(name)):
                yield f"{self.places.output(name)} = {self._allocation(axes, zero=False)}"

    def _zeroed(self) -> set[Value]:
        """Return the sums that start at zero once, before all loops: their arrays are made as zeros.

        What a later pass over the samples adds up once more starts again, at what the earlier one has left there.
        """
        given = {self.plan.results[name]: zero for name, zero in self.given.items()}
        often = Counter(_starting(self.plan.body))
        for loop in all_loops(self.plan.body):
            often.update(_starting(loop.body))
        once = [v for v in _starting(self.plan.body) if often[v] == 1]
        zeroed = {v for v in once if start_of(v) == STARTS["sum"] and v not in given}
        return zeroed | {v for v, zero in given.items() if zero and v is not None}

    def _allocation(
        self, axes: tuple[Axis, ...], zero: bool, sizes: list[str] | None = None, kind: str = "real"
    ) -> str:
        sizes = sizes or [self.names.size(a.size) for a in axes]
        if self.dialect.target == "python":
            text = f"[0.0] * {as_factor(sizes[-1])}"
            for axis, size in reversed([*zip(axes[:-1], sizes, strict=False)]):
                text = f"[{text} for {self.names.axis(axis)} in range({size})]"
            return text
        shape = sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"
        dtype = {"int": "int64", "bool": "bool_", "extremum": "float64"}.get(kind, self.dtype)  # indices, conditions
        typed = f", np.{dtype}" if dtype != "float64" else ""
        return (self.dialect.zeros if zero else self.dialect.empty).format(shape=shape + typed)


def _starting(nodes: Iterable[Node]) -> Iterator[Value]:
    """Yield the sums that start in a body, but for those of loops inside of its loops."""
    for node in nodes:
        if isinstance(node, Loop):
            yield from node.starts
        elif isinstance(node, Start):
            yield node.target


def start_of(value: Value) -> str:
    """Return what a reduction starts from."""
    return STARTS.get(value.attr[0] if value.op == "total" else value.op, STARTS["sum"])


def _kind(value: Value) -> str:
    """Return the kind of numbers in an array: an extremum of whole numbers starts at an infinity, which is none."""
    return "extremum" if value.kind == "int" and value.op in ("max", "min") else value.kind


def is_around(loop: Loop) -> bool:
    """Return whether there are loops in a loop."""
    return any(isinstance(node, Loop) for node in loop.body)
