"""Teams: products of matrices that threads share, tile by tile, with the same bits whoever takes a tile."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.emit import support
from gradcompile.emit.allowlist import TEAM
from gradcompile.emit.module import FLAGS
from gradcompile.jit.kernels import ByArguments
from gradcompile.threads import blas, over, pool, team

NETWORK = """
    x:  data[N, D]
    t:  data[N]
    W1: parameter[D, H]
    W2: parameter[H, K]
    w:  parameter[K]

    h[s, k] = tanh(Sum(x[s, j]*W1[j, k], j))
    g[s, m] = tanh(Sum(h[s, k]*W2[k, m], k))
    loss = Sum((Sum(g[s, m]*w[m], m) - t[s])**2, s)
"""
SIZES = [(128, 784, 256), (33, 1000, 40), (40, 2100, 50), (300, 64, 70), (256, 70, 256), (50, 60, 70), (200, 300, 10)]


def module() -> str:
    """A module that multiplies by a team, as the steps of a training do."""
    called = support.closure("numba", ["share"])
    functions = [support.DECLARATIONS.get(name, "") + support.source("numba", name) for name in called]
    own = {
        "assist(team)": "    while look(team, 0) >= 0:\n        take(team, False)\n        rest()",
        "product(team, alpha, a, b, beta, c)": "    share(team, alpha, a, b, beta, c)",
        "transposed(team, alpha, a, b, beta, c)": "    share(team, alpha, a.T, b.T, beta, c.T)",
    }
    functions += [
        f"@njit(nogil=True, {FLAGS})\ndef {head}:\n{body}\n    return look(team, 8)\n" for head, body in own.items()
    ]
    imports = f"import math\n\nimport numpy as np\nfrom numba import njit, types\n\n{TEAM}\n"
    return "\n\n".join(['"""Products."""\n', imports, *functions])


def compiled(name):
    return ByArguments(module(), name, (), support.functions("numba"))


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("compiler", "helpers"), [("ours", 0), ("ours", 1), ("ours", 7), ("numba", 1)])
def test_no_tile_is_left_out_and_none_is_added_twice(compiler, helpers, monkeypatch):
    """Of small whole numbers, every sum is exact."""
    monkeypatch.setenv("GRADCOMPILE_COMPILER", compiler)
    product, assist = compiled("product"), compiled("assist")
    transposed = compiled("transposed") if compiler == "ours" else None  # Numba takes seconds for it
    assist(over())
    random = np.random.default_rng(0)
    shared = np.zeros(40, np.int64)
    threads = [threading.Thread(target=assist, args=(shared,)) for _ in range(helpers)]
    for each in threads:
        each.start()
    done = 0
    for m, k, n in SIZES if compiler == "ours" else SIZES[2:4]:
        for dtype in ("float32", "float64") if compiler == "ours" else ("float64",):
            a, b, c = (random.integers(-4, 5, size=shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
            expected = 3 * c - 2 * (a @ b)
            turned = [np.ascontiguousarray(each.T) for each in (a, b, c)]
            done = product(shared, -2.0, a, b, 3.0, c)
            np.testing.assert_array_equal(c, expected)
            if transposed:
                transposed(shared, -2.0, *turned[:2], 3.0, turned[2])
                np.testing.assert_array_equal(turned[2].T, expected)
    shared[0] = -1
    for each in threads:
        each.join(60)
        assert not each.is_alive()
    assert done > 4


def test_many_products_in_a_row_have_all_of_their_tiles():
    """Helpers that come late take no tile of the product before."""
    product, assist = compiled("product"), compiled("assist")
    random = np.random.default_rng(1)
    a, b = (random.integers(-4, 5, size=shape).astype(float) for shape in ((96, 130), (130, 96)))
    expected, found = a @ b, np.full((96, 96), np.nan)
    with ThreadPoolExecutor(3) as threads:
        shared = np.zeros(40, np.int64)
        followed = [threads.submit(assist, shared) for _ in range(3)]
        for _ in range(300):
            found.fill(np.nan)
            product(shared, 1.0, a, b, 0.0, found)
            np.testing.assert_array_equal(found, expected)
        shared[0] = -1
        assert [each.result(60) for each in followed] == [shared[8]] * 3


def trained(threads, likes, monkeypatch):
    monkeypatch.setattr("gradcompile.train.steps.likes_tiles", lambda: likes)
    gc.set_threads(threads)
    random = np.random.default_rng(2)
    given = {"x": random.normal(size=(700, 200)), "t": random.normal(size=700)}
    start = {"W1": random.normal(size=(200, 520)) / 14, "W2": random.normal(size=(520, 80)) / 23, "w": np.ones(80) / 9}
    options = {"optimizer": gc.Adam(0.01), "epochs": 2, "batch_size": 128, "seed": 3, "progress": False}
    return gc.compile(gc.parse(NETWORK)).fit(**given, init=start, **options).params


def test_steps_have_the_same_bits_with_any_number_of_threads(monkeypatch):
    one, *others = (trained(threads, True, monkeypatch) for threads in (1, 2, 4, 8))
    for other in others:
        assert all(np.array_equal(one[name], other[name]) for name in one)
    whole = trained(1, False, monkeypatch)  # by BLAS alone
    for name in one:
        np.testing.assert_allclose(one[name], whole[name], rtol=1e-7, atol=1e-9)


def test_threads_of_ours_share_large_products_and_blas_has_one(monkeypatch):
    helped, numbers = [], []
    monkeypatch.setattr(blas, "_functions", lambda: (lambda: 4, numbers.append))
    monkeypatch.setattr(pool, "beside", lambda task, threads: helped.append(threads))
    for processors in (8, 2):
        monkeypatch.setattr("gradcompile.threads.teams.processors", lambda number=processors: number)
        trained(3, True, monkeypatch)
    assert set(helped) == {2, 1}
    assert numbers == [1, 4] * (len(numbers) // 2) != []


def test_a_team_is_over_when_its_function_has_ended(monkeypatch):
    started = []
    monkeypatch.setattr(pool, "beside", lambda task, threads: started.append((task, threads)))
    seen = []
    with team(lambda shared: seen.append(shared.copy())) as shared:
        started[0][0]()
    started[0][0]()
    assert [each[0] for each in seen] == [0, -1]
    assert shared[0] == over()[0] == -1
    with team(seen.append, alone=True):
        assert len(started) == 1


def test_a_team_is_over_when_its_function_was_interrupted():
    def interrupted(teams):
        with team(lambda shared: None) as shared:
            teams.append(shared)
            raise KeyboardInterrupt

    teams = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(teams)
    assert teams[0][0] == over()[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_trains_as_its_parent_does(monkeypatch):
    expected = trained(2, True, monkeypatch)
    child = os.fork()
    if not child:
        status = 1
        try:
            found = trained(2, True, monkeypatch)
            status = int(not all(np.array_equal(found[name], expected[name]) for name in found))
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
