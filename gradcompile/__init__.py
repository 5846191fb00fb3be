"""Write a loss in SymPy, read its gradient as code, and run that same code at compiled speed.

>>> from sympy import exp, symbols
>>> import gradcompile as gc
>>> x, w1, w0 = symbols("x w1 w0")
>>> model = gc.compile(1 + exp(w1*x + w0), wrt=[x, w1, w0])
>>> model.value_and_grad(x=0.5, w1=2, w0=-1)
(2.0, (2.0, 0.5, 1.0))
"""

from gradcompile import errors
from gradcompile.check import GradientReport, check_grad
from gradcompile.compiler import CompiledModel, compile, emit
from gradcompile.errors import GradcompileError, GradientCheckError
from gradcompile.language import load, parse
from gradcompile.model import Model, max_over, min_over
from gradcompile.optimizers import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSProp

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
    "Model",
    "Optimizer",
    "RMSProp",
    "check_grad",
    "compile",
    "emit",
    "errors",
    "load",
    "max_over",
    "min_over",
    "parse",
]
