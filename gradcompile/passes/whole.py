"""Wholes: when to compute all of an array that data indices read, and not only what they read.

``h[nb[n, k]]`` takes K elements for each of N: computing the N of them once, and then reading, costs a K-th. Whether
there are more places than elements must follow from the sizes as they are written. Of a table of a vocabulary, of which
a batch reads a few rows, only these are computed.

Functions such as exp are an exception: of a table of parameters, they are computed once for each row and not for each
sample that looks it up. Samples are more than what parameters alone are numbered by: words in texts, ratings of films.

Where the sizes of a call are known, they decide. An array is computed whole, whatever it is made of, if it is read
twice as often as it is long or more, and if that saves more operations than it takes to keep and to read it. It must
have no more numbers than the arguments of the call. Functions of a table are computed of what samples look up if that
is less than there is.

An element that no index takes is computed then, too, and what comes back to it is 0. So it must have a finite
derivative wherever its operands are finite, or be part of what the objective takes anyway. A softmax has: its
exponentials are of what is below their largest, and their sum is not below 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from math import prod
from typing import NamedTuple

from gradcompile.ir import LEAVES, REDUCTIONS, Axis, Graph, Size, Value, reachable
from gradcompile.passes.factor import used_bare
from gradcompile.passes.share import CHEAP, costly, is_of_pairs, is_renaming, sample_sizes

TYPICAL = 8  # samples for each row of a table
OFTEN = 2  # places for each element of an array, from which on it may be computed whole if their numbers are known
READING = 10  # operations that it costs to read an element of an array, and to add to its derivative
FUNCTION = 20  # operations that exp and its like count as
OVER = (*REDUCTIONS, "running")
NO_SIZES: Mapping[str, int] = {}
LINEAR = ("add", "sub", "mul", "neg", "real", "detach", "finite", "sum", "max", "min", "maximum", "minimum", "abs")
BOUNDED = ("tanh", "sigmoid", "softplus", "logcosh", "atan", "sin", "cos", "erf", "erfc", "asinh", "sech")


def worth_computing(
    graph: Graph, kept: Container[Value], doubts: dict[Value, None] | None, sizes: Mapping[str, int]
) -> Iterator[Value]:
    """Yield the arrays that cost less than what is read of them.

    Parameters
    ----------
    graph : Graph
        The graph.
    kept : container of Value
        The arrays that are computed in any case.
    doubts : dict of Value to None, or None
        Where exponentials may overflow that no index takes: their exponents are added. Without it none may.
    sizes : mapping of str to int
        Those of a call, if they are known.
    """
    order = graph.order()
    reads = [v for v in order if v.op == "read" and v.operands[0].op not in LEAVES and not is_renaming(v)]
    tables, reads = Tables.of(graph, sizes), [read for read in reads if read.operands[0] not in kept]
    often = {read: times for read in reads if (times := tables.times(read))}
    if not often:
        return
    dear, bare, samples = costly(order), used_bare(graph.outputs.values()), sample_sizes(graph)
    anyway = _taken_anyway(graph.outputs.values(), kept)
    finite, shared = finite_values(order, anyway), _made_of(order, anyway & dear)
    hopeful = finite if doubts is None else finite_values(order, anyway, exponentials=True)
    for read, times in often.items():
        array = read.operands[0]
        worth = read in bare and array in dear and (times > 1 or array in shared)
        if worth and array in hopeful and not is_of_pairs(array, samples):
            if doubts is not None and array not in finite:
                doubts.update((v.operands[0], None) for v in reachable([array]) if v.op == "exp" and v not in finite)
            yield array


def times_read(read: Value) -> float:
    """Return how many places a read has for each element of its array, at least; 0 if they may be fewer than these."""
    elements, places = (Counter(axis.size for axis in axes) for axes in (read.operands[0].axes, read.axes))
    elements, places = elements - places, places - elements
    if any(size.terms for size in elements):
        return 0
    ratio = _known(places) / max(_known(elements), 1)
    further = any(size.terms for size in places)
    return 0 if ratio < 1 else ratio + further


class Tables(NamedTuple):
    """Which arrays are tables of parameters that samples look up.

    Parameters
    ----------
    few : set of Size
        The lengths that parameters alone have: typically, there are fewer rows than samples.
    samples : set of Size
        The numbers of samples.
    sizes : mapping of str to int
        Those of a call, if they are known.
    most : int
        Numbers that a whole may have in that call.
    """

    few: set[Size]
    samples: set[Size]
    sizes: Mapping[str, int]
    most: int

    @staticmethod
    def of(graph: Graph, sizes: Mapping[str, int] = NO_SIZES) -> Tables:
        """Return what there is to say of the lengths of a graph."""
        given = {size for i in graph.inputs.values() if i.role != "parameter" for size in i.shape}
        own = {size for i in graph.inputs.values() if i.role == "parameter" for size in i.shape if size.terms}
        return Tables(own - given, sample_sizes(graph), sizes, _most(graph, sizes) if sizes else 0)

    def times(self, read: Value) -> float:
        """Return how often each element of an array is read; 0 if that is not known, or not often."""
        return times_read(read) or self.times_looked_up(read) or self._times_counted(read.operands[0], read.axes)

    def _times_counted(self, array: Value, places: Iterable[Axis]) -> float:
        """Return how often each element of an array is read in the call; 0 if it is not to be computed whole."""
        if not self.sizes:
            return 0
        count, read = (_number((axis.size for axis in axes), self.sizes) for axes in (array.axes, places))
        if not 0 < OFTEN * count <= read or count > self.most:
            return 0
        saved = _operations(array, self.sizes) / count * (1 - count / read)
        return read / count if saved > READING else 0

    def times_looked_up(self, read: Value) -> float:
        """Return how often samples look up each element of functions of a table, typically; 0 if that is not known."""
        array, *indices = read.operands
        rows = {a: i for a, i in zip(array.axes, indices, strict=True) if i.op != "iota"}
        by = {axis for index in rows.values() for axis in index.axes}
        own = Counter(axis.size for axis in array.axes if axis not in rows)
        known = all(axis.size in self.few and self._is_of_samples(index) for axis, index in rows.items())
        if not known or len(rows) > len(by) or own != Counter(axis.size for axis in read.axes if axis not in by):
            return 0
        if self.sizes and are_seldom(array, read, self.sizes):
            return 0
        return TYPICAL if any(map(_is_function, reachable([array]))) else 0

    def looked_up(self, wholes: Mapping[Value, Value], axis: Axis, index: Value) -> list[Value]:
        """Return the values that samples look up in tables; none if there are no functions among them.

        The wholes of which they are parts have an axis where the values have an index.
        """
        found = [value for value, whole in wholes.items() if not any(a in whole.axes for a in index.axes)]
        often = [v for v in found if not (self.sizes and are_seldom(wholes[v], v, self.sizes))]
        if axis.size in self.few and self._is_of_samples(index) and any(map(_is_function, often)):
            return often
        return [value for value in found if self._times_counted(wholes[value], value.axes)]

    def _is_of_samples(self, index: Value) -> bool:
        """Return whether an index is a label of each sample: not one of the few that a batch picks by their numbers."""
        own = index.op == "input" or (index.op == "read" and all(i.op == "iota" for i in index.operands[1:]))
        return own and any(axis.size in self.samples for axis in index.axes)


def lookups(graph: Graph, sizes: Mapping[str, int], *, computed: bool = False) -> list[tuple[list[Size], list[Size]]]:
    """Return the sizes of the arrays of which data pick more elements than there are, and those of what is picked.

    Parameters
    ----------
    graph : Graph
        The graph.
    sizes : mapping of str to int
        Those of a call.
    computed : bool
        Whether arguments of the call do not count.
    """
    reads = [v for v in graph.order() if v.op == "read" and any(i.op in ("input", "read") for i in v.operands[1:])]
    reads = [v for v in reads if not (computed and v.operands[0].op in LEAVES)]
    found = [([a.size for a in v.operands[0].axes], [a.size for a in v.axes]) for v in reads]
    return [pair for pair in found if are_often(graph, *pair, sizes)]


def seldom_looked_up(graph: Graph, sizes: Mapping[str, int]) -> list[tuple[Value, Value]]:
    """Return the functions of tables that are more than what samples look up in a call, each with what is looked up.

    Parameters
    ----------
    graph : Graph
        The graph, made for calls of which no sizes are known.
    sizes : mapping of str to int
        Those of the call.
    """
    tables = Tables.of(graph)
    reads = [v for v in graph.order() if v.op == "read" and v.operands[0].op not in LEAVES]
    found = [(read.operands[0], read) for read in reads if tables.times_looked_up(read)]
    return [pair for pair in found if are_seldom(*pair, sizes)]


def are_seldom(array: Value, picked: Value, sizes: Mapping[str, int]) -> bool:
    """Return whether less is picked of an array than there is, and none of it is a sum over the rows of the table."""
    elements, places = ([axis.size for axis in each.axes] for each in (array, picked))
    rows = {*elements}.difference(places)
    sums = (v.attr if v.op in REDUCTIONS else (v.attr.axis,) for v in reachable([array]) if v.op in OVER)
    return _number(places, sizes) < _number(elements, sizes) and rows.isdisjoint(a.size for axes in sums for a in axes)


def are_often(graph: Graph, elements: Iterable[Size], places: Iterable[Size], sizes: Mapping[str, int]) -> bool:
    """Return whether there are so many places for each element that an array may be computed whole."""
    count = _number(elements, sizes)
    return OFTEN * count <= _number(places, sizes) and count <= _most(graph, sizes)


def _most(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Return the numbers that a whole may have: as many as the arguments of the call."""
    return sum(_number(given.shape, sizes) for given in graph.inputs.values())


def _number(axes: Iterable[Size], sizes: Mapping[str, int]) -> int:
    """Return the number of elements that there are along axes of these sizes."""
    return prod(size.evaluate(sizes) for size in axes)


def _operations(array: Value, sizes: Mapping[str, int]) -> int:
    """Return the number of operations that all of an array takes."""
    made = [v for v in reachable([array]) if v.kind == "real" and v.op not in LEAVES]
    steps = (v.operands[0].axes if v.op in REDUCTIONS else v.axes for v in made)
    costs = (FUNCTION if _is_function(v) else 1 for v in made)
    return sum(c * _number((axis.size for axis in axes), sizes) for c, axes in zip(costs, steps, strict=True))


def _is_function(value: Value) -> bool:
    """Return whether an operation is one such as exp: what takes longer than arithmetic."""
    few_products = value.op == "pow" and value.operands[1].kind == "int"
    return value.kind == "real" and value.op not in (*CHEAP, *LINEAR) and not few_products


def _known(sizes: Counter[Size]) -> int:
    """Return the product of the sizes that are numbers."""
    return prod(size.constant for size in sizes.elements() if not size.terms)


def _taken_anyway(roots: Iterable[Value], kept: Container[Value]) -> set[Value]:
    """Return what the objective takes all elements of, outside of branches."""
    stack, seen = [*roots], set[Value]()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.op == "select":
            stack.append(value.operands[0])
        elif value.op == "read" and not is_renaming(value) and value.operands[0] not in kept:
            stack.extend(value.operands[1:])
        else:
            stack.extend(value.operands)
    return seen


def _made_of(order: Iterable[Value], parts: Container[Value]) -> set[Value]:
    """Return the values that some of the parts go into."""
    found: set[Value] = set()
    for value in order:
        if value in parts or any(o in found for o in value.operands):
            found.add(value)
    return found


def finite_values(order: Iterable[Value], anyway: Container[Value] = (), *, exponentials: bool = False) -> set[Value]:
    """Return the values that are finite, derivatives included, where inputs are, and what is taken anyway.

    With `exponentials`, these are taken to be finite.
    """
    found: set[Value] = set()
    for value in order:
        given = value in anyway or value.kind != "real" or value.op in LEAVES
        keeps = _keeps_finite(value) or (exponentials and value.op == "exp")
        if given or (keeps and all(o in found for o in value.operands)):
            found.add(value)
    return found


def _keeps_finite(value: Value) -> bool:
    """Return whether an operation and its derivatives are finite wherever its operands are."""
    if value.op in ("div", "pow"):
        number = _beneath(value.operands[1], "real")
        whole = number.op == "const" and number.kind == "int" and number.attr > 0
        number = _beneath(number, "real", "sqrt")
        given = number.op in ("size", "const") and not number.is_const(0)
        return whole or (value.op == "div" and (given or _is_from_1_on(number)))
    if value.op in ("log", "logtotal"):
        return _is_from_1_on(value.operands[0])
    if value.op == "sqrt":
        number = _beneath(value, "sqrt", "real")
        return number.op == "size" or (number.op == "const" and number.attr > 0)
    if value.op == "exp":
        return _is_below_largest(value)
    return value.op in LINEAR or value.op in BOUNDED or value.op in ("read", "select")


def _beneath(value: Value, *functions: str) -> Value:
    """Return what functions are taken of."""
    while value.op in functions:
        value = value.operands[0]
    return value


def _is_below_largest(exponential: Value) -> bool:
    """Return whether an exponential is exp(u - max(u))."""
    exponent = exponential.operands[0]
    if exponential.op != "exp" or exponent.op != "sub":
        return False
    u, top = exponent.operands[0], _beneath(exponent.operands[1], "detach", "finite")
    return top.op == "max" and top.operands[0] is u


def _is_from_1_on(total: Value) -> bool:
    """Return whether a value is a sum of exponentials one of which is 1."""
    if total.op != "sum" or not _is_below_largest(total.operands[0]):
        return False
    top = _beneath(total.operands[0].operands[0].operands[1], "detach", "finite")
    return set(top.attr) <= set(total.attr)
