"""Logistic regression in the per-sample form: twenty students, hours of study, and whether they passed.

The data are the example of Wikipedia's article "Logistic regression"; the maximum of the likelihood is at
w = 1.5046, b = -4.0777.
"""

from sympy import exp, log, symbols

import gradcompile as gc

hours = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.25, 4.5, 4.75, 5, 5.5]
passed = [0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1]
signs = [2 * p - 1 for p in passed]

x, t, w, b = symbols("x t w b")
model = gc.compile(log(1 + exp(-t * (w * x + b))), wrt=[w, b], data=[x, t])  # the mean over the samples

result = model.fit(
    x=hours,
    t=signs,
    init={"w": 0.0, "b": 0.0},
    optimizer=gc.SGD(0.5, momentum=0.9),
    epochs=2000,
    batch_size=len(hours),
    seed=0,
    progress=False,
)
slope, offset = float(result.params["w"]), float(result.params["b"])
print(f"w = {slope:.4f}, b = {offset:.4f}: even odds at {-offset / slope:.2f} hours")
print(f"cross-entropy: {model.value(x=hours, t=signs, w=0, b=0):.4f} at the start, {result.history[-1]:.4f} at the end")

_, (dw, db) = model.value_and_grad(x=hours, t=signs, w=slope, b=offset)
print(f"gradient there: {abs(dw):.0e}, {abs(db):.0e}")
# A margin of a million neither overflows nor loses the gradient: log(1 + exp(z)) is compiled as softplus.
print("far out:", model.value_and_grad(x=[1e6], t=[-1], w=1, b=0))
