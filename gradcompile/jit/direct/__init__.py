"""From emitted text to machine code without Numba: what a kernel's first compiled answer waits for.

Numba takes some ten milliseconds for a line, most of it to find out what each name is; emitted text says it almost
everywhere. Here its loops, arrays and numbers are written as LLVM, which makes of them what it makes of Numba's. What
is not known here (other arguments, other functions of NumPy) is left to Numba: `build` raises, and nothing is lost.
"""

from gradcompile.jit.direct.build import build, build_all
from gradcompile.jit.direct.kinds import UntranslatableError

__all__ = ["UntranslatableError", "build", "build_all"]
