"""Indices that are affine in those of axes, as ``t + 2*k + 1`` is: what they are, and how they are written shortest."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from operator import add, sub

from gradcompile.ir import Axis, Size, Value

Affine = tuple[dict[Axis, int], Size]  # factors of axes, and what is added
DEEPEST = 64  # operations of an index; a count of thousands is none


def affine(index: Value, depth: int = DEEPEST) -> Affine | None:
    """Return an index as factors of axes and a rest, or None if it depends on data."""
    if index.op == "const" and isinstance(index.attr, int):
        return {}, Size((), index.attr)
    if index.op == "size":
        return {}, index.attr
    if index.op == "iota":
        return {index.attr: 1}, Size()
    if not depth or index.op not in ("add", "sub", "neg", "mul"):
        return None
    known = list[Affine]()
    for operand in reversed(index.operands):  # a sum of many terms is deep on its left
        if (part := affine(operand, depth - 1)) is None:
            return None
        known.insert(0, part)
    if index.op == "mul":
        return _product(*known)
    first, rest = (known[0], known[1:]) if len(known) == 2 else (({}, Size()), known)
    return _sum(first, rest[0], 1 if index.op == "add" else -1)


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
