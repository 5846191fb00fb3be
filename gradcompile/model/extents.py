"""How far an index runs that indexes nothing alone: as far as ``i + a`` and its like stay inside of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gradcompile.ir import Size

from .affine import Affine, Ranged, never_negative


class Place(NamedTuple):
    """A place where an index is written, such as ``x[i + a]``.

    Parameters
    ----------
    number : Affine
        What is written there.
    length : Size
        Of the axis that it indexes.
    use : object
        The element, which messages show.
    """

    number: Affine
    length: Size
    use: object


class Limit(NamedTuple):
    """One side of an axis as a limit of an index: `factor` times the index is at most `room`.

    The room is what is left of the axis where the index is 0.
    """

    factor: int
    room: Size
    place: Place

    @property
    def last(self) -> Size | None:
        """The largest value of the index; None where a size cannot say it, as half of an N that may be odd."""
        if all(count % self.factor == 0 for _, count in self.room.terms):
            terms = tuple((name, count // self.factor) for name, count in self.room.terms)
            return Size(terms, self.room.constant // self.factor)
        return None

    @property
    def first(self) -> int:
        """The smallest value of the index that keeps a limit which holds from there on; 0 where there is none."""
        return 0 if self.factor >= 0 or self.room.terms else max(0, -(self.room.constant // -self.factor))

    def admits(self, last: Size) -> bool:
        """Return whether an index that ends there keeps the limit, whatever the sizes are."""
        return never_negative(self.room - last * self.factor) is True

    def __str__(self) -> str:
        """Return where the index ends, and why."""
        end = str(self.last or f"the whole part of ({self.room})/{self.factor}")
        return f"{end}, the last one for {self.place.use}"


class ExtentError(ValueError):
    """No range follows for an index.

    Parameters
    ----------
    what : str
        What is wrong, after the name of the index.
    expected, found : str
        What would have given a range, and what is there.
    below : int, optional
        How far the range would have to be moved up, where a number says that.
    """

    def __init__(self, what: str, expected: str, found: str, below: int = 0) -> None:
        super().__init__(what)
        self.what, self.expected, self.found, self.below = what, expected, found, below


def last_value(uses: Iterable[tuple[Ranged, Place]]) -> Size | None:
    """Return the largest number to which an index can run from 0, so that every place stays inside of its axis.

    Parameters
    ----------
    uses : iterable of (Ranged, Place)
        The index and a place where it is written; several indices, if they run over one axis.

    Returns
    -------
    Size or None
        None if no place limits the index.

    Raises
    ------
    ExtentError
        If a place is outside of its axis at 0, the sizes do not tell which of two places ends first, or the end is
        not a number of sizes.
    """
    limits = [limit for index, place in uses for limit in _limits(index, place)]
    outside = [limit for limit in limits if limit.factor and never_negative(limit.room) is False]
    if outside:
        first = max(outside, key=lambda limit: limit.first)
        raise ExtentError(
            "cannot start at 0",
            expected="places that are inside of their axes from 0 on",
            found=f"{first.place.use}, which is outside at 0",
            below=first.first if all(limit.first for limit in outside) else 0,
        )
    tightest: dict[object, Limit] = {}
    for limit in (limit for limit in limits if limit.factor > 0):
        same = tightest.setdefault((limit.factor, limit.room.terms), limit)
        if limit.room.constant < same.room.constant:
            tightest[limit.factor, limit.room.terms] = limit
    return _first_end([*tightest.values()]) if tightest else None


def _limits(index: Ranged, place: Place) -> Iterator[Limit]:
    """Yield both sides of an axis as limits of an index, over the ranges of all other indices in the place."""
    lowest, highest = (place.number.extreme_in(index, largest) for largest in (False, True))
    if lowest is not None:
        yield Limit(-sum(count for _, count in lowest.terms), lowest.size, place)
    if highest is not None:
        yield Limit(sum(count for _, count in highest.terms), place.length - 1 - highest.size, place)


def _first_end(limits: Sequence[Limit]) -> Size:
    """Return the end that all limits admit and one of them sets."""
    ends = [(last, limit) for limit in limits if (last := limit.last) is not None]
    if not ends:
        expected = "a number of sizes, such as N - K + 1, or sizes that are numbers"
        raise ExtentError("has no end that sizes can say", expected=expected, found=str(limits[0]))
    last, first = ends[0]
    for end, limit in ends:
        if first.admits(end):
            last, first = end, limit
    other = next((limit for limit in limits if not limit.admits(last)), None)
    if other is not None:
        what = "has two ends, and the sizes do not say which one comes first"
        raise ExtentError(what, expected="one end", found=f"{first}, and {other}")
    return last
