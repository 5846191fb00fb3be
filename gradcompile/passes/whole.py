"""Wholes: when to compute all of an array that data indices read, and not only what they read.

``h[nb[n, k]]`` takes K elements for each of N: computing the N of them once, and then reading, costs a K-th. Whether
there are more places than elements must follow from the sizes as they are written. Of a table of a vocabulary, of which
a batch reads a few rows, only these are computed.

An element that no index takes is computed then, too, and what comes back to it is 0. So it must have a finite
derivative wherever its operands are finite, or be part of what the objective takes anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from math import prod

from gradcompile.ir import LEAVES, Graph, Size, Value
from gradcompile.passes.factor import used_bare
from gradcompile.passes.share import costly, is_of_pairs, is_renaming, sample_sizes

LINEAR = ("add", "sub", "mul", "neg", "real", "sum", "max", "min", "maximum", "minimum", "abs")
BOUNDED = ("tanh", "sigmoid", "softplus", "logcosh", "atan", "sin", "cos", "erf", "erfc", "asinh", "sech")


def worth_computing(graph: Graph, kept: Container[Value]) -> Iterator[Value]:
    """Yield the arrays that cost less than what is read of them; `kept` are those that are computed in any case."""
    order = graph.order()
    reads = [v for v in order if v.op == "read" and v.operands[0].op not in LEAVES and not is_renaming(v)]
    often = {read: times for read in reads if read.operands[0] not in kept and (times := times_read(read))}
    if not often:
        return
    dear, bare, samples = costly(order), used_bare(graph.outputs.values()), sample_sizes(graph)
    anyway = _taken_anyway(graph.outputs.values(), kept)
    finite, shared = finite_values(order, anyway), _made_of(order, anyway & dear)
    for read, times in often.items():
        array = read.operands[0]
        worth = read in bare and array in dear and (times > 1 or array in shared)
        if worth and array in finite and not is_of_pairs(array, samples):
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


def finite_values(order: Iterable[Value], anyway: Container[Value] = ()) -> set[Value]:
    """Return the values that are finite, derivatives included, where inputs are, and what is taken anyway."""
    found: set[Value] = set()
    for value in order:
        given = value in anyway or value.kind == "int" or value.op in LEAVES
        if given or (_keeps_finite(value) and all(o in found for o in value.operands)):
            found.add(value)
    return found


def _keeps_finite(value: Value) -> bool:
    """Return whether an operation and its derivatives are finite wherever its operands are."""
    if value.op in ("div", "pow"):
        number = value.operands[1]
        while number.op == "real":
            number = number.operands[0]
        whole = number.op == "const" and number.kind == "int" and number.attr > 0
        return whole or (value.op == "div" and number.op in ("size", "const") and not number.is_const(0))
    return value.op in LINEAR or value.op in BOUNDED or value.op == "read"
