"""Long programs of scalars as machine code, made by LLVM without Numba; kept from one process to the next.

What runs is the text of the module in plain Python. Its arithmetic is that of IEEE 754: nothing is raised.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from typing import Any

from gradcompile.jit.background import stop_if_ending
from gradcompile.jit.direct.kinds import F64, Vectors
from gradcompile.jit.direct.vectors import vector_code
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.jit.objects import Made, initialise, kept, linked, machine_codes, tidied
from gradcompile.jit.packs import LANES
from gradcompile.jit.translation import ALIGNED, translate

LEVEL = 1  # of LLVM's code generator: what more of it does to straight lines costs more than it brings
Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DOUBLE = ctypes.sizeof(ctypes.c_double)


def native(source: str, name: str, gradients: int, *, strict: bool, value: bool = True) -> Callable[..., Any]:
    r"""Return a function of an emitted module as machine code.

    Parameters
    ----------
    source : str
        The module, in plain Python.
    name : str
        The function of numbers.
    gradients : int
        How many it returns, in a tuple after the value; 0: it returns the value alone.
    strict : bool
        Whether every operation is rounded by itself, and every elementary function that of the C library.
    value : bool
        Whether it returns a value; else it returns the tuple alone.

    Raises
    ------
    UntranslatableError
        The module holds something else than arithmetic on floats.

    Examples
    --------
    >>> native("def value(x):\n    return 2*x\n", "value", 0, strict=False)(21.0)
    42.0
    """
    file = f"{digest(source, [*versions(), *processor(), strict])}.{name}.native"
    memory, objects = kept(file, lambda: _made(source, name, strict))
    return _caller(linked(objects, LEVEL), name, gradients, memory, value=value)


def _caller(engine: Any, name: str, gradients: int, between: int, *, value: bool) -> Callable[..., Any]:
    """Return a Python function for one of machine code; every thread has memory of its own."""
    entry = Entry(engine.get_function_address(name))
    own = threading.local()
    returned = gradients + value
    unpack = struct.Struct(f"{returned}d").unpack_from

    def memory(count: int) -> Any:
        size = DOUBLE * (count + between + returned)
        doubles = bytearray(ALIGNED + size)  # packed into, it takes half the time of an array
        address = ctypes.addressof(ctypes.c_char.from_buffer(doubles))
        start = -(address + DOUBLE * count) % ALIGNED  # of the arguments, so that what is kept after them is aligned
        results = start + DOUBLE * (count + between)
        own.memory = doubles, address + start, start, results, struct.Struct(f"{count}d").pack_into
        return own.memory

    def call(*arguments: float) -> Any:
        doubles, address, start, results, pack = getattr(own, "memory", None) or memory(len(arguments))
        pack(doubles, start, *arguments)
        entry(address)
        numbers = unpack(doubles, results)
        if not value:
            return numbers
        return (numbers[0], numbers[1:]) if gradients else numbers[0]

    call.engine = engine  # type: ignore[attr-defined]  # the code lives as long as the function
    return call


def _made(source: str, name: str, strict: bool) -> Made:
    found = translate(source, name, contract=not strict, pairs=initialise(), packs=not strict, pause=stop_if_ending)
    own = machine_codes(found.modules, LEVEL, tidied)
    return found.kept, [*own, *(vector_code(Vectors(row, F64, LANES)) for row in found.rows)]
