"""Functions of choices for choices of functions: ``where(c, log(a), log(b))`` is ``log(where(c, a, b))``.

In a loop that is to become vectors both branches are computed for every sample, so of a form near to 0 and one far from
it the common function was computed twice, and so were the quotients of its slope. A term beside the function, as in
``where(c, log(a), top + log(b))``, is chosen by itself; what a further branch has, is chosen last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.decided import is_of_indices
from gradcompile.passes.uses import Uses, rewrite_used

FUNCTIONS = (
    "log exp log1p expm1 log1mexp logtail erf erfc erfcx tanh sigmoid softplus logcosh lgamma digamma sin cos asinh"
).split()


class Branch(NamedTuple):
    """A branch as a function of a value, added to or taken from what is beside it."""

    function: Value
    beside: Value | None
    sign: int

    def has_the_function_of(self, other: Branch) -> bool:
        """Return whether both add, or take away, the same function of something."""
        return self.function.op == other.function.op and self.sign == other.sign


def choices(graph: Graph) -> Graph:
    """Return the graph with functions of choices in place of choices of functions.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    """
    if not any(value.op == "select" for value in graph.order()):
        return graph
    return rewrite_used(graph, lambda value, uses: _chosen(value, uses) if value.op == "select" else value)


def _chosen(value: Value, uses: Uses) -> Value:
    condition, one, other = value.operands
    if is_of_indices(condition):
        return value  # a triangle, which bounds loops
    left, right = _branch(one, value, uses), _branch(other, value, uses)
    if left is not None and right is not None and left.has_the_function_of(right):
        return _together(condition, left, right)
    return _nested(value, left, uses) or value


def _together(condition: Value, one: Branch, other: Branch) -> Value:
    apply = condition.builder.apply
    function = apply(one.function.op, apply("select", condition, one.function.operands[0], other.function.operands[0]))
    beside = one.beside
    if one.beside is not other.beside:
        terms = (0 if each is None else each for each in (one.beside, other.beside))
        beside = apply("select", condition, *terms)
    return _sum(beside, function, one.sign)


def _sum(beside: Value | None, term: Value, sign: int) -> Value:
    if beside is None:
        return term if sign > 0 else -term
    return beside + term if sign > 0 else beside - term


def _nested(value: Value, one: Branch | None, uses: Uses) -> Value | None:
    """Return ``where(c, f(a), where(d, f(b), rest))`` as ``where(c or d, f(where(c, a, b)), rest)``."""
    condition, _, other = value.operands
    if one is None or one.beside is not None or other.op != "select" or other not in uses.own:
        return None
    further, inner, rest = other.operands
    second = _branch(inner, value, uses)
    if second is None or second.beside is not None or is_of_indices(further) or not one.has_the_function_of(second):
        return None
    apply = value.builder.apply
    return apply("select", apply("or", condition, further), _together(condition, one, second), rest)


def _branch(value: Value, choice: Value, uses: Uses) -> Branch | None:
    """Return a branch that has a function which nothing else uses, for each element of the choice."""
    for branch in _terms(value, uses):
        function = branch.function
        mine = function.op in FUNCTIONS and function in uses.own and {*function.axes} == {*choice.axes}
        quotient = function.op == "log" and function.operands[0].op == "div"  # it has a slope for each part
        if mine and choice.axes and not quotient:
            return branch
    return None


def _terms(value: Value, uses: Uses) -> Iterator[Branch]:
    """Yield each term of a value, with what the value has beside it."""
    stack = [Branch(value, None, 1)]
    while stack:
        term, beside, sign = branch = stack.pop()
        yield branch
        if term not in uses.own:
            continue
        if term.op == "neg":
            stack.append(Branch(term.operands[0], beside, -sign))
        elif term.op in ("add", "sub"):
            one, other = term.operands
            second = sign if term.op == "add" else -sign
            stack.append(Branch(other, _sum(beside, one, sign), second))
            stack.append(Branch(one, _sum(beside, other, second), sign))
