"""A minibatch gradient is an unbiased estimate of the gradient of the objective per sample.

From an objective sum over s of l_s + R, a batch B gives ((N/|B|) * sum over B of grad l_s + grad R)/N. So over the
batches of an epoch, weighted with |B|/N, they average exactly to grad/N, with the regulariser counted once; an
objective that is a mean already is not divided again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, MatrixSymbol

import gradcompile as gc
from gradcompile.adjoint import adjoint
from gradcompile.interpret import evaluate
from gradcompile.minibatch import minibatch
from gradcompile.passes import prepare
from tests.oracle import Answer, Problem, exact
from tests.zoo import BY_NAME, ZOO, arguments, call, reference

N = sympy.Symbol("N", integer=True, positive=True)
SUMS = [
    pytest.param(row.name, notation, id=f"{row.name}-{notation}")
    for row in ZOO
    if row.sampled
    for notation in row.forms
    if notation in ("indexed", "defined")
]
WRITTEN_OUT = "bradley-terry"  # its scalar form has no data, but a term for each game
PER_SAMPLE = [
    pytest.param(row.name, id=row.name)
    for row in ZOO
    if row.sampled and "scalar" in row.forms and row.name != WRITTEN_OUT
]
NOT_SUMS = [
    pytest.param(row.name, notation, id=f"{row.name}-{notation}")
    for row in ZOO
    if row.number == 26
    for notation in row.forms
]


def sampled(problem: Problem) -> list[str]:
    """Name the inputs with a sample axis, read off the declarations: data=[...], or a first axis of length N."""
    if problem.data:
        return [symbol.name for symbol in problem.data]
    parts = [problem.objective, *problem.define.values()]
    declared = {a for e in parts for a in e.atoms(IndexedBase, MatrixSymbol)}
    return [a.name for a in declared if a.name in problem.inputs and a.shape[0] == N]


def count(problem: Problem) -> int:
    return len(problem.inputs[sampled(problem)[0]])


def is_mean(problem: Problem) -> bool:
    """Per-sample forms are means; so are the sums that are divided by N."""
    return bool(problem.data) or (N in problem.objective.free_symbols and problem.objective.has(1 / N))


def epoch(samples: int, size: int) -> Iterator[np.ndarray]:
    """Yield the row numbers of the batches of an epoch in a shuffled order; the last one is short."""
    order = np.random.default_rng(7).permutation(samples)
    for start in range(0, samples, size):
        yield order[start : start + size]


Gradients = Callable[[np.ndarray], list[np.ndarray]]  # of a batch, from its row numbers


def compiled(problem: Problem) -> Gradients:
    model = gc.compile(**arguments(problem))
    return lambda rows: [np.asarray(g) for g in call(model.minibatch_grad, problem, rows=rows)]


def interpreted(problem: Problem) -> Gradients:
    """The same without Numba, which takes seconds a model: the estimate as a graph, differentiated and interpreted."""
    estimate = minibatch(gc.compile(**arguments(problem)).lowered)
    graph = adjoint(prepare(estimate.graph))

    def gradients(rows: np.ndarray) -> list[np.ndarray]:
        inputs = {name: np.asarray(value) for name, value in problem.inputs.items()} | {estimate.rows: rows}
        if estimate.count:
            inputs[estimate.count] = np.asarray(count(problem))
        outputs = evaluate(graph, inputs)
        return [outputs[f"d{name}"] for name in problem.names]

    return gradients


def assert_averages(problem: Problem, size: int, gradients: Gradients, answer: Answer | None = None) -> None:
    """Average over an epoch, and compare with the oracle of all samples."""
    samples, full = count(problem), (answer or exact(problem)).floats()[1]
    average = [np.zeros(np.shape(problem.inputs[name])) for name in problem.names]
    for rows in epoch(samples, size):
        for total, g in zip(average, gradients(rows), strict=True):
            total += g * (len(rows) / samples)
    for name, found in zip(problem.names, average, strict=True):
        expected = full[name] / (1 if is_mean(problem) else samples)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "notation"), SUMS)
def test_batches_average_to_the_full_gradient(name: str, notation: str) -> None:
    problem = BY_NAME[name].forms[notation]
    assert_averages(problem, count(problem) // 2 + 1, interpreted(problem), reference(name)[1])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["softmax", "factorisation", "network-2-tanh", "gamma"])
def test_batches_average_in_kernels(name: str) -> None:
    problem, answer = reference(name)
    assert_averages(problem, count(problem) // 2 + 1, compiled(problem), answer)


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_batches_of_the_per_sample_form_average_to_the_full_gradient(name: str) -> None:
    problem = BY_NAME[name].forms["scalar"]
    assert_averages(problem, count(problem) // 2 + 1, interpreted(problem))


def test_the_per_sample_form_in_a_kernel() -> None:
    problem = BY_NAME["linear"].forms["scalar"]
    assert_averages(problem, 4, compiled(problem))


class Own(sympy.Function):
    """A function of a user, with a derivative of his own."""

    def _eval_rewrite_as_exp(self, u: sympy.Expr, **_: object) -> sympy.Expr:
        return u * sympy.exp(-u)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return (1 - self.args[0]) * sympy.exp(-self.args[0])


@pytest.mark.parametrize("one", [False, True])
def test_a_function_of_a_user_is_one_of_the_batch(one: bool) -> None:
    x, w, n = IndexedBase("x", shape=(N,)), sympy.Symbol("w"), sympy.Symbol("n", integer=True)
    estimate = minibatch(gc.compile(sympy.Sum(Own(w * x[n]), (n, 0, N - 1)), wrt=w).lowered, one=one)
    rows, at = np.asarray(2 if one else [2, 0]), np.array([0.3, -1.0, 2.0])
    found = evaluate(adjoint(prepare(estimate.graph)), {"x": at, "w": np.asarray(0.5), estimate.rows: rows})
    z = 0.5 * at[rows]
    np.testing.assert_allclose(found["value"], np.mean(z * np.exp(-z)), rtol=1e-14)
    np.testing.assert_allclose(found["dw"], np.mean((1 - z) * np.exp(-z) * at[rows]), rtol=1e-14)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 100])
def test_every_batch_size(size: int) -> None:
    problem = BY_NAME["linear"].forms["indexed"]
    assert_averages(problem, size, compiled(problem))


@pytest.mark.parametrize("size", [2, 3])
def test_matrix_notation(size: int) -> None:
    problem = BY_NAME["linear"].forms["matrix"]
    assert_averages(problem, size, interpreted(problem))


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax", "svm", "bradley-terry", "factorisation", "poisson"])
def test_one_batch_against_the_oracle(name: str) -> None:
    """The batch alone, at 50 digits: the regulariser has weight lam/N, the losses 1/|B|."""
    problem = BY_NAME[name].forms["indexed"]
    samples, rows = count(problem), np.array([3, 0, 2])
    part = {n: v[rows] if n in sampled(problem) else v for n, v in problem.inputs.items()}
    if "lam" in part:
        part["lam"] = part["lam"] * len(rows) / samples
    expected = exact(Problem(problem.objective, problem.wrt, part)).floats()[1]
    found = interpreted(problem)(rows)
    for parameter, g in zip(problem.names, found, strict=True):
        np.testing.assert_allclose(g, expected[parameter] / len(rows), rtol=1e-12, atol=1e-13)


def test_regulariser_alone_is_counted_once() -> None:
    """With no loss at all to learn from, each batch gives the gradient of lam w**2, over N."""
    problem = BY_NAME["linear"].forms["indexed"]
    model = gc.compile(**arguments(problem))
    silent = {"x": np.zeros((6, 2)), "t": np.full(6, problem.inputs["b"])}
    for rows in epoch(6, 4):
        dw, db = call(model.minibatch_grad, problem, rows=rows, **silent)
        np.testing.assert_allclose(dw, 2 * problem.inputs["lam"] * problem.inputs["w"] / 6, rtol=1e-14)
        assert db == 0


def test_a_sample_may_be_drawn_twice() -> None:
    problem = BY_NAME["linear"].forms["indexed"]
    gradients = compiled(problem)
    twice, once = gradients(np.array([4, 4, 1, 1])), gradients(np.array([1, 4]))
    for a, b in zip(twice, once, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("rows", [[6], [0, -7], []], ids=["above", "below", "none"])
def test_rows_that_do_not_exist_are_refused(rows: list[int]) -> None:
    problem = BY_NAME["linear"].forms["indexed"]
    with pytest.raises(gc.errors.GradcompileError):
        call(gc.compile(**arguments(problem)).minibatch_grad, problem, rows=np.array(rows, dtype=np.int64))


@pytest.mark.parametrize(("name", "notation"), NOT_SUMS)
def test_what_is_not_a_sum_is_refused_with_the_reason(name: str, notation: str) -> None:
    problem = BY_NAME[name].forms[notation]
    model = gc.compile(**arguments(problem))
    with pytest.raises(gc.errors.MinibatchError) as caught:
        call(model.minibatch_grad, problem, rows=np.array([0, 1]))
    said = str(caught.value).lower()
    assert "sum" in said
    assert "sample" in said
    assert "to do:" in said  # and what to do instead


DECLARED = "x: data[T]\na: parameter[3]\nb: parameter\n"
REASONS = [
    ("loss = Sum(x[n]*b, n)/Sum(x[n]**2, n)", "loss", "the objective divides by a sum over n"),
    (
        "loss = Sum((x[t + 3] - Sum(a[k]*x[t + k], k))**2, t, 0, T - 4)",
        "loss",
        "the sum over t has T - 3 terms, and does not run over the entries of x, of which there are T",
    ),
    ("fit = (x[0] - b)**2", "fit", "the objective has no sum over the entries of x, of which there are T"),
    ("y[t] = b*x[t]\nfit = Sum(y[s], s)*Sum(y[s]**2, s)", "fit", "the objective multiplies sums over s"),
]


@pytest.mark.parametrize(("text", "loss", "reason"), REASONS, ids=[text for text, _, _ in REASONS])
def test_refusal_shows_the_line_of_the_objective_and_the_letters_of_the_user(text: str, loss: str, reason: str) -> None:
    graph = gc.compile(gc.parse(DECLARED + text + "\nother = b\n", loss=loss)).lowered
    with pytest.raises(gc.errors.MinibatchError) as caught:
        minibatch(graph)
    first, line, caret, *rest = str(caught.value).split("\n")
    assert first == "a minibatch cannot estimate this objective"
    assert line.strip() == text.split("\n")[-1]
    assert caret == "    " + "^" * len(loss)
    assert reason in "\n".join(rest)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "notation"), NOT_SUMS)
def test_what_is_not_a_sum_is_fitted_with_all_samples(name: str, notation: str) -> None:
    problem = BY_NAME[name].forms[notation]
    model = gc.compile(**arguments(problem))
    start = {n: problem.inputs[n] for n in problem.names}
    data = {n: v for n, v in problem.inputs.items() if n not in start}
    with pytest.raises(gc.errors.MinibatchError):
        model.fit(**data, init=start, optimizer=gc.SGD(0.01), epochs=1, batch_size=2, progress=False)
    result = model.fit(**data, init=start, optimizer=gc.SGD(0.01), epochs=3, batch_size=None, progress=False)
    before, after = call(model.value, problem), call(model.value, problem, **result.params)
    assert after < before
