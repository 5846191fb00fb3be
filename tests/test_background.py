"""First answers come early, from NumPy, and are those of the kernel that is compiled meanwhile."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sympy import Determinant, IndexedBase, Lambda, MatrixSymbol, Sum, Trace, exp, log, symbols

import gradcompile as gc
from gradcompile import early, pipeline
from gradcompile.errors import EmissionError
from gradcompile.jit import Task, background
from gradcompile.threads import chunks

ROOT = Path(__file__).parent.parent
N, D, C = symbols("N D C", integer=True, positive=True)
s, j, i = symbols("s j i", integer=True)
x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
W, b = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,))
lam = symbols("lam")


def logit(s, i):
    return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]


def p(s, c):
    return exp(logit(s, c)) / Sum(exp(logit(s, i)), (i, 0, C - 1))


SOFTMAX = -Sum(log(p(s, gt[s])), (s, 0, N - 1)) + lam * Sum(b[i] ** 2, (i, 0, C - 1))


def softmax(dtype="float64"):
    return gc.compile(SOFTMAX, wrt=[W, b, lam], outputs={"p": Lambda((s, i), p(s, i))}, dtype=dtype)


def data(samples=30):
    random = np.random.default_rng(3)
    given = {"W": random.normal(size=(4, 3)), "b": random.normal(size=3), "lam": 0.5}
    return given | {"x": random.normal(size=(samples, 4)), "gt": random.integers(0, 3, samples)}


@pytest.fixture(autouse=True)
def impatient(monkeypatch, compiled_at_once):
    monkeypatch.setattr(pipeline.Program, "patient", False)


@pytest.fixture
def never(monkeypatch):
    """Keep the thread in the background from doing anything."""
    monkeypatch.setattr(background.Worker, "add", lambda self, task: None)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_early_answers_are_those_of_the_kernel(never, dtype):
    model, given = softmax(dtype), data()
    value, grads = model.value_and_grad(**given)
    early = [model.value(**given), value, *model.grad(**given), *grads, model.predict("p", **given)]
    assert not model.ready
    value, grads = model.wait().value_and_grad(**given)
    late = [model.value(**given), value, *model.grad(**given), *grads, model.predict("p", **given)]
    assert model.ready
    for a, z in zip(early, late, strict=True):
        assert type(a) is type(z)
        if isinstance(a, np.ndarray):
            assert a.dtype == z.dtype == dtype
            assert a.flags.c_contiguous
            assert a.flags.writeable
        assert_allclose(a, z, rtol=1e-12 if dtype == "float64" else 2e-5)


def test_other_derivatives_answer_early_too(never):
    X, w, t = MatrixSymbol("X", N, D), MatrixSymbol("w", D, 1), MatrixSymbol("t", N, 1)
    model = gc.compile((((X * w - t).T * (X * w - t))[0, 0]) ** 2, wrt=w)
    random = np.random.default_rng(0)
    given = {"X": random.normal(size=(5, 3)), "w": random.normal(size=(3, 1)), "t": random.normal(size=(5, 1))}
    v = random.normal(size=(3, 1))
    early = [model.hvp(v, **given), model.jvp(v, **given), model.vjp(2.0, **given), model.hessian(**given)]
    assert not model.ready
    model.wait()
    late = [model.hvp(v, **given), model.jvp(v, **given), model.vjp(2.0, **given), model.hessian(**given)]
    for a, z in zip(early, late, strict=True):
        assert_allclose(a, z, rtol=1e-12)
    residual = given["X"] @ given["w"] - given["t"]
    square, slope = (residual.T @ residual).item(), 2 * given["X"].T @ residual
    assert_allclose(
        early[0], 2 * slope * (slope.T @ v).item() + 4 * square * (given["X"].T @ given["X"] @ v), rtol=1e-12
    )


def test_the_kernel_takes_over_by_itself():
    model, given = softmax(), data()
    first = model.value_and_grad(**given)[0]
    limit = time.monotonic() + 60
    while not model.ready and time.monotonic() < limit:
        time.sleep(0.01)
    assert model.ready
    assert "value_and_grad" in model._program.answering._functions
    assert_allclose(model.value_and_grad(**given)[0], first, rtol=1e-13)


def test_an_early_answer_gives_no_warning_and_the_same_infinity(never):
    model = gc.compile(Sum(exp(b[i]), (i, 0, C - 1)), wrt=b)
    given = {"b": np.array([1e4, 0.0])}
    with np.errstate(all="raise"):
        value, grad = model.value_and_grad(**given)
    assert value == np.inf
    assert grad.tolist() == [np.inf, 1.0]


def test_a_singular_matrix_is_the_same_error_early(never):
    A = MatrixSymbol("A", 3, 3)
    model = gc.compile(Trace(A.inv()) + log(Determinant(A)), wrt=A)  # as in test_higher.py: compiled once for both
    for _ in range(2):
        with pytest.raises(gc.errors.DataError, match="singular"):
            model.grad(A=np.zeros((3, 3)))
        model.wait()


def test_what_is_too_large_for_numpy_waits_for_the_kernel(never, monkeypatch):
    model, given = softmax(), data()
    monkeypatch.setattr(early, "ENTRIES", 10)
    model.value_and_grad(**given)
    assert model.ready


def test_what_is_too_large_for_numpy_at_once_is_answered_in_slices(never, monkeypatch):
    model, given = softmax(), data(samples=1000)
    expected = model.value_and_grad(**given)
    monkeypatch.setattr(early, "ENTRIES", 5000)
    sliced = model._program._early_for("value_and_grad", "value_and_grad", model.checked.bind(given)[0])
    assert 1 < sliced.length(model.checked.bind(given)[0]) < 1000
    value, gradients = model.value_and_grad(**given)
    assert not model.ready
    assert_allclose(value, expected[0], rtol=1e-13)
    for gradient, other in zip(gradients, expected[1], strict=True):
        assert_allclose(gradient, other, rtol=1e-12, atol=1e-12)


def test_the_number_of_samples_is_a_number_in_slices_of_float32_too(never, monkeypatch):
    """Of a mixture, whose weights have a gradient with the number of samples in it."""
    parts = "w[k] = exp(a[k])/Sum(exp(a[j]), j)\nloss = -Sum(log(Sum(w[k]*exp(-(x[n] - m[k])**2/2), k)), n)"
    model = gc.compile(gc.parse(f"x: data[N]\na: parameter[K]\nm: parameter[K]\n{parts}"), dtype="float32")
    monkeypatch.setattr(early, "ENTRIES", 5000)
    x, a, m = np.linspace(-2, 3, 1000), np.array([0.5, -0.5, 0.0]), np.array([-1.0, 0.0, 2.0])
    value, (gradient, _) = model.value_and_grad(x=x, a=a, m=m)
    assert not model.ready
    weights = np.exp(a) / np.exp(a).sum()
    densities = weights * np.exp(-((x[:, None] - m) ** 2) / 2)
    assert_allclose(value, -np.log(densities.sum(1)).sum(), rtol=1e-5)
    share = densities / densities.sum(1, keepdims=True)
    assert_allclose(gradient, 1000 * weights - share.sum(0), rtol=1e-4)


def test_what_takes_numpy_longer_than_the_compiler_waits_for_the_kernel(never, monkeypatch):
    model, given = softmax(), data(samples=1000)
    monkeypatch.setattr(early, "ENTRIES", 5000)
    monkeypatch.setattr(early, "MEANWHILE", 1)
    model.value_and_grad(**given)
    assert model.ready


def test_waiting_compiles_what_was_asked_for_in_parts_and_not_the_whole_as_well(never, monkeypatch):
    model, given = softmax(), data(samples=1000)
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    model.value_and_grad(**given)
    model.wait()
    assert model.ready
    assert not model._program.answering.compiled("value_and_grad")
    assert model._program.answering.compiled("value_and_grad_part")


def test_products_that_are_summed_at_once_are_no_arrays(never, monkeypatch):
    model, given = softmax(), data()
    largest = 30 * 3  # the logits, and what is as large; their products are 30 * 4 * 3
    monkeypatch.setattr(early, "ENTRIES", 30 * largest)
    arguments, _ = model.checked.bind(given)
    assert model._program.early.affords(arguments)
    assert not any(len(value.axes) == 3 for value in model._program.early._held)


def test_errors_of_the_compiler_reach_the_next_caller(monkeypatch):
    def broken(*_):
        raise EmissionError("the emitted function 'value' does not compile")

    monkeypatch.setattr("gradcompile.pipeline.functions.kernel", broken)
    model, given = softmax(), data()
    model.value(**given)
    deadline = time.monotonic() + 60
    while not model._program.answering._tasks["value"].over and time.monotonic() < deadline:
        time.sleep(0.01)
    for call in (lambda: model.value(**given), model.wait):
        with pytest.raises(EmissionError, match="does not compile"):
            call()
    assert not model.ready


def test_many_threads_get_one_kernel_and_right_answers():
    model, given = softmax(), data()
    expected = gc.compile(SOFTMAX, wrt=[W, b, lam]).wait().value(**given)
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(model.value(**given))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_allclose(found, [expected] * 8, rtol=1e-13)
    assert len(model._program.answering._tasks) == 1


def test_few_scalars_need_no_compiler():
    u, v = symbols("u v")
    model = gc.compile(u * exp(v), wrt=[u, v])
    assert model.ready
    assert model.value_and_grad(u=2.0, v=0.0) == (2.0, (1.0, 2.0))


def test_the_plan_says_what_runs_and_why(never):
    model, given = softmax(), data()
    assert str(model.plan).startswith("runs in numpy: the kernel is compiled from the first call on")
    model.value_and_grad(**given)
    assert str(model.plan).startswith("runs in numpy: the kernel is being compiled")
    model.wait()
    assert str(model.plan).startswith("runs in numba: the kernel is compiled\n")
    assert "samples along s" in str(model.plan)
    assert str(gc.compile(exp(lam), wrt=lam).plan).startswith("runs in python: few numbers")


# Tasks --------------------------------------------------------------------------------------------------------------


def test_a_task_is_done_once_whoever_asks():
    done: list[int] = []
    task = Task(lambda: done.append(1) or len(done))
    task.begin()
    task.begin()
    assert [task.result() for _ in range(3)] == [1, 1, 1]
    assert done == [1]


def test_without_a_thread_answers_are_early_until_there_is_one(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background, "WORKER", background.Worker(0))
    task = Task(lambda: 6 * 7)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        task.begin()
    assert not task.over
    assert background.WORKER.thread is None
    task.begin()
    assert task._over.wait(10)
    assert task.result() == 42


def test_an_interrupted_task_begins_anew():
    answers = iter([KeyboardInterrupt(), 7])

    def work():
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    task = Task(work)
    with pytest.raises(KeyboardInterrupt):
        task.result()
    assert not task.over
    assert task.result() == 7


# The end of a process, and a second one -------------------------------------------------------------------------------

SCRIPT = """
import os, sys, time
import numpy as np
from sympy import Sum, IndexedBase, exp, symbols
import gradcompile as gc
N = symbols("N", integer=True, positive=True)
k = symbols("k", integer=True)
b = IndexedBase("b", shape=(N,))
model = gc.compile(Sum(exp(b[k])*b[k], (k, 0, N - 1)), wrt=b)
"""


def run(script: str, tmp_path: Path, timeout: float = 120) -> str:
    """Return what a script prints, in a process of its own with an empty cache."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", SCRIPT + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_the_first_answer_needs_no_numba_and_the_process_ends_in_order(tmp_path):
    told = run('print(model.value(b=np.zeros(3)), "numba" in sys.modules)', tmp_path)
    assert told.split() == ["0.0", "False"]


def test_a_process_that_ends_stops_the_compilation(tmp_path):
    script = """
    from gradcompile.jit import background
    import numba.core.compiler  # so that the compilation is under way at once
    background.WORKER.delay = 0.0
    model.value(b=np.zeros(3))
    while not background.WORKER._busy:
        time.sleep(0.001)
    print(model.ready)
    """
    assert run(script, tmp_path).split() == ["False"]
    assert not list(tmp_path.glob("**/*.o"))


def child(queue: "multiprocessing.Queue[float]", model: object, given: dict[str, object]) -> None:
    queue.put(model.wait().value(**given))  # type: ignore[attr-defined]  # a CompiledModel, untyped as all tests


def test_a_child_process_compiles_what_its_parent_had_begun():
    model, given = softmax(), data()
    value = model.value(**given)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue, model, given))
    process.start()
    assert_allclose(queue.get(timeout=120), value, rtol=1e-13)
    process.join(60)
    assert process.exitcode == 0
    assert_allclose(model.wait().value(**given), value, rtol=1e-13)


def test_two_models_of_one_text_share_a_function_that_both_wait_for():
    """One has it compiled in the background when the other asks for it."""
    text = "x: data[N]\nc: parameter[N]\nloss = Sum((7.125*c[i] - x[i])**2, i)"
    given = {"x": np.array([1.0, 2.0]), "c": np.array([0.5, 0.25])}
    first, second = (gc.compile(gc.parse(text)) for _ in range(2))
    for model in (first, second):
        assert model.value_and_grad(**given)[0] == pytest.approx(2.5625**2 + 0.21875**2)
    for model in (second, first):
        model.wait()
        assert model.value_and_grad(**given)[0] == pytest.approx(2.5625**2 + 0.21875**2)
