"""Where compiled code finds BLAS and LAPACK: in a file of SciPy each, without the rest of `scipy.linalg`.

Numba's products look for BLAS at their first call, and import `scipy.linalg` for it, which takes a tenth of a second.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

PRODUCT = "numba_xxgemm"  # of the functions that Numba has for BLAS, the one that emitted code calls
# Functions of emitted code that read matrices by strides: one form does for all the ways in which they may lie.
BY_STRIDES = ("gemm", "share")
THEIRS = ("by_rows", "multiply", "compute", "take")  # what these call, and nobody else
BLAS, LAPACK = "scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"  # where Numba's functions look


def library() -> str | None:
    """Return the path of the extension module through which Numba finds BLAS; None where SciPy has none."""
    spec = _specification(BLAS)
    return None if spec is None else spec.origin


@cache
def products() -> dict[str, int]:
    """Return the addresses of BLAS's products of matrices.

    Raises
    ------
    ImportError
        SciPy has none.
    """
    return _addresses(BLAS, ("dgemm", "sgemm"))


@cache
def factors() -> dict[str, int]:
    """Return the addresses of LAPACK's functions that factorise matrices, and what makes inverses and solutions.

    Raises
    ------
    ImportError
        SciPy has none.
    """
    return _addresses(LAPACK, ("dgetrf", "sgetrf", "dgetri", "sgetri", "dgetrs", "sgetrs"))


def has_factors() -> bool:
    """Return whether SciPy has LAPACK's functions."""
    return _specification(LAPACK) is not None


def _addresses(name: str, functions: Sequence[str]) -> dict[str, int]:
    """Return the addresses of functions that a module of SciPy offers to others that are compiled."""
    spec = _specification(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {name}", name=name)
    module = sys.modules.get(name)
    if module is None:
        module = _loaded(spec)
        sys.modules.pop(name, None)  # it put itself there, and whoever imports `scipy.linalg` is to get all of it
    pointer, title = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetName
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    title.restype, title.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    capsules = {each: vars(module)["__pyx_capi__"][each] for each in functions}
    return {each: int(pointer(capsule, title(capsule))) for each, capsule in capsules.items()}


def _loaded(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None  # who calls this looks
    spec.loader.exec_module(module)
    return module


@cache
def find_products() -> None:
    """Let Numba's products of matrices find BLAS now: afterwards they import nothing.

    The module is known to Python only as long as they look for it: whoever imports `scipy.linalg` gets all of it.
    """
    spec = _specification(BLAS)
    if spec is None or spec.loader is None or BLAS in sys.modules:
        return
    sys.modules[BLAS] = _loaded(spec)
    try:
        for kind in "ds":
            _multiply_nothing(kind)
    finally:
        del sys.modules[BLAS]


def _multiply_nothing(kind: str) -> None:
    """Call Numba's product for matrices of no rows; `kind` is BLAS's letter for their type."""
    from numba import _helperlib

    functions: dict[str, int] = vars(_helperlib)["c_helpers"]  # their addresses
    number, size, one = ctypes.c_double(), ctypes.c_ssize_t, ctypes.c_ssize_t(1)
    matrix, letter = ctypes.c_void_p, ctypes.c_char
    product = ctypes.PYFUNCTYPE(
        ctypes.c_int, *(letter,) * 3, *(size,) * 3, *(matrix, matrix, size, matrix, size, matrix, matrix, size)
    )(functions[PRODUCT.removeprefix("numba_")])
    at = ctypes.addressof(number)
    product(kind.encode(), b"N", b"N", 0, 0, 0, at, at, one, at, one, at, at, one)


def _specification(name: str) -> ModuleSpec | None:
    scipy = importlib.util.find_spec("scipy")
    found = scipy.submodule_search_locations if scipy else None
    return PathFinder.find_spec(name, [str(Path(folder) / "linalg") for folder in found or ()])
