"""`gradcompile check`: the compiled gradient against one at 50 digits, component by component."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.cli import data, given, numbers, start, terminal
from gradcompile.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from gradcompile.compiler import CompiledModel

EXAMPLES = """\
examples:
  gradcompile check "1 + exp(w1*x + w0)" --wrt x,w1,w0
  gradcompile check softmax
  gradcompile check "sqrt(a*x)" --wrt a --at a=2,x=0.5
  gradcompile check my.model --data points.csv --json

The gradient of the compiled code at a random point of a small problem is compared with differences of the objective at
50 digits, which share neither derivatives nor generated code with it. Exit status 1 if a component is wrong.
"""

Point = dict[str, Any]

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}  # relative to the component
FLOOR = {"float64": 1e-14, "float32": 1e-6}  # and to the largest of its parameter: where terms cancel
RANGES = ((-1.0, 1.0), (0.1, 0.9), (0.5, 2.0), (1.0, 3.0), (-0.1, 0.1))  # of real inputs, until all is finite
ROWS = 20  # of a file
MOST = 60  # components that are looked at, of each parameter
PASSED, FAILED = "right", "WRONG"


@dataclass(frozen=True)
class Row:
    """What was found of one parameter: its worst component and how many were looked at."""

    parameter: str
    shape: tuple[int, ...]
    checked: int
    worst: str
    gradient: float
    exact: float
    error: float
    right: bool

    @property
    def digits(self) -> float:
        """The decimal digits in which the two agree, at most 16."""
        return min(16.0, max(0.0, -math.log10(max(self.error, 1e-16)))) if math.isfinite(self.error) else 0.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    given.untrusted(parser)
    parser.add_argument("--at", metavar="NAME=NUMBER,...", default="", help="numbers in place of random ones")
    data.arguments(parser, required=False)
    start.arguments(parser)
    parser.add_argument("--seed", type=terminal.seed, default=0, help="of the random point (default: 0)")
    terminal.arguments(parser, json="the result as a line of JSON", quiet="the exit status alone")


def run(chosen: argparse.Namespace) -> int:
    """Check, show the table, and return 1 if something is wrong."""
    from gradcompile.compiler import compile

    found = given.read(chosen)
    compiled = compile(found.model, dtype=found.dtype)
    fixed = numbers.numbers(chosen.at, "--at")
    point = sample(compiled, fixed, chosen.seed, _read(compiled, chosen) if chosen.data else {})
    value, gradients = compiled.value_and_grad(**point)
    rows = list(compared(compiled, point, (gradients,) if found.model.single else gradients))
    right = all(row.right for row in rows)
    if chosen.json:
        terminal.result_as_json(_content(found.name, value, rows, right))
    elif not chosen.quiet:
        _show(found.name, value, point, rows)
    return 0 if right else 1


def _read(compiled: CompiledModel, chosen: argparse.Namespace) -> Point:
    """Return the first rows of the data, and parameters of the sizes that they have."""
    whole, told = start.inputs(compiled, chosen)
    inputs = {name: array[:ROWS] if np.ndim(array) else array for name, array in whole.items()}
    terminal.note(f"{told}; the first {ROWS} of them are used to check", quiet=chosen.quiet or chosen.json)
    defaults = {name: i.default for name, i in compiled.lowered.inputs.items() if i.default is not None}
    return {**defaults, **inputs, **start.parameters(compiled, inputs, chosen)}


def sample(compiled: CompiledModel, fixed: Mapping[str, float], seed: int, known: Mapping[str, Any]) -> Point:
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
    from gradcompile.interpret import evaluate

    for name in fixed:
        if name not in compiled.arguments:
            raise UnknownNameError(f"the model has no {name!r}", expected=", ".join(compiled.arguments), found=name)
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
    from gradcompile.emit.problem import problem

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


def compared(compiled: CompiledModel, point: Point, gradients: Sequence[Any]) -> Iterator[Row]:
    """Yield a row for every parameter."""
    from gradcompile.cli.exact import Exact

    exact = Exact(compiled.lowered, {name: point[name] for name in compiled.lowered.inputs})
    for name, gradient in zip(compiled.graph.wrt, gradients, strict=True):
        yield _row(name, np.asarray(gradient), exact, compiled.dtype)


def _row(name: str, gradient: Any, exact: Any, dtype: str) -> Row:
    """Return the row of one parameter."""
    places = list(np.ndindex(gradient.shape))
    if len(places) > MOST:
        chance = np.random.default_rng(0)
        places = [places[k] for k in sorted(chance.choice(len(places), MOST, replace=False))]
    pairs = [(place, float(gradient[place]), exact.slope(name, place)) for place in places]
    largest = max(abs(right) for _, _, right in pairs)
    worst = max(pairs, key=lambda pair: _excess(pair, largest, dtype))
    place, found, right = worst
    error = abs(found - right) / abs(right) if right else abs(found - right)
    shown = f"{name}[{', '.join(map(str, place))}]" if place else name
    fine = _excess(worst, largest, dtype) <= 1
    return Row(name, gradient.shape, len(places), shown, found, right, error, fine)


def _excess(pair: tuple[tuple[int, ...], float, float], largest: float, dtype: str) -> float:
    """Return an error in units of what is allowed; infinite for what is not a number."""
    _, found, right = pair
    if found == right:
        return 0.0
    excess = abs(found - right) / (TOLERANCE[dtype] * abs(right) + FLOOR[dtype] * (largest or 1.0))
    return math.inf if math.isnan(excess) else excess


def _show(name: str, value: float, point: Point, rows: list[Row]) -> None:
    wrong = [row.parameter for row in rows if not row.right]
    cells = [
        (
            row.parameter,
            " x ".join(map(str, row.shape)) or "number",
            str(row.checked),
            row.worst,
            f"{row.gradient:.6g}",
            f"{row.exact:.6g}",
            f"{row.digits:.1f}",
            PASSED if row.right else FAILED,
        )
        for row in rows
    ]
    heads = ("parameter", "shape", "checked>", "worst", "compiled>", "exact>", "digits>", "")
    terminal.table(heads, cells, marks={PASSED: "green", FAILED: "bold red"})
    scalars = ", ".join(f"{k} = {v:.6g}" for k, v in point.items() if isinstance(v, (int, float)))
    terminal.result(f"{name}: value {value:.12g}" + (f" at {scalars}" if scalars else " at a random point"))
    terminal.result(
        f"the gradient is WRONG in {', '.join(wrong)}" if wrong else "the gradient is right, compared at 50 digits"
    )


def _content(name: str, value: float, rows: list[Row], right: bool) -> dict[str, Any]:
    """Return the result for machines."""
    parameters = [vars(row) | {"digits": row.digits} for row in rows]
    return {"model": name, "right": right, "value": value, "parameters": parameters}
