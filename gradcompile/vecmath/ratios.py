"""log(1 + x)/x, (exp(x) - 1)/x, their first two derivatives, and log(1 + x) - x/(1 + x), by the rest of a series.

With w = x/(2 + x), log(1 + x) = 2 atanh(w) = 2 w (1 + w**2 q), and exp(z) = 1 + z + z**2/2 + z**3 q. In q each of the
derivatives is a polynomial, or a quotient of two, without a difference of what is nearly equal.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vfloat
from gradcompile.vecmath.exponentials import vexp, vexpm1
from gradcompile.vecmath.logarithms import vlog1p


def vlog1pover(n, x):
    """Return log(1 + x)/x; for n = 1, 2 its derivative n over (-1)**n n!."""
    y = 0.0 if x == np.inf else vlog1p(x) / x
    if n == 0:
        return 1.0 if x == 0.0 else y
    w = x / (2.0 + x)
    near = abs(w) < 0.18
    w = w if near else 0.0
    z, v, u, e = w * w, 1.0 - w, 1.0 + w, 1.0 / (1.0 + x)
    q = 0.047619047619047616 + z * 0.043478260869565216
    q = 0.06666666666666667 + z * (0.058823529411764705 + z * (0.05263157894736842 + z * q))
    q = 0.1111111111111111 + z * (0.09090909090909091 + z * (0.07692307692307693 + z * q))
    q = 0.3333333333333333 + z * (0.2 + z * (0.14285714285714285 + z * q))
    y = (y - e) / x
    if n == 1:
        return (1.0 + w * u * q) * (v * v) / (u + u) if near else y
    return (1.0 + u * u * q) * (v * v * v) / (4.0 * (u * u)) if near else (y - 0.5 * e * e) / x


def vlog1pgap(x, log):
    """Return log(1 + x) - x/(1 + x), the logarithm given: it counts below -1/2 and above 1."""
    w = x / (2.0 + x)
    near = abs(w) < 0.3333
    w = w if near else 0.0
    z, u = w * w, 1.0 + w
    q = 0.06027747709626966 + z * (0.04277625725156396 + z * 0.0831510508740442)
    q = 0.07693022571870105 + z * (0.06653773738976525 + z * q)
    q = 0.11111111622813495 + z * (0.09090884381844525 + z * q)
    q = 0.33333333333333287 + z * (0.2000000000003025 + z * (0.1428571427990096 + z * q))
    e = 1.0 / (u if near else 1.0 + x)
    return (z + z) * (1.0 + w * q * u) * e if near else log - 1.0 + e


def vexpm1over(n, x):
    """Return (exp(x) - 1)/x; for n = 1, 2 its derivative n."""
    y = vexpm1(x) / x
    if n == 0:
        y = x if x == np.inf else y
        return 1.0 if x == 0.0 else y
    near = abs(x) < 1.0
    z = x if near else 0.0
    q = 1.5619206968586225e-16 + z * 8.22063524662433e-18
    q = 7.647163731819816e-13 + z * (4.779477332387385e-14 + z * (2.8114572543455206e-15 + z * q))
    q = 2.08767569878681e-09 + z * (1.6059043836821613e-10 + z * (1.1470745597729725e-11 + z * q))
    q = 2.7557319223985893e-06 + z * (2.755731922398589e-07 + z * (2.505210838544172e-08 + z * q))
    q = 0.001388888888888889 + z * (0.0001984126984126984 + z * (2.48015873015873e-05 + z * q))
    q = 0.16666666666666666 + z * (0.041666666666666664 + z * (0.008333333333333333 + z * q))
    e = vexp(x)
    y = (e - y) / x
    if n == 1:
        return 0.5 + 0.5 * z + z * (z - 1.0) * q if near else (e if e == np.inf else y)
    y = (e - 2.0 * y) / x
    return 0.5 * z + (2.0 - z * (2.0 - z)) * q if near else (e if e == np.inf else y)


def vlog1pover32(n, x):
    """Return the same as vlog1pover by way of float64.

    One polynomial does for w = x/(2 + x) up to 1/3 and for the logarithm elsewhere; there is one
    quotient, which takes as long as ten products, instead of f/(2 + f), 1/(1 + x) and 1/x.
    """
    x = np.float64(np.float32(x))
    x = 1e90 if x > 1e90 else x
    near = x > -0.5 and x < 1.0
    a = 1.0 + x
    b = vbits(a) - 0x3FE6A09E667F3BCD
    k = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    f = x if near else vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    x = 1.0 if near else x
    d = 2.0 + f
    t = 1.0 / (d * a * x)
    w, e, t = f * (a * x * t), d * x * t, d * a * t
    z, v, u = w * w, 1.0 - w, 1.0 + w
    q = 0.22301713374085883 + z * (0.17145932210470785 + z * 0.2179876640787259)
    q = 0.6666666635754456 + z * (0.4000005322990461 + z * (0.2856838543830929 + z * q))
    y = (k * 0.6931471805599453 + (w + w + w * z * q)) * t
    y = y if a > 0.0 else (np.inf if a == 0.0 else np.nan)
    q = 0.5 * q
    if n == 0:
        return np.float32(v + v * z * q if near else y)
    y = (y - e) * t
    if n == 1:
        return np.float32((1.0 + w * u * q) * (0.5 * v * e) if near else y)
    y = (y - 0.5 * e * e) * t
    return np.float32((1.0 + u * u * q) * (0.25 * v * e * e) if near else y)


def vlog1pgap32(x, log):
    """Return the same as vlog1pgap by way of float64."""
    return np.float32(vlog1pgap(np.float64(np.float32(x)), np.float64(np.float32(log))))


def vexpm1over32(n, x):
    """Return the same as vexpm1over by way of float64, where a few coefficients do."""
    x = np.float64(np.float32(x))
    x = 100.0 if x > 100.0 else x
    y = -700.0 if x < -700.0 else x
    t = y * 1.4426950408889634 + 6755399441056767.0  # 1.5*2**52 + 1023
    r = y - (t - 6755399441056767.0) * 0.6931471805599453
    q = 0.04166620616334999 + r * (0.008368889244567877 + r * 0.0013950468660662812)
    q = 0.5000000095075942 + r * (0.1666651884128577 + r * q)
    h = vfloat(vbits(t) << 52)
    e = h * (r + r * r * q)
    y = ((h - 1.0) + e) / x
    if n == 0:
        return np.float32(1.0 if x == 0.0 else y)
    near = abs(x) < 1.0
    z, e = x if near else 0.0, h + e
    y = (e - y) / x
    q = 2.755731922398589e-07 + z * (2.505210838544172e-08 + z * 2.08767569878681e-09)
    q = 2.48015873015873e-05 + z * (2.7557319223985893e-06 + z * q)
    q = 0.008333333333333333 + z * (0.001388888888888889 + z * (0.0001984126984126984 + z * q))
    q = 0.16666666666666666 + z * (0.041666666666666664 + z * q)
    if n == 1:
        return np.float32(0.5 + 0.5 * z + z * (z - 1.0) * q if near else y)
    y = (e - 2.0 * y) / x
    return np.float32(0.5 * z + (2.0 - z * (2.0 - z)) * q if near else y)
