"""The third oracle: reverse mode on a tape of single numbers, at 50 digits, fast enough for thousands of models.

`exact` of oracle.py differentiates symbols and takes a second for a large model; here the model is evaluated once in
mpmath numbers that remember where they came from, and the tape is walked back. It shares the reading of SymPy with
oracle.py and nothing with gradcompile: its derivatives are those of the table below, written from the textbook.
test_oracle.py holds it to the other two.

Every number carries its *scale*, the size of what was added up to make it: |a| + |b| for a + b, carried to first
order through products and functions. Of a gradient that is the sum of the absolute values of all contributions, so
`64 * eps * scale` is what honest double precision may be off by, and no more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from tests.oracle import Answer, KinkError, Numeric, Problem, mp, truth

MARGIN = 1e-6  # what lies closer to a kink than this, relative to its scale, is on it: rounding may decide otherwise
Plain = Any  # an mpf


class Scaled:
    """A number at 50 digits and its scale, a float: one rounding of each addend moves the number by eps times it."""

    __slots__ = ("scale", "value")

    def __init__(self, value: Plain, scale: float) -> None:
        self.value, self.scale = value, scale

    def __add__(self, other: Any) -> Scaled:
        if isinstance(other, Node):
            return NotImplemented
        other = scaled(other)
        return Scaled(self.value + other.value, self.scale + other.scale)

    def __neg__(self) -> Scaled:
        return Scaled(-self.value, self.scale)

    def __sub__(self, other: Any) -> Scaled:
        if isinstance(other, Node):
            return NotImplemented
        return self + -scaled(other)

    def __rsub__(self, other: Any) -> Scaled:
        return scaled(other) + -self

    def __mul__(self, other: Any) -> Scaled:
        if isinstance(other, Node):
            return NotImplemented
        other = scaled(other)
        a, b = abs(float(self.value)), abs(float(other.value))
        return Scaled(self.value * other.value, self.scale * b + (other.scale - b) * a)

    def __truediv__(self, other: Any) -> Scaled:
        if isinstance(other, Node):
            return NotImplemented
        other = scaled(other)
        value, below = self.value / other.value, abs(float(other.value))
        return Scaled(value, self.scale / below + abs(float(value)) * (other.scale - below) / below)

    def __rtruediv__(self, other: Any) -> Scaled:
        return scaled(other) / self

    def __pow__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Node) else power(self, scaled(other))

    __radd__, __rmul__ = __add__, __mul__


def scaled(number: Any) -> Scaled:
    """Return a number with its scale; a constant's is its size."""
    if isinstance(number, Scaled):
        return number
    value = mp.mpf(number)
    return Scaled(value, abs(float(value)))


# What a function is and what its derivative is, in the argument x and the function's own value y. `f.name` calls
# another row, with whatever it is given: plain numbers or scaled ones.


def trigamma(x: Any) -> Any:
    """Return the derivative of the digamma function, below 0 by reflection: mpmath takes a step for each number."""
    if x >= 0:
        return mp.polygamma(1, x)
    return (mp.pi / mp.sinpi(x)) ** 2 - mp.polygamma(1, 1 - x)


def tetragamma(x: Any) -> Any:
    """Return the derivative of `trigamma`, by the slope of its reflection."""
    if x >= 0:
        return mp.polygamma(2, x)
    return mp.polygamma(2, 1 - x) - 2 * mp.pi**3 * mp.cospi(x) / mp.sinpi(x) ** 3


class _Rows:
    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        return lambda x: call(name, x)


f = _Rows()
Row = tuple[Callable[[Plain], Plain], Callable[[Any, Any], Any]]
FUNCTIONS: dict[str, Row] = {
    "exp": (mp.exp, lambda x, y: y),
    "log": (mp.log, lambda x, y: 1 / x),
    "sin": (mp.sin, lambda x, y: f.cos(x)),
    "cos": (mp.cos, lambda x, y: -f.sin(x)),
    "tan": (mp.tan, lambda x, y: 1 + y * y),
    "cot": (mp.cot, lambda x, y: -(1 + y * y)),
    "asin": (mp.asin, lambda x, y: 1 / f.root(1 - x * x)),
    "acos": (mp.acos, lambda x, y: -1 / f.root(1 - x * x)),
    "atan": (mp.atan, lambda x, y: 1 / (1 + x * x)),
    "sinh": (mp.sinh, lambda x, y: f.cosh(x)),
    "cosh": (mp.cosh, lambda x, y: f.sinh(x)),
    "tanh": (mp.tanh, lambda x, y: 1 - y * y),
    "asinh": (mp.asinh, lambda x, y: 1 / f.root(1 + x * x)),
    "acosh": (mp.acosh, lambda x, y: 1 / f.root(x * x - 1)),
    "atanh": (mp.atanh, lambda x, y: 1 / (1 - x * x)),
    "erf": (mp.erf, lambda x, y: 2 / mp.sqrt(mp.pi) * f.exp(-(x * x))),
    "erfc": (mp.erfc, lambda x, y: -2 / mp.sqrt(mp.pi) * f.exp(-(x * x))),
    "gamma": (mp.gamma, lambda x, y: y * f.digamma(x)),
    "loggamma": (mp.loggamma, lambda x, y: f.digamma(x)),
    "digamma": (mp.digamma, lambda x, y: f.trigamma(x)),
    "trigamma": (trigamma, lambda x, y: f.tetragamma(x)),
    "tetragamma": (tetragamma, lambda x, y: mp.polygamma(3, x)),
    "root": (mp.sqrt, lambda x, y: 1 / (2 * y)),
}
STEPS: dict[str, Callable[[Plain], Plain]] = {"floor": mp.floor, "ceiling": mp.ceil}


def call(name: str, x: Any) -> Any:
    """Return a function of a plain number or of a scaled one."""
    function, slope = FUNCTIONS[name]
    if not isinstance(x, Scaled):
        return function(x)
    value = function(x.value)
    if isinstance(value, mp.mpc):
        raise ArithmeticError(f"{name} of {x.value} is not real: the point is outside of the domain")
    moved = abs(float(slope(x.value, value))) * x.scale
    return Scaled(value, max(abs(float(value)), moved))


def power(a: Scaled, b: Scaled) -> Scaled:
    """Return a**b; whole exponents take any base."""
    whole = b.value == int(b.value)
    value = mp.power(a.value, int(b.value) if whole else b.value)
    if isinstance(value, mp.mpc):
        raise ArithmeticError(f"{a.value}**{b.value} is not real: the point is outside of the domain")
    if a.value == 0:
        return Scaled(value, max(abs(float(value)), a.scale ** float(b.value) if b.value > 0 else 0.0))
    from_base = abs(float(b.value)) * a.scale / abs(float(a.value))
    from_exponent = 0.0 if whole else abs(float(mp.log(abs(a.value)))) * b.scale
    return Scaled(value, abs(float(value)) * max(1.0, from_base, from_exponent))


class Node:
    """A number on the tape: what it is, and for each number it was made of the local derivative."""

    __slots__ = ("made_of", "number", "tape")

    def __init__(self, tape: list[Node], number: Scaled, made_of: Sequence[tuple[Node, Any]] = ()) -> None:
        self.tape, self.number, self.made_of = tape, number, made_of
        tape.append(self)

    def made(self, number: Scaled, *parts: tuple[Any, Callable[[], Any]]) -> Node:
        """Return a number made of others; local derivatives are thunks, computed for what is on the tape."""
        return Node(self.tape, number, [(part, slope()) for part, slope in parts if isinstance(part, Node)])

    def __add__(self, other: Any) -> Node:
        return self.made(self.number + of(other), (self, lambda: 1), (other, lambda: 1))

    def __sub__(self, other: Any) -> Node:
        return self.made(self.number - of(other), (self, lambda: 1), (other, lambda: -1))

    def __rsub__(self, other: Any) -> Node:
        return self.made(of(other) - self.number, (self, lambda: -1))

    def __neg__(self) -> Node:
        return self.made(-self.number, (self, lambda: -1))

    def __mul__(self, other: Any) -> Node:
        return self.made(self.number * of(other), (self, lambda: of(other)), (other, lambda: self.number))

    def __truediv__(self, other: Any) -> Node:
        y = self.number / of(other)
        return self.made(y, (self, lambda: 1 / of(other)), (other, lambda: -(y / of(other))))

    def __rtruediv__(self, other: Any) -> Node:
        y = of(other) / self.number
        return self.made(y, (self, lambda: -(y / self.number)))

    def __pow__(self, other: Any) -> Any:
        return raised(self, other)

    def __rpow__(self, other: Any) -> Any:
        return raised(other, self)

    __radd__, __rmul__ = __add__, __mul__


def of(number: Any) -> Scaled:
    """Return the scaled number of a node, or of a constant."""
    return number.number if isinstance(number, Node) else scaled(number)


def raised(base: Any, exponent: Any) -> Any:
    """Return base**exponent, of which one at least is on the tape."""
    a, b = of(base), of(exponent)
    y = power(a, b)
    node = base if isinstance(base, Node) else exponent
    zero = b.value == 0
    return node.made(
        y,
        (base, lambda: mp.zero if zero else b * power(a, b - 1)),
        (exponent, lambda: y * call("log", a)),
    )


def apart(a: Any, b: Any, what: str) -> None:
    """Raise if two numbers are so close that rounding decides which is the larger; constants are exact."""
    left, right = of(a), of(b)
    moves = isinstance(a, Node) or isinstance(b, Node)
    if not moves and all(mp.isint(each.value) for each in (left, right)):
        return
    if abs(left.value - right.value) <= MARGIN * max(left.scale, right.scale, 1.0):
        raise KinkError(f"{what} at {mp.nstr(left.value, 10)}")


class Taped(Numeric):
    """Evaluate a model in numbers on a tape; equal parts, with the same indices, are one number."""

    def __init__(self, problem: Problem) -> None:
        self.tape: list[Node] = []
        super().__init__(problem)
        self.leaves: dict[str, np.ndarray] = {}
        for name, array in self.exact_arrays.items():
            active = name in problem.names
            made = [Node(self.tape, scaled(v)) if active else Scaled(v, abs(float(v))) for v in array.flat]
            self.leaves[name] = np.array(made, object).reshape(array.shape)
        self.exact_arrays = self.leaves
        self.seen: dict[Any, Any] = {}
        self.free: dict[Any, frozenset[Any]] = {}

    def of_sample(self, sample: int) -> Any:
        self.seen.clear()
        return super().of_sample(sample)

    def scalar(self, e: sympy.Basic, env: Mapping[Any, Any]) -> Any:
        if not e.args:
            return super().scalar(e, env)
        if e not in self.free:
            self.free[e] = frozenset(e.free_symbols)
        key = e, *((k, v) for k, v in env.items() if k in self.free[e])
        if key not in self.seen:
            self.seen[key] = super().scalar(e, env)
        return self.seen[key]

    def power(self, base: Any, exponent: Any) -> Any:
        if isinstance(base, Node) or isinstance(exponent, Node):
            return raised(base, exponent)
        return power(scaled(base), scaled(exponent))

    def function(self, name: str, args: list[Any]) -> Any:
        if name in OPERATIONS:
            return OPERATIONS[name](*args)
        if name not in FUNCTIONS:
            raise NotImplementedError(name)
        (x,) = args
        if not isinstance(x, Node):
            return call(name, scaled(x))
        y = call(name, x.number)
        return x.made(y, (x, lambda: FUNCTIONS[name][1](x.number, y)))

    def largest(self, args: list[Any], sign: int) -> Any:
        ordered = sorted(args, key=lambda a: sign * of(a).value)
        for other in ordered[:-1]:
            apart(ordered[-1], other, "a tie between arguments of an extremum")
        return ordered[-1]

    def compare(self, relation: str, args: list[Any]) -> bool:
        if relation not in ("and", "or", "not"):
            apart(*args, "a comparison is decided by rounding")
            args = [of(a).value for a in args]
        return truth(relation, args)

    def determinant(self, matrix: np.ndarray) -> Any:
        return leibniz(matrix)

    def inverse(self, matrix: np.ndarray) -> np.ndarray:
        """By cofactors: for the few rows of a test."""
        count, whole = len(matrix), leibniz(matrix)
        result = np.empty(matrix.shape, object)
        for i, j in np.ndindex(matrix.shape):
            minor = np.delete(np.delete(matrix, j, 0), i, 1)
            cofactor = leibniz(minor) if count > 1 else mp.one
            result[i, j] = (cofactor if (i + j) % 2 == 0 else -cofactor) / whole
        return result


def leibniz(matrix: np.ndarray) -> Any:
    """Return a determinant as the sum over permutations."""
    total: Any = mp.zero
    for order in itertools.permutations(range(len(matrix))):
        swaps = sum(order[a] > order[b] for a, b in itertools.combinations(range(len(order)), 2))
        term: Any = mp.one if swaps % 2 == 0 else -mp.one
        for row, column in enumerate(order):
            term = term * matrix[row, column]
        total = total + term
    return total


def _size(x: Any) -> Any:
    apart(x, mp.zero, "the size of 0")
    return -x if of(x).value < 0 else x


def _sign(x: Any) -> Any:
    apart(x, mp.zero, "the sign of 0")
    return mp.mpf(mp.sign(of(x).value))


def _step(name: str) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        nearest = mp.nint(of(x).value)
        apart(x, nearest, f"a jump of {name}")
        return STEPS[name](of(x).value)

    return step


def _mod(a: Any, b: Any) -> Any:
    return a - b * _step("floor")(a / b)


def _atan2(a: Any, b: Any) -> Any:
    """Written with the half angle, away from the cut: atan2(a, b) = 2 atan(a / (hypot + b))."""
    left, right = of(a), of(b)
    value = mp.atan2(left.value, right.value)
    square = left * left + right * right
    slopes = [right / square, -(left / square)]
    moved = sum(abs(float(s.value)) * each.scale for s, each in zip(slopes, (left, right), strict=True))
    number = Scaled(value, max(abs(float(value)), moved))
    node = next((each for each in (a, b) if isinstance(each, Node)), None)
    return number if node is None else node.made(number, (a, lambda: slopes[0]), (b, lambda: slopes[1]))


def _polygamma(order: Any, x: Any) -> Any:
    names = {0: "digamma", 1: "trigamma"}
    return Taped.function(None, names[int(of(order).value)], [x])  # type: ignore[arg-type]  # self is not used


OPERATIONS: dict[str, Callable[..., Any]] = {
    "Abs": _size, "sign": _sign, "floor": _step("floor"), "ceiling": _step("ceiling"), "Mod": _mod, "atan2": _atan2,
    "polygamma": _polygamma, "re": lambda x: x, "conjugate": lambda x: x, "im": lambda x: mp.zero,
}  # fmt: skip


def answer(problem: Problem) -> Answer:
    """Return value and gradients by one walk forward and one walk back, with their scales.

    Raises
    ------
    KinkError
        The point is on a kink, or so close to one that rounding decides.
    ArithmeticError
        The point is outside of the domain.
    """
    walker = Taped(problem)
    root = walker.objective()
    received: dict[int, Scaled] = {id(root): scaled(1)}
    for node in reversed(walker.tape):
        total = received.get(id(node))
        if total is None:
            continue
        for part, slope in node.made_of:
            contribution = total * slope
            before = received.get(id(part))
            received[id(part)] = contribution if before is None else before + contribution
    grads: dict[str, np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    for name in problem.names:
        leaves = walker.leaves[name]
        found = [received.get(id(leaf), Scaled(mp.zero, 0.0)) for leaf in leaves.flat]
        grads[name] = np.array([each.value for each in found], object).reshape(leaves.shape)
        scales[name] = np.array([each.scale for each in found], object).reshape(leaves.shape)
    value = of(root)
    return Answer(value.value, grads, value.scale, scales)
