"""Target numpy: whole arrays, one statement a line, forward and backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gradcompile.affine import affine
from gradcompile.emit.expression import ATOM, Printer
from gradcompile.emit.indexing import Axes
from gradcompile.emit.layout import commented, words
from gradcompile.emit.mathematics import describe
from gradcompile.emit.names import Names
from gradcompile.emit.statements import COMPARISONS, Returned, as_number, halves, own_lines, returning
from gradcompile.emit.whole_arrays import ArrayPrinter, in_whole_numbers, is_masked_product, is_whole
from gradcompile.ir import MATRIX_FUNCTIONS, ONE, Graph, Value
from gradcompile.passes.share import classified, is_renaming
from gradcompile.primitives import PRIMITIVES

Line = tuple[str, str]  # code and comment


class WholeArrays:
    """The bodies of the functions of one module.

    Parameters
    ----------
    graph : Graph
        The program.
    names : Names
        The module's identifiers.
    printer : Printer
        Of the target numpy.
    dtype : {"float64", "float32"}
        Of real arrays.
    """

    def __init__(self, graph: Graph, names: Names, printer: Printer, dtype: str) -> None:
        graph = without_renamings(graph)
        self.graph, self.names, self.printer, self.dtype = graph, names, printer, dtype
        self.forward, self.backward = halves(graph)
        order = [*self.forward, *self.backward]
        self.computed = set(self.forward)
        self.uses = Counter(o for value in order for o in value.operands)
        self.arrays = {v.operands[0] for v in order if v.op == "read"}
        self.inner = never_arrays(order)
        self.same: dict[Value, Value] = {}  # values that are others under other names of their axes
        self.array = ArrayPrinter(graph, names, printer, dtype, self._name)
        for name in graph.outputs:
            self._lay_out(name)
        self.scattered = {a for v in order if (a := self._addend(v)) is not None}
        self.chained = {o for v in order if self._addend(v) is not None for o in v.operands if self._continues(o)}
        self.begun = {v for v in order if self._addend(v) is not None and self._is_beginning(self._chain(v)[0])}
        self.scattered |= {self._chain(v)[0] for v in self.begun}
        self.own = own_lines(graph, order, self._needs_line) - self.inner - self.scattered - self.chained
        self.same = self._repeated(order)
        self.own -= self.same.keys()

    def value(self) -> list[str]:
        """Return the body of the function `value`."""
        return self.body("value")

    def body(self, returned: Returned) -> list[str]:
        """Return the body of a function without a backward half, which returns these outputs."""
        names = ["value"] if returned == "value" else list(self.graph.outputs)
        block = [*self._statements(self.forward), *self._delivered(names)]
        lines = [*commented(block), returning(returned, self._result)]
        return [*self._beginning(lines, self.forward), *lines]

    def value_and_grad(self, single: bool) -> list[str]:
        """Return the body of the function `value_and_grad`; `single` returns one gradient and no tuple."""
        lines = ["# forward", *commented(self._statements(self.forward))]
        gradients = [f"d{name}" for name in self.graph.wrt]
        lines += ["# backward", *commented([*self._statements(self.backward), *self._delivered(gradients)])]
        lines.append(returning(("value", gradients[0] if single else tuple(gradients)), self._result))
        return [*self._beginning(lines, [*self.forward, *self.backward]), *lines]

    # Which values have lines

    def _name(self, value: Value) -> str | None:
        value = self.same.get(value, value)
        return self.names.value(value) if value.op == "input" or value in self.own else None

    def _repeated(self, order: Iterable[Value]) -> dict[Value, Value]:
        """Return the values that are others under other names of their axes, and which: ``x[n, j] - mu[j]``."""
        kept = {*self.graph.outputs.values(), *self.graph.names}
        known, alike, same = classified(order), dict[int, list[Value]](), dict[Value, Value]()
        for value in order:
            if value.op in PRIMITIVES and value.axes and self._addend(value) is None and value not in self.inner:
                alike.setdefault(known[value][0], []).append(value)
        for original, *others in alike.values():
            if self.own.isdisjoint((original, *others)):
                continue
            self.own.add(original)
            for value in others:
                if value not in kept:
                    index = dict(zip(known[original][1], known[value][1], strict=True))
                    same[value] = original
                    self.array.layouts[value] = tuple(index[a] for a in self.array.layout(original))
        return same

    def _needs_line(self, value: Value) -> bool:
        if value.op == "accumulate":
            return not self.array.is_renaming(value)
        return value in self.arrays or value.op in MATRIX_FUNCTIONS

    def _lay_out(self, name: str) -> None:
        """Compute a gradient in the order of its parameter's dimensions."""
        value, axes = self.graph.outputs[name], self.graph.output_axes(name)
        if value.op != "input" and set(value.axes) == set(axes) and value.op != "accumulate":
            self.array.layouts.setdefault(value, axes)

    def _addend(self, value: Value) -> Value | None:
        """Return the accumulation that is added to another array in place, if the value is such a sum."""
        if value.op not in ("add", "sub"):
            return None
        for k in (1, 0) if value.op == "add" else (1,):
            part, other = value.operands[k], value.operands[1 - k]
            if self._is_beginning(part) and set(other.axes) == set(part.axes):
                return part
        return None

    def _is_beginning(self, value: Value) -> bool:
        """Return whether a value is an accumulation that only one sum needs."""
        kept = value in self.graph.outputs.values() or value in self.graph.names
        single = self.uses[value] == 1 and not kept and value.op == "accumulate"
        return single and not self.array.is_renaming(value)

    def _continues(self, value: Value) -> bool:
        """Return whether a sum is only the start of another sum, so that both are one array."""
        kept = value in self.graph.names or value in self.graph.outputs.values()
        return self._addend(value) is not None and self.uses[value] == 1 and not kept

    # Statements

    def _statements(self, values: Iterable[Value]) -> Iterator[Line]:
        for value in values:
            if value in self.own or (self._addend(value) is not None and value not in self.chained):
                self.own.add(value)
                yield from self._statement(value)

    def _statement(self, value: Value) -> Iterator[Line]:
        axes = self.array.layout(value)
        comment = describe(value, self.graph, self.names, self.own.__contains__, self.array.ranked)
        if self._addend(value) is not None:
            base, addends = self._chain(value)
            if value in self.begun:
                addends, start = [(base, "+"), *addends], self._zeros(axes)
            else:
                start = self._fresh(base, axes)
            yield f"{self._target(value)} = {start}", comment
            for addend, sign in addends:
                yield self._scattered(value, addend, sign), ""
        elif value.op == "accumulate":
            yield f"{self._target(value)} = {self._zeros(axes)}", comment
            yield self._scattered(value, value, "+"), ""
        else:
            yield f"{self._target(value)} = {self._line(value, axes)}", comment

    def _line(self, value: Value, axes: Axes) -> str:
        """Return the text of a value; ``np.where`` makes arrays of numbers, too, and a result is to be a number."""
        text = self.array.text(value, axes, whole=True)[0]
        if value.axes or value not in self.graph.outputs.values():
            return text
        source = value.operands[0] if value.op == "real" else value
        return f"np.{self.dtype}({text})" if source.op == "select" else as_number(source, text)

    def _chain(self, value: Value) -> tuple[Value, list[tuple[Value, str]]]:
        """Return what a sum starts from, and the accumulations that are added to it in place."""
        addends: list[tuple[Value, str]] = []
        while (addend := self._addend(value)) is not None and (not addends or value in self.chained):
            addends.append((addend, "-" if value.op == "sub" else "+"))
            value = next(o for o in value.operands if o is not addend)
        return value, addends[::-1]

    def _target(self, value: Value) -> str:
        return self.names.value(value)

    def _fresh(self, value: Value, axes: Axes) -> str:
        """Return an array of the model's type that may be changed: a copy where the expression is somebody else's."""
        if in_whole_numbers(value):
            return f"{self.array(value, axes, ATOM)}.astype(np.{self.dtype})"
        return f"{self.array(value, axes, ATOM)}.copy()" if self._is_view(value) else self.array(value, axes)

    def _is_fresh(self, value: Value) -> bool:
        """Return whether the line of a value makes an array, which is nobody else's."""
        return bool(value.axes) and value.op not in ("input", "read", "accumulate", "detach", "custom")

    def _is_view(self, value: Value) -> bool:
        if self._name(value) is not None or value.op in ("read", "accumulate"):
            return True
        return value.op in ("detach", "custom") and self._is_view(value.operands[0])

    def _zeros(self, axes: Axes) -> str:
        return f"np.zeros({self._shape(axes)}{'' if self.dtype == 'float64' else f', np.{self.dtype}'})"

    def _shape(self, axes: Axes) -> str:
        sizes = [self.names.size(a.size) for a in axes]
        return sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"

    def _scattered(self, target: Value, value: Value, sign: str) -> str:
        """Return the line that adds at indices: one by one where two may be the same."""
        source, *indices = value.operands
        layout = self.array.layout(target)
        index = dict(zip(value.axes, indices, strict=True))
        place = self.array.place(layout, index)
        extra = [a for a in source.axes if a not in place.axes]
        added = source.builder.reduce("sum", source, extra) if extra else source
        if sign == "+" and added.op == "neg" and self._name(added) is None:
            added, sign = added.operands[0], "-"
        if sign == "+" and added.op == "const" and not isinstance(added.attr, str) and added.attr < 0:
            added, sign = added.builder.const(-added.attr), "-"
        if place.distinct:
            return f"{self._target(target)}{place.text} {sign}= {self.array(added, place.axes)}"
        text = self.array.added(added, place.axes) if sign == "+" else f"-{self.array.added(added, place.axes, ATOM)}"
        return f"np.add.at({self._target(target)}, {place.argument}, {text})"

    # What is returned

    def _delivered(self, names: Iterable[str]) -> Iterator[Line]:
        """Yield a line for every output that is not yet an array of the shape it is to have, and of nobody else.

        Those come last that give a new value to a name of which others are made: ``dw = np.full_like(w, dw)``.
        """
        taken: set[Value] = set()
        last: list[Line] = []
        for name in names:
            value, axes = self.graph.outputs[name], self.graph.output_axes(name)
            if name == "value" and not axes:
                continue
            fits = self.array.layout(value) == axes
            shared = value in self.computed and name[1:] in self.graph.wrt  # a gradient that the objective needs, too
            own = value in self.own and not is_whole(value) and value not in taken
            free = own and fits
            if free and not shared and self.names.is_output(value, name):
                taken.add(value)
            else:
                identifier = self._identifier(name)
                whole = self._name(value) if free and self._is_fresh(value) else self._whole(name, value)
                if own and not shared and self._is_fresh(value) and self._lacks_only_ones(value, axes):
                    free, whole = True, self.array(value, axes)
                taken.update([value] if free else [])
                line = f"{identifier} = {whole}", ""
                if identifier == self._name(value):
                    last.append(line)
                else:
                    yield line
        yield from last

    def _identifier(self, name: str) -> str:
        """Return what an output is called: not as another value, of which further outputs may be made."""
        value, text = self.graph.outputs[name], self.names.output(name)
        borne = any(other is not value and self._name(other) == text for other in self.own)
        return self.names.local(value, text) if borne else text

    def _whole(self, name: str, value: Value) -> str:
        """Return an output repeated along the axes that it lacks."""
        axes = self.graph.output_axes(name)
        if not axes:
            return self._returned(value)
        if not value.axes:
            return self._filled(name, value)
        if set(value.axes) == set(axes) and is_whole(value):
            return f"{self.array(value, axes, ATOM)}.astype(np.{self.dtype})"
        if set(value.axes) == set(axes):
            return self._fresh(value, axes)
        return f"np.broadcast_to({self.array(value, axes)}, {self._shape_of(name)}).copy()"

    def _lacks_only_ones(self, value: Value, axes: Axes) -> bool:
        """Return whether an output is a value in its order, but for axes along which there is one number."""
        lacking = [axis for axis in axes if axis not in value.axes]
        return bool(lacking) and all(axis.size == ONE for axis in lacking)

    def _filled(self, name: str, value: Value) -> str:
        """Return an array of one number: like its parameter, if the output is a gradient."""
        zero, number = value.is_const(0), self.array(value, ())
        if name[1:] in self.graph.wrt:
            parameter = self.names.inputs[name[1:]]
            return f"np.zeros_like({parameter})" if zero else f"np.full_like({parameter}, {number})"
        axes = self.graph.output_axes(name)
        kind = "" if self.dtype == "float64" and zero else f", np.{self.dtype}"
        return self._zeros(axes) if zero else f"np.full({self._shape(axes)}, {number}{kind})"

    def _shape_of(self, name: str) -> str:
        if name[1:] in self.graph.wrt:
            return f"{self.names.inputs[name[1:]]}.shape"
        return self._shape(self.graph.output_axes(name))

    def _result(self, name: str) -> str:
        if name == "value" and not self.graph.output_axes(name):
            return self._returned(self.graph.outputs[name])
        return self._identifier(name)

    def _returned(self, value: Value) -> str:
        return as_number(value, self.array(value, ()))

    def _beginning(self, lines: list[str], values: Iterable[Value]) -> list[str]:
        """Return the lines that come first: inputs as arrays of the model's type, and the sizes."""
        used = words(lines)
        real = [self.names.inputs[i.name] for i in self.graph.inputs.values() if i.kind == "real"]
        needed = [name for name, identifier in self.names.sizes.items() if identifier in used]
        sizes = [*self.names.planned_lines("numpy"), *self.names.size_lines(needed, "numpy")]
        labels = [self.names.inputs[name] for name in _computed_with(self.graph.order())]
        cast = [*self._cast([name for name in real if name in used | words(sizes)]), *self._labels(labels, used)]
        return [*cast, *sizes]

    def _labels(self, names: list[str], used: set[str]) -> Iterator[str]:
        """Yield the lines that widen labels which are computed with: twice a label of 200 is no uint8."""
        for name in (name for name in names if name in used):
            self.printer.support.add("as_labels")
            yield f"{name} = as_labels({name})"

    def _cast(self, names: list[str]) -> Iterator[str]:
        if len(names) == 1:
            yield f"{names[0]} = np.asarray({names[0]}, np.{self.dtype})[()]"
        elif names:
            self.printer.support.add(f"as_{self.dtype}")
            yield f"{', '.join(names)} = as_{self.dtype}({', '.join(names)})"


def _computed_with(order: list[Value]) -> list[str]:
    """Return the labels that are operands, and not indices alone or compared."""
    labels: dict[Value, str] = {}
    found: dict[str, None] = {}
    for value in order:
        if value.op == "input" and value.kind == "int":
            labels[value] = value.attr
        elif value.op == "read" and value.operands[0] in labels:
            labels[value] = labels[value.operands[0]]
        elif value.op not in ("read", "accumulate", *COMPARISONS):
            found |= dict.fromkeys(labels[operand] for operand in value.operands if operand in labels)
    return list(found)


def never_arrays(order: list[Value]) -> set[Value]:
    """Return the values without lines: products larger than their factors that are only summed, and plain indices."""
    uses = Counter(o for value in order for o in value.operands)
    summed = Counter(v.operands[0] for v in order if v.op == "sum")
    masked = {v for v in order if is_masked_product(v) and uses[v] == summed[v]}
    summed.update(v.operands[1] for v in masked)
    inner = {v for v in order if v.op == "mul" and 0 < uses[v] == summed[v]}
    indices = {v for v in order if v.kind == "int" and affine(v) is not None}  # they become slices
    return masked | indices | {v for v in inner if any(len(v.axes) > len(o.axes) for o in v.operands)}


def without_renamings(graph: Graph) -> Graph:
    """Return a graph whose gradients are other values under their own axes, where they only rename those."""
    outputs, axes = dict(graph.outputs), dict(graph.axes)
    matrices = {m for v in graph.order() if v.op in MATRIX_FUNCTIONS for m in (v, *v.operands)}
    for name, value in graph.outputs.items():
        base = value.operands[0] if is_renaming(value) else value
        if name != "value" and base is not value and base.op != "input" and base not in matrices:
            own = {index.attr: axis for axis, index in zip(base.axes, value.operands[1:], strict=True)}
            found = tuple(own.get(axis, axis) for axis in graph.output_axes(name))
            if len(set(found)) == len(found):  # else it has an axis that the gradient is the same along, too
                outputs[name], axes[name] = base, found
    return replace(graph, outputs=outputs, axes=axes)
