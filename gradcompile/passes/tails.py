"""Tails of the normal distribution times an exponential that grows: one overflows where the other underflows.

``exp(2*k/m)*erfc(x)`` is in the inverse Gaussian distribution, ``exp(v*x/d)*erfc(y)`` in what spreads downstream, and
the convolution of a Gaussian and an exponential is such a product. It is ``2*exp(u + logtail(x))``.
"""

from __future__ import annotations

from gradcompile.ir import Value
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import factored, scaled
from gradcompile.passes.laurent import TooManyError, of_value
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.quotients import factors, replaced


def times_growing(a: Value, b: Value) -> Value | None:
    """Return a product of exp(u) and erfc(x) as one exponential, if u may be large."""
    for one, other in ((a, b), (b, a)):
        for part in factors(other):
            number, tail = factored(part)
            if tail is None or tail.op != "erfc":
                continue
            for growing in factors(one):
                if growing.op == "exp" and may_be_large(growing.operands[0]):
                    apply = a.builder.apply
                    whole = scaled(apply("exp", growing.operands[0] + apply("logtail", *tail.operands)), 2 * number, a)
                    rest, inside = replaced(one, growing, a.builder.const(1)), replaced(other, part, whole)
                    return inside if rest.is_const(1) else rest * inside
    return None


def may_be_large(u: Value) -> bool:
    """Return whether an exponent is written as one that grows: that of a discount, ``-r*t``, is not."""
    if not_negative(negated(u)):
        return False
    try:
        return any(number > 0 for number in of_value(u).values())
    except TooManyError:
        return True
