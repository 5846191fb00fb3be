"""Products and quotients of which one factor overflows while the whole does not."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial, reduce

from gradcompile.ir import Value
from gradcompile.passes.differences import added_back, gap, logarithm, share_terms
from gradcompile.passes.exponentials import negated, one_plus_exp, opposite, two_exps
from gradcompile.passes.fold import exact, factored
from gradcompile.passes.logarithms import POSITIVE, positive
from gradcompile.passes.polynomials import minus, plus

DEEPEST = 4  # products inside one another that are looked through
LARGEST, STEEPEST = 170, 300  # beyond, gamma(x) is infinite, and a product of two exponentials exp(x) may be
IN_ARRAYS = 30, 40  # the same of arrays, which may be in float32


def exponents_cancel(a: Value, b: Value) -> Value | None:
    """Return exp(u)*exp(v) as exp(u + v) where that is simpler: else two exponentials may be cheaper than one."""
    if a.op != "exp" or b.op != "exp":
        return None
    u, v = a.operands[0], b.operands[0]
    if opposite(u, v):
        return a.builder.const(1)
    for one, other in ((u, v), (v, u)):
        if (total := added_back(one, other)) is not None:
            return a.builder.apply("exp", total)
        if other.op == "add" and (rest := [o for o in other.operands if not opposite(o, one)]) and len(rest) == 1:
            return a.builder.apply("exp", rest[0])
    return None


def reduced(a: Value, b: Value) -> Value | None:
    """Return a/b without a factor that both have and that is never 0: exp(u + v)/(c*exp(u)) is exp(v)/c."""
    one = a.builder.const(1)
    pairs = ((above, below) for below in factors(b) if below.op in POSITIVE for above in factors(a))
    for above, below in pairs:
        left = one if above is below else _left(above, below)
        if left is not None:
            top, bottom = replaced(a, above, left), replaced(b, below, one)
            return top if bottom.is_const(1) else top / bottom
    return None


def _left(above: Value, below: Value) -> Value | None:
    """Return a factor over another where their exponents have terms in common."""
    if above.op == below.op == "exp" and share_terms(above.operands[0], below.operands[0]):
        return above.builder.apply("exp", gap(above.operands[0], below.operands[0]))
    return None


def as_tanh(a: Value, b: Value) -> Value | None:
    """Return the tanh that a quotient of exponentials is."""
    apply = a.builder.apply
    if (below := one_plus_exp(b)) is not None:
        top = a.operands[0] if a.op == "neg" else a
        if top.op == "expm1" and top.operands[0] is below:
            return apply("tanh", below / 2) if a is top else apply("tanh", -below / 2)
    above, pair = two_exps(a, "sub"), two_exps(b, "add")
    if above is not None and pair is not None and set(above) == set(pair) and opposite(*above):
        return apply("tanh", above[0])
    return None


def of_hyperbolic(a: Value, b: Value) -> Value | None:
    """Return a quotient with sinh(u) above and cosh(u) below, or the other way round, by tanh(u)."""
    for above in factors(a):
        for below in factors(b):
            if {above.op, below.op} == {"sinh", "cosh"} and above.operands == below.operands:
                one, tanh = a.builder.const(1), a.builder.apply("tanh", *above.operands)
                top, bottom = (tanh, one) if above.op == "sinh" else (one, tanh)
                top, bottom = replaced(a, above, top), replaced(b, below, bottom)
                return top if bottom.is_const(1) else top / bottom
    return None


def over_power(a: Value, b: Value) -> Value | None:
    """Return a quotient over a power of cosh(u), or of 1 + exp(u), as a product with what does not overflow."""
    base, power = _power(b)
    if base.op == "cosh":
        share, other = a.builder.apply("sech", base.operands[0]), a.builder.apply("tanh", base.operands[0])
        inside = a.op == "sinh" and a.operands == base.operands
    elif power is not None and (exponent := one_plus_exp(base)) is not None:  # ratio has those without a power
        share, other = (a.builder.apply("sigmoid", u) for u in (negated(exponent), exponent))
        inside = a.op == "exp" and a.operands[0] is exponent
        if _holds_exponential(a) and not inside:
            return None  # its exponent and those below are taken together
    else:
        return None
    number = 1 if power is None else power
    if inside:  # a is other/share
        return other if number == 1 else other * _raised(share, number - 1)
    return _raised(share, number) if a.is_const(1) else a * _raised(share, number)


def _power(x: Value) -> tuple[Value, int | Fraction | float | None]:
    """Return the base and the number of a power, or of a root; None for what is neither."""
    if x.op == "sqrt":
        return x.operands[0], Fraction(1, 2)
    if x.op == "pow" and x.operands[1].op == "const" and not isinstance(x.operands[1].attr, str):
        return x.operands[0], x.operands[1].attr
    return x, None


def _raised(x: Value, number: int | Fraction | float) -> Value:
    return x if number == 1 else x.builder.apply("sqrt", x) if number == Fraction(1, 2) else x**number


def _holds_exponential(x: Value) -> bool:
    return any(factor.op == "exp" for factor in factors(x))


# --- tails of the normal distribution


def tail_times(a: Value, b: Value) -> Value | None:
    """Return exp(v**2)*erfc(v) as erfcx(v)."""
    for density, tail in ((a, b), (b, a)):
        if density.op == "exp" and tail.op == "erfc" and _is_square(density.operands[0], tail.operands[0], 1):
            return a.builder.apply("erfcx", tail.operands[0])
    return None


def hazard(a: Value, b: Value) -> Value | None:
    """Return exp(-v**2)/erfc(v), where both underflow, as 1/erfcx(v); other factors stay."""
    for part in factors(b):
        number, tail = factored(part)
        if tail is None or tail.op != "erfc":
            continue
        for density in factors(a):
            if density.op == "exp" and _is_square(density.operands[0], tail.operands[0], -1):
                one = a.builder.const(1)
                rest = replaced(a, density, one) / replaced(b, part, a.builder.const(number))
                return rest / a.builder.apply("erfcx", tail.operands[0])  # alone, for its slope does not overflow
    return None


def over_power_of_expm1(a: Value, b: Value) -> Value | None:
    """Return exp(n*u)/expm1(u)**n as 1/(-expm1(-u))**n, and exp(u)/expm1(u)**2, which is even in u, with -|u|."""
    for power in factors(b):
        number = exact(power.operands[1]) if power.op == "pow" and power.operands[0].op == "expm1" else None
        if number is None or number < 2 or number % 1:
            continue
        apply, (u,) = a.builder.apply, power.operands[0].operands
        for growing in (factor for factor in factors(a) if factor.op == "exp"):
            if number == 2 and growing.operands[0] is u:
                below = -apply("abs", u)
                return replaced(a, growing, apply("exp", below)) / replaced(b, power, apply("expm1", below) ** 2)
            if _is_multiple(growing.operands[0], u, number):
                left = apply("expm1", negated(u)) ** power.operands[1]
                whole = replaced(a, growing, a.builder.const(1)) / replaced(b, power, left)
                return whole if number % 2 == 0 else -whole
    return None


def _is_multiple(v: Value, u: Value, number: int | Fraction) -> bool:
    """Return whether v is number*u."""
    (size, inner), (own, base) = factored(v), factored(u)
    return inner is base is not None and size == number * own


def factors(x: Value, depth: int = DEEPEST) -> Iterator[Value]:
    """Yield the factors of a product."""
    if depth and x.op == "mul":
        for operand in x.operands:
            yield from factors(operand, depth - 1)
    else:
        yield x


def replaced(x: Value, old: Value, new: Value, depth: int = DEEPEST) -> Value:
    """Return a product with another factor in the place of one: of the first, where it occurs several times."""
    if x is old:
        return new
    if not depth or x.op != "mul":
        return x
    first, second = x.operands
    a = replaced(first, old, new, depth - 1)
    b = second if a is not first else replaced(second, old, new, depth - 1)
    return b if a.is_const(1) else a if b.is_const(1) else a * b


def _is_square(u: Value, v: Value, sign: int) -> bool:
    """Return whether u is sign*v**2, for products of powers and numbers and their roots."""
    (of_u, parts), (of_v, roots) = (_monomial(x, 2 * DEEPEST) for x in (u, v))
    return of_u == sign * of_v**2 and parts == {base: 2 * power for base, power in roots.items()}


def _monomial(x: Value, depth: int) -> tuple[Fraction, dict[Value, int]]:
    """Return (s*c**2, powers) of a product ``s*c*x**n*...``, s being its sign: so that c may be a root."""
    if (number := exact(x)) is not None:
        size = Fraction(number)
        return size * abs(size), {}
    if x.op == "sqrt" and (number := exact(x.operands[0])) is not None and number > 0:
        return Fraction(number), {}
    if depth and x.op == "neg":
        coefficient, powers = _monomial(x.operands[0], depth - 1)
        return -coefficient, powers
    if depth and x.op == "pow" and x.operands[1].is_const(2):
        coefficient, powers = _monomial(x.operands[0], depth - 1)
        return coefficient**2, {base: 2 * power for base, power in powers.items()}
    if depth and x.op in ("mul", "div"):
        (left, above), (right, below) = (_monomial(o, depth - 1) for o in x.operands)
        sign = 1 if x.op == "mul" else -1
        if right or sign > 0:
            total = {base: above.get(base, 0) + sign * below.get(base, 0) for base in {**above, **below}}
            coefficient = left * right if sign > 0 else left / right
            return coefficient, {base: power for base, power in total.items() if power}
    return Fraction(1), {x: 1}


# --- powers with a small exponent


def power_minus_one(a: Value, b: Value) -> Value | None:
    """Return (x**y - 1)/y, a Box-Cox transform, with expm1(y*log(x)) above the line where x has a logarithm."""
    power, one = a.operands if a.op == "sub" else (a, a)
    if power.op != "pow" or not one.is_const(1) or power.operands[1] not in factors(b):
        return None
    apply, (base, exponent) = a.builder.apply, power.operands
    exact_one = apply("expm1", exponent * apply("log", base))
    return (exact_one if positive(base) else apply("select", apply("gt", base, 0), exact_one, a)) / b


# --- gamma functions


def over_gammas(a: Value, b: Value) -> Value | None:
    """Return a quotient of gamma functions by their logarithms where one would be infinite: beta(x, y), binomial(n, k).

    Powers and exponentials beside them overflow or underflow as well, as in ``m**k*exp(-m)/gamma(k + 1)``: of positive
    bases, all are one exponential. Where none of them does, the quotient itself is more exact.
    """
    above, below = ([f for f in factors(x) if _is_large(f)] for x in (a, b))
    functions = [factor for factor in (*above, *below) if factor.op == "gamma"]
    if not functions or len(above) + len(below) < 2:
        return None
    made = a / b
    if gammas(a) and gammas(b):
        made = _where_infinite(a, b, gammas(a), gammas(b), made)
    return made if len(functions) == len(above) + len(below) else _where_infinite(a, b, above, below, made)


def _is_large(x: Value) -> bool:
    return x.op in ("gamma", "exp") or is_variable(x)


def _where_infinite(a: Value, b: Value, above: list[Value], below: list[Value], other: Value) -> Value:
    """Return a/b by the logarithms of some factors, where these have one and may be infinite, or 0."""
    apply, one = a.builder.apply, a.builder.const(1)
    u = [function.operands[0] for function in (*above, *below) if function.op == "gamma"]
    bases = [f.operands[0] for f in (*above, *below) if f.op == "pow" and not positive(f.operands[0])]
    exponent = a.builder.const(0)
    for sign, factor in (*((1, f) for f in above), *((-1, f) for f in below)):
        exponent = plus(exponent, _log_of_large(factor)) if sign > 0 else minus(exponent, _log_of_large(factor))
    whole = apply("exp", exponent)
    rest, under = (reduce(lambda x, f: replaced(x, f, one), fs, x) for x, fs in ((a, above), (b, below)))
    largest, steepest = IN_ARRAYS if other.axes else (LARGEST, STEEPEST)
    beyond = apply("maximum", *u) - largest if len(u) > 1 else u[0] - largest
    for factor in (*above, *below):
        if factor.op != "gamma":
            beyond = apply("maximum", beyond, apply("abs", _log_of_large(factor)) - steepest)
    taken = apply("gt", reduce(partial(apply, "minimum"), [*u, *bases] if len(u) > 1 else bases, beyond), 0)
    whole = whole if rest.is_const(1) else rest * whole
    return apply("select", taken, whole if under.is_const(1) else whole / under, other)


def _log_of_large(x: Value) -> Value:
    apply = x.builder.apply
    if x.op == "pow":
        return x.operands[1] * logarithm(x.operands[0])
    return x.operands[0] if x.op == "exp" else apply("lgamma", x.operands[0])


def is_variable(x: Value) -> bool:
    """Return whether a value is a power whose exponent is no number."""
    return x.op == "pow" and x.operands[1].op != "const" and x.operands[1].kind == "real"


def gammas(x: Value) -> list[Value]:
    """Return the gamma functions that are factors of a product."""
    return [factor for factor in factors(x) if factor.op == "gamma"]


def without_choice(x: Value) -> Value:
    """Return the quotient of which `over_gammas` has made a choice."""
    written = x
    while written.op == "select":
        written = written.operands[2]
    return written if written.op == "div" and written is not x and over_gammas(*written.operands) is x else x
