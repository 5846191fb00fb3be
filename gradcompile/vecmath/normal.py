"""erf, erfc, and the tail of erfc: scaled, and its logarithm.

erf(x): a polynomial up to 1, and 1 - exp of a polynomial beyond, where log(1 - erf(x)) is smooth.

erfc(x) for x >= 0: exp(-x**2) erfcx(x), and erfcx(x)/s is a polynomial in s = K/(x + K), which takes all x to (0, 1].
What s is rounded by is put back as a step c in x, with the derivative 2 x erfcx(x) - 2/sqrt(pi) of erfcx.

erfcx(x): the same without the exponential; where the polynomial ends, its asymptotic series, dlmf.nist.gov/7.12.1; for
x < 0, 2 exp(x**2) - erfcx(-x).

logtail(x) = log(erfc(x)/2): log(erfcx(x)/2) - x**2, two terms of one sign; for x < 0, log(1 - erfc(-x)/2).
"""

import numpy as np

from gradcompile.vecmath.bits import (
    vbits,
    vbits32,
    vfloat,
    vfloat32,
    vhead,
    vhead32,
    vscales,
    vscales32,
    vsigned,
    vsigned32,
)
from gradcompile.vecmath.exponentials import vexp, vexp32
from gradcompile.vecmath.logarithms import vlogsum, vlogsum32


def verf(x):
    """Return erf(x)."""
    a, z = abs(x), x * x
    q = 1.4660289430186027e-08 + z * (-1.1374799966566463e-09 + z * 5.960415474350801e-11)
    q = 1.6461007956368763e-06 + z * (-1.6350390535617905e-07 + z * q)
    q = -0.000854832698139183 + z * (0.00012055331131684299 + z * (-1.4925595740638792e-05 + z * q))
    q = 0.11283791670954885 + z * (-0.02686617064507782 + z * (0.005223977624827864 + z * q))
    q = 0.1283791670955126 + z * (-0.3761263890318375 + z * q)
    s = a + a * q
    u = (6.0 if a > 6.0 else a) - 1.0
    q = -1.3190841578653044e-09 + u * (1.193238187119899e-10 + u * -4.864919995530051e-12)
    q = 5.8010770819631625e-08 + u * (-3.3390913201424706e-08 + u * (8.51867234876711e-09 + u * q))
    q = 9.671378853508025e-06 + u * (-2.131941647734682e-06 + u * (2.048133426092862e-07 + u * q))
    q = 0.00023731643416133514 + u * (2.629632809826337e-05 + u * (-2.71989743187281e-05 + u * q))
    q = -0.041561098025076564 + u * (0.010033825179083512 + u * (-0.0019779012156002913 + u * q))
    q = -1.8496055099332482 + u * (-2.6389675142347757 + u * (-0.8431072563594127 + u * q))
    return vsigned(s if a < 1.0 else 1.0 - vexp(q), x)


def verfcquotient(t):
    """Return erfcx(x)/s for s = 3/(x + 3) = t + 1/2, and what it was rounded by."""
    z = t * t
    q = (0.0006696426157232689 + t * 0.0042020965555566005) + z * -0.0019744953579289774
    q = (0.003556059135904835 + t * -0.008299757626127061) + z * q
    q = (-0.008797770075089698 + t * 0.010099985475263806) + z * q
    q = (0.01508583572569453 + t * -0.010898274621379479) + z * q
    q = (-0.023851570887519054 + t * 0.012967558725641558) + z * q
    q = (0.03671422761471889 + t * -0.02075175546024393) + z * q
    q = (-0.04678909030412803 + t * 0.04723674993588205) + z * q
    q = (-0.025864888118391674 + t * -0.12945331197092366) + z * q
    q = (0.6374813935329751 + t * 0.28615716932616125) + z * q
    q = 0.786971142805466 + t * (0.8279126984015289 + t * q)
    m = 0.588929635446589 + t * q
    q, ml = t * m, (0.588929635446589 - m) + t * q
    g = 0.35800229758024216 + q  # so few bits that (0.35800229758024216 - g) is exact
    return g, ((0.35800229758024216 - g) + q) + (t * ml + 4.782537745798324e-09)


def verfcstep(a):
    """Return s = 3/(a + 3), t = s - 1/2, and the step in a that s was rounded by, for a >= 0."""
    d = a + 3.0
    t = 3.0 / d - 0.5
    s, ah = t + 0.5, vhead(a)
    sh, al = vhead(s), a - ah
    c = ((ah * sh - 3.0 * (1.0 - sh)) + al * sh) + (s - sh) * d  # a s - 3 (1 - s), exactly
    return s, t, c * (0.3333333333333333 * d)


def vexpsquare(a, sign):
    """Return e, p and q of exp(sign*a*a) = (1 + e) p q, for a sign of 1 or -1 and a up to 27.31."""
    ah = vhead(a)
    u, v = sign * (ah * ah), sign * ((a - ah) * (a + ah))
    k = 6755399441057790.0 + 1.4426950408889634 * u  # 2**n (1 + e), as vexp
    n = k - 6755399441057790.0
    m, v = u - n * 0.6931471805598903, n * 5.497923018708371e-14 - v
    r = m - v
    rl, z = (m - r) - v, r * r
    e = (2.7557216313023577e-06 + r * 2.763128095295722e-07) + z * 2.511785858878631e-08
    e = (0.000198412699173646 + r * 2.4801489940283478e-05) + z * e
    e = (0.008333333333307217 + r * 0.0013888888947018031) + z * e
    e = (0.166666666666667 + r * 0.04166666666651541) + z * e
    e = r + (z * (0.5000000000000012 + r * e) + rl)
    p, q = vscales(k)
    return e, p, q


def verfc(x):
    """Return erfc(x)."""
    a = abs(x)
    a = 27.31 if a > 27.31 else a  # beyond, 0
    s, t, c = verfcstep(a)
    g, gl = verfcquotient(t)
    e, u, v = vexpsquare(a, -1.0)
    p = g + g * e
    q = ((g - p) + g * e) + gl * (1.0 + e)
    w = 2.0 * a * (s * g) - 1.1283791670955126
    y = (s * p + (s * q + c * (w + w * e))) * u * v
    return 2.0 - y if x < 0.0 else y


def verfcxnear(a):
    """Return erfcx(a) for a from 0 to 27.31, and what it was rounded by."""
    s, t, c = verfcstep(a)
    g, gl = verfcquotient(t)
    gl = s * gl + c * (2.0 * a * (s * g) - 1.1283791670955126)
    y = s * g + gl
    return y, (s * g - y) + gl


def verfcxfar(a):
    """Return erfcx(a) for a from 27 on."""
    v = 1.0 / a
    z = v * (0.5 * v)
    q = 1.0 - 5.0 * z * (1.0 - 7.0 * z * (1.0 - 9.0 * z * (1.0 - 11.0 * z)))
    v = v * 0.5641895835477563
    return v - v * (z * (1.0 - 3.0 * z * q))


def verfcx(x):
    """Return exp(x*x)*erfc(x)."""
    a = abs(x)
    near = 27.31 if a > 27.31 else a
    y, yl = verfcxnear(near)
    y = verfcxfar(a) if a > 27.0 else y
    e, u, v = vexpsquare(near, 1.0)
    p, v = u + u * e, 2.0 * v
    return (p * v - y) + (((u - p) + u * e) * v - yl) if x < 0.0 else y


def vlogtail(x):
    """Return log(erfc(x)/2)."""
    a = abs(x)
    near = 27.31 if a > 27.31 else a
    y, yl = verfcxnear(near)
    left = x < 0.0
    e, u, v = vexpsquare(near if left else 0.0, -1.0)  # without underflow where it is not needed
    p, v = y + y * e, 0.5 * v
    h, hl = p * u * v, ((y - p) + y * e + yl) * u * v
    z = 1.0 - h if left else 0.5 * (verfcxfar(a) if a > 27.0 else y)
    d = ((1.0 - z) - h) - hl  # what 1 - h was rounded by
    b = vbits(z) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    q = vlogsum(n, vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0)
    return q + (d if left else -x) * (2.0 - z if left else x)


def verf32(x):
    """Return erf(x), as verf."""
    x = np.float32(x)
    one, four = np.float32(1.0), np.float32(4.0)
    a, z = abs(x), x * x
    q = np.float32(-0.02671767) + z * (np.float32(0.0049247406) + z * np.float32(-0.00056599354))
    q = np.float32(-0.37612355) + z * (np.float32(0.11280411) + z * q)
    q = np.float32(0.12837912) + z * q
    s = a + a * q
    u = (four if a > four else a) - one
    q = np.float32(0.009890882) + u * (np.float32(-0.0018261558) + u * np.float32(0.00018557209))
    q = np.float32(-0.8431183) + u * (np.float32(-0.041500684) + u * q)
    q = np.float32(-1.8496056) + u * (np.float32(-2.6389668) + u * q)
    return vsigned32(s if a < one else one - vexp32(q), x)


def verfcstep32(a):
    """Return s = 2/(a + 2), t = s - 1/2, and the step in a that s was rounded by, as verfcstep."""
    one, two, half = np.float32(1.0), np.float32(2.0), np.float32(0.5)
    d = a + two
    t = two / d - half
    s, ah = t + half, vhead32(a)
    sh, al = vhead32(s), a - ah
    c = ((ah * sh - two * (one - sh)) + al * sh) + (s - sh) * d
    return s, t, c * (half * d)


def verfcquotient32(t):
    """Return erfcx(x)/s for s = 2/(x + 2) = t + 1/2."""
    g = np.float32(0.046486948) + t * (np.float32(-0.06773152) + t * np.float32(0.01198165))
    g = np.float32(-0.10296342) + t * (np.float32(0.09737339) + t * g)
    g = np.float32(0.14574361) + t * (np.float32(-0.17202252) + t * g)
    g = np.float32(0.6871609) + t * (np.float32(0.55894303) + t * g)
    return np.float32(0.51079136) + t * g


def vexpsquare32(a, sign):
    """Return e, p and q of exp(sign*a*a) = (1 + e) p q, as vexpsquare, for a up to 10.25."""
    ah = vhead32(a)
    u, v = sign * (ah * ah), sign * ((a - ah) * (a + ah))
    k = np.float32(12583166.0) + np.float32(1.4426950408889634) * (u + v)
    n = k - np.float32(12583166.0)
    r = u - n * np.float32(0.693145751953125)
    r = r - (n * np.float32(1.4286068203094172e-06) - v)
    e = np.float32(0.041666206) + r * (np.float32(0.008368889) + r * np.float32(0.0013950468))
    e = np.float32(0.5) + r * (np.float32(0.16666518) + r * e)
    p, q = vscales32(k)
    return r + r * r * e, p, q


def verfc32(x):
    """Return erfc(x), as verfc."""
    x = np.float32(x)
    a = abs(x)
    a = np.float32(10.25) if a > np.float32(10.25) else a
    s, t, c = verfcstep32(a)
    g = verfcquotient32(t)
    e, u, v = vexpsquare32(a, np.float32(-1.0))
    w = np.float32(2.0) * a * (s * g) - np.float32(1.1283792)
    y = s * (g + g * e) + c * (w + w * e)
    y = y * u * v
    return np.float32(2.0) - y if x < np.float32(0.0) else y


def verfcxnear32(a):
    """Return erfcx(a) for a from 0 to 10.25."""
    s, t, c = verfcstep32(a)
    y = s * verfcquotient32(t)
    return y + c * (np.float32(2.0) * a * y - np.float32(1.1283792))


def verfcxfar32(a):
    """Return erfcx(a) for a from 10 on."""
    one = np.float32(1.0)
    v = one / a
    z = v * (np.float32(0.5) * v)
    q = one - np.float32(3.0) * z * (one - np.float32(5.0) * z * (one - np.float32(7.0) * z))
    v = v * np.float32(0.5641896)
    return v - v * (z * q)


def verfcx32(x):
    """Return exp(x*x)*erfc(x), as verfcx."""
    x = np.float32(x)
    a = abs(x)
    near = np.float32(10.25) if a > np.float32(10.25) else a
    y = verfcxfar32(a) if a > np.float32(10.0) else verfcxnear32(near)
    e, u, v = vexpsquare32(near, np.float32(1.0))
    return np.float32(2.0) * (u + u * e) * v - y if x < np.float32(0.0) else y


def vlogtail32(x):
    """Return log(erfc(x)/2), as vlogtail."""
    x = np.float32(x)
    half, one = np.float32(0.5), np.float32(1.0)
    a = abs(x)
    near = np.float32(10.25) if a > np.float32(10.25) else a
    y = verfcxnear32(near)
    left = x < np.float32(0.0)
    e, u, v = vexpsquare32(near if left else np.float32(0.0), np.float32(-1.0))
    h = half * ((y + y * e) * u * v)
    z = one - h if left else half * (verfcxfar32(a) if a > np.float32(10.0) else y)
    d = (one - z) - h
    b = np.int32(vbits32(z) - 0x3F3504F3)  # as vlog32
    n = vfloat32((b >> 23) + 0x4B400000) - np.float32(12582912.0)
    q = vlogsum32(n, vfloat32((b & 0x7FFFFF) + 0x3F3504F3) - one)
    return q + (d if left else -x) * (np.float32(2.0) - z if left else x)
