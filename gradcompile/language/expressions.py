"""Expressions of the text to expressions of SymPy, once every name has a meaning and every index a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sympy

from gradcompile.errors import ParseError
from gradcompile.model import MaxOver, MinOver, reduction
from gradcompile.model.functions import power

from .functions import COMPARISONS, CONNECTIVES, CONSTANTS, FUNCTIONS
from .grammar import Node
from .limits import Limits
from .names import Entry, Index, Names
from .source import Source, quoted
from .terms import Arithmetic, ConstantError, Term, Whole, expression, of, plain

Range = tuple[sympy.Symbol, sympy.Expr, sympy.Expr]


class Condition(NamedTuple):
    """A comparison, or several joined; it is no number."""

    expr: sympy.Basic


class Builder:
    """Builds expressions in SymPy.

    Parameters
    ----------
    source : Source
        The text, for errors.
    names : Names
        What each name stands for; the symbols of its entries are set.
    limits : Limits
        What constants may cost.
    """

    def __init__(self, source: Source, names: Names, limits: Limits) -> None:
        self.source, self.names = source, names
        self._bounds_around: dict[int, Term] = {}
        arithmetic = Arithmetic(limits)
        self.operations: dict[str, Callable[..., Term]] = {
            "sum": lambda *terms: arithmetic.sum(terms),
            "product": lambda *terms: arithmetic.product(terms),
            "power": arithmetic.power,
            "negative": arithmetic.negative,
            "reciprocal": arithmetic.reciprocal,
        }

    def expression(self, node: Node) -> sympy.Expr:
        """Return an expression in SymPy.

        Raises
        ------
        ParseError
            At a condition where a number must stand or the other way round, a subscript that is not whole, a
            constant that is not real or not within float64.
        """
        term = self._term(node)
        try:
            return expression(term)
        except ConstantError as error:
            raise self._located(error, node) from None

    def constant(self, node: Node) -> float:
        """Return the value of an expression that depends on nothing."""
        if self._term(node).constant is None:
            what, hint = "the value of a constant must be a number", "give what is computed a line of its own: c = ..."
            raise self.source.error(node.place, what, expected="such as 1e-4", hint=hint)
        return float(self.expression(node))

    def _term(self, node: Node) -> Term:
        """Build a tree from its leaves up, without recursion."""
        order, stack = [], [node]
        while stack:
            part = stack.pop()
            order.append(part)
            stack += part.parts
        values: list[Term | Condition] = []
        part = node
        try:
            for part in reversed(order):
                first = len(values) - len(part.parts)
                operands = values[first:]
                values[first:] = [self._build(part, operands)]
        except ConstantError as error:
            raise self._located(error, part) from None
        return self._number(node, values[0])

    def _located(self, error: ConstantError, node: Node) -> ParseError:
        """Return the error of a constant with its place."""
        expected = "a real number within the range of float64"
        return self.source.error(node.place, error.what, expected=expected, hint=error.hint)

    def _build(self, node: Node, operands: list[Term | Condition]) -> Term | Condition:
        """Return one node, its parts being built."""
        if node.kind in CONNECTIVES:
            parts = [self._condition(n, o) for n, o in zip(node.parts, operands, strict=True)]
            return Condition(CONNECTIVES[node.kind](*parts, evaluate=False))
        if node.kind == "call" and node.word == "where":
            return self._where(node, operands)
        terms = [self._number(n, o) for n, o in zip(node.parts, operands, strict=True)]
        if node.kind in self.operations:
            return self.operations[node.kind](*terms)
        if node.kind == "compare":
            decided = all(t.is_number for t in terms)  # SymPy would divide by zero when it rearranges such a comparison
            return Condition(COMPARISONS[node.word](*(expression(t) for t in terms), evaluate=decided))
        if node.kind == "number":
            return plain(node.value)
        if node.kind == "call":
            return self._function(node, terms) if node.word in FUNCTIONS else self._reduction(node, terms)
        return self._named(node, terms)

    def _number(self, node: Node, value: Term | Condition) -> Term:
        if not isinstance(value, Term):
            what = "a comparison is not a number"
            hint = "comparisons stand inside where(condition, a, b)"
            raise self.source.error(node.place, what, expected="a number", hint=hint)
        return value

    def _condition(self, node: Node, value: Term | Condition) -> sympy.Basic:
        if isinstance(value, Term):
            what, hint = "a number is not a condition", "compare it with something, as in x > 0"
            raise self.source.error(node.place, what, expected="a comparison, such as a < b", hint=hint)
        return value.expr

    def _where(self, node: Node, operands: list[Term | Condition]) -> Term:
        condition = self._condition(node.parts[0], operands[0])
        if condition.has(sympy.Piecewise):
            raise self.source.error(
                node.parts[0].place,
                "a condition holds another where",
                expected="a comparison of what holds none",
                hint="define the inner one on a line of its own, or join conditions with 'and', 'or', 'not'",
            )
        a, b = (expression(self._number(n, o)) for n, o in zip(node.parts[1:], operands[1:], strict=True))
        return of(sympy.Piecewise((a, condition), (b, True), evaluate=False))

    def _named(self, node: Node, subscripts: Sequence[Term]) -> Term:
        """Return what a name stands for, with its subscripts."""
        found = self.names.meaning.get(node.place)
        if found is None:
            symbol, value = CONSTANTS[node.word]
            return of(symbol, estimate=value)
        if isinstance(found, Index):
            return of(found.symbol, Whole.VARYING)
        whole = {"labels": Whole.VARYING, "size": Whole.FIXED}.get(found.role, Whole.NO)
        if not subscripts:
            return of(found.symbol, whole)
        places = [self._subscript(n, t, found, k) for k, (n, t) in enumerate(zip(node.parts, subscripts, strict=True))]
        assert isinstance(found.symbol, sympy.IndexedBase)
        return of(found.symbol[tuple(places)], whole)

    def _subscript(self, node: Node, term: Term, array: Entry, position: int) -> sympy.Expr:
        """Return a subscript: a sum of whole multiples of indices, labels, sizes and remainders of such sums."""
        if not term.whole:
            used = self.names.meaning.get(node.place)
            hint = "x[i + k], x[2*i - 1] and x[gt[s]] with gt: labels are allowed"
            if (
                isinstance(used, Entry)
                and used.role in ("data", "column", "constant")
                and node.kind in ("name", "read")
            ):
                hint = f"declare {used.word}: labels, not {used.role}, if its values are whole numbers"
            elif node.word in ("min", "max"):
                hint = f"let a where leave the others out: where(g[s] < K, {array.word}[g[s]], 0)"
            what, expected = (
                f"this is not an index of {quoted(array.word)}",
                "whole multiples of indices, labels and sizes",
            )
            raise self.source.error(node.place, what, expected=expected, hint=hint)
        size = array.axes[position].root.size
        beyond = size is not None and size.is_Integer and term.is_number and term.coefficient >= int(size)
        if beyond or (term.is_number and term.coefficient < 0):
            what = f"the index {term.coefficient} leaves the axis of {quoted(array.word)}"
            hint = "indices count from 0" if term.coefficient > 0 else "the last one is [N - 1], N being its size"
            raise self.source.error(node.place, what, expected=f"0 to {size} - 1", hint=hint)
        return expression(term)

    def _function(self, node: Node, terms: Sequence[Term]) -> Term:
        row = FUNCTIONS[node.word]
        operands = [expression(t) for t in terms]
        constants = [t.constant for t in terms]
        estimate = None
        if row.estimate is not None and None not in constants:
            estimate = self._estimate(node, row.estimate, [c for c in constants if c is not None])
        whole = Whole.NO
        if node.word == "mod":
            if terms[1].is_number and not terms[1].coefficient:
                raise ConstantError("division by zero")
            whole = Whole.VARYING if all(t.whole for t in terms) else Whole.NO  # as of places on a ring
        return of(row.build(*operands), whole, estimate=estimate)

    def _estimate(self, node: Node, function: Callable[..., float], operands: Sequence[float]) -> float:
        """Return a function of constants to a few digits."""
        shown = f"{node.word}({', '.join(f'{o:.6g}' for o in operands)})"
        try:
            return float(function(*operands))
        except OverflowError:
            raise ConstantError(f"{shown} is larger than the largest float64, 1.8e308") from None
        except (ValueError, ZeroDivisionError):
            raise ConstantError(f"{shown} is not a real number") from None

    def _reduction(self, node: Node, terms: Sequence[Term]) -> Term:
        """Return a call that runs over indices."""
        indices = self.names.bound[node.place]
        body = expression(terms[0])
        ranges = self._ranges(node, indices, dict(zip((p.place for p in node.parts), terms, strict=True)))
        if node.word in REDUCES:
            return of(reduction(REDUCES[node.word], body, *ranges))
        if node.word == "Mean":
            return self._mean(node, reduction(sympy.Sum, body, *ranges), ranges)
        weight = sympy.exp(body, evaluate=False)
        total = reduction(sympy.Sum, weight, *ranges)
        if node.word == "logsumexp":
            return of(sympy.log(total, evaluate=False))
        return self.operations["product"](of(weight), of(power(total, sympy.S.NegativeOne)))

    def _mean(self, node: Node, total: sympy.Expr, ranges: Sequence[Range]) -> Term:
        """Return a sum divided by the number of its terms."""
        symbols = {symbol for symbol, _, _ in ranges}
        counts = [high - low + 1 for _, low, high in ranges]
        if any(count.free_symbols & symbols for count in counts):
            what = "a mean has a number of terms; here one index bounds another"
            expected, hint = "bounds without another index", "write the Sum and divide it"
            raise self.source.error(node.place, what, expected=expected, hint=hint)
        divisors = [plain(int(c)) if c.is_Integer else of(c) for c in counts]
        return self.operations["product"](of(total), *(self.operations["reciprocal"](d) for d in divisors))

    def _ranges(self, node: Node, indices: Sequence[Index], terms: dict[int, Term]) -> list[Range]:
        """Return the limits of a sum, the innermost first, as SymPy has it."""
        ranges = []
        for index in indices:
            if index.bounds is None:
                size = index.axis.root.size
                assert size is not None
                ranges.append((index.symbol, sympy.S.Zero, size - 1))
                continue
            low, high = (
                self._bound(part, self._term_of_bound(part, terms), f"{index.word} {relation}")
                for part, relation in zip(index.bounds, (">=", "<="), strict=True)
            )
            if (high - low).is_negative:
                what = f"the bounds of the index {quoted(index.word)} hold nothing"
                found, hint = f"{low} to {high}, both included", "write the lower bound first"
                raise self.source.error(index.place, what, expected="a range", found=found, hint=hint)
            ranges.append((index.symbol, low, high))
        symbols = {index.symbol for index in indices}
        nested = any((low.free_symbols | high.free_symbols) & symbols for _, low, high in ranges)
        return ranges[::-1] if nested else ranges

    def _term_of_bound(self, node: Node, terms: dict[int, Term]) -> Term:
        """Return a bound that is an argument of this call, or of the sum around a softmax."""
        if node.place in terms:
            return terms[node.place]
        if node.place not in self._bounds_around:
            self._bounds_around[node.place] = self._term(node)
        return self._bounds_around[node.place]

    def _bound(self, node: Node, term: Term, beside: str) -> sympy.Expr:
        """Return a bound; beside it, a condition on the index would be ``j <=`` or ``j >=``."""
        bound = expression(term)
        if not term.whole or bound.has(sympy.Indexed, sympy.Mod):
            what = "this is not a bound of an index"
            expected, hint = "whole numbers, sizes and outer indices: D - 1", "leave bounds out to run over an axis"
            if term.whole and bound.has(sympy.Indexed):
                hint = f"choose over the whole axis: where({beside} {bound}, ..., 0)"
            found = str(bound).replace("Mod(", "mod(")
            raise self.source.error(node.place, what, expected=expected, found=found, hint=hint)
        return bound


REDUCES: dict[str, Any] = {"Sum": sympy.Sum, "Product": sympy.Product, "Max": MaxOver, "Min": MinOver}
