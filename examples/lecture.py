"""The lecture's example: forward and backward steps of 1 + exp(w1*x + w0), one operation a line, with their values."""

from sympy import exp, symbols

import gradcompile as gc

x, w1, w0 = symbols("x w1 w0")
model = gc.compile(1 + exp(w1 * x + w0), wrt=[x, w1, w0])
print(model.listing)

point = {"x": 0.5, "w1": 2.0, "w0": -1.0}
value, (dx, dw1, dw0) = model.value_and_grad(**point)
print()
print(f"at x = 0.5, w1 = 2, w0 = -1:  f = {value:g}, df/dx = {dx:g}, df/dw1 = {dw1:g}, df/dw0 = {dw0:g}")

gc.check_grad(model, **point)
print("the gradient agrees with exact derivatives")
