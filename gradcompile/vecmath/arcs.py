"""The inverses of trigonometric and hyperbolic functions.

- atan, atan2: |x| = tan(t + u), t one of 0, atan(1/2), pi/4, atan(3/2), pi/2, and a polynomial for the small rest u.
- asin, acos: a polynomial up to 1/2; beyond, asin(x) = pi/2 - 2 asin(sqrt((1 - x)/2)), the root in two parts.
- The others are logarithms.

Source: s_atan.c and e_asin.c of fdlibm (Sun Microsystems 1993), which have these intervals; the coefficients are ours.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vhead, vhead32, vsigned, vsigned32
from gradcompile.vecmath.logarithms import vlog1p, vlog1p32


def vatan(x):
    """Return atan(x) = t + atan(r), r = (a - c)/(1 + a c) with c = tan(t): one division."""
    a = abs(x)
    low, middle = a < 0.6875, a < 1.1875
    n = 2.0 * a - 1.0 if low else (a - 1.0 if middle else a - 1.5)
    d = 2.0 + a if low else (a + 1.0 if middle else 1.0 + 1.5 * a)
    t = 0.4636476090008061 if low else (0.7853981633974483 if middle else 0.982793723247329)
    e = 3.061616997868383e-17 if middle else 1.3903311031230998e-17  # what t was rounded by
    e = 2.2698777452961687e-17 if low else e
    small, large = a < 0.4375, a >= 2.4375
    n = a if small else (-1.0 if large else n)
    d = 1.0 if small else (a if large else d)
    t = 0.0 if small else (1.5707963267948966 if large else t)
    e = 0.0 if small else (6.123233995736766e-17 if large else e)
    return vsigned(t + vatansmall(n / d, e), x)


def vatansmall(r, e):
    """Return atan(r) + e for |r| up to 0.4375."""
    z = r * r
    q = -0.04976758547530364 + z * (0.03652890964631176 + z * -0.016283250389121304)
    q = 0.07691875711815167 + z * (-0.06661068322554187 + z * (0.05833539764326015 + z * q))
    q = -0.14285714272469585 + z * (0.11111110404094487 + z * (-0.09090887100724479 + z * q))
    q = -0.3333333333333293 + z * (0.19999999999876045 + z * q)
    return r + (r * z * q + e)


def vatan2(y, x):
    """Return the angle of (x, y): vatan of |y|/|x| without that quotient."""
    a, b = abs(y), abs(x)
    both = a == np.inf and b == np.inf
    a, b = 1.0 if both else a, 1.0 if both else b
    m = a if a > b else b
    p = 0.125 if m > 1e300 else (1.152921504606847e18 if m < 1e-290 else 1.0)
    a, b = a * p, b * p
    low, middle = a < 0.6875 * b, a < 1.1875 * b
    # products by powers of 2 are exact, so that it is the same whether they are fused with a sum
    n = 2.0 * a - b if low else (a - b if middle else a - b - 0.5 * b)
    d = 2.0 * b + a if low else (a + b if middle else b + a + 0.5 * a)
    t = 0.4636476090008061 if low else (0.7853981633974483 if middle else 0.982793723247329)
    e = 3.061616997868383e-17 if middle else 1.3903311031230998e-17  # what t was rounded by
    e = 2.2698777452961687e-17 if low else e
    small, large = a < 0.4375 * b or a == 0.0, a >= 2.4375 * b
    n = a if small else (-b if large else n)
    d = b if small else (a if large else d)
    d = 1.0 if d == 0.0 else d
    t = 0.0 if small else (1.5707963267948966 if large else t)
    e = 0.0 if small else (6.123233995736766e-17 if large else e)
    s = vatansmall(n / d, e)
    s = 3.141592653589793 - t - (s - 1.2246467991473532e-16) if vbits(x) < 0 else t + s
    return vsigned(s, y)


def vatan32(x):
    """Return atan(x), as vatan."""
    x = np.float32(x)
    one, two, half = np.float32(1.0), np.float32(2.0), np.float32(1.5)
    a, zero = abs(x), np.float32(0.0)
    low, middle = a < np.float32(0.6875), a < np.float32(1.1875)
    n = two * a - one if low else (a - one if middle else a - half)
    d = two + a if low else (a + one if middle else one + half * a)
    t = np.float32(0.7853982) if middle else np.float32(0.98279375)
    t = np.float32(0.4636476) if low else t
    e = np.float32(-2.1855694e-08) if middle else np.float32(-2.5131424e-08)
    e = np.float32(5.0121587e-09) if low else e
    small, large = a < np.float32(0.4375), a >= np.float32(2.4375)
    n = a if small else (-one if large else n)
    d = one if small else (a if large else d)
    t = zero if small else (np.float32(1.5707964) if large else t)
    e = zero if small else (np.float32(-4.371139e-08) if large else e)
    return vsigned32(t + vatansmall32(n / d, e), x)


def vatansmall32(r, e):
    """Return atan(r) + e for |r| up to 0.4375."""
    z = r * r
    q = np.float32(-0.14230026) + z * (np.float32(0.10493563) + z * np.float32(-0.058249857))
    q = np.float32(-0.33333305) + z * (np.float32(0.19997767) + z * q)
    return r + (r * z * q + e)


def vatan232(y, x):
    """Return the angle of (x, y), as vatan2."""
    y, x = np.float32(y), np.float32(x)
    one, two, half, zero = np.float32(1.0), np.float32(2.0), np.float32(0.5), np.float32(0.0)
    a, b, inf = abs(y), abs(x), np.float32(np.inf)
    both = a == inf and b == inf
    a, b = one if both else a, one if both else b
    m = a if a > b else b
    p = np.float32(1073741824.0) if m < np.float32(1e-29) else one
    p = np.float32(0.125) if m > np.float32(1e37) else p
    a, b = a * p, b * p
    low, middle = a < np.float32(0.6875) * b, a < np.float32(1.1875) * b
    n = two * a - b if low else (a - b if middle else a - b - half * b)
    d = two * b + a if low else (a + b if middle else b + a + half * a)
    t = np.float32(0.7853982) if middle else np.float32(0.98279375)
    t = np.float32(0.4636476) if low else t
    e = np.float32(-2.1855694e-08) if middle else np.float32(-2.5131424e-08)
    e = np.float32(5.0121587e-09) if low else e
    small, large = a < np.float32(0.4375) * b or a == zero, a >= np.float32(2.4375) * b
    n = a if small else (-b if large else n)
    d = b if small else (a if large else d)
    d = one if d == zero else d
    t = zero if small else (np.float32(1.5707964) if large else t)
    e = zero if small else (np.float32(-4.371139e-08) if large else e)
    s = vatansmall32(n / d, e)
    far = np.float32(3.1415927) - t - (s + np.float32(8.742278e-08))
    return vsigned32(far if vbits32(x) < 0 else t + s, y)


def vasinparts(a):
    """Return r = a up to 1/2, else sqrt((1 - a)/2), p: asin(r) = r + r p, and h, l: r = h + l."""
    big = a > 0.5
    z = 0.5 - 0.5 * a if big else a * a
    r = np.sqrt(z) if big else a
    q = 0.01959446972891546 + z * (-0.016326886762087264 + z * 0.03198181754311704)
    q = 0.012174954318578327 + z * (0.006503471183197182 + z * q)
    q = 0.017359795872872896 + z * (0.013884348457741679 + z * q)
    q = 0.04464285682194935 + z * (0.030381959396388103 + z * (0.022371751919676514 + z * q))
    q = 0.16666666666665375 + z * (0.07500000000344839 + z * q)
    h = vhead(r)  # its square is exact
    return r, z * q, h, (z - h * h) / (1.0 if r == 0.0 else r + h)


def vasin(x):
    """Return asin(x)."""
    a = abs(x)
    r, p, h, l = vasinparts(a)
    y = (1.5707963267948966 - 2.0 * h) + ((6.123233995736766e-17 - 2.0 * l) - 2.0 * (r * p))
    return vsigned(y if a > 0.5 else r + r * p, x)


def vacos(x):
    """Return acos(x)."""
    r, p, h, l = vasinparts(abs(x))
    small = 1.5707963267948966 - (x - (6.123233995736766e-17 - x * p))
    near = 2.0 * (h + (l + r * p))  # 1
    far = 3.141592653589793 - 2.0 * (r + (r * p - 6.123233995736766e-17))
    return near if x > 0.5 else (far if x < -0.5 else small)


def vasinh(x):
    """Return asinh(x) as log(a + sqrt(1 + a*a)), a = |x|, by what is added to 1."""
    a = abs(x)
    big = a > 268435456.0  # 2**28: the root is a, and the logarithm log(a) + log(2)
    b = 1.0 if big else a
    y = vlog1p(a - 1.0 if big else b + b * b / (1.0 + np.sqrt(1.0 + b * b)))
    return vsigned(y + 0.6931471805599453 if big else y, x)


def vacosh(x):
    """Return acosh(x) as log(x + sqrt(x*x - 1)), by what is added to 1."""
    big = x > 268435456.0
    t = 1.0 if big else x - 1.0
    y = vlog1p(x - 1.0 if big else t + np.sqrt(t * (t + 2.0)))
    return y + 0.6931471805599453 if big else y


def vatanh(x):
    """Return atanh(x) as log((1 + a)/(1 - a))/2, a = |x|, by what is added to 1."""
    a = abs(x)
    t = a + a
    z = t + t * a / (1.0 - a) if a < 0.5 else t / (1.0 - a)
    return vsigned(0.5 * vlog1p(z), x)


def vasinparts32(a):
    """Return r, p, h and l, as vasinparts."""
    one, half = np.float32(1.0), np.float32(0.5)
    big = a > half
    z = half - half * a if big else a * a
    r = np.sqrt(z) if big else a
    q = np.float32(0.045478337) + z * (np.float32(0.024141014) + z * np.float32(0.042230517))
    q = np.float32(0.16666754) + z * (np.float32(0.07495233) + z * q)
    h = vhead32(r)
    return r, z * q, h, (z - h * h) / (one if r == np.float32(0.0) else r + h)


def vasin32(x):
    """Return asin(x), as vasin."""
    x, two = np.float32(x), np.float32(2.0)
    a = abs(x)
    r, p, h, l = vasinparts32(a)
    y = (np.float32(1.5707964) - two * h) + ((np.float32(-4.371139e-08) - two * l) - two * (r * p))
    return vsigned32(y if a > np.float32(0.5) else r + r * p, x)


def vacos32(x):
    """Return acos(x), as vacos."""
    x, two, half = np.float32(x), np.float32(2.0), np.float32(0.5)
    r, p, h, l = vasinparts32(abs(x))
    small = np.float32(1.5707964) - (x - (np.float32(-4.371139e-08) - x * p))
    near = two * (h + (l + r * p))
    far = np.float32(3.1415927) - two * (r + (r * p - np.float32(-4.371139e-08)))
    return near if x > half else (far if x < -half else small)


def vasinh32(x):
    """Return asinh(x), as vasinh."""
    x, one = np.float32(x), np.float32(1.0)
    a = abs(x)
    big = a > np.float32(16384.0)
    b = one if big else a
    y = vlog1p32(a - one if big else b + b * b / (one + np.sqrt(one + b * b)))
    return vsigned32(y + np.float32(0.6931472) if big else y, x)


def vacosh32(x):
    """Return acosh(x), as vacosh."""
    x, one = np.float32(x), np.float32(1.0)
    big = x > np.float32(16384.0)
    t = one if big else x - one
    y = vlog1p32(x - one if big else t + np.sqrt(t * (t + np.float32(2.0))))
    return y + np.float32(0.6931472) if big else y


def vatanh32(x):
    """Return atanh(x), as vatanh."""
    x, one, half = np.float32(x), np.float32(1.0), np.float32(0.5)
    a = abs(x)
    t = a + a
    z = t + t * a / (one - a) if a < half else t / (one - a)
    return vsigned32(half * vlog1p32(z), x)
