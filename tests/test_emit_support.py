"""Support functions against SciPy and mpmath, edges included, for every target that has them."""

import ast
import functools
import inspect
import math
import warnings

import mpmath
import numba
import numpy as np
import pytest
from scipy import special

from gradcompile.emit import support
from gradcompile.primitives import PRIMITIVES

INF, NAN = math.inf, math.nan
EDGES = [0.0, -0.0, INF, -INF, NAN, 1e-300, -1e-300, 745.0, -745.0, 710.0, 1e4, -1e4, 1e308, 0.5, -0.5, 2.0, -3.0]
ORACLES = {
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": lambda x: exact(mpmath.erf, x),
    "erfc": lambda x: exact(mpmath.erfc, x) if abs(x) < 30 else special.erfc(x),
}
POINTS = [*np.linspace(-5, 5, 41).tolist(), 1e-3, 30.0, -30.0, 100.5, 1e6]


@functools.cache
def function(target: str, name: str):
    """A support function as a module of the target has it."""
    if target != "numba":
        return support.functions(target)[name]
    namespace: dict = {"math": math, "np": np, "njit": numba.njit, "types": numba.types}
    called = support.closure(target, [name])
    exec("\n".join(support.DECLARATIONS.get(each, "") + support.source(target, each) for each in called), namespace)
    return namespace[name]


def of(target: str, name: str, *operands: float) -> float:
    call = function(target, name)
    if target == "numpy":
        found = call(*(o if isinstance(o, int) else np.array([o, o]) for o in operands))
        assert found.dtype == np.float64
        assert found.shape == (2,)
        return float(found[0])
    return float(call(*operands))


def same(found: float, expected: float, rtol: float = 4e-16) -> bool:
    """Equal, nan with nan, infinities by sign."""
    if math.isnan(expected) or math.isinf(expected):
        return math.isnan(found) if math.isnan(expected) else found == expected
    return abs(found - expected) <= rtol * abs(expected) + 5e-324


def having(*names: str) -> list[tuple[str, str]]:
    return [(target, name) for target in support.FILES for name in names if name in support.functions(target)]


@pytest.mark.parametrize(("target", "name"), having(*ORACLES))
def test_functions_of_one_number(target, name):
    for x in EDGES + POINTS:
        with np.errstate(all="ignore"):
            expected = float(ORACLES[name](x))
        found = of(target, name, x)
        assert same(found, expected), (x, found, expected)
        if name in ("floor", "ceil"):
            assert math.copysign(1, found) == math.copysign(1, expected) or math.isnan(found), x


@pytest.mark.parametrize("name", [name for target, name in having(*ORACLES) if target == "python"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_lists_may_hold_numbers_of_numpy(name, kind):
    """Where two of these are compared, the difference of the results is an error."""
    for x in (-2, 0, 3):
        assert of("python", name, kind(x)) == pytest.approx(of("python", name, float(x)), rel=1e-6)


@pytest.mark.parametrize(("target", "name"), having("maximum", "minimum"))
def test_maximum_and_minimum_pass_nan_on(target, name):
    oracle = {"maximum": np.maximum, "minimum": np.minimum}[name]
    for a in EDGES:
        for b in EDGES:
            assert same(of(target, name, a, b), float(oracle(a, b))), (a, b)


@pytest.mark.parametrize("target", support.FILES)
def test_place_is_an_index_whatever_the_number(target):
    for count in (1, 3, 2**24 + 2):
        for x in (0, 1, 2, count - 1):
            if x < count:
                assert function(target, "place")(np.float64(x), count) == x
        for x in (*EDGES, 1e30, float(count), count - 0.5, -0.5):
            found = int(function(target, "place")(np.float64(x), count))
            assert 0 <= found < count, (x, count)
            assert found == x or not (0 <= x < count and x == math.floor(x)), (x, count)
    assert function(target, "place")(np.float32(2**24 + 8), 2**24 + 2) == 2**24 + 1  # the length, rounded, is longer


@pytest.mark.parametrize("target", support.FILES)
def test_xlogy(target):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for x in EDGES:
            for y in EDGES:
                assert same(of(target, "xlogy", x, y), float(special.xlogy(x, y))), (x, y)


def exact(call, *operands: float) -> float:
    with mpmath.workdps(40):
        return float(call(*map(mpmath.mpf, operands)))


@pytest.mark.parametrize("target", support.FILES)
def test_xlogx1p(target):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for x in (-0.75, -1e-20, 1e-20, 1e-9, 0.5, 1e10):
            assert same(of(target, "xlogx1p", x), exact(lambda x: (1 + x) * mpmath.log1p(x), x), 1e-15), x
        for x, expected in ((-1.0, 0.0), (0.0, 0.0), (INF, INF), (-2.0, NAN), (-INF, NAN), (NAN, NAN)):
            assert same(of(target, "xlogx1p", x), expected), x


@pytest.mark.parametrize("target", support.FILES)
def test_xlog1py(target):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for x, y in ((2.5, -0.75), (3.0, -1e-20), (-0.5, 1e-9), (1e-3, 1e10)):
            expected = exact(lambda x, y: x * mpmath.log1p(y), x, y)
            assert same(of(target, "xlog1py", x, y), expected, 1e-15), (x, y)
        for x in EDGES:
            for y in EDGES:
                assert same(of(target, "xlog1py", x, y), float(special.xlog1py(x, y))), (x, y)


@pytest.mark.parametrize("target", support.FILES)
def test_xlog1pdiv(target):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for x, d in ((2.5, -0.75), (1e12, 3.0), (-4.0, 1e-9), (1e-3, 1e10), (1e-200, 1e200), (1e300, 1e290)):
            expected = exact(lambda x, d: x * mpmath.log1p(d / x), x, d)
            assert same(of(target, "xlog1pdiv", x, d), expected, 1e-15), (x, d)
        edges = [
            (0.0, 1.0, 0.0),
            (0.0, -1.0, 0.0),
            (0.0, 0.0, 0.0),
            (2.0, 0.0, 0.0),
            (1.0, INF, INF),
            (1.0, -1.0, -INF),
        ]
        for x, d, expected in [*edges, (1.0, -2.0, NAN), (NAN, 1.0, NAN), (0.0, NAN, NAN), (1.0, NAN, NAN)]:
            assert same(of(target, "xlog1pdiv", x, d), expected), (x, d)


@pytest.mark.parametrize("target", support.FILES)
def test_log1pwsq(target):
    for w, x in ((1e-9, 0.3), (-0.25, 1.0), (2.0, 1e200), (1e-200, -1e300), (1e-300, 1e-20), (3.0, 1e-10)):
        expected = exact(lambda w, x: mpmath.log1p(w * x * x), w, x)
        assert same(of(target, "log1pwsq", w, x), expected, 1e-15), (w, x)
    edges = [(0.0, 1.0, 0.0), (1.0, INF, INF), (INF, 1.0, INF), (-1.0, 1.0, -INF), (-2.0, 1.0, NAN), (-2.0, 1e200, NAN)]
    for w, x, expected in [*edges, (NAN, 1.0, NAN), (1.0, NAN, NAN)]:
        assert same(of(target, "log1pwsq", w, x), expected), (w, x)


@pytest.mark.parametrize("target", support.FILES)
def test_log1pwexp(target):
    for w, u in [
        (1e-9, 0.3),
        (-0.25, 1.0),
        (2.0, 800.0),
        (1e-200, 800.0),
        (1e-300, 1400.0),
        (3.0, -800.0),
        (2.0, 5000.0),
    ]:
        expected = exact(lambda w, u: mpmath.log1p(w * mpmath.exp(u)), w, u)
        assert same(of(target, "log1pwexp", w, u), expected, 1e-15), (w, u)
    edges = [(0.0, 800.0, 0.0), (0.0, 5000.0, 0.0), (0.0, INF, 0.0), (1.0, INF, INF), (INF, 1.0, INF), (1.0, -INF, 0.0)]
    edges += [
        (-1.0, 0.0, -INF),
        (-2.0, 0.0, NAN),
        (-2.0, 5000.0, NAN),
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (0.0, NAN, NAN),
    ]
    for w, u, expected in edges:
        assert same(of(target, "log1pwexp", w, u), expected), (w, u)


NEAR = [*np.linspace(-4.6, 12, 84).tolist(), 1e-8, -1e-8, 25.0, 171.5, 1e5]
GAMMA_POINTS = [x for x in NEAR if x > 0 or x != round(x)]


@pytest.mark.parametrize("target", support.FILES)
def test_digamma(target):
    for x in GAMMA_POINTS:
        expected = exact(mpmath.digamma, x)
        bound = 4e-15 * max(1, abs(expected)) * (1 if x > 0 else 8)
        assert abs(of(target, "digamma", x) - expected) <= bound, x
    for x in (0.0, -0.0, -1.0, -7.0, INF, NAN):
        assert same(of(target, "digamma", x), float(special.digamma(x))), x


@pytest.mark.parametrize("target", support.FILES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_polygamma(target, n):
    for x in [x for x in GAMMA_POINTS if x > 0]:
        expected = exact(lambda x: mpmath.polygamma(n, x), x)
        assert abs(of(target, "polygamma", n, x) - expected) <= 5e-15 * max(abs(expected), 1 if n == 0 else 0), x
    assert math.isnan(of(target, "polygamma", n, NAN))


@pytest.mark.parametrize("target", support.FILES)
def test_polygamma_of_negative_numbers_and_at_poles(target):
    for x in (-0.5, -1.25, -3.75):
        expected = exact(lambda x: mpmath.polygamma(1, x), x)
        assert same(of(target, "polygamma", 1, x), expected, 1e-13)
    assert of(target, "polygamma", 1, -2.0) == INF


@pytest.mark.parametrize("name", ["gamma", "lgamma"])
def test_gamma_of_arrays(name):
    call = function("numpy", name)
    for x in GAMMA_POINTS:
        expected = exact({"gamma": mpmath.gamma, "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x)))}[name], x)
        assert same(float(call(np.float64(x))), expected, 4e-15) or abs(call(x) - expected) < 1e-15, x
    for x in [0.0, -0.0, -2.0, INF, NAN, 200.0, 1e306, 1e308]:
        edge = {"gamma": special.gamma, "lgamma": special.gammaln}[name]
        assert same(float(call(np.float64(x))), float(edge(x)), 1e-13), x


AT_R = {"lgammagap": (special.gammaln,), "digammagap": (special.digamma,), "lbeta": ()}  # the operand that is given
GAPS = {
    "lgammagap": lambda r, d: mpmath.loggamma(r + d) - mpmath.loggamma(r),
    "digammagap": lambda r, d: mpmath.digamma(r + d) - mpmath.digamma(r),
    "lbeta": lambda a, b: mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b),
}


def at(name: str, r: float) -> list[float]:
    return [float(each(r)) for each in AT_R[name]]


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("target", "name"), having(*GAPS))
def test_gaps_of_gammas_keep_their_digits_where_both_are_large(target, name):
    for r in (0.3, 2.5, 15.9, 16.1, 40.0, 1e3, 1e6, 1e9, 1e14, 1e200):
        for d in (1e-3, 0.5, 1.0, 7.0, 300.0, 1e10, *((-0.25, -0.5 * r) if name != "lbeta" else ())):
            with mpmath.workdps(420):
                expected = float(GAPS[name](mpmath.mpf(r), mpmath.mpf(d)))
            lost = 16 / abs(d) if r < 17 and abs(d) < 1 else 1  # where both are small, it is their difference
            assert same(of(target, name, r, d, *at(name, r)), expected, 3e-14 * lost), (r, d)
    for r, d in ((NAN, 1.0), (1.0, NAN), (NAN, NAN)):
        assert math.isnan(of(target, name, r, d, *at(name, r)))
    assert name == "lbeta" or of(target, name, 20.0, 0.0, 1.0) == 0


@pytest.mark.parametrize("target", support.FILES)
def test_polygammagap(target):
    with mpmath.workdps(60):
        for n in (0, 1, 2, 5):
            for r, d in ((0.5, 2.0), (17.0, 1.0), (30.0, -12.0), (1e5, 3.0), (1e9, 0.5), (1e12, 1e13), (1e12, -1e11)):
                expected = float(mpmath.psi(n, mpmath.mpf(r) + d) - mpmath.psi(n, mpmath.mpf(r)))
                assert same(of(target, "polygammagap", n, r, d), expected, 2e-14), (n, r, d)


@pytest.mark.parametrize("target", support.FILES)
def test_log1pgap(target):
    with mpmath.workdps(400):
        for x in (-0.9, -0.31, -0.29, -1e-9, 0.0, 1e-150, 1e-20, 0.1, 0.39, 0.41, 2.0, 1e20):
            exact = mpmath.log1p(mpmath.mpf(x)) - mpmath.mpf(x) / (1 + mpmath.mpf(x))
            assert same(of(target, "log1pgap", x, float(mpmath.log1p(x))), float(exact), 5e-15), (
                x
            )  # of -0.31, the difference of 1.07 and 1
    assert same(of(target, "log1pgap", INF, 800.0), 799.0)
    assert same(of(target, "log1pgap", NAN, NAN), NAN)


OVER = {  # as integrals over the unit interval, and where
    "log1pover": (
        lambda n, x: mpmath.hyp2f1(n + 1, n + 1, n + 2, -x) / (n + 1),
        (-0.999, -0.5, -0.2, -0.19, -1e-3, -1e-18, 0.0, 1e-300, 1e-12, 0.1, 0.39, 0.41, 1.0, 30.0, 1e9),
        ((-1.0, INF), (-2.0, NAN), (INF, 0.0), (NAN, NAN)),
    ),
    "expm1over": (
        lambda n, x: mpmath.hyp1f1(n + 1, n + 2, x) / (n + 1),
        (-1e3, -30.0, -1.01, -0.99, -1e-3, -1e-18, 0.0, 1e-300, 1e-12, 0.1, 0.99, 1.01, 30.0, 700.0),
        ((-INF, 0.0), (800.0, INF), (INF, INF), (NAN, NAN)),
    ),
}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(("target", "name"), having(*OVER))
def test_quotients_by_their_operand_keep_the_digits_of_derivatives(target, name, order):
    exact, points, edges = OVER[name]
    with mpmath.workdps(60):
        for x in points:
            assert same(of(target, name, order, x), float(exact(order, mpmath.mpf(x))), (3e-16, 3e-15, 3e-14)[order]), x
    for x, expected in edges if order == 0 else edges[-1:]:
        assert same(of(target, name, order, x), expected), x


@pytest.mark.parametrize("name", sorted(n for n in support.functions("numpy") if n in PRIMITIVES))
def test_arrays_keep_float32_and_their_shape(name):
    call = function("numpy", name)
    x = np.linspace(0.25, 2, 6, dtype=np.float32).reshape(2, 3)
    operands = {
        "xlogy": (x, x),
        "xlog1py": (x, x),
        "log1pwexp": (x, x),
        "log1pwsq": (x, x),
        "lbeta": (x, x),
        "xlog1pdiv": (x, x),
        "log1pgap": (x, np.log1p(x)),
        "lgammagap": (x, x, special.gammaln(x)),
        "digammagap": (x, x, special.digamma(x)),
        "log1pover": (1, x),
        "expm1over": (1, x),
        "polygamma": (1, x),
        "polygammagap": (1, x, x),
        "place": (x, 2),
    }.get(name, (x,))
    found = call(*operands)
    assert found.dtype == (np.int64 if name == "place" else np.float32)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, PRIMITIVES[name].reference(*operands), rtol=2e-6)


def test_every_bare_name_in_a_spelling_is_a_support_function():
    from gradcompile.emit.expression import template

    for row in PRIMITIVES.values():
        for target in support.FILES:
            for name in template(getattr(row, target)).support:
                assert name in support.functions(target), (row.name, target)


@pytest.mark.parametrize("target", support.FILES)
def test_what_a_function_calls_comes_before_it(target):
    for name in support.functions(target):
        order = support.closure(target, [name])
        assert order[-1] == name
        for position, each in enumerate(order):
            assert support.calls(target, each) <= set(order[:position])


@pytest.mark.parametrize("target", support.FILES)
def test_functions_are_read_as_a_parser_reads_them(target):
    for name, function in support.functions(target).items():
        text = support.source(target, name)
        assert text.endswith(inspect.getsource(function)), name
        words = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert support.calls(target, name) == words & support.functions(target).keys() - {name}


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_lines_are_as_short_as_those_of_emitted_code(target):
    texts = [support.source(target, name) for name in support.functions(target)]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 100


# Products of matrices -------------------------------------------------------------------------------------------------

SIZES = [
    (1, 1, 1),
    (5, 0, 3),
    (0, 4, 2),
    (7, 3, 2),
    (300, 40, 9),
    (9, 700, 400),
    (129, 784, 10),
    (50, 60, 70),
    (65, 64, 12),
]


@pytest.mark.one_in(60)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", [*SIZES, (130, 300, 70), (200, 70, 150), (40, 2100, 50)], ids=str)
@pytest.mark.parametrize("tiles", [False, True])
def test_gemm_is_the_product_whatever_lies_contiguous(sizes, dtype, tiles):
    """Narrow results are made in tiles: none may be left out, and none added twice."""
    m, k, n = sizes
    random = np.random.default_rng(0)
    exact = [random.integers(-4, 5, size=shape) for shape in ((m, k), (k, n), (m, n))]  # every sum is exact
    orders = list(np.ndindex(2, 2, 2))
    for by_columns in orders if dtype == "float64" else orders[::3]:  # Numba takes half a second for each
        a, b, c = (np.array(x, dtype, order="CF"[o]) for x, o in zip(exact, by_columns, strict=True))
        function("numba", "gemm")(-2.0, a, b, 3.0, c, tiles)
        np.testing.assert_array_equal(c, -2 * (exact[0] @ exact[1]) + 3 * exact[2])


def test_gemm_takes_parts_of_larger_arrays_and_overwrites_what_is_no_number():
    random = np.random.default_rng(1)
    a, b, c = random.normal(size=(90, 300)), random.normal(size=(70, 100)), np.full((12, 300), np.nan)
    function("numba", "gemm")(1.0, a[:64, :257].T, b[:64, 3:15], 0.0, c[:, :257].T)
    np.testing.assert_allclose(c[:, :257].T, a[:64, :257].T @ b[:64, 3:15], rtol=1e-12, atol=1e-12)
    assert np.isnan(c[:, 257:]).all()


@pytest.mark.parametrize("dots", [True, False])
def test_tiles_of_narrow_products_are_those_that_blas_does_not_copy(dots):
    tile = support.functions("numba")["tile"]
    rows, columns = tile(128, 784, 10, dots, False)
    assert columns == 10
    assert 16 <= rows < 128
    assert rows * columns * 784 <= 10**6
    assert tile(10, 784, 128, dots, False) == (columns, rows)
    for whole in ((128, 784, 256), (20, 5, 5), (128, 10**5, 10), (0, 3, 4)):
        assert tile(*whole, dots, False) == (max(whole[0], 1), whole[2])
    for sizes in ((128, 784, 256), (784, 128, 256), (1024, 1024, 1024), (100, 64, 500), (128, 5000, 300)):
        rows, columns = tile(*sizes, dots, True)
        assert rows * columns * min(sizes[1], 976) <= 10**6 * 1.05
        assert rows * columns <= (1200 if dots else 4096)
    assert tile(100, 40, 500, dots, True) == (100, 500)
