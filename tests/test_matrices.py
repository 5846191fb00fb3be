"""Linear algebra of compiled code: against mpmath, against LAPACK itself, and with what has no inverse."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.linalg.lapack
from sympy import Determinant, Identity, IndexedBase, MatrixSymbol, Sum, Symbol, Trace, log, symbols

import gradcompile as gc
from gradcompile.jit import Given, linking
from gradcompile.jit.direct import UntranslatableError, build, matrices

ROOT = Path(__file__).parents[1]
NJIT = '@njit(fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy")\n'
SIZES = (1, 2, 3, 5, 8, 16, 17, 30)  # of more than 16, LAPACK has them
N = Symbol("N", integer=True, positive=True)
i, j = symbols("i j", integer=True)


def compiled(body, dtype="float64", ranks=(2,)):
    return build(f"{NJIT}def f({', '.join('xyz'[: len(ranks)])}):\n{body}", "f", [Given(dtype, rank) for rank in ranks])


def function(name, dtype="float64"):
    return compiled(f"    return np.linalg.{name}(x)\n", dtype)


def drawn(n, dtype="float64", seed=0):
    """Return a matrix whose rows have to be exchanged."""
    return np.random.default_rng(seed + n).normal(size=(n, n)).astype(dtype)


def exact(matrix):
    return mpmath.matrix(matrix.astype(float).tolist())


def condition(matrix):
    return np.linalg.cond(matrix.astype(float)) * np.finfo(matrix.dtype).eps * len(matrix)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inverses_are_those_of_exact_arithmetic(dtype):
    inverse = function("inv", dtype)
    for matrix in (drawn(n, dtype, seed) for n in SIZES for seed in range(3 if n < 16 else 1)):
        found, before = inverse(matrix), matrix.copy()
        with mpmath.workdps(40):
            expected = np.array((exact(matrix) ** -1).tolist(), float)
        assert found.dtype == dtype
        assert np.abs(found - expected).max() <= condition(matrix) * np.abs(expected).max()
        assert (matrix == before).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_determinants_are_those_of_exact_arithmetic(dtype):
    determinant, logarithm = function("det", dtype), function("slogdet", dtype)
    signs = set()
    for matrix in (drawn(n, dtype, seed) for n in SIZES for seed in range(3 if n < 16 else 1)):
        with mpmath.workdps(40):
            expected = mpmath.det(exact(matrix))
            log = float(mpmath.log(abs(expected)))
        sign, found = logarithm(matrix)
        signs.add(sign)
        assert abs(determinant(matrix) / float(expected) - 1) <= condition(matrix)
        assert sign == np.sign(float(expected))
        assert abs(found - log) <= condition(matrix) + 1e-15 * abs(log)
    assert signs == {-1.0, 1.0}


def test_determinants_have_the_digits_of_their_pivots():
    """NumPy has exp of their logarithm: of 1e300, thirteen digits."""
    determinant = function("det")
    for n in (3, 20):
        assert determinant(np.diag(np.full(n, 2.0 ** (990 // n)))) == 2.0 ** (990 // n * n)
    assert determinant(np.diag([1e200, 1e200, 1e-200, 1e-200])) == pytest.approx(1, rel=1e-12)
    assert determinant(np.diag([1e-200, 1e-200, 1e200, 1e200])) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e300])
def test_logarithms_of_determinants_are_finite_where_these_are_not(scale):
    matrix = np.array([[4.0, 1, 2], [1, 3, 0], [2, 0, 5]])
    expected = np.log(43) + 3 * np.log(scale)  # 4*15 - 1*5 - 2*6
    sign, found = function("slogdet")(matrix * scale)
    assert (sign, found) == (1, pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize(("dtype", "letter"), [("float64", "d"), ("float32", "s")])
def test_large_inverses_are_lapacks_to_the_bit(dtype, letter):
    matrix = drawn(40, dtype)
    factors, exchanged, _ = getattr(scipy.linalg.lapack, f"{letter}getrf")(matrix)
    expected, _ = getattr(scipy.linalg.lapack, f"{letter}getri")(factors, exchanged)
    np.testing.assert_array_equal(function("inv", dtype)(matrix), expected)
    sign, found = function("slogdet", dtype)(matrix)
    assert sign == np.sign(np.diag(factors)).prod() * (-1) ** (exchanged != np.arange(40)).sum()
    assert found == pytest.approx(np.log(np.abs(np.diag(factors)).astype(float)).sum(), rel=1e-14)


def test_no_rows_and_no_columns():
    nothing = np.empty((0, 0))
    assert function("inv")(nothing).shape == (0, 0)
    assert function("det")(nothing) == 1
    assert function("slogdet")(nothing) == (1, 0)


LAYOUTS = {
    "transposed": ("np.linalg.inv(x[0].T)", lambda x: x[0].T),
    "of a stack": ("np.linalg.inv(x[1])", lambda x: x[1]),
    "of the last axis": ("np.linalg.inv(x[:, :, 2])", lambda x: x[:, :, 2]),
    "of the middle axis": ("np.linalg.inv(x[:, 1, :].T)", lambda x: x[:, 1, :].T),
    "part of a larger one": ("np.linalg.inv(x[2, 1:3, :2])", lambda x: x[2, 1:3, :2]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [4, 20])
def test_matrices_may_lie_in_any_way(layout, n):
    text, part = LAYOUTS[layout]
    stack = np.random.default_rng(n).normal(size=(n, n, n))
    np.testing.assert_allclose(
        compiled(f"    return {text}\n", ranks=[3])(stack), np.linalg.inv(part(stack)), rtol=1e-10
    )


BATCH = f"""{NJIT}def inverse(matrix):
    return np.linalg.inv(matrix)


{NJIT}def f(x, y):
    s = 0.0
    for n in range(x.shape[0]):
        y[n, :, :] = inverse(x[n, :, :])
        t = np.empty(3)
        t[1] = np.linalg.det(x[n, :, :])
        s += t[1]
    return s
"""


def test_batches_in_loops_fill_what_they_are_assigned_to():
    f = build(BATCH, "f", [Given("float64", 3)] * 2)
    stack = np.random.default_rng(5).normal(size=(7, 3, 3))
    found = np.zeros((7, 3, 3))
    assert f(stack, found) == pytest.approx(np.linalg.det(stack).sum(), rel=1e-12)
    np.testing.assert_allclose(found, np.linalg.inv(stack), rtol=1e-10)


def test_elements_that_may_be_an_arrays_own_are_left_to_numba():
    for line in ("x[:, :] = x.T", "x[1:] = x[:-1]", "x[0] = np.asarray(x)"):
        with pytest.raises(UntranslatableError):
            compiled(f"    {line}\n    return 0\n")


# What has no inverse --------------------------------------------------------------------------------------------------

SINGULAR = {
    "zeros": lambda n: np.zeros((n, n)),
    "whole numbers": lambda n: np.where(np.arange(n) == n - 1, 2.0, 1.0) * np.ones((n, 1)),
    "a column of zeros": lambda n: np.eye(n) * (np.arange(n) != n // 2),
}
INFINITE = {
    "nan": lambda n: np.where(np.eye(n) > 0, np.nan, 1.0),
    "infinity": lambda n: np.where(np.eye(n) > 0, -np.inf, 0.0),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_singular_matrices_raise_and_have_determinant_0(n, dtype):
    for name, make in SINGULAR.items():
        matrix = make(n).astype(dtype)
        with pytest.raises(np.linalg.LinAlgError, match="singular"):
            function("inv", dtype)(matrix)
        assert function("det", dtype)(matrix) == 0, name
        assert function("slogdet", dtype)(matrix) == (0, -np.inf), name


@pytest.mark.parametrize("name", ["inv", "det", "slogdet"])
@pytest.mark.parametrize("n", [1, 5, 30])
def test_what_is_not_finite_raises_as_numba_does(name, n):
    for make in INFINITE.values():
        with pytest.raises(np.linalg.LinAlgError, match="not finite"):
            function(name)(make(n))


def test_two_by_two_is_singular_where_it_is_so_to_lapack():
    """Of columns in proportion, rounding decides."""
    random, inverse = np.random.default_rng(3), function("inv")

    def fails(invert, matrix):
        try:
            invert(matrix)
        except np.linalg.LinAlgError:
            return True
        return False

    found = [np.outer(random.normal(size=2), random.normal(size=2)) for _ in range(200)]
    ours, lapacks = ([fails(each, matrix) for matrix in found] for each in (inverse, np.linalg.inv))
    assert ours == lapacks
    assert 20 < sum(ours) < 180


FAILS = f"""{NJIT}def inner(x):
    a = np.empty(1000)
    a[0] = 1.0
    b = np.linalg.inv(x)
    return b[0, 0]*a[0], b


{NJIT}def f(x, n):
    t, a = 0.0, np.empty(n)
    for k in range(n):
        c = np.empty(1000)
        c[0], b = inner(x)
        a[k] = b[0, 0]
        t += c[0]
    return a, t
"""


def test_an_error_comes_through_functions_and_gives_their_memory_back():
    f = build(FAILS, "f", [Given("float64", 2), Given("int64", 0)])
    memory = np.zeros((2, 2))
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError):
            f(memory, 4)
        assert f(np.eye(2), 4)[0].tolist() == [1.0] * 4
    with pytest.raises(MemoryError):
        f(np.eye(2), 2**50)
    with pytest.raises(np.linalg.LinAlgError):
        f(memory, 1)


def test_threads_have_matrices_of_their_own():
    inverse = function("inv")
    stack = [drawn(n, seed=k) for k in range(20) for n in (3, 24)]
    expected, found = [inverse(each) for each in stack], {}

    def work(number):
        found[number] = [inverse(each) for each in stack for _ in range(20)][::20]

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for each in found.values():
        for a, b in zip(each, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_text_is_python_too():
    """In the interpreter, what small matrices take gives the same."""
    for n in (1, 2, 6):
        matrix = drawn(n)
        np.testing.assert_array_equal(matrices.inv(matrix), function("inv")(matrix))
        assert matrices.slogdet(matrix) == function("slogdet")(matrix)
    with pytest.raises(np.linalg.LinAlgError):
        matrices.inv(np.ones((3, 3)))


def test_without_lapack_numba_is_left_to_see(monkeypatch):
    monkeypatch.setattr(linking, "LAPACK", "scipy.linalg.no_such_file")
    with pytest.raises(UntranslatableError, match="LAPACK"):
        compiled("    return 2*np.linalg.det(x)\n")


def test_programs_have_one_module_for_linear_algebra_in_common():
    texts = [{each.text for each in modules(f"    return {k}*np.linalg.inv(x)[0, 0]\n") if each.common} for k in (2, 3)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1


def modules(body):
    from gradcompile.jit.direct.kinds import F64, Array
    from gradcompile.jit.direct.program import Program

    return Program(f"{NJIT}def f(x):\n{body}").modules("f", [Array(F64, 2)])


# Models ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [3, 25])
def test_the_likelihood_of_a_gaussian_process_has_its_gradient(n, dtype):
    z, y, K = IndexedBase("z", shape=(N,)), MatrixSymbol("y", N, 1), MatrixSymbol("K", N, N)
    width, noise = Symbol("width"), Symbol("noise")
    covariance = K + noise * Identity(N)
    model = gc.compile(
        log(Determinant(covariance)) + (y.T * covariance.I * y)[0, 0], wrt=[width, noise],
        define={K[i, j]: 1 / (1 + (z[i] - z[j]) ** 2 / width**2)}, dtype=dtype,
    ).wait()  # fmt: skip
    random = np.random.default_rng(n)
    given = {"z": random.uniform(0, 3, n).astype(dtype), "y": random.normal(size=(n, 1)).astype(dtype)}
    value, gradient = model.value_and_grad(**given, width=0.7, noise=0.3)
    at, target = (each.astype(float) for each in given.values())
    lag = (at[:, None] - at) ** 2
    k = 1 / (1 + lag / 0.49)
    whole, slopes = k + 0.3 * np.eye(n), [2 * k**2 * lag / 0.343, np.eye(n)]
    solved = np.linalg.solve(whole, target)
    rtol = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(value, np.linalg.slogdet(whole)[1] + (target * solved).sum(), rtol=rtol)
    expected = [np.trace(np.linalg.solve(whole, each)) - (solved.T @ each @ solved)[0, 0] for each in slopes]
    np.testing.assert_allclose(gradient, expected, rtol=10 * rtol)


def test_what_an_inverse_and_a_determinant_are_of_is_computed_once():
    z, y, K = IndexedBase("z", shape=(N,)), MatrixSymbol("y", N, 1), MatrixSymbol("K", N, N)
    loss, width = log(Determinant(K)) + (y.T * K.I * y)[0, 0], Symbol("width")
    model = gc.compile(loss, wrt=width, define={K[i, j]: 1 / (1 + (z[i] - z[j]) ** 2 / width**2)})
    text = model.source.partition("def value(")[2].partition("@njit")[0]
    assert [text.count(part) for part in ("K[i, j] =", "= logdet(K)", "[:] = solve(K, ")] == [1, 1, 1]


IMPORTED = """
import sys
import numpy as np
import gradcompile as gc
from sympy import Determinant, MatrixSymbol, Trace, log, symbols

N = symbols("N", integer=True, positive=True)
A = MatrixSymbol("A", N, N)
model = gc.compile(Trace(A.I) + log(Determinant(A)), wrt=A).wait()
value, slope = model.value_and_grad(A=2*np.eye(20))
assert abs(value - 10 - 20*np.log(2)) < 1e-12
np.testing.assert_allclose(slope, np.eye(20)/4, atol=1e-15)
assert "np.linalg.inv" in model.source
try:
    model.value_and_grad(A=np.zeros((20, 20)))
except gc.errors.DataError as error:
    print("numba" in sys.modules, "scipy.linalg" in sys.modules, "singular" in str(error))
import scipy.linalg.cython_lapack
assert "dgetrf" in scipy.linalg.cython_lapack.__pyx_capi__
assert scipy.linalg.inv(2*np.eye(20))[3, 3] == 0.5
"""


def test_inverses_need_no_numba_compiled_or_kept_and_one_file_of_scipy_linalg(tmp_path):
    environment = {**os.environ, "GRADCOMPILE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IMPORTED]
    said = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [each.stdout.split() for each in said] == [["False", "False", "True"]] * 2


def test_a_training_that_comes_to_a_singular_matrix_ends_with_finite_parameters():
    """The slope of -tr(A.I) is A.I*A.I: one step from the identity, at a rate of 1, is 0."""
    A, x = MatrixSymbol("A", 2, 2), IndexedBase("x", shape=(N,))
    model = gc.compile(Sum(-Trace(A.I) * x[i], (i, 0, N - 1)), wrt=A)
    result = model.fit(x=np.ones(8), init={"A": np.eye(2)}, optimizer=gc.SGD(1.0), epochs=9, progress=False)
    assert result.stopped == "not finite"
    assert result.reason.startswith("a matrix was singular or not finite in epoch 2")
    assert len(result.history) == 1
    assert np.isfinite(result.params["A"]).all()


@pytest.mark.slow
def test_steps_of_a_filter_are_compiled_in_time_that_grows_with_their_number():
    """Reductions inside of one another are renamed once, and not twice as often with each step."""
    steps = 5
    a, h, p0, m0 = MatrixSymbol("A", 3, 3), MatrixSymbol("H", 2, 3), MatrixSymbol("P", 3, 3), MatrixSymbol("m", 3, 1)
    define, loss, p, m = {}, 0, p0, m0
    for t in range(steps):
        q, s, k = MatrixSymbol(f"q{t}", 3, 3), MatrixSymbol(f"s{t}", 2, 2), MatrixSymbol(f"k{t}", 3, 2)
        v, y = MatrixSymbol(f"v{t}", 2, 1), MatrixSymbol(f"y{t}", 2, 1)
        define |= {q: a * p * a.T + Identity(3), s: h * q * h.T + Identity(2), v: y - h * a * m}
        mean, spread = MatrixSymbol(f"m{t}", 3, 1), MatrixSymbol(f"p{t}", 3, 3)
        define |= {k: q * h.T * s.I, mean: a * m + k * v, spread: q - k * h * q}
        loss, p, m = loss + log(Determinant(s)) + (v.T * s.I * v)[0, 0], spread, mean
    random = np.random.default_rng(0)
    given = {"A": np.eye(3) / 2 + random.normal(size=(3, 3)) / 8, "H": random.normal(size=(2, 3))}
    given |= {"P": np.eye(3), "m": np.zeros((3, 1))}
    seen = {f"y{t}": random.normal(size=(2, 1)) for t in range(steps)}

    def exact_loss(a, h):
        found, p, m = 0, np.eye(3), np.zeros((3, 1))
        for y in seen.values():
            q = a @ p @ a.T + np.eye(3)
            s, v = h @ q @ h.T + np.eye(2), y - h @ a @ m
            k = q @ h.T @ np.linalg.inv(s)
            found = found + np.log(np.linalg.det(s)) + (v.T @ np.linalg.inv(s) @ v)[0, 0]
            m, p = a @ m + k @ v, q - k @ h @ q
        return found

    model = gc.compile(loss, wrt=[a, h], define=define)
    value, (found, _) = model.value_and_grad(**given, **seen)
    assert value == pytest.approx(exact_loss(given["A"], given["H"]), rel=1e-12)
    for place in ((0, 0), (1, 2), (2, 1)):
        moved = given["A"].astype(complex)
        moved[place] += 1e-30j
        assert found[place] == pytest.approx(exact_loss(moved, given["H"]).imag / 1e-30, rel=1e-10)


TURNED, SQUARE = MatrixSymbol("M", N, N), MatrixSymbol("S", N, N)
OF_TRANSPOSES = {
    "inverse": (Trace(SQUARE.T.I * SQUARE), {}, lambda s: np.trace(np.linalg.inv(s.T) @ s)),
    "logarithm": (log(Determinant(SQUARE.T)), {}, lambda s: np.log(np.linalg.det(s))),
    "defined": (
        Trace(TURNED.I),
        {"define": {TURNED[i, j]: SQUARE[j, i]}},
        lambda s: np.trace(np.linalg.inv(s)),
    ),
}


@pytest.mark.parametrize("name", OF_TRANSPOSES)
def test_matrices_under_other_names_of_their_axes_have_functions(name):
    objective, options, expected = OF_TRANSPOSES[name]
    square = drawn(3) + 4 * np.eye(3)
    model = gc.compile(objective, wrt=SQUARE, **options)
    early = model.value_and_grad(S=square)
    model.wait()
    for value, gradient in (early, model.value_and_grad(S=square)):
        assert value == pytest.approx(expected(square), rel=1e-13)
        step = 1e-6 * np.eye(9).reshape(9, 3, 3)
        slopes = [(expected(square + d) - expected(square - d)) / 2e-6 for d in step]
        np.testing.assert_allclose(gradient.ravel(), slopes, rtol=1e-6, atol=1e-8)
