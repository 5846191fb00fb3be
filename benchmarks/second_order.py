"""What a product with the Hessian costs, in gradients: ``python -m benchmarks.second_order``.

Both are called in turn on one thread, and the best of their times counts: the ratio is of interest, and not the times.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np

import gradcompile as gc
from benchmarks.contestants import on_one_thread
from benchmarks.worker import seconds

ROUNDS = 30
MOST = 4.0  # gradients that a product may cost

Inputs = dict[str, Any]


def network(random: np.random.Generator, samples: int) -> Inputs:
    """Return images of 64 pixels, labels, and a network with 32 hidden units and 10 classes."""
    return {
        "x": random.normal(size=(samples, 64)),
        "gt": random.integers(10, size=samples),
        "W1": random.normal(size=(64, 32)) / 8,
        "b1": random.normal(size=32) / 8,
        "W2": random.normal(size=(32, 10)) / 8,
        "b2": random.normal(size=10) / 8,
    }


def mixture(random: np.random.Generator, samples: int) -> Inputs:
    """Return points in 10 dimensions and a mixture of 5 Gaussians."""
    return {
        "x": random.normal(size=(samples, 10)),
        "alpha": random.normal(size=5),
        "mu": random.normal(size=(5, 10)),
        "q": random.normal(size=(5, 10)) / 8,
        "L": random.normal(size=(5, 10, 10)) / 8,
    }


CASES = {"network": network, "gaussian_mixture": mixture}


def measured(name: str, samples: int) -> tuple[float, float]:
    """Return the seconds of a gradient and of a product with the Hessian."""
    random = np.random.default_rng(0)
    inputs = CASES[name](random, samples)
    model = gc.compile(gc.load(str(files("gradcompile") / "models" / f"{name}.model"))).wait()
    direction = tuple(random.normal(size=np.shape(inputs[parameter])) for parameter in model.graph.wrt)
    calls = (lambda: model.grad(**inputs), lambda: model.hvp(direction, **inputs))
    for call in calls:
        call()  # compiled before it is timed
    times = [[seconds(call) for call in calls] for _ in range(ROUNDS)]
    gradient, product = (min(each) for each in zip(*times, strict=True))
    return gradient, product


def main() -> int:
    """Print a table, and return 1 if a product costs more than it may."""
    on_one_thread()
    worst = 0.0
    print(f"{'model':<20}{'samples':>9}{'gradient':>12}{'hvp':>12}{'ratio':>8}")
    for name in CASES:
        for samples in (200, 1000, 10_000):
            gradient, product = measured(name, samples)
            worst = max(worst, product / gradient)
            print(f"{name:<20}{samples:>9}{gradient * 1e3:>9.3f} ms{product * 1e3:>9.3f} ms{product / gradient:>8.2f}")
    print(f"a product costs {worst:.2f} gradients at most; it may cost {MOST:.0f}")
    return int(worst > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
