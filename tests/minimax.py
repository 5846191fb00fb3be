"""Minimax polynomials by Remez's exchange, in 60 digits: where the coefficients of gradcompile/vecmath come from.

``python -m tests.minimax NAME ...`` prints the coefficients of the named rows of `ROWS`, lowest power first, as the
nearest float64 (float32 for names that end in 32, but for those of `pow`, which goes by way of float64).

Source: E. Remez 1934, as in J.-M. Muller, Elementary Functions, 3rd edition, section 3.5.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import mp, mpf

from gradcompile.vecmath.bits import vhead

Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Row:
    """One polynomial: p of a degree so that max |weight(x) (p(x) - function(x))| on [low, high] is least.

    Where it is `split`, the lowest coefficient is given in two parts, the first of 26 bits.
    """

    function: Function
    weight: Function
    low: mpf
    high: mpf
    degree: int
    split: bool = False

    def error(self, coefficients: list[float], points: int = 400) -> float:
        """Return the largest weighted error of a polynomial, at Chebyshev points of the interval."""
        with mp.workdps(60):
            xs = chebyshev(self.low, self.high, points)
            return float(max(abs(self.weight(x) * (horner(coefficients, x) - self.function(x))) for x in xs))


def horner(coefficients: list[float], x: mpf) -> mpf:
    """Return the polynomial at x."""
    return mp.polyval([mpf(c) for c in reversed(coefficients)], x)


def chebyshev(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Return Chebyshev points of an interval, its ends included."""
    return [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]


def minimax(row: Row, rounds: int = 12) -> list[mpf]:
    """Return the coefficients, lowest power first."""
    with mp.workdps(60):
        low, high, unknowns = row.low, row.high, row.degree + 2
        dense = chebyshev(low, high, 60 * unknowns)
        values = [(x, row.function(x), row.weight(x)) for x in dense]
        nodes = [values[round(k * (len(values) - 1) / (unknowns - 1))] for k in range(unknowns)]
        for _ in range(rounds):
            coefficients, level = levelled(nodes, row.degree)
            errors = [w * (horner(coefficients, x) - f) for x, f, w in values]
            nodes = [values[k] for k in alternation(errors, unknowns)]
            if max(map(abs, errors)) < abs(level) * mpf("1.001"):
                break
        return coefficients


def levelled(nodes: list[tuple[mpf, mpf, mpf]], degree: int) -> tuple[list[mpf], mpf]:
    """Return the polynomial whose weighted error at the nodes is +e, -e, +e, ..., and e."""
    rows = [[x**k for k in range(degree + 1)] + [-((-1) ** i) / w] for i, (x, _, w) in enumerate(nodes)]
    solution = mp.lu_solve(mp.matrix(rows), mp.matrix([f for _, f, _ in nodes]))
    return list(solution[:-1]), solution[len(solution) - 1]


def alternation(errors: list[mpf], count: int) -> list[int]:
    """Return the places of `count` largest errors of alternating sign."""
    places: list[int] = []
    for k, error in enumerate(errors):
        if places and (error > 0) == (errors[places[-1]] > 0):
            places[-1] = max(places[-1], k, key=lambda i: abs(errors[i]))
        else:
            places.append(k)
    while len(places) > count:
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    return places


SMALL = mpf("1e-12")


def exp_tail(r: mpf) -> mpf:
    """Return (exp(r) - 1 - r)/r**2."""
    return (mp.expm1(r) - r) / r**2 if abs(r) > SMALL else mpf(1) / 2 + r / 6


def sinh_tail(z: mpf) -> mpf:
    """Return (sinh(r) - r)/r**3 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.sinh(r) - r) / r**3 if z > SMALL else mpf(1) / 6 + z / 120


def cosh_tail(z: mpf) -> mpf:
    """Return (cosh(r) - 1)/r**2 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.cosh(r) - 1) / z if z > SMALL else mpf(1) / 2 + z / 24


def tanh_tail(z: mpf) -> mpf:
    """Return (tanh(r) - r)/r**3 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.tanh(r) - r) / r**3 if z > SMALL else -mpf(1) / 3 + z * 2 / 15


def atan_tail(z: mpf) -> mpf:
    """Return (atan(r) - r)/r**3 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.atan(r) - r) / r**3 if z > SMALL else -mpf(1) / 3 + z / 5


def asin_tail(z: mpf) -> mpf:
    """Return (asin(r) - r)/r**3 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.asin(r) - r) / r**3 if z > SMALL else mpf(1) / 6 + z * 3 / 40


def atanh_tail(z: mpf) -> mpf:
    """Return (2*atanh(s)/s - 2)/z of z = s*s."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z > SMALL else mpf(2) / 3 + z * 2 / 5


def sin_tail(z: mpf) -> mpf:
    """Return (sin(r) - r)/r**3 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.sin(r) - r) / r**3 if z > SMALL else -mpf(1) / 6 + z / 120


def cos_tail(z: mpf) -> mpf:
    """Return (cos(r) - 1 + r**2/2)/r**4 of z = r*r."""
    r = mp.sqrt(z)
    return (mp.cos(r) - 1 + z / 2) / z**2 if z > SMALL else mpf(1) / 24 - z / 720


def logcosh_tail(z: mpf) -> mpf:
    """Return (log(cosh(r)) - r**2/2)/r**4 of z = r*r."""
    if z < mpf("1e-12"):
        return -mpf(1) / 12 + z / 45
    return (mp.log1p(2 * mp.sinh(mp.sqrt(z) / 2) ** 2) - z / 2) / z**2


def pow_tail(z: mpf) -> mpf:
    """Return (3*atanh(s)/s - 3 - z)/z**2 of z = s*s."""
    s = mp.sqrt(z)
    return (3 * mp.atanh(s) / s - 3 - z) / z**2 if z > SMALL else mpf(3) / 5 + z * 3 / 7


def erf_small(z: mpf) -> mpf:
    """Return erf(x)/x - 1 of z = x*x."""
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1 if z > SMALL else 2 / mp.sqrt(mp.pi) * (1 - z / 3) - 1


def erf_large(x: mpf) -> mpf:
    """Return log(1 - erf(x + 1))."""
    return mp.log(mp.erfc(x + 1))


def erfc_quotient(k: float) -> Function:
    """Return erfcx(x)/s as a function of t = s - 1/2, with s = k/(x + k)."""

    def quotient(t: mpf) -> mpf:
        s = t + mpf(1) / 2
        x = k / s - k
        return mp.exp(x * x) * mp.erfc(x) / s

    return quotient


def lgamma_near(f: mpf) -> mpf:
    """Return lgamma(2 + f)/f."""
    return mp.loggamma(2 + f) / f if abs(f) > SMALL else 1 - mp.euler + f / 2 * (mp.zeta(2) - 1)


def lgamma_far(z: mpf) -> mpf:
    """Return x (lgamma(x) - (x - 1/2) (log(x) - 1) - (log(2 pi) - 1)/2) of z = 1/x**2."""
    if z < SMALL:
        return mpf(1) / 12 - z / 360
    x = 1 / mp.sqrt(z)
    return x * (mp.loggamma(x) - (x - mpf(1) / 2) * (mp.log(x) - 1) - (mp.log(2 * mp.pi) - 1) / 2)


def sinc_tail(z: mpf) -> mpf:
    """Return (sin(pi r)/(pi r) - 1)/r**2 of z = r*r."""
    return (mp.sincpi(mp.sqrt(z)) - 1) / z if z > SMALL else -(mp.pi**2) / 6 + z * mp.pi**4 / 120


def digamma_near(w: mpf) -> mpf:
    """Return digamma(1.5 + w) over the distance to its zero."""
    distance = w + mpf(3) / 2 - DIGAMMA_ZERO
    return mp.psi(0, w + mpf(3) / 2) / distance if abs(distance) > SMALL else mp.psi(1, DIGAMMA_ZERO)


def digamma_far(z: mpf) -> mpf:
    """Return x**2 (log(x) - 1/(2 x) - digamma(x)) of z = 1/x**2."""
    if z < SMALL:
        return mpf(1) / 12 - z / 120
    x = 1 / mp.sqrt(z)
    return x**2 * (mp.log(x) - 1 / (2 * x) - mp.psi(0, x))


def trigamma_near(w: mpf) -> mpf:
    """Return trigamma(1.5 + w)."""
    return mp.psi(1, w + mpf(3) / 2)


def trigamma_far(z: mpf) -> mpf:
    """Return x**3 (trigamma(x) - 1/x - 1/(2 x**2)) of z = 1/x**2."""
    if z < SMALL:
        return mpf(1) / 6 - z / 30
    x = 1 / mp.sqrt(z)
    return x**3 * (mp.psi(1, x) - 1 / x - 1 / (2 * x * x))


def cosecant_tail(z: mpf) -> mpf:
    """Return (pi/sin(pi r))**2 - 1/r**2 of z = r*r."""
    return (mp.pi / mp.sinpi(mp.sqrt(z))) ** 2 - 1 / z if z > SMALL else mp.pi**2 / 3 + z * mp.pi**4 / 15


def gamma_near(f: mpf) -> mpf:
    """Return gamma(2 + f)."""
    return mp.gamma(2 + f)


def gamma_far(v: mpf) -> mpf:
    """Return x (gamma(x)/(sqrt(2 pi) x**(x - 1/2) exp(-x)) - 1) of v = 1/x."""
    if v < SMALL:
        return mpf(1) / 12 + v / 288
    x = 1 / v
    return x * (mp.gamma(x) / (mp.sqrt(2 * mp.pi) * mp.exp((x - mpf(1) / 2) * mp.log(x) - x)) - 1)


def cubed_root(m: mpf) -> mpf:
    """Return 1/cbrt(m)."""
    return 1 / mp.cbrt(m)


def cot_tail(z: mpf) -> mpf:
    """Return (pi cot(pi r) - 1/r)/r of z = r*r."""
    r = mp.sqrt(z)
    return (mp.pi * mp.cot(mp.pi * r) - 1 / r) / r if z > SMALL else -(mp.pi**2) / 3 - z * mp.pi**4 / 45


# Intervals, a little wider than the reductions make them: a product that rounds n may choose the neighbour.
with mp.workdps(60):
    ZERO, ONE = mpf(0), mpf("1.0001")
    HALF_LN2 = -mp.log(2) / 2 * ONE, mp.log(2) / 2 * ONE
    EXP_Z = (mp.log(2) / 2) ** 2 * mpf("1.0002")
    LOG_Z = (3 - 2 * mp.sqrt(2)) ** 2 * ONE  # s = f/(2 + f) of f = sqrt(2) - 1, squared
    ATAN_Z = mpf(7) ** 2 / 16**2 * ONE
    QUARTER = (mp.pi / 4) ** 2 * mpf("1.001")
    HALF = mpf(1) / 2
    DIGAMMA_ZERO = mp.findroot(lambda x: mp.psi(0, x), mpf("1.46"))
    MIDDLE = mpf("-0.5001"), mpf("0.5001")
    FROM_TWO = mpf("-0.6251"), mpf("0.3751")
    QUARTERS = ZERO, mpf("0.2501")
    ROOT_OF_2 = 1 / mp.sqrt(2) / ONE, mp.sqrt(2) * ONE
    FAR = ZERO, 1 / mpf("5.37") ** 2
    ERFC, ERFC32 = erfc_quotient(3), erfc_quotient(2)
    ERFC_LOW, ERFC_LOW32 = 3 / mpf("30.3") - HALF, 2 / mpf("12.1") - HALF  # x = 27.3 and 10.1

ROWS: dict[str, Row] = {
    "exp": Row(exp_tail, lambda r: r**2, *HALF_LN2, 9),
    "expm1": Row(exp_tail, lambda r: abs(r) + SMALL, *HALF_LN2, 10),
    "sinh": Row(sinh_tail, lambda z: z + SMALL, ZERO, EXP_Z, 4),
    "cosh": Row(cosh_tail, lambda z: z + SMALL, ZERO, EXP_Z, 5),
    "sinh32": Row(sinh_tail, lambda z: z + SMALL, ZERO, EXP_Z, 1),
    "cosh32": Row(cosh_tail, lambda z: z + SMALL, ZERO, EXP_Z, 2),
    "tanh32": Row(tanh_tail, lambda z: z + SMALL, ZERO, mpf("0.31"), 4),
    "log": Row(atanh_tail, lambda z: z + SMALL, ZERO, LOG_Z, 6),
    "sin": Row(sin_tail, lambda z: z + SMALL, ZERO, QUARTER, 5),
    "cos": Row(cos_tail, lambda z: z**2 + SMALL, ZERO, QUARTER, 5),
    "pow": Row(pow_tail, lambda z: z**2 + SMALL, ZERO, LOG_Z, 7),
    "log_over": Row(atanh_tail, lambda z: z + SMALL, ZERO, mpf("0.1112"), 5),
    "gap": Row(lambda z: atanh_tail(z) / 2, lambda z: mp.sqrt(z) + SMALL, ZERO, mpf("0.1112"), 9),
    "log_pow32": Row(atanh_tail, lambda z: z + SMALL, ZERO, LOG_Z, 3),
    "exp_pow32": Row(exp_tail, lambda r: r**2, *HALF_LN2, 4),
    "erf": Row(erf_small, lambda z: mpf(1), ZERO, ONE, 12),
    "erf_large": Row(erf_large, lambda x: mp.erfc(x + 1), ZERO, mpf(5), 17),
    "erf32": Row(erf_small, lambda z: mpf(1), ZERO, ONE, 5),
    "erf_large32": Row(erf_large, lambda x: mp.erfc(x + 1), ZERO, mpf(3), 6),
    "erfc": Row(ERFC, lambda t: 1 / ERFC(t), ERFC_LOW, HALF, 22, split=True),
    "erfc32": Row(ERFC32, lambda t: 1 / ERFC32(t), ERFC_LOW32, HALF, 9),
    "lgamma_near": Row(lgamma_near, lambda f: 1 / lgamma_near(f), *FROM_TWO, 18),
    "lgamma_far": Row(lgamma_far, lambda z: mpf(1), *FAR, 6),
    "sinc": Row(sinc_tail, lambda z: z + SMALL, *QUARTERS, 7),
    "lgamma_near_short": Row(lgamma_near, lambda f: 1 / lgamma_near(f), *FROM_TWO, 8),
    "lgamma_far_short": Row(lgamma_far, lambda z: mpf(1), *FAR, 2),
    "sinc_short": Row(sinc_tail, lambda z: z + SMALL, *QUARTERS, 3),
    "digamma_near": Row(digamma_near, lambda w: 1 / digamma_near(w), *MIDDLE, 22),
    "digamma_far": Row(digamma_far, lambda z: z + SMALL, ZERO, mpf("0.1112"), 10),
    "cot": Row(cot_tail, lambda z: mp.sqrt(z + SMALL), *QUARTERS, 13),
    "digamma_near_short": Row(digamma_near, lambda w: 1 / digamma_near(w), *MIDDLE, 10),
    "digamma_far_short": Row(digamma_far, lambda z: z + SMALL, ZERO, mpf("0.1112"), 3),
    "cot_short": Row(cot_tail, lambda z: mp.sqrt(z + SMALL), *QUARTERS, 7),
    "trigamma_near": Row(trigamma_near, lambda w: 1 / trigamma_near(w), *MIDDLE, 23),
    "trigamma_far": Row(trigamma_far, lambda z: z + SMALL, ZERO, mpf("0.2501"), 16),
    "cosecant": Row(cosecant_tail, lambda z: (z + SMALL) / (1 + z * cosecant_tail(z)), *QUARTERS, 14),
    "trigamma_near_short": Row(trigamma_near, lambda w: 1 / trigamma_near(w), *MIDDLE, 11),
    "trigamma_far_short": Row(trigamma_far, lambda z: z + SMALL, ZERO, mpf("0.2501"), 5),
    "cosecant_short": Row(cosecant_tail, lambda z: (z + SMALL) / (1 + z * cosecant_tail(z)), *QUARTERS, 7),
    "gamma_near": Row(gamma_near, lambda f: 1 / gamma_near(f), *MIDDLE, 18),
    "gamma_far": Row(gamma_far, lambda v: v + SMALL, ZERO, 1 / mpf("5.49"), 9),
    "gamma_near_short": Row(gamma_near, lambda f: 1 / gamma_near(f), *MIDDLE, 9),
    "gamma_far_short": Row(gamma_far, lambda v: v + SMALL, ZERO, 1 / mpf("5.49"), 3),
    "cbrt": Row(cubed_root, lambda m: mp.cbrt(m), *ROOT_OF_2, 5),
    "cbrt32": Row(cubed_root, lambda m: mp.cbrt(m), *ROOT_OF_2, 4),
    "logcosh32": Row(logcosh_tail, lambda z: z + SMALL, ZERO, ONE, 5),
    "exp32": Row(exp_tail, lambda r: r**2, *HALF_LN2, 4),
    "expm132": Row(exp_tail, lambda r: abs(r) + SMALL, *HALF_LN2, 5),
    "log32": Row(atanh_tail, lambda z: z + SMALL, ZERO, LOG_Z, 3),
    "atan": Row(atan_tail, lambda z: z + SMALL, ZERO, ATAN_Z, 10),
    "atan32": Row(atan_tail, lambda z: z + SMALL, ZERO, ATAN_Z, 4),
    "asin": Row(asin_tail, lambda z: z + SMALL, ZERO, mpf("0.2501"), 11),
    "asin32": Row(asin_tail, lambda z: z + SMALL, ZERO, mpf("0.2501"), 4),
    "sin32": Row(sin_tail, lambda z: z + SMALL, ZERO, QUARTER, 2),
    "cos32": Row(cos_tail, lambda z: z**2 + SMALL, ZERO, QUARTER, 2),
}


def rounded(name: str) -> list[str]:
    """Return the coefficients of a row as they stand in the code."""
    real = np.float32 if name.endswith("32") and not name.endswith("_pow32") else np.float64
    lowest, *others = minimax(ROWS[name])
    head = mpf(float(vhead(np.float64(lowest)))) if ROWS[name].split else lowest
    parts = [head, lowest - head] if ROWS[name].split else [lowest]
    return [str(real(c)) for c in (*parts, *others)]


def main(names: list[str]) -> None:
    """Print the coefficients of the named rows."""
    for name in names or ROWS:
        coefficients = rounded(name)
        numbers = [float(c) for c in coefficients]
        if ROWS[name].split:
            numbers[:2] = [mpf(numbers[0]) + mpf(numbers[1])]
        print(name, f"error 2**{np.log2(ROWS[name].error(numbers)):.1f}")
        print("   ", ", ".join(coefficients))


if __name__ == "__main__":
    main(sys.argv[1:])
