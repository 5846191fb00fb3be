"""Leaves: inputs, their shapes, their elements, and definitions, which are arrays that the model computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import sympy

from gradcompile.errors import (
    DuplicateNameError,
    IndexRangeError,
    ModelError,
    NonDifferentiableError,
    UnknownNameError,
    UnsupportedError,
)
from gradcompile.ir import Axis, Input, Size, Value
from gradcompile.model.affine import Affine, untold_sizes
from gradcompile.model.parts import SYMBOLS, walk

from .extents import escaped, inferred_lengths
from .indices import check_length, index_value
from .places import shown
from .shapes import used_shapes
from .state import Ask, Place, Scope, State, Steps
from .survey import name_of


class Definition(NamedTuple):
    """A named intermediate quantity.

    Parameters
    ----------
    name : str
        The user's name.
    body : SymPy expression
        What it is.
    scope : Scope
        Its formal indices, each bound to an axis.
    axes : tuple of Axis
        The axis of each formal index, in order; rows and columns of a matrix.
    place : (Value, Value) or None
        Row and column, where the body is a matrix.
    """

    name: str
    body: Any
    scope: Scope
    axes: tuple[Axis, ...] = ()
    place: Place | None = None

    @property
    def ask(self) -> Ask:
        """The question whose answer is the whole quantity."""
        return Ask(self.body, self.scope, self.place)


# --- declarations


def declare(state: State) -> dict[str, Input]:
    """Declare every input and definition of a model; return the inputs in call order."""
    model, leaves = state.model, state.survey.leaves
    defined = {name_of(_leaf(key)) for key in model.definitions}
    state.parameters = {name_of(p) for p in model.wrt}
    state.sampled = {name_of(d) for d in model.data}
    _check_roles(state, defined)
    inputs = [leaf for name, leaf in leaves.items() if name not in defined]
    state.ranks = {name_of(leaf): k for k, leaf in enumerate((*inputs, *(leaves[n] for n in defined)))}
    _shapes(state, list(leaves.values()), inputs)
    if state.sampled:
        state.sample = Axis(Size.of(_free_name("n", {t for s in state.shapes.values() for z in s for t, _ in z.terms})))
        state.name_axis(state.sample, "s")
    declared = {name_of(leaf): _input(state, leaf) for leaf in inputs}
    for key, body in _in_order(state):
        definition = _definition(state, key, body)
        state.definitions[definition.name] = definition
        state.shapes[definition.name] = tuple(a.size for a in definition.axes)
    return declared


def _leaf(key: Any) -> Any:
    return key.base if isinstance(key, sympy.Indexed) else key


def _check_roles(state: State, defined: set[str]) -> None:
    for parameter in state.model.wrt:
        name = name_of(parameter)
        if name in defined:
            found, hint = f"{name} in wrt and in define", "differentiate by its inputs"
            raise DuplicateNameError(
                f"{name} is a parameter and a definition", expected="one role for a name", found=found, hint=hint
            )
        if name in state.sampled:
            found, hint = f"{name} in wrt and in data", "take it out of one of the lists"
            raise DuplicateNameError(
                f"{name} is a parameter and data", expected="one role for a name", found=found, hint=hint
            )
        if name in state.survey.labels:
            raise NonDifferentiableError(
                f"{name} is a parameter, and an index", hint=f"take {name} out of wrt: integers have no derivative"
            )
    for leaf in (*state.model.wrt, *state.model.data):
        if leaf in state.survey.sizes:
            raise UnsupportedError(
                f"{leaf} is an input, and also a length or the end of a range",
                **shown(state.model.objective, leaf),
                hint="lengths come from the shapes of arrays: give one of them another name",
            )


def _free_name(name: str, taken: set[str]) -> str:
    candidates = (name, "samples", *(f"{name}{k}" for k in range(2, 1000)))
    return next(c for c in candidates if c not in taken)


def _shapes(state: State, leaves: list[Any], inputs: list[Any]) -> None:
    """Find the shape of every array: declared, or from its use."""
    unknown = []
    for leaf in leaves:
        shape = () if isinstance(leaf, SYMBOLS) else leaf.shape
        if shape is None:
            unknown.append(leaf)
        else:
            state.shapes[name_of(leaf)] = tuple(state.size(length, leaf) for length in shape)
    names = {name_of(leaf) for leaf in inputs}
    state.shapes.update(used_shapes(state, [leaf for leaf in unknown if name_of(leaf) in names]))
    sizes = [size for leaf in inputs for size in state.shapes.get(name_of(leaf), ())]
    state.measured = {term for size in sizes for term, _ in size.terms}
    for name in untold_sizes(sizes):
        leaf = next(leaf for leaf in inputs if any(name in dict(s.terms) for s in state.shapes.get(name_of(leaf), ())))
        raise IndexRangeError(
            f"nothing says how large {name} is",
            **shown(leaf.shape, sympy.Symbol(name)),
            expected=f"an array with {name} alone as a length",
            hint=f"declare one, as in IndexedBase('x', shape=({name},)), or give the whole length one symbol",
        )


def _input(state: State, leaf: Any) -> Input:
    """Declare one input and make its value."""
    name = name_of(leaf)
    shape = state.shapes[name]
    axes = list(distinct_axes(shape))
    if name in state.sampled and state.sample is not None:
        axes.insert(0, state.sample)
    kind = "int" if name in state.survey.labels else "real"
    state.arrays[name] = state.builder.input(name, tuple(axes), kind)
    default = state.model.defaults.get(name)
    return Input(name, tuple(a.size for a in axes), kind, _role(state, leaf), default)


def _role(state: State, leaf: Any) -> str:
    name = name_of(leaf)
    if name in state.parameters:
        return "parameter"
    if name in state.survey.labels:
        return "labels"
    return "data" if name in state.sampled or not isinstance(leaf, SYMBOLS) else "constant"


def distinct_axes(shape: tuple[Size, ...]) -> tuple[Axis, ...]:
    """Return an axis for each length, numbered where lengths are equal."""
    return tuple(Axis(size, shape[:k].count(size)) for k, size in enumerate(shape))


# --- definitions


def _in_order(state: State) -> Iterator[tuple[Any, Any]]:
    """Yield the definitions; one whose ranges come from the shape of another comes after it."""
    pending = {name_of(_leaf(key)): (key, body) for key, body in state.model.definitions.items()}
    stack = list(pending)[::-1]
    while stack:
        name = stack[-1]
        if name not in pending:
            stack.pop()
            continue
        key, body = pending[name]
        needed = [] if name in state.shapes or isinstance(key, SYMBOLS) else _unshaped(state, body, pending)
        if needed and len(stack) <= len(pending) + len(needed):
            stack.extend(needed)
            continue
        del pending[stack.pop()]
        yield key, body


def _unshaped(state: State, body: Any, pending: Mapping[str, Any]) -> list[str]:
    """Return the definitions without a shape that an expression reads."""
    bases = dict.fromkeys(e.base.name for e in walk([body]) if isinstance(e, sympy.Indexed))
    return [name for name in bases if name in pending and name not in state.shapes]


def _definition(state: State, key: Any, body: Any) -> Definition:
    scope = Scope(body)
    if isinstance(key, SYMBOLS):
        return Definition(name_of(key), body, scope)
    if isinstance(key, sympy.Indexed):
        return _family(state, key, body, scope)
    if isinstance(key, sympy.MatrixSymbol):
        axes = distinct_axes(state.shapes[name_of(key)])
        row, column = (state.builder.iota(a) for a in axes)
        return Definition(name_of(key), body, scope, axes, (row, column))
    expected = "a symbol, an element with formal indices such as y[s, i], or a MatrixSymbol"
    raise UnsupportedError(f"{key} cannot be defined", expected=expected, hint="name it by one of these")


def _family(state: State, key: Any, body: Any, scope: Scope) -> Definition:
    """Return the definition of ``y[s, i]``: each formal index runs over an axis of y."""
    if not all(isinstance(i, SYMBOLS) for i in key.indices) or len(set(key.indices)) < len(key.indices):
        raise UnsupportedError(
            f"the left side {key} is not a definition",
            expected="different symbols as indices",
            hint="write the elements in general: y[s, i]",
        )
    shape = state.shapes.get(key.base.name)
    if shape is None:
        shape = tuple(state.size(length, body) for length in inferred_lengths(state, key.indices, body, scope))
    _same_rank(key, shape, scope)
    for symbol, length in zip(key.indices, shape, strict=True):
        check_length(state, length, f"the axis {symbol} of {key.base}", key, scope)
    axes = distinct_axes(shape)
    for depth, (symbol, axis) in enumerate(zip(key.indices, axes, strict=True)):
        box = (Size(), axis.size - 1)
        value = state.builder.iota(axis)
        scope = scope.bind(symbol, state.binding(value, Affine(box[0]), Affine(box[1]), box, depth))
        state.name_axis(axis, symbol.name)
    return Definition(key.base.name, body, scope, axes)


def _same_rank(use: Any, shape: tuple[Size, ...], scope: Scope) -> None:
    if len(use.indices) != len(shape):
        raise IndexRangeError(
            f"{use.base} has another number of axes",
            **shown(scope.root, use),
            expected=f"{len(shape)}: ({', '.join(map(str, shape))})",
            found=f"{len(use.indices)}",
            hint="write one index for each axis",
        )


# --- uses


def scalar(state: State, ask: Ask) -> Value | Steps:
    """Lower a symbol: an index, a definition, a size or an input."""
    symbol, name = ask.expr, ask.expr.name
    binding = ask.scope.bound.get(symbol)
    if binding is not None:
        return binding.value
    if not symbol.is_commutative:
        raise UnsupportedError(
            f"{name} is declared not to commute, and numbers do",
            **shown(ask.scope.root, symbol),
            expected="symbols of real numbers",
            hint=f"make it a MatrixSymbol({name!r}, n, m), or leave commutative=False out",
        )
    if symbol in state.survey.sizes:
        return state.builder.size(Size.of(state.survey.sizes[symbol]))
    if symbol in state.survey.free.bound and name not in state.survey.declared:
        raise escaped(symbol, ask.scope, symbol)
    if name in state.definitions:
        return _whole(state.definitions[name])
    if name not in state.arrays:
        raise UnknownNameError(
            f"nothing declares {name}",
            **shown(ask.scope.root, symbol),
            expected="a symbol of the model",
            hint="list it in wrt or data, or define it",
        )
    return state.arrays[name]


def _whole(definition: Definition) -> Steps:
    return (yield definition.ask)


def element(state: State, ask: Ask) -> Steps:
    """Lower ``x[i, j]``: a read of an input or of a definition."""
    expr, scope = ask.expr, ask.scope
    name = expr.base.name
    shape = state.shapes[name]
    _same_rank(expr, shape, scope)
    indices = []
    for index, length in zip(expr.indices, shape, strict=True):
        indices.append((yield from index_value(state, index, length, scope, expr)))
    return (yield from read(state, name, tuple(indices)))


def read(state: State, name: str, indices: tuple[Value, ...]) -> Steps:
    """Return an element of an input or of a definition."""
    if name in state.definitions:
        definition = state.definitions[name]
        array = yield definition.ask
        index = dict(zip(definition.axes, indices, strict=True))
    else:
        array = state.arrays[name]
        index = dict(zip((a for a in array.axes if a is not state.sample), indices, strict=True))
    return state.builder.read(array, (index[a] if a in index else state.builder.iota(a) for a in array.axes))


def whole_array(state: State, ask: Ask) -> Value:
    """Refuse an array without indices."""
    raise ModelError(
        f"the array {ask.expr} stands without indices",
        **shown(ask.scope.root, ask.expr),
        expected=f"an element, such as {ask.expr}[i]",
        hint="sum over its elements, or use a MatrixSymbol",
    )
