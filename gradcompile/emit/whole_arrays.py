"""Expressions of whole arrays in NumPy's notation: axes aligned by name, sums of products as contractions.

Every value has a layout, the order of its axes as dimensions. It follows one order of all axes, taken from how the
inputs are declared, so that most operands stand in line and need neither a transposition nor a new axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradcompile.emit.expression import (
    ANY,
    ATOM,
    MATMUL,
    MUL,
    POW,
    UNARY,
    Printer,
    Text,
    number,
    parenthesised,
    template,
)
from gradcompile.emit.indexing import Axes, Subscript, subscript
from gradcompile.emit.names import Names
from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value
from gradcompile.primitives import PRIMITIVES

LETTERS = "ijklmnopqrstuvwxyzabcdefgh"
RUNNING = {  # by what runs, whether it runs backward, and whether an element is part of it at its own index
    ("sum", False, False): "sums_before",
    ("sum", False, True): "np.cumsum",
    ("sum", True, False): "sums_after",
    ("sum", True, True): "sums_from",
    ("prod", False, False): "products_before",
    ("prod", True, False): "products_after",
    ("linear", False, False): "recurrence_before",
    ("linear", True, False): "recurrence_after",
}
LINALG = {
    "inverse": "np.linalg.inv",
    "determinant": "np.linalg.det",
    "logdet": "logdet",
    "cholesky": "np.linalg.cholesky",
}


def axis_order(graph: Graph) -> list[Axis]:
    """Return all axes in one order: that of the inputs' dimensions and of indices, the samples first."""
    votes: dict[tuple[Axis, Axis], int] = {}
    seen: dict[Axis, None] = {} if graph.sample is None else {graph.sample: None}

    def vote(row: Sequence[Axis]) -> None:
        for k, first in enumerate(row):
            for second in row[k + 1 :]:
                votes[first, second] = votes.get((first, second), 0) + 1

    for value in graph.order():
        row = [i.attr for i in value.operands[1:] if i.op == "iota"] if value.op == "read" else list(value.axes)
        row = list(value.attr) if value.op in MATRIX_FUNCTIONS else row
        seen.update(dict.fromkeys((*value.axes, *(row if value.op in MATRIX_FUNCTIONS else ()))))
        if value.op in ("read", "input", *MATRIX_FUNCTIONS):
            vote(row)
    for name, axes in graph.axes.items():
        if name in graph.outputs and name != "value":  # a gradient under other axes than those of its parameter
            vote([axis for axis in axes if axis in seen])
    return _ranked(list(seen), votes)


def _ranked(axes: list[Axis], votes: dict[tuple[Axis, Axis], int]) -> list[Axis]:
    order: list[Axis] = []
    while axes:
        free = [a for a in axes if not any(votes.get((b, a), 0) > votes.get((a, b), 0) for b in axes if b != a)]
        order.append((free or axes)[0])
        axes.remove(order[-1])
    return order


@dataclass
class Group:
    """Factors of a product that are multiplied before they are contracted."""

    factors: list[Value]
    axes: Axes


class ArrayPrinter:
    """Prints values as arrays.

    Parameters
    ----------
    graph : Graph
        Tells the order of axes.
    names : Names
        The module's identifiers.
    printer : Printer
        Of the target numpy: spells rows and collects support functions.
    dtype : {"float64", "float32"}
        Of real arrays.
    name_of : callable
        The identifier of a value that has a line of its own (or is an input), else None.
    """

    def __init__(
        self, graph: Graph, names: Names, printer: Printer, dtype: str, name_of: Callable[[Value], str | None]
    ) -> None:
        self.names, self.printer, self.dtype, self.name_of = names, printer, dtype, name_of
        self.rank = {axis: k for k, axis in enumerate(axis_order(graph))}
        self.layouts: dict[Value, Axes] = {}

    # Layout

    def ranked(self, axes: Iterable[Axis]) -> Axes:
        """Return axes in the one order of all axes."""
        return tuple(sorted(axes, key=lambda a: self.rank.setdefault(a, len(self.rank))))

    def layout(self, value: Value) -> Axes:
        """Return the dimensions of a value that has a name."""
        if value.op in ("input", "accumulate"):
            return self.layouts.get(value, value.axes)
        return self.layouts.get(value) or self.ranked(value.axes)

    def aligned(self, text: Text, own: Axes, wanted: Axes) -> Text:
        """Return an array with dimensions `own` so that it broadcasts against dimensions `wanted`."""
        order = [a for a in wanted if a in own]
        if list(own) != order:
            text = self._transposed(text, own, order), ATOM
        shown = ["None" if a not in own else ":" for a in wanted]
        while shown and shown[0] == "None":
            shown.pop(0)
        if "None" not in shown:
            return text
        return f"{parenthesised(text, ATOM)}[{', '.join(shown)}]", ATOM

    def _transposed(self, text: Text, own: Axes, order: list[Axis]) -> str:
        base = parenthesised(text, ATOM)
        if len(own) == 2:
            return base.removesuffix(".T") if base.endswith(".T") else f"{base}.T"
        return f"{base}.transpose({', '.join(str(own.index(a)) for a in order)})"

    # Expressions

    def __call__(self, value: Value, wanted: Axes, need: int = ANY) -> str:
        """Return a value as text that broadcasts against `wanted`."""
        return parenthesised(self.text(value, wanted), need)

    def added(self, value: Value, places: Axes, need: int = ANY) -> str:
        """Return what `np.add.at` adds at places along some axes.

        It is never one row for several rows of places: NumPy takes such a row for one as long as all places together,
        and reads beyond its end.
        """
        if len(places) > 1 and value.axes == places[-1:]:
            return f"{self(value, places, ATOM)}[None]"
        return self(value, places, need)

    def text(self, value: Value, wanted: Axes, *, whole: bool = False) -> Text:
        """Return a value and its precedence; with `whole`, its own operation even if it has a name."""
        name = None if whole else self.name_of(value)
        if name is not None:
            return self.aligned((name, ATOM), self.layout(value), wanted)
        if value.op in PRIMITIVES:
            return self._row(value, wanted)
        if value.op == "const":
            return number(value.attr, "np")
        if value.op == "size":
            return self.printer.operation(value, [])
        if value.op == "iota":
            return self.aligned((f"np.arange({self.names.size(value.attr.size)})", ATOM), value.axes, wanted)
        if value.op == "read":
            return self._read(value, wanted)
        if value.op == "accumulate":
            return self._renamed(value, wanted)
        if value.op == "custom":
            return self.text(value.operands[0], wanted)
        if value.op == "running":
            return self._running(value, wanted)
        return self._reduced(value, wanted) if value.op in REDUCTIONS else self._matrix(value, wanted)

    def _row(self, value: Value, wanted: Axes) -> Text:
        own = tuple(a for a in wanted if a in value.axes)
        if self._is_widened_once(value, wanted):
            return self.aligned(self._row(value, own), own, wanted)
        operands = [self.text(o, wanted) for o in value.operands]
        if value.op == "not" and value.axes:  # of an array: ~ of Python's own bool is not its opposite
            return f"~{parenthesised(operands[0], POW)}", UNARY
        if value.op == "real" and not is_whole(value.operands[0]):
            return operands[0]  # Python divides whole numbers as numbers
        if value.op == "real" and self.dtype != "float64":
            return f"np.asarray({operands[0][0]}, np.{self.dtype})", ATOM
        if value.kind == "real" and self.dtype != "float64":  # float32 with int64 would be float64
            operands = [self._real(o, t) if is_whole(o) else t for o, t in zip(value.operands, operands, strict=True)]
        return self.printer.row(value, operands)

    def _is_widened_once(self, value: Value, wanted: Axes) -> bool:
        """Return whether new axes are written for a result, ``(w*y)[:, None]``, and not for each of its operands."""
        if not _has_new_axes(value.axes, wanted):
            return False
        form = template(self.printer.spelling(value))
        several = sum(_has_new_axes(operand.axes, wanted) for operand in value.operands) > 1
        return several or (form.precedence == ATOM and form.pieces != (0,) and value.op != "not")

    def _real(self, value: Value, text: Text) -> Text:
        """Return whole numbers in the model's type: one alone may be Python's own, which has no methods."""
        if not value.axes:
            return f"np.asarray({text[0]}, np.{self.dtype})", ATOM
        return f"{parenthesised(text, ATOM)}.astype(np.{self.dtype})", ATOM

    def subscript(self, array: Value, indices: Iterable[Value]) -> Subscript:
        """Return the subscript of an array at an index for each of its axes."""
        return self.place(self.layout(array), dict(zip(array.axes, indices, strict=True)))

    def place(self, layout: Axes, index: Mapping[Axis, Value]) -> Subscript:
        """Return the subscript of an array with these dimensions at these indices."""
        return subscript(layout, index, self.names, self.__call__, self.ranked)

    def _read(self, value: Value, wanted: Axes) -> Text:
        array, *indices = value.operands
        place = self.subscript(array, indices)
        base = self.name_of(array) or self(array, self.layout(array), ATOM)  # an inverse has no line in a listing
        return self.aligned((f"{base}{place.text}", ATOM), place.axes, wanted)

    def _renamed(self, value: Value, wanted: Axes) -> Text:
        """Return an accumulation that moves nothing: the same array with other names of its axes."""
        source, *indices = value.operands
        axes = {i.attr: a for a, i in zip(value.axes, indices, strict=True)}
        own = self.ranked(source.axes)
        return self.aligned(self.text(source, own), tuple(axes[a] for a in own), wanted)

    def is_renaming(self, value: Value) -> bool:
        """Return whether an accumulation only renames axes."""
        source, *indices = value.operands
        whole = all(i.op == "iota" and i.attr.size == a.size for i, a in zip(indices, value.axes, strict=True))
        return whole and len({i.attr for i in indices}) == len(indices) == len(source.axes)

    # Reductions

    def _running(self, value: Value, wanted: Axes) -> Text:
        """Return a running sum or product: NumPy has those that go forward and begin with the first term."""
        how, own = value.attr, self.ranked(value.axes)
        operands = ", ".join(self(o, own) for o in value.operands)
        function = RUNNING[how.op, how.backward, how.own]
        if "." not in function:
            self.printer.support.add(function)
        return self.aligned((f"{function}({operands}, {own.index(how.axis)})", ATOM), own, wanted)

    def _reduced(self, value: Value, wanted: Axes) -> Text:
        body = value.operands[0]
        if value.op == "sum":
            body = self._unmasked(body)
            factors = list(self._factors(body))
            groups = self._groups([f for f in factors if f.axes])
            outside = [f for f in factors if not f.axes]
            if len(groups) == 1 and len(groups[0].factors) == 2 and len(value.attr) == len(groups[0].axes) == 1:
                groups = [Group([f], groups[0].axes) for f in groups[0].factors]  # one axis: a dot product
            if len(groups) > 1:
                return self._scaled(outside, self._contracted(groups, value, wanted), wanted)
        own = self.ranked(body.axes)
        text = self(body, own)
        gone = [str(k) for k, a in enumerate(own) if a in value.attr]
        where = "" if len(gone) == len(own) else f", axis={gone[0] if len(gone) == 1 else '(' + ', '.join(gone) + ')'}"
        left = tuple(a for a in own if a not in value.attr)
        return self.aligned((f"np.{value.op}({text}{where})", ATOM), left, wanted)

    def _unmasked(self, body: Value) -> Value:
        """Return a product that is masked as a product of masked factors, where that is smaller.

        ``sum_s (x[s, j]*g[s, i] if m[s, i] else 0)`` is ``x.T @ np.where(m, g, 0)``, without an array over s, j and i.
        """
        if not is_masked_product(body) or self.name_of(body) is not None or self.name_of(body.operands[1]) is not None:
            return body
        mask, product, _ = body.operands
        masked: list[Value] = []
        for factor in self._factors(product):
            covered = set(mask.axes) <= set(factor.axes)
            masked.append(body.builder.apply("select", mask, factor, 0) if covered else factor)
        if all(m.op != "select" or m.operands[0] is not mask for m in masked):
            return body
        result = masked[0]
        for factor in masked[1:]:
            result = result * factor
        return result

    def _scaled(self, factors: list[Value], text: Text, wanted: Axes) -> Text:
        for factor in factors:
            text = f"{self(factor, wanted, MUL)}*{parenthesised(text, POW)}", MUL
        return text

    def _factors(self, body: Value) -> Iterable[Value]:
        """Yield the factors of a product that has no line of its own."""
        stack = [body]
        while stack:
            value = stack.pop()
            if value.op == "mul" and self.name_of(value) is None:
                stack.extend(reversed(value.operands))
            else:
                yield value

    def _groups(self, factors: list[Value]) -> list[Group]:
        """Multiply factors first where that makes no array larger than the largest of them."""
        groups: list[Group] = []
        for factor in factors:
            same = next((g for g in groups if set(g.axes) == set(factor.axes)), None)
            if same is None:
                groups.append(Group([factor], self.ranked(factor.axes)))
            else:
                same.factors.append(factor)
        while len(groups) > 2:
            pair = next(((a, b) for a in groups for b in groups if a is not b and set(a.axes) <= set(b.axes)), None)
            if pair is None:
                break
            pair[1].factors = [*pair[0].factors, *pair[1].factors]
            groups.remove(pair[0])
        return groups

    def _contracted(self, groups: list[Group], value: Value, wanted: Axes) -> Text:
        """Return a sum of products of groups over axes: ``x @ W``, or `np.einsum`."""
        result = tuple(a for a in wanted if a in value.axes)
        if len(groups) == 2:
            shared = [a for a in groups[0].axes if a in groups[1].axes]
            rest = [[a for a in g.axes if a not in shared] for g in groups]
            if len(shared) == 1 and value.attr == tuple(shared) and max(map(len, rest)) <= 1:
                return self._product(groups, rest, shared[0], result, wanted)
        return self.aligned((self._einsum(groups, result), ATOM), result, wanted)

    def _product(self, groups: list[Group], rest: list[list[Axis]], shared: Axis, result: Axes, wanted: Axes) -> Text:
        first = 0 if rest[0] and (not rest[1] or result[0] == rest[0][0]) else 1 if rest[1] else 0
        left, right = groups[first], groups[1 - first]
        a = self._group(left, (*rest[first], shared))
        b = self._group(right, (shared, *rest[1 - first]))
        return self.aligned((f"{a} @ {b}", MATMUL), result, wanted)

    def _group(self, group: Group, order: Axes) -> str:
        """Return the product of a group with its dimensions in this order."""
        if len(group.factors) == 1 and (name := self.name_of(group.factors[0])) is not None:
            return self.aligned((name, ATOM), self.layout(group.factors[0]), order)[0]
        own = group.axes
        text = self._multiplied(group.factors, own)
        return self._transposed(text, own, list(order)) if own != order else parenthesised(text, POW)

    def _multiplied(self, factors: list[Value], own: Axes) -> Text:
        if len(factors) == 1:
            return self.text(factors[0], own)
        parts = [self(factors[0], own, MUL), *(self(f, own, POW) for f in factors[1:])]
        return "*".join(parts), MUL

    def _einsum(self, groups: list[Group], result: Axes) -> str:
        letters = self._letters([a for g in groups for a in g.axes])
        terms, operands = [], []
        for group in groups:
            single = group.factors[0] if len(group.factors) == 1 else None
            name = self.name_of(single) if single is not None else None
            own = self.layout(single) if single is not None and name is not None else group.axes
            terms.append("".join(letters[a] for a in own))
            operands.append(name or self._multiplied(group.factors, own)[0])
        optimize = ", optimize=True" if len(groups) > 2 else ""
        spelled = f"{','.join(terms)}->{''.join(letters[a] for a in result)}"
        return f'np.einsum("{spelled}", {", ".join(operands)}{optimize})'

    def _letters(self, axes: list[Axis]) -> dict[Axis, str]:
        """Return one letter for each axis: its own where that is free."""
        letters: dict[Axis, str] = {}
        for axis in dict.fromkeys(axes):
            own = self.names.axis(axis)
            free = [own] if len(own) == 1 and own.isalpha() else []
            letters[axis] = next(c for c in [*free, *LETTERS, *LETTERS.upper()] if c not in letters.values())
        return letters

    # Matrix functions

    def _matrix(self, value: Value, wanted: Axes) -> Text:
        matrix, *rest = value.operands
        row, column = value.attr
        batch = self.ranked(a for a in value.axes if a not in value.attr)
        if value.op == "solve":
            return self._solved(matrix, rest[0], value, wanted)
        if value.op == "logdet":
            self.printer.support.add("logdet")
        own = (*batch, row, column) if value.op in ("inverse", "cholesky") else batch
        return self.aligned((f"{LINALG[value.op]}({self(matrix, (*batch, row, column))})", ATOM), own, wanted)

    def _solved(self, matrix: Value, right: Value, value: Value, wanted: Axes) -> Text:
        """Return the solution of equations, with a column for each right side, of which stacks need at least one."""
        row, column = value.attr
        batch = self.ranked(a for a in matrix.axes if a not in value.attr)
        sides = self.ranked(a for a in right.axes if a not in (*batch, row))
        left, given = self(matrix, (*batch, row, column)), self(right, (*batch, row, *sides), ATOM if batch else ANY)
        if not batch or sides:
            return self.aligned((f"np.linalg.solve({left}, {given})", ATOM), (*batch, column, *sides), wanted)
        own, found = (":, " * len(axes) for axes in (right.axes, (*batch, column)))
        return self.aligned((f"np.linalg.solve({left}, {given}[{own}None])[{found}0]", ATOM), (*batch, column), wanted)


def _has_new_axes(own: Axes, wanted: Axes) -> bool:
    """Return whether an array needs new axes, ``[:, None]``, to broadcast; those in front NumPy adds itself."""
    shown = [axis in own for axis in wanted]
    return True in shown and not all(shown[shown.index(True) :])


def is_whole(value: Value) -> bool:
    """Return whether a value is an array of whole numbers, or a number out of one: not Python's own int."""
    if value.kind != "int" or value.op in ("const", "size"):
        return False
    return bool(value.axes) or value.op not in PRIMITIVES or any(map(is_whole, value.operands))


WHOLE = ("neg", "add", "sub", "mul", "abs", "maximum", "minimum", "select")  # whole numbers of whole numbers


def in_whole_numbers(value: Value) -> bool:
    """Return whether NumPy computes a value in whole numbers, as ``np.where(c, -N, 0)``, though it is a real number."""
    stack = [value]
    while stack:
        part = stack.pop()
        if part.op == "real":
            part = part.operands[0]
            if part.op not in ("size", "const"):
                return False
        elif part.kind != "int" and part.op in WHOLE:
            stack.extend(part.operands[part.op == "select" :])
            continue
        if part.kind != "int":
            return False
    return True


def is_masked_product(value: Value) -> bool:
    """Return whether a value is ``a*b if m else 0`` with more axes than each of its factors."""
    if value.op != "select" or not value.operands[2].is_const(0) or value.operands[1].op != "mul":
        return False
    return all(len(value.axes) > len(o.axes) for o in value.operands[1].operands)
