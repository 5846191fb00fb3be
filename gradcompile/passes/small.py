"""Formulas of one number that cancel where it is small, as ``sin(x)/x`` in its slopes and ``x - sin(x)`` in its value.

Near 0 a polynomial takes their place, made of the exact Taylor series of what is written: ``1 - x**2/6 + ...``. It
has every derivative, and the limit at 0. A formula counts if it is made of one value u, of numbers and of functions
that have a series at u = 0, and if there the terms of a sum cancel or a quotient has a zero over a zero. Of several
in one another the outermost is replaced: a logarithm of ``sin(x)/x`` needs the digits that the quotient lies above 1
by.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from gradcompile.ir import LARGE, Graph, Value
from gradcompile.passes import power_series as ps
from gradcompile.passes.fold import exact
from gradcompile.passes.power_series import Series

RADII = tuple(Fraction(1, 2**n) for n in range(6))
LONGEST = 14  # coefficients of a polynomial
ROUNDING = Fraction(1, 2**55)
MOST = 32  # formulas that are looked at in one graph


class Known(NamedTuple):
    """What is known of a value: the one value u that it is made of, and what it is where u is small."""

    leaf: Value | None  # None for a number
    probe: float  # the value where u is PROBE
    curved: bool  # whether there is a function in it that is no polynomial
    singular: bool  # whether something in it is divided by what is small


class Found(NamedTuple):
    """A formula that cancels: the value that it is made of, and its series in that, times powers of other values."""

    leaf: Value
    series: Series
    scale: tuple[Value, ...] = ()


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
    return _replaced(graph, lambda value: value.op in CANCELLING)


CANCELLING = ("add", "sub", "mul", "div", "log1p")


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
    apply, leaf = far.builder.apply, plain[found.leaf]
    radius, terms = _polynomial(found.series) or (Fraction(0), [])
    near = reduce(operator.mul, (plain[scale] for scale in found.scale), _horner(leaf, terms))
    return apply("select", apply("lt", apply("abs", leaf), radius), near, far)


def _horner(u: Value, terms: list[tuple[int, Fraction]]) -> Value:
    """Return a polynomial, given its powers and coefficients, lowest power first."""
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
    for radius in RADII:
        least = abs(terms[0][1]) * radius ** terms[0][0] * ROUNDING
        sizes = [abs(c) * radius**power * max(1, power) ** 2 for power, c in terms]
        needed = next((n for n in range(len(sizes), 0, -1) if sizes[n - 1] > least), 0)
        if needed <= LONGEST and (needed < len(terms) or needed <= 1):
            return radius, terms[:needed]
    return None


# Which formulas cancel


def _cancelling(
    order: Iterable[Value], counts: Callable[[Value], bool], known: dict[Value, Known]
) -> dict[Value, Found]:
    """Return the formulas that cancel and have a polynomial; what is known of all values is added to `known`."""
    found: dict[Value, Found] = {}
    series: dict[Value, Series | None] = {}
    mirrored: dict[Value, Series | None] = {}
    for value in order:
        made = known[value] = _known(value, known)
        if len(found) == MOST or not counts(value) or value.op == "const":
            continue
        if made.leaf is value:
            whole = _over_factor(value, known)
        else:
            curved = made.curved and _may_cancel(value, made, [known[o] for o in value.operands])
            whole = (value, ()) if curved else None
        if whole is None or (leaf := known[whole[0]].leaf) is None:
            continue
        right = _series_of(whole[0], known, series, ps.variable())
        if right is None or (not whole[1] and not _cancels(value, series)):
            continue
        left = _series_of(whole[0], known, mirrored, ps.multiply(ps.number(-ps.ONE), ps.variable()))
        if left is None or ps.mirrored(left) != right:  # absolute values in it make it another on each side
            continue
        quotient = Series(right.valuation - len(whole[1]), right.coefficients)
        if _polynomial(quotient) is not None:
            found[value] = Found(leaf, quotient, whole[1])
    return found


def _over_factor(value: Value, known: dict[Value, Known]) -> tuple[Value, tuple[Value, ...]] | None:
    """Return the numerator of f(a*b)/a**n, and b n times: it is f(u)/u**n*b**n, u being a*b."""
    if value.op != "div":
        return None
    above, below = value.operands
    leaf, power = known[above].leaf, exact(below.operands[1]) if below.op == "pow" else 1
    base = below.operands[0] if below.op == "pow" else below
    if leaf is None or leaf is above or leaf.op != "mul" or base not in leaf.operands or power not in (1, 2, 3):
        return None
    if not known[above].curved or abs(known[above].probe) > SMALL:
        return None
    rest = leaf.operands[1] if leaf.operands[0] is base else leaf.operands[0]
    return above, (rest,) * int(power)


def _known(value: Value, known: dict[Value, Known]) -> Known:
    """Return what is known of a value, given that of its operands."""
    if value.op == "const" and (constant := exact(value)) is not None:
        return Known(None, float(constant), False, False)
    probe = PROBES.get(value.op)
    parts = [known[o] for o in value.operands] if probe is not None and value.kind == "real" else []
    leaf = next((part.leaf for part in parts if part.leaf is not None), None)
    if probe is None or leaf is None or any(part.leaf is not None and part.leaf is not leaf for part in parts):
        return Known(value, PROBE, False, False)
    try:
        size = probe(*[part.probe for part in parts])
    except (ValueError, ArithmeticError):
        size = None
    if not isinstance(size, float):
        return Known(value, PROBE, False, False)
    curved = value.op not in ARITHMETIC or any(part.curved for part in parts)
    singular = (value.op == "div" and abs(parts[1].probe) < SMALL) or any(part.singular for part in parts)
    return Known(leaf, size, curved, singular)


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


# Series


def _series_of(
    root: Value, known: dict[Value, Known], series: dict[Value, Series | None], variable: Series
) -> Series | None:
    """Return the series of a formula, given that of its one value; those of its parts are added to `series`."""
    stack = [root]
    while stack:
        value = stack[-1]
        leaf = known[value].leaf
        waiting = [] if leaf in (None, value) else [o for o in value.operands if o not in series]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if leaf is None:
            series[value] = ps.number(Fraction(exact(value) or 0))
        elif leaf is value:
            series[value] = variable
        else:
            parts = [series[o] for o in value.operands]
            series[value] = None if None in parts else OPERATIONS[value.op](value, *parts)
    return series[root]


def _div(value: Value, a: Series, b: Series) -> Series | None:
    inverse = ps.reciprocal(b)
    return None if inverse is None else ps.multiply(a, inverse)


def _pow(value: Value, a: Series, b: Series) -> Series | None:
    number = exact(value.operands[1])
    return None if number is None else ps.power(a, Fraction(number))


def _log(value: Value, a: Series) -> Series | None:
    coefficients = ps.taylor("log1p")
    assert coefficients is not None
    return ps.compose(coefficients, ps.add(a, ps.number(ps.ONE), -1)) if a.constant == 1 else None


def _function(value: Value, a: Series) -> Series | None:
    coefficients = ps.taylor(value.op)
    return None if coefficients is None else ps.compose(coefficients, a)


def _abs(value: Value, a: Series) -> Series:
    """Return the absolute value of a series for small positive numbers."""
    return a if not a.coefficients or a.coefficients[0] > 0 else ps.multiply(ps.number(-ps.ONE), a)


ARITHMETIC = ("abs", "neg", "add", "sub", "mul", "div", "pow")
OPERATIONS: dict[str, Callable[..., Series | None]] = {
    "abs": _abs,
    "neg": lambda value, a: ps.multiply(ps.number(-ps.ONE), a),
    "add": lambda value, a, b: ps.add(a, b),
    "sub": lambda value, a, b: ps.add(a, b, -1),
    "mul": lambda value, a, b: ps.multiply(a, b),
    "div": _div,
    "pow": _pow,
    "sqrt": lambda value, a: ps.power(a, Fraction(1, 2)) if a.constant == 1 else None,
    "log": _log,
    **dict.fromkeys(ps.FUNCTIONS, _function),
}
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
