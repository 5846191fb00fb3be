"""Which index runs over which axis: equal axes are joined until every index has its one size."""

from __future__ import annotations

from dataclasses import dataclass

import sympy


@dataclass(eq=False, slots=True)
class Axis:
    """An axis of an array, or the range of an index; joined axes have one size.

    size : a whole number or the symbol of a size; None while unknown
    place : where in the text that size comes from
    joined : the axis that now speaks for this one
    """

    size: sympy.Expr | None = None
    place: int = 0
    joined: Axis | None = None

    @property
    def root(self) -> Axis:
        """The axis that speaks for this one."""
        axis = self
        while axis.joined is not None:
            if axis.joined.joined is not None:
                axis.joined = axis.joined.joined
            axis = axis.joined
        return axis

    def forget(self) -> None:
        """Let the axis be one of unknown size that is joined with no other."""
        self.size, self.place, self.joined = None, 0, None


class TwoSizesError(ValueError):
    """Two axes that one index runs over have different sizes.

    Parameters
    ----------
    first, second : Axis
        The two, each with its size and the place where it comes from; no other axis is joined with them.
    """

    def __init__(self, first: Axis, second: Axis) -> None:
        super().__init__()
        self.first, self.second = first, second


def join(index: Axis, axis: Axis, place: int) -> None:
    """Let an index run over an axis.

    Parameters
    ----------
    index, axis : Axis
        They have one size from now on.
    place : int
        Where the index is written; the place that the size comes from, if it comes from `axis`.

    Raises
    ------
    TwoSizesError
        If both have sizes and they differ.
    """
    ours, theirs = index.root, axis.root
    if ours is theirs:
        return
    if ours.size is not None and theirs.size is not None:
        if ours.size != theirs.size:
            raise TwoSizesError(Axis(ours.size, ours.place), Axis(theirs.size, place))
    elif theirs.size is not None:
        ours.size, ours.place = theirs.size, place
    theirs_is_declared = theirs.size is not None
    if theirs_is_declared:
        return  # both know the size; nothing more can be learned
    theirs.joined = ours
