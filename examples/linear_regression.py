"""Ridge regression in matrix notation: the gradient, and training that ends where the normal equations do."""

import numpy as np
from sympy import MatrixSymbol, Symbol, symbols

import gradcompile as gc

N, D = symbols("N D", integer=True, positive=True)
X, t = MatrixSymbol("X", N, D), MatrixSymbol("t", N, 1)
w, lam = MatrixSymbol("w", D, 1), Symbol("lam")
residual = X * w - t
objective = (residual.T * residual)[0, 0] / 2 + lam * (w.T * w)[0, 0]

model = gc.compile(objective, wrt=w)
source = gc.emit(objective, wrt=w, target="numpy")
print(source[source.index("def value_and_grad") : source.index("def grad")].rstrip(), "\n")

random = np.random.default_rng(1)
features = random.normal(size=(200, 3))
truth = np.array([[1.5], [-2.0], [0.5]])
target = features @ truth + 0.1 * random.normal(size=(200, 1))

data = {"X": features, "t": target, "lam": 0.5}
result = model.fit(**data, init={"w": np.zeros((3, 1))}, optimizer=gc.SGD(0.2), epochs=200, batch_size=200, seed=1)
exact = np.linalg.solve(features.T @ features + 2 * 0.5 * np.eye(3), features.T @ target)

print("     true   learned   normal equations")
for row in zip(truth.ravel(), result.params["w"].ravel(), exact.ravel(), strict=True):
    print("{:9.4f} {:9.4f} {:9.4f}".format(*row))
print(f"largest difference from the normal equations: {abs(result.params['w'] - exact).max():.1e}")
