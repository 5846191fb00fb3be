"""The handwritten digits that the package ships, for the demonstration, the examples and the tests."""

from __future__ import annotations

import gzip
from importlib import resources

import numpy as np
from numpy.typing import NDArray

BRIGHTEST = 16  # pixel intensities are counts of dark pixels in a 4x4 cell, 0 to 16


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return 1,797 images of handwritten digits and what they show.

    Returns
    -------
    pixels : float64 array (1797, 64)
        One 8x8 image a row, row by row from the top left; 0 is paper, 1 is ink (dimensionless).
    labels : int64 array (1797,)
        The digit that the image shows, 0 to 9.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
    Repository (1998), the test part; CC BY 4.0.

    Examples
    --------
    >>> pixels, labels = load_digits()
    >>> pixels.shape, int(labels[0]), float(pixels.max())
    ((1797, 64), 0, 1.0)
    """
    file = resources.files("gradcompile") / "data" / "digits.csv.gz"
    with file.open("rb") as packed, gzip.open(packed, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    return table[:, :-1] / BRIGHTEST, table[:, -1].copy()
