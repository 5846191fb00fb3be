"""Random models, whole: scalars, sums over indices, gathers, matrices, branches, definitions, shared parts.

A model is a function of a `random.Random`: `model(Random(7))` is model number 7 on every machine, and Hypothesis
passes a Random of its own, whose choices it knows how to make smaller. `python -m tests.random_models 7` prints a
model, its text and its gradient.

Every expression comes with bounds of its value. A function is applied only where its row of DOMAINS says that it is
defined and well-behaved; else its argument is first bent into that domain. Bounds are crude, but they hold.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import sympy
from sympy import IndexedBase, MatrixSymbol, Rational, Symbol, symbols
from sympy.matrices.expressions import hadamard_product

from gradcompile.model import MaxOver, MinOver, reduction
from tests import tape
from tests.oracle import Answer, Problem

LIMIT = 24.0  # larger values are bent back
N, D, C = symbols("N D C", integer=True, positive=True)
LETTERS = {N: symbols("s r", integer=True), D: symbols("j k", integer=True), C: symbols("i l", integer=True)}
HALF = Rational(1, 2)


class Bounded(NamedTuple):
    """An expression with bounds of its value."""

    expr: Any
    low: float
    high: float


def corners(*values: float) -> tuple[float, float]:
    return min(values), max(values)


def add(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(a.expr + b.expr, a.low + b.low, a.high + b.high)


def subtract(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(a.expr - b.expr, a.low - b.high, a.high - b.low)


def multiply(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(a.expr * b.expr, *corners(*(x * y for x in a[1:] for y in b[1:])))


def divide(a: Bounded, b: Bounded) -> Bounded:
    b = bent(b, 0.4, LIMIT)
    return Bounded(a.expr / b.expr, *corners(*(x / y for x in a[1:] for y in b[1:])))


def powered(a: Bounded, b: Bounded) -> Bounded:
    a, b = bent(a, 0.3, 3.0), bent(b, -2.0, 2.0)
    return Bounded(a.expr**b.expr, *corners(*(x**y for x in a[1:] for y in b[1:])))


def largest(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(sympy.Max(a.expr, b.expr, evaluate=False), max(a.low, b.low), max(a.high, b.high))


def smallest(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(sympy.Min(a.expr, b.expr, evaluate=False), min(a.low, b.low), min(a.high, b.high))


def hypotenuse(a: Bounded, b: Bounded) -> Bounded:
    size = max(map(abs, (*a[1:], *b[1:])))
    return Bounded(sympy.sqrt(a.expr**2 + b.expr**2), 0.0, 1.5 * size)


def angle(a: Bounded, b: Bounded) -> Bounded:
    return Bounded(sympy.atan2(a.expr, bent(b, 0.3, LIMIT).expr), -1.6, 1.6)


def log_of_sum(a: Bounded, b: Bounded) -> Bounded:
    high = max(a.high, b.high)
    return Bounded(sympy.log(sympy.exp(a.expr) + sympy.exp(b.expr)), max(a.low, b.low), high + 0.7)


BINARY: tuple[Callable[[Bounded, Bounded], Bounded], ...] = (
    add, multiply, subtract, divide, add, multiply, powered, largest, smallest, hypotenuse, angle, log_of_sum,
)  # fmt: skip


class Domain(NamedTuple):
    """A function, where it is defined and well-behaved, and how its values there follow from the ends."""

    head: Callable[[Any], Any]
    low: float
    high: float
    image: Callable[[float, float], tuple[float, float]]


def rising(f: Callable[[float], Any]) -> Callable[[float, float], tuple[float, float]]:
    """Return the image of a monotone function, a little widened."""

    def image(low: float, high: float) -> tuple[float, float]:
        a, b = corners(float(f(low)), float(f(high)))
        return a - 0.01 * (b - a), b + 0.01 * (b - a)

    return image


def within(low: float, high: float) -> Callable[[float, float], tuple[float, float]]:
    return lambda *_: (low, high)


def square(low: float, high: float) -> tuple[float, float]:
    return (0.0 if low < 0 < high else min(low * low, high * high)), max(low * low, high * high)


def _gamma(x: float) -> float:
    return float(sympy.gamma(x))


def log_cosh(x: Any) -> Any:
    """Return log(cosh(x)), or a like of it: of a long x, SymPy looks for the imaginary part without end."""
    return sympy.log(sympy.cosh(x)) if sympy.count_ops(x) <= 12 else sympy.sqrt(1 + x**2) - 1


DOMAINS: tuple[Domain, ...] = (
    Domain(lambda x: x**2, -5, 5, square),
    Domain(sympy.exp, -4, 3, rising(np.exp)),
    Domain(sympy.sin, -8, 8, within(-1, 1)),
    Domain(sympy.tanh, -3, 3, rising(np.tanh)),
    Domain(sympy.log, 0.1, LIMIT, rising(np.log)),
    Domain(sympy.sqrt, 0.05, LIMIT, rising(np.sqrt)),
    Domain(lambda x: 1 / (1 + sympy.exp(-x)), -6, 6, within(0, 1)),
    Domain(lambda x: sympy.log(1 + sympy.exp(x)), -6, 12, rising(lambda x: np.log1p(np.exp(x)))),
    Domain(sympy.Abs, -LIMIT, LIMIT, lambda low, high: (0.0, max(abs(low), abs(high)))),
    Domain(lambda x: sympy.Max(x, 0, evaluate=False), -LIMIT, LIMIT, lambda low, high: (0.0, max(high, 0.0))),
    Domain(sympy.cos, -8, 8, within(-1, 1)),
    Domain(sympy.atan, -8, 8, rising(np.arctan)),
    Domain(lambda x: x**3, -2.5, 2.5, rising(lambda x: x**3)),
    Domain(lambda x: 1 / x, 0.3, LIMIT, rising(lambda x: 1 / x)),
    Domain(lambda x: x ** Rational(-3, 2), 0.4, LIMIT, rising(lambda x: x**-1.5)),
    Domain(lambda x: x * sympy.log(x), 0.1, 6, within(-0.4, 11)),
    Domain(lambda x: sympy.exp(-(x**2) / 2), -3, 3, within(0, 1)),
    Domain(lambda x: sympy.log(1 + x), -0.8, LIMIT, rising(np.log1p)),
    Domain(lambda x: sympy.exp(x) - 1, -4, 3, rising(np.expm1)),
    Domain(lambda x: x / sympy.sqrt(1 + x**2), -5, 5, within(-1, 1)),
    Domain(sympy.tan, -1.1, 1.1, rising(np.tan)),
    Domain(sympy.sinh, -3, 3, rising(np.sinh)),
    Domain(sympy.cosh, -3, 3, within(1, 10.1)),
    Domain(sympy.asin, -0.9, 0.9, rising(np.arcsin)),
    Domain(sympy.acos, -0.9, 0.9, rising(np.arccos)),
    Domain(sympy.asinh, -8, 8, rising(np.arcsinh)),
    Domain(sympy.acosh, 1.2, LIMIT, rising(np.arccosh)),
    Domain(sympy.atanh, -0.9, 0.9, rising(np.arctanh)),
    Domain(sympy.erf, -2.5, 2.5, within(-1, 1)),
    Domain(sympy.erfc, -2.5, 2.5, within(0, 2)),
    Domain(sympy.gamma, 0.4, 4.5, lambda low, high: (0.88, max(_gamma(low), _gamma(high)))),
    Domain(sympy.loggamma, 0.4, LIMIT, within(-0.2, 55)),
    Domain(sympy.digamma, 0.5, LIMIT, rising(lambda x: np.log(x) - 0.5 / x - 0.2)),
    Domain(sympy.sign, -LIMIT, LIMIT, within(-1, 1)),
    Domain(sympy.floor, -LIMIT, LIMIT, lambda low, high: (low - 1, high)),
    Domain(sympy.ceiling, -LIMIT, LIMIT, lambda low, high: (low, high + 1)),
    Domain(lambda x: sympy.Mod(x, 3, evaluate=False), -LIMIT, LIMIT, within(0, 3)),
    Domain(log_cosh, -LIMIT, LIMIT, lambda low, high: (0.0, max(abs(low), abs(high)))),
    Domain(lambda x: sympy.Piecewise((x**2 / 2, sympy.Abs(x) < 1), (sympy.Abs(x) - HALF, True)), -LIMIT, LIMIT,
           lambda low, high: (0.0, max(abs(low), abs(high)))),
)  # fmt: skip


def bent(x: Bounded, low: float, high: float) -> Bounded:
    """Return an expression whose value lies between two bounds: as it is if it does already."""
    if low <= x.low and x.high <= high:
        return x
    if low >= 0:
        start, room = Rational(str(round(low + 0.1, 3))), high - low - 0.1
        if max(x.low**2, x.high**2) <= room:
            return Bounded(start + x.expr**2, low + 0.1, high)
        return Bounded(start + x.expr**2 / (1 + x.expr**2), low + 0.1, low + 1.1)
    reach = Rational(str(round(min(-low, high) * 0.9, 3)))
    return Bounded(reach * sympy.sin(x.expr), -float(reach), float(reach))


def tamed(x: Bounded) -> Bounded:
    return x if max(abs(x.low), abs(x.high)) <= LIMIT else bent(x, -3.0, 3.0)


Env = dict[Any, Any]  # bound index -> the symbol of its size


@dataclass
class Maker:
    """Makes one model; `inputs`, `wrt` and `define` grow as parts are asked for."""

    random: random.Random
    sizes: dict[Any, int]
    inputs: dict[str, Any] = field(default_factory=dict)
    bases: dict[str, Any] = field(default_factory=dict)
    define: dict[Any, Any] = field(default_factory=dict)
    pool: list[tuple[frozenset[Any], Bounded]] = field(default_factory=list)
    data: bool = False
    definitions: int = 0

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) >= 100 - percent

    def one_of(self, options: Any) -> Any:
        options = list(options)
        return options[self.random.randrange(len(options))]

    # Leaves

    def numbers(self, *shape: int) -> Any:
        """Return numbers between -2 and 2 with few digits, none of them near 0 or near another: no kinks, no ties."""
        count = int(np.prod(shape, initial=1))
        picked = [(2 * self.random.randrange(99) - 98 + 0.37 * k % 1) / 49 for k in range(count)]
        array = np.array([round(p, 4) or 0.01 for p in picked]).reshape(shape)
        return array if shape else float(array)

    def scalar(self) -> Bounded:
        name = self.one_of("abcpq" if self.data else "abc")
        if name not in self.inputs:
            self.inputs[name] = self.numbers(4) if name in "pq" else self.numbers()
        return Bounded(Symbol(name), -2.0, 2.0)

    def number(self) -> Bounded:
        value = self.one_of((2, HALF, 3, Rational(1, 3), sympy.Float("0.7"), -1, Rational(-5, 4), sympy.pi))
        return Bounded(sympy.sympify(value), float(value), float(value))

    def array(self, *axes: Any) -> tuple[str, Any]:
        """Return an array with these axes, made now if it is the first."""
        name = self.one_of("wv" if len(axes) == 1 else "WV" if len(axes) == 2 else "T") + "".join(map(str, axes))
        if name not in self.bases:
            self.bases[name] = IndexedBase(name, shape=axes)
            self.inputs[name] = self.numbers(*(self.sizes[a] for a in axes))
        return name, self.bases[name]

    def labels(self, of: Any, along: Any) -> Any:
        """Return integer data along an axis, an index of another."""
        name = f"g{of}{along}"
        if name not in self.bases:
            self.bases[name] = IndexedBase(name, shape=(along,))
            self.inputs[name] = np.array([self.random.randrange(self.sizes[of]) for _ in range(self.sizes[along])])
        return self.bases[name]

    def place(self, axis: Any, env: Env) -> Any:
        """Return an index into an axis: a bound one, a reversed one, a gathered one, or a number."""
        bound = [index for index, size in env.items() if size == axis]
        others = [(index, size) for index, size in env.items() if size != axis]
        options: list[Callable[[], Any]] = [lambda: self.one_of(bound)] * (6 if bound else 0)
        options += [lambda: axis - 1 - self.one_of(bound)] * bool(bound)
        options += [lambda: self.gathered(axis, *self.one_of(others or list(env.items())))] * (2 if env else 0)
        options += [lambda: sympy.Integer(self.random.randrange(self.sizes[axis]))]
        return self.one_of(options)()

    def gathered(self, axis: Any, index: Any, size: Any) -> Any:
        return self.labels(axis, size)[index]

    def element(self, env: Env) -> Bounded:
        axes = self.one_of([(D,), (N,), (C,), (D, C), (N, D), (D, D), (N, C, D)])
        if env and self.chance(80):  # mostly what the indices in scope are for
            known = list(dict.fromkeys(env.values()))
            axes = tuple(known[: 1 + self.random.randrange(len(known))])
        _, base = self.array(*axes)
        return Bounded(base[tuple(self.place(a, env) for a in axes)], -2.0, 2.0)

    def index(self, env: Env) -> Bounded:
        """Return an index as a number, brought to between 0 and 1."""
        index, size = self.one_of(env.items())
        return Bounded((index + 1) / size, 0.0, 1.0)

    def leaf(self, env: Env) -> Bounded:
        choice = self.random.randrange(20)
        if choice < 12 and not self.data:
            return self.element(env) if env or choice < 4 else self.scalar()
        if choice < 16:
            return self.scalar()
        if choice < 17 and env:
            return self.index(env)
        return self.number()

    # Expressions

    def expr(self, env: Env, budget: int) -> Bounded:
        """Return an expression of at most `budget` operations, more or less."""
        if budget <= 0:
            return self.leaf(env)
        reusable = [x for bound, x in self.pool if bound <= set(env)]
        if reusable and self.chance(12):
            return self.one_of(reusable)
        made = tamed(self.one_of(KINDS)(self, env, budget - 1))
        if self.chance(30):
            self.pool.append((frozenset(made.expr.free_symbols & set(env)), made))
        return made

    def unary(self, env: Env, budget: int) -> Bounded:
        row = self.one_of(DOMAINS)
        x = bent(self.expr(env, budget), row.low, row.high)
        return Bounded(row.head(x.expr), *row.image(x.low, x.high))

    def binary(self, env: Env, budget: int) -> Bounded:
        left = self.random.randrange(budget + 1)
        return self.one_of(BINARY)(self.expr(env, left), self.expr(env, budget - left))

    def branch(self, env: Env, budget: int) -> Bounded:
        third = budget // 3
        left, right = self.expr(env, third), self.leaf(env)
        if left.expr.has(sympy.Piecewise):
            left = self.leaf(env)  # SymPy takes conditions with branches apart, which may never end
        relation = self.one_of((sympy.Gt, sympy.Lt, sympy.Ge, sympy.Le))
        condition = relation(left.expr, right.expr)
        if self.chance(20):
            condition = self.one_of((sympy.And, sympy.Or))(condition, self.leaf(env).expr > HALF)
        a, b = self.expr(env, third), self.expr(env, third)
        chosen = sympy.Piecewise((a.expr, condition), (b.expr, True))
        return Bounded(chosen, min(a.low, b.low), max(a.high, b.high))

    def total(self, env: Env, budget: int) -> Bounded:
        """Return a sum, product, maximum or minimum over a new index."""
        free = [(letter, size) for size, letters in LETTERS.items() for letter in letters if letter not in env]
        if len(env) >= 3 or not free or self.data:
            return self.binary(env, budget)
        index, size = self.one_of(free)
        body = self.expr({**env, index: size}, budget)
        limits, count = (index, 0, size - 1), self.sizes[size]
        kind = self.random.randrange(10)
        if kind < 6:
            whole = reduction(sympy.Sum, body.expr, limits)
            return Bounded(whole, *corners(0, count * body.low, body.low, count * body.high, body.high))
        if kind < 7 and count > 1:
            limits = (index, 1, size - 1)
            return Bounded(reduction(sympy.Sum, body.expr, limits), *corners(0, count * body.low, count * body.high))
        if kind < 8:
            body = bent(body, -1.8, 1.8)
            size_ = max(abs(body.low), abs(body.high), 1.0) ** count
            return Bounded(reduction(sympy.Product, body.expr, limits), -size_, size_)
        return Bounded(reduction(MaxOver if kind < 9 else MinOver, body.expr, limits), body.low, body.high)

    def defined(self, env: Env, budget: int) -> Bounded:
        """Name a quantity, and read it: a scalar, or one with indices."""
        if self.data or self.definitions >= 2:
            return self.unary(env, budget)
        number, self.definitions = self.definitions, self.definitions + 1
        if not env:
            body = self.expr({}, budget)
            self.define[Symbol(f"q{number}")] = body.expr
            return Bounded(Symbol(f"q{number}"), body.low, body.high)
        axes = list(dict.fromkeys(env.values()))[: 1 + self.random.randrange(2)]
        own = {LETTERS[axis][0]: axis for axis in axes}
        body = self.expr(own, budget)
        base = IndexedBase(f"q{number}", shape=tuple(axes))
        self.define[base[tuple(own)]] = body.expr
        return Bounded(base[tuple(self.place(a, env) for a in axes)], body.low, body.high)

    def matrix_scalar(self, env: Env, budget: int) -> Bounded:
        """Return a number made of matrices; their elements lie between -2 and 2."""
        if self.data:
            return self.binary(env, budget)
        A, B, u, t, X = (self.matrix(*parts) for parts in MATRICES)
        d, n = self.sizes[D], self.sizes[N]
        made, size = self.one_of(
            [
                (lambda: (u.T * A * t)[0, 0], 8 * d * d),
                (lambda: sympy.Trace(A * B.T), 4 * d * d),
                (lambda: ((X * u).T * (X * t))[0, 0], 16 * n * d * d),
                (lambda: sympy.Trace(hadamard_product(A, B) * (A + B.T)), 16 * d * d),
                (lambda: (u.T * A.applyfunc(sympy.tanh) * u)[0, 0], 4 * d * d),
                (lambda: (u.T * (A + 9 * sympy.Identity(D)).inv() * t)[0, 0], 4 * d),
                (lambda: sympy.log(sympy.Determinant(A + 9 * sympy.Identity(D))), 3 * d),
                (lambda: sympy.sqrt(1 + (u.T * u)[0, 0]), 3 * d),
                (lambda: (A * (B + B.T))[0, d - 1], 8 * d),
            ]
        )
        return Bounded(made(), -float(size), float(size))

    def matrix(self, name: str, rows: Any, columns: Any) -> Any:
        if name not in self.bases:
            self.bases[name] = MatrixSymbol(name, rows, columns)
            self.inputs[name] = self.numbers(self.sizes.get(rows, 1), self.sizes.get(columns, 1))
        return self.bases[name]


MATRICES = (("A", D, D), ("B", D, D), ("u", D, 1), ("t", D, 1), ("X", N, D))
Kind = Callable[[Maker, Env, int], Bounded]
KINDS: tuple[Kind, ...] = (
    Maker.binary, Maker.unary, Maker.binary, Maker.unary, Maker.total, Maker.binary, Maker.unary, Maker.total,
    Maker.branch, Maker.defined, Maker.matrix_scalar, Maker.binary, Maker.total, Maker.unary, Maker.branch, Maker.total,
)  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A random model at a point, with its exact answer."""

    problem: Problem
    answer: Answer


def draft(source: random.Random) -> Problem | None:
    """Return a random model; None if nothing in it can move."""
    sizes = {N: 1 + source.randrange(4), D: 1 + source.randrange(3), C: 1 + source.randrange(3)}
    maker = Maker(source, sizes, data=source.randrange(8) == 7)
    budget = 1 + source.randrange(9)
    parts = [maker.expr({}, budget) for _ in range(1 + source.randrange(2))]
    objective = sum((part.expr for part in parts), sympy.S.Zero)
    used = names_in([objective, *maker.define.values()])
    letters = {letter for pair in LETTERS.values() for letter in pair}
    stray = [e.free_symbols - key.free_symbols for key, e in [(sympy.S.Zero, objective), *maker.define.items()]]
    if any(free & letters for free in stray):
        return None  # SymPy folds a Piecewise out of a condition, and out of the sum whose index it uses
    told = {a for name in used & maker.bases.keys() for a in maker.bases[name].shape}
    if not used & set("NDC") <= set(map(str, told)):
        return None  # no array says how long an axis is
    inputs = {name: value for name, value in maker.inputs.items() if name in used}
    data = [Symbol(name) for name in "pq" if name in inputs]
    movable = [n for n, v in inputs.items() if n not in "pq" and np.asarray(v).dtype.kind == "f"]
    if not movable or objective.has(sympy.nan, sympy.zoo, sympy.oo, sympy.arg):
        return None  # nothing moves; or SymPy made a number that is none, or one that is complex
    wrt = [maker.bases.get(name, Symbol(name)) for name in movable if source.randrange(4)] or [movable[0]]
    wrt = [maker.bases.get(w, Symbol(w)) if isinstance(w, str) else w for w in wrt]
    return Problem(objective, wrt, inputs, data, maker.define)


def names_in(exprs: list[Any]) -> set[str]:
    return {a.name for e in exprs for a in e.atoms(Symbol, IndexedBase, MatrixSymbol)}


def models(source: random.Random, attempts: int = 20) -> Iterator[Model]:
    """Yield the first model that has an answer: one off its kinks, and inside of its domain."""
    for _ in range(attempts):
        try:
            problem = draft(source)
        except (TypeError, ValueError):
            # SymPy's own, who cannot make such a model: its Mod takes a sum with a matrix element in it for a sum of
            # matrices, and its Max will not have a Mod of constants, depending on how the model was put together.
            continue
        if problem is None:
            continue
        try:
            answer = tape.answer(problem)
        except ArithmeticError:  # a KinkError is one
            continue
        yield Model(problem, answer)
        return


def numbered(seed: int) -> Model | None:
    """Return random model number `seed`."""
    return next(models(random.Random(seed)), None)


whole_models = st.randoms(use_true_random=False).map(lambda source: next(models(source, 3), None))


if __name__ == "__main__":
    found = numbered(int(sys.argv[1]))
    print(found.problem if found else "no model: all attempts lay on a kink")
