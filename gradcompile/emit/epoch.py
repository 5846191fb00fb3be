"""The epoch of training as text: an optimizer's step for one array, and the loop over batches that calls it.

Both follow the emitted ``value_and_grad`` in a module of their own, so that an epoch is one call of compiled code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gradcompile.emit import allowlist, support
from gradcompile.emit.expression import Printer
from gradcompile.emit.layout import wrapped
from gradcompile.emit.module import FLAGS
from gradcompile.emit.names import LETTERS, Names
from gradcompile.ir import Graph, Value

INDENT = "    "
ELEMENT = "k"  # the number of an element of a parameter
NUMBA = "from numba import njit"
FUNCTIONS = {
    "rate": "Return the learning rate of step t, counted from 1.",
    "update": "Take step t of the optimizer for every element of p, in place.",
    "epoch": "Take the steps of the batches from first to last, in place.",
}
DECORATOR = f"@njit({FLAGS})"


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


def render(module: str, formulas: Formulas, task: Epoch) -> str:
    """Return the text of a module with the functions of another one, and ``rate``, ``update`` and ``epoch``.

    Parameters
    ----------
    module : str
        An emitted module for Numba, with ``value_and_grad`` for the graph of `task`.
    formulas : Formulas
        The optimizer.
    task : Epoch
        What the loop over batches works on.
    """
    loop = _Epoch(task)
    own = ["\n".join(lines) for lines in (rate(formulas), update(formulas, task.dtype), _wrapped(loop.lines()))]
    letters = {*LETTERS, *formulas.arrays, *formulas.settings, "t", ELEMENT}
    allowlist.check("\n\n\n".join(own), "numba", loop.names.taken | letters, FUNCTIONS)
    known = {node.name for node in ast.parse(module).body if isinstance(node, ast.FunctionDef)}
    called = {node.id for text in own for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    needed = support.closure("numba", called & support.functions("numba").keys())
    copied = [support.source("numba", name) for name in needed if name not in known]
    parts = [_with_imports(module, "".join([*copied, *own])), *copied, *own]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _with_imports(module: str, text: str) -> str:
    """Return the module with the imports that further text needs."""
    needed = {"import math": "math." in text, "import numpy as np": "np." in text}
    missing = [line for line, used in needed.items() if used and f"\n{line}\n" not in module]
    return module.replace(NUMBA, "\n".join([*missing, NUMBA]), 1)


def rate(formulas: Formulas) -> list[str]:
    """Return the function that gives the learning rate of step t."""
    text = _expression(formulas.settings["rate"].outputs["value"], {})
    return [*_head("rate", ["t"]), f"{INDENT}return {text}"]


def _head(name: str, arguments: Iterable[str]) -> Iterator[str]:
    """Yield the first lines of a function."""
    yield from (DECORATOR, f"def {name}({', '.join(arguments)}):", f'{INDENT}"""{FUNCTIONS[name]}"""')


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
    return _wrapped(_Update(formulas, dtype).lines())


def _wrapped(lines: Iterable[str]) -> list[str]:
    return [part for line in lines for part in wrapped(line)]


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
        yield f"# {self.formulas.title}"
        yield from _head("update", [*self.formulas.arrays, "t"])
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


class _Epoch:
    """The text of ``epoch`` in the making.

    Its arguments are those of ``value_and_grad``, with `order` in the place of the rows and every parameter as an
    array that is changed in place (a scalar has one element), then for each parameter its state, then ``first, last,
    batch, t``: the part of `order` to take, the length of a batch, and the steps taken before. It returns the sum
    over the batches of the objective per sample, times the length of the batch.
    """

    def __init__(self, task: Epoch) -> None:
        self.task, self.graph = task, task.graph
        self.names = Names(task.graph, FUNCTIONS)
        own = ("order", "first", "last", "batch", "t", "total", "start", "objective", "grads")
        self.order, self.first, self.last, self.batch, self.t, self.total, self.start, self.value, self.grads = (
            self.names.fresh(name) for name in own
        )
        self.state = {
            name: [self.names.fresh(f"{each}_{self.names.inputs[name]}") for each in task.state]
            for name in self.graph.wrt
        }

    def lines(self) -> Iterator[str]:
        """Yield the function, line by line."""
        yield from _head("epoch", self._parameters())
        yield f"{INDENT}{self.total} = 0.0"
        yield f"{INDENT}for {self.start} in range({self.first}, {self.last}, {self.batch}):"
        if self.task.rows:
            last = f"min({self.start} + {self.batch}, {self.last})"
            yield f"{INDENT * 2}{self.names.inputs[self.task.rows]} = {self.order}[{self.start}:{last}]"
        yield f"{INDENT * 2}{self.value}, {self.grads} = value_and_grad({', '.join(self._arguments())})"
        yield f"{INDENT * 2}{self.t} += 1"
        for number, name in enumerate(self.graph.wrt):
            yield f"{INDENT * 2}{self._update(name, f'{self.grads}[{number}]')}"
        length = f"{self.names.inputs[self.task.rows]}.size" if self.task.rows else "1"
        yield f"{INDENT * 2}{self.total} += {self.value} * {length}"
        yield f"{INDENT}return {self.total}"

    def _parameters(self) -> list[str]:
        inputs = [self.order if name == self.task.rows else self.names.inputs[name] for name in self.graph.inputs]
        state = [each for name in self.graph.wrt for each in self.state[name]]
        return [*inputs, *state, self.first, self.last, self.batch, self.t]

    def _arguments(self) -> list[str]:
        scalars = {name for name in self.graph.wrt if not self.graph.inputs[name].shape}
        return [self.names.inputs[name] + "[0]" * (name in scalars) for name in self.graph.inputs]

    def _update(self, name: str, gradient: str) -> str:
        """Return the step for one parameter."""
        arrays = [self.names.inputs[name], gradient, *self.state[name]]
        if not self.graph.inputs[name].shape:
            arrays[1] = f"np.array([{gradient}])"
        flat = arrays if len(self.graph.inputs[name].shape) < 2 else [f"{array}.reshape(-1)" for array in arrays]
        return f"update({', '.join([*flat, self.t])})"
