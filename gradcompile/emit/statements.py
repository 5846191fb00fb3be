"""Which values get a line of their own, and in which order: shared by the targets that write straight-line code.

A value that is used once is written where it is used, as a person would; one that is used twice, or that makes a line
long, gets a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeAlias

from gradcompile.ir import LEAVES, Graph, Value
from gradcompile.primitives import PRIMITIVES

LINE = 48  # columns of an expression beyond which it is taken apart
DEPTH = 5  # operations inside one another in one line
Returned: TypeAlias = "str | tuple[Returned, ...]"  # the output that a function returns, or a tuple of such
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def halves(graph: Graph) -> tuple[list[Value], list[Value]]:
    """Return the values of the forward half, then those that only gradients need; operands first."""
    forward = graph.order([graph.outputs["value"]] if "value" in graph.outputs else None)
    known = set(forward)
    return forward, [value for value in graph.order() if value not in known]


def as_returned(outputs: Iterable[str], single: bool) -> Returned:
    """Return what a function returns: the objective if it is an output, and a tuple of all others.

    With `single`, one other output is returned as it is.
    """
    outputs = list(outputs)
    others = tuple(name for name in outputs if name != "value")
    rest: Returned = others[0] if single and len(others) == 1 else others
    if "value" in outputs:
        return ("value", rest) if others else "value"
    return rest


def as_number(value: Value, text: str) -> str:
    """Return the text of a value as a result has it: whole numbers are floats."""
    return f"{text}.0" if value.op == "const" and text.lstrip("-").isdigit() else text


def returning(returned: Returned, text: Callable[[str], str]) -> str:
    """Return the statement that returns outputs, each spelled by `text`."""
    if isinstance(returned, str) or len(returned) == 1:
        return f"return {_nested(returned, text)}"
    return f"return {', '.join(_nested(each, text) for each in returned)}"


def _nested(returned: Returned, text: Callable[[str], str]) -> str:
    if isinstance(returned, str):
        return text(returned)
    return f"({', '.join(_nested(each, text) for each in returned)}{',' * (len(returned) == 1)})"


def own_lines(graph: Graph, order: Iterable[Value], always: Callable[[Value], bool]) -> set[Value]:
    """Return the values that get a line of their own.

    Parameters
    ----------
    graph : Graph
        The whole program; what its outputs and definitions are has a line if it is not a leaf.
    order : iterable of Value
        Its values, operands first.
    always : callable
        Whether a value needs a line whatever its size: the target's own reasons.
    """
    order = list(order)
    uses = Counter(o for value in order for o in value.operands)
    kept = {v for v in (*graph.outputs.values(), *graph.names) if v.op not in LEAVES}
    signed = {v.operands[0] for v in order if v.op == "neg" and uses[v.operands[0]] == 1}  # the sign has the line
    own: set[Value] = set()
    width: dict[Value, int] = {}
    depth: dict[Value, int] = {}
    for value in order:
        width[value] = _width(value) + sum(3 if o in own else width[o] for o in value.operands)
        depth[value] = 1 + max((0 if o in own else depth[o] for o in value.operands), default=-1)
        if value.op in LEAVES:
            continue
        often = uses[value] > 1 and not _cheap(value, own)
        long = (width[value] > LINE or depth[value] > DEPTH) and value not in signed
        if value in kept or often or always(value) or long:
            own.add(value)
    return own


def _width(value: Value) -> int:
    """Return about how many columns an operation adds to those of its operands."""
    if value.op in LEAVES:
        return min(len(str(value.attr)), 24)
    row = PRIMITIVES.get(value.op)
    return len(row.python) - 3 * len(value.operands) if row is not None else 8


def _cheap(value: Value, own: set[Value]) -> bool:
    """Return whether a value may be written out wherever it is used: a sign, a comparison, an array seen otherwise.

    A comparison of indices is long, and as large as all of their axes.
    """
    if value.kind == "int" and all(o.op in ("const", "size") for o in value.operands):
        return True
    if value.op == "read":
        return all(i.op in ("iota", "const") for i in value.operands[1:])
    if value.op == "mul" and not value.axes and any(o.op == "const" for o in value.operands):
        return all(o.op in LEAVES for o in value.operands)
    atoms = all((o.op in LEAVES and o.op != "iota") or o in own for o in value.operands)
    return atoms and value.op in ("neg", "real", "not", *COMPARISONS)
