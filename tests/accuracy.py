"""How many digits are right: value and gradient of a well-conditioned set, in units in the last place (ULP).

`python -m tests.accuracy [COUNT]` takes that many random models (500), by the interpreter and the targets python and
numpy, and of them the components whose condition is at most 4: the sum of the absolute contributions is at most four
times the component itself. There an error of one ULP in each of a few operations is all that honest arithmetic makes.
It prints the median, the 99th percentile and the largest error, and fails if a median is above 1 or a 99th
percentile above 8.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import gradcompile as gc
from gradcompile.interpret import evaluate
from tests.oracle import mp
from tests.random_models import Model, numbered
from tests.zoo import arguments

CONDITION = 4.0
MEDIAN, HIGH = 1.0, 8.0


def ulps(found: Any, exact: Any) -> float:
    """Return an error in units in the last place of the exact number."""
    return float(abs(mp.mpf(float(found)) - exact) / math.ulp(float(exact)))


def well_conditioned(exact: Any, scale: Any) -> bool:
    return exact != 0 and float(scale) <= CONDITION * abs(float(exact))


def errors(model: Model, value: Any, grads: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield ("value" or "gradient", error) for what is well-conditioned."""
    answer = model.answer
    if well_conditioned(answer.value, answer.value_scale):
        yield "value", ulps(value, answer.value)
    for name, exact in answer.grads.items():
        found = np.asarray(grads[name], dtype=float)
        for g, right, scale in zip(found.flat, exact.flat, answer.scales[name].flat, strict=True):
            if well_conditioned(right, scale):
                yield "gradient", ulps(g, right)


def by_targets(model: Model) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield (target, value, gradients) of the interpreter and of emitted modules."""
    compiled, names = gc.compile(**arguments(model.problem)), model.problem.names
    inputs = {name: np.asarray(value) for name, value in model.problem.inputs.items()}
    outputs = evaluate(compiled.graph, inputs)
    yield "interpreter", outputs["value"], {name: outputs[f"d{name}"] for name in names}
    for target in ("python", "numpy"):
        space: dict[str, Any] = {"__name__": "emitted"}
        exec(compile(gc.emit(**arguments(model.problem), target=target), target, "exec"), space)
        given = [inputs[name] for name in compiled.arguments]
        value, grads = space["value_and_grad"](*(a.tolist() if target == "python" or not a.ndim else a for a in given))
        yield target, value, dict(zip(names, grads, strict=True))


def measured(count: int) -> dict[tuple[str, str], list[float]]:
    """Return the errors in ULP, by target and by what they are of."""
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(count):
        if (model := numbered(seed)) is None:
            continue
        for target, value, grads in by_targets(model):
            for what, error in errors(model, value, grads):
                found.setdefault((target, what), []).append(error)
    return found


def main(count: int) -> int:
    table = measured(count)
    print(f"{'target':12} {'of':9} {'numbers':>8} {'median':>8} {'99 %':>8} {'largest':>8}   ULP")
    for (target, what), found in table.items():
        median, high = np.percentile(found, [50, 99])
        print(f"{target:12} {what:9} {len(found):8} {median:8.2f} {high:8.2f} {max(found):8.1f}")
    return int(any(np.percentile(e, 50) > MEDIAN or np.percentile(e, 99) > HIGH for e in table.values()))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
