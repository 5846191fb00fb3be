"""Conditions that are decided: what stands for one holds for the same numbers, which Python's comparisons tell."""

from __future__ import annotations

import math
import operator
import random
from itertools import product

import pytest

import gradcompile as gc
from gradcompile.ir import Builder, Size, Value
from gradcompile.passes.decided import LARGEST, MOST, decided

OPERATORS = {name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")}
NUMBERS = (-1.0, 0.0, 1.0, 2.0, 3.0, math.nan)
LENGTHS = (1, 2, 3)


def holds(condition: Value, y: float, z: float, length: int) -> bool:
    """Return whether a condition holds for numbers, as Python has it."""
    if condition.op == "const":
        return bool(condition.attr)
    if condition.op in OPERATORS:
        name, bound = condition.operands
        number = length if bound.op == "size" else float(bound.attr)
        return bool(OPERATORS[condition.op](y if name.attr == "y" else z, number))
    parts = [holds(operand, y, z, length) for operand in condition.operands]
    return not parts[0] if condition.op == "not" else any(parts) if condition.op == "or" else all(parts)


def compared(source: random.Random, builder: Builder) -> Value:
    """Return a random comparison of one of two numbers."""
    bound = builder.size(Size.of("K")) if source.random() < 0.3 else builder.const(source.choice((0, 1, 2)))
    return builder.apply(source.choice([*OPERATORS]), builder.input(source.choice("yz"), ()), bound)


def drawn(source: random.Random, several: list[Value], depth: int) -> Value:
    """Return a random condition that is made of some comparisons."""
    if not depth or source.random() < 0.2:
        return source.choice(several)
    op = source.choice(("and", "or", "not"))
    operands = [drawn(source, several, depth - 1) for _ in range(1 if op == "not" else 2)]
    return several[0].builder.apply(op, *operands)


def test_what_stands_for_a_condition_holds_for_the_same_numbers() -> None:
    source, found = random.Random(3), 0
    for _ in range(400):
        builder = Builder()
        condition = drawn(source, [compared(source, builder) for _ in range(3)], source.choice((2, 3, 4)))
        other = decided(condition)
        if other is not None:
            found += other is not condition
            for case in product(NUMBERS, NUMBERS, LENGTHS):
                assert holds(other, *case) == holds(condition, *case), (str(condition), str(other), case)
    assert found > 100  # else nothing has been shown


@pytest.mark.parametrize(
    ("first", "second", "never"),
    [
        (("lt", 1), ("ge", "K"), True),
        (("lt", 2), ("ge", "K"), False),  # K may be 1
        (("le", 1), ("ge", "K"), False),
        (("le", 1), ("gt", "K"), True),
        (("lt", 1), ("gt", 1), True),
        (("le", 1), ("ge", 1), False),
        (("le", 1), ("ge", 2), True),
        (("lt", 2), ("gt", 1), False),  # 1.5
        (("eq", 0), ("eq", 1), True),
        (("eq", 0), ("ne", 1), False),
        (("lt", 1), ("gt", "pi"), False),  # a name is not compared
    ],
)
def test_bounds_that_exclude_each_other(first: tuple[str, object], second: tuple[str, object], never: bool) -> None:
    builder = Builder()
    y = builder.input("y", ())
    both = [
        builder.apply(op, y, builder.size(Size.of("K")) if bound == "K" else builder.const(bound))
        for op, bound in (first, second)
    ]
    for pair in (both, both[::-1]):
        found = decided(builder.apply("and", *pair))
        assert (found is not None and found.op == "const" and not found.attr) == never


@pytest.mark.parametrize(
    ("first", "second", "always"),
    [
        (("gt", 0), ("lt", "K"), True),
        (("gt", 1), ("lt", "K"), False),  # K may be 1
        (("ge", 1), ("lt", "K"), True),
        (("ge", 1), ("le", 1), True),
        (("gt", 1), ("lt", 1), False),
        (("ne", 0), ("ne", 1), True),
        (("ne", 0), ("eq", 0), True),
        (("eq", 0), ("ge", 1), False),
    ],
)
@pytest.mark.parametrize("kind", ["int", "real"])
def test_bounds_of_which_every_whole_number_keeps_one(
    first: tuple[str, object], second: tuple[str, object], always: bool, kind: str
) -> None:
    """Of other numbers, nan keeps none but that of being different."""
    builder = Builder()
    y = builder.input("y", (), kind)
    both = [
        builder.apply(op, y, builder.size(Size.of("K")) if bound == "K" else builder.const(bound))
        for op, bound in (first, second)
    ]
    for pair in (both, both[::-1]):
        found = decided(builder.apply("or", *pair))
        told = found is not None and found.op == "const" and bool(found.attr)
        assert told == (always and (kind == "int" or first[0] == "ne"))


@pytest.mark.parametrize("turned", [False, True])
def test_two_that_are_equal_do_not_differ(turned: bool) -> None:
    builder = Builder()
    y, z = builder.input("y", ()), builder.input("z", ())
    differ, equal = builder.apply("ne", y, z), builder.apply("eq", *((z, y) if turned else (y, z)))
    assert decided(builder.apply("and", differ, builder.apply("not", equal))) is differ
    assert decided(builder.apply("or", differ, equal)) is builder.const(True)
    assert decided(builder.apply("and", builder.apply("lt", y, z), equal)) is None


def test_long_conditions_are_left_as_they_are() -> None:
    builder = Builder()
    y = builder.input("y", ())
    several = [builder.apply("lt", y, builder.const(k)) for k in range(MOST + 1)]
    condition = several[0]
    for each in (*several[1:], *several):
        condition = builder.apply("or", condition, each)
    assert decided(builder.apply("or", condition, builder.apply("not", condition))) is None
    for _ in range(LARGEST):
        condition = builder.apply("or", builder.apply("not", condition), several[0])
    assert decided(condition) is None


@pytest.mark.parametrize(
    "share",
    [
        "where(y[n] >= K, 1, sigmoid(c[y[n]] - z[n])) - where(y[n] < 1, 0, sigmoid(c[y[n] - 1] - z[n]))",
        "where(y[n] < K, sigmoid(c[y[n]] - z[n]), 1) - where(y[n] > 0, sigmoid(c[y[n] - 1] - z[n]), 0)",
    ],
)
def test_the_gradient_of_what_both_branches_use_asks_nothing(share: str) -> None:
    """Each category has one bound at least, so that every sample counts."""
    model = gc.compile(
        gc.parse(f"""
            x: data[N, D]
            y: labels[N]
            w: parameter[D]
            c: parameter[K]
            z[n] = Sum(x[n, j]*w[j], j)
            p[n] = {share}
            loss = -Sum(log(p[n]), n)
        """)
    )
    [line] = [line for line in model.source.splitlines() if line.strip().startswith("dw[j] +=")]
    assert " if " not in line
