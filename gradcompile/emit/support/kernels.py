"""Functions of numbers for the target numba, where those of scalars.py would not do."""

import numpy as np


def floor(x):
    """Return the largest whole number that is not above x."""
    return np.floor(x)


def ceil(x):
    """Return the smallest whole number that is not below x."""
    return np.ceil(x)


def inverse(matrix):
    """Return the inverse of a square matrix."""
    return np.linalg.inv(matrix)


def determinant(matrix):
    """Return the determinant of a square matrix."""
    return np.linalg.det(matrix)


def logdet(matrix):
    """Return the logarithm of the determinant; nan where that is negative."""
    orientation, log = np.linalg.slogdet(matrix)
    return np.nan if orientation < 0 else log
