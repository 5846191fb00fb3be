"""exp, expm1, sigmoid: x = n log 2 + r with |r| <= log(2)/2, so that exp(x) = 2**n exp(r).

Source: J.-M. Muller, Elementary Functions, 3rd edition, section 11.2 (reduction: W. Cody and W. Waite 1980).
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32, vgrown, vgrown32


def vexp(x):
    """Return exp(x)."""
    y = -746.0 if x < -746.0 else x  # for this it is 0, and inf comes out by itself; nan passes
    t = y * 1.4426950408889634 + 6755399441057790.0  # 1.5*2**52 + 2046: its low bits are n + 2046
    t = 6755399441058815.0 if t > 6755399441058815.0 else t  # on y, it would cost two steps more
    n = t - 6755399441057790.0
    r = (y - n * 0.6931471805598903) - n * 5.497923018708371e-14  # log 2 in 42 bits (exact) + 53
    z = r * r  # two coefficients at a time: half as many steps that wait for one another
    q = (2.7557216313023577e-06 + r * 2.763128095295722e-07) + z * 2.511785858878631e-08
    q = (0.000198412699173646 + r * 2.4801489940283478e-05) + z * q
    q = (0.008333333333307217 + r * 0.0013888888947018031) + z * q
    q = (0.166666666666667 + r * 0.04166666666651541) + z * q
    q = 0.5000000000000012 + r * q
    return vgrown(r + z * q, t)


def vexpm1(x):
    """Return exp(x) - 1 = (2**n - 1) + 2**n (exp(r) - 1), with what is rounded away put back."""
    y = -40.0 if x < -40.0 else x
    y = 710.0 if y > 710.0 else y
    t = y * 1.4426950408889634 + 6755399441056766.0  # 1.5*2**52 + 1022
    n = t - 6755399441056766.0
    d = y - n * 0.6931471805598903
    r = d - n * 5.497923018708371e-14
    z = r * r
    q = (2.755724276528257e-07 + r * 2.5109044695675162e-08) + z * 2.092444313339331e-09
    q = (2.480158736054452e-05 + r * 2.7557244182587004e-06) + z * q
    q = (0.0013888888888866845 + r * 0.00019841269886157725) + z * q
    q = (0.0416666666666667 + r * 0.008333333333321617) + z * q
    q = (0.5 + r * 0.16666666666666677) + z * q
    h = vfloat(vbits(t) << 52)  # 2**(n - 1), finite for n = 1024 too
    a, c = h - 0.5, h * r
    s = a + c
    e = (c - (s - a)) + h * ((d - r) - n * 5.497923018708371e-14)
    y = 2.0 * (s + (h * (z * q) + e))
    return x if abs(x) < 5e-17 else y


def vsigmoid(x):
    """Return 1/(1 + exp(-x)); neither tail overflows. That of -x is made of the same quotient."""
    e = vexp(-abs(x))
    d = 1.0 + e
    r = 1.0 / d
    r = r - r * (r * (e - (d - 1.0)))  # what d was rounded by
    return e * r if x < 0.0 else r


def vexp32(x):
    """Return exp(x), as vexp."""
    x = np.float32(x)
    y = np.float32(-105.0) if x < np.float32(-105.0) else x
    t = y * np.float32(1.4426950408889634) + np.float32(12583166.0)  # 1.5*2**23 + 254
    t = np.float32(12583295.0) if t > np.float32(12583295.0) else t
    n = t - np.float32(12583166.0)
    r = y - n * np.float32(0.693145751953125)  # 15 bits: exact
    r = r - n * np.float32(1.4286068203094172e-06)
    q = np.float32(0.041666206) + r * (np.float32(0.008368889) + r * np.float32(0.0013950468))
    q = np.float32(0.5) + r * (np.float32(0.16666518) + r * q)
    return vgrown32(r + r * r * q, t)


def vexpm132(x):
    """Return exp(x) - 1, as vexpm1."""
    x = np.float32(x)
    y = np.float32(-20.0) if x < np.float32(-20.0) else x
    y = np.float32(89.0) if y > np.float32(89.0) else y
    t = y * np.float32(1.4426950408889634) + np.float32(12583038.0)  # 1.5*2**23 + 126
    n = t - np.float32(12583038.0)
    d = y - n * np.float32(0.693145751953125)
    r = d - n * np.float32(1.4286068203094172e-06)
    q = np.float32(0.008333273) + r * (np.float32(0.0013941008) + r * np.float32(0.00019914165))
    q = np.float32(0.5) + r * (np.float32(0.16666667) + r * (np.float32(0.041666355) + r * q))
    h = vfloat32(vbits32(t) << 23)
    a, c = h - np.float32(0.5), h * r
    s = a + c
    e = (c - (s - a)) + h * ((d - r) - n * np.float32(1.4286068203094172e-06))
    y = np.float32(2.0) * (s + (h * (r * r * q) + e))
    return x if abs(x) < np.float32(2e-8) else y


def vsigmoid32(x):
    """Return 1/(1 + exp(-x)), as vsigmoid."""
    x = np.float32(x)
    zero, one = np.float32(0.0), np.float32(1.0)
    e = vexp32(-abs(x))
    d = one + e
    r = one / d
    r = r - r * (r * (e - (d - one)))
    return e * r if x < zero else r
