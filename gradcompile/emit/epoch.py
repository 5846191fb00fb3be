"""The epoch of training as text: the gradient of a batch, the update of the parameters, and the loop over batches.

All of it is one module, so that an epoch is one call of compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gradcompile.emit import allowlist, loops, support
from gradcompile.emit.ahead import Ahead
from gradcompile.emit.allowlist import FETCH, IMPORTED, TEAM
from gradcompile.emit.copies import Copies
from gradcompile.emit.dialect import NUMBA
from gradcompile.emit.elements import LoopPrinter
from gradcompile.emit.in_place import in_place
from gradcompile.emit.layout import INDENT, words, wrapped
from gradcompile.emit.module import FLAGS, STRICT, Request, assembled, hashed, reserved
from gradcompile.emit.names import FEW, Names
from gradcompile.emit.places import output_array
from gradcompile.emit.statements import Returned
from gradcompile.emit.update import Formulas, Update, expression
from gradcompile.ir import Axis, Graph, Value, only_indices, reachable
from gradcompile.schedule import computed_again, plan, rows_of_samples
from gradcompile.step import Step, terms

FUNCTIONS = {
    "learning_rate": "Return the learning rate of step t, counted from 1.",
    "gather": "Copy the rows of samples that a team needs next, if there are any that nobody has taken.",
    "assist": "Do pieces of the work of a team until there will be no more.",
    "gradient": "Return the objective and what the gradient is made of: numbers, and arrays in place.",
    "update": "Take a step: change the parameters in place.",
    "epoch": "Take the steps of the batches from first to last, in place; add up the objective.",
}
NOGIL = f"nogil=True, {FLAGS}"  # other threads of Python go on beside it


@dataclass(frozen=True)
class Epoch:
    """What the loop over batches works on.

    Parameters
    ----------
    graph : Graph
        With its backward half; its inputs are the arguments of ``epoch``, in their order.
    step : Step
        The same in two halves.
    rows : str
        The input that holds the rows of a batch, or the row of a batch of one; "" if every step takes all samples.
    formulas : Formulas
        The optimizer.
    dtype : {"float64", "float32"}
        Of the parameters.
    short : bool
        Whether no batch has more than `schedule.products.SAMPLES` samples.
    team : bool
        Whether threads are to share large products of matrices, of which BLAS is given tiles.
    copies : mapping of str to str
        The inputs of the step that are rows of data, copied for each batch; and these data.
    """

    graph: Graph
    step: Step
    rows: str
    formulas: Formulas
    dtype: str
    short: bool = False
    team: bool = False
    copies: Mapping[str, str] = field(default_factory=dict)


def render(task: Epoch) -> str:
    """Return the text of a module with the functions ``gradient``, ``update``, ``epoch`` and ``learning_rate``.

    With a team, or with copies, there is ``assist``, too, for other threads; the last arguments of ``epoch`` are the
    team, and for each copy an array of the rows of one batch, or of two: then others copy the next while one is used.

    The arguments of ``epoch`` are the inputs of the graph, with `order` in the place of the rows, every parameter an
    array that is changed in place (a scalar has one element); for each parameter its state; the heads that are zero
    between steps, as arrays that are; then ``first, last, batch, t, total``: the part of `order` to take, the length
    of a batch, the steps taken before, and what they have made of the total. It returns that and, added batch by
    batch, the objective per sample times the length of the batch.

    Parameters
    ----------
    task : Epoch
        What the loop over batches works on.

    Raises
    ------
    EmissionError
        The text holds something that is not on the allow-list.
    """
    return _Epoch(task).text()


class _Epoch:
    """The text of the module in the making."""

    def __init__(self, task: Epoch) -> None:
        self.task, self.step, self.graph = task, task.step, task.step.graph
        teams = support.closure("numba", ["share", "announce", "finish"])
        taken = [*reserved(task.graph, "numba"), *FUNCTIONS, *IMPORTED, *teams]
        self.names = Names(self.graph, taken, many=len(task.graph.order()) > FEW, beside=task.graph.inputs)
        self.real = "real" if task.dtype == "float32" else ""
        self.printer = LoopPrinter("numba", self.names, self.real)
        self.plan = plan(self.graph)
        one_block = task.short and rows_of_samples(self.plan) == 1  # those of many rows each are not all in one
        alone = one_block and task.formulas.factor is not None
        self.moved = in_place(self.step, self.plan) if alone else {}
        self.state = {
            name: {each: self.names.fresh(f"{each}_{self.names.inputs[name]}") for each in task.formulas.state}
            for name in task.graph.wrt
        }
        self.t = self.names.fresh("t")
        self.factor = self.names.fresh("factor") if self.moved else ""
        self.team = self.names.fresh("team") if task.team or task.copies else ""
        self.sizes: set[str] = set()  # the named sizes that the loop over batches mentions
        self.copies = Copies(self.graph, task.copies, self.names, self.printer, self.team, self.real)
        self.ahead = Ahead(self.graph, task.rows, self.names, self.printer)
        self.one = bool(task.rows) and not self.graph.inputs[task.rows].shape

    def text(self) -> str:
        """Return the module."""
        gradient, update = self._gradient(), self._update()
        functions = [gradient, update, *self._gather(), self._epoch(update), self._rate(), *self._assist()]
        request = Request(
            self.graph, "numba", self.task.dtype, strict=False, returned="value", names=self.names, printer=self.printer
        )
        called = support.closure("numba", self.printer.support & support.functions("numba").keys())
        request = request._replace(graph=replace(self.graph, inputs=self.task.graph.inputs | self.graph.inputs))
        text = assembled(
            request, functions, called, f"Steps of {self.task.formulas.title} on the objective", imports=(FETCH, TEAM)
        )
        allowlist.check(text, "numba", self.names.taken, FUNCTIONS)
        return hashed(text)

    # The functions

    def _gradient(self) -> list[str]:
        """Return the function that computes the objective and the heads."""
        heads = self.step.heads
        given = {name: name in self.step.kept for value, name in heads.items() if self._is_array(value, name)}
        dtype = self.task.dtype
        numbers = [name for value, name in heads.items() if not value.axes]
        returned: Returned = ("value", *numbers) if numbers else "value"
        arrays = {name: output_array(self.plan, self.names, name) for name in given}
        inputs = self.names.inputs
        moved = {head: (inputs[m.move.parameter], self.factor, m.scale) for head, m in self.moved.items()}
        caller = loops.Caller(given, moved, self._in_batch(arrays), self.team if self.task.team else "")
        names, printer = self.names, self.printer
        body = loops.function(self.plan, names, printer, NUMBA, returned=returned, dtype=dtype, caller=caller)
        self.arrays = arrays | {name: self._number(name) for value, name in heads.items() if not value.axes}
        arguments = [*map(inputs.__getitem__, self.graph.inputs), *(self.arrays[name] for name in given)]
        arguments += self._further
        flags = STRICT if computed_again(self.plan) else FLAGS
        return _function("gradient", arguments, body, flags)

    def _ahead(self, arrays: Mapping[str, str], order: str, place: str, last: str) -> list[str]:
        """Return the lines that ask for the rows of later samples; see `Ahead.lines`."""
        sums = {term: arrays[name] for name in self.step.kept for term in terms(self.graph.outputs[name])}
        lines = list(self.ahead.lines(self.names.word("soon"), order, place, last, sums))
        self.sizes |= self.ahead.sizes
        return lines

    def _in_batch(self, arrays: Mapping[str, str]) -> Callable[[str], list[str]] | None:
        """Return what yields the lines that ask for the rows of later samples of a batch."""
        batch = self.graph.sample
        if self.one or not self.task.rows or batch is None:
            return None
        rows, last = self.names.inputs[self.task.rows], f"{self.names.size(batch.size)} - 1"
        return lambda place: self._ahead(arrays, rows, place, last)

    def _is_array(self, head: Value, name: str) -> bool:
        """Return whether a head is an array that the first half fills."""
        return bool(head.axes) and name not in self.moved

    def _number(self, head: str) -> str:
        """Return the identifier of a head that is a number."""
        value = self.plan.results[head]
        return self.names.letter() if value is None or value.op == "input" else self.names.value(value)

    def _update(self) -> list[str]:
        """Return the function that moves the parameters; it takes what it mentions."""
        step, formulas = self.step, self.task.formulas
        done = [moved.move for moved in self.moved.values()]
        moves = [move for move in step.moves if move not in done]
        names, printer = self.names, self.printer
        body = Update(step, formulas, names, printer, self.arrays, self.state, self.t, self.real, moves).body()
        mentioned = words(body)
        known = [*self.names.inputs.values(), *self._states(), *self.arrays.values(), self.t]
        return _function("update", [name for name in dict.fromkeys(known) if name in mentioned], body)

    def _states(self) -> list[str]:
        return [array for name in self.task.graph.wrt for array in self.state[name].values()]

    def _rate(self) -> list[str]:
        """Return the function that gives the learning rate of step t."""
        text = self._of_step(self.task.formulas.settings["rate"])
        return _function("learning_rate", [self.t], [f"return {text}"])

    def _of_step(self, formula: Graph) -> str:
        """Return a formula of the optimizer that depends on the step number alone."""
        t = {v: self.t for v in formula.order() if v.op == "input"}
        return expression(formula.outputs["value"], t, self.printer.support)

    def _epoch(self, update: list[str]) -> list[str]:
        """Return the loop over batches."""
        fresh = self.names.fresh
        order, first, last = map(self.names.word, ("order", "first", "last"))
        batch, total, start, value = map(fresh, ("batch", "total", "start", "objective"))
        inputs = [order if name == self.task.rows else self.names.inputs[name] for name in self.task.graph.inputs]
        kept = [self.arrays[name] for name in self.step.heads.values() if name in self.step.kept]
        rows = self.names.inputs.get(self.task.rows, "")
        numbers = [self.arrays[name] for head, name in self.step.heads.items() if not head.axes]
        before, inner = list(self._buffers(batch)), []
        if rows:
            part = f"{start}" if self.one else f"{start}:min({start} + {batch}, {last})"
            inner.append(f"{rows} = np.uint64({order}[{part}])" if self._only_finds() else f"{rows} = {order}[{part}]")
        if self.task.copies:
            before += self.copies.before(first, last, batch)
            inner += self.copies.lines(order, start, last, batch, f"{rows}.size")
        if self.one:
            inner += self._ahead(self.arrays, order, start, f"{last} - 1")
        inner += [
            f"{self.t} += 1",
            *self._factor(),
            f"{', '.join([value, *numbers])} = gradient({', '.join(self._arguments())})",
            *([self.copies.of_batch(_call(update))] if len(self.moved) < len(self.step.moves) else []),
            f"{total} += {value}" + (f"*{rows}.size" if rows and not self.one else ""),
        ]
        body = [
            *self.names.size_lines(self.sizes, "numba"),
            *before,
            *self.ahead.before(),
            f"for {start} in range({first}, {last}, {batch}):",
            *(INDENT + line for line in inner),
            f"return {total}",
        ]
        arguments = [*inputs, *self._states(), *kept, first, last, batch, self.t, total]
        if not self.team:
            return _function("epoch", arguments, body)
        return _function("epoch", [*arguments, self.team, *self.copies.arrays], body, NOGIL)

    def _gather(self) -> Iterator[list[str]]:
        """Yield the function that copies rows."""
        if self.task.copies:
            order = self.names.word("order")
            yield _function("gather", self.copies.arguments(order), self.copies.body(order))

    def _assist(self) -> Iterator[list[str]]:
        """Yield the function for the other threads of a team."""
        if not self.team:
            return
        body, arguments = [f"while look({self.team}, 0) >= 0:"], [self.team]
        if self.task.team:
            body.append(f"{INDENT}take({self.team}, False)")
            self.printer.support.add("take")
        if self.task.copies:
            order = self.names.word("order")
            arguments = [self.team, order, *self.copies.data, *self.copies.arrays]
            body.append(INDENT + self.copies.call(order, first=False))
        else:
            body.append(f"{INDENT}rest()")
        yield _function("assist", arguments, [*body, f"return look({self.team}, 8)"], NOGIL)

    def _only_finds(self) -> bool:
        """Return whether a step takes one row, whose number is used as an index and as nothing else."""
        moved = [value for move in self.step.moves for value in (*move.place, move.gradient)]
        values = reachable([*self.graph.outputs.values(), *moved])
        return self.one and any(v.op == "input" and v.attr == self.task.rows for v in only_indices(values))

    def _factor(self) -> Iterator[str]:
        """Yield the line that computes what the first half multiplies its products by."""
        if self.moved and self.task.formulas.factor is not None:
            yield f"{self.factor} = {self._of_step(self.task.formulas.factor)}"

    def _buffers(self, batch: str) -> Iterator[str]:
        """Yield the lines that make the arrays of the heads, once for all batches of at most `batch` samples."""
        made = [(v, n) for v, n in self.step.heads.items() if self._is_array(v, n) and n not in self.step.kept]
        self.sizes |= {n for v, _ in made for a in v.axes if a != self.graph.sample for n, _ in a.size.terms}
        for head, name in made:
            real = f", np.{self.task.dtype}" if self.real else ""
            kind = {"bool": ", np.bool_", "int": ", np.int64"}.get(head.kind, real)
            yield f"{self.arrays[name]} = np.empty({self._shape(head.axes, batch)}{kind})"

    def _shape(self, axes: tuple[Axis, ...], batch: str) -> str:
        sizes = [batch if axis == self.graph.sample else self.names.size(axis.size) for axis in axes]
        return sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"

    def _arguments(self) -> list[str]:
        """Return what ``gradient`` is called with: of a scalar parameter its one element."""
        scalars = {name for name in self.task.graph.wrt if not self.graph.inputs[name].shape}
        inputs = [
            self.copies.of_batch(self.names.inputs[name]) + "[0]" * (name in scalars) for name in self.graph.inputs
        ]
        arrays = [self.arrays[name] for head, name in self.step.heads.items() if self._is_array(head, name)]
        return [*inputs, *arrays, *self._further]

    @property
    def _further(self) -> list[str]:
        """The last arguments of ``gradient``."""
        asking = [] if self.one else [*self.ahead.large]
        return [name for name in (self.factor, *asking, self.team) if name]


def _function(name: str, arguments: Iterable[str], body: Iterable[str], flags: str = FLAGS) -> list[str]:
    """Return a function as lines."""
    head = wrapped(f"def {name}({', '.join(arguments)}):")
    lines = (piece for line in body for piece in wrapped(INDENT + line))
    return [f"@njit({flags})", *head, f'{INDENT}"""{FUNCTIONS[name]}"""', *lines]


def _call(function: list[str]) -> str:
    """Return the call of a function with arguments of the names of its parameters."""
    end = next(k for k, line in enumerate(function) if line.endswith(":"))
    return "".join(line.strip() + " " * line.endswith(",") for line in function[1 : end + 1])[len("def ") : -1]
