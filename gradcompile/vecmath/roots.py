"""hypot: the root of a sum of two squares, scaled by a power of two where these would overflow or vanish."""

import numpy as np


def vhypot(x, y):
    """Return sqrt(x*x + y*y)."""
    a, b = abs(x), abs(y)
    m = a if a > b else b
    s, t = 2.409919865102884e-181, 4.149515568880993e180  # 2**-600, 2**600
    p = s if m > 1e150 else (t if m < 1e-150 else 1.0)
    q = t if m > 1e150 else (s if m < 1e-150 else 1.0)
    u, v = a * p, b * p
    r = q * np.sqrt(u * u + v * v)
    return np.inf if a == np.inf or b == np.inf else r


def vhypot32(x, y):
    """Return sqrt(x*x + y*y) for float32."""
    a, b = abs(np.float32(x)), abs(np.float32(y))
    m = a if a > b else b
    s, t = np.float32(7.888609052210118e-31), np.float32(1.2676506002282294e30)  # 2**-100, 2**100
    one, inf = np.float32(1.0), np.float32(np.inf)
    large, small = m > np.float32(1e15), m < np.float32(1e-15)
    p = s if large else (t if small else one)
    q = t if large else (s if small else one)
    u, v = a * p, b * p
    r = q * np.sqrt(u * u + v * v)
    return inf if a == inf or b == inf else r
