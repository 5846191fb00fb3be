"""Powers of differences from an exponential, over it: ``(x - exp(m))**2/exp(2*m)`` is ``(x*exp(-m) - 1)**2``.

The inverse Gaussian distribution has ``exp(l)*(x - exp(m))**2/(exp(2*m)*x)``, whose exponentials overflow long before
the whole does. All of them are taken inside of the power.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from operator import mul

from gradcompile.ir import Value
from gradcompile.passes.fold import exact
from gradcompile.passes.polynomials import Polynomial, added, as_value, polynomial
from gradcompile.passes.quotients import factors


def product(a: Value, b: Value) -> Value | None:
    """Return such a product with its exponentials inside of the power."""
    return _rewritten([*factors(a), *factors(b)], [])


def quotient(a: Value, b: Value) -> Value | None:
    """Return such a quotient in the same way."""
    return _rewritten(list(factors(a)), list(factors(b)))


def _rewritten(above: list[Value], below: list[Value]) -> Value | None:
    if not any(factor.op == "exp" for factor in (*above, *below)):
        return None
    for power in above:
        number = exact(power.operands[1]) if power.op == "pow" else None
        if number is None or number < 2 or number % 1 or power.operands[0].op not in ("add", "sub"):
            continue
        inside = _scaled(power.operands[0], _exponent(above, below), Fraction(1, int(number)))
        if inside is not None:
            top = [inside**number, *(f for f in above if f.op != "exp" and f is not power)]
            bottom = [f for f in below if f.op != "exp"]
            return reduce(mul, top) / reduce(mul, bottom) if bottom else reduce(mul, top)
    return None


def _exponent(above: list[Value], below: list[Value]) -> Polynomial:
    """Return the exponent of all exponentials of a quotient as a polynomial."""
    total: Polynomial = {}
    for sign, side in ((1, above), (-1, below)):
        for factor in side:
            if factor.op == "exp":
                total = added(total, polynomial(factor.operands[0]), sign)
    return total


def _scaled(difference: Value, exponent: Polynomial, share: Fraction) -> Value | None:
    """Return a sum of two terms times exp(share*exponent), if an exponential in it cancels with that."""
    exponent = {monomial: share * number for monomial, number in exponent.items()}
    terms = [polynomial(t.operands[0]) if t.op == "exp" else None for t in difference.operands]
    if not any(own and not any(added(exponent, own, 1).get(m) for m in own) for own in terms):
        return None
    made = []
    for term, own in zip(difference.operands, terms, strict=True):
        whole = added(exponent, own or {}, 1)
        factor = term.builder.apply("exp", as_value(whole, term)) if whole else term.builder.const(1)
        made.append(factor if own is not None else term * factor)
    return made[0] + made[1] if difference.op == "add" else made[0] - made[1]
