"""Elementary functions as plain arithmetic, which LLVM vectorises inside loops that Numba compiles.

`math.exp` in a loop is a call, and a loop with a call does not vectorise.
"""

from __future__ import annotations

import numpy as np


def vexp(x: np.float64) -> np.float64:
    """Return exp(x): x = n log 2 + r with |r| <= log(2)/2, and exp(x) = 2**n exp(r)."""
    y = -746.0 if x < -746.0 else x  # the ends of the range give 0 and inf by themselves; nan passes
    y = 710.0 if y > 710.0 else y
    t = y * 1.4426950408889634 + 6755399441057790.0  # 1.5*2**52 + 2046: n + 2046 is in the low bits of t
    n = t - 6755399441057790.0
    r = (y - n * 0.6931471805598903) - n * 5.497923018708371e-14  # log 2 in 42 bits + 53: the first product is exact
    q = 2.7557216313023577e-06 + r * (2.763128095295722e-07 + r * 2.511785858878631e-08)
    q = 0.0013888888947018031 + r * (0.000198412699173646 + r * (2.4801489940283478e-05 + r * q))
    q = 0.166666666666667 + r * (0.04166666666651541 + r * (0.008333333333307217 + r * q))
    p = 1.0 + (r + r * r * (0.5000000000000012 + r * q))
    b = np.float64(t).view(np.int64)
    a = b >> 1  # 2**n in two factors, for n from -1075 to 1024: only the last product may round
    return p * np.int64(a << 52).view(np.float64) * np.int64((b - a) << 52).view(np.float64)


def vexpm1(x: np.float64) -> np.float64:
    """Return exp(x) - 1 = 2**n (exp(r) - 1) + (2**n - 1), with the rounding of the sum put back."""
    y = -40.0 if x < -40.0 else x
    y = 710.0 if y > 710.0 else y
    t = y * 1.4426950408889634 + 6755399441056766.0  # 1.5*2**52 + 1022
    n = t - 6755399441056766.0
    d = y - n * 0.6931471805598903
    r = d - n * 5.497923018708371e-14
    q = 2.755724276528257e-07 + r * (2.5109044695675162e-08 + r * 2.092444313339331e-09)
    q = 0.00019841269886157725 + r * (2.480158736054452e-05 + r * (2.7557244182587004e-06 + r * q))
    q = 0.0416666666666667 + r * (0.008333333333321617 + r * (0.0013888888888866845 + r * q))
    q = r * r * (0.5 + r * (0.16666666666666677 + r * q))
    h = np.int64(np.float64(t).view(np.int64) << 52).view(np.float64)  # 2**(n - 1), finite for n = 1024 too
    a, c = h - 0.5, h * r
    s = a + c
    e = (a - (s - c)) + h * ((d - r) - n * 5.497923018708371e-14)
    y = 2.0 * (s + (h * q + e))
    return x if abs(x) < 5e-17 else y


def vlogsum(n: np.float64, f: np.float64) -> np.float64:
    """Return n log 2 + log(1 + f) for 1 + f from sqrt(1/2) to sqrt(2): log(1 + f) = 2 atanh(f/(2 + f))."""
    s = f / (2.0 + f)
    z = s * s
    q = 0.18183564867836827 + z * (0.1531403573251604 + z * 0.14796107047278134)
    q = 0.3999999999941433 + z * (0.28571428742473465 + z * (0.2222219856353417 + z * q))
    q = z * (0.6666666666666734 + z * q)
    return n * 0.6931471805598903 + (f - (s * (f - q) - n * 5.497923018708371e-14))


def vlog(x: np.float64) -> np.float64:
    """Return log(x): x = 2**n (1 + f)."""
    y = x * 18014398509481984.0 if x < 2.2250738585072014e-308 else x  # a subnormal times 2**54
    shift = 6755399441055798.0 if x < 2.2250738585072014e-308 else 6755399441055744.0  # 1.5*2**52, + 54
    b = np.float64(y).view(np.int64) - 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
    n = np.int64((b >> 52) + 0x4338000000000000).view(np.float64) - shift
    f = np.int64((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).view(np.float64) - 1.0  # exact
    y = vlogsum(n, f)
    y = y if x > 0.0 else (-np.inf if x == 0.0 else np.nan)
    return x if x == np.inf else y


def vlog1p(x: np.float64) -> np.float64:
    """Return log(1 + x): as log of the rounded 1 + x, with the rounding put back into f."""
    u = 1.0 + x
    c = 1.0 - (u - x) if x > 1.0 else x - (u - 1.0)
    b = np.float64(u).view(np.int64) - 0x3FE6A09E667F3BCD
    k = b >> 52
    n = np.int64(k + 0x4338000000000000).view(np.float64) - 6755399441055744.0
    f = np.int64((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).view(np.float64) - 1.0
    y = vlogsum(n, f + c * np.int64((1023 - min(k, 1023)) << 52).view(np.float64))
    y = y if x > -1.0 else (-np.inf if x == -1.0 else np.nan)
    return x if abs(x) < 5e-17 or x == np.inf else y


def vsigmoid(x: np.float64) -> np.float64:
    """Return 1/(1 + exp(-x)); neither tail overflows."""
    e = vexp(-abs(x))
    d = 1.0 + e
    y = (e if x < 0.0 else 1.0) / d
    w = 1.0 - y if x < 0.0 else y  # 1/d
    return y - y * (w * (e - (d - 1.0)))  # what d was rounded by


def vsoftplus(x: np.float64) -> np.float64:
    """Return log(1 + exp(x)); neither tail overflows."""
    e = vexp(-abs(x))
    y = vlogsum(1.0 if e > 0.41 else 0.0, 0.5 * (e - 1.0) if e > 0.41 else e)
    return y + (0.0 if x < 0.0 else x)


def vtanh(x: np.float64) -> np.float64:
    """Return tanh(x) = e/(e + 2) with e = exp(2 x) - 1."""
    a = abs(x)
    e = vexpm1(2.0 * (19.1 if a > 19.1 else a))
    d = e + 2.0
    t = e / d
    t = t - t * ((0.5 - 0.5 * t) * (e - (d - 2.0)))  # what d was rounded by, over d
    t = 1.0 if t > 1.0 else t
    s = np.float64(x).view(np.int64) ^ np.float64(a).view(np.int64)
    return np.int64(np.float64(t).view(np.int64) | s).view(np.float64)


def vsinh(x: np.float64) -> np.float64:
    """Return sinh(x) = sinh(n log 2) cosh(r) + cosh(n log 2) sinh(r)."""
    a = abs(x)
    a = 711.0 if a > 711.0 else a
    t = a * 1.4426950408889634 + 6755399441056765.0  # 1.5*2**52 + 1021
    n = t - 6755399441056765.0
    r = (a - n * 0.6931471805598903) - n * 5.497923018708371e-14
    k = np.float64(t).view(np.int64)
    p, q = np.int64(k << 52).view(np.float64), np.int64(max(2042 - (k & 0xFFF), 0) << 52).view(np.float64)  # 2**(n - 2), 2**(-n - 2)
    z = r * r
    c = z * (0.5 + z * (0.04166666666666671 + z * (0.0013888888888863933 + z * (2.4801587363404278e-05 + z * (2.7557241817422786e-07 + z * 2.092442775173029e-09)))))
    s = r * (z * (0.16666666666666677 + z * (0.008333333333321615 + z * (0.00019841269886159348 + z * (2.7557244180882257e-06 + z * 2.5109045305393187e-08)))))
    y = (p - q) + ((p + q) * r + ((p - q) * c + (p + q) * s))
    y = 2.0 * y if a > 1e-8 else a
    sign = np.float64(x).view(np.int64) ^ np.float64(abs(x)).view(np.int64)
    return np.int64(np.float64(y).view(np.int64) | sign).view(np.float64)


def vcosh(x: np.float64) -> np.float64:
    """Return cosh(x) = cosh(n log 2) cosh(r) + sinh(n log 2) sinh(r)."""
    a = abs(x)
    a = 711.0 if a > 711.0 else a
    t = a * 1.4426950408889634 + 6755399441056765.0
    n = t - 6755399441056765.0
    r = (a - n * 0.6931471805598903) - n * 5.497923018708371e-14
    k = np.float64(t).view(np.int64)
    p, q = np.int64(k << 52).view(np.float64), np.int64(max(2042 - (k & 0xFFF), 0) << 52).view(np.float64)  # 2**(n - 2), 2**(-n - 2)
    z = r * r
    c = z * (0.5 + z * (0.04166666666666671 + z * (0.0013888888888863933 + z * (2.4801587363404278e-05 + z * (2.7557241817422786e-07 + z * 2.092442775173029e-09)))))
    s = r * (z * (0.16666666666666677 + z * (0.008333333333321615 + z * (0.00019841269886159348 + z * (2.7557244180882257e-06 + z * 2.5109045305393187e-08)))))
    return 2.0 * ((p + q) + ((p - q) * (r + s) + (p + q) * c))
