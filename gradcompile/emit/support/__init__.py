"""Support functions: what spellings of the table call that a target lacks, as text for emitted modules."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType

from gradcompile import vecmath
from gradcompile.emit.support import arrays, check_arrays, check_lists, kernels, matrices, scalars

FILES: dict[str, tuple[ModuleType, ...]] = {
    "python": (scalars, matrices),
    "numpy": (arrays,),
    "numba": (kernels, *vecmath.MODULES, scalars),  # the first that has a function counts
}
CHECKS: dict[str, ModuleType] = {"python": check_lists, "numpy": check_arrays, "numba": check_arrays}
# Support functions rely on rounding, so they are not to be reordered; Numba must not inline them into a kernel that is.
DECORATOR = '@njit(fastmath={"contract"}, error_model="numpy")\n'


@cache
def self_check(target: str) -> dict[str, str]:
    """Return the text of each function that ``--check`` runs, by name."""
    module = CHECKS[target]
    return {
        name: inspect.getsource(function)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
    }


@cache
def functions(target: str) -> dict[str, Callable[..., object]]:
    """Return the support functions of a target by name, in the order in which a module defines them."""
    found: dict[str, Callable[..., object]] = {}
    for module in FILES[target]:
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                found.setdefault(name, function)
    return found


@cache
def source(target: str, name: str) -> str:
    """Return the text of a support function as a module defines it."""
    function = functions(target)[name]
    decorator = vecmath.DECORATOR if function.__module__.startswith(vecmath.__name__) else DECORATOR
    return (decorator if target == "numba" else "") + inspect.getsource(function)


@cache
def calls(target: str, name: str) -> frozenset[str]:
    """Return the support functions that a support function calls or hands on."""
    names = {node.id for node in ast.walk(ast.parse(source(target, name))) if isinstance(node, ast.Name)}
    return frozenset(names & functions(target).keys() - {name})


def closure(target: str, names: Iterable[str]) -> list[str]:
    """Return the support functions with all that they call, what is called first."""
    needed, stack = set[str](), list(names)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(calls(target, name))
    order = list(functions(target))
    return sorted(needed, key=order.index)
