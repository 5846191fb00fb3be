"""Reads and accumulations in NumPy's notation: slices where the indices run along, index arrays where they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gradcompile.affine import Affine, affine, extremes
from gradcompile.emit.expression import POW, as_factor
from gradcompile.emit.names import Names
from gradcompile.ir import Axis, Size, Value

Axes = tuple[Axis, ...]
Spell = Callable[..., str]  # an index as an array over these axes, and how tightly its text must bind
Rank = Callable[[set[Axis]], Axes]


class Subscript(NamedTuple):
    """What stands between the brackets.

    Parameters
    ----------
    parts : tuple of str
        One for each dimension of the array; ``:`` takes all of it.
    axes : tuple of Axis
        The axes of what is read, dimension by dimension.
    advanced : bool
        Whether index arrays occur, so that NumPy copies.
    distinct : bool
        Whether every point is read once at most: then ``+=`` adds correctly.
    """

    parts: tuple[str, ...]
    axes: Axes
    advanced: bool
    distinct: bool

    @property
    def text(self) -> str:
        """Return the subscript, ``[np.arange(N), gt]``; "" where all of the array is read."""
        return f"[{', '.join(self._kept)}]" if self._kept else ""

    @property
    def argument(self) -> str:
        """Return the subscript as an argument of a function: ``(np.arange(N), gt)``."""
        if len(self._kept) == 1 and self.parts[0] != ":":
            return self.parts[0]
        return f"({', '.join(map(_called, self._kept))})"

    @property
    def _kept(self) -> tuple[str, ...]:
        """The parts up to the last one that does not take all of its dimension."""
        kept = len(self.parts)
        while kept and self.parts[kept - 1] == ":":
            kept -= 1
        return self.parts[:kept]


def _called(part: str) -> str:
    """Return a part of a subscript as it stands outside of brackets: ``slice(None, None, -1)`` for ``::-1``."""
    if ":" not in part or "[" in part or "]" in part:
        return part
    return "slice(None)" if part == ":" else f"slice({', '.join(end or 'None' for end in part.split(':'))})"


def at_least(size: Size, number: int) -> bool:
    """Return whether a size is known not to be below a number, whatever the named sizes are (1 or more)."""
    return all(count > 0 for _, count in size.terms) and size.constant + sum(c for _, c in size.terms) >= number


def subscript(dimensions: Axes, index: Mapping[Axis, Value], names: Names, spell: Spell, ranked: Rank) -> Subscript:
    """Return the subscript that reads (or adds) at an index for each dimension.

    Parameters
    ----------
    dimensions : tuple of Axis
        The array's own, in the order in which it is stored.
    index : mapping
        The index of each.
    names : Names
        Identifiers of the sizes.
    spell : callable
        Prints an index as an array over given axes.
    ranked : callable
        Puts axes into the order in which values have them.
    """
    forms = [affine(index[d]) for d in dimensions]
    shared = Counter(axis for d in dimensions for axis in index[d].axes)
    slices: list[tuple[Axis, str] | None] = []
    for dimension, form in zip(dimensions, forms, strict=True):
        alone = form is not None and len(form[0]) == 1 and shared[next(iter(form[0]))] == 1
        slices.append(_slice(dimension, form, names) if alone and form is not None else None)
    points = ranked({a for d, s in zip(dimensions, slices, strict=True) if s is None for a in index[d].axes})
    advanced = bool(points)
    parts = [
        s[1] if s is not None else _spelled(d, index[d], form, points, names, spell)
        for d, s, form in zip(dimensions, slices, forms, strict=True)
    ]
    plain = {next(iter(f[0])) for f in forms if f is not None and len(f[0]) == 1}
    return Subscript(tuple(parts), _axes(slices, points), advanced, all(a in plain for a in points))


def _axes(slices: list[tuple[Axis, str] | None], points: Axes) -> Axes:
    """Return the axes of the result: index arrays that stand together stay in place, others go first."""
    places = [k for k, s in enumerate(slices) if s is None]
    if not points:
        return tuple(s[0] for s in slices if s is not None)
    together = places == list(range(places[0], places[-1] + 1))
    before = [s[0] for s in slices[: places[0]] if s is not None] if together else []
    after = [s[0] for s in slices if s is not None and s[0] not in before]
    return (*before, *points, *after)


def _slice(dimension: Axis, form: Affine, names: Names) -> tuple[Axis, str] | None:
    """Return the axis and the slice that runs along it, or None if it might leave the dimension."""
    ((axis, step),), start = form[0].items(), form[1]
    if step < 0:
        whole = step == -1 and start == dimension.size - 1 and axis.size == dimension.size
        return (axis, "::-1") if whole else None
    stop = start + (axis.size - 1) * step + 1
    if not at_least(start, 0) or not at_least(dimension.size - stop, 0):
        return None
    first = "" if start == Size() else names.size(start)
    beyond = stop - dimension.size
    last = "" if beyond == Size() else str(beyond) if not beyond.terms else names.size(stop)
    return axis, f"{first}:{last}" + (f":{step}" if step > 1 else "")


def _spelled(dimension: Axis, index: Value, form: Affine | None, points: Axes, names: Names, spell: Spell) -> str:
    """Return an index as an array; one that a choice elsewhere keeps from being used is kept inside."""
    text = spell(index, points)
    if form is None:
        return text
    low, high = extremes(form)
    left = dimension.size - 1 - high
    required = any(requirement.size == left for requirement in names.graph.requirements)
    reaches = at_least(low, 0) or at_least(low + dimension.size, 0)  # NumPy counts below 0 from the end
    inside = reaches and (required or at_least(left, 0))
    return text if inside else f"{spell(index, points, POW)} % {as_factor(names.size(dimension.size))}"
