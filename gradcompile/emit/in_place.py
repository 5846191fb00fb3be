"""Sums over a batch that are added to their parameter itself, by the product of matrices that computes them.

A step of gradient descent is ``W -= rate*dW``. Where dW is a product of matrices, BLAS computes ``W - rate*(a.T@n)`` in
one go: no array for dW, and neither zeros in it before nor a loop over it after. That is right if all samples of the
batch are in that one product, and if nothing reads the parameter any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradcompile.ir import Graph, Value, reachable
from gradcompile.passes.fold import fold
from gradcompile.schedule import Plan, Product, Result
from gradcompile.schedule.nodes import Statement, all_statements, conditions_of, right_side
from gradcompile.step import Move, Step


@dataclass(frozen=True)
class Moved:
    """A move that the first half makes.

    Parameters
    ----------
    move : Move
        The move.
    scale : Value
        What the head is to be multiplied by to be the gradient, one number.
    """

    move: Move
    scale: Value


def in_place(step: Step, schedule: Plan) -> dict[str, Moved]:
    """Return the moves that products of matrices can make, by the output of the first half that is their gradient.

    Parameters
    ----------
    step : Step
        The step; its optimizer moves parameters along a multiple of the gradient.
    schedule : Plan
        Of its first half, for batches of one block.
    """
    statements = list(all_statements(schedule.body))
    found: dict[str, Moved] = {}
    for move in step.moves:
        array, scale = _scaled(move.gradient, step)
        head = step.heads.get(array)
        target = None if head is None or move.cleared is not None else schedule.results[head]
        if head is None or target is None or not _moves_all(move, array):
            continue
        own = [place for place, statement in enumerate(statements) if _target(statement) is target]
        others = [statement for statement in statements if _target(statement) is not target]
        only = len(own) == 1 and isinstance(statements[own[0]], Product)
        used = any(target in _used(statement, schedule) for statement in others) or array in _of_others(move, step)
        if only and not used and move.parameter not in _read_after(statements[own[0] :], schedule, move, step):
            found[head] = Moved(move, scale)
    return found


def _scaled(gradient: Value, step: Step) -> tuple[Value, Value]:
    """Return an array and a number, neither a parameter nor made of one, of which a gradient is the product."""
    scale = gradient.builder.const(1)
    while gradient.op in ("neg", "mul", "div"):
        if gradient.op == "neg":
            gradient, scale = gradient.operands[0], -scale
            continue
        left, right = gradient.operands
        if _is_number(right, step):
            gradient, scale = left, scale * right if gradient.op == "mul" else scale / right
        elif gradient.op == "mul" and _is_number(left, step):
            gradient, scale = right, scale * left
        else:
            break
    return gradient, fold(Graph(gradient.builder, {}, {"value": scale})).outputs["value"]


def _is_number(value: Value, step: Step) -> bool:
    names = {move.parameter for move in step.moves}
    leaves = [v for v in reachable([value]) if v.op == "input"]
    return not value.axes and not any(v in step.heads or v.attr in names for v in leaves)


def _moves_all(move: Move, array: Value) -> bool:
    """Return whether a move visits every element, each at its own place, by the element of an array at that place."""
    axes = [index.attr for index in move.place if index.op == "iota"]
    return len(set(axes)) == len(move.place) and tuple(axes) == array.axes


def _target(statement: Statement) -> Value | None:
    return None if isinstance(statement, Result) else statement.target


def _used(statement: Statement, schedule: Plan) -> set[Value]:
    """Return the arrays and arguments that a statement reads: what is stored, and inputs."""
    target = _target(statement)
    guard = schedule.guards.get(target) if target is not None else None
    return _leaves([*right_side(statement), *conditions_of(guard)], schedule)


def _leaves(values: list[Value], schedule: Plan) -> set[Value]:
    found: set[Value] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if value in schedule.stored or value.op == "input":
            found.add(value)
        else:
            stack.extend(value.operands)
    return found


def _read_after(statements: list[Statement], schedule: Plan, move: Move, step: Step) -> set[str]:
    """Return the inputs that are read by some statements, by what is returned after them, and by the other moves."""
    values = set().union(*(_used(statement, schedule) for statement in statements))
    values |= _leaves([value for value in schedule.results.values() if value is not None], schedule)
    values |= _of_others(move, step)
    return {value.attr for value in values if value.op == "input"}


def _of_others(move: Move, step: Step) -> set[Value]:
    """Return what the other moves are made of."""
    return set(reachable([v for other in step.moves if other is not move for v in (*other.place, other.gradient)]))
