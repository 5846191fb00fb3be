"""gamma: (x - 1)! where x is whole.

- Up to 5.5: c the nearest whole number, gamma(2 + x - c) by a polynomial, times or over what the recurrence gives.
- Beyond: Stirling's formula, dlmf.nist.gov/5.11.3, its power as in `pow`.
- x < 0: reflection, dlmf.nist.gov/5.5.3.
"""

import numpy as np

from gradcompile.vecmath.bits import vbits, vfloat, vhead, vsigned
from gradcompile.vecmath.exponentials import vexp
from gradcompile.vecmath.gammas import vfactors, vlogshort, vpart, vsinc
from gradcompile.vecmath.powers import vexp2sum, vlog2pair


def vgammanear(y, c):
    """Return gamma(y) for y up to 5.5 and c the nearest whole number."""
    f = y - c
    z = f * f
    q = (7.089897475943251e-06 + f * -5.161925100245175e-06) + z * 2.7386499909035332e-06
    q = (3.0635403887522914e-05 + f * -1.4523906968347013e-05) + z * q
    q = (0.00012163672597499901 + f * -6.099179330575883e-05) + z * q
    q = (0.0004903931040197613 + f * -0.0002409087706055806) + z * q
    q = (0.002103932985927754 + f * -0.0009195770593077115) + z * q
    q = (0.011154045733671757 + f * -0.002852645635505219) + z * q
    q = (0.07424901075316745 + f * -0.0002669820745200776) + z * q
    q = (0.4118403304264427 + f * 0.08157691924716763) + z * q
    q = (1.0 + f * 0.4227843350984668) + z * q
    p = vfactors(y, c)
    return q / p if c < 1.5 else q * p


def vgammafar(y):
    """Return gamma(y) from 5.5 to 172: y**(y - 1/2) exp(-y) as a power of 2."""
    h, g = vlog2pair(y)
    c = y - 0.5
    ch, yh = vhead(c), vhead(y)
    p = ch * h - yh * 1.4426950216293335  # 1/log 2 in 26 bits + 53, as log2(2 pi)/2: p is exact
    p = p + 1.3257480561733246
    e = (c - ch) * h + (c * g + 8.562834814060703e-09)
    e = e - ((y - yh) * 1.4426950216293335 + y * 1.9259629911266175e-08)
    v = 1.0 / y
    z = v * v
    q = 0.0010729481889401537 + v * -0.0008892737612983623
    q = (-0.0005893829294245157 + v * -8.477827017906569e-05) + z * q
    q = (0.0007840404395855166 + v * 6.960320380246861e-05) + z * q
    q = (-0.002681327167334143 + v * -0.0002294719456499723) + z * q
    q = (0.08333333333333279 + v * 0.0034722222223322265) + z * q
    p = vexp2sum(p, e)
    return p + p * (v * q)


def vgammasigned(x, q):
    """Return gamma(x) from q = gamma(|x|)."""
    y, r = abs(x), vpart(x)
    s = (1.0 / q) / (np.nan if r == 0.0 else y * (r + r * vsinc(r)))  # Python divides by no 0
    whole = vbits(y + 6755399441055744.0)  # 1.5*2**52: the lowest bit says whether it is odd
    s = vfloat(vbits(s) ^ ((1 - whole) << 63))
    return s if x < 0.0 else (vsigned(q, x) if x == 0.0 else q)


def vgamma(x):
    """Return gamma(x), infinite at 0, nan at its other poles, and 0 below -171.6."""
    y = abs(x)
    y = 172.0 if y > 172.0 else y
    c = (y + 6755399441055744.0) - 6755399441055744.0
    return vgammasigned(x, vgammafar(y) if y > 5.5 else vgammanear(y, c))


def vgamma32(x):
    """Return gamma(x), as vgamma, by way of float64."""
    x = np.float64(np.float32(x))
    y = abs(x)
    y = 64.0 if y > 64.0 else y
    c = (y + 6755399441055744.0) - 6755399441055744.0
    v, f, p = 1.0 / y, y - c, vfactors(y, c)
    z = f * f
    q = 0.00244157590443583 + f * -0.0011550859502788304
    q = (0.011078464238662442 + f * -0.002776660992975423) + z * q
    q = (0.07425577266542276 + f * -0.0002775221046975174) + z * q
    q = (0.4118401214556604 + f * 0.08157751704981386) + z * q
    q = (1.0000000010184045 + f * 0.42278432548068023) + z * q
    near = q / p if c < 1.5 else q * p
    q = -0.00273208357758438 + v * 0.00010882569377153454
    q = (0.08333327739563832 + v * 0.0034752404684350044) + (v * v) * q
    p = 2.5066282746310002 * vexp((y - 0.5) * vlogshort(y) - y)  # sqrt(2 pi)
    far = p + p * (v * q)
    return np.float32(vgammasigned(x, far if y > 5.5 else near))
