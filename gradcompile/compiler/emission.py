"""`emit`: the functions of a model as the text of a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from gradcompile import higher
from gradcompile.compiler.compiled import CompiledModel, compile
from gradcompile.emit import TARGETS, module
from gradcompile.emit.module import Function
from gradcompile.errors import ArgumentError, UnsupportedError, within_depth
from gradcompile.garbage import uncollected
from gradcompile.ir import Graph
from gradcompile.passes import one_by_one

ORDERS = (1, 2)


@within_depth()
@uncollected()
def emit(
    expr: Any,
    wrt: Any = None,
    data: Any = (),
    define: Any = None,
    outputs: Any = None,
    dtype: Any = "float64",
    strict: bool = False,
    *,
    target: Literal["listing", "python", "numpy", "numba"] = "numpy",
    order: Literal[1, 2] = 1,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """Return value and gradient as the text of a module that needs no gradcompile.

    An objective that is an array has no gradient: its module has `jvp` and `vjp`, and `jacobian` if all parameters are
    numbers.

    Parameters
    ----------
    expr, wrt, data, define, outputs, dtype, strict
        As in `compile`.
    target : {"listing", "python", "numpy", "numba"}
        "python" computes with `math` and nested lists, "numpy" with whole arrays, "numba" with compiled loops;
        "listing" is the lecture's forward and backward steps, for reading.
    order : {1, 2}
        2 adds `hvp`, the Hessian times a direction, whose parts ``v_W`` are the last arguments; and `hessian` if all
        parameters are numbers. `--check` then checks the products, too.
    sizes : mapping of str to int, optional
        Named sizes that are the same in all calls, such as the 3 of rotations: loops over few steps are written out by
        the compiler, and the module refuses any others by an `AssertionError`. Calls of a compiled model find them by
        themselves.

    Returns
    -------
    str
        The text, ruff-clean and the same to the byte in every process: `value`, `grad` and `value_and_grad`, which take
        the arguments in the order of `CompiledModel.arguments`, and what ``--check`` runs. The listing is no module.

    Raises
    ------
    ArgumentError
        There is no such target, order or size; and what `compile` raises.

    Examples
    --------
    >>> from sympy import exp, symbols
    >>> x, w = symbols("x w")
    >>> "def value_and_grad(w, x):" in emit(exp(w*x), wrt=w, target="python")
    True
    """
    _check_choice("target", target, TARGETS, "choose one of these: numba is the fastest, listing the shortest")
    _check_choice("order", order, ORDERS, "choose one of these")
    model = compile(expr, wrt, data, define, outputs, dtype, strict)
    known = _checked({} if sizes is None else sizes, model.graph)
    if target == "listing":
        return model.listing
    functions = [each.planned_for(known) for each in _further(model, order)]
    graph, dtype, strict = replace(model.graph, known=known), model.dtype, model.strict
    graph = one_by_one(graph) if target == "numba" else graph  # as for calls: vectors are of loops
    return module.render(graph, target, dtype=dtype, strict=strict, single=model.single, functions=functions)


def _check_choice(name: str, given: object, choices: Sequence[object], hint: str) -> None:
    if given not in choices:
        expected = " or ".join(map(str, choices))
        raise ArgumentError(f"there is no such {name}", expected=expected, found=f"{name}={given!r}", hint=hint)


def _further(model: CompiledModel, order: int) -> list[Function]:
    """Return what a module has besides value and gradient."""
    if not model.is_array:
        return _of_number(model) if order == 2 else []
    if order == 2:
        what = "the objective is an array, whose second derivatives are not emitted"
        raise UnsupportedError(what, expected="an objective that is one number", hint="emit it with order=1")
    return _of_array(model)


def _checked(sizes: Mapping[str, int], graph: Graph) -> dict[str, int]:
    """Return sizes that are those of a model, and whole numbers from 1; raise `ArgumentError` for any others."""
    if not isinstance(sizes, Mapping):
        found, hint = f"sizes={sizes!r:.60}", 'write {"N": 3}'
        raise ArgumentError("sizes have no names", expected="a dict of whole numbers", found=found, hint=hint)
    names = {name for i in graph.inputs.values() for size in i.shape for name, _ in size.terms}
    for name, number in sizes.items():
        if name not in names:
            expected = ", ".join(sorted(names)) or "none: all sizes are numbers"
            hint = "give sizes that the model names"
            raise ArgumentError("the model has no such size", expected=expected, found=str(name), hint=hint)
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            what, hint = f"the size {name} is not a whole number from 1", "leave out what differs from call to call"
            raise ArgumentError(what, expected="a whole number from 1", found=repr(number), hint=hint)
    return dict(sorted(sizes.items()))


def _of_array(model: CompiledModel) -> list[Function]:
    """Return the functions of a module whose objective is an array."""
    lowered = model.lowered
    pushed, pulled = higher.pushed(lowered), higher.pulled(lowered)
    found = [Function("jvp", pushed, "jvp"), Function("vjp", pulled, _parts(model, "d"))]
    if _numbers(model):
        found.append(Function("jacobian", higher.jacobian(lowered), _parts(model, "j")))
    return found


def _of_number(model: CompiledModel) -> list[Function]:
    """Return the functions of second derivatives."""
    names, found = model.lowered.wrt, [Function("hvp", higher.curved(model.lowered), _parts(model, "h"))]
    if _numbers(model):
        place = {name: k for k, name in enumerate(names)}
        rows = tuple(tuple(f"h{','.join(sorted((a, b), key=place.__getitem__))}" for b in names) for a in names)
        found.append(Function("hessian", higher.hessian(model.lowered), rows[0][0] if model.single else rows))
    return found


def _parts(model: CompiledModel, mark: str) -> str | tuple[str, ...]:
    """Return the outputs of all parameters as `wrt` was given."""
    parts = tuple(f"{mark}{name}" for name in model.lowered.wrt)
    return parts[0] if model.single else parts


def _numbers(model: CompiledModel) -> bool:
    """Return whether all parameters are numbers, of which all derivatives together are few."""
    return not any(model.lowered.inputs[name].shape for name in model.lowered.wrt)
