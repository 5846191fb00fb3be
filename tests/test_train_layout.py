"""A graph with parameters laid out in another order means the same."""

import numpy as np
from sympy import IndexedBase, Sum, exp, log, symbols

from gradcompile.interpret import evaluate
from gradcompile.lower import lower
from gradcompile.minibatch import minibatch
from gradcompile.model import Model
from gradcompile.pipeline import differentiate
from gradcompile.train.layout import reordered, wanted_orders
from gradcompile.verify import verify

N, D, C = symbols("N D C", integer=True, positive=True)
s, j, i = symbols("s j i", integer=True)
x, gt, W = IndexedBase("x", shape=(N, D)), IndexedBase("gt", shape=(N,)), IndexedBase("W", shape=(D, C))
SCORE = Sum(x[s, j] * W[j, i], (j, 0, D - 1))
LOSS = Sum(log(Sum(exp(SCORE), (i, 0, C - 1))) - SCORE.subs(i, gt[s]), (s, 0, N - 1))


def test_softmax_wants_its_weights_by_class():
    assert wanted_orders(differentiate(minibatch(lower(Model(LOSS, (W,)))).graph)) == {"W": (1, 0)}


def test_reordered_graph_has_the_same_value_and_the_reordered_gradient():
    random = np.random.default_rng(0)
    inputs = {"x": random.normal(size=(6, 4)), "gt": random.integers(0, 3, 6), "W": random.normal(size=(4, 3))}
    graph = lower(Model(LOSS + Sum(W[j, i] ** 2, (j, 0, D - 1), (i, 0, C - 1)), (W,)))
    turned = verify(reordered(graph, {"W": (1, 0)}))
    assert [str(size) for size in turned.inputs["W"].shape] == ["C", "D"]
    plain = evaluate(differentiate(graph), inputs)
    other = evaluate(differentiate(turned), inputs | {"W": inputs["W"].T})
    np.testing.assert_allclose(other["value"], plain["value"], rtol=1e-14)
    np.testing.assert_allclose(other["dW"], plain["dW"].T, rtol=1e-12)
