"""Limits of what depends on a power, or an exponential, that may be infinite: ``exp(-(x/l)**k)``, ``1/(1 + (x/a)**b)``.

The value is 0 there, but its slope is 0 times infinite, and so is a product with another power, as the density of
Weibull has. Where the power is infinite, the limit is a number, without a slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from gradcompile.ir import Graph, Value
from gradcompile.passes.polynomials import SUMS
from gradcompile.passes.quotients import factors, is_variable, replaced
from gradcompile.passes.tails import may_be_large

VANISHING = {"exp": 0, "expm1": -1, "log1mexp": 0}  # functions, and their limits at -infinity
GROWING = ("exp", "expm1", "expm1over")  # functions that grow as the exponential of their last operand
MANY = 8  # terms of a sum that are looked at
FAR = 80  # exp(-exp(80)) is 0, whatever it is multiplied by, and exp(80) is finite in float32
LOWEST = -800  # where `stabilise` lets exponents end


def steep(graph: Graph) -> Graph:
    """Return the graph with choices where powers and exponentials are infinite of which there is a limit."""
    order = graph.order()
    if not any(value.op in ("pow", *VANISHING) for value in order):
        return graph
    divisors = {factor for value in order if value.op == "div" for factor in factors(value.operands[1])}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        make = RULES.get(value.op)
        if make is None or value in divisors:  # 1/exp(-p) grows, and its slopes are not divided by that
            return None
        return make(value.builder.rebuild(value, operands))

    return graph.rewrite(rule)


def _vanishing(x: Value) -> Value | None:
    """Return a function that goes to a limit, where its argument has a steep term: it may be -infinite."""
    (u,) = x.operands
    if not any(_is_steep(factor) for term in _terms(u) for factor in _factors(term)):
        return None
    return x.builder.apply("select", x.builder.apply("lt", u, LOWEST), VANISHING[x.op], x)


def _product(x: Value) -> Value | None:
    """Return a product of what vanishes and what grows as a choice: where one is 0 and the other infinite, it is 0."""
    parts = list(factors(x))
    for part in parts:
        if (found := _where(part)) is not None and any(_is_steep(other) for other in parts if other is not part):
            condition, inside = found
            return _choice(condition, replaced(x, part, inside), 0)
    return None


def _where(x: Value) -> tuple[Value, Value] | None:
    """Return where an exponential may not be 0 yet, and what it is there; None if it does not vanish steeply."""
    apply = x.builder.apply
    if x.op == "select" and x.operands[0].op == "lt" and x.operands[0].operands[1].is_const(LOWEST):
        return apply("not", x.operands[0]), x.operands[2]
    if x.op != "exp":
        return None
    (u,) = x.operands
    if u.op == "maximum" and u.operands[1].is_const(LOWEST):
        return apply("ne", u.operands[0], -math.inf), x
    inner = next((f.operands[0] for f in _factors(u) if f.op == "exp" and f.operands[0].op == "minimum"), None)
    return None if inner is None else (apply("not", apply("gt", inner.operands[0], FAR)), x)


def _quotient(x: Value) -> Value | None:
    """Return a quotient by a sum with one steep term, or by a product with exp(u) - 1, as 0 where that is infinite."""
    above, below = x.operands
    if below.op in SUMS:
        terms = _terms(below)
        large = [term for term in terms if any(map(_is_steep, _factors(term)))] if len(terms) <= MANY else []
    else:
        large = [f for f in factors(below) if f is not below and f.op == "expm1" and may_be_large(f.operands[0])]
    if len(large) != 1 or any(map(_is_steep, factors(above))):
        return None
    return _choice(x.builder.apply("ne", large[0], math.inf), x, 0)


def _share(x: Value) -> Value | None:
    """Return a share of a sum as 1 where what has it is infinite, and what is left of the sum is not steep."""
    part, rest = x.operands
    if not any(factor.op == "pow" for factor in _factors(part)):
        return None
    if any(factor.op in ("pow", "exp") for term in _terms(rest) for factor in _factors(term)):
        return None
    return _choice(x.builder.apply("ne", part, math.inf), x, 1)


RULES: dict[str, Callable[[Value], Value | None]] = {
    **dict.fromkeys(VANISHING, _vanishing),
    "mul": _product,
    "div": _quotient,
    "share": _share,
}


def _choice(condition: Value, x: Value, limit: int) -> Value:
    return x.builder.apply("select", condition, x, limit)


def _is_steep(x: Value) -> bool:
    """Return whether a factor may be infinite with a slope that is: of squares, the slopes are finite for longer."""
    if x.op == "expm1div":
        return may_be_large(x.operands[0] * x.operands[1])
    if x.op in GROWING:
        return x.operands[-1].op != "minimum" and may_be_large(x.operands[-1])
    return is_variable(x)


def _terms(x: Value) -> list[Value]:
    """Return the terms of a sum, without their signs."""
    found, stack = list[Value](), [x]
    while stack and len(found) <= MANY:
        value = stack.pop()
        if value.op in SUMS:
            stack.extend(value.operands)
        else:
            found.append(value)
    return found


def _factors(x: Value) -> Iterator[Value]:
    """Yield the factors of a product, without its sign; of a quotient, of what is above the line."""
    while x.op in ("neg", "div"):
        x = x.operands[0]
    yield from factors(x)
