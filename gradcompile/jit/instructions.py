"""Functions of emitted text that this processor has as instructions, to the same bits.

`vgrown` multiplies by a power of 2 in seven steps, for what it makes may be too large or too small for one of them.
AVX-512 has an instruction that does all of that, but LLVM has no name for it of which it makes vectors. So a program
declares such a function, LLVM is told which one there is for vectors (see `direct.variants`), and when loops are
vectors `objects` links those that are called with their definitions, and writes them out.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm

NEEDED = ("avx512f", "avx512vl")
PREFIX = "gradcompile.grown"


class Grown(NamedTuple):
    """What `vgrown` is for a type of LLVM.

    Attributes
    ----------
    kind : str
        LLVM's name of the type.
    short : str
        That of two letters, which instructions have.
    zero : float
        What a number is added to so that its lowest bits count from 0 on.
    least : float
        The least power of 2 of which there is a part that is not rounded to 0.
    one : int
        How many numbers there are in the shortest register.
    """

    kind: str
    short: str
    zero: float
    least: int
    one: int

    def symbol(self, lanes: int = 1) -> str:
        """Return the name of the function for so many numbers at once."""
        return f"{PREFIX}.{self.kind}x{lanes}"

    @property
    def lanes(self) -> tuple[int, ...]:
        """How many numbers there are functions of vectors for."""
        return (self.one, 2 * self.one, 4 * self.one)


GROWN = {
    "vgrown": Grown("double", "pd", 6755399441057790.0, -1075, 2),
    "vgrown32": Grown("float", "ps", 12583166.0, -150, 4),
}


@cache
def has_instructions() -> bool:
    """Return whether this processor has them."""
    features = llvm.get_host_cpu_features()
    return all(features.get(each) for each in NEEDED)


@cache
def definitions() -> str:
    """Return a module of LLVM with the definitions of all of these functions."""
    return "\n".join("\n".join([*(_of_vectors(each, k) for k in each.lanes), _of_one(each)]) for each in GROWN.values())


def _of_vectors(grown: Grown, lanes: int) -> str:
    """Return the function of vectors: it leaves out what is 0, for what underflows takes hundreds of cycles."""
    kind, bits, wide = f"<{lanes} x {grown.kind}>", 128 * lanes // grown.one, max(8, lanes)
    rounding, nearest = (", i32", ", i32 4") if bits == 512 else ("", "")  # 4: as everything else is rounded
    called = f"@llvm.x86.avx512.mask.scalef.{grown.short}.{bits}"
    counted = ", ".join(f"i32 {min(k, lanes)}" for k in range(wide))  # a mask has 8 bits, of which the last are 0

    def all_of(number: float) -> str:
        return f"<{', '.join([f'{grown.kind} {number!r}'] * lanes)}>"

    return (
        f"declare {kind} {called}({kind}, {kind}, {kind}, i{wide}{rounding})\n"
        f"define linkonce_odr hidden {kind} @{grown.symbol(lanes)}({kind} %y, {kind} %t) alwaysinline nounwind {{\n"
        f"  %a = fadd {kind} %y, {all_of(1.0)}\n"
        f"  %n = fadd {kind} %t, {all_of(-grown.zero)}\n"
        f"  %counts = fcmp uge {kind} %n, {all_of(float(grown.least))}\n"
        f"  %some = shufflevector <{lanes} x i1> %counts, <{lanes} x i1> zeroinitializer, <{wide} x i32> <{counted}>\n"
        f"  %mask = bitcast <{wide} x i1> %some to i{wide}\n"
        f"  %found = call {kind} {called}({kind} %a, {kind} %n, {kind} zeroinitializer, i{wide} %mask{nearest})\n"
        f"  ret {kind} %found\n"
        "}"
    )


def _of_one(grown: Grown) -> str:
    """Return the function of numbers: that of vectors, of which one number counts."""
    kind, vector = grown.kind, f"<{grown.one} x {grown.kind}>"
    return (
        f"define linkonce_odr hidden {kind} @{grown.symbol()}({kind} %y, {kind} %t) alwaysinline nounwind {{\n"
        f"  %a = insertelement {vector} zeroinitializer, {kind} %y, i32 0\n"
        f"  %b = insertelement {vector} zeroinitializer, {kind} %t, i32 0\n"
        f"  %c = call {vector} @{grown.symbol(grown.one)}({vector} %a, {vector} %b)\n"
        f"  %found = extractelement {vector} %c, i32 0\n"
        f"  ret {kind} %found\n"
        "}"
    )
