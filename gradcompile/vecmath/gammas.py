"""log|gamma|, each part of the line by one polynomial and one logarithm.

- lgamma(2 + f) = f times a polynomial for f from -0.625 to 0.375, for 2 is a zero.
- y = c + f up to 5.375: with the logarithm of y (y + 1), y, 1, y - 1, ... for c = 0, 1, 2, 3, ...
- Beyond: Stirling's series, dlmf.nist.gov/5.11.1.
- x < 0: y = 1 - x, and reflection, dlmf.nist.gov/5.5.3. It takes a second logarithm.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vfloat
from gradcompile.vecmath.logarithms import vlog, vlog1p, vlogsum


def vlogpair(x):
    """Return log(x) for 0 < x < inf as a sum of two numbers."""
    tiny = x < 2.2250738585072014e-308
    b = vbits(x * 18014398509481984.0 if tiny else x) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    n = n - 54.0 if tiny else n
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    s = f / (2.0 + f)
    z = s * s
    q = 0.18183564867836827 + z * (0.1531403573251604 + z * 0.14796107047278134)
    q = 0.3999999999941433 + z * (0.28571428742473465 + z * (0.2222219856353417 + z * q))
    q = 0.6666666666666734 + z * q
    e = s * (f - z * q) - n * 5.497923018708371e-14
    u, v = n * 0.6931471805598903, f - e
    y = u + v
    return y, (v - (y - u)) + ((f - v) - e)


def vpart(x):
    """Return |x| less the nearest whole number."""
    a, big = abs(x), 4503599627370496.0  # 2**52
    return 0.0 if a >= big else a - ((a + big) - big)


def vsinc(r):
    """Return sin(pi r)/(pi r) - 1 for |r| <= 1/2."""
    z = r * r
    q = 0.000148427869064481 + z * (-6.9721628034795975e-06 + z * 2.450887537815531e-07)
    q = -0.1907518241215591 + z * (0.026147847806396056 + z * (-0.0023460809018763574 + z * q))
    return z * (-1.6449340668482264 + z * (0.8117424252833418 + z * q))


def vlogsinpi(x):
    """Return log|sin(pi x)/pi|, -inf for a whole number."""
    r = abs(vpart(x))
    q = vsinc(r)
    r = r * 18014398509481984.0  # times 2**54: not subnormal
    b = vbits(r + r * q) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055798.0
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    return -np.inf if r == 0.0 else vlogsum(n, f)


def vfactors(y, c):
    """Return gamma(y)/gamma(2 + y - c), or its inverse for c < 2, for a whole c from 0 to 5."""
    p = y if c < 1.5 else 1.0
    p = y + y * y if c < 0.5 else p
    p = y - 1.0 if c > 2.5 else p
    p = p * (y - 2.0) if c > 3.5 else p
    return p * (y - 3.0) if c > 4.5 else p


def vlgammanear(f):
    """Return lgamma(2 + f)/f for f from -0.625 to 0.375 as a sum of two numbers."""
    z = f * f
    q = (-4.669764230741028e-07 + f * -2.258410261611329e-07) + z * -4.867614506607762e-07
    q = (-1.957733240339786e-06 + f * 1.1707893533289418e-06) + z * q
    q = (-9.463545442682778e-06 + f * 4.3378625163509795e-06) + z * q
    q = (-4.4923031095834644e-05 + f * 2.0509369833018468e-05) + z * q
    q = (-0.0002231549863319264 + f * 9.945760488095182e-05) + z * q
    q = (-0.0011927539029508547 + f * 0.0005096695072155681) + z * q
    q = (-0.007385551028841362 + f * 0.002890510331528137) + z * q
    q = f * (0.32246703342411326 + f * (-0.06735230105319684 + f * (0.020580808427771505 + f * q)))
    h = 0.42278433509846713 + q
    return h, (0.42278433509846713 - h) + q


def vlgammafar(y, h, l):
    """Return lgamma(y) from 5.375 on, for log(y) = h + l."""
    v, w = 1.0 / y, y - 0.5
    z = v * v
    q = 0.0008394917768623034 + z * (-0.0018150989910975098 + z * 0.003948372484863195)
    q = 0.0007936506466050098 + z * (-0.0005952118413981261 + z * q)
    q = 0.08333333333333323 + z * (-0.002777777777467212 + z * q)
    return w * (h - 1.0) + (0.4189385332046727 + (v * q + w * l))  # (log(2 pi) - 1)/2


def vlgamma(x):
    """Return log|gamma(x)|."""
    y = 1.0 - x if x < 0.0 else x
    d = (1.0 - y) - x  # what 1 - x was rounded by, to be put back with a rough derivative
    c = ((y + 0.125) + 6755399441055744.0) - 6755399441055744.0  # 1.5*2**52: to a whole number
    f, far = y - c, c > 5.5
    h, l = vlogpair(y if far else vfactors(y, c))
    g, e = vlgammanear(f)
    q = (f * g - h) + (f * e - l) if c < 1.5 else (f * g + h) + (f * e + l)
    q = vlgammafar(y, h, l) if far else q
    d = d * (h if far else 0.5 * y - 0.75)
    q = np.inf if y == 0.0 or y == np.inf else q
    return -vlogsinpi(x) - (0.0 if y == np.inf else q + d) if x < 0.0 else q


def vlgammaapart(low, d, high):
    """Return lgamma(high) - lgamma(low) for high = low + d, by Stirling's series."""
    u, v = 1.0 / low, 1.0 / high
    w = u * v
    p, q = u * u + v * v, w * w
    a = p + w
    b = p * a - q
    c = p * b - q * a
    s = 0.08333333333333333 - a * 0.002777777777777778 + b * 0.0007936507936507937
    s = s - c * 0.0005952380952380953 + (p * c - q * b) * 0.0008417508417508417
    return (low - 0.5) * vlog1p(d / low) + d * ((vlog(high) - 1.0) - w * s)


def vlgammagap(r, d, at_r):
    """Return lgamma(r + d) - lgamma(r), the second given, which keeps its digits from 16 on."""
    x, up = r + d, d > 0.0
    low, high = (r if up else x), (x if up else r)
    if low > 16.0:  # a select in vectors; of single numbers one branch is computed
        far = vlgammaapart(low, abs(d), high)
        return far if up else -far
    return vlgamma(x) - at_r


def vlbeta(a, b):
    """Return log(gamma(a) gamma(b)/gamma(a + b)), by the difference of log gammas that is large."""
    low, high = (a if a < b else b), (b if a < b else a)
    return vlgamma(low) - vlgammagap(high, low, vlgamma(high))


def vlogshort(x):
    """Return log(x) with a relative error of 2**-32, for a positive x that is not subnormal."""
    b = vbits(x) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    s = f / (2.0 + f)
    z = s * s
    q = 0.4000033528723907 + z * (0.28537301746928495 + z * 0.23582290483218873)
    q = 0.6666666564510499 + z * q
    return n * 0.6931471805599453 + (f - s * (f - z * q))


def vlogsinpi32(x):
    """Return log|sin(pi x)/pi| for a float32 as a float64, as vlogsinpi."""
    r = abs(vpart(x))
    z = r * r
    q = -0.1904616751160793 + z * 0.024754406394492307
    q = -1.644933453580644 + z * (0.8117185165680207 + z * q)
    return -np.inf if r == 0.0 else vlogshort(r + r * (z * q))


def vlgamma32(x):
    """Return log|gamma(x)|, as vlgamma, by way of float64, where sums need no second number."""
    x = np.float64(np.float32(x))
    y = 1.0 - x if x < 0.0 else x
    c = ((y + 0.125) + 6755399441055744.0) - 6755399441055744.0
    f = y - c
    far = c > 5.5
    h = vlogshort(y if far else vfactors(y, c))
    q = -0.0011333975167594679 + f * (0.0004410067312981742 + f * -0.00046888882917276245)
    q = 0.02057895176818212 + f * (-0.0073899906564662944 + f * (0.0029134433222954836 + f * q))
    q = f * (0.42278433466435905 + f * (0.3224670699451068 + f * (-0.06735219532660423 + f * q)))
    v = 1.0 / y
    z = v * v
    s = 0.08333333262632127 + z * (-0.002777405061190564 + z * 0.0007643774351419537)
    s = (y - 0.5) * (h - 1.0) + (0.4189385332046727 + v * s)
    y = np.inf if y == 0.0 or y == np.inf else (s if far else (q - h if c < 1.5 else q + h))
    return np.float32(-vlogsinpi32(x) - (0.0 if y == np.inf else y) if x < 0.0 else y)


def vlgammagap32(r, d, at_r):
    """Return lgamma(r + d) - lgamma(r), as vlgammagap; what is small in float64 is exact."""
    r, d = np.float64(np.float32(r)), np.float64(np.float32(d))
    x, up = r + d, d > 0.0
    low, high = (r if up else x), (x if up else r)
    if low > 4.0:
        far = np.float32(vlgammaapart(low, abs(d), high))
        return far if up else -far
    return vlgamma32(x) - np.float32(at_r)


def vlbeta32(a, b):
    """Return the logarithm of the beta function by way of float64."""
    return np.float32(vlbeta(np.float64(np.float32(a)), np.float64(np.float32(b))))
