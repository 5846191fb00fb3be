"""Compiling functions that only compiled functions call: LLVM optimises them where they are called, and only there.

Numba optimises every function by itself, and once more inside of each function that calls it. For short functions that
nobody else calls, the first time is for nothing. Long ones are the faster for it: what LLVM knows of the loops of a
whole epoch is less than what it knows of one step's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import NativeLowering
from numba.core.types import Array

from gradcompile.jit.linking import BY_STRIDES


@register_pass(mutates_CFG=False, analysis_only=False)  # type: ignore[no-untyped-call]  # Numba has few hints
class _PlainLibrary(LoweringPass):
    """Give a function a library whose code stays as it is lowered."""

    _name = "gradcompile_plain_library"

    def __init__(self) -> None:
        LoweringPass.__init__(self)  # type: ignore[no-untyped-call]  # Numba has few hints

    def run_pass(self, state: Any) -> bool:
        """Make the library into which a function is lowered."""
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()  # as Numba does with those that it makes
        # Numba has no switch for one function; where it calls this by another name, all is compiled as before.
        library._optimize_final_module = _nothing
        state.library = library
        return True


def _nothing() -> None:
    """Do nothing."""


class Inner(CompilerBase):
    """Numba's compilation without the optimisation at its end."""

    def define_pipelines(self) -> list[Any]:
        """Return Numba's pipeline, with a library of our own before its last step."""
        builder: Any = DefaultPassBuilder
        pipeline = builder.define_nopython_pipeline(self.state)
        before = [each for each, _ in pipeline.passes]
        pipeline.add_pass_after(_PlainLibrary, before[before.index(NativeLowering) - 1])
        pipeline.finalize()
        return [pipeline]


def only_called(function: Any, *, short: bool) -> None:
    """Have a function of a module compiled for its callers alone; anything that Numba does not compile stays as it is.

    Numba makes two more forms of each function, for Python and for C to call, and that takes a third of its time.
    """
    options = getattr(function, "targetoptions", None)
    if options is not None:
        options.update(no_cpython_wrapper=True, no_cfunc_wrapper=True)
        if short:
            function._compiler.pipeline_class = Inner
        if function.__name__ in BY_STRIDES:
            function.get_call_template = partial(_any_layout, function.get_call_template)


def _any_layout(template: Callable[..., Any], types: Sequence[Any], names: Any) -> Any:
    """Return Numba's template of a call with these types, of a form that takes matrices of any layout.

    All but the last may be read-only: that is the result. Numba passes an array to a form that asks for less.
    """
    matrices = [k for k, each in enumerate(types) if isinstance(each, Array) and each.ndim == 2]
    loose = list(types)
    for k in matrices:
        loose[k] = types[k].copy(layout="A", readonly=k != matrices[-1])
    return template(tuple(loose), names)
