"""Bad input, through the public calls: one error of the package's own, that says what, where, expected, found, to do.

No text of Numba or SymPy reaches the user, and every error is also the builtin that a caller would guess.
"""

import traceback
import tracemalloc

import numpy as np
import pytest
import sympy
from scipy.sparse import csr_array
from sympy import Function, IndexedBase, Lambda, Order, Piecewise, Poly, Sum, Symbol, exp, log, symbols
from sympy.matrices.expressions.factorizations import LofCholesky

import gradcompile as gc
from gradcompile import errors
from gradcompile.arguments.copies import Copied
from gradcompile.compiler.matrices import Matrices

N, D, C, K = symbols("N D C K", integer=True, positive=True)
s, j, i, k = symbols("s j i k", integer=True)
x, gt, t = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,)), IndexedBase("t", shape=(N,))
W, b, w = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,)), IndexedBase("w", shape=(D,))
a, c, lam = symbols("a c lam")


def logit(s, i):
    return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]


SOFTMAX = -Sum(log(exp(logit(s, gt[s])) / Sum(exp(logit(s, i)), (i, 0, C - 1))), (s, 0, N - 1)) + lam * Sum(
    W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)
)
RIGHT = {
    "W": np.zeros((4, 3)),
    "b": np.zeros(3),
    "x": np.ones((10, 4)),
    "gt": np.arange(10) % 3,
    "lam": 0.1,
}


@pytest.fixture(scope="module")
def softmax():
    return gc.compile(SOFTMAX, wrt=[W, b])


INTERNALS = ("numba.", "nopython", "TypingError", "sympy/", "site-packages", "Traceback", "gradcompile/")


def refused(kind, call, *words):
    """Assert that a call ends in an error of this kind that says all this, and shows no internals."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert isinstance(error, errors.GradcompileError)
    said = str(error)
    for word in words:
        assert word in said, said
    assert not any(word in said for word in INTERNALS), said
    shown = "".join(traceback.format_exception(error))
    assert "During handling" not in shown
    assert "direct cause" not in shown
    return error


# Mathematics --------------------------------------------------------------------------------------------------------


def test_a_mask_is_no_list_of_rows():
    model = gc.compile((a * c - lam) ** 2, wrt=a, data=[c, lam])
    given = {"a": 1.0, "c": [1.0, 2.0], "lam": [1.0, 3.0]}
    for mask in ([False, True], np.array([False, True])):
        refused(errors.ArgumentError, lambda mask=mask: model.minibatch_grad(rows=mask, **given), "flatnonzero")
    assert model.minibatch_grad(rows=np.flatnonzero([False, True]), **given) == 2 * 2 * (2 - 3)


def test_a_direction_of_too_many_parts():
    model = gc.compile(a * c**2, wrt=[a, c])
    refused(errors.ArgumentError, lambda: model.hvp((1.0, 2.0, 3.0), a=1, c=2), "a tuple of 3", "v=(a, c)")


def test_unknown_function():
    mystery = Function("mystery")
    refused(errors.ModelError, lambda: gc.compile(1 + mystery(a), wrt=a), "'mystery'", "1", "^", "to do:")


def test_two_symbols_of_one_name():
    other = Symbol("a", positive=True)
    refused(errors.DuplicateNameError, lambda: gc.compile(a * other, wrt=a), "'a'", "to do:")
    refused(errors.DuplicateNameError, lambda: gc.compile(a * IndexedBase("a")[0], wrt=a), "'a'")


def test_parameter_listed_twice():
    refused(errors.DuplicateNameError, lambda: gc.compile(a * c, wrt=[a, c, a]), "a", "twice")


def test_definition_given_twice():
    refused(errors.DuplicateNameError, lambda: gc.compile(a * c, wrt=a, define=[(c, a**2), (c, a**3)]), "c", "twice")


@pytest.mark.parametrize("name", ["c", 3, sympy.sin(c), (c, a), None])
def test_definition_of_what_has_no_name(name):
    refused(errors.ArgumentError, lambda: gc.compile(a * c, wrt=a, define={name: a}), "cannot be defined", "y[s, i]")


@pytest.mark.parametrize("given", [a, 5, [a], "a"])
def test_what_does_not_say_what_is_what(given):
    for argument in ("define", "outputs"):
        refused(errors.ArgumentError, lambda: gc.compile(a, wrt=a, **{argument: given}), argument, "{name: expression}")  # noqa: B023  (called at once)


def test_definition_of_one_element():
    K = sympy.MatrixSymbol("K", D, D)
    for element in (W[0, i], W[i, i], K[0, i], K[i, i]):
        refused(errors.ModelError, lambda: gc.compile(a, wrt=a, define={element: a}), str(element), "[")  # noqa: B023  (called at once)


def test_output_whose_name_is_no_text():
    refused(errors.ArgumentError, lambda: gc.compile(a, wrt=a, outputs={c: a}), "outputs={c", '"c"')


def test_index_without_a_range():
    refused(errors.IndexRangeError, lambda: gc.compile(x[s, j] * w[j], wrt=w), "no range", "^", "to do:")


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (sympy.Trace(LofCholesky(sympy.MatrixSymbol("S", D, D))), "L*L.T is the matrix"),
        (sympy.Integral(sympy.exp(-a * c), (c, 0, 1)), ".doit()"),
        (Sum(a**k / sympy.factorial(k), (k, 0, sympy.oo)), "no longer count"),
        (w[k] ** 2, "data=[k] makes it a label"),
    ],
)
def test_what_to_do_instead(objective, words):
    refused(errors.ModelError, lambda: gc.compile(objective, wrt=a), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("g: column\nw: parameter[K]\nloss = w[g]", ["declare g: labels, not column"]),
        ("g: labels[N]\nw: parameter[K]\nloss = Sum(w[min(g[s], K - 1)], s)", ["where(g[s] < K, w[g[s]], 0)"]),
        ("w: parameter[K]\nloss = w[k]", ["did you mean 'K'?", "Sum(f, k)"]),
        ("w: parameter\rloss = w**2", ["U+000D", "end lines with a line feed"]),
    ],
)
def test_what_to_write_instead(text, words):
    refused(errors.ParseError, lambda: gc.parse(text), *words)


def test_index_with_two_ranges():
    twice = Sum(w[j], (j, 0, D - 1), (j, 0, C - 1)) + Sum(b[i], (i, 0, C - 1))
    refused(errors.IndexRangeError, lambda: gc.compile(twice, wrt=w), "j", "^")


def test_index_of_axes_of_two_lengths():
    """Allowed where the range fits into both axes, which only a call can tell."""
    model = gc.compile(Sum(w[j] * b[j], (j, 0, D - 1)), wrt=w)
    assert model.value(w=[1, 2], b=[3, 4, 5]) == 11.0
    refused(errors.ShapeError, lambda: model.value(w=[1, 2, 3], b=[4, 5]), "b", "D is 3 from w", "C is 2 from b")


def test_index_of_an_inner_sum_may_bear_the_same_letter():
    nested = Sum(w[j] * Sum(t[j], (j, 0, N - 1)), (j, 0, D - 1))
    assert gc.compile(nested, wrt=w).value_and_grad(w=[1, 2], t=[3, 4, 5]) == (36.0, pytest.approx([12, 12]))


def test_index_beyond_its_axis():
    refused(errors.IndexRangeError, lambda: gc.compile(Sum(w[j], (j, 0, D)), wrt=w), "w", "D")


def test_wrong_number_of_indices():
    refused(
        errors.ModelError, lambda: gc.compile(Sum(IndexedBase("q")[j] * IndexedBase("q")[j, j], (j, 0, 3)), wrt=a), "q"
    )


def test_objective_that_lists_what_is_no_number():
    matrix = sympy.Matrix([a, a**2])
    refused(errors.ModelError, lambda: gc.compile([a, matrix], wrt=a), "component", "list its elements")


@pytest.mark.parametrize("objective", ["a**2", None, np.ones(3), print, True])
def test_objective_that_is_no_mathematics(objective):
    refused(errors.ArgumentError, lambda: gc.compile(objective, wrt=a), "objective", "SymPy expression")


@pytest.mark.parametrize("wrt", [None, [], "a", ["a"], 3, [a, W[j, i]], [a + c], {"a": 1}.items()])
def test_wrt_that_lists_no_variables(wrt):
    refused(
        errors.ArgumentError, lambda: gc.compile(a * c, wrt=wrt), "expected:", "to do:" if wrt in (None, []) else ""
    )


def test_element_in_wrt_names_the_array():
    refused(errors.ArgumentError, lambda: gc.compile(SOFTMAX, wrt=[W[0, 1]]), "W[0, 1]", "the whole array: W")


@pytest.mark.parametrize("dtype", ["int32", "float16", "complex128", "double precision", None.__class__])
def test_dtype_that_has_no_kernels(dtype):
    refused(errors.ArgumentError, lambda: gc.compile(a**2, wrt=a, dtype=dtype), "float64 or float32", "dtype=")


def test_target_that_does_not_exist():
    refused(errors.ArgumentError, lambda: gc.emit(a**2, wrt=a, target="fortran"), "listing or python", "'fortran'")


def test_function_without_a_derivative():
    refused(errors.ModelError, lambda: gc.compile(sympy.polygamma(a, c), wrt=[a, c]), "polygamma", "^")
    refused(errors.ModelError, lambda: gc.compile(sympy.zeta(a, c), wrt=c), "zeta", "^", "to do:")


def test_derivative_with_respect_to_labels():
    refused(errors.NonDifferentiableError, lambda: gc.compile(SOFTMAX, wrt=[W, gt]), "gt", "index")


@pytest.mark.parametrize("objective", [a * sympy.I, sympy.zoo, a + sympy.nan])
def test_numbers_that_are_not_real(objective):
    refused(errors.ModelError, lambda: gc.compile(objective, wrt=a))


def test_circular_definitions():
    p, q = symbols("p q")
    refused(errors.ModelError, lambda: gc.compile(a * p, wrt=a, define={p: q + 1, q: p + 1}), "p", "q")


# A parameter that does not occur is no mistake -----------------------------------------------------------------------


def test_parameter_that_does_not_occur_has_gradient_zero():
    model = gc.compile(a**2, wrt=[a, c])
    assert model.value_and_grad(a=3.0, c=5.0) == (9.0, (6.0, 0.0))
    with_arrays = gc.compile(Sum(w[j] ** 2, (j, 0, D - 1)), wrt=[w, W, c])
    dw, dW, dc = with_arrays.grad(w=[1.0, 2.0], W=np.ones((2, 3)), c=1.0)
    assert dw.tolist() == [2.0, 4.0]
    assert dW.tolist() == [[0.0] * 3] * 2
    assert dc == 0.0
    da, dw = gc.compile(a**2, wrt=[a, w]).grad(a=2.0, w=[1.0, 2.0])
    assert da == 4.0
    assert isinstance(dw, np.ndarray)
    assert dw.tolist() == [0.0, 0.0]


# Arguments ----------------------------------------------------------------------------------------------------------

CALLS = {
    "missing": ({"b": ...}, errors.ArgumentError, ["'b' is missing", "axes (C,)", "b=..."]),
    "unknown": ({"bias": 1.0}, errors.UnknownNameError, ["no argument 'bias'", "W[D, C], b[C]", "to do:"]),
    "misspelt": ({"gt": ..., "GT": RIGHT["gt"]}, errors.UnknownNameError, ["'GT'", "did you mean 'gt'?"]),
    "rank": ({"x": np.ones(3)}, errors.ShapeError, ["x has axes (N, D)", "shape (3,)", "N is 10 from gt"]),
    "shape": ({"x": np.ones((10, 3))}, errors.ShapeError, ["x has axes (N, D)", "W about D", "D is 4 from W"]),
    "text": ({"b": ["a", "b", "c"]}, errors.ArgumentError, ["b does not hold real numbers", "text"]),
    "rank of labels": ({"gt": np.zeros((10, 1, 1))}, errors.ShapeError, ["give gt 1 axis"]),
    "labels in words": (
        {"gt": ["a", "b"] * 5},
        errors.ArgumentError,
        ["text", "numpy.unique(gt, return_inverse=True)[1]"],
    ),
    "sparse": ({"x": csr_array(np.eye(10, 4))}, errors.ArgumentError, ["csr_array", "give x.toarray()"]),
    "objects": ({"b": [None, 1, 2]}, errors.ArgumentError, ["b does not hold real numbers", "objects", "fill what"]),
    "missing in pandas": ({"b": np.array([type("NAType", (), {})(), 1, 2])}, errors.ArgumentError, ["fill what is"]),
    "complex": ({"lam": 1 + 2j}, errors.ArgumentError, ["lam does not hold real numbers", "(1+2j)", "give one number"]),
    "labels out of range": ({"gt": np.arange(10) % 4}, errors.LabelError, ["gt[3] = 3", "0 to 2", "axis C"]),
    "labels that are not whole": ({"gt": np.arange(10) / 2}, errors.LabelError, ["gt[1] = 0.5", "whole"]),
    "empty": ({"x": np.ones((0, 4)), "gt": []}, errors.DataError, ["empty", "N"]),
}


@pytest.mark.parametrize("call", ["value", "grad", "value_and_grad"])
@pytest.mark.parametrize("mistake", CALLS)
def test_argument(softmax, mistake, call):
    changed, kind, words = CALLS[mistake]
    given = {name: value for name, value in {**RIGHT, **changed}.items() if value is not ...}
    refused(kind, lambda: getattr(softmax, call)(**given), *words)


def test_arguments_without_a_name(softmax):
    refused(errors.ArgumentError, lambda: softmax.value(*RIGHT.values()), "by name", "5 arguments", "name=value")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused_in_training_alone(softmax, number):
    spoilt = RIGHT["x"].copy()
    spoilt[7, 2] = number
    data = {"x": spoilt, "gt": RIGHT["gt"], "lam": 0.1}
    start = {"W": RIGHT["W"], "b": RIGHT["b"]}
    refused(
        errors.DataError, lambda: softmax.fit(**data, init=start, progress=False), f"x has {number} in row 7", "x[7, 2]"
    )
    assert not np.isfinite(softmax.value(**data, **start))


def test_series_shorter_than_its_window():
    series, window = IndexedBase("series", shape=(N,)), IndexedBase("window", shape=(K,))
    smooth = Sum(Sum(series[i + k] * window[k], (k, 0, K - 1)) ** 2, (i, 0, N - K))
    model = gc.compile(smooth, wrt=window)
    assert model.value(series=[1, 2, 3], window=[1, 1]) == 34.0
    refused(
        errors.ShapeError,
        lambda: model.value(series=[1, 2], window=[1, 1, 1, 1]),
        "N is 2 from series",
        "K is 4 from window",
    )


# Other calls --------------------------------------------------------------------------------------------------------


def test_output_that_was_not_named(softmax):
    refused(errors.UnknownNameError, lambda: softmax.predict("p", x=RIGHT["x"]), "no output 'p'", "outputs={'p': ...}")


def test_start_of_ravel(softmax):
    rest = {name: RIGHT[name] for name in ("x", "gt", "lam")}
    refused(errors.UnknownNameError, lambda: softmax.ravel({"V": 1}, **rest), "'V'", "W, b")
    refused(errors.ArgumentError, lambda: softmax.ravel({"W": RIGHT["W"]}, **rest), "'b' is missing")
    fun, x0 = softmax.ravel({"W": RIGHT["W"], "b": RIGHT["b"]}, **rest)
    refused(errors.ShapeError, lambda: fun(x0[:-1]), "(15,)", "(14,)")


def test_gradient_check_where_the_objective_is_not_finite():
    model = gc.compile(log(a), wrt=a)
    refused(errors.DataError, lambda: gc.check_grad(model, a=0.0), "-inf", "another point")


def test_branch_of_a_piecewise_is_not_an_error():
    safe = Piecewise((log(a), a > 0), (0, True))
    assert gc.compile(safe, wrt=a).value_and_grad(a=-1.0) == (0.0, 0.0)


# Layouts ------------------------------------------------------------------------------------------------------------

POINTS = np.random.default_rng(0).normal(size=(40, 6))


def unaligned(array):
    """The same numbers one byte beyond a multiple of eight."""
    room = np.zeros(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def mapped(array, tmp_path, mode):
    np.save(tmp_path / "x.npy", array)
    return np.load(tmp_path / "x.npy", mmap_mode=mode)


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# What is given, and what the plan says of a copy ("" where there is none).
LAYOUTS = {
    "C order": (lambda a, _: a.copy(), ""),
    "read-only": (lambda a, _: locked(a), ""),
    "memory-mapped": (lambda a, path: mapped(a, path, "r+"), ""),
    "memory-mapped, read-only": (lambda a, path: mapped(a, path, "r"), ""),
    "Fortran order": (lambda a, _: np.asfortranarray(a), "Fortran order"),
    "every second row": (lambda a, _: np.repeat(a, 2, axis=0)[::2], "not next to each other"),
    "backwards": (lambda a, _: a[::-1, ::-1].copy()[::-1, ::-1], "not next to each other"),
    "swapped bytes": (lambda a, _: a.astype(a.dtype.newbyteorder()), "another machine"),
    "not aligned": (lambda a, _: unaligned(a), "not aligned"),
    "a list": (lambda a, _: a.tolist(), ""),
}


@pytest.fixture(scope="module")
def squares():
    return gc.compile(Sum((Sum(x[s, j] * w[j], (j, 0, D - 1)) - t[s]) ** 2, (s, 0, N - 1)), wrt=w)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_an_array_changes_nothing_but_a_copy(squares, layout, tmp_path):
    arrange, says = LAYOUTS[layout]
    given = arrange(POINTS, tmp_path)
    value, gradient = squares.value_and_grad(x=given, w=np.ones(6), t=np.ones(40))
    rest = POINTS @ np.ones(6) - 1
    assert value == pytest.approx(rest @ rest, rel=1e-13)
    np.testing.assert_allclose(gradient, 2 * rest @ POINTS, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(given), POINTS)  # nothing was written to it
    copied = [line for line in str(squares.plan).splitlines() if "copied in every call" in line]
    assert (says in copied[0] and copied[0].startswith("x ")) if says else not copied


def test_a_call_finds_no_words_for_its_copies(squares, monkeypatch):
    """The plan does, when it is printed: in a short call they would take longer than the kernel."""
    words, say = [], Copied.__str__
    monkeypatch.setattr(Copied, "__str__", lambda copied: words.append(copied) or say(copied))
    squares.value(x=POINTS.astype(np.float32), w=np.ones(6), t=np.ones(40))
    assert not words
    assert "x is copied in every call, since it is float32 and not float64" in str(squares.plan)
    assert [copied.name for copied in words] == ["x"]


@pytest.mark.parametrize("arrange", [np.float32, lambda x: np.asfortranarray(x[::-1].astype(">f8"))])
def test_large_arrays_are_laid_out_some_samples_at_a_time(squares, arrange):
    random = np.random.default_rng(0)
    x, rest = arrange(random.normal(size=(1_000_000, 6))), {"w": random.normal(size=6), "t": np.ones(1_000_000)}
    plain = np.ascontiguousarray(x, np.float64)
    value, gradient = squares.value_and_grad(x=plain, **rest)
    squares.wait()
    value, gradient = squares.value_and_grad(x=plain, **rest)
    tracemalloc.start()
    found, slope = squares.value_and_grad(x=x, **rest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found, slope.tobytes()) == (value, gradient.tobytes())
    assert peak < plain.nbytes / 2
    assert "x is copied in every call" in str(squares.plan)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "int32", "float16", "float32", ">f4", "longdouble"])
def test_numbers_of_any_dtype_are_cast(squares, dtype):
    points = (POINTS > 0).astype(dtype)
    value = squares.value(x=points, w=np.ones(6, np.float32), t=[1] * 40)
    rest = (POINTS > 0).sum(axis=1) - 1.0
    assert value == rest @ rest


def test_arrays_larger_than_memory_are_an_error_in_words(squares):
    """A broadcast array takes no memory; its copy would be larger than any address space."""
    huge = np.broadcast_to(1.0, (2**50, 6))
    refused(
        errors.TooLargeError,
        lambda: squares.value(x=huge, w=np.ones(6), t=np.broadcast_to(0.0, (2**50,))),
        "has to be copied",
        "PiB",
        "to do:",
    )


def test_sizes_whose_product_is_no_longer_an_integer_of_the_machine(squares):
    beyond = np.broadcast_to(np.int8(1), (2**31, 2**31))  # 2**62 bytes, and eight times that as float64
    refused(errors.TooLargeError, lambda: squares.value(x=beyond, w=np.ones(6), t=np.ones(3)), "x has to be copied")


def test_computed_arrays_larger_than_memory_are_an_error_in_words(monkeypatch):
    """A kernel that finds no memory: where memory is promised freely, asking for too much of it would be no test."""
    model = gc.compile(Sum(w[j], (j, 0, D - 1)), wrt=w)

    def kernel(*_):
        raise MemoryError("Allocation failed (probably too large).")

    monkeypatch.setitem(model._program._functions, "value", kernel)
    refused(errors.TooLargeError, lambda: model.value(w=np.ones(7)), "does not fit into memory", "D = 7")


@pytest.mark.parametrize("matrix", ["hessian", "jacobian"])
def test_matrices_larger_than_memory_are_an_error_in_words(matrix, monkeypatch):
    objective = Sum(w[j] ** 3, (j, 0, D - 1)) if matrix == "hessian" else Lambda(j, w[j] ** 3)
    model = gc.compile(objective, wrt=w)
    call = getattr(model, matrix)

    def none(*_):
        raise MemoryError

    monkeypatch.setattr(Matrices, "_dense", none)
    refused(errors.TooLargeError, lambda: call(w=np.ones(7)), f"the {matrix} does not fit", "D = 7", "sparse=True")
    assert call(w=np.ones(3), sparse=True).nnz == 3


TEXT = "w: parameter\nloss = w**2\n"


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: gc.parse(TEXT, limits={"nesting": 3}), "gradcompile.Limits(nesting=400)"),
        (lambda: gc.parse(TEXT, loss=None), "loss=None"),
        (lambda: gc.parse("line.model"), "gradcompile.load('line.model')"),
        (lambda: gc.load(TEXT), "gradcompile.parse(text)"),
        (lambda: gc.Limits(nesting="3"), "a whole number from 1"),
        (lambda: gc.Limits(names=-1), "names=-1"),
        (lambda: gc.compile(a**2, wrt=a).fit(init=gc.compile(a**2, wrt=a).fit(progress=False)), "init=result.params"),
    ],
)
def test_texts_files_and_what_goes_with_them(call, hint):
    refused(errors.ArgumentError, call, hint)


@pytest.mark.parametrize(("form", "hint"), [(Poly(a**2, a), ".as_expr()"), (a + Order(a**2), ".removeO()")], ids=str)
def test_what_sympy_makes_of_an_expression(form, hint):
    refused(errors.UnsupportedError, lambda: gc.compile(form, wrt=a), hint)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_that_are_not_finite_flow_through_as_the_standard_says(number, dtype):
    model = gc.compile(Sum(exp(-t[s] * a), (s, 0, N - 1)), wrt=a, dtype=dtype)
    data = np.array([0.5, number, 1.0])
    value, gradient = model.value_and_grad(t=data, a=1.0)
    with np.errstate(all="ignore"):
        terms = np.exp(-data)
        expected = terms.sum(), (-data * terms).sum()
    np.testing.assert_allclose([value, gradient], expected, rtol=1e-6)


# Directions, cotangents and flat arrays -------------------------------------------------------------------------------

NO_NUMBERS = {
    "complex": (np.ones(3) * 1j, "complex numbers"),
    "text": (["1", "2", "3"], "text"),
    "dates": (np.ones(3, "M8[s]"), "dates"),
    "objects": ([None] * 3, "Python objects"),
    "ragged": ([[1.0, 2.0], [3.0]], "unequal lengths"),
    "masked": (np.ma.array(np.ones(3), mask=[1, 0, 0]), "masked entries"),
}


@pytest.fixture(scope="module")
def cubic():
    model = gc.compile(gc.parse("x: data[N]\nw: parameter[D]\nloss = Sum((Sum(w[j]**3, j) - x[n])**2, n)"))
    return model.wait()


@pytest.mark.parametrize("name", NO_NUMBERS)
@pytest.mark.filterwarnings("error")  # NumPy drops imaginary parts with a warning alone
def test_what_holds_no_numbers_is_no_direction(cubic, name):
    given, found = NO_NUMBERS[name]
    fun, _ = cubic.ravel({"w": np.ones(3)}, x=[1.0, 2.0])
    for call in (lambda: cubic.hvp(given, w=np.ones(3), x=[1.0, 2.0]), lambda: fun(given)):
        with pytest.raises(errors.ArgumentError, match="real numbers") as caught:
            call()
        assert found in str(caught.value)


def test_no_direction_is_missing_and_no_flat_array_has_no_numbers(cubic):
    fun, _ = cubic.ravel({"w": np.ones(3)}, x=[1.0, 2.0])
    with pytest.raises(errors.ArgumentError, match="the direction v is missing"):
        cubic.hvp(None, w=np.ones(3), x=[1.0, 2.0])
    with pytest.raises(errors.ArgumentError, match=r"real numbers[\s\S]*None"):
        fun(None)


def test_directions_and_flat_arrays_that_are_not_aligned_are_copied(cubic):
    w, x, v = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0]), np.array([3.0, 0.1, -0.7])
    cubic.hvp(v, w=w, x=x)
    cubic.wait()
    np.testing.assert_array_equal(cubic.hvp(unaligned(v), w=w, x=x), cubic.hvp(v, w=w, x=x))
    fun, _ = cubic.ravel({"w": np.ones(3)}, x=x)
    np.testing.assert_array_equal(fun(unaligned(w))[1], fun(w)[1])


# What is no model, no file, no setting --------------------------------------------------------------------------------

LINE = gc.compile(gc.parse("x: data[N]\nw: parameter\nloss = Sum((w*x[n] - 1)**2, n)"))
POINTS_OF_LINE = {"x": [1.0, 2.0, 3.0]}
ADVICE = {
    "bytes": (lambda _: gc.parse(b"loss = w"), "decode it"),
    "no text": (lambda _: gc.parse(x), "gradcompile.compile takes"),
    "condition": (lambda _: gc.compile(Symbol("q") > 0, wrt=Symbol("q")), "Piecewise"),
    "definition as text": (lambda _: gc.compile(Symbol("p"), wrt=Symbol("p"), define={"q": "x + 1"}), "q is text"),
    "no path": (lambda _: gc.load(None), "NoneType"),
    "no file": (lambda p: gc.load(p / "lime.model"), "did you mean line.model?"),
    "no archive": (lambda p: gc.load_model(p / "line.npz"), "no such name"),
    "no folder": (lambda p: LINE.save(p / "there" / "line.npz"), "make the folder"),
    "folder": (lambda p: LINE.save(p), "is a folder"),
    "folder of models": (lambda p: gc.load(p), "is a folder"),
    "folder of archives": (lambda p: gc.load_model(p), "name a file in it"),
    "known is text": (lambda p: LINE.save(p / "line.npz", {"w": "a"}), "real numbers"),
    "sizes": (lambda _: gc.emit(Symbol("q"), wrt=Symbol("q"), sizes="N=2"), "dict"),
    "init": (lambda _: LINE.fit(**POINTS_OF_LINE, init=[1.0]), "dict"),
    "rate": (lambda _: LINE.fit(**POINTS_OF_LINE, lr=0.1), "optimizer=gc.SGD(0.1)"),
    "misspelt setting": (lambda _: LINE.fit(**POINTS_OF_LINE, epoch=3), "did you mean 'epochs'?"),
    "misspelt data": (lambda _: LINE.fit(x1=[1.0]), "did you mean 'x'?"),
    "letter": (lambda _: gc.parse("w: parameter[3]\nloss = w[i]"), "Sum(f, i)"),
    "generator": (lambda _: gc.parse("w: parameter[3]\nloss = Sum(w[i] for i in D)"), "Sum(f, i)"),
}


@pytest.mark.parametrize("name", ADVICE)
def test_what_is_expected_what_is_found_and_what_to_do(name, tmp_path):
    (tmp_path / "line.model").write_text("w: parameter\nloss = w")
    call, told = ADVICE[name]
    with pytest.raises(gc.GradcompileError) as caught:
        call(tmp_path)
    assert told in str(caught.value)
    error = caught.value
    assert error.expected
    assert error.hint
    assert error.found or error.text  # or a caret


def test_data_to_validate_on_are_of_the_model_that_the_user_knows():
    with pytest.raises(errors.UnknownNameError) as caught:
        LINE.fit(**POINTS_OF_LINE, valid={"q": 1})
    assert caught.value.expected == "w, x[N]"


def test_a_missing_file_is_pythons_error_too(tmp_path):
    with pytest.raises(FileNotFoundError):
        gc.load(tmp_path / "line.model")
