"""sinh, cosh, tanh: |x| = n log 2 + r, as exp does; the sign is put back at the end. sech is made of exp itself."""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32, vsigned, vsigned32
from gradcompile.vecmath.exponentials import vexp, vexp32


def vhyperbolic(a):
    """Return p = 2**(n - 2), q = 2**(-n - 2), r, c = cosh(r) - 1, s = sinh(r) - r."""
    a = 710.6 if a > 710.6 else a
    t = a * 1.4426950408889634 + 6755399441056765.0  # 1.5*2**52 + 1021
    n = t - 6755399441056765.0
    r = (a - n * 0.6931471805598903) - n * 5.497923018708371e-14
    k, z = vbits(t), r * r
    q = 0.00019841269886159348 + z * (2.7557244180882257e-06 + z * 2.5109045305393187e-08)
    q = 0.16666666666666677 + z * (0.008333333333321615 + z * q)
    s = r * (z * q)
    q = 2.4801587363404278e-05 + z * (2.7557241817422786e-07 + z * 2.092442775173029e-09)
    q = 0.5 + z * (0.04166666666666671 + z * (0.0013888888888863933 + z * q))
    return vfloat(k << 52), vfloat(max(2042 - (k & 0xFFF), 0) << 52), r, z * q, s


def vsinh(x):
    """Return sinh(x) = sinh(n log 2) cosh(r) + cosh(n log 2) sinh(r)."""
    a = abs(x)
    p, q, r, c, s = vhyperbolic(a)
    y = 2.0 * ((p - q) + ((p + q) * r + ((p - q) * c + (p + q) * s)))
    return vsigned(y if a > 1e-8 else a, x)


def vcosh(x):
    """Return cosh(x) = cosh(n log 2) cosh(r) + sinh(n log 2) sinh(r)."""
    p, q, r, c, s = vhyperbolic(abs(x))
    s = r + s
    return 2.0 * (p + (p * (c + s) + (q + q * (c - s))))


def vtanh(x):
    """Return tanh(x) = w/(w + 1) with w = (exp(2 |x|) - 1)/2, which is made as expm1 is."""
    a = abs(x)
    y = 38.2 if a > 19.1 else 2.0 * a
    t = y * 1.4426950408889634 + 6755399441056766.0  # 1.5*2**52 + 1022
    n = t - 6755399441056766.0
    r = (y - n * 0.6931471805598903) - n * 5.497923018708371e-14
    z = r * r
    q = (2.755724276528257e-07 + r * 2.5109044695675162e-08) + z * 2.092444313339331e-09
    q = (2.480158736054452e-05 + r * 2.7557244182587004e-06) + z * q
    q = (0.0013888888888866845 + r * 0.00019841269886157725) + z * q
    q = (0.0416666666666667 + r * 0.008333333333321617) + z * q
    q = (0.5 + r * 0.16666666666666677) + z * q
    h = vfloat(vbits(t) << 52)
    b, c = h - 0.5, h * r
    s = b + c
    w = s + (h * (z * q) + (c - (s - b)))
    d = w + 1.0
    y = w / d
    y = y - y * ((1.0 - y) * (w - (d - 1.0)))  # what d was rounded by, over d
    return vsigned(1.0 if y > 1.0 else y, x)


def vsech(x):
    """Return 1/cosh(x) = 2 e/(1 + e**2) with e = exp(-|x|); neither tail overflows."""
    e = vexp(-abs(x))
    z = e * e if e > 1e-9 else 0.0  # nothing beside 1; it might underflow
    d = 1.0 + z
    y = (e + e) / d
    return y - y * ((1.0 - 0.5 * z) * (z - (d - 1.0)))  # what d was rounded by, over nearly d


def vhyperbolic32(a):
    """Return p, q, r, c, s, as vhyperbolic."""
    a = np.float32(89.5) if a > np.float32(89.5) else a
    t = a * np.float32(1.4426950408889634) + np.float32(12583037.0)  # 1.5*2**23 + 125
    n = t - np.float32(12583037.0)
    r = a - n * np.float32(0.693145751953125)
    r = r - n * np.float32(1.4286068203094172e-06)
    k, z = vbits32(t), r * r
    q = np.float32(0.16666543) + z * np.float32(0.008366586)
    s = r * (z * q)
    q = np.float32(0.5) + z * (np.float32(0.041666266) + z * np.float32(0.0013946231))
    return vfloat32(k << 23), vfloat32(max(250 - (k & 0xFFF), 0) << 23), r, z * q, s


def vsinh32(x):
    """Return sinh(x), as vsinh."""
    x = np.float32(x)
    a = abs(x)
    p, q, r, c, s = vhyperbolic32(a)
    y = np.float32(2.0) * ((p - q) + ((p + q) * r + ((p - q) * c + (p + q) * s)))
    return vsigned32(y if a > np.float32(1e-4) else a, x)


def vcosh32(x):
    """Return cosh(x), as vcosh."""
    x = np.float32(x)
    p, q, r, c, s = vhyperbolic32(abs(x))
    s = r + s
    return np.float32(2.0) * (p + (p * (c + s) + (q + q * (c - s))))


def vtanh32(x):
    """Return tanh(x): a polynomial up to 0.55, 1 - 2/(exp(2 |x|) + 1) beyond."""
    x = np.float32(x)
    one, two = np.float32(1.0), np.float32(2.0)
    a, z = abs(x), x * x
    q = np.float32(-0.053846102) + z * (np.float32(0.02104371) + z * np.float32(-0.0062316246))
    q = np.float32(-0.33333316) + z * (np.float32(0.13332534) + z * q)
    s = a + a * z * q
    y = np.float32(9.2) if a > np.float32(9.2) else a
    t = y * np.float32(2.8853900817779268) + np.float32(12583039.0)  # 1.5*2**23 + 127
    n = t - np.float32(12583039.0)
    r = y - n * np.float32(0.34657359028)  # |x| = n log(2)/2 + r; its rounding counts for little
    q = np.float32(0.6666593) + r * (np.float32(0.26780445) + r * np.float32(0.089282995))
    q = two + r * (np.float32(1.3333214) + r * q)  # the coefficients of exp32 times 4, 8, 16, ...
    e = (one + (r + r) + r * r * q) * vfloat32(vbits32(t) << 23)
    return vsigned32(s if a < np.float32(0.55) else one - two / (e + one), x)


def vsech32(x):
    """Return 1/cosh(x), as vsech."""
    x, one = np.float32(x), np.float32(1.0)
    e = vexp32(-abs(x))
    z = e * e if e > np.float32(1e-5) else np.float32(0.0)
    d = one + z
    y = (e + e) / d
    return y - y * ((one - np.float32(0.5) * z) * (z - (d - one)))
