"""Scalars: numbers, sums, products, powers, choices and rows of the table.

Sums and products become operations on two operands, written as a lecturer writes them: constants first, differences
and quotients as such.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any

import sympy

from gradcompile.errors import UnsupportedError
from gradcompile.ir import Number, Value

from .places import shown
from .state import LEAVES, Ask, Rule, Scope, Signed, State, Steps

NAN = float("nan")  # one object: equal values are one value
SignedSteps = Generator[Ask, Value, Signed]


# --- numbers


def number(state: State, ask: Ask) -> Value:
    """Return a number as a constant: whole numbers and fractions stay exact."""
    expr = ask.expr
    if expr is sympy.pi or expr is sympy.E:
        return state.builder.const("pi" if expr is sympy.pi else "e")
    return state.builder.const(_exact(expr, ask.scope))


def _exact(expr: Any, scope: Scope) -> Number:
    if expr.is_Integer:
        return int(expr)
    if expr.is_Rational:
        return Fraction(int(expr.p), int(expr.q))
    converted = float(expr)
    if not abs(converted) < float("inf"):
        raise UnsupportedError(
            "the number is too large for a float64",
            **shown(scope.root, expr),
            expected="at most 1.8e308",
            hint="choose other units, or take its logarithm",
        )
    return converted


def truth(state: State, ask: Ask) -> Value:
    """Return true or false."""
    return state.builder.const(ask.expr is sympy.true)


# --- sums


def add(state: State, ask: Ask) -> Steps:
    """Lower a sum: constants, what is computed, then leaves in the order of declaration."""
    terms = []
    for term in ask.expr.args:
        terms.append((yield from _signed(state, term, ask.scope)))
    terms.sort(key=lambda term: _sum_order(state, term[1]))
    return state.signed_sum(terms)


def _signed(state: State, term: Any, scope: Scope) -> SignedSteps:
    """Return a term as its sign and its value without that."""
    if term.is_Number and term.is_negative:
        return True, (yield Ask(-term, scope))
    if term.is_Mul and not term.is_Matrix:
        return (yield from _product(state, term, scope))
    return False, (yield Ask(term, scope))


def _sum_order(state: State, value: Value) -> tuple[int, int]:
    if value.op == "const":
        return 0, 0
    return (2, _declared(state, value)) if value.op in LEAVES else (1, 0)


def _declared(state: State, value: Value) -> int:
    """Return the place of a leaf in the order of declaration."""
    array = value.operands[0] if value.op == "read" else value
    return state.ranks.get(array.attr, 0) if array.op == "input" else 0


# --- products


def multiply(state: State, ask: Ask) -> Steps:
    """Lower a product, with its reciprocals as one quotient."""
    negative, value = yield from _product(state, ask.expr, ask.scope)
    if not negative:
        return value
    return _negated(state, value)


def _negated(state: State, value: Value) -> Value:
    """Return minus a value: ``-2*x`` and not ``-(2*x)``."""
    if value.op == "mul" and (c := value.operands[0]).op == "const" and isinstance(c.attr, (int, float, Fraction)):
        return state.builder.apply("mul", state.builder.const(-c.attr), value.operands[1])
    return state.builder.apply("neg", value)


def _product(state: State, expr: Any, scope: Scope) -> SignedSteps:
    above, below, negative = [], [], False
    for factor in expr.args:
        if factor.is_Number:
            negative ^= bool(factor.is_negative)
            top, bottom = _fraction(abs(factor))
            above += [] if top == 1 else [(yield Ask(top, scope))]
            below += [] if bottom == 1 else [(yield Ask(bottom, scope))]
        elif factor.is_Pow and factor.exp.is_Number and factor.exp.is_negative:
            below.append((yield from _power(state, factor.base, -factor.exp, scope)))
        else:
            above.append((yield Ask(factor, scope)))
    top_value = _joined(state, above)
    return negative, (state.apply("div", top_value, _joined(state, below)) if below else top_value)


def _fraction(value: Any) -> tuple[Any, Any]:
    return (sympy.Integer(value.p), sympy.Integer(value.q)) if value.is_Rational else (value, sympy.Integer(1))


def _joined(state: State, factors: list[Value]) -> Value:
    """Multiply from left to right: constants, leaves in the order of declaration, what is computed."""
    if not factors:
        return state.builder.const(1)
    first, *rest = sorted(factors, key=lambda value: _product_order(state, value))
    for factor in rest:
        first = state.builder.apply("mul", first, factor)
    return first


def _product_order(state: State, value: Value) -> tuple[int, bool, bool, int]:
    """Order factors; data come before parameters, so that the axes of samples come first: ``x[s, j]*W[j, i]``."""
    if value.op == "const":
        return 0, False, False, 0
    if value.op not in LEAVES:
        return 2, False, False, 0
    array = value.operands[0] if value.op == "read" else value
    parameter = array.op == "input" and array.attr in state.parameters
    return 1, bool(value.axes), bool(value.axes) and parameter, _declared(state, value)


# --- powers


def power(state: State, ask: Ask) -> Steps:
    """Lower a power: roots, reciprocals and squares by their own names."""
    base, exponent = ask.expr.args
    if base is sympy.E:
        return state.apply("exp", (yield Ask(exponent, ask.scope)))
    if exponent.is_Number and exponent.is_negative:
        below = yield from _power(state, base, -exponent, ask.scope)
        return state.apply("div", state.builder.const(1), below)
    return (yield from _power(state, base, exponent, ask.scope))


def _power(state: State, base: Any, exponent: Any, scope: Scope) -> Steps:
    if exponent == 1:
        return (yield Ask(base, scope))
    if exponent.is_Float and (2 * float(exponent)).is_integer():
        exponent = sympy.Rational(float(exponent))  # 0.5 is a root, 2.0 a square
    if exponent == sympy.S.Half:
        if base.is_Pow and base.exp == 2:
            return state.apply("abs", (yield Ask(base.base, scope)))  # the symbols are real
        return state.apply("sqrt", (yield Ask(base, scope)))
    first = yield Ask(base, scope)
    return state.apply("pow", first, (yield Ask(exponent, scope)))


def exponential(state: State, ask: Ask) -> Steps:
    """Lower exp(x)."""
    return state.apply("exp", (yield Ask(ask.expr.args[0], ask.scope)))


# --- rows of the table, and what is nearly one


def row(name: str) -> Rule:
    """Return the rule for a function that is a row of the table."""

    def rule(state: State, ask: Ask) -> Steps:
        operands = []
        for arg in ask.expr.args:
            operands.append((yield Ask(arg, ask.scope)))
        return state.apply(name, *operands)

    return rule


def fold(name: str) -> Rule:
    """Return the rule for an operation on two conditions that SymPy writes with many, in an order of its own."""

    def rule(state: State, ask: Ask) -> Steps:
        result: Value | None = None
        for arg in ask.expr.args:
            scope = ask.scope.guard() if _decided_by_others(state, arg, ask) else ask.scope
            test = state.condition((yield Ask(arg, scope)))
            result = test if result is None else state.builder.apply(name, result, test)
        return state.builder.const(name == "and") if result is None else result

    return rule


def _decided_by_others(state: State, condition: Any, ask: Ask) -> bool:
    """Return whether other conditions on an index may decide before one of several: ``i == 0 or x[i - 1] > 0``."""
    others = (other for other in ask.expr.args if other is not condition)
    return any(symbol in ask.scope.bound for other in others for symbol in state.survey.free(other))


def negation(state: State, ask: Ask) -> Steps:
    """Lower a logical not."""
    return state.builder.apply("not", state.condition((yield Ask(ask.expr.args[0], ask.scope))))


def relation(name: str) -> Rule:
    """Return the rule for a comparison; one of numbers is decided here. An interval may end at infinity."""

    def rule(state: State, ask: Ask) -> Steps:
        sides = []
        for side in ask.expr.args:
            infinite = side in (sympy.oo, -sympy.oo)
            sides.append(state.builder.const(float(side)) if infinite else (yield Ask(side, ask.scope)))
        left, right = sides
        if left.op == right.op == "const" and not isinstance(left.attr, str) and not isinstance(right.attr, str):
            return state.builder.const(bool(COMPARE[name](left.attr, right.attr)))
        return state.builder.apply(name, left, right)

    return rule


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def piecewise(state: State, ask: Ask) -> Steps:
    """Lower a choice to nested selects; outside of all conditions there is no number."""
    branches: list[tuple[Value, Value]] = []
    for expr, condition in ask.expr.args:
        always = condition is sympy.true
        scope = ask.scope if always and not branches else ask.scope.guard()
        test = state.condition((yield Ask(condition, ask.scope if not branches else scope)))
        branches.append((test, (yield Ask(expr, scope))))
        if always:
            break
    result = branches.pop()[1] if branches[-1][0].is_const(True) else state.builder.const(NAN)
    for test, value in reversed(branches):
        result = state.select(test, value, result)
    return result


def choice(state: State, ask: Ask) -> Steps:
    """Lower ``ITE(condition, a, b)``."""
    condition, a, b = ask.expr.args
    test = state.condition((yield Ask(condition, ask.scope)))
    inner = ask.scope.guard()
    taken = state.condition((yield Ask(a, inner)))
    return state.select(test, taken, state.condition((yield Ask(b, inner))))


def same(state: State, ask: Ask) -> Steps:
    """Lower the real part, the conjugate, and what keeps SymPy from evaluating: the argument itself."""
    return (yield Ask(ask.expr.args[0], ask.scope))


def zero(state: State, ask: Ask) -> Value:
    """Lower the imaginary part of a real number."""
    return state.builder.const(0)
