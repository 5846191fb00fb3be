"""Points at which to check a gradient: small, random, the same for the same seed, and where all is finite."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from gradcompile.arguments.signature import axes
from gradcompile.compiler import CompiledModel
from gradcompile.emit.problem import problem
from gradcompile.errors import DataError, ShapeError, UnknownNameError
from gradcompile.interpret import evaluate

Point = dict[str, Any]

NOTHING: Mapping[str, Any] = MappingProxyType({})
RANGES = ((-1.0, 1.0), (0.1, 0.9), (0.5, 2.0), (1.0, 3.0), (-0.1, 0.1))  # of real inputs, until all is finite


def sample(compiled: CompiledModel, fixed: Mapping[str, float], seed: int, known: Mapping[str, Any] = NOTHING) -> Point:
    """Return inputs of a small problem at which value and gradient are finite.

    Parameters
    ----------
    compiled : CompiledModel
        The model.
    fixed : mapping of str to float
        Inputs that are what the user says.
    seed : int
        Of the others.
    known : mapping of str to array
        Inputs from a file, and parameters with the shapes that go with them.

    Raises
    ------
    DataError
        Nothing finite was found.
    """
    for name in fixed:
        if name not in compiled.arguments:
            raise UnknownNameError(
                f"the model has no {name!r}",
                expected=", ".join(compiled.arguments),
                found=name,
                hint="leave it out, or correct the name",
            )
        if compiled.lowered.inputs[name].shape:
            what, hint = f"{name} is an array, and one number is given for it", "give numbers to names without axes"
            raise ShapeError(what, expected=f"axes {axes(compiled.lowered.inputs[name])}", found="a number", hint=hint)
    random = np.random.default_rng(seed)
    for low, high in RANGES:
        point = _random(compiled, random, low, high, known) | dict(fixed)
        try:
            results = evaluate(compiled.graph, point)
        except np.linalg.LinAlgError:
            continue
        if all(np.isfinite(array).all() for array in results.values()):
            return point
    hint = "give a point at which it is, as in --at x=0.5,w=2"
    raise DataError("the objective or its gradient is not finite at any of the points that were tried", hint=hint)


def _random(
    compiled: CompiledModel, random: np.random.Generator, low: float, high: float, known: Mapping[str, Any]
) -> Point:
    """Return random inputs: parameters as large as in `known`, the rest of it as it is; else a small problem."""
    if known:
        return {n: random.uniform(low, high, np.shape(v)) if n in compiled.graph.wrt else v for n, v in known.items()}
    point: Point = {}
    for name, shape, labels in problem(compiled.graph):
        default = compiled.graph.inputs[name].default
        if labels:
            point[name] = random.integers(0, labels, shape)
        else:
            real = random.uniform(low, high, shape).astype(compiled.dtype) if shape else random.uniform(low, high)
            point[name] = real if default is None else default
        if not shape:
            point[name] = int(point[name]) if labels else float(point[name])
    return point
