"""A plan: a tree of loops with statements, and where each value is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradcompile.ir import MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Value, union
from gradcompile.schedule.products import Factors

LINE = 7  # operations that one line holds
Bounds = tuple[Value | None, Value | None]
Literal = tuple[Value, bool]  # a condition, and whether it holds
Case = frozenset[Literal]  # literals that all hold
Guard = frozenset[Case]  # cases, one of which holds
NO_GUARDS: Mapping[Value, Guard] = MappingProxyType({})


@dataclass(eq=False)
class Loop:
    """A loop over an axis. `starts` are the sums that begin at nothing just before it."""

    axis: Axis
    position: int  # in the body that holds it
    bounds: Bounds = (None, None)  # its first index and the one after its last, where they are not 0 and the size
    body: list[Node] = field(default_factory=list)
    starts: list[Value] = field(default_factory=list)
    rows: bool = False  # over samples one by one, with loops along their rows inside
    backward: bool = False  # from its last index to its first


@dataclass(eq=False)
class Define:
    """``target = expression``; the expression is None for a sum that starts at nothing."""

    target: Value
    expression: Value


@dataclass(eq=False)
class Course(Define):
    """``total += term; target = total``, or the other way round: one step of a running sum, or of a product."""

    total: Value


@dataclass(eq=False)
class Start:
    """``target = 0``, for a sum that is not inside of a loop of its own."""

    target: Value


@dataclass(eq=False)
class Update:
    """``target += term`` (or max, min, product), at the term's indices if it is an accumulation."""

    target: Value
    term: Value  # a reduction or an accumulate
    sign: int = 1


@dataclass(eq=False)
class Product:
    """``target += left @ right``, a product of matrices for BLAS; ``=`` where the target begins with it."""

    target: Value
    term: Value  # the sum
    factors: Factors
    sign: int = 1
    begins: bool = False


@dataclass(eq=False)
class Result:
    """An output array that is filled from a value which is not itself the output."""

    name: str
    value: Value
    axes: tuple[Axis, ...]


Node = Loop | Start | Define | Update | Product | Result
Statement = Define | Update | Product | Result
Placed = tuple[tuple[Loop, ...], Statement]  # a statement, and the loops around it


@dataclass
class Plan:
    """A schedule, ready to be printed.

    `stored` gives the axes along which each computed value is kept (none: a local scalar); `results` what each output
    is returned from (None: an array that a `Result` fills). With `blocks`, samples are taken a block at a time: a loop
    over that axis holds the loops over the samples of one block, and what is `blocked` is kept for these alone.
    `guards` are the conditions under which alone a value may be computed, all known by then.
    """

    graph: Graph
    body: list[Node]
    stored: dict[Value, tuple[Axis, ...]]
    results: dict[str, Value | None]
    sample: Axis | None
    passes: int  # loops over the samples
    blocks: Axis | None = None
    blocked: frozenset[Value] = frozenset()
    guards: Mapping[Value, Guard] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what else there is to say: threads, copies of arguments

    def __str__(self) -> str:
        """Return the schedule as an indented outline with its reasons."""
        sample = "no sample axis" if self.sample is None else f"samples along {self.graph.letter(self.sample)}"
        again = (
            "" if self.passes < 2 else f", passed {self.passes} times: a sum over samples is used inside the objective"
        )
        lines = [f"{sample}{again}", *self._told_of_blocks()]
        return "\n".join([*lines, *self.notes, *_outline(self, self.body, "")])

    def _told_of_blocks(self) -> Iterator[str]:
        if self.blocks is not None:
            yield "in blocks: values of a block stay in the cache, and loops over its samples are innermost"
            for value in self.stored:
                if value in self.blocked and value.op == "input":
                    yield f"{value.attr} is copied a block at a time, samples contiguous, as each number is used often"


def _outline(plan: Plan, nodes: list[Node], indent: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Loop):
            bounded = "" if node.bounds == (None, None) else " (a triangle)"
            bounded += " (backward)" if node.backward else ""
            letter, size = plan.graph.letter(node.axis), str(node.axis.size)
            if plan.blocks is not None and node.axis == plan.sample:
                size = "block"
            head = f"for each block of {size}" if node.axis == plan.blocks else f"for {letter} in {size}{bounded}"
            yield f"{indent}{head}:"
            yield from _outline(plan, node.body, indent + "    ")
        elif isinstance(node, Result):
            yield f"{indent}{node.name} <- %{node.value.number}"
        elif isinstance(node, Start):
            yield f"{indent}%{node.target.number} = 0"
        else:
            kept = ", ".join(map(plan.graph.letter, plan.stored.get(node.target, ())))
            begins = isinstance(node, Define) or (isinstance(node, Product) and node.begins)
            yield f"{indent}%{node.target.number}[{kept}] {'=' if begins else '+='} {_head(node)}"


def _head(node: Define | Update | Product) -> str:
    if isinstance(node, Product):
        return f"%{node.factors.left.number} @ %{node.factors.right.number} (BLAS)"
    value = node.expression if isinstance(node, Define) else node.term
    return f"{value.op}({', '.join(f'%{o.number}' for o in value.operands)})"


def all_statements(nodes: Iterable[Node]) -> Iterator[Statement]:
    """Return the statements of a schedule in the order in which they are carried out; starts are none."""
    return (statement for _, statement in placed(nodes))


def placed(nodes: Iterable[Node], path: tuple[Loop, ...] = ()) -> Iterator[Placed]:
    """Yield the same statements with the loops around each, outer ones first."""
    for node in nodes:
        if isinstance(node, Loop):
            yield from placed(node.body, (*path, node))
        elif not isinstance(node, Start):
            yield path, node


def all_loops(nodes: Iterable[Node]) -> Iterator[Loop]:
    """Yield the loops of a schedule, outer ones first."""
    for node in nodes:
        if isinstance(node, Loop):
            yield node
            yield from all_loops(node.body)


def exponent_axis(value: Value) -> Axis | None:
    """Return the axis of which a value is a power by its index, ``x**p``: each one comes of the one before."""
    if value.op != "pow" or value.operands[1].op != "real" or value.operands[1].operands[0].op != "iota":
        return None
    axis: Axis = value.operands[1].operands[0].attr
    return None if axis in value.operands[0].axes else axis


def blocks_of(axis: Axis) -> Axis:
    """Return the axis that counts the blocks in which another one is taken; no value has it."""
    return Axis(axis.size, -1 - axis.number)


def conditions_of(guard: Guard | None) -> list[Value]:
    """Return all conditions of a guard, in order."""
    return sorted({condition for case in guard or () for condition, _ in case}, key=lambda c: c.number)


def total_of(value: Value) -> Value:
    """Return what a running sum or product has come to, a value of its own: it has no axis along which that runs."""
    axes = tuple(axis for axis in value.axes if axis != value.attr.axis)
    return value.builder.make("total", (), axes, value.kind, (value.attr.op, value.number))


def loop_axes(value: Value) -> tuple[Axis, ...]:
    """Return the axes that a statement for this value loops over."""
    if value.op in REDUCTIONS:
        return value.operands[0].axes
    if value.op == "accumulate":
        return union([value.operands[0].axes, *(i.axes for i in value.operands[1:])])
    if value.op in MATRIX_FUNCTIONS:
        return tuple(a for a in value.operands[0].axes if a not in value.attr)
    return value.axes


def aligned(term: Value, axis: Axis) -> bool:
    """Return whether a sum is complete for one index of `axis` as soon as the body of that loop ends."""
    if term.op == "accumulate":
        index = dict(zip(term.axes, term.operands[1:], strict=True)).get(axis)
        return index is not None and index.is_index(axis)
    return axis in term.axes


def right_side(statement: Statement) -> list[Value]:
    """Return what the right side of a statement is made of."""
    if isinstance(statement, Result):
        return [statement.value]
    if isinstance(statement, Update | Product):
        return list(statement.term.operands)
    whole = statement.expression is statement.target
    return list(statement.target.operands) if whole else [statement.expression]
