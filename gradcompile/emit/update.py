"""The second half of a training step as text: every parameter moved in place, element by element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gradcompile.emit.expression import ATOM, Printer
from gradcompile.emit.layout import INDENT, words
from gradcompile.emit.names import Names
from gradcompile.ir import LEAVES, Axis, Graph, Value, only_indices, reachable
from gradcompile.step import Move, Step


@dataclass(frozen=True)
class Formulas:
    """An optimizer, lowered: every graph has one output, ``value``.

    Parameters
    ----------
    title : str
        What the optimizer is called.
    settings : mapping of str to Graph
        The learning rate and the hyperparameters, as functions of the input `t` at most.
    state : tuple of str
        The state variables, one array each.
    steps : tuple of (str, Graph)
        The assignments to `p` and to the state, in order.
    lazy : bool
        Whether an element and its state stay as they are where the gradient is 0.
    factor : Graph or None
        What a step adds of the gradient, if that is a multiple that depends on the step number alone.
    """

    title: str
    settings: Mapping[str, Graph]
    state: tuple[str, ...]
    steps: tuple[tuple[str, Graph], ...]
    lazy: bool = False
    factor: Graph | None = None


def expression(value: Value, text: Mapping[Value, str], support: set[str]) -> str:
    """Return a scalar expression of an optimizer.

    Parameters
    ----------
    value : Value
        What to print.
    text : mapping of Value to str
        What stands for its inputs, and for whatever else is computed elsewhere.
    support : set of str
        Gets the support functions that the expression calls.
    """
    printer = Printer("numba", Names(Graph(value.builder, {}, {"value": value})))
    found = printer.render(value, text.get)
    support |= printer.support
    return found


class Update:
    """The text of ``update`` in the making.

    Parameters
    ----------
    step : Step
        The moves.
    formulas : Formulas
        The optimizer.
    names, printer : Names, Printer
        What identifiers and expressions of the model look like.
    arrays : mapping of str to str
        The identifier of each head.
    state : mapping of str to dict of str to str
        The identifiers of the state variables of each parameter.
    t : str
        The identifier of the step number.
    real : str
        What numbers are made of; "" for Python's own.
    moves : sequence of Move
        Those that are still to be made.
    """

    def __init__(
        self,
        step: Step,
        formulas: Formulas,
        names: Names,
        printer: Printer,
        arrays: Mapping[str, str],
        state: Mapping[str, Mapping[str, str]],
        t: str,
        real: str,
        moves: Sequence[Move],
    ) -> None:
        self.moves = moves
        self.step, self.formulas, self.names, self.printer, self.state = step, formulas, names, printer, state
        self.real, self.t = real, t
        self.heads = {value: arrays[name] for value, name in step.heads.items() if name in arrays}
        self.settings = {name: names.fresh(name) for name in formulas.settings}
        self.gradients: dict[str, str] = {}  # parameter -> the local variable that holds the gradient of one element
        self.fixed: dict[str, str] = {}  # what is the same for all elements -> its name, computed before all loops
        self.numbers: dict[str, None] = {}  # the names of numbers that the loops read
        self.sizes: set[str] = set()
        self.unsigned: set[Value] = set()  # the indices of a move that are nothing else
        self.held: dict[Value, str] = {}  # an index or a part of a gradient -> the local variable that holds it

    def body(self) -> list[str]:
        """Return the body of the function, line by line."""
        loops = list(self._moves())
        mentioned = words(loops)
        return [
            *self.names.size_lines(self.sizes, "numba"),
            *self._settings(mentioned),
            *self._casts(mentioned),
            *loops,
        ]

    def _settings(self, mentioned: set[str]) -> Iterator[str]:
        """Yield the hyperparameters, and what is computed of them alone, in double precision."""
        wanted = mentioned | words(self.fixed)
        for name, graph in self.formulas.settings.items():
            if self.settings[name] in wanted:
                yield f"{self.settings[name]} = {self._formula(graph.outputs['value'], self._fixed_inputs(graph))}"
        for text, name in self.fixed.items():
            yield f"{name} = {text}"

    def _casts(self, mentioned: set[str]) -> Iterator[str]:
        """Yield the casts of numbers to the model's type, so that they do not widen what they meet."""
        if self.real:
            yield from (f"{name} = {self.real}({name})" for name in self.numbers if name in mentioned)

    # The loops

    def _moves(self) -> Iterator[str]:
        """Yield the loops of all moves; those that visit the samples one after the other do it in one loop."""
        sample = self.step.graph.sample
        for shared, group in groupby(self.moves, key=lambda move: sample in move.axes):
            moves = list(group)
            self.unsigned = only_indices(reachable([v for move in moves for v in (*move.place, move.gradient)]))
            if shared and sample is not None:
                yield self._for(sample)
            around = [sample] if shared and sample is not None else []
            for move in moves:
                yield from (INDENT * len(around) + line for line in self._move(move, around))
            self.held = {value: name for value, name in self.held.items() if not value.axes}

    def _move(self, move: Move, around: list[Axis]) -> Iterator[str]:
        """Yield the loops over the elements of one move, inside of those that are there already."""
        early = [v for v in reachable([*move.place, move.gradient]) if _is_looked_up(v, move.place)]
        early += _outer_parts(move)
        open_axes = list(around)
        indent = ""
        for axis in (None, *(axis for axis in move.axes if axis not in around)):
            if axis is not None:
                yield f"{indent}{self._for(axis)}"
                indent += INDENT
                open_axes.append(axis)
            for value in early:
                if value not in self.held and all(a in open_axes for a in value.axes):
                    yield f"{indent}{self._hold(value)}"
        for line in self._element(move):
            yield indent + line
        self.held = {value: name for value, name in self.held.items() if set(value.axes) <= set(around)}

    def _for(self, axis: Axis) -> str:
        """Return the line that begins a loop."""
        self.sizes.update(name for name, _ in axis.size.terms)
        return f"for {self.names.axis(axis)} in range({self.names.size(axis.size)}):"

    def _hold(self, value: Value) -> str:
        """Return the line that computes a value, or looks an index up; the local variable stands for it from now on."""
        text = self._text(value)
        if value.kind == "int":
            array = self._array(value if value.op == "input" else value.operands[0])
            axes = [self.names.axis(a) for a in value.axes] or [self.names.value(v) for v in value.operands[1:2]]
            self.held[value] = self.names.local(value, "_".join([array, *axes]))
            if value in self.unsigned:
                text = f"np.uint64({text})"
        else:
            self.held[value] = self.names.value(value)
        return f"{self.held[value]} = {text}"

    def _element(self, move: Move) -> Iterator[str]:
        """Yield the lines that move one element."""
        place = self._subscript(move.place) or "[0]"
        yield from self._parts(move.gradient)
        text, binds = self.printer.text(move.gradient, self._leaf)
        if self.real and move.gradient.kind == "int":
            text = f"{self.real}({text})"
        uses = sum(_count(graph, "g") for _, graph in self.formulas.steps)
        if binds != ATOM or (uses > 1 and "(" in text):
            yield f"{self._gradient(move.parameter)} = {text}"
            text = self._gradient(move.parameter)
        own = {"p": f"{self.names.inputs[move.parameter]}{place}", "g": text}
        own |= {name: f"{array}{place}" for name, array in self.state[move.parameter].items()}
        for target, graph in self.formulas.steps:
            yield self._assignment(own, target, graph)
        if move.cleared is not None:
            yield f"{self.heads[move.cleared]}{place} = {self.real + '(0.0)' if self.real else '0.0'}"

    def _gradient(self, parameter: str) -> str:
        if parameter not in self.gradients:
            self.gradients[parameter] = self.names.fresh(f"d{self.names.inputs[parameter]}")
        return self.gradients[parameter]

    def _parts(self, gradient: Value) -> Iterator[str]:
        """Yield a line for every part of a gradient that it uses more than once, and for branches of one step.

        With these computed before one is chosen, the loop becomes vectors.
        """
        order = [v for v in reachable([gradient]) if v.op not in LEAVES and v.op != "read" and v is not gradient]
        uses = Counter(o for v in [*order, gradient] for o in set(v.operands))
        branches = {o for v in [*order, gradient] if v.op == "select" and v.axes for o in v.operands[1:]}
        for value in order:
            named = uses[value] > 1 or (value in branches and _is_one_step(value))
            if named and value.op != "neg" and value.kind == "real" and value not in self.held:
                yield self._hold(value)

    # Expressions of the model

    def _text(self, value: Value) -> str:
        return self.printer.render(value, self._leaf)

    def _leaf(self, value: Value) -> str | None:
        """Return what stands for a value: a local variable, an array's element, an index; None for an operation."""
        if value in self.held:
            return self.held[value]
        if value.op == "input":
            if not value.axes and value.kind == "real":
                self.numbers[self._array(value)] = None
            return self._array(value) + self._subscript(tuple(map(value.builder.iota, value.axes)))
        if value.op == "read":
            return self._array(value.operands[0]) + self._subscript(value.operands[1:])
        if value.op == "size":
            self.sizes.update(name for name, _ in value.attr.terms)
        return None

    def _array(self, value: Value) -> str:
        return self.heads[value] if value in self.heads else self.names.inputs[value.attr]

    def _subscript(self, place: tuple[Value, ...]) -> str:
        """Return an index for every axis, in brackets; nothing where there are no axes."""
        return f"[{', '.join(map(self._text, place))}]" if place else ""

    # Expressions of the optimizer

    def _assignment(self, own: Mapping[str, str], target: str, graph: Graph) -> str:
        """Return one assignment of the optimizer for one element, ``w[j] -= ...`` where it reads so."""
        root = graph.outputs["value"]
        texts = self._texts(graph, own)
        if root.op in ("add", "sub") and root.operands[0].op == "input" and root.operands[0].attr == target:
            sign = "+" if root.op == "add" else "-"
            return f"{own[target]} {sign}= {self._formula(root.operands[1], texts)}"
        text = self._formula(root, texts)
        return f"{own[target]} = {self._normal(text) if target in self.formulas.state else text}"

    def _normal(self, text: str) -> str:
        """Return what a state variable becomes: 0 once it has decayed to what takes long to compute with."""
        name = "vnormal32" if self.real else "vnormal"
        self.printer.support.add(name)
        return f"{name}({text})"

    def _formula(self, value: Value, texts: Mapping[Value, str]) -> str:
        return expression(value, texts, self.printer.support)

    def _texts(self, graph: Graph, own: Mapping[str, str]) -> dict[Value, str]:
        """Return the text of an element's arrays, and of what is the same for all elements."""
        texts: dict[Value, str] = {}
        varying: set[Value] = set()
        for value in graph.order():
            if value.op == "input" and value.attr in own:
                varying.add(value)
                texts[value] = own[value.attr]
            elif any(o in varying for o in value.operands):
                varying.add(value)
                texts.update((o, self._fixed(o, graph)) for o in value.operands if self._is_fixed(o, value, varying))
        return texts

    def _is_fixed(self, operand: Value, value: Value, varying: set[Value]) -> bool:
        """Return whether an operand is computed before the loops; a whole exponent stays in them, and a float64."""
        stays = operand.op == "const" and (value.op == "pow" or not self.real)
        return operand not in varying and not stays

    def _fixed(self, value: Value, graph: Graph) -> str:
        """Return the name of a number that the loops read, computed before them."""
        text = self._formula(value, self._fixed_inputs(graph))
        if value.op != "input" and text not in self.fixed:
            self.fixed[text] = self.names.letter()
        name = text if value.op == "input" else self.fixed[text]
        self.numbers[name] = None
        return name

    def _fixed_inputs(self, graph: Graph) -> dict[Value, str]:
        known = {**self.settings, "t": self.t}
        return {v: known[v.attr] for v in graph.order() if v.op == "input" and v.attr in known}


def _count(graph: Graph, name: str) -> int:
    """Return how often a formula mentions an input."""
    return sum(o.op == "input" and o.attr == name for v in graph.order() for o in v.operands)


def _outer_parts(move: Move) -> list[Value]:
    """Return the parts of a gradient that are the same all along an inner loop: computed once, before it."""
    found: dict[Value, None] = {}
    for value in reachable([move.gradient]):
        if value.op != "read" and len(value.axes) > 0:
            fewer = (o for o in value.operands if set(o.axes) != set(value.axes))
            found.update(dict.fromkeys(o for o in fewer if o.kind == "real" and o.op not in (*LEAVES, "read", "neg")))
    return list(found)


def _is_one_step(value: Value) -> bool:
    """Return whether a value is one step of arithmetic of what lies in arrays."""
    return value.op in ("add", "sub", "mul") and all(o.op in LEAVES or _is_read(o) for o in value.operands)


def _is_read(value: Value) -> bool:
    """Return whether a value is an element of an argument, at a place that is known before the loop."""
    return value.op == "read" and value.operands[0].op == "input" and all(i.op in LEAVES for i in value.operands[1:])


def _is_looked_up(value: Value, place: Iterable[Value]) -> bool:
    """Return whether a value is an index, or part of one, that is read from an array."""
    if value.kind != "int" or (value.op == "input" and not value.axes):
        return False
    used = any(value in reachable([index]) for index in place)
    return used and value.op in ("input", "read")
