"""The indices that are data: labels, and rows of tables. A loop around others reads them once, before these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from gradcompile.ir import Axis, Value, reachable
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule import Define, Loop, Product, Result, Start, Update
from gradcompile.schedule.nodes import all_statements


def looked_up(
    loop: Loop, *, around: Collection[Axis], stored: Collection[Value], held: Collection[Value]
) -> list[Value]:
    """Return the indices that are data, that the loops inside of one use, and that a turn of it can read first.

    What is read at an index that the loop computes is not among them: that comes later in its turn.

    Parameters
    ----------
    loop : Loop
        A loop.
    around : collection of Axis
        What it and the loops around it are over.
    stored : collection of Value
        The values that have arrays or variables of their own, so that nobody need look at what they are made of.
    held : collection of Value
        What an outer loop has read already.
    """
    found: dict[Value, None] = {}
    inner = [node for node in loop.body if isinstance(node, Loop)]
    while inner:
        for node in inner.pop().body:
            if isinstance(node, Loop):
                inner.append(node)
            elif not isinstance(node, Start | Product):
                found.update(dict.fromkeys(_indices_in(node, stored)))
    return _early(found, loop, around, held)


def asked_again(
    loop: Loop, *, around: Collection[Axis], stored: Collection[Value], held: Collection[Value]
) -> list[Value]:
    """Return the indices that are computed of data and that several statements of a loop use; see `looked_up`.

    Labels that are read elsewhere than at the loops' own indices may not be there where a condition does not hold.
    """
    own = [node for node in loop.body if isinstance(node, Define | Update | Result)]
    uses = Counter(place for node in own for place in dict.fromkeys(_places_in(node, stored)))
    found = [place for place, count in uses.items() if count > 1 and _is_computed(place)]
    return _early(found, loop, around, held)


def _early(indices: Iterable[Value], loop: Loop, around: Collection[Axis], held: Collection[Value]) -> list[Value]:
    """Return the indices that a turn of a loop can read first, and no loop around it."""
    ready = (i for i in indices if loop.axis in i.axes and all(a in around for a in i.axes))
    made = {node.target for node in all_statements(loop.body) if isinstance(node, Define)}
    early = (i for i in ready if i not in held and made.isdisjoint(reachable([i])))
    return sorted(early, key=lambda i: i.number)


def _is_computed(place: Value) -> bool:
    """Return whether an index is arithmetic of labels at the loops' own indices."""
    parts = list(reachable([place]))
    reads = [part for part in parts if part.op == "read"]
    labels = any(part.op == "input" and part.axes for part in parts)
    return place.op in PRIMITIVES and labels and all(i.op == "iota" for read in reads for i in read.operands[1:])


def _indices_in(node: Define | Update | Result, stored: Collection[Value]) -> Iterator[Value]:
    """Yield the data among the indices of a statement."""
    return (index for index in _places_in(node, stored) if index.op in ("input", "read"))


def _places_in(node: Define | Update | Result, stored: Collection[Value]) -> Iterator[Value]:
    """Yield the indices of a statement, those of data that are indices included."""
    if isinstance(node, Update):
        stack = list(node.term.operands)
        yield from node.term.operands[1:]
    else:
        value = node.value if isinstance(node, Result) else node.expression
        stack = list(value.operands) if value in stored else [value]
        if value.op == "read":
            yield from value.operands[1:]
    while stack:
        value = stack.pop()
        if value.op == "read":
            yield from value.operands[1:]
            stack.extend(value.operands[1:])
        elif value not in stored:
            stack.extend(value.operands)
