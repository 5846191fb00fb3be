"""Emission is a pure function of the model: the same bytes for every PYTHONHASHSEED, order and process."""

from __future__ import annotations

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
    expected = fingerprints()
    for seed in seeds:
        assert in_process(seed) == expected, f"PYTHONHASHSEED={seed}"


def test_same_bytes_after_other_models() -> None:
    """Nothing that was compiled before leaves a trace in a name."""
    assert fingerprints() == fingerprints()
