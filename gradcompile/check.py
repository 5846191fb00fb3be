"""Is the gradient right? Its components against extrapolated central differences of the value.

A component is right if it and the difference agree relative to their own size. An absolute tolerance certifies
nothing: where the difference is no more than rounding, the component is reported as not resolved, neither right
nor wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcompile.arguments import Argument
from gradcompile.compiler import CompiledModel
from gradcompile.compiler.flat import FlatFunction
from gradcompile.errors import DataError, GradientCheckError

Flat = NDArray[np.float64]
Function = Callable[[float], float]

TOLERANCE = {"float64": 1e-6, "float32": 1e-3}  # relative: what counts as agreement
COMPONENTS = 200  # looked at one by one; of larger gradients the largest, a sample, and one direction through all
STEPS = (1e-1, 1e-3)  # where the extrapolations start, relative to the parameter, or to 1 if that is larger
SHRINK, LEVELS = 1.6, 12
ROUNDING = 4 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Component:
    """One component of a gradient and its check.

    Parameters
    ----------
    name : str
        The entry of the parameter: ``W[2, 0]``; or ``all, along a direction``.
    gradient : float
        What the compiled code gives.
    difference : float
        What the differences of the value give.
    error : float
        How far off the difference may be, by its own estimate.
    """

    name: str
    gradient: float
    difference: float
    error: float

    @property
    def relative(self) -> float:
        """How far the two are apart, relative to the larger one."""
        if self.gradient == self.difference:
            return 0.0
        apart = abs(self.gradient - self.difference) / max(abs(self.gradient), abs(self.difference))
        return apart if math.isfinite(apart) else math.inf

    @property
    def digits(self) -> float:
        """The decimal digits in which the two agree, at most 16."""
        return min(16.0, max(0.0, -math.log10(max(self.relative, 1e-16))))

    @property
    def resolved(self) -> bool:
        """Whether the difference could tell a right component from a wrong one."""
        apart = abs(self.gradient - self.difference)
        return not apart <= self.error  # written so that a gradient of nan is resolved: it is wrong

    def __str__(self) -> str:
        """Return both numbers in a line."""
        return f"{self.name}: gradient {self.gradient:.10g}, difference {self.difference:.10g} ± {self.error:.1g}"


@dataclass(frozen=True)
class GradientReport:
    """What `check_grad` found.

    Parameters
    ----------
    value : float
        The objective.
    worst : Component
        The component with the fewest right digits among those that the differences resolve.
    checked, total : int
        How many components were looked at, of how many.
    unresolved : tuple of Component
        Components too small for differences to tell anything about.
    """

    value: float
    worst: Component
    checked: int
    total: int
    unresolved: tuple[Component, ...]

    @property
    def digits(self) -> float:
        """The decimal digits of the worst component that are confirmed."""
        return self.worst.digits

    def __str__(self) -> str:
        """Return the report in a few lines."""
        lines = [f"value {self.value:.10g}; {self.checked} of {self.total} components of the gradient checked"]
        lines.append(f"worst: {self.worst}; {self.digits:.1f} digits agree")
        if self.unresolved:
            lines.append(f"{len(self.unresolved)} too small for differences to tell, such as {self.unresolved[0]}")
        return "\n".join(lines)


def check_grad(model: CompiledModel, /, **inputs: Any) -> GradientReport:
    """Compare the gradient with differences of the value.

    Of an objective that is an array, the gradient of the sum of its numbers with random weights is checked: every
    derivative counts in it, and `vjp` and `value` are what is compared.

    Parameters
    ----------
    model : CompiledModel
        The model.
    **inputs : number or array-like
        All arguments by name: the point at which to check.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientCheckError
        A component is wrong; the message names the worst.
    DataError
        The objective is not finite at this point.

    Notes
    -----
    Differences are extrapolated to step 0 with an estimate of their error: C. J. F. Ridders, Accurate computation of
    F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982) 75-76.

    Examples
    --------
    >>> from sympy import exp, symbols
    >>> import gradcompile as gc
    >>> x, w = symbols("x w")
    >>> report = check_grad(gc.compile(exp(w*x), wrt=w), x=0.5, w=2)
    >>> report.digits > 8
    True
    """
    start = {name: inputs.pop(name) for name in model.graph.wrt if name in inputs}
    fun, flat = _flat_function(model, start, inputs)
    value, gradient = fun(flat)
    if not math.isfinite(value):
        what = f"the objective is {value} at this point: there is no gradient to check"
        raise DataError(what, expected="a finite value", hint="check at another point")
    if model.dtype != "float64":  # differences of the same formula, with the digits that they need
        fun, flat = _flat_function(CompiledModel(model.model, "float64", model.strict), start, inputs)
    names = _names(model, start)
    found = [
        Component(name, slope, *_difference(_along(fun, flat, way), scale))
        for name, slope, way, scale in _ways(gradient, flat, names)
    ]
    return _judged(value, found, flat.size, TOLERANCE[model.dtype])


def _flat_function(model: CompiledModel, start: dict[str, Any], inputs: dict[str, Any]) -> tuple[FlatFunction, Flat]:
    """Return value and gradient as a function of one flat array; an array becomes a sum with random weights."""
    if not model.is_array:
        return model.ravel(start, **inputs)
    arguments, sizes = model.checked.bind({**inputs, **start})
    shape = tuple(axis.size.evaluate(sizes) for axis in model.lowered.output_axes("value"))
    chance = np.random.default_rng(0)
    weights = chance.uniform(0.5, 1.5, shape) * chance.choice([-1.0, 1.0], shape)

    def call(given: Sequence[Argument]) -> tuple[float, tuple[Any, ...]]:
        named = dict(zip(model.arguments, given, strict=True))
        back = model.vjp(weights, **named)
        return float(np.sum(weights * model.value(**named))), back if isinstance(back, tuple) else (back,)

    fun = FlatFunction(call, arguments, model.graph.wrt, model.dtype)
    return fun, fun.start()


def _judged(value: float, found: list[Component], total: int, tolerance: float) -> GradientReport:
    """Return the report, or raise if a component is wrong."""
    unresolved = tuple(c for c in found if c.relative > tolerance and not c.resolved)
    told = [c for c in found if c not in unresolved] or list(found)
    worst = max(told, key=lambda c: c.relative)
    single = [c for c in found if not c.name.startswith("all,")]
    if worst.relative > tolerance and worst.resolved:
        wrong = sum(c.relative > tolerance and c.resolved for c in single)
        raise GradientCheckError(
            f"the gradient is wrong in {wrong or 'some'} of {total} components; the worst is {worst.name}",
            expected=f"{worst.difference:.10g} ± {worst.error:.1g}, by differences of the value",
            found=f"{worst.gradient:.10g}",
            hint="if the objective has a kink here, check at another point; else report a defect of gradcompile",
        )
    return GradientReport(value, worst, len(single), total, unresolved)


def _names(model: CompiledModel, start: dict[str, Any]) -> list[str]:
    """Return a name for every component, in the order of the flat array."""
    names = []
    for parameter in model.graph.wrt:
        declared = len(model.graph.inputs[parameter].shape)
        shape = np.shape(start[parameter])
        shape = (*shape, *(1,) * (declared - len(shape)))
        names += [f"{parameter}[{', '.join(map(str, at))}]" if at else parameter for at in np.ndindex(shape)]
    return names


def _ways(gradient: Flat, flat: Flat, names: list[str]) -> Iterator[tuple[str, float, Flat, float]]:
    """Yield the components to look at: a name, the slope that the gradient gives, a direction, the size of a step."""
    scales = np.maximum(np.abs(flat), 1.0)
    chance = np.random.default_rng(0)
    chosen = list(range(flat.size))
    if flat.size > COMPONENTS:
        largest = np.argsort(-np.abs(np.nan_to_num(gradient, nan=np.inf)), kind="stable")[: COMPONENTS // 2]
        others = chance.choice(flat.size, COMPONENTS // 2, replace=False)
        chosen = sorted({*largest.tolist(), *others.tolist()})
        way = chance.choice([-1.0, 1.0], flat.size) * scales / math.sqrt(flat.size)
        yield "all, along a direction", float(np.sum(gradient * way)), way, 1.0
    for place in chosen:
        way = np.zeros(flat.size)
        way[place] = 1.0
        yield names[place], float(gradient[place]), way, float(scales[place])


def _along(fun: FlatFunction, flat: Flat, direction: Flat) -> Function:
    """Return the value along a line through a point."""
    return lambda step: fun(flat + step * direction)[0]


def _difference(function: Function, scale: float) -> tuple[float, float]:
    """Return the derivative at 0 and an estimate of its error: the better of several extrapolations."""
    return min((_extrapolated(function, step * scale) for step in STEPS), key=lambda found: found[1])


def _extrapolated(function: Function, step: float) -> tuple[float, float]:
    """Return the derivative at 0 by Ridders' method."""
    best, error, before = math.nan, math.inf, list[float]()
    for level in range(LEVELS):
        up, down = function(step), function(-step)
        rounding = ROUNDING * max(abs(up), abs(down)) / step
        row = [(up - down) / (2 * step)]
        for order in range(level):
            factor = SHRINK ** (2 * (order + 1))
            row.append((factor * row[order] - before[order]) / (factor - 1))
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - before[order])) + rounding
            if estimate < error:
                best, error = row[-1], estimate
        before, step = row, step / SHRINK
    return best, error
