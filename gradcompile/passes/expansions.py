"""Values as powers of a difference d, and an exact rest: ``c0 + c1*d + ... + d**n*r``.

The coefficients are free of d. The rest r is exact for any d, not for small ones alone: that of ``exp(g0 + d*s)`` is
``exp(g0)*s*expm1over(0, d*s)``, that of a logarithm has `log1pover`. So all derivatives have their digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from math import comb, factorial
from typing import NamedTuple

from gradcompile.ir import Value, reachable
from gradcompile.passes import laurent
from gradcompile.passes.exponentials import negated
from gradcompile.passes.fold import exact, scaled
from gradcompile.passes.laurent import Monomial, Terms, TooManyError
from gradcompile.passes.logarithms import not_negative
from gradcompile.passes.polynomials import minus, plus

EXACT = 64  # the order of what has no rest


class Place(NamedTuple):
    """Where a divisor d is 0: ``d = scale*monomial + shift``, so that the monomial is (d - shift)/scale.

    Parameters
    ----------
    divisor : Value
        That is d.
    monomial : Monomial
        What is given in terms of d.
    scale : Fraction
        Its factor in the divisor.
    shift : Terms
        All else in the divisor.
    """

    divisor: Value
    monomial: Monomial
    scale: Fraction
    shift: Terms

    @staticmethod
    def of(value: Value) -> Place:
        """Return the place where a value is 0, looked at as one thing."""
        return Place(value, ((value, 1),), Fraction(1), {})

    @property
    def zeros(self) -> frozenset[tuple[Value, int]] | frozenset[tuple[Monomial, Fraction]]:
        """Return what tells where d is 0: the same for d and for multiples of it."""
        if not self.shift:
            return frozenset(self.monomial)
        terms = {**self.shift, self.monomial: self.scale}
        first = terms[min(terms, key=lambda monomial: [atom.number for atom, _ in monomial])]
        return frozenset((monomial, number / first) for monomial, number in terms.items())


class Series(NamedTuple):
    """A value as ``Σ_j c_j*d**j + d**order*rest``.

    Parameters
    ----------
    terms : dict of int to Terms
        The coefficients of powers below the order, negative ones included.
    order : int
        The power of d that the rest is multiplied by.
    rest : Value, optional
        None stands for 0.
    """

    terms: dict[int, Terms]
    order: int = EXACT
    rest: Value | None = None

    @property
    def lowest(self) -> int:
        """Return the lowest power of d that is not 0 for certain."""
        return min((power for power, terms in self.terms.items() if terms), default=self.order)

    def constant(self, power: int = 0) -> Terms:
        """Return one coefficient."""
        return self.terms.get(power, {})

    def moved(self, by: int) -> Series:
        """Return the series times a power of d."""
        return Series({power + by: terms for power, terms in self.terms.items()}, self.order + by, self.rest)


class Expansion:
    """The series of values about one place.

    Parameters
    ----------
    place : Place
        Where d is 0.
    highest : int
        The order of the rest of functions.
    """

    def __init__(self, place: Place, highest: int) -> None:
        self.place, self.highest = place, highest
        self.known: dict[Value, Series | None] = {}
        self.sizes: dict[Value, dict[Value, None]] = {}  # what has to be small, for each value that has a function of d
        self.hidden: set[Value] = set()  # what has a quotient by another zero than d inside
        self.is_short = False  # whether a rest was divided by d more often than it has d as a factor
        self._atoms = frozenset(atom for atom, exponent in place.monomial if exponent > 0)
        self._within: dict[Value, frozenset[Value]] = {}
        self._new: list[Value] = []
        self._has_logs = False  # whether any value has the logarithm of d

    def add(self, value: Value) -> None:
        """Take up a value, all of whose operands have been taken up."""
        within = frozenset({value} & self._atoms).union(*(self._within[o] for o in value.operands))
        self._within[value], self.sizes[value] = within, {}
        if within != self._atoms:  # free of d
            return
        rule = RULES.get(value.op)
        self._new = []
        try:
            if value in self._atoms:
                self.known[value] = self._by_d(laurent.of_atom(value))
            else:
                self.known[value] = None if rule is None or value.kind != "real" else rule(self, value)
        except (TooManyError, ZeroDivisionError):
            self.known[value] = None
        if not self.hidden.isdisjoint(value.operands) or self._divides_by_other(value):
            self.hidden.add(value)
        found = [size for operand in value.operands for size in self.sizes[operand]]
        self.sizes[value] = dict.fromkeys([*found, *self._new])

    def cancels(self, value: Value) -> bool:
        """Return whether a pole, or a zero that is divided by, is lost by the last operation of a value."""
        parts, made = [self.known.get(operand) for operand in value.operands], self.known[value]
        lowest = [0 if part is None else part.lowest for part in parts]
        if made is None or value.op not in ("add", "sub", "mul", "div", "pow"):
            return False
        if value.op == "pow":
            return lowest[1] < 0
        if value.op == "div":
            return lowest[1] > 0 and lowest[0] > 0
        if value.op == "mul":
            return min(lowest) < 0 < max(lowest)
        had_log = any(self.holds_log(operand) for operand in value.operands)
        return min(lowest) < min(made.lowest, 0) or (had_log and not self.holds_log(value))

    def holds_log(self, value: Value) -> bool:
        """Return whether a coefficient of a value, or its rest, has the logarithm of d."""
        series, log = self.known.get(value), self._log_of_d()
        if series is None or not self._has_logs:
            return False
        return _holds(series, log) or (series.rest is not None and log in reachable([series.rest]))

    def _divides_by_other(self, value: Value) -> bool:
        """Return whether a value is a quotient by what is 0 where d is, and has no factor d."""
        below = self.known.get(value.operands[1]) if value.op == "div" else None
        if below is None or below.lowest <= 0:
            return False
        return not any(factor is self.place.divisor for factor in factors(value.operands[1]))

    def vanishes(self, value: Value) -> bool:
        """Return whether a sum or difference is small where its terms are not."""
        parts, made = [self.known.get(operand) for operand in value.operands], self.known[value]
        if made is None or value.op not in ("add", "sub"):
            return False
        return made.lowest > 0 and any(part is not None and part.lowest <= 0 for part in parts)

    def value(self, series: Series, like: Value) -> Value:
        """Return a series, of which no power is negative, as a value."""
        total = like.builder.const(0)
        for power, terms in sorted(series.terms.items()):
            if terms:
                total = plus(total, self._times_power(laurent.as_value(terms, like), power))
        if series.rest is not None:
            total = plus(total, self._times_power(series.rest, series.order))
        return total

    def _times_power(self, value: Value, power: int) -> Value:
        """Return a value times a power of d."""
        if not power:
            return value
        factor = self.place.divisor if abs(power) == 1 else self.place.divisor ** abs(power)
        if power < 0:
            return value / factor
        return factor if value.is_const(1) else value * factor

    def _log_of_d(self) -> Value:
        return self.place.divisor.builder.apply("log", self.place.divisor)

    # --- arithmetic

    def of(self, value: Value) -> Series | None:
        """Return the series of an operand."""
        if value in self.known:
            return self.known[value]
        return Series({0: laurent.of_value(value)})  # free of d

    def _by_d(self, terms: Terms) -> Series:
        """Return terms with powers of d for the monomial that d stands for."""
        total: dict[int, Terms] = {}
        for monomial, number in terms.items():
            exponents = dict(monomial)
            times = min(exponents.get(atom, 0) for atom in self._atoms)
            if times <= 0:
                total[0] = laurent.added(total.get(0, {}), {monomial: number})
                continue
            rest = {laurent.joined(monomial, self.place.monomial, -times): number / self.place.scale**times}
            for k in range(times + 1):  # (d - shift)**times
                shift = [laurent.added({}, self.place.shift, -1)] * (times - k)
                power = reduce(laurent.multiplied, shift, rest)
                total[k] = laurent.added(total.get(k, {}), power, comb(times, k))
        return Series(total)

    def _up_to(self, series: Series, order: int) -> Series:
        """Return a series whose rest begins with a lower power of d."""
        if order >= series.order:
            return series
        later = {power - order: terms for power, terms in series.terms.items() if power >= order and terms}
        rest = None if series.rest is None else self._times_power(series.rest, series.order - order)
        if later:
            own = self.value(Series(later), self.place.divisor)
            rest = own if rest is None else own + rest
        kept = {power: terms for power, terms in series.terms.items() if power < order}
        return Series(kept, order if rest is not None else EXACT, rest)

    def sum(self, a: Series, b: Series, sign: int = 1) -> Series:
        """Return a + sign*b."""
        order = min(a.order, b.order)
        a, b = self._up_to(a, order), self._up_to(b, order)
        powers = {**a.terms, **b.terms}
        terms = {power: laurent.added(a.constant(power), b.constant(power), sign) for power in powers}
        if b.rest is None:
            return Series(terms, a.order, a.rest)
        zero = b.rest.builder.const(0) if a.rest is None else a.rest
        return Series(terms, order, plus(zero, b.rest) if sign > 0 else minus(zero, b.rest))

    def product(self, a: Series, b: Series) -> Series:
        """Return a*b."""
        order = min(a.order + b.lowest, b.order + a.lowest)
        total = Series({})
        for i, left in a.terms.items():
            for j, right in b.terms.items():
                total = self.sum(total, self._by_d(laurent.multiplied(left, right)).moved(i + j))
        if a.rest is None and b.rest is None:
            return total
        like, rest = self.place.divisor, self.place.divisor.builder.const(0)
        if a.rest is not None:
            rest = plus(rest, _times(a.rest, self.value(b.moved(a.order - order), like)))
        if b.rest is not None:
            rest = plus(rest, _times(self.value(Series(a.terms).moved(b.order - order), like), b.rest))
        return self.sum(total, Series({}, order, rest))

    def quotient(self, a: Series, b: Series) -> Series | None:
        """Return a/b."""
        if (low := b.lowest) >= b.order:
            self._unknown(b)
            return None if b.rest is None else self.product(a, Series({}, 0, 1 / b.rest)).moved(-b.order)
        leading, unit = b.constant(low), self._over_leading(b)
        inverse = self._reciprocal(unit)
        whole = self.product(a, Series({0: laurent.reciprocal(leading)}))
        if len(leading) > 1 and all(laurent.as_number(laurent.over(c, leading)) is not None for c in a.terms.values()):
            whole = self._divided(a, leading)
        made = self.product(whole, inverse).moved(-low)
        self.is_short = self.is_short or made.order < 0
        return made

    def _unknown(self, series: Series) -> None:
        """Note that the first coefficient of a series is not known: a rest of a higher order may tell it."""
        self.is_short = self.is_short or (series.lowest >= series.order and series.rest is not None)

    def _divided(self, a: Series, by: Terms) -> Series:
        """Return a series over terms."""
        terms = {power: laurent.over(own, by) for power, own in a.terms.items()}
        rest = None if a.rest is None else a.rest / laurent.as_value(by, a.rest)
        return Series(terms, a.order, rest)

    def _over_leading(self, b: Series) -> Series:
        """Return w of ``b = c*d**low*(1 + w)``."""
        low, leading = b.lowest, b.constant(b.lowest)
        later = {power - low: terms for power, terms in b.terms.items() if power > low}
        return self._divided(Series(later, b.order - low, b.rest), leading)

    def _reciprocal(self, w: Series) -> Series:
        """Return 1/(1 + w), w having d as a factor: the rest of ``1 - w + w**2 - ...`` is a power of -w over 1 + w."""
        one = self.place.divisor.builder.const(1)
        if (slope := self.slope(w)) is None:
            return Series({0: laurent.of_number(1)})
        size = self.small(slope)
        n = min(self.highest, max(w.order, 1))
        minus_w = self.sum(Series({}), w, -1)
        total, power = Series({}), Series({0: laurent.of_number(1)})
        for _ in range(n):
            total, power = self.sum(total, power), self._up_to(self.product(power, minus_w), n)
        rest = _power(negated(slope), n) / (one + size)
        return self.sum(total, Series({}, n, rest))

    def slope(self, w: Series) -> Value | None:
        """Return w/d as a value; None for 0."""
        made = self.value(w.moved(-1), self.place.divisor)
        return None if made.is_const(0) else made

    def small(self, slope: Value) -> Value:
        """Return d times a slope, which has to be small."""
        size = self._times_power(slope, 1)
        self._new.append(size)
        return size

    # --- functions

    def exponential(self, g: Series) -> Series | None:
        """Return exp(g): the rest of its series in g is a power of g times an integral of exp(g*u)."""
        if g.lowest < 0 or g.order < 0:
            return None
        if g.order == 0:
            return Series({}, 0, self.place.divisor.builder.apply("exp", self.value(g, self.place.divisor)))
        constant = Series({0: _exp_of(g.constant(), self.place.divisor)})
        w = Series({power: terms for power, terms in g.terms.items() if power > 0}, g.order, g.rest)
        if (slope := self.slope(w)) is None:
            return constant
        n, size = min(self.highest, w.order), self.small(slope)
        total, power = Series({}), Series({0: laurent.of_number(1)})
        for k in range(n):
            share = self.product(power, Series({0: laurent.of_number(Fraction(1, factorial(k)))}))
            total, power = self.sum(total, share), self._up_to(self.product(power, w), n)
        rest = _times(_power(slope, n), _exp_rest(n, size))
        return self.product(constant, self.sum(total, Series({}, n, rest)))

    def logarithm(self, g: Series) -> Series | None:
        """Return log(g), a power of d in it included."""
        if (low := g.lowest) >= g.order:
            self._unknown(g)
            return None
        constant = _log_of(g.constant(low), self.place.divisor)
        if low:
            self._has_logs = True
            constant = laurent.added(constant, laurent.of_atom(self._log_of_d()), low)
        w = self._over_leading(g)
        if (slope := self.slope(w)) is None:
            return Series({0: constant})
        size = self.small(slope)
        apply = size.builder.apply
        if self.highest > 1 and w.order > 1:  # log(1 + w) is w - w**2*(1/(1 + w) - log1pover(1, w))
            bent = slope**2 * (1 / (1 + size) - apply("log1pover", 1, size))
            return self.sum(self.sum(Series({0: constant}), self._up_to(w, 2)), Series({}, 2, bent), -1)
        return Series({0: constant}, 1, _times(slope, apply("log1pover", 0, size)))

    def root(self, g: Series, exponent: Fraction) -> Series | None:
        """Return a power of g with an exponent that is no whole number."""
        low = g.lowest
        if low >= g.order or (low * exponent).denominator != 1:
            self._unknown(g)
            return None
        like, leading = self.place.divisor, g.constant(low)
        if _loses_sign(low, exponent, like):
            return None
        constant = _root_of(leading, exponent, like)
        slope = self.slope(self._over_leading(g))
        made = Series({0: constant})
        if slope is not None:
            size, apply = self.small(slope), like.builder.apply
            if exponent == Fraction(1, 2):
                rest = slope / (1 + apply("sqrt", 1 + size))
            else:
                log = scaled(apply("log1p", size), exponent, like)
                rest = scaled(slope, exponent, like) * apply("log1pover", 0, size) * apply("expm1over", 0, log)
            made = self.product(made, Series({0: laurent.of_number(1)}, 1, rest))
        return made.moved(int(low * exponent))


def factors(x: Value, depth: int = 8) -> Iterator[Value]:
    """Yield the factors of a product, and what powers are of."""
    yield x
    if depth and x.op in ("mul", "pow", "neg"):
        for operand in x.operands[: 1 if x.op == "pow" else None]:
            yield from factors(operand, depth - 1)


def _holds(series: Series, atom: Value) -> bool:
    return any(atom is each for terms in series.terms.values() for monomial in terms for each, _ in monomial)


def _times(a: Value, b: Value) -> Value:
    return a if b.is_const(1) or a.is_const(0) else b if a.is_const(1) or b.is_const(0) else a * b


def _power(x: Value, n: int) -> Value:
    return x if n == 1 else x**n


def _exp_rest(n: int, x: Value) -> Value:
    """Return (exp(x) - Σ_{k<n} x**k/k!)/x**n: the integral of (1 - u)**(n - 1)*exp(x*u)/(n - 1)!, u from 0 to 1."""
    total = x.builder.const(0)
    for k in range(n):
        term = scaled(x.builder.apply("expm1over", k, x), Fraction(comb(n - 1, k), factorial(n - 1)), x)
        total = plus(total, term) if k % 2 == 0 else minus(total, term)
    return total


def _exp_of(terms: Terms, like: Value) -> Terms:
    """Return the exponential of terms: of a logarithm it is what that is of."""
    exponents, others = dict[Value, Terms](), dict(terms)
    for monomial, number in terms.items():
        logs = [atom for atom, exponent in monomial if atom.op == "log" and exponent == 1]
        if len(logs) == 1:
            own = {laurent.joined(monomial, ((logs[0], 1),), -1): number}
            exponents[logs[0].operands[0]] = laurent.added(exponents.get(logs[0].operands[0], {}), own)
            del others[monomial]
    total = laurent.of_number(1)
    for base, exponent in exponents.items():
        alone = laurent.as_number(exponent)
        power = laurent.power(base, exponent) if alone is None else _root_of(laurent.of_value(base), alone, like)
        total = laurent.multiplied(total, power)
    rest = like.builder.apply("exp", laurent.as_value(others, like)) if others else None
    return total if rest is None else laurent.multiplied(total, laurent.of_atom(rest))


def _log_of(terms: Terms, like: Value) -> Terms:
    """Return the logarithm of terms: of a product, a sum."""
    apply = like.builder.apply
    number = next(iter(terms.values()))
    if len(terms) > 1 or number < 0:
        return laurent.of_atom(apply("log", laurent.as_value(terms, like)))
    total: Terms = {} if number == 1 else laurent.of_atom(apply("log", number))
    for atom, exponent in next(iter(terms)):
        # log(x**2) is 2*log(abs(x))
        size = apply("abs", atom) if exponent % 2 == 0 and not not_negative(atom) else atom
        log = atom.operands[0] if atom.op == "exp" else apply("log", size)
        own = laurent.of_value(log) if atom.op == "exp" else laurent.of_atom(log)
        total = laurent.added(total, own, exponent)
    return total


def _loses_sign(power: int, exponent: Fraction, base: Value) -> bool:
    """Return whether ``(base**power)**exponent`` is a power of the size of the base: ``sqrt(x**2)`` is not x."""
    return power % 2 == 0 and int(power * exponent) % 2 != 0 and not not_negative(base)


def _root_of(terms: Terms, exponent: Fraction, like: Value) -> Terms:
    """Return a power of terms."""
    if exponent.denominator == 1 and abs(exponent) <= laurent.HIGHEST:
        base = terms if exponent > 0 else laurent.reciprocal(terms)
        return reduce(laurent.multiplied, [base] * abs(int(exponent)), laurent.of_number(1))
    if len(terms) == 1:
        ((monomial, number),) = terms.items()
        if number == 1 and all((e * exponent).denominator == 1 for _, e in monomial):
            sizes = [
                atom.builder.apply("abs", atom) if _loses_sign(e, exponent, atom) else atom for atom, e in monomial
            ]
            powers = [laurent.of_atom(size, int(e * exponent)) for size, (_, e) in zip(sizes, monomial, strict=True)]
            return reduce(laurent.multiplied, powers, laurent.of_number(1))
    if laurent.as_number(terms) == 1:
        return terms
    base_value, apply = laurent.as_value(terms, like), like.builder.apply
    return laurent.of_atom(apply("sqrt", base_value) if exponent == Fraction(1, 2) else base_value**exponent)


# --- a row for each operation

Rule = Callable[[Expansion, Value], Series | None]


def _both(how: Callable[[Expansion, Series, Series], Series | None]) -> Rule:
    def rule(expansion: Expansion, value: Value) -> Series | None:
        a, b = (expansion.of(operand) for operand in value.operands)
        return None if a is None or b is None else how(expansion, a, b)

    return rule


def _one(how: Callable[[Expansion, Series], Series | None]) -> Rule:
    def rule(expansion: Expansion, value: Value) -> Series | None:
        a = expansion.of(value.operands[0])
        return None if a is None else how(expansion, a)

    return rule


def _pow(expansion: Expansion, value: Value) -> Series | None:
    """Return the series of a power."""
    base, exponent = value.operands
    a, b = expansion.of(base), expansion.of(exponent)
    if a is None or b is None:
        return None
    number = exact(exponent)
    if number is None:
        return _variable_power(expansion, base, a, b)
    if (count := laurent.whole(exponent)) is None:
        return expansion.root(a, Fraction(number))
    one = Series({0: laurent.of_number(1)})
    power = reduce(expansion.product, [a] * abs(count), one)
    return power if count > 0 else expansion.quotient(one, power)


def _variable_power(expansion: Expansion, base: Value, a: Series, b: Series) -> Series | None:
    """Return the series of a power whose exponent is no number: for the part that is free of d, a power."""
    log = (
        expansion.logarithm(a)
        if base in expansion.known
        else Series({0: laurent.of_atom(base.builder.apply("log", base))})
    )
    if log is None:
        return None
    symbols = {monomial: number for monomial, number in b.constant().items() if monomial}
    if base in expansion.known or not symbols:
        return expansion.exponential(expansion.product(b, log))
    rest = expansion.sum(b, Series({0: symbols}), -1)
    made = expansion.exponential(expansion.product(rest, log))
    power = laurent.of_atom(base ** laurent.as_value(symbols, base))
    return None if made is None else expansion.product(made, Series({0: power}))


def _of_exponentials(how: Callable[[Expansion, Series, Series], Series | None]) -> Rule:
    """Return the rule of a function of exp(x) and exp(-x)."""

    def rule(expansion: Expansion, value: Value) -> Series | None:
        x = expansion.of(value.operands[0])
        if x is None:
            return None
        highest = expansion.highest
        if not x.constant() and highest % 2 == (value.op == "cosh"):
            expansion.highest += 1  # a rest of the other parity is a difference of near numbers
        growing, falling = (expansion.exponential(each) for each in (x, expansion.sum(Series({}), x, -1)))
        expansion.highest = highest
        return None if growing is None or falling is None else how(expansion, growing, falling)

    return rule


def _half(expansion: Expansion, a: Series, b: Series, sign: int) -> Series:
    return expansion.product(expansion.sum(a, b, sign), Series({0: laurent.of_number(Fraction(1, 2))}))


def _wave(expansion: Expansion, value: Value) -> Series | None:
    """Return the sine or cosine of what is 0 where d is: cos(g) is 1 - 2*sin(g/2)**2."""
    g = expansion.of(value.operands[0])
    if g is None or g.lowest <= 0 or (slope := expansion.slope(g)) is None:
        return None
    size, apply = expansion.small(slope), slope.builder.apply
    if value.op == "sin":
        return Series({}, 1, slope * (apply("sin", size) / size))
    half = size / 2
    return Series({0: laurent.of_number(1)}, 2, -(slope**2) * (apply("sin", half) / half) ** 2 / 2)


def _atanh(expansion: Expansion, g: Series) -> Series | None:
    """Return atanh(g) of what is 0 where d is, as half the difference of log(1 + g) and log(1 - g)."""
    if g.lowest <= 0 or (slope := expansion.slope(g)) is None:
        return None
    apply, size = slope.builder.apply, expansion.small(slope)
    return Series({}, 1, slope * (apply("log1pover", 0, size) + apply("log1pover", 0, -size)) / 2)


RULES: dict[str, Rule] = {
    "add": _both(lambda e, a, b: e.sum(a, b)),
    "sub": _both(lambda e, a, b: e.sum(a, b, -1)),
    "neg": _one(lambda e, a: e.sum(Series({}), a, -1)),
    "mul": _both(lambda e, a, b: e.product(a, b)),
    "div": _both(lambda e, a, b: e.quotient(a, b)),
    "pow": _pow,
    "sqrt": _one(lambda e, a: e.root(a, Fraction(1, 2))),
    "exp": _one(lambda e, a: e.exponential(a)),
    "log": _one(lambda e, a: e.logarithm(a)),
    "sin": _wave,
    "cos": _wave,
    "atanh": _one(_atanh),
    "sinh": _of_exponentials(lambda e, a, b: _half(e, a, b, -1)),
    "cosh": _of_exponentials(lambda e, a, b: _half(e, a, b, 1)),
    "tanh": _of_exponentials(lambda e, a, b: e.quotient(_half(e, a, b, -1), _half(e, a, b, 1))),
}
