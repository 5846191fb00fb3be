"""From text to functions that can be called."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import platform
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy

from gradcompile.errors import EmissionError
from gradcompile.garbage import importing
from gradcompile.jit.background import stop_when_ending
from gradcompile.jit.directory import PrivateDirectory, cache_directory
from gradcompile.jit.linking import PRODUCT, find_products
from gradcompile.jit.memory import keep_freed

FORMAT = 43  # of the cache; a new number leaves all old entries alone


class Given(NamedTuple):
    """What a compiled function is given as one of its arguments.

    Parameters
    ----------
    dtype : str
        Of the number, or of the elements of the array.
    rank : int
        The number of axes; 0 is a number of Python.
    lengths : tuple of (int or None)
        Of an array: how long each axis is in every call, where that is known. Empty if nothing is.
    """

    dtype: str
    rank: int
    lengths: tuple[int | None, ...] = ()


Typed = Sequence[Given | tuple[str, int]]  # what a function is compiled for; a pair is a dtype and a rank

_modules: dict[str, ModuleType] = {}
_lock = threading.RLock()


def given(types: Typed) -> list[Given]:
    """Return what a function is compiled for, pairs in full.

    Examples
    --------
    >>> given([("int64", 1)])
    [Given(dtype='int64', rank=1, lengths=())]
    """
    return [Given(*each) for each in types]


@importing()
def load(source: str, *, compiled: bool, inner: Collection[str] = (), short: Collection[str] = ()) -> ModuleType:
    r"""Return the module that a text is, imported now if this process has not done so yet.

    Parameters
    ----------
    source : str
        Emitted text, after its own check.
    compiled : bool
        Whether the module has functions that Numba compiles, so that their machine code is kept.
    inner : collection of str
        The functions that only compiled code calls: Python must not, for they get no form that it could call.
    short : collection of str
        Further ones, which are not worth optimising by themselves.

    Examples
    --------
    >>> load("def twice(x):\n    return 2*x\n", compiled=False).twice(21)
    42
    """
    name = digest(source, _circumstances(compiled))
    with _lock:
        if name not in _modules:
            _modules[name] = _import(source, name, compiled, inner, short)
        return _modules[name]


def _import(source: str, own: str, compiled: bool, inner: Collection[str], short: Collection[str]) -> ModuleType:
    directory = cache_directory()
    kept = directory is not None and _store(directory, f"{own}.py", source)
    filename = str(directory.path / f"{own}.py") if directory and kept else f"gradcompile-{own}.py"
    name = f"gradcompile_{own}"
    loader = _Text(source, filename)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=filename)
    spec.has_location = True
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    found = [each for each in (*inner, *short) if hasattr(module, each)] if compiled else []
    if found:
        from gradcompile.jit.inner import only_called  # Numba takes its time to import, and not every model needs it

        for each in found:
            only_called(getattr(module, each), short=each in short)
    if directory and kept and compiled:
        _keep_machine_code(module, directory, own, found)
    if compiled:
        keep_freed()
    if compiled and PRODUCT in source:
        find_products()
    if compiled and "np.linalg" in source:
        import scipy.linalg.cython_lapack  # noqa: F401  (compiled code would import it at its first call)
    return module


class _Text(importlib.abc.ExecutionLoader):
    """Imports a text that we hold; whatever stands in the file of that name is never run."""

    def __init__(self, source: str, filename: str) -> None:
        self.source, self.filename = source, filename

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_filename(self, fullname: str) -> str:
        return self.filename

    def is_package(self, fullname: str) -> bool:
        return False


def _store(directory: PrivateDirectory, name: str, source: str) -> bool:
    """Make sure that the file holds this text; return whether it does."""
    content = source.encode()
    found = directory.read(name)
    if found == content:
        directory.touch(name)
        return True
    if found is not None:
        directory.put_aside(name)
    written = directory.write(name, content)
    if written:
        directory.trim(keep=name.split(".")[0])
    return written


def _keep_machine_code(module: ModuleType, directory: PrivateDirectory, digest: str, inner: Collection[str]) -> None:
    """Keep the machine code of the functions that are called from outside: that of the others is in it."""
    from gradcompile.jit.machine_code import keep  # Numba takes its time to import, and not every model needs it

    for name, thing in vars(module).items():
        if not name.startswith("_") and name not in inner:
            keep(thing, directory, digest)


def digest(source: str, circumstances: Sequence[object]) -> str:
    """Return the name of a text under the circumstances in which it runs."""
    return hashlib.sha256(json.dumps([FORMAT, source, *circumstances]).encode()).hexdigest()


def versions() -> list[object]:
    """Return the versions on which every module depends."""
    import gradcompile  # the package's front door imports this module

    return [platform.python_implementation(), sys.version, gradcompile.__version__, numpy.__version__]


def processor() -> list[object]:
    """Return what machine code depends on, whoever makes it: LLVM, and the processor."""
    import llvmlite
    import llvmlite.binding as llvm

    cpu = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return [llvmlite.__version__, llvm.get_process_triple(), *cpu]


def _circumstances(compiled: bool) -> list[object]:
    """Return everything besides its text on which a module depends."""
    if not compiled:
        return versions()
    import numba

    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_"))
    return [*versions(), numba.__version__, *processor(), settings]


def specialise(function: Callable[..., Any], types: Typed) -> None:
    """Compile a function of a compiled module for the only types that it will be called with.

    Parameters
    ----------
    function : callable
        A function that Numba compiles; any other is left as it is.
    types : sequence of Given
        One for each argument; lengths do not matter here. Arrays are in C order and may be read-only: no kernel writes
        to what it is given, so that a memory map needs neither a copy nor a second compilation.

    Raises
    ------
    EmissionError
        The code does not compile, which is a defect of gradcompile.
    """
    from numba.core.dispatcher import Dispatcher
    from numba.core.errors import NumbaError

    stop_when_ending()
    if not isinstance(function, Dispatcher):
        return
    dispatcher: Any = function  # Numba's type hints are partial
    signature = tuple(_numba_type(each.dtype, each.rank) for each in given(types))
    if signature in dispatcher.overloads:  # two models with one text share a module
        return
    try:
        dispatcher.compile(signature)
    except NumbaError:
        hint = "report it as a defect of gradcompile, together with model.source"
        raise EmissionError(f"the emitted function {dispatcher.__name__!r} does not compile", hint=hint) from None
    dispatcher.disable_compile()


def _numba_type(dtype: str, rank: int) -> Any:
    from numba import types

    scalar = getattr(types, dtype)
    return types.Array(scalar, rank, "C", readonly=True) if rank else scalar
