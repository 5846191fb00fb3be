"""Conditions: which of them bound a loop, and under which a value is needed at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradcompile.ir import LEAVES, MATRIX_FUNCTIONS, Axis, Graph, Value
from gradcompile.schedule.nodes import Bounds, Case, Guard, conditions_of

ALWAYS: Guard = frozenset((frozenset(),))
DEEPEST = 6  # conditions inside one another that are taken apart
MOST = 4  # cases; more are replaced by what they have in common
ELSEWHERE = ("read", "accumulate", "running", *MATRIX_FUNCTIONS)  # operations that take elements from other indices


def guards(graph: Graph, order: list[Value]) -> dict[Value, Guard]:
    """Return, for each value that only branches use, the cases in which one of them is taken.

    A target whose functions raise outside their domain (pure Python) must not evaluate such a value elsewhere.

    Parameters
    ----------
    graph : Graph
        Whose outputs are needed in every case.
    order : list of Value
        Its values, each after all that it is evaluated after.
    """
    found: dict[Value, Guard] = dict.fromkeys(graph.outputs.values(), ALWAYS)
    for value in reversed(order):
        mine = found[value] = within(found.get(value, ALWAYS), value.axes)
        for operand, taken in _needed(value, mine):
            found[operand] = either(found[operand], taken) if operand in found else taken
    return _without_circles(order, {value: guard for value, guard in found.items() if guard is not ALWAYS})


def _needed(value: Value, guard: Guard) -> Iterator[tuple[Value, Guard]]:
    """Yield the operands of a value with such a guard, and the cases in which it needs each."""
    for place, operand in enumerate(value.operands):
        if operand.op in LEAVES:
            continue
        if value.op in ELSEWHERE:
            yield operand, ALWAYS  # another element of the operand may be needed than the one at these indices
        elif value.op == "select" and place:
            yield operand, both(guard, cases(value.operands[0], place == 1))
        elif value.op in ("and", "or") and place:  # evaluated only where the first operand does not decide
            yield operand, both(guard, cases(value.operands[0], value.op == "and"))
        else:
            yield operand, guard


def _without_circles(order: list[Value], found: dict[Value, Guard]) -> dict[Value, Guard]:
    """Return the guards without those that would have a condition wait for itself, directly or through others."""
    waits = {v: {*v.operands, *conditions_of(found.get(v))} for v in order}
    users: dict[Value, list[Value]] = {}
    for value, needed in waits.items():
        for each in needed:
            users.setdefault(each, []).append(value)
    ready, left = [v for v in order if not waits[v]], dict.fromkeys(v for v in order if waits[v])
    while ready or left:
        if not ready:  # a circle: the first value in it that has a guard goes without
            first = next(v for v in left if v in found and all(o not in left for o in v.operands))
            _unguard(first, found)
            del left[first]
            ready.append(first)
        value = ready.pop()
        for user in users.get(value, ()):
            waits[user].discard(value)
            if not waits[user] and user in left:
                del left[user]
                ready.append(user)
    return found


def _unguard(value: Value, found: dict[Value, Guard]) -> None:
    """Take the guard from a value, and let what it needs have a value wherever it is evaluated now."""
    stack = [(value, ALWAYS)]
    while stack:
        each, taken = stack.pop()
        if each not in found:
            continue
        wider = ALWAYS if taken is ALWAYS else either(found[each], within(taken, each.axes))
        if wider == found[each]:
            continue
        if wider is ALWAYS:
            del found[each]
        else:
            found[each] = wider
        stack.extend(_needed(each, wider))


def within(guard: Guard, axes: tuple[Axis, ...]) -> Guard:
    """Return what a guard says of each element of a value with these axes: nothing that is said along others."""
    if all(set(condition.axes) <= set(axes) for case in guard for condition, _ in case):
        return guard
    return covered([frozenset(each for each in case if set(each[0].axes) <= set(axes)) for case in guard])


def cases(condition: Value, holds: bool, depth: int = DEEPEST) -> Guard:
    """Return the cases in which a condition holds (or does not): ``not``, ``and``, ``or`` are taken apart.

    One of too many cases stays whole.
    """
    if condition.op == "not":
        return cases(condition.operands[0], not holds, depth)
    whole = frozenset((frozenset(((condition, holds),)),))
    if condition.op not in ("and", "or") or not depth:
        return whole
    a, b = (cases(operand, holds, depth - 1) for operand in condition.operands)
    if holds == (condition.op == "and"):
        return both(a, b) if len(a) * len(b) <= MOST else whole
    return either(a, b) if len(a) + len(b) <= MOST else whole


def both(a: Guard, b: Guard) -> Guard:
    """Return the guard that holds where two do, without cases that contradict themselves."""
    joined = [first | second for first in a for second in b]
    possible = [case for case in joined if not any((c, not holds) in case for c, holds in case)]
    return covered(possible or joined)


def either(a: Guard, b: Guard) -> Guard:
    """Return the guard that holds where one of two does."""
    return ALWAYS if a is ALWAYS or b is ALWAYS else covered([*a, *b])


def covered(found: Iterable[Case]) -> Guard:
    """Return cases as a guard, without those that others cover; too many are replaced by what they share."""
    least = set(found)
    while True:
        merged = {
            one - {(c, holds)} for one in least for c, holds in one if (one - {(c, holds)}) | {(c, not holds)} in least
        }
        if merged <= least:
            break
        least = _minimal(least | merged)
    least = _minimal(least)
    if len(least) > MOST:
        least = {frozenset.intersection(*least)}
    return frozenset(least) if all(least) else ALWAYS


def _minimal(cases: set[Case]) -> set[Case]:
    return {case for case in cases if not any(other < case for other in cases)}


def index_bounds(condition: Value, order: list[Axis]) -> dict[Axis, Bounds] | None:
    """Return the bounds of the inner loop that stand for a comparison of two indices, or None."""
    if condition.op not in ("lt", "le", "gt", "ge") or any(o.op != "iota" for o in condition.operands):
        return None
    left, right = condition.operands
    if left.attr == right.attr:
        return None
    low, high, strict = (
        (left, right, condition.op == "lt") if condition.op in ("lt", "le") else (right, left, condition.op == "gt")
    )
    inner = max(low.attr, high.attr, key=order.index)
    if inner == high.attr:  # i > j: the inner index starts behind the outer one
        return {inner: (low + 1 if strict else low, None)}
    slack = inner.size - high.attr.size + (1 if strict else 0)
    if slack.terms or slack.constant < 0:
        return None
    return {inner: (None, high if strict else high + 1)}
