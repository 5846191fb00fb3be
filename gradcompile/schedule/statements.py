"""Statements: what computes each value that is made, and what they read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gradcompile.ir import LEAVES, REDUCTIONS, Axis, Value, reachable
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.nodes import Course, Define, Product, Result, Statement, Update, loop_axes, total_of
from gradcompile.schedule.products import Factors
from gradcompile.schedule.samples import Samples
from gradcompile.schedule.sums import Signed

Plain = Define | Update | Result  # a statement that is printed as loops


class Statements:
    """The statements of a program.

    Parameters
    ----------
    sums : mapping of Value to (Value or None, list of Signed)
        What a sum starts from, and the terms that are added to it.
    products : mapping of Value to Factors
        The terms that are products of matrices.
    samples : Samples
        The samples, and how often they are passed.
    copies : sequence of Result
        The outputs that are filled from values.

    Attributes
    ----------
    made : dict of Value to None
        The values that get statements, in order; all others are written where they are used.
    packed : dict of Value to None
        Data of which a block has a copy of its own; they are among what is made.
    """

    def __init__(
        self,
        sums: Mapping[Value, tuple[Value | None, list[Signed]]],
        products: Mapping[Value, Factors],
        samples: Samples,
        copies: Sequence[Result],
    ) -> None:
        self.sums, self.products, self.samples, self.copies = sums, products, samples, copies
        self.made: dict[Value, None] = {}
        self.packed: dict[Value, None] = {}

    def pack(self, data: dict[Value, None]) -> None:
        """Copy data, a block at a time: after what they are read of, and at, where that has statements."""
        self.packed |= data
        first: dict[Value, None] = {}
        later: dict[Value, list[Value]] = {}  # what is copied after a value
        for value in data:
            needed = {v for v in reachable(value.operands) if v in self.made}
            if any(v.kind != "int" for v in needed):
                later.setdefault([v for v in self.made if v in needed][-1], []).append(value)
            else:
                first |= dict.fromkeys(v for v in self.made if v in needed)
                first[value] = None
        order = [v for made in self.made for v in (made, *later.get(made, ()))]
        self.made = first | dict.fromkeys(order)

    def of(self, value: Value) -> list[Define | Update | Product]:
        """Return the statements that compute a value from its start."""
        if value in self.sums:
            return [self._update(value, term, sign) for term, sign in self.sums[value][1]]
        if value.op == "running":
            return [Course(value, value, total_of(value))]
        if value.op == "total":
            return []  # it is added up where the running sum is made
        return [self._update(value, value, 1) if value.op in (*REDUCTIONS, "accumulate") else Define(value, value)]

    def _update(self, value: Value, term: Value, sign: int) -> Update | Product:
        factors = self.products.get(term)
        return Update(value, term, sign) if factors is None else Product(value, term, factors, sign * factors.sign)

    def base(self, value: Value) -> Value | None:
        """Return what a sum starts from, if that is not nothing."""
        return self.sums[value][0] if value in self.sums else None

    def spans(self, value: Value) -> bool:
        """Return whether the statement of a value runs over the samples and leaves none of them."""
        terms = [term for term, _ in self.sums[value][1]] if value in self.sums else [value]
        return any(self.samples.crosses(term) for term in terms)

    def passing(self) -> Iterator[Plain]:
        """Yield the statements that run over samples, but for products: BLAS takes data as they lie."""
        for value in self.made:
            if self.samples.streamed(value) or self.spans(value):
                yield from (s for s in self.of(value) if not isinstance(s, Product))
            base = self.base(value)
            if base is not None:
                yield Define(value, base)
        yield from self.copies

    def reads(self, operands: Iterable[Value]) -> list[tuple[Value, Value | None]]:
        """Return (made value, the read through which it is used or None) for all that expressions use."""
        found: list[tuple[Value, Value | None]] = []
        stack = list(operands)
        while stack:
            value = stack.pop()
            if value in self.made:
                found.append((value, None))
            elif value.op == "read" and value.operands[0] in self.made:
                found += [] if self.passes_by_copy(value) else [(value.operands[0], value)]
                stack.extend(value.operands[1:])
            else:
                stack.extend(value.operands)
        return found

    def passes_by_copy(self, value: Value) -> bool:
        """Return whether a read takes data as they lie, though the block at hand has a copy of its own samples."""
        return value.op == "read" and value.operands[0] in self.packed and not self.samples.reads_own(value)


def axes_of(statement: Statement) -> tuple[Axis, ...]:
    """Return the axes of the loops that a statement stands in."""
    if isinstance(statement, Result):
        return statement.axes
    return loop_axes(statement.target if isinstance(statement, Define) else statement.term)


def is_recomputed(value: Value) -> bool:
    """Return whether a value is cheaper to compute again than to keep: a comparison, a read, an index, one step."""
    if value.op == "read":
        return value.operands[0].op == "input"
    if value.op == "real":
        return value.operands[0].op == "iota"
    if value.op in ("add", "sub", "mul"):
        return all(o.op in (*LEAVES, "read") for o in value.operands)
    return value.op == "neg" or (value.kind == "bool" and value.op in PRIMITIVES)
