"""The stage itself: a model goes in, a graph comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy

from gradcompile.errors import IndexRangeError, ModelError
from gradcompile.ir import LEAVES, ONE, Axis, Graph, Requirement, Size, Value
from gradcompile.model import Model
from gradcompile.model.affine import Affine
from gradcompile.model.parts import walk

from .arrays import declare
from .extents import inferred_lengths
from .matrices import shape_of
from .places import shown, summary
from .rules import rule_for
from .samples import with_samples
from .state import Ask, Scope, State
from .survey import name_of, survey


def lower(model: Model) -> Graph:
    """Lower a model to a graph.

    Parameters
    ----------
    model : Model
        The objective, its parameters, data, definitions and outputs, in SymPy.

    Returns
    -------
    Graph
        ``outputs["value"]`` is the objective, a number or an array; other outputs have the model's names; no backward
        half yet.
        Inputs are in call order: parameters, data, other inputs as declared or in order of appearance.

    Raises
    ------
    ModelError
        The model cannot be compiled; the message points at the place. Its subclasses say what kind of mistake it is.

    Examples
    --------
    >>> import sympy
    >>> x, w1, w0 = sympy.symbols("x w1 w0")
    >>> print(lower(Model(1 + sympy.exp(w1*x + w0), (x, w1, w0))))
    x: real[]  # parameter
    w1: real[]  # parameter
    w0: real[]  # parameter
    %0[] = input x()
    %1[] = input w1()
    %2[] = input w0()
    %3[] = const 1()
    %4[] = mul(%0, %1)
    %5[] = add(%4, %2)
    %6[] = exp(%5)
    %7[] = add(%3, %6)
    value -> %7
    """
    state = State(model, survey(model), rule_for)
    inputs = declare(state)
    found = {"value": _output(state, model.objective, objective=True)}
    for name, expr in model.outputs.items():
        found[name] = _output(state, expr, objective=False)
    names = _defined(state)
    for declared in inputs.values():
        for axis in state.arrays[declared.name].axes:
            state.name_axis(axis)
    graph = Graph(
        builder=state.builder,
        inputs=inputs,
        outputs={name: value for name, (value, _) in found.items()},
        axes={name: axes for name, (_, axes) in found.items()},
        names=names,
        letters=state.letters,
        requirements=tuple(_requirements(state)),
        objective=model.source or summary(model.objective, state.survey.count),
        loss=model.loss,
        wrt=tuple(name_of(p) for p in model.wrt),
    )
    return with_samples(graph)


def _defined(state: State) -> dict[Value, str]:
    """Lower the definitions; return their names, the first one where several define the same."""
    names: dict[Value, str] = {}
    for name, definition in state.definitions.items():
        value = state.value(definition.ask)
        if value.op not in LEAVES:
            names.setdefault(value, name)
    return names


def _requirements(state: State) -> Iterator[Requirement]:
    """Yield what is required of sizes, each with the outputs that hold an expression that needs it."""
    if not state.requirements:
        return
    held = {name: _objects(state, expr) for name, expr in state.model.outputs.items()}
    for requirement, uses in state.requirements.items():
        yield requirement._replace(outputs=frozenset(n for n, ids in held.items() if any(id(u) in ids for u in uses)))


def _objects(state: State, root: Any) -> set[int]:
    """Return the objects that an expression and the definitions in it are made of."""
    parts = {name_of(getattr(key, "base", key)): (key, body) for key, body in state.model.definitions.items()}
    found, todo = set[int](), [root]
    while todo:
        for expr in walk([todo.pop()]):
            found.add(id(expr))
            leaf = getattr(expr, "base", expr)
            todo += parts.pop(name_of(leaf), ()) if hasattr(leaf, "name") else ()
    return found


def _output(state: State, expr: Any, objective: bool) -> tuple[Value, tuple[Axis, ...]]:
    """Lower the objective or an output; return it with its axes in the user's order."""
    scope = Scope(expr)
    if isinstance(expr, sympy.Tuple) or (objective and isinstance(expr, sympy.MatrixBase) and len(expr) > 1):
        return _components(state, expr, scope)
    if isinstance(expr, sympy.Lambda):
        value, axes = _family(state, expr, scope)
    elif getattr(expr, "is_Matrix", False) and shape_of(state, expr, scope) != (ONE, ONE):
        value, axes = _matrix(state, expr, scope)
    else:
        value, axes = state.value(Ask(expr, scope)), ()
    if value.kind != "real":
        value = state.builder.apply("real", value)
    if objective and state.sample is not None:
        value = _mean(state, value, state.sample)
    elif state.sample is not None:
        axes = (state.sample, *axes)
    if not set(value.axes) <= set(axes):
        hint = "sum over its indices, or make them the variables of a Lambda for an array"
        raise ModelError("the objective is not scalar", **shown(expr, expr), hint=hint)
    return value, axes


def _components(state: State, expr: Any, scope: Scope) -> tuple[Value, tuple[Axis, ...]]:
    """Lower expressions that are listed, or written out as a matrix: each is put in its place of an array."""
    lengths = expr.shape if isinstance(expr, sympy.MatrixBase) else (len(expr),)
    axes: list[Axis] = []
    for length in lengths:
        if length > 1 or len(lengths) == 1:
            axes.append(state.axis(Size.of(length), axes))
    result: Value | None = None
    for number, element in enumerate(expr.flat() if isinstance(expr, sympy.MatrixBase) else expr):
        value = state.value(Ask(element, scope))
        value = value if value.kind == "real" else state.builder.apply("real", value)
        value = value if state.sample is None else _mean(state, value, state.sample)
        places = np.unravel_index(number, [axis.size.constant for axis in axes])
        placed = state.builder.accumulate(value, [state.builder.const(int(k)) for k in places], tuple(axes))
        result = placed if result is None else state.builder.apply("add", result, placed)
    assert result is not None
    return result, tuple(axes)


def _family(state: State, expr: Any, scope: Scope) -> tuple[Value, tuple[Axis, ...]]:
    """Lower a Lambda: an array with an axis for each variable."""
    axes: list[Axis] = []
    try:
        lengths = inferred_lengths(state, expr.variables, expr.expr, scope)
    except IndexRangeError as error:
        free = next((symbol for symbol in expr.variables if error.found.startswith(f"{symbol} is free")), None)
        if free is not None:
            error.hint = f"index an array with {free} alone, so that its length is known"
        raise
    for symbol, length in zip(expr.variables, lengths, strict=True):
        size = state.size(length, expr)
        axis = state.axis(size, axes, symbol.name)
        low, high = Affine(size * 0), Affine(size - 1)
        scope = scope.bind(symbol, state.binding(state.builder.iota(axis), low, high, (low.size, high.size), len(axes)))
        axes.append(axis)
    return state.value(Ask(expr.expr, scope)), tuple(axes)


def _matrix(state: State, expr: Any, scope: Scope) -> tuple[Value, tuple[Axis, ...]]:
    """Lower all elements of a matrix; a length of one is no axis."""
    axes: list[Axis] = []
    place = []
    for size in shape_of(state, expr, scope):
        if size == ONE:
            place.append(state.builder.const(0))
        else:
            axes.append(state.axis(size, axes))
            place.append(state.builder.iota(axes[-1]))
    return state.value(Ask(expr, scope, (place[0], place[1]))), tuple(axes)


# --- the per-sample form


def _mean(state: State, value: Value, sample: Axis) -> Value:
    """Return the mean over samples of the terms that depend on data, plus the others, once."""
    mean, once = _split(state, value, sample)
    if mean is None:
        return value
    size = state.builder.size(sample.size)
    result = state.apply("div", state.builder.reduce("sum", mean, [sample]), size)
    return result if once is None else state.builder.apply("add", result, once)


def _split(state: State, value: Value, sample: Axis) -> tuple[Value | None, Value | None]:
    """Split a sum into the terms with the sample axis and the terms without."""
    if all(sample in v.axes for _, v in _terms(value)):
        return value, None
    parts: dict[bool, Value | None] = {True: None, False: None}
    for negative, term in _terms(value):
        key = sample in term.axes
        so_far = parts[key]
        if so_far is None:
            parts[key] = state.builder.apply("neg", term) if negative else term
        else:
            parts[key] = state.builder.apply("sub" if negative else "add", so_far, term)
    return parts[True], parts[False]


def _terms(value: Value) -> Iterator[tuple[bool, Value]]:
    """Yield the terms of a sum from left to right, with whether they are subtracted."""
    stack = [(False, value)]
    while stack:
        negative, value = stack.pop()
        if value.op in ("add", "sub"):
            a, b = value.operands
            stack += [(negative ^ (value.op == "sub"), b), (negative, a)]
        elif value.op == "neg":
            stack.append((not negative, value.operands[0]))
        else:
            yield negative, value
