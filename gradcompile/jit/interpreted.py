"""What emitted code imports as LLVM's instructions, where it is run as Python to look into it: NUMBA_DISABLE_JIT=1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import config
from numba.extending import intrinsic


def instruction(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of an instruction of LLVM's, in the place of which `plain` stands where nothing is compiled.

    Parameters
    ----------
    plain : callable
        The same in Python.
    """
    return (lambda code: plain) if config.DISABLE_JIT else intrinsic  # type: ignore[attr-defined]  # set by name
