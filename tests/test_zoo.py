"""Every model of the zoo, in every notation, by every way of running it, against 50 digits.

The bound is |g - g*| <= 64 eps scale, component by component, with scale = max(1, S). S is the size of the terms
that are added up to make g*, carried to first order through products and functions (oracle.Evaluator): one eps of S
is what one rounding of each term can do, so a bound without S would ask for more than the arithmetic has wherever
terms cancel, and a bound relative to the whole gradient would let a wrong small component pass. 64 leaves room for
the number of operations on the way and for elementary functions that are right to 2 units in the last place.
A row with another tolerance says why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from tests.oracle import Answer, Problem, mp
from tests.zoo import (
    BY_NAME,
    ZOO,
    Row,
    arguments,
    as_passed,
    call,
    in_order,
    load,
    load_uncompiled,
    reference,
    reference_notation,
)

EPS = float(np.finfo(np.float64).eps)
Found = tuple[Any, dict[str, Any]]  # value, gradient by name


def notations(*wanted: str) -> list[Any]:
    return [
        pytest.param(row.name, notation, id=f"{row.name}-{notation}")
        for row in ZOO
        for notation in row.forms
        if not wanted or notation in wanted
    ]


ROWS = [pytest.param(row.name, id=row.name) for row in ZOO]
SEVERAL = [pytest.param(row.name, id=row.name) for row in ZOO if len(row.forms) > 1]
# Rows that Numba compiles in every run; it compiles all of them, in every notation, with `-m slow`.
SAMPLE = ("neuron-relu", "logistic", "softmax", "svm", "huber", "negative-binomial", "network-2-gelu", "factorisation",
          "ackley", "pinhole", "bradley-terry", "root-of-sum")  # fmt: skip
QUICK = [pytest.param(name, id=name) for name in SAMPLE]
ALL_COMPILED = [
    pytest.param(row.name, notation, id=f"{row.name}-{notation}", marks=[pytest.mark.slow])
    for row in ZOO
    for notation in row.forms
    if row.name not in SAMPLE or notation != reference_notation(row.name)
] + [pytest.param(name, reference_notation(name), id=f"{name}-{reference_notation(name)}") for name in SAMPLE]


@functools.cache
def compiled(name: str, notation: str) -> Any:
    return gc.compile(**arguments(BY_NAME[name].forms[notation]))


def by_kernel(name: str, notation: str, tmp_path: Path) -> Found:
    problem, model = BY_NAME[name].forms[notation], compiled(name, notation)
    value, grads = call(model.wait().value_and_grad, problem)
    return value, dict(zip(problem.names, grads, strict=True))


def by_interpreter(name: str, notation: str, tmp_path: Path) -> Found:
    problem = BY_NAME[name].forms[notation]
    inputs = {name: np.asarray(value) for name, value in problem.inputs.items()}
    outputs = evaluate(compiled(name, notation).graph, inputs)
    return outputs["value"], {name: outputs[f"d{name}"] for name in problem.names}


def emitted(name: str, notation: str, target: str, tmp_path: Path) -> tuple[Any, list[Any]]:
    """Return an emitted module, imported from a file, and its arguments in order; plain Python gets nested lists."""
    problem = BY_NAME[name].forms[notation]
    read = load_uncompiled if target == "numba" else load
    module = read(gc.emit(**arguments(problem), target=target), tmp_path / f"emitted_{target}.py")
    inputs = [problem.inputs[n] for n in compiled(name, notation).arguments]
    return module, [np.asarray(v).tolist() if target == "python" else as_passed(v) for v in inputs]


def by_module(target: str) -> Callable[[str, str, Path], Found]:
    def run(name: str, notation: str, tmp_path: Path) -> Found:
        module, inputs = emitted(name, notation, target, tmp_path)
        before = [np.array(each, copy=True) for each in inputs]
        value, grads = module.value_and_grad(*inputs)
        for each, old in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(each, old)  # the caller's arrays are left alone
        return value, dict(zip(BY_NAME[name].forms[notation].names, grads, strict=True))

    return run


def check(row: Row, problem: Problem, found: Found) -> None:
    """Compare with the oracle; a NaN or an infinity is a failure and never passes a comparison."""
    asked, answer = reference(row.name)
    value, grads = found
    expected, scales = in_order(asked, answer.grads), in_order(asked, answer.scales)
    assert_close("value", value, answer.value, answer.value_scale, row.tolerance)
    for name in problem.names:
        assert np.shape(grads[name]) == np.shape(problem.inputs[name]), f"the shape of the gradient of {name}"
    vector = in_order(problem, grads)
    assert len(vector) == len(expected)
    for place, (g, exact, scale) in enumerate(zip(vector, expected, scales, strict=True)):
        assert_close(f"component {place} of the gradient", g, exact, scale, row.tolerance)


def assert_close(what: str, found: Any, exact: Any, scale: Any, tolerance: float) -> None:
    assert np.isfinite(found), f"{what} is {found} where {mp.nstr(exact, 17)} is right"
    error, bound = abs(mp.mpf(float(found)) - exact), tolerance * EPS * max(1, scale)
    assert error <= bound, f"{what}: {found} for {mp.nstr(exact, 20)}: off by {mp.nstr(error / bound, 3)} bounds"


def assert_answer(answer: Answer, value: Any, grads: dict[str, Any]) -> None:
    """Compare a value and gradients with exact ones."""
    assert_close("value", value, answer.value, answer.value_scale, 64)
    for parameter, expected in answer.grads.items():
        found = np.asarray(grads[parameter], dtype=float)
        assert found.shape == expected.shape, parameter
        for place in np.ndindex(expected.shape):
            scale = answer.scales[parameter][place]
            assert_close(f"d{parameter}{list(place)}", found[place], expected[place], scale, 64)


WAYS = [
    pytest.param(by_interpreter, id="interpreter"),
    *[pytest.param(by_module(target), id=target) for target in ("python", "numpy", "numba")],
]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("name", "notation"), notations())
@pytest.mark.parametrize("run", WAYS)
def test_value_and_gradient_at_50_digits(run: Any, name: str, notation: str, tmp_path: Path) -> None:
    row = BY_NAME[name]
    check(row, row.forms[notation], run(name, notation, tmp_path))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "notation"), ALL_COMPILED)
def test_kernel_at_50_digits(name: str, notation: str, tmp_path: Path) -> None:
    row = BY_NAME[name]
    check(row, row.forms[notation], by_kernel(name, notation, tmp_path))


@pytest.mark.one_in(9)
@pytest.mark.parametrize(("name", "notation"), notations())
def test_what_you_read_is_what_runs(name: str, notation: str) -> None:
    """The kernel is compiled from the text that is emitted for its target and its sizes, to the byte.

    Emitted text has no form that is trusted first, as a compiled model may: it is what answers in its place.
    """
    problem, model = BY_NAME[name].forms[notation], compiled(name, notation)
    call(model.value_and_grad, problem)
    exact = model._exact.answering
    sizes = exact.decision.sizes
    texts = (gc.emit(**arguments(problem), target=target, sizes=sizes) for target in ("numba", "python"))
    assert exact.source in {*texts}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("run", WAYS)
def test_all_notations_have_one_gradient(run: Any, name: str, tmp_path: Path) -> None:
    """To 1e-14, relative to the scale of each component."""
    row, (asked, answer) = BY_NAME[name], reference(name)
    scales = [max(1.0, float(scale)) for scale in in_order(asked, answer.scales)]
    vectors = []
    for notation, problem in row.forms.items():
        _, grads = run(name, notation, tmp_path)
        vectors.append(np.array(in_order(problem, grads), dtype=float))
    for vector in vectors[1:]:
        assert np.all(np.abs(vector - vectors[0]) <= 1e-14 * np.array(scales))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", QUICK)
def test_gradient_is_the_slope_of_the_value(name: str) -> None:
    """Central differences of the compiled value itself: no oracle, no formula.

    With step h = 1e-5 the truncation is h**2 times a third derivative and the rounding eps/h times the value.
    """
    problem, answer = reference(name)
    model, step = compiled(name, reference_notation(name)), 1e-5
    size = max(1.0, float(answer.value_scale), *(float(s) for s in in_order(problem, answer.scales)))
    for parameter, slope in zip(problem.names, call(model.grad, problem), strict=True):
        start = np.asarray(problem.inputs[parameter], dtype=float)
        for place in np.ndindex(start.shape):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * step
                ends.append(float(call(model.value, problem, **{parameter: moved})))
            difference = (ends[0] - ends[1]) / (2 * step)
            assert abs(np.asarray(slope)[place] - difference) <= 1e-7 * size


@pytest.mark.one_in(11)
@pytest.mark.parametrize(("name", "notation"), notations())
@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_value_and_grad_are_also_alone(name: str, notation: str, target: str, tmp_path: Path) -> None:
    row = BY_NAME[name]
    module, inputs = emitted(name, notation, target, tmp_path)
    names = row.forms[notation].names
    check(row, row.forms[notation], (module.value(*inputs), dict(zip(names, module.grad(*inputs), strict=True))))


def test_one_symbol_gives_one_gradient_and_a_list_a_tuple() -> None:
    problem = BY_NAME["linear"].forms["indexed"]
    w = problem.wrt[0]
    one = call(gc.compile(problem.objective, wrt=w).grad, problem)
    several = call(gc.compile(problem.objective, wrt=[w]).grad, problem)
    assert isinstance(one, np.ndarray)
    assert isinstance(several, tuple)
    assert len(several) == 1
    np.testing.assert_array_equal(one, several[0])


def test_arguments_are_the_parameters_and_then_the_rest() -> None:
    problem = BY_NAME["softmax"].forms["indexed"]
    names = list(compiled("softmax", "indexed").arguments)
    assert names[:2] == ["W", "b"]
    assert sorted(names[2:]) == ["gt", "lam", "x"]
    assert set(names) == set(problem.inputs)


def test_ties_of_hard_k_means_share_equally() -> None:
    """A sample in the middle between two centroids pulls each with half of its force."""
    problem = BY_NAME["k-means-hard"].forms["indexed"]
    model = gc.compile(problem.objective, wrt=list(problem.wrt))
    value, (grad,) = model.value_and_grad(x=[[0.0, 0.0]], c=[[1.0, 0.0], [-1.0, 0.0], [3.0, 3.0]])
    assert value == 1
    assert grad.tolist() == [[1, 0], [-1, 0], [0, 0]]


def test_missing_values_do_not_leak() -> None:
    """Masked rows hold NaN: neither they nor their gradients may be seen, and no other number may change."""
    problem = BY_NAME["masked"].forms["indexed"]
    model = gc.compile(problem.objective, wrt=list(problem.wrt))
    clean = {n: np.nan_to_num(v, nan=123.0) if n in "xt" else v for n, v in problem.inputs.items()}
    value, (grad,) = model.value_and_grad(**problem.inputs)
    expected_value, (expected,) = model.value_and_grad(**clean)
    assert value == expected_value
    assert grad.tolist() == expected.tolist()


def test_the_zoo_is_whole() -> None:
    """Every model of the list; number 22, the double pendulum, stands in test_large_graphs.py."""
    assert {row.number for row in ZOO} | {22} == set(range(1, 27))
