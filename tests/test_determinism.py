"""Emission is a pure function of the model: the same bytes for every PYTHONHASHSEED, order and process."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradcompile as gc
from tests.zoo import BY_NAME, arguments

MODELS = [
    ("lecture", "scalar"),
    ("softmax", "indexed"),
    ("softmax", "matrix"),
    ("network-2-tanh", "defined"),
    ("factorisation", "indexed"),
    ("huber", "scalar"),
    ("ackley", "matrix"),
]
TARGETS = ("python", "numpy", "numba")


@functools.cache
def first() -> list[str]:
    """Return the fingerprints of this process, before it compiles these models again."""
    return fingerprints()


def fingerprints() -> list[str]:
    """One line a text that is emitted or shown: what it is and its SHA-256."""
    lines = []
    for name, notation in MODELS:
        options = arguments(BY_NAME[name].forms[notation])
        model = gc.compile(**options)
        texts = {target: gc.emit(**options, target=target) for target in TARGETS}
        texts |= {"listing": model.listing, "source": model.source, "arguments": " ".join(model.arguments)}
        for what, text in texts.items():
            lines.append(f"{name} {notation} {what} {hashlib.sha256(text.encode()).hexdigest()}")
    return lines


def in_process(seed: int) -> list[str]:
    program = "from tests.test_determinism import fingerprints; print(*fingerprints(), sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(20), marks=pytest.mark.slow)], ids=["2", "20"])
def test_same_bytes_for_every_hash_seed(seeds: range) -> None:
    expected = first()
    for seed in seeds:
        assert in_process(seed) == expected, f"PYTHONHASHSEED={seed}"


def test_same_bytes_after_other_models() -> None:
    """Nothing that was compiled before leaves a trace in a name."""
    assert first() == fingerprints()


TRAINED = """
import numpy as np
import gradcompile as gc

line = gc.parse('''
    x: data[N, D]
    t: data[N]
    w: parameter[D]
    b: parameter
    loss = Sum((Sum(x[s, j]*w[j], j) + b - t[s])**2, s)/N
''')
random = np.random.default_rng(0)
x = random.normal(size=(4000, 3))
t = x @ [1.0, 2.0, 3.0] + 0.5 + 0.1*random.normal(size=4000)
result = gc.compile(line).fit(
    x=x, t=t, init={"w": np.zeros(3), "b": 0.0}, optimizer=gc.Adam(0.01), epochs=3, batch_size=32,
    seed=5, progress=False,
)
print(result.params["w"].tobytes().hex(), float(result.params["b"]).hex())
"""


def test_training_has_the_same_bits_with_kernels_compiled_and_kernels_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", TRAINED]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    compiled, kept = (run.stdout for run in runs)
    assert any(tmp_path.rglob("*.direct")), "the first process kept nothing, so the second one compiled"
    assert kept == compiled
