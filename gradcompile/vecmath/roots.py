"""Roots: hypot, of a sum of two squares, scaled by a power of two where these would overflow or vanish; and cbrt.

cbrt(x) = 2**q cbrt(s) with s from 1/3 to 3: a polynomial for 1/cbrt(s), then Newton's steps, which have no quotients.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32, vhead, vhead32, vsigned, vsigned32


def vhypot(x, y):
    """Return sqrt(x*x + y*y)."""
    a, b = abs(x), abs(y)
    m = a if a > b else b
    s, t = 2.409919865102884e-181, 4.149515568880993e180  # 2**-600, 2**600
    p = s if m > 1e150 else (t if m < 1e-150 else 1.0)
    q = t if m > 1e150 else (s if m < 1e-150 else 1.0)
    u, v = a * p, b * p
    r = q * np.sqrt(u * u + v * v)
    return np.inf if a == np.inf or b == np.inf else r


def vhypot32(x, y):
    """Return sqrt(x*x + y*y) for float32."""
    a, b = abs(np.float32(x)), abs(np.float32(y))
    m = a if a > b else b
    s, t = np.float32(7.888609052210118e-31), np.float32(1.2676506002282294e30)  # 2**-100, 2**100
    one, inf = np.float32(1.0), np.float32(np.inf)
    large, small = m > np.float32(1e15), m < np.float32(1e-15)
    p = s if large else (t if small else one)
    q = t if large else (s if small else one)
    u, v = a * p, b * p
    r = q * np.sqrt(u * u + v * v)
    return inf if a == inf or b == inf else r


def vcbrt(x):
    """Return the real cube root of x."""
    a = abs(x)
    tiny = a < 2.2250738585072014e-308
    b = vbits(a * 18014398509481984.0 if tiny else a) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    m = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    t = n * 0.3333333333333333 + 6755399441056767.0  # 1.5*2**52 + 1023
    d = n - 3.0 * (t - 6755399441056767.0)  # -1, 0 or 1
    w = m * m
    q = 0.7006956324559089 + m * -0.1080542409685131
    q = (2.792159220019284 + m * -1.8980620103579742) + w * q
    q = (1.9991698412085899 + m * -2.4859045904423356) + w * q
    q = q * (0.7937005259840998 if d > 0.5 else (1.2599210498948732 if d < -0.5 else 1.0))
    s = m * (2.0 if d > 0.5 else (0.5 if d < -0.5 else 1.0))
    q = q + q * (1.0 - s * (q * q) * q) * 0.3333333333333333
    q = q + q * (1.0 - s * (q * q) * q) * 0.3333333333333333
    w = q * q
    y = vhead(s * w)
    z = y * y  # exact, as are the products with its parts
    h = vhead(z)
    e = ((s - h * y) - (z - h) * y) * (w * q) * 0.3333333333333333
    y = (y + y * (e + 2.0 * e * e)) * vfloat(vbits(t) << 52)
    y = y * 3.814697265625e-06 if tiny else y  # 2**-18
    return vsigned(y, x) if a > 0.0 and a < np.inf else x


def vcbrt32(x):
    """Return the real cube root of a float32, as vcbrt."""
    x = np.float32(x)
    a, one, half, third = abs(x), np.float32(1.0), np.float32(0.5), np.float32(0.33333334)
    tiny = a < np.float32(1.1754943508222875e-38)
    b = np.int32(vbits32(a * np.float32(16777216.0) if tiny else a) - 0x3F3504F3)  # as vlog32
    n = vfloat32((b >> 23) + 0x4B400000) - np.float32(12582912.0)
    m = vfloat32((b & 0x7FFFFF) + 0x3F3504F3)
    t = n * third + np.float32(12583039.0)  # 1.5*2**23 + 127
    d = n - np.float32(3.0) * (t - np.float32(12583039.0))
    q = np.float32(1.5612886) + m * (np.float32(-0.7023649) + m * np.float32(0.12836188))
    q = np.float32(1.874522) + m * (np.float32(-1.8618308) + m * q)
    q = q * (np.float32(0.7937005) if d > half else (np.float32(1.2599211) if d < -half else one))
    s = m * (np.float32(2.0) if d > half else (half if d < -half else one))
    q = q + q * (one - s * (q * q) * q) * third
    w = q * q
    y = vhead32(s * w)
    z = y * y
    h = vhead32(z)
    e = ((s - h * y) - (z - h) * y) * (w * q) * third
    y = (y + y * (e + np.float32(2.0) * e * e)) * vfloat32(vbits32(t) << 23)
    y = y * np.float32(0.00390625) if tiny else y  # 2**-8
    return vsigned32(y, x) if a > np.float32(0.0) and a < np.float32(np.inf) else x
