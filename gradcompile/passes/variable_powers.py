"""Sums of powers whose exponents are no numbers, such as ``u**(-k) + v**(-k) - 1``, of which a logarithm is taken.

A power of a positive number is an exponential, ``x**y = exp(y*log(x))``, which has a form that does not overflow. A
negative number has powers that are whole, so that what is written remains where a base is not seen to be positive; and
so it does for distances and the like, which are often 0 and whose powers are seldom large.
"""

from __future__ import annotations

from gradcompile.ir import Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.logarithms import not_negative, positive

MANY = 8  # terms of a sum


def is_variable(x: Value) -> bool:
    """Return whether a value is a power whose exponent is no number."""
    return x.op == "pow" and x.operands[1].op != "const" and x.operands[1].kind == "real"


def may_be_0(base: Value) -> bool:
    """Return whether a value is a distance, or anything else that is not negative and has its least value at 0."""
    return not_negative(base) and not positive(base)


def as_exponentials(x: Value) -> tuple[Value | None, Value] | None:
    """Return when a sum is one of exponentials (None: always), and that sum; None if it has no such powers."""
    parts = terms(x)
    powers = [value for _, value in parts if is_variable(value)]
    if not powers or len(parts) > MANY or any(may_be_0(power.operands[0]) for power in powers):
        return None
    condition: Value | None = None
    apply = x.builder.apply
    for base in dict.fromkeys(power.operands[0] for power in powers):
        if not positive(base):
            above = apply("gt", base, 0)
            condition = above if condition is None else apply("and", condition, above)
    return condition, _sum([(sign, _exponential(value)) for sign, value in parts])


def terms(x: Value) -> list[tuple[int, Value]]:
    """Return the terms of a sum with their signs; of ``x**y - 1``, the choice that has been made of it, too."""
    found, stack = list[tuple[int, Value]](), [(1, x)]
    while stack and len(found) <= MANY:
        sign, value = stack.pop()
        if value.op in ("add", "sub", "neg"):
            stack.append((sign if value.op == "add" else -sign, value.operands[-1]))
            stack += [(sign, value.operands[0])] if value.op != "neg" else []
        elif value.op == "select" and value.operands[2].op == "sub" and is_variable(value.operands[2].operands[0]):
            stack.append((sign, value.operands[2]))
        else:
            found.append((sign, value))
    return found


def _exponential(x: Value) -> Value:
    if not is_variable(x):
        return x
    apply, (base, exponent) = x.builder.apply, x.operands
    return apply("exp", exponent * apply("log", base))


def _sum(terms: list[tuple[int, Value]]) -> Value:
    """Return a sum; what is added comes first."""
    (sign, total), *others = sorted(terms, key=lambda term: -term[0])
    total = total if sign > 0 else negated(total)
    for sign, value in others:
        total = total + value if sign > 0 else total - value
    return total
