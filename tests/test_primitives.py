"""Every row of the table: its partials against `sympy.diff`, its meaning against mpmath, its edges."""

import math

import mpmath
import numpy as np
import pytest
import sympy

from gradcompile.primitives import NO_DERIVATIVE, TABLE, Primitive

ROWS = [pytest.param(row, id=row.name) for row in TABLE]
SMOOTH = [pytest.param(row, id=row.name) for row in TABLE if row.partials is not None]
# declared 0 by convention, not by calculus
ZERO_ALMOST_EVERYWHERE = ("sign", "floor", "ceil", "place", "detach", "finite")

ORDERED = ("polygamma", "polygammagap", "log1pover", "expm1over")  # the first operand is a whole number

# SymPy 1.14 does not end on the derivative of Mod; between its jumps the quotient is a constant
QUOTIENT = sympy.Symbol("quotient")
MOD = (lambda a, b: a - b * QUOTIENT)(*sympy.symbols("a:2", real=True))


def samples(row: Primitive, count: int = 7) -> list[tuple[float, ...]]:
    random = np.random.default_rng(17)
    return [tuple(float(random.uniform(*interval)) for interval in row.domain) for _ in range(count)]


def operands(row: Primitive) -> list[sympy.Symbol]:
    return list(sympy.symbols(f"a:{len(row.domain)}", real=True))


def number(expression: object, values: dict) -> mpmath.mpf:
    with mpmath.workdps(50):
        return mpmath.mpf(sympy.sympify(expression).subs(values).evalf(50))


@pytest.mark.parametrize("row", SMOOTH)
def test_partials_are_the_derivatives_of_the_sympy_form(row: Primitive) -> None:
    if row.name in ZERO_ALMOST_EVERYWHERE:
        assert all(partial(*operands(row), None) == 0 for partial in row.partials)
        return
    symbols = operands(row)
    form = row.sympy(*symbols)
    for symbol, partial in zip(symbols, row.partials, strict=True):
        local = partial(*symbols, form)
        if local is NO_DERIVATIVE:
            continue
        exact = sympy.diff(MOD if row.name == "mod" else form, symbol)
        for point in samples(row):
            values = {s: sympy.Float(v, 50) for s, v in zip(symbols, point, strict=True)}
            if row.name in ORDERED:
                values[symbols[0]] = sympy.Integer(1)
            if row.name == "mod":
                values[QUOTIENT] = sympy.floor(values[symbols[0]] / values[symbols[1]])
            ours, theirs = number(local, values), number(exact.doit(), values)
            # 1e-14: the row for erf holds 2/sqrt(pi) in double precision
            assert mpmath.almosteq(ours, theirs, rel_eps=mpmath.mpf("1e-14")), (symbol, point, ours, theirs)


@pytest.mark.parametrize("row", [r for r in SMOOTH if r.values[0].relative])
def test_relative_slopes_are_the_derivatives_over_the_value(row: Primitive) -> None:
    (symbol,) = operands(row)
    form = row.sympy(symbol)
    ours, exact = row.relative(symbol, form), sympy.diff(form, symbol) / form
    for (point,) in samples(row):
        at = {symbol: sympy.Float(point, 50)}
        # 1e-14: the row for erfcx holds 2/sqrt(pi) in double precision
        assert mpmath.almosteq(number(ours, at), number(exact, at), rel_eps=mpmath.mpf("1e-14")), point


@pytest.mark.parametrize("row", SMOOTH)
def test_textbook_partials_equal_the_others(row: Primitive) -> None:
    if row.textbook is None:
        pytest.skip("the textbook writes it the same way")
    symbols = operands(row)
    form = row.sympy(*symbols)
    for ours, books in zip(row.partials, row.textbook, strict=True):
        assert sympy.simplify(ours(*symbols, form) - books(*symbols, form)) == 0


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.values[0].kind != "bool" and r.values[0].name not in ("select", "detach", "real")]
)
def test_reference_is_the_sympy_form(row: Primitive) -> None:
    symbols = operands(row)
    form = row.sympy(*symbols)
    for point in samples(row):
        values = {s: sympy.Float(v, 50) for s, v in zip(symbols, point, strict=True)}
        if row.name in ORDERED:
            values[symbols[0]], point = sympy.Integer(1), (1, *point[1:])
        exact = float(number(form, values))
        # 1e-13: SciPy's digamma and polygamma are right to some 1e-14
        assert float(row.reference(*point)) == pytest.approx(exact, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("row", [r for r in ROWS if r.values[0].kind != "bool" and r.values[0].name != "select"])
def test_reference_takes_arrays(row: Primitive) -> None:
    """As the interpreter calls it: a constant is an array of one entry beside an array of samples."""
    points = samples(row, 3)
    if row.name in ORDERED:
        points = [(1, *point[1:]) for point in points]
    columns = [np.array([point[0] for point in points]), *(np.array([point[1:] for point in points]).T)]
    alone = columns[0][:1] if len(columns) > 1 else columns[0]
    first = [point[0] for point in points] if len(columns) == 1 else [points[0][0]] * 3
    expected = [row.reference(one, *point[1:]) for one, point in zip(first, points, strict=True)]
    found = np.broadcast_to(row.reference(alone, *columns[1:]), len(points))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("row", [r for r in ROWS if r.values[0].extremes])
def test_edges(row: Primitive) -> None:
    for point, expected in row.extremes:
        with np.errstate(all="ignore"):
            found = float(row.reference(*map(np.float64, point)))
        assert math.isnan(found) if math.isnan(expected) else found == pytest.approx(expected, rel=1e-15), (
            point,
            found,
        )


def test_names_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
