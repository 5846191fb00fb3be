"""Recommendation by matrix factorisation: two gathers forward, two scatters with repeated indices backward."""

import numpy as np
from sympy import IndexedBase, Sum, Symbol, symbols

import gradcompile as gc

N, A, B, K = symbols("N A B K", integer=True, positive=True)
n, k, a = symbols("n k a", integer=True)
r, user, item = (IndexedBase(name, shape=(N,)) for name in ("r", "user", "item"))
U, V, lam = IndexedBase("U", shape=(A, K)), IndexedBase("V", shape=(B, K)), Symbol("lam")

guess = Sum(U[user[n], k] * V[item[n], k], (k, 0, K - 1))
size = Sum(U[a, k] ** 2, (a, 0, A - 1), (k, 0, K - 1)) + Sum(V[a, k] ** 2, (a, 0, B - 1), (k, 0, K - 1))
model = gc.compile(Sum((r[n] - guess) ** 2, (n, 0, N - 1)) + lam * size, wrt=[U, V])

# 100 users rate 80 items by three hidden tastes; 4,000 of the 8,000 ratings are known, with noise of 0.1.
random = np.random.default_rng(3)
tastes, traits = random.normal(size=(100, 3)), random.normal(size=(80, 3))
pairs = random.permutation(8000)
users, items = pairs // 80, pairs % 80
ratings = (tastes[users] * traits[items]).sum(axis=1) + 0.1 * random.normal(size=8000)
known, hidden = slice(0, 4000), slice(4000, 8000)

result = model.fit(
    r=ratings[known],
    user=users[known],
    item=items[known],
    lam=0.1,
    init={"U": 0.1 * random.normal(size=(100, 3)), "V": 0.1 * random.normal(size=(80, 3))},
    optimizer=gc.Adam(0.02),
    epochs=60,
    batch_size=50,
    seed=0,
)


def rms(rows):
    u, v = result.params["U"][users[rows]], result.params["V"][items[rows]]
    return np.sqrt(np.mean((ratings[rows] - (u * v).sum(axis=1)) ** 2))


print(f"ratings vary by {ratings.std():.2f}; the noise is 0.10")
print(f"error on known ratings {rms(known):.3f}, on hidden ratings {rms(hidden):.3f}")
