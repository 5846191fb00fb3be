"""Emitted text becomes a module: one file, named by its content, in a directory that only the user can write to.

The module that runs is made from the text itself; the file is there so that `inspect.getsource`, tracebacks and
editors show what runs, and so that its machine code has a place beside it. A second process finds the machine code by
the same name and compiles nothing.

Kernels are compiled by `direct`, which gives LLVM the text without Numba, and what it does not know by Numba.
"""

from gradcompile.jit.background import Task
from gradcompile.jit.directory import CacheWarning, cache_directory
from gradcompile.jit.kernels import ByArguments, compile_all, kernel, wants_numba
from gradcompile.jit.loading import Given, Typed, load, specialise

__all__ = [
    "ByArguments",
    "CacheWarning",
    "Given",
    "Task",
    "Typed",
    "cache_directory",
    "compile_all",
    "kernel",
    "load",
    "specialise",
    "wants_numba",
]
