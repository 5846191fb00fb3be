"""Rows of data that are copied before a step needs them: graph to graph.

Products of matrices need the rows of a batch next to one another. They are copied for that, and only then: what is
read where it lies, stays there. A copy is an input of its own, so that another thread can make it while the step before
is computed.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

from gradcompile.ir import Graph, Input, Value, free_name


def gathered(graph: Graph, rows: str, matrices: Container[Value]) -> tuple[Graph, dict[str, str]]:
    """Return a graph that reads copies of rows of data, and by the name of each of these inputs that of the data.

    Parameters
    ----------
    graph : Graph
        A step on the samples whose numbers are in an input.
    rows : str
        That input, axes (B,).
    matrices : container of Value
        What is multiplied as a matrix: the rows of data among these are copied, if all of a row is.

    Examples
    --------
    >>> from gradcompile.ir import Axis, Builder, Size
    >>> builder, n, b, d = Builder(), *(Axis(Size.of(name)) for name in "NBD")
    >>> x, row = builder.input("x", (n, d)), builder.input("rows", (b,), "int")
    >>> batch = builder.read(x, (row, builder.iota(d)))
    >>> inputs = {"x": Input("x", (n.size, d.size), role="data"), "rows": Input("rows", (b.size,), "int", "labels")}
    >>> step = Graph(builder, inputs, {"value": builder.reduce("sum", batch, (b, d))}, sample=b)
    >>> copied, copies = gathered(step, "rows", {batch})
    >>> list(copied.inputs), copies
    (['x_rows', 'rows'], {'x_rows': 'x'})
    >>> copied.outputs["value"].operands[0].attr
    'x_rows'
    """
    copies: dict[Value, Value] = {}  # what stands for each of the data
    taken = {*graph.inputs}
    for value in graph.order():
        if value in matrices and _is_copied(value, graph, rows) and value.operands[0] not in copies:
            name = free_name(f"{value.operands[0].attr}_rows", taken)
            copies[value.operands[0]] = graph.builder.input(name, value.axes)
            taken.add(name)

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        copy = copies.get(value.operands[0]) if value.op == "read" else None
        if copy is None or not _is_input(value.operands[1], rows):
            return None
        return graph.builder.read(copy, (graph.builder.iota(copy.axes[0]), *operands[2:]))

    changed = graph.rewrite(rule) if copies else graph
    return replace(changed, inputs=_inputs(changed, copies)), {copy.attr: data.attr for data, copy in copies.items()}


def _is_copied(matrix: Value, graph: Graph, rows: str) -> bool:
    """Return whether a matrix is made of whole rows of data."""
    if matrix.op != "read" or matrix.operands[0].op != "input" or matrix.operands[0].attr in graph.wrt:
        return False
    data, (row, *others) = matrix.operands[0], matrix.operands[1:]
    whole = all(index.is_index(axis) for index, axis in zip(others, data.axes[1:], strict=True))
    named = Input("", tuple(axis.size for axis in matrix.axes)).axes  # those that a new input would have
    return _is_input(row, rows) and whole and named == matrix.axes


def _is_input(value: Value, name: str) -> bool:
    return value.op == "input" and value.attr == name


def _inputs(graph: Graph, copies: Mapping[Value, Value]) -> dict[str, Input]:
    """Return the inputs with each copy in the place of its data, which stay where the graph reads them besides."""
    read = {value.attr for value in graph.order() if value.op == "input"}
    made = {data.attr: copy for data, copy in copies.items()}
    inputs: dict[str, Input] = {}
    for name, given in graph.inputs.items():
        if name not in made or name in read:
            inputs[name] = given
        if name in made:
            copy = made[name]
            inputs[copy.attr] = given._replace(name=copy.attr, shape=tuple(axis.size for axis in copy.axes))
    return inputs
