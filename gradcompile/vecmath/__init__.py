"""Elementary functions as plain arithmetic, which LLVM makes vectors of inside of loops.

`math.exp` in a loop is a call, and a loop with a call is not vectorised. Here are no calls, branches or tables: a
choice is a select, and both sides of it are computed. The text of these functions is copied into emitted modules, with
`DECORATOR` above each, so they use nothing but NumPy's names, and no annotations.

Rounding is part of the method (adding and subtracting 1.5*2**52 rounds to an integer, whose bits are then the lowest of
the sum; differences recover what a sum was rounded by). So each function is compiled with {"contract"} alone: a fused
product and sum may only be more exact, and where a step must be exact, its products are exact without fusing. LLVM
inlines them (`forceinline`) and keeps these flags an instruction; Numba's own ``inline="always"`` would give them the
flags of the caller, and "reassoc" would cancel the sums.

Those for float32 round their operand to it first: an operand of another type would undo the rounding that they rely on.

At most 2 ULP from the exact value, 1 for float32 `pow`; 4 for log cosh, log(1 + w exp) and float32 erf, erfc, erfcx and
logtail, 5 for log1pgap, 3 for float32 `acosh` and xlogx1p and float64 log(1 - exp) and logtail, which take two steps,
and for float64 gamma, trigamma, lgamma and digamma of positive numbers (of negative ones 2e-15 max(1, |f|), for most of
them are 0 between poles); nan, infinities, zeros, subnormal numbers, overflow and underflow as IEEE 754 and `math` have
them, without exceptions, but for gamma below -171.6, which is 0.
Coefficients: tests/minimax.py.
"""

from __future__ import annotations

from types import MappingProxyType, ModuleType

from gradcompile.vecmath import (
    arcs,
    bits,
    digammas,
    exponentials,
    factorials,
    gammas,
    hyperbolic,
    logarithms,
    normal,
    powers,
    ratios,
    roots,
    trigammas,
    trigonometry,
    turns,
)

MODULES: tuple[ModuleType, ...] = (
    bits,
    exponentials,
    logarithms,
    hyperbolic,
    normal,
    powers,
    ratios,
    roots,
    turns,
    trigonometry,
    arcs,
    gammas,
    digammas,
    trigammas,
    factorials,
)
DECORATOR = '@njit(fastmath={"contract"}, error_model="numpy", forceinline=True)\n'
ARITY = MappingProxyType(
    dict.fromkeys("pow hypot atan2 xlogy xlog1py log1pwexp log1pwsq lbeta xlog1pdiv log1pgap".split(), 2)
    | {"lgammagap": 3, "digammagap": 3}
)  # of the rows below; all others have one operand
ROWS = (
    "exp expm1 log log1p logcosh sigmoid softplus sinh cosh tanh sech erf erfc erfcx logtail pow hypot sin cos tan "
    "asin acos atan atan2 asinh acosh atanh log1mexp log1pwexp log1pwsq xlogx xlogx1p xlogy xlog1py lgamma digamma "
    "lgammagap digammagap lbeta xlog1pdiv log1pgap trigamma gamma cbrt"
).split()

# Row of the table of primitives -> its function for float64, for float32.
VECTOR = MappingProxyType({row: (f"v{row}", f"v{row}32") for row in ROWS} | {"logtotal": ("vlog", "vlog32")})
# A row that is made of another one of these, or together with it: the other row, and the spelling.
COMPOSED = MappingProxyType(
    {
        "relent": ("xlogy", ("vxlogy({0}, {0}/{1})", "vxlogy32({0}, {0}/{1})")),
        "xlog1psqdiv": ("log1pwsq", ("{0}*vlog1pwsq(1/{0}, {1})", "{0}*vlog1pwsq32(1/{0}, {1})")),
        "log1pover": ("log1p", ("vlog1pover({0}, {1})", "vlog1pover32({0}, {1})")),
        "expm1div": ("expm1", ("{1}*vexpm1over(0, {0}*{1})", "{1}*vexpm1over32(0, {0}*{1})")),
        "expm1over": ("expm1", ("vexpm1over({0}, {1})", "vexpm1over32({0}, {1})")),
        "polygamma": ("trigamma", ("vtrigamma({1})", "vtrigamma32({1})")),
    }
)
# Of which orders, the first operand, they are.
ORDERS = MappingProxyType({"log1pover": range(3), "expm1over": range(3), "polygamma": range(1, 2)})
# Functions that others choose only where an operand is below or above a number: elsewhere they need not be computed.
SELDOM = MappingProxyType(
    dict.fromkeys(("vfar", "vfar32"), (">", 2.0**26))
    | dict.fromkeys(("vlogsinpi", "vlogsinpi32", "vpicot", "vpicot32"), ("<", 0.0))
)
# A choice between a number and 0: {0} is the condition, {1} what is taken where it holds, {2} elsewhere.
MASKED = MappingProxyType(
    {2: ("vwhen({0}, {1})", "vwhen32({0}, {1})"), 1: ("vunless({0}, {2})", "vunless32({0}, {2})")}
)  # by the operand that is 0
