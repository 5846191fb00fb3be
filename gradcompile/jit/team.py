"""What threads of one team see of each other: integers of an array, one of which may change at any time.

Emitted code tells another thread what is to be done by numbers in an array that both have. Plain reading and writing
would not do: a compiler may move it, and reads once what does not change in its own function.
"""

from __future__ import annotations

import os
import time
from threading import Lock
from typing import Any

from llvmlite import ir
from numba import njit, types

from gradcompile.jit.interpreted import instruction

WIDTH = 8  # bytes of an integer
ALONE = Lock()  # of Python's threads, one swaps


def _swap(array: Any, place: int, old: int, new: int) -> bool:
    """Do in Python what `swap` does."""
    with ALONE:
        there = bool(array[place] == old)
        if there:
            array[place] = new
        return there


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return the address of an element of an array of integers."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@instruction(lambda array, place: int(array[place]))
def look(typing_context: Any, array: Any, place: Any) -> Any:
    """Return the integer at a place of an array, and see all that was written before it was put there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _place(context, builder, signature, arguments)
        return builder.load_atomic(at, "acquire", WIDTH)

    return types.int64(array, types.intp), code


@instruction(_swap)
def swap(typing_context: Any, array: Any, place: Any, old: Any, new: Any) -> Any:
    """Put an integer in the place of another one; return whether that was there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _place(context, builder, signature, arguments)
        return builder.extract_value(builder.cmpxchg(at, *arguments[2:], "acq_rel", "acquire"), 1)

    return types.boolean(array, types.intp, types.int64, types.int64), code


@instruction(lambda: time.sleep(0))
def _give_way(typing_context: Any) -> Any:
    """Call the operating system's ``sched_yield``, where there is one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if hasattr(os, "sched_yield"):
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(ir.Function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), code


@njit(error_model="numpy")
def rest() -> None:
    """Let other threads have the processor."""
    _give_way()
