"""Bit patterns: the exponent, the sign and the leading bits of a number, reached through its bits.

``view`` needs the wrapper np.float64(...) in Numba, also where the type is that already; it costs nothing.
"""

import numpy as np


def vbits(x):
    """Return the bits of a float64 as an integer."""
    return np.float64(x).view(np.int64)


def vfloat(bits):
    """Return the float64 of these bits."""
    return np.int64(bits).view(np.float64)


def vsigned(y, x):
    """Return y, its sign changed if x has one."""
    return vfloat(vbits(y) ^ vbits(x) ^ vbits(abs(x)))


def vwhen(condition, x):
    """Return x where a condition holds, else 0, without a branch."""
    return vfloat(vbits(x) & -np.int64(condition))


def vunless(condition, x):
    """Return x where a condition does not hold, else 0, as vwhen."""
    return vfloat(vbits(x) & (np.int64(condition) - 1))


def vhead(x):
    """Return the leading 26 bits of x: the product of two such numbers is exact."""
    return vfloat(vbits(x) & -134217728)


def vbits32(x):
    """Return the bits of a float32 as an integer of 32 bits."""
    return np.float32(x).view(np.int32)


def vfloat32(bits):
    """Return the float32 of these bits; of a wider integer, of its lowest 32."""
    return np.int32(bits).view(np.float32)


def vhead32(x):
    """Return the leading 12 bits of x, as vhead."""
    return vfloat32(vbits32(x) & -4096)


def vsigned32(y, x):
    """Return y, its sign changed if x has one."""
    return vfloat32(vbits32(y) ^ vbits32(x) ^ vbits32(abs(x)))


def vwhen32(condition, x):
    """Return x where a condition holds, else 0, as vwhen."""
    return vfloat32(vbits32(x) & -np.int32(condition))


def vunless32(condition, x):
    """Return x where a condition does not hold, else 0, as vwhen."""
    return vfloat32(vbits32(x) & (np.int32(condition) - 1))
