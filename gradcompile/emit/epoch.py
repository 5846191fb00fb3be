"""The epoch of training as text: an optimizer's step for one array, and the loop over batches that calls it.

Both follow the emitted ``value_and_grad`` in a module of their own, so that an epoch is one call of compiled code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradcompile.emit.expression import Printer
from gradcompile.emit.names import LETTERS, Names
from gradcompile.ir import Graph, Value

INDENT = "    "
ELEMENT = "k"  # the number of an element of a parameter


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
    """

    title: str
    settings: Mapping[str, Graph]
    state: tuple[str, ...]
    steps: tuple[tuple[str, Graph], ...]

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arguments of ``update`` that have an entry for each element of a parameter."""
        return ("p", "g", *self.state)


def rate(formulas: Formulas) -> list[str]:
    """Return the function that gives the learning rate of step t."""
    text = _expression(formulas.settings["rate"].outputs["value"], {})
    says = f'{INDENT}"""Return the learning rate of step t, counted from 1."""'
    return ["@njit", "def rate(t):", says, f"{INDENT}return {text}"]


def update(formulas: Formulas, dtype: str) -> list[str]:
    """Return the function that takes one step of the optimizer for every element of a parameter.

    What is the same for all elements is computed before the loop, in double precision.

    Parameters
    ----------
    formulas : Formulas
        The optimizer.
    dtype : {"float64", "float32"}
        Of the parameter, its gradient and its state.
    """
    return list(_Update(formulas, dtype).lines())


class _Update:
    """The text of ``update`` in the making."""

    def __init__(self, formulas: Formulas, dtype: str) -> None:
        self.formulas, self.dtype = formulas, dtype
        self.before: dict[str, str] = {}  # what is computed before the loop -> its name
        self.inside: dict[str, None] = {}  # the names of numbers that the loop reads
        taken = {*formulas.arrays, *formulas.settings, "t", ELEMENT}
        self.letters = (letter for letter in LETTERS if letter not in taken)

    def lines(self) -> Iterator[str]:
        """Yield the function, line by line."""
        statements = [f"{target}[{ELEMENT}] = {self._statement(graph)}" for target, graph in self.formulas.steps]
        yield "@njit"
        yield f"def update({', '.join(self.formulas.arrays)}, t):"
        yield f'{INDENT}"""Take step t of {self.formulas.title} for every element of p, in place."""'
        for name, graph in self.formulas.settings.items():
            yield f"{INDENT}{name} = {_expression(graph.outputs['value'], {})}"
        for text, name in self.before.items():
            yield f"{INDENT}{name} = {text}"
        if self.dtype != "float64":
            for name in self.inside:
                yield f"{INDENT}{name} = np.{self.dtype}({name})"
        yield f"{INDENT}for {ELEMENT} in range(p.size):"
        for statement in statements:
            yield f"{INDENT * 2}{statement}"

    def _statement(self, graph: Graph) -> str:
        """Return the right side of an assignment for one element."""
        root = graph.outputs["value"]
        names: dict[Value, str] = {}
        varying: set[Value] = set()
        for value in graph.order():
            if value.op == "input" and value.attr in self.formulas.arrays:
                varying.add(value)
                names[value] = f"{value.attr}[{ELEMENT}]"
            elif any(o in varying for o in value.operands):
                varying.add(value)
                names.update((o, self._fixed(o)) for o in self._fixed_operands(value, varying))
        return _expression(root, names)

    def _fixed_operands(self, value: Value, varying: set[Value]) -> list[Value]:
        """Return the operands that are the same for all elements; a whole exponent stays where it is."""
        return [o for o in value.operands if o not in varying and not (value.op == "pow" and o.op == "const")]

    def _fixed(self, value: Value) -> str:
        """Return the name of a number that the loop reads, computed before it."""
        text = _expression(value, {})
        if value.op == "const" and self.dtype == "float64":
            return text
        if value.op != "input" and text not in self.before:
            self.before[text] = next(self.letters)
        name = text if value.op == "input" else self.before[text]
        self.inside[name] = None
        return name


def _expression(value: Value, names: Mapping[Value, str]) -> str:
    """Return a scalar expression; an input without another name is printed as its own."""
    graph = Graph(value.builder, {}, {"value": value})
    return Printer("numba", Names(graph)).render(value, lambda v: names.get(v, v.attr if v.op == "input" else None))


@dataclass(frozen=True)
class Epoch:
    """What the loop over batches works on.

    Parameters
    ----------
    graph : Graph
        With its backward half; its inputs are the arguments of ``value_and_grad``, in their order.
    rows : str
        The input that holds the rows of a batch; "" if every step takes all samples.
    state : tuple of str
        The state variables of the optimizer.
    dtype : {"float64", "float32"}
        Of the parameters.
    """

    graph: Graph
    rows: str
    state: tuple[str, ...]
    dtype: str


def epoch(task: Epoch) -> list[str]:
    """Return the function that takes the steps of some batches.

    Its arguments are those of ``value_and_grad``, with `order` in the place of the rows and every parameter as an
    array that is changed in place (a scalar has one element), then for each parameter its state, then ``first, last,
    batch, t``: the part of `order` to take, the length of a batch, and the steps taken before. It returns the sum
    over the batches of the objective per sample, times the length of the batch.
    """
    return list(_Epoch(task).lines())


class _Epoch:
    """The text of ``epoch`` in the making."""

    def __init__(self, task: Epoch) -> None:
        self.task, self.graph = task, task.graph
        self.names = Names(task.graph)
        self.order, self.first, self.last, self.batch, self.t, self.total, self.start, self.value = (
            self.names.fresh(n) for n in ("order", "first", "last", "batch", "t", "total", "start", "objective")
        )
        self.gradient = {name: self.names.fresh(f"d{self.names.inputs[name]}") for name in self.graph.wrt}
        self.state = {
            name: [self.names.fresh(f"{each}_{self.names.inputs[name]}") for each in task.state]
            for name in self.graph.wrt
        }
        self.scalars = [name for name in self.graph.wrt if not self.graph.inputs[name].shape]
        self.cells = {name: self.names.fresh(f"cell_{self.names.inputs[name]}") for name in self.scalars}

    def lines(self) -> Iterator[str]:
        """Yield the function, line by line."""
        yield "@njit"
        yield from _call("def epoch", self._parameters(), ":")
        yield f'{INDENT}"""Take the steps of the batches from first to last, in place."""'
        yield f"{INDENT}{self.total} = 0.0"
        for name in self.scalars:
            yield f"{INDENT}{self.cells[name]} = np.empty(1, np.{self.task.dtype})"
        yield f"{INDENT}for {self.start} in range({self.first}, {self.last}, {self.batch}):"
        if self.task.rows:
            last = f"min({self.start} + {self.batch}, {self.last})"
            yield f"{INDENT * 2}{self.names.inputs[self.task.rows]} = {self.order}[{self.start}:{last}]"
        gradients = ", ".join(self.gradient.values())
        trailing = "," if len(self.gradient) == 1 else ""
        yield from _call(f"{INDENT * 2}{self.value}, ({gradients}{trailing}) = value_and_grad", self._arguments(), "")
        yield f"{INDENT * 2}{self.t} += 1"
        for name in self.graph.wrt:
            yield from self._update(name)
        length = f"{self.names.inputs[self.task.rows]}.size" if self.task.rows else "1"
        yield f"{INDENT * 2}{self.total} += {self.value} * {length}"
        yield f"{INDENT}return {self.total}"

    def _parameters(self) -> list[str]:
        inputs = [self.order if name == self.task.rows else self.names.inputs[name] for name in self.graph.inputs]
        state = [each for name in self.graph.wrt for each in self.state[name]]
        return [*inputs, *state, self.first, self.last, self.batch, self.t]

    def _arguments(self) -> list[str]:
        return [self.names.inputs[name] + "[0]" * (name in self.scalars) for name in self.graph.inputs]

    def _update(self, name: str) -> Iterator[str]:
        """Yield the step for one parameter."""
        own, gradient = self.names.inputs[name], self.gradient[name]
        if name in self.scalars:
            yield f"{INDENT * 2}{self.cells[name]}[0] = {gradient}"
            flat = [own, self.cells[name], *self.state[name]]
        else:
            flat = [f"{array}.reshape(-1)" for array in (own, gradient, *self.state[name])]
        yield from _call(f"{INDENT * 2}update", [*flat, self.t], "")


def _call(head: str, arguments: Sequence[str], end: str, width: int = 100) -> Iterator[str]:
    """Yield ``head(arguments)end``, with one argument a line if it is too long for one line."""
    line = f"{head}({', '.join(arguments)}){end}"
    if len(line) <= width:
        yield line
        return
    indent = head[: len(head) - len(head.lstrip())]
    yield f"{head}("
    yield from (f"{indent}{INDENT}{argument}," for argument in arguments)
    yield f"{indent}){end}"
