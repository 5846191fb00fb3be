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
    """Return a/b with an exponent that does not grow beyond 80, if it has one above and as ``exp(u) - 1`` below."""
    above = _exponents(a, DEEPEST) if b.op in SUMS else []
    if len(above) != 1 or _exponents(b, DEEPEST) != above:
        return None
    (u,) = above
    if not any(_holds(term, u) for term in b.operands) or u.op == "minimum" or not_negative(negated(u)):
        return None
    bounded = u.builder.apply("minimum", u, HIGHEST)
    return _with(a, u, bounded, DEEPEST) / _with(b, u, bounded, DEEPEST)


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
    """Return whether a term of a sum has ``exp(u) - 1`` as a factor."""
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
