"""Random models by every way of running them, against 50 digits: 150 in every run, 10,000 with `-m slow`.

The bound is |g - g*| <= 64 eps S for every component, S being the sum of the absolute values of all contributions to
it (tape.py). A model that fails is printed by `python -m tests.random_models NUMBER`.

What must be one number is compared to the bit: a value alone and beside its gradient, a model compiled twice, a kernel
from the cache. Where the arithmetic is another (other targets, without passes, forward mode, other notation), the bound
decides.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import gradcompile as gc
from gradcompile.adjoint import adjoint
from gradcompile.errors import ModelError
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.tangent import tangent
from tests.oracle import exact, mp
from tests.random_models import Model, numbered, whole_models
from tests.zoo import arguments, as_passed, load, load_uncompiled

EPS = float(np.finfo(np.float64).eps)
BOUND = 64 * EPS
CHUNK = 25
QUICK = [range(start, start + CHUNK) for start in range(0, 150, CHUNK)]
# A label that is itself an array read elsewhere; a gradient added to a whole array; parts of what is real; conjugates
# in a branch; data read at the samples of a block and at others; a bound that is pi; gamma of 1 in Python's arithmetic.
WRONG = [5832, 2003, 1745, 2470, 812, 794, 576]
LONG = [range(start, start + 50) for start in range(150, 10_000, 50)]
KERNELS = (3, 14, 26, 43)  # a gather, a branch, matrices, a definition
WORDLESS = ("matri", "has no range", "no ITE")  # what the text language does not say
Grads = dict[str, np.ndarray]


def off(found: Any, exact_value: Any, scale: Any) -> float:
    """Return an error in bounds; a number that is not finite is off by infinity."""
    if not np.isfinite(found):
        return float("inf")
    error = abs(mp.mpf(float(found)) - exact_value)
    return float(error / (BOUND * scale)) if error else 0.0


def check(model: Model, way: str, value: Any, grads: Grads) -> None:
    answer = model.answer
    assert off(value, answer.value, answer.value_scale) <= 1, f"{way}: the value is {value}, not {answer.value}"
    assert set(grads) == set(answer.grads)
    for name, expected in answer.grads.items():
        found = np.asarray(grads[name], dtype=float)
        assert found.shape == expected.shape, f"{way}: the shape of d{name}"
        for place in np.ndindex(expected.shape):
            wrong = off(found[place], expected[place], answer.scales[name][place])
            assert wrong <= 1, (
                f"{way}: d{name}{list(place)} is {found[place]}, not {expected[place]}: {wrong:.3g} bounds"
            )


def interpreted(graph: Graph, model: Model) -> tuple[Any, Grads]:
    outputs = evaluate(graph, {name: np.asarray(value) for name, value in model.problem.inputs.items()})
    return outputs["value"], {name: outputs[f"d{name}"] for name in model.problem.names}


def by_module(model: Model, compiled: Any, target: str, folder: Path) -> None:
    """Check an emitted module, and that its functions agree to the bit."""
    text = gc.emit(**arguments(model.problem), target=target)
    module = (load_uncompiled if target == "numba" else load)(text, folder / f"emitted_{target}.py")
    given = [model.problem.inputs[name] for name in compiled.arguments]
    inputs = [np.asarray(v).tolist() if target == "python" else as_passed(v) for v in given]
    value, grads = module.value_and_grad(*inputs)
    check(model, target, value, dict(zip(model.problem.names, grads, strict=True)))
    for again, grad in zip(module.grad(*inputs), grads, strict=True):
        np.testing.assert_array_equal(again, grad)
    # the bound, not the bit: without a gradient, other values are kept and a line is another
    assert off(module.value(*inputs), model.answer.value, model.answer.value_scale) <= 1


def in_forward_mode(model: Model, compiled: Any, seed: int) -> None:
    """The derivative along a direction is the exact gradient times that direction."""
    random, answer = np.random.default_rng(seed), model.answer
    ways = {name: random.normal(size=grad.shape) for name, grad in answer.grads.items()}
    graph = tangent(compiled.lowered, {name: f"v_{name}" for name in ways})
    inputs = {name: np.asarray(value) for name, value in model.problem.inputs.items()}
    found = evaluate(graph, inputs | {f"v_{name}": way for name, way in ways.items()})["value"]
    terms = [(g * mp.mpf(float(v)), s * abs(v)) for name, way in ways.items()
             for g, s, v in zip(answer.grads[name].flat, answer.scales[name].flat, way.flat, strict=True)]  # fmt: skip
    assert off(found, mp.fsum(g for g, _ in terms), float(sum(s for _, s in terms))) <= 1, "forward mode"


def in_text(model: Model, compiled: Any) -> None:
    """A model typed as text has the same gradient, and where it is the same graph the same code."""
    try:
        typed = gc.compile(gc.parse(compiled.model.text))
    except ModelError as error:
        if any(words in str(error) for words in WORDLESS):
            return
        raise
    check(model, "text", *interpreted(typed.graph, model))
    if str(typed.graph) == str(compiled.graph):
        np.testing.assert_equal(interpreted(typed.graph, model), interpreted(compiled.graph, model))


def check_all(model: Model, seed: int, folder: Path) -> None:
    compiled = gc.compile(**arguments(model.problem))
    check(model, "interpreter", *interpreted(compiled.graph, model))
    if seed % 2:
        check(model, "without passes", *interpreted(adjoint(compiled.lowered), model))
    else:
        in_forward_mode(model, compiled, seed)
    by_module(model, compiled, ("python", "numpy")[seed % 2], folder)
    if seed % 4 == 0:
        by_module(model, compiled, "numba", folder)
    if seed % 5 == 0:
        in_text(model, compiled)
    if seed % 50 == 0:
        assert gc.compile(**arguments(model.problem)).source == compiled.source


def check_numbered(seed: int, folder: Path) -> bool:
    model = numbered(seed)
    if model is None:
        return False
    try:
        check_all(model, seed, folder)
    except Exception as error:
        raise AssertionError(f"model number {seed}: {model.problem}") from error
    return True


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # vectorised functions run uncompiled wrap around on purpose
@pytest.mark.one_in(4)
@pytest.mark.parametrize("seeds", QUICK, ids=lambda seeds: f"from-{seeds.start}")
def test_the_first_models(seeds: range, tmp_path: Path) -> None:
    assert sum(check_numbered(seed, tmp_path) for seed in seeds) >= 0.9 * len(seeds)


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # vectorised functions run uncompiled wrap around on purpose
@pytest.mark.parametrize("seed", WRONG)
def test_models_that_were_wrong_once(seed: int, tmp_path: Path) -> None:
    assert check_numbered(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seeds", LONG, ids=lambda seeds: f"from-{seeds.start}")
def test_ten_thousand_models(seeds: range, tmp_path: Path) -> None:
    assert sum(check_numbered(seed, tmp_path) for seed in seeds) >= 0.9 * len(seeds)


@settings(max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(model=whole_models)
def test_models_that_hypothesis_draws(model: Model | None) -> None:
    if model is not None:
        check(model, "interpreter", *interpreted(gc.compile(**arguments(model.problem)).graph, model))


def kernel(model: Model) -> tuple[Any, Grads, Any]:
    compiled = gc.compile(**arguments(model.problem))
    value, grads = compiled.wait().value_and_grad(**model.problem.inputs)
    return value, dict(zip(model.problem.names, grads, strict=True)), compiled


@pytest.mark.one_in(3)
@pytest.mark.parametrize("seed", KERNELS)
def test_kernels_compiled_and_from_the_cache(seed: int) -> None:
    model = numbered(seed)
    assert model is not None
    value, grads, compiled = kernel(model)
    assert "@njit" in compiled.source
    check(model, "kernel", value, grads)
    again, others, _ = kernel(model)
    np.testing.assert_equal((again, others), (value, grads))


@functools.cache
def sample() -> list[Model]:
    return [model for seed in range(16) if (model := numbered(seed)) is not None]


@pytest.mark.parametrize("place", range(8))
def test_the_tape_agrees_with_sympy(place: int) -> None:
    """The oracle of these tests against the one that differentiates symbols, which SymPy cannot do with Mod."""
    model = [each for each in sample() if "Mod(" not in str(each.problem)][place]
    other = exact(model.problem)
    for name, grad in model.answer.grads.items():
        for mine, theirs in zip(grad.flat, other.grads[name].flat, strict=True):
            assert abs(mine - theirs) <= 1e-40 * max(1, abs(theirs))


def test_a_number_is_a_model_on_every_machine() -> None:
    first, again = numbered(3), numbered(3)
    assert first is not None
    assert again is not None
    assert str(first.problem) == str(again.problem)
    assert first.answer.value == again.answer.value
