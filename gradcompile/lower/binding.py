"""What a bound symbol means while a model is lowered."""

from __future__ import annotations

from dataclasses import dataclass

from gradcompile.ir import Value
from gradcompile.model.affine import Ranged


@dataclass(eq=False, slots=True, kw_only=True)
class Binding(Ranged):
    """What a bound symbol stands for inside of its scope.

    Parameters
    ----------
    value : Value
        The index as a number, or the argument of a function that is applied to elements, which has no range.
    """

    value: Value
