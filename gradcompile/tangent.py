"""Forward mode: one function from a graph to the graph of its derivatives along a direction.

Walk forward; the tangent of a value is the sum, over its operands, of local derivative times the operand's tangent. The
local derivatives are those of reverse mode: a rule of adjoint.py that multiplies what comes in point by point does
the same for what comes from the other side. Only operations that move or add numbers have rules of their own here.

A branch that is not taken leaks nothing: the tangent of a choice is the choice of the tangents. Forward mode over
reverse mode therefore gives Hessian-vector products that are finite wherever the gradient's branches are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gradcompile.adjoint import RAISED, applied, elementwise, receivers, ties
from gradcompile.adjoint import RULES as REVERSE
from gradcompile.errors import NonDifferentiableError
from gradcompile.ir import Axis, Graph, Input, Value, fresh_axis
from gradcompile.primitives import PRIMITIVES

Tangent = Value | None  # None: the value does not depend on what moves
Rule = Callable[..., Tangent]
# rules of reverse mode that weigh what each receiver gets, point by point
WEIGHING = ("maximum", "minimum", "custom", "log", "share", *RAISED)


def tangent(graph: Graph, seeds: Mapping[str, str], along: Axis | None = None) -> Graph:
    """Return the graph of the derivative of every output along a direction, or along several at once.

    Parameters
    ----------
    graph : Graph
        Any graph before `optimise`: with a backward half, the outputs become the directional derivative of the
        objective and the products of the Hessian with the direction.
    seeds : mapping of str to str
        For each input that moves, the name of a further input, of the same shape, that holds its direction.
    along : Axis, optional
        Numbers the directions: the last dimension of every seed, and of every output. Its size has a name of its own.

    Returns
    -------
    Graph
        The outputs have the names that they had; the directions stand after the other inputs.

    Raises
    ------
    NonDifferentiableError
        What moves goes through something that has no derivative.

    Examples
    --------
    >>> from gradcompile.ir import Builder
    >>> from gradcompile.interpret import evaluate
    >>> builder = Builder()
    >>> square = Graph(builder, {"x": Input("x")}, {"value": builder.input("x", ()) ** 2})
    >>> evaluate(tangent(square, {"x": "v"}), {"x": 3.0, "v": 10.0})
    {'value': array(60.)}
    """
    more = () if along is None else (along,)
    sizes = tuple(axis.size for axis in more)
    directions = {seed: Input(seed, graph.inputs[name].shape + sizes) for name, seed in seeds.items()}
    moving = {name: graph.builder.input(seed, directions[seed].axes) for name, seed in seeds.items()}
    known = tangents(graph, moving)
    zero = graph.builder.const(0)
    outputs = {name: known[value] or zero for name, value in graph.outputs.items()}
    axes = {name: graph.output_axes(name) + more for name in graph.outputs}
    return replace(graph, inputs=graph.inputs | directions, outputs=outputs, axes=axes, cotangents={})


def tangents(graph: Graph, seeds: Mapping[str, Value]) -> dict[Value, Tangent]:
    """Return the tangent of every value of a graph, where that of each input named in `seeds` is given.

    A seed may have axes that its input has not, and that no value of the graph has: they number directions, and every
    tangent that depends on the seed has them too.
    """
    known: dict[Value, Tangent] = {}
    for value in graph.order():
        if value.op == "input" and value.attr in seeds:
            known[value] = seeds[value.attr]
        elif value.kind == "real" and any(known[o] is not None for o in value.operands):
            known[value] = _moved(value, known)
        else:
            known[value] = None
    return known


def _moved(value: Value, known: Mapping[Value, Tangent]) -> Tangent:
    rule = RULES.get(value.op)
    if rule is not None:
        return rule(value, *(known[operand] for operand in value.operands))
    if value.op in PRIMITIVES or value.op == "custom":
        return _pointwise(value, known)
    raise NonDifferentiableError(
        f"'{value.op}' has no derivative",
        text=str(value.origin or ""),
        expected="an operation with a derivative",
        hint="keep parameters out of it",
    )


def _pointwise(value: Value, known: Mapping[Value, Tangent]) -> Tangent:
    """Multiply what each receiver moves by its local derivative, as reverse mode multiplies the cotangent."""
    rule, total = REVERSE[value.op] if value.op in WEIGHING else elementwise, None
    for moves in receivers(value):
        if (moving := known[moves]) is not None:
            for receiver, part in rule(value, (moving, None)):
                if receiver is moves:
                    total = applied(part) if total is None else total + applied(part)
    return total


def _extremum(value: Value, *moving: Tangent) -> Tangent:
    """Weigh what moves the operands of a maximum or minimum, whose ties are counted once for all of many."""
    known = dict(zip(value.operands, moving, strict=True))
    if len(value.operands) == 2 or any(o.op == "const" for o in value.operands):
        return _pointwise(value, known)
    apply, total = value.builder.apply, None
    for moves, (equal, count) in zip(value.operands, ties(value, list(value.operands)), strict=True):
        if (a := known[moves]) is not None:
            part = apply("select", equal, a / count, 0)
            total = part if total is None else total + part
    return total


def _select(value: Value, condition: Tangent, a: Tangent, b: Tangent) -> Tangent:
    builder = value.builder
    zero = builder.const(0)
    return builder.apply("select", value.operands[0], zero if a is None else a, zero if b is None else b)


def _sum(value: Value, a: Tangent) -> Tangent:
    return None if a is None else value.builder.reduce("sum", a, value.attr)


def _reduced(value: Value, a: Tangent) -> Tangent:
    """Weigh the elements as reverse mode does, and add them: a product, a maximum or a minimum over axes."""
    if a is None:
        return None
    ((_, part),) = REVERSE[value.op](value, (a, None))
    return value.builder.reduce("sum", applied(part), value.attr)


def _read(value: Value, a: Tangent, *indices: Tangent) -> Tangent:
    if a is None:
        return None
    index = dict(zip(value.operands[0].axes, value.operands[1:], strict=True))
    return value.builder.read(a, [index.get(axis) or value.builder.iota(axis) for axis in a.axes]) if a.axes else a


def _accumulate(value: Value, a: Tangent, *indices: Tangent) -> Tangent:
    """Add the tangent where the value was added, as often as it was."""
    if a is None:
        return None
    builder, (source, *places) = value.builder, value.operands
    told = {axis for place in places for axis in place.axes}
    lost = [axis for axis in source.axes if axis not in a.axes and axis not in told]
    more = tuple(axis for axis in a.axes if axis not in source.axes and axis not in told)
    return builder.accumulate(builder.reduce("sum", a, lost), [*places, *map(builder.iota, more)], value.attr + more)


def _running(value: Value, a: Tangent) -> Tangent:
    """Run the tangent along: of a product, each step multiplies it by the factor and moves the factor itself."""
    if a is None:
        return None
    builder, how, (operand,) = value.builder, value.attr, value.operands
    if how.op == "sum":
        return builder.running(how, a)
    before = value if not how.own else builder.running(replace(how, own=False), operand)
    return builder.running(replace(how, op="linear"), operand, before * a)


def _relabel(value: Value, axes: dict[Axis, Axis]) -> Value:
    return value.builder.read(value, [value.builder.iota(axes.get(a, a)) for a in value.axes]) if value.axes else value


def _inverse(value: Value, a: Tangent) -> Tangent:
    """Y = M^-1: tangent -Y T Y (Giles 2008, 2.2.3)."""
    if a is None:
        return None
    builder, (row, column) = value.builder, value.attr
    first = fresh_axis(row, (*value.axes, *a.axes))
    second = fresh_axis(column, (*value.axes, *a.axes, first))
    left = _relabel(value, {column: first})
    middle = _relabel(a, {row: first, column: second})
    right = _relabel(value, {row: second})
    inner = builder.reduce("sum", left * middle, (first,))
    return -builder.reduce("sum", inner * right, (second,))


def _logdet(value: Value, a: Tangent) -> Tangent:
    """Of log|det M| the trace of M^-1 T; of the determinant itself, det M times that (Jacobi's formula)."""
    if a is None:
        return None
    builder, matrix, (row, column) = value.builder, value.operands[0], value.attr
    inverse = builder.matrix("inverse", (matrix,), matrix.axes, value.attr)
    trace = builder.reduce("sum", _relabel(inverse, {row: column, column: row}) * a, (row, column))
    return trace if value.op == "logdet" else value * trace


RULES: dict[str, Rule] = {
    "maximum": _extremum,
    "minimum": _extremum,
    "select": _select,
    "sum": _sum,
    "max": _reduced,
    "min": _reduced,
    "prod": _reduced,
    "read": _read,
    "accumulate": _accumulate,
    "running": _running,
    "inverse": _inverse,
    "logdet": _logdet,
    "determinant": _logdet,
}
