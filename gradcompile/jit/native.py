"""Long programs of scalars as machine code, made by LLVM without Numba; kept from one process to the next.

What runs is the text of the module in plain Python. Its arithmetic is that of IEEE 754: nothing is raised.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import struct
import threading
from collections.abc import Callable
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import llvmlite.binding as llvm

from gradcompile.jit.background import stop_if_ending
from gradcompile.jit.directory import PrivateDirectory, cache_directory
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.jit.translation import LIBRARY, PAIR, translate

LEVEL = 1  # of LLVM's code generator: what more of it does to straight lines costs more than it brings
HEAD = "QQ"  # of a file: the size of the memory, the number of objects; then the length of each
Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DOUBLE = ctypes.sizeof(ctypes.c_double)
DIGEST = hashlib.sha256().digest_size


def native(source: str, name: str, gradients: int, *, strict: bool) -> Callable[..., Any]:
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
        Whether every operation is rounded by itself.

    Raises
    ------
    UntranslatableError
        The module holds something else than arithmetic on floats.

    Examples
    --------
    >>> native("def value(x):\n    return 2*x\n", "value", 0, strict=False)(21.0)
    42.0
    """
    _initialise()
    kept, objects = _kept(source, name, strict)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return _caller(engine, name, gradients, kept)


def _caller(engine: Any, name: str, gradients: int, kept: int) -> Callable[..., Any]:
    """Return a Python function for one of machine code; every thread has memory of its own."""
    entry = Entry(engine.get_function_address(name))
    own = threading.local()
    unpack = struct.Struct(f"{1 + gradients}d").unpack_from

    def memory(count: int) -> Any:
        doubles = bytearray(DOUBLE * (count + kept + 1 + gradients))  # packed into, it takes half the time of an array
        address = ctypes.addressof(ctypes.c_char.from_buffer(doubles))
        own.memory = doubles, address, DOUBLE * (count + kept), struct.Struct(f"{count}d").pack_into
        return own.memory

    def call(*arguments: float) -> Any:
        doubles, address, results, pack = getattr(own, "memory", None) or memory(len(arguments))
        pack(doubles, 0, *arguments)
        entry(address)
        numbers = unpack(doubles, results)
        return (numbers[0], numbers[1:]) if gradients else numbers[0]

    call.engine = engine  # type: ignore[attr-defined]  # the code lives as long as the function
    return call


def _kept(source: str, name: str, strict: bool) -> tuple[int, list[bytes]]:
    """Return the size of the memory and the object files of a function, from the cache if they are there."""
    directory = cache_directory()
    file = f"{digest(source, [*versions(), *processor(), strict])}.{name}.native"
    content = _read(directory, file) if directory else None
    if content is None:
        content = _packed(*_made(source, name, strict))
        if directory:
            directory.write(file, _signed(file, content) + content)
    kept, count = struct.unpack_from(f"<{HEAD}", content)
    sizes = struct.unpack_from(f"<{count}Q", content, struct.calcsize(f"<{HEAD}"))
    ends = list(accumulate(sizes, initial=struct.calcsize(f"<{HEAD}{count}Q")))
    return kept, [content[first:last] for first, last in pairwise(ends)]


def _packed(kept: int, objects: list[bytes]) -> bytes:
    sizes = [len(code) for code in objects]
    return struct.pack(f"<{HEAD}{len(sizes)}Q", kept, len(sizes), *sizes) + b"".join(objects)


def _made(source: str, name: str, strict: bool) -> tuple[int, list[bytes]]:
    translated = translate(source, name, contract=not strict, pairs=_initialise(), pause=stop_if_ending)
    return translated.kept, [_machine_code(text) for text in translated.modules]


def _machine_code(text: str) -> bytes:
    """Return an object file."""
    stop_if_ending()
    machine, module = _machine(), llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=LEVEL))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def _machine() -> Any:
    """Return what code is made for, this processor; what it is given to owns it, so that every use needs another."""
    _initialise()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=LEVEL, reloc="default", codemodel="jitdefault", jit=True
    )


@cache
def _initialise() -> bool:
    """Let LLVM know this processor, and where the functions of the C library are; return whether ``sincos`` is one."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    names = sorted({*LIBRARY.values()})
    library = ctypes.CDLL(None)  # Python itself has the C library, and mostly that of mathematics
    if not all(hasattr(library, name) for name in names):
        library = ctypes.CDLL(ctypes.util.find_library("m"))
    pairs = hasattr(library, PAIR)
    for name in [*names, *([PAIR] if pairs else [])]:
        llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return pairs


def _read(directory: PrivateDirectory, name: str) -> bytes | None:
    """Return what was kept under a name, if it is what was written."""
    content = directory.read(name)
    if content is None:
        return None
    if content[:DIGEST] == _signed(name, content[DIGEST:]):
        return content[DIGEST:]
    directory.put_aside(name)
    return None


def _signed(name: str, content: bytes) -> bytes:
    """Return the digest of a file: its name counts, so that no file can stand in for another."""
    return hashlib.sha256(name.encode() + content).digest()
