"""Steps of training: from an objective and an optimizer to compiled code, and the arrays that it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np

from gradcompile.arguments import Argument
from gradcompile.emit import epoch as text
from gradcompile.emit import support
from gradcompile.emit.copies import STRANGE, UNSEEN
from gradcompile.gathered import gathered
from gradcompile.ir import Graph
from gradcompile.jit import ByArguments
from gradcompile.jit.lines import LINE
from gradcompile.minibatch import Minibatch, minibatch, per_sample
from gradcompile.optimizers import Optimizer, formulas
from gradcompile.passes import divide_once
from gradcompile.passes.precision import within
from gradcompile.pipeline import differentiate
from gradcompile.processors import processors
from gradcompile.schedule.products import SAMPLES
from gradcompile.step import Step, in_halves
from gradcompile.threads import Products, get_threads, likes_tiles, on_one_thread, over, team
from gradcompile.train.whole import Whole

Array = np.ndarray[Any, np.dtype[Any]]
Taken = Literal["all", "many", "few", "blocks", "block", "one"]
COPIED = 96 * 2**10  # bytes of the rows of a batch from which another thread copies them: it takes 10 us or more
SHARED = 40_000_000  # operations of a step that multiplies matrices, 2 to 5 ms, from which threads share its samples
FEW = 2**14  # samples of a step whose share in a gradient may be kept for each: bounds the memory of a step


@dataclass(frozen=True)
class Kernel:
    """The compiled steps of an optimizer on an objective.

    Parameters
    ----------
    task : Minibatch
        The objective per sample, of the samples in `rows`; of all samples if `rows` is "".
    optimizer : Optimizer
        The rule.
    dtype : str
        Of the parameters and their state.
    kept : tuple of str
        The parameters for which the steps keep an array of their shape that is zero between steps.
    source : str
        The text of the module that runs.
    shared : bool
        Whether threads share the products of matrices of a step.
    copies : mapping of str to str
        The arguments of the steps to which rows of data are copied, and these data.
    whole : Whole or None
        The same steps by two functions, where a step takes many samples: threads share them.
    """

    task: Minibatch
    optimizer: Optimizer
    dtype: str
    kept: tuple[str, ...]
    source: str
    shared: bool
    copies: Mapping[str, str]
    whole: Whole | None
    compiled: set[tuple[object, ...]] = field(default_factory=set)  # for which calls it is, see `Steps.is_compiled`

    @cached_property
    def epoch(self) -> ByArguments:
        """The function that takes the steps of some batches; see `emit.epoch.epoch`."""
        return self._function("epoch", {"assist": self.helping} if self.assisted else {})

    @cached_property
    def rate(self) -> Callable[[int], float]:
        """The function that gives the learning rate of a step."""
        return self._function("learning_rate").made(1)

    @cached_property
    def assist(self) -> Callable[..., float]:
        """The function for the other threads of a team; it has `helping` of the arguments of `epoch`."""
        return self._function("assist")

    @property
    def assisted(self) -> bool:
        """Whether a team of threads takes the steps."""
        return self.shared or bool(self.copies)

    @cached_property
    def helping(self) -> list[int]:
        """The places of the arguments of ``epoch`` that ``assist`` has: the team, and then all that is copied."""
        names, last = list(self.task.graph.inputs), -len(self.copies)
        data = [names.index(name) for name in ([self.task.rows, *self.copies.values()] if self.copies else [])]
        return [last - 1, *data, *range(last, 0)]

    @cached_property
    def products(self) -> Products:
        """The products of matrices of a step."""
        return Products(self.task.graph)

    def _function(self, name: str, beside: Mapping[str, Sequence[int]] | None = None) -> ByArguments:
        return ByArguments(self.source, name, ("gradient", "update"), support.functions("numba"), beside or {})


def taken(batch: int, samples: int) -> Taken:
    """Return how a step takes `batch` of some samples: by their numbers if they are not all in one step."""
    if batch >= samples:
        return "all"
    if batch == 1:
        return "one"
    if batch > FEW:
        return "many"
    return "block" if batch <= SAMPLES else "blocks" if batch <= 2 * SAMPLES else "few"


def kernel(lowered: Graph, optimizer: Optimizer, dtype: str, how: Taken) -> Kernel:
    """Return the steps of an optimizer on a lowered objective.

    Parameters
    ----------
    lowered : Graph
        The model.
    optimizer : Optimizer
        The rule and its numbers.
    dtype : {"float64", "float32"}
        Of the parameters.
    how : {"all", "many", "few", "blocks", "block", "one"}
        Which samples a step takes: all of them, or some by their numbers, at most so many as kernels take in one
        block, or in two; see `taken`.
    """
    by_rows = how != "all"
    task = minibatch(lowered, one=how == "one") if by_rows else Minibatch(per_sample(lowered), "", "")
    graph = divide_once(within(differentiate(task.graph), dtype))
    rule = formulas(optimizer)
    linear = rule.factor is not None and how in ("few", "blocks", "block", "one")
    products = Products(graph)
    copied, copies = gathered(graph, task.rows, products.factors) if how in ("blocks", "block") else (graph, {})
    halves = in_halves(copied, lazy=rule.lazy and by_rows, linear=linear, still=optimizer.rule.still)
    shared = bool(products) and likes_tiles()
    epoch = text.Epoch(graph, halves, task.rows, rule, dtype, short=how == "block", team=shared, copies=copies)
    source = text.render(epoch)
    every = how not in ("blocks", "block", "one") and all(move.is_everywhere for move in halves.moves)
    whole = Whole(graph, rule, dtype, still=optimizer.rule.still) if every else None
    kept = tuple(_parameter_of(halves, head) for head in halves.heads.values() if head in halves.kept)
    return Kernel(Minibatch(graph, task.rows, task.count), optimizer, dtype, kept, source, shared, copies, whole)


def _parameter_of(halves: Step, head: str) -> str:
    """Return the parameter whose moves put a head back to zero."""
    return next(m.parameter for m in halves.moves if m.cleared is not None and halves.heads[m.cleared] == head)


class Steps:
    """Training in progress: parameters and optimizer state, changed in place by compiled steps.

    Parameters
    ----------
    kernel : Kernel
        What a step is.
    arguments : mapping of str to array or number
        The checked arguments of the model; parameters are copied, data are not.
    count : int
        Number of samples in an epoch.
    sizes : mapping of str to int
        The named sizes of the model.

    Attributes
    ----------
    parameters : dict of str to array
        A scalar parameter has one element.
    unseen : bool
        Whether nobody has looked for numbers that are not finite in the data that are copied.
    strange : bool
        Whether the steps have seen such numbers.
    """

    def __init__(self, kernel: Kernel, arguments: Mapping[str, Argument], count: int, sizes: Mapping[str, int]) -> None:
        self.kernel, self.taken, self.sizes = kernel, 0, sizes
        graph, rule = kernel.task.graph, kernel.optimizer.rule
        self.start = {name: arguments[name] for name in graph.wrt}
        self.parameters: dict[str, Array] = {
            name: _from_a_line(np.shape(value) or (1,), kernel.dtype, value) for name, value in self.start.items()
        }
        self.shapes = {name: np.shape(arguments[name]) for name in graph.wrt}
        self.state = [
            _from_a_line(p.shape, p.dtype, start) for p in self.parameters.values() for start in rule.state.values()
        ]
        tables = (self.parameters[name] for name in kernel.kept)
        self.kept = [np.zeros(table.shape, table.dtype) for table in tables]
        given = {**arguments, **self.parameters, kernel.task.count: float(count)}
        self.before, self.after = _around(kernel, given)
        self.given = given
        self._copied = [_guarded(given[name], writable=False) for name in kernel.copies.values()]
        self.unseen = self.strange = False
        self._buffers: tuple[int, list[Array]] = (0, [])  # how many rows are copied, and where
        self._epoch: Callable[..., float] | None = None
        self._types = [getattr(each, "dtype", type(each)) for each in (*self.before, *self.after)]
        # The last batch, and what takes its steps if threads share it.
        self._whole: tuple[int, Whole | None] = (0, None)

    def is_compiled(self, batch: int) -> bool:
        """Return whether another training has compiled what this one calls."""
        return self._called(batch) in self.kernel.compiled

    def _called(self, batch: int) -> tuple[object, ...]:
        """Return what decides which functions are called, and for which types."""
        return batch, get_threads(), *self._types

    def compile(self, batch: int) -> None:
        """Compile what `run` and `rate` call for batches of so many samples, and take no step."""
        whole = self._shared(batch)
        if whole is not None:
            whole.compile(self._given(np.zeros(batch, np.int64)), self.state)
        else:
            nobody = np.zeros(0, np.int64)
            self.run(nobody, 0, 0, batch)
            if self.kernel.assisted:
                self.kernel.assist(over(), *self._copying(nobody, batch))
        self.kernel.rate(1)
        self.kernel.compiled.add(self._called(batch))

    def run(self, order: Array, first: int, last: int, batch: int, total: float = 0.0) -> float:
        """Take the steps of the samples ``order[first:last]``, and return `total` plus the objectives of the batches.

        Every batch counts with its objective per sample, at the parameters that it found, times its length.
        """
        whole = self._shared(batch)
        if whole is not None:
            batches = (order[start : min(start + batch, last)] for start in range(first, last, batch))
            return self._run_whole(whole, batches, total)
        rows = [order] if self.kernel.task.rows else []
        arrays = *self.before, *rows, *self.after, *self.state, *self.kept
        with self._threads(order, batch) as shared:
            given = (*arrays, first, last, batch, self.taken, total, *shared)
            self._epoch = self._epoch or self.kernel.epoch.made(*given)  # all calls have arguments of the same types
            total = float(self._epoch(*given))
        self.taken += -(-(last - first) // batch)
        return total

    def _shared(self, batch: int) -> Whole | None:
        """Return what takes the steps of such batches if there is work for several threads in each."""
        if self._whole[0] != batch:
            whole, given = self.kernel.whole, self._given(np.zeros(batch, np.int64))
            found = whole is not None and not self._mostly_multiplies(batch, whole, given) and whole.suits(given)
            self._whole = batch, whole if found else None
        return self._whole[1]

    def _mostly_multiplies(self, batch: int, whole: Whole, given: Mapping[str, Any]) -> bool:
        """Return whether a step of few samples multiplies matrices above all: then threads share these products.

        Chunks of so few samples would save less than handing them out and adding up their gradients costs.
        """
        kernel = self.kernel
        if not kernel.products or batch > FEW:
            return False
        large = kernel.shared and not kernel.products.small(self._sizes(batch))
        return large or whole.operations(given) < SHARED

    def _run_whole(self, whole: Whole, batches: Iterable[Array], total: float) -> float:
        for rows in batches:
            value = whole.step(self._given(rows), self.state, self.taken)
            total += value * (rows.size if self.kernel.task.rows else 1)
            self.taken += 1
        return total

    def _given(self, rows: Array) -> dict[str, Any]:
        """Return all arguments of a step of these samples."""
        name = self.kernel.task.rows
        return {**self.given, name: rows} if name else self.given

    @contextmanager
    def _threads(self, order: Array, batch: int) -> Iterator[list[Array]]:
        """Have threads of ours share the work of the steps, or BLAS's own; yield the team, and what is copied to."""
        kernel, products, sizes = self.kernel, self.kernel.products, self._sizes(batch)
        ours = kernel.shared or products.small(sizes)
        with on_one_thread() if ours else nullcontext():
            if not kernel.assisted:
                yield []
                return
            copying = self._copying(order, batch)
            alone = not (ours and (self._copies_ahead(batch) or (kernel.shared and products.shared(sizes))))
            with team(lambda shared: kernel.assist(shared, *copying), alone=alone) as shared:
                shared[UNSEEN] = self.unseen
                yield [shared, *self._copies(batch)]
            self.strange |= bool(shared[STRANGE])

    def _copying(self, order: Array, batch: int) -> list[Array]:
        """Return what the threads of a team copy rows with."""
        return [order, *self._copied, *self._copies(batch)] if self.kernel.copies else []

    def _copies(self, batch: int) -> list[Array]:
        """Return the arrays that rows are copied to: those of one batch, or of two that take turns."""
        rows = batch * (1 + self._copies_ahead(batch))
        if self._buffers[0] != rows:
            shapes = [(rows, *data.shape[1:]) for data in self._copied]
            self._buffers = rows, [_from_a_line(shape, self.kernel.dtype, 0) for shape in shapes]
        return self._buffers[1]

    def _copies_ahead(self, batch: int) -> bool:
        """Return whether another thread copies the rows of a batch while the one before is computed."""
        size = sum(data[:1].nbytes for data in self._copied) * batch
        return size >= COPIED and min(get_threads(), processors()) > 1

    def _sizes(self, batch: int) -> dict[str, int]:
        """Return the named sizes of a step, with that of its rows."""
        rows = [self.kernel.task.graph.inputs[name] for name in [self.kernel.task.rows] if name]
        return {**self.sizes, **{name: batch for each in rows for size in each.shape for name, _ in size.terms}}

    @property
    def rate(self) -> float:
        """The learning rate of the last step; before the first, of the first."""
        return self.kernel.rate(max(self.taken, 1))

    def is_finite(self) -> bool:
        """Return whether every parameter is finite: one with a finite sum is, and that is found in one pass."""
        with np.errstate(over="ignore", invalid="ignore"):
            return all(bool(np.isfinite(p.sum()) or np.isfinite(p).all()) for p in self.parameters.values())

    def copy(self) -> dict[str, Array]:
        """Return the parameters as they are now."""
        return {name: p.copy() for name, p in self.parameters.items()}

    def begin(self) -> None:
        """Put back the parameters that training began with."""
        for name, value in self.start.items():
            self.parameters[name][...] = value

    @property
    def size(self) -> int:
        """How large the parameters are, in bytes."""
        return sum(p.nbytes for p in self.parameters.values())

    def copy_to(self, parameters: Mapping[str, Array]) -> None:
        """Put the parameters as they are now into arrays that `copy` returned."""
        for name, p in self.parameters.items():
            np.copyto(parameters[name], p)

    def restore(self, parameters: Mapping[str, Array]) -> None:
        """Put back parameters that `copy` returned."""
        for name, value in parameters.items():
            np.copyto(self.parameters[name], value)

    def learned(self) -> dict[str, Any]:
        """Return the parameters with the axes that the model declares; a scalar is a float.

        An array may be the one that the steps change.
        """
        return {name: p if self.shapes[name] else p.item() for name, p in self.parameters.items()}


def _from_a_line(shape: tuple[int, ...], dtype: Any, value: Any) -> Array:
    """Return an array that begins where a line of the cache does: vectors and rows are not read from two lines then.

    Products of matrices take a tenth less time than with an array of NumPy's, and so do steps of embedded rows.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    found: Array = memory[first : first + size].view(dtype).reshape(shape)
    found[...] = value
    return found


def _around(kernel: Kernel, given: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the arguments before and after the rows, in call order; what is no parameter is read-only."""
    graph, rows = kernel.task.graph, kernel.task.rows
    names = list(graph.inputs)
    arguments = [None if name == rows else _guarded(given[name], name in graph.wrt) for name in names]
    place = names.index(rows) if rows else len(names)
    return arguments[:place], arguments[place + bool(rows) :]


def _guarded(value: Any, writable: bool) -> Any:
    """Return an array that must not change as a read-only view: one compiled form serves memory maps, too."""
    if writable or not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view
