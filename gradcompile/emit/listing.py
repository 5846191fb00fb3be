"""The listing: the forward and backward steps of a model as a lecturer writes them on the board.

One operation a line. Backward, each value in reverse order sends to each operand, last to first, its local derivative
times the derivative that comes in; derivatives are those of the textbook, on what stands on the board. A sum of
products over an index counts as one operation, the matrix product that it is. The lines are NumPy and run as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from gradcompile.adjoint import RULES, active, applied, contributions, times, unbroadcast
from gradcompile.emit import support
from gradcompile.emit.expression import ATOM, Printer, template
from gradcompile.emit.layout import words, wrapped
from gradcompile.emit.names import FEW, Names
from gradcompile.emit.whole_arrays import ArrayPrinter
from gradcompile.errors import NonDifferentiableError
from gradcompile.ir import LEAVES, Graph, Value
from gradcompile.primitives import NO_DERIVATIVE, PRIMITIVES

WHOLE = ("neg", "add", "sub", "mul", "sum", "read", "abs", "sign")  # of whole numbers, NumPy makes whole numbers


def render(graph: Graph) -> str:
    """Return the listing of a graph as lowered, that is with its forward half only and before the passes.

    Parameters
    ----------
    graph : Graph
        Its output ``value`` is the objective, its `wrt` the parameters.

    Returns
    -------
    str
        Lines of Python: ``# forward``, one line an operation, ``# backward``, one line a contribution to a derivative.
    """
    return "\n".join(piece for line in _Listing(graph).lines() for piece in wrapped(line)) + "\n"


class _Listing:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.root = graph, graph.outputs["value"]
        self.order = graph.order([self.root])
        spellings = (PRIMITIVES[v.op].numpy for v in self.order if v.op in PRIMITIVES)
        called = support.closure("numpy", (name for s in spellings for name in template(s).support))
        self.names = Names(graph, called, many=len(self.order) > FEW)
        self.printer = Printer("numpy", self.names)
        self.shown: set[Value] = self._operations()
        self.identifiers: dict[Value, str] = {}  # of derivatives
        self.derivatives: dict[Value, Value] = {}  # a value -> what stands for its derivative
        self.shared: set[Value] = set()  # values whose derivative must not be changed in place
        self.whole: set[Value] = set()  # derivatives whose arrays hold whole numbers: no fraction can be added in place
        self.choices: set[Value] = set()  # derivatives by numbers that are arrays all the same, as np.where makes them
        self.visible: set[Value] | None = None
        self.array = ArrayPrinter(graph, self.names, self.printer, "float64", self._name)

    def lines(self) -> Iterator[str]:
        """Yield the whole listing."""
        forward = list(self._forward())
        backward = list(self._backward())
        yield "# forward"
        yield from self._sizes([*forward, *backward])
        yield from forward
        if self.graph.wrt:
            yield ""
            yield "# backward"
            yield from backward

    # Forward

    def _operations(self) -> set[Value]:
        """Return the values that have a line: not numbers, indices, conditions, nor what is multiplied and summed."""
        uses = Counter(o for v in self.order for o in v.operands)
        summed = Counter(v.operands[0] for v in self.order if v.op == "sum")
        varies: set[Value] = set()
        shown: set[Value] = set()
        for value in self.order:
            if value.op in ("input", "iota") or any(o in varies for o in value.operands):
                varies.add(value)
            inner = value.op == "mul" and uses[value] == summed[value] and value is not self.root
            plain = value.kind == "real" and value.op not in (*LEAVES, "detach", "custom", "real")
            if value in varies and plain and not inner:
                shown.add(value)
        return shown | {v for v in self.graph.names if v.op not in LEAVES and v in varies} & set(self.order)

    def _forward(self) -> Iterator[str]:
        for value in self.order:
            if value in self.shown:
                text = self.array.text(value, self.array.layout(value), whole=True)[0]
                yield f"{self.names.value(value)} = {text}"
        if self.root not in self.shown:
            yield f"{self.names.fresh('f')} = {self.array(self.root, ())}"

    def _name(self, value: Value) -> str | None:
        if value in self.identifiers:
            return self.identifiers[value]
        if value.op == "input":
            return self.names.value(value)
        seen = self.visible is None or value in self.visible
        return self.names.value(value) if value in self.shown and seen else None

    # Backward

    def _backward(self) -> Iterator[str]:
        parameters = {self.graph.builder.input(n, self.graph.inputs[n].axes): n for n in self.graph.wrt}
        path = active(self.order, set(parameters))
        if self.root in path:
            yield f"{self._derivative(self.root)} = 1"
            self.whole.add(self.derivatives[self.root])
        for value in reversed(self.order):
            if value in path and value in self.shown and value in self.derivatives:
                for operand, part, visible in reversed(list(self._sent(value))):
                    if operand in path:
                        self.visible = visible
                        yield from self._received(operand, part)
        for parameter in parameters:
            if parameter not in self.derivatives:
                yield f"{self._derivative(parameter)} = {self._zero(parameter)}"

    def _derivative(self, value: Value) -> str:
        """Return the name of a value's derivative, made if there is none."""
        if value not in self.derivatives:
            name = self.names.value(value) if value in self.shown or value.op == "input" else "f"
            stand_in = value.builder.make("input", (), value.axes, "real", ("derivative of", value.number))
            self.derivatives[value] = stand_in
            self.identifiers[stand_in] = self.names.fresh(f"d{name}")
            self.array.layouts[stand_in] = self.array.layout(value)
        return self.identifiers[self.derivatives[value]]

    def _sent(self, value: Value) -> Iterator[tuple[Value, Value, set[Value] | None]]:
        """Yield (operand, what it receives, what may be called by name), through operations without lines."""
        stack = [(value, self.derivatives[value], False)]
        while stack:
            node, incoming, inside = stack.pop()
            for operand, part in _contributions(node, incoming):
                if operand.op not in LEAVES and operand not in self.shown:
                    stack.append((operand, part, True))
                else:
                    row = PRIMITIVES.get(node.op)
                    textbook = row is not None and row.textbook is not None
                    named = {*node.operands} if textbook else {*node.operands, node}
                    yield operand, part, named if node.op not in RULES and not inside else None

    def _received(self, operand: Value, part: Value) -> Iterator[str]:
        """Yield the lines that add a contribution to the derivative of an operand."""
        first = operand not in self.derivatives
        name = self._derivative(operand)
        layout = self.array.layout(operand)
        if part.op == "accumulate" and not self.array.is_renaming(part):
            yield from self._scattered(operand, part, first)
            return
        if first:
            yield f"{name} = {self._filled(operand, part, layout)}"
            self._note(operand, part)
        elif operand in self.shared:
            yield f"{name} = {name} + {self._addend(part, layout)}"
        elif part.op == "neg":
            yield f"{name} -= {self.array(part.operands[0], layout)}"
        else:
            yield f"{name} += {self.array(part, layout)}"
        if not first:
            self._note_sum(operand, part)

    def _note(self, operand: Value, part: Value) -> None:
        """Note what the first contribution makes a derivative."""
        derivative = self.derivatives[operand]
        if self._is_whole(part) and (part.axes or not operand.axes):
            self.whole.add(derivative)
        if not operand.axes and (part.op == "select" or part in self.choices):
            self.choices.add(derivative)
        if self._is_shared(operand, part):
            self.shared.add(operand)

    def _note_sum(self, operand: Value, part: Value) -> None:
        """Note what a further contribution makes a derivative: a new array, which may still be of whole numbers."""
        derivative = self.derivatives[operand]
        if not self._is_whole(part):
            self.whole.discard(derivative)
        if not operand.axes or derivative not in self.whole:
            self.shared.discard(operand)
            self.choices.discard(derivative)

    def _addend(self, part: Value, layout: tuple[object, ...]) -> str:
        text = self.array(part, layout)  # type: ignore[arg-type]  # a layout is a tuple of axes
        return f"({text})" if text.startswith("-") or " + " in text or " - " in text else text

    def _filled(self, operand: Value, part: Value, layout: tuple[object, ...]) -> str:
        """Return a contribution, repeated along the axes of the operand that it lacks."""
        text: str = self.array(part, layout)  # type: ignore[arg-type]  # a layout is a tuple of axes
        if set(part.axes) == set(operand.axes):
            return text
        whole = self._name(operand) or self.array(operand, operand.axes, ATOM)
        return f"np.full_like({whole}, {text})" if not part.axes else f"np.broadcast_to({text}, {whole}.shape)"

    def _is_shared(self, operand: Value, part: Value) -> bool:
        """Return whether the first contribution must not be changed in place: another's array, or of whole numbers."""
        derivative = self.derivatives[operand]
        if not operand.axes:
            return derivative in self.choices
        partial = bool(part.axes) and set(part.axes) != set(operand.axes)
        another = part in self.identifiers or part.op in ("input", "read", "accumulate")
        return partial or another or derivative in self.whole

    def _is_whole(self, part: Value) -> bool:
        """Return whether a contribution is computed from whole numbers alone: the first derivative is 1."""
        if part in self.identifiers:
            return part in self.whole
        if part.op == "select":
            return all(map(self._is_whole, part.operands[1:]))
        return part.kind == "int" or (part.op in WHOLE and all(map(self._is_whole, part.operands)))

    def _scattered(self, operand: Value, part: Value, first: bool) -> Iterator[str]:
        """Yield the lines of the transpose of a read: add at the places that were read."""
        name, (source, *indices) = self._derivative(operand), part.operands
        place = self.array.place(self.array.layout(operand), dict(zip(part.axes, indices, strict=True)))
        extra = [a for a in source.axes if a not in place.axes]
        added = source.builder.reduce("sum", source, extra) if extra else source
        if first:
            yield f"{name} = {self._zero(operand)}"
        elif operand in self.shared:
            derivative = self.derivatives[operand]
            yield f"{name} = {name}.{'astype(float)' if derivative in self.whole else 'copy()'}"
            self.whole.discard(derivative)
            self.shared.discard(operand)
        if place.distinct:
            yield f"{name}{place.text} += {self.array(added, place.axes)}"
        else:
            yield f"np.add.at({name}, {place.argument}, {self.array.added(added, place.axes)})"

    def _zero(self, value: Value) -> str:
        return f"np.zeros_like({self.names.value(value)})" if value.axes else "0"

    def _sizes(self, lines: Iterable[str]) -> Iterator[str]:
        used = words(lines)
        needed = [name for name, identifier in self.names.sizes.items() if identifier in used]
        yield from self.names.size_lines(needed, "numpy")


def _contributions(value: Value, incoming: Value) -> Iterator[tuple[Value, Value]]:
    """Yield (operand, contribution), with the textbook's derivative where the table has one."""
    row = PRIMITIVES.get(value.op)
    by_rule = value.op in RULES and value.op != "log"  # whose rule passes over a quotient: a board has its line
    if row is None or by_rule or row.partials is None:
        for operand, part in contributions(value, (incoming, None)):
            yield operand, applied(part)
        return
    for operand, partial in zip(value.operands, row.textbook or row.partials, strict=True):
        if operand.op in LEAVES and operand.op != "input":
            continue
        local = partial(*value.operands, value)
        if local is NO_DERIVATIVE:
            raise NonDifferentiableError(
                f"'{value.op}' has no derivative in one of its arguments",
                expected="an argument with a derivative",
                hint="keep parameters out of that argument",
            )
        if not (isinstance(local, int) and local == 0):
            yield operand, applied(unbroadcast((times(incoming, local), None), value.axes, operand))
