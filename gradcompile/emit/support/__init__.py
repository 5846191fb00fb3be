"""Support functions: what spellings of the table call that a target lacks, as text for emitted modules."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType

from gradcompile import vecmath
from gradcompile.emit.support import (
    arrays,
    check_arrays,
    check_both,
    check_lists,
    kernels,
    maps_arrays,
    maps_lists,
    matrices,
    products_arrays,
    products_lists,
    scalars,
    teams,
)

FILES: dict[str, tuple[ModuleType, ...]] = {
    "python": (scalars, matrices),
    "numpy": (arrays,),
    "numba": (kernels, teams, *vecmath.MODULES, scalars),  # the first that has a function counts
}
# What --check runs, and what of it by what a module defines.
CHECKS: dict[str, tuple[ModuleType, ...]] = {
    "lists": (check_both, check_lists, products_lists, maps_lists),
    "arrays": (check_both, check_arrays, products_arrays, maps_arrays),
}
CHECK_OF = {"value_and_grad": "check", "hvp": "check_products", "vjp": "check_map"}
# Support functions rely on rounding, so they are not to be reordered; Numba must not inline them into a kernel that is.
DECORATOR = '@njit(fastmath={"contract"}, error_model="numpy")\n'
# What a module declares beside functions, where one of these calls it: a symbol that Numba itself brings.
GEMM = """\
xxgemm = types.ExternalFunction(
    "numba_xxgemm",
    types.intc(*[types.char] * 3, *[types.intp] * 11),
)
"""
DECLARATIONS = {"multiply": GEMM}
# The support functions' files are ours, and read by their layout: a parser takes 15 ms for them at every start.
FUNCTION = re.compile(r"^def (\w+)\(.*\n(?:[ )].*\n|\n)*", re.MULTILINE)
PROSE = re.compile(r'"""(?s:.*?)"""|#.*')
WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def checks(target: str, defined: Iterable[str] | None = None) -> dict[str, str]:
    """Return the text of each function that ``--check`` runs, by name, in a module that defines some functions.

    Without `defined`, those of all modules.
    """
    texts: dict[str, str] = {}
    for module in CHECKS["lists" if target == "python" else "arrays"]:
        texts |= _texts(module)
    needed = {check for name, check in CHECK_OF.items() if defined is None or name in defined}
    found: set[str] = set()
    while needed:
        found.add(name := needed.pop())
        needed |= (set(re.findall(r"\w+", texts[name])) & texts.keys()) - found
    return {name: text for name, text in texts.items() if name in found}


@cache
def _texts(module: ModuleType) -> dict[str, str]:
    """Return the text of each function of a module; it is read once, and not again for each of them."""
    return {found[1]: found[0].rstrip() + "\n" for found in FUNCTION.finditer(inspect.getsource(module))}


@cache
def functions(target: str) -> dict[str, Callable[..., object]]:
    """Return the support functions of a target by name, in the order in which a module defines them."""
    found: dict[str, Callable[..., object]] = {}
    for module in FILES[target]:
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                found.setdefault(name, function)
    return found


def is_vectorised(target: str, name: str) -> bool:
    """Return whether a support function is one of `gradcompile.vecmath`."""
    return functions(target)[name].__module__.startswith(vecmath.__name__)


@cache
def source(target: str, name: str) -> str:
    """Return the text of a support function as a module defines it."""
    decorator = vecmath.DECORATOR if is_vectorised(target, name) else DECORATOR
    module = sys.modules[functions(target)[name].__module__]
    return (decorator if target == "numba" else "") + _texts(module)[name]


@cache
def calls(target: str, name: str) -> frozenset[str]:
    """Return the support functions that a support function calls or hands on."""
    words = set(WORD.findall(PROSE.sub("", source(target, name))))
    return frozenset(words & functions(target).keys() - {name})


def closure(target: str, names: Iterable[str]) -> list[str]:
    """Return the support functions with all that they call, what is called first."""
    place = {name: k for k, name in enumerate(functions(target))}
    done: dict[str, None] = {}
    stack = [(name, False) for name in sorted(set(names), key=place.__getitem__, reverse=True)]
    while stack:
        name, ready = stack.pop()
        if ready:
            done[name] = None
        elif name not in done:
            stack.append((name, True))
            inner = sorted(calls(target, name) - done.keys(), key=place.__getitem__, reverse=True)
            stack.extend((other, False) for other in inner)
    return list(done)
