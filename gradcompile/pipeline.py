"""The spine: from a model in SymPy to functions that run.

    model --lower--> graph --prepare, adjoint, optimise--> graph with its backward half
          --plan--> plan --render--> text --load--> functions

Every stage is a value that prints; the verifier runs between them. What a user can do wrong is found out in
`differentiate`; what comes after it happens when it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from gradcompile.adjoint import adjoint
from gradcompile.arguments import Argument, Arguments
from gradcompile.emit import module
from gradcompile.errors import DataError
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.jit import load, specialise
from gradcompile.passes import optimise, prepare
from gradcompile.schedule import Plan, plan
from gradcompile.tangent import tangent
from gradcompile.verify import verify


def differentiate(lowered: Graph) -> Graph:
    """Return a lowered graph with its backward half, simplified."""
    stable = verify(prepare(lowered))
    both = verify(adjoint(stable))
    return verify(optimise(both))


def simplify(lowered: Graph) -> Graph:
    """Return a lowered graph that is only to be evaluated, simplified."""
    return verify(optimise(verify(prepare(lowered))))


def directional(lowered: Graph, seeds: Mapping[str, str]) -> Graph:
    """Return the graph of the derivative along a direction, with the Hessian times that direction as its gradient."""
    both = verify(adjoint(verify(prepare(lowered))))
    return verify(optimise(verify(tangent(both, seeds))))


class Program:
    """A graph on its way to functions: each further stage is made when it is first asked for.

    Parameters
    ----------
    graph : Graph
        After the passes, with or without a backward half.
    dtype : {"float64", "float32"}
        Of its real arrays.
    strict : bool
        Whether arithmetic is done as written, without rearrangement.
    """

    def __init__(self, graph: Graph, dtype: str, strict: bool) -> None:
        self.graph, self.dtype, self.strict = graph, dtype, strict
        self.arguments = Arguments(graph, dtype)
        self._functions: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()  # two threads may ask for one function

    @cached_property
    def target(self) -> str:
        """Scalars at one point are fastest in plain Python; what has arrays goes through Numba."""
        arrays = any(i.shape for i in self.graph.inputs.values()) or any(v.axes for v in self.graph.order())
        return "numba" if arrays else "python"

    @cached_property
    def plan(self) -> Plan:
        """The schedule."""
        return plan(self.graph)

    @cached_property
    def source(self) -> str:
        """The text of the module that runs."""
        return module.render(self.graph, self.target, dtype=self.dtype, strict=self.strict)

    @property
    def ready(self) -> bool:
        """Whether some function has been compiled."""
        return bool(self._functions)

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the module, compiled now if it has not been."""
        if name not in self._functions:
            with self._lock:
                if name not in self._functions:
                    self._functions[name] = self._compiled(name)
        return self._functions[name]

    def _compiled(self, name: str) -> Callable[..., Any]:
        compiled = self.target == "numba"
        function: Callable[..., Any] = getattr(load(self.source, compiled=compiled), name)
        if compiled:
            inputs = self.graph.inputs.values()
            specialise(function, [("int64" if i.kind == "int" else self._real(i.shape), len(i.shape)) for i in inputs])
        return function

    def _real(self, shape: Sequence[object]) -> str:
        return self.dtype if shape else "float64"  # scalars are Python floats

    def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Call a function with checked arguments.

        Python's own arithmetic raises where IEEE 754 has an infinity or a nan: there the interpreter answers.
        """
        function = self.function(name)
        try:
            result = function(*arguments)
        except np.linalg.LinAlgError:
            raise DataError(
                "a matrix of the model is singular, or not positive definite, for these arguments"
            ) from None
        except (ArithmeticError, ValueError, TypeError):
            if self.target != "python":
                raise
            return self._interpreted(name, arguments)
        return result

    def _interpreted(self, name: str, arguments: Sequence[Argument]) -> Any:
        given = dict(zip(self.graph.inputs, arguments, strict=True))
        found = evaluate(self.graph, {n: np.asarray(a) for n, a in given.items()})
        if name == "value":
            return float(found["value"])
        return float(found["value"]), tuple(float(found[f"d{parameter}"]) for parameter in self.graph.wrt)
