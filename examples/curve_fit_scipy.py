"""A Michaelis-Menten curve through measured reaction rates, by SciPy's BFGS with gradcompile's value and gradient.

The data are the treated cells of the Puromycin experiment (Bates and Watts, Nonlinear Regression Analysis and Its
Applications, 1988, table A1.3), who report Vm = 212.7 and K = 0.0641 with a residual sum of squares of 1195.4.
"""

import numpy as np
from scipy.optimize import minimize
from sympy import symbols

import gradcompile as gc

concentration = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.10], 2)  # parts per million
rate = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200.0])  # counts per minute, per minute

c, v, Vm, K = symbols("c v Vm K")
model = gc.compile((v - 100 * Vm * c / (K / 10 + c)) ** 2, wrt=[Vm, K], data=[c, v])  # units near 1 suit BFGS
print(model.listing)

fun, start = model.ravel({"Vm": 1.5, "K": 1.0}, c=concentration, v=rate)
found = minimize(fun, start, jac=True, method="BFGS", options={"gtol": 1e-6})
fitted, constant = 100 * found.x[0], found.x[1] / 10

print()
print(f"Vm = {fitted:.1f}, K = {constant:.4f}, residual sum of squares {found.fun * len(rate):.1f}")
for x, y in zip(concentration, rate, strict=True):
    print(f"{x:6.2f} ppm  {'.' * int(y / 4)}o  measured {y:3.0f}, curve {fitted * x / (constant + x):5.1f}")
