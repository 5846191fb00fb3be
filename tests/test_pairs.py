"""Of two exponentials with the larger exponent taken out, one is 1: only one is computed, and the value is exact."""

import numpy as np
import pytest
from mpmath import mp, mpf

import gradcompile as gc
from gradcompile import language
from gradcompile.lower import lower
from gradcompile.pipeline import differentiate

TEXT = """
    u: data[N]
    v: parameter[N]
    c: parameter
    loss = Sum(log(3*exp(u[n]) + c*exp(v[n])), n)
"""


def exact(u: list[float], v: list[float], c: float) -> tuple[float, list[float], float]:
    with mp.workdps(60):
        first, second = ([mp.exp(mpf(each)) for each in side] for side in (u, v))
        total = [3 * a + mpf(c) * b for a, b in zip(first, second, strict=True)]
        value = mp.fsum(map(mp.log, total))
        shares = [mpf(c) * b / t for b, t in zip(second, total, strict=True)]
        return float(value), [float(each) for each in shares], float(mp.fsum(shares) / mpf(c))


def test_two_exponentials_are_one():
    graph = differentiate(lower(language.parse(TEXT)))
    assert [value.op for value in graph.order()].count("exp") == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_larger_may_be_either_of_two_or_both(dtype):
    u, v = [0.0, 1.0, -3.0, 700.5, -1e4, 2.0, -80.0], [1.0, 0.0, -3.0, 1e4, -900.25, 2.0, 90.0]
    model = gc.compile(language.parse(TEXT), dtype=dtype)
    model.wait()
    value, (dv, dc) = model.value_and_grad(u=u, v=v, c=0.75)
    expected = exact(u, v, 0.75)
    close = 1e-13 if dtype == "float64" else 1e-5
    assert value == pytest.approx(expected[0], rel=close)
    np.testing.assert_allclose(dv, expected[1], rtol=close)
    assert float(dc) == pytest.approx(expected[2], rel=close)


def test_an_exponent_that_is_nan_comes_out():
    model = gc.compile(language.parse(TEXT))
    for given in ({"u": [np.nan], "v": [1.0]}, {"u": [1.0], "v": [np.nan]}):
        value, (dv, _) = model.value_and_grad(**given, c=1.0)
        assert np.isnan(value)
        assert np.isnan(dv).all()
