"""Stabilisation before differentiation: a formula that overflows becomes one that does not.

Two ideas do most of it. A *scaled exponential* is a value known to be ``w*exp(u)``; products, quotients, powers, and
sums of such values are again of this form (a sum takes out its largest exponent), so ``log`` of any of them is
``u + log(w)`` and their ratio is ``(w1/w2)*exp(u1 - u2)``, without an exponential that overflows. That one idea covers
log-sum-exp, softmax, log-softmax, mixtures and products of probabilities. The rest are rows of `ROWS`: a pattern, its
rewrite, and why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from gradcompile.ir import Axis, Graph, Value

Form = tuple[Value | None, Value]  # (w, u) stands for w*exp(u); w None stands for 1


def stabilise(graph: Graph) -> Graph:
    """Return the graph with every unstable pattern rewritten."""
    forms: dict[Value, Form] = {}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value:
        result = _stable(value.op, operands, forms) or value.builder.rebuild(value, operands)
        if result not in forms and (form := _form(result, forms)) is not None:
            forms[result] = form
        return result

    return graph.rewrite(rule)


def _stable(op: str, operands: tuple[Value, ...], forms: dict[Value, Form]) -> Value | None:
    for row in ROWS:
        if row.op == op and (result := row.rewrite(*operands)) is not None:
            return result
    if op == "log":
        return _log(operands[0], forms)
    return _ratio(operands[0], operands[1], forms) if op == "div" else None


# Scaled exponentials


def _form(value: Value, forms: dict[Value, Form]) -> Form | None:
    """Return (w, u) if the value is w*exp(u) for a reason that can be seen."""
    apply, known = value.builder.apply, [forms.get(o) for o in value.operands]
    if value.op == "exp":
        return None, value.operands[0]
    if value.op == "sigmoid":
        return None, -apply("softplus", -value.operands[0])
    if not any(known):
        return None
    rule = FORMS.get(value.op)
    return rule(value, *known) if rule is not None else None


def _form_mul(value: Value, a: Form | None, b: Form | None) -> Form:
    if a is None or b is None:
        (w, u), other = (a or b), value.operands[0 if a is None else 1]  # type: ignore[misc]  # one of them is known
        return (other if w is None else other * w), u
    return _product(a[0], b[0]), a[1] + b[1]


def _product(a: Value | None, b: Value | None) -> Value | None:
    return b if a is None else a if b is None else a * b


def _form_div(value: Value, a: Form | None, b: Form | None) -> Form:
    top, bottom = value.operands
    if b is None:
        assert a is not None
        return (1 / bottom if a[0] is None else a[0] / bottom), a[1]
    w, u = a if a is not None else (top, None)
    exponent = -b[1] if u is None else u - b[1]
    if b[0] is None:
        return w, exponent
    return (1 / b[0] if w is None else w / b[0]), exponent


def _form_pow(value: Value, a: Form | None, b: Form | None) -> Form | None:
    if a is None:
        return None
    exponent = value.operands[1]
    return (None if a[0] is None else a[0] ** exponent), exponent * a[1]


def _form_sqrt(value: Value, a: Form | None) -> Form | None:
    return None if a is None else ((None if a[0] is None else value.builder.apply("sqrt", a[0])), a[1] / 2)


def _form_neg(value: Value, a: Form | None) -> Form | None:
    return None if a is None else ((value.builder.const(-1) if a[0] is None else -a[0]), a[1])


def _weighted(form: Form, shift: Value) -> Value:
    """Return w*exp(u - shift)."""
    exponential = shift.builder.apply("exp", form[1] - shift)
    return exponential if form[0] is None else form[0] * exponential


def _form_add(value: Value, a: Form | None, b: Form | None) -> Form | None:
    """Take the larger exponent out of a sum of two terms; a plain number counts as number*exp(0)."""
    zero = value.builder.const(0)
    parts = [f or ((o, zero) if o.op == "const" else None) for f, o in zip((a, b), value.operands, strict=True)]
    if parts[0] is None or parts[1] is None:
        return None
    top = value.builder.apply("detach", value.builder.apply("maximum", parts[0][1], parts[1][1]))
    return _weighted(parts[0], top) + _weighted(parts[1], top), top


def _form_sum(value: Value, a: Form | None) -> Form | None:
    """Take the largest exponent out of a sum over axes; its own derivative cancels, so it is detached."""
    assert a is not None
    builder, (w, u) = value.builder, a
    if not any(axis in u.axes for axis in value.attr):
        return (None if w is None else builder.reduce("sum", w, value.attr)), u
    top = builder.apply("detach", builder.reduce("max", u, value.attr))
    return builder.reduce("sum", _weighted(a, top), value.attr), top


def _form_prod(value: Value, a: Form | None) -> Form | None:
    assert a is not None
    builder, (w, u) = value.builder, a
    return (None if w is None else builder.reduce("prod", w, value.attr)), builder.reduce("sum", u, value.attr)


def _form_read(value: Value, a: Form | None, *indices: Form | None) -> Form | None:
    if a is None:
        return None
    index = dict(zip(value.operands[0].axes, value.operands[1:], strict=True))
    w, u = (None if part is None else _at(part, index) for part in a)
    return None if u is None else (w, u)


def _at(value: Value, index: dict[Axis, Value]) -> Value:
    """Return a value read at indices; what stays where it is, stays itself. A quotient is read part by part."""
    if value.op == "div":
        return _at(value.operands[0], index) / _at(value.operands[1], index)
    return value.builder.read(value, [index[a] for a in value.axes]) if value.axes else value


FORMS: dict[str, Callable[..., Form | None]] = {
    "mul": _form_mul,
    "div": _form_div,
    "pow": _form_pow,
    "sqrt": _form_sqrt,
    "neg": _form_neg,
    "add": _form_add,
    "sum": _form_sum,
    "prod": _form_prod,
    "read": _form_read,
}


def _log(x: Value, forms: dict[Value, Form]) -> Value | None:
    """Return log(w*exp(u)) as u + log(w); the log of a product over an index as a sum of logs."""
    builder = x.builder
    if x.op == "prod" and x.operands[0] in forms:
        inner = x.operands[0]
        return builder.reduce("sum", _log(inner, forms) or builder.apply("log", inner), x.attr)
    if (exponent := _one_plus_exp(x)) is not None:
        return builder.apply("softplus", exponent)
    if x not in forms:
        return None
    w, u = forms[x]
    if w is None:
        return u
    if w.op == "div":
        top, bottom = w.operands
        return (u if top.is_const(1) else u + builder.apply("log", top)) - builder.apply("log", bottom)
    return u + builder.apply("log", w)


def _one_plus_exp(x: Value) -> Value | None:
    """Return u if the value is 1 + exp(u)."""
    if x.op == "add":
        for one, other in (x.operands, x.operands[::-1]):
            if one.is_const(1) and other.op == "exp":
                return other.operands[0]
    return None


def _ratio(a: Value, b: Value, forms: dict[Value, Form]) -> Value | None:
    """Return a/b for a sum of exponentials b: a sigmoid, or (w1/w2)*exp(u1 - u2)."""
    apply = a.builder.apply
    if (exponent := _one_plus_exp(b)) is not None:
        if a.op == "exp" and a.operands[0] is exponent:
            return apply("sigmoid", exponent)
        share = apply("sigmoid", _negated(exponent))
        return share if a.is_const(1) else None if a in forms else a * share
    if b.op not in ("sum", "add") or b not in forms or a not in forms:
        return None
    (w1, u1), (w2, u2) = forms[a], forms[b]
    top = apply("exp", u1 - u2)
    top = top if w1 is None else w1 * top
    result = top if w2 is None else top / w2
    forms[result] = (w1 if w2 is None else (w1 if w1 is not None else a.builder.const(1)) / w2), u1 - u2
    return result


def _negated(x: Value) -> Value:
    return x.operands[0] if x.op == "neg" else -x


# Single patterns


@dataclass(frozen=True)
class Row:
    """One pattern: the operation it stands on, the rewrite of its operands (None: it does not match), and why."""

    op: str
    name: str
    rewrite: Callable[..., Value | None]
    why: str


def _log_of(x: Value) -> Value | None:
    apply = x.builder.apply
    if x.op == "cosh":
        size = apply("abs", x.operands[0])
        return size + apply("log1p", apply("exp", -2 * size)) - math.log(2)
    if x.op == "pow" and _even(x.operands[1]):
        return x.operands[1] * apply("log", apply("abs", x.operands[0]))
    if x.op == "add" and x.operands[0].is_const(1) and x.operands[1].op not in ("exp", "sum"):
        return None if _grows(x.operands[1]) else apply("log1p", x.operands[1])
    if x.op == "sub" and x.operands[0].is_const(1) and x.operands[1].op != "sigmoid":
        return apply("log1p", -x.operands[1])
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


def _even(x: Value) -> bool:
    return x.op == "const" and isinstance(x.attr, int) and x.attr % 2 == 0 and x.attr > 0


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


def _sub_pattern(a: Value, b: Value) -> Value | None:
    apply = a.builder.apply
    if a.op == "exp" and b.is_const(1):
        return apply("expm1", a.operands[0])
    if a.is_const(1) and b.op == "erf":
        return apply("erfc", b.operands[0])
    if a.is_const(1) and b.op == "sigmoid":
        return apply("sigmoid", _negated(b.operands[0]))
    return None


def _cancelled(a: Value, b: Value) -> Value | None:
    for one, other in ((a, b), (b, a)):
        if other.op == "sub" and other.operands[1] is one:
            return other.operands[0]
    return None


def _taken_away(a: Value, b: Value) -> Value | None:
    if a.op == "add" and b in a.operands:
        return a.operands[0] if b is a.operands[1] else a.operands[1]
    return None


def _add_pattern(a: Value, b: Value) -> Value | None:
    for one, other in ((a, b), (b, a)):
        if one.is_const(-1) and other.op == "exp":
            return a.builder.apply("expm1", other.operands[0])
    return None


def _mul_pattern(a: Value, b: Value) -> Value | None:
    for x, other in ((a, b), (b, a)):
        if other.op == "log" and other.operands[0] is x:
            return a.builder.apply("xlogx", x)
    return None


def _log1p_of(x: Value) -> Value | None:
    return x.builder.apply("softplus", x.operands[0]) if x.op == "exp" else None


def _pow_pattern(a: Value, b: Value) -> Value | None:
    """``(x**2)**(1/2)`` is |x| for reals."""
    return _square_root(a) if b.op == "const" and b.attr in (Fraction(1, 2), 0.5) else None


ROWS: tuple[Row, ...] = (
    Row("log", "log", _log_of, "log cosh, log x**2 and log(1 + x) neither overflow nor cancel"),
    Row("log1p", "softplus", _log1p_of, "exp overflows where softplus is a straight line"),
    Row("sqrt", "norm", _square_root, "the root of a square is |x|; a norm has gradient 0 at the origin"),
    Row("pow", "norm", _pow_pattern, "as sqrt"),
    Row("sub", "difference", _sub_pattern, "exp(x) - 1, 1 - erf(x) and 1 - sigmoid(x) cancel"),
    Row("add", "difference", _add_pattern, "as sub"),
    Row("sub", "cancellation", _taken_away, "(a + b) - b is a, as below"),
    Row("add", "cancellation", _cancelled, "a + (b - a) is b: what is added and taken away again is never computed"),
    Row("mul", "x log x", _mul_pattern, "0 log 0 is 0"),
)
