"""`check_grad`: whether a gradient is right, and whether what is inexact is the formula's fault or the point's.

Three gradients meet, component by component. What the compiled code gives; what its emitted text gives when it is run
with 60 digits; and the derivative of the objective as the user wrote it, exact to more than 50 digits, which shares
neither rules nor passes nor code with the other two. Where emitted formula and exact derivative are equal, it is right;
if the compiled code is off all the same, the digits went to rounding, and the component is ill-conditioned. How much
rounding is magnified is measured: the emitted text is run again at the precision of the model, and once more with its
arguments moved in their last digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from gradcompile.arguments import Argument
from gradcompile.check.differences import TOLERANCE as OF_DIFFERENCES
from gradcompile.check.differences import by_differences, ways
from gradcompile.check.emitted import Emitted
from gradcompile.check.exact import Exact, Slope, numbers
from gradcompile.check.report import Component, GradientReport, Verdict
from gradcompile.compiler import CompiledModel, emit
from gradcompile.compiler.flat import FlatFunction
from gradcompile.errors import ArgumentError, DataError, GradientCheckError

Flat = NDArray[np.float64]

BITS = {"float64": 53, "float32": 24}
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}  # relative: what counts as right whatever the condition
FINE = 200  # bits: 60 decimal digits
MOVED = 70  # bits: the last digit in which arguments are moved
FORMULA = mpf(10) ** -35  # relative: how far the emitted formula may be from the exact derivative
LEFT = mpf(2) ** -100  # of the rounding at the model's precision, what may be left of it at 60 digits
SLACK = 1e3  # by how much more rounding may be magnified than was measured
MOST = 200  # components that are looked at one by one
WORK = 200_000  # numbers that are computed for the exact derivatives: a few seconds
LARGEST = 50_000  # numbers in one evaluation, beyond which differences in floating point have to do


def check_grad(model: CompiledModel, /, **inputs: Any) -> GradientReport:
    """Compare the gradient of a model with its exact derivative at 50 digits.

    Of an objective that is an array, the gradient of the sum of its numbers with random weights is checked: every
    derivative counts in it. That of a model which is too large for 50 digits is compared with differences in floating
    point.

    Parameters
    ----------
    model : CompiledModel
        The model, from `gradcompile.compile`.
    **inputs : number or array-like
        All arguments by name: the point at which to check.

    Returns
    -------
    GradientReport
        With a verdict on every component that was looked at: a component that floating point makes inexact while its
        formula is right is ill-conditioned, and not wrong.

    Raises
    ------
    GradientCheckError
        A component is wrong; the message names the worst.
    DataError
        The objective is not finite at this point.
    ArgumentError
        The model is not compiled.

    Examples
    --------
    >>> from sympy import exp, symbols
    >>> import gradcompile as gc
    >>> x, w = symbols("x w")
    >>> report = check_grad(gc.compile(exp(w*x), wrt=w), x=0.5, w=2)
    >>> report.digits > 14
    True
    >>> report.verdict
    'right'
    """
    if not isinstance(model, CompiledModel):
        what, found = "check_grad takes a compiled model", f"an object of type {type(model).__name__}"
        hint = "check_grad(gradcompile.compile(...), x=0.5)"
        raise ArgumentError(what, expected="what gradcompile.compile returns", found=found, hint=hint)
    report = examine(model, inputs)
    if not report.right:
        raise refusal(report)
    return report


def examine(model: CompiledModel, inputs: Mapping[str, Any]) -> GradientReport:
    """Return what `check_grad` finds, without raising where the gradient is wrong."""
    rest = dict(inputs)
    start = {name: rest.pop(name) for name in model.graph.wrt if name in rest}
    weights = _weights(model, inputs) if model.is_array else None
    fun, flat = _flat_function(model, start, rest, weights)
    value, gradient = fun(flat)
    if not math.isfinite(value):
        what = f"the objective is {value} at this point: there is no gradient to check"
        raise DataError(what, expected="a finite value", hint="check at another point")
    point = dict(zip(model.arguments, model.checked.bind(inputs)[0], strict=True))
    names = _names(model, point)
    given = {name: point[name] for name in model.lowered.inputs}
    exact = Exact(model.lowered, given, 1.0 if weights is None else weights)
    if exact.work > LARGEST:
        if model.dtype != "float64":  # differences of the same formula, with the digits that they need
            fun, flat = _flat_function(CompiledModel(model.model, "float64", model.strict), start, rest, weights)
        compared = by_differences(fun, flat, gradient, names, MOST, OF_DIFFERENCES[model.dtype])
        why = "with differences in floating point: the model is too large for 50 digits"
        return GradientReport(value, tuple(compared), flat.size, why)
    most = int(min(MOST, max(8, WORK // (2 * exact.work))))
    case = _Case(model.dtype, exact, _runs(model, point, weights))
    found = (
        case.component(name, slope, _split(model, point, way))
        for name, slope, way, _ in ways(gradient, flat, names, most)
    )
    return GradientReport(value, tuple(found), flat.size, "with exact derivatives at 50 digits")


def _weights(model: CompiledModel, inputs: Mapping[str, Any]) -> Flat:
    """Return random weights for the numbers of an objective that is an array."""
    sizes = model.checked.bind(inputs)[1]
    shape = tuple(axis.size.evaluate(sizes) for axis in model.lowered.output_axes("value"))
    chance = np.random.default_rng(0)
    return np.asarray(chance.uniform(0.5, 1.5, shape) * chance.choice([-1.0, 1.0], shape))


def _flat_function(
    model: CompiledModel, start: dict[str, Any], inputs: dict[str, Any], weights: Flat | None
) -> tuple[FlatFunction, Flat]:
    """Return value and gradient as a function of one flat array; of an array, of its sum with weights."""
    if weights is None:
        return model.ravel(start, **inputs)
    arguments, _ = model.checked.bind({**inputs, **start})

    def call(given: Sequence[Argument]) -> tuple[float, tuple[Any, ...]]:
        named = dict(zip(model.arguments, given, strict=True))
        back = model.vjp(weights, **named)
        return float(np.sum(weights * model.value(**named))), back if isinstance(back, tuple) else (back,)

    fun = FlatFunction(call, arguments, model.graph.wrt, model.dtype)
    return fun, fun.start()


@dataclass(frozen=True)
class _Runs:
    """The gradients that the emitted text gives: with 60 digits, at the model's precision, with arguments moved."""

    fine: tuple[Any, ...]
    rough: tuple[Any, ...]
    moved: tuple[Any, ...]


def _runs(model: CompiledModel, point: Mapping[str, Any], weights: Flat | None) -> _Runs:
    exact = [_number(numbers(point[name], i.kind)) for name, i in model.graph.inputs.items()]
    chance = np.random.default_rng(0)
    moved = [_moved(a, i.kind, chance) for a, i in zip(exact, model.graph.inputs.values(), strict=True)]
    gradient = _gradient(model, weights)
    return _Runs(gradient(exact, FINE), gradient(exact, BITS[model.dtype]), gradient(moved, FINE))


def _gradient(model: CompiledModel, weights: Flat | None) -> Callable[[list[Any], int], tuple[Any, ...]]:
    """Return the emitted gradient as a function of exact arguments and of a precision."""
    if weights is None:
        emitted = Emitted(model.source)
        return lambda arguments, bits: emitted.value_and_grad(arguments, bits=bits)[1]
    factor = _number(numbers(weights, "real"))
    of_array = Emitted(emit(model.model, dtype=model.dtype, strict=model.strict, target="numba"))
    return lambda arguments, bits: of_array.vjp([*arguments, factor], bits=bits)


def _number(array: Any) -> Any:
    return array if array.ndim else array.item()


def _moved(argument: Any, kind: str, chance: np.random.Generator) -> Any:
    """Return an argument with every real number changed in its last digits, up or down."""
    if kind == "int":
        return argument
    with mp.workprec(FINE):
        factor = 1 + chance.choice([-1, 1], np.shape(argument)).astype(object) * mpf(2) ** -MOVED
        return argument * factor if np.ndim(argument) else argument * (1 + mpf(2) ** -MOVED)


class _Case:
    """One model at one point."""

    def __init__(self, dtype: str, exact: Exact, runs: _Runs) -> None:
        self.bits, self.tolerance = BITS[dtype], TOLERANCE[dtype]
        self.exact, self.runs = exact, runs

    def component(self, name: str, slope: float, way: Mapping[str, Any]) -> Component:
        """Return the verdict on the derivative along one direction."""
        moving = {parameter: each for parameter, each in way.items() if any(each.flat)}
        exact = self.exact.along(moving)
        with mp.workprec(FINE):
            fine, rough, moved = (
                _along(run, way.values()) for run in (self.runs.fine, self.runs.rough, self.runs.moved)
            )
            formula = _relative(fine, exact.mean)
            condition = self._condition(fine, rough, moved)
            verdict = self._verdict(slope, exact, fine, rough, condition)
        return Component(name, slope, float(exact.mean), verdict, condition, formula)

    def _condition(self, fine: Any, rough: Any, moved: Any) -> float:
        """Return by how much relative errors are magnified: those of rounding, and those of the arguments."""
        if not fine:
            return math.inf if rough or moved else 1.0
        internal = abs(rough - fine) / abs(fine) * mpf(2) ** self.bits
        return float(max(internal, abs(moved - fine) / abs(fine) * mpf(2) ** MOVED, mpf(1)))

    def _verdict(self, slope: float, exact: Slope, fine: Any, rough: Any, condition: float) -> Verdict:
        if not exact.smooth:
            return "kink" if _between(slope, exact) else "WRONG"
        apart = abs(fine - exact.mean)
        if not apart <= FORMULA * abs(exact.mean) and not apart <= LEFT * abs(rough - fine):
            return "WRONG"
        relative = _relative(slope, float(exact.mean))
        if relative <= self.tolerance:
            return "right"
        return "ill-conditioned" if relative <= SLACK * condition * 2.0**-self.bits else "WRONG"


def _relative(found: Any, exact: Any) -> float:
    if found == exact:
        return 0.0
    apart = float(abs(found - exact) / abs(exact)) if exact else math.inf
    return math.inf if math.isnan(apart) else apart


def _between(slope: float, exact: Slope) -> bool:
    """Return whether a number is among the slopes at a kink; where these have no bound, any number is."""
    sides = [side for side in (exact.below, exact.above) if side == side]
    if math.isnan(slope) or not sides or not exact.bounded:
        return not math.isnan(slope)
    margin = exact.moved + mpf(10) ** -9 * max(map(abs, sides))
    return bool(min(sides) - margin <= slope <= max(sides) + margin)


def _along(gradients: Sequence[Any], way: Any) -> Any:
    """Return the sum of gradient times direction."""
    return sum((np.sum(np.asarray(g, object) * each) for g, each in zip(gradients, way, strict=True)), mpf(0))


def _split(model: CompiledModel, point: Mapping[str, Any], way: Flat) -> dict[str, Any]:
    """Return a flat direction as an array of exact numbers for each parameter."""
    parts, first = {}, 0
    for name in model.graph.wrt:
        shape = np.shape(point[name])
        size = math.prod(shape)
        parts[name] = numbers(way[first : first + size].reshape(shape), "real")
        first += size
    return parts


def _names(model: CompiledModel, point: Mapping[str, Any]) -> list[str]:
    """Return a name for every component, in the order of the flat array."""
    return [
        f"{parameter}[{', '.join(map(str, at))}]" if at else parameter
        for parameter in model.graph.wrt
        for at in np.ndindex(np.shape(point[parameter]))
    ]


def refusal(report: GradientReport) -> GradientCheckError:
    """Return the error for a wrong gradient."""
    worst = report.worst
    wrong = sum(c.verdict == "WRONG" for c in report.components if not c.name.startswith("all,"))
    by = f" ± {worst.uncertainty:.1g}, by differences of the value" if worst.uncertainty else ", at 50 digits"
    return GradientCheckError(
        f"the gradient is wrong in {wrong or 'some'} of {report.total} components; the worst is {worst.name}",
        expected=f"{worst.exact:.10g}{by}",
        found=f"{worst.gradient:.10g}",
        hint="report this as a defect of gradcompile, with the model and the point; or, if the model has a function of"
        " your own, look at its derivative",
    )
