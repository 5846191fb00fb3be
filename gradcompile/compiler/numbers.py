"""Calls of a model whose arguments are numbers: those that fit go straight to the kernel.

The general call packs its arguments into a dictionary, and looks each up and checks it: ten times the arithmetic of a
small model. `emit.call` writes a function for the model's own names, so that Python itself sorts the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradcompile.emit import call
from gradcompile.jit import load
from gradcompile.pipeline import Program

Call = Callable[..., Any]


class Calls:
    """What a quick call needs.

    Parameters
    ----------
    program : Program
        Of numbers, not arrays.
    name : {"value", "value_and_grad"}
        The emitted function.
    general : callable
        The call with all checks.

    Attributes
    ----------
    kernel : callable
        The emitted function of positional numbers: it is loaded at the first call, or compiled in the background.
    """

    def __init__(self, program: Program, name: str, general: Call) -> None:
        self._program, self._name, self._general = program, name, general
        self.kernel: Call = self._first

    def _first(self, *numbers: float) -> Any:
        program, name = self._program, self._name
        if program.compiles:
            found = program.run(name, numbers)
            self.kernel = program.compiled(name) or self.kernel
            return found
        self.kernel = program.plain(name)
        return self.kernel(*numbers)

    def checked(self, positional: Sequence[Any], given: Mapping[str, Any]) -> Any:
        """Make the call with all checks."""
        return self._general(*positional, **given)


def quick(program: Program, general: Call, *, single: bool) -> Call:
    """Return a call that does what `general` does, sooner where all arguments are Python floats.

    Parameters
    ----------
    program : Program
        Of value and gradient.
    general : callable
        The model's `value`, `grad` or `value_and_grad`, with all checks.
    single : bool
        Whether the one gradient is returned as it is, and not in a tuple.
    """
    inputs, name = program.graph.inputs, general.__name__
    plain = program.target == "python" and all(i.kind == "real" for i in inputs.values())
    whole = any(
        o.kind == "int" and o.op != "const" for o in program.graph.outputs.values()
    )  # Python's own, as 1 of x > 0
    if whole or not plain or not call.fits(list(inputs)):
        return general
    made = getattr(load(call.render(list(inputs), single=single), compiled=False), name)
    function: Call = made(Calls(program, "value" if name == "value" else "value_and_grad", general))
    return function
