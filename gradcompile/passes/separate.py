"""Sums of several products of matrices: ``Σ_k (a[i, k]*b[k, j] + c[i, k]*d[k, j])`` is a product and another one.

So a convolution is written, and whatever takes up two inputs at once. As one sum, it would be in loops of our own,
where BLAS computes each product. A term that is no such product has a sum of its own as well, if that has fewer terms.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import reduce
from math import prod
from operator import add

from gradcompile.ir import Axis, Graph, Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.uses import Uses, rewrite_sums

FEW = 8  # rows, columns or terms of a known number that are no matrix for BLAS


def separate(graph: Graph) -> Graph:
    """Return the graph with sums of products of matrices taken apart."""
    return rewrite_sums(graph, _apart)


def _apart(total: Value, uses: Uses) -> Value:
    (body,) = total.operands
    terms = _terms(body, uses.own) if body.op in ("add", "sub") else []
    products = [term for term in terms if _is_product(term, total.attr)]
    rest = [term for term in terms if term not in products]
    if not products or any(len(term.axes) == len(body.axes) for term in rest):
        return total
    return reduce(add, [total.builder.reduce("sum", term, total.attr) for term in terms])


def _terms(value: Value, own: Container[Value]) -> list[Value]:
    """Return what a value is the sum of; what has another use is one term."""
    if value not in own or value.op not in ("add", "sub", "neg"):
        return [value]
    terms = [_terms(operand, own) for operand in value.operands]
    if value.op != "add":
        terms[-1] = [negated(term) for term in terms[-1]]
    return [term for each in terms for term in each]


def _is_product(term: Value, inner: tuple[Axis, ...]) -> bool:
    """Return whether a sum over a term is a product of matrices, as far as its sizes are known."""
    product = term.operands[0] if term.op == "neg" else term
    if product.op != "mul":
        return False
    left, right = product.operands
    rows = [axis for axis in left.axes if axis not in right.axes]
    columns = [axis for axis in right.axes if axis not in left.axes]
    shared = all(axis in one.axes for axis in inner for one in (left, right))
    return shared and all(map(_is_long, (rows, columns, inner)))


def _is_long(axes: Sequence[Axis]) -> bool:
    """Return whether a matrix may have so many rows or columns that it is worth a call."""
    return any(axis.size.terms for axis in axes) or prod(axis.size.constant for axis in axes) >= FEW
