"""One walk over a model before it is lowered: which symbols are bound, sizes, labels or inputs, and in which order."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.matrices.expressions.slice import MatrixSlice

from gradcompile.errors import DuplicateNameError, ModelError
from gradcompile.model import Model
from gradcompile.model.parts import CONSTANT_MATRICES, SYMBOLS, children, walk

from .places import shown

ARRAYS = (sympy.IndexedBase, sympy.MatrixSymbol)
NOTHING: frozenset[Any] = frozenset()


def bound_by(expr: Any) -> Sequence[Any]:
    """Return the symbols that an expression binds inside of itself."""
    if not isinstance(expr, (ExprWithLimits, sympy.Lambda)):
        return ()
    return expr.variables if isinstance(expr, sympy.Lambda) else [limit[0] for limit in expr.limits]


class FreeSymbols:
    """Which of the symbols that are bound somewhere are free in an expression. Every object is looked at once."""

    def __init__(self) -> None:
        self.bound: set[Any] = set()
        self._known: dict[int, tuple[Any, frozenset[Any]]] = {}  # the object too, so that its id stays its own

    def learn(self, roots: Iterable[Any]) -> None:
        """Collect the symbols that some expressions bind."""
        for expr in walk(roots):
            self.bound.update(bound_by(expr))

    def __call__(self, root: Any) -> frozenset[Any]:
        """Return the symbols that are free in an expression and bound somewhere."""
        known = self._known.get(id(root))
        if known:
            return known[1]
        if not self.bound:
            self._known[id(root)] = root, NOTHING
            return NOTHING
        return self._compute(root)

    def _compute(self, root: Any) -> frozenset[Any]:
        stack = [root]
        while stack:
            expr = stack[-1]
            missing = [c for c in children(expr) if id(c) not in self._known]
            if missing:
                stack.extend(missing)
                continue
            self._known[id(expr)] = expr, self._free(expr)
            stack.pop()
        return self._known[id(root)][1]

    def _free(self, expr: Any) -> frozenset[Any]:
        if isinstance(expr, SYMBOLS):
            return frozenset([expr]) if expr in self.bound else NOTHING
        if isinstance(expr, ExprWithLimits):
            return self._free_with_limits(expr)
        sets = [found for c in children(expr) if (found := self._known[id(c)][1])]
        if not sets:
            return NOTHING
        free = sets[0] if len(sets) == 1 else NOTHING.union(*sets)
        return free.difference(bound_by(expr))

    def _free_with_limits(self, expr: Any) -> frozenset[Any]:
        """Return what is free in a sum: its ends lie outside of its own index, and inside of the indices after it."""
        free = self(expr.function)
        for index, *ends in expr.limits:
            free = free.difference([index]).union(*(self(end) for end in ends))
        return free


@dataclass
class Survey:
    """What a walk over a model finds.

    Parameters
    ----------
    model : Model
        The model.
    free : FreeSymbols
        Which bound symbols are free where.
    sizes : dict of Symbol to str
        Symbols that are lengths of axes or ends of ranges.
    labels : set of str
        Names of arrays and scalars that are used as an index.
    leaves : dict of name to object
        Scalars, arrays and matrices that are neither bound nor sizes, in the order of declaration.
    """

    model: Model
    free: FreeSymbols
    sizes: dict[Any, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    leaves: dict[str, Any] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)  # names of parameters, data, inputs and definitions
    count: int = 0  # of objects in the model

    def add_leaf(self, leaf: Any, root: Any) -> None:
        """Record an input or definition; two different ones of one name are an error."""
        _add(self.leaves, self._folded, leaf, root)

    _folded: dict[str, Any] = field(default_factory=dict)


def name_of(leaf: Any) -> str:
    """Return the name of a Symbol, an IndexedBase or a MatrixSymbol."""
    return str(leaf.name)


def _add(leaves: dict[str, Any], folded: dict[str, Any], leaf: Any, root: Any) -> None:
    name = name_of(leaf)
    if not name:
        raise ModelError("a symbol has an empty name", **shown(root, leaf), hint="name it")
    key = unicodedata.normalize("NFKC", name)
    other = folded.setdefault(key, leaf)
    if other != leaf:
        raise DuplicateNameError(
            f"two different symbols are named {name!r}",
            **shown(root, name),
            expected="one symbol for a name, with the same assumptions and shape everywhere",
            found=f"{_described(other)} and {_described(leaf)}",
            hint="make each symbol once, or give one of them another name",
        )
    leaves.setdefault(name, leaf)


def _described(leaf: Any) -> str:
    """Return a symbol with what distinguishes it."""
    if isinstance(leaf, ARRAYS):
        return f"{type(leaf).__name__} {name_of(leaf)} with shape {getattr(leaf, 'shape', None)}"
    assumptions = ", ".join(f"{k}={v}" for k, v in sorted(leaf._assumptions_orig.items())) or "no assumptions"
    return f"{type(leaf).__name__} {name_of(leaf)!r} ({assumptions})"


def survey(model: Model) -> Survey:
    """Walk over a model once."""
    roots = [model.objective, *model.definitions.values(), *model.outputs.values()]
    found = Survey(model, FreeSymbols())
    found.free.learn(roots)
    for key in model.definitions:
        if isinstance(key, sympy.Indexed):
            found.free.bound.update(i for i in key.indices if isinstance(i, SYMBOLS))
    _find_sizes(found, [*model.wrt, *model.data, *model.inputs, *model.definitions], roots)
    for leaf in (*model.wrt, *model.data, *model.inputs):
        found.add_leaf(leaf, model.objective)
    for key in model.definitions:
        found.add_leaf(key.base if isinstance(key, sympy.Indexed) else key, key)
    found.declared.update(found.leaves)
    _find_leaves(found, model.objective, ())
    for key, body in model.definitions.items():
        _find_leaves(found, body, key.indices if isinstance(key, sympy.Indexed) else ())
    for body in model.outputs.values():
        _find_leaves(found, body, ())
    _close_labels(found, model.definitions)
    return found


def _lengths(expr: Any) -> Iterator[Any]:
    """Yield the lengths and the ends of ranges that an object names."""
    if isinstance(expr, sympy.Indexed):
        expr = expr.base
    if isinstance(expr, sympy.IndexedBase):
        yield from expr.shape or ()
    elif isinstance(expr, (sympy.MatrixSymbol, sympy.FunctionMatrix, *CONSTANT_MATRICES)):
        yield from expr.shape
    elif isinstance(expr, MatrixSlice):
        yield from (end for slice_ in (expr.rowslice, expr.colslice) for end in slice_)
    elif isinstance(expr, ExprWithLimits):
        yield from (end for limit in expr.limits for end in limit[1:])


def _find_sizes(found: Survey, declared: Iterable[Any], roots: Iterable[Any]) -> None:
    """Find the symbols in lengths and ends of ranges that are not indices."""
    names: dict[str, Any] = {}
    folded: dict[str, Any] = {}
    for expr in (*declared, *walk(roots)):
        found.count += 1
        for length in _lengths(expr):
            for symbol in walk([sympy.sympify(length, strict=True)]):
                if isinstance(symbol, SYMBOLS) and symbol not in found.free.bound and symbol not in found.sizes:
                    _add(names, folded, symbol, length)
                    found.sizes[symbol] = symbol.name


def _find_leaves(found: Survey, root: Any, formals: Iterable[Any]) -> None:
    """Find inputs in the order in which the expression has them, and what is used as an index."""
    stack: list[tuple[Any, frozenset[Any], bool]] = [(root, frozenset(formals), False)]
    seen: set[tuple[int, frozenset[Any], bool]] = set()
    while stack:
        expr, bound, index = stack.pop()
        if bound:
            bound &= found.free(expr)
        if (id(expr), bound, index) in seen:
            continue
        seen.add((id(expr), bound, index))
        leaf = expr.base if isinstance(expr, sympy.Indexed) else expr
        if isinstance(leaf, (*SYMBOLS, *ARRAYS)) and leaf not in bound and leaf not in found.sizes:
            _leaf(found, leaf, root, index)
        stack.extend(reversed(list(_inside(expr, bound, index))))


def _leaf(found: Survey, leaf: Any, root: Any, index: bool) -> None:
    if index and isinstance(leaf, SYMBOLS) and name_of(leaf) not in found.declared:
        return  # an index without a range: lowering says so, at its place
    found.add_leaf(leaf, root)
    if index:
        found.labels.add(name_of(leaf))


def _inside(expr: Any, bound: frozenset[Any], index: bool) -> Iterator[tuple[Any, frozenset[Any], bool]]:
    """Yield the parts of an expression with what is bound there and whether they are (part of) an index."""
    if isinstance(expr, ExprWithLimits):
        inner = bound | set(bound_by(expr))
        yield expr.function, inner, index
        yield from ((end, inner, True) for limit in expr.limits for end in limit[1:])
    elif isinstance(expr, sympy.Indexed):
        yield from ((i, bound, True) for i in expr.indices)
    elif isinstance(expr, sympy.matrices.expressions.matexpr.MatrixElement):
        yield expr.parent, bound, index
        yield from ((i, bound, True) for i in expr.args[1:])
    elif isinstance(expr, MatrixSlice):
        yield expr.parent, bound, index
    else:
        inner = bound.union(bound_by(expr))
        yield from ((part, inner, index) for part in children(expr))


def _close_labels(found: Survey, definitions: Mapping[Any, Any]) -> None:
    """Take what a definition that is used as an index reads for an index too."""
    bodies = {name_of(k.base if isinstance(k, sympy.Indexed) else k): body for k, body in definitions.items()}
    todo = [name for name in found.labels if name in bodies]
    done = set(todo)
    while todo:
        for expr in walk([bodies[todo.pop()]]):
            leaf = expr.base if isinstance(expr, sympy.Indexed) else expr
            if isinstance(leaf, (*SYMBOLS, *ARRAYS)) and (name := name_of(leaf)) in found.leaves:
                found.labels.add(name)
                if name in bodies and name not in done:
                    done.add(name)
                    todo.append(name)
