"""Object files that LLVM makes for this processor without Numba, kept from one process to the next."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from gradcompile.jit.background import stop_if_ending
from gradcompile.jit.directory import PrivateDirectory, cache_directory
from gradcompile.jit.late import definitions
from gradcompile.jit.library import LIBRARY, PAIR
from gradcompile.jit.loading import digest, processor, versions
from gradcompile.processors import processors

HEAD = "QQ"  # of a file: a number that belongs to it, the number of objects; then the length of each
WHOLE_REGISTERS = "-prefer-256-bit"
Made = tuple[int, list[bytes]]  # a number, and object files


def kept(name: str, make: Callable[[], Made]) -> Made:
    """Return object files from the cache, made now if they are not there.

    Parameters
    ----------
    name : str
        Of a file, which says all that the objects depend on.
    make : callable
        Returns a number, which is kept with them, and the objects.
    """
    directory = cache_directory()
    content = _read(directory, name) if directory else None
    if content is None:
        content = _packed(*make())
        if directory and directory.write_signed(name, content):
            directory.trim(keep=name.split(".")[0])
    number, count = struct.unpack_from(f"<{HEAD}", content)
    sizes = struct.unpack_from(f"<{count}Q", content, struct.calcsize(f"<{HEAD}"))
    ends = list(accumulate(sizes, initial=struct.calcsize(f"<{HEAD}{count}Q")))
    return number, [content[first:last] for first, last in pairwise(ends)]


def is_kept(name: str) -> bool:
    """Return whether there is a file with this name in the cache; `kept` looks at what is in it."""
    directory = cache_directory()
    return directory is not None and (directory.path / name).exists()


def _packed(number: int, objects: list[bytes]) -> bytes:
    sizes = [len(code) for code in objects]
    return struct.pack(f"<{HEAD}{len(sizes)}Q", number, len(sizes), *sizes) + b"".join(objects)


def linked(objects: Sequence[bytes], level: int) -> Any:
    """Return an engine that has object files ready to run; they live as long as it does."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine(level))
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def machine_codes(
    texts: Sequence[str], level: int, passes: Callable[[Any], Any], common: Collection[str] = ()
) -> list[bytes]:
    """Return the object files of modules of LLVM, which are made beside one another.

    Parameters
    ----------
    texts : sequence of str
        The modules. It saves time if the longest is the first.
    level : int
        Of LLVM's optimisation and of its code generator, from 0 to 3.
    passes : callable
        ``passes(builder)`` returns the pass manager that improves a module.
    common : collection of str
        Those of the modules that other programs have as well: their object files are kept for these. They call BLAS or
        LAPACK and hardly compute themselves, so that few passes do.
    """
    waiting, found = deque(enumerate(texts)), dict[int, bytes]()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while waiting and not failures:
                number, text = waiting.popleft()
                found[number] = _common_code(text, level) if text in common else _machine_code(text, level, passes)
        except IndexError:  # another thread was faster
            return
        except BaseException as failure:
            failures.append(failure)

    others = _begun(work, min(len(texts), processors()) - 1)
    try:
        work()
    finally:
        waiting.clear()  # an interrupt, perhaps
        for each in others:
            each.join()
    if failures:
        raise failures[0]
    return [found[number] for number in range(len(texts))]


def _common_code(text: str, level: int) -> bytes:
    """Return the object file of a module that other programs have as well."""
    file = f"{digest(text, [*versions(), *processor(), level])}.common"
    [code] = kept(file, lambda: (0, [_machine_code(text, level, tidied)]))[1]
    return code


def _begun(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """Return threads that have begun some work: fewer where the system has none left, and who asks works alone."""
    begun: list[threading.Thread] = []
    with suppress(RuntimeError):
        for _ in range(count):
            thread = threading.Thread(target=work)
            thread.start()
            begun.append(thread)
    return begun


def _machine_code(text: str, level: int, passes: Callable[[Any], Any]) -> bytes:
    """Return the object file of one module, made in a context of its own, which is what threads of LLVM need."""
    stop_if_ending()
    target, context = machine(level), llvm.create_context()
    module = llvm.parse_assembly(text, context)
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=level))
    _beside("LLVMPY_RunNewModulePassManager")(passes(builder), module, builder)
    if late := definitions(text):
        _write_out(late, module, context, builder)
    stop_if_ending()
    with ffi.OutputString() as error:
        buffer = _beside("LLVMPY_TargetMachineEmitToMemory")(target, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _write_out(late: str, module: Any, context: Any, builder: Any) -> None:
    """Write out functions of `late`, by their definitions, now that loops are vectors."""
    module.link_in(llvm.parse_assembly(late, context))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    _beside("LLVMPY_RunNewModulePassManager")(passes, module, builder)


def _beside(name: str) -> Any:
    """Return a function of LLVM that runs beside others: llvmlite would let each wait for the one before."""
    function = getattr(ffi.lib, name)
    return getattr(function, "_cfn", function)


def optimised(builder: Any) -> Any:
    """Return all the passes with which LLVM improves a module; what it calls of vectors is written out last."""
    passes = builder.getModulePassManager()
    passes.add_always_inliner_pass()
    return passes


def tidied(builder: Any) -> Any:
    """Return the passes that improve straight lines, and what leaves its loops to BLAS: a third of the time of all."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


def machine(level: int) -> Any:
    """Return what code is made for, this processor; what it is given to owns it, so that every use needs another."""
    initialise()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features()
    # LLVM fills half of a register of AVX-512 on all processors of Intel, since the first of them ran slower with whole
    # ones. Those that have these instructions as well do not: an exponential takes 0.6 of the time.
    whole = [WHOLE_REGISTERS] if features.get("avx512vbmi2") else []
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=",".join([features.flatten(), *whole]),
        opt=level,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )


@cache
def singles() -> int:
    """Return how many numbers of 32 bits a register of this processor holds."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def has_masks() -> bool:
    """Return whether a register can leave some of its numbers alone, as those of AVX-512 can."""
    return singles() == 16


@cache
def initialise() -> bool:
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
    content = directory.read_signed(name)
    if content is not None:
        directory.touch(name)
    return content
