"""Indices that are affine in those of axes, as ``t + 2*k + 1`` is: what they are, and how they are written shortest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from operator import add, sub

from gradcompile.ir import Axis, Size, Value

Affine = tuple[dict[Axis, int], Size]  # factors of axes, and what is added
LINEAR = ("add", "sub", "neg", "mul")
DEEPEST = 64  # operations of an index; a count of thousands is none


def affine(index: Value, depth: int = DEEPEST) -> Affine | None:
    """Return an index as factors of axes and a rest, or None if it depends on data."""
    if (leaf := _leaf(index)) is not None:
        return leaf
    if not depth or index.op not in LINEAR:
        return None
    known = list[Affine]()
    for operand in reversed(index.operands):  # a sum of many terms is deep on its left
        if (part := affine(operand, depth - 1)) is None:
            return None
        known.insert(0, part)
    return _combined(index, known)


def affine_forms(order: Iterable[Value]) -> dict[Value, Affine | None]:
    """Return what `affine` does of many values, however deep: operands come before what is made of them."""
    forms: dict[Value, Affine | None] = {}
    for value in order:
        parts = [part for o in value.operands if (part := forms[o]) is not None]
        linear = value.op in LINEAR and len(parts) == len(value.operands)
        forms[value] = _combined(value, parts) if linear else _leaf(value)
    return forms


def extremes(index: Affine) -> tuple[Size, Size]:
    """Return the smallest and the largest number that an index is over the whole of its axes."""
    low = high = index[1]
    for axis, factor in index[0].items():
        span = (axis.size - 1) * factor
        low, high = (low, high + span) if factor > 0 else (low + span, high)
    return low, high


def _leaf(value: Value) -> Affine | None:
    if value.op == "const" and isinstance(value.attr, int):
        return {}, Size((), value.attr)
    if value.op == "size":
        return {}, value.attr
    return ({value.attr: 1}, Size()) if value.op == "iota" else None


def _combined(value: Value, parts: list[Affine]) -> Affine | None:
    if value.op == "mul":
        return _product(*parts)
    first, rest = (parts[0], parts[1:]) if len(parts) == 2 else (({}, Size()), parts)
    return _sum(first, rest[0], 1 if value.op == "add" else -1)


def _sum(a: Affine, b: Affine, sign: int) -> Affine:
    factors = Counter(a[0])
    for axis, factor in b[0].items():
        factors[axis] += sign * factor
    return {axis: factor for axis, factor in factors.items() if factor}, a[1] + b[1] * sign


def _product(a: Affine, b: Affine) -> Affine | None:
    for (factors, rest), (others, number) in ((a, b), (b, a)):
        if not others and not number.terms:
            return {x: f * number.constant for x, f in factors.items() if number.constant}, rest * number.constant
    return None


def written(index: Value) -> Value:
    """Return an index as a sum of multiples of indices of axes and a number; as it is if it depends on data."""
    found = affine(index)
    if found is None:
        return index
    (factors, rest), builder = found, index.builder
    terms = [(builder.iota(axis), factor) for axis, factor in factors.items()]
    added = [term if factor == 1 else term * factor for term, factor in terms if factor > 0]
    taken = [term if factor == -1 else term * -factor for term, factor in terms if factor < 0]
    if rest != Size() or not added:
        added.append(builder.size(rest))
    return reduce(sub, taken, reduce(add, added))
