"""Reduction of an angle: x = (q + 4 k) pi/2 + r + c with |r| <= pi/4, for sin, cos and tan.

Near, up to 1e8: pi/2 in pieces so short that their products with q are exact (W. Cody and W. Waite 1980). Far: 2/pi to
1,200 bits, of which those are taken that matter modulo 4 (M. Payne and R. Hanek, SIGNUM Newsletter 18, 1983). Vector
code has no branches: the far case is computed, too, unless a compiler knows that it is seldom chosen.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vbits32, vfloat, vhead


def vnear(a):
    """Return r, c, q for a from 0 to 1e8: pi/2 in 3 pieces of 27 bits and 53 more."""
    t = a * 0.6366197723675814 + 6755399441055744.0  # 1.5*2**52: its low bits are q
    n = t - 6755399441055744.0
    u = (a - n * 1.570796325802803) - n * 9.920935184482005e-10  # in multiples of 2**-53: exact
    s = u - n * 6.123233932053594e-17
    e = ((u - s) - n * 6.123233932053594e-17) - n * 6.36831716351095e-25
    r = s + e
    return r, (s - r) + e, vbits(t)


def vwindow(p):
    """Return 4 words of 2/pi, the first with its bit p - 31, by a barrel shift over 19 words."""
    far = p & 512 != 0
    w0 = 3367360484035293222 if far else 2734261102
    w1 = -5449498205491177927 if far else 5639655903442982865
    w2 = -8983773108913283189 if far else -777753015244122727
    w3 = -4757727296935651329 if far else 4342473078829310891
    w4 = -2448383628201225845 if far else -2397105353169539526
    w5 = 6488118194924322511 if far else 4777706639329930986
    w6 = 2867396270665121638 if far else 707507269693991708
    w7 = -7034646611969459513 if far else -5680825566320511499
    w8 = -1448486193522591241 if far else 3367360484035293222
    w9 = -8479553612853583951 if far else -5449498205491177927
    w10 = 2273575677276139590 if far else -8983773108913283189
    far = p & 256 != 0
    v0 = w4 if far else w0
    v1 = w5 if far else w1
    v2 = w6 if far else w2
    v3 = w7 if far else w3
    v4 = w8 if far else w4
    v5 = w9 if far else w5
    v6 = w10 if far else w6
    far = p & 128 != 0
    u0 = v2 if far else v0
    u1 = v3 if far else v1
    u2 = v4 if far else v2
    u3 = v5 if far else v3
    u4 = v6 if far else v4
    far = p & 64 != 0
    t0 = u1 if far else u0
    t1 = u2 if far else u1
    t2 = u3 if far else u2
    t3 = u4 if far else u3
    return t0, t1, t2, t3


def vproduct(m, x, y, z):
    """Return the leading words (64 bits, 52 bits) of m times a number of 3 words, modulo 2**192."""
    low = 0xFFFFFFFF
    m0, m1, x0, y0, z0 = m & low, m >> 32, x & low, y & low, z & low
    x1, y1, z1 = x >> 32 & low, y >> 32 & low, z >> 32 & low
    p1, p2, p3, p4 = m0 * z1, m0 * y0, m0 * y1, m0 * x0
    s2 = (p1 >> 32 & low) + (m1 * z0 >> 32) + (p2 & low) + m1 * z1
    s3 = (s2 >> 32) + (p2 >> 32 & low) + (p3 & low) + m1 * y0
    s4 = (s3 >> 32) + (p3 >> 32 & low) + (p4 & low) + m1 * y1
    s5 = (s4 >> 32) + (p4 >> 32 & low) + m0 * x1 + m1 * x0
    return (s5 << 32) | (s4 & low), (s3 << 20 & 0xFFFFFFFF00000) | (s2 >> 12 & 0xFFFFF)


def vfar(a):
    """Return r, c, q for any a from 2**26; nan for inf and nan."""
    b = vbits(a)
    p = (b >> 52) - 1045  # a = m 2**e, and bits of 2/pi before bit e - 1 make multiples of 4
    x, y, z, w = vwindow(p)
    i, j, rest = p & 63, 63 - (p & 63), 0x7FFFFFFFFFFFFFFF  # >> is arithmetic: >> 1 & rest is not
    x, y = (x << i) | ((y >> 1 & rest) >> j), (y << i) | ((z >> 1 & rest) >> j)
    z = (z << i) | ((w >> 1 & rest) >> j)
    high, low = vproduct((b & 0xFFFFFFFFFFFFF) | 0x10000000000000, x, y, z)
    q = (high + 0x2000000000000000) >> 62
    high = high - (q << 62)  # with low: the fraction of a quarter turn, from -1/2 to 1/2
    f = (vfloat((high >> 32) + 0x4338000000000000) - 6755399441055744.0) * 2.0**-30
    g = (vfloat((high & 0xFFFFFFFF) | 0x4330000000000000) - 4503599627370496.0) * 2.0**-62
    h = (vfloat(low | 0x4330000000000000) - 4503599627370496.0) * 2.0**-114
    s = f + g
    h = (g - (s - f)) + h
    f = s + h
    h = ((s - f) + h) * 1.5707963267948966 + (a - a)
    g = vhead(f)
    s = g * 1.570796325802803  # pi/2 in 27 bits + 53
    h = (f - g) * 1.570796325802803 + (f * 9.920935796805404e-10 + h)
    r = s + h
    return r, (s - r) + h, q


def vturn(a):
    """Return r, c, q for any a >= 0."""
    r, c, q = vnear(a)
    r1, c1, q1 = vfar(a)
    far = a > 1e8
    return r1 if far else r, c1 if far else c, q1 if far else q


def vnear32(a):
    """Return r, q for a from 0 to 1e8, r in float64: there pi/2 in two pieces is enough."""
    x = np.float64(a)
    t = x * 0.6366197723675814 + 6755399441055744.0
    n = t - 6755399441055744.0
    return (x - n * 1.570796325802803) - n * 9.920935796805404e-10, vbits(t)


def vfar32(a):
    """Return r, q for any a from 2**26, r in float64, as vfar; 4 words of 2/pi are enough."""
    b = np.int64(vbits32(a))
    p = (b >> 23) - 152
    far = p & 64 != 0
    x = -277156292786332224 if far else -6703182060581546711
    y = -2638381946312093631 if far else -277156292786332224
    z = -121206125134887583 if far else -2638381946312093631
    i, j, rest = p & 63, 63 - (p & 63), 0x7FFFFFFFFFFFFFFF
    high = (x << i) | ((y >> 1 & rest) >> j)
    low = ((y << i) | ((z >> 1 & rest) >> j)) >> 32 & 0xFFFFFFFF
    m = (b & 0x7FFFFF) | 0x800000
    high = (m * (high >> 32 & 0xFFFFFFFF) << 32) + m * (high & 0xFFFFFFFF) + (m * low >> 32)
    q = (high + 0x2000000000000000) >> 62
    high = high - (q << 62)
    f = (vfloat((high >> 32) + 0x4338000000000000) - 6755399441055744.0) * 1.4629180792671596e-09
    g = vfloat((high & 0xFFFFFFFF) | 0x4330000000000000) - 4503599627370496.0
    return f + g * 3.4061215800865545e-19, q  # pi/2 times 2**-30 and 2**-62


def vturn32(a):
    """Return r, c, q for any a >= 0."""
    s, q = vnear32(a)
    f, p = vfar32(a)
    far = a > np.float32(1e8)
    s = f + np.float64(a - a) if far else s
    r = np.float32(s)
    return r, np.float32(s - np.float64(r)), np.int32(p if far else q)
