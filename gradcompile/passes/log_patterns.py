"""Patterns of logarithms: of sums, differences and products that overflow, underflow or cancel."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import log, pi, sqrt

from gradcompile.ir import Value
from gradcompile.passes import exponentials, logarithms, quotients, unit_gaps
from gradcompile.passes.differences import as_number, gap, taken_away
from gradcompile.passes.exponentials import Forms, negated, one_plus_exp, opposite, two_exps
from gradcompile.passes.fold import SHIFTS, exact, factored
from gradcompile.passes.norms import of_square, squared
from gradcompile.passes.patterns import CANCELS, FAR, OVERFLOWS, POSITIVE, UNDERFLOWS, UNIT, Row, rewritten
from gradcompile.passes.quotients import without_choice
from gradcompile.passes.variable_powers import as_exponentials

TINY = 1e-30


def _stable(x: Value, forms: Forms) -> tuple[Row | None, Value]:
    """Return the first row that matches the logarithm of x, and that logarithm: for what a row makes itself."""
    return rewritten(x.builder.apply("log", x), forms, {"log": LOGS})


def _log(x: Value) -> Value:
    """Return log(x), stable: for what a row makes itself."""
    return _stable(x, {})[1]


def _log_cosh(x: Value) -> Value | None:
    apply = x.builder.apply
    if x.op == "cosh":
        return apply("logcosh", x.operands[0])
    if x.op == "sech":
        return -apply("logcosh", x.operands[0])
    if x.op == "add":
        (scale, a), (other, b) = map(factored, x.operands)
        pair = a is not None and b is not None and a.op == b.op == "exp"
        if pair and scale == other and scale > 0 and opposite(a.operands[0], b.operands[0]):  # type: ignore[union-attr]  # a pair
            total = apply("logcosh", a.operands[0])  # type: ignore[union-attr]  # a pair
            return total if 2 * scale == 1 else total + apply("log", x.builder.const(2 * scale))
    return None


def _log_exp(x: Value) -> Value | None:
    return x.operands[0] if x.op == "exp" else None


def _log_sigmoid(x: Value) -> Value | None:
    return -x.builder.apply("softplus", negated(x.operands[0])) if x.op == "sigmoid" else None


def _log_difference(x: Value) -> Value | None:
    apply = x.builder.apply
    if x.op == "neg" and x.operands[0].op == "expm1":
        return apply("log1mexp", x.operands[0].operands[0])
    if x.op == "expm1":
        return x.operands[0] + apply("log1mexp", negated(x.operands[0]))
    if (pair := two_exps(x, "sub")) is not None:
        return pair[0] + apply("log1mexp", pair[1] - pair[0])
    return None


def _log_small(x: Value, forms: Forms) -> Value | None:
    """Return log(1 - exp(-z)), z being w*exp(u), also where z underflows: there it is log(z) - z/2."""
    if x.op != "neg" or x.operands[0].op != "expm1" or (negative := x.operands[0].operands[0]) not in forms:
        return None
    apply, z, (w, u) = x.builder.apply, negated(negative), forms[negative]
    if z.op == "exp":
        z = apply("exp", apply("minimum", u, FAR))  # as _saturated has it
    size = u if w is None or z.op == "exp" else u + _log(negated(w))
    return apply("select", apply("lt", z, TINY), size - z / 2, apply("log1mexp", -z))


def _log_small_softplus(x: Value) -> Value | None:
    """Return log(log(1 + exp(u))), which is u - exp(u)/2 where exp(u) may underflow."""
    if x.op != "softplus":
        return None
    apply, u = x.builder.apply, x.operands[0]
    return apply("select", apply("lt", u, -70), u - apply("exp", u) / 2, apply("log", x))


GAPS = ("sigmoid", "tanh", "erf", "erfc")


def _log_gap(x: Value) -> Value | None:
    """Return the logarithm of what lies between two values of a distribution: log(sigmoid(u) - sigmoid(v)), ...."""
    if x.op != "sub":
        return None
    (scale, a), (other, b) = map(factored, x.operands)
    if a is None or b is None or a.op != b.op or a.op not in GAPS or scale != other or scale <= 0:
        return None
    (u,), (v,) = a.operands, b.operands
    if a.op == "tanh":
        scale, u, v = 2 * scale, 2 * u, 2 * v
    if a.op in ("sigmoid", "tanh"):
        softplus = partial(x.builder.apply, "softplus")
        total = x.builder.apply("log1mexp", gap(v, u)) - softplus(negated(u)) - softplus(v)
    else:
        total = _log_normal_gap(*((v, u) if a.op == "erf" else (u, v)))
    return total if scale == 1 else total + x.builder.apply("log", x.builder.const(scale))


def _log_normal_gap(u: Value, v: Value) -> Value:
    """Return log(erfc(u) - erfc(v)): from the tail where both are on one side of 0, beyond 1/2; or by a series."""
    apply = u.builder.apply
    right = apply("gt", u + v, 0)
    near, far = apply("select", right, u, -v), apply("select", right, v, -u)  # the tail of both has these ends
    tail, end = apply("logtail", near), apply("logtail", far)
    inside = apply("log", apply("erf", far) - apply("erf", near))
    outside = tail + apply("log1mexp", end - tail) + apply("log", 2)
    apart = apply("select", apply("gt", near, Fraction(1, 2)), outside, inside)
    half, middle = gap(v, u) / 2, (u + v) / 2
    is_narrow = apply("lt", apply("abs", half) * (1 + apply("abs", middle)), Fraction(1, 100))
    return apply("select", is_narrow, _log_narrow(half, middle), apart)


def _log_narrow(half: Value, middle: Value) -> Value:
    """Return log(erf(middle + half) - erf(middle - half)): Taylor's series of the density about the middle."""
    apply, (m, h) = half.builder.apply, (middle**2, half**2)
    fourth = (Fraction(2, 3) * m**2 - 2 * m + Fraction(1, 2)) / 5
    mean = apply("log1p", h * ((2 * m - 1) / 3 + h * fourth))
    return mean - m + apply("log", half) + log(4 / sqrt(pi))


def _log_choice(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a choice as a choice of logarithms, where one of them is rewritten."""
    if x.op == "neg" and x.operands[0].op == "select":
        condition, *branches = x.operands[0].operands
        x = x.builder.apply("select", condition, *map(negated, branches))
    if x.op != "select":
        return None
    made: dict[Value, Value | None] = {}
    cancelling: dict[Value, None] = {}
    for choice in _choices(x):
        if any(branch in cancelling or _cancels(branch) for branch in choice.operands[1:]):
            cancelling[choice] = None
        formed = None if choice is x or choice in cancelling else _log_scaled(choice, forms)
        made[choice] = _log_of_choice(choice, forms, made) if formed is None else formed
    return made[x]


def _log_of_choice(x: Value, forms: Forms, made: dict[Value, Value | None]) -> Value | None:
    """Return the logarithm of one choice, given those of the choices that are its branches: None stays a logarithm."""
    if (quotient := without_choice(x)) is not x:
        return _log(quotient)
    apply = x.builder.apply
    logs = [made[b] if b in made else _rewritten(b, forms) for b in x.operands[1:]]
    if not any(logs):
        return None
    pairs = zip(x.operands[1:], logs, strict=True)
    return apply("select", x.operands[0], *(log or apply("log", branch) for branch, log in pairs))


def _rewritten(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of x where a row matches it."""
    row, made = _stable(x, forms)
    return None if row is None else made


def _choices(x: Value) -> list[Value]:
    """Return the choices that are branches of a choice, or their branches, and itself: each after its own."""
    found, stack = dict[Value, None](), [(x, False)]
    while stack:
        choice, ready = stack.pop()
        if ready:
            found[choice] = None
        elif choice.op == "select" and choice not in found:
            stack += [(choice, True), *((branch, False) for branch in choice.operands[1:])]
    return list(found)


def _cancels(x: Value) -> bool:
    return x.op == "sub" and (_log_gap(x) or _log_difference(x)) is not None


def _log_cancelling_choice(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a choice as one of logarithms where a branch cancels, which its form would still do."""
    cancels = any(_cancels(branch) for choice in _choices(x) for branch in choice.operands[1:])
    return _log_choice(x, forms) if cancels else None


def _log_hyperbolic(x: Value) -> Value | None:
    apply = x.builder.apply
    if x.op == "sinh":
        return x.operands[0] - apply("log", 2) + apply("log1mexp", -2 * x.operands[0])
    if x.op == "tanh":
        return apply("log1mexp", -2 * x.operands[0]) - apply("softplus", -2 * x.operands[0])
    return None


def _log_tail(x: Value) -> Value | None:
    return x.builder.apply("logtail", x.operands[0]) + x.builder.apply("log", 2) if x.op == "erfc" else None


def _log_inverse(x: Value) -> Value | None:
    """log(x + sqrt(x**2 + 1)) is asinh(x); with - 1 it is acosh(x)."""
    if x.op != "add":
        return None
    for a, root in (x.operands, x.operands[::-1]):
        if root.op == "hypot" and any(o.is_const(1) for o in root.operands) and a in root.operands:
            return x.builder.apply("asinh", a)
        if root.op in ("sqrt", "norm") and (offset := _offset_of_square(root.operands[0], a)) is not None:
            return x.builder.apply("asinh" if offset == 1 else "acosh", a)
    return None


def _offset_of_square(x: Value, base: Value) -> int | None:
    """Return 1 for base**2 + 1, -1 for base**2 - 1."""
    if x.op not in ("add", "sub"):
        return None
    a, b = x.operands
    for square, one in ((a, b), (b, a)) if x.op == "add" else ((a, b),):
        if squared(square) is base and exact(one) in (1, -1):
            return int(exact(one) or 0) if x.op == "add" else -int(exact(one) or 0)
    return None


def _log_atanh(x: Value) -> Value | None:
    """log((1 + x)/(1 - x)) is 2*atanh(x)."""
    if x.op == "div" and x.operands[0].op == "add" and x.operands[1].op == "sub":
        (a, b), (one, away) = x.operands[0].operands, x.operands[1].operands
        if one.is_const(1) and ((a.is_const(1) and b is away) or (b.is_const(1) and a is away)):
            return 2 * x.builder.apply("atanh", away)
    return None


def _log_1p(x: Value) -> Value | None:
    apply = x.builder.apply
    if x.op == "add":
        for one, other in (x.operands, x.operands[::-1]):
            if one.is_const(1) and other.op not in ("exp", "sum"):
                return None if exponentials.grows(other) else apply("log1p", other)
    if x.op == "sub" and x.operands[0].is_const(1) and x.operands[1].op != "sigmoid":
        return apply("log1p", -x.operands[1])
    return None


def log_of_powers(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a sum of powers with exponents that are no numbers as one of exponentials."""
    if x.op in ("mul", "div"):  # of which one factor is such a sum
        has = any(base.op == "sum" and as_exponentials(base, _log) is not None for _, base in logarithms.powers(x))
        return logarithms.of_product(x, lambda base: _stable(base, forms)[1]) if has else None
    if x.op not in ("add", "sub", "sum") or (found := as_exponentials(x, _log)) is None:
        return None
    condition, total = found
    exponentials.learn(total, forms, {})
    row, made = _stable(total, forms)
    if row is None or condition is None:
        return None if row is None else made
    return x.builder.apply("select", condition, made, x.builder.apply("log", x))


def _log_two_less_one(x: Value) -> Value | None:
    """Return log(exp(u) + exp(v) - 1) as v + log(1 + (1 - exp(-u))*exp(u - v)), v being the larger exponent."""
    if x.op != "sub" or not x.operands[1].is_const(1) or (pair := two_exps(x.operands[0], "add")) is None:
        return None
    apply = x.builder.apply
    low, high = apply("minimum", *pair), apply("maximum", *pair)
    above = -apply("expm1", -low) * apply("exp", low - high)
    below = apply("expm1", low) * apply("exp", -high)
    return high + apply("log1p", apply("select", apply("gt", low, 0), above, below))


def _log_1p_square(x: Value) -> Value | None:
    """Return log(1 + w*u**2), where the square may overflow."""
    for one, other in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        if one.is_const(1) and (square := of_square(other)) is not None:
            return None if exponentials.grows(other) else x.builder.apply("log1pwsq", *square)
    return None


def _log_1p_scaled(x: Value, forms: Forms) -> Value | None:
    """Return log(1 + w*exp(u)) as one function: as the log of two exponentials it loses what is small beside 1."""
    terms = _exponentials_beside_one(x, forms)
    if not terms:
        return None
    sign, (w, u) = terms[0][0], forms[terms[0][1]]
    if len(terms) > 1 or u.op in SHIFTS:
        sign, (w, u) = 1, exponentials.added(terms, forms)
    if w is None:
        return x.builder.apply("softplus" if sign > 0 else "log1mexp", u)
    return x.builder.apply("log1pwexp", _flat_at_0(w if sign > 0 else negated(w), u), u)


def _flat_at_0(weight: Value, exponent: Value) -> Value:
    """Return a weight such as k**2 as a choice, with the slope 0 where k is 0 and its exponential may overflow."""
    apply = weight.builder.apply
    for factor in quotients.factors(weight.operands[0] if weight.op == "neg" else weight):
        if factor.op == "pow" and (exact(factor.operands[1]) or 0) > 1:
            counts = apply("or", apply("ne", factor.operands[0], 0), apply("lt", exponent, exponentials.HIGHEST))
            weight = apply("select", counts, weight, 0)
    return weight


def _exponentials_beside_one(x: Value, forms: Forms) -> list[tuple[int, Value]]:
    """Return the terms of 1 and exponentials, but for the 1; none if x is anything else."""
    terms = exponentials.beside_one(x)
    forms |= {term: (None, term.operands[0]) for _, term in terms if term.op == "exp"}
    return terms if all(term in forms and exponentials.grows(term) for _, term in terms) else []


def _log_near_one(x: Value, forms: Forms) -> Value | None:
    """Take apart what has powers of 1 + w*exp(u) and no other exponential: its form loses what is small beside 1.

    With another one, the exponents may cancel in the form, but a power with any exponent may overflow there.
    """
    if x.op not in ("mul", "div", "pow", "sqrt"):
        return None
    powers = logarithms.powers(x)
    near = {b: n for n, b in powers if _exponentials_beside_one(b.operands[0] if b.op == "abs" else b, forms)}
    beside = any(exponentials.grows(b) for _, b in powers if b not in near)
    if not near or (beside and not any(isinstance(n, Value) for n in near.values())):
        return None
    return logarithms.of_product(x, lambda base: _stable(base, forms)[1])


def _log_unit_gap(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a difference of products of 1 - exp(u), or of a product with powers of one."""
    if x.op not in ("mul", "div", "pow", "sqrt"):
        return unit_gaps.logarithm(x)
    if all(unit_gaps.logarithm(base) is None for _, base in logarithms.powers(x)):
        return None
    return logarithms.of_product(x, lambda base: _stable(base, forms)[1])


def _log_1p_gap(x: Value) -> Value | None:
    """Return log(1 + (1 - exp(-a))*(1 - exp(-b))/(exp(-c) - 1)), of Frank's copula."""
    return unit_gaps.of_quotient(x)


def _log_abs(x: Value, forms: Forms) -> Value | None:
    """Return log(abs(1 + z)), which is log(1 + z) where that has a logarithm."""
    if x.op != "abs" or x.operands[0].op not in ("add", "sub"):
        return None
    apply, inner = x.builder.apply, x.operands[0]
    row, made = _stable(inner, forms)
    return None if row is None else apply("select", apply("gt", inner, 0), made, apply("log", x))


def _log_softplus(x: Value) -> Value | None:
    """Return log(1 + c*exp(u)) as softplus(u + log(c))."""
    if (exponent := one_plus_exp(x)) is not None:
        return x.builder.apply("softplus", exponent)
    for one, other in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        factor, rest = factored(other)
        if one.is_const(1) and factor > 0 and rest is not None and rest.op == "exp":
            return x.builder.apply("softplus", rest.operands[0] + x.builder.apply("log", x.builder.const(factor)))
    return None


def _log_scaled(x: Value, forms: Forms) -> Value | None:
    return exponentials.log_of(x, forms, _log)


def _log_product(x: Value) -> Value | None:
    """Take apart what holds no exponential: that is kept together by its form."""
    return logarithms.of_product(x, _log)


def _log_constant_factor(x: Value, forms: Forms) -> Value | None:
    """Take out a number where the logarithm of the rest, or of minus the rest, is rewritten."""
    if x.op not in ("mul", "div"):
        return None
    for number, rest in (x.operands, x.operands[::-1]) if x.op == "mul" else (x.operands[::-1],):
        value = as_number(number)
        if value is not None:
            value, rest = (value, rest) if value > 0 else (-value, negated(rest))
            row, inner = _stable(rest, forms)
            if row is None:
                return None
            value = value if x.op == "mul" else 1 / value if isinstance(value, float) else 1 / Fraction(value)
            if isinstance(value, Fraction) and value < 1:
                below = x.builder.apply("log", x.builder.const(1 / Fraction(value)))
                return taken_away(inner, below) or inner - below
            return inner + x.builder.apply("log", x.builder.const(value))
    return None


LOGS: tuple[Row, ...] = (
    Row("log", "log(1 + exp(x))", "softplus(x)", _log_softplus, OVERFLOWS),
    Row("log", "log(exp(x))", "x", _log_exp, OVERFLOWS),
    Row("log", "log(sigmoid(x))", "-softplus(-x)", _log_sigmoid, UNDERFLOWS),
    Row("log", "log(exp(x) + exp(-x))", "logcosh(x) + log(2)", _log_cosh, OVERFLOWS),
    Row("log", "log((1 - exp(-x*y)) - (1 - exp(-x))*(1 - exp(-y)))",
        "where(maximum(x*y, x, y) < 1, log((1 - exp(-x*y)) - (1 - exp(-x))*(1 - exp(-y))),"
        " log(exp(-x) + exp(-y) - exp(-x*y) - exp(-x - y)))", _log_unit_gap, CANCELS, (3.0, 30.0), forms=True),
    Row("log", "log(1 + (exp(-x*y) - 1)*(exp(-x/2) - 1)/(exp(-x) - 1))",
        "where(maximum(x*y, x/2, x) < 1, log1p((exp(-x*y) - 1)*(exp(-x/2) - 1)/(exp(-x) - 1)),"
        " log(abs(exp(-x*y - x/2) + exp(-x) - exp(-x*y) - exp(-x/2))) - log(abs(exp(-x) - 1)))",
        _log_1p_gap, CANCELS, (3.0, 30.0)),
    Row("log", "log(1 - exp(-exp(x)))", "where(exp(x) < 1e-30, x - exp(x)/2, log1mexp(-exp(x)))", _log_small,
        UNDERFLOWS, (-1e4, 5.0), forms=True),
    Row("log", "log(1 - exp(-x))", "log1mexp(-x)", _log_difference, CANCELS, POSITIVE),
    Row("log", "log(log(1 + exp(x)))", "where(x < -70, x - exp(x)/2, log(softplus(x)))", _log_small_softplus,
        UNDERFLOWS),
    Row("log", "log(sigmoid(x + y) - sigmoid(x))", "log1mexp(-y) - softplus(-x - y) - softplus(x)", _log_gap, CANCELS),
    Row("log", "log(sinh(x))", "x - log(2) + log1mexp(-2*x)", _log_hyperbolic, OVERFLOWS, POSITIVE),
    Row("log", "log(erfc(x))", "logtail(x) + log(2)", _log_tail, UNDERFLOWS, (-5.0, 100.0)),
    Row("log", "log(x + sqrt(x**2 + 1))", "asinh(x)", _log_inverse, CANCELS),
    Row("log", "log((1 + x)/(1 - x))", "2*atanh(x)", _log_atanh, CANCELS, UNIT),
    Row("log", "log(1 + y*exp(x))", "log1pwexp(y, x)", _log_1p_scaled, CANCELS, forms=True),
    Row("log", "log(1 + y*x**2)", "log1pwsq(y, x)", _log_1p_square, "the square overflows", (-1e200, 1e200)),
    Row("log", "log(exp(x) + exp(y) - 1)", "maximum(x, y) + log1p(-expm1(-minimum(x, y))*exp(-abs(x - y)))",
        _log_two_less_one, OVERFLOWS, (0.0, 1e3)),
    Row("log", "log(3 + y**x)", "log(3 + exp(x*log(y)))", log_of_powers, OVERFLOWS, POSITIVE, forms=True),
    Row("log", "log(1 + x)", "log1p(x)", _log_1p, CANCELS, UNIT),
    Row("log", "log(abs(1 + x))", "where(x > -1, log1p(x), log(abs(1 + x)))", _log_abs, CANCELS, UNIT, forms=True),
    Row("log", "log((1 + y*exp(x))**3)", "3*log1pwexp(y, x)", _log_near_one, CANCELS, forms=True),
    Row("log", "log(2*cosh(x))", "logcosh(x) + log(2)", _log_constant_factor, OVERFLOWS, forms=True),
    Row("log", "log(where(x > 0, sigmoid(x + y) - sigmoid(x), exp(x)))",
        "where(x > 0, log1mexp(-y) - softplus(-x - y) - softplus(x), x)", _log_cancelling_choice, CANCELS, forms=True),
    Row("log", "log(Sum(exp(x[i]), i))", "max(x) + log(Sum(exp(x[i] - max(x)), i))",
        _log_scaled, OVERFLOWS, forms=True, measured="log(exp(x) + exp(y))"),
    Row("log", "log(where(x > 0, exp(x), exp(-x)))", "where(x > 0, x, -x)", _log_choice, OVERFLOWS, forms=True),
    Row("log", "log(x**2*y**4)", "2*log(abs(x)) + 4*log(abs(y))", _log_product, UNDERFLOWS, (1e-200, 1e200)),
)  # fmt: skip
