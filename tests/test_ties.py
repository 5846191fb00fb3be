"""The elements that are equal to a maximum are found again in the backward half, however they are computed there.

What is added to all elements of a maximum has a derivative of 1: that of the shares, whatever the elements are.
"""

from __future__ import annotations

import numpy as np
import pytest

import gradcompile as gc

DECLARED = """
    w: parameter[V]
    u: parameter[D]
    b: parameter
    x: data[N, D]
    y: data[N]
    g: labels[N]
    h: labels[N]
"""
BODIES = {
    "products": "y[n]*w[g[n]] + w[h[n]]*w[g[n]] - y[n]*y[n]",
    "quotient": "(y[n] - w[g[n]])/(1 + w[h[n]]**2)",
    "functions": "tanh(Sum(x[n, d]*u[d], d))*w[h[n]] + y[n]*w[g[n]]",
    "linear": "Sum(x[n, d]*u[d], d) + y[n]",
}
OBJECTIVES = {  # what of the slope there is beside 1
    "largest": "Max({0} + b, n)",
    "smallest": "Min({0} + b, n)",
    "distance to it": "Sum(exp({0} + b - Max({0} + b, n)), n) + Max({0} + b, n)",
    "of two indices": "Max({0} + x[n, d]*w[g[n]]*y[n] + b, n, d)",
}


def arguments(samples: int, names: tuple[str, ...]) -> dict[str, object]:
    random = np.random.default_rng(samples)
    reals = {"w": 50, "u": 3, "y": samples, "x": (samples, 3)}
    found = {name: random.normal(size=shape) for name, shape in reals.items()}
    labels = {name: random.integers(50, size=samples) for name in "gh"}
    return {name: value for name, value in {**found, **labels, "b": 0.3}.items() if name in names}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("body", BODIES)
def test_shares_add_up_to_1(body: str, objective: str) -> None:
    text = f"{DECLARED}    loss = {OBJECTIVES[objective].format(BODIES[body])}"
    model = gc.compile(gc.parse(text)).wait()
    for samples in (1, 7, 1000, 40000):
        _, slopes = model.value_and_grad(**arguments(samples, model.arguments))
        of_b = dict(zip([n for n in model.arguments if n in "wub"], slopes, strict=True))["b"]
        assert of_b == pytest.approx(1.0, rel=1e-12), samples


def test_pairs_of_samples_are_not_kept() -> None:
    """What is compared with its maximum is kept for the backward half, but not if there is one for every pair."""
    model = gc.compile(gc.parse(f"{DECLARED}    loss = Max(exp(y[n]*w[g[m]])*y[m] + b, n, m)"))
    plan = model.plan.schedule
    assert all(value in plan.blocked for value, axes in plan.stored.items() if len(axes) > 1)


PAIRS = "w[g[m]]/(1.5 + Mean(x[m, d], d)**2)*log(exp(y[n]) + exp(Min(x[n, d], d)))"


@pytest.mark.parametrize("seed", range(4))
def test_pairs_that_are_computed_again_are_rounded_alike(seed: int) -> None:
    """The maximum is needed in a later pass over the samples, too: what belongs to it alone has a slope."""
    model = gc.compile(gc.parse(f"{DECLARED}    loss = log(Sum(exp(Max({PAIRS}, m)), n)) + 0*u[0] + 0*b")).wait()
    given = arguments(7 + seed, model.arguments)
    w, x, y, g = (np.asarray(given[name]) for name in "wxyg")
    below, factor = 1.5 + x.mean(axis=1) ** 2, np.logaddexp(y, x.min(axis=1))
    pairs = w[g] / below * factor[:, None]
    best, weight = pairs.argmax(axis=1), np.exp(pairs.max(axis=1))
    exact = np.zeros(50)
    np.add.at(exact, g[best], weight / weight.sum() * factor / below[best])
    _, (dw, *_) = model.value_and_grad(**given)
    np.testing.assert_allclose(dw, exact, rtol=1e-12, atol=1e-15)
    assert "@njit(fastmath=False" in model.source


@pytest.mark.parametrize(
    "objective", ["Sum(Min(Sum((x[n, d] - u[d]*w[k])**2, d), k), n)", "Sum(Max(x[n, d]*u[d] + b, d), n)"]
)
def test_what_is_computed_once_may_be_rearranged(objective: str) -> None:
    model = gc.compile(gc.parse(f"{DECLARED}    loss = {objective}"))
    assert "fastmath=False" not in model.source


def test_products_with_a_hessian_find_the_smallest_of_rounded_elements() -> None:
    """In float32 a sum of all samples stays double, and so did what was compared with the smallest, a float32."""
    model = gc.parse("""
    y: data[N]
    Q: parameter[N, D]
    p: parameter[V]
    loss = log(Sum(exp(Min(Sum(Q[n, d]*p[v], v)/11, d)*y[n]), n))
    """)
    random = np.random.default_rng(0)
    given = {"Q": random.normal(size=(300, 8)), "p": random.normal(size=11), "y": random.normal(size=300)}
    found = []
    for dtype in ("float64", "float32"):
        compiled = gc.compile(model, dtype=dtype)
        direction = np.ones((300, 8)), np.ones(11)
        compiled.hvp(direction, **given)
        for program in compiled._derivatives.programs:
            program.wait()
        found.append(compiled.hvp(direction, **given))
    for exact, single in zip(*found, strict=True):
        np.testing.assert_allclose(single, exact, rtol=0, atol=1e-5 * np.max(np.abs(exact)))
