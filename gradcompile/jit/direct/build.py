"""A function of an emitted module as one that Python calls: translated, optimised, kept and linked."""

from __future__ import annotations

import ctypes
import importlib
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from gradcompile.jit.direct.boundary import ARRAY_NEW, ARRAY_TYPE, ENTRY, ERROR, TABLE
from gradcompile.jit.direct.calls import OPAQUE
from gradcompile.jit.direct.kinds import SCALARS, Array, Type, UntranslatableError, Vectors
from gradcompile.jit.direct.matrices import USED
from gradcompile.jit.direct.outside import DOUBLE, LAPACK, SINGLE
from gradcompile.jit.direct.program import Module, Program
from gradcompile.jit.direct.vectors import vector_code
from gradcompile.jit.library import LIBRARY
from gradcompile.jit.linking import PRODUCT, factors, has_factors, products
from gradcompile.jit.loading import Given, Typed, digest, given, processor, versions
from gradcompile.jit.memory import keep_freed
from gradcompile.jit.objects import Made, initialise, is_kept, kept, linked, machine_codes, optimised

LEVEL = 3  # of LLVM's optimisation
FASTCALL = 0x80  # CPython's `METH_FASTCALL`
NEW, ARRAY = 93, 2  # places of `PyArray_New` and `PyArray_Type` in NumPy's table of what extensions may call
KNOWN = {OPAQUE, DOUBLE, SINGLE, *LIBRARY.values()}  # whose addresses LLVM is told


class _Definition(ctypes.Structure):
    """CPython's `PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("text", ctypes.c_char_p),
    )  # fmt: skip


class Code:
    """What a function of machine code belongs to, its ``__self__``.

    Attributes
    ----------
    source : str
        The text that it was made from.
    """

    def __init__(self, source: str, engine: Any, definition: _Definition) -> None:
        self.source = source
        self._kept = engine, definition  # they have to live as long as the function


def build(source: str, name: str, types: Typed) -> Callable[..., Any]:
    r"""Return a function of an emitted module, compiled for arguments of these types.

    Parameters
    ----------
    source : str
        The module, for Numba.
    name : str
        The function.
    types : sequence of Given
        One for each argument; rank 0 is a Python number, anything else an array in C order.

    Returns
    -------
    callable
        Of these arguments, by position. Raises a TypeError where one is of another type, and a MemoryError.

    Raises
    ------
    UntranslatableError
        The module holds something that is left to Numba.

    Examples
    --------
    >>> import numpy
    >>> text = "@njit(error_model='numpy')\ndef last(x):\n    return x[x.shape[0] - 1]\n"
    >>> build(text, "last", [Given("float64", 1)])(numpy.arange(3.0))
    2.0
    """
    found = build_all(source, {name: types})[name]
    if isinstance(found, UntranslatableError):
        raise found
    return found


def build_all(source: str, wanted: Mapping[str, Typed]) -> dict[str, Callable[..., Any] | UntranslatableError]:
    """Return functions of an emitted module as `build` does, compiled beside one another.

    Parameters
    ----------
    source : str
        The module, for Numba.
    wanted : mapping of str to sequence of Given
        The functions, and the types of their arguments.

    Returns
    -------
    dict of str to callable
        For a function that is left to Numba, an error that says why.
    """
    if not _supported():
        return {name: UntranslatableError("another interpreter") for name in wanted}
    around = [*versions(), *processor()]
    files = {name: f"{digest(source, [*around, name, given(types)])}.direct" for name, types in wanted.items()}
    made = _made(source, {name: types for name, types in wanted.items() if not is_kept(files[name])})
    return {name: _ready(source, name, types, files[name], made.get(name)) for name, types in wanted.items()}


def _ready(
    source: str, name: str, types: Typed, file: str, made: Made | UntranslatableError | None
) -> Callable[..., Any] | UntranslatableError:
    """Return a function whose machine code has been made now, or else is in a file."""
    if isinstance(made, UntranslatableError):
        return made
    _, objects = kept(file, lambda: made or _made_again(source, name, types))
    if PRODUCT in source:
        _know_products()
    if USED in source:
        _know_factors()
    _know_functions()
    keep_freed()
    return _callable(source, linked(objects, LEVEL), name)


def _made_again(source: str, name: str, types: Typed) -> Made:
    """Return the machine code of a function whose file was there, and is broken."""
    found = _made(source, {name: types})[name]
    assert not isinstance(found, UntranslatableError)  # else there would have been no file
    return found


def _type(argument: Given) -> Type:
    if argument.dtype not in SCALARS:
        raise UntranslatableError(argument.dtype)
    return Array(SCALARS[argument.dtype], argument.rank) if argument.rank else SCALARS[argument.dtype]


def _made(source: str, wanted: Mapping[str, Typed]) -> dict[str, Made | UntranslatableError]:
    """Return the machine code of functions, or why there is none."""
    found: dict[str, Made | UntranslatableError] = {}
    modules: dict[str, list[Module]] = {}
    vectors: dict[str, Iterable[Vectors]] = {}
    for name, types in wanted.items():
        try:
            modules[name], vectors[name] = _modules(source, name, types)
        except UntranslatableError as error:
            found[name] = error
    every = [each for own in modules.values() for each in own]
    common = {each.text for each in every if each.common}
    codes = iter(machine_codes([each.text for each in every], LEVEL, optimised, common))
    own = {name: [next(codes) for _ in each] for name, each in modules.items()}
    return found | {name: (0, [*codes, *_called(codes, vectors[name])]) for name, codes in own.items()}


def _called(codes: list[bytes], vectors: Iterable[Vectors]) -> list[bytes]:
    """Return the object files of the functions of vectors that others call."""
    return [vector_code(each) for each in vectors if any(each.symbol.encode() in code for code in codes)]


def _modules(source: str, name: str, types: Typed) -> tuple[list[Module], Iterable[Vectors]]:
    """Return the modules of LLVM for a function, and the functions of vectors that they may call."""
    if USED in source and not has_factors():
        raise UntranslatableError("there is no LAPACK")
    program, full = Program(source), given(types)
    modules = program.modules(name, [_type(each) for each in full], [each.lengths for each in full])
    for each in program.outside():
        if each not in KNOWN and not each.startswith(LAPACK) and not hasattr(ctypes.CDLL(None), each):
            raise UntranslatableError(f"there is no {each}")
    return modules, program.around.vectors


def _callable(source: str, engine: Any, name: str) -> Callable[..., Any]:
    """Return the Python function of machine code."""
    table = (ctypes.c_void_p * 3).from_address(engine.get_global_value_address(TABLE))
    table[ARRAY_TYPE], table[ARRAY_NEW] = _numpys()
    table[ERROR] = id(np.linalg.LinAlgError)
    definition = _Definition(name.encode(), engine.get_function_address(ENTRY), FASTCALL, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    function: Callable[..., Any] = make(ctypes.addressof(definition), Code(source, engine, definition), None)
    return function


@cache
def _numpys() -> tuple[int, int]:
    """Return the addresses of `PyArray_Type` and `PyArray_New`, which NumPy tells extensions."""
    umath = importlib.import_module("numpy._core._multiarray_umath")
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = (ctypes.c_void_p * (NEW + 1)).from_address(pointer(umath._ARRAY_API, None))
    return table[ARRAY] or 0, table[NEW] or 0


@cache
def _know_functions() -> None:
    initialise()
    library = ctypes.CDLL(None)
    llvm.add_symbol(OPAQUE, ctypes.cast(library.ldexp, ctypes.c_void_p).value)


@cache
def _know_products() -> None:
    found = products()
    for name, where in ((DOUBLE, "dgemm"), (SINGLE, "sgemm")):
        llvm.add_symbol(name, found[where])


@cache
def _know_factors() -> None:
    for name, address in factors().items():
        llvm.add_symbol(LAPACK + name, address)


@cache
def _supported() -> bool:
    """Return whether objects of Python lie in memory as is known here."""
    plain = not sysconfig.get_config_var("Py_GIL_DISABLED") and not sysconfig.get_config_var("Py_TRACE_REFS")
    return sys.implementation.name == "cpython" and plain and struct.calcsize("P") == 8 and sys.platform != "win32"
