"""The lecture's softmax classifier, written as on the board, trained on 1,797 handwritten digits."""

import numpy as np
from sympy import IndexedBase, Lambda, Sum, Symbol, exp, log, symbols

import gradcompile as gc
from gradcompile.digits import load_digits

N, D, C = symbols("N D C", integer=True, positive=True)
s, j, i = symbols("s j i", integer=True)
x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
W, b, lam = IndexedBase("W", shape=(D, C)), IndexedBase("b", shape=(C,)), Symbol("lam")


def y(s, i):
    return Sum(x[s, j] * W[j, i], (j, 0, D - 1)) + b[i]


def p(s, c):
    return exp(y(s, c)) / Sum(exp(y(s, i)), (i, 0, C - 1))


weights = Sum(W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)) + Sum(b[i] ** 2, (i, 0, C - 1))
L = -Sum(log(p(s, gt[s])), (s, 0, N - 1)) + lam * weights
model = gc.compile(L, wrt=[W, b], outputs={"p": Lambda((s, i), p(s, i))})

pixels, labels = load_digits()
order = np.random.default_rng(0).permutation(len(labels))
train, test = order[:1437], order[1437:]
result = model.fit(
    x=pixels[train],
    gt=labels[train],
    lam=1e-4,
    init={"W": np.zeros((64, 10)), "b": np.zeros(10)},
    optimizer=gc.SGD(0.5),
    epochs=40,
    batch_size=32,
    seed=0,
)
chance = result.model.predict("p", x=pixels[test])
guess = chance.argmax(axis=1)
print(f"test accuracy {np.mean(guess == labels[test]):.1%} on {len(test)} images")

worst = np.argmin(chance[np.arange(len(test)), labels[test]])
print(f"the hardest image is a {labels[test][worst]}, read as a {guess[worst]} ({chance[worst].max():.0%}):")
for row in pixels[test][worst].reshape(8, 8):
    print("    " + "".join(" .:-=+*#%@"[int(9 * ink)] * 2 for ink in row))
