"""Functions of arrays that NumPy lacks: copied into modules of the target numpy.

Each works for nan, infinities and both zeros, elementwise with broadcasting, and keeps float32.
"""

import math

import numpy as np


def as_float64(*values):
    """Return the arguments as arrays of float64, or numbers that overflow as IEEE 754 says."""
    return tuple(np.asarray(value, np.float64)[()] for value in values)


def as_float32(*values):
    """Return the arguments as arrays of float32, or numbers that overflow as IEEE 754 says."""
    return tuple(np.asarray(value, np.float32)[()] for value in values)


def as_labels(labels):
    """Return labels as int64: sums of smaller numbers would overflow; fractions are a TypeError."""
    return np.asarray(labels).astype(np.int64, casting="same_kind", copy=False)[()]


def sigmoid(x):
    """Return 1/(1 + exp(-x)); neither tail overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def softplus(x):
    """Return log(1 + exp(x)); neither tail overflows."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def finite(x):
    """Return numbers, with 0 for those that are not finite."""
    return np.where(np.isfinite(x), x, 0)


def place(x, count):
    """Return numbers as indices of an axis: 0 below it and for nan, the last beyond."""
    return np.minimum(np.fmin(np.fmax(x, 0), 2.0**53).astype(np.int64), count - 1)


def sech(x):
    """Return 1/cosh(x); neither tail overflows."""
    e = np.exp(-np.abs(x))
    return 2 * e / (1 + e * e)


def logcosh(x):
    """Return log(cosh(x)): up to 1 from cosh(x) - 1, beyond from |x| - log(2)."""
    a = np.abs(x)
    m = np.expm1(-np.minimum(a, 1))
    far = a + (np.log1p(np.exp(-2 * a)) - 0.6931471805599453)
    return np.where(a < 1, np.log1p(m * m / (2 + 2 * m)), far)


def log1pwexp(w, u):
    """Return log(1 + w*exp(u)), also where the exponential overflows; 0 at w = 0."""
    with np.errstate(all="ignore"):
        half = np.exp(u / 2)
        product = w * half * half
        there = np.where(product < np.inf, np.log1p(product), u + np.log(w))
        return np.where((w == 0) & (u == u), 0 * w, there)


def log1pwsq(w, x):
    """Return log(1 + w*x*x), also where the product overflows."""
    with np.errstate(all="ignore"):
        product = w * x * x
        return np.where(product < np.inf, np.log1p(product), np.log(w) + 2 * np.log(np.abs(x)))


def log1mexp(x):
    """Return log(1 - exp(x)) for x <= 0, by whichever of two forms does not cancel."""
    with np.errstate(all="ignore"):
        return np.where(x < -0.6931471805599453, np.log1p(-np.exp(x)), np.log(-np.expm1(x)))


def xlogy(x, y):
    """Return x*log(y), which is 0 at x = 0."""
    return x * np.log(np.where((x == 0) & ~np.isnan(y), 1, y))


def xlog1py(x, y):
    """Return x*log(1 + y), which is 0 at x = 0."""
    return x * np.log1p(np.where((x == 0) & ~np.isnan(y), 0, y))


def xlog1pdiv(x, d):
    """Return x*log(1 + d/x), which is 0 at x = 0."""
    with np.errstate(all="ignore"):
        share = d / x
        there = x * np.where(share < np.inf, np.log1p(share), np.log(d) - np.log(x))
        return np.where((x == 0) & (d == d), 0 * x, there)


def log1pover(n, x):
    """Return the integral of u**n/(1 + x*u)**(n + 1), 0 < u < 1: log(1 + x)/x for n = 0."""
    with np.errstate(all="ignore"):
        share = x / (1 + x)
        near = np.abs(share) < 0.3
        share, series = np.where(near, share, 0 * x), 0 * x
        for k in range(31, -1, -1):
            series = series * share + 1 / (n + 1 + k)
        total = np.where(x == np.inf, 1 / x, np.log1p(x) / x)
        for k in range(1, n + 1):
            total = (total - 1 / (k * (1 + x) ** k)) / x
        return np.where(near, series / (1 + x) ** (n + 1), total)[()]


def log1pgap(x, log):
    """Return log(1 + x) - x/(1 + x), the logarithm given; of small x by its series."""
    with np.errstate(all="ignore"):
        share = x / (1 + x)
        near = np.abs(share) < 0.3
        part, series = np.where(near, share, 0 * share), 0 * x
        for k in range(31, -1, -1):
            series = series * part + 1 / (2 + k)
        return np.where(near, series * part * part, log - 1 + 1 / (1 + x))[()]


def expm1over(n, x):
    """Return the integral of u**n*exp(x*u), 0 < u < 1: (exp(x) - 1)/x for n = 0."""
    with np.errstate(all="ignore"):
        near, exponential = np.abs(x) < 1, np.exp(x)
        small, series = np.where(near, x, 0 * exponential), 0 * x
        for k in range(19, -1, -1):
            series = series * small + 1 / (math.gamma(k + 1) * (n + 1 + k))
        total = np.expm1(x) / x
        for k in range(1, n + 1):
            total = (exponential - k * total) / x
        return np.where(near, series, np.where(exponential == np.inf, exponential, total))[()]


def xlogx1p(x):
    """Return (1 + x)*log(1 + x), which is 0 at x = -1."""
    return (1 + x) * np.log1p(np.where(x == -1, 0, x))


def elementwise(function, x):
    """Return a function of numbers, applied to every element."""
    x = np.asarray(x)
    with np.errstate(all="ignore"):
        return np.vectorize(function, otypes=[np.result_type(x, np.float32)])(x)[()]


def erf(x):
    """Return the error function."""
    return elementwise(math.erf, x)


def erfc(x):
    """Return 1 - erf(x) without cancellation."""
    return elementwise(math.erfc, x)


def erfcx_of(x):
    """Return exp(x*x)*erfc(x); from 10 on by its asymptotic series, dlmf.nist.gov/7.12.1."""
    if x < 10:
        if x < -26.7:
            return math.inf
        h = float(int(x * 4096)) / 4096  # h*h is exact; x*x = h*h + (x - h)*(x + h)
        return math.exp(h * h) * (math.exp((x - h) * (x + h)) * math.erfc(x))
    w, term, total = 0.5 / x / x, 1.0, 1.0
    for k in range(1, 20):
        term = -term * (2 * k - 1) * w
        total += term
    return 0.5641895835477563 / x * total


def erfcx(x):
    """Return exp(x*x)*erfc(x), the scaled complement of the error function."""
    return elementwise(erfcx_of, x)


def logtail_of(x):
    """Return log(erfc(x)/2) of a number."""
    if x > 1:
        return math.log(erfcx_of(x) / 2) - x * x
    return math.log1p(-math.erfc(-x) / 2) if x < 0 else math.log(math.erfc(x) / 2)


def logtail(x):
    """Return log(erfc(x)/2), which neither underflows nor cancels."""
    return elementwise(logtail_of, x)


def gamma_of(x):
    """Return gamma of a number: infinite at 0 and where it overflows, nan at its other poles."""
    try:
        return math.gamma(x)
    except OverflowError:
        return math.copysign(math.inf, x)
    except ValueError:
        return math.copysign(math.inf, x) if x == 0 else math.nan


def gamma(x):
    """Return the gamma function."""
    return elementwise(gamma_of, x)


def lgamma_of(x):
    """Return log|gamma(x)| of a number: infinite at the poles and where it overflows."""
    try:
        return math.lgamma(x)
    except (OverflowError, ValueError):
        return math.inf


def lgamma(x):
    """Return log|gamma(x)|."""
    return elementwise(lgamma_of, x)


def digamma(x):
    """Return the derivative of lgamma: recurrence, then Stirling's series; dlmf.nist.gov/5.11."""
    with np.errstate(all="ignore"):
        pole = (x <= 0) & (x == np.floor(x))
        total = np.where(x < 0, -np.pi / np.tan(np.pi * (x - np.floor(x + 0.5))), 0)
        z = np.where(x < 0, 1 - x, x)
        for _ in range(10):
            total = np.where(z < 10, total - 1 / z, total)
            z = np.where(z < 10, z + 1, z)
        w = 1 / (z * z)
        series = 1 / 252 - w * (1 / 240 - w * (1 / 132 - w * (691 / 32760 - w / 12)))
        result = total + np.log(z) - 0.5 / z - w * (1 / 12 - w * (1 / 120 - w * series))
        return np.where(pole, np.where(x == 0, np.copysign(np.inf, -x), np.nan), result)[()]


def polygamma(n, x):
    """Return derivative n of digamma: recurrence, Euler-Maclaurin sum; dlmf.nist.gov/25.11.28."""
    if n == 0:
        return digamma(x)
    factor = math.gamma(n + 1) if n % 2 else -math.gamma(n + 1)
    with np.errstate(all="ignore"):
        pole = (x <= 0) & (x == np.floor(x))
        z, total, s = np.where(pole, 1, x), np.where(pole, np.inf, 0 * x), n + 1
        while np.any(z < 15 + n):
            total = np.where(z < 15 + n, total + 1 / z**s, total)
            z = np.where(z < 15 + n, z + 1, z)
        w = 1 / (z * z)
        tail = 1 - w * (s + 7) * (s + 8) * (5 / 198) * (1 - w * (s + 9) * (s + 10) * (691 / 27300))
        tail = 1 - w * (s + 3) * (s + 4) / 42 * (1 - w * (s + 5) * (s + 6) / 40 * tail)
        tail = 1 - w * (s + 1) * (s + 2) / 60 * tail
        return factor * (total + (z / n + 0.5 + s / (12 * z) * tail) / z**s)[()]


def lgammagap(r, d, at_r):
    """Return lgamma(r + d) - lgamma(r), that given; from 16 on by Stirling's series."""
    low, high = np.minimum(r, r + d), np.maximum(r, r + d)
    with np.errstate(all="ignore"):
        u, v = 1 / low, 1 / high
        p, q = u * u + v * v, u * v * (u * v)
        a = p + u * v
        b = p * a - q
        c = p * b - q * a
        series = 1 / 12 - a / 360 + b / 1260 - c / 1680 + (p * c - q * b) / 1188
        size = (low - 0.5) * np.log1p(np.abs(d) / low)
        size = size + np.abs(d) * (np.log(high) - 1 - u * v * series)
        return np.where(low > 16, np.sign(d) * size, lgamma(r + d) - at_r)[()]


def digammagap(r, d, at_r):
    """Return digamma(r + d) - digamma(r), that given; from 16 on by its series."""
    low, high = np.minimum(r, r + d), np.maximum(r, r + d)
    with np.errstate(all="ignore"):
        u, v = 1 / low, 1 / high
        p, q = u * u + v * v, u * v * (u * v)
        a = p * p - q
        b = p * a - q * p
        c = p * b - q * a
        series = 1 / 12 - p / 120 + a / 252 - b / 240 + c / 132 - (p * c - q * b) * (691 / 32760)
        size = np.log1p(np.abs(d) / low) + np.abs(d) * u * v * (0.5 + (u + v) * series)
        return np.where(low > 16, np.sign(d) * size, digamma(r + d) - at_r)[()]


def polygammagap(n, r, d):
    """Return polygamma(n, r + d) - polygamma(n, r); beyond 15 + n by its series."""
    if n == 0:
        return digammagap(r, d, digamma(r))
    low = np.minimum(r, r + d)
    with np.errstate(all="ignore"):
        s, w, scale = n + 1, 1 / (low * low), -np.log1p(np.abs(d) / low)
        total = np.expm1(n * scale) / n + 0.5 / low * np.expm1(s * scale)
        term = s / 12 * w
        for ratio in (1 / 60, 1 / 42, 1 / 40, 5 / 198, 691 / 27300):
            total = total + term * np.expm1((s + 1) * scale)
            s = s + 2
            term = -term * w * (s - 1) * s * ratio
        total = (total + term * np.expm1((s + 1) * scale)) / low**n
        size = np.sign(d) * (total * math.gamma(n + 1) * (-1) ** (n + 1))
        return np.where(low > 15 + n, size, polygamma(n, r + d) - polygamma(n, r))[()]


def lbeta(a, b):
    """Return the logarithm of the beta function, by the difference of log gammas that is large."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return lgamma(low) - lgammagap(high, low, lgamma(high))


def logdet(matrix):
    """Return the logarithm of the determinant; nan where that is negative."""
    orientation, log = np.linalg.slogdet(matrix)
    return np.where(orientation < 0, np.nan, log)[()]


def sums_before(x, axis):
    """Return, for each index along an axis, the sum of what comes before it."""
    sums = np.zeros_like(x)
    np.cumsum(x.swapaxes(0, axis)[:-1], 0, out=sums.swapaxes(0, axis)[1:])
    return sums


def sums_after(x, axis):
    """Return, for each index along an axis, the sum of what comes after it."""
    return np.flip(sums_before(np.flip(x, axis), axis), axis)


def products_before(x, axis):
    """Return, for each index along an axis, the product of what comes before it."""
    products = np.ones_like(x)
    np.cumprod(x.swapaxes(0, axis)[:-1], 0, out=products.swapaxes(0, axis)[1:])
    return products


def products_after(x, axis):
    """Return, for each index along an axis, the product of what comes after it."""
    return np.flip(products_before(np.flip(x, axis), axis), axis)


def recurrence_before(factors, terms, axis):
    """Return what is made of 0 before each index along an axis: times a factor, plus a term."""
    shape = np.broadcast(factors, terms).shape
    factors, terms = (np.broadcast_to(x, shape).swapaxes(0, axis) for x in (factors, terms))
    found = np.zeros_like(terms)
    for k in range(1, len(terms)):
        found[k] = found[k - 1] * factors[k - 1] + terms[k - 1]
    return found.swapaxes(0, axis)


def recurrence_after(factors, terms, axis):
    """Return what is made of 0 after each index along an axis: times a factor, plus a term."""
    shape = np.broadcast(factors, terms).shape
    factors, terms = (np.flip(np.broadcast_to(x, shape), axis) for x in (factors, terms))
    return np.flip(recurrence_before(factors, terms, axis), axis)


def sums_from(x, axis):
    """Return, for each index along an axis, the sum from it on."""
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis)
