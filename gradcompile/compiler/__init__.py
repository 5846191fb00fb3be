"""What users call, and what they hold in hand at the end of the pipeline; `stored` is imported where it is needed."""

from gradcompile.compiler.compiled import CompiledModel, compile
from gradcompile.compiler.emission import emit

__all__ = ["CompiledModel", "compile", "emit"]
