"""Outer products in slopes of inverses: two products of a matrix and a vector for two products of matrices.

What comes back at the inverse in ``y.T*K.I*y`` is ``y[i]*y[j]``, and the slope by K is ``-A.T*(y*y.T)*A.T`` with
A = K.I. Where that product reads it, ``y[i]*y[j]`` is two reads of y; each sum needs one of them, the other is a factor
of the sum: ``-(A.T*y)*(A*y).T``. So it is with whatever an inverse is multiplied by on both sides.
"""

from __future__ import annotations

from functools import reduce
from operator import mul

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, Graph, Value
from gradcompile.passes.share import is_renaming
from gradcompile.substitution import moved


def outer(graph: Graph) -> Graph:
    """Return the graph with outer products that are read as products of what is read, and out of sums."""
    if not any(value.op in MATRIX_FUNCTIONS for value in graph.order()):
        return graph
    apart: set[Value] = set()  # the products that were made of reads

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "sum":
            return _taken_out(operands[0], value, apart)
        if value.op != "read" or not _is_product(operands[0]):
            return None
        found = _read_apart(value.builder.rebuild(value, operands))
        apart.update([] if found is None else [found])
        return found

    return graph.rewrite(rule)


def _read_apart(read: Value) -> Value | None:
    """Return a read of an outer product as a product of reads; None if that is none, or is read in another way."""
    array, *indices = read.operands
    factors = _factors(array)
    if not is_renaming(read) or any(len(factor.axes) == len(array.axes) for factor in factors):
        return None
    index = dict(zip(array.axes, indices, strict=True))

    def at(factor: Value) -> Value:
        if factor.op in LEAVES or factor.op == "read":
            return moved(factor, index)
        return factor.builder.read(factor, [index[axis] for axis in factor.axes]) if factor.axes else factor

    return reduce(mul, map(at, factors))


def _taken_out(body: Value, total: Value, apart: set[Value]) -> Value | None:
    """Return a sum of products with the factors outside that are the same for all; None if none was read apart."""
    if not any(part in apart for part in _parts(body)):
        return None
    factors = _factors(body)
    inside = [factor for factor in factors if any(axis in factor.axes for axis in total.attr)]
    outside = [factor for factor in factors if factor not in inside]
    if not inside or not outside:
        return None
    return reduce(mul, outside) * total.builder.reduce("sum", reduce(mul, inside), total.attr)


def _is_product(value: Value) -> bool:
    """Return whether a value is a product, also one that is divided by a number."""
    return value.op in ("mul", "neg") or (value.op == "div" and not value.operands[1].axes)


def _parts(product: Value) -> list[Value]:
    """Return a product, the products that it is made of, and their factors."""
    parts, waiting = list[Value](), [product]
    while waiting:
        part = waiting.pop()
        parts.append(part)
        if _is_product(part):
            waiting.extend(part.operands[:1] if part.op == "div" else reversed(part.operands))
    return parts


def _factors(product: Value) -> list[Value]:
    """Return the factors of a product, -1 for each change of its sign, and what it is divided by as a factor."""
    parts = _parts(product)
    numbers = [_number(part) for part in parts if part.op in ("neg", "div") and _is_product(part)]
    return [*numbers, *(part for part in parts if not _is_product(part))]


def _number(part: Value) -> Value:
    """Return what a sign or a division multiplies by."""
    return part.builder.const(-1) if part.op == "neg" else 1 / part.operands[1]
