"""Sums of terms that count in some cases as one choice by cases, and choices in which it is known which case it is.

The slope of what several branches use has a term for each: ``(p if c else 0) + (q if d and not c else 0)`` is
``p if c else q if d else 0``. And where d is ``c or e``, a choice by d outside says that either c or e holds inside:
``(p if c else q if d else 0)/r if d else 0`` is ``(p if c else q)/r if d else 0``. Neither changes a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

from gradcompile.ir import Graph, Value
from gradcompile.passes.decided import exclude, is_of_indices, opposite, parts_of
from gradcompile.passes.uses import Uses, rewrite_used

Known = Mapping[Value, bool]
LINEAR = ("neg", "add", "sub", "mul", "div")
DEEPEST = 6  # operations inside of one another that are looked through
MOST = 6  # choices of which all cases are looked at
MADE = 24  # operations at which these are too many


def cases(graph: Graph) -> Graph:
    """Return the graph with choices by cases in place of sums of choices.

    Parameters
    ----------
    graph : Graph
        With its backward half.
    """
    if sum(value.op == "select" for value in graph.order()) < 2:
        return graph
    return rewrite_used(graph, _rule)


def _rule(value: Value, uses: Uses) -> Value:
    if value.op == "select" and not is_of_indices(value.operands[0]):
        return _told(value, {}, uses, DEEPEST, outermost=True)
    if value.op in ("add", "sub"):
        one, other = value.operands
        joined = _joined(one, other, 1 if value.op == "add" else -1, uses, DEEPEST)
        if joined is None and value.op == "add":
            joined = _joined(other, one, 1, uses, DEEPEST)
        return value if joined is None else joined
    return value


# Sums


def _joined(total: Value, choice: Value, sign: int, uses: Uses, depth: int) -> Value | None:
    """Return a sum with a choice added to one of its terms that is a choice, too; None if that is no simpler."""
    if not _is_choice(choice, uses) or not depth or total not in uses.own:
        return None
    if total.op == "select":
        return _by_cases(total, choice, sign, uses)
    if total.op not in ("add", "sub"):
        return None
    for place, term in enumerate(total.operands):
        own = -sign if total.op == "sub" and place else sign
        if (joined := _joined(term, choice, own, uses, depth - 1)) is not None:
            return total.builder.apply(total.op, *(joined if k == place else o for k, o in enumerate(total.operands)))
    return None


def _is_choice(value: Value, uses: Uses) -> bool:
    return value.op == "select" and value.kind == "real" and value in uses.own


def _by_cases(one: Value, other: Value, sign: int, uses: Uses) -> Value | None:
    """Return the sum of two choices as one, where it has fewer operations."""
    before = [*_choices(one, uses), *_choices(other, uses)]
    conditions = [parts_of(choice.operands[0]) for choice in before]
    if {*one.axes} != {*other.axes} or not all(conditions) or len(before) > MOST:
        return None
    if any(is_of_indices(part) for parts in conditions for part in parts):
        return None
    ways = [_Sum(one, other, sign, first) for first in (_first_comparison, _left)]
    best = min(ways, key=lambda way: len(way.made))
    if len(best.made) > len(before) + (sign < 0):  # what is taken away has its sign inside
        return None
    uses.own.update(best.made)
    return best.result


def _choices(value: Value, uses: Uses) -> list[Value]:
    """Return a choice and those that are its branches, and nothing else's."""
    branches = (_choices(o, uses) for o in value.operands[1:] if _is_choice(o, uses))
    return [value, *chain.from_iterable(branches)]


class _Sum:
    """A sum of two choices as choices of sums.

    Parameters
    ----------
    one, other : Value
        The choices.
    sign : {1, -1}
        Of the other.
    first : callable
        Returns what is asked first for a condition to be known, where others are.

    Attributes
    ----------
    made : list of Value
        The operations of the result.
    result : Value
        The sum.
    """

    def __init__(self, one: Value, other: Value, sign: int, first: Callable[[Value, Known], Value]) -> None:
        self.sign, self.first, self.made = sign, first, list[Value]()
        self.result = self._in_case(one, other, {})

    def _in_case(self, one: Value, other: Value, known: Known) -> Value:
        """Return the sum where some conditions are known."""
        one, other = _in_case(one, known), _in_case(other, known)
        condition = next((each.operands[0] for each in (one, other) if each.op == "select"), None)
        if condition is None or len(self.made) > MADE:
            return self._added(one, other)
        asked = self.first(condition, known)
        yes, no = (self._in_case(one, other, _with(known, asked, holds)) for holds in (True, False))
        return yes if yes is no else self._make("select", asked, yes, no)

    def _added(self, one: Value, other: Value) -> Value:
        if other.is_const(0):
            return one
        if one.is_const(0):
            return other if self.sign > 0 else self._make("neg", other)
        return self._make("add" if self.sign > 0 else "sub", one, other)

    def _make(self, op: str, *operands: Value) -> Value:
        self.made.append(operands[0].builder.apply(op, *operands))
        return self.made[-1]


# Conditions


def _in_case(value: Value, known: Known) -> Value:
    """Return the branch that a choice takes where some conditions are known, as far as they tell."""
    while value.op == "select" and (holds := _holds(value.operands[0], known)) is not None:
        value = value.operands[1 if holds else 2]
    return value


def _with(known: Known, condition: Value, holds: bool) -> Known:
    """Return what is known, and that a condition holds or does not, and what follows for its parts and others."""
    found, waiting = dict(known), [(condition, holds)]
    if not parts_of(condition):
        return {**known, condition: holds}  # of many parts
    while waiting:
        part, truth = waiting.pop()
        found[part] = truth
        for each, whole in [*found.items()]:
            if each.op == "not":
                follows = [(each.operands[0], not whole)]
            elif each.op in ("and", "or"):
                every = whole == (each.op == "and")  # else one of two, which has to be the other of one that is not
                follows = [(o, whole) for o, other in _pairs(each) if every or found.get(other) is (not whole)]
            else:
                follows = []
            waiting += [(o, t) for o, t in follows if o not in found and (o, t) not in waiting]
    return found


def _pairs(condition: Value) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    one, other = condition.operands
    return (one, other), (other, one)


def _holds(condition: Value, known: Known) -> bool | None:
    """Return whether a condition holds where others are known to hold or not to; None if they do not tell."""
    if condition in known:
        return known[condition]
    if condition.op == "const":
        return bool(condition.attr)
    if condition.op == "not":
        inner = _holds(condition.operands[0], known)
        return None if inner is None else not inner
    if condition.op in ("and", "or"):
        parts = [_holds(operand, known) for operand in condition.operands]
        decisive = condition.op == "or"
        return decisive if decisive in parts else None if None in parts else not decisive
    for other, holds in known.items():
        if holds and exclude(condition, other):
            return False
        if opposite(condition, other):
            return not holds
    return None


def _left(condition: Value, known: Known) -> Value:
    """Return what is to be asked for a condition to be known where others are."""
    while condition.op in ("not", "and", "or"):
        unknown = [operand for operand in condition.operands if _holds(operand, known) is None]
        if len(unknown) > 1:
            break
        condition = unknown[0]
    return condition


def _first_comparison(condition: Value, known: Known) -> Value:
    """Return the first comparison of a condition that is not known where others are."""
    while condition.op in ("not", "and", "or"):
        condition = next(operand for operand in condition.operands if _holds(operand, known) is None)
    return condition


# Branches


def _told(value: Value, known: Known, uses: Uses, depth: int, *, outermost: bool = False) -> Value:
    """Return a value where some conditions are known: choices in it that these decide are no more."""
    value = value if outermost else _in_case(value, known)
    if not depth or not (outermost or value in uses.own):
        return value
    if value.op == "select":
        condition, *branches = value.operands
        cases = [_with(known, condition, holds) for holds in (True, False)]
        told = [_told(branch, case, uses, depth - 1) for branch, case in zip(branches, cases, strict=True)]
        return value if told == branches else value.builder.apply("select", condition, *told)
    if value.op not in LINEAR:
        return value
    told = [_told(operand, known, uses, depth - 1) for operand in value.operands]
    return value if told == [*value.operands] else value.builder.apply(value.op, *told)
