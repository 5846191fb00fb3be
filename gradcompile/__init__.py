"""Write a loss in SymPy, read its gradient as code, and run that same code at compiled speed.

>>> from sympy import exp, symbols
>>> import gradcompile as gc
>>> x, w1, w0 = symbols("x w1 w0")
>>> model = gc.compile(1 + exp(w1*x + w0), wrt=[x, w1, w0])
>>> model.value_and_grad(x=0.5, w1=2, w0=-1)
(2.0, (2.0, 0.5, 1.0))
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from gradcompile.garbage import importing

if TYPE_CHECKING:
    from gradcompile import errors
    from gradcompile.check import GradientReport, check_grad
    from gradcompile.compiler import CompiledModel, compile, emit
    from gradcompile.compiler.stored import load_model, load_params
    from gradcompile.errors import GradcompileError, GradientCheckError
    from gradcompile.language import Limits, load, parse
    from gradcompile.model import Model, max_over, min_over
    from gradcompile.optimizers import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSProp
    from gradcompile.threads import get_threads, set_threads

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CompiledModel",
    "GradcompileError",
    "GradientCheckError",
    "GradientReport",
    "Limits",
    "Model",
    "Optimizer",
    "RMSProp",
    "check_grad",
    "compile",
    "emit",
    "errors",
    "get_threads",
    "load",
    "load_model",
    "load_params",
    "max_over",
    "min_over",
    "parse",
    "set_threads",
]

# Where each name is. It is imported when it is first asked for (PEP 562): `gradcompile --help` needs none, and SymPy
# and NumPy alone take longer than a reader waits.
_HOMES = {
    "check": ("GradientReport", "check_grad"),
    "compiler": ("CompiledModel", "compile", "emit"),
    "compiler.stored": ("load_model", "load_params"),
    "errors": ("GradcompileError", "GradientCheckError"),
    "language": ("Limits", "load", "parse"),
    "model": ("Model", "max_over", "min_over"),
    "optimizers": ("SGD", "AdaGrad", "Adam", "AdamW", "Optimizer", "RMSProp"),
    "threads": ("get_threads", "set_threads"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MEANT = {
    **dict.fromkeys(("grad", "gradient", "value_and_grad"), "gc.compile(expr, wrt=...) has grad and value_and_grad"),
    **dict.fromkeys(("fit", "train"), "gc.compile(expr, wrt=...) has fit"),
    **dict.fromkeys(("minimize", "minimise"), "gc.compile(expr, wrt=...) has fit, and ravel for SciPy"),
    "jit": "gc.compile(expr, wrt=...) compiles an expression of SymPy",
    "lambdify": "gc.compile(expr, wrt=...).value is the function of an expression",
}


def __getattr__(name: str) -> object:
    """Import a public name, and keep it."""
    if name == "errors":
        return import_module("gradcompile.errors")
    if name not in _HOME:
        from gradcompile.errors import no_attribute

        raise no_attribute("module 'gradcompile'", name, __all__, _MEANT, f"it has {', '.join(__all__)}")
    with importing():
        found: object = getattr(import_module(f"gradcompile.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})


class _FrontDoor(ModuleType):
    """The package, in which `emit` is the function: Python would put the subpackage of that name in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        """Keep the subpackage out; it is imported by its full name."""
        if name != "emit" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
