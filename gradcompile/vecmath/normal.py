"""erf: a polynomial up to 1, and 1 - exp of a polynomial beyond, where log(1 - erf(x)) is smooth."""

import numpy as np

from gradcompile.vecmath.bits import vsigned, vsigned32
from gradcompile.vecmath.exponentials import vexp, vexp32


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
