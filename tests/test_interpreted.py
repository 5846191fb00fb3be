"""Emitted code run as Python, as NUMBA_DISABLE_JIT=1 has it: slow, to look into it, and as right as compiled."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import types
from numba.core import config

from gradcompile.emit import support
from gradcompile.jit import fetch, team

NETWORK = """
import numpy as np
import gradcompile as gc
from gradcompile.train import steps

steps.COPIED = 0
text = "x: data[N, D]\\nW: parameter[D, K]\\nloss = Sum(tanh(Sum(x[s, j]*W[j, k], j))**2, s, k)"
random = np.random.default_rng(0)
x, W = random.normal(size=(30, 17)), random.normal(size=(17, 18))
model = gc.compile(gc.parse(text))
model.wait()
trained = model.fit(x=x, init={"W": W}, epochs=2, batch_size=16, progress=False)
print(model.value(x=x, W=W), *model.grad(x=x, W=W)[0][0, :3], *map(float, trained.history))
"""


def as_python(name: str):
    """A support function of the target numba that nobody compiles."""
    namespace = {"math": math, "np": np, "njit": lambda **_: lambda function: function, "types": types}
    called = support.closure("numba", [name])
    exec("\n".join(support.DECLARATIONS.get(each, "") + support.source("numba", each) for each in called), namespace)
    return namespace[name]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("m", "k", "n"), [(2, 3, 4), (9, 8, 7), (5, 200, 3)])
def test_products_of_matrices_need_no_compiler(m, k, n, dtype):
    random = np.random.default_rng(0)
    a, b, c = (random.integers(-4, 5, size=shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    expected = 3 * c - 2 * (a @ b)
    as_python("gemm")(-2.0, a, b, 3.0, c)
    np.testing.assert_array_equal(c, expected)


def loaded_anew(module):
    """The module as it is where nothing is compiled."""
    spec = importlib.util.spec_from_file_location("anew", module.__file__)
    anew = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(anew)
    return anew


def test_teams_and_requests_need_no_compiler(monkeypatch):
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    plain, shared = loaded_anew(team), np.arange(3)
    assert not plain.swap(shared, 1, 7, 9)
    assert plain.look(shared, 1) == 1
    assert plain.swap(shared, 1, 1, 9)
    assert plain.look(shared, 1) == 9
    assert plain.rest() is None
    assert loaded_anew(fetch).fetch(np.zeros((40_000, 100)), 7) is None


@pytest.mark.slow
def test_models_are_right_without_a_compiler():
    found = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        made = subprocess.run(
            [sys.executable, "-c", NETWORK], env=environment, capture_output=True, text=True, check=True
        )
        found.append(np.array(made.stdout.split(), float))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
