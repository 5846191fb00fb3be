"""sin, cos, tan: the angle is reduced to r + c with |r| <= pi/4, and q says which polynomial and which sign."""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32, vsigned, vsigned32
from gradcompile.vecmath.turns import vturn, vturn32


def vsincore(r, c):
    """Return sin(r + c) for |r| <= pi/4, and what it was rounded by."""
    z = r * r
    q = 2.7557313678782763e-06 + z * (-2.5050755977255844e-08 + z * 1.58966673053081e-10)
    q = -0.16666666666666632 + z * (0.00833333333332237 + z * (-0.0001984126982977156 + z * q))
    q = c + r * z * q
    y = r + q
    return y, q - (y - r)


def vcoscore(r, c):
    """Return cos(r + c) for |r| <= pi/4, and what it was rounded by."""
    z = r * r
    q = -2.7557314340562993e-07 + z * (2.0875721611747397e-09 + z * -1.13595587587507e-11)
    q = 0.0416666666666666 + z * (-0.0013888888888874064 + z * (2.4801587289443112e-05 + z * q))
    h = 0.5 * z
    s = 1.0 - h
    q = ((1.0 - s) - h) + (z * z * q - r * c)
    y = s + q
    return y, q - (y - s)


def vsinturn(x, r, c, q):
    """Return sin(x) from what |x| is reduced to."""
    y = vcoscore(r, c)[0] if q & 1 else vsincore(r, c)[0]
    return vsigned(vfloat(vbits(y) ^ ((q & 2) << 62)), x)


def vcosturn(r, c, q):
    """Return cos(x) from what |x| is reduced to."""
    y = vsincore(r, c)[0] if q & 1 else vcoscore(r, c)[0]
    return vfloat(vbits(y) ^ (((q + 1) & 2) << 62))


def vtanturn(x, r, c, q):
    """Return tan(x) = sin/cos or -cos/sin, with their roundings put back."""
    s, ds = vsincore(r, c)
    p, dp = vcoscore(r, c)
    a, da = (-p if q & 1 else s), (-dp if q & 1 else ds)
    b, db = (s if q & 1 else p), (ds if q & 1 else dp)
    y = a / b
    return vsigned(y + (da - y * db) * (b * (1.0 + y * y)), x)  # b*(1 + y*y) = 1/b


def vsin(x):
    """Return sin(x)."""
    r, c, q = vturn(abs(x))
    return vsinturn(x, r, c, q)


def vcos(x):
    """Return cos(x)."""
    r, c, q = vturn(abs(x))
    return vcosturn(r, c, q)


def vtan(x):
    """Return tan(x)."""
    r, c, q = vturn(abs(x))
    return vtanturn(x, r, c, q)


def vsincos(x):
    """Return sin(x) and cos(x)."""
    r, c, q = vturn(abs(x))
    return vsinturn(x, r, c, q), vcosturn(r, c, q)


def vsincore32(r):
    """Return sin(r) for |r| <= pi/4, and what it was rounded by."""
    z = r * r
    q = np.float32(-0.16666655) + z * (np.float32(0.008332176) + z * np.float32(-0.00019516978))
    q = r * z * q
    y = r + q
    return y, q - (y - r)


def vcoscore32(r):
    """Return cos(r) for |r| <= pi/4, and what it was rounded by."""
    one, z = np.float32(1.0), r * r
    q = np.float32(0.041666646) + z * (np.float32(-0.0013887364) + z * np.float32(2.443809e-05))
    q = z * z * q - np.float32(0.5) * z
    y = one + q
    return y, q - (y - one)


def vsinturn32(x, r, q):
    """Return sin(x) from what |x| is reduced to."""
    y = vcoscore32(r)[0] if q & 1 else vsincore32(r)[0]
    return vsigned32(vfloat32(vbits32(y) ^ np.int32((q & 2) << 30)), x)


def vcosturn32(r, q):
    """Return cos(x) from what |x| is reduced to."""
    y = vsincore32(r)[0] if q & 1 else vcoscore32(r)[0]
    return vfloat32(vbits32(y) ^ np.int32(((q + 1) & 2) << 30))


def vtanturn32(x, r, c, q):
    """Return tan(x), as vtanturn."""
    s, ds = vsincore32(r)
    p, dp = vcoscore32(r)
    a, da = (-p if q & 1 else s), (-dp if q & 1 else ds)
    b, db = (s if q & 1 else p), (ds if q & 1 else dp)
    y = a / b
    w = np.float32(1.0) + y * y
    return vsigned32(y + w * (c + (da - y * db) * b), x)


def vsin32(x):
    """Return sin(x)."""
    x = np.float32(x)
    r, _, q = vturn32(abs(x))
    return vsinturn32(x, r, q)


def vcos32(x):
    """Return cos(x)."""
    x = np.float32(x)
    r, _, q = vturn32(abs(x))
    return vcosturn32(r, q)


def vtan32(x):
    """Return tan(x)."""
    x = np.float32(x)
    r, c, q = vturn32(abs(x))
    return vtanturn32(x, r, c, q)
