"""Quotients that go to a limit as one exponential grows above and below the line: ``p*exp(u)/(k + p*(exp(u) - 1))``.

So grows a population, and so does the price of a bond by Cox, Ingersoll and Ross go on. Where the exponential
overflows they would be inf/inf; beyond exp(80) they are at their limit, and the exponent may stay there.
"""

from __future__ import annotations

from gradcompile.ir import Value
from gradcompile.passes.exponentials import HIGHEST, grows, negated
from gradcompile.passes.logarithms import not_negative

GROWING = ("exp", "expm1")
SUMS = ("add", "sub")
DEEPEST = 8  # operations inside one another that are looked through


def quotient(a: Value, b: Value) -> Value | None:
    """Return a/b with an exponent that does not grow beyond 80, if it has one above and below, once as ``exp(u) - 1``.

    A quotient of exponentials alone is no such one: it is another exponential.
    """
    below = _exponents(b, DEEPEST) if a.op != "const" else []
    if len(below) != 1 or _exponents(a, DEEPEST) != below:
        return None
    (u,) = below
    if not (_holds(a, u) or _holds(b, u)) or not any(map(_in_sum, (a, b))):
        return None
    if u.op == "minimum" or not_negative(negated(u)):
        return None
    bounded = u.builder.apply("minimum", u, HIGHEST)
    return _with(a, u, bounded, DEEPEST) / _with(b, u, bounded, DEEPEST)


def _in_sum(x: Value, depth: int = DEEPEST) -> bool:
    """Return whether what grows in a product is a sum."""
    if x.op in SUMS:
        return bool(_exponents(x, depth))
    return depth > 0 and x.op in ("mul", "div", "neg") and any(_in_sum(o, depth - 1) for o in x.operands)


def _exponents(x: Value, depth: int) -> list[Value]:
    """Return the exponents of what grows in a sum of products; a list that no other is equal to if there is more."""
    if x.op in GROWING:
        return [x.operands[0]]
    if x.op in (*SUMS, "mul", "neg") and depth:
        return list(dict.fromkeys(u for o in x.operands for u in _exponents(o, depth - 1)))
    if x.op == "div" and depth and not _exponents(x.operands[1], depth - 1):
        return _exponents(x.operands[0], depth - 1)
    return [x] if grows(x) else []


def _holds(x: Value, u: Value, depth: int = DEEPEST) -> bool:
    """Return whether a sum of products has ``exp(u) - 1`` as a factor in it."""
    if x.op == "expm1":
        return x.operands[0] is u
    return depth > 0 and x.op in ("mul", "div", "neg", *SUMS) and any(_holds(o, u, depth - 1) for o in x.operands)


def _with(x: Value, u: Value, bounded: Value, depth: int) -> Value:
    """Return a value with the exponentials of another exponent."""
    if x.op in GROWING and x.operands[0] is u:
        return x.builder.apply(x.op, bounded)
    if not depth or x.op not in (*SUMS, "mul", "div", "neg"):
        return x
    return x.builder.rebuild(x, tuple(_with(o, u, bounded, depth - 1) for o in x.operands))
