"""Which matrices are symmetric as they are written: a covariance ``exp(-(x[i] - x[j])**2)``, a product ``X.T*X``.

Each value gets a class twice, as it is and with rows and columns exchanged; the matrix is symmetric if its classes are
one. Factors of a product and terms of a sum of two may stand in any order, and ``a - b`` is ``-(b - a)``, which even
powers do not see. A matrix of which nothing is found out counts as another than its transpose.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from gradcompile.ir import COMMUTATIVE, REDUCTIONS, Axis, Value, reachable
from gradcompile.passes.factor import factors_of
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import substitute

EVEN = ("abs", "cos", "cosh", "sech", "logcosh")
Class = tuple[int, int]  # its number, and the sign before it
Classes = dict[Hashable, int]


def is_symmetric(matrix: Value, row: Axis, column: Axis) -> bool:
    """Return whether a matrix is its own transpose, whatever it is made of."""
    whole, classes = _written_out(matrix), Classes()
    values = reachable([whole])
    one, other = (
        _classes(values, axes, classes)[whole] for axes in ({row: row, column: column}, {row: column, column: row})
    )
    return one == other


def _written_out(matrix: Value) -> Value:
    """Return a matrix that reads no arrays of what is computed element by element, but has what they are made of."""
    new: dict[Value, Value] = {}
    for value in reachable([matrix]):
        operands = tuple(new[operand] for operand in value.operands)
        array, indices = operands[:1], operands[1:]
        if value.op == "read" and array[0].op in PRIMITIVES and all(index.op == "iota" for index in indices):
            new[value] = substitute(array, dict(zip(array[0].axes, indices, strict=True)))[array[0]]
        else:
            new[value] = value.builder.rebuild(value, operands)
    return new[matrix]


def _classes(values: list[Value], axes: Mapping[Axis, Axis], classes: Classes) -> dict[Value, Class]:
    """Return the class of each value, with other axes in place of its own."""
    found: dict[Value, Class] = {}
    for value in values:
        key, sign = _key(value, axes, found)
        found[value] = classes.setdefault(key, len(classes)), sign
    return found


def _key(value: Value, axes: Mapping[Axis, Axis], found: Mapping[Value, Class]) -> tuple[Hashable, int]:
    """Return what tells the class of a value from others, and its sign."""
    op, operands = value.op, value.operands
    if not any(axis in axes for axis in value.axes):
        return value.number, 1
    if op in ("mul", "div"):
        return _product(value, found)
    if op in ("add", "sub"):
        return _sum(operands, found, sign=1 if op == "add" else -1)
    parts = [found[operand] for operand in operands]
    if op in ("neg", "real"):
        return ("same", op == "real", parts[0][0]), parts[0][1] * (-1 if op == "neg" else 1)
    if op in EVEN or (op == "pow" and _is_even(operands[1])):
        return (op, parts[0][0], *parts[1:]), 1
    if op in PRIMITIVES:
        return (op, *(sorted(parts) if op in COMMUTATIVE else parts)), 1
    if op in REDUCTIONS and not any(axis in axes for axis in value.attr):
        sign = parts[0][1] if op == "sum" else 1
        return (op, value.attr, parts[0][0], sign * parts[0][1]), sign
    if op == "iota":
        return _index(value, axes, found), 1
    if op == "read":
        return ("read", operands[0].number, *(_index(each, axes, found) for each in operands[1:])), 1
    return ("read", value.number, *(("index", axes.get(axis, axis)) for axis in value.axes)), 1


def _is_even(exponent: Value) -> bool:
    return exponent.op == "const" and isinstance(exponent.attr, int) and exponent.attr % 2 == 0


def _index(value: Value, axes: Mapping[Axis, Axis], found: Mapping[Value, Class]) -> Hashable:
    """Return what an array is read at: the index of an axis, or what is computed."""
    return ("index", axes.get(value.attr, value.attr)) if value.op == "iota" else found[value]


def _product(value: Value, found: Mapping[Value, Class]) -> tuple[Hashable, int]:
    factors, divisors = ([found[each] for each in part] for part in factors_of(value))
    sign = 1
    for _, own in (*factors, *divisors):
        sign *= own
    return ("product", *(tuple(sorted(number for number, _ in part)) for part in (factors, divisors))), sign


def _sum(terms: tuple[Value, ...], found: Mapping[Value, Class], sign: int) -> tuple[Hashable, int]:
    one, (number, own) = found[terms[0]], found[terms[1]]
    first, second = sorted([one, (number, own * sign)])
    return ("sum", first[0], (second[0], first[1] * second[1])), first[1]
