"""Ranges of indices: ``Sum(x[j], j)``, ``h[i] = Sum(x[i + a]*w[a], a)`` and ``d[i] = x[i + 1] - x[i]``.

An index that indexes an array alone runs over its axis. What is left belongs to groups: all indices that run over one
axis, that of a definition, or one index of a sum. Those in a group that index another definition alone run over its
axis as well, so the places of the others say how long it is.

An index that stands alone may be shifted as well, out of an axis: then the axes that it indexes alone are places like
the others, and all of this begins again, as definitions that are shorter now may be too short for others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import sympy

from gradcompile.errors import ParseError
from gradcompile.ir import Size
from gradcompile.model.affine import Affine
from gradcompile.model.extents import ExtentError, Place, last_value

from .grammar import Node
from .limits import Limits
from .names import Index, Names
from .ranges import Axis
from .source import quoted
from .subscripts import Subscripts, Use, Work, is_open, size_of

LONGEST_SHOWN = 60  # characters of a place in a message
LESS = {("<=", 0): "", ("<", 0): " - 1", (">=", 1): "", (">", 1): " - 1"}  # sign and side of the smaller index


@dataclass(eq=False)
class Group:
    """Indices that run over one axis of unknown length.

    members : all of them
    uses : each place that says how long the axis is, with the member that it limits
    waits : the axes without a length that these places depend on
    """

    members: list[Index] = field(default_factory=list)
    uses: list[tuple[Index, Use]] = field(default_factory=list)
    waits: set[Axis] = field(default_factory=set)


def complete_ranges(names: Names, bodies: Sequence[Node], limits: Limits) -> None:
    """Give a range to every index that has no bounds.

    Parameters
    ----------
    names : Names
        What the names in the bodies stand for.
    bodies : sequence of Node
        All expressions of the text.
    limits : Limits
        `ranges` bounds the work.

    Raises
    ------
    ParseError
        If none follows from the places where the index is written, or two.
    """
    work, loose = Work(names.source, limits), set[Index]()
    while True:
        contradictions = names.join(loose)
        extents = _Extents(names, bodies, work, loose)
        if not (more := extents.ending_earlier(contradictions)):
            if contradictions:
                raise names.two_sizes(*next(iter(contradictions.items())))
            given = [index for index in names.indices if index in loose and not is_open(index)]
            extents.complete()
            more = extents.ending_earlier()
        if not more:
            extents.check_use(given)
            return
        loose.update(more)


class _Extents:
    """The groups of one text, and what is known of them."""

    def __init__(self, names: Names, bodies: Sequence[Node], work: Work, loose: Collection[Index]) -> None:
        self.names, self.source, self.bodies, self.loose = names, names.source, bodies, loose
        self.subscripts = Subscripts(names, bodies, work, loose)
        self.groups: dict[Axis, Group] = {}

    def ending_earlier(self, contradictions: Collection[Index] = ()) -> list[Index]:
        """Return indices that cannot run over the axes that they index alone, for a place where they are shifted.

        Those with contradictions, which stand alone on axes of two sizes, are among them wherever they are shifted.

        Raises
        ------
        ParseError
            If none is left but one that was found before.
        """
        found: dict[Index, None] = {}
        for index, _, leaves in self.subscripts.shifted():
            if leaves or index in contradictions:
                found[index] = None
        new = [index for index in found if index not in self.loose]
        if found and not new:
            raise self._longer_in_use(next(iter(found)))
        return new

    def check_use(self, given: Sequence[Index]) -> None:
        """Check that indices of definitions, of which their use gave the length, end where their places do."""
        for index in given:
            if size_of(index.axis) != self._own_length(index):
                raise self._longer_in_use(index)

    def _own_length(self, index: Index) -> Size:
        """Return the length that follows for an index from its own places alone."""
        uses = [use for other, use, _ in self.subscripts.shifted() if other is index]
        places = [self._place(use) for use in uses if use.axis.root.size is not None]
        try:
            last = last_value((self.subscripts.ranged[index], place) for place in places)
        except ExtentError as error:
            raise self._refused(index, error) from None
        return size_of(index.axis) if last is None else last + 1

    def _assign(self, uses: Sequence[Use]) -> None:
        """Tell each group its places."""
        places: dict[Index, list[Use]] = {}
        for use in uses:
            for index in use.indices:
                places.setdefault(index, []).append(use)
        for root, group in self.groups.items():
            free = [index for index in group.members if index not in self.subscripts.alone]
            found = [(index, use) for index in free for use in places.get(index, ())]
            group.uses = [(index, use) for index, use in found if use.axis.root is not root]  # its own says nothing
            for index, use in group.uses:
                others = {other.axis.root for other in use.indices if other is not index}
                group.waits |= others if use.axis.root.size is not None else others | {use.axis.root}

    def complete(self) -> None:
        """Give each group its length, those first that others wait for."""
        for index in filter(is_open, self.names.indices):
            self.groups.setdefault(index.axis.root, Group()).members.append(index)
        if self.groups:
            self._assign(list(self.subscripts.uses()))
        waiting: dict[Axis, list[Axis]] = {}
        for root, group in self.groups.items():
            for other in group.waits:
                waiting.setdefault(other, []).append(root)
        ready = [root for root, group in self.groups.items() if group.uses and not group.waits]
        while ready:
            root = ready.pop()
            if not self._measure(root):
                continue
            for follower in waiting.get(root, ()):
                self.groups[follower].waits.discard(root)
                if not self.groups[follower].waits:
                    ready.append(follower)
        missing = next(filter(is_open, self.names.indices), None)
        if missing is not None:
            raise self._no_range(missing)

    # Lengths ----------------------------------------------------------------------------------------------------------

    def _measure(self, root: Axis) -> bool:
        """Give the axis of a group its length, if its places tell one."""
        group, ranged = self.groups[root], self.subscripts.ranged
        first = group.uses[0][0]
        uses = [(ranged[index], self._place(use)) for index, use in group.uses]
        try:
            last = last_value(uses)
        except ExtentError as error:
            raise self._refused(first, error) from None
        if last is None:
            return False
        root.size, root.place = _expression(last + 1), first.place
        for index in group.members:
            ranged[index].low, ranged[index].high = Affine(Size()), Affine(last)
        return True

    def _written(self, read: Node) -> str:
        """Return an element as it is written."""
        text, level = self.source.text[read.place : read.place + LONGEST_SHOWN], 0
        for k, sign in enumerate(text):
            level += (sign == "[") - (sign == "]")
            if sign == "]" and level == 0:
                return " ".join(text[: k + 1].split())
        return read.word + "[...]"

    # Errors -----------------------------------------------------------------------------------------------------------

    def _is_summed(self, index: Index) -> bool:
        return any(index in indices for indices in self.names.bound.values())

    def _refused(self, index: Index, error: ExtentError) -> ParseError:
        word, up, summed = index.word, error.below, self._is_summed(index)
        where = "" if summed else ", here or where the definition is used"
        instead = "" if index in self.loose else f"index an array with {word} alone{where}, or "
        if up:
            moved = ", ".join(f"{_plus(word, n + up)} for {_plus(word, n)}" for n in (-up, 0, 1))
            instead = f"move all places up by {up}, writing {moved}, or "
        bounds = "give it bounds" if summed else "write the formula where it is used, in a sum with bounds"
        hint = f"{instead}{bounds}: Sum(f, {word}, {up or 1}, N - 1)"
        what = f"the index {quoted(word)} {error.what}"
        return self.source.error(index.place, what, expected=error.expected, found=error.found, hint=hint)

    def _longer_in_use(self, index: Index) -> ParseError:
        """Return the error for an index of a definition that stands alone on a longer axis where that is used."""
        axis, length = index.axis.root, self._own_length(index)
        user = next(use.index for use in self.names.alone if use.place == axis.place)
        defined = self.source.line_of(index.place)
        return self.source.error(
            axis.place,
            f"the index {quoted(user.word)} has two sizes",
            expected=f"{length}, as far as the places of {quoted(index.word)} go in {defined}",
            found=f"{axis.size}, here",
            hint=f"give it bounds in a sum, Sum(f, {user.word}, 0, {length - 1}), or index an array of that length",
        )

    def _place(self, use: Use) -> Place:
        return Place(use.number, size_of(use.axis), self._written(use.read))

    def _no_range(self, index: Index) -> ParseError:
        """Return the error for an index that no place gives a range."""
        word, found = index.word, ""
        hint = f"give it bounds: Sum(f, {word}, 0, N - 1)"
        if not self._is_summed(index):
            hint = (
                f"index an array with {word} alone, on the right side or where the definition is used; "
                f"if {word} is a number only, declare its values, as in k: data[12], and write k[{word}] for {word}"
            )
        for _, use in self.groups[index.axis.root].uses[:1]:
            others = sorted({quoted(other.word) for other in use.indices if other is not index})
            if others:
                found = f"{self._written(use.read)}, and no range for {' and '.join(others)} either"
                hint = "index an array with one of them alone, or give bounds to one that a sum binds"
        what, expected = f"the index {quoted(word)} has no range", f"an axis that it indexes, as in x[{word}]"
        hint = self._bounds_instead(index) or hint
        return self.source.error(index.place, what, expected=expected, found=found, hint=hint)

    def _bounds_instead(self, index: Index) -> str:
        """Return what to write where an index without a range is compared with that of a sum: ``j <= i``."""
        stack = list(self.bodies)
        while stack:
            node = stack.pop()
            stack += node.parts
            if node.kind != "compare" or index not in (sides := [self.subscripts.index(part) for part in node.parts]):
                continue
            other = sides[1 - sides.index(index)]
            end = LESS.get((node.word, 1 - sides.index(index)))
            if other is not None and end is not None and other.bounds is None and self._is_summed(other):
                return f"end the sum at it, without the condition: Sum(f, {other.word}, 0, {index.word}{end})"
        return ""


def _plus(word: str, number: int) -> str:
    """Return ``i + 1``."""
    return f"{word} {'-' if number < 0 else '+'} {abs(number)}" if number else word


def _expression(size: Size) -> sympy.Expr:
    """Return a length in SymPy."""
    terms = [count * sympy.Symbol(name, integer=True, positive=True) for name, count in size.terms]
    return sympy.Add(*terms, size.constant)
