"""What lowering knows while it runs, and the engine that lowers without recursion.

A rule is a function of (state, question) that returns a value, or a generator that asks for the values of parts:
``a = yield Ask(part, scope)``. The engine keeps the generators on a stack of its own, so expressions and chains of
definitions may be as deep as they like, and answers every question once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy

from gradcompile.errors import GradcompileError, ModelError, UnsupportedError
from gradcompile.ir import Axis, Builder, Requirement, Size, Value
from gradcompile.model import Model
from gradcompile.model.affine import Affine, affine
from gradcompile.primitives import PRIMITIVES

from .binding import Binding
from .places import shown
from .survey import Survey

Place = tuple[Value, Value]  # row and column of an element of a matrix
NOTHING_BOUND: MappingProxyType[Any, Binding] = MappingProxyType({})


class Scope(NamedTuple):
    """Where an expression stands: what its bound symbols mean, and whether it is evaluated everywhere.

    Parameters
    ----------
    root : SymPy expression
        The objective, output or definition that messages show.
    bound : mapping of Symbol to Binding
        Indices, and arguments of functions of elements.
    guarded : bool
        Whether a condition of the user's decides if it is evaluated, so that an index may leave its axis.
    """

    root: Any
    bound: MappingProxyType[Any, Binding] = NOTHING_BOUND
    guarded: bool = False

    def bind(self, symbol: Any, binding: Binding) -> Scope:
        """Return the scope inside of a binder."""
        return self._replace(bound=MappingProxyType({**self.bound, symbol: binding}))

    def guard(self) -> Scope:
        """Return the scope inside of a branch."""
        return self if self.guarded else self._replace(guarded=True)


class Ask(NamedTuple):
    """A question to the engine: the value of a scalar, or of an element of a matrix."""

    expr: Any
    scope: Scope
    place: Place | None = None


Steps = Generator[Ask, Value, Value]
Rule = Callable[["State", Ask], "Value | Steps"]
Signed = tuple[bool, Value]  # a term of a sum: whether it is subtracted, and its value without the sign
LEAVES = ("input", "read", "iota", "size")


@dataclass
class State:
    """Everything that lowering one model knows."""

    model: Model
    survey: Survey
    rule_for: Callable[[Ask], Rule]
    builder: Builder = field(default_factory=Builder)
    ranks: dict[str, int] = field(default_factory=dict)  # the order of declaration
    parameters: set[str] = field(default_factory=set)
    arrays: dict[str, Value] = field(default_factory=dict)  # inputs by name
    shapes: dict[str, tuple[Size, ...]] = field(default_factory=dict)  # of arrays, without the sample axis
    measured: set[str] = field(default_factory=set)  # sizes that the shape of an input tells
    definitions: dict[str, Any] = field(default_factory=dict)  # name -> Definition
    sample: Axis | None = None  # of the per-sample form
    sampled: set[str] = field(default_factory=set)
    letters: dict[Axis, str] = field(default_factory=dict)
    requirements: dict[Requirement, list[Any]] = field(default_factory=dict)  # and the expressions that need it
    templates: dict[Any, Any] = field(default_factory=dict)  # functions without a row, rewritten once
    _answers: dict[Any, Value] = field(default_factory=dict)
    _bindings: dict[Any, Binding] = field(default_factory=dict)

    # --- the engine

    def value(self, question: Ask) -> Value:
        """Answer a question, and first the questions that its rule asks."""
        stack: list[tuple[Any, Ask, Steps]] = []
        waiting: set[Any] = set()
        answer = self._begin(question, stack, waiting)
        while stack:
            key, asked, steps = stack[-1]
            try:
                question = steps.send(answer) if answer is not None else next(steps)
            except StopIteration as done:
                stack.pop()
                waiting.discard(key)
                answer = self._finish(key, asked, done.value)
            else:
                answer = self._begin(question, stack, waiting)
        assert answer is not None
        return answer

    def _begin(self, question: Ask, stack: list[tuple[Any, Ask, Steps]], waiting: set[Any]) -> Value | None:
        """Return the answer if it is known or easy; else put the rule's generator on the stack."""
        key = self._key(question)
        if key in self._answers:
            return self._answers[key]
        if key in waiting:
            raise self._circle(question, [asked for _, asked, _ in stack])
        result = self.rule_for(question)(self, question)
        if isinstance(result, Value):
            return self._finish(key, question, result)
        stack.append((key, question, result))
        waiting.add(key)
        return None

    def _finish(self, key: Any, question: Ask, answer: Value) -> Value:
        self._answers[key] = answer
        if answer.origin is None and question.place is None:
            answer.origin = question.expr
        return answer

    def _key(self, question: Ask) -> Any:
        """Return what makes two questions the same: the object, its place, and what its free symbols mean."""
        free, bound = self.survey.free(question.expr), question.scope.bound
        meaning = frozenset((s, bound[s]) for s in free if s in bound) if free and bound else None
        place = question.place and (question.place[0].number, question.place[1].number)
        return id(question.expr), place, meaning, question.scope.guarded

    def _circle(self, question: Ask, around: list[Ask]) -> GradcompileError:
        """Return the error for definitions that need one another."""
        bodies = {id(d.body): name for name, d in self.definitions.items()}
        start = next(k for k, asked in enumerate(around) if asked.expr is question.expr)
        names = [bodies[id(asked.expr)] for asked in around[start:] if id(asked.expr) in bodies]
        circle = " -> ".join([*names, *names[:1]])
        what, expected = f"a definition needs itself: {circle}", "definitions that use others"
        return ModelError(what, **shown(question.expr, ""), expected=expected, found=circle, hint="break the circle")

    # --- values

    def apply(self, op: str, *operands: Value) -> Value:
        """Apply a row of the table; where integers meet a function of reals, they become reals first."""
        if op in ("div", "pow") or (PRIMITIVES[op].kind == "real" and op != "real"):
            operands = tuple(self.real(o) for o in operands)
        elif op in ("select", "maximum", "minimum") and any(o.kind == "real" for o in operands):
            operands = tuple(o if o.kind == "bool" else self.real(o) for o in operands)
        return self.builder.apply(op, *operands)

    def real(self, value: Value) -> Value:
        """Return an integer that is not a constant as a real number."""
        return self.builder.apply("real", value) if value.kind == "int" and value.op != "const" else value

    def condition(self, value: Value) -> Value:
        """Return a value as true or false."""
        return value if value.kind == "bool" else self.builder.apply("ne", value, 0)

    def select(self, condition: Value, taken: Value, other: Value) -> Value:
        """Return a choice; nothing is left of one between constants."""
        if condition.op == "const":
            return taken if condition.attr else other
        return taken if taken is other else self.apply("select", condition, taken, other)

    def times(self, a: Value, b: Value) -> Value:
        """Return a product; zeros and ones of matrices leave nothing behind."""
        for this, other in ((a, b), (b, a)):
            if this.is_const(1):
                return other
            if this.is_const(0):
                return this
        return self.apply("mul", a, b)

    def signed_sum(self, terms: list[Signed]) -> Value:
        """Return a sum in the order of its terms, but first of one that is not subtracted: ``b - a``, not ``-a + b``.

        Zeros, of which matrices are full, are left out unless one comes first.
        """
        head = next((k for k, (negative, _) in enumerate(terms) if not negative), 0)
        (negative, total), *rest = [terms[head], *terms[:head], *terms[head + 1 :]]
        if negative:
            total = self.builder.apply("neg", total)
        for negative, term in rest:
            if not term.is_const(0):
                total = self.builder.apply("sub" if negative else "add", total, term)
        return total

    # --- sizes, indices and axes

    def affine(self, expr: Any, scope: Scope) -> Affine | None:
        """Return an expression as an affine number of sizes and indices in scope; None if it is not one."""

        def lookup(symbol: Any) -> Affine | None:
            binding = scope.bound.get(symbol)
            if binding is not None:
                return Affine(Size(), ((binding, 1),)) if binding.box else None
            return Affine(Size.of(self.survey.sizes[symbol])) if symbol in self.survey.sizes else None

        return affine(sympy.sympify(expr, strict=True), lookup)

    def size(self, length: Any, root: Any) -> Size:
        """Return a length as a size."""
        number = self.affine(length, Scope(root))
        if number is None:
            raise UnsupportedError(
                f"the length {length} is not a sum of sizes",
                **shown(root, length),
                expected="whole multiples of sizes, such as N, 3 or 2*N - 1",
                hint="give the length a symbol of its own",
            )
        return number.size

    def binding(self, value: Value, low: Affine, high: Affine, box: tuple[Size, Size], depth: int) -> Binding:
        """Return the binding of an index, the same object for the same range."""
        key = (value.number, low, high, box, depth)
        return self._bindings.setdefault(key, Binding(value=value, low=low, high=high, box=box, depth=depth))

    def argument(self, value: Value) -> Binding:
        """Return the binding of an argument of a function, the same object for the same value."""
        return self._bindings.setdefault(value.number, Binding(value=value))

    def free_axes(self, expr: Any, scope: Scope, without: Iterable[Any] = ()) -> set[Axis]:
        """Return the axes of the symbols that are free in an expression."""
        symbols = self.survey.free(expr).difference(without)
        return {axis for s in symbols if s in scope.bound for axis in scope.bound[s].value.axes}

    def axis(self, size: Size, taken: Iterable[Axis], letter: str = "") -> Axis:
        """Return the first axis of a size that is not taken, and note the user's letter."""
        taken, number = set(taken), 0
        while Axis(size, number) in taken:
            number += 1
        axis = Axis(size, number)
        self.name_axis(axis, letter)
        return axis

    def name_axis(self, axis: Axis, letter: str = "") -> None:
        """Give an axis the user's letter, or one that is free; the first stays."""
        if axis in self.letters:
            return
        used = set(self.letters.values())
        wanted = [letter, *(f"{letter}{k}" for k in range(2, 100))] if letter else [*"ijklmpqrtuvw"]
        self.letters[axis] = next((w for w in wanted if w not in used), f"i{len(used)}")

    def require(self, size: Size, message: str, use: Any) -> None:
        """Ask for a number that is not negative at run time; `use` is the expression that needs it."""
        self.requirements.setdefault(Requirement(size, message), []).append(use)
