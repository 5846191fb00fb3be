"""Expressions of SymPy as text of the language: what the parser makes of the text is the expression again.

The printer keeps the order of terms and factors, and brackets what the parser would join: a tree and its text are one
to one. Expressions are walked with a stack, and a part that occurs often is printed once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradcompile.errors import ModelError, UnsupportedError
from gradcompile.primitives import HEADS, PRIMITIVES

from .functions import found_in
from .parts import walk
from .reductions import MaxOver, MinOver

Text = tuple[str, int]  # the text, and how strongly it holds together
Bounds = tuple[Any, Any] | None  # the first and the last value of an index, if they are known
Scope = tuple[tuple[Any, str, Bounds], ...]  # the indices that are bound here, their letters and their bounds
Part = tuple[Any, Scope]
Read = tuple[Any, Any, bool]  # an index that stands alone on an axis, its length, and whether the text tells it

CHOICE, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
WORDS = frozenset({"and", "or", "not"})
LONGEST = 1_000_000  # characters of a formula; far beyond what the language reads
EXACT = 2**53  # larger whole numbers are written as sums, since the language reads them as floats
DIGITS = 10**15

FUNCTIONS: Mapping[type, str] = {
    **{head: name for head, name in HEADS.items() if PRIMITIVES[name].kind != "bool" and name != "polygamma"},
    **{sympy.log: "log", sympy.Max: "max", sympy.Min: "min"},
}
SIGNS: Mapping[type, str] = {
    head: PRIMITIVES[name].python.split()[1] for head, name in HEADS.items() if PRIMITIVES[name].kind == "bool"
}
JOINED: Mapping[type, tuple[str, int]] = {sympy.And: (" and ", AND), sympy.Or: (" or ", OR)}
REDUCED: Mapping[type, str] = {sympy.Sum: "Sum", sympy.Product: "Product", MaxOver: "Max", MinOver: "Min"}
CONSTANTS = {sympy.pi: ("pi", "acos(-1)"), sympy.E: ("e", "exp(1)")}  # and what to write where the user has the name


class _Plan(NamedTuple):
    """What a text is made of: the parts, and how their texts are joined."""

    parts: Sequence[Part]
    join: Callable[[list[Text]], Text]


class Formulas:
    """Prints expressions.

    Parameters
    ----------
    shapes : mapping of str to tuple
        The names that are declared or defined, and the lengths of their axes, None where one is not known.
    sizes : collection of str
        The names of sizes.
    untold : collection of (str, int)
        Axes, by name and position, of which the text does not say how long they are.
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[Any]],
        sizes: Collection[str],
        untold: Collection[tuple[str, int]] = frozenset(),
    ) -> None:
        self.shapes, self.untold, self.taken = shapes, untold, {*shapes, *sizes}
        self._known: dict[tuple[int, Scope], Text] = {}
        self._plans: dict[tuple[int, Scope], _Plan] = {}  # they keep their parts alive, so that an id stays its own
        self._reads: dict[int, tuple[Any, frozenset[Read]]] = {}

    def text(self, expr: Any, scope: Scope = ()) -> str:
        """Return an expression as text.

        Raises
        ------
        UnsupportedError
            The language has no words for a part of it.
        """
        expr = _all_real(expr)
        stack: list[Part] = [(expr, scope)]
        while stack:
            key = id(stack[-1][0]), stack[-1][1]
            if key not in self._plans:
                self._plans[key] = self._plan(*stack[-1])
            plan = self._plans[key]
            missing = [part for part in plan.parts if (id(part[0]), part[1]) not in self._known]
            if missing:
                stack += missing
                continue
            found = plan.join([self._known[id(part), inner] for part, inner in plan.parts])
            if len(found[0]) > LONGEST:
                raise ModelError("the formula is too long for a text", hint="name parts of it with define=...")
            self._known[key] = found
            stack.pop()
        self._kept = expr
        return self._known[id(expr), scope][0]

    def bind(self, symbol: Any, bounds: Bounds, scope: Scope = ()) -> Scope:
        """Return a scope with one more index: it keeps its letter, or gets another where that is taken."""
        taken = {*self.taken, *WORDS, *(word for _, word, _ in scope)}
        stem = symbol.name if NAME.fullmatch(symbol.name) and "__" not in symbol.name else "i"
        candidates = (stem, *(f"{stem}_{k}" for k in range(2, len(taken) + 3)))
        return (*scope, (symbol, next(word for word in candidates if word not in taken), bounds))

    # Rules: what an expression is made of ---------------------------------------------------------------------------

    def _plan(self, expr: Any, scope: Scope) -> _Plan:
        for kind, rule in RULES:
            if isinstance(expr, kind):
                return rule(self, expr, scope)
        written = self._written(expr, scope)
        if written is not None:
            return self._call(*written, scope)
        for kind, rule in ARITHMETIC:
            if isinstance(expr, kind):
                return rule(self, expr, scope)
        word = FUNCTIONS.get(type(expr))
        if word is None:
            name = getattr(expr, "func", type(expr)).__name__
            what = f"the text language has no {name}"
            raise UnsupportedError(what, text=str(expr)[:LONGEST], hint="gradcompile can save the model all the same")
        return self._call(word, expr.args, scope)

    def _call(self, word: str, operands: Sequence[Any], scope: Scope) -> _Plan:
        self._check_word(word, scope)
        return _Plan([(o, scope) for o in operands], lambda texts: (f"{word}({', '.join(t for t, _ in texts)})", ATOM))

    def _written(self, expr: Any, scope: Scope) -> tuple[str, Sequence[Any]] | None:
        """Return the function that is written out in an expression, and its operands, if it can be called."""
        written = found_in(expr)
        return written if written is not None and self._is_free(written[0], scope) else None

    def _is_free(self, word: str, scope: Scope) -> bool:
        return word not in self.taken and all(word != letter for _, letter, _ in scope)

    def _check_word(self, word: str, scope: Scope) -> None:
        if not self._is_free(word, scope):
            raise UnsupportedError(f"{word} is a name of the model, and a function in it", hint=f"rename {word}")

    def _symbol(self, symbol: Any, scope: Scope) -> _Plan:
        word = next((letter for known, letter, _ in reversed(scope) if known == symbol), symbol.name)
        return _leaf(word)

    def _real_part(self, expr: Any, scope: Scope) -> _Plan:
        """Write what it is the part of: every number of a model is real."""
        return _Plan([(expr.args[0], scope)], lambda texts: texts[0])

    def _imaginary_part(self, _expr: Any, _scope: Scope) -> _Plan:
        return _leaf("0")

    def _number(self, number: Any, scope: Scope) -> _Plan:
        return _Plan((), lambda _: number_text(number))

    def _constant(self, constant: Any, scope: Scope) -> _Plan:
        word, instead = CONSTANTS[constant]
        return _leaf(word if self._is_free(word, scope) else instead)

    def _truth(self, truth: Any, scope: Scope) -> _Plan:
        return _Plan((), lambda _: ("0 < 1" if truth else "1 < 0", COMPARE))

    def _element(self, element: Any, scope: Scope) -> _Plan:
        name = str(element.base.name)
        return _Plan([(i, scope) for i in element.indices], lambda texts: (f"{name}[{_listed(texts)}]", ATOM))

    def _choice(self, choice: Any, scope: Scope) -> _Plan:
        """Return a Piecewise as nested `where`."""
        *cases, (last, certain) = choice.args
        if certain is not sympy.true:
            raise UnsupportedError("a Piecewise has no value everywhere", text=str(choice), hint="add (value, True)")
        self._check_word("where", scope)
        parts = [(part, scope) for value, condition in cases for part in (condition, value)]

        def join(texts: list[Text]) -> Text:
            opened = "".join(f"where({texts[k][0]}, {texts[k + 1][0]}, " for k in range(0, 2 * len(cases), 2))
            return f"{opened}{texts[-1][0]}{')' * len(cases)}", ATOM if cases else texts[-1][1]

        return _Plan([*parts, (last, scope)], join)

    def _comparison(self, comparison: Any, scope: Scope) -> _Plan:
        sign = SIGNS[type(comparison)]
        parts = [(side, scope) for side in comparison.args]
        return _Plan(parts, lambda texts: (f" {sign} ".join(_held(t, SUM) for t in texts), COMPARE))

    def _joined(self, condition: Any, scope: Scope) -> _Plan:
        word, level = JOINED[type(condition)]
        parts = [(part, scope) for part in condition.args]
        return _Plan(parts, lambda texts: (word.join(_held(t, level + 1) for t in texts), level))

    def _negated(self, condition: Any, scope: Scope) -> _Plan:
        return _Plan([(condition.args[0], scope)], lambda texts: (f"not {_held(texts[0], ATOM)}", NOT))

    # Arithmetic -----------------------------------------------------------------------------------------------------

    def _sum(self, total: Any, scope: Scope) -> _Plan:
        """Return a sum; its number, which the parser puts first, comes last where that reads better."""

        def join(texts: list[Text]) -> Text:
            terms = [_held(text, PRODUCT) for text in texts]
            if total.args[0].is_Number and not terms[1].startswith("-"):
                terms = [*terms[1:], terms[0]]
            return terms[0] + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in terms[1:]), SUM

        return _Plan([(term, scope) for term in total.args], join)

    def _product(self, product: Any, scope: Scope) -> _Plan:
        """Return a product: numerator and divisors in their order, the divisor of the number last."""
        number, *factors = product.args if product.args[0].is_Number else (sympy.S.One, *product.args)
        steps: list[tuple[str, Part]] = []
        while factors:
            factor = factors.pop(0)
            chance = self._softmax(factor, factors[0], scope) if factors else None
            if chance is not None:
                factors.pop(0)
                steps.append(("*", (sympy.Tuple(*chance), scope)))
            elif self._divides(factor, scope):
                steps.append(("/", (factor.base, scope)))
            else:
                steps.append(("*", (factor, scope)))
        parts = [part for _, part in steps]
        return _Plan(parts, lambda texts: _multiplied(number, [sign for sign, _ in steps], texts))

    def _divides(self, factor: Any, scope: Scope) -> bool:
        return isinstance(factor, sympy.Pow) and factor.exp == -1 and self._written(factor, scope) is None

    def _softmax(self, weight: Any, divisor: Any, scope: Scope) -> tuple[Any, Any] | None:
        """Return formula and index if two factors are ``exp(f[i])/Sum(exp(f[i]), i)``, i being bound outside."""
        if not (
            isinstance(weight, sympy.exp) and self._divides(divisor, scope) and isinstance(divisor.base, sympy.Sum)
        ):
            return None
        total = divisor.base
        index, *ends = total.limits[0]
        around = next((known for known in reversed(scope) if known[0] == index), None)
        if around is None or len(total.limits) > 1 or total.function != weight:
            return None
        bounds = around[2]
        fits = self._runs_over_an_axis(total, total.limits[0]) if bounds is None else bounds == tuple(ends)
        return (weight.args[0], index) if fits else None

    def _softmax_call(self, pair: Any, scope: Scope) -> _Plan:
        return self._call("softmax", pair.args, scope)

    def _power(self, expr: Any, scope: Scope) -> _Plan:
        base, exponent = expr.args
        if exponent == -1:
            return _Plan([(base, scope)], lambda texts: (f"1/{_held(texts[0], SIGN)}", PRODUCT))
        parts = [(base, scope), (exponent, scope)]
        return _Plan(parts, lambda texts: (f"{_held(texts[0], ATOM)}**{_held(texts[1], POWER)}", POWER))

    # Reductions -----------------------------------------------------------------------------------------------------

    def _reduction(self, expr: Any, scope: Scope) -> _Plan:
        """Return ``Sum(f, i, j)``, with bounds where an index does not run over all of an axis that it indexes."""
        if any(len(limit) != 3 for limit in expr.limits):
            raise UnsupportedError("a sum has no bounds", text=str(expr), hint="write (i, 0, N - 1)")
        word, body = REDUCED[type(expr)], expr.function
        return self._over_indices(word, body, expr, scope)

    def _exponential(self, expr: Any, scope: Scope) -> _Plan:
        """Return ``exp(x)``, or ``e**x`` where exp is a name of the user's."""
        if self._is_free("exp", scope) or not self._is_free("e", scope):
            return self._call("exp", expr.args, scope)
        return _Plan([(expr.args[0], scope)], lambda texts: (f"e**{_held(texts[0], POWER)}", POWER))

    def _logarithm(self, expr: Any, scope: Scope) -> _Plan:
        """Return ``logsumexp(f, i)`` for the logarithm of a sum of exponentials."""
        total = expr.args[0]
        if isinstance(total, sympy.Sum) and isinstance(total.function, sympy.exp):
            return self._over_indices("logsumexp", total.function.args[0], total, scope)
        return self._call("log", expr.args, scope)

    def _over_indices(self, word: str, body: Any, expr: Any, scope: Scope) -> _Plan:
        self._check_word(word, scope)
        symbols = {limit[0] for limit in expr.limits}
        nested = any(end.free_symbols & symbols for limit in expr.limits for end in limit[1:])
        limits = expr.limits[::-1] if nested else expr.limits
        parts: list[Part] = []
        for limit in limits:
            ends = () if self._runs_over_an_axis(expr, limit) else limit[1:]
            bounds = [(end, scope) for end in ends]
            scope = self.bind(limit[0], tuple(limit[1:]), scope)
            parts += [(limit[0], scope), *bounds]
        parts.insert(0, (body, scope))
        return _Plan(parts, lambda texts: (f"{word}({_listed(texts)})", ATOM))

    def _runs_over_an_axis(self, expr: Any, limit: Any) -> bool:
        """Return whether the parser infers the range of an index: from each array that it indexes by itself."""
        index, low, high = limit
        reads = [read for read in self._plain_reads(expr.function) if read[0] == index]
        if low != 0 or not any(told for _, _, told in reads):
            return False
        return all(length is not None and length - 1 == high for _, length, _ in reads)

    def _plain_reads(self, root: Any) -> frozenset[Read]:
        """Return the free symbols that index an axis by themselves: its length, and whether the text tells it."""
        stack = [root]
        while stack:
            expr = stack[-1]
            missing = [part for part in expr.args if id(part) not in self._reads]
            if missing:
                stack += missing
                continue
            own = self._own_reads(expr) if isinstance(expr, sympy.Indexed) else ()
            bound = {limit[0] for limit in expr.limits} if isinstance(expr, ExprWithLimits) else ()
            inner = (read for part in expr.args for read in self._reads[id(part)][1] if read[0] not in bound)
            self._reads[id(expr)] = expr, frozenset([*own, *inner])
            stack.pop()
        return self._reads[id(root)][1]

    def _own_reads(self, element: Any) -> list[Read]:
        name = str(element.base.name)
        lengths = self.shapes.get(name, (None,) * len(element.indices))
        axes = enumerate(zip(element.indices, lengths, strict=False))
        return [(i, length, (name, k) not in self.untold) for k, (i, length) in axes if i.is_Symbol]


Rule = Callable[[Formulas, Any, Scope], _Plan]
RULES: tuple[tuple[Any, Rule], ...] = (
    (sympy.Tuple, Formulas._softmax_call),
    (sympy.Number, Formulas._number),
    (tuple(type(constant) for constant in CONSTANTS), Formulas._constant),
    ((sympy.Symbol, sympy.Idx), Formulas._symbol),
    (sympy.Indexed, Formulas._element),
    (tuple(REDUCED), Formulas._reduction),
    (sympy.Piecewise, Formulas._choice),
    (tuple(SIGNS), Formulas._comparison),
    (tuple(JOINED), Formulas._joined),
    (sympy.Not, Formulas._negated),
    ((type(sympy.true), type(sympy.false)), Formulas._truth),
    ((sympy.re, sympy.conjugate), Formulas._real_part),
    (sympy.im, Formulas._imaginary_part),
)
# These come after the functions that are written out in them.
ARITHMETIC: tuple[tuple[Any, Rule], ...] = (
    (sympy.Add, Formulas._sum),
    (sympy.Mul, Formulas._product),
    (sympy.Pow, Formulas._power),
    (sympy.log, Formulas._logarithm),
    (sympy.exp, Formulas._exponential),
)


def number_text(number: Any) -> Text:
    """Return a number: exact if it is rational, else the shortest text of the float.

    Examples
    --------
    >>> number_text(sympy.Rational(-2, 3))
    ('-2/3', 6)
    >>> number_text(sympy.Float(1e-4))
    ('0.0001', 9)
    """
    if not number.is_finite:
        raise UnsupportedError(
            f"{number} is not a real number", expected="a real number", hint="correct the constants that it is made of"
        )
    if not number.is_Rational:
        text = repr(float(number))
        return text, SIGN if text.startswith("-") else ATOM
    sign = "-" if number < 0 else ""
    over, under = (_whole(abs(int(n))) for n in (number.p, number.q))
    if number.q != 1:
        return f"{sign}{_held(over, PRODUCT)}/{_held(under, SIGN)}", PRODUCT
    return f"{sign}{_held(over, SIGN)}" if sign else over[0], SIGN if sign else over[1]


def _whole(number: int) -> Text:
    """Return a whole number that is not negative, which the parser must not take for a float."""
    if number <= EXACT:
        return str(number), ATOM
    if number % DIGITS == 0:
        zeros = len(str(number)) - len(str(number).rstrip("0"))
        digits = number // 10**zeros
        return (f"10**{zeros}", POWER) if digits == 1 else (f"{_held(_whole(digits), PRODUCT)}*10**{zeros}", PRODUCT)
    more, rest = divmod(number, DIGITS)
    return f"{_held(_whole(more * DIGITS), SUM)} + {rest}", SUM


def _all_real(expr: Any) -> Any:
    """Return an expression without real and imaginary parts: SymPy takes them where it does not know what is real.

    One with branches stays as it is, and its parts are written one by one: SymPy, which would make it anew, moves a
    branch out of a sum.
    """
    kinds = {type(part) for part in walk([expr])}
    if sympy.Piecewise in kinds or kinds.isdisjoint((sympy.re, sympy.im, sympy.conjugate)):
        return expr
    same = expr.replace(sympy.re, lambda x: x).replace(sympy.conjugate, lambda x: x)
    return same.replace(sympy.im, lambda _: sympy.S.Zero)


def _leaf(word: str) -> _Plan:
    return _Plan((), lambda _: (word, ATOM))


def _listed(texts: Sequence[Text]) -> str:
    return ", ".join(text for text, _ in texts)


def _held(text: Text, level: int) -> str:
    """Return a text, in brackets if it holds together less than `level`."""
    return text[0] if text[1] >= level else f"({text[0]})"


def _multiplied(number: Any, signs: Sequence[str], texts: Sequence[Text]) -> Text:
    """Return a product of a number and factors or divisors."""
    minus = "-" if number < 0 else ""
    size = abs(number)
    divisor = ""
    if size.is_Rational and size.q != 1:
        size, divisor = sympy.Integer(size.p), "/" + _held(_whole(int(size.q)), SIGN)
    steps = [(sign, _held(text, SIGN)) for sign, text in zip(signs, texts, strict=True)]
    if size != 1 or steps[0][0] == "/":
        steps.insert(0, ("*", _held(number_text(size), SIGN)))
    return minus + "".join(sign + text for sign, text in steps)[1:] + divisor, PRODUCT
