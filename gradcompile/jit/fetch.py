"""Asking for memory before it is needed: rows that come in random order are on their way while others are computed.

The machine guesses what comes next only where addresses follow one another. Training takes rows in random order but
knows the order, so emitted code asks: ``fetch(x, soon)`` starts the transfer of ``x[soon]`` into the cache and waits
for nothing. It changes no result.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from gradcompile.jit.interpreted import instruction
from gradcompile.jit.lines import DATA, LINE, LONGEST, NEAR, NEAREST, NEXT, READ, SHORT


def _prefetch(cache: int) -> Any:
    """Return the intrinsic that asks for the cache line at a byte of an array: LLVM's ``llvm.prefetch``."""

    def prefetch(typing_context: Any, array: Any, place: Any) -> Any:
        return types.void(array, types.intp), _code_of(cache)

    return instruction(lambda array, place: None)(prefetch)


def _code_of(cache: int) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, word = cgutils.voidptr_t, cgutils.int32_t
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        declare: Any = cgutils.get_or_insert_function
        function = declare(builder.module, kind, "llvm.prefetch.p0")
        address = builder.gep(builder.bitcast(data, pointer), [arguments[1]])
        builder.call(function, [address, word(READ), word(cache), word(DATA)])
        return context.get_dummy_value()

    return code


ask, ask_next = _prefetch(NEAREST), _prefetch(NEXT)


@njit(error_model="numpy")
def fetch(array: Any, row: Any) -> None:
    """Ask for the row of an array in C order, or for the first of it: for every line that it has a part in.

    Parameters
    ----------
    array : array (N, ...)
        Any axes after the first.
    row : int
        Its number, from 0 to N - 1.
    """
    length = array.strides[0]
    if array.size * array.itemsize < NEAR:
        return
    first, most = row * length, min(length, LONGEST)
    # Whether rows may begin within a line, as those of NumPy's arrays do, and end in one more than they fill.
    apart = (array.ctypes.data | length) & (min(length, LINE) - 1)
    if length <= SHORT:
        for place in range(first, first + most, LINE):
            ask(array, place)
        if apart:
            ask(array, first + most - 1)
    else:
        for place in range(first, first + most, LINE):
            ask_next(array, place)
        if apart:
            ask_next(array, first + most - 1)
