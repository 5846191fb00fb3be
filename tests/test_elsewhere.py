"""Models that read and add elsewhere than at the sample at hand: gathers in gathers, diagonals, places in branches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcompile as gc
from tests.texts import arrays_for, assert_right
from tests.zoo import load, load_uncompiled

SIZES = {"N": 5, "T": 3, "D": 3, "K": 2, "C": 3, "M": 2}
# The axis of the table that labels pick from is the last letter of their name.
MODELS = {
    "a sum over places of other samples is needed in two passes": """
        gK: labels[T, T]
        pT: labels[T]
        x: data[T]
        W: parameter[K, T]
        v: parameter[N]
        h[n, k, l] = Product(W[gK[k, j], 1], j) + v[n] + x[l]
        loss = Sum(Max(where(n > 0, h[1, 1, pT[i]], 1) + h[n, i, i], i) + Sum(h[n, a, j], j, a), n)
    """,
    "what is added at one fixed sample is needed in two passes": """
        gM: labels[K]
        pD: labels[M]
        qK: labels[K]
        rD: labels[N]
        x: data[D]
        z: data[T, N]
        V: parameter[D, T]
        W: parameter[T]
        y[s, v] = V[v, T - 1 - s]
        u[i] = y[1, pD[gM[i]]]
        h[n, l, k, s] = where(u[l] > 0 or n >= 1, W[T - 1 - k], max(u[qK[l]], z[k, n])) + x[s]
        loss = Sum(h[1, 1, 1, rD[n]] + Sum(where(1 < h[n, l, j, q] and j <= l, h[n, l, j, q]**2, 0), q, j, l), n)
    """,
    "rows are copied that a place in a branch picks": """
        gC: labels[D]
        pD: labels[K, D]
        qD: labels[N, K]
        rK: labels[N]
        x: data[K]
        V: parameter[D, K]
        W: parameter[K]
        h[s, p] = 1/(1 + max(1, where(gC[p] < 1, V[pD[s, p], 1], x[1]))**2)
        loss = Sum(Product(h[u, qD[n, u]], u)*Sum(h[u, s]*W[rK[n]], s, u), n, 0, 1)
    """,
    "labels are looked up at a place in a branch": """
        aD: labels[C]
        bM: labels[N]
        cT: labels[M]
        dD: labels[N]
        eM: labels[T]
        fN: labels[M]
        gN: labels[D]
        mT: labels[D]
        oC: labels[N]
        pD: labels[D]
        qT: labels[N]
        x: data[T, D, N, D]
        y: data[T, N]
        V: parameter[T, T]
        W: parameter[T]
        U: parameter[T, N]
        h[n, i, a] = sqrt(1 + where(x[cT[bM[n]], 1, fN[eM[i]], a] > 1, 1, logsumexp(y[i, n] + k, k, 0, 1))**2)
        u[k, c] = Sum(where(k == c, 1, h[gN[k], mT[j], aD[c]]), j)
        v[n, l, k] = V[l, k] + W[k]
        z[n] = 1/(1 + where(oC[n] < 1, u[pD[dD[n]], 1], 1)**2)
        loss = Sum(log(1 + exp(z[n] - Sum(v[n, m, r]*U[qT[n], n], r, m))), n)
    """,
    "labels are found at an index that the same loop makes": """
        gC: labels[T]
        pD: labels[D]
        qT: labels[D]
        rT: labels[N]
        sD: labels[C]
        tC: labels[N]
        x: data[N, C]
        y: data[N]
        W: parameter[N, N]
        h[l, j] = softmax(gC[l] - qT[pD[j]], j)
        u[n, r] = gelu(Sum(where(n >= 2, W[n, n - 2], h[rT[k], sD[r]])/(1 + x[k, r]**2), k))
        loss = Sum(log(1 + exp(Product(0.5 + u[n, tC[q]]**2, q)*y[n] + Sum(u[n, c]*x[n, c], c))), n)
    """,
    "another sample is read before the block with it has been copied": """
        qK: labels[C]
        gD: labels[N, K]
        pK: labels[N]
        x: data[N]
        W: parameter[D, N]
        h[n, m, a] = where(not (a == 1), W[a, 1], x[n])
        u[v, c] = log(1/(1 + exp(-min(Max(h[1, d, d], d)/(1 + h[1, v, v]**2), qK[c]))))
        loss = Sum(log(1 + exp(-Sum(u[gD[n, v], 1], v) - where(pK[n] == 1, 2, 0))) + x[n], n) + Sum(W[k, p]**2, p, k)
    """,
    "the largest of some whole numbers is kept for all samples": """
        x: data[N, D]
        W: parameter[D]
        h[n] = Max(where(n > p, 2, -1), p, 0, D - 1)
        l[n] = Min(where(n > p, 2, -1), p, 0, D - 1)
        loss = Sum(h[n]*x[n, q]*W[q]/(9 + h[N - 1 - n] + l[N - 1 - n]*l[n]), n, q)
    """,
    "elements outside of a triangle are zero": """
        x: data[N]
        W: parameter[D, C]
        y[i, j] = Sum(where(j <= i, tanh(W[i, k]*W[j, k]), 0), k)
        loss = Sum(Sum(exp(y[i, j]), j)**2*W[i, 0], i)*Sum(x[n], n)
    """,
    "elements outside of a triangle are zero in every turn": """
        g: data[D]
        W: parameter[D, C]
        V: parameter[D]
        y[i, j, n] = Sum(where(j <= i, tanh(W[i, k]*W[j, k] + V[n]), 0), k)
        loss = Sum(Sum(exp(y[i, j, n]), i, j)**2*g[n], n)
    """,
    "samples are called b": """
        x: data[N, D]
        gC: labels[N]
        W: parameter[D, C]
        y[b, i] = Sum(x[b, j]*W[j, i], j)
        loss = Sum(log(Sum(exp(y[b, i]), i)) - y[b, gC[b]], b) + Sum(W[j, gC[b]]**2*x[b, 0], b, j)
    """,
    "sums over rows of samples are called b": """
        gD: labels[D]
        x: data[D, C]
        v: parameter[D]
        W: parameter[D, C]
        h[b, c] = sigmoid(v[gD[b]] + W[b, c] + x[D - 1 - b, c]**2)
        loss = Sum(Sum(h[b, c], c)*v[b], b)**2
    """,
    "one row is added at several rows of places": """
        gD: labels[T, N]
        x: data[T, N]
        W: parameter[D]
        loss = Sum(sqrt(1 + (Sum(W[gD[p, n]], p) - x[1, n])**2), n)/N
    """,
    "fractions are added to whole numbers": """
        gD: labels[T]
        x: data[D]
        W: parameter[D]
        loss = Sum(Mean(W[gD[q]], q)/2 - Sum(where(1 < x[q], W[q], 0), q), n, 1, 3)
    """,
}


def drawn(text: str) -> dict[str, np.ndarray]:
    """Return an array for each name; the last letter of labels is the size that they index."""
    return arrays_for(text, SIZES, seed=3, labels=lambda name: (0, SIZES[name[-1]]))


def unset(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """Return an array as `np.empty` does, with numbers in it that nothing can be made of."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -(10**9), dtype)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("target", ["numpy", "numba"])
@pytest.mark.parametrize("name", MODELS)
def test_emitted_code_is_right(name: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, read = drawn(MODELS[name]), load if target == "numpy" else load_uncompiled
    module = read(gc.emit(gc.parse(MODELS[name]), target=target), tmp_path / "module.py")
    ordered = [arrays[argument] for argument in gc.compile(gc.parse(MODELS[name])).arguments]
    monkeypatch.setattr(np, "empty", unset)
    assert_right(MODELS[name], arrays, module.value_and_grad(*ordered))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_code_is_right(name: str) -> None:
    arrays, model = drawn(MODELS[name]), gc.compile(gc.parse(MODELS[name]))
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(MODELS[name], arrays, model.value_and_grad(**arrays))


def test_a_sum_without_terms_reads_at_no_index() -> None:
    model = gc.compile(
        gc.parse("""
        g: labels[M]
        p: labels[M]
        W: parameter[T]
        loss = Sum(W[g[m] + p[m]], m, 1, M - 1) + Sum(W[t]**2, t)
    """)
    )
    arrays = {"g": np.array([1]), "p": np.array([0]), "W": np.array([1.0, 2.0, 3.0])}
    value, (gradient,) = model.value_and_grad(**arrays)
    assert value == 14.0
    np.testing.assert_array_equal(gradient, [2.0, 4.0, 6.0])
