"""Products of an inverse and of what is itself a product of thinner matrices: from the inverse outwards.

What comes back at the inverse in ``log(det(X.T*K.I*X)) + y.T*K.I*y`` is ``X*C.T + y*y.T``, and the slope by K is the
inverse times that times the inverse: two products of N by N matrices. As ``(K.I*X)*C.T`` it is products with the few
columns of X. If X has more columns than rows, that takes at most twice as long, for ``X*C.T`` is not computed then.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import mul

from gradcompile.ir import Axis, Graph, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.factor import factors_of
from gradcompile.passes.share import is_renaming
from gradcompile.passes.uses import Uses, rewrite_sums
from gradcompile.substitution import substitute


def thin(graph: Graph) -> Graph:
    """Return the graph with products of an inverse and of products of other matrices taken the other way round."""
    return rewrite_sums(graph, _outwards) if any(v.op == "inverse" for v in graph.order()) else graph


def _outwards(total: Value, uses: Uses) -> Value:
    (body,) = total.operands
    for inverse, other in (body.operands, body.operands[::-1]) if body.op == "mul" else ():
        if not _is_inverse(inverse) or not set(total.attr) <= set(inverse.axes):
            continue
        parts = [_part(inverse, term, total.attr) for term in _terms(_written_out(other, uses))]
        found = [part for part in parts if part is not None]
        if len(found) == len(parts):
            return reduce(lambda one, each: one + each, found)
    return total


def _is_inverse(value: Value) -> bool:
    return value.op == "inverse" or (is_renaming(value) and value.operands[0].op == "inverse")


def _written_out(value: Value, uses: Uses) -> Value:
    """Return a matrix that is used once as it is made, in place of a read of it."""
    if not is_renaming(value) or value not in uses.own or value.operands[0] not in uses.own:
        return value
    array, *indices = value.operands
    return substitute([array], dict(zip(array.axes, indices, strict=True)))[array]


def _terms(value: Value) -> Iterator[Value]:
    """Yield what a value is the sum of."""
    if value.op in ("add", "sub"):
        first, second = map(_terms, value.operands)
        yield from first
        yield from second if value.op == "add" else map(negated, second)
    else:
        yield value


def _part(inverse: Value, term: Value, axes: tuple[Axis, ...]) -> Value | None:
    """Return the sum of an inverse times a product of two matrices, the first one first; None if it is no such."""
    numbers, factors = _factors(term)
    inner: tuple[Axis, ...] = ()
    if len(factors) == 1 and factors[0].op == "sum":
        inner = factors[0].attr
        further, factors = _factors(factors[0].operands[0])
        numbers += further
    first = [each for each in factors if any(axis in each.axes for axis in axes)]
    second = [each for each in factors if each not in first]
    thinner = {axis for each in first for axis in each.axes} <= {*axes, *inner}
    column = all(axis in inner for each in second for axis in each.axes)  # what it is a product of is thinner still
    if not first or not second or not thinner or column or any(axis in inverse.axes for axis in inner):
        return None
    found = inverse.builder.reduce("sum", inverse * reduce(mul, first), axes)
    return reduce(mul, [*numbers, inverse.builder.reduce("sum", reduce(mul, [*second, found]), inner)])


def _factors(value: Value) -> tuple[list[Value], list[Value]]:
    """Return the factors of a product that are numbers, and the others."""
    negative = value.op == "neg"
    factors, divisors = factors_of(value.operands[0] if negative else value)
    factors += [1 / each for each in divisors]
    numbers = [value.builder.const(-1)] if negative else []
    return numbers + [each for each in factors if not each.axes], [each for each in factors if each.axes]
