from fractions import Fraction

import numpy as np
import pytest

from gradcompile.errors import ArgumentError, LabelError, ShapeError
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value, reachable

N, D = Axis(Size.of("N")), Axis(Size.of("D"))
D1 = Axis(Size.of("D"), 1)


def run(builder: Builder, value: Value, **arrays: object) -> np.ndarray:
    """Evaluate one value; the inputs are found in the graph."""
    found = {
        v.attr: Input(v.attr, tuple(a.size for a in v.axes), v.kind) for v in reachable([value]) if v.op == "input"
    }
    return evaluate(Graph(builder, found, {"value": value}), arrays)["value"]


def test_elementwise_operands_are_aligned_by_name():
    b = Builder()
    x, w = b.input("x", (N, D)), b.input("w", (D,))
    c = b.input("c", (N,))
    xs, ws, cs = np.arange(6.0).reshape(2, 3), np.array([1.0, 2, 3]), np.array([10.0, 20])
    assert np.array_equal(run(b, w * x + c, x=xs, w=ws, c=cs), (xs * ws + cs[:, None]).T)


@pytest.mark.parametrize("op", ["sum", "max", "min", "prod"])
def test_reductions(op):
    b = Builder()
    xs = np.array([[1.0, -2, 3], [4, 5, -6]])
    assert np.array_equal(run(b, b.reduce(op, b.input("x", (N, D)), [D]), x=xs), getattr(np, op)(xs, axis=1))


def test_constants_sizes_and_indices():
    b = Builder()
    assert run(b, b.const("pi") * Fraction(1, 4)) == np.pi / 4
    x = b.input("x", (N,))
    assert np.array_equal(run(b, x * b.iota(N) + b.size(N.size + 1), x=[1.0, 1, 1]), [4.0, 5, 6])


def test_read_gathers_and_transposes():
    b = Builder()
    w, label = b.input("w", (D, D1)), b.input("label", (N,), "int")
    ws = np.arange(9.0).reshape(3, 3)
    assert np.array_equal(run(b, w + b.read(w, [b.iota(D1), b.iota(D)]), w=ws), ws + ws.T)
    gathered = b.read(w, [label, b.iota(D)])
    assert np.array_equal(run(b, gathered, w=ws, label=[2, 0]), ws[[2, 0]])


def test_accumulate_adds_repeated_indices():
    b = Builder()
    d, label = b.input("d", (N,)), b.input("label", (N,), "int")
    w = b.input("w", (D,))
    got = run(b, b.accumulate(d, [label], (D,)) + 0 * w, d=[0.25, 0.5, 0.5], label=[0, 0, 2], w=[0.0, 0, 0])
    assert np.array_equal(got, [0.75, 0, 0.5])


def test_accumulate_is_the_transpose_of_read():
    b = Builder()
    w, label, d = b.input("w", (D,)), b.input("label", (N,), "int"), b.input("d", (N,))
    arrays = {"w": [1.0, 2, 4], "label": [2, 2, 0, 1], "d": [1.0, 3, 5, 7]}
    left = b.reduce("sum", b.read(w, [label]) * d, [N])
    right = b.reduce("sum", b.accumulate(d, [label], (D,)) * w, [D])
    assert run(b, left, **arrays) == run(b, right, **arrays) == 4 * 4 + 5 + 14


def test_an_index_that_leaves_its_axis_is_refused():
    b = Builder()
    w = b.input("w", (D,))
    for shift in (-1, 1):
        with pytest.raises(LabelError):
            run(b, b.read(w, [b.iota(D) + shift]), w=[1.0, 2])


def test_matrix_functions():
    b = Builder()
    a = b.input("a", (D, D1))
    matrix = np.array([[4.0, 1], [2, 3]])
    assert np.allclose(run(b, b.matrix("inverse", (a,), a.axes, (D, D1)), a=matrix), np.linalg.inv(matrix))
    assert np.isclose(run(b, b.matrix("determinant", (a,), (), (D, D1)), a=matrix), 10)
    assert np.isclose(run(b, b.matrix("logdet", (a,), (), (D, D1)), a=matrix), np.log(10))
    assert np.isnan(run(b, b.matrix("logdet", (a,), (), (D, D1)), a=matrix[::-1]))
    right = b.input("right", (D,))
    solved = run(b, b.matrix("solve", (a, right), (D1,), (D, D1)), a=matrix, right=[1.0, 2])
    assert np.allclose(matrix @ solved, [1, 2])
    lower = run(b, b.matrix("cholesky", (a,), a.axes, (D, D1)), a=[[4.0, 2], [2, 5]])
    assert np.allclose(lower, [[2, 0], [1, 2]])


def test_maximum_of_many():
    b = Builder()
    x, y, z = (b.input(name, ()) for name in "xyz")
    assert run(b, b.apply("maximum", x, y, z), x=1.0, y=3.0, z=2.0) == 3


def test_sizes_are_found_inside_sums():
    b = Builder()
    size = Size.of("N") - 1
    x = b.input("x", (Axis(size),))
    assert run(b, b.size(Size.of("N")) + 0 * b.reduce("sum", x, x.axes), x=[1.0, 2]) == 3


def test_bad_inputs_are_named():
    b = Builder()
    x, y = b.input("x", (N,)), b.input("y", (N,))
    with pytest.raises(ArgumentError, match="y"):
        run(b, x + y, x=[1.0])
    with pytest.raises(ShapeError, match="x"):
        run(b, x + y, x=1.0, y=[1.0])
    with pytest.raises(ShapeError, match="y"):
        run(b, x + y, x=[1.0], y=[1.0, 2])
