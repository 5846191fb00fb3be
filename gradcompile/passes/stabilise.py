"""Stabilisation before differentiation: a formula that overflows or cancels becomes one that does not.

Each row of `ROWS` is a pattern, see patterns.py. Rows are tried from the top; the rewrite gets the operands of the
operation that the row stands on. What is known to be ``w*exp(u)`` is kept beside the graph, see exponentials.py: the
last rows stand on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil, log
from typing import NamedTuple

from gradcompile.ir import Graph, Value
from gradcompile.passes import balanced, cosines, exponentials, powers, quotients, relative, tails, trusted
from gradcompile.passes.differences import added_back, difference, of_waves, taken_away, total
from gradcompile.passes.entropies import power_log, x_log_x
from gradcompile.passes.exponentials import Forms, negated
from gradcompile.passes.fold import exact, factored, scaled
from gradcompile.passes.log_patterns import LOGS, log_of_powers
from gradcompile.passes.norms import of_order, square_root
from gradcompile.passes.patterns import (
    CANCELS,
    FAR,
    NO_SLOPE,
    OVERFLOWS,
    POSITIVE,
    SMALL,
    UNDERFLOWS,
    Row,
    Table,
    rewritten,
)
from gradcompile.passes.precision import HIGHEST


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


def _rewritten(graph: Graph, rows: Table, found: list[Rewritten], kept: dict[Value, None] | None) -> Graph:
    """Return a graph with the rewrites of a table; sums whose logarithm is to be trusted are added to `kept`."""
    forms: Forms = {}
    learned: dict[Value, int] = {}
    anyway = trusted.taken_anyway(graph) if kept is not None else ()

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        old = value.builder.rebuild(value, operands)
        if kept is not None and old.op == "log":
            logarithm, few = trusted.logarithm(old)
            if value.op == "log" and value.operands[0] in anyway:
                few.append(old.operands[0])
            if few:
                kept.update(dict.fromkeys(few))
                return logarithm
        row, result = rewritten(old, forms, rows)
        if row is not None:
            found.append(Rewritten(value, result, row))
        exponentials.learn(result, forms, learned)
        return result

    return graph.rewrite(rule)


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


def _power_of_powers(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return ``(x**y + ...)**z`` as an exponential of its logarithm."""
    if b.op != "div" or a.op not in ("add", "sub") or (made := log_of_powers(a, forms)) is None:
        return None  # other powers are taken apart where their logarithm is taken
    apply = a.builder.apply
    if made.op != "select":
        return apply("exp", b * made)
    condition, log, _ = made.operands
    return apply("select", condition, apply("exp", b * log), a**b)


def _power_of_exp(a: Value, b: Value) -> Value | None:
    """Return ``exp(u)**y`` as ``exp(u*y)``; a whole power is a few products."""
    number = exact(b)
    if a.op != "exp" or b.kind == "int" or (number is not None and Fraction(number).denominator == 1):
        return None
    return a.builder.apply("exp", a.operands[0] * b)


def _power_of_odds(a: Value, b: Value) -> Value | None:
    """Return ``(1 + exp(u))**y`` as ``exp(y*softplus(u))``, and a power of ``sigmoid(u)``, if y is no number."""
    exponent = exponentials.one_plus_exp(a) if a.op == "add" else negated(a.operands[0]) if a.op == "sigmoid" else None
    if exponent is None or b.op == "const" or b.kind == "int":
        return None
    logarithm = b * a.builder.apply("softplus", exponent)
    return a.builder.apply("exp", logarithm if a.op == "add" else -logarithm)


def _over_power_of_odds(a: Value, b: Value) -> Value | None:
    """Return ``a/(1 + exp(u))**y``, of which `_power_of_odds` has seen the power."""
    of_odds = b.op == "exp" and any(factor.op == "softplus" for factor in quotients.factors(b.operands[0]))
    return a * b.builder.apply("exp", negated(b.operands[0])) if of_odds else None


# Products and quotients


DIVISORS = ("add", "sum", "pow", "sqrt", "exp", "cosh")


def _reduced(a: Value, b: Value, forms: Forms) -> Value | None:
    """Reduce a quotient, and rewrite what is left of it."""
    made = quotients.reduced(a, b)
    return None if made is None else rewritten(made, forms, BY_OPERATION)[1]


def _over_product(a: Value, b: Value, forms: Forms) -> Value | None:
    """Rewrite the quotient by one factor of what is divided by: 1/(3*(1 + exp(x)))."""
    rest, made = _over_factor(a, b, forms), None
    while rest is not None:  # what is left of b may have such a factor, too
        row, made = rewritten(rest, forms, ABOVE_PRODUCTS)
        if row is not None:
            return made
        rest = _over_factor(made.operands[0], made.operands[1], forms) if made.op == "div" else None
    return None if made is None else rewritten(made, forms, BELOW_PRODUCTS)[1]


def _over_factor(a: Value, b: Value, forms: Forms) -> Value | None:
    for factor in quotients.factors(b) if b.op == "mul" else ():
        if factor.op in DIVISORS:
            row, inner = rewritten(a.builder.apply("div", a, factor), forms, BY_OPERATION)
            if row is not None:
                return inner / quotients.replaced(b, factor, a.builder.const(1))
    return None


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


LOWEST = -800  # of an exponent: exp(-800) is 0


def _vanishing(x: Value) -> Value | None:
    """Return exp(w*exp(u)) with an exponent that has an end, where w is no number and u is as large as all of it."""
    inside = [f for f in (quotients.factors(x) if x.op in ("mul", "neg") else ()) if not set(x.axes) - set(f.axes)]
    if x.op == "neg" and x.operands[0].op == "mul":
        inside = [f for f in quotients.factors(x.operands[0]) if not set(x.axes) - set(f.axes)]
    if not any(factor.op == "exp" for factor in inside) or factored(x)[1] in inside:
        return None
    return x.builder.apply("exp", x.builder.apply("maximum", x, LOWEST))


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


def _over_odds(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return a/(1 + w*exp(u)) with an exponential that does not overflow: with it, the slope would be inf/inf**2."""
    for one, other in (b.operands, b.operands[::-1]) if b.op == "add" else ():
        if one.is_const(1) and other.op in ("mul", "div") and other in forms and exponentials.grows(other):
            apply, (w, u) = b.builder.apply, forms[other]
            if w is not None and a not in forms and u.op != "minimum" and not exponentials.grows(w):
                return a / (1 + w * apply("exp", apply("minimum", u, HIGHEST)))
    return None


def _log1p_exp(x: Value) -> Value | None:
    return x.builder.apply("softplus", x.operands[0]) if x.op == "exp" else None


ROWS: tuple[Row, ...] = (
    *LOGS,
    Row("log1p", "log1p(exp(x))", "softplus(x)", _log1p_exp, OVERFLOWS),
    Row("sqrt", "sqrt(x**2 + y**2)", "hypot(x, y)", square_root,
        "a square overflows; at the origin the gradient of a norm is 0", (-1e200, 1e200)),
    Row("sqrt", "sqrt(y*exp(x))", "sqrt(y)*exp(x/2)", _root_of_exponential, UNDERFLOWS, (-700.0, 700.0), forms=True),
    Row("pow", "(x**2)**(1/3)", "abs(x)**(2/3)", _power_of_power, "as sqrt", (-1e200, 1e200)),
    Row("pow", "(abs(x)**3 + abs(y)**3)**(1/3)",
        "where(abs(x)**3 + abs(y)**3 > 0, (abs(x)**3 + abs(y)**3)**(1/3), 0)", of_order,
        "at the origin the gradient of a norm is 0", (-1e3, 1e3)),
    Row("pow", "(3 + y**x)**(1/x)", "exp(log(3 + exp(x*log(y)))/x)", _power_of_powers, OVERFLOWS, POSITIVE, forms=True),
    Row("pow", "exp(x)**y", "exp(x*y)", _power_of_exp, OVERFLOWS, (-100.0, 100.0)),
    Row("pow", "(1 + exp(x))**y", "exp(y*softplus(x))", _power_of_odds, OVERFLOWS, (-700.0, 100.0)),
    Row("acosh", "acosh(1 + x)", "2*asinh(sqrt(x/2))", _acosh, CANCELS, (0.0, 1e3)),
    Row("acos", "acos(1 - x)", "2*asin(sqrt(x/2))", _acos, CANCELS, (0.0, 1.9)),
    Row("sub", "exp(x) - 1", "expm1(x)", difference, CANCELS, SMALL),
    # Its domain leaves out 0, where no number of digits tells that the pattern is 0.
    Row("sub", "sin(y + x) - sin(y)", "2*cos(y + x/2)*sin(x/2)", of_waves, CANCELS, (1e-9, 1.0)),
    Row("add", "1 + tanh(x)", "2*sigmoid(2*x)", total, CANCELS, (-100.0, 100.0)),
    # Their domain leaves out 0 in the same way.
    Row("add", "1 - 2*y*cos(x) + y**2", "(y - 1)**2 + 4*y*sin(x/2)**2", cosines.side, CANCELS, (1e-9, 1.0)),
    Row("sub", "1 + y**2 - 2*y*cos(x)", "(y - 1)**2 + 4*y*sin(x/2)**2", cosines.side_of_difference, CANCELS,
        (1e-9, 1.0)),
    Row("sub", "(x + y) - y", "x", taken_away, "what is added and taken away again is never computed"),
    Row("add", "y + (x - y)", "x", added_back, "what is added and taken away again is never computed"),
    Row("mul", "sqrt(x)*log(x)**2", "where(x == 0, sqrt(x), sqrt(x)*log(x)**2)", power_log, NO_SLOPE, (1e-3, 1e3)),
    Row("mul", "x*log(x)", "xlogx(x)", x_log_x, "0*log(0) is 0", (1e-3, 1e3)),
    Row("mul", "exp(x)*exp(y - x)", "exp(y)", quotients.exponents_cancel, OVERFLOWS),
    Row("mul", "(3 - exp(x))**2*exp(-2*x)", "(3*exp(-x) - 1)**2", relative.product, OVERFLOWS, (2.0, 100.0)),
    Row("mul", "exp(x**2)*erfc(x)", "erfcx(x)", quotients.tail_times, OVERFLOWS, (-5.0, 100.0)),
    Row("mul", "exp(2*x)*erfc(x)", "2*exp(2*x + logtail(x))", tails.times_growing, OVERFLOWS, (-100.0, 100.0)),
    Row("div", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "tanh(x)", quotients.as_tanh, OVERFLOWS),
    Row("div", "y*cosh(x)/sinh(x)", "y/tanh(x)", quotients.of_hyperbolic, OVERFLOWS, (1e-3, 1e4)),
    Row("div", "1/cosh(x)", "sech(x)", quotients.over_power, OVERFLOWS),
    Row("div", "exp(-x**2)/erfc(x)", "1/erfcx(x)", quotients.hazard, "both underflow", (-5.0, 100.0)),
    Row("div", "exp(x)/(exp(x) - 1)**2", "exp(-abs(x))/expm1(-abs(x))**2", quotients.over_power_of_expm1, OVERFLOWS,
        (-1e3, 1e3)),
    Row("div", "exp(3*x)/(exp(x) - 1)**3", "-1/expm1(-x)**3", quotients.over_power_of_expm1, OVERFLOWS, (-200.0, 1e3)),
    Row("div", "(3 - exp(x))**2/(y*exp(2*x))", "(3*exp(-x) - 1)**2/y", relative.quotient, OVERFLOWS, (2.0, 100.0)),
    Row("div", "gamma(x)/gamma(x + y)", "exp(lgamma(x) - lgamma(x + y))", quotients.over_gammas, OVERFLOWS,
        (1e-3, 1e3)),
    Row("div", "(y**x - 1)/x", "where(y > 0, expm1(x*log(y)), y**x - 1)/x", quotients.power_minus_one,
        CANCELS, (1e-9, 1.0)),
    Row("div", "y*exp(x)/(3 + y*(exp(x) - 1))", "y*exp(minimum(x, 80))/(3 + y*(exp(minimum(x, 80)) - 1))",
        balanced.quotient, OVERFLOWS, (-100.0, 80.0)),
    Row("div", "1/(1 + y*exp(x))", "1/(1 + y*exp(minimum(x, 700)))", _over_odds, OVERFLOWS, (-700.0, 700.0),
        forms=True),
    Row("div", "3/(1 + exp(x))**y", "3*exp(-y*softplus(x))", _over_power_of_odds, OVERFLOWS, (-700.0, 100.0)),
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
DIVIDING = BY_OPERATION["div"]
WITH_FACTORS = next(n for n, row in enumerate(DIVIDING) if row.rewrite is _over_product)
ABOVE_PRODUCTS: Table = {**BY_OPERATION, "div": DIVIDING[:WITH_FACTORS]}
BELOW_PRODUCTS: Table = {"div": DIVIDING[WITH_FACTORS + 1 :]}

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
LATER: dict[str, tuple[Row, ...]] = {
    op: (Row(op, before, after, _saturated(op, signs), STEEP, (-1e4, 20.0)),)
    for op, (before, after, signs) in SATURATED.items()
}
LATER["exp"] += (
    Row("exp", "exp(-y*exp(x))", "exp(maximum(-y*exp(x), -800))", _vanishing, STEEP, (-20.0, 6.0)),
)  # fmt: skip

# Where sums of products of exponentials are trusted, their ratios come in the same form.
TRUSTED = Row("div", "Sum(exp(x[i])*exp(y[j, i]), i)/Sum(exp(x[i]), i)", "Sum(exp(x[i] - max(x))*exp(y[j, i]), i)/...",
    trusted.ratio, OVERFLOWS, forms=True)  # fmt: skip
APART = Row("div", "exp(y[j])/(1 + exp(x[i]))", "exp(y[j])*sigmoid(-x[i])", trusted.odds, OVERFLOWS, forms=True)
TRUSTING: Table = {**BY_OPERATION, "div": (TRUSTED, APART, *BY_OPERATION["div"])}
