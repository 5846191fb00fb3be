"""Optimizers as formulas: one row each, lowered and emitted like a model.

A row says what one step does to one element of a parameter, in the letters

========  ==================================================================
``p``     the element
``g``     its gradient, of the objective per sample
``t``     the number of the step, from 1
``rate``  the learning rate
========  ==================================================================

and in the row's own hyperparameters and state variables. The formulas of a row are assignments in order: a later one
reads what an earlier one has written. A state variable starts at the number that the row gives it. Where it decays, as
a velocity without gradients does, it is 0 once it is subnormal: it would stay so, and steps would take several times as
long.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any, ParamSpec, TypeAlias

import sympy

from gradcompile.emit.update import Formulas
from gradcompile.errors import ArgumentError, ModelError
from gradcompile.ir import Graph
from gradcompile.lower import lower
from gradcompile.model import Model
from gradcompile.passes.fold import fold
from gradcompile.passes.share import share

Rate: TypeAlias = "float | sympy.Expr"  # a number, or a formula in the step number t

p, g, t, rate = sympy.symbols("p g t rate")
m, v, s = sympy.symbols("m v s")
momentum, beta1, beta2, rho, epsilon, decay = sympy.symbols("momentum beta1 beta2 rho epsilon decay")

# What a hyperparameter may be: lowest, highest, and whether the highest itself is allowed. Dimensionless, all of them.
RANGES: Mapping[str, tuple[float, float, bool]] = MappingProxyType(
    {
        "rate": (0.0, math.inf, False),
        "momentum": (0.0, 1.0, False),
        "beta1": (0.0, 1.0, False),
        "beta2": (0.0, 1.0, False),
        "rho": (0.0, 1.0, False),
        "epsilon": (0.0, math.inf, False),
        "decay": (0.0, math.inf, False),
    }
)


@dataclass(frozen=True)
class Optimizer:
    """A rule with its numbers: what `fit` takes.

    Parameters
    ----------
    rule : Rule
        The formulas.
    settings : mapping of str to SymPy expression
        The learning rate and the hyperparameters, each a number or a formula in the step number t.

    Examples
    --------
    >>> import gradcompile as gc
    >>> gc.SGD(0.1, momentum=0.9)
    SGD(rate=0.1, momentum=0.9)
    """

    rule: Rule
    settings: Mapping[str, sympy.Expr]

    def __repr__(self) -> str:
        """Return the call that makes it."""
        settings = [f"{name}={sympy.sstr(value, full_prec=False)}" for name, value in self.settings.items()]
        return f"{self.rule.name}({', '.join([*settings, *self.rule.variant])})"


@dataclass(frozen=True)
class Rule:
    """One row: an optimizer as formulas. Calling it with a learning rate gives an `Optimizer`.

    Parameters
    ----------
    name : str
        What it is called.
    steps : tuple of (Symbol, expression)
        The assignments of one step, in order; the last one is to `p`.
    state : mapping of Symbol to float
        Variables kept from step to step for each element, with the value that each starts at.
    defaults : mapping of str to float
        The hyperparameters beside the learning rate, with their defaults.
    source : str
        Where the formulas come from.
    variant : tuple of str
        What else the call says that makes it, where rules share a name.
    """

    name: str
    steps: tuple[tuple[sympy.Symbol, sympy.Expr], ...]
    state: Mapping[sympy.Symbol, float] = field(default_factory=lambda: MappingProxyType({}))
    defaults: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""
    variant: tuple[str, ...] = ()

    def __call__(self, *values: Rate, **named: Rate) -> Optimizer:
        """Return the optimizer with a learning rate and hyperparameters; see the row for their order and defaults."""
        given = _bound(self.name, self.__signature__, values, named)
        given.apply_defaults()
        return Optimizer(self, {name: _setting(self.name, name, value) for name, value in given.arguments.items()})

    @cached_property
    def text(self) -> str:
        """What it is, in text that is the same for equal rules; writing formulas takes long."""
        return repr(self)

    @property
    def lazy(self) -> bool:
        """Whether an element and its state stay as they are where the gradient is 0, found from the formulas."""
        return all(sympy.expand(formula.subs(g, 0) - target) == 0 for target, formula in self.steps)

    @property
    def still(self) -> bool:
        """Whether a parameter stays as it is whose gradient is 0 from the beginning on, found from the formulas."""
        resting = {g: 0, **self.state}
        return all(sympy.expand(formula.subs(resting) - resting.get(target, p)) == 0 for target, formula in self.steps)

    @property
    def factor(self) -> sympy.Expr | None:
        """What a step multiplies the gradient by, if it adds a multiple that depends on the step number alone."""
        if [target for target, _ in self.steps] != [p]:
            return None
        step = self.steps[0][1]
        factor = step.diff(g)
        return factor if sympy.expand(step - p - factor * g) == 0 and not factor.has(p, g) else None

    @property
    def __signature__(self) -> inspect.Signature:
        """The names, order and defaults of the learning rate and the hyperparameters."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        optional = [inspect.Parameter(name, kind, default=value) for name, value in self.defaults.items()]
        return inspect.Signature([inspect.Parameter("rate", kind), *optional])


# What others call a setting of an optimizer.
MEANT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("lr", "learning_rate", "eta", "step_size"), "rate"),
        **dict.fromkeys(("eps",), "epsilon"),
        **dict.fromkeys(("betas", "beta_1"), "beta1"),
        "beta_2": "beta2",
        "weight_decay": "decay",
    }
)


def _bound(
    rule: str, signature: inspect.Signature, values: tuple[Rate, ...], named: Mapping[str, Rate]
) -> inspect.BoundArguments:
    """Return the arguments of a call by name; a call that is none is an error that says what is."""
    try:
        return signature.bind(*values, **named)
    except TypeError as error:
        others = (f"write {MEANT[n]}=... for {n}=..." for n in named if MEANT.get(n) in signature.parameters)
        raise ArgumentError(
            f"{rule} cannot be called like this: {error}",
            expected=f"{rule}{signature}",
            hint=next(others, "write the learning rate, then what else there is by name"),
        ) from None


def _setting(rule: str, name: str, value: Any) -> sympy.Expr:
    """Return a hyperparameter as an expression in `t`, checked."""
    try:
        expression = sympy.sympify(value, strict=True)  # strict: text is never parsed
    except sympy.SympifyError:
        expression = None
    if not isinstance(expression, sympy.Expr):
        raise ArgumentError(
            f"{name} of {rule} is not a number",
            expected="a number, or a SymPy formula in the step number t",
            found=f"{type(value).__name__} {value!r}"[:80],
            hint="pass 0.1, or a formula such as 0.1/(1 + t/100)",
        )
    others = sorted(symbol.name for symbol in expression.free_symbols if str(symbol) != t.name)
    if others:
        raise ModelError(
            f"{name} of {rule} depends on {', '.join(others)}",
            text=str(expression),
            place=others[0],
            expected="a formula in the step number t alone",
            hint='write it in sympy.Symbol("t"), as in 0.1/(1 + t/100)',
        )
    return _in_range(rule, name, expression.xreplace(dict.fromkeys(expression.free_symbols, t)))


def _in_range(rule: str, name: str, expression: sympy.Expr) -> sympy.Expr:
    """Refuse a number outside of the range of its hyperparameter; a formula is not judged."""
    low, high, closed = RANGES.get(name, (-math.inf, math.inf, True))
    if expression.free_symbols:
        return expression
    number = float(expression) if expression.is_real else math.nan
    if not (low <= number < high or (closed and number == high)):
        raise ModelError(
            f"{name} of {rule} is out of range",
            expected=f"{low:g} <= {name} < {high:g}",
            found=str(expression),
            hint="a maximum is the minimum of the negated objective" if name == "rate" and number < 0 else "correct it",
        )
    return expression


_PLAIN = Rule(
    "SGD",
    steps=((p, p - rate * g),),
    source="Robbins and Monro (1951), A stochastic approximation method",
)
_MOMENTUM = Rule(
    "SGD",
    steps=((v, momentum * v + g), (p, p - rate * v)),
    state={v: 0.0},
    defaults={"momentum": 0.9},
    source="Polyak (1964), with the velocity in units of the gradient, as PyTorch has it",
)
_NESTEROV = Rule(
    "SGD",
    steps=((v, momentum * v + g), (p, p - rate * (g + momentum * v))),
    state={v: 0.0},
    defaults={"momentum": 0.9},
    source="Nesterov (1983) in the form of Sutskever et al. (2013), as PyTorch has it",
    variant=("nesterov=True",),
)

_MEAN, _SQUARE = (m, beta1 * m + (1 - beta1) * g), (v, beta2 * v + (1 - beta2) * g**2)
_ADAM_STEP = rate * (m / (1 - beta1**t)) / (sympy.sqrt(v / (1 - beta2**t)) + epsilon)
_ADAM_DEFAULTS = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

Adam = Rule(
    "Adam",
    steps=(_MEAN, _SQUARE, (p, p - _ADAM_STEP)),
    state={m: 0.0, v: 0.0},
    defaults=_ADAM_DEFAULTS,
    source="Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1",
)
AdamW = Rule(
    "AdamW",
    steps=(_MEAN, _SQUARE, (p, p - rate * decay * p - _ADAM_STEP)),
    state={m: 0.0, v: 0.0},
    defaults=_ADAM_DEFAULTS | {"decay": 0.01},
    source="Loshchilov and Hutter (2019), Decoupled weight decay regularization, scaled by the rate as in PyTorch",
)
RMSProp = Rule(
    "RMSProp",
    steps=((s, rho * s + (1 - rho) * g**2), (p, p - rate * g / (sympy.sqrt(s) + epsilon))),
    state={s: 0.0},
    defaults={"rho": 0.99, "epsilon": 1e-8},
    source="Hinton (2012), Neural networks for machine learning, lecture 6e; epsilon outside of the root, as PyTorch",
)
AdaGrad = Rule(
    "AdaGrad",
    steps=((s, s + g**2), (p, p - rate * g / (sympy.sqrt(s) + epsilon))),
    state={s: 0.0},
    defaults={"epsilon": 1e-10},
    source="Duchi, Hazan and Singer (2011), Adaptive subgradient methods; epsilon outside of the root, as PyTorch",
)


P = ParamSpec("P")


def _told(make: Callable[P, Optimizer]) -> Callable[P, Optimizer]:
    """Return a function whose calls are checked as those of a `Rule` are."""
    parameters = inspect.signature(make).parameters.values()
    signature = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in parameters])

    @wraps(make)
    def told(*values: P.args, **named: P.kwargs) -> Optimizer:
        _bound(make.__name__, signature, values, named)
        return make(*values, **named)

    return told


@_told
def SGD(rate: Rate, momentum: Rate = 0.0, nesterov: bool = False) -> Optimizer:
    """Return stochastic gradient descent, with or without momentum.

    Parameters
    ----------
    rate : float or SymPy formula in t
        The learning rate: parameter units squared per unit of the objective per sample.
    momentum : float or SymPy formula in t
        How much of the velocity a step keeps, dimensionless, at least 0 and below 1.
    nesterov : bool
        Whether the gradient is taken ahead along the velocity, which needs a momentum.

    Returns
    -------
    Optimizer
        For `fit`.

    Raises
    ------
    ModelError
        If a number is out of range, or a formula has another symbol than t.
    ArgumentError
        If a value is neither a number nor a formula, or nesterov no bool.

    Examples
    --------
    >>> from sympy import Symbol
    >>> SGD(0.1)
    SGD(rate=0.1)
    >>> SGD(0.5/(1 + Symbol("t")/100), momentum=0.9)
    SGD(rate=0.5/(t/100 + 1), momentum=0.9)
    """
    if not isinstance(nesterov, bool) or (nesterov and momentum == 0):
        raise ArgumentError(
            "nesterov is no momentum",
            expected="True or False, beside a momentum",
            found=f"momentum={sympy.sstr(momentum, full_prec=False)}, nesterov={nesterov}"[:80],
            hint="write momentum=0.9, nesterov=True",
        )
    if not nesterov and momentum == 0:
        return _PLAIN(rate)
    return (_NESTEROV if nesterov else _MOMENTUM)(rate, momentum)


RULES: tuple[Rule, ...] = (_PLAIN, _MOMENTUM, _NESTEROV, Adam, AdamW, RMSProp, AdaGrad)


def formulas(optimizer: Optimizer) -> Formulas:
    """Return an optimizer's formulas as graphs, ready to be emitted: as they are written, as in the papers."""
    rule = optimizer.rule
    return Formulas(
        rule.name,
        {name: _graph(value) for name, value in optimizer.settings.items()},
        tuple(symbol.name for symbol in rule.state),
        tuple((target.name, _graph(formula)) for target, formula in rule.steps),
        rule.lazy,
        None if rule.factor is None else _graph(rule.factor.subs(optimizer.settings)),
    )


def _graph(formula: sympy.Expr) -> Graph:
    return share(fold(lower(Model(formula, wrt=()))))
