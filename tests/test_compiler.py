"""The public calls: what comes back, what is shown, and that the stages meet."""

import ast
import inspect
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sympy import IndexedBase, Lambda, MatrixSymbol, Sum, Symbol, exp, log, symbols

import gradcompile as gc
from gradcompile import jit
from gradcompile.errors import ArgumentError, ModelError
from gradcompile.interpret import evaluate
from tests.oracle import exact
from tests.zoo import BY_NAME, arguments, call

ROOT = Path(__file__).parent.parent
N, D, C = symbols("N D C", integer=True, positive=True)
s, j, i = symbols("s j i", integer=True)
x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
W, b, lam = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,)), Symbol("lam")
u, w1, w0 = symbols("x w1 w0")
LECTURE = 1 + exp(w1 * u + w0)


def logit(s, i):
    return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]


def chance(s, c):
    return exp(logit(s, c)) / Sum(exp(logit(s, i)), (i, 0, C - 1))


SOFTMAX = -Sum(log(chance(s, gt[s])), (s, 0, N - 1)) + lam * (
    Sum(W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)) + Sum(b[i] ** 2, (i, 0, C - 1))
)


def data(samples=20, seed=0):
    chance = np.random.default_rng(seed)
    return {
        "W": chance.normal(size=(4, 3)),
        "b": chance.normal(size=3),
        "x": chance.normal(size=(samples, 4)),
        "gt": chance.integers(0, 3, samples),
        "lam": 0.1,
    }


def by_hand(W, b, x, gt, lam):
    """The softmax classifier of the lecture in NumPy, differentiated on paper."""
    z = x @ W + b
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows = np.arange(len(gt))
    value = -np.log(p[rows, gt]).sum() + lam * ((W**2).sum() + (b**2).sum())
    p[rows, gt] -= 1
    return value, (x.T @ p + 2 * lam * W, p.sum(axis=0) + 2 * lam * b)


@pytest.fixture(scope="module")
def lecture():
    return gc.compile(LECTURE, wrt=[u, w1, w0])


@pytest.fixture(scope="module")
def softmax():
    return gc.compile(
        SOFTMAX, wrt=[W, b], outputs={"p": Lambda((s, i), chance(s, i)), "size": Sum(b[i] ** 2, (i, 0, C - 1))}
    )


# What comes back ----------------------------------------------------------------------------------------------------


def test_lecture(lecture):
    value, gradients = lecture.value_and_grad(x=0.5, w1=2, w0=-1)
    assert (value, gradients) == (2.0, (2.0, 0.5, 1.0))
    assert all(type(number) is float for number in (value, *gradients))
    assert lecture.value(x=0.5, w1=2, w0=-1) == 2.0
    assert lecture.grad(x=0.5, w1=2, w0=-1) == (2.0, 0.5, 1.0)


def test_a_gradient_that_is_zero_everywhere_is_a_float() -> None:
    a, c, x = Symbol("a"), Symbol("c"), IndexedBase("x", shape=(N,))
    model = gc.compile(Sum(a * x[s], (s, 0, N - 1)), wrt=[a, c])
    for _ in range(2):  # the early answer, and the compiled one
        gradients = model.grad(a=1.0, c=2.0, x=np.ones(3))
        assert [(type(each), each) for each in gradients] == [(float, 3.0), (float, 0.0)]
        model.wait()


def test_softmax_classifier(softmax):
    given = data()
    value, (dW, db) = softmax.value_and_grad(**given)
    expected, (expected_dW, expected_db) = by_hand(**given)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-13)
    assert_allclose(dW, expected_dW, rtol=1e-11, atol=1e-12)
    assert_allclose(db, expected_db, rtol=1e-11, atol=1e-12)
    assert softmax.value(**given) == pytest.approx(value, rel=1e-14)
    for again, gradient in zip(softmax.grad(**given), (dW, db), strict=True):
        assert_allclose(again, gradient, rtol=1e-13)


def test_gradients_mirror_wrt():
    given = {"x": 0.5, "w1": 2.0, "w0": -1.0}
    assert gc.compile(LECTURE, wrt=w1).grad(**given) == 0.5
    assert gc.compile(LECTURE, wrt=[w1]).grad(**given) == (0.5,)
    assert gc.compile(LECTURE, wrt=(w0, w1)).grad(**given) == (1.0, 0.5)


def test_gradients_have_the_declared_shapes():
    v, A = MatrixSymbol("v", N, 1), MatrixSymbol("A", N, N)
    model = gc.compile((v.T * A * v)[0, 0], wrt=[v, A])
    dv, dA = model.grad(v=[1.0, 2.0], A=np.arange(4.0).reshape(2, 2))
    assert dv.shape == (2, 1)
    assert_array_equal(dA, [[1, 2], [2, 4]])


def test_float32(softmax):
    model = gc.compile(SOFTMAX, wrt=[W, b], dtype="float32")
    given = data()
    value, gradients = model.value_and_grad(**given)
    assert type(value) is float
    assert [gradient.dtype for gradient in gradients] == [np.float32, np.float32]
    expected, expected_gradients = softmax.value_and_grad(**given)
    assert value == pytest.approx(expected, rel=1e-5)
    for gradient, right in zip(gradients, expected_gradients, strict=True):
        assert_allclose(gradient, right, rtol=1e-4, atol=1e-5)


def test_results_are_fresh_arrays(softmax):
    given = data()
    first = softmax.grad(**given)
    kept = [gradient.copy() for gradient in first]
    softmax.grad(**data(seed=1))
    for gradient, copy in zip(first, kept, strict=True):
        assert_array_equal(gradient, copy)


def test_layouts_give_the_same_bits(softmax):
    given = data()
    value, gradients = softmax.value_and_grad(**given)
    frozen = given["x"].copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(given["x"]), given["x"].astype(">f8"), given["x"].tolist(), frozen):
        again, others = softmax.value_and_grad(**{**given, "x": other})
        assert again == value
        for gradient, copy in zip(gradients, others, strict=True):
            assert_array_equal(gradient, copy)


def test_many_threads_at_once(softmax):
    model = gc.compile(SOFTMAX, wrt=[W, b]).wait()  # before, some answers would be NumPy's, rounded in another order
    softmax.wait()
    answers, given = {}, [data(seed=k) for k in range(8)]

    def work(k):
        answers[k] = [model.value(**given[k]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(8):
        assert set(answers[k]) == {softmax.value(**given[k])}


@pytest.mark.parametrize(
    ("expression", "at", "value", "slope"),
    [
        (exp(u), 1000.0, np.inf, np.inf),
        (log(u), 0.0, -np.inf, np.inf),
        (1 / u, 0.0, np.inf, -np.inf),
        (log(u), -1.0, np.nan, -1.0),
        (sympy.sqrt(u), -1.0, np.nan, np.nan),
        (u ** sympy.Rational(1, 2) + sympy.sqrt(u) ** 3, 0.0, 0.0, np.inf),
        (exp(u), np.nan, np.nan, np.nan),
        (exp(-u), np.inf, 0.0, -0.0),
    ],
)
def test_scalars_follow_ieee_754(expression, at, value, slope):
    found, gradient = gc.compile(expression, wrt=u).value_and_grad(x=at)
    assert_array_equal([found, gradient], [value, slope])


def test_not_finite_arrays_flow_through(softmax):
    given = data()
    given["x"][3, 1] = np.nan
    value, (_, db) = softmax.value_and_grad(**given)
    assert np.isnan(value)
    assert np.isnan(db).all()


# What is accepted ---------------------------------------------------------------------------------------------------


def test_output_of_cse():
    expression = exp(u * w1) + sympy.sin(u * w1) * (u * w1 + w0)
    given = {"x": 0.3, "w1": 0.7, "w0": 0.2}
    plain = gc.compile(expression, wrt=[u, w1, w0]).value_and_grad(**given)
    found = gc.compile(sympy.cse(expression), wrt=[u, w1, w0]).value_and_grad(**given)
    assert found[0] == pytest.approx(plain[0], rel=1e-15)
    assert found[1] == pytest.approx(plain[1], rel=1e-14)


def test_model_is_accepted_as_it_is():
    model = gc.Model(LECTURE, wrt=(w1, w0))
    given = {"x": 0.5, "w1": 2, "w0": -1}
    assert gc.compile(model).grad(**given) == (0.5, 1.0)
    assert gc.compile(model, wrt=u).grad(**given) == 2.0
    assert gc.compile(model).model is model


def test_definitions_as_mapping_or_pairs():
    h = Symbol("h")
    for define in ({h: w1 * u + w0}, [(h, w1 * u + w0)]):
        assert gc.compile(1 + exp(h), wrt=[w1], define=define).grad(x=0.5, w1=2, w0=-1) == (0.5,)


@pytest.mark.parametrize("swapped", [False, True])
def test_elements_of_a_matrix_define_it(swapped):
    """The likelihood of a Gaussian process: a covariance by its formula, and its inverse and determinant."""
    y, K, scale = MatrixSymbol("y", N, 1), MatrixSymbol("K", N, N), Symbol("scale")
    lag = i - 2 * s if not swapped else s - 2 * i
    key = K[s, i] if not swapped else K[i, s]
    formula = exp(-lam * (u + lag) ** 2) + scale * sympy.KroneckerDelta(s, i)
    model = gc.compile(log(sympy.Determinant(K)) + (y.T * K.I * y)[0, 0], wrt=[lam, scale], define={key: formula})
    given = {"lam": 0.3, "scale": 1.5, "x": 0.2, "y": [[1.0], [-2.0], [0.5]]}

    def matrix(formula):
        at = formula.subs({lam: 0.3, scale: 1.5, u: 0.2})
        return np.array(
            [[float(at.subs(dict(zip(key.args[1:], (p, q), strict=True)))) for q in range(3)] for p in range(3)]
        )

    k, found = matrix(formula), evaluate(model.graph, given)
    solved = np.linalg.solve(k, given["y"])
    transposed = np.linalg.solve(k.T, given["y"])
    assert found["value"] == pytest.approx(np.log(np.linalg.det(k)) + (given["y"] * solved).sum(), rel=1e-12)
    slopes = [matrix(formula.diff(p)) for p in (lam, scale)]
    expected = [np.trace(np.linalg.solve(k, d)) - (transposed.T @ d @ solved)[0, 0] for d in slopes]
    assert [found["dlam"], found["dscale"]] == pytest.approx(expected, rel=1e-12)


def test_numbers_are_objectives():
    assert gc.compile(3, wrt=u).value_and_grad(x=1.0) == (3.0, 0.0)


def test_names_that_python_cannot_write():
    odd = [Symbol(name) for name in ("lambda", "x'", "self", "positional", "Δ w")]
    model = gc.compile(sympy.Mul(*odd), wrt=odd[0])
    given = {symbol.name: k + 2.0 for k, symbol in enumerate(odd)}
    assert model.value_and_grad(**given) == (720.0, 360.0)


# What is shown ------------------------------------------------------------------------------------------------------


def test_arguments_and_signature(softmax):
    assert softmax.arguments[:2] == ("W", "b")
    shown = "(*, W: 'real[D, C]', b: 'real[C]', x: 'real[N, D]', gt: 'int[N]', lam: 'real')"
    for function in (softmax.value, softmax.grad, softmax.value_and_grad):
        assert str(inspect.signature(function)) == shown
        assert "Parameters" in inspect.getdoc(function)
    assert str(softmax.__signature__) == shown


def test_repr_says_what_it_is():
    model = gc.compile(LECTURE, wrt=[u, w1])
    assert "x, w1, w0" in repr(model)
    assert "not compiled yet" not in repr(model)
    assert "not compiled yet" in repr(gc.compile(SOFTMAX * 2, wrt=[W, b]))


def test_ready_and_wait():
    model = gc.compile(SOFTMAX + b[0], wrt=[W, b])
    assert not model.ready
    assert model.wait() is model
    assert model.ready


def test_source_is_what_runs(softmax):
    ast.parse(softmax.source)
    function = softmax._program.answering.function("value_and_grad")
    assert function.__name__ == "value_and_grad"
    assert function.__self__.source == softmax.source  # what its machine code was made from


def test_source_is_what_numba_runs(softmax, monkeypatch):
    monkeypatch.setenv("GRADCOMPILE_COMPILER", "numba")
    inputs = softmax._program.arguments.names
    ranks = {"W": 2, "b": 1, "x": 2, "gt": 1, "lam": 0}
    types = [jit.Given("int64" if name == "gt" else "float64", ranks[name]) for name in inputs]
    function = jit.kernel(softmax.source, "value", types)  # the shorter one
    assert inspect.getsource(function.py_func) in softmax.source
    assert inspect.getsource(sys.modules[function.py_func.__module__]) == softmax.source


def test_listing_and_stages_print(lecture, softmax):
    for line in ("# forward", "# backward", "df = 1", "dx = w1*da"):
        assert line in lecture.listing
    for stage in (softmax.graph, softmax.lowered, softmax.plan):
        assert str(stage).strip()
    assert "samples along s" in str(softmax.plan)


def test_emit_is_the_listing_or_a_module(lecture):
    assert gc.emit(LECTURE, wrt=[u, w1, w0], target="listing") == lecture.listing
    for target in ("python", "numpy", "numba"):
        ast.parse(gc.emit(LECTURE, wrt=[u, w1, w0], target=target))


# Other calls --------------------------------------------------------------------------------------------------------


def test_predict(softmax):
    given = data()
    p = softmax.predict("p", **given)
    z = given["x"] @ given["W"] + given["b"]
    assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-13)
    assert_array_equal(softmax.predict("p", x=given["x"], W=given["W"], b=given["b"]), p)
    assert softmax.predict("size", b=given["b"]) == pytest.approx((given["b"] ** 2).sum())


def test_outputs_have_the_axes_of_their_lambda():
    v, T = IndexedBase("v", shape=(N,)), IndexedBase("T", shape=(N, D))
    outputs = {
        "given": Lambda((s, j), T[s, j] * v[s]),
        "turned": Lambda((j, s), T[s, j] * v[s]),
        "sum": Lambda((s,), Sum(T[s, j], (j, 0, D - 1))),
    }
    model = gc.compile(Sum(v[s] * T[s, j], (s, 0, N - 1), (j, 0, D - 1)), wrt=v, outputs=outputs)
    given = {"v": np.array([2.0, 3.0]), "T": np.arange(6.0).reshape(2, 3)}
    scaled = given["T"] * given["v"][:, None]
    assert_array_equal(model.predict("given", **given), scaled)
    assert_array_equal(model.predict("turned", **given), scaled.T)
    assert_array_equal(model.predict("sum", T=given["T"]), [3, 12])


def test_outputs_of_definitions_have_the_axes_of_their_lambda():
    y = IndexedBase("y", shape=(N, C))
    share = Lambda((s, i), exp(y[s, i]) / Sum(exp(y[s, j]), (j, 0, C - 1)))
    model = gc.compile(Sum(y[s, gt[s]], (s, 0, N - 1)), wrt=W, define={y[s, i]: logit(s, i)}, outputs={"p": share})
    given = data()
    z = given["x"] @ given["W"] + given["b"]
    p = model.predict("p", **{name: given[name] for name in ("x", "W", "b")})
    assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-13)


def test_ravel_with_scipy():
    X, Y = symbols("x y")
    fun, x0 = gc.compile((1 - X) ** 2 + 100 * (Y - X**2) ** 2, wrt=[X, Y]).ravel({"x": -1.2, "y": 1})
    assert_array_equal(x0, [-1.2, 1.0])
    assert fun(x0) == (pytest.approx(24.2), pytest.approx(np.array([-215.6, -88.0])))
    assert_allclose(minimize(fun, x0, jac=True, method="BFGS").x, [1, 1], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ravel_of_arrays(dtype):
    model, given = gc.compile(SOFTMAX, wrt=[W, b], dtype=dtype), data()
    rest = {name: given.pop(name) for name in ("x", "gt", "lam")}
    fun, x0 = model.ravel(given, **rest)
    assert x0.dtype == np.float64
    assert_allclose(x0, np.concatenate([given["W"].ravel(), given["b"]]), rtol=1e-6)
    value, flat = fun(x0)
    expected, (dW, db) = model.value_and_grad(**given, **rest)
    assert value == expected
    assert flat.dtype == np.float64
    assert_array_equal(flat, np.concatenate([dW.ravel(), db]))
    assert fun(x0)[1] is not flat
    parts = fun.unravel(x0)
    assert {name: part.shape for name, part in parts.items()} == {"W": (4, 3), "b": (3,)}
    assert minimize(fun, x0, jac=True).fun < value


@pytest.mark.parametrize("name", ["softmax", "factorisation"])
def test_minibatch_of_all_samples_is_the_gradient_per_sample(name):
    problem = BY_NAME[name].forms["indexed"]
    model = gc.compile(**arguments(problem))
    count = {"softmax": "gt", "factorisation": "r"}[name]
    samples = len(problem.inputs[count])
    estimate = call(model.minibatch_grad, problem, rows=np.arange(samples))
    for found, whole in zip(estimate, exact(problem).floats()[1].values(), strict=True):
        assert_allclose(found, whole / samples, rtol=1e-12, atol=1e-14)


# Start-up -----------------------------------------------------------------------------------------------------------

LAZY = """
import sys
import gradcompile as gc
from sympy import symbols
late = ("numba", "scipy.optimize", "rich", "llvmlite")
assert not [name for name in late if name in sys.modules], "import gradcompile brings in what it may not need"
x, w = symbols("x w")
model = gc.compile((x*w)**2, wrt=w)
model.listing, model.arguments, repr(model)
assert model.value_and_grad(x=2, w=3) == (36.0, 24.0)
assert not [name for name in late if name in sys.modules], "a model of scalars brings in what it does not need"
"""


def test_import_and_scalars_do_without_numba():
    subprocess.run([sys.executable, "-c", LAZY], check=True, cwd=ROOT)


# Numbers, straight to the kernel -----------------------------------------------------------------------------------


def bits(found):
    """Return every number of a result, exactly."""
    return [float(each).hex() for each in np.ravel([found[0], *np.ravel(found[1])])]


@pytest.mark.parametrize("wrt", [u, [u], [u, w1, w0]], ids=["one", "list of one", "three"])
def test_floats_take_a_shorter_way_to_the_same_answer(wrt, monkeypatch):
    model = gc.compile(LECTURE, wrt=wrt)
    point = {"x": 0.5, "w1": 2.0, "w0": -1.5}
    general = model.value_and_grad(**{name: np.float32(number) for name, number in point.items()})
    refused = []
    monkeypatch.setattr(model._program.arguments, "bind", lambda *_: refused.append(1))
    quick = model.value_and_grad(**point)
    assert bits(quick) == bits(general)
    assert type(quick[1]) is type(general[1])
    assert model.value(**point) == quick[0]
    assert model.grad(**point) == quick[1]
    assert not refused  # the checks were not needed


@pytest.mark.parametrize(
    "given",
    [
        {"x": 1, "w1": 2.0, "w0": -1},
        {"x": np.float64(1), "w1": np.float32(2), "w0": [-1]},
        {"x": True, "w1": 2.0, "w0": np.array(-1)},
    ],
    ids=["whole", "numpy", "other"],
)
def test_other_numbers_take_the_long_way(lecture, given):
    if isinstance(given["w0"], list):
        with pytest.raises(gc.errors.ShapeError, match="w0 is one number"):
            lecture.value(**given)
        given = given | {"w0": -1}
    found = lecture.value_and_grad(**given)
    assert bits(found) == bits(lecture.value_and_grad(x=1.0, w1=2.0, w0=-1.0))
    assert all(type(each) is float for each in (found[0], *found[1]))


def test_an_overflow_in_python_is_an_infinity(lecture):
    assert lecture.value_and_grad(x=1.0, w1=1.0, w0=1e4) == (np.inf, (np.inf, np.inf, np.inf))
    assert lecture.value(x=1.0, w1=1.0, w0=1e4) == np.inf


@pytest.mark.parametrize("name", ["missing", "calls", "given", "kernel", "lambda", "__class__", "\u00b5"])
def test_names_that_would_mean_something_else_in_the_call(name):
    strange = Symbol(name)
    model = gc.compile(exp(strange) * u, wrt=strange)
    assert model.value_and_grad(**{name: 0.0, "x": 2.0}) == (2.0, 2.0)


def test_a_default_may_be_left_out_among_floats():
    model = gc.compile(gc.parse("a: parameter\nc: constant = 3\nloss = a*c"))
    assert model.value(a=2.0) == 6.0
    assert model.value(a=2.0, c=4.0) == 8.0


@pytest.mark.parametrize(
    ("name", "to_do"),
    [
        ("gradient", "call grad"),
        ("hesian", "'hessian'"),
        ("params", r"fit\(...\).params"),
        ("xyz", "help"),
        ("jac", "jacobian"),
    ],
)
def test_a_wrong_attribute_says_which_is_right(name, to_do):
    model = gc.compile(Symbol("z") ** 2, wrt=Symbol("z"))
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'\n  to do: .*{to_do}"):
        getattr(model, name)
    assert not hasattr(model, name)
    assert not hasattr(model, "_repr_html_")


@pytest.mark.parametrize("z", [-1.5, 0.5])
@pytest.mark.parametrize("text", ["max(z, 0)", "where(z > 0, z, 2*z)", "abs(z)", "z", "floor(z) + z"])
def test_gradients_of_numbers_are_floats(text, z):
    model = gc.compile(gc.parse(f"z: parameter\nloss = {text}"))
    value, (slope,) = model.value_and_grad(z=z)
    assert [type(each) for each in (value, slope, *model.grad(z=z), model.value(z=z))] == [float] * 4


def test_a_model_that_is_not_compiled_says_that_it_is_to_be():
    with pytest.raises(AttributeError, match=r"gradcompile\.compile"):
        gc.parse("w: parameter\nloss = w**2").grad  # noqa: B018  (asking is the test)


@pytest.mark.parametrize(
    ("call", "words"), [("hvp", "hvp.v, "), ("jvp", "jvp.v, "), ("vjp", "vjp.u, "), ("ravel", "z")]
)
def test_what_comes_first_and_is_missing_is_told(call, words):
    model = gc.compile(Symbol("z") ** 2, wrt=Symbol("z"))
    with pytest.raises(ArgumentError, match=f"to do: .*{words}"):
        getattr(model, call)(z=2.0)


def test_minimisers_of_flat_arrays_are_told_of_ravel():
    with pytest.raises(ArgumentError, match=r"model\.ravel"):
        gc.compile(Symbol("z") ** 2, wrt=Symbol("z")).value_and_grad(np.ones(1))


def test_elements_of_arrays_of_sympy_are_taken_by_indices_and_labels():
    row, table = sympy.Array([w1, w0, w1 * w0]), sympy.Array([[w1, w0], [w1 * w0, 1]])
    loss = Sum(row[i] ** 2, (i, 0, 2)) + Sum(table[i, j] * (i + 2 * j), (i, 0, 1), (j, 0, 1))
    model = gc.compile(loss + Sum(row[gt[s]] * (s + 1), (s, 0, N - 1)), wrt=[w1, w0])
    value, slopes = model.value_and_grad(w1=1.5, w0=2.0, gt=[0, 2, 2])
    unrolled = w1**2 + w0**2 + (w1 * w0) ** 2 + w1 * w0 + 2 * w0 + 3 + w1 + 5 * w1 * w0
    at = {w1: 1.5, w0: 2.0}
    assert value == pytest.approx(float(unrolled.subs(at)), rel=1e-14)
    assert slopes == pytest.approx([float(unrolled.diff(w).subs(at)) for w in (w1, w0)], rel=1e-14)
    with pytest.raises(ModelError, match="more than two axes"):
        gc.compile(Sum(sympy.Array([[[w1, w0]]])[0, 0, i], (i, 0, 1)), wrt=w1)
