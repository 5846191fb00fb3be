"""The declared arguments as text: in messages, in `help` and in `inspect.signature`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from keyword import iskeyword

from gradcompile.errors import ArgumentError, GradcompileError, UnknownNameError
from gradcompile.ir import Input

ROLES = {"parameter": "a parameter", "data": "data", "labels": "labels", "constant": "a constant"}


class Signature:
    """The declared arguments of one model, in call order, and errors that point at one of them.

    Parameters
    ----------
    inputs : mapping of str to Input
        The arguments in call order.

    Examples
    --------
    >>> from gradcompile.ir import Size
    >>> print(Signature({"W": Input("W", (Size.of("D"), Size.of(2))), "lam": Input("lam")}))
    W[D, 2], lam
    """

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self.inputs = inputs

    def __str__(self) -> str:
        """Return the arguments with their axes."""
        return ", ".join(map(_declaration, self.inputs.values())) or "no arguments"

    def fail(self, kind: type[GradcompileError], name: str, what: str, **details: str) -> GradcompileError:
        """Return an error with a caret under the argument `name` in the list of them all."""
        before = list(self.inputs)[: list(self.inputs).index(name)]
        column = sum(len(_declaration(self.inputs[other])) + len(", ") for other in before)
        return kind(what, text=str(self), place=column, **details)

    def unknown(self, name: str) -> GradcompileError:
        """Return the error for a name that is no argument."""
        names = {other.casefold(): other for other in self.inputs}
        close = get_close_matches(name.casefold(), names, 1)
        hint = f"did you mean {names[close[0]]!r}?" if close else f"leave {name!r} out"
        return UnknownNameError(
            f"the model has no argument {name!r}", expected=str(self), found=f"{name}=...", hint=hint
        )

    def missing(self, name: str, given: Iterable[str] = ()) -> GradcompileError:
        """Return the error for an argument that was not given, while others were."""
        declared = self.inputs[name]
        hint = f"add {name}=... to the call ({ROLES[declared.role]})"
        found = ", ".join(given) or "no arguments"
        what = f"the argument {name!r} is missing"
        return self.fail(ArgumentError, name, what, expected=wanted(declared), found=found, hint=hint)

    def positional(self, count: int) -> GradcompileError:
        """Return the error for arguments without names."""
        found = f"{count} argument{'s' * (count > 1)} without a name"
        hint = "write name=value; for minimisers of flat arrays, as SciPy's, model.ravel makes a function"
        return ArgumentError("arguments are given by name", expected=str(self), found=found, hint=hint)

    def inspected(self) -> inspect.Signature:
        """Return the signature that `help` and completion show.

        A name that Python cannot write in a call, such as ``lambda``, is left to ``**inputs``.
        """
        kind = inspect.Parameter.KEYWORD_ONLY
        writable = [i for i in self.inputs.values() if i.name.isidentifier() and not iskeyword(i.name)]
        parameters = [inspect.Parameter(i.name, kind, default=_default(i), annotation=annotation(i)) for i in writable]
        if len(writable) < len(self.inputs):
            parameters.append(inspect.Parameter("inputs", inspect.Parameter.VAR_KEYWORD))
        return inspect.Signature(parameters)


def _default(declared: Input) -> object:
    return inspect.Parameter.empty if declared.default is None else declared.default


def _declaration(declared: Input) -> str:
    return f"{declared.name}[{', '.join(map(str, declared.shape))}]" if declared.shape else declared.name


def annotation(declared: Input) -> str:
    """Return what an argument holds, in short: ``real[N, D]``, ``int[N]``, ``real``."""
    return f"{declared.kind}[{', '.join(map(str, declared.shape))}]" if declared.shape else declared.kind


def axes(declared: Input) -> str:
    """Return the axes as a tuple: ``(N, D)``, ``(N,)``."""
    return f"({', '.join(map(str, declared.shape))}{',' * (len(declared.shape) == 1)})"


def wanted(declared: Input) -> str:
    """Return what an argument must be, in words."""
    number = "whole number" if declared.kind == "int" else "number"
    return f"an array of {number}s with axes {axes(declared)}" if declared.shape else f"a {number}"
