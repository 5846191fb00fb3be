"""pow: 2**(y log2 |x|) with the logarithm as a sum of two numbers, then the sign and the edges of IEEE 754's pow.

Source: e_pow.c of fdlibm (Sun Microsystems 1993) for the products that are exact because their factors have 26 bits.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vfloat32, vgrown, vhead


def vlog2pair(x):
    """Return log2(x) for 0 < x < inf as a sum of two numbers, the first of 26 bits."""
    tiny = x < 2.2250738585072014e-308
    b = vbits(x * 18014398509481984.0 if tiny else x) - 0x3FE6A09E667F3BCD  # as vlog
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    n = n - 54.0 if tiny else n
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    d = 2.0 + f
    v = 1.0 / d
    s = f * v
    sh, dh = vhead(s), vhead(d)
    sl = v * ((f - sh * dh) - sh * (f - (dh - 2.0)))  # f/(2 + f) = sh + sl
    z = s * s
    w = z * z  # two coefficients at a time: half as many steps that wait for one another
    q = 0.17512228705837507 + z * 0.17983512876682095
    q = (0.23076835308059107 + z * 0.20004476075490868) + w * q
    q = (0.3333333332630493 + z * 0.27272728305446214) + w * q
    q = (0.5999999999999996 + z * 0.4285714285716767) + w * q
    zh, g = sh * sh, sl * (sh + s)
    u = 3.0 + zh
    th = vhead(u)  # 3 atanh(s)/s = th + tl; what is split does not wait for q
    g = g + 1.2 * z * ((zh - z) + g)  # what z was rounded by
    tl = (((u - th) + (zh - (u - 3.0))) + g) + w * q
    u, v = sh * th, sl * th + tl * s
    ph = vhead(u)
    pl = (u - ph) + v
    u = 0.9617966860532761 * ph  # 2/(3 log 2) in 26 bits + 53
    v = 7.872699542894897e-09 * ph + pl * 0.9617966939259756
    h = vhead(n + u)
    return h, v - ((h - n) - u)


def vexp2sum(p, e):
    """Return 2**(p + e) for |p| <= 1076, of which p has no more digits than 52 and e is small."""
    t = (p + e) + 6755399441057790.0  # as vexp
    f = p - (t - 6755399441057790.0)
    h = vhead(f)
    u = h * 0.6931471675634384  # log 2 in 26 bits + 53
    v = ((f - h) + e) * 0.6931471805599453 + h * 1.2996506893889889e-08
    r = u + v
    e = v - (r - u)
    z = r * r
    q = (2.7557216313023577e-06 + r * 2.763128095295722e-07) + z * 2.511785858878631e-08
    q = (0.000198412699173646 + r * 2.4801489940283478e-05) + z * q
    q = (0.008333333333307217 + r * 0.0013888888947018031) + z * q
    q = (0.166666666666667 + r * 0.04166666666651541) + z * q
    q = 0.5000000000000012 + r * q
    return vgrown(r + (e + z * q), t)


def vpow(x, y):
    """Return x**y."""
    h, g = vlog2pair(abs(x))
    c = 3e20 if y > 3e20 else y  # beyond, powers of all numbers but 1 are 0 or inf
    c = -3e20 if c < -3e20 else c
    ch = vhead(c)
    p = ch * h
    e = (c - ch) * h + c * g
    e = e if abs(p) < 1076.0 else 0.0
    p = -1076.0 if p < -1076.0 else p  # 0, as in vexp
    p = 1076.0 if p > 1076.0 else p
    return vpowedges(x, y, vexp2sum(p, e))


def vpowedges(x, y, q):
    """Return x**y from q = |x|**y, right where that says nothing: x < 0, 0, inf and nan."""
    a, b, big = abs(x), abs(y), 4503599627370496.0  # 2**52
    h = 0.5 * b
    whole = (b + big) - big == b or b >= big
    odd = whole and not ((h + big) - big == h or h >= big)
    q = q if 0.0 < a < np.inf else (np.inf if (y > 0.0) == (a > 1.0) else 0.0)
    q = np.nan if x < 0.0 and x > -np.inf and not whole else q
    q = vfloat(vbits(q) ^ ((vbits(x) ^ vbits(a)) if odd else 0))
    q = x + y if x != x or y != y else q
    return 1.0 if x == 1.0 or y == 0.0 else q


def vpow32(x, y):
    """Return x**y by way of float64, where the exponent has the 7 bits that it needs more."""
    x, y = np.float32(x), np.float32(y)
    b = vbits(np.float64(abs(x))) - 0x3FE6A09E667F3BCD  # as vlog: no float32 is subnormal here
    n = vfloat((b >> 52) + 0x4338000000000000) - 6755399441055744.0
    f = vfloat((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    s = f / (2.0 + f)
    z = s * s
    q = 0.4000033528723907 + z * (0.28537301746928495 + z * 0.23582290483218873)
    q = 0.6666666564510499 + z * q
    p = np.float64(y) * (n + 1.4426950408889634 * (f - s * (f - z * q)))
    p = -1023.0 if p < -151.0 else p  # 0
    p = 200.0 if p > 200.0 else p
    t = p + 6755399441056767.0  # 1.5*2**52 + 1023
    r = 0.6931471805599453 * (p - (t - 6755399441056767.0))
    q = 0.04166620616334999 + r * (0.008368889244567877 + r * 0.0013950468660662812)
    q = 0.5000000095075942 + r * (0.1666651884128577 + r * q)
    return vpowedges32(x, y, np.float32((1.0 + (r + r * r * q)) * vfloat(vbits(t) << 52)))


def vpowedges32(x, y, q):
    """Return x**y from q = |x|**y, as vpowedges."""
    zero, one, inf = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    a, b, big = abs(x), abs(y), np.float32(8388608.0)  # 2**23
    h = np.float32(0.5) * b
    whole = (b + big) - big == b or b >= big
    odd = whole and not ((h + big) - big == h or h >= big)
    q = q if zero < a < inf else (inf if (y > zero) == (a > one) else zero)
    q = np.float32(np.nan) if x < zero and x > -inf and not whole else q
    q = vfloat32(vbits32(q) ^ ((vbits32(x) ^ vbits32(a)) if odd else np.int32(0)))
    q = x + y if x != x or y != y else q
    return one if x == one or y == zero or (x == -one and b == inf) else q
