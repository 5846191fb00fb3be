"""The spine of gradcompile, and what a user holds in hand at the end of it."""

from gradcompile.compiler.compiled import CompiledModel, compile, emit

__all__ = ["CompiledModel", "compile", "emit"]
