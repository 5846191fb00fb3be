"""Answers that take long to find and never change, kept for all processes of one test run."""

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mpmath import mp

PLACE = "GRADCOMPILE_TEST_CACHE_OWNER"  # set where XDG_CACHE_HOME is the run's own, private and new

T = TypeVar("T")


def number(parts: Any) -> Any:
    """Return a number of mpmath from its sign, mantissa and exponent."""
    return mp.make_mpf(parts)


class Pickler(pickle.Pickler):
    """Writes the numbers of mpmath, too, whose class every process and every context makes anew."""

    def reducer_override(self, value: Any) -> Any:
        parts = getattr(value, "_mpf_", None)
        return NotImplemented if parts is None or isinstance(value, type) else (number, (parts,))


def kept(name: str, find: Callable[[], T]) -> T:
    """Return what `find` returns, or what it returned in another process of this test run."""
    if PLACE not in os.environ:
        return find()
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "answers"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.pickle"
    if path.exists():
        answer: T = pickle.loads(path.read_bytes())  # written below, by a process of this run
        return answer
    answer = find()
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        Pickler(file).dump(answer)
    os.replace(file.name, path)
    return answer
