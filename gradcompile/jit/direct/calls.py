"""What functions of Python, math and NumPy, and what attributes and methods emitted text knows, in LLVM."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from functools import partial

from gradcompile.jit.direct.arrays import Scope, Writing
from gradcompile.jit.direct.kinds import (
    BIT,
    F32,
    F64,
    I64,
    SCALARS,
    Kind,
    Scalar,
    Several,
    UntranslatableError,
    Value,
    bits_of,
    literal,
    several,
)  # fmt: skip
from gradcompile.jit.direct.outside import factorise, fetch, invert, look, rest, substitute, swap
from gradcompile.jit.direct.variants import told
from gradcompile.jit.direct.writer import SUFFIX
from gradcompile.jit.library import LIBRARY

Call = Callable[[Scope, list[Value]], Value]
OfNumbers = Callable[[Writing, list[Value]], Value]

NAMES: dict[str, Value] = {
    f"{module}.{name}": literal(number)
    for module in ("math", "np")
    for name, number in (("pi", math.pi), ("e", math.e), ("inf", math.inf), ("nan", math.nan))
} | {f"np.{name}": Value(Kind(each), ()) for name, each in SCALARS.items() if name != "bool"}

OPAQUE = "gradcompile_ldexp"  # C's, by a name that tells LLVM nothing

INTRINSICS = {"sqrt": "sqrt", "fabs": "fabs", "copysign": "copysign", "floor": "floor", "ceil": "ceil"}
OF_NUMPY = {
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "power": "pow",
    **{name: name for name in "cbrt cos cosh exp expm1 hypot log log1p sin sinh tan tanh".split()},
}  # fmt: skip


def _real(scope: Writing, name: str, values: list[Value]) -> Value:
    """Call a function of reals, in single precision if all arguments are."""
    kind = F32 if all(v.type == F32 for v in values) else F64
    arguments = [f"{kind.llvm} {scope.writer.convert(v, kind).text}" for v in values]
    if name.startswith("llvm."):
        return Value(kind, (scope.writer.called(kind.llvm, f"{name}.{SUFFIX[kind]}", arguments),))
    symbol = name if kind == F64 else f"{name}f"
    several = told(scope.writer, name, [kind] * len(values), symbol)
    return Value(kind, (scope.writer.called(kind.llvm, symbol, arguments, told=several),))


def intrinsic(name: str) -> OfNumbers:
    """Return the call of a function of LLVM."""
    return lambda scope, values: _real(scope, f"llvm.{name}", values)


def _library(name: str) -> OfNumbers:
    return lambda scope, values: _real(scope, name, values)


def _isnan(scope: Writing, values: list[Value]) -> Value:
    kind, [value] = values[0].scalar, values
    if not kind.real:
        return literal(False)
    return Value(BIT, (scope.writer.new(f"fcmp uno {kind.llvm} {value.text}, {value.text}"),))


def _sized(relation: str) -> OfNumbers:
    """Return the comparison of a number's size with infinity."""

    def call(scope: Writing, values: list[Value]) -> Value:
        kind, [value] = values[0].scalar, values
        if not kind.real:
            return literal(relation == "one")
        size = scope.writer.called(kind.llvm, f"llvm.fabs.{SUFFIX[kind]}", [f"{kind.llvm} {value.text}"])
        return Value(BIT, (scope.writer.new(f"fcmp {relation} {kind.llvm} {size}, {bits_of(math.inf)}"),))

    return call


def _abs(scope: Writing, values: list[Value]) -> Value:
    [value] = values
    if value.scalar.real:
        return _real(scope, "llvm.fabs", values)
    return Value(I64, (scope.writer.called("i64", "llvm.abs.i64", [f"i64 {scope.writer.whole(value)}", "i1 false"]),))


def _float(scope: Writing, values: list[Value]) -> Value:
    return scope.writer.convert(values[0], F64)


def _int(scope: Writing, values: list[Value]) -> Value:
    return scope.writer.convert(values[0], I64)


def _ldexp(scope: Writing, values: list[Value]) -> Value:
    """Call C for a number times a power of 2: what LLVM does not look into."""
    number = scope.writer.convert(values[0], F64).text
    power = scope.writer.new(f"trunc i64 {scope.writer.whole(values[1])} to i32")
    return Value(F64, (scope.writer.called("double", OPAQUE, [f"double {number}", f"i32 {power}"], "nounwind"),))


def _extreme(op: type[ast.cmpop], scope: Writing, values: list[Value]) -> Value:
    """Return Python's min or max, of two numbers or more, or of a tuple."""
    numbers = values[0].items() if len(values) == 1 else values
    found = numbers[0]
    for each in numbers[1:]:
        found = scope.writer.smaller(op, found, each)
    return found


def _new(zero: bool, scope: Scope, values: list[Value]) -> Value:
    shape, *kind = values
    lengths = shape.items() if isinstance(shape.type, Several) else [shape]
    dtype = _scalar(kind[0]) if kind else F64
    return scope.arrays.made(dtype, [scope.writer.whole(n) for n in lengths], zero=zero, failed=scope.failed())


def _scalar(value: Value) -> Scalar:
    if not isinstance(value.type, Kind):
        raise UntranslatableError("a value as a type")
    return value.type.scalar


def _asarray(scope: Scope, values: list[Value]) -> Value:
    array, *kind = values
    dtype = _scalar(kind[0]) if kind else array.array.dtype
    return array if array.array.dtype == dtype else scope.arrays.copied(array, dtype, scope.failed())


def _contiguous(scope: Scope, values: list[Value]) -> Value:
    [array] = values
    return array if array.array.dense else scope.arrays.copied(array, array.array.dtype, scope.failed())


def _len(scope: Scope, values: list[Value]) -> Value:
    return Value(I64, (values[0].lengths[0],))


OF_NUMBERS: dict[str, OfNumbers] = {
    "abs": _abs, "np.abs": _abs, "float": _float,
    "min": partial(_extreme, ast.Lt), "max": partial(_extreme, ast.Gt),
    **{f"{module}.isnan": _isnan for module in ("math", "np")},
    **{f"{module}.isfinite": _sized("one") for module in ("math", "np")},
    **{f"{module}.isinf": _sized("oeq") for module in ("math", "np")},
    **{name: _library(each) for name, each in LIBRARY.items()},
    **{f"np.{name}": _library(each) for name, each in OF_NUMPY.items()},
    **{f"np.{name}": intrinsic(each) for name, each in INTRINSICS.items() if name != "fabs"},
    **{f"math.{name}": intrinsic(each) for name, each in INTRINSICS.items() if name not in ("floor", "ceil")},
}  # fmt: skip
EXTREMA: dict[str, OfNumbers] = {  # emitted functions that LLVM has: of these it makes vectors where rows are searched
    name: intrinsic(name) for name in ("maximum", "minimum")
}  # but for the sign of zero
CALLS: dict[str, Call] = {
    **OF_NUMBERS, "int": _int, "math.ldexp": _ldexp, "len": _len, "fetch": fetch,
    "look": look, "swap": swap, "rest": rest, "lapack.getrf": factorise, "lapack.getri": invert,
    "lapack.getrs": substitute,
    "np.empty": partial(_new, False), "np.zeros": partial(_new, True),
    "np.asarray": _asarray, "np.ascontiguousarray": _contiguous,
}  # fmt: skip


def _shape(scope: Scope, array: Value) -> Value:
    return several([Value(I64, (length,)) for length in array.lengths])


def _strides(scope: Scope, array: Value) -> Value:
    width = array.array.dtype.width
    return several([Value(I64, (scope.writer.new(f"mul nsw i64 {s}, {width}"),)) for s in scope.arrays.strides(array)])


ATTRIBUTES: dict[str, Callable[[Scope, Value], Value]] = {
    "T": lambda scope, array: scope.arrays.turned(array),
    "shape": _shape,
    "strides": _strides,
    "size": lambda scope, array: Value(I64, (scope.arrays.count(array),)),
    "itemsize": lambda scope, array: literal(array.array.dtype.width),
    "dtype": lambda scope, array: Value(Kind(array.array.dtype), ()),
}


def _view(scope: Scope, value: Value, arguments: list[Value]) -> Value:
    kind, to = value.scalar, _scalar(arguments[0])
    if kind.width != to.width or BIT in (kind, to):
        raise UntranslatableError("a view of another width")
    if kind.llvm == to.llvm:
        return Value(to, value.parts)
    return Value(to, (scope.writer.new(f"bitcast {kind.llvm} {value.text} to {to.llvm}"),))


def _reshape(scope: Scope, value: Value, arguments: list[Value]) -> Value:
    lengths = arguments[0].items() if isinstance(arguments[0].type, Several) else arguments
    return scope.arrays.reshaped(value, lengths)


METHODS: dict[str, Callable[[Scope, Value, list[Value]], Value]] = {"view": _view, "reshape": _reshape}
