"""Whether anything is divided by what is 0 where a divisor is: asked with numbers, before series are made.

Random numbers stand for all that is no arithmetic and no function that series know, and for one factor of the divisor
the number at which that is 0. What is no 0 with these, but for rounding, is none in exact arithmetic. What grows beyond
all numbers, as a long recursion does, may stay within them if it starts from smaller ones.
"""

from __future__ import annotations

import cmath
import operator
from collections.abc import Callable, Sequence
from random import Random

from gradcompile.ir import Value
from gradcompile.passes.expansions import Place
from gradcompile.passes.laurent import Terms

NEAR = 1e-7  # numbers of size 1 that are rounded and cancel are smaller
FROM = ((0.2, 0.4), (0.05, 0.1), (0.02, 0.04), (1.2, 2.0))  # of positive numbers, logarithms have few branches
ENOUGH = 2  # draws in which all that is asked for has a number
NUMBERS = {"pi": cmath.pi, "e": cmath.e}
FUNCTIONS: dict[str, Callable[..., complex]] = {
    "add": operator.add,
    "sub": operator.sub,
    "neg": operator.neg,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    **{name: getattr(cmath, name) for name in ("sqrt", "exp", "log", "sin", "cos", "atanh", "sinh", "cosh", "tanh")},
}


def may_have_limits(order: Sequence[Value], place: Place) -> bool:
    """Return whether a quotient or a power may have such a divisor, or two logarithms such arguments.

    Parameters
    ----------
    order : sequence of Value
        All values of a graph, operands first.
    place : Place
        Where the divisor is 0.
    """
    below = {value.operands[1] if value.op == "div" else value.operands[0] for value in order if _divides(value)}
    logs = {value.operands[0] for value in order if value.op == "log"}
    known = 0
    for bounds in FROM:
        numbers = _numbers(order, place, *bounds)
        if numbers is None or not all(cmath.isfinite(numbers[value]) for value in (*below, *logs)):
            continue
        zeros = {value for value in (*below, *logs) if abs(numbers[value]) < NEAR}
        if not zeros.isdisjoint(below) or len(zeros & logs) > 1:
            return True
        known += 1
        if known == ENOUGH:
            return False
    return True


def _divides(value: Value) -> bool:
    """Return whether a value is a quotient, or a power that may be one."""
    if value.op != "pow":
        return value.op == "div"
    exponent = value.operands[1]
    return exponent.op != "const" or not (isinstance(exponent.attr, str) or exponent.attr > 0)


def _numbers(order: Sequence[Value], place: Place, low: float, high: float) -> dict[Value, complex] | None:
    """Return a number for each value where the divisor is 0; None if that takes more than one factor's number."""
    atom = next(atom for atom, exponent in place.monomial if exponent > 0)
    anywhere = _evaluated(order, {}, low, high)
    others = tuple(part for part in place.monomial if part[0] is not atom)
    try:
        zero = -_number(place.shift, anywhere) / _number({others: place.scale}, anywhere)
    except (ArithmeticError, KeyError):  # an atom may be nothing that the graph has
        return None
    numbers = _evaluated(order, {atom: zero}, low, high)
    return numbers if abs(numbers.get(place.divisor, 1)) < NEAR else None


def _evaluated(order: Sequence[Value], given: dict[Value, complex], low: float, high: float) -> dict[Value, complex]:
    """Return a number for each value: what is given, what is computed, or a random one."""
    random, numbers = Random(0), dict[Value, complex]()
    for value in order:
        drawn = random.uniform(low, high)
        if value in given:
            numbers[value] = given[value]
        elif value.op == "const":
            numbers[value] = complex(NUMBERS.get(value.attr, value.attr))
        elif value.op in FUNCTIONS:
            numbers[value] = _applied(value.op, [numbers[operand] for operand in value.operands])
        else:
            numbers[value] = drawn
    return numbers


def _applied(op: str, operands: Sequence[complex]) -> complex:
    """Return what an operation makes of numbers; nan where that is none."""
    try:
        return FUNCTIONS[op](*operands)
    except (ArithmeticError, ValueError):
        return complex("nan")


def _number(terms: Terms, numbers: dict[Value, complex]) -> complex:
    """Return what terms are with numbers for their atoms."""
    total = 0j
    for monomial, factor in terms.items():
        product = complex(factor)
        for atom, exponent in monomial:
            product *= numbers[atom] ** exponent
        total += product
    return total
