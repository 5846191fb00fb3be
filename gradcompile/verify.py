"""Well-formedness of a graph: what every stage of the pipeline may take for granted.

`verify` runs between stages. It recomputes from its operands what each value says of itself.
"""

from __future__ import annotations

from collections.abc import Callable

from gradcompile.errors import GradcompileError
from gradcompile.ir import KINDS, MATRIX_FUNCTIONS, REDUCTIONS, Axis, Graph, Size, Value, kind_of_number, union
from gradcompile.primitives import PRIMITIVES

VARIADIC = ("maximum", "minimum")  # two operands or more


def verify(graph: Graph) -> Graph:
    """Check a graph and return it.

    Parameters
    ----------
    graph : Graph
        Any stage: with or without its backward half.

    Returns
    -------
    Graph
        The same graph, so that calls chain.

    Raises
    ------
    GradcompileError
        A value is not what its operation makes of its operands; the message shows the value.

    Examples
    --------
    >>> from gradcompile.ir import Builder
    >>> builder = Builder()
    >>> verify(Graph(builder, {}, {"value": builder.const(1) + builder.const(2)})).outputs["value"]
    %2 = add(%0, %1) : int[]
    """
    sound = graph.builder.sound  # values never change: what an earlier stage has checked stays right
    for value in graph.order():
        if value not in sound:
            _verify_value(value, graph)
            if value.op in PRIMITIVES:
                sound.add(value)
    for name in graph.wrt:
        _require(name in graph.inputs, f"the parameter {name} is not an input")
    for axis in graph.letters:
        _require(isinstance(axis, Axis), f"{axis!r} has a letter and is not an axis")
    return graph


def _require(holds: bool, what: str, value: Value | None = None) -> None:
    if not holds:
        raise GradcompileError(f"the graph is not well formed: {what}", found="" if value is None else repr(value))


def _verify_value(value: Value, graph: Graph) -> None:
    _require(value.builder is graph.builder, "a value belongs to another graph", value)
    _require(all(o.number < value.number for o in value.operands), "an operand is younger than its value", value)
    _require(value.kind in KINDS, f"there is no kind {value.kind}", value)
    _require(len(set(value.axes)) == len(value.axes), "an axis occurs twice", value)
    if value.op in PRIMITIVES:
        _elementwise(value)
    elif value.op in REDUCTIONS:
        _reduction(value)
    elif value.op in MATRIX_FUNCTIONS:
        _matrix_function(value)
    else:
        _require(value.op in STRUCTURAL, f"there is no operation {value.op}", value)
        STRUCTURAL[value.op](value, graph)


def _axes(value: Value, expected: tuple[Axis, ...]) -> None:
    if value.axes == expected:
        return
    shown = ", ".join(map(str, expected))
    _require(value.axes == expected, f"the operation implies the axes [{shown}]", value)


def _elementwise(value: Value) -> None:
    row = PRIMITIVES[value.op]
    count = len(row.domain) if value.op != "select" else 3
    if value.op in ("and", "or"):
        count = 2
    enough = len(value.operands) >= 2 if value.op in VARIADIC else len(value.operands) == count
    _require(enough, f"{value.op} takes {count} operands", value)
    _require(row.kind == "same" or value.kind == row.kind, f"{value.op} is {row.kind}", value)
    if value.op == "select":
        _require(value.operands[0].kind == "bool", "a condition is true or false", value)
    expected = union(o.axes for o in value.operands)
    if row.commutative:  # the operands may have been given in the other order to the first of two equal values
        _require(set(value.axes) == set(expected), "the axes are not those of the operands", value)
    else:
        _axes(value, expected)


def _reduction(value: Value) -> None:
    (body,) = value.operands
    _require(bool(value.attr) and set(value.attr) <= set(body.axes), "it reduces over an axis that is not there", value)
    _axes(value, tuple(a for a in body.axes if a not in value.attr))


def _matrix_function(value: Value) -> None:
    matrix = value.operands[0]
    row, column = value.attr
    _require(row in matrix.axes and column in matrix.axes, "rows or columns are not axes of the matrix", value)
    _require(row != column and row.size == column.size, "the matrix is not square", value)
    if value.op in ("inverse", "cholesky"):
        _axes(value, matrix.axes)
    elif value.op in ("determinant", "logdet"):
        _axes(value, tuple(a for a in matrix.axes if a not in value.attr))
    else:
        right = value.operands[1]
        _require(row in right.axes and column not in right.axes, "the right-hand side has no rows", value)
        expected = {a for o in value.operands for a in o.axes} - {row}
        _require(set(value.axes) == expected, "the axes are not those of the operands", value)


def _const(value: Value, graph: Graph) -> None:
    _require(not value.axes and not value.operands, "a number has no axes", value)
    kind = kind_of_number(value.attr)
    _require(value.kind == kind, f"the number is {kind}", value)


def _input(value: Value, graph: Graph) -> None:
    declared = graph.inputs.get(value.attr)
    _require(declared is not None, f"nothing declares the input {value.attr}", value)
    if declared is not None:
        _require(tuple(a.size for a in value.axes) == declared.shape, "the axes are not the declared shape", value)
        _require(value.kind == declared.kind, f"the input is declared {declared.kind}", value)


def _size(value: Value, graph: Graph) -> None:
    _require(isinstance(value.attr, Size) and value.kind == "int" and not value.axes, "a size is a whole number", value)


def _iota(value: Value, graph: Graph) -> None:
    _require(value.kind == "int", "an index is a whole number", value)
    _axes(value, (value.attr,))


def _indexed(array_axes: tuple[Axis, ...], indices: tuple[Value, ...], value: Value) -> None:
    _require(len(indices) == len(array_axes), "there is one index for each axis of the array", value)
    _require(all(i.kind == "int" for i in indices), "an index is a whole number", value)


def _read(value: Value, graph: Graph) -> None:
    array, *indices = value.operands
    _indexed(array.axes, tuple(indices), value)
    _axes(value, union(i.axes for i in indices))
    _require(value.kind == array.kind, "a read is of the kind of its array", value)


def _accumulate(value: Value, graph: Graph) -> None:
    _indexed(value.attr, value.operands[1:], value)
    _axes(value, value.attr)


def _running(value: Value, graph: Graph) -> None:
    _require(value.attr.axis in value.axes, "it runs along an axis that is not there", value)
    _require(len(value.operands) == 1 + (value.attr.op == "linear"), "it has another number of operands", value)
    _axes(value, union(o.axes for o in value.operands))


def _custom(value: Value, graph: Graph) -> None:
    _require(len(value.operands) % 2 == 1, "a function of n arguments has n partial derivatives", value)
    _axes(value, union(o.axes for o in value.operands))


STRUCTURAL: dict[str, Callable[[Value, Graph], None]] = {
    "const": _const,
    "input": _input,
    "size": _size,
    "iota": _iota,
    "read": _read,
    "accumulate": _accumulate,
    "running": _running,
    "custom": _custom,
}
