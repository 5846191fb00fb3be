"""Arguments: everything that NumPy accepts is accepted, and every mistake is told in the user's own names."""

import inspect
import timeit
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import sympy
from numpy.testing import assert_array_equal

import gradcompile as gc
from gradcompile.arguments import Arguments
from gradcompile.errors import ArgumentError, DataError, LabelError, ShapeError, UnknownNameError
from gradcompile.ir import Builder, Graph, Input, Requirement, Size

N, D, C, K = (Size.of(name) for name in "NDCK")


def graph(*inputs, outputs=lambda builder: {}, requirements=()):
    builder = Builder()
    return Graph(builder, {i.name: i for i in inputs}, outputs(builder), requirements=requirements)


def softmax_reads(builder):
    """Return an output that reads W[:, gt[s]], as the softmax classifier does."""
    table = builder.input("W", SOFTMAX[0].axes)
    labels = builder.input("gt", SOFTMAX[3].axes, "int")
    return {"value": builder.read(table, (builder.iota(table.axes[0]), labels))}


SOFTMAX = (
    Input("W", (D, C), role="parameter"),
    Input("b", (C,), role="parameter"),
    Input("x", (N, D), role="data"),
    Input("gt", (N,), "int", "labels"),
    Input("lam"),
)
RIGHT = {
    "W": np.arange(12.0).reshape(4, 3),
    "b": np.ones(3),
    "x": np.arange(40.0).reshape(10, 4),
    "gt": np.arange(10) % 3,
    "lam": 0.5,
}


@pytest.fixture
def softmax():
    return Arguments(graph(*SOFTMAX, outputs=softmax_reads))


def one(declared, value, dtype="float64"):
    """Bind a single argument."""
    return Arguments(graph(declared), dtype).bind({declared.name: value})[0][0]


# What is accepted ---------------------------------------------------------------------------------------------------


def test_arguments_come_in_call_order_with_their_sizes(softmax):
    arguments, sizes = softmax.bind(dict(reversed(RIGHT.items())))
    assert sizes == {"N": 10, "D": 4, "C": 3}
    assert all(argument is RIGHT[name] for argument, name in zip(arguments, softmax.names, strict=True))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "given",
    [
        [[1, 2, 3], [4, 5, 6]],
        ((1, 2, 3), (4, 5, 6)),
        [range(1, 4), range(4, 7)],
        np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int64),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float16),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=np.longdouble),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=">f8"),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=">i4"),
        np.asfortranarray([[1.0, 2, 3], [4, 5, 6]]),
        np.array([[9.0, 1, 9, 2, 9, 3], [9, 4, 9, 5, 9, 6]])[:, 1::2],
        np.array([[4.0, 5, 6], [1, 2, 3]])[::-1],
        np.ma.masked_array([[1.0, 2, 3], [4, 5, 6]]),
        memoryview(np.array([[1.0, 2, 3], [4, 5, 6]])),
    ],
    ids=lambda given: f"{type(given).__name__}-{getattr(given, 'dtype', '')}",
)
def test_whatever_numpy_accepts(given, dtype):
    array = one(Input("x", (N, D)), given, dtype)
    assert type(array) is np.ndarray
    assert array.dtype == dtype
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])


class ArrayLike:
    """As a data frame or a tensor: something that knows how to become an array."""

    def __array__(self, dtype=None, copy=None):
        return np.array([1, 2, 3], dtype)


def test_array_likes_and_booleans():
    assert_array_equal(one(Input("x", (N,)), ArrayLike()), [1.0, 2.0, 3.0])
    assert_array_equal(one(Input("x", (N,)), [True, False]), [1.0, 0.0])


def test_unaligned_array_is_copied():
    unaligned = np.frombuffer(b"\0" * 33, np.uint8)[1:].view(np.float64)
    assert not unaligned.flags.aligned
    assert one(Input("x", (N,)), unaligned).flags.aligned


def test_memory_map_and_read_only_array_are_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(one(Input("x", (N, D)), mapped), mapped)
    array = np.arange(3.0)
    array.flags.writeable = False
    assert one(Input("x", (N,)), array) is array


@pytest.mark.parametrize("given", [2, 2.0, True + 1, np.float32(2), np.array(2), np.int8(2), Fraction(2), "lists no"])
def test_scalars_are_python_floats(given):
    if isinstance(given, str):
        with pytest.raises(ArgumentError, match="real numbers"):
            one(Input("lam"), given)
    else:
        number = one(Input("lam"), given)
        assert type(number) is float
        assert number == 2.0


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.float64, np.longdouble, np.array])
def test_real_numbers_are_taken_without_a_second_look(kind, monkeypatch):
    """In small models it would cost more than the kernel."""
    monkeypatch.setattr(Arguments, "_cast", None)
    [found], _ = Arguments(graph(Input("lam"))).bind({"lam": kind(0.25)})
    assert type(found) is float
    assert found == 0.25


def test_integer_beyond_all_floats_is_infinite():
    assert one(Input("lam"), 10**400) == np.inf
    assert one(Input("lam"), -(10**400)) == -np.inf
    assert one(Input("lam"), 2**70) == 2.0**70


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([Fraction(1, 3), 2], [1 / 3, 2.0]),
        (np.array([1, 2], dtype=object), [1.0, 2.0]),
        ([Decimal("0.1"), Decimal(2)], [0.1, 2.0]),
        ([2**70, -(10**400)], [2.0**70, -np.inf]),
    ],
)
def test_numbers_of_python_in_arrays(given, expected):
    assert_array_equal(one(Input("x", (N,)), given), expected)
    assert_array_equal(one(Input("x", (N, D)), [given, given]), [expected, expected])
    assert one(Input("x"), given[0]) == expected[0]


class Tensor:
    """As one of PyTorch: how it is brought to NumPy depends on where and how it is kept."""

    def __init__(self, device="cpu", dtype="torch.float64", is_sparse=False):
        self.device, self.dtype, self.is_sparse = device, dtype, is_sparse

    def detach(self):
        return self

    def __array__(self, dtype=None, copy=None):
        raise TypeError


@pytest.mark.parametrize(
    ("given", "to_do"),
    [
        (Tensor(), "give x.detach().numpy()"),
        (Tensor("cuda:0", "torch.bfloat16", True), "give x.detach().cpu().to_dense().float().numpy()"),
        (np.array([1j, 2.0]), "give x.real"),
        ([[1, 2], [3]], "give x rows of one length"),
        (np.ones((3, 1)), "give x 1 axis, as numpy.squeeze(x) has"),
        (np.ones((2, 3)), "give x 1 axis"),
    ],
)
def test_what_to_do_with_what_does_not_fit(given, to_do):
    with pytest.raises((ArgumentError, ShapeError)) as caught:
        one(Input("x", (N,)), given)
    assert caught.value.hint.startswith(to_do)
    assert ("squeeze" in caught.value.hint) == ("squeeze" in to_do)


def test_labels_that_are_objects_of_text_are_to_be_numbered():
    with pytest.raises(ArgumentError, match=r"numpy.unique\(g, return_inverse=True\)"):
        one(Input("g", (N,), "int"), np.array(["a", "b"], dtype=object))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.uint64, ">i2", np.float32, np.float64, bool])
def test_labels_are_int64(dtype):
    labels = one(Input("gt", (N,), "int"), np.array([0, 1, 1], dtype))
    assert labels.dtype == np.int64
    assert_array_equal(labels, [0, 1, 1])


def test_vector_is_taken_for_a_column_or_a_row():
    column = Input("t", (N, Size.of(1)))
    vector = np.arange(3.0)
    assert one(column, vector).shape == (3, 1)
    assert np.shares_memory(one(column, vector), vector)
    assert one(Input("t", (Size.of(1), N)), vector).shape == (1, 3)
    assert one(Input("t", (Size.of(1), Size.of(1))), 2.5).shape == (1, 1)


def test_number_beyond_float32_is_an_infinity_without_a_warning():
    assert_array_equal(one(Input("x", (N,)), [1e300, -1e300], "float32"), [np.inf, -np.inf])


def test_defaults_fill_in():
    arguments = Arguments(graph(Input("a"), Input("lam", default=0.25)))
    assert arguments.bind({"a": 1.0})[0] == [1.0, 0.25]
    assert arguments.bind({"a": 1.0, "lam": 2})[0] == [1.0, 2.0]


def test_names_that_python_cannot_write():
    odd = ["self", "given", "lambda", "x'", "Δ w", "declared"]
    arguments = Arguments(graph(*map(Input, odd)))
    assert arguments.bind({name: k for k, name in enumerate(odd)})[0] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert list(arguments.signature.inspected().parameters) == ["self", "given", "declared", "inputs"]


def test_signature_shows_axes_and_defaults():
    shown = str(Arguments(graph(Input("x", (N, D)), Input("lam", default=0.5))).signature.inspected())
    assert inspect.Parameter.KEYWORD_ONLY.name
    assert shown == "(*, x: 'real[N, D]', lam: 'real' = 0.5)"


# Sizes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "given", "sizes"),
    [
        ({"x": (N - K + 1,), "w": (K,)}, {"x": 8, "w": 3}, {"N": 10, "K": 3}),
        ({"x": (N + K,), "w": (K * 2,)}, {"x": 8, "w": 6}, {"N": 5, "K": 3}),
        ({"x": (N - K,), "y": (K - D,), "z": (D,)}, {"x": 1, "y": 2, "z": 3}, {"N": 6, "K": 5, "D": 3}),
        ({"x": (N,), "y": (N - 1,)}, {"x": 4, "y": 3}, {"N": 4}),
        ({"y": (N - 1,), "x": (N,)}, {"x": 4, "y": 3}, {"N": 4}),
        ({"x": (N * -1 + 7,)}, {"x": 3}, {"N": 4}),
    ],
)
def test_affine_sizes_are_solved(shapes, given, sizes):
    arguments = Arguments(graph(*(Input(name, shape) for name, shape in shapes.items())))
    assert arguments.bind({name: np.ones(length) for name, length in given.items()})[1] == sizes


@pytest.mark.parametrize(
    ("shapes", "given", "words"),
    [
        (
            {"x": (N,), "y": (N - 1,)},
            {"x": 4, "y": 4},
            ["disagrees with x about N - 1", "(3,)", "(4,)", "N is 4 from x"],
        ),
        ({"x": (N * 2,)}, {"x": 5}, ["no whole number N", "2*N equal 5"]),
        ({"x": (N + 5,)}, {"x": 3}, ["no whole number N", "N + 5 equal 3"]),
        ({"x": (Size.of(3),)}, {"x": 4}, ["x has axes (3,)", "expected: shape (3,)", "found:    shape (4,)"]),
    ],
)
def test_sizes_that_have_no_solution(shapes, given, words):
    arguments = Arguments(graph(*(Input(name, shape) for name, shape in shapes.items())))
    with pytest.raises(ShapeError) as caught:
        arguments.bind({name: np.ones(length) for name, length in given.items()})
    for word in words:
        assert word in str(caught.value)


def test_negative_size_is_the_requirement_s_own_message():
    requirement = Requirement(N - K, "the window is longer than the series")
    arguments = Arguments(graph(Input("x", (N,)), Input("w", (K,)), requirements=[requirement]))
    arguments.bind({"x": [1, 2], "w": [1, 2]})
    with pytest.raises(ShapeError, match="window is longer") as caught:
        arguments.bind({"x": [1, 2], "w": [1, 2, 3]})
    assert "N is 2 from x" in str(caught.value)
    assert "K is 3 from w" in str(caught.value)


def test_an_index_stays_on_an_axis_where_a_size_is_0():
    """``x[1]`` of ``N + 1`` numbers is there for every N from 1 on, but an array of one number has an N of 0."""
    model = gc.compile(gc.parse("x: data[N + 1]\nw: parameter\nloss = w*x[1]**2 + w*Sum(x[i + 1], i, 0, N - 1)"))
    assert model.value_and_grad(x=[5.0, 3.0], w=2.0) == (24.0, (12.0,))
    with pytest.raises(ShapeError, match="axis N \\+ 1 of x, of length 1"):
        model.value(x=[5.0], w=2.0)
    shifted = gc.compile(gc.parse("x: data[N + 1]\nw: parameter\nloss = w*Sum(x[i + 1], i, 0, N - 1) + x[0]*w"))
    assert shifted.value_and_grad(x=[5.0], w=2.0) == (10.0, (5.0,))


def test_other_shapes_are_checked_after_right_ones(softmax):
    softmax.bind(RIGHT)
    larger = RIGHT | {"x": np.ones((5, 4)), "gt": np.zeros(5, int)}
    assert softmax.bind(larger)[1]["N"] == 5
    with pytest.raises(ShapeError, match="disagrees"):
        softmax.bind(RIGHT | {"x": np.ones((5, 4))})


def test_bound_arguments_know_the_sizes_of_their_own_call(softmax):
    first = softmax.bind(RIGHT)[0]
    second = softmax.bind(RIGHT | {"x": np.ones((5, 4)), "gt": np.zeros(5, int)})[0]
    assert [softmax.sizes(each)["N"] for each in (first, second, first, list(second))] == [10, 5, 10, 5]
    same = softmax.bind(RIGHT)[0], softmax.bind(RIGHT)[0]
    assert softmax.sizes(same[0]) is softmax.sizes(same[1])  # which callers recognise
    requirement = Requirement(N - C - Size.of(8), "more samples than eight and the classes")
    with pytest.raises(ShapeError, match="more samples"):
        Arguments(graph(*SOFTMAX, requirements=[requirement])).sizes(first)


# Mistakes -----------------------------------------------------------------------------------------------------------

MISTAKES = {
    "rank": ({"x": np.ones(3)}, ShapeError, ["x has axes (N, D)", "shape (3,)", "D is 4 from W", "N is 10 from gt"]),
    "length": ({"x": np.ones((10, 5))}, ShapeError, ["x has axes (N, D), and disagrees with W", "shape (10, 4)"]),
    "two arrays": ({"gt": [0, 1]}, ShapeError, ["gt has axes (N,)", "disagrees with x", "(2,)", "N is 10 from x"]),
    "array for a number": ({"lam": [1.0, 2.0]}, ShapeError, ["lam is one number", "shape (2,)"]),
    "number for an array": ({"b": 1.0}, ShapeError, ["b has axes (C,)", "shape ()", "C is 3 from W"]),
    "text": ({"x": "pixels.csv"}, ArgumentError, ["x does not hold real numbers", "'pixels.csv'"]),
    "array of text": ({"b": ["1", "2", "3"]}, ArgumentError, ["b does not", "text, shape (3,)"]),
    "objects": ({"b": np.array([1, None, 2])}, ArgumentError, ["b does not", "objects, shape (3,); [1] is None"]),
    "words among objects": ({"b": np.array([1, 2, "low"], dtype=object)}, ArgumentError, ["; [2] is 'low'"]),
    "a generator": ({"b": (k for k in (1, 2, 3))}, ArgumentError, ["type generator", "list(b)"]),
    "complex": ({"b": [1j, 2, 3]}, ArgumentError, ["b does not", "complex numbers, shape (3,)"]),
    "complex number": ({"lam": 1j}, ArgumentError, ["lam does not", "1j"]),
    "dates": ({"b": np.zeros(3, "M8[s]")}, ArgumentError, ["b does not", "dates, shape (3,)"]),
    "none": ({"b": None}, ArgumentError, ["b does not", "None", "to do:"]),
    "dict": ({"b": {"a": 1}}, ArgumentError, ["b does not", "object of type dict"]),
    "ragged": ({"x": [[1, 2], [3]]}, ArgumentError, ["x does not", "rows of unequal lengths"]),
    "masked": ({"b": np.ma.masked_array([1.0, 2, 3], [0, 1, 0])}, DataError, ["b has masked entries", "to do:"]),
    "empty": ({"x": np.ones((0, 4))}, DataError, ["x is empty: its axis N has length 0", "shape (0, 4)"]),
    "label too large": ({"gt": [0, 1, 2, 0, 1, 4, 5, 0, 0, 0]}, LabelError, ["axis C of W", "gt[5] = 4, and 1 more"]),
    "label negative": ({"gt": [0, 1, 2, -1, 1, 1, 1, 0, 0, 0]}, LabelError, ["from 0 to 2", "gt[3] = -1"]),
    "labels from 1": ({"gt": np.arange(10) % 3 + 1}, LabelError, ["gt[2] = 3, and 2 more", "give gt - 1"]),
    "label fraction": ({"gt": np.full(10, 0.5)}, LabelError, ["not whole numbers", "gt[0] = 0.5"]),
    "label nan": ({"gt": [0.0, np.nan] * 5}, LabelError, ["not whole numbers", "gt[1] = nan"]),
    "label huge": ({"gt": np.full(10, 2**64 - 1, np.uint64)}, LabelError, ["too large", "= 18446744073709551615"]),
    "label huge float": ({"gt": np.full(10, -1e30)}, LabelError, ["too large", "gt[0] = -1e+30"]),
    "label infinite": ({"gt": np.full(10, np.inf)}, LabelError, ["not whole numbers", "gt[0] = inf"]),
    "unknown": ({"lamb": 1.0}, UnknownNameError, ["no argument 'lamb'", "did you mean 'lam'?"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(softmax, mistake):
    changed, kind, words = MISTAKES[mistake]
    with pytest.raises(kind) as caught:
        softmax.bind(RIGHT | changed)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", RIGHT)
def test_missing_argument_is_pointed_at(softmax, name):
    with pytest.raises(ArgumentError, match=f"argument '{name}' is missing") as caught:
        softmax.bind({other: value for other, value in RIGHT.items() if other != name})
    shown, caret = str(caught.value).splitlines()[1:3]
    assert shown[caret.index("^") :].startswith(name)


def test_misspelt_argument_is_told_before_the_missing_one(softmax):
    with pytest.raises(UnknownNameError, match="'Gt'") as caught:
        softmax.bind({"Gt" if name == "gt" else name: value for name, value in RIGHT.items()})
    assert "did you mean 'gt'?" in str(caught.value)


def test_errors_are_the_builtins_that_a_caller_would_guess(softmax):
    for kind, changed in (
        (ValueError, {"x": np.ones(3)}),
        (IndexError, {"gt": np.arange(10)}),
        (TypeError, {"b": None}),
    ):
        with pytest.raises(kind):
            softmax.bind(RIGHT | changed)


# Labels in indices --------------------------------------------------------------------------------------------------


def gather(index, length, *labels):
    """Return the arguments of ``table[index(s)]`` with a table of this length."""

    def outputs(builder):
        table = builder.input("table", Input("table", (length,)).axes)
        leaves = [builder.input(name, Input(name, (N,)).axes, "int") for name in labels]
        place = index(builder.iota(leaves[0].axes[0]), *leaves)
        return {"value": builder.read(table, (place,))}

    inputs = [Input("table", (length,)), *(Input(name, (N,), "int", "labels") for name in labels)]
    return Arguments(graph(*inputs, outputs=outputs))


@pytest.mark.parametrize(
    ("index", "length", "right", "wrong", "limits"),
    [
        (lambda s, a: a - 1, 5, [1, 5, 2], [0, 5, 2], "from 1 to 5"),
        (lambda s, a: 2 * a + 1, 6, [0, 2, 2], [0, 3, 2], "from 0 to 2"),
        (lambda s, a: 4 - a, 5, [0, 4, 2], [0, 5, 2], "from 0 to 4"),
        (lambda s, a: a + s, 6, [0, 3, 2], [0, 4, 2], "from 0 to 3"),
        (lambda s, a: a - s + 2, 5, [0, 2, 2], [0, 2, 3], "from 0 to 2"),
    ],
)
def test_affine_index_of_a_label(index, length, right, wrong, limits):
    """With N = 3: the index itself never leaves the axis for `right`, and may for `wrong`."""
    arguments = gather(index, Size.of(length), "a")
    arguments.bind({"table": np.ones(length), "a": right})
    with pytest.raises(LabelError, match="a leaves the axis") as caught:
        arguments.bind({"table": np.ones(length), "a": wrong})
    assert limits in str(caught.value)


def test_index_of_two_label_arrays():
    arguments = gather(lambda s, a, b: a * b + a, Size.of(7), "a", "b")
    arguments.bind({"table": np.ones(7), "a": [2, 1], "b": [2, 0]})
    for a in ([3, 1], [-1, 1]):
        with pytest.raises(LabelError, match="an index of a, b leaves") as caught:
            arguments.bind({"table": np.ones(7), "a": a, "b": [2, 0]})
        assert "from 0 to 6" in str(caught.value)


@pytest.mark.parametrize(
    ("index", "length", "found"),
    [
        (lambda i: 2 * sympy.Mod(i, 3), 4, "0 to 4"),
        (lambda i: sympy.Mod(i, 3) - 1, 4, "-1 to 1"),
        (lambda i: sympy.Abs(i - 9), 4, "2 to 9"),
        (lambda i: sympy.Mod(i, sympy.Symbol("N", integer=True, positive=True)), 4, "0 to 7"),
        (lambda i: 2 * sympy.Mod(i, 3), 5, None),
        (lambda i: sympy.Mod(3 * i + 1, sympy.Symbol("M", integer=True, positive=True)), 4, None),
    ],
)
def test_index_without_labels_that_is_not_affine(index, length, found):
    """A kernel would read and write beyond the end of the table."""
    n, m = sympy.symbols("N M", integer=True, positive=True)
    i = sympy.Symbol("i", integer=True)
    table, x = sympy.IndexedBase("table", shape=(m,)), sympy.IndexedBase("x", shape=(n,))
    model = gc.compile(sympy.Sum(x[i] * table[index(i)], (i, 0, n - 1)), wrt=[table])
    given = {"x": np.arange(8.0), "table": np.arange(float(length))}
    if found is None:
        number = sympy.lambdify([i, m], index(i))
        assert model.value(**given) == sum(given["x"][k] * given["table"][number(k, length)] for k in range(8))
    else:
        with pytest.raises(ShapeError, match=f"axis M of table, of length 4(?s:.*)found: +{found}"):
            model.value(**given)


# Data that are not finite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_data_that_are_not_finite_are_named_in_training_alone(number, dtype):
    arguments = Arguments(graph(*SOFTMAX), dtype)
    x = np.ones((50_000, 4), dtype)
    given = RIGHT | {"x": x, "gt": np.zeros(50_000)}
    arguments.bind(given, check_finite=True)
    x[40_000, 2] = number
    arguments.bind(given)
    with pytest.raises(DataError, match=f"x has {number} in row 40000") as caught:
        arguments.bind(given, check_finite=True)
    assert f"x[40000, 2] = {number}" in str(caught.value)


def test_large_finite_data_are_finite():
    arguments = Arguments(graph(Input("x", (N,), role="data")), "float32")
    arguments.bind({"x": np.full(1000, 3e38, np.float32)}, check_finite=True)


def test_parameters_may_be_infinite(softmax):
    softmax.bind(RIGHT | {"b": [np.inf, 0, 0]}, check_finite=True)


# Speed --------------------------------------------------------------------------------------------------------------


def test_arrays_that_fit_cost_microseconds(softmax):
    seconds = min(timeit.repeat(lambda: softmax.bind(RIGHT), number=1000, repeat=5)) / 1000
    assert seconds < 50e-6  # about 4 µs on an idle machine
