"""What a graph from a file asks of sizes: found from its operations, since what the file says of them is not believed.

Compiled code looks at no index. What a graph reads must therefore lie on its axes for all sizes that calls may have,
and no axis may be shorter than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradcompile.affine import Affine, affine_forms, extremes
from gradcompile.errors import DataError
from gradcompile.ir import Axis, Graph, Requirement, Size, Value
from gradcompile.model.affine import never_negative, untold_sizes


def with_bounds(graph: Graph) -> Graph:
    """Return a graph that has among its requirements all that its indices and axes require of sizes.

    What lowering has required is there already, in better words.

    Raises
    ------
    DataError
        An index leaves its axis whatever the sizes are, or no array tells a size.
    """
    order = graph.order()
    _check_told(graph, order)
    said = {(r.size, name) for r in graph.requirements for name in (*r.outputs, "value")}
    found = []
    for (size, what), users in _needed(graph, order).items():
        outputs = {name for k, name in enumerate(graph.outputs) if users >> k & 1}
        if any((size, name) not in said for name in outputs):
            found.append(Requirement(size, what, frozenset(outputs - {"value"})))
    return replace(graph, requirements=(*graph.requirements, *found))


def _check_told(graph: Graph, order: list[Value]) -> None:
    """Raise unless the shapes of the inputs tell every size that there is."""
    shapes = [size for declared in graph.inputs.values() for size in declared.shape]
    used = [axis.size for value in order for axis in value.axes]
    used += [value.attr for value in order if value.op == "size"]
    told = {name for size in shapes for name, _ in size.terms} - set(untold_sizes(shapes))
    for size in (*used, *shapes, *(r.size for r in graph.requirements)):
        if unknown := next((name for name, _ in size.terms if name not in told), ""):
            raise _broken(f"no array tells the size {unknown!r:.80}")


def _needed(graph: Graph, order: list[Value]) -> dict[tuple[Size, str], int]:
    """Return what must not be negative, in what words, and for which of the outputs: a bit for each."""
    users = dict.fromkeys(order, 0)
    for k, value in enumerate(graph.outputs.values()):
        users[value] |= 1 << k
    forms = affine_forms(order)
    needed: dict[tuple[Size, str], int] = {}
    for value in reversed(order):
        for operand in value.operands:
            users[operand] |= users[value]
        for size, what in (*_of_axes(value), *_of_indices(graph, value, forms)):
            fits = never_negative(size)
            if fits is False:
                raise _broken(what)
            if fits is None:
                needed[size, what] = needed.get((size, what), 0) | users[value]
    return needed


def _of_axes(value: Value) -> Iterator[tuple[Size, str]]:
    """Yield the lengths of the axes of a value, each with what is wrong if it is negative."""
    for axis in value.axes:
        yield axis.size, f"an axis has the length {axis.size}, which must not be negative"


def _of_indices(graph: Graph, value: Value, forms: dict[Value, Affine | None]) -> Iterator[tuple[Size, str]]:
    """Yield how far inside of their axes the indices of a value stay, each with what is wrong if it is negative.

    Indices with labels in them, and those that are not affine, are looked at in each call.
    """
    for index, axis, array in _indices(graph, value):
        if (form := forms[index]) is not None:
            low, high = extremes(form)
            yield low, f"an index of {array} is below its axis of length {axis.size}"
            yield axis.size - 1 - high, f"an index of {array} exceeds its axis of length {axis.size}"


def _indices(graph: Graph, value: Value) -> Iterator[tuple[Value, Axis, str]]:
    """Yield the indices of a value, each with the axis that it indexes and the name of the array."""
    if value.op == "read":
        array = value.operands[0]
        name = str(array.attr) if array.op == "input" else graph.names.get(array, "an array")
        yield from ((i, axis, name) for i, axis in zip(value.operands[1:], array.axes, strict=True))
    elif value.op == "accumulate":
        yield from ((i, axis, "an array") for i, axis in zip(value.operands[1:], value.attr, strict=True))


def _broken(what: str) -> DataError:
    return DataError(
        f"the model is broken: {what}"[:300],
        expected="a model that model.save has written",
        hint="save the model again",
    )
