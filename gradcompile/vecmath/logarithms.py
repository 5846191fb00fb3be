"""log, log1p, and what is made of them: x = 2**n (1 + f), 1 + f from sqrt(1/2) to sqrt(2).

log(1 + f) = 2 atanh(f/(2 + f)).

Source: e_log.c of fdlibm (Sun Microsystems 1993), whose sum this is, with coefficients of our own.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32
from gradcompile.vecmath.exponentials import vexp, vexp32, vexpm1, vexpm132


def vlogsum(n, f):
    """Return n log 2 + log(1 + f) for 1 + f from sqrt(1/2) to sqrt(2)."""
    s = f / (2.0 + f) if abs(f) > 1e-17 else 0.0  # below it is f; squares would underflow
    z = s * s
    w = z * z
    q = (0.18183564867836827 + z * 0.1531403573251604) + w * 0.14796107047278134
    q = (0.28571428742473465 + z * 0.2222219856353417) + w * q
    q = (0.6666666666666734 + z * 0.3999999999941433) + w * q
    e = s * (f - z * q) - n * 5.497923018708371e-14
    return n * 0.6931471805598903 + (f - e)  # log 2 in 42 bits: exact


def vlog(x):
    """Return log(x)."""
    tiny = x < 2.2250738585072014e-308
    y = x * 18014398509481984.0 if tiny else x  # a subnormal times 2**54
    b = vbits(y) - 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0  # an integer as a number
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0  # exact
    y = vlogsum(n - 54.0 if tiny else n, f)
    y = y if x > 0.0 else (-np.inf if x == 0.0 else np.nan)
    return x if x == np.inf else y


def vlog1p(x):
    """Return log(1 + x): n is that of the rounded 1 + x, but f = (1 + x)/2**n - 1 is made of x."""
    k = (vbits(1.0 + x) - 0x3FE6A09E667F3BCD) >> 52
    n = vfloat(k + 0x4338000000000000) - 6755399441055744.0
    w = vfloat((1025 - k) << 52)  # 4/2**n
    y = vlogsum(n, 0.25 * x * w + (0.25 * w - 1.0))  # both products are exact
    y = y if x > -1.0 else (-np.inf if x == -1.0 else np.nan)
    return x if abs(x) < 5e-17 or x == np.inf else y


def vsoftplus(x):
    """Return log(1 + exp(x)); neither tail overflows."""
    e = vexp(-abs(x))
    large = e > 0.41  # then 1 + e = 2 (1 + (e - 1)/2)
    y = vlogsum(1.0 if large else 0.0, 0.5 * e - 0.5 if large else e)
    return y + (0.0 if x < 0.0 else x)


def vlog1pwexp(w, u):
    """Return log(1 + w*exp(u)), 0 at w = 0: as log1p; where the product overflows, u + log(w)."""
    e = vexp(0.5 * u)  # so that only the product overflows
    h = w * e * e
    near = h < np.inf
    x = 1.0 + h if near else w
    tiny = x < 2.2250738585072014e-308
    y = x * 18014398509481984.0 if tiny else x
    b = vbits(y) - 0x3FE6A09E667F3BCD
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    c = (h - (x - 1.0)) * ((1.0 + f) / x) if near else 0.0  # what the sum was rounded by
    y = vlogsum(n - 54.0 if tiny else n, f + c) + (0.0 if near else u)
    y = y if x > 0.0 else (-np.inf if h == -1.0 else np.nan)
    y = y if x < np.inf else x + u
    return 0.0 * w if w == 0.0 and u == u else y


def vlog1pwsq(w, x):
    """Return log(1 + w*x*x); where the product overflows, from 2**-1024 times that."""
    p = w * x * x
    near = p < np.inf
    q = (7.458340731200207e-155 * w * x) * (7.458340731200207e-155 * x) - 1.0  # 2**-512
    return vlog1p(p if near else q) + (0.0 if near else 709.782712893384)


def vlogcosh(x):
    """Return log(cosh(x)): up to 1 from cosh(x) - 1, beyond from |x| - log(2)."""
    a = abs(x)
    m = vexpm1(-a)
    e = 1.0 + m
    near = a < 1.0
    y = vlog1p(m * m / (e + e) if near else e * e)
    return y if near else a + (y - 0.6931471805599453)


def vlog1mexp(x):
    """Return log(1 - exp(x)) for x <= 0, by whichever of two forms does not cancel."""
    near = vlog(-vexpm1(x))
    far = vlog1p(-vexp(x))
    return near if x > -0.6931471805599453 else far


def vxlogy(x, y):
    """Return x*log(y), which is 0 at x = 0."""
    z = 0.0 * x
    return z if x == 0.0 and y == y else x * vlog(y)


def vxlog1py(x, y):
    """Return x*log(1 + y), which is 0 at x = 0."""
    z = 0.0 * x
    return z if x == 0.0 and y == y else x * vlog1p(y)


def vxlog1pdiv(x, d):
    """Return x*log(1 + d/x), 0 at x = 0; where the quotient overflows, from 2**-512 times that."""
    p, z = d / x, 0.0 * x
    near = p < np.inf
    q = (7.458340731200207e-155 * d) / x - 1.0
    y = vlog1p(p if near else q) + (0.0 if near else 354.891356446692)
    return z if x == 0.0 and d == d else x * y


def vxlogx(x):
    """Return x*log(x), which is 0 at x = 0."""
    z = 0.0 * x
    return z if x == 0.0 else x * vlog(x)


def vxlogx1p(x):
    """Return (1 + x)*log(1 + x), which is 0 at x = -1."""
    z = 1.0 + x
    return 0.0 if z == 0.0 else z * vlog1p(x)


def vlogsum32(n, f):
    """Return n log 2 + log(1 + f), as vlogsum."""
    s = f / (np.float32(2.0) + f) if abs(f) > np.float32(1e-9) else np.float32(0.0)
    z = s * s
    q = np.float32(0.40000334) + z * (np.float32(0.28537303) + z * np.float32(0.2358229))
    q = np.float32(0.6666666) + z * q
    e = s * (f - z * q) - n * np.float32(1.4286068203094172e-06)
    return n * np.float32(0.693145751953125) + (f - e)


def vlog32(x):
    """Return log(x), as vlog."""
    x = np.float32(x)
    zero, tiny = np.float32(0.0), x < np.float32(1.1754943508222875e-38)
    y = x * np.float32(33554432.0) if tiny else x  # 2**25
    b = np.int32(vbits32(y) - 0x3F3504F3)  # Numba's sum of int32 is int64, which halves the lanes
    n = vfloat32((b >> 23) + 0x4B400000) - np.float32(12582912.0)
    f = vfloat32((b & 0x7FFFFF) + 0x3F3504F3) - np.float32(1.0)
    y = vlogsum32(n - np.float32(25.0) if tiny else n, f)
    y = y if x > zero else np.float32(-np.inf if x == zero else np.nan)
    return x if x == np.float32(np.inf) else y


def vlog1p32(x):
    """Return log(1 + x), as vlog1p."""
    x = np.float32(x)
    one, quarter = np.float32(1.0), np.float32(0.25)
    k = np.int32(vbits32(one + x) - 0x3F3504F3) >> 23
    n = vfloat32(k + 0x4B400000) - np.float32(12582912.0)
    w = vfloat32((129 - k) << 23)
    y = vlogsum32(n, quarter * x * w + (quarter * w - one))
    y = y if x > -one else np.float32(-np.inf if x == -one else np.nan)
    return x if abs(x) < np.float32(2e-8) or x == np.float32(np.inf) else y


def vsoftplus32(x):
    """Return log(1 + exp(x)), as vsoftplus."""
    x = np.float32(x)
    zero, half = np.float32(0.0), np.float32(0.5)
    e = vexp32(-abs(x))
    large = e > np.float32(0.41)
    y = vlogsum32(np.float32(1.0) if large else zero, half * e - half if large else e)
    return y + (zero if x < zero else x)


def vlog1pwexp32(w, u):
    """Return log(1 + w*exp(u)), as vlog1pwexp."""
    w, u = np.float32(w), np.float32(u)
    zero, one, infinite = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    e = vexp32(np.float32(0.5) * u)
    h = w * e * e
    near = h < infinite
    x = one + h if near else w
    tiny = x < np.float32(1.1754943508222875e-38)
    y = x * np.float32(33554432.0) if tiny else x
    b = np.int32(vbits32(y) - 0x3F3504F3)
    n = vfloat32((b >> 23) + 0x4B400000) - np.float32(12582912.0)
    f = vfloat32((b & 0x7FFFFF) + 0x3F3504F3) - one
    c = (h - (x - one)) * ((one + f) / x) if near else zero
    y = vlogsum32(n - np.float32(25.0) if tiny else n, f + c) + (zero if near else u)
    y = y if x > zero else np.float32(-np.inf if h == -one else np.nan)
    y = y if x < infinite else x + u
    return zero * w if w == zero and u == u else y


def vlog1pwsq32(w, x):
    """Return log(1 + w*x*x), as vlog1pwsq."""
    w, x, zero = np.float32(w), np.float32(x), np.float32(0.0)
    tiny = np.float32(5.421010862427522e-20)  # 2**-64
    p = w * x * x
    near = p < np.float32(np.inf)
    q = (tiny * w * x) * (tiny * x) - np.float32(1.0)
    return vlog1p32(p if near else q) + (zero if near else np.float32(88.72284))


def vlogcosh32(x):
    """Return log(cosh(x)): up to 1 from a polynomial, beyond from |x| - log(2)."""
    x = np.float32(x)
    a = abs(x)
    z = x * x
    q = np.float32(-0.00056152855) + z * np.float32(8.825015e-05)
    q = np.float32(-0.0067140944) + z * (np.float32(0.0020837388) + z * q)
    q = np.float32(-0.083333105) + z * (np.float32(0.022217574) + z * q)
    e = vexp32(-a) if a < np.float32(20.0) else np.float32(0.0)  # whose square might underflow
    far = a + (vlog1p32(e * e) - np.float32(0.69314718))
    return z * (np.float32(0.5) + z * q) if a < np.float32(1.0) else far


def vlog1mexp32(x):
    """Return log(1 - exp(x)) for x <= 0, as vlog1mexp."""
    x = np.float32(x)
    near = vlog32(-vexpm132(x))
    far = vlog1p32(-vexp32(x))
    return near if x > np.float32(-0.6931472) else far


def vxlogy32(x, y):
    """Return x*log(y), as vxlogy."""
    x, y, zero = np.float32(x), np.float32(y), np.float32(0.0)
    z = zero * x
    return z if x == zero and y == y else x * vlog32(y)


def vxlog1py32(x, y):
    """Return x*log(1 + y), as vxlog1py."""
    x, y, zero = np.float32(x), np.float32(y), np.float32(0.0)
    z = zero * x
    return z if x == zero and y == y else x * vlog1p32(y)


def vxlog1pdiv32(x, d):
    """Return x*log(1 + d/x), as vxlog1pdiv."""
    x, d, zero = np.float32(x), np.float32(d), np.float32(0.0)
    p, z = d / x, zero * x
    near = p < np.float32(np.inf)
    q = (np.float32(5.421010862427522e-20) * d) / x - np.float32(1.0)
    y = vlog1p32(p if near else q) + (zero if near else np.float32(44.361419))
    return z if x == zero and d == d else x * y


def vxlogx32(x):
    """Return x*log(x), as vxlogx."""
    x, zero = np.float32(x), np.float32(0.0)
    z = zero * x
    return z if x == zero else x * vlog32(x)


def vxlogx1p32(x):
    """Return (1 + x)*log(1 + x), as vxlogx1p."""
    x, zero, one = np.float32(x), np.float32(0.0), np.float32(1.0)
    z = one + x
    return zero if z == zero else z * vlog1p32(x)
