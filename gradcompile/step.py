"""A step of training, taken apart: what is computed from the parameters as they are, and how each of them moves.

A step changes parameters in place, so everything that reads them must have been read before. It is cut in two. The
first half computes the objective and the *heads*: the numbers, sums and other arrays that gradients are made of. The
second half, the *moves*, makes the gradient of one element of a parameter from heads, data and that element, and moves
it. No gradient is ever an array of its own, unless it is a sum over samples.

Where a gradient is a sum of terms at rows that data pick, as that of an embedding is, the other rows need not move: if
the optimizer leaves alone what has no gradient, the moves visit the picked rows only, whatever the size of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gradcompile.ir import Axis, Graph, Value, reachable, union
from gradcompile.passes.fold import fold
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import substitute

ARITHMETIC = ("add", "sub", "mul", "neg")
FUNCTIONS = PRIMITIVES.keys() - {*ARITHMETIC, "div", "select", "maximum", "minimum", "abs", "sign", "real", "pow"}


@dataclass(frozen=True)
class Move:
    """How elements of a parameter move.

    Parameters
    ----------
    parameter : str
        Its name.
    place : tuple of Value
        Which elements: an index for every axis of the parameter, over all points of the axes of these indices.
    gradient : Value
        The gradient of that element, of heads, data and the element itself.
    cleared : Value or None
        A head that holds the gradients of the picked elements and zeros elsewhere: zero again once the element has
        moved, so that a place that is picked twice moves once.
    """

    parameter: str
    place: tuple[Value, ...]
    gradient: Value
    cleared: Value | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the loops over the elements."""
        return union(index.axes for index in self.place)

    @property
    def is_everywhere(self) -> bool:
        """Whether all elements of the parameter move, and no others are picked."""
        return all(index.op == "iota" for index in self.place)


@dataclass(frozen=True)
class Step:
    """A step in two halves.

    Parameters
    ----------
    graph : Graph
        The first half: its outputs are ``value``, the objective, and the heads.
    heads : mapping of Value to str
        Each head as the moves see it, an input; and the output of the first half that it is.
    moves : tuple of Move
        The second half, parameter by parameter.
    """

    graph: Graph
    heads: Mapping[Value, str]
    moves: tuple[Move, ...]

    @property
    def kept(self) -> frozenset[str]:
        """The heads that are zero between steps."""
        return frozenset(self.heads[m.cleared] for m in self.moves if m.cleared is not None)


def in_halves(graph: Graph, *, lazy: bool = False, linear: bool = False, still: bool = True) -> Step:
    """Return the step that takes the gradient of a graph.

    Parameters
    ----------
    graph : Graph
        The objective per sample, with its backward half.
    lazy : bool
        Whether an element need not be visited whose gradient is 0.
    linear : bool
        Whether a step along a sum is the same as steps along its terms, one after the other, and there are so few
        terms that this is best: then a sum of terms at picked rows is not made.
    still : bool
        Whether a parameter does not move whose gradient is always 0.
    """
    return _Cut(graph, lazy, linear, still).step()


class _Cut:
    """The cutting of one step."""

    def __init__(self, graph: Graph, lazy: bool, linear: bool, still: bool) -> None:
        self.graph, self.builder, self.lazy, self.linear, self.still = graph, graph.builder, lazy, linear, still
        self.heads: dict[Value, Value] = {}  # what the first half computes -> the input that stands for it
        self.order: dict[Value, tuple[Axis, ...]] = {}  # the axes of a head, as its first parameter has them
        self.moves: list[Move] = []
        self.forward = set(graph.order([graph.outputs["value"]]))

    def step(self) -> Step:
        """Return the step."""
        for name in self.graph.wrt:
            gradient = self.graph.outputs[f"d{name}"]
            if not (self.still and gradient.is_const(0)):
                self.moves += self._picked(name, gradient) or [self._every(name, gradient)]
        names = {value: f"head{k}" for k, value in enumerate(self.heads, 1)}
        outputs = {"value": self.graph.outputs["value"]} | {name: value for value, name in names.items()}
        axes = self.graph.axes | {names[value]: order for value, order in self.order.items()}
        first = replace(self.graph, outputs=outputs, wrt=(), axes=axes)
        return Step(first, {self.heads[value]: name for value, name in names.items()}, tuple(self.moves))

    # All elements

    def _every(self, name: str, gradient: Value) -> Move:
        """Return the move of all elements of a parameter."""
        axes = self.graph.inputs[name].axes
        place = tuple(map(self.builder.iota, axes))
        return Move(name, place, self._of_heads(gradient, name, place))

    def _of_heads(self, gradient: Value, name: str, place: tuple[Value, ...]) -> Value:
        """Return a gradient with an input in the place of everything that the first half must compute."""
        moved, behind = set(union(index.axes for index in place)), self._behind(gradient)
        new: dict[Value, Value] = {}
        stack = [(gradient, False)]
        while stack:
            value, ready = stack.pop()
            if ready:
                new[value] = self.builder.rebuild(value, tuple(new.get(o, o) for o in value.operands))
            elif value not in new:
                if value not in behind and self._is_head(value, name, moved):
                    new[value] = self._head(value, name)
                else:
                    stack.append((value, True))
                    stack.extend((o, False) for o in value.operands if not (value.op == "read" and o.op == "input"))
        return new[gradient]

    def _behind(self, gradient: Value) -> set[Value]:
        """Return the parts of a gradient that are made of heads: the first half cannot compute these."""
        heads = set(self.heads.values())
        behind = set[Value]()
        for value in reachable([gradient]) if heads else ():
            if value in heads or not behind.isdisjoint(value.operands):
                behind.add(value)
        return behind

    def _head(self, value: Value, name: str) -> Value:
        """Return the input that stands for what the first half computes."""
        if value not in self.heads:
            own = [axis for axis in self.graph.inputs[name].axes if axis in value.axes]
            rest = [axis for axis in value.axes if axis not in own]
            rest.sort(key=lambda axis: axis != self.graph.sample)  # rows, so that products of matrices may fill them
            self.order[value] = (*rest, *own)
            self.heads[value] = self.builder.input(f"head of %{value.number}", self.order[value], value.kind)
        return self.heads[value]

    def _is_head(self, value: Value, name: str, moved: set[Axis]) -> bool:
        """Return whether a part of a gradient is computed in the first half.

        That is what reads parameters, all sums, and what is the same for many of the elements that are moved.
        """
        if value.op == "input":
            return value.attr in self.graph.wrt and not (value.attr == name and value.axes)
        if value.op == "read":
            array = value.operands[0]
            return array.op != "input" or array.attr in self.graph.wrt or self._is_found(value)
        if value.op in PRIMITIVES:
            return value in self.heads or self._is_shared(value, moved) or _is_total(value)
        return value.op not in ("const", "size", "iota")

    def _is_found(self, value: Value) -> bool:
        """Return whether a value is the label of a sample, in a row that the batch tells: it is looked up once."""
        looked_up = any(i.op in ("input", "read") for i in value.operands[1:])
        return value.kind == "int" and value.axes == (self.graph.sample,) and looked_up

    def _is_shared(self, value: Value, moved: set[Axis]) -> bool:
        """Return whether a part is the same for many of the elements that are moved, or is at hand in the first half.

        At hand are the functions that the objective is made of, such as the tanh of a layer; sample by sample, also
        what is made of functions, which every parameter that it moves would compute again.
        """
        axes = set(value.axes)
        if axes <= {self.graph.sample}:
            return value.kind == "real"
        if not axes <= moved or value.kind == "int":
            return False
        if axes < moved:
            return _takes_steps(value)
        if self.graph.sample in axes:  # a multiple is made of what several parameters may have in common
            return value.op not in ("mul", "neg") and _has_function(value)
        return value.op in FUNCTIONS and value in self.forward

    # Picked elements

    def _picked(self, name: str, gradient: Value) -> list[Move]:
        """Return the moves of the elements that data pick; none if all elements have to move."""
        totals = [v for v in _parts(gradient) if _is_pick(v)] if self.lazy else []
        if not totals or not self._vanishes(gradient, totals):
            return []
        if self.linear and _is_linear(gradient, totals):
            return [self._one_after_another(name, gradient, totals, term) for t in totals for term in terms(t)]
        return self._once(name, gradient, totals[0]) if len(totals) == 1 else []

    def _vanishes(self, gradient: Value, totals: Iterable[Value]) -> bool:
        """Return whether a gradient is 0 where none of its sums has a term."""
        return self._with(gradient, dict.fromkeys(totals, self.builder.const(0))).is_const(0)

    def _with(self, value: Value, replaced: Mapping[Value, Value]) -> Value:
        """Return a value with others in the place of some, simplified."""
        alone = replace(self.graph, outputs={"value": value}, names={}, cotangents={})
        return fold(alone.rewrite(lambda old, _: replaced.get(old))).outputs["value"]

    def _once(self, name: str, gradient: Value, total: Value) -> list[Move]:
        """Return the moves that visit the places of all terms, and find the sum of the terms in a head."""
        every = tuple(map(self.builder.iota, self.graph.inputs[name].axes))
        moved = self._of_heads(gradient, name, every)
        return [
            Move(
                name,
                *self._of_place(name, term.operands[1:], self._at(moved, name, term.operands[1:])),
                self.heads[total],
            )
            for term in terms(total)
        ]

    def _of_place(self, name: str, place: tuple[Value, ...], gradient: Value) -> tuple[tuple[Value, ...], Value]:
        """Return a place, and the gradient there, with the labels that were found in the first half."""
        return tuple(self._of_heads(index, name, place) for index in place), self._of_heads(gradient, name, place)

    def _at(self, value: Value, name: str, place: tuple[Value, ...]) -> Value:
        """Return what a value is at a place of a parameter."""
        index = dict(zip(self.graph.inputs[name].axes, place, strict=True))
        return substitute([value], index)[value]

    def _one_after_another(self, name: str, gradient: Value, totals: Iterable[Value], term: Value) -> Move:
        """Return the moves along one term of the sums."""
        place, builder = term.operands[1:], self.builder
        mark = builder.input("the term", self.graph.inputs[name].axes)
        alone = self._with(gradient, {v: mark if v is term else builder.const(0) for t in totals for v in terms(t)})
        at_place = self._at(alone, name, place)
        body = term.operands[0]
        summed = builder.reduce("sum", body, [a for a in body.axes if a not in union(i.axes for i in place)])
        here = next(v for v in reachable([at_place]) if v.op == "read" and v.operands[0] is mark)
        return Move(name, *self._of_place(name, place, self._with(at_place, {here: summed})))


def _parts(gradient: Value) -> list[Value]:
    """Return the sums that a gradient is made of."""
    found: dict[Value, None] = {}
    stack, seen = [gradient], set[Value]()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.op == "accumulate" or _is_total(value):
            found[value] = None
        elif value.op in PRIMITIVES:
            stack.extend(value.operands)
    return list(found)


def _is_total(value: Value) -> bool:
    """Return whether a value adds up sums that have all of its axes: one array can hold it."""
    stack, axes = [value], set(value.axes)
    while stack:
        part = stack.pop()
        if part.op in ("add", "sub"):
            stack.extend(part.operands)
        elif part.op not in ("accumulate", "sum") or set(part.axes) != axes:
            return False
    return bool(axes) and value.op in ("add", "sub")


def terms(total: Value) -> list[Value]:
    """Return the sums that a total adds up, or the one sum that it is."""
    found: dict[Value, None] = {}
    stack = [total]
    while stack:
        part = stack.pop()
        if part.op in ("add", "sub"):
            stack.extend(reversed(part.operands))
        else:
            found[part] = None
    return list(found)


def _takes_steps(value: Value) -> bool:
    """Return whether a value is more than one step of arithmetic, up to the sums that it is made of."""
    stack, steps = [value], 0
    while stack:
        part = stack.pop()
        if part.op in PRIMITIVES:
            steps += 1 if part.op in ARITHMETIC else 2
            stack.extend(part.operands)
        if steps > 1:
            return True
    return False


def _has_function(value: Value) -> bool:
    """Return whether there is more than arithmetic in a value, up to the sums that it is made of."""
    stack, seen = [value], set[Value]()
    while stack:
        part = stack.pop()
        if part.op in FUNCTIONS:
            return True
        if part.op in PRIMITIVES and part not in seen:
            seen.add(part)
            stack.extend(part.operands)
    return False


def _is_pick(total: Value) -> bool:
    """Return whether all terms of a total go to places that data pick."""
    return all(t.op == "accumulate" and any(_is_data(i) for i in t.operands[1:]) for t in terms(total))


def _is_data(index: Value) -> bool:
    return index.op == "input" or (index.op == "read" and index.operands[0].op == "input")


def _is_linear(gradient: Value, totals: Iterable[Value]) -> bool:
    """Return whether a gradient adds up its sums, each times something."""
    moving = set(totals)
    for value in reachable([gradient]):
        among = [k for k, o in enumerate(value.operands) if o in moving]
        if value in moving or not among:
            continue
        moving.add(value)
        factor = (value.op == "mul" and len(among) == 1) or (value.op == "div" and among == [0])
        if not (factor or value.op in ("add", "sub", "neg")):
            return False
    return True
