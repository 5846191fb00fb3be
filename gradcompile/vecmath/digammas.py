"""digamma, the derivative of log|gamma|.

- Up to 3: y = c + f with f from 0 to 1, digamma(1 + f) as the distance to its zero times a polynomial, and what the
  recurrence adds, dlmf.nist.gov/5.5.2.
- Beyond: the asymptotic series, dlmf.nist.gov/5.11.2.
- x < 0: y = 1 - x, and reflection, dlmf.nist.gov/5.5.4.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vfloat, vsigned
from gradcompile.vecmath.gammas import vlogshort, vpart
from gradcompile.vecmath.logarithms import vlog1p, vlogsum


def vpicot(x):
    """Return pi cot(pi x), nan for a whole number."""
    r = vpart(x)
    z = r * r
    w = z * z
    q = 12.420849987942933 + z * -15.106780296242928
    q = (0.8075064134376192 + z * -10.07333030552686) + w * q
    q = (-1.8931700292249996 + z * -2.6562503242020963) + w * q
    q = (-1.999132390468858 + z * -2.0122985074943993) + w * q
    q = (-2.0019871057428884 + z * -2.000547313115342) + w * q
    q = (-2.0346861233449833 + z * -2.0081547598994827) + w * q
    q = (-3.2898681336964457 + z * -2.1646464674261) + w * q
    return np.nan if r == 0.0 else vsigned(1.0 / r + r * q, x)


def vrecurrence(y, c):
    """Return digamma(y) - digamma(1 + y - c) for a whole c from 0 to 2, and 1/y for larger ones."""
    a = -1.0 if c < 0.5 else 1.0
    a = 0.0 if abs(c - 1.0) < 0.5 else a
    return a / (y - 1.0 if abs(c - 2.0) < 0.5 else y)


def vdigammanear(w, v):
    """Return v + digamma(1.5 + w) for |w| <= 1/2, by the distance d to its zero."""
    z = w * w
    q = (9.324974835635052e-05 + w * -0.00017838314573595193) + z * 0.000121208440094314
    q = (0.0003259059220851963 + w * -0.00014459414751219037) + z * q
    q = (0.0006902742874921521 + w * -0.0004860679077437464) + z * q
    q = (0.0015635049120149506 + w * -0.001036422087784514) + z * q
    q = (0.0035180885187657837 + w * -0.0023455016470390116) + z * q
    q = (0.007927023342101453 + w * -0.005279936428160674) + z * q
    q = (0.017907248234858425 + w * -0.011908220168042665) + z * q
    q = (0.04076083394341148 + w * -0.0269757966569885) + z * q
    q = (0.09498872445284948 + w * -0.06192213327555761) + z * q
    q = (0.24054248424078722 + w * -0.14840492305388012) + z * q
    d = (w + 0.03836785503163766) + 1.6445603550442201e-18
    q = w * (-0.4236274212814606 + w * q)
    h = 0.9510558760318328 + q
    return (v + d * h) + d * ((0.9510558760318328 - h) + q)  # with what h was rounded by


def vdigammafar(y, v):
    """Return digamma(y) from 3 on, for v = 1/y."""
    z = v * v
    w = z * z
    q = (1.0818736898398054 + z * -2.676172910257484) + w * 3.2419430969702634
    q = (0.07589916423783395 + z * -0.30512890743639054) + w * q
    q = (0.0075680209403995455 + z * -0.020803497828846555) + w * q
    q = (0.003968252598619487 + z * -0.004166532795142557) + w * q
    q = (0.0833333333333206 + z * -0.008333333326271064) + w * q
    b = vbits(y) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    return vlogsum(n, f) - (0.5 * v + z * q)


def vdigamma(x):
    """Return the derivative of log|gamma(x)|."""
    y = 1.0 - x if x < 0.0 else x
    c = ((y - 0.5) + 6755399441055744.0) - 6755399441055744.0  # 1.5*2**52: y is from c to c + 1
    v = vrecurrence(y, c)
    q = vdigammafar(y, v) if c > 2.5 else vdigammanear((y - c) - 0.5, v)
    q = y if y == np.inf else q
    return q - vpicot(x) if x < 0.0 else q


def vdigammaapart(low, d, high):
    """Return digamma(high) - digamma(low) for high = low + d, by the series."""
    u, v = 1.0 / low, 1.0 / high
    w = u * v
    p, q = u * u + v * v, w * w
    a = p * p - q
    b = p * a - q * p
    c = p * b - q * a
    s = 0.08333333333333333 - p * 0.008333333333333333 + a * 0.003968253968253968
    s = s - b * 0.004166666666666667 + c * 0.007575757575757576
    s = s - (p * c - q * b) * 0.021092796092796094
    return vlog1p(d / low) + d * w * (0.5 + (u + v) * s)


def vdigammagap(r, d, at_r):
    """Return digamma(r + d) - digamma(r), the second given, which keeps its digits from 16 on."""
    x, up = r + d, d > 0.0
    low, high = (r if up else x), (x if up else r)
    if low > 16.0:  # a select in vectors; of single numbers one branch is computed
        far = vdigammaapart(low, abs(d), high)
        return far if up else -far
    return vdigamma(x) - at_r


def vpicot32(x):
    """Return pi cot(pi x) for a float32 as a float64, as vpicot."""
    r = vpart(x)
    z = r * r
    q = -2.6406076065053443 + z * (0.47243121303519997 + z * -6.571532330598483)
    q = -2.0153149682432376 + z * (-1.911241804087879 + z * q)
    q = -3.2898681041935465 + z * (-2.1646519512843594 + z * (-2.0343895749404335 + z * q))
    return np.nan if r == 0.0 else vsigned(1.0 / r + r * q, x)


def vdigamma32(x):
    """Return the derivative of log|gamma(x)|, as vdigamma, by way of float64."""
    x = np.float64(np.float32(x))
    y = 1.0 - x if x < 0.0 else x
    c = ((y - 0.5) + 6755399441055744.0) - 6755399441055744.0
    v, w = vrecurrence(y, c), (y - c) - 0.5
    q = 0.01697946779803888 + w * (-0.016386302529138842 + w * 0.011120358494065119)
    q = 0.04087951658422936 + w * (-0.025779907082339227 + w * q)
    q = -0.1483987749338548 + w * (0.09498206958742318 + w * (-0.06205725784527496 + w * q))
    q = 0.9510558756324329 + w * (-0.42362749904952085 + w * (0.24054261601658045 + w * q))
    near = v + (w + 0.03836785503163766) * q
    z = v * v
    far = -0.00832949055214251 + z * (0.0038558597442479277 + z * -0.002781038789868914)
    far = 0.08333329151850428 + z * far
    far = vlogshort(y) - (0.5 * v + z * far)
    q = y if y == np.inf else (far if c > 2.5 else near)
    return np.float32(q - vpicot32(x) if x < 0.0 else q)


def vdigammagap32(r, d, at_r):
    """Return digamma(r + d) - digamma(r), as vdigammagap; what is small in float64 is exact."""
    r, d = np.float64(np.float32(r)), np.float64(np.float32(d))
    x, up = r + d, d > 0.0
    low, high = (r if up else x), (x if up else r)
    if low > 4.0:
        far = np.float32(vdigammaapart(low, abs(d), high))
        return far if up else -far
    return vdigamma32(x) - np.float32(at_r)
