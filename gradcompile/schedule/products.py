"""Products of matrices: sums that BLAS computes faster than loops of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradcompile.ir import Axis, Value
from gradcompile.passes.share import is_renaming

SMALL = 8  # the size, where it is a number, below which a matrix is too narrow to be worth a call
SAMPLES = 128  # that a block has at least if there are products: on fewer, BLAS is slow


@dataclass(frozen=True)
class Factors:
    """A sum as a product of two matrices.

    Parameters
    ----------
    left, right : Value
        The matrices, two axes each.
    inner : Axis
        The axis that both have and over which is summed.
    sign : int
        -1 where the product is taken away.
    """

    left: Value
    right: Value
    inner: Axis
    sign: int

    @property
    def rows(self) -> Axis:
        """The axis of the result that the left matrix brings."""
        return next(axis for axis in self.left.axes if axis != self.inner)

    @property
    def columns(self) -> Axis:
        """The axis of the result that the right matrix brings."""
        return next(axis for axis in self.right.axes if axis != self.inner)


def products(terms: Iterable[Value], uses: Mapping[Value, int], sample: Axis) -> dict[Value, Factors]:
    """Return which of the sums are products of matrices, with the samples along one axis or summed over.

    Parameters
    ----------
    terms : iterable of Value
        The sums.
    uses : mapping
        How often each value is used: what is summed must be used for nothing else.
    sample : Axis
        The axis of the samples.
    """
    found = ((term, _factors(term, uses, sample)) for term in terms)
    return {term: factors for term, factors in found if factors is not None}


def _factors(term: Value, uses: Mapping[Value, int], sample: Axis) -> Factors | None:
    if term.op != "sum" or len(term.attr) != 1:
        return None
    body, sign = term.operands[0], 1
    if body.op == "neg" and uses[body] == 1:
        body, sign = body.operands[0], -1
    if body.op != "mul" or uses[body] > 1 or sample not in body.axes or len(body.axes) != 3:
        return None
    left, right = body.operands
    inner = term.attr[0]
    matrices = all(len(o.axes) == 2 and inner in o.axes and _is_matrix(o) for o in (left, right))
    wide = all(axis == sample or axis.size.terms or axis.size.constant >= SMALL for axis in body.axes)
    if not matrices or not wide:
        return None
    factors = Factors(left, right, inner, sign)
    return factors if sample in (factors.rows, inner) else Factors(right, left, inner, sign)


def _is_matrix(value: Value) -> bool:
    """Return whether a value can be an array of the model's type: given, or computed, or one of these renamed."""
    if value.op == "read":
        array, *indices = value.operands
        picked = array.op == "input" and any(i.op in ("input", "read") for i in indices)
        return value.kind == "real" and (picked or is_renaming(value))
    return value.kind == "real" and value.op not in ("const", "size", "iota", "real")
