"""An independent answer to "what is this gradient?", at 50 digits, that shares no code with gradcompile.

Two of them, which check each other in test_oracle.py:

`exact`
    unrolls the model into plain SymPy scalars (one Symbol an array element), differentiates by SymPy's
    rules and evaluates with mpmath.
`differences`
    evaluates the model directly in mpmath numbers and takes central differences; no symbols, no derivative rules.

Both refuse to answer on a kink (`KinkError`): what is right there is a convention and not mathematics.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import sympy
from mpmath.ctx_mp import MPContext
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.matrices.expressions import hadamard
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.diagonal import DiagMatrix, DiagonalOf
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

DIGITS = 50
STEP = "1e-15"  # at 50 digits: truncation 1e-30, rounding 1e-35

mp = MPContext()
mp.dps = DIGITS


class KinkError(ArithmeticError):
    """The point lies on a kink, where the derivative is a convention."""


@dataclass(frozen=True)
class Problem:
    """A model at a point: the objective in any notation, and one small array for each name.

    `data` names the inputs of the per-sample form: a leading sample axis, and the objective is the mean over it.
    `define` is ordered; keys are symbols or indexed symbols whose indices are its own bound names.
    """

    objective: sympy.Basic
    wrt: Sequence[sympy.Basic]
    inputs: Mapping[str, Any]
    data: Sequence[sympy.Basic] = ()
    define: Mapping[sympy.Basic, sympy.Basic] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [name_of(symbol) for symbol in self.wrt]


@dataclass(frozen=True)
class Answer:
    """Value and gradients: `value` and `grads` as mpf, `scales` the size of the terms whose sum a gradient is."""

    value: Any
    grads: dict[str, np.ndarray]
    value_scale: Any
    scales: dict[str, np.ndarray]

    def floats(self) -> tuple[float, dict[str, np.ndarray]]:
        """Return the correctly rounded float64 answers."""
        return float(self.value), {name: as_floats(grad) for name, grad in self.grads.items()}


def as_floats(array: np.ndarray) -> np.ndarray:
    """Round an array of mpf to float64."""
    return np.array([float(v) for v in array.flat], dtype=np.float64).reshape(array.shape)


def name_of(symbol: sympy.Basic) -> str:
    """Return the name of a Symbol, IndexedBase or MatrixSymbol."""
    return str(symbol.name)


# ---------------------------------------------------------------------------------------------------------------
# What both oracles know of the language: names, sizes, ranges. `leaf` and the arithmetic are what differs.


class Walker:
    """Walk a model with bound indices in `env`; subclasses say what a leaf and an operation are."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.arrays = {name: np.asarray(value) for name, value in problem.inputs.items()}
        self.sampled = {name_of(symbol) for symbol in problem.data}
        self.sample: int | None = None
        self.scalars = {key: e for key, e in problem.define.items() if isinstance(key, sympy.Symbol)}
        self.families = {key.base.name: (key, e) for key, e in problem.define.items() if isinstance(key, sympy.Indexed)}
        self.sizes = self.infer_sizes()

    def infer_sizes(self) -> dict[sympy.Symbol, int]:
        """Read the symbolic sizes off the shapes of the arrays."""
        everything = [self.problem.objective, *self.problem.define.values(), *self.problem.wrt]
        sizes: dict[sympy.Symbol, int] = {}
        for declared in {a for e in everything for a in e.atoms(sympy.IndexedBase, sympy.MatrixSymbol)}:
            array = self.arrays.get(declared.name)
            if array is None or declared.shape is None:
                continue
            shape = array.shape[1:] if declared.name in self.sampled else array.shape
            for size, length in zip(declared.shape, shape, strict=True):
                if isinstance(size, sympy.Symbol) and sizes.setdefault(size, length) != length:
                    raise ValueError(f"{size} is both {sizes[size]} and {length}")
        return sizes

    def samples(self) -> int:
        return len(self.arrays[next(iter(self.sampled))])

    def integer(self, e: sympy.Basic, env: Mapping[Any, Any]) -> int:
        """Evaluate an index or a bound: indices, sizes, integer data."""
        if e.is_Integer:
            return int(e)
        if e in env:
            return int(env[e])
        if e in self.sizes:
            return self.sizes[e]
        if isinstance(e, sympy.Indexed):
            return int(self.element(e.base.name, [self.integer(i, env) for i in e.indices]))
        if isinstance(e, MatrixElement):
            return int(self.element(e.parent.name, [self.integer(i, env) for i in e.args[1:]]))
        if isinstance(e, sympy.Symbol):
            return int(self.element(e.name, []))
        result = e.func(*[sympy.Integer(self.integer(a, env)) for a in e.args])
        if not result.is_Integer:
            raise ValueError(f"{e} is not an integer index")
        return int(result)

    def element(self, name: str, place: Sequence[int]) -> Any:
        return self.arrays[name][self.placed(name, place)]

    def placed(self, name: str, place: Sequence[int]) -> tuple[int, ...]:
        """Add the sample to a place of the per-sample form; no place may lie outside of its array."""
        full = (self.sample, *place) if name in self.sampled else tuple(place)
        shape = self.arrays[name].shape
        if len(full) != len(shape) or not all(0 <= i < n for i, n in zip(full, shape, strict=True)):
            raise IndexError(f"{name}{full} lies outside of {shape}")
        return full

    def places(self, limits: Sequence[sympy.Tuple], env: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
        """Yield `env` with every value of the indices; the last limit is the outermost, as in SymPy."""
        if not limits:
            yield dict(env)
            return
        index, first, last = limits[-1]
        for i in range(self.integer(first, env), self.integer(last, env) + 1):
            yield from self.places(limits[:-1], {**env, index: sympy.Integer(i)})

    def indexed(self, e: sympy.Indexed, env: Mapping[Any, Any]) -> Any:
        place = [self.integer(i, env) for i in e.indices]
        if e.base.name in self.families:
            key, body = self.families[e.base.name]
            return self.scalar(body, dict(zip(key.indices, map(sympy.Integer, place), strict=True)))
        return self.leaf(e.base.name, place)

    def symbol(self, e: sympy.Symbol, env: Mapping[Any, Any]) -> Any:
        if e in env:
            return self.number(env[e])
        if e in self.scalars:
            return self.scalar(self.scalars[e], {})
        if e in self.sizes:
            return self.number(sympy.Integer(self.sizes[e]))
        return self.leaf(e.name, [])

    def matrix_shape(self, e: sympy.Basic, env: Mapping[Any, Any]) -> tuple[int, int]:
        return self.integer(e.shape[0], env), self.integer(e.shape[1], env)

    def scalar(self, e: sympy.Basic, env: Mapping[Any, Any]) -> Any:
        raise NotImplementedError

    def leaf(self, name: str, place: Sequence[int]) -> Any:
        raise NotImplementedError

    def number(self, e: Any) -> Any:
        raise NotImplementedError


# ---------------------------------------------------------------------------------------------------------------
# The first oracle: unroll, sympy.diff, evaluate.


class Largest(sympy.Function):
    """Max without SymPy's comparisons of its arguments; differentiable where there is no tie."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Wins(sympy.Integer(argindex - 1), *self.args)


class Wins(sympy.Function):
    """1 where argument number `args[0]` is the largest of the others, else 0."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.S.Zero


class Size(sympy.Function):
    """|x| of a real argument."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Direction(self.args[0])


class Direction(sympy.Function):
    """The sign of a real argument."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.S.Zero


class Step(sympy.Function):
    """Floor, ceiling and other step functions: args are (which, x); the derivative is 0."""

    is_real = True

    def _eval_derivative(self, s: sympy.Symbol) -> sympy.Expr:
        return sympy.S.Zero


class Test(sympy.Function):
    """A comparison: args are (which, left, right)."""

    __test__ = False  # not a pytest class
    is_real = True


class Branch(sympy.Function):
    """Piecewise, lazily: args are condition, expression, condition, expression, ..."""

    is_real = True

    def _eval_derivative(self, s: sympy.Symbol) -> sympy.Expr:
        tests, parts = self.args[::2], self.args[1::2]
        return Branch(*itertools.chain(*((t, p.diff(s)) for t, p in zip(tests, parts, strict=True))))


RELATIONS: dict[type, str] = {
    sympy.StrictLessThan: "lt", sympy.LessThan: "le", sympy.StrictGreaterThan: "gt", sympy.GreaterThan: "ge",
    sympy.Equality: "eq", sympy.Unequality: "ne", sympy.And: "and", sympy.Or: "or", sympy.Not: "not",
}  # fmt: skip


class Unroller(Walker):
    """Turn a model into one SymPy expression in one real Symbol for each array element."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.symbols: dict[tuple[str, tuple[int, ...]], sympy.Symbol] = {}
        self.values: dict[sympy.Symbol, Any] = {}
        self.seen: dict[Any, sympy.Expr] = {}

    def objective(self) -> sympy.Expr:
        if not self.sampled:
            return self.scalar(self.problem.objective, {})
        terms = [self.of_sample(sample) for sample in range(self.samples())]
        return sympy.Add(*terms) / len(terms)

    def of_sample(self, sample: int) -> sympy.Expr:
        self.sample = sample
        self.seen.clear()
        return self.scalar(self.problem.objective, {})

    def leaf(self, name: str, place: Sequence[int]) -> sympy.Symbol:
        key = name, self.placed(name, place)
        if key not in self.symbols:
            symbol = self.symbols[key] = sympy.Dummy(f"{name}{list(key[1])}", real=True)
            self.values[symbol] = mp.mpf(self.arrays[name][key[1]].item())
        return self.symbols[key]

    def number(self, e: Any) -> sympy.Expr:
        return e

    def scalar(self, e: sympy.Basic, env: Mapping[Any, Any]) -> Any:
        used = tuple(sorted(((str(k), v) for k, v in env.items() if k in e.free_symbols), key=lambda kv: kv[0]))
        key = e, used
        if key not in self.seen:
            self.seen[key] = self.fresh(e, env)
        return self.seen[key]

    def fresh(self, e: sympy.Basic, env: Mapping[Any, Any]) -> Any:
        """Unroll one node."""
        kind = type(e).__name__
        if isinstance(e, sympy.Float):
            return sympy.Rational(float(e))
        if e.is_Number or isinstance(e, sympy.NumberSymbol):
            return e
        if isinstance(e, sympy.Indexed):
            return self.indexed(e, env)
        if isinstance(e, sympy.Symbol):
            return self.symbol(e, env)
        if kind in RANGED:
            return RANGED[kind](*[self.scalar(e.function, inner) for inner in self.places(e.limits, env)])
        if isinstance(e, MatrixElement):
            return self.matrix_element(e, env)
        if getattr(e, "is_Matrix", False):
            (only,) = self.matrix(e, env)
            return only
        if isinstance(e, sympy.Trace):
            return self.matrix(e.arg, env).trace()
        if isinstance(e, sympy.Determinant):
            return self.matrix(e.arg, env).det(method="berkowitz")
        if isinstance(e, DotProduct):
            left, right = (self.matrix(a, env) for a in e.args)
            return sympy.Add(*[a * b for a, b in zip(left, right, strict=True)])
        if isinstance(e, sympy.Piecewise):
            return self.piecewise(e, env)
        if isinstance(e, sympy.And | sympy.Or | sympy.Not | sympy.core.relational.Relational):
            return self.test(e, env)
        args = [self.scalar(a, env) for a in e.args]
        return REPLACED.get(kind, e.func)(*args)

    def piecewise(self, e: sympy.Piecewise, env: Mapping[Any, Any]) -> sympy.Expr:
        parts: list[Any] = []
        for pair in e.args:
            assert isinstance(pair, ExprCondPair)
            test = self.test(pair.cond, env)
            if test == 0:
                continue
            parts += [test, self.scalar(pair.expr, env)]
            if test == 1:
                break
        return parts[1] if parts[0] == 1 else Branch(*parts)

    def test(self, e: sympy.Basic, env: Mapping[Any, Any]) -> sympy.Expr:
        """A condition as a number that is 1 or 0, decided now if it holds no symbols."""
        if e in (True, False):
            return sympy.Integer(bool(e))
        args = [self.scalar(a, env) for a in e.args]
        if all(a.is_Number for a in args):
            return sympy.Integer(truth(RELATIONS[type(e)], [mp.mpf(number(a)) for a in args]))
        return Test(sympy.Symbol(RELATIONS[type(e)]), *args)

    def matrix_element(self, e: MatrixElement, env: Mapping[Any, Any]) -> sympy.Expr:
        parent, *place = e.args
        i, j = (self.integer(a, env) for a in place)
        if isinstance(parent, sympy.MatrixSymbol):
            return self.leaf(parent.name, [i, j])
        return self.matrix(parent, env)[i, j]

    def matrix(self, e: sympy.Basic, env: Mapping[Any, Any]) -> sympy.Matrix:
        """Make a matrix expression explicit."""
        if isinstance(e, sympy.MatrixSymbol):
            rows, columns = self.matrix_shape(e, env)
            return sympy.Matrix(rows, columns, lambda i, j: self.leaf(e.name, [int(i), int(j)]))
        if isinstance(e, sympy.MatrixBase):
            return sympy.Matrix(*e.shape, [self.scalar(a, env) for a in e])
        if isinstance(e, sympy.OneMatrix):
            return sympy.ones(*self.matrix_shape(e, env))
        if isinstance(e, sympy.ZeroMatrix):
            return sympy.zeros(*self.matrix_shape(e, env))
        if isinstance(e, sympy.Identity):
            return sympy.eye(self.integer(e.shape[0], env))
        if isinstance(e, ElementwiseApplyFunction):
            (variable,) = e.function.variables
            return self.matrix(e.expr, env).applyfunc(lambda a: self.scalar(e.function.expr, {**env, variable: a}))
        if isinstance(e, MatrixSlice):
            parent = self.matrix(e.parent, env)
            rows, columns = (range(*(self.integer(a, env) for a in s)) for s in (e.rowslice, e.colslice))
            return parent[list(rows), list(columns)]
        if isinstance(e, sympy.MatPow):
            return self.matrix(e.base, env) ** self.integer(e.exp, env) if e.exp != -1 else self.inverse(e.base, env)
        if isinstance(e, sympy.Inverse):
            return self.inverse(e.arg, env)
        if isinstance(e, sympy.Transpose):
            return self.matrix(e.arg, env).T
        if isinstance(e, DiagMatrix):
            return sympy.diag(*self.matrix(e.args[0], env))
        if isinstance(e, DiagonalOf):
            return self.matrix(e.arg, env).diagonal().T
        if isinstance(e, sympy.HadamardPower):
            power = self.scalar(e.exp, env)
            return self.matrix(e.base, env).applyfunc(lambda a: a**power)
        if isinstance(e, hadamard.HadamardProduct):
            return self.fold(e.args, env, lambda a, b: a.multiply_elementwise(b))
        if isinstance(e, sympy.MatAdd):
            return self.fold(e.args, env, lambda a, b: a + b)
        if isinstance(e, sympy.MatMul):
            scale = sympy.Mul(*[self.scalar(a, env) for a in e.args if not getattr(a, "is_Matrix", False)])
            return scale * self.fold([a for a in e.args if getattr(a, "is_Matrix", False)], env, lambda a, b: a * b)
        raise NotImplementedError(type(e))

    def fold(self, args: Sequence[sympy.Basic], env: Mapping[Any, Any], join: Callable[..., Any]) -> sympy.Matrix:
        first, *rest = (self.matrix(a, env) for a in args)
        for other in rest:
            first = join(first, other)
        return first

    def inverse(self, e: sympy.Basic, env: Mapping[Any, Any]) -> sympy.Matrix:
        explicit = self.matrix(e, env)
        return explicit.adjugate(method="berkowitz") / explicit.det(method="berkowitz")


RANGED: dict[str, Any] = {
    "Sum": sympy.Add, "Product": sympy.Mul, "MaxOver": Largest, "MinOver": lambda *a: -Largest(*[-x for x in a]),
}  # fmt: skip
REPLACED: dict[str, Any] = {
    "Max": Largest, "Min": RANGED["MinOver"], "Abs": Size, "sign": Direction,
    "floor": lambda a: Step(sympy.Symbol("floor"), a), "ceiling": lambda a: Step(sympy.Symbol("ceiling"), a),
}  # fmt: skip


def truth(relation: str, args: Sequence[Any]) -> bool:
    """Decide a comparison or a connective."""
    if relation in ("and", "or", "not"):
        return {"and": all(args), "or": any(args), "not": not args[0]}[relation]
    left, right = args
    return bool(
        {"lt": left < right, "le": left <= right, "gt": left > right, "ge": left >= right,
         "eq": left == right, "ne": left != right}[relation]
    )  # fmt: skip


def number(e: sympy.Expr) -> Any:
    """An exact SymPy number as mpf."""
    if e.is_Rational:
        return mp.mpf(e.p) / e.q
    return mp.mpf(str(e.evalf(DIGITS + 10)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(mp, name) for name in (
        "exp log sin cos tan cot sec csc sinh cosh tanh coth sech csch asin acos atan acot asinh acosh atanh"
        " erf erfc erfi erfinv gamma loggamma digamma zeta beta floor atan2 factorial"
    ).split()},
    "polygamma": lambda n, x: mp.polygamma(int(n), x), "ceiling": mp.ceil,
    "Abs": abs, "sign": lambda x: mp.mpf(mp.sign(x)),
}  # fmt: skip
STEPS: dict[str, Callable[[Any], Any]] = {"floor": mp.floor, "ceiling": mp.ceil}


class Evaluator:
    """Evaluate unrolled expressions; each node gives its value and its scale, both mpf.

    The scale of a node is the size of what was added to make it, carried to first order through every operation:
    one eps times the scale is what one rounding of each addend can do to the node. For a sum it is the sum of the
    scales of the terms, for f(u) the larger of |f(u)| and |f'(u)| scale(u).
    """

    def __init__(self, values: Mapping[sympy.Symbol, Any]) -> None:
        self.seen: dict[sympy.Basic, tuple[Any, Any]] = {s: (v, abs(v)) for s, v in values.items()}

    def __call__(self, e: sympy.Basic) -> tuple[Any, Any]:
        if e not in self.seen:
            self.seen[e] = self.fresh(e)
        return self.seen[e]

    def fresh(self, e: sympy.Basic) -> tuple[Any, Any]:
        if e.is_Number or isinstance(e, sympy.NumberSymbol):
            value = number(e)
            return value, abs(value)
        kind = type(e).__name__
        if kind in ("Branch", "Test", "Wins", "Largest", "Step", "Direction", "Size"):
            return getattr(self, kind.lower())(e)
        args = [self(a) for a in e.args]
        if e.is_Add:
            return mp.fsum(v for v, _ in args), mp.fsum(s for _, s in args)
        if e.is_Mul:
            return self.product(args)
        if e.is_Pow:
            return self.power(*args)
        values = [v for v, _ in args]
        value = real(FUNCTIONS[kind](*values))
        self.seen[e] = value, abs(value)  # exp is its own derivative
        moved = [abs(self.slope(e, k, values)) * s for k, (_, s) in enumerate(args) if kind != "polygamma" or k]
        return value, max([abs(value), *moved])

    def slope(self, e: sympy.Basic, k: int, values: Sequence[Any]) -> Any:
        """The derivative of a function with respect to argument number k."""
        if isinstance(e, sympy.loggamma):
            return mp.digamma(values[0])
        if isinstance(e, sympy.polygamma):
            return mp.polygamma(int(values[0]) + 1, values[1])
        return self(e.fdiff(k + 1))[0]

    def product(self, args: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        sizes = [abs(v) for v, _ in args]
        scale = mp.fprod(sizes)
        for a, (_, s) in enumerate(args):
            if s > sizes[a]:
                scale += (s - sizes[a]) * mp.fprod(sizes[:a] + sizes[a + 1 :])
        return mp.fprod(v for v, _ in args), scale

    def power(self, base: tuple[Any, Any], exponent: tuple[Any, Any]) -> tuple[Any, Any]:
        (b, b_scale), (x, x_scale) = base, exponent
        value = real(mp.power(b, int(x) if x == int(x) else x))
        if b == 0 or value == 0:
            return value, abs(b_scale**x) if x > 0 else abs(value)
        from_base = abs(x) * b_scale / abs(b)
        from_exponent = 0 if x == int(x) else abs(mp.log(abs(b))) * x_scale
        return value, abs(value) * max(1, from_base, from_exponent)

    def largest(self, e: Largest) -> tuple[Any, Any]:
        return max((self(a) for a in e.args), key=lambda pair: pair[0])

    def wins(self, e: Wins) -> tuple[Any, Any]:
        which, *args = e.args
        values = [self(a)[0] for a in args]
        mine = values.pop(int(which))
        if mine == max(values):
            raise KinkError(f"a tie between arguments of a maximum at {mine}")
        return (mp.one, mp.one) if mine > max(values) else (mp.zero, mp.zero)

    def size(self, e: Size) -> tuple[Any, Any]:
        value, scale = self(e.args[0])
        return abs(value), scale

    def direction(self, e: Direction) -> tuple[Any, Any]:
        value = self(e.args[0])[0]
        if value == 0:
            raise KinkError("the sign of 0")
        return mp.mpf(mp.sign(value)), mp.one

    def step(self, e: Step) -> tuple[Any, Any]:
        value = STEPS[e.args[0].name](self(e.args[1])[0])
        return value, abs(value)

    def test(self, e: Test) -> tuple[Any, Any]:
        which, *args = e.args
        return mp.mpf(truth(which.name, [self(a)[0] for a in args])), mp.one

    def branch(self, e: Branch) -> tuple[Any, Any]:
        for condition, part in zip(e.args[::2], e.args[1::2], strict=True):
            if condition == 1 or self(condition)[0]:
                return self(part)
        return mp.nan, mp.nan


def real(value: Any) -> Any:
    """A number that must be real."""
    if isinstance(value, mp.mpc):
        raise ArithmeticError(f"{value} is not real: the point is outside of the domain")
    return value


def rules_alone() -> AbstractContextManager[Any]:
    """Let `diff` apply SymPy's rules and do no more.

    Around each rule it searches all of the result for derivatives to put in order, and asks whether it is zero: four
    fifths of the time.
    """
    whole, symbols_of = sympy.Expr.diff, dict[sympy.Basic, frozenset[sympy.Basic]]()

    def symbols(e: sympy.Basic) -> frozenset[sympy.Basic]:
        if e not in symbols_of:
            symbols_of[e] = frozenset([e]) if e.is_Symbol else frozenset().union(*map(symbols, e.args))
        return symbols_of[e]

    def diff(e: sympy.Expr, *by: Any, **options: Any) -> sympy.Expr:
        if options or len(by) != 1 or not isinstance(by[0], sympy.Dummy):
            return whole(e, *by, **options)
        return e._eval_derivative(by[0]) if by[0] in symbols(e) else sympy.S.Zero

    return mock.patch.object(sympy.Expr, "diff", diff)


def exact(problem: Problem) -> Answer:
    """Return value and gradients by unrolling, SymPy's derivatives and 50 digits."""
    unroller = Unroller(problem)
    objective = unroller.objective()
    with rules_alone():
        return _exact(problem, unroller, objective)


def _exact(problem: Problem, unroller: Unroller, objective: sympy.Expr) -> Answer:
    evaluate = Evaluator(unroller.values)
    grads: dict[str, np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    for name in problem.names:
        array = unroller.arrays[name]
        grads[name], scales[name] = np.empty(array.shape, object), np.empty(array.shape, object)
        for place in np.ndindex(array.shape):
            symbol = unroller.symbols.get((name, place))
            derivative = objective.diff(symbol) if symbol is not None else sympy.S.Zero
            grads[name][place], scales[name][place] = evaluate(derivative)
    value, value_scale = evaluate(objective)
    return Answer(value, grads, value_scale, scales)


# ---------------------------------------------------------------------------------------------------------------
# The second oracle: numbers all the way, central differences.


class Numeric(Walker):
    """Evaluate a model directly in mpmath numbers; matrices are NumPy arrays of mpf."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.exact_arrays = {
            name: np.array([mp.mpf(v.item()) for v in array.flat], object).reshape(array.shape)
            for name, array in self.arrays.items()
        }

    def objective(self) -> Any:
        if not self.sampled:
            return self.scalar(self.problem.objective, {})
        terms = [self.of_sample(sample) for sample in range(self.samples())]
        return sum(terms, mp.zero) / len(terms)

    def of_sample(self, sample: int) -> Any:
        self.sample = sample
        return self.scalar(self.problem.objective, {})

    def leaf(self, name: str, place: Sequence[int]) -> Any:
        return self.exact_arrays[name][self.placed(name, place)]

    def number(self, e: Any) -> Any:
        return number(e) if isinstance(e, sympy.Basic) else e

    def scalar(self, e: sympy.Basic, env: Mapping[Any, Any]) -> Any:
        kind = type(e).__name__
        if isinstance(e, sympy.Float):
            return mp.mpf(float(e))
        if e.is_Number or isinstance(e, sympy.NumberSymbol):
            return number(e)
        if isinstance(e, sympy.Indexed):
            return self.indexed(e, env)
        if isinstance(e, sympy.Symbol):
            return self.symbol(e, env)
        if kind in RANGED:
            return self.fold(kind, [self.scalar(e.function, inner) for inner in self.places(e.limits, env)])
        if isinstance(e, MatrixElement):
            parent, *place = e.args
            return self.matrix(parent, env)[tuple(self.integer(a, env) for a in place)]
        if isinstance(e, sympy.Trace):
            return sum(np.diagonal(self.matrix(e.arg, env)), mp.zero)
        if isinstance(e, sympy.Determinant):
            return self.determinant(self.matrix(e.arg, env))
        if isinstance(e, DotProduct):
            left, right = (self.matrix(a, env).ravel() for a in e.args)
            return (left * right).sum()
        if getattr(e, "is_Matrix", False):
            return self.matrix(e, env).item()
        if isinstance(e, sympy.Piecewise):
            return next(self.scalar(p.expr, env) for p in e.args if self.holds(p.cond, env))
        args = [self.scalar(a, env) for a in e.args]
        if e.is_Pow:
            return self.power(*args)
        return self.fold(kind, args) if kind in FOLDS or kind in EXTREMES else self.function(kind, args)

    # The arithmetic, of which the tape has its own.

    def power(self, base: Any, exponent: Any) -> Any:
        return real(mp.power(base, int(exponent) if exponent == int(exponent) else exponent))

    def function(self, name: str, args: list[Any]) -> Any:
        return real(FUNCTIONS[name](*args))

    def fold(self, kind: str, args: list[Any]) -> Any:
        return self.largest(args, EXTREMES[kind]) if kind in EXTREMES else FOLDS[kind](args)

    def largest(self, args: list[Any], sign: int) -> Any:
        """Return the largest (sign 1) or the smallest (sign -1)."""
        return max(args, key=lambda a: sign * a)

    def compare(self, relation: str, args: list[Any]) -> bool:
        return truth(relation, args)

    def determinant(self, matrix: np.ndarray) -> Any:
        return mp.det(mp.matrix(matrix.tolist()))

    def inverse(self, matrix: np.ndarray) -> np.ndarray:
        return np.array((mp.matrix(matrix.tolist()) ** -1).tolist(), object).reshape(matrix.shape)

    def holds(self, e: sympy.Basic, env: Mapping[Any, Any]) -> bool:
        if e in (True, False):
            return bool(e)
        if isinstance(e, sympy.ITE):  # SymPy writes conditions on a Piecewise so
            chosen, otherwise = e.args[1:]
            return self.holds(chosen if self.holds(e.args[0], env) else otherwise, env)
        inner = isinstance(e, sympy.And | sympy.Or | sympy.Not)
        args = [self.holds(a, env) if inner else self.scalar(a, env) for a in e.args]
        return self.compare(RELATIONS[type(e)], args)

    def matrix(self, e: sympy.Basic, env: Mapping[Any, Any]) -> np.ndarray:
        if isinstance(e, sympy.MatrixSymbol):
            whole = self.exact_arrays[e.name]
            return whole[self.sample] if e.name in self.sampled else whole
        if isinstance(e, sympy.MatrixBase):
            return np.array([self.scalar(a, env) for a in e], object).reshape(e.shape)
        if isinstance(e, sympy.OneMatrix | sympy.ZeroMatrix):
            return np.full(self.matrix_shape(e, env), mp.mpf(isinstance(e, sympy.OneMatrix)), object)
        if isinstance(e, sympy.Identity):
            return np.vectorize(mp.mpf, otypes=[object])(np.eye(self.integer(e.shape[0], env)))
        if isinstance(e, ElementwiseApplyFunction):
            (variable,) = e.function.variables
            inner = self.matrix(e.expr, env)
            done = [self.scalar(e.function.expr, {**env, variable: a}) for a in inner.flat]
            return np.array(done, object).reshape(inner.shape)
        if isinstance(e, MatrixSlice):
            rows, columns = (slice(*(self.integer(a, env) for a in s)) for s in (e.rowslice, e.colslice))
            return self.matrix(e.parent, env)[rows, columns]
        if isinstance(e, sympy.MatPow):  # Inverse is one
            base, count = self.matrix(e.base, env), self.integer(e.exp, env)
            return functools.reduce(np.dot, [self.inverse(base) if count < 0 else base] * abs(count))
        if isinstance(e, sympy.Transpose):
            return self.matrix(e.arg, env).T
        if isinstance(e, DiagMatrix):
            return np.diag(self.matrix(e.args[0], env).ravel()) + mp.zero
        if isinstance(e, DiagonalOf):
            return np.diagonal(self.matrix(e.arg, env)).reshape(-1, 1)
        if isinstance(e, sympy.HadamardPower):
            return self.matrix(e.base, env) ** self.scalar(e.exp, env)
        parts = [self.matrix(a, env) if getattr(a, "is_Matrix", False) else self.scalar(a, env) for a in e.args]
        result = parts[0]
        for part in parts[1:]:
            result = MATRIX_FOLDS[type(e).__name__](result, part)
        return result


def product(values: Sequence[Any]) -> Any:
    return math.prod(values, start=mp.one)


FOLDS: dict[str, Callable[[list[Any]], Any]] = {
    "Sum": lambda v: sum(v, mp.zero), "Add": lambda v: sum(v, mp.zero), "Product": product, "Mul": product,
}  # fmt: skip
EXTREMES = {"MaxOver": 1, "Max": 1, "MinOver": -1, "Min": -1}
MATRIX_FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "MatAdd": lambda a, b: a + b,
    "HadamardProduct": lambda a, b: a * b,
    "MatMul": lambda a, b: np.dot(a, b),  # a leading scalar factor too
}


def value_of(problem: Problem) -> Any:
    """Return the objective at 50 digits, by the second oracle."""
    return Numeric(problem).objective()


def differences(problem: Problem) -> dict[str, np.ndarray]:
    """Return central differences of the objective at 50 digits, good to about 28 digits; for points off kinks."""
    numeric, step = Numeric(problem), mp.mpf(STEP)
    grads = {}
    for name in problem.names:
        array = numeric.exact_arrays[name]
        grads[name] = np.empty(array.shape, object)
        for place in np.ndindex(array.shape):
            centre = array[place]
            ends = []
            for sign in (1, -1):
                array[place] = centre + sign * step
                ends.append(numeric.objective())
            array[place] = centre
            grads[name][place] = (ends[0] - ends[1]) / (2 * step)
    return grads
