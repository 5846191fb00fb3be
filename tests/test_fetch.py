"""Requests for rows: every line of memory that a row has a part in is asked for, and none beside those."""

import ctypes
import re

import llvmlite.binding as llvm
import numpy as np
import pytest

from gradcompile.jit import fetch
from gradcompile.jit.direct import outside
from gradcompile.jit.lines import LINE, LONGEST, NEAR

SMIN = """
define internal i64 @llvm.smin(i64 %a, i64 %b) {
  %less = icmp slt i64 %a, %b
  %found = select i1 %less, i64 %a, i64 %b
  ret i64 %found
}"""


def table(width, skew):
    """Return an array of rows of so many bytes that begins `skew` bytes after a line does; it is never touched."""
    rows = NEAR // width + 3
    memory = np.empty(rows * width + 2 * LINE, np.uint8)
    first = -memory.ctypes.data % LINE + skew
    return memory[first : first + rows * width].reshape(rows, width)


def by_numba(array, row, monkeypatch):
    """Return the addresses that the function for Numba asks for."""
    asked = []
    for name in ("ask", "ask_next"):
        monkeypatch.setattr(fetch, name, lambda given, place: asked.append(given.ctypes.data + place))
    fetch.fetch.py_func(array, row)
    return asked


def by_llvm(array, row, _):
    """Return the addresses that the function in LLVM's words asks for: its requests become calls."""
    asked = []
    note = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(asked.append)
    text = re.sub(r"^declare void @llvm.prefetch.*$", "", outside.PREFETCH, flags=re.M)
    text = re.sub(r"call void @llvm.prefetch.p0\(ptr (%[\w.]+), .*\)", r"call void %note(ptr \1)", text)
    text = text.replace("internal void @fetch(", "void @fetch(ptr %note, ").replace("@llvm.smin.i64", "@llvm.smin")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    with llvm.create_mcjit_compiler(llvm.parse_assembly(text + SMIN), machine) as engine:
        engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
        call = kind(engine.get_function_address("fetch"))
        call(ctypes.cast(note, ctypes.c_void_p), array.ctypes.data, array.nbytes, array.strides[0], row)
    return asked


@pytest.mark.parametrize("asked_by", [by_numba, by_llvm])
@pytest.mark.parametrize("width", [8, 40, 64, 160, 256, 1000, 3136, 5000])
@pytest.mark.parametrize("skew", [0, 16, 56])
def test_every_line_of_a_row_is_asked_for_wherever_it_begins(asked_by, width, skew, monkeypatch):
    array = table(width, skew)
    for row in (0, 1, 2, 5):
        first = array[row].ctypes.data
        lines = range(first // LINE, (first + min(width, LONGEST) - 1) // LINE + 1)
        assert {place // LINE for place in asked_by(array, row, monkeypatch)} == {*lines}


@pytest.mark.parametrize("asked_by", [by_numba, by_llvm])
def test_nothing_is_asked_of_what_the_caches_hold(asked_by, monkeypatch):
    assert asked_by(np.zeros((8, 20)), 3, monkeypatch) == []


@pytest.mark.slow
def test_numba_compiles_what_llvm_is_told():
    assert fetch.fetch(table(160, 16), 3) is None
