"""Functions of numbers that `math` lacks: copied into modules of the targets python and numba.

Each works for nan, infinities and both zeros; none raises for an overflow on the way.
"""

import math


def sign(x):
    """Return 1 for x > 0, -1 for x < 0, 0 at 0."""
    return x if math.isnan(x) else 1.0 if x > 0 else -1.0 if x < 0 else 0.0


def floor(x):
    """Return the largest whole number that is not above x."""
    return math.copysign(float(math.floor(x)), x) if math.isfinite(x) else x


def ceil(x):
    """Return the smallest whole number that is not below x."""
    return math.copysign(float(math.ceil(x)), x) if math.isfinite(x) else x


def place(x, count):
    """Return a number as an index of an axis: 0 below it and for nan, the last beyond."""
    return min(int(min(x, 9007199254740992.0)), count - 1) if x > 0 else 0


def maximum(a, b):
    """Return the larger number; nan if one of them is."""
    return a if a >= b or math.isnan(a) else b


def minimum(a, b):
    """Return the smaller number; nan if one of them is."""
    return a if a <= b or math.isnan(a) else b


def sigmoid(x):
    """Return 1/(1 + exp(-x)); neither tail overflows."""
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


def softplus(x):
    """Return log(1 + exp(x)); neither tail overflows."""
    return (0.0 if x < 0 else x) + math.log1p(math.exp(-abs(x)))


def logtotal(x):
    """Return log(x), -inf at 0."""
    return math.log(x) if x != 0 else -math.inf


def finite(x):
    """Return a number, or 0 for one that is not finite."""
    return x if math.isfinite(x) else 0.0


def sech(x):
    """Return 1/cosh(x); neither tail overflows."""
    e = math.exp(-abs(x))
    return 2 * e / (1 + e * e)


def logcosh(x):
    """Return log(cosh(x)): up to 1 from cosh(x) - 1, beyond from |x| - log(2)."""
    a = abs(x)
    if a < 1:
        m = math.expm1(-a)
        return math.log1p(m * m / (2 + 2 * m))
    return a + (math.log1p(math.exp(-2 * a)) - 0.6931471805599453)


def log1pwexp(w, u):
    """Return log(1 + w*exp(u)), also where the exponential overflows; 0 at w = 0."""
    if w == 0:
        return 0.0 * w if u == u else u
    half = math.exp(u / 2) if u < 1400 else math.inf
    product = w * half * half
    if product < math.inf:
        return math.log1p(product) if product > -1 else -math.inf if product == -1 else math.nan
    return u + math.log(w) if w > 0 else math.nan


def log1pwsq(w, x):
    """Return log(1 + w*x*x), also where the product overflows."""
    product = w * x * x
    if product < math.inf:
        return math.log1p(product) if product > -1 else -math.inf if product == -1 else math.nan
    return math.log(w) + 2 * math.log(abs(x)) if w > 0 and x == x else math.nan


def log1mexp(x):
    """Return log(1 - exp(x)) for x <= 0, by whichever of two forms does not cancel."""
    if x < -0.6931471805599453:
        return math.log1p(-math.exp(x))
    return math.log(-math.expm1(x)) if x < 0 else -math.inf if x == 0 else math.nan


def erfcx(x):
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


def logtail(x):
    """Return log(erfc(x)/2), which neither underflows nor cancels."""
    if x > 1:
        return math.log(erfcx(x) / 2) - x * x
    return math.log1p(-math.erfc(-x) / 2) if x < 0 else math.log(math.erfc(x) / 2)


def xlogy(x, y):
    """Return x*log(y), which is 0 at x = 0."""
    if x == 0 and not math.isnan(y):
        return 0.0 * x
    return x * math.log(y) if y > 0 else -x * math.inf if y == 0 else math.nan


def xlog1py(x, y):
    """Return x*log(1 + y), which is 0 at x = 0."""
    if x == 0 and y == y:
        return 0.0 * x
    return x * (math.log1p(y) if y > -1 else -math.inf if y == -1 else math.nan)


def xlog1pdiv(x, d):
    """Return x*log(1 + d/x), which is 0 at x = 0."""
    if x == 0:
        return 0.0 * x if d == d else d
    share = d / x
    if share < math.inf:
        return x * (math.log1p(share) if share > -1 else -math.inf if share == -1 else math.nan)
    return x * (math.log(d) - math.log(x)) if 0 < x < d else math.nan


def log1pover(n, x):
    """Return the integral of u**n/(1 + x*u)**(n + 1), 0 < u < 1: log(1 + x)/x for n = 0."""
    if -0.2 < x < 0.4:
        share = x / (1 + x)
        power = 1.0
        total = 0.0
        k = n + 1
        while abs(power) > 1e-17:
            total += power / k
            power *= share
            k += 1
        return total / (1 + x) ** (n + 1)
    if not -1 < x < math.inf:
        return math.inf if x == -1 else 0.0 if x == math.inf else math.nan
    total = math.log1p(x) / x
    for k in range(1, n + 1):
        total = (total - 1 / (k * (1 + x) ** k)) / x
    return total


def log1pgap(x, log):
    """Return log(1 + x) - x/(1 + x), the logarithm given; of small x by its series."""
    if not -0.3 < x < 0.4:
        return log - 1 + 1 / (1 + x)
    share = x / (1 + x)
    power, total, k = 1.0, 0.0, 2
    while abs(power) > 1e-17:
        total += power / k
        power *= share
        k += 1
    return share * share * total


def expm1over(n, x):
    """Return the integral of u**n*exp(x*u), 0 < u < 1: (exp(x) - 1)/x for n = 0."""
    if -1 < x < 1:
        power = 1.0
        total = 0.0
        k = 0
        while abs(power) > 1e-17:
            total += power / (n + 1 + k)
            k += 1
            power *= x / k
        return total
    if not -math.inf < x < 709:
        return 0.0 if x == -math.inf else math.inf if x >= 709 else math.nan
    total = math.expm1(x) / x
    for k in range(1, n + 1):
        total = (math.exp(x) - k * total) / x
    return total


def xlogx1p(x):
    """Return (1 + x)*log(1 + x), which is 0 at x = -1."""
    return (1 + x) * math.log1p(x) if x > -1 else 0.0 if x == -1 else math.nan


def digamma(x):
    """Return the derivative of lgamma: recurrence, then Stirling's series; dlmf.nist.gov/5.11."""
    if x <= 0 and x == floor(x):
        return math.copysign(math.inf, -x) if x == 0 else math.nan
    total = 0.0
    if x < 0:  # reflection
        total = -math.pi / math.tan(math.pi * (x - floor(x + 0.5)))
        x = 1 - x
    while x < 10:
        total -= 1 / x
        x = x + 1
    w = 1 / (x * x)
    series = 1 / 252 - w * (1 / 240 - w * (1 / 132 - w * (691 / 32760 - w / 12)))
    return total + math.log(x) - 0.5 / x - w * (1 / 12 - w * (1 / 120 - w * series))


def polygamma(n, x):
    """Return derivative n of digamma: recurrence, Euler-Maclaurin sum; dlmf.nist.gov/25.11.28."""
    if n == 0:
        return digamma(x)
    factor = math.gamma(n + 1.0) if n % 2 else -math.gamma(n + 1.0)
    if x <= 0 and x == floor(x):
        return factor * math.inf
    total, s = 0.0, n + 1
    while x < 15 + n:
        total += 1 / x**s
        x = x + 1
    w = 1 / (x * x)
    tail = 1 - w * (s + 7) * (s + 8) * (5 / 198) * (1 - w * (s + 9) * (s + 10) * (691 / 27300))
    tail = 1 - w * (s + 3) * (s + 4) / 42 * (1 - w * (s + 5) * (s + 6) / 40 * tail)
    tail = 1 - w * (s + 1) * (s + 2) / 60 * tail
    return factor * (total + (x / n + 0.5 + s / (12 * x) * tail) / x**s)


def lgammagap(r, d, at_r):
    """Return lgamma(r + d) - lgamma(r), that given; from 16 on by Stirling's series."""
    x = r + d
    low, high = min(r, x), max(r, x)
    if not low > 16 or high == math.inf:
        return math.lgamma(x) - at_r
    u, v = 1 / low, 1 / high
    p, q = u * u + v * v, u * v * (u * v)
    a = p + u * v
    b = p * a - q
    c = p * b - q * a
    series = 1 / 12 - a / 360 + b / 1260 - c / 1680 + (p * c - q * b) / 1188
    size = (low - 0.5) * math.log1p(abs(d) / low) + abs(d) * (math.log(high) - 1 - u * v * series)
    return size if d > 0 else -size


def digammagap(r, d, at_r):
    """Return digamma(r + d) - digamma(r), that given; from 16 on by its series."""
    x = r + d
    low, high = min(r, x), max(r, x)
    if not low > 16 or high == math.inf:
        return digamma(x) - at_r
    u, v = 1 / low, 1 / high
    p, q = u * u + v * v, u * v * (u * v)
    a = p * p - q
    b = p * a - q * p
    c = p * b - q * a
    series = 1 / 12 - p / 120 + a / 252 - b / 240 + c / 132 - (p * c - q * b) * (691 / 32760)
    size = math.log1p(abs(d) / low) + abs(d) * u * v * (0.5 + (u + v) * series)
    return size if d > 0 else -size


def polygammagap(n, r, d):
    """Return polygamma(n, r + d) - polygamma(n, r); beyond 15 + n by its series."""
    if n == 0:
        return digammagap(r, d, digamma(r))
    x = r + d
    low, high = min(r, x), max(r, x)
    if not low > 15 + n or high == math.inf:
        return polygamma(n, x) - polygamma(n, r)
    s, w, scale = n + 1, 1 / (low * low), -math.log1p(abs(d) / low)
    total = math.expm1(n * scale) / n + 0.5 / low * math.expm1(s * scale)
    term = s / 12 * w
    for ratio in (1 / 60, 1 / 42, 1 / 40, 5 / 198, 691 / 27300):
        total += term * math.expm1((s + 1) * scale)
        s = s + 2
        term *= -w * (s - 1) * s * ratio
    total = (total + term * math.expm1((s + 1) * scale)) / low**n * math.gamma(n + 1.0)
    return total if (n % 2 == 1) == (d > 0) else -total


def lbeta(a, b):
    """Return the logarithm of the beta function, by the difference of log gammas that is large."""
    low, high = a if a < b else b, b if a < b else a
    return math.lgamma(low) - lgammagap(high, low, math.lgamma(high))
