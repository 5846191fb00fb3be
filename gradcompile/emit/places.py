"""Where the loops of a function find a value: in an element of an array, a part of it for a block, a local variable.

What stands for a value depends on the loops that are open where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from gradcompile.affine import affine
from gradcompile.emit.expression import ADD, ATOM, Printer, Text
from gradcompile.emit.names import Names
from gradcompile.ir import Axis, Value
from gradcompile.passes.factor import used_bare
from gradcompile.passes.share import is_renaming
from gradcompile.schedule import Plan


class Places:
    """What stands for the values of a plan, at the place of the text that is being written.

    Parameters
    ----------
    plan : Plan
        The schedule, of a graph with the outputs that are to be returned.
    names, printer : Names, Printer
        What identifiers and expressions look like.
    subscript : str
        What stands between two indices.
    given : iterable of str
        The outputs that are arrays of the caller.
    moved : mapping of Value to str
        The values that are added to an array of the caller, and that array.

    Attributes
    ----------
    open : list of Axis
        The loops that are open, the outermost first.
    views : dict of str to str
        The parts of arrays that belong to the block at hand: the name of each, and the part.
    beforehand : dict of str to str
        What has a name before the loop at hand: parts of arrays along which it runs over samples, and the first of
        powers.
    held : dict of Value to str
        The sums that an innermost loop keeps in a local variable, and the indices that it has read into one.
    """

    def __init__(
        self,
        plan: Plan,
        names: Names,
        printer: Printer,
        subscript: str,
        given: Iterable[str],
        moved: Mapping[Value, str],
    ) -> None:
        self.plan, self.names, self.printer, self.subscript = plan, names, printer, subscript
        self.moved = moved
        self.given = {plan.results[output] for output in given}
        self.open: list[Axis] = []
        self.views: dict[str, str] = {}
        self.beforehand: dict[str, str] = {}
        self.held: dict[Value, str] = {}

    def output(self, name: str) -> str:
        """Return the array of an output that is filled from a value."""
        return _filled_output(self.plan, self.names, name)

    @property
    def in_block(self) -> bool:
        """Whether the loop over blocks of samples is open."""
        return self.plan.blocks is not None and self.plan.blocks in self.open

    def _index(self, axis: Axis) -> Text:
        """Return an index as a number: that of a sample counts from the first one of its block."""
        if axis == self.plan.sample and self.in_block:
            return self.sample_number(axis), ADD
        return self.names.axis(axis), ATOM

    def array(self, value: Value) -> str:
        """Return the array of a value: of an argument the copy of its samples, if a block has one."""
        if value in self.moved:
            return self.moved[value]
        if value.op == "input" and value in self.plan.stored:
            return self.names.local(value, f"{self.names.value(value)}_t", "copy")
        return self.names.value(value)

    def target(self, value: Value) -> str:
        """Return what a statement assigns to that computes a value."""
        if value in self.held:
            return self.held[value]
        return self.element(value, {})

    def element(self, value: Value, index: dict[Axis, Value], *, given: bool = False) -> str:
        """Return an array's element at an index: the loops' letters, or what `index` puts in their place.

        What is `given` is the argument itself, where there is also a copy of it.
        """
        axes, name = self.axes_of(value, given), self.array(value)
        if given:
            name = self.names.value(value)
        if not axes:
            return name
        whole = value not in self.plan.blocked or given
        own = [k for k, a in enumerate(axes) if (self._is_sample(a, index) if whole else a == self.plan.sample)]
        dimension = own[0] if own else None
        if dimension is not None and self.in_block and whole:
            name = self.view(value, name, dimension)
        indices = [self.at(a, index) for a in axes]
        if dimension is not None and self.plan.sample:
            own_index = index.get(axes[dimension])
            indices[dimension] = self.names.axis(self.plan.sample) if own_index is None else self._within(own_index)
        elif whole and self.in_block and (window := self._window(axes, index)) is not None:
            name = self._rest(value, name, window)
            indices[window] = self._within(index[axes[window]])
        return f"{name}[{self.subscript.join(indices)}]"

    def _window(self, axes: tuple[Axis, ...], index: dict[Axis, Value]) -> int | None:
        """Return the dimension of an array along which a window follows the samples: ``x[n + k]`` with no k below 0."""
        found = [k for k, a in enumerate(axes) if a in index and self._follows(index[a])]
        return found[0] if found else None

    def _follows(self, index: Value) -> bool:
        """Return whether an index is the number of the sample and more, none of which is below 0."""
        stack, terms = [index], list[Value]()
        while stack:
            value = stack.pop()
            if value.op == "add":
                stack.extend(value.operands)
            else:
                terms.append(value)
        samples = [term for term in terms if self.plan.sample in term.axes]
        own = len(samples) == 1 and samples[0].op == "iota"
        return own and len(terms) > 1 and all(map(self._counts_up, terms))

    def _counts_up(self, term: Value) -> bool:
        """Return whether a term of an index is a whole number, or a multiple of an index, that is not below 0."""
        if term.op == "mul":
            factor, term = term.operands
            return factor.op == "const" and factor.attr >= 0 and term.op == "iota"
        return term.op == "iota" or (term.op == "const" and term.attr >= 0)

    def _within(self, index: Value) -> str:
        """Return an index that follows the samples, counted from the first one of the block."""

        def leaf(value: Value) -> str | Text | None:
            return self.names.axis(value.attr) if value.op == "iota" else self.leaf(value)

        return self.printer.render(index, leaf)

    def axes_of(self, value: Value, given: bool) -> tuple[Axis, ...]:
        """Return the axes of an array in the order in which it is laid out."""
        if given or (value.op == "input" and value not in self.plan.stored):
            return value.axes
        return self.plan.stored[value]

    def _is_sample(self, axis: Axis, index: dict[Axis, Value]) -> bool:
        """Return whether an array's axis is indexed by the sample itself."""
        if axis not in index:
            return axis == self.plan.sample
        return self.plan.sample is not None and index[axis].is_index(self.plan.sample)

    def at(self, axis: Axis, index: dict[Axis, Value]) -> str:
        """Return the index of an array along an axis, as it stands in brackets."""
        value = index.get(axis)
        if value is not None and value.op != "iota":
            return self.expression(value)
        own = axis if value is None else value.attr
        return self.sample_number(own) if own == self.plan.sample else self.names.axis(own)

    def expression(self, value: Value, *, whole: bool = False) -> str:
        """Return an expression; `whole` prints the operation of a value that has a name of its own."""
        if whole and value.op == "read":
            return self._read(value, given=value.operands[0].op == "input")  # a copy of it may not be whole yet
        if whole and value.op == "input":
            return self.element(value, {}, given=True)
        return self.printer.render(value, self.leaf, whole=whole)

    def leaf(self, value: Value) -> str | Text | None:
        """Return what stands for a value inside an expression, or None if it is to be written out."""
        if value in self.held:
            return self.held[value]
        if value.op == "iota":
            return self._index(value.attr)
        if value.op == "input" or value in self.plan.stored:
            return self.element(value, {})
        return self._read(value) if value.op == "read" else None

    def _read(self, value: Value, *, given: bool = False) -> str:
        array, *indices = value.operands
        index = dict(zip(array.axes, indices, strict=True))
        if array.op == "input" and array in self.plan.stored and self.plan.sample in index:
            given = given or not self._is_sample(self.plan.sample, index)  # another sample may not be copied yet
        if self._is_series(value):
            return self._in_series(value)
        return self.element(array, index, given=given)

    def _is_series(self, read: Value) -> bool:
        """Return whether a loop over samples reads a series from a place on that is known before it: ``y[t - k]``.

        That is one of its places for sure outside of branches alone.
        """
        array, *indices = read.operands
        innermost = self.in_block and self.open[-1] == self.plan.sample
        if not innermost or len(indices) != 1 or array.op != "input" or array in self.plan.stored:
            return False
        form = affine(indices[0])
        others = {} if form is None else {axis: factor for axis, factor in form[0].items() if axis != self.plan.sample}
        if form is None or form[0].get(self.open[-1]) != 1 or not others or not others.keys() <= {*self.open}:
            return False
        return read in self._bare and not self._follows(indices[0])

    @cached_property
    def _bare(self) -> set[Value]:
        return used_bare(self.plan.graph.outputs.values())

    def _in_series(self, read: Value) -> str:
        """Return an element of a series, by its distance from the place at which the loop over samples begins."""
        array, index = read.operands
        first, sample = self.names.word("first"), self.open[-1]

        def leaf(value: Value) -> str | Text | None:
            return first if value.is_index(sample) else self.leaf(value)

        others = [self.names.axis(axis) for axis in index.axes if axis != sample]
        name = self.names.local(read, "_".join([self.names.value(array), *others]), "series")
        self.beforehand[name] = f"{self.names.value(array)}[{self.printer.render(index, leaf)}:]"
        return f"{name}[{self.names.axis(sample)}]"

    def sample_number(self, axis: Axis) -> str:
        """Return the place of a sample among all, inside of the loop over those of a block or over all."""
        return f"{self.names.word('first')} + {self.names.axis(axis)}" if self.in_block else self.names.axis(axis)

    def view(self, value: Value, array: str, dimension: int, start: Value | None = None) -> str:
        """Return the name of the part of an array that belongs to the block at hand, its samples beginning at one."""
        first = self.names.word("first")
        first = first if start is None else f"{self.names.value(start)} + {first}"
        length = self.names.word("size" if value in self.given else "T")  # an array given has room for a larger batch
        part = f"{array}[{':, ' * dimension}{first}:{first} + {length}]"
        name = self.names.local(value, f"{array}_b", "block")
        if self.views.setdefault(name, part) != part:  # the samples may be the rows and the columns of one array
            name = self.names.local(value, f"{array}_b{dimension}", "block")
            self.views[name] = part
        return name

    def _rest(self, value: Value, array: str, dimension: int) -> str:
        """Return the name of an array from the first sample of the block on: LLVM cannot tell that one is not below 0.

        It makes vectors of a window's numbers only if it can.
        """
        name = self.names.local(value, f"{array}_w{dimension or ''}", "window")
        self.views[name] = f"{array}[{':, ' * dimension}{self.names.word('first')}:]"
        return name


def output_array(plan: Plan, names: Names, output: str) -> str:
    """Return the identifier that a printed function has for an output that is an array."""
    value = plan.results[output]
    return names.value(value) if value is not None else _filled_output(plan, names, output)


def _filled_output(plan: Plan, names: Names, output: str) -> str:
    """Return the array of an output that is filled from a value, which may have the output's own name."""
    value = plan.graph.outputs[output]
    array = value.operands[0] if is_renaming(value) else value
    own = names.value(array) if array in plan.stored else ""  # asked first: it may take the output's
    text = names.output(output)
    return names.local(value, text) if own == text else text
