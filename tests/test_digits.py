"""The shipped data is what its README says, and its values are what the UCI repository published."""

import numpy as np

from gradcompile.digits import load_digits

# How often each digit occurs in the test part, from the description that UCI ships with the data (optdigits.names).
PUBLISHED_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

# The first image of the test part, as counts 0 to 16.
FIRST_IMAGE = [
    [0, 0, 5, 13, 9, 1, 0, 0],
    [0, 0, 13, 15, 10, 15, 5, 0],
    [0, 3, 15, 2, 0, 11, 8, 0],
    [0, 4, 12, 0, 0, 8, 8, 0],
    [0, 5, 8, 0, 0, 9, 8, 0],
    [0, 4, 11, 0, 1, 12, 7, 0],
    [0, 2, 14, 5, 10, 12, 0, 0],
    [0, 0, 6, 13, 10, 0, 0, 0],
]


def test_digits_have_the_documented_shapes_and_types():
    pixels, labels = load_digits()
    assert (pixels.shape, pixels.dtype) == ((1797, 64), np.float64)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert pixels.flags.c_contiguous
    assert labels.flags.c_contiguous


def test_pixels_are_sixteenths_between_paper_and_ink():
    counts = load_digits()[0] * 16
    assert np.array_equal(counts, np.round(counts))
    assert (counts.min(), counts.max()) == (0, 16)


def test_digits_are_the_published_ones():
    pixels, labels = load_digits()
    assert np.bincount(labels).tolist() == PUBLISHED_COUNTS
    assert (pixels[0].reshape(8, 8) * 16).tolist() == FIRST_IMAGE
