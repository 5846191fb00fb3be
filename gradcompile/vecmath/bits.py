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


def vscales(t):
    """Return p and q, p q = 2**n, of a t whose low bits are n + 2046, for n from -1076 to 1025."""
    b = vbits(t)
    h = (b - 969) >> 1  # only the product with q may round; for -1076 it is 0, without underflow
    return vfloat((b - h) << 52), vfloat(h << 52)


def vgrown(y, t):
    """Return (1 + y) 2**n for a t as vscales has it: only what is subnormal is rounded again."""
    p, h = vscales(t)
    return (p + p * y) * h


def vnormal(x):
    """Return x, or 0 if it is subnormal: processors take a hundred times as long for those."""
    return 0.0 if abs(x) < 2.2250738585072014e-308 else x


def vbits32(x):
    """Return the bits of a float32 as an integer of 32 bits."""
    return np.float32(x).view(np.int32)


def vfloat32(bits):
    """Return the float32 of these bits; of a wider integer, of its lowest 32."""
    return np.int32(bits).view(np.float32)


def vhead32(x):
    """Return the leading 12 bits of x, as vhead."""
    return vfloat32(vbits32(x) & -4096)


def vscales32(t):
    """Return p and q with p q = 2**n for a t whose low bits are n + 254, as vscales."""
    b = vbits32(t)
    h = (b - 102) >> 1
    return vfloat32((b - h) << 23), vfloat32(h << 23)


def vgrown32(y, t):
    """Return (1 + y) 2**n, as vgrown."""
    p, h = vscales32(t)
    return (p + p * y) * h


def vsigned32(y, x):
    """Return y, its sign changed if x has one."""
    return vfloat32(vbits32(y) ^ vbits32(x) ^ vbits32(abs(x)))


def vwhen32(condition, x):
    """Return x where a condition holds, else 0, as vwhen."""
    return vfloat32(vbits32(x) & -np.int32(condition))


def vunless32(condition, x):
    """Return x where a condition does not hold, else 0, as vwhen."""
    return vfloat32(vbits32(x) & (np.int32(condition) - 1))


def vnormal32(x):
    """Return x, or 0 if it is subnormal, as vnormal."""
    return np.float32(0.0) if abs(x) < np.float32(1.1754944e-38) else x
