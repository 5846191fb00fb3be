"""The spine of gradcompile, and what a user holds in hand at the end of it."""

from gradcompile.compiler.compiled import CompiledModel, compile
from gradcompile.compiler.emission import emit
from gradcompile.compiler.stored import load_model, load_params

__all__ = ["CompiledModel", "compile", "emit", "load_model", "load_params"]
