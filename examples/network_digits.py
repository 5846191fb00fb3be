"""A network with one hidden layer on the digits; the layers are definitions, and keep their names in the code."""

import numpy as np
from sympy import IndexedBase, Lambda, Sum, exp, log, symbols, tanh

import gradcompile as gc
from gradcompile.digits import load_digits

N, D, H, C = symbols("N D H C", integer=True, positive=True)
s, j, k, i, c = symbols("s j k i c", integer=True)
x, gt = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,))
W1, b1 = IndexedBase("W1", shape=(D, H)), IndexedBase("b1", shape=(H,))
W2, b2 = IndexedBase("W2", shape=(H, C)), IndexedBase("b2", shape=(C,))
h, y = IndexedBase("h", shape=(N, H)), IndexedBase("y", shape=(N, C))


def p(s, i):
    return exp(y[s, i]) / Sum(exp(y[s, c]), (c, 0, C - 1))


model = gc.compile(
    -Sum(log(p(s, gt[s])), (s, 0, N - 1)),
    wrt=[W1, b1, W2, b2],
    define={
        h[s, k]: tanh(Sum(x[s, j] * W1[j, k], (j, 0, D - 1)) + b1[k]),
        y[s, i]: Sum(h[s, k] * W2[k, i], (k, 0, H - 1)) + b2[i],
    },
    outputs={"p": Lambda((s, i), p(s, i))},
)

pixels, labels = load_digits()
random = np.random.default_rng(0)
order = random.permutation(len(labels))
train, test = order[:1437], order[1437:]
result = model.fit(
    x=pixels[train],
    gt=labels[train],
    init={
        "W1": random.normal(size=(64, 32)) / 8,
        "b1": np.zeros(32),
        "W2": random.normal(size=(32, 10)) / 6,
        "b2": np.zeros(10),
    },
    optimizer=gc.Adam(0.005),
    epochs=40,
    batch_size=32,
    seed=0,
)
for name, rows in (("training", train), ("test", test)):
    guess = result.model.predict("p", x=pixels[rows]).argmax(axis=1)
    print(f"{name} accuracy {np.mean(guess == labels[rows]):.1%}")
