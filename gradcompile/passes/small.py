"""Formulas of one number that cancel where it is small, as ``sin(x)/x`` in its slopes and ``x - sin(x)`` in its value.

Near 0 a polynomial takes their place, made of the exact Taylor series of what is written: ``1 - x**2/6 + ...``. It
has every derivative, and the limit at 0. A formula counts if it is made of one value u, of numbers and of functions
that have a series at u = 0, and if there the terms of a sum cancel or a quotient has a zero over a zero. Of several
in one another the outermost is replaced: a logarithm of ``sin(x)/x`` needs the digits that the quotient lies above 1
by.

If u is a root, what it is the root of is its square: rotations have ``(1 - cos(u))/z``, u being the root of z, and so
have Stumpff's functions. Such a polynomial in z has slopes where that of the root is infinite.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from gradcompile.ir import LARGE, Graph, Value
from gradcompile.passes import power_series as ps
from gradcompile.passes.fold import exact, factored
from gradcompile.passes.formula_series import constant_of, series_of
from gradcompile.passes.power_series import Series

RADII = tuple(Fraction(1, 2**n) for n in range(6))
ENDS = 2  # of the radii: farther from 0, a polynomial as it is written may have zeros that are exact
LONGEST = 14  # coefficients of a polynomial
ROUNDING = Fraction(1, 2**55)
MOST = 32  # formulas that are looked at in one graph


class Known(NamedTuple):
    """What is known of a value: the one value u that it is made of, and what it is where u is small."""

    leaf: Value | None  # None for a number
    probe: float  # the value where u is PROBE
    curved: bool  # whether there is a function in it that is no polynomial
    singular: bool  # whether something in it is divided by what is small


class Root(NamedTuple):
    """What a root is taken of: a value, and a number that this is multiplied by."""

    base: Value
    factor: Fraction
    whole: Value  # the two multiplied, as the graph has it


class Roots(NamedTuple):
    """The roots in a graph: what each is taken of, and what is their base, or the root of what."""

    taken: Mapping[Value, Root]
    bases: Container[Value]
    wholes: Mapping[Value, Value]

    @staticmethod
    def of(order: Iterable[Value]) -> Roots:
        """Return the roots of values, or of numbers times these."""
        before, taken = set[Value](), dict[Value, Root]()
        for value in order:
            for whole in _squares(value):
                factor, base = factored(whole)
                if base in before and whole in before and factor and base is not None:
                    taken[value] = Root(base, Fraction(factor), whole)
            before.add(value)
        return Roots(taken, {root.base for root in taken.values()}, {r.whole: value for value, r in taken.items()})

    def common(self, leaves: Iterable[Value | None]) -> Value | None:
        """Return the one value that all of a formula is made of: of a root and what it is taken of, the root."""
        found = list(dict.fromkeys(leaf for leaf in leaves if leaf is not None))
        if len(found) == 2:
            found = [a for a, b in (found, found[::-1]) if a in self.taken and self.taken[a].base is b]
        return found[0] if len(found) == 1 else None


class Formula(NamedTuple):
    """A formula that may cancel, or a product of one and of other values: ``a*(1 - cos(u))/(b*u**2)``."""

    above: tuple[Value, ...]  # what is made of the one value u
    below: tuple[Value, ...] = ()
    times: tuple[Value, ...] = ()  # the other values
    over: tuple[Value, ...] = ()
    sign: int = 1
    factor: Value | None = None  # `below` is a power of this, which is a factor of u
    powers: int = 0


class Found(NamedTuple):
    """A formula that cancels: the value that it is made of, and its series in that."""

    formula: Formula
    leaf: Value
    series: Series
    square: Value | None = None  # that of the leaf, or of the factor, where the graph has it


PROBE = 2.0**-10
SMALL = 2.0**-5  # of what is divided by, and of a sum beside its terms


def small_logs(graph: Graph) -> Graph:
    """Return the graph with logarithms such as ``log(sinh(x)/x)`` made of polynomials for small x.

    Done before such a logarithm is taken apart.
    """
    quotients = any(value.op == "div" for value in graph.order())
    return _replaced(graph, lambda value: value.op == "log") if quotients else graph


def small(graph: Graph) -> Graph:
    """Return the graph with formulas that cancel for a small number made of polynomials there."""
    return _replaced(_with_products(graph), lambda value: value.op in CANCELLING)


CANCELLING = ("add", "sub", "mul", "div", "log1p")


def _with_products(graph: Graph) -> Graph:
    """Return the graph with products that a function is taken of as they are: ``3*a*b`` and ``a**n*b**n`` have a*b."""
    order = graph.order()
    inside = (o for value in order if value.op in PROBES and value.op not in ARITHMETIC for o in value.operands)
    products = {frozenset(value.operands) for value in inside if value.op == "mul"}
    if not products:
        return graph
    divisors = {product for value in order if value.op == "div" for product in _products(value.operands[1])}

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value in divisors and _bases(value) in products:
            (a, number), (b, _) = (operand.operands for operand in operands)
            return (a * b) ** number
        if value.op == "mul" and value.operands[0].op == "mul":
            number, first = value.operands[0].operands
            if number.op == "const" and frozenset((first, value.operands[1])) in products:
                return operands[0].operands[0] * (operands[0].operands[1] * operands[1])
        return None

    return graph.rewrite(rule)


def _products(x: Value) -> Iterator[Value]:
    """Yield a product, and those that are its first factors."""
    while x.op == "mul":
        yield x
        x = x.operands[0]


def _bases(product: Value) -> frozenset[Value]:
    """Return what two powers with one number are taken of, if a product is one of such."""
    one, other = product.operands
    if one.op == other.op == "pow" and one.operands[1] is other.operands[1] and exact(one.operands[1]) is not None:
        return frozenset((one.operands[0], other.operands[0]))
    return frozenset()


def _replaced(graph: Graph, counts: Callable[[Value], bool]) -> Graph:
    """Return the graph with the formulas that cancel, of the operations that count, as choices."""
    order = graph.order()
    if not any(map(counts, order)):
        return graph
    known: dict[Value, Known] = {}
    cancelling = _cancelling(order, counts, known)
    if not cancelling:
        return graph
    plain: dict[Value, Value] = {}  # what stands for large numbers, with no choice inside of the formula

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        made = value.builder.rebuild(value, operands)
        is_inside = known[value].leaf not in (None, value)
        plain[value] = value.builder.rebuild(value, tuple(plain[o] for o in value.operands)) if is_inside else made
        found = cancelling.get(value)
        return made if found is None else _choice(found, plain, plain[value])

    return graph.rewrite(rule)


def _choice(found: Found, plain: dict[Value, Value], far: Value) -> Value:
    (above, below, times, over, sign, factor, powers), leaf = found.formula, plain[found.leaf]
    radius, terms = _polynomial(found.series) or (Fraction(0), [])
    square = None if found.square is None else plain[found.square]
    rest = None if factor is None else _rest(leaf, plain[factor])
    near = _horner(leaf, terms, square if rest is None or square is None else square * rest**2)
    near = near if rest is None else reduce(operator.mul, [rest] * powers, near)
    if below:
        far = _product([plain[part] for part in above], far) / _product([plain[part] for part in below], far)
    chosen = far.builder.apply("select", far.builder.apply("lt", far.builder.apply("abs", leaf), radius), near, far)
    whole = _product([*(plain[other] for other in times), chosen], far)
    whole = whole / _product([plain[other] for other in over], far) if over else whole
    return whole if sign > 0 else -whole


def _rest(u: Value, factor: Value) -> Value:
    """Return u over one of its factors."""
    sign, above, below = _flat(u)
    above.remove(factor)
    rest = _product(above, u)
    rest = rest / _product(below, u) if below else rest
    return rest if sign > 0 else -rest


def _product(parts: list[Value], like: Value) -> Value:
    return reduce(operator.mul, parts) if parts else like.builder.const(1)


def _horner(u: Value, terms: list[tuple[int, Fraction]], square: Value | None) -> Value:
    """Return a polynomial, given its powers and coefficients, lowest power first."""
    if square is not None and not any(power % 2 for power, _ in terms):
        u, terms = square, [(power // 2, c) for power, c in terms]
    first, step = terms[0][0], math.gcd(*(power - terms[0][0] for power, _ in terms)) or 1
    w = u if step == 1 else u**step
    coefficients = {power: _spelled(c) for power, c in terms}
    total: Value | None = None
    for power in range(terms[-1][0], first - 1, -step):
        c = coefficients.get(power, 0)
        total = u.builder.const(c) if total is None else w * total if not c else c + w * total
    assert total is not None
    return total if first == 0 else total * (u if first == 1 else u**first)


def _spelled(c: Fraction) -> Fraction | float:
    """Return a coefficient as a float where it is no quotient of two."""
    return c if max(abs(c.numerator), c.denominator) <= LARGE else float(c)


def _polynomial(series: Series) -> tuple[Fraction, list[tuple[int, Fraction]]] | None:
    """Return how far a polynomial of a series holds, for its second derivative, too, and its terms."""
    terms = [(series.valuation + n, c) for n, c in enumerate(series.coefficients) if c]
    if not terms or terms[0][0] < 0:
        return None
    ends = _ends(series)
    for radius in RADII[ENDS:] if ends else RADII:
        least = abs(terms[0][1]) * radius ** terms[0][0] * ROUNDING
        sizes = [abs(c) * radius**power * max(1, power) ** 2 for power, c in terms]
        needed = next((n for n in range(len(sizes), 0, -1) if sizes[n - 1] > least), 0)
        if needed <= LONGEST and (needed < len(terms) or needed <= 1 or ends):
            return radius, terms[:needed]
    return None


def _ends(series: Series) -> bool:
    """Return whether a series is that of a polynomial, as far as can be seen."""
    return not any(series.coefficients[len(series.coefficients) // 2 :])


# Which formulas cancel


def _cancelling(
    order: Iterable[Value], counts: Callable[[Value], bool], known: dict[Value, Known]
) -> dict[Value, Found]:
    """Return the formulas that cancel and have a polynomial; what is known of all values is added to `known`."""
    found: dict[Value, Found] = {}
    roots = Roots.of(order)
    seen: dict[tuple[Value, int], dict[Value, Series | None]] = {}  # of a leaf, and of it with the other sign
    for value in order:
        made = known[value] = _known(value, known, roots)
        if len(found) == MOST or not counts(value) or value.op == "const":
            continue
        formula = _formula(value, made, known, roots)
        if formula is None or (leaf := roots.common([known[part].leaf for part in _parts(formula)])) is None:
            continue
        root = roots.taken.get(leaf)
        series = seen.setdefault((leaf, 1), _variables(leaf, root, 1))
        right = _quotient(formula, series)
        if right is None or (formula.above == (value,) and not _cancels(value, series)):
            continue
        if root is None:  # a root is never negative
            left = _quotient(formula, seen.setdefault((leaf, -1), _variables(leaf, root, -1)))
            if left is None or ps.mirrored(left) != right:  # absolute values in it make it another on each side
                continue
        right = Series(right.valuation - formula.powers, right.coefficients)
        if _polynomial(right) is not None and (_ends(right) or _holds_function(_parts(formula), leaf)):
            taken = root if formula.factor is None else roots.taken.get(formula.factor)
            found[value] = Found(formula, leaf, right, None if taken is None else taken.whole)
    return found


def _holds_function(parts: Iterable[Value], leaf: Value) -> bool:
    """Return whether a formula of a leaf has a function that is no power."""
    stack, seen = list(parts), {leaf}
    while stack:
        value = stack.pop()
        if value not in seen and value.op != "const":
            if value.op not in ARITHMETIC:
                return True
            seen.add(value)
            stack.extend(value.operands)
    return False


def _squares(root: Value) -> list[Value]:
    """Return what a value may be the root of."""
    if root.op in ("sqrt", "norm"):
        return [root.operands[0]]
    if root.op != "hypot":
        return []
    a, b = (operand**2 for operand in root.operands)
    return [a + b, b + a]


def _variables(leaf: Value, root: Root | None, sign: int) -> dict[Value, Series | None]:
    """Return the series of a leaf, and that of what it is the root of."""
    u = ps.multiply(ps.number(Fraction(sign)), ps.variable())
    if root is None:
        return {leaf: u}
    return {leaf: u, root.base: ps.multiply(ps.number(1 / root.factor), ps.multiply(u, u))}


def _parts(formula: Formula) -> list[Value]:
    return [*formula.above, *(formula.below if formula.factor is None else ())]


def _formula(value: Value, made: Known, known: dict[Value, Known], roots: Roots) -> Formula | None:
    """Return a formula if it may cancel, as one small u shows."""
    if made.leaf is not value:
        parts = [known[o] for o in value.operands]
        return Formula((value,)) if made.curved and _may_cancel(value, made, parts) else None
    return None if value.op != "div" else _beside_others(value, known, roots)


def _beside_others(value: Value, known: dict[Value, Known], roots: Roots) -> Formula | None:
    """Return a quotient of products as f(u)/g(u), which are 0 where u is, or f(u)/a**n, u being a*b, and the others."""
    sign, above, below = _flat(value)
    for one in above:
        if not known[one].curved or abs(known[one].probe) > SMALL or (leaf := known[one].leaf) is None:
            continue
        zeros = [v for v in below if abs(known[v].probe) < SMALL and roots.common([leaf, known[v].leaf]) is not None]
        whole = roots.common([leaf, *(known[v].leaf for v in zeros)]) if zeros else None
        if whole is None:
            formula = _over_factor(one, leaf, sign, above, below, roots)
        else:
            own = {whole, roots.taken[whole].base} if whole in roots.taken else {whole}
            top, bottom = (tuple(v for v in side if known[v].leaf in own) for side in (above, below))
            times, over = (tuple(v for v in side if known[v].leaf not in own) for side in (above, below))
            formula = Formula(top, bottom, times, over, sign) if times or over else None
        if formula is not None:
            return formula
    return None


def _over_factor(
    one: Value, leaf: Value, sign: int, above: list[Value], below: list[Value], roots: Roots
) -> Formula | None:
    """Return f(a*b)/a**n and the others: it is f(u)/u**n*b**n, u being a*b."""
    if leaf.op not in ("mul", "div"):
        return None
    for factor in _flat(leaf)[1]:
        powers = {v: power for v in below if (power := _power_of(v, factor, roots))}
        if len(powers) == 1 and below.count(*powers) == 1 and factor.op != "const":
            ((own, power),) = powers.items()
            times, over = list(above), list(below)
            times.remove(one)
            over.remove(own)
            return Formula((one,), (own,), tuple(times), tuple(over), sign, factor, power)
    return None


def _power_of(value: Value, factor: Value, roots: Roots) -> int:
    """Return which power of a factor a value is: a whole number of them, or 0."""
    base, number = (value.operands[0], exact(value.operands[1]) or 0) if value.op == "pow" else (value, 1)
    powers = 2 * number if roots.wholes.get(base) is factor else number if base is factor else 0
    return int(powers) if powers in (1, 2, 3) else 0


def _flat(quotient: Value) -> tuple[int, list[Value], list[Value]]:
    """Return the sign of a quotient, what it multiplies and what it is divided by."""
    sign, stack = 1, [(quotient, 0)]
    found: tuple[list[Value], list[Value]] = ([], [])
    while stack:
        value, side = stack.pop()
        if value.op in ("mul", "div") and len(stack) + len(found[0]) + len(found[1]) < MOST:
            stack += [(value.operands[1], side if value.op == "mul" else 1 - side), (value.operands[0], side)]
        elif value.op == "neg":
            sign = -sign
            stack.append((value.operands[0], side))
        else:
            found[side].append(value)
    return sign, *found


def _known(value: Value, known: dict[Value, Known], roots: Roots) -> Known:
    """Return what is known of a value, given that of its operands."""
    own = Known(value, PROBE**2 if value in roots.bases else PROBE, False, False)
    if value.op == "const" and (constant := constant_of(value)) is not None:
        return Known(None, float(constant), False, False)
    probe = PROBES.get(value.op)
    parts = [known[o] for o in value.operands] if probe is not None and value.kind == "real" else []
    leaf = roots.common([part.leaf for part in parts])
    if value.op == "pow" and leaf is not None and (rooted := _rooted(value, roots)) is not None:
        return Known(rooted, PROBE ** (2 * parts[1].probe), False, False)
    is_root = value in roots.taken and known[roots.taken[value].base].leaf is roots.taken[value].base
    if probe is None or leaf is None or is_root:
        return own
    try:
        size = probe(*[part.probe for part in parts])
    except (ValueError, ArithmeticError):
        size = None
    if not isinstance(size, float):
        return own
    curved = value.op not in ARITHMETIC or any(part.curved for part in parts) or _is_power_near_1(value, parts)
    singular = (value.op == "div" and abs(parts[1].probe) < SMALL) or any(part.singular for part in parts)
    return Known(leaf, size, curved, singular)


def _is_power_near_1(value: Value, parts: list[Known]) -> bool:
    """Return whether a value is ``(1 - u)**3`` or the like: powers of u itself have nothing that cancels in sums."""
    power = exact(value.operands[1]) if value.op == "pow" else None
    return power in range(2, LONGEST) and abs(parts[0].probe) > SMALL and parts[0].leaf is not None


def _rooted(power: Value, roots: Roots) -> Value | None:
    """Return the root that a power with a whole number and a half for its exponent is made of."""
    number = exact(power.operands[1])
    is_rooted = number is not None and Fraction(number).denominator == 2
    return roots.wholes.get(power.operands[0]) if is_rooted else None


def _may_cancel(value: Value, made: Known, operands: list[Known]) -> bool:
    """Return whether a formula may lose digits for a small u by its last operation, as one small u shows."""
    sizes = [abs(operand.probe) for operand in operands]
    if value.op in ("add", "sub"):
        return abs(made.probe) < SMALL * max(sizes)
    if value.op == "mul":
        return max(sizes) > 1 / SMALL
    return operands[-1].singular if value.op != "div" else sizes[1] < SMALL


def _cancels(value: Value, series: dict[Value, Series | None]) -> bool:
    """Return whether it does, in the value or in its slopes, as the exact series say."""
    low = [part.valuation for o in value.operands if (part := series[o]) is not None and part.coefficients]
    made = series[value]
    assert made is not None
    if value.op in ("add", "sub"):
        return made.valuation > min(low, default=0)
    return value.op not in ("mul", "div") or (low[-1] > 0 if value.op == "div" else min(low, default=0) < 0)


def _quotient(formula: Formula, series: dict[Value, Series | None]) -> Series | None:
    """Return the series of a formula, without the other values."""
    total: Series | None = ps.number(ps.ONE)
    for place, part in enumerate(_parts(formula)):  # the same one may be above and below
        own = series_of(part, series)
        own = own if own is None or place < len(formula.above) else ps.reciprocal(own)
        total = None if total is None or own is None else ps.multiply(total, own)
    return total


ARITHMETIC = ("abs", "neg", "add", "sub", "mul", "div", "pow")
PROBES: dict[str, Callable[..., float]] = {
    "abs": abs,
    "neg": operator.neg,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "sech": lambda x: 1 / math.cosh(x),
    "logcosh": lambda x: math.log(math.cosh(x)),
    **{name: getattr(math, name) for name in ("log", "sqrt", *ps.FUNCTIONS) if hasattr(math, name)},
}
