"""Rows of data that are copied for the products of a batch: the same numbers, whoever copies them and when."""

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.errors import DataError
from gradcompile.gathered import gathered
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size
from gradcompile.threads import Products
from gradcompile.train import descent
from gradcompile.train.settings import Settings
from gradcompile.train.task import task_of

TWO = """
    x: data[N, D]
    z: data[N, K]
    t: data[N]
    A: parameter[D, H]
    B: parameter[K, H]
    w: parameter[H]

    h[s, m] = tanh(Sum(x[s, j]*A[j, m], j) + Sum(z[s, k]*B[k, m], k) + x[s, 0])
    loss = Sum((Sum(h[s, m]*w[m], m) - t[s])**2, s)
"""
RATE = 0.02


def problem(samples=331):
    random = np.random.default_rng(0)
    data = {"x": random.normal(size=(samples, 24)), "z": random.normal(size=(samples, 17)), "t": np.ones(samples)}
    start = {"A": random.normal(size=(24, 20)) / 5, "B": random.normal(size=(17, 20)) / 4, "w": np.ones(20) / 5}
    return data, start


def descent_by_hand(data, start, batch, seed):
    """Return the parameters after one epoch of plain steps, by derivatives on paper."""
    from gradcompile.shuffle import order

    a, b, w = (start[name].copy() for name in ("A", "B", "w"))
    for rows in np.split(order(seed, 1, np.arange(len(data["t"]))), range(batch, len(data["t"]), batch)):
        x, z, t = (data[name][rows] for name in ("x", "z", "t"))
        h = np.tanh(x @ a + z @ b + x[:, :1])
        miss = 2 * (h @ w - t) / len(rows)
        inner = miss[:, None] * w * (1 - h**2)
        a, b, w = a - RATE * x.T @ inner, b - RATE * z.T @ inner, w - RATE * h.T @ miss
    return {"A": a, "B": b, "w": w}


def trained(data, start, batch, **options):
    model = gc.compile(gc.parse(TWO))
    options = {"optimizer": gc.SGD(RATE), "epochs": 1, "batch_size": batch, "seed": 5, "progress": False} | options
    return model.fit(**data, init=start, **options)


@pytest.mark.parametrize("batch", [2, 37, 128, 150])
def test_a_step_takes_the_rows_of_its_batch(batch, monkeypatch):
    """Also where another thread copies them, in pieces of sixteen that do not divide a batch."""
    monkeypatch.setattr("gradcompile.train.steps.COPIED", 0)
    data, start = problem()
    expected = descent_by_hand(data, start, batch, 5)
    found = []
    for threads in (1, 2):
        gc.set_threads(threads)
        found.append(trained(data, start, batch).params)
    for name, array in expected.items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(found[0][name], found[1][name])


def test_only_what_is_multiplied_is_copied():
    n, b, d, h = (Axis(Size.of(name)) for name in "NBDH")
    builder = Builder()
    inputs = {
        "x": Input("x", (n.size, d.size), role="data"),
        "y": Input("y", (n.size, d.size), role="data"),
        "rows": Input("rows", (b.size,), "int", "labels"),
        "x_rows": Input("x_rows", (d.size, h.size), role="parameter"),  # the name is taken
    }
    x, y, rows, w = (builder.input(name, given.axes, given.kind) for name, given in inputs.items())
    matrix, beside = builder.read(x, (rows, builder.iota(d))), builder.read(y, (rows, builder.iota(d)))
    first = builder.read(x, (rows, builder.const(0)))
    product = builder.reduce("sum", matrix * w, (d,))
    value = builder.reduce("sum", (product + first) ** 2, (b, h)) + builder.reduce("sum", beside, (b, d))
    value += builder.reduce("sum", x, (n, d))  # all of the data, too
    graph = Graph(builder, inputs, {"value": value}, wrt=("x_rows",), sample=b)
    assert Products(graph).factors == {matrix, w}
    changed, copies = gathered(graph, "rows", Products(graph).factors)
    assert list(copies.values()) == ["x"]
    (copy,) = copies
    assert list(changed.inputs) == ["x", copy, "y", "rows", "x_rows"]
    random = np.random.default_rng(1)
    given = {name: random.normal(size=(9, 20)) for name in "xy"} | {"x_rows": random.normal(size=(20, 30))}
    given["rows"] = np.array([3, 0, 8, 3])
    expected = evaluate(graph, given)["value"]
    assert evaluate(changed, given | {copy: given["x"][given["rows"]]})["value"] == expected
    assert evaluate(changed, given | {copy: np.zeros((4, 20))})["value"] != expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("held", [None, 0.25])
@pytest.mark.parametrize(("name", "strange"), [("x", np.nan), ("z", np.inf), ("t", np.nan)])
def test_the_first_epoch_sees_what_is_not_finite(name, strange, held, threads, monkeypatch):
    """Data that are copied are looked at where they are; if some are held out, all of them are looked at."""
    monkeypatch.setattr(descent, "MANY", 0)
    gc.set_threads(threads)
    data, start = problem()
    data[name][(200, 3)[: data[name].ndim]] = strange
    with pytest.raises(DataError, match=f"{name} has {strange} in row 200"):
        trained(data, start, 32, valid=held)


def test_data_are_looked_at_once(monkeypatch):
    monkeypatch.setattr(descent, "MANY", 0)
    looks = []

    class Watched(descent.Run):
        def _epoch(self, number, show):
            looks.append(self.steps.unseen)
            return super()._epoch(number, show)

    monkeypatch.setattr("gradcompile.train.fitting.Run", Watched)
    trained(*problem(), 32, epochs=3)
    assert looks == [True, False, False]


def test_small_data_are_looked_at_before():
    data, start = problem()
    data["x"][7, 2] = np.inf
    with pytest.raises(DataError, match="x has inf in row 7"):
        trained(data, start, 32)


def test_threads_share_the_samples_of_a_step_only_where_it_takes_long():
    """To hand out the chunks of a short step takes several times as long as the step."""
    model = gc.compile(gc.parse(TWO))
    data, start = problem(6001)
    wide = {"A": np.zeros((24, 400)), "B": np.zeros((17, 400)), "w": np.zeros(400)}

    def shares(batch, init):
        settings = Settings(gc.SGD(RATE), 1, batch, seed=0, patience=None, min_improvement=0, progress=False)
        return task_of(model, settings, data, init, None).steps._shared(batch) is not None

    assert not shares(512, start)
    assert not shares(512, wide)
    assert shares(6000, wide)
