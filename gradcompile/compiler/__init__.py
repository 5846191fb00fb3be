"""The spine of gradcompile, and what a user holds in hand at the end of it; `stored` is imported where it is needed."""

from gradcompile.compiler.compiled import CompiledModel, compile
from gradcompile.compiler.emission import emit

__all__ = ["CompiledModel", "compile", "emit"]
