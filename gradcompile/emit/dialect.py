"""The languages of emitted loops: Python for Numba, with arrays, and plain Python, with lists."""

from __future__ import annotations

from typing import NamedTuple


class Dialect(NamedTuple):
    """How a loop target spells what is not an elementary function."""

    target: str
    zeros: str  # of a shape
    empty: str
    subscript: str  # between two indices
    blocks: bool  # whether samples may be taken in blocks

    def rounding(self, dtype: str) -> str:
        """Return the function that makes a number one of a type: "" where every number is one of double precision."""
        return "" if dtype == "float64" or self.target == "python" else "real"


NUMBA = Dialect("numba", "np.zeros({shape})", "np.empty({shape})", ", ", True)
PYTHON = Dialect("python", "", "", "][", False)
