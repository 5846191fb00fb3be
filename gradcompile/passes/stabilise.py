"""Stabilisation before differentiation: a formula that overflows or cancels becomes one that does not.

Each row of `ROWS` is a pattern, its rewrite, why, and a proof: both sides as text, which a test evaluates at 50 digits.
Rows are tried from the top; the rewrite gets the operands of the operation that the row stands on. What is known to be
``w*exp(u)`` is kept beside the graph, see exponentials.py: the last rows stand on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from gradcompile.ir import Graph, Value
from gradcompile.passes import exponentials, logarithms
from gradcompile.passes.exponentials import Forms, negated, one_plus_exp, opposite, two_exps
from gradcompile.passes.fold import exact, factored

Interval = tuple[float, float]
LOGITS: Interval = (-1e4, 1e4)


@dataclass(frozen=True)
class Row:
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


@dataclass(frozen=True)
class Rewritten:
    """One place at which a row was applied: the value that was there, what stands there now, and the row."""

    before: Value
    after: Value
    row: Row


def stabilise(graph: Graph, found: list[Rewritten] | None = None) -> Graph:
    """Return the graph with every unstable pattern rewritten.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    found : list, optional
        Each rewrite is added to it.
    """
    forms: Forms = {}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        old = value.builder.rebuild(value, operands)
        made = len(value.builder.values)
        row, result = _stable(old, forms)
        if row is not None and found is not None:
            found.append(Rewritten(value, result, row))
        for each in [*value.builder.values[made:], result]:  # what a row has made may be w*exp(u), too
            if each not in forms and (form := exponentials.form_of(each, forms)) is not None:
                forms[each] = form
        return result

    return graph.rewrite(rule)


def _stable(value: Value, forms: Forms) -> tuple[Row | None, Value]:
    """Return the first row that matches, and what takes the place of the value."""
    for row in BY_OPERATION.get(value.op, ()):
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
        if _squared(square) is base and exact(one) in (1, -1):
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
                return None if _grows(other) else apply("log1p", other)
    if x.op == "sub" and x.operands[0].is_const(1) and x.operands[1].op != "sigmoid":
        return apply("log1p", -x.operands[1])
    return None


def _log_softplus(x: Value) -> Value | None:
    """Return log(1 + c*exp(u)) as softplus(u + log(c))."""
    if (exponent := one_plus_exp(x)) is not None:
        return x.builder.apply("softplus", exponent)
    for one, other in (x.operands, x.operands[::-1]) if x.op == "add" else ():
        factor, rest = factored(other)
        if one.is_const(1) and factor > 0 and rest is not None and rest.op == "exp":
            return x.builder.apply("softplus", rest.operands[0] + x.builder.apply("log", x.builder.const(factor)))
    return None


NEARBY = 64  # operations that a search for an exponential looks at


def _grows(x: Value) -> bool:
    """Return whether a term holds an exponential nearby, so that the scaled-exponential form serves it better."""
    stack, seen = [x], 0
    while stack and seen < NEARBY:
        value, seen = stack.pop(), seen + 1
        if value.op == "exp":
            return True
        if value.op in ("mul", "div", "add", "sum"):
            stack.extend(value.operands)
    return False


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
                return _taken_away(inner, below) or inner - below
            return inner + x.builder.apply("log", x.builder.const(value))
    return None


def _log1p_exp(x: Value) -> Value | None:
    return x.builder.apply("softplus", x.operands[0]) if x.op == "exp" else None


# Roots and norms


def _square_root(x: Value) -> Value | None:
    apply = x.builder.apply
    if (base := _squared(x)) is not None:
        return apply("abs", base)
    if x.op == "add":
        a, b = _squared(x.operands[0]), _squared(x.operands[1])
        if a is not None and b is not None:
            return apply("hypot", a, b)
    return apply("norm", x) if _sum_of_squares(x) else None


def _squared(x: Value) -> Value | None:
    if x.op == "pow" and x.operands[1].is_const(2):
        return x.operands[0]
    return x.operands[0] if x.op == "mul" and x.operands[0] is x.operands[1] else None


def _sum_of_squares(x: Value) -> bool:
    while x.op == "add":
        if _squared(x.operands[1]) is None and not (x.operands[1].op == "sum" and _sum_of_squares(x.operands[1])):
            return False
        x = x.operands[0]
    return _squared(x) is not None or (x.op == "sum" and _sum_of_squares(x.operands[0]))


def _half_power(a: Value, b: Value) -> Value | None:
    """``(x**2)**(1/2)`` is |x| for reals."""
    return _square_root(a) if b.op == "const" and b.attr in (Fraction(1, 2), 0.5) else None


def _square_of_tanh(x: Value) -> Value | None:
    base = _squared(x)
    return base.operands[0] if base is not None and base.op == "tanh" else None


# Differences


def _difference(a: Value, b: Value) -> Value | None:
    """Return a - b for what cancels where one of them is the number 1."""
    apply = a.builder.apply
    if b.is_const(1):
        if a.op in MINUS_ONE:
            return MINUS_ONE[a.op](a)
        doubled = a.operands[1] if a.op == "mul" and a.operands[0].is_const(2) else None
        return apply("tanh", doubled.operands[0] / 2) if doubled is not None and doubled.op == "sigmoid" else None
    if a.is_const(1):
        if b.op in ONE_MINUS:
            return ONE_MINUS[b.op](b)
        return None if (u := _square_of_tanh(b)) is None else apply("sech", u) ** 2
    return _scaled_sum(a, b, -1)


def _scaled_sum(a: Value, b: Value, sign: int) -> Value | None:
    """Return c + c*f, or c - c*f, as c*(1 + f): SymPy multiplies (1 + erf(x))/2 out."""
    number = exact(a)
    factor, rest = factored(b)
    if not number or number == 1 or rest is None or rest.op not in ("erf", "tanh") or abs(factor) != abs(number):
        return None
    one = a.builder.const(1)
    share = _sum(one, rest) if sign * factor / number > 0 else _difference(one, rest)
    return None if share is None else a * share


MINUS_ONE: dict[str, Callable[[Value], Value | None]] = {
    "exp": lambda a: a.builder.apply("expm1", a.operands[0]),
    "tanh": lambda a: -2 * a.builder.apply("sigmoid", -2 * a.operands[0]),
    "sigmoid": lambda a: -a.builder.apply("sigmoid", negated(a.operands[0])),
    "cos": lambda a: -2 * a.builder.apply("sin", a.operands[0] / 2) ** 2,
    "sqrt": lambda a: _root_minus_one(a, a.operands[0]),
    "hypot": lambda a: _root_minus_one(a, None),
}
ONE_MINUS: dict[str, Callable[[Value], Value | None]] = {
    "exp": lambda b: -b.builder.apply("expm1", b.operands[0]),
    "erf": lambda b: b.builder.apply("erfc", b.operands[0]),
    "erfc": lambda b: b.builder.apply("erf", b.operands[0]),
    "tanh": lambda b: 2 * b.builder.apply("sigmoid", -2 * b.operands[0]),
    "sigmoid": lambda b: b.builder.apply("sigmoid", negated(b.operands[0])),
    "cos": lambda b: 2 * b.builder.apply("sin", b.operands[0] / 2) ** 2,
}


def _root_minus_one(root: Value, square: Value | None) -> Value | None:
    """Return sqrt(1 + z) - 1 as z/(1 + sqrt(1 + z)); of a hypot with 1, without z, which may overflow."""
    if square is None:
        other = [o for o in root.operands if not o.is_const(1)]
        return other[0] * (other[0] / (1 + root)) if len(other) == 1 else None
    if square.op == "add":
        for one, rest in (square.operands, square.operands[::-1]):
            if one.is_const(1):
                return rest / (1 + root)
    return None


def _sum(a: Value, b: Value) -> Value | None:
    """Return a + b for what cancels where one of them is 1 or -1."""
    for one, other in ((a, b), (b, a)):
        if one.is_const(-1):
            return _difference(other, one.builder.const(1))
        if one.is_const(1):
            if other.op == "neg":
                return _difference(one, other.operands[0])
            if other.op == "tanh":
                return 2 * one.builder.apply("sigmoid", 2 * other.operands[0])
            if other.op == "erf":
                return one.builder.apply("erfc", negated(other.operands[0]))
    return _scaled_sum(a, b, 1) or _scaled_sum(b, a, 1)


def _taken_away(a: Value, b: Value) -> Value | None:
    if a.op == "add" and b in a.operands:
        return a.operands[0] if b is a.operands[1] else a.operands[1]
    return None


def _added_back(a: Value, b: Value) -> Value | None:
    for one, other in ((a, b), (b, a)):
        if other.op == "sub" and other.operands[1] is one:
            return other.operands[0]
    return None


# Products and quotients


def _x_log_x(a: Value, b: Value) -> Value | None:
    for x, other in ((a, b), (b, a)):
        if other.op == "log" and other.operands[0] is x:
            return a.builder.apply("xlogx", x)
    return None


def _exponents_cancel(a: Value, b: Value) -> Value | None:
    """Return exp(u)*exp(v) as exp(u + v) where that is simpler: else two exponentials may be cheaper than one."""
    if a.op != "exp" or b.op != "exp":
        return None
    u, v = a.operands[0], b.operands[0]
    if opposite(u, v):
        return a.builder.const(1)
    for one, other in ((u, v), (v, u)):
        if (total := _added_back(one, other)) is not None:
            return a.builder.apply("exp", total)
        if other.op == "add" and (rest := [o for o in other.operands if not opposite(o, one)]) and len(rest) == 1:
            return a.builder.apply("exp", rest[0])
    return None


def _tanh(a: Value, b: Value) -> Value | None:
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


def _over_cosh(a: Value, b: Value) -> Value | None:
    base, power = (b.operands[0], b.operands[1]) if b.op == "pow" else (b, None)
    if base.op != "cosh" or (power is not None and power.op != "const"):
        return None
    share = a.builder.apply("sech", base.operands[0])
    share = share if power is None else share**power
    return share if a.is_const(1) else a * share


OVERFLOWS = "the exponential overflows, and so do its derivatives"
CANCELS = "the difference of what is nearly equal is mostly rounding"
UNDERFLOWS = "the product underflows to 0, whose logarithm is -inf"
SMALL, POSITIVE, UNIT = (-1.0, 1.0), (1e-3, 1e3), (-0.9, 0.9)

ROWS: tuple[Row, ...] = (
    Row("log", "log(1 + exp(x))", "softplus(x)", _log_softplus, OVERFLOWS),
    Row("log", "log(exp(x))", "x", _log_exp, OVERFLOWS),
    Row("log", "log(sigmoid(x))", "-softplus(-x)", _log_sigmoid, UNDERFLOWS),
    Row("log", "log(exp(x) + exp(-x))", "logcosh(x) + log(2)", _log_cosh, OVERFLOWS),
    Row("log", "log(1 - exp(-x))", "log1mexp(-x)", _log_difference, CANCELS, POSITIVE),
    Row("log", "log(sinh(x))", "x - log(2) + log1mexp(-2*x)", _log_hyperbolic, OVERFLOWS, POSITIVE),
    Row("log", "log(erfc(x))", "logtail(x) + log(2)", _log_tail, UNDERFLOWS, (-5.0, 100.0)),
    Row("log", "log(x + sqrt(x**2 + 1))", "asinh(x)", _log_inverse, CANCELS),
    Row("log", "log((1 + x)/(1 - x))", "2*atanh(x)", _log_atanh, CANCELS, UNIT),
    Row("log", "log(1 + x)", "log1p(x)", _log_1p, CANCELS, UNIT),
    Row("log", "log(2*cosh(x))", "logcosh(x) + log(2)", _log_constant_factor, OVERFLOWS),
    Row("log", "log(Sum(exp(x[i]), i))", "max(x) + log(Sum(exp(x[i] - max(x)), i))",
        _log_scaled, OVERFLOWS, forms=True, measured="log(exp(x) + exp(y))"),
    Row("log", "log(x**2*y**4)", "2*log(abs(x)) + 4*log(abs(y))", _log_product, UNDERFLOWS, (1e-200, 1e200)),
    Row("log1p", "log1p(exp(x))", "softplus(x)", _log1p_exp, OVERFLOWS),
    Row("sqrt", "sqrt(x**2 + y**2)", "hypot(x, y)", _square_root,
        "a square overflows; at the origin the gradient of a norm is 0", (-1e200, 1e200)),
    Row("pow", "(x**2)**(1/2)", "abs(x)", _half_power, "as sqrt", (-1e200, 1e200)),
    Row("sub", "exp(x) - 1", "expm1(x)", _difference, CANCELS, SMALL),
    Row("add", "1 + tanh(x)", "2*sigmoid(2*x)", _sum, CANCELS, (-100.0, 100.0)),
    Row("sub", "(x + y) - y", "x", _taken_away, "what is added and taken away again is never computed"),
    Row("add", "y + (x - y)", "x", _added_back, "what is added and taken away again is never computed"),
    Row("mul", "x*log(x)", "xlogx(x)", _x_log_x, "0*log(0) is 0", (1e-3, 1e3)),
    Row("mul", "exp(x)*exp(y - x)", "exp(y)", _exponents_cancel, OVERFLOWS),
    Row("div", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "tanh(x)", _tanh, OVERFLOWS),
    Row("div", "1/cosh(x)", "sech(x)", _over_cosh, OVERFLOWS),
    Row("div", "exp(x)/Sum(exp(x[i]), i)", "exp(x - max(x))/Sum(exp(x[i] - max(x)), i)",
        exponentials.ratio, OVERFLOWS, forms=True, measured="exp(x)/(exp(x) + exp(y) + exp(-x))"),
)  # fmt: skip
BY_OPERATION: dict[str, tuple[Row, ...]] = {op: tuple(r for r in ROWS if r.op == op) for op in {r.op for r in ROWS}}
