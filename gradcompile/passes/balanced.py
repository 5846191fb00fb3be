"""Quotients that go to a limit as one exponential grows above and below the line: ``p*exp(u)/(k + p*(exp(u) - 1))``.

So grows a population, and so does the price of a bond by Cox, Ingersoll and Ross go on. Where the exponential
overflows they would be inf/inf; beyond exp(80) they are at their limit, and the exponent may stay there. There is one
where no two factors grow above the line, nor below it. So it is with ``exp(u)/(exp(u) - 1)``.
"""

from __future__ import annotations

from gradcompile.ir import Value
from gradcompile.passes.exponentials import HIGHEST, grows, negated
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.quotients import factors, replaced

GROWING = ("exp", "expm1")
SUMS = ("add", "sub")
DEEPEST = 8  # operations inside one another that are looked through


def quotient(a: Value, b: Value) -> Value | None:
    """Return a/b with an exponent that does not grow beyond 80, if it has one above and below, once as ``exp(u) - 1``.

    A quotient of ``exp(u)`` alone is no such one: it is another exponential.
    """
    below = _exponents(b, DEEPEST) if a.op != "const" else []
    if len(below) != 1 or _exponents(a, DEEPEST) != below:
        return None
    (u,) = below
    if not (_holds(b, u) or (_holds(a, u) and any(map(_in_sum, (a, b))))):
        return None
    if any(_degree(x, u, DEEPEST) != 1 for x in (a, b)):
        return None
    if u.op == "minimum" or not_negative(negated(u)):
        return None
    bounded = u.builder.apply("minimum", u, HIGHEST)
    if (share := _share(a, b, u, bounded)) is not None:
        return share
    return _with(a, u, bounded, DEEPEST) / _with(b, u, bounded, DEEPEST)


def _share(a: Value, b: Value, u: Value, bounded: Value) -> Value | None:
    """Return a/b with ``exp(u)/(exp(u) - 1)`` as one factor, if it is one: no product with exp(80) overflows then."""
    apply, one = a.builder.apply, a.builder.const(1)
    growing, less = apply("exp", u), apply("expm1", u)
    if growing not in factors(a) or less not in factors(b):
        return None
    share = apply("exp", bounded) / apply("expm1", bounded)
    above, below = replaced(a, growing, one), replaced(b, less, one)
    whole = share if above.is_const(1) else above * share
    return whole if below.is_const(1) else whole / below


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


def _degree(x: Value, u: Value, depth: int) -> int:
    """Return of which degree a sum of products is in ``exp(u)``."""
    if x.op in GROWING:
        return int(x.operands[0] is u)
    if not depth or x.op not in (*SUMS, "mul", "div", "neg"):
        return 0
    degrees = [_degree(o, u, depth - 1) for o in x.operands]
    return sum(degrees) if x.op == "mul" else max(degrees)  # nothing grows in what is divided by


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
