"""Constant folding: numbers are computed once, factors are collected, what does nothing goes.

A rule gets the new operands of an operation and returns a simpler value, or None. One row of `RULES` an operation.
Numbers stay exact: only whole numbers and fractions are folded together; ``x*(1/2)`` is written ``x/2``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from functools import reduce

from gradcompile.ir import LARGE, ONE, Axis, Graph, Value
from gradcompile.passes.decided import decided
from gradcompile.passes.share import composed, is_renaming

Rule = Callable[..., Value | None]
Exact = int | Fraction


DEEPEST = 6  # products inside one another that are looked through
JOINED = 32  # conditions among which one is looked for
MARKS = ("detach", "custom", "share")
SHIFTS = ("detach", "finite")  # what takes the largest exponent out of a sum of exponentials


def fold(graph: Graph) -> Graph:
    """Return the graph with the rules applied to every value, operands first; twice where a factor may leave a sum."""

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        apply = RULES.get(value.op)
        if apply is None:
            return None
        return apply(value, *operands) if value.op in REDUCING else apply(*operands)

    folded = graph.rewrite(rule)
    return folded.rewrite(rule) if any(value.op == "sum" for value in folded.order()) else folded


def settle(graph: Graph) -> Graph:
    """Return the graph without the marks that only differentiation reads."""

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op == "share":
            return operands[0] / (operands[0] + operands[1])
        return operands[0] if value.op in MARKS else None

    return graph.rewrite(rule) if any(value.op in MARKS for value in graph.order()) else graph


def exact(value: Value) -> Exact | None:
    """Return the number that a value is, if it is a whole number or a fraction of a size that floats are used to."""
    number = value.attr if value.op == "const" else None
    if not isinstance(number, int | Fraction) or isinstance(number, bool):
        return None
    size = abs(Fraction(number))
    return number if not size or 1 <= size * LARGE <= LARGE**2 else None


def factored(value: Value) -> tuple[Exact, Value | None]:
    """Return (c, rest) with value = c*rest and c exact; rest is None for a plain number."""
    number = exact(value)
    if number is not None:
        return number, None
    if value.op == "neg":
        factor, rest = factored(value.operands[0])
        return -factor, rest
    if value.op == "mul":
        return _leading(value)
    if value.op == "div" and (divisor := exact(value.operands[1])):
        factor, rest = factored(value.operands[0])
        return Fraction(factor) / divisor, rest
    if value.op == "div" and (number := exact(value.operands[0])) not in (None, 1):
        return number or 0, value.builder.apply("div", 1, value.operands[1])
    return 1, value


def scaled(value: Value | None, factor: Exact, like: Value) -> Value:
    """Return factor*value as one writes it: ``-x``, ``2*x``, ``x/2``, ``3*x/2``."""
    builder = like.builder
    if value is None or factor == 0:
        return builder.const(factor)
    if factor < 0:
        positive = scaled(value, -factor, like)
        return builder.apply("neg", positive)
    top, bottom = Fraction(factor).numerator, Fraction(factor).denominator
    if value.op == "div" and value.operands[0].is_const(1):
        divisor = value.operands[1] if bottom == 1 else _times(bottom, value.operands[1])
        return builder.apply("div", top, divisor)
    result = value if top == 1 else _times(top, value)
    return result if bottom == 1 else builder.apply("div", result, bottom)


def _leading(product: Value) -> tuple[Exact, Value]:
    """Return (c, rest) for a product that begins with a number, as `_times` makes them: ``2*lam*W``."""
    others: list[Value] = []
    value = product
    while value.op == "mul" and len(others) <= DEEPEST:
        value, other = value.operands
        others.append(other)
    if (number := exact(value)) is None:
        return 1, product
    return number, reduce(operator.mul, reversed(others))


def _times(number: int, value: Value, depth: int = DEEPEST) -> Value:
    """Return number*value; in a product the number goes to the operand with fewer axes: ``2*lam*W``."""
    if value.op != "mul" or not depth:
        return number * value
    first, second = sorted(value.operands, key=lambda o: len(o.axes))
    return _times(number, first, depth - 1) * second


def _add(a: Value, b: Value) -> Value | None:
    left, right = exact(a), exact(b)
    if left is not None and right is not None:
        return a.builder.const(left + right)
    if left == 0 or right == 0:
        return b if left == 0 else a
    if (rest := _taken_away(left, b) or _taken_away(right, a)) is not None:
        return rest
    if (choice := _one_choice(a, b)) is not None:
        return choice
    if a is b:
        return _mul(a.builder.const(2), a) or 2 * a
    if b.op == "neg":
        return _sub(a, b.operands[0]) or a - b.operands[0]
    if a.op == "neg":
        return _sub(b, a.operands[0]) or b - a.operands[0]
    return None


def _taken_away(number: Exact | None, other: Value) -> Value | None:
    """Return x for ``number + (x - number)``."""
    if number is None or other.op != "sub" or exact(other.operands[1]) != number:
        return None
    return other.operands[0]


def _one_choice(a: Value, b: Value) -> Value | None:
    """Return ``(p if c else 0) + (q if c else r)`` as ``p + q if c else r``, and so where others are 0."""
    if a.op != "select" or b.op != "select" or a.operands[0] is not b.operands[0]:
        return None
    ways = list(zip(a.operands[1:], b.operands[1:], strict=True))
    if not any(exact(each) == 0 for way in ways for each in way):
        return None
    yes, no = (q if exact(p) == 0 else p if exact(q) == 0 else p + q for p, q in ways)
    return a.builder.apply("select", a.operands[0], yes, no)


def _sub(a: Value, b: Value) -> Value | None:
    left, right = exact(a), exact(b)
    if left is not None and right is not None:
        return a.builder.const(left - right)
    if right == 0:
        return a
    if left == 0:
        return _neg(b) or -b
    if b.op == "neg":
        return a + b.operands[0]
    if right is not None and a.op == "add" and right in (numbers := [exact(term) for term in a.operands]):
        return a.operands[1 - numbers.index(right)]
    if a is b and a.op in SHIFTS:  # the same one of two sums of exponentials: these are nan where it is not finite
        return a.builder.const(0)
    return None


def _neg(a: Value) -> Value | None:
    if a.op == "neg":
        return a.operands[0]
    if a.op == "sub":
        return a.operands[1] - a.operands[0]
    number = exact(a)
    return None if number is None else a.builder.const(-number)


def _mul(a: Value, b: Value) -> Value | None:
    (left, x), (right, y) = factored(a), factored(b)
    factor = left * right
    if factor == 1 and x is a and y is b:
        return _quotient(a, b)
    if x is None or y is None:
        return scaled(y if x is None else x, factor, a)
    if factor == 0:
        return a.builder.const(0)
    product = _quotient(x, y) or x * y
    result = scaled(product, factor, a)
    return None if result.op == "mul" and result.operands == (a, b) else result


def _quotient(x: Value, y: Value) -> Value | None:
    """Return ``x/z`` for ``x*(1/z)``, and ``z`` for ``x*(z/x)`` where x is never 0."""
    for left, right in ((x, y), (y, x)):
        if right.op == "div" and right.operands[0].is_const(1):
            return left / right.operands[1]
        if right.op == "div" and right.operands[1] is left and left.op in NEVER_ZERO:
            return right.operands[0]
    return None


def _div(a: Value, b: Value) -> Value | None:
    (left, x), (right, y) = factored(a), factored(b)
    if right == 0 or (left == 1 and right == 1 and x is a and y is b):
        return None
    factor = Fraction(left) / Fraction(right)
    if y is None:
        return scaled(x, factor, a)
    if x is None:
        if abs(Fraction(right)) == 1:
            result = a.builder.apply("div", abs(Fraction(left)), y)
            return result if factor > 0 else -result
        return None
    return scaled(x / y, factor, a)


def _pow(a: Value, b: Value) -> Value | None:
    exponent, base = exact(b), exact(a)
    if exponent == 0:
        return a.builder.const(1)
    if exponent == 1:
        return a
    if base is not None and isinstance(exponent, int) and abs(exponent) <= 64 and base:
        return a.builder.const(Fraction(base) ** exponent)
    if a.op == "neg" and isinstance(exponent, int) and exponent % 2 == 0:
        return a.operands[0] ** exponent
    return None


def _exp(a: Value) -> Value | None:
    return a.builder.const(1) if exact(a) == 0 else None


def _select(condition: Value, a: Value, b: Value) -> Value | None:
    if condition.op == "const":
        return a if condition.attr else b
    if a is b:
        return a
    if condition.op == "not":
        return condition.builder.apply("select", condition.operands[0], b, a)
    if a.op == "neg" and exact(b) == 0:  # the sign meets others outside
        return -condition.builder.apply("select", condition, a.operands[0], b)
    if b.op == "neg" and exact(a) == 0:
        return -condition.builder.apply("select", condition, a, b.operands[0])
    return None


def _not(a: Value) -> Value | None:
    if a.op == "not":
        return a.operands[0]
    return a.builder.const(not a.attr) if a.op == "const" else None


def _and(a: Value, b: Value) -> Value | None:
    for this, other in ((a, b), (b, a)):
        if this.op == "const":
            return other if this.attr else this
        if _among(other, this, "and") or _among(this, other, "or"):
            return this
    return decided(a.builder.apply("and", a, b))


def _or(a: Value, b: Value) -> Value | None:
    for this, other in ((a, b), (b, a)):
        if this.op == "const":
            return this if this.attr else other
        if _among(other, this, "or") or _among(this, other, "and"):
            return this
    return decided(a.builder.apply("or", a, b))


def _among(part: Value, whole: Value, op: str) -> bool:
    """Return whether a condition is one of the first of those that `op` joins to another one."""
    stack, looked = [whole], 0
    while stack and looked < JOINED:
        value, looked = stack.pop(), looked + 1
        if value is part:
            return True
        if value.op == op:
            stack.extend(value.operands)
    return False


def _sum(old: Value, body: Value) -> Value | None:
    """Take out of a sum what does not have its axes: ``sum_j c*x[j] = c*sum_j x[j]``."""
    builder, axes = body.builder, old.attr
    if body.op == "const" and body.attr == 0:
        return body
    factor, rest = factored(_turned(body))
    if factor != 1 and rest is not None:
        return scaled(builder.reduce("sum", rest, axes), factor, body)
    inside, outside, below = _split(body, axes, DEEPEST)
    if inside is None or (outside is None and below is None):
        return None
    total = _sum(old, inside) or builder.reduce("sum", inside, axes)
    total = total if outside is None else total * outside
    return total if below is None else total / below


def _turned(body: Value) -> Value:
    """Return ``-(a + b + c)`` for ``-a - b - c``, which takes its sign out of a sum."""
    terms, first = list[Value](), body
    while first.op == "sub":
        first, term = first.operands
        terms.append(term)
    if not terms or first.op != "neg":
        return body
    return -reduce(operator.add, reversed(terms), first.operands[0])


NEVER_ZERO = ("exp", "cosh")


Split = tuple[Value | None, Value | None, Value | None]


def _split(body: Value, axes: tuple[Axis, ...], depth: int) -> Split:
    """Return (i, o, b) with body = i*o/b, where o and b have none of the axes; None stands for 1."""
    if not any(axis in body.axes for axis in axes):
        return (body, None, None) if body.op == "const" else (None, body, None)
    if body.op == "mul" and depth:
        left, right = (_split_for(body, o, axes, depth - 1) for o in body.operands)
        return times_or(left[0], right[0]), times_or(left[1], right[1]), times_or(left[2], right[2])
    if body.op == "div" and depth and not any(axis in body.operands[1].axes for axis in axes):
        inside, outside, below = _split(body.operands[0], axes, depth - 1)
        return inside, outside, times_or(below, body.operands[1])
    return body, None, None


def _split_for(product: Value, factor: Value, axes: tuple[Axis, ...], depth: int) -> Split:
    """Return a factor of a product split, or as it is where it belongs to one of a pair, and the sum to the pair.

    In ``sum_k (a[n, k]/e[n])*b[m, k]`` there are fewer quotients than in ``(sum_k a[n, k]*b[m, k])/e[n]``.
    """
    inside, outside, below = _split(factor, axes, depth)
    own = {axis.size for axis in factor.axes if axis not in axes}
    pairs = any(a.size in own for a in product.axes if a not in (*axes, *factor.axes))
    if pairs and inside is not None and any(part is not None and part.axes for part in (outside, below)):
        return factor, None, None
    return inside, outside, below


def times_or(a: Value | None, b: Value | None) -> Value | None:
    """Return a product of values, None standing for 1."""
    return b if a is None else a if b is None else a * b


def _accumulate(old: Value, value: Value, *indices: Value) -> Value | None:
    """Return a renaming of axes where an accumulation is only that: the gradient of a transpose, or of a column."""
    places = [(i, a) for i, a in zip(indices, old.attr, strict=True) if not (i.is_const(0) and a.size == ONE)]
    axes = [i.attr for i, _ in places if i.op == "iota"]
    if len(set(axes)) < len(places) or any(i.size != a.size for i, (_, a) in zip(axes, places, strict=True)):
        return None
    if not set(value.axes) <= set(axes):
        return None
    moved = {i.attr: value.builder.iota(a) for i, a in places}
    if not value.axes:
        return value
    positive = value.operands[0] if value.op == "neg" else value
    renamed = value.builder.read(positive, [moved[a] for a in value.axes])
    return renamed if positive is value else -renamed


def _of_matrix(old: Value, matrix: Value) -> Value | None:
    """Return a function of an array that has other names for its axes, as of a transpose, as one of the array."""
    if not is_renaming(matrix):
        return None
    array, *indices = matrix.operands
    own = {index.attr: axis for index, axis in zip(indices, array.axes, strict=True)}
    attr = tuple(own[axis] for axis in old.attr)
    axes = tuple(axis for axis in array.axes if old.op == "inverse" or axis not in attr)
    found = matrix.builder.matrix(old.op, (array,), axes, attr)
    places = [index for index, axis in zip(indices, array.axes, strict=True) if axis in axes]
    return matrix.builder.read(found, places) if places else found


def _comparison(holds: Callable[[Exact, Exact], bool]) -> Rule:
    """Return the rule that decides a comparison of two numbers."""

    def rule(a: Value, b: Value) -> Value | None:
        left, right = exact(a), exact(b)
        return None if left is None or right is None else a.builder.const(holds(left, right))

    return rule


RULES: dict[str, Rule] = {
    "lt": _comparison(operator.lt),
    "le": _comparison(operator.le),
    "gt": _comparison(operator.gt),
    "ge": _comparison(operator.ge),
    "eq": _comparison(operator.eq),
    "ne": _comparison(operator.ne),
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "exp": _exp,
    "select": _select,
    "not": _not,
    "and": _and,
    "or": _or,
    "sum": _sum,
    "accumulate": _accumulate,
    "read": composed,
    "inverse": _of_matrix,
    "determinant": _of_matrix,
    "logdet": _of_matrix,
}
REDUCING = ("sum", "accumulate", "inverse", "determinant", "logdet")  # rules that also need the old value, for its axes
