"""A model as text of the language: `parse` makes the same model of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradcompile.errors import UnsupportedError
from gradcompile.ir import Size

from .affine import Affine, affine
from .formula import NAME, WORDS, Formulas, Scope
from .parts import walk
from .told import untold_axes

# Words that other languages use for values that are no real numbers: no names of the language.
NO_NAMES = frozenset({"True", "False", "None", "Ellipsis", "NotImplemented", "nan", "NaN", "inf", "Inf", "oo", "zoo"})


class Described(Protocol):
    """What there is to say of a model: see `Model`."""

    @property
    def objective(self) -> Any: ...  # noqa: D102  (a field of Model)
    @property
    def wrt(self) -> Sequence[Any]: ...  # noqa: D102  (a field of Model)
    @property
    def data(self) -> Sequence[Any]: ...  # noqa: D102  (a field of Model)
    @property
    def definitions(self) -> Mapping[Any, Any]: ...  # noqa: D102  (a field of Model)
    @property
    def outputs(self) -> Mapping[str, Any]: ...  # noqa: D102  (a field of Model)
    @property
    def inputs(self) -> Sequence[Any]: ...  # noqa: D102  (a field of Model)
    @property
    def defaults(self) -> Mapping[str, float]: ...  # noqa: D102  (a field of Model)
    @property
    def loss(self) -> str: ...  # noqa: D102  (a field of Model)


def text_of(model: Described) -> str:
    """Return a model as text.

    Raises
    ------
    UnsupportedError
        The language has no words for a part of it: matrices, a name that is not of letters, an axis whose length is
        not a name or a number.
    """
    leaves = _Leaves.of(model)
    lines = [*_declarations(model, leaves), ""]
    formulas = Formulas(leaves.shapes, leaves.sizes, untold_axes(_definitions(model), leaves.shapes))
    loss = _loss(model, leaves)
    for key, body in _definitions(model).items():
        lines.append(_definition(key, body, formulas, leaves))
    if model.objective not in model.definitions or name_of(model.objective) != model.loss:
        lines.append(f"{loss} = {formulas.text(model.objective)}")
    return "\n".join(lines) + "\n"


def _loss(model: Described, leaves: _Leaves) -> str:
    """Return the name of the objective, or another where something else has that name."""
    taken = {*leaves.shapes, *leaves.sizes} - (
        {model.loss} if model.objective in model.definitions and name_of(model.objective) == model.loss else set()
    )
    candidates = (model.loss, "objective", *(f"{model.loss}_{k}" for k in range(2, len(taken) + 3)))
    return next(name for name in candidates if name not in taken)


def _definitions(model: Described) -> dict[Any, Any]:
    """Return the definitions, and the outputs that are none yet, by their left sides."""
    found = dict(model.definitions)
    known = {name_of(key): key for key in found}
    for name, body in model.outputs.items():
        indices = body.variables if isinstance(body, sympy.Lambda) else ()
        inner = body.expr if isinstance(body, sympy.Lambda) else body
        key = sympy.IndexedBase(name)[tuple(indices)] if indices else sympy.Symbol(name, real=True)
        if name not in known:
            found[key] = inner
        elif name_of(inner) != name:
            raise UnsupportedError(f"the output {name} has the name of another definition", hint="rename one of them")
    return found


def name_of(leaf: Any) -> str:
    """Return the name of a symbol, of an array, or of the array of an element; "" for anything else."""
    return str(getattr(getattr(leaf, "base", leaf), "name", ""))


def _definition(key: Any, body: Any, formulas: Formulas, leaves: _Leaves) -> str:
    indices = key.indices if isinstance(key, sympy.Indexed) else ()
    scope: Scope = ()
    for index, length in zip(indices, formulas.shapes[name_of(key)], strict=True):
        scope = formulas.bind(index, None if length is None else (sympy.S.Zero, length - 1), scope)
    left = f"{name_of(key)}[{', '.join(letter for _, letter, _ in scope)}]" if indices else name_of(key)
    alone = {index for e in walk([body]) if isinstance(e, sympy.Indexed) for index in e.indices}
    rows = zip(indices, formulas.shapes[name_of(key)], (letter for _, letter, _ in scope), strict=True)
    told = [_told_by(letter, length, leaves) for index, length, letter in rows if index not in alone]
    return f"{left} = {formulas.text(body, scope)}{''.join(told)}"


def _told_by(letter: str, length: Any, leaves: _Leaves) -> str:
    """Return a term that is 0 and tells the range of an index that no array in a definition has: ``+ 0*y[n]``."""
    for name in leaves.declared:
        shape = leaves.shapes[name]
        if length is not None and length in shape:
            at = shape.index(length)
            return f" + 0*{name}[{', '.join(letter if k == at else '0' for k in range(len(shape)))}]"
    return ""


def _declarations(model: Described, leaves: _Leaves) -> Iterator[str]:
    """Yield the lines of the inputs: data, then parameters, then constants, each in their order."""
    rows = [(leaf, leaves.role(leaf)) for leaf in leaves.inputs]
    constants = next((k for k, (_, role) in enumerate(rows) if role == "constant"), len(rows))
    columns = [(leaf, "column") for leaf in model.data]
    parameters = [(leaf, "parameter") for leaf in model.wrt]
    for leaf, role in (*columns, *rows[:constants], *parameters, *rows[constants:]):
        name = name_of(leaf)
        lengths = [str(_length(length)) for length in leaves.shapes[name]]
        axes = f"[{', '.join(lengths)}]" if lengths else ""
        default = f" = {model.defaults[name]!r}" if name in model.defaults else ""
        yield f"{name}: {role}{axes}{default}"


@dataclass
class _Leaves:
    """The names of a model: what is declared, defined, a size, used as an index.

    shapes : the names that are declared or defined, and their axes
    sizes : the names of sizes
    declared : the names that are declared
    inputs : what is neither a parameter, nor a column, nor a definition, in call order
    labels : names of inputs that are used as an index
    """

    shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    inputs: list[Any] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)

    @staticmethod
    def of(model: Described) -> _Leaves:
        """Walk over a model and collect its names."""
        found, defined = _Leaves(), _definitions(model)
        for leaf in (*model.wrt, *model.data, *model.inputs):
            found._declare(leaf)
        found.declared, found.inputs = tuple(found.shapes), list(model.inputs)
        for key in defined:
            found._define(key)
        bodies = ((None, model.objective), *defined.items())
        uses = [use for key, body in bodies for use in _uses(body, frozenset(getattr(key, "indices", ())))]
        for leaf, _ in uses:
            if isinstance(leaf, sympy.IndexedBase) and name_of(leaf) not in found.shapes:
                found._measure(name_of(leaf), leaf.shape or ())
        for leaf, index in uses:
            found._use(leaf, index)
        return found

    def role(self, leaf: Any) -> str:
        """Return the role of an input that is neither a parameter nor a column."""
        whole = not isinstance(leaf, sympy.IndexedBase) and leaf.is_integer
        if whole or name_of(leaf) in self.labels:
            return "labels"
        return "data" if isinstance(leaf, sympy.IndexedBase) else "constant"

    def _declare(self, leaf: Any) -> None:
        """Take a name and the sizes in its shape."""
        name = _checked(name_of(leaf), leaf)
        if isinstance(leaf, sympy.IndexedBase):
            if leaf.shape is None:
                hint = "give it one: IndexedBase(name, shape=(N, D))"
                raise UnsupportedError(f"the array {name} has no shape", hint=hint)
            self.shapes[name] = tuple(leaf.shape)
            self._measure(name, leaf.shape)
        elif isinstance(leaf, sympy.Symbol):
            self.shapes[name] = ()
        else:
            what = f"{name} is a matrix, and the text language has indexed arrays"
            raise UnsupportedError(what, hint="write it with IndexedBase and Sum, or save the model instead")

    def _measure(self, name: str, shape: Iterable[Any]) -> None:
        for length in shape:
            if _length(length) is None:
                what = f"an axis of {name} has the length {length}"
                raise UnsupportedError(
                    what,
                    expected="a sum of names and whole numbers, as in x[N, 3]",
                    hint="give the shape in names and whole numbers, or save the model instead",
                )
            for symbol in sorted(length.free_symbols, key=str):
                self.sizes.setdefault(_checked(symbol.name, symbol), symbol)

    def _define(self, key: Any) -> None:
        name = _checked(name_of(key), key)
        if isinstance(key, sympy.Indexed):
            self.shapes[name] = tuple(key.base.shape or (None,) * len(key.indices))
        else:
            self.shapes[name] = ()

    def _use(self, leaf: Any, index: bool) -> None:
        name = name_of(leaf)
        if name in self.sizes:
            return
        if name not in self.shapes:
            self._declare(leaf)
            self.inputs.append(leaf)
        if index:
            self.labels.add(name)


def _length(length: Any) -> Size | None:
    """Return the length of an axis, which is more than 0 somewhere; None if it is no sum of sizes."""
    number = affine(sympy.sympify(length, strict=True), lambda s: Affine(Size.of(str(s.name))) if s.is_Symbol else None)
    fits = number is not None and (number.size.constant > 0 or any(count > 0 for _, count in number.size.terms))
    return number.size if number is not None and fits else None


def _uses(root: Any, formals: frozenset[Any]) -> Iterator[tuple[Any, bool]]:
    """Yield what an expression reads in its order, and whether it is read as (a part of) an index."""
    stack: list[tuple[Any, frozenset[Any], bool]] = [(root, formals, False)]
    seen: set[tuple[int, frozenset[Any], bool]] = set()
    while stack:
        expr, bound, index = stack.pop()
        if (id(expr), bound, index) in seen:
            continue
        seen.add((id(expr), bound, index))
        leaf = expr.base if isinstance(expr, sympy.Indexed) else expr
        if isinstance(leaf, (sympy.Symbol, sympy.IndexedBase, sympy.MatrixSymbol)) and leaf not in bound:
            yield leaf, index
        stack += reversed(list(_inside(expr, bound, index)))


def _inside(expr: Any, bound: frozenset[Any], index: bool) -> Iterator[tuple[Any, frozenset[Any], bool]]:
    """Yield the parts of an expression, what is bound in them, and whether they are a part of an index."""
    if isinstance(expr, ExprWithLimits):
        inner = bound | {limit[0] for limit in expr.limits}
        yield expr.function, inner, index
        yield from ((end, inner, True) for limit in expr.limits for end in limit[1:])
    elif isinstance(expr, sympy.Indexed):
        yield from ((i, bound, True) for i in expr.indices)
    elif not isinstance(expr, (sympy.Symbol, sympy.IndexedBase, sympy.MatrixSymbol)):
        yield from ((part, bound, index) for part in expr.args)


def _checked(name: str, leaf: Any) -> str:
    """Return a name that the language can write."""
    if not NAME.fullmatch(name) or "__" in name or name in NO_NAMES or name in WORDS:
        what = f"the name {name or leaf!r:.60} is not one of the text language"
        raise UnsupportedError(what, expected="letters A to Z and a to z, digits and _", hint="rename it")
    return name
