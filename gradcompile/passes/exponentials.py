"""Scaled exponentials: values known to be ``w*exp(u)``.

Products, quotients, powers and sums of such values are again of this form (a sum takes out its largest exponent; one
behind a mask is -inf where that is not taken), so ``log`` of any of them is ``u + log(w)``, and their ratio is
``(w1/w2)*exp(u1 - u2)``, without an exponential that overflows. That one idea covers log-sum-exp, softmax, log-softmax,
mixtures and products of probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gradcompile.ir import Axis, Value
from gradcompile.passes.fold import SHIFTS, exact, factored, times_or
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.share import is_renaming

Form = tuple[Value | None, Value]  # (w, u) stands for w*exp(u); w None stands for 1
Forms = dict[Value, Form]
Log = Callable[[Value], Value]

DEEPEST_SUM = 3  # sums of products of sums: each shifts the exponents of those in it, and takes exponentials of its own


def learn(value: Value, forms: Forms, learned: dict[Value, int]) -> None:
    """Add the forms of a value, and of all that it is made of, operands first.

    Parameters
    ----------
    value : Value
        What a rewrite made.
    forms : dict
        The forms known so far.
    learned : dict of Value to int
        What has been looked at, and how deep it is: how many additions are products' factors inside of one another.
    """
    stack = [value]
    while stack:
        each = stack[-1]
        waiting = [o for o in each.operands if o not in learned]
        if waiting and each not in learned:
            stack.extend(waiting)
            continue
        stack.pop()
        if each not in learned:
            learned[each] = depth = _depth(each, learned)
            if depth <= DEEPEST_SUM and each not in forms and (form := form_of(each, forms)) is not None:
                forms[each] = form


ADDITIONS = ("add", "sub")


def _depth(value: Value, depths: Mapping[Value, int]) -> int:
    """Return how many additions a value has inside of one another, those that follow one another counted once."""
    if value.op in ADDITIONS:
        return max(depths[o] + (o.op not in ADDITIONS) for o in value.operands)
    return max((depths[o] for o in value.operands), default=0) if value.op in FORMS else 0


def form_of(value: Value, forms: Forms) -> Form | None:
    """Return (w, u) if the value is w*exp(u) for a reason that can be seen."""
    apply, known = value.builder.apply, [forms.get(o) for o in value.operands]
    if value.op == "exp":
        return None, value.operands[0]
    if value.op == "cosh":
        return None, apply("logcosh", value.operands[0])
    if value.op == "sinh":
        return apply("tanh", value.operands[0]), apply("logcosh", value.operands[0])
    if value.op == "sigmoid":
        return None, -apply("softplus", -value.operands[0])
    if value.op == "pow" and (base := exact(value.operands[0])) is not None and base > 0:
        return None, value.operands[1] * apply("log", value.operands[0])
    if not any(known):
        return _form_masked_sum(value, forms) if value.op == "sum" else None
    rule = FORMS.get(value.op)
    return rule(value, *known) if rule is not None else None


def _form_mul(value: Value, a: Form | None, b: Form | None) -> Form:
    if a is None or b is None:
        (w, u), other = (a or b), value.operands[0 if a is None else 1]  # type: ignore[misc]  # one of them is known
        return (other if w is None else other * w), u
    return times_or(a[0], b[0]), a[1] + b[1]


def _form_div(value: Value, a: Form | None, b: Form | None) -> Form:
    top, bottom = value.operands
    if b is None:
        assert a is not None
        return (1 / bottom if a[0] is None else a[0] / bottom), a[1]
    w, u = a if a is not None else (top, None)
    exponent = -b[1] if u is None else u - b[1]
    if b[0] is None:
        return w, exponent
    if b[0].op == "div" and b[0].operands[0].is_const(1):
        return times_or(w, b[0].operands[1]), exponent
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


def _larger(u: Value, v: Value) -> Value:
    top = u.builder.apply("maximum", u, v)
    return _shift(top, top)


def _shift(top: Value, u: Value) -> Value:
    """Return a largest exponent as a shift, without a derivative: of exponents that a mask makes -inf, 0 if all are."""
    return top.builder.apply("finite" if _is_masked(u) else "detach", top)


def _is_masked(u: Value) -> bool:
    """Return whether an exponent may be the -inf of an exponential that is masked."""
    stack, seen = [u], 0
    while stack and seen < NEARBY:
        value, seen = stack.pop(), seen + 1
        if value.is_const(-math.inf) or value.op == "finite":
            return True
        if value.op in ("select", "add", "sub", "mul", "div", "neg", "read", "maximum"):
            stack.extend(value.operands)
    return False


def _form_add(value: Value, a: Form | None, b: Form | None) -> Form | None:
    """Take the larger exponent out of a sum of two terms."""
    parts = _both(value, a, b)
    if parts is None:
        return None
    top = _larger(parts[0][1], parts[1][1])
    return _weighted(parts[0], top) + _weighted(parts[1], top), top


def _form_sub(value: Value, a: Form | None, b: Form | None) -> Form | None:
    """Take the larger exponent out of a difference of two terms."""
    parts = _both(value, a, b)
    if parts is None or any(o.is_const(1) for o in value.operands):  # 1 - exp(u) is better off as it is
        return None
    top = _larger(parts[0][1], parts[1][1])
    return _weighted(parts[0], top) - _weighted(parts[1], top), top


def _both(value: Value, a: Form | None, b: Form | None) -> tuple[Form, Form] | None:
    """Return the forms of two terms; what has none counts as itself times exp(0), where the other may overflow."""
    x, y = value.operands
    zero = value.builder.const(0)
    one = a or ((x, zero) if _is_number(value, x) or _may_overflow(y, b) else None)
    other = b or ((y, zero) if _is_number(value, y) or _may_overflow(x, a) else None)
    return None if one is None or other is None else (one, other)


def _is_number(total: Value, term: Value) -> bool:
    """Return whether a term of a sum, not of a difference, is a number."""
    return total.op == "add" and term.op == "const"


def _may_overflow(x: Value, form: Form | None) -> bool:
    """Return whether a value is made of an exponential, of which it is not seen that its exponent is below 0."""
    return form is not None and grows(x) and not not_negative(negated(form[1]))


def _form_sum(value: Value, a: Form | None) -> Form | None:
    """Take the largest exponent out of a sum over axes; its own derivative cancels, so it is detached."""
    assert a is not None
    builder, (w, u) = value.builder, a
    if (shares := _axes_of_shares(u)) and shares <= {*value.attr} and (w is None or not shares & {*w.axes}):
        return None  # its largest exponent is 0: as a number it is as exact, and products with it stay products
    if not any(axis in u.axes for axis in value.attr):
        return (None if w is None else builder.reduce("sum", w, value.attr)), u
    if w is None or not _is_given(w) or not set(w.axes) <= set(u.axes):  # a scale for each weight: many exponentials
        top = _shift(builder.reduce("max", u, value.attr), u)
        return builder.reduce("sum", _weighted(a, top), value.attr), top
    counted = builder.apply("select", builder.apply("ne", w, 0), u, builder.const(-math.inf))
    top = _shift(builder.reduce("max", counted, value.attr), u)
    terms = w * builder.apply("exp", builder.apply("minimum", u - top, HIGHEST))
    return builder.reduce("sum", terms, value.attr), top


def _axes_of_shares(u: Value) -> set[Axis]:
    """Return the axes along which the largest of some exponents is 0, for their largest has been taken out of them."""
    scale, rest = factored(u.operands[0] if u.op == "add" and u.operands[0] is u.operands[1] else u)
    if rest is None or scale <= 0:
        return set()
    named = {axis: axis for axis in rest.axes}
    if is_renaming(rest):
        named = {axis: place.attr for axis, place in zip(rest.operands[0].axes, rest.operands[1:], strict=True)}
        rest = rest.operands[0]
    if rest.op != "sub" or rest.operands[1].op != "detach":
        return set()
    exponent, top = rest.operands[0], rest.operands[1].operands[0]
    return {named[axis] for axis in top.attr} if top.op == "max" and top.operands[0] is exponent else set()


HIGHEST = 80  # of an exponent that others do not bound: exp(80) is a float32


def _is_given(w: Value) -> bool:
    """Return whether a weight has a factor that is an argument: it may be 0, and its term must not set the scale."""
    stack = [w]
    while stack:
        value = stack.pop()
        if value.op == "input" or (value.op == "read" and value.operands[0].op == "input"):
            return True
        if value.op in ("mul", "div", "neg", "real", "select"):
            operands = value.operands
            stack.extend(operands[:1] if value.op == "div" else operands[1:] if value.op == "select" else operands)
    return False


# --- exponentials behind a mask


def _form_select(value: Value, condition: Form | None, a: Form | None, b: Form | None) -> Form | None:
    """Choose between exponents; that of 0 is -inf: ``where(c, exp(u), 0)`` is ``exp(where(c, u, -inf))``."""
    choice, *branches = value.operands
    if _asks_for_one(choice):
        return None  # the sum over it has one term for each sample, or is a sum by group: see group.py
    one, other = (f or _of_number(o) for f, o in zip((a, b), branches, strict=True))
    if one is None or other is None or not set(choice.axes) <= {*one[1].axes, *other[1].axes}:
        return None  # with more axes there would be an exponential for each of their points
    apply = value.builder.apply
    weights = [value.builder.const(1) if w is None else w for w, _ in (one, other)]
    weight = None if one[0] is other[0] is None else apply("select", choice, *weights)
    return weight, apply("select", choice, one[1], other[1])


def _asks_for_one(choice: Value) -> bool:
    """Return whether a condition holds for one index of an axis: that of a label."""
    if choice.op == "and":
        return any(map(_asks_for_one, choice.operands))
    return choice.op in ("eq", "ne") and any(operand.op == "iota" for operand in choice.operands)


def _of_number(x: Value) -> Form | None:
    """Return a number as a weighted exponential."""
    if x.op != "const":
        return None
    const = x.builder.const
    return (None, const(-math.inf)) if x.is_const(0) else (None if x.is_const(1) else x, const(0))


def _form_masked_sum(value: Value, forms: Forms) -> Form | None:
    """Take one shift for all masks out of ``Sum(where(c[i, j], exp(u[j]), 0), j)``, so that exp(u[j]) stays shared.

    What is far below the largest exponent of all may underflow, in a sum that does not have that term: the shift is no
    larger than the largest term needs that it does not overflow.
    """
    builder, (body,) = value.builder, value.operands
    if body.op != "select" or not body.operands[2].is_const(0) or body.operands[1] not in forms:
        return None
    weight, u = forms[body.operands[1]]
    axes = [axis for axis in value.attr if axis in u.axes]
    if weight is not None or not axes:
        return None
    top = builder.apply("finite", builder.reduce("max", u, axes))
    within = builder.apply("maximum", builder.apply("minimum", top, HIGHEST), -HIGHEST)
    shift = builder.apply("finite", top - within)
    term = builder.apply("select", body.operands[0], builder.apply("exp", u - shift), 0)
    return builder.reduce("sum", term, value.attr), shift


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
    "sub": _form_sub,
    "sum": _form_sum,
    "prod": _form_prod,
    "read": _form_read,
    "select": _form_select,
}


def log_of(x: Value, forms: Forms, log: Log) -> Value | None:
    """Return log(w*exp(u)) as u + log(w); `log` makes the logarithm of what is no exponential stable."""
    if (total := _log_of_terms(x)) is not None:
        return total
    if x not in forms:
        return None
    w, u = forms[x]
    if w is None:
        return u
    if w.op == "div" and any(map(not_negative, w.operands)):  # of others, both may be negative
        top, bottom = w.operands
        return (u if top.is_const(1) else u + logarithm(top, forms, log)) - logarithm(bottom, forms, log)
    return u + logarithm(w, forms, log)


def _log_of_terms(x: Value) -> Value | None:
    """Return the log of a sum of exponentials and nothing else; if every exponent is -inf, so is the result."""
    builder = x.builder
    if x.op == "sum" and x.operands[0].op == "exp" and any(a in x.operands[0].operands[0].axes for a in x.attr):
        u = x.operands[0].operands[0]
        top = builder.apply("finite", builder.reduce("max", u, x.attr))
        return top + builder.apply("logtotal", builder.reduce("sum", builder.apply("exp", u - top), x.attr))
    exponents = _exponents(x) if x.op == "add" else None
    if exponents is None:
        return None
    top = builder.apply("finite", builder.apply("maximum", *exponents))
    terms = [builder.apply("exp", u - top) for u in exponents]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return top + builder.apply("logtotal", total)


def _exponents(x: Value) -> list[Value] | None:
    """Return u, v, ... if the value is exp(u) + exp(v) + ...; the number 1 is exp(0)."""
    found, stack = list[Value](), [x]
    while stack:
        value = stack.pop()
        if value.op == "add":
            stack.extend(reversed(value.operands))
        elif value.op == "exp":
            found.append(value.operands[0])
        elif value.is_const(1):
            found.append(value.builder.const(0))
        else:
            return None
    return found


def logarithm(x: Value, forms: Forms, log: Log) -> Value:
    """Return the logarithm of a value, as its form has it if it has one."""
    if (shift := _shift_in(x, DEEPEST)) is not None:
        return x.builder.apply("log" if shift.op == "detach" else "logtotal", x)
    return log_of(x, forms, log) or log(x)


DEEPEST = 6  # operations between a sum and the shift in its exponents


def _shift_in(x: Value, depth: int) -> Value | None:
    """Return the largest exponent, where it has been taken out of a sum: that does not overflow any more."""
    if x.op in SHIFTS or not depth:
        return x if x.op in SHIFTS else None
    return next((found for o in x.operands if (found := _shift_in(o, depth - 1)) is not None), None)


def one_plus_exp(x: Value) -> Value | None:
    """Return u if the value is 1 + exp(u)."""
    if x.op == "add":
        for one, other in (x.operands, x.operands[::-1]):
            if one.is_const(1) and other.op == "exp":
                return other.operands[0]
    return None


def beside_one(x: Value) -> list[tuple[int, Value]]:
    """Return the terms of a sum, with their signs, but for the 1 that is one of them; none if there is no such term.

    A term ``expm1(u)`` is ``exp(u) - 1``.
    """
    found, ones, stack = list[tuple[int, Value]](), 0, [(1, x)]
    while stack:
        sign, value = stack.pop()
        if value.op in ("add", "sub", "neg"):
            stack.append((sign if value.op == "add" else -sign, value.operands[-1]))
            if value.op != "neg":
                stack.append((sign, value.operands[0]))
        elif value.is_const(1):
            ones += sign
        elif value.op == "expm1":
            ones -= sign
            found.append((sign, value.builder.apply("exp", value.operands[0])))
        else:
            found.append((sign, value))
    return found if ones == 1 else []


LOWEST = -700  # of an exponent whose opposite is taken, too: exp(700) is a float


def added(terms: list[tuple[int, Value]], forms: Forms) -> Form:
    """Return a sum of terms that have forms as w*exp(u), u being the largest exponent, for what does not go to 0 alone.

    Where all exponents are below -700, w goes to 0 and u does not.
    """
    shift = forms[terms[0][1]][1]
    for _, term in terms[1:]:
        shift = shift.builder.apply("maximum", shift, forms[term][1])
    shift = shift.builder.apply("detach", shift.builder.apply("maximum", shift, LOWEST))
    first, *others = ((sign, _weighted(forms[term], shift)) for sign, term in terms)
    total = first[1] if first[0] > 0 else -first[1]
    for sign, part in others:
        total = total + part if sign > 0 else total - part
    return total, shift


def two_exps(x: Value, op: str) -> tuple[Value, Value] | None:
    """Return (u, v) if the value is exp(u) + exp(v), or their difference, as `op` says."""
    if x.op == op and all(o.op == "exp" for o in x.operands):
        return x.operands[0].operands[0], x.operands[1].operands[0]
    return None


def opposite(a: Value, b: Value) -> bool:
    """Return whether b is -a."""
    (left, rest), (right, other) = factored(a), factored(b)
    return rest is not None and rest is other and left == -right


def negated(x: Value) -> Value:
    """Return -x, without two signs."""
    return x.operands[0] if x.op == "neg" else -x


def ratio(a: Value, b: Value, forms: Forms) -> Value | None:
    """Return a/b for a sum of exponentials b: a sigmoid, or (w1/w2)*exp(u1 - u2)."""
    apply = a.builder.apply
    if a.op == "exp" and b.op == "exp":
        return apply("exp", a.operands[0] - b.operands[0])
    if (exponent := one_plus_exp(b)) is not None and (a not in forms or not grows(a)):
        share = apply("sigmoid", negated(exponent))
        return share if a.is_const(1) else a * share
    if a.op == "exp" and (share_of := _share(a.operands[0], b)) is not None:
        return apply("sigmoid", share_of)
    if not _is_total(b) or b not in forms or not (grows(a) or grows(b)):
        return None
    if a not in forms and not (b.op == "add" and any(o not in forms and o.op != "const" for o in b.operands)):
        return None
    (w1, u1), (w2, u2) = forms.get(a, (a, a.builder.const(0))), forms[b]
    top = apply("exp", u1 - u2)
    top = top if w1 is None else w1 * top
    result = top if w2 is None else top / w2
    forms[result] = (w1 if w2 is None else (w1 if w1 is not None else a.builder.const(1)) / w2), u1 - u2
    return result


NEARBY = 64  # operations that a search for an exponential looks at


def grows(x: Value) -> bool:
    """Return whether a term holds an exponential nearby, so that its form serves it better than what it is itself."""
    stack, seen = [x], 0
    while stack and seen < NEARBY:
        value, seen = stack.pop(), seen + 1
        if value.op in ("exp", "cosh", "sinh"):
            return True
        if value.op in ("mul", "div", "add", "sum", "pow", "sqrt", "select"):
            stack.extend(value.operands)
    return False


def _is_total(x: Value) -> bool:
    """Return whether a value is a sum, or a power of one."""
    while x.op in ("pow", "sqrt"):
        x = x.operands[0]
    return x.op in ("sum", "add")


def _share(u: Value, b: Value) -> Value | None:
    """Return u - v if b is exp(u) + exp(v): the share of exp(u) in it is sigmoid(u - v); 1 is exp(0)."""
    if (exponent := one_plus_exp(b)) is not None:
        return u if exponent is u else None
    pair = two_exps(b, "add")
    if pair is None or u not in pair:
        return None
    v = pair[1] if pair[0] is u else pair[0]
    if opposite(u, v):
        return 2 * u
    return u - v
