"""Products of hyperbolic functions and exponentials: ``exp(-g*t)*cosh(w*t)``, ``cosh(m*(l - x))/cosh(m*l)``.

One overflows where another underflows, or overflows, too, while the whole does not. Beyond 40 a hyperbolic function of
x is that of 40 times ``exp(|x| - 40)``, to the last digit: these exponents are added before one exponential is taken.
Up to 40, what is written keeps its digits. A sum of such functions of the same x, as ``cosh(w*t) + g/w*sinh(w*t)`` of
what is damped, counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes.polynomials import minus, plus
from gradcompile.passes.quotients import factors, replaced
from gradcompile.passes.tails import may_be_large

FAR = 40  # exp(-80) is nothing beside 1, and the product of two of exp(40) is finite in float32
GROWING = ("sinh", "cosh")
SUMS = ("add", "sub")
DEEPEST = 6  # sums inside one another that are looked through


class Part(NamedTuple):
    """A factor that is exp(u), or a hyperbolic function of u; above the line it grows, or below, or neither.

    Parameters
    ----------
    factor, u : Value
        The factor, and its argument.
    above : bool
        Whether it is above the line.
    """

    factor: Value
    u: Value
    above: bool

    @property
    def is_exp(self) -> bool:
        """Whether it is an exponential."""
        return self.factor.op == "exp"

    @property
    def grows(self) -> bool:
        """Whether it may be large in the quotient."""
        if self.is_exp:
            return not self.above or may_be_large(self.u)
        return self.above == (self.factor.op != "sech")


def hyperbolic(graph: Graph) -> Graph:
    """Return the graph with products and quotients of such functions that have one exponential and finite factors."""
    if not any(value.op in GROWING for value in graph.order()):
        return graph

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "mul":
            return _with_one_exponential(operands[0] * operands[1], value.builder.const(1))
        return _with_one_exponential(*operands) if value.op == "div" else None

    return graph.rewrite(rule)


def _with_one_exponential(a: Value, b: Value) -> Value | None:
    """Return a/b as an exponential times a quotient of factors that are finite; None where nothing overflows."""
    parts = [*_parts(a, above=True), *_parts(b, above=False)]
    whole = [part for part in parts if not _is_bounded(part.u)]
    alone = any(not part.above and part.factor.op in SUMS for part in whole)
    if all(part.is_exp for part in parts) or not (alone or (len(whole) > 1 and any(part.grows for part in whole))):
        return None
    one, exponent = a.builder.const(1), a.builder.const(0)
    for part in whole:
        to = one if part.is_exp else _with(part.factor, _bounded(part.u))
        a, b = (replaced(a, part.factor, to), b) if part.above else (a, replaced(b, part.factor, to))
        beyond = part.u if part.is_exp else _beyond(part.u)
        exponent = (plus if part.above == (part.factor.op != "sech") else minus)(exponent, beyond)
    top = exponent.builder.apply("exp", exponent)
    top = top if a.is_const(1) else top * a
    return top if b.is_const(1) else top / b


def _parts(x: Value, above: bool) -> Iterator[Part]:
    for factor in factors(x):
        u = factor.operands[0] if factor.op in ("exp", "sech") else _argument(factor)
        if u is not None:
            yield Part(factor, u, above)


def _argument(x: Value, depth: int = DEEPEST) -> Value | None:
    """Return u if a value is a sum of products with one hyperbolic function of u each."""
    if x.op in GROWING:
        return x.operands[0]
    if not depth:
        return None
    if x.op in SUMS:
        u, v = (_argument(operand, depth - 1) for operand in x.operands)
        return u if u is v else None
    if x.op in ("mul", "div", "neg"):
        u, *others = (_argument(operand, depth - 1) for operand in x.operands)
        if x.op == "mul" and u is None:
            return others[0]
        return u if all(other is None for other in others) else None
    return None


def _with(x: Value, u: Value) -> Value:
    """Return a value with its hyperbolic functions at another argument."""
    if x.op in (*GROWING, "sech"):
        return x.builder.apply(x.op, u)
    if _argument(x) is None:
        return x
    return x.builder.rebuild(x, tuple(_with(operand, u) for operand in x.operands))


def _bounded(u: Value) -> Value:
    return u.builder.apply("select", _is_far(u), FAR * u.builder.apply("sign", u), u)


def _beyond(u: Value) -> Value:
    """Return by how much a size goes beyond the bound."""
    return u.builder.apply("select", _is_far(u), u.builder.apply("abs", u) - FAR, 0)


def _is_far(u: Value) -> Value:
    return u.builder.apply("gt", u.builder.apply("abs", u), FAR)


def _is_bounded(u: Value) -> bool:
    return u.op == "select" and u.operands[0] is _is_far(u.operands[2])
