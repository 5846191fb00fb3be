"""Conditions that always hold, never do, or say what one comparison says.

Where several branches use a value, its derivative is asked for under the condition of each: ``y < 1`` is not so, or
``y >= K`` is not so. A table of all cases tells that one of the two always holds, for no y is below 1 and at least K.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from gradcompile.ir import Value

CONNECTIVES = ("and", "or", "not", "const")
INDICES = ("iota", "size", "const")
MOST = 6  # comparisons of which all cases are looked at
LARGEST = 64  # conditions inside of the one that is looked at
BELOW, ABOVE = ("lt", "le"), ("gt", "ge")
NEGATED = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "ne": "eq"}
Bound = tuple[str, Value]  # the comparison of a number, and what it is compared with


def decided(condition: Value) -> Value | None:
    """Return what is the same as a condition in all cases: a truth value, a part of it, or not a comparison in it."""
    parts = parts_of(condition)
    atoms = [part for part in parts if part.op not in CONNECTIVES]
    if not 0 < len(atoms) <= MOST:
        return None
    every = (1 << (1 << len(atoms))) - 1  # one bit for each case
    tables = {atom: _column(k, len(atoms)) for k, atom in enumerate(atoms)}
    possible = every
    for one, other in combinations(atoms, 2):
        if exclude(one, other):
            possible &= ~(tables[one] & tables[other])
        if exhaust(one, other):
            possible &= tables[one] | tables[other]
        if opposite(one, other):
            possible &= tables[one] ^ tables[other]
    tables = _table(parts, tables, every)
    whole = tables[condition] & possible
    if whole in (0, possible):
        return condition.builder.const(whole != 0)
    for part in parts:
        if part is not condition and whole == tables[part] & possible:
            return part
    for atom in atoms:
        if whole == ~tables[atom] & possible:
            return condition.builder.apply("not", atom)
    return None


def is_of_indices(condition: Value) -> bool:
    """Return whether a condition compares indices with one another: a triangle, which bounds loops."""
    return condition.op not in CONNECTIVES and all(operand.op in INDICES for operand in condition.operands)


def parts_of(condition: Value) -> list[Value]:
    """Return a condition and those inside of it, the inner ones first; nothing if they are many."""
    waiting, found = [condition], {condition}
    for value in waiting:
        inner = value.operands if value.op in CONNECTIVES else ()
        further = [o for o in dict.fromkeys(inner) if o not in found]
        waiting += further
        found.update(further)
        if len(found) > LARGEST:
            return []
    return sorted(waiting, key=lambda value: value.number)


def _column(place: int, count: int) -> int:
    """Return the cases in which one of several comparisons holds, as bits."""
    return sum(1 << case for case in range(1 << count) if case >> place & 1)


def _table(parts: Sequence[Value], tables: dict[Value, int], every: int) -> dict[Value, int]:
    """Return the cases in which each condition holds, given those of comparisons."""
    found = dict(tables)
    for value in parts:
        if value.op == "const":
            found[value] = every if value.attr else 0
        elif value.op == "not":
            found[value] = every & ~found[value.operands[0]]
        elif value.op in ("and", "or"):
            left, right = (found[operand] for operand in value.operands)
            found[value] = left & right if value.op == "and" else left | right
    return found


def exclude(first: Value, second: Value) -> bool:
    """Return whether no number satisfies two comparisons: it equals two, or is below one and above a larger one."""
    if len(first.operands) != 2 or len(second.operands) != 2 or first.operands[0] is not second.operands[0]:
        return False
    return _differ((first.op, first.operands[1]), (second.op, second.operands[1]))


def exhaust(first: Value, second: Value) -> bool:
    """Return whether every whole number satisfies one of two comparisons: not to do so, it had to be both others."""
    if not {first.op, second.op} <= NEGATED.keys() or first.operands[0] is not second.operands[0]:
        return False
    whole = first.operands[0].kind == "int" or first.op == second.op == "ne"  # nan satisfies no others
    return whole and _differ((NEGATED[first.op], first.operands[1]), (NEGATED[second.op], second.operands[1]))


def _differ(first: Bound, second: Bound) -> bool:
    """Return whether no number is at two sides of bounds."""
    (op, left), (other, right) = first, second
    if op == other == "eq":
        return left.op == right.op == "const" and left.attr != right.attr
    if op in ABOVE and other in BELOW:
        op, other, left, right = other, op, right, left
    if op not in BELOW or other not in ABOVE:
        return False
    strict = op == "lt" or other == "gt"  # else both hold where the two bounds are one number
    return _is_below(left, right) or (strict and left is right) or _is_least(left, right, strict=strict)


def opposite(first: Value, second: Value) -> bool:
    """Return whether one of two comparisons says that two values are equal, and the other that they are not."""
    return {first.op, second.op} == {"eq", "ne"} and {*first.operands} == {*second.operands}


def _is_below(low: Value, high: Value) -> bool:
    """Return whether a number is known to be less than another."""
    return _is_number(low) and _is_number(high) and bool(low.attr < high.attr)


def _is_least(low: Value, high: Value, *, strict: bool) -> bool:
    """Return whether a number is at most 1, or less, and another a length, which is at least 1."""
    length = high.op == "size" and high.attr.constant >= 0 and all(count > 0 for _, count in high.attr.terms)
    return length and _is_number(low) and bool(low.attr <= 1 if strict else low.attr < 1)


def _is_number(value: Value) -> bool:
    """Return whether a value is a number that can be compared with others: pi and e have names."""
    return value.op == "const" and not isinstance(value.attr, str)
