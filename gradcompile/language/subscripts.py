"""Subscripts of a text as numbers: which multiples of which indices and sizes they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gradcompile.ir import Size
from gradcompile.model.affine import Affine, Ranged, affine, leaves

from .grammar import Node
from .limits import Limits
from .names import Entry, Index, Names
from .ranges import Axis
from .source import Source

ARITHMETIC = ("sum", "product", "negative")
STEPS = 16  # of work that a place takes beside that of its indices


@dataclass(eq=False)
class Use:
    """A place of the text where indices are written, not all alone: one subscript.

    read, axis : the array with its subscripts, and the axis that this one indexes
    number : the subscript
    indices : those without a range that it depends on, the bounds of its sums included
    """

    read: Node
    axis: Axis
    number: Affine
    indices: frozenset[Index]


def is_open(index: Index) -> bool:
    """Return whether an index has no range."""
    return index.bounds is None and index.axis.root.size is None


def size_of(axis: Axis) -> Size:
    """Return the length of an axis, which is known."""
    number = affine(axis.root.size, lambda symbol: Affine(Size.of(symbol.name)))
    assert number is not None
    return number.size


class Work:
    """The steps of inferring ranges, all of one text together.

    Parameters
    ----------
    source : Source
        The text, for errors.
    limits : Limits
        `ranges` bounds the steps.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self._done = 0

    def check(self, steps: int, node: Node) -> None:
        """Check that there is room for more steps.

        Raises
        ------
        ParseError
            If there is not, with the place of `node`.
        """
        if self._done + steps > self._limits.ranges:
            what = "the ranges of the indices take too long to infer"
            raise self._source.error(node.place, what, hint=self._limits.exceeded("ranges"))

    def add(self, steps: int) -> None:
        """Count steps."""
        self._done += steps


class Subscripts:
    """The subscripts of a text that are not an index all alone.

    Parameters
    ----------
    names : Names
        What the names in the bodies stand for.
    bodies : sequence of Node
        All expressions of the text.
    work : Work
        What was done so far; it grows with the pairs of indices that one subscript depends on.
    loose : collection of Index
        Those that do not run over the whole of the axes that they index alone.

    Attributes
    ----------
    ranged : dict of Index to Ranged
        What is known of the range of each index; the rest is filled in when it is.
    alone : set of Index
        Those that index an array alone.
    """

    def __init__(self, names: Names, bodies: Sequence[Node], work: Work, loose: Collection[Index] = ()) -> None:
        self._meaning, self._bodies, self._work, self._loose = names.meaning, bodies, work, loose
        self._standing = frozenset(use.index for use in names.alone)
        self._binders = {index: call for call, indices in names.bound.items() for index in indices}
        self.alone: set[Index] = set()
        self.ranged: dict[Index, Ranged] = {}
        self._owners: dict[Ranged, Index] = {}
        for index in names.indices:  # outer indices come first
            self._add_range(index)

    def uses(self) -> Iterator[Use]:
        """Yield the subscripts that depend on indices without a range, and note which indices stand alone."""
        for node, guarded in self._reads():
            entry = self._meaning.get(node.place)
            for part, axis in zip(node.parts, entry.axes if isinstance(entry, Entry) else (), strict=False):
                index = self.index(part)
                if index is not None and index.bounds is None and index not in self._loose:
                    self.alone.add(index)
                elif not guarded and (number := self._number(part)) and (indices := self._dependence(number, part)):
                    yield Use(node, axis, number, indices)

    def shifted(self) -> Iterator[tuple[Index, Use, bool]]:
        """Yield each index that stands alone elsewhere, where it is shifted, and whether that leaves the axis.

        A place counts where one index can be the reason.
        """
        for node, guarded in self._reads(zeros=False):
            if self._loose:  # not the first round: a text that needs no other may have any number of places
                self._work.add(1)
                self._work.check(0, node)
            entry = self._meaning.get(node.place)
            for part, axis in zip(node.parts, entry.axes if isinstance(entry, Entry) else (), strict=False):
                if guarded or ((index := self.index(part)) is not None and index not in self._loose):
                    continue
                number = self._number(part)
                index = None if number is None else self._reason(number)
                if number is not None and index is not None:
                    leaving = axis.root.size is not None and leaves(number, size_of(axis))
                    yield index, Use(node, axis, number, frozenset()), leaving

    def _reason(self, number: Affine) -> Index | None:
        """Return the outermost index without bounds in a subscript, if it is one and stands alone elsewhere."""
        free = [ranged for ranged, _ in number.terms if self._owners[ranged].bounds is None]
        if not free:
            return None
        outermost = min(free, key=lambda ranged: ranged.depth)
        index = self._owners[outermost]
        equals = [r for r in free if self._binders.get(self._owners[r]) == self._binders.get(index)]
        ends = [end for ranged, _ in number.terms if ranged is not outermost for end in (ranged.low, ranged.high)]
        if len(equals) > 1 or index not in self._standing or any(end is None or end.terms for end in ends):
            return None
        return index

    def _reads(self, zeros: bool = True) -> Iterator[tuple[Node, bool]]:
        """Yield every element of an array, and whether a condition decides if it counts: there it may be outside.

        Without `zeros`, what is multiplied by 0 or has the exponent 0 is left out: it is no part of the model.
        """
        stack = [(body, False) for body in reversed(self._bodies)]
        while stack:
            node, guarded = stack.pop()
            if not zeros and _vanishes(node):
                continue
            if node.kind == "read":
                yield node, guarded
            branches = node.kind == "call" and node.word == "where"
            guarded = guarded or node.kind in ("and", "or")
            stack += [(part, guarded or (branches and k > 0)) for k, part in enumerate(node.parts)][::-1]

    def index(self, node: Node) -> Index | None:
        """Return the index that a node is, if it is one and nothing else."""
        found = self._meaning.get(node.place) if node.kind == "name" else None
        return found if isinstance(found, Index) else None

    def _number(self, node: Node) -> Affine | None:
        """Return a subscript or a bound as a sum of whole multiples of indices and sizes; None if it is none."""
        order, stack = [], [node]
        while stack:
            part = stack.pop()
            order.append(part)
            stack += part.parts if part.kind in ARITHMETIC else ()
        values: list[Affine | None] = []
        for part in reversed(order):
            count = len(part.parts) if part.kind in ARITHMETIC else 0
            operands = [values.pop() for _ in range(count)]
            values.append(self._combined(part.kind, operands) if count else self._leaf(part))
        return values[0]

    def _combined(self, kind: str, operands: Iterable[Affine | None]) -> Affine | None:
        parts = []
        for operand in operands:
            if operand is None:
                return None
            parts.append(operand)
        if kind == "sum":
            return Affine.total(parts)
        product: Affine | None = parts[0] * (-1 if kind == "negative" else 1)
        for factor in parts[1:]:
            product = None if product is None else product.times(factor)
        return product

    def _leaf(self, node: Node) -> Affine | None:
        if node.kind == "number":
            return Affine(Size((), node.value)) if isinstance(node.value, int) else None
        found = self._meaning.get(node.place) if node.kind == "name" else None
        if isinstance(found, Index):
            return Affine(Size(), ((self.ranged[found], 1),))
        return Affine(Size.of(found.word)) if isinstance(found, Entry) and found.role == "size" else None

    def _add_range(self, index: Index) -> None:
        """Note what is known of the range of an index; the rest is filled in when it is."""
        found = Ranged(depth=len(self.ranged))
        if index.bounds is not None:
            found.low, found.high = map(self._number, index.bounds)
        elif index.axis.root.size is not None:
            found.low, found.high = Affine(Size()), Affine(size_of(index.axis) - 1)
        self.ranged[index], self._owners[found] = found, index

    def _dependence(self, number: Affine, node: Node) -> frozenset[Index]:
        """Return the indices without a range that a number depends on."""
        stack, seen = [ranged for ranged, _ in number.terms], set[Ranged]()
        self._work.add(STEPS)
        while stack:
            self._work.check(len(seen) ** 2, node)
            ranged = stack.pop()
            if ranged not in seen:
                seen.add(ranged)
                stack += [inner for end in (ranged.low, ranged.high) if end for inner, _ in end.terms]
        self._work.add(len(seen) ** 2)
        return frozenset(index for ranged in seen if is_open(index := self._owners[ranged]))


def _vanishes(node: Node) -> bool:
    """Return whether a part is left out of a model, as the number that stands before or above it says."""
    factors = node.parts if node.kind == "product" else node.parts[1:] if node.kind == "power" else ()
    return any(factor.kind == "number" and factor.value == 0 for factor in factors)
