"""Matrix functions on nested lists: Gaussian elimination with the largest pivot of each column."""

import math


def eliminated(matrix):
    """Return a matrix made upper triangular, what was beside it, and the sign of exchanges."""
    rows = [list(row) for row in matrix]
    size, sign = len(rows), 1.0
    for k in range(size):
        pivot = max(range(k, size), key=lambda r: abs(rows[r][k]))
        if pivot != k:
            rows[k], rows[pivot] = rows[pivot], rows[k]
            sign = -sign
        if rows[k][k] == 0:
            continue
        for r in range(k + 1, size):
            factor = rows[r][k]/rows[k][k]
            rows[r] = [a - factor*b for a, b in zip(rows[r], rows[k])]
    return rows, sign


def inverse(matrix):
    """Return the inverse of a square matrix: back substitution on the identity beside it."""
    size = len(matrix)
    identity = [[float(r == c) for c in range(size)] for r in range(size)]
    rows, _ = eliminated([[*row, *beside] for row, beside in zip(matrix, identity, strict=True)])
    for k in reversed(range(size)):
        rows[k] = [a/rows[k][k] for a in rows[k]]
        for r in range(k):
            rows[r] = [a - rows[r][k]*b for a, b in zip(rows[r], rows[k])]
    return [row[size:] for row in rows]


def solve(matrix, right):
    """Return what `matrix` makes `right` of: a vector, or a matrix of as many columns."""
    if right and not isinstance(right[0], list):
        return [row[0] for row in solve(matrix, [[number] for number in right])]
    size = len(matrix)
    rows, _ = eliminated([[*row, *beside] for row, beside in zip(matrix, right, strict=True)])
    for k in reversed(range(size)):
        rows[k] = [a/rows[k][k] for a in rows[k]]
        for r in range(k):
            rows[r] = [a - rows[r][k]*b for a, b in zip(rows[r], rows[k])]
    return [row[size:] for row in rows]


def transposed(matrix):
    """Return a matrix with its rows as columns."""
    return [list(column) for column in zip(*matrix)]


def determinant(matrix):
    """Return the determinant of a square matrix."""
    rows, sign = eliminated(matrix)
    return sign*math.prod(row[k] for k, row in enumerate(rows))


def logdet(matrix):
    """Return log|det| of a square matrix, -inf where that is singular."""
    rows, _ = eliminated(matrix)
    return sum(math.log(abs(row[k])) if row[k] else -math.inf for k, row in enumerate(rows))
