"""Stabilisation before differentiation: a formula that overflows or cancels becomes one that does not.

Each row of `ROWS` is a pattern, its rewrite, why, and a proof: both sides as text, which a test evaluates at 50 digits.
Rows are tried from the top; the rewrite gets the operands of the operation that the row stands on. What is known to be
``w*exp(u)`` is kept beside the graph, see exponentials.py: the last rows stand on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil, log, pi, sqrt
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes import exponentials, logarithms, powers, quotients, relative, trusted, unit_gaps
from gradcompile.passes.differences import added_back, difference, gap, taken_away, total
from gradcompile.passes.entropies import power_log, x_log_x
from gradcompile.passes.exponentials import Forms, negated, one_plus_exp, opposite, two_exps
from gradcompile.passes.fold import SHIFTS, exact, factored, scaled
from gradcompile.passes.norms import of_square, square_root, squared
from gradcompile.passes.quotients import without_choice
from gradcompile.passes.variable_powers import as_exponentials

Interval = tuple[float, float]
LOGITS: Interval = (-1e4, 1e4)


class Row(NamedTuple):
    """One pattern.

    Parameters
    ----------
    op : str
        The operation that the pattern stands on.
    before, after : str
        The pattern and what takes its place, in x (and y), as text of the model language: the proof is that they are
        equal, which a test shows at 50 digits.
    rewrite : callable
        From the operands to the new value; None where the pattern does not match. With `forms`, it also gets what is
        known to be w*exp(u).
    why : str
        What goes wrong otherwise.
    domain : (low, high)
        Where both sides mean the same, and where errors are measured.
    forms : bool
        Whether the rewrite needs the forms.
    measured : str
        The pattern in x and y alone, where `before` has an array.
    """

    op: str
    before: str
    after: str
    rewrite: Callable[..., Value | None]
    why: str
    domain: Interval = LOGITS
    forms: bool = False
    measured: str = ""


class Rewritten(NamedTuple):
    """One place at which a row was applied: the value that was there, what stands there now, and the row."""

    before: Value
    after: Value
    row: Row


def stabilise(graph: Graph, found: list[Rewritten] | None = None, *, trust: float | None = None) -> Graph:
    """Return the graph with every unstable pattern rewritten.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    found : list, optional
        Each rewrite is added to it.
    trust : float, optional
        Logarithms of sums of products that are made of few exponentials stay as they are written, and the objective is
        nan where such a sum or its reciprocal is not below this: see trusted.py.
    """
    kept: dict[Value, None] = {}
    for rows in (BY_OPERATION if trust is None else TRUSTING, LATER):
        if any(value.op in rows for value in graph.order()):
            graph = _rewritten(graph, rows, [] if found is None else found, None if trust is None else kept)
    if trust is not None and kept:
        value = trusted.doubted(graph.outputs["value"], kept, trust)
        graph = replace(graph, outputs={**graph.outputs, "value": value})
    return graph


Table = dict[str, tuple[Row, ...]]


def _rewritten(graph: Graph, rows: Table, found: list[Rewritten], kept: dict[Value, None] | None) -> Graph:
    """Return a graph with the rewrites of a table; sums whose logarithm is to be trusted are added to `kept`."""
    forms: Forms = {}
    learned: dict[Value, int] = {}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        old = value.builder.rebuild(value, operands)
        few = list(trusted.sums(old.operands[0])) if kept is not None and old.op == "log" else []
        if kept is not None and few:
            kept.update(dict.fromkeys(few))
            return old
        row, result = _stable(old, forms, rows)
        if row is not None:
            found.append(Rewritten(value, result, row))
        exponentials.learn(result, forms, learned)
        return result

    return graph.rewrite(rule)


def _stable(value: Value, forms: Forms, rows: Table | None = None) -> tuple[Row | None, Value]:
    """Return the first row that matches, and what takes the place of the value."""
    for row in (BY_OPERATION if rows is None else rows).get(value.op, ()):
        result = row.rewrite(*value.operands, forms) if row.forms else row.rewrite(*value.operands)
        if result is not None and result is not value:
            return row, result
    return None, value


def _log(x: Value) -> Value:
    """Return log(x), stable: for what a row makes itself."""
    return _stable(x.builder.apply("log", x), {})[1]


# log


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
    if (quotient := without_choice(x)) is not x:
        return _log(quotient)
    apply = x.builder.apply
    logs = [_stable(apply("log", branch), forms) for branch in x.operands[1:]]
    if all(row is None for row, _ in logs):
        return None
    return apply("select", x.operands[0], *(log for _, log in logs))


def _log_cancelling_choice(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a choice as one of logarithms where a branch cancels, which its form would still do."""
    stack = [x]
    while stack:
        branch = stack.pop()
        if branch.op == "select":
            stack.extend(branch.operands[1:])
        elif branch.op == "sub" and (_log_gap(branch) or _log_difference(branch)) is not None:
            return _log_choice(x, forms) if branch is not x else None
    return None


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


def _log_of_powers(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a sum of powers with exponents that are no numbers as one of exponentials."""
    if x.op not in ("add", "sub") or (found := as_exponentials(x)) is None:
        return None
    condition, total = found
    exponentials.learn(total, forms, {})
    row, made = _stable(x.builder.apply("log", total), forms)
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


def _power_of_powers(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return ``(x**y + ...)**z`` as an exponential of its logarithm."""
    if b.op != "div" or a.op not in ("add", "sub") or (made := _log_of_powers(a, forms)) is None:
        return None  # other powers are taken apart where their logarithm is taken
    apply = a.builder.apply
    if made.op != "select":
        return apply("exp", b * made)
    condition, log, _ = made.operands
    return apply("select", condition, apply("exp", b * log), a**b)


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
    return logarithms.of_product(x, lambda base: _stable(x.builder.apply("log", base), forms)[1])


def _log_unit_gap(x: Value, forms: Forms) -> Value | None:
    """Return the logarithm of a difference of products of 1 - exp(u), or of a product with powers of one."""
    if x.op not in ("mul", "div", "pow", "sqrt"):
        return unit_gaps.logarithm(x)
    if all(unit_gaps.logarithm(base) is None for _, base in logarithms.powers(x)):
        return None
    return logarithms.of_product(x, lambda base: _stable(x.builder.apply("log", base), forms)[1])


def _log_1p_gap(x: Value) -> Value | None:
    """Return log(1 + (1 - exp(-a))*(1 - exp(-b))/(exp(-c) - 1)), of Frank's copula."""
    return unit_gaps.of_quotient(x)


def _log_abs(x: Value, forms: Forms) -> Value | None:
    """Return log(abs(1 + z)), which is log(1 + z) where that has a logarithm."""
    if x.op != "abs" or x.operands[0].op not in ("add", "sub"):
        return None
    apply, inner = x.builder.apply, x.operands[0]
    row, made = _stable(apply("log", inner), forms)
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


def _log_constant_factor(x: Value) -> Value | None:
    """Take out a positive number where the logarithm of the rest is rewritten."""
    if x.op not in ("mul", "div"):
        return None
    for number, rest in (x.operands, x.operands[::-1]) if x.op == "mul" else (x.operands[::-1],):
        value = exact(number)
        if value is not None and value > 0:
            row, inner = _stable(x.builder.apply("log", rest), {})
            if row is None:
                return None
            value = value if x.op == "mul" else 1 / Fraction(value)
            if value < 1:
                below = x.builder.apply("log", x.builder.const(1 / Fraction(value)))
                return taken_away(inner, below) or inner - below
            return inner + x.builder.apply("log", x.builder.const(value))
    return None


def _log1p_exp(x: Value) -> Value | None:
    return x.builder.apply("softplus", x.operands[0]) if x.op == "exp" else None


# Roots and norms


def _root_of_exponential(x: Value, forms: Forms) -> Value | None:
    """Return sqrt(w*exp(u)) as sqrt(w)*exp(u/2), which has a slope where the exponential is 0."""
    if x.op not in ("exp", "mul", "div") or x not in forms or not exponentials.grows(x):
        return None
    w, u = forms[x]
    root = x.builder.apply("exp", u / 2)
    return root if w is None else x.builder.apply("sqrt", w) * root


def _power_of_power(a: Value, b: Value) -> Value | None:
    """Return ``(x**2)**c`` as ``|x|**(2*c)``, for reals and any even power; a power of 1/2 is a root."""
    if b.op == "const" and b.attr in (Fraction(1, 2), 0.5) and (root := square_root(a)) is not None:
        return root
    if a.op != "pow" or (inner := exact(a.operands[1])) is None or inner % 2 or (outer := exact(b)) is None:
        return None
    power, base = inner * outer, a.operands[0]
    base = base if power % 2 == 0 else a.builder.apply("abs", base)
    return base if power == 1 else a.builder.apply("sqrt", base) if 2 * power == 1 else base**power


def _power_of_exp(a: Value, b: Value) -> Value | None:
    """Return ``exp(u)**y`` as ``exp(u*y)``; a whole power is a few products."""
    number = exact(b)
    if a.op != "exp" or b.kind == "int" or (number is not None and Fraction(number).denominator == 1):
        return None
    return a.builder.apply("exp", a.operands[0] * b)


# Products and quotients


DIVISORS = ("add", "sum", "pow", "sqrt", "exp", "cosh")


def _reduced(a: Value, b: Value, forms: Forms) -> Value | None:
    """Reduce a quotient, and rewrite what is left of it."""
    made = quotients.reduced(a, b)
    return None if made is None else _stable(made, forms)[1]


def _over_product(a: Value, b: Value, forms: Forms) -> Value | None:
    """Rewrite the quotient by one factor of what is divided by: 1/(3*(1 + exp(x)))."""
    for factor in quotients.factors(b) if b.op == "mul" else ():
        if factor.op in DIVISORS:
            row, inner = _stable(a.builder.apply("div", a, factor), forms)
            if row is not None:  # what is left of b may have such a factor, too
                rest = inner / quotients.replaced(b, factor, a.builder.const(1))
                return _stable(rest, forms)[1]
    return None


FAR = 7  # exp(7) is 1097, and exp(-1097) is 0


def _saturated(name: str, signs: tuple[int, ...]) -> Callable[[Value], Value | None]:
    """Return the rule for a function of c*exp(u), c being a number of such a sign, that has its limit beyond u = 7."""

    def rule(x: Value) -> Value | None:
        factor, rest = factored(x)
        if (
            rest is None
            or rest.op != "exp"
            or rest.operands[0].op == "minimum"
            or (factor > 0) - (factor < 0) not in signs
        ):
            return None
        bound = FAR + max(0, ceil(-log(abs(Fraction(factor)))))
        inner = x.builder.apply("exp", x.builder.apply("minimum", rest.operands[0], bound))
        return x.builder.apply(name, scaled(inner, factor, x))

    return rule


def _acosh(x: Value) -> Value | None:
    """Return acosh(1 + z) as 2*asinh(sqrt(z/2))."""
    for one, rest in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        if one.is_const(1):
            return 2 * x.builder.apply("asinh", square_root(rest / 2) or x.builder.apply("sqrt", rest / 2))
    return None


def _acos(x: Value) -> Value | None:
    """Return acos(1 - z) as 2*asin(sqrt(z/2))."""
    if x.op == "sub" and x.operands[0].is_const(1):
        half = x.operands[1] / 2
        return 2 * x.builder.apply("asin", square_root(half) or x.builder.apply("sqrt", half))
    return None


HIGHEST = 700  # exp(700) is a float


def _over_odds(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return a/(1 + w*exp(u)) with an exponential that does not overflow: with it, the slope would be inf/inf**2."""
    for one, other in (b.operands, b.operands[::-1]) if b.op == "add" else ():
        if one.is_const(1) and other.op in ("mul", "div") and other in forms and exponentials.grows(other):
            apply, (w, u) = b.builder.apply, forms[other]
            if w is not None and a not in forms and u.op != "minimum" and not exponentials.grows(w):
                return a / (1 + w * apply("exp", apply("minimum", u, HIGHEST)))
    return None


OVERFLOWS = "the exponential overflows, and so do its derivatives"
CANCELS = "the difference of what is nearly equal is mostly rounding"
UNDERFLOWS = "the product underflows to 0, whose logarithm is -inf"
NO_SLOPE = "at 0 a factor is infinite, or its slope, while the product is not"
TINY = 1e-30
SMALL, POSITIVE, UNIT = (-1.0, 1.0), (1e-3, 1e3), (-0.9, 0.9)

ROWS: tuple[Row, ...] = (
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
    Row("log", "log(3 + y**x)", "log(3 + exp(x*log(y)))", _log_of_powers, OVERFLOWS, POSITIVE, forms=True),
    Row("log", "log(1 + x)", "log1p(x)", _log_1p, CANCELS, UNIT),
    Row("log", "log(abs(1 + x))", "where(x > -1, log1p(x), log(abs(1 + x)))", _log_abs, CANCELS, UNIT, forms=True),
    Row("log", "log((1 + y*exp(x))**3)", "3*log1pwexp(y, x)", _log_near_one, CANCELS, forms=True),
    Row("log", "log(2*cosh(x))", "logcosh(x) + log(2)", _log_constant_factor, OVERFLOWS),
    Row("log", "log(where(x > 0, sigmoid(x + y) - sigmoid(x), exp(x)))",
        "where(x > 0, log1mexp(-y) - softplus(-x - y) - softplus(x), x)", _log_cancelling_choice, CANCELS, forms=True),
    Row("log", "log(Sum(exp(x[i]), i))", "max(x) + log(Sum(exp(x[i] - max(x)), i))",
        _log_scaled, OVERFLOWS, forms=True, measured="log(exp(x) + exp(y))"),
    Row("log", "log(where(x > 0, exp(x), exp(-x)))", "where(x > 0, x, -x)", _log_choice, OVERFLOWS, forms=True),
    Row("log", "log(x**2*y**4)", "2*log(abs(x)) + 4*log(abs(y))", _log_product, UNDERFLOWS, (1e-200, 1e200)),
    Row("log1p", "log1p(exp(x))", "softplus(x)", _log1p_exp, OVERFLOWS),
    Row("sqrt", "sqrt(x**2 + y**2)", "hypot(x, y)", square_root,
        "a square overflows; at the origin the gradient of a norm is 0", (-1e200, 1e200)),
    Row("sqrt", "sqrt(y*exp(x))", "sqrt(y)*exp(x/2)", _root_of_exponential, UNDERFLOWS, (-700.0, 700.0), forms=True),
    Row("pow", "(x**2)**(1/3)", "abs(x)**(2/3)", _power_of_power, "as sqrt", (-1e200, 1e200)),
    Row("pow", "(3 + y**x)**(1/x)", "exp(log(3 + exp(x*log(y)))/x)", _power_of_powers, OVERFLOWS, POSITIVE, forms=True),
    Row("pow", "exp(x)**y", "exp(x*y)", _power_of_exp, OVERFLOWS, (-100.0, 100.0)),
    Row("acosh", "acosh(1 + x)", "2*asinh(sqrt(x/2))", _acosh, CANCELS, (0.0, 1e3)),
    Row("acos", "acos(1 - x)", "2*asin(sqrt(x/2))", _acos, CANCELS, (0.0, 1.9)),
    Row("sub", "exp(x) - 1", "expm1(x)", difference, CANCELS, SMALL),
    Row("add", "1 + tanh(x)", "2*sigmoid(2*x)", total, CANCELS, (-100.0, 100.0)),
    Row("sub", "(x + y) - y", "x", taken_away, "what is added and taken away again is never computed"),
    Row("add", "y + (x - y)", "x", added_back, "what is added and taken away again is never computed"),
    Row("mul", "sqrt(x)*log(x)**2", "where(x == 0, sqrt(x), sqrt(x)*log(x)**2)", power_log, NO_SLOPE, (1e-3, 1e3)),
    Row("mul", "x*log(x)", "xlogx(x)", x_log_x, "0*log(0) is 0", (1e-3, 1e3)),
    Row("mul", "exp(x)*exp(y - x)", "exp(y)", quotients.exponents_cancel, OVERFLOWS),
    Row("mul", "(3 - exp(x))**2*exp(-2*x)", "(3*exp(-x) - 1)**2", relative.product, OVERFLOWS, (2.0, 100.0)),
    Row("mul", "exp(x**2)*erfc(x)", "erfcx(x)", quotients.tail_times, OVERFLOWS, (-5.0, 100.0)),
    Row("div", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "tanh(x)", quotients.as_tanh, OVERFLOWS),
    Row("div", "1/cosh(x)", "sech(x)", quotients.over_power, OVERFLOWS),
    Row("div", "exp(-x**2)/erfc(x)", "1/erfcx(x)", quotients.hazard, "both underflow", (-5.0, 100.0)),
    Row("div", "(3 - exp(x))**2/(y*exp(2*x))", "(3*exp(-x) - 1)**2/y", relative.quotient, OVERFLOWS, (2.0, 100.0)),
    Row("div", "gamma(x)/gamma(x + y)", "exp(lgamma(x) - lgamma(x + y))", quotients.over_gammas, OVERFLOWS,
        (1e-3, 1e3)),
    Row("div", "(y**x - 1)/x", "where(y > 0, expm1(x*log(y)), y**x - 1)/x", quotients.power_minus_one,
        CANCELS, (1e-9, 1.0)),
    Row("div", "1/(1 + y*exp(x))", "1/(1 + y*exp(minimum(x, 700)))", _over_odds, OVERFLOWS, (-700.0, 700.0),
        forms=True),
    Row("div", "y*exp(x)/(2*exp(x))", "y/2", _reduced, OVERFLOWS, forms=True),
    Row("div", "1/(y*(1 + exp(x)))", "sigmoid(-x)/y", _over_product, OVERFLOWS, forms=True),
    Row("div", "exp(x)/Sum(exp(x[i]), i)", "exp(x - max(x))/Sum(exp(x[i] - max(x)), i)",
        exponentials.ratio, OVERFLOWS, forms=True, measured="exp(x)/(exp(x) + exp(y) + exp(-x))"),
    Row("mul", "sqrt(x)*x", "x**(3/2)", powers.of_product, NO_SLOPE, (0.0, 1e3)),
    Row("div", "x**2/sqrt(x)", "x**(3/2)", powers.of_quotient, NO_SLOPE, (1e-9, 1e3)),
    Row("pow", "sqrt(x)**3", "x**(3/2)", powers.of_power, NO_SLOPE, (0.0, 1e3)),
    Row("sqrt", "sqrt(x**3)", "x**(3/2)", powers.of_root, NO_SLOPE, (0.0, 1e3)),
)  # fmt: skip
BY_OPERATION: Table = {op: tuple(r for r in ROWS if r.op == op) for op in {r.op for r in ROWS}}

# What is left is done later: the rows above look for what these hide.
STEEP = "the derivative is 0 times an exponential that overflows"
SATURATED = {
    "exp": ("exp(-exp(x))", "exp(-exp(minimum(x, 7)))", (-1,)),
    "log1mexp": ("log(1 - exp(-3*exp(x)))", "log1mexp(-3*exp(minimum(x, 7)))", (-1,)),
    "tanh": ("tanh(exp(x))", "tanh(exp(minimum(x, 7)))", (-1, 1)),
    "sigmoid": ("sigmoid(exp(x))", "sigmoid(exp(minimum(x, 7)))", (-1, 1)),
    "erf": ("erf(exp(x))", "erf(exp(minimum(x, 7)))", (-1, 1)),
    "erfc": ("erfc(exp(x))", "erfc(exp(minimum(x, 7)))", (-1, 1)),
    "sech": ("1/cosh(exp(x))", "sech(exp(minimum(x, 7)))", (-1, 1)),
}
LATER: Table = {
    op: (Row(op, before, after, _saturated(op, signs), STEEP, (-1e4, 20.0)),)
    for op, (before, after, signs) in SATURATED.items()
}

# Where sums of products of exponentials are trusted, their ratios come in the same form.
TRUSTED = Row("div", "Sum(exp(x[i])*exp(y[j, i]), i)/Sum(exp(x[i]), i)", "Sum(exp(x[i] - max(x))*exp(y[j, i]), i)/...",
    trusted.ratio, OVERFLOWS, forms=True)  # fmt: skip
TRUSTING: Table = {**BY_OPERATION, "div": (TRUSTED, *BY_OPERATION["div"])}
