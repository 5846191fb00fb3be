"""Contractions: the order in which the sum of a product of several factors is taken.

``Σ_pqr G[p, q, r]*A[i, p]*B[j, q]*C[k, r]`` has I*J*K*P*Q*R terms; ``Σ_p A[i, p]*Σ_q B[j, q]*Σ_r G[p, q, r]*C[k, r]``
has three sums of four or five sizes each. Axes are eliminated one after another: what has the axis is multiplied and
summed over it, and that is a factor of the rest. So no factors are multiplied ahead of a sum over an axis of theirs:
``Σ_r A[i, r]*B[j, r]*C[k, r]`` stays as it is, and so does its size.

The cheapest order is found by comparing all of them, as opt_einsum does (Smith and Gray 2018), with typical lengths in
place of those that are not numbers. An order that somebody wrote down, as sums in one another, gives way only to one
that is cheaper whatever the lengths are. Samples are summed at the end, as everything stands in the loop over them;
nothing is computed for pairs of samples where the sum itself is not, and what belongs to no sample is not larger than
all of the factors and the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import NamedTuple, TypeVar

from gradcompile.ir import Axis, Graph, Size, Value, union
from gradcompile.passes.share import sample_sizes
from gradcompile.passes.uses import rewrite_sums

SAMPLES = 1024  # the typical number of samples
WIDTH = 64  # the typical length of other axes
RANK = 8  # that of an axis which no data have and which is summed over, as in a factorisation
MOST = 7  # axes whose orders are all compared; while there are more, what is cheapest goes first
FACTORS = 24  # that are looked for in a product
WORTH = 0.8  # of the cost as it is written, which another order must stay below

Axes = tuple[Axis, ...]
Term = TypeVar("Term", Axes, Value)
PRODUCTS = ("mul", "div")


def contract(graph: Graph) -> Graph:
    """Return the graph with sums of products of several factors taken in the cheapest order."""
    if not any(value.op == "sum" for value in graph.order()):
        return graph
    lengths = Lengths.of(graph)
    return rewrite_sums(graph, lambda total, uses: _reordered(total, lengths, uses.own, uses.named))


class Lengths(NamedTuple):
    """How long axes are, or typically are.

    Parameters
    ----------
    samples : set of Size
        The numbers of samples.
    data : set of str
        The names of the lengths that data have.
    known : mapping of str to int
        The lengths that are known.
    """

    samples: set[Size]
    data: set[str]
    known: Mapping[str, int]

    @staticmethod
    def of(graph: Graph) -> Lengths:
        """Return the lengths of the axes of a graph."""
        given = [i for i in graph.inputs.values() if i.role != "parameter"]
        samples = sample_sizes(graph) if any(i.role in ("data", "labels") for i in given) else set()
        samples |= set() if graph.sample is None else {graph.sample.size}
        return Lengths(samples, {name for i in given for size in i.shape for name, _ in size.terms}, graph.known)

    def counts(self, axis: Axis) -> bool:
        """Return whether an axis counts samples."""
        return axis.size in self.samples

    def elements(self, axes: Iterable[Axis], summed: Axes) -> int:
        """Return how many elements there are along axes, some of which are summed over."""
        return prod(self._length(axis, axis in summed) for axis in axes)

    def _length(self, axis: Axis, summed: bool) -> int:
        other = RANK if summed and not any(name in self.data for name, _ in axis.size.terms) else WIDTH
        named = {name: SAMPLES if Size.of(name) in self.samples else other for name, _ in axis.size.terms}
        return max(1, axis.size.evaluate({**named, **self.known}))


@dataclass
class Written:
    """A sum as it is written, with the sums inside of it that are looked through.

    Attributes
    ----------
    summed : list of Axis
        What is summed over, in any of the sums.
    factors : list of Value
        What is multiplied.
    products : list of tuple of Axis
        The axes of each multiplication, and of what is summed without one.
    """

    summed: list[Axis] = field(default_factory=list)
    factors: list[Value] = field(default_factory=list)
    products: list[Axes] = field(default_factory=list)

    def open(self, value: Value) -> Value:
        """Return what is summed."""
        (body,) = value.operands
        self.summed.extend(value.attr)
        if body.op not in PRODUCTS:
            self.products.append(body.axes)
        return body


def _written(value: Value, own: Container[Value], named: Container[Value], *, through: bool) -> Written:
    """Return the factors of a sum; with `through` those, too, of the sums that nothing else uses."""
    found = Written()
    stack = [found.open(value)]
    while stack:
        part = stack.pop()
        if part in named or len(found.factors) + len(stack) > FACTORS:
            found.factors.append(part)
        elif part.op in PRODUCTS and not part.operands[0].is_const(1):
            found.products.append(part.axes)
            left, right = part.operands
            stack.extend((1 / right if part.op == "div" else right, left))
        elif part.op == "neg":
            found.factors.append(part.builder.const(-1))
            stack.append(part.operands[0])
        elif through and part.op == "sum" and part in own and not {*part.attr} & {*value.axes, *found.summed}:
            stack.append(found.open(part))
        else:
            found.factors.append(part)
    return found


def _reordered(value: Value, lengths: Lengths, own: set[Value], named: Container[Value]) -> Value:
    """Return a sum in the cheapest order; as it is, where that is not much cheaper."""
    whole, alone = (_written(value, own, named, through=through) for through in (True, False))
    for written in (alone,) if whole.summed == alone.summed else (whole, alone):
        if len(written.summed) == 1 and len(written.factors) < 3:
            continue  # one product, and nothing to put before another
        orders = Orders(lengths, tuple(written.summed), value.axes, tuple(factor.axes for factor in written.factors))
        best = orders.best()
        cheaper = best.cost[0] < WORTH * sum(map(orders.elements, written.products))
        if cheaper and (written is alone or _is_less(best.products, written.products)):
            return _contracted(written.factors, best, orders, own)
    return value


def _is_less(products: Iterable[Axes], written: list[Axes]) -> bool:
    """Return whether products are fewer than those that are written, whatever the lengths of the axes."""
    new, old = ([set(axes) for axes in each] for each in (products, written))
    return all(any(a <= b for b in old) for a in new) and not all(any(b <= a for a in new) for b in old)


class Order(NamedTuple):
    """An order in which axes are eliminated.

    Parameters
    ----------
    cost : (int, int)
        The multiplications, and how many numbers are kept for them beside those of a sample.
    steps : tuple of tuple of Axis
        The axes that are summed over at once.
    products : tuple of tuple of Axis
        The axes of each multiplication.
    """

    cost: tuple[int, int] = (0, 0)
    steps: tuple[Axes, ...] = ()
    products: tuple[Axes, ...] = ()

    def then(self, rest: Order) -> Order:
        """Return the order that goes on with another."""
        cost = self.cost[0] + rest.cost[0], self.cost[1] + rest.cost[1]
        return Order(cost, self.steps + rest.steps, self.products + rest.products)


class Orders:
    """The orders in which the axes of one sum can be eliminated.

    Parameters
    ----------
    lengths : Lengths
        Of the axes.
    summed, free : tuple of Axis
        The axes that are summed over, and those of the sum.
    terms : tuple of tuple of Axis
        The axes of the factors.
    """

    def __init__(self, lengths: Lengths, summed: Axes, free: Axes, terms: tuple[Axes, ...]) -> None:
        self.lengths, self.summed, self.free, self.terms = lengths, summed, free, terms
        self.largest = max(map(self.elements, (free, *terms)))
        self._known: dict[Axes, Order] = {}

    def elements(self, axes: Iterable[Axis]) -> int:
        """Return how many elements there are along axes."""
        return self.lengths.elements(axes, self.summed)

    def best(self) -> Order:
        """Return the cheapest order."""
        return self._best(self.terms, self.summed)

    def _best(self, terms: tuple[Axes, ...], left: Axes) -> Order:
        """Return the cheapest order for terms with these axes, some of which are left to be summed over."""
        if left not in self._known:
            steps = [step for axis in left if (step := self._step(terms, left, axis)) is not None]
            if len(left) > MOST:
                steps = sorted(steps, key=lambda step: step[0].cost)[:1]
            orders = [step.then(self._best(rest, _without(left, step.steps[0]))) for step, rest in steps]
            self._known[left] = min(orders, key=lambda order: order.cost) if orders else self._at_once(terms, left)
        return self._known[left]

    def _at_once(self, terms: tuple[Axes, ...], left: Axes) -> Order:
        """Return what is left as one product, and one sum over all axes that are left."""
        products = self._products(terms) or (terms if left else ())
        return Order((sum(map(self.elements, products)), 0), (left,) if left else (), products)

    def _step(self, terms: tuple[Axes, ...], left: Axes, axis: Axis) -> tuple[Order, tuple[Axes, ...]] | None:
        """Return the elimination of an axis, and of those that go with it, and the terms then; None if it must not."""
        bucket, before, after = _parted(terms, (axis,), lambda axes: axes)
        gone = tuple(a for a in left if not any(a in axes for axes in (*before, *after)))
        total = _without(union(bucket), gone)
        if not self._may_keep(total) or not self._may_go(gone, _without(left, gone)):
            return None
        products = self._products(bucket) or (bucket[0],)
        kept = self.elements(a for a in total if not self.lengths.counts(a)) if before or after else 0
        return Order((sum(map(self.elements, products)), kept), (gone,), products), (*before, total, *after)

    def _may_keep(self, axes: Axes) -> bool:
        """Return whether there is a factor along axes: for pairs of samples, only where the sum itself has them.

        What belongs to no sample, and so is kept as a whole, must not be larger than everything else.
        """
        samples = [axis for axis in axes if self.lengths.counts(axis)]
        if not samples:
            return self.elements(axes) <= self.largest
        return len(samples) < 2 or all(axis in self.free for axis in samples)

    def _may_go(self, gone: Axes, left: Axes) -> bool:
        """Return whether axes can be eliminated, and others be left: not the last of the samples."""
        if not left or not any(map(self.lengths.counts, gone)):
            return True
        return any(map(self.lengths.counts, (*self.free, *left)))

    def first(self, axes: Axes) -> int:
        """Return which axis of the sum is the first that a factor has: axes of products are in that order."""
        return min((self.free.index(axis) for axis in axes if axis in self.free), default=-1)

    def _products(self, terms: Sequence[Axes]) -> tuple[Axes, ...]:
        """Return the axes of each multiplication of terms."""
        return tuple(axes for _, _, axes in self.pairs(terms))

    def pairs(self, terms: Sequence[Axes]) -> Iterator[tuple[int, int, Axes]]:
        """Yield which of the terms are multiplied, the second into the first, and the axes: few elements first."""
        terms = list(terms)
        while len(terms) > 1:
            places = combinations(range(len(terms)), 2)
            a, b = min(places, key=lambda pair: self.elements(union([terms[pair[0]], terms[pair[1]]])))
            terms[a] = union([terms[a], terms.pop(b)])
            yield a, b, terms[a]


def _without(axes: Axes, gone: Axes) -> Axes:
    return tuple(axis for axis in axes if axis not in gone)


def _parted(
    terms: Iterable[Term], gone: Axes, axes_of: Callable[[Term], Axes]
) -> tuple[list[Term], list[Term], list[Term]]:
    """Return the terms that have one of the axes, the others before the first of these, and the others after it."""
    bucket, before, after = list[Term](), list[Term](), list[Term]()
    for term in terms:
        has = any(axis in axes_of(term) for axis in gone)
        (bucket if has else after if bucket else before).append(term)
    return bucket, before, after


def _contracted(factors: Sequence[Value], order: Order, orders: Orders, own: set[Value]) -> Value:
    """Return the sum of a product, with its axes eliminated in an order."""
    terms = factors
    for gone in order.steps:
        bucket, before, after = _parted(terms, gone, lambda term: term.axes)
        product = _product(bucket, orders)
        total = product.builder.reduce("sum", product, gone)
        own.add(total)
        terms = [*before, total, *after]
    return _product(terms, orders)


def _product(factors: Sequence[Value], orders: Orders) -> Value:
    """Return the product of factors, those first of which there are fewest elements together."""
    terms = list(factors)
    for a, b, _ in orders.pairs([factor.axes for factor in factors]):
        right = terms.pop(b)
        left, right = sorted((terms[a], right), key=lambda term: orders.first(term.axes))
        terms[a] = left * right
    return terms[0]
