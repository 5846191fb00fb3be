"""Models in the text language: arrays for what they declare, their answers at 50 digits, and their code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from tests.oracle import Problem
from tests.tape import answer

DECLARED = re.compile(r"(\w+): +(\w+)(?:\[(.*)\])?\n")


def two_classes(name: str) -> tuple[int, int]:
    return 0, 2


def arrays_for(
    text: str, sizes: Mapping[str, int], *, seed: int, labels: Callable[[str], tuple[int, int]] = two_classes
) -> dict[str, np.ndarray]:
    """Return an array for each declared name; `labels` gives, by name, the range in which labels lie."""
    random, found = np.random.default_rng(seed), {}
    for name, role, axes in DECLARED.findall(text):
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes.split(", ")] if axes else []
        found[name] = random.integers(*labels(name), shape) if role == "labels" else random.normal(size=shape)
    return found


def exact_answer(text: str, arrays: dict[str, np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """Return value and gradients, by a walk through the model at 50 digits."""
    model = gc.parse(text)
    value, gradients = answer(Problem(model.objective, model.wrt, arrays, define=model.definitions)).floats()
    return value, list(gradients.values())


def assert_right(text: str, arrays: dict[str, np.ndarray], found: tuple[float, Any]) -> None:
    """Compare value and gradients with those at 50 digits."""
    value, gradients = exact_answer(text, arrays)
    assert found[0] == pytest.approx(value, rel=1e-12)
    own = found[1] if isinstance(found[1], tuple) else (found[1],)
    for gradient, right in zip(own, gradients, strict=True):
        np.testing.assert_allclose(gradient, right, rtol=1e-11, atol=1e-13)


def gradient_of(text: str) -> str:
    """Return the text of the function that gives value and gradient."""
    source = gc.compile(gc.parse(text)).source
    return source[source.index("def value_and_grad(") : source.index("def grad(")]
