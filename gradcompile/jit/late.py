"""Functions that are written out in machine code when loops have become vectors, not before.

What LLVM can make no vectors of, it does not get to see: a program declares a function, for LLVM one of numbers that
does nothing else, and of vectors (see `direct.variants`), and `objects` links those that are called with the
definitions here in the end.

- `GROWN` is an emitted one that this processor has as an instruction, to the same bits. `vgrown` multiplies by a power
  of 2 in seven steps, since what it makes may be too large or small for one of them. AVX-512 does all that at once.
- `SOON` is a number of an array that is read, and asks for the one that is `AHEAD` of it; see `direct.streams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import llvmlite.binding as llvm

from gradcompile.jit.lines import DATA, NEAREST, READ

NEEDED = ("avx512f", "avx512vl")  # of the processor, for `GROWN`
PREFIX = "late."
AHEAD = 1024  # bytes: less than what is computed meanwhile would hide, and the processor forgets what is much more
TRAITS = "nounwind willreturn speculatable memory(none)"  # as if there were no request in `SOON`
PREFETCH = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


class Late(NamedTuple):
    """A function of numbers, and of as many as vectors have.

    Attributes
    ----------
    name : str
        What it does, in a word.
    kind : str
        LLVM's name of the type of the numbers.
    letters : tuple of str
        Of each argument, as vectors have it: "v" for a vector, "l8" for the address of its first number, each 8 bytes
        after the one before.
    lanes : tuple of int
        How many numbers vectors have.
    """

    name: str
    kind: str
    letters: tuple[str, ...]
    lanes: tuple[int, ...]

    def symbol(self, lanes: int = 1) -> str:
        """Return the name of the function of so many numbers."""
        return f"{PREFIX}{self.name}.{self.kind}x{lanes}"

    def head(self, lanes: int = 1) -> str:
        """Return what the function returns, its name and its arguments, ``%x0`` and so on."""
        kind = self.of(lanes)
        given = (f"{kind if letter == 'v' else 'ptr'} %x{k}" for k, letter in enumerate(self.letters))
        return f"{kind} @{self.symbol(lanes)}({', '.join(given)})"

    def of(self, lanes: int) -> str:
        """Return the type of so many numbers."""
        return self.kind if lanes == 1 else f"<{lanes} x {self.kind}>"


# In a register of 128 bits, 256 and 512; of numbers that are only read, LLVM takes more than one at a time.
GROWN: Mapping[tuple[str, str], Late] = MappingProxyType(
    {
        ("vgrown", "double"): Late("grown", "double", ("v", "v"), (2, 4, 8)),
        ("vgrown32", "float"): Late("grown", "float", ("v", "v"), (4, 8, 16)),
    }
)
SOON: Mapping[str, Late] = MappingProxyType(
    {
        "double": Late("soon", "double", ("v", "l8"), (2, 4, 8, 16)),
        "float": Late("soon", "float", ("v", "l4"), (4, 8, 16, 32)),
    }
)
# Of `GROWN`: what instructions are called for a type; what a number is added to so that its lowest bits count from 0
# on; the least power of 2 of which there is a part that is not rounded to 0.
SCALED = MappingProxyType({"double": ("pd", 6755399441057790.0, -1075.0), "float": ("ps", 12583166.0, -150.0)})


@cache
def has_instructions() -> bool:
    """Return whether this processor has those of `GROWN`."""
    features = llvm.get_host_cpu_features()
    return all(features.get(each) for each in NEEDED)


def definitions(text: str) -> str:
    """Return a module of LLVM with the definitions of those of these functions that a module declares; "" for none."""
    every = [(late, _grown) for late in GROWN.values()] + [(late, _soon) for late in SOON.values()]
    declared = [(late, define) for late, define in every if f"@{late.symbol()}(" in text]
    found = [define(late, lanes) for late, define in declared for lanes in (*late.lanes, 1)]
    return "\n".join([PREFETCH, *found]) if found else ""


def _defined(late: Late, lanes: int, *lines: str) -> str:
    head = f"define linkonce_odr hidden {late.head(lanes)} alwaysinline nounwind {{"
    return "\n".join([head, *(f"  {line}" for line in lines), "}"])


@cache
def _soon(late: Late, lanes: int) -> str:
    return _defined(
        late,
        lanes,
        f"%ahead = getelementptr i8, ptr %x1, i64 {AHEAD}",
        f"call void @llvm.prefetch.p0(ptr %ahead, i32 {READ}, i32 {NEAREST}, i32 {DATA})",
        f"ret {late.of(lanes)} %x0",
    )


@cache
def _grown(late: Late, lanes: int) -> str:
    """Return one of vectors: it leaves out what is 0, for what underflows takes hundreds of cycles."""
    if lanes == 1:
        return _grown_alone(late)
    short, zero, least = SCALED[late.kind]
    kind, bits, wide = late.of(lanes), 128 * lanes // late.lanes[0], max(8, lanes)
    rounding, nearest = (", i32", ", i32 4") if bits == 512 else ("", "")  # 4: as everything else is rounded
    called = f"@llvm.x86.avx512.mask.scalef.{short}.{bits}"
    counted = ", ".join(f"i32 {min(k, lanes)}" for k in range(wide))  # a mask has 8 bits, of which the last are 0

    def all_of(number: float) -> str:
        return f"<{', '.join([f'{late.kind} {number!r}'] * lanes)}>"

    declared = f"declare {kind} {called}({kind}, {kind}, {kind}, i{wide}{rounding})"
    return f"{declared}\n" + _defined(
        late,
        lanes,
        f"%a = fadd {kind} %x0, {all_of(1.0)}",
        f"%n = fadd {kind} %x1, {all_of(-zero)}",
        f"%counts = fcmp uge {kind} %n, {all_of(least)}",  # or nan
        f"%some = shufflevector <{lanes} x i1> %counts, <{lanes} x i1> zeroinitializer, <{wide} x i32> <{counted}>",
        f"%mask = bitcast <{wide} x i1> %some to i{wide}",
        f"%found = call {kind} {called}({kind} %a, {kind} %n, {kind} zeroinitializer, i{wide} %mask{nearest})",
        f"ret {kind} %found",
    )


def _grown_alone(late: Late) -> str:
    """Return that of numbers: it is one of vectors of which the first number counts."""
    vector = late.of(late.lanes[0])
    return _defined(
        late,
        1,
        f"%a = insertelement {vector} zeroinitializer, {late.kind} %x0, i32 0",
        f"%b = insertelement {vector} zeroinitializer, {late.kind} %x1, i32 0",
        f"%c = call {vector} @{late.symbol(late.lanes[0])}({vector} %a, {vector} %b)",
        f"%found = extractelement {vector} %c, i32 0",
        f"ret {late.kind} %found",
    )
