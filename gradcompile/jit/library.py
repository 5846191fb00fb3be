"""The functions of the C library that compiled text calls."""

LIBRARY = {f"math.{name}": name for name in (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "expm1",
    "fmod", "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "tan", "tanh",
)} | {"math.gamma": "tgamma"}  # fmt: skip
PAIR = "sincos"  # (x, &sine, &cosine), where the library has it, as that of GNU does
